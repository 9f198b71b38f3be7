/* svg: what the figures draw with. Lengths are points (1/72 inch): a journal's column is 246 pt wide (87 mm), its page 510 pt. Colours
 * stand in one table of classes, light alone in the file of a figure, light and dark on the page. Known to report alone. */
#ifndef VOXGRAD_REPORT_SVG_H
#define VOXGRAD_REPORT_SVG_H

#include "report.h"

enum { SVG_COLUMN = 246, SVG_PAGE = 510 };

/* A figure begins and ends; `about` is read out by screen readers. */
void svg_begin(FILE *svg, double width, double height, const char *about);
void svg_end(FILE *svg);

/* anchor: "start", "middle", "end"; class: what the table of classes has. The text is escaped. */
void svg_text(FILE *svg, double x, double y, const char *anchor, const char *class, const char *text);
void svg_text_turned(FILE *svg, double x, double y, double degrees, const char *anchor, const char *class, const char *text);
void svg_line(FILE *svg, const char *class, double x1, double y1, double x2, double y2);
void svg_box(FILE *svg, const char *class, double x, double y, double width, double height);

/* A mark stands for one number of the results: it carries the number (data-value) and says what it is (its title, under the pointer). */
typedef struct {
    const char *class; /* "dot", "mean", "cell": what kind of mark; counted by tests */
    int colour;        /* of the palette; -1: by the class */
    double value;
    const char *title;
} svg_mark;
/* Adds ", NAME VALUE" to a title, where there is a value. */
void svg_note(char *title, size_t size, const char *name, double value);
void svg_dot(FILE *svg, svg_mark mark, double x, double y, double radius);
void svg_diamond(FILE *svg, svg_mark mark, double x, double y, double radius);
void svg_bar(FILE *svg, svg_mark mark, double x, double y, double width, double height);
/* A cell of a heat map: share in 0 .. 1 of the colour scale (viridis); NaN: hatched as not there. */
void svg_cell(FILE *svg, svg_mark mark, double share, double x, double y, double width, double height);
/* A cell of signed numbers: share in -1 .. 1, negative blue, positive orange, 0 the paper's colour. */
void svg_signed(FILE *svg, svg_mark mark, double share, double x, double y, double width, double height);
/* The scale of a heat map, from low to high, left to right. */
void svg_scale_bar(FILE *svg, double x, double y, double width, double low, double high, const char *label);

/* A number's place on an axis, with rounded ends and steps. */
typedef struct {
    double low, high, step, from, to;
} svg_axis;
svg_axis svg_axis_make(double least, double most, double from, double to);
double svg_place(const svg_axis *axis, double value);
/* Lines and numbers of a horizontal axis above y1, or of a vertical one right of x0. */
void svg_axis_across(FILE *svg, const svg_axis *axis, double y0, double y1, const char *label);
void svg_axis_up(FILE *svg, const svg_axis *axis, double x0, double x1, const char *label);

/* Width of a text in the figures' type, estimated for space that has to be kept. */
double svg_width(const char *text);

#endif
