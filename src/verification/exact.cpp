#include "verification/exact.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace sanctuary::exact {
namespace {

using std::numbers::pi;

// Root of a function that falls or rises once between two ends of opposite sign.
template <class Function>
double bisect(const Function& function, double lower, double upper) {
  const bool rising = function(upper) > 0;
  for (int i = 0; i < 200 && upper - lower > 1e-16 * std::abs(upper); ++i) {
    const double middle = 0.5 * (lower + upper);
    ((function(middle) > 0) == rising ? upper : lower) = middle;
  }
  return 0.5 * (lower + upper);
}

// sinh(a)/sinh(b) for 0 <= a <= b, also where both overflow.
double sinh_ratio(double a, double b) { return std::exp(a - b) * std::expm1(-2 * a) / std::expm1(-2 * b); }

// x/tanh(x) - 1 without loss of digits near 0.
double coth_rise(double x) {
  const double x2 = x * x;
  return x < 0.02 ? x2 / 3.0 * (1.0 - x2 / 15.0 * (1.0 - 2.0 * x2 / 21.0)) : x / std::tanh(x) - 1.0;
}

// sinh(x/l)/(x/l) over the same at the surface R/l, and minus its gradient in x.
double sphere_shape(double radius, double outer, double length) {
  const double x = radius / length, a = outer / length;
  if (x < 1e-8) return a < 1e-8 ? 1.0 : std::exp(-a) * 2.0 * a / -std::expm1(-2 * a);
  return a / x * sinh_ratio(x, a);
}
double sphere_gradient(double radius, double outer, double length) {
  return radius <= 0 ? 0.0 : sphere_shape(radius, outer, length) * coth_rise(radius / length) / radius;
}

// Pressure at the surface of an embedded sphere from the balance of the two Darcy fluxes.
double border_pressure(double outer, const SphereTissue& tumour, const SphereTissue& host) {
  const double inside = tumour.conductivity * coth_rise(outer / tumour.length());
  const double outside = host.conductivity * (1.0 + outer / host.length());
  return (inside * tumour.plateau() + outside * host.plateau()) / (inside + outside);
}

}  // namespace

double krogh_erlang(double radius, double inner, double outer, double wall_pressure, double use, double krogh) {
  return wall_pressure + use / (4 * krogh) * (radius * radius - inner * inner) -
         use * outer * outer / (2 * krogh) * std::log(radius / inner);
}

double krogh_supply(double inner, double outer, double use) { return pi * (outer * outer - inner * inner) * use; }

double anoxic_radius(double inner, double wall_pressure, double use, double krogh) {
  const auto left = [=](double radius) { return krogh_erlang(radius, inner, radius, wall_pressure, use, krogh); };
  double upper = 2 * inner;
  while (left(upper) > 0) upper *= 2;
  return bisect(left, inner, upper);
}

double anoxic_depth(double pressure, double use, double krogh) { return std::sqrt(2 * krogh * pressure / use); }

double cord_radius(double pressure, double use, double krogh) { return std::sqrt(4 * krogh * pressure / use); }

double krogh_first_order(double radius, double inner, double outer, double diffusivity, double loss,
                         double permeability) {
  const double m = std::sqrt(loss / diffusivity);
  const double i1 = std::cyl_bessel_i(1, m * outer), k1 = std::cyl_bessel_k(1, m * outer);
  // Shape with no flux at the outer radius, and its gradient at the inner one.
  const auto shape = [&](double r) { return k1 * std::cyl_bessel_i(0, m * r) + i1 * std::cyl_bessel_k(0, m * r); };
  const double slope = m * (k1 * std::cyl_bessel_i(1, m * inner) - i1 * std::cyl_bessel_k(1, m * inner));
  return permeability * shape(radius) / (permeability * shape(inner) - diffusivity * slope);
}

double spheroid_limit(double pressure, double use, double krogh) { return std::sqrt(6 * krogh * pressure / use); }

double spheroid_anoxic_radius(double outer, double pressure, double use, double krogh) {
  const double limit = spheroid_limit(pressure, use, krogh);
  if (outer <= limit) return 0.0;
  return bisect([=](double r) { return outer * outer - 3 * r * r + 2 * r * r * r / outer - limit * limit; }, 0.0,
                outer);
}

double spheroid_pressure(double radius, double outer, double pressure, double use, double krogh) {
  const double core = spheroid_anoxic_radius(outer, pressure, use, krogh);
  if (core > 0 && radius <= core) return 0.0;
  const double k = use / (6 * krogh);
  const double core3 = 2 * core * core * core;
  return pressure - k * (outer * outer - radius * radius) + (core > 0 ? k * core3 * (1 / radius - 1 / outer) : 0.0);
}

