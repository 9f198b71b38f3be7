/* fuzz: a fuzzer is a file fuzz_WHAT.c with LLVMFuzzerTestOneInput; its seeds, written for the project, are in corpus/WHAT/. Built with
 * clang and -DVOXGRAD_FUZZ=ON it is a libFuzzer (run it with its corpus folder); otherwise this main replays each seed, every beginning of
 * it and some thousand altered copies, always the same ones, as an ordinary test. */
#ifndef VOXGRAD_TESTS_FUZZ_H
#define VOXGRAD_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#ifndef VG_LIBFUZZER
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "voxgrad/base.h"

/* A copy of exactly `size` bytes, so that reading past its end is seen. */
static void try_copy(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (size > 0)
        memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* One to eight changes: a byte set, a byte taken out, a piece moved over another. */
static size_t alter(uint8_t *bytes, size_t size, uint64_t seed)
{
    static const uint8_t telling[] = "\0\xFF\n\t,\"'{}[]<>()!-.019eEn/:";
    uint64_t changes = 1 + vg_random_bits(seed, VG_RANDOM_TEST, 0) % 8;
    for (uint64_t c = 1; c <= changes && size > 1; c++) {
        uint64_t bits = vg_random_bits(seed, VG_RANDOM_TEST, c);
        size_t at = (size_t)(bits >> 32) % size, from = (size_t)(bits >> 8 & 0xFFFFFF) % size, length = 1 + bits % 16;
        if (bits % 4 == 0) {
            memmove(bytes + at, bytes + at + 1, --size - at);
        } else if (bits % 4 == 1) {
            length = length < size - at ? length : size - at;
            memmove(bytes + at, bytes + from, length < size - from ? length : size - from);
        } else {
            bytes[at] = bits % 4 == 2 ? telling[(bits >> 4) % (sizeof telling - 1)] : (uint8_t)(bits >> 16);
        }
    }
    return size;
}

static void replay(const char *path)
{
    vg_file file;
    if (vg_file_open(path, &file) != VG_OK)
        abort();
    try_copy(file.data, file.size);
    for (size_t size = 0; size < file.size && size < 4096; size++)
        try_copy(file.data, size);
    uint8_t *copy = malloc(file.size + 1);
    for (uint64_t seed = 0; seed < 3000 && file.size > 0; seed++) {
        memcpy(copy, file.data, file.size);
        try_copy(copy, alter(copy, file.size, seed));
    }
    free(copy);
    vg_file_close(&file);
}

int main(int argc, char **argv)
{
    int seeds = 0;
    vg_log_configure(VG_LOG_ERROR, 0, 1);
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (folder == NULL)
        return 2;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        if (entry->d_name[0] == '.')
            continue;
        replay(path);
        seeds++;
    }
    closedir(folder);
    printf("%s: %d seeds\n", argv[1], seeds);
    return seeds > 0 ? 0 : 1; /* a corpus that is gone must not pass */
}
#endif

#endif
