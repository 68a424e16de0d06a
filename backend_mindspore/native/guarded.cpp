// For callers that are not C++, and would end with an exception.
#include <new>

#include "kernel.h"

EXPORTED int guarded(Kernel* kernel, void** arrays, int* ranks, int64_t** shapes) {  // 1 if there is too little memory
  try {
    return kernel(0, arrays, ranks, shapes, nullptr, nullptr, nullptr);
  } catch (const std::bad_alloc&) {
    return 1;
  }
}
