// SPDX-License-Identifier: ISC
// An HTTP/1.1 server for one built-in page: one thread, epoll, connections that are kept open.
//
//   http [PORT]                 80 unless told otherwise
//
// It speaks HTTP as RFC 9112 has it, as far as a page without parameters needs: GET and HEAD,
// persistent connections, pipelined requests (answered in order), request bodies with a
// Content-Length (skipped). Everything is bounded: the size of a request's head, the number of
// connections, and the time that a connection may be idle. When a client comes and all places are
// taken, the connection that has been idle longest gives way.
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PORT_DEFAULT = 80,
    CONNECTIONS_MAX = 256,
    HEAD_MAX = 2048, // bytes of a request's head; browsers send 500 to 1,500
    OUT_MAX = 2048,  // bytes of answers that wait for the client to read
    IDLE_MS = 30000,
    EVENTS_MAX = 64, // per epoll_wait
    BACKLOG = 128,
};

static const char page[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<head><meta charset=\"utf-8\"><title>Lith</title></head>\n"
    "<body>\n"
    "<h1>It works</h1>\n"
    "<p>This page comes from a C program that is its own operating system.</p>\n"
    "</body>\n"
    "</html>\n";

struct connection {
    int fd;                           // -1: the place is free
    bool closing;                     // no more requests; what still comes is thrown away
    uint32_t waits_for;               // the epoll events
    long idle_since_ms;               // of the last byte either way
    size_t skip;                      // bytes of a request's body still to come
    size_t in_len, out_len;           // bytes in the buffers
    struct connection *older, *newer; // list by idle_since_ms
    char in[HEAD_MAX], out[OUT_MAX];
};

// What a request's head says, as far as it matters here.
struct request {
    int status; // of the answer
    bool head;  // no body in the answer
    bool close; // the connection ends behind the answer
    size_t body_len;
};

static struct connection connections[CONNECTIONS_MAX];
static struct connection *oldest, *newest; // open connections, by activity
static struct connection *free_places;     // linked by `newer`
static int poller;

static long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void list_remove(struct connection *c)
{
    *(c->older ? &c->older->newer : &oldest) = c->newer;
    *(c->newer ? &c->newer->older : &newest) = c->older;
}

static void list_append(struct connection *c, long now)
{
    c->idle_since_ms = now;
    c->older = newest;
    c->newer = NULL;
    *(newest ? &newest->newer : &oldest) = c;
    newest = c;
}

static void close_connection(struct connection *c)
{
    list_remove(c);
    close(c->fd); // also takes it from the poller
    c->fd = -1;
    c->newer = free_places;
    free_places = c;
}

// ---- requests ----

// The value of a header line if its name is NAME, else NULL. LINE ends with a null byte.
static const char *header_value(const char *line, const char *name)
{
    size_t len = strlen(name);
    if (strncasecmp(line, name, len) != 0 || line[len] != ':')
        return NULL;
    line += len + 1;
    while (*line == ' ' || *line == '\t')
        line++;
    return line;
}

// Whether a comma-separated list has this word (RFC 9110 section 5.6.1).
static bool list_has(const char *list, const char *word)
{
    size_t len = strlen(word);
    while (*list) {
        size_t n = strcspn(list, ", \t");
        if (n == len && strncasecmp(list, word, len) == 0)
            return true;
        list += n;
        list += strspn(list, ", \t");
    }
    return false;
}

static bool parse_length(const char *text, size_t *len)
{
    size_t value = 0;
    if (*text == '\0')
        return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        if (value > 100000000)
            return false;
        value = value * 10 + (size_t)(*text - '0');
    }
    *len = value;
    return text[strspn(text, " \t")] == '\0';
}

// The next line of a head whose end is marked by a null byte; NULL behind the last one.
static char *next_line(char **rest)
{
    char *line = *rest, *end;
    if (*line == '\0')
        return NULL;
    end = strstr(line, "\r\n");
    if (end) {
        *end = '\0';
        *rest = end + 2;
    } else {
        *rest = line + strlen(line);
    }
    return line;
}

static struct request refused(int status)
{
    return (struct request){.status = status, .close = true};
}

