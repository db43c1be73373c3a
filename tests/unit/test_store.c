// SPDX-License-Identifier: ISC
// The image store: references, layers whole and damaged, references that come and go, and the
// configuration's types.
// links: host/store/store.c host/store/index.c host/store/layer.c
// links: host/store/config.c host/store/launch.c host/store/reference.c
// links: host/common/bootconfig.c
// links: host/common/error.c host/common/file.c host/common/parse.c -ljansson -lcrypto
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"

static char home[] = "/tmp/lith-store-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    strcpy(home + sizeof(home) - 7, "XXXXXX");
    if (mkdtemp(home) == NULL)
        return -1;
    return setenv("XDG_DATA_HOME", home, 1);
}

static int tear_down(void **state)
{
    (void)state;
    return remove_all(AT_FDCWD, home);
}

static void references(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"web", "web:latest"},
        {"web:1.0", "web:1.0"},
        {"a-b_c.d--e__f/g", "a-b_c.d--e__f/g:latest"},
        {"localhost:5000/x/y:T_a-g.1", "localhost:5000/x/y:T_a-g.1"},
        {"registry.example.com/x", "registry.example.com/x:latest"},
    };
    static const char *const bad[] = {"",     ":",    "Web",   "web:", "web:.a", "/web",
                                      "web/", "a//b", "-a",    "a-",   "a___b",  "a..b",
                                      "../a", "a b",  "a:b:c", "a@b",  "a/:tag", "a:ta/g:x y"};
    char ref[STORE_REF_MAX];
    struct err e;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(ref_parse(good[i][0], ref, &e), 0);
        assert_string_equal(ref, good[i][1]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(ref_parse(bad[i], ref, &e), -EINVAL);
    char big[400];
    memset(big, 'a', sizeof(big) - 1);
    big[sizeof(big) - 1] = 0;
    assert_int_equal(ref_parse(big, ref, &e), -EINVAL);
}

static void put(const char *dir, const char *name, const char *text)
{
    char *path = xasprintf("%s/lith/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, text, strlen(text)), 0);
    close(fd);
    free(path);
}

static void add_image(struct store *s, const char *ref, const char *root, struct store_image *image)
{
    struct err e = {""};
    char *tmp;
    assert_int_equal(store_tmp(s, &tmp, &e), 0);
    char *lith = xasprintf("%s/lith", tmp);
    assert_int_equal(mkdir(lith, 0755), 0);
    put(tmp, "kernel", "KERNEL");
    put(tmp, "root.erofs", root);
    put(tmp, "config.json",
        "{\"config\": {\"Cmd\": [\"/x\"]}, \"users\": {\"www\": [33, 44, \"/var\"]}, \"groups\": "
        "{\"g\": 7}}");
    put(tmp, "calls.json", "[]");
    json_t *config = json_pack("{s:[s]}", "Cmd", "/x");
    assert_int_equal(store_add(s, ref, tmp, config, image, &e), 0);
    json_decref(config);
    free(lith);
    free(tmp);
}

static void images_come_and_go(void **state)
{
    (void)state;
    struct store s;
    struct store_image a, b, found, *list;
    struct err e;
    size_t n;
    bool deleted;
    assert_int_equal(store_open(&s, false, &e), -ENOENT);
    assert_int_equal(store_open(&s, true, &e), 0);
    assert_int_equal(store_lock(&s, &e), 0);
    add_image(&s, "a:latest", "one", &a);
    add_image(&s, "b:latest", "one", &b);
    assert_string_equal(a.config, b.config); // the same input gives the same digest
    assert_string_equal(a.layer, b.layer);
    assert_int_equal(store_list(&s, &list, &n, NULL, &e), 0);
    assert_int_equal(n, 2);
    free(list);
    assert_int_equal(store_find(&s, "a", &found, &e), 0);
    char id[8];
    snprintf(id, sizeof(id), "%.7s", a.config + 7);
    assert_int_equal(store_find(&s, id, &found, &e), 0);
    assert_int_equal(store_find(&s, "none", &found, &e), -ENOENT);
    assert_non_null(strstr(e.text, "lith images"));
    assert_int_equal(store_untag(&s, &a, &deleted, &e), 0);
    assert_false(deleted);
    assert_int_equal(store_find(&s, "b", &found, &e), 0);
    char *dir;
    assert_int_equal(store_unpacked(&s, &found, &dir, &e), 0);
    free(dir);
    // A new image under the name: the old one has no name left and goes.
    add_image(&s, "b:latest", "two", &b);
    char *old = xasprintf("%s/lith/blobs/sha256/%s", home, a.layer + 7);
    assert_int_equal(access(old, F_OK), -1);
    free(old);
    assert_int_equal(store_untag(&s, &b, &deleted, &e), 0);
    assert_true(deleted);
    assert_int_equal(store_list(&s, &list, &n, NULL, &e), 0);
    assert_int_equal(n, 0);
    free(list);
    store_close(&s);
}

// The layer is unpacked from its blob; every damage is found.
static void damaged_layers(void **state)
{
    (void)state;
    struct store s;
    struct store_image image;
    struct err e;
    char *dir, *data;
    size_t len;
    assert_int_equal(store_open(&s, true, &e), 0);
    assert_int_equal(store_lock(&s, &e), 0);
    add_image(&s, "a:latest", "root", &image);
    char *unpacked = xasprintf("%s/lith/unpacked/%s", home, image.layer + 7);
    char *blob = xasprintf("blobs/sha256/%s", image.layer + 7);
    assert_int_equal(file_read(s.dirfd, blob, 1 << 20, &data, &len), 0);
    assert_int_equal(remove_all(AT_FDCWD, unpacked), 0);
    assert_int_equal(store_unpacked(&s, &image, &dir, &e), 0);
    char *root = xasprintf("%s/root.erofs", dir), *text;
    size_t text_len;
    assert_int_equal(file_read(AT_FDCWD, root, 100, &text, &text_len), 0);
    assert_string_equal(text, "root");
    free(text);
    free(root);
    free(dir);
    static const size_t cuts[] = {0, 1, 511, 512, 1000, 2048};
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        assert_int_equal(remove_all(AT_FDCWD, unpacked), 0);
        assert_int_equal(file_write_atomic(s.dirfd, blob, data, cuts[i]), 0);
        assert_int_equal(store_unpacked(&s, &image, &dir, &e), -EBADMSG);
        assert_non_null(strstr(e.text, "damaged"));
    }
    for (size_t at = 0; at < len; at += 37) {
        data[at] = (char)(data[at] ^ 0x41);
        assert_int_equal(file_write_atomic(s.dirfd, blob, data, len), 0);
        assert_int_equal(store_unpacked(&s, &image, &dir, &e), -EBADMSG);
        data[at] = (char)(data[at] ^ 0x41);
    }
    free(data);
    // The manifest too; a damaged image can still be removed.
    char *manifest = xasprintf("blobs/sha256/%s", image.manifest + 7);
    assert_int_equal(file_write_atomic(s.dirfd, manifest, "{}", 2), 0);
    assert_int_equal(store_find(&s, "a", &image, &e), -EBADMSG);
    assert_int_equal(store_untag_damaged(&s, "a", &image, &e), 0);
    assert_int_equal(store_find(&s, "a", &image, &e), -ENOENT);
    free(manifest);
    free(unpacked);
    free(blob);
    store_close(&s);
}

