#pragma once
#include <mpi.h>

#include <array>
#include <span>
#include <string>
#include <vector>

#include "solvers/transport.hpp"
#include "therapy/cell_kill.hpp"
#include "therapy/drug.hpp"

namespace sanctuary {

/// What a drug does in each cell of the grid beside moving: entry into living cells by a carrier, passively and from
/// other drugs that set it free, pump, sites and loss in them; reversible binding to fixed sites of the matrix; targets
/// on tumour cells; release of what dead cells held; its own release of a payload; and the exposure that all this adds
/// up to. All of it is solved with the free concentration in the stages of the transport, cell by cell.
///
/// In a cell of the grid where the second stage of the method would start from a negative amount, or from more on sites
/// than there are, the step goes on from the first stage by an implicit Euler step over the rest of it: of first order
/// there, with every amount positive and every sum kept.
class DrugResponse final : public LocalReaction {
 public:
  /// `accessible`: share of the tissue volume open to the drug; `site_factor`: matrix sites of each owned cell over
  /// those declared (empty: 1); `scale`: a typical free concentration [mol/m^3]: amounts below those in equilibrium
  /// with 1e-4 of it are held to that error. Borrows `kill`. Collective.
  DrugResponse(MPI_Comm comm, const Drug& drug, const CellKill& kill, std::vector<double> accessible,
               std::vector<double> site_factor, double cell_volume, double relative_tolerance, double scale);

  /// Another drug that sets this one free; to be called once for each before the first step. That one steps first.
  void add_carrier(DrugResponse& carrier);

  struct Named {
    std::string name;
    std::vector<double>* values;
  };
  /// States and records, one value per owned cell, named as they go into checkpoints.
  [[nodiscard]] std::vector<Named> states();

  [[nodiscard]] bool has_target() const { return drug_.target.number > 0; }
  [[nodiscard]] bool enters_cells() const { return enters_; }
  [[nodiscard]] bool binds_matrix() const { return binds_; }
  [[nodiscard]] const std::vector<double>& bound() const { return bound_.value; }  ///< [mol/m^3 of fluid]
  /// In cells, free and on sites there [mol/m^3 of tissue].
  [[nodiscard]] const std::vector<double>& free_in_cells() const { return inside_.value; }
  [[nodiscard]] const std::vector<double>& held_in_cells() const { return held_.value; }
  [[nodiscard]] double in_cells(std::size_t cell) const;
  /// Of targets on cells: free, in complex, and drug taken in by them [mol/m^3 of tissue].
  [[nodiscard]] const std::vector<double>& free_targets() const { return free_targets_.value; }
  [[nodiscard]] const std::vector<double>& complexes() const { return complexes_.value; }
  [[nodiscard]] const std::vector<double>& internalised() const { return internalised_.value; }
  /// All drug in a cell of the grid but the free one, per tissue volume [mol/m^3].
  [[nodiscard]] double immobile(std::size_t cell) const;

  /// Exposure since the start of the cycle to one form of the drug: integral [mol s/m^3], largest value [mol/m^3] and
  /// time [s] above what is in equilibrium with the free threshold.
  struct Record {
    std::vector<double> area, peak, above;
  };
  [[nodiscard]] const Record& free_record() const { return free_record_; }
  [[nodiscard]] const Record& bound_record() const { return bound_record_; }          ///< as bound()
  [[nodiscard]] const Record& cells_record() const { return cells_record_; }          ///< as in_cells()
  [[nodiscard]] const Record& complexes_record() const { return complexes_record_; }  ///< as complexes()
  [[nodiscard]] const Record& internalised_record() const { return internalised_record_; }
  [[nodiscard]] const std::vector<double>& accessible() const { return accessible_; }
  /// Sets the records back to zero.
  void start_cycle();

  /// Free concentration in equilibrium with what is at the effect site, at stage 1 or 2 of the step tried last.
  void effect(int stage, std::span<const double> concentration, std::span<double> exposure) const;
  /// For the drugs that this one sets free: what it releases in the step tried last, from its stage concentrations.
  void set_free(std::span<const double> first, std::span<const double> second);
  /// Nothing is released in the coming step.
  void set_free_nothing();

