// SPDX-License-Identifier: ISC
// TCP against a scripted peer, segment by segment: how connections start and end.
// links: kernel/net/arp.c kernel/net/config.c kernel/net/csum.c kernel/net/dhcp.c
// links: kernel/net/icmp.c kernel/net/iface.c kernel/net/ip.c kernel/net/ip_frag.c
// links: kernel/net/port.c kernel/net/proc.c kernel/net/sock.c kernel/net/tcp_ack.c
// links: kernel/net/tcp_early.c kernel/net/tcp_end.c kernel/net/tcp_input.c
// links: kernel/net/tcp_listen.c kernel/net/tcp_opt.c kernel/net/tcp_output.c
// links: kernel/net/tcp_sock.c kernel/net/tcp_table.c kernel/net/tcp_timer.c
// links: kernel/net/txqueue.c kernel/net/udp.c kernel/dev/pktbuf.c kernel/dev/netdev.c
// links: kernel/lib/format.c kernel/lib/rbtree.c kernel/lib/hash.c tests/unit/shim_core.c
// links: tests/unit/shim_mm.c tests/unit/shim_sched.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/net_talk.h"

static uint8_t back[sizeof(data)];

// A SYN that comes before the program listens waits for it, but not for ever. (The first test: its
// clock is the start's.)
static void syn_before_listen(void **st)
{
    (void)st;
    struct sock_addr a = {0, OUR_PORT};
    sock_close(listener);
    shim_clock = MS;
    peer_seq = 1000000;
    for (uint16_t i = 0; i < TCP_EARLY_MAX; i++) {
        say(TCP_SYN, NULL, 0);
        say(TCP_SYN, NULL, 0); // said again: still one
        silence();
        peer_port++;
    }
    say(TCP_SYN, NULL, 0);
    hear(TCP_RST | TCP_ACK); // one too many
    sock_create(SOCK_STREAM, 0, &listener);
    assert_int_equal(sock_bind(listener, &a), 0);
    assert_int_equal(sock_listen(listener, TCP_EARLY_MAX), 0);
    for (unsigned i = 0; i < TCP_EARLY_MAX; i++) {
        hear(TCP_SYN | TCP_ACK);
        assert_int_equal(seg.ack, peer_seq + 1);
    }
    silence();
    sock_close(listener);
    peer_forget();
    say(TCP_SYN, NULL, 0);
    silence();
    shim_advance_to(TCP_EARLY_NS);
    hear(TCP_RST | TCP_ACK);
    say(TCP_SYN, NULL, 0);
    hear(TCP_RST | TCP_ACK);
    sock_create(SOCK_STREAM, 0, &listener); // for teardown
}

static void handshake_and_data(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    say(TCP_ACK | TCP_PSH, "hello", 5);
    peer_seq += 5;
    assert_int_equal(recv_bytes(s, back, 100, MSG_DONTWAIT), 5);
    assert_memory_equal(back, "hello", 5);
    silence(); // delayed: the answer carries it
    assert_int_equal(send_bytes(s, "world!", 6, 0), 6);
    hear(TCP_ACK);
    assert_int_equal(seg.len, 6);
    assert_int_equal(seg.ack, peer_seq);
    assert_memory_equal(seg.data, "world!", 6);
    our_seq += 6;
    say(TCP_ACK, NULL, 0);
    say(TCP_ACK, "x", 1);
    peer_seq++;
    silence();
    shim_advance_to(shim_clock + 41 * MS); // the delayed acknowledgement
    hear(TCP_ACK);
    assert_int_equal(seg.ack, peer_seq);
    assert_int_equal(recv_bytes(s, back, 100, MSG_DONTWAIT), 1);
    assert_int_equal(recv_bytes(s, back, 100, MSG_DONTWAIT), -EAGAIN);
    close_politely(s);
}

static void bad_checksum_is_dropped(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    struct say bad = {.seq = peer_seq,
                      .ack = our_seq,
                      .wnd = 1000,
                      .sport = peer_port,
                      .flags = TCP_ACK,
                      .data = "evil",
                      .len = 4,
                      .bad_csum = true};
    peer_say(&bad);
    assert_int_equal(recv_bytes(s, back, 100, MSG_DONTWAIT), -EAGAIN);
    silence();
    close_politely(s);
}

