#!/usr/bin/env bash
# Does the harness say what happened in the guest, exactly? usage: selftest.sh [6.1|6.12]...
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
run=$here/run.sh
passed=0 failed=0 skipped=0
work=$(mktemp -d "${TMPDIR:-/tmp}/vsm-stock-selftest.XXXXXX")
trap 'rm -rf "$work"' EXIT

ok() { printf 'ok: %s\n' "$1" && passed=$((passed + 1)); }
not_ok() { printf 'NOT OK: %s\n' "$1" && failed=$((failed + 1)); }

# check NAME COMMAND...
check() {
    if "${@:2}" >/dev/null 2>&1; then ok "$1"; else not_ok "$1"; fi
}

is() { [[ $1 == "$2" ]]; }
has() { grep -q -F -- "$2" "$1"; }

# harness ARG...: sets status; the outputs are in out and err.
harness() {
    status=0
    "$run" "$@" >"$work/out" 2>"$work/err" || status=$?
}

status_is() {
    check "$1: status $2" is "$status" "$2"
    ((status == $2)) || sed 's/^/    /' "$work/err"
}

build_programs() {
    cc -O1 -Wall -Wextra -static -o "$work/selftest" "$here/selftest.c"
    cc -O1 -Wall -Wextra -o "$work/selftest-dynamic" "$here/selftest.c"
    head -c 1000000 /dev/urandom >"$work/bytes"
    cat >"$work/a program" <<'EOF'
#!/bin/sh
printf '[%s]' "$@" "$VALUE" >&2
cat /data/bytes
! grep -q -w erms /proc/cpuinfo || exit 4
exit 3
EOF
    printf 'exit 77\n' >"$work/skipping"
}

# A library beside its program, found by $ORIGIN only.
build_library() {
    mkdir -p "$work/build/lib" "$work/build/bin"
    echo 'int answer(void); int answer(void) { return 42; }' |
        cc -shared -fPIC -Wl,-soname,libanswer.so.1 -o "$work/build/lib/libanswer.so.1" -xc -
    echo 'int answer(void); int main(void) { return answer(); }' |
        cc -o "$work/build/bin/answer" -xc - -xnone "$work/build/lib/libanswer.so.1" \
            -Wl,-rpath,"\$ORIGIN/../lib"
}

test_usage() {
    harness --no-such-option
    status_is "an unknown option" 125
    harness -- /no/such/program
    status_is "no such program" 125
    harness --kernel 5.10 -- /bin/true
    status_is "an unknown kernel" 125
}

