/* store: the HDF5 files between the steps of a study, readable by plain h5py, and what makes them survive a kill.
 *
 * A file is described first, whole (vg_layout), then made with all its names, attributes and space (vg_store_create), then filled
 * in place by all ranks (vg_store_write, vg_store_commit), then sealed (vg_store_finish). Until then it is NAME.h5.part with the
 * journal NAME.h5.part.journal, which alone says what is whole; a killed run leaves nothing under NAME.h5 and goes on from there
 * (vg_store_resume). The bytes of the finished file depend on the layout and the data alone, never on the number of ranks.
 *
 * What belongs to a dataset stands beside it under DATASET.WHAT: `NAME.valid`, `NAME.nodes`, and, where an attribute is too large
 * for HDF5's object header, `NAME.columns`. So `/stories/S/features/MODEL/NAME` opens as the dataset itself.
 *
 * One thread calls. Nothing here is collective unless said. HDF5's faults come back as voxgrad's messages, with path and dataset. */
#ifndef VOXGRAD_STORE_H
#define VOXGRAD_STORE_H

#include "voxgrad/base.h"
#include "voxgrad/comm.h"

enum { VG_STORE_DIMENSIONS = 3 };

typedef enum { VG_STORE_F32, VG_STORE_F64, VG_STORE_U8, VG_STORE_I32, VG_STORE_I64, VG_STORE_TEXT, VG_STORE_TABLE } vg_store_type;

/* A name of a story, subject, model, feature or column as one part of a path. `what` names it in the message ("story").
 * Errors: VG_INVALID (empty, longer than 255 bytes, not UTF-8, holds '/' or NUL, is "." or ".."). */
vg_status vg_store_name_check(const char *name, size_t size, const char *what);

/* ---- layout: what is in a file ------------------------------------------------------------------------------------- */

typedef struct vg_layout vg_layout;

vg_status vg_layout_new(vg_layout **layout);
void vg_layout_free(vg_layout *layout);

/* A dataset at an absolute path ("/subjects/s18/gpt2/erasure/score"); the groups above it come by themselves.
 *   type     not VG_STORE_TABLE
 *   size     bytes of a VG_STORE_TEXT (UTF-8, NUL-padded), else ignored
 *   shape    (dimensions), 1 .. VG_STORE_DIMENSIONS of them; any may be 0
 *   dataset  its index: 0, 1, ... in the order of calls; may be NULL
 * Errors: VG_INVALID (a bad name; a size beyond int64_t). A path that is there twice is found by vg_store_create. */
vg_status vg_layout_dataset(vg_layout *layout, const char *path, vg_store_type type, size_t size, int dimensions, const int64_t *shape,
                            int64_t *dataset);

/* A table: one dimension of records, each the members in their order without gaps. */
typedef struct {
    const char *name;
    vg_store_type type; /* not VG_STORE_TABLE */
    size_t size;        /* bytes of a VG_STORE_TEXT */
} vg_store_member;
vg_status vg_layout_table(vg_layout *layout, const char *path, const vg_store_member *members, int64_t count, int64_t rows,
                          int64_t *dataset);

/* Attributes of a dataset or, where no dataset has this path, of a group (made if need be): a text, a list of texts, a number.
 * Values are copied. Above 64,000 bytes they become the dataset PATH.NAME. */
vg_status vg_layout_text(vg_layout *layout, const char *path, const char *name, const char *text);
vg_status vg_layout_texts(vg_layout *layout, const char *path, const char *name, const char *const *texts, int64_t count);
vg_status vg_layout_integer(vg_layout *layout, const char *path, const char *name, int64_t value);
vg_status vg_layout_number(vg_layout *layout, const char *path, const char *name, double value);

/* Bytes of an element: of a record, where the dataset is a table. */
size_t vg_layout_element(const vg_layout *layout, int64_t dataset);

/* Puts a value into a member of a record in memory (vg_layout_element bytes). Errors: VG_INVALID (the text is longer than the
 * member, or not UTF-8; nothing is ever cut), VG_DEFECT (no such member, or not of this kind). */
