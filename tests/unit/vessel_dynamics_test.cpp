#include "tissue/vessel_dynamics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "patient/parameters.hpp"
#include "patient/patient.hpp"
#include "support/small_patient.hpp"

namespace sanctuary {
namespace {

constexpr double mmhg = 133.322387415;

/// A nodule of 500 um, sparse in vessels.
std::vector<Override> sparse(const std::vector<Override>& changes) {
  std::vector<Override> all{{"grid.spacing", "50 um"},           {"tumour.radius", "250 um"},
                            {"network.lattice.segments", "250"}, {"network.lattice.inlets", "6"},
                            {"network.lattice.outlets", "6"},    {"network.lattice.core_radius", "170 um"}};
  all.insert(all.end(), changes.begin(), changes.end());
  return all;
}

std::unique_ptr<Patient> patient(const std::vector<Override>& changes, const std::string& text = small_nodule) {
  auto made = std::make_unique<Patient>(
      MPI_COMM_SELF, patient_settings(Deck::from_text(text, ".", sparse(changes), program_catalogue())));
  made->establish_baseline();
  made->check_balance();
  return made;
}

double number(const Patient& patient, const char* name) { return patient.findings().outcome.at(name).get<double>(); }

Override compression(const char* on) { return {"mechanisms.vessel_compression", on}; }
Override intermittent(const char* on) { return {"mechanisms.intermittent_flow", on}; }
Override stress(const char* value) { return {"solid_stress.tumour", value}; }

TEST(VesselDynamics, StressRisesThroughTheRim) {
  const SolidStress stress{.tumour = 3000, .host = 1000, .rim_width = 2e-4};
  EXPECT_DOUBLE_EQ(solid_stress_at(stress, -1e-3), 1000);
  EXPECT_DOUBLE_EQ(solid_stress_at(stress, 0), 1000);
  EXPECT_DOUBLE_EQ(solid_stress_at(stress, 5e-5), 1500);
  EXPECT_DOUBLE_EQ(solid_stress_at(stress, 2e-4), 3000);
  EXPECT_DOUBLE_EQ(solid_stress_at(stress, 1e30), 3000);
}

TEST(VesselDynamics, SegmentsKnowTheirPiecesAndEnds) {
  VesselGraph graph;
  graph.add_node({5e-6, 5e-6, 5e-6}, 10);
  graph.add_node({35e-6, 5e-6, 5e-6}, 11);
  graph.add_node({35e-6, 25e-6, 5e-6}, 12);
  graph.add_segment(0, 1, 3e-6, 7);
  graph.add_segment(2, 1, 4e-6, 5);
  graph.set_boundary(0, BoundaryKind::pressure, 100);
  const Grid grid(MPI_COMM_SELF, GridSpec{.origin = {0, 0, 0}, .spacing = {1e-5, 1e-5, 1e-5}, .cells = {4, 3, 1}});
  const CutNetwork cut = cut_at_faces(grid, graph);
  ASSERT_EQ(cut.own_pieces, 7U);  // 5, 10, 10, 5 and 5, 10, 5 um
  const SegmentHomes homes(cut, [](const std::array<double, 3>&) { return 0; });
  std::vector<double> value(cut.pieces());
  for (std::size_t p = 0; p < value.size(); ++p) value[p] = static_cast<double>(1 + cut.piece_part[p]);
  const std::vector<double> mean = homes.mean(value);
  EXPECT_NEAR(mean[0], (1 * 5 + 2 * 10 + 3 * 10 + 4 * 5) / 30.0, 1e-12);
  EXPECT_NEAR(mean[1], (1 * 5 + 2 * 10 + 3 * 5) / 20.0, 1e-12);
  std::vector<double> at_node(cut.nodes());
  for (std::size_t n = 0; n < at_node.size(); ++n) at_node[n] = cut.node_position[n][0] + 10 * cut.node_position[n][1];
  const auto ends = homes.ends(at_node);
  EXPECT_DOUBLE_EQ(ends[0][0], 55e-6);
  EXPECT_DOUBLE_EQ(ends[0][1], 85e-6);
  EXPECT_DOUBLE_EQ(ends[1][0], 285e-6);
  const std::vector<double> back = homes.to_pieces(mean);
  for (std::size_t p = 0; p < back.size(); ++p)
    EXPECT_EQ(back[p], mean[static_cast<std::size_t>(cut.piece_segment[p])]);
}

TEST(VesselDynamics, StressCollapsesTheCoreAndStarvesIt) {
  const auto open = patient({});
  double collapsed = 0, perfused = 1, hypoxic = number(*open, "hypoxic_fraction");
  for (const char* value : {"40 mmHg", "60 mmHg", "100 mmHg"}) {
    const auto p = patient({compression("on"), stress(value)});
    EXPECT_GT(number(*p, "collapsed_fraction"), collapsed) << value;
    EXPECT_LT(number(*p, "perfused_fraction"), perfused) << value;
    EXPECT_GT(number(*p, "hypoxic_fraction"), hypoxic) << value;
    EXPECT_NEAR(number(*p, "perfused_fraction_open"), number(*open, "perfused_fraction"), 1e-12);
    EXPECT_LT(number(*p, "filtration_net_ml_h_g"), number(*open, "filtration_net_ml_h_g"));
    collapsed = number(*p, "collapsed_fraction");
    perfused = number(*p, "perfused_fraction");
    hypoxic = number(*p, "hypoxic_fraction");
    for (const std::string& note : p->notes()) EXPECT_EQ(note.find("did not settle"), std::string::npos) << note;
    // No blood and no plasma passes a closed lumen, and none of the host's vessels closes.
    p->with_output([&](std::span<const FieldOutput>, std::span<const NetworkOutput> network) {
      std::span<const double> flow, closed, radius;
      for (const NetworkOutput& data : network) {
        if (data.name == "flow") flow = data.values;
        if (data.name == "collapsed") closed = data.values;
        if (data.name == "radius_in_use") radius = data.values;
      }
      ASSERT_FALSE(closed.empty());
      const NetworkLayout layout = p->network_layout();
      double closed_depth = 0, open_depth = 0, closed_number = 0, open_number = 0;
      for (std::size_t s = 0; s < closed.size(); ++s) {
        double square = 0;
        for (std::size_t axis = 0; axis < 3; ++axis) {
          square += std::pow(0.5 * (layout.nodes[static_cast<std::size_t>(layout.segments[s][0])][axis] +
                                    layout.nodes[static_cast<std::size_t>(layout.segments[s][1])][axis]) -
                                 3e-4,
                             2);
        }
        (closed[s] > 0 ? closed_depth : open_depth) += 2.5e-4 - std::sqrt(square);
        (closed[s] > 0 ? closed_number : open_number) += 1;
        EXPECT_EQ(closed[s] > 0, radius[s] == 0);
        EXPECT_TRUE(closed[s] == 0 || flow[s] == 0) << flow[s];
      }
      EXPECT_GT(closed_number, 5);
      EXPECT_GT(closed_depth / closed_number, open_depth / open_number + 1e-4);
    });
  }
}

TEST(VesselDynamics, DigestionOpensTheVesselsAgain) {
  const SolidStress gone{.tumour = 0, .host = 0, .rim_width = 1e-4},
      some{.tumour = 40 * mmhg, .host = 0, .rim_width = 1e-4};
  // Late, so that more than a vessel or two tell: one that closes others' flow may itself stay open or not.
  const Override late{"vessels.compression.reopening", "0.1"};
  const auto open = patient({compression("on"), stress("0 mmHg"), late});
  const auto p = patient({compression("on"), stress("100 mmHg"), late});
  const double most = number(*p, "collapsed_fraction");
  p->set_solid_stress(some);
  p->establish_baseline();
  EXPECT_LT(number(*p, "collapsed_fraction"), most);
  // Hysteresis: what has collapsed opens later than it closed.
  const auto fresh = patient({compression("on"), stress("40 mmHg"), late});
  EXPECT_GT(number(*p, "collapsed_fraction"), number(*fresh, "collapsed_fraction"));
  EXPECT_LT(number(*p, "perfused_fraction"), number(*fresh, "perfused_fraction"));
  p->set_solid_stress(gone);
  p->establish_baseline();
  p->check_balance();
  EXPECT_EQ(number(*p, "collapsed_fraction"), 0);
  const double inflow = number(*open, "blood_inflow_nl_per_min");
  EXPECT_NEAR(number(*p, "blood_inflow_nl_per_min"), inflow, 1e-8 * inflow);
  EXPECT_NEAR(number(*p, "oxygen_pressure_mean_mmHg"), number(*open, "oxygen_pressure_mean_mmHg"), 1e-6);
  p->set_solid_stress({.tumour = 100 * mmhg, .host = 0, .rim_width = 1e-4});  // as if nothing had been
  p->establish_baseline();
  EXPECT_NEAR(number(*p, "collapsed_fraction"), most, 1e-12);
}

TEST(VesselDynamics, NoBloodAnywhereIsSaidAndNotComputed) {
  try {
    const auto p = patient({compression("on"), stress("900 mmHg"), {"solid_stress.host", "900 mmHg"}});
    FAIL() << number(*p, "perfused_fraction");
  } catch (const InputError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("no blood flow"), std::string::npos) << text;
    EXPECT_NE(text.find("solid_stress.tumour"), std::string::npos) << text;
  }
}

TEST(VesselDynamics, AVesselThatIsAllButFlaccidStillSettles) {
  const auto p = patient({compression("on"), stress("30 mmHg"), {"vessels.compression.support.immature", "0.1 mmHg"}});
  const double pressure = number(*p, "interstitial_pressure_mean_mmHg"),
               oxygen = number(*p, "oxygen_pressure_mean_mmHg");
  EXPECT_TRUE(std::isfinite(pressure) && std::isfinite(oxygen)) << pressure << " " << oxygen;
  EXPECT_GT(oxygen, 0);
  for (const std::string& note : p->notes()) EXPECT_EQ(note.find("did not settle"), std::string::npos) << note;
}

TEST(VesselDynamics, IntermittencyMakesAcuteHypoxiaAndDeeperSwingsMore) {
  const auto steady = patient({});
  EXPECT_FALSE(steady->findings().outcome.contains("acute_hypoxic_fraction"));
  double acute = 0;
  for (const char* swing : {"2", "5", "20"}) {
    const auto p = patient({intermittent("on"),
                            {"vessels.intermittency.smallest_swing", swing},
                            {"vessels.intermittency.largest_swing", swing}});
    EXPECT_GT(number(*p, "acute_hypoxic_fraction"), acute) << swing;
    EXPECT_LE(number(*p, "acute_hypoxic_fraction") + number(*p, "chronic_hypoxic_fraction"), 1);
    EXPECT_GE(number(*p, "acute_hypoxic_fraction") + number(*p, "chronic_hypoxic_fraction"),
              number(*p, "hypoxic_fraction_5_in_time"));
    EXPECT_GE(number(*p, "hypoxic_fraction_5_in_time"), number(*p, "chronic_hypoxic_fraction"));
    acute = number(*p, "acute_hypoxic_fraction");
  }
}

TEST(VesselDynamics, FlowOfTheMeanIsTheMeanOfTheFlows) {
  const auto p =
      patient({intermittent("on"), {"vessels.intermittency.noise", "0"}, {"vessels.intermittency.stasis_chance", "0"}});
  double mean = 0;
  std::vector<double> most(p->oxygen().piece_pressure.size(), 0.0), least(most.size(), 1e9);
  constexpr int samples = 30;
  const auto inflow = [](const BloodFlow& blood) {
    return std::accumulate(blood.inflow.begin(), blood.inflow.end(), 0.0,
                           [](double sum, double q) { return sum + std::max(q, 0.0); });
  };
  for (int i = 0; i < samples; ++i) {  // periods of 20 to 60 min: ten hours
    const auto now = p->instant(1200.0 * i);
    EXPECT_LT(now.blood.blood_imbalance, 1e-9);
    EXPECT_LT(now.blood.red_cell_imbalance, 1e-9);
    EXPECT_LT(now.oxygen.imbalance, 1e-9);
    mean += inflow(now.blood) / samples;
    for (std::size_t k = 0; k < most.size(); ++k) {
      most[k] = std::max(most[k], now.oxygen.piece_pressure[k]);
      least[k] = std::min(least[k], now.oxygen.piece_pressure[k]);
    }
  }
  EXPECT_NEAR(inflow(p->fluid().blood), mean, 0.05 * mean);
  long swinging = 0, within = 0;
  for (std::size_t k = 0; k < most.size(); ++k) {
    swinging += most[k] > 1.1 * least[k];
    within += p->oxygen().piece_pressure[k] > least[k] - 1 && p->oxygen().piece_pressure[k] < most[k] + 1;
  }
  EXPECT_GT(2 * swinging, static_cast<long>(most.size()));
  EXPECT_GT(within, static_cast<long>(0.98 * static_cast<double>(most.size())));
}

TEST(VesselDynamics, EightSnapshotsAreEnough) {
  const auto at = [](const char* snapshots, const char* noise, const char* stasis) {
    return patient({intermittent("on"),
                    {"vessels.intermittency.snapshots", snapshots},
                    {"vessels.intermittency.noise", noise},
                    {"vessels.intermittency.stasis_chance", stasis}});
  };
  for (const bool regular : {true, false}) {
    const char* noise = regular ? "0" : "0.1";
    const char* stasis = regular ? "0" : "0.04";
    const auto eight = at("8", noise, stasis), sixteen = at("16", noise, stasis);
    const double oxygen = number(*sixteen, "oxygen_pressure_mean_mmHg");
    EXPECT_GT(oxygen, 20);
    // Regions keep their own time, so that n moments sample their meetings: the mean settles, not at a rate.
    EXPECT_NEAR(number(*eight, "oxygen_pressure_mean_mmHg"), oxygen, 5e-4 * oxygen);
    for (const char* name : {"hypoxic_fraction_in_time", "hypoxic_fraction_5_in_time", "hypoxic_fraction_2_5_in_time"})
      EXPECT_NEAR(number(*eight, name), number(*sixteen, name), 0.002) << name;
    EXPECT_DOUBLE_EQ(number(*eight, "blood_inflow_nl_per_min"), number(*sixteen, "blood_inflow_nl_per_min"));
  }
}

TEST(VesselDynamics, TheDrugSeesTheMeanFlowAndItsLedgersClose) {
  const std::string text = std::string(small_nodule) + small_dose;
  const auto treated = [&](const std::vector<Override>& changes) {
    auto p = patient(changes, text);
    while (!p->finished()) p->advance();
    p->check_balance();
    return number(*p, "doxorubicin_auc_umol_h_L_mean");
  };
  const double open = treated({});
  EXPECT_LT(treated({compression("on"), stress("60 mmHg")}), 0.9 * open);
  EXPECT_LT(treated({intermittent("on"), compression("on"), stress("60 mmHg")}), 0.9 * open);
}

}  // namespace
}  // namespace sanctuary
