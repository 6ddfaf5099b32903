#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "therapy/drug_response.hpp"
#include "verification/problems.hpp"

namespace sanctuary::verification {
namespace {

constexpr double um = 1e-6, nM = 1e-6, hour = 3600, day = 24 * hour;  // [m], [mol/m^3], [s]

/// Tissue that meets a drug at x = 0, with targets on its cells.
struct Tissue {
  double length = 400 * um, diffusivity = 10 * um * um, accessible = 0.24, targets = 500 * nM;
  long cells = 200;
  CellTarget target{};  ///< its `number` is set from `targets`
};

/// What a run tells.
struct Uptake {
  double bound = 0, on = 0, degraded = 0;  ///< over the length, per area [mol/m^2]
  double half_distance = 0;                ///< at which drug held falls to half of that at x = 0 [m]
  double gap = 0, lowest = 0;              ///< of the sums over what bound; lowest free or held amount over the largest
  long steps = 0, refused = 0;
};

Uptake run(MPI_Comm comm, const Tissue& tissue, double until, const std::function<double(double)>& outside,
           double scale) {
  const double h = tissue.length / static_cast<double>(tissue.cells);
  const Grid grid(comm, box({tissue.length, h, h}, {tissue.cells, 1, 1}));
  const std::size_t cells = grid.local_cells();
  Walls walls = Walls::all(WallKind::closed);
  walls.kind[0] = WallKind::fixed;
  CellOperator op(grid);
  op.reset(walls);
  op.add_diffusion(std::vector<double>(cells, tissue.accessible * tissue.diffusivity));
  TransportSolver solver(grid, nullptr, "verification_");
  solver.relative_tolerance = 1e-3;
  solver.scale = scale;
  solver.outside = outside;
  solver.set_cells(std::vector<double>(cells, tissue.accessible), op, std::vector<double>(cells, 0.0));
  solver.open_ledger();
  constexpr double density = 1e14;  // cells per volume; only its product with their targets counts
  Drug drug;
  drug.name = "antibody";
  drug.target = tissue.target;
  drug.target.number = tissue.targets / density;
  CellKill kill(comm, {&drug, 1},
                {.density = std::vector<double>(cells, density),
                 .killed = std::vector<char>(cells, 1),
                 .cycling_share = std::vector<double>(cells, 0.0)},
                solver.relative_tolerance);
  DrugResponse response(comm, drug, kill, std::vector<double>(cells, tissue.accessible), {}, grid.cell_volume(),
                        solver.relative_tolerance, scale);
  Uptake found;
  double time = 0, dt = 1e-4 * until;
  constexpr long most = 20000;
  while (time < until && found.steps + found.refused < most) {
    dt = std::min(dt, until - time);
    kill.begin(dt);
    const StepReport report = solver.advance(time, dt, &response);
    const bool good = report.converged && report.error <= 1;
    if (good) time += dt;
    ++(good ? found.steps : found.refused);
    dt = report.converged ? next_step(dt, report.error) : 0.25 * dt;
  }
  if (time < until) throw NumericsError("the run took more than " + std::to_string(most) + " steps");
  const double area = h * h;
  const DrugResponse::Ledger& l = response.ledger();
  found.bound = response.amount_on_targets() / area;
  found.on = l.on_targets / area;
  found.degraded = l.degraded / area;
  found.gap = std::abs(l.on_targets - l.off_targets - l.degraded - response.amount_on_targets()) / l.on_targets;
  double largest = 0, lowest = 0, beyond = tissue.length;
  std::vector<double> held(cells);
  const ReadAccess free(solver.cells());
  for (std::size_t c = 0; c < cells; ++c) {
    held[c] = response.complexes()[c] + response.internalised()[c];
    largest = std::max(largest, held[c]);
    lowest = std::min({lowest, free[c] / scale, response.free_targets()[c] / tissue.targets, held[c] / tissue.targets});
  }
  largest = max_over(comm, largest);
  found.lowest = min_over(comm, lowest);
  for (std::size_t c = 0; c < cells; ++c) {
    if (held[c] < 0.5 * largest) beyond = std::min(beyond, grid.centre(c)[0]);
  }
  found.half_distance = min_over(comm, beyond);
  return found;
}

}  // namespace

VerificationResult binding_front(MPI_Comm comm, const Path&) {
  VerificationResult result;
  result.question = "a drug that binds all targets it meets on its way into tissue?";
  // model sources C6: front at X = 2 lambda sqrt(D t), sqrt(pi) lambda e^(lambda^2) erf(lambda) = accessible C/B.
  const double outside = 100 * nM, until = day;
  Tissue tissue;
  const double part = tissue.accessible * outside / tissue.targets;
  double low = 0, high = 1;
  for (int i = 0; i < 60; ++i) {
    const double middle = 0.5 * (low + high);
    (std::sqrt(std::numbers::pi) * middle * std::exp(middle * middle) * std::erf(middle) > part ? high : low) = middle;
  }
  const double lambda = 0.5 * (low + high);
  const double front = 2 * lambda * std::sqrt(tissue.diffusivity * until);
  result.at_most("exact front against 285.7 um", std::abs(front / um - 285.7), 0.05);
  for (const double rate : {1.0, 1e2, 1e3, 1e4, 1e5}) {  // 1e3 to 1e8/(M s); the slowest makes no front
    tissue.target = {.on_rate = rate};
    const Uptake found = run(
        comm, tissue, until, [&](double) { return outside; }, outside);
    const std::string name = "k_on " + std::to_string(static_cast<long>(rate * 1e3)) + "/(M s): ";
    if (rate > 10) {
      result.at_most(name + "targets taken against the front, relative",
                     std::abs(found.bound / tissue.targets / front - 1), 0.02);
      result.at_most(name + "half of the targets taken, against the front", std::abs(found.half_distance / front - 1),
                     0.02);
    }
    result.at_most(name + "steps, refused ones with them", static_cast<double>(found.steps + found.refused), 500);
    result.at_most(name + "balance of the targets", found.gap, 1e-10);
    result.at_least(name + "lowest amount, relative", found.lowest, -1e-14);
  }
  return result;
}

}  // namespace sanctuary::verification
