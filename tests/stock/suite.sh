#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The tests that need a KVM, on a stock kernel's, in one boot; reports as TAP, a case a command.
# usage: suite.sh KERNEL CPUS [--without FEATURE] NAME=COMMAND... -- PROGRAM...
# The PROGRAMs are in /files in the guest. If a COMMAND names /files/bzImage, that is the stock kernel itself, for a guest
# in the guest, and /files/initramfs its first process (tests/linux).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kernel=$1 cpus=$2
shift 2
without=()
if [[ $1 == --without ]]; then
    without=("$1" "$2")
    shift 2
fi

# shellcheck source=lib/kernel.sh
. "$here/lib/kernel.sh"

readonly EACH_TIMEOUT=240
readonly TIMEOUT=840

# skip_reason FILE: programs that skip say why on a line with that word.
skip_reason() {
    local line
    line=$(LC_ALL=C grep -a -i 'skip' "$1" | tail -n 1)
    sed -E 's/^([^ ]+: *)?skip[a-z]*: *//I' <<<"${line:-no reason given}"
}

# show_case N NAME
show_case() {
    local status reason=''
    status=$(cat "$work/results/$1.status")
    [[ ! -e $work/results/$1.reason ]] || reason=": $(cat "$work/results/$1.reason")"
    LC_ALL=C tr -d '\000\r' <"$work/results/$1.out" | sed 's/^/# /'
    case $status in
    0) printf 'ok %d - %s\n' "$1" "$2" ;;
    77) printf 'ok %d - %s # SKIP %s\n' "$1" "$2" "$(skip_reason "$work/results/$1.out")" ;;
    *)
        printf '# status %s%s\nnot ok %d - %s\n' "$status" "$reason" "$1" "$2"
        failed=1
        ;;
    esac
}

work=$(mktemp -d "${TMPDIR:-/tmp}/vsm-stock-suite.XXXXXX")
trap 'rm -rf "$work"' EXIT

names=() files=()
while [[ $1 != -- ]]; do
    names+=("${1%%=*}")
    printf '%s\n' "${1#*=}" >>"$work/batch"
    shift
done
for program in "${@:2}"; do files+=(--file "$program"); done
if grep -q /files/bzImage "$work/batch" && "$here/run.sh" --kernel "$kernel" --fetch-only 2>"$work/errors"; then
    "$here/../linux/initramfs.sh" "$work/initramfs"
    files+=(--file "$(kernel_dir "$kernel")/vmlinuz:/files/bzImage" --file "$work/initramfs")
fi

status=0
"$here/run.sh" --kernel "$kernel" --cpus "$cpus" "${without[@]}" "${files[@]}" --batch "$work/batch" --results "$work/results" \
    --each-timeout "$EACH_TIMEOUT" --timeout "$TIMEOUT" >"$work/log" 2>"$work/errors" || status=$?
if ((status == 77)); then
    printf '1..0 # SKIP %s\n' "$(skip_reason "$work/errors")"
    exit 0
fi
if [[ ! -e $work/results/1.status ]]; then
    cat "$work/errors" >&2
    printf 'Bail out! the harness ended with status %d\n' "$status"
    exit 1
fi
failed=0
printf '1..%d\n' "${#names[@]}"
for ((i = 0; i < ${#names[@]}; i++)); do show_case $((i + 1)) "${names[i]}"; done
sed 's/^/# /' "$work/errors"
exit "$failed"
