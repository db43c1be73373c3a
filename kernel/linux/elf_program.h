// SPDX-License-Identifier: ISC
// Reading an ELF program's headers: checked facts, nothing mapped yet. Pure: no kernel state,
// fuzzed by tests/fuzz/fuzz_elf.c. Standard: System V ABI, AMD64 supplement; limits as Linux's
// loader.
#ifndef LITH_LINUX_ELF_PROGRAM_H
#define LITH_LINUX_ELF_PROGRAM_H

#include "lib/lib.h"

#define ELF_SEGMENTS_MAX 32            // PT_LOADs; Debian's programs have 4 or 5
#define ELF_PHDRS_MAX    128           // program headers; Linux takes a page of them, 73
#define ELF_INTERP_MAX   256           // bytes of the interpreter's path, NUL included
#define ELF_ALIGN_MAX    0x40000000ull // 1 GiB: a larger alignment would only waste address space

struct elf_segment {
    uint64_t vaddr, memsz; // as the file says, not aligned
    uint64_t offset, filesz;
    bool read, write, exec;
};

struct elf_program {
    bool dynamic_base;   // ET_DYN: may be put anywhere
    uint64_t entry;      // virtual address before the base is added
    uint64_t phdr_vaddr; // of the program headers in memory; 0: not loaded
    unsigned phnum;
    unsigned segment_count; // in ascending order of vaddr, pages of one do not reach into the next
    struct elf_segment segment[ELF_SEGMENTS_MAX];
    uint64_t start, end;         // page-aligned span of all segments
    uint64_t align;              // of the base: power of two, at least a page
    bool exec_stack;             // PT_GNU_STACK asks for it
    char interp[ELF_INTERP_MAX]; // "" : none
};

// Reads `n` bytes at `off` of the file into buf: bytes read (short at the end) or -errno.
typedef ssize_t_k (*elf_read_fn)(void *ctx, void *buf, size_t n, uint64_t off);

// 0, -ENOEXEC with *reason saying in words what is wrong, or the reader's error.
int elf_parse(elf_read_fn read, void *ctx, struct elf_program *out, const char **reason);

#endif
