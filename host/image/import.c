// SPDX-License-Identifier: ISC
// Imports: a base image from Debian packages, from an ordinary container image, from a tar file.
//
// Packages: the host's apt finds them and all they depend on, against an empty list of installed
// packages, and downloads them into the user's cache; dpkg-deb unpacks them. Nothing is installed
// or changed on the host, no script of a package runs, no root is needed. The host's sources, keys,
// pins and proxies apply.
#include "image/private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PACKAGES_MAX 512

static char *cache_path(void)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg != NULL && xdg[0] == '/')
        return xasprintf("%s/lith/apt", xdg);
    return home != NULL && home[0] == '/' ? xasprintf("%s/.cache/lith/apt", home) : NULL;
}

// argv of apt-get with everything that it writes in our cache. `own_lists`: package lists too.
static void apt_argv(struct strings *argv, const char *cache, bool own_lists)
{
    strings_add(argv, xstrdup("apt-get"));
    strings_add(argv, xasprintf("-oDir::State::status=%s/status", cache));
    strings_add(argv, xasprintf("-oDir::State::extended_states=%s/extended_states", cache));
    strings_add(argv, xasprintf("-oDir::Cache::archives=%s/archives", cache));
    strings_add(argv, xstrdup("-oDir::Cache::pkgcache="));
    strings_add(argv, xstrdup("-oDir::Cache::srcpkgcache="));
    if (own_lists)
        strings_add(argv, xasprintf("-oDir::State::lists=%s/lists", cache));
    strings_add(argv, xstrdup("-oDebug::NoLocking=1"));
    strings_add(argv,
                xstrdup("-oAPT::Sandbox::User=")); // root must be able to write the user's cache
    strings_add(argv, xstrdup("-oAPT::Install-Recommends=0"));
    strings_add(argv, xstrdup("-oAPT::Get::List-Cleanup=0"));
    strings_add(argv, xstrdup("-y"));
    strings_add(argv, xstrdup("-q"));
}

static int apt_run(struct strings *argv, struct buf *out, struct err *e)
{
    strings_add(argv, NULL);
    int r = program_run((const char *const *)argv->v, "apt", out, e);
    argv->n--;
    return r;
}

static void add_packages(struct strings *argv, const struct strings *packages)
{
    for (size_t i = 0; i < packages->n; i++)
        strings_add(argv, xstrdup(packages->v[i]));
}

// Lists of the packages to install, as file names in archives/. Downloads what is not there yet.
static int apt_fetch(const char *cache, const struct strings *packages, bool own_lists,
                     struct strings *files, struct err *e)
{
    struct strings argv = {0};
    struct buf out = {0};
    apt_argv(&argv, cache, own_lists);
    strings_add(&argv, xstrdup("--print-uris"));
    strings_add(&argv,
                xstrdup("-oDir::Cache::archives=/nonexistent")); // list those that are there too
    strings_add(&argv, xstrdup("install"));
    add_packages(&argv, packages);
    int r = apt_run(&argv, &out, e);
    strings_free(&argv);
    // 'URI' FILE SIZE HASH
    for (char *line = out.data, *next; r == 0 && line != NULL && *line; line = next) {
        next = line + strcspn(line, "\n");
        if (*next)
            *next++ = 0;
        char *file = *line == '\'' ? strstr(line, "' ") : NULL;
        if (file == NULL)
            continue;
        file += 2;
        file[strcspn(file, " ")] = 0;
        if (strchr(file, '/') == NULL && *file)
            strings_add(files, xstrdup(file));
    }
    buf_free(&out);
    if (r == 0) {
        apt_argv(&argv, cache, own_lists);
        strings_add(&argv, xstrdup("--download-only"));
        strings_add(&argv, xstrdup("install"));
        add_packages(&argv, packages);
        r = apt_run(&argv, &out, e);
        strings_free(&argv);
        buf_free(&out);
    }
    if (r < 0)
        strings_free(files);
    return r;
}

static int apt_update(struct draft *d, const char *cache, struct err *e)
{
    struct strings argv = {0};
    struct buf out = {0};
    draft_say(d, "Reading the package lists of this host's apt sources\n");
    apt_argv(&argv, cache, true);
    strings_add(&argv, xstrdup("update"));
    int r = apt_run(&argv, &out, e);
    strings_free(&argv);
    buf_free(&out);
    return r;
}

