#pragma once
#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/deck.hpp"
#include "io/network_formats.hpp"
#include "solvers/grid.hpp"
#include "solvers/network/boundary_estimate.hpp"
#include "solvers/network/phase_separation.hpp"
#include "solvers/network/rheology.hpp"
#include "therapy/drug.hpp"
#include "therapy/pharmacodynamics.hpp"
#include "tissue/matrix.hpp"
#include "tissue/network_generator.hpp"
#include "tissue/oxygen_formulas.hpp"
#include "tissue/vasculature.hpp"
#include "tissue/vessel_dynamics.hpp"
#include "tissue/vessel_wall.hpp"

namespace sanctuary {

/// What is cut out of the body (docs/model.md).
enum class PieceKind { nodule, margin, interior };

/// Mechanisms that are on.
struct Switches {
  bool phase_separation = true, filtration = true, lymphatics = true, convection = true, matrix_conductivity = true,
       hindered_diffusion = true, wall_size_selectivity = true, intravascular_depletion = true, oxygen = true,
       cellular_uptake = true, matrix_binding = true, target_binding = true, drug_efflux = true, drug_sink = true,
       clone_resistance = true, quiescence = true, subgrid_exchange = true;
  bool intermittent_flow = false, vessel_compression = false;
};

/// One patient as plain SI numbers: all that the deck says, read once.
struct PatientSettings {
  PieceKind kind = PieceKind::nodule;
  double duration = 0, cycle = 0;  ///< [s]
  long seed = 0;
  GridSpec grid;
  std::string network_source;
  std::filesystem::path network_file;
  ReadOptions network_options;
  bool network_repair = false;
  std::optional<BoundaryEstimateSettings> boundary_estimate;  ///< none: boundary nodes stay as the file has them
  double boundary_estimate_margin = 0;                        ///< [m]
  double network_reference_pressure = 0;                      ///< [Pa]
  GeneratorSettings generator;                                ///< network.source = lattice
  VasculatureSettings vasculature;                            ///< network.source = generate
  Rheology rheology;
  SplitLaw split;
  double inlet_haematocrit = 0.45;
  double tumour_radius = 0;  ///< [m]
  std::array<double, 3> tumour_centre{};
  double tumour_density = 0, tumour_cell_volume = 0;  ///< [1/m^3], [m^3]
  double resistant_share = 0;                         ///< of the tumour cells at the start
  double doubling_time = 0;                           ///< of the untreated tumour [s]
  int host_wall = 1;                                  ///< wall number of a margin's host: -x, +x, -y, ...
  double host_depth = 0, host_density = 0, host_pressure = 0;
  MatrixSettings matrix;
  bool anchor = true;
  VesselWallSettings wall;
  IntermittencySettings intermittency;
  int oxygen_snapshots = 8;  ///< phases of the cycle at which oxygen is solved where flow is intermittent
  CompressionSettings compression;
  SolidStress solid_stress;
  OxygenSettings oxygen;
  CyclingLaw cycling;
  std::vector<Drug> drugs;
  double relative_tolerance = 0, first_step = 0, largest_step = 0;
  int retries = 0;
  Switches on;
  std::vector<double> output_times;  ///< [s], rising, within the run, its end included
  std::vector<std::string> output_fields;
  bool double_precision = false;
  double checkpoint_interval = 0;
  double rim_width = 0, perfusion_velocity = 0, viable_mask = 0, smallest_region = 0;
  int histogram_bins = 0;
};

/// Where the deck puts the tumour: a nodule, what lies beneath the host of a margin, or all of an interior piece.
[[nodiscard]] TumourRegion tumour_region(const Deck& deck, const Box& box);

/// Reads the settings and checks what concerns several keys at once. Throws InputError with file, line and remedy.
[[nodiscard]] PatientSettings patient_settings(const Deck& deck);

}  // namespace sanctuary
