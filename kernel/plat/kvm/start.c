// SPDX-License-Identifier: ISC
// Machine "kvm": our own monitor (abi/boot.h). It has built the page tables and configured the
// devices; what is left is to copy its words and to talk through the doorbells.
#include "arch/x86_64/x86.h"
#include "plat/machine.h"
#include "abi/boot.h"

static volatile struct lith_shared *shared;
struct lith_boot plat_boot; // our copy: the page it came in goes back to the free memory

static void kvm_console_write(const char *s, size_t n, int stream)
{
    static struct lith_console_req req; // in the kernel image: its address is known
    static char bounce[2048];
    while (n) {
        size_t part = MIN(n, sizeof(bounce));
        memcpy(bounce, s, part);
        req.gpa = (uintptr_t)bounce - plat_info.kernel_base + plat_info.kernel_pa;
        req.len = (uint32_t)part;
        req.stream = (uint32_t)stream;
        outl(LITH_PORT_CONSOLE,
             (uint32_t)((uintptr_t)&req - plat_info.kernel_base + plat_info.kernel_pa));
        s += part;
        n -= part;
    }
}

static void kvm_exit(int status)
{
    outl(LITH_PORT_EXIT, (uint32_t)status);
}

static void kvm_wait(uint64_t deadline_ns)
{
    static struct lith_wait_req req;
    struct cpu *c = this_cpu();
    if (arch_ring == 0) {
        wait_halted(deadline_ns);
        return;
    }
    req.deadline_tsc = deadline_ns == DEADLINE_NEVER ? UINT64_MAX : clock_ns_to_tsc(deadline_ns);
    shared->sleeping = 1;
    __sync_synchronize(); // the monitor sets its bits, then looks at `sleeping`
    if (!shared->irq_pending && !shared->term_signal && !READ_ONCE(c->pending))
        outl(LITH_PORT_WAIT,
             (uint32_t)((uintptr_t)&req - plat_info.kernel_base + plat_info.kernel_pa));
    shared->sleeping = 0;
    shared->irq_pending = 0; // what they mean is posted
}

static int kvm_take_signal(void)
{
    return (int)__atomic_exchange_n(&shared->term_signal, 0, __ATOMIC_SEQ_CST);
}

// Ring 3: interrupts are posted by the monitor, and so is the timer's (abi/boot.h, struct
// lith_attention).
static void kvm_timer_set(uint64_t deadline_ns)
{
    uint64_t tsc = deadline_ns == DEADLINE_NEVER ? UINT64_MAX : clock_ns_to_tsc(deadline_ns);
    shared->timer_tsc = tsc;
    __sync_synchronize(); // the monitor says what it sleeps to, then looks at the deadline again
    if (tsc < shared->timer_seen_tsc)
        outw(LITH_PORT_TIMER, 0);
}

compile_assert(attention_is_in_cpu,
               offsetof(struct cpu, pending) - offsetof(struct cpu, in_kernel) ==
                   offsetof(struct lith_attention, posted));

static uint64_t image_pa(const void *p)
{
    return (uintptr_t)p - plat_info.kernel_base + plat_info.kernel_pa;
}

static void start_posted_interrupts(void)
{
    shared->entry = (uintptr_t)irq_posted;
    shared->entry_stack = (uintptr_t)irq_stack_top;
    shared->entry_stack_gpa = image_pa(irq_stack_top);
    shared->skip_start = (uintptr_t)entry_code_start;
    shared->skip_end = (uintptr_t)entry_code_end;
    __sync_synchronize();
    shared->attention_gpa = image_pa(&this_cpu()->in_kernel);
}

const struct plat_machine machine_kvm = {.console_write = kvm_console_write,
                                         .exit = kvm_exit,
                                         .wait = kvm_wait,
                                         .take_signal = kvm_take_signal};
static const struct plat_machine machine_kvm3 = {.console_write = kvm_console_write,
                                                 .exit = kvm_exit,
                                                 .wait = kvm_wait,
                                                 .take_signal = kvm_take_signal,
                                                 .timer_set = kvm_timer_set};

