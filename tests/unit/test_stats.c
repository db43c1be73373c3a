// SPDX-License-Identifier: ISC
// links: host/cli/stats_parse.c host/cli/stats_print.c
// links: host/common/error.c -ljansson
// `lith stats`: what it makes of an instance's page, of KVM's statistics, and how it shows them.
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>
#include "cli/stats.h"

static uint8_t file[LITH_STATS_LEN];
static struct lith_stats head;
static struct lith_stats_guest guest;

static int set_up(void **state)
{
    (void)state;
    memset(file, 0, sizeof(file));
    head = (struct lith_stats){
        .magic = LITH_STATS_MAGIC,
        .version = LITH_STATS_VERSION,
        .size = sizeof(head),
        .platform = LITH_STATS_KVM,
        .mem_bytes = 128 << 20,
        .label = "web",
    };
    guest = (struct lith_stats_guest){.version = LITH_STATS_GUEST_VERSION, .size = sizeof(guest)};
    return 0;
}

static int parse(struct stats_instance *i)
{
    memset(i, 0, sizeof(*i));
    memcpy(file, &head, sizeof(head));
    memcpy(file + LITH_STATS_LEN / 2 + LITH_STATS_GUEST_OFFSET, &guest, sizeof(guest));
    return stats_parse(file, sizeof(file), i);
}

static void sound_page(void **state)
{
    (void)state;
    struct stats_instance i;
    head.cpu.exit_wait = 7;
    head.io.net_tx_batches = 9; // the last of its list
    guest.switches = 3;
    guest.net_tx_bytes = 11;
    assert_int_equal(parse(&i), 0);
    assert_true(i.has_guest);
    assert_string_equal(i.host.label, "web");
    assert_int_equal(i.host.cpu.exit_wait, 7);
    assert_int_equal(i.host.io.net_tx_batches, 9);
    assert_int_equal(i.guest.net_tx_bytes, 11);
    assert_int_equal(stats_exits(&i), 7);
}

static void other_files_are_refused(void **state)
{
    (void)state;
    struct stats_instance i;
    assert_int_equal(parse(&i), 0);
    for (size_t len = 0; len < sizeof(file); len += 97)
        assert_true(stats_parse(file, len, &i) < 0);
    head.magic++;
    assert_true(parse(&i) < 0);
    head.magic--;
    head.version++;
    assert_true(parse(&i) < 0);
    head.version--;
    head.size--;
    assert_true(parse(&i) < 0);
    head.size++;
    for (uint32_t p = 0; p < 6; p++) {
        head.platform = p ? p : UINT32_MAX;
        assert_int_equal(parse(&i) == 0, p >= LITH_STATS_KVM && p <= LITH_STATS_QEMU);
    }
}

// What can an escape sequence or a label without an end do to a terminal?
static void labels_are_printable(void **state)
{
    (void)state;
    struct stats_instance i;
    memset(head.label, 0xff, sizeof(head.label));
    memcpy(head.label, "a\x1b[2J\n\x7f\xc2\x9b\"\\", 11);
    assert_int_equal(parse(&i), 0);
    assert_int_equal(strlen(i.host.label), sizeof(head.label) - 1);
    for (const char *c = i.host.label; *c; c++)
        assert_true(*c >= ' ' && *c <= '~');
}

static void guest_of_another_version(void **state)
{
    (void)state;
    struct stats_instance i;
    struct buf out = {0};
    guest.switches = UINT64_MAX;
    head.platform = LITH_STATS_PROCESS;
    for (guest.version = 0; guest.version < 3; guest.version++) {
        assert_int_equal(parse(&i), 0);
        assert_int_equal(i.has_guest, guest.version == LITH_STATS_GUEST_VERSION);
    }
    struct stats_change c = stats_change(&i, NULL);
    stats_detail(&out, &c);
    assert_non_null(strstr(out.data, "No counters: this kernel is from before them."));
    buf_free(&out);
}

// --- KVM's statistics: a header, descriptors with names, values ---
static uint8_t kvm_file[4096];
#define NAME_SIZE 48
static size_t kvm_make(const char *const names[], unsigned count, uint32_t flags)
{
    struct kvm_stats_header h = {
        .name_size = NAME_SIZE, .num_desc = count, .desc_offset = 64, .data_offset = 2048};
    memset(kvm_file, 0, sizeof(kvm_file));
    memcpy(kvm_file, &h, sizeof(h));
    for (unsigned i = 0; i < count; i++) {
        struct kvm_stats_desc d = {.flags = flags, .size = 1, .offset = 8 * i};
        uint8_t *at = kvm_file + 64 + i * (sizeof(d) + NAME_SIZE);
        uint64_t value = 100 + i;
        memcpy(at, &d, sizeof(d));
        strncpy((char *)at + sizeof(d), names[i], NAME_SIZE - 1);
        memcpy(kvm_file + 2048 + 8 * i, &value, 8);
    }
    return 2048 + 8 * count;
}

