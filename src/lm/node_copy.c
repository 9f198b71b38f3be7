/* node_copy: one copy of a model's float32 weights for all ranks of a node. The rank that comes first makes a file in the node's own
 * temporary folder, under a lock; the others map it, so that memory holds one copy (the page cache's) whatever the number of ranks.
 * FILE: the weights, then a trailer. Who uses it holds a shared lock; who makes it, an exclusive one; the last to leave removes it. A rank
 * that was killed leaves it behind: the next run of the same model finds it whole by its checksum, or makes it again. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "model.h"

typedef struct {
    char magic[8];
    uint64_t bytes;
    uint32_t key, crc;
} trailer;

static const char MAGIC[8] = "vgnode1"; /* its number: of the order in which vg_weights_take lays weights down */
enum { PATIENCE = 600 };                /* s for another rank to make it */

struct vg_node_copy {
    int file;
    char *path;
    uint8_t *data; /* of the file: weights and trailer */
    size_t bytes;  /* of the weights */
    uint32_t key;
};

static vg_status say_why(const vg_node_copy *copy, const char *what)
{
    return vg_fail(errno == ENOSPC || errno == EDQUOT ? VG_NO_SPACE : VG_INVALID, "%s: %s: %s", copy->path, what, strerror(errno));
}

/* A file of this user's alone, that nobody else could have put there. */
static vg_status open_file(vg_node_copy *copy)
{
    struct stat about;
    copy->file = open(copy->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (copy->file < 0)
        return say_why(copy, "cannot be made");
    if (fstat(copy->file, &about) == 0 && S_ISREG(about.st_mode) && about.st_uid == geteuid() && (about.st_mode & 077) == 0)
        return VG_OK;
    close(copy->file);
    copy->file = -1;
    return vg_fail(VG_INVALID, "%s: is not this user's own file", copy->path);
}

/* False where somebody has removed it, and the path is perhaps another's. */
static bool has_name(const vg_node_copy *copy)
{
    struct stat about;
    return fstat(copy->file, &about) == 0 && about.st_nlink > 0;
}

/* Alone, where it is to be made; beside others, who have found it whole. */
static vg_status lock_file(vg_node_copy *copy, bool *alone)
{
    double began = vg_seconds();
    while (vg_seconds() - began < PATIENCE) {
        if (copy->file < 0)
            VG_TRY(open_file(copy));
        *alone = flock(copy->file, LOCK_EX | LOCK_NB) == 0;
        if (!*alone && flock(copy->file, LOCK_SH | LOCK_NB) != 0) {
            if (errno != EWOULDBLOCK && errno != EINTR)
                return say_why(copy, "cannot be locked");
            nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
            continue;
        }
        if (has_name(copy))
            return VG_OK;
        close(copy->file); /* who left last has removed it meanwhile */
        copy->file = -1;
    }
    return vg_fail(VG_INVALID, "%s: another process has been at work at it for %d s", copy->path, PATIENCE);
}

static vg_status map_file(vg_node_copy *copy, bool write)
{
    void *data = mmap(NULL, copy->bytes + sizeof(trailer), write ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, copy->file, 0);
    if (data == MAP_FAILED)
        return say_why(copy, "cannot be mapped");
    copy->data = data;
    return VG_OK;
}

/* Maps it where its size, trailer and checksum are those of these weights. */
static vg_status find_whole(vg_node_copy *copy, bool *whole)
{
    struct stat about;
    trailer last;
    *whole = false;
    if (fstat(copy->file, &about) != 0 || (size_t)about.st_size != copy->bytes + sizeof last)
        return VG_OK;
    VG_TRY(map_file(copy, false));
    memcpy(&last, copy->data + copy->bytes, sizeof last);
    *whole = memcmp(last.magic, MAGIC, sizeof MAGIC) == 0 && last.bytes == copy->bytes && last.key == copy->key &&
             last.crc == vg_crc32c(0, copy->data, copy->bytes);
    if (!*whole) {
        munmap(copy->data, copy->bytes + sizeof last);
        copy->data = NULL;
    }
    return VG_OK;
}

/* Room for all of it before the first byte: a full disk is found here, and not by a signal later. */
static vg_status make_room(vg_node_copy *copy)
{
    if (ftruncate(copy->file, 0) != 0)
        return say_why(copy, "cannot be emptied");
    errno = posix_fallocate(copy->file, 0, (off_t)(copy->bytes + sizeof(trailer)));
    if (errno != 0)
        return say_why(copy, "there is no room for the weights");
    return map_file(copy, true);
}

static vg_status take(vg_node_copy *copy, bool *whole)
{
    bool alone;
    VG_TRY(lock_file(copy, &alone));
    VG_TRY(find_whole(copy, whole));
    if (!*whole && !alone)
        return vg_fail(VG_INVALID, "%s: is damaged, and in use", copy->path);
    if (!*whole)
        return make_room(copy);
    return flock(copy->file, LOCK_SH) == 0 ? VG_OK : say_why(copy, "cannot be locked");
}

vg_status vg_node_copy_open(const char *folder, uint32_t key, size_t bytes, vg_node_copy **copy, bool *whole)
{
    VG_TRY(VG_NEW(copy, 1, "a model"));
    **copy = (vg_node_copy){.file = -1, .bytes = bytes, .key = key};
    vg_status status = vg_format(&(*copy)->path, "%s/voxgrad-%ld-%08x.weights", folder, (long)geteuid(), (unsigned)key);
    if (status == VG_OK)
        status = take(*copy, whole);
    if (status != VG_OK) {
        vg_node_copy_free(*copy);
        *copy = NULL;
    }
    return status;
}

vg_status vg_node_copy_seal(vg_node_copy *copy)
{
    trailer last = {.bytes = copy->bytes, .key = copy->key, .crc = vg_crc32c(0, copy->data, copy->bytes)};
    memcpy(last.magic, MAGIC, sizeof MAGIC);
    memcpy(copy->data + copy->bytes, &last, sizeof last);
    if (mprotect(copy->data, copy->bytes + sizeof last, PROT_READ) != 0 || flock(copy->file, LOCK_SH) != 0)
        return say_why(copy, "cannot be shared");
    return VG_OK;
}

void *vg_node_copy_data(const vg_node_copy *copy)
{
    return copy->data;
}

const char *vg_node_copy_path(const vg_node_copy *copy)
{
    return copy->path;
}

void vg_node_copy_free(vg_node_copy *copy)
{
    if (copy == NULL)
        return;
    if (copy->data != NULL)
        munmap(copy->data, copy->bytes + sizeof(trailer));
    if (copy->file >= 0 && flock(copy->file, LOCK_EX | LOCK_NB) == 0 && has_name(copy))
        unlink(copy->path);
    if (copy->file >= 0)
        close(copy->file);
    free(copy->path);
    free(copy);
}
