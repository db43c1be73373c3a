// SPDX-License-Identifier: ISC
// Threads of programs: clone for threads, exit, numbers. A second process (fork, vfork, clone
// without CLONE_THREAD) is refused: there is one address space with one program in it.
#include <linux/errno.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include "linux/process.h"

#define TID_MAX 4194304 // Linux's PID_MAX_LIMIT

// What a new thread shares with its creator; less is another process.
#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
// Meaningless or already true here.
#define HARMLESS_FLAGS (CLONE_SYSVSEM | CLONE_IO | CLONE_PTRACE | CLONE_UNTRACED | CLONE_DETACHED)
#define KNOWN_FLAGS                                                                            \
    (THREAD_FLAGS | HARMLESS_FLAGS | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | \
     CLONE_CHILD_CLEARTID)

struct process *process_init;
struct thread_leaving thread_leaving;
static int last_tid = 1;

struct process *process_find(int pid)
{
    return process_init && process_init->pid == pid ? process_init : NULL;
}

struct linux_thread *linux_thread_find(int tid)
{
    if (!process_init)
        return NULL;
    list_for_each (pos, &process_init->threads) {
        struct linux_thread *t = list_entry(pos, struct linux_thread, in_process);

        if (t->tid == tid)
            return t;
    }
    return NULL;
}

uint64_t process_cpu_ns(const struct process *p)
{
    uint64_t ns = p->dead_cpu_ns;

    list_for_each (pos, &p->threads)
        ns += thread_cpu_ns(list_entry(pos, struct linux_thread, in_process)->thread);
    return ns;
}

static void linux_thread_free(struct thread *thread)
{
    struct linux_thread *t = thread->linux_thread;

    list_for_each_safe (pos, &t->pending_info)
        kfree(list_entry(pos, struct pending_signal, link));
    kfree(t);
}

static int alloc_tid(const struct process *p)
{
    if (list_empty(&p->threads))
        return p->pid;
    for (int n = 0; n < TID_MAX; n++) {
        last_tid = last_tid >= TID_MAX - 1 ? 2 : last_tid + 1;
        if (!linux_thread_find(last_tid))
            return last_tid;
    }
    return -EAGAIN;
}

int linux_thread_create(struct process *p, struct linux_thread **out, void (*fn)(void *), void *arg)
{
    struct linux_thread *t = kzalloc(sizeof(*t));
    int err;

    if (!t)
        return -ENOMEM;
    list_init(&t->pending_info);
    t->altstack.ss_flags = SS_DISABLE;
    t->process = p;
    t->tid = err = alloc_tid(p);
    if (err < 0)
        goto out_free;
    err = thread_create(&t->thread, p->comm, fn, arg);
    if (err)
        goto out_free;
    t->thread->linux_thread = t;
    t->thread->on_exit = linux_thread_free;
    err = thread_add_fpu(t->thread);
    if (err) {
        thread_discard(t->thread); // frees t
        return err;
    }
    memset(t->thread->arch.calls, 0xff, sizeof(t->thread->arch.calls)); // ARCH_CALL_NONE
    list_add_tail(&t->in_process, &p->threads);
    p->thread_count++;
    *out = t;
    return 0;
out_free:
    kfree(t);
    return err;
}

// Ends the instance: process 1 is all there is. Other threads simply never run again.
void process_exit_group(int wait_status)
{
    int sig = wait_status & 0x7f;

    current_process()->exiting = true;
    current_process()->exit_status = wait_status;
    if (core_end_hook)
        core_end_hook();
    chart_print();
    plat_exit(sig ? 128 + sig : wait_status >> 8 & 0xff);
}

static void thread_leave(int status) __attribute__((noreturn));
static void thread_leave(int status)
{
    struct linux_thread *t = current_lt();
    struct process *p = t->process;

    if (thread_leaving.robust)
        thread_leaving.robust(t);
    if (t->clear_child_tid) {
        uint32_t zero = 0;

        if (!put_user(t->clear_child_tid, &zero) && thread_leaving.wake)
            thread_leaving.wake(t->clear_child_tid, true, 1, ~0u);
    }
    if (t->tid == p->pid)
        p->exit_status = (status & 0xff) << 8;
    if (p->thread_count == 1)
        process_exit_group(p->exit_status);
    list_del(&t->in_process);
    p->thread_count--;
    p->dead_cpu_ns += thread_cpu_ns(t->thread);
    if (thread_leaving.signals)
        thread_leaving.signals(t);
    thread_exit();
}

SYSCALL(60, exit, int status)
{
    thread_leave(status);
}

SYSCALL(231, exit_group, int status)
{
    process_exit_group((status & 0xff) << 8);
}

struct clone_request {
    uint64_t flags, stack, tls;
    uint32_t *parent_tid, *child_tid;
};

// First code of a new thread: continues where the clone call returns, in the child's registers.
static void clone_child(void *arg)
{
    struct regs r = *(struct regs *)arg;

    kfree(arg);
    arch_enter_user(&r);
}

static long refuse_process(const char *what)
{
    static bool logged;

    if (!logged)
        log_warn("%s: this kernel runs one process; a second one is refused (ENOSYS)", what);
    logged = true;
    return -ENOSYS;
}

