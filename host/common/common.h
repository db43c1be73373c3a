// SPDX-License-Identifier: ISC
// What the tool, the image builder and the monitor share: errors with text, numbers and addresses
// as users write them, whole-file reads and atomic writes, and the boot configuration text.
// Functions return 0 or -errno unless said otherwise; results go through out parameters.
#ifndef LITH_HOST_COMMON_H
#define LITH_HOST_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// An error as a person reads it: what failed, why, and what to do. Empty when nothing failed.
struct err {
    char text[1024];
};

// Writes the text and returns `code` (a negative errno), so that callers can `return err_set(...)`.
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
// The same with ": strerror(-code)" behind it.
int err_sys(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

// "64M", "1g", "12MiB", "4096": bytes; k, m, g, t are powers of 1024. -EINVAL, -ERANGE.
int parse_size(const char *s, uint64_t *bytes);
// Decimal number in [min, max], nothing before or behind it. -EINVAL, -ERANGE.
int parse_uint(const char *s, uint64_t min, uint64_t max, uint64_t *value);
// "a.b.c.d" in host byte order. -EINVAL.
int parse_ipv4(const char *s, uint32_t *addr);
// "a.b.c.d/len", len 1..32. -EINVAL.
int parse_ipv4_prefix(const char *s, uint32_t *addr, unsigned *prefix);
// "xx:xx:xx:xx:xx:xx", a unicast address other than zero. -EINVAL.
int parse_mac(const char *s, uint8_t mac[6]);

// A growing byte string that is always NUL-terminated. Out of memory ends the program.
struct buf {
    char *data;
    size_t len, cap;
};
void buf_add(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_free(struct buf *b);

// Allocation for short-lived tools: out of memory ends the program with status 125.
void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// Reads a whole regular file of at most `max` bytes; *data is NUL-terminated and the caller's.
// -EFBIG when it is larger, -EISDIR and so on.
int file_read(int dirfd, const char *path, size_t max, char **data, size_t *len);
// Replaces `path` by `data`: temporary file, fsync, rename, fsync of the folder.
int file_write_atomic(int dirfd, const char *path, const void *data, size_t len);
int write_all(int fd, const void *data, size_t len);
// mkdir -p; existing folders are fine.
int mkdir_all(const char *path, mode_t mode);
// Removes a file or a folder with all it holds; not following links. Missing is fine.
int remove_all(int dirfd, const char *path);
// Folder of the running executable (no trailing slash), a constant string.
const char *exe_dir(void);
// A program may be started with descriptors 0 to 2 closed. The files that it opens must not take
// their place: what it or a guest prints would go into them. They become unusable ones instead.
void std_fds(void);

// A child program that must succeed. argv ends with NULL; stdout goes to `out` if it is not NULL
// (at most 16 MiB), else to our stderr. Its stderr is kept and its last lines appear in the error.
// Returns 0, or sets the error: not found (says which Debian package to install), or failed.
int program_run(const char *const argv[], const char *package, struct buf *out, struct err *e);

// What the programs `lith` and `lith-image` say and return when they fail themselves.
#define EXIT_TOOL    125
#define LITH_VERSION "0.1.0"
// Prints "lith: TEXT"; returns EXIT_TOOL.
int tool_fail(const struct err *e);
// The same for wrong usage of a command, pointing to its help.
int tool_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// The option that getopt_long just refused, as the user wrote it. Valid until the next call.
const char *tool_option(int argc, char *argv[]);

// Does /dev/kvm work here? *why says what does not.
bool kvm_usable(const char **why);
// The same for the process machine.
bool process_usable(const char **why);

// Is the file a program that is linked with the kernel (abi/boot.h, LITH_NOTE_PROGRAM)? 1: yes, and
// *flags are its LITH_PROGRAM_*; 0: it is another ELF file; -ENOEXEC: no ELF file; -ENOTSUP: linked
// for another version of Lith; -EBADMSG: malformed. The file is hostile.
int linked_probe(int fd, uint32_t *flags);

// Boot configuration text (abi/bootconfig.h). Errors are latched: check the finish call only.
struct bootconfig {
    struct buf text;
    unsigned words;
    int error;
};
void bootconfig_add(struct bootconfig *b, const char *key, const char *value);
void bootconfig_addf(struct bootconfig *b, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// 0, or -E2BIG when the text or the number of words is over the limit of abi/bootconfig.h.
int bootconfig_finish(struct bootconfig *b, struct err *e);
void bootconfig_free(struct bootconfig *b);
// %XX for bytes <= 0x20, '%' and 0x7f up; and back, in place (-EINVAL when an escape is broken or
// stands for NUL).
void escape_add(struct buf *b, const char *value);
int unescape(char *s);

#endif
