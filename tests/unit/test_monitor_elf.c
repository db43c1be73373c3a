// SPDX-License-Identifier: ISC
// links: host/monitor/kernel_elf.c
// The loader's checks: one good image, and every way of breaking it that has a check of its own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <elf.h>
#include <cmocka.h>
#include "monitor/monitor.h"

#define BASE     0x7c0000000000ull
#define NEW_BASE 0x7d1234600000ull
#define FILE_LEN 0x4000

// text at page 0 (file page 1), rodata at page 1 (2), data at page 2 (3), bss to page 4.
struct image {
    Elf64_Ehdr eh;
    Elf64_Phdr ph[5];
};
enum { TEXT, RODATA, DATA, DYNAMIC, NOTE };

static struct note {
    Elf64_Nhdr head;
    char name[8];
    struct lith_note_tables tables;
} __attribute__((packed)) const note = {
    {5, sizeof(struct lith_note_tables), 1},
    "Lith",
    {.gdt_off = 0x2000,
     .gdt_limit = 79,
     .idt_off = 0x3000,
     .idt_limit = 4095,
     .tss_off = 0x2100,
     .tss_limit = 0x100,
     .start64_off = 0x10},
};

static void make(struct image *im)
{
    memset(im, 0, sizeof *im);
    memcpy(im->eh.e_ident, ELFMAG, SELFMAG);
    im->eh.e_ident[EI_CLASS] = ELFCLASS64;
    im->eh.e_ident[EI_DATA] = ELFDATA2LSB;
    im->eh.e_machine = EM_X86_64;
    im->eh.e_type = ET_DYN;
    im->eh.e_phoff = sizeof im->eh;
    im->eh.e_phentsize = sizeof(Elf64_Phdr);
    im->eh.e_phnum = 5;
    im->ph[TEXT] = (Elf64_Phdr){PT_LOAD, PF_R | PF_X, 0x1000, BASE, 0x100000, 0x800, 0x800, 4096};
    im->ph[RODATA] = (Elf64_Phdr){PT_LOAD, PF_R, 0x2000, BASE + 0x1000, 0, 0x900, 0x900, 4096};
    im->ph[DATA] =
        (Elf64_Phdr){PT_LOAD, PF_R | PF_W, 0x3000, BASE + 0x2000, 0, 0x200, 0x2000, 4096};
    im->ph[DYNAMIC] = (Elf64_Phdr){PT_DYNAMIC, PF_R, 0, BASE + 0x1800, 0, 64, 64, 8};
    im->ph[NOTE] = (Elf64_Phdr){PT_NOTE, PF_R, 0, BASE + 0x1000, 0, sizeof note, sizeof note, 4};
}

static int parse(const struct image *im, struct kernel_image *out)
{
    uint8_t header[KERNEL_HEADER_BYTES] = {0};
    const char *why = NULL;
    memcpy(header, im, sizeof *im);
    int error = kernel_elf_parse(header, sizeof header, FILE_LEN, out, &why);
    assert_true(error == 0 || (error == -1 && why));
    return error;
}

// The loaded image: exactly as long as it is, so that ASan sees a byte too far.
static uint8_t *load(const Elf64_Rela *rela, uint64_t count)
{
    uint8_t *mem = calloc(1, 0x4000);
    const Elf64_Dyn dyn[4] = {{DT_RELA, {BASE + 0x1400}},
                              {DT_RELASZ, {count * sizeof *rela}},
                              {DT_RELAENT, {sizeof *rela}},
                              {DT_NULL, {0}}};
    assert_non_null(mem);
    memcpy(mem + 0x1000, &note, sizeof note);
    memcpy(mem + 0x1800, dyn, sizeof dyn);
    if (count)
        memcpy(mem + 0x1400, rela, count * sizeof *rela);
    return mem;
}

