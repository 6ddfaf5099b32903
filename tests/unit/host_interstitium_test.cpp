#include "therapy/host_interstitium.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace sanctuary {
namespace {

constexpr double litre = 1e-3, hour = 3600;
const PlasmaModel doxorubicin{.clearance = 62.4 * litre / hour,
                              .volume = 17.7 * litre,
                              .flow = {50.7 * litre / hour, 28.4 * litre / hour},
                              .peripheral = {1830 * litre, 71 * litre}};

/// dC/dt = rate (f C_p - C) by the classical Runge-Kutta method between the kinks of the plasma course.
double integrate(const PlasmaKinetics& plasma, double unbound, double rate, double time, double step) {
  std::vector<double> stops{0.0};
  for (const double t : plasma.events()) {
    if (t > 0 && t < time) stops.push_back(t);
  }
  stops.push_back(time);
  double c = 0;
  for (std::size_t s = 0; s + 1 < stops.size(); ++s) {
    const int n = static_cast<int>(std::ceil((stops[s + 1] - stops[s]) / step));
    const double h = (stops[s + 1] - stops[s]) / n;
    for (int i = 0; i < n; ++i) {
      const double t = stops[s] + i * h;
      const double now = unbound * plasma.concentration(t), half = unbound * plasma.concentration(t + 0.5 * h),
                   next = unbound * plasma.concentration(t + h);
      const double k1 = rate * (now - c), k2 = rate * (half - c - 0.5 * h * k1), k3 = rate * (half - c - 0.5 * h * k2),
                   k4 = rate * (next - c - h * k3);
      c += h / 6 * (k1 + 2 * k2 + 2 * k3 + k4);
    }
  }
  return c;
}

TEST(HostInterstitium, FollowsItsEquationAtAnyRate) {
  const PlasmaKinetics plasma(doxorubicin, {{0, 0.25 * hour, 2e-4}, {3 * hour, 0.5 * hour, 1e-4}});
  for (const double rate : {1e-6, 1e-4, 2e-3, 0.05}) {
    for (const double time : {100.0, 0.25 * hour, 2 * hour, 3.2 * hour, 30 * hour}) {
      const double exact = integrate(plasma, 0.25, rate, time, rate > 0.01 ? 0.25 : 2.0);
      EXPECT_NEAR(host_interstitial_concentration(plasma, 0.25, rate, time), exact, 1e-9 * exact)
          << "rate " << rate << " time " << time;
    }
  }
}

TEST(HostInterstitium, ApproachesTheUnboundPlasmaAsTheRateGrows) {
  const PlasmaKinetics plasma(doxorubicin, {{0, 0.25 * hour, 2e-4}});
  const double t = 2 * hour, unbound = 0.25 * plasma.concentration(t);
  EXPECT_NEAR(host_interstitial_concentration(plasma, 0.25, 10, t), unbound, 1e-3 * unbound);
}

TEST(HostInterstitium, StartsEmptyAndStaysSoBehindATightWall) {
  const PlasmaKinetics plasma(doxorubicin, {{0, 0, 2e-4}});
  EXPECT_EQ(host_interstitial_concentration(plasma, 0.25, 0, hour), 0);
  EXPECT_EQ(host_interstitial_concentration(plasma, 0.25, 1e-3, 0), 0);
}

}  // namespace
}  // namespace sanctuary
