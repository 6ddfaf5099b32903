#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

namespace sanctuary {

/// Sole owner of a file descriptor.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int id) : id_(id) {}
  FileDescriptor(FileDescriptor&& other) noexcept : id_(std::exchange(other.id_, -1)) {}
  FileDescriptor& operator=(FileDescriptor other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  ~FileDescriptor() { (void)close(); }
  [[nodiscard]] int get() const noexcept { return id_; }
  [[nodiscard]] bool is_open() const noexcept { return id_ >= 0; }
  /// Closes now and says whether that worked: some file systems report a full disk only here.
  [[nodiscard]] bool close() noexcept;

 private:
  int id_ = -1;
};

/// Creates or empties a file. Throws IoError. Serial.
[[nodiscard]] FileDescriptor create_file(const std::filesystem::path& path);
/// Writes all the bytes at `offset`. Throws IoError that names `path`. Serial.
void write_at(const FileDescriptor& file, std::uint64_t offset, const void* bytes, std::size_t count,
              const std::filesystem::path& path);

/// Writes a file so that a reader finds the old text or the new, never a part: temporary name in the same directory,
/// fsync, rename. Throws IoError with the path and the system's reason. Serial.
void write_text_atomically(const std::filesystem::path& path, std::string_view text);

/// Reads a whole file. Throws IoError. Serial.
[[nodiscard]] std::string read_text(const std::filesystem::path& path);

/// Name under which `path` is written until it is whole: `NAME.tmp` beside it.
[[nodiscard]] std::filesystem::path temporary_of(const std::filesystem::path& path);
/// Gives a whole temporary its name: puts `head` over its first bytes, gives back what was reserved behind its end,
/// fsync, rename, fsync of the directory. Throws IoError and removes the temporary on failure. Serial.
void publish(const std::filesystem::path& temporary, const std::filesystem::path& path, std::string_view head = {});
/// Removes what killed runs left half-written in a directory (`*.tmp`). Serial, never throws.
void remove_temporaries(const std::filesystem::path& directory) noexcept;
/// Makes a directory and its parents. Throws IoError. Serial.
void make_directory(const std::filesystem::path& directory);

/// Removes a file; not an error if there is none. Throws IoError. Serial.
void remove_file(const std::filesystem::path& path);

/// Reserves `bytes` of disk for an open file without changing its length. Throws IoError when the disk is too full;
/// where the file system cannot reserve, compares with its free space. Serial.
void reserve_space(const FileDescriptor& file, std::uint64_t bytes, const std::filesystem::path& path);

/// Text for an IoError: what failed, on which path, the system's reason and, on a full disk or quota, what to do.
[[nodiscard]] std::string io_message(std::string_view action, const std::filesystem::path& path, int error_number);

}  // namespace sanctuary
