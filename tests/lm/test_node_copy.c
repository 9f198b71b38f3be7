/* Protects: processes of a node that open a converted model (phi: bfloat16; gpt2: float16, transposed) with one folder hold one copy of its
 * weights, bit by bit what each would hold alone; a copy that was damaged, cut off or left half made is made again, and the last to leave
 * removes it; where there can be none (no room, no folder, a link, another's rights) a process holds its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "model.h"

enum { PROCESSES = 4 };
static char folder[64];
static const char *program;
static vg_device *device;

static int begin(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/voxgrad-copy-XXXXXX");
    return mkdtemp(folder) == NULL || vg_device_open("cpu", 0, 1, &device) != VG_OK;
}

static int end(void **state)
{
    char command[128];
    (void)state;
    vg_device_close(device);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command); /* NOLINT(cert-env33-c): a path of our own */
}

static vg_model *open_model(const char *name, const char *share)
{
    char path[512];
    vg_model *model;
    const vg_model_options options = {.share = share};
    snprintf(path, sizeof path, "%s/tests/golden/models/%s", getenv("VG_SOURCE"), name);
    if (vg_model_open(device, path, &options, &model) != VG_OK)
        fail_msg("%s", vg_message());
    return model;
}

static uint32_t add(uint32_t bits, const float *values, int64_t count)
{
    return values != NULL ? vg_crc32c(bits, values, (size_t)count * sizeof *values) : bits;
}

static uint32_t add_linear(uint32_t bits, const vg_linear *linear)
{
    return add(add(bits, linear->weight, linear->in * linear->out), linear->bias, linear->out);
}

/* Of all weights, as the engine reads them. */
static uint32_t bits_of(const vg_model *model)
{
    const vg_model_shape *shape = vg_model_get_shape(model);
    uint32_t bits = add(0, model->embedding, shape->vocabulary * shape->width);
    bits = add(bits, model->host_embedding, shape->vocabulary * shape->width);
    bits = add(bits, model->position, shape->positions * shape->width);
    bits = add(add(bits, model->cosine, shape->positions * (model->config.rotary / 2)), model->final_norm.weight, shape->width);
    for (int64_t l = 0; l < shape->layers; l++) {
        const vg_block *block = &model->blocks[l];
        const vg_linear all[] = {block->qkv, block->out, block->gate, block->up, block->down};
        bits = add(add(bits, block->norm1.weight, shape->width), block->norm2.weight, shape->width);
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            bits = add_linear(bits, &all[i]);
    }
    return add_linear(bits, &model->head);
}

/* The one file in the folder: its path, or "" where there is none. */
static const char *only_file(void)
{
    static char path[512];
    char command[160];
    *path = '\0';
    snprintf(command, sizeof command, "ls -d %s/* 2>/dev/null", folder);
    FILE *list = popen(command, "r"); /* NOLINT(cert-env33-c): a path of our own */
    if (fgets(path, sizeof path, list) != NULL)
        path[strcspn(path, "\n")] = '\0';
    char more[512];
    assert_null(fgets(more, sizeof more, list));
    pclose(list);
    return path;
}

/* Another process opens a model in the folder (main), and says what it has mapped. leave: it goes as one that was killed. */
static FILE *begin_other(const char *name, bool leave)
{
    char command[700];
    snprintf(command, sizeof command, "%s %s %s %s", program, name, folder, leave ? "leave" : "stay");
    FILE *other = popen(command, "r"); /* NOLINT(cert-env33-c): a path of our own */
    assert_non_null(other);
    return other;
}

/* What such a process is. A forked one would not do: OpenMP does not live through it. */
static int be_other(const char *name, const char *share, bool leave)
{
    char go[96];
    struct stat about = {0};
    snprintf(folder, sizeof folder, "%s", share);
    snprintf(go, sizeof go, "%s.go", folder);
    if (vg_device_open("cpu", 0, 1, &device) != VG_OK)
        return 1;
    vg_model *model = open_model(name, folder);
    if (model->shared == NULL || stat(vg_node_copy_path(model->shared), &about) != 0)
        return 2;
    printf("%lld %u\n", (long long)about.st_ino, (unsigned)bits_of(model));
    fflush(stdout);
    if (leave)
        _exit(0);
    double began = vg_seconds();
    while (access(go, F_OK) != 0 && vg_seconds() - began < 60) /* until all have come */
        usleep(1000);
    vg_model_close(model);
    vg_device_close(device);
    return 0;
}

