/* base: what every room needs and libc does not give. Status and messages, log and progress bar, checked allocation,
 * read-only files and their lines, matrix views, the counter-based random numbers, command-line options.
 * Nothing here is collective; everything but the log's settings and the progress bar may be called from any thread. */
#ifndef VOXGRAD_BASE_H
#define VOXGRAD_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* ---- status and messages ------------------------------------------------------------------------------------- */

typedef enum {
    VG_OK = 0,
    VG_INVALID,     /* bad usage or bad input: the user can mend it */
    VG_NO_MEMORY,   /* more memory (host or device) than there is; the message says how much was needed */
    VG_NO_SPACE,    /* the disk is full */
    VG_NO_DEVICE,   /* a device was asked for that is not there, or failed */
    VG_INTERRUPTED, /* stopped on request; the work can be resumed */
    VG_DEFECT,      /* a defect in voxgrad: an identity that must hold did not */
} vg_status;

/* The process's exit code for a status: 0 done, 2 bad usage or input, 3 resources, 4 interrupted, 5 defect. */
int vg_exit_code(vg_status status);

/* Sets this thread's message (what, where, what to do; no newline at the end) and returns `status`. A message of
 * up to 2,047 bytes is kept; a longer one is cut. Call it where the fault is known, and pass the status up. */
