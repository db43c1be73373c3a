#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# The benchmark's machinery with tiny loads (bench/bench.c --smoke): every case gives a figure on
# native and on what works here, results.json has its form, no ratio is told from a single round, and
# nothing is left behind. Times are not looked at.
. "$(dirname "$0")/lab.sh"
[ "$(id -u)" = 0 ] || lab_skip_all "the bench needs root"
BENCH=$LAB_TOP/build/bench OUT=$LAB_TOP/build/bench-test
lab_need "$BENCH"/{bench,calls,udp_echo,first_byte}

taps() { ip -o link 2>/dev/null | grep -cE 'bench0|many|veth0'; }
field() { # NAME PLATFORM METRIC FIELD
    sed -n "s/.*{\"case\": \"$1\", \"platform\": \"$2\", \"metric\": \"$3\".*\"$4\": \"\{0,1\}\([^,\"}]*\).*/\1/p" "$OUT/results.json"
}
works "images and native configurations are made" "$LAB_TOP/bench/prepare.sh"
rm -rf "$OUT" && mkdir -p "$OUT"
ln -s "$BENCH"/{calls,udp_echo,first_byte,native} "$OUT/"
[ ! -d "$BENCH/sqlite" ] || ln -s "$BENCH/sqlite" "$OUT/"
cp "$LAB_TOP/bench/plots.gp" "$OUT/"
before=$(taps)
works "bench --smoke ends with status 0" timeout 200 "$BENCH/bench" --smoke --cases "nginx redis udp calls start memory sizes" \
    --tree "$LAB_TOP" --out "$OUT"
is "no interface is left behind" "$(taps)" "$before"

[ -s "$OUT/results.json" ] || { not_ok "results.json is there"; lab_plan_end; exit 1; }
is "results.json begins" "$(head -n 1 "$OUT/results.json")" '{"results": ['
is "results.json ends" "$(tail -n 1 "$OUT/results.json")" ']}'
number='-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?'
line='\{"case": "[a-z0-9-]+", "platform": "(native|process|kvm|qemu|linux-guest)", "metric": "[a-z0-9-]+", "value": '$number', "unit": "[a-z0-9/]+", "spread": (null|'$number'), "ratio": (null|'$number')\}'
is "every line between has the form" "$(sed '1d;$d' "$OUT/results.json" | grep -vxE "$line,?")" ""
is "all but the last end in a comma" "$(sed '1d;$d' "$OUT/results.json" | sed '$d' | grep -cv ',$')" 0
is "the last does not" "$(sed '1d;$d' "$OUT/results.json" | tail -n 1 | grep -c ',$')" 0
for name in nginx-small nginx-small-c256 nginx-1m nginx-close redis-get-p1 redis-set-p1 redis-get-p16 redis-set-p16 udp-echo; do
    matches "$name has a rate" "$(field $name native rate value)" '^[1-9]'
done
for name in call-null call-read-zero call-futex-wake call-pipe call-mmap-touch call-thread-create start-main start-first-byte; do
    matches "$name has a time" "$(field $name native time value)" '^[0-9]*\.?[0-9]*[1-9]'
done
matches "memory-1 has a figure" "$(field memory-1 native proportional value)" '^[1-9]'
is "native's ratio is one" "$(field nginx-small native rate ratio)" 1.0000
is "one round tells no ratio" "$(sed -n '/"native"/d; /"unit": "bytes"/d; s/.*"ratio": \([^}]*\).*/\1/p' "$OUT/results.json" | sort -u)" \
    "$(grep -qE '"(process|kvm)"' "$OUT/results.json" && echo null)"
if grep -q '"nginx-small", "platform": "kvm"' "$OUT/results.json"; then
    matches "KVM's exits are counted by reason" "$(field kvm-exits-nginx-small kvm to-monitor value)" '^[0-9.e+-]+$'
    matches "and packets" "$(field kvm-exits-nginx-small kvm net-tx-packets value)" '^[1-9]'
fi
if grep -q '"nginx-small", "platform": "process"' "$OUT/results.json"; then
    matches "the process machine's host calls are counted" "$(field host-calls-nginx-small process host-writev value)" '^[01]\.?[0-9]*'
fi
matches "history has a line" "$(cat "$OUT/history.jsonl")" '^\{"date": "[0-9T:Z-]+", "commit": "[^"]*", "machine": "[^"]+", .*"nginx-small/native/rate": [0-9]'
lab_plan_end
