#include "fbank.h"

#include <algorithm>
#include <cmath>

namespace earmark {
namespace {

const FbankOptions& Validated(const FbankOptions& options) {
  options.Validate();
  return options;
}

// Kaldi's FeatureWindowFunction (feat/feature-window.cc), with the scale multiplied in.
std::vector<float> ScaledWindow(const FbankOptions& options) {
  const int length = options.FrameLength();
  std::vector<float> window(length);
  for (int i = 0; i < length; ++i) {
    const double cosine = std::cos(2.0 * M_PI * i / (length - 1));
    const double value =
        options.window == "povey" ? std::pow(0.5 - 0.5 * cosine, 0.85) : 0.54 - 0.46 * cosine;
    window[i] = static_cast<float>(options.scale * value);
  }
  return window;
}

}  // namespace

Fbank::Fbank(const FbankOptions& options, const Kernels& kernels)
    : options_(Validated(options)),
      kernels_(kernels),
      frame_length_(options.FrameLength()),
      frame_shift_(options.FrameShift()),
      mel_bank_(options),
      fft_(options.FftSize()),
      window_(ScaledWindow(options)),
      tables_{frame_length_,
              frame_shift_,
              options.remove_dc_offset,
              static_cast<float>(options.preemphasis),
              window_.data(),
              fft_.tables(),
              options.num_mels,
              mel_bank_.filters().data(),
              mel_bank_.weights().data()},
      pending_(frame_length_ + (kernels.lanes - 1) * frame_shift_),
      points_(static_cast<size_t>(fft_.size()) * kernels.lanes),
      power_(static_cast<size_t>(fft_.bins()) * kernels.lanes) {}

int64_t Fbank::FramesAfter(size_t num_samples) const {
  const auto total = static_cast<int64_t>(pending_count_ + num_samples);
  return total < frame_length_ ? 0 : (total - frame_length_) / frame_shift_ + 1;
}

void Fbank::Push(const float* samples, size_t num_samples, float* out) {
  while (num_samples > 0) {
    const size_t taken = std::min(num_samples, pending_.size() - pending_count_);
    std::copy_n(samples, taken, pending_.begin() + pending_count_);
    samples += taken;
    num_samples -= taken;
    pending_count_ += taken;

    const auto count = static_cast<int>(FramesAfter(0));
    if (count == 0) continue;
    kernels_.log_mel(tables_, pending_.data(), count, points_.data(), power_.data(), out);
    out += static_cast<ptrdiff_t>(count) * options_.num_mels;
    frames_emitted_ += count;

    const ptrdiff_t used = static_cast<ptrdiff_t>(count) * frame_shift_;
    std::copy(pending_.begin() + used, pending_.begin() + pending_count_, pending_.begin());
    pending_count_ -= used;
  }
}

void Fbank::Reset() {
  pending_count_ = 0;
  frames_emitted_ = 0;
}

}  // namespace earmark
