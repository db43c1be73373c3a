// SPDX-License-Identifier: ISC
// links: kernel/fs/console.c
// links: kernel/fs/attr.c kernel/fs/dcache.c kernel/fs/devfs.c kernel/fs/erofs.c
// links: kernel/fs/fdtable.c kernel/fs/file.c kernel/fs/iov.c kernel/fs/locks.c kernel/fs/mount.c
// links: kernel/fs/namei.c kernel/fs/names.c kernel/fs/open.c kernel/fs/page_tree.c
// links: kernel/fs/pipe.c kernel/fs/procfs.c kernel/fs/procfs_files.c kernel/fs/root.c
// links: kernel/fs/tmpfs.c kernel/fs/tmpfs_file.c tests/unit/shim_core.c tests/unit/shim_mm.c
// links: tests/unit/shim_sched.c kernel/lib/format.c kernel/lib/hash.c kernel/lib/rbtree.c
// The writable root over an image, against the host's file system: the same tree, the same random
// calls, the same answers, errors and contents. Before that, the cases worth naming.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dirent.h>
#include <errno.h>
#include "fs_util.h"
#include <cmocka.h>

static int setup(void **state)
{
    uint64_t len;
    (void)state;
    host_dir_make();
    run("cd %s && mkdir -p dev proc sys etc tmp run var/tmp dir/sub/leaf w/x w/y && chmod 1777 tmp "
        "var/tmp && "
        "printf hello > file && head -c 20000 /dev/urandom > big && head -c 12288 /dev/urandom > "
        "dir/three "
        "&& ln file dir/hard && ln -s file link && ln -s dir dlink && ln -s loop loop && "
        "ln -s /dir/sub abs && ln -s missing dangling && printf a > dir/sub/leaf/a && "
        "for i in $(seq 1 60); do printf $i > w/x/f$i; done && printf keep > etc/hosts && : > "
        "etc/hostname",
        host_dir);
    image_make(host_dir, "", &len);
    boot_config.hostname = "box";
    boot_config.dns[0] = "10.0.0.53";
    boot_config.dns_count = 1;
    mount_image(len);
    return 0;
}

static void test_boot_files(void **state)
{
    (void)state;
    assert_string_equal(text_of("/etc/hosts"), "keep");
    assert_string_equal(text_of("/etc/hostname"), "box\n");
    assert_string_equal(text_of("/etc/resolv.conf"), "nameserver 10.0.0.53\n");
    assert_string_equal(text_of("/proc/sys/kernel/hostname"), "box\n");
}

