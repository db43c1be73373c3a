// SPDX-License-Identifier: ISC
// Program start: opens a program (or the interpreter of a #! script), maps it and its ld.so into a
// fresh address space, builds the first stack (System V ABI, AMD64 supplement, section 3.4) and
// enters it. Everything that can be refused is refused before the old program is given up; what
// fails after that point (memory) ends the process, as on Linux.
#include <asm-generic/errno.h>
#include <linux/mman.h>
#include <linux/signal.h>
#include <linux/auxvec.h>
#include <linux/elf.h>
#include <linux/fcntl.h>
#include <linux/limits.h>
#include <linux/stat.h>
#include "abi/layout.h"
#include "linux/elf_program.h"
#include "linux/exec_args.h"
#include "linux/process.h"

#define SCRIPT_DEPTH_MAX   5
#define SCRIPT_LINE_MAX    256
#define STACK_SIZE_MAX     (1ull << 30)
#define STACK_SIZE_DEFAULT (8ull << 20)
#define STACK_GUARD        (64 * PAGE_SIZE)
#define STACK_RANDOM       (1ull << 34) // span in which the top of the stack is put
#define PIE_BASE           0x550000000000ull
#define PIE_RANDOM         (1ull << 40)
#define BRK_RANDOM         (1ull << 25)

struct loaded_file {
    struct file *file;
    struct vm_object *object;
    uint64_t base; // added to the file's virtual addresses
    struct elf_program elf;
};

struct exec_state {
    struct loaded_file program, interp;
    struct exec_args *args;
    char exe[PATH_MAX];             // absolute path of the ELF file
    char lines[2][SCRIPT_LINE_MAX]; // first lines of scripts: a script's own path may lie in the
                                    // other one
    const char *reason;             // why a file was refused
    const char *missing;            // the interpreter that cannot be opened
};

static ssize_t_k read_at(void *ctx, void *buf, size_t n, uint64_t off)
{
    return file_read_kernel(ctx, buf, n, off);
}

static int open_executable(struct process *p, struct file *dir, const char *path, struct file **out)
{
    struct stat st;
    struct file *f;
    int err = vfs_open(p->fs, dir, path, O_RDONLY, 0, &f);
    if (err)
        return err;
    err = vfs_fstat(f, &st);
    if (!err && (!S_ISREG(st.st_mode) || !(st.st_mode & 0111)))
        err = -EACCES;
    if (err) {
        file_unref(f);
        return err;
    }
    *out = f;
    return 0;
}

// Parses one ELF file and takes its mapping object.
static int prepare_file(struct loaded_file *l, const char **reason)
{
    struct stat st;
    int err = elf_parse(read_at, l->file, &l->elf, reason);
    if (!err)
        err = vfs_fstat(l->file, &st);
    if (err)
        return err;
    for (unsigned i = 0; i < l->elf.segment_count; i++) {
        const struct elf_segment *s = &l->elf.segment[i];
        if (s->filesz && s->offset + s->filesz > (uint64_t)st.st_size) {
            *reason = "file ends before its last segment";
            return -ENOEXEC;
        }
    }
    if (!l->file->ops->map_object) {
        *reason = "the file system cannot map files";
        return -ENOEXEC;
    }
    return l->file->ops->map_object(l->file, &l->object, PROT_READ | PROT_EXEC, MAP_PRIVATE);
}

