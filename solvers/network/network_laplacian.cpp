#include "solvers/network/network_laplacian.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/comm.hpp"

namespace sanctuary {
namespace {

std::size_t at(long i) { return static_cast<std::size_t>(i); }

}  // namespace

NetworkLaplacian::NetworkLaplacian(const CutNetwork& network, std::string prefix)
    : network_(&network), prefix_(std::move(prefix)) {
  offset_.assign(network.own_nodes + 1, 0);
  const auto own = [&](long n) { return at(n) < network.own_nodes; };
  for (const auto& ends : network.piece_nodes) {
    for (const long n : ends) {
      if (own(n)) ++offset_[at(n) + 1];
    }
  }
  std::partial_sum(offset_.begin(), offset_.end(), offset_.begin());
  piece_at_.resize(at(offset_.back()));
  std::vector<int> next(offset_.begin(), offset_.end() - 1);
  for (std::size_t p = 0; p < network.pieces(); ++p) {
    for (const long n : network.piece_nodes[p]) {
      if (own(n)) piece_at_[at(next[at(n)]++)] = static_cast<int>(p);
    }
  }
  work_.resize(network.own_nodes);
}

void NetworkLaplacian::set(std::span<const double> weight, std::span<const double> excess,
                           std::span<const char> fixed) {
  const MPI_Comm comm = network_->comm;
  std::vector<char> open(weight.size());
  for (std::size_t p = 0; p < open.size(); ++p) {
    open[p] = weight[p] > 0 && network_->piece_nodes[p][0] != network_->piece_nodes[p][1];
  }
  const bool same = open == open_ && std::equal(fixed.begin(), fixed.end(), fixed_.begin(), fixed_.end());
  weight_.assign(weight.begin(), weight.end());
  excess_.assign(excess.begin(), excess.end());
  double largest = 0;
  for (const double w : weight_) largest = std::max(largest, w);
  for (const double s : excess_) largest = std::max(largest, s);
  unit_ = max_over(comm, largest);
  if (unit_ <= 0) unit_ = 1;
  if (max_over(comm, same ? 0 : 1) > 0) {
    open_ = std::move(open);
    fixed_.assign(fixed.begin(), fixed.end());
    eliminate_symbolically();
    create_solver();
  }
  eliminate();
  assemble();
}

void NetworkLaplacian::eliminate_symbolically() {
  const CutNetwork& net = *network_;
  const auto own = static_cast<int>(net.own_nodes);
  const auto free_own = [&](long n) { return at(n) < net.own_nodes && !fixed_[at(n)]; };
  // Edges between own free nodes, parallel pieces merged.
  edge_of_piece_.assign(net.pieces(), -1);
  std::vector<char> remote(net.own_nodes, 0);
  std::vector<std::array<int, 2>> ends;
  std::vector<int> degree(net.own_nodes, 0), first(net.own_nodes + 1, 0);
  for (int n = 0; n < own; ++n) first[at(n) + 1] = first[at(n)] + offset_[at(n) + 1] - offset_[at(n)];
  std::vector<std::array<int, 2>> near(at(first[at(own)]));  // {neighbour, edge}
  const auto find = [&](int a, int b) {
    for (int i = 0; i < degree[at(a)]; ++i) {
      if (near[at(first[at(a)] + i)][0] == b) return first[at(a)] + i;
    }
    return -1;
  };
  long unknowns = 0;
  for (int n = 0; n < own; ++n) unknowns += !fixed_[at(n)];
  for (std::size_t p = 0; p < net.pieces(); ++p) {
    if (!open_[p]) continue;
    const auto [i, j] = net.piece_nodes[p];
    for (const auto& [self, other] : {std::array<long, 2>{i, j}, std::array<long, 2>{j, i}}) {
      if (free_own(self) && at(other) >= net.own_nodes && !fixed_[at(other)]) remote[at(self)] = 1;
    }
    if (!free_own(i) || !free_own(j)) continue;
    const int a = static_cast<int>(i), b = static_cast<int>(j);
    const int place = degree[at(a)] <= degree[at(b)] ? find(a, b) : find(b, a);
    if (place >= 0) {
      edge_of_piece_[p] = near[at(place)][1];
      continue;
    }
    const auto edge = static_cast<int>(ends.size());
    ends.push_back({a, b});
    edge_of_piece_[p] = edge;
    near[at(first[at(a)] + degree[at(a)]++)] = {b, edge};
    near[at(first[at(b)] + degree[at(b)]++)] = {a, edge};
  }

  step_.clear();
  std::vector<char> gone(net.own_nodes, 0);
  std::vector<int> queue;
  for (int n = own; n-- > 0;) {
    if (!fixed_[at(n)] && !remote[at(n)] && degree[at(n)] <= 2) queue.push_back(n);
  }
  const auto remove = [&](int a, int b) {  // b from the list of a
    const int place = find(a, b);
    near[at(place)] = near[at(first[at(a)] + --degree[at(a)])];
  };
  while (!queue.empty()) {
    const int v = queue.back();
    queue.pop_back();
    if (gone[at(v)] || degree[at(v)] > 2) continue;
    gone[at(v)] = 1;
    Step step{v, -1, -1, -1, -1, -1};
    if (degree[at(v)] > 0) {
      step.first = near[at(first[at(v)])][0];
      step.edge_first = near[at(first[at(v)])][1];
      if (degree[at(v)] > 1) {
        step.second = near[at(first[at(v)] + 1)][0];
        step.edge_second = near[at(first[at(v)] + 1)][1];
        const int place = degree[at(step.first)] <= degree[at(step.second)] ? find(step.first, step.second)
                                                                            : find(step.second, step.first);
        if (place >= 0) {
          step.edge_new = near[at(place)][1];
          remove(step.first, v);
          remove(step.second, v);
        } else {
          step.edge_new = step.edge_first;  // its place is free again
          ends[at(step.edge_new)] = {step.first, step.second};
          near[at(find(step.first, v))] = {step.second, step.edge_new};
          near[at(find(step.second, v))] = {step.first, step.edge_new};
        }
      } else {
        remove(step.first, v);
      }
    }
    step_.push_back(step);
    for (const int n : {step.first, step.second}) {
      if (n >= 0 && !remote[at(n)] && degree[at(n)] <= 2) queue.push_back(n);
    }
  }

  kept_.clear();
  for (int n = 0; n < own; ++n) {
    if (!fixed_[at(n)] && !gone[at(n)]) kept_.push_back(n);
  }
  const MPI_Comm comm = net.comm;
  const long before = count_before(comm, static_cast<long>(kept_.size()));
  reduced_ = count_over(comm, static_cast<long>(kept_.size()));
  unknowns_ = count_over(comm, unknowns);
  kept_number_.assign(net.nodes(), -1);
  for (std::size_t i = 0; i < kept_.size(); ++i) kept_number_[at(kept_[i])] = before + static_cast<long>(i);
  net.node_halo.update(std::span<long>(kept_number_));
  // Rows: for each node that is left its edges to others that are, and its pieces to nodes of other ranks.
  kept_edge_nodes_ = std::move(ends);
  row_offset_.assign(1, 0);
  row_entry_.clear();
  for (const int n : kept_) {
    for (int i = 0; i < degree[at(n)]; ++i) row_entry_.push_back(near[at(first[at(n)] + i)][1]);
    for (int e = offset_[at(n)]; e < offset_[at(n) + 1]; ++e) {
      const int p = piece_at_[at(e)];
      if (!open_[at(p)]) continue;
      const long other = net.piece_nodes[at(p)][net.piece_nodes[at(p)][0] == n ? 1 : 0];
      if (at(other) >= net.own_nodes && !fixed_[at(other)]) row_entry_.push_back(-1 - p);
    }
    row_offset_.push_back(static_cast<int>(row_entry_.size()));
  }
}

void NetworkLaplacian::eliminate() {
  const CutNetwork& net = *network_;
  edge_weight_.assign(kept_edge_nodes_.size(), 0.0);
  sum_ = excess_;
  for (std::size_t p = 0; p < net.pieces(); ++p) {
    if (!open_[p]) continue;
    if (edge_of_piece_[p] >= 0) {
      edge_weight_[at(edge_of_piece_[p])] += weight_[p];
      continue;
    }
    const auto [i, j] = net.piece_nodes[p];
    if (at(i) < net.own_nodes && !fixed_[at(i)] && fixed_[at(j)]) sum_[at(i)] += weight_[p];
    if (at(j) < net.own_nodes && !fixed_[at(j)] && fixed_[at(i)]) sum_[at(j)] += weight_[p];
  }
  for (Step& step : step_) {
    const double s = sum_[at(step.node)];
    const double a = step.first >= 0 ? edge_weight_[at(step.edge_first)] : 0.0;
    const double b = step.second >= 0 ? edge_weight_[at(step.edge_second)] : 0.0;
    const double all = a + b + s;
    step.inverse = all > 0 ? 1 / all : 0.0;  // nothing holds the node: its value stays
    step.share_first = a * step.inverse;
    step.share_second = b * step.inverse;
    if (step.first >= 0) {
      sum_[at(step.first)] += step.share_first * s;
      if (step.second < 0) continue;
      sum_[at(step.second)] += step.share_second * s;
      const double joined = step.share_first * b;
      if (step.edge_new == step.edge_first) {
        edge_weight_[at(step.edge_new)] = joined;
      } else {
        edge_weight_[at(step.edge_new)] += joined;
      }
    }
  }
}

void NetworkLaplacian::create_solver() {
  const MPI_Comm comm = network_->comm;
  matrix_ = MatHandle{};
  ksp_ = KspHandle{};
  fresh_iterations_ = -1;
  rebuild_ = true;
  if (reduced_ == 0) return;
  const auto rows = static_cast<PetscInt>(kept_.size());
  std::vector<PetscInt> diagonal(kept_.size(), 1), off(kept_.size(), 0);
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    for (int e = row_offset_[i]; e < row_offset_[i + 1]; ++e) ++(row_entry_[at(e)] >= 0 ? diagonal : off)[i];
  }
  petsc(MatCreateAIJ(comm, rows, rows, PETSC_DETERMINE, PETSC_DETERMINE, 0, diagonal.data(), 0, off.data(),
                     matrix_.out()));
  petsc(MatSetOption(matrix_.get(), MAT_SPD, PETSC_TRUE));
  petsc(MatCreateVecs(matrix_.get(), reduced_x_.out(), reduced_rhs_.out()));
  direct_ = reduced_ <= direct_limit;
  petsc(KSPCreate(comm, ksp_.out()));
  petsc(KSPSetOptionsPrefix(ksp_.get(), prefix_.c_str()));
  PC pc = nullptr;
  petsc(KSPGetPC(ksp_.get(), &pc));
  if (direct_) {
    petsc(KSPSetType(ksp_.get(), KSPPREONLY));
    if (size_of(comm) == 1) {
      petsc(PCSetType(pc, PCCHOLESKY));
      petsc(PCFactorSetMatOrderingType(pc, MATORDERINGND));
    } else {
      petsc(PCSetType(pc, PCTELESCOPE));
      petsc(PCTelescopeSetReductionFactor(pc, size_of(comm)));
      default_option("-" + prefix_ + "telescope_ksp_type", "preonly");
      default_option("-" + prefix_ + "telescope_pc_type", "cholesky");
      default_option("-" + prefix_ + "telescope_pc_factor_mat_ordering_type", "nd");
    }
  } else {
    petsc(KSPSetType(ksp_.get(), KSPCG));
    petsc(KSPSetNormType(ksp_.get(), KSP_NORM_UNPRECONDITIONED));
    petsc(KSPSetTolerances(ksp_.get(), 1e-6, 0, PETSC_DEFAULT, 500));
    petsc(PCSetType(pc, PCHYPRE));
    petsc(PCHYPRESetType(pc, "boomeramg"));
    for (const auto& [name, value] : {std::pair{"strong_threshold", "0.25"},
                                      {"coarsen_type", "HMIS"},
                                      {"interp_type", "ext+i"},
                                      {"P_max", "4"},
                                      {"relax_type_all", "symmetric-SOR/Jacobi"}}) {
      default_option("-" + prefix_ + "pc_hypre_boomeramg_" + name, value);
    }
  }
  petsc(KSPSetFromOptions(ksp_.get()));
}

