// SPDX-License-Identifier: ISC
// Signals: sending, queues of threads and of the process, masks, and the calls on them. Delivery
// is sigframe.c's. There is no job control: signals whose default is to stop are taken and ignored.
#include <linux/errno.h>
#include <linux/eventpoll.h>
#include "linux/signals.h"
#include "linux/timeutil.h"

static bool is_ignored(const struct process *p, int sig)
{
    void (*h)(int) = p->actions[sig].handler;

    return h == SIG_IGN || (h == SIG_DFL && (SIG_MASK_DEFAULT_IGNORE & sig_bit(sig)));
}

bool signal_pending(struct linux_thread *t)
{
    return (t->pending | t->process->pending) & ~t->sigmask;
}

void signal_recalc(struct linux_thread *t)
{
    t->thread->signal_pending = signal_pending(t);
    thread_update_user_work(t->thread);
}

static bool wants(const struct linux_thread *t, int sig)
{
    return (~t->sigmask | t->sigwait) & sig_bit(sig);
}

// Wakes a thread that takes the signal: the first one that does not block it.
static void notify_process(struct process *p, int sig, const struct linux_thread *except)
{
    list_for_each (pos, &p->threads) {
        struct linux_thread *t = list_entry(pos, struct linux_thread, in_process);

        if (t != except && wants(t, sig)) {
            thread_interrupt(t->thread);
            return;
        }
    }
}

static void flush_signals(struct process *p, uint64_t *pending, struct list_head *queue,
                          uint64_t mask)
{
    *pending &= ~mask;
    list_for_each_safe (pos, queue) {
        struct pending_signal *q = list_entry(pos, struct pending_signal, link);

        if (sig_bit(q->info.si_signo) & mask) {
            list_del(&q->link);
            p->pending_count--;
            if (q->info.si_code == SI_TIMER)
                timer_signal_taken(p, &q->info);
            kfree(q);
        }
    }
}

static void flush_everywhere(struct process *p, uint64_t mask)
{
    flush_signals(p, &p->pending, &p->pending_info, mask);
    list_for_each (pos, &p->threads) {
        struct linux_thread *t = list_entry(pos, struct linux_thread, in_process);

        flush_signals(p, &t->pending, &t->pending_info, mask);
    }
}

// Queues a signal: SIGNAL_*, or -EAGAIN: one that carries data found no room.
static int enqueue(struct process *p, uint64_t *pending, struct list_head *queue, int sig,
                   const siginfo_t *info)
{
    bool from_timer = info && info->si_code == SI_TIMER; // their number is bounded by the timers
    struct pending_signal *q;

    if (sig < SIGRTMIN && (*pending & sig_bit(sig)) && !from_timer)
        return SIGNAL_DROPPED;
    q = from_timer || p->pending_count < p->limits[RLIMIT_SIGPENDING].rlim_cur ? kzalloc(sizeof(*q))
                                                                               : NULL;
    if (q) {
        if (info)
            q->info = *info;
        else
            q->info.si_code = SI_KERNEL;
        q->info.si_signo = sig;
        list_add_tail(&q->link, queue);
        p->pending_count++;
    } else if (from_timer ||
               (sig >= SIGRTMIN && info && info->si_code < 0 && info->si_code != SI_TKILL)) {
        return -EAGAIN;
    }
    *pending |= sig_bit(sig);
    return SIGNAL_QUEUED;
}

static void cancel_opposites(struct process *p, int sig)
{
    if (sig == SIGCONT)
        flush_everywhere(p, SIG_MASK_DEFAULT_STOP);
    else if (SIG_MASK_DEFAULT_STOP & sig_bit(sig))
        flush_everywhere(p, sig_bit(SIGCONT));
}

int signal_send(struct process *p, struct linux_thread *t, int sig, const siginfo_t *info)
{
    const struct linux_thread *keeper = t;
    int ret;

    if (p->exiting || list_empty(&p->threads))
        return SIGNAL_DROPPED;
    cancel_opposites(p, sig);
    // An ignored signal is kept only where it is blocked: the program may want to wait for it.
    if (!keeper)
        keeper = list_first(&p->threads, struct linux_thread, in_process);
    if (is_ignored(p, sig) && !(keeper->sigmask & sig_bit(sig)))
        return SIGNAL_DROPPED;
    ret = t ? enqueue(p, &t->pending, &t->pending_info, sig, info)
            : enqueue(p, &p->pending, &p->pending_info, sig, info);
    if (ret != SIGNAL_QUEUED)
        return ret;
    if (!t)
        notify_process(p, sig, NULL);
    else if (wants(t, sig))
        thread_interrupt(t->thread);
    wait_wake_all(&p->signal_queue, EPOLLIN);
    return SIGNAL_QUEUED;
}

