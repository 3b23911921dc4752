#include "exporters/onnx/ExportOnnx.h"

#include "exporters/onnx/Check.h"
#include "exporters/onnx/Names.h"
#include "ir/Fr.h"
#include "ir/onnx/Onnx.h"
#include "ir/onnx/Schema.h"
#include "weights/Files.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringSet.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

using namespace flagrelease;
using namespace flagrelease::onnx_export;
using mlir::cast;
using mlir::dyn_cast;
using mlir::isa;

namespace {

constexpr uint64_t kAlignment = 4096; // a page: engines map external tensors

/// The bytes of a constant as ONNX stores them: little endian, one byte per bool.
std::string rawBytes(mlir::DenseElementsAttr value) {
  std::string bytes;
  if (value.getElementType().isInteger(1)) {
    for (bool element : value.getValues<bool>())
      bytes.push_back(element ? 1 : 0);
    return bytes;
  }
  llvm::ArrayRef<char> raw = value.getRawData();
  int64_t copies = value.isSplat() ? value.getNumElements() : 1;
  for (int64_t i = 0; i < copies; ++i)
    bytes.append(raw.begin(), raw.end());
  return bytes;
}

/// Where the bytes of a param lie.
struct Place {
  std::string file; ///< relative to the graph
  uint64_t offset = 0, bytes = 0;
};

class Printer {
public:
  Printer(const ExportRequest &request, Diagnostics &diags)
      : request(request), diags(diags), module(request.module), symbols(module) {}

  FailureOr<ExportPlan> run() {
    function = symbols.lookup<mlir::func::FuncOp>(request.function);
    if (!function || function.isExternal())
      return diags.error(request.function, "the module has no such function");
    if (failed(header()) || failed(interface()))
      return failure();
    measureUse();
    for (mlir::Operation &op : function.getBody().front())
      if (failed(print(op)))
        return failure();
    if (failed(checkModel(model, diags)))
      return failure();
    return plan();
  }

private:
  LogicalResult header() {
    std::optional<int64_t> opset = onnx_ir::opsetOf(module, kOnnxDomain);
    std::optional<int64_t> ir = opset ? onnxIrVersion(*opset) : std::nullopt;
    if (!ir)
      return diags.error("module", "states no opset of ONNX that is known");
    model.set_ir_version(*ir);
    model.set_producer_name("flagrelease");
    for (mlir::NamedAttribute domain : module->getAttrOfType<mlir::DictionaryAttr>(onnx_ir::kOpsetAttr)) {
      auto &import = *model.add_opset_import();
      import.set_domain(domain.getName() == kOnnxDomain ? "" : domain.getName().str());
      import.set_version(cast<mlir::IntegerAttr>(domain.getValue()).getInt());
    }
    model.mutable_graph()->set_name(request.function);
    return success();
  }

  /// Inputs and outputs get the names of `fr.name` before anything else can take them.
  LogicalResult interface() {
    for (mlir::BlockArgument argument : function.getArguments()) {
      auto name = function.getArgAttrOfType<mlir::StringAttr>(argument.getArgNumber(), kNameAttr);
      if (failed(describe(*model.mutable_graph()->add_input(), name, argument.getType(), "argument", argument.getArgNumber())))
        return failure();
      valueNames[argument] = name.str();
    }
    auto ret = cast<mlir::func::ReturnOp>(function.getBody().front().getTerminator());
    for (mlir::OpOperand &operand : ret->getOpOperands()) {
      auto name = function.getResultAttrOfType<mlir::StringAttr>(operand.getOperandNumber(), kNameAttr);
      if (failed(describe(*model.mutable_graph()->add_output(), name, operand.get().getType(), "result",
                          operand.getOperandNumber())))
        return failure();
      if (!operand.get().getDefiningOp<onnx_ir::NodeOp>() || !valueNames.try_emplace(operand.get(), name.str()).second)
        return diags.error(name.getValue(), "is not a value of its own that a node computes");
    }
    return success();
  }

