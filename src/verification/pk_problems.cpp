#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.hpp"
#include "therapy/plasma_kinetics.hpp"
#include "verification/problems.hpp"

namespace sanctuary::verification {

VerificationResult plasma_pk(MPI_Comm comm, const Path& reference) {
  VerificationResult result;
  result.question =
      "the plasma of four antibodies against closed forms, and that of doxorubicin against dose over clearance?";
  constexpr double litre = 1e-3, hour = 3600, day = 24 * hour;
  struct Antibody {
    const char* name;
    double clearance, volume1, flow, volume2, dose;  // [L/d], [L], [L/d], [L], [mg]: drug_params/pk.csv
  };
  constexpr Antibody antibodies[] = {{"pembrolizumab", 0.22, 3.48, 0.795, 4.06, 200},
                                     {"T-DXd", 0.421, 2.77, 0.199, 5.16, 5.4 * 57.8},
                                     {"bevacizumab", 0.0086 * 24, 2.678, 0.0186 * 24, 2.423, 15 * 70},
                                     {"atezolizumab", 0.23, 3.25, 0.603, 2.88, 1200}};
  const Table table = read_table(comm, reference / "analytic" / "pk_two_compartment_typical.csv");
  const std::size_t drug = table.column("drug"), time = table.column("t_day"), level = table.column("C_ug_per_mL"),
                    fast = table.column("t_half_alpha_d"), slow = table.column("t_half_beta_d");
  double compared = 0;
  for (const Antibody& antibody : antibodies) {
    std::vector<Dose> doses;
    for (int i = 0; i < 6; ++i) doses.push_back({i * 21 * day, hour / 2, antibody.dose});
    const PlasmaKinetics kinetics({.clearance = antibody.clearance * litre / day,
                                   .volume = antibody.volume1 * litre,
                                   .flow = {antibody.flow * litre / day, 0},
                                   .peripheral = {antibody.volume2 * litre, 0}},
                                  doses);
    double error = 0, half_life_error = 0;
    for (std::size_t row = 0; row < table.rows.size(); ++row) {
      if (!table.rows[row][drug].starts_with(antibody.name)) continue;
      const double expected = table.number(row, level);
      error = std::max(error, std::abs(kinetics.concentration(table.number(row, time) * day) * 1e-3 / expected - 1));
      const double found[] = {std::numbers::ln2 / kinetics.rates()[0] / day,
                              std::numbers::ln2 / kinetics.rates()[1] / day};
      half_life_error = std::max({half_life_error, std::abs(found[0] / table.number(row, fast) - 1),
                                  std::abs(found[1] / table.number(row, slow) - 1)});
      compared += 1;
    }
    result.at_most(std::string(antibody.name) + ": concentration, relative", error, 1e-8);
    result.at_most(std::string(antibody.name) + ": half-lives, relative", half_life_error, 1e-7);
  }
  result.at_least("rows compared", compared, 52);

  const PlasmaModel doxorubicin{.clearance = 62.4 * litre / hour,
                                .volume = 17.7 * litre,
                                .flow = {50.7 * litre / hour, 28.4 * litre / hour},
                                .peripheral = {1830 * litre, 71 * litre}};
  const PlasmaKinetics kinetics(doxorubicin, {{0, 900, 1e-4}});
  result.at_most("doxorubicin, three compartments: area against dose / clearance",
                 std::abs(kinetics.area(0, 1e9) * doxorubicin.clearance / 1e-4 - 1), 1e-12);
  return result;
}

}  // namespace sanctuary::verification
