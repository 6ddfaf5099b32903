#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/comm.hpp"
#include "outcomes/distance_profile.hpp"
#include "outcomes/exposure.hpp"
#include "patient/patient.hpp"
#include "tissue/blood.hpp"

namespace sanctuary {
namespace {

constexpr double micromolar = 1e-3;  // mol/m^3
constexpr double hour = 3600;
constexpr double micron = 1e-6;
constexpr double nl_per_min = 6e13;  // per m^3/s

double positive(double x) { return std::max(x, 0.0); }

/// Numbers and flags of nested objects, their keys joined by '_'; without what has no value.
nlohmann::json flattened(const nlohmann::json& object, const std::string& before = {}) {
  nlohmann::json flat = nlohmann::json::object();
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) {
      flat.update(flattened(value, before + key + "_"));
    } else if (value.is_number() || value.is_boolean()) {
      flat[before + key] = value;
    }
  }
  return flat;
}

Columns region_columns(const std::vector<SanctuaryRegion>& table) {
  Columns columns;
  const auto add = [&](const std::string& name, const std::string& unit, const auto& value_of) {
    std::vector<double> values;
    for (const SanctuaryRegion& region : table) values.push_back(value_of(region));
    columns[name] = {unit, values};
  };
  add("volume", "mm^3", [](const auto& r) { return r.volume * 1e9; });
  add("viable_cells", "1", [](const auto& r) { return r.viable; });
  add("surviving_cells", "1", [](const auto& r) { return r.surviving; });
  add("share", "1", [](const auto& r) { return r.share; });
  const std::array<const char*, 3> axes{"x", "y", "z"};
  for (std::size_t a = 0; a < 3; ++a)
    add(std::string("centroid_") + axes[a], "um", [a](const auto& r) { return r.centroid[a] / micron; });
  add("log_kill", "1", [](const auto& r) { return r.log_kill; });
  add("nearest_vessel", "um", [](const auto& r) { return r.nearest_vessel / micron; });
  add("distance_to_vessel", "um", [](const auto& r) { return r.distance_to_vessel / micron; });
  add("distance_to_edge", "um", [](const auto& r) { return r.distance_to_edge / micron; });
  add("delivery", "1", [](const auto& r) { return r.delivery; });
  add("protection", "1", [](const auto& r) { return r.protection; });
  add("both", "1", [](const auto& r) { return r.both; });
  add("joint", "1", [](const auto& r) { return r.joint; });
  add("resistant", "1", [](const auto& r) { return r.resistant; });
  add("duration", "h", [](const auto& r) { return r.longest / hour; });
  return columns;
}

}  // namespace

