// SPDX-License-Identifier: ISC
// Ways into the kernel and out of it: call gates, `syscall` in ring 0, exceptions, interrupts.
//
// Every way in builds a struct regs (arch/arch.h) at the top of the thread's kernel stack and sets
// in_kernel; every way out goes through gate_leave, which looks at pending work and restores from
// there. A gate frame is marked by cs == 0: it returns by a jump, without iretq.
//
// An interrupt that finds in_kernel set only notes its vector: it is acknowledged (EOI) when the kernel
// looks at the notes, so the local APIC holds further ones of its class back meanwhile, and no second
// interrupt can land on the interrupt stack before the first left it.

#include "arch/x86_64/entry.inc"

    .section .text.entry, "ax"
    .global gate_leave, entry_code_start, entry_code_end
entry_code_start:
gate_leave:
    movb $0, %gs:CPU_INKERNEL
gate_tail_start:
    // Not in one load with in_kernel: that would have to wait for the store above.
    mov %gs:CPU_PENDING, %rax
    or %gs:CPU_USERWORK, %rax
    jnz gate_slow
    cmpb $0, %gs:CPU_RESCHED
    jne gate_slow
    cmpq $0, REGS_CS(%rsp)
    jne gate_full
    // The C code kept rbx, rbp, r12 to r15; a gate may clobber rcx and r11.
    mov 56(%rsp), %r10
    mov 64(%rsp), %r9
    mov 72(%rsp), %r8
    mov REGS_RAX(%rsp), %rax
    mov 96(%rsp), %rdx
    mov 104(%rsp), %rsi
    mov 112(%rsp), %rdi
    mov REGS_RIP(%rsp), %rcx
    testb $FRAME_CALLED, REGS_SS(%rsp)
    mov REGS_RSP(%rsp), %rsp
    jz 1f
    push %rcx                   // where the call had put it
    cmp $-4096, %rax            // form B promises these flags
    ret
1:  cmp $-4096, %rax
    jmp *%rcx
gate_full:
    POP_REGS
    add $8, %rsp
    iretq
gate_slow:
    movb $1, %gs:CPU_INKERNEL
gate_tail_end:                  // an interrupt just before in_kernel is set still finds the tail
    cmpq $0, REGS_CS(%rsp)
    jne 1f
    mov %r15, (%rsp)            // a gate may have left these out; C has kept them
    mov %r14, 8(%rsp)
    mov %r13, 16(%rsp)
    mov %r12, 24(%rsp)
    mov %rbp, 32(%rsp)
    mov %rbx, 40(%rsp)
1:
    mov %rsp, %rdi
    call arch_exit_work
    test %al, %al
    jz gate_leave
    jmp gate_full               // interrupted in a gate: back into it, with the mask set

// --- calls in link mode (docs/link-mode.md): gate_<name> leads here with r11 the function and eax its
// number, arguments as C passes them. `gates` lie before this in the image: an interrupt up to
// link_heads_end is one in a gate.
    .section .text.link_gate, "ax"
    .global link_gate, link_gate_full, link_heads_end, link_gate_noreturn
link_gate:
    movb $1, %gs:CPU_INKERNEL
link_heads_end:
    popq %gs:CPU_SCRATCH_RIP
    mov %rsp, %gs:CPU_SCRATCH
    mov %gs:CPU_KSTACK, %rsp
    push $(FRAME_C_CALL | FRAME_CALLED) // ss
    push %gs:CPU_SCRATCH        // rsp
    push $0x202                 // rflags
    push $0                     // cs: a gate frame
    push %gs:CPU_SCRATCH_RIP    // rip
    push %rax                   // orig_rax
    PUSH_CALLER
    sub $REGS_CALLEE, %rsp
    call *%r11
link_called:
    mov %rax, REGS_RAX(%rsp)
    lea 516(%rax), %rcx         // -512 to -516: to be made again, or EINTR (linux/process.h)
    cmp $4, %rcx
    ja gate_leave
    mov %rsp, %rdi
    call *arch_restart_hook(%rip)
    jmp gate_leave
