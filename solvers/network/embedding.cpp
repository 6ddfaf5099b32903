#include "solvers/network/embedding.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>
#include <unordered_map>

#include "base/comm.hpp"

namespace sanctuary {
namespace {

constexpr double least_part = 1e-7;  // of a segment: a cut nearer to another one is the same cut

std::size_t at(long i) { return static_cast<std::size_t>(i); }

void check_inside(const VesselGraph& graph, const GridSpec& spec) {
  constexpr double slack = 1e-6;
  for (std::size_t n = 0; n < graph.position.size(); ++n) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const double x = (graph.position[n][axis] - spec.origin[axis]) / spec.spacing[axis];
      if (x < -slack || x > static_cast<double>(spec.cells[axis]) + slack) {
        throw InputError(
            "network node " + std::to_string(graph.node_id[n]) + " lies outside the grid: its " +
            std::string(1, "xyz"[axis]) + " is " + std::to_string(graph.position[n][axis] * 1e6) +
            " um, the box goes from " + std::to_string(spec.origin[axis] * 1e6) + " to " +
            std::to_string((spec.origin[axis] + static_cast<double>(spec.cells[axis]) * spec.spacing[axis]) * 1e6) +
            " um; set grid.origin, grid.cells and grid.spacing so that the box holds the network, or cut the network");
      }
    }
  }
}

std::array<double, 3> between(const std::array<double, 3>& from, const std::array<double, 3>& to, double t) {
  std::array<double, 3> x{};
  for (std::size_t axis = 0; axis < 3; ++axis) x[axis] = from[axis] + t * (to[axis] - from[axis]);
  return x;
}

/// Where a segment is cut, as shares of its length: 0, ..., 1.
using Cutter = std::function<void(const VesselGraph&, long, std::vector<double>&)>;
/// Cell of a point, and rank of a cell.
struct Places {
  std::function<std::array<long, 3>(const std::array<double, 3>&)> cell;
  std::function<int(const std::array<double, 3>&)> owner;
};

void parts_at_faces(const GridSpec& spec, const VesselGraph& graph, long s, std::vector<double>& parts) {
  const auto& from = graph.position[at(graph.segment[at(s)][0])];
  const auto& to = graph.position[at(graph.segment[at(s)][1])];
  parts.assign({0.0, 1.0});
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const double a = (from[axis] - spec.origin[axis]) / spec.spacing[axis];
    const double b = (to[axis] - spec.origin[axis]) / spec.spacing[axis];
    if (a == b) continue;
    const auto first = static_cast<long>(std::ceil(std::min(a, b)));
    const auto last = static_cast<long>(std::floor(std::max(a, b)));
    for (long face = first; face <= last; ++face) {
      const double t = (static_cast<double>(face) - a) / (b - a);
      if (t > least_part && t < 1 - least_part) parts.push_back(t);
    }
  }
  std::sort(parts.begin(), parts.end());
  parts.erase(std::unique(parts.begin(), parts.end(), [](double p, double q) { return q - p < least_part; }),
              parts.end());
  if (parts.back() != 1.0) parts.back() = 1.0;
}

/// Numbers and copies of a CutNetwork from the segments that this rank sees.
class Numbering {
 public:
  Numbering(MPI_Comm comm, VesselGraph seen, const Cutter& cutter, const Places& places)
      : rank_(rank_of(comm)), ranks_(static_cast<std::size_t>(size_of(comm))), places_(places) {
    cut_.comm = comm;
    cut_.graph = std::move(seen);
    make_pieces(cutter);
    choose();
    number_nodes();
    if (ranks_ > 1) find_copies();
    for (std::size_t p = 0; p < cut_.pieces(); ++p) {
      for (long& n : cut_.piece_nodes[p]) n = local_node_[at(n)];
    }
  }
  CutNetwork take() { return std::move(cut_); }

