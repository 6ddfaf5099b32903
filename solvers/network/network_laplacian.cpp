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
    find_pattern();
    create_solver();
  }
  // Given weights of the edges, and what holds each own node: s and the fixed neighbours.
  std::vector<double> edge(edges_, 0.0), held = excess_;
  for (std::size_t p = 0; p < open_.size(); ++p) {
    if (!open_[p]) continue;
    if (edge_of_piece_[p] >= 0) {
      edge[at(edge_of_piece_[p])] += weight_[p];
      continue;
    }
    const auto [i, j] = network_->piece_nodes[p];
    if (at(i) < network_->own_nodes && !fixed_[at(i)] && fixed_[at(j)]) held[at(i)] += weight_[p];
    if (at(j) < network_->own_nodes && !fixed_[at(j)] && fixed_[at(i)]) held[at(j)] += weight_[p];
  }
  local_.eliminate(edge, held);
  assemble();
}

void NetworkLaplacian::find_pattern() {
  const CutNetwork& net = *network_;
  const auto free_own = [&](long n) { return at(n) < net.own_nodes && !fixed_[at(n)]; };
  // Edges between own free nodes, parallel pieces merged: a node's pieces are looked through by its other end.
  edge_of_piece_.assign(net.pieces(), -1);
  std::vector<char> stays(net.own_nodes, 0);
  std::vector<std::array<int, 2>> edges;
  std::vector<int> edge_to(net.own_nodes, -1);
  std::vector<long> seen;
  for (std::size_t n = 0; n < net.own_nodes; ++n) {
    if (fixed_[n]) {
      stays[n] = 1;
      continue;
    }
    seen.clear();
    for (int e = offset_[n]; e < offset_[n + 1]; ++e) {
      const auto p = at(piece_at_[at(e)]);
      if (!open_[p]) continue;
      const auto& ends = net.piece_nodes[p];
      const long other = at(ends[0]) == n ? ends[1] : ends[0];
      if (at(other) >= net.own_nodes && !fixed_[at(other)]) stays[n] = 1;
      if (!free_own(other) || at(other) < n) continue;
      int& edge = edge_to[at(other)];
      if (edge < 0) {
        edge = static_cast<int>(edges.size());
        edges.push_back({static_cast<int>(n), static_cast<int>(other)});
        seen.push_back(other);
      }
      edge_of_piece_[p] = edge;
    }
    for (const long other : seen) edge_to[at(other)] = -1;
  }
  edges_ = edges.size();
  local_ = GraphElimination(net.own_nodes, std::move(edges), std::move(stays), largest_degree);

  kept_.clear();
  for (const int n : local_.left()) {
    if (!fixed_[at(n)]) kept_.push_back(n);
  }
  const MPI_Comm comm = net.comm;
  long unknowns = 0;
  for (std::size_t n = 0; n < net.own_nodes; ++n) unknowns += !fixed_[n];
  const long before = count_before(comm, static_cast<long>(kept_.size()));
  reduced_ = count_over(comm, static_cast<long>(kept_.size()));
  unknowns_ = count_over(comm, unknowns);
  kept_number_.assign(net.nodes(), -1);
  for (std::size_t i = 0; i < kept_.size(); ++i) kept_number_[at(kept_[i])] = before + static_cast<long>(i);
  net.node_halo.update(std::span<long>(kept_number_));

  // Rows: for each node that is left its edges to others that are, and its pieces to nodes of other ranks.
  std::vector<int> count(net.own_nodes, 0);
  for (const int e : local_.edges_left()) {
    for (const int n : local_.edge(e)) ++count[at(n)];
  }
  const auto each_remote = [&](std::size_t n, const auto& use) {
    for (int e = offset_[n]; e < offset_[n + 1]; ++e) {
      const int p = piece_at_[at(e)];
      if (open_[at(p)] && kept_number_[at(other_end(-1 - p, static_cast<long>(n)))] >= 0 &&
          at(other_end(-1 - p, static_cast<long>(n))) >= net.own_nodes)
        use(-1 - p);
    }
  };
  row_offset_.assign(1, 0);
  std::vector<int> next(net.own_nodes, 0);
  for (const int n : kept_) {
    next[at(n)] = row_offset_.back();
    int entries = count[at(n)];
    each_remote(at(n), [&](int) { ++entries; });
    row_offset_.push_back(row_offset_.back() + entries);
  }
  entry_.resize(at(row_offset_.back()));
  for (const int e : local_.edges_left()) {
    for (const int n : local_.edge(e)) entry_[at(next[at(n)]++)] = e;
  }
  for (const int n : kept_) each_remote(at(n), [&](int entry) { entry_[at(next[at(n)]++)] = entry; });
}

