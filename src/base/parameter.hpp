#pragma once
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace sanctuary {

/// Inclusive bounds of a parameter in its declared unit.
struct Range {
  double lowest = -std::numeric_limits<double>::infinity();
  double highest = std::numeric_limits<double>::infinity();
};

/// What kind of value a parameter holds. `open`: any key stands for the last `*` of its key, and its value is kept as
/// text (`vary.*` takes `vary.tumour.radius`).
enum class Kind { number, integer, flag, choice, text, path, numbers, texts, open };

struct Parameter;

/// Defaults that hang on the choice of another key, such as the name of a tumour type. `of` gives the default as it
/// would stand in a deck, and its source; an empty text: the parameter's own. With a `*` in both keys, they are of one
/// section.
struct Presets {
  struct Default {
    std::string text, source;
  };
  const Parameter* chooser;
  Default (*of)(const Parameter& parameter, std::string_view choice);
};

/// One parameter, declared once beside the physics it belongs to. A key may hold one `*`, which stands for the name of
/// a named section: `drug.*.clearance` is the key `clearance` of `[drug.doxorubicin]`.
struct Parameter {
  std::string_view key;           ///< dotted key; the part up to the last dot is the section
  Kind kind = Kind::number;       ///< number and numbers carry a unit; the others do not
  std::string_view unit = "1";    ///< UDUNITS text; "1": dimensionless
  double value = 0;               ///< default in `unit` (number, integer, flag: 0 or 1)
  Range range = {};               ///< in `unit`; each entry of a list obeys it
  std::string_view text = {};     ///< default of choice, text, path and lists, as it would stand in a deck
  std::string_view choices = {};  ///< choice: allowed values, separated by '|'
  std::string_view meaning = {};
  std::string_view source = {};      ///< paper, first author, year; or "assumed: reason"; or "choice" for settings
  bool required = false;             ///< no default: the deck must give it (where its section is used)
  const Presets* presets = nullptr;  ///< where they give a default, `value` and `text` do not hold
};

/// All parameters of the program in the order in which they are listed. Pointers are to static declarations.
using Catalogue = std::vector<const Parameter*>;

}  // namespace sanctuary
