#include "io/atomic_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <system_error>

#include "base/error.hpp"

namespace sanctuary {
namespace fs = std::filesystem;
namespace {

FileDescriptor open_file(const fs::path& path, int flags) {
  return FileDescriptor(::open(path.c_str(), flags | O_CLOEXEC, 0666));
}

[[noreturn]] void fail(std::string_view action, const fs::path& path) {
  throw IoError(io_message(action, path, errno));
}

void sync_directory(const fs::path& directory) {
  const FileDescriptor file = open_file(directory.empty() ? fs::path(".") : directory, O_RDONLY | O_DIRECTORY);
  // Some file systems cannot sync a directory and say EINVAL; the rename itself is still atomic there.
  if (!file.is_open() || (::fsync(file.get()) != 0 && errno != EINVAL)) fail("cannot sync the directory", directory);
}

}  // namespace

bool FileDescriptor::close() noexcept {
  const int id = std::exchange(id_, -1);
  return id < 0 || ::close(id) == 0;
}

FileDescriptor create_file(const fs::path& path) {
  FileDescriptor file = open_file(path, O_RDWR | O_CREAT | O_TRUNC);
  if (!file.is_open()) fail("cannot create", path);
  return file;
}

void write_at(const FileDescriptor& file, std::uint64_t offset, const void* bytes, std::size_t count,
              const fs::path& path) {
  const auto* next = static_cast<const char*>(bytes);
  while (count > 0) {
    const auto written = ::pwrite(file.get(), next, count, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("cannot write", path);
    next += written;
    offset += static_cast<std::uint64_t>(written);
    count -= static_cast<std::size_t>(written);
  }
}

std::string io_message(std::string_view action, const fs::path& path, int error_number) {
  std::string text = fmt::format("{} {}", action, path.string());
  if (error_number != 0) text += fmt::format(": {}", std::strerror(error_number));
  if (error_number == ENOSPC)
    text += "; free some space or choose another output directory, then run the same command again to go on";
  if (error_number == EDQUOT)
    text += "; raise the quota, free some space or choose another output directory, then run the same command again";
  return text;
}

fs::path temporary_of(const fs::path& path) { return fs::path(path) += ".tmp"; }

void publish(const fs::path& temporary, const fs::path& path, std::string_view head) {
  try {
    FileDescriptor file = open_file(temporary, O_RDWR);
    if (!file.is_open()) fail("cannot write", path);
    write_at(file, 0, head.data(), head.size(), path);
    // Cutting a file to the length it has gives back what was reserved behind its end.
    const bool cut = ::ftruncate(file.get(), ::lseek(file.get(), 0, SEEK_END)) == 0;
    if (!cut || ::fsync(file.get()) != 0 || !file.close()) fail("cannot write", path);
    if (::rename(temporary.c_str(), path.c_str()) != 0) fail("cannot rename into place", path);
  } catch (const IoError&) {
    ::unlink(temporary.c_str());
    throw;
  }
  sync_directory(path.parent_path());
}

void write_text_atomically(const fs::path& path, std::string_view text) {
  const fs::path temporary = temporary_of(path);
  try {
    FileDescriptor file = create_file(temporary);
    write_at(file, 0, text.data(), text.size(), path);
    if (!file.close()) fail("cannot write", path);
  } catch (const IoError&) {
    ::unlink(temporary.c_str());
    throw;
  }
  publish(temporary, path);
}

std::string read_text(const fs::path& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file && file.peek() != std::ifstream::traits_type::eof()) text << file.rdbuf();
  if (!file.is_open() || file.bad() || text.bad()) fail("cannot read", path);
  return text.str();
}

void remove_temporaries(const fs::path& directory) noexcept {
  std::error_code ignored;
  for (fs::directory_iterator entry(directory, ignored), end; !ignored && entry != end; entry.increment(ignored)) {
    std::error_code kept;
    if (entry->path().extension() == ".tmp") fs::remove(entry->path(), kept);
  }
}

void make_directory(const fs::path& directory) {
  std::error_code error;
  // Somebody who tidies up may take an empty parent away as soon as it is made.
  for (int attempt = 0; attempt < 1000; ++attempt) {
    error.clear();
    fs::create_directories(directory, error);
    if (error != std::errc::no_such_file_or_directory) break;
  }
  if (error || !fs::is_directory(directory))
    throw IoError(io_message("cannot make the directory", directory, error ? error.value() : ENOTDIR));
}

void remove_file(const fs::path& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail("cannot remove", path);
}

void reserve_space(const FileDescriptor& file, std::uint64_t bytes, const fs::path& path) {
  int result = 0;
  do {
    result = ::fallocate(file.get(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes));
  } while (result != 0 && errno == EINTR);
  if (result == 0) return;
  if (errno != EOPNOTSUPP && errno != ENOSYS) fail("cannot write", path);
  struct statvfs disk {};
  if (::fstatvfs(file.get(), &disk) == 0 && disk.f_bavail * disk.f_frsize < bytes) {
    errno = ENOSPC;
    fail("cannot write", path);
  }
}

}  // namespace sanctuary
