// SPDX-License-Identifier: ISC
// What unwinders ask about the program: where its code lies, and the table of its frames. There is
// one object, the image; its addresses come from the link script (kernel/kernel.ld), so that
// programs in which nothing unwinds carry none of this.
#define _GNU_SOURCE
#include <elf.h>
#include <link.h>
#include "pthread_impl.h"
#include "libc.h"
#include "lock.h"

// Weak: tests/link/libc links without the script. The table is empty where nothing unwinds.
extern weak hidden char __lith_kernel_start[], __lith_kernel_end[];
extern weak hidden char __lith_eh_frame_hdr[], __lith_eh_frame_hdr_end[];

static size_t table_bytes(void)
{
    return (size_t)(__lith_eh_frame_hdr_end - __lith_eh_frame_hdr);
}

// Made once: callers keep pointers to them (libgcc's cache). The kernel's own for the libc
// (AT_PHDR: run-time addresses, base 0), and two more.
static Elf64_Phdr headers[2 + 4];
static size_t header_count;
static volatile int lock[1];

static size_t make_headers(Elf64_Phdr *to)
{
    size_t aux[AT_PHNUM + 1] = {0}, image = (size_t)(__lith_kernel_end - __lith_kernel_start);
    size_t n = 0;
    for (size_t *v = libc.auxv; *v; v += 2)
        if (*v <= AT_PHNUM)
            aux[*v] = v[1];
    to[n++] = (Elf64_Phdr){.p_type = PT_LOAD,
                           .p_flags = PF_R | PF_X,
                           .p_vaddr = (size_t)__lith_kernel_start,
                           .p_filesz = image,
                           .p_memsz = image,
                           .p_align = PAGE_SIZE};
    if (table_bytes())
        to[n++] = (Elf64_Phdr){.p_type = PT_GNU_EH_FRAME,
                               .p_flags = PF_R,
                               .p_vaddr = (size_t)__lith_eh_frame_hdr,
                               .p_memsz = table_bytes(),
                               .p_align = 4};
    for (size_t i = 0; i < aux[AT_PHNUM] && n < sizeof(headers) / sizeof(headers[0]); i++)
        to[n++] = *(Elf64_Phdr *)(aux[AT_PHDR] + i * aux[AT_PHENT]);
    return n;
}

int dl_iterate_phdr(int (*callback)(struct dl_phdr_info *info, size_t size, void *data), void *data)
{
    LOCK(lock);
    if (!header_count)
        header_count = make_headers(headers);
    UNLOCK(lock);
    struct dl_phdr_info info = {.dlpi_name = "/proc/self/exe",
                                .dlpi_phdr = headers,
                                .dlpi_phnum = (Elf64_Half)header_count};
    for (size_t i = 0; i < header_count; i++)
        if (headers[i].p_type == PT_TLS && headers[i].p_memsz) {
            info.dlpi_tls_modid = 1;
            info.dlpi_tls_data = __tls_get_addr((tls_mod_off_t[]){1, 0});
        }
    return callback(&info, sizeof(info), data);
}
