#include "solvers/network/haemodynamics.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <string>
#include <tuple>
#include <unordered_map>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "base/random.hpp"
#include "solvers/network/parts.hpp"
#include "solvers/statistics.hpp"

namespace sanctuary {
namespace {

std::size_t at(long index) { return static_cast<std::size_t>(index); }

/// Weight of blood, and its weighted time since entering and the square of that.
struct Moments {
  double share = 0, time = 0, square = 0;
};

/// One end of a segment as its node sees it.
struct Port {
  long node = 0, segment = 0, other_node = 0;
  double into = 0;     // flow into the node [m^3/s]
  double transit = 0;  // volume over flow [s]
  double haematocrit = 0;
  int other_home = 0;  // rank that knows the other node
  int end = 0;
  char perfused = 0, boundary = 0;
  Moments arriving;  // of blood that comes this way, once known; share 1 is all of it
};

/// Nodes with their ports: a node that one rank holds is known there, another where its ranks meet.
class Junctions {
 public:
  Junctions(MPI_Comm comm, const VesselGraph& share, const SegmentFlow& flow, const std::vector<double>& velocity,
            double perfusion_velocity)
      : comm_(comm), rank_(rank_of(comm)), ranks_(size_of(comm)) {
    const NodeRoles roles = node_roles(comm, share);
    const auto home = [&](long n) { return roles.shared[at(n)] ? meeting_rank(share.node_id[at(n)], ranks_) : rank_; };
    std::vector<std::vector<Port>> outgoing(at(ranks_));
    for (std::size_t s = 0; s < share.segment.size(); ++s) {
      const double r = share.radius[s], q = std::abs(flow.flow[s]);
      for (int end = 0; end < 2; ++end) {
        const long n = share.segment[s][at(end)], other = share.segment[s][at(1 - end)];
        Port port;
        port.node = share.node_id[at(n)];
        port.segment = share.segment_id[s];
        port.other_node = share.node_id[at(other)];
        port.other_home = home(other);
        port.end = end;
        port.into = end == 1 ? flow.flow[s] : -flow.flow[s];
        port.perfused = q > 0 && velocity[s] >= perfusion_velocity && n != other;
        port.transit = q > 0 ? std::numbers::pi * r * r * share.length[s] / q : 0;
        port.haematocrit = flow.haematocrit[s];
        port.boundary = share.boundary[at(n)] != BoundaryKind::none;
        outgoing[at(home(n))].push_back(port);
      }
    }
    port_ = deliver(comm, outgoing);
    std::sort(port_.begin(), port_.end(), [](const Port& a, const Port& b) {
      return std::tie(a.node, a.segment, a.end) < std::tie(b.node, b.segment, b.end);
    });
    for (std::size_t p = 0; p < port_.size(); ++p) {
      if (p == 0 || port_[p].node != port_[p - 1].node) {
        index_.emplace(port_[p].node, nodes());
        first_.push_back(static_cast<long>(p));
      }
    }
    first_.push_back(static_cast<long>(port_.size()));
    for (long j = 0; j < nodes(); ++j) {
      double net = 0;
      for (const Port& port : ports(j)) net -= port.into;
      inflow_.push_back(ports(j).front().boundary ? net : 0.0);
    }
  }

  [[nodiscard]] long nodes() const { return static_cast<long>(index_.size()); }
  [[nodiscard]] std::span<Port> ports(long node) {
    return {port_.data() + first_[at(node)], at(first_[at(node) + 1] - first_[at(node)])};
  }
  /// Blood that enters (leaves where negative) through the boundary at each node.
  [[nodiscard]] const std::vector<double>& inflow() const { return inflow_; }

