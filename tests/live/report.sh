#!/bin/sh
# SPDX-License-Identifier: MIT
# report.sh VSM_RUN BZIMAGE: SIGUSR2 has vsm-run tell what its processors are doing, and go on; SIGTERM the same, and end.
set -u
vsm_run=$1
image=$2

"$vsm_run" --probe >/dev/null
case $? in
0) ;;
6) exit 77 ;;
*) exit 1 ;;
esac
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkfifo "$scratch/input"
"$vsm_run" --smp 2 --append echo "$image" <"$scratch/input" >"$scratch/out" 2>"$scratch/report" &
machine=$!
exec 3>"$scratch/input"

fail() {
    echo "$*"
    cat "$scratch/out" "$scratch/report"
    kill -KILL "$machine"
    exit 1
}

# await FILE COUNT TEXT: until that many lines of it have the text; at most 60 s.
await() {
    tries=0
    while [ "$(grep -c -- "$3" "$1")" -lt "$2" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 600 ] || fail "no '$3' in $1"
        sleep 0.1
    done
}

await "$scratch/out" 1 echoes
kill -USR2 "$machine"
await "$scratch/report" 1 '^VP 0 in VTL0'
await "$scratch/report" 1 '^VP 1 in VTL0'
await "$scratch/report" 2 '^RIP '
printf 'x' >&3
await "$scratch/out" 1 '<78>'
kill -TERM "$machine"
await "$scratch/report" 2 '^VP 0 in VTL0'
wait "$machine"
status=$?
[ "$status" -eq 130 ] || fail "status $status"
await "$scratch/report" 4 '^RIP '
