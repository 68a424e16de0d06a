// A 3x3 convolution of each channel with its own kernel, stride 1, with a border of zeros.
#include <vector>

#include "kernel.h"
#include "parallel.h"
#include "vector.h"

constexpr int SIDE = 3, PLACES = SIDE * SIDE;

struct Plane {  // one channel of one image
  int64_t height, width;
  int64_t size() const { return height * width; }
  // Of a copy with a border of zeros, one number on the left, as many rows above and below, and on the right what a vector
  // reads beyond the row.
  int64_t pitch() const { return rounded_up(width + 2, LANES) + LANES; }
  int64_t padded_size() const { return (height + 2) * pitch(); }

  void pad(const float* x, float* to) const {  // the border of `to` is zeros already
    for (int64_t i = 0; i < height; i++) std::memcpy(to + (i + 1) * pitch() + 1, x + i * width, 4 * width);
  }
};

static void convolve(Plane plane, const float* padded, const float* kernel, bool turned, float bias, float* y) {
  Vector weight[PLACES];
  for (int i = 0; i < PLACES; i++) weight[i] = all(kernel[turned ? PLACES - 1 - i : i]);
  const int64_t pitch = plane.pitch();
  for (int64_t i = 0; i < plane.height; i++) {
    const float* seen = padded + i * pitch;
    float* row = y + i * plane.width;
    for (int64_t j = 0; j < plane.width; j += LANES) {
      Vector s = all(bias);
      for (int k = 0; k < PLACES; k++) s += weight[k] * load(seen + k / SIDE * pitch + j + k % SIDE);
      store(row + j, s, std::min<int64_t>(LANES, plane.width - j));
    }
  }
}

KERNEL(Depthwise) {  // (B, C, H, W) x, (C, 1, 3, 3) kernels, (C,) biases -> (B, C, H, W)
  const float *x = a.in(0), *kernels = a.in(1), *biases = a.in(2);
  float* y = a.out(3);
  const Plane plane{a.size(0, 2), a.size(0, 3)};
  const int64_t C = a.size(0, 1);
  parallel(a.size(0, 0) * C, [&](Tasks& tasks) {
    std::vector<float> padded(plane.padded_size());
    for (int64_t p; tasks.next(p);) {
      plane.pad(x + p * plane.size(), padded.data());
      convolve(plane, padded.data(), kernels + p % C * PLACES, false, biases[p % C], y + p * plane.size());
    }
  });
}

// Adds to `sums` the products of dy with each of the places that a kernel sees, and dy itself.
static void correlate(Plane plane, const float* padded, const float* padded_dy, Vector (&sums)[PLACES + 1]) {
  const int64_t pitch = plane.pitch();
  for (int64_t i = 0; i < plane.height; i++) {
    const float *seen = padded + i * pitch, *dy = padded_dy + (i + 1) * pitch + 1;
    for (int64_t j = 0; j < plane.width; j += LANES) {  // dy is 0 beyond its row
      Vector d = load(dy + j);
      for (int k = 0; k < PLACES; k++) sums[k] += d * load(seen + k / SIDE * pitch + j + k % SIDE);
      sums[PLACES] += d;
    }
  }
}

KERNEL(DepthwiseGrad) {  // x, kernels, dy -> dx, dkernels, dbiases
  const float *x = a.in(0), *kernels = a.in(1), *dy = a.in(2);
  float *dx = a.out(3), *dkernels = a.out(4), *dbiases = a.out(5);
  const Plane plane{a.size(0, 2), a.size(0, 3)};
  const int64_t B = a.size(0, 0), C = a.size(0, 1);
  parallel(C, [&](Tasks& tasks) {
    std::vector<float> padded(plane.padded_size()), padded_dy(plane.padded_size());
    for (int64_t c; tasks.next(c);) {
      Vector sums[PLACES + 1] = {};
      for (int64_t b = 0; b < B; b++) {
        const int64_t first = (b * C + c) * plane.size();
        plane.pad(x + first, padded.data());
        plane.pad(dy + first, padded_dy.data());
        convolve(plane, padded_dy.data(), kernels + c * PLACES, true, 0.0f, dx + first);
        correlate(plane, padded.data(), padded_dy.data(), sums);
      }
      for (int k = 0; k < PLACES; k++) dkernels[c * PLACES + k] = sum(sums[k]);
      dbiases[c] = sum(sums[PLACES]);
    }
  });
}
