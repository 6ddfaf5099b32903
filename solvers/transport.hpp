#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "solvers/elliptic.hpp"
#include "solvers/network/convection.hpp"

namespace sanctuary {

/// Constants of the time step: singly diagonally implicit Runge-Kutta of two stages (Alexander 1977, SIAM J Numer Anal
/// 14:1006), second order, L-stable, stiffly accurate. Stage times are t + gamma dt and t + dt; integrals over the step
/// have the weights 1 - gamma and gamma.
namespace sdirk {
inline constexpr double gamma = 0.29289321881345254;  // 1 - 1/sqrt(2)
/// Known part of the second stage: y* = y0 + carry (y1 - y0).
inline constexpr double carry = (1 - gamma) / gamma;
/// Error estimate dt (e0 k0 + e1 k1 + e2 k2) against the embedded weights that integrate cubics, with k0 the last slope
/// of the step before; third order in dt.
inline constexpr double b1 = 1 / (6 * gamma * (1 - gamma));
inline constexpr double b2 = 0.5 - gamma * b1;
inline constexpr double e0 = 1 - b1 - b2;
inline constexpr double e1 = b1 - (1 - gamma);
inline constexpr double e2 = b2 - gamma;
}  // namespace sdirk

/// Immobile partners of a solute in each cell (bound, internalised, ...) and all that follows its concentration in the
/// cell. Works on all owned cells at once; the transport step calls it in this order for each step it tries:
/// begin(dt), stage(1), ..., stage(2), ..., then end(accepted).
class LocalReaction {
 public:
  virtual ~LocalReaction() = default;
  /// Opens a step of length dt from time t.
  void begin(double time, double dt) { begin_impl(time, dt); }
  /// Solves the implicit stage equations at the given concentrations [per accessible volume]; fills the net sink
  /// [amount per tissue volume and time] and its derivative. Called again with better concentrations until the step has
  /// converged; the last call counts.
  void stage(int number, std::span<const double> concentration, std::span<double> sink, std::span<double> derivative) {
    stage_impl(number, concentration, sink, derivative);
  }
  /// Sum over the owned cells of the squared errors of the own states of the step, each over its own tolerance: a cell
  /// at the tolerance adds 1 per state. Local. Called after the second stage.
  [[nodiscard]] double squared_error() const { return squared_error_impl(); }
  /// Number of own states whose errors are in squared_error.
  [[nodiscard]] int error_states() const { return error_states_impl(); }
  /// Closes the step; the states are kept only when it is accepted.
  void end(bool accepted, std::span<const double> first, std::span<const double> second) {
    end_impl(accepted, first, second);
  }

 private:
  virtual void begin_impl(double time, double dt) = 0;
  virtual void stage_impl(int number, std::span<const double> concentration, std::span<double> sink,
                          std::span<double> derivative) = 0;
  [[nodiscard]] virtual double squared_error_impl() const { return 0; }
  [[nodiscard]] virtual int error_states_impl() const { return 0; }
  virtual void end_impl(bool accepted, std::span<const double> first, std::span<const double> second) = 0;
};

/// Amounts of one solute that moved since the start [amount]; all cumulated with the weights of the time step.
struct TransportLedger {
  double cells_start = 0;  ///< in the cells' fluid at the start
  double network_start = 0;
  double blood_in = 0;  ///< into the network through its boundary
  double blood_out = 0;
  double exchanged_in = 0;   ///< net from the vessels into the fluid, steps in which it was positive
  double exchanged_out = 0;  ///< net from the fluid into the vessels, steps in which it was positive
  double walls_in = 0;       ///< through the walls of the box into it
  double walls_out = 0;
  double drained = 0;      ///< carried off with the fluid that leaves the cells (lymph)
  double reacted_in = 0;   ///< net from the fluid to the local partners, steps in which it was positive
  double reacted_out = 0;  ///< net back
};

/// What a step did.
struct StepReport {
  bool converged = false;
  double error = 0;       ///< estimated error over the tolerance: at most 1 to be accepted
  double undershoot = 0;  ///< most negative concentration over the scale
  int newton = 0, linear = 0;
  std::string reason;
};

/// One solute in the fluid of the cells and in the blood of the network, advanced together and implicitly.
/// Concentrations are per accessible volume. Owns its matrices and scratch; borrows grid and network. All functions are
/// collective.
class TransportSolver {
 public:
  /// `network` may be null: no vessels.
  TransportSolver(const Grid& grid, const EmbeddedNetwork* network, const std::string& prefix);
  TransportSolver(const TransportSolver&) = delete;
  TransportSolver& operator=(const TransportSolver&) = delete;

