// SPDX-License-Identifier: ISC
// What the files of this folder share among themselves.
#ifndef LITH_HOST_IMAGE_PRIVATE_H
#define LITH_HOST_IMAGE_PRIVATE_H

#include "image/image.h"

// A new image on its way: tree, configuration, and what is known about its ELF files.
struct draft {
    struct store store;
    char *tmp; // folder inside the store: root/ is the tree, lith/ the image's files
    struct tree tree;
    json_t *config;  // OCI "config" object
    json_t *calls;   // path -> rewrite summary (image/rewrite), from the base image
    json_t *touched; // set of paths written since: their summaries are out of date
    int kernel;      // the file that the image will carry
    json_t *linked;  // what config.json says of a linked program, or NULL (linked.c)
    bool quiet;
};
int draft_begin(struct draft *d, bool quiet, struct err *e);
// Fills an empty draft with a stored image.
int draft_base(struct draft *d, const char *name, struct err *e);
// Rewrites ELF files, makes the EROFS file, adds the kernel, stores it all under `ref`.
int draft_finish(struct draft *d, const char *ref, struct store_image *image, struct err *e);
void draft_end(struct draft *d);
void draft_touch(struct draft *d, const char *path);
__attribute__((format(printf, 2, 3))) void draft_say(const struct draft *d, const char *fmt, ...);

// What maintainer scripts would have made and programs need when they run.
int fixup_root(struct draft *d, struct err *e);
// The same for a tree of Debian packages, before and after they are unpacked.
int fixup_merged_usr(struct draft *d, struct err *e);
int fixup_debian(struct draft *d, struct err *e);

// If the configured program is linked with the kernel (link mode), it becomes the image's kernel.
int linked_take(struct draft *d, struct err *e);

// The commands of lith-image; argv begins with the command's name.
int cmd_images(int argc, char *argv[]);
int cmd_info(int argc, char *argv[]);
int cmd_inspect(int argc, char *argv[]);
int cmd_rmi(int argc, char *argv[]);
int cmd_tag(int argc, char *argv[]);

int import_deb(struct draft *d, const char *packages, struct err *e);
int import_oci(struct draft *d, const char *dir, struct err *e);

// {"users": {name: [uid, gid, home]}, "groups": {name: gid}} of the tree.
int users_read(const struct tree *t, json_t **users, struct err *e);
// COPY and ADD. `spec` words: sources, destination last.
struct copy {
    struct draft *draft;
    int context;                  // folder
    const struct strings *ignore; // lines of .dockerignore, prepared
    bool add;                     // ADD: archives are unpacked
    bool has_owner, has_mode;
    uid_t uid;
    gid_t gid;
    mode_t mode;
    const char *workdir;
};
int copy_run(const struct copy *c, const struct strings *words, struct err *e);
int ignore_read(int context, struct strings *patterns, struct err *e);
bool ignore_match(const struct strings *patterns, const char *path);

#endif
