#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numbers>
#include <span>
#include <string>
#include <vector>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "therapy/drug_response.hpp"
#include "verification/problems.hpp"

namespace sanctuary::verification {
namespace {

constexpr double um = 1e-6, nM = 1e-6, hour = 3600, day = 24 * hour;  // [m], [mol/m^3], [s]
constexpr double density = 1e14;                                      // cells per tissue volume [1/m^3]

/// Tissue that meets a drug at x = 0.
struct Tissue {
  double length = 400 * um, diffusivity = 10 * um * um, accessible = 0.24;
  long cells = 200;
  double permeability = 0;  ///< of the wall at x = 0 [m/s]; 0: no wall, the value outside holds there
  double targets = 0;       ///< per tissue volume [mol/m^3]
  CellTarget target{};      ///< its `number` is set from `targets`
  CellInterior interior{};
};

/// One drug on its way into tissue by the steps that patients take.
struct Entry {
  static constexpr double tolerance = 1e-3, rounding = 1e-11;  // the latter: of the linear solves, in amounts
  Tissue tissue;
  double scale;
  MPI_Comm comm;
  Grid grid;
  std::size_t cells = grid.local_cells();
  CellOperator op{grid};
  TransportSolver solver{grid, nullptr, "verification_"};
  Drug drug;
  CellKill kill;
  DrugResponse response;
  long steps = 0, refused = 0;
  double lowest = 0;  ///< amount in any step: free and in cells over `scale`, of targets over all targets

  /// `typical`: a concentration outside.
  Entry(MPI_Comm on, const Tissue& in, const std::function<double(double)>& outside, double typical)
      : tissue(in),
        scale(typical),
        comm(on),
        grid(comm, box({in.length, 1 * um, 1 * um}, {in.cells, 1, 1})),
        drug(drug_of(in)),
        kill(comm, {&drug, 1},
             {.density = std::vector<double>(cells, density),
              .killed = std::vector<char>(cells, 1),
              .cycling_share = std::vector<double>(cells, 0.0)},
             tolerance),
        response(comm, drug, kill, std::vector<double>(cells, in.accessible), {}, grid.cell_volume(), tolerance,
                 scale) {
    Walls walls = Walls::all(WallKind::closed);
    walls.kind[0] = in.permeability > 0 ? WallKind::exchange : WallKind::fixed;
    walls.coefficient[0] = in.permeability;
    op.reset(walls);
    op.add_diffusion(std::vector<double>(cells, in.accessible * in.diffusivity));
    solver.relative_tolerance = tolerance;
    solver.scale = scale;
    solver.outside = outside;
    solver.set_cells(std::vector<double>(cells, in.accessible), op, std::vector<double>(cells, 0.0));
    solver.open_ledger();
  }
  static Drug drug_of(const Tissue& tissue) {
    Drug drug;
    drug.name = "drug";
    drug.target = tissue.target;
    drug.target.number = tissue.targets / density;
    drug.interior = tissue.interior;
    return drug;
  }

  void run(double until) {
    constexpr long most = 20000;
    double time = 0, dt = 1e-4 * until;
    while (time < until && steps + refused < most) {
      dt = std::min(dt, until - time);
      kill.begin(dt);
      const StepReport report = solver.advance(time, dt, &response);
      const bool good = report.converged && report.error <= 1;
      ++(good ? steps : refused);
      if (good) {
        time += dt;
        look();
      }
      dt = report.converged ? next_step(dt, report.error) : 0.25 * dt;
    }
    lowest = min_over(comm, lowest);
    if (time < until) throw NumericsError("the run took more than " + std::to_string(most) + " steps");
  }
  void look() {
    const ReadAccess free(solver.cells());
    for (std::size_t c = 0; c < cells; ++c) {
      lowest = std::min({lowest, free[c] / scale, response.in_cells(c) / scale});
      if (tissue.targets > 0)
        lowest = std::min({lowest, response.free_targets()[c] / tissue.targets,
                           response.complexes()[c] / tissue.targets, response.internalised()[c] / tissue.targets});
    }
  }

