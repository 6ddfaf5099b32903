#include "base/catalogue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "base/text.hpp"
#include "base/units.hpp"
#include "base/value.hpp"

namespace sanctuary {
namespace {

bool has_unit(const Parameter& parameter) { return parameter.kind == Kind::number || parameter.kind == Kind::numbers; }
bool is_numeric(const Parameter& parameter) { return has_unit(parameter) || parameter.kind == Kind::integer; }

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::number:
      return "number";
    case Kind::integer:
      return "integer";
    case Kind::flag:
      return "flag";
    case Kind::choice:
      return "choice";
    case Kind::text:
      return "text";
    case Kind::path:
      return "path";
    case Kind::numbers:
      return "numbers";
    case Kind::texts:
      return "texts";
    case Kind::open:
      return "open";
  }
  return "";
}

std::string with_unit(std::string text, const Parameter& parameter) {
  if (has_unit(parameter) && !units::is_one(parameter.unit)) text += " " + std::string(parameter.unit);
  return text;
}

std::string section_of(std::string_view key) {
  return std::string(key.substr(0, std::min(key.size(), key.rfind('.'))));
}

bool is_well_formed(const Parameter& parameter) {
  std::string_view key = parameter.key;
  if (parameter.kind == Kind::open) {  // the last star stands for a whole key
    if (!key.ends_with(".*")) return false;
    key.remove_suffix(1);
  }
  const std::string plain = std::string(key) + (parameter.kind == Kind::open ? "key" : "");
  key = plain;
  const std::vector<std::string> parts = split(key, '.');
  return parts.size() >= 2 && std::count(key.begin(), key.end(), '*') <= 1 &&
         std::all_of(parts.begin(), parts.end(), [&](const std::string& part) {
           return part == "*" ? &part != &parts.front() && &part != &parts.back()
                              : !part.empty() && std::all_of(part.begin(), part.end(), [](char c) {
                                  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
                                });
         });
}

std::string markdown_cell(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '|') escaped.push_back('\\');
    escaped.push_back(c);
  }
  return escaped;
}

}  // namespace

const Parameter* find_parameter(const Catalogue& catalogue, std::string_view key) {
  const auto found = std::find_if(catalogue.begin(), catalogue.end(), [&](const auto* p) { return p->key == key; });
  return found == catalogue.end() ? nullptr : *found;
}

const Parameter* match_parameter(const Catalogue& catalogue, std::string_view key, std::string& name) {
  name.clear();
  if (const Parameter* exact = find_parameter(catalogue, key); exact != nullptr) {
    return exact->key.find('*') == std::string_view::npos ? exact : nullptr;
  }
  for (const Parameter* parameter : catalogue) {
    const auto star = parameter->key.find('*');
    if (star == std::string_view::npos || parameter->kind == Kind::open) continue;
    const std::string_view head = parameter->key.substr(0, star), tail = parameter->key.substr(star + 1);
    if (key.size() <= head.size() + tail.size() || !key.starts_with(head) || !key.ends_with(tail)) continue;
    const std::string_view middle = key.substr(star, key.size() - head.size() - tail.size());
    if (middle.find('.') != std::string_view::npos) continue;
    name = middle;
    return parameter;
  }
  return nullptr;
}

const Parameter* match_open(const Catalogue& catalogue, std::string_view key) {
  for (const Parameter* parameter : catalogue) {
    if (parameter->kind != Kind::open) continue;
    const std::vector<std::string> pattern = split(parameter->key, '.'), given = split(key, '.');
    if (given.size() < pattern.size()) continue;
    const bool fits =
        std::equal(pattern.begin(), pattern.end(), given.begin(),
                   [](const std::string& wanted, const std::string& part) { return wanted == "*" || wanted == part; });
    if (fits) return parameter;
  }
  return nullptr;
}

std::string full_key(const Parameter& parameter, std::string_view name) {
  std::string key(parameter.key);
  if (const auto star = key.find('*'); star != std::string::npos) key.replace(star, 1, name);
  return key;
}

