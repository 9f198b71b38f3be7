/* Protects: a file under construction survives `kill -9` at any instant and the journal alone says what is whole; nothing damaged, torn or
 * of another plan is taken for whole; a full or forbidden disk is found before the first block and nothing is left. One process, no MPI. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <hdf5.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "folder.h"
#include "journal.h"
#include "sample.h"

static vg_comm *comm;

static void finish_sample(void)
{
    sample s = sample_new();
    vg_store_plan plan = sample_plan(path);
    vg_store *store;
    MUST(vg_store_create(comm, &plan, s.layout, &store));
    for (int64_t b = BLOCKS - 1; b >= 0; b--)
        sample_block(&s, store, b);
    MUST(vg_store_finish(store));
    vg_store_free(store);
    vg_layout_free(s.layout);
}

/* ---- what is in a file -------------------------------------------------------------------------------------------------------- */

static herr_t check_dataset(hid_t file, const char *name, const H5O_info_t *info, void *data)
{
    (void)data;
    assert_int_equal(info->ctime, 0); /* no times: the bytes must not depend on the day */
    if (info->type != H5O_TYPE_DATASET)
        return 0;
    hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT), creation = H5Dget_create_plist(dataset);
    assert_int_equal(H5Pget_layout(creation), H5D_CONTIGUOUS);
    assert_int_equal(H5Pget_nfilters(creation), 0);
    H5Pclose(creation);
    H5Dclose(dataset);
    return 0;
}

/* With HDF5 itself, as any other program reads it. */
static void the_file_is_plain_hdf5(void **state)
{
    (void)state;
    finish_sample();
    assert_int_equal(count_files(folder), 2); /* features.h5, features.h5.sum */
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    assert_true(H5Ovisit(file, H5_INDEX_NAME, H5_ITER_INC, check_dataset, NULL) >= 0);

    hid_t dataset = H5Dopen2(file, "/subjects/s18/voxels", H5P_DEFAULT), table = H5Dget_type(dataset);
    assert_int_equal(H5Tget_nmembers(table), 5);
    hid_t text = H5Tget_member_type(table, 2);
    char *name = H5Tget_member_name(table, 2);
    assert_string_equal(name, "region");
    H5free_memory(name);
    assert_int_equal(H5Tget_size(text), 12);
    assert_int_equal(H5Tget_cset(text), H5T_CSET_UTF8);
    assert_int_equal(H5Tget_strpad(text), H5T_STR_NULLPAD);
    assert_false(H5Tis_variable_str(text));
    char(*records)[30] = malloc(VOXELS * sizeof *records);
    assert_int_equal(H5Tget_size(table), sizeof *records);
    assert_true(H5Dread(dataset, table, H5S_ALL, H5S_ALL, H5P_DEFAULT, records) >= 0);
    for (int v = 0; v < VOXELS; v++) {
        double ceiling;
        char region[16];
        snprintf(region, sizeof region, "r\xC3\xA9gion%d", v % 50);
        assert_int_equal(strncmp(records[v], v % 2 ? "right" : "left", 5), 0); /* full: no NUL at the end */
        assert_string_equal(records[v] + 9, region);
        memcpy(&ceiling, records[v] + 22, sizeof ceiling);
        assert_true(ceiling == v / 7.0);
    }
    free(records);
    H5Tclose(text);
    H5Tclose(table);
    H5Dclose(dataset);

    float weights[4][3][VOXELS];
    dataset = H5Dopen2(file, "/subjects/s18/gpt2/gradient_norm/weights", H5P_DEFAULT);
    assert_true(H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, weights) >= 0);
    for (int i = 0; i < 12 * VOXELS; i++)
        assert_true((&weights[0][0][0])[i] == (float)i);
    H5Dclose(dataset);
    H5Fclose(file);
}

