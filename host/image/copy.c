// SPDX-License-Identifier: ISC
// COPY and ADD of a Dockerfile: sources below the build context (resolved inside it, whatever links
// it holds), wildcards, folders, .dockerignore, archives.
#include "image/private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEPTH_MAX 128

static int context_open(const struct copy *c, const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY),
                           .resolve = RESOLVE_IN_ROOT};
    if (flags & O_PATH)
        how.flags = (uint64_t)(flags | O_CLOEXEC);
    while (*path == '/')
        path++;
    long fd = syscall(SYS_openat2, c->context, *path ? path : ".", &how, sizeof(how));
    return fd < 0 ? -errno : (int)fd;
}

static struct tree_attr attr_of(const struct copy *c, const struct stat *st)
{
    struct tree_attr a = {.mode = st->st_mode & 07777, .mtime = st->st_mtim};
    if (c->has_mode)
        a.mode = c->mode;
    if (c->has_owner) {
        a.uid = c->uid;
        a.gid = c->gid;
    }
    return a;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Names in a folder of the context, sorted.
static int folder_names(const struct copy *c, const char *path, struct strings *names)
{
    int fd = context_open(c, path, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return fd;
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        return -ENOMEM;
    }
    struct dirent *d;
    while ((d = readdir(dir)) != NULL)
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            strings_add(names, xstrdup(d->d_name));
    closedir(dir);
    if (names->n > 1)
        qsort(names->v, names->n, sizeof(*names->v), compare_names);
    return 0;
}

// Expands wildcards, one component at a time. `done` is a clean path, `rest` what follows.
static int glob(const struct copy *c, const char *done, const char *rest, struct strings *out)
{
    rest += strspn(rest, "/");
    size_t n = strcspn(rest, "/");
    if (n == 0) {
        strings_add(out, xstrdup(*done ? done : "/"));
        return 0;
    }
    char *component = xstrndup(rest, n);
    int r = 0;
    if (strpbrk(component, "*?[\\") == NULL) {
        char *next = xasprintf("%s/%s", done, component);
        int fd = context_open(c, next, O_PATH | O_NOFOLLOW);
        if (fd >= 0) {
            close(fd);
            r = glob(c, next, rest + n, out);
        }
        free(next);
    } else {
        struct strings names = {0};
        folder_names(c, done, &names); // what cannot be listed fits nothing
        for (size_t i = 0; r == 0 && i < names.n; i++) {
            if (fnmatch(component, names.v[i], 0) != 0)
                continue;
            char *next = xasprintf("%s/%s", done, names.v[i]);
            r = glob(c, next, rest + n, out);
            free(next);
        }
        strings_free(&names);
    }
    free(component);
    return r;
}

static int copy_file(const struct copy *c, const char *from, const char *to, int fd,
                     const struct stat *st, struct err *e)
{
    struct tree_attr a = attr_of(c, st);
    int r = tree_put_file(&c->draft->tree, to, fd, &a, e);
    if (r == -EISDIR)
        return err_set(e, r, "cannot copy the file %s over the folder %s", from + 1, to);
    if (r == 0)
        draft_touch(c->draft, to);
    return r;
}

// One entry below a copied folder; links are copied as links.
static int copy_entry(const struct copy *c, const char *from, const char *to, unsigned depth,
                      struct err *e)
{
    if (depth > DEPTH_MAX)
        return err_set(e, -ELOOP, "%s: folders are nested more than %d deep", from + 1, DEPTH_MAX);
    struct stat st;
    int fd = context_open(c, from, O_PATH | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0) {
        int r = fd < 0 ? fd : -errno;
        if (fd >= 0)
            close(fd);
        return err_sys(e, r, "cannot read %s", from + 1);
    }
    bool ignored = strcmp(from, "/") != 0 && ignore_match(c->ignore, from);
    int r = 0;
    if (S_ISDIR(st.st_mode)) {
        struct tree_attr a = attr_of(c, &st);
        struct stat there;
        // The folder that COPY names keeps its attributes if it exists, as a mount point would.
        if (!ignored && !(depth == 0 && tree_stat(&c->draft->tree, to, &there) == 0))
            r = tree_put_dir(&c->draft->tree, to, &a, e);
        struct strings names = {0};
        if (r == 0 && (r = folder_names(c, from, &names)) < 0)
            err_sys(e, r, "cannot read the folder %s", from + 1);
        for (size_t i = 0; r == 0 && i < names.n; i++) {
            char *f = xasprintf("%s/%s", strcmp(from, "/") == 0 ? "" : from, names.v[i]);
            char *t = xasprintf("%s/%s", strcmp(to, "/") == 0 ? "" : to, names.v[i]);
            r = copy_entry(c, f, t, depth + 1, e);
            free(f);
            free(t);
        }
        strings_free(&names);
    } else if (!ignored && S_ISLNK(st.st_mode)) {
        char target[4096];
        ssize_t n = readlinkat(fd, "", target, sizeof(target) - 1);
        struct tree_attr a = attr_of(c, &st);
        target[n < 0 ? 0 : n] = 0;
        r = n < 0 ? err_sys(e, -errno, "cannot read the link %s", from + 1)
                  : tree_put_symlink(&c->draft->tree, to, target, &a, e);
    } else if (!ignored && S_ISREG(st.st_mode)) {
        int in = context_open(c, from, O_RDONLY | O_NOFOLLOW);
        r = in < 0 ? err_sys(e, in, "cannot read %s", from + 1)
                   : copy_file(c, from, to, in, &st, e);
        if (in >= 0)
            close(in);
    }
    close(fd);
    return r;
}

static bool is_folder(const struct copy *c, const char *to)
{
    struct stat st;
    return tree_stat(&c->draft->tree, to, &st) == 0 && S_ISDIR(st.st_mode);
}

// One source: a folder's contents, an archive's (ADD), or one file.
static int copy_source(const struct copy *c, const char *from, const char *to, bool to_folder,
                       struct err *e)
{
    struct stat st;
    int fd = context_open(c, from, O_RDONLY);
    if (fd < 0 || fstat(fd, &st) < 0) {
        int r = fd < 0 ? fd : -errno;
        if (fd >= 0)
            close(fd);
        return err_sys(e, r, "cannot read %s", from + 1);
    }
    int r = 0;
    if (S_ISDIR(st.st_mode)) {
        r = copy_entry(c, from, to, 0, e);
    } else if (!S_ISREG(st.st_mode)) {
        r = err_set(e, -EINVAL, "%s is neither a file nor a folder", from + 1);
    } else {
        bool unpacked = false;
        if (c->add) {
            r = tree_put_dir(&c->draft->tree, to, &TREE_ATTR_DIR, NULL);
            r = tree_add_archive(&c->draft->tree, fd, to, false, c->draft->touched, e);
            unpacked = r != -ENOTSUP;
            if (!unpacked)
                r = lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0;
        }
        if (!unpacked) {
            char *target =
                to_folder || is_folder(c, to) ? path_join(to, strrchr(from, '/') + 1) : xstrdup(to);
            r = copy_file(c, from, target, fd, &st, e);
            free(target);
        }
    }
    close(fd);
    return r;
}

// Whether a source path leads out of the context by its "..".
static bool leaves_context(const char *path)
{
    int depth = 0;
    while (*path) {
        size_t n = strcspn(path, "/");
        if (n == 2 && path[0] == '.' && path[1] == '.')
            depth--;
        else if (n > 0 && !(n == 1 && path[0] == '.'))
            depth++;
        if (depth < 0)
            return true;
        path += n;
        path += strspn(path, "/");
    }
    return false;
}

// Adds the files that one source word stands for.
static int sources_of(const struct copy *c, const char *word, struct strings *found, struct err *e)
{
    if (strstr(word, "://") != NULL || strncmp(word, "git@", 4) == 0)
        return err_set(e, -ENOTSUP,
                       "%.200s: adding from the network is not supported; download it and COPY it",
                       word);
    if (leaves_context(word))
        return err_set(e, -EINVAL, "%.200s lies outside the build context", word);
    struct strings hits = {0};
    char *clean = path_clean(word);
    int r = glob(c, "", clean, &hits);
    free(clean);
    size_t before = found->n;
    for (size_t i = 0; r == 0 && i < hits.n; i++) {
        // A folder may be ignored and hold exceptions; copy_entry looks at each entry.
        int fd = context_open(c, hits.v[i], O_PATH | O_DIRECTORY);
        bool folder = fd >= 0;
        if (folder)
            close(fd);
        if (folder || !ignore_match(c->ignore, hits.v[i]))
            strings_add(found, xstrdup(hits.v[i]));
    }
    strings_free(&hits);
    if (r == 0 && found->n == before)
        r = err_set(e, -ENOENT,
                    "%.200s: no such file in the build context (or .dockerignore leaves it out)",
                    word);
    return r;
}

int copy_run(const struct copy *c, const struct strings *words, struct err *e)
{
    if (words->n < 2)
        return err_set(e, -EINVAL, "needs at least one source and a destination");
    const char *dest = words->v[words->n - 1];
    size_t len = strlen(dest);
    bool to_folder = len == 0 || dest[len - 1] == '/' || strcmp(dest, ".") == 0 ||
                     (len >= 2 && strcmp(dest + len - 2, "/.") == 0);
    struct strings found = {0};
    int r = 0;
    for (size_t i = 0; r == 0 && i + 1 < words->n; i++)
        r = sources_of(c, words->v[i], &found, e);
    char *to = path_join(c->workdir, dest);
    if (r == 0 && found.n > 1 && !to_folder)
        r = err_set(e, -EINVAL, "with more than one source the destination must end with /: %.200s",
                    dest);
    for (size_t i = 0; r == 0 && i < found.n; i++)
        r = copy_source(c, found.v[i], to, to_folder, e);
    free(to);
    strings_free(&found);
    return r;
}
