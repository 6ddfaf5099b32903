#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

#include "tissue/vasculature_units.hpp"

namespace sanctuary {
namespace {

std::size_t at(long index) { return static_cast<std::size_t>(index); }

constexpr double jitter_width = 0.9;   // of a lattice cell
constexpr double lattice_room = 1.5;   // junctions that fit over junctions expected
constexpr double richest_patch = 2.5;  // cap of the patches

/// Junctions per volume that a relative neighbourhood graph needs for a target: per junction it has about 1.5 segments,
/// and their straight length per volume is about 1.35 times the junction density to the power 2/3 (measured on this
/// generator; calibration mends the rest).
double expected_junctions(const VesselTargets& targets) {
  if (targets.segment_density > 0) return targets.segment_density / 1.6;
  return std::pow(targets.length_density / (1.45 * targets.tortuosity), 1.5);
}

std::uint64_t mixed(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace

std::uint64_t pair_key(long a, long b) {
  if (b < a) std::swap(a, b);
  return mixed(mixed(static_cast<std::uint64_t>(a)) ^ (static_cast<std::uint64_t>(b) + 0x632be59bd9b4e019ULL));
}

double TumourRegion::depth(const std::array<double, 3>& where, const Box& box) const {
  constexpr double infinite = std::numeric_limits<double>::infinity();
  switch (shape) {
    case Shape::sphere:
      return radius - std::hypot(where[0] - centre[0], where[1] - centre[1], where[2] - centre[2]);
    case Shape::slab: {
      const auto axis = at(host_face / 2);
      const double from_low = where[axis] - box.origin[axis];
      return (host_face % 2 == 0 ? from_low : box.size[axis] - from_low) - host_depth;
    }
    case Shape::whole:
      return infinite;
    default:
      return -infinite;
  }
}

double TumourRegion::volume(const Box& box) const {
  if (shape == Shape::none) return 0;
  if (shape == Shape::whole) return box.volume();
  if (shape == Shape::slab) {
    const double along = box.size[at(host_face / 2)];
    return box.volume() * std::clamp(1 - host_depth / along, 0.0, 1.0);
  }
  bool inside = true;
  for (std::size_t d = 0; d < 3; ++d)
    inside = inside && centre[d] - radius >= box.origin[d] && centre[d] + radius <= box.origin[d] + box.size[d];
  if (inside) return 4 * std::numbers::pi / 3 * radius * radius * radius;
  constexpr int cells = 100;
  long count = 0;
  for (int i = 0; i < cells; ++i)
    for (int j = 0; j < cells; ++j)
      for (int k = 0; k < cells; ++k)
        count +=
            depth({box.origin[0] + (i + 0.5) / cells * box.size[0], box.origin[1] + (j + 0.5) / cells * box.size[1],
                   box.origin[2] + (k + 0.5) / cells * box.size[2]},
                  box) > 0;
  return box.volume() * static_cast<double>(count) / (static_cast<double>(cells) * cells * cells);
}

double SmoothField::operator()(const Place& where) const {
  std::array<long, 3> low{};
  std::array<double, 3> u{};
  for (std::size_t d = 0; d < 3; ++d) {
    const double x = (where[d] - origin_[d]) / length_;
    low[d] = static_cast<long>(std::floor(x));
    u[d] = x - static_cast<double>(low[d]);
  }
  double value = 0, variance = 1;
  for (double share : u) variance *= (1 - share) * (1 - share) + share * share;
  for (int corner = 0; corner < 8; ++corner) {
    double weight = 1;
    std::uint64_t counter = 0;
    for (std::size_t d = 0; d < 3; ++d) {
      const bool high = ((corner >> d) & 1) != 0;
      weight *= high ? u[d] : 1 - u[d];
      counter = counter << 21 | (static_cast<std::uint64_t>(low[d] + high + (1L << 20)) & 0x1fffff);
    }
    value += weight * stream_.normal(counter);
  }
  return value / std::sqrt(variance);
}

Partition::Partition(const Box& box, int levels) : box_(box) {
  std::array<double, 3> size = box.size;
  for (int level = 0; level < levels; ++level) {
    const auto longest = static_cast<std::size_t>(std::max_element(size.begin(), size.end()) - size.begin());
    axis_.push_back(longest);
    size[longest] *= 0.5;
    count_[longest] *= 2;
  }
}

std::array<long, 3> Partition::coordinates(int level, long prefix) const {
  std::array<long, 3> result{0, 0, 0};
  for (int i = 0; i < level; ++i) {
    long& c = result[axis_[static_cast<std::size_t>(i)]];
    c = 2 * c + ((prefix >> (level - 1 - i)) & 1);
  }
  return result;
}

long Partition::prefix_of(const std::array<long, 3>& coordinates) const {
  std::array<int, 3> bit{};
  for (std::size_t d = 0; d < 3; ++d) bit[d] = std::bit_width(static_cast<unsigned long>(count_[d])) - 2;
  long prefix = 0;
  for (const std::size_t axis : axis_) prefix = prefix << 1 | ((coordinates[axis] >> bit[axis]--) & 1);
  return prefix;
}

Box Partition::region(int level, long prefix) const {
  const std::array<long, 3> c = coordinates(level, prefix);
  std::array<long, 3> count{1, 1, 1};
  for (int i = 0; i < level; ++i) count[axis_[static_cast<std::size_t>(i)]] *= 2;
  Box result;
  for (std::size_t d = 0; d < 3; ++d) {
    result.size[d] = box_.size[d] / static_cast<double>(count[d]);
    result.origin[d] = box_.origin[d] + static_cast<double>(c[d]) * result.size[d];
  }
  return result;
}

long Partition::unit_at(const Place& where) const {
  std::array<long, 3> c{};
  for (std::size_t d = 0; d < 3; ++d)
    c[d] = std::clamp(
        static_cast<long>(std::floor((where[d] - box_.origin[d]) / box_.size[d] * static_cast<double>(count_[d]))), 0L,
        count_[d] - 1);
  return prefix_of(c);
}

std::vector<long> Partition::neighbours(long unit) const {
  const std::array<long, 3> c = coordinates(levels(), unit);
  std::vector<long> result;
  for (long dx = -1; dx <= 1; ++dx)
    for (long dy = -1; dy <= 1; ++dy)
      for (long dz = -1; dz <= 1; ++dz) {
        const std::array<long, 3> other{c[0] + dx, c[1] + dy, c[2] + dz};
        bool inside = dx != 0 || dy != 0 || dz != 0;
        for (std::size_t d = 0; d < 3; ++d) inside = inside && other[d] >= 0 && other[d] < count_[d];
        if (inside) result.push_back(prefix_of(other));
      }
  std::sort(result.begin(), result.end());
  return result;
}

VesselPlan::VesselPlan(const VasculatureSettings& settings)
    : set_(settings),
      jitter_(settings.seed, "vasculature.jitter"),
      keep_(settings.seed, "vasculature.keep"),
      demand_(settings.seed, "vasculature.demand"),
      branch_(settings.seed, "vasculature.branch"),
      scatter_(settings.seed, "vasculature.scatter"),
      radius_(settings.seed, "vasculature.radius"),
      patch_(settings.seed, "vasculature.patch", settings.box.origin, settings.patch_length),
      radius_field_(settings.seed, "vasculature.radius_field", settings.box.origin, settings.correlation_length) {
  const Box& box = set_.box;
  const double tumour_volume = set_.region.volume(box);
  double highest = 1;
  if (tumour_volume > 0) {
    constexpr int samples = 32;
    double sum = 0;
    long count = 0;
    for (int i = 0; i < samples; ++i)
      for (int j = 0; j < samples; ++j)
        for (int k = 0; k < samples; ++k) {
          const Place p{box.origin[0] + (i + 0.5) / samples * box.size[0],
                        box.origin[1] + (j + 0.5) / samples * box.size[1],
                        box.origin[2] + (k + 0.5) / samples * box.size[2]};
          if (set_.region.depth(p, box) <= 0) continue;
          sum += profile(p);
          ++count;
        }
    if (count > 0) tumour_mean_ = sum / static_cast<double>(count);
    highest = (set_.region.shape == TumourRegion::Shape::whole ? set_.core_density : 1.0) / tumour_mean_ *
              (set_.patchiness > 0 ? richest_patch : 1.0);
  }
  junctions_ = {expected_junctions(set_.host), expected_junctions(set_.tumour)};
  double mean = junctions_[0] * (1 - tumour_volume / box.volume());
  largest_ = tumour_volume < box.volume() ? junctions_[0] : 0;
  if (tumour_volume > 0) {
    mean += junctions_[1] * tumour_volume / box.volume();
    largest_ = std::max(largest_, junctions_[1] * std::pow(highest, 1.5));
  }
  largest_ *= lattice_room;
  for (std::size_t d = 0; d < 3; ++d) {
    count_[d] = std::max(1L, static_cast<long>(std::ceil(box.size[d] * std::cbrt(largest_))));
    width_[d] = box.size[d] / static_cast<double>(count_[d]);
  }
  largest_ = 1 / (width_[0] * width_[1] * width_[2]);
  const double units = mean * box.volume() / set_.points_per_unit;
  const int levels = units > 1 ? static_cast<int>(std::lround(std::log2(units))) : 0;
  partition_ = std::make_unique<Partition>(box, levels);
  while (root_level_ < levels && (2L << root_level_) <= set_.feeds) ++root_level_;
}

double VesselPlan::tumour_weight(const Place& where) const {
  const double depth = set_.region.depth(where, set_.box);
  if (std::isinf(depth)) return depth > 0 ? 1 : 0;
  if (!(set_.transition > 0)) return depth > 0 ? 1 : 0;
  return std::clamp(0.5 + depth / set_.transition, 0.0, 1.0);
}

double VesselPlan::profile(const Place& where) const {
  const double depth = std::max(0.0, set_.region.depth(where, set_.box));
  double value = set_.core_density + (1 - set_.core_density) * std::exp(-depth / set_.rim_width);
  if (set_.patchiness > 0)
    value *=
        std::min(std::exp(set_.patchiness * patch_(where) - 0.5 * set_.patchiness * set_.patchiness), richest_patch);
  return value / tumour_mean_;
}

void VesselPlan::points(long unit, const VasculatureKnobs& knobs, std::vector<Place>& position,
                        std::vector<long>& id) const {
  const Box region = partition_->region(partition_->levels(), unit);
  std::array<long, 3> low{}, high{};
  for (std::size_t d = 0; d < 3; ++d) {
    const double from = (region.origin[d] - set_.box.origin[d]) / width_[d];
    low[d] = std::max(0L, static_cast<long>(std::floor(from)) - 1);
    high[d] = std::min(count_[d], static_cast<long>(std::ceil(from + region.size[d] / width_[d])) + 1);
  }
  for (long k = low[2]; k < high[2]; ++k)
    for (long j = low[1]; j < high[1]; ++j)
      for (long i = low[0]; i < high[0]; ++i) {
        const std::array<long, 3> cell{i, j, k};
        const long number = i + count_[0] * (j + count_[1] * k);
        const auto counter = static_cast<std::uint64_t>(number);
        Place p{};
        for (std::size_t d = 0; d < 3; ++d)
          p[d] = set_.box.origin[d] +
                 (static_cast<double>(cell[d]) + 0.5 + jitter_width * (jitter_.uniform(3 * counter + d) - 0.5)) *
                     width_[d];
        if (partition_->unit_at(p) != unit) continue;
        const double t = tumour_weight(p);
        double density = 0;
        if (t < 1) density += (1 - t) * junctions_[0] * knobs.host_points;
        if (t > 0) density += t * junctions_[1] * knobs.tumour_points * std::pow(profile(p), 1.5);
        if (keep_.uniform(counter) * largest_ >= density) continue;
        position.push_back(p);
        id.push_back(number);
      }
}

Place VesselPlan::tree_node(int level, long prefix, int side) const {
  const Box region = partition_->region(level, prefix);
  const auto node = static_cast<std::uint64_t>((1L << level) + prefix);
  const double apart = level == partition_->levels() ? 0.25 : 0.12;
  Place result{};
  for (std::size_t d = 0; d < 3; ++d) {
    const double sign = branch_.uniform(9 * node + d) < 0.5 ? -1 : 1;
    const double moved = 0.1 * (branch_.uniform(9 * node + 3 + 3 * static_cast<std::uint64_t>(side) + d) - 0.5);
    result[d] = region.origin[d] + (0.5 + (side == 0 ? sign : -sign) * apart + moved) * region.size[d];
  }
  return result;
}

double VesselPlan::demand(int level, long prefix) const {
  if (level == partition_->levels())
    return demand_.lognormal(static_cast<std::uint64_t>(prefix), 1.0, set_.demand_spread);
  return demand(level + 1, 2 * prefix) + demand(level + 1, 2 * prefix + 1);
}

double VesselPlan::tree_radius(int level, long prefix, int side) const {
  const double terminal = side == 0 ? set_.terminal_arteriole : set_.terminal_venule;
  const double lawful = terminal * std::pow(demand(level, prefix), 1 / set_.murray_exponent);
  if (!(set_.murray_scatter > 0)) return lawful;
  return scatter_.lognormal(static_cast<std::uint64_t>(2 * ((1L << level) + prefix) + side), lawful,
                            set_.murray_scatter);
}

double VesselPlan::log_radius(const Place& middle, std::uint64_t key, double host_scale, double tumour_scale) const {
  const double t = tumour_weight(middle), draw = radius_.normal(key);
  double value = 0;
  if (t < 1) value += (1 - t) * (std::log(host_scale * set_.host.radius) + set_.host.radius_spread * draw);
  if (t > 0) {
    const double shared = set_.radius_correlation > 0 ? std::sqrt(set_.radius_correlation) * radius_field_(middle) : 0;
    value += t * (std::log(tumour_scale * set_.tumour.radius) +
                  set_.tumour.radius_spread * (shared + std::sqrt(1 - set_.radius_correlation) * draw));
  }
  return std::max(value, std::log(set_.smallest_radius));
}

Place VesselPlan::root_place(long prefix, int side) const {
  Place result = tree_node(root_level_, prefix, side);
  double nearest = std::numeric_limits<double>::infinity();
  std::size_t axis = 0;
  double where = 0;
  for (const int face : side == 0 ? set_.arterial_faces : set_.venous_faces) {
    const auto d = at(face / 2);
    const double plane = set_.box.origin[d] + (face % 2 == 0 ? 0 : set_.box.size[d]);
    const double away = std::abs(result[d] - plane);
    if (away < nearest) nearest = away, axis = d, where = plane;
  }
  result[axis] = where;
  return result;
}

std::array<double, 2> VesselPlan::volumes(const std::vector<long>* units) const {
  if (units == nullptr) {
    const double tumour = set_.region.volume(set_.box);
    return {set_.box.volume() - tumour, tumour};
  }
  std::array<double, 2> result{0, 0};
  constexpr int samples = 6;
  for (const long unit : *units) {
    const Box region = partition_->region(partition_->levels(), unit);
    int inside = 0;
    for (int i = 0; i < samples; ++i)
      for (int j = 0; j < samples; ++j)
        for (int k = 0; k < samples; ++k)
          inside += set_.region.depth({region.origin[0] + (i + 0.5) / samples * region.size[0],
                                       region.origin[1] + (j + 0.5) / samples * region.size[1],
                                       region.origin[2] + (k + 0.5) / samples * region.size[2]},
                                      set_.box) > 0;
    const double share = inside / static_cast<double>(samples * samples * samples);
    result[0] += (1 - share) * region.volume();
    result[1] += share * region.volume();
  }
  return result;
}

}  // namespace sanctuary
