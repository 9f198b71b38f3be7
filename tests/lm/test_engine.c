/* Protects: the engine by identities: <u, J v> = <J' u, v>, shared prefix = whole recomputation, the causal cone = the full backward,
 * padded rows = single rows, erasure by mask = erasure of the token's influence, exact memory, refusal of bad batches. */
#include "bed.h"

/* ---- identities --------------------------------------------------------------------------------------------------------- */

/* A batch of 2 groups of 3 members of 9 own positions on a prefix of 7, padded, masked and silenced here and there. */
typedef struct {
    int32_t prefix_tokens[2 * 7], tokens[6 * 9], prefix_start[2], start[6], seen[6], next[6];
    uint8_t hidden[6 * 16], silent[6 * 9];
    vg_rows before, rows;
    vg_prefix *prefix;
} crowd;
enum { GROUPS = 2, MEMBERS = 3, BEFORE = 7, OWN = 9, ROWS = GROUPS * MEMBERS };

static void make_crowd(const bench *b, bool keep, crowd *c)
{
    memset(c, 0, sizeof *c);
    draw(c->prefix_tokens, GROUPS * BEFORE, b->shape->vocabulary, 1);
    draw(c->tokens, ROWS * OWN, b->shape->vocabulary, 2);
    draw(c->next, ROWS, b->shape->vocabulary, 3);
    c->prefix_start[1] = 3;
    memcpy(c->start, (int32_t[]){0, 2, 8, 1, 0, 3}, sizeof c->start);
    memcpy(c->seen, (int32_t[]){7, 4, 7, 5, 3, 7}, sizeof c->seen);
    c->hidden[0 * 16 + 10] = c->hidden[3 * 16 + 12] = 1; /* own keys: what a prefix looked at is settled */
    c->silent[0 * 9 + 5] = c->silent[4 * 9 + 1] = 1;
    c->before = (vg_rows){.groups = GROUPS, .members = 1, .length = BEFORE, .tokens = c->prefix_tokens, .start = c->prefix_start};
    must(vg_engine_prefix(b->engine, &c->before, keep, &c->prefix));
    c->rows = (vg_rows){.groups = GROUPS,
                        .members = MEMBERS,
                        .length = OWN,
                        .tokens = c->tokens,
                        .start = c->start,
                        .seen = c->seen,
                        .hidden = c->hidden,
                        .silent = c->silent,
                        .prefix = c->prefix};
}

static void vjp_is_the_transpose_of_jvp(void **state)
{
    (void)state;
    for (int i = 0; i < FAMILIES; i++) {
        bench b = open_family(families[i]);
        int64_t V = b.shape->vocabulary, W = b.shape->width, each = ROWS * OWN * W;
        float *u = noise(ROWS * V, 1.0, 11), *v = noise(2 * each, 0.1, 12);
        crowd c;
        vg_tape *tape;
        vg_cotangents back;
        vg_tangents ahead;
        make_crowd(&b, false, &c);
        must(vg_engine_forward(b.engine, &c.rows, true, false, &tape));
        must(vg_engine_vjp(b.engine, tape, put(&b, u, ROWS * V), 0, false, &back));
        must(vg_engine_jvp(b.engine, tape, 2, put(&b, v, 2 * each), NULL, true, &ahead));
        float *gradient = fetch(&b, back.input, each), *tangent = fetch(&b, ahead.logits, 2 * ROWS * V);
        for (int n = 0; n < 2; n++) {
            for (int r = 0; r < ROWS; r++) {
                const float *vr = v + n * each + r * OWN * W, *jv = tangent + (n * ROWS + r) * V;
                double left = dot(u + r * V, jv, V), right = dot(gradient + r * OWN * W, vr, OWN * W);
                double scale = sqrt(dot(u + r * V, u + r * V, V) * dot(jv, jv, V));
                if (!(fabs(left - right) <= 1e-5 * scale) || scale == 0.0)
                    fail_msg("%s row %d: <u, Jv> = %g, <J'u, v> = %g", families[i], r, left, right);
            }
        }
        for (int r = 0; r < ROWS; r++)
            assert_true(c.start[r] == 0 || dot(gradient + r * OWN * W, gradient + r * OWN * W, c.start[r] * W) == 0.0);
        free(u);
        free(v);
        free(gradient);
        free(tangent);
        close_bench(&b);
    }
}

