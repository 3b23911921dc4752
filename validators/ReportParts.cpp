#include "validators/ReportParts.h"

#include <cmath>

namespace flagrelease {

json::Array textsJson(const std::vector<std::string> &texts) { return {texts.begin(), texts.end()}; }

json::Array checksJson(const std::vector<CheckResult> &checks) {
  json::Array array;
  for (const CheckResult &one : checks) {
    json::Object object{{"check", gateCheckName(one.check)}, {"state", checkStateName(one.state)}};
    if (!one.reason.empty())
      object.append("reason", one.reason);
    array.push_back(std::move(object));
  }
  return array;
}

json::Array notRunJson(const std::vector<NotRun> &notRun) {
  json::Array array;
  for (const NotRun &one : notRun)
    array.push_back(json::Object{{"check", one.check}, {"reason", one.reason}});
  return array;
}

json::Array anomaliesJson(const std::vector<Anomaly> &anomalies) {
  json::Array array;
  for (const Anomaly &one : anomalies)
    array.push_back(json::Object{{"kind", one.kind}, {"where", one.where}, {"what", one.what}});
  return array;
}

json::Value numberJson(double value) { return std::isfinite(value) ? json::Value(value) : json::Value(); }
json::Value numberJson(std::optional<double> value) { return value ? numberJson(*value) : json::Value(); }

json::Object probeJson(const Probe &probe) {
  json::Object shown;
  auto add = [&](const char *key, const std::string &value) {
    if (!value.empty())
      shown.append(key, value);
  };
  add("chip", probe.chip);
  add("driver", probe.driver);
  add("sdk", probe.sdk);
  add("engine", probe.engine);
  add("engine_version", probe.engineVersion);
  add("os", probe.os);
  add("cpu", probe.cpu);
  if (probe.memoryBytes > 0)
    shown.append("memory_bytes", probe.memoryBytes);
  if (probe.deviceMemoryBytes > 0)
    shown.append("device_memory_bytes", probe.deviceMemoryBytes);
  json::Object versions;
  for (const auto &[name, version] : probe.versions)
    versions.append(name, version);
  if (!versions.empty())
    shown.append("versions", std::move(versions));
  return shown;
}

json::Object measuredJson(const Measured &where) {
  return json::Object{{"chip", where.chip},
                      {"device", where.device},
                      {"on_target", where.onTarget},
                      {"why", where.why},
                      {"tier", where.device.empty() ? json::Value() : json::Value(tierName(where.tier))},
                      {"isolation", where.isolation}};
}

json::Object distanceJson(const Distance &distance) {
  json::Object object{{"nmse", numberJson(distance.nmse)},
                      {"max_abs", numberJson(distance.maxAbs)},
                      {"max_relative", numberJson(distance.maxRelative)},
                      {"cosine", numberJson(distance.cosine)}};
  if (distance.kl)
    object.append("kl", numberJson(distance.kl));
  if (distance.topK)
    object.append("top_k", numberJson(distance.topK));
  if (distance.logprob)
    object.append("logprob", numberJson(distance.logprob));
  return object;
}

} // namespace flagrelease
