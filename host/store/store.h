// SPDX-License-Identifier: ISC
// The image store: an OCI image layout (image-spec 1.0: oci-layout, index.json, blobs/sha256) under
// $XDG_DATA_HOME/lith, so that skopeo and registries can read it. Beside it, `unpacked/HEX/lith/`
// holds the files of layer HEX, ready to be opened or mapped: `lith run` opens files only.
// `launch/` caches what `lith run` needs to know (below).
//
// A Lith image has one layer, an uncompressed tar with lith/kernel, lith/root.erofs,
// lith/config.json and lith/calls.json. index.json names images by the annotation
// org.opencontainers.image.ref.name, "NAME:TAG".
//
// Readers take no lock: every change is one rename, the index last. Writers hold the store's lock.
// Blobs may come from anywhere: sizes are bounded, digests checked, JSON types checked.
// Functions return 0 or -errno with the error text set.
#ifndef LITH_HOST_STORE_H
#define LITH_HOST_STORE_H

#include <jansson.h>
#include <stdint.h>
#include <time.h>

#include "common/common.h"

#define STORE_REF_MAX  256          // bytes of "NAME:TAG" with its NUL
#define STORE_DIGEST   (7 + 64 + 1) // "sha256:" + hex + NUL
#define STORE_JSON_MAX (4u << 20)   // index, manifests, configurations

struct store {
    char *path; // of the layout
    int dirfd;
    int lockfd; // -1: not locked
};

// Opens the store of this user; creates it with `create`, else -ENOENT when there is none.
int store_open(struct store *s, bool create, struct err *e);
// Waits for other writers. Held till store_close.
int store_lock(struct store *s, struct err *e);
void store_close(struct store *s);

// "NAME[:TAG]" -> "NAME:TAG" by docker's grammar; the tag is `latest` when left out.
int ref_parse(const char *s, char ref[STORE_REF_MAX], struct err *e);

struct sha256 {
    _Alignas(8) unsigned char state[128]; // libcrypto's SHA256_CTX
};
void sha256_init(struct sha256 *h);
void sha256_add(struct sha256 *h, const void *data, size_t len);
void sha256_digest(struct sha256 *h, char digest[STORE_DIGEST]);
bool digest_valid(const char *digest);

// A blob being written: begin, write..., commit (fsync, rename to its digest) or abort.
struct blob {
    int fd;
    char tmp[64];
    uint64_t size;
    struct sha256 hash;
};
int blob_begin(struct store *s, struct blob *b, struct err *e);
int blob_write(struct blob *b, const void *data, size_t len, struct err *e);
int blob_commit(struct store *s, struct blob *b, char digest[STORE_DIGEST], struct err *e);
void blob_abort(struct store *s, struct blob *b);
int blob_put(struct store *s, const void *data, size_t len, char digest[STORE_DIGEST],
             struct err *e);
// Reads a JSON blob, checks its digest and that it is an object.
int blob_read_json(struct store *s, const char *digest, json_t **out, struct err *e);

struct store_image {
    char ref[STORE_REF_MAX]; // "" when the index gives it none
    char manifest[STORE_DIGEST], config[STORE_DIGEST],
        layer[STORE_DIGEST]; // config = the image's id
    uint64_t layer_size, manifest_size;
    int64_t created; // seconds since 1970; 0: unknown
};

// All images of the index whose manifests are sound, newest first. The caller frees *list. Damaged
// entries are left out, and counted in *damaged when it is not NULL.
int store_list(struct store *s, struct store_image **list, size_t *n, size_t *damaged,
               struct err *e);
// By reference, or by id (4 hex digits or more, unambiguous). -ENOENT says what to do.
int store_find(struct store *s, const char *name, struct store_image *image, struct err *e);
// Takes a reference away, and everything that no other reference needs. *deleted says whether the
// image itself went. The store must be locked.
int store_untag(struct store *s, const struct store_image *image, bool *deleted, struct err *e);

// Takes the reference `name` out of the index though its image is damaged; fills image->ref only.
int store_untag_damaged(struct store *s, const char *name, struct store_image *image,
                        struct err *e);
// Gives a stored image another reference too; an image that had it before and no other name goes.
int store_retag(struct store *s, const struct store_image *image, const char *ref, struct err *e);

// Path of the unpacked files (".../lith", the caller frees it). Unpacks the layer, with its digest
// checked, if that is not done yet.
int store_unpacked(struct store *s, const struct store_image *image, char **path, struct err *e);

// A new image out of the folder `tmp` (from store_tmp, holding lith/...), which is consumed.
// `config` is the OCI configuration's "config" object. The store must be locked.
int store_add(struct store *s, const char *ref, const char *tmp, json_t *config,
              struct store_image *image, struct err *e);
// A fresh private folder inside the store, absolute path, the caller's to remove and free.
int store_tmp(struct store *s, char **path, struct err *e);

// What `lith run` needs of an image, as text that needs no JSON reader: lines "KEY VALUE", values
// escaped as in boot configurations: dir, root_size, uid, gid, home, cwd, entrypoint..., cmd...,
// env... `user`: whom to resolve instead of the image's USER, or NULL.
int store_launch_text(struct store *s, const struct store_image *image, const char *user,
                      struct buf *text, struct err *e);
// Keeps the text as launch/REF. launch/.index tells for which index.json (its inode, size and time)
// the texts are valid; every change of the index by us or others makes them invalid. Failure is
// not an error: the next run asks again.
void store_launch_cache(struct store *s, const struct store_image *image, const struct buf *text);

// The layer's tar form. The writer takes the four files from `dir`; the reader accepts any
// uncompressed ustar, pax or GNU tar and takes only the known files out of it, into `dir`.
int layer_write(struct store *s, int dirfd, char digest[STORE_DIGEST], uint64_t *size,
                struct err *e);
// `fd` is read from its start; `digest` is checked over all of it.
int layer_unpack(int fd, const char *digest, int dirfd, struct err *e);

// lith/config.json of an unpacked image: {"config": OCI configuration, "users": {NAME: [uid, gid,
// home]}, "groups": {NAME: gid}, "files": {"kernel": bytes, "root.erofs": bytes}}. That "config" is
// an object is checked; users of other members check their types.
int store_read_config(const char *dir, json_t **config, struct err *e);
// A list of strings of a configuration ("Env", "Cmd", ...): 0 with *list NULL when it is missing or
// null, -EBADMSG when it is anything else than a list of strings.
int config_strings(json_t *config, const char *name, json_t **list, struct err *e);
// "NAME|UID[:GROUP|GID]" against "users" and "groups" of `config` (as store_read_config gives it).
// *home is borrowed from it, "/" when the user is not listed.
int config_resolve_user(json_t *config, const char *spec, uint32_t *uid, uint32_t *gid,
                        const char **home, struct err *e);

#endif
