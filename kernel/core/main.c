// SPDX-License-Identifier: ISC
// Start-up in order, from the moment the machine is ours to the first program.
#include "core/core.h"
#include "abi/bootconfig.h"

extern void random_init(void);
extern void panic_trap(unsigned vector, uint64_t error, uint64_t addr, struct regs *r);
// Both kinds of records (core.h), one after the other.
extern const struct init_record *const init_records_start[], *const init_records_end[];
// Called when all records have run; set by the highest layer that is linked. Does not return.
void (*kernel_run)(void);

static void read_config(void)
{
    const char *error;
    char *text = plat_info.config;
    size_t len = strnlen(text, plat_info.config_room);
    if (len >= LITH_BOOTCONFIG_MAX)
        panic("boot configuration longer than %d bytes", LITH_BOOTCONFIG_MAX - 1);
    // The text is decoded in place; the pointers to its words go behind it.
    char *words = (char *)ALIGN_UP((uintptr_t)text + len + 1, sizeof(void *));
    size_t room = MIN((size_t)(text + plat_info.config_room - words) / sizeof(void *),
                      (size_t)LITH_BOOTCONFIG_WORDS_MAX);
    if (words > text + plat_info.config_room ||
        bootconfig_parse(text, len + 1, &boot_config, (const char **)(void *)words, room, &error))
        panic("boot configuration: bad word \"%s\" (abi/bootconfig.h lists the keys)",
              words > text + plat_info.config_room ? "" : error);
}

// Records in phase order; records of one phase in link order.
static void run_records(void)
{
    int last = -1;
    for (;;) {
        int phase = INT32_MAX;
        for (const struct init_record *const *r = init_records_start; r < init_records_end; r++) {
            if ((*r)->phase > last && (*r)->phase < phase)
                phase = (*r)->phase;
        }
        if (phase == INT32_MAX)
            return;
        for (const struct init_record *const *r = init_records_start; r < init_records_end; r++) {
            if ((*r)->phase != phase)
                continue;
            int e = (*r)->fn();
            if (e)
                panic("start-up: %s failed with error %d", (*r)->name, -e);
            chart_mark((*r)->name);
        }
        last = phase;
    }
}

static void protect_read_only(uint64_t va, uint64_t len)
{
    plat_protect(va, len, PLAT_READ);
}

void kernel_main(void) __attribute__((noreturn));
void kernel_main(void)
{
    arch_panic_hook = panic_trap;
    chart_mark("machine");
    read_config();
    random_init();
    chart_mark("configuration, random");
    run_records();
    arch_protect_tables(protect_read_only);
    plat_start_interrupts();
    chart_mark("interrupts");
    if (!kernel_run)
        panic("nothing to run: no program loader is linked");
    kernel_run();
    panic("the scheduler returned");
}
