// SPDX-License-Identifier: ISC
// What a root file system needs besides its packages' files. Maintainer scripts are not run (they
// are programs, often for a machine that boots); what they would have made and what programs need
// when they run is made here, by a few general rules.
#include "image/private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX (1u << 20)

static int put_text_if_missing(struct draft *d, const char *path, const char *text, struct err *e)
{
    return tree_exists(&d->tree, path)
               ? 0
               : tree_put_data(&d->tree, path, text, strlen(text), &TREE_ATTR_FILE, e);
}

int fixup_root(struct draft *d, struct err *e)
{
    static const struct {
        const char *path;
        mode_t mode;
    } folders[] = {
        {"/dev", 0755}, {"/proc", 0555}, {"/sys", 0555}, {"/tmp", 01777}, {"/run", 0755}};
    static const char *const files[] = {"/etc/resolv.conf", "/etc/hosts", "/etc/hostname"};
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(folders) / sizeof(folders[0]); i++) {
        struct tree_attr a = {.mode = folders[i].mode};
        if (!tree_exists(&d->tree, folders[i].path))
            r = tree_put_dir(&d->tree, folders[i].path, &a, e);
    }
    // Empty files in which the kernel puts what it knows when it starts.
    for (size_t i = 0; r == 0 && i < sizeof(files) / sizeof(files[0]); i++)
        r = put_text_if_missing(d, files[i], "", e);
    return r;
}

// Debian keeps /bin, /sbin, /lib and so on as links into /usr since release 12.
int fixup_merged_usr(struct draft *d, struct err *e)
{
    static const char *const names[] = {"bin", "sbin", "lib", "lib64"};
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(names) / sizeof(names[0]); i++) {
        char *link = xasprintf("/%s", names[i]), *target = xasprintf("usr/%s", names[i]);
        r = tree_put_dir(&d->tree, target, &TREE_ATTR_DIR, e);
        if (r == 0)
            r = tree_put_symlink(&d->tree, link, target, &(struct tree_attr){0}, e);
        free(link);
        free(target);
    }
    return r;
}

// base-passwd's masters, as its postinst would copy them.
static int fixup_passwd(struct draft *d, struct err *e)
{
    static const char *const files[][3] = {
        {"/usr/share/base-passwd/passwd.master", "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"},
        {"/usr/share/base-passwd/group.master", "/etc/group", "root:x:0:\n"},
    };
    int r = 0;
    for (size_t i = 0; r == 0 && i < 2; i++) {
        char *text;
        size_t len;
        if (tree_exists(&d->tree, files[i][1]))
            continue;
        if (tree_read(&d->tree, files[i][0], TEXT_MAX, &text, &len) < 0) {
            text = xstrdup(files[i][2]);
            len = strlen(text);
        }
        r = tree_put_data(&d->tree, files[i][1], text, len, &TREE_ATTR_FILE, e);
        free(text);
    }
    return r;
}

// Compares version tails: "8.2" < "8.10".
static int version_compare(const char *a, const char *b)
{
    return strverscmp(a, b);
}

static int folder_list(struct draft *d, const char *folder, struct strings *names)
{
    int fd = tree_openat(&d->tree, folder, O_RDONLY | O_DIRECTORY);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL)
        return 0;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.')
            strings_add(names, xstrdup(entry->d_name));
    closedir(dir);
    return 0;
}

