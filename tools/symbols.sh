#!/bin/sh
# symbols.sh ELF: assembly of the kernel's symbol table (core/symbols.c) on standard output.
# Sorted functions with their offset from kernel_start.
nm -n "$1" | awk '
BEGIN { n = 0 }
$3 == "kernel_start" { base = substr($1, 1) }
$2 ~ /^[tT]$/ && $3 !~ /^\.L/ && base != "" { addr[n] = $1; name[n++] = $3 }
END {
    print ".section kernel_symbols, \"a\"\n.globl kernel_symbol_count, kernel_symbol_table, kernel_symbol_names"
    print ".hidden kernel_symbol_count, kernel_symbol_table, kernel_symbol_names"
    print ".balign 4\nkernel_symbol_count: .long " n "\nkernel_symbol_table:"
    off = 0
    for (i = 0; i < n; i++) {
        printf ".long 0x%s - 0x%s, %d\n", addr[i], base, off
        off += length(name[i]) + 1
    }
    print "kernel_symbol_names:"
    for (i = 0; i < n; i++) printf ".asciz \"%s\"\n", name[i]
    print ".section .note.GNU-stack, \"\", @progbits"
}'
