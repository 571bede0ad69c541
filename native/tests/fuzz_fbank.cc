// Any options: refused by std::invalid_argument, or frames that are the same bits in one push and
// in any blocks, of any samples.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <vector>

#include "fbank.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

earmark::FbankOptions AnyOptions(FuzzedDataProvider& fuzz) {
  earmark::FbankOptions options;
  if (fuzz.ConsumeBool()) return options;
  options.sample_rate = fuzz.ConsumeIntegralInRange(-1, 48000);
  options.frame_length_ms = fuzz.ConsumeFloatingPointInRange(-1.0, 50.0);
  options.frame_shift_ms = fuzz.ConsumeFloatingPointInRange(-1.0, 50.0);
  options.window = fuzz.PickValueInArray({"povey", "hamming", "hann", ""});
  options.preemphasis = fuzz.ConsumeFloatingPointInRange(-0.1, 1.1);
  options.remove_dc_offset = fuzz.ConsumeBool();
  options.num_mels = fuzz.ConsumeIntegralInRange(-1, 100);
  options.low_hz = fuzz.ConsumeFloatingPointInRange(-1.0, 1000.0);
  options.high_hz = fuzz.ConsumeFloatingPoint<double>();
  options.scale = fuzz.ConsumeFloatingPoint<double>();
  return options;
}

void Append(earmark::Fbank& fbank, const float* samples, size_t count, std::vector<float>* frames) {
  const size_t before = frames->size();
  frames->resize(before + fbank.FramesAfter(count) * fbank.options().num_mels);
  fbank.Push(samples, count, frames->data() + before);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider fuzz(data, size);
  const earmark::FbankOptions options = AnyOptions(fuzz);
  std::optional<earmark::Fbank> whole, blocks;
  try {
    whole.emplace(options);
    blocks.emplace(options);
  } catch (const std::invalid_argument&) {
    return 0;
  }

  // The fuzzed bytes are first cut into block sizes, then repeated as samples: any float at all.
  std::vector<size_t> sizes;
  for (int i = fuzz.ConsumeIntegralInRange(0, 20); i > 0; --i) {
    sizes.push_back(fuzz.ConsumeIntegralInRange<size_t>(0, 2000));
  }
  const std::vector<uint8_t> bytes = fuzz.ConsumeRemainingBytes<uint8_t>();
  std::vector<float> samples;
  for (const size_t count : sizes) samples.resize(samples.size() + count);
  auto* const raw = reinterpret_cast<uint8_t*>(samples.data());
  for (size_t i = 0; i < samples.size() * sizeof(float) && !bytes.empty(); ++i) {
    raw[i] = bytes[i % bytes.size()];
  }

  std::vector<float> expected, frames;
  Append(*whole, samples.data(), samples.size(), &expected);
  const float* next = samples.data();
  for (const size_t count : sizes) {
    Append(*blocks, next, count, &frames);
    next += count;
  }
  Require(frames.size() == expected.size());
  Require(frames.empty() ||
          std::memcmp(frames.data(), expected.data(), frames.size() * sizeof(float)) == 0);
  Require(blocks->frames_emitted() == whole->frames_emitted());
  return 0;
}
