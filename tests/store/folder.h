/* A folder of its own for each test, gone afterwards, and the little that the tests do with files. */
#ifndef VOXGRAD_TESTS_STORE_FOLDER_H
#define VOXGRAD_TESTS_STORE_FOLDER_H

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[96];

static inline int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/vg_store_XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/features.h5", folder);
    return 0;
}

static inline int remove_folder(void **state)
{
    (void)state;
    while (umount2(folder, MNT_DETACH) == 0) /* a test that mounted something there and failed */
        continue;
    DIR *listing = opendir(folder);
    for (struct dirent *entry; listing != NULL && (entry = readdir(listing)) != NULL;) {
        char name[PATH_MAX];
        snprintf(name, sizeof name, "%s/%s", folder, entry->d_name);
        unlink(name);
    }
    closedir(listing);
    return rmdir(folder);
}

static inline int count_files(const char *where)
{
    int count = 0;
    DIR *listing = opendir(where);
    for (struct dirent *entry; listing != NULL && (entry = readdir(listing)) != NULL;)
        count += entry->d_name[0] != '.';
    if (listing != NULL)
        closedir(listing);
    return count;
}

/* path + end, valid until the eighth call after it. */
static inline const char *beside(const char *end)
{
    static char names[8][128];
    static int next;
    next = (next + 1) % 8;
    snprintf(names[next], sizeof names[next], "%s%s", path, end);
    return names[next];
}

static inline bool exists(const char *name)
{
    return access(name, F_OK) == 0;
}

/* All bytes of a file; to be given to free(). */
static inline uint8_t *read_all(const char *name, size_t *size)
{
    struct stat about;
    int descriptor = open(name, O_RDONLY);
    if (descriptor < 0 || fstat(descriptor, &about) != 0)
        abort();
    *size = (size_t)about.st_size;
    uint8_t *bytes = malloc(*size + 1);
    if (read(descriptor, bytes, *size) != (ssize_t)*size)
        abort();
    close(descriptor);
    return bytes;
}

static inline void write_all(const char *name, const void *bytes, size_t size)
{
    int descriptor = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (descriptor < 0 || write(descriptor, bytes, size) != (ssize_t)size)
        abort();
    close(descriptor);
}

static inline void flip(const char *name, int64_t at)
{
    uint8_t byte;
    int descriptor = open(name, O_RDWR);
    if (descriptor < 0 || pread(descriptor, &byte, 1, at) != 1)
        abort();
    byte ^= 0x10;
    if (pwrite(descriptor, &byte, 1, at) != 1)
        abort();
    close(descriptor);
}

#endif