long NetworkLaplacian::other_end(int entry, long node) const {
  if (entry >= 0) {
    const auto& ends = local_.edge(entry);
    return ends[0] == node ? ends[1] : ends[0];
  }
  const auto& ends = network_->piece_nodes[at(-1 - entry)];
  return ends[0] == node ? ends[1] : ends[0];
}

void NetworkLaplacian::gather_pattern() {
  const MPI_Comm comm = network_->comm;
  const auto ranks = at(size_of(comm));
  std::vector<std::vector<long>> pairs(ranks);
  sent_.clear();
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    for (int e = row_offset_[i]; e < row_offset_[i + 1]; ++e) {
      const long own = kept_number_[at(kept_[i])], other = kept_number_[at(other_end(entry_[at(e)], kept_[i]))];
      if (other < own) continue;  // named from its other end
      pairs[0].insert(pairs[0].end(), {own, other});
      sent_.push_back(entry_[at(e)]);
    }
  }
  pairs = exchange_lists(comm, pairs);
  root_edge_.assign(ranks, {});
  if (rank_of(comm) == 0) {
    std::vector<std::array<long, 4>> all;  // nodes, rank, number
    for (std::size_t r = 0; r < ranks; ++r) {
      root_edge_[r].resize(pairs[r].size() / 2);
      for (std::size_t k = 0; k < root_edge_[r].size(); ++k)
        all.push_back({pairs[r][2 * k], pairs[r][2 * k + 1], static_cast<long>(r), static_cast<long>(k)});
    }
    std::sort(all.begin(), all.end());
    std::vector<std::array<int, 2>> edges;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (i == 0 || all[i][0] != all[i - 1][0] || all[i][1] != all[i - 1][1])
        edges.push_back({static_cast<int>(all[i][0]), static_cast<int>(all[i][1])});
      root_edge_[at(all[i][2])][at(all[i][3])] = static_cast<int>(edges.size()) - 1;
    }
    root_edges_ = edges.size();
    root_ = GraphSolver(at(reduced_), std::move(edges));
  }
  const auto dense = static_cast<double>(root_.dense_nodes());
  direct_ = max_over(comm, rank_of(comm) == 0 ? dense : 0.0) <= static_cast<double>(dense_limit);
}

void NetworkLaplacian::create_solver() {
  const MPI_Comm comm = network_->comm;
  matrix_ = MatHandle{};
  ksp_ = KspHandle{};
  fresh_rate_ = -1;
  rebuild_ = true;
  if (reduced_ == 0) return;
  direct_ = reduced_ <= direct_limit;
  if (direct_) gather_pattern();
  if (direct_) return;
  const auto rows = static_cast<PetscInt>(kept_.size());
  std::vector<PetscInt> diagonal(kept_.size(), 1), off(kept_.size(), 0);
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    for (int e = row_offset_[i]; e < row_offset_[i + 1]; ++e) ++(entry_[at(e)] >= 0 ? diagonal : off)[i];
  }
  petsc(MatCreateAIJ(comm, rows, rows, PETSC_DETERMINE, PETSC_DETERMINE, 0, diagonal.data(), 0, off.data(),
                     matrix_.out()));
  petsc(MatSetOption(matrix_.get(), MAT_SPD, PETSC_TRUE));
  petsc(MatCreateVecs(matrix_.get(), reduced_x_.out(), reduced_rhs_.out()));
  petsc(KSPCreate(comm, ksp_.out()));
  petsc(KSPSetOptionsPrefix(ksp_.get(), prefix_.c_str()));
  PC pc = nullptr;
  petsc(KSPGetPC(ksp_.get(), &pc));
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
  petsc(KSPSetFromOptions(ksp_.get()));
}

