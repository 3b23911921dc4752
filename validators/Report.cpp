#include "validators/Report.h"

#include "text/Json.h"
#include "validators/ReportParts.h"
#include "weights/Digest.h"

#include "llvm/ADT/STLExtras.h"

namespace flagrelease {

std::string gateDigest(const Gate &gate) { return sha256(gate.file.bytes); }

namespace {
json::Value orNull(const std::string &text) { return text.empty() ? json::Value() : json::Value(text); }

json::Object boundsJson(const Tolerance &tolerance) {
  json::Object object;
  auto add = [&](const char *key, std::optional<double> bound) {
    if (bound)
      object.append(key, *bound);
  };
  add("nmse", tolerance.nmse);
  add("nmse_per_layer", tolerance.nmsePerLayer);
  add("max_relative", tolerance.maxRelative);
  add("cosine", tolerance.cosine);
  add("kl", tolerance.kl);
  add("logprob", tolerance.logprob);
  return object;
}

json::Value toleranceJson(const std::optional<Tolerance> &tolerance) {
  if (!tolerance)
    return {};
  return json::Object{{"tier", tierName(tolerance->tier)},
                      {"compute", numberFormatName(tolerance->compute)},
                      {"schemes", textsJson(tolerance->schemes)},
                      {"bounds", boundsJson(*tolerance)},
                      {"from", tolerance->from}};
}

json::Array idsJson(const std::vector<std::vector<int64_t>> &rows) {
  json::Array array;
  for (const std::vector<int64_t> &row : rows)
    array.push_back(json::Array(row.begin(), row.end()));
  return array;
}

/// The bounds by which one comparison was judged.
json::Value expectedJson(const Comparison &one, const std::optional<Tolerance> &tolerance) {
  if (!one.judged || !tolerance)
    return {};
  Tolerance own = *tolerance;
  if (one.nmseBound)
    own.nmse = one.nmseBound;
  own.nmsePerLayer.reset();
  return boundsJson(own);
}

json::Object comparisonJson(const Comparison &one, const std::optional<Tolerance> &tolerance) {
  json::Object object{{"phase", one.phase},
                      {"output", one.output},
                      {"expected", expectedJson(one, tolerance)},
                      {"measured", distanceJson(one.distance)},
                      {"rows", one.distance.rows},
                      {"inside", one.judged ? json::Value(one.inside) : json::Value()}};
  if (!one.exceeded.empty())
    object.append("exceeded", one.exceeded);
  return object;
}

/// Cases with what was measured of each.
json::Array casesJson(const NumbersResult &numbers) {
  json::Array array;
  for (const ValidationCase &one : numbers.cases.cases) {
    json::Array results;
    for (const Comparison &comparison : numbers.comparisons)
      if (comparison.caseName == one.name)
        results.push_back(comparisonJson(comparison, numbers.tolerance));
    json::Value tokens;
    for (const TokenComparison &own : numbers.tokens)
      if (own.caseName == one.name)
        tokens = json::Object{{"steps", own.steps},
                              {"compared", own.compared},
                              {"equal", own.equal},
                              {"expected", idsJson(own.expected)},
                              {"measured", idsJson(own.measured)}};
    json::Array lengths;
    for (const std::vector<int64_t> &row : one.rows)
      lengths.push_back(row.size());
    array.push_back(json::Object{{"name", one.name},
                                 {"check", gateCheckName(one.check)},
                                 {"required", one.required},
                                 {"ran", llvm::is_contained(numbers.casesRun, one.name)},
                                 {"ids_sha256", one.idsDigest},
                                 // Beyond int64: readers that take numbers for doubles would change it.
                                 {"seed", std::to_string(one.seed)},
                                 {"length", one.length()},
                                 {"lengths", std::move(lengths)},
                                 {"batch", one.rows.size()},
                                 {"padding", paddingName(one.padding)},
                                 {"decode_steps", one.decodeSteps},
                                 {"results", std::move(results)},
                                 {"tokens", std::move(tokens)}});
  }
  return array;
}

json::Value divergenceJson(const std::optional<Divergence> &divergence) {
  if (!divergence)
    return {};
  return json::Object{{"op", divergence->op},
                      {"isolated", numberJson(divergence->isolated)},
                      {"accumulated", numberJson(divergence->accumulated)},
                      {"case", divergence->caseName},
                      {"phase", divergence->phase}};
}

const std::optional<Divergence> &divergenceOf(const Report &report) {
  static const std::optional<Divergence> none;
  if (report.numbers && report.numbers->firstDivergence)
    return report.numbers->firstDivergence;
  return report.golden ? report.golden->firstDivergence : none;
}

json::Array tapsJson(const NumbersResult &numbers) {
  json::Array array;
  for (const TapDistance &tap : numbers.taps)
    array.push_back(json::Object{{"name", tap.name},
                                 {"case", tap.caseName},
                                 {"phase", tap.phase},
                                 {"measured", distanceJson(tap.distance)},
                                 {"inside", tap.inside}});
  return array;
}

json::Value goldenJson(const std::optional<GoldenResult> &golden) {
  if (!golden)
    return {};
  json::Array compared;
  for (const GoldenComparison &one : golden->comparisons) {
    json::Object object{{"name", one.name},
                        {"as", one.as},
                        {"measured", distanceJson(one.distance)},
                        {"expected", json::Object{{"nmse", one.nmseBound}}},
                        {"from", one.boundFrom},
                        {"inside", one.inside}};
    if (!one.exceeded.empty())
      object.append("exceeded", one.exceeded);
    compared.push_back(std::move(object));
  }
  return json::Object{
      {"sha256", golden->digest}, {"compared", std::move(compared)}, {"not_compared", notRunJson(golden->notCompared)}};
}

json::Value bytesJson(const std::optional<BytesResult> &bytes) {
  if (!bytes)
    return {};
  json::Array left;
  for (const auto &[name, reason] : bytes->left)
    left.push_back(json::Object{{"name", name}, {"reason", reason}});
  return json::Object{{"source_tensors", bytes->sourceTensors},
                      {"used", bytes->sourceUsed},
                      {"left", std::move(left)},
                      {"output_tensors", bytes->outputTensors},
                      {"identical", bytes->identical},
                      {"derived", bytes->derived},
                      {"bytes_compared", bytes->bytesCompared},
                      {"problem_count", bytes->problemCount},
                      {"problems", textsJson(bytes->problems)}};
}

json::Object resourcesJson(const ReportResources &resources) {
  const DeviceUsage &device = resources.device;
  return {{"wall_seconds", resources.wallSeconds},
          {"cpu_seconds", resources.cpuSeconds},
          {"peak_memory_bytes", resources.peakMemory},
          {"bytes_read", resources.bytesRead},
          {"bytes_written", resources.bytesWritten},
          {"runner", json::Object{{"runs", device.runs},
                                  {"load_seconds", device.loadSeconds},
                                  {"run_seconds", device.runSeconds},
                                  {"cpu_seconds", device.cpuSeconds},
                                  {"peak_memory_bytes", device.peakRss},
                                  {"bytes_sent", device.bytesSent},
                                  {"bytes_received", device.bytesReceived}}}};
}

json::Object mapJson(const std::map<std::string, std::string> &map) {
  json::Object object;
  for (const auto &[key, value] : map)
    object.append(key, value);
  return object;
}

json::Object lineageJson(const ReportLineage &lineage) {
  json::Array files, left, fallbacks;
  for (const auto &[tensor, reason] : lineage.fallbacks)
    fallbacks.push_back(json::Object{{"tensor", tensor}, {"reason", reason}});
  for (const auto &[name, reason] : lineage.build.leftOut)
    left.push_back(json::Object{{"name", name}, {"reason", reason}});
  for (const auto &[name, file] : lineage.build.sourceFiles)
    files.push_back(json::Object{{"name", name}, {"bytes", file.first}, {"header_sha256", file.second}});
  return {{"model", lineage.model},
          {"family", lineage.family},
          {"task", lineage.task},
          {"chip", lineage.chip},
          {"format", lineage.format},
          {"scheme", lineage.scheme},
          {"fallbacks", std::move(fallbacks)},
          {"manifest_sha256", orNull(lineage.manifestDigest)},
          {"tool", lineage.build.tool},
          {"source", json::Object{{"name", lineage.build.sourceName},
                                  {"revision", orNull(lineage.build.sourceRevision)},
                                  {"files", std::move(files)},
                                  {"left_out", std::move(left)}}},
          {"recipes", mapJson(lineage.build.recipes)},
          {"options", mapJson(lineage.build.options)},
          {"module_sha256", orNull(lineage.build.module)}};
}

json::Object countJson(const std::map<std::string, int64_t> &count) {
  json::Object object;
  for (const auto &[level, number] : count)
    object.append(level, number);
  return object;
}

std::vector<Anomaly> anomaliesOf(const Report &report) {
  std::vector<Anomaly> all;
  if (report.numbers)
    all = report.numbers->anomalies;
  if (report.golden)
    all.insert(all.end(), report.golden->anomalies.begin(), report.golden->anomalies.end());
  return all;
}

/// What a verdict about numbers cannot do without.
LogicalResult checkEvidence(const Report &report, Diagnostics &diags) {
  const Verdict verdict = report.verdict.verdict;
  if (verdict == Verdict::Unproven || verdict == Verdict::Infeasible)
    return success();
  // Bytes that differ need no device.
  if (verdict == Verdict::Regression && report.bytes && report.bytes->problemCount > 0)
    return success();
  const bool cases =
      (report.numbers && !report.numbers->casesRun.empty()) || (report.golden && !report.golden->comparisons.empty());
  bool good = true;
  auto missing = [&](bool there, const char *what) {
    if (!there)
      good = succeeded(diags.error("report.json", "claims " + verdictName(verdict) + " without " + what,
                                   "this is a mistake of the program: please report it", Cause::Answer));
  };
  missing(report.gate, "a gate");
  missing(!report.where.device.empty() && !report.where.probe.engine.empty() && !report.where.probe.os.empty(), "an environment");
  missing(cases, "cases");
  missing(!report.logs.empty(), "raw logs");
  return success(good);
}
} // namespace

FailureOr<std::string> reportJson(const Report &report, Diagnostics &diags) {
  if (failed(checkEvidence(report, diags)))
    return failure();
  json::Array outputs, logs;
  if (report.numbers)
    for (const auto &[name, distance] : report.numbers->worstByOutput())
      outputs.push_back(json::Object{{"name", name}, {"measured", distanceJson(distance)}});
  for (const LogFile &log : report.logs)
    logs.push_back(json::Object{{"name", log.name}, {"bytes", log.bytes}, {"sha256", log.sha256}});
  const bool measured = !report.where.device.empty();
  json::Value gate;
  if (report.gate)
    gate = json::Object{{"name", report.gate->name}, {"sha256", gateDigest(*report.gate)}};
  json::Object root{{"report", 1},
                    {"tool", report.tool},
                    {"verdict", verdictName(report.verdict.verdict)},
                    {"reasons", textsJson(report.verdict.reasons)},
                    {"proxy", report.verdict.proxy},
                    {"gate", std::move(gate)},
                    {"evidence", json::Object{{"tier", measured ? json::Value(tierName(report.where.tier)) : json::Value()},
                                              {"recipe", orNull(report.lineage.evidence)},
                                              {"unproven_options", textsJson(report.lineage.unprovenOptions)}}},
                    {"measured", measured ? json::Value(measuredJson(report.where)) : json::Value()},
                    {"not_run", notRunJson(report.verdict.notRun)},
                    {"checks", checksJson(report.checks)},
                    {"anomalies", anomaliesJson(anomaliesOf(report))},
                    {"notes", report.numbers ? textsJson(report.numbers->notes) : json::Array()},
                    {"environment", measured ? json::Value(probeJson(report.where.probe)) : json::Value()},
                    {"tolerance", report.numbers ? toleranceJson(report.numbers->tolerance) : json::Value()},
                    {"cases", report.numbers ? casesJson(*report.numbers) : json::Array()},
                    {"logs", std::move(logs)},
                    {"numerics", json::Object{{"outputs", std::move(outputs)},
                                              {"taps", report.numbers ? tapsJson(*report.numbers) : json::Array()},
                                              {"first_divergence", divergenceJson(divergenceOf(report))}}},
                    {"golden", goldenJson(report.golden)},
                    {"operators", json::Object{{"verdict", orNull(report.operators.verdict)},
                                               {"count", countJson(report.operators.count)},
                                               {"reason", orNull(report.operators.reason)}}},
                    {"bytes", bytesJson(report.bytes)},
                    {"resources", resourcesJson(report.resources)},
                    {"lineage", lineageJson(report.lineage)},
                    {"command", report.command}};
  return json::toText(std::move(root), json::Writer::Style::Pretty);
}

std::string validateJson(const Report &report) {
  json::Array outputs;
  auto add = [&](const std::string &name, const Distance &distance, json::Value inside) {
    json::Object one{{"name", name}};
    const json::Object measured = distanceJson(distance);
    for (const json::Member &member : measured)
      one.append(member.key, member.value);
    one.append("inside", std::move(inside));
    outputs.push_back(std::move(one));
  };
  if (report.numbers)
    for (const auto &[name, distance] : report.numbers->worstByOutput()) {
      bool judged = true, inside = true;
      for (const Comparison &one : report.numbers->comparisons)
        if (one.output == name && one.phase != "cache")
          judged &= one.judged, inside &= one.inside;
      add(name, distance, judged ? json::Value(inside) : json::Value());
    }
  if (report.golden)
    for (const GoldenComparison &one : report.golden->comparisons)
      add(one.name, one.distance, one.inside);
  json::Array notRun = notRunJson(report.verdict.notRun);
  if (report.golden)
    for (const NotRun &one : report.golden->notCompared)
      notRun.push_back(json::Object{{"check", one.check}, {"reason", one.reason}});
  return json::toText(json::Object{{"verdict", verdictName(report.verdict.verdict)},
                                   {"chip", orNull(report.where.chip)},
                                   {"device", orNull(report.where.device)},
                                   {"on_target", report.where.onTarget},
                                   {"proxy", report.verdict.proxy},
                                   {"outputs", std::move(outputs)},
                                   {"not_run", std::move(notRun)},
                                   {"first_divergence", divergenceJson(divergenceOf(report))},
                                   {"reasons", textsJson(report.verdict.reasons)},
                                   {"checks", checksJson(report.checks)},
                                   {"anomalies", anomaliesJson(anomaliesOf(report))},
                                   {"notes", report.numbers ? textsJson(report.numbers->notes) : json::Array()}});
}

} // namespace flagrelease