/* Row r of the crowd as a window of its own: what it sees of its prefix, then its own tokens. */
static int64_t spell_out(const crowd *c, int r, int32_t *tokens, uint8_t *hidden, uint8_t *silent)
{
    int64_t n = 0;
    for (int64_t t = c->prefix_start[r / MEMBERS]; t < c->seen[r]; t++, n++) {
        tokens[n] = c->prefix_tokens[r / MEMBERS * BEFORE + t];
        hidden[n] = c->hidden[r * (BEFORE + OWN) + t];
        silent[n] = 0;
    }
    for (int64_t t = c->start[r]; t < OWN; t++, n++) {
        tokens[n] = c->tokens[r * OWN + t];
        hidden[n] = c->hidden[r * (BEFORE + OWN) + BEFORE + t];
        silent[n] = c->silent[r * OWN + t];
    }
    return n;
}

static void rows_on_a_shared_prefix_are_whole_windows(void **state)
{
    (void)state;
    for (int i = 0; i < FAMILIES; i++) {
        bench b = open_family(families[i]);
        int64_t V = b.shape->vocabulary, W = b.shape->width, L = b.shape->layers;
        crowd c;
        vg_tape *tape;
        vg_cotangents back;
        make_crowd(&b, false, &c);
        must(vg_engine_forward(b.engine, &c.rows, true, false, &tape));
        must(vg_engine_vjp(b.engine, tape, target(&b, tape, c.next), 0, true, &back));
        float *logits = fetch(&b, tape->logits, ROWS * V), *gradient = fetch(&b, back.input, ROWS * OWN * W);
        float *middle = fetch(&b, back.layer[1], ROWS * OWN * W), *state1 = fetch(&b, tape->layer[L], ROWS * W);
        for (int r = 0; r < ROWS; r++) {
            int32_t tokens[BEFORE + OWN];
            uint8_t hidden[BEFORE + OWN], silent[BEFORE + OWN];
            int64_t n = spell_out(&c, r, tokens, hidden, silent), own = OWN - c.start[r];
            vg_rows alone = {.groups = 1, .members = 1, .length = n, .tokens = tokens, .hidden = hidden, .silent = silent};
            vg_mark mark = vg_engine_mark(b.engine);
            vg_tape *single;
            vg_cotangents single_back;
            must(vg_engine_forward(b.engine, &alone, true, false, &single));
            must(vg_engine_vjp(b.engine, single, target(&b, single, c.next + r), 0, true, &single_back));
            float *whole[] = {fetch(&b, single->logits, V), fetch(&b, single->layer[L], W), fetch(&b, single_back.input, n * W),
                              fetch(&b, single_back.layer[1], n * W)};
            same("logits of a row on a prefix", logits + r * V, whole[0], V, 1e-5);
            same("last layer of a row on a prefix", state1 + r * W, whole[1], W, 1e-5);
            same("gradient of a row on a prefix", gradient + (r * OWN + c.start[r]) * W, whole[2] + (n - own) * W, own * W, 1e-5);
            same("layer gradient of a row on a prefix", middle + (r * OWN + c.start[r]) * W, whole[3] + (n - own) * W, own * W, 1e-5);
            for (int k = 0; k < 4; k++)
                free(whole[k]);
            vg_engine_release(b.engine, mark);
        }
        free(logits);
        free(gradient);
        free(middle);
        free(state1);
        close_bench(&b);
    }
}

