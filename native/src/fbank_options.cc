#include "fbank_options.h"

#include <cmath>
#include <sstream>
#include <stdexcept>
#include <tuple>

namespace earmark {
namespace {

// Bounds that keep every buffer small and every index an int; far beyond any speech front end.
constexpr int kMaxSampleRate = 768000;
constexpr int kMaxFrameLength = 1 << 16;
constexpr int kMaxMels = 1 << 12;
constexpr double kMaxScale = 1e9;  // power spectra stay within float32

template <class Value>
void Require(bool ok, const char* name, const char* expected, const Value& actual) {
  if (ok) return;
  std::ostringstream message;
  message << "FbankOptions." << name << ": expected " << expected << ", got " << actual;
  throw std::invalid_argument(message.str());
}

double SamplesIn(double milliseconds, int sample_rate) {
  return std::floor(sample_rate * 0.001 * milliseconds);
}

}  // namespace

int FbankOptions::FrameLength() const {
  return static_cast<int>(SamplesIn(frame_length_ms, sample_rate));
}

int FbankOptions::FrameShift() const {
  return static_cast<int>(SamplesIn(frame_shift_ms, sample_rate));
}

int FbankOptions::FftSize() const {
  int size = 1;
  while (size < FrameLength()) size *= 2;
  return size;
}

double FbankOptions::HighHz() const { return high_hz > 0 ? high_hz : 0.5 * sample_rate + high_hz; }

void FbankOptions::Validate() const {
  Require(sample_rate >= 1 && sample_rate <= kMaxSampleRate, "sample_rate", "1 to 768000 Hz",
          sample_rate);
  const double length = SamplesIn(frame_length_ms, sample_rate);
  Require(length >= 4 && length <= kMaxFrameLength, "frame_length_ms", "4 to 65536 samples",
          frame_length_ms);
  const double shift = SamplesIn(frame_shift_ms, sample_rate);
  Require(shift >= 1 && shift <= length, "frame_shift_ms",
          "at least one sample and at most frame_length_ms", frame_shift_ms);
  Require(window == "povey" || window == "hamming", "window", "'povey' or 'hamming'",
          "'" + window + "'");
  Require(preemphasis >= 0 && preemphasis <= 1, "preemphasis", "0 to 1", preemphasis);
  Require(num_mels >= 1 && num_mels <= kMaxMels, "num_mels", "1 to 4096", num_mels);
  const double nyquist = 0.5 * sample_rate;
  Require(low_hz >= 0 && low_hz < nyquist, "low_hz", "0 to below Nyquist", low_hz);
  Require(HighHz() > low_hz && HighHz() <= nyquist, "high_hz",
          "above low_hz and at most Nyquist, or 0 or less for an offset from Nyquist", high_hz);
  Require(scale > 0 && scale <= kMaxScale, "scale", "above 0 and at most 1e9", scale);
}

bool operator==(const FbankOptions& a, const FbankOptions& b) {
  const auto fields = [](const FbankOptions& o) {
    return std::tie(o.sample_rate, o.frame_length_ms, o.frame_shift_ms, o.window, o.preemphasis,
                    o.remove_dc_offset, o.num_mels, o.low_hz, o.high_hz, o.scale);
  };
  return fields(a) == fields(b);
}

}  // namespace earmark
