// SPDX-License-Identifier: ISC
// Host stand-ins that let the real scheduler run in a unit test: threads are ucontexts, waiting
// moves the shim's clock to the deadline, and every kernel exit is a call of the exit hook.
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include "fake_switch.h"

#define FAKE_THREADS_MAX 256

static struct {
    ucontext_t uc;
    bool used;
    void (*fn)(void *);
    void *arg;
} contexts[FAKE_THREADS_MAX];

unsigned fake_waits, fake_stacks_live;
bool (*fake_wait_hook)(uint64_t deadline_ns);
int fake_outside_signal;

static unsigned context_of(struct arch_thread *t)
{
    if (!t->rsp) {
        for (unsigned i = 1; i < FAKE_THREADS_MAX; i++)
            if (!contexts[i].used) {
                contexts[i].used = true;
                t->rsp = i;
                break;
            }
        if (!t->rsp)
            panic("too many threads for the fake");
    }
    return (unsigned)t->rsp;
}

static void context_main(unsigned i)
{
    contexts[i].fn(contexts[i].arg);
}

void arch_thread_init(struct arch_thread *t, void *base, size_t len, void (*fn)(void *), void *arg)
{
    unsigned i = context_of(t);

    getcontext(&contexts[i].uc);
    contexts[i].uc.uc_stack.ss_sp = base;
    contexts[i].uc.uc_stack.ss_size = len;
    contexts[i].fn = fn;
    contexts[i].arg = arg;
    makecontext(&contexts[i].uc, (void (*)(void))context_main, 1, i);
}

void arch_switch(struct arch_thread *from, struct arch_thread *to)
{
    swapcontext(&contexts[context_of(from)].uc, &contexts[context_of(to)].uc);
}

void *kstack_alloc(void)
{
    fake_stacks_live++;
    return malloc(1 << 18);
}

void kstack_free(void *base)
{
    fake_stacks_live--;
    free(base);
}

static void raise_timer(void)
{
    if (shim_clock < shim_timer)
        return;
    shim_timer = DEADLINE_NEVER;
    host_cpu.pending |= 1;
}

void plat_wait(uint64_t deadline_ns)
{
    fake_waits++;
    if (!fake_wait_hook || !fake_wait_hook(deadline_ns)) {
        if (deadline_ns == DEADLINE_NEVER)
            panic("would sleep for ever");
        if (shim_clock < deadline_ns)
            shim_clock = deadline_ns;
    }
    raise_timer();
}

void plat_irq_done(uint64_t bits)
{
    (void)bits;
}

int plat_take_signal(void)
{
    int sig = fake_outside_signal;

    fake_outside_signal = 0;
    return sig;
}

void fake_exit_kernel(void)
{
    struct regs r = {0};

    raise_timer();
    for (unsigned n = 0; host_cpu.pending || host_cpu.need_resched || host_cpu.user_work; n++) {
        if (n > 100)
            panic("the exit hook leaves work undone");
        arch_exit_hook(&r);
    }
}

extern const struct init_record *const __start_init_records_always[],
    *const __stop_init_records_always[];

void fake_start(void)
{
    for (const struct init_record *const *r = __start_init_records_always;
         r < __stop_init_records_always; r++) {
        if (*r && (*r)->phase == INIT_SCHED && (*r)->fn())
            panic("%s failed", (*r)->name);
    }
}

size_t arch_fpu_size(void)
{
    return 512;
}

void arch_fpu_init(void *area)
{
    memset(area, 0, arch_fpu_size());
}
