// SPDX-License-Identifier: ISC
// fs: files, inodes, paths, mounts; EROFS, tmpfs, overlay, devfs, procfs, pipes.
// In threads only (most calls may sleep). Errors are Linux's, as the man page of the call says.
#ifndef LITH_FS_H
#define LITH_FS_H

#include <asm/stat.h>
#include <asm/statfs.h>
#include <linux/uio.h>
#include "sched/sched.h"

struct file;
struct inode;
struct dentry;
struct flock; // <linux/fcntl.h>
struct fs_context;

// --- data in and out: a list of pieces in program or kernel memory ---
struct iov_iter {
    struct iovec one;        // storage for the common single piece
    const struct iovec *iov; // pieces (kernel copy)
    unsigned count;
    size_t skip; // bytes of iov[0] already used
    size_t left; // bytes in all
};
// One piece; program memory must have passed user_range_ok (import does that). Kernel memory:
// _kernel.
int iov_import_one(struct iov_iter *it, void *user_base, size_t len);
void iov_init_kernel(struct iov_iter *it, void *base, size_t len);
// Bytes copied (short only at the end of the iterator), or -EFAULT if none could be. Advance the
// iterator.
ssize_t_k iov_copy_to(struct iov_iter *it, const void *src, size_t n); // kernel -> iterator
ssize_t_k iov_copy_from(struct iov_iter *it, void *dst, size_t n);     // iterator -> kernel
ssize_t_k iov_zero(struct iov_iter *it, size_t n);

// --- readiness ---
struct poll_table {
    void (*queue)(struct poll_table *pt, struct wait_queue *q); // remembers q; NULL: only ask
};
static inline void poll_wait_on(struct poll_table *pt, struct wait_queue *q)
{
    if (pt && pt->queue)
        pt->queue(pt, q);
}

// --- open files ---
struct file_ops {
    const char *name; // for /proc/self/fd of nameless files: "socket", "anon_inode:[eventpoll]"
    unsigned mode;    // type and permissions that fstat() shows for nameless files; 0: 0600
    // *pos is the file position (pread passes its own); streams ignore it.
    ssize_t_k (*read)(struct file *f, struct iov_iter *to, uint64_t *pos);
    ssize_t_k (*write)(struct file *f, struct iov_iter *from, uint64_t *pos);
    // EPOLLIN|... that hold now; registers in pt's queues first when pt is given. NULL: always
    // ready.
    unsigned (*poll)(struct file *f, struct poll_table *pt);
    long (*ioctl)(struct file *f, unsigned cmd, unsigned long arg);
    long (*seek)(struct file *f, int64_t off, int whence); // NULL: -ESPIPE
    int (*map_object)(struct file *f, struct vm_object **out, int prot,
                      int flags); // reference given
    int (*fsync)(struct file *f, bool data_only);
    // emit returns false when the caller's buffer is full. f->pos is the cookie.
    int (*readdir)(struct file *f,
                   bool (*emit)(void *ctx, const char *name, size_t len, uint64_t ino,
                                unsigned type, uint64_t next_pos),
                   void *ctx);
    void (*release)(struct file *f);             // last reference
    int (*set_flags)(struct file *f, int flags); // F_SETFL; NULL: any
    // Opening /proc/self/fd/N of a nameless file: a new open file. NULL: -ENXIO (sockets).
    int (*reopen)(struct file *f, int flags, struct file **out);
};
struct file {
    const struct file_ops *ops;
    uint32_t refs;
    int flags; // O_*: access mode, O_NONBLOCK, O_APPEND, ...
    uint64_t pos;
    struct inode *inode;          // NULL for nameless files
    struct dentry *dentry;        // how it was opened; NULL for nameless
    void *priv;                   // the implementation's
    struct list_head epoll_items; // linux/epoll.c
    int owner;                    // F_SETOWN
    uint64_t id;                  // inode number of a nameless file: unique, given by file_create()
};
// A nameless file (socket, eventfd, ...). NULL: memory is short.
struct file *file_create(const struct file_ops *ops, void *priv, int flags);
static inline struct file *file_ref(struct file *f)
{
    __atomic_fetch_add(&f->refs, 1, __ATOMIC_RELAXED);
    return f;
}
void file_unref(struct file *f);
ssize_t_k file_read(struct file *f, struct iov_iter *to, uint64_t *pos); // checks mode, directories
ssize_t_k file_write(struct file *f, struct iov_iter *from, uint64_t *pos);
ssize_t_k file_read_kernel(struct file *f, void *buf, size_t n,
                           uint64_t off); // exact or short at the end