  [[nodiscard]] double held(std::size_t c) const { return response.complexes()[c] + response.internalised()[c]; }
  /// Amounts over the length, per area [mol/m^2].
  [[nodiscard]] double free() const { return solver.amount_in_cells() / grid.face_area(0); }
  [[nodiscard]] double on_targets() const { return response.amount_on_targets() / grid.face_area(0); }
  /// Where what is on targets falls to half of its largest value, linear between cells [m].
  [[nodiscard]] double half_distance() const {
    const double h = grid.spec().spacing[0];
    double half = 0;
    for (std::size_t c = 0; c < cells; ++c) half = std::max(half, 0.5 * held(c));
    half = max_over(comm, half);
    double beyond = tissue.length;
    for (std::size_t c = 0; c < cells; ++c) {
      if (held(c) < half) beyond = std::min(beyond, grid.centre(c)[0]);
    }
    beyond = min_over(comm, beyond);
    double before = 0, after = 0;
    for (std::size_t c = 0; c < cells; ++c) {
      const double to = (grid.centre(c)[0] - beyond) / h;
      if (std::abs(to) < 0.25) after = held(c);
      if (std::abs(to + 1) < 0.25) before = held(c);
    }
    before = sum_over(comm, before);
    after = sum_over(comm, after);
    return before > half ? beyond - h * (half - after) / (before - after) : beyond;
  }
  /// Largest imbalance of the fluid, of what is in cells and of what is on targets, over what moved.
  [[nodiscard]] double gap() const {
    const DrugResponse::Ledger& l = response.ledger();
    const TransportLedger& t = solver.ledger();
    const double in_cells = l.taken_up - l.given_back - l.degraded_in_cells - response.amount_in_cells(),
                 bound = l.on_targets - l.off_targets - l.degraded - response.amount_on_targets(),
                 both = t.reacted_in - t.reacted_out - (l.taken_up - l.given_back + l.on_targets - l.off_targets);
    return std::max(ledger_gap(solver),
                    std::max({std::abs(in_cells), std::abs(bound), std::abs(both)}) / (l.taken_up + l.on_targets));
  }
};

/// The worst of several runs.
struct Worst {
  double gap = 0, lowest = 0, tried = 0, refused = 0;
  void add(const Entry& entry) {
    const auto all = static_cast<double>(entry.steps + entry.refused);
    gap = std::max(gap, entry.gap());
    lowest = std::min(lowest, entry.lowest);
    tried = std::max(tried, all);
    refused = std::max(refused, static_cast<double>(entry.refused) / all);
  }
  void report(VerificationResult& result, const std::string& name, double most) const {
    result.at_most(name + "steps, refused ones with them", tried, most);
    result.at_most(name + "refused steps / all", refused, 0.4);
    result.at_most(name + "balance of amounts", gap, 1e-12);
    result.at_least(name + "lowest amount in any step, relative", lowest, -Entry::rounding);
  }
};

/// Slope of log y over log x, least squares.
double exponent(std::span<const double> x, std::span<const double> y) {
  double mean_x = 0, mean_y = 0, over = 0, under = 0;
  const auto n = static_cast<double>(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    mean_x += std::log(x[i]) / n;
    mean_y += std::log(y[i]) / n;
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    over += (std::log(x[i]) - mean_x) * (std::log(y[i]) - mean_y);
    under += std::pow(std::log(x[i]) - mean_x, 2);
  }
  return over / under;
}

}  // namespace

VerificationResult uptake_length(MPI_Comm comm, const Path&) {
  VerificationResult result;
  result.question = "a drug that cells take up: steady profile and penetration length sqrt(D/k)?";
  // model sources C7: D 16 um^2/s, k 0.01/s in the fluid, 40 um; c = cosh((L - x)/l)/cosh(L/l) before a closed end.
  const double rate = 0.01, outside = 1e-6 * nM, length = 40 * um, until = 1e7;
  Tissue tissue{.length = 400 * um, .diffusivity = 16 * um * um};
  const double share = density * CellPopulation{}.cell_volume, influx = rate * tissue.accessible / share;
  struct Way {
    const char* name;
    double targets;
    CellTarget target;
    CellInterior interior;
  };
  // Far from saturation k = k_on R k_e/(k_off + k_e) over the accessible share.
  const double on = 100, internalisation = 1e-4, targets = 500 * nM,
               off = internalisation * (on * targets / (rate * tissue.accessible) - 1);
  const std::array<Way, 3> ways{
      {{"kept in cells: ", 0, {}, {.influx = influx}},
       {"degraded in cells: ", 0, {}, {.influx = 2 * influx, .efflux = 1e-3, .degradation = 1e-3}},
       {"taken in by targets: ",
        targets,
        {.on_rate = on,
         .off_rate = off,
         .turnover = internalisation,
         .internalisation = internalisation,
         .degradation = 1e-4},
        {}}}};
  for (const Way& way : ways) {
    tissue.targets = way.targets;
    tissue.target = way.target;
    tissue.interior = way.interior;
    std::vector<double> error, spacing, depth;
    Worst worst;
    for (const long n : {40L, 80L, 160L}) {
      tissue.cells = n;
      Entry entry(
          comm, tissue, [&](double) { return outside; }, outside);
      entry.run(until);
      error.push_back(rms_error(
          entry.grid, entry.solver.cells(),
          [&](const auto& x) {
            return outside * std::cosh((tissue.length - x[0]) / length) / std::cosh(tissue.length / length);
          },
          outside));
      depth.push_back(entry.free() / (tissue.accessible * outside));
      spacing.push_back(tissue.length / static_cast<double>(n));
      worst.add(entry);
    }
    const std::string name = way.name;
    result.at_most(name + "profile on 160 cells / value outside", error.back(), 2e-4);
    result.at_least(name + "order in space", least_order(error, spacing), 1.95);
    result.at_most(name + "length on 160 cells against 40 um, relative", std::abs(depth[2] / length - 1), 6e-4);
    result.at_most(name + "length extrapolated from 80 and 160 cells, relative",
                   std::abs((4 * depth[2] - depth[1]) / (3 * length) - 1), 1e-5);
    worst.report(result, name, 100);
  }
  return result;
}

VerificationResult binding_front(MPI_Comm comm, const Path&) {
  VerificationResult result;
  result.question = "a drug that binds all targets it meets on its way into tissue?";
  // model sources C6: front at X = 2 lambda sqrt(D t), sqrt(pi) lambda e^(lambda^2) erf(lambda) = accessible C/B.
  const double outside = 100 * nM, until = day;
  Tissue tissue{.targets = 500 * nM};
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
    Entry entry(
        comm, tissue, [&](double) { return outside; }, outside);
    entry.run(until);
    const std::string name = "k_on " + std::to_string(static_cast<long>(rate * 1e3)) + "/(M s): ";
    if (rate > 10) {
      result.at_most(name + "targets taken against the front, relative",
                     std::abs(entry.on_targets() / tissue.targets / front - 1), 0.02);
      result.at_most(name + "half of the targets taken, against the front", std::abs(entry.half_distance() / front - 1),
                     0.02);
    }
    Worst worst;
    worst.add(entry);
    worst.report(result, name, 500);
  }
  return result;
}

