// SPDX-License-Identifier: ISC
// /proc: a tree of registered files (procfs_add), and what is different for each process:
// /proc/self leads to /proc/PID, which shows the files registered under "self"; fd/ and task/ list
// what the process has. Names are looked up afresh each time. A file's text is made when it is read
// at position 0.
#include "fs/vfs.h"

enum kind { DIR, TEXT, LINK, SELF, THREAD_SELF, EXE, CWD, ROOT, FD_DIR, FDINFO_DIR, TASK_DIR };

struct proc_node {
    struct proc_node *next, *children;
    const char *name;
    enum kind kind;
    uint32_t ino;
    int (*show)(struct proc_buf *b);
    int (*write)(const char *text, size_t len);
    const char *target; // LINK
};

struct fd_table *(*procfs_current_fds)(void);
ssize_t_k (*procfs_current_exe)(char *buf, size_t size);
struct fs_context *(*procfs_current_fs)(void);
int (*procfs_current_pid)(void);
int (*procfs_current_tid)(void);
int (*procfs_next_tid)(int after);

static struct proc_node proc_root = {.name = "", .kind = DIR, .ino = 1};
static struct proc_node sys_root = {.name = "", .kind = DIR, .ino = 1};
static struct proc_node *self_node; // template of /proc/PID
static uint32_t last_ino = 1;
static int asked_tid, asked_fd = -1; // of the running show(), under show_lock
static struct mutex show_lock = MUTEX_INIT(show_lock);

static int current_pid(void)
{
    return procfs_current_pid ? procfs_current_pid() : 1;
}

int procfs_asked_tid(void)
{
    return asked_tid;
}

// --- text ---

static bool buf_room(struct proc_buf *b, size_t n)
{
    if (b->size - b->len >= n)
        return true;
    size_t size = MAX(b->size * 2, (size_t)512);
    while (size < b->len + n)
        size *= 2;
    char *data = size > FS_PROC_TEXT_MAX ? NULL : krealloc(b->data, size);
    if (!data)
        return false; // the text ends here
    b->data = data;
    b->size = size;
    return true;
}

void proc_put(struct proc_buf *b, const void *data, size_t n)
{
    if (buf_room(b, n)) {
        memcpy(b->data + b->len, data, n);
        b->len += n;
    }
}

void proc_printf(struct proc_buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    size_t room = b->size - b->len;
    int n = lib_vsnprintf(room ? b->data + b->len : NULL, room, fmt, ap);
    if (n > 0 && (size_t)n >= room && buf_room(b, (size_t)n + 1))
        lib_vsnprintf(b->data + b->len, b->size - b->len, fmt, again);
    if (n > 0 && b->size - b->len > (size_t)n)
        b->len += (size_t)n;
    va_end(again);
    va_end(ap);
}

static int show_fdinfo(struct proc_buf *b)
{
    struct fd_table *t = procfs_current_fds ? procfs_current_fds() : NULL;
    struct file *f = t ? fd_get(t, asked_fd) : NULL;
    if (!f)
        return -ENOENT;
    proc_printf(b, "pos:\t%lu\nflags:\t0%lo\nmnt_id:\t1\n", (unsigned long)f->pos,
                (unsigned long)f->flags);
    file_unref(f);
    return 0;
}

static int make_text(struct file *f)
{
    struct proc_buf *b = f->priv;
    const struct proc_node *n = f->inode->proc.node;
    b->len = 0;
    mutex_lock(&show_lock);
    asked_tid = f->inode->proc.tid;
    asked_fd = f->inode->proc.fd;
    int err = n->kind == FDINFO_DIR ? show_fdinfo(b) : n->show ? n->show(b) : 0;
    asked_tid = 0;
    mutex_unlock(&show_lock);
    return err;
}

static ssize_t_k text_read(struct file *f, struct iov_iter *to, uint64_t *pos)
{
    struct proc_buf *b = f->priv;
    int err = *pos == 0 ? make_text(f) : 0;
    if (err)
        return err;
    if (*pos >= b->len)
        return 0;
    ssize_t_k n = iov_copy_to(to, b->data + *pos, b->len - *pos);
    if (n > 0)
        *pos += (uint64_t)n;
    return n;
}

