// SPDX-License-Identifier: ISC
// Private to fs/: inodes, names (dentries), mounted file systems (supers) and path walks.
//
// Locks, outermost first. fs_lock (one mutex) guards the tree of names: dentries, directories,
// inode metadata, reference counts of both. It is never held while program memory is touched.
// inode_write_lock() (a mutex out of a small pool) serialises writers and truncation of a file's
// data and is taken before fs_lock and before mm's locks; inode->data_lock (a spin lock) guards the
// page tree of a file and is innermost.
#ifndef LITH_FS_VFS_H
#define LITH_FS_VFS_H

#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/stat.h>
#include "fs/fs.h"
#include "fs/limits.h"
#include "fs/erofs.h"
#include "fs/page_tree.h"

// <linux/stat.h> leaves these out where a hosted C library is present (unit tests).
#ifndef S_IFMT
#define S_IFMT      00170000
#define S_IFSOCK    0140000
#define S_IFLNK     0120000
#define S_IFREG     0100000
#define S_IFBLK     0060000
#define S_IFDIR     0040000
#define S_IFCHR     0020000
#define S_IFIFO     0010000
#define S_ISUID     0004000
#define S_ISGID     0002000
#define S_ISVTX     0001000
#define S_ISLNK(m)  (((m)&S_IFMT) == S_IFLNK)
#define S_ISREG(m)  (((m)&S_IFMT) == S_IFREG)
#define S_ISDIR(m)  (((m)&S_IFMT) == S_IFDIR)
#define S_ISCHR(m)  (((m)&S_IFMT) == S_IFCHR)
#define S_ISBLK(m)  (((m)&S_IFMT) == S_IFBLK)
#define S_ISFIFO(m) (((m)&S_IFMT) == S_IFIFO)
#define S_ISSOCK(m) (((m)&S_IFMT) == S_IFSOCK)
#endif
#define SEEK_SET_  0
#define SEEK_CUR_  1
#define SEEK_END_  2
#define SEEK_DATA_ 3
#define SEEK_HOLE_ 4

struct super;
struct file_locks;
struct pipe;

// --- names ---
#define D_HASHED 1u // can be found by lookup
#define D_UPPER \
    2u // an entry of an in-memory directory: pinned (one reference), in its list of entries
#define D_DELETED 4u  // unlinked; only open files still know it
#define D_MOUNTED 8u  // a file system is mounted here
#define D_ROOT    16u // root of its file system
struct dentry {
    struct dentry *parent; // referenced; itself for roots
    struct inode *inode; // referenced; NULL: the name does not exist (D_UPPER: hides a lower entry)
    struct dentry *hash_next;
    struct list_head link; // D_UPPER: in the directory's entries; refs 0: least recently used list
    char *name;            // inline_name or memory of its own
    uint64_t cookie;       // D_UPPER: position in the directory
    uint32_t refs, hash;
    uint8_t flags, name_len;
    char inline_name[FS_INLINE_NAME];
};

// --- inodes ---
#define I_PINNED 1u // lower inode that differs from its image: stays in memory while it has a name
#define I_LOWER  2u // in the inode cache, from the image
struct inode {
    const struct inode_ops *ops;
    struct super *sb;
    struct vm_object object; // regular files: what mmap() maps
    uint32_t refs, nlink;
    uint32_t mode, uid, gid, flags;
    uint64_t ino, rdev, size;
    uint64_t atime, mtime, ctime; // ns since 1970
    struct inode *cache_next;     // I_LOWER
    uint64_t lower_nid;           // I_LOWER
    struct file_locks *locks;     // flock and record locks; NULL: none
    spinlock_t data_lock;
    union {
        struct {
            struct page_tree pages;
            struct erofs_data lower;
            uint64_t
                lower_len; // bytes from the start that still come from the image where no page is
            bool tail_is_zero; // the image's bytes behind its end were looked at
            char *mapped_as;   // path at the first mmap(), or NULL
        } reg;
        struct {
            struct dentry *dentry;    // its one name
            struct list_head entries; // D_UPPER dentries by rising cookie
            uint64_t next_cookie;
            bool lower; // merged with the image's directory lower_nid
            struct erofs_data lower_data;
        } dir;
        struct {
            char *target;
            struct erofs_data lower;
        } symlink;
        struct pipe *fifo;
        struct {
            void *sock; // NULL: nobody is bound
            void (*gone)(void *sock);
            struct inode *next; // in the list of bound nodes
        } socket;
        struct {
            void *node; // struct proc_node
            int tid, fd;
        } proc;
    };
};

