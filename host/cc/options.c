// SPDX-License-Identifier: ISC
// gcc's command line, taken apart: what each compilation gets, the inputs, and the linker's words
// in their order. What makes no sense for a unikernel is dropped where that is harmless (rpath,
// -static, -pie) and refused where it is not (-shared, linker scripts).
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cc/cc.h"

#define RESPONSE_MAX   (16u << 20)
#define RESPONSE_DEPTH 16

void list_add(struct list *l, const char *word)
{
    if ((l->n & (l->n + 1)) == 0) // full at 1, 3, 7, ...
        l->v = xrealloc(l->v, (2 * l->n + 2) * sizeof(*l->v));
    l->v[l->n++] = word;
}

void list_add_all(struct list *l, const char *const *words)
{
    for (; *words; words++)
        list_add(l, *words);
}

static bool starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool one_of(const char *s, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(s, *words) == 0)
            return true;
    return false;
}

static bool starts_with_one(const char *s, const char *const *words)
{
    for (; *words; words++)
        if (starts(s, *words))
            return true;
    return false;
}

// --- @file -----------------------------------------------------------------------------------

// Words as gcc reads them: blanks separate, quotes group, a backslash takes the next byte as it is.
static void response_words(char *p, struct list *to)
{
    while (*p) {
        while (isspace((unsigned char)*p))
            p++;
        if (!*p)
            return;
        char *word = p, *out = p, quote = 0;
        for (; *p && (quote || !isspace((unsigned char)*p)); p++) {
            if (*p == '\\' && p[1])
                *out++ = *++p;
            else if (quote ? *p == quote : *p == '\'' || *p == '"')
                quote = quote ? 0 : *p;
            else
                *out++ = *p;
        }
        if (*p)
            p++;
        *out = 0;
        list_add(to, word);
    }
}

static void expand(const char *word, struct list *to, unsigned depth)
{
    char *text;
    size_t len;
    if (word[0] != '@' || file_read(AT_FDCWD, word + 1, RESPONSE_MAX, &text, &len) < 0) {
        list_add(to, word); // a file that cannot be read: the word itself, as gcc has it
        return;
    }
    if (depth == RESPONSE_DEPTH)
        die("%s: too many @-files encountered", word);
    struct list words = {0};
    response_words(text, &words);
    for (size_t i = 0; i < words.n; i++)
        expand(words.v[i], to, depth + 1);
}

// --- options ---------------------------------------------------------------------------------

static void add_item(struct options *o, enum item_kind kind, const char *word, const char *language)
{
    o->items = xrealloc(o->items, (o->item_count + 1) * sizeof(*o->items));
    o->items[o->item_count++] = (struct item){kind, word, language};
}

static void add_gcc(struct options *o, const char *word, const char *value)
{
    list_add(&o->gcc, word);
    list_add(&o->common, word);
    if (value) {
        list_add(&o->gcc, value);
        list_add(&o->common, value);
    }
}

static void add_input(struct options *o, const char *path, const char *language)
{
    static const char *const sources[] = {"c",   "i",   "ii",  "cc", "cp", "cxx", "cpp",
                                          "CPP", "c++", "C",   "s",  "S",  "sx",  "h",
                                          "hh",  "hpp", "hxx", "m",  "mi", NULL};
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    bool source = language || strcmp(path, "-") == 0 || (dot && one_of(dot + 1, sources));
    o->has_inputs = true;
    list_add(&o->gcc, path);
    if (!source && (strstr(slash ? slash : path, ".so.") || (dot && strcmp(dot, ".so") == 0)))
        die("%s: shared libraries cannot be linked into a unikernel; use the static library "
            "(.a), built with %s",
            path, driver_name());
    add_item(o, source ? ITEM_SOURCE : ITEM_FILE, path, language);
}

