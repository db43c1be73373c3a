// SPDX-License-Identifier: ISC
// Threads from birth to burial. A thread cannot free the stack it runs on: the thread that gets the
// CPU after it does. A few stacks are kept, because unmapping one costs a TLB flush, which is a
// trap to ring 0 on some machines.
#include <linux/errno.h>
#include "sched/internal.h"

#define STACK_CACHE_MAX 8

static struct list_head all_threads = {&all_threads, &all_threads};
static int next_id = 1;
static void *stack_cache[STACK_CACHE_MAX];
static unsigned stack_cached;

static void *stack_get(void)
{
    return stack_cached ? stack_cache[--stack_cached] : kstack_alloc();
}

static void stack_put(void *stack)
{
    if (stack_cached < STACK_CACHE_MAX)
        stack_cache[stack_cached++] = stack;
    else
        kstack_free(stack);
}

static void thread_start_here(void *arg)
{
    struct thread *t = arg;

    sched_finish_switch();
    t->fn(t->arg);
    thread_exit();
}

int thread_create(struct thread **out, const char *name, void (*fn)(void *), void *arg)
{
    struct thread *t = kzalloc(sizeof(*t));

    if (!t)
        return -ENOMEM;
    t->kstack = stack_get();
    if (!t->kstack) {
        kfree(t);
        return -ENOMEM;
    }
    t->state = THREAD_NEW;
    t->id = next_id++;
    t->fn = fn;
    t->arg = arg;
    lib_strlcpy(t->name, name, sizeof(t->name));
    arch_thread_init(&t->arch, t->kstack, KSTACK_SIZE, thread_start_here, t);
    list_add_tail(&t->all, &all_threads);
    *out = t;
    return 0;
}

int thread_add_fpu(struct thread *t)
{
    size_t size = 64; // a power of two: kmalloc aligns those to 64 bytes

    while (size < arch_fpu_size())
        size *= 2;
    t->arch.fpu = kzalloc(size);
    if (!t->arch.fpu)
        return -ENOMEM;
    arch_fpu_init(t->arch.fpu);
    return 0;
}

void thread_start(struct thread *t)
{
    ASSERT(t->state == THREAD_NEW);
    sched_enqueue_new(t);
}

void thread_discard(struct thread *t)
{
    ASSERT(t->state == THREAD_NEW);
    thread_reap(t);
}

void thread_exit(void)
{
    struct thread *t = thread_current();

    ASSERT(t != &sched_boot_thread && !this_cpu()->spin_depth && !sched_in_callback);
    t->state = THREAD_DEAD;
    sched_switch();
    panic("a dead thread ran");
}

// In the context of the thread that follows `t` on the CPU.
void thread_reap(struct thread *t)
{
    list_del(&t->all);
    if (t->on_exit)
        t->on_exit(t);
    stack_put(t->kstack);
    kfree(t->arch.fpu);
    kfree(t);
}

void thread_for_each(void (*fn)(struct thread *t, void *arg), void *arg)
{
    list_for_each_safe (pos, &all_threads)
        fn(list_entry(pos, struct thread, all), arg);
}
