#pragma once
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "solvers/grid.hpp"
#include "solvers/transport.hpp"
#include "verification/verification.hpp"

namespace sanctuary::verification {

using Path = std::filesystem::path;

[[nodiscard]] VerificationResult mesentery(MPI_Comm comm, const Path& reference);
[[nodiscard]] VerificationResult leaky_vessel(MPI_Comm comm, const Path& reference);
[[nodiscard]] VerificationResult baxter_jain_isolated(MPI_Comm comm, const Path& reference);
[[nodiscard]] VerificationResult baxter_jain_embedded(MPI_Comm comm, const Path& reference);
[[nodiscard]] VerificationResult lesion_filtration(MPI_Comm comm, const Path& reference);
[[nodiscard]] VerificationResult pressure_slab(MPI_Comm comm, const Path& reference);
[[nodiscard]] VerificationResult pressure_manufactured(MPI_Comm comm, const Path& reference);
[[nodiscard]] VerificationResult krogh_zero_order(MPI_Comm comm, const Path& reference);
[[nodiscard]] VerificationResult krogh_first_order(MPI_Comm comm, const Path& reference);
[[nodiscard]] VerificationResult anoxic_slab(MPI_Comm comm, const Path& reference);
[[nodiscard]] VerificationResult spheroid(MPI_Comm comm, const Path& reference);
[[nodiscard]] VerificationResult advection_diffusion(MPI_Comm comm, const Path& reference);
[[nodiscard]] VerificationResult transient_transport(MPI_Comm comm, const Path& reference);
/// CPU time of the transport step against first-order splitting at equal error; each rank does all of it.
[[nodiscard]] VerificationResult diffusion_cost(MPI_Comm comm, const Path& reference);
[[nodiscard]] VerificationResult transport_with_vessels(MPI_Comm comm, const Path& reference);
[[nodiscard]] VerificationResult equivalent_cylinder(MPI_Comm comm, const Path& reference);
[[nodiscard]] VerificationResult capillary_bed(MPI_Comm comm, const Path& reference);
/// Each rank does all of it, as in embedded_network.
[[nodiscard]] VerificationResult embedded(MPI_Comm comm, const Path& reference);
[[nodiscard]] VerificationResult embedded_network(MPI_Comm comm, const Path& reference);
[[nodiscard]] VerificationResult plasma_pk(MPI_Comm comm, const Path& reference);
[[nodiscard]] VerificationResult binding_front(MPI_Comm comm, const Path& reference);
[[nodiscard]] VerificationResult binding_barrier(MPI_Comm comm, const Path& reference);
[[nodiscard]] VerificationResult uptake_length(MPI_Comm comm, const Path& reference);

/// Observed orders between neighbouring grids: log of the ratio of errors over log of the ratio of spacings.
[[nodiscard]] std::vector<double> observed_orders(std::span<const double> error, std::span<const double> spacing);
/// The smallest of the observed orders.
[[nodiscard]] double least_order(std::span<const double> error, std::span<const double> spacing);

using PointFunction = std::function<double(const std::array<double, 3>&)>;
using PointPredicate = std::function<bool(const std::array<double, 3>&)>;
/// Root mean square over the cells of value minus exact(centre), over `unit`; where `counts` is given, only over cells
/// for which it holds. Collective.
[[nodiscard]] double rms_error(const Grid& grid, Vec values, const PointFunction& exact, double unit,
                               const PointPredicate& counts = {});
/// The largest absolute difference, else as rms_error. Collective.
[[nodiscard]] double largest_error(const Grid& grid, Vec values, const PointFunction& exact, double unit,
                                   const PointPredicate& counts = {});

/// Largest imbalance of tissue and of network over what moved. Collective.
[[nodiscard]] double ledger_gap(const TransportSolver& solver);

/// A box with its low corner at zero.
[[nodiscard]] GridSpec box(const std::array<double, 3>& size, const std::array<long, 3>& cells);

/// A file as text, read by rank 0. InputError where it cannot be read. Collective.
[[nodiscard]] std::string read_text(MPI_Comm comm, const Path& path);

/// A CSV with `#` comments and a header.
struct Table {
  std::string file;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
  /// Index of a column. InputError where there is none of that name.
  [[nodiscard]] std::size_t column(const std::string& name) const;
  /// InputError, naming file, row and column, where the field is no number.
  [[nodiscard]] double number(std::size_t row, std::size_t column) const;
};
/// Reads a table on rank 0 and gives it to all ranks. Collective.
[[nodiscard]] Table read_table(MPI_Comm comm, const Path& path);

}  // namespace sanctuary::verification
