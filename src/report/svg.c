/* svg: shapes, axes, colours and type of the figures. Type of 7 pt as journals want it; categories by the palette of Okabe and Ito (2008),
 * scales by viridis (Smith and van der Walt, CC0), both safe for readers who do not see all colours. */
#include <math.h>
#include <string.h>

#include "svg.h"

/* The page has the same classes for light and dark (page.css). */
static const char style[] =
    "text{font:7px Helvetica,Arial,'Liberation Sans','DejaVu Sans',sans-serif;fill:#1a1a1a}.small{font-size:6px;fill:#555}"
    ".head{font-weight:bold;font-size:8px}.grid{stroke:#e3e3e3;stroke-width:.5}.zero,.axis{stroke:#777;stroke-width:.6}"
    ".link{stroke:#bbb;stroke-width:.6}.bar{stroke:#1a1a1a;stroke-width:1}.null{fill:#000;fill-opacity:.08}"
    ".ceiling{stroke:#1a1a1a;stroke-width:.8;stroke-dasharray:3 2}.absent{fill:none;stroke:#bbb;stroke-width:.5}.dot{fill-opacity:.55}"
    ".mean{stroke:#fff;stroke-width:.6}.course{fill:none;stroke-width:.8}.s0{stroke:#0072b2}.s1{stroke:#d55e00}.s2{stroke:#009e73}"
    ".s3{stroke:#cc79a7}.s4{stroke:#e69f00}.s5{stroke:#56b4e9}.s6{stroke:#000}.over{font-size:5.5px}.c0{fill:#0072b2}.c1{fill:#d55e00}.c2{"
    "fill:#009e73}.c3{fill:#cc79a7}.c4{fill:#e69f00}"
    ".c5{fill:#56b4e9}.c6{fill:#000}.c7{fill:#8a8a8a}.unsure{fill:#fff;stroke:#777;stroke-width:.8}.tied{fill:#bbb}.best{fill:none;stroke:#"
    "d55e00;stroke-width:1.2}";

void svg_begin(FILE *svg, double width, double height, const char *about)
{
    fprintf(svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.1f %.1f\" width=\"%.1fpt\" height=\"%.1fpt\" role=\"img\" "
            "aria-label=\"",
            width, height, width, height);
    encode_html(svg, about);
    fprintf(svg, "\"><style>%s</style>\n<g class=\"figure\">\n", style);
}

void svg_end(FILE *svg)
{
    fputs("</g></svg>\n", svg);
}

void svg_text(FILE *svg, double x, double y, const char *anchor, const char *class, const char *text)
{
    fprintf(svg, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">", x, y, anchor, class);
    encode_html(svg, text);
    fputs("</text>\n", svg);
}

void svg_text_turned(FILE *svg, double x, double y, double degrees, const char *anchor, const char *class, const char *text)
{
    fprintf(svg, "<text transform=\"translate(%.1f %.1f) rotate(%.0f)\" text-anchor=\"%s\" class=\"%s\">", x, y, degrees, anchor, class);
    encode_html(svg, text);
    fputs("</text>\n", svg);
}

void svg_line(FILE *svg, const char *class, double x1, double y1, double x2, double y2)
{
    fprintf(svg, "<line class=\"%s\" x1=\"%.2f\" y1=\"%.2f\" x2=\"%.2f\" y2=\"%.2f\"/>\n", class, x1, y1, x2, y2);
}

void svg_box(FILE *svg, const char *class, double x, double y, double width, double height)
{
    fprintf(svg, "<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"/>\n", class, x, y, width > 0 ? width : 0,
            height > 0 ? height : 0);
}

void svg_note(char *title, size_t size, const char *name, double value)
{
    size_t used = strlen(title);
    if (isfinite(value))
        snprintf(title + used, size - used, ", %s %.4g", name, value);
}

/* ---- marks --------------------------------------------------------------------------------------------------------------- */

static void begin_mark(FILE *svg, const char *shape, svg_mark mark)
{
    fprintf(svg, "<%s class=\"%s", shape, mark.class);
    if (mark.colour >= 0)
        fprintf(svg, " c%d", mark.colour % 8);
    fputs("\" data-value=\"", svg);
    encode_number(svg, mark.value);
    fputc('"', svg);
}

static void end_mark(FILE *svg, const char *shape, svg_mark mark)
{
    fputs("><title>", svg);
    encode_html(svg, mark.title);
    fprintf(svg, "</title></%s>\n", shape);
}

void svg_dot(FILE *svg, svg_mark mark, double x, double y, double radius)
{
    begin_mark(svg, "circle", mark);
    fprintf(svg, " cx=\"%.2f\" cy=\"%.2f\" r=\"%.2f\"", x, y, radius);
    end_mark(svg, "circle", mark);
}

void svg_diamond(FILE *svg, svg_mark mark, double x, double y, double radius)
{
    begin_mark(svg, "path", mark);
    fprintf(svg, " d=\"M%.2f %.2fl%.2f %.2fl%.2f %.2fl%.2f %.2fz\"", x, y - radius, radius, radius, -radius, radius, -radius, -radius);
    end_mark(svg, "path", mark);
}

