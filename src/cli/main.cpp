#include <mpi.h>
#include <petscsys.h>

#include <cstdio>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "cli/commands.hpp"
#include "cli/options.hpp"
#include "cli/signals.hpp"

namespace sanctuary {
namespace {

std::vector<CommandSpec> command_table() {
  return {
      {"simulate", "DECK", "one patient: fields, exposure, sanctuaries", 1, 1, simulate_options(), run_simulate},
      {"cohort", "DECK", "many patients, each in every arm", 1, 1, cohort_options(), run_cohort_command},
      {"resume", "DIR", "goes on with an interrupted run or cohort", 1, 1, resume_options(), run_resume},
      {"check", "DECK", "validates a deck, prints every parameter and where it came from", 1, 1, check_options(),
       run_check},
      {"params", "[GLOB]", "the catalogue of parameters, all or those whose key matches", 0, 1, params_options(),
       run_params},
      {"verify", "[NAME]", "runs the verification problems against their exact solutions", 0, 1, verify_options(),
       run_verify},
      {"bench", "[NAME]", "measures a solver beside its alternatives, a JSON line each", 0, 1, bench_options(),
       run_bench},
      {"network", "import|generate|info [FILE...]", "reads, makes and describes vessel networks", 1, 3,
       network_options(), run_network},
  };
}

int fail(MPI_Comm comm, ExitCode code, const char* message) {
  constexpr double patience = 10;  // [s]
  const bool together = all_arrive(comm, patience);
  if (!together || rank_of(comm) == 0) {
    std::fflush(stdout);
    std::fprintf(stderr, "sanctuary: %s\n", message);
    std::fflush(stderr);
  }
  if (!together) MPI_Abort(MPI_COMM_WORLD, static_cast<int>(code));
  return static_cast<int>(code);
}

class PetscSession {
 public:
  PetscSession(char* program, const std::vector<std::string>& options) {
    // SLURM's warning signal must reach our own handler.
    std::vector<std::string> texts{program, "-no_signal_handler"};
    texts.insert(texts.end(), options.begin(), options.end());
    std::vector<char*> arguments;
    for (std::string& text : texts) arguments.push_back(text.data());
    arguments.push_back(nullptr);
    int count = static_cast<int>(texts.size());
    char** begin = arguments.data();
    if (PetscInitialize(&count, &begin, nullptr, nullptr) != 0) {
      throw InputError("PETSc refuses its options; expected what `sanctuary COMMAND -- -help` lists after `--`");
    }
  }
  ~PetscSession() { (void)PetscFinalize(); }
  PetscSession(const PetscSession&) = delete;
  PetscSession& operator=(const PetscSession&) = delete;
};

int run(MPI_Comm comm, int argc, char** argv, std::optional<PetscSession>& petsc) {
  const std::vector<CommandSpec> commands = command_table();
  const CommandLine line = parse_command_line({argv + 1, argv + argc}, commands);
  if (line.command == nullptr) {
    print_once(comm, line.print);
    return static_cast<int>(ExitCode::done);
  }
  log::start(comm, line.log_level, line.invocation.quiet);
  petsc.emplace(argv[0], line.petsc);
  return line.command->run(comm, line.invocation);
}

int guarded_run(MPI_Comm comm, MPI_Comm failures, int argc, char** argv) {
  // Outlives the error handling below: PetscFinalize waits for all ranks.
  std::optional<PetscSession> petsc;
  try {
    return run(comm, argc, argv, petsc);
  } catch (const Error& error) {
    return fail(failures, error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return fail(failures, ExitCode::numerics,
                "out of memory; use more nodes or a coarser grid (`sanctuary check DECK`)");
  } catch (const std::exception& error) {
    return fail(failures, ExitCode::numerics, (std::string("internal error: ") + error.what()).c_str());
  } catch (...) {
    return fail(failures, ExitCode::numerics, "internal error of unknown kind");
  }
}

}  // namespace
}  // namespace sanctuary

int main(int argc, char** argv) {
  // Before MPI starts, which may take seconds: a job that is told to stop meanwhile still ends in an orderly way.
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "simulate" || command == "cohort" || command == "resume") sanctuary::catch_signals();
  MPI_Init(&argc, &argv);
  // A communicator of their own keeps failing ranks from matching the collectives of the ranks that still work.
  MPI_Comm failures = MPI_COMM_NULL;
  MPI_Comm_dup(MPI_COMM_WORLD, &failures);
  const int code = sanctuary::guarded_run(MPI_COMM_WORLD, failures, argc, argv);
  MPI_Comm_free(&failures);
  MPI_Finalize();
  return code;
}
