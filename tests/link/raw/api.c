// SPDX-License-Identifier: ISC
// lith.h as its text says, in an instance whose device 0 is a wire to a host at 10.42.0.1 that
// answers ARP. Uses nothing else of the kernel. Prints TAP; ends with status 7. With an argument:
// one of the things that must end the instance with a report.
#include <errno.h>
#include <lith.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000ull

static unsigned tests, failures;

static void say(const char *format, ...)
{
    char line[200];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    lith_console_write(1, line, (size_t)n);
}

static void ok(int good, const char *what)
{
    tests++;
    failures += !good;
    say("%sok %u - %s\n", good ? "" : "not ", tests, what);
}

static void is(long got, long wanted, const char *what)
{
    ok(got == wanted, what);
    if (got != wanted)
        say("# got %ld, wanted %ld\n", got, wanted);
}

// --- network ---

static struct lith_packet p[LITH_NET_HELD];

// Receives for `ns`, releasing everything: the last result.
static long drain(uint64_t ns)
{
    struct lith_packet some[LITH_NET_BATCH];
    uint64_t end = ns ? lith_clock_ns() + ns : 0;
    long n;
    while ((n = lith_net_receive(0, some, LITH_NET_BATCH, end)) > 0)
        lith_net_release(some, (unsigned)n);
    return n;
}

static uint32_t build_request(uint8_t *f, const uint8_t mac[6])
{
    static const uint8_t head[] = {0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1};
    static const uint8_t mine[] = {10, 42, 0, 2}, host[] = {10, 42, 0, 1};
    memset(f, 0, 60);
    memset(f, 0xff, 6);
    memcpy(f + 6, mac, 6);
    memcpy(f + 12, head, sizeof(head));
    memcpy(f + 22, mac, 6);
    memcpy(f + 28, mine, 4);
    memcpy(f + 38, host, 4);
    return 60;
}

// Waits for the host's ARP answer, which must be to us.
static int answered(const uint8_t mac[6])
{
    struct lith_packet some[LITH_NET_BATCH];
    uint64_t end = lith_clock_ns() + 5000 * MS;
    int found = 0;
    long n;
    while (!found && (n = lith_net_receive(0, some, LITH_NET_BATCH, end)) > 0) {
        for (long i = 0; i < n; i++) {
            const uint8_t *f = some[i].data;
            found |= some[i].length >= 42 && f[12] == 0x08 && f[13] == 0x06 && f[21] == 2 &&
                     !memcmp(f, mac, 6) && f[31] == 1;
        }
        lith_net_release(some, (unsigned)n);
    }
    return found;
}

static void closes(void *arg)
{
    lith_sleep_until(lith_clock_ns() + 20 * MS);
    *(int *)arg = lith_net_close(0);
}

static void devices(struct lith_net_info *info)
{
    is(lith_net_count(), 1, "one device");
    is(lith_net_info(0, info), 0, "its description");
    ok(!strcmp(info->name, "eth0") && info->mtu == 1500, "name and MTU");
    ok(!strcmp(info->address, "10.42.0.2/24"), "the address that was given to the tool");
    is(lith_net_info(1, info), -ENODEV, "info: no such device");
    is(lith_net_info(-1, info), -ENODEV, "info: a negative number");
    is(lith_net_info(0, (void *)16), -EFAULT, "info: a bad pointer");
    is(lith_net_receive(0, p, 1, 0), -EBADF, "receive before open");
    is(lith_net_send(0, p, 1), -EBADF, "send before open");
    is(lith_net_close(0), -EBADF, "close before open");
    is(lith_net_open(1), -ENODEV, "open: no such device");
    is(lith_net_open(0), 0, "open");
    is(lith_net_open(0), -EBUSY, "open: twice");
}

static void receiving(void)
{
    is(drain(0), -EAGAIN, "receive with deadline 0 only looks");
    uint64_t start = lith_clock_ns();
    is(drain(20 * MS), -ETIMEDOUT, "receive with a deadline ends");
    ok(lith_clock_ns() - start >= 20 * MS, "not early");
    is(lith_net_receive(0, p, 0, 0), -EINVAL, "receive: no room for any");
}