// Reads a complete head, which ends with a null byte in place of its empty line.
static struct request parse_head(char *head)
{
    struct request r = {.status = 200};
    char *line = next_line(&head), *target, *version;
    bool hosts = false, lengths = false;
    const char *value;

    if (!line || !(target = strchr(line, ' ')))
        return refused(400);
    *target++ = '\0';
    if (!(version = strchr(target, ' ')))
        return refused(400);
    *version++ = '\0';
    if (strncmp(version, "HTTP/1.", 7) != 0 || version[7] < '0' || version[7] > '9' || version[8])
        return refused(400);
    r.close = version[7] == '0';

    r.head = strcmp(line, "HEAD") == 0;
    if (!r.head && strcmp(line, "GET") != 0) {
        r.status = 405;
    } else {
        target[strcspn(target, "?")] = '\0';
        if (strcmp(target, "/") != 0 && strcmp(target, "/index.html") != 0)
            r.status = 404;
    }
    while ((line = next_line(&head))) {
        if (strchr(":", *line) || *line == ' ' || *line == '\t')
            return refused(400); // no name; obsolete folding
        if ((value = header_value(line, "Connection"))) {
            if (list_has(value, "close"))
                r.close = true;
            else if (list_has(value, "keep-alive"))
                r.close = false;
        } else if ((value = header_value(line, "Content-Length"))) {
            // Two lengths are how requests are smuggled past proxies.
            if (lengths || !parse_length(value, &r.body_len))
                return refused(400);
            lengths = true;
        } else if (header_value(line, "Transfer-Encoding")) {
            return refused(501);
        } else if (header_value(line, "Host")) {
            if (hosts)
                return refused(400);
            hosts = true;
        }
    }
    if (!hosts && version[7] != '0')
        return refused(400);
    return r;
}

// ---- answers ----

static const char *reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 431:
        return "Request Header Fields Too Large";
    default:
        return "Not Implemented";
    }
}

// Appends an answer to the connection's output. False: there is no room for it now.
static bool answer(struct connection *c, const struct request *r)
{
    const char *body = r->status == 200 ? page : reason(r->status);
    size_t room = OUT_MAX - c->out_len, body_len = strlen(body), send_len = r->head ? 0 : body_len;
    int len = snprintf(
        c->out + c->out_len, room,
        "HTTP/1.1 %d %s\r\nServer: Lith\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s%s\r\n",
        r->status, reason(r->status), r->status == 200 ? "text/html; charset=utf-8" : "text/plain",
        body_len, r->status == 405 ? "Allow: GET, HEAD\r\n" : "",
        r->close ? "Connection: close\r\n" : "");
    if ((size_t)len + send_len > room)
        return false;
    memcpy(c->out + c->out_len + len, body, send_len);
    c->out_len += (size_t)len + send_len;
    return true;
}

// Answers the complete requests in the input, as many as there is room for in the output.
static void answer_requests(struct connection *c)
{
    char *at = c->in, *end = c->in + c->in_len;
    while (!c->closing) {
        struct request r;
        char *blank, copy[HEAD_MAX];
        size_t skipped = c->skip < (size_t)(end - at) ? c->skip : (size_t)(end - at), head_len;
        at += skipped;
        c->skip -= skipped;
        while (at < end && (*at == '\r' || *at == '\n'))
            at++; // between requests (RFC 9112 section 2.2)
        if (at == end)
            break;
        if ((blank = memmem(at, (size_t)(end - at), "\r\n\r\n", 4))) {
            head_len = (size_t)(blank - at);
            memcpy(copy, at, head_len); // parsing cuts it up; it may have to be done again
            copy[head_len] = '\0';
            r = strlen(copy) == head_len ? parse_head(copy) : refused(400);
        } else if (end - at == HEAD_MAX) {
            head_len = 0;
            r = refused(431);
        } else {
            break;
        }
        if (!answer(c, &r))
            break;
        at += head_len + (blank ? 4 : 0);
        c->skip = r.body_len;
        c->closing = r.close;
    }
    c->in_len = (size_t)(end - at);
    memmove(c->in, at, c->in_len);
}