static ssize_t_k text_write(struct file *f, struct iov_iter *from, uint64_t *pos)
{
    const struct proc_node *n = f->inode->proc.node;
    char text[256];
    (void)pos;
    if (!n->write)
        return -EACCES;
    if (from->left >= sizeof(text))
        return -EINVAL;
    ssize_t_k len = iov_copy_from(from, text, from->left);
    if (len < 0)
        return len;
    text[len] = 0;
    int err = n->write(text, (size_t)len);
    return err ? err : len;
}

static long text_seek(struct file *f, int64_t off, int whence)
{
    return seek_in(f, off, whence, ((struct proc_buf *)f->priv)->len);
}

static void text_release(struct file *f)
{
    kfree(((struct proc_buf *)f->priv)->data);
    kfree(f->priv);
}

static const struct file_ops text_file_ops = {.name = "proc",
                                              .read = text_read,
                                              .write = text_write,
                                              .seek = text_seek,
                                              .release = text_release};

static int text_open(struct inode *i, struct file *f)
{
    const struct proc_node *n = i->proc.node;
    if ((f->flags & O_ACCMODE) != O_RDONLY && !n->write)
        return -EACCES;
    f->priv = kzalloc(sizeof(struct proc_buf));
    if (!f->priv)
        return -ENOMEM;
    f->ops = &text_file_ops;
    return 0;
}

static const struct inode_ops text_ops = {.open = text_open};

// --- links ---

static ssize_t_k dentry_link(struct inode *i, struct dentry **out)
{
    const struct proc_node *n = i->proc.node;
    struct fs_context *c = procfs_current_fs ? procfs_current_fs() : NULL;
    if (!c)
        return -ENOENT;
    *out = n->kind == CWD ? c->cwd : c->root;
    return 0;
}

static ssize_t_k link_readlink(struct inode *i, char *buf, size_t size)
{
    const struct proc_node *n = i->proc.node;
    char text[48];
    int len;
    switch (n->kind) {
    case LINK:
        len = lib_snprintf(text, sizeof(text), "%s", n->target);
        break;
    case EXE:
        return procfs_current_exe ? procfs_current_exe(buf, size) : -ENOENT;
    case THREAD_SELF:
        len = lib_snprintf(text, sizeof(text), "%d/task/%d", current_pid(),
                           procfs_current_tid ? procfs_current_tid() : current_pid());
        break;
    case SELF:
        len = lib_snprintf(text, sizeof(text), "%d", current_pid());
        break;
    default: {
        struct dentry *d;
        ssize_t_k err = dentry_link(i, &d);
        if (err)
            return err;
        char *path = kmalloc(FS_PATH_MAX);
        if (!path)
            return -ENOMEM;
        ssize_t_k got = dentry_path(d, fs_mounts[0]->root, path, FS_PATH_MAX);
        if (got > 0) {
            got = (ssize_t_k)MIN((size_t)got, size);
            memcpy(buf, path, (size_t)got);
        }
        kfree(path);
        return got;
    }
    }
    size_t copied = MIN((size_t)len, size);
    memcpy(buf, text, copied);
    return (ssize_t_k)copied;
}

static int cwd_jump(struct inode *i, struct dentry **d, struct file **f)
{
    ssize_t_k err = dentry_link(i, d);
    (void)f;
    if (!err)
        dentry_get(*d);
    return (int)err;
}

static const struct inode_ops link_ops = {.readlink = link_readlink};
static const struct inode_ops jump_link_ops = {.readlink = link_readlink, .jump = cwd_jump};

static struct file *fd_file(const struct inode *i)
{
    struct fd_table *t = procfs_current_fds ? procfs_current_fds() : NULL;
    return t ? fd_get(t, i->proc.fd) : NULL;
}

// Gives a file back under fs_lock: if it was the last reference after all, closing waits for the
// lock's end.
static void fd_file_put(struct file *f)
{
    if (__atomic_load_n(&f->refs, __ATOMIC_RELAXED) > 1) {
        file_unref(f);
        return;
    }
    mutex_unlock(&fs_lock);
    file_unref(f);
    mutex_lock(&fs_lock);
}

