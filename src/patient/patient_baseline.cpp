#include <array>
#include <cmath>
#include <memory>
#include <utility>

#include "base/comm.hpp"
#include "patient/patient.hpp"
#include "patient/stopwatch.hpp"

namespace sanctuary {
namespace {

/// Parts of the blood flow by name, of nodes and of pieces.
constexpr std::array of_nodes{std::pair{"pressure", &BloodFlow::pressure},
                              std::pair{"remainder", &BloodFlow::remainder},
                              std::pair{"red_inflow", &BloodFlow::red_inflow}, std::pair{"inflow", &BloodFlow::inflow}};
constexpr std::array of_pieces{std::pair{"flow", &BloodFlow::flow},
                               std::pair{"leak", &BloodFlow::leak},
                               std::pair{"haematocrit", &BloodFlow::haematocrit},
                               std::pair{"red_cells", &BloodFlow::red_cells},
                               std::pair{"viscous_haematocrit", &BloodFlow::viscous_haematocrit},
                               std::pair{"protein", &BloodFlow::protein},
                               std::pair{"plasma", &BloodFlow::plasma}};

std::vector<double> scattered(const RootOrder& order, const Checkpoint& point, const std::string& name) {
  const auto found = point.root_arrays.find(name);
  return order.scatter(found == point.root_arrays.end() ? std::vector<double>{} : found->second);
}

}  // namespace

void Patient::with_baseline(const std::function<void(Checkpoint&)>& use) {
  const std::size_t cells = grid_.local_cells();
  const bool pulsates = embedded_ && settings_.on.intermittent_flow;
  if (!fluid_.pressure) fluid_.pressure = grid_.vector();
  if (!oxygen_.cells) oxygen_.cells = grid_.vector();
  Checkpoint point;
  const WriteAccess pressure(fluid_.pressure.get()), po2(oxygen_.cells.get());
  point.fields.push_back({"pressure", {pressure.data(), cells}});
  point.fields.push_back({"oxygen", {po2.data(), cells}});
  for (std::size_t i = 0; pulsates && settings_.on.oxygen && i < below_.size(); ++i) {
    below_[i].resize(cells);
    point.fields.push_back({"oxygen_below_" + std::to_string(i), below_[i]});
  }
  if (has_baseline_) {
    const BloodFlow& b = fluid_.blood;
    point.arrays["oxygen"] = {oxygen_.blood_in,
                              oxygen_.blood_out,
                              oxygen_.walls_in,
                              oxygen_.walls_out,
                              oxygen_.supplied,
                              oxygen_.used,
                              oxygen_.imbalance,
                              static_cast<double>(oxygen_.newton),
                              static_cast<double>(oxygen_.linear),
                              oxygen_.residual,
                              kill_at_oxygen_};
    point.arrays["fluid"] = {static_cast<double>(fluid_.outer_iterations),
                             static_cast<double>(fluid_.linear_iterations),
                             fluid_.residual[0],
                             fluid_.residual[1],
                             perfused_open_,
                             mean_over_full_};
    point.arrays["blood"] = {static_cast<double>(b.converged),
                             static_cast<double>(b.oscillating),
                             static_cast<double>(b.iterations),
                             b.change,
                             b.flux_change,
                             b.moving_segments,
                             b.moving_red_cells,
                             b.blood_imbalance,
                             b.red_cell_imbalance};
    point.state["pulsates"] = intermittent_ != nullptr;
    point.state["notes"] = std::vector<std::string>(notes_.begin() + static_cast<long>(notes_of_set_up_), notes_.end());
  }
  if (has_baseline_ && embedded_) {
    const RootOrder nodes = cut_.node_order(), pieces = cut_.piece_order();
    const auto gather = [&](const RootOrder& order, const std::string& name, std::span<const double> local,
                            std::size_t own) { point.root_arrays[name] = order.gather(local.first(own)); };
    for (const auto& [name, part] : of_nodes)
      gather(nodes, std::string("nodes/") + name, fluid_.blood.*part, cut_.own_nodes);
    for (const auto& [name, part] : of_pieces)
      gather(pieces, std::string("pieces/") + name, fluid_.blood.*part, cut_.own_pieces);
    gather(nodes, "nodes/oxygen", oxygen_.node_pressure, cut_.own_nodes);
    gather(pieces, "pieces/oxygen", oxygen_.piece_pressure, cut_.own_pieces);
    if (compressed_) {
      gather(pieces, "pieces/radius", flow_->radius(), cut_.own_pieces);
      gather(pieces, "pieces/wall", fluid_wall_.conductance, cut_.own_pieces);
      const CompressedRadii& radii = compressed_->radii();
      const RootOrder segments = homes_->order();
      gather(segments, "segments/radius_factor", radii.factor, radii.factor.size());
      const std::vector<double> collapsed(radii.collapsed.begin(), radii.collapsed.end());
      gather(segments, "segments/collapsed", collapsed, collapsed.size());
    }
    if (intermittent_) {
      std::vector<double> share(homes_->share().segment.size(), 0.0);
      for (const FeedingRegion& region : intermittent_->local_regions())
        share[static_cast<std::size_t>(region.segment)] = region.resistance_share;
      gather(homes_->order(), "segments/resistance_share", share, share.size());
    }
  }
  use(point);
  if (has_baseline_ && !intermittent_)
    for (auto& share : below_) share.clear();
}

void Patient::restore_baseline(const Checkpoint& baseline) {
  {
    const Stopwatch watch(timing_["baseline restored"]);
    const auto& o = baseline.arrays.at("oxygen");
    oxygen_.blood_in = o.at(0);
    oxygen_.blood_out = o.at(1);
    oxygen_.walls_in = o.at(2);
    oxygen_.walls_out = o.at(3);
    oxygen_.supplied = o.at(4);
    oxygen_.used = o.at(5);
    oxygen_.imbalance = o.at(6);
    oxygen_.newton = static_cast<int>(o.at(7));
    oxygen_.linear = static_cast<int>(o.at(8));
    oxygen_.residual = o.at(9);
    kill_at_oxygen_ = o.at(10);
    const auto& f = baseline.arrays.at("fluid");
    fluid_.outer_iterations = static_cast<int>(f.at(0));
    fluid_.linear_iterations = static_cast<int>(f.at(1));
    fluid_.residual = {f.at(2), f.at(3)};
    perfused_open_ = f.at(4);
    mean_over_full_ = f.at(5);
    notes_.resize(notes_of_set_up_);
    for (const auto& note : baseline.state.at("notes")) notes_.push_back(note.get<std::string>());
    if (embedded_) restore_vessels(baseline);
    if (!intermittent_)
      for (auto& share : below_) share.clear();
    complete_fluid(grid_, embedded_.get(), fluid_tissue_, fluid_);
  }
  begin_treatment();
}

void Patient::restore_vessels(const Checkpoint& baseline) {
  BloodFlow& b = fluid_.blood;
  const RootOrder nodes = cut_.node_order(), pieces = cut_.piece_order();
  const auto take_nodes = [&](const std::string& name, std::vector<double>& local) {
    local = scattered(nodes, baseline, "nodes/" + name);
    local.resize(cut_.nodes());
    cut_.node_halo.update(std::span<double>(local));
  };
  const auto take_pieces = [&](const std::string& name, std::vector<double>& local) {
    local = scattered(pieces, baseline, "pieces/" + name);
    local.resize(cut_.pieces());
    cut_.piece_halo.update(std::span<double>(local));
  };
  for (const auto& [name, part] : of_nodes) take_nodes(name, b.*part);
  for (const auto& [name, part] : of_pieces) take_pieces(name, b.*part);
  take_nodes("oxygen", oxygen_.node_pressure);
  oxygen_.piece_pressure = scattered(pieces, baseline, "pieces/oxygen");
  const auto& of_blood = baseline.arrays.at("blood");
  b.converged = of_blood.at(0) != 0;
  b.oscillating = of_blood.at(1) != 0;
  b.iterations = static_cast<int>(of_blood.at(2));
  b.change = of_blood.at(3);
  b.flux_change = of_blood.at(4);
  b.moving_segments = of_blood.at(5);
  b.moving_red_cells = of_blood.at(6);
  b.blood_imbalance = of_blood.at(7);
  b.red_cell_imbalance = of_blood.at(8);
  find_homes();
  if (settings_.on.vessel_compression) {
    make_compressed();
    const RootOrder segments = homes_->order();
    const std::vector<double> collapsed = scattered(segments, baseline, "segments/collapsed");
    compressed_->restore({scattered(segments, baseline, "segments/radius_factor"),
                          std::vector<char>(collapsed.begin(), collapsed.end())});
    fluid_wall_.conductance = scattered(pieces, baseline, "pieces/wall");
    std::vector<double> radius;
    take_pieces("radius", radius);
    flow_->set_radius(std::move(radius));
  }
  if (baseline.state.at("pulsates").get<bool>()) {
    intermittent_ = std::make_unique<IntermittentNetwork>(cut_, *homes_, *flow_, settings_.intermittency,
                                                          settings_.oxygen_snapshots);
    intermittent_->restore(scattered(homes_->order(), baseline, "segments/resistance_share"));
    intermittent_->set_mean();
  }
}

}  // namespace sanctuary