std::string nearest_key(const Catalogue& catalogue, std::string_view key) {
  const std::vector<std::string> given = split(key, '.');
  std::vector<std::string> candidates;
  for (const Parameter* parameter : catalogue) {
    if (parameter->kind == Kind::open) continue;
    std::string name = "NAME";
    const std::vector<std::string> parts = split(parameter->key, '.');
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (parts[i] == "*" && i + 1 < given.size()) name = given[i];
    }
    candidates.push_back(full_key(*parameter, name));
  }
  return nearest(key, candidates);
}

std::string default_text(const Parameter& parameter) {
  switch (parameter.kind) {
    case Kind::number:
      return with_unit(shortest(parameter.value), parameter);
    case Kind::integer:
      return fmt::format("{:.0f}", parameter.value);
    case Kind::flag:
      return parameter.value != 0 ? "on" : "off";
    default:
      return parameter.text.empty() ? "\"\"" : std::string(parameter.text);
  }
}

std::string range_text(const Parameter& parameter) {
  if (parameter.kind == Kind::choice) {
    std::string choices;
    for (const std::string& choice : split(parameter.choices, '|')) choices += (choices.empty() ? "" : ", ") + choice;
    return choices;
  }
  if (!is_numeric(parameter)) return {};
  const auto [lowest, highest] = parameter.range;
  if (std::isinf(lowest) && std::isinf(highest)) return {};
  std::string text = shortest(lowest) + " to " + shortest(highest);
  if (std::isinf(lowest)) text = "at most " + shortest(highest);
  if (std::isinf(highest)) text = "at least " + shortest(lowest);
  return with_unit(text, parameter);
}

std::string expectation(const Parameter& parameter) {
  const std::string range = range_text(parameter);
  const std::string bounds = range.empty() ? "" : ", " + range;
  const std::string unit = units::is_one(parameter.unit) ? "" : fmt::format(" with a unit like '{}'", parameter.unit);
  switch (parameter.kind) {
    case Kind::number:
      return "a number" + unit + bounds;
    case Kind::numbers:
      return "numbers separated by commas" + unit + bounds;
    case Kind::integer:
      return "an integer" + bounds;
    case Kind::flag:
      return "on or off (true, false, yes, no)";
    case Kind::choice:
      return "one of " + range;
    case Kind::text:
      return "a text";
    case Kind::path:
      return "a path";
    case Kind::texts:
      return "texts separated by commas";
    case Kind::open:
      return "any key";
  }
  return {};
}

std::vector<std::string> catalogue_faults(const Catalogue& catalogue) {
  std::vector<std::string> faults;
  std::set<std::string_view> seen;
  for (const Parameter* parameter : catalogue) {
    const auto fault = [&](std::string_view what) { faults.push_back(fmt::format("{}: {}", parameter->key, what)); };
    if (!seen.insert(parameter->key).second) fault("declared twice");
    if (!is_well_formed(*parameter)) fault("malformed key; expected section.key in lower case, at most one '*'");
    if (trimmed(parameter->meaning).empty()) fault("no meaning");
    if (trimmed(parameter->source).empty()) fault("no source");
    if (has_unit(*parameter) && !units::known(parameter->unit)) {
      fault(fmt::format("unknown unit '{}'", parameter->unit));
      continue;
    }
    const auto [lowest, highest] = parameter->range;
    if (is_numeric(*parameter) && std::isinf(lowest) && std::isinf(highest)) fault("no range");
    if (is_numeric(*parameter) && !(lowest < highest)) fault("empty range");
    if (parameter->kind == Kind::choice && split(parameter->choices, '|').size() < 2) fault("fewer than two choices");
    if (parameter->kind == Kind::path && !parameter->text.empty() && parameter->text.front() != '/') {
      fault("relative path as default, which depends on the deck's folder");
    }
    if (const Presets* presets = parameter->presets) {
      if (!find_parameter(catalogue, presets->chooser->key) || presets->chooser->kind != Kind::choice) {
        fault(fmt::format("presets by {}; expected a choice of the catalogue", presets->chooser->key));
      }
      for (const std::string& choice : split(presets->chooser->choices, '|')) {
        const Presets::Default by = presets->of(*parameter, choice);
        if (by.text.empty()) continue;
        if (const Judged judged = judge(*parameter, by.text, "/"); !judged.problem.empty())
          fault(fmt::format("preset {}: {}; expected {}", choice, judged.problem, judged.expected));
        if (by.source.empty()) fault(fmt::format("preset {}: no source", choice));
      }
    }
    if (parameter->required || parameter->kind == Kind::open) continue;
    if (const Judged judged = judge(*parameter, default_text(*parameter), "/"); !judged.problem.empty()) {
      fault(fmt::format("default: {}; expected {}", judged.problem, judged.expected));
    }
  }
  return faults;
}