// Directory entries on their way out: filled under fs_lock, handed to the caller without it.
struct dir_batch {
    char *buf;
    size_t used, size;
};
struct dir_record {
    uint64_t ino, next_pos;
    uint8_t type, name_len; // type: mode >> 12
    char name[];
};
// False: full. next_pos: cookie of what follows this entry.
bool dir_batch_add(struct dir_batch *b, const char *name, size_t len, uint64_t ino, unsigned type,
                   uint64_t next_pos);

// What a file system does. All under fs_lock but truncate, fallocate and open. NULL: -EPERM, or
// -EROFS for the operations that change a directory.
struct inode_ops {
    // Inode of a name with a reference, or -ENOENT.
    int (*lookup)(struct dentry *dir, const char *name, size_t len, struct inode **out);
    int (*readdir)(struct dentry *dir, uint64_t pos, struct dir_batch *b); // pos >= 2
    // Makes d (negative, in its directory) a file of this mode; target for symbolic links.
    int (*make)(struct dentry *d, unsigned mode, uint64_t rdev, const char *target);
    int (*link)(struct dentry *d, struct inode *inode);
    int (*remove)(struct dentry *d); // unlink or rmdir
    // d becomes name in dir; victim is the dentry there (maybe negative). exchange: they swap
    // places.
    int (*rename)(struct dentry *d, struct dentry *victim, bool exchange);
    ssize_t_k (*readlink)(struct inode *i, char *buf, size_t size);
    // Magic links: the object itself, referenced, as a name or as a nameless file.
    int (*jump)(struct inode *i, struct dentry **d, struct file **f);
    int (*changed)(struct inode *i); // metadata is about to change: 0, or refuse
    int (*truncate)(struct inode *i, uint64_t len);
    int (*fallocate)(struct inode *i, int mode, uint64_t off, uint64_t len);
    int (*open)(struct inode *i, struct file *f); // regular files: sets f->ops
    void (*free)(struct inode *i);                // last reference: content
    uint64_t (*blocks)(struct inode *i);          // 512-byte units
};

struct super {
    const char *type;       // "overlay", "tmpfs", "proc"
    struct dentry *root;    // referenced
    struct dentry *covered; // referenced; NULL: root of all
    uint64_t dev;           // st_dev
    uint64_t next_ino;
    uint64_t bytes_used, bytes_max; // memory bound of tmpfs
    const struct erofs *lower;
    uint64_t lower_pa; // physical address of the image
    bool uncached;     // names are looked up afresh each time (procfs)
    bool read_only;
    long magic; // statfs
};

extern struct mutex fs_lock;
extern struct super *fs_mounts[FS_MOUNTS_MAX];
extern unsigned fs_mount_count;

// dcache.c, all under fs_lock
int dcache_init(uint64_t ram_bytes);
struct dentry *dentry_alloc(struct dentry *parent, const char *name,
                            size_t len); // not hashed, one reference
void dentry_hash_insert(struct dentry *d);
void dentry_hash_remove(struct dentry *d);
struct dentry *dentry_find(struct dentry *parent, const char *name,
                           size_t len); // cached, with reference, or NULL
int dentry_lookup(struct dentry *parent, const char *name, size_t len,
                  struct dentry **out); // maybe negative
int dentry_set_name(struct dentry *d, char *long_name, const char *name,
                    size_t len); // takes long_name
static inline struct dentry *dentry_get(struct dentry *d);
void dentry_put(struct dentry *d);
void dentry_mark_deleted(struct dentry *d);
size_t dcache_shrink(size_t count);
bool dentry_is_below(const struct dentry *d, const struct dentry *ancestor); // or the same
struct inode *inode_alloc(struct super *sb, const struct inode_ops *ops,
                          unsigned mode); // one reference
void inode_put(struct inode *i);          // under fs_lock
static inline struct inode *inode_get(struct inode *i)
{
    __atomic_fetch_add(&i->refs, 1, __ATOMIC_RELAXED);
    return i;
}
void inode_unref(struct inode *i);                              // without fs_lock
struct inode *inode_cache_find(struct super *sb, uint64_t nid); // with reference
void inode_cache_insert(struct inode *i, uint64_t nid);
struct mutex *inode_write_lock(struct inode *i); // locked
static inline struct dentry *dentry_get(struct dentry *d)
{
    d->refs++;
    if (d->refs == 1 && !(d->flags & D_UPPER))
        list_del(&d->link); // off the LRU list
    return d;
}