VerificationResult binding_barrier(MPI_Comm comm, const Path&) {
  VerificationResult result;
  result.question = "an antibody that decays in plasma: how deep it comes into tissue full of targets?";
  // Weinstein & van Osdol 1992; Thurber 2008. What binds for good at a front X that is fed through a wall P and X of
  // tissue: (1/P + X/(accessible D)) B dX = C dt, so X^2/(2 accessible D) + X/P = AUC/B. Without wall X goes with the
  // root of the dose, behind the wall of a vessel (IgG, 3e-3 um/s) nearly with the dose.
  const double decay = 2 * day, wall = 3e-3 * um;  // of the plasma concentration; AUC = peak x decay
  const auto plasma = [&](double peak) { return [=](double t) { return peak * std::exp(-t / decay); }; };
  Tissue tissue{.length = 600 * um,
                .cells = 300,
                .targets = 1000 * nM,
                .target = {.on_rate = 100, .off_rate = 1e-7}};  // 1e5/(M s), 1 pM
  for (const double permeability : {0.0, wall}) {
    tissue.permeability = permeability;
    const std::string name = permeability > 0 ? "behind a wall: " : "no wall: ";
    std::vector<double> peaks{25 * nM, 50 * nM, 100 * nM}, depth, theory;
    if (permeability <= 0) peaks = {12.5 * nM, 25 * nM, 50 * nM, 100 * nM, 200 * nM};
    double off = 0, apart = 0;
    Worst worst;
    for (const double peak : peaks) {
      Entry entry(comm, tissue, plasma(peak), peak);
      entry.run(8 * decay);
      const double reach = tissue.accessible * tissue.diffusivity, area = peak * decay / tissue.targets,
                   part = permeability > 0 ? reach / permeability : 0.0;
      theory.push_back(std::sqrt(part * part + 2 * reach * area) - part);
      depth.push_back(entry.on_targets() / tissue.targets);
      off = std::max(off, std::abs(depth.back() / theory.back() - 1));
      apart = std::max(apart, std::abs(entry.half_distance() / theory.back() - 1));
      worst.add(entry);
    }
    result.at_most(name + "targets taken against the depth of theory, relative", off, permeability > 0 ? 0.01 : 0.025);
    if (permeability <= 0) {
      result.at_most(name + "half of the targets taken, against it", apart, 0.025);
      result.at_most(name + "exponent of the depth in the dose, against 1/2", std::abs(exponent(peaks, depth) - 0.5),
                     0.0125);
    } else {
      result.at_most(name + "exponent of the depth in the dose, against theory",
                     std::abs(exponent(peaks, depth) - exponent(peaks, theory)), 0.005);
    }
    worst.report(result, name, 1000);
  }

  // By affinity, six days after a bolus: below 1 nM the wall alone sets what is held, affinity where.
  tissue = {.length = 400 * um, .permeability = wall, .targets = 500 * nM};
  std::vector<double> uptake, half;
  Worst worst;
  for (const double affinity : {100.0, 1.0, 0.3, 0.1, 0.03, 0.01}) {
    tissue.target = {.on_rate = 100, .off_rate = 100 * affinity * nM, .turnover = 1e-6, .internalisation = 1e-6};
    const double peak = 10 * nM;
    Entry entry(comm, tissue, plasma(peak), peak);
    entry.run(6 * day);
    uptake.push_back(entry.on_targets());
    half.push_back(entry.half_distance());
    worst.add(entry);
  }
  double ratio = 0;
  for (std::size_t i = 2; i < half.size(); ++i) ratio = std::max(ratio, half[i] / half[i - 1]);
  const auto [least, most] = std::minmax_element(uptake.begin() + 1, uptake.end());
  result.at_most("K_D 1 to 0.01 nM: largest over least uptake - 1", *most / *least - 1, 0.05);
  result.at_most("K_D 1 to 0.01 nM: half-distance over that of the next lower affinity", ratio, 0.85);
  result.at_most("K_D 100 nM: uptake over that at 0.01 nM", uptake.front() / uptake.back(), 0.7);
  worst.report(result, "by affinity: ", 1000);
  return result;
}

}  // namespace sanctuary::verification