static void an_old_file_stays_until_the_new_one_is_whole(void **state)
{
    (void)state;
    sample s = sample_new();
    vg_store_plan plan = sample_plan(path);
    vg_store *store;
    write_all(path, "old", 3);
    write_all(beside(".sum"), "old", 3);
    MUST(vg_store_create(comm, &plan, s.layout, &store));
    for (int64_t b = 0; b < BLOCKS; b++)
        sample_block(&s, store, b);
    size_t size;
    uint8_t *bytes = read_all(path, &size);
    assert_int_equal(size, 3);
    free(bytes);
    assert_true(exists(beside(".part")));
    MUST(vg_store_finish(store));
    vg_store_free(store);
    vg_layout_free(s.layout);
    bool summed;
    assert_int_equal(vg_store_verify(comm, path, &summed), VG_OK);
    assert_true(summed);
    assert_int_equal(count_files(folder), 2);
}

/* ---- kills -------------------------------------------------------------------------------------------------------------------- */

/* A child that is killed in the middle: after `flushed` blocks on the disk, `pending` committed but not yet grouped, and half of the next.
 */
static void kill_a_run(int64_t flushed, int64_t pending)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        sample s = sample_new();
        vg_store_plan plan = sample_plan(path);
        vg_store *store;
        MUST(vg_store_create(comm, &plan, s.layout, &store));
        for (int64_t b = 0; b < flushed; b++)
            sample_block(&s, store, b);
        MUST(vg_store_flush(store));
        for (int64_t b = flushed; b < flushed + pending; b++)
            sample_block(&s, store, b);
        sample_write_words(&s, store, (flushed + pending) * WORDS / BLOCKS, 20);
        if (write(ready[1], "x", 1) != 1)
            abort();
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void a_killed_run_leaves_a_part_that_opens_and_goes_on(void **state)
{
    (void)state;
    size_t size, expected_size;
    finish_sample();
    uint8_t *expected = read_all(path, &expected_size);
    unlink(path);
    unlink(beside(".sum"));

    kill_a_run(5, 2);
    assert_false(exists(path));
    assert_true(vg_store_unfinished(path));
    hid_t file = H5Fopen(beside(".part"), H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    assert_true(H5Oexists_by_name(file, "/subjects/s18/voxels", H5P_DEFAULT) > 0);
    H5Fclose(file);

    sample s = sample_new();
    vg_store_plan plan = sample_plan(path);
    vg_store *store;
    assert_int_equal(vg_store_create(comm, &plan, s.layout, &store), VG_INVALID);
    assert_non_null(strstr(vg_message(), "unfinished"));
    assert_int_equal(vg_store_resume(comm, &plan, s.layout, &store), VG_OK);
    assert_int_equal(vg_store_whole_count(store), 5);
    for (int64_t b = 0; b < BLOCKS; b++) {
        assert_int_equal(vg_store_whole(store, b), b < 5);
        if (!vg_store_whole(store, b))
            sample_block(&s, store, b);
    }
    assert_int_equal(vg_store_commit(store, 2), VG_DEFECT); /* whole already */
    assert_int_equal(vg_store_finish(store), VG_OK);
    vg_store_free(store);
    uint8_t *bytes = read_all(path, &size);
    assert_int_equal(size, expected_size);
    assert_memory_equal(bytes, expected, size); /* resumed: bit by bit what the undisturbed run wrote */
    free(bytes);

    kill_a_run(3, 0);
    plan.overwrite = true;
    assert_int_equal(vg_store_create(comm, &plan, s.layout, &store), VG_OK);
    assert_int_equal(vg_store_whole_count(store), 0);
    vg_store_free(store);
    assert_int_equal(vg_store_resume(comm, &plan, s.layout, &store), VG_OK);
    assert_int_equal(vg_store_whole_count(store), 0);
    vg_store_free(store);
    vg_layout_free(s.layout);
    free(expected);
}

/* A run from wherever the last one was killed to its end. */
static void run_on(void)
{
    sample s = sample_new();
    vg_store_plan plan = sample_plan(path);
    vg_store *store;
    MUST(vg_store_unfinished(path) ? vg_store_resume(comm, &plan, s.layout, &store) : vg_store_create(comm, &plan, s.layout, &store));
    for (int64_t b = 0; b < BLOCKS; b++)
        if (!vg_store_whole(store, b)) {
            sample_block(&s, store, b);
            MUST(vg_store_flush(store));
        }
    MUST(vg_store_finish(store));
    vg_store_free(store);
    vg_layout_free(s.layout);
}

/* Sixty kills, the one after the other, from the making of the file to its sealing; whenever one got through, its bytes are compared. */
static void no_instant_is_a_bad_one_for_a_kill(void **state)
{
    (void)state;
    int finished = 0, killed = 0;
    size_t size, expected_size;
    double began = vg_seconds();
    run_on();
    double took = vg_seconds() - began;
    uint8_t *expected = read_all(path, &expected_size);
    unlink(path);
    for (int i = 0; i < 60; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            run_on();
            _exit(0);
        }
        int code;
        usleep((useconds_t)(1e6 * took * vg_random_uniform(3, VG_RANDOM_TEST, (uint64_t)i)));
        kill(child, SIGKILL);
        waitpid(child, &code, 0);
        assert_true(WIFSIGNALED(code) || WEXITSTATUS(code) == 0); /* never refused, never a fault of its own */
        killed += WIFSIGNALED(code);
        if (!exists(path))
            continue;
        bool summed;
        assert_int_equal(vg_store_verify(comm, path, &summed), VG_OK);
        uint8_t *bytes = read_all(path, &size);
        assert_int_equal(size, expected_size);
        assert_memory_equal(bytes, expected, size);
        free(bytes);
        unlink(path);
        finished++;
    }
    print_message("%d kills, %d whole files between them\n", killed, finished);
    free(expected);
}

