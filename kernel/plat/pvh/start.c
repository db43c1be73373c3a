// SPDX-License-Identifier: ISC
// Machine "pvh": any VMM that boots by PVH (QEMU, Firecracker, Xen). Reads the start info, finishes
// the page tables, finds virtio-mmio devices on the command line; console on COM1, control lines on
// COM2.
#include "arch/x86_64/x86.h"
#include "plat/machine.h"
#include "plat/pvh/pvh.h"

// Xen public/arch-x86/hvm/start_info.h, version 1.
struct hvm_start_info {
    uint32_t magic, version, flags, nr_modules;
    uint64_t modlist_pa, cmdline_pa, rsdp_pa, memmap_pa;
    uint32_t memmap_entries, reserved;
};
struct hvm_module {
    uint64_t pa, size, cmdline_pa, reserved;
};
struct hvm_memmap {
    uint64_t addr, size;
    uint32_t type, reserved;
};
#define HVM_MAGIC 0x336ec578u
#define FIRST_MAP (1ull << 30) // what entry.S mapped directly

extern char kernel_start[], kernel_end[], text_end[], symbols_end[];
extern uint64_t pvh_pml4[], pvh_pdpt_direct[], pvh_pd_direct[], pvh_pt_direct[];
extern const uint64_t pvh_image_pa,
    pvh_image_tables;                       // where the image starts; tables in pvh_pt_direct
extern char pvh_config[], pvh_config_end[]; // at the end of the image
static uint64_t image_end; // physical: what is behind the used part of pvh_config is free

static uint64_t kernel_pa_of(const void *p)
{
    return (uintptr_t)p - (uintptr_t)kernel_start + pvh_image_pa;
}

static void die(const char *text)
{
    uart_write(UART_CONSOLE, text, strlen(text));
    machine_pvh.exit(125);
    for (;;)
        __asm__ volatile("hlt");
}

// The image's pages in the direct map: 4 KiB ones, read-only where text and constants are.
static void protect_image(void)
{
    uint64_t ram_end = MIN(plat_info.ram_end, FIRST_MAP);
    if (pvh_pdpt_direct[0] & PTE_LARGE) { // entry.S: one page for the first GiB
        uint64_t *pd = pvh_pd_direct, large = 0x200000,
                 entry = PTE_P | PTE_W | PTE_U | PTE_A | PTE_D | PTE_LARGE | PTE_NX;
        for (uint64_t pa = 0; pa < ram_end; pa += 4 * large, pd += 4, entry += 4 * large) {
            pd[0] = entry;
            pd[1] = entry + large;
            pd[2] = entry + 2 * large;
            pd[3] = entry + 3 * large;
        }
        pvh_pdpt_direct[0] = kernel_pa_of(pvh_pd_direct) | PTE_P | PTE_W | PTE_U | PTE_A;
    }
    uint64_t *e = pvh_pt_direct,
             *end = e + MIN(512 * pvh_image_tables, ALIGN_UP(ram_end, 4 * PAGE_SIZE) / PAGE_SIZE);
    uint64_t entry = PTE_P | PTE_U | PTE_A | PTE_NX | PTE_W | PTE_D, rw = PTE_W | PTE_D;
    for (; e < end; e += 4, entry += 4 * PAGE_SIZE) { // start is short: four at a time
        e[0] = entry;
        e[1] = entry + PAGE_SIZE;
        e[2] = entry + 2 * PAGE_SIZE;
        e[3] = entry + 3 * PAGE_SIZE;
    }
    e = pvh_pt_direct + pvh_image_pa / PAGE_SIZE;
    for (end = e + (symbols_end - kernel_start) / (long)PAGE_SIZE; e < end; e++)
        *e &= ~rw;
    for (uint64_t i = 0; i < pvh_image_tables; i++)
        pvh_pd_direct[i] =
            (kernel_pa_of(pvh_pt_direct) + i * PAGE_SIZE) | PTE_P | PTE_W | PTE_U | PTE_A;
    pvh_pml4[0] = 0; // no identity map any more
    write_cr3(read_cr3());
}

static void add_ram(uint64_t start, uint64_t end)
{
    start = ALIGN_UP(start, PAGE_SIZE);
    end = ALIGN_DOWN(end, PAGE_SIZE);
    if (start < end && plat_info.ram_count < PLAT_MEM_MAX)
        plat_info.ram[plat_info.ram_count++] = (struct plat_range){start, end - start};
}

// Adds [start, end) without the holes: low memory, kernel image, module.
static void add_usable(uint64_t start, uint64_t end, uint64_t mod, uint64_t mod_end)
{
    start = MAX(start, image_end); // what is below 1 MiB stays with the firmware's tables
    if (mod < end && mod_end > start) {
        add_ram(start, mod);
        add_ram(mod_end, end);
    } else {
        add_ram(start, end);
    }
}

// Page directories for RAM beyond the first GiB, from the start of the first usable range.
static void map_high_ram(void)
{
    struct plat_range *r = &plat_info.ram[0];
    for (uint64_t gib = 1; gib << 30 < plat_info.ram_end; gib++) {
        if (gib >= 512 || r->len < PAGE_SIZE || r->start + PAGE_SIZE > FIRST_MAP)
            die("lith: no room for page tables of this much memory\n");
        uint64_t *pd = pa_to_va(r->start);
        for (uint64_t i = 0; i < 512; i++)
            pd[i] =
                gib << 30 | i << 21 | PTE_P | PTE_W | PTE_U | PTE_A | PTE_D | PTE_LARGE | PTE_NX;
        pvh_pdpt_direct[gib] = r->start | PTE_P | PTE_W | PTE_U | PTE_A;
        r->start += PAGE_SIZE;
        r->len -= PAGE_SIZE;
    }
}

