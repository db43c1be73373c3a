// SPDX-License-Identifier: ISC
// Pipes and named FIFOs (pipe(7), fifo(7)): a ring of bytes over pages that are allocated when they
// are written and freed when they have been read. A mutex per pipe guards it, and is held while
// program memory is copied.
#include "fs/vfs.h"

struct pipe {
    struct mutex lock;
    struct wait_queue readable, writable; // waiting readers, waiting writers
    uint64_t head, tail;                  // bytes read and written since the ring was last empty
    unsigned readers, writers;            // open files
    unsigned reader_opens, writer_opens;  // ever: opening a FIFO waits for the other side
    unsigned users;                       // files and opens in progress
    unsigned page_count;                  // a power of two
    uint64_t *pages;                      // 0: not allocated
    struct inode *fifo;                   // NULL: nameless
    uint64_t id;
};

static size_t pipe_bytes(const struct pipe *p)
{
    return p->tail - p->head;
}

static size_t pipe_space(const struct pipe *p)
{
    return p->page_count * PAGE_SIZE - pipe_bytes(p);
}

static struct pipe *pipe_alloc(void)
{
    struct pipe *p = kzalloc(sizeof(*p));
    if (!p)
        return NULL;
    p->page_count = FS_PIPE_PAGES;
    p->pages = kzalloc(p->page_count * sizeof(*p->pages));
    if (!p->pages) {
        kfree(p);
        return NULL;
    }
    mutex_init(&p->lock);
    wait_queue_init(&p->readable);
    wait_queue_init(&p->writable);
    return p;
}

static void pipe_free(struct pipe *p)
{
    for (unsigned i = 0; i < p->page_count; i++) {
        if (p->pages[i])
            page_free(p->pages[i], 0);
    }
    kfree(p->pages);
    kfree(p);
}

static void pipe_unuse(struct pipe *p)
{
    mutex_lock(&fs_lock);
    bool last = --p->users == 0;
    if (last && p->fifo)
        p->fifo->fifo = NULL;
    mutex_unlock(&fs_lock);
    if (last)
        pipe_free(p);
}

static ssize_t_k pipe_read(struct file *f, struct iov_iter *to, uint64_t *pos)
{
    struct pipe *p = f->priv;
    size_t done = 0;
    (void)pos;
    if (!to->left)
        return 0;
    mutex_lock(&p->lock);
    while (!pipe_bytes(p)) {
        bool eof = !p->writers;
        mutex_unlock(&p->lock);
        if (eof)
            return 0;
        if (f->flags & O_NONBLOCK)
            return -EAGAIN;
        int err = wait_event(&p->readable, pipe_bytes(p) || !p->writers, DEADLINE_NEVER, true);
        if (err)
            return err;
        mutex_lock(&p->lock);
    }
    ssize_t_k n = 0;
    while (to->left && pipe_bytes(p)) {
        size_t at = p->head & (PAGE_SIZE - 1);
        uint64_t *page = &p->pages[p->head / PAGE_SIZE & (p->page_count - 1)];
        n = iov_copy_to(to, (char *)pa_to_va(*page) + at, MIN(pipe_bytes(p), PAGE_SIZE - at));
        if (n <= 0)
            break;
        done += (size_t)n;
        p->head += (size_t)n;
        if (!(p->head & (PAGE_SIZE - 1))) {
            // Read to its end: the page goes back, unless a full turn has put newer bytes at its
            // start.
            if (pipe_bytes(p) <= (p->page_count - 1) * PAGE_SIZE) {
                page_free(*page, 0);
                *page = 0;
            }
        } else if (!pipe_bytes(p)) {
            // Empty: start over in the same page. Small messages then use one page for ever.
            uint64_t keep = *page;
            *page = 0;
            if (p->pages[0])
                page_free(p->pages[0], 0);
            p->pages[0] = keep;
            p->head = p->tail = 0;
        }
    }
    mutex_unlock(&p->lock);
    if (done)
        wait_wake_all(&p->writable, EPOLLOUT | EPOLLWRNORM);
    return done ? (ssize_t_k)done : n;
}

