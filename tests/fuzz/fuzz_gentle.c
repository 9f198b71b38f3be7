/* Protects: no bytes make the reader of Gentle's JSON crash, loop, leak or read past its input, and what it reads keeps the story's
 * promises. */
#include "fuzz.h"

#include "story_promises.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    try_story("fuzz.json", bytes, size, NULL);
    return 0;
}
