// SPDX-License-Identifier: ISC
// `lith symbolize`: addresses of a report become names. An address is absolute, as a report prints
// it, or "kernel+0xOFF", counted from the image's start. Our monitor loads the image elsewhere at
// every start, so absolute addresses need that place. --base says it, or the report: in a line
// "kernel_base 0x...", or where an address stands beside its offset ("ADDRESS  kernel+0xOFFSET").
// Else they are taken modulo the monitor's 2 MiB steps where that fits only once.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/layout.h"
#include "size/size.h"

#define PROGRAM_MAX (1u << 30)
#define LINE_MAX_   65536

static uint64_t link_base(const struct elf *elf, uint64_t *end)
{
    uint64_t base = UINT64_MAX;
    *end = 0;
    for (unsigned i = 0; i < elf->load_count; i++) {
        if (elf->loads[i].p_vaddr < base)
            base = elf->loads[i].p_vaddr;
        if (elf->loads[i].p_vaddr + elf->loads[i].p_memsz > *end)
            *end = elf->loads[i].p_vaddr + elf->loads[i].p_memsz;
    }
    return elf->load_count ? base & ~4095ull : 0;
}

bool symbol_at(const struct elf *elf, uint64_t addr, const char **name, uint64_t *offset)
{
    // The symbol that covers the address; else the nearest one below, as labels have no size.
    const struct symbol *covers = NULL, *below = NULL;
    for (size_t i = 0; i < elf->symbol_count; i++) {
        const struct symbol *s = &elf->symbols[i];
        bool function = s->type == STT_FUNC;
        if ((!function && s->type != STT_NOTYPE && s->type != STT_OBJECT) ||
            s->section == SHN_UNDEF || s->section >= SHN_LORESERVE || *s->name == 0 ||
            strncmp(s->name, ".L", 2) == 0 || s->value > addr)
            continue;
        const struct symbol **best = addr - s->value < s->size ? &covers : &below;
        if (*best == NULL || s->value > (*best)->value ||
            (s->value == (*best)->value && function && (*best)->type != STT_FUNC))
            *best = s;
    }
    const struct symbol *found = covers ? covers : below;
    if (found == NULL)
        return false;
    *name = found->name;
    *offset = addr - found->value;
    return true;
}

// The link address that a printed address stands for, or 0.
static uint64_t to_link(const struct elf *elf, uint64_t addr, uint64_t base)
{
    uint64_t end, start = link_base(elf, &end);
    if (addr >= start && addr < end) // as linked: QEMU, or taken from the ELF
        return addr;
    if (base != 0 && addr >= base && addr - base < end - start)
        return start + (addr - base);
    // Not known where: within the monitor's range and its 2 MiB steps, one place for a small image.
    if (base == 0 && addr >= LITH_KERNEL_BASE && addr < LITH_KERNEL_BASE + LITH_KERNEL_RANGE &&
        end - start <= LITH_KERNEL_ALIGN && addr % LITH_KERNEL_ALIGN < end - start)
        return start + addr % LITH_KERNEL_ALIGN;
    return 0;
}

