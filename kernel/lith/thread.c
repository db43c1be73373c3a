// SPDX-License-Identifier: ISC
// Threads of lith.h: a kernel thread that enters the program with a stack and thread-local storage
// of its own, and that linux/ knows nothing of.
#include <linux/mman.h>
#include "lith/internal.h"

#define STACK_MAX   (1ul << 30)
#define STACK_GUARD (16 * PAGE_SIZE)
#define TCB_BYTES   512 // the libc's descriptor of a thread, of which only some words are filled in
#define TCB_CANARY  0x28
#define INDEX_BITS  6

struct lith_thread {
    struct thread *thread;   // NULL: the slot is free
    uint32_t generation;     // in the handle: one that was joined is not taken for its successor
    bool ended;              // nothing of it is left but the slot
    bool joined;             // somebody waits
    struct wait_queue queue; // the joiner
    uint64_t map, map_len;   // guard and stack
    struct regs regs;        // its first
};
static struct lith_thread threads[LITH_THREADS_MAX];
static bool bad_said;
compile_assert(index_fits, LITH_THREADS_MAX == 1u << INDEX_BITS);

// kernel.ld: the initial image of thread-local storage; its bytes, those with the zeroed part,
// alignment.
extern char link_tls_image[];
extern const uint64_t link_tls[3];
void lith_thread_exit(void);

int lith_cpu_count(void)
{
    return 1;
}

// Thread-local storage at the stack's end (System V ABI for TLS, variant II): the variables end
// where the thread pointer points, *tp. Returns where the stack may begin, or 0: a bad pointer.
static uint64_t build_tls(uint64_t top, uint64_t *tp)
{
    uint64_t align = MAX(link_tls[2], 64ul), size = link_tls[1], canary;
    *tp = ALIGN_DOWN(top - TCB_BYTES, align);
    uint64_t tls = *tp - size - ((0 - (uintptr_t)link_tls_image - size) & (link_tls[2] - 1));
    if (copy_in(&canary, (const void *)(arch_fs_base_get() + TCB_CANARY), sizeof(canary)) ||
        put_user((uint64_t *)*tp, tp) || put_user((uint64_t *)(*tp + TCB_CANARY), &canary) ||
        copy_out((void *)tls, link_tls_image, link_tls[0]))
        return 0;
    return ALIGN_DOWN(tls, 16ul);
}

// Guard below, stack above; all of the stack is there at once. 0 or -errno.
static int map_stack(struct lith_thread *t, size_t bytes)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    t->map_len = STACK_GUARD + bytes;
    long at = mm_map(mm_current, 0, t->map_len, PROT_NONE, flags | MAP_NORESERVE, NULL, 0);
    if (at < 0)
        return -ENOMEM;
    t->map = (uint64_t)at;
    at = mm_map(mm_current, t->map + STACK_GUARD, bytes, PROT_READ | PROT_WRITE,
                flags | MAP_FIXED | MAP_STACK, NULL, 0);
    int err = at < 0 ? (int)at : mm_populate(mm_current, t->map + STACK_GUARD, bytes, true);
    if (err)
        mm_unmap(mm_current, t->map, t->map_len);
    return err ? -ENOMEM : 0;
}

static void first_code(void *arg)
{
    struct lith_thread *t = arg;
    struct regs r = t->regs;
    arch_enter_user(&r);
}

static struct lith_thread *free_slot(void)
{
    for (unsigned i = 0; i < LITH_THREADS_MAX; i++)
        if (!threads[i].thread)
            return &threads[i];
    return NULL;
}

LITH_CALL(0x1030, thread_spawn);
long call_thread_spawn(int cpu, void (*fn)(void *), void *arg, size_t stack_bytes)
{
    struct lith_thread *t = free_slot();
    uint64_t tp, sp, ends[3] = {(uintptr_t)lith_thread_exit};
    if (cpu != 0)
        return -ENODEV;
    if (!fn || stack_bytes > STACK_MAX)
        return -EINVAL;
    if (!t)
        return -EAGAIN;
    size_t bytes = ALIGN_UP(stack_bytes ? stack_bytes : LITH_THREAD_STACK, PAGE_SIZE) +
                   ALIGN_UP(link_tls[1] + link_tls[2] + TCB_BYTES, PAGE_SIZE);
    int err = map_stack(t, bytes);
    if (err)
        return err;
    err = thread_create(&t->thread, "lith", first_code, t);
    if (err)
        goto out_map;
    err = thread_add_fpu(t->thread);
    if (err)
        goto out_thread;
    sp = build_tls(t->map + t->map_len, &tp);
    // fn returns to lith_thread_exit(), a gate, which wants a return address of its own: 0.
    // At fn's entry the stack is as after a call.
    sp -= sizeof(ends);
    err = sp > t->map_len && !copy_out((void *)sp, ends, sizeof(ends)) ? 0 : -EFAULT;
    if (err)
        goto out_thread;
    t->thread->arch.fs_base = tp;
    t->regs = (struct regs){.rip = (uintptr_t)fn,
                            .rdi = (uintptr_t)arg,
                            .rsp = sp,
                            .rflags = 0x202,
                            .orig_rax = (uint64_t)-1,
                            .cs = plat_info.ring ? LITH_SEL_UCODE : LITH_SEL_KCODE,
                            .ss = plat_info.ring ? LITH_SEL_UDATA : LITH_SEL_KDATA};
    t->ended = t->joined = false;
    wait_queue_init(&t->queue);
    t->generation = (t->generation + 1) & 0xffffff;
    thread_start(t->thread);
    return ((long)t->generation + 1) << INDEX_BITS | (t - threads);
out_thread:
    thread_discard(t->thread);
    t->thread = NULL;
out_map:
    mm_unmap(mm_current, t->map, t->map_len);
    return err;
}

LITH_CALL(0x1031, thread_join);
int call_thread_join(long handle, uint64_t deadline)
{
    struct lith_thread *t = &threads[(unsigned long)handle % LITH_THREADS_MAX];
    if (handle <= 0 || !t->thread || handle >> INDEX_BITS != (long)t->generation + 1)
        return lith_bad_handle(&bad_said, "lith_thread_join",
                               "not a thread, or joined before: handle", (unsigned long)handle);
    if (!t->ended && t->thread == thread_current())
        return -EDEADLK;
    if (t->joined)
        return lith_bad_handle(&bad_said, "lith_thread_join", "being joined by another: handle",
                               (unsigned long)handle);
    t->joined = true;
    int err = wait_event(&t->queue, t->ended, deadline, true);
    t->joined = false;
    if (!err)
        t->thread = NULL;
    return err;
}

// Its stack goes here (the gate is on the kernel's), the rest by whoever gets the CPU next.
LITH_CALL(0x1032, thread_exit);
void call_thread_exit(void)
{
    struct thread *cur = thread_current();
    if (cur->fn != first_code)
        panic("lith_thread_exit: called by a thread that lith_thread_spawn did not start");
    struct lith_thread *t = cur->arg;
    mm_unmap(mm_current, t->map, t->map_len);
    t->ended = true;
    wait_wake_all(&t->queue, 1);
    thread_exit();
}

LITH_CALL(0x1033, thread_yield);
void call_thread_yield(void)
{
    sched_yield_now();
}
