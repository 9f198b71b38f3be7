/* Protects: every operation of the device table, on every back end there is. Each row of the table is an operation, its shapes (none, odd,
 * with gaps, shared, large enough for several threads) and the shapes it is timed with. Against float64; derivatives against central
 * differences and against each other; the same bits for 1, 2 and 3 threads; nothing changed but results.
 * test_device --bench [OPERATION [SPEC [THREADS]]]: times the same operations (on a shared machine with OMP_WAIT_POLICY=passive);
 * --count [OPERATION]: only says the bytes or FLOPs of a call. OPERATION `all`, or `ceilings`: what a GPU can do at best, a copy of 400 MB
 * and large products (bench/gpu.sh). */
#include "bed.h"
#include "cases_linear.h"
#include "cases_nonlinear.h"
#include "cases_paths.h"
#include "cases_quadratic.h"
#include "cases_ridge.h"

typedef int64_t shape[10]; /* what its numbers are, the case says */

typedef struct {
    const char *name;
    void (*run)(bed *b);
    int shapes;
    const shape *shape;
    int timings;
    const shape *timing;
} operation;

#define LIST(list) (int)(sizeof(list) / sizeof *(list)), list

/* clang-format off */
static const shape gemm_shapes[] = {
    /* type, op(a), op(b), m, n, k, batch, beta, gap, shared */
    {VG_F32, 0, 0, 0, 5, 3, 2}, {VG_F32, 0, 0, 4, 0, 3, 2}, {VG_F32, 0, 0, 4, 5, 3, 0}, {VG_F32, 0, 0, 4, 5, 0, 2, 0, 1}, {VG_F64, 1, 1, 4, 5, 0, 2, 3, 1},
    {VG_F32, 0, 0, 1, 1, 1, 1}, {VG_F32, 0, 1, 7, 5, 3, 1, 1}, {VG_F32, 1, 0, 7, 5, 3, 3, 2, 1}, {VG_F32, 1, 1, 7, 5, 3, 3, 0, 2},
    {VG_F64, 0, 0, 7, 5, 3, 1}, {VG_F64, 0, 1, 7, 5, 3, 3, 1, 1}, {VG_F64, 1, 0, 17, 33, 9, 3, 0, 1, SHARE_A}, {VG_F64, 1, 1, 17, 33, 9, 3, 1, 1, SHARE_B},
    {VG_F32, 0, 1, 64, 64, 8, 40}, {VG_F32, 0, 0, 64, 8, 64, 40, 1}, {VG_F32, 1, 0, 61, 11, 67, 40, 0, 3}, {VG_F32, 0, 1, 10, 74, 64, 33, 0, 1, SHARE_B},
    {VG_F32, 1, 1, 31, 45, 19, 21, 1, 1, SHARE_A}, {VG_F32, 0, 0, 1, 128, 64, 64}, {VG_F32, 0, 1, 30, 70, 33, 11, 1, 0, SHARE_B}, {VG_F32, 0, 1, 30, 70, 33, 11, 1, 0, SHARE_BOTH}, {VG_F32, 0, 1, 129, 1, 16, 50, 0, 1},
    {VG_F32, 0, 1, 700, 130, 65, 1}, {VG_F32, 0, 0, 1300, 40, 31, 1, 1, 5}, {VG_F32, 0, 1, 33, 2600, 48, 1}, {VG_F32, 1, 0, 300, 517, 401, 2, 0, 1},
    {VG_F32, 1, 1, 515, 300, 70, 2, 1}, {VG_F64, 1, 0, 41, 3000, 150, 1, 1}, {VG_F64, 0, 1, 600, 600, 40, 1, 0, 1}, {VG_F64, 0, 0, 530, 90, 100, 3},
    {VG_F64, 0, 0, 12, 12, 12, 100}, {VG_F64, 1, 0, 40, 40, 900, 5}};
