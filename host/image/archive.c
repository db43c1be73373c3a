// SPDX-License-Identifier: ISC
// Unpacks archives into a tree: ADD's tar files, imported root file systems, OCI layers, the
// contents of Debian packages. Names are cleaned and resolved inside the tree only.
#include "image/tree.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENTRIES_MAX 4000000u

static int entry_data(struct archive *a, struct tree *t, const char *path,
                      const struct tree_attr *attr, struct err *e)
{
    int fd;
    int r = tree_file_begin(t, path, &fd, e);
    if (r < 0)
        return r;
    for (;;) {
        const void *data;
        size_t len;
        la_int64_t at;
        int got = archive_read_data_block(a, &data, &len, &at);
        if (got == ARCHIVE_EOF)
            break;
        if (got < ARCHIVE_WARN) {
            r = err_set(e, -EBADMSG, "%s: %s", path, archive_error_string(a));
            break;
        }
        if (lseek(fd, at, SEEK_SET) < 0 || (r = write_all(fd, data, len)) < 0) {
            r = err_sys(e, r < 0 ? r : -errno, "cannot write %s", path);
            break;
        }
    }
    if (r == 0 && ftruncate(fd, lseek(fd, 0, SEEK_CUR)) < 0)
        r = err_sys(e, -errno, "cannot write %s", path);
    int done = tree_file_done(t, fd, path, attr, r < 0 ? NULL : e);
    return r < 0 ? r : done;
}

// An OCI whiteout: .wh.NAME deletes NAME, .wh..wh..opq empties the folder. Returns 1 if it was one.
static int whiteout(struct tree *t, const char *path, struct err *e)
{
    const char *base = strrchr(path, '/') + 1;
    if (strncmp(base, ".wh.", 4) != 0)
        return 0;
    char *parent = xstrndup(path, (size_t)(base - path));
    char *victim =
        strcmp(base, ".wh..wh..opq") == 0 ? xstrdup(parent) : xasprintf("%s%s", parent, base + 4);
    int r = 0;
    if (tree_exists(t, parent)) {
        if (strcmp(victim, parent) != 0)
            r = tree_remove(t, victim, e);
        else if (strcmp(parent, "/") != 0 && (r = tree_remove(t, victim, e)) == 0)
            r = tree_put_dir(t, parent, &TREE_ATTR_DIR, e);
    }
    free(victim);
    free(parent);
    return r < 0 ? r : 1;
}

static int entry_add(struct archive *a, struct archive_entry *entry, struct tree *t,
                     const char *dest, const char *path, struct err *e)
{
    struct tree_attr attr = {
        .mode = archive_entry_perm(entry),
        .uid = (uid_t)archive_entry_uid(entry),
        .gid = (gid_t)archive_entry_gid(entry),
        .mtime = {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)},
    };
    if (attr.mtime.tv_sec < 0)
        attr.mtime = (struct timespec){0};
    const char *link = archive_entry_hardlink(entry);
    if (link != NULL) {
        char *clean = path_clean(link);
        char *existing = xasprintf("%s/%s", dest, clean);
        int r = tree_put_link(t, path, existing, e);
        free(existing);
        free(clean);
        return r;
    }
    struct stat st;
    switch (archive_entry_filetype(entry)) {
    case AE_IFDIR:
        return tree_put_dir(t, path, &attr, e);
    case AE_IFLNK:
        // Debian's merged /usr: the package says /lib is a link or a folder, the tree has the
        // other.
        if (tree_stat(t, path, &st) == 0 && S_ISDIR(st.st_mode) && tree_remove(t, path, e) < 0)
            return -EISDIR;
        return tree_put_symlink(t, path, archive_entry_symlink(entry), &attr, e);
    case AE_IFREG:
        return entry_data(a, t, path, &attr, e);
    default: // devices, fifos and sockets: the kernel makes /dev itself
        return 0;
    }
}

int tree_add_archive(struct tree *t, int fd, const char *dest, bool whiteouts, json_t *touched,
                     struct err *e)
{
    struct archive *a = archive_read_new();
    if (a == NULL)
        return err_set(e, -ENOMEM, "out of memory");
    archive_read_support_filter_all(a);
    archive_read_support_format_tar(a);
    archive_read_support_format_cpio(a);
    int r = 0;
    if (archive_read_open_fd(a, fd, 65536) != ARCHIVE_OK)
        r = err_set(e, -ENOTSUP, "not an archive: %s", archive_error_string(a));
    for (unsigned i = 0; r == 0; i++) {
        struct archive_entry *entry;
        int got = archive_read_next_header(a, &entry);
        if (got == ARCHIVE_EOF)
            break;
        if (got < ARCHIVE_WARN) {
            r = err_set(e, i == 0 ? -ENOTSUP : -EBADMSG, "%s: %s",
                        i == 0 ? "not an archive" : "damaged archive", archive_error_string(a));
            break;
        }
        if (i >= ENTRIES_MAX) {
            r = err_set(e, -E2BIG, "the archive has more than %u entries", ENTRIES_MAX);
            break;
        }
        const char *name = archive_entry_pathname(entry);
        if (name == NULL)
            continue;
        char *clean = path_clean(name);
        char *joined = xasprintf("%s%s", dest, clean);
        char *path = path_clean(joined);
        if (whiteouts)
            r = strcmp(path, "/") == 0 ? 0 : whiteout(t, path, e);
        if (r == 0)
            r = entry_add(a, entry, t, dest, path, e);
        if (r == 1)
            r = 0;
        if (r == 0 && touched != NULL)
            json_object_set_new(touched, path, json_true());
        free(path);
        free(joined);
        free(clean);
    }
    archive_read_free(a);
    return r;
}