// For calls that make a second thread or process out of the registers.
link_gate_full:
    movb $1, %gs:CPU_INKERNEL
    popq %gs:CPU_SCRATCH_RIP
    mov %rsp, %gs:CPU_SCRATCH
    mov %gs:CPU_KSTACK, %rsp
    push $(FRAME_C_CALL | FRAME_CALLED)
    push %gs:CPU_SCRATCH
    push $0x202
    push $0
    push %gs:CPU_SCRATCH_RIP
    push %rax
    PUSH_REGS
    call *%r11
    jmp link_called
// For the call that leaves a thread whose stack is gone: nothing is popped, nothing comes back.
link_gate_noreturn:
    movb $1, %gs:CPU_INKERNEL
    mov %rsp, %gs:CPU_SCRATCH
    mov %gs:CPU_KSTACK, %rsp
    sub $REGS_SIZE, %rsp
    call *%r11
    ud2
    .section .text.entry, "ax"

// void arch_return_user(struct regs *top): leaves through the frame at `top`.
    .global arch_return_user
arch_return_user:
    mov %rdi, %rsp
    jmp gate_leave

// A switch to an interrupt stack may leave a null SS behind in ring 3 (QEMU does; the manuals leave it
// open), and iretq to ring 3 refuses one. So a frame that shows it gets the selector back.
.macro FIX_SS offset
    cmpb $3, \offset(%rsp)
    jne 9f
    movb $0x2b, \offset(%rsp)
9:
.endm

// --- interrupts: vectors 0x20 to 0x2f, each on IST 1 ---
    .global irq_entry_start
    .balign 8
irq_entry_start:
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    .balign 8
    push $\n
    jmp irq_entry
    .endr
irq_entry:                      // number, rip, cs, rflags, rsp, ss
    FIX_SS 40
    cmpb $0, %gs:CPU_INKERNEL
    je irq_user
    push %rcx
    mov 8(%rsp), %ecx
    lock bts %rcx, %gs:CPU_PENDING
    pop %rcx
    add $8, %rsp
    iretq

// QEMU's TCG leaves a null SS behind when a gate with an IST keeps the privilege level; CPUs leave SS
// alone. In ring 3 the next iretq to a frame that recorded it would be #GP. Clobbers rcx.
.macro RELOAD_SS
    movl arch_ss(%rip), %ecx
    movl %ecx, %ss
.endm

// The monitor's way to make a program in ring 3 enter (abi/boot.h): it has put the frame on the interrupt
// stack. Which vector it is for stands in `pending` already.
    .balign 16
    .global irq_posted
irq_posted:
    push $0
    movb $1, %gs:CPU_INKERNEL
    push %rax
    push %rcx
    cld
    jmp irq_take

// IST stack: number, rip, cs, rflags, rsp, ss.
irq_user:
    movb $1, %gs:CPU_INKERNEL
    push %rax
    push %rcx
    cld
    RELOAD_SS
    mov 16(%rsp), %rcx
    mov $1, %eax
    shl %cl, %rax
    lock or %rax, %gs:CPU_PENDING
irq_take:
    mov 24(%rsp), %rax
    lea exc_entry_start(%rip), %rcx
    cmp %rcx, %rax
    jb 2f
    lea exc_entry_end(%rip), %rcx
    cmp %rcx, %rax
    jae 2f
    // An exception of a program is about to mask interrupts: its frame is still on IST 2, which another
    // thread must not use meanwhile. The way out from the exception finds the note.
    movb $0, %gs:CPU_INKERNEL
    pop %rcx
    pop %rax
    add $8, %rsp
    iretq
