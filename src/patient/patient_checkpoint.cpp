#include <memory>

#include "base/comm.hpp"
#include "patient/patient.hpp"

namespace sanctuary {

void Patient::with_checkpoint(const std::function<void(Checkpoint&)>& use) {
  Checkpoint point;
  const std::size_t cells = grid_.local_cells();
  const WriteAccess po2(oxygen_.cells.get());
  point.fields.push_back({"oxygen", {po2.data(), cells}});
  if (embedded_) {
    point.root_arrays["oxygen_nodes"] = cut_.node_order().gather(oxygen_.node_pressure);
    point.root_arrays["oxygen_pieces"] = cut_.piece_order().gather(oxygen_.piece_pressure);
  }
  point.arrays["oxygen_amounts"] = {oxygen_.blood_in, oxygen_.blood_out, oxygen_.walls_in,  oxygen_.walls_out,
                                    oxygen_.supplied, oxygen_.used,      oxygen_.imbalance, kill_at_oxygen_};
  point.arrays["clock"] = {time_,
                           dt_,
                           static_cast<double>(steps_),
                           static_cast<double>(rejected_),
                           static_cast<double>(newton_),
                           static_cast<double>(linear_),
                           undershoot_};
  point.arrays["series_time"] = series_time_;
  for (const auto& [name, column] : series_) {
    point.arrays["series/" + name] = column.values;
    point.state["series_units"][name] = column.unit;
  }
  for (std::size_t i = 0; intermittent_ && settings_.on.oxygen && i < below_.size(); ++i)
    point.fields.push_back({"oxygen_below_" + std::to_string(i), below_[i]});
  point.arrays["cycle"] = {cycle_start_, static_cast<double>(cycle_)};
  point.state["finished_cycles"] = finished_cycles_;
  std::vector<std::unique_ptr<WriteAccess>> open;
  if (regimen_) {
    point.fields.push_back({"share_in_cycle", cycling_share_});
    for (Judged& j : judged_) {
      point.fields.push_back({j.name + "/in_s1", j.in_s1});
      point.fields.push_back({j.name + "/time_in_s1", j.time_in_s1});
    }
    for (const CellKill::Named& named : regimen_->kill().states())
      point.fields.push_back({"kill/" + named.name, *named.values});
    point.state["kill_has_slope"] = regimen_->kill().has_slope();
  }
  for (std::size_t d = 0; regimen_ && d < settings_.drugs.size(); ++d) {
    DrugCourse& course = regimen_->courses()[d];
    const std::string& name = course.drug.name;
    for (const auto& [key, values] :
         {std::pair{"free", course.transport->cells()}, {"free_slope", course.transport->slope()}}) {
      open.push_back(std::make_unique<WriteAccess>(values));
      point.fields.push_back({name + "/" + key, {open.back()->data(), cells}});
    }
    for (const DrugResponse::Named& named : course.response->states())
      point.fields.push_back({name + "/" + named.name, *named.values});
    if (embedded_) {
      const Vec values = course.transport->network();
      point.root_arrays[name + "/network_nodes"] = cut_.node_order().gather(embedded_->node_values(values));
      point.root_arrays[name + "/network_pieces"] = cut_.piece_order().gather(embedded_->piece_values(values));
    }
    const TransportLedger& l = course.transport->ledger();
    point.arrays[name + "/ledger"] = {l.cells_start,  l.network_start, l.blood_in,   l.blood_out,
                                      l.exchanged_in, l.exchanged_out, l.walls_in,   l.walls_out,
                                      l.drained,      l.reacted_in,    l.reacted_out};
    const DrugResponse::Ledger& r = course.response->ledger();
    point.arrays[name + "/response_ledger"] = {
        r.taken_up,         r.given_back, r.released_by_death,   r.degraded_in_cells,
        r.bound_in,         r.bound_out,  r.on_targets,          r.off_targets,
        r.degraded,         r.released,   r.released_from_sites, r.set_free,
        r.set_free_in_cells};
    point.state["has_slope"][name] = course.transport->has_slope() && course.response->has_slope();
  }
  use(point);
}

void Patient::restored(const Checkpoint& point) {
  const auto scattered = [&](const RootOrder& order, const std::string& name) {
    return order.scatter(rank_of(comm_) == 0 ? point.root_arrays.at(name) : std::vector<double>{});
  };
  if (embedded_) {
    oxygen_.node_pressure = scattered(cut_.node_order(), "oxygen_nodes");
    oxygen_.node_pressure.resize(cut_.nodes());
    cut_.node_halo.update(std::span<double>(oxygen_.node_pressure));
    oxygen_.piece_pressure = scattered(cut_.piece_order(), "oxygen_pieces");
  }
  const auto& amounts = point.arrays.at("oxygen_amounts");
  oxygen_.blood_in = amounts.at(0);
  oxygen_.blood_out = amounts.at(1);
  oxygen_.walls_in = amounts.at(2);
  oxygen_.walls_out = amounts.at(3);
  oxygen_.supplied = amounts.at(4);
  oxygen_.used = amounts.at(5);
  oxygen_.imbalance = amounts.at(6);
  kill_at_oxygen_ = amounts.at(7);
  const auto& clock = point.arrays.at("clock");
  time_ = clock.at(0);
  dt_ = clock.at(1);
  steps_ = static_cast<long>(clock.at(2));
  rejected_ = static_cast<long>(clock.at(3));
  newton_ = static_cast<long>(clock.at(4));
  linear_ = static_cast<long>(clock.at(5));
  undershoot_ = clock.at(6);
  series_time_ = point.arrays.at("series_time");
  series_.clear();
  for (const auto& [name, unit] : point.state.at("series_units").items())
    series_[name] = {unit.get<std::string>(), point.arrays.at("series/" + name)};
  cycle_start_ = point.arrays.at("cycle").at(0);
  cycle_ = static_cast<int>(point.arrays.at("cycle").at(1));
  finished_cycles_ = point.state.at("finished_cycles");
  if (!regimen_) return;
  regimen_->kill().set_has_slope(point.state.at("kill_has_slope").get<bool>());
  for (std::size_t d = 0; d < settings_.drugs.size(); ++d) {
    DrugCourse& course = regimen_->courses()[d];
    const std::string& name = course.drug.name;
    if (embedded_)
      embedded_->set_values(scattered(cut_.node_order(), name + "/network_nodes"),
                            scattered(cut_.piece_order(), name + "/network_pieces"), course.transport->network());
    const auto& l = point.arrays.at(name + "/ledger");
    course.transport->ledger() = {l.at(0), l.at(1), l.at(2), l.at(3), l.at(4), l.at(5),
                                  l.at(6), l.at(7), l.at(8), l.at(9), l.at(10)};
    const auto& r = point.arrays.at(name + "/response_ledger");
    course.response->ledger() = {r.at(0), r.at(1), r.at(2), r.at(3),  r.at(4),  r.at(5), r.at(6),
                                 r.at(7), r.at(8), r.at(9), r.at(10), r.at(11), r.at(12)};
    const bool slope = point.state.at("has_slope").at(name).get<bool>();
    course.transport->set_has_slope(slope);
    course.response->set_has_slope(slope);
  }
}

}  // namespace sanctuary
