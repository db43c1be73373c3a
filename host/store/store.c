// SPDX-License-Identifier: ISC
// The store's folder, its lock, and blobs: written to a temporary file while being hashed, made
// durable, then renamed to their digest, so that a blob that exists is whole.
#define OPENSSL_SUPPRESS_DEPRECATED // the low-level SHA-256 links 20 KB, EVP links 3 MB into `lith`
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TMP_YOUNG_S 60 // what is in tmp/ may be made, but not locked yet

_Static_assert(sizeof(SHA256_CTX) <= sizeof(struct sha256), "struct sha256 holds SHA256_CTX");

static SHA256_CTX *sha256_ctx(struct sha256 *h)
{
    return (SHA256_CTX *)(void *)h->state;
}

void sha256_init(struct sha256 *h)
{
    SHA256_Init(sha256_ctx(h));
}

void sha256_add(struct sha256 *h, const void *data, size_t len)
{
    SHA256_Update(sha256_ctx(h), data, len);
}

void sha256_digest(struct sha256 *h, char digest[STORE_DIGEST])
{
    unsigned char md[32];
    SHA256_Final(md, sha256_ctx(h));
    memcpy(digest, "sha256:", 7);
    for (int i = 0; i < 32; i++)
        snprintf(digest + 7 + 2 * i, 3, "%02x", md[i]);
}

bool digest_valid(const char *digest)
{
    return strlen(digest) == STORE_DIGEST - 1 && strncmp(digest, "sha256:", 7) == 0 &&
           strspn(digest + 7, "0123456789abcdef") == 64;
}

static char *store_path(void)
{
    const char *xdg = getenv("XDG_DATA_HOME");
    if (xdg != NULL && xdg[0] == '/')
        return xasprintf("%s/lith", xdg);
    const char *home = getenv("HOME");
    return home != NULL && home[0] == '/' ? xasprintf("%s/.local/share/lith", home) : NULL;
}

static int store_create(struct store *s, struct err *e)
{
    static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}\n";
    static const char index[] = "{\"schemaVersion\":2,\"manifests\":[]}\n";
    static const char *const folders[] = {"", "/blobs", "/blobs/sha256", "/unpacked", "/tmp"};
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(folders) / sizeof(folders[0]); i++) {
        char *p = xasprintf("%s%s", s->path, folders[i]);
        r = mkdir_all(p, 0755);
        free(p);
    }
    if (r == 0) {
        s->dirfd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = s->dirfd < 0 ? -errno : 0;
    }
    if (r == 0 && faccessat(s->dirfd, "index.json", F_OK, 0) < 0) {
        r = file_write_atomic(s->dirfd, "oci-layout", layout, sizeof(layout) - 1);
        if (r == 0)
            r = store_lock(s, e);
        // Another process may have made it, and added an image, before we had the lock.
        if (r == 0 && faccessat(s->dirfd, "index.json", F_OK, 0) < 0)
            r = file_write_atomic(s->dirfd, "index.json", index, sizeof(index) - 1);
        if (s->lockfd >= 0)
            close(s->lockfd);
        s->lockfd = -1;
    }
    return r < 0 ? err_sys(
                       e, r,
                       "cannot create the image store in %s (XDG_DATA_HOME chooses another place)",
                       s->path)
                 : 0;
}

int store_open(struct store *s, bool create, struct err *e)
{
    *s = (struct store){.dirfd = -1, .lockfd = -1};
    s->path = store_path();
    if (s->path == NULL)
        return err_set(e, -ENOENT,
                       "neither HOME nor XDG_DATA_HOME is set to an absolute path: "
                       "there is no place for the image store");
    s->dirfd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = 0;
    if (s->dirfd < 0 && errno != ENOENT)
        r = err_sys(e, -errno, "cannot open the image store %s", s->path);
    else if (create)
        r = (s->dirfd >= 0 ? close(s->dirfd) : 0, store_create(s, e));
    else if (s->dirfd < 0)
        r = err_set(e, -ENOENT,
                    "there are no images yet in %s; make one with `lith import` or `lith build`",
                    s->path);
    if (r < 0)
        store_close(s);
    return r;
}

