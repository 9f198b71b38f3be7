/* brain: what was measured and how words meet it. Responses from files, their filtering and standardisation; atlases and regions; the way
 * from rows of words to rows of volumes (TRs). Rows are volumes t of T, columns voxels v of V (or features j of p); nothing is collective.
 * Results depend on arguments alone: OpenMP runs over fixed tiles of columns, and sums over rows are made in double, in order. */
#ifndef VOXGRAD_BRAIN_H
#define VOXGRAD_BRAIN_H

#include "voxgrad/base.h"

/* ---- responses ------------------------------------------------------------------------------------------------- */

/* One run of one subject. Formats, known by extension:
 *   text      .txt .tsv .csv .dat .1D  T lines of V numbers between blanks, tabs or commas; a first line that holds no numbers names the
 *             columns; empty lines and lines beginning with # are passed over. NaN and inf are values (of an unusable voxel).
 *   npy       .npy, two dimensions (T, V), little- or big-endian f4 or f8, C or Fortran order
 *   HDF5      FILE.h5:/path/of/dataset (.h5 .hdf5 .hf5), two dimensions (T, V), any number type
 *   GIFTI     .gii .gii.gz, functional: T arrays of V values, or one of (V, T)
 *   NIfTI     .nii .nii.gz .hdr .img, 1 or 2, 4-D (or 3-D: T = 1): voxels i fastest, then j, k; scaled as the header says */
typedef struct vg_responses vg_responses;

/* Where a column of the responses lies. hemisphere 'L' or 'R' and vertex for surfaces; i, j, k for volumes; -1 for what does not apply. */
typedef struct {
    char hemisphere; /* 'L', 'R' or '\0' */
    int32_t vertex, i, j, k;
} vg_voxel;

/* The space that voxels lie in, for maps: vertices of the left and right surface (0: none), dimensions of the volume (0: none) and its
 * affine from voxel indices to mm (sform, else qform, else the voxels' size). */
typedef struct {
    int64_t vertices[2], dimensions[3];
    double affine[3][4];
} vg_space;

/* Opens the files of one run; several files (left, right hemisphere) stand side by side: their columns follow one another. mask: a file
 * of the same kind that says which columns are read (non-zero), NULL: all. Reads text, GIFTI and what is compressed whole; the rest when
 * asked for. Errors: VG_INVALID (not there, not of a known format, wrong or cut off: file, line or byte; files of different lengths),
 * VG_NO_MEMORY. */
vg_status vg_responses_open(const char *const *paths, int64_t count, const char *mask, vg_responses **responses);
void vg_responses_close(vg_responses *responses);

int64_t vg_responses_rows(const vg_responses *responses);
int64_t vg_responses_voxels(const vg_responses *responses);
/* The columns' names (voxels), NULL where the file gives none. Owned by the responses. */
const char *const *vg_responses_names(const vg_responses *responses);
vg_voxel vg_responses_voxel(const vg_responses *responses, int64_t v);
vg_space vg_responses_space(const vg_responses *responses);

/* Reads columns first .. first + out.columns - 1 of all rows into out (T, columns), float32. One thread at a time for one `responses`
 * (HDF5: for all). Errors: VG_INVALID (the file changed or is cut off; out's shape does not fit), VG_NO_MEMORY. */
vg_status vg_responses_read(vg_responses *responses, int64_t first, vg_matrix out);

/* A text of numbers in memory, for tests and for nuisance tables: values (rows, columns) row-major and names (or NULL) in `table`. */
typedef struct {
    int64_t rows, columns;
    double *values;
    char **names; /* (columns) or NULL */
} vg_table;
vg_status vg_table_open(const char *path, vg_table *table);
vg_status vg_table_parse(const char *path, const char *text, size_t size, vg_table *table);
void vg_table_free(vg_table *table);

/* Which voxels can be fitted. states (V): begin with zeros, then call once for each run of the subject, before filtering: a voxel that is
 * constant or not finite in one run is unusable in all. */
typedef enum { VG_VOXEL_USABLE = 0, VG_VOXEL_CONSTANT = 1, VG_VOXEL_NOT_FINITE = 2 } vg_voxel_state;
typedef struct {
    int64_t usable, constant, not_finite;
} vg_voxel_counts;
void vg_voxels_judge(vg_matrix run, uint8_t *states);
vg_voxel_counts vg_voxels_count(const uint8_t *states, int64_t voxels);

/* Rows that a story needs: one past the last row on which a word begins, from `start` on (0 where all words end before `start`). */
int64_t vg_rows_needed(const double *onset, int64_t words, double start, double tr);

/* VG_INVALID with both counts where rows and needed differ by more than `slack` rows; what: the file or "subject s18, run chapter1". */
vg_status vg_rows_check(const char *what, int64_t rows, int64_t needed, int64_t slack);

/* ---- filtering and standardisation (encoding.md, "Alignment" and "Defaults, exactly") --------------------------------- */

typedef enum { VG_FILTER_NONE, VG_FILTER_HIGH_PASS, VG_FILTER_SAVGOL, VG_FILTER_POLYNOMIAL } vg_filter_kind;

