// States that keep their size: the begin of a text, or an input and an output. A kv state beside them is as ever.
// RUN: flagrelease-opt %s --fr-cache-none | FileCheck %s --check-prefix=NONE
// RUN: flagrelease-opt %s --fr-cache-dynamic | FileCheck %s --check-prefixes=KEPT,DYNAMIC
// RUN: flagrelease-opt %s --fr-cache-static=size=8 | FileCheck %s --check-prefixes=KEPT,STATIC

!x = tensor<?x?x8xf32, #fr.dims<B, S, _>>
!all = tensor<?x?x8xf32, #fr.dims<B, P + S, _>>
!h = tensor<?x8xf32, #fr.dims<B, _>>
fr.state @ssm recurrent layer 10 part "ssm" axis 0 : !h {init = -2.0 : f64}
fr.state @conv conv layer 2 part "conv" axis 0 : tensor<?x8x3xf16, #fr.dims<B, _, _>> {init = 0.5 : f64}
fr.state @ids window layer 2 part "ids" axis 0 : tensor<?x4xi64, #fr.dims<B, _>> {init = 3.0 : f64}
fr.state @kept recurrent layer 2 part "kept" axis 0 : !h
fr.state @k kv layer 2 part "key" axis 1 : tensor<?x?x8xf32, #fr.dims<B, P, _>>
// Nobody reads it: no input.
fr.state @unused recurrent layer 0 part "none" axis 0 : !h

// NONE-NOT: fr.state
// NONE: func.func @main(%[[X:[^:]*]]: tensor<?x?x8xf32, #fr.dims<B, S, _>> {fr.name = "x"}, %[[NEW:[^:]*]]: tensor<?x8xf32, #fr.dims<B, _>> {fr.name = "new"})
// NONE-SAME: -> (tensor<?x8xf32, #fr.dims<B, _>> {fr.name = "h"}, tensor<?x8x3xf16, #fr.dims<B, _, _>> {fr.name = "c"}, tensor<?x4xi64, #fr.dims<B, _>> {fr.name = "i"}, tensor<?x?x8xf32, #fr.dims<B, S, _>> {fr.name = "a"})
// NONE: %[[N:.*]] = fr.constant dense<-2.000000e+00> : tensor<f32>
// NONE: %[[H:.*]] = fr.broadcast %[[N]] : (tensor<f32>) -> tensor<?x8xf32, #fr.dims<B, _>>
// NONE: fr.constant dense<5.000000e-01> : tensor<f16>
// NONE: fr.constant dense<3> : tensor<i64>
// NONE: fr.add %[[H]], %[[NEW]]
// NONE-NOT: fr.state
// NONE: return %[[H]], %{{.*}}, %{{.*}}, %[[X]] :

// Fixed states by layer, those of a layer in the order of use; the argument is what `read` gave.
// KEPT-NOT: fr.state
// DYNAMIC: func.func @main({{.*}} {fr.name = "new"}, %[[C:[^:]*]]: tensor<?x8x3xf16, #fr.dims<B, _, _>> {fr.name = "past_states.2.conv"}, %[[I:[^:]*]]: tensor<?x4xi64, #fr.dims<B, _>> {fr.name = "past_states.2.ids"},
// DYNAMIC-SAME: %[[K:[^:]*]]: tensor<?x8xf32, #fr.dims<B, _>> {fr.name = "past_states.2.kept"}, %[[H:[^:]*]]: tensor<?x8xf32, #fr.dims<B, _>> {fr.name = "past_states.10.ssm"}, {{.*}}"past_key_values.2.key"})
// DYNAMIC-SAME: tensor<?x8x3xf16, #fr.dims<B, _, _>> {fr.name = "present_states.2.conv"}
// DYNAMIC-SAME: {fr.name = "present_states.2.ids"}
// DYNAMIC-SAME: {fr.name = "present_states.2.kept"}
// DYNAMIC-SAME: tensor<?x8xf32, #fr.dims<B, _>> {fr.name = "present_states.10.ssm"}
// DYNAMIC-SAME: tensor<?x?x8xf32, #fr.dims<B, P + S, _>> {fr.name = "present.2.key"}
// STATIC: func.func @main({{.*}} {fr.name = "new"}, %[[C:[^:]*]]: {{.*}} {fr.name = "past_states.2.conv"}, %[[I:[^:]*]]: {{.*}} {fr.name = "past_states.2.ids"},
// STATIC-SAME: %[[K:[^:]*]]: {{.*}} {fr.name = "past_states.2.kept"}, %[[H:[^:]*]]: {{.*}} {fr.name = "past_states.10.ssm"}, {{.*}}"cache_position"}, {{.*}}"past_key_values.2.key"})
// STATIC-SAME: {fr.name = "present_states.10.ssm"}
// STATIC-SAME: {fr.name = "present.2.key"}
// KEPT: %[[NEXT:.*]] = fr.add %[[H]], %
// KEPT: %[[ALL:.*]] = {{fr.concat|fr.scatter}}
// KEPT-NOT: fr.state
// KEPT: return %[[H]], %[[C]], %[[I]], %[[ALL]], %[[C]], %[[I]], %[[K]], %[[NEXT]], %[[ALL]] :
func.func @main(%x: !x {fr.name = "x"}, %new: !h {fr.name = "new"})
    -> (!h {fr.name = "h"}, tensor<?x8x3xf16, #fr.dims<B, _, _>> {fr.name = "c"}, tensor<?x4xi64, #fr.dims<B, _>> {fr.name = "i"}, !all {fr.name = "a"}) {
  %h = fr.state.read @ssm : !h
  %c = fr.state.read @conv : tensor<?x8x3xf16, #fr.dims<B, _, _>>
  %i = fr.state.read @ids : tensor<?x4xi64, #fr.dims<B, _>>
  %k = fr.state.read @kept : !h
  %next = fr.add %h, %new : (!h, !h) -> !h
  fr.state.update @ssm, %next : !h
  fr.state.update @conv, %c : tensor<?x8x3xf16, #fr.dims<B, _, _>>
  fr.state.update @kept, %k : !h
  %all = fr.state.append @k, %x : (!x) -> !all
  return %h, %c, %i, %all : !h, tensor<?x8x3xf16, #fr.dims<B, _, _>>, tensor<?x4xi64, #fr.dims<B, _>>, !all
}
