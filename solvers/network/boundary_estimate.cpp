#include "solvers/network/boundary_estimate.hpp"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <numeric>
#include <set>
#include <string_view>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/units.hpp"
#include "solvers/network/rheology.hpp"
#include "solvers/petsc.hpp"

namespace sanctuary {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();
constexpr int at_full_step = 10;  // updates of the targets at the last weight; those after them go half the way
constexpr int until_held = 60;    // updates of the targets at the last weight; after them they are held
constexpr double still = 1e-6;    // of its target: below it a shear stress tells no direction

std::size_t at(long i) { return static_cast<std::size_t>(i); }

/// A sparse symmetric system with a fixed pattern, scaled from both sides, factored by MUMPS and refined.
class SymmetricSystem {
 public:
  SymmetricSystem(std::size_t unknowns, bool definite) : size_(unknowns), definite_(definite) {}

  /// Adds a place of the pattern (and its mirror image); values are given to `factor` in this order.
  void place(std::size_t row, std::size_t column) {
    row_.push_back(static_cast<PetscInt>(row));
    column_.push_back(static_cast<PetscInt>(column));
  }

  void factor(const std::vector<double>& values, std::vector<double> scale) {
    const std::size_t places = row_.size();
    scale_ = std::move(scale);
    std::vector<double> all;
    all.reserve(2 * places);
    for (std::size_t k = 0; k < places; ++k)
      all.push_back(values[k] * scale_[index(row_[k])] * scale_[index(column_[k])]);
    for (std::size_t k = 0; k < places; ++k)
      if (row_[k] != column_[k]) all.push_back(all[k]);
    if (!matrix_) create();
    petsc(MatSetValuesCOO(matrix_.get(), all.data(), INSERT_VALUES));
    petsc(KSPSetOperators(ksp_.get(), matrix_.get(), matrix_.get()));
    petsc(KSPSetUp(ksp_.get()));
  }

  std::vector<double> solve(const std::vector<double>& rhs, int refinements = 2) {
    {
      WriteAccess b(b_.get());
      for (std::size_t i = 0; i < size_; ++i) b[i] = rhs[i] * scale_[i];
    }
    petsc(VecSet(x_.get(), 0.0));
    petsc(VecCopy(b_.get(), residual_.get()));
    for (int round = 0; round <= refinements; ++round) {
      petsc(KSPSolve(ksp_.get(), residual_.get(), correction_.get()));
      KSPConvergedReason reason = KSP_CONVERGED_ITERATING;
      petsc(KSPGetConvergedReason(ksp_.get(), &reason));
      if (reason < 0) {
        throw NumericsError(
            fmt::format("estimate of boundary conditions: the factorisation of {} unknowns failed ({}); try "
                        "-boundary_estimate_pc_factor_mat_solver_type umfpack with -boundary_estimate_pc_type lu",
                        size_, KSPConvergedReasons[reason]));
      }
      petsc(VecAXPY(x_.get(), 1.0, correction_.get()));
      if (round == refinements) break;
      petsc(MatMult(matrix_.get(), x_.get(), residual_.get()));
      petsc(VecAYPX(residual_.get(), -1.0, b_.get()));
    }
    std::vector<double> result(size_);
    ReadAccess x(x_.get());
    for (std::size_t i = 0; i < size_; ++i) result[i] = x[i] * scale_[i];
    return result;
  }

 private:
  static std::size_t index(PetscInt i) { return static_cast<std::size_t>(i); }

  void create() {
    const std::size_t places = row_.size();
    for (std::size_t k = 0; k < places; ++k) {
      if (row_[k] == column_[k]) continue;
      row_.push_back(column_[k]);
      column_.push_back(row_[k]);
    }
    const auto n = static_cast<PetscInt>(size_);
    petsc(MatCreate(PETSC_COMM_SELF, matrix_.out()));
    petsc(MatSetSizes(matrix_.get(), n, n, n, n));
    petsc(MatSetType(matrix_.get(), MATSEQAIJ));
    if (definite_) petsc(MatSetOption(matrix_.get(), MAT_SPD, PETSC_TRUE));
    // The call reorders its lists.
    std::vector<PetscInt> rows = row_, columns = column_;
    petsc(MatSetPreallocationCOO(matrix_.get(), static_cast<PetscCount>(rows.size()), rows.data(), columns.data()));
    row_.resize(places);
    column_.resize(places);
    petsc(KSPCreate(PETSC_COMM_SELF, ksp_.out()));
    petsc(KSPSetOptionsPrefix(ksp_.get(), "boundary_estimate_"));
    petsc(KSPSetType(ksp_.get(), KSPPREONLY));
    PC pc = nullptr;
    petsc(KSPGetPC(ksp_.get(), &pc));
    petsc(PCSetType(pc, PCCHOLESKY));
    petsc(PCFactorSetMatSolverType(pc, MATSOLVERMUMPS));
    petsc(KSPSetFromOptions(ksp_.get()));
    // Pivots of an indefinite matrix need more work space than MUMPS foresees (20 %).
    petsc(KSPSetOperators(ksp_.get(), matrix_.get(), matrix_.get()));
    petsc(PCFactorSetUpMatSolverType(pc));
    MatSolverType solver = nullptr;
    petsc(PCFactorGetMatSolverType(pc, &solver));
    if (std::string_view(solver) == MATSOLVERMUMPS) {
      Mat factors = nullptr;
      petsc(PCFactorGetMatrix(pc, &factors));
      petsc(MatMumpsSetIcntl(factors, 14, 200));
    }
    petsc(MatCreateVecs(matrix_.get(), x_.out(), b_.out()));
    petsc(VecDuplicate(b_.get(), residual_.out()));
    petsc(VecDuplicate(x_.get(), correction_.out()));
  }

