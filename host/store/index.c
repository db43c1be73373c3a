// SPDX-License-Identifier: ISC
// The index: which references there are, and what they lead to. Changes rewrite index.json as a
// whole, under the store's lock; what a reader sees is always one version of it.
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEDIA_MANIFEST     "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_CONFIG       "application/vnd.oci.image.config.v1+json"
#define MEDIA_LAYER        "application/vnd.oci.image.layer.v1.tar"
#define ANNOTATION_REF     "org.opencontainers.image.ref.name"
#define ANNOTATION_CREATED "org.opencontainers.image.created"

static int index_read(struct store *s, json_t **index, struct err *e)
{
    char *data;
    size_t len;
    int r = file_read(s->dirfd, "index.json", STORE_JSON_MAX, &data, &len);
    if (r == -ENOENT) { // the store is being made
        *index = json_pack("{s:i, s:[]}", "schemaVersion", 2, "manifests");
        return 0;
    }
    if (r < 0)
        return err_sys(e, r, "cannot read %s/index.json", s->path);
    json_error_t je;
    *index = json_loadb(data, len, JSON_REJECT_DUPLICATES, &je);
    free(data);
    if (*index == NULL)
        return err_set(e, -EBADMSG, "the image store is damaged: %s/index.json line %d: %s",
                       s->path, je.line, je.text);
    if (!json_is_array(json_object_get(*index, "manifests"))) {
        json_decref(*index);
        return err_set(e, -EBADMSG,
                       "the image store is damaged: %s/index.json has no list \"manifests\"",
                       s->path);
    }
    return 0;
}

static int index_write(struct store *s, json_t *index, struct err *e)
{
    char *text = json_dumps(index, JSON_INDENT(1));
    if (text == NULL)
        return err_set(e, -EINVAL, "the index cannot be written as JSON");
    int r = file_write_atomic(s->dirfd, "index.json", text, strlen(text));
    free(text);
    return r < 0 ? err_sys(e, r, "cannot write %s/index.json", s->path) : 0;
}

static const char *descriptor_annotation(json_t *descriptor, const char *name)
{
    return json_string_value(json_object_get(json_object_get(descriptor, "annotations"), name));
}

static const char *descriptor_digest(json_t *descriptor)
{
    const char *digest = json_string_value(json_object_get(descriptor, "digest"));
    return digest != NULL && digest_valid(digest) ? digest : NULL;
}

// Fills everything but the reference from the manifest.
static int manifest_load(struct store *s, const char *digest, struct store_image *image,
                         struct err *e)
{
    json_t *manifest;
    int r = blob_read_json(s, digest, &manifest, e);
    if (r < 0)
        return -EBADMSG; // a missing blob is damage, and not "no such image"
    json_t *layers = json_object_get(manifest, "layers");
    const char *config = descriptor_digest(json_object_get(manifest, "config"));
    const char *layer = descriptor_digest(json_array_get(layers, 0));
    json_int_t size = json_integer_value(json_object_get(json_array_get(layers, 0), "size"));
    if (config == NULL || layer == NULL || size < 0) {
        r = err_set(e, -EBADMSG, "manifest %.19s... has no configuration or no layer", digest);
    } else {
        snprintf(image->manifest, STORE_DIGEST, "%s", digest);
        snprintf(image->config, STORE_DIGEST, "%s", config);
        snprintf(image->layer, STORE_DIGEST, "%s", layer);
        image->layer_size = (uint64_t)size;
    }
    json_decref(manifest);
    return r;
}

static int image_from_descriptor(struct store *s, json_t *descriptor, struct store_image *image,
                                 struct err *e)
{
    *image = (struct store_image){0};
    image->manifest_size = (uint64_t)json_integer_value(json_object_get(descriptor, "size"));
    const char *digest = descriptor_digest(descriptor);
    if (digest == NULL)
        return err_set(e, -EBADMSG, "%s/index.json has an entry without a digest", s->path);
    const char *ref = descriptor_annotation(descriptor, ANNOTATION_REF);
    if (ref != NULL)
        snprintf(image->ref, sizeof(image->ref), "%s", ref);
    const char *created = descriptor_annotation(descriptor, ANNOTATION_CREATED);
    struct tm tm = {0};
    if (created != NULL && strptime(created, "%Y-%m-%dT%H:%M:%SZ", &tm) != NULL)
        image->created = timegm(&tm);
    return manifest_load(s, digest, image, e);
}

static int newest_first(const void *a, const void *b)
{
    const struct store_image *x = a, *y = b;
    return x->created != y->created ? (x->created < y->created ? 1 : -1) : strcmp(x->ref, y->ref);
}

int store_list(struct store *s, struct store_image **list, size_t *n, size_t *damaged,
               struct err *e)
{
    json_t *index;
    int r = index_read(s, &index, e);
    if (r < 0)
        return r;
    json_t *manifests = json_object_get(index, "manifests");
    size_t count = json_array_size(manifests), good = 0;
    struct store_image *images = xcalloc(count, sizeof(*images));
    for (size_t i = 0; i < count; i++)
        if (image_from_descriptor(s, json_array_get(manifests, i), &images[good], NULL) == 0)
            good++;
    json_decref(index);
    if (good > 1)
        qsort(images, good, sizeof(*images), newest_first);
    if (damaged != NULL)
        *damaged = count - good;
    *list = images;
    *n = good;
    return 0;
}

