// SPDX-License-Identifier: ISC
// Writes into a root file system under construction. Every path goes through openat2 with
// RESOLVE_IN_ROOT; the last component is never followed when it is replaced.
#include "image/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int tree_open(struct tree *t, const char *path, struct err *e)
{
    t->path = xstrdup(path);
    t->keeps_owners = geteuid() == 0;
    t->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return t->fd < 0 ? err_sys(e, -errno, "cannot open %s", path) : 0;
}

void tree_close(struct tree *t)
{
    if (t->fd >= 0)
        close(t->fd);
    free(t->path);
    *t = (struct tree){.fd = -1};
}

char *path_clean(const char *path)
{
    char *out = xmalloc(strlen(path) + 2);
    size_t len = 0;
    while (*path) {
        size_t n = strcspn(path, "/");
        if (n == 2 && path[0] == '.' && path[1] == '.') {
            while (len > 0 && out[--len] != '/')
                ;
        } else if (n > 0 && !(n == 1 && path[0] == '.')) {
            out[len++] = '/';
            memcpy(out + len, path, n);
            len += n;
        }
        path += n;
        path += strspn(path, "/");
    }
    if (len == 0)
        out[len++] = '/';
    out[len] = 0;
    return out;
}

char *path_join(const char *base, const char *path)
{
    if (path[0] == '/')
        return path_clean(path);
    char *joined = xasprintf("%s/%s", base, path);
    char *clean = path_clean(joined);
    free(joined);
    return clean;
}

int tree_openat(const struct tree *t, const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT};
    while (*path == '/')
        path++;
    long fd = syscall(SYS_openat2, t->fd, *path ? path : ".", &how, sizeof(how));
    return fd < 0 ? -errno : (int)fd;
}

int tree_stat(const struct tree *t, const char *path, struct stat *st)
{
    int fd = tree_openat(t, path, O_PATH);
    if (fd < 0)
        return fd;
    int r = fstat(fd, st) < 0 ? -errno : 0;
    close(fd);
    return r;
}

bool tree_exists(const struct tree *t, const char *path)
{
    struct stat st;
    return tree_stat(t, path, &st) == 0;
}

