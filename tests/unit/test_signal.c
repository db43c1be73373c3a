// SPDX-License-Identifier: ISC
// Signal queues: what is queued, dropped, merged, counted, taken first, and who is woken.
//
// links: kernel/linux/signal.c kernel/lib/rbtree.c kernel/lib/format.c
// links: tests/unit/shim_core.c tests/unit/shim_mm.c tests/unit/shim_sched.c
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "shim.h"
#include "linux/signals.h"

static struct process proc;
static struct linux_thread lt[2];
static struct thread threads[2];
static struct regs regs;
static unsigned timers_taken;
extern struct cpu host_cpu;

void thread_update_user_work(struct thread *t)
{
    (void)t;
}
void thread_add_user_work(struct thread *t)
{
    t->user_work = true;
}
struct regs *arch_user_regs(void)
{
    return &regs;
}
struct process *process_find(int pid)
{
    return pid == proc.pid ? &proc : NULL;
}
struct linux_thread *linux_thread_find(int tid)
{
    return tid == lt[0].tid ? &lt[0] : tid == lt[1].tid ? &lt[1] : NULL;
}
void timer_signal_taken(struct process *p, siginfo_t *info)
{
    (void)p;
    (void)info;
    timers_taken++;
}
int64_t clock_realtime_offset_ns(void)
{
    return 0;
}

// What other files of linux/ hold.
struct thread_leaving thread_leaving;
void (*signal_broken_pipe)(void);
int signal_delivery_init(void)
{
    return 0;
}
extern const struct init_record *const __start_init_records_always[],
    *const __stop_init_records_always[];

static int start(void **state)
{
    (void)state;
    for (const struct init_record *const *r = __start_init_records_always;
         r < __stop_init_records_always; r++)
        assert_int_equal((*r)->fn(), 0);
    memset(&proc, 0, sizeof(proc));
    memset(lt, 0, sizeof(lt));
    memset(threads, 0, sizeof(threads));
    proc.pid = proc.pgid = 1;
    proc.limits[RLIMIT_SIGPENDING].rlim_cur = 8;
    list_init(&proc.threads);
    list_init(&proc.pending_info);
    wait_queue_init(&proc.signal_queue);
    for (int i = 0; i < 2; i++) {
        lt[i].process = &proc;
        lt[i].thread = &threads[i];
        lt[i].tid = i + 1;
        threads[i].linux_thread = &lt[i];
        list_init(&lt[i].pending_info);
        list_add_tail(&lt[i].in_process, &proc.threads);
    }
    for (int s = 1; s <= PROC_NSIG; s++)
        proc.actions[s].handler = (void (*)(int))16;
    host_cpu.current = &threads[0];
    timers_taken = 0;
    return 0;
}

static int finish(void **state)
{
    siginfo_t info;

    (void)state;
    while (signal_dequeue(~0ull, &info))
        ;
    thread_leaving.signals(&lt[1]);
    assert_int_equal(proc.pending_count, 0);
    assert_true(list_empty(&proc.pending_info));
    return 0;
}

static siginfo_t with_value(int value)
{
    siginfo_t info;

    memset(&info, 0, sizeof(info));
    info.si_code = SI_QUEUE;
    info.si_value.sival_int = value;
    return info;
}

static void test_order_and_merging(void **state)
{
    siginfo_t info, out;

    (void)state;
    for (int i = 0; i < 3; i++) {
        info = with_value(i);
        assert_int_equal(signal_send_process(&proc, SIGRTMIN + 1, &info), 0);
        assert_int_equal(signal_send_process(&proc, SIGUSR1, &info), 0);
    }
    assert_int_equal(signal_send_process(&proc, SIGSEGV, NULL), 0);
    assert_int_equal(signal_dequeue(~0ull, &out), SIGSEGV); // made by instructions: first
    assert_int_equal(out.si_code, SI_KERNEL);
    assert_int_equal(signal_dequeue(~0ull, &out), SIGUSR1); // then the lowest number, once
    assert_int_equal(out.si_value.sival_int, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(signal_dequeue(~0ull, &out), SIGRTMIN + 1);
        assert_int_equal(out.si_value.sival_int, i); // in the order they were sent
    }
    assert_int_equal(signal_dequeue(~0ull, &out), 0);
}

static void test_limit(void **state)
{
    siginfo_t info = with_value(1), out;

    (void)state;
    for (int i = 0; i < 8; i++)
        assert_int_equal(signal_send_process(&proc, SIGRTMIN, &info), 0);
    assert_int_equal(signal_send_process(&proc, SIGRTMIN, &info),
                     -11);                                          // EAGAIN: data would be lost
    assert_int_equal(signal_send_process(&proc, SIGTERM, NULL), 0); // this one needs no data
    assert_int_equal(signal_dequeue(sig_bit(SIGTERM), &out), SIGTERM);
    shim_fail_after = 0;
    proc.limits[RLIMIT_SIGPENDING].rlim_cur = 100;
    assert_int_equal(signal_send_process(&proc, SIGHUP, NULL), 0);
    shim_fail_after = -1;
    assert_int_equal(signal_dequeue(sig_bit(SIGHUP), &out), SIGHUP);
}