// update-alternatives by rule: a program NAMEvX.Y without a NAME becomes NAME, the highest version
// wins (php8.2 -> php, lua5.4 -> lua).
static int fixup_versioned(struct draft *d, const char *folder, struct err *e)
{
    struct strings names = {0};
    int r = folder_list(d, folder, &names);
    json_t *best = json_object();
    for (size_t i = 0; i < names.n; i++) {
        const char *name = names.v[i];
        size_t len = strlen(name), stem = len;
        while (stem > 0 && strchr("0123456789.", name[stem - 1]))
            stem--;
        if (stem == 0 || stem == len || name[stem] == '.' || name[len - 1] == '.' ||
            name[stem - 1] == '-' || name[stem - 1] == '_')
            continue;
        char *key = xstrndup(name, stem), *path = xasprintf("%s/%s", folder, key);
        const char *have = json_string_value(json_object_get(best, key));
        if (!tree_exists(&d->tree, path) && (have == NULL || version_compare(have, name) < 0))
            json_object_set_new(best, key, json_string(name));
        free(key);
        free(path);
    }
    const char *key;
    json_t *target;
    json_object_foreach(best, key, target)
    {
        char *path = xasprintf("%s/%s", folder, key);
        if (r == 0)
            r = tree_put_symlink(&d->tree, path, json_string_value(target), &(struct tree_attr){0},
                                 e);
        free(path);
    }
    json_decref(best);
    strings_free(&names);
    return r;
}

// update-alternatives by table, for names that no rule gives. The first that exists wins.
static int fixup_alternatives(struct draft *d, struct err *e)
{
    static const char lib[] = "/usr/lib/x86_64-linux-gnu/";
    static const char *const table[][2] = {
        {"/usr/bin/awk", "/usr/bin/gawk"},
        {"/usr/bin/awk", "/usr/bin/mawk"},
        {"/usr/bin/nc", "/usr/bin/nc.openbsd"},
        {"/usr/bin/nc", "/usr/bin/nc.traditional"},
        {"/usr/bin/java", "/usr/lib/jvm/java-17-openjdk-amd64/bin/java"},
        {"/usr/bin/which", "/usr/bin/which.debianutils"},
        {"/bin/sh", "/bin/dash"},
        {"/bin/sh", "/bin/bash"},
        {"libblas.so.3", "openblas-pthread/libblas.so.3"},
        {"libblas.so.3", "blas/libblas.so.3"},
        {"liblapack.so.3", "openblas-pthread/liblapack.so.3"},
        {"liblapack.so.3", "lapack/liblapack.so.3"},
    };
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(table) / sizeof(table[0]); i++) {
        bool is_lib = table[i][0][0] != '/';
        char *link = xasprintf("%s%s", is_lib ? lib : "", table[i][0]);
        char *target = xasprintf("%s%s", is_lib ? lib : "", table[i][1]);
        if (tree_exists(&d->tree, target) && !tree_exists(&d->tree, link))
            r = tree_put_symlink(&d->tree, link, target, &(struct tree_attr){0}, e);
        free(link);
        free(target);
    }
    return r;
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// ca-certificates' postinst joins the certificates into one file.
static int fixup_certificates(struct draft *d, struct err *e)
{
    static const char from[] = "/usr/share/ca-certificates/mozilla",
                      to[] = "/etc/ssl/certs/ca-certificates.crt";
    struct strings names = {0};
    folder_list(d, from, &names);
    if (names.n == 0 || tree_exists(&d->tree, to)) {
        strings_free(&names);
        return 0;
    }
    qsort(names.v, names.n, sizeof(*names.v), compare_strings);
    struct buf all = {0};
    for (size_t i = 0; i < names.n; i++) {
        char *path = xasprintf("%s/%s", from, names.v[i]), *text;
        size_t len;
        if (tree_read(&d->tree, path, TEXT_MAX, &text, &len) == 0) {
            buf_add(&all, text, len);
            free(text);
        }
        free(path);
    }
    int r = all.len ? tree_put_data(&d->tree, to, all.data, all.len, &TREE_ATTR_FILE, e) : 0;
    buf_free(&all);
    strings_free(&names);
    return r;
}

