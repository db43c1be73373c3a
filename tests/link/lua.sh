#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Lua's own test scripts, of version 5.1 (the one that Debian has, in gopher-lua's source, and which that
# project has changed in places), run by Debian's lua5.1: built by lith-cc and in an instance, and built by the
# host's compiler. Both must say the same, and end alike. main.lua is left out: it starts processes; and big.lua:
# it builds a string of 4 GiB. Prints TAP.
# shellcheck disable=SC2034
: "${LITH_PLATFORMS:=kvm process}"
. "$(dirname "$0")/../apps/lab.sh"
LUA=$LAB_TOP/build/tests/link/lua51
# What neither may use: processes, and locales (musl takes any name for one, and it changes nothing).
INIT='io.popen = function() error("not supported") end
local set = os.setlocale
os.setlocale = function(l, ...) if l == nil or l == "C" or l == "" then return set(l and "C", ...) end end'

images() {
    lab_need "$LUA/image/lua" "$LUA/lua.native" "$LUA/image/t/all.lua"
    printf 'FROM scratch\nCOPY lua /\nCOPY t /t\nWORKDIR /t\nENTRYPOINT ["/lua"]\n' >"$LUA/image/Dockerfile"
    lab_image link-lua51 "$LUA/image" build -q -t link-lua51 "$LUA/image"
}
lab_images images
lab_enter "$@"

# Times, and the name of the program in messages.
plain() { sed -E 's/[0-9.]+ sec\./N sec./; s/with [0-9]+ comparisons/with N comparisons/; s/^test done on.*//; s#^(\.*)[^ ]*lua(\.native)?: #\1lua: #' "$1" | grep -av '^$' | sort; }
each() {
    local t status
    for t in $(cd "$LUA/image/t" && ls ./*.lua | sed 's/\.lua$//'); do
        case $t in ./all | ./main | ./big) continue ;; esac
        t=${t#./}
        (cd "$LUA/image/t" && LUA_PATH='?;./?.lua' LUA_INIT=$INIT timeout 100 "$LUA/lua.native" "$t.lua") >"$LAB_TMP/native" 2>&1 </dev/null
        status=$?
        LAB_LOG=$LAB_TMP/console.$((++LAB_STARTS))
        timeout 120 "$LITH" run --platform "$PLATFORM" --net none -m 256M -e LUA_PATH='?;./?.lua' -e "LUA_INIT=$INIT" \
            link-lua51 "$t.lua" >"$LAB_LOG" 2>&1 </dev/null
        is "Lua's own $t.lua: status (natively $status)" $? $status
        is "Lua's own $t.lua: output" "$(plain "$LAB_LOG" | md5sum)" "$(plain "$LAB_TMP/native" | md5sum)"
    done
}
lab_each_platform each
lab_plan_end