void Patient::record_series(double dt) {
  std::vector<double> in_tumour(tumour_.begin(), tumour_.end());
  const std::vector<double> now = viable_density();
  double start = 0, alive = 0;
  for (std::size_t c = 0; c < now.size(); ++c) {
    start += density_start_[c];
    alive += now[c];
  }
  start = sum_over(comm_, start);
  alive = sum_over(comm_, alive);
  const auto push = [&](const std::string& name, const std::string& unit, double value) {
    Column& column = series_[name];
    column.unit = unit;
    column.values.push_back(value);
  };
  series_time_.push_back(time_);
  push("viable_share", "1", start > 0 ? alive / start : 0.0);
  push("step", "s", dt);
  for (std::size_t d = 0; regimen_ && d < settings_.drugs.size(); ++d) {
    const DrugCourse& course = regimen_->courses()[d];
    const DrugResponse& r = *course.response;
    const std::string& name = course.drug.name;
    const double plasma = regimen_->plasma(d, time_);
    const auto mean = [&](const char* of, const auto& value_of) {
      std::vector<double> values(now.size());
      for (std::size_t c = 0; c < values.size(); ++c) values[c] = value_of(c);
      push(name + of, "umol/L", weighted_mean(comm_, values, in_tumour) / micromolar);
    };
    push(name + "_plasma", "umol/L", plasma / micromolar);
    push(name + "_plasma_unbound", "umol/L", course.drug.unbound(plasma) / micromolar);
    // A payload is a drug of its own; any other metabolite stays in plasma.
    if (course.plasma->model().metabolite.fraction > 0 && course.drug.payload.empty())
      push(name + "_metabolite_plasma", "umol/L", course.plasma->metabolite(time_) / micromolar);
    const ReadAccess free(course.transport->cells());
    mean("_free_mean", [&](std::size_t c) { return free[c]; });
    mean("_cells_mean", [&](std::size_t c) { return r.in_cells(c); });
    mean("_bound_mean", [&](std::size_t c) { return r.binds_matrix() ? r.bound()[c] : 0.0; });
    if (r.has_target()) {
      mean("_complexes_mean", [&](std::size_t c) { return r.complexes()[c]; });
      mean("_internalised_mean", [&](std::size_t c) { return r.internalised()[c]; });
    }
    if (distance_to_vessel_.empty()) continue;
    // All drug in tissue by the distance from perfused vessels, in bins of a cell.
    std::vector<double> total(now.size());
    for (std::size_t c = 0; c < total.size(); ++c) total[c] = r.accessible()[c] * free[c] + r.immobile(c);
    const double width = *std::min_element(settings_.grid.spacing.begin(), settings_.grid.spacing.end());
    const double half = half_distance(distance_profile(comm_, distance_to_vessel_, total, in_tumour, width, 64));
    push(name + "_half_distance", "um", std::isfinite(half) ? half / micron : std::numeric_limits<double>::quiet_NaN());
  }
}

std::vector<BalanceEntry> Patient::balance() const {
  std::vector<BalanceEntry> all;
  const auto add = [&](BalanceEntry e, double inflow) {
    const double gap = std::abs(e.start + e.in - e.out - e.in_place);
    e.error = inflow > 0 ? gap / inflow : (gap > 0 ? 1.0 : 0.0);
    all.push_back(std::move(e));
  };
  if (embedded_) {
    const BloodFlow& b = fluid_.blood;
    std::array<double, 4> sums{};  // blood in, out; red cells in, out
    // What leaves through an outlet is what its pieces bring.
    const std::vector<double> arriving = b.red_cells_arriving(cut_);
    for (std::size_t n = 0; n < arriving.size(); ++n) {
      sums[b.inflow[n] > 0 ? 0 : 1] += std::abs(b.inflow[n]);
      sums[2] += b.red_inflow[n];
      if (b.inflow[n] < 0) sums[3] += arriving[n];
    }
    MPI_Allreduce(MPI_IN_PLACE, sums.data(), 4, MPI_DOUBLE, MPI_SUM, comm_);
    add({"blood", "network", 0, sums[0], sums[1] + fluid_.filtration, 0, 0, 1e-9}, sums[0]);
    all.push_back({"red cells", "network", 0, sums[2], sums[3], 0, b.red_cell_imbalance, 1e-9});
  }
  all.push_back(
      {"fluid", "interstitium", 0, fluid_.filtration, fluid_.drained + fluid_.walls, 0, fluid_.imbalance, 1e-9});
  if (settings_.on.oxygen) {
    BalanceEntry e{"oxygen",
                   "network and tissue",
                   0,
                   oxygen_.blood_in + oxygen_.walls_in,
                   oxygen_.blood_out + oxygen_.walls_out + oxygen_.used,
                   0,
                   oxygen_.imbalance,
                   1e-6};
    all.push_back(e);
  }
  for (std::size_t d = 0; regimen_ && d < settings_.drugs.size(); ++d) {
    const DrugCourse& course = regimen_->courses()[d];
    const std::string& name = course.drug.name;
    const TransportLedger& l = course.transport->ledger();
    const DrugResponse::Ledger& r = course.response->ledger();
    if (embedded_) {
      add({name, "network", l.network_start, l.blood_in + l.exchanged_out, l.blood_out + l.exchanged_in,
           course.transport->amount_in_network()},
          l.blood_in + l.exchanged_out);
    }
    // Gains and losses in the fluid are those that the other compartments book, so that a leak between two shows.
    const double into_cells =
        course.drug.sinks ? r.taken_up - r.given_back - r.released_by_death + (r.on_targets - r.off_targets) : 0.0;
    const double onto_sites = r.bound_in - r.bound_out;
    add({name, "interstitium", l.cells_start, l.exchanged_in + l.walls_in + r.set_free,
         l.exchanged_out + l.walls_out + l.drained + into_cells + onto_sites + r.released,
         course.transport->amount_in_cells()},
        l.exchanged_in + l.walls_in + r.set_free + positive(-into_cells));
    add({name, "cells", 0, r.taken_up + r.set_free_in_cells, r.given_back + r.released_by_death + r.degraded_in_cells,
         course.response->amount_in_cells()},
        r.taken_up + r.set_free_in_cells);
    add({name, "sites", 0, r.bound_in, r.bound_out + r.released_from_sites, course.response->amount_bound()},
        r.bound_in);
    if (course.response->has_target())
      add({name, "targets", 0, r.on_targets, r.off_targets + r.degraded, course.response->amount_on_targets()},
          r.on_targets);
    if (course.carriers.empty()) continue;
    double from_carriers = 0;
    for (const std::size_t other : course.carriers)
      from_carriers += regimen_->courses()[other].response->payload_released();
    add({name, "carriers", 0, from_carriers, r.set_free + r.set_free_in_cells, 0}, from_carriers);
  }
  return all;
}

