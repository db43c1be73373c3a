// SPDX-License-Identifier: ISC
// lith-cc: what is to be done, in which order, and the programs that do it.
//
//   lith-cc [gcc's options] [--release] [--load-high] FILE...
//   lith-c++ [g++'s options] [--release] [--load-high] FILE...
//
// Without a link gcc does the whole job in one call. With one, each source is compiled into a
// temporary folder and the objects are linked in the order of the command line.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cc/cc.h"

static char *tmp; // folder of the objects, or NULL
static bool cxx;  // called lith-c++

static void tmp_remove(void)
{
    if (tmp)
        remove_all(AT_FDCWD, tmp);
}

void die(const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "%s: error: ", driver_name());
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    tmp_remove();
    exit(1);
}

const char *lib_dir(void)
{
    static const char *dir;
    if (!dir) {
        const char *env = getenv("LITH_LIB");
        char *beside = xasprintf("%s/../lib", exe_dir()), *plain = realpath(beside, NULL);
        dir = env && *env ? env : plain ? plain : beside;
    }
    return dir;
}

const char *gcc_name(void)
{
    const char *env = getenv(cxx ? "LITH_GXX" : "LITH_GCC");
    return env && *env ? env : cxx ? "g++" : "gcc";
}

const char *driver_name(void)
{
    return cxx ? "lith-c++" : "lith-cc";
}

bool driver_is_cxx(void)
{
    return cxx;
}

const char *gcc_dir(void)
{
    static char *dir;
    if (dir)
        return dir;
    const char *argv[] = {gcc_name(), "-print-libgcc-file-name", NULL};
    struct buf out = {0};
    struct err e;
    if (program_run(argv, "gcc", &out, &e) < 0)
        die("%s", e.text);
    char *slash = out.data ? strrchr(out.data, '/') : NULL;
    if (!slash)
        die("%s -print-libgcc-file-name names no file: is it gcc?", gcc_name());
    *slash = 0;
    dir = out.data;
    return dir;
}

static void print_command(const struct list *argv)
{
    for (size_t i = 0; i < argv->n; i++) {
        const char *w = argv->v[i];
        bool plain = *w && !strpbrk(w, " \t\n\"'\\$`*?;&|<>()[]#~");
        fprintf(stderr, plain ? " %s" : " '%s'", w);
    }
    fputc('\n', stderr);
}

int run(const struct options *o, struct list *argv, const char *errors)
{
    pid_t pid;
    int status;
    posix_spawn_file_actions_t fa;
    list_add(argv, NULL);
    argv->n--;
    if (o->verbose)
        print_command(argv);
    if (o->print_only)
        return 0;
    char **args = (char **)(uintptr_t)argv->v; // posix_spawnp does not change them
    posix_spawn_file_actions_init(&fa);
    if (errors)
        posix_spawn_file_actions_addopen(&fa, 2, errors, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int error = posix_spawnp(&pid, args[0], &fa, NULL, args, environ);
    posix_spawn_file_actions_destroy(&fa);
    if (error)
        die("cannot run %s: %s (apt-get install gcc g++ lld)", args[0], strerror(error));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "%s: fatal error: %s was ended by signal %d\n", driver_name(), args[0],
                WTERMSIG(status));
        return 128 + WTERMSIG(status);
    }
    return WEXITSTATUS(status);
}

// gcc's whole command line for what it does without us. `only`: of all sources this one, or NULL.
static void gcc_words(const struct options *o, bool any_cxx, const char *only, struct list *argv)
{
    list_add_all(argv,
                 (const char *const[]){gcc_name(), "-ffunction-sections", "-fdata-sections", NULL});
    for (size_t i = 0; i < o->gcc.n; i++) {
        bool other = false; // another source: the list has the items' own words
        for (size_t k = 0; only && k < o->item_count; k++)
            other |= o->items[k].kind == ITEM_SOURCE && o->items[k].word == o->gcc.v[i];
        if (!other || o->gcc.v[i] == only)
            list_add(argv, o->gcc.v[i]);
    }
    compile_flags(o, any_cxx, argv);
}

static _Noreturn void exec_gcc(const struct options *o, struct list *argv)
{
    list_add(argv, NULL);
    argv->n--;
    if (o->verbose && o->has_inputs)
        print_command(argv);
    execvp(gcc_name(), (char **)(uintptr_t)argv->v);
    die("cannot run %s: %s (apt-get install %s)", gcc_name(), strerror(errno), cxx ? "g++" : "gcc");
}