/* high_pass: cosines slower than `seconds`, and the mean, by least squares. savgol: what a Savitzky-Golay filter of `order` over a window
 * of `seconds` (rounded to an odd number of rows) keeps is subtracted; at the ends the first and last whole window's polynomial is used.
 * polynomial: a polynomial of `order` by least squares. none: nothing, not even the mean. */
typedef struct {
    vg_filter_kind kind;
    double seconds;
    int64_t order;
} vg_filter_options;

/* A filter for runs of `rows` volumes every `tr` seconds, shared by all voxels.
 * Errors: VG_INVALID (tr or seconds not positive, a filter that leaves nothing of so short a run), VG_NO_MEMORY. */
typedef struct vg_filter vg_filter;
vg_status vg_filter_create(const vg_filter_options *options, double tr, int64_t rows, vg_filter **filter);
void vg_filter_free(vg_filter *filter);

/* Filters run (T, V) over all its rows, then drops trim[0] first and trim[1] last rows, then, where `standardize`, z-scores each column
 * (population standard deviation; a constant column, or one of which filtering left only rounding, becomes 0). out (T - trim[0] - trim[1],
 * V) may be run itself. A column with a value that is not finite becomes NaN. Errors: VG_INVALID (shapes; nothing left), VG_NO_MEMORY. */
vg_status vg_filter_apply(const vg_filter *filter, vg_matrix run, const int64_t trim[2], bool standardize, vg_matrix out);

/* z-scores the columns of m in place, as above. Errors: VG_NO_MEMORY. */
vg_status vg_standardize(vg_matrix m);

/* ---- words to volumes --------------------------------------------------------------------------------------------- */

typedef enum { VG_DOWNSAMPLE_MEAN, VG_DOWNSAMPLE_SUM, VG_DOWNSAMPLE_LANCZOS } vg_downsample;
typedef enum { VG_ANCHOR_ONSET, VG_ANCHOR_MIDPOINT, VG_ANCHOR_OFFSET } vg_anchor;
typedef enum { VG_HRF_NONE, VG_HRF_SPM, VG_HRF_GLOVER } vg_hrf;

typedef struct {
    double tr, start;         /* row r of the run was acquired at start + r * tr seconds of the story */
    int64_t rows;             /* T, before trimming */
    vg_downsample downsample; /* not used with an HRF */
    vg_anchor anchor;         /* the moment of a word: its onset, midpoint, or offset */
    vg_hrf hrf;               /* NONE: delayed copies; else one copy, words convolved with the response function, no delays */
    const int64_t *delays;    /* (delay_count) in rows, >= 0, different, shorter than the run */
    int64_t delay_count;
    int64_t trim[2];  /* rows dropped at the run's ends, after delaying, before standardisation */
    bool standardize; /* z-score each column of the run; a constant column becomes 0 */
} vg_align_options;

typedef struct {
    int64_t silent;        /* of the run's T rows, those in whose TR there is no word (0 before delaying) */
    int64_t before, after; /* words too early or too late to matter */
} vg_align_counts;

/* Columns of the design: p * delay_count, delay by delay: column k * p + j is feature j at delays[k]. With an HRF: p. */
int64_t vg_align_columns(const vg_align_options *options, int64_t features);

/* The design of one run from the words of its story: design (T - trim[0] - trim[1], vg_align_columns), float32, sums in double.
 *   features (N, p)  a row for each word; onset, offset (N) in seconds, any order
 * Row r of the TR grid, r = -max(delays) .. T - 1, is the mean or sum of the rows of the words whose moment m has
 * floor((m - start) / tr) = r, each operation an IEEE double's and no tolerance: any implementation finds the same row for a word on a
 * border, be it the one before or after; 0 where there is no word. lanczos: weights of window 3 (cut-off at the TR's Nyquist frequency)
 * about the middle of the TR, start + (r + 1/2) tr, divided by their sum w; 0 where w is not above half the sum of the |weights| (words in
 * the lobes alone). Row r of delay d is row r - d of the grid: what was heard before the run's first volume is known, what lies outside the
 * story is 0, and a run never sees another. Errors: VG_INVALID (no words, a moment or feature that is not finite, tr <= 0, bad delays or
 * trim, shapes), VG_NO_MEMORY. */
vg_status vg_align(vg_matrix features, const double *onset, const double *offset, const vg_align_options *options, vg_matrix design,
                   vg_align_counts *counts);

/* The response functions t seconds after a word, 0 for t <= 0 and t > 32. SPM: gamma(6) - gamma(16) / 6, densities of scale 1 s.
 * Glover 1999 (NeuroImage 9:416, auditory): (t/5.4)^6 exp(-(t-5.4)/.9) - .35 (t/10.8)^12 exp(-(t-10.8)/.9). */
double vg_hrf_value(vg_hrf hrf, double t);

/* ---- atlases and regions -------------------------------------------------------------------------------------------- */

