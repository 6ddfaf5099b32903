#include "cohort/distributions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/math/special_functions/beta.hpp>
#include <cassert>
#include <limits>
#include <map>
#include <optional>

#include "base/error.hpp"
#include "base/text.hpp"
#include "base/units.hpp"
#include "base/value.hpp"

namespace sanctuary {
namespace {

constexpr double least_kept = 1e-12;

[[noreturn]] void refuse(std::string_view problem, std::string_view expected, std::string_view meant = {}) {
  throw InputError(fmt::format("{}; expected {}{}", problem, expected,
                               meant.empty() ? "" : fmt::format("; did you mean {}?", meant)));
}

std::string with_unit(std::string text, const std::string& unit) { return unit.empty() ? text : text + " " + unit; }

// Position of the bracket that closes the one at `open`; npos if none does.
std::size_t closing(std::string_view text, std::size_t open) {
  int depth = 0;
  for (std::size_t i = open; i < text.size(); ++i) {
    if (text[i] == '(') ++depth;
    if (text[i] == ')' && --depth == 0) return i;
  }
  return std::string_view::npos;
}

// On [0, 1]; infinite at an end with an exponent below 1.
double beta_density(double a, double b, double t) {
  if (t > 0 && t < 1) return boost::math::ibeta_derivative(a, b, t);
  const double here = t > 0 ? b : a, other = t > 0 ? a : b;
  return here < 1 ? std::numeric_limits<double>::infinity() : here > 1 ? 0 : other;
}

bool has_unit(std::string_view text) {
  const auto quantity = units::split_quantity(text);
  return quantity && !quantity->unit.empty();
}

}  // namespace

// Reads the text of a law into a Variation.
class Variation::Reader {
 public:
  Reader(const Parameter& parameter, std::string_view text) : parameter_(parameter), text_(trimmed(text)) {
    law_.whole_ = parameter.kind == Kind::integer;
    law_.unit_ = parameter.kind == Kind::number && parameter.unit != "1" ? std::string(parameter.unit) : "";
  }

  Variation read() {
    split_up();
    const bool numeric = parameter_.kind == Kind::number || parameter_.kind == Kind::integer;
    if (!numeric && law_.law_ != Law::choice) {
      refuse(fmt::format("'{}' on what is no single number", name_), "choice(first, second)");
    }
    if (law_.law_ == Law::choice) {
      read_items();
    } else {
      read_numbers();
      cut();
    }
    return std::move(law_);
  }

 private:
  enum class Meaning { place, width, plain };
  struct Argument {
    std::string name;
    Meaning meaning;
    bool required = true;
  };
  struct Syntax {
    std::string name;
    Law law;
    std::string form;
    std::vector<Argument> arguments;
    bool named = true;
  };

  static const std::vector<Syntax>& syntaxes() {
    static const std::vector<Syntax> all{
        {"lognormal",
         Law::lognormal,
         "lognormal(median = , gsd = )",
         {{"median", Meaning::place}, {"gsd", Meaning::plain}}},
        {"normal", Law::normal, "normal(mean = , sd = )", {{"mean", Meaning::place}, {"sd", Meaning::width}}},
        {"uniform", Law::uniform, "uniform(low, high)", {{"low", Meaning::place}, {"high", Meaning::place}}, false},
        {"loguniform",
         Law::loguniform,
         "loguniform(low, high)",
         {{"low", Meaning::place}, {"high", Meaning::place}},
         false},
        {"beta",
         Law::beta,
         "beta(a = , b = ) or beta(a = , b = , low = , high = )",
         {{"a", Meaning::plain},
          {"b", Meaning::plain},
          {"low", Meaning::place, false},
          {"high", Meaning::place, false}}},
        {"choice", Law::choice, "choice(first, second) or choice(first: weight, second: weight)", {}}};
    return all;
  }

  // name(inside) after
  void split_up() {
    const std::size_t open = std::min(text_.find('('), text_.size());
    name_ = trimmed(text_.substr(0, open));
    std::vector<std::string> names;
    for (const Syntax& syntax : syntaxes()) {
      names.push_back(syntax.name);
      if (syntax.name == name_) syntax_ = &syntax;
    }
    if (syntax_ == nullptr) {
      refuse(fmt::format("'{}' is no distribution", name_),
             "lognormal, normal, uniform, loguniform, beta or choice, with arguments in brackets",
             nearest(name_, names));
    }
    law_.law_ = syntax_->law;
    if (open == text_.size()) refuse(fmt::format("'{}' has no arguments", text_), syntax_->form);
    const std::size_t close = closing(text_, open);
    if (close == std::string_view::npos) refuse(fmt::format("no ')' closes '{}'", text_), syntax_->form);
    inside_ = trimmed(text_.substr(open + 1, close - open - 1));
    after_ = trimmed(text_.substr(close + 1));
    if (!after_.empty() && !(after_.starts_with("in") && trimmed(after_.substr(2)).starts_with('['))) {
      refuse(fmt::format("'{}' after the distribution", after_), "nothing, or 'in [low, high]' with a unit");
    }
  }

