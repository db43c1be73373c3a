// SPDX-License-Identifier: ISC
// epoll(7). An epoll instance keeps its items in a tree by (file, descriptor) and a list of those
// that may be ready. A wake-up of a watched file puts its item on the list (O(1), in any context);
// waiting takes items off, asks each file what really holds, and puts level-triggered ones back at
// the tail, so that no file starves another. Locks: `lock` (sleeping) for tree and delivery,
// `ready_lock` for the list; teardown_mutex orders the closing of files against the closing of
// instances.
#include <asm-generic/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include "linux/waiting.h"

#define EPOLL_NEST_MAX 4   // steps from an instance to the lowest that it watches, as Linux
#define EPOLL_CHUNK    128 // events per call; the next call gets the rest
#define EPOLL_PRIVATE  (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)
#define EPOLL_EXCL_FLAGS \
    (EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)

struct epoll {
    struct mutex lock;
    struct file *file; // of this instance; lives as long
    struct rb_root items;
    spinlock_t ready_lock;
    struct list_head ready;    // struct epoll_item.ready_link
    struct wait_queue waiters; // threads in epoll_wait (exclusive), and pollers of this instance
    uint64_t check;            // teardown_mutex: the walk that measured `steps` last
    unsigned steps;
};

struct epoll_item;
struct epoll_hook { // this item in one wait queue of its file
    struct wait_entry entry;
    struct epoll_item *item;
    struct epoll_hook *next;
};

struct epoll_item {
    struct rb_node node;         // epoll->lock
    struct list_head ready_link; // epoll->ready_lock
    struct list_head in_file;    // file->epoll_items; teardown_mutex for removal
    struct epoll *ep;
    struct file *file; // no reference: the file's closing removes the item
    int fd;
    bool ready;      // on epoll->ready, or on the list of a delivery under way
    uint32_t events; // wanted, with EPOLL_PRIVATE flags
    uint64_t data;
    struct epoll_hook hook; // the first; most files have one queue
    struct epoll_hook *more;
    bool short_of_memory; // a hook could not be made
};

static struct mutex teardown_mutex = MUTEX_INIT(teardown_mutex);
static const struct file_ops epoll_ops;
static bool hooked; // file_closed is called: from the first instance on
static void (*next_closed_hook)(struct file *f);

static struct epoll *epoll_of(struct file *f)
{
    return f->ops == &epoll_ops ? f->priv : NULL;
}

// --- the tree ---

static int compare(const struct epoll_item *it, const struct file *f, int fd)
{
    if (it->file != f)
        return it->file < f ? -1 : 1;
    return it->fd < fd ? -1 : it->fd > fd;
}

static struct epoll_item *find_item(struct epoll *ep, const struct file *f, int fd)
{
    struct rb_node *n = ep->items.node;
    while (n) {
        struct epoll_item *it = container_of(n, struct epoll_item, node);
        int c = compare(it, f, fd);
        if (!c)
            return it;
        n = c < 0 ? n->right : n->left;
    }
    return NULL;
}

static void insert_item(struct epoll *ep, struct epoll_item *new)
{
    struct rb_node **link = &ep->items.node, *parent = NULL;
    while (*link) {
        parent = *link;
        struct epoll_item *it = container_of(parent, struct epoll_item, node);
        link = compare(it, new->file, new->fd) < 0 ? &parent->right : &parent->left;
    }
    rb_insert(&ep->items, &new->node, parent, link);
}

// --- readiness ---

static void mark_ready(struct epoll_item *it)
{
    struct epoll *ep = it->ep;
    spin_lock(&ep->ready_lock);
    if (!it->ready) {
        it->ready = true;
        list_add_tail(&it->ready_link, &ep->ready);
    }
    spin_unlock(&ep->ready_lock);
}

