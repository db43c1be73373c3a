// SPDX-License-Identifier: ISC
// `lith-build`: the verbs that make images (build, import). A program of its own, because what they
// need (libarchive, Zydis and their libraries) takes 6 ms to load, which `lith run` must not pay.
// `lith` runs it; people do not.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/image.h"

#define EXIT_TOOL 125

static int fail(const struct err *e)
{
    fprintf(stderr, "lith: %s\n", e->text);
    return EXIT_TOOL;
}

static int usage(const char *verb, const char *what)
{
    fprintf(stderr, "lith: %s\nSee `lith help %s`.\n", what, verb);
    return EXIT_TOOL;
}

static int report(const struct store_image *image, bool quiet)
{
    if (quiet)
        printf("%s\n", image->config);
    else
        printf("Successfully built %.12s\nSuccessfully tagged %s\n", image->config + 7, image->ref);
    return 0;
}

static int main_build(int argc, char *argv[])
{
    static const struct option options[] = {
        {"tag", required_argument, NULL, 't'},
        {"file", required_argument, NULL, 'f'},
        {"build-arg", required_argument, NULL, 'b'},
        {"quiet", no_argument, NULL, 'q'},
        {0},
    };
    struct build_options o = {0};
    struct strings args = {0}; // borrowed words, never freed
    char ref[STORE_REF_MAX] = "";
    struct err e;
    int opt;
    while ((opt = getopt_long(argc, argv, "t:f:q", options, NULL)) != -1) {
        switch (opt) {
        case 't':
            if (ref_parse(optarg, ref, &e) < 0)
                return fail(&e);
            break;
        case 'f':
            o.file = optarg;
            break;
        case 'b':
            strings_add(&args, optarg);
            break;
        case 'q':
            o.quiet = true;
            break;
        default:
            return usage("build", "build: bad option");
        }
    }
    if (ref[0] == 0)
        return usage("build", "build needs a name: -t NAME");
    if (optind + 1 != argc)
        return usage("build", "build needs exactly one folder, the build context");
    o.ref = ref;
    o.context = argv[optind];
    o.args = (const char *const *)args.v;
    o.nargs = args.n;
    struct store_image image;
    if (image_build(&o, &image, &e) < 0)
        return fail(&e);
    return report(&image, o.quiet);
}

static int main_import(int argc, char *argv[])
{
    static const struct option options[] = {{"quiet", no_argument, NULL, 'q'}, {0}};
    char ref[STORE_REF_MAX];
    bool quiet = false;
    struct err e;
    int opt;
    while ((opt = getopt_long(argc, argv, "q", options, NULL)) != -1) {
        if (opt != 'q')
            return usage("import", "import: bad option");
        quiet = true;
    }
    if (optind + 2 != argc)
        return usage("import", "import needs a source and a name");
    struct store_image image;
    if (ref_parse(argv[optind + 1], ref, &e) < 0 ||
        image_import(argv[optind], ref, quiet, &image, &e) < 0)
        return fail(&e);
    return report(&image, quiet);
}

int main(int argc, char *argv[])
{
    if (argc >= 2 && strcmp(argv[1], "build") == 0)
        return main_build(argc - 1, argv + 1);
    if (argc >= 2 && strcmp(argv[1], "import") == 0)
        return main_import(argc - 1, argv + 1);
    fprintf(stderr, "lith-build is run by `lith build` and `lith import`\n");
    return EXIT_TOOL;
}