int signal_send_process(struct process *p, int sig, const siginfo_t *info)
{
    return MIN(signal_send(p, NULL, sig, info), 0);
}

int signal_send_thread(struct linux_thread *t, int sig, const siginfo_t *info)
{
    return MIN(signal_send(t->process, t, sig, info), 0);
}

static int dequeue_from(struct process *p, uint64_t *pending, struct list_head *queue,
                        uint64_t mask, siginfo_t *out)
{
    uint64_t set = *pending & mask;
    struct pending_signal *found = NULL;
    int sig;
    bool more = false;

    if (!set)
        return 0;
    if (set & SIG_MASK_SYNCHRONOUS)
        set &= SIG_MASK_SYNCHRONOUS;
    sig = __builtin_ctzll(set) + 1;
    list_for_each (pos, queue) {
        struct pending_signal *q = list_entry(pos, struct pending_signal, link);

        if (q->info.si_signo != sig)
            continue;
        if (found) {
            more = true;
            break;
        }
        found = q;
    }
    if (!more)
        *pending &= ~sig_bit(sig);
    if (found) {
        *out = found->info;
        if (out->si_code == SI_TIMER)
            timer_signal_taken(p, out);
        list_del(&found->link);
        p->pending_count--;
        kfree(found);
    } else {
        memset(out, 0, sizeof(*out)); // there was no memory for more
        out->si_signo = sig;
    }
    return sig;
}

int signal_dequeue(uint64_t mask, siginfo_t *out)
{
    struct linux_thread *t = current_lt();
    struct process *p = t->process;
    int sig = dequeue_from(p, &t->pending, &t->pending_info, mask, out);

    if (!sig)
        sig = dequeue_from(p, &p->pending, &p->pending_info, mask, out);
    signal_recalc(t);
    return sig;
}

static void thread_left(struct linux_thread *t)
{
    struct process *p = t->process;

    flush_signals(p, &t->pending, &t->pending_info, ~0ull);
    for (int sig = 1; p->pending && sig <= PROC_NSIG; sig++)
        if ((p->pending & sig_bit(sig)) && wants(t, sig))
            notify_process(p, sig, t);
}

void signal_set_mask(struct linux_thread *t, uint64_t mask)
{
    uint64_t newly = (mask & ~t->sigmask) & t->process->pending;

    t->sigmask = mask & ~SIG_MASK_UNBLOCKABLE;
    for (int sig = 1; newly && sig <= PROC_NSIG; sig++)
        if (newly & sig_bit(sig))
            notify_process(t->process, sig, t);
    signal_recalc(t);
}

int signal_set_temp_mask(const void *user_mask, size_t size)
{
    struct linux_thread *t = current_lt();
    uint64_t mask;

    if (!user_mask)
        return 0;
    if (size != sizeof(mask))
        return -EINVAL;
    if (copy_in(&mask, user_mask, sizeof(mask)))
        return -EFAULT;
    t->saved_sigmask = t->sigmask;
    t->restore_sigmask = true;
    thread_add_user_work(t->thread); // the way out puts the mask back, whatever the call returns
    signal_set_mask(t, mask);
    return 0;
}

void signal_restore_mask(void)
{
    struct linux_thread *t = current_lt();

    if (!t->restore_sigmask)
        return;
    t->restore_sigmask = false;
    signal_set_mask(t, t->saved_sigmask);
}

const char *signal_name(int sig)
{
    static const char names[][8] = {
        "0",    "HUP",  "INT",  "QUIT", "ILL",    "TRAP",   "ABRT",  "BUS",  "FPE",  "KILL", "USR1",
        "SEGV", "USR2", "PIPE", "ALRM", "TERM",   "STKFLT", "CHLD",  "CONT", "STOP", "TSTP", "TTIN",
        "TTOU", "URG",  "XCPU", "XFSZ", "VTALRM", "PROF",   "WINCH", "IO",   "PWR",  "SYS"};

    return sig > 0 && sig < (int)ARRAY_LEN(names) ? names[sig] : "RT";
}

