#pragma once
#include <mpi.h>

#include <span>
#include <string>
#include <vector>

#include "solvers/transport.hpp"
#include "therapy/drug.hpp"

namespace sanctuary {

/// The cells that a drug meets, one value per owned cell of the grid.
struct ExposedCells {
  std::vector<double> accessible;     ///< share of the tissue volume open to the drug
  std::vector<double> density;        ///< cells per tissue volume at the start of the cycle [1/m^3]
  std::vector<char> killed;           ///< true where the drug kills (tumour), false where it does not (host)
  std::vector<double> cycling_share;  ///< w of the cycling phase at the start of the cycle
};

/// What a drug does in each cell of the grid beside moving: uptake through a saturable carrier, reversible binding to
/// fixed sites, death of cycling and quiescent cells, release of what dead cells held, and the exposure that all this
/// adds up to. All of it is integrated inside the steps of the transport, with the same implicit method.
class DrugResponse final : public LocalReaction {
 public:
  /// `scale`: a typical free concentration [mol/m^3]; amounts in cells below those in equilibrium with 1e-4 of it are
  /// held to that error. Collective.
  DrugResponse(MPI_Comm comm, const Drug& drug, ExposedCells cells, double cell_volume, double relative_tolerance,
               double scale);

  /// States and records, one value per owned cell, named as they go into checkpoints.
  struct Named {
    std::string name;
    std::vector<double>* values;
  };
  [[nodiscard]] std::vector<Named> states();

  [[nodiscard]] const std::vector<double>& bound() const { return bound_.value; }        ///< [mol/m^3 of fluid]
  [[nodiscard]] const std::vector<double>& in_cells() const { return in_cells_.value; }  ///< [mol/m^3 of tissue]
  [[nodiscard]] bool has_target() const { return drug_.target.number > 0; }
  /// Of targets on cells: free, in complex, and drug taken in by them [mol/m^3 of tissue].
  [[nodiscard]] const std::vector<double>& free_targets() const { return free_targets_.value; }
  [[nodiscard]] const std::vector<double>& complexes() const { return complexes_.value; }
  [[nodiscard]] const std::vector<double>& internalised() const { return internalised_.value; }
  [[nodiscard]] const std::vector<double>& area_complexes() const { return area_complexes_; }        ///< [mol s/m^3]
  [[nodiscard]] const std::vector<double>& area_internalised() const { return area_internalised_; }  ///< [mol s/m^3]
  [[nodiscard]] const std::vector<double>& hazard_cycling() const { return cycling_.value; }
  [[nodiscard]] const std::vector<double>& hazard_quiescent() const { return quiescent_.value; }
  [[nodiscard]] const std::vector<double>& area_free() const { return area_free_; }          ///< [mol s/m^3]
  [[nodiscard]] const std::vector<double>& area_bound() const { return area_bound_; }        ///< [mol s/m^3]
  [[nodiscard]] const std::vector<double>& area_in_cells() const { return area_in_cells_; }  ///< [mol s/m^3]
  [[nodiscard]] const std::vector<double>& peak_free() const { return peak_free_; }          ///< [mol/m^3]
  [[nodiscard]] const std::vector<double>& time_above() const { return time_above_; }        ///< [s]
  [[nodiscard]] const ExposedCells& cells() const { return cells_; }
  /// Surviving share of the cells of each owned cell of the grid.
  [[nodiscard]] double survival(std::size_t cell) const;

  /// Amounts cumulated since the start over all ranks [mol]: into and out of the cells, to and from the sites.
  struct Ledger {
    double taken_up = 0, given_back = 0, released_by_death = 0, bound_in = 0, bound_out = 0;
    double on_targets = 0, off_targets = 0, degraded = 0;  ///< off: apart again, or given back by dead cells
  };
  [[nodiscard]] const Ledger& ledger() const { return ledger_; }
  Ledger& ledger() { return ledger_; }
  /// Amount now in the cells by their carrier, on targets and taken in by them, and on the sites [mol]. Collective.
  [[nodiscard]] double amount_in_cells() const;
  [[nodiscard]] double amount_on_targets() const;
  [[nodiscard]] double amount_bound() const;
  void forget_slope() { has_slope_ = false; }
  [[nodiscard]] bool has_slope() const { return has_slope_; }
  void set_has_slope(bool has) { has_slope_ = has; }

 private:
  /// A state over a step: value at its start, known part of the running stage, stage values, last slope.
  struct State {
    std::vector<double> value, star, first, second, slope;
    void resize(std::size_t n);
    void carry_over();
    void accept(double rate);
  };

  void begin_impl(double time, double dt) override;
  void stage_impl(int number, std::span<const double> concentration, std::span<double> sink,
                  std::span<double> derivative) override;
  [[nodiscard]] double squared_error_impl() const override;
  [[nodiscard]] int error_states_impl() const override { return has_target() ? 4 : 2; }
  void end_impl(bool accepted, std::span<const double> first, std::span<const double> second) override;

  [[nodiscard]] std::vector<State*> all_states();

  MPI_Comm comm_;
  Drug drug_;
  ExposedCells cells_;
  double cell_volume_, relative_tolerance_;
  double least_amount_ = 0;  // [mol/m^3], see the constructor
  double dt_ = 0;
  State bound_, in_cells_, cycling_, quiescent_, free_targets_, complexes_, internalised_;
  std::vector<double> area_free_, area_bound_, area_in_cells_, area_complexes_, area_internalised_, peak_free_,
      time_above_, last_free_;
  // Per stage, local sums: uptake, give-back, release, net binding; onto targets, off them, degraded.
  static constexpr std::size_t booked = 7;
  std::array<std::array<double, booked>, 2> rates_{};
  bool has_slope_ = false;
  Ledger ledger_;
};

/// Cumulated hazards of the reference cell (phases cycling and quiescent): the same uptake driven by the unbound plasma
/// concentration, without neighbours or wall, from 0 to `time` [s], to a relative error of about 1e-8.
[[nodiscard]] std::array<double, 2> reference_hazard(const Drug& drug, const PlasmaKinetics& plasma, double time);

}  // namespace sanctuary
