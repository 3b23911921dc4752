#include "tests/devices/OnnxModels.h"

#include <onnx/onnx_pb.h>

#include <cstring>
#include <stdexcept>
#include <vector>

namespace flagrelease::test {

namespace {

using namespace ONNX_NAMESPACE;

int elementType(DType type) {
  switch (type) {
  case DType::F32:
    return TensorProto::FLOAT;
  case DType::F16:
    return TensorProto::FLOAT16;
  case DType::BF16:
    return TensorProto::BFLOAT16;
  case DType::I64:
    return TensorProto::INT64;
  case DType::Bool:
    return TensorProto::BOOL;
  default:
    throw std::invalid_argument("no such type in these models");
  }
}

struct Builder {
  ModelProto model;
  GraphProto *graph;

  Builder() : graph(model.mutable_graph()) {
    model.set_ir_version(8);
    OperatorSetIdProto *opset = model.add_opset_import();
    opset->set_domain("");
    opset->set_version(17);
    graph->set_name("g");
  }
  static void value(ValueInfoProto *info, const char *name, DType type, const std::vector<std::string> &shape) {
    info->set_name(name);
    auto *tensor = info->mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(elementType(type));
    TensorShapeProto *dims = tensor->mutable_shape();
    for (const std::string &size : shape) {
      auto *dim = dims->add_dim();
      if (isdigit(static_cast<unsigned char>(size[0])))
        dim->set_dim_value(std::stoll(size));
      else
        dim->set_dim_param(size);
    }
  }
  void input(const char *name, DType type, const std::vector<std::string> &shape) {
    value(graph->add_input(), name, type, shape);
  }
  void output(const char *name, DType type, const std::vector<std::string> &shape) {
    value(graph->add_output(), name, type, shape);
  }
  NodeProto *node(const char *op, const std::vector<std::string> &in, const std::vector<std::string> &out,
                  GraphProto *where = nullptr) {
    NodeProto *node = (where ? where : graph)->add_node();
    node->set_op_type(op);
    for (const std::string &name : in)
      node->add_input(name);
    for (const std::string &name : out)
      node->add_output(name);
    return node;
  }
  static void attribute(NodeProto *node, const char *name, int64_t value) {
    AttributeProto *attr = node->add_attribute();
    attr->set_name(name), attr->set_type(AttributeProto::INT), attr->set_i(value);
  }
  template <typename T>
  void constant(const char *name, DType type, const std::vector<int64_t> &shape, const std::vector<T> &values) {
    TensorProto *tensor = graph->add_initializer();
    tensor->set_name(name), tensor->set_data_type(elementType(type));
    for (int64_t size : shape)
      tensor->add_dims(size);
    tensor->set_raw_data(values.data(), values.size() * sizeof(T));
  }
  std::string bytes() const { return model.SerializeAsString(); }
};

void constantOf(Builder &b, const char *name, DType type, int value) {
  if (type == DType::F32)
    b.constant<float>(name, type, {}, {static_cast<float>(value)});
  else if (type == DType::F16)
    b.constant<uint16_t>(name, type, {}, {f32ToF16(static_cast<float>(value))});
  else
    b.constant<int64_t>(name, type, {}, {value});
}

} // namespace

std::string affineModel(DType type, bool withShape) {
  Builder b;
  b.input("x", type, {"B", "3"});
  b.output("y", type, {"B", "3"});
  b.output("z", type, {"B", "3"});
  constantOf(b, "two", type, 2);
  constantOf(b, "one", type, 1);
  b.node("Mul", {"x", "two"}, {"t"});
  b.node("Add", {"t", "one"}, {"y"});
  b.node("Identity", {"x"}, {"z"});
  if (withShape) {
    b.output("s", DType::I64, {"2"});
    b.node("Shape", {"x"}, {"s"});
  }
  return b.bytes();
}

std::string bf16Model() {
  Builder b;
  b.input("x", DType::BF16, {"N"});
  b.output("y", DType::BF16, {"N"});
  constantOf(b, "two", DType::F32, 2);
  Builder::attribute(b.node("Cast", {"x"}, {"wide"}), "to", TensorProto::FLOAT);
  b.node("Mul", {"wide", "two"}, {"doubled"});
  Builder::attribute(b.node("Cast", {"doubled"}, {"y"}), "to", TensorProto::BFLOAT16);
  return b.bytes();
}

std::string externalModel(const std::string &file, int64_t offset) {
  Builder b;
  b.input("x", DType::F32, {"B", "4"});
  b.output("y", DType::F32, {"B", "2"});
  TensorProto *w = b.graph->add_initializer();
  w->set_name("w"), w->set_data_type(TensorProto::FLOAT), w->add_dims(4), w->add_dims(2);
  w->set_data_location(TensorProto::EXTERNAL);
  for (const auto &[key, value] :
       {std::pair<std::string, std::string>{"location", file}, {"offset", std::to_string(offset)}, {"length", "32"}}) {
    StringStringEntryProto *entry = w->add_external_data();
    entry->set_key(key), entry->set_value(value);
  }
  b.node("MatMul", {"x", "w"}, {"y"});
  return b.bytes();
}

std::string unknownOpModel() {
  Builder b;
  b.input("x", DType::F32, {"B"});
  b.output("y", DType::F32, {"B"});
  b.node("NoSuchOperator", {"x"}, {"y"});
  return b.bytes();
}

std::string bigModel(int64_t elements) {
  Builder b;
  b.input("x", DType::F32, {"1"});
  b.output("y", DType::F32, {"1"});
  b.constant<int64_t>("size", DType::I64, {1}, {elements});
  b.node("Expand", {"x", "size"}, {"wide"});
  b.node("Exp", {"wide"}, {"e"});
  b.node("Add", {"wide", "e"}, {"sum"});
  Builder::attribute(b.node("ReduceSum", {"sum"}, {"total"}), "keepdims", 1);
  b.node("Identity", {"total"}, {"y"});
  return b.bytes();
}

std::string loopModel(int64_t steps) {
  Builder b;
  b.input("x", DType::F32, {"1"});
  b.output("y", DType::F32, {"1"});
  b.constant<int64_t>("steps", DType::I64, {}, {steps});
  b.constant<uint8_t>("go", DType::Bool, {}, {1});
  NodeProto *loop = b.node("Loop", {"steps", "go", "x"}, {"y"});
  AttributeProto *attr = loop->add_attribute();
  attr->set_name("body"), attr->set_type(AttributeProto::GRAPH);
  GraphProto *body = attr->mutable_g();
  body->set_name("body");
  Builder::value(body->add_input(), "i", DType::I64, {});
  Builder::value(body->add_input(), "c", DType::Bool, {});
  Builder::value(body->add_input(), "v", DType::F32, {"1"});
  Builder::value(body->add_output(), "c2", DType::Bool, {});
  Builder::value(body->add_output(), "v3", DType::F32, {"1"});
  b.node("Identity", {"c"}, {"c2"}, body);
  b.node("Tanh", {"v"}, {"v2"}, body);
  b.node("Cos", {"v2"}, {"v3"}, body);
  return b.bytes();
}

} // namespace flagrelease::test
