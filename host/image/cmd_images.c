// SPDX-License-Identifier: ISC
// `lith images`: the store's content in docker's columns.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/private.h"

static void format_age(int64_t seconds, char out[32])
{
    static const struct {
        int64_t length;
        const char *name;
    } units[] = {{365 * 86400, "year"}, {30 * 86400, "month"}, {7 * 86400, "week"}, {86400, "day"},
                 {3600, "hour"},        {60, "minute"},        {1, "second"}};
    snprintf(out, 32, "Just now");
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        int64_t n = seconds / units[i].length;
        if (n > 0) {
            snprintf(out, 32, "%lld %s%s ago", (long long)n, units[i].name, n == 1 ? "" : "s");
            return;
        }
    }
}

// As docker: powers of 1000, three digits.
static void format_size(uint64_t bytes, char out[16])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double v = (double)bytes;
    size_t unit = 0;
    while (v >= 1000 && unit < 4) {
        v /= 1000;
        unit++;
    }
    snprintf(out, 16, "%.3g%s", v, units[unit]);
}

// Splits "NAME:TAG"; an image without a reference is <none>, as in docker.
static void split_ref(const char *ref, char repo[STORE_REF_MAX], const char **tag)
{
    snprintf(repo, STORE_REF_MAX, "%s", ref[0] ? ref : "<none>");
    char *colon = strrchr(repo, ':');
    *tag = "<none>";
    if (colon != NULL && strchr(colon, '/') == NULL) {
        *colon = 0;
        *tag = colon + 1;
    }
}

static void print_image(const struct store_image *image, int repo_width, bool no_trunc)
{
    char age[32] = "N/A", size[16], repo[STORE_REF_MAX];
    const char *tag;
    split_ref(image->ref, repo, &tag);
    if (image->created)
        format_age((int64_t)time(NULL) - image->created, age);
    format_size(image->layer_size, size);
    int id_width = no_trunc ? STORE_DIGEST - 1 : 12;
    printf("%-*s   %-10s   %-*.*s   %-14s   %s\n", repo_width, repo, tag, id_width, id_width,
           no_trunc ? image->config : image->config + 7, age, size);
}

int cmd_images(int argc, char *argv[])
{
    static const struct option options[] = {{"quiet", no_argument, NULL, 'q'},
                                            {"no-trunc", no_argument, NULL, 'n'},
                                            {"all", no_argument, NULL, 'a'},
                                            {0}};
    bool quiet = false, no_trunc = false;
    int opt;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, "qa", options, NULL)) != -1) {
        if (opt == '?')
            return tool_usage("images", "images: bad option %s", tool_option(argc, argv));
        quiet |= opt == 'q';
        no_trunc |= opt == 'n';
    }
    if (argc - optind > 1)
        return tool_usage("images", "images takes one name at most");
    const char *only = optind < argc ? argv[optind] : NULL;
    struct store s;
    struct store_image *list = NULL;
    struct err e;
    size_t n = 0, damaged = 0;
    int r = store_open(&s, false, &e), opened = r == 0;
    if (r == 0)
        r = store_list(&s, &list, &n, &damaged, &e);
    if (r < 0 && (r != -ENOENT || opened))
        return tool_fail(&e);
    char repo[STORE_REF_MAX];
    const char *tag;
    int width = (int)strlen("REPOSITORY");
    for (size_t i = 0; i < n; i++) {
        split_ref(list[i].ref, repo, &tag);
        int len = (int)strlen(repo);
        width = len > width ? len : width;
    }
    if (!quiet)
        printf("%-*s   %-10s   %-*s   %-14s   %s\n", width, "REPOSITORY", "TAG",
               no_trunc ? STORE_DIGEST - 1 : 12, "IMAGE ID", "CREATED", "SIZE");
    for (size_t i = 0; i < n; i++) {
        split_ref(list[i].ref, repo, &tag);
        if (only != NULL && strcmp(list[i].ref, only) != 0 && strcmp(repo, only) != 0)
            continue;
        if (quiet)
            printf("%.*s\n", no_trunc ? STORE_DIGEST - 1 : 12,
                   no_trunc ? list[i].config : list[i].config + 7);
        else
            print_image(&list[i], width, no_trunc);
    }
    if (damaged)
        fprintf(stderr, "lith: warning: %zu damaged image%s in %s not listed\n", damaged,
                damaged == 1 ? "" : "s", s.path);
    free(list);
    if (opened)
        store_close(&s);
    return 0;
}