static void a_sweep_over_the_last_positions_is_the_tail_of_the_whole(void **state)
{
    (void)state;
    for (int i = 0; i < FAMILIES; i++) {
        bench b = open_family(families[i]);
        int64_t W = b.shape->width, from = 5, T = OWN - from;
        crowd c;
        vg_tape *tape;
        vg_cotangents whole, tail;
        make_crowd(&b, false, &c);
        must(vg_engine_forward(b.engine, &c.rows, true, false, &tape));
        float *dlogits = target(&b, tape, c.next);
        must(vg_engine_vjp(b.engine, tape, dlogits, 0, false, &whole));
        must(vg_engine_vjp(b.engine, tape, dlogits, from, true, &tail));
        float *x = fetch(&b, tail.input, ROWS * T * W), *y = fetch(&b, whole.input, ROWS * OWN * W);
        for (int64_t r = 0; r < ROWS; r++)
            memmove(y + r * T * W, y + (r * OWN + from) * W, (size_t)(T * W) * sizeof *y);
        same("gradient of the last positions", x, y, ROWS * T * W, 1e-5);
        free(x);
        free(y);
        close_bench(&b);
    }
}

static void a_prefix_may_go_on_from_a_prefix(void **state)
{
    (void)state;
    for (int i = 0; i < FAMILIES; i++) {
        bench b = open_family(families[i]);
        int32_t tokens[2 * 12], parts[3][2 * 4];
        draw(tokens, 2 * 12, b.shape->vocabulary, 5);
        for (int k = 0; k < 24; k++)
            parts[k % 12 / 4][k / 12 * 4 + k % 4] = tokens[k];
        vg_rows first = {.groups = 2, .members = 1, .length = 4, .tokens = parts[0]}, second = first, third = first, whole = first;
        vg_prefix *one, *two;
        vg_tape *tape, *expected;
        must(vg_engine_prefix(b.engine, &first, false, &one));
        second.tokens = parts[1];
        second.prefix = one;
        must(vg_engine_prefix(b.engine, &second, false, &two));
        third.tokens = parts[2];
        third.prefix = two;
        whole.tokens = tokens;
        whole.length = 12;
        must(vg_engine_forward(b.engine, &third, false, false, &tape));
        must(vg_engine_forward(b.engine, &whole, false, false, &expected));
        assert_int_equal(tape->prefix, 8);
        float *found = fetch(&b, tape->logits, 2 * b.shape->vocabulary), *wanted = fetch(&b, expected->logits, 2 * b.shape->vocabulary);
        same("logits on a prefix of a prefix", found, wanted, 2 * b.shape->vocabulary, 1e-5);
        free(found);
        free(wanted);
        close_bench(&b);
    }
}