static void holding(void)
{
    is(lith_net_alloc(p, LITH_NET_BATCH + 1), -EINVAL, "alloc: more than a batch");
    is(lith_net_alloc(p, 0), -EINVAL, "alloc: none");
    is(lith_net_alloc((void *)16, 2), -EFAULT, "alloc: a bad pointer");
    unsigned held = 0;
    long n;
    while (held + LITH_NET_BATCH <= LITH_NET_HELD &&
           (n = lith_net_alloc(p + held, LITH_NET_BATCH)) > 0)
        held += (unsigned)n;
    is(held, LITH_NET_HELD, "as many packets as may be held");
    is(lith_net_alloc(p, 1), -ENOBUFS, "and no more");
    is(lith_net_receive(0, p, 1, LITH_FOREVER), -ENOBUFS, "nor by receiving");
    int good = 1;
    for (unsigned i = 0; i < held; i++) {
        good &= p[i].handle && !p[i].length && !p[i].flags;
        memset(p[i].data - LITH_NET_HEADROOM, (int)i, LITH_NET_HEADROOM + 1514);
    }
    for (unsigned i = 0; i < held; i++)
        good &= p[i].data[-(int)LITH_NET_HEADROOM] == (uint8_t)i && p[i].data[1513] == (uint8_t)i;
    ok(good, "each with memory of its own");
    struct lith_packet first = p[0];
    for (unsigned i = 0; i < held; i += LITH_NET_BATCH)
        good &= lith_net_release(p + i, LITH_NET_BATCH) == 0;
    ok(good, "all released");
    is(lith_net_release(&first, 1), -EBADF, "release: a second time");
    is(lith_net_alloc(p, 1), 1, "there are packets again");
    is(lith_net_release(&first, 1), -EBADF, "release: an old handle of a slot in use");
    struct lith_packet forged = {.handle = 0}, pair[2] = {p[0], p[0]};
    is(lith_net_release(&forged, 1), -EBADF, "release: handle 0");
    forged.handle = 0xffffffff;
    is(lith_net_release(&forged, 1), -EBADF, "release: a handle never given out");
    is(lith_net_release(pair, 2), -EBADF, "release: the same twice in one call");
    is(lith_net_release(p, LITH_NET_BATCH + 1), -EINVAL, "release: more than a batch");
    is(lith_net_release((void *)16, 1), -EFAULT, "release: a bad pointer");
    is(lith_net_release(p, 1), 0, "after all that it is still held");
}

static void sending(const struct lith_net_info *info)
{
    struct lith_packet q, pair[2];
    lith_net_alloc(&q, 1);
    uint8_t *data = q.data;
    q.length = 13;
    is(lith_net_send(0, &q, 1), -EINVAL, "send: shorter than a header");
    q.length = info->mtu + LITH_NET_HEADER + 1u;
    is(lith_net_send(0, &q, 1), -EINVAL, "send: longer than the device takes");
    q.length = 60;
    q.data = data - 4096;
    is(lith_net_send(0, &q, 1), -EINVAL, "send: before the packet's memory");
    q.data = data + 4096;
    is(lith_net_send(0, &q, 1), -EINVAL, "send: behind it");
    q.data = data;
    q.flags = LITH_PACKET_CHECKSUM;
    q.checksum_start = 50;
    q.checksum_offset = 9;
    is(lith_net_send(0, &q, 1), -EINVAL, "send: a checksum outside of the frame");
    q.flags = 0;
    q.length = build_request(q.data, info->mac);
    pair[0] = pair[1] = q;
    is(lith_net_send(0, pair, 2), -EBADF, "send: the same twice");
    is(lith_net_send(0, &q, LITH_NET_BATCH + 1), -EINVAL, "send: more than a batch");
    is(lith_net_send(1, &q, 1), -EBADF, "send: on another device");
    is(lith_net_send(0, &q, 0), 0, "send: nothing");
    is(lith_net_send(0, &q, 1), 1, "send: a request, by the same packet after all that");
    ok(answered(info->mac), "the host answers it");
    is(lith_net_release(&q, 1), -EBADF, "what was sent is not the program's any more");
    lith_net_alloc(&q, 1);
    q.data -= LITH_NET_HEADROOM;
    q.length = build_request(q.data, info->mac);
    is(lith_net_send(0, &q, 1), 1, "send: from the head room");
    ok(answered(info->mac), "the host answers that, too");
    // More than the ring holds: the rest stays the program's, and goes out in time.
    unsigned sent = 0;
    uint64_t end = lith_clock_ns() + 10000 * MS;
    for (unsigned round = 0; round < 20; round++) {
        long n = lith_net_alloc(p, LITH_NET_BATCH), done = 0;
        for (long i = 0; i < n; i++) {
            p[i].length = build_request(p[i].data, info->mac);
            memset(p[i].data, 0x02, 6); // to nobody
        }
        while (done < n && lith_clock_ns() < end) {
            long k = lith_net_send(0, p + done, (unsigned)(n - done));
            if (k < 0)
                break;
            done += k;
            sent += (unsigned)k;
        }
    }
    is(sent, 20 * LITH_NET_BATCH, "1280 frames as fast as the device takes them");
    struct lith_net_info now;
    lith_net_info(0, &now);
    is((long)(now.sent - info->sent), 1282, "they are counted");
}

