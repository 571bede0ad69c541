// Plan of a real Fourier transform of a power-of-two size.
#pragma once

#include <vector>

#include "kernels.h"

namespace earmark {

/// A real transform of `size` points, done as a complex one of half the size whose real and
/// imaginary parts are the even and odd samples (Sorensen et al. 1987, "Real-valued fast Fourier
/// transform algorithms"), by decimation in time with radix-4 butterflies.
class RealFft {
 public:
  /// `size`: points, a power of two, 4 or more; else std::invalid_argument.
  explicit RealFft(int size);

  int size() const { return size_; }
  /// Bins of the power spectrum, zero and Nyquist included.
  int bins() const { return size_ / 2 + 1; }
  /// What the kernels read; valid as long as this object.
  FftTables tables() const;

 private:
  int size_;
  std::vector<int> slots_;
  std::vector<float> twiddles_;
  std::vector<float> split_;
};

}  // namespace earmark