  /// Moments of the blood at each node; share 0 where nothing perfused arrives, or where it never becomes known.
  std::vector<Moments> moments() {
    std::vector<Moments> result(at(nodes()));
    std::vector<long> waiting(at(nodes()), 0), ready;
    for (long j = 0; j < nodes(); ++j) {
      for (const Port& port : ports(j)) waiting[at(j)] += port.perfused && port.into > 0;
      if (waiting[at(j)] == 0) ready.push_back(j);
    }
    struct Parcel {
      long node, segment;
      Moments moments;
      int end;
    };
    const auto receive = [&](const Parcel& parcel) {
      const long j = index_.at(parcel.node);
      for (Port& port : ports(j))
        if (port.segment == parcel.segment && port.end == parcel.end) port.arriving = parcel.moments;
      if (--waiting[at(j)] == 0) ready.push_back(j);
    };
    for (;;) {
      std::vector<std::vector<Parcel>> outgoing(at(ranks_));
      long sent = 0;
      while (!ready.empty()) {
        const long j = ready.back();
        ready.pop_back();
        Moments sum;
        double total = std::max(inflow_[at(j)], 0.0);
        sum.share = total;
        for (const Port& port : ports(j)) {  // in the order of segment ids, wherever they came from
          if (port.into <= 0) continue;
          total += port.into;
          sum.share += port.into * port.arriving.share;
          sum.time += port.into * port.arriving.time;
          sum.square += port.into * port.arriving.square;
        }
        if (total > 0) sum = {sum.share / total, sum.time / total, sum.square / total};
        result[at(j)] = sum;
        for (const Port& port : ports(j)) {
          if (!port.perfused || port.into >= 0) continue;
          const double t = port.transit;
          const Parcel parcel{port.other_node,
                              port.segment,
                              {sum.share, sum.time + t * sum.share, sum.square + 2 * t * sum.time + t * t * sum.share},
                              1 - port.end};
          if (port.other_home == rank_) {
            receive(parcel);
          } else {
            outgoing[at(port.other_home)].push_back(parcel);
            ++sent;
          }
        }
      }
      if (count_over(comm_, sent) == 0) return result;
      for (const Parcel& parcel : deliver(comm_, outgoing)) receive(parcel);
    }
  }

  /// Transit times of this rank's walks that come out at a boundary.
  std::vector<double> walk(long walks, std::uint64_t seed) {
    struct Entry {
      long node;
      double inflow;
      int home;
    };
    std::vector<std::vector<Entry>> offered(at(ranks_));
    for (long j = 0; j < nodes(); ++j) {
      if (inflow_[at(j)] <= 0) continue;
      for (auto& list : offered) list.push_back({ports(j).front().node, inflow_[at(j)], rank_});
    }
    std::vector<Entry> entries = deliver(comm_, offered);
    std::vector<double> times, reach;
    if (entries.empty()) return times;
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.node < b.node; });
    for (const Entry& entry : entries) reach.push_back((reach.empty() ? 0 : reach.back()) + entry.inflow);

    struct Walker {
      long number, steps, node;
      double time;
    };
    const RandomStream start(seed, "transit.entry"), choice(seed, "transit.choice");
    constexpr long most_steps = 1L << 24;  // keeps the counters of two walks apart; only a cycle takes so many
    std::vector<Walker> walkers;
    for (long w = 0; w < walks; ++w) {
      const double place = (static_cast<double>(w) + start.uniform(static_cast<std::uint64_t>(w))) /
                           static_cast<double>(walks) * reach.back();
      const auto entry =
          std::min(at(std::lower_bound(reach.begin(), reach.end(), place) - reach.begin()), entries.size() - 1);
      if (entries[entry].home == rank_) walkers.push_back({w, 0, entries[entry].node, 0});
    }
    for (;;) {
      std::vector<std::vector<Walker>> outgoing(at(ranks_));
      long sent = 0;
      for (Walker walker : walkers) {
        while (walker.steps < most_steps) {
          const long j = index_.at(walker.node);
          double total = std::max(-inflow_[at(j)], 0.0);
          for (const Port& port : ports(j)) total += std::max(-port.into, 0.0);
          const auto counter =
              static_cast<std::uint64_t>(walker.number) * most_steps + static_cast<std::uint64_t>(walker.steps++);
          double place = choice.uniform(counter) * total;
          const Port* taken = nullptr;
          for (const Port& port : ports(j)) {
            if (port.into >= 0) continue;
            place -= -port.into;
            if (place <= 0) {
              taken = &port;
              break;
            }
          }
          if (taken == nullptr) {
            if (inflow_[at(j)] < 0) times.push_back(walker.time);
            break;
          }
          if (!taken->perfused) break;
          walker.time += taken->transit;
          walker.node = taken->other_node;
          if (taken->other_home != rank_) {
            outgoing[at(taken->other_home)].push_back(walker);
            ++sent;
            break;
          }
        }
      }
      if (count_over(comm_, sent) == 0) return times;
      walkers = deliver(comm_, outgoing);
    }
  }

