#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# standin.sh DIR: what build/lib will hold for link mode, from parts that are there without it: the
# ordinary kernel as liblith.a, the host's musl as libc.a. What is linked with it boots as the
# ordinary kernel does, and carries the note of a linked program (flags: LINK_FLAGS, default 3).
set -euo pipefail
dir=$1 top=$(cd "$(dirname "$0")/../.." && pwd)
musl=/usr/lib/x86_64-linux-musl
rm -rf "$dir"
mkdir -p "$dir/members"
ln -s /usr/include/x86_64-linux-musl "$dir/include"
cd "$top/build/obj"
while read -r o; do
    m=${o#kernel/}
    case $m in
    plat/*/*) f=plat_$(cut -d/ -f2 <<<"$m") ;;
    *) f=${m%%/*} ;;
    esac
    cp "$o" "$dir/members/${f}__$(basename "$o" | sed 's/\.[cS]\.o$//').o"
done < <(cd "$top/build/obj" && find kernel -name '*.o' | sort)
cd "$dir"
# Global names as the contract has them; those that the script uses stay.
nm -g --defined-only members/*.o | awk 'NF == 3 { print $3 }' | sort -u |
    grep -vxFf <(grep -oE '[a-z_0-9]+' "$top/kernel/kernel.ld") | sed 's/.*/& __lith_&/' >names
for o in members/*.o; do objcopy --redefine-syms=names "$o" "$o.new"; mv "$o.new" "$o"; done
ar rcs liblith.a members/*.o
cat >start.c <<'END'
int main(int argc, char **argv, char **envp);
long lith_main(long *sp);
long lith_main(long *sp)
{
    return main((int)sp[0], (char **)(sp + 1), (char **)(sp + 2 + sp[0]));
}
END
gcc -Os -fPIE -ffunction-sections -fno-asynchronous-unwind-tables -c start.c -o start.o
cp $musl/libc.a libc.a
ar rs libc.a start.o 2>/dev/null
ar rcs libnosys.a
sed -e 's/^PHYS = 0x100000;/PHYS = LITH_PHYS; EXTERN(lith_main)/' \
    -e '/^    note PT_NOTE/i tls PT_TLS FLAGS(4);' \
    -e "/LITH_NOTE_TABLES/i LONG(5) LONG(8) LONG(2) LONG(0x6874694c) LONG(0) LONG(1) LONG(${LINK_FLAGS:-3})" \
    -e '/^    \.dynamic /i .tdata : AT(ADDR(.tdata) - BASE + PHYS) { *(.tdata .tdata.*) } :rodata :tls\n.tbss : { *(.tbss .tbss.*) } :rodata :tls' \
    -e '/ASSERT/d' "$top/kernel/kernel.ld" >link.ld
