#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Fetches a Debian binary package's file, without installing it:
#   fetch-package.sh PACKAGE VERSION SHA256 OUT     e.g. gcc-12-source 12.2.0-14+deb12u1 8f2a... build/src/gcc.deb
# It comes with apt from the archives that this machine is configured for; no root is needed. Where the
# machine's lists do not have it (never updated), lists of our own beside OUT are. The checksum decides: what
# does not match is not kept.
set -euo pipefail
if [ $# != 4 ]; then
    echo "usage: fetch-package.sh PACKAGE VERSION SHA256 OUT" >&2
    exit 2
fi
package=$1 version=$2 sha256=$3 out=$4
die() {
    echo "fetch-package: $package $version: $*" >&2
    echo "fetch-package: it can be put there by hand: $out, sha256 $sha256 (snapshot.debian.org keeps all versions)" >&2
    exit 1
}
sum() { sha256sum "$1" | cut -d' ' -f1; }
if [ -f "$out" ]; then
    [ "$(sum "$out")" != "$sha256" ] || exit 0
    rm -f "$out"
fi
command -v apt-get >/dev/null || die "apt-get is not here"

mkdir -p "$(dirname "$out")/.apt-packages"
work=$(cd "$(dirname "$out")/.apt-packages" && pwd)
exec 9>"$work/lock"
flock 9
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
log=$work/log
common=(-q -o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3)
own=("${common[@]}" -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o Acquire::Languages=none)
got=$(mktemp -d "$work/get.XXXXXX")
trap 'rm -rf "$got"' EXIT
download() { (cd "$got" && apt-get "$@" download "$package=$version") >>"$log" 2>&1; }

: >"$log"
if ! download "${common[@]}"; then
    # An archive that fails does not matter if the package is found.
    apt-get "${own[@]}" update >>"$log" 2>&1 || true
    if ! download "${own[@]}"; then
        tail -n 15 "$log" >&2
        die "downloading failed (above): no network, or no Debian archive that apt knows has this version"
    fi
fi
file=$(find "$got" -name "${package}_*.deb" | head -n 1)
[ -n "$file" ] || die "apt-get download left no file"
[ "$(sum "$file")" = "$sha256" ] || die "$(basename "$file") has sha256 $(sum "$file"), expected $sha256"
mv "$file" "$out"
