#include "fbank.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace earmark {
namespace {

std::vector<float> Noise(size_t count) {
  std::minstd_rand random(1);
  std::normal_distribution<float> normal(0.01f, 0.1f);
  std::vector<float> samples(count);
  for (float& sample : samples) sample = normal(random);
  return samples;
}

// Pushes blocks of the sizes that `next_size` gives.
std::vector<float> PushAll(Fbank& fbank, const std::vector<float>& samples,
                           const std::function<size_t()>& next_size) {
  std::vector<float> frames;
  for (size_t at = 0; at < samples.size();) {
    const size_t count = std::min(next_size(), samples.size() - at);
    std::vector<float> out(fbank.FramesAfter(count) * fbank.options().num_mels);
    fbank.Push(samples.data() + at, count, out.data());
    frames.insert(frames.end(), out.begin(), out.end());
    at += count;
  }
  return frames;
}

std::vector<float> OneShot(Fbank& fbank, const std::vector<float>& samples) {
  return PushAll(fbank, samples, [&samples] { return samples.size(); });
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class BlockSize : public testing::TestWithParam<size_t> {};

TEST_P(BlockSize, DoesNotChangeABit) {
  const std::vector<float> samples = Noise(20000);
  Fbank whole({}), blocks({});
  const std::vector<float> expected = OneShot(whole, samples);
  EXPECT_EQ(expected.size(), 80u * ((20000 - 400) / 160 + 1));
  EXPECT_TRUE(SameBits(PushAll(blocks, samples, [] { return GetParam(); }), expected));
  EXPECT_EQ(blocks.frames_emitted(), whole.frames_emitted());
}

INSTANTIATE_TEST_SUITE_P(Sizes, BlockSize,
                         testing::Values(1, 159, 160, 161, 399, 400, 401, 1519, 1520, 1521, 3200));

TEST(Fbank, RandomBlocksWithEmptyOnesDoNotChangeABit) {
  const std::vector<float> samples = Noise(50000);
  Fbank whole({}), blocks({});
  std::minstd_rand random(3);
  const auto next_size = [&random] { return random() % 3 == 0 ? 0 : random() % 2000; };
  EXPECT_TRUE(SameBits(PushAll(blocks, samples, next_size), OneShot(whole, samples)));
}

TEST(Fbank, EveryInstructionSetGivesTheSameBits) {
  const std::vector<float> samples = Noise(50000);
  Fbank best({}, BestKernels()), portable({}, PortableKernels());
  EXPECT_TRUE(SameBits(OneShot(best, samples), OneShot(portable, samples)));
}

TEST(Fbank, ResetForgets) {
  const std::vector<float> samples = Noise(5000);
  Fbank fbank({});
  const std::vector<float> expected = OneShot(fbank, samples);
  fbank.Reset();
  EXPECT_EQ(fbank.frames_emitted(), 0);
  EXPECT_TRUE(SameBits(OneShot(fbank, samples), expected));
}

TEST(Fbank, SilenceGivesTheFloor) {
  Fbank fbank({});
  for (const float value : OneShot(fbank, std::vector<float>(4000, 0.0f))) {
    ASSERT_NEAR(value, std::log(std::numeric_limits<float>::epsilon()), 1e-5);
  }
}

TEST(Fbank, NotANumberSpoilsOnlyTheFramesThatHoldIt) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> samples = Noise(4000);
    samples[1000] = bad;
    Fbank fbank({});
    const std::vector<float> frames = OneShot(fbank, samples);
    for (size_t i = 0; i < frames.size(); ++i) {
      const size_t begin = i / 80 * 160;
      ASSERT_EQ(std::isnan(frames[i]), begin <= 1000 && 1000 < begin + 400) << "frame " << i / 80;
    }
  }
}

TEST(Fbank, ToneRaisesTheFiltersAroundIt) {
  std::vector<float> tone(4000);
  for (size_t i = 0; i < tone.size(); ++i) {
    tone[i] = static_cast<float>(0.5 * std::sin(2 * M_PI * 1000 * static_cast<double>(i) / 16000));
  }
  Fbank fbank({});
  const std::vector<float> frames = OneShot(fbank, tone);
  const auto peak = std::max_element(frames.begin(), frames.begin() + 80) - frames.begin();
  // 1000 Hz is 1000 mel; filters peak every (2840 - 32) / 81 mel from 32 on.
  EXPECT_NEAR(static_cast<double>(peak), (1000 - 32) / ((2840.0 - 32) / 81) - 1, 1);
}

TEST(FbankOptions, CompareByValue) {
  FbankOptions a, b;
  EXPECT_TRUE(a == b);
  b.low_hz = 21;
  EXPECT_FALSE(a == b);
}

TEST(FbankOptions, ErrorsNameTheSetting) {
  const auto message_after = [](const std::function<void(FbankOptions&)>& change) {
    FbankOptions options;
    change(options);
    try {
      Fbank fbank(options);
    } catch (const std::invalid_argument& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::pair<const char*, std::function<void(FbankOptions&)>> cases[] = {
      {"sample_rate", [](auto& o) { o.sample_rate = 0; }},
      {"frame_length_ms", [](auto& o) { o.frame_length_ms = 0.1; }},
      {"frame_length_ms", [](auto& o) { o.frame_length_ms = 1e9; }},
      {"frame_length_ms", [nan](auto& o) { o.frame_length_ms = nan; }},
      {"frame_shift_ms", [](auto& o) { o.frame_shift_ms = 0; }},
      {"frame_shift_ms", [](auto& o) { o.frame_shift_ms = 30; }},
      {"window", [](auto& o) { o.window = "hann"; }},
      {"preemphasis", [](auto& o) { o.preemphasis = 1.5; }},
      {"num_mels", [](auto& o) { o.num_mels = 0; }},
      {"num_mels", [](auto& o) { o.num_mels = 200; }},
      {"low_hz", [](auto& o) { o.low_hz = -1; }},
      {"high_hz", [](auto& o) { o.high_hz = 9000; }},
      {"high_hz", [](auto& o) { o.high_hz = -8000; }},
      {"high_hz", [nan](auto& o) { o.high_hz = nan; }},
      {"scale", [](auto& o) { o.scale = 0; }},
  };
  for (const auto& [name, change] : cases) {
    const std::string message = message_after(change);
    EXPECT_NE(message.find(std::string("FbankOptions.") + name + ": expected"), std::string::npos)
        << name << ": " << message;
  }
}

}  // namespace
}  // namespace earmark
