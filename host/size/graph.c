// SPDX-License-Identifier: ISC
// Who pulled a piece in. References are the relocations that the linker left in the file; roots are
// the program's main and the machine's entry. Breadth first, so that each piece's chain of parents
// is a shortest one.
//
// Some pieces nobody refers to: start-up records and tables, which the linker keeps together with
// the code that they belong to (SHF_LINK_ORDER) and which refer to that code; and what the linker
// script keeps in any case. The former hang on the code that they refer to, the latter are roots.
#include <stdlib.h>
#include <string.h>

#include "size/size.h"

// --- names -----------------------------------------------------------------------------------

// Of several symbols in one piece the best stands for it: functions and objects before labels,
// global before local ones, the first.
static unsigned rank(const struct symbol *s)
{
    bool typed = s->type == STT_FUNC || s->type == STT_OBJECT || s->type == STT_GNU_IFUNC ||
                 s->type == STT_TLS;
    return (typed ? 2u : 0u) + (s->bind == STB_LOCAL ? 0u : 1u) + 1u;
}

static void name_pieces(struct model *m)
{
    unsigned *best = xcalloc(m->piece_count, sizeof(*best));
    uint64_t *at = xcalloc(m->piece_count, sizeof(*at));
    for (size_t i = 0; i < m->elf.symbol_count; i++) {
        const struct symbol *s = &m->elf.symbols[i];
        if (s->type == STT_SECTION || s->type == STT_FILE || s->section == SHN_UNDEF ||
            s->section >= SHN_LORESERVE || *s->name == 0 || strncmp(s->name, ".L", 2) == 0)
            continue;
        int p = model_piece(m, s->value);
        if (p < 0)
            continue;
        unsigned r = rank(s);
        if (r > best[p] || (r == best[p] && s->value < at[p])) {
            best[p] = r;
            at[p] = s->value;
            m->pieces[p].name = s->name;
        }
    }
    free(best);
    free(at);
}

// --- references ------------------------------------------------------------------------------

// The piece that a relocation in `from` refers to, or -1. A local symbol is a section's symbol and
// an offset here, and instructions count offsets from their own end, which we do not know: behind
// the field there may be an immediate operand. But local symbols lie in the same object.
static int target_of(const struct model *m, int from, const struct symbol *s,
                     const Elf64_Rela *rela)
{
    static const int ends[] = {0, 1, 2, 4, -1}; // -1: a label behind the last byte (a stack's top)
    if (s->type != STT_SECTION && s->type != STT_NOTYPE)
        return model_piece(m, s->value);
    bool absolute = true, label = s->type == STT_NOTYPE;
    uint64_t at = s->value + (label ? 0 : (uint64_t)rela->r_addend);
    switch (label ? R_X86_64_64 : ELF64_R_TYPE(rela->r_info)) {
    case R_X86_64_PC32:
    case R_X86_64_PLT32:
    case R_X86_64_GOTPCREL:
    case R_X86_64_GOTPCRELX:
    case R_X86_64_REX_GOTPCRELX:
        at += 4;
        absolute = false;
        break;
    }
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (absolute && ends[i] > 0)
            continue;
        int piece = model_piece(m, at + (uint64_t)(int64_t)ends[i]);
        if (piece >= 0 && m->pieces[piece].object == m->pieces[from].object)
            return piece;
    }
    // Strings that were merged lie elsewhere. A label where a named piece begins ends the one
    // before.
    int piece = model_piece(m, at),
        before = label && s->bind != STB_LOCAL ? model_piece(m, at - 1) : -1;
    if (before >= 0 && piece >= 0 && m->pieces[piece].addr == at &&
        m->pieces[piece].name != s->name)
        return before;
    return piece;
}

static void read_edges(struct model *m, const struct section *s)
{
    size_t len;
    const uint8_t *p = exe_bytes(&m->elf, s, &len);
    size_t count = len / sizeof(Elf64_Rela);
    if (p == NULL || count == 0)
        return;
    m->edges = xrealloc(m->edges, (m->edge_count + count) * sizeof(*m->edges));
    for (size_t i = 0; i < count; i++) {
        Elf64_Rela rela;
        memcpy(&rela, p + i * sizeof(rela), sizeof(rela));
        uint64_t sym = ELF64_R_SYM(rela.r_info);
        if (sym == 0 || sym >= m->elf.symbol_count)
            continue;
        const struct symbol *target = &m->elf.symbols[sym];
        int from = model_piece(m, rela.r_offset);
        int to = from < 0 || target->section == SHN_UNDEF ? -1 : target_of(m, from, target, &rela);
        if (to >= 0 && from != to)
            m->edges[m->edge_count++] = (struct edge){(unsigned)from, (unsigned)to};
    }
}

