// SPDX-License-Identifier: ISC
// Carries the plans out in a copy of the file: calls and jumps in place, stubs in the zero slack
// behind a code segment, or else in a new segment at the end of the file that takes the place of
// a note in the program header table.
#include "image/rewrite/private.h"

#include "abi/gate.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(LITH_GATE_GENERIC_JUMP < 0x7fffffff, "gate addresses are sign-extended 32 bits");

// Room for stubs: file bytes [offset, offset + len), of which `used` are taken.
struct room {
    size_t offset, len, used;
    uint64_t vaddr;
    unsigned load; // index in elf.loads
};

struct rooms {
    struct room list[PHDR_MAX + 1];
    unsigned count;
    bool appended; // the last one is a new segment
};

static void limit(size_t *room, size_t offset, uint64_t lo, uint64_t len)
{
    if (!len || lo + len <= offset || lo >= offset + *room)
        return;
    *room = lo > offset ? lo - offset : 0;
}

// How many bytes behind the segment are zero, mapped with it, and nobody else's.
static size_t slack_behind(const struct elf *elf, const struct load *load)
{
    if (load->filesz != load->memsz)
        return 0;
    size_t end = load->offset + load->filesz;
    size_t room = -(load->vaddr + load->filesz) & (PAGE - 1);
    if (room > elf->len - end)
        room = elf->len - end;
    for (unsigned i = 0; i < elf->load_count; i++) {
        uint64_t behind = load->vaddr + load->filesz;
        if (elf->loads[i].vaddr >= behind && elf->loads[i].vaddr - behind < room)
            room = elf->loads[i].vaddr - behind;
    }
    for (unsigned i = 0; i < elf->eh.e_phnum; i++) {
        const Elf64_Phdr *ph = &elf->ph[i];
        if (ph->p_offset <= elf->len && ph->p_filesz <= elf->len - ph->p_offset)
            limit(&room, end, ph->p_offset, ph->p_filesz);
    }
    for (unsigned i = 0; i < elf->section_count; i++) {
        Elf64_Shdr s;
        if (elf_section(elf, i, &s) && s.sh_type != SHT_NOBITS && s.sh_type != SHT_NULL)
            limit(&room, end, s.sh_offset, s.sh_size);
    }
    limit(&room, end, elf->eh.e_phoff, elf->eh.e_phnum * sizeof(Elf64_Phdr));
    limit(&room, end, elf->eh.e_shoff, elf->section_count * sizeof(Elf64_Shdr));
    for (size_t i = 0; i < room; i++)
        if (elf->data[end + i])
            return i;
    return room;
}

// The program header that can best be spared: a note of GNU properties, on which nothing depends
// without CET; else the last note. Static programs without any note (musl's) give their
// PT_GNU_STACK, which says what holds anyway: no stack is executable. Not so in libraries and
// programs of glibc's ld.so, which takes its absence as a wish for executable stacks.
static int spare_header(const struct elf *elf)
{
    int note = -1, stack = -1;
    bool is_static = elf->eh.e_type == ET_EXEC;
    for (unsigned i = 0; i < elf->eh.e_phnum; i++) {
        const Elf64_Phdr *ph = &elf->ph[i];
        is_static &= ph->p_type != PT_INTERP && ph->p_type != PT_DYNAMIC;
        if (ph->p_type == PT_GNU_STACK && !(ph->p_flags & PF_X))
            stack = i;
        if (ph->p_type != PT_NOTE)
            continue;
        note = i;
        if (ph->p_offset < elf->len && elf->len - ph->p_offset >= sizeof(Elf64_Nhdr) &&
            load32(elf->data + ph->p_offset + offsetof(Elf64_Nhdr, n_type)) ==
                NT_GNU_PROPERTY_TYPE_0)
            break;
    }
    return note >= 0 || !is_static ? note : stack;
}

// Gives every stub a place. Returns the bytes that the slack does not hold.
static size_t place_stubs(const struct plans *plans, struct rooms *rooms, uint8_t *place)
{
    size_t missing = 0;
    for (size_t i = 0; i < plans->count; i++) {
        unsigned k = 0;
        while (k < rooms->count &&
               rooms->list[k].len - rooms->list[k].used < plans->list[i].stub_len)
            k++;
        place[i] = k;
        if (k < rooms->count)
            rooms->list[k].used += plans->list[i].stub_len;
        else
            missing += plans->list[i].stub_len;
    }
    for (unsigned k = 0; k < rooms->count; k++)
        rooms->list[k].used = 0;
    return missing;
}

