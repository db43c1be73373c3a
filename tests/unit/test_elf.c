// SPDX-License-Identifier: ISC
// The ELF parser on files made by hand: what a good program gives, and that each kind of lie is
// refused with a reason.
//
// links: kernel/linux/elf.c
#include <asm-generic/errno.h>
#include <linux/elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "abi/layout.h"
#include "linux/elf_program.h"

struct test_file {
    Elf64_Ehdr h;
    Elf64_Phdr ph[8];
    char interp[32];
};

static size_t file_len;

static ssize_t_k read_file(void *ctx, void *buf, size_t n, uint64_t off)
{
    if (off >= file_len)
        return 0;
    if (n > file_len - off)
        n = file_len - off;
    memcpy(buf, (char *)ctx + off, n);
    return (ssize_t_k)n;
}

static struct test_file good_file(void)
{
    struct test_file f = {0};
    memcpy(f.h.e_ident, ELFMAG, SELFMAG);
    f.h.e_ident[EI_CLASS] = ELFCLASS64;
    f.h.e_ident[EI_DATA] = ELFDATA2LSB;
    f.h.e_ident[EI_VERSION] = EV_CURRENT;
    f.h.e_type = ET_DYN;
    f.h.e_machine = EM_X86_64;
    f.h.e_entry = 0x1010;
    f.h.e_phoff = offsetof(struct test_file, ph);
    f.h.e_phentsize = sizeof(Elf64_Phdr);
    f.h.e_phnum = 5;
    strcpy(f.interp, "/lib64/ld.so");
    f.ph[0] = (Elf64_Phdr){
        .p_type = PT_INTERP, .p_offset = offsetof(struct test_file, interp), .p_filesz = 13};
    f.ph[1] = (Elf64_Phdr){.p_type = PT_LOAD,
                           .p_flags = PF_R,
                           .p_filesz = sizeof(f),
                           .p_memsz = sizeof(f),
                           .p_align = 0x1000};
    f.ph[2] = (Elf64_Phdr){.p_type = PT_LOAD,
                           .p_flags = PF_R | PF_X,
                           .p_offset = 0x1000,
                           .p_vaddr = 0x1000,
                           .p_filesz = 0x800,
                           .p_memsz = 0x800,
                           .p_align = 0x1000};
    f.ph[3] = (Elf64_Phdr){.p_type = PT_LOAD,
                           .p_flags = PF_R | PF_W,
                           .p_offset = 0x1800,
                           .p_vaddr = 0x3800,
                           .p_filesz = 0x100,
                           .p_memsz = 0x5000,
                           .p_align = 0x1000};
    f.ph[4] = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W};
    return f;
}

static int parse(struct test_file *f, struct elf_program *out, const char **reason)
{
    file_len = sizeof(*f);
    return elf_parse(read_file, f, out, reason);
}

static void good_program(void **state)
{
    struct test_file f = good_file();
    struct elf_program p;
    const char *reason;
    (void)state;
    assert_int_equal(parse(&f, &p, &reason), 0);
    assert_true(p.dynamic_base);
    assert_int_equal(p.entry, 0x1010);
    assert_int_equal(p.phnum, 5);
    assert_int_equal(p.phdr_vaddr, offsetof(struct test_file, ph));
    assert_int_equal(p.segment_count, 3);
    assert_int_equal(p.start, 0);
    assert_int_equal(p.end, 0x9000);
    assert_int_equal(p.align, 0x1000);
    assert_false(p.exec_stack);
    assert_string_equal(p.interp, "/lib64/ld.so");
    assert_true(p.segment[1].exec && !p.segment[1].write);
    assert_int_equal(p.segment[2].memsz, 0x5000);
}

static void fixed_program(void **state)
{
    struct test_file f = good_file();
    struct elf_program p;
    const char *reason;
    (void)state;
    f.h.e_type = ET_EXEC;
    for (int i = 1; i < 4; i++)
        f.ph[i].p_vaddr += 0x400000;
    f.h.e_entry += 0x400000;
    f.ph[4].p_flags |= PF_X;
    assert_int_equal(parse(&f, &p, &reason), 0);
    assert_false(p.dynamic_base);
    assert_true(p.exec_stack);
    assert_int_equal(p.start, 0x400000);
    f.ph[1].p_vaddr = 0; // below LITH_USER_MIN
    assert_int_equal(parse(&f, &p, &reason), -ENOEXEC);
}

