#!/bin/sh
# SPDX-License-Identifier: MIT
# linux.sh VSM_RUN BZIMAGE [OPTION]...: linux_guest.c, with an initrd, and a line typed after a moment.
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
initrd=$(mktemp)
trap 'rm -f "$initrd"' EXIT
echo initramfs >"$initrd"
{ sleep 1 && echo hello; } | timeout 60 "$vsm_run" --mem 64M "$@" --kernel "$image" --initrd "$initrd"