void NetworkLaplacian::assemble() {
  if (reduced_ == 0) return;
  std::vector<PetscInt> columns;
  std::vector<double> values;
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    const long n = kept_[i];
    const auto row = static_cast<PetscInt>(kept_number_[at(n)]);
    columns.assign(1, row);
    values.assign(1, sum_[at(n)] / unit_);
    for (int e = row_offset_[i]; e < row_offset_[i + 1]; ++e) {
      const int entry = row_entry_[at(e)];
      long other = 0;
      double w = 0;
      if (entry >= 0) {
        const auto& ends = kept_edge_nodes_[at(entry)];
        other = ends[0] == n ? ends[1] : ends[0];
        w = edge_weight_[at(entry)] / unit_;
      } else {
        const auto& ends = network_->piece_nodes[at(-1 - entry)];
        other = ends[0] == n ? ends[1] : ends[0];
        w = weight_[at(-1 - entry)] / unit_;
      }
      values[0] += w;
      const auto column = static_cast<PetscInt>(kept_number_[at(other)]);
      const auto known = std::find(columns.begin() + 1, columns.end(), column);
      if (known != columns.end()) {  // parallel pieces to another rank's node
        values[at(known - columns.begin())] -= w;
        continue;
      }
      columns.push_back(column);
      values.push_back(-w);
    }
    if (values[0] <= 0) values[0] = 1;
    petsc(MatSetValues(matrix_.get(), 1, &row, static_cast<PetscInt>(columns.size()), columns.data(), values.data(),
                       INSERT_VALUES));
  }
  petsc(MatAssemblyBegin(matrix_.get(), MAT_FINAL_ASSEMBLY));
  petsc(MatAssemblyEnd(matrix_.get(), MAT_FINAL_ASSEMBLY));
  // Weights that changed little leave the preconditioner good enough.
  rebuild_ = direct_ || fresh_iterations_ < 0 || last_iterations_ > fresh_iterations_ + fresh_iterations_ / 3 + 2;
  petsc(KSPSetReusePreconditioner(ksp_.get(), rebuild_ ? PETSC_FALSE : PETSC_TRUE));
  petsc(KSPSetOperators(ksp_.get(), matrix_.get(), matrix_.get()));
}

