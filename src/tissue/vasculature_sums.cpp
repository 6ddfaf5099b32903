#include "tissue/vasculature_sums.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>

#include "base/comm.hpp"

namespace sanctuary {
namespace {

std::size_t at(long index) { return static_cast<std::size_t>(index); }

double distance_to(const Place& p, const GrownVessel& vessel) {
  const Place &a = vessel.position[0], &b = vessel.position[1];
  double along = 0, square = 0;
  for (std::size_t d = 0; d < 3; ++d) along += (p[d] - a[d]) * (b[d] - a[d]), square += (b[d] - a[d]) * (b[d] - a[d]);
  const double share = square > 0 ? std::clamp(along / square, 0.0, 1.0) : 0;
  double sum = 0;
  for (std::size_t d = 0; d < 3; ++d) {
    const double x = p[d] - (a[d] + share * (b[d] - a[d]));
    sum += x * x;
  }
  return std::sqrt(sum);
}

struct Sample {
  Place where{};
  std::array<long, 2> node{-2, -2};
};

/// Samples sorted by cells, so that a vessel finds those near it.
class SampleGrid {
 public:
  SampleGrid(const Box& box, double cell, const std::vector<Sample>& samples) : box_(box), cell_(cell) {
    for (std::size_t d = 0; d < 3; ++d)
      count_[d] = std::clamp(static_cast<long>(std::ceil(box.size[d] / cell)), 1L, 64L);
    held_.resize(at(count_[0] * count_[1] * count_[2]));
    for (std::size_t i = 0; i < samples.size(); ++i) {
      std::array<long, 3> c{};
      for (std::size_t d = 0; d < 3; ++d) c[d] = index(d, samples[i].where[d]);
      held_[at(c[0] + count_[0] * (c[1] + count_[1] * c[2]))].push_back(i);
    }
  }
  template <class Visit>
  void near(const GrownVessel& vessel, double reach, Visit visit) const {
    std::array<long, 3> low{}, high{};
    for (std::size_t d = 0; d < 3; ++d) {
      low[d] = index(d, std::min(vessel.position[0][d], vessel.position[1][d]) - reach);
      high[d] = index(d, std::max(vessel.position[0][d], vessel.position[1][d]) + reach);
    }
    for (long k = low[2]; k <= high[2]; ++k)
      for (long j = low[1]; j <= high[1]; ++j)
        for (long i = low[0]; i <= high[0]; ++i)
          for (const std::size_t sample : held_[at(i + count_[0] * (j + count_[1] * k))]) visit(sample);
  }

