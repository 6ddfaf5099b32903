#include "solvers/transport.hpp"

#include <algorithm>
#include <cmath>

#include "base/comm.hpp"

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

}  // namespace

double next_step(double dt, double error) {
  const double factor = error > 0 ? 0.9 * std::pow(error, -1.0 / 3.0) : 2.0;
  return dt * std::clamp(factor, 0.2, 2.0);
}

TransportSolver::TransportSolver(const Grid& grid, const EmbeddedNetwork* network, const std::string& prefix)
    : grid_(&grid),
      embedded_(network),
      solver_(grid, network ? network->local_unknowns(true) : 0, prefix, false),
      accessible_(grid.local_cells(), 1.0),
      drainage_(grid.local_cells(), 0.0),
      sink_(grid.local_cells(), 0.0),
      derivative_(grid.local_cells(), 0.0) {
  for (VecHandle* v : {&cells_, &slope_, &first_.cells, &first_.star_cells, &second_.cells, &second_.star_cells,
                       &rhs_cells_, &residual_cells_, &delta_cells_}) {
    *v = grid.vector();
  }
  if (!embedded_) return;
  matrices_ = std::make_unique<NetworkMatrices>(*embedded_);
  for (VecHandle* v : {&network_values_, &first_.network, &first_.star_network, &second_.network, &second_.star_network,
                       &rhs_network_, &residual_network_, &delta_network_}) {
    petsc(VecCreateMPI(grid.comm(), embedded_->local_unknowns(true), PETSC_DETERMINE, v->out()));
    petsc(VecSet(v->get(), 0.0));
  }
}

void TransportSolver::set_cells(std::vector<double> accessible_fraction, CellOperator& op,
                                std::vector<double> drainage) {
  accessible_ = std::move(accessible_fraction);
  drainage_ = std::move(drainage);
  op_ = &op;
  assembled_rate_ = -1;
}

void TransportSolver::set_network(std::vector<PieceCoefficients> pieces, std::vector<double> node_inflow,
                                  std::vector<double> node_outflow) {
  pieces_ = std::move(pieces);
  node_inflow_ = std::move(node_inflow);
  node_outflow_ = std::move(node_outflow);
  assembled_rate_ = -1;
}

void TransportSolver::set_outside(double time) {
  const double value = outside(time);
  for (int wall = 0; wall < 6; ++wall) op_->set_wall_value(wall, value);
}

bool TransportSolver::solve_stage(int number, double time, double dt, LocalReaction* reaction, Stage& stage,
                                  StepReport& report) {
  const double rate = 1 / (sdirk::gamma * dt);
  const double volume = grid_->cell_volume();
  const std::size_t cells = grid_->local_cells();
  set_outside(time);

  petsc(VecSet(rhs_cells_.get(), 0.0));
  op_->add_wall_source(rhs_cells_.get());
  {
    const ReadAccess star(stage.star_cells.get());
    const WriteAccess rhs(rhs_cells_.get());
    for (std::size_t c = 0; c < cells; ++c) rhs[c] += volume * accessible_[c] * rate * star[c];
  }
  if (embedded_) {
    const ReadAccess star(stage.star_network.get());
    const WriteAccess rhs(rhs_network_.get());
    const std::size_t nodes = embedded_->nodes().size();
    for (std::size_t n = 0; n < nodes; ++n) rhs[n] = node_inflow_[n] * inlet(time);
    for (std::size_t p = 0; p < pieces_.size(); ++p) rhs[nodes + p] = pieces_[p].volume * rate * star[nodes + p];
  }

  const double level =
      std::max({rms(stage.cells.get()), 1e-3 * std::abs(inlet(time)), 1e-3 * std::abs(outside(time)), 1e-9 * scale});
  double unit = 0;
  for (int newton = 0; newton < 20; ++newton) {
    if (reaction) {
      const ReadAccess c(stage.cells.get());
      reaction->stage(number, {c.data(), cells}, sink_, derivative_);
    }
    auto& diagonal = op_->diagonal();
    for (std::size_t c = 0; c < cells; ++c) {
      diagonal[c] = volume * accessible_[c] * rate + drainage_[c] + (matrices_ ? matrices_->cell_diagonal()[c] : 0.0);
    }
    op_->apply(stage.cells.get(), residual_cells_.get());
    if (embedded_) {
      petsc(MatMultAdd(matrices_->to_cells(), stage.network.get(), residual_cells_.get(), residual_cells_.get()));
      petsc(MatMult(matrices_->from_cells(), stage.cells.get(), residual_network_.get()));
      petsc(MatMultAdd(matrices_->network(), stage.network.get(), residual_network_.get(), residual_network_.get()));
      petsc(VecAYPX(residual_network_.get(), -1.0, rhs_network_.get()));
    }
    petsc(VecAYPX(residual_cells_.get(), -1.0, rhs_cells_.get()));
    if (reaction) {
      const WriteAccess r(residual_cells_.get());
      for (std::size_t c = 0; c < cells; ++c) {
        r[c] -= volume * sink_[c];
        diagonal[c] += volume * derivative_[c];
      }
    }
    if (unit == 0) {
      double sum = 0;
      for (const double d : op_->full_diagonal()) sum += d * d;
      unit = std::sqrt(sum_over(grid_->comm(), sum)) * level;
    }
    double norm = 0;
    petsc(VecNorm(residual_cells_.get(), NORM_2, &norm));
    norm /= unit;
    if (!std::isfinite(norm)) {
      report.reason = "the residual is not finite";
      return false;
    }
    if (newton > 0 && norm <= linear_tolerance) return true;
    ++report.newton;
    const double wanted = reaction ? std::max(0.3 * linear_tolerance, 1e-3 * norm) : 0.3 * linear_tolerance;
    solver_.set(*op_, matrices_ ? matrices_->network() : nullptr, matrices_ ? matrices_->to_cells() : nullptr,
                matrices_ ? matrices_->from_cells() : nullptr, rebuild_);
    rebuild_ = false;
    petsc(VecSet(delta_cells_.get(), 0.0));
    const SolveReport linear =
        solver_.solve(residual_cells_.get(), embedded_ ? residual_network_.get() : nullptr, level, wanted,
                      delta_cells_.get(), embedded_ ? delta_network_.get() : nullptr);
    report.linear += linear.iterations;
    if (!linear.converged) {
      report.reason = "linear solve: " + linear.reason;
      rebuild_ = true;
      return false;
    }
    if (linear.iterations > 40) rebuild_ = true;
    petsc(VecAXPY(stage.cells.get(), 1.0, delta_cells_.get()));
    if (embedded_) petsc(VecAXPY(stage.network.get(), 1.0, delta_network_.get()));
  }
  report.reason = "Newton's method did not converge";
  return false;
}

