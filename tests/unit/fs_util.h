// SPDX-License-Identifier: ISC
// Helpers of the file layer's unit tests: a mounted tree over an EROFS image that mkfs.erofs makes
// from a host directory, and the machine's functions that the file layer calls. Include once per
// test.
#ifndef LITH_TESTS_FS_UTIL_H
#define LITH_TESTS_FS_UTIL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "fs/vfs.h"
#include "shim.h"

#define IMAGE_PA   SHIM_RAM // behind RAM: no page references
#define IMAGE_SIZE (64ul << 20)

static struct fs_context *ctx;
static char host_dir[64];

size_t arch_cpu_describe(char *buf, size_t size)
{
    return (size_t)snprintf(buf, size, "vendor_id\t: test\n");
}
void plat_clock_params(uint64_t *base, uint32_t *mult, uint32_t *shift, uint64_t *offset)
{
    *base = *offset = 0;
    *mult = 1u << 22;
    *shift = 23;
}
void random_add_entropy(const void *buf, size_t n)
{
    (void)buf;
    (void)n;
}

static inline void run(const char *fmt, ...)
{
    char cmd[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(cmd, sizeof(cmd), fmt, ap);
    va_end(ap);
    if (system(cmd) != 0) {
        fprintf(stderr, "failed: %s\n", cmd);
        abort();
    }
}

// An empty host directory, removed at exit.
static inline void host_dir_remove(void)
{
    run("rm -rf %s", host_dir);
}
static inline void host_dir_make(void)
{
    strcpy(host_dir, "/tmp/lith-fs-XXXXXX");
    if (!mkdtemp(host_dir))
        abort();
    atexit(host_dir_remove);
}

// Where the direct map shows the image; its length.
static inline uint8_t *image_make(const char *dir, const char *options, uint64_t *len)
{
    static uint8_t *at;
    if (!at) {
        at = mmap((void *)(LITH_DIRECT_BASE + IMAGE_PA), IMAGE_SIZE, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
        if (at == MAP_FAILED)
            abort();
    }
    run("mkfs.erofs --quiet -T0 %s %s.erofs %s >/dev/null 2>&1", options, dir, dir);
    char name[128];
    snprintf(name, sizeof(name), "%s.erofs", dir);
    FILE *f = fopen(name, "rb");
    *len = f ? fread(at, 1, IMAGE_SIZE, f) : 0;
    if (f)
        fclose(f);
    unlink(name);
    return at;
}

static inline void mount_image(uint64_t len)
{
    plat_info.root_pa = len ? IMAGE_PA : 0;
    plat_info.root_len = len;
    int err = fs_mount_root();
    if (err) {
        fprintf(stderr, "fs_mount_root: %d\n", err);
        abort();
    }
    ctx = fs_context_create();
}

static inline ssize_t_k fread_all(struct file *f, void *buf, size_t n, uint64_t pos)
{
    return file_read_kernel(f, buf, n, pos);
}
static inline ssize_t_k fwrite_at(struct file *f, const void *buf, size_t n, uint64_t *pos)
{
    struct iov_iter it;
    iov_init_kernel(&it, (void *)(uintptr_t)buf, n);
    return file_write(f, &it, pos);
}
static inline ssize_t_k fread_at(struct file *f, void *buf, size_t n, uint64_t *pos)
{
    struct iov_iter it;
    iov_init_kernel(&it, buf, n);
    return file_read(f, &it, pos);
}
// Whole file as a string (static memory).
static inline const char *text_of(const char *path)
{
    static char buf[8192];
    struct file *f;
    int err = vfs_open(ctx, NULL, path, O_RDONLY, 0, &f);
    if (err) {
        snprintf(buf, sizeof(buf), "error %d", err);
        return buf;
    }
    ssize_t_k n = fread_all(f, buf, sizeof(buf) - 1, 0);
    buf[n < 0 ? 0 : n] = 0;
    file_unref(f);
    return buf;
}
static inline int put_text(const char *path, const char *text)
{
    struct file *f;
    uint64_t pos = 0;
    int err = vfs_open(ctx, NULL, path, O_WRONLY | O_CREAT | O_TRUNC, 0644, &f);
    if (err)
        return err;
    ssize_t_k n = fwrite_at(f, text, strlen(text), &pos);
    file_unref(f);
    return n == (ssize_t_k)strlen(text) ? 0 : (int)n;
}

#endif
