// SPDX-License-Identifier: ISC
// Loads of servers: one turn starts the server, applies each load of its group, and stops it. With
// each rate goes how many of them a second of the server's core is good for (whatever that core did
// meanwhile counts, interrupts and the host's network stack included; so does what is not ours),
// and what one of them took of the server's own threads.
#include "bench/bench.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WARM_S      0.3
#define UDP_BYTES   64
#define UDP_WINDOW  32
#define UDP_LOST_MS 200
#define UDP_TIMES   400000
#define REDIS_FIRST 4000 // requests that tell how many fill the time

// What the server's side has used.
struct used {
    double core_s, server_s;
};
static struct used used_now(const struct server *server)
{
    return (struct used){core_busy_s(SERVER_CORE), server_cpu_s(server)};
}

static void sample_rate(const struct server *server, const char *name, double count, double per_s,
                        struct used before, struct used after)
{
    double core_s = after.core_s - before.core_s, server_s = after.server_s - before.server_s;
    sample(server->platform, name, "rate", "1/s", false, per_s);
    if (core_s > 0.05) // ticks are of 10 ms
        sample(server->platform, name, "per-cpu-second", "1/s", false, count / core_s);
    if (server_s > 0)
        sample(server->platform, name, "server-cpu", "us", true, server_s * 1e6 / count);
}

// ---- nginx by wrk ----

static double wrk_time(const char *text, const char *label)
{
    const char *at = strstr(text, label);
    char *unit;
    double v;
    if (!at)
        return -1;
    v = strtod(at + strlen(label), &unit);
    return *unit == 'u' ? v : *unit == 'm' ? v * 1e3 : v * 1e6;
}

static int wrk(const struct server *server, const char *name, const char *path, int connections,
               bool close_each, double seconds, double *only_requests)
{
    struct command c = {0};
    char text[8192];
    static struct exits exits_before, exits_after;
    const char *at;
    bool counted = !only_requests && strncmp(path, "/", 2) == 0 && !close_each &&
                   exits_read(server, &exits_before);
    struct used before = used_now(server), after;
    double requests = 0, per_s = 0;
    int status;
    command_words(&c, "wrk -t1 --latency");
    command_add(&c, "-c%d", connections);
    command_add(&c, "-d%.0f", seconds < 1 ? 1 : seconds); // whole seconds only
    if (close_each) {
        command_add(&c, "-H");
        command_add(&c, "Connection: close");
    }
    command_add(&c, "http://%s%s", server->address, path);
    status = capture(c.argv, CLIENT_CORE, false, seconds + 20, text, sizeof(text));
    after = used_now(server);
    counted = counted && exits_read(server, &exits_after);
    at = strstr(text, " requests in ");
    while (at && at > text && at[-1] >= '0' && at[-1] <= '9')
        at--;
    if (at)
        requests = atof(at);
    at = strstr(text, "Requests/sec:");
    if (at)
        per_s = atof(at + 13);
    if (status != 0 || !(per_s > 0)) {
        note("%s on %s: wrk failed: %.100s", name, platform_names[server->platform], text);
        return -1;
    }
    if (strstr(text, "Socket errors") || strstr(text, "Non-2xx")) {
        at =
            strstr(text, "Socket errors") ? strstr(text, "Socket errors") : strstr(text, "Non-2xx");
        note("%s on %s: %.*s", name, platform_names[server->platform], (int)strcspn(at, "\n"), at);
    }
    if (only_requests) {
        *only_requests = requests;
        return 0;
    }
    sample_rate(server, name, requests, per_s, before, after);
    if (counted && requests > 0)
        exits_sample(server, name, &exits_before, &exits_after, requests);
    sample(server->platform, name, "p50", "us", true, wrk_time(text, " 50% "));
    sample(server->platform, name, "p99", "us", true, wrk_time(text, " 99% "));
    return 0;
}

