// SPDX-License-Identifier: ISC
// epoll against a model: random adds, changes, removals, wake-ups and waits on fake files. What
// holds at a level-triggered watch is always reported, what does not hold never is, one event at a
// time is fair.
//
// links: kernel/linux/epoll.c kernel/lib/rbtree.c kernel/lib/format.c tests/unit/shim_core.c
// links: tests/unit/shim_mm.c tests/unit/shim_sched.c
#include <asm-generic/errno.h>
#include <linux/eventpoll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "shim.h"
#include "linux/process.h"

// <stdlib.h> and the kernel's headers define the same types.
void *calloc(size_t n, size_t size);
void free(void *p);

static uint32_t random_state = 1;
static int rand_next(void)
{
    random_state = random_state * 1664525 + 1013904223;
    return (int)(random_state >> 9);
}

long sys_epoll_create1(int flags);
long sys_epoll_ctl(int epfd, int op, int fd, struct epoll_event *user);
long sys_epoll_wait(int epfd, struct epoll_event *user, int max, int timeout_ms);

// --- a descriptor table of fake files ---
#define FILES 12
static struct fake {
    struct wait_queue queue;
    unsigned holds;
} fakes[FILES];
static struct file *table[FILES + 4];
static struct process process;
static struct linux_thread lt = {.process = &process};
void (*file_closed_hook)(struct file *f);

static unsigned fake_poll(struct file *f, struct poll_table *pt)
{
    struct fake *k = f->priv;
    poll_wait_on(pt, &k->queue);
    return k->holds;
}
static const struct file_ops fake_ops = {.name = "fake", .poll = fake_poll};

struct file *file_create(const struct file_ops *ops, void *priv, int flags)
{
    struct file *f = calloc(1, sizeof(*f));
    *f = (struct file){.ops = ops, .priv = priv, .flags = flags, .refs = 1};
    list_init(&f->epoll_items);
    return f;
}
void file_unref(struct file *f)
{
    if (--f->refs)
        return;
    if (file_closed_hook)
        file_closed_hook(f);
    if (f->ops->release)
        f->ops->release(f);
    free(f);
}
struct file *fd_get(struct fd_table *t, int fd)
{
    (void)t;
    return fd >= 0 && fd < (int)ARRAY_LEN(table) && table[fd] ? file_ref(table[fd]) : NULL;
}
int fd_install_current(struct file *f, bool cloexec)
{
    (void)cloexec;
    for (int fd = FILES; fd < (int)ARRAY_LEN(table); fd++)
        if (!table[fd]) {
            table[fd] = f;
            return fd;
        }
    return -EMFILE;
}
int signal_set_temp_mask(const void *mask, size_t size)
{
    (void)mask, (void)size;
    return 0;
}
void signal_restore_mask(void)
{
}

static void open_fake(int fd)
{
    wait_queue_init(&fakes[fd].queue);
    fakes[fd].holds = 0;
    table[fd] = file_create(&fake_ops, &fakes[fd], 0);
}
static void close_fd(int fd)
{
    struct file *f = table[fd];
    table[fd] = NULL;
    file_unref(f);
}
static void raise_events(int fd, unsigned events)
{
    fakes[fd].holds |= events;
    wait_wake_all(&fakes[fd].queue, events);
}

static int setup(void **state)
{
    (void)state;
    thread_current()->linux_thread = &lt;
    for (int fd = 0; fd < FILES; fd++)
        open_fake(fd);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    for (int fd = 0; fd < (int)ARRAY_LEN(table); fd++)
        if (table[fd])
            close_fd(fd);
    return 0;
}

static void random_against_model(void **state)
{
    uint32_t wanted[FILES] = {0}; // of the model: 0 is not watched
    bool fired[FILES] = {false};  // oneshot that has fired
    (void)state;
    int ep = (int)sys_epoll_create1(0);
    for (int step = 0; step < 200000; step++) {
        int fd = rand_next() % FILES;
        struct epoll_event ev = {.data = (uint64_t)fd}, out[FILES];
        ev.events =
            EPOLLIN | (rand_next() % 2 ? EPOLLOUT : 0u) | (rand_next() % 4 ? 0u : EPOLLONESHOT);
        switch (rand_next() % 7) {
        case 0:
            assert_int_equal(sys_epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), wanted[fd] ? -EEXIST : 0);
            if (!wanted[fd]) {
                wanted[fd] = ev.events;
                fired[fd] = false;
            }
            break;
        case 1:
            assert_int_equal(sys_epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev), wanted[fd] ? 0 : -ENOENT);
            if (wanted[fd]) {
                wanted[fd] = ev.events;
                fired[fd] = false;
            }
            break;
        case 2:
            assert_int_equal(sys_epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL), wanted[fd] ? 0 : -ENOENT);
            wanted[fd] = 0;
            break;
        case 3:
            raise_events(fd, rand_next() % 2 ? EPOLLIN : EPOLLOUT);
            break;
        case 4:
            fakes[fd].holds = 0;
            break;
        case 5:
            if (rand_next() % 8 == 0) {
                close_fd(fd);
                open_fake(fd);
                wanted[fd] = 0;
            }
            break;
        default: {
            long n = sys_epoll_wait(ep, out, FILES, 0);
            unsigned expect = 0;
            assert_true(n >= 0);
            for (int i = 0; i < FILES; i++)
                expect += wanted[i] && !fired[i] && (fakes[i].holds & wanted[i]);
            assert_int_equal(n, expect);
            for (long i = 0; i < n; i++) {
                int got = (int)out[i].data;
                assert_int_equal(out[i].events, fakes[got].holds & wanted[got]);
                fired[got] = wanted[got] & EPOLLONESHOT;
            }
        }
        }
    }
}

static void edges_are_not_lost(void **state)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data = 3}, out[4];
    (void)state;
    int ep = (int)sys_epoll_create1(0);
    assert_int_equal(sys_epoll_ctl(ep, EPOLL_CTL_ADD, 3, &ev), 0);
    for (int i = 0; i < 1000; i++) {
        raise_events(3, EPOLLIN);
        assert_int_equal(sys_epoll_wait(ep, out, 4, 0), 1);
        assert_int_equal(sys_epoll_wait(ep, out, 4, 0), 0);
    }
}

static void one_at_a_time_is_fair(void **state)
{
    int seen[FILES] = {0};
    (void)state;
    int ep = (int)sys_epoll_create1(0);
    for (int fd = 0; fd < FILES; fd++) {
        struct epoll_event ev = {.events = EPOLLIN, .data = (uint64_t)fd};
        sys_epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
        raise_events(fd, EPOLLIN);
    }
    for (int i = 0; i < FILES * 10; i++) {
        struct epoll_event out;
        assert_int_equal(sys_epoll_wait(ep, &out, 1, 0), 1);
        seen[out.data]++;
    }
    for (int fd = 0; fd < FILES; fd++)
        assert_int_equal(seen[fd], 10);
}

static void allocation_failures_are_clean(void **state)
{
    (void)state;
    int ep = (int)sys_epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN};
    shim_fail_after = 0;
    assert_int_equal(sys_epoll_ctl(ep, EPOLL_CTL_ADD, 1, &ev), -ENOMEM);
    shim_fail_after = -1;
    assert_int_equal(sys_epoll_ctl(ep, EPOLL_CTL_ADD, 1, &ev), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_against_model, setup, teardown),
        cmocka_unit_test_setup_teardown(edges_are_not_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(one_at_a_time_is_fair, setup, teardown),
        cmocka_unit_test_setup_teardown(allocation_failures_are_clean, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
