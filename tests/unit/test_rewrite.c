// SPDX-License-Identifier: ISC
// links: host/image/rewrite/*.c -lZydis -ljansson
// The rewriter on small hand-made files: one function, one rule.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "abi/gate.h"
#include "image/rewrite/rewrite.h"
#include "tests/unit/elf_builder.h"

#define CODE(...)   (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
#define MOV_EAX(nr) 0xb8, (nr), 0, 0, 0
#define SYSCALL     0x0f, 0x05
#define RET         0xc3
#define CMP_4096    0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff
#define GENERIC(at) (at) & 0xff, (at) >> 8 & 0xff, (at) >> 16 & 0xff, 0
#define TABLE(nr)   GENERIC(LITH_GATE_TABLE + 8 * (nr))

// What a test looks at: the file after rewriting (or as it was), and the report.
struct outcome {
    enum rewrite_result result;
    uint8_t *file;
    size_t len;
    struct rewrite_report report;
};

static struct outcome run_flags(const struct elf_spec *spec, unsigned flags)
{
    struct outcome o;
    uint8_t *file = malloc(ELF_LEN);
    elf_build(file, spec);
    o.result = rewrite_elf(file, ELF_LEN, flags, &o.file, &o.len, &o.report);
    if (o.file) {
        free(file);
    } else {
        o.file = file;
        o.len = ELF_LEN;
    }
    assert_int_equal(o.report.found, o.report.rewritten + o.report.left);
    return o;
}

static void done(struct outcome *o)
{
    free(o->file);
    rewrite_report_free(&o->report);
}

// The code as one function by a symbol.
static struct outcome run(const uint8_t *code, size_t len)
{
    struct elf_symbol symbol = {"f", 0, len};
    return run_flags(
        &(struct elf_spec){.text = code, .text_len = len, .symbols = &symbol, .symbol_count = 1},
        0);
}

static void expect(const struct outcome *o, const uint8_t *bytes, size_t len)
{
    assert_memory_equal(o->file + ELF_TEXT, bytes, len);
}

static int32_t displacement(const uint8_t *p)
{
    int32_t v;
    memcpy(&v, p, 4);
    return v;
}

// Follows the jmp at text offset `at` and checks the stub's gate jump behind `before` bytes of
// moved instructions. Returns the stub's file offset; *ret is where rcx will point.
static size_t check_stub(const struct outcome *o, size_t at, size_t before, uint64_t *ret)
{
    const uint8_t *p = o->file + ELF_TEXT + at;
    assert_int_equal(p[0], 0xe9);
    size_t stub = ELF_TEXT + at + 5 + displacement(p + 1);
    assert_true(stub + before + 14 <= o->len);
    const uint8_t *s = o->file + stub + before;
    assert_memory_equal(s, "\x48\x8d\x0d", 3);
    *ret = ELF_VADDR(stub + before + 7) + displacement(s + 3);
    const uint8_t jump[] = {0xff, 0x24, 0x25, GENERIC(LITH_GATE_GENERIC_JUMP)};
    assert_memory_equal(s + 7, jump, sizeof(jump));
    return stub;
}

static void form_a(void **state)
{
    (void)state;
    struct outcome o = run(CODE(MOV_EAX(39), SYSCALL, RET));
    assert_int_equal(o.result, REWRITE_CHANGED);
    expect(&o, CODE(0xff, 0x14, 0x25, TABLE(39), RET));
    assert_int_equal(o.report.forms[REWRITE_FORM_A], 1);
    assert_int_equal(o.report.sites[0].number, 39);
    assert_int_equal(o.report.sites[0].address, ELF_VADDR(ELF_TEXT) + 5);
    assert_string_equal(o.report.sites[0].function, "f");
    done(&o);
}

static void form_a9(void **state)
{
    (void)state;
    struct outcome o = run(CODE(0x48, 0xc7, 0xc0, 15, 0, 0, 0, SYSCALL, RET));
    expect(&o, CODE(0xff, 0x14, 0x25, TABLE(15), 0x66, 0x90, RET));
    assert_int_equal(o.report.forms[REWRITE_FORM_A9], 1);
    done(&o);
}

// Numbers beyond the table go through the generic gate, which answers ENOSYS.
static void number_beyond_table(void **state)
{
    (void)state;
    struct outcome o = run(CODE(0xb8, 0x00, 0x02, 0, 0, SYSCALL, RET));
    assert_int_equal(o.report.forms[REWRITE_FORM_C], 1);
    done(&o);
}