// -Wl,a,b
static void add_linker_words(struct options *o, const char *words)
{
    char *copy = xstrdup(words), *save = NULL;
    for (char *w = strtok_r(copy, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
        static const char *const questions[] = {"--version", "-v", "-V", "--help", NULL};
        if (one_of(w, questions))
            o->linker_asks = true;
        add_item(o, ITEM_LINKER, w, NULL);
    }
}

// Options whose value is the next word. Behind -I and its kind it may be in the same word.
static bool takes_value(const char *word)
{
    static const char *const separate[] = {"-o",
                                           "-x",
                                           "-I",
                                           "-D",
                                           "-U",
                                           "-L",
                                           "-l",
                                           "-include",
                                           "-imacros",
                                           "-isystem",
                                           "-iquote",
                                           "-idirafter",
                                           "-iprefix",
                                           "-isysroot",
                                           "-imultilib",
                                           "-MF",
                                           "-MT",
                                           "-MQ",
                                           "-Xlinker",
                                           "-Xassembler",
                                           "-T",
                                           "-u",
                                           "-z",
                                           "-e",
                                           "-A",
                                           "-aux-info",
                                           "-dumpbase",
                                           "-dumpdir",
                                           "-iwithprefix",
                                           "-wrapper",
                                           "--param",
                                           "-dumpbase-ext",
                                           "-Xpreprocessor",
                                           "-iwithprefixbefore",
                                           "-iplugindir",
                                           NULL};
    return one_of(word, separate);
}

// Options of gcc that our own replace.
static bool is_replaced(const char *word)
{
    static const char *const exact[] = {"-fPIC",          "-fpic",     "-fPIE",         "-fpie",
                                        "-fno-PIC",       "-fno-pic",  "-fno-PIE",      "-fno-pie",
                                        "-pie",           "-no-pie",   "-static-pie",   "-static",
                                        "-rdynamic",      "-fno-plt",  "-fplt",         "-nopie",
                                        "-shared-libgcc", "-symbolic", "-nostartfiles", NULL};
    static const char *const prefix[] = {
        "-mcmodel=",       "-fuse-ld=",
        "-static-lib", // -static-libstdc++
        "-flto",           "-fno-lto",  "-ffat-lto-objects", "-fno-fat-lto-objects",
        "-fwhole-program", NULL};
    return one_of(word, exact) || starts_with_one(word, prefix);
}

// Options that change what is done. True if `w` was one; those that gcc must see are added.
static bool mode_option(struct options *o, const char *w)
{
    if (starts(w, "-g") && strncmp(w, "-gno-", 5) != 0) // gcc gets it, too; the last one counts
        o->symbols = strcmp(w, "-g0") != 0;
    static const char *const compile[] = {"-c", "-S", "-E", "-M", "-MM", "-fsyntax-only", NULL};
    static const char *const no_libc[] = {"-nostdlib", "-nodefaultlibs", "-nolibc", NULL};
    if (one_of(w, compile)) {
        o->compile_only = true;
        list_add(&o->gcc, w);
    } else if (one_of(w, no_libc)) {
        o->no_libc = true;
    } else if (strcmp(w, "-r") == 0) {
        o->relocatable = true;
    } else if (strcmp(w, "-s") == 0) {
        o->strip = true;
    } else if (strcmp(w, "-v") == 0 || strcmp(w, "-###") == 0) {
        o->verbose = true;
        o->print_only |= w[1] == '#';
        list_add(&o->gcc, w);
    } else if (strcmp(w, "--release") == 0) {
        o->release = true;
    } else if (strcmp(w, "--load-high") == 0) {
        o->load_high = true;
    } else if (strcmp(w, "-dumpmachine") == 0) {
        o->dump_machine = true;
    } else if (starts(w, "-print-file-name=") || starts(w, "--print-file-name=")) {
        o->print_file = strchr(w, '=') + 1;
        list_add(&o->gcc, w);
    } else {
        return false;
    }
    return true;
}

static void refuse(const char *w)
{
    static const char *const shared[] = {"-shared", "--shared", "-Bshareable", NULL};
    if (one_of(w, shared))
        die("-shared: a unikernel is one program, there are no shared libraries; build a static "
            "library (ar) instead (configure scripts: --disable-shared)");
    if (strcmp(w, "-m32") == 0 || strcmp(w, "-mx32") == 0 || strcmp(w, "-m16") == 0)
        die("%s: programs are 64-bit code for x86-64", w);
}

// What gcc has to know although we may link ourselves.
static void note_option(struct options *o, const char *w, const char *value)
{
    if (strcmp(w, "-nostdinc") == 0)
        o->no_std_headers = true;
    else if (strcmp(w, "-nostdinc++") == 0)
        o->no_cxx_headers = true;
    else if (strcmp(w, "-fexceptions") == 0 || strcmp(w, "-fasynchronous-unwind-tables") == 0 ||
             strcmp(w, "-funwind-tables") == 0)
        o->has_unwind_tables = true;
    else if (strcmp(w, "-MD") == 0 || strcmp(w, "-MMD") == 0)
        o->deps = true;
    else if (strcmp(w, "-MF") == 0)
        o->dep_file = value;
    else if (strcmp(w, "-MT") == 0 || strcmp(w, "-MQ") == 0)
        o->dep_target = true;
    add_gcc(o, w, value);
}

static void option_with_value(struct options *o, const char *w, const char *value,
                              const char **language)
{
    if (strcmp(w, "-o") == 0) {
        o->output = value;
        list_add(&o->gcc, w);
        list_add(&o->gcc, value);
    } else if (strcmp(w, "-x") == 0) {
        *language = strcmp(value, "none") == 0 ? NULL : value;
        list_add(&o->gcc, w);
        list_add(&o->gcc, value);
    } else if (strcmp(w, "-L") == 0) {
        list_add(&o->dirs, value);
    } else if (strcmp(w, "-l") == 0) {
        o->has_inputs = true;
        add_item(o, ITEM_LIBRARY, value, NULL);
    } else if (strcmp(w, "-Xlinker") == 0) {
        add_item(o, ITEM_LINKER, value, NULL);
    } else if (strcmp(w, "-T") == 0 || strcmp(w, "-u") == 0 || strcmp(w, "-z") == 0 ||
               strcmp(w, "-e") == 0) {
        add_item(o, ITEM_LINKER, w, NULL);
        add_item(o, ITEM_LINKER, value, NULL);
    } else {
        note_option(o, w, value);
    }
}

void options_parse(struct options *o, int argc, char *argv[])
{
    struct list words = {0};
    const char *language = NULL;
    *o = (struct options){0};
    for (int i = 1; i < argc; i++)
        expand(argv[i], &words, 0);
    for (size_t i = 0; i < words.n; i++) {
        const char *w = words.v[i];
        if (w[0] != '-' || w[1] == 0) {
            add_input(o, w, language);
        } else if (takes_value(w)) {
            if (i + 1 == words.n)
                die("missing argument to '%s'", w);
            option_with_value(o, w, words.v[++i], &language);
        } else if (starts(w, "-Wl,")) {
            add_linker_words(o, w + 4);
        } else if (strchr("oxLlTu", w[1]) && w[2] && strncmp(w, "-undef", 6) != 0) {
            char letter[3] = {'-', w[1], 0}; // -lm, -Ldir, -ofile
            option_with_value(o, xstrdup(letter), w + 2, &language);
        } else if (!is_replaced(w) && !mode_option(o, w)) {
            refuse(w);
            note_option(o, w, NULL);
        }
    }
    // As g++ does (-lm is in libc.a).
    if (driver_is_cxx() && o->has_inputs && !o->no_libc && !o->relocatable)
        add_item(o, ITEM_LIBRARY, "stdc++", NULL);
}
