// SPDX-License-Identifier: ISC
// links: kernel/fs/console.c
// links: kernel/fs/attr.c kernel/fs/dcache.c kernel/fs/devfs.c kernel/fs/erofs.c
// links: kernel/fs/fdtable.c kernel/fs/file.c kernel/fs/iov.c kernel/fs/locks.c kernel/fs/mount.c
// links: kernel/fs/namei.c kernel/fs/names.c kernel/fs/open.c kernel/fs/page_tree.c
// links: kernel/fs/pipe.c kernel/fs/procfs.c kernel/fs/procfs_files.c kernel/fs/root.c
// links: kernel/fs/tmpfs.c kernel/fs/tmpfs_file.c tests/unit/shim_core.c tests/unit/shim_mm.c
// links: tests/unit/shim_sched.c kernel/lib/format.c kernel/lib/hash.c kernel/lib/rbtree.c
// Open files without a disk below: descriptor tables, iterators, pipes and FIFOs, devices, /proc,
// locks, sockets' nodes; and every call with memory running short.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include "fs_util.h"
#include <cmocka.h>

static struct fd_table *fds;

static struct fd_table *current_fds(void)
{
    return fds;
}
static struct fs_context *current_fs(void)
{
    return ctx;
}
static int next_tid(int after)
{
    return after < 1 ? 1 : after < 7 ? 7 : -1;
}
static ssize_t_k current_exe(char *buf, size_t size)
{
    return (ssize_t_k)lib_strlcpy(buf, "/hello", size);
}

static int setup(void **state)
{
    uint64_t len;
    (void)state;
    host_dir_make();
    run("cd %s && mkdir -p dev proc sys etc tmp run var/tmp d && printf hello > hello && printf "
        "low > d/low",
        host_dir);
    image_make(host_dir, "", &len);
    mount_image(len);
    fds = fd_table_create();
    procfs_current_fds = current_fds;
    procfs_current_fs = current_fs;
    procfs_next_tid = next_tid;
    procfs_current_exe = current_exe;
    return 0;
}

static struct file *open_file(const char *path, int flags)
{
    struct file *f = NULL;
    int err = vfs_open(ctx, NULL, path, flags, 0644, &f);
    if (err)
        fail_msg("%s: %d", path, err);
    return f;
}

static void test_descriptors(void **state)
{
    struct fd_table *t = fd_table_create(), *copy;
    struct file *f = open_file("/hello", O_RDONLY);
    (void)state;
    for (int i = 0; i < 200; i++)
        assert_int_equal(fd_install(t, file_ref(f), 0, i % 2, 1024), i);
    assert_int_equal(fd_install(t, f, 0, false, 200), -EMFILE);
    assert_int_equal(fd_close(t, 70), 0);
    assert_int_equal(fd_close(t, 70), -EBADF);
    assert_int_equal(fd_close(t, 5), 0);
    assert_int_equal(fd_install(t, file_ref(f), 10, false, 1024), 70); // lowest from 10 on
    assert_int_equal(fd_install(t, file_ref(f), 0, false, 1024), 5);
    assert_int_equal(fd_install(t, file_ref(f), 300, true, 1024), 300);
    assert_int_equal(fd_install(t, f, 2000, true, 1024), -EINVAL);
    assert_int_equal(fd_replace(t, 900, file_ref(f), false, 1024), 900);
    assert_int_equal(fd_replace(t, 900, file_ref(f), false, 1024), 900);
    assert_int_equal(fd_replace(t, 1024, f, false, 1024), -EBADF);
    assert_int_equal(fd_next(t, 301), 900);
    assert_int_equal(fd_next(t, 901), -1);
    assert_int_equal(fd_get_cloexec(t, 300), 1);
    assert_int_equal(fd_set_cloexec(t, 300, false), 0);
    assert_int_equal(fd_get_cloexec(t, 300), 0);
    assert_int_equal(fd_get_cloexec(t, 301), -EBADF);
    assert_null(fd_get(t, -1));
    assert_null(fd_get(t, 100000));
    assert_int_equal(f->refs, 203);
    copy = fd_table_clone(t);
    assert_int_equal(f->refs, 405);
    fd_close_on_exec(copy);
    assert_int_equal(fd_next(copy, 0), 0);
    assert_int_equal(fd_next(copy, 1), 2);
    fd_table_unref(copy);
    fd_table_unref(t);
    assert_int_equal(f->refs, 1);
    file_unref(f);
}

