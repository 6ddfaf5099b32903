#include "solvers/transport.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <stdexcept>

#include "base/comm.hpp"
#include "solvers/ghosted.hpp"
#include "solvers/simd.hpp"

namespace sanctuary {
namespace {

/// Adds a signed amount to the one of two cumulated amounts that it belongs to.
void book(double amount, double& positive, double& negative) {
  if (amount >= 0) {
    positive += amount;
  } else {
    negative -= amount;
  }
}

double rms(Vec values) {
  double norm = 0;
  PetscInt count = 0;
  petsc(VecNorm(values, NORM_2, &norm));
  petsc(VecGetSize(values, &count));
  return norm / std::sqrt(static_cast<double>(count));
}

/// Sums over the walls of what goes out and what comes in, face by face. Collective.
std::array<double, 2> wall_sums(const Grid& grid, const FaceField& faces) {
  std::array<double, 2> sums{};
  for (int axis = 0; axis < 3; ++axis) {
    const auto a = static_cast<std::size_t>(axis);
    const auto& n = faces.extent(axis);
    for (int side = 0; side < 2; ++side) {
      if (side == 0 ? grid.start()[a] > 0 : grid.start()[a] + grid.size()[a] < grid.spec().cells[a]) continue;
      std::array<long, 3> low{0, 0, 0}, high = n;
      low[a] = side == 0 ? 0 : n[a] - 1;
      high[a] = low[a] + 1;
      for (long k = low[2]; k < high[2]; ++k) {
        for (long j = low[1]; j < high[1]; ++j) {
          for (long i = low[0]; i < high[0]; ++i) {
            const double out = (side == 0 ? -1 : 1) * faces[axis][faces.index(axis, i, j, k)];
            sums[out > 0 ? 0 : 1] += std::abs(out);
          }
        }
      }
    }
  }
  MPI_Allreduce(MPI_IN_PLACE, sums.data(), 2, MPI_DOUBLE, MPI_SUM, grid.comm());
  return sums;
}

/// Share of the scale below zero at which cells are held up.
constexpr double held_below = 1e-13;

long next_revision() {
  static std::atomic<long> last{0};
  return ++last;
}

// In the loops below s0 and s1 are the accessible fractions at the start and the end of a step, c0 the concentrations
// at its start, k1 and k2 the rates of the amount per tissue volume in the stages.

/// out = s0 c0 + weight k1: the amount that a stage starts from, per tissue volume.
SANCTUARY_CLONES void start_of_stage(std::size_t n, const double* s0, const double* c0, double weight, const double* k1,
                                     double* out) {
  if (k1) {
    for (std::size_t i = 0; i < n; ++i) out[i] = s0[i] * c0[i] + weight * k1[i];
  } else {
    for (std::size_t i = 0; i < n; ++i) out[i] = s0[i] * c0[i];
  }
}

/// out = factor s + more, with s at `along` of the step.
SANCTUARY_CLONES void storage(std::size_t n, double factor, double along, const double* s0, const double* s1,
                              const double* more, double* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = factor * (s0[i] + along * (s1[i] - s0[i])) + more[i];
}

/// Sum of the squares of factor s + rest + volume derivative, with s at `along` of the step: the diagonal of a stage.
SANCTUARY_CLONES double square_sum(std::size_t n, double factor, double along, const double* s0, const double* s1,
                                   const double* rest, double volume, const double* derivative) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double own =
        factor * (s0[i] + along * (s1[i] - s0[i])) + rest[i] + (derivative ? volume * derivative[i] : 0.0);
    sum += own * own;
  }
  return sum;
}

/// out += factor in.
SANCTUARY_CLONES void add_scaled(std::size_t n, double factor, const double* in, double* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] += factor * in[i];
}

/// out = from - out.
SANCTUARY_CLONES void take_from(std::size_t n, const double* from, double* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = from[i] - out[i];
}

/// From the residual of Newton's linear system to that of the stage without its reaction.
SANCTUARY_CLONES void without_reaction(std::size_t n, double volume, const double* derivative, const double* value,
                                       const double* rhs, const double* newton_rhs, double* r) {
#pragma GCC ivdep
  for (std::size_t i = 0; i < n; ++i) r[i] += volume * derivative[i] * value[i] + (rhs[i] - newton_rhs[i]);
}

/// out = rhs - volume (sink - derivative u), the right side of Newton's equations for the new value.
SANCTUARY_CLONES void newton_right(std::size_t n, double volume, const double* rhs, const double* sink,
                                   const double* derivative, const double* u, double* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = rhs[i] + volume * (derivative[i] * u[i] - sink[i]);
}

/// Rate of a stage from its start, value u and residual: the rate that the fluxes at u make, to rounding.
SANCTUARY_CLONES void stage_rate(std::size_t n, double rate, double along, const double* s0, const double* s1,
                                 const double* known, const double* u, double per_volume, const double* residual,
                                 double* out) {
  for (std::size_t i = 0; i < n; ++i) {
    const double s = s0[i] + along * (s1[i] - s0[i]);
    out[i] = rate * (s * u[i] - known[i]) + per_volume * residual[i];
  }
}

/// out = (s0 c0 + a k1 + b k2) / s at `along` of the step.
SANCTUARY_CLONES void extrapolate(std::size_t n, double along, const double* s0, const double* s1, const double* c0,
                                  double a, const double* k1, double b, const double* k2, double* out) {
  for (std::size_t i = 0; i < n; ++i)
    out[i] = (s0[i] * c0[i] + a * k1[i] + b * k2[i]) / (s0[i] + along * (s1[i] - s0[i]));
}

SANCTUARY_CLONES void raise_to_zero(std::size_t n, double* u) {
  for (std::size_t i = 0; i < n; ++i) u[i] = std::max(u[i], 0.0);
}

/// Damps the change of a correction over the step and adds it to that of the start: see TransportSolver.
SANCTUARY_CLONES void damp_change(std::size_t n, double unit, const double* excess, double* change, double* start) {
  for (std::size_t f = 0; f < n; ++f) {
    const double y = unit * excess[f], square = y * y;
    change[f] = (change[f] - start[f]) / (1 + square * square);
    start[f] += change[f];
  }
}

}  // namespace

double next_step(double dt, double error) {
  const double factor = error > 0 ? 0.9 * std::pow(error, -1.0 / 3.0) : 2.0;
  return dt * std::clamp(factor, 0.2, 2.0);
}

TransportSetup::TransportSetup(const Grid& grid, const EmbeddedNetwork* network, const std::string& prefix)
    : grid_(&grid), embedded_(network), derivative_(grid.local_cells(), 0.0) {
  for (VecHandle* v : {&known_, &first_, &second_, &slope_first_, &slope_second_, &rhs_, &right_, &residual_, &result_})
    *v = grid.vector();
  if (!network) {
    elliptic_ = std::make_unique<EllipticSolver>(grid, prefix);
    return;
  }
  coupled_ = std::make_unique<CoupledSolver>(grid, network->local_unknowns(true), prefix, false);
  matrices_ = std::make_unique<NetworkMatrices>(*network, ExchangeForm::all_vessels);
  if (coupled_->iterative()) matrices_->want_alone();
  for (VecHandle* v : {&network_known_, &network_first_, &network_second_, &network_rhs_, &network_residual_}) {
    petsc(VecCreateMPI(grid.comm(), network->local_unknowns(true), PETSC_DETERMINE, v->out()));
    petsc(VecSet(v->get(), 0.0));
  }
}

