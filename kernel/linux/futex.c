// SPDX-License-Identifier: ISC
// Futexes. A waiter is queued under the address of its word; words that several mappings may show
// (no FUTEX_PRIVATE_FLAG) are known by their physical address instead. The kernel is not preempted,
// so comparing the word and going to sleep cannot be torn apart: the waiter queues itself, reads
// the word (which may fault and sleep), and looks whether it was woken meanwhile.
#include <linux/errno.h>
#include <linux/futex.h>
#include "linux/timeutil.h"

#define FUTEX_BUCKETS 128 // a power of two: bucket_of() takes the hash's top bits

struct futex_key {
    uint64_t addr; // virtual, or physical + 1 (words are aligned, so the two never meet)
};

struct futex_waiter {
    struct list_head link;
    struct futex_key key;
    uint32_t bitset;
    struct thread *thread;
    bool woken;
};

static struct list_head buckets[FUTEX_BUCKETS];

static struct list_head *bucket_of(struct futex_key key)
{
    uint64_t h = key.addr * 0x9e3779b97f4a7c15ull;

    struct list_head *b = &buckets[h >> 57];
    if (!b->next) // its first use
        list_init(b);
    return b;
}

static int futex_key(uint32_t *uaddr, bool shared, struct futex_key *out)
{
    uint64_t addr = (uintptr_t)uaddr, pa;
    unsigned prot;
    uint32_t value;

    if (!IS_ALIGNED(addr, 4))
        return -EINVAL;
    if (!user_range_ok(uaddr, 4))
        return -EFAULT;
    out->addr = addr;
    if (!shared)
        return 0;
    // Written once (with what it holds), so that a copy-on-write page is the process's own now and
    // keeps its physical address. A read-only page is taken as it is.
    if (get_user(&value, uaddr))
        return -EFAULT;
    if (plat_query(addr & ~(PAGE_SIZE - 1), &pa, &prot) && !(prot & PLAT_WRITE))
        (void)user_cmpxchg32(uaddr, &value, value);
    if (!plat_query(addr & ~(PAGE_SIZE - 1), &pa, &prot))
        return -EFAULT;
    out->addr = ((pa & ~(PAGE_SIZE - 1)) | (addr & (PAGE_SIZE - 1))) + 1;
    return 0;
}

static void waiter_wake(struct futex_waiter *w)
{
    list_del(&w->link);
    w->woken = true;
    thread_wake(w->thread);
}

static unsigned wake_key(struct futex_key key, unsigned n, uint32_t bitset)
{
    unsigned woken = 0;

    list_for_each_safe (pos, bucket_of(key)) {
        struct futex_waiter *w = list_entry(pos, struct futex_waiter, link);

        if (woken >= n)
            break;
        if (w->key.addr != key.addr || !(w->bitset & bitset))
            continue;
        waiter_wake(w);
        woken++;
    }
    return woken;
}

long futex_wake(uint32_t *uaddr, bool shared, unsigned n, uint32_t bitset)
{
    struct futex_key key;
    int err;

    if (!bitset)
        return -EINVAL;
    err = futex_key(uaddr, shared, &key);
    return err ? err : (long)wake_key(key, n, bitset);
}

static long futex_wait(uint32_t *uaddr, bool shared, uint32_t expected, uint64_t deadline,
                       uint32_t bitset)
{
    struct futex_waiter w = {.thread = thread_current(), .bitset = bitset};
    uint32_t value;
    long ret;

    if (!bitset)
        return -EINVAL;
    ret = futex_key(uaddr, shared, &w.key);
    if (ret)
        return ret;
    list_add_tail(&w.link, bucket_of(w.key));
    if (get_user(&value, uaddr))
        ret = -EFAULT;
    else if (value != expected)
        ret = -EAGAIN;
    while (!ret && !w.woken)
        ret = block_until(deadline);
    if (w.woken)
        return 0;
    list_del(&w.link);
    return ret == -EINTR ? -ERESTARTSYS : ret;
}

