/* journal: its bytes, and nothing else; who writes them when is store.c's. */
#include "journal.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096, FIXED = 8 + 8 * 8 + 2 * 4, CRC = 4 };
static const uint8_t MAGIC[8] = {'v', 'g', 'j', 'r', 'n', 'l', '2', '\n'};

_Static_assert(sizeof(vg_region) == 64 && sizeof(vg_slot) == 40, "regions and slots lie in the journal as in memory");

vg_status vg_journal_measure(vg_journal *j)
{
    int64_t offsets, regions, slots, total;
    VG_TRY(vg_multiply(j->datasets, 8, "datasets of a journal", &offsets));
    VG_TRY(vg_multiply(j->regions, sizeof(vg_region), "regions of a journal", &regions));
    j->offsets_at = FIXED;
    if (__builtin_add_overflow(offsets, FIXED + CRC + PAGE - 1 + j->plan_bytes, &total) ||
        __builtin_add_overflow(regions, (int64_t)sizeof(vg_slot) + CRC + 63, &j->slot_bytes))
        return vg_fail(VG_INVALID, "a journal of %lld datasets and %lld regions is too large", (long long)j->datasets,
                       (long long)j->regions);
    j->header_bytes = total / PAGE * PAGE;
    j->slot_bytes = j->slot_bytes / 64 * 64;
    VG_TRY(vg_multiply(j->blocks, j->slot_bytes, "slots of a journal", &slots));
    if (__builtin_add_overflow(slots, j->header_bytes, &total))
        return vg_fail(VG_INVALID, "a journal of %lld blocks is too large", (long long)j->blocks);
    return VG_OK;
}

vg_status vg_journal_pack(const vg_journal *j, uint8_t **bytes)
{
    const int64_t numbers[8] = {j->header_bytes, j->file_bytes, j->blocks,     j->regions,
                                j->slot_bytes,   j->datasets,   j->plan_bytes, j->offsets_at};
    VG_TRY(VG_NEW(bytes, j->header_bytes, "bytes of a journal"));
    uint8_t *at = *bytes;
    memcpy(at, MAGIC, 8);
    memcpy(at + 8, numbers, sizeof numbers);
    memcpy(at + 72, &j->layout_crc, 4);
    memcpy(at + 76, &j->metadata_crc, 4);
    if (j->datasets > 0)
        memcpy(at + FIXED, j->offsets, (size_t)j->datasets * 8);
    size_t used = FIXED + (size_t)j->datasets * 8;
    memcpy(at + used, j->plan, (size_t)j->plan_bytes);
    used += (size_t)j->plan_bytes;
    uint32_t crc = vg_crc32c(0, at, used);
    memcpy(at + used, &crc, CRC);
    return VG_OK;
}

/* The numbers of a header, believed only as far as they fit each other and `size`. */
static bool parse_numbers(const uint8_t *bytes, size_t size, vg_journal *j)
{
    int64_t numbers[8];
    if (size < FIXED + CRC || memcmp(bytes, MAGIC, 8) != 0)
        return false;
    memcpy(numbers, bytes + 8, sizeof numbers);
    for (int i = 0; i < 8; i++)
        if (numbers[i] < 0)
            return false;
    *j = (vg_journal){
        .file_bytes = numbers[1], .blocks = numbers[2], .regions = numbers[3], .datasets = numbers[5], .plan_bytes = numbers[6]};
    if (j->datasets > (int64_t)size / 8 || j->plan_bytes > (int64_t)size || vg_journal_measure(j) != VG_OK)
        return false;
    memcpy(&j->layout_crc, bytes + 72, 4);
    memcpy(&j->metadata_crc, bytes + 76, 4);
    return j->header_bytes == numbers[0] && j->slot_bytes == numbers[4] && j->offsets_at == numbers[7] && j->header_bytes <= (int64_t)size;
}

