// SPDX-License-Identifier: ISC
// A bad Ethernet link for tests: stands where passt stands (`--fd N`, a stream of frames that each
// have a 4-byte big-endian length before them), has a tap device at its other end, and drops,
// duplicates and reorders frames in both directions, by a seeded generator. netem in user space, so
// that it works on every host. All settings come from the environment, as the command line is
// passt's:
//
//   LOSSY_TAP    name of the tap device (must exist)      LOSSY_SEED      default 1
//   LOSSY_DROP, LOSSY_REORDER, LOSSY_DUPLICATE            frames of a thousand, default 0
//   LOSSY_STATS  file that gets the counts at the end
//
// A reordered frame is overtaken by one to three later ones, or comes 5 ms late.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX  65535
#define STREAM_BUF (1u << 20)
#define HOLD_MS    5

struct direction {
    const char *name;
    void (*deliver)(const uint8_t *frame, size_t len);
    uint8_t held[FRAME_MAX]; // the frame that others overtake
    size_t held_len;         // 0: none
    unsigned overtakers;     // how many more may overtake it
    int64_t deadline_ms;
    unsigned long frames, dropped, duplicated, reordered;
};

static int stream_fd = -1, tap_fd = -1;
static uint8_t in_buf[STREAM_BUF], out_buf[STREAM_BUF];
static size_t in_len, out_len;
static unsigned drop, reorder, duplicate;
static uint64_t random_state;

static void die(const char *what)
{
    const char *path = getenv("LOSSY_STATS");
    FILE *f = path ? fopen(path, "w") : NULL;
    fprintf(f ? f : stderr, "lossy: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// xorshift64*
static unsigned dice(unsigned sides)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (unsigned)((random_state * 0x2545f4914f6cdd1dull >> 33) % sides);
}

static void stream_flush(void)
{
    size_t done = 0;
    while (done < out_len) {
        ssize_t n = write(stream_fd, out_buf + done, out_len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    memmove(out_buf, out_buf + done, out_len - done);
    out_len -= done;
}

static void to_guest(const uint8_t *frame, size_t len)
{
    uint32_t header = htonl((uint32_t)len);
    if (out_len + 4 + len > sizeof(out_buf))
        return; // a full queue loses frames, as a switch does
    memcpy(out_buf + out_len, &header, 4);
    memcpy(out_buf + out_len + 4, frame, len);
    out_len += 4 + len;
}

static void to_tap(const uint8_t *frame, size_t len)
{
    (void)!write(tap_fd, frame, len); // what the device refuses is lost
}

static struct direction from_guest = {.name = "from guest", .deliver = to_tap};
static struct direction from_tap = {.name = "to guest", .deliver = to_guest};

static void release(struct direction *d)
{
    if (d->held_len == 0)
        return;
    d->deliver(d->held, d->held_len);
    d->held_len = 0;
}

static void forward(struct direction *d, const uint8_t *frame, size_t len)
{
    unsigned luck = dice(1000);
    d->frames++;
    if (luck < drop) {
        d->dropped++;
        return;
    }
    luck -= drop;
    if (luck < reorder && d->held_len == 0) {
        memcpy(d->held, frame, len);
        d->held_len = len;
        d->overtakers = 1 + dice(3);
        d->deadline_ms = now_ms() + HOLD_MS;
        d->reordered++;
        return;
    }
    d->deliver(frame, len);
    if (luck >= reorder && luck - reorder < duplicate) {
        d->deliver(frame, len);
        d->duplicated++;
    }
    if (d->held_len && --d->overtakers == 0)
        release(d);
}

// Returns false at the end of the stream.
static bool stream_read(void)
{
    ssize_t n = read(stream_fd, in_buf + in_len, sizeof(in_buf) - in_len);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    in_len += (size_t)n;
    size_t at = 0;
    while (in_len - at >= 4) {
        uint32_t len;
        memcpy(&len, in_buf + at, 4);
        len = ntohl(len);
        if (len == 0 || len > FRAME_MAX) {
            errno = EPROTO;
            die("frame length");
        }
        if (in_len - at - 4 < len)
            break;
        forward(&from_guest, in_buf + at + 4, len);
        at += 4 + len;
    }
    memmove(in_buf, in_buf + at, in_len - at);
    in_len -= at;
    return true;
}

static void tap_read(void)
{
    uint8_t frame[FRAME_MAX];
    for (int i = 0; i < 64 && out_len < sizeof(out_buf) / 2; i++) {
        ssize_t n = read(tap_fd, frame, sizeof(frame));
        if (n <= 0)
            break;
        forward(&from_tap, frame, (size_t)n);
    }
}

static void serve(void)
{
    for (;;) {
        struct pollfd p[2] = {
            {.fd = stream_fd, .events = (short)(POLLIN | (out_len ? POLLOUT : 0))},
            {.fd = tap_fd, .events = out_len < sizeof(out_buf) / 2 ? POLLIN : 0}};
        bool held = from_guest.held_len || from_tap.held_len;
        if (poll(p, 2, held ? HOLD_MS : -1) < 0 && errno != EINTR)
            die("poll");
        if ((p[0].revents & (POLLIN | POLLHUP | POLLERR)) && !stream_read())
            return;
        if (p[1].revents & POLLIN)
            tap_read();
        if (held && from_guest.held_len && now_ms() >= from_guest.deadline_ms)
            release(&from_guest);
        if (held && from_tap.held_len && now_ms() >= from_tap.deadline_ms)
            release(&from_tap);
        stream_flush();
    }
}

static unsigned setting(const char *name, unsigned otherwise)
{
    const char *value = getenv(name);
    return value && *value ? (unsigned)strtoul(value, NULL, 10) : otherwise;
}

static void report(const struct direction *d, FILE *f)
{
    fprintf(f, "%s: %lu frames, %lu dropped, %lu reordered, %lu duplicated\n", d->name, d->frames,
            d->dropped, d->reordered, d->duplicated);
}

int main(int argc, char *argv[])
{
    struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    const char *tap = getenv("LOSSY_TAP"), *stats = getenv("LOSSY_STATS");
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--fd") == 0)
            stream_fd = atoi(argv[i + 1]);
    if (stream_fd < 0 || tap == NULL || strlen(tap) >= sizeof(ifr.ifr_name)) {
        errno = EINVAL;
        die("usage: LOSSY_TAP=NAME lossy --fd N");
    }
    drop = setting("LOSSY_DROP", 0);
    reorder = setting("LOSSY_REORDER", 0);
    duplicate = setting("LOSSY_DUPLICATE", 0);
    random_state = setting("LOSSY_SEED", 1) * 0x9e3779b97f4a7c15ull | 1;
    strcpy(ifr.ifr_name, tap);
    tap_fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tap_fd < 0 || ioctl(tap_fd, TUNSETIFF, &ifr) < 0)
        die("tap device");
    fcntl(stream_fd, F_SETFL, fcntl(stream_fd, F_GETFL) | O_NONBLOCK);
    serve();
    FILE *f = stats ? fopen(stats, "w") : stderr;
    if (f != NULL) {
        report(&from_guest, f);
        report(&from_tap, f);
        fclose(f);
    }
    return 0;
}
