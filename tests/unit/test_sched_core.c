// SPDX-License-Identifier: ISC
// The scheduler on a fake CPU: switches, sleeping, timers, wait queues, locks, fairness, pollers,
// the way out of the kernel.
//
// links: kernel/sched/runq.c kernel/sched/thread.c kernel/sched/wait.c kernel/sched/timer.c
// links: kernel/sched/idle.c kernel/sched/work.c kernel/lib/rbtree.c kernel/lib/format.c
// links: tests/unit/shim_core.c tests/unit/shim_mm.c tests/unit/fake_switch.c
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>
#include "fake_switch.h"

static struct thread *spawn(void (*fn)(void *), void *arg)
{
    struct thread *t;

    assert_int_equal(thread_create(&t, "test", fn, arg), 0);
    thread_start(t);
    return t;
}

static char trace[256];

static void note(const char *s)
{
    strcat(trace, s);
}

static int start(void **state)
{
    (void)state;
    trace[0] = '\0';
    fake_wait_hook = NULL;
    return 0;
}

// Lets everybody run until only the test is left.
static void run_all(uint64_t ns)
{
    uint64_t end = shim_clock + ns;

    while (sched_block(end, false) != -ETIMEDOUT)
        ;
}

static void writer(void *arg)
{
    note(arg);
    sched_yield_now();
    note(arg);
}

static void test_threads_run_and_die(void **state)
{
    unsigned live = fake_stacks_live;

    (void)state;
    for (int i = 0; i < 3; i++) {
        trace[0] = '\0';
        spawn(writer, (void *)(uintptr_t) "a");
        spawn(writer, (void *)(uintptr_t) "b");
        run_all(NSEC_PER_MSEC);
        assert_string_equal(trace, "abab");
    }
    assert_in_range(fake_stacks_live, 0, live + 8); // the cache keeps a few
}

static void sleeper(void *arg)
{
    uint64_t until = shim_clock + (uintptr_t)arg * NSEC_PER_MSEC;
    char s[2] = {(char)('0' + (uintptr_t)arg), 0};

    while (sched_block(until, false) != -ETIMEDOUT)
        ;
    assert_in_range(shim_clock, until, until + NSEC_PER_USEC);
    note(s);
}

static void test_sleep_order(void **state)
{
    (void)state;
    spawn(sleeper, (void *)3);
    spawn(sleeper, (void *)1);
    spawn(sleeper, (void *)2);
    run_all(10 * NSEC_PER_MSEC);
    assert_string_equal(trace, "123");
}

static struct wait_queue queue = WAIT_QUEUE_INIT(queue);
static int tokens;

static void consumer(void *arg)
{
    int ret = wait_event(&queue, tokens > 0, DEADLINE_NEVER, true);

    if (ret == 0) {
        tokens--;
        note(arg);
    } else {
        assert_int_equal(ret, -EINTR);
        note("!");
    }
}

static void test_wait_and_interrupt(void **state)
{
    struct thread *b;

    (void)state;
    spawn(consumer, (void *)(uintptr_t) "a");
    b = spawn(consumer, (void *)(uintptr_t) "b");
    run_all(NSEC_PER_MSEC);
    assert_true(wait_has_waiters(&queue));
    tokens = 1;
    wait_wake_all(&queue, 0); // both look, one finds something
    run_all(NSEC_PER_MSEC);
    assert_string_equal(trace, "a");
    thread_interrupt(b);
    run_all(NSEC_PER_MSEC);
    assert_string_equal(trace, "a!");
    assert_false(wait_has_waiters(&queue));
}

static struct mutex lock = MUTEX_INIT(lock);
static int inside, most_inside;

static void locker(void *arg)
{
    for (int i = 0; i < (int)(uintptr_t)arg; i++) {
        mutex_lock(&lock);
        inside++;
        most_inside = inside > most_inside ? inside : most_inside;
        sched_block(shim_clock + 1000, false);
        inside--;
        mutex_unlock(&lock);
    }
    note("x");
}

static void test_mutex(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        spawn(locker, (void *)5);
    run_all(NSEC_PER_SEC);
    assert_string_equal(trace, "xxxx");
    assert_int_equal(most_inside, 1);
    assert_null(lock.owner);
}

static uint64_t stop_at;
struct spinner {
    uint64_t ran;
    int nice;
};

// A program that computes: 100 us at a time between looks of the kernel.
static void spin(void *arg)
{
    struct spinner *s = arg;

    thread_set_nice(thread_current(), s->nice);
    while (shim_clock < stop_at) {
        shim_clock += 100 * NSEC_PER_USEC;
        s->ran += 100 * NSEC_PER_USEC;
        fake_exit_kernel();
    }
}

static void test_fairness_by_nice(void **state)
{
    struct spinner s[3] = {{.nice = 0}, {.nice = 0}, {.nice = 5}};
    double ratio;

    (void)state;
    stop_at = shim_clock + 10 * NSEC_PER_SEC;
    for (int i = 0; i < 3; i++)
        spawn(spin, &s[i]);
    run_all(11 * NSEC_PER_SEC);
    printf("# ran %lu %lu %lu ms\n", (unsigned long)(s[0].ran / NSEC_PER_MSEC),
           (unsigned long)(s[1].ran / NSEC_PER_MSEC), (unsigned long)(s[2].ran / NSEC_PER_MSEC));
    ratio = (double)s[0].ran / (double)s[1].ran;
    assert_true(ratio > 0.95 && ratio < 1.05);
    ratio = (double)s[0].ran / (double)s[2].ran;
    assert_true(ratio > 2.8 && ratio < 3.3); // 1024/335
}

