#include "cohort/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/catalogue.hpp"
#include "base/comm.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "cohort/parameters.hpp"
#include "patient/baseline_key.hpp"
#include "patient/parameters.hpp"
#include "patient/settings.hpp"

namespace sanctuary {
namespace {

constexpr std::string_view seed_keys[] = {"patient.seed", "network.generate.seed", "network.lattice.seed"};

std::string place(const Deck::Open& entry, std::string_view section) {
  const Origin& o = entry.origin;
  return fmt::format("{}: {}.{}", o.line > 0 ? fmt::format("{}:{}", o.file, o.line) : o.file, section, entry.key);
}

double number_of(std::string_view text, const std::string& where) {
  text = trimmed(text);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value))
    throw InputError(fmt::format("{}: '{}' is not a number", where, text));
  return value;
}

DesignKind design_of(const std::string& name) {
  if (name == "monte_carlo") return DesignKind::monte_carlo;
  if (name == "latin_hypercube") return DesignKind::latin_hypercube;
  return name == "saltelli" ? DesignKind::saltelli : DesignKind::sobol;
}

DeckTexts texts_of_arm(MPI_Comm comm, const Deck& deck, const std::string& name) {
  DeckTexts texts = read_texts(comm, deck.path(arm::deck, name));
  if (const auto failure = texts.failure.find(texts.main); failure != texts.failure.end())
    throw InputError(fmt::format("{}: cannot read {}: {}; expected the path of a deck", deck.where(arm::deck, name),
                                 texts.main, failure->second));
  return texts;
}

int largest_power_of_two(int limit) {
  int power = 1;
  while (power <= limit / 2) power *= 2;
  return power;
}

}  // namespace

double grid_cells(const Deck& deck) {
  const std::vector<double> cells = deck.numbers(grid::cells);
  double count = 1;
  for (std::size_t axis = 0; axis < 3; ++axis) count *= cells.at(std::min(axis, cells.size() - 1));
  return count;
}

CohortPlan::CohortPlan(Deck deck, std::vector<std::uint64_t> blocks)
    : deck_(std::move(deck)),
      patients_(deck_.integer(cohort::patients)),
      seed_(static_cast<std::uint64_t>(deck_.integer(cohort::seed))),
      geometries_(deck_.integer(cohort::geometries)) {
  read_arms();
  read_design(std::move(blocks));
  make_variants();
  try_patients();
}

void CohortPlan::read_arms() {
  arm_names_ = deck_.names("arm");
  if (arm_names_.empty()) {
    arm_names_ = {"treatment"};
    arm_labels_ = {"treatment"};
    templates_.push_back({deck_.over({}, nullptr, program_catalogue()), {}, {}, 0});
  }
  for (const std::string& name : deck_.names("arm")) {
    if (name.starts_with("baseline"))
      throw InputError(fmt::format("{}: [arm.{}]: 'baseline' names the state before treatment; expected another name",
                                   deck_.file(), name));
    const std::string label = deck_.text(arm::label, name);
    arm_labels_.push_back(label.empty() ? name : label);
    Template made;
    const std::vector<Deck::Open> changes = deck_.open(arm::key, name);
    for (const Deck::Open& change : changes) {
      if (match_open(cohort_catalogue(), change.key) || change.key.starts_with("cohort."))
        throw InputError(fmt::format("{}: an arm changes keys of the patient alone", place(change, "arm." + name)));
      made.own.push_back(change.key);
    }
    try {
      made.deck = deck_.over(changes, nullptr, program_catalogue());
    } catch (const InputError& error) {
      throw InputError(fmt::format("[arm.{}]: {}", name, error.what()));
    }
    templates_.push_back(std::move(made));
  }
  for (Template& made : templates_) made.cells = grid_cells(made.deck);
}

