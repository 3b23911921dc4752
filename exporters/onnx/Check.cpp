#include "exporters/onnx/Check.h"

#include <onnx/checker.h>
#include <onnx/defs/schema.h>

using namespace flagrelease;

LogicalResult onnx_export::checkModel(const onnx::ModelProto &model, Diagnostics &diags) {
  int64_t opset = 0;
  for (const auto &import : model.opset_import())
    if (import.domain().empty())
      opset = import.version();
  if (opset > onnx::OpSchemaRegistry::DomainToVersionRange::Instance().Map().at("").second)
    return success();
  for (const auto &node : model.graph().node())
    if (node.domain().empty() && !onnx::OpSchemaRegistry::Schema(node.op_type(), static_cast<int>(opset), ""))
      return success();

  // The files of external tensors do not exist yet: judged as inputs of the same type.
  onnx::ModelProto copy = model;
  onnx::GraphProto &graph = *copy.mutable_graph();
  graph.clear_initializer();
  for (const onnx::TensorProto &tensor : model.graph().initializer()) {
    if (tensor.data_location() != onnx::TensorProto::EXTERNAL) {
      *graph.add_initializer() = tensor;
      continue;
    }
    onnx::ValueInfoProto &input = *graph.add_input();
    input.set_name(tensor.name());
    auto &type = *input.mutable_type()->mutable_tensor_type();
    type.set_elem_type(tensor.data_type());
    type.mutable_shape();
    for (int64_t size : tensor.dims())
      type.mutable_shape()->add_dim()->set_dim_value(size);
  }
  try {
    onnx::checker::check_model(copy);
  } catch (const std::exception &error) {
    return diags.error("model.onnx", "refused by the ONNX checker: " + Twine(error.what()));
  }
  return success();
}