static const shape gemm_timings[] = {
    {VG_F32, 0, 0, 2048, 2048, 2048, 1}, {VG_F64, 0, 0, 2048, 2048, 2048, 1},
    {VG_F32, 0, 1, 2000, 768, 768, 1}, {VG_F32, 0, 1, 2000, 3072, 768, 1}, {VG_F32, 0, 1, 2000, 768, 3072, 1}, {VG_F32, 0, 0, 2000, 768, 3072, 1},
    {VG_F32, 0, 1, 4000, 172, 64, 1}, {VG_F32, 0, 1, 4000, 64, 172, 1}, {VG_F32, 0, 0, 4000, 64, 172, 1}, {VG_F32, 0, 1, 4000, 64, 64, 1},
    {VG_F32, 0, 1, 500, 64, 64, 1}, {VG_F32, 0, 1, 64, 50257, 768, 1}, {VG_F32, 0, 0, 64, 768, 50257, 1}, {VG_F32, 0, 1, 500, 512, 64, 1},
    {VG_F32, 0, 1, 64, 64, 8, 4000}, {VG_F32, 0, 0, 64, 8, 64, 4000}, {VG_F32, 1, 0, 64, 8, 64, 4000}, {VG_F32, 0, 1, 10, 74, 8, 4000},
    {VG_F32, 0, 1, 64, 64, 64, 1000}, {VG_F32, 0, 0, 64, 64, 64, 1000}, {VG_F32, 1, 0, 64, 64, 64, 1000}, {VG_F32, 0, 1, 1, 64, 64, 4000}, {VG_F32, 0, 0, 1, 64, 64, 4000},
    {VG_F32, 0, 1, 128, 128, 64, 1000}, {VG_F32, 0, 0, 128, 64, 128, 1000}, {VG_F32, 0, 1, 10, 128, 64, 4000}, {VG_F32, 0, 0, 10, 64, 128, 4000},
    {VG_F64, 1, 0, 1000, 1000, 3000, 1}, {VG_F64, 1, 0, 40, 40, 5000, 1}, {VG_F32, 1, 0, 40, 20000, 3000, 1}, {VG_F32, 1, 0, 1000, 2000, 3000, 1},
    {VG_F64, 0, 0, 10, 10, 10, 10000}};
static const shape copy_shapes[] = {{0, 5}, {5, 0}, {1, 1}, {7, 5, 2, 3}, {300, 201}, {300, 201, 1, 0}, {2, 40000, 3, 1}};
static const shape copy_timings[] = {{2000, 768}, {8000, 768, 768}, {64, 2000000}};
static const shape fill_shapes[] = {{0}, {1}, {100001}};
static const shape fill_timings[] = {{20000000}};
static const shape axpby_shapes[] = {{0, 1}, {1, 0}, {17, 10}, {70003, 0}, {70003, -3}};
static const shape axpby_timings[] = {{1536000, 10}, {20000000, 10}};
static const shape hadamard_timings[] = {{1536000, 0}, {20000000, 0}};
static const shape row_shapes[] = {{0, 5}, {5, 0}, {1, 1}, {9, 33}, {1, 50000}, {50001, 1}, {401, 203}};
static const shape row_timings[] = {{2000, 768}, {2000, 3072}};
static const shape column_sum_shapes[] = {{0, 5, 0}, {0, 5, 3}, {5, 0}, {1, 1}, {9, 33, 5}, {1, 50000}, {50001, 1}, {401, 203, -10}, {3000, 131}};
static const shape gather_shapes[] = {{0, 5, 3}, {5, 0, 3}, {1, 1, 1}, {9, 33, 4, 2, 1}, {700, 130, 50}, {50, 900, 700, 1, 3}};
static const shape gather_timings[] = {{2000, 768, 50257}};
static const shape rotate_shapes[] = {{0, 2, 8, 4, 5, 0, 1}, {3, 0, 8, 4, 5, 0, 1}, {3, 2, 8, 0, 5, 1, 1}, {3, 1, 2, 1, 9, 0, -1}, {7, 3, 11, 4, 30, 5, 1},
                                      {7, 3, 11, 4, 30, 5, -1}, {400, 8, 16, 8, 70, 0, 1}};
static const shape rotate_timings[] = {{8000, 12, 64, 32, 64, 0, 1}, {8000, 8, 8, 4, 64, 0, 1}};
static const shape norm_shapes[] = { /* kind, rows, columns, gap of x, of y, bias, mean, and added or directions */
    {VG_RMS_NORM, 0, 5}, {VG_RMS_NORM, 1, 1}, {VG_RMS_NORM, 5, 33, 1, 2}, {VG_LAYER_NORM, 0, 5, 0, 0, 1}, {VG_LAYER_NORM, 1, 2, 0, 0, 1},
    {VG_LAYER_NORM, 5, 33, 2, 1, 1, 30}, {VG_LAYER_NORM, 3, 768, 0, 0, 0, -50}, {VG_LAYER_NORM, 600, 64, 0, 0, 1}, {VG_RMS_NORM, 600, 64, 0, 0, 1}};
