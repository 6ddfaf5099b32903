#pragma once
#include <mpi.h>

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/deck.hpp"

namespace sanctuary {

/// The command line of one sub-command as understood.
struct Invocation {
  std::vector<std::string> positional;         ///< after the command, in order
  std::vector<Override> overrides;             ///< `--set`, in order
  std::filesystem::path output;                ///< `-o`; empty: the command's own choice
  bool quiet = false;                          ///< no progress, no notes
  std::map<std::string, std::string> options;  ///< the command's own options as given; a flag given is "on"
  std::string command_line;                    ///< as typed, for the record of a run
};

/// Runs a sub-command and returns the exit code of the program. Collective.
using Command = int (*)(MPI_Comm, const Invocation&);

/// An option of one command, beside the common ones.
struct CommandOption {
  std::string name;      ///< without dashes: `format`
  std::string argument;  ///< what stands for its value in the help (`NAME`); empty: a flag
  std::string meaning;
};

/// One row of the command table.
struct CommandSpec {
  std::string name;
  std::string usage;                 ///< positional arguments as the help shows them: `DECK`
  std::string summary;               ///< one line
  std::size_t fewest = 0, most = 0;  ///< number of positional arguments
  std::vector<CommandOption> options;
  Command run = nullptr;
};

/// Prints text on standard output from rank 0; IoError on all ranks if that fails. Collective.
void print_once(MPI_Comm comm, const std::string& text);

/// `simulate DECK`: one patient.
int run_simulate(MPI_Comm comm, const Invocation& invocation);
/// `resume DIR`: goes on with an interrupted run.
int run_resume(MPI_Comm comm, const Invocation& invocation);
/// `check DECK`: validates a deck and prints every parameter in force.
int run_check(MPI_Comm comm, const Invocation& invocation);
/// `cohort DECK`: every patient in every arm.
int run_cohort_command(MPI_Comm comm, const Invocation& invocation);
/// Goes on with the cohort of a folder.
int resume_cohort(MPI_Comm comm, const Invocation& invocation, const std::filesystem::path& directory);
/// Whether a folder holds a cohort. Collective.
[[nodiscard]] bool holds_cohort(MPI_Comm comm, const std::filesystem::path& directory);
/// The deck of one patient; InputError for a cohort's. Collective.
[[nodiscard]] Deck read_patient_deck(MPI_Comm comm, const std::filesystem::path& path,
                                     const std::vector<Override>& overrides);
/// `params [GLOB]`: the catalogue.
int run_params(MPI_Comm comm, const Invocation& invocation);
/// `verify [NAME]`: the verification problems.
int run_verify(MPI_Comm comm, const Invocation& invocation);
/// `bench NAME`: benchmarks, one JSON object a line.
int run_bench(MPI_Comm comm, const Invocation& invocation);
/// `network import|generate|info`: vessel networks.
int run_network(MPI_Comm comm, const Invocation& invocation);

/// The own options of each command, declared beside it.
std::vector<CommandOption> simulate_options();
std::vector<CommandOption> resume_options();
std::vector<CommandOption> cohort_options();
std::vector<CommandOption> check_options();
std::vector<CommandOption> params_options();
std::vector<CommandOption> verify_options();
std::vector<CommandOption> bench_options();
std::vector<CommandOption> network_options();

}  // namespace sanctuary
