// SPDX-License-Identifier: ISC
// Imports an ordinary container image from an OCI image layout (`skopeo copy docker://...
// oci:DIR`): its layers are checked against their digests and applied in order, its configuration
// is kept.
#include "image/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LAYERS_MAX 512
#define NESTED_MAX 4 // an index of indexes

static int blob_open(const char *dir, const char *digest, struct err *e)
{
    if (digest == NULL || !digest_valid(digest))
        return err_set(e, -EBADMSG, "%s: a digest is missing or is not sha256", dir);
    char *path = xasprintf("%s/blobs/sha256/%s", dir, digest + 7);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fd = err_sys(e, -errno, "cannot read %s", path);
    free(path);
    if (fd < 0)
        return fd;
    struct sha256 h;
    char chunk[65536], actual[STORE_DIGEST];
    sha256_init(&h);
    ssize_t n;
    while ((n = read(fd, chunk, sizeof(chunk))) > 0)
        sha256_add(&h, chunk, (size_t)n);
    sha256_digest(&h, actual);
    if (n < 0 || strcmp(actual, digest) != 0 || lseek(fd, 0, SEEK_SET) < 0) {
        close(fd);
        return err_set(e, -EBADMSG, "%s: blob %.19s... is damaged: its digest is %.19s...", dir,
                       digest, actual);
    }
    return fd;
}

static int blob_json(const char *dir, const char *digest, json_t **out, struct err *e)
{
    int fd = blob_open(dir, digest, e);
    if (fd < 0)
        return fd;
    char self[32], *text;
    size_t len;
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    int r = file_read(AT_FDCWD, self, STORE_JSON_MAX, &text, &len);
    close(fd);
    if (r < 0)
        return err_sys(e, r, "%s: blob %.19s...", dir, digest);
    json_error_t je;
    *out = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
    free(text);
    return *out != NULL ? 0
                        : err_set(e, -EBADMSG, "%s: blob %.19s... line %d: %s", dir, digest,
                                  je.line, je.text);
}

static const char *string_of(json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

// The descriptor wanted from an index: by reference, else for linux/amd64, else the only one.
static json_t *descriptor_choose(json_t *index, const char *ref)
{
    json_t *manifests = json_object_get(index, "manifests"), *m;
    size_t i;
    json_array_foreach(manifests, i, m)
    {
        const char *name =
            string_of(json_object_get(m, "annotations"), "org.opencontainers.image.ref.name");
        if (ref != NULL && name != NULL && strcmp(name, ref) == 0)
            return m;
    }
    if (ref != NULL)
        return NULL;
    json_array_foreach(manifests, i, m)
    {
        json_t *platform = json_object_get(m, "platform");
        const char *arch = string_of(platform, "architecture"), *os = string_of(platform, "os");
        if (arch != NULL && os != NULL && strcmp(arch, "amd64") == 0 && strcmp(os, "linux") == 0)
            return m;
    }
    return json_array_size(manifests) == 1 ? json_array_get(manifests, 0) : NULL;
}

static int manifest_find(const char *dir, const char *ref, json_t **manifest, struct err *e)
{
    char *path = xasprintf("%s/index.json", dir), *text;
    size_t len;
    int r = file_read(AT_FDCWD, path, STORE_JSON_MAX, &text, &len);
    if (r < 0)
        err_sys(e, r, "cannot read %s: not an OCI image layout?", path);
    free(path);
    if (r < 0)
        return r;
    json_error_t je;
    json_t *at = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
    free(text);
    if (at == NULL)
        return err_set(e, -EBADMSG, "%s/index.json line %d: %s", dir, je.line, je.text);
    for (int depth = 0; r == 0 && depth < NESTED_MAX && json_object_get(at, "manifests") != NULL;
         depth++) {
        json_t *chosen = descriptor_choose(at, depth == 0 ? ref : NULL), *next = NULL;
        if (chosen == NULL)
            r = err_set(
                e, -ENOENT,
                "%s holds no image%s%s for linux/amd64, or several: name one as oci:DIR:REF", dir,
                ref ? " " : "", ref ? ref : "");
        else
            r = blob_json(dir, string_of(chosen, "digest"), &next, e);
        json_decref(at);
        at = next;
    }
    if (r == 0 && !json_is_array(json_object_get(at, "layers"))) {
        r = err_set(e, -EBADMSG, "%s: the manifest has no layers", dir);
        json_decref(at);
        at = NULL;
    }
    *manifest = at;
    return r;
}

static int config_take(struct draft *d, const char *dir, json_t *manifest, struct err *e)
{
    static const char *const lists[] = {"Env", "Cmd", "Entrypoint"};
    json_t *full = NULL, *list;
    int r = blob_json(dir, string_of(json_object_get(manifest, "config"), "digest"), &full, e);
    if (r < 0)
        return r;
    const char *arch = string_of(full, "architecture");
    if (arch != NULL && strcmp(arch, "amd64") != 0)
        r = err_set(e, -ENOTSUP, "%s: the image is for %.20s; Lith runs amd64", dir, arch);
    json_t *config = json_object_get(full, "config");
    for (size_t i = 0; r == 0 && i < 3; i++)
        r = config_strings(config, lists[i], &list, e);
    if (r == 0 && json_is_object(config)) {
        json_decref(d->config);
        d->config = json_deep_copy(config);
    }
    json_decref(full);
    return r;
}

int import_oci(struct draft *d, const char *source, struct err *e)
{
    const char *colon = strrchr(source, ':');
    char *dir = colon && access(source, F_OK) < 0 ? xstrndup(source, (size_t)(colon - source))
                                                  : xstrdup(source);
    const char *ref = strlen(dir) < strlen(source) ? source + strlen(dir) + 1 : NULL;
    // References may hold a colon themselves (NAME:TAG).
    if (ref != NULL && access(dir, F_OK) < 0) {
        char *first = strchr(dir, ':');
        if (first != NULL) {
            *first = 0;
            ref = source + (first - dir) + 1;
        }
    }
    json_t *manifest = NULL, *layer;
    int r = manifest_find(dir, ref, &manifest, e);
    if (r == 0)
        r = config_take(d, dir, manifest, e);
    json_t *layers = r == 0 ? json_object_get(manifest, "layers") : NULL;
    if (json_array_size(layers) > LAYERS_MAX)
        r = err_set(e, -E2BIG, "%s: the image has more than %d layers", dir, LAYERS_MAX);
    size_t i;
    json_array_foreach(layers, i, layer)
    {
        if (r < 0)
            break;
        const char *digest = string_of(layer, "digest");
        int fd = blob_open(dir, digest, e);
        if (fd < 0) {
            r = fd;
            break;
        }
        draft_say(d, "Unpacking layer %zu of %zu\n", i + 1, json_array_size(layers));
        struct err why = {""};
        r = tree_add_archive(&d->tree, fd, "/", true, NULL, &why);
        if (r < 0)
            err_set(e, r, "%s: layer %.19s...: %s", dir, digest, why.text);
        close(fd);
    }
    json_decref(manifest);
    free(dir);
    return r;
}
