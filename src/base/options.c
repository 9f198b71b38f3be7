/* options: GNU-style command lines out of one table a subcommand, which also prints the help. */
#include <string.h>

#include "voxgrad/base.h"

static vg_status unknown(const vg_option *options, const char *argument, const char *name)
{
    const char *names[64];
    size_t count = 0;
    for (; options[count].name != NULL && count < 63; count++)
        names[count] = options[count].name;
    names[count] = NULL;
    const char *near = vg_nearest(name, names);
    if (near != NULL)
        return vg_fail(VG_INVALID, "unknown option %s; did you mean --%s?", argument, near);
    return vg_fail(VG_INVALID, "unknown option %s; --help lists the options", argument);
}

static const vg_option *find(const vg_option *options, const char *name, size_t length)
{
    for (; options->name != NULL; options++)
        if (strlen(options->name) == length && strncmp(options->name, name, length) == 0)
            return options;
    return NULL;
}

static const vg_option *find_letter(const vg_option *options, char letter)
{
    for (; options->name != NULL; options++)
        if (options->letter == letter)
            return options;
    return NULL;
}

/* One option at argv[*i]; its argument may be argv[*i + 1]. */
static vg_status parse_one(const vg_option *options, int argc, char **argv, int *i)
{
    const char *argument = argv[*i], *value = NULL;
    const vg_option *option;
    if (argument[1] == '-') {
        const char *name = argument + 2, *equals = strchr(name, '=');
        option = find(options, name, equals != NULL ? (size_t)(equals - name) : strlen(name));
        if (option == NULL)
            return unknown(options, argument, name);
        value = equals != NULL ? equals + 1 : NULL;
    } else {
        option = find_letter(options, argument[1]);
        if (option == NULL)
            return unknown(options, argument, argument + 1);
        value = argument[2] != '\0' ? argument + 2 : NULL;
    }
    if (option->value == NULL) {
        if (value != NULL)
            return vg_fail(VG_INVALID, "option --%s takes no value", option->name);
        *option->flag = true;
        return VG_OK;
    }
    if (value == NULL) {
        if (*i + 1 >= argc)
            return vg_fail(VG_INVALID, "option --%s needs a value: --%s %s", option->name, option->name, option->value);
        value = argv[++*i];
    }
    *option->text = value;
    return VG_OK;
}

vg_status vg_options_parse(const vg_option *options, int argc, char **argv, int *operands)
{
    *operands = 0;
    bool ended = false;
    for (int i = 1; i < argc; i++) {
        if (!ended && strcmp(argv[i], "--") == 0)
            ended = true;
        else if (!ended && argv[i][0] == '-' && argv[i][1] != '\0')
            VG_TRY(parse_one(options, argc, argv, &i));
        else
            argv[(*operands)++] = argv[i];
    }
    return VG_OK;
}

void vg_options_print(const vg_option *options, FILE *out)
{
    for (; options->name != NULL; options++) {
        char left[64], letter[8] = "    ";
        if (options->letter != 0)
            snprintf(letter, sizeof letter, "-%c, ", options->letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, options->name, options->value != NULL ? " " : "",
                 options->value != NULL ? options->value : "");
        fprintf(out, "  %-28s %s\n", left, options->help);
    }
}
