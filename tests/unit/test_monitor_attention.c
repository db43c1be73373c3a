// SPDX-License-Identifier: ISC
// links: host/monitor/attention.c host/monitor/guest_mem.c -lpthread
// Interrupts of ring 3 with a guest that writes what it likes into the shared page: nothing outside
// its RAM is touched, and the monitor always comes back to its other work.
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/kvm.h>
#include <cmocka.h>
#include "monitor/monitor.h"

#define RAM_LEN 8192

static _Alignas(4096) uint8_t ram[RAM_LEN];
static _Alignas(4096) uint8_t root[4096];
static struct lith_shared shared;
static struct lith_stats stats;
static struct kvm_run run;
static struct monitor m;

static int set_up(void **state)
{
    (void)state;
    memset(ram, 0, sizeof ram);
    memset(&shared, 0, sizeof shared);
    memset(&stats, 0, sizeof stats);
    m = (struct monitor){
        .ring = 3, .shared = &shared, .stats = &stats, .run = &run, .vcpu_fd = -1, .tsc_khz = 1};
    m.mem = (struct guest_mem){
        .count = 2, .region = {{0, RAM_LEN, ram, true}, {1 << 20, sizeof root, root, false}}};
    shared.timer_tsc = UINT64_MAX;
    attention_start(&m);
    return 0;
}

static struct lith_attention *at(uint64_t gpa)
{
    shared.attention_gpa = gpa;
    return (struct lith_attention *)(void *)(ram + gpa);
}

static void test_posts(void **state)
{
    (void)state;
    struct lith_attention *a = at(RAM_LEN - sizeof *a); // the last that fits
    attention_post(&m, LITH_VECTOR_DEVICE);
    attention_post(&m, LITH_VECTOR_SIGNAL);
    assert_int_equal(a->posted, 1ull << 1 | 1ull << 15);
    shared.timer_tsc = 1;
    a->masked = 1;
    assert_int_not_equal(attention_serve(&m, 1000), 0); // posted, but not taken: it will look again
    assert_int_equal(a->posted, 1ull | 1ull << 1 | 1ull << 15);
    assert_int_equal(shared.timer_tsc, UINT64_MAX);
    assert_int_equal(stats.io.posted_device, 1);
    assert_int_equal(stats.io.posted_signal, 1);
    assert_int_equal(stats.io.posted_timer, 1);
    assert_int_equal(stats.io.kicks_sent, 0);
}

static void test_wild_addresses(void **state)
{
    (void)state;
    static const uint64_t wild[] = {0,           1,       4,          RAM_LEN - 8, RAM_LEN,
                                    RAM_LEN + 8, 1 << 20, UINT64_MAX, ~7ull,       1ull << 63};
    for (size_t i = 0; i < sizeof wild / sizeof wild[0]; i++) {
        shared.attention_gpa = wild[i];
        shared.timer_tsc = 1;
        attention_post(&m, LITH_VECTOR_SIGNAL);
        assert_int_equal(attention_serve(&m, 1000), 0);
        attention_deliver(&m);
    }
    for (size_t i = 0; i < RAM_LEN; i++)
        assert_int_equal(ram[i], 0);
    for (size_t i = 0; i < sizeof root; i++)
        assert_int_equal(root[i], 0);
}

static volatile bool done;

static void *write_deadlines(void *arg)
{
    (void)arg;
    while (!done)
        *(volatile uint64_t *)&shared.timer_tsc = 1; // long past
    return NULL;
}

static void test_deadline_that_never_rests(void **state)
{
    (void)state;
    pthread_t guest;
    at(4096)->masked = 1;
    done = false;
    assert_int_equal(pthread_create(&guest, NULL, write_deadlines, NULL), 0);
    alarm(60); // a hang ends the test
    for (int i = 0; i < 10000; i++)
        attention_serve(&m, 1000);
    alarm(0);
    done = true;
    pthread_join(guest, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_posts, set_up),
        cmocka_unit_test_setup(test_wild_addresses, set_up),
        cmocka_unit_test_setup(test_deadline_that_never_rests, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