void NetworkLaplacian::assemble() {
  if (reduced_ == 0) return;
  if (direct_) {
    const MPI_Comm comm = network_->comm;
    std::vector<std::vector<double>> weights(at(size_of(comm))), held(weights.size());
    for (const int entry : sent_) weights[0].push_back(weight_of(entry));
    for (const int n : kept_) held[0].push_back(local_.excess(n));
    weights = exchange_lists(comm, weights);
    held = exchange_lists(comm, held);
    if (rank_of(comm) != 0) return;
    std::vector<double> edge(root_edges_, 0.0), all;
    for (std::size_t r = 0; r < weights.size(); ++r) {
      for (std::size_t k = 0; k < weights[r].size(); ++k) edge[at(root_edge_[r][k])] += weights[r][k];
      all.insert(all.end(), held[r].begin(), held[r].end());
    }
    root_.set(edge, all);
    return;
  }
  std::vector<PetscInt> columns;
  std::vector<double> values;
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    const long n = kept_[i];
    const auto row = static_cast<PetscInt>(kept_number_[at(n)]);
    columns.assign(1, row);
    values.assign(1, local_.excess(kept_[i]) / unit_);
    for (int e = row_offset_[i]; e < row_offset_[i + 1]; ++e) {
      const double w = weight_of(entry_[at(e)]) / unit_;
      values[0] += w;
      const auto column = static_cast<PetscInt>(kept_number_[at(other_end(entry_[at(e)], n))]);
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
  rebuild_ = fresh_rate_ < 0 || last_rate_ < 0.7 * fresh_rate_;
  petsc(KSPSetReusePreconditioner(ksp_.get(), rebuild_ ? PETSC_FALSE : PETSC_TRUE));
  petsc(KSPSetOperators(ksp_.get(), matrix_.get(), matrix_.get()));
}

void NetworkLaplacian::solve_on_root(std::span<double> r) {
  const MPI_Comm comm = network_->comm;
  std::vector<std::vector<double>> lists(at(size_of(comm)));
  for (const int n : kept_) lists[0].push_back(r[at(n)]);
  lists = exchange_lists(comm, lists);
  if (rank_of(comm) == 0) {
    std::vector<double> all;
    for (const auto& list : lists) all.insert(all.end(), list.begin(), list.end());
    root_.solve(all);
    auto next = all.begin();
    for (auto& list : lists) {
      for (double& value : list) value = *next++;
    }
  }
  const std::vector<double> mine = exchange_lists(comm, lists)[0];
  for (std::size_t i = 0; i < kept_.size(); ++i) r[at(kept_[i])] = mine[i];
}

void NetworkLaplacian::solve_reduced(std::span<double> r, bool cycle, double enough, SolveReport& report) {
  local_.forward(r);
  if (reduced_ > 0 && direct_) {
    solve_on_root(r);
  } else if (reduced_ > 0) {
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
      double first = 0, last = 0;
      petsc(VecNorm(reduced_rhs_.get(), NORM_2, &first));
      petsc(KSPSetTolerances(ksp_.get(), PETSC_DEFAULT, enough / unit_, PETSC_DEFAULT, PETSC_DEFAULT));
      petsc(KSPSolve(ksp_.get(), reduced_rhs_.get(), reduced_x_.get()));
      KSPConvergedReason reason{};
      petsc(KSPGetConvergedReason(ksp_.get(), &reason));
      PetscInt iterations = 0;
      petsc(KSPGetIterationNumber(ksp_.get(), &iterations));
      report.iterations += static_cast<int>(iterations);
      petsc(KSPGetResidualNorm(ksp_.get(), &last));
      if (iterations > 1 && last > 0) {
        last_rate_ = std::log(first / last) / static_cast<double>(iterations);
        if (rebuild_) fresh_rate_ = last_rate_;
        rebuild_ = false;
      }
      if (reason < 0) report.reason = KSPConvergedReasons[reason];
    }
    const ReadAccess x(reduced_x_.get());
    for (std::size_t i = 0; i < kept_.size(); ++i) r[at(kept_[i])] = x[i];
  }
  local_.backward(r);
}

void NetworkLaplacian::residual(std::span<const double> b, std::span<const double> x, std::span<const double> remainder,
                                std::span<double> r) const {
  const CutNetwork& net = *network_;
  for (std::size_t n = 0; n < net.own_nodes; ++n) {
    r[n] = 0;
    if (fixed_[n]) continue;
    double sum = b[n] - excess_[n] * (x[n] + remainder[n]);
    for (int e = offset_[n]; e < offset_[n + 1]; ++e) {
      const auto p = at(piece_at_[at(e)]);
      if (!open_[p]) continue;
      const auto& ends = net.piece_nodes[p];
      const std::size_t m = at(at(ends[0]) == n ? ends[1] : ends[0]);
      sum -= weight_[p] * ((x[n] - x[m]) + (remainder[n] - remainder[m]));
    }
    r[n] = sum;
  }
}