static void test_iterators(void **state)
{
    char a[3], b[5], c[4], src[] = "abcdefghijkl";
    struct iovec v[] = {{a, 3}, {b, 0}, {b, 5}, {NULL, 0}, {c, 4}};
    struct iov_iter it = {.iov = v, .count = 5, .left = 12};
    (void)state;
    assert_int_equal(iov_copy_to(&it, src, 2), 2);
    assert_int_equal(iov_copy_to(&it, src + 2, 8), 8);
    assert_int_equal(iov_copy_to(&it, src + 10, 10), 2); // short at the end
    assert_memory_equal(a, "abc", 3);
    assert_memory_equal(b, "defgh", 5);
    assert_memory_equal(c, "ijkl", 4);
    it = (struct iov_iter){.iov = v, .count = 5, .left = 12};
    char dst[13] = {0};
    assert_int_equal(iov_copy_from(&it, dst, 12), 12);
    assert_string_equal(dst, src);
    iov_init_kernel(&it, NULL, 4);
    assert_int_equal(iov_copy_to(&it, src, 4), -EFAULT);
}

static void test_pipe(void **state)
{
    static char out[200000], in[200000];
    struct file *r, *w;
    uint64_t pages = shim_pages_live;
    (void)state;
    random_bytes(out, sizeof(out));
    assert_int_equal(pipe_create(&r, &w, O_NONBLOCK), 0);
    assert_int_equal(fread_at(r, in, 10, NULL), -EAGAIN);
    assert_int_equal(file_poll(r, NULL), 0);
    assert_int_equal(file_poll(w, NULL), EPOLLOUT | EPOLLWRNORM);
    assert_int_equal(fwrite_at(w, out, sizeof(out), NULL), 65536); // full
    assert_int_equal(pipe_readable(r), 65536);
    assert_int_equal(fwrite_at(w, out, 1, NULL), -EAGAIN);
    assert_int_equal(file_poll(w, NULL), 0);
    assert_int_equal(fread_at(r, in, 100, NULL), 100);
    assert_int_equal(fwrite_at(w, out, 4096, NULL), -EAGAIN); // whole or not at all
    assert_int_equal(fwrite_at(w, out + 65536, 100, NULL), 100);
    assert_int_equal(fread_at(r, in + 100, sizeof(in), NULL), 65536);
    assert_memory_equal(in, out, 65636);
    // Odd pieces all around the ring.
    size_t sent = 0, got = 0;
    while (got < sizeof(out)) {
        if (sent < sizeof(out)) {
            ssize_t_k n = fwrite_at(w, out + sent,
                                    MIN(sizeof(out) - sent, (size_t)(random_u64() % 30000)), NULL);
            sent += n > 0 ? (size_t)n : 0;
        }
        ssize_t_k n = fread_at(r, in + got, random_u64() % 30000, NULL);
        got += n > 0 ? (size_t)n : 0;
    }
    assert_memory_equal(in, out, sizeof(out));
    assert_true(shim_pages_live <= pages + 1); // what was read went back
    assert_int_equal(pipe_get_size(r), 65536);
    assert_int_equal(fwrite_at(w, out, 9000, NULL), 9000);
    assert_int_equal(pipe_set_size(r, 4096), -EBUSY);
    assert_int_equal(pipe_set_size(r, 10000), 16384);
    assert_int_equal(pipe_set_size(r, 2 << 20), -EPERM);
    assert_int_equal(fread_at(r, in, 20000, NULL), 9000);
    assert_memory_equal(in, out, 9000);
    fwrite_at(w, "last", 4, NULL);
    file_unref(w);
    assert_int_equal(file_poll(r, NULL), EPOLLIN | EPOLLRDNORM | EPOLLHUP);
    assert_int_equal(fread_at(r, in, 10, NULL), 4);
    assert_int_equal(fread_at(r, in, 10, NULL), 0);
    file_unref(r);
    assert_int_equal(pipe_create(&r, &w, 0), 0);
    file_unref(r);
    assert_int_equal(file_poll(w, NULL), EPOLLOUT | EPOLLWRNORM | EPOLLERR);
    assert_int_equal(fwrite_at(w, "x", 1, NULL), -EPIPE);
    file_unref(w);
    assert_int_equal(shim_pages_live, pages);
}