// f->ops->poll, or always ready.
unsigned file_poll(struct file *f, struct poll_table *pt);
long file_seek(struct file *f, int64_t off, int whence); // new position; -ESPIPE
// Next entries from f->pos on (the cookie), `emit` as in file_ops; called without locks, may touch
// program memory.
int file_readdir(struct file *f,
                 bool (*emit)(void *ctx, const char *name, size_t len, uint64_t ino, unsigned type,
                              uint64_t next_pos),
                 void *ctx);
int file_set_flags(struct file *f, int flags); // F_SETFL: O_APPEND, O_NONBLOCK, O_DIRECT, O_NOATIME
extern void (*file_closed_hook)(struct file *f); // epoll forgets the file

// The console as a nameless file: fd 2 is the stream of errors. -ENOMEM.
int console_open(int fd, struct file **out);

// --- descriptor tables ---
struct fd_table;
struct fd_table *fd_table_create(void);
struct fd_table *fd_table_clone(struct fd_table *t);
void fd_table_ref(struct fd_table *t);
void fd_table_unref(struct fd_table *t); // closes all at the last reference
// Lowest free number >= min gets f (reference moves in). -EMFILE. limit: RLIMIT_NOFILE.
int fd_install(struct fd_table *t, struct file *f, int min, bool cloexec, unsigned limit);
int fd_replace(struct fd_table *t, int fd, struct file *f, bool cloexec, unsigned limit); // dup2
struct file *fd_get(struct fd_table *t, int fd); // with a reference; NULL: -EBADF
int fd_close(struct fd_table *t, int fd);
int fd_get_cloexec(struct fd_table *t, int fd);
int fd_set_cloexec(struct fd_table *t, int fd, bool on);
int fd_next(struct fd_table *t, int from); // first open number >= from, or -1
void fd_close_on_exec(struct fd_table *t);

// --- paths ---
// What files and descriptors need of the tree of names, where it is part of the image; NULL where
// nothing opens files by name, and no root file system is mounted.
struct fs_names {
    struct fs_context *(*context_create)(void);
    int (*chdir)(struct fs_context *c, struct file *dir, const char *path);
    void (*put)(struct file *f);                          // a named file's last reference
    void (*closed_by)(struct file *f, const void *owner); // a descriptor of `owner` was closed
    // Sockets with names, as vfs_bind_socket() and its kin below.
    int (*bind_socket)(struct fs_context *c, const char *path, unsigned mode, void *sock,
                       void (*gone)(void *sock));
    void (*unbind_socket)(void *sock);
    int (*find_socket)(struct fs_context *c, const char *path, void **sock);
};
extern const struct fs_names *fs_names;
// Per-process view: root and current directory. Opaque; shared by threads.
struct fs_context;
struct fs_context *fs_context_create(void); // root "/", cwd "/"
struct fs_context *fs_context_clone(struct fs_context *c);
void fs_context_ref(struct fs_context *c);
void fs_context_unref(struct fs_context *c);

// All path calls: `dir` is the file of dirfd, or NULL for AT_FDCWD; path is kernel memory, at most
// PATH_MAX with NUL. Creation modes come with the umask applied already. uid/gid do not gate access
// (DESIGN.md section 9): everything runs as the superuser of its instance.
int vfs_open(struct fs_context *c, struct file *dir, const char *path, int flags, unsigned mode,
             struct file **out); // O_*
int vfs_stat(struct fs_context *c, struct file *dir, const char *path, int at_flags,
             struct stat *out); // AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH
int vfs_fstat(struct file *f, struct stat *out);
int vfs_mkdir(struct fs_context *c, struct file *dir, const char *path, unsigned mode);
int vfs_mknod(struct fs_context *c, struct file *dir, const char *path, unsigned mode,
              uint64_t dev);
int vfs_unlink(struct fs_context *c, struct file *dir, const char *path,
               int at_flags); // AT_REMOVEDIR
int vfs_rename(struct fs_context *c, struct file *od, const char *o, struct file *nd, const char *n,
               unsigned flags);
int vfs_link(struct fs_context *c, struct file *od, const char *o, struct file *nd, const char *n,
             int at_flags);
int vfs_symlink(struct fs_context *c, const char *target, struct file *dir, const char *path);
ssize_t_k vfs_readlink(struct fs_context *c, struct file *dir, const char *path, char *buf,
                       size_t size);
int vfs_access(struct fs_context *c, struct file *dir, const char *path, int mode, int at_flags);
int vfs_chmod(struct fs_context *c, struct file *dir, const char *path, unsigned mode,
              int at_flags);
