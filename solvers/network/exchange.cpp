#include "solvers/network/exchange.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <string>
#include <unordered_map>

#include "base/comm.hpp"

namespace sanctuary {
namespace {

using Point = std::array<double, 3>;
using Cell = std::array<long, 3>;
constexpr double pi = std::numbers::pi;

Point minus(const Point& a, const Point& b) { return {a[0] - b[0], a[1] - b[1], a[2] - b[2]}; }
double dot(const Point& a, const Point& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }
Point along(const Point& a, const Point& b, double t) {
  return {a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), a[2] + t * (b[2] - a[2])};
}

// exp(-x) I_n(x) for n = 0 .. most.
void scaled_bessel(double x, std::vector<double>& out) {
  const auto most = static_cast<long>(out.size()) - 1;
  if (x > 3000) {  // Hankel's series
    for (long n = 0; n <= most; ++n) {
      double term = 1, sum = 1;
      for (int k = 1; k < 30; ++k) {
        const double odd = 2 * k - 1;
        term *= -(4.0 * static_cast<double>(n * n) - odd * odd) / (8.0 * k * x);
        sum += term;
        if (std::abs(term) < 1e-17) break;
      }
      out[static_cast<std::size_t>(n)] = sum / std::sqrt(2 * pi * x);
    }
    return;
  }
  // Miller's downward recurrence; I_0 + 2 sum I_n = exp(x).
  const long start = most + 20 + static_cast<long>(10 * std::sqrt(x) + 0.2 * std::min(x, 100.0));
  double above = 0, here = 1e-280, total = 0;
  for (long n = start; n >= 0; --n) {
    if (n <= most) out[static_cast<std::size_t>(n)] = here;
    total += n == 0 ? here : 2 * here;
    const double below = x > 0 ? above + 2 * static_cast<double>(n) / x * here : 0;
    above = here;
    here = below;
    if (here > 1e250) {
      constexpr double scale = 1e-250;
      here *= scale;
      above *= scale;
      total *= scale;
      for (long m = n; m <= most; ++m) out[static_cast<std::size_t>(m)] *= scale;
    }
  }
  for (double& value : out) value /= total;
}

}  // namespace

LatticeGreen::LatticeGreen(const Point& spacing) : spacing_(spacing) {
  constexpr auto width = static_cast<std::size_t>(reach + 1);
  table_.assign(width * width * width, 0.0);
  const double volume = spacing[0] * spacing[1] * spacing[2];
  Point c{};
  for (std::size_t a = 0; a < 3; ++a) c[a] = volume / (spacing[a] * spacing[a]);
  const double unit = std::cbrt(c[0] * c[1] * c[2]);
  // With t = exp(y) the trapezoidal rule converges exponentially; 1e-17 of the integral lies beyond the ends.
  constexpr double step = 0.2;
  std::array<std::vector<double>, 3> bessel;
  for (auto& b : bessel) b.resize(width);
  for (double y = -40; y < 80; y += step) {
    const double t = std::exp(y) / unit;
    for (std::size_t a = 0; a < 3; ++a) {
      if (a > 0 && c[a] == c[a - 1]) {
        bessel[a] = bessel[a - 1];
      } else {
        const double x = 2 * c[a] * t;
        if (x < 1e-12) {
          std::fill(bessel[a].begin(), bessel[a].end(), 0.0);
          bessel[a][0] = 1;
        } else {
          scaled_bessel(x, bessel[a]);
        }
      }
    }
    std::size_t at = 0;
    for (std::size_t k = 0; k < width; ++k) {
      for (std::size_t j = 0; j < width; ++j) {
        const double both = step * t * bessel[2][k] * bessel[1][j];
        for (std::size_t i = 0; i < width; ++i) table_[at++] += both * bessel[0][i];
      }
    }
  }
}

double LatticeGreen::beyond(long i, long j, long k) const {
  return 1 / (4 * pi *
              std::hypot(static_cast<double>(i) * spacing_[0], static_cast<double>(j) * spacing_[1],
                         static_cast<double>(k) * spacing_[2]));
}

double line_potential(const Point& x, const Point& from, const Point& to, double radius) {
  const Point axis = minus(to, from), r = minus(x, from);
  const double length = std::sqrt(dot(axis, axis));
  const double a = dot(r, axis) / length;
  const double apart = std::max(dot(r, r) - a * a, radius * radius), b = length - a;
  const double ends = std::sqrt(a * a + apart) + std::sqrt(b * b + apart);
  return std::log((ends + length) / (ends - length)) / (4 * pi * length);
}

double mean_line_potential(const Point& on_from, const Point& on_to, const Point& from, const Point& to,
                           double radius) {
  const Point u = minus(on_to, on_from), v = minus(to, from);
  const double on_length = std::sqrt(dot(u, u)), length = std::sqrt(dot(v, v));
  const double cosine = dot(u, v) / (on_length * length);
  if (1 - std::abs(cosine) < 1e-12) {
    const Point r = minus(on_from, from);
    const double start = dot(r, v) / length;
    const double distance = std::max(std::sqrt(std::max(dot(r, r) - start * start, 0.0)), radius);
    const double end = start + std::copysign(on_length, cosine);
    const auto twice = [&](double s) { return s * std::asinh(s / distance) - std::hypot(s, distance); };
    const double low = std::min(start, end), high = std::max(start, end);
    return (twice(high) - twice(low) - twice(high - length) + twice(low - length)) / (4 * pi * length * on_length);
  }
  // Gauss-Legendre: 8 points, 2 where the lines are further apart than they are long
  const Point gap = minus(along(on_from, on_to, 0.5), along(from, to, 0.5));
  if (dot(gap, gap) > std::pow(std::max(on_length, length) + 0.5 * (on_length + length), 2)) {
    constexpr double inner = 0.2113248654051871;
    return 0.5 * (line_potential(along(on_from, on_to, inner), from, to, radius) +
                  line_potential(along(on_from, on_to, 1 - inner), from, to, radius));
  }
  constexpr std::array<double, 4> node{0.1834346424956498, 0.5255324099163290, 0.7966664774136267, 0.9602898564975363};
  constexpr std::array<double, 4> weight{0.3626837833783620, 0.3137066458778873, 0.2223810344533745,
                                         0.1012285362903763};
  double sum = 0;
  for (std::size_t n = 0; n < 4; ++n) {
    for (const double sign : {-1.0, 1.0}) {
      sum += 0.5 * weight[n] * line_potential(along(on_from, on_to, 0.5 + 0.5 * sign * node[n]), from, to, radius);
    }
  }
  return sum;
}

