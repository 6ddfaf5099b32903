#pragma once
#include <mpi.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/comm.hpp"
#include "base/error.hpp"

namespace sanctuary {

/// A directory that all ranks of a communicator know, gone with this.
class SharedDirectory {
 public:
  explicit SharedDirectory(MPI_Comm comm) : comm_(comm) {
    std::string name;
    on_root(comm, [&] {
      name = (std::filesystem::temp_directory_path() / "sanctuary_XXXXXX").string();
      if (!mkdtemp(name.data())) throw IoError("no temporary directory");
    });
    path_ = broadcast(comm, name);
  }
  ~SharedDirectory() {
    MPI_Barrier(comm_);
    std::error_code ignored;
    if (rank_of(comm_) == 0) std::filesystem::remove_all(path_, ignored);
  }
  SharedDirectory(const SharedDirectory&) = delete;
  SharedDirectory& operator=(const SharedDirectory&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  MPI_Comm comm_;
  std::filesystem::path path_;
};

}  // namespace sanctuary
