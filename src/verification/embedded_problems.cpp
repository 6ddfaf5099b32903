#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "tissue/network_generator.hpp"
#include "verification/embedded.hpp"
#include "verification/problems.hpp"

namespace sanctuary::verification {

VerificationResult embedded(MPI_Comm, const Path&) {
  VerificationResult result;
  result.question = "exchange of vessels that cells do not resolve? spacing from 0.5 to 20 radii, P R / D = 10";
  // Published rates: data/analytic/koch2020_convergence_reference.csv, surface source, cells 10, 20, 40, 80, mean over
  // the rates after the first; that of the exchange is of the 2-norm of the amounts of the pieces.
  std::vector<BenchmarkErrors> plain;
  double corrected = 0;
  for (const long cells : {10L, 20L, 40L, 80L}) {
    plain.push_back(embedded_benchmark(cells, false));
    corrected = std::max(corrected, embedded_benchmark(cells, true).largest_relative);
  }
  const auto rate = [&](double BenchmarkErrors::*error) { return 0.5 * std::log2(plain[1].*error / plain[3].*error); };
  result.at_least("benchmark, uncorrected: rate of the tissue", rate(&BenchmarkErrors::tissue), 1.47);
  result.at_least("benchmark, uncorrected: rate of the vessel", rate(&BenchmarkErrors::vessel), 1.78);
  result.at_least("benchmark, uncorrected: rate of the exchange", rate(&BenchmarkErrors::amounts), 2.27);
  result.at_most("benchmark, corrected: exchange of any piece on 10 to 80 cells", corrected, 0.02);

  constexpr std::array spacings{0.5, 1.0, 2.0, 5.0, 10.0, 20.0};
  constexpr int cases = 50;
  std::string note = "without the correction, largest error of the exchange:";
  for (const int count : {1, 2, 3}) {
    note += fmt::format(" {} vessel{}", count, count > 1 ? "s" : "");
    for (const double spacing : spacings) {
      const ExchangeTable table = exchange_table(cases, count, spacing, 10, 0);
      result.at_most(fmt::format("{} vessel{}, spacing {:g} radii: exchange of {} sets, worst", count,
                                 count > 1 ? "s, walls 2.5 radii apart and more" : "", spacing, cases),
                     table.corrected, 0.02);
      note += fmt::format(" {:.2g}", table.uncorrected);
    }
    note += ";";
    if (count == 1) continue;
    // Closer than a cell of tissue fits between: what a crossing does to the exchange within less than a cell is not
    // seen, and vessels of opposite values (1 and -0.5) ask for it most.
    for (const double spacing : {10.0, 20.0}) {
      result.at_most(fmt::format("{} vessels, walls down to 1.5 radii apart, spacing {:g} radii", count, spacing),
                     exchange_table(cases, count, spacing, 10, 0, 1.5).corrected, 0.03);
    }
  }
  for (const double spacing : spacings) {
    const ExchangeTable table = exchange_table(12, 1, spacing, 10, 0.05);
    // At 20 radii a cell is as wide as the length over which the solute is used, which then decides the error.
    result.at_most(fmt::format("used over 20 radii, spacing {:g} radii: worst of 12", spacing), table.corrected,
                   spacing < 20 ? 0.02 : 0.05);
  }
  // As oxygen where it saturates its users: at a constant rate, through a wall as that of red cells.
  for (const double spacing : spacings) {
    result.at_most(fmt::format("used at a constant rate, P R / D = 1.25, spacing {:g} radii: worst of 12", spacing),
                   exchange_table(12, 1, spacing, 1.25, 0.05, 2.5, true).corrected, 0.02);
  }
  // As fluid: through leaky walls, each vessel as if it were alone.
  for (const double spacing : spacings) {
    result.at_most(fmt::format("2 vessels, each alone, P R / D = 0.01, spacing {:g} radii: worst of 12", spacing),
                   exchange_table(12, 2, spacing, 0.01, 0, 2.5, false, ExchangeForm::own_vessel).corrected, 0.02);
  }
  for (const double spacing : spacings) {
    const ExchangeTable table = exchange_table(4, 1, spacing, 0.005, 0);
    result.at_most(fmt::format("limited by the wall, P R / D = 0.005, uncorrected, spacing {:g} radii", spacing),
                   table.uncorrected, 0.02);
  }
  result.reason = note + " spacings 0.5, 1, 2, 5, 10, 20";
  return result;
}

VerificationResult embedded_network(MPI_Comm, const Path&) {
  VerificationResult result;
  result.question = "the same exchange of 1,000 segments on cells of 10, 20 and 40 um? used over 100 um, P R / D = 10";
  constexpr double side = 9.6e-4, width = 4e-5, far = 4e-5;
  GeneratorSettings settings;
  settings.box = {{0, 0, 0}, {side, side, side}};
  settings.segments = 1000;
  settings.seed = 4;
  const VesselGraph graph = generate_network(settings);
  const GridSpec coarse{{0, 0, 0}, {width, width, width}, {24, 24, 24}};
  const std::vector<double> distance = distance_from_vessels(graph, coarse, 2 * far);
  constexpr double rate = 1e8;  // (100 um)^-2
  const NetworkField fine = network_field(graph, coarse, 4, rate, true);
  for (const bool corrected : {true, false}) {
    for (const long refine : {4L, 2L, 1L}) {
      if (corrected && refine == 4) continue;
      const NetworkField field = network_field(graph, coarse, refine, rate, corrected);
      double worst = 0;
      for (std::size_t c = 0; c < distance.size(); ++c) {
        if (distance[c] > far) worst = std::max(worst, std::abs(field.value[c] / fine.value[c] - 1));
      }
      const double total = std::abs(field.total / fine.total - 1);
      if (corrected) {
        result.at_most(fmt::format("{} um against 10 um: exchange in all", 40 / refine), total, 0.02);
        result.at_most(fmt::format("{} um against 10 um: value 40 um and more from vessels, worst", 40 / refine), worst,
                       0.05);
      } else {
        result.reason +=
            fmt::format("{}{} um: exchange {:.3g}, value {:.3g}",
                        result.reason.empty() ? "without the correction " : ", ", 40 / refine, total, worst);
      }
    }
  }
  return result;
}

}  // namespace sanctuary::verification
