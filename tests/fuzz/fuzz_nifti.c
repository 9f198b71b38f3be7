/* Protects: no bytes make the reader of NIfTI crash, leak or read past its input, its library included. */
#include "fuzz.h"

#include "responses_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    try_responses(".nii", bytes, size);
    return 0;
}