static long clone_thread(const struct clone_request *c)
{
    struct linux_thread *cur = current_lt(), *t;
    struct regs *r;
    int err, tid;

    if ((c->flags & CLONE_THREAD) && !(c->flags & CLONE_SIGHAND))
        return -EINVAL;
    if ((c->flags & CLONE_SIGHAND) && !(c->flags & CLONE_VM))
        return -EINVAL;
    if ((c->flags & THREAD_FLAGS) != THREAD_FLAGS)
        return refuse_process("clone");
    if (c->flags & ~(uint64_t)KNOWN_FLAGS)
        return -EINVAL;
    r = kmalloc(sizeof(*r));
    if (!r)
        return -EAGAIN;
    *r = *arch_user_regs();
    r->rax = 0;
    if (c->stack)
        r->rsp = c->stack;
    err = linux_thread_create(cur->process, &t, clone_child, r);
    if (err) {
        kfree(r);
        return -EAGAIN;
    }
    lib_strlcpy(t->thread->name, cur->thread->name, sizeof(t->thread->name));
    t->thread->nice = cur->thread->nice;
    t->sigmask = cur->sigmask;
    arch_fpu_save(t->thread->arch.fpu);
    t->thread->arch.fs_base = c->flags & CLONE_SETTLS ? c->tls : arch_fs_base_get();
    if (c->flags & CLONE_CHILD_CLEARTID)
        t->clear_child_tid = c->child_tid;
    tid = t->tid;
    // Bad pointers are ignored here, as Linux does.
    if (c->flags & CLONE_PARENT_SETTID)
        (void)put_user((int *)c->parent_tid, &tid);
    if (c->flags & CLONE_CHILD_SETTID)
        (void)put_user((int *)c->child_tid, &tid);
    thread_start(t->thread);
    return tid;
}

SYSCALL_REGS(56, clone, unsigned long flags, unsigned long stack, uint32_t *parent_tid,
             uint32_t *child_tid, unsigned long tls)
{
    struct clone_request c = {flags & ~(uint64_t)CSIGNAL, stack, tls, parent_tid, child_tid};

    return clone_thread(&c);
}

SYSCALL_REGS(435, clone3, struct clone_args *user_args, size_t size)
{
    struct clone_args a = {0};
    struct clone_request c;

    if (size < CLONE_ARGS_SIZE_VER0)
        return -EINVAL;
    if (size > PAGE_SIZE)
        return -E2BIG;
    if (copy_in(&a, user_args, MIN(size, sizeof(a))))
        return -EFAULT;
    for (size_t at = sizeof(a); at < size; at++) { // what this kernel does not know must be zero
        uint8_t byte;

        if (get_user(&byte, (const uint8_t *)user_args + at))
            return -EFAULT;
        if (byte)
            return -E2BIG;
    }
    if ((a.flags & (CLONE_DETACHED | CSIGNAL)) || a.set_tid || a.set_tid_size ||
        a.exit_signal & ~0xffull)
        return -EINVAL;
    if (!!a.stack != !!a.stack_size || ((a.flags & CLONE_THREAD) && a.exit_signal))
        return -EINVAL;
    c = (struct clone_request){
        .flags = a.flags,
        .stack = a.stack + a.stack_size,
        .tls = a.tls,
        .parent_tid = (uint32_t *)a.parent_tid,
        .child_tid = (uint32_t *)a.child_tid,
    };
    return clone_thread(&c);
}

SYSCALL_REGS(57, fork, void)
{
    return refuse_process("fork");
}

SYSCALL_REGS(58, vfork, void)
{
    return refuse_process("vfork");
}

SYSCALL_QUICK(186, gettid, void)
{
    return current_lt()->tid;
}

SYSCALL_QUICK(39, getpid, void)
{
    return process_init->pid;
}

SYSCALL_QUICK(110, getppid, void)
{
    return process_init->ppid; // there is one process
}

SYSCALL(218, set_tid_address, uint32_t *uaddr)
{
    current_lt()->clear_child_tid = uaddr;
    return current_lt()->tid;
}

// There are never children to wait for.
SYSCALL(61, wait4, int pid, int *status, int options, void *rusage)
{
    (void)status;
    (void)rusage;
    return pid == INT32_MIN ? -ESRCH : options & ~0xe000000b ? -EINVAL : -ECHILD;
}

SYSCALL(247, waitid, int which, int id, void *info, int options, void *rusage)
{
    (void)id;
    (void)info;
    (void)rusage;
    return which < 0 || which > 3 || !(options & 0xe) ? -EINVAL : -ECHILD;
}

// No restartable sequences: glibc and others then use their other ways.
SYSCALL(334, rseq, void *area, unsigned len, int flags, unsigned sig)
{
    (void)area;
    (void)len;
    (void)flags;
    (void)sig;
    return -ENOSYS;
}

SYSCALL(158, arch_prctl, int code, unsigned long addr)
{
    uint64_t base;

    switch (code) {
    case 0x1002: // ARCH_SET_FS
        if (addr >= arch_user_end)
            return -EPERM;
        arch_fs_base_set(addr);
        current_lt()->thread->arch.fs_base = addr;
        return 0;
    case 0x1003: // ARCH_GET_FS
        base = arch_fs_base_get();
        return put_user((uint64_t *)addr, &base);
    case 0x1001: // ARCH_SET_GS: GS is the kernel's (DESIGN.md section 3)
        log_warn("arch_prctl(ARCH_SET_GS): GS belongs to this kernel: EPERM");
        return -EPERM;
    default:
        return -EINVAL;
    }
}