static const shape norm_vjp_shapes[] = {
    {VG_RMS_NORM, 0, 5}, {VG_RMS_NORM, 3, 2}, {VG_RMS_NORM, 5, 33, 1, 2}, {VG_RMS_NORM, 5, 33, 1, 2, 1, 0, 1}, {VG_LAYER_NORM, 5, 33, 2, 1, 1, 30},
    {VG_LAYER_NORM, 5, 33, 2, 1, 1, 30, 1}, {VG_LAYER_NORM, 3, 384, 0, 0, 0, -20}, {VG_LAYER_NORM, 600, 64}, {VG_RMS_NORM, 600, 64, 0, 0, 0, 0, 1}};
static const shape norm_jvp_shapes[] = {
    {VG_RMS_NORM, 0, 5, 0, 0, 0, 0, 1}, {VG_RMS_NORM, 4, 5, 0, 0, 0, 0, 0}, {VG_RMS_NORM, 5, 33, 1, 2, 1, 0, 1}, {VG_RMS_NORM, 5, 33, 1, 2, 1, 0, 3},
    {VG_LAYER_NORM, 5, 33, 2, 1, 1, 30, 1}, {VG_LAYER_NORM, 5, 33, 2, 1, 1, 30, 2}, {VG_LAYER_NORM, 3, 768, 0, 0, 0, -20, 1}, {VG_LAYER_NORM, 600, 64, 0, 0, 0, 0, 2},
    {VG_RMS_NORM, 600, 64, 0, 0, 0, 0, 1}};
static const shape norm_timings[] = {{VG_LAYER_NORM, 2000, 768, 0, 0, 1}, {VG_RMS_NORM, 2000, 768}, {VG_RMS_NORM, 20000, 64}};
static const shape norm_jvp_timings[] = {{VG_LAYER_NORM, 2000, 768, 0, 0, 1, 0, 1}, {VG_RMS_NORM, 2000, 768, 0, 0, 0, 0, 4}};
static const shape softmax_shapes[] = { /* groups, kv heads, members, repeats, queries, keys, hidden, largest start, and large scores */
    {0, 1, 1, 1, 1, 5}, {1, 1, 1, 1, 0, 5}, {1, 1, 1, 1, 1, 0}, {1, 1, 1, 1, 1, 1}, {2, 3, 2, 2, 5, 5, 0, 3}, {2, 3, 2, 2, 5, 9, 0, 3},
    {2, 1, 3, 1, 4, 12, 1, 5}, {1, 2, 1, 2, 7, 7, 1, 9}, {3, 2, 2, 2, 1, 33, 0, 30}, {2, 2, 1, 1, 6, 4}, {1, 1, 2, 2, 64, 64, 0, 20, 1}, {4, 4, 1, 1, 64, 70, 1, 20}};
static const shape softmax_timings[] = {{32, 12, 1, 1, 64, 64}, {32, 4, 1, 2, 64, 64}, {32, 12, 1, 1, 64, 64, 1}, {4, 12, 10, 1, 10, 64}, {4, 12, 1, 1, 512, 512}};
static const shape softmax_jvp_shapes[] = {
    {0, 1, 1, 1, 1, 5, 0, 0, 1}, {1, 1, 1, 1, 1, 0, 0, 0, 2}, {1, 1, 1, 1, 1, 1, 0, 0, 0}, {2, 3, 2, 2, 5, 9, 0, 3, 1}, {2, 1, 3, 1, 4, 12, 1, 5, 1},
    {1, 2, 1, 2, 7, 7, 1, 9, 3}, {3, 2, 2, 2, 1, 33, 0, 30, 2}, {2, 2, 1, 1, 64, 70, 1, 20, 2}, {2, 4, 1, 2, 64, 64, 0, 5, 1}};
