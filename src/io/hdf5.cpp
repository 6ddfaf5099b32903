#include "io/hdf5.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <limits>
#include <numeric>

#include "base/error.hpp"
#include "io/atomic_file.hpp"

namespace sanctuary {
namespace {

/// Beyond the data: superblock, object headers, heaps.
constexpr std::uint64_t metadata_reserve = 256 * 1024;

void set_up_library() {
  // Exit must not depend on files that a full disk left open.
  static const bool done = [] { return H5dont_atexit() >= 0; }();
  (void)done;
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

/// An IoError from what HDF5 noted on its error stack: the system's error number if there is one, else its own reason.
[[noreturn]] void throw_noted(const std::string& action, const std::string& object, const std::filesystem::path& path) {
  struct Noted {
    int number = 0;
    std::string reason;
  } noted;
  const auto look = [](unsigned, const H5E_error2_t* error, void* data) -> herr_t {
    auto& found = *static_cast<Noted*>(data);
    const std::string text = error->desc != nullptr ? error->desc : "";
    if (found.reason.empty()) found.reason = text;
    const auto at = text.find("errno = ");
    if (at != std::string::npos) found.number = std::atoi(text.c_str() + at + 8);
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, look, &noted);
  std::string message =
      io_message(object.empty() ? action : fmt::format("{} {} in", action, object), path, noted.number);
  if (noted.number == 0 && !noted.reason.empty()) message += fmt::format(": HDF5 says: {}", noted.reason);
  throw IoError(message);
}

hid_t file_type(Stored type) {
  switch (type) {
    case Stored::float32:
      return H5T_IEEE_F32LE;
    case Stored::int64:
      return H5T_STD_I64LE;
    case Stored::float64:
      break;
  }
  return H5T_IEEE_F64LE;
}

Hdf5Id text_type() {
  Hdf5Id type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), H5T_VARIABLE);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  return type;
}

/// The type that h5py reads as a bool.
Hdf5Id flag_type() {
  Hdf5Id type(H5Tenum_create(H5T_STD_I8LE), H5Tclose);
  const signed char no = 0, yes = 1;
  H5Tenum_insert(type.get(), "FALSE", &no);
  H5Tenum_insert(type.get(), "TRUE", &yes);
  return type;
}

Hdf5Id space_of(const Extent& extent) {
  if (extent.empty()) return {H5Screate(H5S_SCALAR), H5Sclose};
  return {H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr), H5Sclose};
}

hsize_t count_of(const Extent& extent) {
  return std::accumulate(extent.begin(), extent.end(), hsize_t{1}, std::multiplies<>());
}

Hdf5Id file_access() {
  Hdf5Id access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_libver_bounds(access.get(), H5F_LIBVER_V18, H5F_LIBVER_LATEST);
  // Files appear by renaming and never change, so locks, which some network file systems refuse, are not needed.
  H5Pset_file_locking(access.get(), false, true);
  H5Pset_sieve_buf_size(access.get(), std::size_t{4} << 20);
  return access;
}

}  // namespace

std::size_t bytes_of(Stored type) { return type == Stored::float32 ? 4 : 8; }

