#pragma once
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/checkpoint.hpp"
#include "io/run_file.hpp"
#include "outcomes/sanctuary.hpp"
#include "patient/settings.hpp"
#include "therapy/regimen.hpp"
#include "tissue/interstitium.hpp"
#include "tissue/oxygen.hpp"

namespace sanctuary {

/// How well the amounts of one species close in one compartment.
struct BalanceEntry {
  std::string species, compartment;
  double start = 0, in = 0, out = 0, in_place = 0;  ///< amounts, cumulated since the start
  double error = 0;                                 ///< |start + in - out - in place| over the cumulative inflow
  double allowed = 1e-6;
};

/// One patient on one communicator: builds the modules from the settings, brings flow, pressure and oxygen to their
/// steady state, and carries the treatment forward step by step. Collective throughout.
class Patient {
 public:
  /// Reads or makes the network and sets up grid and solvers. Throws InputError for what the deck got wrong.
  Patient(MPI_Comm comm, PatientSettings settings);
  ~Patient();
  Patient(const Patient&) = delete;
  Patient& operator=(const Patient&) = delete;

  /// Blood flow, interstitial pressure, oxygen, cycling shares; then the drugs' transport is set up.
  void establish_baseline();
  /// What the solves of `establish_baseline` found, for a file; reading wants the same views filled. Before treatment.
  void with_baseline(const std::function<void(Checkpoint&)>& use);
  /// Puts a new patient into the state that `establish_baseline` would leave, without a solve, once the views of
  /// `with_baseline` are filled: to the last bit from a baseline of as many ranks. Drugs are this patient's own.
  void restore_baseline(const Checkpoint& baseline);
  /// One accepted step of the treatment, at most to the next dose, output time or the end. Throws NumericsError when a
  /// step fails after every retry.
  void advance();
  [[nodiscard]] double time() const { return time_; }
  [[nodiscard]] bool finished() const { return time_ >= settings_.duration; }
  /// True if the present time is an output time.
  [[nodiscard]] bool at_output() const;

  /// Ledgers of every species and compartment. Collective.
  [[nodiscard]] std::vector<BalanceEntry> balance() const;
  /// Throws NumericsError that names species, compartment and error when a ledger does not close.
  void check_balance() const;

  /// What goes into the files.
  [[nodiscard]] GridLayout layout() const;
  [[nodiscard]] LocalBox box() const;
  [[nodiscard]] NetworkLayout network_layout() const;
  /// Calls `use` with the fields and network data of the present time (valid during the call).
  void with_output(const std::function<void(std::span<const FieldOutput>, std::span<const NetworkOutput>)>& use) const;
  /// Fields that do not change.
  void with_constants(const std::function<void(std::span<const FieldOutput>)>& use) const;
  [[nodiscard]] const std::vector<double>& series_time() const { return series_time_; }
  [[nodiscard]] const Columns& series() const { return series_; }
  /// Scalar endpoints, sanctuaries and ledgers of the present time.
  struct Findings {
    nlohmann::json outcome, summary;
    std::vector<std::string> remarks;
  };
  [[nodiscard]] Findings findings() const;
  void with_groups(const std::function<void(std::span<const GroupOutput>)>& use) const;

  /// The state for a checkpoint; restoring wants the same views filled.
  void with_checkpoint(const std::function<void(Checkpoint&)>& use);
  void restored(const Checkpoint& checkpoint);

  [[nodiscard]] const PatientSettings& settings() const { return settings_; }
  [[nodiscard]] const FluidState& fluid() const { return fluid_; }
  [[nodiscard]] const OxygenState& oxygen() const { return oxygen_; }
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }
  [[nodiscard]] long steps() const { return steps_; }
  [[nodiscard]] const std::map<std::string, double>& timing() const { return timing_; }
  /// The drugs; null without.
  [[nodiscard]] Regimen* regimen() { return regimen_.get(); }
  /// Cycles of treatment are counted from 1; the present one started at [s].
  [[nodiscard]] int cycle() const { return cycle_; }
  [[nodiscard]] double cycle_start() const { return cycle_start_; }
  /// Distance of each owned cell to the nearest perfused vessel [m]; empty without vessels.
  [[nodiscard]] const std::vector<double>& distance_to_vessel() const { return distance_to_vessel_; }
  [[nodiscard]] const EmbeddedNetwork* network() const { return embedded_.get(); }

  /// Takes another solid stress, as after digestion of the matrix; `establish_baseline` then settles the vessels anew
  /// from their present radii: what has collapsed opens later than it closed. Only before the treatment begins.
  void set_solid_stress(const SolidStress& stress) { settings_.solid_stress = stress; }
  /// Blood flow and steady oxygen of one instant.
  struct Instant {
    BloodFlow blood;
    OxygenState oxygen;
  };
  /// The flow that intermittency gives at a clock time [s] and the oxygen that is steady on it, at the present use; the
  /// state of the patient stays as it is. Without intermittent flow that of any time. Collective.
  [[nodiscard]] Instant instant(double time);
  /// Share of the snapshots in which oxygen lies under 5 mmHg in each own cell; empty without intermittent flow.
  [[nodiscard]] const std::vector<double>& time_below_5() const { return below_[2]; }
  /// Plasma that the tumour's vessels lose on balance, plasma and blood that enter them from outside and from vessels
  /// of the host, plasma that leaves them that way [m^3/s], mass of the tumour [kg].
  struct TumourFluid {
    double filtration = 0, plasma_in = 0, plasma_out = 0, blood_in = 0, mass = 0;
  };
  /// Fluid of the tumour alone, without that of the host. Collective.
  [[nodiscard]] TumourFluid tumour_fluid() const;
  [[nodiscard]] const IntermittentNetwork* intermittency() const { return intermittent_.get(); }