static void half_close(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    say(TCP_ACK | TCP_FIN, "last", 4);
    peer_seq += 5;
    hear(TCP_ACK);
    assert_int_equal(seg.ack, peer_seq);
    assert_int_equal(recv_bytes(s, back, 100, MSG_DONTWAIT), 4);
    assert_int_equal(recv_bytes(s, back, 100, MSG_DONTWAIT), 0);
    assert_true(sock_poll(s) & EPOLLRDHUP);
    assert_int_equal(send_bytes(s, "answer", 6, 0), 6);
    hear(TCP_ACK);
    assert_int_equal(seg.len, 6);
    our_seq += 6;
    say(TCP_ACK, NULL, 0);
    assert_int_equal(sock_shutdown(s, SHUT_WR), 0);
    hear(TCP_FIN | TCP_ACK);
    our_seq++;
    assert_int_equal(send_bytes(s, "x", 1, 0), -EPIPE);
    say(TCP_ACK, NULL, 0); // LAST_ACK ends
    say(TCP_ACK, NULL, 0);
    hear(TCP_RST); // nothing is left of it
    sock_close(s);
}

static void simultaneous_close(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    sock_close(s);
    hear(TCP_FIN | TCP_ACK);
    uint32_t fin = seg.seq;
    say_at(peer_seq, fin, 65535, TCP_FIN | TCP_ACK, 0); // crossed: does not acknowledge ours
    peer_seq++;
    hear(TCP_ACK);
    assert_int_equal(seg.ack, peer_seq);
    say_at(peer_seq, fin + 1, 65535, TCP_ACK, 0);
    silence(); // TIME_WAIT
    say_at(peer_seq - 1, fin + 1, 65535, TCP_FIN | TCP_ACK, 0);
    hear(TCP_ACK); // which answers a repeated FIN
    assert_int_equal(seg.seq, fin + 1);
    assert_int_equal(seg.ack, peer_seq);
}

static void time_wait_takes_a_new_syn(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    close_politely(s);
    uint32_t old = our_seq;
    // An old SYN is answered, not believed; a RST does not end TIME_WAIT (RFC 1337).
    say_at(peer_seq - 5000, 0, 65535, TCP_SYN, 0);
    hear(TCP_ACK);
    say_at(peer_seq, old, 65535, TCP_RST, 0);
    say_at(peer_seq - 5000, 0, 65535, TCP_SYN, 0);
    hear(TCP_ACK);
    // A new one opens again, with a number of ours beyond the old one.
    say_at(peer_seq + 70000, 0, 65535, TCP_SYN, 0);
    hear(TCP_SYN | TCP_ACK);
    assert_true((int32_t)(seg.seq - old) > 0);
    say_at(peer_seq + 70001, seg.seq + 1, 65535, TCP_RST | TCP_ACK, 0);
    silence();
}