// What fits of the rest; 0: all done or full, or -errno.
static ssize_t_k fill_ring(struct pipe *p, struct iov_iter *from)
{
    size_t done = 0;
    while (from->left && pipe_space(p)) {
        size_t at = p->tail & (PAGE_SIZE - 1);
        uint64_t *page = &p->pages[p->tail / PAGE_SIZE & (p->page_count - 1)];
        // A full turn ends in the page that the reader is in: its free part is before the reader.
        if (!*page && !(*page = page_alloc(0, 0)))
            return done ? (ssize_t_k)done : -ENOMEM;
        ssize_t_k n =
            iov_copy_from(from, (char *)pa_to_va(*page) + at, MIN(pipe_space(p), PAGE_SIZE - at));
        if (n < 0)
            return done ? (ssize_t_k)done : n;
        p->tail += (size_t)n;
        done += (size_t)n;
    }
    return (ssize_t_k)done;
}

static ssize_t_k pipe_write(struct file *f, struct iov_iter *from, uint64_t *pos)
{
    struct pipe *p = f->priv;
    size_t done = 0;
    ssize_t_k err = 0;
    (void)pos;
    mutex_lock(&p->lock);
    while (from->left) {
        size_t need = done == 0 && from->left <= FS_PIPE_BUF ? from->left : 1;
        if (!p->readers) {
            err = -EPIPE;
            break;
        }
        if (pipe_space(p) >= need) {
            ssize_t_k n = fill_ring(p, from);
            if (n < 0) {
                err = n;
                break;
            }
            done += (size_t)n;
            continue;
        }
        mutex_unlock(&p->lock);
        if (done)
            wait_wake_all(&p->readable, EPOLLIN | EPOLLRDNORM);
        err = f->flags & O_NONBLOCK ? -EAGAIN
                                    : wait_event(&p->writable, pipe_space(p) >= need || !p->readers,
                                                 DEADLINE_NEVER, true);
        if (err)
            return done ? (ssize_t_k)done : err;
        mutex_lock(&p->lock);
    }
    mutex_unlock(&p->lock);
    if (done)
        wait_wake_all(&p->readable, EPOLLIN | EPOLLRDNORM);
    return done ? (ssize_t_k)done : err;
}

static unsigned pipe_poll(struct file *f, struct poll_table *pt)
{
    struct pipe *p = f->priv;
    unsigned events = 0, access = f->flags & O_ACCMODE;
    if (access != O_WRONLY) {
        poll_wait_on(pt, &p->readable);
        if (pipe_bytes(p))
            events |= EPOLLIN | EPOLLRDNORM;
        if (!p->writers && p->writer_opens)
            events |= EPOLLHUP;
    }
    if (access != O_RDONLY) {
        poll_wait_on(pt, &p->writable);
        if (pipe_space(p) >= FS_PIPE_BUF)
            events |= EPOLLOUT | EPOLLWRNORM;
        if (!p->readers)
            events |= EPOLLERR;
    }
    return events;
}

static void count_side(struct pipe *p, int flags, int by)
{
    unsigned access = flags & O_ACCMODE;
    mutex_lock(&p->lock);
    if (access != O_WRONLY) {
        p->readers += (unsigned)by;
        p->reader_opens += by > 0;
    }
    if (access != O_RDONLY) {
        p->writers += (unsigned)by;
        p->writer_opens += by > 0;
    }
    mutex_unlock(&p->lock);
    // Whoever waits for data, for room or for the other side looks again.
    wait_wake_all(&p->readable, by > 0 ? 0 : EPOLLIN | EPOLLHUP);
    wait_wake_all(&p->writable, by > 0 ? 0 : EPOLLOUT | EPOLLERR);
}

static void pipe_release(struct file *f)
{
    count_side(f->priv, f->flags, -1);
    pipe_unuse(f->priv);
}

static int pipe_reopen(struct file *f, int flags, struct file **out);

static long pipe_ioctl(struct file *f, unsigned cmd, unsigned long arg)
{
    int n = (int)pipe_readable(f);
    return cmd == FIONREAD ? put_user((int *)arg, &n) : -ENOTTY;
}

static const struct file_ops pipe_ops = {
    .name = "pipe",
    .mode = S_IFIFO | 0600,
    .read = pipe_read,
    .write = pipe_write,
    .ioctl = pipe_ioctl,
    .poll = pipe_poll,
    .release = pipe_release,
    .reopen = pipe_reopen,
};

