/* sum: are the bytes of a finished file still those that were written? */
#include "sum.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"

void vg_sum_share(int64_t pieces, int rank, int ranks, int64_t *first, int64_t *count)
{
    int64_t each = pieces / ranks, more = pieces % ranks;
    *first = rank * each + (rank < more ? rank : more);
    *count = each + (rank < more ? 1 : 0);
}

vg_status vg_sum_pieces(const char *path, int64_t bytes, int64_t piece, int64_t first, int64_t count, uint32_t *crcs)
{
    int descriptor;
    VG_TRY(vg_io_open(path, O_RDONLY, &descriptor));
    vg_status status = VG_OK;
    for (int64_t i = 0; i < count && status == VG_OK; i++) {
        int64_t at = (first + i) * piece;
        crcs[i] = 0;
        status = vg_io_crc(descriptor, path, at, bytes - at < piece ? bytes - at : piece, &crcs[i]);
    }
    close(descriptor);
    return status;
}

/* Eight digits, as they are printed. */
static bool parse_hex(const char *text, uint32_t *value)
{
    *value = 0;
    for (int i = 0; i < 8; i++) {
        int digit = text[i] >= '0' && text[i] <= '9' ? text[i] - '0' : text[i] >= 'a' && text[i] <= 'f' ? text[i] - 'a' + 10 : -1;
        if (digit < 0)
            return false;
        *value = *value << 4 | (uint32_t)digit;
    }
    return true;
}

/* "WORD NUMBER" */
static bool parse_number(vg_lines *lines, const char *word, int64_t *value)
{
    size_t size = strlen(word);
    return vg_lines_next(lines) && lines->length > size && memcmp(lines->line, word, size) == 0 &&
           vg_parse_integer(lines->line + size, lines->length - size, value);
}

/* The three lines at the beginning; sizes that fit the text's own. */
static bool parse_begin(vg_lines *lines, vg_sum *sum)
{
    static const char magic[] = "voxgrad checksums 1";
    if (!vg_lines_next(lines) || lines->length != strlen(magic) || memcmp(lines->line, magic, lines->length) != 0)
        return false;
    if (!parse_number(lines, "bytes ", &sum->bytes) || !parse_number(lines, "piece ", &sum->piece) || sum->bytes < 0 || sum->piece < 1)
        return false;
    sum->pieces = sum->bytes / sum->piece + (sum->bytes % sum->piece > 0);
    return sum->pieces <= (int64_t)lines->size / 9; /* bytes of the shortest line */
}

static bool parse_pieces(vg_lines *lines, vg_sum *sum)
{
    for (int64_t i = 0; i < sum->pieces; i++) {
        if (!vg_lines_next(lines) || lines->length < 8 || !parse_hex(lines->line, &sum->crcs[i]))
            return false;
        size_t skip = lines->length > 9 ? 9 : lines->length;
        sum->labels[i] = lines->line + skip;
        sum->label_sizes[i] = lines->length - skip;
    }
    uint32_t crc;
    size_t above = lines->at < lines->size ? lines->at : lines->size;
    if (!vg_lines_next(lines) || lines->length != 12 || memcmp(lines->line, "end ", 4) != 0 || !parse_hex(lines->line + 4, &crc))
        return false;
    return crc == vg_crc32c(0, lines->text, above) && lines->at == lines->size;
}

vg_status vg_sum_parse(const char *path, const char *text, size_t size, vg_sum *sum)
{
    vg_lines lines = {.path = path, .text = text, .size = size};
    vg_status status = VG_OK;
    *sum = (vg_sum){0};
    bool good = parse_begin(&lines, sum);
    if (good) {
        VG_GO(VG_NEW(&sum->crcs, sum->pieces, "checksums"));
        VG_GO(VG_NEW(&sum->labels, sum->pieces, "checksums"));
        VG_GO(VG_NEW(&sum->label_sizes, sum->pieces, "checksums"));
        good = parse_pieces(&lines, sum);
    }
    if (!good) {
        vg_fail(VG_INVALID, "%s: is damaged, or no list of checksums; restore it, or remove it to read the file unchecked", path);
        status = VG_INVALID;
    }
done:
    if (status != VG_OK)
        vg_sum_free(sum);
    return status;
}

