#pragma once
#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sanctuary {

/// The options of one benchmark as given, read with a default and a range. Every reader throws InputError that names
/// the benchmark, the option, what was given and what was expected. Lists are separated by commas. Not collective.
class BenchmarkOptions {
 public:
  BenchmarkOptions(std::string benchmark, std::map<std::string, std::string> given)
      : benchmark_(std::move(benchmark)), given_(std::move(given)) {}

  [[nodiscard]] bool has(const std::string& name) const { return given_.contains(name); }
  /// A whole number in [lowest, highest].
  [[nodiscard]] long count(const std::string& name, long fallback, long lowest, long highest) const;
  [[nodiscard]] std::vector<long> counts(const std::string& name, std::vector<long> fallback, long lowest,
                                         long highest) const;
  /// A finite number in [lowest, highest].
  [[nodiscard]] double number(const std::string& name, double fallback, double lowest, double highest) const;
  [[nodiscard]] std::vector<double> numbers(const std::string& name, std::vector<double> fallback, double lowest,
                                            double highest) const;
  /// Any text.
  [[nodiscard]] std::string text(const std::string& name, const std::string& fallback) const {
    return has(name) ? given_.at(name) : fallback;
  }
  /// One of the words allowed.
  [[nodiscard]] std::string word(const std::string& name, const std::string& fallback,
                                 const std::vector<std::string>& allowed) const;
  /// Several of the words allowed, none twice; `all` stands for all of them.
  [[nodiscard]] std::vector<std::string> words(const std::string& name, std::vector<std::string> fallback,
                                               const std::vector<std::string>& allowed) const;
  /// Boxes of cells: `64` or `100x60x37`.
  [[nodiscard]] std::vector<std::array<long, 3>> boxes(const std::string& name,
                                                       std::vector<std::array<long, 3>> fallback) const;
  /// Three positive numbers along x, y, z: `1x1x10`.
  [[nodiscard]] std::array<double, 3> triple(const std::string& name, std::array<double, 3> fallback) const;

 private:
  [[noreturn]] void refuse(const std::string& name, std::string_view text, const std::string& expected) const;
  [[nodiscard]] long count_in(const std::string& name, std::string_view text, long lowest, long highest) const;
  [[nodiscard]] double number_in(const std::string& name, std::string_view text, double lowest, double highest) const;
  [[nodiscard]] std::vector<std::string> parts(const std::string& name) const;

  std::string benchmark_;
  std::map<std::string, std::string> given_;
};

}  // namespace sanctuary