double mean_wall_potential(const Point& on_from, const Point& on_to, const Point& from, const Point& to,
                           double radius) {
  // Lines on the one wall at angles from a line on the other. From a sixth of a step on, their mean logarithm of the
  // distance is exact: prod 2 sin((k + 1/6) pi / n) = 2 sin(pi / 6) = 1.
  const Point u = minus(on_to, on_from), v = minus(to, from);
  const bool parallel = std::abs(dot(u, v)) > (1 - 1e-12) * std::sqrt(dot(u, u) * dot(v, v));
  const int lines = parallel ? 6 : 3;
  double sum = 0;
  for (int k = 0; k < lines; ++k) {
    sum += mean_line_potential(on_from, on_to, from, to, 2 * radius * std::sin((k + 1.0 / 6) * pi / lines));
  }
  return sum / lines;
}

namespace {

/// Pieces by the cell of their middle, cells in rows along x.
class CellIndex {
 public:
  explicit CellIndex(const std::vector<Cell>& cell) {
    Cell high{};
    for (std::size_t a = 0; a < 3; ++a) {
      low_[a] = high[a] = cell.empty() ? 0 : cell[0][a];
      for (const Cell& c : cell) {
        low_[a] = std::min(low_[a], c[a]);
        high[a] = std::max(high[a], c[a]);
      }
      size_[a] = high[a] - low_[a] + 1;
    }
    start_.assign(static_cast<std::size_t>(size_[0] * size_[1] * size_[2]) + 1, 0);
    for (const Cell& c : cell) ++start_[at(c) + 1];
    std::partial_sum(start_.begin(), start_.end(), start_.begin());
    piece_.resize(cell.size());
    std::vector<std::size_t> next(start_.begin(), start_.end() - 1);
    for (std::size_t p = 0; p < cell.size(); ++p) piece_[next[at(cell[p])]++] = p;
  }

  /// All pieces within `reach` cells of `c` along every axis.
  void near(const Cell& c, long reach, std::vector<std::size_t>& out) const {
    out.clear();
    Cell from{}, to{};
    for (std::size_t a = 0; a < 3; ++a) {
      from[a] = std::max(c[a] - reach, low_[a]);
      to[a] = std::min(c[a] + reach, low_[a] + size_[a] - 1);
      if (from[a] > to[a]) return;
    }
    for (long k = from[2]; k <= to[2]; ++k) {
      for (long j = from[1]; j <= to[1]; ++j) {
        const std::size_t first = start_[at({from[0], j, k})], end = start_[at({to[0], j, k}) + 1];
        out.insert(out.end(), piece_.begin() + static_cast<long>(first), piece_.begin() + static_cast<long>(end));
      }
    }
  }

 private:
  [[nodiscard]] std::size_t at(const Cell& c) const {
    return static_cast<std::size_t>(((c[2] - low_[2]) * size_[1] + (c[1] - low_[1])) * size_[0] + c[0] - low_[0]);
  }
  Cell low_{}, size_{};
  std::vector<std::size_t> start_, piece_;
};

struct Share {
  Cell cell;
  double weight;
};

constexpr double least_part = 0.02;  // of the strongest: pieces of another vessel coupled less are passed over
constexpr double slender = 0.3;      // of a cell: of less radius, a vessel alone is known from the cells next to it
constexpr double thin = 0.15;        // of a cell: of less radius, the wall is as good as the centre line

/// Weights of the cells that stand for the wall of a piece.
class CellShares {
 public:
  CellShares(const GridSpec& spec, bool corrected) : spec_(spec), corrected_(corrected) {}

  /// Gives the curvature of ExchangeGeometry.
  double of(const VesselPiece& piece, std::vector<Share>& out) {
    out.clear();
    double curvature = 0;
    const double h = *std::min_element(spec_.spacing.begin(), spec_.spacing.end());
    const Point middle = along(piece.from, piece.to, 0.5), axis = minus(piece.to, piece.from);
    for (std::size_t a = 0; a < 3; ++a) across_[a] = 1 - axis[a] * axis[a] / dot(axis, axis);
    if (!corrected_ && piece.radius <= 0) {
      add_cell(middle, 1, out);
    } else if (corrected_ && piece.radius < thin * h) {
      curvature = add_linear(middle, 1, out);
    } else {
      std::size_t least = 0;
      for (std::size_t a = 1; a < 3; ++a) {
        if (std::abs(axis[a]) < std::abs(axis[least])) least = a;
      }
      Point u{}, v{};
      u[least] = 1;
      const double part = axis[least] / dot(axis, axis);
      for (std::size_t a = 0; a < 3; ++a) u[a] -= part * axis[a];
      const double norm = std::sqrt(dot(u, u)), length = std::sqrt(dot(axis, axis));
      for (double& x : u) x /= norm;
      for (std::size_t a = 0; a < 3; ++a) {
        const std::size_t b = (a + 1) % 3, c = (a + 2) % 3;
        v[a] = (axis[b] * u[c] - axis[c] * u[b]) / length;
      }
      const int around = corrected_ ? std::max(12, 4 * static_cast<int>(std::ceil(6 * piece.radius / h))) : 720;
      const int rings = corrected_ ? 1 : 4;
      for (int r = 0; r < rings; ++r) {
        const Point centre = along(piece.from, piece.to, (r + 0.5) / rings);
        for (int n = 0; n < around; ++n) {
          const double angle = 2 * pi * (n + 0.5) / around;
          Point x = centre;
          for (std::size_t a = 0; a < 3; ++a) {
            x[a] += piece.radius * (std::cos(angle) * u[a] + std::sin(angle) * v[a]);
          }
          const double weight = 1.0 / (rings * around);
          if (corrected_) {
            curvature += add_linear(x, weight, out);
          } else {
            add_cell(x, weight, out);
          }
        }
      }
    }
    std::sort(out.begin(), out.end(), [](const Share& a, const Share& b) {
      return std::array{a.cell[2], a.cell[1], a.cell[0]} < std::array{b.cell[2], b.cell[1], b.cell[0]};
    });
    std::size_t kept = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (kept > 0 && out[kept - 1].cell == out[i].cell) {
        out[kept - 1].weight += out[i].weight;
      } else {
        out[kept++] = out[i];
      }
    }
    out.resize(kept);
    return curvature;
  }