static const shape softmax_jvp_timings[] = {{32, 12, 1, 1, 64, 64, 0, 0, 1}, {32, 12, 1, 1, 64, 64, 0, 0, 4}};
static const shape act_shapes[] = { /* kind, n, gated, spread in tenths, directions */
    {VG_GELU, 0, 0, 10, 1}, {VG_GELU, 1, 1, 10, 2}, {VG_GELU, 20011, 0, 10, 1}, {VG_GELU, 5003, 1, 60, 1}, {VG_GELU, 3000, 0, 400, 2}, {VG_GELU_TANH, 20011, 0, 10, 1},
    {VG_GELU_TANH, 5003, 1, 60, 1}, {VG_GELU_TANH, 3000, 0, 400, 2}, {VG_SILU, 20011, 0, 10, 1}, {VG_SILU, 5003, 1, 60, 1}, {VG_SILU, 3000, 0, 400, 2},
    {VG_RELU, 20011, 0, 10, 1}, {VG_RELU, 5003, 1, 60, 0}};
static const shape act_timings[] = {{VG_GELU, 6144000, 0, 10, 1}, {VG_GELU_TANH, 6144000, 0, 10, 1}, {VG_SILU, 6144000, 1, 10, 1}, {VG_RELU, 6144000, 0, 10, 1}};
static const shape target_shapes[] = { /* kind, rows, n, gradient, lowest token, spread */
    {VG_TARGET_LOG_PROB, 0, 7, 1, 0, 1}, {VG_TARGET_LOG_PROB, 3, 1, 1, 0, 1}, {VG_TARGET_LOG_PROB, 5, 97, 1, 0, 3}, {VG_TARGET_LOG_PROB, 5, 97, 0, -1, 30},
    {VG_TARGET_LOGIT, 5, 97, 1, 0, 3}, {VG_TARGET_LOGIT, 5, 97, 1, -1, 3}, {VG_TARGET_PROB, 5, 97, 1, 0, 3}, {VG_TARGET_PROB, 5, 97, 1, -1, 3},
    {VG_TARGET_SURPRISAL, 5, 97, 1, 0, 3}, {VG_TARGET_SURPRISAL, 30, 401, 1, -1, 10}, {VG_TARGET_CONTRAST, 5, 97, 1, 0, 3}, {VG_TARGET_CONTRAST, 5, 97, 1, -1, 3},
    {VG_TARGET_CONTRAST, 5, 2, 1, 0, 3}, {VG_TARGET_ENTROPY, 5, 97, 1, 0, 3}, {VG_TARGET_ENTROPY, 5, 97, 1, -1, 3}, {VG_TARGET_ENTROPY, 5, 97, 0, 0, 300},
    {VG_TARGET_KL, 5, 97, 1, 0, 3}, {VG_TARGET_KL, 30, 401, 1, -1, 3}, {VG_TARGET_LOG_PROB, 30, 401, 1, 0, 3}, {VG_TARGET_LOG_PROB, 9, 40001, 0, 0, 3}};
static const shape target_timings[] = {{VG_TARGET_LOG_PROB, 64, 50257, 1, 0, 3}, {VG_TARGET_LOG_PROB, 64, 50257, 0, 0, 3}, {VG_TARGET_ENTROPY, 64, 50257, 1, 0, 3}};
static const shape interpolate_shapes[] = {{0, 3, 4, 5}, {2, 0, 4, 5}, {2, 3, 0, 5}, {2, 3, 4, 0}, {1, 1, 1, 1}, {3, 5, 7, 33}, {4, 17, 20, 64}};
static const shape interpolate_timings[] = {{4, 17, 64, 768}};
static const shape accumulate_shapes[] = {{0, 3, 4}, {2, 0, 4}, {2, 3, 0}, {1, 1, 1}, {3, 5, 33}, {2, 9, 5003}};
static const shape accumulate_timings[] = {{4, 17, 49152}};
static const shape reduce_shapes[] = { /* kind, segments, columns, most rows, rows before */
    {VG_SUM, 0, 5, 3}, {VG_L1, 4, 0, 3}, {VG_L2, 4, 5, 0}, {VG_SUM, 9, 33, 4, 2}, {VG_L1, 9, 33, 4, 2}, {VG_L2, 9, 33, 4, 2}, {VG_DOT, 9, 33, 4, 2},
    {VG_SUM, 300, 130, 5}, {VG_L1, 300, 130, 5}, {VG_L2, 300, 130, 5}, {VG_DOT, 300, 130, 5}};
static const shape reduce_timings[] = {{VG_L1, 1000, 768, 4}, {VG_DOT, 1000, 768, 4}};
static const shape eigh_shapes[] = {{0, 5}, {3, 0}, {4, 1}, {5, 2}, {7, 33}, {3, 120}};
static const shape eigh_timings[] = {{100, 40}, {2, 500}, {6, 500}, {1, 1000}};

