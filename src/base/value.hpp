#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/parameter.hpp"

namespace sanctuary {

/// The value text of a deck as its parameter understands it, or what is wrong with it.
struct Judged {
  std::vector<double> si;          ///< number, integer, flag, numbers
  std::vector<double> declared;    ///< the same in the declared unit
  std::vector<std::string> items;  ///< text, choice, path (absolute), texts; integer and flag as written
  std::string problem;             ///< empty: sound
  std::string expected, meant;     ///< what was expected; the nearest choice, if any
};

/// Reads and checks a value text; a relative path is taken from `base`.
[[nodiscard]] Judged judge(const Parameter& parameter, std::string_view text, const std::filesystem::path& base);

/// Text without the double quotes that enclose it.
[[nodiscard]] std::string unquoted(std::string_view text);
/// Text as it must stand in a deck to be read as it is: in double quotes if it is empty or holds a `#`, say.
[[nodiscard]] std::string quoted_if_needed(std::string_view text);
/// Position of the comment sign of a line, outside double quotes; npos if it has none.
[[nodiscard]] std::size_t comment_start(std::string_view line);

}  // namespace sanctuary