int tree_read(const struct tree *t, const char *path, size_t max, char **data, size_t *len)
{
    int fd = tree_openat(t, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return fd;
    char self[32];
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    int r = file_read(AT_FDCWD, self, max, data, len);
    close(fd);
    return r;
}

static int attr_apply(struct tree *t, int fd, const struct tree_attr *a)
{
    struct timespec times[2] = {a->mtime, a->mtime};
    if (t->keeps_owners && fchown(fd, a->uid, a->gid) < 0)
        return -errno;
    if (fchmod(fd, a->mode & 07777) < 0 || futimens(fd, times) < 0)
        return -errno;
    return 0;
}

// Opens a folder, making it and its parents where they are missing. `path` is clean.
static int dir_make(struct tree *t, const char *path)
{
    int fd = tree_openat(t, path, O_RDONLY | O_DIRECTORY);
    if (fd != -ENOENT)
        return fd;
    const char *slash = strrchr(path, '/');
    char *parent = slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
    int up = dir_make(t, parent);
    free(parent);
    if (up < 0)
        return up;
    int r = mkdirat(up, slash + 1, 0755) < 0 ? -errno : 0;
    close(up);
    return r < 0 ? r : tree_openat(t, path, O_RDONLY | O_DIRECTORY);
}

// Opens the parent folder of a path and gives the last component. *clean is the caller's to free.
static int parent_open(struct tree *t, const char *path, char **clean, const char **base,
                       struct err *e)
{
    *clean = path_clean(path);
    char *slash = strrchr(*clean, '/');
    *base = slash + 1;
    int fd = -EISDIR;
    if (**base != 0) {
        char *parent = slash == *clean ? xstrdup("/") : xstrndup(*clean, (size_t)(slash - *clean));
        fd = dir_make(t, parent);
        free(parent);
    }
    if (fd < 0) {
        err_sys(e, fd, "cannot write %s", *clean);
        free(*clean);
        *clean = NULL;
    }
    return fd;
}

int tree_put_dir(struct tree *t, const char *path, const struct tree_attr *a, struct err *e)
{
    char *clean = path_clean(path);
    int fd = tree_openat(t, clean, O_RDONLY | O_DIRECTORY);
    bool there = fd >= 0;
    if (!there)
        fd = dir_make(t, clean);
    if (fd == -ENOTDIR || fd == -EEXIST) { // a file or a dangling link is replaced, as docker does
        int r = tree_remove(t, clean, e);
        fd = r < 0 ? r : dir_make(t, clean);
    }
    struct tree_attr attr = *a;
    if (!t->keeps_owners)
        attr.mode |= 0700; // so that we can still write into it
    int r = fd < 0 ? fd : attr_apply(t, fd, &attr);
    if (fd >= 0)
        close(fd);
    if (r < 0)
        err_sys(e, r, "cannot make the folder %s", clean);
    free(clean);
    return r;
}

int tree_file_begin(struct tree *t, const char *path, int *fd, struct err *e)
{
    char *clean;
    const char *base;
    int up = parent_open(t, path, &clean, &base, e);
    if (up < 0)
        return up;
    int r = 0;
    if (unlinkat(up, base, 0) < 0 && errno != ENOENT)
        r = errno == EPERM ? -EISDIR : -errno;
    if (r == 0) {
        *fd = openat(up, base, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        r = *fd < 0 ? -errno : 0;
    }
    close(up);
    if (r < 0)
        err_sys(e, r, "cannot write %s", clean);
    free(clean);
    return r;
}

int tree_file_done(struct tree *t, int fd, const char *path, const struct tree_attr *a,
                   struct err *e)
{
    int r = attr_apply(t, fd, a);
    if (close(fd) < 0 && r == 0)
        r = -errno;
    return r < 0 ? err_sys(e, r, "cannot write %s", path) : 0;
}

int copy_fd(int src, int dst)
{
    char chunk[65536];
    for (;;) {
        ssize_t n = copy_file_range(src, NULL, dst, NULL, 1u << 30, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) // another file system, or a pipe
            break;
        if (n == 0)
            return 0;
    }
    for (;;) {
        ssize_t n = read(src, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        int r = write_all(dst, chunk, (size_t)n);
        if (r < 0)
            return r;
    }
}

int tree_put_file(struct tree *t, const char *path, int src, const struct tree_attr *a,
                  struct err *e)
{
    int fd;
    int r = tree_file_begin(t, path, &fd, e);
    if (r < 0)
        return r;
    r = copy_fd(src, fd);
    int done = tree_file_done(t, fd, path, a, r < 0 ? NULL : e);
    return r < 0 ? err_sys(e, r, "cannot write %s", path) : done;
}

int tree_put_data(struct tree *t, const char *path, const void *data, size_t len,
                  const struct tree_attr *a, struct err *e)
{
    int fd;
    int r = tree_file_begin(t, path, &fd, e);
    if (r < 0)
        return r;
    r = write_all(fd, data, len);
    int done = tree_file_done(t, fd, path, a, r < 0 ? NULL : e);
    return r < 0 ? err_sys(e, r, "cannot write %s", path) : done;
}

int tree_put_symlink(struct tree *t, const char *path, const char *target,
                     const struct tree_attr *a, struct err *e)
{
    char *clean;
    const char *base;
    int up = parent_open(t, path, &clean, &base, e);
    if (up < 0)
        return up;
    int r = 0;
    struct timespec times[2] = {a->mtime, a->mtime};
    if (unlinkat(up, base, 0) < 0 && errno != ENOENT)
        r = -errno;
    else if (symlinkat(target, up, base) < 0)
        r = -errno;
    else if (t->keeps_owners && fchownat(up, base, a->uid, a->gid, AT_SYMLINK_NOFOLLOW) < 0)
        r = -errno;
    else if (utimensat(up, base, times, AT_SYMLINK_NOFOLLOW) < 0)
        r = -errno;
    close(up);
    if (r < 0)
        err_sys(e, r, "cannot make the link %s", clean);
    free(clean);
    return r;
}

int tree_put_link(struct tree *t, const char *path, const char *existing, struct err *e)
{
    char *from_clean = NULL, *to_clean = NULL;
    const char *from, *to;
    int from_fd = parent_open(t, existing, &from_clean, &from, e);
    int to_fd = from_fd < 0 ? from_fd : parent_open(t, path, &to_clean, &to, e);
    int r = to_fd < 0 ? to_fd : 0;
    if (r == 0 && strcmp(from_clean, to_clean) != 0) {
        if (unlinkat(to_fd, to, 0) < 0 && errno != ENOENT)
            r = -errno;
        else if (linkat(from_fd, from, to_fd, to, 0) < 0)
            r = -errno;
        if (r < 0)
            err_sys(e, r, "cannot link %s to %s", to_clean, from_clean);
    }
    if (from_fd >= 0)
        close(from_fd);
    if (to_fd >= 0)
        close(to_fd);
    free(from_clean);
    free(to_clean);
    return r;
}

int tree_remove(struct tree *t, const char *path, struct err *e)
{
    char *clean;
    const char *base;
    int up = parent_open(t, path, &clean, &base, e);
    if (up < 0)
        return up;
    int r = remove_all(up, base);
    close(up);
    if (r < 0)
        err_sys(e, r, "cannot remove %s", clean);
    free(clean);
    return r;
}
