/* assets: the parts of the page that every report shares, taken from their files by the assembler when voxgrad is built: the page's style
 * and script (page/), and d3 and three.js with their licences as Debian ships them (cmake/report.cmake finds them). */
#include "report.h"
#include "report_assets.h"

#define EMBED(name, path)                                                                                                                \
    __asm__(".section .rodata\n.balign 16\nvg_asset_" #name ":\n.incbin \"" path "\"\nvg_asset_" #name "_end:\n.byte 0\n.previous\n");   \
    extern const char vg_asset_##name[] __attribute__((visibility("hidden"))), vg_asset_##name##_end[] __attribute__((visibility("hidde" \
                                                                                                                                 "n")))

EMBED(style, ASSET_STYLE_PATH);
EMBED(script, ASSET_SCRIPT_PATH);
EMBED(d3, ASSET_D3_PATH);
EMBED(three, ASSET_THREE_PATH);
EMBED(d3_licence, ASSET_D3_LICENCE_PATH);
EMBED(three_licence, ASSET_THREE_LICENCE_PATH);

#define ASSET(name, checksum)                                                        \
    {                                                                                \
        vg_asset_##name, (size_t)(vg_asset_##name##_end - vg_asset_##name), checksum \
    }

report_asset report_asset_get(report_asset_name name)
{
    const report_asset assets[] = {[ASSET_STYLE] = ASSET(style, ASSET_STYLE_SHA256), [ASSET_SCRIPT] = ASSET(script, ASSET_SCRIPT_SHA256),
                                   [ASSET_D3] = ASSET(d3, ASSET_D3_SHA256),          [ASSET_THREE] = ASSET(three, ASSET_THREE_SHA256),
                                   [ASSET_D3_LICENCE] = ASSET(d3_licence, NULL),     [ASSET_THREE_LICENCE] = ASSET(three_licence, NULL)};
    return assets[name];
}