void CohortPlan::read_design(std::vector<std::uint64_t> blocks) {
  DesignPlan plan;
  plan.kind = design_of(deck_.text(cohort::design));
  plan.seed = seed_;
  for (const Deck::Open& entry : deck_.open(vary::key)) {
    const std::string where = place(entry, "vary");
    std::string name;
    const Parameter* parameter = match_parameter(program_catalogue(), entry.key, name);
    if (parameter == nullptr) {
      const std::string meant = nearest_key(program_catalogue(), entry.key);
      throw InputError(fmt::format("{}: unknown key; expected a key that `sanctuary params` lists{}", where,
                                   meant.empty() ? "" : "; did you mean vary." + meant + "?"));
    }
    try {
      laws_.push_back(Variation::parse(*parameter, entry.text));
    } catch (const InputError& error) {
      throw InputError(fmt::format("{}: {}", where, error.what()));
    }
    bool anywhere = false;
    const std::string family = name.empty() ? "" : entry.key.substr(0, entry.key.find("." + name + "."));
    for (std::size_t a = 0; a < templates_.size(); ++a) {
      const std::vector<std::string> members = templates_[a].deck.names(family);
      const bool has = name.empty() || std::find(members.begin(), members.end(), name) != members.end();
      templates_[a].varies.push_back(has);
      anywhere |= has;
      if (std::find(templates_[a].own.begin(), templates_[a].own.end(), entry.key) != templates_[a].own.end())
        throw InputError(
            fmt::format("{}: [arm.{}] gives this key as well; expected it in one of the two", where, arm_names_[a]));
    }
    if (!anywhere)
      throw InputError(
          fmt::format("{}: no arm has a section [{}.{}]; expected one that an arm declares", where, family, name));
    if (entry.key == grid::cells.key) varied_cells_ = plan.keys.size();
    plan.keys.push_back(entry.key);
    parameters_.push_back(parameter);
    names_.push_back(name);
  }
  const std::vector<std::string> triples = deck_.texts(vary::correlate);
  const std::string where = deck_.where(vary::correlate);
  if (triples.size() % 3 != 0) throw InputError(where + ": expected triples of key, key, number (a, b, 0.6)");
  for (std::size_t t = 0; t + 2 < triples.size(); t += 3) {
    Correlation pair;
    for (std::size_t i = 0; i < 2; ++i) {
      const auto found = std::find(plan.keys.begin(), plan.keys.end(), triples[t + i]);
      if (found == plan.keys.end()) {
        const std::string meant = nearest(triples[t + i], plan.keys);
        throw InputError(fmt::format("{}: '{}' does not vary; expected a key of [vary]{}", where, triples[t + i],
                                     meant.empty() ? "" : "; did you mean " + meant + "?"));
      }
      (i == 0 ? pair.first : pair.second) = static_cast<std::size_t>(found - plan.keys.begin());
    }
    pair.rho = number_of(triples[t + 2], where);
    plan.correlations.push_back(pair);
  }
  if (plan.kind == DesignKind::latin_hypercube)
    plan.blocks =
        blocks.empty() ? std::vector<std::uint64_t>{static_cast<std::uint64_t>(patients_)} : std::move(blocks);
  try {
    design_.emplace(plan);
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: [vary]: {}", deck_.file(), error.what()));
  }
  const auto group = static_cast<long>(design_->group_size());
  if (patients_ % group != 0)
    throw InputError(
        fmt::format("{}: a saltelli design of {} parameters has groups of {} rows; expected a multiple of "
                    "it, such as {}",
                    deck_.where(cohort::patients), plan.keys.size(), group, (patients_ / group + 1) * group));

  std::vector<std::string> endpoints = deck_.texts(cohort::sensitivity);
  std::sort(endpoints.begin(), endpoints.end());
  if (const auto twice = std::adjacent_find(endpoints.begin(), endpoints.end()); twice != endpoints.end())
    throw InputError(
        fmt::format("{}: '{}' is given twice; expected each endpoint once", deck_.where(cohort::sensitivity), *twice));

  for (const Deck::Open& entry : deck_.open(plausible::key)) {
    const std::string at = place(entry, "plausible");
    const std::string_view text = trimmed(entry.text);
    const std::vector<std::string> parts = text.size() > 2 && text.front() == '[' && text.back() == ']'
                                               ? split(text.substr(1, text.size() - 2), ',')
                                               : std::vector<std::string>{};
    if (parts.size() != 2)
      throw InputError(
          fmt::format("{}: '{}' is not understood; expected [low, high] in the unit that the endpoint's "
                      "name ends with",
                      at, text));
    plausible_.push_back({entry.key, number_of(parts[0], at), number_of(parts[1], at)});
    if (!(plausible_.back().lowest < plausible_.back().highest))
      throw InputError(fmt::format("{}: the bounds are the wrong way round", at));
  }
  for (const Deck::Open& entry : deck_.open(target::key)) {
    try {
      targets_.push_back(target_of(entry, plan.keys));
    } catch (const InputError& error) {
      throw InputError(fmt::format("{}: {}", place(entry, "target"), error.what()));
    }
  }
}