static void release_file(struct loaded_file *l)
{
    if (l->object && l->object->ops->unref)
        l->object->ops->unref(l->object);
    if (l->file)
        file_unref(l->file);
    l->object = NULL;
    l->file = NULL;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

// "#!interpreter [one argument]": puts both and the script's path in front of the arguments.
// 1: a script, *interp is what to open next; 0: not one.
static int read_script(struct exec_state *x, char *line, struct file *f, const char *script,
                       const char **interp)
{
    ssize_t_k n = file_read_kernel(f, line, SCRIPT_LINE_MAX - 1, 0);
    if (n < 0)
        return (int)n;
    if (n < 3 || line[0] != '#' || line[1] != '!')
        return 0;
    line[n] = '\0';
    char *end = memchr(line, '\n', (size_t)n);
    if (!end) {
        x->reason = "first line of the script is too long";
        return -ENOEXEC;
    }
    while (end > line + 2 && is_blank(end[-1]))
        end--;
    *end = '\0';
    char *name = line + 2;
    while (is_blank(*name))
        name++;
    char *arg = name;
    while (*arg && !is_blank(*arg))
        arg++;
    if (*arg)
        *arg++ = '\0';
    while (is_blank(*arg))
        arg++;
    if (!*name) {
        x->reason = "script without an interpreter";
        return -ENOEXEC;
    }
    int err = exec_args_script(x->args, name, *arg ? arg : NULL, script);
    *interp = name;
    return err ? err : 1;
}

// Finds the ELF file behind `path`, through scripts, and its ld.so. Nothing of the process changes.
static int prepare(struct process *p, struct exec_state *x, struct file *dir, const char *path)
{
    const char *at = path;
    for (unsigned depth = 0;; depth++) {
        if (depth > SCRIPT_DEPTH_MAX)
            return -ELOOP;
        int err = open_executable(p, at == path ? dir : NULL, at, &x->program.file);
        if (err && depth > 0) {
            x->reason = "cannot open the interpreter that its #! line names, ";
            x->missing = at;
        }
        if (err)
            return err;
        int script = read_script(x, x->lines[depth % 2], x->program.file, at, &at);
        if (script < 0)
            return script;
        if (script == 0)
            break;
        file_unref(x->program.file);
        x->program.file = NULL;
    }
    ssize_t_k len = file_path(x->program.file, x->exe, sizeof(x->exe));
    if (len < 0)
        return (int)len;
    int err = prepare_file(&x->program, &x->reason);
    if (err || !x->program.elf.interp[0])
        return err;
    err = open_executable(p, NULL, x->program.elf.interp, &x->interp.file);
    if (err) {
        x->reason = "cannot open its dynamic linker, ";
        x->missing = x->program.elf.interp;
        return err;
    }
    err = prepare_file(&x->interp, &x->reason);
    return err == -ENOEXEC ? -ELIBBAD : err;
}

// --- from here on: the new address space ---

// Reserves the file's span; all of it is replaced by the segments, or stays inaccessible.
static int reserve_span(struct mm_space *s, struct loaded_file *l, uint64_t want)
{
    const struct elf_program *e = &l->elf;
    uint64_t span = e->end - e->start;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    if (!e->dynamic_base) {
        long at = mm_map(s, e->start, span, PROT_NONE, flags | MAP_FIXED_NOREPLACE, NULL, 0);
        l->base = 0;
        return at < 0 ? (int)at : 0;
    }
    uint64_t room = span + (e->align > PAGE_SIZE ? e->align : 0);
    long at = mm_map(s, want, room, PROT_NONE, flags, NULL, 0);
    if (at < 0)
        return (int)at;
    uint64_t start = ALIGN_UP((uint64_t)at, e->align), end = start + span;
    if (start > (uint64_t)at)
        mm_unmap(s, (uint64_t)at, start - (uint64_t)at);
    if ((uint64_t)at + room > end)
        mm_unmap(s, end, (uint64_t)at + room - end);
    l->base = start - e->start;
    return 0;
}

static int map_segment(struct mm_space *s, const struct loaded_file *l, const struct elf_segment *g)
{
    uint64_t va = l->base + g->vaddr;
    uint64_t start = ALIGN_DOWN(va, PAGE_SIZE), end = ALIGN_UP(va + g->memsz, PAGE_SIZE);
    uint64_t file_end = g->filesz ? ALIGN_UP(va + g->filesz, PAGE_SIZE) : start;
    int prot = (g->read ? PROT_READ : 0) | (g->write ? PROT_WRITE : 0) | (g->exec ? PROT_EXEC : 0);
    if (file_end > start) {
        long at = mm_map(s, start, file_end - start, prot, MAP_PRIVATE | MAP_FIXED, l->object,
                         ALIGN_DOWN(g->offset, PAGE_SIZE));
        if (at < 0)
            return (int)at;
    }
    if (end > file_end) {
        long at = mm_map(s, file_end, end - file_end, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                         NULL, 0);
        if (at < 0)
            return (int)at;
    }
    // ld.so's first allocator takes the rest of its last page and believes that it is zero: clear
    // to the end of the page, not only to memsz.
    if (g->write && g->memsz > g->filesz && file_end > va + g->filesz)
        return zero_out((void *)(va + g->filesz), file_end - (va + g->filesz));
    return 0;
}

static int map_file(struct mm_space *s, struct loaded_file *l, uint64_t want)
{
    int err = reserve_span(s, l, want);
    for (unsigned i = 0; i < l->elf.segment_count && !err; i++)
        err = map_segment(s, l, &l->elf.segment[i]);
    return err;
}

// Maps the stack with its guard below; *top is the first address above it.
static int map_stack(struct process *p, uint64_t *top)
{
    uint64_t size = p->limits[RLIMIT_STACK].rlim_cur;
    if (size == (uint64_t)RLIM_INFINITY)
        size = STACK_SIZE_DEFAULT;
    size = MAX(size, 256 * PAGE_SIZE);
    size = MIN(size, STACK_SIZE_MAX);
    size = ALIGN_UP(size, PAGE_SIZE);
    *top = LITH_USER_END - PAGE_SIZE - ALIGN_DOWN(random_u64() % STACK_RANDOM, PAGE_SIZE);
    uint64_t start = *top - size;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    long at = mm_map(p->mm, start - STACK_GUARD, STACK_GUARD, PROT_NONE, flags, NULL, 0);
    if (at >= 0)
        at = mm_map(p->mm, start, size, PROT_READ | PROT_WRITE, flags | MAP_STACK, NULL, 0);
    if (at < 0)
        return (int)at;
    mm_set_name(p->mm, start - STACK_GUARD, "[stack guard]");
    return mm_set_name(p->mm, start, "[stack]");
}

static uint32_t cpuid_edx(uint32_t leaf)
{
    uint32_t a = leaf, b, c = 0, d;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return d;
}

static void aux_add(struct process *p, uint64_t key, uint64_t value)
{
    ASSERT(p->auxv_len + 2 <= ARRAY_LEN(p->auxv));
    p->auxv[p->auxv_len++] = key;
    p->auxv[p->auxv_len++] = value;
}

struct stack_strings {
    uint64_t strings, random, execfn, platform; // addresses on the new stack
};

static void build_auxv(struct process *p, const struct exec_state *x,
                       const struct stack_strings *at, uint64_t vdso)
{
    const struct loaded_file *prog = &x->program;
    p->auxv_len = 0;
    if (vdso)
        aux_add(p, AT_SYSINFO_EHDR, vdso);
    aux_add(p, AT_HWCAP, cpuid_edx(1));
    aux_add(p, AT_PAGESZ, PAGE_SIZE);
    aux_add(p, AT_CLKTCK, 100);
    aux_add(p, AT_PHDR, prog->elf.phdr_vaddr ? prog->base + prog->elf.phdr_vaddr : 0);
    aux_add(p, AT_PHENT, sizeof(Elf64_Phdr));
    aux_add(p, AT_PHNUM, prog->elf.phnum);
    aux_add(p, AT_BASE, x->interp.file ? x->interp.base + x->interp.elf.start : 0);
    aux_add(p, AT_FLAGS, 0);
    aux_add(p, AT_ENTRY, prog->base + prog->elf.entry);
    aux_add(p, AT_UID, p->uid);
    aux_add(p, AT_EUID, p->uid);
    aux_add(p, AT_GID, p->gid);
    aux_add(p, AT_EGID, p->gid);
    aux_add(p, AT_SECURE, 0);
    aux_add(p, AT_RANDOM, at->random);
    aux_add(p, AT_HWCAP2, 0);
    aux_add(p, AT_EXECFN, at->execfn);
    aux_add(p, AT_PLATFORM, at->platform);
    // Frame of a signal: 1 KiB of registers and siginfo, plus the FPU area with its alignment and
    // mark.
    aux_add(p, AT_MINSIGSTKSZ, 1024 + arch_fpu_size() + 128);
    aux_add(p, AT_NULL, 0);
}

// argc, argv, NULL, envp, NULL, auxv at a 16-byte aligned *sp (System V ABI figure 3.9).
static int write_vectors(struct process *p, const struct exec_args *a, uint64_t strings,
                         uint64_t *sp)
{
    size_t words = 1 + a->argc + 1 + a->envc + 1 + p->auxv_len;
    uint64_t *v = kmalloc(words * sizeof(*v));
    if (!v)
        return -ENOMEM;
    size_t n = 0;
    const char *s = a->strings;
    v[n++] = a->argc;
    for (unsigned i = 0; i < a->argc + a->envc; i++) {
        if (i == a->argc)
            v[n++] = 0;
        v[n++] = strings + (uint64_t)(s - a->strings);
        s += strlen(s) + 1;
    }
    if (a->envc == 0)
        v[n++] = 0;
    v[n++] = 0;
    memcpy(&v[n], p->auxv, p->auxv_len * sizeof(uint64_t));
    *sp = ALIGN_DOWN(*sp - words * sizeof(*v), 16);
    int err = copy_out((void *)*sp, v, words * sizeof(*v));
    kfree(v);
    return err;
}

static int build_stack(struct process *p, const struct exec_state *x, uint64_t top, uint64_t vdso,
                       uint64_t *sp)
{
    static const char platform[] = "x86_64";
    const struct exec_args *a = x->args;
    struct stack_strings at;
    uint8_t seed[16];
    size_t execfn_len = strlen(a->filename) + 1;
    random_bytes(seed, sizeof(seed));
    at.execfn = top - 8 - execfn_len; // Linux leaves a null word at the very top
    at.strings = at.execfn - a->len;
    at.platform = at.strings - sizeof(platform);
    at.random = ALIGN_DOWN(at.platform - sizeof(seed), 16);
    int err = copy_out((void *)at.execfn, a->filename, execfn_len);
    if (!err)
        err = copy_out((void *)at.strings, a->strings, a->len);
    if (!err)
        err = copy_out((void *)at.platform, platform, sizeof(platform));
    if (!err)
        err = copy_out((void *)at.random, seed, sizeof(seed));
    if (err)
        return err;
    build_auxv(p, x, &at, vdso);
    *sp = at.random;
    return write_vectors(p, a, at.strings, sp);
}

// What of the process ends with its old program.
static int renew_process(struct process *p, struct exec_state *x)
{
    struct linux_thread *t = current_lt();
    size_t argv_len = x->args->argv_len, env_len = x->args->len - argv_len;
    char *exe = kstrdup(x->exe), *words = kmalloc(x->args->len + 1);
    if (!exe || !words) {
        kfree(exe);
        kfree(words);
        return -ENOMEM;
    }
    memcpy(words, x->args->strings, x->args->len);
    kfree(p->exe);
    kfree(p->cmdline);
    p->exe = exe;
    p->cmdline = words;
    p->cmdline_len = argv_len;
    p->environ = words + argv_len;
    p->environ_len = env_len;
    const char *name = strrchr(x->args->filename, '/');
    lib_strlcpy(p->comm, name ? name + 1 : x->args->filename, sizeof(p->comm));
    lib_strlcpy(t->thread->name, p->comm, sizeof(t->thread->name));
    for (unsigned i = 1; i <= PROC_NSIG; i++) {
        bool ignored = p->actions[i].handler == SIG_IGN;
        memset(&p->actions[i], 0, sizeof(p->actions[i]));
        if (ignored)
            p->actions[i].handler = SIG_IGN;
    }
    memset(&t->altstack, 0, sizeof(t->altstack));
    t->altstack.ss_flags = SS_DISABLE;
    t->clear_child_tid = NULL;
    t->robust_list = NULL;
    t->rseq = NULL;
    p->dumpable = 1;
    fd_close_on_exec(p->fds);
    if (p->mm)
        mm_space_destroy(p->mm);
    p->mm = mm_space_create();
    mm_current = p->mm;
    if (p->mm && boot_config.allow_wx) {
        log_warn("%s may have memory that is writable and executable at once (wx=1)", p->comm);
        mm_allow_wx(p->mm, true);
    }
    return p->mm ? 0 : -ENOMEM;
}

static int load(struct process *p, struct exec_state *x, struct regs *r)
{
    uint64_t top, sp;
    int err = map_stack(p, &top);
    if (!err)
        err = map_file(p->mm, &x->program,
                       PIE_BASE + ALIGN_DOWN(random_u64() % PIE_RANDOM, PAGE_SIZE));
    if (!err && x->interp.file)
        err = map_file(p->mm, &x->interp, 0);
    if (err)
        return err;
    // The heap grows from behind the program's own data.
    uint64_t data_end = x->program.base + x->program.elf.end;
    p->brk_start = data_end + ALIGN_DOWN(random_u64() % BRK_RANDOM, PAGE_SIZE);
    mm_set_brk(p->mm, p->brk_start);
    long vdso = vdso_map(p->mm);
    if (vdso < 0)
        return (int)vdso;
    err = build_stack(p, x, top, (uint64_t)vdso, &sp);
    if (err)
        return err;
    const struct loaded_file *first = x->interp.file ? &x->interp : &x->program;
    *r = (struct regs){.rip = first->base + first->elf.entry,
                       .rsp = sp,
                       .rflags = 0x202, // interrupts on: the mask is software (arch/arch.h)
                       .orig_rax = (uint64_t)-1,
                       .cs = plat_info.ring ? LITH_SEL_UCODE : LITH_SEL_KCODE,
                       .ss = plat_info.ring ? LITH_SEL_UDATA : LITH_SEL_KDATA};
    if (x->program.elf.exec_stack)
        log_warn("%s asks for an executable stack and does not get one", x->exe);
    return 0;
}

// Takes dir and args over. Returns only with an error that leaves the old program as it was.
static int exec_program(struct process *p, struct file *dir, struct exec_args *args)
{
    struct exec_state *x = kzalloc(sizeof(*x));
    struct regs r;
    int err = x ? 0 : -ENOMEM;
    bool committed = false;
    if (!err) {
        x->args = args;
        err = prepare(p, x, dir, args->filename);
        if (err && x->reason && x->reason[0])
            log_warn("%s: cannot be run: %s%s", args->filename, x->reason,
                     x->missing ? x->missing : "");
    }
    if (!err) {
        err = renew_process(p, x);
        committed = err == 0 || !p->mm;
    }
    if (!err)
        err = load(p, x, &r);
    if (committed && err)
        log_error("%s: could not be loaded (error %d)", args->filename, -err);
    if (x) {
        release_file(&x->program);
        release_file(&x->interp);
        kfree(x);
    }
    if (dir)
        file_unref(dir);
    exec_args_free(args);
    if (committed && err)
        process_exit_group(SIGKILL);
    if (err)
        return err;
    struct thread *t = thread_current();
    arch_fs_base_set(0);
    if (t->arch.fpu) {
        arch_fpu_init(t->arch.fpu);
        arch_fpu_restore(t->arch.fpu);
    }
    arch_enter_user(&r);
}

int exec_start(struct process *p, const char *path, const char *const argv[],
               const char *const envp[])
{
    struct exec_args args;
    int err = exec_args_kernel(&args, path, argv, envp);
    return err ? err : exec_program(p, NULL, &args);
}

// The name under which to open what execveat means: fexecve (an empty path) goes by the file's own
// path.
static int exec_name(int dfd, const char *user_path, int flags, struct file **dir, char **name)
{
    int err;
    *dir = NULL;
    *name = path_in(user_path, &err);
    if (!*name)
        return err;
    if ((*name)[0] == '/' || dfd == AT_FDCWD)
        return (*name)[0] ? 0 : -ENOENT;
    *dir = fget(dfd);
    if (!*dir)
        return -EBADF;
    if ((*name)[0])
        return 0;
    if (!(flags & AT_EMPTY_PATH))
        return -ENOENT;
    kfree(*name);
    *name = kmalloc(PATH_MAX);
    ssize_t_k len = *name ? file_path(*dir, *name, PATH_MAX) : -ENOMEM;
    return len < 0 ? (int)len : 0;
}

static long do_execve(int dfd, const char *path, char *const *argv, char *const *envp, int flags)
{
    struct process *p = current_process();
    struct exec_args args;
    struct file *dir = NULL;
    char *name = NULL;
    if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
        return -EINVAL;
    if (p->thread_count > 1) {
        log_warn("execve in a process with %u threads is not supported: EAGAIN", p->thread_count);
        return -EAGAIN;
    }
    int err = exec_name(dfd, path, flags, &dir, &name);
    if (!err)
        err = exec_args_user(&args, name, argv, envp);
    kfree(name);
    if (!err)
        return exec_program(p, dir, &args);
    if (dir)
        file_unref(dir);
    return err;
}

SYSCALL(59, execve, const char *path, char *const *argv, char *const *envp)
{
    return do_execve(AT_FDCWD, path, argv, envp, 0);
}

SYSCALL(322, execveat, int dfd, const char *path, char *const *argv, char *const *envp, int flags)
{
    return do_execve(dfd, path, argv, envp, flags);
}
