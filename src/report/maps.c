/* maps: what the field's viewers open. */
#include "report.h"

vg_status report_maps(const report *r, const char *folder, const char **missing)
{
    (void)r;
    (void)folder;
    *missing = "not yet";
    return VG_OK;
}
