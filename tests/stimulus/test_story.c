/* Protects: every format of stories gives the same words and times; every bad file is refused, with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "voxgrad/stimulus.h"

#define HEAD "File type = \"ooTextFile\"\nObject class = \"TextGrid\"\n\n"

static const char long_form[] =
    HEAD "xmin = 0\nxmax = 3\ntiers? <exists>\nsize = 3\nitem []:\n"
         "    item [1]:\n        class = \"TextTier\"\n        name = \"clicks\"\n        xmin = 0\n        xmax = 3\n"
         "        points: size = 1\n        points [1]:\n            number = 0.5\n            mark = \"c\"\n"
         "    item [2]:\n        class = \"IntervalTier\"\n        name = \"word\"\n        xmin = 0\n        xmax = 3\n"
         "        intervals: size = 4\n"
         "        intervals [1]:\n            xmin = 0\n            xmax = 1\n            text = \"sp\"\n"
         "        intervals [2]:\n            xmin = 1\n            xmax = 1.5\n            text = \"caf\xC3\xA9 \"\n"
         "        intervals [3]:\n            xmin = 1.5\n            xmax = 2.25\n            text = \"\"\"Hi\"\"\"\n"
         "        intervals [4]:\n            xmin = 2.25\n            xmax = 3\n            text = \"\"\n"
         "    item [3]:\n        class = \"IntervalTier\"\n        name = \"phone\"\n        xmin = 0\n        xmax = 3\n"
         "        intervals: size = 1\n"
         "        intervals [1]:\n            xmin = 0\n            xmax = 3\n            text = \"k\"\n";
static const char short_form[] =
    HEAD "0\r\n3\r\n<exists>\r\n1 ! tiers\r\n\"IntervalTier\"\r\n\"word\"\r\n0\r\n3\r\n4\r\n"
         "0\r\n1\r\n\"sp\"\r\n1\r\n1.5\r\n\"caf\xC3\xA9\"\r\n1.5\r\n2.25\r\n\"\"\"Hi\"\"\"\r\n2.25\r\n3\r\n\"\"\r\n";
static const char tsv[] = "onset\tduration\ttrial_type\tword\n1\t.5\tx\tcaf\xC3\xA9\n1.5\t0.75\tx\t\"Hi\"\"\n2.25\tn/a\tx\tn/a\n";
static const char csv[] = "\"Word\",Word Onset,Word_Offset\r\ncaf\xC3\xA9,1,1.5\r\n\"\"\"Hi\"\"\",1.5,2.25\r\nsil,2.25,3\r\n";
static const char json[] = "{\"transcript\": \"\", \"words\": [{\"case\": \"success\", \"word\": \"caf\xC3\xA9\", \"alignedWord\": "
                           "\"cafe\", \"start\": 1, \"end\": 1.5},"
                           "{\"case\": \"not-found-in-transcript\", \"alignedWord\": \"um\", \"start\": 1.5, \"end\": 1.5},"
                           "{\"case\": \"success\", \"word\": \"\\\"Hi\\\"\", \"start\": 1.5, \"end\": 2.25}]}";

static vg_status parse(const char *path, const char *text, const char *tier, vg_story *story)
{
    return vg_story_parse(path, text, strlen(text), tier, 0, story);
}

static void every_format_gives_the_same_words(void **state)
{
    (void)state;
    static const struct {
        const char *path, *text, *tier, *second;
    } cases[] = {
        {"a/story.TextGrid", long_form, "word", "\"Hi\""},
        {"a/story.TextGrid", short_form, NULL, "\"Hi\""},
        {"a/story.txt", short_form, "word", "\"Hi\""},
        {"a/story.tsv", tsv, NULL, "\"Hi\"\""},
        {"a/story.csv", csv, NULL, "\"Hi\""},
        {"a/story.txt", csv, "Word", "\"Hi\""},
        {"a/story.json", json, NULL, "\"Hi\""},
        {"a/story", json, NULL, "\"Hi\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vg_story story;
        if (vg_story_parse(cases[i].path, cases[i].text, strlen(cases[i].text), cases[i].tier, 10, &story) != VG_OK)
            fail_msg("case %zu: %s", i, vg_message());
        assert_int_equal(story.count, 2);
        assert_string_equal(story.name, "story");
        assert_string_equal(story.words[0].text, "caf\xC3\xA9");
        assert_string_equal(story.words[1].text, cases[i].second);
        assert_true(story.words[0].onset == 11 && story.words[0].offset == 11.5);
        assert_true(story.words[1].onset == 11.5 && story.words[1].offset == 12.25);
        assert_int_equal(story.interpolated, 0);
        vg_story_free(&story);
    }
}

static void a_table_column_is_chosen_by_name(void **state)
{
    (void)state;
    vg_story story;
    assert_int_equal(parse("a.tsv", tsv, "trial_type", &story), VG_OK);
    assert_string_equal(story.words[0].text, "x");
    vg_story_free(&story);
}

static void utf16_is_read(void **state)
{
    (void)state;
    char path[] = "/tmp/vg_story_XXXXXX";
    uint8_t wide[4096] = {0xFF, 0xFE};
    size_t size = 2;
    for (const char *c = short_form; *c != '\0'; c++) {
        uint8_t low = (uint8_t)*c;
        if (low == 0xC3) { /* the e with an accent, U+00E9 */
            low = 0xE9;
            c++;
        }
        wide[size] = low;
        size += 2;
    }
    for (int cut = 0; cut < 2; cut++) {
        int descriptor = cut == 0 ? mkstemp(path) : -1;
        FILE *file = cut == 0 ? fdopen(descriptor, "wb") : fopen(path, "wb");
        fwrite(wide, 1, cut == 0 ? size : size / 2 / 2 * 2 + 1, file);
        fclose(file);
        vg_story story;
        assert_int_equal(vg_story_open(path, "word", 0, &story), cut == 0 ? VG_OK : VG_INVALID);
        if (cut == 0)
            assert_string_equal(story.words[0].text, "caf\xC3\xA9");
        else
            assert_non_null(strstr(vg_message(), path));
        vg_story_free(&story);
    }
    unlink(path);
}

