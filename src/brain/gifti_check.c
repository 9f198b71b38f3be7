/* gifti_check: what giftiio takes on trust, looked at before it reads a file. It reads past its arrays where elements stand in the wrong
 * place; and data that are not encoded as their array says, or are fewer than it says, it leaves as zeros without a word. */
#include <expat.h>
#include <string.h>
#include <zlib.h>

#include "gifti_image.h"

static const struct {
    const char *element, *parent;
} tree[] = {{"GIFTI", ""},
            {"MetaData", "GIFTI"},
            {"LabelTable", "GIFTI"},
            {"DataArray", "GIFTI"},
            {"Label", "LabelTable"},
            {"MetaData", "DataArray"},
            {"CoordinateSystemTransformMatrix", "DataArray"},
            {"Data", "DataArray"},
            {"MD", "MetaData"},
            {"Name", "MD"},
            {"Value", "MD"},
            {"DataSpace", "CoordinateSystemTransformMatrix"},
            {"TransformedSpace", "CoordinateSystemTransformMatrix"},
            {"MatrixData", "CoordinateSystemTransformMatrix"}};

/* The data of one array: what it says of them, and what was seen so far. */
typedef enum { ASCII, BASE64, GZIP, OTHER } encoding_kind; /* OTHER: of a file beside it, or of no known name */
typedef struct {
    encoding_kind kind;
    int64_t values, width, seen; /* seen: numbers of ASCII, else bytes */
    uint32_t bits;
    int bit_count, padding;
    bool word, wrong, ended, inflating;
    z_stream stream;
} array_data;

enum { DEEPEST = 8 };
typedef struct {
    XML_Parser parser;
    const char *open[DEEPEST]; /* names of the open elements, out of `tree` */
    int depth, arrays;
    const char *wrong; /* NULL: nothing is */
    array_data data;
} file_check;

static void stop(file_check *check, const char *what)
{
    check->wrong = what;
    XML_StopParser(check->parser, XML_FALSE);
}

/* ---- data ------------------------------------------------------------------------------------------------------------------------- */

static void take_attributes(file_check *check, const char **attributes)
{
    static const struct {
        const char *name;
        int64_t width;
    } types[] = {{"NIFTI_TYPE_UINT8", 1}, {"NIFTI_TYPE_INT32", 4}, {"NIFTI_TYPE_FLOAT32", 4}, {"NIFTI_TYPE_FLOAT64", 8}};
    static const char *const kinds[] = {"ASCII", "Base64Binary", "GZipBase64Binary", "ExternalFileBinary"};
    array_data *d = &check->data;
    *d = (array_data){.kind = OTHER, .values = 1};
    check->arrays++;
    for (; attributes[0] != NULL; attributes += 2) {
        int64_t n;
        if (strncmp(attributes[0], "Dim", 3) == 0 && vg_parse_integer(attributes[0] + 3, strlen(attributes[0] + 3), &n) &&
            (!vg_parse_integer(attributes[1], strlen(attributes[1]), &n) ||
             vg_multiply(d->values, n, "numbers of an array", &d->values) != VG_OK))
            stop(check, "a number of values that cannot be");
        for (size_t i = 0; i < sizeof types / sizeof *types && strcmp(attributes[0], "DataType") == 0; i++)
            d->width = strcmp(attributes[1], types[i].name) == 0 ? types[i].width : d->width;
        int known = 0;
        for (int i = 0; i < 4 && strcmp(attributes[0], "Encoding") == 0; i++)
            if (strcmp(attributes[1], kinds[i]) == 0) {
                d->kind = i < OTHER ? (encoding_kind)i : OTHER;
                known++;
            }
        if (strcmp(attributes[0], "Encoding") == 0 && known == 0)
            stop(check, "an Encoding of no known name");
        if (strcmp(attributes[0], "Endian") == 0 && strcmp(attributes[1], "LittleEndian") != 0 && strcmp(attributes[1], "BigEndian") != 0)
            stop(check, "an Endian of no known name");
    }
}

/* Bytes of a zlib stream, counted as they come out. */
static void take_compressed(array_data *d, unsigned char *bytes, size_t count)
{
    unsigned char out[16384];
    d->stream.next_in = bytes;
    d->stream.avail_in = (uInt)count;
    while (!d->wrong && d->stream.avail_in > 0) {
        d->stream.next_out = out;
        d->stream.avail_out = sizeof out;
        int result = d->ended ? Z_DATA_ERROR : inflate(&d->stream, Z_NO_FLUSH);
        d->seen += (int64_t)(sizeof out - d->stream.avail_out);
        d->ended = result == Z_STREAM_END;
        d->wrong = result != Z_OK && result != Z_STREAM_END;
    }
}

static int digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

