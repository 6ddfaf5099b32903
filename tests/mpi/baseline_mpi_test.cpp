#include <gtest/gtest.h>
#include <mpi.h>

#include <cmath>
#include <filesystem>
#include <memory>

#include "base/comm.hpp"
#include "io/checkpoint.hpp"
#include "patient/parameters.hpp"
#include "patient/patient.hpp"
#include "support/shared_directory.hpp"
#include "support/small_patient.hpp"

namespace fs = std::filesystem;

namespace sanctuary {
namespace {

constexpr double mmhg = 133.322387415;

/// Vessels that collapse and pulsate, and a drug that kills enough for oxygen to be solved again on the way.
const std::vector<Override> lively{{"patient.duration", "0.5 h"},
                                   {"transport.relative_tolerance", "0.01"},
                                   {"transport.first_step", "5 s"},
                                   {"grid.cells", "12, 11, 10"},
                                   {"grid.spacing", "50 um"},
                                   {"tumour.radius", "240 um"},
                                   {"mechanisms.intermittent_flow", "on"},
                                   {"mechanisms.vessel_compression", "on"},
                                   {"solid_stress.tumour", "45 mmHg"},
                                   {"drug.doxorubicin.emax", "10 1/h"}};
const std::vector<Override> lattice{{"network.lattice.segments", "200"},
                                    {"network.lattice.inlets", "5"},
                                    {"network.lattice.outlets", "5"},
                                    {"network.lattice.core_radius", "170 um"}};
const std::vector<Override> grown{
    {"network.source", "generate"}, {"network.generate.preset", "xenograft"}, {"patient.duration", "0.3 h"}};
const std::vector<Override> margin{{"patient.kind", "margin"}, {"grid.cells", "16, 8, 8"}, {"grid.spacing", "50 um"}};

std::vector<Override> joined(std::initializer_list<std::vector<Override>> lists) {
  std::vector<Override> all;
  for (const auto& list : lists) {
    for (const Override& entry : list) {
      std::erase_if(all, [&](const Override& before) { return before.key == entry.key; });
      all.push_back(entry);
    }
  }
  return all;
}

struct Case {
  std::string name;
  std::vector<Override> with;
};
std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

const std::vector<Case> cases{
    {"plain_nodule", {{"drug.doxorubicin.emax", "10 1/h"}}},
    {"lattice_nodule", joined({lively, lattice})},
    {"lattice_margin", joined({lively, lattice, margin})},
    {"grown_nodule", joined({lively, grown, {{"grid.cells", "9, 8, 7"}, {"tumour.radius", "150 um"}}})},
    {"grown_margin", joined({lively, grown, margin})},
    {"collapsing_alone", joined({lively, lattice, {{"mechanisms.intermittent_flow", "off"}}})},
    {"no_vessels", joined({lively, {{"network.source", "none"}}})},
    {"no_vessels_margin", joined({lively, margin, {{"network.source", "none"}}})},
    {"no_feeders", joined({lively, lattice, {{"vessels.intermittency.feeder_radius", "1 um"}}})},
    {"no_oxygen", joined({lively, lattice, {{"mechanisms.oxygen", "off"}}})}};

Deck deck_of(const std::vector<Override>& with) {
  return Deck::from_text(std::string(small_nodule) + small_dose, ".", with, program_catalogue());
}
std::unique_ptr<Patient> patient_of(MPI_Comm comm, const std::vector<Override>& with) {
  return std::make_unique<Patient>(comm, patient_settings(deck_of(with)));
}

void save(MPI_Comm comm, const fs::path& path, Patient& patient) {
  patient.with_baseline([&](Checkpoint& point) { write_baseline(comm, path, patient.layout(), patient.box(), point); });
}

void restore(MPI_Comm comm, const fs::path& path, Patient& patient) {
  Checkpoint kept;
  patient.with_baseline([&](Checkpoint& point) {
    ASSERT_EQ(read_baseline(comm, path, patient.layout(), patient.box(), {}, point), BaselineFile::read);
    kept.arrays = point.arrays;
    kept.root_arrays = point.root_arrays;
    kept.state = point.state;
  });
  patient.restore_baseline(kept);
}

/// To the last bit; NaN equals NaN.
void expect_same_bits(const std::vector<double>& a, const std::vector<double>& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (std::size_t i = 0; i < a.size(); ++i)
    ASSERT_TRUE(a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) << what << " " << i << ": " << a[i] - b[i];
}

std::vector<double> values_of(const Patient& patient, Vec vec) {
  const ReadAccess values(vec);
  std::vector<double> all;
  for (long c = 0; c < patient.box().size[0] * patient.box().size[1] * patient.box().size[2]; ++c)
    all.push_back(values[static_cast<std::size_t>(c)]);
  return all;
}

void expect_same_state(const Patient& a, const Patient& b) {
  const FluidState &f = a.fluid(), &g = b.fluid();
  expect_same_bits(values_of(a, f.pressure.get()), values_of(b, g.pressure.get()), "pressure");
  expect_same_bits(values_of(a, a.oxygen().cells.get()), values_of(b, b.oxygen().cells.get()), "oxygen");
  for (int axis = 0; axis < 3; ++axis) expect_same_bits(f.discharge[axis], g.discharge[axis], "discharge");
  expect_same_bits(f.lymph, g.lymph, "lymph");
  expect_same_bits(f.filtrated, g.filtrated, "filtrated");
  const BloodFlow &p = f.blood, &q = g.blood;
  for (const auto& [name, part] :
       {std::pair{"pressure", &BloodFlow::pressure}, std::pair{"remainder", &BloodFlow::remainder},
        std::pair{"flow", &BloodFlow::flow}, std::pair{"leak", &BloodFlow::leak},
        std::pair{"haematocrit", &BloodFlow::haematocrit}, std::pair{"red_cells", &BloodFlow::red_cells},
        std::pair{"viscous", &BloodFlow::viscous_haematocrit}, std::pair{"protein", &BloodFlow::protein},
        std::pair{"plasma", &BloodFlow::plasma}, std::pair{"red_inflow", &BloodFlow::red_inflow},
        std::pair{"inflow", &BloodFlow::inflow}})
    expect_same_bits(p.*part, q.*part, name);
  expect_same_bits(a.oxygen().node_pressure, b.oxygen().node_pressure, "oxygen of nodes");
  expect_same_bits(a.oxygen().piece_pressure, b.oxygen().piece_pressure, "oxygen of pieces");
  expect_same_bits(a.distance_to_vessel(), b.distance_to_vessel(), "distance");
  expect_same_bits(a.time_below_5(), b.time_below_5(), "time below");
  EXPECT_EQ(a.notes(), b.notes());
}

void expect_same_findings(const Patient& a, const Patient& b) {
  const Patient::Findings f = a.findings(), g = b.findings();
  EXPECT_EQ(f.outcome.dump(), g.outcome.dump());
  EXPECT_EQ(f.summary.dump(), g.summary.dump());
  EXPECT_EQ(f.remarks, g.remarks);
  expect_same_bits(a.series_time(), b.series_time(), "series time");
  ASSERT_EQ(a.series().size(), b.series().size());
  for (const auto& [name, column] : a.series()) expect_same_bits(column.values, b.series().at(name).values, name);
}

/// Every patient on one and two ranks, one of them on three and one on four: ranks beyond the cores are slow.
class Baseline : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const std::string name = GetParam().name;
    const int ranks = size_of(MPI_COMM_WORLD);
    if ((ranks == 3 && name != "grown_nodule") || (ranks > 3 && name != "lattice_margin"))
      GTEST_SKIP() << "on one and two ranks";
  }
};