 private:
  [[nodiscard]] double scaled(const Point& x, std::size_t a) const {
    return (x[a] - spec_.origin[a]) / spec_.spacing[a];
  }
  // What lies outside the box stands for its mirror image.
  [[nodiscard]] long inside(long i, std::size_t a) const {
    const long n = spec_.cells[a];
    if (i < 0) i = -1 - i;
    if (i >= n) i = 2 * n - 1 - i;
    return std::clamp(i, 0L, n - 1);
  }
  void add_cell(const Point& x, double weight, std::vector<Share>& out) const {
    Cell cell{};
    for (std::size_t a = 0; a < 3; ++a) cell[a] = inside(static_cast<long>(std::floor(scaled(x, a))), a);
    out.push_back({cell, weight});
  }
  double add_linear(const Point& x, double weight, std::vector<Share>& out) const {
    double spread = 0;
    Cell base{};
    Point part{};
    for (std::size_t a = 0; a < 3; ++a) {
      const double s = scaled(x, a) - 0.5;
      base[a] = static_cast<long>(std::floor(s));
      part[a] = s - static_cast<double>(base[a]);
      spread += across_[a] * part[a] * (1 - part[a]) * spec_.spacing[a] * spec_.spacing[a];
    }
    for (int corner = 0; corner < 8; ++corner) {
      Cell cell{};
      double w = weight;
      for (std::size_t a = 0; a < 3; ++a) {
        const bool high = (corner >> a & 1) != 0;
        w *= high ? part[a] : 1 - part[a];
        cell[a] = inside(base[a] + (high ? 1 : 0), a);
      }
      if (w > 1e-12 * weight) out.push_back({cell, w});
    }
    return weight * spread / 4;  // a use of M / D makes the value M / (4 D) times the distance from the axis squared
  }
  const GridSpec& spec_;
  bool corrected_;
  Point across_{};  // per axis: share of a unit step that leads away from the vessel, squared
};

/// The true potential of piece j at the wall of piece i less what the cells show of it, with the images in the walls.
class Unresolved {
 public:
  Unresolved(const GridSpec& spec, std::span<const VesselPiece> pieces, const std::vector<Cell>& cell,
             const std::vector<std::size_t>& offset, const std::vector<Share>& share, const ExchangeSettings& settings)
      : spec_(spec),
        pieces_(pieces),
        cell_(cell),
        offset_(offset),
        share_(share),
        settings_(settings),
        green_(spec.spacing),
        thin_(thin * *std::min_element(spec.spacing.begin(), spec.spacing.end())) {}

  [[nodiscard]] double operator()(std::size_t i, std::size_t j, bool joined, long reach) const {
    std::array<std::array<int, 3>, 3> side{};  // per axis: 0 itself, -1 image in the low wall, +1 in the high one
    std::array<std::size_t, 3> sides{1, 1, 1};
    for (std::size_t a = 0; a < 3; ++a) {
      const long n = spec_.cells[a];
      if (settings_.mirror[2 * a] != 0 && cell_[i][a] + cell_[j][a] + 1 <= reach) side[a][sides[a]++] = -1;
      if (settings_.mirror[2 * a + 1] != 0 && 2 * n - 1 - cell_[i][a] - cell_[j][a] <= reach) side[a][sides[a]++] = 1;
    }
    double sum = 0;
    for (std::size_t x = 0; x < sides[0]; ++x) {
      for (std::size_t y = 0; y < sides[1]; ++y) {
        for (std::size_t z = 0; z < sides[2]; ++z) sum += image(i, j, joined, {side[0][x], side[1][y], side[2][z]});
      }
    }
    return sum;
  }

 private:
  [[nodiscard]] double image(std::size_t i, std::size_t j, bool joined, const std::array<int, 3>& side) const {
    Point from = pieces_[j].from, to = pieces_[j].to;
    Cell factor{1, 1, 1}, shift{};
    double sign = 1;
    for (std::size_t a = 0; a < 3; ++a) {
      if (side[a] == 0) continue;
      const long n = spec_.cells[a];
      const double wall = spec_.origin[a] + (side[a] < 0 ? 0.0 : static_cast<double>(n) * spec_.spacing[a]);
      from[a] = 2 * wall - from[a];
      to[a] = 2 * wall - to[a];
      factor[a] = -1;
      shift[a] = side[a] < 0 ? -1 : 2 * n - 1;
      sign *= settings_.mirror[2 * a + (side[a] < 0 ? 0 : 1)];
    }
    const double radius = std::max(pieces_[i].radius, pieces_[j].radius);
    const VesselPiece& piece = pieces_[i];
    double seen = 0;
    for (std::size_t s = offset_[i]; s < offset_[i + 1]; ++s) {
      for (std::size_t t = offset_[j]; t < offset_[j + 1]; ++t) {
        Cell d{};
        for (std::size_t a = 0; a < 3; ++a) d[a] = share_[s].cell[a] - (factor[a] * share_[t].cell[a] + shift[a]);
        seen += share_[s].weight * share_[t].weight * green_(d[0], d[1], d[2]);
      }
    }
    const auto potential = joined && radius > thin_ ? mean_wall_potential : mean_line_potential;
    return sign * (potential(piece.from, piece.to, from, to, radius) - seen);
  }

  const GridSpec& spec_;
  std::span<const VesselPiece> pieces_;
  const std::vector<Cell>& cell_;
  const std::vector<std::size_t>& offset_;
  const std::vector<Share>& share_;
  const ExchangeSettings& settings_;
  LatticeGreen green_;
  double thin_;
};

/// Segments near a piece in groups that hang together; group 0 is that of the piece itself.
class NearVessels {
 public:
  explicit NearVessels(std::span<const VesselPiece> pieces) {
    std::unordered_map<long, std::size_t> segments, nodes;
    for (const VesselPiece& piece : pieces) {
      const std::size_t s = segments.try_emplace(piece.segment, segments.size()).first->second;
      segment_of_.push_back(s);
      if (s < nodes_of_.size()) continue;
      nodes_of_.emplace_back();
      for (std::size_t e = 0; e < 2; ++e) {
        nodes_of_[s][e] = nodes.try_emplace(piece.segment_nodes[e], nodes.size()).first->second;
      }
    }
    place_.assign(segments.size(), none);
    first_at_.assign(nodes.size(), none);
  }