/* ---- damage ------------------------------------------------------------------------------------------------------------------- */

/* A tiny file with three blocks, all committed: small enough to spoil byte by byte. */
static const char TINY_PLAN[] = "version: 1\nblas_core: Haswell\nrows: 64\n";

static vg_layout *tiny_layout(int64_t rows)
{
    vg_layout *layout;
    MUST(vg_layout_new(&layout));
    MUST(vg_layout_dataset(layout, "/a", VG_STORE_F32, 0, 2, (int64_t[]){rows, 2}, NULL));
    MUST(vg_layout_dataset(layout, "/b/c", VG_STORE_I64, 0, 1, (int64_t[]){rows}, NULL));
    return layout;
}

static vg_store_plan tiny_plan(const char *text)
{
    return (vg_store_plan){.path = path, .plan = text, .blocks = 3, .regions = 2};
}

static void make_tiny(const vg_layout *layout)
{
    vg_store_plan plan = tiny_plan(TINY_PLAN);
    vg_store *store;
    plan.overwrite = true;
    MUST(vg_store_create(comm, &plan, layout, &store));
    for (int64_t b = 0; b < 3; b++) {
        MUST(vg_store_write(store, 0, (int64_t[]){2 * b, 0}, (int64_t[]){2, 2}, (float[]){1, 2, 3, (float)b}));
        MUST(vg_store_write(store, 1, (int64_t[]){2 * b}, (int64_t[]){2}, (int64_t[]){b, -b}));
        MUST(vg_store_commit(store, b));
    }
    vg_store_free(store); /* flushes */
}

static int64_t resumed_blocks(const vg_layout *layout)
{
    vg_store_plan plan = tiny_plan(TINY_PLAN);
    vg_store *store;
    if (vg_store_resume(comm, &plan, layout, &store) != VG_OK)
        return -1;
    int64_t count = vg_store_whole_count(store);
    vg_store_free(store);
    return count;
}

static void no_spoilt_byte_of_a_slot_passes_for_whole(void **state)
{
    (void)state;
    size_t size;
    vg_journal journal;
    vg_layout *layout = tiny_layout(6);
    make_tiny(layout);
    assert_int_equal(resumed_blocks(layout), 3);
    uint8_t *bytes = read_all(beside(".part.journal"), &size);
    MUST(vg_journal_parse("x", bytes, size, &journal));
    assert_int_equal(size, journal.header_bytes + 3 * journal.slot_bytes);
    int64_t used = (int64_t)sizeof(vg_slot) + 2 * (int64_t)sizeof(vg_region) + 4, second = journal.header_bytes + journal.slot_bytes;
    vg_log_configure(VG_LOG_ERROR, 0, 1);
    for (int64_t at = second; at < second + used; at++) {
        flip(beside(".part.journal"), at);
        assert_int_equal(resumed_blocks(layout), 2);
        flip(beside(".part.journal"), at);
    }
    for (int64_t torn = 1; torn < used; torn++) { /* a slot of which only the first bytes came to the disk */
        uint8_t *copy = malloc(size);
        memcpy(copy, bytes, size);
        memset(copy + second + torn, 0, (size_t)(used - torn));
        write_all(beside(".part.journal"), copy, size);
        assert_int_equal(resumed_blocks(layout), torn < used - 4 || memcmp(copy, bytes, size) != 0 ? 2 : 3);
        free(copy);
    }
    memcpy(bytes + second, bytes + journal.header_bytes, (size_t)journal.slot_bytes); /* a sound slot at another's place */
    write_all(beside(".part.journal"), bytes, size);
    assert_int_equal(resumed_blocks(layout), 2);
    vg_log_configure(VG_LOG_INFO, 0, 1);
    free(bytes);
    vg_journal_free(&journal);
    vg_layout_free(layout);
}

