// SPDX-License-Identifier: ISC
// A new image from its beginning to its place in the store: the tree, the rewriting of its ELF
// files, the EROFS file, the kernel and the configuration. Everything happens in a folder of the
// store's tmp/; the image appears at the end at once or not at all.
//
// The same tree and configuration give the same digests: fixed UUID, folders and links dated 1970,
// files as the packages or the build context date them.
#include "image/private.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "image/rewrite/rewrite.h"

#define DEPTH_MAX 256

void draft_say(const struct draft *d, const char *fmt, ...)
{
    if (d->quiet)
        return;
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
}

void draft_touch(struct draft *d, const char *path)
{
    json_object_set_new(d->touched, path, json_true());
}

// The kernel that images carry: LITH_KERNEL, or beside the tool (build/bin/lith ->
// build/kernel/lith).
static int kernel_open(int *fd, struct err *e)
{
    const char *env = getenv("LITH_KERNEL");
    char *path = env != NULL && *env ? xstrdup(env) : xasprintf("%s/../kernel/lith", exe_dir());
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    int r = *fd >= 0 ? 0
                     : err_sys(e, -errno,
                               "cannot read the kernel %s (build it with `make kernel`, or let "
                               "LITH_KERNEL name one)",
                               path);
    free(path);
    return r;
}

static int kernel_copy(struct draft *d, const char *to, uint64_t *size, struct err *e)
{
    struct stat st;
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    int r = out < 0 || fstat(d->kernel, &st) < 0 ? -errno : copy_fd(d->kernel, out);
    if (out >= 0)
        close(out);
    if (r == 0)
        *size = (uint64_t)st.st_size;
    return r < 0 ? err_sys(e, r, "cannot write %s", to) : 0;
}

int draft_begin(struct draft *d, bool quiet, struct err *e)
{
    *d = (struct draft){
        .quiet = quiet, .store = {.dirfd = -1, .lockfd = -1}, .tree = {.fd = -1}, .kernel = -1};
    d->config = json_object();
    d->calls = json_object();
    d->touched = json_object();
    umask(022);
    // First, because it takes no time and a missing kernel should not be found out at the end.
    int r = kernel_open(&d->kernel, e);
    if (r == 0)
        r = store_open(&d->store, true, e);
    if (r == 0)
        r = store_tmp(&d->store, &d->tmp, e);
    if (r == 0) {
        char *root = xasprintf("%s/root", d->tmp), *lith = xasprintf("%s/out/lith", d->tmp);
        r = mkdir_all(root, 0755);
        if (r == 0)
            r = mkdir_all(lith, 0755);
        r = r < 0 ? err_sys(e, r, "cannot make a folder in %s", d->tmp)
                  : tree_open(&d->tree, root, e);
        free(root);
        free(lith);
    }
    if (r < 0)
        draft_end(d);
    return r;
}

void draft_end(struct draft *d)
{
    tree_close(&d->tree);
    if (d->kernel >= 0)
        close(d->kernel);
    if (d->tmp != NULL)
        remove_all(AT_FDCWD, d->tmp);
    free(d->tmp);
    store_close(&d->store);
    json_decref(d->config);
    json_decref(d->calls);
    json_decref(d->touched);
    json_decref(d->linked);
    *d = (struct draft){.store = {.dirfd = -1, .lockfd = -1}, .tree = {.fd = -1}, .kernel = -1};
}

// Takes over the configuration of a base image, after checking what later code relies on.
static int base_config(struct draft *d, const char *dir, struct err *e)
{
    static const char *const lists[] = {"Env", "Cmd", "Entrypoint"};
    json_t *full, *list;
    int r = store_read_config(dir, &full, e);
    if (r < 0)
        return r;
    json_t *config = json_object_get(full, "config");
    for (size_t i = 0; r == 0 && i < 3; i++)
        r = config_strings(config, lists[i], &list, e);
    if (r == 0) {
        json_decref(d->config);
        d->config = json_deep_copy(config);
    }
    json_decref(full);
    return r;
}

static void base_calls(struct draft *d, const char *dir)
{
    char *path = xasprintf("%s/calls.json", dir);
    json_t *list = json_load_file(path, 0, NULL), *item;
    size_t i;
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "path"));
        if (name != NULL)
            json_object_set(d->calls, name, item);
    }
    json_decref(list);
    free(path);
}

