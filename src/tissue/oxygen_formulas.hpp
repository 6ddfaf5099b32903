#pragma once
#include "base/deck.hpp"
#include "base/parameter.hpp"

namespace sanctuary {

/// Pascals in a millimetre of mercury.
inline constexpr double mmhg = 133.322387415;

/// Oxygen in blood. Amounts of oxygen are volumes: m^3 O2 per m^3.
struct BloodOxygen {
  double half_saturation = 38 * mmhg;  ///< P50 [Pa]
  double hill = 3;                     ///< Hill exponent n
  double capacity = 0.5;               ///< c0: oxygen bound by saturated red cells, per volume of red cells
  double solubility = 3.1e-5 / mmhg;   ///< alpha of plasma [1/Pa]
};
/// Hill saturation S(P) = P^n/(P^n + P50^n); 0 at P <= 0.
[[nodiscard]] double saturation(const BloodOxygen& blood, double pressure);
/// dS/dP [1/Pa].
[[nodiscard]] double saturation_slope(const BloodOxygen& blood, double pressure);
/// Content c(P, H) = c0 H S(P) + alpha P [1]; linear below P = 0.
[[nodiscard]] double oxygen_content(const BloodOxygen& blood, double pressure, double haematocrit);
/// dc/dP [1/Pa].
[[nodiscard]] double oxygen_content_slope(const BloodOxygen& blood, double pressure, double haematocrit);
/// Pressure [Pa] at which the blood holds `content`; inverse of oxygen_content to rounding (bracketed Newton).
[[nodiscard]] double oxygen_pressure(const BloodOxygen& blood, double content, double haematocrit);

/// Intravascular resistance K_res [Pa s/m^2] of a vessel of `diameter` [m]: P_blood - P_wall = K_res q', q' [m^2/s] the
/// oxygen leaving per length. Table of Secomb (GreensV4 IntravascRes.dat), linear between entries, constant outside.
[[nodiscard]] double intravascular_resistance(double diameter);

/// Michaelis-Menten use of oxygen M0 P/(P + P_cr) [1/s]; 0 at P <= 0.
[[nodiscard]] double oxygen_use(double maximum, double half_pressure, double pressure);
/// Its slope [1/(Pa s)]; at P <= 0 the slope at 0.
[[nodiscard]] double oxygen_use_slope(double maximum, double half_pressure, double pressure);

/// Section `oxygen` in SI.
struct OxygenSettings {
  BloodOxygen blood{};
  double use_tumour = 5e-4;                   ///< M0 [1/s] of tissue fully viable
  double use_host = 6.1e-5;                   ///< [1/s]
  double half_pressure = 1 * mmhg;            ///< P_cr [Pa]
  double krogh_coefficient = 4.2e-14 / mmhg;  ///< D alpha [m^2/(Pa s)]
  double tissue_solubility = 2.8e-5 / mmhg;   ///< [1/Pa]
  double inlet_pressure = 75 * mmhg;          ///< [Pa] of blood that enters
  double host_pressure = 40 * mmhg;           ///< [Pa] of surrounding host tissue
  double hypoxia_threshold = 10 * mmhg;       ///< [Pa]
};
[[nodiscard]] OxygenSettings oxygen_settings(const Deck& deck);

namespace oxygen {
inline constexpr Parameter half_saturation{.key = "oxygen.half_saturation",
                                           .unit = "mmHg",
                                           .value = 38,
                                           .range = {10, 80},
                                           .meaning = "P50 of haemoglobin (human blood: 26 to 27 mmHg)",
                                           .source = "Secomb GreensV4, SoluteParams.dat of the tumour sets (rat)"};
inline constexpr Parameter hill{.key = "oxygen.hill",
                                .value = 3,
                                .range = {1, 5},
                                .meaning = "Hill exponent of haemoglobin (human blood: 2.55 to 2.7)",
                                .source = "Secomb GreensV4, SoluteParams.dat of the tumour sets (rat)"};
inline constexpr Parameter capacity{.key = "oxygen.capacity",
                                    .value = 0.5,
                                    .range = {0.1, 1},
                                    .meaning = "Oxygen bound by saturated red cells, volume per volume of red cells",
                                    .source = "Secomb GreensV4, SoluteParams.dat"};
inline constexpr Parameter plasma_solubility{.key = "oxygen.plasma_solubility",
                                             .unit = "1/mmHg",
                                             .value = 3.1e-5,
                                             .range = {1e-6, 1e-3},
                                             .meaning = "Solubility of oxygen in blood, volume per volume",
                                             .source = "Secomb GreensV4, SoluteParams.dat"};
inline constexpr Parameter tissue_solubility{.key = "oxygen.tissue_solubility",
                                             .unit = "1/mmHg",
                                             .value = 2.8e-5,
                                             .range = {1e-6, 1e-3},
                                             .meaning = "Solubility of oxygen in tissue, volume per volume",
                                             .source = "tumorcode oxygen parameter sets"};
inline constexpr Parameter use_tumour{.key = "oxygen.use.tumour",
                                      .unit = "1/s",
                                      .value = 5e-4,
                                      .range = {0, 1e-2},
                                      .meaning = "Largest use of oxygen M0 of fully viable tumour, volume per volume",
                                      .source = "Secomb GreensV4, Tumor_FaDu1012 SoluteParams.dat"};
inline constexpr Parameter use_host{.key = "oxygen.use.host",
                                    .unit = "1/s",
                                    .value = 6.1e-5,
                                    .range = {0, 1e-2},
                                    .meaning = "Largest use of oxygen M0 of host tissue, volume per volume",
                                    .source = "Fredrich, Welter & Rieger (tumorcode parameterSetsO2_generic.py)"};
inline constexpr Parameter half_pressure{.key = "oxygen.half_pressure",
                                         .unit = "mmHg",
                                         .value = 1,
                                         .range = {0.05, 20},
                                         .meaning = "P_cr at which the use of oxygen is half of M0",
                                         .source = "Secomb GreensV4, SoluteParams.dat of the tumour sets"};
inline constexpr Parameter krogh_coefficient{.key = "oxygen.krogh_coefficient",
                                             .unit = "cm^2/(mmHg s)",
                                             .value = 4.2e-10,
                                             .range = {1e-11, 1e-8},
                                             .meaning = "D alpha of oxygen in tissue",
                                             .source = "Secomb 2004 tumour runs, GreensV4 SoluteParams.dat"};
inline constexpr Parameter inlet_pressure{.key = "oxygen.inlet_pressure",
                                          .unit = "mmHg",
                                          .value = 75,
                                          .range = {1, 500},
                                          .meaning = "pO2 of blood that enters where the network file gives none",
                                          .source = "tumorcode min(100, 55 + radius/um) at a radius of 20 um"};
inline constexpr Parameter host_pressure{.key = "oxygen.host_pressure",
                                         .unit = "mmHg",
                                         .value = 40,
                                         .range = {1, 150},
                                         .meaning = "pO2 of the host tissue around the piece",
                                         .source = "assumed: pO2 of venous blood"};
inline constexpr Parameter hypoxia_threshold{.key = "oxygen.hypoxia_threshold",
                                             .unit = "mmHg",
                                             .value = 10,
                                             .range = {0.1, 40},
                                             .meaning = "pO2 under which tissue counts as hypoxic (HF10)",
                                             .source = "choice"};
}  // namespace oxygen

/// Parameters of section `oxygen`.
const Catalogue& oxygen_parameters();

}  // namespace sanctuary
