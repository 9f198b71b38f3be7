/* icosphere: the icosahedron cut so many times (12, 42, 162, 642, 2562 vertices), as FreeSurfer's average spheres are, and its file in
 * FreeSurfer's format. For tests that need a sphere. */
#ifndef VOXGRAD_TESTS_ICOSPHERE_H
#define VOXGRAD_TESTS_ICOSPHERE_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ICOSPHERE_MOST = 2562 };

typedef struct {
    int64_t vertices, faces;
    double place[ICOSPHERE_MOST][3]; /* at distance 1 */
    int32_t face[2 * ICOSPHERE_MOST][3];
} icosphere;

static inline int32_t icosphere_add(icosphere *s, const double place[3])
{
    double length = sqrt(place[0] * place[0] + place[1] * place[1] + place[2] * place[2]);
    for (int64_t v = 0; v < s->vertices; v++) { /* both triangles of an edge cut it */
        double apart = 0;
        for (int d = 0; d < 3; d++)
            apart += fabs(s->place[v][d] - place[d] / length);
        if (apart < 1e-6)
            return (int32_t)v;
    }
    for (int d = 0; d < 3; d++)
        s->place[s->vertices][d] = place[d] / length;
    return (int32_t)s->vertices++;
}

static inline int32_t icosphere_between(icosphere *s, int32_t a, int32_t b)
{
    double place[3];
    for (int d = 0; d < 3; d++)
        place[d] = s->place[a][d] + s->place[b][d];
    return icosphere_add(s, place);
}

static inline void icosphere_cut(icosphere *s)
{
    static int32_t before[2 * ICOSPHERE_MOST][3];
    int64_t faces = s->faces;
    memcpy(before, s->face, sizeof before);
    s->faces = 0;
    for (int64_t f = 0; f < faces; f++) {
        int32_t a = before[f][0], b = before[f][1], c = before[f][2];
        int32_t ab = icosphere_between(s, a, b), bc = icosphere_between(s, b, c), ca = icosphere_between(s, c, a);
        const int32_t cut[4][3] = {{a, ab, ca}, {ab, b, bc}, {ca, bc, c}, {ab, bc, ca}};
        memcpy(s->face[s->faces], cut, sizeof cut);
        s->faces += 4;
    }
}

/* To be given to free(). */
static inline icosphere *icosphere_make(int cuts)
{
    static const int32_t faces[20][3] = {{0, 11, 5},  {0, 5, 1},  {0, 1, 7},  {0, 7, 10}, {0, 10, 11}, {1, 5, 9}, {5, 11, 4},
                                         {11, 10, 2}, {10, 7, 6}, {7, 1, 8},  {3, 9, 4},  {3, 4, 2},   {3, 2, 6}, {3, 6, 8},
                                         {3, 8, 9},   {4, 9, 5},  {2, 4, 11}, {6, 2, 10}, {8, 6, 7},   {9, 8, 1}};
    icosphere *s = calloc(1, sizeof *s);
    double t = (1 + sqrt(5)) / 2;
    const double places[12][3] = {{-1, t, 0},  {1, t, 0},  {-1, -t, 0}, {1, -t, 0}, {0, -1, t},  {0, 1, t},
                                  {0, -1, -t}, {0, 1, -t}, {t, 0, -1},  {t, 0, 1},  {-t, 0, -1}, {-t, 0, 1}};
    for (int v = 0; v < 12; v++)
        icosphere_add(s, places[v]);
    memcpy(s->face, faces, sizeof faces);
    s->faces = 20;
    while (cuts-- > 0)
        icosphere_cut(s);
    return s;
}

static inline void icosphere_word(FILE *file, uint32_t x)
{
    const unsigned char bytes[4] = {(unsigned char)(x >> 24), (unsigned char)(x >> 16), (unsigned char)(x >> 8), (unsigned char)x};
    fwrite(bytes, 1, 4, file);
}

/* At 100 mm from the origin, as FreeSurfer's; `bump`: vertex 1 so many times further out. */
static inline void icosphere_write(const icosphere *s, double bump, const char *path)
{
    FILE *file = fopen(path, "wb");
    fputs("\xff\xff\xfe"
          "made for a test\n\n",
          file);
    icosphere_word(file, (uint32_t)s->vertices);
    icosphere_word(file, (uint32_t)s->faces);
    for (int64_t i = 0; i < 3 * s->vertices; i++) {
        float x = (float)(100 * s->place[i / 3][i % 3] * (i / 3 == 1 ? bump : 1));
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        icosphere_word(file, bits);
    }
    for (int64_t i = 0; i < 3 * s->faces; i++)
        icosphere_word(file, (uint32_t)s->face[i / 3][i % 3]);
    fclose(file);
}

#endif
