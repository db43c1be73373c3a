// SPDX-License-Identifier: ISC
// `lith rmi` and `lith tag`: names of images, and their end.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "image/private.h"

int cmd_rmi(int argc, char *argv[])
{
    int first = 1;
    while (first < argc && (strcmp(argv[first], "-f") == 0 || strcmp(argv[first], "--force") == 0))
        first++; // running instances keep the files that they have open: force changes nothing
    if (first < argc && argv[first][0] == '-')
        return tool_usage("rmi", "rmi: bad option %s", argv[first]);
    if (first >= argc)
        return tool_usage("rmi", "rmi needs the name of an image");
    struct store s;
    struct err e;
    int status = 0, r = store_open(&s, false, &e);
    if (r == 0)
        r = store_lock(&s, &e);
    if (r < 0)
        return tool_fail(&e);
    for (int i = first; i < argc; i++) {
        struct store_image image;
        bool deleted = false;
        r = store_find(&s, argv[i], &image, &e);
        if (r == -EBADMSG) // a damaged image must be removable too
            r = store_untag_damaged(&s, argv[i], &image, &e);
        else if (r == 0)
            r = store_untag(&s, &image, &deleted, &e);
        if (r < 0) {
            status = tool_fail(&e);
            continue;
        }
        printf("Untagged: %s\n", image.ref);
        if (deleted)
            printf("Deleted: %s\n", image.config);
    }
    store_close(&s);
    return status;
}

int cmd_tag(int argc, char *argv[])
{
    if (argc != 3)
        return tool_usage("tag", "tag needs an image and a new name");
    struct store s;
    struct store_image image;
    struct err e;
    char ref[STORE_REF_MAX];
    int r = ref_parse(argv[2], ref, &e);
    if (r == 0)
        r = store_open(&s, false, &e);
    if (r < 0)
        return tool_fail(&e);
    r = store_lock(&s, &e);
    if (r == 0)
        r = store_find(&s, argv[1], &image, &e);
    if (r == 0)
        r = store_retag(&s, &image, ref, &e);
    store_close(&s);
    return r < 0 ? tool_fail(&e) : 0;
}