static void test_paths(void **state)
{
    struct stat st;
    char buf[64], longname[400], longpath[5000];
    (void)state;
    assert_string_equal(text_of("file"), "hello");
    assert_string_equal(text_of("/dir/../link"), "hello");
    assert_string_equal(text_of("/dlink/sub/leaf/a"), "a");
    assert_string_equal(text_of("/abs/leaf/../leaf//./a"), "a");
    assert_string_equal(text_of("/../../file"), "hello");
    assert_int_equal(vfs_stat(ctx, NULL, "", 0, &st), -ENOENT);
    assert_int_equal(vfs_stat(ctx, NULL, "loop", 0, &st), -ELOOP);
    assert_int_equal(vfs_stat(ctx, NULL, "loop", AT_SYMLINK_NOFOLLOW, &st), 0);
    assert_int_equal(vfs_stat(ctx, NULL, "file/", 0, &st), -ENOTDIR);
    assert_int_equal(vfs_stat(ctx, NULL, "file/x", 0, &st), -ENOTDIR);
    assert_int_equal(vfs_stat(ctx, NULL, "file/.", 0, &st), -ENOTDIR);
    assert_int_equal(vfs_stat(ctx, NULL, "dlink/", AT_SYMLINK_NOFOLLOW, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    memset(longname, 'x', 300);
    longname[300] = 0;
    assert_int_equal(vfs_stat(ctx, NULL, longname, 0, &st), -ENAMETOOLONG);
    longname[255] = 0;
    assert_int_equal(vfs_stat(ctx, NULL, longname, 0, &st), -ENOENT);
    memset(longpath, '/', sizeof(longpath));
    longpath[4096] = 0;
    assert_int_equal(vfs_stat(ctx, NULL, longpath, 0, &st), -ENAMETOOLONG);
    longpath[4095] = 0;
    assert_int_equal(vfs_stat(ctx, NULL, longpath, 0, &st), 0);
    assert_int_equal(vfs_chdir(ctx, NULL, "dlink/sub"), 0);
    assert_int_equal(vfs_getcwd(ctx, buf, sizeof(buf)), 9);
    assert_string_equal(buf, "/dir/sub");
    assert_int_equal(vfs_getcwd(ctx, buf, 8), -ERANGE);
    assert_string_equal(text_of("leaf/a"), "a");
    assert_string_equal(text_of("../../file"), "hello");
    assert_int_equal(vfs_chdir(ctx, NULL, "/"), 0);
    assert_int_equal(vfs_chdir(ctx, NULL, "file"), -ENOTDIR);
    // Up out of a mounted file system, and names below it.
    assert_string_equal(text_of("/dev/../file"), "hello");
    assert_string_equal(text_of("/dev/shm/../../file"), "hello");
    assert_int_equal(vfs_chdir(ctx, NULL, "/dev/shm"), 0);
    assert_int_equal(vfs_getcwd(ctx, buf, sizeof(buf)), 9);
    assert_string_equal(buf, "/dev/shm");
    assert_int_equal(vfs_chdir(ctx, NULL, ".."), 0);
    assert_int_equal(vfs_getcwd(ctx, buf, sizeof(buf)), 5);
    assert_int_equal(vfs_chdir(ctx, NULL, ".."), 0);
    assert_int_equal(vfs_getcwd(ctx, buf, sizeof(buf)), 2);
}

static void test_open_flags(void **state)
{
    struct file *f, *d;
    struct stat st;
    char buf[64];
    (void)state;
    assert_int_equal(vfs_open(ctx, NULL, "link", O_RDONLY | O_NOFOLLOW, 0, &f), -ELOOP);
    assert_int_equal(vfs_open(ctx, NULL, "file", O_RDONLY | O_DIRECTORY, 0, &f), -ENOTDIR);
    assert_int_equal(vfs_open(ctx, NULL, "dir", O_RDWR, 0, &f), -EISDIR);
    assert_int_equal(vfs_open(ctx, NULL, "dir", O_RDONLY | O_CREAT, 0, &f), -EISDIR);
    assert_int_equal(vfs_open(ctx, NULL, "newname/", O_WRONLY | O_CREAT, 0600, &f), -EISDIR);
    assert_int_equal(vfs_open(ctx, NULL, "file", O_WRONLY | O_CREAT | O_EXCL, 0600, &f), -EEXIST);
    assert_int_equal(vfs_open(ctx, NULL, "dangling", O_WRONLY | O_CREAT | O_EXCL, 0600, &f),
                     -EEXIST);
    assert_int_equal(vfs_open(ctx, NULL, "dir", O_RDONLY | O_DIRECTORY, 0, &d), 0);
    assert_int_equal(vfs_open(ctx, d, "three", O_RDONLY, 0, &f), 0);
    assert_int_equal(file_path(f, buf, sizeof(buf)), 10);
    assert_string_equal(buf, "/dir/three");
    file_unref(f);
    assert_int_equal(vfs_open(ctx, d, "sub/leaf/a", O_PATH, 0, &f), 0);
    assert_int_equal(fread_all(f, buf, 1, 0), -EBADF);
    assert_int_equal(vfs_stat(ctx, f, "", AT_EMPTY_PATH, &st), 0);
    assert_int_equal(st.st_size, 1);
    assert_int_equal(vfs_open(ctx, f, "x", O_RDONLY, 0, &d), -ENOTDIR);
    file_unref(f);
    // A dangling link is created through.
    assert_int_equal(put_text("dangling", "made"), 0);
    assert_string_equal(text_of("/missing"), "made");
    assert_int_equal(vfs_unlink(ctx, NULL, "missing", 0), 0);
    file_unref(d);
    assert_int_equal(vfs_open(ctx, NULL, "/tmp", O_TMPFILE | O_RDWR, 0600, &f), 0);
    uint64_t pos = 0;
    assert_int_equal(fwrite_at(f, "anonymous", 9, &pos), 9);
    assert_int_equal(vfs_fstat(f, &st), 0);
    assert_int_equal(st.st_nlink, 0);
    assert_int_equal(st.st_size, 9);
    file_unref(f);
}

static void test_copy_on_write(void **state)
{
    struct file *f, *r;
    struct stat a, b;
    char buf[20000], want[20000];
    uint64_t pos = 5000;
    (void)state;
    assert_int_equal(vfs_open(ctx, NULL, "big", O_RDONLY, 0, &r), 0);
    assert_int_equal(fread_all(r, want, sizeof(want), 0), sizeof(want));
    assert_int_equal(vfs_stat(ctx, NULL, "big", 0, &a), 0);
    assert_int_equal(vfs_open(ctx, NULL, "big", O_RDWR, 0, &f), 0);
    assert_int_equal(fwrite_at(f, "XYZ", 3, &pos), 3);
    memcpy(want + 5000, "XYZ", 3);
    assert_int_equal(fread_all(r, buf, sizeof(buf), 0),
                     sizeof(buf)); // the earlier descriptor sees it
    assert_memory_equal(buf, want, sizeof(buf));
    assert_int_equal(vfs_fstat(r, &b), 0);
    assert_int_equal(a.st_ino, b.st_ino);
    assert_int_equal(a.st_dev, b.st_dev);
    assert_true(b.st_mtime > a.st_mtime);
    file_unref(f);
    file_unref(r);
    // Nobody has it open and the names are forgotten: the change stays.
    mutex_lock(&fs_lock);
    dcache_shrink(100000);
    mutex_unlock(&fs_lock);
    assert_int_equal(vfs_open(ctx, NULL, "big", O_RDWR, 0, &f), 0);
    assert_int_equal(fread_all(f, buf, sizeof(buf), 0), sizeof(buf));
    assert_memory_equal(buf, want, sizeof(buf));
    // Shrink into the image's part and grow again: zeros, not the old bytes.
    assert_int_equal(vfs_ftruncate(f, 10000), 0);
    assert_int_equal(vfs_ftruncate(f, 20000), 0);
    memset(want + 10000, 0, 10000);
    assert_int_equal(fread_all(f, buf, sizeof(buf), 0), sizeof(buf));
    assert_memory_equal(buf, want, sizeof(buf));
    file_unref(f);
    // Both names of a linked file of the image show a write.
    assert_int_equal(put_text("dir/hard", "both"), 0);
    assert_string_equal(text_of("file"), "both");
    assert_int_equal(vfs_stat(ctx, NULL, "file", 0, &a), 0);
    assert_int_equal(a.st_nlink, 2);
    assert_int_equal(vfs_unlink(ctx, NULL, "dir/hard", 0), 0);
    assert_int_equal(vfs_stat(ctx, NULL, "file", 0, &a), 0);
    assert_int_equal(a.st_nlink, 1);
    assert_int_equal(vfs_link(ctx, NULL, "file", NULL, "dir/hard", 0), 0);
    assert_int_equal(put_text("file", "hello"), 0);
}

static void test_objects(void **state)
{
    struct file *f;
    struct vm_object *o;
    uint64_t pa, pos = 4096, ino;
    char name[64];
    (void)state;
    assert_int_equal(vfs_open(ctx, NULL, "dir/three", O_RDWR, 0, &f), 0);
    assert_int_equal(f->ops->map_object(f, &o, 0, 0), 0);
    assert_int_equal(o->ops->describe(o, name, sizeof(name), &ino), 0);
    assert_string_equal(name, "/dir/three");
    assert_int_equal(o->ops->extent(o, 0, &pa), 3); // straight from the image
    assert_true(pa >= IMAGE_PA);
    uint64_t first;
    assert_int_equal(o->ops->get_page(o, 0, false, &first), 0);
    assert_int_equal(first, pa);
    assert_int_equal(fwrite_at(f, "new", 3, &pos), 3);
    assert_int_equal(o->ops->extent(o, 0, &pa), 1);
    assert_int_equal(o->ops->extent(o, 1, &pa), 0);
    assert_int_equal(o->ops->extent(o, 2, &pa), 1);
    assert_int_equal(o->ops->get_page(o, 1, false, &pa), 0);
    assert_true(pa < IMAGE_PA);
    assert_memory_equal(pa_to_va(pa), "new", 3);
    page_unref(pa);
    assert_int_equal(o->ops->get_page(o, 2, true, &pa), 0);
    strcpy((char *)pa_to_va(pa), "mapped");
    page_unref(pa);
    char buf[8];
    assert_int_equal(fread_all(f, buf, 7, 8192), 7);
    assert_string_equal(buf, "mapped");
    assert_int_equal(o->ops->get_page(o, 3, false, &pa), -ENXIO);
    o->ops->unref(o);
    file_unref(f);
    // A tail behind its inode is copied, what follows it is zero.
    assert_int_equal(vfs_open(ctx, NULL, "dir/sub/leaf/a", O_RDONLY, 0, &f), 0);
    assert_int_equal(f->ops->map_object(f, &o, 0, 0), 0);
    assert_int_equal(o->ops->get_page(o, 0, false, &pa), 0);
    assert_memory_equal(pa_to_va(pa), "a\0\0\0\0\0\0\0", 8);
    page_unref(pa);
    o->ops->unref(o);
    file_unref(f);
}

static bool count_entry(void *arg, const char *name, size_t len, uint64_t ino, unsigned type,
                        uint64_t next)
{
    (void)name;
    (void)len;
    (void)ino;
    (void)type;
    (void)next;
    ++*(int *)arg;
    return true;
}

static bool take_one(void *arg, const char *name, size_t len, uint64_t ino, unsigned type,
                     uint64_t next)
{
    char *out = arg;
    (void)ino;
    (void)type;
    (void)next;
    if (out[0])
        return false;
    memcpy(out, name, len);
    out[len] = 0;
    return true;
}

// rm -r: each entry is removed while the directory is being read.
static void test_readdir_while_deleting(void **state)
{
    struct file *d;
    char name[300], path[400];
    int removed = 0;
    (void)state;
    for (int i = 0; i < 40; i++) {
        snprintf(path, sizeof(path), "w/x/new%d", i);
        assert_int_equal(put_text(path, "n"), 0);
    }
    assert_int_equal(vfs_open(ctx, NULL, "w/x", O_RDONLY | O_DIRECTORY, 0, &d), 0);
    for (;;) {
        name[0] = 0;
        assert_int_equal(file_readdir(d, take_one, name), 0);
        if (!name[0])
            break;
        if (!strcmp(name, ".") || !strcmp(name, ".."))
            continue;
        assert_int_equal(vfs_unlink(ctx, d, name, 0), 0);
        removed++;
    }
    assert_int_equal(removed, 100);
    file_seek(d, 0, 0);
    int left = 0;
    assert_int_equal(file_readdir(d, count_entry, &left), 0);
    assert_int_equal(left, 2);
    assert_int_equal(vfs_unlink(ctx, NULL, "w/x", AT_REMOVEDIR), 0);
    file_seek(d, 0, 0);
    left = 0;
    assert_int_equal(file_readdir(d, count_entry, &left), 0);
    assert_int_equal(left, 0);
    assert_int_equal(vfs_open(ctx, d, "x", O_CREAT | O_WRONLY, 0600, &d), -ENOENT);
    file_unref(d);
    // A new directory in its place does not show what was below.
    assert_int_equal(vfs_mkdir(ctx, NULL, "w/x", 0755), 0);
    assert_string_equal(text_of("w/x/f1"), "error -2");
}

static void test_space(void **state)
{
    static char page[4096];
    struct file *f;
    struct statfs s;
    uint64_t pos = 0;
    ssize_t_k n;
    (void)state;
    mutex_lock(&fs_lock);
    dcache_shrink(100000); // pages copied for mapped tails go with their inodes
    mutex_unlock(&fs_lock);
    uint64_t used = fs_mounts[0]->bytes_used, pages = shim_pages_live;
    assert_int_equal(vfs_open(ctx, NULL, "/fill", O_RDWR | O_CREAT, 0600, &f), 0);
    while ((n = fwrite_at(f, page, sizeof(page), &pos)) == sizeof(page))
        ;
    assert_int_equal(n, -ENOSPC);
    assert_true(pos > plat_info.ram_total / 2 - (4 << 20));
    char name[32];
    int made = 0, err = 0; // what is left is less than a page: a few directories
    for (; !err && made < 20; made++) {
        snprintf(name, sizeof(name), "/more%d", made);
        err = vfs_mkdir(ctx, NULL, name, 0755);
    }
    assert_int_equal(err, -ENOSPC);
    while (made-- > 0) {
        snprintf(name, sizeof(name), "/more%d", made);
        vfs_unlink(ctx, NULL, name, AT_REMOVEDIR);
    }
    assert_int_equal(vfs_statfs(ctx, NULL, "/", &s), 0);
    assert_int_equal(s.f_bfree, 0);
    file_unref(f);
    assert_int_equal(vfs_unlink(ctx, NULL, "/fill", 0), 0);
    mutex_lock(&fs_lock);
    dcache_shrink(100000);
    mutex_unlock(&fs_lock);
    assert_int_equal(shim_pages_live, pages);
    assert_int_equal(fs_mounts[0]->bytes_used, used);
    // A sparse file costs its pages only.
    assert_int_equal(vfs_open(ctx, NULL, "/sparse", O_RDWR | O_CREAT, 0600, &f), 0);
    pos = 1ull << 40;
    assert_int_equal(fwrite_at(f, "end", 3, &pos), 3);
    assert_int_equal(shim_pages_live, pages + 1);
    assert_int_equal(file_seek(f, 0, SEEK_DATA_), 1ll << 40);
    assert_int_equal(file_seek(f, 0, SEEK_HOLE_), 0);
    assert_int_equal(vfs_fallocate(f, 0, 0, 10000), 0);
    assert_int_equal(file_seek(f, 0, SEEK_HOLE_), 12288);
    assert_int_equal(vfs_fallocate(f, 3, 4096, 4096), 0); // punch, keep size
    assert_int_equal(file_seek(f, 0, SEEK_HOLE_), 4096);
    file_unref(f);
    assert_int_equal(vfs_unlink(ctx, NULL, "/sparse", 0), 0);
}

// --- against the host ---

static const char *const names[] = {"file",
                                    "big",
                                    "dir",
                                    "dir/three",
                                    "dir/hard",
                                    "dir/sub",
                                    "dir/sub/leaf",
                                    "dir/sub/leaf/a",
                                    "link",
                                    "dlink",
                                    "dlink/three",
                                    "abs/leaf",
                                    "dangling",
                                    "w/y",
                                    "n1",
                                    "n2",
                                    "n1/a",
                                    "n2/a",
                                    "dir/n3",
                                    "dir/sub/n4",
                                    "w/y/n5",
                                    "loop",
                                    "dlink/sub/",
                                    "n1/",
                                    "n2/..",
                                    "w/./y",
                                    "dir/a-name-that-is-longer-than-inline",
                                    "w"};

static int host_fd; // of the host's copy

// Makes the host's tree look like ours does at this point is not needed: both start from the same
// image.
static int err_of(long r)
{
    return r < 0 ? -errno : (int)r;
}

static uint32_t next_random(void)
{
    return (uint32_t)random_u64();
}

struct listing {
    char lines[64][300];
    int count;
};
static bool list_entry_add(void *arg, const char *name, size_t len, uint64_t ino, unsigned type,
                           uint64_t next)
{
    struct listing *l = arg;
    (void)ino;
    (void)next;
    if (l->count < 64)
        snprintf(l->lines[l->count++], 300, "%.*s %u", (int)len, name, type);
    return true;
}
static int line_cmp(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void compare_dirs(const char *path, int depth);

static void compare_file(const char *path)
{
    static char a[1 << 16], b[1 << 16];
    struct file *f;
    struct stat ours, theirs;
    int e1 = vfs_stat(ctx, NULL, path, AT_SYMLINK_NOFOLLOW, &ours);
    int e2 = err_of(syscall(SYS_newfstatat, host_fd, path, &theirs, AT_SYMLINK_NOFOLLOW));
    if (e1 != e2)
        fail_msg("stat %s: %d, host %d", path, e1, e2);
    if (e1)
        return;
    if (ours.st_mode != theirs.st_mode || ours.st_nlink != theirs.st_nlink ||
        (!S_ISDIR(ours.st_mode) && ours.st_size != theirs.st_size))
        fail_msg("%s: mode %o/%o links %lu/%lu size %ld/%ld", path, ours.st_mode, theirs.st_mode,
                 ours.st_nlink, theirs.st_nlink, ours.st_size, theirs.st_size);
    if (S_ISDIR(ours.st_mode)) {
        compare_dirs(path, 0);
    } else if (S_ISREG(ours.st_mode)) {
        assert_int_equal(vfs_open(ctx, NULL, path, O_RDONLY, 0, &f), 0);
        int fd = (int)syscall(SYS_openat, host_fd, path, O_RDONLY);
        ssize_t_k n = fread_all(f, a, sizeof(a), 0);
        assert_int_equal(n, pread(fd, b, sizeof(b), 0));
        assert_memory_equal(a, b, (size_t)n);
        close(fd);
        file_unref(f);
    } else if (S_ISLNK(ours.st_mode)) {
        ssize_t_k n = vfs_readlink(ctx, NULL, path, a, sizeof(a));
        assert_int_equal(n, syscall(SYS_readlinkat, host_fd, path, b, sizeof(b)));
        assert_memory_equal(a, b, (size_t)n);
    }
}

static void compare_dirs(const char *path, int depth)
{
    struct listing *ours = calloc(1, sizeof(*ours)), *theirs = calloc(1, sizeof(*theirs));
    struct file *f;
    assert_true(depth < 20);
    assert_int_equal(vfs_open(ctx, NULL, path, O_RDONLY | O_DIRECTORY, 0, &f), 0);
    assert_int_equal(file_readdir(f, list_entry_add, ours), 0);
    file_unref(f);
    int fd = (int)syscall(SYS_openat, host_fd, path, O_RDONLY | O_DIRECTORY);
    DIR *d = fdopendir(fd);
    struct dirent *e;
    while ((e = readdir(d)))
        list_entry_add(theirs, e->d_name, strlen(e->d_name), 0, e->d_type, 0);
    closedir(d);
    qsort(ours->lines, (size_t)ours->count, 300, line_cmp);
    qsort(theirs->lines, (size_t)theirs->count, 300, line_cmp);
    for (int i = 0; i < MAX(ours->count, theirs->count); i++) {
        if (strcmp(ours->lines[i], theirs->lines[i]))
            fail_msg("%s: entry %s, host %s", path, ours->lines[i], theirs->lines[i]);
        char sub[512], *name = ours->lines[i];
        *strrchr(name, ' ') = 0;
        if (strcmp(name, ".") && strcmp(name, "..")) {
            snprintf(sub, sizeof(sub), "%s/%s", path, name);
            compare_file(sub);
        }
    }
    free(ours);
    free(theirs);
}

static int host_io(const char *path, int flags, const void *buf, size_t n, long off, long trunc)
{
    int fd = (int)syscall(SYS_openat, host_fd, path, flags, 0644);
    if (fd < 0)
        return -errno;
    int r = 0;
    if (trunc >= 0)
        r = err_of(ftruncate(fd, trunc));
    if (buf && r == 0)
        r = err_of(flags & O_APPEND ? write(fd, buf, n) : pwrite(fd, buf, n, off));
    close(fd);
    return r;
}

static int our_io(const char *path, int flags, const void *buf, size_t n, long off, long trunc)
{
    struct file *f;
    int r = vfs_open(ctx, NULL, path, flags, 0644, &f);
    if (r)
        return r;
    uint64_t pos = (uint64_t)off;
    if (trunc >= 0)
        r = vfs_ftruncate(f, (uint64_t)trunc);
    if (buf && r == 0)
        r = (int)fwrite_at(f, buf, n, &pos);
    file_unref(f);
    return r;
}

static void random_step(void)
{
    static char data[9000];
    const char *p = names[next_random() % ARRAY_LEN(names)],
               *q = names[next_random() % ARRAY_LEN(names)];
    unsigned op = next_random() % 15, r = next_random();
    int ours, theirs;
    long off = r % 30000, len = next_random() % sizeof(data);
    for (size_t i = 0; i < 64; i++)
        data[next_random() % sizeof(data)] = (char)next_random();
    switch (op) {
    case 0:
    case 1: {
        int flags = O_WRONLY | (r & 1 ? O_CREAT : 0) | (r & 2 ? O_TRUNC : 0) |
                    (r & 4 ? O_APPEND : 0) | (r & 8 ? O_NOFOLLOW : 0) |
                    ((r & 0x70) == 0 ? O_EXCL : 0);
        ours = our_io(p, flags, data, (size_t)len, off, -1);
        theirs = host_io(p, flags, data, (size_t)len, off, -1);
        break;
    }
    case 2:
        ours = our_io(p, O_RDWR, NULL, 0, 0, off);
        theirs = host_io(p, O_RDWR, NULL, 0, 0, off);
        break;
    case 3:
        ours = vfs_unlink(ctx, NULL, p, 0);
        theirs = err_of(syscall(SYS_unlinkat, host_fd, p, 0));
        break;
    case 4:
        ours = vfs_unlink(ctx, NULL, p, AT_REMOVEDIR);
        theirs = err_of(syscall(SYS_unlinkat, host_fd, p, AT_REMOVEDIR));
        break;
    case 5:
    case 6:
        ours = vfs_mkdir(ctx, NULL, p, 0755);
        theirs = err_of(syscall(SYS_mkdirat, host_fd, p, 0755));
        break;
    case 7:
    case 8:
    case 9: {
        unsigned flags = r % 4 == 0 ? 1 : r % 5 == 0 ? 2 : 0;
        ours = vfs_rename(ctx, NULL, p, NULL, q, flags);
        theirs = err_of(syscall(SYS_renameat2, host_fd, p, host_fd, q, flags));
        if (ours != theirs && ours < 0 &&
            theirs < 0) // more than one thing is wrong: the order differs
            theirs = ours;
        break;
    }
    case 10:
        ours = vfs_link(ctx, NULL, p, NULL, q, 0);
        theirs = err_of(syscall(SYS_linkat, host_fd, p, host_fd, q, 0));
        if (ours != theirs && ours < 0 && theirs < 0)
            theirs = ours;
        break;
    case 11:
        ours = vfs_symlink(ctx, names[r % 8], NULL, p);
        theirs = err_of(syscall(SYS_symlinkat, names[r % 8], host_fd, p));
        break;
    case 12:
        ours = vfs_chmod(ctx, NULL, p, r & 0777, 0);
        theirs = err_of(syscall(SYS_fchmodat, host_fd, p, r & 0777));
        break;
    case 13: {
        struct stat st;
        ours = vfs_stat(ctx, NULL, p, 0, &st);
        theirs = err_of(syscall(SYS_newfstatat, host_fd, p, &st, 0));
        break;
    }
    default:
        mutex_lock(&fs_lock);
        dcache_shrink(r % 64);
        mutex_unlock(&fs_lock);
        return;
    }
    if (ours != theirs)
        fail_msg("op %u %s %s (%x): %d, host %d", op, p, q, r, ours, theirs);
}

static void test_against_host(void **state)
{
    (void)state;
    // Bring both to the same contents: the host's copy is made from what we show now.
    run("cd %s && rm -rf * && mkdir -p dir/sub/leaf w/x w/y && printf hello > file && ln file "
        "dir/hard && "
        "ln -s file link && ln -s dir dlink && ln -s loop loop && ln -s dir/sub abs && ln -s "
        "missing dangling && "
        "printf a > dir/sub/leaf/a",
        host_dir);
    assert_int_equal(vfs_unlink(ctx, NULL, "abs", 0), 0);
    assert_int_equal(vfs_symlink(ctx, "dir/sub", NULL, "abs"), 0);
    assert_int_equal(vfs_mkdir(ctx, NULL, "/top", 0755), 0);
    // Below /top, so that /dev and the like are not compared: moved there, image directories and
    // all.
    static const char *const moved[] = {"file", "big", "dir",      "link", "dlink",
                                        "loop", "abs", "dangling", "w"};
    for (size_t i = 0; i < ARRAY_LEN(moved); i++) {
        char to[64];
        snprintf(to, sizeof(to), "/top/%s", moved[i]);
        assert_int_equal(vfs_rename(ctx, NULL, moved[i], NULL, to, 0), 0);
    }
    assert_int_equal(vfs_chdir(ctx, NULL, "/top"), 0);
    host_fd = (int)syscall(SYS_openat, AT_FDCWD, host_dir, O_RDONLY | O_DIRECTORY);
    static const char *const copies[] = {"big", "dir/three"};
    for (size_t i = 0; i < ARRAY_LEN(copies); i++) {
        static char buf[65536];
        struct file *f;
        assert_int_equal(vfs_open(ctx, NULL, copies[i], O_RDONLY, 0, &f), 0);
        ssize_t_k n = fread_all(f, buf, sizeof(buf), 0);
        file_unref(f);
        assert_int_equal(host_io(copies[i], O_WRONLY | O_CREAT, buf, (size_t)n, 0, -1), n);
    }
    run("chmod 755 %s", host_dir);
    compare_file(".");
    const char *steps = getenv("FS_STEPS");
    int count = steps ? atoi(steps) : 8000;
    for (int i = 0; i < count; i++) {
        random_step();
        if (i % 50 == 0)
            compare_file(".");
    }
    compare_file(".");
    close(host_fd);
    assert_int_equal(vfs_chdir(ctx, NULL, "/"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boot_files), cmocka_unit_test(test_paths),
        cmocka_unit_test(test_open_flags), cmocka_unit_test(test_copy_on_write),
        cmocka_unit_test(test_objects),    cmocka_unit_test(test_readdir_while_deleting),
        cmocka_unit_test(test_space),      cmocka_unit_test(test_against_host),
    };
    if (getenv("FS_SEED"))
        shim_seed = (uint64_t)atoll(getenv("FS_SEED"));
    return cmocka_run_group_tests(tests, setup, NULL);
}