static bool id_matches(const char *digest, const char *name)
{
    if (strncmp(name, "sha256:", 7) == 0)
        name += 7;
    size_t len = strlen(name);
    return len >= 4 && len <= 64 && strncmp(digest + 7, name, len) == 0;
}

int store_find(struct store *s, const char *name, struct store_image *image, struct err *e)
{
    char ref[STORE_REF_MAX];
    bool is_ref = ref_parse(name, ref, NULL) == 0;
    json_t *index;
    int r = index_read(s, &index, e);
    if (r < 0)
        return r;
    size_t i;
    json_t *descriptor;
    json_array_foreach(json_object_get(index, "manifests"), i, descriptor)
    {
        const char *have = descriptor_annotation(descriptor, ANNOTATION_REF);
        if (is_ref && have != NULL && strcmp(have, ref) == 0) {
            r = image_from_descriptor(s, descriptor, image, e);
            json_decref(index);
            return r;
        }
    }
    json_decref(index);
    struct store_image *list;
    size_t n, found = 0;
    r = store_list(s, &list, &n, NULL, e);
    if (r < 0)
        return r;
    for (i = 0; i < n; i++) {
        if (!id_matches(list[i].config, name))
            continue;
        if (found && strcmp(image->config, list[i].config) != 0)
            found = 2;
        else
            found = 1;
        *image = list[i];
        if (found == 2)
            break;
    }
    free(list);
    if (found == 1)
        return 0;
    if (found == 2)
        return err_set(e, -EINVAL,
                       "several images have an id that begins with '%.64s'; give more digits",
                       name);
    return err_set(
        e, -ENOENT,
        "No such image: %.200s; see `lith images`; make one with `lith import deb:PACKAGE %.200s` "
        "or `lith build -t %.200s DIR`",
        name, name, name);
}

// Adds or moves a reference.
static int index_tag(struct store *s, const char *ref, const struct store_image *image,
                     struct err *e)
{
    json_t *index;
    int r = index_read(s, &index, e);
    if (r < 0)
        return r;
    json_t *manifests = json_object_get(index, "manifests");
    for (size_t i = json_array_size(manifests); i-- > 0;) {
        const char *have = descriptor_annotation(json_array_get(manifests, i), ANNOTATION_REF);
        if (have != NULL && strcmp(have, ref) == 0)
            json_array_remove(manifests, i);
    }
    char when[32];
    struct tm tm;
    time_t t = (time_t)image->created;
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
    json_array_append_new(manifests, json_pack("{s:s, s:s, s:I, s:{s:s, s:s}}", "mediaType",
                                               MEDIA_MANIFEST, "digest", image->manifest, "size",
                                               (json_int_t)image->manifest_size, "annotations",
                                               ANNOTATION_REF, ref, ANNOTATION_CREATED, when));
    r = index_write(s, index, e);
    json_decref(index);
    return r;
}

int store_untag_damaged(struct store *s, const char *name, struct store_image *image, struct err *e)
{
    json_t *index;
    *image = (struct store_image){0};
    int r = ref_parse(name, image->ref, e);
    if (r == 0)
        r = index_read(s, &index, e);
    if (r < 0)
        return r;
    json_t *manifests = json_object_get(index, "manifests");
    for (size_t i = json_array_size(manifests); i-- > 0;) {
        const char *ref = descriptor_annotation(json_array_get(manifests, i), ANNOTATION_REF);
        if (ref != NULL && strcmp(ref, image->ref) == 0)
            json_array_remove(manifests, i);
    }
    r = index_write(s, index, e);
    json_decref(index);
    return r;
}

static void blob_remove(struct store *s, const char *digest)
{
    char path[16 + 64];
    snprintf(path, sizeof(path), "blobs/sha256/%s", digest + 7);
    unlinkat(s->dirfd, path, 0);
}

static void unpacked_path(char path[16 + 64], const struct store_image *image)
{
    snprintf(path, 16 + 64, "unpacked/%s", image->layer + 7);
}

// The disk is full, so the new index has no room: the image's unpacked files make some, which can
// be had again from its layer if that is not enough.
static int make_room(struct store *s, const struct store_image *image)
{
    struct store_image *list;
    size_t n, others = 0;
    char path[16 + 64];
    if (store_list(s, &list, &n, NULL, NULL) < 0)
        return -ENOSPC;
    for (size_t i = 0; i < n; i++)
        others += strcmp(list[i].layer, image->layer) == 0 && strcmp(list[i].ref, image->ref) != 0;
    free(list);
    unpacked_path(path, image);
    return others ? -ENOSPC : remove_all(s->dirfd, path);
}