  void look(std::size_t piece, const std::vector<std::size_t>& near) {
    for (const std::size_t s : here_) {
      place_[s] = none;
      for (const std::size_t n : nodes_of_[s]) first_at_[n] = none;
    }
    here_.clear();
    parent_.clear();
    add(segment_of_[piece]);
    for (const std::size_t j : near) add(segment_of_[j]);
    group_.assign(here_.size(), none);
    groups_ = 0;
    for (std::size_t p = 0; p < here_.size(); ++p) {
      const std::size_t top = root(p);
      if (group_[top] == none) group_[top] = groups_++;
      group_[p] = group_[top];
    }
  }
  /// Group of a piece that was among the near ones.
  [[nodiscard]] std::size_t group(std::size_t piece) const { return group_[place_[segment_of_[piece]]]; }
  [[nodiscard]] std::size_t groups() const { return groups_; }

 private:
  static constexpr auto none = static_cast<std::size_t>(-1);
  void add(std::size_t segment) {
    if (place_[segment] != none) return;
    const std::size_t p = place_[segment] = here_.size();
    here_.push_back(segment);
    parent_.push_back(p);
    for (const std::size_t n : nodes_of_[segment]) {
      if (first_at_[n] == none) {
        first_at_[n] = p;
      } else {
        // The lowest place leads, so that group 0 is that of the piece.
        const std::size_t one = root(p), two = root(first_at_[n]);
        parent_[std::max(one, two)] = std::min(one, two);
      }
    }
  }
  std::size_t root(std::size_t p) {
    while (parent_[p] != p) p = parent_[p] = parent_[parent_[p]];
    return p;
  }
  std::vector<std::size_t> segment_of_;               // by piece
  std::vector<std::array<std::size_t, 2>> nodes_of_;  // by segment
  std::vector<std::size_t> place_, first_at_;         // by segment, by node: place in `here_`
  std::vector<std::size_t> here_, parent_, group_;
  std::size_t groups_ = 0;
};

void check_pieces(const GridSpec& spec, std::span<const VesselPiece> pieces) {
  for (const VesselPiece& piece : pieces) {
    const Point d = minus(piece.to, piece.from);
    if (!(dot(d, d) > 0) || !(piece.length > 0) || !(piece.radius >= 0)) {
      throw InputError("vessel segment " + std::to_string(piece.segment) +
                       ": a piece of no length or of negative radius; merge nodes that lie on each other");
    }
    const Point middle = along(piece.from, piece.to, 0.5);
    for (std::size_t a = 0; a < 3; ++a) {
      const double x = (middle[a] - spec.origin[a]) / spec.spacing[a];
      if (!(x >= -1e-6 && x <= static_cast<double>(spec.cells[a]) + 1e-6)) {
        throw InputError("vessel segment " + std::to_string(piece.segment) +
                         ": a piece lies outside the grid; choose a box that holds the network");
      }
    }
  }
}

}  // namespace

ExchangeGeometry exchange_geometry(const GridSpec& spec, std::span<const VesselPiece> pieces, std::size_t own,
                                   const ExchangeSettings& settings) {
  check_pieces(spec, pieces);
  const std::size_t all = pieces.size();
  ExchangeGeometry geometry;
  for (const VesselPiece& piece : pieces) geometry.number.push_back(piece.number);
  CellShares shares(spec, settings.corrected);
  std::vector<Cell> cell(all);
  std::vector<std::size_t> offset{0};
  std::vector<Share> share, scratch;
  for (std::size_t p = 0; p < all; ++p) {
    const Point middle = along(pieces[p].from, pieces[p].to, 0.5);
    for (std::size_t a = 0; a < 3; ++a) {
      const double x = (middle[a] - spec.origin[a]) / spec.spacing[a];
      cell[p][a] = std::clamp(static_cast<long>(std::floor(x)), 0L, spec.cells[a] - 1);
    }
    const double curvature = shares.of(pieces[p], scratch);
    if (p < own) geometry.curvature.push_back(curvature);
    share.insert(share.end(), scratch.begin(), scratch.end());
    offset.push_back(share.size());
  }
  geometry.cell_offset.assign(offset.begin(), offset.begin() + static_cast<long>(own) + 1);
  for (std::size_t s = 0; s < offset[own]; ++s) geometry.add_cell(share[s].cell, share[s].weight);
  for (const VesselPiece& piece : pieces) geometry.length.push_back(piece.length);
  geometry.own.assign(all, 0.0);
  geometry.neighbour_offset.assign(1, 0);
  if (!settings.corrected) {
    geometry.neighbour_offset.assign(all + 1, 0);
    return geometry;
  }

  const CellIndex index(cell);
  const Unresolved unresolved(spec, pieces, cell, offset, share, settings);
  std::vector<std::size_t> near;
  std::vector<double> sum, strongest;
  std::vector<std::pair<std::size_t, ExchangeGeometry::Member>> members;
  NearVessels vessels(pieces);
  const double smallest = *std::min_element(spec.spacing.begin(), spec.spacing.end());
  const long widest = std::max({settings.reach, settings.reach_alone, ExchangeSettings::partner_reach});
  for (std::size_t i = 0; i < all; ++i) {
    index.near(cell[i], widest, near);
    vessels.look(i, near);
    const bool alone = vessels.groups() == 1 && pieces[i].radius < slender * smallest;
    const long own_reach = alone ? settings.reach_alone : settings.reach;
    sum.assign(vessels.groups(), 0.0);
    strongest.assign(vessels.groups(), 0.0);
    members.clear();
    for (const std::size_t j : near) {
      const std::size_t group = vessels.group(j);
      long apart = 0;
      for (std::size_t a = 0; a < 3; ++a) apart = std::max(apart, std::abs(cell[i][a] - cell[j][a]));
      if (apart > (group == 0 ? own_reach : ExchangeSettings::partner_reach)) continue;
      const double value =
          unresolved(i, j, group == 0, group == 0 ? own_reach : ExchangeSettings::partner_reach) * pieces[j].length;
      sum[group] += value;
      if (group == 0 || value <= 0) continue;
      members.push_back({group, {j, value}});
      strongest[group] = std::max(strongest[group], value);
    }
    geometry.own[i] = std::max(sum[0], 0.0);  // below zero where walls of wide vessels overlap
    for (std::size_t g = 1; g < vessels.groups(); ++g) {
      if (std::abs(sum[g]) < settings.least_coupling * std::abs(sum[0]) || strongest[g] <= 0) continue;
      ExchangeGeometry::Neighbour neighbour;
      neighbour.mutual = sum[g];
      neighbour.first = geometry.member.size();
      double total = 0;
      for (const auto& [group, member] : members) {
        if (group != g || member.part < least_part * strongest[g]) continue;
        geometry.member.push_back(member);
        total += member.part;
      }
      neighbour.last = geometry.member.size();
      for (std::size_t m = neighbour.first; m < neighbour.last; ++m) geometry.member[m].part /= total;
      geometry.neighbour.push_back(neighbour);
    }
    geometry.neighbour_offset.push_back(geometry.neighbour.size());
  }
  return geometry;
}

