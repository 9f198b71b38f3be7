/* status: the one error path. A message is set where a fault is known and kept per thread until it is shown. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "voxgrad/base.h"

static _Thread_local char message[2048];

int vg_exit_code(vg_status status)
{
    switch (status) {
    case VG_OK:
        return 0;
    case VG_INVALID:
        return 2;
    case VG_NO_MEMORY:
    case VG_NO_SPACE:
    case VG_NO_DEVICE:
        return 3;
    case VG_INTERRUPTED:
        return 4;
    case VG_DEFECT:
        break;
    }
    return 5;
}

/* Names in parentheses: not the macros that the analyzer sees. */
vg_status(vg_fail)(vg_status status, const char *format, ...)
{
    char text[sizeof message]; /* the arguments may point into the old message */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(message, text, sizeof text);
    return status;
}

vg_status(vg_fail_within)(vg_status status, const char *format, ...)
{
    char text[sizeof message];
    va_list arguments;
    va_start(arguments, format);
    int used = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (used >= 0 && (size_t)used < sizeof text)
        snprintf(text + used, sizeof text - (size_t)used, "%s", message);
    memcpy(message, text, sizeof text);
    return status;
}

const char *vg_message(void)
{
    return message;
}
