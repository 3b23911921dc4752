// VARIANT opset=13
// VARIANT opset=17 refuse=Reciprocal,LessOrEqual,GreaterOrEqual,Where,Unsqueeze
// VARIANT opset=20 contrib=com.microsoft:Gelu
// VARIANT opset=24
// VARIANT opset=23 table=ort_cpu
!x = tensor<?x?x8xf32, #fr.dims<B, S, _>>
!b = tensor<?x?x8xi1, #fr.dims<B, S, _>>
!i = tensor<?x?x8xi64, #fr.dims<B, S, _>>

func.func @unary(%x: !x {fr.name = "x"}, %positive: !x {fr.name = "positive"})
    -> (!x {fr.name = "neg"}, !x {fr.name = "exp"}, !x {fr.name = "log"}, !x {fr.name = "sqrt"}, !x {fr.name = "rsqrt"}, !x {fr.name = "sin"},
        !x {fr.name = "cos"}, !x {fr.name = "tanh"}, !x {fr.name = "erf"}, !x {fr.name = "sigmoid"}, !x {fr.name = "silu"},
        !x {fr.name = "relu"}, !x {fr.name = "floor"}, !x {fr.name = "gelu"}, !x {fr.name = "gelu_tanh"}) {
  %0 = fr.neg %x : (!x) -> !x
  %1 = fr.exp %x : (!x) -> !x
  %2 = fr.log %positive : (!x) -> !x
  %3 = fr.sqrt %positive : (!x) -> !x
  %4 = fr.rsqrt %positive : (!x) -> !x
  %5 = fr.sin %x : (!x) -> !x
  %6 = fr.cos %x : (!x) -> !x
  %7 = fr.tanh %x : (!x) -> !x
  %8 = fr.erf %x : (!x) -> !x
  %9 = fr.sigmoid %x : (!x) -> !x
  %10 = fr.silu %x : (!x) -> !x
  %11 = fr.relu %x : (!x) -> !x
  %12 = fr.floor %x : (!x) -> !x
  %13 = fr.gelu %x none : (!x) -> !x
  %14 = fr.gelu %x tanh : (!x) -> !x
  return %0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14 : !x, !x, !x, !x, !x, !x, !x, !x, !x, !x, !x, !x, !x, !x, !x
}

!row = tensor<8xf32>
func.func @binary(%x: !x {fr.name = "x"}, %positive: !x {fr.name = "positive"}, %row: !row {fr.name = "row"})
    -> (!x {fr.name = "add"}, !x {fr.name = "sub"}, !x {fr.name = "mul"}, !x {fr.name = "div"}, !x {fr.name = "pow"}, !x {fr.name = "maximum"},
        !x {fr.name = "minimum"}) {
  %0 = fr.add %x, %row : (!x, !row) -> !x
  %1 = fr.sub %row, %x : (!row, !x) -> !x
  %2 = fr.mul %x, %row : (!x, !row) -> !x
  %3 = fr.div %x, %positive : (!x, !x) -> !x
  %4 = fr.pow %positive, %row : (!x, !row) -> !x
  %5 = fr.maximum %x, %row : (!x, !row) -> !x
  %6 = fr.minimum %x, %row : (!x, !row) -> !x
  return %0, %1, %2, %3, %4, %5, %6 : !x, !x, !x, !x, !x, !x, !x
}

func.func @integers(%x: !i {fr.name = "x"}, %nonzero: !i {fr.name = "nonzero"}, %f: !x {fr.name = "f"})
    -> (!i {fr.name = "div"}, !i {fr.name = "max"}, !x {fr.name = "mixed"}, !b {fr.name = "mixed_less"}) {
  %0 = fr.div %x, %nonzero : (!i, !i) -> !i
  %1 = fr.maximum %x, %nonzero : (!i, !i) -> !i
  %2 = fr.mul %x, %f : (!i, !x) -> !x
  %3 = fr.compare lt %x, %f : (!i, !x) -> !b
  return %0, %1, %2, %3 : !i, !i, !x, !b
}

func.func @logic(%a: !i {fr.name = "a"}, %b: !i {fr.name = "b"}, %x: !x {fr.name = "x"}, %y: !x {fr.name = "y"})
    -> (!b {fr.name = "eq"}, !b {fr.name = "ne"}, !b {fr.name = "lt"}, !b {fr.name = "le"}, !b {fr.name = "gt"}, !b {fr.name = "ge"},
        !b {fr.name = "and"}, !b {fr.name = "or"}, !x {fr.name = "select"}) {
  %0 = fr.compare eq %a, %b : (!i, !i) -> !b
  %1 = fr.compare ne %a, %b : (!i, !i) -> !b
  %2 = fr.compare lt %a, %b : (!i, !i) -> !b
  %3 = fr.compare le %x, %y : (!x, !x) -> !b
  %4 = fr.compare gt %x, %y : (!x, !x) -> !b
  %5 = fr.compare ge %a, %b : (!i, !i) -> !b
  %6 = fr.and %2, %3 : (!b, !b) -> !b
  %7 = fr.or %4, %5 : (!b, !b) -> !b
  %8 = fr.select %6, %x, %y : (!b, !x, !x) -> !x
  return %0, %1, %2, %3, %4, %5, %6, %7, %8 : !b, !b, !b, !b, !b, !b, !b, !b, !x
}

!h = tensor<?x?x8xf64, #fr.dims<B, S, _>>
func.func @cast(%x: !x {fr.name = "x"}, %i: !i {fr.name = "i"}) -> (!x {fr.name = "through_f64"}, !x {fr.name = "from_int"}, !i {fr.name = "to_int"}) {
  %0 = fr.cast %x : (!x) -> !h
  %1 = fr.cast %0 : (!h) -> !x
  %2 = fr.cast %i : (!i) -> !x
  %3 = fr.cast %i : (!i) -> !b
  %4 = fr.cast %3 : (!b) -> !i
  return %1, %2, %4 : !x, !x, !i
}
