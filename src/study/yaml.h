/* yaml: a YAML file as libfyaml reads it, with the one way to say where a fault is: FILE:LINE: key: what, what to do. */
#ifndef VOXGRAD_STUDY_YAML_H
#define VOXGRAD_STUDY_YAML_H

#include <libfyaml.h>

#include "voxgrad/base.h"

typedef struct {
    char *path, *text;
    size_t size;
    struct fy_document *document;
} vg_yaml;

vg_status vg_yaml_open(const char *path, vg_yaml *yaml);
void vg_yaml_close(vg_yaml *yaml);

/* The line a node begins at, 1-based. */
int vg_yaml_line(struct fy_node *node);

/* Sets the message "FILE:LINE: KEY: " and what follows; VG_INVALID. */
vg_status vg_yaml_fail(const vg_yaml *yaml, struct fy_node *node, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
#ifdef __clang_analyzer__ /* as vg_fail */
#define vg_yaml_fail(...) ((vg_yaml_fail)(__VA_ARGS__), VG_INVALID)
#endif

/* A scalar with ${NAME} and ${NAME:-default} expanded from the environment; a new string. */
vg_status vg_yaml_text(const vg_yaml *yaml, struct fy_node *node, const char *key, char **text);
vg_status vg_yaml_real(const vg_yaml *yaml, struct fy_node *node, const char *key, double *value);
vg_status vg_yaml_whole(const vg_yaml *yaml, struct fy_node *node, const char *key, int64_t *value);

#endif
