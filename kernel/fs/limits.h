// SPDX-License-Identifier: ISC
// Bounds of the file layer, each with its reason.
#ifndef LITH_FS_LIMITS_H
#define LITH_FS_LIMITS_H

#define FS_PATH_MAX    4096u // Linux's PATH_MAX, NUL included
#define FS_NAME_MAX    255u  // Linux's NAME_MAX; EROFS has the same
#define FS_LINKS_MAX   40u   // symbolic links in one path, as Linux
#define FS_MOUNTS_MAX  32u   // file systems mounted at once: more is a loop in somebody's script
#define FS_FD_FIRST    64u   // descriptors a new table has room for: one word of bitmap
#define FS_INLINE_NAME 20u   // names up to this length (NUL included) need no memory of their own

// Names nobody uses that stay in memory so that the next lookup is fast. A dentry with its inode
// takes about 350 bytes; one per 16 KiB of RAM is 2 % of it.
#define FS_CACHE_MIN           128u
#define FS_CACHE_MAX           8192u
#define FS_CACHE_BYTES_PER_RAM 16384u

// Pipes: 16 pages as Linux; a program may ask for up to 1 MiB (Linux's default pipe-max-size).
#define FS_PIPE_PAGES     16u
#define FS_PIPE_PAGES_MAX 256u
#define FS_PIPE_BUF       4096u // writes up to this size are not interleaved (POSIX PIPE_BUF)

#define FS_PROC_TEXT_MAX (4u << 20) // bytes a procfs file may produce

#endif
