// SPDX-License-Identifier: ISC
// Start in link mode: the program is part of the image. What a Linux kernel would have made for it
// is made here: a process with a stack, argc, argv, envp and the auxiliary vector, and the console
// as descriptors 0 to 2; then lith_main() of the libc runs as the program's first code.
#include <asm-generic/errno.h>
#include <linux/auxvec.h>
#include <linux/elf.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include "linux/process.h"

#define STACK_BYTES (8ul << 20)
#define STACK_GUARD (64 * PAGE_SIZE)
#define AUX_WORDS   40

extern void lith_main(long *sp) __attribute__((noreturn));
// kernel.ld: the initial image of thread-local storage; its bytes, those with the zeroed part,
// alignment.
extern char link_tls_image[];
extern const uint64_t link_tls[3];

static uint8_t *stack_top;
static Elf64_Phdr headers[2]; // what the libc looks for: run-time addresses, base 0

static void call_again(struct regs *r)
{
    syscall_fn fn = (syscall_fn)r->r11;
    r->rax = (uint64_t)fn((long)r->rdi, (long)r->rsi, (long)r->rdx, (long)r->rcx, (long)r->r8,
                          (long)r->r9);
}

static void result_restarts(struct regs *r)
{
    (void)r;
    thread_add_user_work(thread_current());
}

// A fault of a program that has no part that knows signals: a report, and the status that the
// signal's default action would give (SIGSEGV 11, SIGBUS 7, SIGILL 4, SIGFPE 8).
static void fault_ends(unsigned vector, uint64_t error, uint64_t addr, struct regs *r)
{
    char title[128];
    const char *how = "", *why = "";
    int sig = vector == 13 || vector == 14 ? 11 : vector == 6 ? 4 : 8;
    if (vector == 14) {
        how = error & 2 ? " (write)" : error & 16 ? " (execute)" : " (read)";
        if (addr < LITH_LOW_GUARD_END) {
            why = ": null pointer";
        } else if (mm_fault(process_init->mm, addr, error & 2, error & 16) == -ENOMEM) {
            why = ": no memory is left (lith run -m)";
            sig = 7;
        }
    }
    lib_snprintf(title, sizeof(title), "program ended by %s%s%s", report_exception_name(vector),
                 how, why);
    report_fault(title, r, vector == 14 ? addr : REPORT_NO_ADDRESS);
    plat_exit(128 + sig);
}

static void outside_ends(int sig)
{
    plat_exit(128 + sig);
}

static const char *program_name(void)
{
    return process_init ? process_init->comm : "start-up";
}

static uint64_t push_string(const char *s)
{
    size_t n = strlen(s) + 1;
    stack_top -= n;
    memcpy(stack_top, s, n);
    return (uintptr_t)stack_top;
}

// argv, envp and auxv as at a Linux process's entry (System V ABI, figure 3.9); sp is 16-aligned.
static long *build_stack(struct process *p)
{
    uint64_t random[2] = {random_u64(), random_u64()};
    headers[0] = (Elf64_Phdr){.p_type = PT_TLS,
                              .p_vaddr = (uintptr_t)link_tls_image,
                              .p_filesz = link_tls[0],
                              .p_memsz = link_tls[1],
                              .p_align = link_tls[2]};
    headers[1] = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_memsz = STACK_BYTES};
    stack_top -= sizeof(random);
    memcpy(stack_top, random, sizeof(random));
    uint64_t at_random = (uintptr_t)stack_top, name = 0;
    size_t words = 1 + boot_config.argc + 2 + boot_config.envc + 1 + AUX_WORDS;
    // The strings lie above the vectors: make room first, fill both.
    uint64_t bytes = 0;
    for (unsigned i = 0; i < boot_config.argc; i++)
        bytes += strlen(boot_config.argv[i]) + 1;
    for (unsigned i = 0; i < boot_config.envc; i++)
        bytes += strlen(boot_config.envp[i]) + 1;
    long *sp = (long *)ALIGN_DOWN((uintptr_t)stack_top - bytes - words * 8, 16ul), *v = sp;
    *v++ = boot_config.argc;
    for (unsigned i = 0; i < boot_config.argc; i++)
        *v++ = (long)push_string(boot_config.argv[i]);
    if (boot_config.argc)
        name = (uint64_t)sp[1];
    *v++ = 0;
    for (unsigned i = 0; i < boot_config.envc; i++)
        *v++ = (long)push_string(boot_config.envp[i]);
    *v++ = 0;
    const uint64_t aux[] = {
        AT_PAGESZ,      PAGE_SIZE,
        AT_CLKTCK,      100,
        AT_PHDR,        (uintptr_t)headers,
        AT_PHENT,       sizeof(headers[0]),
        AT_PHNUM,       ARRAY_LEN(headers),
        AT_UID,         p->uid,
        AT_EUID,        p->uid,
        AT_GID,         p->gid,
        AT_EGID,        p->gid,
        AT_SECURE,      0,
        AT_RANDOM,      at_random,
        AT_EXECFN,      name,
        AT_MINSIGSTKSZ, 1024 + arch_fpu_size() + 128,
        AT_NULL,        0,
    };
    compile_assert(aux_fits, ARRAY_LEN(aux) <= AUX_WORDS && ARRAY_LEN(aux) <= 64);
    memcpy(v, aux, sizeof(aux));
    memcpy(p->auxv, aux, sizeof(aux));
    p->auxv_len = ARRAY_LEN(aux);
    return sp;
}

