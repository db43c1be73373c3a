// SPDX-License-Identifier: ISC
// Machine "process": the only places from which the host lets system calls through (abi/boot.h,
// struct lith_note_process), and where its signals come in.
#define CPU_PENDING 32 // in struct cpu; signal.c asserts it

    .section .text.process, "ax"
    .global process_calls_start, process_calls_end, host_call, process_restorer
    .global process_wait, process_wait_start, process_wait_end
process_calls_start:
// long host_call(long nr, a0, a1, a2, a3, a4, a5): the result as the host gives it, -errno.
    .balign 16
host_call:
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    mov %r8, %r10
    mov %r9, %r8
    mov 8(%rsp), %r9
    syscall
    ret
// What signal handlers return to: rt_sigreturn.
    .balign 16
process_restorer:
    mov $15, %eax
    syscall
    ud2
// long process_wait(fds, count, timeout): ppoll, unless something is pending. A signal that comes
// between the look and the call would be slept over: process_signal() moves it behind the call.
    .balign 16
process_wait:
    xor %r10d, %r10d
process_wait_start:
    mov $-4, %rax               // EINTR
    cmpq $0, %gs:CPU_PENDING
    jne process_wait_end
    mov $271, %eax
    syscall
process_wait_end:
    ret
process_calls_end:

// A signal, on its own stack: rdi number, rsi siginfo, rdx ucontext. One that comes before there is
// a CPU block can only be noted.
    .balign 16
    .global process_signal_entry
process_signal_entry:
    rdgsbase %rax
    test %rax, %rax
    jnz process_signal
    mov %edi, process_early_signal(%rip)
    ret
    .section .note.GNU-stack, "", @progbits
