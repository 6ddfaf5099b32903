#pragma once
#include <array>
#include <vector>

namespace sanctuary {

/// Linear disposition in one to three compartments around a central one. A peripheral compartment exists if both its
/// flow and its volume are positive.
struct PlasmaModel {
  double clearance = 0;                    ///< CL [m^3/s] from the central compartment
  double volume = 1;                       ///< V1 [m^3]
  std::array<double, 2> flow{0, 0};        ///< Q2, Q3 [m^3/s]
  std::array<double, 2> peripheral{0, 0};  ///< V2, V3 [m^3]
};

/// One dose into the central compartment; a duration of zero is a bolus.
struct Dose {
  double start = 0;     ///< [s]
  double duration = 0;  ///< [s]
  double amount = 0;    ///< [mol]
};

/// Exact plasma concentration of a linear model: a sum of decaying exponentials per dose from the symmetric
/// eigenproblem of the compartments, all its weights positive, so near-equal rates and short infusions lose no digits.
/// Times in any order.
class PlasmaKinetics {
 public:
  /// Throws InputError when a volume is not positive or a rate, duration or amount is negative or not finite.
  PlasmaKinetics(const PlasmaModel& model, std::vector<Dose> doses);

  /// Total (bound and free) concentration [mol/m^3] at `time` [s]; just after a bolus that falls on `time`.
  [[nodiscard]] double concentration(double time) const;
  /// Integral of the concentration from t0 to t1 [mol s/m^3].
  [[nodiscard]] double area(double t0, double t1) const;
  /// Integral of the concentration to infinity: total dose over clearance.
  [[nodiscard]] double total_area() const;
  /// Amount [mol] in compartment 0 (central), 1 or 2 at `time`.
  [[nodiscard]] double amount_in(int compartment, double time) const;
  /// Amount [mol] eliminated up to `time`.
  [[nodiscard]] double eliminated(double time) const { return model_.clearance * area(0.0, time); }
  /// Amount [mol] given up to `time`.
  [[nodiscard]] double given(double time) const;
  /// Times at which the concentration jumps or has a kink: starts and ends of doses, rising, without repeats.
  [[nodiscard]] std::vector<double> events() const;
  /// Decay rates [1/s] of the model, fastest first; ln 2 over each is a half-life.
  [[nodiscard]] const std::vector<double>& rates() const { return rates_; }
  [[nodiscard]] const std::vector<Dose>& doses() const { return doses_; }
  [[nodiscard]] const PlasmaModel& model() const { return model_; }

 private:
  PlasmaModel model_;
  std::vector<Dose> doses_;
  std::vector<double> rates_;                 // lambda_k
  std::vector<std::array<double, 3>> modes_;  // per rate: amount in each compartment per unit of central bolus
};

}  // namespace sanctuary