// Opens one more end. Consumes nothing; users is guarded by fs_lock.
static struct file *pipe_file(struct pipe *p, int flags)
{
    struct file *f = file_create(&pipe_ops, p, flags);
    if (!f)
        return NULL;
    mutex_lock(&fs_lock);
    p->users++;
    mutex_unlock(&fs_lock);
    count_side(p, flags, 1);
    if (!p->id)
        p->id = f->id;
    f->id = p->id;
    return f;
}

static int pipe_reopen(struct file *f, int flags, struct file **out)
{
    *out = pipe_file(f->priv, flags & (O_ACCMODE | O_NONBLOCK));
    return *out ? 0 : -ENFILE;
}

int pipe_create(struct file **read_end, struct file **write_end, int flags)
{
    if (flags & ~(O_NONBLOCK | O_CLOEXEC | O_DIRECT))
        return -EINVAL;
    struct pipe *p = pipe_alloc();
    if (!p)
        return -ENFILE;
    flags &= O_NONBLOCK;
    *read_end = pipe_file(p, O_RDONLY | flags);
    if (!*read_end) {
        pipe_free(p);
        return -ENFILE;
    }
    *write_end = pipe_file(p, O_WRONLY | flags);
    if (!*write_end) {
        file_unref(*read_end);
        return -ENFILE;
    }
    return 0;
}

int fifo_open(struct inode *i, struct file *f)
{
    unsigned access = f->flags & O_ACCMODE;
    mutex_lock(&fs_lock);
    if (!i->fifo && (i->fifo = pipe_alloc()))
        i->fifo->fifo = i;
    struct pipe *p = i->fifo;
    if (p)
        p->users++;
    mutex_unlock(&fs_lock);
    if (!p)
        return -ENOMEM;
    if (access == O_WRONLY && (f->flags & O_NONBLOCK) && !p->readers) {
        pipe_unuse(p);
        return -ENXIO;
    }
    unsigned readers = p->reader_opens, writers = p->writer_opens;
    count_side(p, f->flags, 1);
    int err = 0;
    if (!(f->flags & O_NONBLOCK) && access == O_RDONLY && !p->writers)
        err = wait_event(&p->readable, p->writer_opens != writers, DEADLINE_NEVER, true);
    if (!(f->flags & O_NONBLOCK) && access == O_WRONLY && !p->readers)
        err = wait_event(&p->writable, p->reader_opens != readers, DEADLINE_NEVER, true);
    if (err) {
        count_side(p, f->flags, -1);
        pipe_unuse(p);
        return err;
    }
    f->ops = &pipe_ops;
    f->priv = p;
    return 0;
}

void fifo_free(struct inode *i)
{
    ASSERT(!i->fifo); // its open files hold the inode
}

long pipe_get_size(struct file *f)
{
    if (f->ops != &pipe_ops)
        return -EBADF;
    return (long)(((struct pipe *)f->priv)->page_count * PAGE_SIZE);
}

long pipe_set_size(struct file *f, size_t size)
{
    if (f->ops != &pipe_ops)
        return -EBADF;
    if (size > FS_PIPE_PAGES_MAX * PAGE_SIZE)
        return -EPERM;
    unsigned count = 1;
    while (count * PAGE_SIZE < size)
        count *= 2;
    struct pipe *p = f->priv;
    uint64_t *pages = kzalloc(count * sizeof(*pages));
    if (!pages)
        return -ENOMEM;
    mutex_lock(&p->lock);
    uint64_t first = p->head / PAGE_SIZE, end = (p->tail + PAGE_SIZE - 1) / PAGE_SIZE;
    if (end - first > MIN(count, p->page_count)) { // a slot used twice cannot be moved
        mutex_unlock(&p->lock);
        kfree(pages);
        return -EBUSY;
    }
    for (unsigned i = 0; i < p->page_count; i++) {
        // Ring slots that hold no data may still hold a page that is kept for the next write.
        uint64_t index = first + ((i - first) & (p->page_count - 1));
        if (index < end)
            pages[index & (count - 1)] = p->pages[i];
        else if (p->pages[i])
            page_free(p->pages[i], 0);
    }
    kfree(p->pages);
    p->pages = pages;
    p->page_count = count;
    mutex_unlock(&p->lock);
    wait_wake_all(&p->writable, EPOLLOUT | EPOLLWRNORM);
    return (long)(count * PAGE_SIZE);
}

size_t pipe_readable(struct file *f)
{
    return f->ops == &pipe_ops ? pipe_bytes(f->priv) : 0;
}