TEST_P(Baseline, RestoredOnAsManyRanksIsTheSameToTheLastBit) {
  const SharedDirectory directory(MPI_COMM_WORLD);
  const auto first = patient_of(MPI_COMM_WORLD, GetParam().with), second = patient_of(MPI_COMM_WORLD, GetParam().with);
  first->establish_baseline();
  save(MPI_COMM_WORLD, directory.path(), *first);
  restore(MPI_COMM_WORLD, directory.path(), *second);
  EXPECT_FALSE(second->timing().contains("oxygen"));
  EXPECT_FALSE(second->timing().contains("flow and pressure"));
  expect_same_state(*first, *second);
  expect_same_findings(*first, *second);
  for (Patient* p : {first.get(), second.get()}) {
    while (!p->finished()) p->advance();
    p->check_balance();
  }
  expect_same_findings(*first, *second);
  expect_same_state(*first, *second);  // oxygen was solved again
  EXPECT_EQ(second->timing().contains("oxygen"), second->settings().on.oxygen);
  const Patient::Instant now = first->instant(4000), again = second->instant(4000);
  expect_same_bits(values_of(*first, now.oxygen.cells.get()), values_of(*second, again.oxygen.cells.get()), "instant");
}

TEST_P(Baseline, OfAnotherNumberOfRanksGivesTheSameFindings) {
  const SharedDirectory directory(MPI_COMM_WORLD);
  const auto together = patient_of(MPI_COMM_WORLD, GetParam().with);
  on_root(MPI_COMM_WORLD, [&] {
    const auto alone = patient_of(MPI_COMM_SELF, GetParam().with);
    alone->establish_baseline();
    save(MPI_COMM_SELF, directory.path() / "alone", *alone);
  });
  restore(MPI_COMM_WORLD, directory.path() / "alone", *together);
  save(MPI_COMM_WORLD, directory.path() / "together", *together);
  const auto alone = patient_of(MPI_COMM_SELF, GetParam().with), back = patient_of(MPI_COMM_SELF, GetParam().with);
  restore(MPI_COMM_SELF, directory.path() / "alone", *alone);
  restore(MPI_COMM_SELF, directory.path() / "together", *back);
  expect_same_state(*alone, *back);  // what was gathered and dealt out is what was saved
  for (Patient* p : {together.get(), alone.get()}) {
    while (!p->finished()) p->advance();
    p->check_balance();
  }
  const nlohmann::json one = alone->findings().outcome, many = together->findings().outcome;
  ASSERT_EQ(one.size(), many.size());
  for (const auto& [name, value] : one.items()) {
    if (!value.is_number() || name == "undershoot" || name.starts_with("steps") || name.starts_with("worst")) continue;
    const double expected = value.get<double>();
    EXPECT_NEAR(many.at(name).get<double>(), expected, 1e-8 * std::abs(expected) + 1e-14) << name;
  }
}

TEST(BaselineOfVessels, SettlesAnewAsIfItHadBeenSolved) {
  const SharedDirectory directory(MPI_COMM_WORLD);
  const auto with = joined({lively, lattice});
  const auto first = patient_of(MPI_COMM_WORLD, with), second = patient_of(MPI_COMM_WORLD, with);
  first->establish_baseline();
  save(MPI_COMM_WORLD, directory.path(), *first);
  restore(MPI_COMM_WORLD, directory.path(), *second);
  const double before = first->findings().outcome.at("collapsed_fraction").get<double>();
  for (Patient* p : {first.get(), second.get()}) {
    p->set_solid_stress({.tumour = 30 * mmhg});
    p->establish_baseline();
  }
  expect_same_state(*first, *second);
  expect_same_findings(*first, *second);
  const double after = first->findings().outcome.at("collapsed_fraction").get<double>();
  EXPECT_GT(before, after);
  EXPECT_GT(after, 0);
}

INSTANTIATE_TEST_SUITE_P(Patients, Baseline, ::testing::ValuesIn(cases),
                         [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace sanctuary
