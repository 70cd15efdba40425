#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs kvm-unit-tests' Hyper-V and APIC images, and the guest in the manner of LVBS, on several KVMs; prints a table.
set -euo pipefail

[[ -z ${BUILD_DIR:-} ]] || BUILD_DIR=$(realpath -m "$BUILD_DIR")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly stock=$root/tests/stock/run.sh
# shellcheck source=scripts/lib/common.sh
. "$root/scripts/lib/common.sh"

readonly builddir=${BUILD_DIR:-$root/build}
readonly vsm_run=$builddir/examples/vsm-run/vsm-run
readonly lvbs=$builddir/tests/live/guest_lvbs.elf
readonly out=$builddir/guests
readonly -a ALL=(own 6.1 6.12)
readonly -a COMBINATIONS=('single-vm slots' 'single-vm alias' 'vm-per-vtl slots' 'vm-per-vtl alias')

usage() {
    cat <<'END'
usage: guests.sh [OPTION]... [DIR [DIR_RFC]]

DIR and DIR_RFC hold the built images (*.flat) of kvm-unit-tests, branches vsm-next and vsm-rfc-v1: docs/guests.md says
where from. Without them, or where an image is missing, its rows are left out.

  --on NAME     run there only; may be repeated: own (this machine's /dev/kvm), 6.1, 6.12 (that Debian kernel's KVM, in
                software emulation)
  --only REGEX  rows whose guest and options match
  --timeout SEC for each run (90)
  --table       run nothing, show the results of earlier runs
  --help        this text

A table in Markdown goes to stdout, each run's output to build/guests/KVM/. BUILD_DIR takes the place of build. A cell says
how many checks passed, of how many. Exit status: 0 the table was made, 2 wrong usage.
END
}

parse_options() {
    places=() only=. timeout=90 run=yes
    while (($# > 0)); do
        case $1 in
        --on | --only | --timeout) (($# > 1)) || die "$1 needs a value" ;;&
        --on)
            [[ " ${ALL[*]} " == *" $2 "* ]] || die "--on is one of: ${ALL[*]}"
            places+=("$2") && shift
            ;;
        --only) only=$2 && shift ;;
        --timeout) timeout=$2 && shift ;;
        --table) run='' ;;
        --help) usage && exit 0 ;;
        -*) die "unknown option $1 (see --help)" ;;
        *) break ;;
        esac
        shift
    done
    (($# <= 2)) || die "two directories at most (see --help)"
    kut=${1:-} rfc=${2:-}
    ((${#places[@]} > 0)) || places=("${ALL[@]}")
}

# row GUEST IMAGE OPTIONS: GUEST and OPTIONS are what the table shows.
row() {
    [[ -e $2 && "$1 $3" =~ $only ]] || return 0
    guests+=("$1") images+=("$2") options+=("$3")
}

vsm_rows() {
    local pair
    for pair in "${COMBINATIONS[@]}"; do
        row "$1" "$2" "$3 --topology ${pair% *} --enforcement ${pair#* }"
    done
    for pair in slots alias; do
        row "$1" "$2" "$3 --irqchip kernel --enforcement $pair"
    done
}

make_rows() {
    local name apic
    guests=() images=() options=()
    vsm_rows hyperv_vsm "$kut/hyperv_vsm.flat" '--smp 2 --quirk ux-is-execute'
    vsm_rows 'hyperv_vsm (vsm-rfc-v1)' "$rfc/hyperv_vsm.flat" '--smp 2 --quirk ux-is-execute'
    for name in hyperv_synic hyperv_stimer hyperv_connections hyperv_clock smptest; do
        for apic in user kernel; do row "$name" "$kut/$name.flat" "--smp 2 --irqchip $apic"; done
    done
    for name in on off; do
        for apic in user kernel; do row apic "$kut/apic.flat" "--smp 2 --irqchip $apic --x2apic $name"; done
    done
    row lvbs "$lvbs" '--smp 1'
    vsm_rows lvbs "$lvbs" '--smp 2'
}

# A name for the row's results: the rows of another run may be others.
key() { tr -c 'a-zA-Z0-9\n' _ <<<"${guests[$1]} ${options[$1]}"; }

run_own() {
    local i status
    for ((i = 0; i < ${#guests[@]}; i++)); do
        status=0
        # shellcheck disable=SC2086 # options are words
        timeout "$timeout" "$vsm_run" ${options[i]} "${images[i]}" >"$out/own/$(key "$i").out" 2>&1 </dev/null || status=$?
        echo "$status" >"$out/own/$(key "$i").status"
    done
}

run_stock() {
    local i name files=() work
    work=$(mktemp -d)
    for ((i = 0; i < ${#guests[@]}; i++)); do
        name=$(md5sum <<<"${images[i]}" | cut -c1-8).img
        [[ " ${files[*]} " == *"/$name "* ]] || files+=(--file "${images[i]}:/files/$name")
        echo "/files/vsm-run ${options[i]} /files/$name" >>"$work/batch"
    done
    "$stock" --kernel "$1" --cpus 2 --file "$vsm_run" "${files[@]}" --batch "$work/batch" --results "$work/results" \
        --each-timeout "$timeout" --timeout 3600 >"$work/log" 2>&1 || true
    [[ -e $work/results/1.status ]] || cat "$work/log" >&2
    for ((i = 0; i < ${#guests[@]}; i++)); do
        cp "$work/results/$((i + 1)).out" "$out/$1/$(key "$i").out"
        cp "$work/results/$((i + 1)).status" "$out/$1/$(key "$i").status"
    done
    rm -rf "$work"
}

# count WORD FILE: lines that begin with it; two processors may share a line.
count() { LC_ALL=C grep -a -o "$1: " "$2" | wc -l; }

# cell PLACE ROW
cell() {
    local file status passed failed end=''
    file=$out/$1/$(key "$2")
    [[ -e $file.status ]] || { echo '' && return; }
    status=$(cat "$file.status")
    if [[ ${images[$2]} == "$lvbs" ]]; then
        if ((status == 0)); then echo passed; else echo "status $status"; fi
        return
    fi
    passed=$(count PASS "$file.out") failed=$(count FAIL "$file.out")
    case $status in
    1 | 3) ;;
    124) end=", no end in $timeout s" ;;
    *) end=", status $status" ;;
    esac
    echo "$passed/$((passed + failed))$end"
}

show_table() {
    local i place
    printf '| guest | options | own | 6.1 | 6.12 |\n|---|---|---|---|---|\n'
    for ((i = 0; i < ${#guests[@]}; i++)); do
        # shellcheck disable=SC2016 # Markdown
        printf '| %s | `%s` |' "${guests[i]}" "${options[i]}"
        for place in "${ALL[@]}"; do printf ' %s |' "$(cell "$place" "$i")"; done
        printf '\n'
    done
}

parse_options "$@"
make_rows
((${#guests[@]} > 0)) || die "no image to run (see --help)"
if [[ -n $run ]]; then
    [[ -x $vsm_run ]] || die "$vsm_run is missing: build first"
    for place in "${places[@]}"; do
        mkdir -p "$out/$place"
        if [[ $place == own ]]; then run_own; else run_stock "$place"; fi
    done
fi
show_table
