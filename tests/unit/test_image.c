// SPDX-License-Identifier: ISC
// Trees under construction and what goes into them: links that lead out, archives with hostile
// names, .dockerignore patterns.
// links: host/image/tree.c host/image/archive.c host/image/ignore.c
// links: host/image/dockerfile.c host/image/expand.c
// links: host/common/error.c host/common/file.c -larchive -ljansson
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "image/private.h"

static char top[] = "/tmp/lith-tree-XXXXXX";
static struct tree tree;

static int set_up(void **state)
{
    (void)state;
    struct err e;
    strcpy(top + sizeof(top) - 7, "XXXXXX");
    if (mkdtemp(top) == NULL)
        return -1;
    char *root = xasprintf("%s/root", top);
    mkdir(root, 0755);
    int r = tree_open(&tree, root, &e);
    free(root);
    return r;
}

static int tear_down(void **state)
{
    (void)state;
    tree_close(&tree);
    return remove_all(AT_FDCWD, top);
}

static void paths(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"/", "", "/"},         {"/", "a", "/a"},        {"/a", "b/./c//d/", "/a/b/c/d"},
        {"/a", "/b", "/b"},     {"/a", "../..", "/"},    {"/a/b", "../c", "/a/c"},
        {"/", "../../x", "/x"}, {"/a", "...", "/a/..."}, {"/", "a/..", "/"},
        {"/", "./.", "/"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *p = path_join(cases[i][0], cases[i][1]);
        assert_string_equal(p, cases[i][2]);
        free(p);
    }
}

static void links_stay_inside(void **state)
{
    (void)state;
    struct err e;
    struct tree_attr a = {.mode = 0644};
    char *outside = xasprintf("%s/outside", top), *data;
    size_t len;
    mkdir(outside, 0755);
    assert_int_equal(tree_put_symlink(&tree, "/abs", outside, &a, &e), 0);
    assert_int_equal(tree_put_symlink(&tree, "/up", "../../../../../../../../tmp", &a, &e), 0);
    assert_int_equal(tree_put_dir(&tree, "/usr/lib", &a, &e), 0);
    assert_int_equal(tree_put_symlink(&tree, "/lib", "usr/lib", &a, &e), 0);
    assert_int_equal(tree_put_data(&tree, "/lib/x", "x", 1, &a, &e), 0);
    assert_int_equal(tree_read(&tree, "/usr/lib/x", 10, &data, &len), 0);
    free(data);
    // Both links name places that do not exist inside.
    assert_true(tree_put_data(&tree, "/abs/evil", "x", 1, &a, &e) < 0);
    assert_true(tree_put_data(&tree, "/up/evil", "x", 1, &a, &e) < 0);
    char *evil = xasprintf("%s/evil", outside);
    assert_int_equal(access(evil, F_OK), -1);
    // A file replaces a link, and does not write through it.
    assert_int_equal(tree_put_symlink(&tree, "/f", "usr/lib/x", &a, &e), 0);
    assert_int_equal(tree_put_data(&tree, "/f", "yy", 2, &a, &e), 0);
    assert_int_equal(tree_read(&tree, "/usr/lib/x", 10, &data, &len), 0);
    assert_int_equal(len, 1);
    free(data);
    assert_int_equal(tree_put_data(&tree, "/usr/lib", "x", 1, &a, &e), -EISDIR);
    assert_int_equal(tree_put_data(&tree, "/", "x", 1, &a, &e), -EISDIR);
    free(evil);
    free(outside);
}

struct entry {
    const char *name;
    char type; // f, d, l (symbolic), h (hard)
    const char *value;
};

static int make_tar(const struct entry *v, size_t n)
{
    int fd = memfd_create("tar", 0);
    struct archive *a = archive_write_new();
    archive_write_set_format_pax_restricted(a);
    archive_write_open_fd(a, fd);
    for (size_t i = 0; i < n; i++) {
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, v[i].name);
        archive_entry_set_mode(e, v[i].type == 'd'   ? AE_IFDIR | 0755
                                  : v[i].type == 'l' ? AE_IFLNK | 0777
                                                     : AE_IFREG | 0644);
        if (v[i].type == 'l')
            archive_entry_set_symlink(e, v[i].value);
        if (v[i].type == 'h')
            archive_entry_set_hardlink(e, v[i].value);
        archive_entry_set_size(e, v[i].type == 'f' ? (la_int64_t)strlen(v[i].value) : 0);
        archive_write_header(a, e);
        if (v[i].type == 'f')
            archive_write_data(a, v[i].value, strlen(v[i].value));
        archive_entry_free(e);
    }
    archive_write_free(a);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static bool holds(const char *path, const char *text)
{
    char *data;
    size_t len;
    if (tree_read(&tree, path, 100, &data, &len) < 0)
        return false;
    bool same = strcmp(data, text) == 0;
    free(data);
    return same;
}