static void tangents_pass_through_a_prefix(void **state)
{
    (void)state;
    enum { P = 5, S = 4, N = 2, B = 2 };
    for (int i = 0; i < FAMILIES; i++) {
        bench b = open_family(families[i]);
        int64_t W = b.shape->width, V = b.shape->vocabulary;
        int32_t tokens[B * (P + S)], before[B * P], own[B * S];
        draw(tokens, B * (P + S), V, 6);
        float *dx = noise(N * B * (P + S) * W, 0.1, 13), *dbefore = noise(N * B * P * W, 0.0, 0), *down = noise(N * B * S * W, 0.0, 0);
        for (int k = 0; k < B * (P + S); k++) {
            int row = k / (P + S), t = k % (P + S);
            *(t < P ? &before[row * P + t] : &own[row * S + t - P]) = tokens[k];
            for (int n = 0; n < N; n++)
                memcpy(t < P ? dbefore + ((n * B + row) * P + t) * W : down + ((n * B + row) * S + t - P) * W,
                       dx + (n * B * (P + S) + k) * W, (size_t)W * sizeof *dx);
        }
        vg_rows first = {.groups = B, .members = 1, .length = P, .tokens = before};
        vg_rows whole = {.groups = B, .members = 1, .length = P + S, .tokens = tokens};
        vg_rows rest = {.groups = B, .members = 1, .length = S, .tokens = own};
        vg_prefix *prefix;
        vg_prefix_tangent *moved;
        vg_tape *tape, *expected;
        vg_tangents ahead, wanted;
        must(vg_engine_prefix(b.engine, &first, true, &prefix));
        rest.prefix = prefix;
        must(vg_engine_forward(b.engine, &rest, true, false, &tape));
        must(vg_engine_prefix_jvp(b.engine, prefix, N, put(&b, dbefore, N * B * P * W), &moved));
        must(vg_engine_jvp(b.engine, tape, N, put(&b, down, N * B * S * W), moved, true, &ahead));
        must(vg_engine_forward(b.engine, &whole, true, false, &expected));
        must(vg_engine_jvp(b.engine, expected, N, put(&b, dx, N * B * (P + S) * W), NULL, true, &wanted));
        float *x = fetch(&b, ahead.logits, N * B * V), *y = fetch(&b, wanted.logits, N * B * V);
        same("tangents of logits through a prefix", x, y, N * B * V, 1e-5);
        free(x);
        free(y);
        free(dx);
        free(dbefore);
        free(down);
        close_bench(&b);
    }
}

/* The gradient of the tape's cone, from whatever position, is the tail of the full backward's. */
static void the_causal_cone_loses_nothing(void **state)
{
    (void)state;
    enum { S = 10, B = 3 };
    static const int64_t froms[] = {0, 1, 6, S - 1};
    for (int i = 0; i < FAMILIES; i++) {
        bench b = open_family(families[i]);
        int64_t W = b.shape->width;
        int32_t tokens[B * S], next[B], start[B] = {0, 4, 9};
        draw(tokens, B * S, b.shape->vocabulary, 8);
        draw(next, B, b.shape->vocabulary, 9);
        vg_rows rows = {.groups = B, .members = 1, .length = S, .tokens = tokens, .start = start};
        vg_tape *full, *cone;
        vg_cotangents whole, part;
        must(vg_engine_forward(b.engine, &rows, true, true, &full));
        must(vg_engine_vjp(b.engine, full, target(&b, full, next), 0, true, &whole));
        must(vg_engine_forward(b.engine, &rows, true, false, &cone));
        for (int everywhere = 0; everywhere < 2; everywhere++) {
            for (int k = 0; k < 4; k++) {
                int64_t from = froms[k], T = S - from;
                const vg_tape *tape = everywhere ? full : cone;
                must(vg_engine_vjp(b.engine, tape, target(&b, tape, next), from, true, &part));
                for (int64_t l = 0; l < b.shape->layers; l++) {
                    float *x = fetch(&b, part.layer[l], B * T * W), *y = fetch(&b, whole.layer[l], B * S * W);
                    for (int64_t r = 0; r < B; r++)
                        memmove(y + r * T * W, y + (r * S + from) * W, (size_t)(T * W) * sizeof *y);
                    same("gradient of the cone", x, y, B * T * W, 1e-5);
                    free(x);
                    free(y);
                }
                assert_int_equal(part.from, from);
                assert_ptr_equal(part.input, part.layer[0]);
            }
        }
        close_bench(&b);
    }
}

/* attribution.md: <df/dy, dy/da> over all positions is df/da at every layer; and where blocks are sequential the residual between
 * attention and MLP is one more such cut. */
