#include "ring_buffer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace earmark {
namespace {

// A sample that tells its position; float32 counts exactly to 2^24.
float SampleAt(int64_t position) { return static_cast<float>(position % (1 << 24)); }

void WriteFrom(RingBuffer& ring, int64_t position, size_t count) {
  std::vector<float> block(count);
  for (size_t i = 0; i < count; ++i) block[i] = SampleAt(position + static_cast<int64_t>(i));
  ring.Write(block.data(), count);
}

// Reads and checks every sample against its position.
RingBuffer::Span ReadChecked(RingBuffer& ring, size_t max_count) {
  const int64_t consumed = ring.consumed();
  std::vector<float> out(max_count);
  const RingBuffer::Span span = ring.Read(out.data(), max_count);
  EXPECT_LE(span.count, max_count);
  EXPECT_EQ(span.position - span.lost, consumed);
  EXPECT_GE(span.lost, 0);
  for (size_t i = 0; i < span.count; ++i) {
    const float expected = SampleAt(span.position + static_cast<int64_t>(i));
    if (out[i] != expected) {
      ADD_FAILURE() << "position " << span.position + static_cast<int64_t>(i) << ": expected "
                    << expected << ", got " << out[i];
      break;
    }
  }
  return span;
}

class RingStart : public testing::TestWithParam<int64_t> {};

TEST_P(RingStart, PositionsCountOnPastIntegerLimits) {
  const int64_t start = GetParam();
  RingBuffer ring(100, start);
  int64_t position = start;
  for (const size_t count : {37, 50, 99, 1, 100, 63, 100, 0, 77}) {
    WriteFrom(ring, position, count);
    const RingBuffer::Span span = ReadChecked(ring, 100);
    EXPECT_EQ(span.position, position);
    EXPECT_EQ(span.count, count);
    position += static_cast<int64_t>(count);
    EXPECT_EQ(ring.written(), position);
    EXPECT_EQ(ring.consumed(), position);
  }
  EXPECT_EQ(ring.dropped(), 0);
}

INSTANTIATE_TEST_SUITE_P(Limits, RingStart,
                         testing::Values(int64_t{0}, (int64_t{1} << 31) - 150,
                                         (int64_t{1} << 32) - 150, (int64_t{1} << 53) - 150,
                                         int64_t{1} << 62));

TEST(RingBuffer, OverflowDropsTheOldestAndNamesTheSpan) {
  RingBuffer ring(10, 1000);
  WriteFrom(ring, 1000, 8);
  WriteFrom(ring, 1008, 5);
  EXPECT_EQ(ring.available(), 10);
  RingBuffer::Span span = ReadChecked(ring, 4);
  EXPECT_EQ(span.position, 1003);
  EXPECT_EQ(span.lost, 3);
  EXPECT_EQ(span.count, 4u);
  span = ReadChecked(ring, 100);
  EXPECT_EQ(span.position, 1007);
  EXPECT_EQ(span.count, 6u);
  EXPECT_EQ(span.lost, 0);
  EXPECT_EQ(ring.dropped(), 3);
  EXPECT_EQ(ring.available(), 0);
}

TEST(RingBuffer, BlockLongerThanTheRingKeepsItsEnd) {
  RingBuffer ring(10);
  WriteFrom(ring, 0, 3);
  WriteFrom(ring, 3, 1234);
  EXPECT_EQ(ring.written(), 1237);
  const RingBuffer::Span span = ReadChecked(ring, 100);
  EXPECT_EQ(span.position, 1227);
  EXPECT_EQ(span.count, 10u);
  EXPECT_EQ(ring.dropped(), 1227);
}

TEST(RingBuffer, OneSampleRing) {
  RingBuffer ring(1);
  for (int64_t position = 0; position < 5; ++position) {
    WriteFrom(ring, position, 1);
    EXPECT_EQ(ReadChecked(ring, 5).position, position);
  }
}

TEST(RingBuffer, ReadOfNothing) {
  RingBuffer ring(10, 7);
  EXPECT_EQ(ReadChecked(ring, 10).count, 0u);
  WriteFrom(ring, 7, 5);
  EXPECT_EQ(ReadChecked(ring, 0).count, 0u);
  EXPECT_EQ(ring.available(), 5);
}

TEST(RingBuffer, RefusesBadArguments) {
  EXPECT_THROW(RingBuffer(0), std::invalid_argument);
  EXPECT_THROW(RingBuffer(-1), std::invalid_argument);
  EXPECT_THROW(RingBuffer(10, -1), std::invalid_argument);
  EXPECT_THROW(RingBuffer(10, (int64_t{1} << 62) + 1), std::invalid_argument);
}

using Race = std::pair<int64_t, size_t>;  // capacity of the ring, longest block

class RingRace : public testing::TestWithParam<Race> {};

// Every sample arrives once and in order, or its position is reported lost.
TEST_P(RingRace, NothingTornDuplicatedOrForgotten) {
  constexpr int64_t kStart = (int64_t{1} << 32) - 1000;
  constexpr int64_t kTotal = 1000000;
  const int64_t capacity = GetParam().first;
  const size_t max_block = GetParam().second;
  RingBuffer ring(capacity, kStart);
  std::atomic<bool> done{false};
  std::thread writer([&] {
    std::minstd_rand random(1);
    int64_t position = kStart;
    while (position < kStart + kTotal) {
      const size_t count = random() % (max_block + 1);
      WriteFrom(ring, position, count);
      position += static_cast<int64_t>(count);
    }
    done = true;
  });

  std::minstd_rand random(2);
  int64_t received = 0, lost = 0;
  for (bool last = false; !last;) {
    last = done;
    const size_t max_count = last ? capacity : random() % (2 * max_block);
    const RingBuffer::Span span = ReadChecked(ring, max_count);
    received += static_cast<int64_t>(span.count);
    lost += span.lost;
  }
  writer.join();
  EXPECT_EQ(kStart + received + lost, ring.written());
  EXPECT_EQ(lost, ring.dropped());
  EXPECT_EQ(ring.available(), 0);
}

INSTANTIATE_TEST_SUITE_P(Shapes, RingRace,
                         testing::Values(Race{1, 2}, Race{97, 64}, Race{100, 300},
                                         Race{4096, 480}));

}  // namespace
}  // namespace earmark
