#include "cohort/tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "base/build_info.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "cohort/parameters.hpp"
#include "cohort/scheduler.hpp"
#include "cohort/sensitivity.hpp"
#include "cohort/weighting.hpp"
#include "io/atomic_file.hpp"
#include "io/hdf5.hpp"

namespace sanctuary {
namespace {

constexpr double missing = std::numeric_limits<double>::quiet_NaN();

using Columns = std::map<std::string, std::vector<double>>;

/// Everything in memory, column by column, a row per patient.
struct Loaded {
  std::vector<std::string> endpoints;            // names, sorted
  std::vector<std::vector<long>> status;         // by variant
  std::vector<std::vector<std::string>> reason;  // by variant
  std::vector<Columns> values;                   // by variant
  std::vector<std::vector<double>> draws;        // by varied parameter
  std::vector<double> weight;
};

std::size_t variant_index(const CohortPlan& plan, const std::string& name) {
  const auto& all = plan.variants();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Variant& v) { return v.name == name; });
  return static_cast<std::size_t>(found - all.begin());
}

std::string identifier(const std::string& name) { return "\"" + name + "\""; }

Loaded load(const CohortPlan& plan, const Ledger& ledger) {
  Loaded all;
  const auto patients = static_cast<std::size_t>(plan.patients());
  const std::size_t variants = plan.variants().size();
  all.status.assign(variants, std::vector<long>(patients, 0));
  all.reason.assign(variants, std::vector<std::string>(patients));
  all.values.resize(variants);
  ledger.scan("SELECT patient, variant, status, reason FROM tasks", [&](const Ledger::Row& row) {
    const auto p = static_cast<std::size_t>(row.number(0));
    const std::size_t v = variant_index(plan, row.text(1));
    if (v == variants || p >= patients) return;
    const auto name = std::find(task_status_names.begin(), task_status_names.end(), row.text(2));
    all.status[v][p] = name - task_status_names.begin();
    all.reason[v][p] = row.text(3);
  });
  all.endpoints = ledger.columns("endpoints");
  std::erase_if(all.endpoints, [](const std::string& n) { return n == "task" || n == "patient" || n == "variant"; });
  std::sort(all.endpoints.begin(), all.endpoints.end());
  std::string query = "SELECT patient, variant";
  for (const std::string& name : all.endpoints) query += ", " + identifier(name);
  ledger.scan(query + " FROM endpoints", [&](const Ledger::Row& row) {
    const auto p = static_cast<std::size_t>(row.number(0));
    const std::size_t v = variant_index(plan, row.text(1));
    if (v == variants || p >= patients) return;
    for (std::size_t e = 0; e < all.endpoints.size(); ++e) {
      const double value = row.number(static_cast<int>(e) + 2);
      if (std::isnan(value)) continue;
      std::vector<double>& column = all.values[v][all.endpoints[e]];
      column.resize(patients, missing);
      column[p] = value;
    }
  });
  all.draws.assign(plan.laws().size(), std::vector<double>(patients));
  for (std::size_t p = 0; p < patients; ++p) {
    const std::vector<double> u = plan.design().uniforms(p);
    for (std::size_t i = 0; i < u.size(); ++i) all.draws[i][p] = plan.laws()[i].quantile(u[i]);
  }
  return all;
}

/// A patient counts when the state before treatment was found and plausible and an arm is there to look at.
std::vector<std::size_t> accepted_patients(const CohortPlan& plan, const Loaded& all) {
  std::vector<std::size_t> list;
  constexpr auto done = static_cast<long>(TaskStatus::done);
  for (std::size_t p = 0; p < static_cast<std::size_t>(plan.patients()); ++p) {
    bool good = true, treated = false;
    for (std::size_t v = 0; v < plan.variants().size(); ++v) {
      const bool is_done = all.status[v][p] == done;
      (plan.variants()[v].is_baseline ? good : treated) =
          plan.variants()[v].is_baseline ? good && is_done : treated || is_done;
    }
    if (good && treated) list.push_back(p);
  }
  return list;
}