static void form_b(void **state)
{
    (void)state;
    struct outcome o = run(CODE(0x89, 0xd0, SYSCALL, CMP_4096, RET));
    expect(&o, CODE(0x89, 0xd0, 0xff, 0x14, 0x25, GENERIC(LITH_GATE_GENERIC_CALL), 0x90, RET));
    assert_int_equal(o.report.forms[REWRITE_FORM_B], 1);
    done(&o);
}

static void form_c(void **state)
{
    (void)state;
    uint64_t ret;
    struct outcome o = run(CODE(0x48, 0x89, 0xf8, SYSCALL, RET)); // mov %rdi,%rax
    size_t stub = check_stub(&o, 0, 3, &ret);
    assert_int_equal(ret, ELF_VADDR(ELF_TEXT) + 5);
    assert_memory_equal(o.file + stub, "\x48\x89\xf8", 3);
    assert_int_equal(o.file[ELF_TEXT + 5], RET);
    // The segment has grown over the stub.
    Elf64_Phdr ph;
    memcpy(&ph, o.file + sizeof(Elf64_Ehdr), sizeof(ph));
    assert_int_equal(ph.p_filesz, stub + 3 + 14 - ELF_TEXT);
    assert_int_equal(ph.p_memsz, ph.p_filesz);
    assert_int_equal(o.report.stub_bytes, 17);
    done(&o);
}

static void form_c2(void **state)
{
    (void)state;
    uint64_t ret;
    struct outcome o = run(CODE(SYSCALL, 0x48, 0x89, 0xc2, RET)); // mov %rax,%rdx
    size_t stub = check_stub(&o, 0, 0, &ret);
    assert_int_equal(ret, ELF_VADDR(stub + 14));
    assert_memory_equal(o.file + stub + 14, "\x48\x89\xc2\xe9", 4);
    assert_int_equal(stub + 22 + displacement(o.file + stub + 18), ELF_TEXT + 5);
    assert_int_equal(o.report.forms[REWRITE_FORM_C2], 1);
    done(&o);
}

// Two bytes before, two behind: neither side alone makes room for the jmp.
static void form_c2_both_sides(void **state)
{
    (void)state;
    uint64_t ret;
    struct outcome o = run(CODE(0x89, 0xd0, SYSCALL, 0x89, 0xc2, 0xe8, 0, 0, 0, 0, RET));
    size_t stub = check_stub(&o, 0, 2, &ret);
    assert_memory_equal(o.file + stub, "\x89\xd0", 2);
    assert_memory_equal(o.file + stub + 16, "\x89\xc2\xe9", 3);
    assert_int_equal(ret, ELF_VADDR(stub + 16));
    done(&o);
}

// A conditional jump behind the call moves as the last of the stub, with a longer displacement.
static void moved_jump(void **state)
{
    (void)state;
    uint64_t ret;
    // syscall; test %eax,%eax; je back to the start of the function; ret
    struct outcome o = run(CODE(0x90, SYSCALL, 0x85, 0xc0, 0x74, 0xf9, RET));
    size_t stub = check_stub(&o, 1, 0, &ret);
    const uint8_t *after = o.file + stub + 14;
    assert_memory_equal(after, "\x85\xc0\x0f\x84", 4);
    assert_int_equal(stub + 14 + 8 + displacement(after + 4), ELF_TEXT);
    assert_int_equal(after[8], 0xe9);
    assert_int_equal(stub + 14 + 13 + displacement(after + 9), ELF_TEXT + 7);
    done(&o);
}

static void rip_relative_is_moved(void **state)
{
    (void)state;
    uint64_t ret;
    const uint64_t variable = ELF_VADDR(ELF_RODATA + 8);
    uint32_t distance = variable - (ELF_VADDR(ELF_TEXT) + 6);
    struct outcome o =
        run(CODE(0x8b, 0x05, distance & 0xff, distance >> 8 & 0xff, 0, 0, SYSCALL, RET));
    size_t stub = check_stub(&o, 0, 6, &ret);
    assert_memory_equal(o.file + stub, "\x8b\x05", 2);
    assert_int_equal(ELF_VADDR(stub + 6) + displacement(o.file + stub + 2), variable);
    done(&o);
}

