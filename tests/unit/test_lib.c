// SPDX-License-Identifier: ISC
// links: tests/unit/shim_core.c kernel/lib/format.c kernel/lib/rbtree.c kernel/lib/hash.c
// Formatting, number parsing, trees against a sorted array, hashes against published vectors.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "shim.h"

static void check_format(const char *want, const char *fmt, ...)
{
    char buf[64];
    va_list ap;
    va_start(ap, fmt);
    int n = lib_vsnprintf(buf, sizeof(buf), fmt, ap);
    va_end(ap);
    assert_string_equal(buf, want);
    assert_int_equal(n, (int)strlen(want));
}

static void format_matches_c(void **state)
{
    (void)state;
    check_format("-7 42 ff 0x10", "%d %u %x %p", -7, 42u, 255u, (void *)16);
    check_format("   7|7   |007", "%4d|%-4d|%03d", 7, 7, 7);
    check_format("-9223372036854775808", "%ld", INT64_MIN);
    check_format("18446744073709551615", "%lu", UINT64_MAX);
    check_format("ab|   ab|abc", "%.2s|%5s|%s", "abc", "ab", "abc");
    check_format("(null) % c", "%s %% %c", (char *)NULL, 'c');
    uint32_t ip = htobe32(0x0a000001);
    check_format("10.0.0.1", "%pI4", (void *)&ip);
    char small[4];
    assert_int_equal(lib_snprintf(small, sizeof(small), "%s", "hello"), 5);
    assert_string_equal(small, "hel");
}

static void parse_stops_at_overflow(void **state)
{
    (void)state;
    uint64_t v;
    const char *end;
    assert_true(lib_parse_u64("18446744073709551615x", 10, &v, &end));
    assert_true(v == UINT64_MAX && *end == 'x');
    assert_false(lib_parse_u64("18446744073709551616", 10, &v, &end));
    assert_false(lib_parse_u64("x", 10, &v, &end));
    assert_true(lib_parse_u64("fF", 16, &v, &end) && v == 255);
}

struct item {
    struct rb_node node;
    int key;
    bool in;
};

static int check_black(const struct rb_node *n)
{
    if (!n)
        return 1;
    if (n->red)
        assert_false((n->left && n->left->red) || (n->right && n->right->red));
    int l = check_black(n->left), r = check_black(n->right);
    assert_int_equal(l, r);
    return l + !n->red;
}

static void tree_stays_sorted_and_balanced(void **state)
{
    (void)state;
    static struct item items[300];
    struct rb_root root = {NULL};
    int count = 0;
    for (int i = 0; i < 300; i++)
        items[i].key = i;
    for (int step = 0; step < 20000; step++) {
        struct item *it = &items[random_u64() % 300];
        if (it->in) {
            rb_remove(&root, &it->node);
            count--;
        } else {
            struct rb_node **link = &root.node, *parent = NULL;
            while (*link) {
                parent = *link;
                link = it->key < container_of(parent, struct item, node)->key ? &parent->left
                                                                              : &parent->right;
            }
            rb_insert(&root, &it->node, parent, link);
            count++;
        }
        it->in = !it->in;
        if (step % 50)
            continue;
        check_black(root.node);
        int seen = 0, last = -1;
        for (struct rb_node *n = rb_first(&root); n; n = rb_next(n), seen++) {
            assert_true(container_of(n, struct item, node)->key > last);
            last = container_of(n, struct item, node)->key;
        }
        assert_int_equal(seen, count);
        seen = 0;
        for (struct rb_node *n = rb_last(&root); n; n = rb_prev(n))
            seen++;
        assert_int_equal(seen, count);
    }
}

static void hashes_match_their_papers(void **state)
{
    (void)state;
    // SipHash paper, appendix A: key 00..0f, message 00..0e.
    uint8_t k[16], m[15];
    for (int i = 0; i < 16; i++)
        k[i] = (uint8_t)i;
    for (int i = 0; i < 15; i++)
        m[i] = (uint8_t)i;
    uint64_t key[2];
    memcpy(key, k, 16);
    assert_true(lib_siphash(key, m, 15) == 0xa129ca6149be45e5);
    // RFC 8439 section 2.3.2.
    uint32_t ck[8], nonce[3] = {0x09000000, 0x4a000000, 0};
    uint8_t kb[32], out[64];
    for (int i = 0; i < 32; i++)
        kb[i] = (uint8_t)i;
    memcpy(ck, kb, 32);
    lib_chacha20_block(ck, 1, nonce, out);
    const uint8_t want[8] = {0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15};
    assert_memory_equal(out, want, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(format_matches_c),
        cmocka_unit_test(parse_stops_at_overflow),
        cmocka_unit_test(tree_stays_sorted_and_balanced),
        cmocka_unit_test(hashes_match_their_papers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
