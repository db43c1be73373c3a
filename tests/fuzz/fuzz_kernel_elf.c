// SPDX-License-Identifier: ISC
// links: host/monitor/kernel_elf.c
// The kernel loader against any file: parse, place the segments as boot.c does, link.
#include <stdlib.h>
#include <string.h>
#include "monitor/monitor.h"

#define IMAGE_LIMIT (1u << 20) // larger images are parsed but not placed: time, not coverage

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct kernel_image image;
    const char *why = NULL;
    size_t header_len = len < KERNEL_HEADER_BYTES ? len : KERNEL_HEADER_BYTES;
    if (kernel_elf_parse(data, header_len, len, &image, &why) != 0) {
        if (!why)
            abort();
        return 0;
    }
    uint64_t end = 0;
    for (unsigned i = 0; i < image.count; i++) {
        const struct kernel_segment *s = &image.segment[i];
        if (s->offset < end || s->offset % PAGE_SIZE || s->mem_len < s->file_len ||
            s->file_offset % PAGE_SIZE || s->file_offset + s->file_len > len ||
            (s->write && s->exec))
            abort();
        end = s->offset + s->mem_len;
        if (end > image.len)
            abort();
    }
    if (image.len > IMAGE_LIMIT)
        return 0;
    uint8_t *mem = calloc(1, image.len);
    for (unsigned i = 0; i < image.count; i++) {
        const struct kernel_segment *s = &image.segment[i];
        memcpy(mem + s->offset, data + s->file_offset, s->file_len);
    }
    if (kernel_elf_link(&image, mem, 0x7c0000200000ull, &why) != 0 && !why)
        abort();
    free(mem);
    return 0;
}
