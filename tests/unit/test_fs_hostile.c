// SPDX-License-Identifier: ISC
// links: kernel/fs/console.c
// links: kernel/fs/attr.c kernel/fs/dcache.c kernel/fs/devfs.c kernel/fs/erofs.c
// links: kernel/fs/fdtable.c kernel/fs/file.c kernel/fs/iov.c kernel/fs/locks.c kernel/fs/mount.c
// links: kernel/fs/namei.c kernel/fs/names.c kernel/fs/open.c kernel/fs/page_tree.c
// links: kernel/fs/pipe.c kernel/fs/procfs.c kernel/fs/procfs_files.c kernel/fs/root.c
// links: kernel/fs/tmpfs.c kernel/fs/tmpfs_file.c tests/unit/shim_core.c tests/unit/shim_mm.c
// links: tests/unit/shim_sched.c kernel/lib/format.c kernel/lib/hash.c kernel/lib/rbtree.c
// Hostile images below the writable root: bytes of a good image's metadata change at random, then a
// child process mounts it, walks, reads, maps, writes, renames and removes what it finds. Errors
// are fine, crashes are not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include "fs_util.h"
#include <cmocka.h>

static unsigned budget;

struct names {
    int count;
    char name[24][256];
};
static bool add_name(void *arg, const char *name, size_t len, uint64_t ino, unsigned type,
                     uint64_t next)
{
    struct names *n = arg;
    (void)ino;
    (void)type;
    (void)next;
    if ((len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.'))
        return true;
    if (n->count == 24)
        return false;
    memcpy(n->name[n->count], name, len);
    n->name[n->count++][len] = 0;
    return true;
}

static void use_file(struct file *dir, const char *name)
{
    char buf[5000];
    struct file *f;
    struct vm_object *o;
    uint64_t pa, pos = 4000;
    if (vfs_open(ctx, dir, name, O_RDWR | O_NONBLOCK | O_NOFOLLOW, 0, &f))
        return;
    fread_all(f, buf, sizeof(buf), 0);
    if (f->inode && f->inode->size > sizeof(buf))
        fread_all(f, buf, sizeof(buf), f->inode->size - 4097);
    if (f->ops->map_object && f->ops->map_object(f, &o, 0, 0) == 0) {
        for (uint64_t i = 0; i < 4; i++) {
            uint64_t run = o->ops->extent(o, i, &pa);
            if (run && (pa < IMAGE_PA || pa + run * PAGE_SIZE > IMAGE_PA + plat_info.root_len))
                abort();
            if (o->ops->get_page(o, i, i == 2, &pa) == 0) {
                volatile char x = *(char *)pa_to_va(pa);
                (void)x;
                page_unref(pa);
            }
        }
        o->ops->unref(o);
    }
    fwrite_at(f, "written", 7, &pos);
    vfs_ftruncate(f, 100);
    file_unref(f);
}

static void walk(struct file *dir, int depth)
{
    struct names *n = calloc(1, sizeof(*n));
    struct stat st;
    char buf[4096], to[64];
    file_readdir(dir, add_name, n);
    for (int i = 0; i < n->count && budget; i++, budget--) {
        struct file *f;
        vfs_stat(ctx, dir, n->name[i], 0, &st);
        if (vfs_stat(ctx, dir, n->name[i], AT_SYMLINK_NOFOLLOW, &st))
            continue;
        if (S_ISDIR(st.st_mode) && depth < 6 &&
            vfs_open(ctx, dir, n->name[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &f) == 0) {
            walk(f, depth + 1);
            file_unref(f);
        } else if (S_ISLNK(st.st_mode)) {
            vfs_readlink(ctx, dir, n->name[i], buf, sizeof(buf));
        } else if (S_ISREG(st.st_mode)) {
            use_file(dir, n->name[i]);
        }
        snprintf(to, sizeof(to), "/tmp/r%u", budget);
        if (budget % 3 == 0)
            vfs_rename(ctx, dir, n->name[i], NULL, to, 0);
        else if (budget % 3 == 1 && vfs_unlink(ctx, dir, n->name[i], 0))
            vfs_unlink(ctx, dir, n->name[i], AT_REMOVEDIR);
    }
    free(n);
}

static void attack(uint8_t *image, uint64_t len, const uint64_t *hot, size_t hot_count)
{
    image[1024 + 8] &= 0xfe; // no checksum
    for (unsigned k = 1 + random_u64() % 6; k > 0; k--) {
        // Near what is used: the metadata of a small image begins in its first blocks.
        uint64_t at = hot[random_u64() % hot_count] + random_u64() % 64;
        if (at < len)
            image[at] = random_u64() % 3 ? (uint8_t)random_u64()
                                         : image[at] ^ (uint8_t)(1u << random_u64() % 8);
    }
    plat_info.root_pa = IMAGE_PA;
    plat_info.root_len = len;
    if (fs_mount_root())
        return;
    ctx = fs_context_create();
    struct file *root;
    budget = 200;
    if (vfs_open(ctx, NULL, "/", O_RDONLY | O_DIRECTORY, 0, &root) == 0) {
        walk(root, 0);
        file_unref(root);
    }
    mutex_lock(&fs_lock);
    dcache_shrink(100000);
    mutex_unlock(&fs_lock);
}

static void test_changed_bytes(void **state)
{
    static uint64_t hot[4096];
    size_t hot_count = 0;
    uint64_t len;
    (void)state;
    host_dir_make();
    run("cd %s && mkdir -p a/b many && echo hello > hello && head -c 9000 /dev/urandom > big && ln "
        "-s ../hello a/link && "
        "mkfifo a/fifo && truncate -s 30000 holes && for i in $(seq 1 20); do echo $i > many/f$i; "
        "done",
        host_dir);
    for (int variant = 0; variant < 2; variant++) {
        uint8_t *image =
            image_make(host_dir, variant ? "--chunksize=4096 -Eforce-inode-extended" : "", &len);
        // 64-byte pieces that are not all zero and not the big file's noise.
        hot_count = 0;
        for (uint64_t at = 1024; at < len && hot_count < ARRAY_LEN(hot); at += 64) {
            size_t zeros = 0;
            for (size_t i = 0; i < 64; i++)
                zeros += image[at + i] == 0;
            if (zeros > 4 && zeros < 64)
                hot[hot_count++] = at;
        }
        const char *tries = getenv("FS_TRIES");
        for (int i = 0; i < (tries ? atoi(tries) : 60); i++) {
            uint64_t seed = shim_seed = 1000u + (unsigned)(variant * 100000 + i);
            pid_t child = fork();
            if (child == 0) {
                alarm(20);
                attack(image, len, hot, hot_count);
                _exit(0);
            }
            int status = 0;
            waitpid(child, &status, 0);
            if (status)
                fail_msg("seed %lu: status %x", (unsigned long)seed, status);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_changed_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