TableSummary weigh(const CohortPlan& plan, Loaded& all) {
  TableSummary summary;
  const std::vector<std::size_t> accepted = accepted_patients(plan, all);
  summary.accepted = static_cast<long>(accepted.size());
  summary.effective = static_cast<double>(accepted.size());
  all.weight.assign(static_cast<std::size_t>(plan.patients()), 0);
  for (const std::size_t p : accepted) all.weight[p] = 1;
  if (plan.targets().empty() || accepted.empty()) return summary;
  std::vector<std::vector<double>> values;
  std::vector<WeightTarget> targets;
  values.reserve(plan.targets().size());
  try {
    for (const Target& target : plan.targets()) {
      const bool drawn = target.varied < all.draws.size();
      const auto column = all.values.front().find(target.name);
      if (!drawn && (!plan.variants().front().is_baseline || column == all.values.front().end()))
        throw InputError(fmt::format("[target] {}: no such endpoint before treatment", target.name));
      const std::vector<double>& from = drawn ? all.draws[target.varied] : column->second;
      auto& mine = values.emplace_back();
      for (const std::size_t p : accepted)
        mine.push_back(target.item_of.empty() ? from[p]
                                              : static_cast<double>(target.item_of[static_cast<std::size_t>(from[p])]));
      targets.push_back({target.name, &target.law, mine});
    }
    WeightOptions options;
    options.moments = static_cast<int>(plan.deck().integer(cohort::weight_moments));
    const Weighting found = balanced_weights(targets, options);
    for (std::size_t i = 0; i < accepted.size(); ++i) all.weight[accepted[i]] = found.weights[i];
    summary.effective = found.effective;
  } catch (const InputError& error) {
    summary.remarks.push_back(std::string("no weights: ") + error.what());
  }
  return summary;
}

/// How many patients lie outside each plausible bound, in any state before treatment.
std::vector<long> outside(const CohortPlan& plan, const Loaded& all) {
  std::vector<long> counts(plan.plausible().size(), 0);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const Plausibility& bound = plan.plausible()[i];
    std::vector<char> is_outside(static_cast<std::size_t>(plan.patients()), 0);
    for (std::size_t v = 0; v < plan.variants().size(); ++v) {
      const auto column = all.values[v].find(bound.endpoint);
      if (!plan.variants()[v].is_baseline || column == all.values[v].end()) continue;
      for (std::size_t p = 0; p < is_outside.size(); ++p)
        is_outside[p] |= column->second[p] < bound.lowest || column->second[p] > bound.highest;
    }
    counts[i] = std::count(is_outside.begin(), is_outside.end(), 1);
  }
  return counts;
}

std::string number_text(double value) { return std::isnan(value) ? "" : shortest(value); }

std::string csv_text(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted_text = "\"";
  for (const char c : text)
    quoted_text += c == '"' ? std::string("\"\"") : std::string(1, c == '\n' || c == '\r' ? ' ' : c);
  return quoted_text + "\"";
}

std::string csv(const CohortPlan& plan, const Loaded& all) {
  std::string text = "patient,arm,status,reason,weight";
  for (const std::string& key : plan.varied()) text += "," + csv_text(key);
  std::vector<std::string> before, after;  // endpoints that the first baseline and any arm have
  for (const std::string& name : all.endpoints) {
    bool in_arm = false;
    for (std::size_t v = 0; v < plan.variants().size(); ++v) {
      if (!plan.variants()[v].is_baseline) in_arm |= all.values[v].contains(name);
    }
    if (plan.variants().front().is_baseline && all.values.front().contains(name)) before.push_back(name);
    if (in_arm) after.push_back(name);
  }
  for (const std::string& name : before) text += "," + csv_text("baseline." + name);
  for (const std::string& name : after) text += "," + csv_text(name);
  text += "\n";
  for (std::size_t p = 0; p < static_cast<std::size_t>(plan.patients()); ++p) {
    for (std::size_t v = 0; v < plan.variants().size(); ++v) {
      const Variant& variant = plan.variants()[v];
      if (variant.is_baseline) continue;
      text += fmt::format("{},{},{},{},{}", p, csv_text(variant.name),
                          task_status_names.at(static_cast<std::size_t>(all.status[v][p])), csv_text(all.reason[v][p]),
                          number_text(all.weight[p]));
      for (std::size_t i = 0; i < all.draws.size(); ++i) {
        const Variation& law = plan.laws()[i];
        text += "," + (law.is_choice() ? csv_text(law.text_of(all.draws[i][p])) : number_text(all.draws[i][p]));
      }
      const auto add = [&](const Columns& columns, const std::string& name) {
        const auto found = columns.find(name);
        text += "," + (found == columns.end() ? "" : number_text(found->second[p]));
      };
      const std::size_t base = variant.parent >= 0 ? static_cast<std::size_t>(variant.parent) : 0;
      for (const std::string& name : before) add(all.values[base], name);
      for (const std::string& name : after) add(all.values[v], name);
      text += "\n";
    }
  }
  return text;
}

/// A sensitivity of one endpoint in one arm: columns by varied parameter.
struct Sensitivity {
  std::string arm, endpoint;
  double used = 0, dropped = 0;
  Columns columns;
};

