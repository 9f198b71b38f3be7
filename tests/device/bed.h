/* bed: where one operation of the device table is tried. Buffers lie on the device between guards, with a copy of what was put there on
 * the host; an operation may change exactly what the case says (everything else, inputs, gaps between rows and guards, must stay as
 * it was to the bit). Results are compared with a float64 reference by ||got - wanted|| / ||wanted||, and their checksum is kept
 * so that runs on other numbers of threads can be compared bit by bit. */
#ifndef VOXGRAD_TESTS_DEVICE_BED_H
#define VOXGRAD_TESTS_DEVICE_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "voxgrad/device.h"

enum { BED_BUFFERS = 16, BED_GUARD = 256 };

typedef struct {
    size_t bytes;
    uint8_t *host, *memory; /* what was put there, guards included */
    void *data;             /* device: between the guards */
    bool judged;
} bed_buffer;

typedef struct {
    vg_device *device;
    bool judge;           /* compute references and compare with them */
    bool timed;           /* measure; compare nothing */
    bool counted;         /* timed, but nothing is called: only what one call takes is said */
    const char *what;     /* for messages */
    const int64_t *shape; /* the case's own numbers */
    uint64_t drawn;       /* random numbers used so far */
    uint32_t checksum;    /* of all results */
    double worst;         /* error, as a part of what is allowed */
    double bytes, flops;  /* work of one call, said by the case */
    double best, median;  /* seconds a call */
    double processor;     /* the same, of all threads together: the least */
    bed_buffer buffer[BED_BUFFERS];
    int buffers;
} bed;

static inline double *bed_doubles(int64_t count)
{
    double *x = calloc((size_t)(count > 0 ? count : 1), sizeof *x);
    assert_non_null(x);
    return x;
}

/* Puts host memory (given to the bed) between guards on the device. */
static inline void *bed_put(bed *b, const void *content, size_t bytes)
{
    assert_in_range(b->buffers, 0, BED_BUFFERS - 1);
    bed_buffer *buffer = &b->buffer[b->buffers++];
    size_t whole = bytes + 2 * BED_GUARD;
    *buffer = (bed_buffer){.bytes = bytes, .host = malloc(whole)};
    memset(buffer->host, 0x7B, whole); /* as a float: 1.3e36 */
    if (bytes > 0 && content != NULL)
        memcpy(buffer->host + BED_GUARD, content, bytes);
    assert_int_equal(VG_DEVICE_NEW(b->device, &buffer->memory, (int64_t)whole), VG_OK);
    assert_int_equal(b->device->ops->up(b->device, buffer->memory, buffer->host, whole), VG_OK);
    buffer->data = buffer->memory + BED_GUARD;
    return buffer->data;
}

static inline bed_buffer *bed_find(bed *b, const void *data)
{
    for (int i = 0; i < b->buffers; i++)
        if (b->buffer[i].data == data)
            return &b->buffer[i];
    fail_msg("not a buffer of the bed");
    return NULL;
}

/* The host's copy of what was put there. */
static inline const float *bed_host(bed *b, const void *data)
{
    return (const float *)(const void *)(bed_find(b, data)->host + BED_GUARD);
}

static inline float bed_normal(bed *b)
{
    return (float)vg_random_normal(7, VG_RANDOM_TEST, b->drawn++);
}

/* count standard normal numbers times `scale`. */
static inline float *bed_floats(bed *b, int64_t count, double scale)
{
    float *x = calloc((size_t)count + 1, sizeof *x);
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)scale * bed_normal(b);
    float *data = bed_put(b, x, (size_t)count * sizeof *x);
    free(x);
    return data;
}

static inline double *bed_wide(bed *b, int64_t count, double scale)
{
    double *x = bed_doubles(count);
    for (int64_t i = 0; i < count; i++)
        x[i] = scale * vg_random_normal(7, VG_RANDOM_TEST, b->drawn++);
    double *data = bed_put(b, x, (size_t)count * sizeof *x);
    free(x);
    return data;
}

/* Room for count floats that hold rubbish. */
static inline float *bed_room(bed *b, int64_t count)
{
    return bed_put(b, NULL, (size_t)count * sizeof(float));
}

/* Whole numbers in low .. high. */
static inline int32_t *bed_integers(bed *b, int64_t count, int32_t low, int32_t high)
{
    int32_t *x = calloc((size_t)count + 1, sizeof *x);
    for (int64_t i = 0; i < count; i++)
        x[i] = low + (int32_t)(vg_random_bits(7, VG_RANDOM_TEST, b->drawn++) % (uint64_t)(high - low + 1));
    int32_t *data = bed_put(b, x, (size_t)count * sizeof *x);
    free(x);
    return data;
}

static inline const int32_t *bed_host_integers(bed *b, const void *data)
{
    return (const int32_t *)(const void *)bed_host(b, data);
}

static inline void bed_check(bed *b, bool fine, const char *fault)
{
    if (!fine) {
        fprintf(stderr, "%s, shape", b->what);
        for (int i = 0; i < 10; i++)
            fprintf(stderr, " %lld", (long long)b->shape[i]);
        fprintf(stderr, ", on %s: %s\n", b->device->name, fault);
        fail();
    }
}

