#!/bin/sh
# SPDX-License-Identifier: MIT
# archive.sh IN.a OUT.a: all of IN as one object in which only the exported names are global, so that none of the
# library's own can clash with those of the program it is linked into.
set -eu
object=$2.o
ld -r --whole-archive "$1" -o "$object"
objcopy --localize-hidden "$object"
rm -f "$2"
ar rcs "$2" "$object"
rm -f "$object"
