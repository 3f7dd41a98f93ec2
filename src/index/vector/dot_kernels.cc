#include "index/vector/dot_kernels.h"

#include "index/vector/dot_kernel_kinds.h"

namespace tessera::index {

size_t dot_kernel_count() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") == 0 || __builtin_cpu_supports("fma") == 0) return 1;
  const bool vnni = __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
                    __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
  return vnni ? 3 : 2;
#else
  return 1;
#endif
}

const DotKernels& dot_kernels(size_t index) {
#if defined(__x86_64__)
  if (index == 1) return avx2_dot_kernels();
  if (index == 2) return vnni_dot_kernels();
#endif
  static_cast<void>(index);
  return portable_dot_kernels();
}

const DotKernels& best_dot_kernels() {
  return dot_kernels(dot_kernel_count() - 1);
}

}  // namespace tessera::index
