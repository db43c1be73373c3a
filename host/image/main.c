// SPDX-License-Identifier: ISC
// `lith-image`: all commands of `lith` but `run`. A program of its own, because what they need
// (libarchive, Zydis, JSON and their libraries) takes 8 ms to load, which `lith run` must not pay.
// `lith` runs it; people do not. `resolve` tells `lith run` what to run.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/private.h"
#include "size/size.h"

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
    opterr = 0;
    while ((opt = getopt_long(argc, argv, ":t:f:q", options, NULL)) != -1) {
        switch (opt) {
        case 't':
            if (ref_parse(optarg, ref, &e) < 0)
                return tool_fail(&e);
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
        case ':':
            return tool_usage("build", "build: %s needs a value", tool_option(argc, argv));
        default:
            return tool_usage("build", "build: bad option %s", tool_option(argc, argv));
        }
    }
    if (ref[0] == 0)
        return tool_usage("build", "build needs a name: -t NAME");
    if (optind + 1 != argc)
        return tool_usage("build", "build needs exactly one folder, the build context");
    o.ref = ref;
    o.context = argv[optind];
    o.args = (const char *const *)args.v;
    o.nargs = args.n;
    struct store_image image;
    if (image_build(&o, &image, &e) < 0)
        return tool_fail(&e);
    return report(&image, o.quiet);
}

static int main_import(int argc, char *argv[])
{
    static const struct option options[] = {{"quiet", no_argument, NULL, 'q'}, {0}};
    char ref[STORE_REF_MAX];
    bool quiet = false;
    struct err e;
    int opt;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, "q", options, NULL)) != -1) {
        if (opt != 'q')
            return tool_usage("import", "import: bad option %s", tool_option(argc, argv));
        quiet = true;
    }
    if (optind + 2 != argc)
        return tool_usage("import", "import needs a source and a name");
    struct store_image image;
    if (ref_parse(argv[optind + 1], ref, &e) < 0 ||
        image_import(argv[optind], ref, quiet, &image, &e) < 0)
        return tool_fail(&e);
    return report(&image, quiet);
}

// resolve [-u USER] IMAGE: prints the image's launch text (store/store.h).
static int main_resolve(int argc, char *argv[])
{
    const char *user = NULL;
    int opt;
    while ((opt = getopt(argc, argv, "u:")) != -1)
        if (opt == 'u')
            user = optarg;
    if (optind + 1 != argc)
        return EXIT_TOOL;
    struct store s;
    struct store_image image;
    struct buf text = {0};
    struct err e, why;
    int r = store_open(&s, false, &why);
    if (r == -ENOENT)
        r = err_set(&e, r, "No such image: %.200s; %.600s", argv[optind], why.text);
    else if (r < 0)
        e = why;
    else {
        r = store_find(&s, argv[optind], &image, &e);
        if (r == 0)
            r = store_launch_text(&s, &image, user, &text, &e);
        if (r == 0 && user == NULL)
            store_launch_cache(&s, &image, &text);
        store_close(&s);
    }
    if (r == 0)
        fputs(text.data, stdout);
    buf_free(&text);
    return r < 0 ? tool_fail(&e) : 0;
}

int main(int argc, char *argv[])
{
    std_fds();
    static const struct {
        const char *name;
        int (*run)(int argc, char *argv[]);
    } verbs[] = {{"build", main_build}, {"images", cmd_images},   {"import", main_import},
                 {"info", cmd_info},    {"inspect", cmd_inspect}, {"resolve", main_resolve},
                 {"rmi", cmd_rmi},      {"size", cmd_size},       {"symbolize", cmd_symbolize},
                 {"tag", cmd_tag}};
    for (size_t i = 0; argc >= 2 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(argv[1], verbs[i].name) != 0)
            continue;
        int status = verbs[i].run(argc - 1, argv + 1);
        if (fflush(stdout) != 0 || ferror(stdout)) {
            fprintf(stderr, "lith: cannot write to standard output: %s\n", strerror(errno));
            return EXIT_TOOL;
        }
        return status;
    }
    fprintf(stderr, "lith-image is run by `lith`\n");
    return EXIT_TOOL;
}