void Patient::check_balance() const {
  for (const BalanceEntry& e : balance()) {
    if (e.error <= e.allowed) continue;
    char text[64];
    std::snprintf(text, sizeof text, "%.3g (allowed %.0e)", e.error, e.allowed);
    throw NumericsError("the balance of " + e.species + " in " + e.compartment + " does not close at " +
                        std::to_string(time_) + " s: error " + text + " of the cumulative inflow");
  }
}

void Patient::with_constants(const std::function<void(std::span<const FieldOutput>)>& use) const {
  const std::vector<double> label(tumour_.begin(), tumour_.end());
  const FieldOutput field{"tissue", "1", "0 host, 1 tumour", label, false};
  use({&field, 1});
}

void Patient::with_output(
    const std::function<void(std::span<const FieldOutput>, std::span<const NetworkOutput>)>& use) const {
  const std::size_t cells = grid_.local_cells();
  std::map<std::string, std::vector<double>> kept;
  std::vector<FieldOutput> fields;
  const auto wanted = [&](const std::string& name) {
    return std::any_of(settings_.output_fields.begin(), settings_.output_fields.end(),
                       [&](const std::string& f) { return f == "all" || f == name; });
  };
  const auto add = [&](const std::string& name, const std::string& unit, const std::string& meaning, auto&& value_of) {
    if (!wanted(name)) return;
    std::vector<double>& values = kept[name];
    values.resize(cells);
    for (std::size_t c = 0; c < cells; ++c) values[c] = value_of(c);
    fields.push_back({name, unit, meaning, values, settings_.double_precision});
  };
  const auto add_of_cycle = [&](const std::string& name, const std::string& unit, const std::string& meaning,
                                auto&& value_of) {
    add(name, unit, meaning, value_of);
    if (wanted(name)) fields.back().of_cycle = true;
  };
  const ReadAccess pressure(fluid_.pressure.get()), po2(oxygen_.cells.get());
  add("interstitial_pressure", "mmHg", "interstitial fluid pressure",
      [&](std::size_t c) { return pressure[c] / mmhg; });
  add("interstitial_speed", "um/s", "speed of the interstitial fluid (Darcy)", [&](std::size_t c) {
    const auto p = grid_.place(c);
    double sum = 0;
    for (int axis = 0; axis < 3; ++axis) {
      const auto a = static_cast<std::size_t>(axis);
      std::array<long, 3> low{p[0] - grid_.start()[0], p[1] - grid_.start()[1], p[2] - grid_.start()[2]}, high = low;
      ++high[a];
      const double q = 0.5 * (fluid_.discharge[axis][fluid_.discharge.index(axis, low[0], low[1], low[2])] +
                              fluid_.discharge[axis][fluid_.discharge.index(axis, high[0], high[1], high[2])]);
      sum += std::pow(q / grid_.face_area(axis), 2);
    }
    return std::sqrt(sum) / micron;
  });
  add("oxygen_pressure", "mmHg", "partial pressure of oxygen", [&](std::size_t c) { return po2[c] / mmhg; });
  if (!time_below_5().empty()) {
    add("time_below_5", "1", "share of the time with oxygen under 5 mmHg",
        [&](std::size_t c) { return time_below_5()[c]; });
  }
  const std::vector<double> viable = viable_density();
  add("viable_density", "1/mm^3", "viable tumour cells", [&](std::size_t c) { return viable[c] * 1e-9; });
  add("cycling_share", "1", "share of viable tumour cells in cycle at the start",
      [&](std::size_t c) { return tumour_[c] ? cycling_share_[c] : 0.0; });
  if (!distance_to_vessel_.empty()) {
    add("distance_to_vessel", "um", "distance to the nearest perfused vessel",
        [&](std::size_t c) { return distance_to_vessel_[c] / micron; });
  }
  for (std::size_t d = 0; regimen_ && d < settings_.drugs.size(); ++d) {
    const DrugCourse& course = regimen_->courses()[d];
    const std::string& name = course.drug.name;
    const ReadAccess free(course.transport->cells());
    const DrugResponse& r = *course.response;
    const auto amounts = [&](const std::string& key, const std::string& what, const auto& value_of) {
      add(name + key, "umol/L", what, [&](std::size_t c) { return value_of(c) / micromolar; });
    };
    const auto record = [&](const std::string& key, const std::string& what, const DrugResponse::Record& of) {
      add_of_cycle(name + "_auc" + key, "umol h/L", "area under " + what,
                   [&](std::size_t c) { return of.area[c] / (micromolar * hour); });
      add(name + "_cmax" + key, "umol/L", "largest value of " + what,
          [&](std::size_t c) { return of.peak[c] / micromolar; });
      add(name + "_time_above" + key, "h", "time above its threshold of " + what,
          [&](std::size_t c) { return of.above[c] / hour; });
    };
    amounts("_free", "free drug in interstitial fluid", [&](std::size_t c) { return free[c]; });
    record("", "the free concentration", r.free_record());
    if (r.binds_matrix()) {
      amounts("_bound", "drug bound to sites of the interstitium, per fluid",
              [&](std::size_t c) { return r.bound()[c]; });
      record("_bound", "the bound concentration", r.bound_record());
    }
    if (r.enters_cells()) {
      amounts("_cells", "drug in cells, per tissue", [&](std::size_t c) { return r.in_cells(c); });
      record("_cells", "the concentration in cells", r.cells_record());
    }
    if (r.has_target()) {
      amounts("_complexes", "drug on targets of cells, per tissue", [&](std::size_t c) { return r.complexes()[c]; });
      amounts("_internalised", "drug taken in with its target, per tissue",
              [&](std::size_t c) { return r.internalised()[c]; });
      add(name + "_occupancy", "1", "share of the targets on cells that drug holds", [&](std::size_t c) {
        const double all = r.free_targets()[c] + r.complexes()[c];
        return all > 0 ? r.complexes()[c] / all : 0.0;
      });
      record("_complexes", "the drug on targets", r.complexes_record());
      record("_internalised", "the drug taken in", r.internalised_record());
    }
  }
  for (const Judged& j : judged_) {
    if (!wanted(j.name + "_log_kill") && !wanted(j.name + "_sanctuary") && !wanted(j.name + "_net_growth")) continue;
    const Sanctuary found = sanctuary(j);
    add_of_cycle(j.name + "_log_kill", "1", "log10 kill of the cells of the cycle's start",
                 [&](std::size_t c) { return found.log_kill[c]; });
    add_of_cycle(j.name + "_sanctuary", "1",
                 "1 S1, 2 S2 (delivery), 4 S4 (protection), summed; -1 outside the viable tumour",
                 [&](std::size_t c) { return found.label[c]; });
    add_of_cycle(j.name + "_net_growth", "1", "1 where growth would make up for death over the cycle (S0)",
                 [&](std::size_t c) { return found.grows.empty() ? 0.0 : static_cast<double>(found.grows[c]); });
  }

  std::vector<NetworkOutput> network;
  std::vector<double> node_pressure, flow, haematocrit, piece_po2, radius, collapsed;
  std::vector<std::vector<double>> drug(settings_.drugs.size());
  if (embedded_) {
    const BloodFlow& blood = fluid_.blood;
    node_pressure = cut_.graph_node_order().gather(blood.pressure);
    for (double& p : node_pressure) p /= mmhg;
    flow = cut_.by_segment(blood.flow);
    for (double& q : flow) q *= nl_per_min;
    haematocrit = cut_.by_segment(blood.haematocrit);
    piece_po2 = cut_.by_segment(oxygen_.piece_pressure);
    for (double& p : piece_po2) p /= mmhg;
    network = {{"pressure", "mmHg", true, node_pressure},
               {"flow", "nl/min", false, flow},
               {"hematocrit", "1", false, haematocrit},
               {"pO2", "mmHg", false, piece_po2}};
    if (compressed_) {
      radius = cut_.by_segment(flow_->radius());
      for (double& r : radius) r /= micron;
      collapsed =
          cut_.by_segment(std::vector<double>(compressed_->collapsed().begin(), compressed_->collapsed().end()));
      network.push_back({"radius_in_use", "um", false, radius});
      network.push_back({"collapsed", "1", false, collapsed});
    }
    for (std::size_t d = 0; regimen_ && d < settings_.drugs.size(); ++d) {
      std::vector<double>& values = drug[d];
      values = cut_.by_segment(embedded_->piece_values(regimen_->courses()[d].transport->network()));
      for (double& c : values) c /= micromolar;
      network.push_back({settings_.drugs[d].name, "umol/L", false, values});
    }
  }
  use(fields, network);
}

