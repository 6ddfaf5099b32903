#include <fmt/format.h>
#include <gtest/gtest.h>
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <thread>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "io/atomic_file.hpp"
#include "io/boxes.hpp"
#include "io/checkpoint.hpp"
#include "io/hdf5.hpp"
#include "io/run_file.hpp"

namespace fs = std::filesystem;
using namespace sanctuary;

namespace {

const GridLayout grid{{1e-3, -2e-3, 5e-4}, {2e-5, 3e-5, 4e-5}, {7, 5, 6}};

/// A box of each rank: split along x for 2 ranks, z for 3, x and y for 4.
LocalBox box_of(MPI_Comm comm, const GridLayout& whole) {
  const int ranks = size_of(comm), rank = rank_of(comm);
  const std::array<long, 3> parts = ranks == 2   ? std::array<long, 3>{2, 1, 1}
                                    : ranks == 4 ? std::array<long, 3>{2, 2, 1}
                                                 : std::array<long, 3>{1, 1, ranks};
  const std::array<long, 3> mine{rank % parts[0], rank / parts[0] % parts[1], rank / (parts[0] * parts[1])};
  LocalBox box;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    box.start[axis] = whole.cells[axis] * mine[axis] / parts[axis];
    box.size[axis] = whole.cells[axis] * (mine[axis] + 1) / parts[axis] - box.start[axis];
  }
  return box;
}

/// A value that says which cell it belongs to and needs all bits of a double.
double value_at(long x, long y, long z, double shift) {
  return std::sin(static_cast<double>(x + 10 * y + 100 * z) + shift) * 1e5;
}

std::vector<double> values_of(const LocalBox& box, double shift) {
  std::vector<double> values;
  for (long z = 0; z < box.size[2]; ++z)
    for (long y = 0; y < box.size[1]; ++y)
      for (long x = 0; x < box.size[0]; ++x)
        values.push_back(value_at(box.start[0] + x, box.start[1] + y, box.start[2] + z, shift));
  return values;
}

std::vector<double> whole_field(double shift) { return values_of({{0, 0, 0}, grid.cells}, shift); }

std::vector<double> as_single(std::vector<double> values) {
  for (double& value : values) value = static_cast<float>(value);
  return values;
}

NetworkLayout three_nodes() {
  return {.nodes = {{1e-3, -2e-3, 5e-4}, {1.1e-3, -1.9e-3, 6e-4}, {1.12e-3, -1.9e-3, 7e-4}},
          .node_ids = {10, 20, 30},
          .segments = {{0, 1}, {1, 2}},
          .segment_ids = {7, 8},
          .radius = {5e-6, 4e-6},
          .length = {1.7e-4, 1.02e-4},
          .born = {0, 3600},
          .died = {}};
}

RunRecord record() {
  return {.original_deck = "[grid]\ncells = 7\n",
          .resolved_deck = "[grid]\ncells = 7\nspacing = 20 um\n",
          .command = "sanctuary simulate a.ini",
          .program_version = "0.1.0",
          .git_hash = "abc",
          .seed = 42,
          .parameters = {{"grid.spacing", "20", "um", "choice", true},
                         {"grid.origin", "1e-3, -2, 0.5", "mm", "choice", false},
                         {"drug.doxorubicin.model", "two_compartment", "1", "choice", false}}};
}

/// A directory that all ranks know and that goes away with the test.
class Directory {
 public:
  explicit Directory(MPI_Comm comm) : comm_(comm) {
    std::string name = (fs::temp_directory_path() / "sanctuary-run-XXXXXX").string();
    if (rank_of(comm) == 0 && mkdtemp(name.data()) == nullptr) name = "/nonexistent";
    path_ = broadcast(comm, name);
  }
  ~Directory() {
    MPI_Barrier(comm_);
    std::error_code ignored;
    if (rank_of(comm_) == 0) fs::remove_all(path_, ignored);
  }
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  MPI_Comm comm_;
  fs::path path_;
};

