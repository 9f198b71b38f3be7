#!/usr/bin/env bash
# Protects: every external name of the library is defined once. A static archive hides a clash of two rooms: the linker takes whichever comes first.
set -u
twice=$(nm --defined-only -g "$VG_BUILD/libvoxgrad.a" 2>/dev/null | awk 'NF == 3 && $2 ~ /[TDBR]/ {print $3}' | sort | uniq -d)
[ -z "$twice" ] || { echo "defined in two rooms: $twice"; exit 1; }