static void red_zone_pushes_nothing(void **state)
{
    (void)state;
    // mov %edi,-8(%rsp); mov $39,%eax; syscall; ret
    struct outcome o = run(CODE(0x89, 0x7c, 0x24, 0xf8, MOV_EAX(39), SYSCALL, RET));
    assert_int_equal(o.report.forms[REWRITE_FORM_C], 1);
    done(&o);
    // lea -0x18(%rsp),%rsi
    o = run(CODE(0x48, 0x8d, 0x74, 0x24, 0xe8, MOV_EAX(39), SYSCALL, RET));
    assert_int_equal(o.report.forms[REWRITE_FORM_C], 1);
    done(&o);
    // The same with a base of r12 is no red zone.
    o = run(CODE(0x49, 0x8d, 0x74, 0x24, 0xe8, MOV_EAX(39), SYSCALL, RET));
    assert_int_equal(o.report.forms[REWRITE_FORM_A], 1);
    done(&o);
    // cmp behind the call would be form B.
    o = run(CODE(0x89, 0x7c, 0x24, 0xf8, 0x89, 0xd0, SYSCALL, CMP_4096, RET));
    assert_int_equal(o.report.forms[REWRITE_FORM_B], 0);
    assert_int_equal(o.report.left, 0);
    done(&o);
}

static void leaf_frame_below_rsp(void **state)
{
    (void)state;
    // push %rbp; mov %rsp,%rbp; mov %edi,-4(%rbp); mov $39,%eax; syscall; pop %rbp; ret
    struct outcome o =
        run(CODE(0x55, 0x48, 0x89, 0xe5, 0x89, 0x7d, 0xfc, MOV_EAX(39), SYSCALL, 0x5d, RET));
    assert_int_equal(o.report.forms[REWRITE_FORM_C], 1);
    done(&o);
    // With a call it is no leaf, so the frame has been made room for.
    o = run(CODE(0x55, 0x48, 0x89, 0xe5, 0x89, 0x7d, 0xfc, 0xe8, 0, 0, 0, 0, MOV_EAX(39), SYSCALL,
                 0x5d, RET));
    assert_int_equal(o.report.forms[REWRITE_FORM_A], 1);
    done(&o);
}

static void exit_pushes_nothing(void **state)
{
    (void)state;
    // munmap, then exit: the stack may be gone.
    struct outcome o = run(CODE(MOV_EAX(11), SYSCALL, 0x31, 0xff, MOV_EAX(60), SYSCALL, 0xf4));
    assert_int_equal(o.report.forms[REWRITE_FORM_C], 2);
    done(&o);
    o = run(CODE(MOV_EAX(11), SYSCALL, RET));
    assert_int_equal(o.report.forms[REWRITE_FORM_A], 1);
    done(&o);
}

static void target_inside(void **state)
{
    (void)state;
    // A loop that jumps to the syscall itself: mov $39,%eax; 1: syscall; mov %rax,%rdx; jmp 1b
    struct outcome o = run(CODE(MOV_EAX(39), SYSCALL, 0x48, 0x89, 0xc2, 0xeb, 0xf9));
    assert_int_equal(o.report.forms[REWRITE_FORM_C2], 1);
    assert_int_equal(o.file[ELF_TEXT], 0xb8);
    done(&o);
    // Jumped to on both sides of the syscall: nothing may move.
    o = run(CODE(MOV_EAX(39), SYSCALL, 0x48, 0x89, 0xc2, 0x74, 0xf9, 0x75, 0xf9, RET));
    assert_int_equal(o.report.left, 1);
    assert_int_equal(o.report.sites[0].reason, REWRITE_REASON_NEIGHBOURS);
    assert_int_equal(o.report.sites[0].form, REWRITE_FORM_TRAP);
    expect(&o, CODE(MOV_EAX(39), 0xcc, 0x90, 0x48, 0x89, 0xc2));
    done(&o);
}

static void keep_left(void **state)
{
    (void)state;
    static const uint8_t code[] = {MOV_EAX(39), SYSCALL, 0x48, 0x89, 0xc2,
                                   0x74,        0xf9,    0x75, 0xf9, RET};
    struct elf_symbol symbol = {"f", 0, sizeof(code)};
    struct elf_spec spec = {
        .text = code, .text_len = sizeof(code), .symbols = &symbol, .symbol_count = 1};
    struct outcome o = run_flags(&spec, REWRITE_KEEP_LEFT);
    assert_int_equal(o.result, REWRITE_UNCHANGED);
    assert_int_equal(o.report.forms[REWRITE_FORM_RAW], 1);
    expect(&o, code, sizeof(code));
    done(&o);
}