void write_one_time(RunWriter& run, const LocalBox& box, double seconds) {
  const auto pressure = values_of(box, seconds), oxygen = values_of(box, seconds + 0.5);
  const std::vector<double> flow{seconds + 1, seconds + 2}, node_pressure{seconds, 2 * seconds, 3 * seconds};
  const std::array fields{FieldOutput{"interstitial_pressure", "Pa", "interstitial pressure", pressure},
                          FieldOutput{"oxygen_pressure", "mmHg", "oxygen partial pressure", oxygen, true}};
  const std::array network{NetworkOutput{"flow", "m3 s-1", false, flow},
                           NetworkOutput{"pressure", "Pa", true, node_pressure}};
  run.write_time(seconds, fields, network);
}

bool any_temporary(const fs::path& directory) {
  for (const auto& entry : fs::recursive_directory_iterator(directory))
    if (entry.path().extension() == ".tmp") return true;
  return false;
}

class RunFile : public ::testing::Test {
 protected:
  MPI_Comm comm = MPI_COMM_WORLD;
  bool root = rank_of(MPI_COMM_WORLD) == 0;
  LocalBox box = box_of(MPI_COMM_WORLD, grid);
  Directory directory{MPI_COMM_WORLD};
};

}  // namespace

TEST(Boxes, FailureOnRootReachesAllRanksAndLeavesNoMessageBehind) {
  MPI_Comm comm = MPI_COMM_WORLD;
  const LocalBox box = box_of(comm, grid);
  const auto boxes = gather_boxes(comm, grid, box);
  const auto first = values_of(box, 1), second = values_of(box, 2);
  const auto fail = [](const LocalBox&, const double*) { throw IoError("no room"); };
  EXPECT_THROW(collect_boxes(comm, boxes, std::span<const double>(first), fail), IoError);
  double worst = 0;
  collect_boxes(comm, boxes, std::span<const double>(second), [&](const LocalBox& part, const double* values) {
    const auto expected = values_of(part, 2);
    for (std::size_t cell = 0; cell < expected.size(); ++cell)
      worst = std::max(worst, std::abs(values[cell] - expected[cell]));
  });
  EXPECT_EQ(worst, 0);

  std::vector<double> read(box.cells());
  EXPECT_THROW(distribute_boxes(comm, boxes, read, [](const LocalBox&, double*) { throw IoError("unreadable"); }),
               IoError);
  distribute_boxes(comm, boxes, read, [](const LocalBox& part, double* values) {
    const auto expected = values_of(part, 3);
    std::copy(expected.begin(), expected.end(), values);
  });
  EXPECT_EQ(read, values_of(box, 3));
}

