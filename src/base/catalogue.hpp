#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/parameter.hpp"

namespace sanctuary {

/// The parameter declared with this key (with its `*`), or null.
[[nodiscard]] const Parameter* find_parameter(const Catalogue& catalogue, std::string_view key);
/// The parameter that a key of a deck means, with what stands for the `*` in `name`; null if there is none.
[[nodiscard]] const Parameter* match_parameter(const Catalogue& catalogue, std::string_view key, std::string& name);
/// The parameter of kind `open` that takes this key; null if there is none.
[[nodiscard]] const Parameter* match_open(const Catalogue& catalogue, std::string_view key);
/// The key with `name` in place of the `*`.
[[nodiscard]] std::string full_key(const Parameter& parameter, std::string_view name);
/// The valid key nearest to a wrong one; empty if none is near.
[[nodiscard]] std::string nearest_key(const Catalogue& catalogue, std::string_view key);

/// The default as it would stand in a deck, with its unit.
[[nodiscard]] std::string default_text(const Parameter& parameter);
/// What a value must be, for messages: `a number in um from 1 to 1000`.
[[nodiscard]] std::string expectation(const Parameter& parameter);
/// The range in words, `1 to 1000 um`; the choices of a choice; empty where anything goes.
[[nodiscard]] std::string range_text(const Parameter& parameter);

/// Everything wrong with the declarations: repeated and malformed keys, missing meaning, source or range, unknown
/// units, defaults out of range or unreadable. A sound catalogue gives none.
[[nodiscard]] std::vector<std::string> catalogue_faults(const Catalogue& catalogue);

/// The parameters whose key matches a glob (`grid.*`), in catalogue order.
[[nodiscard]] Catalogue select(const Catalogue& catalogue, std::string_view glob);
/// Key, default, range, meaning and source of each: for reading, as JSON array, as Markdown tables by section.
[[nodiscard]] std::string catalogue_as_text(const Catalogue& catalogue);
[[nodiscard]] std::string catalogue_as_json(const Catalogue& catalogue);
[[nodiscard]] std::string catalogue_as_markdown(const Catalogue& catalogue);

}  // namespace sanctuary
