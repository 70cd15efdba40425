# shellcheck shell=bash
# The guest's root: busybox, the modules, the program and its files, and what to run.

# initramfs_skeleton ROOT KERNEL_DIR INIT
initramfs_skeleton() {
    local root=$1 applet
    mkdir -p "$root"/{bin,dev,etc,files,lib/modules,proc,root,stock/commands,sys,tmp,usr/bin,usr/lib}
    cp "$(command -v busybox)" "$root/bin/busybox"
    for applet in $(busybox --list); do
        [[ $applet == busybox ]] || ln -s busybox "$root/bin/$applet"
    done
    ln -s ../../bin/busybox "$root/usr/bin/env"
    printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\n' >"$root/etc/group"
    cp "$2"/modules/*.ko "$root/lib/modules/"
    install -m 755 "$3" "$root/init"
}

is_elf() { [[ $(head -c 4 "$1" | od -An -tx1) == " 7f 45 4c 46" ]]; }

# place ROOT HOSTPATH GUESTPATH: the same file twice is fine, another one in its place is not.
place() {
    local to=$1/${3#/}
    if [[ -e $to ]]; then
        cmp -s "$2" "$to" || die "$2: the guest's $3 is already another file"
        return 0
    fi
    mkdir -p "$(dirname "$to")"
    cp -L --preserve=mode "$2" "$to"
}

# place_library ROOT HOSTPATH SONAME: at its own path, as a RUNPATH may name it; and where the loader
# looks by itself, as $ORIGIN and the host's loader cache mean nothing in the guest.
place_library() {
    place "$1" "$2" "$2"
    case $2 in
    /lib/"$3" | /lib/*-linux-gnu/"$3" | /usr/lib/"$3" | /usr/lib/*-linux-gnu/"$3") ;;
    *) place "$1" "$2" "/usr/lib/$3" ;;
    esac
}

# place_libraries ROOT ELF: lines of ldd are "NAME => PATH (ADDR)", "PATH (ADDR)" for the loader,
# and "NAME (ADDR)" for the vdso. A static file makes ldd fail or say so; it needs nothing.
place_libraries() {
    local list name arrow path
    list=$(LC_ALL=C ldd "$2" 2>/dev/null) || return 0
    while read -r name arrow path _; do
        if [[ $arrow == "=>" && $path == not ]]; then
            die "$2 needs $name, which is not found"
        elif [[ $arrow == "=>" ]]; then
            place_library "$1" "$path" "$name"
        elif [[ $name == /* ]]; then
            place "$1" "$name" "$name"
        fi
    done <<<"$list"
}

# place_interpreter ROOT SCRIPT: busybox serves sh and its other applets; any other is copied.
place_interpreter() {
    local line interpreter argument
    IFS= read -r line <"$2" || true
    [[ $line == '#!'* ]] || return 0
    read -r interpreter argument _ <<<"${line#'#!'}"
    if [[ $interpreter == */env ]]; then
        [[ ! -e $1/bin/$argument ]] || return 0
        interpreter=$(command -v "$argument") || die "$2: no $argument on this host"
    fi
    [[ ! -e $1/$interpreter ]] || return 0
    [[ -e $interpreter ]] || die "$2: no $interpreter on this host"
    place "$1" "$interpreter" "$interpreter"
    place_libraries "$1" "$interpreter"
}

# place_file ROOT HOSTPATH GUESTPATH: a file and what it needs to run.
place_file() {
    [[ ! $3 =~ ^/+(dev|proc|sys|tmp)/ ]] || die "$3: the guest mounts a filesystem over it"
    [[ -f $2 && -r $2 ]] || die "$2: no such file, or not readable"
    place "$1" "$2" "$3"
    if is_elf "$2"; then
        place_libraries "$1" "$2"
    elif [[ $(head -c 2 "$2" | tr -d '\0') == '#!' ]]; then
        place_interpreter "$1" "$2"
    fi
}

# quote WORD...: for the guest's sh. bash's own %q uses $'', which a plain sh need not know.
quote() {
    local word
    for word; do
        printf "'%s' " "${word//\'/\'\\\'\'}"
    done
}

# initramfs_pack ROOT TO: not compressed, as gzip -1 did not make boots of 20 MB faster.
initramfs_pack() {
    (cd "$1" && find . -mindepth 1 -print0 | cpio -0 -o -H newc -R 0:0 --quiet) >"$2"
}
