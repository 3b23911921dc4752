// Sizes are kept in one spelling: symbols in alphabetical order, then the number.
// RUN: flagrelease-opt %s | flagrelease-opt | FileCheck %s

// CHECK: @sum(tensor<?xf32, #fr.dims<P + S>>)
func.func private @sum(tensor<?xf32, #fr.dims<S + P>>)
// CHECK: @number(tensor<?xf32, #fr.dims<S + 3>>)
func.func private @number(tensor<?xf32, #fr.dims<1 + S + 2>>)
// CHECK: @collect(tensor<?x4xf32, #fr.dims<B + 3*S, _>>)
func.func private @collect(tensor<?x4xf32, #fr.dims<2*S + B + S, _>>)
// CHECK: @negative(tensor<?xf32, #fr.dims<S + -1>>)
func.func private @negative(tensor<?xf32, #fr.dims<S + -1>>)
// CHECK: @floor(tensor<?x4xf32, #fr.dims<"floor((S + 1) / 2)", _>>)
func.func private @floor(tensor<?x4xf32, #fr.dims<"floor((S + 1) / 2)", _>>)
// CHECK: @floor_and_more(tensor<?xf32, #fr.dims<"B*floor((S + 1) / 2) + 3">>)
func.func private @floor_and_more(tensor<?xf32, #fr.dims<"3 + floor((1 + S) / 2)*B">>)