  std::size_t size_;
  bool definite_;
  std::vector<PetscInt> row_, column_;
  std::vector<double> scale_;
  MatHandle matrix_;
  KspHandle ksp_;
  VecHandle x_, b_, residual_, correction_;
};

/// A small dense symmetric positive definite system.
class DenseSystem {
 public:
  /// `values` by columns.
  void factor(std::size_t size, const std::vector<double>& values) {
    const auto n = static_cast<PetscInt>(size);
    petsc(MatCreateSeqDense(PETSC_COMM_SELF, n, n, nullptr, matrix_.out()));
    PetscScalar* entries = nullptr;
    petsc(MatDenseGetArrayWrite(matrix_.get(), &entries));
    std::copy(values.begin(), values.end(), entries);
    petsc(MatDenseRestoreArrayWrite(matrix_.get(), &entries));
    petsc(MatSetOption(matrix_.get(), MAT_SPD, PETSC_TRUE));
    petsc(MatCholeskyFactor(matrix_.get(), nullptr, nullptr));
    petsc(MatCreateVecs(matrix_.get(), x_.out(), b_.out()));
  }

  std::vector<double> solve(const std::vector<double>& rhs) {
    {
      WriteAccess b(b_.get());
      std::copy(rhs.begin(), rhs.end(), b.data());
    }
    petsc(MatSolve(matrix_.get(), b_.get(), x_.get()));
    ReadAccess x(x_.get());
    return {x.data(), x.data() + rhs.size()};
  }

 private:
  MatHandle matrix_;
  VecHandle x_, b_;
};

/// The least squares of Fry et al. for one network. Pressures are counted from the target.
class Estimator {
 public:
  Estimator(const VesselGraph& graph, const std::vector<long>& unknown, const BoundaryEstimateSettings& settings);
  BoundaryEstimate run();

 private:
  /// A set of directions with its pressures.
  struct State {
    std::vector<double> pressure;  // of each node, from the target
    std::vector<signed char> direction;
    std::vector<double> target;  // magnitude of each active segment
    double bias = 1, objective = 0, change = 0;
    long changes = 0, unsettled = 0;
    int solves = 0;
    bool held = false, converged = false;
  };

  void classify();
  void set_conductances();
  void number_unknowns();
  void factor(double weight);
  void reduce();
  void follow(std::vector<double>& pressure, bool known_flows, int refinements);
  [[nodiscard]] std::vector<double> transposed(const std::vector<double>& force, int refinements);
  void add_squares(double pressure_weight, double shear_weight, const std::vector<double>& pressure,
                   std::vector<double>& force) const;
  void solve(double weight, State& state);
  void aim(double step, State& state) const;
  long turn(State& state) const;
  [[nodiscard]] double shear(std::size_t s, const std::vector<double>& pressure) const {
    const auto [i, j] = graph_.segment[s];
    return slope_[s] * (pressure[at(i)] - pressure[at(j)]);
  }
  [[nodiscard]] double target_at(std::size_t s, const std::vector<double>& pressure) const;
  [[nodiscard]] double objective(const std::vector<double>& pressure) const;
  void descend(int first_doubling, State& state);
  [[nodiscard]] State start(int number);
  void flow_at(const State& state, BoundaryEstimate& result) const;
  void measure(BoundaryEstimate& result) const;
  [[nodiscard]] VesselGraph with_estimates(const std::vector<double>& pressure) const;