static int map_stack(struct process *p)
{
    uint64_t top = ALIGN_DOWN(LITH_USER_END - PAGE_SIZE - random_u64() % (1ul << 34), PAGE_SIZE);
    uint64_t start = top - STACK_BYTES;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    long at = mm_map(p->mm, start - STACK_GUARD, STACK_GUARD, PROT_NONE, flags, NULL, 0);
    if (at >= 0)
        at = mm_map(p->mm, start, STACK_BYTES, PROT_READ | PROT_WRITE, flags | MAP_STACK, NULL, 0);
    stack_top = (uint8_t *)top - 8;
    return at < 0 ? (int)at : 0;
}

static int prepare(struct process *p)
{
    int err = 0;
    p->mm = mm_space_create();
    if (!p->mm)
        return -ENOMEM;
    mm_allow_wx(p->mm, boot_config.allow_wx);
    for (int fd = 0; fd < 3; fd++) {
        struct file *f;
        err = console_open(fd, &f);
        if (!err)
            err = fd_install(p->fds, f, fd, false, 3);
        if (err < 0)
            return err;
    }
    err = fs_names && boot_config.cwd ? fs_names->chdir(p->fs, NULL, boot_config.cwd) : 0;
    if (err) {
        log_error("cannot start in the working directory %s (errno %d)", boot_config.cwd, -err);
        plat_exit(127);
    }
    p->brk_start = LITH_USER_MIN + (1ul << 32) + ALIGN_DOWN(random_u64() % (1ul << 25), PAGE_SIZE);
    mm_set_brk(p->mm, p->brk_start);
    return map_stack(p);
}

static void first_thread(void *arg)
{
    struct process *p = arg;
    int err = prepare(p);
    if (err)
        panic("the program's process cannot be made (error %d): give it more memory (-m)", -err);
    long *sp = build_stack(p);
    struct regs r = {.rip = (uintptr_t)lith_main,
                     .rdi = (uintptr_t)sp,
                     .rsp = (uintptr_t)sp - 8, // as after a call
                     .rflags = 0x202,
                     .orig_rax = (uint64_t)-1,
                     .cs = plat_info.ring ? LITH_SEL_UCODE : LITH_SEL_KCODE,
                     .ss = plat_info.ring ? LITH_SEL_UDATA : LITH_SEL_KDATA};
    arch_enter_user(&r);
}

static void run(void)
{
    struct linux_thread *t;
    struct process *p = process_create();
    if (!p)
        panic("the program's process cannot be made: give it more memory (-m)");
    const char *path = boot_config.argc ? boot_config.argv[0] : "program",
               *name = strrchr(path, '/');
    lib_strlcpy(p->comm, name ? name + 1 : path, sizeof(p->comm));
    p->exe = kstrdup(path);
    process_init = p;
    int err = linux_thread_create(p, &t, first_thread, p);
    if (err)
        panic("the program's first thread cannot be made (error %d)", -err);
    thread_start(t->thread);
    sched_take_outside_signal();
    chart_mark("process 1");
    sched_run();
}

int link_init(void);
int link_init(void)
{
    kernel_run = run;
    arch_user_end = LITH_KERNEL_CEIL; // what is linked with the kernel is no stranger's memory
    arch_syscall_hook = call_again;
    arch_restart_hook = result_restarts;
    report_thread_name = program_name;
    if (!sched_signal_hook)
        sched_signal_hook = outside_ends;
    if (!arch_user_exception_hook)
        arch_user_exception_hook = fault_ends;
    return 0;
}
INIT_RECORD(INIT_LINUX + 1, link_init, link_init);