static void closing(void)
{
    static int result = 1;
    lith_net_alloc(p, 1);
    long t = lith_thread_spawn(0, closes, &result, 0), n;
    while ((n = lith_net_receive(0, p + 1, LITH_NET_BATCH, LITH_FOREVER)) > 0)
        lith_net_release(p + 1, (unsigned)n);
    is(n, -EBADF, "close ends a receive that waits");
    lith_thread_join(t, LITH_FOREVER);
    is(result, 0, "close");
    p[0].length = 60;
    is(lith_net_send(0, p, 1), -EBADF, "send after close");
    is(lith_net_release(p, 1), 0, "packets are still held");
    is(lith_net_open(0), 0, "open again");
    is(drain(0), -EAGAIN, "nothing of before");
}

// --- pages ---

static void pages(void)
{
    int aligned = 1, zeroed = 1, freed = 1;
    void *a, *b;
    for (unsigned order = 0; order <= LITH_PAGE_ORDER_MAX; order++) {
        size_t bytes = (size_t)LITH_PAGE_SIZE << order;
        for (int round = 0; round < 2; round++) {
            if (lith_page_alloc(order, round ? LITH_PAGE_ZERO : 0, &a)) {
                zeroed = 0;
                continue;
            }
            aligned &= (uintptr_t)a % bytes == 0;
            if (round)
                zeroed &= !((char *)a)[0] && !memcmp(a, (char *)a + 1, bytes - 1);
            else
                memset(a, 0xa5, bytes);
            freed &= lith_page_free(a, order) == 0;
        }
    }
    ok(aligned, "pages of each order are aligned to their size");
    ok(zeroed, "and zeroed where asked for, also after others wrote there");
    ok(freed, "and taken back");
    is(lith_page_alloc(LITH_PAGE_ORDER_MAX + 1, 0, &a), -EINVAL, "pages: order too large");
    is(lith_page_alloc(0, 2, &a), -EINVAL, "pages: unknown flag");
    is(lith_page_alloc(0, 0, (void *)16), -EFAULT, "pages: a bad pointer");
    lith_page_alloc(1, 0, &a);
    is(lith_page_free(a, 0), -EBADF, "free: another order");
    is(lith_page_free((char *)a + LITH_PAGE_SIZE, 0), -EBADF, "free: a part");
    is(lith_page_free(a, 1), 0, "free");
    is(lith_page_free(a, 1), -EBADF, "free: twice");
    is(lith_page_free(&a, 0), -EBADF, "free: not from lith_page_alloc");
    is(lith_page_free(NULL, 0), -EBADF, "free: NULL");
    // All there is, as a list through the pages, twice: everything comes back.
    long count[2] = {0, 0};
    int err = 0;
    for (int round = 0; round < 2; round++) {
        b = NULL;
        while (!(err = lith_page_alloc(8, 0, &a))) {
            *(void **)a = b;
            b = a;
            count[round]++;
        }
        for (; b; b = a) {
            a = *(void **)b;
            lith_page_free(b, 8);
        }
    }
    is(err, -ENOMEM, "pages: until there are none");
    ok(count[0] > 4 && count[0] - count[1] <= 1, "and as many again after freeing");
}