vg_status vg_layout_put_text(const vg_layout *layout, int64_t dataset, void *record, const char *member, const char *text);
vg_status vg_layout_put_number(const vg_layout *layout, int64_t dataset, void *record, const char *member, double value);
vg_status vg_layout_put_integer(const vg_layout *layout, int64_t dataset, void *record, const char *member, int64_t value);

/* ---- a file under construction --------------------------------------------------------------------------------------- */

typedef struct vg_store vg_store;

/* What a file is made for; the same on every rank. */
typedef struct {
    const char *path; /* NAME.h5 */
    const char *plan; /* lines "field: value"; resuming compares them field by field */
    int64_t blocks;   /* blocks of work, each committed once */
    int64_t regions;  /* most separate writes between two commits; writes that go on downwards from the last one of the same dataset count
                         once */
    bool overwrite;   /* create: throw an unfinished NAME.h5.part away instead of refusing */
    bool sparse;      /* create: do not take the whole file's space now, since only a part of the blocks will be done here (merge) */
    const char *const *accept; /* resume: fields that may differ (NULL-terminated, or NULL): --accept-different-hardware */
} vg_store_plan;

/* Makes NAME.h5.part and its journal: all groups, attributes and datasets, and their space on the disk. Collective.
 * `layout` is used, not owned, and outlives the store. A finished NAME.h5 of an earlier run stays until vg_store_finish.
 * Errors: VG_NO_SPACE (says how many bytes are needed; nothing is left under any name), VG_INVALID (folder not writable; a path
 * twice in the layout; an unfinished part is there and not `overwrite`), VG_DEFECT (ranks differ in plan or layout). */
vg_status vg_store_create(vg_comm *comm, const vg_store_plan *plan, const vg_layout *layout, vg_store **store);

/* Is there an unfinished NAME.h5.part with its journal? As this process sees the disk. */
bool vg_store_unfinished(const char *path);

/* Goes on with NAME.h5.part: compares the plan, reads back and checks every committed block. Collective. A block whose slot is torn or
 * whose data do not fit their checksum is simply not whole, with a line in the log.
 * Errors: VG_INVALID (nothing to resume; another plan, naming the first field that differs; a damaged journal or part). */
vg_status vg_store_resume(vg_comm *comm, const vg_store_plan *plan, const vg_layout *layout, vg_store **store);

/* Resumes where there is something to resume (and not `overwrite`), else creates. Collective. Errors: as those two. */
vg_status vg_store_begin(vg_comm *comm, const vg_store_plan *plan, const vg_layout *layout, vg_store **store);

/* The plan's text of an unfinished NAME.h5.part, to be given to free(); NULL where there is none: a choice that memory or the number of
 * ranks decided once is kept when the work goes on elsewhere. Collective. Errors: VG_INVALID (damaged journal). */
vg_status vg_store_planned(vg_comm *comm, const char *path, char **plan);

/* Was this block whole when the store was resumed? Always false after vg_store_create. */
bool vg_store_whole(const vg_store *store, int64_t block);
int64_t vg_store_whole_count(const vg_store *store);

/* Writes elements offset .. offset + count - 1 (a number each per dimension; NULL, NULL: all of it) of a dataset, for the block this
 * rank works at. `data` is dense, row-major, in the dataset's own type (a table: records without gaps). Blocks write disjoint parts; what
 * no block writes is zero. Errors: VG_NO_SPACE, VG_INVALID (the disk failed), VG_DEFECT (outside the dataset; more regions than the plan
 * says). */
vg_status vg_store_write(vg_store *store, int64_t dataset, const int64_t *offset, const int64_t *count, const void *data);

/* What was written before, by any block that is whole; the same way round. Errors: VG_INVALID (the disk failed), VG_DEFECT. */
vg_status vg_store_read_back(const vg_store *store, int64_t dataset, const int64_t *offset, const int64_t *count, void *data);

/* What was written since the last commit is the whole of `block`. It counts after a kill once it is on the disk: commits are grouped,
 * every 5 s or 64 blocks, and by vg_store_flush. This is a border (vg_comm_border). Errors: VG_INTERRUPTED (the block is committed),
 * VG_NO_SPACE, VG_DEFECT (twice). */
