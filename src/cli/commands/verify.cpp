#include <fmt/format.h>

#include <cstdlib>

#include "base/error.hpp"
#include "base/text.hpp"
#include "cli/commands.hpp"
#include "verification/verification.hpp"

namespace sanctuary {
namespace {

std::filesystem::path reference_data(const Invocation& invocation) {
  const auto given = invocation.options.find("reference");
  if (given != invocation.options.end()) return given->second;
  const char* variable = std::getenv("SANCTUARY_REFERENCE_DATA");
  return variable == nullptr ? "" : variable;
}

}  // namespace

std::vector<CommandOption> verify_options() {
  return {{"reference", "DIR", "folder of the published data; else that of $SANCTUARY_REFERENCE_DATA"},
          {"list", "", "names the problems and runs none"}};
}

int run_verify(MPI_Comm comm, const Invocation& invocation) {
  const auto& problems = verification_problems();
  if (invocation.options.contains("list")) {
    std::string text;
    for (const VerificationProblem& problem : problems) {
      text += fmt::format("{:<24} {}{}\n", problem.name, problem.summary,
                          problem.needs_reference_data ? " (needs reference data)" : "");
    }
    print_once(comm, text);
    return static_cast<int>(ExitCode::done);
  }
  const std::string name = invocation.positional.empty() ? "" : invocation.positional.front();
  const std::filesystem::path reference = reference_data(invocation);
  int run = 0, failed = 0, skipped = 0;
  for (const VerificationProblem& problem : problems) {
    if (!name.empty() && name != problem.name) continue;
    const VerificationResult result = run_verification(comm, problem, reference);
    ++run;
    failed += result.passed() ? 0 : 1;
    skipped += result.skipped ? 1 : 0;
    if (!invocation.quiet || !result.passed()) print_once(comm, verification_table(result));
  }
  if (run == 0) {
    std::vector<std::string> names;
    for (const VerificationProblem& problem : problems) names.push_back(problem.name);
    const std::string near = nearest(name, names);
    throw InputError(fmt::format("verify: no problem is called '{}'; `sanctuary verify --list` names all{}", name,
                                 near.empty() ? "" : "; did you mean " + near + "?"));
  }
  print_once(comm, fmt::format("{} passed, {} failed, {} skipped\n", run - failed - skipped, failed, skipped));
  return static_cast<int>(failed > 0 ? ExitCode::numerics : ExitCode::done);
}

}  // namespace sanctuary
