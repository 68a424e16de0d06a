// float32 vectors as wide as the processor's: GCC and Clang make one instruction of an operator, or several where it has none.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;  // SSE, and NEON of ARM
#endif

typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef int32_t Bits __attribute__((vector_size(4 * LANES)));
typedef float InMemory __attribute__((vector_size(4 * LANES), aligned(4), may_alias));  // an array begins anywhere

static inline Vector load(const float* from) { return *(const InMemory*)from; }
static inline void store(float* to, Vector x) { *(InMemory*)to = x; }
static inline Vector all(float x) { return x - Vector{}; }

// The first n lanes, 0 < n <= LANES; those behind are 0.
static inline Vector load(const float* from, int64_t n) {
  if (n == LANES) return load(from);
  Vector x = {};
  std::memcpy(&x, from, 4 * n);
  return x;
}
static inline void store(float* to, Vector x, int64_t n) { n == LANES ? store(to, x) : (void)std::memcpy(to, &x, 4 * n); }

static inline float sum(Vector x) {
  float total = 0;
  for (int i = 0; i < LANES; i++) total += x[i];
  return total;
}

static inline float largest(Vector x) {
  float most = x[0];
  for (int i = 1; i < LANES; i++) most = x[i] > most ? x[i] : most;
  return most;
}

// exp(x) for x <= 0, with a relative error below 2e-7; 0 below -87, NaN of NaN.
// exp(x) = 2^n exp(r) with a whole n and |r| <= ln(2) / 2; exp(r) is its Taylor polynomial.
static inline Vector exp_of_negative(Vector x) {
  constexpr float LOG2_E = 1.44269504f, LN2_HIGH = 0.693359375f, LN2_LOW = -2.12194440e-4f;
  constexpr float ROUND = 12582912.0f;  // 1.5 * 2^23: a float of this size has no digits behind the point
  constexpr float LOWEST = -87.0f;
  Vector bounded = x < LOWEST ? all(LOWEST) : x;
  Vector rounded = bounded * LOG2_E + ROUND;
  Bits whole = (Bits)rounded;  // its lowest bits are n
  Vector n = rounded - ROUND;
  Vector r = bounded - n * LN2_HIGH - n * LN2_LOW;
  Vector p = all(1.0f / 5040);
  for (float c : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) p = p * r + c;
  Bits scaled = (Bits)p + (whole << 23);
  Vector y = x < LOWEST ? Vector{} : (Vector)scaled;
  return x != x ? x : y;
}