static void take_base64(array_data *d, const char *text, size_t length)
{
    unsigned char bytes[4096];
    size_t count = 0;
    for (size_t i = 0; i < length && !d->wrong; i++) {
        int digit = digit_of(text[i]);
        d->padding += text[i] == '=';
        if (text[i] == '=' || strchr(" \t\r\n", text[i]) != NULL)
            continue;
        d->wrong = digit < 0 || d->padding > 0;
        d->bits = d->bits << 6 | (uint32_t)digit;
        d->bit_count += 6;
        if (d->bit_count >= 8) {
            d->bit_count -= 8;
            bytes[count++] = (unsigned char)(d->bits >> d->bit_count);
        }
        if (d->kind == GZIP && (count == sizeof bytes || i + 1 == length)) {
            take_compressed(d, bytes, count);
            count = 0;
        } else if (d->kind == BASE64) {
            d->seen += (int64_t)count;
            count = 0;
        }
    }
    if (d->kind == GZIP && count > 0)
        take_compressed(d, bytes, count);
}

static void take_numbers(array_data *d, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        bool blank = strchr(" \t\r\n", text[i]) != NULL;
        d->seen += !blank && !d->word;
        d->word = !blank;
        d->wrong |= !blank && strchr("0123456789+-.eEnNaAiIfF", text[i]) == NULL;
    }
}

static void take_text(void *state, const char *text, int length)
{
    file_check *check = state;
    if (check->depth == 0 || strcmp(check->open[check->depth - 1], "Data") != 0 || check->data.wrong)
        return;
    if (check->data.kind == ASCII)
        take_numbers(&check->data, text, (size_t)length);
    else if (check->data.kind != OTHER)
        take_base64(&check->data, text, (size_t)length);
}

static void end_data(file_check *check)
{
    array_data *d = &check->data;
    int64_t width = d->kind == ASCII ? 1 : d->width;
    d->wrong |= d->kind == GZIP && !d->ended;
    if (d->inflating)
        inflateEnd(&d->stream);
    d->inflating = false;
    if (d->kind != OTHER && (d->wrong || (width > 0 && d->seen != d->values * width)))
        stop(check, "data that are not encoded as the array says, or not as many");
}

/* ---- the file ---------------------------------------------------------------------------------------------------------------------- */

static void begin_element(void *state, const char *name, const char **attributes)
{
    file_check *check = state;
    const char *parent = check->depth > 0 ? check->open[check->depth - 1] : "", *known = NULL;
    for (size_t i = 0; i < sizeof tree / sizeof *tree && check->depth < DEEPEST; i++)
        if (strcmp(tree[i].element, name) == 0 && strcmp(tree[i].parent, parent) == 0)
            known = tree[i].element;
    if (known == NULL) {
        stop(check, "an element that does not belong there");
        return;
    }
    check->open[check->depth++] = known;
    if (strcmp(known, "DataArray") == 0)
        take_attributes(check, attributes);
    if (strcmp(known, "Data") != 0 || check->data.kind != GZIP)
        return;
    check->data.inflating = inflateInit(&check->data.stream) == Z_OK;
    if (!check->data.inflating)
        stop(check, "data that zlib has no memory for");
}

static void end_element(void *state, const char *name)
{
    file_check *check = state;
    if (check->wrong != NULL) /* an empty element that was refused still ends */
        return;
    check->depth--;
    if (strcmp(name, "Data") == 0)
        end_data(check);
}

vg_status vg_gifti_check(const char *path, const vg_file *file)
{
    file_check check = {.parser = XML_ParserCreate(NULL)};
    if (check.parser == NULL)
        return vg_fail(VG_NO_MEMORY, "%s: no memory to read XML", path);
    XML_SetUserData(check.parser, &check);
    XML_SetElementHandler(check.parser, begin_element, end_element);
    XML_SetCharacterDataHandler(check.parser, take_text);
    vg_status status = VG_OK;
    size_t at = 0;
    do {
        size_t piece = file->size - at < 1 << 20 ? file->size - at : 1 << 20;
        bool last = at + piece == file->size;
        if (XML_Parse(check.parser, file->size > 0 ? (const char *)file->data + at : "", (int)piece, last) == XML_STATUS_ERROR)
            status = vg_fail(VG_INVALID, "%s:%lu: is not GIFTI or is cut off: %s", path, XML_GetCurrentLineNumber(check.parser),
                             check.wrong != NULL ? check.wrong : XML_ErrorString(XML_GetErrorCode(check.parser)));
        at += piece;
    } while (at < file->size && status == VG_OK);
    if (check.data.inflating)
        inflateEnd(&check.data.stream); /* stopped within it */
    XML_ParserFree(check.parser);
    return status;
}
