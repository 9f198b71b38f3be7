/* limits: how much memory this process may have: the machine's, or the smallest limit of its control groups, which Slurm and containers
 * set. /proc/self/cgroup names the group, "0::/PATH" (version 2) and "N:memory:/PATH" (version 1; Linux' cgroups(7)); a limit of any group
 * above it counts as its own does. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

/* The number in a file, where it has one ("max" is none). */
static void take_least(const char *path, int64_t *least)
{
    FILE *file = fopen(path, "r");
    long long limit;
    if (file != NULL && fscanf(file, "%lld", &limit) == 1 && limit > 0 && limit < *least)
        *least = limit;
    if (file != NULL)
        fclose(file);
}

/* A group's limit and those of all groups above it; group: "/a/b", which is cut off on the way. */
static void climb(const char *root, const char *mount, char *group, const char *file, int64_t *least)
{
    char path[4096];
    for (;;) {
        if (snprintf(path, sizeof path, "%s%s%s/%s", root, mount, group, file) < (int)sizeof path)
            take_least(path, least);
        char *slash = strrchr(group, '/');
        if (slash == NULL)
            return;
        *slash = '\0';
    }
}

/* Of one line of /proc/self/cgroup. A container may see its own group as the top one, whatever the line says: climbing ends there. */
static void take_group(const char *root, char *line, int64_t *least)
{
    char *controllers = strchr(line, ':'), *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (group == NULL)
        return;
    *controllers++ = *group++ = '\0';
    group[strcspn(group, "\n")] = '\0';
    if (*controllers == '\0')
        climb(root, "/sys/fs/cgroup", group, "memory.max", least);
    for (char *name = strtok(controllers, ","); name != NULL; name = strtok(NULL, ","))
        if (strcmp(name, "memory") == 0)
            climb(root, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes", least);
}

int64_t vg_machine_memory(const char *root)
{
    int64_t least = (int64_t)sysconf(_SC_PHYS_PAGES) * (int64_t)sysconf(_SC_PAGESIZE);
    char path[4096], *line = NULL;
    size_t room = 0;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "r");
    while (file != NULL && getline(&line, &room, file) > 0)
        take_group(root, line, &least);
    free(line);
    if (file != NULL)
        fclose(file);
    return least;
}
