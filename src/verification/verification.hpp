#pragma once
#include <mpi.h>

#include <filesystem>
#include <string>
#include <vector>

namespace sanctuary {

/// One thing measured: an error (at most `bound`) or an observed order (at least `bound`).
struct VerificationLine {
  std::string what;
  double value = 0, bound = 0;
  bool at_least = false;
  bool passed = false;
};

/// What a verification problem found, the same on every rank.
struct VerificationResult {
  std::string name, question;
  std::vector<VerificationLine> lines;
  bool skipped = false;
  std::string reason;  ///< why it was skipped, or a remark on what difference remains
  /// Adds a value that must not exceed `bound`; not a number fails.
  void at_most(std::string what, double value, double bound);
  /// Adds a value that must reach `bound`; not a number fails.
  void at_least(std::string what, double value, double bound);
  /// True when nothing failed; a skipped problem has not failed.
  [[nodiscard]] bool passed() const;
};

/// A problem whose exact or published solution is known, solved with the program's own solvers.
struct VerificationProblem {
  std::string name, summary;
  bool needs_reference_data = false;
  /// Collective on the communicator. `reference_data`: the folder of published data; empty: none.
  VerificationResult (*run)(MPI_Comm, const std::filesystem::path& reference_data) = nullptr;
};

/// All problems in the order in which they run.
[[nodiscard]] const std::vector<VerificationProblem>& verification_problems();

/// Runs one problem; one that needs reference data is skipped where its files are absent. A NumericsError of a solver
/// is a failed line, not an exception. Collective.
[[nodiscard]] VerificationResult run_verification(MPI_Comm comm, const VerificationProblem& problem,
                                                  const std::filesystem::path& reference_data);

/// The result as a table of text.
[[nodiscard]] std::string verification_table(const VerificationResult& result);

}  // namespace sanctuary
