#include "solvers/network/red_cells.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/comm.hpp"

namespace sanctuary {
namespace {

constexpr double negligible = 1e-13;  // of the largest flow: such a flow carries no red cells
constexpr double half = 0.5;          // a piece that filters off more of its blood than this lets no red cells through

std::size_t at(long i) { return static_cast<std::size_t>(i); }

std::size_t upstream(const CutNetwork& network, const BloodFlow& state, std::size_t p) {
  return at(network.piece_nodes[p][state.flow[p] >= 0 ? 0 : 1]);
}
std::size_t downstream(const CutNetwork& network, const BloodFlow& state, std::size_t p) {
  return at(network.piece_nodes[p][state.flow[p] >= 0 ? 1 : 0]);
}
double entering(const BloodFlow& state, std::size_t p) { return std::abs(state.flow[p]) + 0.5 * state.leak[p]; }
double leaving(const BloodFlow& state, std::size_t p) { return std::abs(state.flow[p]) - 0.5 * state.leak[p]; }

}  // namespace

PiecesAtNodes::PiecesAtNodes(const CutNetwork& network) {
  const std::size_t own = network.own_nodes;
  offset.assign(own + 1, 0);
  for (const auto& ends : network.piece_nodes) {
    for (const long n : ends) {
      if (at(n) < own) ++offset[at(n) + 1];
    }
  }
  std::partial_sum(offset.begin(), offset.end(), offset.begin());
  piece.resize(at(offset.back()));
  std::vector<int> next(offset.begin(), offset.end() - 1);
  for (std::size_t p = 0; p < network.pieces(); ++p) {
    for (const long n : network.piece_nodes[p]) {
      if (at(n) < own) piece[at(next[at(n)]++)] = static_cast<int>(p);
    }
  }
}

/// Carries values of pieces that several ranks hold from the rank that knows them to the others, round by round.
class RedCells::Relay {
 public:
  static constexpr std::size_t width = 3;  ///< values per piece
  explicit Relay(const CutNetwork& network) : network_(&network), alone_(size_of(network.comm) == 1) {
    for (std::size_t i = 0; i < network.shared.size(); ++i) {
      for (std::size_t k = 0; k < network.shared[i].pieces.size(); ++k)
        places_.push_back({network.shared[i].pieces[k], i, k});
      out_.emplace_back(width * network.shared[i].pieces.size(), std::nan(""));
      in_.emplace_back(out_.back().size());
    }
    std::sort(places_.begin(), places_.end(), [](const Place& a, const Place& b) { return a.piece < b.piece; });
  }
  /// Values of a piece for the ranks that hold it, too.
  void put(std::size_t piece, std::array<double, width> values) {
    if (places_.empty()) return;
    auto place = std::lower_bound(places_.begin(), places_.end(), static_cast<long>(piece),
                                  [](const Place& a, long p) { return a.piece < p; });
    for (; place != places_.end() && at(place->piece) == piece; ++place) {
      std::copy(values.begin(), values.end(), out_[place->list].begin() + static_cast<long>(width * place->number));
      news_ = 1;
    }
  }
  /// True when a rank has news. Collective.
  bool news() {
    if (alone_) return false;
    int any = news_;
    MPI_Allreduce(MPI_IN_PLACE, &any, 1, MPI_INT, MPI_MAX, network_->comm);
    return any != 0;
  }
  /// One round of messages; `take(piece, values)` is called for what arrived. Collective over the neighbours.
  template <class Take>
  void exchange(Take take) {
    news_ = 0;
    constexpr int tag = 79;
    requests_.clear();
    for (std::size_t i = 0; i < out_.size(); ++i) {
      MPI_Irecv(in_[i].data(), static_cast<int>(in_[i].size()), MPI_DOUBLE, network_->shared[i].rank, tag,
                network_->comm, &requests_.emplace_back());
      MPI_Isend(out_[i].data(), static_cast<int>(out_[i].size()), MPI_DOUBLE, network_->shared[i].rank, tag,
                network_->comm, &requests_.emplace_back());
    }
    MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE);
    for (std::size_t i = 0; i < in_.size(); ++i) {
      std::fill(out_[i].begin(), out_[i].end(), std::nan(""));
      for (std::size_t k = 0; k < network_->shared[i].pieces.size(); ++k) {
        const double* values = in_[i].data() + width * k;
        if (!std::isnan(values[0])) take(at(network_->shared[i].pieces[k]), values);
      }
    }
  }