void vg_sum_free(vg_sum *sum)
{
    free(sum->crcs);
    free(sum->labels);
    free(sum->label_sizes);
    *sum = (vg_sum){0};
}

static vg_status compare(const char *path, const vg_sum *sum, int rank, int ranks)
{
    struct stat about;
    int64_t first, count;
    uint32_t crc;
    if (stat(path, &about) != 0)
        return vg_io_fail(path, "cannot be read");
    if (about.st_size != sum->bytes)
        return vg_fail(VG_INVALID, "%s: has %lld bytes, but %lld were written; make it anew or restore it from a copy", path,
                       (long long)about.st_size, (long long)sum->bytes);
    vg_sum_share(sum->pieces, rank, ranks, &first, &count);
    for (int64_t p = first; p < first + count; p++) {
        int64_t begin = p * sum->piece, end = sum->bytes - begin < sum->piece ? sum->bytes : begin + sum->piece;
        bool named = sum->label_sizes[p] > 1;
        VG_TRY(vg_sum_pieces(path, sum->bytes, sum->piece, p, 1, &crc));
        if (crc != sum->crcs[p])
            return vg_fail(VG_INVALID,
                           "%s: is damaged between bytes %lld and %lld (piece %lld of %lld), where %.*s lies; make it anew or restore it "
                           "from a copy",
                           path, (long long)begin, (long long)end, (long long)p + 1, (long long)sum->pieces,
                           named ? (int)sum->label_sizes[p] : 10, named ? sum->labels[p] : "no dataset");
    }
    return VG_OK;
}

/* NAME.h5.sum on rank 0: its text, or nothing where there is none. */
static vg_status read_sum(const char *path, char **text, size_t *size, bool *summed)
{
    char *beside;
    vg_file file = {0};
    VG_TRY(vg_format(&beside, "%s.sum", path));
    vg_status status = VG_OK;
    *summed = access(beside, F_OK) == 0;
    if (*summed)
        status = vg_file_open(beside, &file);
    else if (access(path, R_OK) != 0)
        status = vg_io_fail(path, "cannot be read");
    if (*summed && status == VG_OK) {
        *size = file.size;
        status = VG_NEW(text, (int64_t)file.size, "checksums");
        if (status == VG_OK && file.size > 0)
            memcpy(*text, file.data, file.size);
        vg_file_close(&file);
    }
    free(beside);
    return status;
}

vg_status vg_store_verify(vg_comm *comm, const char *path, bool *summed)
{
    struct {
        uint64_t size;
        bool summed;
    } head = {0};
    char *text = NULL, *beside = NULL;
    vg_sum sum = {0};
    vg_status status = VG_OK;
    size_t size = 0;
    if (vg_comm_rank(comm) == 0)
        status = read_sum(path, &text, &size, &head.summed);
    VG_AGREE_GO(comm, status);
    head.size = size;
    VG_GO(vg_comm_broadcast(comm, &head, sizeof head, 0));
    *summed = head.summed;
    if (!head.summed)
        goto done;
    if (vg_comm_rank(comm) != 0)
        status = VG_NEW(&text, (int64_t)head.size, "checksums");
    VG_AGREE_GO(comm, status);
    VG_GO(vg_comm_broadcast(comm, text, head.size, 0));
    status = vg_format(&beside, "%s.sum", path);
    if (status == VG_OK)
        status = vg_sum_parse(beside, text, head.size, &sum);
    VG_AGREE_GO(comm, status);
    status = vg_comm_agree(comm, compare(path, &sum, vg_comm_rank(comm), vg_comm_ranks(comm)));
done:
    vg_sum_free(&sum);
    free(text);
    free(beside);
    return status;
}

vg_status vg_store_open_checked(const char *path, vg_store_file **file)
{
    vg_comm *alone;
    bool summed;
    *file = NULL;
    VG_TRY(vg_comm_alone(&alone));
    vg_status status = vg_store_verify(alone, path, &summed);
    vg_comm_finish(alone);
    return status == VG_OK ? vg_store_open(path, file) : status;
}
