// Scratch memory of the kernels.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace earmark {

/// A fixed number of floats, aligned for the widest vector register in use.
class AlignedFloats {
 public:
  static constexpr size_t kBytes = 32;  // AVX2

  explicit AlignedFloats(size_t count)
      : floats_(static_cast<float*>(operator new(count * sizeof(float), kAlignment))) {}

  float* data() { return floats_.get(); }

 private:
  static constexpr std::align_val_t kAlignment{kBytes};
  struct Delete {
    void operator()(float* floats) const { operator delete(floats, kAlignment); }
  };
  std::unique_ptr<float, Delete> floats_;
};

}  // namespace earmark