 private:
  struct Place {
    long piece;
    std::size_t list, number;
  };
  const CutNetwork* network_;
  bool alone_;
  std::vector<Place> places_;
  std::vector<std::vector<double>> out_, in_;
  std::vector<MPI_Request> requests_;
  int news_ = 0;
};

/// What feeds a node and what leaves it; the lists are kept for the next one.
struct RedCells::Feed {
  double red_cells = 0, plasma = 0, protein = 0, arriving = 0, width = 0, from_outside = 0;
  double blood = 0;        ///< that leaves, through pieces and the boundary
  double haematocrit = 0;  ///< of all that arrives
  bool separates = false;  ///< else all that leaves has one haematocrit
  std::vector<std::size_t> out;
  std::vector<double> flow, diameter, haematocrit_out, varied, matrix, right;
};

RedCells::RedCells(const CutNetwork& network, const PiecesAtNodes& at_node, std::span<const double> radius,
                   const BloodLaws& laws)
    : network_(&network), at_node_(&at_node), radius_(radius), laws_(&laws), relay_(std::make_unique<Relay>(network)) {}

RedCells::~RedCells() = default;

void RedCells::find_passable(const BloodFlow& state, double least) {
  // From the outlets upstream, node by node.
  const CutNetwork& net = *network_;
  std::vector<char> open(net.own_nodes, 0);
  passes_.assign(net.pieces(), 0);
  std::vector<std::size_t> queue;
  const auto reach = [&](std::size_t n) {
    if (n >= net.own_nodes || open[n]) return;
    open[n] = 1;
    queue.push_back(n);
  };
  const auto pass = [&](std::size_t p, const double*) {
    passes_[p] = 1;
    reach(upstream(net, state, p));
  };
  for (std::size_t n = 0; n < net.own_nodes; ++n) {
    if (state.inflow[n] < -least) reach(n);
  }
  while (true) {
    while (!queue.empty()) {
      const std::size_t n = queue.back();
      queue.pop_back();
      for (int e = at_node_->offset[n]; e < at_node_->offset[n + 1]; ++e) {
        const std::size_t p = at(at_node_->piece[at(e)]);
        if (downstream(net, state, p) != n || std::abs(state.flow[p]) <= least) continue;
        // Not through pieces that lose most of their blood, nor through those that fluid enters from both ends.
        if (entering(state, p) <= 0 || leaving(state, p) <= half * entering(state, p)) continue;
        pass(p, nullptr);
        relay_->put(p, {});
      }
    }
    if (!relay_->news()) return;
    relay_->exchange(pass);
  }
}