Target CohortPlan::target_of(const Deck::Open& entry, const std::vector<std::string>& keys) const {
  static constexpr Parameter endpoint{.key = "endpoint"};
  const auto varied = static_cast<std::size_t>(std::find(keys.begin(), keys.end(), entry.key) - keys.begin());
  const bool is_drawn = varied < keys.size();
  Target target{entry.key, varied, Variation::parse(is_drawn ? *parameters_[varied] : endpoint, entry.text), {}};
  if (!is_drawn) return target;
  const Variation& drawn = laws_[varied];
  if (target.law.is_choice() != drawn.is_choice())
    throw InputError(fmt::format("the key varies by {}; expected a target of the same kind", drawn.describe()));
  // The draw and the target may list the items in different orders.
  const std::vector<std::string>& items = target.law.items();
  for (const std::string& item : drawn.items()) {
    const auto found = std::find(items.begin(), items.end(), item);
    if (found == items.end())
      throw InputError(fmt::format("no share for '{}', which [vary] draws; expected all of its items", item));
    target.item_of.push_back(static_cast<std::size_t>(found - items.begin()));
  }
  return target;
}

Deck with_arms(MPI_Comm comm, const Deck& deck) {
  std::vector<Deck::Open> changes;
  for (const std::string& name : deck.names("arm")) {
    if (!deck.given(arm::deck, name) || deck.text(arm::deck, name).empty()) continue;
    const DeckTexts texts = texts_of_arm(comm, deck, name);
    Deck over;
    try {
      over = deck.over({}, &texts, program_catalogue());
    } catch (const InputError& error) {
      throw InputError(fmt::format("[arm.{}]: {}", name, error.what()));
    }
    const auto holds = [](const std::vector<Deck::Open>& list, const std::string& key) {
      return std::any_of(list.begin(), list.end(), [&](const Deck::Open& o) { return o.key == key; });
    };
    const std::vector<Deck::Open> own = deck.open(arm::key, name), varied = deck.open(vary::key);
    for (const Deck::Open& given : over.given()) {
      if (texts.text.contains(given.origin.file) && !holds(own, given.key) && !holds(varied, given.key))
        changes.push_back({fmt::format("arm.{}.{}", name, given.key), given.text, given.origin});
    }
    changes.push_back({full_key(arm::deck, name), "\"\"", {deck.file(), 0}});
  }
  return changes.empty() ? deck : deck.over(changes, nullptr, cohort_catalogue());
}

void CohortPlan::make_variants() {
  const bool share = deck_.flag(cohort::share_baseline);
  const bool judged = !plausible_.empty() || !targets_.empty();
  std::vector<std::string> keys;
  std::vector<int> parent(templates_.size(), -1);
  for (std::size_t a = 0; a < templates_.size() && (share || judged); ++a) {
    const std::string key = baseline_key(templates_[a].deck);
    auto found = std::find(keys.begin(), keys.end(), key);
    if (found == keys.end()) {
      found = keys.insert(keys.end(), key);
      const std::string name = keys.size() == 1 ? "baseline" : fmt::format("baseline_{}", keys.size());
      variants_.push_back({name, name, true, -1, 1});
      template_of_.push_back(a);
    }
    parent[a] = static_cast<int>(found - keys.begin());
  }
  for (std::size_t a = 0; a < templates_.size(); ++a) {
    variants_.push_back({arm_names_[a], arm_labels_[a], false, parent[a], 1});
    template_of_.push_back(a);
  }
}