int load_wrk_small(const struct server *server, double seconds, double *requests)
{
    return wrk(server, "nginx-small", "/", 30, false, seconds, requests);
}

int load_nginx(enum platform platform)
{
    struct server server;
    double requests; // of the warming up
    int bad = 0;
    if (server_start(&server, platform, &app_nginx) < 0)
        return -1;
    bad |= load_wrk_small(&server, WARM_S, &requests);
    bad |= wrk(&server, "nginx-small", "/", 30, false, options.seconds, NULL);
    bad |= wrk(&server, "nginx-small-c256", "/", 256, false, options.seconds, NULL);
    bad |= wrk(&server, "nginx-1m", "/1m", 8, false, options.seconds, NULL);
    bad |= wrk(&server, "nginx-close", "/", 30, true, options.seconds, NULL);
    server_stop(&server);
    return bad;
}

// ---- redis by redis-benchmark ----

// Without `requests` a figure is kept, of options.seconds.
static int redis(const struct server *server, const char *what, int pipeline, double seconds,
                 double *requests)
{
    static double known[PLATFORMS][2][2]; // requests per second of the turn before
    double *rate = &known[server->platform][what[0] == 'g'][pipeline > 1];
    char name[40], text[8192], *at, *end;
    snprintf(name, sizeof(name), "redis-%s-p%d", what, pipeline);
    for (bool warm = *rate == 0;; warm = false) {
        struct command c = {0};
        long count = warm ? REDIS_FIRST * pipeline : (long)(*rate * seconds);
        struct used before, after;
        double per_s, p50 = -1, p99 = -1;
        command_words(&c, "redis-benchmark -c 30 --csv -h");
        command_add(&c, "%s", server->address);
        command_add(&c, "-n");
        command_add(&c, "%ld", count);
        command_add(&c, "-P");
        command_add(&c, "%d", pipeline);
        command_add(&c, "-t");
        command_add(&c, "%s", what);
        before = used_now(server);
        if (capture(c.argv, CLIENT_CORE, false, seconds * 4 + 60, text, sizeof(text)) != 0)
            at = NULL;
        else
            at = strstr(text, what[0] == 'g' ? "\"GET\",\"" : "\"SET\",\"");
        after = used_now(server);
        per_s = at ? atof(at + 7) : 0;
        if (!(per_s > 0)) {
            note("%s on %s: redis-benchmark failed", name, platform_names[server->platform]);
            return -1;
        }
        *rate = per_s;
        if (warm)
            continue;
        if (requests) {
            *requests = (double)count;
            return 0;
        }
        // "test","rps","avg","min","p50","p95","p99","max" in milliseconds
        for (int field = 0; (end = strstr(at, "\",\"")) != NULL && field < 6; field++) {
            at = end + 3;
            if (field == 3)
                p50 = atof(at) * 1e3;
            if (field == 5)
                p99 = atof(at) * 1e3;
        }
        sample_rate(server, name, (double)count, per_s, before, after);
        sample(server->platform, name, "p50", "us", true, p50);
        sample(server->platform, name, "p99", "us", true, p99);
        return 0;
    }
}

int load_redis_get(const struct server *server, double seconds, double *requests)
{
    return redis(server, "get", 1, seconds, requests);
}

int load_redis(enum platform platform)
{
    struct server server;
    int bad = 0;
    if (server_start(&server, platform, &app_redis) < 0)
        return -1;
    for (int pipeline = 1; pipeline <= 16; pipeline += 15) {
        bad |= redis(&server, "set", pipeline, options.seconds, NULL);
        bad |= redis(&server, "get", pipeline, options.seconds, NULL);
    }
    server_stop(&server);
    return bad;
}

// ---- UDP echo, by ourselves: the driver is on the client's core ----

static float times[PLATFORMS][UDP_TIMES];
static size_t times_count[PLATFORMS];