int store_lock(struct store *s, struct err *e)
{
    if (s->lockfd >= 0)
        return 0;
    int fd = openat(s->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_sys(e, -errno, "cannot lock the image store %s", s->path);
    while (flock(fd, LOCK_EX) < 0) {
        if (errno != EINTR) {
            int r = -errno;
            close(fd);
            return err_sys(e, r, "cannot lock the image store %s", s->path);
        }
    }
    s->lockfd = fd;
    return 0;
}

void store_close(struct store *s)
{
    if (s->lockfd >= 0)
        close(s->lockfd);
    if (s->dirfd >= 0)
        close(s->dirfd);
    free(s->path);
    *s = (struct store){.dirfd = -1, .lockfd = -1};
}

// Removes what killed processes left in tmp/. Whoever uses a folder or a blob there keeps it
// locked.
static void sweep_tmp(struct store *s)
{
    int fd = openat(s->dirfd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (d == NULL && fd >= 0)
        close(fd);
    for (struct dirent *de; d != NULL && (de = readdir(d)) != NULL;) {
        struct stat st;
        if (de->d_name[0] == '.' || fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !(S_ISDIR(st.st_mode) || S_ISREG(st.st_mode)) || st.st_mtime > time(NULL) - TMP_YOUNG_S)
            continue;
        int lock = openat(fd, de->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0)
            remove_all(fd, de->d_name);
        if (lock >= 0)
            close(lock);
    }
    if (d != NULL)
        closedir(d);
}

int store_tmp(struct store *s, char **path, struct err *e)
{
    sweep_tmp(s);
    *path = xasprintf("%s/tmp/XXXXXX", s->path);
    if (mkdtemp(*path) == NULL) {
        int r = err_sys(e, -errno, "cannot make a temporary folder in %s/tmp", s->path);
        free(*path);
        *path = NULL;
        return r;
    }
    // Locked until this process ends, however it ends: the descriptor stays open on purpose.
    int lock = open(*path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock >= 0)
        flock(lock, LOCK_EX | LOCK_NB);
    return chmod(*path, 0755) < 0 ? -errno : 0;
}

int blob_begin(struct store *s, struct blob *b, struct err *e)
{
    static unsigned counter;
    *b = (struct blob){.fd = -1};
    snprintf(b->tmp, sizeof(b->tmp), "tmp/blob.%ld.%u", (long)getpid(), counter++);
    b->fd = openat(s->dirfd, b->tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (b->fd < 0)
        return err_sys(e, -errno, "cannot write to the image store %s", s->path);
    flock(b->fd, LOCK_EX | LOCK_NB); // else it would look left behind when it takes long
    sha256_init(&b->hash);
    return 0;
}

int blob_write(struct blob *b, const void *data, size_t len, struct err *e)
{
    int r = write_all(b->fd, data, len);
    if (r < 0)
        return err_sys(e, r, "cannot write to the image store");
    sha256_add(&b->hash, data, len);
    b->size += len;
    return 0;
}

int blob_commit(struct store *s, struct blob *b, char digest[STORE_DIGEST], struct err *e)
{
    char path[16 + 64];
    sha256_digest(&b->hash, digest);
    snprintf(path, sizeof(path), "blobs/sha256/%s", digest + 7);
    int r = fsync(b->fd) < 0 ? -errno : 0;
    if (r == 0 && renameat(s->dirfd, b->tmp, s->dirfd, path) < 0)
        r = -errno;
    if (r < 0)
        return err_sys(e, r, "cannot write to the image store %s", s->path);
    close(b->fd);
    b->fd = -1;
    return 0;
}

void blob_abort(struct store *s, struct blob *b)
{
    if (b->fd < 0)
        return;
    close(b->fd);
    b->fd = -1;
    unlinkat(s->dirfd, b->tmp, 0);
}

int blob_put(struct store *s, const void *data, size_t len, char digest[STORE_DIGEST],
             struct err *e)
{
    struct blob b;
    int r = blob_begin(s, &b, e);
    if (r == 0)
        r = blob_write(&b, data, len, e);
    if (r == 0)
        r = blob_commit(s, &b, digest, e);
    blob_abort(s, &b);
    return r;
}

int blob_read_json(struct store *s, const char *digest, json_t **out, struct err *e)
{
    if (!digest_valid(digest))
        return err_set(e, -EINVAL, "'%.80s' is not a sha256 digest", digest);
    char path[16 + 64], actual[STORE_DIGEST];
    snprintf(path, sizeof(path), "blobs/sha256/%s", digest + 7);
    char *data;
    size_t len;
    int r = file_read(s->dirfd, path, STORE_JSON_MAX, &data, &len);
    if (r < 0)
        return err_sys(e, r, "cannot read %s/%s of the image", s->path, path);
    struct sha256 h;
    sha256_init(&h);
    sha256_add(&h, data, len);
    sha256_digest(&h, actual);
    json_error_t je;
    if (strcmp(actual, digest) != 0)
        r = err_set(
            e, -EBADMSG,
            "the image is damaged: %s/%s has another digest (%.19s...); remove the image with "
            "`lith rmi` and make it again",
            s->path, path, actual);
    else if ((*out = json_loadb(data, len, JSON_REJECT_DUPLICATES, &je)) == NULL)
        r = err_set(e, -EBADMSG, "the image is damaged: %s/%s line %d: %s", s->path, path, je.line,
                    je.text);
    else if (!json_is_object(*out)) {
        json_decref(*out);
        r = err_set(e, -EBADMSG, "the image is damaged: %s/%s is not an object", s->path, path);
    }
    free(data);
    return r;
}
