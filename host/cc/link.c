// SPDX-License-Identifier: ISC
// The link: the program's objects and libraries, libc, the kernel and libgcc, by ld.lld with our
// script. Small images load at LOW_PHYS, below the legacy hole of a PC, so that they need less
// than 1 MiB; how large an image is shows only when it is linked, so larger ones are linked again.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cc/cc.h"

#define LOW_PHYS     0x10000ull
#define LOW_END      0x90000ull
#define HIGH_PHYS    0x100000ull
#define TABLE_SPAN   (2ull << 20) // bytes of the image that one of the script's page tables maps
#define PAGE         4096ull
#define TABLES_MAX   32 // 64 MiB, what the monitor takes
#define MAP_READ_MAX (256u << 20)

static bool any(const char *s, const char *const *words, bool prefix)
{
    for (; *words; words++)
        if (prefix ? strncmp(s, *words, strlen(*words)) == 0 : strcmp(s, *words) == 0)
            return true;
    return false;
}

// Words for the linker that are about shared libraries, or that we decide.
static bool is_meaningless(const char *w, bool *with_value)
{
    static const char *const valued[] = {"-rpath",
                                         "--rpath",
                                         "-rpath-link",
                                         "--rpath-link",
                                         "-soname",
                                         "--soname",
                                         "-h",
                                         "-dynamic-linker",
                                         "--dynamic-linker",
                                         "-I",
                                         "-z",
                                         "--version-script",
                                         "-version-script",
                                         "--dynamic-list",
                                         "--retain-symbols-file",
                                         "-R",
                                         "-f",
                                         "-F",
                                         "-m",
                                         NULL};
    static const char *const exact[] = {"--as-needed",
                                        "--no-as-needed",
                                        "--enable-new-dtags",
                                        "--disable-new-dtags",
                                        "-E",
                                        "--export-dynamic",
                                        "-export-dynamic",
                                        "--no-export-dynamic",
                                        "-Bdynamic",
                                        "-Bstatic",
                                        "-dn",
                                        "-dy",
                                        "-static",
                                        "--static",
                                        "-pie",
                                        "--pie",
                                        "-no-pie",
                                        "--no-pie",
                                        "-Bsymbolic",
                                        "-Bsymbolic-functions",
                                        "--gc-sections",
                                        "--no-gc-sections",
                                        "--emit-relocs",
                                        "-q",
                                        "--no-undefined",
                                        "--no-allow-shlib-undefined",
                                        "--allow-shlib-undefined",
                                        "--no-dynamic-linker",
                                        "--sort-common",
                                        "--no-copy-dt-needed-entries",
                                        "--eh-frame-hdr",
                                        "--copy-dt-needed-entries",
                                        "--add-needed",
                                        "--no-add-needed",
                                        "--relax",
                                        "--no-relax",
                                        "--apply-dynamic-relocs",
                                        "--pack-dyn-relocs=relr",
                                        NULL};
    static const char *const prefix[] = {"-rpath=",
                                         "--rpath=",
                                         "-rpath-link=",
                                         "--rpath-link=",
                                         "-soname=",
                                         "--soname=",
                                         "-dynamic-linker=",
                                         "--dynamic-linker=",
                                         "--version-script=",
                                         "-version-script=",
                                         "--dynamic-list=",
                                         "--retain-symbols-file=",
                                         "--hash-style=",
                                         "-hash-style=",
                                         "--build-id",
                                         "-O",
                                         "--sort-section=",
                                         "-z",
                                         "--pack-dyn-relocs=",
                                         "--use-android-relr-tags",
                                         NULL};
    *with_value = any(w, valued, false);
    return *with_value || any(w, exact, false) || any(w, prefix, true);
}

// The libraries that musl keeps inside libc.a.
static bool in_libc(const char *library)
{
    static const char *const names[] = {"c",     "m",      "pthread", "dl",    "rt", "util",
                                        "crypt", "resolv", "xnet",    "gcc_s", NULL};
    return any(library, names, false);
}

static bool in_cxx_library(const char *library)
{
    static const char *const names[] = {"stdc++", "supc++", "stdc++fs", "gcc_eh", NULL};
    return any(library, names, false);
}

static const char *value_of(const struct options *o, size_t *i)
{
    while (++*i < o->item_count)
        if (o->items[*i].kind == ITEM_LINKER)
            return o->items[*i].word;
    die("the linker's option %s needs a value", o->items[o->item_count - 1].word);
}