  LogicalResult describe(onnx::ValueInfoProto &info, mlir::StringAttr name, mlir::Type type, StringRef what, unsigned index) {
    if (!name)
      return diags.error(request.function, what + Twine(" ") + Twine(index) + " has no '" + kNameAttr + "'");
    if (!names.claim(name))
      return diags.error(name.getValue(), "is the name of two inputs or outputs");
    fillInfo(info, name.str(), type);
    return success();
  }

  void fillInfo(onnx::ValueInfoProto &info, const std::string &name, mlir::Type type) {
    info.set_name(name);
    auto &tensor = *info.mutable_type()->mutable_tensor_type();
    tensor.set_elem_type(onnx_ir::elementTypeNumber(elementOf(type)));
    tensor.mutable_shape();
    for (const DimExpr &dim : dimsOf(type)) {
      auto &entry = *tensor.mutable_shape()->add_dim();
      if (dim.isStatic())
        entry.set_dim_value(dim.value());
      else
        entry.set_dim_param(dim.str());
    }
  }

  LogicalResult print(mlir::Operation &op) {
    if (auto use = dyn_cast<fr::UseOp>(op))
      return printUse(use);
    if (auto view = dyn_cast<onnx_ir::ViewOp>(op))
      return printView(view);
    if (auto constant = dyn_cast<onnx_ir::ConstantOp>(op))
      return printConstant(constant);
    if (auto node = dyn_cast<onnx_ir::NodeOp>(op))
      return printNode(node);
    if (auto scan = dyn_cast<onnx_ir::ScanOp>(op))
      return printScan(scan);
    if (isa<onnx_ir::NoneOp, onnx_ir::YieldOp, mlir::func::ReturnOp>(op))
      return success();
    return diags.error(op.getName().getStringRef(), "is not of the level that the ONNX exporter prints");
  }

  LogicalResult printNode(onnx_ir::NodeOp op) {
    onnx::NodeProto &node = *nodes->add_node();
    node.set_op_type(op.getOpType().str());
    if (op.getDomainName() != kOnnxDomain)
      node.set_domain(op.getDomainName().str());
    node.set_name(names.ofNode(op.getLoc(), op.getOpType()));
    size_t given = op.getInputs().size();
    while (given > 0 && isa<mlir::NoneType>(op.getInputs()[given - 1].getType()))
      --given; // the format omits absent inputs at the end and leaves the name of others empty
    for (mlir::Value input : op.getInputs().take_front(given))
      node.add_input(isa<mlir::NoneType>(input.getType()) ? std::string() : valueNames.lookup(input));
    nameOutputs(op, node);
    if (mlir::DictionaryAttr attributes = op.getNodeAttributesAttr())
      for (mlir::NamedAttribute attribute : attributes)
        if (failed(printAttribute(*node.add_attribute(), attribute)))
          return failure();
    return success();
  }

  void nameOutputs(mlir::Operation *op, onnx::NodeProto &node) {
    for (mlir::OpResult output : op->getResults()) {
      auto [it, isNew] = valueNames.try_emplace(output, "");
      if (isNew) // not an output of the graph, whose name is fixed
        // Nodes and values have name spaces of their own; one name for a node and its only result reads best.
        it->second =
            op->getNumResults() == 1 ? node.name() : names.unique(node.name() + ":" + std::to_string(output.getResultNumber()));
      node.add_output(it->second);
    }
  }

