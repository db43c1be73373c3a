// SPDX-License-Identifier: ISC
// Puts the link map into the program, as a section that is not loaded. The map says which object
// each piece of the image came from; symbols and relocations, which say who refers to whom, the
// linker leaves in the file itself (--emit-relocs).
//
// The section's bytes, a longer string table and a new section table go behind the file's end;
// nothing that is loaded moves.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cc/cc.h"

#define MAP_MAX      (256u << 20)
#define SECTIONS_MAX 65000u
#define STRINGS_MAX  (16u << 20)

// The map without its symbols, which the file has anyway: lines with 16 blanks before the name.
static void map_reduce(char *text, size_t *len)
{
    char *out = text;
    for (char *line = text, *end = text + *len; line < end;) {
        char *next = memchr(line, '\n', (size_t)(end - line));
        next = next ? next + 1 : end;
        char *p = line;
        for (int column = 0; column < 4; column++) {
            p += strspn(p, " ");
            p += strcspn(p, " \n");
        }
        if (strspn(p, " ") < 17) {
            memmove(out, line, (size_t)(next - line));
            out += next - line;
        }
        line = next;
    }
    *len = (size_t)(out - text);
}

static int read_at(int fd, void *to, size_t len, uint64_t at)
{
    ssize_t n = pread(fd, to, len, (off_t)at);
    return n < 0 ? -errno : (size_t)n == len ? 0 : -EBADMSG;
}

static int put(int fd, uint64_t *at, const void *data, size_t len)
{
    if (lseek(fd, (off_t)*at, SEEK_SET) < 0)
        return -errno;
    int r = write_all(fd, data, len);
    *at += len;
    return r;
}

static int add_section(int fd, const char *data, size_t len)
{
    Elf64_Ehdr eh;
    struct stat st;
    int r = read_at(fd, &eh, sizeof(eh), 0);
    if (r < 0 || fstat(fd, &st) < 0)
        return r < 0 ? r : -errno;
    if (eh.e_shentsize != sizeof(Elf64_Shdr) || eh.e_shnum == 0 || eh.e_shnum > SECTIONS_MAX ||
        eh.e_shstrndx >= eh.e_shnum)
        return -EBADMSG;
    Elf64_Shdr *sh = xcalloc(eh.e_shnum + 1u, sizeof(*sh));
    char *names = NULL;
    r = read_at(fd, sh, eh.e_shnum * sizeof(*sh), eh.e_shoff);
    Elf64_Shdr *strings = &sh[eh.e_shstrndx];
    if (r == 0 && strings->sh_size > STRINGS_MAX)
        r = -EBADMSG;
    if (r == 0) {
        names = xmalloc(strings->sh_size + sizeof(SECTION_MAP));
        r = read_at(fd, names, strings->sh_size, strings->sh_offset);
    }
    uint64_t at = (uint64_t)st.st_size;
    if (r == 0) {
        memcpy(names + strings->sh_size, SECTION_MAP, sizeof(SECTION_MAP));
        sh[eh.e_shnum] = (Elf64_Shdr){.sh_name = (uint32_t)strings->sh_size,
                                      .sh_type = SHT_PROGBITS,
                                      .sh_offset = at,
                                      .sh_size = len,
                                      .sh_addralign = 1};
        r = put(fd, &at, data, len);
    }
    if (r == 0) {
        strings->sh_offset = at;
        strings->sh_size += sizeof(SECTION_MAP);
        r = put(fd, &at, names, strings->sh_size);
    }
    if (r == 0) {
        at = (at + 7) & ~7ull;
        eh.e_shoff = at;
        eh.e_shnum++;
        r = put(fd, &at, sh, eh.e_shnum * sizeof(*sh));
    }
    uint64_t start = 0; // last: until now the file is what it was
    if (r == 0)
        r = put(fd, &start, &eh, sizeof(eh));
    free(names);
    free(sh);
    return r;
}

int attach_map(const char *program, const char *map_path, struct err *e)
{
    char *text;
    size_t len;
    int r = file_read(AT_FDCWD, map_path, MAP_MAX, &text, &len);
    if (r < 0)
        return err_sys(e, r, "cannot read the link map %s", map_path);
    map_reduce(text, &len);
    int fd = open(program, O_RDWR | O_CLOEXEC);
    r = fd < 0 ? -errno : add_section(fd, text, len);
    if (fd >= 0)
        close(fd);
    free(text);
    return r < 0 ? err_sys(e, r, "cannot put the link map into %s", program) : 0;
}
