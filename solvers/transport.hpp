#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "solvers/convection_scheme.hpp"
#include "solvers/coupled.hpp"
#include "solvers/flux_limiter.hpp"
#include "solvers/network/convection.hpp"
#include "solvers/sdirk.hpp"

namespace sanctuary {

/// Immobile partners of a solute in each cell (bound, internalised, ...) and all that follows its concentration in the
/// cell. Works on all owned cells at once; the transport step calls it in this order for each step it tries:
/// begin(dt), stage(1), ..., fall_back(), stage(2), ..., then end(accepted).
class LocalReaction {
 public:
  virtual ~LocalReaction() = default;
  /// Opens a step of length dt from time t.
  void begin(double time, double dt) { begin_impl(time, dt); }
  /// Solves the implicit stage equations at the given concentrations [per accessible volume]; fills the net sink
  /// [amount per tissue volume and time] and its derivative. Called again with better concentrations until the step has
  /// converged; the last call counts. Not collective: ranks may call it unequally often.
  void stage(int number, std::span<const double> concentration, std::span<double> sink, std::span<double> derivative) {
    stage_impl(number, concentration, sink, derivative);
  }
  /// Owned cells in which the reaction goes on from the end of the first stage by an implicit Euler step over the rest,
  /// since its second stage would start from a negative amount: set here, after the first stage, and by the transport
  /// where else the solute itself would. There the second stage stands for 1 - gamma of the step, the first for gamma,
  /// and `stage(2)` gives sink and derivative times (1 - gamma)/gamma. Empty: the reaction knows no such step.
  [[nodiscard]] std::span<char> fall_back() { return fall_back_impl(); }
  /// Above zero in the owned cells that did so in the step before, or empty. The solute comes out of such a step off
  /// its balance with the reaction, which the first stage of the next one mends: no error of that one.
  [[nodiscard]] std::span<const double> fell_back() const { return fell_back_impl(); }
  /// Sum over the owned cells of the squared errors of the own states of the step, each over its own tolerance: a cell
  /// at the tolerance adds 1 per state. Collective. Called after the second stage.
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
  [[nodiscard]] virtual std::span<char> fall_back_impl() { return {}; }
  [[nodiscard]] virtual std::span<const double> fell_back_impl() const { return {}; }
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
  double undershoot = 0;  ///< most negative concentration over the scale, after blending
  long limited = 0;       ///< cells that gave less, so that their second stage starts from zero
  double blended = 0;     ///< amounts moved by the blending over all that crossed faces and entered cells
  int newton = 0;
  int linear = 0;    ///< Krylov iterations: each one operator application and one V-cycle
  int applied = 0;   ///< operator applications beside those of the Krylov iterations
  int positive = 0;  ///< 1 if the positive first-order step was solved, too
  std::string reason;
};

/// What the solutes on one grid (and network) share: linear solver with its hierarchy, matrices and scratch. One solute
/// steps at a time. Solutes with the same operator and step share the hierarchy, too. Borrows grid and network.
class TransportSetup {
 public:
  /// `network` may be null: no vessels. Collective.
  TransportSetup(const Grid& grid, const EmbeddedNetwork* network, const std::string& prefix);
  TransportSetup(const TransportSetup&) = delete;
  TransportSetup& operator=(const TransportSetup&) = delete;
  /// Hierarchies built, and sets of matrices of the network assembled, since the start.
  [[nodiscard]] int hierarchies() const { return hierarchies_; }
  [[nodiscard]] int assemblies() const { return assemblies_; }
  [[nodiscard]] const Grid& grid() const { return *grid_; }