  /// Amounts cumulated since the start over all ranks [mol].
  struct Ledger {
    double taken_up = 0, given_back = 0, released_by_death = 0;  ///< into cells, out of living and out of dead ones
    double degraded_in_cells = 0;
    double bound_in = 0, bound_out = 0;                    ///< onto matrix sites and off them
    double on_targets = 0, off_targets = 0, degraded = 0;  ///< off: apart again, or by death
    double released = 0, released_from_sites = 0;          ///< turned into payload outside of cells
    double set_free = 0, set_free_in_cells = 0;            ///< from carriers
  };
  [[nodiscard]] const Ledger& ledger() const { return ledger_; }
  Ledger& ledger() { return ledger_; }
  /// Amounts now in the cells, on targets and taken in with them, on matrix sites [mol]. Collective.
  [[nodiscard]] double amount_in_cells() const;
  [[nodiscard]] double amount_on_targets() const;
  [[nodiscard]] double amount_bound() const;
  /// Moles of payload that this drug has set free so far.
  [[nodiscard]] double payload_released() const;
  /// Cells of the grid whose step went on from the first stage, cumulated over all steps and ranks.
  [[nodiscard]] long positive_steps() const { return positive_steps_; }
  void forget_slope() { has_slope_ = false; }
  [[nodiscard]] bool has_slope() const { return has_slope_; }
  void set_has_slope(bool has) { has_slope_ = has; }

 private:
  /// A state over a step: value at its start, stage values, last slope.
  struct State {
    std::vector<double> value, first, second, slope;
    void resize(std::size_t n);
    [[nodiscard]] double star(std::size_t i) const { return value[i] + sdirk::carry * (first[i] - value[i]); }
  };
  /// What is booked of a cell of the grid, per tissue volume and time; `onto_sites`: net of what comes off.
  enum Booked : std::size_t {
    taken_up,
    given_back,
    by_death,
    degraded_inside,
    onto_sites,
    onto_targets,
    off_targets,
    degraded_on_targets,
    released_in_fluid,
    released_on_sites,
    set_free_outside,
    set_free_inside,
    booked
  };
  using Rates = std::array<double, booked>;

  void begin_impl(double time, double dt) override;
  void stage_impl(int number, std::span<const double> concentration, std::span<double> sink,
                  std::span<double> derivative) override;
  [[nodiscard]] double squared_error_impl() const override;
  [[nodiscard]] int error_states_impl() const override { return has_target() ? 3 : 1; }
  [[nodiscard]] std::span<char> fall_back_impl() override;
  [[nodiscard]] std::span<const double> fell_back_impl() const override { return fell_back_; }
  void end_impl(bool accepted, std::span<const double> first, std::span<const double> second) override;

  [[nodiscard]] bool starts_outside(std::size_t i) const;
  [[nodiscard]] Rates rates(std::size_t i, int stage, double c) const;
  /// What carriers set free, in fluid or in cells [mol/(m^3 s)]: as a stage of this drug takes it, and as they give it.
  [[nodiscard]] double source(std::size_t i, int stage, bool cells) const;
  [[nodiscard]] double given(std::size_t i, std::size_t stage, bool cells) const;
  [[nodiscard]] std::vector<State*> all_states();

  MPI_Comm comm_;
  Drug drug_;
  const CellKill* kill_;
  std::vector<double> accessible_, site_factor_;
  double cell_volume_, relative_tolerance_;
  bool binds_ = false, enters_ = false, holds_ = false;
  double accumulation_ = 0;  // of a cell [m^3]
  double least_amount_ = 0;  // [mol/m^3], see the constructor
  double dt_ = 0;
  State bound_, inside_, held_, free_targets_, complexes_, internalised_;
  std::vector<double> last_free_, fell_back_;  // at the end of the last step; 1 where that went on from its first stage
  std::vector<char> below_;                    // steps that go on from the first stage
  Record free_record_, bound_record_, cells_record_, complexes_record_, internalised_record_;
  std::vector<DrugResponse*> carriers_;
  // What is set free in fluid and in living cells at the stages, with the weights of the method, per tissue volume
  // [mol of this drug/(m^3 s)]; empty where nobody asks.
  std::array<std::vector<double>, 2> released_, released_in_cells_;
  bool has_slope_ = false;
  long positive_steps_ = 0;
  Ledger ledger_;
};

}  // namespace sanctuary