static struct thread *waker_target;
static uint64_t woken_late;

static void wake_me(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        uint64_t due = shim_clock + 20 * NSEC_PER_MSEC;

        while (sched_block(due, false) != -ETIMEDOUT)
            ;
        woken_late = shim_clock - due > woken_late ? shim_clock - due : woken_late;
    }
}

static void test_sleeper_preempts_spinner(void **state)
{
    struct spinner s = {.nice = 0};

    (void)state;
    woken_late = 0;
    stop_at = shim_clock + NSEC_PER_SEC;
    spawn(spin, &s);
    waker_target = spawn(wake_me, NULL);
    run_all(2 * NSEC_PER_SEC);
    assert_in_range(woken_late, 0, 200 * NSEC_PER_USEC);
}

static void test_alone_needs_no_timer(void **state)
{
    struct spinner s = {.nice = 0};

    (void)state;
    stop_at = shim_clock + 100 * NSEC_PER_MSEC;
    spawn(spin, &s);
    // The test itself sleeps without a deadline until the spinner is done: no timer at all.
    while (s.ran < 100 * NSEC_PER_MSEC)
        sched_yield_now();
    assert_int_equal(s.ran, 100 * NSEC_PER_MSEC);
}

static unsigned fired;
static struct ktimer timers[1000];

static void count_timer(struct ktimer *t)
{
    assert_true(shim_clock >= t->deadline_ns);
    fired++;
}

static void test_timers(void **state)
{
    uint64_t now = shim_clock;

    (void)state;
    fired = 0;
    for (unsigned i = 0; i < 1000; i++) {
        ktimer_init(&timers[i], count_timer);
        ktimer_arm(&timers[i], now + 1 + (i * 7919) % 1000 * NSEC_PER_USEC);
    }
    for (unsigned i = 0; i < 1000; i += 2)
        assert_true(ktimer_cancel(&timers[i]));
    assert_false(ktimer_cancel(&timers[0]));
    for (unsigned i = 1; i < 1000; i += 4)
        ktimer_arm(&timers[i], now + 2 * NSEC_PER_MSEC);
    run_all(1500 * NSEC_PER_USEC);
    assert_int_equal(fired, 250);
    run_all(NSEC_PER_MSEC);
    assert_int_equal(fired, 500);
}

static unsigned polled, poll_work;

static bool poll_fn(struct poller *p)
{
    (void)p;
    polled++;
    shim_clock += NSEC_PER_USEC; // or idle would spin at one time for ever
    if (!poll_work)
        return false;
    poll_work--;
    tokens++;
    wait_wake_all(&queue, 0);
    return true;
}

static bool device_interrupt(uint64_t deadline)
{
    (void)deadline;
    if (fired++)
        return false;
    poll_work = 1;
    host_cpu.pending |= 2;
    return true;
}

static void test_poller_wakes(void **state)
{
    static struct poller p = {.poll = poll_fn, .vectors = 2};

    (void)state;
    fired = tokens = 0;
    sched_add_poller(&p);
    fake_wait_hook = device_interrupt;
    spawn(consumer, (void *)(uintptr_t) "p");
    run_all(NSEC_PER_MSEC);
    assert_string_equal(trace, "p");
    // A busy program: the interrupt is served on the way out, a flood only a few rounds at a time.
    poll_work = 10;
    polled = 0;
    host_cpu.pending |= 2;
    fake_exit_kernel();
    assert_int_equal(polled, 4);
    for (int i = 0; i < 10; i++) {
        shim_clock += 30 * NSEC_PER_USEC;
        fake_exit_kernel();
    }
    assert_int_equal(poll_work, 0);
    assert_in_range(polled, 11, 14); // and not asked again once it had nothing
}

static void work_fn(struct work *w)
{
    (void)w;
    sched_block(shim_clock + 1000, false);
    note("w");
}

static void test_work(void **state)
{
    static struct work w[2] = {{.fn = work_fn}, {.fn = work_fn}};

    (void)state;
    work_queue(&w[0]);
    work_queue(&w[1]);
    work_queue(&w[0]);
    run_all(NSEC_PER_MSEC);
    assert_string_equal(trace, "ww");
}

static int outside;
static void outside_signal(int sig)
{
    outside = sig;
}

static void test_outside_signal(void **state)
{
    (void)state;
    sched_signal_hook = outside_signal;
    fake_outside_signal = 15;
    run_all(NSEC_PER_MSEC);
    assert_int_equal(outside, 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_threads_run_and_die, start),
        cmocka_unit_test_setup(test_sleep_order, start),
        cmocka_unit_test_setup(test_wait_and_interrupt, start),
        cmocka_unit_test_setup(test_mutex, start),
        cmocka_unit_test_setup(test_fairness_by_nice, start),
        cmocka_unit_test_setup(test_sleeper_preempts_spinner, start),
        cmocka_unit_test_setup(test_alone_needs_no_timer, start),
        cmocka_unit_test_setup(test_timers, start),
        cmocka_unit_test_setup(test_poller_wakes, start),
        cmocka_unit_test_setup(test_work, start),
        cmocka_unit_test_setup(test_outside_signal, start),
    };

    fake_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
