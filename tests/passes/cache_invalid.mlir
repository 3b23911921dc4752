// RUN: flagrelease-opt %s --fr-cache-none --split-input-file --verify-diagnostics
// RUN: flagrelease-opt %s --fr-cache-dynamic --split-input-file --verify-diagnostics
// RUN: flagrelease-opt %s --fr-cache-static=size=8 --split-input-file --verify-diagnostics

!value = tensor<?x2x?x4xf32, #fr.dims<B, _, S, _>>
!all = tensor<?x2x?x4xf32, #fr.dims<B, _, P + S, _>>
fr.state @a kv layer 0 part "key" axis 2 : tensor<?x2x?x4xf32, #fr.dims<B, _, P, _>>
func.func @twice(%x: !value) -> (!all, !all) {
  // expected-note @+1 {{first here}}
  %0 = fr.state.append @a, %x : (!value) -> !all
  // expected-error @+1 {{'fr.state.append' op extends state 'a' a second time in one call}}
  %1 = fr.state.append @a, %x : (!value) -> !all
  return %0, %1 : !all, !all
}

// -----

!value = tensor<?x2x?x4xf32, #fr.dims<B, _, S, _>>
!all = tensor<?x2x?x4xf32, #fr.dims<B, _, P + S, _>>
fr.state @a latent layer 0 part "key" axis 2 : tensor<?x2x4x4xf32, #fr.dims<B, _, _, _>>
func.func @kind(%x: !value) -> !all {
  // expected-error @+1 {{extends state 'a' of kind latent; only kv states grow by tokens}}
  %0 = fr.state.append @a, %x : (!value) -> !all
  return %0 : !all
}

// -----

!value = tensor<?x2x?x4xf32, #fr.dims<B, _, S, _>>
!all = tensor<?x2x?x4xf32, #fr.dims<B, _, P + S, _>>
fr.state @a kv layer 0 part "key" axis 2 : tensor<?x2x?x4xf32, #fr.dims<B, _, P, _>>
// expected-error @+1 {{keeps state 'a' and is called by another function}}
func.func @decoder(%x: !value) -> !all {
  %0 = fr.state.append @a, %x : (!value) -> !all
  return %0 : !all
}
func.func @main(%x: !value) -> !all {
  // expected-note @+1 {{called here; a part with states is an entry of its own}}
  %0 = func.call @decoder(%x) : (!value) -> !all
  return %0 : !all
}

// -----

!h = tensor<?x8xf32, #fr.dims<B, _>>
fr.state @h recurrent layer 0 part "h" axis 0 : !h
func.func @updates_twice(%x: !h) {
  // expected-note @+1 {{first here}}
  fr.state.update @h, %x : !h
  // expected-error @+1 {{'fr.state.update' op updates state 'h' a second time in one call}}
  fr.state.update @h, %x : !h
  return
}

// -----

!h = tensor<?x8xf32, #fr.dims<B, _>>
fr.state @h recurrent layer 0 part "h" axis 0 : !h
func.func @reads_late(%x: !h) -> !h {
  // expected-note @+1 {{updated here}}
  fr.state.update @h, %x : !h
  // expected-error @+1 {{'fr.state.read' op reads state 'h' after its update; a read gives what the call before left}}
  %0 = fr.state.read @h : !h
  return %0 : !h
}

// -----

!h = tensor<?x8xf32, #fr.dims<B, _>>
fr.state @h recurrent layer 0 part "h" axis 0 : !h
// expected-error @+1 {{keeps state 'h' and is called by another function}}
func.func @mixer() -> !h {
  %0 = fr.state.read @h : !h
  return %0 : !h
}
func.func @main() -> !h {
  // expected-note @+1 {{called here; a part with states is an entry of its own}}
  %0 = func.call @mixer() : () -> !h
  return %0 : !h
}

// -----

!h = tensor<?x8xf32, #fr.dims<B, _>>
fr.state @h recurrent layer 0 part "h" axis 0 : !h
func.func @one(%x: !h) {
  // expected-note @+1 {{first here}}
  fr.state.update @h, %x : !h
  return
}
func.func @other() -> !h {
  // expected-error @+1 {{'fr.state.read' op uses state 'h' of another function}}
  %0 = fr.state.read @h : !h
  return %0 : !h
}