static ssize_t_k fd_readlink(struct inode *i, char *buf, size_t size)
{
    struct file *f = fd_file(i);
    if (!f)
        return -ENOENT;
    char *path = kmalloc(FS_PATH_MAX);
    ssize_t_k n = -ENOMEM;
    if (path) {
        if (f->dentry)
            n = dentry_path(f->dentry, fs_mounts[0]->root, path, FS_PATH_MAX);
        else
            n = file_path(f, path, FS_PATH_MAX); // nameless: takes no lock
        if (n > 0) {
            n = (ssize_t_k)MIN((size_t)n, size);
            memcpy(buf, path, (size_t)n);
        }
        kfree(path);
    }
    fd_file_put(f);
    return n;
}

static int fd_jump(struct inode *i, struct dentry **d, struct file **out)
{
    struct file *f = fd_file(i);
    if (!f)
        return -ENOENT;
    if (f->dentry) {
        *d = dentry_get(f->dentry);
        fd_file_put(f);
    } else {
        *out = f;
    }
    return 0;
}

static const struct inode_ops fd_link_ops = {.readlink = fd_readlink, .jump = fd_jump};

// --- directories ---

static const struct inode_ops proc_dir_ops;

static int node_inode(struct super *sb, struct proc_node *n, int tid, struct inode **out)
{
    static const struct {
        const struct inode_ops *ops;
        unsigned mode;
    } kinds[] = {
        [DIR] = {&proc_dir_ops, S_IFDIR | 0555},
        [TEXT] = {&text_ops, S_IFREG | 0444},
        [LINK] = {&link_ops, S_IFLNK | 0777},
        [SELF] = {&link_ops, S_IFLNK | 0777},
        [THREAD_SELF] = {&link_ops, S_IFLNK | 0777},
        [EXE] = {&link_ops, S_IFLNK | 0777},
        [CWD] = {&jump_link_ops, S_IFLNK | 0777},
        [ROOT] = {&jump_link_ops, S_IFLNK | 0777},
        [FD_DIR] = {&proc_dir_ops, S_IFDIR | 0500},
        [FDINFO_DIR] = {&proc_dir_ops, S_IFDIR | 0500},
        [TASK_DIR] = {&proc_dir_ops, S_IFDIR | 0555},
    };
    struct inode *i = inode_alloc(sb, kinds[n->kind].ops, kinds[n->kind].mode);
    if (!i)
        return -ENOMEM;
    if (n->write)
        i->mode |= 0200;
    if (S_ISDIR(i->mode))
        i->nlink = 2;
    i->ino = n->ino + ((uint64_t)(unsigned)tid << 20);
    i->proc.node = n;
    i->proc.tid = tid;
    i->proc.fd = -1;
    i->atime = i->mtime = i->ctime = fs_now();
    *out = i;
    return 0;
}

static bool parse_number(const char *s, size_t len, int *out)
{
    int v = 0;
    if (len == 0 || len > 9 || (len > 1 && s[0] == '0'))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        v = v * 10 + (s[i] - '0');
    }
    *out = v;
    return true;
}

static struct proc_node *child_find(struct proc_node *dir, const char *name, size_t len)
{
    for (struct proc_node *n = dir->children; n; n = n->next) {
        if (strncmp(n->name, name, len) == 0 && n->name[len] == 0)
            return n;
    }
    return NULL;
}

static bool tid_exists(int tid)
{
    return procfs_next_tid ? procfs_next_tid(tid - 1) == tid : tid == current_pid();
}

static int fd_inode(struct super *sb, struct proc_node *dir, int fd, struct inode **out)
{
    struct fd_table *t = procfs_current_fds ? procfs_current_fds() : NULL;
    if (!t || fd_next(t, fd) != fd)
        return -ENOENT;
    bool info = dir->kind == FDINFO_DIR;
    struct inode *i =
        inode_alloc(sb, info ? &text_ops : &fd_link_ops, info ? S_IFREG | 0400 : S_IFLNK | 0700);
    if (!i)
        return -ENOMEM;
    i->ino = ((uint64_t)dir->ino << 32) + (uint64_t)fd + 1;
    i->proc.node = dir;
    i->proc.fd = fd;
    i->size = info ? 0 : 64;
    i->atime = i->mtime = i->ctime = fs_now();
    *out = i;
    return 0;
}