static void kvm_statistics(void **state)
{
    (void)state;
    static const char *const names[] = {"exits", "bad name", "io_exits", "", "\x1b[2J", "Upper"};
    struct stats_kvm kvm;
    size_t len = kvm_make(names, 6, KVM_STATS_TYPE_CUMULATIVE);
    assert_int_equal(stats_parse_kvm(kvm_file, len, &kvm), 0);
    assert_int_equal(kvm.count, 2);
    assert_string_equal(kvm.item[0].name, "exits");
    assert_int_equal(kvm.item[0].value, 100);
    assert_string_equal(kvm.item[1].name, "io_exits");
    assert_int_equal(kvm.item[1].value, 102);
    for (size_t cut = 0; cut < len; cut++)
        assert_true(stats_parse_kvm(kvm_file, cut, &kvm) < 0);
    assert_int_equal(stats_parse_kvm(kvm_file, kvm_make(names, 6, KVM_STATS_TYPE_INSTANT), &kvm),
                     0);
    assert_int_equal(kvm.count, 0);
    struct kvm_stats_header wild[] = {
        {.name_size = 0, .num_desc = 1},
        {.name_size = UINT32_MAX, .num_desc = 1},
        {.name_size = 48, .num_desc = UINT32_MAX},
        {.name_size = 48, .num_desc = 1, .desc_offset = UINT32_MAX},
        {.name_size = 48, .num_desc = 1, .desc_offset = 64, .data_offset = UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
        memcpy(kvm_file, &wild[i], sizeof(wild[i]));
        assert_true(stats_parse_kvm(kvm_file, sizeof(kvm_file), &kvm) < 0);
    }
}

// --- what is shown ---
static void table_and_rates(void **state)
{
    (void)state;
    struct stats_instance before, now;
    struct buf out = {0};
    head.cpu.exit_wait = 100;
    head.io.net_rx_bytes = 2048;
    assert_int_equal(parse(&before), 0);
    head.cpu.exit_wait = 300;
    head.cpu.exit_console = 1;
    assert_int_equal(parse(&now), 0);
    before.pid = now.pid = 4711;
    before.at_ns = 5000000000;
    now.at_ns = 7000000000;
    now.up_ns = 65000000000;
    before.cpu_ns = 0;
    now.cpu_ns = 500000000;
    now.private_bytes = 9 << 20;
    struct stats_change c = stats_change(&now, &before);
    stats_table(&out, &c, 1);
    const char *line = strchr(out.data, '\n') + 1;
    char name[32], platform[16], up[16], own[16], rx[16];
    int pid;
    double cpu, exits;
    assert_int_equal(sscanf(line, "%d %31s %15s %15s %lf %15s %*s %15s / %*s %lf", &pid, name,
                            platform, up, &cpu, own, rx, &exits),
                     8);
    assert_int_equal(pid, 4711);
    assert_string_equal(name, "web");
    assert_string_equal(platform, "kvm");
    assert_string_equal(up, "1m05s");
    assert_string_equal(own, "9.0MiB");
    assert_string_equal(rx, "2.0KiB");
    assert_true(cpu > 24.9 && cpu < 25.1);
    assert_true(exits > 99.9 && exits < 101.1);
    buf_free(&out);
    stats_detail(&out, &c);
    assert_non_null(strstr(out.data, "exit_wait                         300          100"));
    assert_null(strstr(out.data, "exit_mmio")); // never happened
    assert_null(strstr(out.data, "host_readv"));
    buf_free(&out);
}

static json_t *json_of(const struct stats_change *c, size_t count)
{
    struct buf out = {0};
    json_error_t error;
    stats_json(&out, c, count);
    json_t *j = json_loads(out.data, 0, &error);
    if (!j)
        fail_msg("%s: %s", error.text, out.data);
    buf_free(&out);
    return j;
}

static void json_is_json(void **state)
{
    (void)state;
    struct stats_instance now, before;
    json_t *j = json_of(NULL, 0);
    assert_int_equal(json_array_size(j), 0);
    json_decref(j);
    // Numbers that go back, labels with quotes: all that a hostile guest or user can write.
    strcpy(head.label, "a\"b\\c\n");
    head.platform = LITH_STATS_PROCESS;
    memset((uint8_t *)&guest + 8, 0xff, sizeof(guest) - 8);
    assert_int_equal(parse(&before), 0);
    memset((uint8_t *)&guest + 8, 0, sizeof(guest) - 8);
    guest.switches = 5;
    assert_int_equal(parse(&now), 0);
    struct stats_change c[2] = {stats_change(&now, &before), stats_change(&before, &now)};
    j = json_of(c, 2);
    json_t *first = json_array_get(j, 0);
    assert_string_equal(json_string_value(json_object_get(first, "name")), "a\"b\\c?");
    json_t *counters = json_object_get(json_object_get(first, "counters"), "guest");
    assert_int_equal(json_integer_value(json_object_get(counters, "switches")), 5);
    json_t *rates = json_object_get(json_object_get(first, "per_second"), "guest");
    assert_true(json_number_value(json_object_get(rates, "switches")) == 0);
    assert_null(json_object_get(rates, "free_pages"));
    assert_null(json_object_get(json_object_get(first, "counters"), "cpu"));
    json_decref(j);
}

static void qemu_says_that_it_has_none(void **state)
{
    (void)state;
    struct stats_instance i;
    struct buf out = {0};
    head.platform = LITH_STATS_QEMU;
    assert_int_equal(parse(&i), 0);
    assert_false(i.has_guest);
    struct stats_change c = stats_change(&i, NULL);
    stats_detail(&out, &c);
    assert_non_null(strstr(out.data, "QEMU counts no exits"));
    json_t *j = json_of(&c, 1);
    json_decref(j);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(sound_page, set_up),
        cmocka_unit_test_setup(other_files_are_refused, set_up),
        cmocka_unit_test_setup(labels_are_printable, set_up),
        cmocka_unit_test_setup(guest_of_another_version, set_up),
        cmocka_unit_test(kvm_statistics),
        cmocka_unit_test_setup(table_and_rates, set_up),
        cmocka_unit_test_setup(json_is_json, set_up),
        cmocka_unit_test_setup(qemu_says_that_it_has_none, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