static void target_by_pointer(void **state)
{
    (void)state;
    static const uint8_t code[] = {MOV_EAX(39), SYSCALL, RET};
    struct elf_symbol symbol = {"f", 0, sizeof(code)};
    uint64_t pointer = ELF_VADDR(ELF_TEXT) + 5;
    uint8_t words[24] = {0};
    memcpy(words + 16, &pointer, 8);
    struct elf_spec spec = {.text = code,
                            .text_len = sizeof(code),
                            .rodata = words,
                            .rodata_len = sizeof(words),
                            .symbols = &symbol,
                            .symbol_count = 1};
    struct outcome o = run_flags(&spec, 0);
    assert_int_equal(o.report.forms[REWRITE_FORM_A], 0);
    assert_int_equal(o.report.left, 1);
    done(&o);
}

static void target_by_jump_table(void **state)
{
    (void)state;
    // lea table(%rip),%rdx; jmp *%rax; nop; mov $39,%eax; syscall; ret
    const uint32_t distance = ELF_VADDR(ELF_RODATA) - (ELF_VADDR(ELF_TEXT) + 7);
    const uint8_t code[] = {
        0x48,        0x8d,    0x15, distance & 0xff, distance >> 8 & 0xff, 0, 0, 0xff, 0xe0, 0x90,
        MOV_EAX(39), SYSCALL, RET};
    int32_t table[] = {(int32_t)(ELF_TEXT + 9 - ELF_RODATA), (int32_t)(ELF_TEXT + 15 - ELF_RODATA),
                       0x7fffffff};
    struct elf_symbol symbol = {"f", 0, sizeof(code)};
    struct elf_spec spec = {.text = code,
                            .text_len = sizeof(code),
                            .rodata = (const uint8_t *)table,
                            .rodata_len = sizeof(table),
                            .symbols = &symbol,
                            .symbol_count = 1};
    struct outcome o = run_flags(&spec, 0);
    assert_int_equal(o.report.forms[REWRITE_FORM_A], 0);
    done(&o);
    table[1] = 0x7fffffff;
    o = run_flags(&spec, 0);
    assert_int_equal(o.report.forms[REWRITE_FORM_A], 1);
    done(&o);
}

// .eh_frame with one CIE and one FDE, absolute 4-byte pointers. Returns its length.
static size_t make_eh_frame(uint8_t *p, const char *augmentation, uint32_t start, uint32_t len,
                            uint32_t lsda)
{
    uint8_t cie[24] = {20, 0, 0, 0, 0, 0, 0, 0, 1};
    size_t at = 9, augmentation_len = strlen(augmentation) + 1;
    memcpy(cie + at, augmentation, augmentation_len);
    at += augmentation_len;
    cie[at++] = 1;    // code alignment
    cie[at++] = 0x78; // data alignment -8
    cie[at++] = 16;   // return address
    cie[at++] = lsda ? 2 : 1;
    cie[at++] = 0x03; // udata4
    if (lsda)
        cie[at++] = 0x03;
    uint32_t fde[6] = {20, 28, start, len, lsda ? 4 : 0, 0};
    if (lsda)
        memcpy((uint8_t *)fde + 17, &lsda, 4);
    memcpy(p, cie, 24);
    memcpy(p + 24, fde, 24);
    memset(p + 48, 0, 4);
    return 52;
}

// The signal trampoline's FDE begins one byte early; that byte here begins a longer instruction.
static void signal_frame_starts_later(void **state)
{
    (void)state;
    static const uint8_t code[] = {0x48, 0x48, 0xc7, 0xc0, 15, 0, 0, 0, SYSCALL, RET};
    uint8_t frame[64];
    struct elf_spec spec = {.text = code, .text_len = sizeof(code), .eh_frame = frame};
    spec.eh_frame_len = make_eh_frame(frame, "zRS", ELF_VADDR(ELF_TEXT), sizeof(code), 0);
    struct outcome o = run_flags(&spec, 0);
    assert_int_equal(o.report.forms[REWRITE_FORM_A9], 1);
    expect(&o, CODE(0x48, 0xff, 0x14, 0x25, TABLE(15), 0x66, 0x90, RET));
    done(&o);
}