void RedCells::gather(std::size_t n, const BloodFlow& state, Feed& feed) const {
  const CutNetwork& net = *network_;
  feed.red_cells = feed.plasma = feed.protein = feed.arriving = feed.width = feed.from_outside = 0;
  if (state.inflow[n] > 0) {
    const double stated = net.boundary_haematocrit[n];
    feed.red_cells = feed.from_outside = state.inflow[n] * (std::isnan(stated) ? laws_->inlet_haematocrit : stated);
    feed.plasma = feed.protein = state.inflow[n] - feed.red_cells;
  }
  feed.out.clear();
  for (int e = at_node_->offset[n]; e < at_node_->offset[n + 1]; ++e) {
    const std::size_t p = at(at_node_->piece[at(e)]);
    if (downstream(net, state, p) == n) {
      const double arrives = leaving(state, p);
      if (arrives <= 0) continue;
      feed.red_cells += state.red_cells[p];
      feed.plasma += arrives - state.red_cells[p];
      feed.protein += passes_[p] ? state.protein[p] : arrives;
      feed.arriving += arrives;
      feed.width += arrives * 2 * radius_[p];
    } else if (passes_[p]) {
      feed.out.push_back(p);
    }
  }
  feed.blood = state.inflow[n] < 0 ? -state.inflow[n] : 0.0;
  feed.flow.clear();
  feed.diameter.clear();
  for (const std::size_t p : feed.out) {
    feed.flow.push_back(entering(state, p));
    feed.diameter.push_back(2 * radius_[p]);
    feed.blood += feed.flow.back();
  }
  if (feed.out.empty()) return;
  feed.haematocrit = feed.red_cells / feed.blood;
  feed.separates = feed.out.size() > 1 && state.inflow[n] >= 0 && feed.red_cells > 0;
  // Several vessels that feed one node count by their flow, so that nothing jumps where one of them comes to rest.
  feed.width =
      feed.arriving > 0 ? feed.width / feed.arriving : *std::max_element(feed.diameter.begin(), feed.diameter.end());
}

void RedCells::separate(double haematocrit, Feed& feed, std::span<double> out) const {
  if (laws_->split)
    laws_->split(haematocrit, feed.width, feed.flow, feed.diameter, out);
  else
    split_red_cells(laws_->separation, haematocrit, feed.width, feed.flow, feed.diameter, out);
}

void RedCells::enter(std::size_t n, Feed& feed, BloodFlow& state) const {
  state.red_inflow[n] = feed.from_outside;
  feed.haematocrit_out.assign(feed.out.size(), feed.haematocrit);
  if (feed.separates) separate(feed.haematocrit, feed, feed.haematocrit_out);
  // Ten times the protein holds back any filtration there is, a tenth is none; behind the bounds rounding runs away.
  const double concentration = feed.plasma > 0 ? std::clamp(feed.protein / feed.plasma, 0.1, 10.0) : 1.0;
  for (std::size_t k = 0; k < feed.out.size(); ++k) {
    const std::size_t p = feed.out[k];
    state.red_cells[p] = feed.haematocrit_out[k] * feed.flow[k];
    state.plasma[p] = std::max(feed.flow[k] - state.red_cells[p], 0.0);
    state.protein[p] = concentration * state.plasma[p];
  }
}

void RedCells::sweep(BloodFlow& state) {
  const CutNetwork& net = *network_;
  double largest = 0;
  for (const double q : state.flow) largest = std::max(largest, std::abs(q));
  // Red cells enter only what leads on to an outlet: what ends in the tissue takes plasma alone.
  find_passable(state, negligible * max_over(net.comm, largest));
  state.red_cells.assign(net.pieces(), 0.0);
  state.haematocrit.assign(net.pieces(), 0.0);
  state.protein.assign(net.pieces(), 0.0);
  state.plasma.assign(net.pieces(), 0.0);
  state.red_inflow.assign(net.nodes(), 0.0);
  // A node's turn comes when all that brings it red cells is known.
  std::vector<int> waits(net.own_nodes, 0);
  for (std::size_t p = 0; p < net.pieces(); ++p) {
    const std::size_t n = downstream(net, state, p);
    if (passes_[p] && n < net.own_nodes) ++waits[n];
  }
  std::vector<std::size_t> queue;
  for (std::size_t n = net.own_nodes; n-- > 0;) {
    if (waits[n] == 0) queue.push_back(n);
  }
  const auto arrive = [&](std::size_t p) {
    const std::size_t n = downstream(net, state, p);
    if (n < net.own_nodes && --waits[n] == 0) queue.push_back(n);
  };
  order_.clear();
  ends_.clear();
  Feed feed;
  while (true) {
    while (!queue.empty()) {
      const std::size_t n = queue.back();
      queue.pop_back();
      gather(n, state, feed);
      if (feed.out.empty()) continue;
      order_.push_back(static_cast<int>(n));
      enter(n, feed, state);
      for (const std::size_t p : feed.out) {
        relay_->put(p, {state.red_cells[p], state.plasma[p], state.protein[p]});
        arrive(p);
      }
    }
    ends_.push_back(order_.size());
    if (!relay_->news()) break;
    relay_->exchange([&](std::size_t p, const double* values) {
      state.red_cells[p] = values[0];
      state.plasma[p] = values[1];
      state.protein[p] = values[2];
      arrive(p);
    });
  }
  for (std::size_t p = 0; p < net.pieces(); ++p) {
    if (passes_[p]) state.haematocrit[p] = state.red_cells[p] / std::abs(state.flow[p]);
  }
  net.node_halo.update(std::span<double>(state.red_inflow));
}