nlohmann::json Patient::exposure_json(std::size_t d) const {
  const DrugCourse& course = regimen_->courses()[d];
  const DrugResponse& r = *course.response;
  const std::vector<double> weight = cycle_density();
  nlohmann::json j;
  const auto one = [&](const std::string& key, const std::string& unit_name, const std::vector<double>& value,
                       double unit) {
    const DoseVolume v = dose_volume(comm_, value, weight, 2);
    j[key + unit_name + "_mean"] = v.mean / unit;
    j[key + unit_name + "_a95"] = v.a95 / unit;
    j[key + unit_name + "_a50"] = v.a50 / unit;
  };
  const auto record = [&](const std::string& form, const DrugResponse::Record& of) {
    one("auc" + form, "_umol_h_L", of.area, micromolar * hour);
    one("cmax" + form, "_umol_L", of.peak, micromolar);
    one("time_above" + form, "_h", of.above, hour);
  };
  record("", r.free_record());
  if (r.binds_matrix()) record("_bound", r.bound_record());
  if (r.enters_cells()) record("_cells", r.cells_record());
  if (r.has_target()) {
    record("_complexes", r.complexes_record());
    record("_internalised", r.internalised_record());
  }
  double plasma = course.plasma->area(cycle_start_, time_);
  for (const std::size_t other : course.carriers)
    plasma += regimen_->courses()[other].plasma->metabolite_area(cycle_start_, time_);
  j["plasma_auc_umol_h_L"] = plasma / (micromolar * hour);
  if (course.plasma->model().metabolite.fraction > 0) {
    j["metabolite_plasma_auc_umol_h_L"] = course.plasma->metabolite_area(cycle_start_, time_) / (micromolar * hour);
  }
  return j;
}