static void test_ignored(void **state)
{
    siginfo_t out;

    (void)state;
    proc.actions[SIGUSR1].handler = SIG_IGN;
    proc.actions[SIGCHLD].handler = SIG_DFL;
    signal_send_process(&proc, SIGUSR1, NULL);
    signal_send_process(&proc, SIGCHLD, NULL);
    assert_int_equal(signal_dequeue(~0ull, &out), 0);
    lt[0].sigmask = sig_bit(SIGCHLD); // blocked: kept, somebody may wait for it
    signal_send_process(&proc, SIGCHLD, NULL);
    assert_int_equal(signal_dequeue(~0ull, &out), SIGCHLD);
}

static void test_who_is_woken(void **state)
{
    (void)state;
    lt[0].sigmask = sig_bit(SIGUSR1);
    signal_send_process(&proc, SIGUSR1, NULL);
    assert_false(threads[0].signal_pending);
    assert_true(threads[1].signal_pending);
    threads[1].signal_pending = false;
    lt[1].sigmask = sig_bit(SIGUSR2);
    signal_send_thread(&lt[1], SIGUSR2, NULL);
    assert_false(threads[1].signal_pending);
    assert_false(signal_pending(&lt[0]));
    // The other thread blocks the signal now: it goes to the first when that one unblocks it.
    host_cpu.current = &threads[1];
    signal_set_mask(&lt[1], sig_bit(SIGUSR1) | sig_bit(SIGUSR2));
    assert_false(threads[0].signal_pending);
    host_cpu.current = &threads[0];
    signal_set_mask(&lt[0], 0);
    assert_true(threads[0].signal_pending);
}

static void test_handover_when_blocking_or_leaving(void **state)
{
    (void)state;
    signal_send_process(&proc, SIGUSR1, NULL);
    assert_true(threads[0].signal_pending && !threads[1].signal_pending);
    signal_set_mask(&lt[0], sig_bit(SIGUSR1));
    assert_true(threads[1].signal_pending);
    assert_false(threads[0].signal_pending);
    signal_set_mask(&lt[0], 0);
    threads[0].signal_pending = false;
    list_del(&lt[1].in_process);
    thread_leaving.signals(&lt[1]);
    assert_true(threads[0].signal_pending);
}

static void test_unblockable(void **state)
{
    (void)state;
    signal_set_mask(&lt[0], ~0ull);
    assert_int_equal(lt[0].sigmask & SIG_MASK_UNBLOCKABLE, 0);
}

static void test_stop_and_continue(void **state)
{
    siginfo_t out;

    (void)state;
    signal_send_process(&proc, SIGTSTP, NULL);
    signal_send_process(&proc, SIGCONT, NULL);
    assert_int_equal(signal_dequeue(sig_bit(SIGTSTP), &out), 0);
    signal_send_process(&proc, SIGTSTP, NULL);
    assert_int_equal(signal_dequeue(sig_bit(SIGCONT), &out), 0);
    assert_int_equal(signal_dequeue(~0ull, &out), SIGTSTP);
}

static void test_timer_signals(void **state)
{
    siginfo_t info = {.si_code = SI_TIMER}, out;

    (void)state;
    // Ordinary signals of timers are not merged: each is its timer's own.
    assert_int_equal(signal_send(&proc, NULL, SIGALRM, &info), SIGNAL_QUEUED);
    assert_int_equal(signal_send(&proc, NULL, SIGALRM, &info), SIGNAL_QUEUED);
    assert_int_equal(signal_dequeue(~0ull, &out), SIGALRM);
    assert_int_equal(signal_dequeue(~0ull, &out), SIGALRM);
    assert_int_equal(timers_taken, 2);
    signal_send(&proc, NULL, SIGALRM, &info);
    proc.actions[SIGALRM].handler = (void (*)(int))16;
    struct k_sigaction ign = {.handler = SIG_IGN};
    long sys_rt_sigaction(int, const struct k_sigaction *, struct k_sigaction *, size_t);
    assert_int_equal(sys_rt_sigaction(SIGALRM, &ign, NULL, 8), 0); // flushes, and tells the timer
    assert_int_equal(timers_taken, 3);
    shim_fail_after = 0;
    proc.actions[SIGALRM].handler = (void (*)(int))16;
    assert_int_equal(signal_send(&proc, NULL, SIGALRM, &info), -11);
    shim_fail_after = -1;
}

static void test_altstack_rules(void **state)
{
    stack_t ss = {.ss_sp = (void *)0x10000, .ss_size = 8192};

    (void)state;
    assert_int_equal(signal_set_altstack(&lt[0], &ss, 0x50000), 0);
    assert_true(signal_on_altstack(&lt[0], 0x11000));
    assert_false(signal_on_altstack(&lt[0], 0x10000));
    assert_int_equal(signal_set_altstack(&lt[0], &ss, 0x11000), -1); // EPERM: in use
    ss.ss_size = 1000;
    assert_int_equal(signal_set_altstack(&lt[0], &ss, 0x50000), -12);
    ss.ss_flags = 77;
    assert_int_equal(signal_set_altstack(&lt[0], &ss, 0x50000), -22);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_and_merging, start, finish),
        cmocka_unit_test_setup_teardown(test_limit, start, finish),
        cmocka_unit_test_setup_teardown(test_ignored, start, finish),
        cmocka_unit_test_setup_teardown(test_who_is_woken, start, finish),
        cmocka_unit_test_setup_teardown(test_handover_when_blocking_or_leaving, start, finish),
        cmocka_unit_test_setup_teardown(test_unblockable, start, finish),
        cmocka_unit_test_setup_teardown(test_stop_and_continue, start, finish),
        cmocka_unit_test_setup_teardown(test_timer_signals, start, finish),
        cmocka_unit_test_setup_teardown(test_altstack_rules, start, finish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