// The file's queue wakes: any context, the queue's lock is held.
static bool item_wake(struct wait_entry *e, unsigned events)
{
    struct epoll_item *it = container_of(e, struct epoll_hook, entry)->item;
    if (!(it->events & ~EPOLL_PRIVATE)) // oneshot that fired
        return false;
    if (events && !(events & it->events))
        return false;
    mark_ready(it);
    bool waiting = wait_has_waiters(&it->ep->waiters);
    wait_wake(&it->ep->waiters, EPOLLIN, 1);
    return waiting;
}

struct item_table {
    struct poll_table pt;
    struct epoll_item *item;
};

static void hook_queue(struct poll_table *pt, struct wait_queue *q)
{
    struct epoll_item *it = container_of(pt, struct item_table, pt)->item;
    struct epoll_hook *h = &it->hook;
    if (h->item) {
        h = kzalloc(sizeof(*h));
        if (!h) {
            it->short_of_memory = true;
            return;
        }
        h->next = it->more;
        it->more = h;
    }
    h->item = it;
    wait_entry_init(&h->entry);
    h->entry.wake = item_wake;
    h->entry.exclusive = it->events & EPOLLEXCLUSIVE;
    wait_add(q, &h->entry);
}

static void unhook(struct epoll_hook *h)
{
    if (h->item && h->entry.queue)
        wait_remove(h->entry.queue, &h->entry);
}

// Takes an item out of everything and frees it. ep->lock is held, or nobody else knows ep.
static void remove_item(struct epoll_item *it)
{
    struct epoll *ep = it->ep;
    unhook(&it->hook);
    for (struct epoll_hook *h = it->more, *next; h; h = next) {
        next = h->next;
        unhook(h);
        kfree(h);
    }
    spin_lock(&ep->ready_lock);
    if (it->ready)
        list_del(&it->ready_link);
    spin_unlock(&ep->ready_lock);
    list_del(&it->in_file);
    rb_remove(&ep->items, &it->node);
    kfree(it);
}

// A watched file goes: nobody holds a reference to it any more.
static void file_closed(struct file *f)
{
    if (next_closed_hook)
        next_closed_hook(f);
    if (list_empty(&f->epoll_items))
        return;
    mutex_lock(&teardown_mutex);
    while (!list_empty(&f->epoll_items)) {
        struct epoll_item *it = list_first(&f->epoll_items, struct epoll_item, in_file);
        struct epoll *ep = it->ep; // cannot go while we hold teardown_mutex
        mutex_lock(&ep->lock);
        remove_item(it);
        mutex_unlock(&ep->lock);
    }
    mutex_unlock(&teardown_mutex);
}

static void epoll_release(struct file *f)
{
    struct epoll *ep = f->priv;
    mutex_lock(&teardown_mutex);
    while (ep->items.node)
        remove_item(container_of(ep->items.node, struct epoll_item, node));
    mutex_unlock(&teardown_mutex);
    kfree(ep);
}

static unsigned ask(struct epoll_item *it)
{
    return it->file->ops->poll(it->file, NULL) & it->events & ~EPOLL_PRIVATE;
}

static void move_all(struct list_head *from, struct list_head *to)
{
    list_init(to);
    if (list_empty(from))
        return;
    *to = *from;
    to->next->prev = to->prev->next = to;
    list_init(from);
}

// What could not be delivered goes back to the front of the ready list, in its order.
static void put_back(struct epoll *ep, struct list_head *batch)
{
    spin_lock(&ep->ready_lock);
    while (!list_empty(batch)) {
        struct list_head *last = batch->prev;
        list_del(last);
        list_add(last, &ep->ready);
    }
    spin_unlock(&ep->ready_lock);
}

