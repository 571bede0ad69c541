// Compiled once per instruction set, with EARMARK_ISA naming the namespace; see CMakeLists.txt.
// Include nothing here but kernels.h: its header comment says why.
#include "kernels.h"

namespace earmark {
namespace EARMARK_ISA {
namespace {

#if defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

// A row: one vector register.
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float)), may_alias));
using IntLanes = int __attribute__((vector_size(kLanes * sizeof(int))));

Lanes* AsLanes(float* rows) { return reinterpret_cast<Lanes*>(rows); }

struct Complex {
  Lanes re, im;
};

Complex Times(const Lanes* z, const float* w) {
  return {z[0] * w[0] - z[1] * w[1], z[0] * w[1] + z[1] * w[0]};
}

void FirstStageRadix2(FftTables tables, Lanes* z) {
  for (int i = 0; i < 2 * tables.half; i += 4) {
    for (int part = i; part < i + 2; ++part) {
      const Lanes a = z[part], b = z[part + 2];
      z[part] = a + b;
      z[part + 2] = a - b;
    }
  }
}

// Combines the spectra a, b, c, d of every fourth sample into one, stored `stride` rows apart.
void Butterfly(Complex a, Complex b, Complex c, Complex d, int stride, Lanes* z) {
  const Complex even{a.re + c.re, a.im + c.im}, even_odd{a.re - c.re, a.im - c.im};
  const Complex odd{b.re + d.re, b.im + d.im}, odd_odd{b.re - d.re, b.im - d.im};
  z[0] = even.re + odd.re;
  z[1] = even.im + odd.im;
  z[stride] = even_odd.re + odd_odd.im;
  z[stride + 1] = even_odd.im - odd_odd.re;
  z[2 * stride] = even.re - odd.re;
  z[2 * stride + 1] = even.im - odd.im;
  z[3 * stride] = even_odd.re - odd_odd.im;
  z[3 * stride + 1] = even_odd.im + odd_odd.re;
}

void FirstStageRadix4(FftTables tables, Lanes* z) {
  for (int i = 0; i < 2 * tables.half; i += 8) {
    Butterfly({z[i], z[i + 1]}, {z[i + 2], z[i + 3]}, {z[i + 4], z[i + 5]}, {z[i + 6], z[i + 7]}, 2,
              z + i);
  }
}

// In place, natural order out.
void ComplexTransform(FftTables tables, Lanes* z) {
  if (tables.first_radix == 4) {
    FirstStageRadix4(tables, z);
  } else {
    FirstStageRadix2(tables, z);
  }
  const float* w = tables.twiddles;
  for (int quarter = tables.first_radix; quarter < tables.half; quarter *= 4) {
    const int stride = 2 * quarter;
    for (int j = 0; j < quarter; ++j, w += 6) {
      for (int i = 2 * j; i < 2 * tables.half; i += 4 * stride) {
        Butterfly({z[i], z[i + 1]}, Times(z + i + stride, w), Times(z + i + 2 * stride, w + 2),
                  Times(z + i + 3 * stride, w + 4), stride, z + i);
      }
    }
  }
}

void PowerSpectrum(const FftTables& plan, float* points, float* power_rows) {
  const FftTables tables = plan;  // a copy, which stores to the rows cannot change
  Lanes* z = AsLanes(points);
  Lanes* power = AsLanes(power_rows);
  ComplexTransform(tables, z);
  const Lanes zero_bin = z[0] + z[1], nyquist_bin = z[0] - z[1];
  power[0] = zero_bin * zero_bin;
  power[tables.half] = nyquist_bin * nyquist_bin;
  for (int k = 1; k <= tables.half / 2; ++k) {
    // Twice the spectra of the even samples and of the odd samples at bin k...
    const Lanes *low = z + 2 * k, *high = z + 2 * (tables.half - k);
    const Complex even{low[0] + high[0], low[1] - high[1]};
    const Lanes odd[2] = {low[1] + high[1], high[0] - low[0]};
    // ...whose sum is the whole spectrum at k, and whose difference its conjugate at half - k.
    const Complex turned = Times(odd, tables.split + 2 * k);
    const Complex sum{even.re + turned.re, even.im + turned.im};
    const Complex difference{even.re - turned.re, even.im - turned.im};
    power[k] = 0.25f * (sum.re * sum.re + sum.im * sum.im);
    power[tables.half - k] =
        0.25f * (difference.re * difference.re + difference.im * difference.im);
  }
}