nlohmann::json Patient::sanctuary_json(const Sanctuary& s) const {
  const auto part = [](const Part& p) { return nlohmann::json{{"volume_mm3", p.volume * 1e9}, {"share", p.share}}; };
  const auto length = [](double x) { return std::isfinite(x) ? nlohmann::json(x / micron) : nlohmann::json(); };
  nlohmann::json j{
      {"L_ref", s.reference_log_kill},    {"theta", s.threshold}, {"theta_relative", s.threshold_relative},
      {"direct_effect", s.direct_effect}, {"mask", part(s.mask)}, {"resistant_share_in_mask", s.resistant_in_mask},
      {"to_date", time_ < cycle_end()}};
  if (s.net_growth) {
    j["s0"] = part(*s.net_growth);
    j["s0_regions"] = s.net_growth_regions;
  }
  if (!s.direct_effect) return j;
  j.update({{"s1", part(s.s1)},
            {"s2", part(s.s2)},
            {"s4", part(s.s4)},
            {"delivery", part(s.delivery)},
            {"protection", part(s.protection)},
            {"both", part(s.both)},
            {"joint", part(s.joint)},
            {"rescued", part(s.rescued)},
            {"dropped", part(s.dropped)},
            {"regions", s.regions},
            {"largest_region_mm3", s.largest_region * 1e9},
            {"resistant_share_in_s1", s.resistant_in_s1},
            {"delivery_share", s.delivery.share},
            {"protection_share", s.protection.share},
            {"both_share", s.both.share},
            {"joint_share", s.joint.share},
            {"robustness",
             {{"half_theta", part(s.robustness[0])},
              {"theta", part(s.robustness[1])},
              {"twice_theta", part(s.robustness[2])}}}});
  if (s.persistent) j["s3"] = part(*s.persistent);
  if (s.duration) j["duration"] = {{"mean_h", s.duration->mean / hour}, {"longest_h", s.duration->longest / hour}};
  for (const auto& [key, found] : {std::pair{"distance_to_vessel", &s.to_vessel}, {"distance_to_edge", &s.to_edge}}) {
    if (!*found) continue;
    j[key] = {{"mean_um", length((*found)->mean)},
              {"median_um", length((*found)->median)},
              {"largest_um", length((*found)->largest)},
              {"without_share", (*found)->without}};
  }
  return j;
}