int draft_base(struct draft *d, const char *name, struct err *e)
{
    struct store_image base;
    char *dir = NULL;
    int r = store_find(&d->store, name, &base, e);
    if (r == 0)
        r = store_unpacked(&d->store, &base, &dir, e);
    if (r == 0)
        r = base_config(d, dir, e);
    if (r == 0) {
        char *root = xasprintf("%s/root.erofs", dir),
             *extract = xasprintf("--extract=%s", d->tree.path);
        const char *const argv[] = {"fsck.erofs",
                                    extract,
                                    "--overwrite",
                                    "--preserve-perms",
                                    d->tree.keeps_owners ? "--preserve-owner"
                                                         : "--no-preserve-owner",
                                    root,
                                    NULL};
        r = program_run(argv, "erofs-utils", NULL, e);
        free(extract);
        free(root);
        base_calls(d, dir);
    }
    free(dir);
    return r;
}

// Rewrites one ELF file in place. Its summary goes to d->calls. `fd` is open for reading.
static int rewrite_file(struct draft *d, const char *path, int fd, const struct stat *st,
                        struct err *e)
{
    if ((uint64_t)st->st_size < sizeof(Elf64_Ehdr))
        return 0;
    char magic[SELFMAG];
    uint32_t flags;
    if (pread(fd, magic, SELFMAG, 0) != SELFMAG || memcmp(magic, ELFMAG, SELFMAG) != 0 ||
        linked_probe(fd, &flags) == 1) // link mode makes no system calls
        return 0;
    size_t len = (size_t)st->st_size, out_len = 0;
    void *in = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
    if (in == MAP_FAILED)
        return err_sys(e, -errno, "cannot map %s", path);
    uint8_t *out = NULL;
    struct rewrite_report report = {0};
    enum rewrite_result result = rewrite_elf(in, len, 0, &out, &out_len, &report);
    munmap(in, len);
    int r = 0;
    if (result == REWRITE_NO_MEMORY)
        r = err_set(e, -ENOMEM, "out of memory while rewriting %s", path);
    else if (result == REWRITE_MALFORMED)
        fprintf(stderr, "lith: warning: %s: %s; it is left as it is\n", path,
                rewrite_result_text(result));
    else if (result == REWRITE_CHANGED || result == REWRITE_UNCHANGED)
        json_object_set_new(d->calls, path, rewrite_report_to_json(&report, path));
    if (result == REWRITE_CHANGED) {
        struct tree_attr a = {.mode = st->st_mode & 07777, st->st_uid, st->st_gid, st->st_mtim};
        r = tree_put_data(&d->tree, path, out, out_len, &a, e);
    }
    rewrite_report_free(&report);
    free(out);
    return r;
}

// Walks the tree: rewrites the ELF files that the base did not bring, fixes the dates of folders
// and links.
static int walk(struct draft *d, const char *folder, json_t *seen, unsigned depth, struct err *e)
{
    if (depth > DEPTH_MAX)
        return err_set(e, -ELOOP, "%s: folders are nested more than %d deep", folder, DEPTH_MAX);
    int fd = tree_openat(&d->tree, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL)
        return err_sys(e, fd < 0 ? fd : -ENOMEM, "cannot read %s of the new image", folder);
    struct dirent *entry;
    int r = 0;
    while (r == 0 && (entry = readdir(dir)) != NULL) {
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        char *path = xasprintf("%s/%s", strcmp(folder, "/") == 0 ? "" : folder, entry->d_name);
        struct timespec epoch[2] = {{0}, {0}};
        if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            r = err_sys(e, -errno, "cannot read %s of the new image", path);
        } else if (S_ISDIR(st.st_mode)) {
            r = walk(d, path, seen, depth + 1, e);
        } else if (S_ISLNK(st.st_mode)) {
            utimensat(fd, entry->d_name, epoch, AT_SYMLINK_NOFOLLOW);
        } else if (S_ISREG(st.st_mode)) {
            json_t *known = json_object_get(d->calls, path);
            if (known != NULL && json_object_get(d->touched, path) == NULL) {
                json_object_set(seen, path, known);
            } else {
                json_object_del(d->calls, path);
                int file = openat(fd, entry->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
                if (file >= 0) { // a user's own unreadable file cannot be a program either
                    r = rewrite_file(d, path, file, &st, e);
                    close(file);
                }
                known = json_object_get(d->calls, path);
                if (known != NULL)
                    json_object_set(seen, path, known);
            }
        }
        free(path);
    }
    struct timespec epoch[2] = {{0}, {0}};
    futimens(fd, epoch);
    closedir(dir);
    return r;
}