static const shape center_shapes[] = { /* from, type, rows, columns, gap, segments, reversed */
    {VG_F32, VG_F32, 9, 0, 0, 2}, {VG_F32, VG_F32, 9, 5, 0, 1}, {VG_F32, VG_F32, 40, 33, 3, 4, 1}, {VG_F64, VG_F64, 40, 33, 3, 4, 1},
    {VG_F64, VG_F32, 41, 17, 1, 3}, {VG_F32, VG_F64, 41, 17, 1, 3, 1}, {VG_F32, VG_F32, 100, 700, 0, 6}, {VG_F64, VG_F64, 100, 700, 0, 6, 1}};
static const shape center_timings[] = {{VG_F32, VG_F32, 3000, 2000, 0, 5}};
static const shape spread_shapes[] = {{0, 3, 5, 12}, {3, 4, 0, 12}, {1, 3, 1, 9}, {3, 4, 7, 40}, {12, 5, 1000, 60}};
static const shape spread_timings[] = {{25, 30, 20000, 3000}};
static const shape combine_shapes[] = { /* type, type of the sum, rows, columns, terms, gap between parts, segments */
    {VG_F32, VG_F32, 0, 7, 3, 0, 2}, {VG_F32, VG_F64, 7, 0, 3, 0, 2}, {VG_F32, VG_F32, 7, 1, 0}, {VG_F32, VG_F64, 1, 1, 1}, {VG_F64, VG_F64, 3, 33, 4, 2},
    {VG_F64, VG_F32, 3, 33, 4, 2, 5}, {VG_F32, VG_F32, 9, 1001, 6, 1, 3}, {VG_F32, VG_F64, 41, 256, 6, 0, 7}, {VG_F64, VG_F64, 1, 9001, 6}};
static const shape combine_timings[] = {{VG_F32, VG_F32, 512, 256, 4, 0, 4}, {VG_F32, VG_F64, 40, 256, 4, 0, 8}, {VG_F64, VG_F64, 1, 1000000, 4}};
static const shape join_shapes[] = { /* type, rows, columns, segments there are, of them joined */
    {VG_F32, 9, 0, 3, 2}, {VG_F32, 9, 5, 3, 1}, {VG_F32, 40, 33, 5, 3}, {VG_F64, 40, 33, 5, 2}, {VG_F32, 100, 700, 8, 4}, {VG_F64, 100, 300, 7, 3}};
static const shape join_timings[] = {{VG_F32, 1000, 20000, 9, 4}};
static const shape score_shapes[] = { /* type, rows, columns, rank, penalties, held out, what, chosen only, by fold */
    {VG_F32, 9, 0, 3, 4, 9, 3}, {VG_F32, 0, 20, 3, 4, 9, 3}, {VG_F32, 9, 20, 0, 4, 9, 3}, {VG_F32, 9, 20, 3, 0, 9, 3}, {VG_F64, 1, 1, 1, 1, 2, 1},
    {VG_F64, 33, 50, 5, 7, 33, 1}, {VG_F64, 33, 50, 5, 7, 33, 2}, {VG_F64, 33, 50, 5, 7, 33, 3, 0, 1}, {VG_F64, 33, 50, 5, 7, 40, 3, 1}, {VG_F32, 33, 50, 5, 7, 40, 2, 1, 1},
    {VG_F32, 70, 333, 9, 20, 70, 3}, {VG_F32, 70, 333, 10, 20, 70, 1, 1}, {VG_F64, 41, 200, 12, 20, 41, 3, 0, 1}};
static const shape score_timings[] = {{VG_F32, 600, 4000, 10, 20, 600, 1}, {VG_F64, 600, 4000, 10, 20, 600, 3}};
static const shape quadratic_shapes[] = { /* directions, columns, penalties, held out, what, chosen only, by fold, near pairs */
    {0, 9, 3, 5, 3}, {7, 0, 3, 5, 3}, {7, 9, 0, 5, 3}, {1, 1, 1, 2, 3}, {7, 50, 5, 20, 1}, {7, 50, 5, 20, 2, 0, 1, 1}, {7, 50, 5, 20, 3, 1, 0, 1},
    {7, 50, 5, 20, 2, 1, 1}, {60, 333, 20, 70, 3}, {61, 333, 21, 70, 3, 0, 0, 1}};