ExchangeRows exchange_rows(MPI_Comm comm, std::shared_ptr<const ExchangeGeometry> of_pieces, ExchangeForm form) {
  if (form != ExchangeForm::by_cell) return {std::move(of_pieces), form == ExchangeForm::all_vessels, {}, {}};
  const ExchangeGeometry& geometry = *of_pieces;
  ExchangeRows rows;
  ExchangeGeometry parts;
  parts.cell = geometry.cell;
  rows.part = geometry.weight;
  for (std::size_t p = 0; p < geometry.owned(); ++p) {
    for (std::size_t c = geometry.cell_offset[p]; c < geometry.cell_offset[p + 1]; ++c) {
      rows.part_of.push_back(p);
      parts.length.push_back(geometry.weight[c] * geometry.length[p]);
      parts.own.push_back(geometry.own[p]);
      parts.curvature.push_back(geometry.curvature[p]);
    }
  }
  const std::size_t count = rows.part_of.size();
  parts.weight.assign(count, 1.0);
  parts.cell_offset.resize(count + 1);
  std::iota(parts.cell_offset.begin(), parts.cell_offset.end(), std::size_t{0});
  parts.neighbour_offset.assign(count + 1, 0);
  const long first = count_before(comm, static_cast<long>(count));
  for (std::size_t i = 0; i < count; ++i) parts.number.push_back(static_cast<PetscInt>(first + static_cast<long>(i)));
  rows.geometry = std::make_shared<const ExchangeGeometry>(std::move(parts));
  return rows;
}

/// The exchange in parts, each a sparse matrix with one row per piece.
struct VesselExchange::Parts {
  const Grid* grid = nullptr;
  std::shared_ptr<const ExchangeGeometry> shared;
  bool coupled = true;
  PetscInt first = 0;
  std::vector<std::size_t> others;                // pieces of other ranks whose coefficients are needed
  VecHandle coefficient;                          // one value per piece, those of `others` as ghosts
  MatHandle read, to, from, mean, loss, to_mean;  // E, T, F, L, G and T L
  VecHandle cells, piece_a, piece_b;              // scratch
  MatHandle shell_cells, shell_to_cells, shell_from_cells;
  std::vector<double> diagonal;

  std::vector<std::vector<std::size_t>> partners;  // of each own piece, by number; empty where it stands alone

  [[nodiscard]] const ExchangeGeometry& geometry() const { return *shared; }
  [[nodiscard]] std::vector<double> with_others(const std::vector<double>& own_values) const;
  [[nodiscard]] std::size_t first_neighbour(std::size_t piece) const { return shared->neighbour_offset[piece]; }
  [[nodiscard]] std::size_t last_neighbour(std::size_t piece) const {
    return shared->neighbour_offset[coupled ? piece + 1 : piece];
  }
  template <class Visit>
  void for_each_member(std::size_t piece, Visit&& visit) const {
    const ExchangeGeometry& geometry = *shared;
    for (std::size_t n = first_neighbour(piece); n < last_neighbour(piece); ++n) {
      const auto& neighbour = geometry.neighbour[n];
      for (std::size_t m = neighbour.first; m < neighbour.last; ++m) visit(n, geometry.member[m]);
    }
  }
  void apply_cells(Vec in, Vec out) const;
  void apply_to_cells(Vec in, Vec out) const;
  void apply_from_cells(Vec in, Vec out) const;
};

namespace {

Cell place(const std::array<std::int32_t, 3>& cell) { return {cell[0], cell[1], cell[2]}; }

MatHandle sparse(MPI_Comm comm, PetscInt rows, PetscInt columns, const std::vector<PetscInt>& diagonal,
                 const std::vector<PetscInt>& off) {
  MatHandle m;
  petsc(
      MatCreateAIJ(comm, rows, columns, PETSC_DETERMINE, PETSC_DETERMINE, 0, diagonal.data(), 0, off.data(), m.out()));
  return m;
}

void finish(Mat m) {
  petsc(MatAssemblyBegin(m, MAT_FINAL_ASSEMBLY));
  petsc(MatAssemblyEnd(m, MAT_FINAL_ASSEMBLY));
}

template <class Parts, void (Parts::*Apply)(Vec, Vec) const>
PetscErrorCode shell_apply(Mat shell, Vec in, Vec out) {
  void* context = nullptr;
  (void)MatShellGetContext(shell, &context);
  return guarded([&] { (static_cast<const Parts*>(context)->*Apply)(in, out); });
}

/// (1 + diag(wall) resistance)^-1, row by row; nearly symmetric but for the factor of the wall. Where what is neglected
/// leaves a pivot that is not positive the couplings are weakened until all are.
class LocalInverse {
 public:
  void set(std::span<const double> wall, std::span<const double> resistance) {
    const std::size_t n = wall.size();
    for (double part = 1;; part = part > 0.01 ? 0.5 * part : 0.0) {
      work_.assign(n * n, 0.0);
      inverse_.assign(n * n, 0.0);
      for (std::size_t i = 0; i < n; ++i) {
        inverse_[i * n + i] = 1;
        for (std::size_t j = 0; j < n; ++j) {
          work_[i * n + j] = (i == j ? 1.0 : 0.0) + wall[i] * resistance[i * n + j] * (i == j ? 1.0 : part);
        }
      }
      if (eliminate(n) || part == 0) return;
    }
  }
  [[nodiscard]] double operator()(std::size_t i, std::size_t j, std::size_t n) const { return inverse_[i * n + j]; }