 private:
  struct Piece {
    long segment, part;
    double from, to;
    std::array<long, 2> ends;  // places: nodes of the graph, then cuts
    std::array<long, 3> cell;
    int owner;
  };

  void make_pieces(const Cutter& cutter) {
    const VesselGraph& graph = cut_.graph;
    const auto graph_nodes = graph.nodes();
    for (std::size_t n = 0; n < graph.position.size(); ++n) place_owner_.push_back(places_.owner(graph.position[n]));
    std::vector<double> parts;
    for (long s = 0; s < graph.segments(); ++s) {
      first_cut_.push_back(static_cast<long>(place_owner_.size()));
      cutter(graph, s, parts);
      const auto& from = graph.position[at(graph.segment[at(s)][0])];
      const auto& to = graph.position[at(graph.segment[at(s)][1])];
      long before = graph.segment[at(s)][0];
      for (std::size_t p = 0; p + 1 < parts.size(); ++p) {
        const std::array<double, 3> middle = between(from, to, 0.5 * (parts[p] + parts[p + 1]));
        const int owner = places_.owner(middle);
        long after = graph.segment[at(s)][1];
        if (p + 2 < parts.size()) {
          after = static_cast<long>(place_owner_.size());
          place_owner_.push_back(owner);  // a cut goes with the piece before it
          cut_position_.push_back(between(from, to, parts[p + 1]));
          cut_key_.push_back({graph.segment_id[at(s)], static_cast<long>(p) + 1});
        }
        pieces_.push_back(
            {s, static_cast<long>(p), parts[p], parts[p + 1], {before, after}, places_.cell(middle), owner});
        before = after;
      }
    }
    graph_nodes_ = graph_nodes;
  }