static void every_cut_carries_the_whole_derivative(void **state)
{
    (void)state;
    enum { S = 7 };
    for (int i = 0; i < FAMILIES; i++) {
        bench b = open_family(families[i]);
        int64_t W = b.shape->width, n = S * W;
        int32_t tokens[S], next = 5;
        draw(tokens, S, b.shape->vocabulary, 20);
        float *dx = noise(n, 0.3, 21);
        vg_rows rows = {.groups = 1, .members = 1, .length = S, .tokens = tokens};
        vg_tape *tape;
        vg_cotangents back;
        vg_tangents ahead;
        must(vg_engine_forward(b.engine, &rows, true, true, &tape));
        float *dlogits = target(&b, tape, &next);
        must(vg_engine_vjp(b.engine, tape, dlogits, 0, true, &back));
        must(vg_engine_jvp(b.engine, tape, 1, put(&b, dx, n), NULL, true, &ahead));
        float *u = fetch(&b, dlogits, b.shape->vocabulary), *v = fetch(&b, ahead.logits, b.shape->vocabulary);
        double whole = dot(u, v, b.shape->vocabulary);
        bool sequential = strcmp(families[i], "phi") != 0 && strcmp(families[i], "gpt_neox") != 0;
        for (int64_t l = 0; l <= b.shape->layers; l++) {
            float *x = fetch(&b, back.layer[l], n), *y = fetch(&b, ahead.layer[l], n);
            assert_true(fabs(dot(x, y, n) - whole) <= 1e-4 * fabs(whole));
            if (l < b.shape->layers) {
                float *cut = fetch(&b, back.attention[l], n), *write = fetch(&b, ahead.attention[l], n);
                double sum = sequential ? dot(cut, y, n) + dot(cut, write, n) : 0.0;
                if (sequential)
                    assert_true(fabs(sum - whole) <= 1e-4 * fabs(whole));
                else {
                    float *next_layer = fetch(&b, back.layer[l + 1], n);
                    same("cotangent of a parallel write", cut, next_layer, n, 0.0);
                    free(next_layer);
                }
                free(cut);
                free(write);
            }
            free(x);
            free(y);
        }
        free(u);
        free(v);
        free(dx);
        close_bench(&b);
    }
}

/* Rotary positions are relative: a window whose first tokens nobody attends to predicts as one without them. */
static void hidden_keys_are_not_there(void **state)
{
    (void)state;
    bench b = open_family("llama");
    int32_t tokens[12];
    uint8_t hidden[12] = {1, 1, 1, 1, 1};
    draw(tokens, 12, b.shape->vocabulary, 30);
    vg_rows masked = {.groups = 1, .members = 1, .length = 12, .tokens = tokens, .hidden = hidden};
    vg_rows without = {.groups = 1, .members = 1, .length = 7, .tokens = tokens + 5};
    vg_tape *x, *y;
    must(vg_engine_forward(b.engine, &masked, false, false, &x));
    must(vg_engine_forward(b.engine, &without, false, false, &y));
    float *found = fetch(&b, x->logits, b.shape->vocabulary), *expected = fetch(&b, y->logits, b.shape->vocabulary);
    same("logits with hidden keys", found, expected, b.shape->vocabulary, 1e-5);
    float *weights = fetch(&b, x->attention[1], b.shape->heads * 12);
    for (int64_t h = 0; h < b.shape->heads; h++)
        assert_true(dot(weights + h * 12, weights + h * 12, 5) == 0.0);
    free(weights);
    free(found);
    free(expected);
    close_bench(&b);
}

/* The gradient of <u, state of a layer at the last position>, along a direction v of the embeddings: what a finite difference says, and
 * what the tangent of that state says; of every layer. */
