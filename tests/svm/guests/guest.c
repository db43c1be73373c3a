// SPDX-License-Identifier: ISC
// A guest for testing the monitor without the kernel: `arg=` in the boot configuration names what
// it does. Each case is one thing that the contract of abi/boot.h promises, or forbids.
#include <stddef.h>
#include <stdint.h>
#include "abi/boot.h"
#include "abi/layout.h"

#define DIRECT(gpa) ((void *)(LITH_DIRECT_BASE + (gpa)))

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};
struct queue {
    struct desc *desc;
    volatile uint16_t *avail, *used;
    uint16_t size, doorbell, next, seen;
};

extern uint8_t idt[], tss[], tss_end[], gdt[], gdt_end[], ist_top[], image_base[];
extern void irq_stub_signal(void), irq_stub_device(void);
extern volatile uint32_t *lapic;
extern volatile uint32_t irq_signal, irq_device;

static struct lith_boot *boot;
static int ring;
static uint64_t next_page;
static uint32_t woken; // sleeps in ring 3 that a device ended
static const char *const volatile relocated[] = {"relocated",
                                                 "pointers"}; // needs R_X86_64_RELATIVE
static uint64_t bss_must_be_zero[1024];

static void out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" ::"a"(value), "d"(port) : "memory");
}
static void out16(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" ::"a"(value), "d"(port) : "memory");
}
static uint64_t rdtsc(void)
{
    uint32_t lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (uint64_t)hi << 32 | lo;
}
static uint64_t page_alloc(void)
{
    uint64_t gpa = next_page;
    next_page += 4096;
    return gpa;
}

static void exit_with(uint32_t status)
{
    out32(LITH_PORT_EXIT, status);
    for (;;)
        ;
}

static void say(const char *text)
{
    static uint64_t page;
    if (!page)
        page = page_alloc();
    struct lith_console_req *req = DIRECT(page);
    char *bytes = DIRECT(page + 64);
    uint32_t len = 0;
    for (; text[len] && len < 1000; len++)
        bytes[len] = text[len];
    *req = (struct lith_console_req){page + 64, len, 1};
    out32(LITH_PORT_CONSOLE, (uint32_t)page);
}

static void say_number(const char *what, uint64_t n)
{
    char text[32];
    int at = 30;
    text[31] = 0;
    text[at] = '\n';
    do
        text[--at] = (char)('0' + n % 10);
    while (n /= 10);
    say(what);
    say(text + at);
}

static void check(int ok, const char *what)
{
    if (ok)
        return;
    say("FAILED: ");
    say(what);
    say("\n");
    exit_with(1);
}

static int is_word(const char *s, const char *word)
{
    for (; *word; s++, word++)
        if (*s != *word)
            return 0;
    return *s == ' ' || *s == 0;
}

// --- tables and the local APIC ---------------------------------------------------------------

static void set_gate(int vector, void (*handler)(void))
{
    uint64_t at = (uint64_t)handler;
    uint64_t low = (at & 0xffff) | (uint64_t)(ring == 3 ? LITH_SEL_UCODE : LITH_SEL_KCODE) << 16 |
                   1ull << 32 | (uint64_t)(ring == 3 ? 0xef : 0x8f) << 40 |
                   (at >> 16 & 0xffff) << 48;
    ((uint64_t *)(void *)idt)[2 * vector] = low;
    ((uint64_t *)(void *)idt)[2 * vector + 1] = at >> 32;
}

static void map_mmio(uint64_t va, uint64_t pa)
{
    uint64_t *table = DIRECT(boot->pml4_gpa);
    for (int shift = 39; shift > 12; shift -= 9) {
        uint64_t *entry = &table[va >> shift & 511];
        if (!*entry)
            *entry = page_alloc() | 7;
        table = DIRECT(*entry & 0x000ffffffffff000ull);
    }
    table[va >> 12 & 511] = pa | 0x1full | 1ull << 63; // P W U PWT PCD, NX
}

