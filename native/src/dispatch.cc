// Chooses among the kernels that were compiled; see kernels.cc.
#include "kernels.h"

namespace earmark {
namespace portable {
extern const Kernels kKernels;
}
#if defined(__x86_64__)
namespace avx2 {
extern const Kernels kKernels;
}
#endif

const Kernels& PortableKernels() { return portable::kKernels; }

const Kernels& BestKernels() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return avx2::kKernels;
#endif
  return portable::kKernels;
}

}  // namespace earmark
