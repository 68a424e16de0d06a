// One axis of bilinear interpolation. It comes as (2, outputs): the input before each output, and the share of the one behind it.
#pragma once
#include <vector>

#include "kernel.h"

struct Axis {
  int64_t outputs;
  std::vector<int64_t> low, high;
  const float* share;

  Axis(const Arrays& a, int i, int64_t inputs) : outputs(a.size(i, 1)), low(outputs), high(outputs), share(a.in(i) + outputs) {
    for (int64_t k = 0; k < outputs; k++) {
      low[k] = (int64_t)a.in(i)[k];
      high[k] = low[k] + 1 < inputs ? low[k] + 1 : inputs - 1;
    }
  }

  void stretch(const float* from, float* to) const {  // a row of inputs to one of outputs
    for (int64_t j = 0; j < outputs; j++) {
      const float x = from[low[j]];
      to[j] = x + share[j] * (from[high[j]] - x);
    }
  }
};
