// LayerNorm over the last axis: y = (x - mean) / sqrt(variance + eps) gamma + beta.
#include <vector>

#include "kernel.h"
#include "parallel.h"
#include "vector.h"

constexpr int64_t ROWS = 512;  // of one task, and of one sum of the gradients of gamma and beta

// Calls `one(j, lanes)` for each vector of a row.
template <class One>
static inline void along(int64_t C, const One& one) {
  int64_t j = 0;
  for (; j + LANES <= C; j += LANES) one(j, LANES);
  if (j < C) one(j, C - j);
}

struct Moments {
  float mean, scale;  // scale = 1 / sqrt(variance + eps)

  Moments(const float* row, int64_t C, float eps) {
    Vector total = {}, squares = {};
    along(C, [&](int64_t j, int64_t lanes) { total += load(row + j, lanes); });
    mean = sum(total) / C;
    along(C, [&](int64_t j, int64_t lanes) {
      Vector d = load(row + j, lanes) - mean;
      if (lanes < LANES) d = load((const float*)&d, lanes);
      squares += d * d;
    });
    scale = 1.0f / std::sqrt(sum(squares) / C + eps);
  }
  Vector unit(Vector x) const { return (x - mean) * scale; }
};

KERNEL(Normalise) {  // (N, C) x, (C,) gamma, (C,) beta, (1,) eps -> (N, C)
  const float *x = a.in(0), *gamma = a.in(1), *beta = a.in(2), eps = *a.in(3);
  float* y = a.out(4);
  const int64_t N = a.size(0, 0), C = a.size(0, 1);
  parallel_for(divided_up(N, ROWS), [&](int64_t task) {
    for (int64_t i = task * ROWS; i < std::min(N, (task + 1) * ROWS); i++) {
      const float* row = x + i * C;
      const Moments moments(row, C, eps);
      along(C, [&](int64_t j, int64_t lanes) {
        Vector scaled = moments.unit(load(row + j, lanes)) * load(gamma + j, lanes);
        store(y + i * C + j, scaled + load(beta + j, lanes), lanes);
      });
    }
  });
}

KERNEL(NormaliseGrad) {  // x, gamma, dy, eps -> dx, dgamma, dbeta
  const float *x = a.in(0), *gamma = a.in(1), *dy = a.in(2), eps = *a.in(3);
  float *dx = a.out(4), *dgamma = a.out(5), *dbeta = a.out(6);
  const int64_t N = a.size(0, 0), C = a.size(0, 1), blocks = divided_up(N, ROWS);
  std::vector<float> sums(blocks * 2 * C);  // of each block dgamma and dbeta
  parallel_for(blocks, [&](int64_t block) {
    float *sum_gamma = &sums[block * 2 * C], *sum_beta = sum_gamma + C;
    for (int64_t i = block * ROWS; i < std::min(N, (block + 1) * ROWS); i++) {
      const float *row = x + i * C, *d = dy + i * C;
      const Moments moments(row, C, eps);
      Vector total = {}, product = {};  // of g = dy gamma, and of g unit
      along(C, [&](int64_t j, int64_t lanes) {
        Vector unit = moments.unit(load(row + j, lanes)), given = load(d + j, lanes), g = given * load(gamma + j, lanes);
        total += g;
        product += g * unit;
        store(sum_gamma + j, load(sum_gamma + j, lanes) + given * unit, lanes);
        store(sum_beta + j, load(sum_beta + j, lanes) + given, lanes);
      });
      const float mean = sum(total) / C, mean_product = sum(product) / C;
      along(C, [&](int64_t j, int64_t lanes) {
        Vector unit = moments.unit(load(row + j, lanes)), g = load(d + j, lanes) * load(gamma + j, lanes);
        store(dx + i * C + j, (g - mean - unit * mean_product) * moments.scale, lanes);
      });
    }
  });
  for (int64_t j = 0; j < C; j++) {
    dgamma[j] = dbeta[j] = 0;
    for (int64_t block = 0; block < blocks; block++) {
      dgamma[j] += sums[block * 2 * C + j];
      dbeta[j] += sums[block * 2 * C + C + j];
    }
  }
}
