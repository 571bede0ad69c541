// Settings of the filterbank front end; names and defaults follow Kaldi's, units are in the names.
#pragma once

#include <string>

namespace earmark {

struct FbankOptions {
  int sample_rate = 16000;       // Hz
  double frame_length_ms = 25;   // analysis window
  double frame_shift_ms = 10;    // hop between frames
  std::string window = "povey";  // "povey" or "hamming"
  double preemphasis = 0.97;     // x[i] - preemphasis * x[i - 1]
  bool remove_dc_offset = true;  // subtract each frame's mean
  int num_mels = 80;
  double low_hz = 20;    // lower edge of the first mel filter
  double high_hz = 0;    // upper edge of the last one; 0 or less: offset from Nyquist
  double scale = 32768;  // multiplies the samples: [-1, 1) to the int16 range Kaldi assumes

  /// Samples in a frame, rounded down as Kaldi does.
  int FrameLength() const;
  /// Samples between the starts of two frames, rounded down as Kaldi does.
  int FrameShift() const;
  /// Points of the Fourier transform: the frame length rounded up to a power of two.
  int FftSize() const;
  /// Upper edge of the last mel filter in Hz, with the Nyquist offset resolved.
  double HighHz() const;

  /// Throws std::invalid_argument naming the setting, what was expected and what came.
  void Validate() const;
};

bool operator==(const FbankOptions& a, const FbankOptions& b);

/// Calls `visit(name, member)` for each setting in order; `Options` may be const or not.
template <class Options, class Visitor>
void VisitFields(Options& options, Visitor&& visit) {
  visit("sample_rate", options.sample_rate);
  visit("frame_length_ms", options.frame_length_ms);
  visit("frame_shift_ms", options.frame_shift_ms);
  visit("window", options.window);
  visit("preemphasis", options.preemphasis);
  visit("remove_dc_offset", options.remove_dc_offset);
  visit("num_mels", options.num_mels);
  visit("low_hz", options.low_hz);
  visit("high_hz", options.high_hz);
  visit("scale", options.scale);
}

}  // namespace earmark
