// Any sequence of writes and reads: positions are contiguous, samples are those of their positions,
// and received plus lost equals written.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "ring_buffer.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

float SampleAt(int64_t position) { return static_cast<float>(position % (1 << 24)); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider fuzz(data, size);
  const int64_t capacity = fuzz.ConsumeIntegralInRange<int64_t>(1, 300);
  const int64_t start = fuzz.ConsumeIntegralInRange<int64_t>(0, int64_t{1} << 60);
  earmark::RingBuffer ring(capacity, start);
  int64_t written = start, next = start, lost = 0;
  while (fuzz.remaining_bytes() > 0) {
    const auto count = fuzz.ConsumeIntegralInRange<size_t>(0, 700);
    std::vector<float> block(count);
    if (fuzz.ConsumeBool()) {
      for (float& sample : block) sample = SampleAt(written++);
      ring.Write(block.data(), count);
    } else {
      const auto span = ring.Read(block.data(), count);
      Require(span.position - span.lost == next);
      Require(span.position == std::max(next, written - capacity));
      Require(span.count == std::min<size_t>(count, written - span.position));
      for (size_t i = 0; i < span.count; ++i) {
        Require(block[i] == SampleAt(span.position + static_cast<int64_t>(i)));
      }
      lost += span.lost;
      next = span.position + static_cast<int64_t>(span.count);
    }
    Require(ring.written() == written && ring.consumed() == next && ring.dropped() == lost);
    Require(ring.available() == std::min(written - next, capacity));
  }
  return 0;
}
