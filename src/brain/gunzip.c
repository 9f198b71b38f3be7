/* gunzip: a compressed file as a path that a library which wants a path can open: the bytes go to a file in memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "gunzip.h"

static vg_status copy_out(const char *path, gzFile from, int to)
{
    static const int CHUNK = 1 << 18;
    char *bytes;
    int count;
    vg_status status = VG_OK;
    VG_TRY(VG_NEW(&bytes, CHUNK, "bytes of a file"));
    while ((count = gzread(from, bytes, (unsigned)CHUNK)) > 0)
        for (int written = 0; written < count;) {
            ssize_t done = write(to, bytes + written, (size_t)(count - written));
            if (done < 0) {
                status = vg_fail(VG_NO_MEMORY, "%s: no memory to decompress it: %s", path, strerror(errno));
                goto done;
            }
            written += (int)done;
        }
    if (count < 0 || !gzeof(from))
        status = vg_fail(VG_INVALID, "%s: cannot be decompressed: is it cut off?", path);
done:
    free(bytes);
    return status;
}

vg_status vg_gunzip(const char *path, vg_gunzipped *file)
{
    *file = (vg_gunzipped){.descriptor = -1};
    size_t length = strlen(path);
    if (length < 3 || strcmp(path + length - 3, ".gz") != 0)
        return vg_format(&file->path, "%s", path);
    gzFile from = gzopen(path, "rb");
    if (from == NULL)
        return vg_fail(VG_INVALID, "%s: cannot be read: %s", path, strerror(errno));
    vg_status status = VG_OK;
    file->descriptor = memfd_create("voxgrad", MFD_CLOEXEC);
    if (file->descriptor < 0)
        status = vg_fail(VG_NO_MEMORY, "%s: no memory to decompress it: %s", path, strerror(errno));
    if (status == VG_OK)
        status = copy_out(path, from, file->descriptor);
    if (status == VG_OK)
        status = vg_format(&file->path, "/proc/self/fd/%d", file->descriptor);
    gzclose(from);
    if (status != VG_OK)
        vg_gunzip_close(file);
    return status;
}

void vg_gunzip_close(vg_gunzipped *file)
{
    if (file->descriptor >= 0)
        close(file->descriptor);
    free(file->path);
    *file = (vg_gunzipped){.descriptor = -1};
}