// Delivers up to max events that hold now; ep->lock is held. An item that is taken off the list
// before its file is asked gets back on it by a wake-up meanwhile, so that no event is lost. Each
// item is asked once: those that stay ready go to the new list, not to this batch.
static int deliver(struct epoll *ep, struct epoll_event *user, int max)
{
    struct epoll_event out[EPOLL_CHUNK];
    struct list_head batch;
    int n = 0, done = 0, err = 0;
    spin_lock(&ep->ready_lock);
    move_all(&ep->ready, &batch);
    spin_unlock(&ep->ready_lock);
    while (done + n < max && !err && !list_empty(&batch)) {
        struct epoll_item *it = list_first(&batch, struct epoll_item, ready_link);
        spin_lock(&ep->ready_lock);
        list_del(&it->ready_link);
        it->ready = false;
        spin_unlock(&ep->ready_lock);
        unsigned events = ask(it);
        if (!events)
            continue;
        out[n].events = events;
        out[n].data = it->data;
        n++;
        if (it->events & EPOLLONESHOT)
            it->events &= EPOLL_PRIVATE;
        else if (!(it->events & EPOLLET))
            mark_ready(it);
        if (n == EPOLL_CHUNK) {
            err = copy_out(user + done, out, sizeof(out));
            done += n;
            n = 0;
        }
    }
    put_back(ep, &batch);
    if (n && !err)
        err = copy_out(user + done, out, (size_t)n * sizeof(out[0]));
    return err ? err : done + n;
}

// For poll and nested instances: readable when an item has an event; drops items that have none.
static unsigned epoll_file_poll(struct file *f, struct poll_table *pt)
{
    struct epoll *ep = f->priv;
    unsigned result = 0;
    poll_wait_on(pt, &ep->waiters);
    if (list_empty(&ep->ready))
        return 0;
    mutex_lock(&ep->lock);
    struct list_head batch;
    spin_lock(&ep->ready_lock);
    move_all(&ep->ready, &batch);
    spin_unlock(&ep->ready_lock);
    while (!list_empty(&batch)) {
        struct epoll_item *it = list_first(&batch, struct epoll_item, ready_link);
        if (ask(it)) {
            result = EPOLLIN | EPOLLRDNORM;
            break;
        }
        spin_lock(&ep->ready_lock);
        list_del(&it->ready_link);
        it->ready = false;
        spin_unlock(&ep->ready_lock);
        if (ask(it)) // a wake-up between the question and the removal was not queued
            mark_ready(it);
    }
    put_back(ep, &batch);
    if (!result && !list_empty(&ep->ready))
        result = EPOLLIN | EPOLLRDNORM;
    mutex_unlock(&ep->lock);
    return result;
}

static const struct file_ops epoll_ops = {
    .name = "anon_inode:[eventpoll]",
    .poll = epoll_file_poll,
    .release = epoll_release,
};

// --- epoll_create ---

static long do_create(int flags)
{
    if (flags & ~EPOLL_CLOEXEC)
        return -EINVAL;
    struct epoll *ep = kzalloc(sizeof(*ep));
    if (!ep)
        return -ENOMEM;
    mutex_init(&ep->lock);
    list_init(&ep->ready);
    wait_queue_init(&ep->waiters);
    struct file *f = file_create(&epoll_ops, ep, O_RDWR);
    if (!f) {
        kfree(ep);
        return -ENOMEM;
    }
    ep->file = f;
    if (!hooked) {
        hooked = true;
        next_closed_hook = file_closed_hook;
        file_closed_hook = file_closed;
    }
    return fd_install_current(f, flags & EPOLL_CLOEXEC);
}

SYSCALL(213, epoll_create, int size)
{
    return size <= 0 ? -EINVAL : do_create(0);
}

SYSCALL(291, epoll_create1, int flags)
{
    return do_create(flags);
}

// --- epoll_ctl ---

// The walks below hold teardown_mutex. Each measures an instance once, however many paths lead to
// it, and gives up behind EPOLL_NEST_MAX steps: wake-ups and questions recurse as deep as instances
// watch each other, on a kernel stack.
static uint64_t check_now;