static void set_up_interrupts(void)
{
    *(uint64_t *)(void *)(tss + 0x24) = (uint64_t)ist_top; // IST 1
    set_gate(LITH_VECTOR_SIGNAL, irq_stub_signal);
    set_gate(LITH_VECTOR_DEVICE, irq_stub_device);
    map_mmio(LITH_MMIO_BASE, 0xfee00000);
    lapic = (volatile uint32_t *)LITH_MMIO_BASE;
    if (ring == 0) {
        struct {
            uint16_t limit;
            uint64_t base;
        } __attribute__((packed)) g = {(uint16_t)(gdt_end - gdt - 1), (uint64_t)gdt},
                                  i = {4095, (uint64_t)idt};
        uint64_t base = (uint64_t)tss, limit = (uint64_t)(tss_end - tss - 1);
        uint64_t *entry = (uint64_t *)(void *)(gdt + LITH_SEL_TSS);
        entry[0] = limit | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
        entry[1] = base >> 32;
        __asm__ volatile("lgdt %0; lidt %1; ltr %w2" ::"m"(g), "m"(i), "r"(LITH_SEL_TSS));
    }
    lapic[0xf0 / 4] = 0x1ff;
    lapic[0x80 / 4] = 0;
    if (ring == 0)
        __asm__ volatile("sti");
}

static void wait_until(uint64_t deadline)
{
    struct lith_shared *shared = DIRECT(boot->shared_gpa);
    static uint64_t page;
    static uint32_t seen;
    if (ring == 0) { // sleep only if no interrupt came since the last time
        __asm__ volatile("cli" ::: "memory");
        if (irq_device + irq_signal == seen)
            __asm__ volatile("sti; hlt" ::: "memory");
        __asm__ volatile("sti" ::: "memory");
        seen = irq_device + irq_signal;
        return;
    }
    if (!page)
        page = page_alloc();
    ((struct lith_wait_req *)DIRECT(page))->deadline_tsc = deadline;
    __atomic_store_n(&shared->sleeping, 1, __ATOMIC_SEQ_CST);
    out32(LITH_PORT_WAIT, (uint32_t)page);
    __atomic_store_n(&shared->sleeping, 0, __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(&shared->irq_pending, 0, __ATOMIC_SEQ_CST) & 1)
        woken++;
}

// --- the network -----------------------------------------------------------------------------

static struct queue rx, tx;

static void queue_open(struct queue *q, const struct lith_dev_queue *from)
{
    q->desc = DIRECT(from->desc_gpa);
    q->avail = DIRECT(from->avail_gpa);
    q->used = DIRECT(from->used_gpa);
    q->size = from->size;
    q->doorbell = from->doorbell;
}

static void queue_put(struct queue *q, uint16_t d, uint64_t gpa, uint32_t len, uint16_t flags)
{
    q->desc[d] = (struct desc){gpa, len, flags, 0};
    q->avail[2 + q->next % q->size] = d;
    q->next++;
    __atomic_store_n(&q->avail[1], q->next, __ATOMIC_SEQ_CST);
}

static void net_start(void)
{
    check(boot->dev_count == 1 && boot->dev[0].virtio_id == 1, "a network device");
    queue_open(&rx, &boot->dev[0].queue[0]);
    queue_open(&tx, &boot->dev[0].queue[1]);
    check(rx.size == 256 && tx.size == 256, "queue sizes");
    for (uint16_t i = 0; i < 64; i++)
        queue_put(&rx, i, page_alloc(), 2048, 2);
    out16(rx.doorbell, 0);
}

static void swap(uint8_t *a, uint8_t *b, int len)
{
    for (int i = 0; i < len; i++) {
        uint8_t t = a[i];
        a[i] = b[i];
        b[i] = t;
    }
}