// glibc's clone: the FDE ends before the syscall.
static void clone_gap(void **state)
{
    (void)state;
    static const uint8_t code[] = {MOV_EAX(56), SYSCALL, 0x48,        0x85,
                                   0xc0,        RET,     MOV_EAX(39), SYSCALL};
    uint8_t frame[64];
    struct elf_spec spec = {.text = code, .text_len = sizeof(code), .eh_frame = frame};
    spec.eh_frame_len = make_eh_frame(frame, "zR", ELF_VADDR(ELF_TEXT), 5, 0);
    struct outcome o = run_flags(&spec, 0);
    assert_int_equal(o.report.found, 1);
    // The gap's own second call lies behind the ret: no function claims it.
    expect(&o, CODE(0xff, 0x14, 0x25, TABLE(56), 0x48, 0x85, 0xc0, RET, MOV_EAX(39), SYSCALL));
    assert_int_equal(o.report.outside, 1);
    done(&o);
}

static void gaps(void **state)
{
    (void)state;
    // No description of functions at all: code that decodes exactly to its end is code.
    struct elf_spec spec = {0};
    static const uint8_t good[] = {MOV_EAX(39), SYSCALL, RET};
    spec.text = good;
    spec.text_len = sizeof(good);
    struct outcome o = run_flags(&spec, 0);
    assert_int_equal(o.report.forms[REWRITE_FORM_A], 1);
    done(&o);
    // The same without a section table.
    spec.no_sections = true;
    o = run_flags(&spec, 0);
    assert_int_equal(o.report.forms[REWRITE_FORM_A], 1);
    done(&o);
    spec.no_sections = false;
    // An instruction cut off at the end: data.
    static const uint8_t cut[] = {MOV_EAX(39), SYSCALL, RET, 0xb8, 1};
    spec.text = cut;
    spec.text_len = sizeof(cut);
    o = run_flags(&spec, 0);
    assert_int_equal(o.result, REWRITE_UNCHANGED);
    assert_int_equal(o.report.outside, 1);
    done(&o);
    // Port I/O: data.
    static const uint8_t odd[] = {MOV_EAX(39), SYSCALL, 0xec, RET};
    spec.text = odd;
    spec.text_len = sizeof(odd);
    o = run_flags(&spec, 0);
    assert_int_equal(o.result, REWRITE_UNCHANGED);
    done(&o);
}

static void landing_pad_is_a_target(void **state)
{
    (void)state;
    static const uint8_t code[] = {MOV_EAX(39), SYSCALL, RET};
    // LPStart and TType omitted; uleb128 call sites: [0,5) lands at 5.
    static const uint8_t lsda[] = {0xff, 0xff, 0x01, 4, 0, 5, 5, 0};
    uint8_t frame[64];
    struct elf_spec spec = {.text = code,
                            .text_len = sizeof(code),
                            .eh_frame = frame,
                            .lsda = lsda,
                            .lsda_len = sizeof(lsda)};
    spec.eh_frame_len =
        make_eh_frame(frame, "zRL", ELF_VADDR(ELF_TEXT), sizeof(code), ELF_VADDR(ELF_LSDA));
    struct outcome o = run_flags(&spec, 0);
    assert_int_equal(o.report.found, 1);
    assert_int_equal(o.report.left, 1);
    done(&o);
}

static void undecodable_function(void **state)
{
    (void)state;
    struct outcome o = run(CODE(MOV_EAX(39), SYSCALL, RET, 0x06, RET)); // 06: no instruction
    assert_int_equal(o.result, REWRITE_UNCHANGED);
    assert_int_equal(o.report.sites[0].reason, REWRITE_REASON_UNDECODED);
    assert_int_equal(o.report.sites[0].form, REWRITE_FORM_RAW);
    done(&o);
}