static void add_ram(uint64_t start, uint64_t end)
{
    if (start < end && plat_info.ram_count < PLAT_MEM_MAX)
        plat_info.ram[plat_info.ram_count++] = (struct plat_range){start, end - start};
}

__attribute__((no_stack_protector)) void plat_kvm_start(const struct lith_boot *from,
                                                        uint64_t entry_tsc)
{
    extern char kernel_start[], kernel_end[];
    plat_boot = *from;
    bool process = plat_boot.flags & LITH_BOOT_PROCESS;
    if (!process)
        arch_tables_init(plat_boot.ring);
    arch_cpu_start(plat_boot.ring);
    plat_machine = plat_boot.ring ? &machine_kvm3 : &machine_kvm;
    plat_info.name = "kvm";
    if (process)
        process_start();
    plat_info.ring = plat_boot.ring;
    plat_info.kernel_base = (uintptr_t)kernel_start;
    plat_info.kernel_len = (uint64_t)(kernel_end - kernel_start);
    plat_info.kernel_pa = plat_boot.kernel_gpa;
    plat_info.ram_zeroed = true; // the monitor gives fresh anonymous memory
    plat_info.exec_tsc = plat_boot.exec_tsc;
    plat_info.entry_tsc = entry_tsc;
    if (plat_boot.magic != LITH_BOOT_MAGIC || plat_boot.version != LITH_BOOT_VERSION ||
        plat_boot.size < sizeof(plat_boot)) {
        static const char text[] = "lith: this monitor speaks another version of the boot block\n";
        plat_console_write(text, sizeof(text) - 1, 2);
        plat_exit(125);
    }
    shared = pa_to_va(plat_boot.shared_gpa);
    plat_info.ram_mark = pa_to_va(plat_boot.shared_gpa + offsetof(struct lith_shared, ram_mark));
    plat_stats = pa_to_va(plat_boot.shared_gpa + LITH_STATS_GUEST_OFFSET);
    plat_stats->size = sizeof(*plat_stats);
    plat_stats->version = LITH_STATS_GUEST_VERSION;
    plat_info.config = pa_to_va(plat_boot.config_gpa);
    plat_info.config_room = plat_boot.config_room;
    memcpy(plat_info.entropy, plat_boot.entropy, sizeof(plat_boot.entropy));
    plat_info.entropy_len = sizeof(plat_boot.entropy);
    memset(plat_boot.entropy, 0, sizeof(plat_boot.entropy));
    for (unsigned i = 0; i < MIN(plat_boot.mem_count, (uint32_t)LITH_BOOT_MEM_MAX); i++) {
        const struct lith_mem *m = &plat_boot.mem[i];
        if (m->type == LITH_MEM_ROOT) {
            plat_info.root_pa = m->gpa;
            plat_info.root_len = m->len;
        } else if (m->type == LITH_MEM_RAM) {
            plat_info.ram_total += m->len;
            plat_info.ram_end = MAX(plat_info.ram_end, m->gpa + m->len);
            add_ram(MAX(m->gpa, plat_boot.free_gpa), m->gpa + m->len);
        }
    }
    for (unsigned i = 0; i < MIN(plat_boot.dev_count, (uint32_t)LITH_BOOT_DEV_MAX); i++)
        plat_info.dev[plat_info.dev_count++] =
            (struct plat_dev){NULL, &plat_boot.dev[i], plat_boot.dev[i].irq_vector};
    pagetable_init(plat_boot.pml4_gpa);
    clock_init(plat_boot.tsc_khz ? plat_boot.tsc_khz : 1000000,
               plat_boot.exec_tsc ? plat_boot.exec_tsc : entry_tsc, plat_boot.realtime_ns,
               plat_boot.realtime_tsc);
    kernel_main();
}

void plat_start_interrupts(void)
{
    if (plat_machine == &machine_kvm3)
        start_posted_interrupts();
    if (arch_ring && plat_machine != &machine_pvh)
        return;
    if (!lapic)
        lapic_init();
    clock_measure_end();
    if (arch_ring == 0)
        __asm__ volatile("sti");
}
