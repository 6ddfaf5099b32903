#pragma once
#include <hdf5.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "io/atomic_file.hpp"

namespace sanctuary {

/// Sole owner of an HDF5 identifier.
class Hdf5Id {
 public:
  using Close = herr_t (*)(hid_t);
  Hdf5Id() = default;
  Hdf5Id(hid_t id, Close closer) : id_(id), close_(closer) {}
  Hdf5Id(Hdf5Id&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Hdf5Id& operator=(Hdf5Id other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Hdf5Id() {
    if (id_ >= 0) (void)close_(id_);
  }
  [[nodiscard]] hid_t get() const noexcept { return id_; }
  /// Closes now and says whether that worked.
  [[nodiscard]] bool close() noexcept { return id_ < 0 || close_(std::exchange(id_, -1)) >= 0; }

 private:
  hid_t id_ = -1;
  Close close_ = nullptr;
};

/// Lengths, starts or counts of a dataset, slowest axis first.
using Extent = std::vector<hsize_t>;

/// How numbers are stored.
enum class Stored { float32, float64, int64 };

/// Bytes of one stored number.
[[nodiscard]] std::size_t bytes_of(Stored type);

/// An HDF5 file being written under a temporary name by one process; it gets its name in `commit`. HDF5 1.10 cannot
/// close a file that it failed to flush and crashes on it later, so it never sees the disk: it builds all but the boxes
/// in memory, boxes go straight to their place on the disk, and `commit` adds the rest. Space is reserved ahead. Paths
/// of objects are absolute; groups appear as needed. Every failure is an IoError; the temporary is then removed.
/// Serial.
class Hdf5Writer {
 public:
  /// `expected_bytes`: of all the data sets that will follow. `user_block`: bytes left free at the head of the file.
  Hdf5Writer(std::filesystem::path path, std::uint64_t expected_bytes, hsize_t user_block = 0);
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;
  ~Hdf5Writer();

  void group(const std::string& path);
  void write(const std::string& path, std::span<const double> values, const Extent& extent,
             Stored type = Stored::float64);
  void write(const std::string& path, std::span<const long> values, const Extent& extent);
  void write(const std::string& path, double value);
  void write(const std::string& path, const std::string& text);

  /// Makes a data set for boxes, kept in one piece on the disk; cells that no box covers are 0.
  void create(const std::string& path, Stored type, const Extent& extent);
  /// Fills a box of a data set of float32 or float64.
  void write_box(const std::string& path, const Extent& start, const Extent& count, const float* values);
  void write_box(const std::string& path, const Extent& start, const Extent& count, const double* values);

  /// One part of a virtual data set: the whole of `object` in `file` (relative to this file) shown at `start`, `count`.
  struct Part {
    std::string file, object;
    Extent extent, start, count;
  };
  /// A data set that shows parts of other files as one; NaN (-1 for integers) where a part is missing.
  void write_virtual(const std::string& path, Stored type, const Extent& extent, const std::vector<Part>& parts);

  void attribute(const std::string& object, const std::string& name, const std::string& text);
  void attribute(const std::string& object, const std::string& name, const char* text) {
    attribute(object, name, std::string(text));
  }
  void attribute(const std::string& object, const std::string& name, bool value);
  void attribute(const std::string& object, const std::string& name, double value);
  void attribute(const std::string& object, const std::string& name, long value);
  void attribute(const std::string& object, const std::string& name, std::span<const double> values);
  void attribute(const std::string& object, const std::string& name, std::span<const long> values);

  /// Flushes, closes, renames into place. `head`, if given, makes the text of the user block from the closed file.
  void commit(const std::function<std::string(const std::filesystem::path&)>& head = {});

 private:
  [[noreturn]] void fail(const std::string& action, const std::string& object);
  void check(bool good, const char* action, const std::string& object) {
    if (!good) fail(action, object);
  }
  Hdf5Id open_object(const std::string& path);
  Hdf5Id make(const std::string& path, hid_t type, const Extent& extent, hid_t creation);
  void write_raw(const std::string& path, hid_t stored, hid_t memory, const Extent& extent, const void* values);
  void write_attribute(const std::string& object, const std::string& name, hid_t stored, hid_t memory,
                       const Hdf5Id& space, const void* values);
  void write_box_raw(const std::string& path, const Extent& start, const Extent& count, Stored type,
                     const void* values);
  void copy_from_memory();

  /// Where a data set for boxes lies on the disk.
  struct Place {
    std::uint64_t begin = 0, end = 0;
    Extent extent;
    Stored type = Stored::float32;
  };
  std::filesystem::path path_, temporary_;
  FileDescriptor memory_, disk_;
  Hdf5Id file_, link_creation_;
  std::map<std::string, Place> places_;
};

/// An HDF5 file being read by one process. Every failure is an IoError with path and object. Serial.
class Hdf5Reader {
 public:
  explicit Hdf5Reader(std::filesystem::path path);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] bool has(const std::string& object) const;
  [[nodiscard]] bool has_attribute(const std::string& object, const std::string& name) const;
  /// Names in a group, sorted; none if it does not exist.
  [[nodiscard]] std::vector<std::string> names(const std::string& group) const;
  /// Paths of all data sets below a group, relative to it, sorted; none if it does not exist.
  [[nodiscard]] std::vector<std::string> datasets(const std::string& group) const;
  [[nodiscard]] Extent extent(const std::string& dataset) const;
  [[nodiscard]] Stored stored(const std::string& dataset) const;
  [[nodiscard]] std::vector<double> numbers(const std::string& dataset) const;
  [[nodiscard]] std::vector<long> integers(const std::string& dataset) const;
  [[nodiscard]] std::string text(const std::string& dataset) const;
  void read_box(const std::string& dataset, const Extent& start, const Extent& count, double* values) const;
  void read_box(const std::string& dataset, const Extent& start, const Extent& count, long* values) const;
  [[nodiscard]] double number_attribute(const std::string& object, const std::string& name) const;
  [[nodiscard]] std::vector<double> numbers_attribute(const std::string& object, const std::string& name) const;
  [[nodiscard]] std::string text_attribute(const std::string& object, const std::string& name) const;

 private:
  [[noreturn]] void fail(const std::string& action, const std::string& object) const;
  void read_box_raw(const std::string& dataset, const Extent& start, const Extent& count, hid_t memory,
                    void* values) const;
  [[nodiscard]] Hdf5Id open_dataset(const std::string& dataset) const;
  [[nodiscard]] Hdf5Id open_attribute(const std::string& object, const std::string& name) const;
  std::filesystem::path path_;
  Hdf5Id file_;
};

}  // namespace sanctuary
