// SPDX-License-Identifier: ISC
// TCP: small writes that become large packets, or wait for the next poll; the end of the program.
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

// Hundreds of small writes, and what lies in between by reference, while the peer's window is
// closed: they go out as packets of no more pieces than a device takes (net_peer.h looks).
static void pieces_are_gathered(void **st)
{
    (void)st;
    peer_dev.features = NETDEV_CSUM_TX | NETDEV_TSO4;
    static const unsigned sizes[] = {297, 1, 600, 90, 1025, 5000, 3, 2000};
    for (unsigned kind = 0; kind < 8; kind++) {
        struct sock *s = open_plain();
        int size = 400000;
        sock_setopt(s, 1, 32 /* SO_SNDBUFFORCE */, &size, sizeof(size));
        say_at(peer_seq, our_seq, 0, TCP_ACK, 0);
        uint32_t queued = 0;
        // Alone, and in turns with the next size.
        for (unsigned i = 0; queued < 60000; i++) {
            uint32_t n = sizes[(kind + (kind & 4 ? i % 2 : 0)) % 8];
            if (n == 1 && i > 3000)
                break;
            assert_int_equal(send_bytes(s, data + queued, n, MSG_DONTWAIT), n);
            queued += n;
        }
        uint32_t heard = 0;
        for (unsigned i = 0; heard < queued && i < 1000; i++) {
            say_at(peer_seq, our_seq + heard, 65535, TCP_ACK, 0);
            while (peer_hear(&seg)) {
                if (!seg.len)
                    continue;
                assert_int_equal(seg.seq, our_seq + heard);
                assert_memory_equal(seg.data, data + heard, seg.len);
                heard += seg.len;
            }
        }
        assert_int_equal(heard, queued);
        our_seq += heard;
        say(TCP_ACK, NULL, 0);
        close_politely(s);
        peer_port++;
    }
}

static void small_sends_wait_for_the_poll(void **st)
{
    (void)st;
    peer_dev.features = NETDEV_CSUM_TX | NETDEV_TSO4 | NETDEV_LATE;
    struct sock *s = open_plain();
    shim_poll_by = DEADLINE_NEVER;
    assert_int_equal(send_bytes(s, data, 100, MSG_DONTWAIT), 100);
    assert_true(shim_poll_by > shim_clock && shim_poll_by <= shim_clock + 2 * MS);
    assert_int_equal(send_bytes(s, data + 100, 200, MSG_DONTWAIT), 200);
    silence();
    shim_poll();
    hear(TCP_ACK);
    assert_int_equal(seg.len, 300);
    silence();
    // A packet that comes takes them along.
    assert_int_equal(send_bytes(s, data + 300, 100, MSG_DONTWAIT), 100);
    our_seq += 300;
    say(TCP_ACK, NULL, 0);
    hear(TCP_ACK);
    assert_int_equal(seg.len, 100);
    // Much does not wait.
    our_seq += 100;
    say(TCP_ACK, NULL, 0);
    assert_int_equal(send_bytes(s, data, 20000, MSG_DONTWAIT), 20000);
    assert_true(hear_data(NULL) >= 14600);
    our_seq += 14600;
    say(TCP_ACK, NULL, 0);
    our_seq -= 14600;
    peer_forget();
    our_seq += 20000;
    say(TCP_ACK, NULL, 0);
    peer_forget();
    close_politely(s);
}

// All connections end as close(2) ends them: data first, then FIN; unread data means RST.
static void the_program_ends(void **st)
{
    (void)st;
    peer_dev.features = NETDEV_CSUM_TX | NETDEV_TSO4 | NETDEV_LATE;
    struct sock *s = open_plain(), *other;
    uint32_t first_seq = our_seq;
    uint16_t first_port = peer_port++;
    other = open_plain();
    say(TCP_ACK, "unread", 6);
    peer_forget();
    assert_int_equal(send_bytes(s, data, 100, MSG_DONTWAIT), 100); // waits for a poll
    assert_true(peer_dev.ending(&peer_dev, false));
    unsigned resets = 0, ends = 0;
    while (peer_hear(&seg)) {
        if (seg.dport == first_port) {
            assert_int_equal(seg.flags & ~TCP_PSH, TCP_FIN | TCP_ACK);
            assert_int_equal(seg.seq, first_seq);
            assert_int_equal(seg.len, 100);
            ends++;
        } else {
            assert_true(seg.flags & TCP_RST);
            resets++;
        }
    }
    assert_int_equal(ends, 1);
    assert_int_equal(resets, 1);
    assert_true(peer_dev.ending(&peer_dev, false)); // not acknowledged
    silence();
    peer_port = first_port;
    our_seq = first_seq + 100; // the data, not the FIN
    say(TCP_ACK, NULL, 0);
    assert_true(peer_dev.ending(&peer_dev, false));
    peer_dev.ending(&peer_dev, true); // time is over: it is told
    hear(TCP_RST | TCP_ACK);
    our_seq++;
    say(TCP_ACK, NULL, 0);
    assert_false(peer_dev.ending(&peer_dev, false));
    (void)other; // nobody closes it: there is no program any more
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pieces_are_gathered, setup, teardown),
        cmocka_unit_test_setup_teardown(small_sends_wait_for_the_poll, setup, teardown),
        cmocka_unit_test_setup(the_program_ends, setup), // the last
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
