/* Protects: the memory a run may take is the smallest limit of its control group and all groups above it, version 2 and version 1, as Slurm
 * nests them (job, step, task); a group without a limit, a path that is not there and odd lines are no limit. On a made-up /proc and /sys.
 * A copy of the weights that a node's ranks hold together is planned for once.
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

/* The model of jobs/demo widened to 140 MB, untrained, as a plan for ranks of `bytes` each. */
static vg_status plan_wide(vg_memory memory, bool *streamed, int64_t *batch)
{
    static const char text[] = "model: {name: wide, path: ., init: random}\nfeatures: [{method: gradient_norm, words: 4}]\n"
                               "stories: [{name: s, words: s.csv}]\ncontext: {words: 40}\n";
    static const char config[] =
        "{\"model_type\": \"llama\", \"hidden_size\": 512, \"intermediate_size\": 1376, \"num_hidden_layers\": 12, "
        "\"num_attention_heads\": 8, \"num_key_value_heads\": 4, \"vocab_size\": 512, \"hidden_act\": \"silu\", "
        "\"max_position_embeddings\": 256, \"rms_norm_eps\": 1e-5, \"tie_word_embeddings\": true, \"bos_token_id\": 1}";
    char path[128], command[1024], words[4096] = "onset,offset,word\n";
    for (int i = 0; i < 200; i++)
        snprintf(words + strlen(words), sizeof words - strlen(words), "%d,%d,a\n", i, i + 1);
    put("/study.yaml", text);
    put("/config.json", config);
    put("/s.csv", words);
    snprintf(command, sizeof command, "cp '%s/jobs/demo/model/tokenizer.json' %s", getenv("VG_SOURCE"), root);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c) */
    snprintf(path, sizeof path, "%s/study.yaml", root);
    vg_study *study;
    vg_stories stories = {0};
    vg_device *device;
    vg_explained explained = {0};
    assert_int_equal(vg_study_open(path, &study), VG_OK);
    assert_int_equal(vg_stories_open(study, &stories), VG_OK);
    assert_int_equal(vg_device_open("cpu", 0, 1, &device), VG_OK);
    study->how.paper = true;
    vg_status status = vg_explained_open(study, &stories, device, 0, memory, NULL, &explained);
    if (status == VG_OK) {
        *streamed = vg_model_is_streamed(explained.model);
        *batch = vg_attribution_batch(explained.attributions[0]);
    }
    vg_explained_free(study, &explained);
    vg_device_close(device);
    vg_stories_free(study, &stories);
    vg_study_free(study);
    return status;
}

/* 100 MB of 250 are the program's; 140 do not fit into what is left of them, but a quarter does, and leaves more for batches. */
static void test_a_copy_is_counted_once(void **state)
{
    bool streamed;
    int64_t alone, together;
    (void)state;
    assert_int_equal(plan_wide((vg_memory){.bytes = 250000000, .sharers = 1}, &streamed, &alone), VG_OK);
    assert_true(streamed);
    assert_int_equal(plan_wide((vg_memory){.bytes = 250000000, .sharers = 4}, &streamed, &together), VG_OK);
    assert_false(streamed);
    assert_int_equal(plan_wide((vg_memory){.bytes = 300000000, .sharers = 1}, &streamed, &alone), VG_OK);
    assert_false(streamed);
    assert_int_equal(plan_wide((vg_memory){.bytes = 300000000, .sharers = 4}, &streamed, &together), VG_OK);
    assert_true(together > alone);
    assert_int_equal(plan_wide((vg_memory){.bytes = 90000000, .sharers = 4}, &streamed, &together), VG_NO_MEMORY);
    assert_non_null(strstr(vg_message(), "90 MB may be taken; the program and its libraries are counted as 100 MB"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_groups, begin, end),
        cmocka_unit_test_setup_teardown(test_version_2, begin, end),
        cmocka_unit_test_setup_teardown(test_version_1, begin, end),
        cmocka_unit_test_setup_teardown(test_a_copy_is_counted_once, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