  void choose() {
    std::vector<std::size_t> own, copies;
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
      if (pieces_[i].owner == rank_) {
        own.push_back(i);
      } else if (mine(pieces_[i].ends[0]) || mine(pieces_[i].ends[1])) {
        copies.push_back(i);
      }
    }
    cut_.own_pieces = own.size();
    kept_ = std::move(own);
    kept_.insert(kept_.end(), copies.begin(), copies.end());
    for (const std::size_t i : kept_) {
      const Piece& piece = pieces_[i];
      cut_.piece_nodes.push_back(piece.ends);
      cut_.piece_segment.push_back(piece.segment);
      cut_.piece_part.push_back(piece.part);
      cut_.piece_length.push_back((piece.to - piece.from) * cut_.graph.length[at(piece.segment)]);
      cut_.piece_span.push_back({piece.from, piece.to});
      cut_.piece_cell.push_back(piece.cell);
    }
    local_node_.assign(place_owner_.size(), -1);
    const auto take = [&](long place) {
      if (local_node_[at(place)] >= 0) return;
      local_node_[at(place)] = static_cast<long>(cut_.node_position.size());
      place_of_.push_back(place);
      const VesselGraph& graph = cut_.graph;
      const bool of_graph = place < graph_nodes_;
      const std::size_t n = at(place);
      cut_.node_position.push_back(of_graph ? graph.position[n] : cut_position_[at(place - graph_nodes_)]);
      cut_.boundary.push_back(of_graph ? graph.boundary[n] : BoundaryKind::none);
      cut_.boundary_value.push_back(of_graph ? graph.boundary_value[n] : 0.0);
      cut_.boundary_haematocrit.push_back(of_graph ? graph.boundary_haematocrit[n] : std::nan(""));
      cut_.boundary_po2.push_back(of_graph ? graph.boundary_po2[n] : std::nan(""));
    };
    for (long place = 0; place < static_cast<long>(place_owner_.size()); ++place) {
      if (place == graph_nodes_) cut_.own_graph_nodes = cut_.node_position.size();
      if (mine(place)) take(place);
    }
    if (cut_position_.empty()) cut_.own_graph_nodes = cut_.node_position.size();
    cut_.own_nodes = cut_.node_position.size();
    for (const auto& ends : cut_.piece_nodes)
      for (const long place : ends) take(place);
  }

  void number_nodes() {
    const MPI_Comm comm = cut_.comm;
    const auto nodes = static_cast<long>(cut_.own_nodes), pieces = static_cast<long>(cut_.own_pieces);
    std::array<long, 2> mine{count_before(comm, nodes), count_before(comm, pieces)};
    cut_.first_node = mine[0];
    cut_.first_piece = mine[1];
    cut_.all_nodes = count_over(comm, nodes);
    cut_.all_pieces = count_over(comm, pieces);
    cut_.first_of_rank.resize(ranks_);
    MPI_Allgather(mine.data(), 2, MPI_LONG, cut_.first_of_rank.data(), 2, MPI_LONG, comm);
    cut_.node_number.assign(cut_.nodes(), -1);
    for (std::size_t n = 0; n < cut_.own_nodes; ++n) cut_.node_number[n] = cut_.first_node + static_cast<long>(n);
    for (std::size_t n = 0; n < cut_.own_nodes; ++n) cut_.node_key.push_back(key_of(place_of_[n]));
  }

  /// {-1, id} of a node of the graph, {segment id, number} of a cut: nodes of the graph come first.
  [[nodiscard]] std::array<long, 2> key_of(long place) const {
    return place < graph_nodes_ ? std::array<long, 2>{-1, cut_.graph.node_id[at(place)]}
                                : cut_key_[at(place - graph_nodes_)];
  }
  [[nodiscard]] bool mine(long place) const { return place_owner_[at(place)] == rank_; }

  void find_copies() {
    const MPI_Comm comm = cut_.comm;
    std::unordered_map<long, long> node_with_id, segment_with_id;
    for (long n = 0; n < graph_nodes_; ++n) node_with_id[cut_.graph.node_id[at(n)]] = n;
    for (long s = 0; s < cut_.graph.segments(); ++s) segment_with_id[cut_.graph.segment_id[at(s)]] = s;

    std::vector<std::vector<long>> copies(ranks_), asked(ranks_);
    for (std::size_t n = cut_.own_nodes; n < cut_.nodes(); ++n) {
      const auto owner = at(place_owner_[at(place_of_[n])]);
      const auto key = key_of(place_of_[n]);
      copies[owner].push_back(static_cast<long>(n));
      asked[owner].insert(asked[owner].end(), {key[0], key[1]});
    }
    std::vector<std::vector<long>> wanted = exchange_lists(comm, asked), lent(ranks_);
    for (std::size_t r = 0; r < ranks_; ++r) {
      for (std::size_t i = 0; i < wanted[r].size(); i += 2) {
        const long place = wanted[r][i] < 0 ? node_with_id.at(wanted[r][i + 1])
                                            : first_cut_[at(segment_with_id.at(wanted[r][i]))] + wanted[r][i + 1] - 1;
        lent[r].push_back(local_node_[at(place)]);
      }
    }
    cut_.node_halo = Halo(comm, std::move(copies), std::move(lent));
    cut_.node_halo.update(std::span<long>(cut_.node_number));

    std::unordered_map<long, std::vector<long>> own_part;  // by segment: local numbers of its own pieces, by part
    for (std::size_t p = 0; p < cut_.own_pieces; ++p) {
      auto& list = own_part[cut_.graph.segment_id[at(cut_.piece_segment[p])]];
      list.resize(std::max(list.size(), at(cut_.piece_part[p]) + 1), -1);
      list[at(cut_.piece_part[p])] = static_cast<long>(p);
    }
    copies.assign(ranks_, {});
    asked.assign(ranks_, {});
    lent.assign(ranks_, {});
    for (std::size_t p = cut_.own_pieces; p < cut_.pieces(); ++p) {
      const auto owner = at(pieces_[kept_[p]].owner);
      copies[owner].push_back(static_cast<long>(p));
      asked[owner].insert(asked[owner].end(), {cut_.graph.segment_id[at(cut_.piece_segment[p])], cut_.piece_part[p]});
    }
    wanted = exchange_lists(comm, asked);
    for (std::size_t r = 0; r < ranks_; ++r) {
      for (std::size_t i = 0; i < wanted[r].size(); i += 2)
        lent[r].push_back(own_part.at(wanted[r][i])[at(wanted[r][i + 1])]);
    }
    cut_.piece_halo = Halo(comm, std::move(copies), std::move(lent));

    std::vector<std::vector<long>> shared(ranks_);
    for (std::size_t p = 0; p < cut_.pieces(); ++p) {
      const Piece& piece = pieces_[kept_[p]];
      std::array<int, 3> holders{piece.owner, place_owner_[at(piece.ends[0])], place_owner_[at(piece.ends[1])]};
      std::sort(holders.begin(), holders.end());
      for (std::size_t i = 0; i < 3; ++i) {
        if (holders[i] == rank_ || (i > 0 && holders[i] == holders[i - 1])) continue;
        shared[at(holders[i])].push_back(static_cast<long>(p));
      }
    }
    for (std::size_t r = 0; r < ranks_; ++r) {
      if (shared[r].empty()) continue;
      std::sort(shared[r].begin(), shared[r].end(), [&](long a, long b) {
        const auto key = [&](long p) {
          return std::array<long, 2>{cut_.graph.segment_id[at(cut_.piece_segment[at(p)])], cut_.piece_part[at(p)]};
        };
        return key(a) < key(b);
      });
      cut_.shared.push_back({static_cast<int>(r), std::move(shared[r])});
    }
  }

  CutNetwork cut_;
  int rank_;
  std::size_t ranks_;
  const Places& places_;
  long graph_nodes_ = 0;
  std::vector<Piece> pieces_;
  std::vector<std::size_t> kept_;
  std::vector<int> place_owner_;  // of nodes of the graph, then of cuts
  std::vector<long> first_cut_;   // of each segment
  std::vector<std::array<double, 3>> cut_position_;
  std::vector<std::array<long, 2>> cut_key_;
  std::vector<long> local_node_, place_of_;
};

}  // namespace

