// librdkafka's consumer takes what zstd packed without saying its size (librdkafka's own producer
// does, and Java's) for twice as large unpacked. When it is larger, all is thrown away and unpacked
// again from its start, into three times as much (confluentinc/librdkafka issue 5595, which no
// release mends yet). Embeddings as JSON unpack to 2.2 times their size: all of them twice, which
// was a sixth of what a worker's event costs. There is no setting. But librdkafka asks libzstd for
// the size, and a function of the program goes before one of a library.
#include "log/kafka_unpack.h"

#include <librdkafka/rdkafka.h>
#include <zstd.h>

#include <cstdint>

#include "log/before_libzstd.h"

namespace ca4::log {
namespace {

using Asked = unsigned long long (*)(const void* packed, size_t size_bytes);

constexpr size_t kTimes = 3;
// What a consumer asks of a partition at once. Of much more, three times could be over librdkafka's
// limit of a message while twice is not. (It grows from there to a third of that limit at least: no
// batch of ours, which brokers bound to 16 MiB, gets so large.)
constexpr size_t kPackedBytesMax = 1U << 20;

const BeforeLibzstd<Asked>& before_asked() {
  static const BeforeLibzstd<Asked> found("ZSTD_getFrameContentSize");
  return found;
}

}  // namespace

void unpack_in_one_go() {
  (void)before_asked();
}

}  // namespace ca4::log

// As libzstd's; only librdkafka is told a size where none is known, for which it takes a buffer and
// no more: one that turns out too small is made larger, as its own guess is.
extern "C" unsigned long long ZSTD_getFrameContentSize(const void* packed, size_t size_bytes) {
  const auto& before = ca4::log::before_asked();
  const unsigned long long known = before.theirs(packed, size_bytes);
  const bool guess = known == ZSTD_CONTENTSIZE_UNKNOWN && size_bytes <= ca4::log::kPackedBytesMax &&
                     before.rdkafka.has(__builtin_return_address(0));
  return guess ? ca4::log::kTimes * size_bytes : known;
}