  /// Diffusion, convection and walls of the cells (its diagonal is overwritten; borrowed until the next call) and the
  /// fluid that leaves each cell by other ways, carrying the solute [m^3/s].
  void set_cells(std::vector<double> accessible_fraction, CellOperator& op, std::vector<double> drainage);
  /// The solute on the owned pieces; carrier flow into (positive) and out of the box at the owned nodes [m^3/s].
  void set_network(std::vector<PieceCoefficients> pieces, std::vector<double> node_inflow,
                   std::vector<double> node_outflow);

  /// Value that enters with the blood and value outside each wall, as functions of time [s].
  std::function<double(double)> inlet = [](double) { return 0.0; };
  std::function<double(double)> outside = [](double) { return 0.0; };
  double relative_tolerance = 1e-3;  ///< of the time error of a step
  double scale = 1;  ///< a typical concentration; what lies below 1e-4 of it is held to the error of 1e-4 of it
  double linear_tolerance = 1e-12;  ///< diagonally scaled true residual of a stage

  /// Tries one step. Not converged or error > 1: state unchanged.
  [[nodiscard]] StepReport advance(double time, double dt, LocalReaction* reaction);
  /// After a kink of the inlet or the outside value: the error estimate starts anew.
  void forget_slope() { has_slope_ = false; }

  [[nodiscard]] Vec cells() const { return cells_.get(); }
  [[nodiscard]] Vec network() const { return network_values_.get(); }
  [[nodiscard]] bool has_network() const { return embedded_ != nullptr; }
  [[nodiscard]] const TransportLedger& ledger() const { return ledger_; }
  TransportLedger& ledger() { return ledger_; }
  /// Amount in the fluid of all cells, and in the blood of all pieces.
  [[nodiscard]] double amount_in_cells() const;
  [[nodiscard]] double amount_in_network() const;
  /// Takes the present amounts as the start of the ledger.
  void open_ledger();

  /// The slope that the error estimate needs, for checkpoints.
  [[nodiscard]] Vec slope() const { return slope_.get(); }
  [[nodiscard]] bool has_slope() const { return has_slope_; }
  void set_has_slope(bool has) { has_slope_ = has; }

 private:
  struct Stage {
    VecHandle cells, network, star_cells, star_network;
  };
  void set_outside(double time);
  bool solve_stage(int number, double time, double dt, LocalReaction* reaction, Stage& stage, StepReport& report);
  void collect(double weight_dt, double time, const Stage& stage, TransportLedger& sums);

  const Grid* grid_;
  const EmbeddedNetwork* embedded_;
  CoupledSolver solver_;
  std::unique_ptr<NetworkMatrices> matrices_;
  CellOperator* op_ = nullptr;
  std::vector<double> accessible_, drainage_;
  std::vector<PieceCoefficients> pieces_;
  std::vector<double> node_inflow_, node_outflow_;
  double assembled_rate_ = -1;
  bool rebuild_ = true;
  std::vector<double> sink_, derivative_;
  VecHandle cells_, network_values_, slope_;
  Stage first_, second_;
  VecHandle rhs_cells_, rhs_network_, residual_cells_, residual_network_, delta_cells_, delta_network_;
  bool has_slope_ = false;
  TransportLedger ledger_;
};

/// Next step from the error of the last one: safety 0.9, third-order estimate, change bounded to [0.2, 2].
[[nodiscard]] double next_step(double dt, double error);

}  // namespace sanctuary