static void test_good(void **state)
{
    (void)state;
    struct image im;
    struct kernel_image k;
    make(&im);
    assert_int_equal(parse(&im, &k), 0);
    assert_int_equal(k.count, 3);
    assert_int_equal(k.link_base, BASE);
    assert_int_equal(k.len, 0x4000);
    assert_true(k.segment[0].exec && !k.segment[0].write && k.segment[2].write);
    const Elf64_Rela rela[2] = {{BASE + 0x2008, R_X86_64_RELATIVE, BASE + 0x1010},
                                {BASE + 0x3ff8, R_X86_64_RELATIVE, BASE + 0x4000}};
    uint8_t *mem = load(rela, 2);
    const char *why = NULL;
    assert_int_equal(kernel_elf_link(&k, mem, NEW_BASE, &why), 0);
    uint64_t value;
    memcpy(&value, mem + 0x2008, 8);
    assert_int_equal(value, NEW_BASE + 0x1010);
    memcpy(&value, mem + 0x3ff8, 8);
    assert_int_equal(value, NEW_BASE + 0x4000);
    assert_int_equal(k.tables.start64_off, 0x10);
    free(mem);
}

static void test_bad_headers(void **state)
{
    (void)state;
    struct image im;
    struct kernel_image k;
    const char *why;
#define BAD(change)                           \
    do {                                      \
        make(&im);                            \
        change;                               \
        assert_int_equal(parse(&im, &k), -1); \
    } while (0)
    BAD(im.eh.e_ident[0] = 0);
    BAD(im.eh.e_ident[EI_CLASS] = ELFCLASS32);
    BAD(im.eh.e_machine = EM_AARCH64);
    BAD(im.eh.e_type = ET_EXEC);
    BAD(im.eh.e_phentsize = 32);
    BAD(im.eh.e_phnum = 0);
    BAD(im.eh.e_phnum = 0xffff);
    BAD(im.eh.e_phoff = UINT64_MAX - 8);
    BAD(im.eh.e_phoff = 4096 - 56);
    BAD(im.ph[TEXT].p_flags = PF_R | PF_W | PF_X);
    BAD(im.ph[TEXT].p_flags = PF_X);
    BAD(im.ph[TEXT].p_filesz = 0x900);
    BAD(im.ph[TEXT].p_offset = UINT64_MAX - 0xfff);
    BAD(im.ph[TEXT].p_offset = 0x1008);
    BAD(im.ph[DATA].p_offset = 0x4000);
    BAD(im.ph[RODATA].p_vaddr = BASE + 0x700);  // shares text's page
    BAD(im.ph[RODATA].p_vaddr = BASE - 0x1000); // below the first
    BAD(im.ph[RODATA].p_vaddr = BASE + 0x3000); // overlaps data
    BAD(im.ph[DATA].p_vaddr = UINT64_MAX - 0xfff);
    BAD(im.ph[DATA].p_memsz = UINT64_MAX);
    BAD(im.ph[DATA].p_memsz = KERNEL_IMAGE_MAX);
    BAD(im.ph[DATA].p_vaddr = 0x1000);
    BAD(im.ph[DYNAMIC].p_vaddr = BASE - 64);
    BAD(im.ph[DYNAMIC].p_memsz = UINT64_MAX);
    BAD(im.ph[NOTE].p_vaddr = BASE + 0x4000);
    BAD(im.ph[TEXT].p_paddr = 0);
    BAD(im.ph[TEXT].p_paddr = 0xf000);
    BAD(im.ph[TEXT].p_paddr = 0x10800);
    BAD(im.ph[TEXT].p_paddr = 16 * MIB + PAGE_SIZE);
    BAD(im.ph[TEXT].p_paddr = UINT64_MAX - 0xfff);
    BAD(im.ph[TEXT].p_vaddr = BASE + 8; im.ph[TEXT].p_offset = 0x1008; im.ph[TEXT].p_paddr = 4);
    BAD(im.ph[NOTE].p_type = PT_INTERP);
#undef BAD
    make(&im);
    assert_int_equal(kernel_elf_parse((uint8_t *)&im, 20, FILE_LEN, &k, &why), -1);
    assert_int_equal(kernel_elf_parse((uint8_t *)&im, sizeof im, 0x100, &k, &why), -1);
}

