#include <gtest/gtest.h>
#include <mpi.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "patient/baseline_key.hpp"
#include "patient/parameters.hpp"
#include "patient/simulate.hpp"
#include "support/shared_directory.hpp"
#include "support/small_patient.hpp"

namespace fs = std::filesystem;

namespace sanctuary {
namespace {

Deck deck_of(std::vector<Override> with = {}, const std::string& drugs = small_dose) {
  with.insert(with.end(), {{"transport.relative_tolerance", "0.05"}, {"transport.first_step", "30 s"}});
  return Deck::from_text(std::string(small_nodule) + drugs, ".", with, program_catalogue());
}

struct Found {
  nlohmann::json outcome, timing;
  int calls = 0;
  [[nodiscard]] bool solved_baseline() const { return timing.contains("flow and pressure_s"); }
};

RunOptions options_of(const fs::path& directory, Found& found) {
  RunOptions options;
  options.directory = directory;
  options.files = false;
  options.finished = [&](const Patient& patient, const Patient::Findings& findings) {
    ++found.calls;
    found.outcome = findings.outcome;
    found.timing = findings.summary.at("timing");
    EXPECT_EQ(patient.findings().outcome.dump(), findings.outcome.dump());
  };
  return options;
}

Found run(MPI_Comm comm, const Deck& deck, const fs::path& directory, const fs::path& baseline = {}) {
  Found found;
  RunOptions options = options_of(directory, found);
  options.baseline = baseline;
  EXPECT_EQ(simulate(comm, deck, options), ExitCode::done);
  EXPECT_EQ(found.calls, 1);
  return found;
}

Found prepare(MPI_Comm comm, const Deck& deck, const fs::path& directory) {
  Found found;
  EXPECT_EQ(prepare_baseline(comm, deck, options_of(directory, found)), ExitCode::done);
  EXPECT_EQ(found.calls, 1);
  return found;
}

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no InputError";
}

TEST(Arms, BranchFromOneBaselineAndLeaveNothingBehind) {
  const SharedDirectory place(MPI_COMM_WORLD);
  const Deck weak = deck_of({{"drug.doxorubicin.emax", "0.03 1/h"}}),
             strong = deck_of({{"drug.doxorubicin.emax", "1 1/h"}}), none = deck_of({}, "");
  const Found before = prepare(MPI_COMM_WORLD, weak, place.path() / "shared");
  EXPECT_TRUE(before.solved_baseline());
  EXPECT_GT(before.outcome.at("tumour_volume_mm3").get<double>(), 0.01);
  EXPECT_EQ(before.outcome.at("time_h").get<double>(), 0);
  for (const char* name : {"perfused_fraction", "interstitial_pressure_mean_mmHg", "hypoxic_fraction", "viable_cells"})
    EXPECT_TRUE(std::isfinite(before.outcome.at(name).get<double>())) << name;
  EXPECT_FALSE(before.outcome.contains("log_kill"));

  const Found again = prepare(MPI_COMM_WORLD, strong, place.path() / "shared");
  EXPECT_FALSE(again.solved_baseline());
  EXPECT_EQ(again.outcome.dump(), before.outcome.dump());
  for (const Deck* deck : {&weak, &strong, &none}) {
    const Found branched = run(MPI_COMM_WORLD, *deck, place.path() / "arm", place.path() / "shared"),
                alone = run(MPI_COMM_WORLD, *deck, place.path() / "arm");
    EXPECT_FALSE(branched.solved_baseline());
    EXPECT_TRUE(alone.solved_baseline());
    EXPECT_EQ(branched.outcome.dump(), alone.outcome.dump());
    EXPECT_FALSE(fs::exists(place.path() / "arm"));
    Patient patient(MPI_COMM_WORLD, patient_settings(*deck));
    patient.establish_baseline();
    while (!patient.finished()) patient.advance();
    EXPECT_EQ(branched.outcome.dump(), patient.findings().outcome.dump());
  }
  EXPECT_TRUE(fs::exists(place.path() / "shared/checkpoints/baseline.h5"));
  // In the folder of the baseline itself: that is not the run's to remove.
  (void)run(MPI_COMM_WORLD, strong, place.path() / "shared", place.path() / "shared");
  EXPECT_TRUE(fs::exists(place.path() / "shared/checkpoints/baseline.h5"));
}

TEST(Arms, RefuseTheBaselineOfAnotherPatient) {
  const SharedDirectory place(MPI_COMM_WORLD);
  (void)prepare(MPI_COMM_WORLD, deck_of(), place.path() / "shared");
  Found found;
  RunOptions options = options_of(place.path() / "arm", found);
  options.baseline = place.path() / "shared";
  const auto refused = [&](const std::vector<Override>& with) {
    return error_of([&] { (void)simulate(MPI_COMM_WORLD, deck_of(with), options); });
  };
  const std::string two = refused({{"oxygen.use.tumour", "1e-3 1/s"}, {"network.lattice.seed", "4"}});
  EXPECT_TRUE(has(two, "network.lattice.seed (there: 3), oxygen.use.tumour (")) << two;
  EXPECT_FALSE(has(two, "more") || has(two, "transport")) << two;
  const std::string grid = refused({{"grid.cells", "11"}});
  EXPECT_TRUE(has(grid, "grid.cells (there: 12)")) << grid;
  const std::string seed = error_of([&] {
    (void)prepare_baseline(MPI_COMM_WORLD, deck_of({{"patient.seed", "9"}}), options_of(options.baseline, found));
  });
  EXPECT_TRUE(has(seed, "patient.seed")) << seed;
  options.baseline = place.path() / "nothing";
  const std::string nothing = refused({});
  EXPECT_TRUE(has(nothing, "holds no baseline")) << nothing;
  EXPECT_EQ(found.calls, 0);
  EXPECT_FALSE(fs::exists(place.path() / "arm"));
}

TEST(Arms, ComputeADamagedBaselineAgain) {
  const SharedDirectory place(MPI_COMM_WORLD);
  const fs::path file = place.path() / "shared/checkpoints/baseline.h5";
  (void)prepare(MPI_COMM_WORLD, deck_of(), place.path() / "shared");
  on_root(MPI_COMM_WORLD, [&] { fs::resize_file(file, fs::file_size(file) - 100); });
  EXPECT_TRUE(run(MPI_COMM_WORLD, deck_of(), place.path() / "arm", place.path() / "shared").solved_baseline());
  EXPECT_TRUE(prepare(MPI_COMM_WORLD, deck_of(), place.path() / "shared").solved_baseline());
  EXPECT_FALSE(run(MPI_COMM_WORLD, deck_of(), place.path() / "arm", place.path() / "shared").solved_baseline());
}

TEST(Arms, GoOnAfterAStopWithoutSolvingTheBaselineAgain) {
  const SharedDirectory place(MPI_COMM_WORLD);
  const Deck deck = deck_of();
  (void)prepare(MPI_COMM_WORLD, deck, place.path() / "shared");
  const Found whole = run(MPI_COMM_WORLD, deck, place.path() / "arm");
  for (const fs::path& baseline : {fs::path{}, place.path() / "shared"}) {
    Found found;
    RunOptions options = options_of(place.path() / "arm", found);
    options.baseline = baseline;
    long first = 0;
    options.after_step = [&](Patient& patient) {
      if (first == 0) first = patient.steps();
      EXPECT_FALSE(fs::exists(place.path() / "arm"));  // nothing is due
    };
    int left = 5;
    options.stop_requested = [&] { return rank_of(MPI_COMM_WORLD) == 0 && --left == 0; };
    EXPECT_EQ(simulate(MPI_COMM_WORLD, deck, options), ExitCode::stopped);
    EXPECT_EQ(found.calls, 0);
    EXPECT_EQ(first, 1);
    EXPECT_TRUE(fs::exists(place.path() / "arm/checkpoints/checkpoint_000000.h5"));
    EXPECT_EQ(fs::exists(place.path() / "arm/checkpoints/baseline.h5"), baseline.empty());
    MPI_Barrier(MPI_COMM_WORLD);
    first = 0;
    options.after_step = [&](Patient& patient) {
      if (first == 0) first = patient.steps();
    };
    options.stop_requested = nullptr;
    EXPECT_EQ(simulate(MPI_COMM_WORLD, deck, options), ExitCode::done);
    EXPECT_EQ(first, 6);
    EXPECT_EQ(found.calls, 1);
    EXPECT_FALSE(found.solved_baseline());
    EXPECT_FALSE(fs::exists(place.path() / "arm"));
    for (const auto& [name, value] : whole.outcome.items()) {
      if (!value.is_number()) continue;
      const double expected = value.get<double>();
      EXPECT_NEAR(found.outcome.at(name).get<double>(), expected, 1e-8 * std::abs(expected) + 1e-9) << name;
    }
  }
}

TEST(Arms, KeepCheckpointsByTheClock) {
  const SharedDirectory place(MPI_COMM_WORLD);
  const auto most = [&](const char* interval) {
    Found found;
    RunOptions options = options_of(place.path() / "arm", found);
    std::size_t count = 0;
    options.after_step = [&](Patient&) {
      MPI_Barrier(MPI_COMM_WORLD);
      std::error_code none;
      std::size_t now = 0;
      for (fs::directory_iterator entry(place.path() / "arm/checkpoints", none), end; !none && entry != end;
           entry.increment(none))
        ++now;
      count = std::max(count, now);
      MPI_Barrier(MPI_COMM_WORLD);
    };
    const Deck deck = deck_of({{"output.checkpoint_interval", interval}, {"output.times", "0, 0.1, 0.2, 0.3 h"}});
    EXPECT_EQ(simulate(MPI_COMM_WORLD, deck, options), ExitCode::done);
    return count;
  };
  EXPECT_EQ(most("1e-6 s"), 3U);  // two and the baseline
  EXPECT_EQ(most("1e6 s"), 0U);
  EXPECT_EQ(most("0 s"), 0U);
}

TEST(Arms, RefuseTheDirectoryOfAnOrdinaryRun) {
  const SharedDirectory place(MPI_COMM_WORLD);
  Found found;
  RunOptions options = options_of(place.path() / "run", found);
  options.files = true;
  EXPECT_EQ(simulate(MPI_COMM_WORLD, deck_of(), options), ExitCode::done);
  EXPECT_EQ(found.calls, 1);
  EXPECT_TRUE(fs::exists(place.path() / "run/checkpoints/baseline.h5"));
  options.files = false;
  const std::string text = error_of([&] { (void)simulate(MPI_COMM_WORLD, deck_of(), options); });
  EXPECT_TRUE(has(text, "holds the files of a run")) << text;
  // Its baseline serves others, which then need none of their own.
  EXPECT_FALSE(run(MPI_COMM_WORLD, deck_of(), place.path() / "arm", place.path() / "run").solved_baseline());
  options = options_of(place.path() / "branch", found);
  options.files = true;
  options.baseline = place.path() / "run";
  EXPECT_EQ(simulate(MPI_COMM_WORLD, deck_of(), options), ExitCode::done);
  EXPECT_FALSE(found.solved_baseline());
  EXPECT_TRUE(fs::exists(place.path() / "branch/summary.json"));
  EXPECT_TRUE(fs::exists(place.path() / "branch/checkpoints/checkpoint_000000.h5"));
  EXPECT_FALSE(fs::exists(place.path() / "branch/checkpoints/baseline.h5"));
}

TEST(Arms, WorkSideBySideOnPartsOfTheCommunicator) {
  const SharedDirectory place(MPI_COMM_WORLD);
  const int rank = rank_of(MPI_COMM_WORLD), group = rank % 2;
  MPI_Comm part = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, group, rank, &part);
  const fs::path mine = place.path() / std::to_string(group);
  // Of unequal length: who asked anything of the other group would hang.
  for (int patient = 0; patient < (group == 0 ? 1 : 3); ++patient) {
    const std::vector<Override> seed{{"network.lattice.seed", std::to_string(3 + group + 2 * patient)}};
    const fs::path shared = mine / std::to_string(patient);
    const Found before = prepare(part, deck_of(seed), shared);
    const Found arm = run(part, deck_of(seed), mine / "arm", shared);
    EXPECT_FALSE(arm.solved_baseline());
    EXPECT_EQ(arm.outcome.at("interstitial_pressure_mean_mmHg"), before.outcome.at("interstitial_pressure_mean_mmHg"));
  }
  MPI_Comm_free(&part);
}

