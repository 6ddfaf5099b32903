#pragma once
#include <mpi.h>

#include <memory>
#include <string>
#include <vector>

#include "solvers/operator.hpp"
#include "solvers/transport.hpp"
#include "therapy/cell_kill.hpp"
#include "therapy/drug_response.hpp"
#include "therapy/reference_cell.hpp"

namespace sanctuary {

/// One drug of a regimen on its way through the body and the piece.
struct DrugCourse {
  Drug drug;
  std::unique_ptr<PlasmaKinetics> plasma;
  std::unique_ptr<CellOperator> op;
  std::unique_ptr<TransportSolver> transport;
  std::unique_ptr<DrugResponse> response;
  std::vector<std::size_t> carriers;  ///< drugs that set this one free
  double starts = 0;                  ///< before this time there is none of it [s]
};

/// All drugs of a patient, stepped together: each drug's transport and what it does in the cells one after the other,
/// carriers before what they set free, then death by all of them; a step is kept or refused for all at once. Borrows
/// grid and network through the drugs' transport. Functions are collective unless they say otherwise.
class Regimen {
 public:
  /// The drugs come in an order in which carriers stand before their payload.
  Regimen(MPI_Comm comm, const Grid& grid, const EmbeddedNetwork* network, std::vector<Drug> drugs,
          CellPopulation cells, double relative_tolerance);
  Regimen(const Regimen&) = delete;
  Regimen& operator=(const Regimen&) = delete;

  [[nodiscard]] std::vector<DrugCourse>& courses() { return courses_; }
  [[nodiscard]] const std::vector<DrugCourse>& courses() const { return courses_; }
  [[nodiscard]] CellKill& kill() { return kill_; }
  [[nodiscard]] const CellKill& kill() const { return kill_; }

  /// Gives a drug its plasma course; `host_rate` [1/s] at which host interstitium far off follows unbound plasma.
  void set_plasma(std::size_t drug, double host_rate);
  /// Gives a drug its response, after plasma and transport are set: the typical concentration of both comes from the
  /// plasma course. In the order of the drugs.
  void set_response(std::size_t drug, std::vector<double> accessible, std::vector<double> site_factor);
  /// When the drugs are ready: opens the ledgers and sets up the reference cell.
  void open();

  /// Total concentration in plasma [mol/m^3], what carriers set free there included; local.
  [[nodiscard]] double plasma(std::size_t drug, double time) const;
  /// Times at which a concentration in plasma jumps or has a kink [s]; local.
  [[nodiscard]] const std::vector<double>& events() const { return events_; }
  /// A dose at the end of a step belongs to the next one: plasma is read up to here [s].
  void set_horizon(double time) { horizon_ = time; }

  /// Tries a step of all drugs; `report` of the worst. Then accept or refuse.
  [[nodiscard]] StepReport attempt(double time, double dt);
  void accept();
  void refuse();
  void forget_slopes();
  /// Starts a cycle at `time` with the cycling shares of now: see CellKill and DrugResponse.
  void start_cycle(std::vector<double> cycling_share);

  /// Hazards of the reference cell from t0 to t1 [drug][clone]; local.
  [[nodiscard]] std::vector<std::vector<double>> reference_hazards(double t0, double t1) const {
    return reference_->hazards(t0, t1);
  }

 private:
  MPI_Comm comm_;
  const Grid* grid_;
  std::vector<DrugCourse> courses_;
  CellKill kill_;
  double relative_tolerance_, horizon_ = 0;
  std::vector<double> events_;
  std::vector<char> tried_;
  std::unique_ptr<ReferenceCell> reference_;
};

}  // namespace sanctuary
