/* scratch: a folder for the tests of one program, made before the first and gone after the last. */
#ifndef VOXGRAD_TESTS_SCRATCH_H
#define VOXGRAD_TESTS_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>

static char folder[] = "/tmp/vg_scratch_XXXXXX";

static inline int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static inline int remove_folder(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

#endif