// Steps from `ep` down to the lowest instance that it watches; too many when `target` is there.
static unsigned steps_down(struct epoll *ep, const struct epoll *target, unsigned depth)
{
    unsigned most = 0;
    if (ep == target || depth > EPOLL_NEST_MAX)
        return EPOLL_NEST_MAX + 1;
    if (ep->check == check_now)
        return ep->steps;
    for (struct rb_node *n = rb_first(&ep->items); n; n = rb_next(n)) {
        struct epoll *inner = epoll_of(container_of(n, struct epoll_item, node)->file);
        if (inner)
            most = MAX(most, 1 + steps_down(inner, target, depth + 1));
    }
    ep->check = check_now;
    ep->steps = most;
    return most;
}

// Steps from the instance of `f` up to the highest that watches it.
static unsigned steps_up(struct file *f, unsigned depth)
{
    struct epoll *ep = f->priv;
    unsigned most = 0;
    if (depth > EPOLL_NEST_MAX)
        return EPOLL_NEST_MAX + 1;
    if (ep->check == check_now)
        return ep->steps;
    for (struct list_head *l = f->epoll_items.next; l != &f->epoll_items; l = l->next) {
        struct epoll *outer = container_of(l, struct epoll_item, in_file)->ep;
        most = MAX(most, 1 + steps_up(outer->file, depth + 1));
    }
    ep->check = check_now;
    ep->steps = most;
    return most;
}

// Whether instances would watch each other in a circle, or too deep, when `ep` watches `inner`.
static bool would_loop(struct epoll *ep, struct epoll *inner)
{
    check_now++;
    unsigned down = steps_down(inner, ep, 0);
    check_now++;
    return down + 1 + steps_up(ep->file, 0) > EPOLL_NEST_MAX;
}

static int add_item(struct epoll *ep, struct file *f, int fd, const struct epoll_event *ev)
{
    struct epoll_item *it = kzalloc(sizeof(*it));
    if (!it)
        return -ENOMEM;
    it->ep = ep;
    it->file = f;
    it->fd = fd;
    it->events = ev->events | EPOLLERR | EPOLLHUP;
    it->data = ev->data;
    list_init(&it->ready_link);
    list_add_tail(&it->in_file, &f->epoll_items);
    insert_item(ep, it);
    struct item_table table = {.pt = {.queue = hook_queue}, .item = it};
    unsigned now = f->ops->poll(f, &table.pt) & it->events;
    if (it->short_of_memory) {
        remove_item(it);
        return -ENOMEM;
    }
    if (now & ~EPOLL_PRIVATE) {
        mark_ready(it);
        wait_wake(&ep->waiters, EPOLLIN, 1);
    }
    return 0;
}

static int modify_item(struct epoll_item *it, const struct epoll_event *ev)
{
    if ((it->events | ev->events) & EPOLLEXCLUSIVE)
        return -EINVAL;
    it->events = ev->events | EPOLLERR | EPOLLHUP;
    it->data = ev->data;
    if (ask(it)) {
        mark_ready(it);
        wait_wake(&it->ep->waiters, EPOLLIN, 1);
    }
    return 0;
}

static int control(struct epoll *ep, int op, struct file *f, int fd, const struct epoll_event *ev)
{
    struct epoll_item *it = find_item(ep, f, fd);
    switch (op) {
    case EPOLL_CTL_ADD:
        return it ? -EEXIST : add_item(ep, f, fd, ev);
    case EPOLL_CTL_MOD:
        return it ? modify_item(it, ev) : -ENOENT;
    case EPOLL_CTL_DEL:
        if (!it)
            return -ENOENT;
        remove_item(it);
        return 0;
    default:
        return -EINVAL;
    }
}

static int check_control(struct epoll *ep, int op, struct file *f, const struct epoll_event *ev)
{
    if (!f->ops->poll)
        return -EPERM;
    if (!ep || epoll_of(f) == ep)
        return -EINVAL;
    if (op != EPOLL_CTL_DEL && (ev->events & EPOLLEXCLUSIVE)) {
        if (op != EPOLL_CTL_ADD || epoll_of(f) || (ev->events & ~EPOLL_EXCL_FLAGS))
            return -EINVAL;
    }
    return 0;
}