// ARP and ICMP echo for any address that is asked for; returns 1 if the frame became an answer.
static int answer(uint8_t *f, uint32_t len)
{
    const uint8_t *mac = boot->dev[0].config;
    if (len >= 42 && f[12] == 8 && f[13] == 6 && f[21] == 1) {
        swap(f + 28, f + 38, 4); // addresses
        f[21] = 2;
        for (int i = 0; i < 6; i++) {
            f[i] = f[32 + i] = f[6 + i];
            f[6 + i] = f[22 + i] = mac[i];
        }
        return 1;
    }
    if (len >= 42 && f[12] == 8 && f[13] == 0 && f[14] == 0x45 && f[23] == 1 && f[34] == 8) {
        swap(f, f + 6, 6);
        swap(f + 26, f + 30, 4);
        uint32_t sum = ((uint32_t)f[36] << 8 | f[37]) + 0x800;
        sum = (sum & 0xffff) + (sum >> 16);
        f[34] = 0;
        f[36] = (uint8_t)(sum >> 8);
        f[37] = (uint8_t)sum;
        return 1;
    }
    return 0;
}

// Answer pings until SIGTERM; sleep between them.
static void net_echo(void)
{
    struct lith_shared *shared = DIRECT(boot->shared_gpa);
    uint32_t answered = 0;
    set_up_interrupts();
    net_start();
    say("ready\n");
    for (;;) {
        while (rx.seen != __atomic_load_n(&rx.used[1], __ATOMIC_ACQUIRE)) {
            uint32_t *elem = (uint32_t *)(uintptr_t)(rx.used + 2) + 2 * (rx.seen % rx.size);
            uint16_t d = (uint16_t)elem[0];
            uint32_t len = elem[1];
            uint64_t gpa = rx.desc[d].addr;
            rx.seen++;
            uint8_t *hdr = DIRECT(gpa);
            if (answer(hdr + 12, len - 12)) {
                for (int i = 0; i < 12; i++)
                    hdr[i] = 0;
                queue_put(&tx, d, gpa, len, 0);
                out16(tx.doorbell, 1);
                answered++;
                while (tx.used[1] != tx.next)
                    __asm__ volatile("pause");
            }
            queue_put(&rx, d, gpa, 2048, 2);
        }
        if (__atomic_exchange_n(&shared->term_signal, 0, __ATOMIC_SEQ_CST)) {
            say_number("answered ", answered);
            check(irq_device + woken > 0, "device interrupts came");
            exit_with(answered ? 0 : 1);
        }
        rx.avail[2 + rx.size] = rx.seen; // used_event: interrupt at the next one
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (rx.seen == rx.used[1] && !shared->term_signal)
            wait_until(rdtsc() + boot->tsc_khz * 1000);
    }
}

// Each breaks the ring in one way; the monitor must stop the instance.
static void net_break(const char *how)
{
    net_start();
    uint64_t page = page_alloc();
    queue_put(&tx, 0, page, 100, 0);
    if (is_word(how, "ring-gpa"))
        tx.desc[0].addr = 0x123456789000;
    else if (is_word(how, "ring-wrap"))
        tx.desc[0] = (struct desc){~0ull - 10, 100, 0, 0};
    else if (is_word(how, "ring-loop"))
        tx.desc[0] = (struct desc){page, 100, 1, 0};
    else if (is_word(how, "ring-next"))
        tx.desc[0] = (struct desc){page, 100, 1, 60000};
    else if (is_word(how, "ring-write"))
        tx.desc[0].flags = 2;
    else if (is_word(how, "ring-head"))
        tx.avail[2] = 4000;
    else if (is_word(how, "ring-idx"))
        tx.avail[1] = 3000;
    else
        check(0, "unknown case");
    out16(tx.doorbell, 1);
    for (;;)
        wait_until(~0ull);
}

// --- the cases -------------------------------------------------------------------------------

