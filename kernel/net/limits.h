// SPDX-License-Identifier: ISC
// Bounds of the network stack, each with its reason. Memory of packets as a whole is bounded in
// dev/pktbuf.c (an eighth of the instance's memory).
#ifndef LITH_NET_LIMITS_H
#define LITH_NET_LIMITS_H

#define NET_IF_MAX 8     // loopback and the devices of one instance
#define NET_LO_MTU 65520 // one TSO segment a packet
#define NET_LO_QUEUE_MAX \
    1024 // packets on loopback between two deliveries; more are dropped as on a wire
#define NET_TXQ_MAX      1000        // packets that wait for room in a device; Linux's txqueuelen
#define NET_TXQ_SHARE    (64u << 10) // ... and at most one for so many bytes of the instance's memory
#define NET_FLUSH_ROUNDS 64 // loopback deliveries in one go, before other work gets the CPU

// ARP (RFC 826): sets of 4, so that a flood of addresses evicts only its own set.
#define ARP_SETS        32
#define ARP_WAYS        4
#define ARP_PENDING_MAX 8                   // packets that wait for one address: a first TCP window
#define ARP_FRESH_NS    (60 * NSEC_PER_SEC) // then asked for again while still used
#define ARP_RETRY_NS    (1 * NSEC_PER_SEC)
#define ARP_TRIES       3
#define ARP_DEFEND_NS   (10 * NSEC_PER_SEC) // RFC 5227 DEFEND_INTERVAL

// Reassembly (RFC 791, 815): datagrams under way, bytes in all, fragments of one, time to live.
#define FRAG_DATAGRAMS_MAX 16
#define FRAG_BYTES_MAX     (256u << 10)
#define FRAG_PIECES_MAX    64                  // 64 KiB in fragments of 1 KiB
#define FRAG_TIMEOUT_NS    (15 * NSEC_PER_SEC) // RFC 1122 asks for up to 120 s; memory is short

// Answers to strangers, per second: errors (RFC 1812 section 4.3.2.8), echoes, RSTs, challenge ACKs
// (RFC 5961 section 7).
#define ICMP_ERRORS_PER_S   200
#define ICMP_ECHOES_PER_S   20000
#define TCP_RSTS_PER_S      20000
#define TCP_CHALLENGE_PER_S 100

// Sockets.
#define SOCK_PORT_HASH     128 // buckets of bound ports
#define SOCK_BUF_MIN       4096u
#define SOCK_BUF_MAX       (8u << 20)
#define UDP_RCVBUF_DEFAULT (208u << 10) // Linux's rmem_default
#define UDP_SNDBUF_DEFAULT (208u << 10)
#define SOCK_SOMAXCONN     4096 // Linux's default

// TCP.
#define TCP_HASH_MIN       256 // buckets at start; doubles with the number of entries
#define TCP_HASH_MAX       65536
#define TCP_RCVBUF_DEFAULT (128u << 10)
#define TCP_SNDBUF_DEFAULT (128u << 10)
#define TCP_BUF_AUTO_MAX   (4u << 20) // autotuning's end: 4 MiB in flight is 300 Mbit/s at 100 ms
#define TCP_WSCALE         7          // windows up to 8 MiB
#define TCP_SYN_MAX        1024   // half-open connections in all (96 bytes each); then SYN cookies
#define TCP_ORPHANS_MAX    4096   // closed by the program, still closing on the wire
#define TCP_TW_MAX         4096   // TIME_WAIT entries (80 bytes each); then the oldest goes
#define TCP_PAST_WINDOW    65535u // so far past our window an acknowledgement still counts
#define TCP_OOO_MAX        1024   // out-of-order segments of one connection: bounds the search
#define TCP_SACK_RANGES    32     // SACKed ranges that a sender remembers; further ones are ignored
#define TCP_DEFAULT_MSS    536u   // RFC 9293 section 3.7.1
#define TCP_MIN_MSS        88u    // smaller offers are an attack on packet rates (CVE-2019-11479)
#define TCP_GSO_MAX        65000u // bytes of payload in one segment to a device with segmentation offload
#define TCP_LATE_MAX       16384u // what waits for the next poll (NETDEV_LATE) is less than this
#define TCP_LATE_NS        (2 * NSEC_PER_MSEC) // ... and waits so long at most
#define TCP_RTO_INIT_US    1000000u            // RFC 6298 section 2.1
#define TCP_RTO_MIN_US     200000u             // as Linux; RFC 6298's 1 s starves short flows
#define TCP_RTO_MAX_US     120000000u
#define TCP_DELACK_NS      (40 * NSEC_PER_MSEC)  // RFC 9293 section 3.8.6.3: below 500 ms
#define TCP_CORK_NS        (200 * NSEC_PER_MSEC) // tcp(7), TCP_CORK
#define TCP_EARLY_NS       (100 * NSEC_PER_MSEC) // from the start: a SYN waits for its listener
#define TCP_EARLY_MAX      16                    // so many may wait
#define TCP_2MSL_NS        (60 * NSEC_PER_SEC)   // as Linux
#define TCP_FIN_WAIT2_NS   (60 * NSEC_PER_SEC)
#define TCP_SYN_RETRIES    6
#define TCP_SYNACK_RETRIES 5
#define TCP_RETRIES        15 // about 15 minutes with the RTO at its minimum
#define TCP_ORPHAN_RETRIES 8
#define TCP_KEEP_IDLE_S    7200
#define TCP_KEEP_INTVL_S   75
#define TCP_KEEP_PROBES    9

// Ephemeral ports (RFC 6056; Linux's default range).
#define PORT_EPHEMERAL_MIN 32768
#define PORT_EPHEMERAL_MAX 60999

#endif
