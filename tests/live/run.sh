#!/bin/sh
# run.sh VSM_RUN IMAGE [OPTION]...
# Runs a guest under vsm-run. The guest checks itself: it powers off (status 0) only when everything was as it must be.
# Where KVM cannot be used this is a skipped test (77), and the reason is what vsm-run says.
set -u
vsm_run=$1
image=$2
shift 2

"$vsm_run" --probe >/dev/null
case $? in
0) ;;
6) exit 77 ;;
*) exit 1 ;;
esac
exec timeout 120 "$vsm_run" "$@" "$image" </dev/null
