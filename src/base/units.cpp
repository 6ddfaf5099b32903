#include "base/units.hpp"

#include <udunits2.h>

#include <charconv>
#include <cmath>
#include <map>
#include <memory>

#include "base/error.hpp"
#include "base/text.hpp"

namespace sanctuary::units {
namespace {

template <class T, void (*Free)(T*)>
struct Release {
  void operator()(T* object) const noexcept { Free(object); }
};
using UnitHandle = std::unique_ptr<ut_unit, Release<ut_unit, ut_free>>;
using SystemHandle = std::unique_ptr<ut_system, Release<ut_system, ut_free_system>>;
using ConverterHandle = std::unique_ptr<cv_converter, Release<cv_converter, cv_free>>;

UnitHandle clone(const ut_unit* unit) { return UnitHandle(ut_clone(unit)); }

// The visitor reduces a unit to the product of its SI base units; radians and the like are dropped. UDUNITS itself
// would convert seconds to 1/second by taking the reciprocal, so dimensions are compared on this product instead.
ut_status keep_basic(const ut_unit* unit, void* result) {
  if (ut_is_dimensionless(unit) == 0) *static_cast<UnitHandle*>(result) = clone(unit);
  return UT_SUCCESS;
}

ut_status keep_product(const ut_unit*, int count, const ut_unit* const* basic, const int* powers, void* result) {
  UnitHandle& product = *static_cast<UnitHandle*>(result);
  for (int i = 0; i < count; ++i) {
    if (ut_is_dimensionless(basic[i]) != 0) continue;
    const UnitHandle raised(ut_raise(basic[i], powers[i]));
    product.reset(ut_multiply(product.get(), raised.get()));
  }
  return UT_SUCCESS;
}

extern const ut_visitor base_units;

ut_status keep_underlying(const ut_unit*, double, const ut_unit* underlying, double, void* result) {
  return ut_accept_visitor(underlying, &base_units, result);
}
ut_status refuse_time(const ut_unit*, const ut_unit*, double, void*) { return UT_MEANINGLESS; }
ut_status refuse_logarithm(const ut_unit*, double, const ut_unit*, void*) { return UT_MEANINGLESS; }

const ut_visitor base_units{keep_basic, keep_product, keep_underlying, refuse_time, refuse_logarithm};

// UDUNITS reads `3 4 um` and `um 10` as scaled units; in a deck they are slips. Digits are exponents, or the 1 of
// `1/s`.
bool holds_a_factor(std::string_view text) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto follows_a_unit = [&](std::size_t i) {
    return i > 0 && text.substr(i - 1, 1).find_first_of(" */.(") == std::string_view::npos;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!is_digit(text[i]) && text[i] != '-' && text[i] != '+') continue;
    const std::string_view rest = trimmed(text.substr(i + 1));
    const bool numerator = i == 0 && text[i] == '1' && (rest.empty() || rest.front() == '/');
    if (!numerator && !follows_a_unit(i)) return true;
  }
  return text.find_first_of("@#") != std::string_view::npos;
}

struct Unit {
  UnitHandle unit, si;
  ConverterHandle to_si, from_si;
};

class Table {
 public:
  Table() {
    ut_set_error_message_handler(ut_ignore);
    system_.reset(ut_read_xml(nullptr));
    if (!system_) {
      throw IoError(std::string("cannot read the unit database of UDUNITS-2 at ") + ut_get_path_xml(nullptr, nullptr) +
                    "; install libudunits2-data or set UDUNITS2_XML_PATH");
    }
    one_.reset(ut_get_dimensionless_unit_one(system_.get()));
    add(parsed("kmol/m^3"), {"M"});
    add(clone(one_.get()), {"cell", "cells", "pH"});
    add(parsed("g/mol"), {"Da"});
    add(parsed("poise"), {"P"});
    add(parsed("dyne"), {"dyn"});
    add(parsed("gigabyte"), {"GB"});
    const UnitHandle activity(ut_new_base_unit(system_.get()));
    add(activity, {"IU"});
    ut_map_unit_to_symbol(activity.get(), "IU", UT_ASCII);
  }

  const Unit* find(std::string_view text) {
    const auto found = units_.find(text);
    if (found != units_.end()) return found->second.unit ? &found->second : nullptr;
    const Unit& made = units_.emplace(std::string(text), make(trimmed(text))).first->second;
    return made.unit ? &made : nullptr;
  }

