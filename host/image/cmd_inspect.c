// SPDX-License-Identifier: ISC
// `lith inspect`: an image's details as docker's JSON list, or what became of its system calls.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/boot.h"
#include "image/private.h"
#include "image/rewrite/rewrite.h"

static int inspect_calls(const char *dir, struct err *e)
{
    char *path = xasprintf("%s/calls.json", dir), *text = NULL;
    size_t len;
    json_t *calls = NULL;
    json_error_t je;
    int r = file_read(AT_FDCWD, path, STORE_JSON_MAX, &text, &len);
    if (r < 0)
        err_sys(e, r, "cannot read %s", path);
    else if ((calls = json_loadb(text, len, 0, &je)) == NULL ||
             rewrite_summary_print(stdout, calls) < 0)
        r = err_set(e, -EBADMSG, "the image is damaged: %s is not a report of system calls", path);
    json_decref(calls);
    free(text);
    free(path);
    return r;
}

// What a linked program can use; NULL for images that bring the ordinary kernel.
static json_t *inspect_linked(json_t *full)
{
    json_t *linked = json_object_get(full, "linked");
    json_int_t flags = json_integer_value(json_object_get(linked, "flags"));
    if (!linked)
        return NULL;
    return json_pack("{s:s, s:O?, s:b, s:b}", "Kind", "linked program", "Path",
                     json_object_get(linked, "program"), "Files", flags & LITH_PROGRAM_FILES,
                     "Network", (flags & LITH_PROGRAM_NETWORK) != 0);
}

static json_t *inspect_image(const struct store_image *image, const char *dir, json_t *full)
{
    char created[32] = "";
    struct tm tm;
    time_t t = (time_t)image->created;
    strftime(created, sizeof(created), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
    return json_pack(
        "{s:s, s:[s], s:s, s:s, s:s, s:I, s:O, s:{s:s, s:[s]}, s:{s:s, s:s, s:O?, s:o*}}", "Id",
        image->config, "RepoTags", image->ref, "Created", created, "Architecture", "amd64", "Os",
        "linux", "Size", (json_int_t)image->layer_size, "Config", json_object_get(full, "config"),
        "RootFS", "Type", "layers", "Layers", image->layer, "Lith", "Manifest", image->manifest,
        "Files", dir, "Sizes", json_object_get(full, "files"), "Program", inspect_linked(full));
}

int cmd_inspect(int argc, char *argv[])
{
    bool calls = false;
    int first = 1;
    for (; first < argc && argv[first][0] == '-'; first++) {
        if (strcmp(argv[first], "--calls") != 0)
            return tool_usage("inspect", "inspect: bad option %s", argv[first]);
        calls = true;
    }
    if (first >= argc)
        return tool_usage("inspect", "inspect needs the name of an image");
    struct store s;
    struct err e;
    if (store_open(&s, false, &e) < 0)
        return tool_fail(&e);
    json_t *list = json_array();
    int status = 0;
    for (int i = first; i < argc; i++) {
        struct store_image image;
        char *dir = NULL;
        json_t *full = NULL;
        int r = store_find(&s, argv[i], &image, &e);
        if (r == 0)
            r = store_unpacked(&s, &image, &dir, &e);
        if (r == 0)
            r = calls ? inspect_calls(dir, &e) : store_read_config(dir, &full, &e);
        if (r < 0)
            status = tool_fail(&e);
        else if (!calls)
            json_array_append_new(list, inspect_image(&image, dir, full));
        json_decref(full);
        free(dir);
    }
    if (!calls) {
        json_dumpf(list, stdout, JSON_INDENT(4) | JSON_ENSURE_ASCII);
        putchar('\n');
    }
    json_decref(list);
    store_close(&s);
    return status;
}
