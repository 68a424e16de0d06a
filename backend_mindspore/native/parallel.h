// A kernel's work on all cores. What it computes depends neither on the number of threads nor on which of them takes what: a sum
// over tasks is that of blocks of a fixed size, added in their order.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>

// Calls `work` in at most `most` threads at once, this one among them. Throws what it throws.
void in_threads(const std::function<void()>& work, int64_t most);

class Tasks {  // the numbers from 0 to before `count`, each given once
 public:
  explicit Tasks(int64_t count) : count_(count) {}
  bool next(int64_t& task) { return (task = given_.fetch_add(1, std::memory_order_relaxed)) < count_; }

 private:
  const int64_t count_;
  std::atomic<int64_t> given_{0};
};

// Calls `work` once in each thread, with the tasks from which it takes what to do.
template <class Work>
static void parallel(int64_t count, const Work& work) {
  Tasks tasks(count);
  in_threads([&] { work(tasks); }, count);
}

// Calls `work(task)` for each task; for work that needs no memory of its own.
template <class Work>
static void parallel_for(int64_t count, const Work& work) {
  parallel(count, [&](Tasks& tasks) {
    for (int64_t task; tasks.next(task);) work(task);
  });
}
