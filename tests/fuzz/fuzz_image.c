// SPDX-License-Identifier: ISC
// Hostile images: a layer's bytes, a configuration, a reference. The digest is made right, so that
// the checks behind it are reached.
// links: host/store/store.c host/store/index.c host/store/layer.c
// links: host/store/config.c host/store/launch.c host/store/reference.c
// links: host/common/bootconfig.c
// links: host/common/error.c host/common/file.c host/common/parse.c -ljansson -lcrypto
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/lith-fuzz-XXXXXX";

static void remove_dir(void)
{
    remove_all(AT_FDCWD, dir);
}

static void try_layer(const uint8_t *data, size_t size)
{
    static int dirfd = -1, fd = -1;
    struct sha256 h;
    char digest[STORE_DIGEST];
    struct err e = {""};
    if (dirfd < 0) {
        if (mkdtemp(dir) == NULL)
            abort();
        dirfd = open(dir, O_RDONLY | O_DIRECTORY);
        fd = memfd_create("layer", 0);
        atexit(remove_dir);
    }
    if (ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    lseek(fd, 0, SEEK_SET);
    sha256_init(&h);
    sha256_add(&h, data, size);
    sha256_digest(&h, digest);
    if (layer_unpack(fd, digest, dirfd, &e) < 0 && e.text[0] == 0)
        abort();
    remove_all(dirfd, "lith");
}

static void try_config(const char *text, size_t size)
{
    static const char *const lists[] = {"Env", "Cmd", "Entrypoint"};
    struct err e = {""};
    json_t *config = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL), *list;
    for (int i = 0; i < 3; i++)
        config_strings(json_object_get(config, "config"), lists[i], &list, &e);
    uint32_t uid, gid;
    const char *home;
    config_resolve_user(config, "www:g", &uid, &gid, &home, &e);
    config_resolve_user(config, "33", &uid, &gid, &home, &e);
    json_decref(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), ref[STORE_REF_MAX];
    memcpy(text, data, size);
    text[size] = 0;
    if (ref_parse(text, ref, NULL) == 0 && strlen(ref) >= STORE_REF_MAX)
        abort();
    digest_valid(text);
    try_config(text, size);
    free(text);
    try_layer(data, size);
    return 0;
}