 private:
  friend class TransportSolver;
  /// What only a limited or blended step needs.
  struct Blend {
    explicit Blend(const Grid& grid)
        : limiter(grid), high(grid), part(grid), withheld(grid), low(grid.vector()), own(grid.vector()) {}
    FluxLimiter limiter;
    FaceField high, part, withheld;
    VecHandle low, own, network, local;
    std::vector<double> exchanged, drained, gained, share;  // of the cells: second order minus first, and sums
    std::vector<double> kept_back, kept_drained;            // by cells whose second stage would start below zero
  };
  const Grid* grid_;
  const EmbeddedNetwork* embedded_;
  std::unique_ptr<CoupledSolver> coupled_;
  std::unique_ptr<EllipticSolver> elliptic_;
  std::unique_ptr<NetworkMatrices> matrices_, positive_matrices_;  // of the stages; of the positive step
  struct Assembled {
    long revision = -1;
    double rate = -1;
  };
  std::array<Assembled, 2> assembled_;  // what those were assembled from
  long built_revision_ = -1;            // of the operator that the hierarchy was built for
  double built_rate_ = -1;
  int built_iterations_ = -1;
  int hierarchies_ = 0, assemblies_ = 0;
  VecHandle known_, first_, second_, slope_first_, slope_second_, rhs_, right_, residual_, result_;
  VecHandle network_known_, network_first_, network_second_, network_rhs_, network_residual_;
  std::array<std::vector<double>, 3> sink_;  // of the stages, by number
  std::array<std::vector<double>, 3> held_;  // given to cells that vessels would draw below zero, by stage
  std::vector<double> derivative_, above_;
  std::unique_ptr<ConvectionCorrection> correction_;
  long correction_revision_ = -1;
  FaceField correction_start_, correction_mean_;
  VecHandle correction_source_;
  std::unique_ptr<Blend> blend_;
};

/// One solute in the fluid of the cells and in the blood of the network, advanced together and implicitly.
/// Concentrations are per accessible volume. Borrows grid, network and operator. All functions are collective.
///
/// Time: SDIRK2. The step ends with the flux form, amount at the end = amount at the start + dt (weighted rates of the
/// stages), so that every amount is kept at any tolerance of the linear solves; from the second stage this differs by
/// its residual. Convection `limited`: the correction at the start of the step enters the stages as a given flux (the
/// matrix stays that of the exponential scheme), its change over the step follows explicitly, on each face times
/// 1 / (1 + y^4) with y = 3 dt times the excess diffusion over the smallest storage, times the axes with such: von
/// Neumann stable at any step with an unlimited slope, second order in time as dt falls, exact at the steady state.
/// Positive at any step, with `keep_bounds` and a lowest bound of zero: where the second stage would start below zero
/// the cell gives less of what it gave in the first, through its faces, to vessels and lymph, and its reaction goes on
/// from the first stage (LocalReaction::fall_back), so that both stages are implicit steps of M-matrices from amounts
/// that are not negative. Vessels near by may still draw a cell below zero, as they read means of cells: it is held up
/// at zero, and vessels take that much less. What vessels do not get is booked on the blood that leaves. A solute and
/// reaction that are below zero all the same by more than rounding refuse the step.
/// Other bounds, and convection `limited`: where a cell leaves them, a positive step (implicit Euler, M-matrix, with
/// walls, vessels, drainage and the given amounts of the reaction) is solved and the differences are limited by
/// FluxLimiter. The result is within bounds but for the residual of the solve.
class TransportSolver {
 public:
  /// `network` may be null: no vessels.
  TransportSolver(const Grid& grid, const EmbeddedNetwork* network, const std::string& prefix);
  /// Shares its set-up with other solutes.
  explicit TransportSolver(std::shared_ptr<TransportSetup> setup);
  TransportSolver(const TransportSolver&) = delete;
  TransportSolver& operator=(const TransportSolver&) = delete;

  /// Accessible fraction of the owned cells now (above 0); diffusion, convection and walls of the cells (its diagonal
  /// is overwritten; borrowed until the next call) and the fluid that leaves each cell by other ways, carrying the
  /// solute [m^3/s].
  void set_cells(std::vector<double> accessible_fraction, CellOperator& op, std::vector<double> drainage);
  /// Accessible fraction at the end of the step tried next (above 0), linear in between. Holds for one `advance`,
  /// accepted or not; without, the fraction stays.
  void set_accessible_at_end(std::vector<double> accessible_fraction);
  /// The solute on the owned pieces; carrier flow into (positive) and out of the box at the owned nodes [m^3/s].
  void set_network(std::vector<PieceCoefficients> pieces, std::vector<double> node_inflow,
                   std::vector<double> node_outflow);

  /// Value that enters with the blood and value outside each wall (but walls of given flux), as functions of time [s].
  std::function<double(double)> inlet = [](double) { return 0.0; };
  std::function<double(double)> outside = [](double) { return 0.0; };
  double relative_tolerance = 1e-3;  ///< of the time error of a step
  double scale = 1;                  ///< a typical concentration
  double least_share = 1e-4;         ///< of it: what lies below is held to the error of this
  double linear_tolerance = 1e-12;   ///< diagonally scaled true residual of a stage
  /// If positive, a stage is also done once its residual, as an error of the step, is below this share of the allowed
  /// time error. Amounts close at any value; outcomes that must agree to 1e-8 between rank counts want 0.
  double linear_fraction = 0;
  ConvectionScheme convection = ConvectionScheme::exponential;
  Bounds bounds;            ///< of the concentrations in the cells
  bool keep_bounds = true;  ///< without, cells outside of the bounds by the relative tolerance refuse the step

