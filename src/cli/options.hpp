#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.hpp"
#include "cli/commands.hpp"

namespace sanctuary {

/// A command line understood: either a text to print and be done, or a command to run.
struct CommandLine {
  std::string print;  ///< help or version; then `command` is null
  const CommandSpec* command = nullptr;
  Invocation invocation;
  log::Level log_level = log::Level::info;
  std::vector<std::string> petsc;  ///< everything after `--`
};

/// Reads the arguments that follow the program's name. InputError if they are not understood, with the nearest valid
/// name. Abbreviated options are not guessed.
[[nodiscard]] CommandLine parse_command_line(const std::vector<std::string>& arguments,
                                             std::span<const CommandSpec> commands);

/// The help of the program and of one command.
[[nodiscard]] std::string program_help(std::span<const CommandSpec> commands);
[[nodiscard]] std::string command_help(const CommandSpec& command);

}  // namespace sanctuary