std::vector<Sensitivity> sensitivities(const CohortPlan& plan, const Loaded& all, TableSummary& summary) {
  std::vector<Sensitivity> found;
  if (all.draws.empty()) return found;
  const bool saltelli = plan.design().plan().kind == DesignKind::saltelli;
  const bool asked = plan.deck().given(cohort::sensitivity);
  for (const std::string& endpoint : plan.deck().texts(cohort::sensitivity)) {
    const bool anywhere =
        std::any_of(all.values.begin(), all.values.end(), [&](const Columns& c) { return c.contains(endpoint); });
    if (asked && !anywhere)
      summary.remarks.push_back(fmt::format("cohort.sensitivity: no arm has an endpoint '{}'", endpoint));
  }
  for (std::size_t v = 0; v < plan.variants().size(); ++v) {
    if (plan.variants()[v].is_baseline) continue;
    for (const std::string& endpoint : plan.deck().texts(cohort::sensitivity)) {
      const auto found_column = all.values[v].find(endpoint);
      if (found_column == all.values[v].end()) continue;
      std::vector<double> outputs = found_column->second;
      for (std::size_t p = 0; p < outputs.size(); ++p) {
        if (all.weight[p] == 0) outputs[p] = missing;  // rejected or failed
      }
      Sensitivity one{plan.variants()[v].name, endpoint, 0, 0, {}};
      if (saltelli) {
        const SobolIndices indices =
            sobol_indices(outputs, all.draws.size(), static_cast<std::uint64_t>(plan.deck().integer(cohort::seed)));
        one.used = static_cast<double>(indices.groups);
        one.dropped = static_cast<double>(indices.dropped);
        for (const auto& [name, list] :
             {std::pair{std::string("first"), &indices.first}, {std::string("total"), &indices.total}}) {
          for (const Estimate& e : *list) {
            one.columns[name].push_back(e.value);
            one.columns[name + "_standard_error"].push_back(e.standard_error);
            one.columns[name + "_lowest"].push_back(e.lowest);
            one.columns[name + "_highest"].push_back(e.highest);
          }
        }
      } else {
        const RankCorrelations ranks = rank_correlations(all.draws, outputs);
        one.used = static_cast<double>(ranks.rows);
        one.dropped = static_cast<double>(outputs.size()) - one.used;
        for (const RankCorrelation& r : ranks.inputs) {
          one.columns["rank_correlation"].push_back(r.coefficient);
          one.columns["p_value"].push_back(r.p_value);
        }
      }
      found.push_back(std::move(one));
    }
  }
  return found;
}

void into_ledger(const CohortPlan& plan, const Loaded& all, const std::vector<Sensitivity>& sensitivity,
                 Ledger& ledger) {
  ledger.clear("sensitivity");
  for (const Sensitivity& s : sensitivity) {
    for (std::size_t i = 0; i < plan.varied().size(); ++i) {
      Cells row{{"arm", s.arm},
                {"endpoint", s.endpoint},
                {"parameter", plan.varied()[i]},
                {"used", s.used},
                {"dropped", s.dropped}};
      for (const auto& [name, column] : s.columns) {
        if (!std::isnan(column[i])) row[name] = column[i];
      }
      ledger.put_row("sensitivity", row);
    }
  }
  ledger.put_weights(all.weight);
  ledger.commit();
}