std::vector<double> CutNetwork::piece_radii() const {
  std::vector<double> radius(pieces());
  for (std::size_t p = 0; p < radius.size(); ++p) radius[p] = piece_radius(p);
  return radius;
}

RootOrder CutNetwork::graph_node_order() const {
  return {comm, std::span<const std::array<long, 2>>(node_key).first(own_graph_nodes)};
}

RootOrder CutNetwork::node_order() const { return {comm, node_key}; }

RootOrder CutNetwork::piece_order() const {
  std::vector<std::array<long, 2>> keys;
  for (std::size_t p = 0; p < own_pieces; ++p) keys.push_back({graph.segment_id[at(piece_segment[p])], piece_part[p]});
  return {comm, keys};
}

std::vector<double> CutNetwork::by_segment(std::span<const double> of_pieces) const {
  std::vector<double> sum(graph.segment.size(), 0.0), length(sum);
  for (std::size_t p = 0; p < own_pieces; ++p) {
    sum[at(piece_segment[p])] += of_pieces[p] * piece_length[p];
    length[at(piece_segment[p])] += piece_length[p];
  }
  std::vector<std::vector<double>> values(static_cast<std::size_t>(size_of(comm)));
  std::vector<std::vector<long>> ids(values.size());
  for (std::size_t s = 0; s < sum.size(); ++s) {
    if (length[s] <= 0) continue;
    values[0].insert(values[0].end(), {sum[s], length[s]});
    ids[0].push_back(graph.segment_id[s]);
  }
  values = exchange_lists(comm, values);
  ids = exchange_lists(comm, ids);
  if (rank_of(comm) != 0) return {};
  struct Entry {
    long id;
    double sum, length;
  };
  std::vector<Entry> all;
  for (std::size_t r = 0; r < ids.size(); ++r)
    for (std::size_t i = 0; i < ids[r].size(); ++i) all.push_back({ids[r][i], values[r][2 * i], values[r][2 * i + 1]});
  std::stable_sort(all.begin(), all.end(), [](const Entry& a, const Entry& b) { return a.id < b.id; });
  std::vector<double> result;
  for (std::size_t i = 0; i < all.size();) {
    Entry joined = all[i++];
    for (; i < all.size() && all[i].id == joined.id; ++i) {
      joined.sum += all[i].sum;
      joined.length += all[i].length;
    }
    result.push_back(joined.sum / joined.length);
  }
  return result;
}

