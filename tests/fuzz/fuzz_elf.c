// SPDX-License-Identifier: ISC
// The kernel's ELF parser on any bytes: never reads outside the file, and what it accepts can be
// loaded without an overflow.
//
// links: kernel/linux/elf.c
#include <stdlib.h>
#include <string.h>
#include "abi/layout.h"
#include "linux/elf_program.h"

struct bytes {
    const uint8_t *data;
    size_t len;
};

static ssize_t_k read_bytes(void *ctx, void *buf, size_t n, uint64_t off)
{
    const struct bytes *b = ctx;
    if (off > INT64_MAX)
        abort(); // the parser must not ask for a negative offset
    if (off >= b->len)
        return 0;
    if (n > b->len - off)
        n = b->len - off;
    memcpy(buf, b->data + off, n);
    return (ssize_t_k)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct bytes b = {data, len};
    struct elf_program p;
    const char *reason;
    if (elf_parse(read_bytes, &b, &p, &reason))
        return 0;
    uint64_t at = p.start;
    if (p.end > LITH_USER_END || p.segment_count == 0 || (p.align & (p.align - 1)))
        abort();
    for (unsigned i = 0; i < p.segment_count; i++) {
        const struct elf_segment *s = &p.segment[i];
        if (s->vaddr < at || s->filesz > s->memsz || s->vaddr + s->memsz > p.end ||
            s->offset + s->filesz > INT64_MAX || (s->vaddr - s->offset) % 4096)
            abort();
        at = (s->vaddr + s->memsz + 4095) & ~4095ull;
    }
    if (memchr(p.interp, 0, sizeof(p.interp)) == NULL)
        abort();
    return 0;
}