void write_hdf5(const CohortPlan& plan, const Loaded& all, const std::vector<Sensitivity>& sensitivity,
                const TableSummary& summary, const Ledger& ledger, const std::filesystem::path& path) {
  const auto patients = static_cast<std::size_t>(plan.patients());
  std::uint64_t columns = all.draws.size() + 3;
  for (const Columns& values : all.values) columns += values.size() + 1;
  Hdf5Writer file(path, columns * patients * sizeof(double) * 2);
  file.attribute("/", "schema_version", "1");
  file.attribute("/", "program_version", build_info::version);
  file.attribute("/", "seed", plan.deck().integer(cohort::seed));
  file.write("/deck", plan.deck().resolved());
  file.attribute("/", "accepted", summary.accepted);
  file.attribute("/", "effective_sample_size", summary.effective);
  std::string remarks;
  for (const std::string& remark : summary.remarks) remarks += (remarks.empty() ? "" : "\n") + remark;
  file.attribute("/", "remark", remarks);
  file.group("/plausible");
  for (std::size_t i = 0; i < plan.plausible().size(); ++i) {
    const Plausibility& bound = plan.plausible()[i];
    file.group("/plausible/" + bound.endpoint);
    file.attribute("/plausible/" + bound.endpoint, "lowest", bound.lowest);
    file.attribute("/plausible/" + bound.endpoint, "highest", bound.highest);
    file.attribute("/plausible/" + bound.endpoint, "outside", summary.outside[i]);
  }
  std::vector<long> numbers(patients);
  std::iota(numbers.begin(), numbers.end(), 0L);
  file.group("/patients");
  file.write("/patients/patient", numbers, {patients});
  file.write("/patients/weight", all.weight, {patients});
  file.group("/parameters");
  for (std::size_t i = 0; i < all.draws.size(); ++i) {
    const std::string name = "/parameters/" + plan.varied()[i];
    file.write(name, all.draws[i], {patients});
    file.attribute(name, "unit", plan.unit_of(i));
    file.attribute(name, "law", plan.laws()[i].describe());
    std::string items;
    if (plan.laws()[i].is_choice())
      for (const std::string& item : plan.laws()[i].items()) items += (items.empty() ? "" : "|") + item;
    file.attribute(name, "items", items);
  }
  file.group("/variants");
  for (std::size_t v = 0; v < plan.variants().size(); ++v) {
    const std::string group = "/variants/" + plan.variants()[v].name;
    file.group(group);
    file.attribute(group, "label", plan.variants()[v].label);
    file.attribute(group, "baseline", plan.variants()[v].is_baseline);
    file.attribute(group, "parent",
                   plan.variants()[v].parent >= 0
                       ? plan.variants()[static_cast<std::size_t>(plan.variants()[v].parent)].name
                       : std::string());
    file.write(group + "/status", all.status[v], {patients});
    std::string codes;
    for (std::size_t i = 0; i < task_status_names.size(); ++i)
      codes += fmt::format("{}{} {}", i == 0 ? "" : ", ", i, task_status_names[i]);
    file.attribute(group + "/status", "codes", codes);
    file.group(group + "/endpoints");
    for (const auto& [name, column] : all.values[v]) file.write(group + "/endpoints/" + name, column, {patients});
    std::vector<std::string> names = ledger.columns("visits");
    std::erase_if(names,
                  [](const std::string& n) { return n == "task" || n == "visit" || n == "patient" || n == "variant"; });
    std::sort(names.begin(), names.end());
    if (names.empty()) continue;
    std::string query = "SELECT patient";
    for (const std::string& name : names) query += ", " + identifier(name);
    std::vector<double> who;
    std::vector<std::vector<double>> visits(names.size());
    ledger.scan(query + " FROM visits WHERE variant = '" + plan.variants()[v].name + "' ORDER BY patient, visit",
                [&](const Ledger::Row& row) {
                  who.push_back(row.number(0));
                  for (std::size_t i = 0; i < names.size(); ++i)
                    visits[i].push_back(row.number(static_cast<int>(i) + 1));
                });
    if (who.empty()) continue;
    file.group(group + "/visits");
    file.write(group + "/visits/patient", std::vector<long>(who.begin(), who.end()), {who.size()});
    for (std::size_t i = 0; i < names.size(); ++i) {
      const bool empty = std::all_of(visits[i].begin(), visits[i].end(), [](double x) { return std::isnan(x); });
      if (empty) continue;
      const auto bracket = names[i].find(" [");
      const std::string name = group + "/visits/" + names[i].substr(0, bracket);
      file.write(name, visits[i], {who.size()});
      file.attribute(name, "unit",
                     names[i] == "day"              ? "d"
                     : bracket == std::string::npos ? "1"
                                                    : names[i].substr(bracket + 2, names[i].size() - bracket - 3));
    }
  }
  file.group("/sensitivity");
  for (const Sensitivity& s : sensitivity) {
    const std::string group = "/sensitivity/" + s.arm + "/" + s.endpoint;
    file.group(group);
    file.attribute(group, "used", s.used);
    file.attribute(group, "dropped", s.dropped);
    std::string keys;
    for (const std::string& key : plan.varied()) keys += (keys.empty() ? "" : "|") + key;
    file.attribute(group, "parameters", keys);
    for (const auto& [name, column] : s.columns) file.write(group + "/" + name, column, {column.size()});
  }
  file.commit();
}

}  // namespace

TableSummary write_tables(const CohortPlan& plan, Ledger& ledger, const std::filesystem::path& directory) {
  Loaded all = load(plan, ledger);
  TableSummary summary = weigh(plan, all);
  summary.outside = outside(plan, all);
  const std::vector<Sensitivity> sensitivity = sensitivities(plan, all, summary);
  into_ledger(plan, all, sensitivity, ledger);
  write_text_atomically(directory / "cohort.csv", csv(plan, all));
  write_hdf5(plan, all, sensitivity, summary, ledger, directory / "cohort.h5");
  return summary;
}

}  // namespace sanctuary
