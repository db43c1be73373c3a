// SPDX-License-Identifier: ISC
// Whole files and folders: bounded reads, atomic durable writes, mkdir -p, rm -r.
#include "common/common.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int write_all(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int file_read(int dirfd, const char *path, size_t max, char **data, size_t *len)
{
    int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    struct stat st;
    int r = 0;
    char *p = NULL;
    size_t n = 0;
    if (fstat(fd, &st) < 0)
        r = -errno;
    else if (!S_ISREG(st.st_mode))
        r = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    else if ((uint64_t)st.st_size > max)
        r = -EFBIG;
    if (r == 0) {
        size_t size = (size_t)st.st_size;
        p = xmalloc(size + 1);
        while (n < size) {
            ssize_t got = read(fd, p + n, size - n);
            if (got < 0 && errno == EINTR)
                continue;
            if (got < 0)
                r = -errno;
            if (got <= 0)
                break;
            n += (size_t)got;
        }
        p[n] = 0;
    }
    close(fd);
    if (r < 0) {
        free(p);
        return r;
    }
    *data = p;
    *len = n;
    return 0;
}

int file_write_atomic(int dirfd, const char *path, const void *data, size_t len)
{
    char *tmp = xasprintf("%s.tmp.%ld", path, (long)getpid());
    int fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int r = fd < 0 ? -errno : 0;
    if (r == 0)
        r = write_all(fd, data, len);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (fd >= 0)
        close(fd);
    if (r == 0 && renameat(dirfd, tmp, dirfd, path) < 0)
        r = -errno;
    if (r < 0 && fd >= 0)
        unlinkat(dirfd, tmp, 0);
    free(tmp);
    if (r == 0) {
        char *folder = xstrdup(path);
        char *slash = strrchr(folder, '/');
        if (slash)
            slash[slash == folder] = 0;
        int dir = openat(dirfd, slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir >= 0) {
            fsync(dir);
            close(dir);
        }
        free(folder);
    }
    return r;
}

int mkdir_all(const char *path, mode_t mode)
{
    char *p = xstrdup(path);
    int r = 0;
    for (char *s = p + 1; r == 0; s++) {
        if (*s != '/' && *s != 0)
            continue;
        char c = *s;
        *s = 0;
        if (mkdir(p, mode) < 0 && errno != EEXIST)
            r = -errno;
        *s = c;
        if (c == 0)
            break;
    }
    free(p);
    return r;
}

int remove_all(int dirfd, const char *path)
{
    if (unlinkat(dirfd, path, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && fchmodat(dirfd, path, 0700, 0) == 0)
        fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    fchmod(fd, 0700); // a read-only folder of an unprivileged build can be emptied then
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        return -ENOMEM;
    }
    int r = 0;
    struct dirent *d;
    while ((d = readdir(dir)) != NULL) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        int one = remove_all(fd, d->d_name);
        if (one < 0)
            r = one;
    }
    closedir(dir);
    if (unlinkat(dirfd, path, AT_REMOVEDIR) < 0 && r == 0)
        r = -errno;
    return r;
}

const char *exe_dir(void)
{
    static char path[4096];
    if (path[0] == 0) {
        ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
        if (n <= 0)
            return ".";
        path[n] = 0;
        char *slash = strrchr(path, '/');
        if (slash != NULL && slash != path)
            *slash = 0;
    }
    return path;
}
