#include "cli/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cstdio>
#include <sstream>

#include "base/build_info.hpp"
#include "base/comm.hpp"
#include "base/error.hpp"
#include "base/text.hpp"

namespace sanctuary {
namespace po = boost::program_options;
namespace {

po::options_description common_options() {
  po::options_description options("Common options", 100);
  options.add_options()("set", po::value<std::vector<std::string>>()->composing()->value_name("KEY=VALUE"),
                        "a parameter, beats the deck; may be repeated")(
      "output,o", po::value<std::string>()->value_name("PATH"), "where the results go")(
      "log-level", po::value<std::string>()->value_name("LEVEL"), "debug, info (default), warning, error or off")(
      "quiet,q", "no progress, no notes")("help,h", "this help")("version", "the version of the program");
  return options;
}

po::options_description own_options(const CommandSpec& command) {
  po::options_description options("Options of " + command.name, 100);
  for (const CommandOption& option : command.options) {
    if (option.argument.empty()) {
      options.add_options()(option.name.c_str(), option.meaning.c_str());
    } else {
      options.add_options()(option.name.c_str(), po::value<std::string>()->value_name(option.argument),
                            option.meaning.c_str());
    }
  }
  return options;
}

std::string version_text() { return build_info::description() + "\n"; }

std::string quoted_for_shell(const std::string& argument) {
  const bool plain = !argument.empty() && argument.find_first_of(" \t\n\"'\\$*?()[]{}&|;<>#~`!") == std::string::npos;
  if (plain) return argument;
  std::string quoted = "'";
  for (const char c : argument) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string did_you_mean(const std::string& nearest_name) {
  return nearest_name.empty() ? "" : "; did you mean " + nearest_name + "?";
}

const CommandSpec& find_command(const std::string& name, std::span<const CommandSpec> commands) {
  const auto found =
      std::find_if(commands.begin(), commands.end(), [&](const CommandSpec& spec) { return spec.name == name; });
  if (found != commands.end()) return *found;
  std::vector<std::string> names;
  std::string list;
  for (const CommandSpec& spec : commands) {
    names.push_back(spec.name);
    list += (list.empty() ? "" : ", ") + spec.name;
  }
  if (name.starts_with('-')) {
    throw InputError(
        fmt::format("'{}' stands where the command belongs; expected one of {}, then its options", name, list));
  }
  throw InputError(
      fmt::format("unknown command '{}'; expected one of {}{}", name, list, did_you_mean(nearest(name, names))));
}

[[noreturn]] void refuse_option(const CommandSpec& command, const std::string& given,
                                const po::options_description& options) {
  std::vector<std::string> names;
  for (const auto& option : options.options()) {
    if (option->long_name() != "positional") names.push_back("--" + option->long_name());
  }
  throw InputError(fmt::format("{}: unknown option '{}'; expected one that `sanctuary {} --help` lists{}", command.name,
                               given, command.name, did_you_mean(nearest(given, names))));
}

Override override_from(const std::string& text) {
  const auto equals = text.find('=');
  const std::string key(trimmed(text.substr(0, equals)));
  if (equals == std::string::npos || key.empty()) {
    throw InputError(
        fmt::format("--set: '{}' is not understood; expected section.key=value, as in "
                    "--set 'grid.spacing=20 um'",
                    text));
  }
  return {key, std::string(trimmed(text.substr(equals + 1)))};
}

}  // namespace

std::string program_help(std::span<const CommandSpec> commands) {
  std::string text =
      "Sanctuary simulates how a drug reaches, and fails to reach, the cells of a solid tumour.\n"
      "Research software: it makes no claim about any real patient.\n\n"
      "Usage: sanctuary COMMAND [arguments] [options] [-- PETSc options]\n\nCommands:\n";
  for (const CommandSpec& command : commands) {
    text += fmt::format("  {:<32} {}\n", command.name + " " + command.usage, command.summary);
  }
  std::ostringstream options;
  options << common_options();
  return text + "\n" + options.str() +
         "\n`sanctuary COMMAND --help` tells more about a command.\n"
         "Exit codes: 0 done; 2 the deck or the command line is wrong; 3 the numerics failed; 4 reading or writing\n"
         "failed; 5 some patients of a cohort failed; 75 stopped early with everything saved: run again to continue.\n";
}

std::string command_help(const CommandSpec& command) {
  std::ostringstream text;
  text << "Usage: sanctuary " << command.name << " " << command.usage << " [options] [-- PETSc options]\n\n"
       << command.summary << "\n\n";
  if (!command.options.empty()) text << own_options(command) << "\n";
  text << common_options();
  return text.str();
}

void print_once(MPI_Comm comm, const std::string& text) {
  on_root(comm, [&] {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
      throw IoError("cannot write to standard output");
    }
  });
}

CommandLine parse_command_line(const std::vector<std::string>& arguments, std::span<const CommandSpec> commands) {
  CommandLine line;
  const auto separator = std::find(arguments.begin(), arguments.end(), "--");
  const std::vector<std::string> ours(arguments.begin(), separator);
  if (separator != arguments.end()) line.petsc.assign(separator + 1, arguments.end());
  line.invocation.command_line = "sanctuary";
  for (const std::string& argument : arguments) line.invocation.command_line += " " + quoted_for_shell(argument);

  if (ours.empty() || ours.front() == "--help" || ours.front() == "-h") {
    line.print = program_help(commands);
    return line;
  }
  if (ours.front() == "--version") {
    line.print = version_text();
    return line;
  }
  const CommandSpec& command = find_command(ours.front(), commands);

  po::options_description all;
  all.add(common_options()).add(own_options(command));
  all.add_options()("positional", po::value<std::vector<std::string>>()->composing());
  po::positional_options_description positions;
  positions.add("positional", -1);
  po::variables_map values;
  try {
    const auto style = po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
    po::store(po::command_line_parser(std::vector<std::string>(ours.begin() + 1, ours.end()))
                  .options(all)
                  .positional(positions)
                  .style(style)
                  .run(),
              values);
    po::notify(values);
  } catch (const po::unknown_option& error) {
    refuse_option(command, error.get_option_name(), all);
  } catch (const po::error& error) {
    throw InputError(
        fmt::format("{}: {}; `sanctuary {} --help` tells what is expected", command.name, error.what(), command.name));
  }

  if (values.contains("help")) {
    line.print = command_help(command);
    return line;
  }
  if (values.contains("version")) {
    line.print = version_text();
    return line;
  }
  Invocation& invocation = line.invocation;
  if (values.contains("positional")) invocation.positional = values["positional"].as<std::vector<std::string>>();
  if (values.contains("set")) {
    for (const std::string& text : values["set"].as<std::vector<std::string>>()) {
      invocation.overrides.push_back(override_from(text));
    }
  }
  if (values.contains("output")) {
    invocation.output = values["output"].as<std::string>();
    if (invocation.output.empty()) throw InputError(command.name + ": --output is empty; expected a path");
  }
  if (values.contains("log-level")) line.log_level = log::level_named(values["log-level"].as<std::string>());
  invocation.quiet = values.contains("quiet");
  for (const CommandOption& option : command.options) {
    if (!values.contains(option.name)) continue;
    invocation.options[option.name] = option.argument.empty() ? "on" : values[option.name].as<std::string>();
  }
  const std::size_t count = invocation.positional.size();
  if (count < command.fewest || count > command.most) {
    throw InputError(
        fmt::format("{}: {} arguments; expected `sanctuary {} {}`", command.name, count, command.name, command.usage));
  }
  line.command = &command;
  return line;
}

}  // namespace sanctuary
