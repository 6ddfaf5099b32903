#pragma once
#include "base/parameter.hpp"

namespace sanctuary {

/// Every parameter of the program, module by module.
const Catalogue& program_catalogue();

namespace patient {
inline constexpr Parameter kind{
    .key = "patient.kind",
    .kind = Kind::choice,
    .text = "nodule",
    .choices = "nodule|margin|interior",
    .meaning =
        "What is cut out of the body: a whole nodule in host tissue, the margin of a large lesion, or its interior",
    .source = "choice"};
inline constexpr Parameter duration{.key = "patient.duration",
                                    .unit = "h",
                                    .value = 24,
                                    .range = {0, 1e5},
                                    .meaning = "Time simulated from the start of treatment",
                                    .source = "choice"};
inline constexpr Parameter cycle{.key = "patient.cycle",
                                 .unit = "d",
                                 .value = 21,
                                 .range = {0.01, 365},
                                 .meaning = "Length of a treatment cycle; a shorter run reports sanctuaries to date",
                                 .source = "assumed: three-weekly doxorubicin"};
inline constexpr Parameter seed{.key = "patient.seed",
                                .kind = Kind::integer,
                                .value = 1,
                                .range = {0, 9007199254740992.0},
                                .meaning = "Seed of everything drawn for this patient",
                                .source = "choice"};
}  // namespace patient

namespace grid {
inline constexpr Parameter cells{.key = "grid.cells",
                                 .kind = Kind::numbers,
                                 .range = {1, 1e5},
                                 .text = "64, 64, 64",
                                 .meaning = "Cells along x, y, z (one number: a cube)",
                                 .source = "choice"};
inline constexpr Parameter spacing{.key = "grid.spacing",
                                   .kind = Kind::numbers,
                                   .unit = "um",
                                   .range = {0.01, 1e5},
                                   .text = "20 um",
                                   .meaning = "Size of a cell along x, y, z (one length: a cube)",
                                   .source = "choice"};
inline constexpr Parameter origin{.key = "grid.origin",
                                  .kind = Kind::numbers,
                                  .unit = "um",
                                  .range = {-1e7, 1e7},
                                  .text = "0, 0, 0 um",
                                  .meaning = "Corner of the box",
                                  .source = "choice"};
}  // namespace grid

namespace network {
inline constexpr Parameter source{
    .key = "network.source",
    .kind = Kind::choice,
    .text = "generate",
    .choices = "generate|lattice|file|none",
    .meaning = "Where the vessels come from: grown (generate), plain test network (lattice), file, none",
    .source = "choice"};
inline constexpr Parameter file{.key = "network.file",
                                .kind = Kind::path,
                                .meaning = "Vessel network to read (network.source = file)",
                                .source = "choice"};
inline constexpr Parameter format{.key = "network.format",
                                  .kind = Kind::choice,
                                  .text = "auto",
                                  .choices = "auto|dat|dgf|vtp|csv|hdf5",
                                  .meaning = "Format of the file; auto: by its extension",
                                  .source = "choice"};
inline constexpr Parameter length_unit{
    .key = "network.length_unit",
    .kind = Kind::text,
    .meaning = "Unit of positions and lengths where neither format nor file states it",
    .source = "choice"};
inline constexpr Parameter radius_unit{.key = "network.radius_unit",
                                       .kind = Kind::text,
                                       .meaning = "Unit of radii; empty: as length_unit",
                                       .source = "choice"};
inline constexpr Parameter pressure_unit{.key = "network.pressure_unit",
                                         .kind = Kind::text,
                                         .meaning = "Unit of boundary pressures where the format leaves it open",
                                         .source = "choice"};
inline constexpr Parameter flow_unit{.key = "network.flow_unit",
                                     .kind = Kind::text,
                                     .meaning = "Unit of boundary flows where the format leaves it open",
                                     .source = "choice"};
inline constexpr Parameter flow_factor{.key = "network.flow_factor",
                                       .value = 1,
                                       .range = {1e-6, 1e6},
                                       .meaning = "Multiplies all flows of a .dat file (R3230Ac: 1.333)",
                                       .source = "choice"};
inline constexpr Parameter radius_name{.key = "network.radius_name",
                                       .kind = Kind::text,
                                       .meaning = "Array of a .vtp file that holds the radius",
                                       .source = "choice"};
inline constexpr Parameter maturity{.key = "network.maturity",
                                    .value = 0,
                                    .range = {0, 1},
                                    .meaning = "Maturity of segments for which the file gives none",
                                    .source = "assumed: immature, as in tumours"};
inline constexpr Parameter repair{
    .key = "network.repair",
    .kind = Kind::flag,
    .value = 0,
    .range = {0, 1},
    .meaning = "Repair what is wrong with the network (each change is reported); off: refuse it",
    .source = "choice"};
inline constexpr Parameter reference_pressure{
    .key = "network.reference_pressure",
    .unit = "mmHg",
    .value = 15,
    .range = {0, 200},
    .meaning = "Pressure given to the largest outlet where a network has boundary flows alone",
    .source = "assumed: venular pressure"};
}  // namespace network

namespace tumour {
inline constexpr Parameter radius{.key = "tumour.radius",
                                  .unit = "um",
                                  .value = 450,
                                  .range = {1, 1000},
                                  .meaning = "Radius of a nodule",
                                  .source = "choice"};
inline constexpr Parameter centre{.key = "tumour.centre",
                                  .kind = Kind::numbers,
                                  .unit = "um",
                                  .range = {-1e7, 1e7},
                                  .meaning = "Centre of a nodule; empty: the middle of the box",
                                  .source = "choice"};
inline constexpr Parameter cell_density{.key = "tumour.cell_density",
                                        .unit = "cells/cm^3",
                                        .value = 1e9,
                                        .range = {0, 1e10},
                                        .meaning = "Viable tumour cells per volume of tumour",
                                        .source = "Eikenberry 2009, Theor Biol Med Model 6:16 (1e12 cells/L)"};
inline constexpr Parameter cell_volume{.key = "tumour.cell_volume",
                                       .unit = "um^3",
                                       .value = 600,
                                       .range = {10, 1e5},
                                       .meaning = "Volume of a tumour cell",
                                       .source = "derived: 1e9 cells/cm^3 and a porosity of 0.4"};
inline constexpr Parameter resistant_share{
    .key = "tumour.resistant_share",
    .value = 0,
    .range = {0, 1},
    .meaning =
        "Share of the resistant clone in the tumour cells at the start; drug.*.resistance_fold says what it resists",
    .source = "assumed: none"};
inline constexpr Parameter doubling_time{
    .key = "tumour.doubling_time",
    .unit = "d",
    .value = 100,
    .range = {0.5, 1000},
    .meaning = "Doubling time of the untreated tumour, against which death is held for a net-growth sanctuary (S0)",
    .source = "assumed: within the 40 to 300 d of human tumours"};
}  // namespace tumour

namespace host {
inline constexpr Parameter face{.key = "host.face",
                                .kind = Kind::choice,
                                .text = "+x",
                                .choices = "-x|+x|-y|+y|-z|+z",
                                .meaning = "Wall at which the host lies (margin piece)",
                                .source = "choice"};
inline constexpr Parameter depth{.key = "host.depth",
                                 .unit = "um",
                                 .value = 500,
                                 .range = {500, 1e5},
                                 .meaning = "Thickness of the host tissue of a margin piece",
                                 .source = "choice: at least 0.5 mm by definition"};
inline constexpr Parameter cell_density{.key = "host.cell_density",
                                        .unit = "cells/cm^3",
                                        .value = 3e8,
                                        .range = {0, 1e10},
                                        .meaning = "Cells of host tissue that take up drug",
                                        .source = "assumed: sparser than tumour"};
inline constexpr Parameter pressure{.key = "host.pressure",
                                    .unit = "mmHg",
                                    .value = 0,
                                    .range = {-20, 20},
                                    .meaning = "Interstitial pressure of the host around the piece",
                                    .source = "assumed: normal tissue, near zero"};
}  // namespace host

namespace anchor {
inline constexpr Parameter filtration{
    .key = "vessel_wall.anchor",
    .kind = Kind::flag,
    .value = 1,
    .range = {0, 1},
    .meaning = "Scale L_p and P so that the network's mean L_p S/V is the declared product",
    .source = "choice: L_p of homogenised models belongs to their surface, not to a sparse network's"};
}  // namespace anchor

namespace transport {
inline constexpr Parameter relative_tolerance{.key = "transport.relative_tolerance",
                                              .value = 1e-3,
                                              .range = {1e-8, 0.1},
                                              .meaning = "Error allowed per time step, relative to the amount",
                                              .source = "choice"};
inline constexpr Parameter first_step{.key = "transport.first_step",
                                      .unit = "s",
                                      .value = 0.5,
                                      .range = {1e-6, 1e4},
                                      .meaning = "Time step after each start and end of an infusion",
                                      .source = "choice"};
inline constexpr Parameter largest_step{.key = "transport.largest_step",
                                        .unit = "s",
                                        .value = 3600,
                                        .range = {1e-3, 1e6},
                                        .meaning = "Longest time step",
                                        .source = "choice"};
inline constexpr Parameter retries{.key = "transport.retries",
                                   .kind = Kind::integer,
                                   .value = 12,
                                   .range = {1, 100},
                                   .meaning = "Attempts at one step, each shorter, before the run fails",
                                   .source = "choice"};
}  // namespace transport

namespace mechanisms {
#define SANCTUARY_SWITCH(name, says)                                                                                 \
  inline constexpr Parameter name {                                                                                  \
    .key = "mechanisms." #name, .kind = Kind::flag, .value = 1, .range = {0, 1}, .meaning = says, .source = "choice" \
  }
SANCTUARY_SWITCH(phase_separation, "M01: red cells divide unevenly at branchings; off: in proportion to flow");
SANCTUARY_SWITCH(filtration, "M04: plasma leaks through the wall and is lost by the blood; off: tight vessels");
SANCTUARY_SWITCH(lymphatics, "M05: lymph drains host tissue; off: none");
SANCTUARY_SWITCH(convection, "M06: fluid carries solutes through walls and tissue; off: diffusion alone");
SANCTUARY_SWITCH(matrix_conductivity, "M07: matrix composition sets K; off: the declared K");
SANCTUARY_SWITCH(hindered_diffusion, "M08: matrix hinders diffusion by size; off: D0 times tortuosity");
SANCTUARY_SWITCH(wall_size_selectivity,
                 "M09: pores sieve by size; off: every solute passes like a small one, without reflection");
SANCTUARY_SWITCH(intravascular_depletion,
                 "M13: blood loses solute along the vessels; off: plasma level in every perfused vessel");
SANCTUARY_SWITCH(oxygen, "M22: oxygen is solved; off: 60 mmHg everywhere");
SANCTUARY_SWITCH(cellular_uptake, "Cells take drug up; off: the effect site is the interstitial fluid");
SANCTUARY_SWITCH(matrix_binding, "M10: drug binds to fixed sites; off: none");
SANCTUARY_SWITCH(target_binding, "M12: drug binds to targets on tumour cells; off: none");
SANCTUARY_SWITCH(drug_efflux, "Pumps put drug out of cells (P-gp); off: none");
SANCTUARY_SWITCH(drug_sink,
                 "Cells and targets take from the fluid what they hold; off: they fill without taking from it");
SANCTUARY_SWITCH(clone_resistance, "Resistant clone; off: as sensitive as the other");
SANCTUARY_SWITCH(quiescence, "M25: hypoxic cells leave the cycle; off: cycling share as at 60 mmHg");
SANCTUARY_SWITCH(subgrid_exchange,
                 "M15: exchange corrected for the wall gradient that cells do not resolve; off: none");
#undef SANCTUARY_SWITCH
}  // namespace mechanisms

namespace output {
inline constexpr Parameter times{
    .key = "output.times",
    .kind = Kind::numbers,
    .unit = "h",
    .range = {0, 1e6},
    .text = "0, 1, 6, 24 h",
    .meaning = "Times at which fields are written, besides the ends of treatment cycles and of the run",
    .source = "choice"};
inline constexpr Parameter fields{.key = "output.fields",
                                  .kind = Kind::texts,
                                  .text = "all",
                                  .meaning = "Fields to write, by name; all: every one",
                                  .source = "choice"};
inline constexpr Parameter double_precision{.key = "output.double_precision",
                                            .kind = Kind::flag,
                                            .value = 0,
                                            .range = {0, 1},
                                            .meaning = "Write fields in double precision",
                                            .source = "choice"};
inline constexpr Parameter checkpoint_interval{.key = "output.checkpoint_interval",
                                               .unit = "s",
                                               .value = 120,
                                               .range = {0, 1e6},
                                               .meaning = "Wall time between checkpoints (also at every output time)",
                                               .source = "choice"};
}  // namespace output

namespace outcomes {
inline constexpr Parameter rim_width{.key = "outcomes.rim_width",
                                     .unit = "um",
                                     .value = 100,
                                     .range = {1, 1e4},
                                     .meaning = "Depth under the tumour's edge that counts as its rim",
                                     .source = "assumed: about the length over which pressure falls"};
inline constexpr Parameter perfusion_velocity{
    .key = "outcomes.perfusion_velocity",
    .unit = "um/s",
    .value = 10,
    .range = {0, 1e5},
    .meaning = "Mean velocity of blood above which a vessel counts as perfused",
    .source = "assumed: a fiftieth of capillary velocity"};
inline constexpr Parameter viable_mask{
    .key = "outcomes.viable_mask",
    .value = 0.05,
    .range = {0, 1},
    .meaning = "Volume fraction of viable tumour above which a cell of the grid counts",
    .source = "choice: definition of a sanctuary"};
inline constexpr Parameter smallest_region{
    .key = "outcomes.smallest_region",
    .unit = "um",
    .value = 50,
    .range = {0, 1e4},
    .meaning = "Edge of the cube below whose volume a region of a sanctuary is dropped",
    .source = "choice: definition of a sanctuary"};
inline constexpr Parameter histogram_bins{.key = "outcomes.histogram_bins",
                                          .kind = Kind::integer,
                                          .value = 50,
                                          .range = {2, 10000},
                                          .meaning = "Bins of the drug-volume histogram",
                                          .source = "choice"};
}  // namespace outcomes

}  // namespace sanctuary