// --- calls ---

SYSCALL(13, rt_sigaction, int sig, const struct k_sigaction *user_act, struct k_sigaction *user_old,
        size_t size)
{
    LINK_NEEDS(signal_send);
    struct process *p = current_process();
    struct k_sigaction act, old;

    if (size != sizeof(uint64_t) || sig < 1 || sig > PROC_NSIG)
        return -EINVAL;
    if (user_act && get_user(&act, user_act))
        return -EFAULT;
    if (user_act && (SIG_MASK_UNBLOCKABLE & sig_bit(sig)))
        return -EINVAL;
    old = p->actions[sig];
    if (user_act) {
        act.mask &= ~SIG_MASK_UNBLOCKABLE;
        p->actions[sig] = act;
        if (is_ignored(p, sig))
            flush_everywhere(p, sig_bit(sig));
    }
    return user_old ? put_user(user_old, &old) : 0;
}

SYSCALL(14, rt_sigprocmask, int how, const uint64_t *user_set, uint64_t *user_old, size_t size)
{
    struct linux_thread *t = current_lt();
    uint64_t old = t->sigmask, set;

    if (size != sizeof(set))
        return -EINVAL;
    if (user_set) {
        if (get_user(&set, user_set))
            return -EFAULT;
        if (how == SIG_BLOCK)
            set |= old;
        else if (how == SIG_UNBLOCK)
            set = old & ~set;
        else if (how != SIG_SETMASK)
            return -EINVAL;
        signal_set_mask(t, set);
    }
    return user_old ? put_user(user_old, &old) : 0;
}

SYSCALL(127, rt_sigpending, uint64_t *user_set, size_t size)
{
    struct linux_thread *t = current_lt();
    uint64_t set = (t->pending | t->process->pending) & t->sigmask;

    return size > sizeof(set) ? -EINVAL : copy_out(user_set, &set, size);
}

static long wait_for_signal(void)
{
    struct linux_thread *t = current_lt();

    while (!signal_pending(t))
        sched_block(DEADLINE_NEVER, true);
    return -ERESTARTNOHAND;
}

SYSCALL(130, rt_sigsuspend, const uint64_t *user_set, size_t size)
{
    int err = user_set ? signal_set_temp_mask(user_set, size) : -EFAULT;

    return err ? err : wait_for_signal();
}

SYSCALL(34, pause, void)
{
    return wait_for_signal();
}

SYSCALL(128, rt_sigtimedwait, const uint64_t *user_set, siginfo_t *user_info,
        const void *user_timeout, size_t size)
{
    struct linux_thread *t = current_lt();
    uint64_t set, timeout_ns, deadline = DEADLINE_NEVER;
    siginfo_t info;
    int sig, ret = 0;

    if (size != sizeof(set))
        return -EINVAL;
    if (get_user(&set, user_set))
        return -EFAULT;
    if (user_timeout) {
        ret = timespec_in(user_timeout, &timeout_ns);
        if (ret)
            return ret;
        deadline = deadline_after(timeout_ns);
    }
    t->sigwait = set & ~SIG_MASK_UNBLOCKABLE;
    for (;;) {
        sig = signal_dequeue(t->sigwait, &info);
        if (sig || ret)
            break;
        if (signal_pending(t))
            ret = -EINTR;
        else
            ret = block_until(deadline);
        if (ret == -EINTR)
            ret = signal_pending(t) && !((t->pending | t->process->pending) & t->sigwait) ? ret : 0;
    }
    t->sigwait = 0;
    if (!sig)
        return ret == -ETIMEDOUT ? -EAGAIN : ret;
    return user_info && put_user(user_info, &info) ? -EFAULT : sig;
}

bool signal_on_altstack(const struct linux_thread *t, uint64_t sp)
{
    uint64_t base = (uintptr_t)t->altstack.ss_sp;

    return !(t->altstack.ss_flags & (int)SS_AUTODISARM) && sp > base &&
           sp - base <= t->altstack.ss_size;
}

