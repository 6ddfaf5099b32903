#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cerrno>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "io/atomic_file.hpp"
#include "io/checkpoint.hpp"
#include "io/hdf5.hpp"
#include "io/xdmf.hpp"

namespace fs = std::filesystem;
using namespace sanctuary;

namespace {

class Files : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "sanctuary-files-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder = name;
  }
  void TearDown() override { fs::remove_all(folder); }

  [[nodiscard]] std::size_t file_count() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
  }

  fs::path folder;
};

/// While it lives, a write past `bytes` of any file fails with EFBIG, as a disk that fails half-way would.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const IoError& error) {
    return error.what();
  }
  return "nothing thrown";
}

}  // namespace

TEST_F(Files, TextIsReplacedWhole) {
  write_text_atomically(folder / "a.txt", "first");
  write_text_atomically(folder / "a.txt", "second\nline");
  EXPECT_EQ(read_text(folder / "a.txt"), "second\nline");
  write_text_atomically(folder / "a.txt", "");
  EXPECT_EQ(read_text(folder / "a.txt"), "");
  EXPECT_EQ(file_count(), 1U);
}

TEST_F(Files, FailedTextLeavesTheOldOne) {
  write_text_atomically(folder / "a.txt", "first");
  {
    const FileSizeLimit limit(1000);
    const std::string message =
        message_of([&] { write_text_atomically(folder / "a.txt", std::string(std::size_t{5000}, 'x')); });
    EXPECT_NE(message.find("a.txt: File too large"), std::string::npos) << message;
  }
  EXPECT_EQ(read_text(folder / "a.txt"), "first");
  EXPECT_EQ(file_count(), 1U);
  EXPECT_NE(message_of([&] { write_text_atomically(folder / "none/a.txt", "x"); }).find("No such file"),
            std::string::npos);
  EXPECT_THROW((void)read_text(folder / "absent"), IoError);
}

TEST_F(Files, FullDiskMessageSaysWhatToDo) {
  const std::string message = io_message("cannot write", "/data/run.h5", ENOSPC);
  EXPECT_NE(message.find("cannot write /data/run.h5: No space left on device; free some space"), std::string::npos);
}

TEST_F(Files, Hdf5KeepsEveryKindOfValue) {
  const std::vector<double> numbers{1, -0.5, std::numeric_limits<double>::infinity(), 5e-324};
  const std::vector<long> integers{-1, 9007199254740993};
  {
    Hdf5Writer file(folder / "a.h5", 0);
    file.write("/group/numbers", std::span<const double>(numbers), {2, 2});
    file.write("/group/integers", std::span<const long>(integers), {2});
    file.write("/group/none", std::span<const double>(), {0});
    file.write("/scalar", 2.5);
    file.write("/text", std::string("um\u00b2 and \n a line"));
    file.attribute("/", "long_text", std::string(200000, 'd'));
    file.attribute("/group/numbers", "unit", "mol/L");
    file.attribute("/group", "flag", true);
    file.attribute("/group", "count", 7L);
    file.commit();
  }
  const Hdf5Reader file(folder / "a.h5");
  EXPECT_EQ(file.numbers("/group/numbers"), numbers);
  EXPECT_EQ(file.extent("/group/numbers"), (Extent{2, 2}));
  EXPECT_EQ(file.integers("/group/integers"), integers);
  EXPECT_EQ(file.extent("/group/none"), Extent{0});
  EXPECT_EQ(file.numbers("/scalar"), std::vector<double>{2.5});
  EXPECT_EQ(file.text("/text"), "um\u00b2 and \n a line");
  EXPECT_EQ(file.text_attribute("/", "long_text").size(), 200000U);
  EXPECT_EQ(file.text_attribute("/group/numbers", "unit"), "mol/L");
  EXPECT_EQ(file.number_attribute("/group", "count"), 7);
  EXPECT_EQ(file.names("/group"), (std::vector<std::string>{"integers", "none", "numbers"}));
  EXPECT_FALSE(file.has("/group/absent/deeper"));
  EXPECT_THROW((void)file.numbers("/absent"), IoError);
  EXPECT_EQ(file_count(), 1U);
}