// mount.c
int super_mount(struct super *sb, struct dentry *at); // under fs_lock; at NULL: root of all
struct dentry *mount_cross(struct dentry *d);         // consumes d's reference
ssize_t_k dentry_path(const struct dentry *d, const struct dentry *root, char *buf, size_t size);

// namei.c
struct fs_context {
    uint32_t refs;
    struct dentry *root, *cwd;
};
struct walk {
    struct fs_context *ctx;
    struct dentry *dir; // where `last` is looked up; referenced
    struct file *file;  // a magic link led to a nameless file; referenced
    const char *last;   // last component; last_len 0: dir itself
    size_t last_len;
    bool want_dir; // a slash follows
    const char *rest;
    char *owned; // memory of the string that rest points into
    unsigned links, depth;
    struct {
        const char *rest;
        char *owned;
    } stack[FS_LINKS_MAX];
};
#define WALK_FOLLOW 1u // the last component's symbolic link too
#define WALK_CREATE 2u // a negative last component is an answer
#define WALK_EMPTY  4u // AT_EMPTY_PATH
#define WALK_FILE   8u // nameless files behind magic links are an answer (in w->file, *out NULL)
// Both under fs_lock. walk_start resolves all but the last component; walk_last looks that up (with
// reference).
int walk_start(struct walk *w, struct fs_context *c, struct file *dir, const char *path,
               unsigned flags);
int walk_last(struct walk *w, unsigned flags, struct dentry **out);
void walk_end(struct walk *w); // always
// Path to a named, existing dentry in one go; takes fs_lock and leaves it locked on success only.
int path_lookup_locked(struct fs_context *c, struct file *dir, const char *path, unsigned flags,
                       struct dentry **out);

// tmpfs.c
int tmpfs_create(uint64_t bytes_max, const struct erofs *lower, uint64_t lower_pa, unsigned mode,
                 struct super **out);
struct inode *tmpfs_new_inode(struct super *sb, unsigned mode, uint64_t rdev);
bool tmpfs_charge(struct super *sb, uint64_t bytes);
void tmpfs_uncharge(struct super *sb, uint64_t bytes);
void tmpfs_pin(struct inode *i); // the image no longer describes it
extern const struct inode_ops tmpfs_dir_ops, tmpfs_reg_ops, tmpfs_symlink_ops, tmpfs_special_ops;
// tmpfs_file.c
extern const struct file_ops tmpfs_file_ops;
extern const struct vm_object_ops tmpfs_object_ops;
int tmpfs_truncate(struct inode *i, uint64_t len);
int tmpfs_fallocate(struct inode *i, int mode, uint64_t off, uint64_t len);
void tmpfs_reg_free(struct inode *i);
uint64_t tmpfs_blocks(struct inode *i);

// names.c
void socket_node_free(struct inode *i);

// open.c: what fs_names gives files with a name
void file_put_named(struct file *f);
void file_closed_named(struct file *f, const void *owner);
// console.c
extern const struct file_ops console_ops, console_err_ops;
// file.c
struct file *file_alloc(int flags);
extern const struct file_ops vfs_dir_ops, vfs_path_ops;
int64_t seek_in(struct file *f, int64_t off, int whence, uint64_t size); // new position or -EINVAL
// devfs.c
int devfs_mount(struct fs_context *c);
int devfs_open(uint64_t rdev, struct file *f); // sets f->ops
// procfs.c
int procfs_mount(struct fs_context *c);
int procfs_register_files(void);
int procfs_add_default(const char *path, int (*show)(struct proc_buf *b)); // unless there is one
int procfs_add_link(const char *name, const char *target);                 // in /proc itself
int sysfs_mount(struct fs_context *c);
int sysfs_add(const char *path, int (*show)(struct proc_buf *b)); // path below /sys
// root.c
extern struct super *shm_super; // tmpfs that no path leads to: memfd, mapped /dev/zero
int fs_mount_at(struct fs_context *c, const char *path,
                struct super *sb); // makes the directory if need be
// pipe.c
int fifo_open(struct inode *i, struct file *f); // may sleep
void fifo_free(struct inode *i);
// locks.c
void locks_release_file(struct file *f);                      // flock of an open file
void locks_release_owner(struct inode *i, const void *owner); // record locks of a descriptor table
void locks_free(struct inode *i);

static inline uint64_t fs_now(void)
{
    return clock_realtime_ns();
}
static inline unsigned mode_type(unsigned mode)
{
    return (mode & S_IFMT) >> 12;
}
#define MKDEV(major, minor) ((uint64_t)(((major)&0xfffu) << 8 | ((minor)&0xffu)))

#endif
