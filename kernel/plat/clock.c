// SPDX-License-Identifier: ISC
// Time from the TSC: ns = (tsc - base) * mult >> shift. The rate comes from whoever knows it;
// start-up never waits to measure it.
#include "arch/x86_64/x86.h"
#include "plat/machine.h"

#define CLOCK_SHIFT 32

static uint64_t base_tsc, realtime_offset;
static uint64_t mult, inverse; // ns per cycle << 32; cycles per ns << 32
struct plat_info plat_info;
const struct plat_machine *plat_machine;

void clock_init(uint64_t tsc_khz, uint64_t start_tsc, uint64_t realtime_ns, uint64_t realtime_tsc)
{
    base_tsc = start_tsc;
    mult = (1000000ull << CLOCK_SHIFT) / tsc_khz;
    inverse = (tsc_khz << CLOCK_SHIFT) / 1000000; // below 2^63 for any rate a CPU has
    realtime_offset = 0;
    if (realtime_ns)
        realtime_offset =
            realtime_ns -
            (uint64_t)((__int128)(int64_t)(realtime_tsc - base_tsc) * (int64_t)mult >> CLOCK_SHIFT);
}

uint64_t plat_tsc_to_ns(uint64_t tsc)
{
    uint64_t d = tsc - base_tsc;
    return (int64_t)d < 0 ? 0 : (uint64_t)((unsigned __int128)d * mult >> CLOCK_SHIFT);
}

uint64_t plat_clock_ns(void)
{
    return plat_tsc_to_ns(arch_tsc());
}

uint64_t plat_realtime_ns(void)
{
    return plat_clock_ns() + realtime_offset;
}

uint64_t clock_ns_to_tsc(uint64_t ns)
{
    unsigned __int128 t = (unsigned __int128)ns * inverse >> CLOCK_SHIFT;
    return t > UINT64_MAX - base_tsc ? UINT64_MAX : base_tsc + (uint64_t)t;
}

void plat_clock_params(uint64_t *base, uint32_t *m, uint32_t *shift, uint64_t *offset)
{
    *base = base_tsc;
    // 32 bits of multiplier: mult is below 2^32 for any TSC above 1 GHz; slower ones lose low bits.
    uint64_t v = mult;
    *shift = CLOCK_SHIFT;
    while (v >> 32) {
        v >>= 1;
        (*shift)--;
    }
    *m = (uint32_t)v;
    *offset = realtime_offset;
}

// pvclock structure of KVM (Linux Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW).
struct pvclock {
    uint32_t version, pad;
    uint64_t tsc_timestamp, system_time;
    uint32_t tsc_to_system_mul;
    int8_t tsc_shift;
    uint8_t flags, pad2[2];
};
static struct pvclock pvclock __attribute__((aligned(64)));

static uint64_t kvmclock_khz(uint32_t hv_max)
{
    uint32_t r[4];
    if (hv_max < 0x40000001 || plat_info.kernel_pa == 0)
        return 0;
    cpuid(0x40000001, 0, r);
    if (!(r[0] & 8)) // KVM_FEATURE_CLOCKSOURCE2
        return 0;
    uint64_t pa = (uintptr_t)&pvclock - plat_info.kernel_base + plat_info.kernel_pa;
    wrmsr(0x4b564d01, pa | 1);
    uint64_t m = READ_ONCE(pvclock.tsc_to_system_mul);
    int shift = READ_ONCE(pvclock.tsc_shift);
    wrmsr(0x4b564d01, 0);
    if (!m)
        return 0;
    // khz = 10^6 * 2^32 / mul, shifted back
    uint64_t khz = (1000000ull << 32) / m;
    return shift < 0 ? khz << -shift : khz >> shift;
}

uint64_t clock_find_tsc_khz(void)
{
    uint32_t r[4], max;
    cpuid(0, 0, r);
    max = r[0];
    cpuid(1, 0, r);
    if (r[2] >> 31) { // a hypervisor is there
        cpuid(0x40000000, 0, r);
        uint32_t hv_max = r[0];
        if (r[1] == 0x4b4d564b) { // "KVMK"
            uint64_t khz = kvmclock_khz(hv_max);
            if (khz)
                return khz;
        }
        if (hv_max >= 0x40000010 && hv_max < 0x40010000) {
            cpuid(0x40000010, 0, r);
            if (r[0])
                return r[0];
        }
    }
    if (max >= 0x15) {
        cpuid(0x15, 0, r);
        if (r[0] && r[1] && r[2])
            return (uint64_t)r[2] * r[1] / r[0] / 1000;
    }
    if (max >= 0x16) {
        cpuid(0x16, 0, r);
        if (r[0] & 0xffff)
            return (uint64_t)(r[0] & 0xffff) * 1000;
    }
    return 0;
}

// Nobody knows the rate (QEMU without KVM): it is measured against the local APIC's timer, which
// counts at 1 GHz there, from here to the end of start-up, without waiting. Until then the clock
// takes the TSC for faster than any is, so that it never has to go back.
#define FASTEST_KHZ 8000000
static uint64_t measured_from; // TSC; 0: not measuring

bool clock_measure_start(uint64_t start_tsc)
{
    if (!lapic)
        return false;
    lapic_timer_start(0xffffffff);
    measured_from = arch_tsc();
    clock_init(FASTEST_KHZ, start_tsc, 0, start_tsc);
    return true;
}

void clock_measure_end(void)
{
    if (!measured_from)
        return;
    uint32_t ticks = 0xffffffff - lapic_timer_count();
    uint64_t cycles = arch_tsc() - measured_from;
    lapic_timer_start(0);
    clock_init(cycles * 1000000 / MAX(ticks, 1u), base_tsc, 0, base_tsc);
    measured_from = 0;
}

void plat_console_write(const char *s, size_t n, int stream)
{
    plat_machine->console_write(s, n, stream);
}

void plat_exit(int status)
{
    plat_machine->exit(status);
    for (;;) // the machine goes on without us: stay out of the way
        arch_ring == 0 ? ({ __asm__ volatile("cli; hlt"); }) : ({ __asm__ volatile("pause"); });
}

void plat_wait(uint64_t deadline_ns)
{
    plat_machine->wait(deadline_ns);
}

int plat_take_signal(void)
{
    return plat_machine->take_signal();
}

void plat_doorbell(uint16_t port, uint16_t queue)
{
    outw(port, queue);
}