static void hello(void)
{
    check(boot->magic == LITH_BOOT_MAGIC && boot->version == LITH_BOOT_VERSION, "magic");
    check(boot->size == sizeof *boot && (int)boot->ring == ring, "size and ring");
    check(boot->kernel_base == (uint64_t)image_base, "kernel base");
    check(boot->kernel_base % LITH_KERNEL_ALIGN == 0, "aligned base");
    check(relocated[0][0] == 'r' && relocated[1][0] == 'p', "relocations");
    for (unsigned i = 0; i < 1024; i++)
        check(bss_must_be_zero[i] == 0, "zeroed bss");
    check(boot->mem_count >= 1 && boot->mem[0].type == LITH_MEM_RAM, "memory");
    check(boot->tsc_khz > 0 && boot->exec_tsc < rdtsc() && boot->realtime_tsc < rdtsc(), "clocks");
    check(rdtsc() - boot->exec_tsc < boot->tsc_khz * 60000, "the TSC is the host's");
    check(boot->realtime_ns > 1600000000000000000ull, "wall clock");
    uint64_t any = 0;
    for (int i = 0; i < 64; i++)
        any |= boot->entropy[i];
    check(any && boot->generation, "entropy");
    for (unsigned i = 0; i < boot->mem_count; i++)
        if (boot->mem[i].type == LITH_MEM_ROOT) {
            const char *root = DIRECT(boot->mem[i].gpa);
            check(root[0] == 'R' && root[boot->mem[i].len - 1] == 'E', "root file system");
            check(boot->mem[i].gpa >= 1ull << 32, "root above 4 GiB");
        }
    say("hello from ring ");
    say(ring ? "3\n" : "0\n");
    exit_with(7);
}

static void wait_case(void)
{
    set_up_interrupts();
    if (ring == 3) { // 20 ms by the doorbell, not earlier and not much later
        uint64_t start = rdtsc();
        wait_until(start + boot->tsc_khz * 20);
        uint64_t ms = (rdtsc() - start) / boot->tsc_khz;
        check(ms >= 20 && ms < 2000, "deadline");
    }
    struct lith_shared *shared = DIRECT(boot->shared_gpa);
    uint64_t page = page_alloc();
    volatile struct lith_attention *attention = DIRECT(page);
    attention->masked = 1; // nothing here can be entered: only posted
    shared->attention_gpa = page;
    say("ready\n");
    while (!shared->term_signal)
        wait_until(~0ull);
    check(shared->term_signal == 15, "SIGTERM's number");
    for (int i = 0; i < 100000000 && !irq_signal && !attention->posted; i++)
        __asm__ volatile("pause");
    check(ring == 0 ? irq_signal == 1
                    : attention->posted == 1ull << (LITH_VECTOR_SIGNAL - LITH_VECTOR_TIMER),
          "the signal's interrupt");
    say("terminated\n");
    exit_with(15);
}

void guest_main(struct lith_boot *from, int in_ring)
{
    boot = from;
    ring = in_ring;
    next_page = boot->free_gpa;
    const char *arg = DIRECT(boot->config_gpa);
    check(is_word(arg, "arg=hello") || arg[4], "configuration");
    arg += 4;
    if (is_word(arg, "hello"))
        hello();
    else if (is_word(arg, "wait"))
        wait_case();
    else if (is_word(arg, "echo"))
        net_echo();
    else if (is_word(arg, "badport"))
        out32(0xc80, 1);
    else if (is_word(arg, "bytewrite"))
        out16(LITH_PORT_EXIT, 1);
    else if (is_word(arg, "console-far"))
        out32(LITH_PORT_CONSOLE, 0xfffffff0);
    else if (is_word(arg, "console-long")) {
        uint64_t page = page_alloc();
        *(struct lith_console_req *)DIRECT(page) = (struct lith_console_req){page, 0xffffffff, 1};
        out32(LITH_PORT_CONSOLE, (uint32_t)page);
    } else if (is_word(arg, "triple"))
        __asm__ volatile("ud2"); // no gate is present
    else if (is_word(arg, "mmio")) {
        map_mmio(LITH_MMIO_BASE, 0xd0000000);
        *(volatile uint32_t *)LITH_MMIO_BASE = 1;
    } else if (is_word(arg, "rootwrite")) {
        map_mmio(LITH_MMIO_BASE, boot->mem[boot->mem_count - 1].gpa);
        *(volatile uint32_t *)LITH_MMIO_BASE = 1;
    } else if (is_word(arg, "textwrite"))
        *(volatile uint8_t *)image_base = 1; // no handlers: a triple fault
    else if (is_word(arg, "hang")) {
        say("ready\n");
        for (;;)
            wait_until(~0ull);
    } else
        net_break(arg);
    exit_with(99);
}
