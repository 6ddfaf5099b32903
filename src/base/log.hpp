#pragma once
#include <fmt/format.h>
#include <mpi.h>

#include <string>
#include <string_view>
#include <utility>

/// Messages of the program on standard error, from rank 0 alone. Before `start` warnings and errors are printed by
/// every process. Not collective.
namespace sanctuary::log {

enum class Level { debug, info, warning, error, off };

/// The level of this name (debug, info, warning, error, off). InputError otherwise.
[[nodiscard]] Level level_named(std::string_view name);

/// Prints messages of `level` and above on rank 0 of `comm`; `quiet` raises the level to warnings.
void start(MPI_Comm comm, Level level, bool quiet);

/// Prints one message.
void print(Level level, const std::string& message);

template <class... Arguments>
void debug(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  print(Level::debug, fmt::format(format, std::forward<Arguments>(arguments)...));
}
template <class... Arguments>
void info(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  print(Level::info, fmt::format(format, std::forward<Arguments>(arguments)...));
}
template <class... Arguments>
void warning(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  print(Level::warning, fmt::format(format, std::forward<Arguments>(arguments)...));
}
template <class... Arguments>
void error(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  print(Level::error, fmt::format(format, std::forward<Arguments>(arguments)...));
}

}  // namespace sanctuary::log
