// What MindSpore calls by `ops.Custom(".../library.so:Name", func_type="aot")`: with arrays, the inputs before the outputs.
#pragma once
#include <cstdint>

struct Arrays {
  void** arrays;
  int* ranks;
  int64_t** shapes;

  const float* in(int i) const { return (const float*)arrays[i]; }
  const int32_t* integers(int i) const { return (const int32_t*)arrays[i]; }
  uint8_t* bytes(int i) const { return (uint8_t*)arrays[i]; }
  float* out(int i) const { return (float*)arrays[i]; }
  int64_t size(int i, int axis) const { return shapes[i][axis]; }
  int64_t count(int i) const {
    int64_t n = 1;
    for (int axis = 0; axis < ranks[i]; axis++) n *= shapes[i][axis];
    return n;
  }
};

#define EXPORTED extern "C" __attribute__((visibility("default")))

// KERNEL(Name) { ... } is the function `Name` of the library. Its body reads and fills `const Arrays& a`.
#define KERNEL(Name)                                                                                 \
  static void Name##_of(const Arrays& a);                                                            \
  EXPORTED int Name(int, void** arrays, int* ranks, int64_t** shapes, const char**, void*, void*) {  \
    Name##_of({arrays, ranks, shapes});                                                              \
    return 0;                                                                                        \
  }                                                                                                  \
  static void Name##_of(const Arrays& a)

typedef int Kernel(int, void**, int*, int64_t**, const char**, void*, void*);

static inline int64_t divided_up(int64_t n, int64_t by) { return (n + by - 1) / by; }
static inline int64_t rounded_up(int64_t n, int64_t to) { return divided_up(n, to) * to; }