vg_status vg_store_commit(vg_store *store, int64_t block);
vg_status vg_store_flush(vg_store *store);

/* Seals the file: checks that every block was committed, writes NAME.h5.sum, renames to NAME.h5, removes the journal. Collective.
 * The store is to be freed in any case. Errors: VG_DEFECT (a block was never committed), VG_NO_SPACE, VG_INVALID. */
vg_status vg_store_finish(vg_store *store);

/* Blocks from `first` on are to be done again, with the same bytes, whatever the journal said. On every rank alike. */
void vg_store_forget(vg_store *store, int64_t first);

/* Closes; without vg_store_finish the part stays, to be resumed. NULL is nothing. */
void vg_store_free(vg_store *store);

/* ---- unfinished files of several tasks --------------------------------------------------------------------------------- */

/* Puts unfinished files of one plan, each with other blocks, together: OUT.h5, bitwise what one run writes, or, where blocks are missing
 * yet, OUT.h5.part with its journal, for a run to go on with. The parts stay. Not collective. paths          (count) NAME.h5.part or
 * NAME.h5 whole, blocks  how many blocks are there, of how many Errors: VG_INVALID (another plan, naming the field; a block twice; a
 * damaged part), VG_NO_SPACE. Nothing is left where it fails. */
vg_status vg_store_merge(const char *path, const char *const *paths, int64_t count, int64_t *whole, int64_t *blocks);

/* A block that a journal calls done, by whom, when (Unix time, s), and how long it took (s). */
typedef struct {
    int64_t block, rank;
    double ended, took;
} vg_store_block;

/* What the journal of the unfinished NAME.h5.part says, data unread: list (count) to be given to free(). Not collective.
 * Errors: VG_INVALID (no such part; a damaged journal). */
vg_status vg_store_progress(const char *path, vg_store_block **list, int64_t *count, int64_t *blocks);

/* ---- finished files: checksums ----------------------------------------------------------------------------------------- */

/* Compares NAME.h5 with NAME.h5.sum (CRC32C of every 4 MB), the pieces shared among the ranks. Collective.
 *   summed  false where there is no NAME.h5.sum (a user's own file): nothing was compared
 * Errors: VG_INVALID (names the damaged piece and the datasets that lie in it; or the damaged .sum). */
vg_status vg_store_verify(vg_comm *comm, const char *path, bool *summed);

/* ---- one run at a time in an output folder ------------------------------------------------------------------------------- */

typedef struct vg_store_lock vg_store_lock;

/* Takes FOLDER/voxgrad.lock (host, pid, job, time) on rank 0. Collective. A lock left by a run of this host that is gone is taken over,
 * with a line in the log. Errors: VG_INVALID (in use, by whom; or left by another host, and which file to remove). */
vg_status vg_store_lock_take(vg_comm *comm, const char *folder, vg_store_lock **lock);
void vg_store_lock_free(vg_store_lock *lock);

/* ---- reading any file ------------------------------------------------------------------------------------------------------ */

typedef struct vg_store_file vg_store_file;

typedef struct {
    vg_store_type type; /* the nearest that holds it: other integers as I64 (of one byte: U8), other reals as F64 */
    int dimensions;     /* may be more than VG_STORE_DIMENSIONS in a user's file: then shape is cut, and reading refused */
    int64_t shape[VG_STORE_DIMENSIONS];
} vg_store_about;

/* Opens read-only, in this process alone. Our own files go through vg_store_verify first: HDF5 does not survive every damage.
 * Errors: VG_INVALID (not there; not HDF5). */
vg_status vg_store_open(const char *path, vg_store_file **file);
vg_status vg_store_open_checked(const char *path, vg_store_file **file); /* vg_store_verify by this process alone, then open */
void vg_store_close(vg_store_file *file);
const char *vg_store_path(const vg_store_file *file); /* as it was opened */
const char *vg_store_library(void);                   /* "HDF5 1.10.8" */

