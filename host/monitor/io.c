// SPDX-License-Identifier: ISC
// The I/O thread. First it asks KVM for the machine, which takes as long as loading the kernel, so
// the two are done side by side, and touches memory ahead while the guest starts. Then it moves
// packets between the rings and the backend, and turns SIGTERM and SIGINT into the guest's. While
// packets come it polls, and guest and monitor send each other no wake-ups; after SPIN_NS without
// any it asks for doorbells and sleeps.
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "monitor/monitor.h"

#define SPIN_NS      60000ull // longer than a guest takes to answer: it then needs no doorbell
#define GRACE_NS     10000000000ull // from the signal to the end by force
#define REPEAT_NS    200000000ull
#define GROWTH_NS    200000ull   // how often a growing guest's memory is looked at
#define GROWN_NS     10000000ull // how long it must not grow for that to stop
#define IO_STACK_LEN (64 * 1024)

static struct monitor *the_monitor; // for the signal handler
static volatile sig_atomic_t signals_seen, last_signal;
static int created_fd, go_fd; // the I/O thread has made the machine; it may serve

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void eventfd_signal(int fd)
{
    const uint64_t one = 1;
    (void)!write(fd, &one, sizeof one); // it cannot fail before 2^64 - 1
}

// How often it was signalled.
static uint64_t eventfd_drain(int fd)
{
    uint64_t count;
    return read(fd, &count, sizeof count) == sizeof count ? count : 0;
}

static void on_signal(int number)
{
    static uint64_t first_ns;
    int saved = errno;
    uint64_t now = now_ns();
    if (signals_seen > 0 && now - first_ns < REPEAT_NS)
        return; // a terminal and whoever passes its signals on mean one
    if (signals_seen++ > 0)
        _exit(EXIT_KILLED); // the second one means it
    first_ns = now;
    last_signal = number;
    eventfd_signal(the_monitor->stop_fd);
    errno = saved;
}

// True if a guest in ring 3 sleeps; it is woken. Call after what it is to see was stored: it sets
// `sleeping`, then looks; we store, then look at `sleeping`.
static bool wake_sleeper(struct monitor *m)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (m->ring != 3 || !__atomic_load_n(&m->shared->sleeping, __ATOMIC_SEQ_CST))
        return false;
    m->stats->io.wakeups++;
    eventfd_signal(m->wake_fd);
    return true;
}

static void interrupt_guest(struct monitor *m, unsigned device)
{
    if (m->ring != 3) {
        m->stats->io.injected_device++;
        eventfd_signal(m->irq_fd[device]);
        return;
    }
    __atomic_fetch_or(&m->shared->irq_pending, 1ull << device, __ATOMIC_SEQ_CST);
    attention_post(m, LITH_VECTOR_DEVICE + device);
    wake_sleeper(m);
}

// One turn of the network: true if anything moved.
static bool serve_net(struct monitor *m)
{
    bool interrupt = false;
    int received = net_receive(&m->net, &interrupt);
    int sent = net_transmit(&m->net, &interrupt);
    if (received < 0 || sent < 0)
        fatal("guest stopped: malformed network %s ring", received < 0 ? "receive" : "transmit");
    if (interrupt)
        interrupt_guest(m, 0);
    return received + sent > 0;
}

// Ask for the doorbells that matter now; true if there is work after all. New receive buffers are
// news only to a device that has none.
static bool net_prepare_sleep(struct monitor *m)
{
    bool sent = !m->net.backend->send_full && virtq_enable_notify(&m->net.tx);
    bool buffers = net_receive_starved(&m->net) && virtq_enable_notify(&m->net.rx);
    return sent || buffers;
}