static void reset_in_every_state(void **st)
{
    (void)st;
    struct sock *s;
    struct sock_addr to = {PEER_IP, 7000};
    // SYN_RCVD
    peer_seq = 1000000;
    say_at(peer_seq, 0, 65535, TCP_SYN, 0);
    hear(TCP_SYN | TCP_ACK);
    say_at(peer_seq + 1, 0, 65535, TCP_RST, 0);
    say_at(peer_seq + 1, seg.seq + 1, 65535, TCP_ACK, 0);
    hear(TCP_RST);
    // ESTABLISHED: exactly next, else a challenge (RFC 5961)
    s = open_plain();
    say_at(peer_seq + 10, our_seq, 65535, TCP_RST, 0);
    hear(TCP_ACK);
    say_at(peer_seq - 10, our_seq, 65535, TCP_RST, 0);
    silence();
    say_at(peer_seq + 100000, our_seq, 65535, TCP_RST, 0);
    silence();
    assert_int_equal(recv_bytes(s, back, 1, MSG_DONTWAIT), -EAGAIN);
    say_at(peer_seq, our_seq, 65535, TCP_RST, 0);
    assert_int_equal(recv_bytes(s, back, 1, MSG_DONTWAIT), -ECONNRESET);
    assert_int_equal(recv_bytes(s, back, 1, MSG_DONTWAIT), 0);
    sock_close(s);
    // data before the reset can still be read
    peer_port++;
    s = open_plain();
    say(TCP_ACK, "abc", 3);
    say_at(peer_seq + 3, our_seq, 65535, TCP_RST, 0);
    assert_int_equal(recv_bytes(s, back, 10, MSG_DONTWAIT), 3);
    assert_int_equal(recv_bytes(s, back, 1, MSG_DONTWAIT), -ECONNRESET);
    sock_close(s);
    // CLOSE_WAIT
    peer_port++;
    s = open_plain();
    say(TCP_FIN | TCP_ACK, NULL, 0);
    hear(TCP_ACK);
    say_at(peer_seq + 1, our_seq, 65535, TCP_RST, 0);
    assert_int_equal(send_bytes(s, "x", 1, MSG_DONTWAIT), -EPIPE);
    sock_close(s);
    // FIN_WAIT_1, FIN_WAIT_2, CLOSING, LAST_ACK
    for (int which = 0; which < 4; which++) {
        peer_port++;
        s = open_plain();
        uint32_t next = peer_seq;
        if (which == 3) {
            say(TCP_FIN | TCP_ACK, NULL, 0);
            next++;
            hear(TCP_ACK);
        }
        sock_close(s);
        hear(TCP_FIN | TCP_ACK);
        if (which == 1)
            say_at(peer_seq, our_seq + 1, 65535, TCP_ACK, 0);
        if (which == 2) {
            say_at(peer_seq, our_seq, 65535, TCP_FIN | TCP_ACK, 0);
            next++;
            hear(TCP_ACK);
        }
        say_at(next, our_seq + 1, 65535, TCP_RST, 0);
        assert_int_equal(tcp_orphans, 0);
        say_at(next, our_seq + 1, 65535, TCP_ACK, 0);
        hear(TCP_RST);
    }
    // SYN_SENT: with the right acknowledgement only
    assert_int_equal(sock_create(SOCK_STREAM, 0, &s), 0);
    assert_int_equal(sock_connect(s, &to, true), -EINPROGRESS);
    hear(TCP_SYN);
    struct say rst = {.seq = 0,
                      .ack = seg.seq + 77,
                      .sport = 7000,
                      .dport = seg.sport,
                      .flags = TCP_RST | TCP_ACK};
    peer_say(&rst);
    assert_false(sock_poll(s) & EPOLLERR);
    rst.ack = seg.seq + 1;
    peer_say(&rst);
    assert_true(sock_poll(s) & EPOLLERR);
    assert_int_equal(sock_connect(s, &to, true), -ECONNREFUSED);
    sock_close(s);
    // LISTEN and nothing at all
    say_at(5, 0, 0, TCP_RST, 0);
    silence();
    say_at(5, 99, 0, TCP_ACK, 0);
    hear(TCP_RST);
    assert_int_equal(seg.seq, 99);
    struct say stray = {.seq = 5, .wnd = 10, .sport = peer_port, .dport = 4444, .flags = TCP_SYN};
    peer_say(&stray);
    hear(TCP_RST | TCP_ACK);
    assert_int_equal(seg.ack, 6);
}

static void connect_out(void **st)
{
    (void)st;
    struct sock *s;
    struct sock_addr to = {PEER_IP, 7001}, me;
    sock_create(SOCK_STREAM, 0, &s);
    assert_int_equal(sock_connect(s, &to, true), -EINPROGRESS);
    assert_int_equal(sock_connect(s, &to, true), -EALREADY);
    hear(TCP_SYN);
    assert_true(seg.opt.sack_ok && seg.opt.ts && seg.opt.wscale == 7 && seg.opt.mss == 1460);
    sock_getname(s, &me);
    assert_int_equal(me.ip, OUR_IP);
    assert_true(me.port >= 32768 && me.port <= 60999);
    shim_advance_to(shim_clock + 1001 * MS);
    hear(TCP_SYN); // again
    uint32_t iss = seg.seq;
    struct say a = {.seq = 500,
                    .ack = iss + 1,
                    .wnd = 1000,
                    .sport = 7001,
                    .dport = me.port,
                    .flags = TCP_SYN | TCP_ACK};
    assert_int_equal(sock_poll(s) & EPOLLOUT, 0);
    peer_say(&a);
    hear(TCP_ACK);
    assert_int_equal(seg.ack, 501);
    assert_true(sock_poll(s) & EPOLLOUT);
    assert_int_equal(sock_connect(s, &to, true), 0);
    assert_int_equal(sock_connect(s, &to, true), -EISCONN);
    int err = 1;
    unsigned len = sizeof(err);
    assert_int_equal(sock_getopt(s, 1, 4 /* SO_ERROR */, &err, &len), 0);
    assert_int_equal(err, 0);
    struct say end = {
        .seq = 501, .ack = iss + 1, .sport = 7001, .dport = me.port, .flags = TCP_RST};
    peer_say(&end);
    sock_close(s);
    // Nobody answers.
    sock_create(SOCK_STREAM, 0, &s);
    int n = 2;
    sock_setopt(s, IPPROTO_TCP, 7 /* TCP_SYNCNT */, &n, 4);
    assert_int_equal(sock_connect(s, &to, false), -ETIMEDOUT);
    peer_forget();
    sock_close(s);
}