static const shape quadratic_timings[] = {{60, 4096, 20, 70, 1}, {500, 4096, 20, 600, 3}};
static const shape choose_shapes[] = {{1, 5}, {20, 0}, {20, 1000, 0, 0}, {20, 1000, 0, 5}, {20, 1000, 1, 0}, {10, 4000, 1, 5}};
static const shape choose_timings[] = {{20, 100000}};

static const operation operations[] = {
    {"gemm", case_gemm, LIST(gemm_shapes), LIST(gemm_timings)},
    {"copy", case_copy, LIST(copy_shapes), LIST(copy_timings)},
    {"fill", case_fill, LIST(fill_shapes), LIST(fill_timings)},
    {"axpby", case_axpby, LIST(axpby_shapes), LIST(axpby_timings)},
    {"hadamard", case_hadamard, LIST(axpby_shapes), LIST(hadamard_timings)},
    {"add_row", case_add_row, LIST(row_shapes), LIST(row_timings)},
    {"column_sum", case_column_sum, LIST(column_sum_shapes), LIST(row_timings)},
    {"scale_rows", case_scale_rows, LIST(row_shapes), LIST(row_timings)},
    {"gather_rows", case_gather_rows, LIST(gather_shapes), LIST(gather_timings)},
    {"scatter_add_rows", case_scatter_add_rows, LIST(gather_shapes), LIST(gather_timings)},
    {"rotate", case_rotate, LIST(rotate_shapes), LIST(rotate_timings)},
    {"norm", case_norm, LIST(norm_shapes), LIST(norm_timings)},
    {"norm_vjp", case_norm_vjp, LIST(norm_vjp_shapes), LIST(norm_timings)},
    {"norm_jvp", case_norm_jvp, LIST(norm_jvp_shapes), LIST(norm_jvp_timings)},
    {"softmax", case_softmax, LIST(softmax_shapes), LIST(softmax_timings)},
    {"softmax_vjp", case_softmax_vjp, LIST(softmax_shapes), LIST(softmax_timings)},
    {"softmax_jvp", case_softmax_jvp, LIST(softmax_jvp_shapes), LIST(softmax_jvp_timings)},
    {"act", case_act, LIST(act_shapes), LIST(act_timings)},
    {"act_vjp", case_act_vjp, LIST(act_shapes), LIST(act_timings)},
    {"act_jvp", case_act_jvp, LIST(act_shapes), LIST(act_timings)},
    {"target", case_target, LIST(target_shapes), LIST(target_timings)},
    {"interpolate", case_interpolate, LIST(interpolate_shapes), LIST(interpolate_timings)},
    {"accumulate", case_accumulate, LIST(accumulate_shapes), LIST(accumulate_timings)},
    {"reduce", case_reduce, LIST(reduce_shapes), LIST(reduce_timings)},
    {"eigh", case_eigh, LIST(eigh_shapes), LIST(eigh_timings)},
    {"ridge_center", case_ridge_center, LIST(center_shapes), LIST(center_timings)},
    {"ridge_spread", case_ridge_spread, LIST(spread_shapes), LIST(spread_timings)},
    {"ridge_combine", case_ridge_combine, LIST(combine_shapes), LIST(combine_timings)},
    {"ridge_join", case_ridge_join, LIST(join_shapes), LIST(join_timings)},
    {"ridge_score", case_ridge_score, LIST(score_shapes), LIST(score_timings)},
    {"ridge_quadratic", case_ridge_quadratic, LIST(quadratic_shapes), LIST(quadratic_timings)},
    {"ridge_choose", case_ridge_choose, LIST(choose_shapes), LIST(choose_timings)},
};
/* clang-format on */

enum { OPERATIONS = sizeof operations / sizeof *operations, DEVICES = 5 };

/* The first of each back end is compared with the reference, the others with the first, bit by bit. order: of an emulated GPU's threads and
 * streams (tests/emu/emu.h). */
static struct {
    const char *spec, *order;
    int threads;
    vg_device *device;
} devices[DEVICES] = {
    {"cpu", "", 1, NULL}, {"cpu", "", 2, NULL}, {"cpu", "", 3, NULL}, {"cuda", "forward", 0, NULL}, {"cuda", "backward", 0, NULL}};