// The files of the whole instance: registered when somebody looks for the first time, not at start.
static int fill(void)
{
    static bool filled;
    int err = filled ? 0 : procfs_register_files();
    filled |= !err;
    return err;
}

static int proc_lookup(struct dentry *dir, const char *name, size_t len, struct inode **out)
{
    struct inode *i = dir->inode;
    int err = fill();
    if (err)
        return err;
    struct proc_node *n = i->proc.node;
    int number;
    bool numeric = parse_number(name, len, &number);
    if (n->kind == FD_DIR || n->kind == FDINFO_DIR)
        return numeric ? fd_inode(i->sb, n, number, out) : -ENOENT;
    if (n->kind == TASK_DIR)
        return numeric && tid_exists(number) ? node_inode(i->sb, self_node, number, out) : -ENOENT;
    if (n == &proc_root && numeric)
        return number == current_pid() || tid_exists(number)
                   ? node_inode(i->sb, self_node, number == current_pid() ? 0 : number, out)
                   : -ENOENT;
    struct proc_node *c = child_find(n, name, len);
    if (!c || (c->kind == TASK_DIR && i->proc.tid))
        return -ENOENT;
    return node_inode(i->sb, c, i->proc.tid, out);
}

static unsigned kind_type(enum kind k)
{
    switch (k) {
    case DIR:
    case FD_DIR:
    case FDINFO_DIR:
    case TASK_DIR:
        return S_IFDIR >> 12;
    case TEXT:
        return S_IFREG >> 12;
    default:
        return S_IFLNK >> 12;
    }
}

// Positions: 2 + number for fds and threads; 2 + inode number of the node otherwise (siblings are
// in rising order).
static int proc_readdir(struct dentry *dir, uint64_t pos, struct dir_batch *b)
{
    const struct proc_node *n = dir->inode->proc.node;
    char name[12];
    int err = fill();
    if (err)
        return err;
    if (n->kind == FD_DIR || n->kind == FDINFO_DIR) {
        struct fd_table *t = procfs_current_fds ? procfs_current_fds() : NULL;
        int fd = t ? fd_next(t, (int)(pos - 2)) : -1;
        for (; fd >= 0; fd = fd_next(t, fd + 1)) {
            int len = lib_snprintf(name, sizeof(name), "%d", fd);
            if (!dir_batch_add(b, name, (size_t)len, ((uint64_t)n->ino << 32) + (uint64_t)fd + 1,
                               (n->kind == FD_DIR ? S_IFLNK : S_IFREG) >> 12, (uint64_t)fd + 3))
                break;
        }
        return 0;
    }
    if (n->kind == TASK_DIR) {
        for (int tid = (int)(pos - 2);;) {
            tid = procfs_next_tid ? procfs_next_tid(tid) : tid < current_pid() ? current_pid() : -1;
            if (tid < 0)
                break;
            int len = lib_snprintf(name, sizeof(name), "%d", tid);
            if (!dir_batch_add(b, name, (size_t)len, self_node->ino + ((uint64_t)tid << 20),
                               S_IFDIR >> 12, (uint64_t)tid + 2))
                break;
        }
        return 0;
    }
    for (const struct proc_node *c = n->children; c; c = c->next) {
        const char *shown = c->name;
        if (c->ino + 2 < pos || (c->kind == TASK_DIR && dir->inode->proc.tid))
            continue;
        if (c == self_node) {
            lib_snprintf(name, sizeof(name), "%d", current_pid());
            shown = name;
        }
        if (!dir_batch_add(b, shown, strlen(shown), c->ino, kind_type(c->kind), c->ino + 3))
            break;
    }
    return 0;
}

static const struct inode_ops proc_dir_ops = {.lookup = proc_lookup, .readdir = proc_readdir};

