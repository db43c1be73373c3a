// SPDX-License-Identifier: ISC
// Reads what to run: the store's launch text if it is there and of the current index, else
// lith-image makes one. Two small reads in the usual case, which is part of every start.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

#define TEXT_MAX (4u << 20)

void words_add(struct words *w, char *owned)
{
    w->v = xrealloc(w->v, (w->n + 1) * sizeof(*w->v));
    w->v[w->n++] = owned;
}

static int launch_line(struct launch *l, const char *key, char *value)
{
    static const char *const keys[] = {"dir", "home",       "cwd", "root_size", "uid",
                                       "gid", "entrypoint", "cmd", "env"};
    char **texts[] = {&l->dir, &l->home, &l->cwd};
    uint64_t *numbers[] = {&l->root_size, &l->uid, &l->gid};
    struct words *lists[] = {&l->entrypoint, &l->cmd, &l->env};
    for (unsigned i = 0; i < 9; i++) {
        if (strcmp(key, keys[i]) != 0)
            continue;
        if (i < 3)
            *texts[i] = xstrdup(value);
        else if (i < 6)
            return parse_uint(value, 0, i == 3 ? INT64_MAX : UINT32_MAX, numbers[i - 3]);
        else
            words_add(lists[i - 6], xstrdup(value));
        return 0;
    }
    if (strcmp(key, "linked") == 0) {
        l->linked = true;
        return parse_uint(value, 0, UINT32_MAX, &l->flags);
    }
    return -EINVAL;
}

// Takes the text apart, in place. Every line ends with a newline: a text that is cut off is
// refused.
static int launch_parse(char *text, struct launch *l)
{
    for (char *line = text, *next; *line; line = next) {
        next = strchr(line, '\n');
        char *value = strchr(line, ' ');
        if (next == NULL || value == NULL || value > next)
            return -EINVAL;
        *next++ = 0;
        *value++ = 0;
        if (unescape(value) < 0 || launch_line(l, line, value) < 0)
            return -EINVAL;
    }
    return l->dir != NULL && l->home != NULL ? 0 : -EINVAL;
}

// The store's folder, or -1.
static int store_folder(void)
{
    const char *xdg = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    char path[4096];
    if (xdg != NULL && xdg[0] == '/')
        snprintf(path, sizeof(path), "%s/lith", xdg);
    else if (home != NULL && home[0] == '/')
        snprintf(path, sizeof(path), "%s/.local/share/lith", home);
    else
        return -1;
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool index_current(int store)
{
    struct stat st;
    char now[80], was[81];
    int fd = openat(store, "launch/.index", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, was, sizeof(was) - 1);
    close(fd);
    if (n <= 0 || fstatat(store, "index.json", &st, 0) < 0)
        return false;
    was[n] = 0;
    snprintf(now, sizeof(now), "%llu %lld %lld.%09ld\n", (unsigned long long)st.st_ino,
             (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    return strcmp(was, now) == 0;
}

static int launch_cached(const char *image, struct launch *l)
{
    char name[300], *text;
    size_t len;
    if (strlen(image) > 255)
        return -ENOENT;
    bool tag = strchr(strrchr(image, '/') ? strrchr(image, '/') : image, ':') != NULL;
    snprintf(name, sizeof(name), "launch/%s%s", image, tag ? "" : ":latest");
    for (char *p = name + 7; *p; p++)
        if (*p == '/')
            *p = '%';
    int store = store_folder(), r = -ENOENT;
    if (store < 0)
        return r;
    if (name[7] != '.' && index_current(store) &&
        file_read(store, name, TEXT_MAX, &text, &len) == 0) {
        r = launch_parse(text, l);
        free(text);
    }
    close(store);
    return r;
}

int launch_load(const char *image, const char *user, struct launch *l, struct err *e)
{
    *l = (struct launch){0};
    if (user == NULL && launch_cached(image, l) == 0)
        return 0;
    *l = (struct launch){0};
    char *path = xasprintf("%s/lith-image", exe_dir());
    const char *argv[7] = {path, "resolve"};
    int n = 2;
    if (user != NULL) {
        argv[n++] = "-u";
        argv[n++] = user;
    }
    argv[n++] = "--";
    argv[n++] = image;
    struct buf text = {0};
    struct err why = {""};
    int r = program_run(argv, "lith", &text, &why);
    if (r < 0) {
        // lith-image has said it in its own words; what program_run puts around them is taken off.
        const char *said = strstr(why.text, "lith: ");
        err_set(e, r, "%s", said ? said + 6 : why.text);
    } else if (text.data == NULL || launch_parse(text.data, l) < 0) {
        r = err_set(e, -EBADMSG, "%s says nothing that makes sense: is it of the same version?",
                    path);
    }
    buf_free(&text);
    free(path);
    return r;
}