// A new segment of `len` bytes behind everything else, in file and memory.
static bool append_room(const struct elf *elf, struct rooms *rooms, size_t len)
{
    const struct load *last = &elf->loads[elf->load_count - 1];
    uint64_t vaddr = (last->vaddr + last->memsz + PAGE - 1) & ~(PAGE - 1);
    if (spare_header(elf) < 0 || vaddr + len + PAGE > ADDRESS_MAX)
        return false;
    rooms->appended = true;
    rooms->list[rooms->count++] =
        (struct room){.offset = (elf->len + PAGE - 1) & ~(PAGE - 1), .len = len, .vaddr = vaddr};
    return true;
}

static bool fits32(int64_t value)
{
    return value == (int32_t)value;
}

// Code under construction at `vaddr`.
struct writer {
    uint8_t bytes[256];
    size_t len;
    uint64_t vaddr;
    bool bad; // something is out of reach
};

static void put(struct writer *w, const void *bytes, size_t len)
{
    if (len > sizeof(w->bytes) - w->len) {
        w->bad = true;
        return;
    }
    memcpy(w->bytes + w->len, bytes, len);
    w->len += len;
}

static void put32(struct writer *w, uint32_t value)
{
    put(w, &value, sizeof(value));
}

// A displacement to `target` from the end of the instruction, which ends with it.
static void put_displacement(struct writer *w, uint64_t target)
{
    int64_t distance = (int64_t)(target - (w->vaddr + w->len + 4));
    w->bad |= !fits32(distance);
    put32(w, (uint32_t)distance);
}

static void put_moved(struct writer *w, const struct insn *insn, const uint8_t *bytes,
                      uint64_t vaddr)
{
    if (insn->flags & INSN_JUMP) {
        // Prefixes (branch hints) may precede; the displacement is the last 1 or 4 bytes.
        bool near = insn->len >= 5;
        int64_t distance =
            near ? (int32_t)load32(bytes + insn->len - 4) : (int8_t)bytes[insn->len - 1];
        uint8_t opcode = near ? bytes[insn->len - 5] : bytes[insn->len - 2];
        if (insn->flags & INSN_ENDS)
            put(w, "\xe9", 1);
        else
            put(w, (uint8_t[]){0x0f, 0x80 | (opcode & 0x0f)}, 2);
        put_displacement(w, vaddr + insn->len + (uint64_t)distance);
        return;
    }
    size_t start = w->len;
    put(w, bytes, insn->len);
    if (!(insn->flags & INSN_RIP) || w->bad)
        return;
    int64_t distance = (int32_t)load32(bytes + insn->disp_at);
    distance += (int64_t)(vaddr - (w->vaddr + start));
    w->bad |= !fits32(distance);
    store32(w->bytes + start + insn->disp_at, (uint32_t)distance);
}

// Forms C and C2. Returns false when something is out of reach; nothing is changed then.
static bool emit_stub(struct context *ctx, const struct plan *plan, struct room *room)
{
    const struct rewrite_site *site = &ctx->report->sites[plan->site];
    const uint8_t *old = ctx->elf.data + plan->lo;
    uint64_t vaddr = elf_vaddr(&ctx->elf, plan->lo);
    struct writer w = {.vaddr = room->vaddr + room->used};
    for (unsigned i = 0; i < plan->before; i++)
        put_moved(&w, &plan->moved[i], old + plan->moved[i].rel, vaddr + plan->moved[i].rel);
    put(&w, "\x48\x8d\x0d", 3); // lea ret(%rip),%rcx
    put_displacement(&w, plan->after ? w.vaddr + w.len + 4 + 7 : site->address + 2);
    put(&w, "\xff\x24\x25", 3); // jmp *abs32
    put32(&w, LITH_GATE_GENERIC_JUMP);
    bool ends = false;
    for (unsigned i = plan->before; i < plan->before + plan->after; i++) {
        put_moved(&w, &plan->moved[i], old + plan->moved[i].rel, vaddr + plan->moved[i].rel);
        ends = plan->moved[i].flags & INSN_ENDS;
    }
    if (plan->after && !ends) {
        put(&w, "\xe9", 1);
        put_displacement(&w, vaddr + (plan->hi - plan->lo));
    }
    struct writer jump = {.vaddr = vaddr};
    put(&jump, "\xe9", 1);
    put_displacement(&jump, w.vaddr);
    if (w.bad || jump.bad || w.len > room->len - room->used)
        return false;
    memcpy(ctx->out + room->offset + room->used, w.bytes, w.len);
    room->used += w.len;
    ctx->report->stub_bytes += w.len;
    memset(ctx->out + plan->lo, 0x90, plan->hi - plan->lo);
    memcpy(ctx->out + plan->lo, jump.bytes, jump.len);
    return true;
}