Patient::Findings Patient::findings() const {
  Findings out;
  auto& o = out.outcome;
  const std::size_t cells = grid_.local_cells();
  const std::vector<double> viable = viable_density();
  std::vector<double> in_tumour(tumour_.begin(), tumour_.end()), rim(cells, 0.0);
  for (std::size_t c = 0; c < cells; ++c) rim[c] = tumour_[c] && depth_[c] <= settings_.rim_width;
  std::vector<double> pressure(cells), po2(cells);
  {
    const ReadAccess p(fluid_.pressure.get()), o2(oxygen_.cells.get());
    for (std::size_t c = 0; c < cells; ++c) {
      pressure[c] = p[c] / mmhg;
      po2[c] = o2[c] / mmhg;
    }
  }
  const auto below = [&](double limit) {
    std::vector<double> hit(cells);
    for (std::size_t c = 0; c < cells; ++c) hit[c] = po2[c] < limit;
    return weighted_mean(comm_, hit, viable);
  };
  double volume = 0, start = 0, alive = 0;
  for (std::size_t c = 0; c < cells; ++c) {
    volume += in_tumour[c];
    start += density_start_[c];
    alive += viable[c];
  }
  volume = sum_over(comm_, volume) * grid_.cell_volume();
  start = sum_over(comm_, start);
  alive = sum_over(comm_, alive);
  o["time_h"] = time_ / hour;
  o["tumour_volume_mm3"] = volume * 1e9;
  o["viable_cells_start"] = start * grid_.cell_volume();
  o["viable_cells"] = alive * grid_.cell_volume();
  o["interstitial_pressure_mean_mmHg"] = weighted_mean(comm_, pressure, in_tumour);
  o["interstitial_pressure_max_mmHg"] = dose_volume(comm_, pressure, in_tumour, 2).highest;
  if (settings_.kind != PieceKind::interior) o["interstitial_pressure_rim_mmHg"] = weighted_mean(comm_, pressure, rim);
  if (settings_.on.oxygen) {
    o["oxygen_pressure_mean_mmHg"] = weighted_mean(comm_, po2, viable);
    o["oxygen_pressure_median_mmHg"] = reached_by(comm_, po2, viable, 0.5);
    o["hypoxic_fraction"] = below(settings_.oxygen.hypoxia_threshold / mmhg);
    o["hypoxic_fraction_10"] = below(10);
    o["hypoxic_fraction_5"] = below(5);
    o["hypoxic_fraction_2_5"] = below(2.5);
  }
  if (embedded_) {
    const BloodFlow& b = fluid_.blood;
    std::array<double, 3> sums{};
    auto& [length, perfused, inflow] = sums;
    for (std::size_t p = 0; p < cut_.own_pieces; ++p) {
      if (!tumour_at(cut_.piece_cell[p])) continue;
      length += cut_.piece_length[p];
      if (is_perfused(p)) perfused += cut_.piece_length[p];
    }
    for (std::size_t n = 0; n < cut_.own_nodes; ++n) inflow += positive(b.inflow[n]);
    MPI_Allreduce(MPI_IN_PLACE, sums.data(), 3, MPI_DOUBLE, MPI_SUM, comm_);
    o["vessel_length_density_mm_mm3"] = volume > 0 ? length / volume * 1e-6 : 0.0;
    o["perfused_fraction"] = length > 0 ? perfused / length : 0.0;
    o["blood_inflow_nl_per_min"] = inflow * nl_per_min;
    o["blood_flow_converged"] = b.converged;
    add_filtration_findings(o);
    add_vessel_findings(o);
  }
  double worst = 0;
  for (const BalanceEntry& e : balance()) {
    worst = std::max(worst, e.error / e.allowed);
    out.summary["balance"][e.species][e.compartment] = {{"start", e.start}, {"in", e.in},
                                                        {"out", e.out},     {"in_place", e.in_place},
                                                        {"error", e.error}, {"allowed", e.allowed}};
  }
  o["worst_balance_error_over_allowed"] = worst;
  if (regimen_) {
    o["log_kill"] = alive > 0 && start > 0 ? -std::log10(alive / start) : 0.0;
    long positive = 0;
    for (std::size_t d = 0; d < settings_.drugs.size(); ++d) {
      const std::string& name = settings_.drugs[d].name;
      const DrugFigures& figures = figures_[d];
      const nlohmann::json exposure = exposure_json(d);
      for (const auto& [key, value] : exposure.items()) o[name + "_" + key] = value;
      o[name + "_wall_permeability_cm_s"] = figures.wall_permeability * 100;
      o[name + "_wall_reflection"] = figures.wall_reflection;
      o[name + "_diffusivity_um2_s"] = figures.diffusivity * 1e12;
      o[name + "_accessible_fraction"] = figures.accessible;
      o[name + "_retardation"] = figures.retardation;
      positive += regimen_->courses()[d].response->positive_steps();
      auto& kept = out.summary["exposure"][name];
      kept = {
          {"cycle", cycle_}, {"start_h", cycle_start_ / hour}, {"to_date", time_ < cycle_end()}, {"last", exposure}};
      if (finished_cycles_.contains("exposure")) kept["cycles"] = finished_cycles_["exposure"][name];
    }
    for (const Judged& judged : judged_) {
      const Sanctuary s = sanctuary(judged);
      auto& j = out.summary["sanctuary"][judged.name];
      j = sanctuary_json(s);
      j["cycle"] = cycle_;
      j["start_h"] = cycle_start_ / hour;
      if (finished_cycles_.contains("sanctuary")) j["cycles"] = finished_cycles_["sanctuary"][judged.name];
      if (s.net_growth) o[judged.name + "_s0_share"] = s.net_growth->share;
      if (s.direct_effect) {
        for (const auto& [key, p] : {std::pair{"s1", s.s1}, {"s2", s.s2}, {"s4", s.s4}}) {
          o[judged.name + "_" + key + "_share"] = p.share;
          o[judged.name + "_" + key + "_volume_mm3"] = p.volume * 1e9;
        }
        if (s.persistent) o[judged.name + "_s3_share"] = s.persistent->share;
      } else {
        out.remarks.push_back(judged.name + ": log kill of the reference cell is " +
                              std::to_string(s.reference_log_kill) +
                              ", under 0.1: no direct effect so far, no sanctuary is reported");
      }
      o[judged.name + "_reference_log_kill"] = s.reference_log_kill;
    }
    o["steps"] = steps_;
    o["steps_rejected"] = rejected_;
    o["undershoot"] = undershoot_;
    out.summary["work"] = {{"steps", steps_},
                           {"rejected", rejected_},
                           {"newton", newton_},
                           {"linear", linear_},
                           {"positive_cells", positive}};
  }
  out.summary["work"]["flow_iterations"] = fluid_.blood.iterations;
  out.summary["work"]["pressure_iterations"] = fluid_.linear_iterations;
  out.summary["work"]["oxygen_newton"] = oxygen_.newton;
  for (const std::string& note : notes_) out.remarks.push_back(note);
  return out;
}