void TransportSolver::collect(double weight_dt, double time, const Stage& stage, TransportLedger& sums) {
  const double volume = grid_->cell_volume();
  set_outside(time);
  std::array<double, 5> local{};  // exchange, drained, reacted, blood in, blood out
  {
    const ReadAccess c(stage.cells.get());
    for (std::size_t i = 0; i < drainage_.size(); ++i) {
      local[1] += drainage_[i] * c[i];
      local[2] += volume * sink_[i];
    }
  }
  if (embedded_) {
    matrices_->exchange(stage.cells.get(), stage.network.get(), residual_cells_.get());
    const ReadAccess e(residual_cells_.get());
    for (std::size_t i = 0; i < drainage_.size(); ++i) local[0] += e[i];
    const ReadAccess n(stage.network.get());
    for (std::size_t i = 0; i < node_inflow_.size(); ++i) {
      local[3] += node_inflow_[i] * inlet(time);
      local[4] += node_outflow_[i] * n[i];
    }
  }
  MPI_Allreduce(MPI_IN_PLACE, local.data(), 5, MPI_DOUBLE, MPI_SUM, grid_->comm());
  book(weight_dt * local[0], sums.exchanged_in, sums.exchanged_out);
  sums.drained += weight_dt * local[1];
  book(weight_dt * local[2], sums.reacted_in, sums.reacted_out);
  sums.blood_in += weight_dt * local[3];
  sums.blood_out += weight_dt * local[4];
  const auto walls = op_->wall_exchange(stage.cells.get());
  sums.walls_out += weight_dt * walls[0];
  sums.walls_in += weight_dt * walls[1];
}