 private:
  bool eliminate(std::size_t n) {
    for (std::size_t k = 0; k < n; ++k) {
      const double pivot = work_[k * n + k];
      if (!(pivot > 0.05)) return false;
      for (std::size_t j = 0; j < n; ++j) {
        work_[k * n + j] /= pivot;
        inverse_[k * n + j] /= pivot;
      }
      for (std::size_t i = 0; i < n; ++i) {
        if (i == k) continue;
        const double factor = work_[i * n + k];
        if (factor == 0) continue;
        for (std::size_t j = 0; j < n; ++j) {
          work_[i * n + j] -= factor * work_[k * n + j];
          inverse_[i * n + j] -= factor * inverse_[k * n + j];
        }
      }
    }
    return true;
  }
  std::vector<double> work_, inverse_;
};

}  // namespace

VesselExchange::VesselExchange(const Grid& grid, const ExchangeRows& given, PetscInt network_unknowns)
    : parts_(std::make_unique<Parts>()) {
  Parts& p = *parts_;
  p.grid = &grid;
  p.shared = given.geometry;
  p.coupled = given.coupled;
  const ExchangeGeometry& g = p.geometry();
  const MPI_Comm comm = grid.comm();
  const auto own = static_cast<PetscInt>(g.owned());
  const auto cells = static_cast<PetscInt>(grid.local_cells());

  MPI_Exscan(&own, &p.first, 1, MPIU_INT, MPI_SUM, comm);
  if (rank_of(comm) == 0) p.first = 0;
  together(comm, [&] {
    for (std::size_t i = 0; i < g.owned(); ++i) {
      if (g.number[i] != p.first + static_cast<PetscInt>(i)) {
        throw InputError("exchange: piece " + std::to_string(i) + " of this rank is numbered " +
                         std::to_string(g.number[i]) + ", expected " +
                         std::to_string(p.first + static_cast<PetscInt>(i)) + "; number pieces rank after rank");
      }
    }
  });

  // Rows of cells, those of other ranks included.
  const int ranks = size_of(comm);
  std::vector<PetscInt> first_row(static_cast<std::size_t>(ranks) + 1, 0);
  MPI_Allgather(&cells, 1, MPIU_INT, first_row.data() + 1, 1, MPIU_INT, comm);
  std::partial_sum(first_row.begin(), first_row.end(), first_row.begin());
  const Layout layout = grid.layout();
  const auto row_of = [&](const Cell& c) {
    const int owner = grid.owner(c);
    const IndexBox box = layout.block_of_rank(owner);
    return first_row[static_cast<std::size_t>(owner)] +
           static_cast<PetscInt>(((c[2] - box.low[2]) * box.size(1) + c[1] - box.low[1]) * box.size(0) + c[0] -
                                 box.low[0]);
  };
  std::vector<PetscInt> inside(g.owned(), 0), outside(g.owned(), 0);
  for (std::size_t i = 0; i < g.owned(); ++i) {
    for (std::size_t s = g.cell_offset[i]; s < g.cell_offset[i + 1]; ++s) {
      ++(grid.owns(place(g.cell[s])) ? inside : outside)[i];
    }
  }
  p.read = sparse(comm, own, cells, inside, outside);
  for (std::size_t i = 0; i < g.owned(); ++i) {
    for (std::size_t s = g.cell_offset[i]; s < g.cell_offset[i + 1]; ++s) {
      petsc(MatSetValue(p.read.get(), g.number[i], row_of(place(g.cell[s])), g.weight[s], INSERT_VALUES));
    }
  }
  finish(p.read.get());

  // Two at a time; where the flow turns another node takes the place of one.
  const std::vector<PetscInt> three(g.owned(), 3);
  p.mean = sparse(comm, own, network_unknowns, three, three);
  p.loss = sparse(comm, own, network_unknowns, three, three);
  for (Mat m : {p.mean.get(), p.loss.get()}) petsc(MatSetOption(m, MAT_NEW_NONZERO_ALLOCATION_ERR, PETSC_FALSE));

  // Partners: what one piece of the two counts as coupled to itself.
  p.partners.resize(g.owned());
  for (std::size_t i = 0; i < g.number.size(); ++i) {
    p.for_each_member(i, [&](std::size_t, const ExchangeGeometry::Member& member) {
      if (i < g.owned()) p.partners[i].push_back(member.piece);
      if (member.piece < g.owned()) p.partners[member.piece].push_back(i);
    });
  }
  const auto need = [&](std::size_t j) {
    if (j >= g.owned()) p.others.push_back(j);
  };
  for (std::size_t i = 0; i < g.owned(); ++i) {
    auto& partners = p.partners[i];
    std::sort(partners.begin(), partners.end(), [&](auto a, auto b) { return g.number[a] < g.number[b]; });
    partners.erase(std::unique(partners.begin(), partners.end()), partners.end());
    inside[i] = 1;
    outside[i] = 0;
    for (const std::size_t j : partners) {
      ++(j < g.owned() ? inside : outside)[i];
      need(j);
      p.for_each_member(j, [&](std::size_t, const ExchangeGeometry::Member& member) { need(member.piece); });
    }
  }
  std::sort(p.others.begin(), p.others.end());
  p.others.erase(std::unique(p.others.begin(), p.others.end()), p.others.end());
  p.to = sparse(comm, own, own, inside, outside);
  p.from = sparse(comm, own, own, inside, outside);

  std::vector<PetscInt> ghosts;
  for (const std::size_t j : p.others) ghosts.push_back(g.number[j]);
  petsc(VecCreateGhost(comm, own, PETSC_DECIDE, static_cast<PetscInt>(ghosts.size()), ghosts.data(),
                       p.coefficient.out()));
  p.cells = grid.vector();
  petsc(MatCreateVecs(p.read.get(), nullptr, p.piece_a.out()));
  petsc(VecDuplicate(p.piece_a.get(), p.piece_b.out()));
  p.diagonal.assign(grid.local_cells(), 0.0);

  const auto shell = [&](PetscInt rows, PetscInt columns, PetscErrorCode (*apply)(Mat, Vec, Vec), MatHandle& out) {
    petsc(MatCreateShell(comm, rows, columns, PETSC_DETERMINE, PETSC_DETERMINE, &p, out.out()));
    petsc(MatShellSetOperation(out.get(), MATOP_MULT, reinterpret_cast<void (*)(void)>(apply)));
  };
  shell(cells, cells, shell_apply<Parts, &Parts::apply_cells>, p.shell_cells);
  shell(cells, network_unknowns, shell_apply<Parts, &Parts::apply_to_cells>, p.shell_to_cells);
  shell(network_unknowns, cells, shell_apply<Parts, &Parts::apply_from_cells>, p.shell_from_cells);
}

