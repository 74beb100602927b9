// Functions of libc that libraries we use get from us: a function of the program goes before one of
// a library. Each is as libc's in all but what its comment says.
#include <dlfcn.h>
#include <mongoc/mongoc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <threads.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <string_view>

#include "base/loaded_library.h"

namespace {

constexpr int64_t kNsPerS = 1'000'000'000;
// So that no deadline is more nanoseconds away than a number holds: longer than any process lives.
constexpr int64_t kWaitSMax = 1'000'000'000;

template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

// Until `deadline` by the time of day, which is `day` now. A wait that ends by the time of day
// takes an hour longer when somebody sets the clock back by an hour, and most threads of librdkafka
// and libmongoc are in a short one at any moment (confluentinc/librdkafka issue 2145, open since
// 2018): nobody would hear from the brokers for that hour.
int wait_by_steady_clock(pthread_cond_t* condition, pthread_mutex_t* mutex,
                         const timespec& deadline, const timespec& day) {
  const int64_t left_s = std::clamp(deadline.tv_sec - day.tv_sec, -kWaitSMax, kWaitSMax);
  const int64_t left_ns = left_s * kNsPerS + deadline.tv_nsec - day.tv_nsec;
  timespec until{};
  clock_gettime(CLOCK_MONOTONIC, &until);
  const int64_t until_ns = std::max<int64_t>(until.tv_sec * kNsPerS + until.tv_nsec + left_ns, 0);
  until = {.tv_sec = until_ns / kNsPerS, .tv_nsec = until_ns % kNsPerS};
  return pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &until);
}

}  // namespace

// librdkafka's wait; nobody else here uses the threads of C11. In glibc the types are those of
// pthreads under other names.
extern "C" int cnd_timedwait(cnd_t* condition, mtx_t* mutex, const timespec* deadline) {
  static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t) &&
                sizeof(mtx_t) == sizeof(pthread_mutex_t));
  timespec day{};
  timespec_get(&day, TIME_UTC);
  const int error = wait_by_steady_clock(reinterpret_cast<pthread_cond_t*>(condition),
                                         reinterpret_cast<pthread_mutex_t*>(mutex), *deadline, day);
  if (error == 0) return thrd_success;
  return error == ETIMEDOUT ? thrd_timedout : thrd_error;
}

// libmongoc's wait. A condition of somebody else's may be of another clock.
extern "C" int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex,
                                      const timespec* deadline) {
  static const ca4::LoadedLibrary mongoc(reinterpret_cast<const void*>(&mongoc_init));
  if (mongoc.has(__builtin_return_address(0))) {
    timeval day{};
    gettimeofday(&day, nullptr);
    return wait_by_steady_clock(condition, mutex, *deadline, {day.tv_sec, day.tv_usec * 1000});
  }
  static auto* const libc =
      next<int(pthread_cond_t*, pthread_mutex_t*, const timespec*)>("pthread_cond_timedwait");
  return libc(condition, mutex, deadline);
}

// Memory without a name for libmongoc's counters, which nobody of ours reads. It makes them as it
// is loaded, before `main`: a process that is killed would leave them in /dev/shm, and the next one
// with its number would print a warning.
extern "C" int shm_open(const char* name, int flags, mode_t mode) {
  if (std::string_view(name).starts_with("/mongoc-")) return memfd_create("mongoc", MFD_CLOEXEC);
  static auto* const libc = next<int(const char*, int, mode_t)>("shm_open");
  return libc(name, flags, mode);
}
