// Triangular filters, equally spaced on the mel scale, over the bins of a power spectrum.
#pragma once

#include <vector>

#include "fbank_options.h"
#include "kernels.h"

namespace earmark {

/// The filters of Kaldi's MelBanks (feat/mel-computations.cc): mel = 1127 ln(1 + Hz / 700),
/// triangles linear in mel, peaks of 1, the Nyquist bin unused.
class MelBank {
 public:
  /// Throws std::invalid_argument if a filter would cover no bin.
  explicit MelBank(const FbankOptions& options);

  const std::vector<MelFilter>& filters() const { return filters_; }
  /// Weights of all filters, one after the other.
  const std::vector<float>& weights() const { return weights_; }

 private:
  std::vector<MelFilter> filters_;
  std::vector<float> weights_;
};

}  // namespace earmark