static void test_processes_share_one_copy(void **state)
{
    static const char *const names[] = {"phi", "gpt2"};
    char go[96];
    (void)state;
    snprintf(go, sizeof go, "%s.go", folder);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        vg_model *alone = open_model(names[i], NULL);
        FILE *others[PROCESSES];
        long long inode[PROCESSES];
        unsigned bits;
        for (int p = 0; p < PROCESSES; p++)
            others[p] = begin_other(names[i], false);
        for (int p = 0; p < PROCESSES; p++) {
            assert_int_equal(fscanf(others[p], "%lld %u", &inode[p], &bits), 2);
            assert_int_equal(inode[p], inode[0]);
            assert_int_equal(bits, bits_of(alone));
        }
        assert_string_not_equal(only_file(), "");
        fclose(fopen(go, "w"));
        for (int p = 0; p < PROCESSES; p++)
            assert_int_equal(pclose(others[p]), 0);
        assert_int_equal(unlink(go), 0);
        assert_string_equal(only_file(), "");
        vg_model_close(alone);
    }
}

static void leave_behind(void)
{
    FILE *other = begin_other("phi", true);
    assert_int_not_equal(fscanf(other, "%*u %*u"), EOF);
    assert_int_equal(pclose(other), 0);
    assert_string_not_equal(only_file(), "");
}

static void test_what_was_left_behind(void **state)
{
    static const struct {
        long at;    /* a byte that changes, from the end where negative; */
        off_t size; /* or the size; 0: neither */
    } cases[] = {{0, 0}, {1000, 0}, {-1, 0}, {-24, 0}, {-12, 0}, {0, 100}, {0, -1}};
    (void)state;
    vg_model *alone = open_model("phi", NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stat about;
        leave_behind();
        assert_int_equal(stat(only_file(), &about), 0);
        if (cases[i].at != 0) {
            FILE *file = fopen(only_file(), "r+");
            long at = cases[i].at < 0 ? (long)about.st_size + cases[i].at : cases[i].at;
            assert_int_equal(fseek(file, at, SEEK_SET), 0);
            int byte = fgetc(file);
            assert_int_equal(fseek(file, at, SEEK_SET), 0);
            assert_true(fputc(byte ^ 64, file) != EOF);
            fclose(file);
        }
        if (cases[i].size != 0)
            assert_int_equal(truncate(only_file(), cases[i].size < 0 ? about.st_size + cases[i].size : cases[i].size), 0);
        vg_model *model = open_model("phi", folder);
        assert_non_null(model->shared);
        assert_int_equal(bits_of(model), bits_of(alone));
        vg_model_close(model);
        assert_string_equal(only_file(), "");
    }
    vg_model_close(alone);
}

static void expect_own(const char *share, uint32_t bits)
{
    vg_model *model = open_model("phi", share);
    assert_null(model->shared);
    assert_int_equal(bits_of(model), bits);
    vg_model_close(model);
}

static void test_ways_out(void **state)
{
    char path[600], full[128];
    (void)state;
    vg_model *alone = open_model("phi", NULL);
    const uint32_t bits = bits_of(alone);
    expect_own("/nowhere/at/all", bits);
    leave_behind();
    assert_int_equal(chmod(only_file(), 0666), 0); /* anybody may have written to it */
    expect_own(folder, bits);
    snprintf(path, sizeof path, "%s", only_file());
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/tmp/voxgrad-elsewhere", path), 0);
    expect_own(folder, bits);
    assert_int_equal(unlink(path), 0);
    snprintf(full, sizeof full, "%s/full", folder);
    assert_int_equal(mkdir(full, 0700), 0);
    if (mount("tmpfs", full, "tmpfs", 0, "size=16k") == 0) {
        expect_own(full, bits);
        snprintf(path, sizeof path, "rmdir %s 2>/dev/null; test -z \"$(ls %s)\"", full, full);
        assert_int_equal(system(path), 0); /* NOLINT(cert-env33-c): nothing is left there */
        assert_int_equal(umount(full), 0);
    } else {
        print_message("no tmpfs may be mounted here: a full folder was not tried\n");
    }
    vg_model_close(alone);
}

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc == 4)
        return be_other(argv[1], argv[2], strcmp(argv[3], "leave") == 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_processes_share_one_copy, begin, end),
        cmocka_unit_test_setup_teardown(test_what_was_left_behind, begin, end),
        cmocka_unit_test_setup_teardown(test_ways_out, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