void NetworkLaplacian::forward(std::span<double> r) const {
  for (const Step& step : step_) {
    if (step.first >= 0) r[at(step.first)] += step.share_first * r[at(step.node)];
    if (step.second >= 0) r[at(step.second)] += step.share_second * r[at(step.node)];
  }
}

void NetworkLaplacian::backward(std::span<double> x) const {
  for (auto step = step_.rbegin(); step != step_.rend(); ++step) {
    double value = x[at(step->node)] * step->inverse;
    if (step->first >= 0) value += step->share_first * x[at(step->first)];
    if (step->second >= 0) value += step->share_second * x[at(step->second)];
    x[at(step->node)] = value;
  }
}

void NetworkLaplacian::solve_reduced(std::span<double> r, bool cycle, SolveReport& report) {
  forward(r);
  if (reduced_ > 0) {
    {
      const WriteAccess rhs(reduced_rhs_.get());
      for (std::size_t i = 0; i < kept_.size(); ++i) rhs[i] = r[at(kept_[i])] / unit_;
    }
    if (cycle) {
      petsc(KSPSetUp(ksp_.get()));
      PC pc = nullptr;
      petsc(KSPGetPC(ksp_.get(), &pc));
      petsc(PCApply(pc, reduced_rhs_.get(), reduced_x_.get()));
    } else {
      petsc(KSPSolve(ksp_.get(), reduced_rhs_.get(), reduced_x_.get()));
      KSPConvergedReason reason{};
      petsc(KSPGetConvergedReason(ksp_.get(), &reason));
      PetscInt iterations = 0;
      petsc(KSPGetIterationNumber(ksp_.get(), &iterations));
      report.iterations += static_cast<int>(iterations);
      last_iterations_ = static_cast<int>(iterations);
      if (rebuild_) fresh_iterations_ = last_iterations_;
      rebuild_ = false;
      if (reason < 0) report.reason = KSPConvergedReasons[reason];
    }
    const ReadAccess x(reduced_x_.get());
    for (std::size_t i = 0; i < kept_.size(); ++i) r[at(kept_[i])] = x[i];
  }
  backward(r);
}