static void no_spoilt_byte_of_data_or_header_passes(void **state)
{
    (void)state;
    size_t size, journal_size;
    vg_journal journal;
    vg_layout *layout = tiny_layout(6);
    make_tiny(layout);
    uint8_t *bytes = read_all(beside(".part.journal"), &journal_size);
    free(read_all(beside(".part"), &size));
    MUST(vg_journal_parse("x", bytes, journal_size, &journal));
    vg_log_configure(VG_LOG_ERROR, 0, 1);
    for (int64_t at = 0; at < (int64_t)size; at++) {
        bool data =
            (at >= journal.offsets[0] && at < journal.offsets[0] + 48) || (at >= journal.offsets[1] && at < journal.offsets[1] + 48);
        flip(beside(".part"), at);
        assert_int_equal(resumed_blocks(layout), data ? 2 : -1); /* the structure is what cannot be done again */
        flip(beside(".part"), at);
    }
    size_t used = 80 + 2 * 8 + strlen(TINY_PLAN) + 4;
    for (size_t at = 0; at < used; at++) {
        flip(beside(".part.journal"), (int64_t)at);
        assert_int_equal(resumed_blocks(layout), -1);
        flip(beside(".part.journal"), (int64_t)at);
    }
    for (size_t cut = 0; cut < journal_size; cut += 37) {
        write_all(beside(".part.journal"), bytes, cut);
        assert_int_equal(resumed_blocks(layout), -1);
    }
    write_all(beside(".part.journal"), bytes, journal_size);
    assert_int_equal(resumed_blocks(layout), 3);
    vg_log_configure(VG_LOG_INFO, 0, 1);
    vg_journal_free(&journal);
    free(bytes);
    vg_layout_free(layout);
}

/* A header that is sound by its checksum and lies about its sizes. */
static void a_lying_header_is_refused(void **state)
{
    (void)state;
    static const int64_t lies[] = {-1, 0, 1, INT64_MAX, INT64_MAX / 8, INT64_MAX / 64 + 1, 1LL << 40};
    uint8_t bytes[4096] = "vgjrnl2\n";
    for (int field = 0; field < 8; field++)
        for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
            int64_t numbers[8] = {4096, 800, 3, 2, 192, 0, 0, 80}, lie = lies[i];
            vg_journal journal;
            numbers[field] = lie;
            memcpy(bytes + 8, numbers, sizeof numbers);
            uint32_t crc = vg_crc32c(0, bytes, 80);
            memcpy(bytes + 80, &crc, 4);
            /* the file may have any size, and 0 datasets and 0 bytes of plan are true; blocks count as far as their slots can */
            bool possible = (field == 1 && lie >= 0) || (field == 2 && (lie == 0 || lie == 1 || lie == 1LL << 40)) ||
                            ((field == 5 || field == 6) && lie == 0);
            assert_int_equal(vg_journal_parse("x", bytes, sizeof bytes, &journal), possible ? VG_OK : VG_INVALID);
            vg_journal_free(&journal);
        }
}