/// An implicit equation for the cells and the network: storage at `along` of the step times `rate`.
struct TransportSolver::Stage {
  int number = 1;
  double time = 0, rate = 0, along = 1;
  Vec source = nullptr;  ///< given amount per time into the cells
  bool reacts = false;
  Vec cells = nullptr, network = nullptr;  ///< start values; the solution
};

TransportSolver::TransportSolver(const Grid& grid, const EmbeddedNetwork* network, const std::string& prefix)
    : TransportSolver(std::make_shared<TransportSetup>(grid, network, prefix)) {}

TransportSolver::TransportSolver(std::shared_ptr<TransportSetup> setup)
    : setup_(std::move(setup)),
      grid_(setup_->grid_),
      accessible_(grid_->local_cells(), 1.0),
      drainage_(grid_->local_cells(), 0.0),
      cells_(grid_->vector()),
      slope_(grid_->vector()),
      bend_(grid_->vector()) {
  if (!setup_->embedded_) return;
  petsc(VecDuplicate(setup_->network_first_.get(), network_values_.out()));
  petsc(VecSet(network_values_.get(), 0.0));
}

void TransportSolver::set_cells(std::vector<double> accessible_fraction, CellOperator& op,
                                std::vector<double> drainage) {
  accessible_ = std::move(accessible_fraction);
  drainage_ = std::move(drainage);
  op_ = &op;
  measured_revision_ = -1;
}

void TransportSolver::set_accessible_at_end(std::vector<double> accessible_fraction) {
  accessible_end_ = std::move(accessible_fraction);
  changes_ = true;
}

void TransportSolver::set_network(std::vector<PieceCoefficients> pieces, std::vector<double> node_inflow,
                                  std::vector<double> node_outflow) {
  pieces_ = std::move(pieces);
  node_inflow_ = std::move(node_inflow);
  node_outflow_ = std::move(node_outflow);
  revision_ = next_revision();
  measured_revision_ = -1;
}

void TransportSolver::set_outside(double time) { set_walls(outside(time)); }

void TransportSolver::set_walls(double value) {
  for (int wall = 0; wall < 6; ++wall) {
    if (op_->walls().kind[static_cast<std::size_t>(wall)] != WallKind::flux) op_->set_wall_value(wall, value);
  }
}

NetworkMatrices* TransportSolver::assembled_network(const Stage& stage) {
  TransportSetup& s = *setup_;
  if (!s.matrices_) return nullptr;
  const bool positive = stage.number == 0;
  if (positive && !s.positive_matrices_)
    s.positive_matrices_ = std::make_unique<NetworkMatrices>(*s.embedded_, ExchangeForm::by_cell);
  NetworkMatrices* matrices = positive ? s.positive_matrices_.get() : s.matrices_.get();
  auto& [revision, rate] = s.assembled_[positive ? 1 : 0];
  if (revision == revision_ && rate == stage.rate) return matrices;
  matrices->assemble(pieces_, node_outflow_, stage.rate);
  revision = revision_;
  rate = stage.rate;
  ++s.assemblies_;
  return matrices;
}

double TransportSolver::diagonal_norm(const Stage& stage, bool with_reaction) {
  const double volume = grid_->cell_volume();
  if (measured_revision_ != op_->revision()) {
    std::copy(drainage_.begin(), drainage_.end(), op_->diagonal().begin());
    if (const auto& matrices = setup_->matrices_)
      add_scaled(drainage_.size(), 1.0, matrices->cell_diagonal().data(), op_->diagonal().data());
    resting_.resize(drainage_.size());
    op_->full_diagonal(resting_.data());
    measured_revision_ = op_->revision();
  }
  const double* end = changes_ ? accessible_end_.data() : accessible_.data();
  double sum = square_sum(resting_.size(), volume * stage.rate, stage.along, accessible_.data(), end, resting_.data(),
                          volume, with_reaction ? setup_->derivative_.data() : nullptr);
  return std::sqrt(sum_over(grid_->comm(), sum));
}

void TransportSolver::hold_up(const Stage& stage, std::vector<double>& sink) {
  TransportSetup& s = *setup_;
  const double* start = accessible_.data();
  const double* end = changes_ ? accessible_end_.data() : start;
  auto& held = s.held_[static_cast<std::size_t>(stage.number)];
  const double level = -held_below * scale;
  const ReadAccess c(stage.cells);
  for (std::size_t i = 0; i < held.size(); ++i) {
    held[i] = 0;
    if (c[i] >= level) continue;
    constexpr double stiffer = 1e4;
    const double share = start[i] + stage.along * (end[i] - start[i]);
    const double push = stiffer * (stage.rate * share + resting_[i] / grid_->cell_volume() + s.derivative_[i]);
    held[i] = push * (level - c[i]);
    sink[i] -= held[i];
    s.derivative_[i] += push;
  }
}

double TransportSolver::exchanged(const NetworkMatrices& matrices, Vec cells, Vec network) {
  matrices.exchange(cells, network, setup_->residual_.get());
  const ReadAccess e(setup_->residual_.get());
  double sum = 0;
  for (std::size_t i = 0; i < drainage_.size(); ++i) sum += e[i];
  return sum;
}

bool TransportSolver::keeps_positive() const { return keep_bounds && bounds.lowest == 0 && !corrects(); }