// --- threads ---

static __thread int local = 41;
static volatile int flag;
static volatile long own_handle;

static void adds(void *arg)
{
    local++;
    *(int *)arg += local;
}

static void computes(void *arg)
{
    double x = *(double *)arg;
    for (int i = 0; i < 50; i++) {
        x = sqrt(x * x + 1);
        lith_thread_yield();
    }
    *(double *)arg = x;
}

static void waits_for_flag(void *arg)
{
    while (!flag)
        ;
    *(int *)arg = 1;
    lith_thread_exit();
}

static void joins_itself(void *arg)
{
    while (!own_handle) // main may not have it yet
        lith_thread_yield();
    *(int *)arg = lith_thread_join(own_handle, LITH_FOREVER);
}

static void uses_stack(void *arg)
{
    volatile char room[900 << 10];
    for (size_t i = 0; i < sizeof(room); i += 512)
        room[i] = 1;
    char text[60];
    snprintf(text, sizeof(text), "%.3f %d", atof("2.5"), room[512]);
    *(int *)arg = !strcmp(text, "2.500 1");
}

static void threads(void)
{
    int n = 0, result = 0;
    long t[LITH_THREADS_MAX + 1];
    is(lith_cpu_count(), 1, "one CPU");
    is(lith_thread_spawn(1, adds, &n, 0), -ENODEV, "spawn: no such CPU");
    is(lith_thread_spawn(0, NULL, &n, 0), -EINVAL, "spawn: no function");
    is(lith_thread_spawn(0, adds, &n, 1ul << 40), -EINVAL, "spawn: a stack too large");
    local = 7;
    for (int i = 0; i < 500; i++) {
        long h = lith_thread_spawn(0, adds, &n, 0);
        if (h <= 0 || lith_thread_join(h, LITH_FOREVER))
            break;
    }
    is(n, 500 * 42, "500 threads, each with thread-local variables of its own");
    is(local, 7, "and main's untouched");
    int started = 0;
    n = 0;
    for (; started <= (int)LITH_THREADS_MAX; started++)
        if ((t[started] = lith_thread_spawn(0, adds, &n, 4096)) < 0)
            break;
    is(started, LITH_THREADS_MAX, "as many as may be not joined");
    is(t[started], -EAGAIN, "and no more");
    for (int i = 0; i < started; i++)
        result |= lith_thread_join(t[i], LITH_FOREVER);
    ok(!result && n == 42 * started, "all joined");
    is(lith_thread_join(t[0], 0), -EBADF, "join: twice");
    is(lith_thread_join(0, 0), -EBADF, "join: handle 0");
    is(lith_thread_join(-1, 0), -EBADF, "join: a negative handle");
    double x[2] = {1, 100};
    t[0] = lith_thread_spawn(0, computes, &x[0], 0);
    t[1] = lith_thread_spawn(0, computes, &x[1], 0);
    lith_thread_join(t[0], LITH_FOREVER);
    lith_thread_join(t[1], LITH_FOREVER);
    ok(fabs(x[0] * x[0] - 51) < 1e-9 && fabs(x[1] * x[1] - 10050) < 1e-6,
       "floating point survives switches");
    n = 0;
    t[0] = lith_thread_spawn(0, waits_for_flag, &n, 0);
    is(lith_thread_join(t[0], 0), -ETIMEDOUT, "join: deadline 0 only looks");
    uint64_t start = lith_clock_ns();
    is(lith_thread_join(t[0], start + 30 * MS), -ETIMEDOUT,
       "join: a deadline, beside a busy thread");
    ok(lith_clock_ns() >= start + 30 * MS, "not early");
    flag = 1;
    is(lith_thread_join(t[0], LITH_FOREVER), 0, "a thread that never calls shares the CPU");
    is(n, 1, "lith_thread_exit");
    own_handle = lith_thread_spawn(0, joins_itself, &n, 0);
    lith_thread_join(own_handle, LITH_FOREVER);
    is(n, -EDEADLK, "join: by itself");
    n = 0;
    lith_thread_join(lith_thread_spawn(0, uses_stack, &n, 1 << 20), LITH_FOREVER);
    is(n, 1, "a stack of 1 MiB, and what computes of the C library");
}