static void another_plan_is_refused_by_its_field(void **state)
{
    (void)state;
    static const struct {
        const char *plan, *named; /* NULL: the same */
    } cases[] = {
        {TINY_PLAN, NULL},
        {"version: 1\nblas_core: SkylakeX\nrows: 64\n", "\"blas_core\" was Haswell and is now SkylakeX"},
        {"version: 1\nblas_core: Haswell\nrows: 65\n", "\"rows\" was 64 and is now 65"},
        {"version: 1\nblas_core: Haswell\n", "\"rows\" is in the old plan only"},
        {"version: 1\nblas_core: Haswell\nrows: 64\nmore: 1\n", "\"more\" is in the new plan only"},
        {"version: 1\ngpu: H100\nrows: 64\n", "\"blas_core\" stands where now \"gpu\" does"},
        {"", "\"version\" is in the old plan only"},
    };
    const char *const accept[] = {"gpu", "blas_core", NULL};
    vg_layout *layout = tiny_layout(6), *other = tiny_layout(7);
    vg_store *store;
    make_tiny(layout);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vg_store_plan plan = tiny_plan(cases[i].plan);
        vg_status status = vg_store_resume(comm, &plan, layout, &store);
        assert_int_equal(status, cases[i].named == NULL ? VG_OK : VG_INVALID);
        if (cases[i].named != NULL)
            assert_non_null(strstr(vg_message(), cases[i].named));
        vg_store_free(store);
        plan.accept = accept;
        assert_int_equal(vg_store_resume(comm, &plan, layout, &store), i < 2 ? VG_OK : VG_INVALID);
        vg_store_free(store);
    }
    vg_store_plan plan = tiny_plan(TINY_PLAN);
    assert_int_equal(vg_store_resume(comm, &plan, other, &store), VG_INVALID);
    plan.blocks = 4;
    assert_int_equal(vg_store_resume(comm, &plan, layout, &store), VG_INVALID);
    unlink(beside(".part"));
    assert_int_equal(vg_store_resume(comm, &plan, layout, &store), VG_INVALID);
    assert_non_null(strstr(vg_message(), "no unfinished"));
    vg_layout_free(layout);
    vg_layout_free(other);
}

/* ---- misuse ------------------------------------------------------------------------------------------------------------------- */

static void misuse_is_a_defect(void **state)
{
    (void)state;
    vg_layout *layout = tiny_layout(6);
    vg_store_plan plan = tiny_plan(TINY_PLAN);
    vg_store *store;
    float row[12] = {0};
    MUST(vg_store_create(comm, &plan, layout, &store));
    assert_int_equal(vg_store_write(store, 2, NULL, NULL, row), VG_DEFECT);
    assert_int_equal(vg_store_write(store, -1, NULL, NULL, row), VG_DEFECT);
    assert_int_equal(vg_store_write(store, 0, (int64_t[]){5, 0}, (int64_t[]){2, 2}, row), VG_DEFECT);
    assert_int_equal(vg_store_write(store, 0, (int64_t[]){0, -1}, (int64_t[]){1, 1}, row), VG_DEFECT);
    assert_int_equal(vg_store_write(store, 0, (int64_t[]){0, INT64_MAX}, (int64_t[]){1, 2}, row), VG_DEFECT);
    assert_int_equal(vg_store_write(store, 0, (int64_t[]){0, 0}, (int64_t[]){1, 1}, row), VG_OK);
    assert_int_equal(vg_store_write(store, 0, (int64_t[]){2, 0}, (int64_t[]){1, 1}, row), VG_OK);
    assert_int_equal(vg_store_write(store, 0, (int64_t[]){4, 0}, (int64_t[]){1, 1}, row), VG_DEFECT); /* a third region */
    assert_int_equal(vg_store_commit(store, 3), VG_DEFECT);
    assert_int_equal(vg_store_commit(store, 1), VG_OK);
    assert_int_equal(vg_store_commit(store, 1), VG_DEFECT);
    assert_int_equal(vg_store_finish(store), VG_DEFECT);
    assert_non_null(strstr(vg_message(), "block 0 was never committed"));
    assert_false(exists(path));
    vg_store_free(store);
    vg_layout_free(layout);
}

/* ---- disks -------------------------------------------------------------------------------------------------------------------- */