  const VesselGraph& graph_;
  const BoundaryEstimateSettings& settings_;
  std::vector<char> unknown_;                 // node: its pressure is to be estimated
  std::vector<long> part_;                    // of each node
  std::vector<char> has_unknown_;             // part
  std::vector<char> has_level_;               // part: a known pressure or an unknown node
  std::vector<bool> carries_;                 // segment
  std::vector<std::size_t> active_;           // segments of the least squares
  std::vector<double> haematocrit_, slope_;   // segment; shear stress over pressure drop
  std::vector<double> conductance_, weight_;  // segment; node: half the length of active vessels at it
  std::vector<long> row_, multiplier_;        // of a node: its pressure, its conservation; -1: none
  std::vector<std::size_t> free_, conserved_;
  std::vector<SymmetricSystem> system_;  // none or one
  std::vector<double> scale_;
  // Where unknown nodes are few, everything is a function of their pressures: conserved nodes follow from them.
  bool reduced_ = false;
  std::vector<std::size_t> chosen_;             // unknown nodes
  std::vector<double> of_pressure_, of_shear_;  // the squares in terms of their pressures, by columns
  std::vector<double> given_;                   // pressures where theirs are the target
  DenseSystem dense_;
  BoundaryEstimate result_;
};

std::string some_ids(const std::vector<long>& culprits, const std::vector<long>& ids) {
  constexpr std::size_t shown = 8;
  std::string text;
  for (std::size_t k = 0; k < std::min(shown, culprits.size()); ++k)
    text += (k ? ", " : "") + std::to_string(ids[at(culprits[k])]);
  return text + (culprits.size() > shown ? ", ..." : "");
}

Estimator::Estimator(const VesselGraph& graph, const std::vector<long>& unknown,
                     const BoundaryEstimateSettings& settings)
    : graph_(graph), settings_(settings), unknown_(at(graph.nodes()), 0) {
  const std::string what = "estimate of boundary conditions";
  check_consistent(graph, what);
  if (!settings.viscosity) throw InputError(what + ": no viscosity law given; set BoundaryEstimateSettings::viscosity");
  const auto positive = [&](double value, const char* name) {
    if (!(value > 0) || !std::isfinite(value))
      throw InputError(fmt::format("{}: {} {}; expected a positive number", what, name, value));
  };
  positive(settings.target_pressure, "target pressure");
  positive(settings.target_shear, "target shear stress");
  positive(settings.shear_weight, "weight of shear stress");
  positive(settings.starts, "number of starts");
  std::vector<long> no_radius, no_length;
  for (long s = 0; s < graph.segments(); ++s) {
    if (!(graph.radius[at(s)] > 0)) no_radius.push_back(s);
    if (!(graph.length[at(s)] > 0)) no_length.push_back(s);
  }
  if (!no_radius.empty())
    throw InputError(fmt::format("{}: {} segments without a positive radius: {}; repair the network first", what,
                                 no_radius.size(), some_ids(no_radius, graph.segment_id)));
  if (!no_length.empty())
    throw InputError(fmt::format("{}: {} segments without a positive length: {}; repair the network first", what,
                                 no_length.size(), some_ids(no_length, graph.segment_id)));
  std::vector<long> known;
  for (const long n : unknown) {
    if (n < 0 || n >= graph.nodes())
      throw InputError(fmt::format("{}: unknown node {} does not exist; expected 0 to {}", what, n, graph.nodes() - 1));
    if (graph.boundary[at(n)] != BoundaryKind::none) known.push_back(n);
    unknown_[at(n)] = 1;
  }
  if (!known.empty())
    throw InputError(fmt::format("{}: {} unknown nodes have a boundary condition: {}; clear it or leave them out", what,
                                 known.size(), some_ids(known, graph.node_id)));
  haematocrit_ = settings.segment_haematocrit;
  if (haematocrit_.empty()) haematocrit_.assign(graph.segment.size(), settings.haematocrit);
  if (haematocrit_.size() != graph.segment.size())
    throw InputError(fmt::format("{}: {} haematocrits for {} segments", what, haematocrit_.size(), graph.segments()));
}

void Estimator::classify() {
  VesselGraph open = graph_;
  for (std::size_t n = 0; n < unknown_.size(); ++n) {
    if (unknown_[n]) open.boundary[n] = BoundaryKind::pressure;
    if (open.boundary[n] == BoundaryKind::flow && open.boundary_value[n] == 0) open.boundary[n] = BoundaryKind::none;
  }
  carries_ = can_carry_flow(open);
  part_ = connected_pieces(graph_);
  result_.parts = part_.empty() ? 0 : *std::max_element(part_.begin(), part_.end()) + 1;
  has_unknown_.assign(at(result_.parts), 0);
  has_level_.assign(at(result_.parts), 0);
  std::vector<char> flows(at(result_.parts), 0);
  for (std::size_t n = 0; n < unknown_.size(); ++n) {
    const std::size_t part = at(part_[n]);
    result_.unknown_nodes += unknown_[n];
    result_.known_pressures += graph_.boundary[n] == BoundaryKind::pressure;
    result_.known_flows += graph_.boundary[n] == BoundaryKind::flow;
    if (unknown_[n]) has_unknown_[part] = 1;
    if (unknown_[n] || graph_.boundary[n] == BoundaryKind::pressure) has_level_[part] = 1;
  }
  for (std::size_t s = 0; s < carries_.size(); ++s) {
    const std::size_t part = at(part_[at(graph_.segment[s][0])]);
    result_.segments_at_rest += !carries_[s];
    if (carries_[s]) flows[part] = 1;
    if (carries_[s] && has_unknown_[part]) active_.push_back(s);
  }
  for (std::size_t part = 0; part < flows.size(); ++part) {
    result_.parts_at_rest += !flows[part];
    result_.parts_without_level += !has_level_[part];
  }
  slope_.resize(carries_.size());
  weight_.assign(unknown_.size(), 0.0);
  for (std::size_t s = 0; s < carries_.size(); ++s) slope_[s] = 2 * graph_.radius[s] / (4 * graph_.length[s]);
  for (const std::size_t s : active_)
    for (const long n : graph_.segment[s]) weight_[at(n)] += 0.5 * graph_.length[s];
}

void Estimator::set_conductances() {
  conductance_.resize(graph_.segment.size());
  for (std::size_t s = 0; s < conductance_.size(); ++s) {
    const double diameter = 2 * graph_.radius[s];
    const double viscosity = settings_.viscosity(diameter, haematocrit_[s]);
    if (!(viscosity > 0) || !std::isfinite(viscosity))
      throw InputError(
          fmt::format("estimate of boundary conditions: viscosity {} Pa s in segment {} (diameter {} m, haematocrit "
                      "{}); expected a positive number",
                      viscosity, graph_.segment_id[s], diameter, haematocrit_[s]));
    conductance_[s] = poiseuille_conductance(diameter, graph_.length[s], viscosity);
  }
}

void Estimator::number_unknowns() {
  row_.assign(unknown_.size(), -1);
  multiplier_.assign(unknown_.size(), -1);
  for (std::size_t n = 0; n < unknown_.size(); ++n) {
    if (weight_[n] == 0 || graph_.boundary[n] == BoundaryKind::pressure) continue;
    row_[n] = static_cast<long>(free_.size());
    free_.push_back(n);
    if (!unknown_[n]) conserved_.push_back(n);
  }
  for (std::size_t k = 0; k < conserved_.size(); ++k) multiplier_[conserved_[k]] = static_cast<long>(free_.size() + k);
  for (const std::size_t n : free_)
    if (unknown_[n]) chosen_.push_back(n);
  if (free_.empty()) return;
  reduced_ = static_cast<long>(chosen_.size()) <= settings_.reduction_limit;
  if (reduced_) {
    for (const std::size_t n : conserved_) multiplier_[n] -= static_cast<long>(free_.size());
    SymmetricSystem& system = system_.emplace_back(conserved_.size(), true);
    for (std::size_t k = 0; k < conserved_.size(); ++k) system.place(k, k);
    for (const std::size_t s : active_) {
      const auto [i, j] = graph_.segment[s];
      if (multiplier_[at(i)] >= 0 && multiplier_[at(j)] >= 0)
        system.place(at(multiplier_[at(i)]), at(multiplier_[at(j)]));
    }
    return;
  }
  SymmetricSystem& system = system_.emplace_back(free_.size() + conserved_.size(), false);
  for (std::size_t k = 0; k < free_.size(); ++k) system.place(k, k);
  for (std::size_t k = 0; k < conserved_.size(); ++k) {
    system.place(at(multiplier_[conserved_[k]]), at(row_[conserved_[k]]));
    system.place(at(multiplier_[conserved_[k]]), at(multiplier_[conserved_[k]]));
  }
  for (const std::size_t s : active_) {
    const auto [i, j] = graph_.segment[s];
    if (row_[at(i)] >= 0 && row_[at(j)] >= 0) system.place(at(row_[at(i)]), at(row_[at(j)]));
    if (multiplier_[at(i)] >= 0 && row_[at(j)] >= 0) system.place(at(multiplier_[at(i)]), at(row_[at(j)]));
    if (multiplier_[at(j)] >= 0 && row_[at(i)] >= 0) system.place(at(multiplier_[at(j)]), at(row_[at(i)]));
  }
}

/// Sets the pressures of conserved nodes from all others.
void Estimator::follow(std::vector<double>& pressure, bool known_flows, int refinements) {
  if (conserved_.empty()) return;
  std::vector<double> rhs(conserved_.size(), 0.0);
  for (std::size_t k = 0; k < conserved_.size(); ++k)
    if (known_flows && graph_.boundary[conserved_[k]] == BoundaryKind::flow)
      rhs[k] = graph_.boundary_value[conserved_[k]];
  for (const std::size_t s : active_) {
    const auto [i, j] = graph_.segment[s];
    const long a = multiplier_[at(i)], b = multiplier_[at(j)];
    if (a >= 0 && b < 0) rhs[at(a)] += conductance_[s] * pressure[at(j)];
    if (b >= 0 && a < 0) rhs[at(b)] += conductance_[s] * pressure[at(i)];
  }
  const std::vector<double> found = system_.front().solve(rhs, refinements);
  for (std::size_t k = 0; k < conserved_.size(); ++k) pressure[conserved_[k]] = found[k];
}

/// What a force on the pressures of free nodes is worth at the chosen nodes: the transpose of `follow`.
std::vector<double> Estimator::transposed(const std::vector<double>& force, int refinements) {
  std::vector<double> all = force;
  if (!conserved_.empty()) {
    std::vector<double> rhs(conserved_.size());
    for (std::size_t k = 0; k < conserved_.size(); ++k) rhs[k] = force[conserved_[k]];
    const std::vector<double> found = system_.front().solve(rhs, refinements);
    for (const std::size_t s : active_) {
      const auto [i, j] = graph_.segment[s];
      const long a = multiplier_[at(i)], b = multiplier_[at(j)];
      if (a >= 0 && b < 0) all[at(j)] += conductance_[s] * found[at(a)];
      if (b >= 0 && a < 0) all[at(i)] += conductance_[s] * found[at(b)];
    }
  }
  std::vector<double> result(chosen_.size());
  for (std::size_t k = 0; k < chosen_.size(); ++k) result[k] = all[chosen_[k]];
  return result;
}

/// Adds the derivatives of the weighted squares (targets left out) at `pressure`.
void Estimator::add_squares(double pressure_weight, double shear_weight, const std::vector<double>& pressure,
                            std::vector<double>& force) const {
  if (pressure_weight != 0)
    for (const std::size_t n : free_) force[n] += pressure_weight * weight_[n] * pressure[n];
  if (shear_weight == 0) return;
  for (const std::size_t s : active_) {
    const auto [i, j] = graph_.segment[s];
    const double pull = shear_weight * graph_.length[s] * slope_[s] * shear(s, pressure);
    force[at(i)] += pull;
    force[at(j)] -= pull;
  }
}

void Estimator::reduce() {
  if (!reduced_) return;
  std::vector<double> values(conserved_.size(), 0.0), scale(conserved_.size());
  for (const std::size_t s : active_)
    for (const long n : graph_.segment[s])
      if (multiplier_[at(n)] >= 0) values[at(multiplier_[at(n)])] += conductance_[s];
  for (std::size_t k = 0; k < conserved_.size(); ++k) scale[k] = 1 / std::sqrt(values[k]);
  for (const std::size_t s : active_) {
    const auto [i, j] = graph_.segment[s];
    if (multiplier_[at(i)] >= 0 && multiplier_[at(j)] >= 0) values.push_back(-conductance_[s]);
  }
  if (!conserved_.empty()) system_.front().factor(values, scale);
  of_pressure_.clear();
  of_shear_.clear();
  std::vector<double> one(unknown_.size(), 0.0), force(unknown_.size());
  for (const std::size_t n : chosen_) {
    one[n] = 1;
    follow(one, false, 0);
    for (const bool of_shear : {false, true}) {
      force.assign(unknown_.size(), 0.0);
      add_squares(of_shear ? 0 : 1, of_shear ? 1 : 0, one, force);
      const std::vector<double> column = transposed(force, 0);
      std::vector<double>& matrix = of_shear ? of_shear_ : of_pressure_;
      matrix.insert(matrix.end(), column.begin(), column.end());
    }
    one[n] = 0;
  }
  given_.assign(unknown_.size(), 0.0);
  for (std::size_t n = 0; n < unknown_.size(); ++n)
    if (graph_.boundary[n] == BoundaryKind::pressure) given_[n] = graph_.boundary_value[n] - settings_.target_pressure;
  follow(given_, true, 2);
}

void Estimator::factor(double weight) {
  if (system_.empty()) return;
  if (reduced_) {
    std::vector<double> values(of_pressure_);
    for (std::size_t k = 0; k < values.size(); ++k) values[k] += weight * of_shear_[k];
    dense_.factor(chosen_.size(), values);
    return;
  }
  std::vector<double> squares(unknown_.size()), conductances(unknown_.size(), 0.0), values;
  squares = weight_;
  for (const std::size_t s : active_) {
    for (const long n : graph_.segment[s]) {
      squares[at(n)] += weight * graph_.length[s] * slope_[s] * slope_[s];
      conductances[at(n)] += conductance_[s];
    }
  }
  scale_.assign(free_.size() + conserved_.size(), 1.0);
  for (std::size_t k = 0; k < free_.size(); ++k) {
    values.push_back(squares[free_[k]]);
    scale_[k] = 1 / std::sqrt(squares[free_[k]]);
  }
  for (const std::size_t n : conserved_) {
    values.push_back(conductances[n]);
    values.push_back(0.0);
    scale_[at(multiplier_[n])] = 1 / (conductances[n] * scale_[at(row_[n])]);
  }
  for (const std::size_t s : active_) {
    const auto [i, j] = graph_.segment[s];
    if (row_[at(i)] >= 0 && row_[at(j)] >= 0) values.push_back(-weight * graph_.length[s] * slope_[s] * slope_[s]);
    if (multiplier_[at(i)] >= 0 && row_[at(j)] >= 0) values.push_back(-conductance_[s]);
    if (multiplier_[at(j)] >= 0 && row_[at(i)] >= 0) values.push_back(-conductance_[s]);
  }
  system_.front().factor(values, scale_);
}

void Estimator::solve(double weight, State& state) {
  ++state.solves;
  state.change = 0;
  if (system_.empty()) return;
  if (reduced_) {
    std::vector<double> force(unknown_.size(), 0.0), next(unknown_.size(), 0.0);
    add_squares(-1, -weight, given_, force);
    for (const std::size_t s : active_) {
      const double pull = weight * graph_.length[s] * slope_[s] * state.bias * state.direction[s] * state.target[s];
      force[at(graph_.segment[s][0])] += pull;
      force[at(graph_.segment[s][1])] -= pull;
    }
    const std::vector<double> found = dense_.solve(transposed(force, 1));
    for (std::size_t k = 0; k < chosen_.size(); ++k) next[chosen_[k]] = found[k];
    follow(next, false, 1);
    for (const std::size_t n : free_) {
      const double p = given_[n] + next[n];
      state.change = std::max(state.change, std::abs(p - state.pressure[n]) / settings_.target_pressure);
      state.pressure[n] = p;
    }
    return;
  }
  std::vector<double> rhs(free_.size() + conserved_.size(), 0.0);
  for (const std::size_t n : conserved_)
    if (graph_.boundary[n] == BoundaryKind::flow) rhs[at(multiplier_[n])] += graph_.boundary_value[n];
  for (const std::size_t s : active_) {
    const auto& ends = graph_.segment[s];
    const double pull = weight * graph_.length[s] * slope_[s] * state.bias * state.direction[s] * state.target[s];
    for (int end = 0; end < 2; ++end) {
      const std::size_t self = at(ends[at(end)]), other = at(ends[at(1 - end)]);
      if (row_[self] < 0) continue;
      rhs[at(row_[self])] += end == 0 ? pull : -pull;
      if (row_[other] >= 0) continue;
      rhs[at(row_[self])] += weight * graph_.length[s] * slope_[s] * slope_[s] * state.pressure[other];
      if (multiplier_[self] >= 0) rhs[at(multiplier_[self])] += conductance_[s] * state.pressure[other];
    }
  }
  const std::vector<double> found = system_.front().solve(rhs);
  for (std::size_t k = 0; k < free_.size(); ++k) {
    double& p = state.pressure[free_[k]];
    state.change = std::max(state.change, std::abs(found[k] - p) / settings_.target_pressure);
    p = found[k];
  }
}

double Estimator::target_at(std::size_t s, const std::vector<double>& pressure) const {
  if (!settings_.shear_from_pressure) return settings_.target_shear;
  const auto [i, j] = graph_.segment[s];
  return shear_at_pressure(settings_.target_pressure + 0.5 * (pressure[at(i)] + pressure[at(j)]));
}

/// Moves target shears and bias factor by a share `step` towards what the pressures ask for.
void Estimator::aim(double step, State& state) const {
  double length = 0, mean = 0, square = 0;
  for (const std::size_t s : active_) {
    state.target[s] += step * (target_at(s, state.pressure) - state.target[s]);
    const double tau = shear(s, state.pressure);
    length += graph_.length[s];
    mean += graph_.length[s] * std::abs(tau);
    square += graph_.length[s] * tau * tau;
  }
  if (settings_.correct_bias && mean > 0) state.bias += step * (square * length / (mean * mean) - state.bias);
}

/// Turns the directions with the flow; the number that changed.
long Estimator::turn(State& state) const {
  long changes = 0;
  for (const std::size_t s : active_) {
    if (shear(s, state.pressure) * state.direction[s] >= 0) continue;
    state.direction[s] = static_cast<signed char>(-state.direction[s]);
    ++changes;
  }
  return changes;
}

double Estimator::objective(const std::vector<double>& pressure) const {
  double sum = 0, length = 0;
  for (std::size_t n = 0; n < weight_.size(); ++n) sum += weight_[n] * pressure[n] * pressure[n];
  for (const std::size_t s : active_) {
    const double off = std::abs(shear(s, pressure)) - target_at(s, pressure);
    sum += settings_.shear_weight * graph_.length[s] * off * off;
    length += graph_.length[s];
  }
  return length > 0 ? sum / length : 0.0;
}

void Estimator::descend(int first_doubling, State& state) {
  std::set<std::uint64_t> seen;
  for (int doubling = first_doubling; doubling <= settings_.doublings; ++doubling) {
    const bool last = doubling == settings_.doublings;
    const double weight = std::ldexp(settings_.shear_weight, doubling - settings_.doublings);
    factor(weight);
    for (int repeat = 0; repeat < (last ? settings_.last_repeats : settings_.repeats); ++repeat) {
      solve(weight, state);
      state.unsettled = turn(state);
      state.changes += state.unsettled;
      if (!state.held) aim(repeat < at_full_step ? 1.0 : 0.5, state);
      if (!last && state.unsettled == 0) break;
      if (!last) continue;
      state.converged = state.unsettled == 0 && state.change <= settings_.tolerance;
      if (state.converged) break;
      // With targets and bias held, both the solve and the turns lower the same sum: that cannot go in a circle.
      if (repeat >= until_held) state.held = true;
      if (state.unsettled > 0) {
        std::uint64_t hash = 0xcbf29ce484222325ULL;
        for (const std::size_t s : active_) hash = (hash ^ (state.direction[s] > 0 ? 1U : 2U)) * 0x100000001b3ULL;
        if (!seen.insert(hash).second) state.held = true;
      }
    }
  }
  state.objective = objective(state.pressure);
}

Estimator::State Estimator::start(int number) {
  State state;
  state.pressure.assign(unknown_.size(), 0.0);
  for (std::size_t n = 0; n < unknown_.size(); ++n)
    if (graph_.boundary[n] == BoundaryKind::pressure)
      state.pressure[n] = graph_.boundary_value[n] - settings_.target_pressure;
  state.direction.assign(graph_.segment.size(), 1);
  state.target.assign(graph_.segment.size(), 0.0);
  factor(0.0);
  solve(0.0, state);
  aim(1.0, state);
  state.bias = 1;
  // What the known conditions alone leave open is drawn (in later starts all), as seen from the node of the lower name.
  const RandomStream draws(settings_.seed, fmt::format("boundary_estimate.{}", number));
  for (const std::size_t s : active_) {
    const double tau = shear(s, state.pressure);
    const auto [i, j] = graph_.segment[s];
    bool forward = tau > 0;
    if (number > 0 || std::abs(tau) < still * state.target[s]) {
      const bool up = draws.uniform(static_cast<std::uint64_t>(graph_.segment_id[s])) < 0.5;
      forward = up == (graph_.node_id[at(i)] < graph_.node_id[at(j)]);
    }
    state.direction[s] = forward ? 1 : -1;
  }
  return state;
}

VesselGraph Estimator::with_estimates(const std::vector<double>& pressure) const {
  VesselGraph result = graph_;
  for (std::size_t n = 0; n < unknown_.size(); ++n) {
    if (!unknown_[n]) continue;
    result.boundary[n] = BoundaryKind::pressure;
    result.boundary_value[n] = settings_.target_pressure + pressure[n];
  }
  return result;
}

/// Pressures and flows of all parts with a level, from the estimated and the known conditions.
void Estimator::flow_at(const State& state, BoundaryEstimate& result) const {
  const std::size_t nodes = unknown_.size(), segments = graph_.segment.size();
  std::vector<double> pressure = state.pressure;
  std::vector<long> row(nodes, -1);
  std::vector<std::size_t> open;
  for (std::size_t n = 0; n < nodes; ++n) {
    if (!has_level_[at(part_[n])] || result.graph.boundary[n] == BoundaryKind::pressure) continue;
    row[n] = static_cast<long>(open.size());
    open.push_back(n);
  }
  if (!open.empty()) {
    SymmetricSystem system(open.size(), true);
    std::vector<double> diagonal(open.size(), 0.0), rhs(open.size(), 0.0), values;
    for (std::size_t k = 0; k < open.size(); ++k) {
      if (graph_.boundary[open[k]] == BoundaryKind::flow) rhs[k] = graph_.boundary_value[open[k]];
      system.place(k, k);
    }
    for (std::size_t s = 0; s < segments; ++s) {
      const auto& ends = graph_.segment[s];
      if (ends[0] == ends[1] || !has_level_[at(part_[at(ends[0])])]) continue;
      for (int end = 0; end < 2; ++end) {
        const long self = row[at(ends[at(end)])];
        if (self < 0) continue;
        diagonal[at(self)] += conductance_[s];
        if (const std::size_t other = at(ends[at(1 - end)]); row[other] < 0)
          rhs[at(self)] += conductance_[s] * pressure[other];
      }
    }
    values = diagonal;
    for (std::size_t s = 0; s < segments; ++s) {
      const auto [i, j] = graph_.segment[s];
      if (i == j || row[at(i)] < 0 || row[at(j)] < 0) continue;
      system.place(at(row[at(i)]), at(row[at(j)]));
      values.push_back(-conductance_[s]);
    }
    std::vector<double> scale(open.size());
    for (std::size_t k = 0; k < open.size(); ++k) scale[k] = 1 / std::sqrt(diagonal[k]);
    system.factor(values, scale);
    const std::vector<double> found = system.solve(rhs);
    for (std::size_t k = 0; k < open.size(); ++k) pressure[open[k]] = found[k];
  }
  result.flow.assign(segments, none);
  result.pressure.assign(nodes, none);
  std::vector<double> net(nodes, 0.0);
  for (std::size_t s = 0; s < segments; ++s) {
    const auto [i, j] = graph_.segment[s];
    if (!has_level_[at(part_[at(i)])]) continue;
    result.flow[s] = carries_[s] ? conductance_[s] * (pressure[at(i)] - pressure[at(j)]) : 0.0;
    net[at(i)] += result.flow[s];
    net[at(j)] -= result.flow[s];
  }
  double worst = 0;
  for (std::size_t n = 0; n < nodes; ++n) {
    if (!has_level_[at(part_[n])]) continue;
    result.pressure[n] = settings_.target_pressure + pressure[n];
    const bool given = result.graph.boundary[n] == BoundaryKind::flow;
    const double enters = given                                                ? graph_.boundary_value[n]
                          : result.graph.boundary[n] == BoundaryKind::pressure ? net[n]
                                                                               : 0;
    result.inflow += std::max(enters, 0.0);
    worst = std::max(worst, std::abs(net[n] - enters));
  }
  result.imbalance = result.inflow > 0 ? worst / result.inflow : worst;
}

void Estimator::measure(BoundaryEstimate& result) const {
  result.lowest_estimate = std::numeric_limits<double>::infinity();
  result.highest_estimate = -result.lowest_estimate;
  for (std::size_t n = 0; n < unknown_.size(); ++n) {
    if (!unknown_[n]) continue;
    result.lowest_estimate = std::min(result.lowest_estimate, result.pressure[n]);
    result.highest_estimate = std::max(result.highest_estimate, result.pressure[n]);
  }
  if (result.unknown_nodes == 0) result.lowest_estimate = result.highest_estimate = none;
  std::vector<std::array<double, 2>> found;  // magnitude of shear, length
  double length = 0, pressure = 0, off_pressure = 0, target = 0, off_shear = 0, square = 0;
  for (std::size_t s = 0; s < carries_.size(); ++s) {
    const auto [i, j] = graph_.segment[s];
    if (!carries_[s] || !has_level_[at(part_[at(i)])]) continue;
    const double l = graph_.length[s], middle = 0.5 * (result.pressure[at(i)] + result.pressure[at(j)]);
    const double tau = std::abs(slope_[s] * (result.pressure[at(i)] - result.pressure[at(j)]));
    const double aim = settings_.shear_from_pressure ? shear_at_pressure(middle) : settings_.target_shear;
    length += l;
    pressure += l * middle;
    for (const long n : {i, j}) {
      const double off = result.pressure[at(n)] - settings_.target_pressure;
      off_pressure += 0.5 * l * off * off;
    }
    target += l * aim;
    off_shear += l * (tau - aim) * (tau - aim);
    square += l * tau * tau;
    result.shear.mean += l * tau;
    found.push_back({tau, l});
  }
  if (!(length > 0)) return;
  result.mean_pressure = pressure / length;
  result.pressure_deviation = std::sqrt(off_pressure / length);
  result.mean_target_shear = target / length;
  result.shear_deviation = std::sqrt(off_shear / length);
  result.shear.mean /= length;
  result.shear.deviation = std::sqrt(std::max(0.0, square / length - result.shear.mean * result.shear.mean));
  std::sort(found.begin(), found.end());
  const auto quantile = [&](double share) {
    double sum = 0;
    for (const auto& [tau, l] : found)
      if ((sum += l) >= share * length) return tau;
    return found.back()[0];
  };
  result.shear.smallest = found.front()[0];
  result.shear.largest = found.back()[0];
  result.shear.quantile_05 = quantile(0.05);
  result.shear.quantile_25 = quantile(0.25);
  result.shear.median = quantile(0.5);
  result.shear.quantile_75 = quantile(0.75);
  result.shear.quantile_95 = quantile(0.95);
}

BoundaryEstimate Estimator::run() {
  classify();
  set_conductances();
  number_unknowns();
  reduce();
  State best;
  int solves = 0;
  long changes = 0;
  for (int number = 0; number < settings_.starts; ++number) {
    State state = start(number);
    descend(0, state);
    solves += state.solves;
    changes += state.changes;
    if (number == 0 || state.objective < best.objective) best = std::move(state);
  }
  for (int round = 0; round < settings_.haematocrit_rounds && settings_.solve_haematocrit; ++round) {
    const std::vector<double> solved = settings_.solve_haematocrit(with_estimates(best.pressure));
    if (solved.size() != haematocrit_.size())
      throw InputError(fmt::format("estimate of boundary conditions: {} haematocrits for {} segments", solved.size(),
                                   haematocrit_.size()));
    result_.haematocrit_change = 0;
    for (std::size_t s = 0; s < solved.size(); ++s)
      result_.haematocrit_change = std::max(result_.haematocrit_change, std::abs(solved[s] - haematocrit_[s]));
    haematocrit_ = solved;
    set_conductances();
    reduce();
    best.solves = 0;
    best.changes = 0;
    best.held = best.converged = false;
    descend(settings_.doublings, best);
    solves += best.solves;
    changes += best.changes;
  }
  BoundaryEstimate result = result_;
  result.graph = with_estimates(best.pressure);
  flow_at(best, result);
  measure(result);
  result.bias_factor = best.bias;
  result.objective = best.objective;
  result.direction_changes = changes;
  result.unsettled = best.unsettled;
  result.solves = solves;
  result.held = best.held;
  result.converged = best.converged;
  result.change = best.change;
  return result;
}

}  // namespace