vg_status vg_journal_parse(const char *path, const void *data, size_t size, vg_journal *j)
{
    const uint8_t *bytes = data;
    uint32_t crc;
    if (!parse_numbers(bytes, size, j)) {
        *j = (vg_journal){0};
        return vg_fail(VG_INVALID, "%s: is not a journal, or damaged; the unfinished file cannot be resumed", path);
    }
    size_t plan_at = FIXED + (size_t)j->datasets * 8, used = plan_at + (size_t)j->plan_bytes;
    memcpy(&crc, bytes + used, CRC);
    if (crc != vg_crc32c(0, bytes, used))
        return vg_fail(VG_INVALID, "%s: its header is damaged; the unfinished file cannot be resumed", path);
    vg_status status = VG_NEW(&j->offsets, j->datasets, "offsets");
    if (status == VG_OK)
        status = VG_NEW(&j->plan, j->plan_bytes + 1, "bytes of a plan");
    if (status != VG_OK) {
        vg_journal_free(j);
        return status;
    }
    if (j->datasets > 0)
        memcpy(j->offsets, bytes + FIXED, (size_t)j->datasets * 8);
    memcpy(j->plan, bytes + plan_at, (size_t)j->plan_bytes);
    return VG_OK;
}

void vg_journal_free(vg_journal *j)
{
    free(j->offsets);
    free(j->plan);
    *j = (vg_journal){0};
}

/* Up to ':' of a "field: value". */
static size_t field_size(const vg_lines *line)
{
    const char *colon = memchr(line->line, ':', line->length);
    return colon != NULL ? (size_t)(colon - line->line) : line->length;
}

static bool is_accepted(const char *field, size_t size, const char *const *accept)
{
    for (; accept != NULL && *accept != NULL; accept++)
        if (strlen(*accept) == size && memcmp(*accept, field, size) == 0)
            return true;
    return false;
}

static const char *value_of(const vg_lines *line, size_t field, int *size)
{
    size_t at = field;
    while (at < line->length && (line->line[at] == ':' || line->line[at] == ' '))
        at++;
    *size = line->length - at > 300 ? 300 : (int)(line->length - at);
    return line->line + at;
}

vg_status vg_journal_compare(const char *path, const char *old, const char *new, const char *const *accept)
{
    vg_lines a = {.path = path, .text = old, .size = strlen(old)}, b = {.path = path, .text = new, .size = strlen(new)};
    for (;;) {
        bool more_a = vg_lines_next(&a), more_b = vg_lines_next(&b);
        if (!more_a && !more_b)
            return VG_OK;
        if (!more_a || !more_b) {
            const vg_lines *longer = more_a ? &a : &b;
            return vg_fail(
                VG_INVALID,
                "%s: was begun with another plan: \"%.*s\" is in the %s plan only; begin anew with --restart, or use the old settings",
                path, (int)field_size(longer), longer->line, more_a ? "old" : "new");
        }
        size_t field = field_size(&a), other = field_size(&b);
        if (a.length == b.length && memcmp(a.line, b.line, a.length) == 0)
            continue;
        if (field != other || memcmp(a.line, b.line, field) != 0)
            return vg_fail(VG_INVALID,
                           "%s: was begun with another plan: \"%.*s\" stands where now \"%.*s\" does; begin anew with --restart, or use "
                           "the old settings",
                           path, (int)field, a.line, (int)other, b.line);
        if (is_accepted(a.line, field, accept))
            continue;
        int size_a, size_b;
        const char *value_a = value_of(&a, field, &size_a), *value_b = value_of(&b, field, &size_b);
        return vg_fail(
            VG_INVALID,
            "%s: was begun with another plan: \"%.*s\" was %.*s and is now %.*s; begin anew with --restart, or use the old settings", path,
            (int)field, a.line, size_a, value_a, size_b, value_b);
    }
}

void vg_slot_pack(const vg_journal *j, const vg_slot *slot, const vg_region *regions, uint8_t *bytes)
{
    size_t size = (size_t)slot->regions * sizeof *regions;
    memset(bytes, 0, (size_t)j->slot_bytes);
    memcpy(bytes, slot, sizeof *slot);
    if (size > 0)
        memcpy(bytes + sizeof *slot, regions, size);
    uint32_t crc = vg_crc32c(0, bytes, sizeof *slot + size);
    memcpy(bytes + sizeof *slot + size, &crc, CRC);
}

bool vg_slot_parse(const vg_journal *j, int64_t block, const uint8_t *bytes, vg_slot *slot, vg_region *regions)
{
    uint32_t crc;
    memcpy(slot, bytes, sizeof *slot);
    if (slot->block != block || slot->regions < 0 || slot->regions > j->regions)
        return false;
    size_t size = (size_t)slot->regions * sizeof *regions;
    memcpy(&crc, bytes + sizeof *slot + size, CRC);
    if (crc != vg_crc32c(0, bytes, sizeof *slot + size))
        return false;
    if (size > 0)
        memcpy(regions, bytes + sizeof *slot, size);
    return true;
}
