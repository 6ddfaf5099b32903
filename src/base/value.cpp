#include "base/value.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>

#include "base/catalogue.hpp"
#include "base/text.hpp"
#include "base/units.hpp"

namespace sanctuary {
namespace {

std::string quote(std::string_view text) { return fmt::format("'{}'", text); }

Judged refused(std::string problem, const Parameter& parameter, std::string meant = {}) {
  Judged judged;
  judged.problem = std::move(problem);
  judged.expected = expectation(parameter);
  judged.meant = std::move(meant);
  return judged;
}

// A bound given in another unit may miss the declared one by rounding.
bool in_range(double value, const Range& range) {
  constexpr double slack = 1e-12;
  return value >= range.lowest - slack * std::abs(range.lowest) &&
         value <= range.highest + slack * std::abs(range.highest);
}

std::string why_no_number(std::string_view text) {
  std::string low(trimmed(text));
  for (char& c : low) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (low.starts_with('+') || low.starts_with('-')) low.erase(0, 1);
  if (low.starts_with("nan") || low.starts_with("inf")) return quote(text) + " is not a finite number";
  if (!low.empty() && (low.front() == '.' || (low.front() >= '0' && low.front() <= '9'))) {
    return quote(text) + " is beyond the range of numbers";
  }
  return quote(text) + " is not a number";
}

// Appends the number of `text`; `shared_unit` serves where it has no unit of its own. Returns the problem, if any.
std::string append_number(const Parameter& parameter, std::string_view text, std::string_view shared_unit,
                          Judged& judged) {
  const auto quantity = units::split_quantity(text);
  if (!quantity) return why_no_number(text);
  std::string unit = quantity->unit.empty() ? std::string(shared_unit) : quantity->unit;
  const std::string value_text =
      quantity->unit.empty() && !unit.empty() ? std::string(text) + " " + unit : std::string(text);
  if (unit.starts_with(',')) return quote(text) + " holds a comma; the decimal sign is a point";
  if (unit.find(';') != std::string::npos)
    return quote(text) + " holds a ';', which does not start a comment ('#' does)";
  if (unit.empty() && !units::is_one(parameter.unit)) return quote(text) + " has no unit";
  if (!units::known(unit)) return "unknown unit " + quote(unit);
  if (!units::compatible(unit, parameter.unit)) {
    return units::compatible(parameter.unit, "1") ? "unit " + quote(unit) + " on a dimensionless number"
                                                  : "unit " + quote(unit) + " has the wrong dimension";
  }
  const double declared = units::convert(quantity->value, unit, parameter.unit);
  if (!in_range(declared, parameter.range)) return quote(value_text) + " is out of range";
  judged.declared.push_back(declared);
  judged.si.push_back(units::to_si(quantity->value, unit));
  return {};
}

Judged judge_numbers(const Parameter& parameter, std::string_view text) {
  Judged judged;
  if (text == "\"\"") return judged;
  const std::vector<std::string> parts = split(text, ',');
  std::string shared;
  bool only_last_has_unit = true;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto quantity = units::split_quantity(parts[i]);
    if (!quantity) continue;
    if (i + 1 == parts.size()) {
      shared = quantity->unit;
    } else if (!quantity->unit.empty()) {
      only_last_has_unit = false;
    }
  }
  for (const std::string& part : parts) {
    if (part.empty()) return refused("empty entry in the list " + quote(text), parameter);
    const std::string problem =
        append_number(parameter, part, only_last_has_unit ? std::string_view(shared) : std::string_view(), judged);
    if (!problem.empty()) return refused(problem, parameter);
  }
  return judged;
}

Judged judge_integer(const Parameter& parameter, std::string_view text) {
  Judged judged;
  std::string_view digits = text;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  long value = 0;
  const char* end = digits.data() + digits.size();
  if (const auto [rest, error] = std::from_chars(digits.data(), end, value); error != std::errc{} || rest != end) {
    // 1e6 is an integer as well.
    double real = 0;
    const auto [real_rest, real_error] = std::from_chars(digits.data(), end, real);
    if (real_error != std::errc{} || digits.empty()) return refused(quote(text) + " is not an integer", parameter);
    if (real_rest != end) return refused(quote(text) + " is not an integer without a unit", parameter);
    if (!(std::abs(real) < 9e15) || real != std::floor(real)) {
      return refused(quote(text) + " is not an integer", parameter);
    }
    value = static_cast<long>(real);
  }
  if (!in_range(static_cast<double>(value), parameter.range)) {
    return refused(quote(text) + " is out of range", parameter);
  }
  judged.si = judged.declared = {static_cast<double>(value)};
  judged.items = {std::to_string(value)};
  return judged;
}

Judged judge_flag(const Parameter& parameter, std::string_view text) {
  Judged judged;
  const bool on = text == "on" || text == "true" || text == "yes";
  if (!on && text != "off" && text != "false" && text != "no") {
    return refused(quote(text) + " is not a switch", parameter);
  }
  judged.si = judged.declared = {on ? 1.0 : 0.0};
  judged.items = {on ? "on" : "off"};
  return judged;
}

Judged judge_choice(const Parameter& parameter, std::string_view text) {
  Judged judged;
  const std::string value = unquoted(text);
  const std::vector<std::string> allowed = split(parameter.choices, '|');
  for (const std::string& choice : allowed) {
    if (choice == value) judged.items = {value};
  }
  if (judged.items.empty())
    return refused(quote(value) + " is none of the choices", parameter, nearest(value, allowed));
  return judged;
}

Judged judge_texts(const Parameter& parameter, std::string_view text) {
  Judged judged;
  if (text == "\"\"") return judged;
  for (const std::string& part : split(text, ',')) {
    if (part.empty()) return refused("empty entry in the list " + quote(text), parameter);
    judged.items.push_back(unquoted(part));
  }
  return judged;
}

}  // namespace

std::size_t comment_start(std::string_view line) {
  bool inside = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') inside = !inside;
    if (line[i] == '#' && !inside) return i;
  }
  return std::string_view::npos;
}

std::string unquoted(std::string_view text) {
  const bool enclosed = text.size() >= 2 && text.front() == '"' && text.back() == '"' &&
                        text.substr(1, text.size() - 2).find('"') == std::string_view::npos;
  return std::string(enclosed ? text.substr(1, text.size() - 2) : text);
}

std::string quoted_if_needed(std::string_view text) {
  const bool plain =
      !text.empty() && text == trimmed(text) && comment_start(text) == std::string_view::npos && unquoted(text) == text;
  return plain ? std::string(text) : fmt::format("\"{}\"", text);
}

Judged judge(const Parameter& parameter, std::string_view text, const std::filesystem::path& base) {
  text = trimmed(text);
  if (text.empty()) return refused("empty value", parameter);
  Judged judged;
  switch (parameter.kind) {
    case Kind::number: {
      const std::string problem = append_number(parameter, text, {}, judged);
      return problem.empty() ? judged : refused(problem, parameter);
    }
    case Kind::numbers:
      return judge_numbers(parameter, text);
    case Kind::integer:
      return judge_integer(parameter, text);
    case Kind::flag:
      return judge_flag(parameter, text);
    case Kind::choice:
      return judge_choice(parameter, text);
    case Kind::texts:
      return judge_texts(parameter, text);
    case Kind::text:
    case Kind::open:
      judged.items = {unquoted(text)};
      return judged;
    case Kind::path: {
      const std::string given = unquoted(text);
      judged.items = {given.empty() ? given : (base / given).lexically_normal().string()};
      return judged;
    }
  }
  return judged;
}

}  // namespace sanctuary