static void states_have_gradients(void **state)
{
    (void)state;
    enum { T = 6 };
    for (int i = 0; i < FAMILIES; i++) {
        bench b = open_family(families[i]);
        int64_t W = b.shape->width, each = T * W;
        int32_t tokens[T];
        draw(tokens, T, b.shape->vocabulary, 51);
        float *x = malloc((size_t)each * sizeof *x), *u = noise(W, 1.0, 52), *v = noise(each, 0.02, 53);
        for (int t = 0; t < T; t++)
            memcpy(x + t * W, vg_model_embedding(b.model) + tokens[t] * W, (size_t)W * sizeof *x);
        for (int64_t layer = 0; layer <= b.shape->layers; layer++) {
            double moved[2];
            for (int side = 0; side < 2; side++) {
                float *to = malloc((size_t)each * sizeof *to);
                for (int64_t e = 0; e < each; e++)
                    to[e] = x[e] + (side == 0 ? -0.1f : 0.1f) * v[e];
                vg_tape *tape;
                vg_engine_reset(b.engine);
                vg_rows rows = {.groups = 1, .members = 1, .length = T, .embeddings = put(&b, to, each)};
                must(vg_engine_forward(b.engine, &rows, true, true, &tape));
                float *all = fetch(&b, tape->layer[layer], each);
                moved[side] = dot(u, all + (T - 1) * W, W);
                free(all);
                free(to);
            }
            for (int everywhere = 0; everywhere < 2; everywhere++) {
                vg_tape *tape;
                vg_cotangents back;
                vg_tangents ahead;
                vg_engine_reset(b.engine);
                vg_rows rows = {.groups = 1, .members = 1, .length = T, .embeddings = put(&b, x, each)};
                must(vg_engine_forward(b.engine, &rows, true, everywhere, &tape));
                must(vg_engine_vjp_state(b.engine, tape, layer, put(&b, u, W), 0, &back));
                must(vg_engine_jvp(b.engine, tape, 1, put(&b, v, each), NULL, false, &ahead));
                int64_t positions = layer == b.shape->layers && !everywhere ? 1 : T;
                float *gradient = fetch(&b, back.input, each), *tangent = fetch(&b, ahead.layer[layer], positions * W);
                double along = dot(gradient, v, each), jv = dot(u, tangent + (positions - 1) * W, W), fd = (moved[1] - moved[0]) / 0.2;
                double scale = sqrt(dot(u, u, W) * dot(tangent + (positions - 1) * W, tangent + (positions - 1) * W, W));
                if (!(fabs(along - jv) <= 1e-5 * scale) || !(fabs(along - fd) <= 5e-3 * scale) || scale == 0)
                    fail_msg("%s layer %d: gradient %g, tangent %g, finite difference %g", families[i], (int)layer, along, jv, fd);
                free(gradient);
                free(tangent);
            }
        }
        free(x);
        free(u);
        free(v);
        close_bench(&b);
    }
}

/* Where all values are silent but the last token's, nothing of the other tokens arrives. */
static void silent_values_say_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < FAMILIES; i++) {
        bench b = open_family(families[i]);
        int32_t tokens[2 * 6], next[2] = {3, 3};
        uint8_t silent[2 * 6];
        draw(tokens, 12, b.shape->vocabulary, 31);
        tokens[11] = tokens[5];
        memset(silent, 1, sizeof silent);
        vg_rows rows = {.groups = 2, .members = 1, .length = 6, .tokens = tokens, .silent = silent};
        vg_tape *tape;
        vg_cotangents back;
        must(vg_engine_forward(b.engine, &rows, true, false, &tape));
        must(vg_engine_vjp(b.engine, tape, target(&b, tape, next), 0, false, &back));
        float *logits = fetch(&b, tape->logits, 2 * b.shape->vocabulary), *gradient = fetch(&b, back.input, 12 * b.shape->width);
        same("logits of silent windows", logits, logits + b.shape->vocabulary, b.shape->vocabulary, 0.0);
        assert_true(dot(gradient, gradient, 5 * b.shape->width) == 0.0);
        assert_true(dot(gradient, gradient, 6 * b.shape->width) > 0.0);
        free(logits);
        free(gradient);
        close_bench(&b);
    }
}