Catalogue select(const Catalogue& catalogue, std::string_view glob) {
  Catalogue selected;
  std::copy_if(catalogue.begin(), catalogue.end(), std::back_inserter(selected),
               [&](const Parameter* parameter) { return matches(glob, parameter->key); });
  return selected;
}

std::string catalogue_as_text(const Catalogue& catalogue) {
  std::string text;
  for (const Parameter* parameter : catalogue) {
    const std::string range = range_text(*parameter);
    text += fmt::format("{} = {}\n", parameter->key, parameter->required ? "(required)" : default_text(*parameter));
    text += fmt::format("    {}\n", parameter->meaning);
    if (!range.empty()) text += fmt::format("    range: {}\n", range);
    text += fmt::format("    source: {}\n", parameter->source);
  }
  return text;
}

std::string catalogue_as_json(const Catalogue& catalogue) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Parameter* parameter : catalogue) {
    nlohmann::ordered_json row{{"key", parameter->key}, {"kind", kind_name(parameter->kind)}};
    if (has_unit(*parameter)) row["unit"] = parameter->unit;
    row["default"] = parameter->required ? nlohmann::ordered_json() : nlohmann::ordered_json(default_text(*parameter));
    if (!parameter->required && parameter->kind == Kind::number) row["default_value"] = parameter->value;
    if (is_numeric(*parameter)) {
      // JSON has no infinity: an open bound is null.
      const auto bound = [](double value) {
        return std::isinf(value) ? nlohmann::ordered_json() : nlohmann::ordered_json(value);
      };
      row["range"] = nlohmann::ordered_json::array({bound(parameter->range.lowest), bound(parameter->range.highest)});
    }
    if (parameter->kind == Kind::choice) row["choices"] = split(parameter->choices, '|');
    row["required"] = parameter->required;
    row["meaning"] = parameter->meaning;
    row["source"] = parameter->source;
    list.push_back(std::move(row));
  }
  return list.dump(2) + "\n";
}

std::string catalogue_as_markdown(const Catalogue& catalogue) {
  std::vector<std::string> sections;
  for (const Parameter* parameter : catalogue) {
    const std::string section = section_of(parameter->key);
    if (std::find(sections.begin(), sections.end(), section) == sections.end()) sections.push_back(section);
  }
  std::string text = "# Parameters\n\nWritten by `sanctuary params --format markdown`; not edited by hand.\n";
  for (const std::string& section : sections) {
    text +=
        fmt::format("\n## `[{}]`\n\n| key | default | range | meaning | source |\n|---|---|---|---|---|\n", section);
    for (const Parameter* parameter : catalogue) {
      if (section_of(parameter->key) != section) continue;
      text += fmt::format(
          "| `{}` | {} | {} | {} | {} |\n", parameter->key.substr(section.size() + 1),
          parameter->required ? "required" : markdown_cell(fmt::format("`{}`", default_text(*parameter))),
          markdown_cell(range_text(*parameter)), markdown_cell(parameter->meaning), markdown_cell(parameter->source));
    }
  }
  return text;
}

}  // namespace sanctuary
