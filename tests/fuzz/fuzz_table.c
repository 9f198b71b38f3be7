/* Protects: no bytes make the readers of tables (events, and tables of numbers) crash, loop, leak or read past their input, and what they
 * read keeps their promises. */
#include "fuzz.h"

#include "story_promises.h"
#include "voxgrad/brain.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    vg_table table;
    try_story("fuzz.tsv", bytes, size, NULL);
    try_story("fuzz", bytes, size, "text");
    if (vg_table_parse("fuzz.txt", (const char *)bytes, size, &table) != VG_OK)
        return 0;
    double sum = 0;
    for (int64_t i = 0; i < table.rows * table.columns; i++)
        sum += table.values[i];
    if (table.rows < 1 || table.columns < 1 || (size_t)(table.rows * table.columns) > size || sum == 0.123456789)
        abort();
    for (int64_t j = 0; table.names != NULL && j < table.columns; j++)
        if (table.names[j] == NULL)
            abort();
    vg_table_free(&table);
    return 0;
}
