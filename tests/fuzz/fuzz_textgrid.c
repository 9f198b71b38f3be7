/* Protects: no bytes make the TextGrid reader crash, loop, leak or read past its input, and what it reads keeps the story's promises. */
#include "fuzz.h"

#include <stdlib.h>

#include "story_promises.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    try_story("fuzz.TextGrid", bytes, size, NULL);
    try_story("fuzz.TextGrid", bytes, size, "word");
    return 0;
}
