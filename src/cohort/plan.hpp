#pragma once
#include <mpi.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/deck.hpp"
#include "cohort/design.hpp"
#include "cohort/distributions.hpp"

namespace sanctuary {

/// A bound on an endpoint before treatment.
struct Plausibility {
  std::string endpoint;
  double lowest = 0, highest = 0;
};

/// A marginal that weights shall give to a varied parameter or an endpoint before treatment.
struct Target {
  std::string name;
  std::size_t varied = 0;  ///< index of the varied parameter; as many as there are: an endpoint
  Variation law;
  std::vector<std::size_t> item_of = {};  ///< of each item of a varied choice: its place in the items of the law
};

/// What a patient is put through: the state before treatment, or an arm.
struct Variant {
  std::string name;  ///< `baseline` (`baseline_2`, ...) or the arm's
  std::string label;
  bool is_baseline = false;
  int parent = -1;  ///< variant that must be done first; -1: none
  int width = 1;    ///< ranks, unless it differs between patients
};

/// A value drawn for a patient.
struct Draw {
  std::string key;
  double value = 0;  ///< in the declared unit; of a choice, the index of the item
  std::string text;  ///< as it would stand in a deck
};

/// A cohort as its deck describes it: who is drawn, and which variants each patient goes through. The same on all
/// ranks; everything about one patient follows from the deck and the patient's number alone. Tasks are numbered
/// patient * variants + variant.
class CohortPlan {
 public:
  /// Takes a deck whose arms hold all they change (`with_arms`) and judges it: InputErrors name file, line and key.
  /// `blocks`: sizes of the Latin hypercubes of an extended cohort; empty: one. Serial.
  explicit CohortPlan(Deck deck, std::vector<std::uint64_t> blocks = {});

  [[nodiscard]] const Deck& deck() const { return deck_; }
  [[nodiscard]] long patients() const { return patients_; }
  [[nodiscard]] const std::vector<Variant>& variants() const { return variants_; }
  [[nodiscard]] long tasks() const { return patients_ * static_cast<long>(variants_.size()); }
  [[nodiscard]] long task_of(long patient, std::size_t variant) const {
    return patient * static_cast<long>(variants_.size()) + static_cast<long>(variant);
  }
  [[nodiscard]] long patient_of(long task) const { return task / static_cast<long>(variants_.size()); }
  [[nodiscard]] std::size_t variant_of(long task) const {
    return static_cast<std::size_t>(task % static_cast<long>(variants_.size()));
  }

  /// The values of everything that varies, in the order of the deck.
  [[nodiscard]] std::vector<Draw> draws(long patient) const;
  [[nodiscard]] const std::vector<std::string>& varied() const { return design_->plan().keys; }
  [[nodiscard]] const std::vector<Variation>& laws() const { return laws_; }
  /// Declared unit of something that varies.
  [[nodiscard]] std::string unit_of(std::size_t varied) const { return std::string(parameters_[varied]->unit); }
  [[nodiscard]] const Design& design() const { return *design_; }
  /// The deck of one patient in one variant: what `simulate` would take.
  [[nodiscard]] Deck deck_of(long patient, std::size_t variant) const;
  /// Grid cells of a patient in a variant. Quick where patients come in turn and have few sizes.
  [[nodiscard]] double cells_of(long patient, std::size_t variant) const;
  /// Whether patients differ in size.
  [[nodiscard]] bool cells_vary() const { return varied_cells_ < laws_.size(); }
  /// Ranks for a patient in a variant where at most `widest` are there: by the deck alone.
  [[nodiscard]] int width_of(long patient, std::size_t variant, int widest) const;
  /// Widths that groups of this cohort have where `workers` ranks are there, rising.
  [[nodiscard]] std::vector<int> widths(int workers) const;

  [[nodiscard]] const std::vector<Plausibility>& plausible() const { return plausible_; }
  [[nodiscard]] const std::vector<Target>& targets() const { return targets_; }

 private:
  struct Template {
    Deck deck;
    std::vector<char> varies;      // of each varied parameter: whether this arm has its section
    std::vector<std::string> own;  // keys that the arm itself gives
    double cells = 0;
  };
  void read_arms();
  void read_design(std::vector<std::uint64_t> blocks);
  [[nodiscard]] Target target_of(const Deck::Open& entry, const std::vector<std::string>& keys) const;
  void make_variants();
  void try_patients() const;
  [[nodiscard]] const Template& template_of(std::size_t variant) const { return templates_[template_of_[variant]]; }

  Deck deck_;
  long patients_ = 0;
  std::uint64_t seed_ = 0;
  long geometries_ = 0;
  std::optional<Design> design_;
  std::vector<const Parameter*> parameters_;  // of what varies
  std::vector<std::string> names_;            // what stands for their `*`
  std::vector<Variation> laws_;
  std::vector<std::string> arm_names_, arm_labels_;
  std::vector<Template> templates_;  // of the arms
  std::vector<Variant> variants_;
  std::vector<std::size_t> template_of_;  // of each variant
  std::vector<Plausibility> plausible_;
  std::vector<Target> targets_;
  std::size_t varied_cells_ = static_cast<std::size_t>(-1);  // place of grid.cells among what varies
  mutable std::map<std::string, double> cells_said_;         // by the text that is drawn
  mutable std::pair<long, double> cells_of_last_{-1, 0};     // of the patient asked for last
};

/// The deck of a cohort with what the decks of its arms say in their sections, so that it rests on no other file. Keys
/// that vary stay out: the draw replaces them. Collective on `comm`.
[[nodiscard]] Deck with_arms(MPI_Comm comm, const Deck& deck);

/// Grid cells that a patient's deck asks for.
[[nodiscard]] double grid_cells(const Deck& deck);

}  // namespace sanctuary
