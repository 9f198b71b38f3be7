/* file: read-only files, text as UTF-8 whatever Praat or a spreadsheet wrote, paths beside a file. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "voxgrad/base.h"

vg_status vg_file_open(const char *path, vg_file *file)
{
    *file = (vg_file){0};
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return vg_fail(VG_INVALID, "%s: cannot be read: %s", path, strerror(errno));
    struct stat about;
    vg_status status = VG_OK;
    if (fstat(descriptor, &about) != 0 || !S_ISREG(about.st_mode)) {
        status = vg_fail(VG_INVALID, "%s: is not a file", path);
    } else if (about.st_size > 0) {
        void *data = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        if (data == MAP_FAILED)
            status = vg_fail(VG_NO_MEMORY, "%s: cannot be mapped: %s", path, strerror(errno));
        else
            *file = (vg_file){.data = data, .size = (size_t)about.st_size};
    }
    close(descriptor);
    if (status == VG_OK)
        status = vg_format(&file->path, "%s", path);
    if (status != VG_OK)
        vg_file_close(file);
    return status;
}

void vg_file_close(vg_file *file)
{
    if (file->data != NULL)
        munmap((void *)file->data, file->size);
    free(file->path);
    *file = (vg_file){0};
}

size_t vg_utf8_valid(const char *text, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)text;
    size_t at = 0;
    while (at < size) {
        uint8_t first = bytes[at];
        size_t length = first < 0x80                    ? 1
                        : first >= 0xC2 && first < 0xE0 ? 2
                        : (first & 0xF0) == 0xE0        ? 3
                        : first >= 0xF0 && first < 0xF5 ? 4
                                                        : 0;
        if (length == 0 || length > size - at)
            return at;
        for (size_t i = 1; i < length; i++)
            if ((bytes[at + i] & 0xC0) != 0x80)
                return at;
        if ((first == 0xE0 && bytes[at + 1] < 0xA0) || (first == 0xED && bytes[at + 1] > 0x9F) || (first == 0xF0 && bytes[at + 1] < 0x90) ||
            (first == 0xF4 && bytes[at + 1] > 0x8F))
            return at; /* overlong, a surrogate, or beyond U+10FFFF */
        at += length;
    }
    return at;
}

static size_t put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

/* UTF-16 after its byte-order mark; out holds 3 bytes for every 2 of the input. */
static bool convert_utf16(const uint8_t *bytes, size_t size, bool big_endian, char *out, size_t *used)
{
    size_t high = big_endian ? 0 : 1;
    *used = 0;
    if (size % 2 != 0)
        return false;
    for (size_t at = 0; at < size; at += 2) {
        uint32_t unit = (uint32_t)bytes[at + high] << 8 | bytes[at + 1 - high];
        if (unit >= 0xD800 && unit < 0xDC00 && at + 2 < size) {
            uint32_t low = (uint32_t)bytes[at + 2 + high] << 8 | bytes[at + 3 - high];
            if (low < 0xDC00 || low > 0xDFFF)
                return false;
            unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
            at += 2;
        } else if (unit >= 0xD800 && unit < 0xE000) {
            return false;
        }
        *used += put_utf8(out + *used, unit);
    }
    return true;
}

static vg_status decode(const vg_file *file, const char *path, char **text, size_t *size)
{
    const uint8_t *data = file->data;
    if (file->size >= 2 && ((data[0] == 0xFF && data[1] == 0xFE) || (data[0] == 0xFE && data[1] == 0xFF))) {
        VG_TRY(VG_NEW(text, (int64_t)(file->size / 2 * 3 + 1), "bytes of text"));
        if (!convert_utf16(data + 2, file->size - 2, data[0] == 0xFE, *text, size))
            return vg_fail(VG_INVALID, "%s: begins as UTF-16 but is not valid UTF-16 (cut off?); save it as UTF-8", path);
        return VG_OK;
    }
    size_t skip = file->size >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    *size = file->size - skip;
    VG_TRY(VG_NEW(text, (int64_t)*size + 1, "bytes of text"));
    if (*size > 0)
        memcpy(*text, data + skip, *size);
    size_t valid = vg_utf8_valid(*text, *size);
    if (valid < *size) {
        int64_t line = 1;
        for (size_t i = 0; i < valid; i++)
            line += (*text)[i] == '\n';
        return vg_fail(VG_INVALID, "%s:%lld: is not UTF-8 (byte %02x); save it as UTF-8", path, (long long)line,
                       (unsigned)(uint8_t)(*text)[valid]);
    }
    return VG_OK;
}

vg_status vg_text_read(const char *path, char **text, size_t *size)
{
    vg_file file;
    *text = NULL;
    *size = 0;
    VG_TRY(vg_file_open(path, &file));
    vg_status status = decode(&file, path, text, size);
    vg_file_close(&file);
    if (status != VG_OK) {
        free(*text);
        *text = NULL;
    }
    return status;
}

vg_status vg_path_beside(const char *file, const char *path, char **joined)
{
    const char *slash = strrchr(file, '/');
    if (path[0] == '/' || slash == NULL)
        return vg_format(joined, "%s", path);
    return vg_format(joined, "%.*s/%s", (int)(slash - file), file, path);
}
