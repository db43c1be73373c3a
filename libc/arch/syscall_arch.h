// SPDX-License-Identifier: ISC
// syscall_arch: how musl reaches the kernel in link mode. It stands in front of musl's own header
// of this name; musl's src/internal/syscall.h includes it before anything else.
//
// A call whose number is a constant becomes a direct call of gate_<name>, so that the linker sees
// which kernel calls a program uses: the table below is folded away. A number that is known only at
// run time goes to gate_syscall. There is no `syscall` instruction in this libc.
//
// musl's cancellation points and its setxid pass numbers on to functions. Those functions take the
// gate itself here: musl's names for them are defined below as inline functions that do the
// exchange, which comes before musl declares them.
#ifndef LITH_SYSCALL_ARCH_H
#define LITH_SYSCALL_ARCH_H
#pragma GCC \
    system_header // external inline functions that use static ones: meant, and never emitted

#define __SYSCALL_LL_E(x) (x)
#define __SYSCALL_LL_O(x) (x)
#define IPC_64            0
// No VDSO_USEFUL: a call costs what the vDSO's function costs.

typedef long __gate_fn(long, long, long, long, long, long);
#define GATE(nr, name) extern __gate_fn gate_##name __attribute__((__visibility__("hidden")));
#include "gates.inc"
#undef GATE
extern __attribute__((__visibility__("hidden"))) long gate_syscall(long nr, long a, long b, long c,
                                                                   long d, long e, long f);

// For constant numbers only.
static __gate_fn *const __gates[] = {
#define GATE(nr, name) [nr] = gate_##name,
#include "gates.inc"
#undef GATE
};

#define __GATE_INLINE static __inline __attribute__((__always_inline__, __unused__))

// An argument that the call does not have: any value, so that none need be loaded.
__GATE_INLINE long __gate_any(void)
{
    long any;
    __asm__("" : "=r"(any));
    return any;
}

// Calls that the kernel always has (tests/link/libc.sh holds the list against the kernel's): musl's
// ways around a kernel without them are left out, and with them the older calls that they need.
__GATE_INLINE long __gate_result(long n, long result)
{
    switch (n) {
    case SYS_clock_gettime:
    case SYS_dup3:
    case SYS_epoll_create1:
    case SYS_epoll_pwait:
    case SYS_eventfd2:
    case SYS_faccessat2:
    case SYS_pipe2:
    case SYS_prlimit64:
    case SYS_signalfd4:
    case SYS_utimensat:
        if (result == -ENOSYS || (int)result == -ENOSYS) // musl looks at it as either
            __builtin_unreachable();
    }
    return result;
}

__GATE_INLINE long __syscall6(long n, long a, long b, long c, long d, long e, long f)
{
    if (__builtin_constant_p(n))
        return __gate_result(n, __gates[n](a, b, c, d, e, f));
    return gate_syscall(n, a, b, c, d, e, f);
}
__GATE_INLINE long __syscall5(long n, long a, long b, long c, long d, long e)
{
    return __syscall6(n, a, b, c, d, e, __gate_any());
}
__GATE_INLINE long __syscall4(long n, long a, long b, long c, long d)
{
    return __syscall5(n, a, b, c, d, __gate_any());
}
__GATE_INLINE long __syscall3(long n, long a, long b, long c)
{
    return __syscall4(n, a, b, c, __gate_any());
}
__GATE_INLINE long __syscall2(long n, long a, long b)
{
    return __syscall3(n, a, b, __gate_any());
}
__GATE_INLINE long __syscall1(long n, long a)
{
    return __syscall2(n, a, __gate_any());
}
__GATE_INLINE long __syscall0(long n)
{
    if (__builtin_constant_p(n)) // no arguments at all: getppid() is then one jump
        return __gate_result(n, ((long (*)(void))__gates[n])());
    return __syscall1(n, __gate_any());
}

// Cancellation points (libc/syscall_cp.c). close is none once it has begun: it must not be
// cancelled after it was interrupted, because the descriptor is gone by then.
__attribute__((__visibility__("hidden"))) long __syscall_cp_gate(__gate_fn *gate, long a, long b,
                                                                 long c, long d, long e, long f);
__attribute__((__visibility__("hidden"))) long __syscall_cp_close(__gate_fn *gate, long a);
// gnu_inline: musl's declarations of these names may follow, and no function of the name is made.
#define __CP_INLINE extern __inline __attribute__((__always_inline__, __gnu_inline__, __unused__))
long __gate_number_unknown(void)
    __attribute__((__error__("this call's number must be a constant")));
__CP_INLINE long __syscall_cp(long n, long a, long b, long c, long d, long e, long f)
{
    if (!__builtin_constant_p(n))
        return __gate_number_unknown();
    if (n == SYS_close)
        return __syscall_cp_close(__gates[n], a);
    return __gate_result(n, __syscall_cp_gate(__gates[n], a, b, c, d, e, f));
}

// setuid and its like (libc/setxid.c).
__attribute__((__visibility__("hidden"))) int __setxid_gate(__gate_fn *gate, long a, long b,
                                                            long c);
__CP_INLINE int __setxid(int n, int a, int b, int c)
{
    if (!__builtin_constant_p(n))
        return (int)__gate_number_unknown();
    return __setxid_gate(__gates[n], a, b, c);
}

#endif
