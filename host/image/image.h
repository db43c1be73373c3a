// SPDX-License-Identifier: ISC
// Makes images: a root file system from Debian packages, from an archive or from a Dockerfile;
// every ELF file in it rewritten (image/rewrite/rewrite.h); the whole as EROFS with a kernel, in
// the store. Functions return 0 or -errno with the error text set. Progress goes to stderr.
#ifndef LITH_HOST_IMAGE_IMAGE_H
#define LITH_HOST_IMAGE_IMAGE_H

#include "image/dockerfile.h"
#include "image/tree.h"
#include "store/store.h"

struct build_options {
    const char *context;     // folder
    const char *file;        // Dockerfile; NULL: context/Dockerfile
    const char *ref;         // parsed reference
    const char *const *args; // NAME=VALUE or NAME (value from our environment)
    size_t nargs;
    bool quiet;
};
int image_build(const struct build_options *o, struct store_image *image, struct err *e);

// `source`: deb:PKG[,PKG...], oci:DIR[:REF], or a tar file of a root file system.
int image_import(const char *source, const char *ref, bool quiet, struct store_image *image,
                 struct err *e);

#endif
