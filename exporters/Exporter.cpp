#include "exporters/Exporter.h"

#include "exporters/gguf/ExportGguf.h"
#include "exporters/onnx/ExportOnnx.h"

using namespace flagrelease;

static constexpr Exporter kExporters[] = {
    {"onnx", "ONNX with external weights", exportOnnx},
    {"gguf", "GGUF with tokenizer, one file or split", exportGguf},
};

llvm::ArrayRef<Exporter> flagrelease::exporters() { return kExporters; }

const Exporter *flagrelease::findExporter(llvm::StringRef name) {
  for (const Exporter &exporter : kExporters)
    if (name == exporter.name)
      return &exporter;
  return nullptr;
}
