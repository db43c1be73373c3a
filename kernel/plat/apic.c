// SPDX-License-Identifier: ISC
// The local APIC: one-shot timer, end of interrupt; and sleeping in ring 0 until one comes.
#include "arch/x86_64/x86.h"
#include "plat/machine.h"
#include "abi/boot.h"

#define LAPIC_PA        0xfee00000ull
#define LAPIC_TPR       (0x80 / 4)
#define LAPIC_EOI       (0xb0 / 4)
#define LAPIC_SVR       (0xf0 / 4)
#define LAPIC_LVT_TIMER (0x320 / 4)
#define LAPIC_LVT_LINT0 (0x350 / 4)
#define LAPIC_LVT_LINT1 (0x360 / 4)
#define LAPIC_COUNT     (0x380 / 4)
#define LAPIC_CURRENT   (0x390 / 4)
#define LAPIC_DIVIDE    (0x3e0 / 4)
#define LAPIC_MASKED    0x10000u

volatile uint32_t *lapic;

bool lapic_init(void)
{
    lapic = plat_map_device(LAPIC_PA, PAGE_SIZE);
    if (!lapic)
        return false;
    lapic[LAPIC_SVR] = 0x1ff; // enabled, spurious vector 0xff
    lapic[LAPIC_TPR] = 0;
    lapic[LAPIC_LVT_LINT0] = LAPIC_MASKED; // no 8259 behind it
    lapic[LAPIC_LVT_LINT1] = LAPIC_MASKED;
    lapic[LAPIC_DIVIDE] = 0xb;                  // by 1
    lapic[LAPIC_LVT_TIMER] = LITH_VECTOR_TIMER; // one-shot
    return true;
}

void lapic_eoi(void)
{
    lapic[LAPIC_EOI] = 0;
}

uint32_t lapic_timer_count(void)
{
    return lapic[LAPIC_CURRENT];
}

void lapic_timer_start(uint32_t count)
{
    lapic[LAPIC_COUNT] = count;
}

void plat_timer_set(uint64_t deadline_ns)
{
    static bool armed;
    if (plat_machine->timer_set) {
        plat_machine->timer_set(deadline_ns);
        return;
    }
    if (!lapic)
        return;
    if (deadline_ns == DEADLINE_NEVER) {
        if (armed)
            lapic_timer_start(0);
        armed = false;
        return;
    }
    uint64_t now = plat_clock_ns();
    uint64_t delta = deadline_ns > now ? deadline_ns - now : 1;
    lapic_timer_start((uint32_t)MIN(delta, 0xffffffffull)); // longer waits re-arm when it fires
    armed = true;
}

void plat_irq_done(uint64_t pending)
{
    for (; pending && lapic; pending &= pending - 1)
        lapic_eoi();
}

void wait_halted(uint64_t deadline_ns)
{
    struct cpu *c = this_cpu();
    plat_timer_set(deadline_ns);
    // Interrupts are off between the look and the halt; STI takes effect after HLT has begun.
    __asm__ volatile("cli" ::: "memory");
    if (READ_ONCE(c->pending) == 0)
        __asm__ volatile("sti; hlt" ::: "memory");
    else
        __asm__ volatile("sti" ::: "memory");
}
