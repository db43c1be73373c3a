// SPDX-License-Identifier: ISC
// Launch texts: an image's configuration, checked and resolved once, in a form that `lith run`
// reads without a JSON library (cli/launch.c is the reader).
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void add_line(struct buf *text, const char *key, const char *value)
{
    buf_puts(text, key);
    buf_puts(text, " ");
    escape_add(text, value);
    buf_puts(text, "\n");
}

static int add_list(struct buf *text, const char *key, json_t *config, const char *name,
                    struct err *e)
{
    json_t *list, *word;
    size_t i;
    int r = config_strings(config, name, &list, e);
    json_array_foreach(list, i, word)
    {
        add_line(text, key, json_string_value(word));
    }
    return r;
}

int store_launch_text(struct store *s, const struct store_image *image, const char *user,
                      struct buf *text, struct err *e)
{
    char *dir = NULL;
    json_t *full = NULL;
    uint32_t uid = 0, gid = 0;
    const char *home = "/root";
    int r = store_unpacked(s, image, &dir, e);
    if (r == 0)
        r = store_read_config(dir, &full, e);
    json_t *config = json_object_get(full, "config");
    if (r == 0 && user == NULL)
        user = json_string_value(json_object_get(config, "User"));
    if (r == 0 && user != NULL && *user)
        r = config_resolve_user(full, user, &uid, &gid, &home, e);
    if (r == 0) {
        json_t *size = json_object_get(json_object_get(full, "files"), "root.erofs");
        const char *cwd = json_string_value(json_object_get(config, "WorkingDir"));
        add_line(text, "dir", dir);
        buf_printf(text, "root_size %lld\nuid %u\ngid %u\n", (long long)json_integer_value(size),
                   uid, gid);
        json_t *linked = json_object_get(full, "linked");
        if (linked)
            buf_printf(text, "linked %u\n",
                       (unsigned)json_integer_value(json_object_get(linked, "flags")));
        add_line(text, "home", home);
        if (cwd != NULL && *cwd)
            add_line(text, "cwd", cwd);
        r = add_list(text, "entrypoint", config, "Entrypoint", e);
    }
    if (r == 0)
        r = add_list(text, "cmd", config, "Cmd", e);
    if (r == 0)
        r = add_list(text, "env", config, "Env", e);
    json_decref(full);
    free(dir);
    return r;
}

void store_launch_cache(struct store *s, const struct store_image *image, const struct buf *text)
{
    struct stat st;
    char now[80], name[8 + STORE_REF_MAX], *was;
    size_t len;
    if (image->ref[0] == 0 || fstatat(s->dirfd, "index.json", &st, 0) < 0)
        return;
    snprintf(now, sizeof(now), "%llu %lld %lld.%09ld\n", (unsigned long long)st.st_ino,
             (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    snprintf(name, sizeof(name), "launch/%s", image->ref);
    for (char *p = name + 7; *p; p++)
        if (*p == '/')
            *p = '%';
    bool valid = file_read(s->dirfd, "launch/.index", sizeof(now), &was, &len) == 0;
    if (valid) {
        valid = strcmp(was, now) == 0;
        free(was);
    }
    if (!valid) { // texts of another index: all of them go before the new one is declared
        remove_all(s->dirfd, "launch");
        if (mkdirat(s->dirfd, "launch", 0755) < 0 && errno != EEXIST)
            return;
    }
    if (file_write_atomic(s->dirfd, name, text->data, text->len) == 0 && !valid)
        file_write_atomic(s->dirfd, "launch/.index", now, strlen(now));
}