bool TransportSolver::solve_stage(const Stage& stage, LocalReaction* reaction, StepReport& report) {
  TransportSetup& s = *setup_;
  const double volume = grid_->cell_volume();
  const std::size_t cells = grid_->local_cells();
  const double* start = accessible_.data();
  const double* end = changes_ ? accessible_end_.data() : start;
  auto& sink = s.sink_[static_cast<std::size_t>(stage.number)];
  set_outside(stage.time);
  NetworkMatrices* const matrices = assembled_network(stage);

  petsc(VecSet(s.rhs_.get(), 0.0));
  op_->add_wall_source(s.rhs_.get());
  {
    const ReadAccess known(s.known_.get());
    const WriteAccess rhs(s.rhs_.get());
    add_scaled(cells, volume * stage.rate, known.data(), rhs.data());
  }
  if (stage.source) petsc(VecAXPY(s.rhs_.get(), 1.0, stage.source));
  if (matrices) {
    const double entering = inlet(stage.time);
    const ReadAccess known(s.network_known_.get());
    const WriteAccess rhs(s.network_rhs_.get());
    const std::size_t nodes = s.embedded_->nodes();
    for (std::size_t n = 0; n < nodes; ++n) rhs[n] = node_inflow_[n] * entering;
    for (std::size_t p = 0; p < pieces_.size(); ++p) {
      const std::size_t i = nodes + p;
      rhs[i] = pieces_[p].volume * stage.rate * known[i];
    }
  }

  const double least_level =
      std::max({1e-3 * std::abs(inlet(stage.time)), 1e-3 * std::abs(outside(stage.time)), 1e-9 * scale});
  double level = std::max(least_level, rms(stage.cells));
  double unit = 0;
  const bool held_up = stage.number > 0 && matrices && keeps_positive() && !trial_.starts_below;
  bool nonlinear = stage.reacts, left_by_rounding = false, swings = false;
  int stays = 0;  // iterations in a row that hardly lessened the residual
  double last_norm = std::numeric_limits<double>::infinity();
  if (matrices && stage.number > 0) s.held_[static_cast<std::size_t>(stage.number)].assign(cells, 0.0);
  bool handed_back = false;  // `residual_` holds all but the reaction: what the linear solver left
  // Residual of the stage at its value, as is.
  const auto residual = [&] {
    if (!handed_back) {
      op_->apply(stage.cells, s.residual_.get());
      ++report.applied;
      if (matrices) {
        petsc(MatMultAdd(matrices->to_cells(), stage.network, s.residual_.get(), s.residual_.get()));
        if (const Mat between = matrices->blocks().between_cells)
          petsc(MatMultAdd(between, stage.cells, s.residual_.get(), s.residual_.get()));
      }
    }
    {
      const ReadAccess rhs(s.rhs_.get());
      const WriteAccess r(s.residual_.get());
      if (!handed_back) take_from(cells, rhs.data(), r.data());
      if (nonlinear) add_scaled(cells, -volume, sink.data(), r.data());
    }
    double norm = 0;
    petsc(VecNorm(s.residual_.get(), NORM_2, &norm));
    return norm / (unit * level);
  };
  for (int newton = 0; newton < 30; ++newton) {
    if (stage.reacts) {
      const ReadAccess c(stage.cells);
      if (held_up) {
        s.above_.resize(cells);
        for (std::size_t i = 0; i < cells; ++i) s.above_[i] = std::max(c[i], -held_below * scale);
      }
      reaction->stage(stage.number, {held_up ? s.above_.data() : c.data(), cells}, sink, s.derivative_);
    } else if (nonlinear) {
      sink.assign(cells, 0.0);
      s.derivative_.assign(cells, 0.0);
    }
    if (newton == 0) unit = diagonal_norm(stage, false);
    // Residuals are measured without the reaction, whose residual is left in the fluid. Where it is stiff rounding may
    // not allow that.
    const double stiffened = nonlinear ? std::max(diagonal_norm(stage, true) / unit, 1.0) : 1.0;
    double measure = stiffened;  // of the coupled solver: the diagonal with all there is
    if (held_up && nonlinear) {
      hold_up(stage, sink);
      measure = std::max(diagonal_norm(stage, true) / unit, 1.0);
    }
    auto& diagonal = op_->diagonal();
    storage(cells, volume * stage.rate, stage.along, start, end, drainage_.data(), diagonal.data());
    if (matrices) add_scaled(cells, 1.0, matrices->cell_diagonal().data(), diagonal.data());
    if (newton > 0) level = std::max(least_level, rms(stage.cells));
    used_tolerance_ = std::max(linear_tolerance, linear_fraction * allowed_ * volume * stage.rate / (unit * level));
    double norm = 0;
    if (nonlinear && (newton > 0 || linear_fraction == 0)) {
      norm = residual();
      if (!std::isfinite(norm)) {
        report.reason = "the residual is not finite";
        return false;
      }
      const bool done = norm <= used_tolerance_;
      stays = norm > 0.3 * last_norm ? stays + 1 : 0;
      last_norm = norm;
      const bool rounding = left_by_rounding || stays >= 5;
      if (newton > 0 && (done || (rounding && norm <= used_tolerance_ * stiffened))) {
        report.reason.clear();
        const double* const held = s.held_[static_cast<std::size_t>(stage.number)].data();
        if (stage.number > 0 && keeps_positive() && extremes(stage.cells)[0] < -1e-4 * held_below * scale) {
          // What is left below zero is no amount: it goes to the residual, and the reaction starts from zero.
          double& slip = trial_.slip[static_cast<std::size_t>(stage.number - 1)];
          if (matrices) slip -= exchanged(*matrices, stage.cells, stage.network);
          {
            const WriteAccess c(stage.cells);
            raise_to_zero(cells, c.data());
            if (stage.reacts) reaction->stage(stage.number, {c.data(), cells}, sink, s.derivative_);
          }
          if (!stage.reacts) std::fill(sink.begin(), sink.end(), 0.0);
          if (matrices) slip += exchanged(*matrices, stage.cells, stage.network);
          if (held_up) add_scaled(cells, -1.0, held, sink.data());
          handed_back = false;
          (void)residual();
        }
        if (held_up) add_scaled(cells, 1.0, held, sink.data());
        return true;
      }
      if (left_by_rounding) return false;
    }
    if (nonlinear) {
      const ReadAccess c(stage.cells), rhs(s.rhs_.get());
      const WriteAccess right(s.right_.get());
      newton_right(cells, volume, rhs.data(), sink.data(), s.derivative_.data(), c.data(), right.data());
      add_scaled(cells, volume, s.derivative_.data(), diagonal.data());
    }
    ++report.newton;
    // Where what cells give back saturates, the sink is steepest in between, and Newton's method may swing about it.
    swings = newton > (held_up ? 10 : 2) && stays > 0 && !swings;
    if (swings) {
      petsc(VecCopy(stage.cells, s.result_.get()));
      if (matrices) petsc(VecCopy(stage.network, s.network_residual_.get()));
    }
    const double spared = linear_fraction > 0 ? 0.7 : 0.3;  // for what Newton leaves
    const double wanted = nonlinear ? std::max(spared * used_tolerance_, 1e-3 * norm) : used_tolerance_;
    const Vec right = nonlinear ? s.right_.get() : s.rhs_.get();
    SolveReport linear;
    for (int attempt = 0; attempt < 2 && !linear.converged; ++attempt) {
      // A hierarchy serves steps of up to twice and half the length, where solves are short up to four times and a
      // quarter: a set-up costs about as much as five iterations. The positive step is content with that of the stages.
      const double change = stage.rate / s.built_rate_, most = s.built_iterations_ > 4 ? 2 : 4;
      const bool rebuild = attempt > 0 || s.built_revision_ != op_->revision() ||
                           (stage.number > 0 && !(change <= most && change >= 1 / most));
      if (matrices) {
        s.coupled_->set(*op_, matrices->blocks(), rebuild);
        linear = s.coupled_->solve(right, s.network_rhs_.get(), level, wanted / measure, stage.cells, stage.network);
      } else {
        s.elliptic_->set(*op_, rebuild);
        linear = s.elliptic_->solve(right, stage.cells, {wanted * unit * level, Stop::Measure::absolute, 1, 500});
      }
      report.linear += linear.iterations;
      if (rebuild) {
        ++s.hierarchies_;
        s.built_revision_ = op_->revision();
        s.built_rate_ = stage.rate;
        s.built_iterations_ = linear.iterations;
      } else if (stage.number > 0 && linear.iterations > 2 * s.built_iterations_ + 5) {
        s.built_revision_ = -1;
      }
      if (rebuild) break;
    }
    if (!matrices) {
      const ReadAccess c(stage.cells), rhs(s.rhs_.get()), wanted_rhs(right);
      const WriteAccess r(s.residual_.get());
      std::copy_n(s.elliptic_->residual().data(), cells, r.data());
      if (stage.reacts) {
        without_reaction(cells, volume, s.derivative_.data(), c.data(), rhs.data(), wanted_rhs.data(), r.data());
      }
      handed_back = true;
    }
    if (!linear.converged) {
      report.reason = "linear solve: " + linear.reason;
      s.built_revision_ = -1;
      if (!nonlinear || linear_fraction > 0) return false;
      left_by_rounding = true;
    }
    if (swings) {
      petsc(VecAXPBY(stage.cells, 0.5, 0.5, s.result_.get()));
      if (matrices) petsc(VecAXPBY(stage.network, 0.5, 0.5, s.network_residual_.get()));
      handed_back = false;
    }
    if (nonlinear) continue;
    if (held_up && extremes(stage.cells)[0] < -held_below * scale) {
      nonlinear = true;
      continue;
    }
    if (std::isfinite(residual())) return true;
    report.reason = "the residual is not finite";
    return false;
  }
  report.reason = "Newton's method did not converge";
  return false;
}

