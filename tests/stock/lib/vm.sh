# shellcheck shell=bash
# The virtual machine: one QEMU process, its files in one folder.
#
#   console   the kernel's messages      stdout, stderr   the two other serial lines
#   qemu.log  what QEMU itself says

# thread=single: with one thread a vCPU, live code patching in the guest kernel meets a fault of the
# emulation. -cpu max has no SVM unless it is asked for.
#
# tsc=reliable: the emulated CPU does not promise a constant TSC, and with more than one CPU 6.1 then gives the
# TSC up; KVM's timekeeping would not be that of a real host. The emulated TSCs do agree.
# oops=panic: an oops must not look like one failed program among others.
#
# Options that are said to make a boot faster (mitigations=off, nokaslr, no_timer_check, -machine q35, a
# compressed initramfs) made no difference beyond the noise, so they are not here.
vm_command() {
    local dir=$1 kernel=$2 cpus=$3 memory=$4 model=max,+svm feature
    for feature in "${@:6}"; do model+=,-$feature; done
    printf '%s\0' qemu-system-x86_64 \
        -machine pc -accel tcg,thread=single -cpu "$model" \
        -nodefaults -no-user-config -display none -no-reboot \
        -m "$memory" -smp "$cpus" \
        -kernel "$kernel/vmlinuz" -initrd "$dir/initramfs" \
        -append 'console=ttyS0 loglevel=5 tsc=reliable panic=-1 oops=panic' \
        -serial "file:$dir/console" -serial "file:$dir/stdout" -serial "file:$dir/stderr"
}

# vm_run DIR KERNEL_DIR CPUS MEMORY TIMEOUT [FEATURE_LEFT_OUT]...: sets vm_status to QEMU's, or 124 for the timeout.
# In the background, as bash runs a trap only between commands, but at once during `wait`.
vm_run() {
    local -a command
    mapfile -d '' command < <(vm_command "$@")
    touch "$1/console" "$1/stdout" "$1/stderr"
    timeout -k 5 "$5" "${command[@]}" </dev/null >"$1/qemu.log" 2>&1 &
    vm_pid=$!
    vm_status=0
    wait "$vm_pid" || vm_status=$?
    vm_pid=
}

vm_stop() {
    [[ -z ${vm_pid:-} ]] || kill "$vm_pid" 2>/dev/null || true
}

# vm_failure DIR TIMEOUT: why a VM ended before its commands did.
vm_failure() {
    local panic
    panic=$(LC_ALL=C grep -a -o -m 1 'Kernel panic.*' "$1/console" | tr -d '\r') || true
    if [[ -n $panic ]]; then
        printf 'guest kernel panic: %s\n' "$panic"
    elif ((vm_status == EXIT_TIMEOUT)); then
        printf 'timed out after %s s in all\n' "$2"
    elif ((vm_status != 0)); then
        printf 'QEMU ended with status %s: %s\n' "$vm_status" "$(tail -n 1 "$1/qemu.log")"
    else
        printf 'the VM ended early\n'
    fi
}