void Patient::with_groups(const std::function<void(std::span<const GroupOutput>)>& use) const {
  std::vector<GroupOutput> groups;
  for (const BalanceEntry& e : balance()) {
    std::string compartment = e.compartment, species = e.species;
    for (std::string* s : {&compartment, &species}) std::replace(s->begin(), s->end(), ' ', '_');
    groups.push_back({.path = "/balance/" + species + "/" + compartment,
                      .attributes = {{"start", e.start},
                                     {"in", e.in},
                                     {"out", e.out},
                                     {"in_place", e.in_place},
                                     {"error", e.error},
                                     {"allowed", e.allowed}}});
  }
  // Figures of the cycles before the last, each a group.
  const auto add_cycles = [&](const std::string& part, const std::string& name) {
    if (!finished_cycles_.contains(part)) return;
    for (const auto& row : finished_cycles_[part][name]) {
      const std::string cycle = std::to_string(row["cycle"].get<int>());
      groups.push_back({.path = "/" + part + "/" + name + "/cycle_" + cycle, .attributes = flattened(row)});
    }
  };
  std::vector<std::vector<double>> labels(judged_.size()), kills(judged_.size());
  const std::vector<double> weight = cycle_density();
  std::vector<Columns> histograms;  // of each drug
  for (std::size_t d = 0; regimen_ && d < settings_.drugs.size(); ++d) {
    const DoseVolume v =
        dose_volume(comm_, regimen_->courses()[d].response->free_record().area, weight, settings_.histogram_bins);
    std::vector<double> dose = v.dose;
    for (double& value : dose) value /= micromolar * hour;
    histograms.push_back({{"histogram_dose", {"umol h/L", dose}}, {"histogram_fraction", {"1", v.fraction}}});
    GroupOutput group{.path = "/exposure/" + settings_.drugs[d].name, .columns = histograms.back()};
    group.attributes = exposure_json(d);
    group.attributes["cycle"] = cycle_;
    groups.push_back(std::move(group));
    add_cycles("exposure", settings_.drugs[d].name);
  }
  for (std::size_t k = 0; k < judged_.size(); ++k) {
    const Judged& judged = judged_[k];
    const std::string path = "/sanctuary/" + judged.name;
    const Sanctuary s = sanctuary(judged);
    labels[k].assign(s.label.begin(), s.label.end());
    kills[k] = s.log_kill;
    GroupOutput group{.path = path};
    group.fields = {{"label", "1", "1 S1, 2 S2, 4 S4, summed; -1 outside the viable tumour", labels[k]},
                    {"log_kill", "1", "log10 kill", kills[k]}};
    if (judged.drugs.size() == 1) group.columns = histograms[judged.drugs.front()];
    group.attributes = flattened(sanctuary_json(s));
    group.attributes["cycle"] = cycle_;
    groups.push_back(std::move(group));
    if (!s.table.empty()) groups.push_back({.path = path + "/regions", .columns = region_columns(s.table)});
    add_cycles("sanctuary", judged.name);
  }
  use(groups);
}

}  // namespace sanctuary
