#include "real_fft.h"

#include <cmath>
#include <stdexcept>
#include <string>

namespace earmark {
namespace {

// Where decimation in time wants complex sample `i` of `size`: sub-transforms of every radix-th
// sample lie one after the other, down to the first stage, which is of radix 2 if `size` is not a
// power of four.
int Slot(int i, int size) {
  if (size == 1) return 0;
  const int radix = size == 2 ? 2 : 4;
  return i % radix * (size / radix) + Slot(i / radix, size / radix);
}

// Appends exp(-2 pi i k / size) as (real, imaginary).
void AppendRoot(int k, int size, std::vector<float>* out) {
  const double angle = -2.0 * M_PI * k / size;
  out->push_back(static_cast<float>(std::cos(angle)));
  out->push_back(static_cast<float>(std::sin(angle)));
}

// The radix of the first stage: 2 if `size` is not a power of four, which the later stages need.
int FirstRadix(int size) { return size > 4 ? FirstRadix(size / 4) : size; }

}  // namespace

RealFft::RealFft(int size) : size_(size) {
  if (size < 4 || (size & (size - 1)) != 0) {
    throw std::invalid_argument("RealFft: expected a power of two, 4 or more, got " +
                                std::to_string(size));
  }
  const int half = size / 2;
  for (int i = 0; i < size; ++i) slots_.push_back(2 * Slot(i / 2, half) + i % 2);
  for (int quarter = FirstRadix(half); quarter < half; quarter *= 4) {
    for (int j = 0; j < quarter; ++j) {
      for (int power = 1; power <= 3; ++power) AppendRoot(power * j, 4 * quarter, &twiddles_);
    }
  }
  for (int k = 0; k <= half / 2; ++k) AppendRoot(k, size, &split_);
}

FftTables RealFft::tables() const {
  const int half = size_ / 2;
  return {half, FirstRadix(half), slots_.data(), twiddles_.data(), split_.data()};
}

}  // namespace earmark
