// SPDX-License-Identifier: ISC
// rewrite_file [-v] IN OUT: passes one file through rewrite_elf() and prints what was found. For
// tests; images get their files rewritten by `lith import` and `lith build`.
#include "image/rewrite/rewrite.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint8_t *read_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    *len = 0;
    for (size_t room = 0; file && !feof(file) && !ferror(file);) {
        if (*len == room) {
            room = room ? 2 * room : 1 << 20;
            data = realloc(data, room);
            if (!data)
                break;
        }
        *len += fread(data + *len, 1, room - *len, file);
    }
    if (!file || !data || ferror(file)) {
        perror(path);
        exit(1);
    }
    fclose(file);
    return data;
}

int main(int argc, char **argv)
{
    bool all = argc == 4 && !strcmp(argv[1], "-v");
    if (argc != 3 && !all) {
        fprintf(stderr, "usage: rewrite_file [-v] IN OUT\n");
        return 2;
    }
    const char *from = argv[argc - 2], *to = argv[argc - 1];
    size_t len, out_len;
    uint8_t *data = read_file(from, &len), *out;
    struct rewrite_report report;
    enum rewrite_result result = rewrite_elf(data, len, 0, &out, &out_len, &report);
    if (result > REWRITE_CHANGED)
        fprintf(stderr, "%s: %s\n", from, rewrite_result_text(result));
    else if (report.found || all)
        rewrite_report_print(stdout, from, &report, all);
    FILE *file = fopen(to, "wb");
    if (!file || fwrite(out ? out : data, 1, out ? out_len : len, file) != (out ? out_len : len) ||
        fclose(file)) {
        perror(to);
        return 1;
    }
    size_t raw = report.forms[REWRITE_FORM_RAW];
    rewrite_report_free(&report);
    free(out);
    free(data);
    return result > REWRITE_CHANGED ? 1 : raw ? 3 : 0;
}