static void untimed_words_share_the_time_between(void **state)
{
    (void)state;
    vg_story story;
    static const char text[] = "word,onset,offset\nI,0,1\nwould,1,2\nn't,,\nve,n/a,NA\nknown,3,2.5\nwell,4,\nnow,5,6\n";
    assert_int_equal(parse("a.csv", text, NULL, &story), VG_OK);
    assert_int_equal(story.count, 7);
    assert_int_equal(story.interpolated, 2);
    assert_int_equal(story.mended, 1); /* known ends before it starts */
    static const double onsets[] = {0, 1, 2, 2.5, 3, 4, 5}, offsets[] = {1, 2, 2.5, 3, 4, 5, 6};
    for (int n = 0; n < 7; n++) {
        assert_true(story.words[n].onset == onsets[n]);
        assert_true(story.words[n].offset == offsets[n]);
        assert_int_equal(story.words[n].interpolated, n == 2 || n == 3);
    }
    vg_story_free(&story);
    assert_int_equal(parse("a.csv", "word,onset\na,0\nb,\nc,0.5\n", NULL, &story), VG_OK);
    assert_true(story.words[0].offset == .25 && story.words[1].onset == .25 && story.words[2].offset == .5);
    vg_story_free(&story);
    assert_int_equal(parse("a.json",
                           "{\"words\": [{\"case\": \"success\", \"word\": \"a\", \"start\": 0, \"end\": 1}, {\"case\": "
                           "\"not-found-in-audio\", \"word\": \"b\"},"
                           "{\"case\": \"success\", \"word\": \"c\", \"start\": 2, \"end\": 3}]}",
                           NULL, &story),
                     VG_OK);
    assert_true(story.words[1].onset == 1 && story.words[1].offset == 2 && story.words[1].interpolated);
    vg_story_free(&story);
}

static void the_space_before_a_word_is_its_own(void **state)
{
    (void)state;
    vg_story story;
    char *text;
    int64_t begin[3], end[3];
    assert_int_equal(parse("a.csv", "word,onset\n Alice ,0\n\"was  be\tgin\",1\nning,2\n", NULL, &story), VG_OK);
    assert_int_equal(vg_story_text(&story, &text, begin, end), VG_OK);
    assert_string_equal(text, "Alice was be gin ning");
    static const int64_t begins[] = {0, 5, 16}, ends[] = {5, 16, 21};
    assert_memory_equal(begin, begins, sizeof begin);
    assert_memory_equal(end, ends, sizeof end);
    free(text);
    vg_story_free(&story);
}

/* ---- bad files ------------------------------------------------------------------------------------------------------------- */

#define GRID(intervals) HEAD "0 9 <exists> 1 \"IntervalTier\" \"word\" 0 9 2\n" intervals
#define WORDS(list) "{\"words\": [" list "]}"