// A full page of code has no slack: the note's place in the headers goes to a segment of stubs.
static void stub_room(void **state)
{
    (void)state;
    uint8_t code[4096];
    uint64_t ret;
    memset(code, 0xcc, sizeof(code));
    memcpy(code, "\x48\x89\xf8\x0f\x05\xc3", 6);
    struct elf_symbol symbol = {"f", 0, 6};
    struct elf_spec spec = {
        .text = code, .text_len = sizeof(code), .symbols = &symbol, .symbol_count = 1};
    struct outcome o = run_flags(&spec, 0);
    assert_int_equal(o.report.sites[0].reason, REWRITE_REASON_NO_ROOM);
    expect(&o, CODE(0x48, 0x89, 0xf8, 0xcc, 0x90, RET));
    done(&o);

    // Without a note, static programs give PT_GNU_STACK; libraries do not.
    spec.stack = true;
    o = run_flags(&spec, 0);
    assert_int_equal(o.report.left, 1);
    done(&o);
    spec.type = ET_EXEC;
    o = run_flags(&spec, 0);
    assert_int_equal(o.report.left, 0);
    done(&o);
    spec.stack = false;
    spec.type = ET_DYN;

    spec.note = true;
    o = run_flags(&spec, 0);
    assert_true(o.report.page_appended);
    Elf64_Phdr ph[3];
    memcpy(ph, o.file + sizeof(Elf64_Ehdr), sizeof(ph));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(ph[i].p_type, PT_LOAD);
    assert_true(ph[0].p_vaddr < ph[1].p_vaddr && ph[1].p_vaddr < ph[2].p_vaddr);
    assert_int_equal(ph[2].p_flags, PF_R | PF_X);
    assert_int_equal(ph[2].p_offset, ELF_LEN);
    assert_int_equal(ph[2].p_offset + ph[2].p_filesz, o.len);
    // ELF_RODATA's segment ends at 0x3000, so the new one starts there.
    assert_int_equal(ph[2].p_vaddr, ELF_VADDR(0x3000));
    const uint8_t *jump = o.file + ELF_TEXT;
    assert_int_equal(ELF_VADDR(ELF_TEXT) + 5 + displacement(jump + 1), ph[2].p_vaddr);
    assert_memory_equal(o.file + ELF_LEN, "\x48\x89\xf8\x48\x8d\x0d", 6);
    ret = ph[2].p_vaddr + 10 + displacement(o.file + ELF_LEN + 6);
    assert_int_equal(ret, ELF_VADDR(ELF_TEXT) + 5);
    done(&o);
}

static void go_table(void **state)
{
    (void)state;
    static const uint8_t code[] = {MOV_EAX(39), SYSCALL, RET, 0xcc};
    uint8_t table[200] = {0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8, 1};
    const uint64_t text = ELF_VADDR(ELF_TEXT), names = 80, functab = 120;
    memcpy(table + 24, &text, 8);
    memcpy(table + 32, &names, 8);
    memcpy(table + 64, &functab, 8);
    memcpy(table + 81, "main.call", 10);
    const uint32_t entries[] = {0, 16, sizeof(code)}, record[] = {0, 1};
    memcpy(table + functab, entries, sizeof(entries));
    memcpy(table + functab + 16, record, sizeof(record));
    struct elf_spec spec = {
        .text = code, .text_len = sizeof(code), .pclntab = table, .pclntab_len = sizeof(table)};
    struct outcome o = run_flags(&spec, 0);
    assert_int_equal(o.report.forms[REWRITE_FORM_A], 1);
    assert_string_equal(o.report.sites[0].function, "main.call");
    done(&o);
}

static void neighbouring_sites(void **state)
{
    (void)state;
    // Two calls whose moved instructions would overlap share nothing.
    uint64_t ret;
    struct outcome o =
        run(CODE(0x48, 0x89, 0xf8, SYSCALL, 0x48, 0x89, 0xf0, SYSCALL, 0x48, 0x89, 0xc2, RET));
    assert_int_equal(o.report.left, 0);
    check_stub(&o, 0, 3, &ret);
    assert_int_equal(ret, ELF_VADDR(ELF_TEXT) + 5);
    check_stub(&o, 5, 3, &ret);
    assert_int_equal(ret, ELF_VADDR(ELF_TEXT) + 10);
    done(&o);
}