static vg_status try_create(int64_t rows, int64_t blocks)
{
    vg_layout *layout = tiny_layout(rows);
    vg_store_plan plan = tiny_plan(TINY_PLAN);
    vg_store *store;
    plan.blocks = blocks;
    vg_status status = vg_store_create(comm, &plan, layout, &store);
    vg_store_free(store);
    vg_layout_free(layout);
    return status;
}

static void a_full_disk_is_found_before_the_first_block(void **state)
{
    (void)state;
    if (geteuid() != 0 || mount("none", folder, "tmpfs", 0, "size=1m") != 0) {
        print_message("skipped: mounting a small tmpfs is not permitted here\n");
        skip();
    }
    assert_int_equal(try_create(1000000, 3), VG_NO_SPACE); /* 16 MB of data */
    assert_int_equal(count_files(folder), 0);
    int64_t needed = 0; /* the message says how much */
    assert_int_equal(sscanf(vg_message() + strlen(path), ": %ld bytes", &needed), 1);
    assert_in_range(needed, 16000000, 16100000);
    assert_int_equal(try_create(6, 100000), VG_NO_SPACE); /* 19 MB of journal */
    assert_int_equal(count_files(folder), 0);
    assert_int_equal(try_create(65000, 3),
                     VG_NO_SPACE); /* 1,040,000 bytes of data fit, but not with names and journal: found by reserving */
    assert_int_equal(count_files(folder), 0);
    assert_non_null(strstr(vg_message(), "needed"));
    vg_layout *layout = tiny_layout(6); /* 5 MB of attributes: HDF5 itself meets the full disk */
    char name[16], *text = calloc(50001, 1);
    memset(text, 'x', 50000);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "a%d", i);
        MUST(vg_layout_text(layout, "/b/c", name, text));
    }
    free(text);
    vg_store_plan plan = tiny_plan(TINY_PLAN);
    vg_store *store;
    assert_int_equal(vg_store_create(comm, &plan, layout, &store), VG_NO_SPACE);
    assert_int_equal(count_files(folder), 0);
    vg_layout_free(layout);
    static char big[1044480];
    char filler[96];
    snprintf(filler, sizeof filler, "%s/filler", folder);
    write_all(filler, big, sizeof big); /* 4 kB are left */
    assert_int_equal(try_create(6, 3), VG_NO_SPACE);
    assert_int_equal(count_files(folder), 1);
    unlink(filler);
    assert_int_equal(try_create(6, 3), VG_OK);
    unlink(beside(".part"));
    unlink(beside(".part.journal"));
    assert_int_equal(umount(folder), 0);
}

static void a_forbidden_folder_is_the_users_to_mend(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/missing/features.h5", folder);
    assert_int_equal(try_create(6, 3), VG_INVALID);
    assert_non_null(strstr(vg_message(), path));
    assert_non_null(strstr(vg_message(), "No such file"));
    snprintf(path, sizeof path, "%s/features.h5", folder);
    bool mounted = geteuid() == 0 && mount("none", folder, "tmpfs", MS_RDONLY, "size=1m") == 0;
    if (geteuid() == 0 && !mounted) {
        print_message("skipped: mounting a read-only tmpfs is not permitted here\n");
        skip();
    }
    if (!mounted)
        chmod(folder, 0500);
    vg_status status = try_create(6, 3);
    if (mounted)
        umount(folder);
    else
        chmod(folder, 0700);
    assert_int_equal(status, VG_INVALID);
    assert_non_null(strstr(vg_message(), path));
    assert_int_equal(count_files(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_file_is_plain_hdf5, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(an_old_file_stays_until_the_new_one_is_whole, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_killed_run_leaves_a_part_that_opens_and_goes_on, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(no_instant_is_a_bad_one_for_a_kill, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(no_spoilt_byte_of_a_slot_passes_for_whole, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(no_spoilt_byte_of_data_or_header_passes, make_folder, remove_folder),
        cmocka_unit_test(a_lying_header_is_refused),
        cmocka_unit_test_setup_teardown(another_plan_is_refused_by_its_field, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(misuse_is_a_defect, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_full_disk_is_found_before_the_first_block, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_forbidden_folder_is_the_users_to_mend, make_folder, remove_folder),
    };
    MUST(vg_comm_alone(&comm));
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    vg_comm_finish(comm);
    return failures;
}
