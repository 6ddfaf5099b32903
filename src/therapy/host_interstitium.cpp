#include "therapy/host_interstitium.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace sanctuary {

double host_interstitial_concentration(const PlasmaKinetics& plasma, double unbound_fraction, double rate,
                                       double time) {
  if (!(rate > 0) || time <= 0) return 0;
  constexpr double negligible = 40;  // times the rate: e^-40 of an exponential is left
  // Points and weights of eight-point Gauss-Legendre quadrature on [-1, 1].
  constexpr std::array<double, 4> point{0.1834346424956498, 0.5255324099163290, 0.7966664774136267, 0.9602898564975363};
  constexpr std::array<double, 4> weight{0.3626837833783620, 0.3137066458778873, 0.2223810344533745,
                                         0.1012285362903763};
  const double reach = std::min(time, negligible / rate);
  // Each dose stirs every mode of the plasma course; each is forgotten in its own time, the fastest first.
  const std::vector<double> kinks = plasma.events();
  std::vector<double> stops{time - reach, time};
  const auto stop_at = [&](double t) {
    if (t > time - reach && t < time) stops.push_back(t);
  };
  for (const double kink : kinks) {
    stop_at(kink);
    for (const double mode : plasma.rates()) stop_at(kink + negligible / mode);
  }
  std::sort(stops.begin(), stops.end());
  double sum = 0;
  for (std::size_t s = 0; s + 1 < stops.size(); ++s) {
    const double length = stops[s + 1] - stops[s];
    double fastest = rate;
    for (const double kink : kinks) {
      for (const double mode : plasma.rates()) {
        if (kink <= stops[s] && stops[s] < kink + negligible / mode) fastest = std::max(fastest, mode);
      }
    }
    const int panels = std::max(1, static_cast<int>(std::ceil(0.5 * fastest * length)));
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
