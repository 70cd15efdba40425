# shellcheck shell=bash
# What came back: the marks in the output line, and the bytes between them.
#
# A command's output is what stands between its "begin" mark's line and its "end" mark. Bytes may be
# anything, so they are only ever cut out by offset.

declare -A begin_at=() end_at=() end_status=() end_reason=()
guest_ready='' guest_failure='' guest_done=''

# results_parse FILE NONCE
results_parse() {
    local offset mark word rest number status reason
    while IFS=: read -r offset mark; do
        read -r _ word rest <<<"$mark"
        case $word in
        begin) begin_at[$rest]=$((offset + ${#mark} + 1)) ;;
        end)
            read -r number status reason <<<"$rest"
            end_at[$number]=$offset
            end_status[$number]=$status
            end_reason[$number]=$reason
            ;;
        ready) guest_ready=$rest ;;
        fail) guest_failure=$rest ;;
        done) guest_done=yes ;;
        esac
    done < <(LC_ALL=C grep -a -b -o "@$2 [a-z].*" "$1")
}

# result_output FILE N: of a command without an end, all there is.
result_output() {
    local from=${begin_at[$2]:-} to=${end_at[$2]:-}
    [[ -n $from ]] || return 0
    [[ -n $to ]] || to=$(stat -c %s "$1")
    dd if="$1" iflag=skip_bytes,count_bytes skip="$from" count=$((to - from)) bs=64K status=none
}
