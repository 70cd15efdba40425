# shellcheck shell=bash
# Messages, exit statuses and the check for what must be installed.

readonly EXIT_SKIP=77     # cannot run here; the reason is on stderr
readonly EXIT_TIMEOUT=124 # as timeout(1)
readonly EXIT_HARNESS=125 # the harness or the VM failed, not the program

readonly -a SERIES=(6.1 6.12)

# What the harness runs, and the Debian package that has it.
readonly -a TOOLS=(
    qemu-system-x86_64:qemu-system-x86
    busybox:busybox-static
    cpio:cpio
    ldd:libc-bin
    flock:util-linux
    timeout:coreutils
)

# What only fetching a kernel needs.
readonly -a FETCH_TOOLS=(
    apt-get:apt
    apt-cache:apt
    dpkg-deb:dpkg
    xz:xz-utils
)

say() { printf 'stock: %s\n' "$*" >&2; }

# finish STATUS: the only way out that is meant. Anything else that ends the script, as `set -e` does, is
# the harness's own failure: its status must not be taken for the program's.
verdict=''
finish() {
    verdict=$1
    exit "$1"
}

die() {
    say "$@"
    finish "$EXIT_HARNESS"
}

skip() {
    say "SKIP: $*"
    finish "$EXIT_SKIP"
}

# missing_tools TOOL:PACKAGE...: one line for each tool that is not there.
missing_tools() {
    local entry
    for entry; do
        if ! command -v "${entry%%:*}" >/dev/null; then
            printf '%s is not installed (package %s)\n' "${entry%%:*}" "${entry#*:}"
        fi
    done
}

# The guest has no libraries of its own, so its busybox must be static.
busybox_problem() {
    local path
    path=$(command -v busybox) || return 0
    if ldd "$path" >/dev/null 2>&1; then
        printf '%s is not static (package busybox-static)\n' "$path"
    fi
}

require_tools() {
    local problems
    problems=$(missing_tools "$@")
    [[ -z $problems ]] || skip "${problems//$'\n'/; }"
}
