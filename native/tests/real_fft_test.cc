#include "real_fft.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <random>
#include <stdexcept>
#include <vector>

#include "aligned_floats.h"

namespace earmark {
namespace {

std::vector<float> Noise(int size) {
  std::minstd_rand random(size);
  std::normal_distribution<float> normal;
  std::vector<float> signal(size);
  for (float& sample : signal) sample = normal(random);
  return signal;
}

// The definition of the Fourier transform, in double precision.
std::vector<double> NaivePower(const std::vector<float>& signal) {
  const int size = static_cast<int>(signal.size());
  std::vector<double> power;
  for (int k = 0; k <= size / 2; ++k) {
    std::complex<double> sum = 0;
    for (int i = 0; i < size; ++i) sum += std::polar<double>(signal[i], -2 * M_PI * k * i / size);
    power.push_back(std::norm(sum));
  }
  return power;
}

// The power of the signal in lane `lane`, with a louder one in every other lane.
std::vector<float> Power(const RealFft& fft, const Kernels& kernels, int lane,
                         const std::vector<float>& signal) {
  AlignedFloats points(fft.size() * kernels.lanes), power(fft.bins() * kernels.lanes);
  for (int i = 0; i < fft.size(); ++i) {
    float* row = points.data() + fft.tables().slots[i] * kernels.lanes;
    for (int f = 0; f < kernels.lanes; ++f) row[f] = f == lane ? signal[i] : 1000 * signal[i];
  }
  kernels.power_spectrum(fft.tables(), points.data(), power.data());
  std::vector<float> result;
  for (int k = 0; k < fft.bins(); ++k) result.push_back(power.data()[k * kernels.lanes + lane]);
  return result;
}

class FftSize : public testing::TestWithParam<int> {};

TEST_P(FftSize, PowerAgreesWithTheDefinition) {
  const RealFft fft(GetParam());
  const std::vector<float> signal = Noise(fft.size());
  const std::vector<double> expected = NaivePower(signal);
  const std::vector<float> power = Power(fft, BestKernels(), 1, signal);
  for (int k = 0; k < fft.bins(); ++k) {
    EXPECT_NEAR(power[k], expected[k], 1e-5 * fft.size()) << "bin " << k;
  }
}

TEST_P(FftSize, EveryLaneAndInstructionSetGivesTheSameBits) {
  const RealFft fft(GetParam());
  const std::vector<float> signal = Noise(fft.size());
  const std::vector<float> expected = Power(fft, BestKernels(), 0, signal);
  for (const Kernels* kernels : {&BestKernels(), &PortableKernels()}) {
    for (int lane = 0; lane < kernels->lanes; ++lane) {
      EXPECT_EQ(Power(fft, *kernels, lane, signal), expected) << "lane " << lane;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(PowersOfTwo, FftSize, testing::Values(4, 8, 16, 32, 64, 256, 512, 1024));

TEST(RealFft, RefusesOtherSizes) {
  for (const int size : {-4, 0, 1, 2, 3, 6, 400}) {
    EXPECT_THROW(RealFft{size}, std::invalid_argument) << size;
  }
}

}  // namespace
}  // namespace earmark
