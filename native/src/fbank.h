// Streaming log-mel filterbank, compatible with Kaldi's compute-fbank-feats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "aligned_floats.h"
#include "fbank_options.h"
#include "kernels.h"
#include "mel_bank.h"
#include "real_fft.h"

namespace earmark {

/// Turns blocks of samples into frames of natural-log mel energies, floored at float epsilon.
/// Frame i covers samples [i * shift, i * shift + length) since construction or reset ("snip
/// edges"), without dither. The frames are the same bits however the samples are cut into blocks,
/// and on every processor. Not-a-number and infinite samples give not-a-number frames.
/// One stream, one thread at a time.
class Fbank {
 public:
  /// Throws std::invalid_argument if the options cannot be met.
  explicit Fbank(const FbankOptions& options, const Kernels& kernels = BestKernels());
  Fbank(const Fbank&) = delete;
  Fbank& operator=(const Fbank&) = delete;

  /// Frames that a push of `num_samples` more samples would give.
  int64_t FramesAfter(size_t num_samples) const;

  /// Takes the next `num_samples` samples and writes the FramesAfter(num_samples) frames that are
  /// now complete to `out`, one row of num_mels floats each. Allocates nothing.
  void Push(const float* samples, size_t num_samples, float* out);

  /// Forgets all samples, as if newly made.
  void Reset();

  const FbankOptions& options() const { return options_; }
  /// Frames written since construction or reset.
  int64_t frames_emitted() const { return frames_emitted_; }

 private:
  FbankOptions options_;
  const Kernels& kernels_;
  int frame_length_;
  int frame_shift_;
  MelBank mel_bank_;
  RealFft fft_;
  std::vector<float> window_;
  FbankTables tables_;

  // The samples that later frames need: `pending_count_` of at most a batch of kernels_.lanes
  // frames.
  std::vector<float> pending_;
  size_t pending_count_ = 0;
  int64_t frames_emitted_ = 0;
  AlignedFloats points_;
  AlignedFloats power_;
};

}  // namespace earmark