  // What a number must be here; bounds of the parameter are no matter of single arguments.
  [[nodiscard]] double number(std::string_view text, Meaning meaning) const {
    Parameter like = parameter_;
    like.range = {};
    like.kind = Kind::number;
    if (meaning == Meaning::plain || law_.whole_) like.unit = "1";
    if (meaning == Meaning::place && law_.whole_ && law_.law_ != Law::lognormal && law_.law_ != Law::normal) {
      like.kind = Kind::integer;
    }
    const Judged judged = judge(like, text, {});
    if (!judged.problem.empty()) refuse(judged.problem, judged.expected, judged.meant);
    if (meaning != Meaning::width) return judged.declared.front();
    const auto quantity = units::split_quantity(text);  // a difference: free of the offset of degrees Celsius
    return judged.declared.front() - units::convert(0, quantity->unit, like.unit);
  }

  void read_numbers() {
    std::map<std::string, std::string> given;
    std::vector<std::string> order;
    const std::vector<std::string> parts = split(inside_, ',');
    const bool by_position = !syntax_->named && inside_.find('=') == std::string_view::npos;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::size_t equals = parts[i].find('=');
      std::string key, value;
      if (by_position) {
        if (i >= syntax_->arguments.size()) refuse(fmt::format("{} arguments", parts.size()), syntax_->form);
        key = syntax_->arguments[i].name;
        value = parts[i];
      } else {
        if (equals == std::string::npos) refuse(fmt::format("'{}' has no name", parts[i]), syntax_->form);
        key = trimmed(std::string_view(parts[i]).substr(0, equals));
        value = trimmed(std::string_view(parts[i]).substr(equals + 1));
      }
      if (argument(key) == nullptr) {
        std::vector<std::string> names;
        for (const Argument& known : syntax_->arguments) names.push_back(known.name);
        refuse(fmt::format("'{}' is no argument of {}", key, name_), syntax_->form, nearest(key, names));
      }
      if (!given.emplace(key, value).second) refuse(fmt::format("'{}' is given twice", key), syntax_->form);
      if (value.empty()) refuse(fmt::format("'{}' has no value", key), syntax_->form);
      if (argument(key)->meaning != Meaning::plain) order.push_back(key);
    }
    for (const Argument& known : syntax_->arguments) {
      if (known.required && !given.contains(known.name)) {
        refuse(fmt::format("'{}' is missing", known.name), syntax_->form);
      }
    }
    share_unit(given, order);
    for (const auto& [key, value] : given) values_[key] = number(value, argument(key)->meaning);
    set_law();
  }

  [[nodiscard]] const Argument* argument(std::string_view name) const {
    const auto found = std::find_if(syntax_->arguments.begin(), syntax_->arguments.end(),
                                    [&](const Argument& known) { return known.name == name; });
    return found == syntax_->arguments.end() ? nullptr : &*found;
  }

  static void share_unit(std::map<std::string, std::string>& given, const std::vector<std::string>& order) {
    if (order.empty() || !has_unit(given[order.back()])) return;
    const std::string unit = units::split_quantity(given[order.back()])->unit;
    for (std::size_t i = 0; i + 1 < order.size(); ++i) {
      if (has_unit(given[order[i]])) return;
    }
    for (std::size_t i = 0; i + 1 < order.size(); ++i) given[order[i]] += " " + unit;
  }

  void require(bool holds, const std::string& argument_name, std::string_view expected) const {
    if (holds) return;
    refuse(fmt::format("{} = {}", argument_name, shortest(values_.at(argument_name))), expected);
  }

