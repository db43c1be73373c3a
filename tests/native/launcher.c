// SPDX-License-Identifier: ISC
// launcher LD_SO ARG...: runs a rewritten ld.so as an ordinary process behind a pass-through
// gate. Maps the gate where abi/layout.h has it, loads LD_SO as the kernel would (without a vDSO,
// which contains `syscall` instructions), installs a seccomp filter that kills the process at any
// system call made from outside the gate's pages, and jumps. What then still works makes no raw
// system call.
#include "abi/gate.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE          4096ull
#define GATE_CODE     (LITH_GATE_TABLE + 0x2000) // one 16-byte entry per number
#define GATE_COMMON   (GATE_CODE + 16ull * LITH_GATE_ENTRIES)
#define GATE_END      LITH_USER_MIN
#define STACK_LEN     (8ull << 20)
#define ARG_MAX_COUNT 4096

extern const char gate_code[], gate_generic_jump[], gate_code_end[];
extern char **environ;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "launcher: %s: %s\n", what, strerror(errno));
    exit(125);
}

// An address that a contract or an ELF file fixes, as a pointer.
static void *at(uint64_t address)
{
    return (void *)(uintptr_t)address;
}

static void map_gate(void)
{
    if (mmap(at(LITH_GATE_TABLE), GATE_END - LITH_GATE_TABLE, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
        fail("map the gate (vm.mmap_min_addr must be at most 65536)");
    uint64_t *table = at(LITH_GATE_TABLE);
    for (uint32_t nr = 0; nr < LITH_GATE_ENTRIES; nr++) {
        uint8_t *entry = at(GATE_CODE + 16ull * nr);
        int32_t distance = (int32_t)(GATE_COMMON - (GATE_CODE + 16ull * nr + 10));
        entry[0] = 0xb8; // mov $nr,%eax
        memcpy(entry + 1, &nr, 4);
        entry[5] = 0xe9; // jmp
        memcpy(entry + 6, &distance, 4);
        table[nr] = GATE_CODE + 16ull * nr;
    }
    memcpy(at(GATE_COMMON), gate_code, gate_code_end - gate_code);
    uint64_t *generic = at(LITH_GATE_GENERIC_CALL);
    generic[0] = GATE_COMMON;
    generic[1] = GATE_COMMON + (gate_generic_jump - gate_code);
    if (mprotect(at(LITH_GATE_TABLE), GATE_CODE - LITH_GATE_TABLE, PROT_READ) ||
        mprotect(at(GATE_CODE), GATE_END - GATE_CODE, PROT_READ | PROT_EXEC))
        fail("protect the gate");
}

struct image {
    uint64_t base, entry, phdr;
    unsigned phnum;
};

// Loads the test's own ld.so: a file of ours, so only plainly wrong files are refused.
static struct image load_elf(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    Elf64_Ehdr eh;
    Elf64_Phdr ph[16];
    if (fd < 0)
        fail(path);
    if (pread(fd, &eh, sizeof(eh), 0) != sizeof(eh) || memcmp(eh.e_ident, ELFMAG, SELFMAG) ||
        eh.e_type != ET_DYN || !eh.e_phnum || eh.e_phnum > 16 ||
        pread(fd, ph, eh.e_phnum * sizeof(ph[0]), eh.e_phoff) !=
            (ssize_t)(eh.e_phnum * sizeof(ph[0]))) {
        errno = ENOEXEC;
        fail(path);
    }
    uint64_t end = 0;
    for (unsigned i = 0; i < eh.e_phnum; i++)
        if (ph[i].p_type == PT_LOAD)
            end = ph[i].p_vaddr + ph[i].p_memsz;
    char *base = mmap(NULL, end, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        fail("reserve memory");
    for (unsigned i = 0; i < eh.e_phnum; i++) {
        if (ph[i].p_type != PT_LOAD)
            continue;
        int prot = (ph[i].p_flags & PF_R ? PROT_READ : 0) |
                   (ph[i].p_flags & PF_W ? PROT_WRITE : 0) | (ph[i].p_flags & PF_X ? PROT_EXEC : 0);
        uint64_t skew = ph[i].p_vaddr & (PAGE - 1);
        char *start = base + ph[i].p_vaddr - skew;
        if (mmap(start, ph[i].p_filesz + skew, prot, MAP_PRIVATE | MAP_FIXED, fd,
                 ph[i].p_offset - skew) == MAP_FAILED)
            fail("map a segment");
        if (!(ph[i].p_flags & PF_W))
            continue;
        // The rest of the page is zero to its end: ld.so's first allocations come from there.
        char *file_end = base + ph[i].p_vaddr + ph[i].p_filesz;
        char *page_end = at(((uintptr_t)file_end + PAGE - 1) & ~(PAGE - 1));
        char *mem_end = base + ph[i].p_vaddr + ph[i].p_memsz;
        memset(file_end, 0, page_end - file_end);
        if (mem_end > page_end &&
            mmap(page_end, mem_end - page_end, prot, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1,
                 0) == MAP_FAILED)
            fail("map bss");
    }
    close(fd);
    return (struct image){.base = (uintptr_t)base,
                          .entry = (uintptr_t)base + eh.e_entry,
                          .phdr = (uintptr_t)base + eh.e_phoff,
                          .phnum = eh.e_phnum};
}

// argc, argv, envp and auxv as the System V ABI wants them; no AT_SYSINFO_EHDR.
static uint64_t *build_stack(const struct image *image, int argc, char **argv)
{
    char *stack = mmap(NULL, STACK_LEN, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED)
        fail("map the stack");
    const uint64_t aux[][2] = {
        {AT_PHDR, image->phdr},
        {AT_PHENT, sizeof(Elf64_Phdr)},
        {AT_PHNUM, image->phnum},
        {AT_PAGESZ, PAGE},
        {AT_BASE, 0},
        {AT_FLAGS, 0},
        {AT_ENTRY, image->entry},
        {AT_UID, getuid()},
        {AT_EUID, geteuid()},
        {AT_GID, getgid()},
        {AT_EGID, getegid()},
        {AT_SECURE, 0},
        {AT_CLKTCK, sysconf(_SC_CLK_TCK)},
        {AT_HWCAP, getauxval(AT_HWCAP)},
        {AT_HWCAP2, getauxval(AT_HWCAP2)},
        {AT_PLATFORM, getauxval(AT_PLATFORM)},
        {AT_RANDOM, getauxval(AT_RANDOM)},
        {AT_EXECFN, (uintptr_t)argv[0]},
        {AT_NULL, 0},
    };
    size_t env_count = 0;
    while (environ[env_count])
        env_count++;
    size_t words = 1 + argc + 1 + env_count + 1 + sizeof(aux) / 8;
    uint64_t *sp = (uint64_t *)(stack + STACK_LEN) - ((words + 1) & ~1ull);
    uint64_t *p = sp;
    *p++ = argc;
    for (int i = 0; i < argc; i++)
        *p++ = (uintptr_t)argv[i];
    *p++ = 0;
    for (size_t i = 0; i < env_count; i++)
        *p++ = (uintptr_t)environ[i];
    *p++ = 0;
    memcpy(p, aux, sizeof(aux));
    return sp;
}

static void install_filter(void)
{
    const unsigned ip = offsetof(struct seccomp_data, instruction_pointer);
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ip + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ip),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, GATE_CODE, 0, 1),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, GATE_END, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
        fail("install the seccomp filter");
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > ARG_MAX_COUNT) {
        fprintf(stderr, "usage: launcher LD_SO ARG...\n");
        return 125;
    }
    map_gate();
    struct image image = load_elf(argv[1]);
    uint64_t *sp = build_stack(&image, argc - 1, argv + 1);
    install_filter();
    __asm__ volatile("mov %0, %%rsp\n\t"
                     "xor %%edx, %%edx\n\t" // no function to register with atexit
                     "xor %%ebp, %%ebp\n\t"
                     "jmp *%1"
                     :
                     : "r"(sp), "r"(image.entry)
                     : "rdx", "memory");
    __builtin_unreachable();
}
