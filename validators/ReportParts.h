// Pieces of JSON that attestations and reports share. Not for other folders.
#pragma once

#include "text/Json.h"
#include "validators/Checks.h"
#include "validators/Metrics.h"
#include "validators/Verdict.h"

namespace flagrelease {

json::Array textsJson(const std::vector<std::string> &texts);
json::Array checksJson(const std::vector<CheckResult> &checks);
json::Array notRunJson(const std::vector<NotRun> &notRun);
json::Array anomaliesJson(const std::vector<Anomaly> &anomalies);
/// Null for what is not finite: JSON has no word for it.
json::Value numberJson(double value);
json::Value numberJson(std::optional<double> value);
/// What is unknown is left out.
json::Object probeJson(const Probe &probe);
/// Where it was measured, without the probe.
json::Object measuredJson(const Measured &where);
/// nmse, max_abs, max_relative, cosine, and kl and top_k where they were asked for.
json::Object distanceJson(const Distance &distance);

} // namespace flagrelease