  void set_law() {
    switch (law_.law_) {
      case Law::lognormal:
        require(values_["median"] > 0, "median", "a positive median");
        require(values_["gsd"] > 1, "gsd", "a geometric standard deviation above 1");
        law_.centre_ = values_["median"];
        law_.spread_ = values_["gsd"];
        return;
      case Law::normal:
        require(values_["sd"] > 0, "sd", "a positive standard deviation");
        law_.centre_ = values_["mean"];
        law_.spread_ = values_["sd"];
        return;
      case Law::beta:
        for (const char* exponent : {"a", "b"}) {
          require(values_[exponent] >= 1e-3 && values_[exponent] <= 1e6, exponent, "an exponent from 0.001 to 1e6");
        }
        law_.a_ = values_["a"];
        law_.b_ = values_["b"];
        if (values_.contains("low") != values_.contains("high")) {
          refuse(fmt::format("'{}' is missing", values_.contains("low") ? "high" : "low"), syntax_->form);
        }
        if (!values_.contains("low") && !law_.whole_ && !units::is_one(parameter_.unit)) {
          refuse("'low' is missing", fmt::format("low = and high = in a unit like '{}'", parameter_.unit));
        }
        if (!values_.contains("low")) values_.insert({{"low", 0.0}, {"high", 1.0}});
        break;
      case Law::loguniform:
        require(values_["low"] > 0, "low", "a positive lower end");
        break;
      default:
        break;
    }
    if (!(values_["low"] < values_["high"])) {
      refuse(fmt::format("low = {} and high = {}", shortest(values_["low"]), shortest(values_["high"])),
             "low below high");
    }
    law_.low_ = values_["low"] - (law_.whole_ ? 0.5 : 0);
    law_.high_ = values_["high"] + (law_.whole_ ? 0.5 : 0);
  }

  void read_own_bounds() {
    const std::string_view list = trimmed(after_.substr(2));
    const std::size_t close = list.find(']');
    if (close == std::string_view::npos) refuse(fmt::format("no ']' closes '{}'", after_), "'in [low, high]'");
    std::vector<std::string> ends = split(list.substr(1, close - 1), ',');
    if (ends.size() != 2) refuse(fmt::format("'{}' has not two ends", after_), "'in [low, high]'");
    const std::string_view unit = trimmed(list.substr(close + 1));
    if (!has_unit(ends[0])) {
      if (!unit.empty()) {
        ends[0] += fmt::format(" {}", unit);
      } else if (has_unit(ends[1])) {
        ends[0] += " " + units::split_quantity(ends[1])->unit;
      }
    } else if (!unit.empty()) {
      refuse(fmt::format("'{}' has two units", after_), "one unit after the bounds, or one in each");
    }
    if (!unit.empty()) {
      if (has_unit(ends[1])) refuse(fmt::format("'{}' has two units", after_), "one unit after the bounds");
      ends[1] += fmt::format(" {}", unit);
    }
    law_.bounded_ = true;
    law_.own_ = {number(ends[0], Meaning::place), number(ends[1], Meaning::place)};
    if (!(law_.own_.lowest < law_.own_.highest)) {
      refuse(fmt::format("'{}' ends below its beginning", after_), "'in [low, high]' with low below high");
    }
  }

  void cut() {
    if (!after_.empty()) read_own_bounds();
    Range& bounds = law_.bounds_;
    constexpr double finite = std::numeric_limits<double>::max();
    bounds = {std::max({law_.own_.lowest, parameter_.range.lowest, -finite}),
              std::min({law_.own_.highest, parameter_.range.highest, finite})};
    if (law_.whole_) bounds = {std::ceil(bounds.lowest) - 0.5, std::floor(bounds.highest) + 0.5};
    const bool ends = law_.law_ == Law::uniform || law_.law_ == Law::loguniform || law_.law_ == Law::beta;
    if (ends) bounds = {std::max(bounds.lowest, law_.low_), std::min(bounds.highest, law_.high_)};
    double kept = 0;
    if (bounds.lowest < bounds.highest) {
      law_.at_lowest_ = law_.law_tails(bounds.lowest);
      law_.at_highest_ = law_.law_tails(bounds.highest);
      const Tails &a = law_.at_lowest_, &b = law_.at_highest_;
      kept = a.lower > 0.5 ? a.upper - b.upper : b.lower < 0.5 ? b.lower - a.lower : 1 - a.lower - b.upper;
    }
    if (!(kept >= least_kept)) {
      refuse(fmt::format("'{}' leaves nothing between {} and {}", text_,
                         shortest(std::max(law_.own_.lowest, parameter_.range.lowest)),
                         with_unit(shortest(std::min(law_.own_.highest, parameter_.range.highest)), law_.unit_)),
             fmt::format("a probability of {} at least within the bounds and the range of {}", least_kept,
                         parameter_.key));
    }
    law_.kept_ = kept;
  }