static struct file *reader;
static size_t drained;
static bool drain(uint64_t deadline)
{
    char buf[1000];
    (void)deadline;
    reader->flags |= O_NONBLOCK;
    ssize_t_k n = fread_at(reader, buf, sizeof(buf), NULL);
    reader->flags &= ~O_NONBLOCK;
    drained += n > 0 ? (size_t)n : 0;
    return n > 0;
}

static void test_pipe_blocks(void **state)
{
    static char out[150000];
    struct file *w;
    (void)state;
    assert_int_equal(pipe_create(&reader, &w, 0), 0);
    shim_block_hook = drain;
    drained = 0;
    assert_int_equal(fwrite_at(w, out, sizeof(out), NULL), sizeof(out));
    shim_block_hook = NULL;
    thread_current()->signal_pending = true;
    size_t left = pipe_readable(reader);
    assert_int_equal(drained + left, sizeof(out));
    assert_int_equal(fwrite_at(w, out, sizeof(out), NULL), 65536 - left); // interrupted half way
    assert_int_equal(fwrite_at(w, out, 10, NULL), -EINTR);
    thread_current()->signal_pending = false;
    file_unref(reader);
    file_unref(w);
}

static void test_fifo(void **state)
{
    struct file *r, *w;
    char buf[8];
    struct stat st;
    (void)state;
    assert_int_equal(vfs_mknod(ctx, NULL, "/fifo", S_IFIFO | 0600, 0), 0);
    assert_int_equal(vfs_open(ctx, NULL, "/fifo", O_WRONLY | O_NONBLOCK, 0, &w), -ENXIO);
    r = open_file("/fifo", O_RDONLY | O_NONBLOCK);
    assert_int_equal(file_poll(r, NULL), 0); // no writer yet: not hung up
    w = open_file("/fifo", O_WRONLY);
    assert_int_equal(fwrite_at(w, "abc", 3, NULL), 3);
    assert_int_equal(vfs_fstat(w, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    file_unref(w);
    assert_int_equal(fread_at(r, buf, 8, NULL), 3);
    assert_int_equal(fread_at(r, buf, 8, NULL), 0);
    file_unref(r);
    w = open_file("/fifo", O_RDWR); // never blocks
    assert_int_equal(fwrite_at(w, "x", 1, NULL), 1);
    assert_int_equal(fread_at(w, buf, 8, NULL), 1);
    assert_int_equal(vfs_unlink(ctx, NULL, "/fifo", 0), 0);
    file_unref(w);
}

static void test_devices(void **state)
{
    struct file *f;
    char buf[4096], zero[4096] = {0};
    struct stat st;
    struct vm_object *o, *o2;
    uint64_t pa, pos = 0;
    (void)state;
    f = open_file("/dev/null", O_RDWR);
    assert_int_equal(fread_at(f, buf, 10, &pos), 0);
    assert_int_equal(fwrite_at(f, buf, 4096, &pos), 4096);
    assert_int_equal(file_seek(f, 100, 0), 0);
    file_unref(f);
    f = open_file("/dev/zero", O_RDWR);
    assert_int_equal(fread_at(f, buf, sizeof(buf), &pos), sizeof(buf));
    assert_memory_equal(buf, zero, sizeof(buf));
    assert_int_equal(f->ops->map_object(f, &o, 0, 0), 0);
    assert_int_equal(f->ops->map_object(f, &o2, 0, 0), 0);
    assert_ptr_not_equal(o, o2);
    assert_int_equal(o->ops->get_page(o, 12345, true, &pa), 0);
    page_unref(pa);
    o->ops->unref(o);
    o2->ops->unref(o2);
    file_unref(f);
    f = open_file("/dev/full", O_RDWR);
    assert_int_equal(fwrite_at(f, buf, 1, &pos), -ENOSPC);
    file_unref(f);
    f = open_file("/dev/urandom", O_RDONLY);
    assert_int_equal(fread_at(f, buf, sizeof(buf), &pos), sizeof(buf));
    assert_memory_not_equal(buf, zero, 64);
    file_unref(f);
    assert_int_equal(vfs_open(ctx, NULL, "/dev/tty", O_RDWR, 0, &f), -ENXIO);
    f = open_file("/dev/console", O_RDWR);
    assert_int_equal(fread_at(f, buf, 10, &pos), 0);
    assert_int_equal(f->ops->ioctl(f, 0x5401, 0), -ENOTTY); // TCGETS: not a terminal
    assert_int_equal(vfs_fstat(f, &st), 0);
    assert_true(S_ISCHR(st.st_mode));
    assert_int_equal(st.st_rdev, 0x501);
    assert_int_equal(fd_install(fds, f, 0, false, 10), 0);
    f = open_file("/dev/stdin", O_WRONLY); // through /proc/self/fd/0
    struct file *first = fd_get(fds, 0);
    assert_ptr_equal(f->inode, first->inode);
    file_unref(first);
    file_unref(f);
    fd_close(fds, 0);
}

struct seen {
    char text[2000];
};
static bool add_name(void *arg, const char *name, size_t len, uint64_t ino, unsigned type,
                     uint64_t next)
{
    struct seen *s = arg;
    (void)ino;
    (void)next;
    size_t n = strlen(s->text);
    snprintf(s->text + n, sizeof(s->text) - n, "%.*s:%u ", (int)len, name, type);
    return true;
}
static const char *list(const char *path)
{
    static struct seen s;
    struct file *d = open_file(path, O_RDONLY | O_DIRECTORY);
    s.text[0] = 0;
    assert_int_equal(file_readdir(d, add_name, &s), 0);
    file_unref(d);
    return s.text;
}

static char written[64];
static int show_value(struct proc_buf *b)
{
    proc_printf(b, "value %d of %d\n", 42, procfs_asked_tid());
    return 0;
}
static int show_big(struct proc_buf *b)
{
    for (int i = 0; i < 5000; i++)
        proc_printf(b, "line %d\n", i);
    proc_put(b, "a\0b", 3);
    return 0;
}
static int store_value(const char *text, size_t len)
{
    memcpy(written, text, len + 1);
    return 0;
}

static void test_procfs(void **state)
{
    char buf[256];
    static char big[100000];
    struct stat st;
    (void)state;
    assert_int_equal(procfs_add("self/value", show_value, store_value), 0);
    assert_int_equal(procfs_add("sys/net/core/somaxconn", show_value, NULL), 0);
    assert_int_equal(procfs_add("big", show_big, NULL), 0);
    assert_string_equal(text_of("/proc/self/value"), "value 42 of 0\n");
    assert_string_equal(text_of("/proc/1/value"), "value 42 of 0\n");
    assert_string_equal(text_of("/proc/thread-self/value"), "value 42 of 1\n");
    assert_string_equal(text_of("/proc/self/task/7/value"), "value 42 of 7\n");
    assert_string_equal(text_of("/proc/2/value"), "error -2");
    assert_string_equal(text_of("/proc/self/task/8/value"), "error -2");
    assert_string_equal(text_of("/proc/sys/net/core/somaxconn"), "value 42 of 0\n");
    assert_non_null(strstr(text_of("/proc/meminfo"), "MemTotal:         262144 kB\n"));
    assert_non_null(strstr(text_of("/proc/self/mounts"), "overlay / overlay rw,relatime 0 0\n"));
    assert_non_null(strstr(text_of("/proc/mounts"), "tmpfs /dev/shm tmpfs rw,relatime 0 0\n"));
    assert_non_null(strstr(text_of("/proc/self/mountinfo"), "23 20 0:19 / /proc rw"));
    assert_int_equal(strlen(text_of("/proc/sys/kernel/random/uuid")), 37);
    assert_string_equal(text_of("/proc/sys/kernel/osrelease"), FS_OSRELEASE "\n");
    assert_string_equal(text_of("/sys/devices/system/cpu/online"), "0\n");
    assert_string_equal(text_of("/sys/kernel/mm/transparent_hugepage/enabled"),
                        "always madvise [never]\n");
    assert_string_equal(text_of("/proc/uptime"), "1.00 0.00\n");
    struct file *f = open_file("/proc/big", O_RDONLY);
    ssize_t_k n = fread_all(f, big, sizeof(big), 0);
    assert_memory_equal(big + n - 13, "line 4999\na\0b", 13);
    assert_int_equal(file_seek(f, -3, SEEK_END_), n - 3);
    file_unref(f);
    assert_int_equal(put_text("/proc/self/value", "new"), 0);
    assert_string_equal(written, "new");
    assert_int_equal(put_text("/proc/uptime", "1"), -EACCES);
    assert_int_equal(vfs_mkdir(ctx, NULL, "/proc/x", 0755), -EROFS);
    assert_int_equal(vfs_unlink(ctx, NULL, "/proc/uptime", 0), -EROFS);
    assert_int_equal(vfs_chmod(ctx, NULL, "/proc/uptime", 0777, 0), -EPERM);
    assert_int_equal(vfs_rename(ctx, NULL, "/proc/uptime", NULL, "/proc/big", 0), -EROFS);
    assert_int_equal(vfs_rename(ctx, NULL, "/proc", NULL, "/other", 0), -EBUSY);
    // Descriptors as links.
    struct file *r, *w;
    assert_int_equal(pipe_create(&r, &w, O_NONBLOCK), 0);
    assert_int_equal(fd_install(fds, open_file("/hello", O_RDONLY), 0, false, 10), 0);
    assert_int_equal(fd_install(fds, w, 0, false, 10), 1);
    assert_int_equal(fd_install(fds, open_file("/d", O_RDONLY), 0, false, 10), 2);
    assert_string_equal(list("/proc/self/fd"), ".:4 ..:4 0:10 1:10 2:10 ");
    assert_string_equal(list("/proc/self/task"), ".:4 ..:4 1:4 7:4 ");
    assert_string_equal(list("/dev/fd/"), ".:4 ..:4 0:10 1:10 2:10 ");
    assert_non_null(strstr(list("/proc"), " 1:4 "));
    assert_int_equal(vfs_readlink(ctx, NULL, "/proc/self/fd/0", buf, sizeof(buf)), 6);
    assert_memory_equal(buf, "/hello", 6);
    n = vfs_readlink(ctx, NULL, "/proc/self/fd/1", buf, sizeof(buf));
    assert_memory_equal(buf, "pipe:[", 6);
    assert_int_equal(buf[n - 1], ']');
    assert_string_equal(text_of("/proc/self/fd/0"), "hello");
    assert_string_equal(text_of("/proc/self/fd/2/low"), "low");
    assert_int_equal(vfs_stat(ctx, NULL, "/proc/self/fd/1", 0, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    assert_int_equal(vfs_stat(ctx, NULL, "/proc/self/fd/3", 0, &st), -ENOENT);
    assert_int_equal(vfs_stat(ctx, NULL, "/proc/self/fd/1/x", 0, &st), -ENOTDIR);
    f = open_file("/dev/stdout", O_WRONLY); // a second end of the same pipe
    assert_int_equal(fwrite_at(f, "two", 3, NULL), 3);
    file_unref(f);
    assert_int_equal(fread_at(r, buf, 8, NULL), 3);
    assert_int_equal(vfs_readlink(ctx, NULL, "/proc/self/exe", buf, sizeof(buf)), 6);
    assert_string_equal(text_of("/proc/self/exe"), "hello");
    assert_int_equal(vfs_chdir(ctx, NULL, "/d"), 0);
    assert_string_equal(text_of("/proc/self/cwd/low"), "low");
    assert_int_equal(vfs_chdir(ctx, NULL, "/proc/self/fd"), 0);
    assert_int_equal(vfs_getcwd(ctx, buf, sizeof(buf)), 11);
    assert_string_equal(buf, "/proc/1/fd");
    assert_int_equal(vfs_chdir(ctx, NULL, "/"), 0);
    assert_non_null(strstr(text_of("/proc/self/fdinfo/0"), "pos:\t0\n"));
    file_unref(r);
    for (int i = 0; i < 3; i++)
        fd_close(fds, i);
    // A file that is gone, and one that never had a name.
    assert_int_equal(vfs_memfd("cache", 0, &f), 0);
    assert_true(file_path(f, buf, sizeof(buf)) > 0);
    assert_string_equal(buf, "/memfd:cache (deleted)");
    uint64_t pos = 0;
    assert_int_equal(fwrite_at(f, "kept", 4, &pos), 4);
    assert_int_equal(fread_all(f, buf, 4, 0), 4);
    file_unref(f);
    assert_int_equal(put_text("/gone", "content"), 0);
    f = open_file("/gone", O_RDONLY);
    assert_int_equal(vfs_unlink(ctx, NULL, "/gone", 0), 0);
    assert_int_equal(file_path(f, buf, sizeof(buf)), 15);
    assert_string_equal(buf, "/gone (deleted)");
    assert_int_equal(fread_all(f, buf, 20, 0), 7);
    file_unref(f);
}

static void test_locks(void **state)
{
    struct file *a = open_file("/hello", O_RDWR), *b = open_file("/hello", O_RDWR);
    struct fd_table *p1 = fd_table_create(), *p2 = fd_table_create();
    (void)state;
    assert_int_equal(vfs_flock(a, 1), 0);
    assert_int_equal(vfs_flock(b, 1 | 4), 0);
    assert_int_equal(vfs_flock(b, 2 | 4), -EWOULDBLOCK);
    assert_int_equal(vfs_flock(a, 8), 0);
    assert_int_equal(vfs_flock(b, 2 | 4), 0);
    thread_current()->signal_pending = true;
    assert_int_equal(vfs_flock(a, 2), -EINTR);
    thread_current()->signal_pending = false;
    assert_int_equal(vfs_flock(b, 8), 0);
    struct flock fl = {.l_type = F_WRLCK, .l_start = 10, .l_len = 100};
    assert_int_equal(vfs_record_lock(a, p1, F_SETLK, &fl, 11), 0);
    fl = (struct flock){.l_type = F_RDLCK, .l_start = 109, .l_len = 0};
    assert_int_equal(vfs_record_lock(b, p2, F_SETLK, &fl, 12), -EAGAIN);
    assert_int_equal(vfs_record_lock(b, p2, F_GETLK, &fl, 12), 0);
    assert_int_equal(fl.l_type, F_WRLCK);
    assert_int_equal(fl.l_start, 10);
    assert_int_equal(fl.l_len, 100);
    assert_int_equal(fl.l_pid, 11);
    fl = (struct flock){.l_type = F_UNLCK, .l_start = 50, .l_len = 10}; // cut in two
    assert_int_equal(vfs_record_lock(a, p1, F_SETLK, &fl, 11), 0);
    fl = (struct flock){.l_type = F_WRLCK, .l_start = 50, .l_len = 10};
    assert_int_equal(vfs_record_lock(b, p2, F_SETLK, &fl, 12), 0);
    fl = (struct flock){.l_type = F_WRLCK, .l_start = 60, .l_len = 1};
    assert_int_equal(vfs_record_lock(b, p2, F_SETLK, &fl, 12), -EAGAIN);
    fl = (struct flock){.l_type = F_RDLCK, .l_start = 60, .l_len = -20, .l_whence = 0}; // 40..59
    assert_int_equal(vfs_record_lock(b, p2, F_SETLK, &fl, 12), -EAGAIN);
    fl = (struct flock){.l_type = 9};
    assert_int_equal(vfs_record_lock(b, p2, F_SETLK, &fl, 12), -EINVAL);
    fl = (struct flock){.l_type = F_WRLCK, .l_start = -1};
    assert_int_equal(vfs_record_lock(b, p2, F_SETLK, &fl, 12), -EINVAL);
    // Closing any descriptor of the file gives the process's locks up.
    assert_int_equal(fd_install(p1, file_ref(a), 0, false, 10), 0);
    fd_close(p1, 0);
    fl = (struct flock){.l_type = F_WRLCK};
    assert_int_equal(vfs_record_lock(b, p2, F_SETLK, &fl, 12), 0);
    fd_table_unref(p1);
    fd_table_unref(p2);
    file_unref(a);
    file_unref(b);
}

static int gone_calls;
static void socket_gone(void *sock)
{
    (void)sock;
    gone_calls++;
}

static void test_sockets(void **state)
{
    int a, b;
    void *found;
    struct file *f;
    (void)state;
    assert_int_equal(vfs_bind_socket(ctx, "/run/a.sock", 0777, &a, socket_gone), 0);
    assert_int_equal(vfs_bind_socket(ctx, "/run/a.sock", 0777, &b, socket_gone), -EADDRINUSE);
    assert_int_equal(vfs_find_socket(ctx, "/run/a.sock", &found), 0);
    assert_ptr_equal(found, &a);
    assert_int_equal(vfs_open(ctx, NULL, "/run/a.sock", O_RDWR, 0, &f), -ENXIO);
    assert_int_equal(vfs_find_socket(ctx, "/hello", &found), -ECONNREFUSED);
    vfs_unbind_socket(&a);
    assert_int_equal(vfs_find_socket(ctx, "/run/a.sock", &found), -ECONNREFUSED);
    assert_int_equal(vfs_unlink(ctx, NULL, "/run/a.sock", 0), 0);
    assert_int_equal(gone_calls, 0);
    assert_int_equal(vfs_bind_socket(ctx, "/run/a.sock", 0777, &b, socket_gone), 0);
    assert_int_equal(vfs_unlink(ctx, NULL, "/run/a.sock", 0), 0);
    assert_int_equal(gone_calls, 1);
}

// Each allocation fails in turn: no crash, no leak, and the call works when memory is back.
static void test_memory_short(void **state)
{
    (void)state;
    // The image's name becomes an entry in memory, for good.
    assert_int_equal(vfs_rename(ctx, NULL, "/d/low", NULL, "/d/low2", 0), 0);
    assert_int_equal(vfs_rename(ctx, NULL, "/d/low2", NULL, "/d/low", 0), 0);
    for (int64_t k = 0; k < 40; k++) {
        struct file *f, *r, *w;
        struct stat st;
        char buf[64];
        uint64_t pos = 0;
        mutex_lock(&fs_lock);
        dcache_shrink(100000);
        mutex_unlock(&fs_lock);
        uint64_t used = fs_mounts[0]->bytes_used, pages = shim_pages_live;
#define SHORT(call)                 \
    ({                              \
        shim_fail_after = k;        \
        __typeof__(call) r_ = call; \
        shim_fail_after = -1;       \
        r_;                         \
    })
        SHORT(vfs_stat(ctx, NULL, "/d/low", 0, &st));
        if (SHORT(vfs_open(ctx, NULL, "/d/a-new-file-with-a-long-name", O_RDWR | O_CREAT, 0600,
                           &f)) == 0) {
            SHORT(fwrite_at(f, "text", 4, &pos));
            file_unref(f);
        }
        SHORT(vfs_mkdir(ctx, NULL, "/d/dir", 0700));
        SHORT(vfs_symlink(ctx, "target", NULL, "/d/sym"));
        SHORT(vfs_rename(ctx, NULL, "/d/low", NULL, "/d/dir/low-with-a-rather-long-name", 0));
        SHORT(vfs_rename(ctx, NULL, "/d/dir/low-with-a-rather-long-name", NULL, "/d/low", 0));
        SHORT(vfs_unlink(ctx, NULL, "/d/dir", AT_REMOVEDIR));
        if (SHORT(pipe_create(&r, &w, 0)) == 0) {
            SHORT(fwrite_at(w, "text", 4, NULL));
            file_unref(r);
            file_unref(w);
        }
        if (SHORT(vfs_memfd("x", 0, &f)) == 0)
            file_unref(f);
        if (SHORT(vfs_open(ctx, NULL, "/proc/meminfo", O_RDONLY, 0, &f)) == 0) {
            SHORT(fread_at(f, buf, sizeof(buf), &pos));
            file_unref(f);
        }
        // Cleaned up, everything is as before.
        vfs_rename(ctx, NULL, "/d/dir/low-with-a-rather-long-name", NULL, "/d/low", 0);
        assert_string_equal(text_of("/d/low"), "low");
        vfs_unlink(ctx, NULL, "/d/a-new-file-with-a-long-name", 0);
        vfs_unlink(ctx, NULL, "/d/dir", AT_REMOVEDIR);
        vfs_unlink(ctx, NULL, "/d/sym", 0);
        mutex_lock(&fs_lock);
        dcache_shrink(100000);
        mutex_unlock(&fs_lock);
        assert_int_equal(fs_mounts[0]->bytes_used, used);
        assert_int_equal(shim_pages_live, pages);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptors), cmocka_unit_test(test_iterators),
        cmocka_unit_test(test_pipe),        cmocka_unit_test(test_pipe_blocks),
        cmocka_unit_test(test_fifo),        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_procfs),      cmocka_unit_test(test_locks),
        cmocka_unit_test(test_sockets),     cmocka_unit_test(test_memory_short),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
