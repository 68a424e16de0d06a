// The most likely class of each pixel of a larger map: bilinear interpolation and arg-max at once, without the larger scores.
#include <vector>

#include "axis.h"
#include "kernel.h"
#include "parallel.h"
#include "vector.h"

constexpr int64_t BLOCK = 16;  // rows of labels of a task

KERNEL(Labels) {  // (B, K, h, w) scores, (2, H) rows, (2, W) columns -> (B, H, W) uint8; of equal scores the first class
  const float* scores = a.in(0);
  uint8_t* labels = a.bytes(3);
  const int64_t B = a.size(0, 0), K = a.size(0, 1), h = a.size(0, 2), w = a.size(0, 3);
  const Axis rows(a, 1, h), columns(a, 2, w);
  const int64_t H = rows.outputs, W = columns.outputs, pitch = rounded_up(W, LANES), blocks = divided_up(H, BLOCK);
  parallel(B * blocks, [&](Tasks& tasks) {
    std::vector<float> wide;  // the block's rows of scores, of all columns: (rows, K, pitch)
    for (int64_t task; tasks.next(task);) {
      const int64_t image = task / blocks, top = task % blocks * BLOCK, bottom = std::min(H, top + BLOCK);
      const int64_t first = rows.low[top], count = rows.high[bottom - 1] + 1 - first;
      wide.resize(count * K * pitch);
      for (int64_t i = 0; i < count * K; i++)
        columns.stretch(scores + ((image * K + i % K) * h + first + i / K) * w, &wide[i * pitch]);
      for (int64_t i = top; i < bottom; i++) {
        const float *low = &wide[(rows.low[i] - first) * K * pitch], *high = &wide[(rows.high[i] - first) * K * pitch];
        const float share = rows.share[i];
        for (int64_t j = 0; j < W; j += LANES) {
          Vector best = all(-INFINITY);
          Bits label = {};
          for (int64_t k = 0; k < K; k++) {
            const Vector x = load(low + k * pitch + j), score = x + share * (load(high + k * pitch + j) - x);
            label = score > best ? (Bits{} + (int32_t)k) : label;
            best = score > best ? score : best;
          }
          uint8_t* to = labels + (image * H + i) * W + j;
          for (int64_t lane = 0; lane < std::min<int64_t>(LANES, W - j); lane++) to[lane] = (uint8_t)label[lane];
        }
      }
    }
  });
}