VesselExchange::~VesselExchange() = default;

std::vector<double> VesselExchange::Parts::with_others(const std::vector<double>& own_values) const {
  std::vector<double> all(shared->number.size(), 0.0);
  std::copy(own_values.begin(), own_values.end(), all.begin());
  {
    const WriteAccess access(coefficient.get());
    std::copy(own_values.begin(), own_values.end(), access.data());
  }
  petsc(VecGhostUpdateBegin(coefficient.get(), INSERT_VALUES, SCATTER_FORWARD));
  petsc(VecGhostUpdateEnd(coefficient.get(), INSERT_VALUES, SCATTER_FORWARD));
  Vec local = nullptr;
  petsc(VecGhostGetLocalForm(coefficient.get(), &local));
  {
    const ReadAccess access(local);
    for (std::size_t k = 0; k < others.size(); ++k) all[others[k]] = access[own_values.size() + k];
  }
  petsc(VecGhostRestoreLocalForm(coefficient.get(), &local));
  return all;
}

void VesselExchange::set(std::span<const WallConductance> walls, std::span<const LumenLink> links) {
  Parts& p = *parts_;
  const ExchangeGeometry& g = p.geometry();
  std::vector<double> own_to(g.owned()), own_from(g.owned()), own_diffusivity(g.owned()), own_coupling(g.owned());
  for (std::size_t i = 0; i < g.owned(); ++i) {
    own_to[i] = walls[i].to_tissue;
    own_from[i] = walls[i].from_tissue;
    own_diffusivity[i] = walls[i].diffusivity;
    own_coupling[i] = walls[i].coupling;
  }
  const std::vector<double> to = p.with_others(own_to), from = p.with_others(own_from),
                            diffusivity = p.with_others(own_diffusivity), coupling = p.with_others(own_coupling);

  // Each piece with the vessels close to it, per length: S = (1 + wall resistance)^-1 for even exchange along each,
  // where a vessel is the mean of its pieces close by.
  LocalInverse inverse;
  std::vector<double> wall, resistance;
  const auto tissue_side = [&](std::size_t i) { return std::max(from[i], 1e-30 * to[i]) / g.length[i]; };
  const auto in_group = [&](std::size_t n, std::size_t piece) {
    const auto& neighbour = g.neighbour[n];
    for (std::size_t m = neighbour.first; m < neighbour.last; ++m) {
      if (g.member[m].piece == piece) return true;
    }
    return false;
  };
  // What piece j sees of the vessel of piece i, and of the vessel of group n.
  const auto seen_of_piece = [&](std::size_t j, std::size_t i, double otherwise) {
    for (std::size_t n = g.neighbour_offset[j]; n < g.neighbour_offset[j + 1]; ++n) {
      if (in_group(n, i)) return g.neighbour[n].mutual;
    }
    return otherwise;
  };
  const auto seen_of_group = [&](std::size_t j, std::size_t group) {
    for (std::size_t n = g.neighbour_offset[j]; n < g.neighbour_offset[j + 1]; ++n) {
      for (std::size_t m = g.neighbour[group].first; m < g.neighbour[group].last; ++m) {
        if (in_group(n, g.member[m].piece)) return g.neighbour[n].mutual;
      }
    }
    return 0.0;
  };
  std::vector<double> alone(g.number.size(), 0.0), coupled(g.neighbour.size(), 0.0);
  const auto coupling_of_group = [&](std::size_t group) {
    double sum = 0;
    for (std::size_t m = g.neighbour[group].first; m < g.neighbour[group].last; ++m) {
      sum += g.member[m].part * coupling[g.member[m].piece];
    }
    return sum;
  };
  const auto look = [&](std::size_t i) {
    const std::size_t first = p.first_neighbour(i), n = p.last_neighbour(i) - first + 1;
    wall.assign(n, 0.0);
    resistance.assign(n * n, 0.0);
    wall[0] = tissue_side(i);
    resistance[0] = g.own[i] / diffusivity[i];
    for (std::size_t a = 1; a < n; ++a) {
      const auto& neighbour = g.neighbour[first + a - 1];
      const double shared = coupling[i] * coupling_of_group(first + a - 1);
      resistance[a] = shared * neighbour.mutual / diffusivity[i];
      for (std::size_t m = neighbour.first; m < neighbour.last; ++m) {
        const auto& [j, part] = g.member[m];
        wall[a] += part * tissue_side(j);
        resistance[a * n] += shared * part * seen_of_piece(j, i, neighbour.mutual) / diffusivity[j];
        resistance[a * n + a] += part * g.own[j] / diffusivity[j];
        for (std::size_t b = 1; b < n; ++b) {
          if (b == a) continue;
          resistance[a * n + b] +=
              coupling[j] * coupling_of_group(first + b - 1) * part * seen_of_group(j, first + b - 1) / diffusivity[j];
        }
      }
    }
    inverse.set(wall, resistance);
    alone[i] = inverse(0, 0, n) * wall[0] * g.length[i];
    for (std::size_t a = 1; a < n; ++a) coupled[first + a - 1] = inverse(0, a, n) * wall[a] * g.length[i];
  };
  std::vector<char> seen(g.number.size(), 0);
  const auto once = [&](std::size_t i) {
    if (!seen[i]) look(i);
    seen[i] = 1;
  };
  const auto half = [&](std::size_t i, std::size_t j) {
    double value = 0;
    p.for_each_member(i, [&](std::size_t n, const ExchangeGeometry::Member& member) {
      if (member.piece != j || coupling[j] <= 0) return;
      value = 0.5 * coupled[n] * member.part * coupling[j] / coupling_of_group(n);
    });
    return value;
  };
  const auto put = [&](std::size_t i, std::size_t j, double value) {
    const double all = tissue_side(j) * g.length[j], share = all > 0 ? value / all : 0;
    petsc(MatSetValue(p.to.get(), g.number[i], g.number[j], share * to[j], INSERT_VALUES));
    petsc(MatSetValue(p.from.get(), g.number[i], g.number[j], share * from[j], INSERT_VALUES));
  };
  petsc(MatZeroEntries(p.to.get()));
  petsc(MatZeroEntries(p.from.get()));
  for (std::size_t i = 0; i < g.owned(); ++i) {
    once(i);
    put(i, i, alone[i]);
    for (const std::size_t j : p.partners[i]) {
      once(j);
      put(i, j, half(i, j) + half(j, i));
    }
  }
  finish(p.to.get());
  finish(p.from.get());

  for (Mat m : {p.mean.get(), p.loss.get()}) petsc(MatZeroEntries(m));
  for (std::size_t i = 0; i < g.owned(); ++i) {
    for (std::size_t e = 0; e < 2; ++e) {
      // MatSetValue passes over columns below zero.
      petsc(MatSetValue(p.mean.get(), g.number[i], links[i].mean[e], links[i].mean_weight[e], ADD_VALUES));
      petsc(MatSetValue(p.loss.get(), g.number[i], links[i].loss[e], links[i].loss_weight[e], ADD_VALUES));
    }
  }
  finish(p.mean.get());
  finish(p.loss.get());
  petsc(MatMatMult(p.to.get(), p.mean.get(), MAT_INITIAL_MATRIX, PETSC_DEFAULT, p.to_mean.out()));

  petsc(MatGetRowSum(p.from.get(), p.piece_a.get()));
  petsc(MatMultTranspose(p.read.get(), p.piece_a.get(), p.cells.get()));
  const ReadAccess sums(p.cells.get());
  std::copy(sums.data(), sums.data() + p.diagonal.size(), p.diagonal.begin());
}

