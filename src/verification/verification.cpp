#include "verification/verification.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "verification/problems.hpp"

namespace sanctuary {

void VerificationResult::at_most(std::string what, double value, double bound) {
  lines.push_back({std::move(what), value, bound, false, value <= bound});
}

void VerificationResult::at_least(std::string what, double value, double bound) {
  lines.push_back({std::move(what), value, bound, true, value >= bound});
}

bool VerificationResult::passed() const {
  return skipped ||
         (!lines.empty() && std::all_of(lines.begin(), lines.end(), [](const auto& line) { return line.passed; }));
}

const std::vector<VerificationProblem>& verification_problems() {
  namespace v = verification;
  static const std::vector<VerificationProblem> problems{
      {"mesentery", "blood flow and haematocrit of a rat mesentery, 546 segments", true, v::mesentery},
      {"leaky_vessel", "blood pressure, flow and haematocrit along one leaking vessel", false, v::leaky_vessel},
      {"pressure_slab", "interstitial pressure of a sheet of tissue between walls", false, v::pressure_slab},
      {"pressure_manufactured", "interstitial pressure in tissue of varying conductivity", false,
       v::pressure_manufactured},
      {"baxter_jain_isolated", "interstitial pressure of an isolated sphere", false, v::baxter_jain_isolated},
      {"baxter_jain_embedded", "interstitial pressure of a sphere in host tissue", false, v::baxter_jain_embedded},
      {"lesion_filtration", "plasma lost by isolated lesions of the sizes of Butler 1975", false, v::lesion_filtration},
      {"krogh_zero_order", "oxygen around a vessel that feeds a cylinder of tissue", false, v::krogh_zero_order},
      {"anoxic_slab", "oxygen used up on the way into a sheet of tissue", false, v::anoxic_slab},
      {"spheroid", "oxygen in a spheroid with an anoxic core", false, v::spheroid},
      {"advection_diffusion", "steady advection and diffusion in one dimension", false, v::advection_diffusion},
      {"transient_transport", "a solute that diffuses, flows and reacts in time", false, v::transient_transport},
      {"diffusion_cost", "CPU time of diffusion in time against first-order splitting", false, v::diffusion_cost},
      {"transport_with_vessels", "a solute that vessels bring and take in time", false, v::transport_with_vessels},
      {"krogh_first_order", "a drug lost at a steady rate around a vessel", false, v::krogh_first_order},
      {"equivalent_cylinder", "washout of tissue along one vessel", false, v::equivalent_cylinder},
      {"capillary_bed", "washout of a mouse capillary bed, 1735 segments", true, v::capillary_bed},
      {"embedded", "exchange with vessels that the cells do not resolve", false, v::embedded},
      {"embedded_network", "exchange of a network of vessels on three grids", false, v::embedded_network},
      {"plasma_pk", "plasma courses of antibodies and of doxorubicin", true, v::plasma_pk},
      {"uptake_length", "a drug that cells take up on its way into tissue", false, v::uptake_length},
      {"binding_front", "a drug that binds all targets it meets on its way into tissue", false, v::binding_front},
      {"binding_barrier", "an antibody that decays in plasma, on its way into tissue", false, v::binding_barrier},
  };
  return problems;
}

VerificationResult run_verification(MPI_Comm comm, const VerificationProblem& problem,
                                    const std::filesystem::path& reference_data) {
  VerificationResult result;
  std::vector<long> found{0};
  if (rank_of(comm) == 0) {
    std::error_code ignored;
    found[0] = !reference_data.empty() && std::filesystem::is_directory(reference_data, ignored) ? 1 : 0;
  }
  broadcast(comm, found);
  if (problem.needs_reference_data && found[0] == 0) {
    result.skipped = true;
    result.reason = "reference data not found";
  } else {
    try {
      result = problem.run(comm, reference_data);
    } catch (const NumericsError& error) {
      result.lines.push_back({std::string("failed: ") + error.what(), std::nan(""), 0, false, false});
    }
  }
  result.name = problem.name;
  if (result.question.empty()) result.question = problem.summary;
  return result;
}

std::string verification_table(const VerificationResult& result) {
  if (result.skipped) return fmt::format("{}: skipped: {}\n", result.name, result.reason);
  std::string text = fmt::format("{}: {}\n", result.name, result.question);
  std::size_t width = 0;
  for (const VerificationLine& line : result.lines) width = std::max(width, line.what.size());
  for (const VerificationLine& line : result.lines) {
    text += fmt::format("  {:<{}}  {:>10.3g}  {} {:<8.3g}  {}\n", line.what, width, line.value,
                        line.at_least ? ">=" : "<=", line.bound, line.passed ? "pass" : "FAIL");
  }
  if (!result.reason.empty()) text += "  note: " + result.reason + "\n";
  return text;
}

namespace verification {

std::vector<double> observed_orders(std::span<const double> error, std::span<const double> spacing) {
  std::vector<double> orders;
  for (std::size_t i = 1; i < error.size(); ++i) {
    orders.push_back(std::log(error[i - 1] / error[i]) / std::log(spacing[i - 1] / spacing[i]));
  }
  return orders;
}

double least_order(std::span<const double> error, std::span<const double> spacing) {
  const auto orders = observed_orders(error, spacing);
  double least = std::numeric_limits<double>::infinity();
  for (const double order : orders) {
    if (!(order >= least)) least = order;
  }
  return orders.empty() ? std::nan("") : least;
}

namespace {

template <class Visit>
void for_each_difference(const Grid& grid, Vec values, const PointFunction& exact, const PointPredicate& counts,
                         Visit&& visit) {
  const ReadAccess access(values);
  for (std::size_t c = 0; c < grid.local_cells(); ++c) {
    const auto x = grid.centre(c);
    if (counts && !counts(x)) continue;
    visit(access[c] - exact(x));
  }
}

}  // namespace

double rms_error(const Grid& grid, Vec values, const PointFunction& exact, double unit, const PointPredicate& counts) {
  double sum = 0, number = 0;
  for_each_difference(grid, values, exact, counts, [&](double difference) {
    sum += difference * difference;
    number += 1;
  });
  sum = sum_over(grid.comm(), sum);
  return std::sqrt(sum / sum_over(grid.comm(), number)) / unit;
}

double largest_error(const Grid& grid, Vec values, const PointFunction& exact, double unit,
                     const PointPredicate& counts) {
  double largest = 0;
  for_each_difference(grid, values, exact, counts, [&](double difference) {
    if (!(std::abs(difference) <= largest)) largest = std::abs(difference);
  });
  return max_over(grid.comm(), largest) / unit;
}

GridSpec box(const std::array<double, 3>& size, const std::array<long, 3>& cells) {
  GridSpec spec;
  spec.cells = cells;
  for (std::size_t axis = 0; axis < 3; ++axis) spec.spacing[axis] = size[axis] / static_cast<double>(cells[axis]);
  return spec;
}

std::size_t Table::column(const std::string& name) const {
  const auto found = std::find(columns.begin(), columns.end(), name);
  if (found == columns.end()) throw InputError(file + ": no column '" + name + "'; is this the published file?");
  return static_cast<std::size_t>(found - columns.begin());
}

double Table::number(std::size_t row, std::size_t column) const {
  const std::string& text = rows[row].at(column);
  try {
    return std::stod(text);
  } catch (const std::exception&) {
    throw InputError(
        fmt::format("{}: row {}, column '{}': expected a number, found '{}'", file, row + 1, columns[column], text));
  }
}

std::string read_text(MPI_Comm comm, const Path& path) {
  std::string text;
  on_root(comm, [&] {
    std::ifstream stream(path, std::ios::binary);
    if (!stream) {
      throw InputError(path.string() + ": cannot be read; give the folder of the reference data with --reference");
    }
    std::ostringstream all;
    all << stream.rdbuf();
    text = all.str();
  });
  return broadcast(comm, std::move(text));
}

namespace {

// Fields of a CSV line; a field in quotes may hold commas.
std::vector<std::string> fields(const std::string& line) {
  std::vector<std::string> result(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      result.emplace_back();
    } else if (c != '\r') {
      result.back() += c;
    }
  }
  return result;
}

}  // namespace

Table read_table(MPI_Comm comm, const Path& path) {
  Table table;
  table.file = path.string();
  std::istringstream text(read_text(comm, path));
  for (std::string line; std::getline(text, line);) {
    if (line.empty() || line[0] == '#') continue;
    auto row = fields(line);
    if (table.columns.empty()) {
      table.columns = std::move(row);
    } else if (row.size() != table.columns.size()) {
      throw InputError(
          fmt::format("{}: a row of {} fields, expected {}: '{}'", table.file, row.size(), table.columns.size(), line));
    } else {
      table.rows.push_back(std::move(row));
    }
  }
  if (table.rows.empty()) throw InputError(table.file + ": holds no rows");
  return table;
}

}  // namespace verification
}  // namespace sanctuary