static void simultaneous_open(void **st)
{
    (void)st;
    struct sock *s;
    struct sock_addr to = {PEER_IP, 7002};
    sock_create(SOCK_STREAM, 0, &s);
    assert_int_equal(sock_connect(s, &to, true), -EINPROGRESS);
    hear(TCP_SYN);
    uint32_t iss = seg.seq;
    uint16_t port = seg.sport;
    struct say syn = {.seq = 500, .wnd = 1000, .sport = 7002, .dport = port, .flags = TCP_SYN};
    peer_say(&syn);
    hear(TCP_SYN | TCP_ACK);
    assert_int_equal(seg.seq, iss);
    assert_int_equal(seg.ack, 501);
    struct say ack = {.seq = 500,
                      .ack = iss + 1,
                      .wnd = 1000,
                      .sport = 7002,
                      .dport = port,
                      .flags = TCP_SYN | TCP_ACK};
    peer_say(&ack);
    assert_true(sock_poll(s) & EPOLLOUT);
    peer_forget();
    struct say rst = {.seq = 501, .ack = iss + 1, .sport = 7002, .dport = port, .flags = TCP_RST};
    peer_say(&rst);
    sock_close(s);
}

static void syn_flood_and_cookies(void **st)
{
    (void)st;
    static const uint8_t opt[] = {2, 4, 1460 >> 8, 1460 & 255, 4, 2, 8, 10, 0, 0,
                                  0, 9, 0,         0,          0, 0, 1, 3,  3, 5};
    unsigned answers = 0;
    for (unsigned i = 0; i < 3000; i++) {
        struct say syn = {.seq = i,
                          .wnd = 65535,
                          .sport = (uint16_t)(1024 + i),
                          .flags = TCP_SYN,
                          .optlen = sizeof(opt)};
        memcpy(syn.opt, opt, sizeof(opt));
        peer_say(&syn);
        while (peer_hear(&seg))
            answers++;
    }
    assert_int_equal(answers, 3000); // all are answered, few are remembered
    peer_port = 50000;
    peer_seq = 777;
    struct say syn = {
        .seq = peer_seq, .wnd = 65535, .sport = peer_port, .flags = TCP_SYN, .optlen = sizeof(opt)};
    memcpy(syn.opt, opt, sizeof(opt));
    peer_say(&syn);
    hear(TCP_SYN | TCP_ACK);
    struct sock *s;
    uint32_t cookie = seg.seq, ts = seg.opt.tsval;
    // A guess is refused, the cookie opens.
    struct say ack = {.seq = peer_seq + 1,
                      .ack = cookie + 2,
                      .wnd = 1000,
                      .sport = peer_port,
                      .flags = TCP_ACK,
                      .optlen = 12};
    put_be32(ack.opt, 0x0101080a);
    put_be32(ack.opt + 4, 10);
    put_be32(ack.opt + 8, ts);
    peer_say(&ack);
    hear(TCP_RST);
    assert_int_equal(sock_accept(listener, &s, NULL, true), -EAGAIN);
    ack.ack = cookie + 1;
    ack.data = "via cookie";
    ack.len = 10;
    peer_say(&ack);
    assert_int_equal(sock_accept(listener, &s, NULL, true), 0);
    assert_int_equal(recv_bytes(s, back, 100, MSG_DONTWAIT), 10);
    struct tcp_sock *t = tcp_of(s);
    assert_true(t->sack_ok && t->ts_ok && t->snd_wscale == 5);
    assert_int_equal(t->peer_mss, 1460);
    struct say rst = {
        .seq = peer_seq + 11, .ack = cookie + 1, .sport = peer_port, .flags = TCP_RST};
    peer_say(&rst);
    sock_close(s);
    // The half-open ones time out.
    peer_drop = true;
    shim_advance_to(shim_clock + 100 * NSEC_PER_SEC);
    assert_int_equal(tcp_of(listener)->syn_count, 0);
}