static int compare_edges(const void *a, const void *b)
{
    const struct edge *x = a, *y = b;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return x->to < y->to ? -1 : x->to > y->to;
}

static void collect_edges(struct model *m)
{
    for (unsigned i = 0; i < m->elf.section_count; i++) {
        const struct section *s = &m->elf.sections[i];
        if (s->sh.sh_type == SHT_RELA && !(s->sh.sh_flags & SHF_ALLOC) &&
            s->sh.sh_info < m->elf.section_count &&
            (m->elf.sections[s->sh.sh_info].sh.sh_flags & SHF_ALLOC))
            read_edges(m, s);
    }
    if (m->edge_count == 0)
        return;
    qsort(m->edges, m->edge_count, sizeof(*m->edges), compare_edges);
    size_t n = 1;
    for (size_t i = 1; i < m->edge_count; i++)
        if (compare_edges(&m->edges[i], &m->edges[n - 1]) != 0)
            m->edges[n++] = m->edges[i];
    m->edge_count = n;
}

// --- the search ------------------------------------------------------------------------------

struct search {
    struct model *m;
    size_t *first; // of a piece's edges; piece_count + 1 entries
    unsigned *queue;
    unsigned head, tail;
};

static void reach(struct search *s, unsigned piece, int parent, bool attached)
{
    struct piece *p = &s->m->pieces[piece];
    struct library *library = &s->m->libraries[s->m->objects[p->object].library];
    if (p->parent != -2)
        return;
    p->parent = parent;
    p->attached = attached;
    if (library->first < 0)
        library->first = (int)piece;
    s->queue[s->tail++] = piece;
}

static void drain(struct search *s)
{
    while (s->head < s->tail) {
        unsigned p = s->queue[s->head++];
        for (size_t i = s->first[p]; i < s->first[p + 1]; i++)
            reach(s, s->m->edges[i].to, (int)p, false);
    }
}

static void root_symbol(struct search *s, const char *name)
{
    for (size_t i = 0; i < s->m->elf.symbol_count; i++) {
        const struct symbol *sym = &s->m->elf.symbols[i];
        if (sym->bind != STB_GLOBAL || sym->section == SHN_UNDEF || strcmp(sym->name, name) != 0)
            continue;
        int p = model_piece(s->m, sym->value);
        if (p >= 0)
            reach(s, (unsigned)p, -1, false);
    }
}

// Records: what is left over and refers to something that is reached, in rounds. True if one was.
static bool attach_records(struct search *s, const bool *referred)
{
    unsigned before = s->tail;
    for (unsigned i = 0; i < s->m->piece_count; i++) {
        if (s->m->pieces[i].parent != -2 || referred[i])
            continue;
        for (size_t k = s->first[i]; k < s->first[i + 1]; k++) {
            if (s->m->pieces[s->m->edges[k].to].parent != -2) {
                reach(s, i, (int)s->m->edges[k].to, true);
                break;
            }
        }
    }
    return s->tail != before;
}

void graph_build(struct model *m)
{
    if (m->piece_count == 0)
        return;
    name_pieces(m);
    collect_edges(m);
    struct search s = {m, xcalloc(m->piece_count + 1u, sizeof(size_t)),
                       xcalloc(m->piece_count, sizeof(unsigned)), 0, 0};
    bool *referred = xcalloc(m->piece_count, sizeof(bool));
    for (size_t i = 0; i < m->edge_count; i++) {
        s.first[m->edges[i].from + 1]++;
        referred[m->edges[i].to] = true;
    }
    for (unsigned i = 0; i < m->piece_count; i++)
        s.first[i + 1] += s.first[i];
    root_symbol(&s, "main");
    int entry = model_piece(m, m->elf.eh.e_entry);
    if (entry >= 0)
        reach(&s, (unsigned)entry, -1, false);
    do
        drain(&s);
    while (attach_records(&s, referred));
    // What the script keeps, and what only that refers to.
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < m->piece_count; i++) {
            if (pass == 1 || !referred[i])
                reach(&s, i, -1, false);
            if (pass == 1)
                drain(&s);
        }
        drain(&s);
    }
    free(s.first);
    free(s.queue);
    free(referred);
}