static int erofs_make(struct draft *d, const char *to, uint64_t *size, struct err *e)
{
    // The build time is the one thing that mkfs takes from the clock. Files dated later are
    // clamped.
    setenv("SOURCE_DATE_EPOCH", "4102444799", 1);
    const char *argv[] = {
        "mkfs.erofs",
        "-x-1",            // no extended attributes: the guest has no use for them
        "-Enoinline_data", // so that every file's data is page-aligned and can be mapped
        "-U4c697468-0000-4000-8000-000000000001",
        "--quiet",
        d->tree.keeps_owners ? to : "--all-root",
        d->tree.keeps_owners ? d->tree.path : to,
        d->tree.keeps_owners ? NULL : d->tree.path,
        NULL};
    int r = program_run(argv, "erofs-utils", NULL, e);
    struct stat st;
    if (r == 0 && stat(to, &st) < 0)
        r = err_sys(e, -errno, "mkfs.erofs made no %s", to);
    if (r == 0)
        *size = (uint64_t)st.st_size;
    return r;
}

static int json_write(const char *path, json_t *json, struct err *e)
{
    char *text = json_dumps(json, JSON_INDENT(1) | JSON_SORT_KEYS);
    if (text == NULL)
        return err_set(e, -EINVAL, "%s cannot be written as JSON (not UTF-8?)", path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int r = fd < 0 ? -errno : write_all(fd, text, strlen(text));
    if (fd >= 0)
        close(fd);
    free(text);
    return r < 0 ? err_sys(e, r, "cannot write %s", path) : 0;
}

static int calls_write(const char *path, json_t *by_path, struct err *e)
{
    json_t *list = json_array();
    const char **names = xcalloc(json_object_size(by_path) + 1, sizeof(*names));
    size_t n = 0;
    const char *name;
    json_t *summary;
    json_object_foreach(by_path, name, summary)
    {
        size_t at = n++;
        for (; at > 0 && strcmp(names[at - 1], name) > 0; at--)
            names[at] = names[at - 1];
        names[at] = name;
    }
    for (size_t i = 0; i < n; i++)
        json_array_append(list, json_object_get(by_path, names[i]));
    int r = json_write(path, list, e);
    free(names);
    json_decref(list);
    return r;
}

static int out_path(struct draft *d, char path[4096], const char *name)
{
    return snprintf(path, 4096, "%s/out/lith/%s", d->tmp, name);
}

int draft_finish(struct draft *d, const char *ref, struct store_image *image, struct err *e)
{
    char path[4096];
    uint64_t root_size = 0, kernel_size = 0;
    json_t *seen = json_object(), *users = NULL, *config = NULL;
    int r = fixup_root(d, e);
    if (r == 0)
        r = walk(d, "/", seen, 0, e);
    if (r == 0)
        r = users_read(&d->tree, &users, e);
    out_path(d, path, "root.erofs");
    if (r == 0)
        r = erofs_make(d, path, &root_size, e);
    out_path(d, path, "kernel");
    if (r == 0)
        r = linked_take(d, e);
    if (r == 0)
        r = kernel_copy(d, path, &kernel_size, e);
    if (r == 0) {
        config = json_pack("{s:i, s:O, s:O, s:O, s:{s:I, s:I}}", "version", 1, "config", d->config,
                           "users", json_object_get(users, "users"), "groups",
                           json_object_get(users, "groups"), "files", "kernel",
                           (json_int_t)kernel_size, "root.erofs", (json_int_t)root_size);
        if (d->linked)
            json_object_set(config, "linked", d->linked);
        // A USER that the image does not know is an error now, not at every start.
        const char *user = json_string_value(json_object_get(d->config, "User")), *home;
        uint32_t uid, gid;
        if (user != NULL)
            r = config_resolve_user(config, user, &uid, &gid, &home, e);
    }
    out_path(d, path, "config.json");
    if (r == 0)
        r = json_write(path, config, e);
    out_path(d, path, "calls.json");
    if (r == 0)
        r = calls_write(path, seen, e);
    snprintf(path, sizeof(path), "%s/out", d->tmp);
    if (r == 0)
        r = store_lock(&d->store, e);
    if (r == 0)
        r = store_add(&d->store, ref, path, d->config, image, e);
    json_decref(config);
    json_decref(users);
    json_decref(seen);
    return r;
}