// Wakes up to n_wake waiters of uaddr and moves up to n_move others to uaddr2.
static long futex_requeue(uint32_t *uaddr, uint32_t *uaddr2, bool shared, int n_wake, int n_move,
                          const uint32_t *expected)
{
    struct futex_key from, to;
    uint32_t value;
    long done;
    int err;

    if (n_wake < 0 || n_move < 0)
        return -EINVAL;
    err = futex_key(uaddr, shared, &from);
    if (!err)
        err = futex_key(uaddr2, shared, &to);
    if (err)
        return err;
    if (expected) {
        if (get_user(&value, uaddr))
            return -EFAULT;
        if (value != *expected)
            return -EAGAIN;
    }
    done = wake_key(from, (unsigned)n_wake, ~0u);
    if (from.addr == to.addr)
        return done;
    list_for_each_safe (pos, bucket_of(from)) {
        struct futex_waiter *w = list_entry(pos, struct futex_waiter, link);

        if (!n_move)
            break;
        if (w->key.addr != from.addr)
            continue;
        list_del(&w->link);
        w->key = to;
        list_add_tail(&w->link, bucket_of(to));
        n_move--;
        done++;
    }
    return done;
}

static int wake_op_apply(uint32_t *uaddr, uint32_t encoded, bool *wake)
{
    unsigned op = encoded >> 28 & 7, cmp = encoded >> 24 & 15;
    int32_t oparg = (int32_t)(encoded << 8) >> 20, cmparg = (int32_t)(encoded << 20) >> 20;
    uint32_t old, seen, new;
    int err;

    if (encoded >> 31) {
        if (oparg < 0 || oparg > 31)
            oparg &= 31;
        oparg = (int32_t)(1u << oparg);
    }
    if (get_user(&old, uaddr))
        return -EFAULT;
    for (;;) {
        switch (op) {
        case FUTEX_OP_SET:
            new = (uint32_t)oparg;
            break;
        case FUTEX_OP_ADD:
            new = old + (uint32_t)oparg;
            break;
        case FUTEX_OP_OR:
            new = old | (uint32_t)oparg;
            break;
        case FUTEX_OP_ANDN:
            new = old & ~(uint32_t)oparg;
            break;
        case FUTEX_OP_XOR:
            new = old ^ (uint32_t)oparg;
            break;
        default:
            return -ENOSYS;
        }
        seen = old;
        err = user_cmpxchg32(uaddr, &seen, new);
        if (err)
            return err;
        if (seen == old)
            break;
        old = seen;
    }
    switch (cmp) {
    case FUTEX_OP_CMP_EQ:
        *wake = (int32_t)old == cmparg;
        return 0;
    case FUTEX_OP_CMP_NE:
        *wake = (int32_t)old != cmparg;
        return 0;
    case FUTEX_OP_CMP_LT:
        *wake = (int32_t)old < cmparg;
        return 0;
    case FUTEX_OP_CMP_LE:
        *wake = (int32_t)old <= cmparg;
        return 0;
    case FUTEX_OP_CMP_GT:
        *wake = (int32_t)old > cmparg;
        return 0;
    case FUTEX_OP_CMP_GE:
        *wake = (int32_t)old >= cmparg;
        return 0;
    default:
        return -ENOSYS;
    }
}

static long futex_wake_op(uint32_t *uaddr, uint32_t *uaddr2, bool shared, unsigned n, unsigned n2,
                          uint32_t encoded)
{
    struct futex_key key, key2;
    bool wake_second;
    long woken;
    int err = futex_key(uaddr, shared, &key);

    if (!err)
        err = futex_key(uaddr2, shared, &key2);
    if (!err)
        err = wake_op_apply(uaddr2, encoded, &wake_second);
    if (err)
        return err;
    woken = wake_key(key, n, ~0u);
    return wake_second ? woken + wake_key(key2, n2, ~0u) : woken;
}

// The deadline of a waiting operation; wait_relative: FUTEX_WAIT's timeout is a span.
static int futex_deadline(int op, const void *user_timeout, uint64_t *deadline)
{
    uint64_t ns;
    int err;

    *deadline = DEADLINE_NEVER;
    if (!user_timeout)
        return 0;
    err = timespec_in(user_timeout, &ns);
    if (err)
        return err;
    if ((op & FUTEX_CMD_MASK) == FUTEX_WAIT)
        *deadline = call_deadline(ns);
    else
        *deadline = op & FUTEX_CLOCK_REALTIME ? deadline_of_realtime(ns) : ns;
    return 0;
}

