// SPDX-License-Identifier: ISC
// The link map: each input section's address and size, and the object file that it came from; from
// the file's name, the library that it belongs to.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cc/cc.h"
#include "size/size.h"

#define PIECES_MAX  (1u << 20)
#define OBJECTS_MAX (1u << 16)
#define NAME_MAX_   120

// --- libraries -------------------------------------------------------------------------------

static unsigned library_get(struct model *m, const char *name, size_t len, enum group group)
{
    len = len < NAME_MAX_ ? len : NAME_MAX_;
    for (unsigned i = 0; i < m->library_count; i++)
        if (m->libraries[i].group == group && strlen(m->libraries[i].name) == len &&
            memcmp(m->libraries[i].name, name, len) == 0)
            return i;
    if ((m->library_count & (m->library_count + 1)) == 0)
        m->libraries = xrealloc(m->libraries, (2 * m->library_count + 2) * sizeof(*m->libraries));
    m->libraries[m->library_count] =
        (struct library){.name = xstrndup(name, len), .group = group, .first = -1};
    return m->library_count++;
}

static bool is_folder(const char *name, size_t len)
{
    static const char *const folders[] = {"lib", "arch", "plat", "core", "mm",   "sched",
                                          "dev", "fs",   "net",  "lith", "linux"};
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        if (strlen(folders[i]) == len && memcmp(folders[i], name, len) == 0)
            return true;
    return false;
}

// What stands in build/lib beside the kernel; libgcc_eh is the unwinder of exceptions.
static enum group archive_group(const char *name, size_t len)
{
    static const struct {
        const char *name;
        enum group group;
    } known[] = {{"libc", GROUP_LIBC},     {"libnosys", GROUP_LIBC},   {"libstdc++", GROUP_CXX},
                 {"libsupc++", GROUP_CXX}, {"libstdc++fs", GROUP_CXX}, {"libgcc_eh", GROUP_CXX}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strlen(known[i].name) == len && memcmp(known[i].name, name, len) == 0)
            return known[i].group;
    return GROUP_ARCHIVE;
}

// Which library an object belongs to: "liblith.a(fs__open.o)", ".../kernel/fs/open.c.o",
// "libc.a(printf.lo)", "main.o".
static unsigned library_of(struct model *m, const char *object)
{
    const char *paren = strrchr(object, '('), *end = paren ? paren : object + strlen(object);
    const char *base = end, *member = paren ? paren + 1 : NULL;
    while (base > object && base[-1] != '/')
        base--;
    if (object[0] == '.' && !strchr(object, '/'))
        return library_get(m, "(linker)", 8, GROUP_LINKER);
    if (member != NULL && end - base == 9 && memcmp(base, "liblith.a", 9) == 0) {
        const char *sep = strstr(member, "__");
        size_t len = sep ? strcspn(member, "_") : 0; // plat_kvm__start.o belongs to plat
        if (sep && is_folder(member, len))
            return library_get(m, member, len, GROUP_KERNEL);
        const char *path = strstr(member, "kernel/");
        member = path ? path + 7 : member;
        len = strcspn(member, "/");
        if (is_folder(member, len))
            return library_get(m, member, len, GROUP_KERNEL);
        return library_get(m, "kernel", 6, GROUP_KERNEL);
    }
    if (member != NULL) {
        size_t len = (size_t)(end - base);
        if (len > 2 && memcmp(end - 2, ".a", 2) == 0)
            len -= 2;
        return library_get(m, base, len, archive_group(base, len));
    }
    const char *kernel = strstr(object, "/kernel/");
    if (kernel != NULL && is_folder(kernel + 8, strcspn(kernel + 8, "/")))
        return library_get(m, kernel + 8, strcspn(kernel + 8, "/"), GROUP_KERNEL);
    return library_get(m, "program", 7, GROUP_PROGRAM);
}

// What is shown of an object: the member, or the file without its folders.
static char *object_label(const char *object)
{
    const char *paren = strrchr(object, '('), *slash = strrchr(object, '/');
    const char *from = paren ? paren + 1 : slash ? slash + 1 : object;
    if (strcmp(object, ".rodata") == 0)
        return xstrdup("(strings)");
    size_t len = strcspn(from, ")");
    return xstrndup(from, len < NAME_MAX_ ? len : NAME_MAX_);
}