RedCells::Outflow RedCells::outflow(std::size_t p, std::span<const double> conductance,
                                    std::span<const float> drag) const {
  constexpr double step = 1e-5;
  const BloodFlow& state = *state_;
  double rise = 0;  // of the logarithm of the viscosity
  if (radius_[p] > 0 && state.flow[p] != 0) {
    const double low = laws_->apparent_viscosity(2 * radius_[p], used_[p]);
    rise = std::log(laws_->apparent_viscosity(2 * radius_[p], used_[p] + step) / low) / step;
  }
  return {.piece = static_cast<int>(p),
          .from = static_cast<int>(upstream(*network_, state, p)),
          .to = static_cast<int>(downstream(*network_, state, p)),
          .conductance = static_cast<float>(conductance[p]),
          .slope = static_cast<float>(-rise * std::abs(state.flow[p])),
          .keep = 1 + drag[p],
          .diameter = static_cast<float>(2 * radius_[p])};
}

void RedCells::linearise(const BloodFlow& state, std::span<const double> used, std::span<const double> conductance,
                         std::span<const float> drag) {
  state_ = &state;
  used_ = used;
  offset_.resize(network_->pieces());
  still_.clear();
  out_.clear();
  outs_.clear();
  coefficient_.clear();
  for (std::size_t p = 0; p < offset_.size(); ++p) {
    if (!passes_[p]) still_.push_back(outflow(p, conductance, drag));
    offset_[p] = static_cast<float>((state.haematocrit[p] - used[p]) / (1 + static_cast<double>(drag[p])));
  }
  Feed feed;
  for (const int n : order_) differentiate(at(n), feed, conductance, drag);
}

