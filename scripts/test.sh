#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing, builds, runs all tests; the last line is "N passed, N failed, N skipped".
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

readonly builddir=${BUILD_DIR:-$root/build}
readonly -a ALL_STEPS=(unit contract live asan tsan fuzz stock)

usage() {
    cat <<'END'
usage: test.sh [OPTION]...

  --suite NAME   run this one only; may be repeated. NAME is one of
                   unit      the library on a model of KVM
                   contract  the model against this machine's /dev/kvm
                   live      small guests on this machine's /dev/kvm
                   asan      unit and contract on the model with address and undefined-behaviour sanitizers
                   tsan      the same with the thread sanitizer
                   fuzz      each fuzz target for a short time
                   stock     contract, live and the vault on Debian's kernels in software emulation
  --quick        unit, and contract on the model
  --no-stock     all but stock
  --help         this text

The build directories are build, build-asan, build-tsan and build-fuzz; BUILD_DIR changes the first and the
beginning of the others. Exit status: 0 if something passed and nothing failed, 1 otherwise, 2 for wrong usage.
END
}

parse_options() {
    steps=()
    local all=("${ALL_STEPS[@]}")
    while (($# > 0)); do
        case $1 in
        --suite)
            [[ -n ${2:-} && " ${ALL_STEPS[*]} " == *" $2 "* ]] || die "--suite is one of: ${ALL_STEPS[*]}"
            steps+=("$2")
            shift
            ;;
        --quick) all=(unit contract-fake) ;;
        --no-stock) all=("${all[@]/stock/}") ;;
        --help) usage && exit 0 ;;
        *) die "unknown option $1 (see --help)" ;;
        esac
        shift
    done
    # shellcheck disable=SC2206 # --no-stock leaves an empty word
    ((${#steps[@]} > 0)) || steps=(${all[*]})
}

# record pass|fail|skip NAME [REASON]
record() { printf '%s\t%s\t%s\n' "$1" "$2" "${3:-}" >>"$results"; }

# run_meson LABEL DIR ARGUMENT...: meson's own verdict is not used, its log is.
run_meson() {
    local label=$1 log=$2/meson-logs/$1.json
    printf '\n== %s\n' "$label"
    rm -f "$log"
    meson test -C "$2" --no-rebuild --logbase "$label" "${@:3}" </dev/null | sed -u -n '/^ *[0-9]*\/[0-9]* /p' || true
    if [[ -e $log ]]; then
        python3 scripts/lib/tally.py "$label" "$log" "$results"
    else
        record fail "$label" 'meson ran no test'
    fi
}

# run_build LABEL DIR OPTION...
run_build() {
    printf '\n== building for %s\n' "$1"
    build "${@:2}" && return
    record fail "build for $1"
    return 1
}

main_built=''
main_build() {
    [[ -n $main_built ]] || { run_build tests "$builddir" -Dwerror=true && main_built=yes; } || main_built=no
    [[ $main_built == yes ]]
}

step_unit() { ! main_build || run_meson unit "$builddir" --suite unit; }
step_contract() { ! main_build || run_meson contract "$builddir" --suite contract; }
step_contract-fake() { ! main_build || run_meson contract "$builddir" contract-fake; }
step_live() { ! main_build || run_meson live "$builddir" --suite live; }

# sanitized LABEL SANITIZERS [WRAPPER...]: what needs no KVM, once more. Not with -Werror: gcc follows values less well
# through the checks it adds, and warns of conversions that the other builds know to be fine.
sanitized() {
    local label=$1 dir=$builddir-$1
    local -x ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:strict_string_checks=1}
    local -x UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}
    local -x TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1}
    run_build "$label" "$dir" -Dwerror=false "-Db_sanitize=$2" -Db_lundef=false || return 0
    run_meson "$label-unit" "$dir" --suite unit "${@:3}"
    run_meson "$label-contract" "$dir" contract-fake "${@:3}"
}

step_asan() { sanitized asan address,undefined; }

# The thread sanitizer of older compilers cannot live with much address space randomisation; setarch takes it away.
tsan_works() {
    local probe=$work/tsan
    [[ -e $probe ]] || printf 'int main(void) { return 0; }\n' | cc -fsanitize=thread -xc - -o "$probe" 2>/dev/null
    "$@" "$probe" >/dev/null 2>&1
}

step_tsan() {
    if tsan_works; then
        sanitized tsan thread
    elif tsan_works setarch -R; then
        sanitized tsan thread --wrapper 'setarch -R'
    else
        record skip tsan "the thread sanitizer does not start here"
    fi
}

step_fuzz() {
    if ! packages_install "${FUZZ_PACKAGES[@]}"; then
        record skip fuzz "no clang with libFuzzer"
        return
    fi
    CC=clang run_build fuzz "$builddir-fuzz" -Dwerror=true -Dfuzz=true -Db_lundef=false \
        -Db_sanitize=address,undefined -Dc_args=-fsanitize=fuzzer-no-link -- fuzz-targets || return 0
    run_meson fuzz "$builddir-fuzz" --suite fuzz
}

# Kernels are fetched first, so that no test's time is spent on it.
step_stock() {
    local series problem
    main_build || return 0
    for series in 6.1 6.12; do
        problem=$(stock_prepare "$series")
        [[ -z $problem ]] || say "kernel $series: $problem"
    done
    run_meson stock "$builddir" --suite stock
}

# shellcheck disable=SC2317 # called by the trap
cleanup() { rm -rf "$work"; }

main() {
    local step
    parse_options "$@"
    work=$(mktemp -d "${TMPDIR:-/tmp}/vsm-test.XXXXXX")
    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    results=$work/results
    : >"$results"
    if packages_install "${BUILD_PACKAGES[@]}"; then
        for step in "${steps[@]}"; do "step_$step"; done
    else
        record fail packages "cannot install what the build needs"
    fi
    printf '\n'
    if command -v python3 >/dev/null; then
        python3 scripts/lib/tally.py --sum "$results"
    else
        printf '0 passed, 1 failed, 0 skipped\n' && return 1
    fi
}

main "$@"
