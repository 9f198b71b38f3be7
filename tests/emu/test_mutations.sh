#!/usr/bin/env bash
# Protects: that the emulation would show a broken kernel (EMU, no GPU). The device table is run in its race build, and the exact buffers of
# test_exact in all builds: the kernels as they are pass; copies that lack a barrier, read one element past the end, or add into one shared
# word from all threads do not.
set -u
if [ "${VG_CUDA-}" != EMU ]; then
    echo "skipped: this build has no emulated GPU (cmake --preset emu)"
    exit 77
fi
folder=$(mktemp -d) && trap 'rm -rf -- "$folder"' EXIT
objects=$VG_BUILD/tests/emu/CMakeFiles
flags=(-std=c++17 -O1 -g -fPIC -fvisibility=hidden -D_GNU_SOURCE "-I$VG_SOURCE/tests/emu/include" "-I$VG_SOURCE/tests/emu" "-I$VG_SOURCE/include" "-I$VG_SOURCE/kernels")
faults=0
fault() { echo "FAULT: $*" && faults=$((faults + 1)); }

# on KIND MODULE PROGRAM: the program with that module; AddressSanitizer must be there before the program is.
on() {
    local preload=
    [ "$1" != asan ] || preload=$(gcc -print-file-name=libasan.so)
    LD_PRELOAD=$preload ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0 VOXGRAD_CUDA_MODULE=$2 \
        timeout -k 5 300 "$VG_BUILD/tests/$3" >"$folder/log" 2>&1
}

for kind in . race asan; do
    on "$kind" "$VG_BUILD/$kind/voxgrad_cuda.so" emu_test_exact || fault "the kernels as they are, $kind build: $(tail -n 20 "$folder/log")"
done
for kind in race asan; do
    on "$kind" "$VG_BUILD/$kind/voxgrad_cuda.so" device_test_device || fault "the device table in the $kind build: $(tail -n 20 "$folder/log")"
done
on asan "$VG_BUILD/asan/voxgrad_cuda.so" emu_test_arena || fault "the arena's pieces as they are: $(tail -n 20 "$folder/log")"
on asan "$VG_BUILD/asan/voxgrad_cuda.so" lm_test_engine || fault "the engine in the asan build: $(tail -n 20 "$folder/log")"
for overrun in kernel:use-after-poison released:use-after-poison "copy:not in live device memory"; do
    export VG_OVERRUN=${overrun%%:*}
    ! on asan "$VG_BUILD/asan/voxgrad_cuda.so" emu_test_arena || fault "an overrun in the arena passes: $VG_OVERRUN"
    grep -q "${overrun#*:}" "$folder/log" || fault "$VG_OVERRUN: \"${overrun#*:}\" was expected in: $(tail -n 20 "$folder/log")"
    echo "found: $VG_OVERRUN past the end of a piece of the arena, or of one given back"
done
unset VG_OVERRUN

# broken KIND KERNEL SED SAYS: a copy of a kernel so changed is found by that build, in the words SAYS.
broken() {
    local kind=$1 kernel=$2 edit=$3 says=$4 target=voxgrad_cuda_$1 flag=-fsanitize=address
    [ "$kind" != race ] || flag=-fsanitize=thread
    sed "$edit" "$VG_SOURCE/kernels/$kernel.cu" >"$folder/$kernel.cu"
    ! cmp -s "$VG_SOURCE/kernels/$kernel.cu" "$folder/$kernel.cu" || { fault "$edit changes nothing in $kernel.cu" && return; }
    g++ "${flags[@]}" "$flag" -xc++ -c "$folder/$kernel.cu" -o "$folder/$kernel.o" || { fault "$kernel.cu with $edit does not compile" && return; }
    mapfile -t others < <(find "$objects/$target.dir" "$objects/${target}_kernels.dir" -name '*.o' ! -name "$kernel.cu.o")
    [ "$kind" != asan ] || flag="-fsanitize=address"
    [ "$kind" != race ] || flag="-g"
    mpicxx -shared "$flag" -o "$folder/voxgrad_cuda.so" "$folder/$kernel.o" "${others[@]}" -lopenblas -llapacke || { fault "$kernel.cu with $edit does not link" && return; }
    ! on "$kind" "$folder/voxgrad_cuda.so" emu_test_exact || fault "$kernel.cu with $edit passes in the $kind build"
    grep -q "$says" "$folder/log" || fault "$kernel.cu with $edit: \"$says\" was expected in: $(tail -n 20 "$folder/log")"
    echo "found: $kernel.cu with $edit"
}
broken race linear '/part\[threadIdx.y\]\[threadIdx.x\] = total;/,/__syncthreads/ s/__syncthreads();//' 'emulated GPU: race'
broken race linear 's/part\[threadIdx.y\]\[threadIdx.x\] = total;/part[0][threadIdx.x] += total;/' 'emulated GPU: race'
broken asan reduce 's/i < offset\[s + 1\] \* columns;/i <= offset[s + 1] * columns;/' 'AddressSanitizer: use-after-poison'
echo "$faults faults"
[ "$faults" -eq 0 ]