// php's postinsts copy /usr/share/phpX.Y-PKG/MODULE/*.ini to mods-available and link it into the
// conf.d of the command line with the priority that the file's first lines name.
static int fixup_php_module(struct draft *d, const char *version, const char *ini, const char *name,
                            struct err *e)
{
    char *text;
    size_t len;
    if (tree_read(&d->tree, ini, TEXT_MAX, &text, &len) < 0)
        return 0;
    const char *priority = strstr(text, "priority=");
    int number = priority != NULL ? atoi(priority + 9) : 20;
    char *available = xasprintf("/etc/php/%s/mods-available/%s", version, name);
    char *link = xasprintf("/etc/php/%s/cli/conf.d/%02d-%s", version, number, name);
    int r = tree_put_data(&d->tree, available, text, len, &TREE_ATTR_FILE, e);
    if (r == 0)
        r = tree_put_symlink(&d->tree, link, available, &(struct tree_attr){0}, e);
    free(available);
    free(link);
    free(text);
    return r;
}

static int fixup_php(struct draft *d, struct err *e)
{
    struct strings shares = {0};
    folder_list(d, "/usr/share", &shares);
    int r = 0;
    for (size_t i = 0; r == 0 && i < shares.n; i++) {
        const char *share = shares.v[i], *dash = strchr(share, '-');
        if (strncmp(share, "php", 3) != 0 || dash == NULL || share[3] < '0' || share[3] > '9')
            continue;
        char *version = xstrndup(share + 3, (size_t)(dash - share - 3));
        char *folder = xasprintf("/usr/share/%s/%s", share, dash + 1);
        struct strings inis = {0};
        folder_list(d, folder, &inis);
        for (size_t k = 0; r == 0 && k < inis.n; k++) {
            char *ini = xasprintf("%s/%s", folder, inis.v[k]);
            size_t n = strlen(inis.v[k]);
            if (n > 4 && strcmp(inis.v[k] + n - 4, ".ini") == 0)
                r = fixup_php_module(d, version, ini, inis.v[k], e);
            free(ini);
        }
        strings_free(&inis);
        free(folder);
        free(version);
    }
    strings_free(&shares);
    return r;
}

int fixup_debian(struct draft *d, struct err *e)
{
    static const char nsswitch[] =
        "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n"
        "protocols: files\nservices: files\nethers: files\nrpc: files\n";
    static const char *const logs[][2] = {{"/etc/nginx", "/var/log/nginx"},
                                          {"/etc/redis", "/var/log/redis"}};
    int r = fixup_passwd(d, e);
    if (r == 0)
        r = put_text_if_missing(d, "/etc/nsswitch.conf", nsswitch, e);
    if (r == 0 && !tree_exists(&d->tree, "/root"))
        r = tree_put_dir(&d->tree, "/root", &(struct tree_attr){.mode = 0700}, e);
    // base-files' postinst moved these into /run long ago.
    if (r == 0 && !tree_exists(&d->tree, "/run/lock"))
        r = tree_put_dir(&d->tree, "/run/lock", &(struct tree_attr){.mode = 01777}, e);
    if (r == 0 && !tree_exists(&d->tree, "/var/run"))
        r = tree_put_symlink(&d->tree, "/var/run", "/run", &(struct tree_attr){0}, e);
    if (r == 0 && !tree_exists(&d->tree, "/var/lock"))
        r = tree_put_symlink(&d->tree, "/var/lock", "/run/lock", &(struct tree_attr){0}, e);
    for (size_t i = 0; r == 0 && i < 2; i++)
        if (tree_exists(&d->tree, logs[i][0]) && !tree_exists(&d->tree, logs[i][1]))
            r = tree_put_dir(&d->tree, logs[i][1], &TREE_ATTR_DIR, e);
    if (r == 0)
        r = fixup_versioned(d, "/usr/bin", e);
    if (r == 0)
        r = fixup_versioned(d, "/usr/sbin", e);
    if (r == 0)
        r = fixup_alternatives(d, e);
    if (r == 0)
        r = fixup_certificates(d, e);
    if (r == 0)
        r = fixup_php(d, e);
    return r;
}
