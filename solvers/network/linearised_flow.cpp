#include "solvers/network/linearised_flow.hpp"

#include <algorithm>

namespace sanctuary {
namespace {

constexpr int most_iterations = 24, restart = 12;

}  // namespace

LinearisedFlow::LinearisedFlow(const CutNetwork& network, RedCells& red_cells, NetworkLaplacian& laplacian,
                               std::span<const char> fixed)
    : network_(&network),
      red_cells_(&red_cells),
      laplacian_(&laplacian),
      fixed_(fixed),
      pressure_(network.nodes(), 0.0) {
  const auto rows = static_cast<PetscInt>(network.own_nodes);
  petsc(MatCreateShell(network.comm, rows, rows, PETSC_DETERMINE, PETSC_DETERMINE, this, matrix_.out()));
  const auto product = [](Mat matrix, Vec in, Vec out) -> PetscErrorCode {
    void* context = nullptr;
    (void)MatShellGetContext(matrix, &context);
    return guarded([&] { static_cast<LinearisedFlow*>(context)->multiply(in, out); });
  };
  using Product = PetscErrorCode (*)(Mat, Vec, Vec);
  petsc(
      MatShellSetOperation(matrix_.get(), MATOP_MULT, reinterpret_cast<void (*)(void)>(static_cast<Product>(product))));
  petsc(MatCreateVecs(matrix_.get(), unknown_.out(), right_.out()));
  petsc(KSPCreate(network.comm, ksp_.out()));
  petsc(KSPSetOptionsPrefix(ksp_.get(), "flow_newton_"));
  petsc(KSPSetOperators(ksp_.get(), matrix_.get(), matrix_.get()));
  petsc(KSPSetType(ksp_.get(), KSPGMRES));
  petsc(KSPGMRESSetRestart(ksp_.get(), restart));
  petsc(KSPSetPCSide(ksp_.get(), PC_RIGHT));
  PC pc = nullptr;
  petsc(KSPGetPC(ksp_.get(), &pc));
  petsc(PCSetType(pc, PCSHELL));
  petsc(PCShellSetContext(pc, this));
  petsc(PCShellSetApply(pc, [](PC shell, Vec in, Vec out) -> PetscErrorCode {
    void* context = nullptr;
    (void)PCShellGetContext(shell, &context);
    return guarded([&] { static_cast<LinearisedFlow*>(context)->precondition(in, out); });
  }));
  petsc(KSPSetFromOptions(ksp_.get()));
}

void LinearisedFlow::multiply(Vec in, Vec out) {
  {
    const ReadAccess x(in);
    std::copy_n(x.data(), network_->own_nodes, pressure_.begin());
  }
  network_->node_halo.update(std::span<double>(pressure_));
  const WriteAccess surplus(out);
  red_cells_->respond(pressure_, {surplus.data(), network_->own_nodes});
  for (std::size_t n = 0; n < network_->own_nodes; ++n) {
    if (fixed_[n]) surplus[n] = 0;
  }
}

void LinearisedFlow::precondition(Vec in, Vec out) {
  const ReadAccess r(in);
  const WriteAccess z(out);
  laplacian_->precondition({r.data(), network_->own_nodes}, {z.data(), network_->own_nodes});
}

SolveReport LinearisedFlow::solve(const BloodFlow& state, std::span<const double> used,
                                  std::span<const double> conductance, std::span<const float> drag, double tolerance,
                                  std::span<double> change) {
  red_cells_->linearise(state, used, conductance, drag);
  std::fill(pressure_.begin(), pressure_.end(), 0.0);
  {
    const WriteAccess b(right_.get());
    red_cells_->respond(pressure_, {b.data(), network_->own_nodes}, change);
    for (std::size_t n = 0; n < network_->own_nodes; ++n) b[n] = fixed_[n] ? 0.0 : -b[n];
  }
  petsc(VecSet(unknown_.get(), 0));
  petsc(KSPSetTolerances(ksp_.get(), tolerance, 1e-300, 1e10, most_iterations));
  petsc(KSPSolve(ksp_.get(), right_.get(), unknown_.get()));
  SolveReport report;
  PetscInt iterations = 0;
  petsc(KSPGetIterationNumber(ksp_.get(), &iterations));
  report.iterations = static_cast<int>(iterations);
  petsc(KSPGetResidualNorm(ksp_.get(), &report.residual));
  KSPConvergedReason reason{};
  petsc(KSPGetConvergedReason(ksp_.get(), &reason));
  report.converged = reason > 0;
  {
    const ReadAccess x(unknown_.get());
    std::copy_n(x.data(), network_->own_nodes, pressure_.begin());
  }
  network_->node_halo.update(std::span<double>(pressure_));
  std::vector<double> surplus(network_->own_nodes);
  red_cells_->respond(pressure_, surplus, change);
  return report;
}

}  // namespace sanctuary