static void archives(void **state)
{
    (void)state;
    struct err e;
    static const struct entry base[] = {
        {"./", 'd', ""},        {"./dir/", 'd', ""},    {"./dir/a", 'f', "A"},
        {"dir/b", 'f', "B"},    {"dir/link", 'l', "a"}, {"dir/hard", 'h', "dir/a"},
        {"../../up", 'f', "U"}, {"/abs", 'f', "S"},
    };
    int fd = make_tar(base, sizeof(base) / sizeof(base[0]));
    assert_int_equal(tree_add_archive(&tree, fd, "/", false, NULL, &e), 0);
    close(fd);
    assert_true(holds("/dir/a", "A") && holds("/dir/b", "B") && holds("/dir/link", "A") &&
                holds("/dir/hard", "A"));
    assert_true(holds("/up", "U") && holds("/abs", "S"));
    // A layer on top: deletions, and a link that a later entry tries to write through.
    static const struct entry layer[] = {{"dir/.wh.a", 'f', ""},
                                         {"out", 'l', "/../../../tmp"},
                                         {"out/lith-evil", 'f', "X"},
                                         {".wh.nothing", 'f', ""}};
    fd = make_tar(layer, 2);
    assert_int_equal(tree_add_archive(&tree, fd, "/", true, NULL, &e), 0);
    close(fd);
    assert_false(holds("/dir/a", "A"));
    assert_true(holds("/dir/b", "B"));
    fd = make_tar(layer + 1, 3);
    tree_add_archive(&tree, fd, "/", true, NULL, &e);
    close(fd);
    assert_int_equal(access("/tmp/lith-evil", F_OK), -1);
    static const struct entry opaque[] = {{"dir/.wh..wh..opq", 'f', ""}, {"dir/c", 'f', "C"}};
    fd = make_tar(opaque, 2);
    assert_int_equal(tree_add_archive(&tree, fd, "/", true, NULL, &e), 0);
    close(fd);
    assert_false(holds("/dir/b", "B"));
    assert_true(holds("/dir/c", "C"));
    // Not an archive, and one that is cut off.
    fd = memfd_create("x", 0);
    assert_int_equal(write_all(fd, "hello, this is text", 19), 0);
    lseek(fd, 0, SEEK_SET);
    assert_int_equal(tree_add_archive(&tree, fd, "/", false, NULL, &e), -ENOTSUP);
    close(fd);
    fd = make_tar(base, sizeof(base) / sizeof(base[0]));
    assert_int_equal(ftruncate(fd, 1024 + 512 + 100), 0);
    assert_true(tree_add_archive(&tree, fd, "/cut", false, NULL, &e) < 0);
    close(fd);
}

static void ignore_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *patterns, *path;
        bool ignored;
    } cases[] = {
        {"a", "/a", true},
        {"a", "/b/a", false},
        {"a", "/a/b/c", true},
        {"*.o", "/x.o", true},
        {"*.o", "/d/x.o", false},
        {"**/*.o", "/d/e/x.o", true},
        {"**/*.o", "/x.o", true},
        {"d/**", "/d/e/f", true},
        {"d/**/f", "/d/f", true},
        {"d/**/f", "/d/a/b/f", true},
        {"d/**/f", "/d/a/b/g", false},
        {"*", "/anything/below", true},
        {"*\n!keep", "/keep", false},
        {"*\n!keep\nkeep/not", "/keep/not/x", true},
        {"?.c", "/a.c", true},
        {"/a/", "/a", true},
        {"# a comment\n\n", "/a", false},
        {"**/a/**/b", "/x/a/y/a/z/b", true},
        {".git", "/.git/config", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct strings p = {0};
        struct err e;
        char *file = xasprintf("%s/root", top);
        int fd = open(file, O_RDONLY | O_DIRECTORY);
        free(file);
        assert_int_equal(
            file_write_atomic(fd, ".dockerignore", cases[i].patterns, strlen(cases[i].patterns)),
            0);
        assert_int_equal(ignore_read(fd, &p, &e), 0);
        if (ignore_match(&p, cases[i].path) != cases[i].ignored)
            fail_msg("pattern '%s', path %s", cases[i].patterns, cases[i].path);
        strings_free(&p);
        close(fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths),
        cmocka_unit_test_setup_teardown(links_stay_inside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(archives, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ignore_patterns, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