static void open_devices(void)
{
    const char *wanted = getenv("VG_DEVICE");
    bool needed = wanted != NULL && strcmp(wanted, "cuda") == 0;
    for (int i = 0; i < DEVICES; i++) {
        setenv("VG_EMU_ORDER", devices[i].order, 1);
        vg_status status = vg_device_open(devices[i].spec, 0, devices[i].threads, &devices[i].device);
        if (status != VG_OK && (status != VG_NO_DEVICE || needed || strcmp(devices[i].spec, "cuda") != 0)) {
            fprintf(stderr, "%s: %s\n", devices[i].spec, vg_message());
            exit(1);
        }
        if (status != VG_OK)
            fprintf(stderr, "not tested on cuda: %s\n", vg_message());
    }
}

static void operation_is_right(void **state)
{
    const operation *o = *state;
    double worst = 0;
    for (int s = 0; s < o->shapes; s++) {
        uint32_t checksum = 0;
        bool first = true;
        for (int i = 0; i < DEVICES; i++) {
            if (devices[i].device == NULL)
                continue;
            first = i == 0 || strcmp(devices[i].spec, devices[i - 1].spec) != 0;
            bed b = {.device = devices[i].device, .judge = first, .what = o->name, .shape = o->shape[s]};
            o->run(&b);
            bed_clear(&b);
            bed_check(&b, first || b.checksum == checksum, "other bits than on the first number of threads");
            checksum = b.checksum;
            worst = fmax(worst, b.worst);
        }
    }
    printf("%s: largest error %.2f of what is allowed\n", o->name, worst);
}

/* One line a shape: how long a call takes, or, counted, what it does. */
static void time_operation(const operation *o, vg_device *device, bool counted)
{
    for (int t = 0; t < o->timings; t++) {
        bed b = {.device = device, .timed = true, .counted = counted, .what = o->name, .shape = o->timing[t]};
        o->run(&b);
        bed_clear(&b);
        printf("%-16s", o->name);
        for (int i = 0; i < 10; i++)
            printf(" %lld", (long long)b.shape[i]);
        double work = b.flops > 0 ? b.flops : b.bytes;
        if (counted)
            printf("   %.0f %s\n", work, b.flops > 0 ? "FLOPs" : "bytes");
        else
            printf("   best %.3f ms, median %.3f ms: %.1f %s, a core %.1f\n", 1e3 * b.best, 1e3 * b.median, 1e-9 * work / b.best,
                   b.flops > 0 ? "GFLOP/s" : "GB/s", 1e-9 * work / b.processor);
        fflush(stdout);
    }
}

static const shape ceiling_copies[] = {{1, 100000000}};
static const shape ceiling_products[] = {{VG_F32, 0, 0, 8192, 8192, 8192, 1}, {VG_F64, 0, 0, 8192, 8192, 8192, 1}};
static const operation ceilings[] = {{"copy", case_copy, 0, NULL, LIST(ceiling_copies)},
                                     {"gemm", case_gemm, 0, NULL, LIST(ceiling_products)}};

static int time_operations(int argc, char **argv)
{
    bool counted = strcmp(argv[1], "--count") == 0;
    const char *name = argc > 2 ? argv[2] : "", *spec = argc > 3 ? argv[3] : "cpu";
    vg_device *device;
    if (vg_device_open(spec, 0, argc > 4 ? atoi(argv[4]) : 0, &device) != VG_OK) {
        fprintf(stderr, "%s\n", vg_message());
        return 1;
    }
    printf("%s\n", device->name);
    for (int i = 0; i < 2 && strcmp(name, "ceilings") == 0; i++)
        time_operation(&ceilings[i], device, false);
    for (int i = 0; i < OPERATIONS; i++)
        if (*name == '\0' || strcmp(name, "all") == 0 || strcmp(name, operations[i].name) == 0)
            time_operation(&operations[i], device, counted);
    vg_device_close(device);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "--bench") == 0 || strcmp(argv[1], "--count") == 0))
        return time_operations(argc, argv);
    open_devices();
    struct CMUnitTest tests[OPERATIONS];
    for (int i = 0; i < OPERATIONS; i++)
        tests[i] =
            (struct CMUnitTest){.name = operations[i].name, .test_func = operation_is_right, .initial_state = (void *)&operations[i]};
    int failed = cmocka_run_group_tests_name("device", tests, NULL, NULL);
    for (int i = 0; i < DEVICES; i++)
        vg_device_close(devices[i].device);
    return failed;
}
