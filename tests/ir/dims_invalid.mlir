// What the reader of #fr.dims refuses.
// RUN: flagrelease-opt %s --split-input-file --verify-diagnostics

// expected-error @+1 {{#fr.dims has 1 entries for rank 2}}
func.func private @rank(tensor<?x?xf32, #fr.dims<B>>)

// -----

// expected-error @+1 {{dimension 0 has size ? and name '_': a dynamic size has a name, a static one has '_'}}
func.func private @nameless(tensor<?x?xf32, #fr.dims<_, S>>)

// -----

// expected-error @+1 {{dimension 1 has size 4 and name 'S': a dynamic size has a name, a static one has '_'}}
func.func private @named(tensor<?x4xf32, #fr.dims<B, S>>)

// -----

// expected-error @+1 {{dimension 0 is dynamic but its size is the number 4}}
func.func private @number(tensor<?xf32, #fr.dims<4>>)

// -----

// expected-error @+1 {{#fr.dims on a tensor whose sizes are all static}}
func.func private @static(tensor<4xf32, #fr.dims<_>>)

// -----

// expected-error @+1 {{'_ + S' is no size}}
func.func private @blank(tensor<?xf32, #fr.dims<_ + S>>)

// -----

// expected-error @+1 {{expected valid keyword}}
func.func private @product(tensor<?xf32, #fr.dims<P * 2>>)

// -----

// expected-error @+1 {{expected valid keyword}}
func.func private @empty(tensor<?xf32, #fr.dims<B + >>)