static int object_get(struct model *m, const char *object, const char **last_text)
{
    // The map lists all of an output section's pieces object by object: the last one is likely.
    if (*last_text != NULL && strcmp(*last_text, object) == 0)
        return (int)m->object_count - 1;
    unsigned library = library_of(m, object);
    char *label = object_label(object);
    for (unsigned i = m->object_count; i-- > 0;) {
        if (m->objects[i].library == library && strcmp(m->objects[i].name, label) == 0) {
            free(label);
            return (int)i;
        }
    }
    if (m->object_count == OBJECTS_MAX) {
        free(label);
        return -1;
    }
    if ((m->object_count & (m->object_count + 1)) == 0)
        m->objects = xrealloc(m->objects, (2 * m->object_count + 2) * sizeof(*m->objects));
    m->objects[m->object_count] = (struct object){.name = label, .library = library};
    *last_text = object;
    return (int)m->object_count++;
}

// --- the map ---------------------------------------------------------------------------------

static bool kind_of(const struct elf *elf, uint64_t addr, enum kind *kind)
{
    for (unsigned i = 0; i < elf->load_count; i++) {
        const Elf64_Phdr *ph = &elf->loads[i];
        if (addr < ph->p_vaddr || addr - ph->p_vaddr >= ph->p_memsz)
            continue;
        if (ph->p_flags & PF_X)
            *kind = KIND_TEXT;
        else if (!(ph->p_flags & PF_W))
            *kind = KIND_RODATA;
        else
            *kind = addr - ph->p_vaddr < ph->p_filesz ? KIND_DATA : KIND_BSS;
        return true;
    }
    return false;
}

static bool number(char **p, int base, uint64_t *value)
{
    char *end;
    *p += strspn(*p, " ");
    *value = strtoull(*p, &end, base);
    bool good = end != *p && **p != '-' && *end == ' ';
    *p = end;
    return good;
}

static int add_piece(struct model *m, uint64_t addr, uint64_t size, char *place, const char **last)
{
    // "OBJECT:(SECTION)"
    char *section = strrchr(place, ':');
    enum kind kind;
    if (section == NULL || section[1] != '(' || size == 0 || size > INT64_MAX / 4 ||
        !kind_of(&m->elf, addr, &kind))
        return 0;
    *section = 0;
    section += 2;
    section[strcspn(section, ")")] = 0;
    if (m->piece_count == PIECES_MAX)
        return -E2BIG;
    if (place[0] == '<') // made by the linker: its tables, merged strings
        place = section;
    int object = object_get(m, place, last);
    if (object < 0)
        return -E2BIG;
    if ((m->piece_count & (m->piece_count + 1)) == 0)
        m->pieces = xrealloc(m->pieces, (2 * (size_t)m->piece_count + 2) * sizeof(*m->pieces));
    m->pieces[m->piece_count++] = (struct piece){.addr = addr,
                                                 .size = size,
                                                 .section = section,
                                                 .name = section,
                                                 .object = (unsigned)object,
                                                 .kind = kind,
                                                 .parent = -2};
    m->objects[object].bytes[kind] += size;
    m->libraries[m->objects[object].library].bytes[kind] += size;
    return 0;
}

static int read_map(struct model *m)
{
    const char *last = NULL;
    bool counts = false; // the output section is loaded, and has a place of its own there
    int r = 0;
    char *line = m->text, *next;
    for (; r == 0 && *line; line = next) {
        uint64_t vma, lma, size, align;
        next = line + strcspn(line, "\n");
        if (*next)
            *next++ = 0;
        char *p = line;
        if (!number(&p, 16, &vma) || !number(&p, 16, &lma) || !number(&p, 16, &size) ||
            !number(&p, 10, &align))
            continue;
        size_t indent = strspn(p, " ");
        p += indent;
        if (indent == 1) {
            const struct section *s = exe_section(&m->elf, p);
            counts = s != NULL && (s->sh.sh_flags & SHF_ALLOC) &&
                     !((s->sh.sh_flags & SHF_TLS) && s->sh.sh_type == SHT_NOBITS);
        } else if (indent == 9 && counts) {
            r = add_piece(m, vma, size, p, &last);
        }
    }
    return r;
}

