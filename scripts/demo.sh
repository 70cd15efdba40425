#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing, builds, and shows a guest whose VTL1 keeps a secret from its VTL0.
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
readonly vsm_run=$builddir/examples/vsm-run/vsm-run
readonly vault=$builddir/examples/vault/vault.elf

usage() {
    cat <<'END'
usage: demo.sh [--stock 6.1|6.12] [--all] [--trace]

Runs the vault (examples/vault) with vsm-run on this machine's /dev/kvm; if that cannot be used, on the KVM of an
unmodified Debian kernel in software emulation.

  --stock SERIES  use that kernel in any case
  --all           all four combinations of --topology and --enforcement, not only the default one
  --trace         also show each VTL switch, hypercall and intercept
  --help          this text

Exit status: 0 if every run reported that all attacks were stopped.
END
}

parse_options() {
    series='' trace=()
    combinations=(vm-per-vtl/alias)
    while (($# > 0)); do
        case $1 in
        --stock)
            [[ ${2:-} == 6.1 || ${2:-} == 6.12 ]] || die "--stock is 6.1 or 6.12"
            series=$2
            shift
            ;;
        --all) combinations=(vm-per-vtl/alias vm-per-vtl/slots single-vm/alias single-vm/slots) ;;
        --trace) trace=(--trace) ;;
        --help) usage && exit 0 ;;
        *) die "unknown option $1 (see --help)" ;;
        esac
        shift
    done
}

choose_kvm() {
    local problem
    [[ -z $series ]] || return 0
    problem=$(kvm_problem "$vsm_run")
    [[ -n $problem ]] || return 0
    say "this machine's KVM cannot be used: $problem"
    series=6.12
}

prepare() {
    local problem
    packages_install "${BUILD_PACKAGES[@]}" || die "cannot install what the build needs"
    say "building in ${builddir#"$root"/}"
    build "$builddir" -- vsm-run vault.elf || die "the build failed"
    choose_kvm
    [[ -n $series ]] || return 0
    problem=$(stock_prepare "$series")
    [[ -z $problem ]] || die "cannot run a stock kernel $series: $problem"
}

where() {
    if [[ -z $series ]]; then
        printf "this machine's /dev/kvm (Linux %s)" "$(uname -r)"
    else
        printf "the KVM of Debian's unmodified Linux %s, booted in QEMU's software emulation" "$series"
    fi
}

explain() {
    cat <<END

libvsm gives a guest Virtual Trust Levels: VTL1 is more trusted than VTL0 and may close memory to it.
The guest is one small image. Its VTL0 plays an ordinary kernel: it boots, starts VTL1 and hands itself over to
be restricted. Its VTL1 keeps a secret key in a page that VTL0 cannot read, and uses it on VTL0's behalf.
Then VTL0 turns hostile and tries to get at the key.

Running on $(where)
END
}

# run_vault TOPOLOGY ENFORCEMENT: the output is shown and kept.
run_vault() {
    local -a options=(--topology "$1" --enforcement "$2" "${trace[@]}")
    if [[ -z $series ]]; then
        "$vsm_run" "${options[@]}" "$vault" </dev/null
    else
        "$stock" --kernel "$series" --file "$vault" -- "$vsm_run" "${options[@]}" /files/vault.elf
    fi 2>&1 | tr -d '\r' | tee "$work/output"
}

# The guest's own count and vsm-run's exit status must agree.
stopped_all() {
    [[ $1 == 0 ]] && sed -n 's/^VTL0: \([0-9]*\) attacks, \([0-9]*\) stopped.*/\1 \2/p' "$work/output" | {
        read -r attacks stopped && ((attacks > 0 && attacks == stopped))
    }
}

run_combination() {
    local status=0
    printf '\n--- vsm-run --topology %s --enforcement %s vault.elf\n' "$1" "$2"
    run_vault "$1" "$2" || status=$?
    if stopped_all "$status"; then
        printf -- '--- all attacks were stopped\n'
    else
        printf -- '--- NOT all attacks were stopped (vsm-run ended with status %d)\n' "$status"
        failed=$((failed + 1))
    fi
}

conclude() {
    if ((failed == 0)); then
        cat <<'END'

What happened: VTL1 closed its pages through a hypercall; from then on, each access by VTL0 left the guest, libvsm
told VTL1 about it, and VTL1 answered with a fault in VTL0. The service went on working, on a kernel without patches.
END
    else
        printf '\n%d of %d runs did not show what they should.\n' "$failed" "${#combinations[@]}"
    fi
}

main() {
    local combination
    parse_options "$@"
    prepare
    work=$(mktemp -d "${TMPDIR:-/tmp}/vsm-demo.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    explain
    failed=0
    for combination in "${combinations[@]}"; do run_combination "${combination%/*}" "${combination#*/}"; done
    conclude
    ((failed == 0))
}

main "$@"
