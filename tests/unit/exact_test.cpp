#include "verification/exact.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tissue/oxygen_formulas.hpp"

namespace sanctuary {
namespace {

// Rows of numbers of a reference table; comments, the header and text columns' rows are left out.
std::vector<std::vector<double>> table(const std::string& name) {
  std::vector<std::vector<double>> rows;
  std::ifstream file(std::filesystem::path(SANCTUARY_REFERENCE_DATA) / "analytic" / name);
  for (std::string line; std::getline(file, line);) {
    std::vector<double> row;
    std::istringstream cells(line);
    bool numbers = true;
    for (std::string cell; std::getline(cells, cell, ',');) {
      try {
        row.push_back(std::stod(cell));
      } catch (const std::exception&) {
        numbers = false;
        break;
      }
    }
    if (numbers && !row.empty()) rows.push_back(row);
  }
  return rows;
}

#define TABLE_OR_SKIP(rows, name, count)                                 \
  const auto rows = table(name);                                         \
  if (rows.empty()) GTEST_SKIP() << "skipped: reference data not found"; \
  ASSERT_EQ(rows.size(), static_cast<std::size_t>(count))

constexpr double krogh = 4.2e-14 / mmhg;  // D alpha [m^2/(Pa s)]
const exact::SphereTissue tumour{
    .conductivity = 4.13e-12 / mmhg, .filtration = 5.6e-5 / mmhg, .effective_pressure = 11.5 * mmhg};
const exact::SphereTissue host{
    .conductivity = 8.53e-13 / mmhg, .filtration = 0.36e-7 * 70 / mmhg, .effective_pressure = 6.5 * mmhg};

TEST(Exact, KroghErlangTable) {
  TABLE_OR_SKIP(rows, "krogh_erlang_o2.csv", 46);
  for (const auto& row : rows)
    EXPECT_NEAR(exact::krogh_erlang(row[0] * 1e-6, 5e-6, 50e-6, 50 * mmhg, 5e-4, krogh) / mmhg, row[1], 1e-8);
}

TEST(Exact, KroghErlangHandWorked) {  // model sources D2
  const auto pressure = [](double r, double outer, double use) {
    return exact::krogh_erlang(r * 1e-6, 5e-6, outer * 1e-6, 40 * mmhg, use, krogh) / mmhg;
  };
  EXPECT_NEAR(pressure(50, 50, 5e-4), 13.101, 1e-3);
  EXPECT_NEAR(pressure(25, 50, 5e-4), 17.836, 1e-3);
  EXPECT_NEAR(pressure(75, 75, 2.5e-4), 2.998, 1e-3);
  EXPECT_NEAR(pressure(75, 75, 5e-4), -34.0, 0.01);
}

TEST(Exact, AnoxicDistances) {  // D3 and M22
  const auto radius = [](double pressure, double use) {
    return exact::anoxic_radius(5e-6, pressure * mmhg, use, krogh) * 1e6;
  };
  EXPECT_NEAR(radius(40, 5e-4), 58.505, 1e-3);
  EXPECT_NEAR(radius(40, 2.5e-4), 77.426, 1e-3);
  EXPECT_NEAR(radius(20, 5e-4), 44.545, 1e-3);
  EXPECT_NEAR(radius(40, 1e-4) - 5, 108, 0.5);
  EXPECT_NEAR(exact::anoxic_depth(40 * mmhg, 5e-4, krogh) * 1e6, 81.98, 0.01);
  EXPECT_NEAR(exact::anoxic_depth(40 * mmhg, 2.5e-4, krogh) * 1e6, 115.9, 0.05);
  EXPECT_NEAR(exact::cord_radius(40 * mmhg, 5e-4, krogh) * 1e6, 116, 0.5);
  EXPECT_NEAR(exact::cord_radius(40 * mmhg, 2.5e-4, krogh) * 1e6, 164, 0.5);
}

TEST(Exact, KroghFirstOrderTable) {
  TABLE_OR_SKIP(rows, "krogh_first_order_drug.csv", 46);
  for (const auto& row : rows)
    EXPECT_NEAR(exact::krogh_first_order(row[0] * 1e-6, 10e-6, 100e-6, 40e-12, 0.01, 1e-6), row[1], 1e-9);
}

TEST(Exact, SpheroidTable) {  // D 2e-9 m^2/s, p0 100 mmHg, use 22.1 mmHg/s
  EXPECT_NEAR(exact::spheroid_limit(100, 22.1, 2e-9) * 1e6, 233.02, 0.01);
  TABLE_OR_SKIP(rows, "spheroid_grimes_DLD1.csv", 8);
  for (const auto& row : rows)
    EXPECT_NEAR(exact::spheroid_anoxic_radius(row[0] * 1e-6, 100, 22.1, 2e-9) * 1e6, row[1], 1e-6);
}

TEST(Exact, SpheroidPressureMeetsItsEquation) {
  for (const double outer : {150e-6, 400e-6}) {
    const auto p = [=](double r) { return exact::spheroid_pressure(r, outer, 100, 22.1, 2e-9); };
    EXPECT_NEAR(p(outer), 100, 1e-9);
    const double core = exact::spheroid_anoxic_radius(outer, 100, 22.1, 2e-9);
    EXPECT_NEAR(p(core * (1 + 1e-6) + 1e-12), core > 0 ? 0.0 : p(0), 1e-4);
    const double r = 0.9 * outer, h = 1e-7;
    const double laplacian = (p(r + h) - 2 * p(r) + p(r - h)) / (h * h) + (p(r + h) - p(r - h)) / (h * r);
    EXPECT_NEAR(laplacian * 2e-9, 22.1, 0.01);
  }
}

TEST(Exact, IsolatedSphereTable) {
  TABLE_OR_SKIP(rows, "baxter_jain_isolated.csv", 204);
  for (const auto& row : rows) {
    const double outer = row[0] * 1e-2, radius = row[2] * outer;
    EXPECT_NEAR(exact::isolated_sphere_pressure(radius, outer, tumour) / mmhg, row[4], 1e-8);
    EXPECT_NEAR(exact::isolated_sphere_velocity(radius, outer, tumour) * 1e6, row[5], 1e-9);
  }
}

TEST(Exact, IsolatedSphereHandWorked) {  // C1
  EXPECT_NEAR(tumour.length() * 1e6, 271.6, 0.05);
  const auto share = [](double radius, double outer) {
    return exact::isolated_sphere_pressure(radius * outer, outer, tumour) / tumour.effective_pressure;
  };
  EXPECT_NEAR(share(0.9, 1e-2), 0.97204, 1e-5);
  EXPECT_NEAR(share(0.95, 1e-2), 0.83302, 1e-5);
  EXPECT_NEAR(share(0, 1e-3), 0.8146, 1e-4);
  EXPECT_NEAR(share(0, 0.5e-3), 0.4008, 1e-4);
  EXPECT_NEAR(share(1e-9, 0.5e-3), share(0, 0.5e-3), 1e-9);
  EXPECT_NEAR(1e-2 / tumour.length(), 36.823, 5e-4);
  EXPECT_NEAR(share(0, 1e-2), 1.0, 1e-12);
  EXPECT_NEAR(share(0.9, 10 * tumour.length()), 0.59125, 5e-6);
  EXPECT_NEAR(share(0.95, 10 * tumour.length()), 0.36155, 5e-6);
  EXPECT_NEAR(share(0, 3.16 * tumour.length()), 0.73139, 5e-6);
  const auto edge = [](double outer) { return exact::isolated_sphere_velocity(outer, outer, tumour) * 1e6; };
  EXPECT_NEAR(edge(1e-2), 0.1701, 5e-5);
  EXPECT_NEAR(edge(0.5e-2), 0.1654, 5e-5);
  EXPECT_NEAR(edge(1e-3), 0.1276, 5e-5);
  exact::SphereTissue tissue = tumour;
  for (const auto& [conductivity, length] : {std::pair{1e-15, 48.8}, {1e-14, 154.3}}) {  // C0
    tissue.conductivity = conductivity;
    EXPECT_NEAR(tissue.length() * 1e6, length, 0.05);
  }
  EXPECT_NEAR(host.length() * 1e6, 581.8, 0.05);
}

TEST(Exact, VelocityInASmallSphereKeepsItsDigits) {
  const double length = tumour.length();
  for (const double x : {0.005, 0.0199, 0.0201}) {  // v = K p_e (x coth x - 1)/R at the surface
    const long double wide = x;
    const double expected = tumour.conductivity * tumour.effective_pressure *
                            static_cast<double>(wide / std::tanh(wide) - 1) / (x * length);
    EXPECT_NEAR(exact::isolated_sphere_velocity(x * length, x * length, tumour) / expected, 1.0, 1e-11) << x;
  }
}

TEST(Exact, EmbeddedSphereTable) {
  TABLE_OR_SKIP(rows, "baxter_jain_embedded.csv", 151);
  for (const auto& row : rows)
    EXPECT_NEAR(exact::embedded_sphere_pressure(row[0] * 1e-2, 1e-2, tumour, host) / mmhg, row[1], 1e-8);
}

TEST(Exact, EmbeddedSphereHasOneFluxAtItsBorder) {
  for (const double outer : {0.3e-3, 1e-2}) {
    exact::SphereTissue drained = host;
    drained.lymph = 1.33e-5 / mmhg;
    EXPECT_NEAR(exact::embedded_sphere_velocity(outer, outer, tumour, drained),
                exact::embedded_sphere_velocity(outer * (1 + 1e-14), outer, tumour, drained), 1e-15);
    EXPECT_NEAR(drained.plateau() / mmhg, 1.0354, 1e-4);
    const double h = 1e-8;
    for (const double r : {0.5 * outer, 1.2 * outer})
      EXPECT_NEAR(exact::embedded_sphere_velocity(r, outer, tumour, drained),
                  -(r < outer ? tumour : drained).conductivity / (2 * h) *
                      (exact::embedded_sphere_pressure(r + h, outer, tumour, drained) -
                       exact::embedded_sphere_pressure(r - h, outer, tumour, drained)),
                  1e-12);
  }
}

TEST(Exact, LeakyVesselTable) {
  TABLE_OR_SKIP(rows, "leaky_vessel_pressure.csv", 21);
  const double wall = 2.8e-9 / mmhg;
  for (const auto& row : rows)
    EXPECT_NEAR(exact::leaky_vessel_pressure(row[0] * 1e-6, 1e-3, 5e-6, 3e-3, wall, 25, 10, 12), row[1], 1e-6);
  EXPECT_NEAR(exact::leaky_vessel_pressure(0.5, 1.0, 5e-6, 3e-3, 0.0, 25, 10, 12), 17.5, 1e-12);
}

TEST(Exact, AdvectionDiffusion) {  // C5
  EXPECT_NEAR(exact::advection_diffusion(0.5, 1), 0.37754, 1e-5);
  EXPECT_NEAR(exact::advection_diffusion(0.5, 10), 0.006693, 1e-6);
  EXPECT_NEAR(exact::advection_diffusion(0.5, -10), 1 - 0.006693, 1e-6);
  EXPECT_EQ(exact::advection_diffusion(0.25, 0), 0.25);
  EXPECT_NEAR(exact::advection_diffusion(1.0, 1e4), 1.0, 1e-15);
  EXPECT_NEAR(exact::advection_diffusion(0.3, 1e-9), 0.3, 1e-9);
}

TEST(Exact, LineSourceTable) {
  TABLE_OR_SKIP(rows, "line_source_diffusion.csv", 15);
  for (const auto& row : rows) {
    // The table is in um; amounts per um spread over um^2.
    EXPECT_NEAR(exact::line_source_instantaneous(row[1] * 1e-6, row[0], 50e-12) * 1e-12, row[2], 1e-9 * row[2]);
    EXPECT_NEAR(exact::line_source_continuous(row[1] * 1e-6, row[0], 50e-12) * 1e-12, row[3], 1e-9 * row[3]);
  }
}

TEST(Exact, AnzeliusSchumannIsItsIntegral) {
  for (const double x : {0.3, 2.0, 9.0})
    for (const double y : {0.0, 0.5, 3.0, 12.0}) {
      double integral = 0;  // Simpson
      const int n = 2000;
      for (int i = 0; i <= n; ++i) {
        const double t = x * i / n;
        integral +=
            (i == 0 || i == n ? 1 : (i % 2 ? 4 : 2)) * std::exp(-t - y) * std::cyl_bessel_i(0, 2 * std::sqrt(y * t));
      }
      EXPECT_NEAR(exact::anzelius_schumann(x, y), 1 - integral * x / n / 3, 1e-10) << x << ' ' << y;
    }
  EXPECT_NEAR(exact::anzelius_schumann(3, 0), std::exp(-3.0), 1e-15);
  EXPECT_NEAR(exact::anzelius_schumann(400, 400), 0.5, 0.02);
}

TEST(Exact, WashoutMeetsItsEquations) {
  const double h = 1e-4;
  for (const double zeta : {0.5, 4.0, 40.0})
    for (const double tau : {0.3, 3.0, 30.0}) {
      const double plasma = exact::washout_plasma(zeta, tau), tissue = exact::washout_tissue(zeta, tau);
      const double along = (exact::washout_plasma(zeta + h, tau) - exact::washout_plasma(zeta - h, tau)) / (2 * h);
      const double later = (exact::washout_tissue(zeta, tau + h) - exact::washout_tissue(zeta, tau - h)) / (2 * h);
      EXPECT_NEAR(along, tissue - plasma, 1e-7);
      EXPECT_NEAR(later, plasma - tissue, 1e-7);
      // What leaves the tissue leaves the outlet.
      const double loss =
          zeta * (exact::washout_remaining(zeta, tau - h) - exact::washout_remaining(zeta, tau + h)) / (2 * h);
      EXPECT_NEAR(loss, plasma, 1e-7);
    }
  EXPECT_NEAR(exact::washout_plasma(5, 0), 1 - std::exp(-5.0), 1e-14);
  EXPECT_NEAR(exact::washout_tissue(0, 2), std::exp(-2.0), 1e-15);
  EXPECT_NEAR(exact::washout_remaining(5, 0), 1.0, 1e-13);
  EXPECT_NEAR(exact::washout_remaining(1e-9, 2), std::exp(-2.0), 1e-8);
}

}  // namespace
}  // namespace sanctuary
