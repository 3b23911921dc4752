#include "exporters/Exporter.h"

#include "exporters/gguf/ExportGguf.h"
#include "exporters/hf/ExportHf.h"
#include "exporters/onnx/ExportOnnx.h"

using namespace flagrelease;

static constexpr Exporter kExporters[] = {
    {"onnx", "ONNX with external weights", exportOnnx, false, "model.onnx"},
    {"hf", "safetensors with config and tokenizer, as transformers and vLLM load them", exportHf, true},
    {"gguf", "GGUF with tokenizer, as llama.cpp loads it", exportGguf, true, "model.gguf", false, true},
};

llvm::ArrayRef<Exporter> flagrelease::exporters() { return kExporters; }

const Exporter *flagrelease::findExporter(llvm::StringRef name) {
  for (const Exporter &exporter : kExporters)
    if (name == exporter.name)
      return &exporter;
  return nullptr;
}