std::vector<Draw> CohortPlan::draws(long patient) const {
  const std::vector<double> u = design_->uniforms(static_cast<std::uint64_t>(patient));
  std::vector<Draw> found(laws_.size());
  for (std::size_t i = 0; i < laws_.size(); ++i) {
    const double value = laws_[i].quantile(u[i]);
    found[i] = {varied()[i], value, laws_[i].text_of(value)};
  }
  return found;
}

Deck CohortPlan::deck_of(long patient, std::size_t variant) const {
  const Template& made = template_of(variant);
  const Origin origin{fmt::format("{}: patient {}", deck_.file(), patient), 0};
  std::vector<Deck::Open> changes;
  const auto is_own = [&](std::string_view key) {
    return std::find(made.own.begin(), made.own.end(), key) != made.own.end() ||
           std::find(varied().begin(), varied().end(), key) != varied().end();
  };
  const auto group = static_cast<long>(design_->group_of(static_cast<std::uint64_t>(patient)));
  for (const std::string_view key : seed_keys) {
    if (is_own(key)) continue;
    const bool of_network = key != "patient.seed";
    const long who = of_network && geometries_ > 0 ? group % geometries_ : group;
    changes.push_back(
        {std::string(key), std::to_string(seed_for(seed_, static_cast<std::uint64_t>(who), key)), origin});
  }
  const std::vector<Draw> drawn = draws(patient);
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    if (made.varies[i]) changes.push_back({drawn[i].key, drawn[i].text, origin});
  }
  return made.deck.over(changes, nullptr, program_catalogue());
}

double CohortPlan::cells_of(long patient, std::size_t variant) const {
  if (!cells_vary() || !template_of(variant).varies[varied_cells_]) return template_of(variant).cells;
  if (cells_of_last_.first != patient) {
    const Variation& law = laws_[varied_cells_];
    const std::string text =
        law.text_of(law.quantile(design_->uniforms(static_cast<std::uint64_t>(patient))[varied_cells_]));
    const auto found = cells_said_.find(text);
    const double cells = found != cells_said_.end()
                             ? found->second
                             : cells_said_.emplace(text, grid_cells(deck_of(patient, variant))).first->second;
    cells_of_last_ = {patient, cells};
  }
  return cells_of_last_.second;
}

std::vector<int> CohortPlan::widths(int workers) const {
  const auto width = static_cast<int>(deck_.integer(cohort::group_width));
  if (width > 0) {
    if (width > workers)
      throw InputError(
          fmt::format("{}: groups of {} ranks, but {} {} there to work; expected at least one group: start "
                      "{} ranks (one coordinates) or lower cohort.group_width",
                      deck_.where(cohort::group_width), width, workers, workers == 1 ? "is" : "are", width + 1));
    return {width};
  }
  std::vector<int> found;
  for (int w = 1; w <= largest_power_of_two(workers); w *= 2) found.push_back(w);
  return found;
}

int CohortPlan::width_of(long patient, std::size_t variant, int widest) const {
  const auto width = static_cast<int>(deck_.integer(cohort::group_width));
  if (width > 0) return width;
  const double wanted = cells_of(patient, variant) / static_cast<double>(deck_.integer(cohort::cells_per_rank));
  int w = 1;
  while (w < wanted && 2 * w <= widest) w *= 2;
  return w;
}

// A fault that every patient shares is the deck's; one of a single draw becomes that patient's row.
void CohortPlan::try_patients() const {
  constexpr long tried = 8;
  for (std::size_t v = 0; v < variants_.size(); ++v) {
    std::string first;
    bool good = false;
    for (long p = 0; p < std::min(patients_, tried) && !good; ++p) {
      try {
        (void)patient_settings(deck_of(p, v));
        good = true;
      } catch (const InputError& error) {
        if (first.empty()) first = error.what();
      }
    }
    if (!good) throw InputError(fmt::format("arm {}: {}", variants_[v].name, first));
  }
}

}  // namespace sanctuary
