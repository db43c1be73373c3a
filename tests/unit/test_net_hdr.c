// SPDX-License-Identifier: ISC
// links: tests/unit/shim_core.c tests/unit/shim_mm.c kernel/lib/format.c kernel/dev/net_hdr.c
// The header in front of packets: its bytes as virtio 1.2 (section 5.1.6) has them, both ways.
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "shim.h"
#include "dev/virtio.h"

static uint8_t room[256];
static struct pktbuf packet(uint32_t len)
{
    memset(room, 0xee, sizeof(room));
    return (struct pktbuf){
        .head = room, .data = room + 64, .size = sizeof(room), .len = len, .total = len};
}

static void offload_fields_become_bytes(void **state)
{
    (void)state;
    static const uint8_t segments[12] = {1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0, 0, 0};
    static const uint8_t nothing[12] = {0};
    struct pktbuf p = packet(100);
    p.flags = PKT_CSUM_PARTIAL;
    p.gso_type = PKT_GSO_TCPV4;
    p.hdr_len = 54;
    p.gso_size = 1460;
    p.csum_start = 34;
    p.csum_offset = 16;
    net_hdr_push(&p);
    assert_ptr_equal(p.data, room + 52);
    assert_int_equal(p.len, 112);
    assert_memory_equal(p.data, segments, 12);
    p = packet(100);
    p.csum_start = 34; // of no meaning without PARTIAL
    net_hdr_push(&p);
    assert_memory_equal(p.data, nothing, 12);
}

static unsigned received(uint8_t flags, uint8_t gso_type, struct pktbuf *p)
{
    const uint8_t h[12] = {flags, gso_type, 54, 0, 0xb4, 5, 34, 0, 16, 0, 3, 1};
    *p = packet(112);
    p->flags = PKT_CSUM_PARTIAL | PKT_CSUM_VALID | PKT_CSUM_NOT_YET; // of the buffer's last packet
    memcpy(p->data, h, sizeof(h));
    unsigned buffers = net_hdr_pull(p);
    assert_ptr_equal(p->data, room + 76);
    assert_int_equal(p->len, 100);
    return buffers;
}

static void bytes_become_offload_fields(void **state)
{
    (void)state;
    struct pktbuf p;
    assert_int_equal(received(0, 0, &p), 0x103);
    assert_int_equal(p.flags, 0);
    assert_int_equal(p.gso_type, PKT_GSO_NONE);
    received(2, 0, &p); // DATA_VALID: checked by the device
    assert_int_equal(p.flags, PKT_CSUM_VALID);
    received(1, 0x81, &p); // NEEDS_CSUM, TCP segments with ECN
    assert_int_equal(p.flags, PKT_CSUM_VALID | PKT_CSUM_NOT_YET);
    assert_int_equal(p.csum_start, 34);
    assert_int_equal(p.csum_offset, 16);
    assert_int_equal(p.gso_type, PKT_GSO_TCPV4);
    assert_int_equal(p.gso_size, 1460);
    assert_int_equal(p.hdr_len, 54);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offload_fields_become_bytes),
        cmocka_unit_test(bytes_become_offload_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
