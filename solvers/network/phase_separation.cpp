#include "solvers/network/phase_separation.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <vector>

namespace sanctuary {
namespace {

/// A list of numbers that takes no memory from the heap while it is short.
template <class T>
class Scratch {
 public:
  explicit Scratch(std::size_t count) {
    if (count > short_.size()) long_.resize(count);
    list_ = {count > short_.size() ? long_.data() : short_.data(), count};
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] std::span<T> list() { return list_; }

 private:
  std::array<T, 8> short_;
  std::vector<T> long_;
  std::span<T> list_;
};

// Red cells that each daughter gets per unit of inflowing cells, `order` being the daughters that carry blood,
// by rising flow and then diameter.
void sequential_shares(SplitForm form, double inflow_haematocrit, double parent_diameter, std::span<const double> flow,
                       std::span<const double> diameter, std::span<const std::size_t> order, std::span<double> share) {
  Scratch<double> all_blood(order.size()), all_widest(order.size());
  const std::span<double> blood_left = all_blood.list(), widest_left = all_widest.list();
  double blood = 0, widest = 0;
  for (std::size_t i = order.size(); i-- > 0;) {  // summed from the back: the remainder is then never a difference
    blood_left[i] = blood += flow[order[i]];
    widest_left[i] = widest = std::max(widest, diameter[order[i]]);
  }
  double cells = 1.0;
  double parent = parent_diameter;
  for (std::size_t i = 0; i + 1 < order.size(); ++i) {
    const double haematocrit = std::min(inflow_haematocrit * cells * blood_left[0] / blood_left[i], 1.0);
    const double taken = cells * red_cell_share(form, flow[order[i]] / blood_left[i], haematocrit, parent,
                                                diameter[order[i]], widest_left[i + 1]);
    share[order[i]] = taken;
    cells -= taken;
    parent = widest_left[i + 1];
  }
  share[order.back()] = cells;
  for (std::size_t first = 0; first < order.size();) {  // equal daughters share equally
    std::size_t last = first + 1;
    double sum = share[order[first]];
    while (last < order.size() && flow[order[last]] == flow[order[first]] &&
           diameter[order[last]] == diameter[order[first]])
      sum += share[order[last++]];
    for (std::size_t i = first; i < last; ++i) share[order[i]] = sum / static_cast<double>(last - first);
    first = last;
  }
}

void each_against_rest_shares(SplitForm form, double inflow_haematocrit, double parent_diameter,
                              std::span<const double> flow, std::span<const double> diameter,
                              std::span<const std::size_t> order, std::span<double> share) {
  double blood = 0;
  for (const auto i : order) blood += flow[i];
  double sum = 0;
  for (const auto i : order) {
    double width = 0, rest = 0;
    for (const auto j : order) {
      if (j == i) continue;
      width += flow[j] * diameter[j];
      rest += flow[j];
    }
    share[i] = red_cell_share(form, flow[i] / blood, inflow_haematocrit, parent_diameter, diameter[i], width / rest);
    sum += share[i];
  }
  // Many thin daughters may each fall under the plasma-skimming threshold: then the law has nothing to say.
  for (const auto i : order) share[i] = sum > 0 ? share[i] / sum : flow[i] / blood;
}

}  // namespace

double red_cell_share(SplitForm form, double flow_share, double inflow_haematocrit, double parent_diameter,
                      double diameter_a, double diameter_b) {
  if (form == SplitForm::proportional || flow_share <= 0.0 || flow_share >= 1.0)
    return std::clamp(flow_share, 0.0, 1.0);
  const double parent = parent_diameter * 1e6;
  const double h = (1.0 - inflow_haematocrit) / parent;
  double a = 0, skimming = 0;
  if (form == SplitForm::pries_2005) {
    const double ratio = (diameter_a * diameter_a) / (diameter_b * diameter_b);
    a = -13.29 * h * (ratio - 1.0) / (ratio + 1.0);
    skimming = 0.964 * h;
  } else {
    a = -6.96 * std::log(diameter_a / diameter_b) / parent;
    skimming = 0.4 / parent;
  }
  const double b = 1.0 + 6.98 * h;
  if (flow_share <= skimming) return flow_share >= 1.0 - skimming ? 0.5 : 0.0;
  if (flow_share >= 1.0 - skimming) return 1.0;
  const double x = (flow_share - skimming) / (1.0 - 2.0 * skimming);
  return 1.0 / (1.0 + std::exp(-a - b * std::log(x / (1.0 - x))));
}

void split_red_cells(const SplitLaw& law, double inflow_haematocrit, double parent_diameter,
                     std::span<const double> out_flow, std::span<const double> out_diameter,
                     std::span<double> out_haematocrit) {
  assert(out_flow.size() == out_diameter.size() && out_flow.size() == out_haematocrit.size());
  Scratch<std::size_t> all(out_flow.size());
  std::size_t count = 0;
  for (std::size_t i = 0; i < out_flow.size(); ++i) {
    assert(out_flow[i] >= 0);
    out_haematocrit[i] = inflow_haematocrit;
    if (out_flow[i] > 0) all.list()[count++] = i;
  }
  if (count < 2 || inflow_haematocrit <= 0 || law.form == SplitForm::proportional) return;

  // Every sum below then has the same digits whatever the order of the daughters.
  const std::span<std::size_t> carrying = all.list().first(count);
  std::sort(carrying.begin(), carrying.end(), [&](std::size_t a, std::size_t b) {
    return out_flow[a] != out_flow[b] ? out_flow[a] < out_flow[b] : out_diameter[a] < out_diameter[b];
  });
  double blood = 0;
  for (const auto i : carrying) blood += out_flow[i];

  Scratch<double> shares(out_flow.size());
  const std::span<double> share = shares.list();
  if (law.many == ManyDaughters::sequential || count == 2)
    sequential_shares(law.form, inflow_haematocrit, parent_diameter, out_flow, out_diameter, carrying, share);
  else
    each_against_rest_shares(law.form, inflow_haematocrit, parent_diameter, out_flow, out_diameter, carrying, share);
  for (const auto i : carrying) out_haematocrit[i] = inflow_haematocrit * share[i] * blood / out_flow[i];

  // What lies above the cap goes to the others in proportion to their room; their room suffices because the cap is not
  // under the mean.
  const double cap = std::max(law.highest_haematocrit, inflow_haematocrit);
  double excess = 0, room = 0;
  for (const auto i : carrying) {
    const double over = out_flow[i] * (out_haematocrit[i] - cap);
    (over > 0 ? excess : room) += std::abs(over);
  }
  if (excess <= 0) return;
  const double filled = room > 0 ? std::min(excess / room, 1.0) : 1.0;
  for (const auto i : carrying)
    out_haematocrit[i] = out_haematocrit[i] > cap ? cap : out_haematocrit[i] + filled * (cap - out_haematocrit[i]);
}

}  // namespace sanctuary
