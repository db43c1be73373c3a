// SPDX-License-Identifier: ISC
// Advisory locks: flock(2), which belongs to an open file, and record locks (fcntl(2) F_SETLK),
// which belong to a descriptor table. A list per inode, made when it is first locked; one wait
// queue for all waiters of the inode.
#include "fs/vfs.h"

struct lock {
    struct list_head link;
    const void *owner; // struct file (flock) or descriptor table (record)
    bool record, write;
    uint64_t start, end; // record: bytes [start, end], end INT64_MAX: to infinity
    int pid;
};

struct file_locks {
    struct list_head locks;
    struct wait_queue changed;
};

static struct mutex locks_lock = MUTEX_INIT(locks_lock); // all lists: locking is rare

static struct file_locks *locks_get(struct inode *i)
{
    if (!i->locks) {
        struct file_locks *l = kzalloc(sizeof(*l));
        if (!l)
            return NULL;
        list_init(&l->locks);
        wait_queue_init(&l->changed);
        i->locks = l;
    }
    return i->locks;
}

void locks_free(struct inode *i)
{
    if (!i->locks)
        return;
    list_for_each_safe (p, &i->locks->locks)
        kfree(list_entry(p, struct lock, link));
    kfree(i->locks);
}

static bool overlaps(const struct lock *a, const struct lock *b)
{
    return a->start <= b->end && b->start <= a->end;
}

static struct lock *find_conflict(struct file_locks *ls, const struct lock *want)
{
    list_for_each (p, &ls->locks) {
        struct lock *l = list_entry(p, struct lock, link);
        if (l->record == want->record && l->owner != want->owner && (l->write || want->write) &&
            overlaps(l, want))
            return l;
    }
    return NULL;
}

static bool remove_where(struct inode *i, bool record, const void *owner)
{
    bool any = false;
    mutex_lock(&locks_lock);
    list_for_each_safe (p, &i->locks->locks) {
        struct lock *l = list_entry(p, struct lock, link);
        if (l->record == record && l->owner == owner) {
            list_del(&l->link);
            kfree(l);
            any = true;
        }
    }
    mutex_unlock(&locks_lock);
    if (any)
        wait_wake_all(&i->locks->changed, 0);
    return any;
}

void locks_release_file(struct file *f)
{
    remove_where(f->inode, false, f);
    remove_where(f->inode, true,
                 f); // locks of an open file description (F_OFD_SETLK) have it as owner
}

void locks_release_owner(struct inode *i, const void *owner)
{
    remove_where(i, true, owner);
}

#define LOCK_SH_ 1
#define LOCK_EX_ 2
#define LOCK_NB_ 4
#define LOCK_UN_ 8

int vfs_flock(struct file *f, int op)
{
    bool wait = !(op & LOCK_NB_);
    op &= ~LOCK_NB_;
    if (op != LOCK_SH_ && op != LOCK_EX_ && op != LOCK_UN_)
        return -EINVAL;
    if (!f->inode || (f->flags & O_PATH))
        return -EBADF;
    if (op == LOCK_UN_) {
        if (f->inode->locks)
            remove_where(f->inode, false, f);
        return 0;
    }
    struct lock *l = kzalloc(sizeof(*l));
    if (!l)
        return -ENOLCK;
    *l = (struct lock){.owner = f, .write = op == LOCK_EX_, .end = INT64_MAX};
    mutex_lock(&locks_lock);
    struct file_locks *ls = locks_get(f->inode);
    int err = ls ? 0 : -ENOLCK;
    // As on Linux, changing a lock's kind gives the old one up first.
    if (ls) {
        mutex_unlock(&locks_lock);
        remove_where(f->inode, false, f);
        mutex_lock(&locks_lock);
    }
    while (!err && find_conflict(ls, l)) {
        mutex_unlock(&locks_lock);
        err = !wait ? -EWOULDBLOCK
                    : wait_event(&ls->changed, !find_conflict(ls, l), DEADLINE_NEVER, true);
        mutex_lock(&locks_lock);
    }
    if (!err)
        list_add_tail(&l->link, &ls->locks);
    mutex_unlock(&locks_lock);
    if (err)
        kfree(l);
    return err;
}