/* An error that must not be above what is allowed. */
static inline void bed_error(bed *b, double error, double allowed)
{
    char fault[96];
    snprintf(fault, sizeof fault, "relative error %.2e, allowed %.1e", error, allowed);
    b->worst = fmax(b->worst, error / allowed);
    bed_check(b, error <= allowed, fault);
}

/* Reads the buffer back: guards whole, checksum taken. To be given to free(). */
static inline uint8_t *bed_read(bed *b, bed_buffer *buffer)
{
    size_t whole = buffer->bytes + 2 * BED_GUARD;
    uint8_t *now = malloc(whole);
    assert_int_equal(b->device->ops->down(b->device, now, buffer->memory, whole), VG_OK);
    bed_check(
        b, memcmp(now, buffer->host, BED_GUARD) == 0 && memcmp(now + whole - BED_GUARD, buffer->host + whole - BED_GUARD, BED_GUARD) == 0,
        "wrote outside of a buffer");
    b->checksum = vg_crc32c(b->checksum, now, whole);
    return now;
}

/* What a result must be; where `wanted` is not a number the element must be as it was. */
static inline void bed_expect_any(bed *b, const void *data, vg_type type, const double *wanted, double allowed)
{
    bed_buffer *buffer = bed_find(b, data);
    uint8_t *now = bed_read(b, buffer);
    buffer->judged = true;
    if (b->judge) {
        size_t size = type == VG_F32 ? sizeof(float) : sizeof(double);
        double difference = 0.0, norm = 0.0;
        for (size_t i = 0; i < buffer->bytes / size; i++) {
            const uint8_t *is = now + BED_GUARD + i * size, *was = buffer->host + BED_GUARD + i * size;
            double value = type == VG_F32 ? (double)*(const float *)(const void *)is : *(const double *)(const void *)is;
            if (isnan(wanted[i])) {
                bed_check(b, memcmp(is, was, size) == 0, "changed what it must leave alone");
                continue;
            }
            bed_check(b, isfinite(value), "a result is not finite");
            difference += (value - wanted[i]) * (value - wanted[i]);
            norm += wanted[i] * wanted[i];
        }
        bed_error(b, norm > 0 ? sqrt(difference / norm) : sqrt(difference), allowed);
    }
    free(now);
}

static inline void bed_expect(bed *b, const float *data, const double *wanted, double allowed)
{
    bed_expect_any(b, data, VG_F32, wanted, allowed);
}

/* A result for the case's own checks, on the host; to be given to free(). */
static inline void *bed_take(bed *b, const void *data)
{
    bed_buffer *buffer = bed_find(b, data);
    uint8_t *now = bed_read(b, buffer), *content = malloc(buffer->bytes + 1);
    memcpy(content, now + BED_GUARD, buffer->bytes);
    buffer->judged = true;
    free(now);
    return content;
}

/* What no one declared a result must be as it was; then everything is given back. */
static inline void bed_clear(bed *b)
{
    for (int i = 0; i < b->buffers; i++) {
        bed_buffer *buffer = &b->buffer[i];
        if (!buffer->judged && !b->timed) {
            uint8_t *now = bed_read(b, buffer);
            bed_check(b, memcmp(now, buffer->host, buffer->bytes + 2 * BED_GUARD) == 0, "changed one of its inputs");
            free(now);
        }
        b->device->ops->free(b->device, buffer->memory);
        free(buffer->host);
    }
    b->buffers = 0;
}

static inline int bed_compare(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

/* Seconds of processor that all threads of this process have used: on a shared machine the honest measure of an operation's cost. */
static inline double bed_processor(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

typedef struct {
    double took[4096], processor, began, start, start_processor;
    int count;
} bed_watch;

static inline void bed_start(bed_watch *w)
{
    w->start = vg_seconds();
    w->start_processor = bed_processor();
}

/* Whether the operation is to be called once more. */
static inline bool bed_stop(bed *b, bed_watch *w, vg_status status)
{
    bed_check(b, status == VG_OK, vg_message());
    b->device->ops->sync(b->device);
    double processor = bed_processor() - w->start_processor;
    w->took[w->count++] = vg_seconds() - w->start;
    w->processor = w->count == 1 ? processor : fmin(w->processor, processor);
    if (b->timed && w->count < 4096 && (w->count < 5 || vg_seconds() - w->began < 0.5))
        return true;
    qsort(w->took, (size_t)w->count, sizeof *w->took, bed_compare);
    b->best = w->took[0];
    b->median = w->took[w->count / 2];
    b->processor = w->processor;
    return false;
}

/* Calls the operation, once, or, to time it, until half a second has passed. The case returns after it where `timed`. */
#define BED_CALL(b, call)                               \
    do {                                                \
        bed_watch bed_watch_ = {.began = vg_seconds()}; \
        if ((b)->counted)                               \
            break;                                      \
        do                                              \
            bed_start(&bed_watch_);                     \
        while (bed_stop((b), &bed_watch_, (call)));     \
    } while (0)

#endif