void NetworkLaplacian::residual(std::span<const double> b, std::span<const double> x, std::span<double> r) const {
  const CutNetwork& net = *network_;
  for (std::size_t n = 0; n < net.own_nodes; ++n) {
    r[n] = 0;
    if (fixed_[n]) continue;
    double sum = b[n] - excess_[n] * x[n];
    for (int e = offset_[n]; e < offset_[n + 1]; ++e) {
      const auto p = at(piece_at_[at(e)]);
      if (!open_[p]) continue;
      const auto& ends = net.piece_nodes[p];
      sum -= weight_[p] * (x[n] - x[at(at(ends[0]) == n ? ends[1] : ends[0])]);
    }
    r[n] = sum;
  }
}

double NetworkLaplacian::largest_flow(std::span<const double> x) const {
  double largest = 0;
  for (std::size_t p = 0; p < network_->own_pieces; ++p) {
    const auto [i, j] = network_->piece_nodes[p];
    largest = std::max(largest, weight_[p] * std::abs(x[at(i)] - x[at(j)]));
  }
  return largest;
}

SolveReport NetworkLaplacian::solve(std::span<const double> b, std::span<double> x, double tolerance) {
  const MPI_Comm comm = network_->comm;
  SolveReport report;
  double given = 0;
  for (std::size_t n = 0; n < network_->own_nodes; ++n) given = std::max(given, fixed_[n] ? 0.0 : std::abs(b[n]));
  double best = std::numeric_limits<double>::infinity();
  std::vector<double> kept;
  constexpr int most = 20;
  for (int round = 0; round < most; ++round) {
    residual(b, x, work_);
    double sum = 0;
    for (const double r : work_) sum += r * r;
    const double scale = max_over(comm, std::max(given, largest_flow(x)));
    report.residual = std::sqrt(sum_over(comm, sum));
    if (scale > 0) report.residual /= scale;
    if (round > 0 && report.residual <= tolerance) {
      report.converged = true;
      break;
    }
    if (report.residual == 0) {
      report.converged = true;
      break;
    }
    if (round > 1 && !(report.residual < 0.5 * best)) {  // rounding: take the better of the two
      if (!(report.residual < best)) {
        std::copy(kept.begin(), kept.end(), x.begin());
        report.residual = best;
      }
      constexpr double rounding = 1e-10;
      report.converged = report.residual <= std::max(tolerance, rounding);
      if (!report.converged && report.reason.empty()) report.reason = "the residual of the network stalls";
      break;
    }
    if (round > 0) {
      best = report.residual;
      kept.assign(x.begin(), x.end());
    }
    solve_reduced(work_, false, report);
    for (std::size_t n = 0; n < network_->own_nodes; ++n) {
      if (!fixed_[n]) x[n] += work_[n];
    }
    network_->node_halo.update(x);
  }
  return report;
}

void NetworkLaplacian::precondition(std::span<const double> r, std::span<double> z) {
  SolveReport report;
  std::copy(r.begin(), r.end(), z.begin());
  for (std::size_t n = 0; n < network_->own_nodes; ++n) {
    if (fixed_[n]) z[n] = 0;
  }
  solve_reduced(z, true, report);
  for (std::size_t n = 0; n < network_->own_nodes; ++n) {
    if (fixed_[n]) z[n] = 0;
  }
}

std::size_t NetworkLaplacian::memory() const {
  const auto bytes = [](const auto& list) { return list.capacity() * sizeof(list[0]); };
  return bytes(weight_) + bytes(excess_) + bytes(fixed_) + bytes(open_) + bytes(offset_) + bytes(piece_at_) +
         bytes(step_) + bytes(edge_of_piece_) + bytes(edge_weight_) + bytes(kept_edge_nodes_) + bytes(sum_) +
         bytes(kept_) + bytes(kept_number_) + bytes(row_offset_) + bytes(row_entry_) + bytes(work_);
}

}  // namespace sanctuary
