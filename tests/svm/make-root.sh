#!/usr/bin/env bash
# make-root.sh OUT: a root file system for the smoke test, as an image would carry it: Debian's nginx with
# its libraries, and a few static programs, every system call site rewritten. OUT.faults lists the
# must-fault cases.
set -euo pipefail
out=$1
top=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT
make -s -C "$top" native-tests
rewrite=$top/build/tests/native/rewrite_file

add() { # add FILE DEST
    mkdir -p "$work/root/$(dirname "$2")"
    "$rewrite" "$1" "$work/root/$2" >/dev/null
    chmod 755 "$work/root/$2"
}
add_with_libraries() { # add_with_libraries FILE
    add "$1" "$1"
    ldd "$1" | grep -o '/[^ ]*' | sort -u | while read -r lib; do
        # /lib is /usr/lib on a merged system; the loader's own path is in the program.
        add "$(readlink -f "$lib")" "$lib"
    done
}

mkdir -p "$work/root"/{bin,tmp,run,dev,proc,etc/nginx,srv,var/lib/nginx,var/log/nginx}
for source in "$top"/tests/svm/programs/*.c "$top"/tests/guest/faults.c; do
    name=$(basename "$source" .c)
    gcc -O1 -fstack-protector-all -static -o "$work/$name" "$source"
    add "$work/$name" "/bin/$name"
done
"$work/faults" >"$out.faults"
add_with_libraries /usr/sbin/nginx
printf '%s\n' root:x:0:0:root:/:/bin/sh nobody:x:65534:65534:nobody:/:/bin/sh >"$work/root/etc/passwd"
printf '%s\n' root:x:0: nogroup:x:65534: >"$work/root/etc/group"
echo 'A page from Debian'"'"'s nginx on standard KVM.' >"$work/root/srv/index.html"
head -c 300000 /dev/zero | tr '\0' x >"$work/root/srv/long.txt"
cat >"$work/root/etc/nginx/nginx.conf" <<'CONF'
master_process off;
daemon off;
pid /run/nginx.pid;
error_log stderr;
events { worker_connections 64; }
http {
    access_log off;
    server { listen 80; root /srv; }
}
CONF
SOURCE_DATE_EPOCH=1 mkfs.erofs -x-1 -Enoinline_data --all-root --quiet "$out" "$work/root" >/dev/null