// Questions (--version, -v, -print-..., --help), and gcc's own complaint. The name in messages is
// ours.
static _Noreturn void ask_gcc(const struct options *o)
{
    struct list argv = {0};
    list_add(&argv, driver_name());
    for (size_t i = 0; i < o->gcc.n; i++)
        list_add(&argv, o->gcc.v[i]);
    exec_gcc(o, &argv);
}

// -c and its kind: gcc takes our place, but where C and C++ are mixed, whose folders of headers
// differ.
static int compile_only(const struct options *o)
{
    struct list argv = {0};
    size_t sources = 0, with_cxx = 0;
    int status = 0;
    for (size_t i = 0; i < o->item_count; i++)
        if (o->items[i].kind == ITEM_SOURCE) {
            sources++;
            with_cxx += source_is_cxx(&o->items[i]);
        }
    if (with_cxx == 0 || with_cxx == sources) {
        gcc_words(o, with_cxx > 0, NULL, &argv);
        exec_gcc(o, &argv);
    }
    for (size_t i = 0; i < o->item_count; i++) {
        if (o->items[i].kind != ITEM_SOURCE)
            continue;
        argv.n = 0;
        gcc_words(o, source_is_cxx(&o->items[i]), o->items[i].word, &argv);
        status |= run(o, &argv, NULL);
    }
    return status ? 1 : 0;
}

static void note_signal(int number)
{
    (void)number; // the compiler has got it, too: it ends, and then we do, without leaving files
}

// An object's name in the temporary folder: the source's, so that the link map can be read.
static char *object_name(const char *source, size_t number)
{
    const char *base = strrchr(source, '/');
    base = base ? base + 1 : source;
    return xasprintf("%s/%zu/%.*s.o", tmp, number, (int)strcspn(base, "."), base);
}

static int compile_and_link(struct options *o)
{
    const char **objects = xcalloc(o->item_count + 1, sizeof(*objects));
    const char *env = getenv("TMPDIR");
    int status = 0;
    struct sigaction catch = {.sa_handler = note_signal};
    sigaction(SIGINT, &catch, NULL);
    sigaction(SIGTERM, &catch, NULL);
    sigaction(SIGHUP, &catch, NULL);
    tmp = xasprintf("%s/lith-cc.XXXXXX", env && *env ? env : "/tmp");
    if (!mkdtemp(tmp)) {
        int error = errno;
        char *wanted = tmp;
        tmp = NULL;
        die("cannot make the temporary folder %s: %s (TMPDIR chooses another place)", wanted,
            strerror(error));
    }
    for (size_t i = 0; i < o->item_count && status == 0; i++) {
        if (o->items[i].kind != ITEM_SOURCE)
            continue;
        char *folder = xasprintf("%s/%zu", tmp, i);
        if (mkdir_all(folder, 0700) < 0)
            die("cannot make the folder %s", folder);
        objects[i] = object_name(o->items[i].word, i);
        status = compile_source(o, &o->items[i], objects[i]);
    }
    if (status == 0)
        status = link_program(o, objects, tmp);
    tmp_remove();
    return status;
}

static int ask_linker(const struct options *o)
{
    struct list argv = {0};
    list_add(&argv, "ld.lld");
    for (size_t i = 0; i < o->item_count; i++)
        if (o->items[i].kind == ITEM_LINKER)
            list_add(&argv, o->items[i].word);
    return run(o, &argv, NULL);
}

int main(int argc, char *argv[])
{
    std_fds();
    static struct options o;
    const char *slash = argc ? strrchr(argv[0], '/') : NULL;
    cxx = argc && strcmp(slash ? slash + 1 : argv[0], "lith-c++") == 0;
    options_parse(&o, argc, argv);
    if (o.dump_machine) {
        puts("x86_64-linux-musl");
        return 0;
    }
    if (o.print_file) {
        char *path = xasprintf("%s/%s", lib_dir(), o.print_file);
        if (access(path, F_OK) == 0) {
            puts(path);
            return 0;
        }
    }
    if (o.linker_asks)
        return ask_linker(&o);
    if (!o.has_inputs)
        ask_gcc(&o);
    if (o.compile_only)
        return compile_only(&o);
    return compile_and_link(&o);
}
