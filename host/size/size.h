// SPDX-License-Identifier: ISC
// What a linked program is made of: `lith size` and `lith symbolize`, from the unstripped ELF
// alone. lith-cc leaves in it the symbols, the relocations and the link map (cc/cc.h, SECTION_MAP).
//
// elf.c reads the file, map.c finds the pieces (input sections) and where they came from, graph.c
// who refers to whom. Files are hostile: nothing here trusts an offset, a count or a name.
#ifndef LITH_HOST_SIZE_SIZE_H
#define LITH_HOST_SIZE_SIZE_H

#include <elf.h>

#include "common/common.h"

// --- the file (elf.c) ------------------------------------------------------------------------

struct section {
    const char *name;
    Elf64_Shdr sh;
};

struct symbol {
    const char *name; // with "__lith_" taken off
    uint64_t value, size;
    uint8_t type, bind;
    uint16_t section;
};

struct elf {
    const uint8_t *data; // borrowed
    size_t len;
    Elf64_Ehdr eh;
    struct section *sections;
    unsigned section_count;
    Elf64_Phdr *loads; // PT_LOAD only
    unsigned load_count;
    struct symbol *symbols; // by number, as relocations name them
    size_t symbol_count;
};

// The strings stay in `data`. -EBADMSG with the reason in *e.
int exe_open(struct elf *elf, const void *data, size_t len, struct err *e);
void exe_close(struct elf *elf);
const struct section *exe_section(const struct elf *elf, const char *name);
// The section's bytes in the file; NULL (and 0) if it has none or they are not all there.
const uint8_t *exe_bytes(const struct elf *elf, const struct section *s, size_t *len);

// --- pieces (map.c) --------------------------------------------------------------------------

enum kind { KIND_TEXT, KIND_RODATA, KIND_DATA, KIND_BSS, KINDS };
enum group { GROUP_KERNEL, GROUP_LIBC, GROUP_CXX, GROUP_PROGRAM, GROUP_ARCHIVE, GROUP_LINKER };

struct library {
    char *name;
    enum group group;
    uint64_t bytes[KINDS];
    int first; // the piece by which it was reached first, or -1
};

struct object { // one object file of a library
    char *name;
    unsigned library;
    uint64_t bytes[KINDS];
};

struct piece {
    uint64_t addr, size;
    const char *section; // owned by the model's text
    const char *name;    // the symbol that stands for it, or the section
    unsigned object;
    enum kind kind;
    // Who pulled it in (graph.c): a piece, -1 for a root, or -2 when it was never looked at.
    int parent;
    bool attached; // a record that the linker keeps for its parent, which it refers to
};

struct model {
    struct elf elf;
    char *text; // the link map
    struct library *libraries;
    unsigned library_count;
    struct object *objects;
    unsigned object_count;
    struct piece *pieces; // ascending addresses
    unsigned piece_count;
    struct edge *edges; // references, by piece that refers
    size_t edge_count;
    uint64_t file_bytes, stripped_bytes, memory_bytes, load_address;
    uint64_t padding; // bytes of the file that belong to no piece
};

struct edge {
    unsigned from, to;
};

int model_open(struct model *m, const void *data, size_t len, struct err *e);
void model_close(struct model *m);
// The piece at an address, or -1.
int model_piece(const struct model *m, uint64_t addr);
void graph_build(struct model *m);

static inline uint64_t bytes_total(const uint64_t bytes[KINDS])
{
    return bytes[KIND_TEXT] + bytes[KIND_RODATA] + bytes[KIND_DATA] + bytes[KIND_BSS];
}
static inline uint64_t bytes_file(const uint64_t bytes[KINDS])
{
    return bytes[KIND_TEXT] + bytes[KIND_RODATA] + bytes[KIND_DATA];
}

// --- what is shown (report.c, treemap.c) -----------------------------------------------------

void report_text(const struct model *m, const char *program, struct buf *out);
int report_json(const struct model *m, const char *program, struct buf *out);
// Why a symbol or a library is there. -ENOENT with *e set.
int report_why(const struct model *m, const char *what, struct buf *out, struct err *e);
void report_svg(const struct model *m, const char *program, struct buf *out);

// --- addresses (symbolize.c) -----------------------------------------------------------------

// "name+0xOFF" of the function at `offset` from the image's start; false if there is none.
bool symbol_at(const struct elf *elf, uint64_t addr, const char **name, uint64_t *offset);
// One line of a report with its addresses replaced; *base is where the image was loaded, 0 if not
// known yet (a line may say it). `add_more` (or NULL) adds what is known of a link address.
void symbolize_line(const struct elf *elf, const char *line, uint64_t *base,
                    void (*add_more)(void *context, uint64_t link, struct buf *out), void *context,
                    struct buf *out);

int cmd_size(int argc, char *argv[]);
int cmd_symbolize(int argc, char *argv[]);

#endif
