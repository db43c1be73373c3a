// SPDX-License-Identifier: ISC
// Tells programs of link mode from everything else, by the note that the linker script gives them.
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "abi/boot.h"
#include "common/common.h"

#define HEADERS_MAX 64
#define NOTES_MAX   4096u // bytes of one PT_NOTE that are looked at

static int read_at(int fd, void *to, size_t len, uint64_t at)
{
    if (at > INT64_MAX)
        return -EBADMSG;
    ssize_t n = pread(fd, to, len, (off_t)at);
    return n < 0 ? -errno : (size_t)n == len ? 0 : -EBADMSG;
}

// 1 and *flags, 0 when the program's note is not among these, or an error.
static int notes_search(const uint8_t *p, size_t len, uint32_t *flags)
{
    Elf64_Nhdr nh;
    while (len >= sizeof(nh)) {
        memcpy(&nh, p, sizeof(nh));
        p += sizeof(nh);
        len -= sizeof(nh);
        uint64_t name = ((uint64_t)nh.n_namesz + 3) & ~3ull,
                 desc = ((uint64_t)nh.n_descsz + 3) & ~3ull;
        if (name + desc > len)
            return 0;
        if (nh.n_type == LITH_NOTE_PROGRAM && nh.n_namesz == 5 && memcmp(p, "Lith", 5) == 0) {
            struct lith_note_program program;
            if (nh.n_descsz != sizeof(program))
                return -ENOTSUP;
            memcpy(&program, p + name, sizeof(program));
            *flags = program.flags;
            return program.version == LITH_NOTE_PROGRAM_VERSION ? 1 : -ENOTSUP;
        }
        p += name + desc;
        len -= name + desc;
    }
    return 0;
}

int linked_probe(int fd, uint32_t *flags)
{
    Elf64_Ehdr eh;
    Elf64_Phdr ph;
    uint8_t notes[NOTES_MAX];
    int r = read_at(fd, &eh, sizeof(eh), 0);
    if (r == -EBADMSG || (r == 0 && memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0))
        return -ENOEXEC;
    if (r < 0)
        return r;
    if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_ident[EI_DATA] != ELFDATA2LSB ||
        eh.e_machine != EM_X86_64 || eh.e_phentsize != sizeof(ph))
        return 0;
    for (unsigned i = 0; i < eh.e_phnum && i < HEADERS_MAX; i++) {
        if (eh.e_phoff > INT64_MAX / 2)
            return -EBADMSG;
        r = read_at(fd, &ph, sizeof(ph), eh.e_phoff + i * sizeof(ph));
        if (r < 0)
            return r;
        if (ph.p_type != PT_NOTE)
            continue;
        size_t len = ph.p_filesz < sizeof(notes) ? (size_t)ph.p_filesz : sizeof(notes);
        r = read_at(fd, notes, len, ph.p_offset);
        if (r == 0)
            r = notes_search(notes, len, flags);
        if (r != 0)
            return r;
    }
    return 0;
}
