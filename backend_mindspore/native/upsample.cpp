// Bilinear interpolation and its gradient.
#include <vector>

#include "axis.h"
#include "kernel.h"
#include "parallel.h"

KERNEL(Upsample) {  // (B, C, h, w) x, (2, H) rows, (2, W) columns -> (B, C, H, W)
  const float* x = a.in(0);
  float* y = a.out(3);
  const int64_t h = a.size(0, 2), w = a.size(0, 3);
  const Axis rows(a, 1, h), columns(a, 2, w);
  const int64_t H = rows.outputs, W = columns.outputs;
  parallel(a.size(0, 0) * a.size(0, 1), [&](Tasks& tasks) {
    std::vector<float> wide(h * W);
    for (int64_t p; tasks.next(p);) {
      for (int64_t i = 0; i < h; i++) columns.stretch(x + (p * h + i) * w, &wide[i * W]);
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
