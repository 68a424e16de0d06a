// softmax(q k^T / sqrt(d)) v, one block of queries after the other: the scores of a block stay in the processor's cache.
#include <vector>

#include "kernel.h"
#include "parallel.h"
#include "vector.h"

constexpr int64_t PAIR = 2 * LANES;  // what a tile of a product has of columns; matrices with columns of zeros up to it are wide
constexpr int64_t BLOCK_SCORES = 1 << 15;  // 128 KB
constexpr int64_t MOST_ROWS = 64;  // queries of a block
constexpr int64_t FEWEST_PARTS = 16;  // of sums over queries, for all heads: so many threads can add them up
#if defined(__AVX512F__)
constexpr int TILE = 8;  // rows: with two vectors each they fill half of the registers
#else
constexpr int TILE = 4;
#endif

static int64_t wide(int64_t columns) { return rounded_up(columns, PAIR); }

// How a product reads its left side: element (i, k) is at i * row + k * column.
struct Left {
  const float* at;
  int64_t row, column;
};

// C = A B, or C += A B, for `rows` rows and PAIR columns of C.
template <int rows>
static inline void tile(Left A, const float* B, int64_t b_pitch, float* C, int64_t c_pitch, int64_t K, bool add) {
  Vector s[rows][2];
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < 2; j++) s[i][j] = add ? load(C + i * c_pitch + j * LANES) : Vector{};
  for (int64_t k = 0; k < K; k++) {
    const Vector b0 = load(B + k * b_pitch), b1 = load(B + k * b_pitch + LANES);
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
      const float a = A.at[i * A.row + k * A.column];
      s[i][0] += a * b0;
      s[i][1] += a * b1;
    }
  }
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < 2; j++) store(C + i * c_pitch + j * LANES, s[i][j]);
}

// (M, K) A times (K, N) B, wide, into C, wide.
static void product(Left A, const float* B, float* C, int64_t M, int64_t N, int64_t K, bool add = false) {
  const int64_t pitch = wide(N);
  for (int64_t j = 0; j < pitch; j += PAIR) {
    int64_t i = 0;
    for (; i + TILE <= M; i += TILE)
      tile<TILE>({A.at + i * A.row, A.row, A.column}, B + j, pitch, C + i * pitch + j, pitch, K, add);
    for (; i < M; i++) tile<1>({A.at + i * A.row, A.row, A.column}, B + j, pitch, C + i * pitch + j, pitch, K, add);
  }
}

typedef std::vector<float> Matrix;

struct Rows {  // of `columns` numbers, `pitch` numbers apart
  const float* at;
  int64_t count, columns, pitch;
};

static void transpose(Rows x, float* to) {  // (rows, columns) -> (columns, wide(rows))
  for (int64_t i = 0; i < x.count; i++)
    for (int64_t j = 0; j < x.columns; j++) to[j * wide(x.count) + i] = x.at[i * x.pitch + j];
}

static void widen(Rows x, float* to) {  // (rows, columns) -> (rows, wide(columns))
  for (int64_t i = 0; i < x.count; i++) std::memcpy(to + i * wide(x.columns), x.at + i * x.pitch, 4 * x.columns);
}

static void narrow(const float* x, float scale, int64_t rows, int64_t columns, float* to, int64_t pitch) {  // and back
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j++) to[i * pitch + j] = x[i * wide(columns) + j] * scale;
}

static void softmax(float* scores, int64_t rows, int64_t M) {  // (rows, wide(M)), in place; 0 beyond M
  for (int64_t i = 0; i < rows; i++) {
    float* row = scores + i * wide(M);
    std::fill(row + M, row + wide(M), -INFINITY);
    Vector most = load(row);
    for (int64_t j = LANES; j < wide(M); j += LANES) {
      const Vector x = load(row + j);
      most = x > most ? x : most;
    }
    const float top = largest(most);
    Vector total = {};
    for (int64_t j = 0; j < wide(M); j += LANES) {
      const Vector e = exp_of_negative(load(row + j) - top);
      store(row + j, e);
      total += e;
    }
    const float scale = 1.0f / sum(total);
    for (int64_t j = 0; j < wide(M); j += LANES) store(row + j, load(row + j) * scale);
  }
}

struct Heads {  // of all images: their queries lie side by side in (B, N, C), their keys and then their values in (B, M, 2 C)
  int64_t B, heads, N, M, C, d;
  float scale;

  Heads(const Arrays& a, int last)  // the length of array `last` is the number of heads
      : B(a.size(0, 0)), heads(a.size(last, 0)), N(a.size(0, 1)), M(a.size(1, 1)), C(a.size(0, 2)), d(C / heads) {
    scale = 1 / std::sqrt((float)d);
  }
  int64_t count() const { return B * heads; }
  int64_t query(int64_t h, int64_t i) const { return (h / heads * N + i) * C + h % heads * d; }  // where it begins
  int64_t key(int64_t h) const { return h / heads * M * 2 * C + h % heads * d; }
  Rows queries(const float* q, int64_t h, int64_t first, int64_t n) const { return {q + query(h, first), n, d, C}; }
  Rows keys(const float* kv, int64_t h) const { return {kv + key(h), M, d, 2 * C}; }
  Rows values(const float* kv, int64_t h) const { return {kv + key(h) + C, M, d, 2 * C}; }

  int64_t rows(int64_t matrices) const {  // of a block that has so many matrices of scores
    return std::max<int64_t>(TILE, std::min(MOST_ROWS, BLOCK_SCORES / (matrices * wide(M)) / TILE * TILE));
  }

