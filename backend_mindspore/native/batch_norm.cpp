// BatchNorm in training: y = (x - mean) / sqrt(variance + eps) gamma + beta, with the moments of each channel over all images.
#include "kernel.h"
#include "parallel.h"
#include "vector.h"

struct Channel {  // of (B, C, H, W)
  int64_t B, C, plane;

  explicit Channel(const Arrays& a) : B(a.size(0, 0)), C(a.size(0, 1)), plane(a.size(0, 2) * a.size(0, 3)) {}
  double count() const { return (double)(B * plane); }

  // Calls `one(i, lanes)` for each vector of channel c. i is a place in the array.
  template <class One>
  void each(int64_t c, const One& one) const {
    for (int64_t b = 0; b < B; b++) {
      const int64_t first = (b * C + c) * plane;
      for (int64_t j = 0; j < plane; j += LANES) one(first + j, std::min<int64_t>(LANES, plane - j));
    }
  }
};

// A sum of many vectors: of a few in float32 each, which are added in double.
class Sum {
 public:
  void add(Vector x) {
    some_ += x;
    if (++count_ == 64) flush();
  }
  double total() {
    flush();
    return total_;
  }

 private:
  void flush() {
    total_ += sum(some_);
    some_ = Vector{};
    count_ = 0;
  }
  Vector some_ = {};
  int count_ = 0;
  double total_ = 0;
};

KERNEL(BatchNorm) {  // (B, C, H, W) x, (C,) gamma, (C,) beta, (1,) eps -> (B, C, H, W), (C,) mean, (C,) variance
  const float *x = a.in(0), *gamma = a.in(1), *beta = a.in(2), eps = *a.in(3);
  float *y = a.out(4), *means = a.out(5), *variances = a.out(6);
  const Channel channel(a);
  parallel_for(channel.C, [&](int64_t c) {
    Sum total, squares;
    channel.each(c, [&](int64_t i, int64_t lanes) { total.add(load(x + i, lanes)); });
    const float mean = (float)(total.total() / channel.count());
    channel.each(c, [&](int64_t i, int64_t lanes) {
      Vector d = load(x + i, lanes) - mean;
      if (lanes < LANES) d = load((const float*)&d, lanes);
      squares.add(d * d);
    });
    const float variance = (float)(squares.total() / channel.count()), scale = gamma[c] / std::sqrt(variance + eps);
    channel.each(c, [&](int64_t i, int64_t lanes) { store(y + i, (load(x + i, lanes) - mean) * scale + beta[c], lanes); });
    means[c] = mean;
    variances[c] = variance;
  });
}

KERNEL(BatchNormGrad) {  // x, gamma, mean, variance, eps, dy -> dx, dgamma, dbeta
  const float *x = a.in(0), *gamma = a.in(1), *means = a.in(2), *variances = a.in(3), eps = *a.in(4), *dy = a.in(5);
  float *dx = a.out(6), *dgamma = a.out(7), *dbeta = a.out(8);
  const Channel channel(a);
  parallel_for(channel.C, [&](int64_t c) {
    const float mean = means[c], scale = 1.0f / std::sqrt(variances[c] + eps);
    Sum total, product;  // of dy, and of dy unit; behind a row dy is 0
    channel.each(c, [&](int64_t i, int64_t lanes) {
      const Vector d = load(dy + i, lanes);
      total.add(d);
      product.add(d * (load(x + i, lanes) - mean));
    });
    dbeta[c] = (float)total.total();
    dgamma[c] = (float)(product.total() * scale);
    const float mean_dy = (float)(total.total() / channel.count());
    const float slope = (float)(product.total() / channel.count()) * scale * scale;
    channel.each(c, [&](int64_t i, int64_t lanes) {
      store(dx + i, (load(dy + i, lanes) - mean_dy - (load(x + i, lanes) - mean) * slope) * (gamma[c] * scale), lanes);
    });
  });
}
