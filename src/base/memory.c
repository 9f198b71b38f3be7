/* memory: checked allocation, and the arena for what lives as long as one batch. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "voxgrad/base.h"

enum { ALIGNMENT = 64, ARENA_ALIGNMENT = 256 };

vg_status vg_allocate(void **memory, int64_t count, size_t size, const char *what)
{
    size_t bytes;
    *memory = NULL;
    if (count < 0)
        return vg_fail(VG_DEFECT, "a negative number (%lld) of %s", (long long)count, what);
    if (__builtin_mul_overflow((size_t)count, size, &bytes) || bytes > PTRDIFF_MAX - ALIGNMENT)
        return vg_fail(VG_NO_MEMORY, "%lld %s of %zu bytes are more than any memory holds", (long long)count, what, size);
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    *memory = aligned_alloc(ALIGNMENT, bytes > 0 ? bytes : ALIGNMENT);
    if (*memory == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for %s: %.1f MB more are needed", what, (double)bytes / 1e6);
    memset(*memory, 0, bytes);
    return VG_OK;
}

vg_status vg_multiply(int64_t a, int64_t b, const char *what, int64_t *product)
{
    if (__builtin_mul_overflow(a, b, product))
        return vg_fail(VG_INVALID, "%s: %lld x %lld is too large", what, (long long)a, (long long)b);
    return VG_OK;
}

vg_status vg_format(char **string, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(string, format, arguments);
    va_end(arguments);
    if (length < 0) {
        *string = NULL;
        return vg_fail(VG_NO_MEMORY, "no memory for a string");
    }
    return VG_OK;
}

vg_status vg_arena_take(vg_arena *arena, void **piece, int64_t count, size_t size, const char *what)
{
    size_t bytes;
    *piece = NULL;
    if (count < 0)
        return vg_fail(VG_DEFECT, "a negative number (%lld) of %s", (long long)count, what);
    if (__builtin_mul_overflow((size_t)count, size, &bytes) || bytes > PTRDIFF_MAX - ARENA_ALIGNMENT)
        return vg_fail(VG_NO_MEMORY, "%lld %s of %zu bytes are more than any memory holds", (long long)count, what, size);
    size_t asked = bytes;
    bytes = (bytes + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
    if (bytes > arena->size - arena->used)
        return vg_fail(VG_NO_MEMORY, "no memory for %s: %.1f MB of working memory are needed, %.1f MB were set aside", what,
                       (double)(arena->used + bytes) / 1e6, (double)arena->size / 1e6);
    *piece = (char *)arena->memory + arena->used;
    if (arena->fence != NULL)
        arena->fence(*piece, asked, bytes - asked);
    arena->used += bytes;
    if (arena->used > arena->peak)
        arena->peak = arena->used;
    return VG_OK;
}

void vg_arena_release(vg_arena *arena, size_t used)
{
    if (arena->fence != NULL && arena->used > used)
        arena->fence((char *)arena->memory + used, 0, arena->used - used);
    arena->used = used;
}
