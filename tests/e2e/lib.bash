# SPDX-License-Identifier: ISC
# Shared by the end-to-end tests: a store, a cache and a home of their own; a kernel and a QEMU that
# only say what they were given, for what needs no machine.

setup_lith() {
    top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    bin=$top/build/bin
    export HOME=$BATS_FILE_TMPDIR/home XDG_DATA_HOME=$BATS_FILE_TMPDIR/data XDG_CACHE_HOME=$BATS_FILE_TMPDIR/cache
    mkdir -p "$HOME"
    PATH=$bin:$PATH
    store=$XDG_DATA_HOME/lith
    work=$BATS_TEST_TMPDIR
    cd "$work"
}

# A kernel that is a file, and nothing more.
fake_kernel() {
    export LITH_KERNEL=$BATS_FILE_TMPDIR/kernel
    echo "not a kernel" >"$LITH_KERNEL"
}

# A QEMU that writes its arguments to $work/qemu.args and then runs the function body given as text, with
# $console and $control as its descriptors.
fake_qemu() {
    export LITH_QEMU=$work/qemu
    cat >"$LITH_QEMU" <<END
#!/usr/bin/env bash
printf '%s\n' "\$@" >"$work/qemu.args"
for a in "\$@"; do
    case \$a in
    socket,id=console,fd=*) console=\${a##*=} ;;
    socket,id=control,fd=*) control=\${a##*=} ;;
    stream,id=n0,*) net=\${a##*=} ;;
    esac
done
$1
END
    chmod +x "$LITH_QEMU"
}

# The boot configuration that QEMU was given, one word a line, unescaped.
boot_words() {
    grep -A1 -x -- -append "$work/qemu.args" | tail -1 | tr ' ' '\n' |
        while IFS= read -r w; do printf '%b\n' "${w//%/\\x}"; done
}

# Skips the test unless a real kernel is built and an instance can start.
require_boot() {
    [ -r "$top/build/kernel/lith" ] || skip "no kernel is built"
    unset LITH_KERNEL LITH_QEMU
}

fails_with() { # TEXT
    [ "$status" -eq 125 ] || { echo "status $status: $output"; return 1; }
    [[ $output == *"$1"* ]] || { echo "expected '$1' in: $output"; return 1; }
}