 private:
  MPI_Comm comm_;
  int rank_, ranks_;
  std::vector<Port> port_;  // sorted by node, segment, end
  std::vector<long> first_;
  std::unordered_map<long, long> index_;  // of each node id
  std::vector<double> inflow_;
};

}  // namespace

FlowOfShare steady_flow(MPI_Comm comm, const VesselGraph& share, const BloodLaws& laws) {
  together(comm, [&] {
    for (long s = 0; s < share.segments(); ++s)
      if (!(share.radius[at(s)] > 0) || !(share.length[at(s)] > 0))
        throw InputError("flow: segment " + std::to_string(share.segment_id[at(s)]) +
                         " has no radius or no length; repair the network first (network import --repair)");
  });
  CutNetwork network = uncut(comm, share);
  double given = 0;
  for (std::size_t n = 0; n < network.own_nodes; ++n) {
    if (network.boundary[n] != BoundaryKind::none) given = 1;
  }
  if (max_over(comm, given) == 0)
    throw InputError(
        "flow: no node has a boundary condition, so no blood can flow; give pressures or flows at the ends of vessels");
  set_missing_levels(network, 0);
  const FlowSolver solver(network, network.piece_radii(), laws);
  BloodFlow state;
  solver.solve(state);
  std::vector<bool> mine(network.graph.segment.size(), false);
  std::vector<std::size_t> piece_of(mine.size());
  for (std::size_t p = 0; p < network.own_pieces; ++p) {
    mine[at(network.piece_segment[p])] = true;
    piece_of[at(network.piece_segment[p])] = p;
  }
  GraphShare own = share_of(network.graph, mine, size_of(comm) == 1);
  FlowOfShare result;
  result.flow.steady = state.converged;
  for (const long s : own.segment) {
    result.flow.flow.push_back(state.flow[piece_of[at(s)]]);
    result.flow.haematocrit.push_back(state.haematocrit[piece_of[at(s)]]);
  }
  result.flow.pressure.assign(own.node.size(), 0.0);
  for (std::size_t i = 0; i < own.segment.size(); ++i) {
    for (std::size_t e = 0; e < 2; ++e)
      result.flow.pressure[at(own.graph.segment[i][e])] =
          state.pressure[at(network.piece_nodes[piece_of[at(own.segment[i])]][e])];
  }
  result.share = std::move(own.graph);
  return result;
}