void svg_bar(FILE *svg, svg_mark mark, double x, double y, double width, double height)
{
    begin_mark(svg, "rect", mark);
    fprintf(svg, " x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"", x, y, width > 0 ? width : 0, height);
    end_mark(svg, "rect", mark);
}

static const unsigned viridis[] = {0x440154, 0x472d7b, 0x3b528b, 0x2c728e, 0x21918c, 0x28ae80, 0x5ec962, 0xaddc30, 0xfde725};

static unsigned shade(double share)
{
    double at = fmin(fmax(share, 0.0), 1.0) * 8.0;
    int below = at >= 8.0 ? 7 : (int)at;
    unsigned colour = 0;
    for (int shift = 16; shift >= 0; shift -= 8) {
        double a = viridis[below] >> shift & 255, b = viridis[below + 1] >> shift & 255;
        colour |= (unsigned)lround(a + (at - below) * (b - a)) << shift;
    }
    return colour;
}

void svg_cell(FILE *svg, svg_mark mark, double share, double x, double y, double width, double height)
{
    begin_mark(svg, "rect", mark);
    fprintf(svg, " x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"", x, y, width, height);
    if (isfinite(share))
        fprintf(svg, " fill=\"#%06x\"", shade(share));
    else
        fputs(" fill=\"none\" stroke=\"#bbb\" stroke-width=\".5\" stroke-dasharray=\"2 2\"", svg);
    end_mark(svg, "rect", mark);
}

void svg_signed(FILE *svg, svg_mark mark, double share, double x, double y, double width, double height)
{
    mark.colour = share < 0 ? 0 : 4;
    begin_mark(svg, "rect", mark);
    fprintf(svg, " x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill-opacity=\"%.2f\"", x, y, width, height,
            isfinite(share) ? 0.08 + 0.62 * fmin(fabs(share), 1.0) : 0.0);
    end_mark(svg, "rect", mark);
}

void svg_scale_bar(FILE *svg, double x, double y, double width, double low, double high, const char *label)
{
    char number[32];
    for (int i = 0; i < 64; i++)
        fprintf(svg, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"6\" fill=\"#%06x\"/>\n", x + width * i / 64, y,
                i < 63 ? width / 32 : width / 64, shade(i / 63.0));
    snprintf(number, sizeof number, "%.3g", low);
    svg_text(svg, x - 3, y + 5.5, "end", "small", number);
    snprintf(number, sizeof number, "%.3g", high);
    svg_text(svg, x + width + 3, y + 5.5, "start", "small", number);
    svg_text(svg, x + width / 2, y + 13, "middle", "small", label);
}

/* ---- axes ------------------------------------------------------------------------------------------------------------------ */

svg_axis svg_axis_make(double least, double most, double from, double to)
{
    if (!(least < most)) { /* all the same, or nothing */
        double middle = isfinite(least) ? least : 0.0;
        least = middle - 0.05;
        most = middle + 0.05;
    }
    double rough = (most - least) / 5, power = pow(10, floor(log10(rough))), unit = rough / power;
    double step = (unit <= 1 ? 1 : unit <= 2 ? 2 : unit <= 5 ? 5 : 10) * power;
    return (svg_axis){floor(least / step + 1e-9) * step, ceil(most / step - 1e-9) * step, step, from, to};
}

double svg_place(const svg_axis *axis, double value)
{
    return axis->from + (value - axis->low) / (axis->high - axis->low) * (axis->to - axis->from);
}

static void format_tick(const svg_axis *axis, double value, char text[32])
{
    int digits = (int)fmax(0, ceil(-log10(axis->step) - 1e-9));
    snprintf(text, 32, "%.*f", digits, fabs(value) < axis->step / 2 ? 0.0 : value);
}

static int64_t tick_count(const svg_axis *axis)
{
    return llround((axis->high - axis->low) / axis->step);
}

void svg_axis_across(FILE *svg, const svg_axis *axis, double y0, double y1, const char *label)
{
    char text[32];
    for (int64_t i = 0; i <= tick_count(axis); i++) {
        double value = axis->low + (double)i * axis->step, x = svg_place(axis, value);
        svg_line(svg, fabs(value) < axis->step / 2 ? "zero" : "grid", x, y0, x, y1);
        format_tick(axis, value, text);
        svg_text(svg, x, y1 + 9, "middle", "small", text);
    }
    svg_text(svg, (axis->from + axis->to) / 2, y1 + 19, "middle", "", label);
}

void svg_axis_up(FILE *svg, const svg_axis *axis, double x0, double x1, const char *label)
{
    char text[32];
    for (int64_t i = 0; i <= tick_count(axis); i++) {
        double value = axis->low + (double)i * axis->step, y = svg_place(axis, value);
        svg_line(svg, fabs(value) < axis->step / 2 ? "zero" : "grid", x0, y, x1, y);
        format_tick(axis, value, text);
        svg_text(svg, x0 - 3, y + 2, "end", "small", text);
    }
    if (*label != '\0')
        svg_text_turned(svg, x0 - 26, (axis->from + axis->to) / 2, -90, "middle", "", label);
}

double svg_width(const char *text)
{
    double width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80 ? 3.9 : 0.0;
    return width;
}
