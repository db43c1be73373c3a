#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Fetches the original source tarball of a Debian source package:
#   fetch-source.sh PACKAGE VERSION SHA256 OUT     e.g. musl 1.2.3 7d5b... build/src/musl.tar.gz
# VERSION is upstream's (no epoch, no Debian revision); any Debian revision of it will do, because the
# tarball is the same. It comes with apt from the Debian archives that this machine is configured for,
# through a sources list and state of our own beside OUT, so that /etc/apt and /var/lib/apt stay as they
# are and no root is needed. The checksum decides: what does not match is not kept.
set -euo pipefail
if [ $# != 4 ]; then
    echo "usage: fetch-source.sh PACKAGE VERSION SHA256 OUT" >&2
    exit 2
fi
package=$1 version=$2 sha256=$3 out=$4
die() { echo "fetch-source: $package $version: $*" >&2; exit 1; }
sum() { sha256sum "$1" | cut -d' ' -f1; }
if [ -f "$out" ]; then
    [ "$(sum "$out")" != "$sha256" ] || exit 0
    rm -f "$out"
fi
command -v apt-get >/dev/null || die "apt-get is not here; put the tarball (sha256 $sha256) at $out"

mkdir -p "$(dirname "$out")/.apt"
work=$(cd "$(dirname "$out")/.apt" && pwd)
exec 9>"$work/lock"
flock 9 # several packages may be fetched by one make
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/parts"
log=$work/log
options=(
    -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts="$work/parts"
    -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache"
    -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none -o Acquire::Retries=3
)

# The machine's own Debian archives, as sources. Origin is unknown ("") before the first apt-get update.
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
signed=
[ ! -r $keyring ] || signed="[signed-by=$keyring] "
apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' 2>"$log" |
    awk -v signed="$signed" '$4 == "Debian" || $4 == "" {print "deb-src " signed $1, $2, $3}' |
    sort -u >"$work/sources.list.new"
[ -s "$work/sources.list.new" ] || die "apt has no Debian archive configured (apt-get indextargets)"
if cmp -s "$work/sources.list.new" "$work/sources.list"; then
    rm "$work/sources.list.new"
else
    mv "$work/sources.list.new" "$work/sources.list"
    rm -rf "$work"/lists/*_Sources*
fi

find_revision() { # the first Debian version whose upstream part is VERSION
    apt-cache "${options[@]}" showsrc --only-source "$package" 2>>"$log" | sed -n 's/^Version: //p' |
        awk -v want="$version" '{v = $1; sub(/^[0-9]+:/, "", v); sub(/-[^-]*$/, "", v)} v == want {print $1; exit}'
}
revision=$(find_revision || true)
if [ -z "$revision" ]; then
    # An archive that fails (another vendor's without sources) does not matter if the package is found.
    apt-get "${options[@]}" update -q >>"$log" 2>&1 || true
    revision=$(find_revision || true)
fi
if [ -z "$revision" ]; then
    tail -n 15 "$log" >&2
    die "no such source in the archives of $work/sources.list"
fi

got=$(mktemp -d "$work/get.XXXXXX")
trap 'rm -rf "$got"' EXIT
(cd "$got" && apt-get "${options[@]}" source -q --only-source --download-only --tar-only \
    "$package=$revision") >>"$log" 2>&1 || { tail -n 15 "$log" >&2; die "downloading failed (above)"; }
tar=$(find "$got" -name "${package}_*.orig.tar.*" ! -name '*.asc' | head -n 1)
[ -n "$tar" ] || die "the source package has no orig tarball"
[ "$(sum "$tar")" = "$sha256" ] || die "$(basename "$tar") has sha256 $(sum "$tar"), expected $sha256"
mv "$tar" "$out"