 private:
  [[nodiscard]] bool tumour_at(const std::array<long, 3>& cell) const;
  [[nodiscard]] double depth_of(const std::array<double, 3>& point) const;
  [[nodiscard]] bool host_wall(int wall) const;
  void load_network();
  [[nodiscard]] VesselGraph mended_network();
  static void check_geometry(const std::string& name, const VesselGraph& share, const Box& box, const Box& extent);
  void set_up_tissue();
  void solve_baseline();
  void begin_treatment();
  void find_homes();
  void make_compressed();
  void restore_vessels(const Checkpoint& baseline);
  void solve_oxygen();
  [[nodiscard]] OxygenSolver& oxygen_solver();
  void settle_flow(FluidSolver& solver);
  void settle_compression(FluidSolver& solver);
  void settle_intermittency(FluidSolver& solver);
  [[nodiscard]] Walls oxygen_walls() const;
  [[nodiscard]] std::vector<double> oxygen_use() const;
  [[nodiscard]] OxygenState copy_of_oxygen() const;
  [[nodiscard]] BloodFlow blood_of_the_moment() const;
  void solve_oxygen_snapshots(const Walls& walls, const std::vector<double>& use);
  [[nodiscard]] double blood_inflow() const;
  [[nodiscard]] double perfused_fraction() const;
  /// True if blood moves fast enough in an own piece.
  [[nodiscard]] bool is_perfused(std::size_t piece) const;
  void add_filtration_findings(nlohmann::json& outcome) const;
  void add_vessel_findings(nlohmann::json& outcome) const;
  /// What a drug meets in the tumour, means over it.
  struct DrugFigures {
    double wall_permeability = 0, wall_reflection = 0, diffusivity = 0, accessible = 0, retardation = 0;
  };
  /// A drug that kills, or all of them together: what sanctuaries are found for, and what earlier cycles left.
  struct Judged {
    std::string name = {};
    std::vector<std::size_t> drugs = {};
    std::vector<double> in_s1 = {}, time_in_s1 = {};  // 1 where in S1 in every earlier cycle; unbroken time in it [s]
  };
  void set_up_drugs();
  void set_up_drug(std::size_t drug);
  void set_up_exchange(std::size_t drug, const std::vector<double>& coefficient, const std::vector<double>& slowed);
  [[nodiscard]] WallTransport wall_of(const Drug& drug, double maturity) const;
  [[nodiscard]] FaceField carried_flow(const std::array<double, 2>& share) const;
  void measure_distances();
  void set_cycling_shares();
  void start_cycle();
  [[nodiscard]] double cycle_end() const;
  void record_series(double dt);
  [[nodiscard]] double next_stop() const;
  [[nodiscard]] double survival(std::size_t cell) const;
  [[nodiscard]] double greatest_kill() const;
  [[nodiscard]] std::vector<double> viable_density() const;
  [[nodiscard]] std::vector<double> cycle_density() const;
  [[nodiscard]] Sanctuary sanctuary(const Judged& judged) const;
  [[nodiscard]] nlohmann::json sanctuary_json(const Sanctuary& found) const;
  [[nodiscard]] nlohmann::json exposure_json(std::size_t drug) const;

  MPI_Comm comm_;
  PatientSettings settings_;
  Grid grid_;
  CutNetwork cut_;
  std::unique_ptr<EmbeddedNetwork> embedded_;
  std::unique_ptr<FlowSolver> flow_;
  std::vector<char> tumour_;           // of each owned cell
  std::vector<double> depth_;          // under the tumour's edge [m]
  std::vector<double> density_start_;  // viable tumour cells before treatment [1/m^3]
  std::vector<double> cycling_share_;
  FluidTissue fluid_tissue_;
  FluidWall fluid_wall_;
  double anchor_tumour_ = 1, anchor_host_ = 1;
  FluidState fluid_;
  std::unique_ptr<OxygenSolver> oxygen_solver_;
  OxygenState oxygen_;
  std::unique_ptr<SegmentHomes> homes_;
  std::unique_ptr<CompressedVessels> compressed_;
  std::unique_ptr<IntermittentNetwork> intermittent_;
  std::vector<double> open_wall_;             // conductance of the walls of the own pieces while they are open
  double perfused_open_ = 0;                  // perfused fraction with every vessel open
  double mean_over_full_ = 1;                 // inflow of blood over that without intermittency
  std::array<std::vector<double>, 4> below_;  // share of the snapshots under each limit of oxygen, of each owned cell
  double kill_at_oxygen_ = 0;                 // largest -ln of a survival when oxygen was solved last

  std::unique_ptr<Regimen> regimen_;
  std::vector<DrugFigures> figures_;  // of each drug
  std::vector<Judged> judged_;
  std::vector<double> distance_to_vessel_, distance_to_edge_;  // of the owned cells [m]
  int cycle_ = 1;
  double cycle_start_ = 0;
  nlohmann::json finished_cycles_ = nlohmann::json::object();

  double time_ = 0, dt_ = 0;
  long steps_ = 0, rejected_ = 0, newton_ = 0, linear_ = 0;
  double undershoot_ = 0;
  std::vector<double> series_time_;
  Columns series_;
  std::vector<std::string> notes_;
  std::size_t notes_of_set_up_ = 0;  // the first of the notes
  bool has_baseline_ = false;
  mutable std::map<std::string, double> timing_;
};

}  // namespace sanctuary