# Everything but QEMU is there.
test_missing_tool() {
    mkdir "$work/bin"
    ln -s /usr/bin/* /bin/* "$work/bin/" 2>/dev/null || true
    rm -f "$work/bin/qemu-system-x86_64"
    PATH=$work/bin harness -- "$work/selftest"
    status_is "QEMU missing" 77
    check "QEMU missing: the package is named" has "$work/err" "package qemu-system-x86)"
    PATH=$work/bin harness --check
    status_is "--check, QEMU missing" 77
}

# One boot: arguments, variables, 1 MB of any bytes, stderr, a status that is not 0 (4: a CPU feature
# that was to be left out is there).
test_exactness() {
    # shellcheck disable=SC2016,SC1003 # nothing is to be expanded: that is the point
    local -a arguments=('two  words' "it's" '"$HOME" `x` \' '' $'new\nline' '*')
    harness --kernel "$1" --without erms --env "VALUE=a 'b' \$c" --file "$work/bytes:/data/bytes" -- \
        "$work/a program" "${arguments[@]}"
    status_is "$1: a failing program" 3
    check "$1: 1 MB of output is exact" cmp "$work/out" "$work/bytes"
    printf '[%s]' "${arguments[@]}" "a 'b' \$c" >"$work/expected"
    check "$1: arguments, a variable and stderr are exact" cmp "$work/err" "$work/expected"
}

test_kvm() {
    harness --kernel "$1" --cpus 2 -- "$work/selftest-dynamic"
    status_is "$1: KVM runs a guest" 0
    check "$1: the kernel is Debian's $1" grep -q -x "kernel ${1//./\\.}[^0-9].*-cloud-amd64" "$work/out"
    check "$1: KVM API version 12" has "$work/out" "KVM API version 12"
    check "$1: the guest's out" has "$work/out" "out to port 0x42"
}

test_skip_passes() {
    harness --kernel "$1" -- "$work/skipping"
    status_is "$1: a skipping program" 77
}

test_batch() {
    local results=$work/results
    cat >"$work/batch" <<'EOF'
# a comment, then an empty line: neither is a command

/files/selftest
printf 'no newline'; exit 3
echo before; exec sleep 1000
/files/answer
cat /files/bytes
exit 77
EOF
    harness --kernel "$1" --file "$work/selftest" --file "$work/build/bin/answer" --file "$work/bytes" \
        --batch "$work/batch" --results "$results" --each-timeout 10
    status_is "$1: a batch with failures" 1
    check "$1: batch: statuses" is "$(cd "$results" && cat 1.status 2.status 3.status 4.status 5.status \
        6.status | tr '\n' ' ')" "0 3 124 42 0 77 "
    check "$1: batch: no seventh command" is "$(ls "$results"/7.* 2>/dev/null)" ""
    check "$1: batch: output without a newline" is "$(cat "$results/2.out")" "no newline"
    check "$1: batch: a timeout's output and reason" \
        is "$(cat "$results/3.out" "$results/3.reason")" "before"$'\n'"timed out after 10 s"
    check "$1: batch: 1 MB is exact" cmp "$results/5.out" "$work/bytes"
    check "$1: batch: the count" has "$work/out" "=== 2 passed, 3 failed, 1 skipped"
}

test_panic() {
    local results=$work/results
    printf '%s\n' 'echo fine' 'echo before; echo c >/proc/sysrq-trigger' 'echo never' >"$work/batch"
    harness --kernel "$1" --batch "$work/batch" --results "$results"
    status_is "$1: a panic" 125
    check "$1: panic: what ran before it counts" is "$(cat "$results"/1.{status,out})" "0"$'\n'"fine"
    check "$1: panic: its command" has "$results/2.reason" "did not end: guest kernel panic"
    check "$1: panic: its output" is "$(cat "$results/2.out")" "before"
    check "$1: panic: the command after it" has "$results/3.reason" "not run: guest kernel panic"
    check "$1: panic: it has a status" is "$(cat "$results/3.status")" 125
    check "$1: panic: the kernel's words" has "$work/err" "sysrq"
}

test_timeout() {
    printf 'echo started; sleep 1000\n' >"$work/sleeping"
    harness --kernel "$1" --timeout 15 -- "$work/sleeping"
    status_is "$1: a timeout" 124
    check "$1: timeout: reported" has "$work/err" "timed out after 15 s in all"
    check "$1: timeout: the output so far" is "$(cat "$work/out")" started
}

test_kernel() {
    status=0
    "$run" --kernel "$1" --fetch-only || status=$?
    if ((status == 77)); then
        printf 'skip: kernel %s\n' "$1" && skipped=$((skipped + 1))
        return
    fi
    test_exactness "$1"
    test_kvm "$1"
    test_skip_passes "$1"
    test_batch "$1"
    test_panic "$1"
    test_timeout "$1"
}

main() {
    local kernel
    if "$run" --kernel "${1:-6.12}" --check; then
        build_programs
        build_library
        test_usage
        test_missing_tool
        (($# > 0)) || set -- 6.1 6.12
        for kernel; do test_kernel "$kernel"; done
    else
        skipped=1
    fi
    printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    ((failed == 0)) || exit 1
    ((passed > 0)) || exit 77
}

main "$@"
