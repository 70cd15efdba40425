# shellcheck shell=bash
# Debian's kernels: downloaded as packages, never installed, kept in a cache.
#
# A cached kernel is a folder named after its series that holds
#   vmlinuz  release  package  modules/NN-NAME.ko (numbered in load order)
# It appears by one rename, so it is complete or not there. It is kept until somebody deletes it.

kernel_cache() {
    printf '%s\n' "${VSM_STOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/libvsm/stock}"
}

# kernel_dir SERIES
kernel_dir() { printf '%s/%s\n' "$(kernel_cache)" "$1"; }

kernel_cached() { [[ -e $(kernel_dir "$1")/release ]]; }

# kernel_package SERIES: the concrete package behind the metapackages. A release's own series has
# no number in its metapackage's name, so both names are tried.
kernel_package() {
    local meta package
    for meta in "linux-image-$1-cloud-amd64" linux-image-cloud-amd64; do
        package=$(LC_ALL=C apt-cache depends "$meta" 2>/dev/null |
            sed -n 's/^ *Depends: //p' | grep -E "^linux-image-${1//./\\.}[^0-9]" | head -n 1) || continue
        printf '%s\n' "$package"
        return
    done
    return 1
}

# module_file TREE NAME: modules are named with - or _ at will.
module_file() {
    find "$1" -regextype posix-extended -regex ".*/${2//[-_]/[-_]}\.ko(\.xz)?" -print -quit
}

# module_unpack FILE TO
module_unpack() {
    case $1 in
    *.xz) xz -dc "$1" >"$2" ;;
    *) cp "$1" "$2" ;;
    esac
}

module_depends() {
    tr '\0' '\n' <"$1" | sed -n 's/^depends=//p' | tr ',' '\n'
}

# modules_take TREE NAME TO: copy a module after those it depends on. The package has no
# modules.dep (depmod makes it at installation), so the modules' own information is read.
modules_take() {
    local tree=$1 name=$2 to=$3 file dependency
    [[ -z $(find "$to" -name "[0-9]*-$name.ko") ]] || return 0
    file=$(module_file "$tree" "$name")
    [[ -n $file ]] || die "the kernel package has no module $name"
    module_unpack "$file" "$to/$name.ko"
    while read -r dependency; do
        [[ -z $dependency ]] || modules_take "$tree" "$dependency" "$to"
    done < <(module_depends "$to/$name.ko")
    mv "$to/$name.ko" "$to/$(printf '%02d' "$(find "$to" -name '[0-9]*.ko' | wc -l)")-$name.ko"
}

# kernel_download PACKAGE TO
kernel_download() {
    local -a options=(-q)
    # As root, apt would warn that its own user cannot write here.
    ((EUID != 0)) || options+=(-o APT::Sandbox::User=root)
    (cd "$2" && apt-get "${options[@]}" download "$1") >"$2/log" 2>&1 || {
        cat "$2/log" >&2
        skip "cannot download $1 (is the package list old? apt-get update)"
    }
}

# kernel_unpack SERIES PACKAGE WORK: make the cached form in WORK/ready.
kernel_unpack() {
    local work=$3 release
    mkdir -p "$work/tree" "$work/ready/modules"
    dpkg-deb -x "$work/$2"_*.deb "$work/tree"
    release=$(basename "$work"/tree/lib/modules/*)
    cp "$work/tree/boot/vmlinuz-$release" "$work/ready/vmlinuz"
    modules_take "$work/tree/lib/modules/$release" kvm-amd "$work/ready/modules"
    dpkg-deb -W "$work/$2"_*.deb >"$work/ready/package"
    printf '%s\n' "$release" >"$work/ready/release"
}

# The download under way, for whoever ends it early.
fetch_work=''

# Runs under the cache's lock, so folders of other downloads are leftovers.
kernel_fetch_locked() {
    local package
    ! kernel_cached "$1" || return 0
    require_tools "${FETCH_TOOLS[@]}"
    package=$(kernel_package "$1") ||
        skip "no package of Debian's $1 cloud kernel is known to apt (apt-get update?)"
    rm -rf "$(kernel_cache)"/.fetch.*
    fetch_work=$(mktemp -d "$(kernel_cache)/.fetch.XXXXXX")
    say "downloading $package"
    kernel_download "$package" "$fetch_work"
    kernel_unpack "$1" "$package" "$fetch_work"
    mv -T "$fetch_work/ready" "$(kernel_dir "$1")"
    rm -rf "$fetch_work"
}

# kernel_fetch SERIES: after this the series is in the cache.
kernel_fetch() {
    local lock
    ! kernel_cached "$1" || return 0
    mkdir -p "$(kernel_cache)" || die "cannot make the cache $(kernel_cache)"
    exec {lock}>"$(kernel_cache)/.lock"
    flock "$lock"
    kernel_fetch_locked "$1"
    exec {lock}>&-
}