  const Unit& at(std::string_view text) {
    const Unit* unit = find(text);
    if (unit == nullptr) throw InputError("unknown unit '" + std::string(text) + "'; expected a unit of UDUNITS-2");
    return *unit;
  }

 private:
  UnitHandle parsed(const std::string& text) { return UnitHandle(ut_parse(system_.get(), text.c_str(), UT_UTF8)); }

  void add(const UnitHandle& unit, std::initializer_list<const char*> symbols) {
    for (const char* symbol : symbols) {
      // Symbols are case sensitive in UDUNITS and names are not: `M` must not also be `m`.
      if (!unit || ut_map_symbol_to_unit(symbol, UT_UTF8, unit.get()) != UT_SUCCESS) {
        throw IoError(std::string("UDUNITS-2 refuses the supplementary unit '") + symbol + "'");
      }
    }
  }

  Unit make(std::string_view text) {
    Unit made;
    if (text.empty()) text = "1";
    if (holds_a_factor(text)) return made;
    UnitHandle unit = parsed(std::string(text));
    if (!unit) return made;
    UnitHandle si = clone(one_.get());
    if (ut_accept_visitor(unit.get(), &base_units, &si) != UT_SUCCESS) return made;
    made.to_si.reset(ut_get_converter(unit.get(), si.get()));
    made.from_si.reset(ut_get_converter(si.get(), unit.get()));
    if (!made.to_si || !made.from_si) return made;
    made.unit = std::move(unit);
    made.si = std::move(si);
    return made;
  }

  SystemHandle system_;  // before the units, which must be freed first
  UnitHandle one_;
  std::map<std::string, Unit, std::less<>> units_;
};

Table& table() {
  static Table instance;
  return instance;
}

bool same_dimension(const Unit& a, const Unit& b) { return ut_compare(a.si.get(), b.si.get()) == 0; }

}  // namespace

double to_si(double value, std::string_view unit) { return cv_convert_double(table().at(unit).to_si.get(), value); }
double from_si(double value, std::string_view unit) { return cv_convert_double(table().at(unit).from_si.get(), value); }

double factor(std::string_view unit) {
  const Unit& found = table().at(unit);
  if (cv_convert_double(found.to_si.get(), 0.0) != 0) {
    throw InputError("unit '" + std::string(unit) + "' has an offset; expected one that is a plain multiple of SI");
  }
  return cv_convert_double(found.to_si.get(), 1.0);
}

double convert(double value, std::string_view from, std::string_view to) {
  const Unit& a = table().at(from);
  const Unit& b = table().at(to);
  if (!same_dimension(a, b)) {
    throw InputError("unit '" + std::string(from) + "' has the wrong dimension; expected one like '" + std::string(to) +
                     "'");
  }
  if (trimmed(from) == trimmed(to)) return value;
  const ConverterHandle direct(ut_get_converter(a.unit.get(), b.unit.get()));
  return cv_convert_double(direct.get(), value);
}

bool known(std::string_view unit) { return table().find(unit) != nullptr; }

bool compatible(std::string_view a, std::string_view b) {
  const Unit* first = table().find(a);
  const Unit* second = table().find(b);
  return first != nullptr && second != nullptr && same_dimension(*first, *second);
}

bool is_one(std::string_view unit) { return compatible(unit, "1") && factor(unit) == 1.0; }

std::string si_text(std::string_view unit) {
  std::string text(256, '\0');
  const int length = ut_format(table().at(unit).si.get(), text.data(), text.size(), UT_ASCII);
  text.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
  return text.empty() ? "1" : text;
}

std::optional<Quantity> split_quantity(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  Quantity quantity;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), quantity.value);
  if (error != std::errc{} || !std::isfinite(quantity.value)) return std::nullopt;
  quantity.unit = trimmed(text.substr(static_cast<std::size_t>(rest - text.data())));
  return quantity;
}

double parse(std::string_view text, std::string_view expected) {
  const auto quantity = split_quantity(text);
  if (!quantity) {
    throw InputError("'" + std::string(text) + "' does not begin with a number; expected a value like '1 " +
                     std::string(expected) + "'");
  }
  if (quantity->unit.empty() && !is_one(expected)) {
    throw InputError("'" + std::string(text) + "' has no unit; expected one like '" + std::string(expected) + "'");
  }
  const std::string_view unit = quantity->unit.empty() ? std::string_view("1") : std::string_view(quantity->unit);
  (void)convert(quantity->value, unit, expected);  // refuses an unknown unit and a wrong dimension
  return to_si(quantity->value, unit);
}

}  // namespace sanctuary::units
