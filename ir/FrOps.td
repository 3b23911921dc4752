// The ops of the `fr` dialect, in the order of the reference (docs/ops.md).
#ifndef FLAGRELEASE_IR_FROPS_TD
#define FLAGRELEASE_IR_FROPS_TD

include "ir/FrWeightOps.td"
include "ir/FrElementwiseOps.td"
include "ir/FrShapeOps.td"
include "ir/FrNumberOps.td"
include "ir/FrLayerOps.td"
include "ir/FrControlOps.td"

#endif