// One of the user's words for the linker, at item *i.
static void linker_word(const struct options *o, size_t *i, struct list *argv, bool *strip,
                        const char **map)
{
    static const char *const strips[] = {"-s", "--strip-all", NULL};
    static const char *const scripts[] = {"-T", "--script", "-e", "--entry", "-Ttext", NULL};
    static const char *const maps[] = {"-Map", "--Map", NULL};
    const char *w = o->items[*i].word;
    bool with_value;
    if (any(w, (const char *const[]){"-shared", "--shared", "-Bshareable", NULL}, false))
        die("-shared: a unikernel is one program, there are no shared libraries");
    if (any(w, scripts, false) || strncmp(w, "--script=", 9) == 0 || strncmp(w, "-T", 2) == 0 ||
        strncmp(w, "--entry=", 8) == 0)
        die("%s: a unikernel is laid out by Lith's own linker script (%s/link.ld)", w, lib_dir());
    if (any(w, strips, false)) {
        *strip = true;
    } else if (any(w, maps, false)) {
        *map = value_of(o, i);
    } else if (strncmp(w, "-Map=", 5) == 0 || strncmp(w, "--Map=", 6) == 0) {
        *map = strchr(w, '=') + 1;
    } else if (is_meaningless(w, &with_value)) {
        if (with_value)
            value_of(o, i);
    } else {
        list_add(argv, w);
    }
}

static void inputs(const struct options *o, const char *const *objects, struct list *argv,
                   bool *strip, const char **map)
{
    for (size_t i = 0; i < o->item_count; i++) {
        const struct item *it = &o->items[i];
        if (it->kind == ITEM_SOURCE)
            list_add(argv, objects[i]);
        else if (it->kind == ITEM_FILE)
            list_add(argv, it->word);
        else if (it->kind == ITEM_LINKER)
            linker_word(o, &i, argv, strip, map);
        else if (strcmp(it->word, "gcc") == 0)
            list_add(argv, xasprintf("%s/libgcc.a", gcc_dir()));
        else if (!in_libc(it->word)) {
            if (in_cxx_library(it->word) && !o->relocatable)
                require_cxx_library();
            list_add(argv, xasprintf("-l%s", it->word));
        }
    }
}

// Where the image ends in memory (from 0), by its program headers.
static uint64_t image_len(const char *program)
{
    Elf64_Ehdr eh;
    Elf64_Phdr ph;
    uint64_t first = UINT64_MAX, end = 0;
    int fd = open(program, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, &eh, sizeof(eh), 0) != sizeof(eh))
        die("cannot read %s: %s", program, strerror(errno));
    for (unsigned i = 0; i < eh.e_phnum; i++) {
        off_t at = (off_t)(eh.e_phoff + i * sizeof(ph));
        if (pread(fd, &ph, sizeof(ph), at) != sizeof(ph))
            die("%s has no program headers", program);
        if (ph.p_type != PT_LOAD || ph.p_memsz == 0)
            continue;
        if (ph.p_paddr < first)
            first = ph.p_paddr;
        if (ph.p_paddr + ph.p_memsz > end)
            end = ph.p_paddr + ph.p_memsz;
    }
    close(fd);
    return end > first ? end - first : 0;
}

static int link_at(const struct options *o, const struct list *user, const char *output,
                   const char *map, const char *errors, uint64_t phys, uint64_t tables)
{
    const char *lib = lib_dir();
    struct list argv = {0};
    list_add_all(&argv, (const char *const[]){"ld.lld",
                                              "-pie",
                                              "--no-dynamic-linker",
                                              "-Bsymbolic",
                                              "--gc-sections",
                                              "-z",
                                              "start-stop-gc",
                                              "-z",
                                              "noseparate-code",
                                              "-z",
                                              "relro",
                                              "-z",
                                              "noexecstack",
                                              "--apply-dynamic-relocs",
                                              "-z",
                                              "max-page-size=4096",
                                              "--build-id=sha1",
                                              "--pack-dyn-relocs=relr",
                                              "--hash-style=sysv",
                                              "--eh-frame-hdr",
                                              "-static",
                                              "-T",
                                              xasprintf("%s/link.ld", lib),
                                              NULL});
    list_add(&argv, "--defsym");
    list_add(&argv, xasprintf("LITH_PHYS=0x%llx", (unsigned long long)phys));
    list_add(&argv, "--defsym");
    list_add(&argv, xasprintf("LITH_PVH_TABLES=%llu", (unsigned long long)tables));
    if (o->release)
        list_add_all(&argv, (const char *const[]){"--defsym", "LITH_RELEASE=1", NULL});
    if (map)
        list_add_all(&argv,
                     (const char *const[]){"--emit-relocs", xasprintf("-Map=%s", map), NULL});
    else
        list_add(&argv, "--strip-all");
    list_add_all(&argv, (const char *const[]){"-o", output, NULL});
    for (size_t i = 0; i < o->dirs.n; i++)
        list_add(&argv, xasprintf("-L%s", o->dirs.v[i]));
    list_add(&argv, xasprintf("-L%s", lib));
    for (size_t i = 0; i < user->n; i++)
        list_add(&argv, user->v[i]);
    // The whole kernel takes part: what of it stays is decided by what the program reaches.
    list_add(&argv, "--whole-archive");
    list_add(&argv, xasprintf("%s/liblith.a", lib));
    list_add(&argv, "--no-whole-archive");
    list_add(&argv, "--start-group");
    if (!o->no_libc) {
        list_add(&argv, xasprintf("%s/libc.a", lib));
        list_add(&argv, xasprintf("%s/libnosys.a", lib));
    }
    list_add(&argv, xasprintf("%s/libgcc.a", gcc_dir()));
    char *unwinder = xasprintf("%s/libgcc_eh.a", lib); // comes with the C++ library
    if (access(unwinder, R_OK) == 0)
        list_add(&argv, unwinder);
    list_add(&argv, "--end-group");
    int status = run(o, &argv, errors);
    free(argv.v);
    return status;
}

