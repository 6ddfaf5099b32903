#include "tissue/oxygen.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/comm.hpp"

namespace sanctuary {
namespace {

std::size_t at(long i) { return static_cast<std::size_t>(i); }

/// Michaelis-Menten use, continued linearly below zero: concave everywhere, so that Newton's method cannot overshoot
/// twice.
double use_rate(double maximum, double half, double pressure) {
  return pressure > 0 ? oxygen_use(maximum, half, pressure) : maximum / half * pressure;
}

/// Oxygen carried by a stream of red cells and blood [m^3/s], and its slope.
struct Stream {
  double red_cells = 0, blood = 0;
};
double carried(const BloodOxygen& law, const Stream& s, double pressure) {
  return s.red_cells * law.capacity * saturation(law, pressure) + s.blood * law.solubility * pressure;
}
double carried_slope(const BloodOxygen& law, const Stream& s, double pressure) {
  return s.red_cells * law.capacity * saturation_slope(law, pressure) + s.blood * law.solubility;
}

}  // namespace

OxygenSolver::OxygenSolver(const Grid& grid, const EmbeddedNetwork* network, const FlowSolver* flow)
    : grid_(&grid),
      network_(network),
      flow_(flow),
      op_(grid),
      solver_(grid, network ? network->local_unknowns(true) : 0, "oxygen_", false) {
  if (!network_) return;
  matrices_ = std::make_unique<NetworkMatrices>(*network_, ExchangeForm::all_vessels);
  if (solver_.iterative()) matrices_->want_alone();
}

void OxygenSolver::solve(const OxygenSettings& settings, const Walls& walls, const std::vector<double>& use,
                         const BloodFlow& blood, OxygenState& state) {
  const MPI_Comm comm = grid_->comm();
  const std::size_t cells = grid_->local_cells();
  const double volume = grid_->cell_volume();
  const BloodOxygen& law = settings.blood;

  double scale = 0;
  for (std::size_t w = 0; w < 6; ++w) {
    if (walls.kind[w] == WallKind::fixed) scale = std::max(scale, walls.value[w]);
  }
  std::vector<double> inlet;
  std::vector<Stream> node_in, node_out;  // through the boundary, of own nodes
  const CutNetwork* cut = network_ ? &network_->network() : nullptr;
  if (network_) {
    inlet.assign(cut->own_nodes, settings.inlet_pressure);
    node_in.resize(cut->own_nodes);
    node_out.resize(cut->own_nodes);
    const std::vector<double> red = blood.red_cells_arriving(*cut);
    for (std::size_t n = 0; n < cut->own_nodes; ++n) {
      if (!std::isnan(cut->boundary_po2[n])) inlet[n] = cut->boundary_po2[n];
      const double q = blood.inflow[n];
      if (q > 0) {
        node_in[n] = {blood.red_inflow[n], q};
        scale = std::max(scale, inlet[n]);
      } else if (q < 0) {
        node_out[n] = {std::max(red[n], 0.0), -q};
      }
    }
  }
  scale = max_over(comm, std::max(scale, 1.0));

  if (!state.cells) {
    state.cells = grid_->vector();
    petsc(VecSet(state.cells.get(), 0.5 * scale));
  }
  if (network_ && state.node_pressure.size() != cut->nodes()) {
    state.node_pressure.assign(cut->nodes(), scale);
    state.piece_pressure.assign(cut->own_pieces, scale);
  }

  op_.reset(walls);
  op_.add_diffusion(std::vector<double>(cells, settings.krogh_coefficient));
  VecHandle residual = grid_->vector(), delta = grid_->vector(), wall_source = grid_->vector(), trial = grid_->vector(),
            start = grid_->vector();
  op_.add_wall_source(wall_source.get());

  const std::size_t owned_nodes = network_ ? network_->nodes() : 0;
  const std::size_t owned_pieces = network_ ? network_->pieces() : 0;
  std::vector<PieceCoefficients> pieces(owned_pieces);
  std::vector<std::array<Stream, 2>> enter(owned_pieces), leave(owned_pieces);
  VecHandle net_residual, net_delta;
  if (network_) {
    net_residual = solver_.network_vector();
    net_delta = solver_.network_vector();
    const ExchangeGeometry& geometry = *network_->exchange();
    for (std::size_t p = 0; p < owned_pieces; ++p) {
      const double radius = flow_->lumen_radius(p), length = cut->piece_length[p];
      PieceCoefficients& piece = pieces[p];
      const double conductance = length / intravascular_resistance(2 * radius);
      piece.to_tissue = conductance + std::max(blood.leak[p], 0.0) * law.solubility;
      piece.from_tissue = conductance + std::max(-blood.leak[p], 0.0) * law.solubility;
      piece.diffusivity = settings.krogh_coefficient;
      piece.resistance = geometry.resistance(p);
      set_convection(blood.end_flow(p, 0), blood.end_flow(p, 1), piece);
      piece.diffusion = settings.krogh_coefficient * std::numbers::pi * radius * radius / (0.5 * length);
      for (std::size_t e = 0; e < 2; ++e) {
        const bool feeds = blood.flow[p] >= 0 ? e == 0 : e == 1;
        enter[p][e] = {piece.enter[e] > 0 && feeds ? blood.red_cells[p] : 0.0, piece.enter[e]};
        leave[p][e] = {piece.leave[e] > 0 && !feeds ? blood.red_cells[p] : 0.0, piece.leave[e]};
      }
    }
  }
  std::vector<double> node_slope(owned_nodes), lumen(owned_pieces), balance(owned_pieces), bend(owned_pieces),
      read(owned_pieces);  // of the cells, by each piece
  std::vector<PieceCoefficients> bent(owned_pieces);
  double supplied = 0;
  // Where oxygen is used up between two vessels their potentials do not add up: a piece whose wall would see less than
  // half of what the cells show around it by the vessels near it takes no heed of them from then on.
  const auto decouple = [&](const std::vector<double>& moved) {
    bool decoupled = false;
    for (std::size_t p = 0; p < owned_pieces; ++p) {
      const PieceCoefficients& piece = bent[p];
      if (piece.coupling <= 0 || piece.from_tissue <= 0) continue;
      const double at_wall = (piece.to_tissue * lumen[p] - moved[p]) / piece.from_tissue;
      const double alone = read[p] + moved[p] * piece.resistance / piece.diffusivity;
      if (at_wall >= 0.5 * alone || at_wall >= alone) continue;
      bent[p].coupling = pieces[p].coupling = 0;
      decoupled = true;
    }
    return decoupled;
  };
  // What use takes off the profile between the values of the cells of each piece, as a difference in the lumen [Pa],
  // linearised: it goes with the mean of the cells, so a part of it belongs to what the tissue gives back.
  const auto bend_profile = [&](Vec cell_values) {
    read = matrices_->read(cell_values);
    for (std::size_t p = 0; p < owned_pieces; ++p) {
      bent[p] = pieces[p];
      bend[p] = 0;
      if (pieces[p].to_tissue <= 0 || read[p] <= 0) continue;
      const double m0 = use[network_->piece_cell()[p]];
      const double curvature = network_->exchange()->curvature[p] / settings.krogh_coefficient;
      double off = curvature * use_rate(m0, settings.half_pressure, read[p]);
      double slope = curvature * oxygen_use_slope(m0, settings.half_pressure, read[p]);
      if (off > 0.5 * read[p]) {  // where oxygen ends within a cell its profile is no parabola
        off = 0.5 * read[p];
        slope = 0.5;
      }
      slope = std::min(slope, 0.5);
      bend[p] = (off - slope * read[p]) * pieces[p].from_tissue / pieces[p].to_tissue;
      bent[p].from_tissue *= 1 - slope;
      bent[p].diffusivity *= 1 - slope;
    }
  };

  // Residuals at given values; with_slopes also refreshes the linearisation.
  const auto evaluate = [&](Vec cell_values, const std::vector<double>& node, const std::vector<double>& piece_value,
                            bool with_slopes, bool with_weights) {
    if (network_) {
      petsc(VecSet(net_residual.get(), 0.0));
      const auto add = [&](PetscInt row, double value) {
        petsc(VecSetValue(net_residual.get(), row, value, ADD_VALUES));
      };
      for (std::size_t n = 0; n < owned_nodes; ++n) {
        add(network_->node_row(static_cast<long>(n), true),
            carried(law, node_in[n], inlet[n]) - carried(law, node_out[n], node[n]));
        if (with_slopes) node_slope[n] = carried_slope(law, node_out[n], node[n]);
      }
      for (std::size_t i = 0; i < owned_pieces; ++i) {
        PieceCoefficients& piece = pieces[i];
        const double out = piece_value[i];
        if (with_weights && piece.upstream >= 0) {
          const auto up = static_cast<std::size_t>(piece.upstream);
          const double in = node[at(cut->piece_nodes[i][up])];
          const double mid = 0.5 * (in + out);
          const double slope = carried_slope(law, enter[i][up], mid);
          const double to_cells = piece.to_cells(), kappa = slope > 0 ? to_cells / slope : 1e6;
          piece.weight = std::min(upstream_weight(kappa), slope > 0 ? slope / to_cells : 0.0);
        }
        double mean = out, own = 0;
        for (std::size_t e = 0; e < 2; ++e) {
          const long node_id = cut->piece_nodes[i][e];
          const double value = node[at(node_id)];
          const PetscInt row = network_->node_row(node_id, true);
          const double in_flux = carried(law, enter[i][e], value) + piece.diffusion * (value - out);
          const double out_flux = carried(law, leave[i][e], out);
          own += in_flux - out_flux;
          add(row, out_flux - in_flux);
          if (piece.upstream == static_cast<int>(e)) mean = piece.weight * value + (1 - piece.weight) * out;
          if (with_slopes) {
            piece.enter[e] = carried_slope(law, enter[i][e], value);
            piece.leave[e] = carried_slope(law, leave[i][e], out);
          }
        }
        lumen[i] = mean;
        balance[i] = own;
      }
      bend_profile(cell_values);
      for (std::size_t i = 0; i < owned_pieces; ++i) lumen[i] += bend[i];
      matrices_->assemble(bent, node_slope, 0.0);
      petsc(VecSet(residual.get(), 0.0));
      std::vector<double> moved = matrices_->exchange_of_pieces(cell_values, lumen, residual.get());
      if (with_slopes) {
        if (max_over(comm, decouple(moved) ? 1 : 0) > 0) {
          matrices_->assemble(bent, node_slope, 0.0);
          petsc(VecSet(residual.get(), 0.0));
          moved = matrices_->exchange_of_pieces(cell_values, lumen, residual.get());
        }
      }
      supplied = 0;
      for (std::size_t i = 0; i < owned_pieces; ++i) {
        add(network_->piece_row(i), balance[i] - moved[i]);
        supplied += moved[i];
      }
    } else {
      petsc(VecSet(residual.get(), 0.0));
    }
    if (network_) {
      petsc(VecAssemblyBegin(net_residual.get()));
      petsc(VecAssemblyEnd(net_residual.get()));
    }
    std::fill(op_.diagonal().begin(), op_.diagonal().end(), 0.0);
    op_.apply(cell_values, trial.get());
    petsc(VecAXPY(residual.get(), -1.0, trial.get()));
    petsc(VecAXPY(residual.get(), 1.0, wall_source.get()));
    const ReadAccess c(cell_values);
    const WriteAccess r(residual.get());
    for (std::size_t i = 0; i < cells; ++i) {
      r[i] -= volume * use_rate(use[i], settings.half_pressure, c[i]);
      if (with_slopes)
        op_.diagonal()[i] = volume * oxygen_use_slope(use[i], settings.half_pressure, std::max(c[i], 0.0));
    }
  };

  const auto imbalance = [&] {
    double of_cells = 0, of_network = 0;
    petsc(VecNorm(residual.get(), NORM_2, &of_cells));
    if (network_) petsc(VecNorm(net_residual.get(), NORM_2, &of_network));
    return std::hypot(of_cells, of_network);
  };

  state.newton = state.linear = 0;
  bool converged = false;
  constexpr int most = 80;
  constexpr int weighing = 12;  // afterwards the weights of the lumen means stand still
  while (state.newton < most) {
    evaluate(state.cells.get(), state.node_pressure, state.piece_pressure, true, state.newton < weighing);
    if (network_) {
      for (std::size_t i = 0; i < cells; ++i) op_.diagonal()[i] += matrices_->cell_diagonal()[i];
    }
    double sum = 0, cell_norm = 0;
    for (const double d : op_.full_diagonal()) sum += d * d;
    petsc(VecNorm(residual.get(), NORM_2, &cell_norm));
    state.residual = cell_norm / (std::sqrt(sum_over(comm, sum)) * scale);
    if (network_) {
      VecHandle d = solver_.network_vector();
      petsc(MatGetDiagonal(matrices_->network(), d.get()));
      petsc(VecPointwiseDivide(d.get(), net_residual.get(), d.get()));
      double net = 0;
      PetscInt count = 0;
      petsc(VecNorm(d.get(), NORM_2, &net));
      petsc(VecGetSize(d.get(), &count));
      state.residual = std::max(state.residual, net / (scale * std::sqrt(static_cast<double>(count))));
    }
    if (state.residual <= tolerance && state.newton > 0) {
      converged = true;
      break;
    }
    ++state.newton;
    solver_.set(op_, network_ ? matrices_->blocks() : NetworkBlocks{});
    petsc(VecSet(delta.get(), 0.0));
    if (network_) petsc(VecSet(net_delta.get(), 0.0));
    const SolveReport report =
        solver_.solve(residual.get(), net_residual.get(), scale, std::max(0.1 * tolerance, 1e-3 * state.residual),
                      delta.get(), net_delta.get());
    state.linear += report.iterations;
    if (!report.converged) throw NumericsError("oxygen: the linear solve failed (" + report.reason + ")");
    // Newton's direction lowers the norm of what does not balance; haemoglobin's flat tail makes full steps overshoot.
    const double before = imbalance();
    const std::vector<double> node_start = state.node_pressure, piece_start = state.piece_pressure;
    std::vector<double> node_delta, piece_delta;
    if (network_) {
      node_delta = network_->node_values(net_delta.get());
      piece_delta = network_->piece_values(net_delta.get());
    }
    petsc(VecCopy(state.cells.get(), start.get()));
    const auto step_to = [&](double part) {
      petsc(VecWAXPY(state.cells.get(), part, delta.get(), start.get()));
      const auto moved = [&](double value, double change) {
        return std::clamp(value + part * change, 0.1 * value, std::max(2 * scale, value));
      };
      for (std::size_t n = 0; n < node_delta.size(); ++n) {
        state.node_pressure[n] = moved(node_start[n], node_delta[n]);
      }
      for (std::size_t p = 0; p < piece_delta.size(); ++p) {
        state.piece_pressure[p] = moved(piece_start[p], piece_delta[p]);
      }
    };
    if (state.residual < 1e-6) {  // near the solution rounding, not overshoot, decides the norm
      step_to(1);
      continue;
    }
    double best_part = 1, least = std::numeric_limits<double>::infinity();
    for (double part = 1; part > 0.1; part *= 0.5) {
      step_to(part);
      evaluate(state.cells.get(), state.node_pressure, state.piece_pressure, false, false);
      const double now = imbalance();
      if (now < least) {
        least = now;
        best_part = part;
      }
      if (now <= (1 - 0.1 * part) * before) break;
    }
    // Where no part of the step lowers it (a bound stands in the way) the best of them is taken all the same.
    step_to(best_part);
  }
  if (!converged) {
    throw NumericsError("oxygen: Newton's method did not converge in " + std::to_string(most) +
                        " iterations (scaled residual " + std::to_string(state.residual) + ")");
  }

  std::array<double, 4> sum{};  // in, out, supplied, used
  {
    const ReadAccess c(state.cells.get());
    for (std::size_t i = 0; i < cells; ++i) sum[3] += volume * use_rate(use[i], settings.half_pressure, c[i]);
    for (std::size_t n = 0; n < owned_nodes; ++n) {
      sum[0] += carried(law, node_in[n], inlet[n]);
      sum[1] += carried(law, node_out[n], state.node_pressure[n]);
    }
    sum[2] = supplied;
  }
  MPI_Allreduce(MPI_IN_PLACE, sum.data(), 4, MPI_DOUBLE, MPI_SUM, comm);
  const auto wall = op_.wall_exchange(state.cells.get());
  state.blood_in = sum[0];
  state.blood_out = sum[1];
  state.supplied = sum[2];
  state.used = sum[3];
  state.walls_out = wall[0];
  state.walls_in = wall[1];
  const double entering = state.blood_in + state.walls_in;
  state.imbalance = entering > 0 ? std::abs(entering - state.blood_out - state.walls_out - state.used) / entering : 0.0;
}

}  // namespace sanctuary