static int compare_float(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

size_t load_udp_times(enum platform platform, const float **sorted)
{
    qsort(times[platform], times_count[platform], sizeof(float), compare_float);
    *sorted = times[platform];
    return times_count[platform];
}

static int udp_open(const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7)};
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, address, &to.sin_addr);
    if (s >= 0 && connect(s, (struct sockaddr *)&to, sizeof(to)) < 0) {
        close(s);
        return -1;
    }
    return s;
}

// UDP_WINDOW datagrams under way: answers per second.
static double udp_rate(int s, double seconds, unsigned long *answers, unsigned long *lost)
{
    static uint8_t buf[UDP_WINDOW][UDP_BYTES];
    struct mmsghdr out[UDP_WINDOW] = {0}, in[UDP_WINDOW] = {0};
    struct iovec iov[UDP_WINDOW];
    int64_t start = now_ns(), end = start + (int64_t)(seconds * 1e9);
    unsigned under_way = 0;
    *answers = *lost = 0;
    for (unsigned i = 0; i < UDP_WINDOW; i++) {
        iov[i] = (struct iovec){buf[i], UDP_BYTES};
        out[i].msg_hdr = in[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    while (now_ns() < end) {
        struct pollfd p = {s, POLLIN, 0};
        int n = under_way < UDP_WINDOW ? sendmmsg(s, out, UDP_WINDOW - under_way, 0) : 0;
        if (n > 0)
            under_way += (unsigned)n;
        n = recvmmsg(s, in, under_way, MSG_DONTWAIT, NULL);
        if (n > 0) {
            *answers += (unsigned)n;
            under_way -= (unsigned)n < under_way ? (unsigned)n : under_way;
        } else if (poll(&p, 1, UDP_LOST_MS) == 0) {
            *lost += under_way;
            under_way = 0;
        }
    }
    return (double)*answers / ((double)(now_ns() - start) / 1e9);
}

// One datagram at a time: its answer times are added to the platform's.
static size_t udp_latency(int s, enum platform platform, double seconds, float *turn, size_t max)
{
    int64_t end = now_ns() + (int64_t)(seconds * 1e9);
    uint8_t buf[UDP_BYTES] = {0};
    size_t count = 0;
    while (count < max) {
        struct pollfd p = {s, POLLIN, 0};
        int64_t start = now_ns();
        if (start >= end)
            break;
        if (send(s, buf, sizeof(buf), 0) < 0 || poll(&p, 1, UDP_LOST_MS) != 1 ||
            recv(s, buf, sizeof(buf), 0) < 0)
            continue;
        turn[count++] = (float)(now_ns() - start) / 1e3f;
    }
    for (size_t i = 0; i < count && times_count[platform] < UDP_TIMES; i++)
        times[platform][times_count[platform]++] = turn[i];
    return count;
}

int load_udp(enum platform platform)
{
    static float turn[UDP_TIMES / 4];
    struct server server;
    unsigned long answers, lost;
    struct used before, after;
    double per_s;
    size_t count;
    int s;
    if (server_start(&server, platform, &app_udp) < 0)
        return -1;
    s = udp_open(server.address);
    udp_rate(s, WARM_S / 2, &answers, &lost);
    before = used_now(&server);
    per_s = udp_rate(s, options.seconds, &answers, &lost);
    after = used_now(&server);
    close(s);
    if (lost > answers / 1000)
        note("udp-echo on %s: %lu of %lu lost", platform_names[platform], lost, answers + lost);
    sample_rate(&server, "udp-echo", (double)answers, per_s, before, after);
    s = udp_open(server.address); // late answers of before do not come here
    count = udp_latency(s, platform, options.seconds, turn, sizeof(turn) / sizeof(turn[0]));
    close(s);
    server_stop(&server);
    if (count == 0)
        return -1;
    qsort(turn, count, sizeof(turn[0]), compare_float);
    sample(platform, "udp-echo", "p50", "us", true, (double)turn[count / 2]);
    sample(platform, "udp-echo", "p99", "us", true, (double)turn[count * 99 / 100]);
    return 0;
}
