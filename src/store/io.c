/* io: the system's calls, repeated until all is done. */
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

vg_status vg_io_fail(const char *path, const char *what)
{
    int code = errno;
    return vg_fail(code == ENOSPC || code == EDQUOT ? VG_NO_SPACE : VG_INVALID, "%s: %s: %s", path, what, strerror(code));
}

vg_status vg_io_open(const char *path, int flags, int *descriptor)
{
    *descriptor = open(path, flags | O_CLOEXEC, 0666);
    return *descriptor >= 0 ? VG_OK : vg_io_fail(path, "cannot be opened");
}

vg_status vg_io_write(int descriptor, const char *path, const void *data, size_t size, int64_t at)
{
    const char *bytes = data;
    while (size > 0) {
        ssize_t done = pwrite(descriptor, bytes, size, at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return vg_io_fail(path, "cannot be written");
        bytes += done;
        size -= (size_t)done;
        at += done;
    }
    return VG_OK;
}

vg_status vg_io_read(int descriptor, const char *path, void *data, size_t size, int64_t at)
{
    char *bytes = data;
    while (size > 0) {
        ssize_t done = pread(descriptor, bytes, size, at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return vg_io_fail(path, "cannot be read");
        if (done == 0)
            return vg_fail(VG_INVALID, "%s: is cut off at %lld bytes", path, (long long)at);
        bytes += done;
        size -= (size_t)done;
        at += done;
    }
    return VG_OK;
}

vg_status vg_io_crc(int descriptor, const char *path, int64_t at, int64_t size, uint32_t *crc)
{
    enum { BUFFER = 1 << 18 };
    uint8_t *buffer;
    vg_status status = VG_OK;
    VG_TRY(VG_NEW(&buffer, size < BUFFER ? size : BUFFER, "bytes of a buffer"));
    while (size > 0 && status == VG_OK) {
        size_t some = size < BUFFER ? (size_t)size : BUFFER;
        status = vg_io_read(descriptor, path, buffer, some, at);
        if (status == VG_OK)
            *crc = vg_crc32c(*crc, buffer, some);
        at += (int64_t)some;
        size -= (int64_t)some;
    }
    free(buffer);
    return status;
}

vg_status vg_io_reserve(int descriptor, const char *path, int64_t size)
{
    int code;
    if (size <= 0)
        return VG_OK;
    do
        code = posix_fallocate(descriptor, 0, size);
    while (code == EINTR);
    if (code == 0 || code == EOPNOTSUPP || code == ENOSYS || code == EINVAL)
        return VG_OK; /* a file system that cannot: a full disk is found later */
    errno = code;
    return vg_io_fail(path, "the space cannot be reserved");
}

vg_status vg_io_sync(int descriptor, const char *path)
{
    return fsync(descriptor) == 0 ? VG_OK : vg_io_fail(path, "cannot be brought to the disk");
}

vg_status vg_io_sync_folder(const char *file)
{
    char *folder;
    int descriptor;
    VG_TRY(vg_path_beside(file, ".", &folder));
    vg_status status = vg_io_open(folder, O_RDONLY | O_DIRECTORY, &descriptor);
    if (status == VG_OK) {
        if (fsync(descriptor) != 0 && errno != EINVAL && errno != EROFS) /* some network file systems have no such thing */
            status = vg_io_fail(folder, "cannot be brought to the disk");
        close(descriptor);
    }
    free(folder);
    return status;
}

vg_status vg_io_rename(const char *from, const char *to)
{
    if (rename(from, to) == 0)
        return VG_OK;
    return vg_fail(VG_INVALID, "%s: cannot be renamed to %s: %s", from, to, strerror(errno));
}

vg_status vg_io_put(const char *path, const void *data, size_t size)
{
    int descriptor;
    VG_TRY(vg_io_open(path, O_WRONLY | O_CREAT | O_TRUNC, &descriptor));
    vg_status status = vg_io_write(descriptor, path, data, size, 0);
    if (status == VG_OK)
        status = vg_io_sync(descriptor, path);
    if (close(descriptor) != 0 && status == VG_OK)
        status = vg_io_fail(path, "cannot be closed");
    if (status != VG_OK)
        unlink(path);
    return status;
}
