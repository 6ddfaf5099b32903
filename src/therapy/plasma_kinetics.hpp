#pragma once
#include <array>
#include <memory>
#include <vector>

namespace sanctuary {

/// A soluble target that binds the drug in plasma, and is cleared with it: quasi-steady state of binding (Gibiansky
/// 2008, J Pharmacokinet Pharmacodyn 35:573). A half of 0 means none.
struct PlasmaTarget {
  double baseline = 0;         ///< concentration without drug [mol/m^3]
  double turnover = 0;         ///< k_deg of free target [1/s]
  double internalisation = 0;  ///< k_int of the complex [1/s]
  double half = 0;             ///< K_ss [mol/m^3]
};

/// What the drug is turned into: a metabolite, or a payload set free. One compartment.
struct PlasmaMetabolite {
  double fraction = 0;   ///< moles formed per mole eliminated by clearance and saturable elimination
  double clearance = 0;  ///< [m^3/s]
  double volume = 1;     ///< [m^3]
};

/// Disposition in one to three compartments around a central one. A peripheral compartment exists if both its flow and
/// its volume are positive.
struct PlasmaModel {
  double clearance = 0;                    ///< CL [m^3/s] from the central compartment
  double volume = 1;                       ///< V1 [m^3]
  std::array<double, 2> flow{0, 0};        ///< Q2, Q3 [m^3/s]
  std::array<double, 2> peripheral{0, 0};  ///< V2, V3 [m^3]
  double absorption_rate = 0;              ///< k_a from the gut [1/s]; 0: no gut
  double saturable_rate = 0;               ///< V_max of an elimination that saturates [mol/s]; 0: none
  double saturable_half = 0;               ///< its K_m [mol/m^3]
  double saturable_flow = 0;               ///< V_max of the way into compartment 2 [mol/s], in place of Q2 c; 0: Q2 c
  double saturable_flow_half = 0;          ///< its K_m [mol/m^3]; the way back stays Q2/V2 times the amount there
  double host_rate = 0;                    ///< of a compartment that follows the plasma and takes nothing from it [1/s]
  PlasmaTarget target{};
  PlasmaMetabolite metabolite{};
  [[nodiscard]] bool linear() const { return saturable_rate <= 0 && saturable_flow <= 0 && target.half <= 0; }
  /// Of the peripheral compartments, 0 or 1.
  [[nodiscard]] bool has_peripheral(std::size_t i) const { return flow[i] > 0 && peripheral[i] > 0; }
};

/// One dose into the central compartment or the gut; a duration of zero is a bolus.
struct Dose {
  double start = 0;     ///< [s]
  double duration = 0;  ///< [s]
  double amount = 0;    ///< that becomes available [mol]
  bool gut = false;
};

/// Plasma concentration of a drug. Linear models are stepped exactly, by the exponential of their matrix: its powers
/// have no negative entries, so near-equal rates and short infusions lose no digits and nothing falls below zero.
/// Models that saturate, or have a target, are integrated by the method of Dormand and Prince to 1e-10. Times in any
/// order; concentrations are of drug that no target holds.
class PlasmaKinetics {
 public:
  /// Throws InputError when a volume is not positive or a rate, duration or amount is negative or not finite, and for a
  /// dose into a gut from which nothing is absorbed.
  PlasmaKinetics(const PlasmaModel& model, std::vector<Dose> doses);
  PlasmaKinetics(const PlasmaKinetics&) = delete;
  PlasmaKinetics& operator=(const PlasmaKinetics&) = delete;
  ~PlasmaKinetics();

  /// Total (bound to plasma proteins and free) concentration [mol/m^3] at `time` [s]; just after a bolus that falls on
  /// `time`.
  [[nodiscard]] double concentration(double time) const;
  /// Integral of the concentration from t0 to t1 [mol s/m^3].
  [[nodiscard]] double area(double t0, double t1) const;
  /// Integral of the concentration to infinity of a linear model: total dose over clearance. Throws InputError for
  /// others.
  [[nodiscard]] double total_area() const;
  /// Amount [mol] in compartment 0 (central, with what a target holds), 1 or 2 at `time`.
  [[nodiscard]] double amount_in(int compartment, double time) const;
  /// Amount [mol] waiting in the gut.
  [[nodiscard]] double amount_in_gut(double time) const;
  /// Amount [mol] eliminated up to `time`, with a target as well.
  [[nodiscard]] double eliminated(double time) const;
  /// Amount [mol] given up to `time`.
  [[nodiscard]] double given(double time) const;
  /// Metabolite: concentration [mol/m^3], its integral [mol s/m^3], and amount formed so far [mol].
  [[nodiscard]] double metabolite(double time) const;
  [[nodiscard]] double metabolite_area(double t0, double t1) const;
  [[nodiscard]] double metabolite_formed(double time) const;
  /// Target in plasma, free and in complex [mol/m^3].
  [[nodiscard]] double target(double time) const;
  /// Concentration that follows the plasma's at `host_rate`: dh/dt = host_rate (c - h) [mol/m^3].
  [[nodiscard]] double host(double time) const;
  /// Times at which the concentration jumps or has a kink: starts and ends of doses, rising, without repeats.
  [[nodiscard]] std::vector<double> events() const;
  /// Decay rates [1/s] of the compartments without saturable elimination and target, fastest first, with the transfer
  /// of low concentrations where it saturates; ln 2 over each is a half-life.
  [[nodiscard]] std::vector<double> rates() const;
  [[nodiscard]] const std::vector<Dose>& doses() const { return doses_; }
  [[nodiscard]] const PlasmaModel& model() const { return model_; }

 private:
  class Course;
  PlasmaModel model_;
  std::vector<Dose> doses_;
  std::unique_ptr<Course> course_;
};

}  // namespace sanctuary
