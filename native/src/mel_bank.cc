#include "mel_bank.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace earmark {
namespace {

double Mel(double hz) { return 1127.0 * std::log1p(hz / 700.0); }

}  // namespace

MelBank::MelBank(const FbankOptions& options) {
  const double bin_hz = static_cast<double>(options.sample_rate) / options.FftSize();
  const int num_bins = options.FftSize() / 2;
  const double low = Mel(options.low_hz);
  const double step = (Mel(options.HighHz()) - low) / (options.num_mels + 1);

  std::vector<double> bin_mels(num_bins);
  for (int bin = 0; bin < num_bins; ++bin) bin_mels[bin] = Mel(bin * bin_hz);

  for (int m = 0; m < options.num_mels; ++m) {
    const double left = low + m * step;
    const double centre = left + step;
    const double right = centre + step;
    MelFilter filter{0, 0};
    for (int bin = 0; bin < num_bins; ++bin) {
      const double mel = bin_mels[bin];
      if (mel <= left || mel >= right) continue;
      if (filter.count == 0) filter.first_bin = bin;
      ++filter.count;
      weights_.push_back(static_cast<float>(std::min(mel - left, right - mel) / step));
    }
    if (filter.count == 0) {
      throw std::invalid_argument(
          "FbankOptions.num_mels: expected filters wide enough to cover a " +
          std::to_string(bin_hz) + " Hz bin each, got " + std::to_string(options.num_mels) +
          " filters, of which number " + std::to_string(m) + " covers none");
    }
    filters_.push_back(filter);
  }
}

}  // namespace earmark