void VesselExchange::Parts::apply_cells(Vec in, Vec out) const {
  petsc(MatMult(read.get(), in, piece_a.get()));
  petsc(MatMult(from.get(), piece_a.get(), piece_b.get()));
  petsc(MatMultTranspose(read.get(), piece_b.get(), out));
  const ReadAccess u(in);
  const WriteAccess o(out);
  for (std::size_t c = 0; c < diagonal.size(); ++c) o[c] -= diagonal[c] * u[c];
}

void VesselExchange::Parts::apply_to_cells(Vec in, Vec out) const {
  petsc(MatMult(to_mean.get(), in, piece_a.get()));
  petsc(VecScale(piece_a.get(), -1.0));
  petsc(MatMultTranspose(read.get(), piece_a.get(), out));
}

void VesselExchange::Parts::apply_from_cells(Vec in, Vec out) const {
  petsc(MatMult(read.get(), in, piece_a.get()));
  petsc(MatMult(from.get(), piece_a.get(), piece_b.get()));
  petsc(VecScale(piece_b.get(), -1.0));
  petsc(MatMultTranspose(loss.get(), piece_b.get(), out));
}

void VesselExchange::add_to_network(Mat network, bool alone) const {
  const Parts& p = *parts_;
  petsc(MatGetDiagonal(p.to.get(), p.piece_a.get()));
  const ReadAccess own_to(p.piece_a.get());
  for (std::size_t i = 0; i < p.geometry().owned(); ++i) {
    const PetscInt row = p.geometry().number[i];
    PetscInt losses = 0, means = 0;
    const PetscInt *loss_column = nullptr, *mean_column = nullptr;
    const PetscScalar *loss = nullptr, *mean = nullptr;
    petsc(MatGetRow(p.loss.get(), row, &losses, &loss_column, &loss));
    const std::vector<PetscInt> columns(loss_column, loss_column + losses);
    const std::vector<double> weights(loss, loss + losses);
    petsc(MatRestoreRow(p.loss.get(), row, &losses, &loss_column, &loss));
    const Mat means_of = alone ? p.mean.get() : p.to_mean.get();
    const double factor = alone ? own_to[i] : 1.0;
    petsc(MatGetRow(means_of, row, &means, &mean_column, &mean));
    for (std::size_t a = 0; a < columns.size(); ++a) {
      for (PetscInt b = 0; b < means; ++b) {
        petsc(MatSetValue(network, columns[a], mean_column[b], factor * weights[a] * mean[b], ADD_VALUES));
      }
    }
    petsc(MatRestoreRow(means_of, row, &means, &mean_column, &mean));
  }
}

Mat VesselExchange::to_cells() const { return parts_->shell_to_cells.get(); }
Mat VesselExchange::from_cells() const { return parts_->shell_from_cells.get(); }
Mat VesselExchange::cells() const { return parts_->shell_cells.get(); }
const std::vector<double>& VesselExchange::cell_diagonal() const { return parts_->diagonal; }
const ExchangeGeometry& VesselExchange::geometry() const { return parts_->geometry(); }
std::size_t VesselExchange::partners(std::size_t piece) const { return parts_->partners[piece].size(); }

namespace {

std::vector<double> own_values(Vec vec, std::size_t count) {
  const ReadAccess access(vec);
  return {access.data(), access.data() + count};
}

}  // namespace

std::vector<double> VesselExchange::flow(Vec cells, Vec network) const {
  const Parts& p = *parts_;
  petsc(MatMult(p.read.get(), cells, p.piece_a.get()));
  petsc(MatMult(p.from.get(), p.piece_a.get(), p.piece_b.get()));
  petsc(MatMult(p.to_mean.get(), network, p.piece_a.get()));
  petsc(VecAXPY(p.piece_a.get(), -1.0, p.piece_b.get()));
  return own_values(p.piece_a.get(), p.geometry().owned());
}

std::vector<double> VesselExchange::flow(Vec cells, std::span<const double> lumen) const {
  const Parts& p = *parts_;
  petsc(MatMult(p.read.get(), cells, p.piece_a.get()));
  petsc(MatMult(p.from.get(), p.piece_a.get(), p.piece_b.get()));
  {
    const WriteAccess access(p.piece_a.get());
    std::copy(lumen.begin(), lumen.end(), access.data());
  }
  VecHandle out;
  petsc(VecDuplicate(p.piece_a.get(), out.out()));
  petsc(MatMult(p.to.get(), p.piece_a.get(), out.get()));
  petsc(VecAXPY(out.get(), -1.0, p.piece_b.get()));
  return own_values(out.get(), p.geometry().owned());
}

void VesselExchange::add_to_cells(std::span<const double> flow, Vec out) const {
  const Parts& p = *parts_;
  {
    const WriteAccess access(p.piece_a.get());
    std::copy(flow.begin(), flow.end(), access.data());
  }
  petsc(MatMultTransposeAdd(p.read.get(), p.piece_a.get(), out, out));
}

std::vector<double> VesselExchange::read(Vec cells) const {
  const Parts& p = *parts_;
  petsc(MatMult(p.read.get(), cells, p.piece_a.get()));
  return own_values(p.piece_a.get(), p.geometry().owned());
}

}  // namespace sanctuary
