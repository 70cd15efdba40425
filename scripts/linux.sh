#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing, builds, and boots Debian's kernel in VTL0, to check itself or to be typed at.
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
# shellcheck source=tests/stock/lib/kernel.sh
. tests/stock/lib/kernel.sh

readonly builddir=${BUILD_DIR:-$root/build}
readonly vsm_run=$builddir/examples/vsm-run/vsm-run
readonly warden=$builddir/examples/warden/warden.elf

usage() {
    cat <<'TEXT'
usage: linux.sh [OPTION]... [-- VSM_RUN_OPTION...]

Boots an unmodified Debian cloud kernel in VTL0 with vsm-run. It checks that it finds what Hyper-V's interface promises,
and powers off.

  --kernel 6.1|6.12  the guest's kernel (6.1)
  --image FILE       another bzImage in its place
  --stock 6.1|6.12   on the KVM of that Debian kernel, in software emulation, not on this machine's
  --smp N            processors of the guest, 1 to 8 (1)
  --vtl1             with examples/warden: a VTL1 beneath Linux guards memory from it
  --shell            start a shell instead of the checks (this machine's KVM only); Ctrl-C ends all
  --append STRING    more for the kernel's command line
  --help             this text

What follows -- is for vsm-run: --topology, --enforcement, --irqchip, ...
Exit status: 0 if Linux found everything as it must be.
TEXT
}

parse_options() {
    guest=6.1 image='' series='' cpus=1 vtl1=() shell='' append='' more=()
    while (($# > 0)); do
        case $1 in
        --vtl1) vtl1=(--vtl1 "$warden") ;;
        --shell) shell=yes ;;
        --help) usage && exit 0 ;;
        --) shift && more=("$@") && break ;;
        --kernel | --image | --stock | --smp | --append)
            (($# > 1)) || die "$1 needs a value"
            parse_value "$1" "$2"
            shift
            ;;
        *) die "unknown option $1 (see --help)" ;;
        esac
        shift
    done
    [[ -z $shell || -z $series ]] || die "--shell needs this machine's KVM"
}

parse_value() {
    case $1 in
    --kernel | --stock)
        [[ $2 == 6.1 || $2 == 6.12 ]] || die "$1 is 6.1 or 6.12"
        if [[ $1 == --stock ]]; then series=$2; else guest=$2; fi
        ;;
    --image) image=$2 ;;
    --smp) cpus=$2 ;;
    --append) append=$2 ;;
    esac
}

# need SERIES: its kernel is in the harness's cache, and what the harness needs is installed.
need() {
    local problem
    problem=$(stock_prepare "$1")
    [[ -z $problem ]] || die "kernel $1: $problem"
}

prepare() {
    local problem
    packages_install "${BUILD_PACKAGES[@]}" || die "cannot install what the build needs"
    say "building in ${builddir#"$root"/}"
    build "$builddir" -- vsm-run warden.elf || die "the build failed"
    [[ -n $image ]] || need "$guest"
    if [[ -n $series ]]; then
        need "$series"
    else
        problem=$(kvm_problem "$vsm_run")
        [[ -z $problem ]] || die "this machine's KVM cannot be used ($problem); try --stock 6.12"
    fi
    : "${image:=$(kernel_dir "$guest")/vmlinuz}"
    tests/linux/initramfs.sh "$work/initramfs"
}

run_here() {
    if [[ -n $shell ]]; then
        "$vsm_run" --mem 256M --smp "$cpus" "${vtl1[@]}" "${more[@]}" --kernel "$image" \
            --initrd "$work/initramfs" --append "console=ttyS0 quiet pci=off vsm.shell $append"
        return
    fi
    APPEND=$append tests/linux/check.sh "$vsm_run" "$image" "$work/initramfs" "$cpus" "${vtl1[@]}" "${more[@]}"
}

run_stock() {
    local -a there=()
    ((${#vtl1[@]} == 0)) || there=(--vtl1 /files/warden.elf)
    "$stock" --kernel "$series" --cpus "$((cpus < 2 ? 1 : 2))" --mem 3G --timeout 600 --env "APPEND=$append" \
        --file "$vsm_run" --file "$warden" --file "$image:/files/bzImage" --file "$work/initramfs" \
        -- tests/linux/check.sh /files/vsm-run /files/bzImage /files/initramfs "$cpus" "${there[@]}" "${more[@]}"
}

main() {
    parse_options "$@"
    work=$(mktemp -d "${TMPDIR:-/tmp}/vsm-linux.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    prepare
    if [[ -n $series ]]; then run_stock; else run_here; fi
}

main "$@"