std::vector<long> open_ends(const VesselGraph& graph, const Box& box, double margin) {
  std::vector<long> result;
  for (const long n : end_nodes(graph)) {
    if (graph.boundary[at(n)] != BoundaryKind::none) continue;
    bool near = false;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      if (box.size[axis] <= 0) continue;  // a planar network lies in that face as a whole
      const double from_low = graph.position[at(n)][axis] - box.origin[axis];
      near = near || from_low <= margin || box.size[axis] - from_low <= margin;
    }
    if (near) result.push_back(n);
  }
  return result;
}

BoundaryEstimate estimate_boundaries(const VesselGraph& graph, const std::vector<long>& unknown,
                                     const BoundaryEstimateSettings& settings) {
  return Estimator(graph, unknown, settings).run();
}

std::string BoundaryEstimate::text() const {
  const auto mmhg = [](double value) { return units::from_si(value, "mmHg"); };
  std::string text;
  const auto line = [&](const char* name, const std::string& value) {
    text += fmt::format("  {:<26} {}\n", name, value);
  };
  line("unknown boundary nodes", unknown_nodes == 0 ? "0"
                                                    : fmt::format("{}, now {:.4g} to {:.4g} mmHg", unknown_nodes,
                                                                  mmhg(lowest_estimate), mmhg(highest_estimate)));
  line("kept", fmt::format("{} pressures, {} flows", known_pressures, known_flows));
  if (parts_at_rest > 0) line("parts without through-flow", fmt::format("{} of {}", parts_at_rest, parts));
  if (parts_without_level > 0)
    line("parts left as they are", fmt::format("{}: no unknown node and no pressure", parts_without_level));
  if (segments_at_rest > 0) line("segments without flow", fmt::format("{}", segments_at_rest));
  line("pressure", fmt::format("mean {:.4g} mmHg, {:.3g} off the target (root mean square)", mmhg(mean_pressure),
                               mmhg(pressure_deviation)));
  line("wall shear stress",
       fmt::format("mean {:.4g}, aimed at {:.4g}, {:.3g} off, 5 % {:.3g}, median {:.3g}, 95 % {:.3g} Pa", shear.mean,
                   mean_target_shear, shear_deviation, shear.quantile_05, shear.median, shear.quantile_95));
  line("bias factor", fmt::format("{:.4g} on the target shears", bias_factor));
  line("inflow", fmt::format("{:.5g} nl/min, largest imbalance {:.1e} of it", inflow * 6e13, imbalance));
  line("directions", fmt::format("{} changes in {} solves, {}", direction_changes, solves,
                                 unsettled == 0 ? "settled" : fmt::format("{} unsettled", unsettled)));
  if (held) line("held", "target shears ran in a cycle with pressures or directions, which holding them ended");
  if (!converged) line("not converged", fmt::format("last change of pressure {:.1e} of the target", change));
  if (lowest_estimate < 0) line("negative pressures", "targets and known conditions do not fit: check units and flows");
  return text;
}

const Catalogue& boundary_estimate_parameters() {
  static const Catalogue list{&network::estimate_boundaries,  &network::estimate_margin, &network::target_pressure,
                              &network::target_shear_law,     &network::target_shear,    &network::shear_weight,
                              &network::estimate_haematocrit, &network::estimate_seed,   &network::estimate_starts};
  return list;
}

}  // namespace sanctuary
