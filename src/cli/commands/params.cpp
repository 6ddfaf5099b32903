#include <fmt/format.h>

#include "base/catalogue.hpp"
#include "base/error.hpp"
#include "cli/commands.hpp"
#include "cohort/parameters.hpp"

namespace sanctuary {

std::vector<CommandOption> params_options() { return {{"format", "FORMAT", "text (default), json or markdown"}}; }

int run_params(MPI_Comm comm, const Invocation& invocation) {
  const std::string glob = invocation.positional.empty() ? "*" : invocation.positional.front();
  const Catalogue selected = select(cohort_catalogue(), glob);
  if (selected.empty()) {
    const std::string near = nearest_key(cohort_catalogue(), glob);
    throw InputError(fmt::format("params: no parameter matches '{}'; expected a key or a pattern such as 'grid.*'{}",
                                 glob, near.empty() ? "" : "; did you mean " + near + "?"));
  }
  const auto given = invocation.options.find("format");
  const std::string format = given == invocation.options.end() ? "text" : given->second;
  if (format == "text") {
    print_once(comm, catalogue_as_text(selected));
  } else if (format == "json") {
    print_once(comm, catalogue_as_json(selected));
  } else if (format == "markdown") {
    print_once(comm, catalogue_as_markdown(selected));
  } else {
    throw InputError(fmt::format("params: --format '{}' is not understood; expected text, json or markdown", format));
  }
  return static_cast<int>(ExitCode::done);
}

}  // namespace sanctuary
