// SPDX-License-Identifier: ISC
// `lith run ./program`: a program that is linked with the kernel runs as it is, without an image.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

static int probe(const char *path, uint32_t *flags)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    int r = fstat(fd, &st) < 0 ? -errno : 0;
    if (r == 0 && !S_ISREG(st.st_mode))
        r = S_ISDIR(st.st_mode) ? -EISDIR : -ENOEXEC;
    if (r == 0)
        r = linked_probe(fd, flags);
    close(fd);
    return r;
}

bool program_named(const char *arg)
{
    uint32_t flags;
    if (arg[0] == '/' || strncmp(arg, "./", 2) == 0 || strncmp(arg, "../", 3) == 0)
        return true;
    return strchr(arg, '/') != NULL && probe(arg, &flags) == 1; // images have such names, too
}

static int user_parse(const char *user, struct launch *l, struct err *e)
{
    char *text = xstrdup(user), *group = strchr(text, ':');
    if (group != NULL)
        *group++ = 0;
    bool good = parse_uint(text, 0, UINT32_MAX - 1, &l->uid) == 0 &&
                (group == NULL || parse_uint(group, 0, UINT32_MAX - 1, &l->gid) == 0);
    free(text);
    return good ? 0
                : err_set(e, -EINVAL,
                          "-u %.60s: a program without an image knows no names of users; give "
                          "numbers: -u 1000:1000",
                          user);
}

int program_load(const char *path, const char *user, struct launch *l, struct err *e)
{
    uint32_t flags = 0;
    const char *base = strrchr(path, '/') + 1;
    int r = probe(path, &flags);
    *l = (struct launch){.home = xstrdup("/"), .linked = true, .flags = flags};
    words_add(&l->entrypoint, xstrdup(path));
    if (r == 1)
        return user != NULL ? user_parse(user, l, e) : 0;
    if (r == 0)
        return err_set(
            e, -ENOEXEC,
            "%.200s is an ordinary Linux program: build it from its source with lith-cc, "
            "or put it into an image with its libraries (a Dockerfile with COPY %.60s, "
            "then `lith build`)",
            path, base);
    if (r == -EISDIR)
        return err_set(e, r,
                       "%.200s is a folder; if it holds a Dockerfile, `lith build -t NAME %.200s` "
                       "makes an image of it",
                       path, path);
    if (r == -ENOEXEC)
        return err_set(e, r,
                       "%.200s is not an ELF program; scripts run in an image that holds their "
                       "interpreter (`lith help build`)",
                       path);
    if (r == -ENOTSUP)
        return err_set(e, r, "%.200s was linked for another version of Lith: link it again", path);
    if (r == -EBADMSG)
        return err_set(e, r, "%.200s is damaged: its headers point outside the file", path);
    return err_sys(e, r, "cannot read the program %.200s", path);
}