vg_status vg_fail(vg_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts words before this thread's message ("subject s18: " ...) and returns `status`. */
vg_status vg_fail_within(vg_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* This thread's last message; "" if none. Valid until the thread's next vg_fail. */
const char *vg_message(void);

#ifdef __clang_analyzer__ /* it sees one file at a time: that these return the status they are given */
#define vg_fail(status, ...) ((vg_fail)(status, __VA_ARGS__), (status))
#define vg_fail_within(status, ...) ((vg_fail_within)(status, __VA_ARGS__), (status))
#endif

/* Passes a failure up. */
#define VG_TRY(call)                       \
    do {                                   \
        vg_status vg_try_status_ = (call); \
        if (vg_try_status_ != VG_OK)       \
            return vg_try_status_;         \
    } while (0)

/* Passes a failure to the label `done`, where what was taken is given back; needs a local `vg_status status`. */
#define VG_GO(call)          \
    do {                     \
        status = (call);     \
        if (status != VG_OK) \
            goto done;       \
    } while (0)

/* ---- log and progress ------------------------------------------------------------------------------------------ */

typedef enum { VG_LOG_ERROR, VG_LOG_WARNING, VG_LOG_INFO, VG_LOG_DEBUG } vg_log_level;

/* What is shown on standard error: messages up to `level`; information and progress by rank 0 alone. */
void vg_log_configure(vg_log_level level, int rank, int ranks);
void vg_log_rank(int rank, int ranks); /* once MPI says who this is */

/* One line to standard error, "voxgrad: " (and on more than one rank "voxgrad[RANK]: ") before it; never more than one
 * write(2), so lines of several ranks do not mix. */
void vg_log(vg_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A bar on a terminal (redrawn at most ten times a second, with rate and remaining time), a line a minute otherwise.
 * One at a time; steps may come from several threads. On ranks but 0 it does nothing. */
void vg_progress_begin(const char *title, int64_t total, const char *unit);
void vg_progress_step(int64_t done);
void vg_progress_end(void);

/* Seconds on a monotonic clock. */
double vg_seconds(void);

/* ---- a wish to stop ---------------------------------------------------------------------------------------------- */

/* From now on SIGUSR1, SIGTERM and SIGINT are noted instead of ending the process (a second SIGTERM or SIGINT ends it), and a rank that an
 * MPI launcher began dies with its launcher. */
void vg_interrupt_catch(void);

/* The name of the signal that asked this process to stop, or NULL. */
const char *vg_interrupted(void);

/* ---- memory ---------------------------------------------------------------------------------------------------- */

/* count * size bytes, zeroed, 64-byte aligned, to be given to free(). `what` names them in the message.
 * Errors: VG_NO_MEMORY (says how much; also where count * size overflows), VG_DEFECT (count < 0). */
vg_status vg_allocate(void **memory, int64_t count, size_t size, const char *what);
#define VG_NEW(pointer, count, what) \
    vg_allocate((void **)(pointer), (count), sizeof **(pointer), (what)) /* NOLINT(bugprone-sizeof-expression): arrays of pointers too */

/* a * b, or VG_INVALID where that overflows int64_t (sizes that come from files). */
vg_status vg_multiply(int64_t a, int64_t b, const char *what, int64_t *product);

/* A new string, to be given to free(). Errors: VG_NO_MEMORY. */
vg_status vg_format(char **string, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A bump allocator over memory it does not own and never touches (device memory too): tensors of one batch, given back
 * all at once. Pieces are 256-byte aligned. Errors: VG_NO_MEMORY (says how much the whole arena would have needed so far).
 * fence (or NULL) is told, for whoever watches the memory: `open` bytes at `piece` are in use, the `closed` bytes after them are nobody's.
 */
typedef struct {
    void *memory;
    size_t size, used, peak;
    void (*fence)(void *piece, size_t open, size_t closed);
} vg_arena;
vg_status vg_arena_take(vg_arena *arena, void **piece, int64_t count, size_t size, const char *what);
void vg_arena_release(vg_arena *arena, size_t used); /* what was taken since `used` bytes were */
#define VG_TAKE(arena, pointer, count, what) vg_arena_take((arena), (void **)(pointer), (count), sizeof **(pointer), (what))

/* ---- matrix views (own nothing): row-major, element (i, j) at data[i * ld + j] --------------------------------- */

typedef struct {
    float *data;
    int64_t rows, columns, ld;
} vg_matrix;

typedef struct {
    double *data;
    int64_t rows, columns, ld;
} vg_matrix64;

/* ---- files and text -------------------------------------------------------------------------------------------- */

/* A file mapped read-only. `data` is NULL for an empty file. Errors: VG_INVALID (not there, not readable, not a file). */
typedef struct {
    char *path;
    const uint8_t *data;
    size_t size;
} vg_file;
vg_status vg_file_open(const char *path, vg_file *file);
void vg_file_close(vg_file *file);

/* Lets the pages of a mapped file go; they are read again when they are looked at. */
void vg_file_forget(const vg_file *file);

/* A text file as UTF-8, NUL after its end, to be given to free(): a byte-order mark is dropped, UTF-16 with a byte-order
 * mark (Praat's other encoding) is converted. Errors: VG_INVALID (not there; not valid UTF-8, with the byte's line). */
vg_status vg_text_read(const char *path, char **text, size_t *size);

/* The lines of a text, LF or CRLF, last one with or without. Start with {.path = ..., .text = ..., .size = ...}. */
typedef struct {
    const char *path, *text;
    size_t size, at;
    const char *line; /* not NUL-terminated */
    size_t length;    /* without the line's end */
    int64_t number;   /* 1-based */
} vg_lines;
bool vg_lines_next(vg_lines *lines);

/* The next field of a line at *at, up to `separator` ('\t', ',') or, for ' ', up to any blanks; false at the line's end. */
bool vg_field_next(const char *line, size_t length, char separator, size_t *at, const char **field, size_t *size);

/* A whole number or a real one out of exactly `size` bytes, whatever the locale; false where it is not one. NaN and
 * infinities are numbers ("nan", "inf"); whether they may stand there is the caller's to say. */
bool vg_parse_double(const char *text, size_t size, double *value);
bool vg_parse_integer(const char *text, size_t size, int64_t *value);

/* The length of the first invalid-free prefix: equals `size` where all of it is valid UTF-8. */
size_t vg_utf8_valid(const char *text, size_t size);

/* `path` as seen from the folder of `file` (absolute paths stay), to be given to free(). */
vg_status vg_path_beside(const char *file, const char *path, char **joined);

/* The one of `known` (NULL at the end) nearest to `word` by edit distance, or NULL where none is near. */
const char *vg_nearest(const char *word, const char *const *known);

/* CRC32C (Castagnoli), continued from `crc` (0 at the start). RFC 3720, appendix B.4. */
uint32_t vg_crc32c(uint32_t crc, const void *data, size_t size);

/* ---- random numbers: a function of (seed, purpose, index) alone -------------------------------------------------- */

/* What random numbers are for: each use has its own stream. */
typedef enum {
    VG_RANDOM_TEST = 1,
    VG_RANDOM_WEIGHTS,
    VG_RANDOM_SPACE,
    VG_RANDOM_SIMULATION,
    VG_RANDOM_BOOTSTRAP,
    VG_RANDOM_SHIFT,
    VG_RANDOM_BANDS,
    VG_RANDOM_RANKING,
    VG_RANDOM_SPIN,
} vg_random_purpose;

/* Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): 64 random bits. */
uint64_t vg_random_bits(uint64_t seed, vg_random_purpose purpose, uint64_t index);
double vg_random_uniform(uint64_t seed, vg_random_purpose purpose, uint64_t index); /* in (0, 1) */
double vg_random_normal(uint64_t seed, vg_random_purpose purpose, uint64_t index);  /* standard normal (Box-Muller) */

/* ---- command-line options ---------------------------------------------------------------------------------------- */

/* One row of a subcommand's table; the table ends with a row of NULL. `value` names the argument in the help ("FILE"), NULL for a
 * switch. Where it goes: into *text, or, for a switch, *flag. */
typedef struct {
    const char *name; /* long option, without dashes */
    char letter;      /* short option, or 0 */
    const char *value;
    const char *help;
    const char **text;
    bool *flag;
} vg_option;

/* GNU-style options and operands out of argv[1..]. Operands are moved to argv[0..*operands - 1] in their order; "--" ends the
 * options. Errors: VG_INVALID (unknown option, with the nearest known one; argument missing or not wanted). */
vg_status vg_options_parse(const vg_option *options, int argc, char **argv, int *operands);
void vg_options_print(const vg_option *options, FILE *out);

#endif