// A linked program: thread-local storage is its own business, its place in memory is the file's.
static void test_linked(void **state)
{
    (void)state;
    static const uint64_t places[] = {0x10000, 0x90000, 0x100000, 16 * MIB};
    struct image im;
    struct kernel_image k;
    for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++) {
        make(&im);
        im.ph[TEXT].p_paddr = places[i];
        im.ph[NOTE].p_type = PT_TLS;
        assert_int_equal(parse(&im, &k), 0);
        assert_int_equal(k.phys, places[i]);
        assert_int_equal(k.note_count, 0);
    }
    make(&im); // the segment begins inside its page, as the linker may have it
    im.ph[TEXT].p_vaddr += 0x10;
    im.ph[TEXT].p_offset += 0x10;
    im.ph[TEXT].p_paddr = 0x20010;
    assert_int_equal(parse(&im, &k), 0);
    assert_int_equal(k.phys, 0x20000);
    assert_int_equal(k.link_base, BASE);
}

static void test_bad_contents(void **state)
{
    (void)state;
    static const Elf64_Rela bad[] = {
        {BASE + 0x3ff9, R_X86_64_RELATIVE, BASE}, // across the end
        {BASE + 0x4000, R_X86_64_RELATIVE, BASE},
        {BASE - 8, R_X86_64_RELATIVE, BASE},
        {BASE + 0x7fc, R_X86_64_RELATIVE, BASE}, // across the end of text
        {UINT64_MAX - 3, R_X86_64_RELATIVE, BASE},
        {BASE + 0x2000, R_X86_64_RELATIVE, 0}, // points below
        {BASE + 0x2000, R_X86_64_RELATIVE, BASE + 0x4001},
        {BASE + 0x2000, R_X86_64_RELATIVE, -8},
        {BASE + 0x2000, R_X86_64_64, BASE},
    };
    struct image im;
    struct kernel_image k;
    const char *why;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        make(&im);
        assert_int_equal(parse(&im, &k), 0);
        uint8_t *mem = load(&bad[i], 1);
        assert_int_equal(kernel_elf_link(&k, mem, NEW_BASE, &why), -1);
        free(mem);
    }
}

static void test_bad_notes(void **state)
{
    (void)state;
    struct image im;
    struct kernel_image k;
    const char *why;
    struct note n;
    make(&im);
#define BAD(change)                                                     \
    do {                                                                \
        assert_int_equal(parse(&im, &k), 0);                            \
        uint8_t *mem = load(NULL, 0);                                   \
        n = note;                                                       \
        change;                                                         \
        memcpy(mem + 0x1000, &n, sizeof n);                             \
        assert_int_equal(kernel_elf_link(&k, mem, NEW_BASE, &why), -1); \
        free(mem);                                                      \
    } while (0)
    BAD(n.name[0] = 'X');
    BAD(n.head.n_type = 2);
    BAD(n.head.n_descsz = 48);
    BAD(n.head.n_descsz = UINT32_MAX);
    BAD(n.head.n_namesz = UINT32_MAX);
    BAD(n.tables.gdt_off = 0x4000);
    BAD(n.tables.idt_off = 0x3001);
    BAD(n.tables.idt_off = UINT64_MAX);
    BAD(n.tables.tss_limit = UINT64_MAX);
    BAD(n.tables.tss_limit = 0xffff);
    BAD(n.tables.start64_off = 0x1000); // not code
    BAD(n.tables.start64_off = UINT64_MAX);
#undef BAD
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),      cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_linked),    cmocka_unit_test(test_bad_contents),
        cmocka_unit_test(test_bad_notes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
