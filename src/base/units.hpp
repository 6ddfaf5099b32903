#pragma once
#include <optional>
#include <string>
#include <string_view>

/// Conversion between the units of decks and files and SI, through UDUNITS-2 with a supplement defined in code: `M`
/// (mol/l), `cell` and `cells` (a count, dimensionless), `Da` (a molar mass: 1 g/mol), `P` (poise), `dyn`, `IU` (a
/// dimension of its own) and `pH` (dimensionless), all with the usual prefixes. A supplement in code cannot get lost.
/// Amounts count in moles, so that SI of `uM` is mol/m^3. Unit texts are parsed once. Not collective, not thread safe.
namespace sanctuary::units {

/// Value of `value` [unit] in SI. InputError if the unit is unknown.
[[nodiscard]] double to_si(double value, std::string_view unit);
/// Value of `value` [SI] in `unit`. InputError if the unit is unknown.
[[nodiscard]] double from_si(double value, std::string_view unit);
/// SI size of one `unit`. InputError if the unit is unknown or has an offset, as degrees Celsius have.
[[nodiscard]] double factor(std::string_view unit);
/// Value of `value` [from] in `to`. InputError if one is unknown or their dimensions differ.
[[nodiscard]] double convert(double value, std::string_view from, std::string_view to);

/// True if the text names a unit. Logarithmic units, dates and texts with a number other than `1/...` are no units
/// here.
[[nodiscard]] bool known(std::string_view unit);
/// True if both are known and have the same dimension; seconds and 1/second do not.
[[nodiscard]] bool compatible(std::string_view a, std::string_view b);
/// True if the unit is known, has no dimension and is one: a number in it needs no unit text.
[[nodiscard]] bool is_one(std::string_view unit);
/// The SI unit of the same dimension, such as `m-1.kg.s-2`; `1` without dimension. InputError if the unit is unknown.
[[nodiscard]] std::string si_text(std::string_view unit);

/// A number and the unit text that followed it (empty: none).
struct Quantity {
  double value = 0;
  std::string unit;
};
/// Splits `<number> <unit>`, `4.13e-8 cm^2/(mmHg s)`; empty if the text does not begin with a finite number. The unit
/// is not checked.
[[nodiscard]] std::optional<Quantity> split_quantity(std::string_view text);
/// SI value of `<number> <unit>`, which must have the dimension of `expected`. InputError otherwise.
[[nodiscard]] double parse(std::string_view text, std::string_view expected);

}  // namespace sanctuary::units
