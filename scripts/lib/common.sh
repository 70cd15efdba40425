# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Messages, and commands whose output matters only when they fail.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "$@"
    exit 2
}

# quietly COMMAND...: shows what it said only if it fails; not ninja's "[1/2] ..." lines.
quietly() {
    local output status=0
    output=$("$@" 2>&1 </dev/null) || status=$?
    if ((status != 0)); then
        sed '/^\[[0-9]*\/[0-9]*\] /d' <<<"$output" >&2
        say "failed with status $status: $*"
    fi
    return "$status"
}

# first_line TEXT
first_line() { printf '%s\n' "${1%%$'\n'*}"; }