static void other_files(void **state)
{
    (void)state;
    static const uint8_t code[] = {0x31, 0xc0, 0xcd, 0x80, RET};
    struct elf_symbol symbol = {"f", 0, sizeof(code)};
    struct elf_spec spec = {
        .text = code, .text_len = sizeof(code), .symbols = &symbol, .symbol_count = 1};
    struct outcome o = run_flags(&spec, 0);
    assert_int_equal(o.result, REWRITE_UNCHANGED);
    assert_int_equal(o.report.int80, 1);
    done(&o);
    spec.type = ET_REL;
    o = run_flags(&spec, 0);
    assert_int_equal(o.result, REWRITE_FOREIGN);
    done(&o);

    uint8_t *out;
    size_t out_len;
    struct rewrite_report report;
    assert_int_equal(rewrite_elf((const uint8_t *)"#!/bin/sh\n", 10, 0, &out, &out_len, &report),
                     REWRITE_NOT_ELF);
    assert_null(out);
    assert_int_equal(rewrite_elf(NULL, 0, 0, &out, &out_len, &report), REWRITE_NOT_ELF);
    assert_int_equal(rewrite_elf((const uint8_t *)ELFMAG, 4, 0, &out, &out_len, &report),
                     REWRITE_MALFORMED);
}

// Every length of a good file, each in its own allocation so that the sanitizer sees overreads.
static void truncated(void **state)
{
    (void)state;
    static const uint8_t code[] = {0x48, 0x89, 0xf8, SYSCALL, RET};
    uint8_t frame[64], file[ELF_LEN];
    struct elf_spec spec = {
        .text = code, .text_len = sizeof(code), .eh_frame = frame, .note = true};
    spec.eh_frame_len = make_eh_frame(frame, "zR", ELF_VADDR(ELF_TEXT), sizeof(code), 0);
    elf_build(file, &spec);
    for (size_t len = 0; len < ELF_LEN; len += len < 0x120 ? 1 : 61) {
        uint8_t *copy = malloc(len + 1), *out;
        memcpy(copy, file, len);
        size_t out_len;
        struct rewrite_report report;
        uint8_t *exact = realloc(copy, len ? len : 1);
        enum rewrite_result result = rewrite_elf(exact, len, 0, &out, &out_len, &report);
        if (len < ELF_RODATA + 4096)
            assert_true(result == REWRITE_MALFORMED || result == REWRITE_NOT_ELF);
        free(out);
        free(exact);
        rewrite_report_free(&report);
    }
}

static void report_as_json_and_text(void **state)
{
    (void)state;
    struct outcome o =
        run(CODE(MOV_EAX(39), SYSCALL, 0x48, 0x89, 0xc2, 0x74, 0xf9, 0x75, 0xf9, RET));
    json_t *file = rewrite_report_to_json(&o.report, "/lib/x.so");
    assert_int_equal(json_integer_value(json_object_get(file, "found")), 1);
    json_t *left = json_object_get(file, "left");
    assert_int_equal(json_array_size(left), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(left, 0), "function")),
                        "f");
    json_t *summary = json_array();
    json_array_append_new(summary, file);
    char *text = NULL;
    size_t text_len;
    FILE *stream = open_memstream(&text, &text_len);
    assert_int_equal(rewrite_summary_print(stream, summary), 0);
    assert_int_equal(rewrite_summary_print(stream, file), -EINVAL);
    fclose(stream);
    assert_non_null(strstr(text, "/lib/x.so"));
    assert_non_null(strstr(text, "cannot be moved"));
    assert_non_null(strstr(text, "total, 1 files"));
    free(text);
    json_decref(summary);
    done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(form_a),
        cmocka_unit_test(form_a9),
        cmocka_unit_test(number_beyond_table),
        cmocka_unit_test(form_b),
        cmocka_unit_test(form_c),
        cmocka_unit_test(form_c2),
        cmocka_unit_test(form_c2_both_sides),
        cmocka_unit_test(moved_jump),
        cmocka_unit_test(rip_relative_is_moved),
        cmocka_unit_test(red_zone_pushes_nothing),
        cmocka_unit_test(leaf_frame_below_rsp),
        cmocka_unit_test(exit_pushes_nothing),
        cmocka_unit_test(target_inside),
        cmocka_unit_test(keep_left),
        cmocka_unit_test(target_by_pointer),
        cmocka_unit_test(target_by_jump_table),
        cmocka_unit_test(signal_frame_starts_later),
        cmocka_unit_test(clone_gap),
        cmocka_unit_test(gaps),
        cmocka_unit_test(landing_pad_is_a_target),
        cmocka_unit_test(undecodable_function),
        cmocka_unit_test(stub_room),
        cmocka_unit_test(go_table),
        cmocka_unit_test(neighbouring_sites),
        cmocka_unit_test(other_files),
        cmocka_unit_test(truncated),
        cmocka_unit_test(report_as_json_and_text),
    };
    return cmocka_run_group_tests_name("rewrite", tests, NULL, NULL);
}
