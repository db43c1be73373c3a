// SPDX-License-Identifier: ISC
// From the bytes of an instance's memory file to counters. Who wrote them is not trusted: on
// platform process the second page is a hostile guest's, and any program of the same user can hold
// a file with our name. All that gets through are numbers, and a label that is safe to print.
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "cli/stats.h"

// JSON readers take 63 bits; no honest counter needs more.
static uint64_t clamp(uint64_t value)
{
    return value > INT64_MAX ? INT64_MAX : value;
}

static void clamp_counters(void *counters, size_t len)
{
    uint8_t *p = counters;
    for (size_t i = 0; i + 8 <= len; i += 8) {
        uint64_t value;
        memcpy(&value, p + i, 8);
        value = clamp(value);
        memcpy(p + i, &value, 8);
    }
}

int stats_parse(const uint8_t *bytes, size_t len, struct stats_instance *out)
{
    struct lith_stats *h = &out->host;
    if (len != LITH_STATS_LEN)
        return -EBADMSG;
    memcpy(h, bytes, sizeof(*h));
    if (h->magic != LITH_STATS_MAGIC || h->version != LITH_STATS_VERSION || h->size != sizeof(*h) ||
        h->platform < LITH_STATS_KVM || h->platform > LITH_STATS_QEMU)
        return -EBADMSG;
    h->mem_bytes = clamp(h->mem_bytes);
    h->tsc_khz = clamp(h->tsc_khz);
    clamp_counters(&h->cpu, sizeof(h->cpu));
    clamp_counters(&h->io, sizeof(h->io));
    h->label[LITH_STATS_LABEL - 1] = 0;
    for (char *c = h->label; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    memcpy(&out->guest, bytes + LITH_STATS_LEN / 2 + LITH_STATS_GUEST_OFFSET, sizeof(out->guest));
    out->has_guest = h->platform != LITH_STATS_QEMU &&
                     out->guest.version == LITH_STATS_GUEST_VERSION &&
                     out->guest.size == sizeof(out->guest);
    clamp_counters(&out->guest.switches,
                   sizeof(out->guest) - offsetof(struct lith_stats_guest, switches));
    return 0;
}

static bool name_is_plain(const char *name, size_t room)
{
    size_t n = 0;
    while (n < room && name[n])
        if (strchr("abcdefghijklmnopqrstuvwxyz0123456789_", name[n++]) == NULL)
            return false;
    return n > 0 && n < room;
}

int stats_parse_kvm(const uint8_t *bytes, size_t len, struct stats_kvm *out)
{
    struct kvm_stats_header head;
    out->count = 0;
    if (len < sizeof(head))
        return -EBADMSG;
    memcpy(&head, bytes, sizeof(head));
    // name_size bytes of name follow each descriptor.
    if (head.name_size == 0 || head.name_size > 256 || head.num_desc > 4096)
        return -EBADMSG;
    size_t step = sizeof(struct kvm_stats_desc) + head.name_size;
    for (uint32_t i = 0; i < head.num_desc && out->count < STATS_KVM_MAX; i++) {
        struct kvm_stats_desc d;
        size_t at = head.desc_offset + i * step;
        if (at + step > len)
            return -EBADMSG;
        memcpy(&d, bytes + at, sizeof(d));
        const char *name = (const char *)bytes + at + sizeof(d);
        size_t value_at = (size_t)head.data_offset + d.offset;
        if (value_at + 8 > len)
            return -EBADMSG;
        if ((d.flags & KVM_STATS_TYPE_MASK) != KVM_STATS_TYPE_CUMULATIVE || d.size != 1 ||
            head.name_size > STATS_KVM_NAME || !name_is_plain(name, head.name_size))
            continue;
        memcpy(out->item[out->count].name, name, head.name_size);
        memcpy(&out->item[out->count].value, bytes + value_at, 8);
        clamp_counters(&out->item[out->count].value, 8);
        out->count++;
    }
    return 0;
}
