// Bilinear interpolation. An axis comes as (2, outputs): the input before each output, and the share of the one behind it.
#include <vector>

#include "kernel.h"
#include "parallel.h"
#include "vector.h"

struct Axis {
  int64_t outputs;
  std::vector<int64_t> low, high;
  const float* share;

  Axis(const Arrays& a, int i, int64_t inputs) : outputs(a.size(i, 1)), low(outputs), high(outputs), share(a.in(i) + outputs) {
    for (int64_t k = 0; k < outputs; k++) {
      low[k] = (int64_t)a.in(i)[k];
      high[k] = std::min(low[k] + 1, inputs - 1);
    }
  }
};

KERNEL(Upsample) {  // (B, C, h, w) x, (2, H) rows, (2, W) columns -> (B, C, H, W)
  const float* x = a.in(0);
  float* y = a.out(3);
  const int64_t h = a.size(0, 2), w = a.size(0, 3);
  const Axis rows(a, 1, h), columns(a, 2, w);
  const int64_t H = rows.outputs, W = columns.outputs;
  parallel(a.size(0, 0) * a.size(0, 1), [&](Tasks& tasks) {
    std::vector<float> wide(h * W);
    for (int64_t p; tasks.next(p);) {
      for (int64_t i = 0; i < h; i++) {
        const float* from = x + (p * h + i) * w;
        for (int64_t j = 0; j < W; j++) {
          const float low = from[columns.low[j]];
          wide[i * W + j] = low + columns.share[j] * (from[columns.high[j]] - low);
        }
      }
      for (int64_t i = 0; i < H; i++) {
        const float *low = &wide[rows.low[i] * W], *high = &wide[rows.high[i] * W], share = rows.share[i];
        float* to = y + (p * H + i) * W;
        for (int64_t j = 0; j < W; j++) to[j] = low[j] + share * (high[j] - low[j]);
      }
    }
  });
}

KERNEL(UpsampleGrad) {  // (B, C, H, W) dy, rows, columns, (h,) and (w,) that give the input's size -> (B, C, h, w)
  const float* dy = a.in(0);
  float* dx = a.out(5);
  const int64_t h = a.size(3, 0), w = a.size(4, 0);
  const Axis rows(a, 1, h), columns(a, 2, w);
  const int64_t H = rows.outputs, W = columns.outputs;
  parallel(a.size(0, 0) * a.size(0, 1), [&](Tasks& tasks) {
    std::vector<float> wide(h * W);
    for (int64_t p; tasks.next(p);) {
      std::fill(wide.begin(), wide.end(), 0.0f);
      for (int64_t i = 0; i < H; i++) {
        float *low = &wide[rows.low[i] * W], *high = &wide[rows.high[i] * W];
        const float *from = dy + (p * H + i) * W, share = rows.share[i];
        for (int64_t j = 0; j < W; j++) low[j] += (1 - share) * from[j];
        for (int64_t j = 0; j < W; j++) high[j] += share * from[j];  // at an edge it is `low` again
      }
      for (int64_t i = 0; i < h; i++) {
        float* to = dx + (p * h + i) * w;
        std::fill(to, to + w, 0.0f);
        for (int64_t j = 0; j < W; j++) {
          const float d = wide[i * W + j];
          to[columns.low[j]] += (1 - columns.share[j]) * d;
          to[columns.high[j]] += columns.share[j] * d;
        }
      }
    }
  });
}