// Natural logarithm of normal numbers, within 2 units in the last place; NaN and infinity give NaN.
// Polynomial of Cephes logf (netlib.org/cephes, single/logf.c).
Lanes Log(Lanes x) {
  constexpr int kSqrtHalf = 0x3f3504f3;  // bits of sqrt(0.5): mantissas lie in [0.71, 1.41)
  constexpr int kMantissaBits = 23;
  const IntLanes bits = reinterpret_cast<IntLanes>(x) - kSqrtHalf;
  const Lanes exponent = __builtin_convertvector(bits >> kMantissaBits, Lanes);
  const IntLanes mantissa = (bits & ((1 << kMantissaBits) - 1)) + kSqrtHalf;
  const Lanes f = reinterpret_cast<Lanes>(mantissa) - 1.0f;
  Lanes p = f * 7.0376836292e-2f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  const Lanes square = f * f;
  const Lanes rest = p * f * square - exponent * 2.12194440e-4f - 0.5f * square;
  const Lanes not_finite = x - x;  // 0, or NaN which the bit arithmetic above would hide
  return f + rest + exponent * 0.693359375f + not_finite;
}

// Sample `i` of each frame.
Lanes Gather(const float* const* frames, int i) {
  Lanes row;
  for (int f = 0; f < kLanes; ++f) row[f] = frames[f][i];
  return row;
}

// Writes the windowed frames into the transform's slots, zero-padded.
void LoadFrames(const FbankTables& tables, const float* samples, int count, Lanes* points) {
  // Lanes without a frame repeat the last one: harmless numbers, thrown away.
  const float* frames[kLanes];
  for (int f = 0; f < kLanes; ++f) {
    frames[f] = samples + tables.frame_shift * (f < count ? f : count - 1);
  }
  const int length = tables.frame_length;
  const int padded_length = 2 * tables.fft.half;
  const int* slots = tables.fft.slots;
  const float* window = tables.window;
  const float preemphasis = tables.preemphasis;

  Lanes mean{};
  for (int i = 0; i < length; ++i) {
    const Lanes sample = Gather(frames, i);
    points[slots[i]] = sample;
    mean += sample;
  }
  mean = tables.remove_dc_offset ? mean / static_cast<float>(length) : Lanes{};

  Lanes previous = points[slots[0]] - mean;
  for (int i = 0; i < length; ++i) {
    const Lanes sample = points[slots[i]] - mean;
    points[slots[i]] = (sample - preemphasis * previous) * window[i];
    previous = sample;
  }
  for (int i = length; i < padded_length; ++i) points[slots[i]] = Lanes{};
}

void LogMel(const FbankTables& tables, const float* samples, int count, float* points,
            float* power_rows, float* out) {
  constexpr float kFloor = 1.1920929e-7f;  // Kaldi's: float epsilon
  LoadFrames(tables, samples, count, AsLanes(points));
  PowerSpectrum(tables.fft, points, power_rows);
  const Lanes* power = AsLanes(power_rows);
  const float* weight = tables.mel_weights;
  for (int m = 0; m < tables.num_mels; ++m) {
    Lanes energy{};
    const MelFilter filter = tables.filters[m];
    for (int k = 0; k < filter.count; ++k) energy += power[filter.first_bin + k] * *weight++;
    const Lanes log_energy = Log(energy < kFloor ? Lanes{} + kFloor : energy);
    for (int f = 0; f < count; ++f) out[f * tables.num_mels + m] = log_energy[f];
  }
}

}  // namespace

extern const Kernels kKernels;  // without this, const would hide it from dispatch.cc
const Kernels kKernels{kLanes, PowerSpectrum, LogMel};

}  // namespace EARMARK_ISA
}  // namespace earmark
