#include <algorithm>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "benchmark/benchmark.hpp"
#include "benchmark/measure.hpp"
#include "therapy/regimen.hpp"

namespace sanctuary {
namespace {

constexpr double hour = 3600, nM = 1e-6, litre = 1e-3;

/// Drugs of each class with sizes and rates as in decks/drugs, in the order of a regimen.
std::vector<Drug> drugs_of(const std::string& name) {
  Drug small;
  small.name = "small_molecule";
  small.stokes_radius = 0.45e-9;
  small.plasma = {.clearance = 62 * litre / hour, .volume = 18 * litre};
  small.doses = {{0, 900, 2e-4}};
  small.uptake = {8.6e-20, 4.0e-4, 2.5e-17};
  small.kill = {.emax = 0.1 / hour, .ec50 = 1.4e-4, .hill = 1, .quiescent_factor = 0.3};
  small.effect = EffectSite::cell;
  Drug antibody;
  antibody.name = "antibody";
  antibody.stokes_radius = 5e-9;
  antibody.plasma = {.clearance = 0.225 * litre / (24 * hour), .volume = 3 * litre};
  antibody.doses = {{0, 5400, 3e-6}};
  antibody.target = {.number = 2.7e-18,
                     .on_rate = 100,
                     .off_rate = 2.6e-5,
                     .turnover = 0.09 / hour,
                     .internalisation = 0.09 / hour,
                     .degradation = 0.03 / hour};
  Drug payload = small;
  payload.name = "payload";
  payload.doses = {};
  payload.uptake = {};
  payload.interior = {.influx = 6e-5, .efflux = 4e-5, .sites = 65 * nM, .on_rate = 8.3, .off_rate = 7.9e-6};
  Drug adc = antibody;
  adc.name = "adc";
  adc.payload = "payload";
  adc.payload_ratio = 3.5;
  Drug free = small;
  free.name = "free";
  free.doses = {};
  Drug liposome;
  liposome.name = "liposome";
  liposome.stokes_radius = 45e-9;
  liposome.plasma = {.clearance = 0.09 * litre / hour, .volume = 6 * litre};
  liposome.doses = {{0, 3600, 1.5e-4}};
  liposome.payload = "free";
  liposome.release_rate = 0.06 / hour;
  if (name == "small_molecule") return {small};
  if (name == "antibody") return {antibody};
  if (name == "adc") return {adc, payload};
  if (name == "liposome") return {liposome, free};
  return {small, antibody, adc, payload, liposome, free};
}

/// Diffusivity [m^2/s] near that of the model at the size.
double diffusivity_of(const Drug& drug) {
  return drug.stokes_radius < 1e-9 ? 1.2e-10 : drug.stokes_radius < 1e-8 ? 1.5e-11 : 8e-14;
}

void measure_drugs(BenchmarkContext& context, const std::array<long, 3>& cells, const std::string& name,
                   double tolerance, int repeat) {
  MPI_Comm comm = context.comm;
  GridSpec spec;
  spec.cells = cells;
  spec.spacing = {2e-5, 2e-5, 2e-5};
  const Grid grid(comm, spec);
  const std::size_t local = grid.local_cells();
  std::vector<Drug> drugs = drugs_of(name);
  const double heap_before = heap_bytes(comm);
  Regimen regimen(comm, grid, nullptr, drugs,
                  {.density = std::vector<double>(local, 1e15),
                   .killed = std::vector<char>(local, 1),
                   .cycling_share = std::vector<double>(local, 0.3),
                   .cell_volume = 6e-16},
                  tolerance);
  constexpr double accessible = 0.4;
  for (std::size_t d = 0; d < drugs.size(); ++d) {
    DrugCourse& course = regimen.courses()[d];
    course.op->reset(Walls::all(WallKind::fixed));
    course.op->add_diffusion(std::vector<double>(local, accessible * diffusivity_of(drugs[d])));
    course.transport->set_cells(std::vector<double>(local, accessible), *course.op, std::vector<double>(local, 0.0));
    regimen.set_plasma(d, 1e-3);
    regimen.set_response(d, std::vector<double>(local, accessible), {});
  }
  regimen.open();
  regimen.set_horizon(1e9);

  double time = 0, dt = 10, bytes = 0;
  StepReport step;
  const auto advance = [&] {
    step = regimen.attempt(time, dt);
    if (!step.converged) throw NumericsError("bench drugs: the step did not converge: " + step.reason);
    if (step.error > 1) return regimen.refuse();
    regimen.accept();
    time += dt;
  };
  // The step control finds the length of the steps; a little less is taken, so that none is refused.
  for (int r = 0; r < 30; ++r) {
    advance();
    dt = std::min(next_step(dt, step.error), hour);
  }
  dt *= 0.8;
  std::vector<double> seconds;
  int newton = 0, linear = 0, refused = 0;
  for (int r = -1; r < repeat; ++r) {  // the first step builds the preconditioners
    double taken = seconds_of(comm, advance);
    while (step.error > 1) {  // only steps that are taken count
      if (++refused > 100 + repeat) throw NumericsError("bench drugs: too many steps were refused");
      dt = std::min(next_step(dt, step.error), 0.8 * dt);
      taken = seconds_of(comm, advance);
    }
    if (r < 0) {
      bytes = heap_bytes(comm) - heap_before;
      continue;
    }
    seconds.push_back(taken);
    newton += step.newton;
    linear += step.linear;
  }
  const auto count = static_cast<double>(grid.global_cells());
  const auto species = static_cast<double>(drugs.size());
  context.emit({{"bench", "drugs"},
                {"drugs", name},
                {"species", drugs.size()},
                {"cells", cells},
                {"ranks", size_of(comm)},
                {"tolerance", tolerance},
                {"repetitions", repeat},
                {"time_s", time},
                {"dt_s", dt},
                {"refused", refused},
                {"step_s", {{"min", smallest(seconds)}, {"median", median(seconds)}}},
                {"microseconds_per_species_cell_step", median(seconds) / species / count * 1e6},
                {"newton_per_species_step", newton / species / repeat},
                {"linear_iterations_per_species_step", linear / species / repeat},
                {"bytes_per_species_cell", bytes / species / count}});
}

void run_drugs(BenchmarkContext& context) {
  const BenchmarkOptions& given = context.options;
  const std::vector<std::string> all{"small_molecule", "antibody", "adc", "liposome", "together"};
  const auto repeat = static_cast<int>(given.count("repeat", 5, 1, 10000));
  const double tolerance = given.number("tolerance", 1e-3, 1e-9, 0.1);
  for (const auto& cells : given.boxes("cells", {{32, 32, 32}, {64, 64, 64}})) {
    for (const std::string& name : given.words("drugs", all, all))
      measure_drugs(context, cells, name, tolerance, repeat);
  }
}

}  // namespace

Benchmark drugs_benchmark() {
  return {"drugs",
          "a step of drugs of each class, alone and together, on a box without vessels: cost per species and cell",
          {{"cells", "LIST", "boxes: 64 or 100x60x37 (default 32,64)"},
           {"drugs", "LIST", "small_molecule, antibody, adc, liposome, together or all"},
           {"tolerance", "X", "relative error of a step, by which its length is chosen (default 1e-3)"},
           {"repeat", "N", "steps"}},
          run_drugs};
}

}  // namespace sanctuary