CutNetwork uncut(MPI_Comm comm, const VesselGraph& share, ShareOwner owner) {
  if (!owner) owner = size_of(comm) > 1 ? balanced_owner(comm, share) : [](const std::array<double, 3>&) { return 0; };
  const auto middle = [](const VesselGraph& graph, long s) {
    const auto& ends = graph.segment[at(s)];
    return between(graph.position[at(ends[0])], graph.position[at(ends[1])], 0.5);
  };
  VesselGraph seen =
      spread(comm, share, owner, [&](const VesselGraph& graph, long s, const std::function<void(int)>& visit) {
        visit(owner(middle(graph, s)));
        for (const long n : graph.segment[at(s)]) visit(owner(graph.position[at(n)]));
      });
  const Places places{[](const std::array<double, 3>&) { return std::array<long, 3>{0, 0, 0}; }, owner};
  return Numbering(
             comm, std::move(seen),
             [](const VesselGraph&, long, std::vector<double>& parts) {
               parts.assign({0.0, 1.0});
             },
             places)
      .take();
}

CutNetwork cut_at_faces(const Grid& grid, const VesselGraph& share) {
  const MPI_Comm comm = grid.comm();
  together(comm, [&] { check_inside(share, grid.spec()); });
  const Places places{[&](const std::array<double, 3>& point) { return grid.cell_of(point); },
                      [&](const std::array<double, 3>& point) { return grid.owner(grid.cell_of(point)); }};
  const Cutter cutter = [&](const VesselGraph& graph, long s, std::vector<double>& parts) {
    parts_at_faces(grid.spec(), graph, s, parts);
  };
  VesselGraph seen =
      spread(comm, share, places.owner, [&](const VesselGraph& graph, long s, const std::function<void(int)>& visit) {
        std::vector<double> parts;
        cutter(graph, s, parts);
        const auto& from = graph.position[at(graph.segment[at(s)][0])];
        const auto& to = graph.position[at(graph.segment[at(s)][1])];
        for (std::size_t p = 0; p + 1 < parts.size(); ++p)
          visit(places.owner(between(from, to, 0.5 * (parts[p] + parts[p + 1]))));
        visit(places.owner(from));
        visit(places.owner(to));
      });
  return Numbering(comm, std::move(seen), cutter, places).take();
}

VesselGraph gathered_network(const CutNetwork& network) {
  // A segment is sent by the rank of its first piece.
  std::vector<bool> drop(network.graph.segment.size(), true);
  for (std::size_t p = 0; p < network.own_pieces; ++p) {
    if (network.piece_part[p] == 0) drop[at(network.piece_segment[p])] = false;
  }
  VesselGraph own = without_segments(network.graph, drop);
  if (size_of(network.comm) > 1) own = without_isolated_nodes(own);
  return gathered(network.comm, own);
}

