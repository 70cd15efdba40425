#!/bin/sh
# SPDX-License-Identifier: MIT
# check.sh VSM_RUN KERNEL INITRAMFS CPUS [OPTION]...
# Boots Linux, which checks itself (init); types the line it asks for. 0: it found everything as it must be and powered
# off. --vtl1 among the options: a page is guarded, and what the warden says is looked for, too.
# $APPEND: more for the kernel's command line.
set -u
vsm_run=$1
kernel=$2
initramfs=$3
cpus=$4
shift 4

guarded=0x8000000 # the first of 16 pages that Linux leaves alone
append="console=ttyS0 quiet pci=off panic=-1 vsm.cpus=$cpus vsm.input ${APPEND:-}"
case " $* " in
*' --vtl1 '*) append="$append memmap=64K\$$guarded vtl1_guard=$guarded" ;;
esac

output=$(mktemp)
trap 'rm -f "$output"' EXIT

# Waits for the question; a guest that ends without it ends the wait, too.
answer() {
    until grep -q 'linux: say hello' "$output" || grep -q 'vsm-run ended' "$output"; do sleep 1; done
    echo hello
}

says() {
    grep -a -q "$1" "$output" && return
    echo "FAILED: no line has '$1'"
    status=1
}

answer | {
    "$vsm_run" --mem 256M --smp "$cpus" "$@" --kernel "$kernel" --initrd "$initramfs" --append "$append" 2>&1
    echo "vsm-run ended with status $?"
} | tee "$output"
status=0
says 'vsm-run ended with status 0'
says 'linux: all is as it must be'
case " $* " in
*' --vtl1 '*)
    says 'VTL1: kept Linux from writing'
    ;;
esac
exit "$status"