  void read_items() {
    if (!after_.empty()) refuse(fmt::format("'{}' after a choice", after_), "the items alone");
    const std::vector<std::string> parts = split(inside_, ',');
    if (parts.empty()) refuse("'choice' has no items", syntax_->form);
    std::size_t weighted = 0;
    double sum = 0;
    for (const std::string& part : parts) {
      const std::size_t colon = part.rfind(':');
      if (colon != std::string::npos) ++weighted;
      const std::string item = item_text(trimmed(std::string_view(part).substr(0, colon)));
      if (std::find(law_.items_.begin(), law_.items_.end(), item) != law_.items_.end()) {
        refuse(fmt::format("'{}' is given twice", item), "each item once");
      }
      const double weight =
          colon == std::string::npos ? 1 : number(std::string_view(part).substr(colon + 1), Meaning::plain);
      if (!(weight > 0)) refuse(fmt::format("weight {} of '{}'", shortest(weight), item), "a positive weight");
      law_.items_.push_back(item);
      law_.weights_.push_back(weight);
      sum += weight;
    }
    if (weighted != 0 && weighted != parts.size()) {
      refuse(fmt::format("{} of {} items have a weight", weighted, parts.size()), "a weight for each or for none");
    }
    if (!std::isfinite(sum)) refuse("the sum of the weights is beyond the range of numbers", "smaller weights");
    double below = 0;
    for (const double weight : law_.weights_) {
      law_.shares_.push_back(weight / sum);
      law_.cumulative_.push_back(below += weight / sum);
    }
    law_.cumulative_.back() = 1;
  }

  [[nodiscard]] std::string item_text(std::string_view text) const {
    const Judged judged = judge(parameter_, text, {});
    if (!judged.problem.empty()) refuse(judged.problem, judged.expected, judged.meant);
    switch (parameter_.kind) {
      case Kind::number:
        return with_unit(shortest(judged.declared.front()), law_.unit_);
      case Kind::integer:
      case Kind::flag:
      case Kind::choice:
        return judged.items.front();
      default:  // a list of one entry, or a text; a path stays relative to the deck
        return std::string(text);
    }
  }

  const Parameter& parameter_;
  std::string_view text_, name_, inside_, after_;
  const Syntax* syntax_ = nullptr;
  std::map<std::string, double> values_;
  Variation law_;
};

Variation Variation::parse(const Parameter& parameter, std::string_view text) { return Reader(parameter, text).read(); }

Tails Variation::law_tails(double value) const {
  switch (law_) {
    case Law::lognormal:
      return value > 0 ? normal_tails(std::log(value / centre_) / std::log(spread_)) : Tails{0, 1};
    case Law::normal:
      return normal_tails((value - centre_) / spread_);
    default:
      break;
  }
  if (!(value > low_)) return {0, 1};
  if (!(value < high_)) return {1, 0};
  if (law_ == Law::loguniform) {
    return {std::log(value / low_) / std::log(high_ / low_), std::log(high_ / value) / std::log(high_ / low_)};
  }
  const Tails part{(value - low_) / (high_ - low_), (high_ - value) / (high_ - low_)};
  if (law_ == Law::uniform) return part;
  return {boost::math::ibeta(a_, b_, part.lower), boost::math::ibeta(b_, a_, part.upper)};
}

double Variation::law_quantile(Tails at) const {
  const bool below = at.lower < at.upper;
  switch (law_) {
    case Law::lognormal:
      return centre_ * std::exp(std::log(spread_) * normal_quantile(at));
    case Law::normal:
      return centre_ + spread_ * normal_quantile(at);
    case Law::loguniform:
      return below ? low_ * std::exp(std::log(high_ / low_) * at.lower)
                   : high_ * std::exp(-std::log(high_ / low_) * at.upper);
    case Law::beta:
      return below ? low_ + (high_ - low_) * boost::math::ibeta_inv(a_, b_, at.lower)
                   : high_ - (high_ - low_) * boost::math::ibeta_inv(b_, a_, at.upper);
    default:
      return below ? low_ + (high_ - low_) * at.lower : high_ - (high_ - low_) * at.upper;
  }
}

