#!/bin/sh
# test_vsm_run_cli.sh VSM_RUN IMAGE
# What vsm-run says, and how it ends, when something is wrong before a guest runs: one line on stderr, its own status.
set -u
vsm_run=$1
image=$2
failures=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# expect STATUS TEXT ARGUMENT...: stderr is one line "vsm-run: ..." that contains TEXT.
expect() {
    status=$1
    text=$2
    shift 2
    "$vsm_run" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
    actual=$?
    [ "$actual" -eq "$status" ] || fail "'$*' ended with $actual, not $status"
    [ "$(wc -l <"$scratch/err")" -eq 1 ] || fail "'$*' did not say one line: $(cat "$scratch/err")"
    grep -q "^vsm-run: .*$text" "$scratch/err" || fail "'$*' said: $(cat "$scratch/err")"
}

# put OFFSET BYTES: into the bzImage.
put() { printf '%b' "$2" | dd of="$scratch/bzImage" bs=1 seek=$(($1)) conv=notrunc 2>/dev/null; }

# Linux's boot protocol 2.15, a 64-bit entry, loaded at 32 MiB.
make_bzimage() {
    head -c 3000 /dev/zero >"$scratch/bzImage"
    put 0x1f1 '\0001'
    put 0x1fe '\0125\0252'
    put 0x201 '\0152HdrS\0017\0002'
    put 0x211 '\0001'
    put 0x236 '\0001'
    put 0x258 '\0000\0000\0000\0002'
    put 0x260 '\0000\0000\0001'
}

expect 2 'no image given'
expect 2 'no such option' --frobnicate x
expect 2 '--mem wants a value' --mem
expect 2 "'1M' is not a size" --mem 1M x
expect 2 "'4G' is not a size" --mem 4G x
expect 2 "'128MB' is not a size" --mem 128MB x
expect 2 "'-5' is not a size" --mem -5 x
expect 2 "'0' is not a number from 1 to 8" --smp 0 x
expect 2 "'9' is not a number from 1 to 8" --smp 9 x
expect 2 "'3' is not 1 or 2" --max-vtl 3 x
expect 2 "'0' is not a number from 1 to 4294967295" --max-mappings 0 x
expect 2 "'4294967296' is not a number" --max-mappings 4294967296 x
expect 2 "'10k' is not a number" --max-mappings 10k x
expect 2 "'x' is not single-vm|vm-per-vtl" --topology x y
expect 2 "'x' is not slots|alias" --enforcement x y
expect 2 "'x' is not strict|relaxed" --exec x y
expect 2 "'x' is not kernel|user" --irqchip x y
expect 2 "'x' is not refuse|accept" --cr-intercepts x y
expect 2 "'x' is not on|off" --x2apic x y
expect 2 "'x' is not on|off" --io-uring x y
expect 2 "'x' is not ux-is-execute" --quirk x y
expect 2 'does not go with --topology single-vm' --irqchip kernel --topology single-vm x
expect 2 "'b' is too much" a b
expect 2 "'b' is too much" --kernel a b
expect 2 'at most 8' --module 1 --module 2 --module 3 --module 4 --module 5 --module 6 --module 7 --module 8 --module 9 x

expect 4 'No such file' "$scratch/absent"
expect 4 'Is a directory' "$scratch"
: >"$scratch/empty"
expect 4 'neither a multiboot' "$scratch/empty"
head -c 200 "$image" >"$scratch/short"
expect 4 'without a multiboot header' "$scratch/short"
head -c 20000 "$image" >"$scratch/cut"
expect 4 'truncated' "$scratch/cut"
expect 4 'No such file' --module "$scratch/absent" "$image"
expect 4 'No such file' --initrd "$scratch/absent" "$image"
expect 4 'No such file' --vtl1 "$scratch/absent" "$image"
expect 4 'empty: neither a multiboot' --kernel "$scratch/empty"
expect 4 'not a Linux kernel' --initrd "$scratch/empty" "$image"
expect 4 'not a Linux kernel' --vtl1 "$image" "$image"
make_bzimage
head -c 1500 "$scratch/bzImage" >"$scratch/cut-bzImage"
expect 4 'cut-bzImage: truncated' "$scratch/cut-bzImage"
expect 4 'the Linux kernel at 0x2000000 needs memory' --mem 16M "$scratch/bzImage"
expect 4 'empty: not a 64-bit ELF file' --vtl1 "$scratch/empty" "$scratch/bzImage"
head -c 4000000 /dev/zero >"$scratch/large"
expect 4 'larger than guest memory' --mem 2M "$scratch/large"
expect 4 'no room in guest memory for a module' --mem 4M --module "$scratch/large" "$image"

expect 6 'does not exist' --kvm "$scratch/absent" "$image"
expect 6 'does not exist' --kvm "$scratch/absent" --probe

"$vsm_run" --help >"$scratch/out" || fail '--help failed'
grep -q -- '--topology single-vm|vm-per-vtl' "$scratch/out" || fail '--help does not show --topology'
"$vsm_run" --version | grep -q '^vsm-run [0-9]*\.[0-9]*\.[0-9]*$' || fail '--version'

exit "$((failures > 0))"
