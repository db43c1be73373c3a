// SPDX-License-Identifier: ISC
// What /proc/cpuinfo says of the CPU. Asked for once (CPUID costs 10 us where it is intercepted),
// then kept.
#include "arch/arch.h"
#include "arch/x86_64/x86.h"

static const struct {
    uint8_t leaf, reg, bit; // leaf: index in leaves[]; reg: eax, ebx, ecx, edx
    const char *name;
} flags[] = {
    {0, 3, 0, "fpu"},       {0, 3, 4, "tsc"},         {0, 3, 5, "msr"},      {0, 3, 6, "pae"},
    {0, 3, 8, "cx8"},       {0, 3, 15, "cmov"},       {0, 3, 19, "clflush"}, {0, 3, 23, "mmx"},
    {0, 3, 24, "fxsr"},     {0, 3, 25, "sse"},        {0, 3, 26, "sse2"},    {2, 3, 11, "syscall"},
    {2, 3, 20, "nx"},       {2, 3, 27, "rdtscp"},     {2, 3, 29, "lm"},      {0, 2, 0, "pni"},
    {0, 2, 1, "pclmulqdq"}, {0, 2, 9, "ssse3"},       {0, 2, 12, "fma"},     {0, 2, 13, "cx16"},
    {0, 2, 19, "sse4_1"},   {0, 2, 20, "sse4_2"},     {0, 2, 22, "movbe"},   {0, 2, 23, "popcnt"},
    {0, 2, 25, "aes"},      {0, 2, 26, "xsave"},      {0, 2, 28, "avx"},     {0, 2, 29, "f16c"},
    {0, 2, 30, "rdrand"},   {0, 2, 31, "hypervisor"}, {2, 2, 0, "lahf_lm"},  {1, 1, 0, "fsgsbase"},
    {1, 1, 3, "bmi1"},      {1, 1, 5, "avx2"},        {1, 1, 8, "bmi2"},     {1, 1, 9, "erms"},
    {1, 1, 16, "avx512f"},  {1, 1, 18, "rdseed"},     {1, 1, 19, "adx"},     {1, 1, 29, "sha_ni"},
};

size_t arch_cpu_describe(char *buf, size_t size)
{
    static uint32_t leaves[3][4]; // 1, 7, 0x80000001
    static char vendor[13], model[49];
    if (!vendor[0]) {
        uint32_t r[4];
        cpuid(0, 0, r);
        memcpy(vendor, &r[1], 4);
        memcpy(vendor + 4, &r[3], 4);
        memcpy(vendor + 8, &r[2], 4);
        cpuid(1, 0, leaves[0]);
        if (r[0] >= 7)
            cpuid(7, 0, leaves[1]);
        cpuid(0x80000001, 0, leaves[2]);
        cpuid(0x80000000, 0, r);
        for (uint32_t i = 0; r[0] >= 0x80000004 && i < 3; i++) {
            uint32_t text[4];
            cpuid(0x80000002 + i, 0, text);
            memcpy(model + 16 * i, text, 16);
        }
    }
    uint32_t id = leaves[0][0], family = id >> 8 & 15, num = id >> 4 & 15;
    if (family == 15)
        family += id >> 20 & 255;
    if (family >= 15 || family == 6)
        num += (id >> 16 & 15) << 4;
    size_t n = (size_t)lib_snprintf(buf, size,
                                    "vendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\nmodel "
                                    "name\t: %s\nstepping\t: %u\nflags\t\t:",
                                    vendor, family, num, model, id & 15);
    for (unsigned i = 0; i < ARRAY_LEN(flags); i++) {
        if (n < size && leaves[flags[i].leaf][flags[i].reg] >> flags[i].bit & 1)
            n += (size_t)lib_snprintf(buf + n, size - n, " %s", flags[i].name);
    }
    if (n < size)
        n += (size_t)lib_snprintf(buf + n, size - n, "\n");
    return MIN(n, size - 1);
}
