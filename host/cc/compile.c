// SPDX-License-Identifier: ISC
// One compilation by gcc: musl's headers in the place of the host's, position-independent code,
// a section for every function and object, so that the linker can leave out what is not used.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cc/cc.h"

void compile_flags(const struct options *o, bool cxx, struct list *to)
{
    list_add_all(to, (const char *const[]){"-fPIE", "-mcmodel=small", NULL});
    // Nothing unwinds a C program's stack; the tables would be a tenth of it.
    if (!cxx && !o->has_unwind_tables)
        list_add(to, "-fno-asynchronous-unwind-tables");
    if (o->no_std_headers)
        return;
    list_add(to, "-nostdinc");
    // The C++ library's own first: they include C's of the same name with #include_next.
    if (cxx && !o->no_cxx_headers) {
        static const char *const folders[] = {"", "/x86_64-linux-musl", "/backward", NULL};
        require_cxx_library();
        for (const char *const *f = folders; *f; f++) {
            list_add(to, "-isystem");
            list_add(to, xasprintf("%s/include/c++%s", lib_dir(), *f));
        }
    }
    list_add_all(to, (const char *const[]){"-isystem", xasprintf("%s/include", lib_dir()),
                                           "-isystem", xasprintf("%s/include", gcc_dir()), NULL});
}

void require_cxx_library(void)
{
    char *archive = xasprintf("%s/libstdc++.a", lib_dir());
    if (access(archive, R_OK) != 0)
        die("the C++ library is not built: there is no %s (`make cxx` in Lith's folder builds it, "
            "once; C++ without it: lith-cc -nostdinc++)",
            archive);
    free(archive);
}

bool source_is_cxx(const struct item *source)
{
    static const char cxx[] = " .cc .cp .cxx .cpp .CPP .c++ .C .ii .hh .hpp .hxx ";
    static const char assembly[] = " .s .S .sx ";
    const char *dot = strrchr(source->word, '.');
    if (source->language)
        return strstr(source->language, "c++") != NULL;
    char *word = dot && !strchr(dot, ' ') ? xasprintf(" %s ", dot) : NULL;
    if (driver_is_cxx())
        return !word || !strstr(assembly, word);
    return word && strstr(cxx, word);
}

// gcc names the dependency file of a link after the output, and not after our temporary object.
static void dependency_flags(const struct options *o, const struct item *source, struct list *to)
{
    const char *base = strrchr(source->word, '/');
    base = base ? base + 1 : source->word;
    int stem = (int)(strrchr(base, '.') ? strrchr(base, '.') - base : (long)strlen(base));
    if (!o->dep_file) {
        list_add(to, "-MF");
        list_add(to, xasprintf("%s-%.*s.d", o->output ? o->output : "a", stem, base));
    }
    if (!o->dep_target) {
        list_add(to, "-MQ");
        list_add(to, o->output ? o->output : xasprintf("%.*s.o", stem, base));
    }
}

int compile_source(const struct options *o, const struct item *source, const char *object)
{
    struct list argv = {0};
    list_add_all(&argv,
                 (const char *const[]){gcc_name(), "-ffunction-sections", "-fdata-sections", NULL});
    for (size_t i = 0; i < o->common.n; i++)
        list_add(&argv, o->common.v[i]);
    if (o->deps)
        dependency_flags(o, source, &argv);
    compile_flags(o, source_is_cxx(source), &argv);
    list_add_all(&argv, (const char *const[]){"-c", "-o", object, NULL});
    if (source->language)
        list_add_all(&argv, (const char *const[]){"-x", source->language, NULL});
    list_add(&argv, source->word);
    return run(o, &argv, NULL);
}