  // softmax(q k^T / sqrt(d)): (n, wide(M)). `scaled` is left with q / sqrt(d), wide.
  void probabilities(Rows q, const float* k_transposed, float* scaled, float* p) const {
    for (int64_t i = 0; i < q.count; i++)
      for (int64_t j = 0; j < d; j++) scaled[i * wide(d) + j] = q.at[i * q.pitch + j] * scale;
    product({scaled, wide(d), 1}, k_transposed, p, q.count, M, d);
    softmax(p, q.count, M);
  }
};

KERNEL(Attend) {  // (B, N, C) q, (B, M, 2 C) keys and values, (heads,) -> (B, N, C)
  const float *q = a.in(0), *kv = a.in(1);
  float* y = a.out(3);
  const Heads heads(a, 2);
  const int64_t N = heads.N, M = heads.M, d = heads.d, rows = heads.rows(1), blocks = divided_up(N, rows);
  const int64_t k_size = d * wide(M), v_size = M * wide(d);
  Matrix k_transposed(heads.count() * k_size), v_wide(heads.count() * v_size);
  parallel_for(heads.count(), [&](int64_t h) {
    transpose(heads.keys(kv, h), &k_transposed[h * k_size]);
    widen(heads.values(kv, h), &v_wide[h * v_size]);
  });
  parallel(heads.count() * blocks, [&](Tasks& tasks) {
    Matrix p(rows * wide(M)), out(rows * wide(d)), scaled(rows * wide(d));
    for (int64_t task; tasks.next(task);) {
      const int64_t h = task / blocks, first = task % blocks * rows, n = std::min(rows, N - first);
      heads.probabilities(heads.queries(q, h, first, n), &k_transposed[h * k_size], scaled.data(), p.data());
      product({p.data(), wide(M), 1}, &v_wide[h * v_size], out.data(), n, d, M);
      narrow(out.data(), 1.0f, n, d, y + heads.query(h, first), heads.C);
    }
  });
}

// dp -> ds = p (dp - sum(p dp)), in place, where sum(p dp) = sum(dout out).
static void softmax_gradient(const float* p, Rows out, Rows dout, int64_t M, float* dp) {
  for (int64_t i = 0; i < out.count; i++) {
    float shift = 0;
    for (int64_t j = 0; j < out.columns; j++) shift += dout.at[i * dout.pitch + j] * out.at[i * out.pitch + j];
    for (int64_t j = i * wide(M); j < (i + 1) * wide(M); j += LANES) store(dp + j, load(p + j) * (load(dp + j) - shift));
  }
}

KERNEL(AttendGrad) {  // q, keys and values, (heads,), out, dout -> dq, dkv. The probabilities are computed again.
  const float *q = a.in(0), *kv = a.in(1), *out = a.in(3), *dout = a.in(4);
  float *dq = a.out(5), *dkv = a.out(6);
  const Heads heads(a, 2);
  const int64_t N = heads.N, M = heads.M, d = heads.d, C = heads.C, rows = heads.rows(2), blocks = divided_up(N, rows);
  // dk and dv are sums over the queries: of each head in so many parts, which are then added in their order
  const int64_t parts = std::min(blocks, divided_up(FEWEST_PARTS, heads.count())), blocks_of_part = divided_up(blocks, parts);
  const int64_t transposed_size = d * wide(M), wide_size = M * wide(d);
  Matrix k_transposed(heads.count() * transposed_size), v_transposed(k_transposed.size());
  Matrix k_wide(heads.count() * wide_size), dk_parts(parts * k_wide.size()), dv_parts(dk_parts.size());
  parallel_for(heads.count(), [&](int64_t h) {
    transpose(heads.keys(kv, h), &k_transposed[h * transposed_size]);
    transpose(heads.values(kv, h), &v_transposed[h * transposed_size]);
    widen(heads.keys(kv, h), &k_wide[h * wide_size]);
  });
  parallel(heads.count() * parts, [&](Tasks& tasks) {
    Matrix p(rows * wide(M)), ds(p.size()), scaled(rows * wide(d)), dout_wide(scaled.size()), dq_wide(scaled.size());
    for (int64_t task; tasks.next(task);) {
      const int64_t h = task / parts, begin = task % parts * blocks_of_part;
      for (int64_t block = begin; block < std::min(blocks, begin + blocks_of_part); block++) {
        const int64_t first = block * rows, n = std::min(rows, N - first);
        const Rows out_rows = heads.queries(out, h, first, n), dout_rows = heads.queries(dout, h, first, n);
        heads.probabilities(heads.queries(q, h, first, n), &k_transposed[h * transposed_size], scaled.data(), p.data());
        widen(dout_rows, dout_wide.data());
        product({dout_wide.data(), wide(d), 1}, &v_transposed[h * transposed_size], ds.data(), n, M, d);
        softmax_gradient(p.data(), out_rows, dout_rows, M, ds.data());
        product({ds.data(), wide(M), 1}, &k_wide[h * wide_size], dq_wide.data(), n, d, M);
        narrow(dq_wide.data(), heads.scale, n, d, dq + heads.query(h, first), C);
        product({ds.data(), 1, wide(M)}, scaled.data(), &dk_parts[task * wide_size], M, d, n, true);
        product({p.data(), 1, wide(M)}, dout_wide.data(), &dv_parts[task * wide_size], M, d, n, true);
      }
    }
  });
  parallel_for(heads.count(), [&](int64_t h) {
    float* to = dkv + heads.key(h);
    for (Matrix* sums : {&dk_parts, &dv_parts}) {
      float* first = &(*sums)[h * parts * wide_size];
      for (int64_t i = wide_size; i < parts * wide_size; i++) first[i % wide_size] += first[i];
      narrow(first, 1.0f, M, d, sums == &dk_parts ? to : to + C, 2 * C);
    }
  });
}
