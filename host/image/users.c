// SPDX-License-Identifier: ISC
// Users and groups of a tree: /etc/passwd and /etc/group, read once, for USER, --chown and -u.
#include "image/private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PASSWD_MAX (4u << 20)

// Splits a line at its colons, in place. Returns the number of fields.
static size_t split(char *line, char *field[], size_t max)
{
    size_t n = 0;
    for (char *p = line; n < max; p++) {
        field[n++] = p;
        p += strcspn(p, ":");
        if (*p == 0)
            break;
        *p = 0;
    }
    return n;
}

static void read_lines(const struct tree *t, const char *path, json_t *out, bool groups)
{
    char *text;
    size_t len;
    if (tree_read(t, path, PASSWD_MAX, &text, &len) < 0)
        return;
    for (char *line = text, *next; line < text + len; line = next) {
        next = line + strcspn(line, "\n");
        if (*next)
            *next++ = 0;
        char *f[7];
        size_t n = split(line, f, 7);
        uint64_t id, gid;
        if (n < (groups ? 3 : 6) || f[0][0] == 0 || parse_uint(f[2], 0, UINT32_MAX - 1, &id) < 0)
            continue;
        if (groups)
            json_object_set_new(out, f[0], json_integer((json_int_t)id));
        else if (parse_uint(f[3], 0, UINT32_MAX - 1, &gid) == 0)
            json_object_set_new(out, f[0],
                                json_pack("[I,I,s]", (json_int_t)id, (json_int_t)gid, f[5]));
    }
    free(text);
}

int users_read(const struct tree *t, json_t **users, struct err *e)
{
    json_t *u = json_object(), *g = json_object();
    read_lines(t, "/etc/passwd", u, false);
    read_lines(t, "/etc/group", g, true);
    *users = json_pack("{s:o, s:o}", "users", u, "groups", g);
    return *users != NULL ? 0 : err_set(e, -EINVAL, "the image's /etc/passwd is not UTF-8 text");
}
