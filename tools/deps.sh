#!/usr/bin/env bash
# Install the Debian packages that building, testing and the demo need. Says what it installs;
# does nothing (and needs no root) when all are there.
set -euo pipefail
packages=(
    gcc g++ make clang lld llvm libclang-rt-dev clang-format git
    libzydis-dev libarchive-dev libjansson-dev libssl-dev libelf-dev libseccomp-dev libmnl-dev libcmocka-dev musl-tools
    erofs-utils mmdebstrap passt qemu-system-x86
    bats curl wrk apache2-utils redis-tools iproute2 iptables busybox-static cpio xz-utils
    nginx-light redis-server gnuplot-nox php-cli python3-minimal sqlite3 lua5.4 tcl gdb
)
case " ${LITH_DEPS_EXTRA:-} " in *" "*[a-z]*) packages+=(${LITH_DEPS_EXTRA}) ;; esac
missing=()
for p in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null)" = "ii " ] || missing+=("$p")
done
[ ${#missing[@]} -eq 0 ] && exit 0
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# Services of these packages must not start here: they are test subjects, not servers.
policy=/usr/sbin/policy-rc.d
made=
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
    $sudo chmod +x $policy
    made=1
fi
trap '[ -z "$made" ] || $sudo rm -f $policy' EXIT
log=$(mktemp)
if ! { $sudo apt-get update -q && $sudo apt-get install -y -q --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -30 "$log" >&2
    echo "deps: installing failed (above); install them by hand: apt-get install ${missing[*]}" >&2
    exit 1
fi
rm -f "$log"
