// SPDX-License-Identifier: ISC
// links: kernel/fs/erofs.c tests/unit/shim_core.c tests/unit/shim_mm.c
// links: kernel/lib/format.c kernel/lib/hash.c kernel/lib/rbtree.c
// The EROFS reader against images of mkfs.erofs: every file of a host tree is found and reads the
// same, what is missing is not found; damaged images are refused.
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <linux/errno.h>
#include "fs/erofs.h"

static char dir[64];
static uint8_t *image;
static uint64_t image_len;

static void sh(const char *fmt, ...)
{
    char cmd[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(cmd, sizeof(cmd), fmt, ap);
    va_end(ap);
    assert_int_equal(system(cmd), 0);
}

static void make_image(const char *options)
{
    sh("mkfs.erofs --quiet %s %s.erofs %s >/dev/null", options, dir, dir);
    char name[128];
    snprintf(name, sizeof(name), "%s.erofs", dir);
    FILE *f = fopen(name, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    image_len = (uint64_t)ftell(f);
    rewind(f);
    free(image);
    image = malloc(image_len); // exact: ASan sees reads behind the end
    assert_int_equal(fread(image, 1, image_len, f), image_len);
    fclose(f);
    unlink(name);
}

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/lith-erofs-XXXXXX");
    assert_non_null(mkdtemp(dir));
    sh("cd %s && mkdir -p a/b/c many empty && printf hello > hello && : > zero && "
       "head -c 4096 /dev/urandom > page && head -c 4097 /dev/urandom > page1 && "
       "head -c 300000 /dev/urandom > big && head -c 5000 /dev/urandom > a/b/c/deep && "
       "ln -s ../hello a/link && ln hello a/hard && mkfifo fifo && "
       "for i in $(seq 1 700); do : > many/some-file-with-a-longer-name-$i; done && "
       "truncate -s 200000 holes && printf x | dd of=holes bs=1 seek=100000 conv=notrunc "
       "2>/dev/null && "
       "touch -d @1234567890 hello && chmod 4751 page",
       dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sh("rm -rf %s", dir);
    free(image);
    return 0;
}

// Walks `path` below the root.
static int find(const struct erofs *e, const char *path, struct erofs_inode *out)
{
    int err = erofs_inode_read(e, e->root_nid, out);
    while (!err && *path) {
        const char *end = strchrnul(path, '/');
        uint64_t nid;
        err = erofs_lookup(e, &out->data, path, (size_t)(end - path), &nid);
        if (!err)
            err = erofs_inode_read(e, nid, out);
        path = *end ? end + 1 : end;
    }
    return err;
}

static void check_file(const struct erofs *e, const char *path)
{
    char name[256];
    struct erofs_inode i;
    assert_int_equal(find(e, path, &i), 0);
    snprintf(name, sizeof(name), "%s/%s", dir, path);
    FILE *f = fopen(name, "rb");
    assert_non_null(f);
    char *want = malloc(400000), *got = malloc(400000);
    size_t n = fread(want, 1, 400000, f);
    fclose(f);
    assert_int_equal(i.data.size, n);
    assert_int_equal(erofs_read(e, &i.data, 0, got, 400000), n);
    assert_memory_equal(want, got, n);
    for (size_t off = 1; off < n; off += 3001) { // odd pieces
        size_t len = n - off < 5003 ? n - off : 5003;
        assert_int_equal(erofs_read(e, &i.data, off, got, len), len);
        assert_memory_equal(want + off, got, len);
    }
    free(want);
    free(got);
}

static void check_all(const char *options)
{
    struct erofs e;
    struct erofs_inode i;
    const char *why = NULL;
    make_image(options);
    assert_int_equal(erofs_open(&e, image, image_len, &why), 0);
    const char *files[] = {"hello", "zero",       "page",   "page1",
                           "big",   "a/b/c/deep", "a/hard", "holes"};
    for (size_t k = 0; k < sizeof(files) / sizeof(files[0]); k++)
        check_file(&e, files[k]);
    assert_int_equal(find(&e, "a/link", &i), 0);
    char target[16] = {0};
    assert_int_equal(i.mode & 0170000, 0120000);
    assert_int_equal(erofs_read(&e, &i.data, 0, target, sizeof(target)), 8);
    assert_string_equal(target, "../hello");
    assert_int_equal(find(&e, "fifo", &i), 0);
    assert_int_equal(i.mode & 0170000, 0010000);
    assert_int_equal(find(&e, "page", &i), 0);
    assert_int_equal(i.mode & 07777, 04751);
    assert_int_equal(find(&e, "hello", &i), 0);
    assert_int_equal(i.nlink, 2);
    assert_int_equal(find(&e, "missing", &i), -ENOENT);
    assert_int_equal(find(&e, "empty/x", &i), -ENOENT);
    assert_int_equal(find(&e, "a/zzz", &i), -ENOENT);
    assert_int_equal(find(&e, "many/some-file-with-a-longer-name-", &i), -ENOENT);
    char name[64];
    for (int k = 1; k <= 700; k++) {
        snprintf(name, sizeof(name), "many/some-file-with-a-longer-name-%d", k);
        assert_int_equal(find(&e, name, &i), 0);
    }
    // Listing gives each entry once, wherever it is resumed.
    assert_int_equal(find(&e, "many", &i), 0);
    uint64_t pos = 0, seen = 0;
    struct erofs_entry x;
    while (erofs_next(&e, &i.data, &pos, &x) == 1)
        seen++;
    assert_int_equal(seen, 702); // with . and ..
}

static void test_plain_and_inline(void **state)
{
    (void)state;
    check_all("");
}
static void test_extended_inodes(void **state)
{
    (void)state;
    check_all("-Eforce-inode-extended");
}
static void test_chunks(void **state)
{
    (void)state;
    check_all("--chunksize=8192");
    check_all("--chunksize=65536 -Eforce-chunk-indexes");
}

static void test_times(void **state)
{
    struct erofs e;
    struct erofs_inode i;
    const char *why;
    (void)state;
    make_image("-Eforce-inode-extended");
    assert_int_equal(erofs_open(&e, image, image_len, &why), 0);
    assert_int_equal(find(&e, "hello", &i), 0);
    assert_int_equal(i.mtime_ns / 1000000000, 1234567890);
}

static void test_refused(void **state)
{
    struct erofs e;
    const char *why = NULL;
    (void)state;
    make_image("");
    assert_int_equal(erofs_open(&e, image, 100, &why), -EUCLEAN);
    assert_int_equal(erofs_open(&e, image, image_len / 4096 * 4096 - 4096, &why),
                     -EUCLEAN); // truncated
    assert_string_equal(why, "the image is truncated");
    image[1024 + 64]++; // volume name: the checksum notices
    assert_int_equal(erofs_open(&e, image, image_len, &why), -EUCLEAN);
    assert_string_equal(why, "the checksum of the super block is wrong");
    image[1024 + 8] = 0; // no checksum feature
    assert_int_equal(erofs_open(&e, image, image_len, &why), 0);
    image[1024 + 80] |= 2; // compression
    assert_int_equal(erofs_open(&e, image, image_len, &why), -EOPNOTSUPP);
    image[1024 + 80] = 0;
    image[1024 + 12] = 9; // block size
    assert_int_equal(erofs_open(&e, image, image_len, &why), -EOPNOTSUPP);
    image[1024] = 0;
    assert_int_equal(erofs_open(&e, image, image_len, &why), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_and_inline), cmocka_unit_test(test_extended_inodes),
        cmocka_unit_test(test_chunks),           cmocka_unit_test(test_times),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