/* A label for every voxel: labels[v] is an index into names, or -1. hemispheres: 'L', 'R' or '\0' of each name, NULL: not known. */
typedef struct {
    int64_t voxels, name_count;
    int32_t *labels;   /* (voxels) */
    char **names;      /* (name_count) */
    char *hemispheres; /* (name_count) or NULL */
} vg_atlas;
void vg_atlas_free(vg_atlas *atlas);

/* The labels of the responses' voxels from files that stand side by side as those of the responses do (left, right hemisphere), whole:
 * what the responses' mask leaves out is left out here. Formats, known by extension: FreeSurfer's .annot, GIFTI labels (.label.gii), NIfTI
 * labels (integers, 0 none), whose names stand in `table`: lines of number and name (a header line may precede); NULL: the numbers are the
 * names. Errors: VG_INVALID (not there, cut off, no names; another number of vertices than the responses have: both counts), VG_NO_MEMORY.
 */
vg_status vg_atlas_open(const char *const *paths, int64_t count, const char *table, const vg_responses *responses, vg_atlas *atlas);

/* The columns themselves as labels. Where the file names its columns, `names` chooses among them (NULL: all); where it does not, `names`
 * names all of them in order. Errors: VG_INVALID (an unknown name, with the nearest known; another number than there are columns). */
vg_status vg_atlas_columns(const vg_responses *responses, const char *const *names, int64_t count, vg_atlas *atlas);

/* The voxels of a region, ascending. */
typedef struct {
    char *name;
    int64_t *voxels, count;
} vg_region;
typedef struct {
    vg_region *regions;
    int64_t count;
} vg_regions;

/* A region is a name and the labels (NULL at the end) that make it up: "NAME" in both hemispheres, "lh:NAME" and "rh:NAME" in one.
 * rule_count 0: one region for each label of the atlas that has voxels, named so.
 * Errors: VG_INVALID (an unknown label, with the nearest known; a region without voxels; two of one name), VG_NO_MEMORY. */
typedef struct {
    const char *name;
    const char *const *labels;
} vg_region_rule;
vg_status vg_regions_create(const vg_atlas *atlas, const vg_region_rule *rules, int64_t rule_count, vg_regions *regions);
void vg_regions_free(vg_regions *regions);

/* The language regions of the Destrieux atlas (aparc.a2009s), as rules for vg_regions_create: HG HS STG STS IFG LatS, each alone and as
 * "NAME lh" and "NAME rh" where the atlas knows its hemispheres. rules has room for VG_DESTRIEUX_RULES; returns how many were written. */
enum { VG_DESTRIEUX_RULES = 18 };
int64_t vg_destrieux_rules(const vg_atlas *atlas, vg_region_rule *rules);

/* ---- surfaces ---------------------------------------------------------------------------------------------------------- */

/* A mesh: position (vertices, 3) in mm, x to the right, y to the front, z up; face (faces, 3), indices of vertices. */
typedef struct {
    int64_t vertices, faces;
    float *position;
    int32_t *face;
} vg_surface;

/* FreeSurfer's triangle files (lh.inflated, lh.pial, ...) or GIFTI surfaces (.gii, .gii.gz). To be given to vg_surface_free.
 * Errors: VG_INVALID (not there, neither of them, cut off, a triangle without its vertex, a position that is not finite), VG_NO_MEMORY. */
vg_status vg_surface_open(const char *path, vg_surface *surface);
void vg_surface_free(vg_surface *surface);

/* A surface that is a sphere about the origin (FreeSurfer's lh.sphere.reg, in the formats of vg_surface_open), for spins: maps that are
 * turned on it. To be given to vg_sphere_free. Errors: those of vg_surface_open, VG_INVALID (distances from the origin differ by more than
 * 1 %: which vertices). */
typedef struct vg_sphere vg_sphere;
vg_status vg_sphere_open(const char *path, vg_sphere **sphere);
void vg_sphere_free(vg_sphere *sphere);
int64_t vg_sphere_vertices(const vg_sphere *sphere);

/* nearest (vertices): the vertex that lies nearest to where the rotation turns each; the first of equally near ones. */
typedef struct {
    double at[3][3]; /* of columns (x, y, z) */
} vg_rotation;
void vg_sphere_turn(const vg_sphere *sphere, const vg_rotation *rotation, int32_t *nearest);

/* Spin number `index`: uniform over all rotations of the left sphere, and the mirror image in the sagittal plane (x to -x) of the right. */
void vg_spin_make(uint64_t seed, uint64_t index, vg_rotation *left, vg_rotation *right);

/* ---- maps -------------------------------------------------------------------------------------------------------------- */

/* Writes maps (maps, V), a value for each voxel, as GIFTI (.gii: the voxels of one hemisphere, 'L' or 'R') or NIfTI (.nii .nii.gz: 3-D, or
 * 4-D where there are several; hemisphere '\0'), NaN where there is no voxel. names (maps): what each map shows; kept by GIFTI.
 * Errors: VG_INVALID (no such format, a voxel outside the space, no voxel in it, not writable), VG_NO_SPACE, VG_NO_MEMORY. */
vg_status vg_map_write(const char *path, const vg_space *space, char hemisphere, const vg_voxel *voxels, vg_matrix maps,
                       const char *const *names);

#endif
