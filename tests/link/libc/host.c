// SPDX-License-Identifier: ISC
// The start of a libc test: does for a static PIE under Linux what the kernel does for it in link
// mode (relocations, program headers at run-time addresses), and what the kernel promises about
// cancellation points.
#define _GNU_SOURCE
#include <elf.h>
#include <signal.h>
#include <stdint.h>
#include <ucontext.h>

#define HIDDEN __attribute__((visibility("hidden")))
extern HIDDEN Elf64_Dyn _DYNAMIC[];
extern HIDDEN Elf64_Ehdr __ehdr_start;
extern HIDDEN const char link_gate[], host_syscall[];
extern HIDDEN const char __cp_end[] __attribute__((weak));
extern HIDDEN const char __cp_restart[] __attribute__((weak));
_Noreturn void lith_main(long *sp);
_Noreturn void host_start(long *sp);
void host_cancel(int sig, siginfo_t *info, void *context);
HIDDEN void (*host_cancel_next)(int, siginfo_t *, void *);

static Elf64_Phdr headers[2];

static void relocate(char *base)
{
    Elf64_Rela *rela = 0;
    size_t size = 0;
    for (Elf64_Dyn *d = _DYNAMIC; d->d_tag != DT_NULL; d++) {
        if (d->d_tag == DT_RELA)
            rela = (Elf64_Rela *)(base + d->d_un.d_ptr);
        if (d->d_tag == DT_RELASZ)
            size = d->d_un.d_val;
    }
    for (; size >= sizeof(*rela); rela++, size -= sizeof(*rela)) {
        if (ELF64_R_TYPE(rela->r_info) != R_X86_64_RELATIVE)
            __builtin_trap();
        *(uint64_t *)(base + rela->r_offset) = (uint64_t)base + (uint64_t)rela->r_addend;
    }
}

_Noreturn void host_start(long *sp)
{
    char *base = (char *)&__ehdr_start;
    relocate(base);
    long *aux = sp + 1 + sp[0] + 1;
    while (*aux)
        aux++;
    const Elf64_Phdr *p = (const Elf64_Phdr *)(base + __ehdr_start.e_phoff);
    int count = 0;
    for (int i = 0; i < __ehdr_start.e_phnum; i++) {
        if (p[i].p_type != PT_TLS && p[i].p_type != PT_GNU_STACK)
            continue;
        headers[count] = p[i];
        headers[count++].p_vaddr += (uint64_t)base;
    }
    for (aux++; aux[0]; aux += 2) {
        if (aux[0] == AT_PHDR)
            aux[1] = (long)headers;
        if (aux[0] == AT_PHNUM)
            aux[1] = count;
    }
    lith_main(sp);
}

// The kernel's promise: a cancellation point that has not begun, or is to be made again, is seen at
// __cp_restart with its gate in r10.
void host_cancel(int sig, siginfo_t *info, void *context)
{
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    uintptr_t rip = (uintptr_t)r[REG_RIP];
    if (__cp_end && *(const char **)r[REG_RSP] == __cp_end && rip != (uintptr_t)host_syscall + 2) {
        if (rip == (uintptr_t)host_syscall)
            r[REG_RCX] = r[REG_R10];
        if (rip >= (uintptr_t)link_gate && rip <= (uintptr_t)host_syscall)
            r[REG_R10] = (greg_t)link_gate; // eax has the number by then
        r[REG_RIP] = (greg_t)__cp_restart;
        r[REG_RSP] += 8;
    }
    host_cancel_next(sig, info, context);
}