int vfs_chown(struct fs_context *c, struct file *dir, const char *path, uint32_t uid, uint32_t gid,
              int at_flags);
// times: ns since 1970; UINT64_MAX: leave.
int vfs_utimes(struct fs_context *c, struct file *dir, const char *path, uint64_t atime,
               uint64_t mtime, int at_flags);
int vfs_truncate(struct fs_context *c, const char *path, uint64_t len);
int vfs_ftruncate(struct file *f, uint64_t len);
int vfs_fallocate(struct file *f, int mode, uint64_t off, uint64_t len);
int vfs_chdir(struct fs_context *c, struct file *dir, const char *path); // path NULL: fchdir(dir)
int vfs_chroot(struct fs_context *c, const char *path);
ssize_t_k vfs_getcwd(struct fs_context *c, char *buf, size_t size); // length with the NUL; -ERANGE
int vfs_statfs(struct fs_context *c, struct file *dir, const char *path,
               struct statfs *out); // path NULL: dir itself
ssize_t_k file_path(struct file *f, char *buf,
                    size_t size);      // length; absolute path, "socket:[1]", "pipe:[2]"
int vfs_flock(struct file *f, int op); // advisory whole-file locks; may sleep; -EINTR
// Record locks: cmd F_GETLK, F_SETLK, F_SETLKW. The owner is the process's descriptor table, and
// fd_close() of any descriptor of the file releases its locks (POSIX).
int vfs_record_lock(struct file *f, struct fd_table *owner, int cmd, struct flock *fl, int pid);
// memfd_create: a file of tmpfs without a name in any directory.
int vfs_memfd(const char *name, int flags, struct file **out);
// Socket nodes: attach/find an object at an S_IFSOCK inode (AF_UNIX bind/connect).
int vfs_bind_socket(struct fs_context *c, const char *path, unsigned mode, void *sock,
                    void (*gone)(void *sock));
// The socket closes: its node stays, but nobody is bound to it any more. `gone` is called (it must
// not call vfs) when the node goes first.
void vfs_unbind_socket(void *sock);
int vfs_find_socket(struct fs_context *c, const char *path,
                    void **sock); // -ECONNREFUSED: nobody bound

// What uname(2) and /proc/sys/kernel tell: a kernel that current C libraries accept.
#define FS_OSRELEASE "6.1.0-lith"
#define FS_OSVERSION "#1 SMP PREEMPT_DYNAMIC Lith"

// --- file systems: mounted at start-up (a record) ---
// EROFS from plat_info.root_* below a tmpfs overlay; then /dev, /proc, /sys, /tmp if empty, /run.
int fs_mount_root(void);
// Given by linux: adds what the kernel knows of processes, memory and network to /proc, which is
// being mounted. Weak: /proc works without.
int procfs_fill(void) __attribute__((weak));
// A new file in procfs: text is produced at open time by show() into a growing buffer.
struct proc_buf {
    char *data;
    size_t len, size;
};
void proc_printf(struct proc_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void proc_put(struct proc_buf *b, const void *data, size_t n); // bytes as they are
// path below /proc: "meminfo", "self/maps", "sys/net/core/somaxconn". write may be NULL.
int procfs_add(const char *path, int (*show)(struct proc_buf *b),
               int (*write)(const char *text, size_t len));
// "self/fd" and "self/exe" need the process: linux gives these.
extern struct fd_table *(*procfs_current_fds)(void);
extern ssize_t_k (*procfs_current_exe)(char *buf, size_t size);
extern struct fs_context *(*procfs_current_fs)(void); // for self/cwd and self/root
extern int (*procfs_current_pid)(void);               // 1 until given
extern int (*procfs_current_tid)(void);
// The current process's smallest thread number > after, or -1: lists self/task. The files of
// self/task/N are those of self/, whose show() finds N here (0: the process was asked).
extern int (*procfs_next_tid)(int after);
int procfs_asked_tid(void);
// A character device in devfs. What a program gets as stdin and stdout is "/dev/console", as stderr
// "/dev/console-err": two streams of the same console; reading gives end of file.
int devfs_add(const char *name, unsigned major, unsigned minor, const struct file_ops *ops,
              unsigned mode);

// --- pipes ---
int pipe_create(struct file **read_end, struct file **write_end, int flags);
long pipe_get_size(struct file *f);              // F_GETPIPE_SZ; -EBADF: not a pipe
long pipe_set_size(struct file *f, size_t size); // F_SETPIPE_SZ: new size; -EBUSY, -EPERM
size_t pipe_readable(struct file *f);            // FIONREAD; 0 when it is no pipe

#endif