  /// The body's nodes stand in a graph of their own, which sees the values, constants and params outside.
  LogicalResult printScan(onnx_ir::ScanOp op) {
    onnx::NodeProto &node = *nodes->add_node();
    node.set_op_type("Scan");
    node.set_name(names.ofNode(op.getLoc(), "Scan"));
    for (mlir::Value input : op.getInputs())
      node.add_input(valueNames.lookup(input));
    nameOutputs(op, node);
    const auto states = static_cast<size_t>(op.getStates());
    auto integers = [&](llvm::StringRef name, size_t count, int64_t value) {
      onnx::AttributeProto &attribute = *node.add_attribute();
      attribute.set_name(name.str());
      attribute.set_type(onnx::AttributeProto::INTS);
      for (size_t i = 0; i < count; ++i)
        attribute.add_ints(value);
    };
    onnx::AttributeProto &sequences = *node.add_attribute();
    sequences.set_name("num_scan_inputs");
    sequences.set_type(onnx::AttributeProto::INT);
    sequences.set_i(static_cast<int64_t>(op.getInputs().size() - states));
    integers("scan_input_axes", op.getInputs().size() - states, op.getAxis());
    integers("scan_output_axes", op.getNumResults() - states, op.getAxis());
    onnx::AttributeProto &bodyAttribute = *node.add_attribute();
    bodyAttribute.set_name("body");
    bodyAttribute.set_type(onnx::AttributeProto::GRAPH);
    onnx::GraphProto &graph = *bodyAttribute.mutable_g();
    graph.set_name(node.name());
    mlir::Block &body = op.getBody().front();
    for (mlir::BlockArgument argument : body.getArguments()) {
      std::string &name = valueNames[argument] = names.unique(node.name() + ".in" + std::to_string(argument.getArgNumber()));
      fillInfo(*graph.add_input(), name, argument.getType());
    }
    onnx::GraphProto *outside = std::exchange(nodes, &graph);
    for (mlir::Operation &inner : body)
      if (failed(print(inner)))
        return failure();
    nodes = outside;
    for (mlir::Value value : body.getTerminator()->getOperands())
      fillInfo(*graph.add_output(), valueNames.lookup(value), value.getType());
    return success();
  }

  LogicalResult printAttribute(onnx::AttributeProto &out, mlir::NamedAttribute attribute) {
    mlir::Attribute value = attribute.getValue();
    out.set_name(attribute.getName().str());
    if (auto integer = dyn_cast<mlir::IntegerAttr>(value)) {
      out.set_type(onnx::AttributeProto::INT);
      out.set_i(integer.getInt());
    } else if (auto number = dyn_cast<mlir::FloatAttr>(value)) {
      out.set_type(onnx::AttributeProto::FLOAT);
      out.set_f(number.getValue().convertToFloat());
    } else if (auto text = dyn_cast<mlir::StringAttr>(value)) {
      out.set_type(onnx::AttributeProto::STRING);
      out.set_s(text.str());
    } else if (auto integers = dyn_cast<mlir::DenseI64ArrayAttr>(value)) {
      out.set_type(onnx::AttributeProto::INTS);
      for (int64_t entry : integers.asArrayRef())
        out.add_ints(entry);
    } else if (auto numbers = dyn_cast<mlir::DenseF32ArrayAttr>(value)) {
      out.set_type(onnx::AttributeProto::FLOATS);
      for (float entry : numbers.asArrayRef())
        out.add_floats(entry);
    } else if (auto texts = dyn_cast<mlir::ArrayAttr>(value)) {
      out.set_type(onnx::AttributeProto::STRINGS);
      for (mlir::Attribute entry : texts)
        out.add_strings(cast<mlir::StringAttr>(entry).str());
    } else if (auto tensor = dyn_cast<mlir::DenseElementsAttr>(value)) {
      out.set_type(onnx::AttributeProto::TENSOR);
      fillTensor(*out.mutable_t(), tensor.getType());
      out.mutable_t()->set_raw_data(rawBytes(tensor));
    } else {
      return diags.error(attribute.getName().getValue(), "is an attribute that the ONNX exporter cannot print");
    }
    return success();
  }

  void fillTensor(onnx::TensorProto &tensor, mlir::ShapedType type) {
    tensor.set_data_type(onnx_ir::elementTypeNumber(type.getElementType()));
    for (int64_t size : type.getShape())
      tensor.add_dims(size);
  }

