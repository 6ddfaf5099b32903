#include "tissue/vessel_wall.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "base/catalogue.hpp"
#include "tissue/matrix.hpp"
#include "tissue/oxygen_formulas.hpp"
#include "verification/exact.hpp"

namespace sanctuary {
namespace {

constexpr double cm = 1e-2;

double permeability(double radius_nm, double maturity = 0, double lipophilic = 0) {
  return wall_transport({}, radius_nm * 1e-9, lipophilic, maturity).permeability;
}

TEST(VesselWall, StarlingFluxOfTheEffectivePressure) {
  EXPECT_NEAR(starling_flux(2.8e-7, 15.6, 0, 0.82, 20, 15), 2.8e-7 * 11.5, 1e-18);
  EXPECT_LT(starling_flux(2.8e-7, 15.6, 20, 0.82, 20, 15), 0);
}

TEST(VesselWall, PatlakFluxOfHandWorkedNumbers) {  // model sources B1
  const double filtration = 2.8e-7 * 11.5;         // [cm/s]
  const auto flux = patlak_flux(filtration, 5.73e-7, 0.9);
  EXPECT_NEAR(filtration * 0.1 / 5.73e-7, 0.56195, 5e-6);
  EXPECT_NEAR(flux.vessel, 7.490e-7, 5e-11);
  EXPECT_NEAR(flux.vessel - filtration * 0.1, 5.73e-7 * 0.74520, 5e-12);  // flux = drag + P Pe/(e^Pe - 1)
  EXPECT_NEAR(bernoulli(0.56195), 0.74520, 5e-6);
  EXPECT_NEAR(patlak_flux(1.0, 1.0, 0.0).vessel, 1.581977, 1e-6);
  EXPECT_NEAR(patlak_flux(1e-8, 1.0, 0.0).vessel, 1.0, 1e-8);
  EXPECT_NEAR(patlak_flux(50.0, 1.0, 0.0).vessel, 50.0, 1e-12);
}

TEST(VesselWall, PatlakFluxIsSafeAtEveryLimit) {
  for (const double filtration : {-1e-3, -1e-9, 0.0, 1e-9, 1e-3})
    for (const double p : {0.0, 1e-300, 1e-20, 1e-9, 1e-3})
      for (const double sigma : {0.0, 0.5, 1.0}) {
        const auto flux = patlak_flux(filtration, p, sigma);
        EXPECT_TRUE(std::isfinite(flux.vessel) && std::isfinite(flux.tissue));
        EXPECT_GE(flux.vessel, 0.0);
        EXPECT_GE(flux.tissue, 0.0);
        // Equal concentrations on both sides are carried by the stream alone.
        const double drag = filtration * (1 - sigma);
        EXPECT_NEAR(flux.vessel - flux.tissue, drag, 1e-12 * std::abs(drag) + 1e-15 * p);
        const auto back = patlak_flux(-filtration, p, sigma);
        EXPECT_DOUBLE_EQ(back.vessel, flux.tissue);
      }
  EXPECT_DOUBLE_EQ(patlak_flux(2.0, 0.0, 0.25).vessel, 1.5);
  EXPECT_DOUBLE_EQ(patlak_flux(-2.0, 0.0, 0.25).tissue, 1.5);
  EXPECT_DOUBLE_EQ(patlak_flux(0.0, 3.0, 0.25).tissue, 3.0);
}

TEST(VesselWall, BernoulliFunctionJoinsItsSeries) {
  EXPECT_EQ(bernoulli(0.0), 1.0);
  for (const double x : {0.99e-4, 1.01e-4, -0.99e-4, -1.01e-4})
    EXPECT_NEAR(bernoulli(x), 1 - x / 2 + x * x / 12, 1e-15);
  EXPECT_NEAR(bernoulli(-50.0), 50.0, 1e-12);
  EXPECT_EQ(bernoulli(1e5), 0.0);
  EXPECT_EQ(bernoulli(-1e5), 1e5);
}

TEST(VesselWall, RenkinHindrance) {  // B2
  for (const auto& [ratio, h, w] :
       {std::array{0.05, 0.8078, 0.9888}, std::array{0.1, 0.6413, 0.9573}, std::array{0.2, 0.3812, 0.8461},
        std::array{0.3, 0.2072, 0.6922}, std::array{0.5, 0.0449, 0.3557}, std::array{0.7, 0.0076, 0.1061}}) {
    EXPECT_NEAR(renkin_hindrance(ratio).diffusive, h, 5e-5);
    EXPECT_NEAR(renkin_hindrance(ratio).convective, w, 5e-5);
  }
}

TEST(VesselWall, DechadilokDeenHindrance) {
  for (const auto& [ratio, h, w] :
       {std::array{0.1, 0.5918, 0.9388}, std::array{0.3, 0.2033, 0.6450}, std::array{0.5, 0.0474, 0.3364}}) {
    EXPECT_NEAR(dechadilok_deen_hindrance(ratio).diffusive, h, 5e-5);
    EXPECT_NEAR(dechadilok_deen_hindrance(ratio).convective, w, 5e-5);
  }
  double last = 1.0;
  for (double ratio = 0.001; ratio < 1.1; ratio += 0.001) {
    const double h = dechadilok_deen_hindrance(ratio).diffusive;
    EXPECT_LE(h, last + 1e-6);
    EXPECT_GE(h, 0.0);
    last = h;
  }
}

TEST(VesselWall, PermeabilityHasTheMeasuredSizeDependence) {  // M09
  const double doxorubicin = permeability(0.45, 0, 1.94e-4 * cm);
  EXPECT_NEAR(doxorubicin / cm, 2.7e-4, 0.1e-4);
  EXPECT_GE(permeability(5.0) / cm, 3e-7);
  EXPECT_LE(permeability(5.0) / cm, 6e-7);
  EXPECT_NEAR(permeability(5.0), 5.73e-9, 1e-15);  // the declared level
  EXPECT_GE(permeability(45.0) / cm, 1.3e-8);      // 90 nm particle, about 2e-8
  EXPECT_LE(permeability(45.0) / cm, 3e-8);
  const double kilodaltons = permeability(2.41) / permeability(4.93);  // 25 over 160 kDa by a_e = 0.0483 MW^0.386
  EXPECT_GE(kilodaltons, 1.5);
  EXPECT_LE(kilodaltons, 4.0);
}

TEST(VesselWall, PoiseuilleConductivityOfPores) {  // B3
  EXPECT_NEAR(pore_conductivity(1e-3, 100e-9, 1e-3, 5e-6), 2.5e-10, 1e-22);
  EXPECT_NEAR(pore_conductivity(1e-3, 100e-9, 1e-3, 5e-6) * mmhg / cm, 3.333e-6, 5e-10);
  EXPECT_NEAR(pore_conductivity(8.40e-5, 100e-9, 1e-3, 5e-6) * mmhg / cm, 2.8e-7, 5e-10);
}

TEST(VesselWall, ProbesOfEverySizeRankByPermeability) {
  // Stokes radii [nm] of 3, 10, 70 and 2000 kDa dextran (commonly listed values, not verified), of a 100 nm particle.
  for (const double maturity : {0.0, 0.3, 1.0}) {
    double last = 1;
    for (const double radius : {1.4, 2.3, 6.5, 27.0, 50.0}) {
      EXPECT_LT(permeability(radius, maturity), last) << radius;
      last = permeability(radius, maturity);
    }
  }
}

TEST(VesselWall, ChargeRaisesTheFluxByItsFactor) {  // M09: at least twice over the threshold of charge
  const WallTransport neutral = wall_transport({}, 62.5e-9, 0, 0);
  const WallTransport cationic = charged(neutral, 1.4);
  EXPECT_DOUBLE_EQ(cationic.permeability, 1.4 * neutral.permeability);
  EXPECT_DOUBLE_EQ(1 - cationic.reflection, 1.4 * (1 - neutral.reflection));
  EXPECT_EQ(cationic.conductivity, neutral.conductivity);
  for (const double filtration : {0.0, 1e-10, 1e-7}) {
    const auto flux = [&](const WallTransport& wall) {
      return patlak_flux(filtration, wall.permeability, wall.reflection).vessel;
    };
    EXPECT_NEAR(flux(cationic) / flux(neutral), 1.4, 1e-12);
  }
  EXPECT_EQ(charged(neutral, 1.0).reflection, neutral.reflection);
  EXPECT_EQ(charged(neutral, 10.0).reflection, 0.0);  // nothing is dragged faster than the stream
  EXPECT_EQ(charged(neutral, 0.0).reflection, 1.0);
  EXPECT_EQ(charged(neutral, 0.0).permeability, 0.0);
}

TEST(VesselWall, PoresCutOffAtTheMeasuredDiameter) {  // Yuan 1995: 400 to 600 nm
  const double cutoff = pore_cutoff_diameter({}, 0.0);
  EXPECT_GE(cutoff, 400e-9);
  EXPECT_LE(cutoff, 600e-9);
  EXPECT_LT(pore_cutoff_diameter({}, 0.5), 0.5 * cutoff);
}

TEST(VesselWall, MaturingSparesSmallAndStopsLargeParticles) {
  for (const double maturity : {0.2, 0.3, 0.5}) {
    const double small = permeability(6.0) / permeability(6.0, maturity);
    const double large = permeability(62.5) / permeability(62.5, maturity);
    EXPECT_GT(small, 1.0);
    EXPECT_GT(large, 2 * small) << maturity;
  }
  EXPECT_LT(permeability(6.0) / permeability(6.0, 0.3), 3.0);
  EXPECT_GT(permeability(62.5) / permeability(62.5, 0.5), 20 * permeability(6.0) / permeability(6.0, 0.5));
  EXPECT_DOUBLE_EQ(permeability(6.0, 1.0, 1e-6) - permeability(6.0, 1.0), 1e-6);  // the lipid path does not mature
}

// Baxter & Jain's isolated sphere: uniform vessels, interstitial pressure from the balance of their filtration with
// outflow at the surface.
struct Sphere {
  double conductivity = 4.13e-12 / mmhg;  // K [m^2/(Pa s)]
  double surface_density = 2e4;           // [1/m]
  double effective_pressure = 11.5 * mmhg;
  double radius = 5e-3;
};
// Flux per surface over plasma concentration [m/s] into drug-free tissue, mean over the volume within a share of the
// radius.
double sphere_flux(const Sphere& sphere, const WallSettings& wall, double maturity, double stokes_radius,
                   double within) {
  const WallTransport transport = wall_transport(wall, stokes_radius, 0, maturity);
  const exact::SphereTissue tissue{.conductivity = sphere.conductivity,
                                   .filtration = transport.conductivity * sphere.surface_density,
                                   .effective_pressure = sphere.effective_pressure};
  constexpr int shells = 2000;
  double sum = 0, volume = 0;
  for (int i = 0; i < shells; ++i) {
    const double r = within * sphere.radius * (i + 0.5) / shells;
    const double pressure = exact::isolated_sphere_pressure(r, sphere.radius, tissue);
    const double filtration = transport.conductivity * (sphere.effective_pressure - pressure);
    sum += r * r * patlak_flux(filtration, transport.permeability, transport.reflection).vessel;
    volume += r * r;
  }
  return sum / volume;
}
double sphere_gain(const Sphere& sphere, const WallSettings& wall, double maturity, double stokes_radius,
                   double within) {
  return sphere_flux(sphere, wall, maturity, stokes_radius, within) /
         sphere_flux(sphere, wall, 0, stokes_radius, within);
}
constexpr double small = 6e-9, large = 62.5e-9, whole = 1.0, core = 0.5;

TEST(VesselWall, MaturingTakesFluxFromAWholeUniformSphere) {
  // Filtration leaves through the surface alone, Q ~ alpha coth alpha - 1, so it falls with L_p whatever the plateau
  // does; P falls too. So no uniform tumour without lymph takes up more as its walls mature, of any size.
  for (const double radius : {1e-3, 2.5e-3, 5e-3, 1e-2})
    for (const double stokes : {small, large}) {
      double last = 1.0;
      for (const double maturity : {0.1, 0.2, 0.3, 0.5, 0.7, 1.0}) {
        const double gain = sphere_gain({.radius = radius}, {}, maturity, stokes, whole);
        EXPECT_LT(gain, last) << radius << ' ' << stokes << ' ' << maturity;
        last = gain;
      }
    }
  for (const double maturity : {0.1, 0.3, 0.5})
    EXPECT_LT(sphere_gain({}, {}, maturity, large, whole), sphere_gain({}, {}, maturity, small, whole));
  EXPECT_NEAR(sphere_gain({}, {}, 0.3, small, whole), 0.48, 0.005);
  EXPECT_NEAR(sphere_gain({}, {}, 0.3, large, whole), 0.26, 0.005);
}

TEST(VesselWall, DefaultLevelsKeepThePlateauOfAMaturingSphere) {
  // Known limit of the defaults: in the core of 5 mm nothing filters at any maturity, so the flux is P and falls.
  for (const double maturity : {0.1, 0.3, 0.5, 1.0}) {
    EXPECT_NEAR(sphere_gain({}, {}, maturity, small, core), permeability(6.0, maturity) / permeability(6.0),
                0.05 * permeability(6.0, maturity) / permeability(6.0) + 0.005);
  }
  EXPECT_NEAR(sphere_gain({}, {}, 0.3, small, core), 0.48, 0.005);
  // The declared L_p (2.8e-7) is 29 times less than that of pores of 180 nm as many as the declared P of IgG tells, so
  // convection weighs that much less than in a model where pores give both.
  const double per_thickness = 5.73e-9 / (free_diffusivity(5e-9) * dechadilok_deen_hindrance(5.0 / 180).diffusive);
  EXPECT_NEAR(pore_conductivity(per_thickness, 180e-9, 0.69e-3, 1.0) / WallSettings{}.conductivity_immature, 28.8, 0.1);
}

TEST(VesselWall, MaturingFeedsSmallAndStopsLargeParticlesInTheCore) {
  // Chauhan 2012: after normalisation 12 nm particles cross faster, 60 to 125 nm ones do not gain (smaller pores cost
  // them what convection brings). It takes L_p and P of the same pores, pores that shrink and keep their area, tissue
  // that drains, and vessels inside the tumour. Values of the same group's public model: L_p 1.5e-6 cm/(mmHg s), K 9e-7
  // cm^2/(mmHg s), S/V 200/cm, P_v 25 mmHg, pores 0.1 % of a wall of 5 um, 4 cP. Radius 5 mm (choice): R/l falls from 9
  // to 2.5 at maturity 0.3. At 3 mm small particles lose as well, at 10 mm large ones gain until half mature.
  const double viscosity = 4e-3, pores = 1e-3, thickness = 5e-6, radius = 134e-9;
  WallSettings wall;
  wall.conductivity_immature = 1.5e-8 / mmhg;
  EXPECT_NEAR(pore_conductivity(pores, radius, viscosity, thickness) / wall.conductivity_immature, 1.0, 0.01);
  wall.large_pore_radius_immature = radius;
  wall.large_pore_spread = 0;
  wall.pore_area_ratio = 0;
  wall.large_pore_area_exponent = 0;
  wall.protein_permeability = pores / thickness * free_diffusivity(wall.protein_radius, viscosity) *
                              dechadilok_deen_hindrance(wall.protein_radius / radius).diffusive;
  const Sphere sphere{.conductivity = 9e-11 / mmhg, .effective_pressure = 25 * mmhg};
  for (const double maturity : {0.3, 0.5, 0.7}) {
    EXPECT_GT(sphere_gain(sphere, wall, maturity, small, core), 1.5) << maturity;
    EXPECT_LT(sphere_gain(sphere, wall, maturity, large, core), 0.5) << maturity;
  }
  EXPECT_NEAR(sphere_gain(sphere, wall, 0.3, small, core), 3.0, 0.05);
  // Jain, Tong & Munn 2007: pressure inside falls and the total leak with it.
  EXPECT_LT(sphere_gain(sphere, wall, 0.3, small, whole), 0.25);
  // Levels alone, with the default pores: small ones gain, but large ones lose only when walls are half mature.
  WallSettings levels;
  levels.conductivity_immature = wall.conductivity_immature;
  EXPECT_NEAR(sphere_gain(sphere, levels, 0.3, small, core), 1.84, 0.02);
  EXPECT_NEAR(sphere_gain(sphere, levels, 0.5, small, core), 1.31, 0.02);
  EXPECT_GT(sphere_gain(sphere, levels, 0.3, large, core), 1.0);
  EXPECT_LT(sphere_gain(sphere, levels, 0.5, large, core), 0.5);
}

TEST(VesselWall, ConductivityIsTheDeclaredOneAtBothEnds) {
  const WallSettings wall;
  EXPECT_DOUBLE_EQ(wall_transport(wall, 5e-9, 0, 0).conductivity, wall.conductivity_immature);
  EXPECT_DOUBLE_EQ(wall_transport(wall, 5e-9, 0, 1).conductivity, wall.conductivity_mature);
  EXPECT_NEAR(wall_conductivity(wall, 0.5), 2 / (1 / 2.1e-11 + 1 / 2.7e-12), 1e-20);
}

TEST(VesselWall, ReflectionRisesWithSizeAndMaturity) {
  const auto sigma = [](double radius_nm, double maturity) {
    return wall_transport({}, radius_nm * 1e-9, 0, maturity).reflection;
  };
  double last = 0;
  for (const double radius : {0.2, 0.5, 2.0, 5.0, 45.0, 100.0, 400.0, 2000.0}) {
    EXPECT_GE(sigma(radius, 0), last);
    EXPECT_LE(sigma(radius, 0), 1.0);
    last = sigma(radius, 0);
  }
  EXPECT_DOUBLE_EQ(sigma(2000, 0), 1.0);
  EXPECT_LT(sigma(5, 0), 0.05);
  EXPECT_GT(sigma(5, 1), 0.7);
}

TEST(VesselWall, SingleLargePoreReducesToTheClosedForm) {
  WallSettings wall;
  wall.large_pore_spread = 0;
  wall.pore_area_ratio = 0;
  const auto h = [&](double radius) { return dechadilok_deen_hindrance(radius / 180e-9).diffusive; };
  EXPECT_NEAR(wall_transport(wall, 20e-9, 0, 0).permeability, 5.73e-9 * 5.0 / 20.0 * h(20e-9) / h(5e-9), 1e-16);
  EXPECT_NEAR(wall_transport(wall, 20e-9, 0, 0).reflection, 1 - dechadilok_deen_hindrance(20.0 / 180).convective,
              1e-12);
}

TEST(VesselWall, TableFollowsTheFormula) {
  for (const double radius : {0.45e-9, 5e-9, 45e-9}) {
    const WallTable table({}, radius, 1e-8);
    for (const double maturity : {0.0, 0.1234, 0.5, 0.777, 1.0}) {
      const auto exact = wall_transport({}, radius, 1e-8, maturity), quick = table.at(maturity);
      EXPECT_NEAR(quick.permeability, exact.permeability, 1e-3 * exact.permeability);
      EXPECT_NEAR(quick.reflection, exact.reflection, 1e-3);
      EXPECT_DOUBLE_EQ(quick.conductivity, exact.conductivity);
    }
  }
}

TEST(VesselWall, FluidBalanceWithoutGradients) {  // B4: L_p S/V (p_e - P) = L_PL S_L/V P
  const auto settings = vessel_wall_settings(Deck::from_text("", ".", {}, vessel_wall_parameters()));
  const auto& host = settings.host;
  EXPECT_NEAR(host.effective_pressure(settings.vascular_pressure), 6.5 * mmhg, 1e-9);
  EXPECT_NEAR(settings.tumour.effective_pressure(settings.vascular_pressure), 11.5 * mmhg, 1e-9);
  const double pressure = host.product() * 6.5 * mmhg / (host.product() + host.lymph_conductance);
  EXPECT_NEAR(pressure / mmhg, 1.0354, 1e-4);
  EXPECT_NEAR(lymph_drainage(host, pressure), host.product() * (6.5 * mmhg - pressure), 1e-18);
  EXPECT_EQ(lymph_drainage(host, -1.0), 0.0);
  for (const auto& [share, level] : {std::pair{1.0, 9.293}, {0.5, 10.279}, {0.0, 11.5}}) {  // tumour with lymph
    FiltrationSettings drained = settings.tumour;
    drained.lymph_conductance = share * host.lymph_conductance;
    EXPECT_NEAR(drained.product() * (11.5 - level) * mmhg, lymph_drainage(drained, level * mmhg),
                5e-4 * mmhg * (drained.product() + drained.lymph_conductance));
  }
  EXPECT_NEAR(settings.tumour.product() * mmhg, 5.6e-5, 1e-10);
}

TEST(VesselWall, ParametersHaveRangeMeaningAndSource) {
  EXPECT_EQ(catalogue_faults(vessel_wall_parameters()), std::vector<std::string>{});
}

}  // namespace
}  // namespace sanctuary