Haemodynamics haemodynamics(MPI_Comm comm, const VesselGraph& share, const Box& box, const SegmentFlow& flow,
                            const HaemodynamicSettings& settings) {
  const std::size_t count = share.segment.size();
  together(comm, [&] {
    if (flow.flow.size() != count || flow.haematocrit.size() != count || flow.pressure.size() != share.position.size())
      throw InputError("haemodynamics: flow and haematocrit need one value per segment, pressure one per node");
    for (const auto* list : {&flow.flow, &flow.haematocrit, &flow.pressure})
      for (const double v : *list)
        if (!std::isfinite(v)) throw InputError("haemodynamics: a flow, haematocrit or pressure is not finite");
  });
  Haemodynamics result;
  std::vector<double> velocity(count), magnitude(count), shear(count), perfused_length(count), perfused_volume(count);
  long perfused = 0;
  for (std::size_t s = 0; s < count; ++s) {
    const double r = share.radius[s], l = share.length[s], area = std::numbers::pi * r * r;
    magnitude[s] = std::abs(flow.flow[s]);
    velocity[s] = r > 0 ? magnitude[s] / area : 0;
    const auto [first, second] = share.segment[s];
    shear[s] = l > 0 ? std::abs(flow.pressure[at(first)] - flow.pressure[at(second)]) * r / (2 * l) : 0;
    if (magnitude[s] > 0 && velocity[s] >= settings.perfusion_velocity) {
      ++perfused;
      perfused_length[s] = l;
      perfused_volume[s] = area * l;
    }
  }
  const long segments = count_over(comm, static_cast<long>(count));
  if (segments == 0) return result;
  const double length = exact_sum_over(comm, share.length);
  if (length > 0) result.perfused_fraction = exact_sum_over(comm, perfused_length) / length;
  result.perfused_segment_fraction = static_cast<double>(count_over(comm, perfused)) / static_cast<double>(segments);
  result.flow = distribution(comm, magnitude, share.length);
  result.velocity = distribution(comm, velocity, share.length);
  result.wall_shear = distribution(comm, shear, share.length);
  result.haematocrit = distribution(comm, flow.haematocrit, perfused_length);
  if (result.flow.mean > 0) result.flow_variation = result.flow.deviation / result.flow.mean;
  if (result.velocity.mean > 0) result.velocity_variation = result.velocity.deviation / result.velocity.mean;
  result.blood_volume = exact_sum_over(comm, perfused_volume);

  Junctions junctions(comm, share, flow, velocity, settings.perfusion_velocity);
  const std::vector<Moments> moments = junctions.moments();
  std::vector<double> in, out, plasma, known, time, square;
  for (long j = 0; j < junctions.nodes(); ++j) {
    const double inflow = junctions.inflow()[at(j)];
    if (inflow > 0) {
      in.push_back(inflow);
      double net = 0;
      for (const Port& port : junctions.ports(j)) net -= port.into * (1 - port.haematocrit);
      plasma.push_back(net);
    } else if (inflow < 0) {
      const Moments& m = moments[at(j)];
      out.push_back(-inflow);
      known.push_back(-inflow * m.share);
      time.push_back(-inflow * m.time);
      square.push_back(-inflow * m.square);
    }
  }
  result.inflow = exact_sum_over(comm, in);
  result.outflow = exact_sum_over(comm, out);
  result.plasma_inflow = exact_sum_over(comm, plasma);
  if (result.inflow > 0) result.volume_over_inflow = result.blood_volume / result.inflow;
  if (const double tissue = box.volume(); tissue > 0) {
    result.perfusion = result.inflow / tissue;
    result.perfusion_per_mass = result.perfusion / settings.tissue_density;
    result.plasma_flow_per_mass = result.plasma_inflow / tissue / settings.tissue_density;
  }
  const double weight = exact_sum_over(comm, known);
  if (weight > 0) {
    result.transit_share = weight / result.outflow;
    result.transit_mean = exact_sum_over(comm, time) / weight;
    const double variance = exact_sum_over(comm, square) / weight - result.transit_mean * result.transit_mean;
    result.transit_deviation = std::sqrt(std::max(variance, 0.0));
    if (result.transit_mean > 0) result.transit_variation = result.transit_deviation / result.transit_mean;
  }
  const std::vector<double> times = junctions.walk(settings.walks, settings.seed);
  result.transit = distribution(comm, times);
  result.transit_bins = binned(comm, times, {}, decade_edges(-3, 4, 10));
  result.velocity_bins = binned(comm, velocity, share.length, decade_edges(-6, 0, 10));
  result.shear_bins = binned(comm, shear, share.length, decade_edges(-3, 3, 10));
  return result;
}

}  // namespace sanctuary
