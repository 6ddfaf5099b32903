#include "benchmark/options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.hpp"
#include "base/text.hpp"

namespace sanctuary {
namespace {

template <class Number>
bool read(std::string_view text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

}  // namespace

void BenchmarkOptions::refuse(const std::string& name, std::string_view text, const std::string& expected) const {
  throw InputError(fmt::format("bench {}: --{} '{}' is not understood; expected {}", benchmark_, name, text, expected));
}

std::vector<std::string> BenchmarkOptions::parts(const std::string& name) const {
  const std::vector<std::string> found = split(given_.at(name), ',');
  if (found.empty()) refuse(name, given_.at(name), "at least one value");
  return found;
}

long BenchmarkOptions::count_in(const std::string& name, std::string_view text, long lowest, long highest) const {
  long value = 0;
  if (!read(text, value) || value < lowest || value > highest) {
    refuse(name, text, fmt::format("a whole number from {} to {}", lowest, highest));
  }
  return value;
}

double BenchmarkOptions::number_in(const std::string& name, std::string_view text, double lowest,
                                   double highest) const {
  double value = 0;
  if (!read(text, value) || !std::isfinite(value) || value < lowest || value > highest) {
    refuse(name, text, fmt::format("a number from {} to {}", shortest(lowest), shortest(highest)));
  }
  return value;
}

long BenchmarkOptions::count(const std::string& name, long fallback, long lowest, long highest) const {
  return has(name) ? count_in(name, given_.at(name), lowest, highest) : fallback;
}

std::vector<long> BenchmarkOptions::counts(const std::string& name, std::vector<long> fallback, long lowest,
                                           long highest) const {
  if (!has(name)) return fallback;
  std::vector<long> values;
  for (const std::string& part : parts(name)) values.push_back(count_in(name, part, lowest, highest));
  return values;
}

double BenchmarkOptions::number(const std::string& name, double fallback, double lowest, double highest) const {
  return has(name) ? number_in(name, given_.at(name), lowest, highest) : fallback;
}

std::vector<double> BenchmarkOptions::numbers(const std::string& name, std::vector<double> fallback, double lowest,
                                              double highest) const {
  if (!has(name)) return fallback;
  std::vector<double> values;
  for (const std::string& part : parts(name)) values.push_back(number_in(name, part, lowest, highest));
  return values;
}

std::string BenchmarkOptions::word(const std::string& name, const std::string& fallback,
                                   const std::vector<std::string>& allowed) const {
  if (!has(name)) return fallback;
  const std::string& text = given_.at(name);
  if (std::find(allowed.begin(), allowed.end(), text) == allowed.end()) {
    const std::string near = nearest(text, allowed);
    refuse(name, text,
           fmt::format("one of {}{}", fmt::join(allowed, ", "), near.empty() ? "" : "; did you mean " + near + "?"));
  }
  return text;
}

std::vector<std::string> BenchmarkOptions::words(const std::string& name, std::vector<std::string> fallback,
                                                 const std::vector<std::string>& allowed) const {
  if (!has(name)) return fallback;
  if (given_.at(name) == "all") return allowed;
  std::vector<std::string> values;
  for (const std::string& part : parts(name)) {
    const BenchmarkOptions one(benchmark_, {{name, part}});
    values.push_back(one.word(name, part, allowed));
    if (std::count(values.begin(), values.end(), part) > 1) refuse(name, given_.at(name), "each word once");
  }
  return values;
}

std::vector<std::array<long, 3>> BenchmarkOptions::boxes(const std::string& name,
                                                         std::vector<std::array<long, 3>> fallback) const {
  if (!has(name)) return fallback;
  std::vector<std::array<long, 3>> values;
  for (const std::string& part : parts(name)) {
    const std::vector<std::string> sides = split(part, 'x');
    std::array<long, 3> box{};
    if (sides.size() != 1 && sides.size() != 3) refuse(name, part, "cells along x, y, z, as in 100x60x37, or 64");
    for (std::size_t axis = 0; axis < 3; ++axis) {
      box[axis] = count_in(name, sides[sides.size() == 1 ? 0 : axis], 1, 100000);
    }
    values.push_back(box);
  }
  return values;
}

std::array<double, 3> BenchmarkOptions::triple(const std::string& name, std::array<double, 3> fallback) const {
  if (!has(name)) return fallback;
  const std::vector<std::string> sides = split(given_.at(name), 'x');
  if (sides.size() != 3) refuse(name, given_.at(name), "three numbers along x, y, z, as in 1x1x10");
  std::array<double, 3> value{};
  for (std::size_t axis = 0; axis < 3; ++axis) value[axis] = number_in(name, sides[axis], 1e-6, 1e6);
  return value;
}

}  // namespace sanctuary
