// SPDX-License-Identifier: ISC
// A root file system under construction: a folder on the host in which every path is resolved as
// if it were the root (openat2 RESOLVE_IN_ROOT), so that no symbolic link inside leads out of it.
// Paths are of the guest, absolute or relative to its root. Run as root, files get the owners that
// the image says; run as a user, they belong to the user here and to root in the image.
#ifndef LITH_HOST_IMAGE_TREE_H
#define LITH_HOST_IMAGE_TREE_H

#include <jansson.h>
#include <sys/stat.h>
#include <time.h>

#include "common/common.h"

struct tree {
    char *path;
    int fd;
    bool keeps_owners;
};

struct tree_attr {
    mode_t mode; // permission bits
    uid_t uid;
    gid_t gid;
    struct timespec mtime;
};
#define TREE_ATTR_DIR  ((struct tree_attr){.mode = 0755})
#define TREE_ATTR_FILE ((struct tree_attr){.mode = 0644})

int tree_open(struct tree *t, const char *path, struct err *e);
void tree_close(struct tree *t);

// Lexically: absolute, no ".", "..", double or trailing slash. The caller frees it.
char *path_clean(const char *path);
// path_clean of `path`, relative to `base` if it is not absolute.
char *path_join(const char *base, const char *path);

int tree_stat(const struct tree *t, const char *path, struct stat *st); // follows links
bool tree_exists(const struct tree *t, const char *path);
int tree_read(const struct tree *t, const char *path, size_t max, char **data, size_t *len);
// O_RDONLY etc.; follows links inside the tree.
int tree_openat(const struct tree *t, const char *path, int flags);

// All of these make the parent folders. An existing file is replaced, an existing folder stays a
// folder (-EISDIR for files), except for `force`, which removes it.
int tree_put_dir(struct tree *t, const char *path, const struct tree_attr *a, struct err *e);
int tree_put_data(struct tree *t, const char *path, const void *data, size_t len,
                  const struct tree_attr *a, struct err *e);
// Copies what can be read from `src`.
int tree_put_file(struct tree *t, const char *path, int src, const struct tree_attr *a,
                  struct err *e);
int tree_put_symlink(struct tree *t, const char *path, const char *target,
                     const struct tree_attr *a, struct err *e);
int tree_put_link(struct tree *t, const char *path, const char *existing, struct err *e);
int tree_remove(struct tree *t, const char *path, struct err *e);
// Opens a new, empty regular file for writing; tree_file_done sets its attributes and closes it.
int tree_file_begin(struct tree *t, const char *path, int *fd, struct err *e);
int tree_file_done(struct tree *t, int fd, const char *path, const struct tree_attr *a,
                   struct err *e);

// Copies the rest of file `src` to `dst`.
int copy_fd(int src, int dst);

// Unpacks an archive (tar in any usual compression, cpio, zip; what libarchive knows) below `dest`.
// Paths that were written are added to `touched` unless it is NULL. `whiteouts`: .wh. files delete
// (OCI layers). -ENOTSUP when it is no archive.
int tree_add_archive(struct tree *t, int fd, const char *dest, bool whiteouts, json_t *touched,
                     struct err *e);

#endif
