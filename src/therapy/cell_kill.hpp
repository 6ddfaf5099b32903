#pragma once
#include <mpi.h>

#include <array>
#include <span>
#include <string>
#include <vector>

#include "therapy/drug.hpp"

namespace sanctuary {

/// The cells that drugs meet, one value per owned cell of the grid.
struct CellPopulation {
  std::vector<double> density;        ///< living cells per tissue volume at the start [1/m^3]
  std::vector<char> killed;           ///< true where drugs kill (tumour), false where they do not (host)
  std::vector<double> cycling_share;  ///< w of the cycling phase
  double cell_volume = 2e-15;         ///< of a living cell [m^3]
  double resistant_share = 0;         ///< of the cells at the start that are of the resistant clone
};

/// Death rates of cycling cells by several drugs at once: independent drugs each by its own law (Bliss), those of one
/// group as doses of one another (Loewe 1953: sum over drugs of u/u_E = 1, u_E what alone has the joint effect E), E
/// then divided in proportion to the terms.
class RegimenLaw {
 public:
  explicit RegimenLaw(std::span<const Drug> drugs);
  /// `exposure` and `rate`: one per drug, free concentrations at the effect sites [mol/m^3] and death rates [1/s];
  /// clone 0 is the sensitive one.
  void rates(std::size_t clone, std::span<const double> exposure, std::span<double> rate) const;
  [[nodiscard]] const KillLaw& law(std::size_t drug) const { return law_[drug]; }
  /// True if no drug kills.
  [[nodiscard]] bool harmless() const { return alone_.empty() && groups_.empty(); }

 private:
  void group_rates(const std::vector<std::size_t>& group, std::size_t clone, std::span<const double> exposure,
                   std::span<double> rate) const;
  [[nodiscard]] const std::vector<KillLaw>& of_clone(std::size_t clone) const { return clone == 0 ? law_ : resistant_; }
  std::vector<KillLaw> law_, resistant_;  // the latter with the EC50 of the resistant clone
  std::vector<std::size_t> alone_;
  std::vector<std::vector<std::size_t>> groups_;
};

/// Death by all drugs of a regimen: damage that turns lethal after a delay or is repaired, dD/dt = E(u) - (k_l + k_r)
/// D, and cumulated hazards dK/dt = k_l D (without delay dK/dt = E(u)), per drug and clone, of cycling cells; those of
/// quiescent cells are the drug's quiescent_factor times that. A step of the drugs' transport needs the living cells at
/// its stages before their exposure is known: they are predicted to second order from the death rate and its bend.
/// Functions are local unless they say otherwise.
class CellKill {
 public:
  CellKill(MPI_Comm comm, std::span<const Drug> drugs, CellPopulation cells, double relative_tolerance);

  [[nodiscard]] std::size_t clones() const { return clones_; }
  [[nodiscard]] std::size_t cells() const { return cells_.density.size(); }
  [[nodiscard]] const CellPopulation& population() const { return cells_; }
  /// True for a drug that kills directly.
  [[nodiscard]] bool kills(std::size_t drug) const { return law_.law(drug).emax > 0; }

  /// Opens a step of length dt: predicts the living cells of its stages.
  void begin(double dt);
  /// Living cells per volume [1/m^3] and their death rate [1/s] at stage 1 or 2, as predicted.
  [[nodiscard]] const std::vector<double>& density(int stage) const {
    return density_[static_cast<std::size_t>(stage - 1)];
  }
  [[nodiscard]] const std::vector<double>& death(int stage) const {
    return death_[static_cast<std::size_t>(stage - 1)];
  }
  /// Exposures of a drug at the stages, one per owned cell, to be filled before `attempt`.
  [[nodiscard]] std::vector<double>& exposure(std::size_t drug, int stage) {
    return exposure_[drug][static_cast<std::size_t>(stage - 1)];
  }
  /// Integrates the step; returns its error over the tolerance. Collective.
  [[nodiscard]] double attempt();
  /// Keeps the step tried last.
  void accept();
  /// After a kink of the exposures: error estimate and prediction start anew.
  void forget_slope() { has_slope_ = false; }

  /// Hazard of cycling cells by a drug since the start of the cycle.
  [[nodiscard]] const std::vector<double>& hazard(std::size_t drug, std::size_t clone) const {
    return of_drug_[drug].clone[clone].hazard;
  }
  /// Sum over the drugs; quiescent cells.
  [[nodiscard]] double hazard_cycling(std::size_t clone, std::size_t cell) const;
  [[nodiscard]] double hazard_quiescent(std::size_t clone, std::size_t cell) const;
  /// Share of the cells of a clone in each owned cell at the start of the cycle; empty with one clone.
  [[nodiscard]] const std::vector<double>& clone_share(std::size_t clone) const { return share_[clone]; }
  /// Share of the cells of the start of the cycle that lives, of all clones or one (of its own start).
  [[nodiscard]] double survival(std::size_t cell) const;
  [[nodiscard]] double survival(std::size_t clone, std::size_t cell) const;
  /// Starts a cycle: the survivors and their clones are the new start, hazards go back to zero, damage stays.
  void start_cycle(std::vector<double> cycling_share);

  struct Named {
    std::string name;
    std::vector<double>* values;
  };
  /// States, one value per owned cell, named as they go into checkpoints.
  [[nodiscard]] std::vector<Named> states();
  [[nodiscard]] bool has_slope() const { return has_slope_; }
  void set_has_slope(bool has) { has_slope_ = has; }

 private:
  struct Clone {
    std::vector<double> hazard, rate, damage;  // rate: of the hazard at the end of the last step
    std::vector<double> next_hazard, next_rate, next_damage;
  };
  struct OfDrug {
    std::vector<Clone> clone;
  };

  MPI_Comm comm_;
  RegimenLaw law_;
  std::vector<std::string> name_;
  CellPopulation cells_;
  double relative_tolerance_;
  std::size_t clones_ = 1;
  std::vector<std::vector<double>> share_;
  std::vector<OfDrug> of_drug_;
  std::vector<std::array<std::vector<double>, 2>> exposure_;
  std::array<std::vector<double>, 2> density_, death_;
  std::vector<double> death_now_, bend_;  // of the living cells, at the end of the last step
  std::vector<double> next_death_, next_bend_;
  double dt_ = 0;
  bool has_slope_ = false;
};

}  // namespace sanctuary
