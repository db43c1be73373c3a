// SPDX-License-Identifier: ISC
// TCP (RFC 9293): structures shared by its files. Private to net/. Field names are the RFC's.
//   tcp_sock.c    what programs call            tcp_table.c   four-tuples, TIME_WAIT, timers' home
//   tcp_input.c   segments arrive               tcp_listen.c  half-open connections, cookies,
//   accept tcp_ack.c     acknowledgements, RTT, congestion, recovery tcp_output.c  segments leave
//   tcp_timer.c   retransmission, probes, keepalive          tcp_early.c   before anybody listens
#ifndef LITH_NET_TCP_H
#define LITH_NET_TCP_H

#include "net/sock.h"

struct tcp_hdr {
    uint16_t sport, dport;
    uint32_t seq, ack;
    uint8_t off, flags;
    uint16_t wnd, csum, urg;
} PACKED;
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_URG 0x20

enum tcp_state { // Linux's numbers (TCP_INFO, /proc/net/tcp)
    TCPS_ESTABLISHED = 1,
    TCPS_SYN_SENT,
    TCPS_SYN_RCVD,
    TCPS_FIN_WAIT_1,
    TCPS_FIN_WAIT_2,
    TCPS_TIME_WAIT,
    TCPS_CLOSED,
    TCPS_CLOSE_WAIT,
    TCPS_LAST_ACK,
    TCPS_LISTEN,
    TCPS_CLOSING,
};

static inline bool seq_lt(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}
static inline bool seq_leq(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) <= 0;
}
static inline bool seq_gt(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) > 0;
}
static inline bool seq_geq(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) >= 0;
}

// --- the table of four-tuples: connections, half-open ones and TIME_WAIT (tcp_table.c) ---
enum tcp_kind { TCP_KIND_SOCK, TCP_KIND_SYN, TCP_KIND_TW };
struct tcp_entry {
    struct tcp_entry *next;
    uint32_t laddr, raddr;
    uint16_t lport, rport;
    uint8_t kind;
    bool hashed;
};
struct tcp_entry *tcp_lookup(uint32_t laddr, uint16_t lport, uint32_t raddr, uint16_t rport);
void tcp_hash_add(struct tcp_entry *e);
void tcp_hash_del(struct tcp_entry *e);
void tcp_for_each(void (*fn)(struct tcp_entry *e, void *ctx), void *ctx);

struct seq_range {
    uint32_t start, end;
};

struct tcp_opts {  // of a received segment
    uint16_t mss;  // 0: none
    int8_t wscale; // -1: none
    bool sack_ok, ts;
    uint32_t tsval, tsecr;
    unsigned sacks;
    struct seq_range sack[4];
};

struct tcp_seg { // a received segment, decoded, host byte order
    uint32_t laddr, raddr;
    uint16_t lport, rport;
    uint32_t seq, ack, wnd; // wnd not scaled
    uint32_t len;           // payload
    uint8_t flags;
    struct tcp_opts opt;
    const struct ip_info *ip;
    uint32_t iss_floor; // after TIME_WAIT: the new connection's ISS lies above
    bool has_iss_floor;
};

enum tcp_recovery {
    TCP_OPEN,
    TCP_RECOVERY,
    TCP_LOSS
}; // none; fast (RFC 6675, 6582); after a timeout

// SACK scoreboard of a sender, allocated when the first block comes.
struct tcp_scoreboard {
    unsigned count;
    struct seq_range range[TCP_SACK_RANGES]; // ascending, disjoint, above snd_una
};

struct tcp_sock {
    struct sock s;
    struct tcp_entry e;
    uint8_t state; // enum tcp_state
    bool orphan;   // the program has closed it
    bool ack_now;  // an acknowledgement is due with this batch
    bool fin_queued, fin_sent;
    bool fin_rcvd;
    bool ts_ok, sack_ok, wscale_ok;
    bool nodelay, cork;
    bool more;           // the last send had MSG_MORE
    bool cwnd_limited;   // the last output stopped at cwnd
    bool persist;        // t_rtx probes a closed window
    bool was_connecting; // connect() has not reported yet
    uint8_t snd_wscale, rcv_wscale;
    uint8_t retries;  // of the retransmission or probe under way
    uint8_t recovery; // enum tcp_recovery
    uint8_t dupacks;
    uint8_t keep_sent; // keepalive probes without answer
    bool tlp_sent;
    struct list_head pending; // in the list of connections that have something to send
    struct ip_route route;