StepReport TransportSolver::advance(double time, double dt, LocalReaction* reaction) {
  StepReport report;
  const double rate = 1 / (sdirk::gamma * dt);
  if (rate != assembled_rate_) {
    if (matrices_) matrices_->assemble(pieces_, node_outflow_, rate);
    assembled_rate_ = rate;
    rebuild_ = true;
  }
  std::fill(sink_.begin(), sink_.end(), 0.0);
  std::fill(derivative_.begin(), derivative_.end(), 0.0);
  if (reaction) reaction->begin(time, dt);
  const auto fail = [&] {
    if (reaction) reaction->end(false, {}, {});
    return report;
  };

  petsc(VecCopy(cells_.get(), first_.star_cells.get()));
  petsc(VecCopy(cells_.get(), first_.cells.get()));
  if (has_slope_) petsc(VecAXPY(first_.cells.get(), sdirk::gamma * dt, slope_.get()));
  if (embedded_) {
    petsc(VecCopy(network_values_.get(), first_.star_network.get()));
    petsc(VecCopy(network_values_.get(), first_.network.get()));
  }
  if (!solve_stage(1, time + sdirk::gamma * dt, dt, reaction, first_, report)) return fail();
  TransportLedger sums = ledger_;
  collect((1 - sdirk::gamma) * dt, time + sdirk::gamma * dt, first_, sums);

  const auto extrapolate = [](Vec start, Vec stage, double factor, Vec out) {
    petsc(VecWAXPY(out, -1.0, start, stage));
    petsc(VecAYPX(out, factor, start));
  };
  extrapolate(cells_.get(), first_.cells.get(), sdirk::carry, second_.star_cells.get());
  extrapolate(cells_.get(), first_.cells.get(), 1 / sdirk::gamma, second_.cells.get());
  if (embedded_) {
    extrapolate(network_values_.get(), first_.network.get(), sdirk::carry, second_.star_network.get());
    petsc(VecCopy(first_.network.get(), second_.network.get()));
  }
  if (!solve_stage(2, time + dt, dt, reaction, second_, report)) return fail();
  collect(sdirk::gamma * dt, time + dt, second_, sums);
  report.converged = true;

  std::array<double, 2> sum{};
  double lowest = 0, own = 0;
  {
    const ReadAccess y0(cells_.get()), y1(first_.cells.get()), y2(second_.cells.get()), star(second_.star_cells.get()),
        k0(slope_.get());
    for (std::size_t c = 0; c < accessible_.size(); ++c) {
      const double k1 = (y1[c] - y0[c]) * rate, k2 = (y2[c] - star[c]) * rate;
      const double estimate =
          has_slope_ ? dt * (sdirk::e0 * k0[c] + sdirk::e1 * k1 + sdirk::e2 * k2) : dt * sdirk::gamma * (k2 - k1);
      sum[0] += std::pow(accessible_[c] * estimate, 2);
      sum[1] += std::pow(accessible_[c] * y2[c], 2);
      own += accessible_[c] * accessible_[c];
      lowest = std::min(lowest, y2[c]);
    }
  }
  std::array<double, 4> all{sum[0], sum[1], own, reaction ? reaction->squared_error() : 0.0};
  MPI_Allreduce(MPI_IN_PLACE, all.data(), 4, MPI_DOUBLE, MPI_SUM, grid_->comm());
  lowest = min_over(grid_->comm(), lowest);
  const auto count = static_cast<double>(grid_->global_cells());
  const double allowed = relative_tolerance * (std::sqrt(all[1]) + 1e-4 * scale * std::sqrt(all[2]));
  const int states = 1 + (reaction ? reaction->error_states() : 0);
  report.error = std::sqrt((all[0] / (allowed * allowed) + all[3] / count) / states);
  report.undershoot = -lowest / scale;
  if (report.undershoot > relative_tolerance)
    report.error = std::max(report.error, report.undershoot / relative_tolerance);
  if (!(report.error <= 1)) return fail();

  if (reaction) {
    const ReadAccess y1(first_.cells.get()), y2(second_.cells.get());
    reaction->end(true, {y1.data(), accessible_.size()}, {y2.data(), accessible_.size()});
  }
  {
    const ReadAccess y2(second_.cells.get()), star(second_.star_cells.get());
    const WriteAccess k(slope_.get());
    for (std::size_t c = 0; c < accessible_.size(); ++c) k[c] = (y2[c] - star[c]) * rate;
  }
  has_slope_ = true;
  petsc(VecCopy(second_.cells.get(), cells_.get()));
  if (embedded_) petsc(VecCopy(second_.network.get(), network_values_.get()));
  ledger_ = sums;
  return report;
}

double TransportSolver::amount_in_cells() const {
  double sum = 0;
  const ReadAccess c(cells_.get());
  for (std::size_t i = 0; i < accessible_.size(); ++i) sum += accessible_[i] * c[i];
  return sum_over(grid_->comm(), sum * grid_->cell_volume());
}

double TransportSolver::amount_in_network() const {
  if (!embedded_) return 0;
  double sum = 0;
  const ReadAccess n(network_values_.get());
  const std::size_t nodes = embedded_->nodes().size();
  for (std::size_t p = 0; p < pieces_.size(); ++p) sum += pieces_[p].volume * n[nodes + p];
  return sum_over(grid_->comm(), sum);
}

void TransportSolver::open_ledger() {
  ledger_ = {};
  ledger_.cells_start = amount_in_cells();
  ledger_.network_start = amount_in_network();
}

}  // namespace sanctuary
