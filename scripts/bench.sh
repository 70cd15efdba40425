#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Measures what libvsm costs, on this machine's KVM and on stock kernels; writes tables, JSON and a chart.
set -euo pipefail

[[ -z ${BUILD_DIR:-} ]] || BUILD_DIR=$(realpath -m "$BUILD_DIR")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
readonly stock=$root/tests/stock/run.sh
# shellcheck source=scripts/lib/common.sh
. scripts/lib/common.sh
# shellcheck source=scripts/lib/packages.sh
. scripts/lib/packages.sh
# shellcheck source=scripts/lib/build.sh
. scripts/lib/build.sh
# shellcheck source=scripts/lib/kvm.sh
. scripts/lib/kvm.sh

readonly builddir=${BUILD_DIR:-$root/build}/bench-release
readonly out=${BUILD_DIR:-$root/build}/bench
readonly -a ALL=(instructions own 6.1 6.12) WORDS=(6.1-words 6.12-words)
# What tells a kernel to copy and to zero memory with REP MOVSB and STOSB.
readonly BYTE_STRINGS=erms
readonly STOCK_TIMEOUT=3600

usage() {
    cat <<'END'
usage: bench.sh [OPTION]... [-- OPTION_OF_VSM_BENCH...]

  --on NAME   measure there only; may be repeated. NAME is one of
                instructions  the library's own instructions, counted by valgrind on a model of KVM
                own           this machine's /dev/kvm
                6.1, 6.12     the KVM of that Debian kernel, in software emulation
                6.1-words, 6.12-words
                              the same on a processor that does not claim fast byte strings, which the emulator
                              does not have (docs/benchmark.md); only if asked for
  --help      this text

Tables go to stdout; build/bench has them, NAME.json, and all of it in chart.svg. BUILD_DIR takes the place of build. Options
after -- go to vsm-bench (see vsm-bench --help). Exit status: 0 if all was measured, 1 if something failed, 77 if nothing
could be, 2 for wrong usage.
END
}

parse_options() {
    places=() bench_options=()
    while (($# > 0)); do
        case $1 in
        --on)
            [[ -n ${2:-} && " ${ALL[*]} ${WORDS[*]} " == *" $2 "* ]] || die "--on is one of: ${ALL[*]} ${WORDS[*]}"
            places+=("$2")
            shift
            ;;
        --help) usage && exit 0 ;;
        --) shift && bench_options=("$@") && break ;;
        *) die "unknown option $1 (see --help)" ;;
        esac
        shift
    done
    ((${#places[@]} > 0)) || places=("${ALL[@]}")
}

# finish_place NAME STATUS
finish_place() {
    case $2 in
    0) measured=$((measured + 1)) ;;
    77) say "$1: not measured" ;;
    *) say "$1: failed with status $2" && failed=$((failed + 1)) ;;
    esac
}

on_instructions() {
    packages_install valgrind || return 77
    python3 scripts/lib/instructions.py "$bench-instructions" --json "$out/instructions.json" | tee "$out/instructions.txt"
}

on_own() {
    local problem
    problem=$(kvm_problem "$builddir/examples/vsm-run/vsm-run")
    [[ -z $problem ]] || { say "own: $problem" && return 77; }
    "$bench" --json "$out/own.json" "${bench_options[@]}" | tee "$out/own.txt"
}

# The program's JSON comes after its table, on the same line to the outside.
on_stock() {
    local problem mark='=== JSON' word command='/files/vsm-bench --json /tmp/json' kernel=${1%-words}
    local -a without=()
    [[ $1 == "$kernel" ]] || without=(--without "$BYTE_STRINGS")
    problem=$(stock_prepare "$kernel")
    [[ -z $problem ]] || { say "kernel $kernel: $problem" && return 77; }
    for word in "${bench_options[@]}"; do command+=" $(printf '%q' "$word")"; done
    printf '#!/bin/sh\n%s || exit\necho "%s"\ncat /tmp/json\n' "$command" "$mark" >"$work/run"
    chmod a+x "$work/run"
    "$stock" --kernel "$kernel" --cpus 2 "${without[@]}" --timeout "$STOCK_TIMEOUT" --file "$bench" -- "$work/run" |
        sed -u "/^$mark/,\$ { /^$mark/d; w $work/json
            d }" | tee "$out/$1.txt"
    mv "$work/json" "$out/$1.json"
}

# measure NAME
measure() {
    local status=0
    printf '\n== %s\n' "$1"
    rm -f "$out/$1.json" "$out/$1.txt"
    case $1 in
    6.*) on_stock "$1" || status=$? ;;
    *) "on_$1" || status=$? ;;
    esac
    finish_place "$1" "$status"
}

draw() {
    local -a files=()
    local place
    for place in "${ALL[@]}" "${WORDS[@]}"; do [[ ! -e $out/$place.json ]] || files+=("$out/$place.json"); done
    ((${#files[@]} > 0)) || return 0
    python3 scripts/bench_chart.py "$out/chart.svg" "${files[@]}"
    say "wrote $out/chart.svg"
}

main() {
    local place
    parse_options "$@"
    measured=0 failed=0
    bench=$builddir/tests/bench/vsm-bench
    work=$(mktemp -d "${TMPDIR:-/tmp}/vsm-bench.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    packages_install "${BUILD_PACKAGES[@]}" || die "cannot install what the build needs"
    build "$builddir" -Dbuildtype=release -Ddebug=true || exit 1
    mkdir -p "$out"
    for place in "${places[@]}"; do measure "$place"; done
    draw
    ((failed == 0)) || exit 1
    ((measured > 0)) || exit 77
}

main "$@"