  LogicalResult printConstant(onnx_ir::ConstantOp op) {
    auto value = dyn_cast<mlir::DenseElementsAttr>(op.getValue());
    if (!value)
      return diags.error("onnx.constant", "is not dense");
    std::string bytes = rawBytes(value);
    if (static_cast<int64_t>(bytes.size()) > onnx_ir::kMaxConstantBytes)
      return diags.error("onnx.constant", Twine(bytes.size()) + " bytes are too many for a constant of the graph");
    onnx::TensorProto &tensor = *model.mutable_graph()->add_initializer();
    tensor.set_name(names.unique("constant"));
    fillTensor(tensor, value.getType());
    tensor.set_raw_data(bytes);
    valueNames[op.getResult()] = tensor.name();
    return success();
  }

  /// How much of each file of the checkpoint the graph points into.
  void measureUse() {
    llvm::StringSet<> seen;
    function.walk([&](fr::UseOp use) {
      auto param = symbols.lookup<fr::ParamOp>(use.getParam());
      if (fr::GetOp get = param.getIdentity(); get && seen.insert(use.getParam()).second)
        if (const CheckpointTensor *weight = unchanged(get, cast<mlir::RankedTensorType>(param.getType())))
          usedBytes[weight->file] += weight->bytes;
    });
  }

  bool isPlaced(uint32_t file) const {
    return static_cast<double>(usedBytes.lookup(file)) >=
           request.leastUse * static_cast<double>(request.checkpoint->files[file].bytes);
  }

  LogicalResult printUse(fr::UseOp use) {
    // A param whose bytes are only seen as another type is no tensor of its own type.
    if (!use->use_empty() && llvm::all_of(use->getUsers(), llvm::IsaPred<onnx_ir::ViewOp>))
      return success();
    return printParam(use, cast<mlir::RankedTensorType>(symbols.lookup<fr::ParamOp>(use.getParam()).getType()), use.getResult());
  }

  LogicalResult printView(onnx_ir::ViewOp view) {
    auto type = cast<mlir::RankedTensorType>(view.getType());
    return printParam(view.getParam().getDefiningOp<fr::UseOp>(), type, view.getResult());
  }

  /// An initializer of type `type` over the bytes of the param; each type of a param once.
  LogicalResult printParam(fr::UseOp use, mlir::RankedTensorType type, mlir::Value value) {
    auto [known, isNew] = params.try_emplace({use.getParam().str(), type.getAsOpaquePointer()}, "");
    valueNames[value] = known->second;
    if (!isNew)
      return success();
    if (onnx_ir::elementTypeNumber(type.getElementType()) == 0)
      return diags.error(use.getParam(), "ONNX has no element type for it");
    FailureOr<Place> place = placeOf(use.getParam());
    if (failed(place))
      return failure();
    onnx::TensorProto &tensor = *model.mutable_graph()->add_initializer();
    tensor.set_name(names.unique(use.getParam()));
    known->second = tensor.name();
    valueNames[value] = tensor.name();
    fillTensor(tensor, type);
    if (place->bytes == 0) // nothing to point at
      tensor.set_raw_data("");
    else
      pointAt(tensor, *place);
    return success();
  }

  /// Where the bytes of a param lie, which is decided when it is first asked.
  FailureOr<Place> placeOf(StringRef name) {
    if (auto known = places.find(name); known != places.end())
      return known->second;
    auto param = symbols.lookup<fr::ParamOp>(name);
    auto type = cast<mlir::RankedTensorType>(param.getType());
    std::optional<DType> stored = dtypeOf(type.getElementType());
    if (!stored)
      return diags.error(name, "has an element type that no file stores");
    ExportedTensor entry{name.str(), "", *stored, type.getShape().vec(), 0, 0};
    entry.bytes = static_cast<uint64_t>(type.getNumElements()) * byteWidth(*stored);
    Place &place = places[name];
    place.bytes = entry.bytes;
    if (entry.bytes == 0)
      return place;
    if (fr::GetOp get = param.getIdentity())
      if (const CheckpointTensor *weight = unchanged(get, type); weight && isPlaced(weight->file)) {
        entry.weight = weight->name;
        place.offset = entry.offset = weight->offset;
        place.file = request.checkpoint->files[weight->file].name;
        placed[weight->file].push_back(std::move(entry));
        return place;
      }
    place.offset = entry.offset = dataBytes;
    place.file = dataName();
    dataBytes = llvm::alignTo(dataBytes + entry.bytes, kAlignment);
    derived.push_back(std::move(entry));
    return place;
  }

