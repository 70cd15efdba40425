#!/usr/bin/env bash
# Run programs on the /dev/kvm of a stock Debian kernel, in a VM of its own. See README.md.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lib/common.sh
. "$here/lib/common.sh"
# shellcheck source=lib/kernel.sh
. "$here/lib/kernel.sh"
# shellcheck source=lib/initramfs.sh
. "$here/lib/initramfs.sh"
# shellcheck source=lib/vm.sh
. "$here/lib/vm.sh"
# shellcheck source=lib/results.sh
. "$here/lib/results.sh"

usage() {
    cat <<'EOF'
usage: run.sh [OPTION]... -- PROGRAM [ARG]...
       run.sh [OPTION]... --batch FILE [--results DIR] [--each-timeout SEC]
       run.sh [--kernel SERIES] --check | --fetch-only

  --kernel 6.1|6.12       Debian kernel series (6.12); --check and --fetch-only: both if not given
  --cpus N                virtual CPUs (1)
  --mem SIZE              memory of the VM, as for qemu -m (2G)
  --without FEATURE       a feature the virtual CPUs do not have, as for qemu -cpu; may be repeated
  --timeout SEC           for all of it, boot included (180; with --batch 900)
  --file PATH[:GUESTPATH] put a file into the guest (at /files/NAME); may be repeated
  --env NAME=VALUE        set a variable for the commands; may be repeated
  --batch FILE            run each line as a shell command, all in one boot
  --results DIR           with --batch: write N.out, N.status and, for a command that did not
                          simply end, N.reason
  --each-timeout SEC      with --batch: for each command (60; 0: none)
  --console FILE          keep the guest kernel's messages
  --check                 say what is missing here
  --fetch-only            download kernels into the cache

Exit status: the program's own; with --batch 0 if no command failed (77 counts as skipped), else 1.
77: cannot run here. 124: timed out. 125: the VM or the harness failed.
EOF
}

parse_options() {
    kernel='' cpus=1 memory=2G timeout='' each_timeout=60 batch='' results='' console='' action=run
    files=() environment=() command=() without=()
    while (($# > 0)); do
        case $1 in
        --check | --fetch-only) action=${1#--} ;;
        --help) usage && finish 0 ;;
        --) shift && command=("$@") && return ;;
        --kernel | --cpus | --mem | --without | --timeout | --file | --env | --batch | --results | --each-timeout | --console)
            (($# > 1)) || die "$1 needs a value"
            parse_value "$1" "$2"
            shift
            ;;
        *) die "unknown option $1 (a program comes after --; see --help)" ;;
        esac
        shift
    done
}

parse_value() {
    case $1 in
    --kernel)
        [[ " ${SERIES[*]} " == *" $2 "* ]] || die "--kernel is one of: ${SERIES[*]}"
        kernel=$2
        ;;
    --cpus) cpus=$2 ;;
    --mem) memory=$2 ;;
    --without) without+=("$2") ;;
    --timeout) timeout=$2 ;;
    --file) files+=("$2") ;;
    --env) environment+=("$2") ;;
    --batch) batch=$2 ;;
    --results) results=$2 ;;
    --each-timeout) each_timeout=$2 ;;
    --console) console=$2 ;;
    esac
}