// The command line, and behind it room for a pointer to each of its words.
static void read_cmdline(const char *from)
{
    size_t words = 4;
    char *to = pvh_config;
    for (; *from && to < pvh_config + LITH_BOOTCONFIG_MAX; from++) {
        words += *from == ' ';
        *to++ = *from;
    }
    if (*from)
        die("lith: the command line is longer than 64 KiB\n");
    words = MIN(words + 1, (size_t)LITH_BOOTCONFIG_WORDS_MAX);
    plat_info.config = pvh_config;
    plat_info.config_room = (size_t)(to - pvh_config) + 8 + words * sizeof(void *);
    image_end = ALIGN_UP(kernel_pa_of(pvh_config) + plat_info.config_room, PAGE_SIZE);
    pvh_note_devices(pvh_config);
}

static void read_start_info(const struct hvm_start_info *si)
{
    uint64_t mod = 0, mod_end = 0;
    if (si->magic != HVM_MAGIC || si->version < 1)
        die("lith: started without a PVH start info of version 1: use a VMM that boots by PVH\n");
    if (si->nr_modules) {
        const struct hvm_module *m = pa_to_va(si->modlist_pa);
        plat_info.root_pa = m->pa;
        plat_info.root_len = m->size;
        mod = ALIGN_DOWN(m->pa, PAGE_SIZE);
        mod_end = ALIGN_UP(m->pa + m->size, PAGE_SIZE);
    }
    read_cmdline(si->cmdline_pa ? pa_to_va(si->cmdline_pa) : "");
    const struct hvm_memmap *map = pa_to_va(si->memmap_pa);
    for (uint32_t i = 0; i < si->memmap_entries; i++) {
        if (map[i].type != 1 || map[i].size == 0)
            continue;
        uint64_t end = map[i].addr + map[i].size;
        plat_info.ram_total += map[i].size;
        plat_info.ram_end = MAX(plat_info.ram_end, end);
        add_usable(map[i].addr, end, mod, mod_end);
    }
    if (!plat_info.ram_count)
        die("lith: no usable memory above the kernel: give the machine more (at least 4 MiB)\n");
}

// Under KVM-PVM ring 0 is emulated at a million instructions a second; everywhere else this loop of
// 200 instructions takes far below 100,000 cycles.
static unsigned choose_ring(void)
{
    const char *p = pvh_config;
    while ((p = strchr(p, 'r'))) {
        if (!strncmp(p, "ring=", 5) && (p == pvh_config || p[-1] == ' '))
            return p[5] == '3' ? 3 : 0;
        p++;
    }
    uint32_t r[4];
    cpuid(0x40000000, 0, r);
    if (r[1] == 0x54474354) // "TCGT": QEMU's emulation, the same in both rings
        return 0;
    // An emulator translates the loop first, and any host may stop us in its middle: only slow each
    // time is slow.
    for (int try = 0; try < 3; try++) {
        uint64_t t0 = arch_tsc();
        for (volatile int i = 0; i < 50; i++)
            ;
        if (arch_tsc() - t0 <= 100000)
            return 0;
    }
    return 3;
}

// KVM's and QEMU's VMMs start with zeroed memory, of which firmware touches only the first MiB.
static bool ram_is_fresh(void)
{
    uint32_t r[4];
    cpuid(0x40000000, 0, r);
    return r[1] == 0x4b4d564b || r[1] == 0x54474354; // "KVMK", "TCGT"
}

static void enter_ring3(void)
{
    __asm__ volatile("mov %%rsp, %%rax\n\t"
                     "pushq %0\n\t"
                     "push %%rax\n\t"
                     "pushq $0x202\n\t"
                     "pushq %1\n\t"
                     "lea 1f(%%rip), %%rax\n\t"
                     "push %%rax\n\t"
                     "iretq\n"
                     "1:"
                     :
                     : "i"(LITH_SEL_UDATA), "i"(LITH_SEL_UCODE)
                     : "rax", "memory");
}

__attribute__((no_stack_protector)) void plat_pvh_start(uint64_t start_info_pa, uint64_t entry_tsc)
{
    plat_info.name = "pvh";
    plat_info.kernel_base = (uintptr_t)kernel_start;
    plat_info.kernel_len = (uint64_t)(kernel_end - kernel_start);
    plat_info.kernel_pa = pvh_image_pa;
    plat_info.entry_tsc = entry_tsc;
    plat_machine = &machine_pvh;
    read_start_info(pa_to_va(start_info_pa));
    map_high_ram();
    protect_image();
    plat_info.ram_zeroed = ram_is_fresh();
    plat_info.ring = choose_ring();
    arch_tables_init(plat_info.ring);
    arch_cpu_start(0);
    pagetable_init(kernel_pa_of(pvh_pml4));
    // The APIC pages and device registers are mapped by tables from a small pool, before mm is up.
    plat_set_page_source(pvh_early_page, NULL);
    lapic_init();
    uint64_t khz = clock_find_tsc_khz();
    if (khz)
        clock_init(khz, entry_tsc, 0, entry_tsc);
    else if (!clock_measure_start(entry_tsc))
        die("lith: the TSC's rate is not known on this machine\n");
    pvh_control_init();
    if (plat_info.ring == 3) {
        __asm__ volatile("wrmsr" ::"c"(MSR_GSBASE), "a"(0), "d"(0));
        __asm__ volatile("sti");
        enter_ring3();
        arch_cpu_start(3);
    }
    kernel_main();
}