/// Memory in use by this process [bytes].
double resident() {
  std::ifstream file("/proc/self/statm");
  double pages = 0;
  file >> pages >> pages;
  return pages * 4096;
}

/// The place that the next communicator takes in MPI's table: grows as communicators are lost.
int next_communicator() {
  MPI_Comm copy = MPI_COMM_NULL;
  MPI_Comm_dup(MPI_COMM_SELF, &copy);
  const int place = MPI_Comm_c2f(copy);
  MPI_Comm_free(&copy);
  return place;
}

TEST(Arms, EightyPatientsInOneProcessLeaveNoMemoryNorCommunicators) {
  if (size_of(MPI_COMM_WORLD) > 2) GTEST_SKIP() << "on one and two ranks";
  const std::vector<Override> tiny{{"grid.cells", "4"},
                                   {"grid.spacing", "90 um"},
                                   {"network.lattice.segments", "60"},
                                   {"patient.duration", "0.02 h"}};
  const SharedDirectory place(MPI_COMM_WORLD);
  MPI_Comm part = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, 0, rank_of(MPI_COMM_WORLD), &part);
  const Deck deck = deck_of(tiny);
  // PETSc keeps a communicator of its own for each that objects stand on, until the last of them is gone.
  const int communicator = next_communicator();
  (void)prepare(part, deck, place.path() / "shared");
  const auto treat = [&](int patients) {
    for (int i = 0; i < patients; ++i) (void)run(part, deck, place.path() / "arm", place.path() / "shared");
  };
  treat(20);
  const double before = resident();
  treat(60);
  EXPECT_EQ(next_communicator(), communicator);
  EXPECT_LT(max_over(MPI_COMM_WORLD, resident() - before), 2e6);
  MPI_Comm_free(&part);
}

}  // namespace
}  // namespace sanctuary
