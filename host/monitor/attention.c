// SPDX-License-Identifier: ISC
// Interrupts of a guest in ring 3 (abi/boot.h): posted as bits in the kernel's own word. A guest
// that does not see them in time is stopped by a signal to its thread, and continues in its
// interrupt entry. Addresses come from the guest: they are looked up at each use, and what is
// written there is its own.
#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "abi/layout.h"
#include "monitor/monitor.h"

// How long a program may go on before it is made to look: most enter the kernel by then.
#define PATIENCE_NS 50000ull
#define RETRY_NS    200000ull // it was in kernel or entry code when it was stopped
#define TIMER_TURNS 8         // looks at a deadline that changes meanwhile

static uint64_t kick_ns; // when to stop the guest; 0: no reason

static struct lith_attention *attention(struct monitor *m)
{
    uint64_t gpa = __atomic_load_n(&m->shared->attention_gpa, __ATOMIC_ACQUIRE);
    return gpa && gpa % 8 == 0 ? guest_mem_ptr(&m->mem, gpa, sizeof(struct lith_attention), true)
                               : NULL;
}

void attention_post(struct monitor *m, unsigned vector)
{
    struct lith_attention *a = attention(m);
    struct lith_stats_io *count = &m->stats->io;
    *(vector == LITH_VECTOR_TIMER    ? &count->posted_timer
      : vector == LITH_VECTOR_SIGNAL ? &count->posted_signal
                                     : &count->posted_device) += 1;
    if (a) // a kernel that is not ready yet looks for itself when it is
        __atomic_fetch_or(&a->posted, 1ull << (vector - LITH_VECTOR_TIMER), __ATOMIC_SEQ_CST);
}

static uint64_t tsc_to_ns(const struct monitor *m, uint64_t cycles)
{
    unsigned __int128 ns = (unsigned __int128)cycles * 1000000 / m->tsc_khz;
    return ns > UINT64_MAX / 4 ? UINT64_MAX / 4 : (uint64_t)ns;
}

// Posts the timer's vector when it is due; else when that will be. A guest that keeps writing the
// deadline gets another turn after the monitor's other work.
static uint64_t serve_timer(struct monitor *m, uint64_t now_ns)
{
    struct lith_shared *s = m->shared;
    for (int turn = 0; turn < TIMER_TURNS; turn++) {
        uint64_t due = __atomic_load_n(&s->timer_tsc, __ATOMIC_SEQ_CST);
        if (due == UINT64_MAX || due == 0 || m->tsc_khz == 0) {
            __atomic_store_n(&s->timer_seen_tsc, UINT64_MAX, __ATOMIC_SEQ_CST);
            if (__atomic_load_n(&s->timer_tsc, __ATOMIC_SEQ_CST) == due)
                return 0;
            continue;
        }
        uint64_t tsc = rdtsc() + m->tsc_offset;
        if (due <= tsc) {
            uint64_t expected = due;
            if (__atomic_compare_exchange_n(&s->timer_tsc, &expected, UINT64_MAX, false,
                                            __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
                attention_post(m, LITH_VECTOR_TIMER);
            continue;
        }
        // Told first, looked at again after: an earlier deadline is either seen here or notified.
        __atomic_store_n(&s->timer_seen_tsc, due, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&s->timer_tsc, __ATOMIC_SEQ_CST) == due)
            return now_ns + tsc_to_ns(m, due - tsc);
    }
    return now_ns;
}

uint64_t attention_serve(struct monitor *m, uint64_t now_ns)
{
    if (m->ring != 3)
        return 0;
    uint64_t wake_ns = serve_timer(m, now_ns);
    struct lith_attention *a = attention(m);
    if (!a || !__atomic_load_n(&a->posted, __ATOMIC_RELAXED) ||
        __atomic_load_n(&m->shared->sleeping, __ATOMIC_RELAXED)) {
        kick_ns = 0;
    } else if (!kick_ns) {
        kick_ns = now_ns + PATIENCE_NS;
    } else if (now_ns >= kick_ns) {
        if (!a->masked) {
            m->stats->io.kicks_sent++;
            syscall(SYS_tkill, m->vcpu_tid, KICK_SIGNAL);
        }
        kick_ns = now_ns + RETRY_NS;
    }
    return kick_ns && (!wake_ns || kick_ns < wake_ns) ? kick_ns : wake_ns;
}

static struct kvm_run *run; // for the signal handler

// Before KVM_RUN or in it: it returns either way.
static void on_kick(int number)
{
    (void)number;
    run->immediate_exit = 1;
}

void attention_start(struct monitor *m)
{
    if (m->ring != 3)
        return;
    run = m->run;
    m->vcpu_tid = (int)syscall(SYS_gettid);
    struct sigaction action = {.sa_handler = on_kick};
    sigaction(KICK_SIGNAL, &action, NULL);
}

void attention_deliver(struct monitor *m)
{
    struct lith_shared *s = m->shared;
    struct lith_attention *a = attention(m);
    struct kvm_regs regs;
    m->run->immediate_exit = 0;
    if (m->ring != 3 || !a || a->masked || !a->posted)
        return;
    if (syscall(SYS_ioctl, m->vcpu_fd, KVM_GET_REGS, &regs) != 0)
        return;
    uint64_t start = s->skip_start, end = s->skip_end, stack = s->entry_stack;
    if (regs.rip >= start && regs.rip < end)
        return;
    uint64_t frame[5] = {regs.rip, LITH_SEL_UCODE, regs.rflags, regs.rsp, LITH_SEL_UDATA};
    void *to = guest_mem_ptr(&m->mem, s->entry_stack_gpa - sizeof frame, sizeof frame, true);
    if (!to)
        return;
    memcpy(to, frame, sizeof frame);
    regs.rip = s->entry;
    regs.rsp = stack - sizeof frame;
    regs.rflags &= ~0x500ull; // no trap flag, direction forward
    if (syscall(SYS_ioctl, m->vcpu_fd, KVM_SET_REGS, &regs) == 0)
        m->stats->cpu.kicks_delivered++;
}
