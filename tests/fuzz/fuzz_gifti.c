/* Protects: no bytes make the reader of GIFTI crash or read past its input, its library included; leaks of giftiio itself, a few bytes for
 * some broken files, are known and not ours. */
#include "fuzz.h"

#include "responses_file.h"

const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libgiftiio";
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    try_responses(".gii", bytes, size);
    return 0;
}