SYSCALL(202, futex, uint32_t *uaddr, int op, uint32_t val, const void *timeout, uint32_t *uaddr2,
        uint32_t val3)
{
    bool shared = !(op & FUTEX_PRIVATE_FLAG);
    int val2 = (int)(long)timeout, cmd = op & FUTEX_CMD_MASK;
    uint64_t deadline;
    long ret;

    if ((op & FUTEX_CLOCK_REALTIME) && cmd != FUTEX_WAIT_BITSET)
        return -ENOSYS;
    switch (cmd) {
    case FUTEX_WAIT:
        val3 = FUTEX_BITSET_MATCH_ANY;
        // fall through
    case FUTEX_WAIT_BITSET:
        ret = futex_deadline(op, timeout, &deadline);
        if (ret)
            return ret;
        ret = futex_wait(uaddr, shared, val, deadline, val3);
        return ret == -ERESTARTSYS && timeout && cmd == FUTEX_WAIT ? -ERESTART_RESTARTBLOCK : ret;
    case FUTEX_WAKE:
        return futex_wake(uaddr, shared, val, FUTEX_BITSET_MATCH_ANY);
    case FUTEX_WAKE_BITSET:
        return futex_wake(uaddr, shared, val, val3);
    case FUTEX_REQUEUE:
        return futex_requeue(uaddr, uaddr2, shared, (int)val, val2, NULL);
    case FUTEX_CMP_REQUEUE:
        return futex_requeue(uaddr, uaddr2, shared, (int)val, val2, &val3);
    case FUTEX_WAKE_OP:
        return futex_wake_op(uaddr, uaddr2, shared, val, (unsigned)val2, val3);
    default: // priority inheritance: libraries then say that they do not support it
        return -ENOSYS;
    }
}

SYSCALL(274, get_robust_list, int tid, void **head_out, size_t *len_out)
{
    struct linux_thread *t = tid ? linux_thread_find(tid) : current_lt();
    size_t len = sizeof(struct robust_list_head);

    if (!t)
        return -ESRCH;
    if (put_user(len_out, &len) || put_user(head_out, &t->robust_list))
        return -EFAULT;
    return 0;
}

// One lock word of a thread that is gone (see Linux's robust-futex-ABI.txt).
static void robust_release(uint32_t *uaddr, uint32_t tid, bool pending)
{
    uint32_t old, seen;

    if (!IS_ALIGNED((uintptr_t)uaddr, 4) || get_user(&old, uaddr))
        return;
    // Between unlocking and its wake-up the word is free already, but a waiter may still sleep.
    if (pending && !old) {
        futex_wake(uaddr, true, 1, ~0u);
        return;
    }
    while ((old & FUTEX_TID_MASK) == tid) {
        seen = old;
        if (user_cmpxchg32(uaddr, &seen, (old & FUTEX_WAITERS) | FUTEX_OWNER_DIED))
            return;
        if (seen == old) {
            if (old & FUTEX_WAITERS)
                futex_wake(uaddr, true, 1, ~0u);
            return;
        }
        old = seen;
    }
}

static void exit_robust(struct linux_thread *t)
{
    struct robust_list_head head;
    uintptr_t entry, pending, list = (uintptr_t)t->robust_list;
    struct robust_list next;

    if (!list || copy_in(&head, t->robust_list, sizeof(head)))
        return;
    pending = (uintptr_t)head.list_op_pending & ~1ul;
    entry = (uintptr_t)head.list.next;
    for (unsigned n = 0; n < ROBUST_LIST_LIMIT && (entry & ~1ul) != list; n++) {
        bool readable = !copy_in(&next, (const void *)(entry & ~1ul), sizeof(next));

        if ((entry & ~1ul) != pending)
            robust_release((uint32_t *)((entry & ~1ul) + (uintptr_t)head.futex_offset),
                           (uint32_t)t->tid, false);
        if (!readable)
            break;
        entry = (uintptr_t)next.next;
    }
    if (pending)
        robust_release((uint32_t *)(pending + (uintptr_t)head.futex_offset), (uint32_t)t->tid,
                       true);
    t->robust_list = NULL;
}

SYSCALL(273, set_robust_list, void *head, size_t len)
{
    if (len != sizeof(struct robust_list_head))
        return -EINVAL;
    thread_leaving.robust = exit_robust;
    current_lt()->robust_list = head;
    return 0;
}

static int futex_init(void)
{
    thread_leaving.wake = futex_wake;
    return 0;
}
INIT_RECORD(INIT_LINUX, futex_init, sys_futex);