TransportSolver::Sums TransportSolver::amounts(double time, double dt, bool reacts) {
  TransportSetup& s = *setup_;
  // All of them are linear: the weighted mean of the stages gives them at once.
  const double volume = grid_->cell_volume(), first = 1 - sdirk::gamma, second = sdirk::gamma;
  set_walls(first * outside(time + sdirk::gamma * dt) + second * outside(time + dt));
  mean_state();
  std::array<double, 5> local{};  // exchange, drained, reacted, blood in, blood out
  {
    const ReadAccess c(s.right_.get());
    for (std::size_t i = 0; i < drainage_.size(); ++i) local[1] += drainage_[i] * c[i];
  }
  if (reacts) {
    for (std::size_t i = 0; i < drainage_.size(); ++i)
      local[2] += volume * (first * s.sink_[1][i] + second * s.sink_[2][i]);
  }
  if (s.matrices_) {
    petsc(VecCopy(s.network_second_.get(), s.network_residual_.get()));
    petsc(VecAXPBY(s.network_residual_.get(), first, second, s.network_first_.get()));
    local[0] = exchanged(*s.matrices_, s.right_.get(), s.network_residual_.get());
    const ReadAccess n(s.network_residual_.get());
    if (keeps_positive()) {
      double held = 0;
      for (std::size_t i = 0; i < drainage_.size(); ++i)
        held += volume * (first * s.held_[1][i] + second * s.held_[2][i]);
      local[0] += held;
      local[4] -= held + first * trial_.slip[0] + second * trial_.slip[1];
    }
    const double entering = first * inlet(time + sdirk::gamma * dt) + second * inlet(time + dt);
    for (std::size_t i = 0; i < node_inflow_.size(); ++i) {
      local[3] += node_inflow_[i] * entering;
      local[4] += node_outflow_[i] * n[i];
    }
  }
  MPI_Allreduce(MPI_IN_PLACE, local.data(), 5, MPI_DOUBLE, MPI_SUM, grid_->comm());
  const auto walls = op_->wall_exchange(s.right_.get());
  return {dt * local[0], dt * local[1], dt * local[2], dt * local[3], dt * local[4], dt * walls[0], dt * walls[1]};
}

void TransportSolver::mean_state() {
  TransportSetup& s = *setup_;
  petsc(VecCopy(s.second_.get(), s.right_.get()));
  petsc(VecAXPBY(s.right_.get(), 1 - sdirk::gamma, sdirk::gamma, s.first_.get()));
}

void TransportSolver::start_correction() {
  TransportSetup& s = *setup_;
  if (!s.correction_) {
    s.correction_ = std::make_unique<ConvectionCorrection>(*grid_);
    s.correction_start_ = s.correction_mean_ = FaceField(*grid_);
    s.correction_source_ = grid_->vector();
  }
  if (s.correction_revision_ != op_->revision()) s.correction_->set(*op_);
  s.correction_revision_ = op_->revision();
  if (!s.correction_->active()) return;
  s.correction_->flux(*op_, cells_.get(), s.correction_start_);
  petsc(VecSet(s.correction_source_.get(), 0.0));
  add_inflow(*grid_, s.correction_start_, 1.0, s.correction_source_.get());
}

void TransportSolver::finish_correction(double time, double dt) {
  TransportSetup& s = *setup_;
  mean_state();
  set_walls((1 - sdirk::gamma) * outside(time + sdirk::gamma * dt) + sdirk::gamma * outside(time + dt));
  s.correction_->flux(*op_, s.right_.get(), s.correction_mean_);
  double least = 1;
  for (const double a : accessible_) least = std::min(least, a);
  if (changes_) {
    for (const double a : accessible_end_) least = std::min(least, a);
  }
  least = min_over(grid_->comm(), least);
  const double unit = 3 * dt * s.correction_->axes() / (grid_->cell_volume() * least);
  for (int axis = 0; axis < 3; ++axis) {
    const auto& excess = s.correction_->excess(axis);
    damp_change(excess.size(), unit, excess.data(), s.correction_mean_[axis].data(), s.correction_start_[axis].data());
  }
  add_inflow(*grid_, s.correction_mean_, dt / grid_->cell_volume(), s.result_.get());
}

bool TransportSolver::corrects() const {
  return convection == ConvectionScheme::limited && setup_->correction_ && setup_->correction_->active();
}

