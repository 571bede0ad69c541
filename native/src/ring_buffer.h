// Lock-free ring of samples between one writer (an audio callback) and one reader.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace earmark {

/// Keeps the newest `capacity` float32 samples. Each sample has an absolute position: the number of
/// samples since the stream began, an int64 that no stream outlives. A writer that laps the reader
/// drops the oldest samples; it never blocks and never looks at the reader, and the reader learns
/// exactly which span it lost.
///
/// One thread may write while another reads; the counters may be asked from any thread.
///
/// How the reader notices that it was lapped (a sequence lock per position; Boehm 2012, "Can
/// seqlocks get along with programming language memory models?"): the writer first announces the
/// position it will reach, then stores samples with release; the reader loads samples with acquire,
/// so having seen one new sample it also sees the announcement, and gives up every position whose
/// slot the announced span covers.
class RingBuffer {
 public:
  /// `capacity`: samples, above 0. `start`: position of the first sample, 0 to 2^62.
  /// Throws std::invalid_argument otherwise.
  explicit RingBuffer(int64_t capacity, int64_t start = 0);

  /// Writer: appends `count` samples. Of more than `capacity` only the last `capacity` are kept,
  /// but positions advance by all.
  void Write(const float* samples, size_t count);

  /// What a read gave: samples at [position, position + count), and how many immediately before
  /// them were overwritten unread.
  struct Span {
    int64_t position;
    size_t count;
    int64_t lost;
  };

  /// Reader: takes at most `max_count` samples, the oldest first, into `out`.
  Span Read(float* out, size_t max_count);

  int64_t capacity() const { return static_cast<int64_t>(slots_.size()); }
  /// Position after the last sample written.
  int64_t written() const { return written_.load(std::memory_order_acquire); }
  /// Position after the last sample read or reported lost.
  int64_t consumed() const { return consumed_.load(std::memory_order_acquire); }
  /// Samples reported lost so far.
  int64_t dropped() const { return dropped_.load(std::memory_order_acquire); }
  /// Samples that a read would find now.
  int64_t available() const;

 private:
  // Calls visit(slot, i) for the slots of positions [position, position + count), i from 0.
  template <class Visitor>
  void ForSlots(int64_t position, size_t count, Visitor visit);

  std::vector<std::atomic<float>> slots_;
  // Each side's variables have a cache line of their own, so neither slows the other down.
  alignas(64) std::atomic<int64_t> announced_;  // where the write in progress will end
  std::atomic<int64_t> written_;
  alignas(64) std::atomic<int64_t> consumed_;
  std::atomic<int64_t> dropped_{0};
};

}  // namespace earmark
