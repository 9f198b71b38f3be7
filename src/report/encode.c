/* encode: text of users and numbers on their way into HTML, SVG, JSON and CSV: whatever a story or a region is called, it stays text. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

void encode_html(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            if ((unsigned char)*text >= 0x20 || *text == '\n' || *text == '\t') /* other control characters are not XML */
                fputc(*text, out);
        }
    }
}

void encode_json(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == '<' || c == '>' || c == '&' || c == '"' || c == '\\')
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

void encode_csv(FILE *out, const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

void encode_number(FILE *out, double value)
{
    if (isfinite(value))
        fprintf(out, "%.9g", value);
}

void encode_json_number(FILE *out, double value)
{
    if (isfinite(value))
        encode_number(out, value);
    else
        fputs("null", out);
}

void encode_base64(FILE *out, const void *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *at = data;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        unsigned bits = (unsigned)at[i] << 16 | (left > 1 ? (unsigned)at[i + 1] << 8 : 0) | (left > 2 ? at[i + 2] : 0);
        fputc(digits[bits >> 18], out);
        fputc(digits[bits >> 12 & 63], out);
        fputc(left > 1 ? digits[bits >> 6 & 63] : '=', out);
        fputc(left > 2 ? digits[bits & 63] : '=', out);
    }
}

uint16_t encode_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    if (isnan(value))
        return 0x7e00;
    float size = fabsf(value);
    if (size >= 65520.0f)
        return (uint16_t)(sign | 0x7c00);
    int exponent;
    frexpf(size, &exponent);
    if (size == 0.0f || exponent < -13) /* zero and subnormal: multiples of 2^-24 */
        return (uint16_t)(sign | (uint16_t)lrintf(ldexpf(size, 24)));
    uint32_t steps = (uint32_t)lrintf(ldexpf(size, 11 - exponent)); /* 1024 .. 2048: a carry raises the exponent by itself */
    return (uint16_t)(sign | (((uint32_t)(exponent + 14) << 10) + (steps - 1024)));
}

/* ---- streams and files ------------------------------------------------------------------------------------------------ */

vg_status report_buffer_open(report_buffer *buffer)
{
    *buffer = (report_buffer){0};
    buffer->stream = open_memstream(&buffer->text, &buffer->size);
    return buffer->stream != NULL ? VG_OK : vg_fail(VG_NO_MEMORY, "report: no memory for a stream");
}

vg_status report_buffer_close(report_buffer *buffer)
{
    FILE *stream = buffer->stream;
    buffer->stream = NULL;
    if (stream == NULL || ferror(stream) != 0 || fclose(stream) != 0 || buffer->text == NULL)
        return vg_fail(VG_NO_MEMORY, "report: no memory for a part of the page");
    return VG_OK;
}

void report_buffer_free(report_buffer *buffer)
{
    if (buffer->stream != NULL)
        fclose(buffer->stream);
    free(buffer->text);
    *buffer = (report_buffer){0};
}

vg_status report_write_file(const char *folder, const char *name, const char *text, size_t size)
{
    char *path;
    VG_TRY(vg_format(&path, "%s/%s", folder, name));
    errno = 0;
    FILE *file = fopen(path, "wb");
    bool written = file != NULL && fwrite(text, 1, size, file) == size;
    if (file != NULL)
        written = fclose(file) == 0 && written;
    vg_status status = written ? VG_OK
                               : vg_fail(errno == ENOSPC || errno == EDQUOT ? VG_NO_SPACE : VG_INVALID, "%s: cannot be written: %s", path,
                                         strerror(errno));
    free(path);
    return status;
}