 private:
  [[nodiscard]] long index(std::size_t d, double x) const {
    return std::clamp(
        static_cast<long>(std::floor((x - box_.origin[d]) / box_.size[d] * static_cast<double>(count_[d]))), 0L,
        count_[d] - 1);
  }
  Box box_;
  double cell_;
  std::array<long, 3> count_{};
  std::vector<std::vector<std::size_t>> held_;
};

std::array<double, 2> mean_and_median(std::vector<double> values) {
  if (values.empty()) return {0, 0};
  std::sort(values.begin(), values.end());
  double sum = 0;
  for (double value : values) sum += value;
  return {sum / static_cast<double>(values.size()), values[values.size() / 2]};
}

std::array<double, 2> nearest(MPI_Comm comm, const Box& box, double reach, const std::vector<Sample>& samples,
                              const std::vector<GrownVessel>& vessels) {
  std::vector<double> best(samples.size(), reach);
  const SampleGrid grid(box, 2 * reach, samples);
  for (const GrownVessel& vessel : vessels)
    grid.near(vessel, reach, [&](std::size_t i) {
      const Sample& s = samples[i];
      for (const long node : vessel.node)
        if (node >= 0 && (node == s.node[0] || node == s.node[1])) return;
      best[i] = std::min(best[i], distance_to(s.where, vessel));
    });
  MPI_Allreduce(MPI_IN_PLACE, best.data(), static_cast<int>(best.size()), MPI_DOUBLE, MPI_MIN, comm);
  return mean_and_median(std::move(best));
}

/// Boxes of a width that hold a piece of a centre line, each counted once over all ranks.
double occupied_boxes(MPI_Comm comm, const Box& box, double width, const std::vector<GrownVessel>& vessels) {
  const auto ranks = at(size_of(comm));
  std::vector<std::vector<long>> codes(ranks);
  std::vector<long> mine;
  for (const GrownVessel& vessel : vessels) {
    double straight = 0;
    for (std::size_t d = 0; d < 3; ++d) straight = std::hypot(straight, vessel.position[1][d] - vessel.position[0][d]);
    const long steps = 1 + static_cast<long>(4 * straight / width);
    for (long s = 0; s <= steps; ++s) {
      long code = 0;
      for (std::size_t d = 0; d < 3; ++d) {
        const double x = vessel.position[0][d] + static_cast<double>(s) / static_cast<double>(steps) *
                                                     (vessel.position[1][d] - vessel.position[0][d]);
        code = code << 20 | (static_cast<long>(std::floor((x - box.origin[d]) / width)) & 0xfffff);
      }
      if (mine.empty() || mine.back() != code) mine.push_back(code);
    }
  }
  std::sort(mine.begin(), mine.end());
  mine.erase(std::unique(mine.begin(), mine.end()), mine.end());
  for (const long code : mine) codes[pair_key(code, code) % ranks].push_back(code);
  std::vector<int> sent(ranks), got(ranks), from(ranks + 1, 0), to(ranks + 1, 0);
  for (std::size_t r = 0; r < ranks; ++r) sent[r] = static_cast<int>(codes[r].size());
  MPI_Alltoall(sent.data(), 1, MPI_INT, got.data(), 1, MPI_INT, comm);
  for (std::size_t r = 0; r < ranks; ++r) from[r + 1] = from[r] + sent[r], to[r + 1] = to[r] + got[r];
  mine.clear();
  for (const auto& part : codes) mine.insert(mine.end(), part.begin(), part.end());
  std::vector<long> received(at(to[ranks]));
  MPI_Alltoallv(mine.data(), sent.data(), from.data(), MPI_LONG, received.data(), got.data(), to.data(), MPI_LONG,
                comm);
  std::sort(received.begin(), received.end());
  return sum_over(comm, static_cast<double>(std::unique(received.begin(), received.end()) - received.begin()));
}

}  // namespace

void VesselSums::add(const GrownVessel& vessel, bool half) {
  const long weight = half ? 1 : 2;
  const Place middle = vessel.middle();
  const std::size_t tissue = settings_->region.depth(middle, settings_->box) > 0 ? 1 : 0;
  double straight = 0;
  for (std::size_t d = 0; d < 3; ++d) straight = std::hypot(straight, vessel.position[1][d] - vessel.position[0][d]);
  const auto whole = [&](double value, double unit) { return weight * std::lround(value / unit); };
  auto& sum = sum_[tissue];
  const double radius = vessel.radius, length = vessel.length;
  sum[0] += weight;
  sum[1] += whole(length, length_unit);
  sum[2] += whole(straight, length_unit);
  sum[3] += whole(2 * std::numbers::pi * radius * length, surface_unit);
  sum[4] += whole(std::numbers::pi * radius * radius * length, volume_unit);
  if ((vessel.flags & GrownVessel::perfused) != 0) sum[5] += whole(length, length_unit);
  const double log_radius = std::log(radius / 1e-6);
  if ((vessel.flags & GrownVessel::bed) != 0) {
    sum[6] += weight;
    sum[7] += whole(log_radius, log_unit);
    sum[8] += whole(log_radius * log_radius, log_unit);
  }
  const auto bin = static_cast<long>(std::log(radius / first_radius) / bin_width);
  histogram_[tissue][at(std::clamp(bin, 0L, static_cast<long>(histogram_[tissue].size()) - 1))] += weight;
  count_[all] += weight;
  if (vessel.type == vessel_type::arteriole) count_[arteriole] += weight;
  if (vessel.type == vessel_type::venule) count_[venule] += weight;
  if ((vessel.flags & GrownVessel::blind) != 0) count_[blind] += weight;
  if ((vessel.flags & GrownVessel::shunt) != 0) count_[shunt] += weight;
  if ((vessel.flags & GrownVessel::root) != 0) count_[root] += weight;
  if ((vessel.flags & GrownVessel::perfused) == 0) count_[unperfused] += weight;
}

void VesselSums::reduce(MPI_Comm comm) {
  const auto all_over = [comm](auto& values) {
    MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_LONG, MPI_SUM, comm);
  };
  for (auto& sum : sum_) all_over(sum);
  for (auto& histogram : histogram_) all_over(histogram);
  all_over(count_);
}