  /// The tensor of the checkpoint that a param is, bit for bit; null if it is a member of a family, stored otherwise, or in a
  /// file that no artefact may hold.
  const CheckpointTensor *unchanged(fr::GetOp get, mlir::RankedTensorType type) {
    if (!request.checkpoint)
      return nullptr;
    const CheckpointTensor *weight = request.checkpoint->find(get.getWeight().getLeafReference().getValue());
    bool same = weight && request.checkpoint->files[weight->file].format == FileFormat::Safetensors &&
                mlirType(weight->type, type.getContext()) == type.getElementType() && llvm::equal(weight->shape, type.getShape());
    return same ? weight : nullptr;
  }

  void pointAt(onnx::TensorProto &tensor, const Place &place) {
    tensor.set_data_location(onnx::TensorProto::EXTERNAL);
    for (auto [key, value] : {std::pair<const char *, std::string>{"location", place.file},
                              {"offset", std::to_string(place.offset)},
                              {"length", std::to_string(place.bytes)}}) {
      auto &pair = *tensor.add_external_data();
      pair.set_key(key);
      pair.set_value(value);
    }
  }

  std::string graphName() const { return request.stem + ".onnx"; }
  std::string dataName() const { return request.stem + ".onnx.data"; }

  FailureOr<ExportPlan> plan() {
    ExportPlan plan;
    for (auto &[index, tensors] : placed) {
      const CheckpointFile &source = request.checkpoint->files[index];
      if (!isContainedPath(source.name) || source.name == graphName() || source.name == dataName())
        return diags.error(source.name, "is a name that the ONNX folder cannot give to a file of the checkpoint",
                           "rename the file in the source");
      llvm::sort(tensors, [](const ExportedTensor &a, const ExportedTensor &b) { return a.offset < b.offset; });
      plan.files.push_back({ExportedFile::Kind::Placed, source.name, source.bytes, index, std::move(tensors), ""});
    }
    if (!derived.empty()) {
      uint64_t end = derived.back().offset + derived.back().bytes;
      plan.files.push_back({ExportedFile::Kind::Derived, dataName(), end, 0, std::move(derived), ""});
    }
    std::string content;
    {
      google::protobuf::io::StringOutputStream stream(&content);
      google::protobuf::io::CodedOutputStream coded(&stream);
      coded.SetSerializationDeterministic(true);
      if (!model.SerializeToCodedStream(&coded))
        return diags.error(graphName(), "the graph is larger than a protobuf message can be");
    }
    uint64_t bytes = content.size();
    plan.files.push_back({ExportedFile::Kind::Written, graphName(), bytes, 0, {}, std::move(content)});
    return plan;
  }

  const ExportRequest &request;
  Diagnostics &diags;
  mlir::ModuleOp module;
  mlir::SymbolTable symbols;
  mlir::func::FuncOp function;
  onnx::ModelProto model;
  onnx::GraphProto *nodes = model.mutable_graph(); ///< where nodes go: the graph, or the body of a scan
  Names names;
  llvm::DenseMap<mlir::Value, std::string> valueNames;
  std::map<std::pair<std::string, const void *>, std::string> params; ///< param and type -> name of the initializer
  llvm::StringMap<Place> places;
  llvm::DenseMap<uint32_t, uint64_t> usedBytes; ///< of files of the checkpoint
  std::map<uint32_t, std::vector<ExportedTensor>> placed;
  std::vector<ExportedTensor> derived;
  uint64_t dataBytes = 0;
};

} // namespace

FailureOr<ExportPlan> flagrelease::exportOnnx(const ExportRequest &request, Diagnostics &diags) {
  return Printer(request, diags).run();
}