static int cache_make(const char *cache, struct err *e)
{
    static const char *const folders[] = {"archives/partial", "lists/partial", "lists/auxfiles"};
    int r = 0;
    for (size_t i = 0; r == 0 && i < 3; i++) {
        char *p = xasprintf("%s/%s", cache, folders[i]);
        r = mkdir_all(p, 0755);
        free(p);
    }
    char *status = xasprintf("%s/status", cache);
    int fd = r < 0 ? -1 : open(status, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (r == 0 && fd < 0)
        r = -errno;
    if (fd >= 0)
        close(fd);
    free(status);
    return r < 0 ? err_sys(e, r,
                           "cannot make the cache folder %s (XDG_CACHE_HOME chooses another place)",
                           cache)
                 : 0;
}

// One package's files into the tree.
static int deb_unpack(struct draft *d, const char *deb, struct err *e)
{
    char *tar = xasprintf("%s/package.tar", d->tmp);
    int r = 0;
    // dpkg-deb writes to its stdout; a file keeps memory small and its exit status plain.
    char *command = xasprintf("exec dpkg-deb --fsys-tarfile \"$1\" >\"$2\"");
    const char *const argv[] = {"sh", "-c", command, "sh", deb, tar, NULL};
    r = program_run(argv, "dpkg", NULL, e);
    free(command);
    int fd = r < 0 ? -1 : open(tar, O_RDONLY | O_CLOEXEC);
    if (r == 0 && fd < 0)
        r = err_sys(e, -errno, "cannot read %s", tar);
    if (r == 0) {
        struct err why = {""};
        r = tree_add_archive(&d->tree, fd, "/", false, NULL, &why);
        if (r < 0)
            err_set(e, r, "%s: %s", deb, why.text);
    }
    if (fd >= 0)
        close(fd);
    unlink(tar);
    free(tar);
    return r;
}

static int packages_parse(const char *list, struct strings *packages, struct err *e)
{
    // What later rules need: users, groups, the folders of a Debian system, /etc/os-release.
    strings_add(packages, xstrdup("base-files"));
    strings_add(packages, xstrdup("base-passwd"));
    while (*list) {
        size_t n = strcspn(list, ", ");
        static const char allowed[] =
            "abcdefghijklmnopqrstuvwxyz0123456789.+-:=~/ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        if (n > 0 && (strspn(list, allowed) < n || list[0] == '-' || list[n - 1] == '-' ||
                      packages->n >= PACKAGES_MAX))
            return err_set(e, -EINVAL, "'%.*s' is not the name of a Debian package", (int)n, list);
        if (n > 0)
            strings_add(packages, xstrndup(list, n));
        list += n;
        list += strspn(list, ", ");
    }
    return packages->n > 2
               ? 0
               : err_set(e, -EINVAL, "deb: needs the name of a Debian package: deb:nginx-light");
}

int import_deb(struct draft *d, const char *list, struct err *e)
{
    struct strings packages = {0}, files = {0};
    char *cache = cache_path();
    int r = cache == NULL ? err_set(e, -ENOENT, "neither HOME nor XDG_CACHE_HOME is set") : 0;
    if (r == 0)
        r = packages_parse(list, &packages, e);
    if (r == 0)
        r = cache_make(cache, e);
    if (r == 0) {
        draft_say(d, "Resolving %s\n", list);
        r = apt_fetch(cache, &packages, false, &files, e);
        // The host's lists can be missing or too old to download from: then lists of our own.
        if (r == -EIO) {
            struct err why;
            r = apt_update(d, cache, &why);
            if (r == 0)
                r = apt_fetch(cache, &packages, true, &files, e);
        }
    }
    if (r == 0)
        r = fixup_merged_usr(d, e);
    draft_say(d, "Unpacking %zu packages\n", files.n);
    for (size_t i = 0; r == 0 && i < files.n; i++) {
        char *deb = xasprintf("%s/archives/%s", cache, files.v[i]);
        r = deb_unpack(d, deb, e);
        free(deb);
    }
    if (r == 0)
        r = fixup_debian(d, e);
    strings_free(&files);
    strings_free(&packages);
    free(cache);
    return r;
}

static int import_tar(struct draft *d, const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, -errno,
                       "cannot read %s (sources are deb:PACKAGE,..., oci:DIR[:REF] or a tar file)",
                       path);
    struct err why = {""};
    int r = tree_add_archive(&d->tree, fd, "/", false, NULL, &why);
    close(fd);
    return r < 0 ? err_set(e, r, "%s: %s", path, why.text) : 0;
}

int image_import(const char *source, const char *ref, bool quiet, struct store_image *image,
                 struct err *e)
{
    struct draft d;
    int r = draft_begin(&d, quiet, e);
    if (r < 0)
        return r;
    if (strncmp(source, "deb:", 4) == 0)
        r = import_deb(&d, source + 4, e);
    else if (strncmp(source, "oci:", 4) == 0)
        r = import_oci(&d, source + 4, e);
    else
        r = import_tar(&d, source, e);
    if (r == 0) {
        draft_say(&d, "Rewriting system calls and making the image\n");
        r = draft_finish(&d, ref, image, e);
    }
    draft_end(&d);
    return r;
}
