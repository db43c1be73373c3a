// SPDX-License-Identifier: ISC
// What a PC-like VMM offers beyond CPU and memory: two UARTs (16550), an I/O APIC, the exit device.
#include "arch/x86_64/x86.h"
#include "plat/pvh/pvh.h"
#include "abi/boot.h"

#define UART_THR  0
#define UART_IER  1
#define UART_FCR  2
#define UART_LCR  3
#define UART_MCR  4
#define UART_LSR  5
#define UART_SCR  7
#define LSR_DATA  1
#define LSR_EMPTY 0x20

static bool control_there;
static int early_signal; // came before the port was ready
static uint8_t early_pages[6][PAGE_SIZE] __attribute__((aligned(4096)));

uint64_t pvh_early_page(void)
{
    static unsigned used;
    if (used == ARRAY_LEN(early_pages))
        return 0;
    return (uintptr_t)early_pages[used++] - plat_info.kernel_base + plat_info.kernel_pa;
}

// Looks at a full transmitter before a byte is given up: half a minute and more. Whoever reads the
// line may be slow, and a byte that is written too early is lost.
#define UART_PATIENCE 50000000

void uart_write(uint16_t port, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (int spins = 0; !(inb(port + UART_LSR) & LSR_EMPTY) && spins < UART_PATIENCE; spins++)
            __builtin_ia32_pause();
        outb(port + UART_THR, (uint8_t)s[i]);
    }
}

// The last of the bytes that wait, as a signal's number.
static int read_signals(void)
{
    int sig = 0;
    while (inb(UART_CONTROL + UART_LSR) & LSR_DATA) {
        uint8_t b = inb(UART_CONTROL + UART_THR);
        sig = b == 'T' ? 15 : b == 'I' ? 2 : b == 'H' ? 1 : sig;
    }
    return sig;
}

void pvh_control_init(void)
{
    outb(UART_CONTROL + UART_SCR, 0x5a);
    control_there = inb(UART_CONTROL + UART_SCR) == 0x5a;
    if (!control_there)
        return;
    outb(UART_CONTROL + UART_LCR, 3);
    early_signal = read_signals(); // switching the FIFO on empties it
    outb(UART_CONTROL + UART_FCR, 1);
    outb(UART_CONTROL + UART_MCR, 8); // OUT2: interrupts reach the controller
    outb(UART_CONTROL + UART_IER, 1);
    ioapic_route(3, LITH_VECTOR_SIGNAL);
}

static void pvh_console_write(const char *s, size_t n, int stream)
{
    (void)stream; // one serial line for both
    uart_write(UART_CONSOLE, s, n);
}

static void pvh_exit(int status)
{
    if (control_there) {
        char line[24];
        int n = lib_snprintf(line, sizeof(line), "exit %d\n", status);
        uart_write(UART_CONTROL, line, (size_t)n);
    }
    outb(0x501, (uint8_t)status); // isa-debug-exit: QEMU ends with 2 * status + 1
    if (arch_ring == 0) {         // no such device: a triple fault ends every machine
        struct {
            uint16_t limit;
            uint64_t base;
        } __attribute__((packed)) none = {0, 0};
        __asm__ volatile("lidt %0; int3" ::"m"(none));
    }
}

static void pvh_wait(uint64_t deadline_ns)
{
    if (arch_ring == 0) {
        wait_halted(deadline_ns);
        return;
    }
    // Ring 3 on a foreign VMM has no way to halt: only tests run like this.
    plat_timer_set(deadline_ns);
    while (!READ_ONCE(this_cpu()->pending) && plat_clock_ns() < deadline_ns)
        __builtin_ia32_pause();
}

static int pvh_take_signal(void)
{
    int early = early_signal, sig = control_there ? read_signals() : 0;
    early_signal = 0;
    return sig ? sig : early;
}

const struct plat_machine machine_pvh = {.console_write = pvh_console_write,
                                         .exit = pvh_exit,
                                         .wait = pvh_wait,
                                         .take_signal = pvh_take_signal};

// --- I/O APIC (82093AA datasheet): register window at 0xfec00000 ---
bool ioapic_route(unsigned irq, unsigned vector)
{
    static volatile uint32_t *ioapic;
    if (!ioapic)
        ioapic = plat_map_device(0xfec00000, PAGE_SIZE);
    if (!ioapic)
        return false;
    ioapic[0] = 1; // version: bits 16-23 are the last entry
    if (irq > (ioapic[4] >> 16 & 0xff))
        return false;
    ioapic[0] = 0x10 + 2 * irq + 1;
    ioapic[4] = 0; // CPU 0
    ioapic[0] = 0x10 + 2 * irq;
    ioapic[4] = vector; // fixed, edge, high, not masked
    return true;
}

// --- devices: virtio_mmio.device=SIZE@ADDR:IRQ on the command line ---
static struct {
    uint64_t addr, size;
    unsigned irq;
} noted[PLAT_DEV_MAX];
static unsigned noted_count;

void pvh_note_devices(const char *cmdline)
{
    static const char key[] = "virtio_mmio.device=";
    for (const char *p = cmdline; *p && noted_count < PLAT_DEV_MAX;) {
        uint64_t size, addr, irq;
        const char *word = p;
        p = strchr(p, ' ');
        p = p ? p + 1 : word + strlen(word);
        if (strncmp(word, key, sizeof(key) - 1))
            continue;
        const char *q = word + sizeof(key) - 1;
        if (!lib_parse_u64(q, 10, &size, &q))
            continue;
        if (*q == 'K' || *q == 'k') {
            size *= 1024;
            q++;
        }
        if (q[0] != '@' || q[1] != '0' || q[2] != 'x' || !lib_parse_u64(q + 3, 16, &addr, &q) ||
            *q != ':' || !lib_parse_u64(q + 1, 10, &irq, &q) || size < 0x100 || size > 0x10000)
            continue;
        noted[noted_count].addr = addr;
        noted[noted_count].size = size;
        noted[noted_count++].irq = (unsigned)irq;
    }
}

static void find_mmio(void)
{
    for (unsigned i = 0; i < noted_count; i++) {
        volatile uint32_t *regs = plat_map_device(noted[i].addr, noted[i].size);
        // Magic "virt", and a device behind the slot (virtio 1.2 section 4.2.2).
        if (!regs || regs[0] != 0x74726976 || regs[2] == 0 || plat_info.dev_count == PLAT_DEV_MAX)
            continue;
        unsigned vector = LITH_VECTOR_DEVICE + plat_info.dev_count;
        if (vector >= LITH_VECTOR_SIGNAL || !ioapic_route(noted[i].irq, vector))
            vector = 0;
        plat_info.dev[plat_info.dev_count++] = (struct plat_dev){regs, NULL, vector};
    }
}

// Our own monitor says at start what there is.
void plat_find_devices(void)
{
    if (plat_machine == &machine_pvh)
        find_mmio();
    else if (plat_machine == &machine_process)
        process_find_packets();
}
