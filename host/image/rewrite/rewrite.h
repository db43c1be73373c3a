// SPDX-License-Identifier: ISC
// Rewriting of ELF files: `syscall` instructions become calls of the gate (abi/gate.h). Used by
// the image builder for every ELF file that enters an image, and by `lith inspect --calls`.
//
// Only instructions inside functions are touched: what .eh_frame, symbols and Go's function
// table call a function; in files that have none of them (musl), a stretch of code that decodes
// exactly to its end. The file is hostile input: everything read from it is checked, time is
// O(n log n) in its length, memory a small multiple of it.
//
// No state, no locks: may be called from any thread.
#ifndef LITH_REWRITE_H
#define LITH_REWRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

enum rewrite_result {
    REWRITE_UNCHANGED, // an x86-64 program or library with no site (or none that could be changed)
    REWRITE_CHANGED,   // *out is the rewritten file
    REWRITE_NOT_ELF,   // no ELF file at all: leave it as it is
    REWRITE_FOREIGN,   // ELF, but not an x86-64 ET_EXEC or ET_DYN: leave it as it is
    REWRITE_MALFORMED, // headers or tables contradict themselves, or absurd sizes
    REWRITE_NO_MEMORY,
};

enum rewrite_flag {
    // Leave sites that could not be rewritten as `syscall`. Otherwise they become `int3; nop`,
    // which the kernel serves by its breakpoint trap.
    REWRITE_KEEP_LEFT = 1u << 0,
};

// What a site has become. abi/gate.h defines the forms.
enum rewrite_form {
    REWRITE_FORM_A,    // mov $nr,%eax; syscall (7 bytes) -> call of the number's gate
    REWRITE_FORM_A9,   // the same with the 9-byte mov
    REWRITE_FORM_B,    // syscall; cmp $-4096,%rax -> call of the generic gate
    REWRITE_FORM_C,    // preceding instructions moved to a stub
    REWRITE_FORM_C2,   // following instructions (or both sides) moved to a stub
    REWRITE_FORM_TRAP, // left over, now `int3; nop`
    REWRITE_FORM_RAW,  // left over, still `syscall`
    REWRITE_FORMS
};

// Why a site is left over.
enum rewrite_reason {
    REWRITE_REASON_NONE,       // rewritten
    REWRITE_REASON_UNDECODED,  // its function does not decode to its end: may be data, not touched
    REWRITE_REASON_NEIGHBOURS, // the instructions around it cannot be moved (branches, targets)
    REWRITE_REASON_NO_ROOM,    // no slack in a code page, no program header to spare
    REWRITE_REASON_OUT_OF_REACH, // a displacement would exceed 32 bits
    REWRITE_REASONS
};

struct rewrite_site {
    uint64_t address; // virtual address of the `syscall` as in the file
    size_t offset;    // its file offset
    int number;       // system call number, where a constant is plainly loaded; else -1
    enum rewrite_form form;
    enum rewrite_reason reason;
    char *function; // printable name, or NULL
};

struct rewrite_report {
    size_t found;     // sites: `syscall` instructions inside functions
    size_t rewritten; // found == rewritten + left
    size_t left;      // forms TRAP and RAW
    size_t forms[REWRITE_FORMS];
    size_t outside; // byte pairs 0f 05 in code sections outside every known function
    size_t int80;   // `int $0x80` instructions: reported only, never served
    size_t stub_bytes;
    bool page_appended;         // stubs lie in a new segment at the end of the file
    struct rewrite_site *sites; // found of them, by address
};

// Rewrites the file in[0..in_len). On REWRITE_CHANGED *out is a malloc'ed file for the caller to
// free; on every other result *out is NULL. The report is filled in all cases (all zero unless
// CHANGED or UNCHANGED); release it with rewrite_report_free(). `flags`: enum rewrite_flag.
enum rewrite_result rewrite_elf(const uint8_t *in, size_t in_len, unsigned flags, uint8_t **out,
                                size_t *out_len, struct rewrite_report *report);

void rewrite_report_free(struct rewrite_report *report);

// Text for people: "not an ELF file", "form A", "no room for stubs".
const char *rewrite_result_text(enum rewrite_result result);
const char *rewrite_form_text(enum rewrite_form form);
const char *rewrite_reason_text(enum rewrite_reason reason);

// One object of the summary that an image carries (the builder stores a JSON array of them):
//   {"path": "/lib/x86_64-linux-gnu/libc.so.6", "found": 526, "rewritten": 526,
//    "forms": {"A": 430, ...}, "outside": 3, "int80": 0, "stub_bytes": 696,
//    "page_appended": false, "left": [{"address": "0x1234", "function": "f", "number": -1,
//    "form": "trap", "reason": "..."}]}
// Returns a new reference, NULL when out of memory.
json_t *rewrite_report_to_json(const struct rewrite_report *report, const char *path);

// Every site in addition: "sites": [{"address", "function", "number", "form", "reason"?}].
json_t *rewrite_report_to_json_sites(const struct rewrite_report *report, const char *path);

// For people: one file's counts, and its left-over sites with their reasons (every site with
// `all_sites`).
void rewrite_report_print(FILE *stream, const char *path, const struct rewrite_report *report,
                          bool all_sites);

// The same from a stored summary array, as a table with a total: `lith inspect --calls`.
// Returns 0, or -EINVAL when `summary` is not such an array (nothing is printed then).
int rewrite_summary_print(FILE *stream, const json_t *summary);

#endif