2:  lea entry_tail_low(%rip), %rcx // kernel.ld
    cmp %rcx, %rax
    jb 1f
    lea gate_tail_end(%rip), %rcx
    cmp %rcx, %rax
    jae 1f
    // In the tail: the whole frame still stands at the top of the kernel stack. Leave again from there.
    mov %gs:CPU_KSTACK, %rsp
    sub $REGS_SIZE, %rsp
    cmpq $0, REGS_CS(%rsp)
    je gate_slow                // a gate's frame: the registers that C keeps are where they were
    mov (%rsp), %r15
    mov 8(%rsp), %r14
    mov 16(%rsp), %r13
    mov 24(%rsp), %r12
    mov 32(%rsp), %rbp
    mov 40(%rsp), %rbx
    jmp gate_slow
1:  mov %rsp, %rax              // the IST stack
    mov %gs:CPU_KSTACK, %rsp
    push 56(%rax)               // ss
    push 48(%rax)               // rsp
    push 40(%rax)               // rflags
    push 32(%rax)               // cs
    push 24(%rax)               // rip
    push $-33                   // orig_rax: an interrupt
    PUSH_REGS 8(%rax), (%rax)
    jmp gate_slow

// Local APIC's spurious vector: nothing to do, no EOI (Intel SDM volume 3, 10.9).
    .balign 16
    .global irq_spurious
irq_spurious:
    iretq

// --- exceptions: vectors 0 to 21, IST 2 (no CPU of ours has those behind) ---
    .global exc_entry_start, exc_entry_end, exc_common
    .balign 16
exc_entry_start:
.macro EXC n
    .balign 16
    .if (\n == 8) || (\n >= 10 && \n <= 14) || (\n == 17) || (\n == 21)
    .else
    push $0
    .endif
    push $\n
    jmp exc_common
.endm
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21
    EXC \n
    .endr

// From the ring-0 stubs. Stack: rax, vector, error, rip, ...: as below after the first push.
ring3_exc_entry:
    pop %rax
// IST stack from here up: rcx, rax, vector, error, rip, cs, rflags, rsp, ss.
exc_common:
    FIX_SS 48
    push %rax
    push %rcx
    RELOAD_SS
    mov %rsp, %rax
    cmpb $0, %gs:CPU_INKERNEL
    jne exc_kernel
    movb $1, %gs:CPU_INKERNEL
exc_entry_end:
    cld
    mov %gs:CPU_KSTACK, %rsp
    push 64(%rax)
    push 56(%rax)
    push 48(%rax)
    push 40(%rax)
    push 32(%rax)
    push $-1
    PUSH_REGS 8(%rax), (%rax)
    mov %rsp, %rdi
    mov 16(%rax), %rsi          // vector
    mov 24(%rax), %rdx          // error
    call arch_trap_user
    jmp gate_leave

// The kernel's own fault (copying from a program, or a bug): handled on the stack it happened on,
// if that is a sane one; else on the panic stack, which ends in a report.
exc_kernel:
    mov 56(%rax), %rcx          // interrupted rsp
    sub $1024, %rcx
    neg %rcx
    add %gs:CPU_KSTACK, %rcx    // top - (rsp - 1024)
    cmp $KSTACK_SIZE, %rcx
    ja 1f
    mov 56(%rax), %rcx
    and $-16, %rcx
    mov %rcx, %rsp
    jmp 2f
1:  lea panic_stack_top(%rip), %rsp
2:  sub $8, %rsp
    push 64(%rax)
    push 56(%rax)
    push 48(%rax)
    push 40(%rax)
    push 32(%rax)
    push $-1
    PUSH_REGS 8(%rax), (%rax)
    mov %rsp, %rdi
    mov 16(%rax), %rsi
    mov 24(%rax), %rdx
    call arch_trap_kernel
    POP_REGS
    add $8, %rsp
    iretq

// --- ring-0 stubs for a kernel that runs in ring 3 (as few instructions as can be: KVM-PVM emulates them) ---
// Page fault: fetch CR2, then go on in ring 3 on the same stack.
    .balign 16
    .global ring0_page_fault, ring0_breakpoint, ring3_flush_site
ring0_page_fault:
    push %rax
    mov %cr2, %rax
    mov %rax, %gs:CPU_CR2
    pop %rax
    push $14
