#!/bin/sh
# minimal.sh VSM_RUN MINIMAL BINARY
# The minimal VMM runs its guest, which sees the Hyper-V interface. Skipped (77) where KVM cannot be used.
set -u
"$1" --probe >/dev/null
[ $? -ne 6 ] || exit 77

output=$(timeout 60 "$2" "$3") || exit 1
echo "$output"
[ "$output" = 'interface Hv#1' ]
