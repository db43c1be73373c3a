// SPDX-License-Identifier: ISC
// Images of link mode: when the program that an image starts has been linked with the kernel, the
// program is the image's kernel.
#include "image/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char *first_word(json_t *config)
{
    const char *word = json_string_value(json_array_get(json_object_get(config, "Entrypoint"), 0));
    return word ? word : json_string_value(json_array_get(json_object_get(config, "Cmd"), 0));
}

static const char *search_path(json_t *config)
{
    json_t *item;
    size_t i;
    json_array_foreach(json_object_get(config, "Env"), i, item)
    {
        const char *s = json_string_value(item);
        if (s && strncmp(s, "PATH=", 5) == 0)
            return s + 5;
    }
    return DEFAULT_PATH;
}

// The program as the guest would find it; -ENOENT when it is not there.
static int program_open(const struct draft *d, const char *word)
{
    const char *cwd = json_string_value(json_object_get(d->config, "WorkingDir"));
    if (word[0] == '/')
        return tree_openat(&d->tree, word, O_RDONLY | O_NONBLOCK);
    if (strchr(word, '/')) {
        char *path = xasprintf("%s/%s", cwd ? cwd : "", word);
        int fd = tree_openat(&d->tree, path, O_RDONLY | O_NONBLOCK);
        free(path);
        return fd;
    }
    char *dirs = xstrdup(search_path(d->config)), *save = NULL;
    int fd = -ENOENT;
    for (char *dir = strtok_r(dirs, ":", &save); dir && fd < 0; dir = strtok_r(NULL, ":", &save)) {
        char *path = xasprintf("%s/%s", dir, word);
        fd = tree_openat(&d->tree, path, O_RDONLY | O_NONBLOCK);
        free(path);
    }
    free(dirs);
    return fd;
}

int linked_take(struct draft *d, struct err *e)
{
    const char *word = first_word(d->config);
    uint32_t flags = 0;
    int fd = word && *word ? program_open(d, word) : -ENOENT;
    if (fd < 0)
        return 0; // a program that is not there is the start's business: it may come by
                  // --entrypoint
    struct stat st;
    int r = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? linked_probe(fd, &flags) : 0;
    if (r == -ENOTSUP)
        err_set(e, r, "%.200s was linked for another version of Lith: link it again", word);
    if (r == 1) {
        close(d->kernel);
        d->kernel = fd;
        d->linked = json_pack("{s:s, s:I}", "program", word, "flags", (json_int_t)flags);
        if (d->linked)
            return 0;
        return err_set(e, -EINVAL, "not UTF-8 text: %.60s", word);
    }
    close(fd);
    return r == -ENOTSUP ? r : 0;
}