// `deadline_ns` 0: none.
static void sleep_for_work(struct monitor *m, uint64_t deadline_ns)
{
    struct pollfd fds[] = {
        {.fd = m->stop_fd, .events = POLLIN},
        {.fd = -1, .events = POLLIN},
        {.fd = -1, .events = POLLIN},
        {.fd = m->ring == 3 ? m->timer_fd : -1, .events = POLLIN},
        {.fd = -1, .events = POLLIN},
    };
    if (m->has_net) {
        bool pending = m->net.backend->send_pending, starved = net_receive_starved(&m->net);
        fds[1].fd = m->kick_fd[0];
        fds[2].fd = m->kick_fd[1];
        if (!m->net.backend_ended && (pending || !starved))
            fds[4].fd = m->net_backend.fd;
        fds[4].events = (short)((starved ? 0 : POLLIN) | (pending ? POLLOUT : 0));
    }
    struct timespec timeout = {0};
    if (deadline_ns) {
        uint64_t now = now_ns(), left = deadline_ns > now ? deadline_ns - now : 0;
        timeout.tv_sec = (time_t)(left / 1000000000u);
        timeout.tv_nsec = (long)(left % 1000000000u);
    }
    struct lith_stats_io *count = &m->stats->io;
    uint64_t stops = 0, *const drained[] = {&stops, &count->doorbells_rx, &count->doorbells_tx,
                                            &count->doorbells_timer};
    count->polls++;
    if (ppoll(fds, sizeof fds / sizeof fds[0], deadline_ns ? &timeout : NULL, NULL) <= 0)
        return;
    count->poll_events++;
    for (int i = 0; i < 4; i++)
        if (fds[i].revents)
            *drained[i] += eventfd_drain(fds[i].fd);
}

static void *io_main(void *arg)
{
    struct monitor *m = arg;
    uint64_t deadline_ns = 0, last_work_ns = 0, grown_ns;
    int handed = 0;
    uint64_t go;
    sigset_t stop;
    kvm_create(m);
    eventfd_signal(created_fd);
    (void)!read(go_fd, &go, sizeof go); // signals stay blocked: EINTR cannot happen
    boot_populate(m);
    grown_ns = now_ns();
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &stop, NULL);

    for (;;) {
        if (signals_seen > handed) {
            handed = signals_seen;
            deadline_ns = now_ns() + GRACE_NS;
            __atomic_store_n(&m->shared->term_signal, (uint32_t)last_signal, __ATOMIC_SEQ_CST);
            if (m->ring == 3) {
                attention_post(m, LITH_VECTOR_SIGNAL);
            } else {
                m->stats->io.injected_signal++;
                eventfd_signal(m->signal_irq_fd);
            }
            wake_sleeper(m);
        }
        if (deadline_ns && now_ns() >= deadline_ns) {
            warn("the program did not end within 10 s of the signal: stopped by force");
            _exit(EXIT_KILLED);
        }
        if (boot_populate(m))
            grown_ns = now_ns();
        uint64_t attention_ns = attention_serve(m, now_ns());
        if (m->has_net) {
            if (serve_net(m)) {
                last_work_ns = now_ns();
                continue;
            }
            if (last_work_ns && now_ns() - last_work_ns < SPIN_NS) {
                m->stats->io.yields++;
                sched_yield(); // polling is for idle CPUs
                continue;
            }
            last_work_ns = 0;
            if (net_prepare_sleep(m))
                continue;
        }
        uint64_t now = now_ns(), wake_ns = deadline_ns;
        if (attention_ns && (!wake_ns || attention_ns < wake_ns))
            wake_ns = attention_ns;
        if (now - grown_ns < GROWN_NS && (!wake_ns || now + GROWTH_NS < wake_ns))
            wake_ns = now + GROWTH_NS;
        sleep_for_work(m, wake_ns);
    }
    return NULL;
}

static int make_eventfd(int flags)
{
    int fd = eventfd(0, EFD_CLOEXEC | flags);
    if (fd < 0)
        fatal("eventfd: %s", strerror(errno));
    return fd;
}

void io_start(struct monitor *m)
{
    the_monitor = m;
    m->stop_fd = make_eventfd(EFD_NONBLOCK);
    created_fd = make_eventfd(0);
    go_fd = make_eventfd(0);
    // Only the I/O thread takes these; one that comes before it serves waits for it.
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, IO_STACK_LEN);
    int error = pthread_create(&thread, &attr, io_main, m);
    if (error)
        fatal("cannot start the I/O thread: %s", strerror(error));
}

void io_wait_created(void)
{
    uint64_t count;
    if (read(created_fd, &count, sizeof count) != sizeof count)
        fatal("the I/O thread is gone: %s", strerror(errno));
}

void io_serve(void)
{
    eventfd_signal(go_fd);
}
