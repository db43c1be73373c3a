// SPDX-License-Identifier: ISC
// `lith size`: the command line.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "size/size.h"

#define PROGRAM_MAX (1u << 30)

static int show(const struct model *m, const char *program, bool json, const char *why,
                const char *svg, struct err *e)
{
    struct buf out = {0};
    int r = 0;
    if (svg != NULL) {
        struct buf picture = {0};
        report_svg(m, program, &picture);
        r = file_write_atomic(AT_FDCWD, svg, picture.data, picture.len);
        buf_free(&picture);
        if (r < 0)
            return err_sys(e, r, "cannot write %s", svg);
    }
    if (why != NULL)
        r = report_why(m, why, &out, e);
    else if (json)
        r = report_json(m, program, &out);
    else
        report_text(m, program, &out);
    if (r == 0)
        fputs(out.data, stdout);
    buf_free(&out);
    return r;
}

int cmd_size(int argc, char *argv[])
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"svg", required_argument, NULL, 's'},
                                            {"why", required_argument, NULL, 'w'},
                                            {0}};
    const char *svg = NULL, *why = NULL;
    bool json = false;
    int opt;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        if (opt == 'j')
            json = true;
        else if (opt == 's')
            svg = optarg;
        else if (opt == 'w')
            why = optarg;
        else if (opt == ':')
            return tool_usage("size", "size: %s needs a value", tool_option(argc, argv));
        else
            return tool_usage("size", "size: bad option %s", tool_option(argc, argv));
    }
    if (optind + 1 != argc)
        return tool_usage("size", "size needs a program that lith-cc has linked");
    const char *program = argv[optind];
    struct model m;
    struct err e, why_not;
    char *data;
    size_t len;
    int r = file_read(AT_FDCWD, program, PROGRAM_MAX, &data, &len);
    if (r < 0) {
        err_sys(&e, r, "cannot read the program %s", program);
        return tool_fail(&e);
    }
    r = model_open(&m, data, len, &why_not);
    if (r < 0) {
        err_set(&e, r, "%.200s: %.700s", program, why_not.text);
    } else {
        r = show(&m, program, json, why, svg, &e);
        model_close(&m);
    }
    free(data);
    return r < 0 ? tool_fail(&e) : 0;
}
