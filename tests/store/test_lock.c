/* Protects: two runs never write into one folder, and a dead run never locks it for good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>

#include "folder.h"
#include "sample.h"

static vg_comm *comm;

static const char *lock_name(void)
{
    static char name[96];
    snprintf(name, sizeof name, "%s/voxgrad.lock", folder);
    return name;
}

/* A child that holds the lock until it is killed. */
static pid_t hold_in_a_child(void)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        vg_store_lock *lock;
        MUST(vg_store_lock_take(comm, folder, &lock));
        if (write(ready[1], "x", 1) != 1)
            abort();
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static void a_second_run_is_refused_and_told_by_whom(void **state)
{
    (void)state;
    vg_store_lock *lock;
    char said[64];
    pid_t child = hold_in_a_child();
    vg_status status = vg_store_lock_take(comm, folder, &lock);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(status, VG_INVALID);
    assert_null(lock);
    snprintf(said, sizeof said, "process %d", (int)child);
    assert_non_null(strstr(vg_message(), said));
    assert_non_null(strstr(vg_message(), lock_name()));

    assert_true(exists(lock_name())); /* the child is dead: its place is taken */
    vg_log_configure(VG_LOG_ERROR, 0, 1);
    assert_int_equal(vg_store_lock_take(comm, folder, &lock), VG_OK);
    vg_log_configure(VG_LOG_INFO, 0, 1);
    vg_store_lock *second;
    assert_int_equal(vg_store_lock_take(comm, folder, &second), VG_INVALID);
    vg_store_lock_free(lock);
    assert_false(exists(lock_name()));
    assert_int_equal(vg_store_lock_take(comm, folder, &lock), VG_OK);
    vg_store_lock_free(lock);
    vg_store_lock_free(NULL);
}

static void the_lock_says_who_holds_it(void **state)
{
    (void)state;
    vg_store_lock *lock;
    size_t size;
    char host[256] = "", expected[512];
    setenv("SLURM_JOB_ID", "4711", 1);
    MUST(vg_store_lock_take(comm, folder, &lock));
    unsetenv("SLURM_JOB_ID");
    char *text = (char *)read_all(lock_name(), &size);
    text[size] = '\0';
    gethostname(host, sizeof host - 1);
    snprintf(expected, sizeof expected, "host: %s\npid: %d\njob: 4711\ntime: 20", host, (int)getpid());
    assert_int_equal(strncmp(text, expected, strlen(expected)), 0);
    free(text);
    vg_store_lock_free(lock);
}

static void a_lock_of_another_host_is_for_the_user_to_judge(void **state)
{
    (void)state;
    static const char *const texts[] = {"host: node-17.else.where\npid: 42\njob: 8\ntime: 2024-05-01T00:00:00Z\n", "garbage", "host: \n"};
    vg_store_lock *lock;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_all(lock_name(), texts[i], strlen(texts[i]));
        assert_int_equal(vg_store_lock_take(comm, folder, &lock), VG_INVALID);
        assert_non_null(strstr(vg_message(), "remove this file"));
        size_t size;
        free(read_all(lock_name(), &size));
        assert_int_equal(size, strlen(texts[i])); /* untouched */
        if (i == 0)
            assert_non_null(strstr(vg_message(), "node-17.else.where"));
        unlink(lock_name());
        assert_int_equal(vg_store_lock_take(comm, folder, &lock), VG_OK);
        vg_store_lock_free(lock);
    }
    write_all(lock_name(), "", 0); /* killed before it could sign */
    assert_int_equal(vg_store_lock_take(comm, folder, &lock), VG_OK);
    vg_store_lock_free(lock);
    assert_int_equal(vg_store_lock_take(comm, "/nowhere/at/all", &lock), VG_INVALID);
    assert_non_null(strstr(vg_message(), "No such file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_second_run_is_refused_and_told_by_whom, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(the_lock_says_who_holds_it, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_lock_of_another_host_is_for_the_user_to_judge, make_folder, remove_folder),
    };
    MUST(vg_comm_alone(&comm));
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    vg_comm_finish(comm);
    return failures;
}
