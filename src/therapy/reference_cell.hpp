#pragma once
#include <functional>
#include <map>
#include <vector>

#include "therapy/cell_kill.hpp"
#include "therapy/drug.hpp"

namespace sanctuary {

/// The reference exposure (docs/model.md): one living cell with the drugs' own uptake, targets and effect sites in
/// unbound plasma, without wall, tissue or neighbours. Hazards of a cycling cell by drug and clone as functions of
/// time, to a relative error of about 1e-8: the method of the transport with steps by halving and Richardson's
/// extrapolation.
class ReferenceCell {
 public:
  /// `unbound`: plasma concentration that crosses the wall, of a drug at a time [mol/m^3]; `events`: times at which it
  /// jumps or has a kink.
  ReferenceCell(std::vector<Drug> drugs, std::function<double(std::size_t, double)> unbound, std::vector<double> events,
                double cell_volume, std::size_t clones);

  /// Hazards by drug and clone from t0 to t1 [drug][clone]. Times that only rise cost least.
  [[nodiscard]] std::vector<std::vector<double>> hazards(double t0, double t1);

 private:
  struct Cell {
    std::vector<double> state;  // per drug: free, held, free targets, complexes, taken in; then damage, hazard by clone
  };
  [[nodiscard]] std::vector<double> at(double time);
  [[nodiscard]] Cell step(const Cell& start, double t, double dt) const;
  void go(double until);
  [[nodiscard]] double exposure(std::size_t drug, const Cell& cell, double c) const;
  [[nodiscard]] bool inside(std::size_t drug) const { return drugs_[drug].enters_cells() || !carriers_[drug].empty(); }
  [[nodiscard]] std::size_t place(std::size_t drug) const { return drug * (5 + 2 * clones_); }

  std::vector<Drug> drugs_;
  std::vector<std::vector<std::size_t>> carriers_;
  RegimenLaw law_;
  std::function<double(std::size_t, double)> unbound_;
  std::vector<double> events_, floor_;
  double cell_volume_;
  std::size_t clones_;
  Cell cell_;
  double time_ = 0, dt_ = 1;
  std::map<double, std::vector<double>> kept_;  // hazards at times asked for
};

}  // namespace sanctuary
