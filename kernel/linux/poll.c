// SPDX-License-Identifier: ISC
// poll(2), ppoll(2), and the waiting core that select(2) uses too: registers with every file's wait
// queues once, then asks all files each time one of them wakes.
#include <asm/poll.h>
#include <linux/eventpoll.h>
#include "linux/poll_files.h"

#define POLL_CHUNK 16 // wait entries allocated at a time

struct poll_entry {
    struct wait_entry entry;
    struct poll_waiter *waiter;
    unsigned wanted;
};

struct poll_chunk {
    struct poll_chunk *next;
    unsigned used;
    struct poll_entry entry[POLL_CHUNK];
};

struct poll_waiter {
    struct poll_table pt;
    struct thread *thread;
    bool triggered;
    bool short_of_memory;
    unsigned wanted; // of the file that is being asked
    struct poll_chunk *chunks;
    struct poll_chunk first;
};

static bool poll_wake(struct wait_entry *e, unsigned events)
{
    struct poll_entry *pe = container_of(e, struct poll_entry, entry);
    if (events && !(events & pe->wanted))
        return false;
    pe->waiter->triggered = true;
    thread_wake(pe->waiter->thread);
    return true;
}

static void poll_queue(struct poll_table *pt, struct wait_queue *q)
{
    struct poll_waiter *w = container_of(pt, struct poll_waiter, pt);
    struct poll_chunk *c = w->chunks;
    if (c->used == POLL_CHUNK) {
        c = kmalloc(sizeof(*c));
        if (!c) {
            w->short_of_memory = true;
            return;
        }
        c->used = 0;
        c->next = w->chunks;
        w->chunks = c;
    }
    struct poll_entry *pe = &c->entry[c->used++];
    wait_entry_init(&pe->entry);
    pe->entry.wake = poll_wake;
    pe->waiter = w;
    pe->wanted = w->wanted;
    wait_add(q, &pe->entry);
}

static void remove_entries(struct poll_waiter *w)
{
    for (struct poll_chunk *c = w->chunks, *next; c; c = next) {
        next = c->next;
        for (unsigned i = 0; i < c->used; i++)
            if (c->entry[i].entry.queue)
                wait_remove(c->entry[i].entry.queue, &c->entry[i].entry);
        if (c != &w->first)
            kfree(c);
    }
}

static long ask_all(struct poll_waiter *w, struct poll_request *req, unsigned count)
{
    long found = 0;
    for (unsigned i = 0; i < count; i++) {
        if (req[i].file) {
            w->wanted = req[i].wanted | EPOLLERR | EPOLLHUP;
            req[i].found = file_poll(req[i].file, w->pt.queue ? &w->pt : NULL) & w->wanted;
        }
        if (req[i].found) {
            found++;
            w->pt.queue = NULL; // we shall not sleep: nothing more to register
        }
    }
    w->pt.queue = NULL; // only the first round registers
    return found;
}

long poll_files(struct poll_request *req, unsigned count, uint64_t deadline)
{
    struct poll_waiter w;
    long found, err = 0;
    w.pt.queue = deadline ? poll_queue : NULL;
    w.thread = thread_current();
    w.triggered = w.short_of_memory = false;
    w.chunks = &w.first;
    w.first.next = NULL;
    w.first.used = 0;
    for (;;) {
        w.triggered = false;
        found = ask_all(&w, req, count);
        if (found || err || deadline == 0)
            break;
        if (w.short_of_memory) {
            err = -ENOMEM;
            break;
        }
        if (!w.triggered)
            err = block_until(deadline);
    }
    remove_entries(&w);
    return found ? found : err == -ETIMEDOUT ? 0 : err;
}

void poll_release(struct poll_request *req, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (req[i].file)
            file_unref(req[i].file);
    kfree(req);
}

// --- the calls ---

static long do_poll(struct pollfd *user, unsigned count, uint64_t deadline)
{
    if (count > current_process()->limits[RLIMIT_NOFILE].rlim_cur)
        return -EINVAL;
    struct pollfd few[16], *fds = few;
    struct poll_request *req = NULL;
    if (count > ARRAY_LEN(few)) {
        fds = kmalloc(count * sizeof(*fds));
        if (!fds)
            return -ENOMEM;
    }
    long r = count ? copy_in(fds, user, count * sizeof(*fds)) : 0;
    if (!r && count) {
        req = kzalloc(count * sizeof(*req));
        r = req ? 0 : -ENOMEM;
    }
    for (unsigned i = 0; !r && i < count; i++) {
        if (fds[i].fd < 0)
            continue;
        req[i].wanted = (unsigned short)fds[i].events;
        req[i].file = fget(fds[i].fd);
        if (!req[i].file)
            req[i].found = POLLNVAL;
    }
    if (!r)
        r = poll_files(req, count, deadline);
    for (unsigned i = 0; r >= 0 && i < count; i++) {
        short found = (short)req[i].found;
        if (put_user(&user[i].revents, &found))
            r = -EFAULT;
    }
    if (req)
        poll_release(req, count);
    if (fds != few)
        kfree(fds);
    return r;
}

SYSCALL(7, poll, struct pollfd *fds, unsigned count, int timeout_ms)
{
    long r = do_poll(fds, count, deadline_ms(timeout_ms));
    return r == -EINTR ? -ERESTARTNOHAND : r;
}

SYSCALL(271, ppoll, struct pollfd *fds, unsigned count, struct __kernel_timespec *timeout,
        const void *mask, size_t mask_size)
{
    uint64_t deadline;
    int err = deadline_timespec(timeout, &deadline);
    if (!err)
        err = temp_mask_set(mask, mask_size);
    if (err)
        return err;
    long r = do_poll(fds, count, deadline);
    temp_mask_end(mask, r == -EINTR);
    if (timeout && deadline) { // what is left of the time, as Linux's call does
        struct __kernel_timespec left;
        deadline_left(deadline, &left);
        (void)put_user(timeout, &left);
    }
    return r == -EINTR ? -ERESTARTNOHAND : r;
}
