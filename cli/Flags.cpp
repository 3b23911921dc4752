#include "cli/Verbs.h"

using namespace flagrelease;

namespace {
/// A whole number in a range, with a message that people can read.
CLI::Validator between(int64_t least, int64_t most) {
  return CLI::Validator(
      [least, most](std::string &text) {
        int64_t number = 0;
        bool fits = !llvm::StringRef(text).getAsInteger(10, number) && number >= least && number <= most;
        return fits ? std::string()
                    : "'" + text + "' is no whole number from " + std::to_string(least) + " to " + std::to_string(most);
      },
      "");
}
} // namespace

void flagrelease::declareCommon(CLI::App &app, Options &options) {
  app.add_option("--recipes", options.recipes,
                 "a folder of more recipes, laid out as recipes/; its files replace those of the same name")
      ->type_name("DIR");
  app.add_flag("--json", options.json, "the result as JSON on stdout");
  app.add_option("--progress", options.progress,
                 "on stderr; auto: a line per stage and at least every 20 s; bar: the same, changing in place on a terminal; "
                 "json: one event per line")
      ->type_name("HOW")
      ->check(CLI::IsMember({"auto", "bar", "json"}));
  app.add_flag("--quiet", options.quiet, "no progress and no notes");
  app.add_flag("--verbose", options.verbose, "say more");
  app.add_flag("--offline", options.offline, "forbid sockets");
}

void flagrelease::declareSource(CLI::App &app, Options &options) {
  app.add_option("source", options.source,
                 "a checkpoint folder in Hugging Face or ModelScope layout, or one .safetensors, .gguf or .bin file")
      ->required()
      ->type_name("SRC");
  app.add_option("--task", options.task, "causal_lm, classification, embedding or rerank; default: what the files say")
      ->type_name("TASK");
  app.add_option("--assume-inert", options.assumeInert, "a key of config.json that does not change the numbers")
      ->type_name("KEY")
      ->expected(1)
      ->take_all();
  app.add_option("--task-option", options.taskOptions, "a value that the task needs, such as yes_token=9693")
      ->type_name("NAME=N")
      ->expected(1)
      ->take_all();
  declareCommon(app, options);
}

void flagrelease::declareTarget(CLI::App &app, Options &options) {
  app.add_option("--chip", options.chip, "see `flagrelease list chips`")->required()->type_name("CHIP");
  app.add_option("--format", options.format, "default: the chip's first that can be written")->type_name("FORMAT");
  app.add_option("--scheme", options.scheme, "how weights are stored; default: as the source stores them")
      ->type_name("SCHEME")
      ->capture_default_str();
  app.add_flag("--allow-requantize", options.allowRequantize, "quantise a source that is quantised already");
  app.add_flag("--allow-type-fallback", options.allowTypeFallback,
               "a tensor whose rows are no whole groups of the scheme is stored otherwise, and listed");
  app.add_option("--kv-cache", options.kvCache, "none, dynamic or static:N")->type_name("MODE");
  app.add_option("--context", options.context, "tokens to plan with, or the length of fixed shapes")
      ->type_name("N")
      ->check(between(1, 1 << 30));
  app.add_option("--batch", options.batch, "rows to plan with, or of fixed shapes")->type_name("N")->check(between(1, 1 << 20));
  app.add_flag("--strict-plan", options.strictPlan,
               "operators that are listed by name only, or not at all, count as unsupported");
  app.add_option("--dump-dir", options.dumpDir, "writes the module after each pass")->type_name("DIR");
}

void flagrelease::declareOutput(CLI::App &app, Options &options) {
  app.add_option("--out", options.out, "default: ./<name>-<chip>-<format>-<scheme>")->type_name("DIR");
  app.add_flag("--force", options.force, "replace what an earlier run wrote there, and nothing else");
  app.add_option("--shard-size", options.shardSize,
                 "tensor bytes in one file of weights, such as 2GB; default: unchanged files stay as they are, others up to 5GB")
      ->type_name("SIZE")
      ->check([](const std::string &text) { return text.empty() ? std::string("needs a size, such as 2GB") : std::string(); });
  app.add_flag("--link", options.link, "hard links to unchanged weight files instead of copies");
  app.add_option("--wait", options.wait, "for a living run that holds the folder, such as 10m")->type_name("TIME");
  app.add_flag("--allow-range-loss", options.allowRangeLoss, "numbers may leave the range of a narrower type");
}

void flagrelease::declareProof(CLI::App &app, Options &options) {
  app.add_option("--device", options.device, "where to measure: ort:cpu, a name of devices.yaml, or none")->type_name("DEVICE");
  app.add_option("--devices", options.devicesFile, "default: $FLAGRELEASE_DEVICES, ~/.config/flagrelease/devices.yaml")
      ->type_name("FILE");
  app.add_option("--gate", options.gate, "which checks, thresholds and evidence a verdict needs")
      ->type_name("GATE")
      ->capture_default_str();
  app.add_option("--validate", options.validate, "none, bytes or numbers")
      ->check(CLI::IsMember({"none", "bytes", "numbers"}))
      ->capture_default_str();
  app.add_option("--budget", options.budget, "seconds for cases that the gate does not require")
      ->type_name("S")
      ->check(between(0, 1 << 30));
  app.add_flag("--no-sandbox", options.noSandbox, "run local runners without isolation; it is recorded");
}

void flagrelease::declareWork(CLI::App &app, Options &options) {
  app.add_option("--memory", options.memory, "bound of host memory for weights and buffers")
      ->type_name("SIZE")
      ->capture_default_str();
  app.add_option("--jobs", options.jobs, "threads; default: what this process may use")->type_name("N")->check(between(1, 4096));
}
