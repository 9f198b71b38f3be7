/* destrieux: the language regions of the atlas of Destrieux et al. 2010 (FreeSurfer's aparc.a2009s), in each hemisphere and in both. */
#include "voxgrad/brain.h"

#define LEFT(label) "lh:" label
#define RIGHT(label) "rh:" label
#define BOTH(label) label

/* clang-format off */
#define GROUPS(which, end)                                                                                            \
    {"HG" end, (const char *const[]){which("G_temp_sup-G_T_transv"), NULL}},                                          \
    {"HS" end, (const char *const[]){which("S_temporal_transverse"), NULL}},                                          \
    {"STG" end, (const char *const[]){which("G_temp_sup-Lateral"), which("G_temp_sup-Plan_polar"), which("G_temp_sup-Plan_tempo"), NULL}}, \
    {"STS" end, (const char *const[]){which("S_temporal_sup"), NULL}},                                                \
    {"IFG" end, (const char *const[]){which("G_front_inf-Opercular"), which("G_front_inf-Orbital"), which("G_front_inf-Triangul"), NULL}}, \
    {"LatS" end, (const char *const[]){which("Lat_Fis-ant-Horizont"), which("Lat_Fis-ant-Vertical"), which("Lat_Fis-post"), NULL}}
/* clang-format on */

static const vg_region_rule both[] = {GROUPS(BOTH, "")}, left[] = {GROUPS(LEFT, " lh")}, right[] = {GROUPS(RIGHT, " rh")};
enum { GROUP_COUNT = sizeof both / sizeof *both };

static bool has_hemisphere(const vg_atlas *atlas, char hemisphere)
{
    for (int64_t i = 0; atlas->hemispheres != NULL && i < atlas->name_count; i++)
        if (atlas->hemispheres[i] == hemisphere)
            return true;
    return false;
}

int64_t vg_destrieux_rules(const vg_atlas *atlas, vg_region_rule *rules)
{
    int64_t count = 0;
    for (int i = 0; i < GROUP_COUNT; i++)
        rules[count++] = both[i];
    for (int i = 0; i < GROUP_COUNT && has_hemisphere(atlas, 'L'); i++)
        rules[count++] = left[i];
    for (int i = 0; i < GROUP_COUNT && has_hemisphere(atlas, 'R'); i++)
        rules[count++] = right[i];
    return count;
}
