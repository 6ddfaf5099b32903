#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "benchmark/elliptic_problem.hpp"
#include "solvers/elliptic.hpp"

namespace sanctuary {

/// What a multigrid cycle of our solver does, as it counts itself.
struct CycleCount {
  int levels = 0;
  double messages = 0, message_bytes = 0;  ///< of the rank that sends most
  double bytes_moved = 0;                  ///< memory traffic of all ranks if nothing stayed in cache
};

/// One way to solve A u = f, set up once and solved from zero as often as wanted.
class Contender {
 public:
  virtual ~Contender() = default;
  /// Everything that depends on the coefficients, assembly of a matrix included. Collective.
  void set_up(const EllipticProblem& problem) { set_up_impl(problem); }
  /// Solves from zero to a relative residual of `tolerance` as the method sees it. Collective.
  [[nodiscard]] SolveReport solve(Vec rhs, double tolerance, int max_iterations, Vec u) {
    petsc(VecSet(u, 0.0));
    return solve_impl(rhs, tolerance, max_iterations, u);
  }
  /// What a cycle does, where the method counts that; after a solve. Collective.
  [[nodiscard]] std::optional<CycleCount> cycle(MPI_Comm comm) const { return cycle_impl(comm); }
  /// Seconds of the set-up that went into a matrix in memory.
  [[nodiscard]] double assembly_seconds() const { return assembly_seconds_; }

 protected:
  double assembly_seconds_ = 0;

 private:
  virtual void set_up_impl(const EllipticProblem& problem) = 0;
  [[nodiscard]] virtual SolveReport solve_impl(Vec rhs, double tolerance, int max_iterations, Vec u) = 0;
  [[nodiscard]] virtual std::optional<CycleCount> cycle_impl(MPI_Comm) const { return std::nullopt; }
};

/// A kind of contender.
struct ContenderKind {
  std::string name, method;
  bool available = true;  ///< false where PETSc was built without what it needs
  std::function<std::unique_ptr<Contender>(bool symmetric, int ranks)> make;
};

/// `ours`, then the alternatives of PETSc and hypre with the options that were the fastest known for this problem. CG
/// where the operator is symmetric, right-preconditioned GMRES(30) else. Options prefixes: `bench_ours_`,
/// `bench_pfmg_`, `bench_boomeramg_`, `bench_gamg_`, `bench_icc_`; what the user sets wins.
[[nodiscard]] const std::vector<ContenderKind>& contender_kinds();
/// Their names.
[[nodiscard]] std::vector<std::string> contender_names();
/// The kind of this name.
[[nodiscard]] const ContenderKind& contender_kind(const std::string& name);

}  // namespace sanctuary