int signal_set_altstack(struct linux_thread *t, const stack_t *ss, uint64_t sp)
{
    int mode = ss->ss_flags & ~(int)SS_AUTODISARM;

    if (signal_on_altstack(t, sp))
        return -EPERM;
    if (mode != 0 && mode != SS_ONSTACK && mode != SS_DISABLE)
        return -EINVAL;
    if (mode == SS_DISABLE) {
        t->altstack = (stack_t){.ss_flags = SS_DISABLE};
        return 0;
    }
    if (ss->ss_size < MINSIGSTKSZ)
        return -ENOMEM;
    t->altstack = *ss;
    t->altstack.ss_flags &= (int)SS_AUTODISARM;
    return 0;
}

SYSCALL(131, sigaltstack, const stack_t *user_new, stack_t *user_old)
{
    struct linux_thread *t = current_lt();
    uint64_t sp = arch_user_regs()->rsp;
    stack_t old, new;
    int err;

    memset(&old, 0, sizeof(old));
    old.ss_sp = t->altstack.ss_sp;
    old.ss_size = t->altstack.ss_size;
    old.ss_flags = t->altstack.ss_flags | (signal_on_altstack(t, sp) ? SS_ONSTACK : 0);
    if (user_new) {
        if (get_user(&new, user_new))
            return -EFAULT;
        err = signal_set_altstack(t, &new, sp);
        if (err)
            return err;
    }
    return user_old ? put_user(user_old, &old) : 0;
}

// --- sending ---

static siginfo_t info_from_user(int code)
{
    siginfo_t info;

    memset(&info, 0, sizeof(info));
    info.si_code = code;
    info.si_pid = current_process()->pid;
    info.si_uid = current_process()->uid;
    return info;
}

SYSCALL(62, kill, int pid, int sig)
{
    struct process *p = current_process();
    siginfo_t info = info_from_user(SI_USER);

    if (sig < 0 || sig > PROC_NSIG)
        return -EINVAL;
    // One process: itself, its group, or (-1) all but itself and init, which is nobody.
    if (pid != p->pid && pid != 0 && pid != -p->pgid)
        return -ESRCH;
    return sig ? signal_send_process(p, sig, &info) : 0;
}

static long send_to_thread(int tgid, int tid, int sig, const siginfo_t *info)
{
    struct linux_thread *t;

    if (sig < 0 || sig > PROC_NSIG || tid <= 0)
        return -EINVAL;
    t = linux_thread_find(tid);
    if (!t || (tgid > 0 && t->process->pid != tgid))
        return -ESRCH;
    return sig ? signal_send_thread(t, sig, info) : 0;
}

SYSCALL(234, tgkill, int tgid, int tid, int sig)
{
    siginfo_t info = info_from_user(SI_TKILL);

    return tgid <= 0 ? -EINVAL : send_to_thread(tgid, tid, sig, &info);
}

SYSCALL(200, tkill, int tid, int sig)
{
    siginfo_t info = info_from_user(SI_TKILL);

    return send_to_thread(0, tid, sig, &info);
}

SYSCALL(129, rt_sigqueueinfo, int pid, int sig, const siginfo_t *user_info)
{
    struct process *p = process_find(pid);
    siginfo_t info;

    if (get_user(&info, user_info))
        return -EFAULT;
    if (!p)
        return -ESRCH;
    if (sig < 0 || sig > PROC_NSIG)
        return -EINVAL;
    return sig ? signal_send_process(p, sig, &info) : 0;
}

SYSCALL(297, rt_tgsigqueueinfo, int tgid, int tid, int sig, const siginfo_t *user_info)
{
    siginfo_t info;

    if (get_user(&info, user_info))
        return -EFAULT;
    return tgid <= 0 ? -EINVAL : send_to_thread(tgid, tid, sig, &info);
}

// --- start ---

static void broken_pipe(void)
{
    signal_send_thread(current_lt(), SIGPIPE, NULL);
}

void signal_use_pipes(void)
{
    signal_broken_pipe = broken_pipe;
}

static int signal_init(void)
{
    thread_leaving.signals = thread_left;
    return signal_delivery_init();
}
// Who sends signals needs their delivery, and who sets handlers (LINK_NEEDS): signals come from
// outside too.
INIT_RECORD(INIT_LINUX, signal_init, signal_send);
