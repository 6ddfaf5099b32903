#include "io/atomic_file.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

namespace sanctuary {
namespace {

namespace fs = std::filesystem;

// As in a cohort, whose coordinator removes folders that a patient left empty while the next patient makes its own.
TEST(AtomicFile, MakesADirectoryWhileItsEmptyParentsAreRemoved) {
  const fs::path root = fs::temp_directory_path() / ("atomic_file_test_" + std::to_string(::getpid()));
  std::atomic<bool> over = false;
  std::thread tidy([&] {
    std::error_code ignored;
    while (!over) {
      fs::remove(root / "work/0", ignored);
      fs::remove(root / "work", ignored);
    }
  });
  int failed = 0;
  for (int i = 0; i < 500; ++i) {
    const fs::path patient = root / "work/0" / std::to_string(i);
    try {
      make_directory(patient / "baseline/checkpoints");
    } catch (const std::exception&) {
      ++failed;
    }
    fs::remove_all(patient);
  }
  over = true;
  tidy.join();
  fs::remove_all(root);
  EXPECT_EQ(failed, 0);
}

}  // namespace
}  // namespace sanctuary
