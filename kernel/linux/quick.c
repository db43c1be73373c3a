// SPDX-License-Identifier: ISC
// Binary mode's calls that only read a field: the table of gates leads to them directly. They run
// on the program's stack and with its registers, so they are a few instructions that touch rax and
// nothing else. The interrupt mask stays open: what they read does not change under a thread.
#include "linux/process.h"

__attribute__((naked)) void gate_quick_getpid(void);
__attribute__((naked)) void gate_quick_getpid(void)
{
    __asm__("mov process_init(%%rip), %%rax\n\t"
            "movslq %c0(%%rax), %%rax\n\t"
            "ret" ::"i"(offsetof(struct process, pid)));
}

__attribute__((naked)) void gate_quick_getppid(void);
__attribute__((naked)) void gate_quick_getppid(void)
{
    __asm__("mov process_init(%%rip), %%rax\n\t"
            "movslq %c0(%%rax), %%rax\n\t"
            "ret" ::"i"(offsetof(struct process, ppid)));
}

__attribute__((naked)) void gate_quick_gettid(void);
__attribute__((naked)) void gate_quick_gettid(void)
{
    __asm__("mov %%gs:%c0, %%rax\n\t"
            "mov %c1(%%rax), %%rax\n\t"
            "movslq %c2(%%rax), %%rax\n\t"
            "ret" ::"i"(offsetof(struct cpu, current)),
            "i"(offsetof(struct thread, linux_thread)), "i"(offsetof(struct linux_thread, tid)));
}
