#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Runs the tests, ring by ring, and counts TAP lines. `tests/run.sh all`, or any of:
#   unit    build/tests/unit/*          cmocka programs (ASan, UBSan)
#   fuzz    build/tests/fuzz/*          libFuzzer targets, FUZZ_SECONDS each (default 30), two at a time
#   native  tests/native/run.sh         rewritten userland under a seccomp filter, on the host
#   link    tests/link/*.sh *.bats      link mode: its libc as Linux processes
#   guest   tests/guest/*.sh *.bats     programs inside instances
#   process tests/process/*.sh          what a hostile program on platform process reaches of the host
#   apps    tests/apps/*.sh *.bats      real applications inside instances
#   e2e     tests/e2e/*.bats            the tool
#   svm     tests/svm/smoke.sh          monitor and kernel on standard KVM, in an emulated machine
# A program that crashes, times out or ends with a status other than 0 counts as failed. The whole
# output of each program is in build/test-logs/; that of failed ones is shown. The last line is
# `N passed, N failed[, N skipped]`; the exit status is 1 when something failed or nothing ran.
set -uo pipefail
cd "$(dirname "$0")/.."
logs=build/test-logs
# QEMU rows are the emulated ones, also where KVM works: ring 0 there, and no luck with the host.
export LITH_QEMU_ACCEL=${LITH_QEMU_ACCEL:-tcg}
fuzz_seconds=${FUZZ_SECONDS:-30}
program_seconds=${TEST_SECONDS:-900} # bound on any one test program
passed=0 failed=0 skipped=0
mkdir -p $logs

# Adds one program's TAP log to the totals. A status other than 0 without a `not ok` line is a crash.
count() { # NAME LOG STATUS
    local name=$1 log=$2 status=$3 ok bad skip
    skip=$(grep -cEi '^(not )?ok\b.*# *skip' "$log")
    ok=$(grep -Ei '^ok\b' "$log" | grep -cvEi '# *skip')
    bad=$(grep -Ei '^not ok\b' "$log" | grep -cvEi '# *(skip|todo)')
    [ "$ok" = 0 ] && [ "$bad" = 0 ] && grep -qEi '^1\.\.0 *# *skip' "$log" && skip=$((skip + 1))
    if [ "$status" != 0 ] && [ "$bad" = 0 ]; then
        bad=1
        echo "not ok - $name ended with status $status" >>"$log"
    elif [ "$status" = 0 ] && [ $((ok + bad + skip)) = 0 ]; then
        bad=1
        echo "not ok - $name printed no test results" >>"$log"
    fi
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
    if [ "$bad" != 0 ]; then
        printf '%-40s %3d ok, %d FAILED (%s)\n' "$name" "$ok" "$bad" "$log"
        tail -n 60 "$log" | sed 's/^/    /'
    else
        printf '%-40s %3d ok%s\n' "$name" "$ok" "$([ "$skip" = 0 ] || echo ", $skip skipped")"
        grep -Ei '^(ok\b.*|1\.\.0 *)# *skip' "$log" | sed 's/^/    /'
    fi
}

run_program() { # NAME COMMAND...
    local name=$1 log status
    shift
    log=$logs/${name//\//-}.log
    timeout -k 10 "$program_seconds" "$@" >"$log" 2>&1 </dev/null
    status=$?
    count "$name" "$log" $status
}

ring_unit() {
    local t
    for t in tests/unit/test_*.c; do
        [ -e "$t" ] || continue
        t=$(basename "$t" .c)
        if [ -x build/tests/unit/"$t" ]; then
            CMOCKA_MESSAGE_OUTPUT=TAP run_program unit/"$t" build/tests/unit/"$t"
        else
            run_program unit/"$t" sh -c "echo 'not ok - build/tests/unit/$t is missing: make unit'"
        fi
    done
}

# One target: what its corpus and random input find in FUZZ_SECONDS. New inputs stay in build/.
fuzz_one() { # NAME
    local name=$1 corpus=build/fuzz-corpus/$1 log=$logs/fuzz-$1.log status seeds=()
    mkdir -p "$corpus"
    [ -d tests/fuzz/corpus/"${name#fuzz_}" ] && seeds+=(tests/fuzz/corpus/"${name#fuzz_}")
    [ -d tests/fuzz/corpus/"$name" ] && seeds+=(tests/fuzz/corpus/"$name")
    timeout -k 10 $((fuzz_seconds + 60)) build/tests/fuzz/"$name" -max_total_time="$fuzz_seconds" \
        -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$logs/$name-" -verbosity=1 \
        "$corpus" ${seeds[@]+"${seeds[@]}"} >"$log" 2>&1 </dev/null
    status=$?
    [ $status != 0 ] || echo "ok - $name ran ${fuzz_seconds} s without a finding" >>"$log"
    echo $status >"$log.status"
}

ring_fuzz() {
    local t names=()
    for t in tests/fuzz/fuzz_*.c; do
        [ -e "$t" ] || continue
        t=$(basename "$t" .c)
        names+=("$t")
        rm -f "$logs/fuzz-$t.log" "$logs/fuzz-$t.log.status"
        if [ ! -x build/tests/fuzz/"$t" ]; then
            echo "not ok - build/tests/fuzz/$t is missing: make fuzzers" >"$logs/fuzz-$t.log"
            echo 1 >"$logs/fuzz-$t.log.status"
            continue
        fi
        while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
        fuzz_one "$t" &
    done
    wait
    for t in ${names[@]+"${names[@]}"}; do
        count fuzz/"$t" "$logs/fuzz-$t.log" "$(cat "$logs/fuzz-$t.log.status" 2>/dev/null || echo 1)"
    done
}

# Scripts and bats files of one folder. lib*.sh and helpers are not tests: they are not executable.
ring_folder() { # FOLDER
    local t
    for t in tests/"$1"/*.sh; do
        [ -x "$t" ] || continue
        run_program "$1/$(basename "$t" .sh)" "$t"
    done
    for t in tests/"$1"/*.bats; do
        [ -e "$t" ] || continue
        run_program "$1/$(basename "$t" .bats)" bats --tap "$t"
    done
}

ring_native() {
    [ ! -x tests/native/run.sh ] || run_program native tests/native/run.sh
}

ring_svm() {
    [ ! -x tests/svm/smoke.sh ] || run_program svm tests/svm/smoke.sh
}

[ $# -gt 0 ] || set -- all
for ring in "$@"; do
    case $ring in
    all)
        ring_unit
        ring_fuzz
        ring_native
        ring_svm
        for r in link guest process apps e2e; do ring_folder $r; done
        ;;
    unit | fuzz | native | svm) ring_"$ring" ;;
    link | guest | process | apps | e2e) ring_folder "$ring" ;;
    *)
        echo "tests/run.sh: no ring called '$ring' (all, unit, fuzz, native, svm, link, guest, process, apps, e2e)" >&2
        exit 2
        ;;
    esac
done
[ $((passed + failed + skipped)) -gt 0 ] || echo "no tests ran"
[ $skipped = 0 ] && tail= || tail=", $skipped skipped"
echo "$passed passed, $failed failed$tail"
[ $failed = 0 ] && [ $passed -gt 0 ]