static void configuration_types(void **state)
{
    (void)state;
    struct err e;
    json_t *list,
        *c = json_loads(
            "{\"config\": {\"Env\": [\"A=1\"], \"Cmd\": null, \"Entrypoint\": \"x\", \"Bad\": [1]},"
            "\"users\": {\"www\": [33, 44, \"/var\"], \"odd\": 7}, \"groups\": {\"g\": 7}}",
            0, NULL);
    json_t *config = json_object_get(c, "config");
    assert_int_equal(config_strings(config, "Env", &list, &e), 0);
    assert_non_null(list);
    assert_int_equal(config_strings(config, "Cmd", &list, &e), 0);
    assert_null(list);
    assert_int_equal(config_strings(config, "None", &list, &e), 0);
    assert_int_equal(config_strings(config, "Entrypoint", &list, &e), -EBADMSG);
    assert_int_equal(config_strings(config, "Bad", &list, &e), -EBADMSG);
    static const struct {
        const char *spec;
        int result;
        uint32_t uid, gid;
        const char *home;
    } users[] = {
        {"www", 0, 33, 44, "/var"},
        {"www:g", 0, 33, 7, "/var"},
        {"33", 0, 33, 44, "/var"},
        {"12:34", 0, 12, 34, "/"},
        {"12", 0, 12, 0, "/"},
        {"none", -EINVAL, 0, 0, 0},
        {"www:none", -EINVAL, 0, 0, 0},
        {"odd", 0, 0, 0, "/"},
        {"", 0, 0, 0, "/"},
        {"-1", -EINVAL, 0, 0, 0},
        {"4294967295", -EINVAL, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
        uint32_t uid, gid;
        const char *h;
        assert_int_equal(config_resolve_user(c, users[i].spec, &uid, &gid, &h, &e),
                         users[i].result);
        if (users[i].result < 0)
            continue;
        assert_int_equal(uid, users[i].uid);
        assert_int_equal(gid, users[i].gid);
        assert_string_equal(h, users[i].home);
    }
    json_decref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references),
        cmocka_unit_test_setup_teardown(images_come_and_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_layers, set_up, tear_down),
        cmocka_unit_test(configuration_types),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