static void bad_files_are_refused_where_they_are_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *path, *text, *tier, *says;
    } cases[] = {
        {"a.TextGrid", "", NULL, "is empty"},
        {"a.TextGrid", GRID("0 2 \"a\"\n2 1.5 \"b\"\n"), NULL, "a.TextGrid:6: interval ends (1.500 s) before it starts (2.000 s)"},
        {"a.TextGrid", GRID("0 2 \"a\"\n1 3 \"b\"\n"), NULL,
         "a.TextGrid:6: interval starts (1.000 s) before the one before it ends (2.000 s)"},
        {"a.TextGrid", GRID("2 3 \"a\"\n0 1 \"b\"\n"), NULL, "a.TextGrid:6: interval starts"},
        {"a.TextGrid", GRID("-1 2 \"a\"\n2 3 \"b\"\n"), NULL, "a.TextGrid:5: a time is negative"},
        {"a.TextGrid", GRID("0 -nan \"a\"\n2 3 \"b\"\n"), NULL, "a.TextGrid:5: "},
        {"a.TextGrid", GRID("0 1e999 \"a\"\n2 3 \"b\"\n"), NULL, "a.TextGrid:5: a time is infinite"},
        {"a.TextGrid", GRID("0 2 \"a\"\n"), NULL, "is it cut off?"},
        {"a.TextGrid", GRID("0 2 \"a\"\n2 3 \"b"), NULL, "a.TextGrid:6: a quoted text begins here and does not end"},
        {"a.TextGrid", GRID("0 2 \"a\"\n2 3 \"b\"\n3 4 \"c\"\n"), NULL, "a.TextGrid:7: there is more"},
        {"a.TextGrid", GRID("0 2 \"sp\"\n2 3 \" \"\n"), NULL, "has no words (2 "},
        {"a.TextGrid", long_form, "words", "no tier \"words\"; it has \"clicks\" (points, no words), \"word\", \"phone\""},
        {"a.TextGrid", long_form, "clicks", "holds points"},
        {"a.TextGrid", long_form, NULL, "which tier"},
        {"a.TextGrid", HEAD "0 9 <exists> 999999999\n", NULL, "do not fit"},
        {"a.TextGrid", HEAD "0 9 <absent>\n", NULL, "no tiers"},
        {"a.TextGrid", HEAD "0 9 <exists> 1 \"IntervalTier\" \"word\" 0 9 1.5\n", NULL, "a.TextGrid:4: a tier's number of intervals"},
        {"a.TextGrid", "File type = \"ooTextFile\"\n\"PitchTier\"\n", NULL, "PitchTier"},
        {"a.TextGrid", "onset\tword\n", NULL, "cut off"},
        {"a.tsv", "word\tonset\toffset\na\t0\t1\nb\t.5\t2\n", NULL, "a.tsv:3: interval starts (0.500 s) before the one before it ends"},
        {"a.tsv", "word\tonset\toffset\na\t2\t3\nb\t1\t2\n", NULL, "a.tsv:3: interval starts"},
        {"a.tsv", "word\tonset\toffset\na\t-2\t3\n", NULL, "a.tsv:2: a time is negative"},
        {"a.tsv", "word\tonset\toffset\na\t0\t-3\n", NULL, "a.tsv:2: a time is negative"},
        {"a.tsv", "word\tonset\tduration\na\t0\t-3\n", NULL, "a.tsv:2: the duration is negative"},
        {"a.tsv", "word\tonset\toffset\na\tnan\t3\n", NULL, "a.tsv:2: \"nan\" is not a time"},
        {"a.tsv", "word\tonset\toffset\na\tsoon\t3\n", NULL, "a.tsv:2: \"soon\" is not a time"},
        {"a.tsv", "word\tonset\toffset\na\t0\t3\nb\t3\n", NULL, "a.tsv:3: has 2 fields where the header has 3"},
        {"a.tsv", "word\tonset\toffset\na\t\t\nb\t3\t4\n", NULL, "word 1 (\"a\") has no times and no timed word before it"},
        {"a.tsv", "word\tonset\toffset\na\t1\t2\nb\t\t\n", NULL, "word 2 (\"b\") has no times and no timed word after it"},
        {"a.tsv", "words\tstarts\na\t1\n", NULL, "a.tsv:1: no column with onsets (onset, start, ...); the header is \"words\tstarts\""},
        {"a.tsv", "heard\tonset\na\t1\n", NULL, "a.tsv:1: no column with words"},
        {"a.tsv", tsv, "words", "no column \"words\""},
        {"a.tsv", "onset\tword\n", NULL, "has no words"},
        {"a.csv", "word,onset\n\"a,1\n", NULL, "a.csv:2: a quoted field is not closed"},
        {"a.json", "{\"words\": [{\"case\": \"succ", NULL, "a.json:1: "},
        {"a.json", "{\"word\": 1}", NULL, "no list \"words\""},
        {"a.json", "[1, 2]", NULL, "no list \"words\""},
        {"a.json", WORDS("{\"case\": \"success\", \"word\": \"a\", \"start\": 2, \"end\": 1}"), NULL, "a.json: word 1: interval ends"},
        {"a.json", WORDS("{\"case\": \"success\", \"word\": \"a\", \"start\": 2}"), NULL, "word 1 (\"a\"): is aligned but"},
        {"a.json", WORDS("{\"case\": \"success\", \"word\": \"a\\u0000b\", \"start\": 2, \"end\": 3}"), NULL, ""},
        {"a.json", WORDS("{\"case\": \"lost\", \"word\": \"a\"}"), NULL, "unknown case \"lost\""},
        {"a.json", WORDS("7"), NULL, "no \"word\""},
        {"a.json", WORDS("{\"case\": \"not-found-in-audio\", \"word\": \"a\"}"), NULL, "no timed word before"},
        {"a.bin", "just words", NULL, "none of the formats"},
        {"a.tsv", "word\tonset\n\xFF\t1\n", NULL, "UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vg_story story;
        if (parse(cases[i].path, cases[i].text, cases[i].tier, &story) != VG_INVALID)
            fail_msg("case %zu (%s) was read", i, cases[i].says);
        if (strstr(vg_message(), cases[i].says) == NULL)
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, vg_message(), cases[i].says);
        assert_null(story.words);
    }
    vg_story story;
    assert_int_equal(vg_story_open("no/such.TextGrid", NULL, 0, &story), VG_INVALID);
    assert_non_null(strstr(vg_message(), "no/such.TextGrid"));
    assert_int_equal(vg_story_parse("a.csv", csv, strlen(csv), NULL, NAN, &story), VG_INVALID);
}