bool vg_store_has(const vg_store_file *file, const char *path); /* a group or dataset */
bool vg_store_is_dataset(const vg_store_file *file, const char *path);
bool vg_store_has_member(const vg_store_file *file, const char *path, const char *member); /* a column of a table */
bool vg_store_has_attribute(const vg_store_file *file, const char *path, const char *name);
vg_status vg_store_describe(const vg_store_file *file, const char *path, vg_store_about *about);

/* The names in a group, in the order of their bytes. To be given to vg_store_names_free. */
vg_status vg_store_list(const vg_store_file *file, const char *group, char ***names, int64_t *count);
void vg_store_names_free(char **names, int64_t count);

/* Elements offset .. offset + count - 1 (NULL, NULL: all) of a dataset of numbers, or of one member of a table, converted to `type` (F32,
 * F64, U8, I32, I64; reals are not read as integers), dense, row-major. Errors: VG_INVALID (not there; other type; outside). */
vg_status vg_store_read(const vg_store_file *file, const char *path, const char *member, vg_store_type type, const int64_t *offset,
                        const int64_t *count, void *values);

/* The texts of a one-dimensional dataset or of a table's member; fixed or variable length. To be given to vg_store_names_free. */
vg_status vg_store_read_texts(const vg_store_file *file, const char *path, const char *member, char ***texts, int64_t *count);

/* Attributes, or the datasets PATH.NAME that stand for large ones. A text is given to free(). Errors: VG_INVALID (not there). */
vg_status vg_store_attribute_text(const vg_store_file *file, const char *path, const char *name, char **text);
vg_status vg_store_attribute_texts(const vg_store_file *file, const char *path, const char *name, char ***texts, int64_t *count);
vg_status vg_store_attribute_number(const vg_store_file *file, const char *path, const char *name, double *value);

/* ---- features.h5 ------------------------------------------------------------------------------------------------------------- */

/* One feature space of one story: /stories/STORY/features/MODEL/NAME, or NAME/LAYER ("00", "01", ..., "final"). */
typedef struct {
    const char *story, *model, *name, *layer; /* layer: NULL where the space has none */
    const char *method;
    int64_t words, columns;
    const char *const *column_names; /* (columns); NULL: none are stored */
    int sees_word;                   /* 0 or 1; -1: not known (features made elsewhere that do not say) */
    bool path;        /* a path method: NAME.nodes (int32, words), NAME.residual and NAME.error (float32, words), shared by its layers */
    double tolerance; /* of a path method, attribute of NAME.error: a word above it has not converged; 0: a fixed number of steps */
} vg_store_space;

/* Where a space's values go; -1: not there. */
typedef struct {
    int64_t values, valid, nodes, residual, error;
} vg_store_space_datasets;

/* Rows of a layout: the table /stories/STORY/words (text of `text_size` bytes; onset and offset, float64, s) and one space. */
vg_status vg_features_add_words(vg_layout *layout, const char *story, int64_t words, size_t text_size, int64_t *dataset);
vg_status vg_features_add_space(vg_layout *layout, const vg_store_space *space, vg_store_space_datasets *datasets);

/* All spaces of a features.h5, ours or a user's own in this layout, in the order of story, model, name, layer.
 * Errors: VG_INVALID (no /stories; a space that is not (words, columns) numbers; a `valid` of another shape; names the dataset). */
vg_status vg_features_list(const vg_store_file *file, vg_store_space **spaces, int64_t *count);
void vg_features_list_free(vg_store_space *spaces, int64_t count);

/* values (words, columns), valid (words, columns; all 1 where the file has none), memory of the caller. What is not valid and not finite
 * reads as 0.
 * Errors: VG_INVALID (a value that is valid but not finite: its word and column; a `valid` that is neither 0 nor 1). */
vg_status vg_features_read(const vg_store_file *file, const vg_store_space *space, float *values, uint8_t *valid);

/* The words of a story: texts to vg_store_names_free, onsets and offsets (s) to free(). `offsets` NULL where not wanted.
 * Errors: VG_INVALID (not there; an onset that is not finite or before the one before it). */
vg_status vg_features_words(const vg_store_file *file, const char *story, char ***texts, double **onsets, double **offsets, int64_t *count);

#endif
