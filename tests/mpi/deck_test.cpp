#include "base/deck.hpp"

#include <gtest/gtest.h>
#include <mpi.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/comm.hpp"
#include "base/error.hpp"

namespace sanctuary {
namespace {

constexpr Parameter spacing{.key = "grid.spacing", .unit = "um", .value = 20, .range = {1, 1000}};
constexpr Parameter seed{.key = "run.seed", .kind = Kind::integer, .value = 1, .range = {0, 1e18}};
constexpr Parameter file{.key = "network.file", .kind = Kind::path};
const Catalogue catalogue{&spacing, &seed, &file};

/// A folder that rank 0 makes and removes, with a deck and a base that has a fault if asked.
class MpiDeck : public testing::Test {
 protected:
  void SetUp() override {
    const std::string name = broadcast(
        MPI_COMM_WORLD,
        (std::filesystem::temp_directory_path() / ("sanctuary_mpi_deck_" + std::to_string(getpid()))).string());
    folder_ = name;
    on_root(MPI_COMM_WORLD, [&] { std::filesystem::create_directories(folder_); });
  }
  void TearDown() override {
    on_root(MPI_COMM_WORLD, [&] { std::filesystem::remove_all(folder_); });
  }
  void write(const std::string& name, const std::string& text) const {
    on_root(MPI_COMM_WORLD, [&] { std::ofstream(folder_ / name) << text; });
  }
  std::filesystem::path folder_;
};

TEST_F(MpiDeck, AllRanksHoldTheSameDeck) {
  write("base.ini", "[run]\nseed = 42\n");
  write("a.ini", "include = base.ini\n[grid]\nspacing = 7 um\n");
  const Deck deck =
      read_deck(MPI_COMM_WORLD, folder_ / "a.ini", {{"grid.spacing", "8 um"}, {"network.file", "a.dat"}}, catalogue);
  EXPECT_DOUBLE_EQ(deck.number(spacing), 8e-6);
  EXPECT_EQ(deck.integer(seed), 42);
  EXPECT_EQ(deck.path(file), std::filesystem::current_path() / "a.dat");
  EXPECT_EQ(deck.original(), "include = base.ini\n[grid]\nspacing = 7 um\n");
  EXPECT_EQ(deck.where(seed), (folder_ / "base.ini").string() + ":2: run.seed");
}

TEST_F(MpiDeck, AllRanksThrowTheSameError) {
  write("base.ini", "[run]\nsede = 42\n");
  write("a.ini", "include = base.ini\ninclude = gone.ini\n[grid]\nspacing = 7\n");
  std::string message;
  try {
    (void)read_deck(MPI_COMM_WORLD, folder_ / "a.ini", {}, catalogue);
  } catch (const InputError& error) {
    message = error.what();
  }
  EXPECT_NE(message.find("3 faults"), std::string::npos) << message;
  EXPECT_NE(message.find("base.ini:2: run.sede: unknown key"), std::string::npos) << message;
  EXPECT_NE(message.find("a.ini:2: include: cannot read"), std::string::npos) << message;
  EXPECT_EQ(message, broadcast(MPI_COMM_WORLD, message));
}

TEST_F(MpiDeck, AMissingDeckIsAnErrorEverywhere) {
  EXPECT_THROW((void)read_deck(MPI_COMM_WORLD, folder_ / "gone.ini", {}, catalogue), InputError);
}

}  // namespace
}  // namespace sanctuary
