#pragma once
#include <span>

#include "base/parameter.hpp"

namespace sanctuary {

/// How red cells divide where a vessel branches.
enum class SplitForm {
  pries_2005,   ///< Pries & Secomb 2005/2008 (Secomb NetFlowV2)
  pries_1989,   ///< Pries 1989/90 (tumorcode)
  proportional  ///< in proportion to the flow: no phase separation
};

/// What to do with three and more daughters.
enum class ManyDaughters {
  /// Sequential bifurcations: daughters leave in order of rising flow (then rising diameter) against the rest, for
  /// which
  /// the widest daughter left stands, also as the parent of the next split. Daughters equal in both share equally.
  /// A jump is possible where two flows cross.
  sequential,
  /// Each daughter against all others (their mean diameter by flow) as one bifurcation, the shares scaled to sum to
  /// one:
  /// continuous in the flows, also where one of them comes to rest.
  each_against_rest
};

/// A law of phase separation.
struct SplitLaw {
  SplitForm form = SplitForm::pries_2005;
  ManyDaughters many = ManyDaughters::each_against_rest;
  double highest_haematocrit =
      0.9;  ///< no daughter above it, unless the inflow already is; the excess goes to the others
};

/// Share of the red cells [1] that enters daughter `a` with the share `flow_share` of the blood; diameters [m] as they
/// are, not scaled to human cells (as Secomb NetFlowV2). The shares of both daughters sum to one.
[[nodiscard]] double red_cell_share(SplitForm form, double flow_share, double inflow_haematocrit,
                                    double parent_diameter, double diameter_a, double diameter_b);

/// Discharge haematocrit of every outflow of a node, whatever their number. `inflow_haematocrit` is that of the mixed
/// inflow, `parent_diameter` [m] the widest inflow's, `out_flow` [m^3/s] not negative. Sum of out_flow x
/// out_haematocrit equals the inflow of cells to rounding; the order of the daughters changes nothing. A daughter
/// without flow gets the inflow's haematocrit. Lowers no value below zero, lifts none above max(highest_haematocrit,
/// inflow_haematocrit).
void split_red_cells(const SplitLaw& law, double inflow_haematocrit, double parent_diameter,
                     std::span<const double> out_flow, std::span<const double> out_diameter,
                     std::span<double> out_haematocrit);

namespace blood {
inline constexpr Parameter split_form{.key = "blood.phase_separation",
                                      .kind = Kind::choice,
                                      .text = "pries_2005",
                                      .choices = "pries_2005|pries_1989|proportional",
                                      .meaning = "Law by which red cells divide at a branching",
                                      .source = "Pries & Secomb 2005/2008 as in Secomb NetFlowV2; Pries 1989"};
inline constexpr Parameter many_daughters{
    .key = "blood.many_daughters",
    .kind = Kind::choice,
    .text = "each_against_rest",
    .choices = "sequential|each_against_rest",
    .meaning =
        "Rule for three and more outflows of a node: a chain of bifurcations by rising flow, or a continuous rule",
    .source = "Secomb NetFlowV2, dishem_generalized.cpp (chain); the order by flow and the continuous rule: choice"};
inline constexpr Parameter highest_haematocrit{
    .key = "blood.highest_haematocrit",
    .value = 0.9,
    .range = {0.5, 0.99},
    .meaning = "No branch gets more than this; the red cells above it go to the other branches",
    .source = "assumed: packed red cells; tumorcode clamps at 1, the mesentery reference stays under 0.80"};
}  // namespace blood

}  // namespace sanctuary
