// By layer, key before value, whatever the order of declaration or use.
// RUN: flagrelease-opt %s --fr-cache-dynamic | FileCheck %s

!value = tensor<?x2x?x4xf32, #fr.dims<B, _, S, _>>
!state = tensor<?x2x?x4xf32, #fr.dims<B, _, P, _>>
!all = tensor<?x2x?x4xf32, #fr.dims<B, _, P + S, _>>
fr.state @a kv layer 10 part "key" axis 2 : !state
fr.state @b kv layer 2 part "value" axis 2 : !state
fr.state @c kv layer 2 part "key" axis 2 : !state
// A state that nobody extends is no input.
fr.state @unused kv layer 3 part "key" axis 2 : !state

// CHECK: func.func @main(%{{[^:]*}}: {{[^{]*}} {fr.name = "x"}
// CHECK-SAME: {fr.name = "past_key_values.2.key"}
// CHECK-SAME: {fr.name = "past_key_values.2.value"}
// CHECK-SAME: {fr.name = "past_key_values.10.key"})
// CHECK-SAME: {fr.name = "present.2.key"}
// CHECK-SAME: {fr.name = "present.2.value"}
// CHECK-SAME: {fr.name = "present.10.key"}) {
func.func @main(%x: !value {fr.name = "x"}) -> (!all {fr.name = "y"}) {
  %0 = fr.state.append @a, %x : (!value) -> !all
  %1 = fr.state.append @b, %x : (!value) -> !all
  %2 = fr.state.append @c, %x : (!value) -> !all
  %3 = fr.add %0, %1 : (!all, !all) -> !all
  %4 = fr.add %3, %2 : (!all, !all) -> !all
  return %4 : !all
}