EmbeddedNetwork::EmbeddedNetwork(const Grid& grid, const CutNetwork& network) : grid_(&grid), network_(&network) {
  const auto mixed = [&](std::size_t rank) { return network.first_of_rank[rank][0] + network.first_of_rank[rank][1]; };
  std::size_t rank = 0;
  for (std::size_t n = 0; n < network.nodes(); ++n) {
    const long number = network.node_number[n];
    const auto holds = [&](std::size_t r) {
      return network.first_of_rank[r][0] <= number &&
             (r + 1 == network.first_of_rank.size() || number < network.first_of_rank[r + 1][0]);
    };
    if (!holds(rank)) {
      const auto above = std::upper_bound(network.first_of_rank.begin(), network.first_of_rank.end(), number,
                                          [](long value, const auto& first) { return value < first[0]; });
      rank = static_cast<std::size_t>(above - network.first_of_rank.begin()) - 1;
    }
    row_with_pieces_.push_back(static_cast<PetscInt>(mixed(rank) + number - network.first_of_rank[rank][0]));
  }
  first_piece_row_ =
      static_cast<PetscInt>(network.first_node + network.first_piece + static_cast<long>(network.own_nodes));
  for (std::size_t p = 0; p < network.own_pieces; ++p) {
    const auto& cell = network.piece_cell[p];
    piece_cell_.push_back(grid.local(cell[0], cell[1], cell[2]));
  }
  const std::size_t own = network.own_pieces;
  ExchangeGeometry plain;
  plain.cell_offset.resize(own + 1);
  std::iota(plain.cell_offset.begin(), plain.cell_offset.end(), std::size_t{0});
  for (std::size_t p = 0; p < own; ++p) plain.add_cell(network.piece_cell[p], 1.0);
  plain.curvature.assign(own, 0.0);
  plain.length.assign(network.piece_length.begin(), network.piece_length.begin() + static_cast<long>(own));
  plain.own.assign(own, 0.0);
  plain.neighbour_offset.assign(own + 1, 0);
  for (std::size_t p = 0; p < own; ++p)
    plain.number.push_back(static_cast<PetscInt>(network.first_piece + static_cast<long>(p)));
  exchange_ = std::make_shared<const ExchangeGeometry>(std::move(plain));
}

namespace {

/// The own pieces as the tissue sees them, then those of other ranks within `halo` cells. Collective.
std::vector<VesselPiece> pieces_near(const Grid& grid, const CutNetwork& network, long halo) {
  constexpr std::size_t numbers = 8, integers = 4;
  const auto ranks = static_cast<std::size_t>(size_of(grid.comm()));
  const auto rank = static_cast<std::size_t>(rank_of(grid.comm()));
  std::vector<VesselPiece> pieces;
  std::vector<std::vector<double>> out(ranks);
  std::vector<std::vector<long>> names(ranks);
  const auto& cuts = grid.cuts();
  for (std::size_t p = 0; p < network.own_pieces; ++p) {
    const VesselGraph& graph = network.graph;
    const std::size_t s = at(network.piece_segment[p]);
    const auto &a = graph.position[at(graph.segment[s][0])], &b = graph.position[at(graph.segment[s][1])];
    const VesselPiece piece{
        .from = between(a, b, network.piece_span[p][0]),
        .to = between(a, b, network.piece_span[p][1]),
        .radius = graph.radius[s],
        .length = network.piece_length[p],
        .segment = graph.segment_id[s],
        .segment_nodes = {graph.node_id[at(graph.segment[s][0])], graph.node_id[at(graph.segment[s][1])]},
        .number = static_cast<PetscInt>(network.first_piece + static_cast<long>(p))};
    pieces.push_back(piece);
    if (ranks == 1) continue;
    // Blocks that lie within the halo of the piece's cell, by the first cell of each.
    std::array<std::vector<long>, 3> blocks;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const long low = network.piece_cell[p][axis] - halo, high = network.piece_cell[p][axis] + halo;
      for (std::size_t i = 0; i + 1 < cuts[axis].size(); ++i) {
        if (cuts[axis][i] <= high && cuts[axis][i + 1] > low) blocks[axis].push_back(cuts[axis][i]);
      }
    }
    for (const long i : blocks[0]) {
      for (const long j : blocks[1]) {
        for (const long k : blocks[2]) {
          const std::size_t to = at(grid.owner({i, j, k}));
          if (to == rank) continue;
          out[to].insert(out[to].end(), {piece.from[0], piece.from[1], piece.from[2], piece.to[0], piece.to[1],
                                         piece.to[2], piece.radius, piece.length});
          names[to].insert(names[to].end(), {piece.segment, piece.segment_nodes[0], piece.segment_nodes[1],
                                             static_cast<long>(piece.number)});
        }
      }
    }
  }
  out = exchange_lists(grid.comm(), out);
  names = exchange_lists(grid.comm(), names);
  for (std::size_t r = 0; r < ranks; ++r) {
    for (std::size_t i = 0; r != rank && i < names[r].size() / integers; ++i) {
      const double* x = out[r].data() + numbers * i;
      const long* n = names[r].data() + integers * i;
      pieces.push_back({.from = {x[0], x[1], x[2]},
                        .to = {x[3], x[4], x[5]},
                        .radius = x[6],
                        .length = x[7],
                        .segment = n[0],
                        .segment_nodes = {n[1], n[2]},
                        .number = static_cast<PetscInt>(n[3])});
    }
  }
  return pieces;
}

}  // namespace

