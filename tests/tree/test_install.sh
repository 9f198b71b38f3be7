#!/usr/bin/env bash
# Protects: the library can be called from other programs: installed, it is found by find_package(voxgrad) and by pkg-config, and a program
# that knows no more than the public headers builds, links and runs both ways.
set -u
folder=$(mktemp -d) && trap 'rm -rf -- "$folder"' EXIT
cd "$folder" || exit 1
fault() {
    echo "FAULT: $*"
    exit 1
}

cmake --install "$VG_BUILD" --prefix "$folder/prefix" >install.log 2>&1 || fault "cmake --install: $(tail -n 3 install.log)"
[ -x prefix/bin/voxgrad ] || fault "no bin/voxgrad"
# What it was built with goes along: a sanitizer's run-time library, say.
flags=$(sed -n 's/^VOXGRAD_SANITIZE:BOOL=ON$/-fsanitize=address,undefined/p' "$VG_BUILD/CMakeCache.txt")

cat >user.c <<'PROGRAM'
#include <stdio.h>
#include <voxgrad/voxgrad.h>
int main(void)
{
    vg_device *device;
    if (vg_device_open("cpu", 0, 1, &device) != VG_OK)
        return 1;
    printf("%s\n", device->name);
    vg_device_close(device);
    return 0;
}
PROGRAM
cat >CMakeLists.txt <<'PROJECT'
cmake_minimum_required(VERSION 3.25)
project(user LANGUAGES C)
find_package(voxgrad REQUIRED)
add_executable(user user.c)
target_link_libraries(user PRIVATE voxgrad::voxgrad)
PROJECT
{ cmake -S . -B build -DCMAKE_PREFIX_PATH="$folder/prefix" -DCMAKE_C_FLAGS="$flags" && cmake --build build; } >cmake.log 2>&1 ||
    fault "find_package: $(tail -n 5 cmake.log)"
ASAN_OPTIONS=detect_leaks=0 ./build/user | grep -q '^cpu' || fault "find_package: the program does not run"

pc=$(dirname "$(find prefix -name voxgrad.pc)")
# shellcheck disable=SC2046,SC2086
PKG_CONFIG_PATH=$pc gcc $flags -o user user.c $(PKG_CONFIG_PATH=$pc pkg-config --cflags --libs voxgrad) >gcc.log 2>&1 || fault "pkg-config: $(tail -n 5 gcc.log)"
ASAN_OPTIONS=detect_leaks=0 ./user | grep -q '^cpu' || fault "pkg-config: the program does not run"
echo "a program that uses the installed library builds and runs both ways"