// --- waiting and time ---

static uint32_t word, order_of[3], woken;

static void waits(void *arg)
{
    if (!lith_wait(&word, 5, LITH_FOREVER))
        order_of[woken++] = *(uint32_t *)arg;
}

static void waiting(void)
{
    static uint32_t name[3] = {1, 2, 3};
    long t[3];
    uint64_t start = lith_clock_ns();
    is(lith_sleep_until(start + 3 * MS), 0, "sleep");
    uint64_t now = lith_clock_ns();
    ok(now >= start + 3 * MS, "not early");
    is(lith_sleep_until(start), 0, "sleep until the past");
    is(lith_sleep_until(0), 0, "sleep until 0");
    word = 5;
    is(lith_wait(&word, 4, LITH_FOREVER), -EAGAIN, "wait: another value");
    is(lith_wait(&word, 5, 0), -ETIMEDOUT, "wait: deadline 0");
    start = lith_clock_ns();
    is(lith_wait(&word, 5, start + 10 * MS), -ETIMEDOUT, "wait: a deadline");
    ok(lith_clock_ns() >= start + 10 * MS, "not early");
    is(lith_wait((void *)((char *)&word + 2), 5, 0), -EINVAL, "wait: not aligned");
    is(lith_wait((void *)16, 5, 0), -EFAULT, "wait: a bad pointer");
    is(lith_wake(&word, 1), 0, "wake: nobody waits");
    for (int i = 0; i < 3; i++) {
        t[i] = lith_thread_spawn(0, waits, &name[i], 0);
        lith_sleep_until(lith_clock_ns() + MS);
    }
    is(lith_wake(&word + 1, 9), 0, "wake: another word");
    is(lith_wake(&word, 1), 1, "wake: one");
    lith_thread_join(t[0], lith_clock_ns() + 1000 * MS);
    is(lith_wake(&word, 9), 2, "wake: the others");
    for (int i = 0; i < 3; i++)
        lith_thread_join(t[i], lith_clock_ns() + 1000 * MS);
    ok(order_of[0] == 1 && order_of[1] == 2 && order_of[2] == 3, "longest first");
    is(lith_console_write(3, "x", 1), -EINVAL, "console: no such stream");
    is(lith_console_write(1, (void *)16, 1), -EFAULT, "console: a bad pointer");
    is(lith_console_write(1, (void *)-16, 64), -EFAULT, "console: a range that wraps");
}

// --- what must end the instance with a report ---

static volatile int depth_wanted = 1000;

static int overflow(int depth)
{
    volatile char room[1024];
    room[0] = (char)depth;
    return depth < depth_wanted ? overflow(depth + 1) + room[0] : 0;
}

static void overflows(void *arg)
{
    *(int *)arg = overflow(0);
}

static void faults(void *arg)
{
    *(volatile int *)arg = 1;
}

static void uses_stdio(void *arg)
{
    (void)arg;
    puts("stdio in a thread of lith.h");
    fflush(stdout);
}

static void end_badly(const char *how)
{
    static int n;
    if (!strcmp(how, "overflow"))
        lith_thread_join(lith_thread_spawn(0, overflows, &n, 0), LITH_FOREVER);
    if (!strcmp(how, "fault"))
        lith_thread_join(lith_thread_spawn(0, faults, (void *)16, 0), LITH_FOREVER);
    if (!strcmp(how, "stdio"))
        lith_thread_join(lith_thread_spawn(0, uses_stdio, NULL, 0), LITH_FOREVER);
    if (!strcmp(how, "exit"))
        lith_thread_exit();
    say("# still alive\n");
}

int main(int argc, char **argv)
{
    struct lith_net_info info = {0};
    if (argc > 1) {
        end_badly(argv[1]);
        return 0;
    }
    devices(&info);
    lith_net_info(0, &info);
    receiving();
    holding();
    sending(&info);
    closing();
    pages();
    threads();
    waiting();
    say("1..%u\n", tests);
    lith_exit(failures ? 1 : 7);
}
