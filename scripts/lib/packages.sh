# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Installs what is missing, and only that: with everything in place apt is not called.

# What a package is recognised by: a command, or a header. A tool that came another way counts too.
declare -rA PROVIDES=(
    [gcc]=cc
    [libc6-dev]=stdio.h
    [linux-libc-dev]=linux/kvm.h
    [binutils]=objcopy
    [pkg-config]=pkg-config
    [python3]=python3
    [meson]=meson
    [ninja-build]=ninja
    [libzydis-dev]=Zydis/Zydis.h
    [liburing-dev]=liburing.h
    [libcmocka-dev]=cmocka.h
    [valgrind]=valgrind
    [clang]=clang
    [libclang-rt-dev]=libclang_rt.fuzzer
)

# shellcheck disable=SC2034 # used by the scripts
readonly -a BUILD_PACKAGES=(gcc libc6-dev linux-libc-dev binutils pkg-config python3 meson ninja-build
    libzydis-dev liburing-dev libcmocka-dev)
# shellcheck disable=SC2034
readonly -a FUZZ_PACKAGES=(clang libclang-rt-dev)

has_header() { printf '#include <%s>\n' "$1" | cc -E -xc - >/dev/null 2>&1; }

has_fuzzer() {
    printf 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }\n' |
        clang -fsanitize=fuzzer,address,undefined -xc - -o /dev/null >/dev/null 2>&1
}

package_there() {
    case ${PROVIDES[$1]:-} in
    '') return 1 ;;
    *.h) has_header "${PROVIDES[$1]}" ;;
    libclang_rt.fuzzer) has_fuzzer ;;
    *) command -v "${PROVIDES[$1]}" >/dev/null ;;
    esac
}

packages_missing() {
    local package
    for package; do
        package_there "$package" || printf '%s\n' "$package"
    done
}

can_be_root() { ((EUID == 0)) || command -v sudo >/dev/null; }

as_root() {
    if ((EUID == 0)); then
        "$@"
    elif [[ -t 0 ]]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 "$@"
}

# A package list may be absent or too old for the archive: then it is fetched, and the installation tried once more.
apt_install() {
    local -a install=(apt install -y --no-install-recommends "$@")
    if ! command -v apt-get >/dev/null; then
        say "not a Debian system; please install what Debian calls: $*"
        return 1
    elif ! can_be_root; then
        say "neither root nor sudo; please have installed: $*"
        return 1
    fi
    say "installing: $*"
    "${install[@]}" </dev/null >/dev/null 2>&1 || { quietly apt update && quietly "${install[@]}"; }
}

# packages_install PACKAGE...: after success all of them are there.
packages_install() {
    local -a missing
    mapfile -t missing < <(packages_missing "$@")
    ((${#missing[@]} > 0)) || return 0
    apt_install "${missing[@]}" || return
    mapfile -t missing < <(packages_missing "$@")
    ((${#missing[@]} == 0)) || { say "still missing after the installation: ${missing[*]}" && return 1; }
}
