#include "therapy/plasma_kinetics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.hpp"

namespace sanctuary {
namespace {

// (1 - e^-x)/x and (x - 1 + e^-x)/x^2 for x >= 0, without loss of digits near 0.
double decay_mean(double x) { return x < 1e-8 ? 1.0 - 0.5 * x : -std::expm1(-x) / x; }
double decay_mean_2(double x) {
  if (x < 0.1) {  // series: the closed form loses twice the digits of x
    double term = 0.5, sum = term;
    for (int n = 3; n < 14; ++n) sum += term *= -x / n;
    return sum;
  }
  return (x + std::expm1(-x)) / (x * x);
}

using Matrix3 = std::array<std::array<double, 3>, 3>;

// Eigenvalues and orthonormal eigenvectors (columns) of a symmetric matrix by Jacobi rotations: no trouble with equal
// eigenvalues, small ones kept to working precision of the largest.
void symmetric_eigen(Matrix3& a, Matrix3& vectors, int n) {
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) vectors[i][j] = i == j;
  for (int sweep = 0; sweep < 60; ++sweep) {
    double off = 0, size = 0;
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j) (i == j ? size : off) += a[i][j] * a[i][j];
    if (off <= 1e-40 * size) return;
    for (int p = 0; p < n; ++p)
      for (int q = p + 1; q < n; ++q) {
        if (a[p][q] == 0) continue;
        const double theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
        const double t = (theta >= 0 ? 1.0 : -1.0) / (std::abs(theta) + std::hypot(1.0, theta));
        const double c = 1.0 / std::hypot(1.0, t), s = t * c;
        for (int k = 0; k < n; ++k) {
          const double kp = a[k][p], kq = a[k][q];
          a[k][p] = c * kp - s * kq;
          a[k][q] = s * kp + c * kq;
        }
        for (int k = 0; k < n; ++k) {
          const double pk = a[p][k], qk = a[q][k];
          a[p][k] = c * pk - s * qk;
          a[q][k] = s * pk + c * qk;
        }
        for (int k = 0; k < n; ++k) {
          const double kp = vectors[k][p], kq = vectors[k][q];
          vectors[k][p] = c * kp - s * kq;
          vectors[k][q] = s * kp + c * kq;
        }
      }
  }
}

bool sound(double value) { return std::isfinite(value) && value >= 0; }

// Response of one mode of `rate` at time t after the start of a unit dose given over `duration`.
double response(double rate, double duration, double t) {
  if (t < 0) return 0.0;
  if (duration <= 0) return std::exp(-rate * t);
  if (t >= duration) return decay_mean(rate * duration) * std::exp(-rate * (t - duration));
  return t / duration * decay_mean(rate * t);
}

// Integral of that response from a to b >= a: a sum of positive terms over the parts during and after the dose.
double response_area(double rate, double duration, double a, double b) {
  double area = 0;
  a = std::max(a, 0.0);
  if (b <= a) return 0.0;
  if (a < duration) {
    const double length = std::min(b, duration) - a;
    area += response(rate, duration, a) * length * decay_mean(rate * length) +
            length / duration * length * decay_mean_2(rate * length);
  }
  if (b > duration) {
    const double from = std::max(a, duration);
    area += response(rate, duration, from) * (b - from) * decay_mean(rate * (b - from));
  }
  return area;
}

}  // namespace

PlasmaKinetics::PlasmaKinetics(const PlasmaModel& model, std::vector<Dose> doses)
    : model_(model), doses_(std::move(doses)) {
  if (!(std::isfinite(model.volume) && model.volume > 0))
    throw InputError("plasma kinetics: the central volume must be positive");
  if (!sound(model.clearance) || !sound(model.flow[0]) || !sound(model.flow[1]) || !sound(model.peripheral[0]) ||
      !sound(model.peripheral[1]))
    throw InputError("plasma kinetics: clearance, flows and volumes must be finite and not negative");
  for (const auto& dose : doses_)
    if (!std::isfinite(dose.start) || !sound(dose.duration) || !sound(dose.amount))
      throw InputError(
          "plasma kinetics: a dose needs a finite start and a duration and an amount that are not negative");

  std::array<int, 3> place{0, -1, -1};  // compartment -> row
  std::array<double, 3> volume{model.volume, 0, 0};
  Matrix3 system{};
  system[0][0] = model.clearance / model.volume;
  int n = 1;
  for (int i = 0; i < 2; ++i) {
    if (!(model.flow[i] > 0 && model.peripheral[i] > 0)) continue;
    volume[n] = model.peripheral[i];
    system[0][0] += model.flow[i] / model.volume;
    system[n][n] = model.flow[i] / volume[n];
    system[0][n] = system[n][0] = -model.flow[i] / std::sqrt(model.volume * volume[n]);
    place[i + 1] = n++;
  }
  Matrix3 vectors{};
  symmetric_eigen(system, vectors, n);
  std::vector<int> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int a, int b) { return system[a][a] > system[b][b]; });
  for (const int column : order) {
    rates_.push_back(std::max(system[column][column], 0.0));
    std::array<double, 3> mode{};
    for (int i = 0; i < 3; ++i)
      if (place[i] >= 0)
        mode[i] = vectors[0][column] * vectors[place[i]][column] * std::sqrt(volume[place[i]] / volume[0]);
    modes_.push_back(mode);
  }
}

double PlasmaKinetics::amount_in(int compartment, double time) const {
  double amount = 0;
  for (const auto& dose : doses_)
    for (std::size_t k = 0; k < rates_.size(); ++k)
      amount += dose.amount * modes_[k].at(compartment) * response(rates_[k], dose.duration, time - dose.start);
  return amount;
}

double PlasmaKinetics::concentration(double time) const { return amount_in(0, time) / model_.volume; }

double PlasmaKinetics::area(double t0, double t1) const {
  if (t1 < t0) return -area(t1, t0);
  double area = 0;
  for (const auto& dose : doses_)
    for (std::size_t k = 0; k < rates_.size(); ++k)
      area += dose.amount * modes_[k][0] * response_area(rates_[k], dose.duration, t0 - dose.start, t1 - dose.start);
  return area / model_.volume;
}

double PlasmaKinetics::total_area() const {
  double dose_sum = 0;
  for (const auto& dose : doses_) dose_sum += dose.amount;
  if (dose_sum == 0) return 0.0;
  return model_.clearance > 0 ? dose_sum / model_.clearance : std::numeric_limits<double>::infinity();
}

double PlasmaKinetics::given(double time) const {
  double amount = 0;
  for (const auto& dose : doses_) {
    if (time < dose.start) continue;
    amount += dose.amount * (dose.duration > 0 ? std::min((time - dose.start) / dose.duration, 1.0) : 1.0);
  }
  return amount;
}

std::vector<double> PlasmaKinetics::events() const {
  std::vector<double> times;
  for (const auto& dose : doses_) {
    times.push_back(dose.start);
    times.push_back(dose.start + dose.duration);
  }
  std::sort(times.begin(), times.end());
  times.erase(std::unique(times.begin(), times.end()), times.end());
  return times;
}

}  // namespace sanctuary
