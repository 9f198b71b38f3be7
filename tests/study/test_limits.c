/* Protects: the memory a run may take is the smallest limit of its control group and all groups above it, version 2 and version 1, as Slurm
 * nests them (job, step, task); a group without a limit, a path that is not there and odd lines are no limit. On a made-up /proc and /sys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "run.h"

static char root[64];

static void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    assert_int_equal(vg_folder_make(full, true), VG_OK);
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int begin(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/voxgrad-limits-XXXXXX");
    return mkdtemp(root) == NULL;
}

static int end(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command); /* NOLINT(cert-env33-c): a path of our own */
}

static int64_t all_of_it(void)
{
    return (int64_t)sysconf(_SC_PHYS_PAGES) * (int64_t)sysconf(_SC_PAGESIZE);
}

static void test_no_groups(void **state)
{
    (void)state;
    assert_int_equal(vg_machine_memory(root), all_of_it());
    put("/proc/self/cgroup", "odd\n1:\n:::\n0::/not/there\n");
    assert_int_equal(vg_machine_memory(root), all_of_it());
    assert_true(vg_machine_memory("") > 0);
}

static void test_version_2(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/system.slice/slurmstepd.scope/job_7/step_0/user/task_0\n");
    put("/sys/fs/cgroup/system.slice/slurmstepd.scope/job_7/step_0/user/task_0/memory.max", "max\n");
    put("/sys/fs/cgroup/system.slice/slurmstepd.scope/job_7/step_0/user/memory.max", "90000000\n");
    put("/sys/fs/cgroup/system.slice/slurmstepd.scope/job_7/step_0/memory.max", "max\n");
    assert_int_equal(vg_machine_memory(root), 90000000);
    put("/sys/fs/cgroup/system.slice/slurmstepd.scope/job_7/memory.max", "80000000\n");
    assert_int_equal(vg_machine_memory(root), 80000000);
    put("/sys/fs/cgroup/memory.max", "70000000\n"); /* a container's own, seen as the top */
    assert_int_equal(vg_machine_memory(root), 70000000);
    put("/sys/fs/cgroup/system.slice/slurmstepd.scope/job_8/memory.max", "60000000\n"); /* a neighbour's */
    assert_int_equal(vg_machine_memory(root), 70000000);
}

static void test_version_1(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "12:cpu,cpuacct:/slurm/job_7\n5:memory:/slurm/uid_0/job_7/step_0\n1:name=systemd:/memory\n0::/\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(vg_machine_memory(root), all_of_it());
    put("/sys/fs/cgroup/memory/slurm/uid_0/job_7/step_0/memory.limit_in_bytes", "90000000\n");
    put("/sys/fs/cgroup/memory/slurm/uid_0/job_7/memory.limit_in_bytes", "80000000\n");
    put("/sys/fs/cgroup/cpu/slurm/job_7/memory.limit_in_bytes", "1000\n"); /* of another controller: none of memory's */
    assert_int_equal(vg_machine_memory(root), 80000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_groups, begin, end),
        cmocka_unit_test_setup_teardown(test_version_2, begin, end),
        cmocka_unit_test_setup_teardown(test_version_1, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
