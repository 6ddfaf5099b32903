#pragma once
#include <stdexcept>
#include <string>

namespace sanctuary {

/// The exit codes that the program promises (docs/formats.md).
enum class ExitCode : int { done = 0, bad_input = 2, numerics = 3, io = 4, partial = 5, stopped = 75 };

/// A failure that the whole communicator agrees on; carries the exit code of the program.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& what) : std::runtime_error(what), code_(code) {}
  [[nodiscard]] ExitCode code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

/// The deck, the command line or a file given by the user is wrong: says where, what was expected, what to do.
struct InputError : Error {
  explicit InputError(const std::string& what) : Error(ExitCode::bad_input, what) {}
};
/// A solver or a balance failed after every retry.
struct NumericsError : Error {
  explicit NumericsError(const std::string& what) : Error(ExitCode::numerics, what) {}
};
/// Reading or writing failed.
struct IoError : Error {
  explicit IoError(const std::string& what) : Error(ExitCode::io, what) {}
};
/// Stopped early on request with everything saved.
struct Stopped : Error {
  explicit Stopped(const std::string& what) : Error(ExitCode::stopped, what) {}
};

}  // namespace sanctuary