// With changes of the flows into the m pieces that leave at fixed haematocrits (x), and of the blood (a), red cells (r)
// and blood times diameter (d) that arrive, those of the haematocrits used are offset + X x + R r + A a + D d: X (row
// by row), R, A and, where red cells separate, D.
void RedCells::differentiate(std::size_t n, Feed& feed, std::span<const double> conductance,
                             std::span<const float> drag) {
  const BloodFlow& state = *state_;
  gather(n, state, feed);
  const std::size_t m = feed.out.size(), first = out_.size();
  outs_.push_back(static_cast<int>(m));
  for (const std::size_t p : feed.out) out_.push_back(outflow(p, conductance, drag));
  const double blood = feed.blood, haematocrit = feed.haematocrit;
  // Of the feed's haematocrit with a, and with each x. Where no blood enters or leaves the network, what arrives
  // leaves again, whatever the x say.
  double with_arriving = -haematocrit / blood, with_leaving = 0;
  if (state.inflow[n] > 0) {
    const double outside = feed.from_outside / state.inflow[n];
    const bool free = network_->boundary[n] == BoundaryKind::pressure;
    with_arriving = free ? -outside / blood : -haematocrit / blood;
    with_leaving = free ? (outside - haematocrit) / blood : 0.0;
  }
  const std::size_t columns = m + 4;  // x, r, a, d, offset
  std::vector<double>& right = feed.right;
  std::vector<double>& matrix = feed.matrix;
  right.assign(m * columns, 0.0);
  matrix.assign(m * m, 0.0);
  std::vector<double>& base = feed.haematocrit_out;
  base.assign(m, haematocrit);
  if (feed.separates) {
    separate(haematocrit, feed, base);
    constexpr double step = 1e-6;
    feed.varied.resize(m);
    separate(haematocrit + step, feed, feed.varied);
    for (std::size_t k = 0; k < m; ++k) right[k * columns + m] = (feed.varied[k] - base[k]) / step;
    const double width = feed.width;
    if (feed.arriving > 0) {
      feed.width = width * (1 + step);
      separate(haematocrit, feed, feed.varied);
      feed.width = width;
      for (std::size_t k = 0; k < m; ++k) {
        const double slope = (feed.varied[k] - base[k]) / (step * width * feed.arriving);
        right[k * columns + m + 2] = slope;
        right[k * columns + m + 1] = -slope * width;
      }
    }
    // Only ratios of the flows count: the last one's derivative follows from the others.
    for (std::size_t j = 0; j + 1 < m; ++j) {
      const double flow = feed.flow[j];
      feed.flow[j] = flow * (1 + step);
      separate(haematocrit, feed, feed.varied);
      feed.flow[j] = flow;
      for (std::size_t k = 0; k < m; ++k) {
        const double slope = (feed.varied[k] - base[k]) / (step * flow);
        right[k * columns + j] = slope;
        right[k * columns + m - 1] -= slope * flow / feed.flow[m - 1];
      }
    }
  } else {
    for (std::size_t k = 0; k < m; ++k) right[k * columns + m] = 1;
  }
  for (std::size_t k = 0; k < m; ++k) {
    double* row = right.data() + k * columns;
    const std::size_t p = feed.out[k];
    const double through = std::abs(state.flow[p]), stretch = feed.flow[k] / through, with_feed = row[m] * stretch;
    for (std::size_t j = 0; j < m; ++j) row[j] = stretch * row[j] + with_feed * with_leaving;
    row[k] += (base[k] - state.haematocrit[p]) / through;
    row[m] = with_feed / blood;
    row[m + 1] = stretch * row[m + 1] + with_feed * with_arriving;
    row[m + 2] *= stretch;
    const auto keep = static_cast<double>(out_[first + k].keep);
    row[m + 3] = keep * static_cast<double>(offset_[p]);
    for (std::size_t j = 0; j < m; ++j)
      matrix[k * m + j] = (k == j ? keep : 0.0) - row[j] * static_cast<double>(out_[first + j].slope);
  }
  for (std::size_t i = 0; i < m; ++i) {  // Gauss-Jordan elimination with row exchanges
    std::size_t pivot = i;
    for (std::size_t r = i + 1; r < m; ++r)
      if (std::abs(matrix[r * m + i]) > std::abs(matrix[pivot * m + i])) pivot = r;
    if (pivot != i) {
      std::swap_ranges(matrix.begin() + static_cast<long>(i * m), matrix.begin() + static_cast<long>((i + 1) * m),
                       matrix.begin() + static_cast<long>(pivot * m));
      std::swap_ranges(right.begin() + static_cast<long>(i * columns),
                       right.begin() + static_cast<long>((i + 1) * columns),
                       right.begin() + static_cast<long>(pivot * columns));
    }
    constexpr double smallest = 1e-3;
    double diagonal = matrix[i * m + i];
    if (std::abs(diagonal) < smallest) diagonal = std::copysign(smallest, diagonal);
    for (std::size_t j = 0; j < m; ++j) matrix[i * m + j] /= diagonal;
    for (std::size_t j = 0; j < columns; ++j) right[i * columns + j] /= diagonal;
    for (std::size_t r = 0; r < m; ++r) {
      const double factor = matrix[r * m + i];
      if (r == i || factor == 0) continue;
      for (std::size_t j = i; j < m; ++j) matrix[r * m + j] -= factor * matrix[i * m + j];
      for (std::size_t j = 0; j < columns; ++j) right[r * columns + j] -= factor * right[i * columns + j];
    }
  }
  for (std::size_t k = 0; k < m; ++k) {
    const double* row = right.data() + k * columns;
    for (std::size_t j = 0; j < m + 2; ++j) coefficient_.push_back(static_cast<float>(row[j]));
    if (m > 1) coefficient_.push_back(static_cast<float>(row[m + 2]));
    offset_[feed.out[k]] = static_cast<float>(row[m + 3]);
  }
}