check_options() {
    local number value
    : "${kernel:=6.12}"
    if [[ -n $batch ]]; then
        ((${#command[@]} == 0)) || die "--batch and a program exclude each other"
        [[ -r $batch ]] || die "cannot read $batch"
    else
        ((${#command[@]} > 0)) || die "no program given (see --help)"
        [[ -z $results ]] || die "--results needs --batch"
        each_timeout=0
    fi
    : "${timeout:=$([[ -n $batch ]] && echo 900 || echo 180)}"
    for number in cpus timeout each_timeout; do
        [[ ${!number} =~ ^[0-9]+$ ]] || die "$number is not a number: ${!number}"
    done
    for value in "${environment[@]}"; do
        [[ $value =~ ^[A-Za-z_][A-Za-z0-9_]*= ]] || die "--env wants NAME=VALUE: $value"
    done
}

do_check() {
    local problems series package
    problems=$(missing_tools "${TOOLS[@]}" && busybox_problem)
    for series in "${kernels[@]}"; do
        if kernel_cached "$series"; then
            printf 'kernel %s: cached, %s\n' "$series" "$(cat "$(kernel_dir "$series")/package")"
        elif package=$(kernel_package "$series" 2>/dev/null); then
            printf 'kernel %s: to be downloaded, %s\n' "$series" "$package"
            problems+=$(missing_tools "${FETCH_TOOLS[@]}" | sed '1s/^/\n/')
        else
            problems+=$'\n'"kernel $series: no package known to apt (apt-get update?)"
        fi
    done
    [[ -n $problems ]] || return 0
    printf '%s\n' "$problems" | sed '/^$/d' | sort -u
    finish "$EXIT_SKIP"
}

# Every command becomes a script; the numbers count commands, not lines.
write_commands() {
    local line
    commands=()
    if [[ -z $batch ]]; then
        place_file "$root" "${command[0]}" "/files/$(basename "${command[0]}")"
        chmod a+x "$root/files/$(basename "${command[0]}")"
        commands=("exec $(quote "/files/$(basename "${command[0]}")" "${command[@]:1}")")
    else
        while IFS= read -r line || [[ -n $line ]]; do
            [[ $line =~ ^[[:space:]]*(#|$) ]] || commands+=("$line")
        done <"$batch"
    fi
    for ((i = 0; i < ${#commands[@]}; i++)); do
        printf '%s\n' "${commands[i]}" >"$root/stock/commands/$((i + 1))"
    done
}

write_config() {
    local value
    nonce=$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')
    {
        printf 'nonce=%s\ncommands=%d\neach_timeout=%d\n' "$nonce" "${#commands[@]}" "$each_timeout"
        printf 'split_stderr=%d\n' "$([[ -n $batch ]] && echo 0 || echo 1)"
        for value in "${environment[@]}"; do
            printf 'export %s=%s\n' "${value%%=*}" "$(quote "${value#*=}")"
        done
    } >"$root/stock/config"
}

build_guest() {
    local entry to
    root=$work/root
    initramfs_skeleton "$root" "$(kernel_dir "$kernel")" "$here/init"
    for entry in "${files[@]}"; do
        to=
        [[ ! $entry =~ ^(.+):(/.+)$ ]] || entry=${BASH_REMATCH[1]} to=${BASH_REMATCH[2]}
        place_file "$root" "$entry" "${to:-/files/$(basename "$entry")}"
    done
    write_commands
    write_config
    initramfs_pack "$root" "$work/initramfs"
    rm -rf "$root"
}

# Sets failure when the VM did not get through all commands.
find_failure() {
    failure=
    if [[ -n $guest_failure ]]; then
        failure=$guest_failure
    elif [[ -n $guest_ready && $guest_ready != "$(cat "$(kernel_dir "$kernel")/release")" ]]; then
        failure="the guest runs kernel $guest_ready"
    elif [[ -z $guest_done ]]; then
        failure=$(vm_failure "$work" "$timeout")
    fi
}

failure_status() {
    if ((vm_status == EXIT_TIMEOUT)); then echo "$EXIT_TIMEOUT"; else echo "$EXIT_HARNESS"; fi
}

report_failure() {
    say "$failure"
    say "last messages of the guest's kernel:"
    tail -n 25 "$work/console" | tr -d '\r' | cat -v >&2
}

report_program() {
    result_output "$work/stdout" 1
    cat "$work/stderr" >&2
    [[ -z $failure ]] || report_failure
    if [[ -n $failure || -z ${end_status[1]:-} ]]; then
        finish "$(failure_status)"
    fi
    finish "${end_status[1]}"
}

# judge N: sets status and reason of a command.
judge() {
    status=${end_status[$1]:-} reason=
    if [[ -z $status ]]; then
        status=$(failure_status)
        reason="not run: $failure"
        [[ -z ${begin_at[$1]:-} ]] || reason="did not end: $failure"
    elif [[ ${end_reason[$1]} == timeout ]]; then
        reason="timed out after $each_timeout s"
    fi
}

# show_section N: for the reader; the exact bytes are in --results.
show_section() {
    printf '=== %d: %s\n' "$1" "${commands[$1 - 1]}"
    cat "$work/out"
    [[ ! -s $work/out || -z $(tail -c 1 "$work/out" | tr -d '\0') ]] || printf '\n'
    printf '=== %d: status %d%s\n' "$1" "$status" "${reason:+ ($reason)}"
}

save_section() {
    cp "$work/out" "$results/$1.out"
    printf '%d\n' "$status" >"$results/$1.status"
    [[ -z $reason ]] || printf '%s\n' "$reason" >"$results/$1.reason"
}

prepare_results() {
    [[ -n $results ]] || return 0
    mkdir -p "$results"
    find "$results" -maxdepth 1 -regextype posix-extended -regex '.*/[0-9]+\.(out|status|reason)' -delete
}

report_batch() {
    local n passed=0 failed=0 skipped=0
    for ((n = 1; n <= ${#commands[@]}; n++)); do
        judge "$n"
        result_output "$work/stdout" "$n" >"$work/out"
        show_section "$n"
        [[ -z $results ]] || save_section "$n"
        case $status in
        0) passed=$((passed + 1)) ;;
        77) skipped=$((skipped + 1)) ;;
        *) failed=$((failed + 1)) ;;
        esac
    done
    printf '=== %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    if [[ -n $failure ]]; then
        report_failure
        finish "$(failure_status)"
    fi
    ((failed == 0)) || finish 1
}

# shellcheck disable=SC2317 # called by the trap
on_exit() {
    local status=$?
    vm_stop
    [[ -z $console || ! -e $work/console ]] || tr -d '\r' <"$work/console" >"$console"
    rm -rf ${work:+"$work"} ${fetch_work:+"$fetch_work"}
    if [[ -z $verdict ]]; then
        say "the harness itself failed (status $status)"
        exit "$EXIT_HARNESS"
    fi
}

do_run() {
    check_options
    require_tools "${TOOLS[@]}"
    [[ -z $(busybox_problem) ]] || skip "$(busybox_problem)"
    kernel_fetch "$kernel"
    prepare_results
    work=$(mktemp -d "${TMPDIR:-/tmp}/vsm-stock.XXXXXX")
    build_guest
    vm_run "$work" "$(kernel_dir "$kernel")" "$cpus" "$memory" "$timeout" "${without[@]}"
    results_parse "$work/stdout" "$nonce"
    find_failure
    if [[ -n $batch ]]; then report_batch; else report_program; fi
}

main() {
    work='' console=''
    trap on_exit EXIT
    trap 'finish 130' INT
    trap 'finish 143' TERM
    parse_options "$@"
    kernels=("$kernel")
    [[ -n $kernel ]] || kernels=("${SERIES[@]}")
    case $action in
    check) do_check ;;
    fetch-only) for series in "${kernels[@]}"; do kernel_fetch "$series"; done ;;
    run) do_run ;;
    esac
    finish 0
}

main "$@"