static void embeddings_stand_for_tokens(void **state)
{
    (void)state;
    bench b = open_family("gpt2");
    int32_t tokens[5];
    int64_t W = b.shape->width, V = b.shape->vocabulary;
    float x[5 * 64];
    draw(tokens, 5, V, 40);
    for (int t = 0; t < 5; t++)
        memcpy(x + t * W, vg_model_embedding(b.model) + tokens[t] * W, (size_t)W * sizeof *x);
    vg_rows by_token = {.groups = 1, .members = 1, .length = 5, .tokens = tokens};
    vg_rows by_value = {.groups = 1, .members = 1, .length = 5, .embeddings = put(&b, x, 5 * W)};
    vg_tape *one, *two;
    must(vg_engine_forward(b.engine, &by_token, false, false, &one));
    must(vg_engine_forward(b.engine, &by_value, false, false, &two));
    float *found = fetch(&b, one->logits, V), *expected = fetch(&b, two->logits, V);
    assert_memory_equal(found, expected, (size_t)V * sizeof *found);
    free(found);
    free(expected);
    close_bench(&b);
}

/* ---- memory and bad batches ---------------------------------------------------------------------------------------------- */

static vg_status run_load(vg_engine *engine, const vg_load *load, const float *zeros)
{
    int32_t tokens[256] = {0};
    uint8_t mask[512] = {0};
    const uint8_t *hidden = load->masked ? mask : NULL;
    vg_rows before = {.groups = load->groups, .members = 1, .length = load->prefix, .tokens = tokens, .hidden = hidden, .silent = hidden};
    vg_rows rows = {
        .groups = load->groups, .members = load->members, .length = load->length, .tokens = tokens, .hidden = hidden, .silent = hidden};
    vg_prefix *prefix = NULL;
    vg_prefix_tangent *moved = NULL;
    vg_tape *tape;
    vg_cotangents back;
    vg_tangents ahead;
    if (load->prefix > 0)
        VG_TRY(vg_engine_prefix(engine, &before, load->prefix_moves, &prefix));
    rows.prefix = prefix;
    VG_TRY(vg_engine_forward(engine, &rows, load->keep, load->everywhere, &tape));
    if (load->vjp)
        VG_TRY(vg_engine_vjp(engine, tape, zeros, load->from, load->layers, &back));
    if (load->prefix_moves)
        VG_TRY(vg_engine_prefix_jvp(engine, prefix, load->directions, zeros, &moved));
    if (load->directions > 0)
        VG_TRY(vg_engine_jvp(engine, tape, load->directions, zeros, moved, load->logits, &ahead));
    return VG_OK;
}

static void memory_and_work_are_known_beforehand(void **state)
{
    (void)state;
    static const vg_load loads[] = {
        {.groups = 3, .members = 1, .length = 9},
        {.groups = 2, .members = 3, .length = 5, .prefix = 6, .masked = true},
        {.groups = 2, .members = 2, .length = 8, .keep = true, .everywhere = true, .vjp = true, .layers = true},
        {.groups = 1, .members = 4, .length = 6, .prefix = 7, .keep = true, .vjp = true, .from = 2},
        {.groups = 2,
         .members = 1,
         .length = 6,
         .prefix = 3,
         .keep = true,
         .masked = true,
         .vjp = true,
         .layers = true,
         .directions = 3,
         .prefix_moves = true,
         .logits = true},
    };
    for (int i = 0; i < FAMILIES; i++) {
        bench b = open_family(families[i]);
        float *host = noise(4096, 0.0, 0), *zeros = put(&b, host, 4096);
        free(host);
        for (size_t k = 0; k < sizeof loads / sizeof *loads; k++) {
            size_t bytes;
            vg_engine *engine;
            double flops, before = vg_device_flops(b.device);
            must(vg_engine_bytes(b.model, &loads[k], &bytes));
            must(vg_engine_flops(b.model, &loads[k], &flops));
            must(vg_engine_create(b.model, bytes, &engine));
            must(run_load(engine, &loads[k], zeros));
            assert_true(flops > 0.0 && vg_device_flops(b.device) - before == flops);
            vg_engine_free(engine);
            must(vg_engine_create(b.model, bytes - 256, &engine));
            assert_int_equal(run_load(engine, &loads[k], zeros), VG_NO_MEMORY);
            vg_engine_free(engine);
        }
        close_bench(&b);
    }
    bench b = open_family("llama");
    vg_load huge = {.groups = INT64_MAX / 4, .members = 8, .length = 1 << 20};
    size_t bytes;
    assert_int_equal(vg_engine_bytes(b.model, &huge, &bytes), VG_INVALID);
    close_bench(&b);
}

