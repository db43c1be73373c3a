// SPDX-License-Identifier: ISC
// links: host/cli/stats_parse.c host/cli/stats_print.c
// links: host/common/error.c
// `lith stats` with any bytes for an instance's memory file and for KVM's statistics: what is shown
// must be printable. The first byte says how much of the input is KVM's.
#include <stdlib.h>
#include <string.h>
#include "cli/stats.h"

static void check_printable(struct buf *out)
{
    for (size_t i = 0; i < out->len; i++)
        if (out->data[i] != '\n' && (out->data[i] < ' ' || out->data[i] > '~'))
            abort();
    buf_free(out);
}

// Two looks at the same instance: the input, and the input with the head that gets it further.
static struct stats_instance look(const uint8_t *bytes, size_t len, bool help, uint64_t at_ns)
{
    static _Alignas(4096) uint8_t file[LITH_STATS_LEN];
    struct stats_instance i = {.pid = 1, .at_ns = at_ns, .up_ns = at_ns, .cpu_ns = at_ns * 3};
    memset(file, 0xff, sizeof(file));
    memcpy(file, bytes, len < sizeof(file) ? len : sizeof(file));
    if (help) {
        struct lith_stats *h = (struct lith_stats *)(void *)file;
        struct lith_stats_guest *g = (void *)(file + LITH_STATS_LEN / 2 + LITH_STATS_GUEST_OFFSET);
        h->magic = LITH_STATS_MAGIC;
        h->version = LITH_STATS_VERSION;
        h->size = sizeof(*h);
        h->platform = 1 + h->platform % 3;
        memcpy(g, bytes, len < sizeof(*g) ? len : sizeof(*g));
        g->version = LITH_STATS_GUEST_VERSION;
        g->size = sizeof(*g);
    }
    if (stats_parse(file, sizeof(file), &i) != 0 && help)
        abort();
    return i;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out = {0};
    if (size == 0)
        return 0;
    size_t kvm_len = (size - 1) * data[0] / 255;
    uint8_t *kvm = malloc(kvm_len + 1); // from malloc, so that ASan guards its end
    memcpy(kvm, data + 1, kvm_len);
    struct stats_instance now = look(data + 1, size - 1, true, 2000000000);
    struct stats_instance before =
        look(data + 1 + kvm_len, size - 1 - kvm_len, true, size % 3000000000);
    (void)look(data + 1, size - 1, false, 1);
    if (stats_parse_kvm(kvm, kvm_len, &now.kvm) != 0)
        now.kvm.count = 0;
    before.kvm = now.kvm;
    free(kvm);
    struct stats_change changes[2] = {stats_change(&now, &before), stats_change(&before, NULL)};
    stats_table(&out, changes, 2);
    check_printable(&out);
    stats_detail(&out, &changes[0]);
    stats_detail(&out, &changes[1]);
    check_printable(&out);
    stats_json(&out, changes, 2);
    check_printable(&out);
    return 0;
}