static bool add_symbol(const struct elf *elf, uint64_t link, struct buf *out)
{
    const char *name;
    uint64_t offset;
    if (link == 0 || !symbol_at(elf, link, &name, &offset))
        return false;
    for (const char *p = name; *p && p < name + 200; p++)
        buf_add(out, (unsigned char)*p < 0x20 || *p == 0x7f ? "?" : p, 1);
    buf_printf(out, "+0x%llx", (unsigned long long)offset);
    return true;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_word(char c)
{
    return is_hex(c) || (c >= 'g' && c <= 'z') || (c >= 'G' && c <= 'Z') || c == '_';
}

// Reads "0x1234" or 12 and more hexadecimal digits at `p`; the number of characters, 0 if none.
static size_t address_at(const char *p, uint64_t *value)
{
    size_t prefix = p[0] == '0' && p[1] == 'x' ? 2 : 0, n = 0;
    while (is_hex(p[prefix + n]) && n <= 16)
        n++;
    if (n == 0 || n > 16 || (!prefix && n < 12) || is_word(p[prefix + n]))
        return 0;
    *value = strtoull(p, NULL, 16);
    return prefix + n;
}

// "kernel+0x1234" at p: the number of characters, and the link address or 0.
static size_t offset_at(const struct elf *elf, const char *p, uint64_t *link, uint64_t *offset)
{
    uint64_t end, start = link_base(elf, &end);
    size_t n = strncmp(p, "kernel+", 7) == 0 ? address_at(p + 7, offset) : 0;
    *link = n > 0 && *offset < end - start ? start + *offset : 0;
    return n > 0 ? n + 7 : 0;
}

// "kernel: NAME+0xOFFSET" at `addr` says where the image is: at the multiple of the monitor's steps
// that fits a symbol of that name. 0 if none does.
static uint64_t base_by_name(const struct elf *elf, uint64_t addr, const char *text)
{
    uint64_t end, start = link_base(elf, &end), offset;
    size_t len = strcspn(text, "+ \n");
    if (text[len] != '+' || address_at(text + len + 1, &offset) == 0)
        return 0;
    for (size_t i = 0; i < elf->symbol_count; i++) {
        const struct symbol *s = &elf->symbols[i];
        uint64_t base = addr - offset - (s->value - start);
        if (strncmp(s->name, text, len) == 0 && s->name[len] == 0 &&
            base % LITH_KERNEL_ALIGN == 0 && base >= LITH_KERNEL_BASE &&
            base < LITH_KERNEL_BASE + LITH_KERNEL_RANGE)
            return base;
    }
    return 0;
}

void symbolize_line(const struct elf *elf, const char *line, uint64_t *base,
                    void (*add_more)(void *context, uint64_t link, struct buf *out), void *context,
                    struct buf *out)
{
    uint64_t value, link, offset;
    const char *said = strstr(line, "kernel_base ");
    if (said != NULL && address_at(said + 12, &value) > 0)
        *base = value;
    const char *keep = said ? said + 12 : NULL; // the base itself stays
    for (const char *p = line; *p;) {
        bool begins = p == line || !is_word(p[-1]);
        size_t n = begins ? offset_at(elf, p, &link, &offset) : 0;
        if (n == 0 && begins && p != keep && (n = address_at(p, &value)) > 0) {
            // "ADDRESS  kernel+0xOFFSET": the second says where the first is, and so the base.
            const char *next = p + n + strspn(p + n, " ");
            bool named = strncmp(next, "kernel: ", 8) == 0;
            if (named && *base == 0)
                *base = base_by_name(elf, value, next + 8);
            if (named && (link = to_link(elf, value, *base)) != 0) {
                // The report has the name already; the address stays, as above.
                next += 8;
                buf_add(out, p, (size_t)(next - p) - 8);
                if (add_symbol(elf, link, out)) {
                    if (add_more != NULL)
                        add_more(context, link, out);
                    next += strcspn(next, " \n");
                } else {
                    buf_puts(out, "kernel: ");
                }
                p = next;
                continue;
            }
            if (offset_at(elf, next, &link, &offset) > 0 && value >= offset) {
                *base = value - offset;
                link = 0;
            } else {
                link = to_link(elf, value, *base);
            }
        }
        if (n > 0 && add_symbol(elf, link, out)) {
            if (*p == 'k' && add_more != NULL)
                add_more(context, link, out);
            p += n;
            continue;
        }
        n = n ? n : 1;
        buf_add(out, p, n);
        p += n;
    }
}

// --- file and line ---------------------------------------------------------------------------

// " (FILE:LINE)" by addr2line, when the program has debug information and addr2line is there.
struct source {
    const char *program;
    const struct elf *elf;
};

static void add_source(void *context, uint64_t link, struct buf *out)
{
    const struct source *source = context;
    char address[24];
    struct buf said = {0};
    struct err e;
    if (link == 0 || exe_section(source->elf, ".debug_line") == NULL)
        return;
    snprintf(address, sizeof(address), "0x%llx", (unsigned long long)link);
    const char *argv[] = {"addr2line", "-e", source->program, address, NULL};
    if (program_run(argv, "binutils", &said, &e) == 0 && said.data && said.data[0] != '?') {
        said.data[strcspn(said.data, "\n (")] = 0;
        if (strstr(said.data, ":?") == NULL)
            buf_printf(out, " (%s)", said.data);
    }
    buf_free(&said);
}

static int one_address(const char *program, const struct elf *elf, const char *text, uint64_t base,
                       struct err *e)
{
    uint64_t end, start = link_base(elf, &end), value, link;
    bool relative = strncmp(text, "kernel+", 7) == 0;
    const char *digits = relative ? text + 7 : text;
    char *stop;
    errno = 0;
    value = strtoull(digits, &stop, 16);
    if (errno || stop == digits || *stop || *digits == '-')
        return err_set(e, -EINVAL, "%.60s is neither an address nor kernel+0xOFFSET", text);
    if (relative)
        link = value < end - start ? start + value : 0;
    else
        link = to_link(elf, value, base);
    struct buf out = {0};
    if (!add_symbol(elf, link, &out))
        buf_puts(&out, "?");
    add_source(&(struct source){program, elf}, link, &out);
    printf("%s %s\n", text, out.data);
    buf_free(&out);
    return 0;
}

static void whole_report(const char *program, const struct elf *elf, uint64_t base)
{
    struct source source = {program, elf};
    static char line[LINE_MAX_];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        struct buf out = {0};
        symbolize_line(elf, line, &base, add_source, &source, &out);
        fputs(out.data ? out.data : "", stdout);
        buf_free(&out);
    }
}

int cmd_symbolize(int argc, char *argv[])
{
    static const struct option options[] = {{"base", required_argument, NULL, 'b'}, {0}};
    uint64_t base = 0;
    int opt;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
        if (opt == ':')
            return tool_usage("symbolize", "symbolize: %s needs a value", tool_option(argc, argv));
        if (opt != 'b' || strspn(optarg, "0123456789abcdefABCDEFx") != strlen(optarg))
            return tool_usage("symbolize", "symbolize: bad option %s", tool_option(argc, argv));
        base = strtoull(optarg, NULL, 16);
    }
    if (optind >= argc)
        return tool_usage("symbolize", "symbolize needs a program that lith-cc has linked");
    const char *program = argv[optind];
    struct elf elf;
    struct err e, why;
    char *data;
    size_t len;
    int r = file_read(AT_FDCWD, program, PROGRAM_MAX, &data, &len);
    if (r < 0) {
        err_sys(&e, r, "cannot read the program %s", program);
        return tool_fail(&e);
    }
    r = exe_open(&elf, data, len, &why);
    if (r < 0) {
        err_set(&e, r, "%.200s: %.700s", program, why.text);
    } else {
        if (elf.symbol_count == 0)
            r = err_set(&e, -ENODATA,
                        "%.200s has no symbols: it was stripped; name the program as "
                        "lith-cc left it",
                        program);
        for (int i = optind + 1; r == 0 && i < argc; i++)
            r = one_address(program, &elf, argv[i], base, &e);
        if (r == 0 && optind + 1 == argc)
            whole_report(program, &elf, base);
        exe_close(&elf);
    }
    free(data);
    return r < 0 ? tool_fail(&e) : 0;
}