SYSCALL(233, epoll_ctl, int epfd, int op, int fd, struct epoll_event *user)
{
    struct epoll_event ev = {0};
    if (op != EPOLL_CTL_DEL && copy_in(&ev, user, sizeof(ev)))
        return -EFAULT;
    struct file *epf = fget(epfd), *f = fget(fd);
    int err = epf && f ? check_control(epoll_of(epf), op, f, &ev) : -EBADF;
    if (!err) {
        struct epoll *ep = epoll_of(epf), *inner = epoll_of(f);
        bool nested = inner && op == EPOLL_CTL_ADD;
        if (nested)
            mutex_lock(&teardown_mutex); // no chain changes while it is looked at
        mutex_lock(&ep->lock);
        err = nested && would_loop(ep, inner) ? -ELOOP : control(ep, op, f, fd, &ev);
        mutex_unlock(&ep->lock);
        if (nested)
            mutex_unlock(&teardown_mutex);
    }
    if (f)
        file_unref(f);
    if (epf)
        file_unref(epf);
    return err;
}

// --- epoll_wait ---

static int wait_events(struct epoll *ep, struct epoll_event *user, int max, uint64_t deadline)
{
    int result = 0;
    for (;;) {
        int n = 0;
        if (!list_empty(&ep->ready)) {
            mutex_lock(&ep->lock);
            n = deliver(ep, user, max);
            mutex_unlock(&ep->lock);
        }
        if (n) {
            if (!list_empty(&ep->ready) && wait_has_waiters(&ep->waiters))
                wait_wake(&ep->waiters, EPOLLIN, 1); // work for another thread
            return n;
        }
        if (result || deadline == 0)
            return result == -ETIMEDOUT ? 0 : result;
        struct wait_entry e;
        wait_entry_init(&e);
        e.exclusive = true;
        wait_add(&ep->waiters, &e);
        if (list_empty(&ep->ready))
            result = block_until(deadline);
        wait_remove(&ep->waiters, &e);
    }
}

static long do_wait(int epfd, struct epoll_event *user, int max, uint64_t deadline)
{
    if (max <= 0 || max > INT32_MAX / (int)sizeof(*user))
        return -EINVAL;
    if (!user_range_ok(user, (size_t)max * sizeof(*user)))
        return -EFAULT;
    struct file *epf = fget(epfd);
    struct epoll *ep = epf ? epoll_of(epf) : NULL;
    long n = !epf ? -EBADF : !ep ? -EINVAL : 0;
    if (!n)
        n = wait_events(ep, user, max, deadline);
    if (epf)
        file_unref(epf);
    return n;
}

static long do_pwait(int epfd, struct epoll_event *user, int max, uint64_t deadline,
                     const void *mask, size_t mask_size)
{
    int err = temp_mask_set(mask, mask_size);
    if (err)
        return err;
    long r = do_wait(epfd, user, max, deadline);
    temp_mask_end(mask, r == -EINTR);
    return r;
}

SYSCALL(232, epoll_wait, int epfd, struct epoll_event *user, int max, int timeout_ms)
{
    return do_wait(epfd, user, max, deadline_ms(timeout_ms));
}

SYSCALL(281, epoll_pwait, int epfd, struct epoll_event *user, int max, int timeout_ms,
        const void *mask, size_t mask_size)
{
    return do_pwait(epfd, user, max, deadline_ms(timeout_ms), mask, mask_size);
}

SYSCALL(441, epoll_pwait2, int epfd, struct epoll_event *user, int max,
        const struct __kernel_timespec *timeout, const void *mask, size_t mask_size)
{
    uint64_t deadline;
    int err = deadline_timespec(timeout, &deadline);
    return err ? err : do_pwait(epfd, user, max, deadline, mask, mask_size);
}
