#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "cohort/plan.hpp"
#include "io/ledger.hpp"

namespace sanctuary {

/// How much of a cohort its tables rest on.
struct TableSummary {
  long accepted = 0;                 ///< patients whose state before treatment was plausible
  double effective = 0;              ///< effective sample size of the weights
  std::vector<long> outside;         ///< patients outside each plausible bound
  std::vector<std::string> remarks;  ///< such as why there are no weights
};

/// Makes what follows from a finished cohort: weights of the patients, sensitivities (both into the ledger as well),
/// DIR/cohort.csv (a row per patient and arm) and DIR/cohort.h5 (docs/formats.md), each whole or absent. Nothing in
/// them depends on who computed what and when. IoError. Serial.
TableSummary write_tables(const CohortPlan& plan, Ledger& ledger, const std::filesystem::path& directory);

}  // namespace sanctuary