// ---- connections ----

// Sends what waits. False: the connection is broken.
static bool flush(struct connection *c)
{
    size_t sent = 0;
    while (sent < c->out_len) {
        ssize_t n = send(c->fd, c->out + sent, c->out_len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n < 0)
            break;
        sent += (size_t)n;
    }
    c->out_len -= sent;
    memmove(c->out, c->out + sent, c->out_len);
    return true;
}

// Says what to wait for: a client that does not read its answers is not read from, either.
static bool wait_for(struct connection *c, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (c->waits_for == events)
        return true;
    c->waits_for = events;
    return epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event) == 0;
}

// Takes what has come, once, so that all connections have their turn, and answers it. False: the
// connection is at its end.
static bool serve(struct connection *c)
{
    size_t before, waited;
    if (c->out_len == 0) {
        ssize_t n = recv(c->fd, c->in + c->in_len, HEAD_MAX - c->in_len, 0);
        if (n < 0)
            return errno == EINTR || errno == EAGAIN;
        if (n == 0)
            return false;
        c->in_len += (size_t)n;
    }
    do {
        before = c->in_len;
        waited = c->out_len; // may have left no room for answers
        answer_requests(c);
        if (!flush(c))
            return false;
    } while (c->out_len == 0 && (c->in_len != before || waited));
    if (c->closing && c->out_len == 0) {
        // Closed when the client has: with its bytes unread, close would tell it to forget the
        // answer.
        c->in_len = 0;
        shutdown(c->fd, SHUT_WR);
    }
    return wait_for(c, c->out_len > 0 ? EPOLLOUT : EPOLLIN);
}

static void accept_clients(int listener)
{
    for (;;) {
        int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct connection *c;
        struct epoll_event event = {.events = EPOLLIN};
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0) {
            // Out of memory or descriptors: a place is made for the next try.
            if (errno != EAGAIN && oldest)
                close_connection(oldest);
            return;
        }
        if (!free_places)
            close_connection(oldest);
        c = free_places;
        free_places = c->newer;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        c->fd = fd;
        c->closing = false;
        c->waits_for = EPOLLIN;
        c->skip = c->in_len = c->out_len = 0;
        list_append(c, now_ms());
        event.data.ptr = c;
        if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0)
            close_connection(c);
    }
}

// Closes what was idle too long; returns the time till the next one is due, -1 for none.
static int close_idle(void)
{
    long now = now_ms();
    while (oldest && now - oldest->idle_since_ms >= IDLE_MS)
        close_connection(oldest);
    return oldest ? (int)(oldest->idle_since_ms + IDLE_MS - now) : -1;
}

static int listen_on(int port)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((in_port_t)port),
                               .sin_addr.s_addr = htonl(INADDR_ANY)};
    struct epoll_event event = {.events = EPOLLIN}; // data.ptr NULL: the listener
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, BACKLOG) < 0 ||
        (poller = epoll_create1(EPOLL_CLOEXEC)) < 0 ||
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) {
        perror("http: listen");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv)
{
    int port = argc > 1 ? atoi(argv[1]) : PORT_DEFAULT, listener;
    if (argc > 2 || port < 1 || port > 65535) {
        fputs("usage: http [PORT]\n", stderr);
        return 2;
    }
    for (int i = CONNECTIONS_MAX - 1; i >= 0; i--) {
        connections[i].fd = -1;
        connections[i].newer = free_places;
        free_places = &connections[i];
    }
    listener = listen_on(port);
    printf("http: listening on port %d\n", port);
    fflush(stdout);
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        bool clients_wait = false;
        int n = epoll_wait(poller, events, EVENTS_MAX, close_idle());
        if (n < 0 && errno != EINTR) {
            perror("http: epoll_wait");
            return 1;
        }
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) {
                clients_wait = true;
                continue;
            }
            list_remove(c);
            list_append(c, now_ms());
            if (!serve(c))
                close_connection(c);
        }
        // Last, because it may close connections that this round's events speak of.
        if (clients_wait)
            accept_clients(listener);
    }
}
