#include "ir/reference/Reference.h"

#include "oneapi/dnnl/dnnl.h"

#include <algorithm>
#include <mutex>

using namespace flagrelease;

void flagrelease::matmulTransposed(int64_t m, int64_t n, int64_t k, const float *a, const float *b, float *c, int64_t ldc) {
  if (m == 0 || n == 0)
    return;
  // Pinned before the first call, so that one number comes out on every machine that has AVX2; AMX would even round to bf16.
  static std::once_flag once;
  std::call_once(once, [] { dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2); });
  if (k == 0 || dnnl_sgemm('N', 'T', m, n, k, 1.0f, a, k, b, k, 0.0f, c, ldc) != dnnl_success)
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        float sum = 0;
        for (int64_t x = 0; x < k; ++x)
          sum += a[i * k + x] * b[j * k + x];
        c[i * ldc + j] = sum;
      }
}

void flagrelease::matmulTransposed(int64_t m, int64_t n, int64_t k, const double *a, const double *b, double *c, int64_t ldc) {
  // Blocks of rows of B stay in cache while all rows of A pass over them.
  constexpr int64_t block = 16;
  for (int64_t first = 0; first < n; first += block)
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = first; j < std::min(n, first + block); ++j) {
        double sum = 0;
        for (int64_t x = 0; x < k; ++x)
          sum += a[i * k + x] * b[j * k + x];
        c[i * ldc + j] = sum;
      }
}