int store_untag(struct store *s, const struct store_image *image, bool *deleted, struct err *e)
{
    json_t *index;
    int r = index_read(s, &index, e);
    if (r < 0)
        return r;
    json_t *manifests = json_object_get(index, "manifests");
    bool used = false;
    for (size_t i = json_array_size(manifests); i-- > 0;) {
        json_t *descriptor = json_array_get(manifests, i);
        const char *ref = descriptor_annotation(descriptor, ANNOTATION_REF);
        const char *digest = descriptor_digest(descriptor);
        if (digest == NULL || strcmp(digest, image->manifest) != 0)
            continue;
        if (strcmp(ref ? ref : "", image->ref) == 0)
            json_array_remove(manifests, i);
        else
            used = true;
    }
    r = index_write(s, index, e);
    if ((r == -ENOSPC || r == -EDQUOT) && make_room(s, image) == 0)
        r = index_write(s, index, e);
    json_decref(index);
    *deleted = false;
    if (r < 0 || used)
        return r;
    *deleted = true;
    struct store_image *list;
    size_t n;
    r = store_list(s, &list, &n, NULL, e);
    if (r < 0)
        return r;
    bool layer_used = false, config_used = false;
    for (size_t i = 0; i < n; i++) {
        layer_used |= strcmp(list[i].layer, image->layer) == 0;
        config_used |= strcmp(list[i].config, image->config) == 0;
    }
    free(list);
    blob_remove(s, image->manifest);
    if (!config_used)
        blob_remove(s, image->config);
    if (!layer_used) {
        blob_remove(s, image->layer);
        char path[16 + 64];
        unpacked_path(path, image);
        r = remove_all(s->dirfd, path);
    }
    return r < 0 ? err_sys(e, r, "cannot remove the files of %s", image->ref) : 0;
}

int store_retag(struct store *s, const struct store_image *image, const char *ref, struct err *e)
{
    struct store_image old;
    bool deleted;
    bool had = store_find(s, ref, &old, NULL) == 0 && strcmp(old.ref, ref) == 0;
    int r = index_tag(s, ref, image, e);
    // index_tag took the old entry out; what only it led to goes.
    if (r == 0 && had && strcmp(old.manifest, image->manifest) != 0)
        r = store_untag(s, &old, &deleted, e);
    return r;
}

// Configuration and manifest blobs of a layer that is already in the store.
static int manifest_put(struct store *s, const char *ref, json_t *config, struct store_image *image,
                        struct err *e)
{
    json_t *full =
        json_pack("{s:s, s:s, s:O, s:{s:s, s:[s]}}", "architecture", "amd64", "os", "linux",
                  "config", config, "rootfs", "type", "layers", "diff_ids", image->layer);
    char *text = full ? json_dumps(full, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(full);
    if (text == NULL)
        return err_set(e, -EINVAL,
                       "the image's configuration cannot be written as JSON (not UTF-8?)");
    size_t config_size = strlen(text);
    int r = blob_put(s, text, config_size, image->config, e);
    free(text);
    if (r < 0)
        return r;
    json_t *manifest =
        json_pack("{s:i, s:s, s:{s:s, s:s, s:I}, s:[{s:s, s:s, s:I}]}", "schemaVersion", 2,
                  "mediaType", MEDIA_MANIFEST, "config", "mediaType", MEDIA_CONFIG, "digest",
                  image->config, "size", (json_int_t)config_size, "layers", "mediaType",
                  MEDIA_LAYER, "digest", image->layer, "size", (json_int_t)image->layer_size);
    text = json_dumps(manifest, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(manifest);
    image->manifest_size = strlen(text);
    r = blob_put(s, text, image->manifest_size, image->manifest, e);
    free(text);
    image->created = time(NULL);
    snprintf(image->ref, sizeof(image->ref), "%s", ref);
    return r;
}

int store_add(struct store *s, const char *ref, const char *tmp, json_t *config,
              struct store_image *image, struct err *e)
{
    *image = (struct store_image){0};
    int dirfd = open(tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0)
        return err_sys(e, -errno, "cannot open %s", tmp);
    int r = layer_write(s, dirfd, image->layer, &image->layer_size, e);
    close(dirfd);
    if (r < 0)
        return r;
    char path[16 + 64];
    snprintf(path, sizeof(path), "unpacked/%s", image->layer + 7);
    // The same content may be there already; what is there may be in use, so it stays.
    if (renameat(AT_FDCWD, tmp, s->dirfd, path) < 0) {
        if (errno != EEXIST && errno != ENOTEMPTY)
            return err_sys(e, -errno, "cannot write %s/%s", s->path, path);
        remove_all(AT_FDCWD, tmp);
    }
    r = manifest_put(s, ref, config, image, e);
    if (r == 0)
        r = store_retag(s, image, ref, e);
    // So that the first start is as quick as all others.
    struct buf text = {0};
    if (r == 0 && store_launch_text(s, image, NULL, &text, NULL) == 0)
        store_launch_cache(s, image, &text);
    buf_free(&text);
    return r;
}