TEST_F(Files, Hdf5BoxesLandInTheirPlaceAmongOtherData) {
  // Three axes of 3, 4, 5 cells, cell value = its running number; other objects before, between and after.
  {
    Hdf5Writer file(folder / "a.h5", 0, 512);
    file.write("/before", 1.0);
    file.create("/single", Stored::float32, {3, 4, 5});
    file.write("/between", 2.0);
    file.create("/double", Stored::float64, {3, 4, 5});
    for (const hsize_t first : {0U, 2U}) {  // split along the fastest axis
      const hsize_t width = first == 0 ? 2 : 3;
      std::vector<float> single;
      for (hsize_t row = 0; row < 12; ++row)
        for (hsize_t x = 0; x < width; ++x) single.push_back(static_cast<float>(5 * row + first + x));
      file.write_box("/single", {0, 0, first}, {3, 4, width}, single.data());
    }
    for (const hsize_t first : {0U, 1U}) {  // split along the middle axis
      const hsize_t width = first == 0 ? 1 : 3;
      std::vector<double> values;
      for (hsize_t z = 0; z < 3; ++z)
        for (hsize_t y = first; y < first + width; ++y)
          for (hsize_t x = 0; x < 5; ++x) values.push_back(static_cast<double>(20 * z + 5 * y + x));
      file.write_box("/double", {0, first, 0}, {3, width, 5}, values.data());
    }
    file.write("/after", 3.0);
    file.commit([](const fs::path&) { return std::string("head"); });
  }
  std::vector<double> expected(60);
  for (std::size_t cell = 0; cell < 60; ++cell) expected[cell] = static_cast<double>(cell);
  const Hdf5Reader file(folder / "a.h5");
  EXPECT_EQ(file.numbers("/single"), expected);
  EXPECT_EQ(file.numbers("/double"), expected);
  EXPECT_EQ(file.numbers("/before"), std::vector<double>{1});
  EXPECT_EQ(file.numbers("/between"), std::vector<double>{2});
  EXPECT_EQ(file.numbers("/after"), std::vector<double>{3});
  std::vector<double> box(4);
  file.read_box("/double", {1, 2, 3}, {1, 2, 2}, box.data());
  EXPECT_EQ(box, (std::vector<double>{33, 34, 38, 39}));
  EXPECT_EQ(read_text(folder / "a.h5").substr(0, 4), "head");
}

TEST_F(Files, Hdf5WithoutCommitLeavesNothing) {
  write_text_atomically(folder / "a.h5", "earlier");
  {
    Hdf5Writer file(folder / "a.h5", 100000);
    file.write("/scalar", 1.0);
  }
  EXPECT_EQ(read_text(folder / "a.h5"), "earlier");
  EXPECT_EQ(file_count(), 1U);
}

TEST_F(Files, Hdf5BoxThatDoesNotFitLeavesNothing) {
  const std::vector<double> values(20000, 1.0);
  for (const rlim_t limit : {0, 5000, 100000}) {
    write_text_atomically(folder / "a.h5", "earlier");
    {
      Hdf5Writer file(folder / "a.h5", 0);
      file.create("/box", Stored::float64, {1, 1, 20000});
      const FileSizeLimit guard(limit);
      const std::string message = message_of([&] { file.write_box("/box", {0, 0, 0}, {1, 1, 20000}, values.data()); });
      EXPECT_NE(message.find("a.h5: File too large"), std::string::npos) << message;
    }
    EXPECT_EQ(file_count(), 1U);
    EXPECT_EQ(read_text(folder / "a.h5"), "earlier");
  }
}

TEST_F(Files, Hdf5RefusesWhatIsNotHdf5) {
  write_text_atomically(folder / "a.h5", "not a table at all");
  const std::string message = message_of([&] { Hdf5Reader file(folder / "a.h5"); });
  EXPECT_NE(message.find((folder / "a.h5").string()), std::string::npos) << message;
  EXPECT_NE(message.find("HDF5"), std::string::npos) << message;
  EXPECT_NE(message_of([&] { Hdf5Reader file(folder / "absent.h5"); }).find("No such file"), std::string::npos);
}

TEST(Xdmf, ListsTheGridSlowestAxisFirst) {
  const GridLayout grid{{1, 2, 3}, {0.1, 0.2, 0.3}, {7, 5, 6}};
  const std::string text =
      xdmf_text(grid, {"times/network_0.h5", "/network/0", 3, 2},
                {{.seconds = 60,
                  .fields = {{.name = "a<b", .unit = "Pa", .file = "times/time_000000.h5", .object = "/fields/a"}},
                  .network = {}}});
  EXPECT_NE(text.find("Dimensions=\"7 6 8\""), std::string::npos) << text;
  EXPECT_NE(text.find(">3 2 1<"), std::string::npos) << text;
  EXPECT_NE(text.find(">0.3 0.2 0.1<"), std::string::npos) << text;
  EXPECT_NE(text.find("Name=\"a&lt;b\""), std::string::npos) << text;
  EXPECT_NE(text.find("Dimensions=\"6 5 7\">times/time_000000.h5:/fields/a<"), std::string::npos) << text;
  EXPECT_EQ(xdmf_text(grid, {}, {{.seconds = 0, .fields = {}, .network = {}}}).find("Polyline"), std::string::npos);
}

TEST(Checkpoint, HashIsFnv1a) {  // values from the authors' test suite, draft-eastlake-fnv
  EXPECT_EQ(text_hash(""), "cbf29ce484222325");
  EXPECT_EQ(text_hash("a"), "af63dc4c8601ec8c");
  EXPECT_EQ(text_hash("foobar"), "85944171f73967e8");
}