// --- registration ---

static struct proc_node *node_add(struct proc_node *dir, const char *name, size_t len,
                                  enum kind kind)
{
    struct proc_node *n = kzalloc(sizeof(*n) + len + 1), **p = &dir->children;
    if (!n)
        return NULL;
    char *copy = (char *)(n + 1);
    memcpy(copy, name, len);
    n->name = copy;
    n->kind = kind;
    n->ino = ++last_ino;
    while (*p)
        p = &(*p)->next;
    *p = n;
    return n;
}

static int tree_add(struct proc_node *root, const char *path, bool is_default,
                    int (*show)(struct proc_buf *b), int (*write)(const char *text, size_t len))
{
    struct proc_node *dir = root;
    for (;;) {
        const char *end = strchr(path, '/');
        size_t len = end ? (size_t)(end - path) : strlen(path);
        // "self" names two things: the link, and the directory that /proc/PID shows.
        struct proc_node *n = dir == &proc_root && len == 4 && !strncmp(path, "self", 4) && end
                                  ? self_node
                                  : child_find(dir, path, len);
        if (!end) {
            if (n && n->kind != TEXT)
                return -EEXIST;
            if (!n && !(n = node_add(dir, path, len, TEXT)))
                return -ENOMEM;
            if (!n->show || !is_default) { // a registration replaces an earlier one
                n->show = show;
                n->write = write;
            }
            return 0;
        }
        if (!n && !(n = node_add(dir, path, len, DIR)))
            return -ENOMEM;
        dir = n;
        path = end + 1;
    }
}

static int make_self(void)
{
    if (self_node)
        return 0;
    self_node = node_add(&proc_root, "self/", 5, DIR); // a name that no lookup can ask for
    if (!self_node || !node_add(&proc_root, "self", 4, SELF) ||
        !node_add(&proc_root, "thread-self", 11, THREAD_SELF) ||
        !node_add(self_node, "exe", 3, EXE) || !node_add(self_node, "cwd", 3, CWD) ||
        !node_add(self_node, "root", 4, ROOT) || !node_add(self_node, "fd", 2, FD_DIR) ||
        !node_add(self_node, "fdinfo", 6, FDINFO_DIR) || !node_add(self_node, "task", 4, TASK_DIR))
        return -ENOMEM;
    return 0;
}

int procfs_add(const char *path, int (*show)(struct proc_buf *b),
               int (*write)(const char *text, size_t len))
{
    int err = make_self();
    return err ? err : tree_add(&proc_root, path, false, show, write);
}

int procfs_add_default(const char *path, int (*show)(struct proc_buf *b))
{
    return tree_add(&proc_root, path, true, show, NULL);
}

int procfs_add_link(const char *name, const char *target)
{
    struct proc_node *n = node_add(&proc_root, name, strlen(name), LINK);
    if (!n)
        return -ENOMEM;
    n->target = target;
    return 0;
}

int sysfs_add(const char *path, int (*show)(struct proc_buf *b))
{
    return tree_add(&sys_root, path, true, show, NULL);
}

static int tree_mount(struct fs_context *c, const char *path, const char *type, long magic,
                      struct proc_node *root)
{
    struct super *sb = kzalloc(sizeof(*sb));
    struct inode *i;
    if (!sb)
        return -ENOMEM;
    sb->type = type;
    sb->magic = magic;
    sb->uncached = true;
    int err = node_inode(sb, root, 0, &i);
    if (err)
        return err;
    sb->root = dentry_alloc(NULL, "", 0);
    if (!sb->root)
        return -ENOMEM;
    sb->root->inode = i;
    sb->root->flags = D_ROOT;
    return fs_mount_at(c, path, sb);
}

int procfs_mount(struct fs_context *c)
{
    int err = make_self();
    if (!err && procfs_fill)
        err = procfs_fill();
    return err ? err : tree_mount(c, "/proc", "proc", 0x9fa0, &proc_root);
}

int sysfs_mount(struct fs_context *c)
{
    return tree_mount(c, "/sys", "sysfs", 0x62656572, &sys_root);
}