    // Send sequence space: [snd_una, snd_nxt) is in flight, [snd_nxt, snd_end) waits; the FIN is at
    // snd_end.
    uint32_t iss, snd_una, snd_nxt, snd_end, snd_wnd, snd_wl1, snd_wl2, max_wnd;
    uint32_t mss; // payload per segment, options subtracted
    uint32_t peer_mss;
    struct list_head sndq; // chunks (pktbufs by snd_link), by sequence number
    struct pktbuf *snd_at; // chunk that holds snd_nxt, a hint; NULL: search
    uint32_t push_seq; // send what lies before this even if Nagle objects (end of MSG_MORE/cork)

    // Congestion control, bytes (RFC 5681, 9438).
    uint32_t cwnd, ssthresh, cwnd_acked;
    uint32_t recover, high_rxt; // end of recovery; retransmitted up to here in it
    uint32_t rxt_mark;          // snd_nxt when the retransmission of snd_una went out
    uint32_t rxt_una;           // and snd_una then
    uint32_t w_max;             // CUBIC: window before the last reduction
    uint64_t cubic_epoch;       // ns; 0: no epoch
    uint32_t cubic_k_ms, cubic_w_est;
    struct tcp_scoreboard *sb;

    // RTT (RFC 6298), microseconds.
    uint32_t srtt, rttvar, rto, min_rtt;
    uint32_t rtt_seq; // timing the segment that ends here; valid if rtt_start
    uint64_t rtt_start;

    // Receive sequence space.
    uint32_t irs, rcv_nxt, rcv_adv; // rcv_adv: right edge of the window that we advertised
    uint32_t rcv_acked;             // rcv_nxt of the last acknowledgement sent
    uint32_t rcv_mss;               // largest payload seen: two of these make an ACK due
    uint32_t adv_mss;
    uint32_t auto_seq;     // receive autotuning: rcv_nxt when the measurement began
    struct list_head oooq; // out-of-order pktbufs, by sequence number
    unsigned ooo_count, sack_count;
    struct seq_range sack[4]; // to report, the latest first
    uint32_t ts_recent, ts_offset;
    uint64_t ts_recent_at; // ns
    uint64_t last_rx;      // ns: last segment, for keepalive

    // Deadlines (ns) and the one timer that serves them; it may be early, never late.
    uint64_t t_rtx, t_delack, t_cork, t_misc; // t_misc: keepalive, FIN_WAIT_2
    struct ktimer timer;
    uint64_t idle_since; // ns: last data sent
    uint32_t keep_idle_s, keep_intvl_s, keep_probes, user_timeout_ms, syn_retries, defer_accept_s;
    uint32_t maxseg;    // TCP_MAXSEG
    uint64_t rtx_since; // ns: first timeout of the current series
    uint32_t total_rxt;
    int soft_error; // ICMP said so while connecting; reported if it times out

    // Listener.
    struct list_head accept_link; // in the listener's accept queue
    struct list_head acceptq;
    unsigned accept_count, backlog, syn_count;
    struct tcp_sock *listener; // while in its accept queue
};

static inline struct tcp_sock *tcp_of(struct sock *s)
{
    return container_of(s, struct tcp_sock, s);
}

struct tcp_syn { // a half-open connection
    struct tcp_entry e;
    struct list_head link;
    struct tcp_sock *listener;
    uint64_t next_ns; // retransmission of the SYN-ACK
    uint32_t iss, irs, ts_recent, ts_offset;
    uint16_t mss;
    int8_t wscale;
    bool sack_ok, ts_ok;
    uint8_t retries;
};

struct tcp_tw { // TIME_WAIT
    struct tcp_entry e;
    struct list_head link;
    uint64_t expires;
    uint32_t snd_nxt, rcv_nxt, rcv_wnd, ts_recent, ts_offset;
    uint8_t rcv_wscale;
    bool ts_ok;
};

extern uint32_t tcp_rx_total; // memory of receive queues
extern uint32_t tcp_tx_total; // memory of send queues
bool tcp_rx_pressure(void);
bool tcp_tx_pressure(void);

// Bytes queued and never sent. (Once the FIN is sent, snd_nxt lies behind snd_end.)
static inline uint32_t tcp_unsent(const struct tcp_sock *t)
{
    return t->fin_sent ? 0 : t->snd_end - t->snd_nxt;
}

// Bytes queued and not acknowledged.
static inline uint32_t tcp_queued(const struct tcp_sock *t)
{
    return seq_lt(t->snd_una, t->snd_end) ? t->snd_end - t->snd_una : 0;
}

static inline uint32_t tcp_now_ms(void)
{
    return (uint32_t)(net_now / NSEC_PER_MSEC);
}
static inline uint32_t tcp_tsval(const struct tcp_sock *t)
{
    return tcp_now_ms() + t->ts_offset;
}

// What a chunk of the send queue costs; foreign bytes cost nothing.
static inline uint32_t tcp_chunk_memory(const struct pktbuf *c)
{
    return (uint32_t)sizeof(*c) + (c->release ? 0 : c->size);
}

