// SPDX-License-Identifier: ISC
// links: host/size/elf.c host/size/map.c host/size/graph.c host/size/report.c
// links: host/size/treemap.c host/size/symbolize.c host/common/error.c host/common/file.c
// links: host/common/tool.c host/common/program.c host/common/linked.c -ljansson -lm
// `lith size`, `lith symbolize` and the probe of `lith run ./program` against any file. Input that
// begins with 'P' is patches {offset 16, value 16} to a good file, with 'T' a link map for it, with
// 'L' a report's line; other input is the file.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "size/size.h"
#include "tests/unit/size_file.h"

static void probe(const uint8_t *data, size_t len)
{
    static int fd = -1;
    uint32_t flags;
    if (fd < 0)
        fd = memfd_create("fuzz", 0);
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data, len, 0) != (ssize_t)len)
        return;
    linked_probe(fd, &flags);
}

static int reports(const uint8_t *data, size_t len)
{
    struct model m;
    struct err e = {""};
    struct buf out = {0};
    uint8_t *exact = malloc(len ? len : 1); // so that ASan sees a byte too far
    memcpy(exact, data, len);
    int r = model_open(&m, exact, len, &e);
    if (r < 0 && e.text[0] == 0)
        abort();
    if (r == 0) {
        for (unsigned i = 0; i < m.piece_count; i++)
            if (m.pieces[i].parent == -2)
                abort(); // everything hangs on something
        report_text(&m, "p", &out);
        report_json(&m, "p", &out);
        report_svg(&m, "p", &out);
        report_why(&m, "printf", &out, &e);
        report_why(&m, "fs", &out, &e);
        model_close(&m);
    }
    buf_free(&out);
    free(exact);
    return r;
}

static void line(const char *text)
{
    static uint8_t file[SIZE_LEN];
    struct elf elf;
    struct err e;
    struct buf out = {0};
    uint64_t base = 0;
    size_file(file, size_map, sizeof(size_map) - 1);
    if (exe_open(&elf, file, sizeof(file), &e) != 0)
        abort();
    symbolize_line(&elf, text, &base, NULL, NULL, &out);
    buf_free(&out);
    exe_close(&elf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t file[SIZE_LEN];
    if (len > 0 && data[0] == 'L') {
        char *text = strndup((const char *)data + 1, len - 1);
        line(text);
        free(text);
    } else if (len > 0 && data[0] == 'T') {
        size_t n = len - 1 < SIZE_MAP_MAX ? len - 1 : SIZE_MAP_MAX;
        size_file(file, (const char *)data + 1, n);
        reports(file, sizeof(file));
    } else if (len > 0 && data[0] == 'P') {
        size_file(file, size_map, sizeof(size_map) - 1);
        for (size_t i = 1; i + 4 <= len; i += 4)
            memcpy(file + (size_t)(data[i] | data[i + 1] << 8) % (SIZE_LEN - 1), data + i + 2, 2);
        if (reports(file, sizeof(file)) != 0 && len < 5)
            abort(); // the good file must be read
        probe(file, sizeof(file));
    } else {
        reports(data, len);
        probe(data, len);
    }
    return 0;
}
