// SPDX-License-Identifier: ISC
// lith-cc: gcc's command line for link mode. gcc compiles, ld.lld links the program with libc and
// the kernel into one bootable ELF (docs/link-mode.md). Errors read as gcc's do and end with
// status 1, so that makefiles and configure scripts may take it for gcc. Called lith-c++ it is to
// lith-cc what g++ is to gcc: every source is C++, and the C++ library is linked.
#ifndef LITH_HOST_CC_CC_H
#define LITH_HOST_CC_CC_H

#include "common/common.h"

// argv under construction: words are borrowed (the command line) or never freed (short-lived tool).
struct list {
    const char **v;
    size_t n;
};
void list_add(struct list *l, const char *word);
void list_add_all(struct list *l, const char *const *words); // up to NULL

// What the link line is made of, in the order in which it was given.
enum item_kind { ITEM_SOURCE, ITEM_FILE, ITEM_LIBRARY, ITEM_LINKER };
struct item {
    enum item_kind kind;
    const char *word;     // path, library's name without -l, or the linker's word
    const char *language; // sources: of -x, or NULL
};

struct options {
    struct list gcc;    // all that gcc gets when it does the whole job (no link)
    struct list common; // what each compilation gets when we link
    struct item *items;
    size_t item_count;
    struct list dirs; // -L
    const char *output, *map;
    const char *dep_file;                            // -MF
    bool compile_only, relocatable, strip;           // -c -S -E -M..., -r, -s
    bool print_only, verbose, release;               // -###, -v, --release
    bool load_high;                                  // --load-high
    bool symbols;                                    // -g: names in fault reports
    bool no_libc, no_std_headers, has_unwind_tables; // -nostdlib ..., -nostdinc, -fexceptions
    bool no_cxx_headers;                             // -nostdinc++
    bool has_inputs, deps, dep_target, dump_machine;
    bool linker_asks; // -Wl,--version and the like: a question for the linker
    const char *print_file;
};

// Takes the command line apart; @files are read. Errors end the program.
void options_parse(struct options *o, int argc, char *argv[]);

// Where libc.a, liblith.a, link.ld and include/ are: LITH_LIB, else ../lib of the executable.
const char *lib_dir(void);
// gcc's own folder (libgcc.a, include/). Asks gcc once.
const char *gcc_dir(void);
const char *gcc_name(void);    // LITH_GCC, else gcc; for lith-c++ LITH_GXX, else g++
const char *driver_name(void); // what we were called: "lith-cc" or "lith-c++"
bool driver_is_cxx(void);

bool source_is_cxx(const struct item *source);
// Ends the program with the way out if the C++ library (`make cxx`) is not in lib_dir().
void require_cxx_library(void);
// Appends what makes a compilation one for link mode, behind the user's own options.
void compile_flags(const struct options *o, bool cxx, struct list *to);
// Compiles a source into `object`. Exit status.
int compile_source(const struct options *o, const struct item *source, const char *object);
// Links: objects[i] stands for items[i] where that is a source. Exit status.
int link_program(const struct options *o, const char *const *objects, const char *tmp);

// symbols.c: an object with the table of the functions in `program`, to be linked with it again.
const char *symbols_object(const struct options *o, const char *program, const char *tmp);

// Runs argv (NULL-terminated here) and waits: its exit status, as a shell has it. Honours -v, -###.
// `errors`: a file for what it says on standard error, or NULL.
int run(const struct options *o, struct list *argv, const char *errors);

// Adds the non-loaded section SECTION_MAP with the link map to the program: `lith size` reads it.
// The name begins with .debug so that GNU strip takes it away, too.
#define SECTION_MAP ".debug_lith_map"
int attach_map(const char *program, const char *map_path, struct err *e);

// Prints "lith-cc: error: ..." (driver_name()) and ends with status 1, temporary files removed.
_Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