ring0_to_ring3:
    push %rax                   // iret frame below: ss rsp rflags cs rip
    lea 0(%rsp), %rax
    push $0x2b
    push %rax
    push $0x202
    push $0x33
    lea ring3_exc_entry(%rip), %rax
    push %rax
    iretq
// Breakpoint: ours asks for a TLB flush; any other is a program's.
ring0_breakpoint:
    push $0
    push $3
    push %rax
    lea ring3_flush_site + 1(%rip), %rax
    cmp %rax, 24(%rsp)
    jne 1f
    mov %cr3, %rax
    mov %rax, %cr3
    pop %rax
    add $16, %rsp
    iretq
1:  pop %rax
    jmp ring0_to_ring3
ring3_flush_site:
    int3
    ret
entry_code_end:

// --- context switch ---
// void arch_switch_stack(uint64_t *save_rsp, uint64_t new_rsp)
    .text
    .global arch_switch_stack, arch_thread_entry
arch_switch_stack:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
// First switch to a thread: rbx = fn, r12 = arg (set up by arch_thread_init).
arch_thread_entry:
    mov %r12, %rdi
    xor %ebp, %ebp
    call *%rbx
    ud2

// --- user memory ---
.macro FIXUP from to
    .pushsection ex_table, "a"
    .long \from - .
    .long \to - .
    .popsection
.endm
// size_t arch_copy(void *dst, const void *src, size_t n): bytes NOT copied
    .global arch_copy, arch_zero, arch_user_strncpy, arch_user_cmpxchg32
arch_copy:
    mov %rdx, %rcx
1:  rep movsb
2:  mov %rcx, %rax
    ret
    FIXUP 1b 2b
arch_zero:
    mov %rsi, %rcx
    xor %eax, %eax
1:  rep stosb
2:  mov %rcx, %rax
    ret
    FIXUP 1b 2b
// long arch_user_strncpy(char *dst, const char *src, size_t size): length, -14, or -36 if no NUL in size
arch_user_strncpy:
    xor %eax, %eax
3:  cmp %rdx, %rax
    je 5f
1:  mov (%rsi,%rax), %cl
    mov %cl, (%rdi,%rax)
    test %cl, %cl
    je 4f
    inc %rax
    jmp 3b
4:  ret
5:  mov $-36, %rax
    ret
2:  mov $-14, %rax
    ret
    FIXUP 1b 2b
// int arch_user_cmpxchg32(uint32_t *uaddr, uint32_t *old, uint32_t desired)
arch_user_cmpxchg32:
    mov (%rsi), %eax
1:  lock cmpxchg %edx, (%rdi)
    mov %eax, (%rsi)
    xor %eax, %eax
    ret
2:  mov $-14, %eax
    ret
    FIXUP 1b 2b

// --- descriptor tables and stacks. The tables are filled by arch_tables_init, then read-only ---
    .section .bss.ro_after_init, "aw", @nobits
    .balign 4096
    .global arch_gdt, arch_gdt_end, arch_idt, arch_tss, arch_tss_end
arch_gdt:
    .skip 80                    // up to 0x40: the TSS
arch_gdt_end:
    .balign 16
arch_idt:
    .skip 256 * 16
    .balign 16
arch_tss:
    .skip 0x68 + 0x401          // with the I/O permission bitmap, ports 0 to 0x1fff, and its end mark
arch_tss_end:

    .section .bss, "aw", @nobits
    .balign 4096
    .global boot_stack, boot_stack_top, panic_stack_top, irq_stack_top, exc_stack_top, df_stack_top
    .skip 4096                  // IST 1: only entry frames live here
irq_stack_top:
    .skip 4096                  // IST 2
exc_stack_top:
    .skip 8192                  // IST 3: double fault, NMI, machine check
df_stack_top:
    .skip 8192
panic_stack_top:
    .balign 16
boot_stack:
    .skip KSTACK_SIZE
boot_stack_top:
    .section .note.GNU-stack, "", @progbits