struct lie {
    const char *what;
    void (*tell)(struct test_file *f);
};

#define LIE(name, statement)                    \
    static void lie_##name(struct test_file *f) \
    {                                           \
        statement;                              \
    }
LIE(magic, f->h.e_ident[0] = 0)
LIE(class, f->h.e_ident[EI_CLASS] = ELFCLASS32)
LIE(order, f->h.e_ident[EI_DATA] = ELFDATA2MSB)
LIE(machine, f->h.e_machine = EM_AARCH64)
LIE(type, f->h.e_type = ET_REL)
LIE(phentsize, f->h.e_phentsize = 32)
LIE(no_phdrs, f->h.e_phnum = 0)
LIE(many_phdrs, f->h.e_phnum = 65535)
LIE(phoff, f->h.e_phoff = UINT64_MAX - 8)
LIE(phoff_end, f->h.e_phoff = sizeof(*f) - 8)
LIE(filesz, f->ph[3].p_filesz = 0x6000)
LIE(vaddr_high, f->ph[3].p_vaddr = LITH_USER_END + 0x800)
LIE(memsz_wrap, f->ph[3].p_memsz = UINT64_MAX - 0x3000)
LIE(offset_wrap, (f->ph[3].p_offset = UINT64_MAX - 0x7ff, f->ph[3].p_filesz = 0x1000))
LIE(congruence, f->ph[3].p_offset += 8)
LIE(align_odd, f->ph[2].p_align = 0x1800)
LIE(align_huge, f->ph[2].p_align = 1ull << 40)
LIE(overlap, f->ph[3].p_vaddr = 0x1800)
LIE(descending, f->ph[2].p_vaddr = 0x10000)
LIE(entry, f->h.e_entry = 0x3810)
LIE(entry_out, f->h.e_entry = 0x10)
LIE(nothing, (f->ph[1].p_type = PT_NULL, f->ph[2].p_type = PT_NULL, f->ph[3].p_type = PT_NULL))
LIE(interp_open, memset(f->interp, 'x', sizeof(f->interp)))
LIE(interp_long, f->ph[0].p_filesz = 4096)
LIE(interp_empty, f->ph[0].p_filesz = 0)
LIE(interp_off, f->ph[0].p_offset = UINT64_MAX)
LIE(interp_two, f->ph[4] = f->ph[0])

static void lies_are_refused(void **state)
{
#define ROW(name)         \
    {                     \
#name, lie_##name \
    }
    static const struct lie lies[] = {
        ROW(magic),      ROW(class),      ROW(order),       ROW(machine),     ROW(type),
        ROW(phentsize),  ROW(no_phdrs),   ROW(many_phdrs),  ROW(phoff),       ROW(phoff_end),
        ROW(filesz),     ROW(vaddr_high), ROW(memsz_wrap),  ROW(offset_wrap), ROW(congruence),
        ROW(align_odd),  ROW(align_huge), ROW(overlap),     ROW(descending),  ROW(entry),
        ROW(entry_out),  ROW(nothing),    ROW(interp_open), ROW(interp_long), ROW(interp_empty),
        ROW(interp_off), ROW(interp_two),
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        struct test_file f = good_file();
        struct elf_program p;
        const char *reason = "";
        lies[i].tell(&f);
        if (parse(&f, &p, &reason) != -ENOEXEC || !reason[0])
            fail_msg("accepted: %s", lies[i].what);
    }
}

static void every_truncation_is_refused(void **state)
{
    struct test_file f = good_file();
    struct elf_program p;
    const char *reason;
    (void)state;
    for (file_len = 0; file_len < offsetof(struct test_file, ph) + 5 * sizeof(Elf64_Phdr);
         file_len++)
        assert_int_equal(elf_parse(read_file, &f, &p, &reason), -ENOEXEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_program),
        cmocka_unit_test(fixed_program),
        cmocka_unit_test(lies_are_refused),
        cmocka_unit_test(every_truncation_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
