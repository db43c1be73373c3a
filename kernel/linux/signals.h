// SPDX-License-Identifier: ISC
// What signal.c (queues, masks, calls) and sigframe.c (delivery, frames) share.
#ifndef LITH_LINUX_SIGNALS_H
#define LITH_LINUX_SIGNALS_H

#include <linux/signal.h>
#include "linux/process.h"

static inline uint64_t sig_bit(int sig)
{
    return 1ull << (sig - 1);
}

#define SIG_MASK_UNBLOCKABLE (sig_bit(SIGKILL) | sig_bit(SIGSTOP))
// Made by the thread's own instructions: taken before others.
#define SIG_MASK_SYNCHRONOUS                                                                     \
    (sig_bit(SIGSEGV) | sig_bit(SIGBUS) | sig_bit(SIGILL) | sig_bit(SIGTRAP) | sig_bit(SIGFPE) | \
     sig_bit(SIGSYS))
#define SIG_MASK_DEFAULT_IGNORE \
    (sig_bit(SIGCHLD) | sig_bit(SIGCONT) | sig_bit(SIGURG) | sig_bit(SIGWINCH))
#define SIG_MASK_DEFAULT_STOP \
    (sig_bit(SIGSTOP) | sig_bit(SIGTSTP) | sig_bit(SIGTTIN) | sig_bit(SIGTTOU))
#define SIG_MASK_DEFAULT_CORE                                                        \
    (SIG_MASK_SYNCHRONOUS | sig_bit(SIGQUIT) | sig_bit(SIGABRT) | sig_bit(SIGXCPU) | \
     sig_bit(SIGXFSZ))

// Looks again whether the thread has unblocked signals; to be called after mask or queues changed.
void signal_recalc(struct linux_thread *t);
// Blocked signals change; process signals that the thread no longer takes go to others.
void signal_set_mask(struct linux_thread *t, uint64_t mask);
// Sends to a thread, or (t NULL) to the process.
enum { SIGNAL_QUEUED, SIGNAL_DROPPED };
int signal_send(struct process *p, struct linux_thread *t, int sig, const siginfo_t *info);
const char *signal_name(int sig);
// timers.c: a signal of a timer leaves the queue; fills its overrun count in.
void timer_signal_taken(struct process *p, siginfo_t *info);
int signal_set_altstack(struct linux_thread *t, const stack_t *ss, uint64_t sp);
// True if sp lies on the thread's alternate stack.
bool signal_on_altstack(const struct linux_thread *t, uint64_t sp);

// sigframe.c: makes the way out of the kernel deliver signals. 0 or -ENOMEM.
int signal_delivery_init(void);

#endif
