// The arithmetic of the front end, compiled once per instruction set and chosen at run time.
//
// The kernels see plain structs and pointers only: an inline function of the standard library that
// was compiled for AVX2 could otherwise be linked into code that must run without it.
//
// Several frames are computed together, in rows of one float per frame: one vector register. Lane f
// of every row belongs to frame f and no operation crosses lanes, so a frame's result is the same
// bits whatever its lane and its neighbours are. Nor is there fused multiply-add, so every
// instruction set gives the same bits too.
#pragma once

namespace earmark {

/// Tables of a real Fourier transform; see RealFft.
struct FftTables {
  int half;               // complex points: half the size of the real transform
  int first_radix;        // 4 or 2; the later stages are all of radix 4
  const int* slots;       // [2 * half] the row where sample i is to be stored
  const float* twiddles;  // per stage after the first and butterfly: w, w^2, w^3
  const float* split;     // [half / 2 + 1] roots that separate the even and odd samples' spectra
};

/// A mel filter: `count` weights for the bins of the power spectrum from `first_bin` on. Filters
/// are narrow, so only the bins under the triangle are kept.
struct MelFilter {
  int first_bin;
  int count;
};

/// Everything that turns samples into log-mel rows; see Fbank.
struct FbankTables {
  int frame_length;  // samples
  int frame_shift;   // samples
  bool remove_dc_offset;
  float preemphasis;
  const float* window;  // [frame_length] with the options' scale multiplied in
  FftTables fft;
  int num_mels;
  const MelFilter* filters;  // [num_mels]
  const float* mel_weights;  // weights of all filters, one after the other
};

/// `points` and `power` lie in memory aligned to AlignedFloats::kBytes.
struct Kernels {
  /// Frames computed together, and floats in a row.
  int lanes;

  /// Power spectra of `lanes` signals. `points`: 2 * half rows, sample i in row slots[i];
  /// destroyed. `power`: half + 1 rows.
  void (*power_spectrum)(const FftTables& tables, float* points, float* power);

  /// Log-mel rows of `count` (1 to `lanes`) frames. `samples`: all that they cover. `points` and
  /// `power`: scratch of 2 * half and half + 1 rows. `out`: [count][num_mels].
  void (*log_mel)(const FbankTables& tables, const float* samples, int count, float* points,
                  float* power, float* out);
};

/// Baseline instruction set of the target: SSE2 on x86-64, NEON on aarch64.
const Kernels& PortableKernels();
/// The fastest that this processor can run.
const Kernels& BestKernels();

}  // namespace earmark