/* Cut anywhere, a TextGrid is refused (the last quote's loss included), unless only white space is lost. */
static void a_textgrid_cut_anywhere_is_refused(void **state)
{
    (void)state;
    size_t whole = strrchr(long_form, '"') - long_form + 1;
    for (size_t size = 0; size < whole; size++) {
        vg_story story;
        if (vg_story_parse("a.TextGrid", long_form, size, "word", 0, &story) != VG_INVALID)
            fail_msg("read when cut to %zu bytes", size);
    }
}

/* ---- real files -------------------------------------------------------------------------------------------------------------- */

static const char *data(const char *name)
{
    static char path[4096];
    const char *folder = getenv("VG_DATA");
    snprintf(path, sizeof path, "%s/%s", folder != NULL ? folder : "", name);
    if (folder == NULL || access(path, R_OK) != 0) {
        print_message("skipped: %s is not there (VG_DATA)\n", path);
        skip();
    }
    return path;
}

static void alice_textgrid(void **state)
{
    (void)state;
    vg_story story;
    const char *path = data("alice/stim/DownTheRabbitHoleFinal_exp120_pad_1.TextGrid");
    if (vg_story_open(path, "word", 0, &story) != VG_OK)
        fail_msg("%s", vg_message());
    assert_int_equal(story.count, 2127);
    assert_int_equal(story.pauses, 2423 - 2127);
    assert_int_equal(story.interpolated, 0);
    assert_string_equal(story.words[0].text, "Alice");
    assert_true(story.words[0].onset == 20.05891632653599 && story.words[0].offset == 20.621637414967992);
    assert_string_equal(story.words[2126].text, "cake");
    vg_story_free(&story);
    assert_int_equal(vg_story_open(path, "words", 0, &story), VG_INVALID);
    assert_non_null(strstr(vg_message(), "it has \"word\""));
}

/* The published table has 31 clitics without times and one word that ends before it starts; all its words are kept. */
static void alice_annotations(void **state)
{
    (void)state;
    vg_story story;
    if (vg_story_open(data("alice/openneuro-ds002322/annotations.tsv"), NULL, 0, &story) != VG_OK)
        fail_msg("%s", vg_message());
    assert_int_equal(story.count, 2132);
    assert_int_equal(story.interpolated, 31);
    assert_int_equal(story.mended, 1);
    assert_string_equal(story.words[102].text, "suddenly");
    assert_true(story.words[102].onset == 53.184579 && story.words[102].offset == 54.18076273);
    for (int64_t n = 1; n < story.count; n++)
        assert_true(story.words[n].onset >= story.words[n - 1].onset && story.words[n].offset >= story.words[n].onset);
    vg_story_free(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_gives_the_same_words),
        cmocka_unit_test(a_table_column_is_chosen_by_name),
        cmocka_unit_test(utf16_is_read),
        cmocka_unit_test(untimed_words_share_the_time_between),
        cmocka_unit_test(the_space_before_a_word_is_its_own),
        cmocka_unit_test(bad_files_are_refused_where_they_are_wrong),
        cmocka_unit_test(a_textgrid_cut_anywhere_is_refused),
        cmocka_unit_test(alice_textgrid),
        cmocka_unit_test(alice_annotations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
