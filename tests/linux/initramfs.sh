#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# initramfs.sh TO: an initramfs of a static busybox and `init`. It fits every kernel: there are no modules.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(mktemp -d "${TMPDIR:-/tmp}/vsm-linux.XXXXXX")
trap 'rm -rf "$root"' EXIT

mkdir -p "$root"/{bin,dev,proc,sys,tmp}
cp "$(command -v busybox)" "$root/bin/busybox"
for applet in $(busybox --list); do
    [[ $applet == busybox ]] || ln -s busybox "$root/bin/$applet"
done
install -m 755 "$here/init" "$root/init"
(cd "$root" && find . -mindepth 1 -print0 | cpio -0 -o -H newc -R 0:0 --quiet) >"$1"