static void accept_queue_is_bounded(void **st)
{
    (void)st;
    struct sock *s;
    uint32_t iss[40];
    sock_listen(listener, 4);
    for (uint16_t i = 0; i < 8; i++) {
        struct say syn = {.seq = 100, .wnd = 1000, .sport = (uint16_t)(2000 + i), .flags = TCP_SYN};
        peer_say(&syn);
        hear(TCP_SYN | TCP_ACK);
        iss[i] = seg.seq;
    }
    for (uint16_t i = 0; i < 8; i++) {
        struct say ack = {.seq = 101,
                          .ack = iss[i] + 1,
                          .wnd = 1000,
                          .sport = (uint16_t)(2000 + i),
                          .flags = TCP_ACK};
        peer_say(&ack);
    }
    silence();
    int n = 0;
    while (!sock_accept(listener, &s, NULL, true)) {
        n++;
        sock_close(s);
    }
    assert_int_equal(n, 4);
    peer_forget();
    // Those that found no place come again.
    struct say ack = {.seq = 101,
                      .ack = iss[6] + 1,
                      .wnd = 1000,
                      .sport = 2006,
                      .flags = TCP_ACK,
                      .data = "hi",
                      .len = 2};
    peer_say(&ack);
    assert_int_equal(sock_accept(listener, &s, NULL, true), 0);
    assert_int_equal(recv_bytes(s, back, 9, MSG_DONTWAIT), 2);
    sock_close(s);
    peer_forget();
}

static void challenge_acks(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    say_at(peer_seq, our_seq, 65535, TCP_SYN, 0); // SYN in the window
    hear(TCP_ACK);
    say_at(peer_seq, our_seq + 5000, 65535, TCP_ACK, 10); // acknowledges what was never sent
    hear(TCP_ACK);
    say_at(peer_seq, our_seq - 200000, 65535, TCP_ACK, 10); // or far in the past
    hear(TCP_ACK);
    say_at(peer_seq, our_seq, 65535, 0, 10); // no ACK flag
    silence();
    assert_int_equal(recv_bytes(s, back, 100, MSG_DONTWAIT), -EAGAIN);
    unsigned n = 0;
    for (int i = 0; i < 1000; i++) // bounded (RFC 5961 section 7)
        say_at(peer_seq, our_seq, 65535, TCP_SYN, 0);
    while (peer_hear(&seg))
        n++;
    assert_true(n <= 100);
    shim_clock += 2 * NSEC_PER_SEC;
    close_politely(s);
}

static void close_with_unread_data_resets(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    say(TCP_ACK, "unread", 6);
    sock_close(s);
    hear(TCP_RST | TCP_ACK);
    assert_int_equal(seg.seq, our_seq);
    // Data for one that was closed: reset too.
    peer_port++;
    s = open_plain();
    sock_close(s);
    hear(TCP_FIN | TCP_ACK);
    say(TCP_ACK, "late", 4);
    hear(TCP_RST | TCP_ACK);
    assert_int_equal(tcp_orphans, 0);
    // SO_LINGER with 0
    peer_port++;
    s = open_plain();
    int lg[2] = {1, 0};
    sock_setopt(s, 1, 13, lg, sizeof(lg));
    sock_close(s);
    hear(TCP_RST | TCP_ACK);
}

static void keepalive(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    int on = 1, idle = 10, intvl = 5, cnt = 3;
    sock_setopt(s, 1, 9 /* SO_KEEPALIVE */, &on, 4);
    sock_setopt(s, IPPROTO_TCP, 4, &idle, 4);
    sock_setopt(s, IPPROTO_TCP, 5, &intvl, 4);
    sock_setopt(s, IPPROTO_TCP, 6, &cnt, 4);
    shim_advance_to(shim_clock + 9 * NSEC_PER_SEC);
    silence();
    shim_advance_to(shim_clock + 2 * NSEC_PER_SEC);
    hear(TCP_ACK);
    assert_int_equal(seg.seq, our_seq - 1);
    say(TCP_ACK, NULL, 0); // alive
    shim_advance_to(shim_clock + 9 * NSEC_PER_SEC);
    silence();
    shim_advance_to(shim_clock + 30 * NSEC_PER_SEC);
    unsigned n = 0;
    while (peer_hear(&seg))
        n++;
    assert_int_equal(n, 4); // three probes and a reset
    assert_true(seg.flags & TCP_RST);
    assert_int_equal(recv_bytes(s, back, 1, MSG_DONTWAIT), -ETIMEDOUT);
    sock_close(s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(syn_before_listen),
        T(handshake_and_data),
        T(bad_checksum_is_dropped),
        T(half_close),
        T(simultaneous_close),
        T(time_wait_takes_a_new_syn),
        T(reset_in_every_state),
        T(connect_out),
        T(simultaneous_open),
        T(syn_flood_and_cookies),
        T(accept_queue_is_bounded),
        T(challenge_acks),
        T(close_with_unread_data_resets),
        T(keepalive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