Hdf5Writer::Hdf5Writer(std::filesystem::path path, std::uint64_t expected_bytes, hsize_t user_block)
    : path_(std::move(path)),
      temporary_(temporary_of(path_)),
      memory_(memfd_create("hdf5", MFD_CLOEXEC)),
      disk_(create_file(temporary_)) {
  set_up_library();
  try {
    reserve_space(disk_, user_block + expected_bytes + metadata_reserve, path_);
    const Hdf5Id creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
    check(memory_.is_open() && H5Pset_userblock(creation.get(), user_block) >= 0, "cannot set up", "");
    link_creation_ = Hdf5Id(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
    H5Pset_create_intermediate_group(link_creation_.get(), 1);
    H5Pset_char_encoding(link_creation_.get(), H5T_CSET_UTF8);
    const Hdf5Id access = file_access();
    // The default driver would look up the name of the memory file, which has none; the standard C one does not.
    check(H5Pset_fapl_stdio(access.get()) >= 0, "cannot set up", "");
    const std::string name = fmt::format("/proc/self/fd/{}", memory_.get());
    file_ = Hdf5Id(H5Fcreate(name.c_str(), H5F_ACC_TRUNC, creation.get(), access.get()), H5Fclose);
    check(file_.get() >= 0, "cannot set up", "");
  } catch (const IoError&) {
    ::unlink(temporary_.c_str());
    throw;
  }
}

Hdf5Writer::~Hdf5Writer() {
  if (disk_.is_open()) ::unlink(temporary_.c_str());
}

void Hdf5Writer::fail(const std::string& action, const std::string& object) { throw_noted(action, object, path_); }

void Hdf5Writer::group(const std::string& path) {
  if (H5Lexists(file_.get(), path.c_str(), H5P_DEFAULT) > 0) return;
  const Hdf5Id made(H5Gcreate2(file_.get(), path.c_str(), link_creation_.get(), H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
  check(made.get() >= 0, "cannot write group", path);
}

Hdf5Id Hdf5Writer::make(const std::string& path, hid_t type, const Extent& extent, hid_t creation) {
  const Hdf5Id space = space_of(extent);
  Hdf5Id made(H5Dcreate2(file_.get(), path.c_str(), type, space.get(), link_creation_.get(), creation, H5P_DEFAULT),
              H5Dclose);
  check(made.get() >= 0, "cannot write", path);
  return made;
}

void Hdf5Writer::write_raw(const std::string& path, hid_t stored, hid_t memory, const Extent& extent,
                           const void* values) {
  Hdf5Id made = make(path, stored, extent, H5P_DEFAULT);
  if (count_of(extent) > 0)
    check(H5Dwrite(made.get(), memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0, "cannot write", path);
  check(made.close(), "cannot write", path);
}

void Hdf5Writer::write(const std::string& path, std::span<const double> values, const Extent& extent, Stored type) {
  if (values.size() != count_of(extent))
    throw IoError(
        fmt::format("{} in {}: {} values given, {} expected", path, path_.string(), values.size(), count_of(extent)));
  write_raw(path, file_type(type), H5T_NATIVE_DOUBLE, extent, values.data());
}

void Hdf5Writer::write(const std::string& path, std::span<const long> values, const Extent& extent) {
  if (values.size() != count_of(extent))
    throw IoError(
        fmt::format("{} in {}: {} values given, {} expected", path, path_.string(), values.size(), count_of(extent)));
  write_raw(path, H5T_STD_I64LE, H5T_NATIVE_LONG, extent, values.data());
}

void Hdf5Writer::write(const std::string& path, double value) {
  write_raw(path, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, {}, &value);
}

void Hdf5Writer::write(const std::string& path, const std::string& text) {
  const Hdf5Id type = text_type();
  const char* data = text.c_str();
  write_raw(path, type.get(), type.get(), {}, &data);
}

void Hdf5Writer::create(const std::string& path, Stored type, const Extent& extent) {
  const Hdf5Id creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_alloc_time(creation.get(), H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER);
  const Hdf5Id made = make(path, file_type(type), extent, creation.get());
  const std::uint64_t bytes = count_of(extent) * bytes_of(type);
  const std::uint64_t begin = bytes > 0 ? H5Dget_offset(made.get()) : 0;
  check(begin != HADDR_UNDEF, "cannot write", path);
  places_[path] = {begin, begin + bytes, extent, type};
}

void Hdf5Writer::write_box_raw(const std::string& path, const Extent& start, const Extent& count, Stored type,
                               const void* values) {
  const Place& place = places_.at(path);
  if (type != place.type || start.size() != 3 || count.size() != 3 || place.extent.size() != 3)
    throw IoError(fmt::format("{} in {}: boxes have three axes and the type of the data set", path, path_.string()));
  static_assert(std::endian::native == std::endian::little, "boxes are written as they lie in memory");
  const std::size_t row = count[2] * bytes_of(type);
  // Rows that follow each other in memory and on the disk go in one piece.
  const bool whole_rows = count[2] == place.extent[2];
  const hsize_t rows = whole_rows ? count[1] : 1;
  const auto* next = static_cast<const char*>(values);
  for (hsize_t z = 0; z < count[0]; ++z)
    for (hsize_t y = 0; y < count[1]; y += rows) {
      const hsize_t cell = ((start[0] + z) * place.extent[1] + start[1] + y) * place.extent[2] + start[2];
      write_at(disk_, place.begin + cell * bytes_of(type), next, rows * row, path_);
      next += rows * row;
    }
}

void Hdf5Writer::write_box(const std::string& path, const Extent& start, const Extent& count, const float* values) {
  write_box_raw(path, start, count, Stored::float32, values);
}

void Hdf5Writer::write_box(const std::string& path, const Extent& start, const Extent& count, const double* values) {
  write_box_raw(path, start, count, Stored::float64, values);
}

void Hdf5Writer::write_virtual(const std::string& path, Stored type, const Extent& extent,
                               const std::vector<Part>& parts) {
  const Hdf5Id creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  if (type == Stored::int64) {
    const long missing = -1;
    H5Pset_fill_value(creation.get(), H5T_NATIVE_LONG, &missing);
  } else {
    const double missing = std::numeric_limits<double>::quiet_NaN();
    H5Pset_fill_value(creation.get(), H5T_NATIVE_DOUBLE, &missing);
  }
  const Hdf5Id shown = space_of(extent);
  for (const Part& part : parts) {
    const Hdf5Id source = space_of(part.extent);
    const bool selected =
        H5Sselect_hyperslab(shown.get(), H5S_SELECT_SET, part.start.data(), nullptr, part.count.data(), nullptr) >= 0;
    check(selected &&
              H5Pset_virtual(creation.get(), shown.get(), part.file.c_str(), part.object.c_str(), source.get()) >= 0,
          "cannot write", path);
  }
  check(make(path, file_type(type), extent, creation.get()).close(), "cannot write", path);
}

Hdf5Id Hdf5Writer::open_object(const std::string& path) {
  Hdf5Id object(H5Oopen(file_.get(), path.c_str(), H5P_DEFAULT), H5Oclose);
  check(object.get() >= 0, "cannot write", path);
  return object;
}

void Hdf5Writer::write_attribute(const std::string& object, const std::string& name, hid_t stored, hid_t memory,
                                 const Hdf5Id& space, const void* values) {
  const Hdf5Id owner = open_object(object);
  Hdf5Id made(H5Acreate2(owner.get(), name.c_str(), stored, space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  const std::string where = fmt::format("{} of {}", name, object);
  check(made.get() >= 0 && H5Awrite(made.get(), memory, values) >= 0 && made.close(), "cannot write", where);
}

void Hdf5Writer::attribute(const std::string& object, const std::string& name, const std::string& text) {
  const Hdf5Id type = text_type();
  const char* data = text.c_str();
  write_attribute(object, name, type.get(), type.get(), space_of({}), &data);
}

void Hdf5Writer::attribute(const std::string& object, const std::string& name, bool value) {
  const Hdf5Id type = flag_type();
  const signed char data = value ? 1 : 0;
  write_attribute(object, name, type.get(), type.get(), space_of({}), &data);
}

void Hdf5Writer::attribute(const std::string& object, const std::string& name, double value) {
  write_attribute(object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, space_of({}), &value);
}

void Hdf5Writer::attribute(const std::string& object, const std::string& name, long value) {
  write_attribute(object, name, H5T_STD_I64LE, H5T_NATIVE_LONG, space_of({}), &value);
}

void Hdf5Writer::attribute(const std::string& object, const std::string& name, std::span<const double> values) {
  write_attribute(object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, space_of({values.size()}), values.data());
}

void Hdf5Writer::attribute(const std::string& object, const std::string& name, std::span<const long> values) {
  write_attribute(object, name, H5T_STD_I64LE, H5T_NATIVE_LONG, space_of({values.size()}), values.data());
}

void Hdf5Writer::copy_from_memory() {
  struct stat memory {};
  check(::fstat(memory_.get(), &memory) == 0, "cannot write", "");
  const auto size = static_cast<std::uint64_t>(memory.st_size);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> boxes;
  for (const auto& [path, place] : places_) boxes.emplace_back(place.begin, place.end);
  boxes.emplace_back(size, size);
  std::sort(boxes.begin(), boxes.end());
  std::vector<char> buffer(std::size_t{1} << 20);
  std::uint64_t at = 0;
  for (const auto& [begin, end] : boxes) {
    while (at < begin) {
      const auto count = std::min<std::uint64_t>(buffer.size(), begin - at);
      const auto read = ::pread(memory_.get(), buffer.data(), count, static_cast<off_t>(at));
      check(read > 0, "cannot write", "");
      write_at(disk_, at, buffer.data(), static_cast<std::size_t>(read), path_);
      at += static_cast<std::uint64_t>(read);
    }
    at = std::max(at, end);
  }
  if (::ftruncate(disk_.get(), memory.st_size) != 0) throw IoError(io_message("cannot write", path_, errno));
}

void Hdf5Writer::commit(const std::function<std::string(const std::filesystem::path&)>& head) {
  check(file_.close(), "cannot write", "");
  copy_from_memory();
  if (!disk_.close()) {
    const int number = errno;
    ::unlink(temporary_.c_str());
    throw IoError(io_message("cannot write", path_, number));
  }
  try {
    publish(temporary_, path_, head ? head(temporary_) : std::string());
  } catch (const IoError&) {
    ::unlink(temporary_.c_str());
    throw;
  }
}

Hdf5Reader::Hdf5Reader(std::filesystem::path path) : path_(std::move(path)) {
  set_up_library();
  const Hdf5Id access = file_access();
  file_ = Hdf5Id(H5Fopen(path_.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose);
  if (file_.get() < 0) fail("cannot open", "");
}

void Hdf5Reader::fail(const std::string& action, const std::string& object) const {
  throw_noted(action, object, path_);
}

bool Hdf5Reader::has(const std::string& object) const {
  for (std::size_t end = object.find('/', 1);; end = object.find('/', end + 1)) {
    if (H5Lexists(file_.get(), object.substr(0, end).c_str(), H5P_DEFAULT) <= 0) return false;
    if (end == std::string::npos) return true;
  }
}

bool Hdf5Reader::has_attribute(const std::string& object, const std::string& name) const {
  return H5Aexists_by_name(file_.get(), object.c_str(), name.c_str(), H5P_DEFAULT) > 0;
}

std::vector<std::string> Hdf5Reader::names(const std::string& group) const {
  std::vector<std::string> found;
  if (group != "/" && !has(group)) return found;
  const auto add = [](hid_t, const char* name, const H5L_info_t*, void* data) -> herr_t {
    static_cast<std::vector<std::string>*>(data)->emplace_back(name);
    return 0;
  };
  if (H5Literate_by_name(file_.get(), group.c_str(), H5_INDEX_NAME, H5_ITER_INC, nullptr, add, &found, H5P_DEFAULT) < 0)
    fail("cannot list", group);
  return found;
}

std::vector<std::string> Hdf5Reader::datasets(const std::string& group) const {
  std::vector<std::string> found;
  if (group != "/" && !has(group)) return found;
  const auto add = [](hid_t, const char* name, const H5O_info_t* info, void* data) -> herr_t {
    if (info->type == H5O_TYPE_DATASET) static_cast<std::vector<std::string>*>(data)->emplace_back(name);
    return 0;
  };
  if (H5Ovisit_by_name2(file_.get(), group.c_str(), H5_INDEX_NAME, H5_ITER_INC, add, &found, H5O_INFO_BASIC,
                        H5P_DEFAULT) < 0)
    fail("cannot list", group);
  std::sort(found.begin(), found.end());
  return found;
}

Hdf5Id Hdf5Reader::open_dataset(const std::string& dataset) const {
  Hdf5Id opened(H5Dopen2(file_.get(), dataset.c_str(), H5P_DEFAULT), H5Dclose);
  if (opened.get() < 0) fail("cannot read", dataset);
  return opened;
}

Extent Hdf5Reader::extent(const std::string& dataset) const {
  const Hdf5Id opened = open_dataset(dataset);
  const Hdf5Id space(H5Dget_space(opened.get()), H5Sclose);
  Extent extent(static_cast<std::size_t>(std::max(0, H5Sget_simple_extent_ndims(space.get()))));
  if (H5Sget_simple_extent_dims(space.get(), extent.data(), nullptr) < 0) fail("cannot read", dataset);
  return extent;
}

Stored Hdf5Reader::stored(const std::string& dataset) const {
  const Hdf5Id opened = open_dataset(dataset);
  const Hdf5Id type(H5Dget_type(opened.get()), H5Tclose);
  if (H5Tget_class(type.get()) == H5T_INTEGER) return Stored::int64;
  return H5Tget_size(type.get()) == 4 ? Stored::float32 : Stored::float64;
}

std::vector<double> Hdf5Reader::numbers(const std::string& dataset) const {
  std::vector<double> values(count_of(extent(dataset)));
  const Hdf5Id opened = open_dataset(dataset);
  if (!values.empty() && H5Dread(opened.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
    fail("cannot read", dataset);
  return values;
}

std::vector<long> Hdf5Reader::integers(const std::string& dataset) const {
  std::vector<long> values(count_of(extent(dataset)));
  const Hdf5Id opened = open_dataset(dataset);
  if (!values.empty() && H5Dread(opened.get(), H5T_NATIVE_LONG, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
    fail("cannot read", dataset);
  return values;
}

std::string Hdf5Reader::text(const std::string& dataset) const {
  const Hdf5Id opened = open_dataset(dataset);
  const Hdf5Id type = text_type();
  char* data = nullptr;
  if (H5Dread(opened.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, &data) < 0) fail("cannot read", dataset);
  std::string text = data != nullptr ? data : "";
  H5free_memory(data);
  return text;
}

void Hdf5Reader::read_box(const std::string& dataset, const Extent& start, const Extent& count, double* values) const {
  read_box_raw(dataset, start, count, H5T_NATIVE_DOUBLE, values);
}

void Hdf5Reader::read_box(const std::string& dataset, const Extent& start, const Extent& count, long* values) const {
  read_box_raw(dataset, start, count, H5T_NATIVE_LONG, values);
}

void Hdf5Reader::read_box_raw(const std::string& dataset, const Extent& start, const Extent& count, hid_t memory,
                              void* values) const {
  const Hdf5Id opened = open_dataset(dataset);
  const Hdf5Id all(H5Dget_space(opened.get()), H5Sclose);
  const Hdf5Id part = space_of(count);
  if (H5Sselect_hyperslab(all.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr) < 0 ||
      H5Dread(opened.get(), memory, part.get(), all.get(), H5P_DEFAULT, values) < 0)
    fail("cannot read", dataset);
}

Hdf5Id Hdf5Reader::open_attribute(const std::string& object, const std::string& name) const {
  Hdf5Id opened(H5Aopen_by_name(file_.get(), object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  if (opened.get() < 0) fail("cannot read", fmt::format("attribute {} of {}", name, object));
  return opened;
}

double Hdf5Reader::number_attribute(const std::string& object, const std::string& name) const {
  const auto values = numbers_attribute(object, name);
  if (values.size() != 1) fail("one number expected as", fmt::format("attribute {} of {}", name, object));
  return values.front();
}

std::vector<double> Hdf5Reader::numbers_attribute(const std::string& object, const std::string& name) const {
  const Hdf5Id opened = open_attribute(object, name);
  const Hdf5Id space(H5Aget_space(opened.get()), H5Sclose);
  std::vector<double> values(
      static_cast<std::size_t>(std::max<hssize_t>(0, H5Sget_simple_extent_npoints(space.get()))));
  if (!values.empty() && H5Aread(opened.get(), H5T_NATIVE_DOUBLE, values.data()) < 0)
    fail("cannot read", fmt::format("attribute {} of {}", name, object));
  return values;
}

std::string Hdf5Reader::text_attribute(const std::string& object, const std::string& name) const {
  const Hdf5Id opened = open_attribute(object, name);
  const Hdf5Id type = text_type();
  char* data = nullptr;
  if (H5Aread(opened.get(), type.get(), &data) < 0)
    fail("cannot read", fmt::format("attribute {} of {}", name, object));
  std::string text = data != nullptr ? data : "";
  H5free_memory(data);
  return text;
}

}  // namespace sanctuary
