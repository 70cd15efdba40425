# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Which KVM to use: this machine's own, or that of a stock kernel in software emulation.

: "${stock:?tests/stock/run.sh}"

# kvm_problem VSM_RUN: why this machine's /dev/kvm cannot be used, in a line; nothing if it can.
kvm_problem() {
    local report
    if [[ ! -e /dev/kvm ]]; then
        printf 'there is no /dev/kvm\n'
    elif [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then
        printf '/dev/kvm is not open to %s\n' "$(id -un)"
    elif ! report=$("$1" --probe 2>&1); then
        first_line "$report"
    fi
}

# stock_check SERIES: what the harness says is missing for this series, a line each; nothing if it can run.
stock_check() {
    local report
    report=$("$stock" --kernel "$1" --check) || sed '/: cached, \|: to be downloaded, /d' <<<"$report"
}

# stock_prepare SERIES: install what the harness lacks, download the kernel. Prints nothing if that worked, else why not.
stock_prepare() {
    local problems packages
    problems=$(stock_check "$1")
    if [[ $problems == *'apt-get update?'* ]] && can_be_root && quietly apt update; then
        problems=$(stock_check "$1")
    fi
    packages=$(sed -n 's/.*(package \(.*\))$/\1/p' <<<"$problems" | sort -u)
    # shellcheck disable=SC2086 # a list of names
    [[ -z $packages ]] || apt_install $packages || true
    problems=$(stock_check "$1")
    if [[ -n $problems ]]; then
        paste -sd ';' <<<"$problems"
    else
        stock_fetch "$1"
    fi
}

# A list that is too old names packages the archive no longer has.
stock_fetch() {
    local problem
    problem=$("$stock" --kernel "$1" --fetch-only 2>&1) && return
    if can_be_root && quietly apt update && problem=$("$stock" --kernel "$1" --fetch-only 2>&1); then return; fi
    tail -n 1 <<<"$problem"
}
