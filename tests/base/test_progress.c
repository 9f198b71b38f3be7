/* Protects: progress as architecture.md promises it: in a file a line a minute and one at the end, on a terminal a bar that is drawn anew
 * at most ten times a second, both with done, total, rate and time left; no colour; nothing when quiet or on a rank but 0. The clock is the
 * test's own. */
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "voxgrad/base.h"

static double now = 1000;

/* Instead of libc's. */
int clock_gettime(clockid_t clock, struct timespec *time)
{
    (void)clock;
    time->tv_sec = (time_t)now;
    time->tv_nsec = (long)((now - (double)time->tv_sec) * 1e9);
    return 0;
}

/* 300 voxels, so many at once after every `each` seconds, with standard error at `to`. */
static void work(int to, int at_once, double each)
{
    int kept = dup(STDERR_FILENO);
    assert_true(kept >= 0 && dup2(to, STDERR_FILENO) >= 0);
    vg_progress_begin("fits", 300, "voxels");
    for (int i = 0; i < 300; i += at_once) {
        now += each;
        vg_progress_step(at_once);
    }
    vg_progress_end();
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
}

/* What 300 steps put into a file. */
static void logged(double each, char *text, size_t size)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    work(fileno(file), 1, each);
    rewind(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
}

static int count_of(const char *text, const char *what)
{
    int count = 0;
    for (; (text = strstr(text, what)) != NULL; text += strlen(what))
        count++;
    return count;
}

static void test_a_line_a_minute(void **state)
{
    char text[4096];
    (void)state;
    vg_log_configure(VG_LOG_INFO, 0, 1);
    logged(1, text, sizeof text);
    assert_string_equal(text, "voxgrad: fits: 60 of 300 voxels, 1/s, 4:00 left\n"
                              "voxgrad: fits: 120 of 300 voxels, 1/s, 3:00 left\n"
                              "voxgrad: fits: 180 of 300 voxels, 1/s, 2:00 left\n"
                              "voxgrad: fits: 240 of 300 voxels, 1/s, 1:00 left\n"
                              "voxgrad: fits: 300 of 300 voxels, 1/s, 0:00 left\n"
                              "voxgrad: fits: 300 of 300 voxels, 1/s, 5:00\n");
    logged(0.125, text, sizeof text);
    assert_string_equal(text, "voxgrad: fits: 300 of 300 voxels, 8/s, 0:38\n");
}

static void test_a_bar_on_a_terminal(void **state)
{
    char text[8192];
    int master, terminal;
    size_t used = 0;
    (void)state;
    vg_log_configure(VG_LOG_INFO, 0, 1);
    assert_int_equal(openpty(&master, &terminal, NULL, NULL, NULL), 0);
    work(terminal, 10, 2.5); /* 30 drawings: a terminal that nobody reads takes 4 kB */
    ssize_t got;
    close(terminal);
    while (used < sizeof text - 1 && (got = read(master, text + used, sizeof text - 1 - used)) > 0)
        used += (size_t)got;
    text[used] = '\0';
    close(master);
    assert_int_equal(count_of(text, "\r\033[Kfits ["), 31); /* one a step, slower than ten a second, and the last */
    assert_non_null(strstr(text, "\r\033[Kfits [############............] 150/300 voxels, 4/s, 0:38 left"));
    assert_non_null(strstr(text, "\r\033[Kfits [########################] 300/300 voxels, 4/s, 1:15\r\n"));
    assert_int_equal(count_of(text, "\033["), count_of(text, "\033[K")); /* the line is cleared, and nothing is coloured */
}

static void test_a_bar_is_not_drawn_too_often(void **state)
{
    char text[8192];
    int master, terminal;
    (void)state;
    vg_log_configure(VG_LOG_INFO, 0, 1);
    assert_int_equal(openpty(&master, &terminal, NULL, NULL, NULL), 0);
    work(terminal, 1, 0.001); /* 0.3 s of work */
    close(terminal);
    ssize_t got = read(master, text, sizeof text - 1);
    text[got > 0 ? got : 0] = '\0';
    close(master);
    assert_in_range(count_of(text, "fits ["), 2, 4);
}

static void test_quiet(void **state)
{
    char text[256];
    (void)state;
    vg_log_configure(VG_LOG_WARNING, 0, 1);
    logged(1, text, sizeof text);
    assert_string_equal(text, "");
    vg_log_configure(VG_LOG_INFO, 1, 2);
    logged(1, text, sizeof text);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_line_a_minute), cmocka_unit_test(test_a_bar_on_a_terminal),
                                       cmocka_unit_test(test_a_bar_is_not_drawn_too_often), cmocka_unit_test(test_quiet)};
    return cmocka_run_group_tests_name("base: progress", tests, NULL, NULL);
}