static int link_relocatable(const struct options *o, const struct list *user, const char *output)
{
    struct list argv = {0};
    list_add_all(&argv, (const char *const[]){"ld.lld", "-r", "-o", output, NULL});
    for (size_t i = 0; i < o->dirs.n; i++)
        list_add(&argv, xasprintf("-L%s", o->dirs.v[i]));
    for (size_t i = 0; i < user->n; i++)
        list_add(&argv, user->v[i]);
    return run(o, &argv, NULL);
}

static void copy_map(const char *from, const char *to)
{
    char *text;
    size_t len;
    int r = file_read(AT_FDCWD, from, MAP_READ_MAX, &text, &len);
    if (r == 0)
        r = file_write_atomic(AT_FDCWD, to, text, len);
    if (r < 0)
        die("cannot write the link map %s: %s", to, strerror(-r));
    free(text);
}

// Shows what the linker said; true if all that it minds is the number of page tables.
static bool tables_short(const char *errors, bool show)
{
    char *text;
    size_t len;
    if (file_read(AT_FDCWD, errors, MAP_READ_MAX, &text, &len) < 0)
        return false;
    bool few = strstr(text, "LITH_PVH_TABLES") != NULL;
    if (show || !few)
        (void)!write(2, text, len);
    free(text);
    return few;
}

int link_program(const struct options *o, const char *const *objects, const char *tmp)
{
    struct list user = {0};
    const char *output = o->output ? o->output : "a.out", *wanted_map = NULL;
    bool strip = o->strip;
    inputs(o, objects, &user, &strip, &wanted_map);
    if (o->relocatable)
        return link_relocatable(o, &user, output);
    char *script = xasprintf("%s/link.ld", lib_dir());
    if (access(script, R_OK) != 0)
        die("cannot read %s: %s (build the kernel's library with `make`, or let LITH_LIB name its "
            "folder)",
            script, strerror(errno));
    char *map = strip && !wanted_map ? NULL : xasprintf("%s/map", tmp);
    char *errors = xasprintf("%s/errors", tmp);
    uint64_t phys = o->load_high ? HIGH_PHYS : LOW_PHYS, tables = 1;
    bool named = false;
    for (int round = 0;; round++) {
        int status = link_at(o, &user, output, map, errors, phys, tables);
        if (o->print_only)
            return 0;
        if (tables_short(errors, round > 0) && status != 0 && round == 0) {
            tables = TABLES_MAX; // links whatever can run, and then its size is known
            phys = HIGH_PHYS;
            continue;
        }
        if (status != 0)
            return 1;
        // Each table maps TABLE_SPAN, and takes two pages of it: one for the image's map, one for
        // the direct map's.
        uint64_t len = image_len(output), own = 2 * tables * PAGE, fit = TABLE_SPAN - 2 * PAGE;
        uint64_t need = len > own ? (len - own + fit - 1) / fit : 1;
        uint64_t want = o->load_high || len > LOW_END - LOW_PHYS ? HIGH_PHYS : phys;
        bool enough = len <= tables * TABLE_SPAN;
        if (phys == want && enough && tables <= need + 1) {
            if (!o->symbols || o->release || strip || named)
                break;
            named = true; // once more, with the names of what is in it now
            list_add(&user, symbols_object(o, output, tmp));
            round = -1;
            continue;
        }
        if (!enough && need <= tables)
            need = tables + 1;
        if (round == 4)
            die("%s: the image does not settle at a size", output);
        tables = need;
        phys = want;
    }
    if (wanted_map && strcmp(wanted_map, "-") != 0)
        copy_map(map, wanted_map);
    struct err e;
    if (!strip && attach_map(output, map, &e) < 0)
        die("%s", e.text);
    return 0;
}
