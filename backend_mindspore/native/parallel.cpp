// Threads that sleep between two kernels: those of OpenMP would go on looking for work, and take the cores from MindSpore's own.
#include "parallel.h"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "kernel.h"

static std::atomic<int> wanted_threads{1};

// How many threads the kernels of this process take from their first call on. (MindSpore itself sets OMP_NUM_THREADS to 1.)
EXPORTED void set_threads(int count) { wanted_threads = count; }

class Threads {
 public:
  explicit Threads(int count) {
    try {
      for (; count_ < count; count_++) std::thread([this] { serve(); }).detach();
    } catch (const std::system_error&) {  // the system gives no more: those that there are will do
    }
  }

  // Who calls it never waits for a thread that does not wake: a process that was forked has none of its parent's.
  void run(const std::function<void()>& work, int64_t most) {
    std::lock_guard<std::mutex> one_kernel(turn_);
    const int others = (int)std::min<int64_t>(count_, most) - 1;
    if (others > 0) {
      std::lock_guard<std::mutex> lock(mutex_);
      work_ = &work;
      awaited_ = running_ = others;
      round_++;
      start_.notify_all();
    }
    guarded(work);
    std::unique_lock<std::mutex> lock(mutex_);
    running_ -= awaited_;  // who has not woken yet is not needed any more
    awaited_ = 0;
    done_.wait(lock, [&] { return running_ == 0; });
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  void serve() {
    uint64_t seen = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      start_.wait(lock, [&] { return round_ != seen && awaited_ > 0; });
      seen = round_;
      awaited_--;
      const std::function<void()>* work = work_;
      lock.unlock();
      guarded(*work);
      lock.lock();
      if (--running_ == 0) done_.notify_one();
    }
  }

  void guarded(const std::function<void()>& work) {
    try {
      work();
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex_);
      error_ = std::current_exception();
    }
  }

  int count_ = 1;  // with the one that calls
  int awaited_ = 0, running_ = 0;  // threads that may still begin this round's work, and these with those that are at it
  uint64_t round_ = 0;
  const std::function<void()>* work_ = nullptr;
  std::exception_ptr error_;
  std::mutex turn_, mutex_;  // of kernels, and of what is above
  std::condition_variable start_, done_;
};

void in_threads(const std::function<void()>& work, int64_t most) {
  static Threads* threads = new Threads(wanted_threads);  // for ever: the process may end while they sleep
  threads->run(work, most);
}
