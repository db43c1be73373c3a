// SPDX-License-Identifier: ISC
// Processes and their threads as Linux knows them. Private to linux/.
// Owner of the signal fields: signal.c; of the thread fields: thread.c; of the image fields:
// exec.c.
#ifndef LITH_LINUX_PROCESS_H
#define LITH_LINUX_PROCESS_H

#include <asm/signal.h>
#include <asm/siginfo.h>
#include <linux/resource.h>
#include "linux/linux.h"

#define PROC_NSIG 64

struct pending_signal {
    struct list_head link;
    siginfo_t info;
};

// Kernel's struct sigaction (asm/signal.h's is the libc one on some versions): the system call's
// layout.
struct k_sigaction {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

struct process {
    int pid, ppid, pgid, sid;
    uint32_t uid, gid;
    struct mm_space *mm;
    struct fd_table *fds;
    struct fs_context *fs;
    unsigned umask;
    char comm[16];
    char *exe;     // absolute path
    char *cmdline; // argv joined by NULs
    size_t cmdline_len;
    char *environ; // the environment it was started with, behind cmdline in one piece
    size_t environ_len;
    struct list_head threads; // struct linux_thread.in_process
    unsigned thread_count;
    struct rlimit limits[RLIM_NLIMITS];
    // signals
    struct k_sigaction actions[PROC_NSIG + 1];
    uint64_t pending; // bit n-1: signal n, for the whole process
    struct list_head pending_info;
    unsigned pending_count;         // entries of all pending_info lists: RLIMIT_SIGPENDING
    struct wait_queue signal_queue; // woken (EPOLLIN) whenever a signal is queued: signalfd
    bool exiting;
    int exit_status; // wait status
    uint64_t start_ns;
    void *itimers; // time.c
    void *posix_timers;
    uint64_t brk_start;
    int dumpable;
    void *creds;          // ident.c
    uint64_t dead_cpu_ns; // CPU time of threads that are gone
    uint64_t auxv[64];    // for /proc/self/auxv
    unsigned auxv_len;
};

struct linux_thread {
    struct thread *thread;
    struct process *process;
    int tid;
    struct list_head in_process;
    uint64_t sigmask;
    // Of sigsuspend, ppoll, epoll_pwait: put back when the call returns or the frame is built.
    uint64_t saved_sigmask;
    bool restore_sigmask;
    uint64_t pending;
    struct list_head pending_info;
    uint64_t sigwait; // signals that rt_sigtimedwait waits for, blocked or not
    stack_t altstack;
    uint64_t trap_vector, trap_error, trap_addr; // of the last fault, for signal frames
    uint32_t *clear_child_tid;                   // user address
    void *robust_list;
    size_t robust_list_len;
    void *rseq;
    // restart of interrupted calls (ERESTARTSYS family, see signal.c)
    bool restarting; // the call is made again after ERESTART_RESTARTBLOCK
    uint64_t restart_deadline;
};

static inline struct linux_thread *current_lt(void)
{
    return thread_current()->linux_thread;
}
static inline struct process *current_process(void)
{
    return current_lt()->process;
}

// Kernel-internal results of interrupted calls (as Linux): signal.c turns them into -EINTR or a
// restart.
#define ERESTARTSYS           512 // restart if the handler has SA_RESTART (or there is no handler)
#define ERESTARTNOINTR        513 // restart always
#define ERESTARTNOHAND        514 // restart only if no handler runs (sigsuspend, poll)
#define ERESTART_RESTARTBLOCK 516 // -EINTR with a handler; else restart with call_deadline()
// Absolute deadline of a call with a relative timeout (UINT64_MAX: none): the same one when the
// call is made again. For calls that return -ERESTART_RESTARTBLOCK.
uint64_t call_deadline(uint64_t timeout_ns);
// sched_block() for what a program waits for: a timeout ends up to the timer slack later, as on
// Linux (PR_SET_TIMERSLACK): threads that sleep for microseconds leave time between for others.
int block_until(uint64_t deadline_ns);
#define TIMER_SLACK_DEFAULT_NS 50000u
extern uint64_t timer_slack_ns; // of all threads

// signal.c
int signal_send_process(struct process *p, int sig, const siginfo_t *info); // info NULL: SI_KERNEL
int signal_send_thread(struct linux_thread *t, int sig, const siginfo_t *info);
// For the current thread: SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP; blocked or ignored: it dies.
void signal_force_fault(int sig, int code, uint64_t addr);
bool signal_pending(struct linux_thread *t); // something unblocked waits
// Takes one pending signal of `mask` (thread's first, then process's) for the current thread: its
// number with *out filled, or 0. For signalfd and rt_sigtimedwait.
int signal_dequeue(uint64_t mask, siginfo_t *out);
// Installs a temporary mask (ppoll & co.): returns 0 or -EINVAL/-EFAULT.
int signal_set_temp_mask(const void *user_mask, size_t size);
// Puts the mask of signal_set_temp_mask() back at once (the call did not wait after all).
void signal_restore_mask(void);
// Whoever makes pipes or sockets calls this: writing to a broken one raises SIGPIPE from then on.
void signal_use_pipes(void);
extern void (*signal_broken_pipe)(void); // fileio.c
// thread.c
// What a leaving thread owes to signals and futexes; NULL where they are not part of the image.
extern struct thread_leaving {
    // Its part of the process's pending signals goes to others.
    void (*signals)(struct linux_thread *t);
    // Marks the locks that it still holds as without owner (set_robust_list), and wakes.
    void (*robust)(struct linux_thread *t);
    long (*wake)(uint32_t *uaddr, bool shared, unsigned n, uint32_t bitset); // futex_wake
} thread_leaving;
// A thread of `p` that will run fn(arg) in kernel mode, with an FPU area and a number of its own
// (the process's for its first). Not started. -ENOMEM, -EAGAIN.
int linux_thread_create(struct process *p, struct linux_thread **out, void (*fn)(void *),
                        void *arg);
uint64_t process_cpu_ns(const struct process *p);
void process_exit_group(int wait_status) __attribute__((noreturn)); // current thread's process
struct process *process_find(int pid);
struct linux_thread *linux_thread_find(int tid);
extern struct process *process_init; // process 1
// vdso.c: maps the vDSO; returns the address of its ELF header (AT_SYSINFO_EHDR), or -errno.
long vdso_map(struct mm_space *s);
// memory_fault.c, proc_net.c: their files in /proc
int procfs_fill_memory(void);
int procfs_fill_net(void); // only where the network is linked (net_proc)
// futex.c
// FUTEX_WAKE on a user word of the current process: threads woken, or -errno.
long futex_wake(uint32_t *uaddr, bool shared, unsigned n, uint32_t bitset);
// process.c: number 1, without memory and threads. NULL: memory is short.
struct process *process_create(void);
// exec.c: loads the program into a fresh space and starts it in the current thread. 0 never
// returns.
int exec_start(struct process *p, const char *path, const char *const argv[],
               const char *const envp[]);
// fd helpers (file.c)
static inline struct file *fget(int fd)
{
    return fd_get(current_process()->fds, fd);
}
int fd_install_current(struct file *f,
                       bool cloexec); // with the process's limit; on error f is released
// Copies a path in: kernel memory from kmalloc, or NULL with *err (-EFAULT, -ENAMETOOLONG,
// -ENOMEM).
char *path_in(const char *user_path, int *err);

#endif
