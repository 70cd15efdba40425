# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Configures and compiles build directories.

: "${root:?the source tree}"

# build DIR [MESON_OPTION]... [-- TARGET...]
build() {
    local dir=$1
    local -a options=() again=()
    shift
    while (($# > 0)) && [[ $1 != -- ]]; do
        options+=("$1")
        shift
    done
    (($# == 0)) || shift
    [[ ! -e $dir/meson-private/coredata.dat ]] || again=(--reconfigure)
    quietly meson setup "${again[@]}" "${options[@]}" "$dir" "$root" &&
        quietly meson compile -C "$dir" "$@"
}
