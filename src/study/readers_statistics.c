/* readers_statistics: the keys of the statistics that have a shape of their own. */
#include <string.h>

#include "keys.h"

static bool is_word(struct fy_node *node, const char *word)
{
    size_t length;
    const char *text = fy_node_is_scalar(node) ? fy_node_get_scalar(node, &length) : NULL;
    return text != NULL && length == strlen(word) && memcmp(text, word, length) == 0;
}

vg_status vg_key_min_shift(const vg_yaml *yaml, struct fy_node *node, const char *key, vg_study *study, void *item)
{
    (void)item;
    study->null.min_shift = -1;
    if (is_word(node, "auto"))
        return VG_OK;
    VG_TRY(vg_yaml_whole(yaml, node, key, &study->null.min_shift));
    return study->null.min_shift >= 1
               ? VG_OK
               : vg_yaml_fail(yaml, node, key, "auto, or a number of rows from 1 on, not %lld", (long long)study->null.min_shift);
}