TEST_F(RunFile, ShowsAllTimesAsOne) {
  const char* keep = std::getenv("SANCTUARY_SAMPLE_RUN");
  const fs::path path = keep != nullptr ? fs::path(keep) : directory.path() / "run";
  RunWriter run(comm, path, record(), grid, box, three_nodes());
  if (root) {
    EXPECT_EQ(Hdf5Reader(path / "run.h5").number_attribute("/", "complete"), 0);
  }
  const auto tissue = values_of(box, 100);
  run.write_constant(std::array{FieldOutput{"tissue", "1", "0 host, 1 tumour", tissue}});
  for (const double seconds : {-3600.0, 0.0, 7200.0}) write_one_time(run, box, seconds);
  run.set_series({0, 60, 120}, {{"volume", {"mm3", {1, 2, 3}}}});
  EXPECT_EQ(run.times(), (std::vector<double>{-3600, 0, 7200}));

  const auto label = values_of(box, 7);
  const std::array groups{
      GroupOutput{.path = "/sanctuary/doxorubicin",
                  .fields = {FieldOutput{"label", "1", "sanctuary label", label}},
                  .columns = {{"histogram_dose", {"umol h/L", {0, 1, 2}}}},
                  .attributes = {{"theta", 0.5}, {"theta_relative", true}, {"cause", "delivery"}, {"cells", 12}}},
      GroupOutput{.path = "/balance/doxorubicin", .fields = {}, .columns = {{"in", {"mol", {1e-9}}}}}};
  run.finish({{"s1_share", 0.25}, {"note", nullptr}}, groups, {{"timing", {{"total", 1.5}}}});
  MPI_Barrier(comm);
  if (!root) return;

  const Hdf5Reader file(path / "run.h5");
  EXPECT_EQ(file.number_attribute("/", "complete"), 1);
  EXPECT_EQ(file.number_attribute("/", "seed"), 42);
  EXPECT_EQ(file.number_attribute("/", "ranks"), size_of(comm));
  EXPECT_EQ(file.text_attribute("/", "deck"), record().original_deck);
  EXPECT_EQ(file.numbers("/time"), (std::vector<double>{-3600, 0, 7200}));
  EXPECT_EQ(file.numbers("/parameters/grid.spacing"), std::vector<double>{20});
  EXPECT_EQ(file.numbers("/parameters/grid.origin"), (std::vector<double>{1e-3, -2, 0.5}));
  EXPECT_EQ(file.text("/parameters/drug.doxorubicin.model"), "two_compartment");
  EXPECT_EQ(file.extent("/fields/oxygen_pressure"), (Extent{3, 6, 5, 7}));

  std::vector<double> pressure, oxygen, constant;
  for (const double seconds : {-3600.0, 0.0, 7200.0}) {
    for (const double value : as_single(whole_field(seconds))) pressure.push_back(value);
    for (const double value : whole_field(seconds + 0.5)) oxygen.push_back(value);
    for (const double value : as_single(whole_field(100))) constant.push_back(value);
  }
  EXPECT_EQ(file.stored("/fields/interstitial_pressure"), Stored::float32);
  EXPECT_EQ(file.numbers("/fields/interstitial_pressure"), pressure);
  EXPECT_EQ(file.numbers("/fields/oxygen_pressure"), oxygen);
  EXPECT_EQ(file.numbers("/fields/tissue"), constant);
  EXPECT_EQ(file.text_attribute("/fields/oxygen_pressure", "unit"), "mmHg");

  EXPECT_EQ(file.integers("/network/0/segments"), (std::vector<long>{0, 1, 1, 2}));
  EXPECT_EQ(file.integers("/network/0/node_ids"), (std::vector<long>{10, 20, 30}));
  EXPECT_EQ(file.numbers("/network/0/radius"), (std::vector<double>{5e-6, 4e-6}));
  EXPECT_EQ(file.numbers("/network/0/flow"), (std::vector<double>{-3599, -3598, 1, 2, 7201, 7202}));
  EXPECT_EQ(file.text_attribute("/network/0/pressure", "on"), "nodes");
  EXPECT_EQ(file.extent("/network/0/pressure"), (Extent{3, 3}));
  EXPECT_TRUE(std::isnan(file.numbers("/network/0/died").front()));

  EXPECT_EQ(file.numbers("/series/volume"), (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(file.numbers("/sanctuary/doxorubicin/label"), as_single(whole_field(7)));
  EXPECT_EQ(file.number_attribute("/sanctuary/doxorubicin", "theta"), 0.5);
  EXPECT_EQ(file.number_attribute("/outcome", "s1_share"), 0.25);
  EXPECT_TRUE(std::isnan(file.number_attribute("/outcome", "note")));
  const auto summary = nlohmann::json::parse(read_text(path / "summary.json"));
  EXPECT_EQ(summary["outcome"]["s1_share"], 0.25);
  EXPECT_EQ(read_text(path / "deck.ini"), record().resolved_deck);
  EXPECT_EQ(run_state(path), RunState::finished);
  EXPECT_FALSE(any_temporary(path));
}

TEST_F(RunFile, CanBeMoved) {
  {
    RunWriter run(comm, directory.path() / "before", record(), grid, box, three_nodes());
    write_one_time(run, box, 1);
  }
  if (!root) return;
  fs::rename(directory.path() / "before", directory.path() / "after");
  const Hdf5Reader file(directory.path() / "after/run.h5");
  EXPECT_EQ(file.numbers("/fields/oxygen_pressure"), whole_field(1.5));
}

TEST_F(RunFile, ReopensAtAnEarlierTime) {
  {
    RunWriter run(comm, directory.path(), record(), grid, box, three_nodes());
    const auto tissue = values_of(box, 100);
    run.write_constant(std::array{FieldOutput{"tissue", "1", "", tissue}});
    for (const double seconds : {1.0, 2.0, 3.0, 4.0}) write_one_time(run, box, seconds);
    run.finish({}, {}, {});
  }
  if (root) std::ofstream(directory.path() / "times/time_000004.h5.tmp") << "left by a killed run";
  MPI_Barrier(comm);
  auto run = RunWriter::reopen(comm, directory.path(), record(), grid, box, three_nodes(), 2.0);
  EXPECT_EQ(run.times(), (std::vector<double>{1, 2}));
  if (root) {
    EXPECT_EQ(run_state(directory.path()), RunState::unfinished);
    EXPECT_FALSE(fs::exists(directory.path() / "times/time_000002.h5"));
    EXPECT_FALSE(any_temporary(directory.path()));
    EXPECT_EQ(Hdf5Reader(directory.path() / "run.h5").numbers("/time"), (std::vector<double>{1, 2}));
  }
  MPI_Barrier(comm);
  EXPECT_THROW(write_one_time(run, box, 2.0), IoError);
  write_one_time(run, box, 2.5);
  if (!root) return;
  const Hdf5Reader file(directory.path() / "run.h5");
  EXPECT_EQ(file.numbers("/time"), (std::vector<double>{1, 2, 2.5}));
  std::vector<double> oxygen, tissue;
  for (const double seconds : {1.5, 2.5, 3.0}) {
    for (const double value : whole_field(seconds)) oxygen.push_back(value);
    for (const double value : as_single(whole_field(100))) tissue.push_back(value);
  }
  EXPECT_EQ(file.numbers("/fields/oxygen_pressure"), oxygen);
  EXPECT_EQ(file.numbers("/fields/tissue"), tissue);
}

TEST_F(RunFile, ReopensBeforeAllTimes) {
  { write_one_time(*std::make_unique<RunWriter>(comm, directory.path(), record(), grid, box, three_nodes()), box, -5); }
  MPI_Barrier(comm);
  for (const double never : {-1e300, -std::numeric_limits<double>::infinity()}) {
    auto run = RunWriter::reopen(comm, directory.path(), record(), grid, box, three_nodes(), never);
    EXPECT_TRUE(run.times().empty());
    write_one_time(run, box, 0);
    if (root) {
      EXPECT_EQ(Hdf5Reader(directory.path() / "run.h5").numbers("/time"), std::vector<double>{0});
    }
    MPI_Barrier(comm);
  }
}

TEST_F(RunFile, RefusesWhatDoesNotFitOnAllRanks) {
  const fs::path path = directory.path() / "run";
  {
    RunWriter run(comm, path, record(), grid, box, three_nodes());
    write_one_time(run, box, 1);
    auto values = values_of(box, 0);
    if (rank_of(comm) == size_of(comm) - 1) values.pop_back();
    EXPECT_THROW(run.write_time(2, std::array{FieldOutput{"p", "Pa", "", values}}), IoError);
    const std::vector<double> radius(2, 1.0);
    EXPECT_THROW(run.write_time(2, {}, std::array{NetworkOutput{"radius", "m", false, radius}}), IoError);
    const std::vector<double> wrong(5, 1.0);
    EXPECT_THROW(run.write_time(2, {}, std::array{NetworkOutput{"flow", "m", false, wrong}}), IoError);
    if (root) {
      EXPECT_FALSE(any_temporary(path));
    }
  }
  EXPECT_THROW(RunWriter(comm, path, record(), grid, box, three_nodes()), InputError);
  GridLayout other = grid;
  other.cells[1] += 1;
  EXPECT_THROW(RunWriter::reopen(comm, path, record(), other, box_of(comm, other), three_nodes(), 1), InputError);
  NetworkLayout fewer = three_nodes();
  fewer.nodes.pop_back();
  fewer.node_ids.pop_back();
  EXPECT_THROW(RunWriter::reopen(comm, path, record(), grid, box, fewer, 1), InputError);
  LocalBox hole = box;
  if (rank_of(comm) == size_of(comm) - 1) hole.size[2] -= 1;
  EXPECT_THROW(RunWriter(comm, directory.path() / "new", record(), grid, hole, three_nodes()), IoError);
  if (root) std::ofstream(directory.path() / "file") << "x";
  MPI_Barrier(comm);
  EXPECT_THROW(RunWriter(comm, directory.path() / "file/run", record(), grid, box, three_nodes()), IoError);
}

TEST_F(RunFile, WorksWithoutNetwork) {
  RunWriter run(comm, directory.path(), record(), grid, box, {});
  const auto values = values_of(box, 3);
  run.write_time(0, std::array{FieldOutput{"p", "Pa", "", values}});
  if (root) {
    EXPECT_EQ(Hdf5Reader(directory.path() / "run.h5").names("/network").size(), 0U);
  }
}

TEST_F(RunFile, EachCycleHasFieldsOfItsOwnInParaview) {
  const fs::path& path = directory.path();
  const auto values = values_of(box, 3);
  const auto write = [&](RunWriter& run, double seconds, long cycle) {
    FieldOutput kill{"kill", "1", "", values};
    kill.of_cycle = true;
    run.write_time(seconds, std::array{kill, FieldOutput{"p", "Pa", "", values}}, {}, cycle);
  };
  {
    RunWriter run(comm, path, record(), grid, box, {});
    write(run, 1, 1);
    write(run, 2, 1);
    if (root) {
      EXPECT_EQ(read_text(path / "run.xdmf").find("_cycle_"), std::string::npos);  // one needs no name
    }
    write(run, 3, 2);
  }
  auto run = RunWriter::reopen(comm, path, record(), grid, box, {}, 3.0);
  write(run, 4, 2);
  if (!root) return;
  EXPECT_EQ(Hdf5Reader(path / "run.h5").integers("/cycle"), (std::vector<long>{1, 1, 2, 2}));
  const std::string text = read_text(path / "run.xdmf");
  EXPECT_EQ(text.find("p_cycle"), std::string::npos);
  for (const auto& [name, end] :
       {std::pair{"kill_cycle_1", "times/time_000001.h5"}, {"kill_cycle_2", "times/time_000003.h5"}}) {
    int times = 0;
    for (std::size_t at = 0; (at = text.find(std::string("Name=\"") + name + '"', at)) != std::string::npos; ++times) {
      at = text.find("times/", at);
      EXPECT_EQ(text.substr(at, std::string(end).size()), end) << name;
    }
    EXPECT_EQ(times, 4) << name;
  }
}

TEST_F(RunFile, FullDiskIsAnErrorOnAllRanksAndHarmsNothing) {
  const char* small = std::getenv("SANCTUARY_SMALL_DISK");
  if (small == nullptr) GTEST_SKIP() << "skipped: needs a small disk, run by tests/command/run_file_test.py";
  const GridLayout large{{0, 0, 0}, {1e-5, 1e-5, 1e-5}, {48, 48, 48}};
  const LocalBox mine = box_of(comm, large);
  const auto values = values_of(mine, 1);
  const fs::path disk(small), path = disk / "run";
  const std::array fields{FieldOutput{"p", "Pa", "", values}};
  const auto expected = as_single(values_of({{0, 0, 0}, large.cells}, 1));
  long failures = 0;
  const auto attempt = [&](const std::function<void()>& work) {
    const auto begin = std::chrono::steady_clock::now();
    bool failed = false;
    try {
      work();
    } catch (const IoError& error) {
      failed = true;
      for (const std::string part : {"No space left on device", "free some space", small})
        EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
    EXPECT_LT(spent.count(), 10);
    EXPECT_EQ(sum_over(comm, failed ? 1 : 0), failed ? size_of(comm) : 0);
    failures += failed ? 1 : 0;
    return !failed;
  };
  // Leave less and less room, so that every stage of writing meets the full disk.
  for (long room = 2400; room >= 0; room -= 80) {
    RunWriter run(comm, path, record(), large, mine, three_nodes());
    run.write_time(0, fields);
    const Checkpoint checkpoint{.arrays = {{"a", std::vector<double>(10000, 1.0)}}};
    write_checkpoint(comm, path, large, mine, checkpoint);
    on_root(comm, [&] {
      const auto free = static_cast<long>(fs::space(disk).available / 1024);
      ASSERT_GT(free, room);
      std::ofstream(disk / "ballast") << std::string(static_cast<std::size_t>(free - room) * 1024, 'x');
    });
    attempt([&] { run.write_time(1, fields); });
    const bool saved = attempt([&] { write_checkpoint(comm, path, large, mine, checkpoint); });
    attempt([&] { run.write_time(2, fields); });
    attempt([&] { run.finish({}, {}, {}); });
    if (root) {
      EXPECT_FALSE(any_temporary(path));
      const auto shown = Hdf5Reader(path / "run.h5").numbers("/time");
      EXPECT_GE(shown.size(), 1U);
      for (std::size_t index = 0; index < run.times().size(); ++index)
        EXPECT_EQ(Hdf5Reader(path / fmt::format("times/time_{:06d}.h5", index)).numbers("/fields/p"), expected);
    }
    Checkpoint into;
    EXPECT_TRUE(read_latest_checkpoint(comm, path, large, mine, into));
    on_root(comm, [&] {
      EXPECT_EQ(fs::exists(path / "checkpoints/checkpoint_000001.h5"), saved);
      fs::remove(disk / "ballast");
    });
    run.write_time(3, fields);
    on_root(comm, [&] {
      EXPECT_EQ(Hdf5Reader(path / "run.h5").numbers("/time"), run.times());
      fs::remove_all(path);
    });
  }
  EXPECT_GT(failures, 20);
}

TEST_F(RunFile, WritesUntilKilled) {
  const char* path = std::getenv("SANCTUARY_KILLED_RUN");
  if (path == nullptr) GTEST_SKIP() << "skipped: never ends, run by tests/command/run_file_test.py";
  const GridLayout large{{0, 0, 0}, {1e-5, 1e-5, 1e-5}, {40, 40, 40}};
  const LocalBox mine = box_of(comm, large);
  auto run = RunWriter::reopen(comm, path, record(), large, mine, three_nodes(), 1e9);
  for (long step = static_cast<long>(run.times().size());; ++step) {
    std::vector<double> values(mine.cells(), static_cast<double>(step));
    run.write_time(static_cast<double>(step), std::array{FieldOutput{"p", "Pa", "", values}});
    write_checkpoint(comm, path, large, mine, {.fields = {{"p", values}}, .arrays = {}});
  }
}

namespace {

/// Text of random bits, as doubles that differ in their last bits.
std::vector<double> random_values(std::size_t count, unsigned seed) {
  std::mt19937_64 generator(seed);
  std::vector<double> values(count);
  for (double& value : values) value = std::ldexp(static_cast<double>(generator()), -70) - 1e-3;
  return values;
}

void damage(const fs::path& path, long at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(at);
  const char letter = static_cast<char>(file.get() ^ 1);
  file.seekp(at);
  file.put(letter);
}

class CheckpointFile : public RunFile {
 protected:
  void write(double shift) {
    auto values = values_of(box, shift), more = values_of(box, shift + 0.1);
    Checkpoint checkpoint{.fields = {{"oxygen", values}, {"drug", more}},
                          .arrays = {{"network", random_values(1000, static_cast<unsigned>(shift))},
                                     {"special", {-0.0, std::numeric_limits<double>::infinity(), 5e-324}},
                                     {"series/volume", {1, 2}},
                                     {"empty", {}}},
                          .state = {{"time", shift + 0.1}, {"step", 17}},
                          .deck_hash = "deck"};
    write_checkpoint(comm, directory.path(), grid, box, checkpoint);
  }
};

}  // namespace

TEST_F(CheckpointFile, ComesBackBitwiseOnAnyNumberOfRanks) {
  write(1);
  for (int ranks = 1; ranks <= size_of(comm); ++ranks) {
    MPI_Comm part = MPI_COMM_NULL;
    MPI_Comm_split(comm, rank_of(comm) < ranks ? 0 : MPI_UNDEFINED, 0, &part);
    if (part == MPI_COMM_NULL) continue;
    const LocalBox mine = box_of(part, grid);
    std::vector<double> oxygen(mine.cells()), drug(mine.cells());
    Checkpoint into{.fields = {{"drug", drug}, {"oxygen", oxygen}}, .arrays = {}, .state = {}, .deck_hash = "deck"};
    ASSERT_TRUE(read_latest_checkpoint(part, directory.path(), grid, mine, into));
    EXPECT_EQ(oxygen, values_of(mine, 1));
    EXPECT_EQ(drug, values_of(mine, 1 + 0.1));
    EXPECT_EQ(into.arrays.size(), 4U);
    EXPECT_EQ(into.arrays["series/volume"], (std::vector<double>{1, 2}));
    EXPECT_EQ(into.arrays["network"], random_values(1000, 1));
    EXPECT_TRUE(std::signbit(into.arrays["special"][0]));
    EXPECT_EQ(into.arrays["special"][2], 5e-324);
    EXPECT_EQ(into.state["time"].get<double>(), 1.1);
    MPI_Comm_free(&part);
  }
  MPI_Barrier(comm);
}

TEST_F(CheckpointFile, KeepsTheNewestTwo) {
  for (const double shift : {1.0, 2.0, 3.0, 4.0}) write(shift);
  if (root) {
    EXPECT_FALSE(fs::exists(directory.path() / "checkpoints/checkpoint_000001.h5"));
    EXPECT_TRUE(fs::exists(directory.path() / "checkpoints/checkpoint_000002.h5"));
  }
  Checkpoint into;
  ASSERT_TRUE(read_latest_checkpoint(comm, directory.path(), grid, box, into));
  EXPECT_EQ(into.state["time"].get<double>(), 4.1);
}

TEST_F(CheckpointFile, FallsBackFromADamagedOne) {
  write(1);
  write(2);
  const fs::path folder = directory.path() / "checkpoints";
  Checkpoint into;
  // A bit in the data, in the head, in the metadata.
  for (const long at : {6000L, 30L, 700L}) {
    if (root) damage(folder / "checkpoint_000001.h5", at);
    MPI_Barrier(comm);
    ASSERT_TRUE(read_latest_checkpoint(comm, directory.path(), grid, box, into));
    EXPECT_EQ(into.state["time"].get<double>(), 1.1);
    if (root) damage(folder / "checkpoint_000001.h5", at);
    MPI_Barrier(comm);
    ASSERT_TRUE(read_latest_checkpoint(comm, directory.path(), grid, box, into));
    EXPECT_EQ(into.state["time"].get<double>(), 2.1);
  }
  if (root) fs::resize_file(folder / "checkpoint_000001.h5", 4000);
  MPI_Barrier(comm);
  ASSERT_TRUE(read_latest_checkpoint(comm, directory.path(), grid, box, into));
  EXPECT_EQ(into.state["time"].get<double>(), 1.1);
  if (root) damage(folder / "checkpoint_000000.h5", 5000);
  MPI_Barrier(comm);
  EXPECT_FALSE(read_latest_checkpoint(comm, directory.path(), grid, box, into));
}

TEST_F(CheckpointFile, RefusesWhatDoesNotFitOnAllRanks) {
  Checkpoint into;
  EXPECT_FALSE(read_latest_checkpoint(comm, directory.path(), grid, box, into));
  write(1);
  into.deck_hash = "another";
  EXPECT_THROW((void)read_latest_checkpoint(comm, directory.path(), grid, box, into), InputError);
  into.deck_hash.clear();
  std::vector<double> values(box.cells());
  into.fields = {{"unheard_of", values}};
  EXPECT_THROW((void)read_latest_checkpoint(comm, directory.path(), grid, box, into), InputError);
  into.fields.clear();
  GridLayout other = grid;
  other.spacing[2] *= 2;
  EXPECT_THROW((void)read_latest_checkpoint(comm, directory.path(), other, box, into), InputError);
}
