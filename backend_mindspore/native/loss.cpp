// Cross-entropy of each pixel, -log softmax(logits)[label], and its gradient. IGNORED, the label of a pixel that does not
// count, is the core's: `library.py` gives it to the compiler.
#include <stdexcept>

#include "kernel.h"
#include "parallel.h"
#include "vector.h"

constexpr int64_t BLOCK = 1024;  // pixels of a task: the logits of all their classes stay in the cache

struct Pixels {  // of (B, K, H, W) logits
  int64_t K, plane, blocks, tasks;

  explicit Pixels(const Arrays& a) : K(a.size(0, 1)), plane(a.size(0, 2) * a.size(0, 3)) {
    blocks = divided_up(plane, BLOCK);
    tasks = a.size(0, 0) * blocks;
  }
  // Calls `one(logits, labels, pixel, lanes)` for each vector of pixels of a task; logits of the next class are `plane` further.
  template <class One>
  void each(int64_t task, const One& one) const {
    const int64_t image = task / blocks, first = task % blocks * BLOCK;
    for (int64_t i = first; i < std::min(plane, first + BLOCK); i += LANES)
      one(image * K * plane + i, image * plane + i, std::min<int64_t>(LANES, std::min(plane, first + BLOCK) - i));
  }
};

static inline bool counts(int32_t label, int64_t K) {
  if (label != IGNORED && (label < 0 || label >= K)) throw std::out_of_range("a label is neither a class nor the ignored one");
  return label != IGNORED;
}

static inline Vector largest_of_classes(const float* x, int64_t plane, int64_t K, int64_t lanes) {
  Vector most = load(x, lanes);
  for (int64_t k = 1; k < K; k++) {
    const Vector other = load(x + k * plane, lanes);
    most = other > most ? other : most;
  }
  return most;
}

KERNEL(CrossEntropy) {  // (B, K, H, W) logits, (B, H, W) int32 labels -> (B, H, W); 0 where ignored
  const float* logits = a.in(0);
  const int32_t* labels = a.integers(1);
  float* losses = a.out(2);
  const Pixels pixels(a);
  const int64_t K = pixels.K, plane = pixels.plane;
  parallel_for(pixels.tasks, [&](int64_t task) {
    pixels.each(task, [&](int64_t at, int64_t pixel, int64_t lanes) {
      const float* x = logits + at;
      const Vector most = largest_of_classes(x, plane, K, lanes);
      Vector total = {};
      for (int64_t k = 0; k < K; k++) total += exp_of_negative(load(x + k * plane, lanes) - most);
      for (int64_t i = 0; i < lanes; i++) {
        const int32_t label = labels[pixel + i];
        losses[pixel + i] = counts(label, K) ? std::log(total[i]) + (most[i] - x[label * plane + i]) : 0.0f;
      }
    });
  });
}

KERNEL(CrossEntropyGrad) {  // logits, labels, (B, H, W) slopes -> (softmax - onehot(labels)) slope, of the logits' shape
  const float *logits = a.in(0), *slopes = a.in(2);
  const int32_t* labels = a.integers(1);
  float* dlogits = a.out(3);
  const Pixels pixels(a);
  const int64_t K = pixels.K, plane = pixels.plane;
  parallel_for(pixels.tasks, [&](int64_t task) {
    pixels.each(task, [&](int64_t at, int64_t pixel, int64_t lanes) {
      const float* x = logits + at;
      float* dx = dlogits + at;
      const Vector most = largest_of_classes(x, plane, K, lanes);
      Vector total = {};
      for (int64_t k = 0; k < K; k++) {
        const Vector e = exp_of_negative(load(x + k * plane, lanes) - most);
        store(dx + k * plane, e, lanes);
        total += e;
      }
      const Vector scale = load(slopes + pixel, lanes) / total;
      for (int64_t k = 0; k < K; k++) store(dx + k * plane, load(dx + k * plane, lanes) * scale, lanes);
      for (int64_t i = 0; i < lanes; i++)
        if (const int32_t label = labels[pixel + i]; counts(label, K)) dx[label * plane + i] -= slopes[pixel + i];
    });
  });
}