static int compare_pieces(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    return x->addr < y->addr ? -1 : x->addr > y->addr ? 1 : 0;
}

int model_piece(const struct model *m, uint64_t addr)
{
    unsigned low = 0, high = m->piece_count;
    while (low < high) {
        unsigned mid = low + (high - low) / 2;
        if (m->pieces[mid].addr <= addr)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == 0 || addr - m->pieces[low - 1].addr >= m->pieces[low - 1].size)
        return -1;
    return (int)low - 1;
}

// --- totals ----------------------------------------------------------------------------------

// Does another loaded section's name, or .shstrtab, end with this one's? Then the string table has
// one string for both.
static bool name_shared(const struct elf *elf, unsigned index)
{
    const char *name = elf->sections[index].name;
    size_t len = strlen(name);
    for (unsigned i = 1; i < elf->section_count; i++) {
        const char *other = elf->sections[i].name;
        size_t n = strlen(other);
        if ((elf->sections[i].sh.sh_flags & SHF_ALLOC) && n >= len &&
            strcmp(other + n - len, name) == 0 && (n > len || i < index))
            return true;
    }
    return false;
}

static void totals(struct model *m)
{
    const struct elf *elf = &m->elf;
    uint64_t end = 0, low = UINT64_MAX, high = 0, names = 11, count = 2, in_file = 0, known = 0;
    for (unsigned i = 0; i < elf->load_count; i++) {
        const Elf64_Phdr *ph = &elf->loads[i];
        // strip moves segments together as far as their places in a page allow.
        end += i == 0 ? ph->p_offset : (ph->p_vaddr - end) & 4095;
        end += ph->p_filesz;
        if (ph->p_paddr < low)
            low = ph->p_paddr;
        if (ph->p_paddr + ph->p_memsz > high)
            high = ph->p_paddr + ph->p_memsz;
        in_file += ph->p_filesz;
    }
    // What strip leaves behind the segments: the table of the loaded sections, and their names.
    for (unsigned i = 1; i < elf->section_count; i++) {
        if (elf->sections[i].sh.sh_flags & SHF_ALLOC) {
            names += name_shared(elf, i) ? 0 : strlen(elf->sections[i].name) + 1;
            count++;
        }
    }
    m->file_bytes = elf->len;
    m->stripped_bytes = ((end + names + 7) & ~7ull) + count * sizeof(Elf64_Shdr);
    m->load_address = high ? low : 0;
    m->memory_bytes = high ? (high - low + 4095) & ~4095ull : 0;
    for (unsigned i = 0; i < m->library_count; i++)
        known += bytes_file(m->libraries[i].bytes);
    m->padding = in_file > known ? in_file - known : 0;
}

int model_open(struct model *m, const void *data, size_t len, struct err *e)
{
    *m = (struct model){0};
    int r = exe_open(&m->elf, data, len, e);
    if (r < 0)
        return r;
    size_t map_len;
    const uint8_t *map = exe_bytes(&m->elf, exe_section(&m->elf, SECTION_MAP), &map_len);
    if (map == NULL || map_len == 0 || memchr(map, 0, map_len)) {
        model_close(m);
        return err_set(e, -ENODATA,
                       "it has no link map: it was not linked by lith-cc, or it was stripped "
                       "(lith size reads the program as lith-cc left it)");
    }
    m->text = xstrndup((const char *)map, map_len);
    r = read_map(m);
    if (r < 0) {
        model_close(m);
        return err_set(e, r, "its link map has too many entries");
    }
    if (m->piece_count)
        qsort(m->pieces, m->piece_count, sizeof(*m->pieces), compare_pieces);
    totals(m);
    graph_build(m);
    return 0;
}

void model_close(struct model *m)
{
    for (unsigned i = 0; i < m->library_count; i++)
        free(m->libraries[i].name);
    for (unsigned i = 0; i < m->object_count; i++)
        free(m->objects[i].name);
    free(m->libraries);
    free(m->objects);
    free(m->pieces);
    free(m->edges);
    free(m->text);
    exe_close(&m->elf);
    *m = (struct model){0};
}
