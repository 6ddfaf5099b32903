#include <gtest/gtest.h>
#include <mpi.h>

#include <cmath>

#include "patient/parameters.hpp"
#include "patient/patient.hpp"
#include "support/small_patient.hpp"

namespace sanctuary {
namespace {

const std::string deck_text = std::string(small_nodule) + small_dose;

/// Blocks of unequal size, and a drug that binds.
const std::vector<Override> changes{{"grid.cells", "12, 11, 10"},
                                    {"tumour.radius", "130 um"},
                                    {"network.lattice.core_radius", "90 um"},
                                    {"drug.doxorubicin.emax", "1 1/h"},
                                    {"drug.doxorubicin.binding_sites", "1 uM"},
                                    {"drug.doxorubicin.binding_on_rate", "0.01 1/(uM s)"},
                                    {"drug.doxorubicin.binding_off_rate", "1e-3 1/s"}};

struct Result {
  nlohmann::json outcome;
  Columns series;
  std::vector<double> time;
};

Result run(MPI_Comm comm, const std::string& text = deck_text, const std::vector<Override>& with = changes) {
  Patient patient(comm, patient_settings(Deck::from_text(text, ".", with, program_catalogue())));
  patient.establish_baseline();
  while (!patient.finished()) patient.advance();
  patient.check_balance();
  return {patient.findings().outcome, patient.series(), patient.series_time()};
}

/// Names that are counts of work or sizes of rounding, not findings.
bool incidental(const std::string& name) {
  return name == "steps" || name == "step" || name == "steps_rejected" || name == "undershoot" ||
         name == "worst_balance_error_over_allowed";
}

/// Every continuous outcome and series agrees.
void expect_same(const Result& together, const Result& alone) {
  int compared = 0;
  ASSERT_EQ(together.outcome.size(), alone.outcome.size());
  for (const auto& [name, value] : alone.outcome.items()) {
    if (!value.is_number() || incidental(name)) continue;
    const double expected = value.get<double>();
    EXPECT_NEAR(together.outcome.at(name).get<double>(), expected, 1e-8 * std::abs(expected) + 1e-14) << name;
    ++compared;
  }
  EXPECT_GT(compared, 30);

  ASSERT_EQ(together.time.size(), alone.time.size());
  for (std::size_t i = 0; i < alone.time.size(); ++i)
    EXPECT_NEAR(together.time[i], alone.time[i], 1e-6 + 1e-8 * alone.time[i]);
  for (const auto& [name, column] : alone.series) {
    if (incidental(name)) continue;  // the length of steps is the control's own
    double size = 0;
    for (const double v : column.values) size = std::max(size, std::isnan(v) ? 0.0 : std::abs(v));
    const auto& other = together.series.at(name).values;
    for (std::size_t i = 0; i < column.values.size(); ++i) {
      if (std::isnan(other[i]) && std::isnan(column.values[i])) continue;  // no half distance
      EXPECT_NEAR(other[i], column.values[i], 1e-8 * size) << name << " at " << alone.time[i] << " s";
    }
  }
}

TEST(PatientOnRanks, FindsWhatOneRankFinds) {
  const Result together = run(MPI_COMM_WORLD), alone = run(MPI_COMM_SELF);
  EXPECT_GT(alone.outcome.at("doxorubicin_auc_umol_h_L_mean").get<double>(), 0);
  expect_same(together, alone);
}

TEST(PatientOnRanks, FindsTheSameOfAConjugateItsPayloadAndTwoClones) {
  const std::string text = std::string("include = ") + SANCTUARY_SOURCE_DIR + "/decks/drugs/t_dm1.ini\n" + small_nodule;
  const std::vector<Override> with{
      {"grid.cells", "12, 11, 10"},       {"tumour.radius", "130 um"},  {"network.lattice.core_radius", "90 um"},
      {"patient.duration", "8 h"},        {"patient.cycle", "4 h"},     {"tumour.resistant_share", "0.1"},
      {"drug.dm1.resistance_fold", "10"}, {"drug.dm1.emax", "0.5 1/h"}, {"drug.dm1.assay_duration", "10 h"}};
  const Result together = run(MPI_COMM_WORLD, text, with), alone = run(MPI_COMM_SELF, text, with);
  EXPECT_GT(alone.outcome.at("dm1_auc_cells_umol_h_L_mean").get<double>(), 0);
  EXPECT_GT(alone.outcome.at("log_kill").get<double>(), 0.01);
  expect_same(together, alone);
}

TEST(PatientOnRanks, FindsTheSameFindingsOnEveryRank) {
  const Result r = run(MPI_COMM_WORLD);
  for (const auto& [name, value] : r.outcome.items()) {
    if (!value.is_number()) continue;
    std::array<double, 2> range{value.get<double>(), -value.get<double>()};
    MPI_Allreduce(MPI_IN_PLACE, range.data(), 2, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    EXPECT_EQ(range[0], -range[1]) << name;
  }
}

}  // namespace
}  // namespace sanctuary