static void bad_batches_are_refused(void **state)
{
    (void)state;
    bench b = open_family("gpt2"); /* 16 positions, 97 tokens */
    int32_t tokens[32] = {0}, start[2] = {0, 40}, wrong[3] = {1, 97, 1}, negative[3] = {1, -1, 1}, padded[3] = {97, 1, 1}, one[1] = {1};
    vg_tape *tape;
    vg_prefix *prefix;
    vg_rows rows = {.groups = 1, .members = 1, .length = 3, .tokens = wrong};
    assert_int_equal(vg_engine_forward(b.engine, &rows, false, false, &tape), VG_INVALID);
    assert_non_null(strstr(vg_message(), "token 97 at position 1"));
    rows.tokens = negative;
    assert_int_equal(vg_engine_forward(b.engine, &rows, false, false, &tape), VG_INVALID);
    rows.tokens = padded;
    rows.start = one;
    must(vg_engine_forward(b.engine, &rows, false, false, &tape)); /* padding may be anything */
    rows = (vg_rows){.groups = 1, .members = 1, .length = 17, .tokens = tokens};
    assert_int_equal(vg_engine_forward(b.engine, &rows, false, false, &tape), VG_INVALID);
    assert_non_null(strstr(vg_message(), "17 tokens; the model takes 16"));
    rows.length = 8;
    must(vg_engine_prefix(b.engine, &rows, false, &prefix));
    rows.length = 9;
    rows.prefix = prefix;
    assert_int_equal(vg_engine_forward(b.engine, &rows, false, false, &tape), VG_INVALID);
    rows = (vg_rows){.groups = 2, .members = 1, .length = 4, .tokens = tokens, .start = start};
    assert_int_equal(vg_engine_forward(b.engine, &rows, false, false, &tape), VG_DEFECT);
    rows.start = NULL;
    rows.prefix = prefix;
    assert_int_equal(vg_engine_forward(b.engine, &rows, false, false, &tape), VG_DEFECT);
    rows = (vg_rows){.groups = 1, .members = 1, .length = 4};
    assert_int_equal(vg_engine_forward(b.engine, &rows, false, false, &tape), VG_DEFECT);
    rows.tokens = tokens;
    must(vg_engine_forward(b.engine, &rows, false, false, &tape));
    vg_cotangents back;
    assert_int_equal(vg_engine_vjp(b.engine, tape, tape->logits, 0, false, &back), VG_DEFECT); /* not kept */
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vjp_is_the_transpose_of_jvp),
        cmocka_unit_test(rows_on_a_shared_prefix_are_whole_windows),
        cmocka_unit_test(a_sweep_over_the_last_positions_is_the_tail_of_the_whole),
        cmocka_unit_test(a_prefix_may_go_on_from_a_prefix),
        cmocka_unit_test(tangents_pass_through_a_prefix),
        cmocka_unit_test(the_causal_cone_loses_nothing),
        cmocka_unit_test(every_cut_carries_the_whole_derivative),
        cmocka_unit_test(hidden_keys_are_not_there),
        cmocka_unit_test(silent_values_say_nothing),
        cmocka_unit_test(states_have_gradients),
        cmocka_unit_test(embeddings_stand_for_tokens),
        cmocka_unit_test(memory_and_work_are_known_beforehand),
        cmocka_unit_test(bad_batches_are_refused),
    };
    return run_on_device("engine", tests, sizeof tests / sizeof *tests);
}