void RedCells::respond(std::span<const double> pressure, std::span<double> surplus, std::span<double> change) const {
  const CutNetwork& net = *network_;
  const BloodFlow& state = *state_;
  const bool whole = !change.empty();
  arriving_.assign(net.own_nodes, {});
  std::fill(surplus.begin(), surplus.end(), 0.0);
  const auto arrive = [&](const Outflow& out, double blood, double red_cells) {
    const auto n = static_cast<std::size_t>(out.to);
    if (n >= net.own_nodes) return;
    surplus[n] -= blood;
    arriving_[n].blood += static_cast<float>(blood);
    arriving_[n].red_cells += static_cast<float>(red_cells);
    arriving_[n].width += static_cast<float>(blood) * out.diameter;
  };
  const auto pushed = [&](const Outflow& out) {
    return static_cast<double>(out.conductance) * (pressure[at(out.from)] - pressure[at(out.to)]);
  };
  for (const Outflow& out : still_) {
    double blood = pushed(out);
    if (whole) {
      change[at(out.piece)] = static_cast<double>(offset_[at(out.piece)]);
      blood += static_cast<double>(out.slope) * change[at(out.piece)];
    }
    if (at(out.from) < net.own_nodes) surplus[at(out.from)] += blood;
    arrive(out, blood, 0);
  }
  auto next = coefficient_.begin();
  auto first = out_.begin();
  std::size_t i = 0;
  std::vector<float> x(outs_.empty() ? 0U : at(*std::max_element(outs_.begin(), outs_.end())));
  for (std::size_t round = 0; round < ends_.size(); ++round) {
    for (; i < ends_[round]; ++i) {
      const std::size_t n = at(order_[i]), m = at(outs_[i]);
      const Arriving in = arriving_[n];
      for (std::size_t k = 0; k < m; ++k) x[k] = static_cast<float>(pushed(first[static_cast<long>(k)]));
      for (std::size_t k = 0; k < m; ++k, ++first) {
        const std::size_t p = at(first->piece);
        float sum = 0;
        for (std::size_t j = 0; j < m; ++j) sum += *next++ * x[j];
        sum += *next++ * in.red_cells;
        sum += *next++ * in.blood;
        if (m > 1) sum += *next++ * in.width;
        double residual = 0;
        if (whole) {
          sum += offset_[p];
          residual = state.haematocrit[p] - used_[p];
          change[p] = static_cast<double>(sum);
        }
        const auto of_used = static_cast<double>(sum);
        const double more_blood = static_cast<double>(x[k]) + static_cast<double>(first->slope) * of_used;
        const double more_red = std::abs(state.flow[p]) * (static_cast<double>(first->keep) * of_used - residual) +
                                state.haematocrit[p] * more_blood;
        surplus[n] += more_blood;
        relay_->put(p, {more_blood, more_red, of_used});
        arrive(*first, more_blood, more_red);
      }
    }
    if (round + 1 == ends_.size()) break;
    relay_->exchange([&](std::size_t p, const double* values) {
      if (whole) change[p] = values[2];
      arrive({.piece = static_cast<int>(p),
              .from = 0,
              .to = static_cast<int>(downstream(net, state, p)),
              .conductance = 0,
              .slope = 0,
              .keep = 1,
              .diameter = static_cast<float>(2 * radius_[p])},
             values[0], values[1]);
    });
  }
}

}  // namespace sanctuary
