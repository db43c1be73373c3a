#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# C++ in link mode (make cxx): the programs of cxx/ print inside instances what they print on this host, built by
# its g++; those that end by an exception end with a report; and two programs of Debian's sources, lzip and
# jsoncpp's own tests. Prints TAP. Made by `make link-tests`.
: "${LITH_PLATFORMS:=kvm process qemu}"
. "$(dirname "$0")/../apps/lab.sh"
CXX=$LAB_TOP/build/tests/link/cxx
EX=$LAB_TOP/build/examples
TOO_MUCH=0x800000000000 # bytes: more than the addresses of a program

images() {
    local n
    [ -e "$CXX/exceptions" ] || { not_ok "its programs are made: make link-tests examples"; return 1; }
    for n in exceptions containers streams threads files start memory; do lab_need "$CXX/$n" "$CXX/$n.native"; done
    lab_need "$CXX/jsoncpp" "$CXX/lzip.native/lzip" "$EX/lzip/lzip" "$EX/hello-c++/hello-c++"
    mkdir -p "$CXX/lzip"
    strip -o "$CXX/lzip/lzip" "$EX/lzip/lzip"
    strip -o "$CXX/hello" "$EX/hello-c++/hello-c++"
    # Something to compress: texts, and bytes that do not repeat.
    { cat "$LAB_TOP"/docs/*.md "$LAB_TOP"/docs/*.md && head -c 300000 "$EX/lzip/lzip"; } >"$CXX/lzip/data"
    "$CXX/lzip.native/lzip" -c "$CXX/lzip/data" >"$CXX/lzip/data.lz"
    { head -c 3000 "$CXX/lzip/data.lz" && printf broken && tail -c +3007 "$CXX/lzip/data.lz"; } >"$CXX/lzip/bad.lz"
    printf 'FROM scratch\nCOPY lzip data data.lz bad.lz /\nENTRYPOINT ["/lzip"]\n' >"$CXX/lzip/Dockerfile"
    lab_image link-lzip "$CXX/lzip" build -q -t link-lzip "$CXX/lzip"
}
lab_images images
lab_enter "$@"

# Runs to the end: LAB_STATUS, both outputs in $LAB_LOG.
plain() { # OPTION... PROGRAM ARG...
    LAB_LOG=$LAB_TMP/console.$((++LAB_STARTS))
    timeout 120 "$LITH" run --platform "$PLATFORM" --net none "$@" >"$LAB_LOG" 2>&1 </dev/null
    LAB_STATUS=$?
}

as_native() { # NAME OPTIONS ARG...
    local name=$1 options=$2 status
    shift 2
    (cd "$LAB_TMP" && LC_ALL=C timeout 60 "$CXX/$name.native" "$@") >"$LAB_TMP/native" 2>&1 </dev/null
    status=$?
    # shellcheck disable=SC2086
    plain $options "$CXX/$name" "$@"
    same_file "$name${*:+ $*}: prints what it prints natively ($(wc -l <"$LAB_TMP/native") lines)" "$LAB_LOG" "$LAB_TMP/native"
    is "$name${*:+ $*}: and ends with its status" $LAB_STATUS $status
}

ends() { # ARGUMENT STATUS REGEX
    plain -m 32M "$CXX/exceptions" "$1"
    is "$1: status" $LAB_STATUS "$2"
    matches "$1: what it says" "$(tr '\n' ' ' <"$LAB_LOG")" "$3"
}

each() {
    local name
    for name in exceptions containers streams threads files; do as_native $name "-m 64M"; done
    as_native start "-m 4M"
    as_native start "-m 4M" quick
    as_native memory "-m 8M" $TOO_MUCH
    ends uncaught 134 "terminate called after throwing an instance of 'std::invalid_argument'.*what\(\):  the bottom is reached.*ended by SIGABRT"
    ends thread 134 'terminate called .*what\(\):  in a thread.*ended by SIGABRT'
    ends noexcept 134 'terminate called .*what\(\):  the bottom is reached.*ended by SIGABRT'
    ends handler 9 "the program's own handler"
    plain -m 4M "$CXX/hello"
    is "hello in 4 MiB" "$LAB_STATUS $(cat "$LAB_LOG")" "0 Hello from a unikernel in C++."
    plain -m 64M "$CXX/jsoncpp"
    is "jsoncpp's own tests" "$LAB_STATUS $(tail -n 1 "$LAB_LOG")" "0 All 119 tests passed"
    plain -m 64M link-lzip -c /data
    same_file "lzip compresses to the same bytes" "$LAB_LOG" "$CXX/lzip/data.lz"
    plain -m 64M link-lzip -dc /data.lz
    same_file "and back" "$LAB_LOG" "$CXX/lzip/data"
    plain -m 64M link-lzip -t /bad.lz
    is "lzip finds a broken file: status" $LAB_STATUS 2
    matches "lzip finds a broken file: message" "$(cat "$LAB_LOG")" 'bad.lz: .*(CRC mismatch|Decoder error|Data error)'
}

# What linked programs consist of.
composition() {
    objdump -d "$CXX/threads" >"$LAB_TMP/code"
    is "no instruction that enters a kernel, but those of the process machine" \
        "$(awk '/^[0-9a-f]+ <.*>:/ {at = $2} /[[:space:]](syscall|sysenter|int +\$0x80) *$/ {print at}' "$LAB_TMP/code" | sort -u | paste -sd' ')" \
        "<__lith_process_restorer>: <__lith_process_wait_start>: <host_call>:"
    is "and no call by number, which would keep all" "$(nm "$CXX/threads" | grep -w gate_syscall)" ""
    "$LITH" size --json "$CXX/threads" >"$LAB_TMP/size.json"
    is "lith size: libstdc++ and the unwinder are a group of their own" "$(python3 - "$LAB_TMP/size.json" <<'END'
import json, sys
d = json.load(open(sys.argv[1]))
print(sorted(l["name"] for l in d["libraries"] if l["group"] == "libstdc++"))
END
)" "['libgcc_eh', 'libstdc++']"
}

composition
lab_each_platform each
lab_plan_end