EmbeddedNetwork::EmbeddedNetwork(const Grid& grid, const CutNetwork& network, const ExchangeSettings& settings)
    : EmbeddedNetwork(grid, network) {
  const std::vector<VesselPiece> pieces = pieces_near(grid, network, settings.halo());
  together(grid.comm(), [&] {
    exchange_ =
        std::make_shared<const ExchangeGeometry>(exchange_geometry(grid.spec(), pieces, network.own_pieces, settings));
  });
  plain_ = false;
}

std::vector<double> EmbeddedNetwork::node_values(Vec values) const {
  std::vector<double> result(network_->nodes());
  const ReadAccess access(values);
  std::copy(access.data(), access.data() + nodes(), result.begin());
  network_->node_halo.update(std::span<double>(result));
  return result;
}

std::vector<double> EmbeddedNetwork::piece_values(Vec values) const {
  const ReadAccess access(values);
  return {access.data() + nodes(), access.data() + nodes() + pieces()};
}

void EmbeddedNetwork::set_values(std::span<const double> nodes_in, std::span<const double> pieces_in,
                                 Vec values) const {
  const WriteAccess access(values);
  std::copy(nodes_in.begin(), nodes_in.begin() + static_cast<long>(nodes()), access.data());
  std::copy(pieces_in.begin(), pieces_in.begin() + static_cast<long>(pieces()), access.data() + nodes());
}

std::vector<PetscInt> joined_entries(const EmbeddedNetwork& network, bool with_pieces) {
  std::vector<PetscInt> of_row(static_cast<std::size_t>(network.local_unknowns(with_pieces)), 3);
  std::fill_n(of_row.begin(), network.nodes(), 1);
  for (const auto& ends : network.network().piece_nodes) {
    for (const long n : ends) {
      if (static_cast<std::size_t>(n) < network.nodes()) ++of_row[static_cast<std::size_t>(n)];
    }
  }
  return of_row;
}

MatHandle matrix_with_room(MPI_Comm comm, const std::vector<PetscInt>& entries) {
  const auto unknowns = static_cast<PetscInt>(entries.size());
  std::vector<PetscInt> here = entries;
  for (PetscInt& n : here) n = std::min(n, unknowns);
  MatHandle matrix;
  petsc(MatCreateAIJ(comm, unknowns, unknowns, PETSC_DETERMINE, PETSC_DETERMINE, 0, here.data(), 0, entries.data(),
                     matrix.out()));
  petsc(MatSetOption(matrix.get(), MAT_NEW_NONZERO_ALLOCATION_ERR, PETSC_FALSE));
  return matrix;
}

}  // namespace sanctuary