std::array<double, 2> TransportSolver::extremes(Vec values) const {
  const ReadAccess v(values);
  std::array<double, 2> range{std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  for (std::size_t i = 0; i < accessible_.size(); ++i) {
    range[0] = std::min(range[0], v[i]);
    range[1] = std::min(range[1], -v[i]);
  }
  MPI_Allreduce(MPI_IN_PLACE, range.data(), 2, MPI_DOUBLE, MPI_MIN, grid_->comm());
  return {range[0], -range[1]};
}

TransportSetup::Blend& TransportSolver::blend_scratch() {
  TransportSetup& s = *setup_;
  if (s.blend_) return *s.blend_;
  s.blend_ = std::make_unique<TransportSetup::Blend>(*grid_);
  TransportSetup::Blend& b = *s.blend_;
  for (auto* v : {&b.exchanged, &b.drained, &b.gained, &b.share, &b.kept_back, &b.kept_drained})
    v->assign(grid_->local_cells(), 0.0);
  if (s.matrices_) petsc(VecDuplicate(network_values_.get(), b.network.out()));
  petsc(DMCreateLocalVector(grid_->dm(), b.local.out()));
  return b;
}

void TransportSolver::start_from(double weight, Vec rate) {
  TransportSetup& s = *setup_;
  const ReadAccess c0(cells_.get());
  const WriteAccess known(s.known_.get());
  if (rate) {
    const ReadAccess k1(rate);
    start_of_stage(accessible_.size(), accessible_.data(), c0.data(), weight, k1.data(), known.data());
  } else {
    start_of_stage(accessible_.size(), accessible_.data(), c0.data(), weight, nullptr, known.data());
  }
  if (s.matrices_) petsc(VecCopy(network_values_.get(), s.network_known_.get()));
  if (s.matrices_ && rate)
    petsc(VecAXPBY(s.network_known_.get(), sdirk::carry, 1 - sdirk::carry, s.network_first_.get()));
}

void TransportSolver::fall_back(std::size_t cell, double* known) {
  double& first = setup_->sink_[1][cell];
  known[cell] += (1 - 2 * sdirk::gamma) * trial_.dt * first;
  first *= sdirk::gamma / (1 - sdirk::gamma);
}

long TransportSolver::limit_second_start() {
  TransportSetup& s = *setup_;
  const double volume = grid_->cell_volume(), weight = (1 - 2 * sdirk::gamma) * trial_.dt;
  const std::size_t cells = grid_->local_cells();
  // Below this it is more than what the solve of the first stage left.
  const double least = -std::max(1e-13, linear_fraction * relative_tolerance) * scale;
  Sums& sums = trial_.sums;
  if (s.matrices_) {
    const WriteAccess known(s.network_known_.get());
    const std::size_t nodes = s.embedded_->nodes();
    for (std::size_t p = 0; p < pieces_.size(); ++p) {
      if (known[nodes + p] >= 0) continue;
      sums.blood_out -= pieces_[p].volume * known[nodes + p];
      known[nodes + p] = 0;
    }
    const WriteAccess of_cells(s.known_.get());
    const double held_for = (1 - sdirk::gamma) * trial_.dt;
    for (std::size_t i = 0; i < cells; ++i) {
      if (of_cells[i] >= 0 || s.held_[1][i] <= 0) continue;
      s.held_[1][i] -= of_cells[i] / held_for;
      of_cells[i] = 0;
    }
  }
  {
    const ReadAccess known(s.known_.get());
    if (min_over(grid_->comm(), *std::min_element(known.data(), known.data() + cells)) >= least) {
      sums.blood_out = sum_over(grid_->comm(), sums.blood_out);
      return 0;
    }
    auto& share = blend_scratch().share;
    std::fill(share.begin(), share.end(), 1.0);
  }
  trial_.limited = true;
  TransportSetup::Blend& b = blend_scratch();
  // What a cell may keep of what it gave in the first stage: through faces, to vessels, to lymph.
  set_outside(trial_.time + sdirk::gamma * trial_.dt);
  op_->flux(s.first_.get(), b.part);
  for (int axis = 0; axis < 3; ++axis) {
    for (double& f : b.part[axis]) f *= weight;
    std::fill(b.withheld[axis].begin(), b.withheld[axis].end(), 0.0);
  }
  for (auto* v : {&b.exchanged, &b.kept_back, &b.kept_drained}) std::fill(v->begin(), v->end(), 0.0);
  if (s.matrices_) {
    s.matrices_->exchange(s.first_.get(), s.network_first_.get(), b.own.get());
    const ReadAccess e(b.own.get());
    for (std::size_t i = 0; i < cells; ++i) b.exchanged[i] = weight * std::max(-e[i] - volume * s.held_[1][i], 0.0);
  }
  {
    const ReadAccess c(s.first_.get());
    for (std::size_t i = 0; i < cells; ++i) b.drained[i] = weight * std::max(drainage_[i] * c[i], 0.0);
  }
  const auto& n = grid_->size();
  constexpr int most_rounds = 20;
  for (int round = 0; round < most_rounds; ++round) {
    double below = 0;
    {
      const WriteAccess keeps(b.low.get()), known(s.known_.get());
      for (long k = 0; k < n[2]; ++k) {
        for (long j = 0; j < n[1]; ++j) {
          for (long i = 0; i < n[0]; ++i) {
            const auto c = static_cast<std::size_t>((k * n[1] + j) * n[0] + i);
            keeps[c] = 0;
            if (known[c] >= least) continue;
            if (!trial_.falls_back.empty() && !trial_.falls_back[c] && s.sink_[1][c] > 0) {
              trial_.falls_back[c] = 1;
              fall_back(c, known.data());
            }
            if (known[c] >= 0) continue;
            double leaves = b.exchanged[c] + b.drained[c];
            for (int axis = 0; axis < 3; ++axis) {
              for (int side = 0; side < 2; ++side) {
                const double out = b.part[axis][b.part.index(axis, i + (axis == 0 ? side : 0),
                                                             j + (axis == 1 ? side : 0), k + (axis == 2 ? side : 0))];
                leaves += std::max(side == 0 ? -out : out, 0.0);
              }
            }
            if (leaves <= 0) continue;
            keeps[c] = std::min(-known[c] * volume / leaves, 1.0);
            b.share[c] *= 1 - keeps[c];
            ++below;
          }
        }
      }
    }
    if (sum_over(grid_->comm(), below) == 0) break;  // nothing is left to withhold
    const Ghosted kept(*grid_, b.low.get(), b.local.get());
    const WriteAccess known(s.known_.get());
    for (int axis = 0; axis < 3; ++axis) {
      const auto a = static_cast<std::size_t>(axis);
      const auto& extent = b.part.extent(axis);
      const long stride = kept.stride(axis);
      const long inner[3] = {1, n[0], n[0] * n[1]};
      for (long k = 0; k < extent[2]; ++k) {
        for (long j = 0; j < extent[1]; ++j) {
          for (long i = 0; i < extent[0]; ++i) {
            const std::size_t f = b.part.index(axis, i, j, k);
            const std::array<long, 3> at{i, j, k};
            const long place = grid_->start()[a] + at[a];
            const bool out = b.part[axis][f] > 0;                              // of the lower cell
            if (out ? place == 0 : place == grid_->spec().cells[a]) continue;  // comes from outside
            const double keeps = kept.line(j, k)[out ? i - stride : i];
            if (keeps == 0) continue;
            const double amount = keeps * b.part[axis][f];
            b.part[axis][f] -= amount;
            b.withheld[axis][f] += amount;
            const auto upper = (k * n[1] + j) * n[0] + i;
            if (at[a] > 0) known[static_cast<std::size_t>(upper - inner[a])] += amount / volume;
            if (at[a] < n[a]) known[static_cast<std::size_t>(upper)] -= amount / volume;
            if (place == 0 || place == grid_->spec().cells[a]) sums.walls_out += std::abs(amount);
          }
        }
      }
    }
    for (long k = 0; k < n[2]; ++k) {
      for (long j = 0; j < n[1]; ++j) {
        for (long i = 0; i < n[0]; ++i) {
          const double keeps = kept.at(i, j, k);
          if (keeps == 0) continue;
          const auto c = static_cast<std::size_t>((k * n[1] + j) * n[0] + i);
          const double back = keeps * b.exchanged[c], drained = keeps * b.drained[c];
          b.exchanged[c] -= back;
          b.drained[c] -= drained;
          b.kept_back[c] += back;
          b.kept_drained[c] += drained;
          known[c] += (back + drained) / volume;
          sums.exchanged += back;
          sums.drained += drained;
        }
      }
    }
  }
  {
    const ReadAccess known(s.known_.get());
    trial_.starts_below = min_over(grid_->comm(), *std::min_element(known.data(), known.data() + cells)) < least;
  }
  // The vessels got what the cells then kept: it is taken off the blood that leaves.
  sums.blood_out += sums.exchanged;
  const auto limited = std::count_if(b.share.begin(), b.share.end(), [](double share) { return share < 1; });
  std::array<double, 5> all{sums.exchanged, sums.drained, sums.walls_out, sums.blood_out, static_cast<double>(limited)};
  MPI_Allreduce(MPI_IN_PLACE, all.data(), 5, MPI_DOUBLE, MPI_SUM, grid_->comm());
  sums = {.exchanged = all[0], .drained = all[1], .blood_out = all[3], .walls_out = all[2]};
  return static_cast<long>(all[4]);
}

bool TransportSolver::spread_residual(const double* end) {
  // Stages are not below zero; what their residuals put there is taken from all other cells by what they hold.
  const std::size_t cells = grid_->local_cells();
  std::array<double, 2> sum{};  // above zero, below
  const WriteAccess c(setup_->result_.get());
  for (std::size_t i = 0; i < cells; ++i) sum[c[i] > 0 ? 0 : 1] += end[i] * c[i];
  MPI_Allreduce(MPI_IN_PLACE, sum.data(), 2, MPI_DOUBLE, MPI_SUM, grid_->comm());
  constexpr double most = 1e-6;
  if (!(-sum[1] <= most * sum[0])) return false;
  for (std::size_t i = 0; i < cells; ++i) c[i] = std::max(c[i], 0.0) * (1 + sum[1] / sum[0]);
  return true;
}

bool TransportSolver::blend(double time, double dt, LocalReaction* reaction, StepReport& report, Sums& sums) {
  TransportSetup& s = *setup_;
  const double volume = grid_->cell_volume();
  const std::size_t cells = grid_->local_cells();
  TransportSetup::Blend& b = blend_scratch();
  for (auto* v : {&b.exchanged, &b.drained}) std::fill(v->begin(), v->end(), 0.0);
  // Amounts that pass between the cells and all but their faces, added with a weight.
  const auto add_amounts = [&](double weight, const NetworkMatrices* matrices, Vec values, Vec network) {
    if (matrices) {
      matrices->exchange(values, network, b.own.get());
      const ReadAccess e(b.own.get());
      add_scaled(cells, weight, e.data(), b.exchanged.data());
    }
    const ReadAccess c(values);
    for (std::size_t i = 0; i < cells; ++i) b.drained[i] += weight * drainage_[i] * c[i];
  };
  const auto gained = [&](std::size_t i) { return b.exchanged[i] - b.drained[i]; };
  const std::array<double, 2> weight{(1 - sdirk::gamma) * dt, sdirk::gamma * dt};
  const std::array<double, 2> at{time + sdirk::gamma * dt, time + dt};
  for (int axis = 0; axis < 3; ++axis) std::fill(b.high[axis].begin(), b.high[axis].end(), 0.0);
  for (std::size_t i = 0; i < 2; ++i) {
    const Vec values = i == 0 ? s.first_.get() : s.second_.get();
    add_amounts(weight[i], s.matrices_.get(), values, i == 0 ? s.network_first_.get() : s.network_second_.get());
    set_outside(at[i]);
    op_->flux(values, b.part);
    for (int axis = 0; axis < 3; ++axis)
      add_scaled(b.high[axis].size(), weight[i], b.part[axis].data(), b.high[axis].data());
  }
  if (corrects()) {
    for (int axis = 0; axis < 3; ++axis)
      add_scaled(b.high[axis].size(), dt, s.correction_start_[axis].data(), b.high[axis].data());
  }
  if (trial_.limited) {
    for (int axis = 0; axis < 3; ++axis)
      add_scaled(b.high[axis].size(), -1.0, b.withheld[axis].data(), b.high[axis].data());
    for (std::size_t i = 0; i < cells; ++i) {
      b.exchanged[i] += b.kept_back[i];
      b.drained[i] -= b.kept_drained[i];
    }
  }
  double moved = 0;
  for (std::size_t i = 0; i < cells; ++i) moved += std::abs(gained(i));
  moved = sum_over(grid_->comm(), moved) + absolute_sum(*grid_, b.high);

  Stage low;
  low.number = 0;
  low.time = time + dt;
  low.rate = 1 / dt;
  low.cells = b.low.get();
  low.network = b.network.get();
  petsc(VecCopy(s.result_.get(), b.low.get()));
  if (s.matrices_) petsc(VecCopy(s.network_second_.get(), b.network.get()));
  if (reaction) {  // its amounts are as they are
    const WriteAccess source(b.own.get());
    for (std::size_t i = 0; i < cells; ++i)
      source[i] = -volume * ((1 - sdirk::gamma) * s.sink_[1][i] + sdirk::gamma * s.sink_[2][i]);
    low.source = b.own.get();
  }
  start_from(0, nullptr);
  ++report.positive;
  if (!solve_stage(low, reaction, report)) return false;
  add_amounts(-dt, s.positive_matrices_.get(), b.low.get(), b.network.get());
  op_->flux(b.low.get(), b.part);
  for (int axis = 0; axis < 3; ++axis) {
    auto& difference = b.part[axis];
    for (std::size_t f = 0; f < difference.size(); ++f) difference[f] = b.high[axis][f] - dt * difference[f];
  }
  const std::vector<double>& end = changes_ ? accessible_end_ : accessible_;
  {  // flux form: what the fluxes at this solution make of the start
    const ReadAccess r(s.residual_.get());
    const WriteAccess c(b.low.get());
    for (std::size_t i = 0; i < cells; ++i) {
      c[i] += r[i] * dt / (volume * end[i]);
      b.gained[i] = gained(i);
    }
  }
  const double withheld = b.limiter.limit(*op_, bounds, end, cells_.get(), b.low.get(), b.gained, b.part, b.share);
  report.blended = moved > 0 ? withheld / moved : 0;

  petsc(VecSet(b.own.get(), 0.0));
  add_inflow(*grid_, b.part, 1.0, b.own.get());
  std::array<double, 2> less{};
  {
    const ReadAccess in(b.own.get());
    const WriteAccess c(s.result_.get());
    for (std::size_t i = 0; i < cells; ++i) {
      const double off = 1 - b.share[i];
      c[i] -= (in[i] + off * b.gained[i]) / (volume * end[i]);
      less[0] += off * b.exchanged[i];
      less[1] += off * b.drained[i];
    }
  }
  MPI_Allreduce(MPI_IN_PLACE, less.data(), 2, MPI_DOUBLE, MPI_SUM, grid_->comm());
  sums.exchanged -= less[0];
  sums.blood_out += less[0];
  sums.drained -= less[1];
  for (int axis = 0; axis < 3; ++axis) add_scaled(b.high[axis].size(), -1.0, b.part[axis].data(), b.high[axis].data());
  const auto walls = wall_sums(*grid_, b.high);
  sums.walls_out = walls[0];
  sums.walls_in = walls[1];
  return true;
}

StepReport TransportSolver::advance(double time, double dt, LocalReaction* reaction) {
  const StepReport report = attempt(time, dt, reaction);
  if (trial_.good) {
    accept();
  } else {
    refuse();
  }
  return report;
}

StepReport TransportSolver::attempt(double time, double dt, LocalReaction* reaction) {
  StepReport report;
  trial_ = {.time = time, .dt = dt, .reaction = reaction};
  try_step(report);
  trial_.good = report.converged && report.error <= 1;
  return report;
}

void TransportSolver::refuse() {
  if (trial_.reaction) trial_.reaction->end(false, {}, {});
  trial_ = {};
  changes_ = false;
}

void TransportSolver::try_step(StepReport& report) {
  const double time = trial_.time, dt = trial_.dt;
  LocalReaction* const reaction = trial_.reaction;
  TransportSetup& s = *setup_;
  const double rate = 1 / (sdirk::gamma * dt), volume = grid_->cell_volume();
  const std::size_t cells = grid_->local_cells();
  const double* start = accessible_.data();
  const double* end = changes_ ? accessible_end_.data() : start;
  if (linear_fraction > 0) {
    std::array<double, 2> sum{};
    const ReadAccess c(cells_.get());
    for (std::size_t i = 0; i < cells; ++i) {
      sum[0] += std::pow(start[i] * c[i], 2);
      sum[1] += start[i] * start[i];
    }
    MPI_Allreduce(MPI_IN_PLACE, sum.data(), 2, MPI_DOUBLE, MPI_SUM, grid_->comm());
    allowed_ = relative_tolerance * (std::sqrt(sum[0]) + least_share * scale * std::sqrt(sum[1]));
  }
  if (reaction) {
    for (const std::size_t stage : {1U, 2U}) s.sink_[stage].assign(cells, 0.0);
    reaction->begin(time, dt);
  }
  if (convection == ConvectionScheme::limited) {
    set_outside(time);
    start_correction();
  }
  const bool corrected = corrects();

  start_from(0, nullptr);
  Stage stage;
  stage.rate = rate;
  stage.reacts = reaction != nullptr;
  stage.source = corrected ? s.correction_source_.get() : nullptr;
  stage.time = time + sdirk::gamma * dt;
  stage.along = sdirk::gamma;
  stage.cells = s.first_.get();
  stage.network = s.network_first_.get();
  {
    const ReadAccess c0(cells_.get()), k0(slope_.get());
    const WriteAccess u(s.first_.get());
    const double ahead = sdirk::gamma * dt;
    const ReadAccess bend(bend_.get());
    extrapolate(cells, stage.along, start, end, c0.data(), has_slope_ ? ahead : 0.0, k0.data(),
                has_slope_ && has_bend_ ? ahead * ahead : 0.0, bend.data(), u.data());
    if (keeps_positive()) raise_to_zero(cells, u.data());
  }
  if (s.matrices_) petsc(VecCopy(network_values_.get(), s.network_first_.get()));
  if (!solve_stage(stage, reaction, report)) return;
  const auto take_rate = [&](Vec out) {
    const ReadAccess known(s.known_.get()), u(stage.cells), r(s.residual_.get());
    const WriteAccess k(out);
    stage_rate(cells, rate, stage.along, start, end, known.data(), u.data(), 1 / volume, r.data(), k.data());
  };
  take_rate(s.slope_first_.get());

  start_from((1 - sdirk::gamma) * dt, s.slope_first_.get());
  trial_.falls_back = reaction ? reaction->fall_back() : std::span<char>{};
  {
    const WriteAccess known(s.known_.get());
    for (std::size_t i = 0; i < trial_.falls_back.size(); ++i) {
      if (trial_.falls_back[i]) fall_back(i, known.data());
    }
  }
  if (keeps_positive()) {
    report.limited = limit_second_start();
    if (reaction && trial_.starts_below) {
      report.reason = "cells give more within the step than they hold";
      return;
    }
  }
  stage.number = 2;
  stage.time = time + dt;
  stage.along = 1;
  stage.cells = s.second_.get();
  stage.network = s.network_second_.get();
  {  // the rates go on in a straight line
    const ReadAccess c0(cells_.get()), k0(slope_.get()), k1(s.slope_first_.get());
    const WriteAccess u(s.second_.get());
    const double bend = has_slope_ ? (1 - sdirk::gamma) * dt : 0.0;
    extrapolate(cells, stage.along, start, end, c0.data(), dt + bend, k1.data(), -bend, k0.data(), u.data());
    if (keeps_positive()) raise_to_zero(cells, u.data());
  }
  if (s.matrices_) petsc(VecCopy(s.network_first_.get(), s.network_second_.get()));
  if (!solve_stage(stage, reaction, report)) return;
  take_rate(s.slope_second_.get());
  report.converged = true;

  std::array<double, 4> all{};  // squared error, amount, fraction of the cells; squared error of the reaction
  {
    const ReadAccess known(s.known_.get()), k0(slope_.get()), k1(s.slope_first_.get()), k2(s.slope_second_.get());
    const WriteAccess amount(s.result_.get());
    const bool holds = s.matrices_ && keeps_positive();
    const std::span<const double> fell_back = reaction ? reaction->fell_back() : std::span<const double>{};
    for (std::size_t i = 0; i < cells; ++i) {
      double estimate = has_slope_ ? dt * (sdirk::e0 * k0[i] + sdirk::e1 * k1[i] + sdirk::e2 * k2[i])
                                   : dt * sdirk::gamma * (k2[i] - k1[i]);
      // A cell that gives all it has: its implicit stages come closer to zero than the estimate tells by this, twice.
      if ((trial_.limited && s.blend_->share[i] < 1) || (holds && s.held_[1][i] > 0))
        estimate /= std::pow(1 + sdirk::gamma * dt * resting_[i] / (volume * end[i]), 2);
      if (!fell_back.empty() && fell_back[i] > 0) estimate = 0;
      if (!trial_.falls_back.empty() && trial_.falls_back[i]) estimate = 0;
      // What a stiff sink undoes within the step is no error of it (Hosea and Shampine 1996, Appl Numer Math 20:21).
      if (reaction) estimate /= 1 + sdirk::gamma * dt * std::max(s.derivative_[i], 0.0) / end[i];
      amount[i] = known[i] + sdirk::gamma * dt * k2[i];
      all[0] += estimate * estimate;
      all[1] += amount[i] * amount[i];
      all[2] += end[i] * end[i];
    }
  }
  all[3] = reaction ? reaction->squared_error() : 0.0;
  MPI_Allreduce(MPI_IN_PLACE, all.data(), 4, MPI_DOUBLE, MPI_SUM, grid_->comm());
  const auto count = static_cast<double>(grid_->global_cells());
  const double allowed = relative_tolerance * (std::sqrt(all[1]) + least_share * scale * std::sqrt(all[2]));
  const int states = 1 + (reaction ? reaction->error_states() : 0);
  report.error = std::sqrt((all[0] / (allowed * allowed) + all[3] / count) / states);
  if (!(report.error <= 1)) return;

  if (corrected) finish_correction(time, dt);
  {
    const WriteAccess c(s.result_.get());
    for (std::size_t i = 0; i < cells; ++i) c[i] /= end[i];
  }
  Sums& sums = trial_.sums;
  {
    const Sums withheld = sums;
    sums = amounts(time, dt, reaction != nullptr);
    sums.exchanged += withheld.exchanged;
    sums.drained -= withheld.drained;
    sums.walls_out -= withheld.walls_out;
    sums.blood_out -= withheld.blood_out;
  }
  if (corrected) {
    const auto walls = wall_sums(*grid_, s.correction_start_);
    sums.walls_out += dt * walls[0];
    sums.walls_in += dt * walls[1];
  }

  if (s.matrices_ && keeps_positive()) {  // what those held up lack to zero
    double lack = 0;
    {
      const WriteAccess c(s.result_.get());
      for (std::size_t i = 0; i < cells; ++i) {
        if (c[i] >= 0 || (s.held_[2][i] <= 0 && c[i] < -10 * held_below * scale)) continue;
        lack -= volume * end[i] * c[i];
        c[i] = 0;
      }
    }
    lack = sum_over(grid_->comm(), lack);
    sums.exchanged += lack;
    sums.blood_out -= lack;
  }
  const double rounding = std::max(1e-12 * scale, 10 * used_tolerance_ * std::sqrt(all[1] / all[2]));
  if (keeps_positive() && extremes(s.result_.get())[0] < 0 && !spread_residual(end) && reaction &&
      extremes(s.result_.get())[0] <
          -(linear_fraction > 0 ? rounding : 1e-12 * std::max(scale, std::sqrt(all[1] / all[2])))) {
    report.converged = false;
    report.reason = "a concentration fell below zero by more than rounding";
    return;
  }
  const auto outside_bounds = [&] {
    const auto range = extremes(s.result_.get());
    return std::max({bounds.lowest - range[0], range[1] - bounds.highest, 0.0});
  };
  double excess = outside_bounds();
  if (keep_bounds && (bounds.local || excess > rounding)) {
    if (!blend(time, dt, reaction, report, sums)) {
      report.converged = false;
      return;
    }
    excess = outside_bounds();
    // Beside given amounts of a reaction the positive step may be far off: then a shorter step needs less of it.
    constexpr double most_blended = 20;  // times the tolerance
    if (reaction) report.error = std::max(report.error, report.blended / (most_blended * relative_tolerance));
  }
  report.undershoot = excess / scale;
  if (report.undershoot > relative_tolerance)
    report.error = std::max(report.error, report.undershoot / relative_tolerance);
}

void TransportSolver::accept() {
  TransportSetup& s = *setup_;
  if (!trial_.good) throw std::logic_error("a step that failed cannot be kept");
  const double dt = trial_.dt;
  LocalReaction* const reaction = trial_.reaction;
  const std::span<const char> falls_back = trial_.falls_back;
  const Sums& sums = trial_.sums;
  const std::size_t cells = grid_->local_cells();
  if (reaction) {
    const ReadAccess y1(s.first_.get()), y2(s.second_.get());
    const std::span<const double> first{y1.data(), cells}, second{y2.data(), cells};
    reaction->end(true, first, second);
  }
  if (!falls_back.empty()) {  // to the mean rate over the rest of the step
    const double* end = changes_ ? accessible_end_.data() : accessible_.data();
    const ReadAccess y1(s.first_.get()), y2(s.second_.get());
    const WriteAccess k2(s.slope_second_.get());
    for (std::size_t i = 0; i < cells; ++i) {
      if (!falls_back[i]) continue;
      const double first = accessible_[i] + sdirk::gamma * (end[i] - accessible_[i]);
      k2[i] = (end[i] * y2[i] - first * y1[i]) / ((1 - sdirk::gamma) * dt);
    }
  }
  petsc(VecWAXPY(bend_.get(), -1.0, s.slope_first_.get(), s.slope_second_.get()));
  petsc(VecScale(bend_.get(), 1 / ((1 - sdirk::gamma) * dt)));
  petsc(VecCopy(s.slope_second_.get(), slope_.get()));
  has_slope_ = has_bend_ = true;
  petsc(VecCopy(s.result_.get(), cells_.get()));
  if (s.matrices_) petsc(VecCopy(s.network_second_.get(), network_values_.get()));
  if (changes_) accessible_.swap(accessible_end_);
  book(sums.exchanged, ledger_.exchanged_in, ledger_.exchanged_out);
  book(sums.reacted, ledger_.reacted_in, ledger_.reacted_out);
  ledger_.drained += sums.drained;
  ledger_.blood_in += sums.blood_in;
  ledger_.blood_out += sums.blood_out;
  ledger_.walls_out += sums.walls_out;
  ledger_.walls_in += sums.walls_in;
  trial_ = {};
  changes_ = false;
}

double TransportSolver::amount_in_cells() const {
  double sum = 0;
  const ReadAccess c(cells_.get());
  for (std::size_t i = 0; i < accessible_.size(); ++i) sum += accessible_[i] * c[i];
  return sum_over(grid_->comm(), sum * grid_->cell_volume());
}

double TransportSolver::amount_in_network() const {
  if (!setup_->embedded_) return 0;
  double sum = 0;
  const ReadAccess n(network_values_.get());
  const std::size_t nodes = setup_->embedded_->nodes();
  for (std::size_t p = 0; p < pieces_.size(); ++p) sum += pieces_[p].volume * n[nodes + p];
  return sum_over(grid_->comm(), sum);
}

void TransportSolver::open_ledger() {
  ledger_ = {};
  ledger_.cells_start = amount_in_cells();
  ledger_.network_start = amount_in_network();
}

}  // namespace sanctuary
