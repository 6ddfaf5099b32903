#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sanctuary {

/// The text without white space at its ends.
[[nodiscard]] std::string_view trimmed(std::string_view text);
/// The parts between separators, trimmed; separators inside double quotes do not count. An empty text has no parts.
[[nodiscard]] std::vector<std::string> split(std::string_view text, char separator);
/// Number of single-character edits (insert, delete, replace, swap of neighbours) that turn one text into the other.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);
/// The candidate with the fewest edits from `text`, the first of equals; empty if none is near enough to be meant.
[[nodiscard]] std::string nearest(std::string_view text, std::span<const std::string> candidates);
/// True if `text` matches `pattern`, in which `*` stands for any run of characters and `?` for one.
[[nodiscard]] bool matches(std::string_view pattern, std::string_view text);
/// The shortest decimal text that reads back as the same double.
[[nodiscard]] std::string shortest(double value);

}  // namespace sanctuary