double SphereTissue::length() const { return std::sqrt(conductivity / (filtration + lymph)); }
double SphereTissue::plateau() const {
  return (filtration * effective_pressure + lymph * lymph_pressure) / (filtration + lymph);
}

double isolated_sphere_pressure(double radius, double outer, const SphereTissue& tumour, double outside) {
  return tumour.plateau() - (tumour.plateau() - outside) * sphere_shape(radius, outer, tumour.length());
}

double isolated_sphere_velocity(double radius, double outer, const SphereTissue& tumour, double outside) {
  return tumour.conductivity * (tumour.plateau() - outside) * sphere_gradient(radius, outer, tumour.length());
}

double embedded_sphere_pressure(double radius, double outer, const SphereTissue& tumour, const SphereTissue& host) {
  const double border = border_pressure(outer, tumour, host);
  if (radius <= outer) return isolated_sphere_pressure(radius, outer, tumour, border);
  return host.plateau() + (border - host.plateau()) * outer / radius * std::exp(-(radius - outer) / host.length());
}

double embedded_sphere_velocity(double radius, double outer, const SphereTissue& tumour, const SphereTissue& host) {
  const double border = border_pressure(outer, tumour, host);
  if (radius <= outer) return isolated_sphere_velocity(radius, outer, tumour, border);
  return host.conductivity * (embedded_sphere_pressure(radius, outer, tumour, host) - host.plateau()) *
         (1 / radius + 1 / host.length());
}

double leaky_vessel_pressure(double x, double length, double radius, double viscosity, double wall_conductivity,
                             double inlet, double outlet, double outside) {
  const double g = std::sqrt(16 * viscosity * wall_conductivity / (radius * radius * radius));
  if (g * length < 1e-7) return inlet + (outlet - inlet) * x / length;
  return outside + (inlet - outside) * sinh_ratio(g * (length - x), g * length) +
         (outlet - outside) * sinh_ratio(g * x, g * length);
}

double advection_diffusion(double x, double peclet) {
  if (peclet == 0) return x;
  if (peclet > 0) return std::exp(peclet * (x - 1)) * std::expm1(-peclet * x) / std::expm1(-peclet);
  return std::expm1(peclet * x) / std::expm1(peclet);
}

double line_source_instantaneous(double radius, double time, double diffusivity) {
  return std::exp(-radius * radius / (4 * diffusivity * time)) / (4 * pi * diffusivity * time);
}

double line_source_continuous(double radius, double time, double diffusivity) {
  const double x = radius * radius / (4 * diffusivity * time);
  return -std::expint(-x) / (4 * pi * diffusivity);
}

namespace {

// Poisson probabilities of 0, 1, ... for a mean, as far as they count; then their running sums.
std::vector<double> poisson(double mean, std::size_t count) {
  std::vector<double> probability(count);
  for (std::size_t n = 0; n < count; ++n) {
    const auto k = static_cast<double>(n);
    probability[n] = mean > 0 ? std::exp(k * std::log(mean) - mean - std::lgamma(k + 1)) : (n == 0 ? 1.0 : 0.0);
  }
  return probability;
}

std::size_t terms(double x, double y) {
  const double larger = std::max({x, y, 1.0});
  return static_cast<std::size_t>(larger + 12 * std::sqrt(larger) + 60);
}

}  // namespace

double anzelius_schumann(double x, double y) {
  const std::size_t count = terms(x, y);
  const auto px = poisson(x, count), py = poisson(y, count);
  double below = 0, sum = 0;
  for (std::size_t n = 0; n < count; ++n) {
    below += px[n];
    sum += py[n] * below;
  }
  return sum;
}

double washout_plasma(double zeta, double tau) {  // 1 - J(zeta, tau), summed so that a late trace keeps its digits
  const std::size_t count = terms(zeta, tau);
  const auto px = poisson(zeta, count), py = poisson(tau, count);
  double above = 0, sum = 0;
  for (std::size_t n = count; n-- > 0;) {
    sum += py[n] * above;
    above += px[n];
  }
  return sum;
}

double washout_tissue(double zeta, double tau) { return anzelius_schumann(tau, zeta); }

double washout_remaining(double zeta, double tau) {
  if (zeta <= 0) return std::exp(-tau);
  // The integral of J(tau, .) over [0, zeta]: each Poisson weight integrates to the tail of its own distribution.
  const std::size_t count = terms(zeta, tau);
  const auto pz = poisson(zeta, count), pt = poisson(tau, count);
  std::vector<double> tail(count);
  double above = 0;
  for (std::size_t n = count; n-- > 0;) {
    tail[n] = above;
    above += pz[n];
  }
  double below = 0, sum = 0;
  for (std::size_t n = 0; n < count; ++n) {
    below += pt[n];
    sum += below * tail[n];
  }
  return sum / zeta;
}

}  // namespace sanctuary::exact