static int range_of(struct file *f, const struct flock *fl, struct lock *out)
{
    int64_t base = fl->l_whence == SEEK_SET_   ? 0
                   : fl->l_whence == SEEK_CUR_ ? (int64_t)f->pos
                   : fl->l_whence == SEEK_END_ ? (int64_t)f->inode->size
                                               : -1;
    int64_t start, end;
    if (base < 0)
        return -EINVAL;
    if (__builtin_add_overflow(base, fl->l_start, &start))
        return -EOVERFLOW;
    if (fl->l_len < 0) {
        end = start - 1;
        if (__builtin_add_overflow(start, fl->l_len, &start))
            return -EINVAL;
    } else if (fl->l_len == 0) {
        end = INT64_MAX;
    } else if (__builtin_add_overflow(start, fl->l_len - 1, &end)) {
        return -EOVERFLOW;
    }
    if (start < 0)
        return -EINVAL;
    out->start = (uint64_t)start;
    out->end = (uint64_t)end;
    return 0;
}

// Takes the owner's locks out of the range; one that sticks out on both sides is cut in two (spare
// is used).
static void clear_range(struct file_locks *ls, const struct lock *r, struct lock **spare)
{
    list_for_each_safe (p, &ls->locks) {
        struct lock *l = list_entry(p, struct lock, link);
        if (!l->record || l->owner != r->owner || !overlaps(l, r))
            continue;
        if (l->start < r->start && l->end > r->end) {
            struct lock *tail = *spare;
            *spare = NULL;
            *tail = *l;
            tail->start = r->end + 1;
            l->end = r->start - 1;
            list_add(&tail->link, &l->link);
        } else if (l->start < r->start) {
            l->end = r->start - 1;
        } else if (l->end > r->end) {
            l->start = r->end + 1;
        } else {
            list_del(&l->link);
            kfree(l);
        }
    }
}

int vfs_record_lock(struct file *f, struct fd_table *owner, int cmd, struct flock *fl, int pid)
{
    struct lock want = {.owner = owner, .record = true, .write = fl->l_type == F_WRLCK, .pid = pid};
    if (!f->inode || (f->flags & O_PATH))
        return -EBADF;
    if (fl->l_type != F_RDLCK && fl->l_type != F_WRLCK && fl->l_type != F_UNLCK)
        return -EINVAL;
    int err = range_of(f, fl, &want);
    if (err)
        return err;
    unsigned access = f->flags & O_ACCMODE;
    if (cmd != F_GETLK && ((fl->l_type == F_RDLCK && access == O_WRONLY) ||
                           (fl->l_type == F_WRLCK && access == O_RDONLY)))
        return -EBADF;
    struct lock *l = kzalloc(sizeof(*l)), *spare = kzalloc(sizeof(*spare));
    mutex_lock(&locks_lock);
    struct file_locks *ls = locks_get(f->inode);
    if (!l || !spare || !ls) {
        err = -ENOLCK;
        goto out;
    }
    struct lock *other = fl->l_type == F_UNLCK ? NULL : find_conflict(ls, &want);
    if (cmd == F_GETLK) {
        if (other) {
            fl->l_type = other->write ? F_WRLCK : F_RDLCK;
            fl->l_whence = SEEK_SET_;
            fl->l_start = (long)other->start;
            fl->l_len = other->end == INT64_MAX ? 0 : (long)(other->end - other->start + 1);
            fl->l_pid = other->pid;
        } else {
            fl->l_type = F_UNLCK;
        }
        goto out;
    }
    while (other && !err) {
        mutex_unlock(&locks_lock);
        err = cmd == F_SETLK
                  ? -EAGAIN
                  : wait_event(&ls->changed, !find_conflict(ls, &want), DEADLINE_NEVER, true);
        mutex_lock(&locks_lock);
        other = find_conflict(ls, &want);
    }
    if (err)
        goto out;
    clear_range(ls, &want, &spare);
    if (fl->l_type != F_UNLCK) {
        *l = want;
        list_add_tail(&l->link, &ls->locks);
        l = NULL;
    }
    wait_wake_all(&ls->changed, 0);
out:
    mutex_unlock(&locks_lock);
    kfree(l);
    kfree(spare);
    return err;
}
