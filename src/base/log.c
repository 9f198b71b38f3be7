/* log: lines and the progress bar on standard error. Results go to standard output, never here. */
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "voxgrad/base.h"

static struct {
    vg_log_level level;
    int rank, ranks;
} settings = {VG_LOG_INFO, 0, 1};

static struct {
    pthread_mutex_t lock;
    bool running, drawn;
    char title[80], unit[24];
    int64_t total, done;
    double began, shown;
} bar = {.lock = PTHREAD_MUTEX_INITIALIZER};

double vg_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void vg_log_configure(vg_log_level level, int rank, int ranks)
{
    settings.level = level;
    settings.rank = rank;
    settings.ranks = ranks;
}

void vg_log_rank(int rank, int ranks)
{
    settings.rank = rank;
    settings.ranks = ranks;
}

static void put(const char *text, size_t size)
{
    ssize_t written = write(STDERR_FILENO, text, size);
    (void)written; /* nowhere left to complain */
}

void vg_log(vg_log_level level, const char *format, ...)
{
    if (level > settings.level || (level >= VG_LOG_INFO && settings.rank != 0))
        return;
    char text[2304];
    int used = 0;
    pthread_mutex_lock(&bar.lock);
    if (bar.drawn)
        used = snprintf(text, sizeof text, "\r\033[K");
    bar.drawn = false;
    pthread_mutex_unlock(&bar.lock);
    if (settings.ranks > 1 && level < VG_LOG_INFO)
        used += snprintf(text + used, sizeof text - (size_t)used, "voxgrad[%d]: ", settings.rank);
    else
        used += snprintf(text + used, sizeof text - (size_t)used, "voxgrad: ");
    if (level == VG_LOG_WARNING)
        used += snprintf(text + used, sizeof text - (size_t)used, "warning: ");
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(text + used, sizeof text - (size_t)used - 1, format, arguments);
    va_end(arguments);
    size_t length = (size_t)used + (more > 0 ? (size_t)more : 0);
    if (length > sizeof text - 2)
        length = sizeof text - 2;
    text[length++] = '\n';
    put(text, length);
}

static void format_time(double seconds, char *text, size_t size)
{
    long whole = lround(seconds);
    if (whole >= 3600)
        snprintf(text, size, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
    else
        snprintf(text, size, "%ld:%02ld", whole / 60, whole % 60);
}

/* Called with the lock held. */
static void show(bool last)
{
    double now = vg_seconds();
    bool terminal = isatty(STDERR_FILENO) == 1;
    if (!last && now - bar.shown < (terminal ? 0.1 : 60.0))
        return;
    bar.shown = now;
    double took = now - bar.began;
    double rate = took > 0 ? (double)bar.done / took : 0.0;
    char left[32];
    format_time(last ? took : (rate > 0 ? (double)(bar.total - bar.done) / rate : 0.0), left, sizeof left);
    char text[320];
    int used;
    if (terminal) {
        char drawing[25];
        int filled = bar.total > 0 ? (int)(24 * bar.done / bar.total) : 24;
        for (int i = 0; i < 24; i++)
            drawing[i] = i < filled ? '#' : '.';
        drawing[24] = '\0';
        used = snprintf(text, sizeof text, "\r\033[K%s [%s] %lld/%lld %s, %.4g/s, %s%s%s", bar.title, drawing, (long long)bar.done,
                        (long long)bar.total, bar.unit, rate, left, last ? "" : " left", last ? "\n" : "");
        bar.drawn = !last;
    } else {
        used = snprintf(text, sizeof text, "voxgrad: %s: %lld of %lld %s, %.4g/s, %s%s\n", bar.title, (long long)bar.done,
                        (long long)bar.total, bar.unit, rate, left, last ? "" : " left");
    }
    if (used > 0)
        put(text, (size_t)used < sizeof text ? (size_t)used : sizeof text - 1);
}

void vg_progress_begin(const char *title, int64_t total, const char *unit)
{
    pthread_mutex_lock(&bar.lock);
    bar.running = settings.rank == 0 && settings.level >= VG_LOG_INFO;
    snprintf(bar.title, sizeof bar.title, "%s", title);
    snprintf(bar.unit, sizeof bar.unit, "%s", unit);
    bar.total = total;
    bar.done = 0;
    bar.began = bar.shown = vg_seconds();
    pthread_mutex_unlock(&bar.lock);
}

void vg_progress_step(int64_t done)
{
    pthread_mutex_lock(&bar.lock);
    bar.done += done;
    if (bar.running)
        show(false);
    pthread_mutex_unlock(&bar.lock);
}

void vg_progress_end(void)
{
    pthread_mutex_lock(&bar.lock);
    if (bar.running)
        show(true);
    bar.running = false;
    pthread_mutex_unlock(&bar.lock);
}