double NetworkLaplacian::largest_flow(std::span<const double> x, std::span<const double> remainder) const {
  double largest = 0;
  for (std::size_t p = 0; p < network_->own_pieces; ++p) {
    const std::size_t i = at(network_->piece_nodes[p][0]), j = at(network_->piece_nodes[p][1]);
    largest = std::max(largest, weight_[p] * std::abs((x[i] - x[j]) + (remainder[i] - remainder[j])));
  }
  return largest;
}

SolveReport NetworkLaplacian::solve(std::span<const double> b, std::span<double> x, std::span<double> remainder,
                                    double tolerance) {
  const MPI_Comm comm = network_->comm;
  SolveReport report;
  double given = 0;
  for (std::size_t n = 0; n < network_->own_nodes; ++n) given = std::max(given, fixed_[n] ? 0.0 : std::abs(b[n]));
  std::fill(remainder.begin(), remainder.end(), 0.0);
  double largest = 0;
  for (std::size_t n = 0; n < network_->nodes(); ++n) largest = std::max(largest, fixed_[n] ? std::abs(x[n]) : 0.0);
  constexpr double smallest = 1e-28;  // of what would flow if nothing but the widest vessel held the largest pressure
  noise_ = smallest * unit_ * max_over(comm, largest);
  std::vector<double> best_x, best_remainder;
  double best = std::numeric_limits<double>::infinity();
  constexpr int most = 20, coarse = 2;  // so many corrections go into x itself
  for (int round = 0; round <= most; ++round) {
    residual(b, x, remainder, work_);
    double sum = 0;
    for (const double r : work_) sum += r * r;
    const double scale = max_over(comm, std::max({given, largest_flow(x, remainder), noise_}));
    report.residual = std::sqrt(sum_over(comm, sum));
    if (scale > 0) report.residual /= scale;
    report.converged = report.residual == 0 || (round > 0 && report.residual <= tolerance);
    if (report.converged) return report;
    if (round == most || (round > coarse + 1 && !(report.residual < 0.5 * best))) break;
    if (report.residual < best && round > 0) {
      best = report.residual;
      best_x.assign(x.begin(), x.end());
      best_remainder.assign(remainder.begin(), remainder.end());
    }
    solve_reduced(work_, false, 0.3 * tolerance * scale, report);
    const auto target = round < coarse ? x : remainder;
    for (std::size_t n = 0; n < network_->own_nodes; ++n) {
      if (!fixed_[n]) target[n] += work_[n];
    }
    network_->node_halo.update(target);
  }
  if (best < report.residual) {  // rounding: the better of the two
    std::copy(best_x.begin(), best_x.end(), x.begin());
    std::copy(best_remainder.begin(), best_remainder.end(), remainder.begin());
    report.residual = best;
  }
  constexpr double rounding = 1e-10;
  report.converged = report.residual <= std::max(tolerance, rounding);
  if (!report.converged && report.reason.empty()) report.reason = "the residual of the network stalls";
  return report;
}

void NetworkLaplacian::precondition(std::span<const double> r, std::span<double> z) {
  SolveReport report;
  std::copy(r.begin(), r.end(), z.begin());
  for (std::size_t n = 0; n < network_->own_nodes; ++n) {
    if (fixed_[n]) z[n] = 0;
  }
  solve_reduced(z, true, 0, report);
  for (std::size_t n = 0; n < network_->own_nodes; ++n) {
    if (fixed_[n]) z[n] = 0;
  }
}

std::size_t NetworkLaplacian::memory() const {
  const auto bytes = [](const auto& list) { return list.capacity() * sizeof(list[0]); };
  return bytes(weight_) + bytes(excess_) + bytes(fixed_) + bytes(open_) + bytes(offset_) + bytes(piece_at_) +
         bytes(edge_of_piece_) + local_.memory() + bytes(kept_) + bytes(kept_number_) + bytes(row_offset_) +
         bytes(entry_) + bytes(sent_) + root_.memory() + bytes(work_);
}

}  // namespace sanctuary