double VesselSums::radius_spread(int tissue) const {
  const auto& sum = sum_[static_cast<std::size_t>(tissue)];
  if (sum[6] == 0) return 0;
  const double count = static_cast<double>(sum[6]), mean = static_cast<double>(sum[7]) * log_unit / count;
  return std::sqrt(std::max(0.0, static_cast<double>(sum[8]) * log_unit / count - mean * mean));
}

double VesselSums::median_radius(int tissue) const {
  const auto& histogram = histogram_[static_cast<std::size_t>(tissue)];
  const double half = 0.5 * static_cast<double>(sum_[static_cast<std::size_t>(tissue)][0]);
  double below = 0;
  for (std::size_t bin = 0; bin < histogram.size(); ++bin) {
    const auto here = static_cast<double>(histogram[bin]);
    if (below + here >= half && here > 0)
      return first_radius * std::exp(bin_width * (static_cast<double>(bin) + (half - below) / here));
    below += here;
  }
  return 0;
}

VasculatureDistances vessel_distances(MPI_Comm comm, const VesselPlan& plan, double length_density,
                                      const std::vector<GrownVessel>& vessels, long total) {
  VasculatureDistances result;
  if (total == 0 || !(length_density > 0)) return result;
  const VasculatureSettings& set = plan.settings();
  const Box& box = set.box;
  const bool tumour = set.region.volume(box) > 0;
  const double spacing = 1 / std::sqrt(length_density);
  const double reach = std::min(6 * spacing, std::hypot(box.size[0], box.size[1], box.size[2]));
  constexpr long most = 2000;
  std::vector<Sample> points;
  const RandomStream draw(set.seed, "vasculature.sample");
  for (std::uint64_t i = 0; i < 40 * most && static_cast<long>(points.size()) < most; ++i) {
    Place p{};
    for (std::size_t d = 0; d < 3; ++d) p[d] = box.origin[d] + draw.uniform(3 * i + d) * box.size[d];
    if ((set.region.depth(p, box) > 0) == tumour) points.push_back({p, {-2, -2}});
  }
  const auto tissue = nearest(comm, box, reach, points, vessels);
  result.tissue_mean = tissue[0], result.tissue_median = tissue[1];

  const long stride = std::max(1L, total / most);
  std::vector<Sample> mine;
  for (const GrownVessel& vessel : vessels)
    if (vessel.id % stride == 0 && (vessel.flags & GrownVessel::bed) != 0 &&
        (set.region.depth(vessel.middle(), box) > 0) == tumour)
      mine.push_back({vessel.middle(), vessel.node});
  const int bytes = static_cast<int>(mine.size() * sizeof(Sample));
  std::vector<int> lengths(at(size_of(comm))), from(lengths.size() + 1, 0);
  MPI_Allgather(&bytes, 1, MPI_INT, lengths.data(), 1, MPI_INT, comm);
  for (std::size_t r = 0; r < lengths.size(); ++r) from[r + 1] = from[r] + lengths[r];
  std::vector<Sample> chosen(at(from.back()) / sizeof(Sample));
  MPI_Allgatherv(mine.data(), bytes, MPI_BYTE, chosen.data(), lengths.data(), from.data(), MPI_BYTE, comm);
  const auto between = nearest(comm, box, reach, chosen, vessels);
  result.between_mean = between[0], result.between_median = between[1];

  // Slope over a factor of eight from the mean spacing up, or as far as four boxes fit across.
  std::vector<std::array<double, 2>> line;
  const double smallest = std::min({box.size[0], box.size[1], box.size[2]});
  for (double width = 0.5 * spacing; width <= 4.01 * spacing && width <= 0.25 * smallest; width *= 2)
    line.push_back({-std::log(width), std::log(std::max(1.0, occupied_boxes(comm, box, width, vessels)))});
  if (line.size() >= 3) {
    double x = 0, y = 0, xx = 0, xy = 0;
    for (const auto& p : line) x += p[0], y += p[1], xx += p[0] * p[0], xy += p[0] * p[1];
    const auto n = static_cast<double>(line.size());
    result.fractal_dimension = (n * xy - x * y) / (n * xx - x * x);
  }
  return result;
}

}  // namespace sanctuary