  /// Tries one step. Not converged or error > 1: state unchanged.
  [[nodiscard]] StepReport advance(double time, double dt, LocalReaction* reaction);
  /// The same in two parts, for solutes that keep or refuse a step together: an attempt changes nothing; `accept` (only
  /// after one that converged with error <= 1) keeps it and `refuse` drops it. Between them no other solute of the same
  /// set-up may step, and the coefficients stay.
  [[nodiscard]] StepReport attempt(double time, double dt, LocalReaction* reaction);
  void accept();
  void refuse();
  /// Concentrations in the cells at stage 1 or 2 of the step tried last.
  [[nodiscard]] Vec stage_cells(int stage) const { return stage == 1 ? setup_->first_.get() : setup_->second_.get(); }
  /// After a kink of the inlet or the outside value: the error estimate starts anew.
  void forget_slope() { has_slope_ = has_bend_ = false; }

  [[nodiscard]] Vec cells() const { return cells_.get(); }
  [[nodiscard]] Vec network() const { return network_values_.get(); }
  [[nodiscard]] bool has_network() const { return setup_->embedded_ != nullptr; }
  [[nodiscard]] const TransportSetup& setup() const { return *setup_; }
  [[nodiscard]] const std::vector<double>& accessible() const { return accessible_; }
  [[nodiscard]] const TransportLedger& ledger() const { return ledger_; }
  TransportLedger& ledger() { return ledger_; }
  /// Amount in the fluid of all cells, and in the blood of all pieces.
  [[nodiscard]] double amount_in_cells() const;
  [[nodiscard]] double amount_in_network() const;
  /// Takes the present amounts as the start of the ledger.
  void open_ledger();

  /// Rate of change of the amount per tissue volume at the end of the last step, which the error estimate needs; for
  /// checkpoints.
  [[nodiscard]] Vec slope() const { return slope_.get(); }
  [[nodiscard]] bool has_slope() const { return has_slope_; }
  void set_has_slope(bool has) { has_slope_ = has; }

 private:
  struct Stage;
  struct Sums;
  void try_step(StepReport& report);
  void set_outside(double time);
  void set_walls(double value);
  [[nodiscard]] NetworkMatrices* assembled_network(const Stage& stage);
  bool solve_stage(const Stage& stage, LocalReaction* reaction, StepReport& report);
  [[nodiscard]] Sums amounts(double time, double dt, bool reacts);
  void mean_state();
  [[nodiscard]] double diagonal_norm(const Stage& stage, bool with_reaction);
  void start_from(double weight, Vec rate);
  void fall_back(std::size_t cell, double* known);
  [[nodiscard]] long limit_second_start();
  void hold_up(const Stage& stage, std::vector<double>& sink);
  [[nodiscard]] bool keeps_positive() const;
  [[nodiscard]] bool spread_residual(const double* end);
  /// What the owned cells take from the vessels per time; overwrites the residual.
  [[nodiscard]] double exchanged(const NetworkMatrices& matrices, Vec cells, Vec network);
  [[nodiscard]] TransportSetup::Blend& blend_scratch();
  [[nodiscard]] bool corrects() const;
  void start_correction();
  void finish_correction(double time, double dt);
  bool blend(double time, double dt, LocalReaction* reaction, StepReport& report, Sums& sums);
  [[nodiscard]] std::array<double, 2> extremes(Vec values) const;

  /// Amounts of a step.
  struct Sums {
    double exchanged = 0, drained = 0, reacted = 0, blood_in = 0, blood_out = 0, walls_out = 0, walls_in = 0;
  };
  /// The step tried last, until it is accepted or refused.
  struct Trial {
    double time = 0, dt = 0;
    LocalReaction* reaction = nullptr;
    std::span<char> falls_back = {};
    bool good = false, limited = false, starts_below = false;
    std::array<double, 2> slip{};  // of the exchange by raising the cells of a stage to zero
    Sums sums = {};
  };

  std::shared_ptr<TransportSetup> setup_;
  const Grid* grid_;
  Trial trial_;
  CellOperator* op_ = nullptr;
  std::vector<double> accessible_, accessible_end_, drainage_;
  bool changes_ = false;
  std::vector<PieceCoefficients> pieces_;
  std::vector<double> node_inflow_, node_outflow_;
  long revision_ = 0;  // of the coefficients on the network
  double allowed_ = 0, used_tolerance_ = 0;
  long measured_revision_ = -1;                      // of the operator below
  std::vector<double> resting_;                      // diagonal of the cells without storage and reaction
  VecHandle cells_, network_values_, slope_, bend_;  // the last: change of the slope per time, for start values
  bool has_slope_ = false, has_bend_ = false;
  TransportLedger ledger_;
};

/// Next step from the error of the last one: safety 0.9, third-order estimate, change bounded to [0.2, 2].
[[nodiscard]] double next_step(double dt, double error);

}  // namespace sanctuary
