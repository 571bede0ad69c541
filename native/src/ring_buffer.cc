#include "ring_buffer.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace earmark {
namespace {

constexpr int64_t kLastStart = int64_t{1} << 62;  // at 192 kHz, 700,000 years before int64 ends

static_assert(std::atomic<float>::is_always_lock_free && std::atomic<int64_t>::is_always_lock_free);

size_t ValidCapacity(int64_t capacity, int64_t start) {
  if (capacity <= 0) {
    throw std::invalid_argument("Ring capacity: expected 1 or more samples, got " +
                                std::to_string(capacity));
  }
  if (start < 0 || start > kLastStart) {
    throw std::invalid_argument("Ring start: expected position 0 to " + std::to_string(kLastStart) +
                                ", got " + std::to_string(start));
  }
  return static_cast<size_t>(capacity);
}

}  // namespace

RingBuffer::RingBuffer(int64_t capacity, int64_t start)
    : slots_(ValidCapacity(capacity, start)),
      announced_(start),
      written_(start),
      consumed_(start) {}

template <class Visitor>
void RingBuffer::ForSlots(int64_t position, size_t count, Visitor visit) {
  const auto first = static_cast<size_t>(position % capacity());
  const size_t before_wrap = std::min(count, slots_.size() - first);
  for (size_t i = 0; i < before_wrap; ++i) visit(slots_[first + i], i);
  for (size_t i = before_wrap; i < count; ++i) visit(slots_[i - before_wrap], i);
}

void RingBuffer::Write(const float* samples, size_t count) {
  const int64_t end = written_.load(std::memory_order_relaxed) + static_cast<int64_t>(count);
  announced_.store(end, std::memory_order_relaxed);  // published by the releases that follow
  const size_t kept = std::min(count, slots_.size());
  samples += count - kept;
  ForSlots(end - static_cast<int64_t>(kept), kept, [samples](std::atomic<float>& slot, size_t i) {
    slot.store(samples[i], std::memory_order_release);
  });
  written_.store(end, std::memory_order_release);
}

RingBuffer::Span RingBuffer::Read(float* out, size_t max_count) {
  const int64_t unread = consumed_.load(std::memory_order_relaxed);
  const int64_t end = written_.load(std::memory_order_acquire);
  const int64_t begin = std::max(unread, end - capacity());
  size_t count = std::min(static_cast<size_t>(std::max<int64_t>(end - begin, 0)), max_count);
  ForSlots(begin, count, [out](std::atomic<float>& slot, size_t i) {
    out[i] = slot.load(std::memory_order_acquire);
  });

  // Positions before this one may have been overwritten while they were copied.
  const int64_t oldest = announced_.load(std::memory_order_relaxed) - capacity();
  const int64_t position = std::max(begin, oldest);
  const size_t spoilt = std::min(static_cast<size_t>(position - begin), count);
  std::copy(out + spoilt, out + count, out);
  count -= spoilt;

  consumed_.store(position + static_cast<int64_t>(count), std::memory_order_release);
  const int64_t lost = position - unread;
  dropped_.fetch_add(lost, std::memory_order_release);
  return {position, count, lost};
}

int64_t RingBuffer::available() const {
  return std::clamp<int64_t>(written() - consumed(), 0, capacity());
}

}  // namespace earmark
