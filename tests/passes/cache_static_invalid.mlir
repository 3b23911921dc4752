// RUN: not flagrelease-opt %s --fr-cache-static 2>&1 | FileCheck %s --check-prefix=ZERO
// RUN: flagrelease-opt %s --fr-cache-static=size=8 --split-input-file --verify-diagnostics

// ZERO: fr-cache-static: a cache of 0 columns holds nothing; give size=N
func.func @past(%x: tensor<?xf32, #fr.dims<S>>) {
  // expected-error @+1 {{'fr.iota' op the size P becomes -1*S + 8}}
  %0 = fr.iota : tensor<?xi64, #fr.dims<P>>
  return
}
