#include "therapy/host_interstitium.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace sanctuary {

double host_interstitial_concentration(const PlasmaKinetics& plasma, double unbound_fraction, double rate,
                                       double time) {
  if (!(rate > 0) || time <= 0) return 0;
  // Points and weights of eight-point Gauss-Legendre quadrature on [-1, 1].
  constexpr std::array<double, 4> point{0.1834346424956498, 0.5255324099163290, 0.7966664774136267, 0.9602898564975363};
  constexpr std::array<double, 4> weight{0.3626837833783620, 0.3137066458778873, 0.2223810344533745,
                                         0.1012285362903763};
  const double reach = std::min(time, 40 / rate);
  std::vector<double> stops{time - reach};
  for (const double t : plasma.events()) {
    if (t > stops.back() && t < time) stops.push_back(t);
  }
  stops.push_back(time);
  double sum = 0;
  for (std::size_t s = 0; s + 1 < stops.size(); ++s) {
    const double length = stops[s + 1] - stops[s];
    const int panels = std::max(4, static_cast<int>(std::ceil(0.5 * rate * length)));
    for (int p = 0; p < panels; ++p) {
      const double half = 0.5 * length / panels, middle = stops[s] + (2 * p + 1) * half;
      for (std::size_t k = 0; k < point.size(); ++k) {
        for (const double sign : {-1.0, 1.0}) {
          const double t = middle + sign * half * point[k];
          sum += half * weight[k] * rate * std::exp(-rate * (time - t)) * plasma.concentration(t);
        }
      }
    }
  }
  return unbound_fraction * sum;
}

}  // namespace sanctuary