double Variation::law_density(double value) const {
  switch (law_) {
    case Law::lognormal: {
      const double width = std::log(spread_);
      return value > 0 ? normal_density(std::log(value / centre_) / width) / (value * width) : 0;
    }
    case Law::normal:
      return normal_density((value - centre_) / spread_) / spread_;
    case Law::loguniform:
      return 1 / (value * std::log(high_ / low_));
    case Law::beta:
      return beta_density(a_, b_, (value - low_) / (high_ - low_)) / (high_ - low_);
    default:
      return 1 / (high_ - low_);
  }
}

double Variation::quantile(double u) const {
  assert(u > 0 && u < 1);
  if (law_ == Law::choice) {
    const auto found = std::lower_bound(cumulative_.begin(), cumulative_.end(), u);
    return static_cast<double>(found - cumulative_.begin());
  }
  const double above = 1 - u;
  Tails at{at_lowest_.lower + u * kept_, at_highest_.upper + above * kept_};
  // The greater of two tails is known through the smaller one only.
  if (at.lower < at.upper) {
    at.upper = 1 - at.lower;
  } else {
    at.lower = 1 - at.upper;
  }
  const double value = std::clamp(law_quantile(at), bounds_.lowest, bounds_.highest);
  return whole_ ? std::clamp(std::ceil(value - 0.5), bounds_.lowest + 0.5, bounds_.highest - 0.5) : value;
}

Tails Variation::tails(double value) const {
  if (law_ == Law::choice) {
    if (value < 0) return {0, 1};
    const auto index = static_cast<std::size_t>(std::min(value, static_cast<double>(items_.size() - 1)));
    return {cumulative_[index], 1 - cumulative_[index]};
  }
  const double x = whole_ ? std::floor(value) + 0.5 : value;
  if (!(x > bounds_.lowest)) return {0, 1};
  if (!(x < bounds_.highest)) return {1, 0};
  const Tails at = law_tails(x);
  const auto share = [&](double probability) { return std::clamp(probability / kept_, 0.0, 1.0); };
  const double lower = share(at_lowest_.lower > 0.5 ? at_lowest_.upper - at.upper : at.lower - at_lowest_.lower);
  const double upper = share(at_highest_.lower < 0.5 ? at_highest_.lower - at.lower : at.upper - at_highest_.upper);
  return lower < upper ? Tails{lower, 1 - lower} : Tails{1 - upper, upper};
}

double Variation::density(double value) const {
  if (law_ == Law::choice) {
    const bool is_item = value >= 0 && value < static_cast<double>(items_.size()) && value == std::floor(value);
    return is_item ? shares_[static_cast<std::size_t>(value)] : 0;
  }
  if (whole_) {
    if (value != std::floor(value)) return 0;
    const Tails at = tails(value), before = tails(value - 1);
    return before.lower < 0.5 ? at.lower - before.lower : before.upper - at.upper;
  }
  return value < bounds_.lowest || value > bounds_.highest ? 0 : law_density(value) / kept_;
}

std::string Variation::text_of(double value) const {
  if (law_ == Law::choice) return items_.at(static_cast<std::size_t>(value));
  return whole_ ? fmt::format("{:.0f}", value) : with_unit(shortest(value), unit_);
}

std::string Variation::describe() const {
  const double half = whole_ ? 0.5 : 0;
  const auto in_unit = [&](double value) { return with_unit(shortest(value), unit_); };
  const std::string ends = fmt::format("{}, {}", shortest(low_ + half), in_unit(high_ - half));
  std::string text;
  switch (law_) {
    case Law::lognormal:
      text = fmt::format("lognormal(median = {}, gsd = {})", in_unit(centre_), shortest(spread_));
      break;
    case Law::normal:
      text = fmt::format("normal(mean = {}, sd = {})", shortest(centre_), in_unit(spread_));
      break;
    case Law::uniform:
      text = fmt::format("uniform({})", ends);
      break;
    case Law::loguniform:
      text = fmt::format("loguniform({})", ends);
      break;
    case Law::beta:
      text = fmt::format("beta(a = {}, b = {}, low = {}, high = {})", shortest(a_), shortest(b_), shortest(low_ + half),
                         in_unit(high_ - half));
      break;
    case Law::choice:
      for (std::size_t i = 0; i < items_.size(); ++i) {
        text += fmt::format("{}{}: {}", i == 0 ? "" : ", ", items_[i], shortest(weights_[i]));
      }
      return "choice(" + text + ")";
  }
  return bounded_ ? text + with_unit(fmt::format(" in [{}, {}]", shortest(own_.lowest), shortest(own_.highest)), unit_)
                  : text;
}

}  // namespace sanctuary