// --- tcp_table.c ---
struct tcp_sock *tcp_alloc(void);
void tcp_free(struct tcp_sock *t); // the structure and all it holds
void tcp_destroy(
    struct tcp_sock *t); // the connection is over: state CLOSED, off the wire; frees an orphan
void tcp_fail(struct tcp_sock *t, int err); // destroy with an error for the program
void tcp_time_wait(struct tcp_sock *t); // to TIME_WAIT: a compact entry takes over, then destroy
void tcp_tw_free(struct tcp_tw *tw);
void tcp_tw_restart(struct tcp_tw *tw);
void tcp_output_late(struct tcp_sock *t); // tcp_output() at the next poll, where that is better
void tcp_schedule(struct tcp_sock *t);    // tcp_output() at the end of the batch
extern uint64_t tcp_secret[4];
uint32_t tcp_new_iss(uint32_t laddr, uint16_t lport, uint32_t raddr, uint16_t rport); // RFC 6528
uint32_t tcp_new_ts_offset(uint32_t laddr, uint16_t lport, uint32_t raddr, uint16_t rport);
void tcp_queue_fin(struct tcp_sock *t); // nothing more to send
extern unsigned tcp_orphans;

// --- tcp_input.c ---
void tcp_parse_options(const uint8_t *opt, unsigned n, struct tcp_opts *out);
void tcp_segment(struct tcp_sock *t, struct tcp_seg *seg, struct pktbuf *p); // takes p
bool tcp_ts_before(uint32_t a, uint32_t b);
bool tcp_challenge_ok(void);

// --- tcp_listen.c ---
void tcp_listen_input(struct tcp_sock *l, struct tcp_seg *seg, struct pktbuf *p); // does not take p
void tcp_syn_input(struct tcp_syn *sy, struct tcp_seg *seg, struct pktbuf *p);    // takes p
struct tcp_sock *tcp_find_listener(uint32_t laddr, uint16_t lport);
void tcp_listen_stop(struct tcp_sock *l);
void tcp_syn_free(struct tcp_syn *sy);
void tcp_established(struct tcp_sock *t); // common part of both openings

// --- tcp_early.c ---
// A SYN that finds no listener: true if it waits for one (takes p).
bool tcp_early_hold(const struct tcp_seg *seg, struct pktbuf *p);
void tcp_early_release(void); // there is a new listener

// --- tcp_ack.c ---
// Acknowledgement of a segment in the window. False: the segment is to be dropped.
bool tcp_ack(struct tcp_sock *t, const struct tcp_seg *seg);
void tcp_enter_loss(struct tcp_sock *t);
uint32_t tcp_pipe(const struct tcp_sock *t);
uint32_t tcp_initial_cwnd(uint32_t mss);
void tcp_rtt_sample(struct tcp_sock *t, uint32_t us);
// Next hole to retransmit: false, or [*seq, *seq + *len).
bool tcp_next_hole(struct tcp_sock *t, bool lost_only, uint32_t *seq, uint32_t *len);
void tcp_scoreboard_clear(struct tcp_sock *t);
uint32_t tcp_sacked_bytes(const struct tcp_sock *t);

// --- tcp_output.c ---
void tcp_output(struct tcp_sock *t);
void tcp_send_ack(struct tcp_sock *t);
void tcp_send_rst(struct tcp_sock *t);
void tcp_send_syn(struct tcp_sock *t); // SYN or, in SYN_RCVD, SYN-ACK
void tcp_send_probe(struct tcp_sock *t);
bool tcp_retransmit(struct tcp_sock *t, uint32_t seq, uint32_t len);
uint32_t tcp_recv_window(struct tcp_sock *t); // advances rcv_adv
uint32_t tcp_window_now(const struct tcp_sock *t);
void tcp_set_mss(struct tcp_sock *t, uint32_t mtu_payload);
// A segment that belongs to no connection structure.
struct tcp_reply {
    uint32_t laddr, raddr, seq, ack;
    uint16_t lport, rport, wnd, mss; // mss 0: none
    int8_t wscale;                   // -1: none
    bool ts, sack_ok;
    uint32_t tsval, tsecr;
    uint8_t flags;
};
void tcp_send_reply(const struct tcp_reply *r);
void tcp_send_rst_for(const struct tcp_seg *seg); // RFC 9293 section 3.10.7.1
unsigned tcp_put_options(uint8_t *o, const struct tcp_reply *r);

// --- tcp_timer.c ---
void tcp_timer_fn(struct ktimer *k);
void tcp_timer_update(struct tcp_sock *t); // after a deadline changed
void tcp_arm_rtx(struct tcp_sock *t);      // RFC 6298 section 5: (re)start for the RTO
void tcp_arm_keepalive(struct tcp_sock *t);

#endif
