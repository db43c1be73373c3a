// SPDX-License-Identifier: ISC
// Machine "process": the only places from which the host lets system calls through (abi/boot.h,
// struct lith_note_process), and where its signals come in.
#define CPU_PENDING 32 // in struct cpu; signal.c asserts it

    .section .text.process, "ax"
    .global process_calls_start, process_calls_end, process_restorer
    .global process_wait, process_wait_start, process_wait_end
process_calls_start:
// The calls of process.h: arguments as C passes them.
.macro HOST_CALL name, nr
    .global \name
\name:
    mov $\nr, %eax
    jmp host_call
.endm
    HOST_CALL host_write, 1
    HOST_CALL host_mmap, 9
    HOST_CALL host_mprotect, 10
    HOST_CALL host_munmap, 11
    HOST_CALL host_readv, 19
    HOST_CALL host_writev, 20
    HOST_CALL host_timer_settime, 223
    HOST_CALL host_exit_group, 231
    HOST_CALL host_ppoll, 271
host_call:
    mov %rcx, %r10
    syscall
    ret
// What signal handlers return to: rt_sigreturn.
process_restorer:
    mov $15, %eax
    syscall
    ud2
// long process_wait(fds, count, timeout): ppoll, unless something is pending. A signal that comes
// between the look and the call would be slept over: process_signal() moves it behind the call.
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
    .global process_signal_entry
process_signal_entry:
    rdgsbase %rax
    test %rax, %rax
    jnz process_signal
    mov %edi, process_early_signal(%rip)
    ret
    .section .note.GNU-stack, "", @progbits