// Forms A, A9 and B: call *abs32, then a nop up to the old length.
static void emit_call(struct context *ctx, const struct plan *plan)
{
    const struct rewrite_site *site = &ctx->report->sites[plan->site];
    uint8_t *at = ctx->out + plan->lo;
    memcpy(at, "\xff\x14\x25", 3);
    if (site->form == REWRITE_FORM_B)
        store32(at + 3, LITH_GATE_GENERIC_CALL);
    else
        store32(at + 3, LITH_GATE_TABLE + 8 * (unsigned)site->number);
    if (site->form == REWRITE_FORM_A9)
        memcpy(at + 7, "\x66\x90", 2);
    else if (site->form == REWRITE_FORM_B)
        at[7] = 0x90;
}

// Tells the program headers of the stubs.
static void write_headers(struct context *ctx, const struct rooms *rooms)
{
    struct elf *elf = &ctx->elf;
    for (unsigned k = 0; k < rooms->count; k++) {
        const struct room *room = &rooms->list[k];
        if (rooms->appended && k == rooms->count - 1) {
            // The loader wants PT_LOADs in ascending order: the new one goes behind the last.
            unsigned spare = spare_header(elf), end = elf->loads[elf->load_count - 1].phdr;
            Elf64_Phdr load = {.p_type = PT_LOAD,
                               .p_flags = PF_R | PF_X,
                               .p_offset = room->offset,
                               .p_vaddr = room->vaddr,
                               .p_paddr = room->vaddr,
                               .p_filesz = room->len,
                               .p_memsz = room->len,
                               .p_align = PAGE};
            if (spare < end) {
                memmove(&elf->ph[spare], &elf->ph[spare + 1], (end - spare) * sizeof(load));
                elf->ph[end] = load;
            } else {
                memmove(&elf->ph[end + 2], &elf->ph[end + 1], (spare - end - 1) * sizeof(load));
                elf->ph[end + 1] = load;
            }
            continue;
        }
        Elf64_Phdr *ph = &elf->ph[elf->loads[room->load].phdr];
        ph->p_filesz += room->used;
        ph->p_memsz += room->used;
    }
    memcpy(ctx->out + elf->eh.e_phoff, elf->ph, elf->eh.e_phnum * sizeof(Elf64_Phdr));
}

static void settle_left(struct context *ctx)
{
    struct rewrite_report *report = ctx->report;
    for (size_t i = 0; i < report->found; i++) {
        struct rewrite_site *site = &report->sites[i];
        if (site->reason == REWRITE_REASON_NONE) {
            report->rewritten++;
        } else {
            report->left++;
            site->form = REWRITE_FORM_RAW;
            if (site->reason != REWRITE_REASON_UNDECODED && !(ctx->flags & REWRITE_KEEP_LEFT)) {
                site->form = REWRITE_FORM_TRAP;
                memcpy(ctx->out + site->offset, "\xcc\x90", 2); // int3; nop
            }
        }
        report->forms[site->form]++;
    }
}

enum rewrite_result patch_apply(struct context *ctx, const struct plans *plans)
{
    struct elf *elf = &ctx->elf;
    struct rooms rooms = {0};
    for (unsigned i = 0; i < elf->load_count; i++) {
        const struct load *load = &elf->loads[i];
        size_t slack = load->exec ? slack_behind(elf, load) : 0;
        if (slack)
            rooms.list[rooms.count++] = (struct room){.offset = load->offset + load->filesz,
                                                      .len = slack,
                                                      .vaddr = load->vaddr + load->filesz,
                                                      .load = i};
    }
    uint8_t *place = calloc(plans->count + 1, 1);
    if (!place)
        return REWRITE_NO_MEMORY;
    size_t missing = place_stubs(plans, &rooms, place);
    ctx->out_len = elf->len;
    if (missing && append_room(elf, &rooms, missing)) {
        ctx->out_len = rooms.list[rooms.count - 1].offset + missing;
        ctx->report->page_appended = true;
    }
    ctx->out = calloc(ctx->out_len, 1);
    if (!ctx->out) {
        free(place);
        return REWRITE_NO_MEMORY;
    }
    memcpy(ctx->out, elf->data, elf->len);
    for (size_t i = 0; i < plans->count; i++) {
        const struct plan *plan = &plans->list[i];
        struct rewrite_site *site = &ctx->report->sites[plan->site];
        if (!plan->stub_len)
            emit_call(ctx, plan);
        else if (place[i] >= rooms.count)
            site->reason = REWRITE_REASON_NO_ROOM;
        else if (!emit_stub(ctx, plan, &rooms.list[place[i]]))
            site->reason = REWRITE_REASON_OUT_OF_REACH;
    }
    free(place);
    settle_left(ctx);
    write_headers(ctx, &rooms);
    return memcmp(ctx->out, elf->data, elf->len) ? REWRITE_CHANGED : REWRITE_UNCHANGED;
}
