#include "therapy/plasma_kinetics.hpp"

#include <algorithm>
#include <boost/numeric/odeint/stepper/controlled_runge_kutta.hpp>
#include <boost/numeric/odeint/stepper/generation.hpp>
#include <boost/numeric/odeint/stepper/runge_kutta_dopri5.hpp>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.hpp"

namespace sanctuary {
namespace {

namespace odeint = boost::numeric::odeint;

/// Amounts [mol]; concentrations of a target and of what follows the plasma [mol/m^3]; integrals.
enum Place : std::size_t {
  in_plasma,
  in_second,
  in_third,
  in_gut,
  in_metabolite,
  at_host,
  of_target,
  of_area,             // [mol s/m^3]
  of_metabolite_area,  // [mol s/m^3]
  of_formed,           // metabolite [mol]
  of_eliminated,       // [mol]
  places
};
using State = std::array<double, places>;

constexpr std::size_t inputs = 2, most = places + inputs;
template <class Number>
using Matrix = std::array<std::array<Number, most>, most>;

/// e^(A t) x for a matrix whose entries off the diagonal are not negative, at any t >= 0: e^(A h) for h = 2^k u, k = 0,
/// 1, ..., each the square of the one before, products with those of the binary digits of t/u, and a series for what is
/// left of t; u is a fraction of the shortest lifetime. No term is negative.
class Exponentials {
 public:
  /// Of the first n rows and columns. `kept`: rows whose sum no column of theirs changes, so that rounding must not.
  Exponentials(const Matrix<double>& a, std::size_t n, std::vector<std::size_t> kept) : a_(a), n_(n) {
    // More digits than a double: squaring loses one bit each time.
    using Wide = long double;
    for (std::size_t j = 0; j < n; ++j) shift_ = std::max(shift_, -a[j][j]);
    const auto shift = static_cast<Wide>(shift_);
    unit_ = std::exp2(shift_ > 0 ? std::min(std::floor(std::log2(0.25 / shift_)), largest_unit) : largest_unit);
    Matrix<Wide> now{}, term{};
    for (std::size_t i = 0; i < n; ++i) now[i][i] = term[i][i] = 1;
    // e^(-c u) e^((A + c) u) with A + c >= 0.
    for (int k = 1; k <= terms; ++k) {
      Matrix<Wide> next{};
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) {
          for (std::size_t l = 0; l < n; ++l)
            next[i][j] += term[i][l] * (a[l][j] + (l == j ? shift : 0)) * static_cast<Wide>(unit_) / k;
          now[i][j] += next[i][j];
        }
      }
      term = next;
    }
    const Wide scale = std::exp(-shift * static_cast<Wide>(unit_));
    for (auto& row : now) {
      for (Wide& value : row) value *= scale;
    }
    constexpr double longest = 0x1p31;  // [s]: 68 years; longer times take several
    for (int digit = 0; digit == 0 || std::ldexp(unit_, digit) <= longest; ++digit) {
      if (digit > 0) {
        Matrix<Wide> square{};
        for (std::size_t i = 0; i < n; ++i) {
          for (std::size_t k = 0; k < n; ++k) {
            if (now[i][k] == 0) continue;
            for (std::size_t j = 0; j < n; ++j) square[i][j] += now[i][k] * now[k][j];
          }
        }
        now = square;
      }
      for (std::size_t j = 0; j < n; ++j) {
        Wide sum = 0;
        bool still = true;
        for (std::size_t i = 0; i < n; ++i) still = still && a[i][j] == 0;
        for (const std::size_t i : kept) sum += now[i][j];
        for (std::size_t i = 0; i < n; ++i) {
          if (still) {
            now[i][j] = i == j ? 1 : 0;
          } else if (std::find(kept.begin(), kept.end(), j) != kept.end()) {
            now[i][j] /= sum;
          }
        }
      }
      Matrix<double>& power = power_.emplace_back();
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) power[i][j] = static_cast<double>(now[i][j]);
      }
    }
  }

  void apply(double t, std::array<double, most>& x) const {
    const double longest = std::ldexp(unit_, static_cast<int>(power_.size()) - 1);
    for (; t >= longest; t -= longest) multiply(power_.back(), x);
    const auto whole = static_cast<unsigned long long>(t / unit_);
    const double rest = t - static_cast<double>(whole) * unit_;
    for (std::size_t digit = 0; digit < power_.size(); ++digit) {
      if ((whole >> digit & 1U) != 0) multiply(power_[digit], x);
    }
    if (rest <= 0) return;
    std::array<double, most> term = x;
    for (int k = 1; k <= terms; ++k) {
      std::array<double, most> next{};
      for (std::size_t i = 0; i < n_; ++i) {
        next[i] = shift_ * term[i];
        for (std::size_t j = 0; j < n_; ++j) next[i] += a_[i][j] * term[j];
        next[i] *= rest / k;
        x[i] += next[i];
      }
      term = next;
    }
    const double scale = std::exp(-shift_ * rest);
    for (double& value : x) value *= scale;
  }

 private:
  static constexpr double largest_unit = 30;  // its binary logarithm [s]
  static constexpr int terms = 15;
  void multiply(const Matrix<double>& by, std::array<double, most>& x) const {
    std::array<double, most> result{};
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t j = 0; j < n_; ++j) result[i] += by[i][j] * x[j];
    }
    x = result;
  }
  Matrix<double> a_;
  std::size_t n_;
  double shift_ = 0, unit_ = 1;  // [1/s], [s]
  std::vector<Matrix<double>> power_;
};

using Matrix3 = std::array<std::array<double, 3>, 3>;

// Eigenvalues of a symmetric matrix on its diagonal, by Jacobi rotations.
void symmetric_eigenvalues(Matrix3& a, std::size_t n) {
  for (int sweep = 0; sweep < 60; ++sweep) {
    double off = 0, size = 0;
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) (i == j ? size : off) += a[i][j] * a[i][j];
    }
    if (off <= 1e-40 * size) return;
    for (std::size_t p = 0; p < n; ++p) {
      for (std::size_t q = p + 1; q < n; ++q) {
        if (a[p][q] == 0) continue;
        const double theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
        const double t = (theta >= 0 ? 1.0 : -1.0) / (std::abs(theta) + std::hypot(1.0, theta));
        const double c = 1.0 / std::hypot(1.0, t), s = t * c;
        for (std::size_t k = 0; k < n; ++k) {
          const double kp = a[k][p], kq = a[k][q];
          a[k][p] = c * kp - s * kq;
          a[k][q] = s * kp + c * kq;
        }
        for (std::size_t k = 0; k < n; ++k) {
          const double pk = a[p][k], qk = a[q][k];
          a[p][k] = c * pk - s * qk;
          a[q][k] = s * pk + c * qk;
        }
      }
    }
  }
}

bool sound(double value) { return std::isfinite(value) && value >= 0; }
bool positive(double value) { return std::isfinite(value) && value > 0; }

void check(const PlasmaModel& m, const std::vector<Dose>& doses) {
  if (!positive(m.volume)) throw InputError("plasma kinetics: the central volume must be positive");
  for (const double value :
       {m.clearance, m.flow[0], m.flow[1], m.peripheral[0], m.peripheral[1], m.absorption_rate, m.saturable_rate,
        m.saturable_half, m.saturable_flow, m.saturable_flow_half, m.host_rate, m.target.baseline, m.target.turnover,
        m.target.internalisation, m.target.half, m.metabolite.fraction, m.metabolite.clearance}) {
    if (!sound(value)) throw InputError("plasma kinetics: rates, flows and volumes must be finite and not negative");
  }
  if (m.saturable_rate > 0 && !positive(m.saturable_half))
    throw InputError(
        "plasma kinetics: an elimination that saturates needs a concentration at which it is half of that");
  if (m.saturable_flow > 0 && !(m.has_peripheral(0) && positive(m.saturable_flow_half)))
    throw InputError(
        "plasma kinetics: a transfer that saturates needs a second compartment and a concentration at which it is half "
        "of its largest");
  if (m.metabolite.fraction > 0 && !positive(m.metabolite.volume))
    throw InputError("plasma kinetics: a metabolite needs a volume");
  const double fastest = std::max({(m.clearance + m.flow[0] + m.flow[1]) / m.volume,
                                   m.peripheral[0] > 0 ? m.flow[0] / m.peripheral[0] : 0.0,
                                   m.peripheral[1] > 0 ? m.flow[1] / m.peripheral[1] : 0.0, m.absorption_rate,
                                   m.host_rate, m.metabolite.clearance / m.metabolite.volume});
  constexpr double sensible = 1e3;  // [1/s]
  if (!(fastest <= sensible))
    throw InputError("plasma kinetics: a rate of " + std::to_string(fastest) +
                     " per second; expected at most 1000: check the units of clearances, flows and volumes");
  for (const Dose& dose : doses) {
    if (!std::isfinite(dose.start) || !sound(dose.duration) || !sound(dose.amount))
      throw InputError(
          "plasma kinetics: a dose needs a finite start and a duration and an amount that are not negative");
    if (dose.gut && m.absorption_rate <= 0)
      throw InputError("plasma kinetics: a dose into the gut needs a rate of absorption");
  }
}

}  // namespace

/// The states at all events, and what lies between.
class PlasmaKinetics::Course {
 public:
  Course(const PlasmaModel& model, const std::vector<Dose>& doses, std::vector<double> events)
      : model_(model), events_(std::move(events)) {
    jump_.assign(events_.size(), State{});
    input_.assign(events_.size(), {0, 0});
    double given = 0;
    for (const Dose& dose : doses) {
      given += dose.amount;
      const auto at = [&](double time) {
        return static_cast<std::size_t>(std::lower_bound(events_.begin(), events_.end(), time) - events_.begin());
      };
      const std::size_t first = at(dose.start), last = at(dose.start + dose.duration);
      if (first == last) {  // a bolus, or an infusion too short for the clock
        jump_[first][dose.gut ? in_gut : in_plasma] += dose.amount;
        continue;
      }
      for (std::size_t e = first; e < last; ++e)
        input_[e][dose.gut ? 1 : 0] += dose.amount / (events_[last] - events_[first]);
    }
    const double scale = given > 0 ? given : 1.0;
    const double concentration = std::max(scale / model_.volume, model_.target.baseline);
    constexpr double day = 86400;
    unit_.fill(scale);
    for (const Place p : {at_host, of_target}) unit_[p] = concentration;
    for (const Place p : {of_area, of_metabolite_area}) unit_[p] = concentration * day;
    paths_.resize(events_.size());
    if (model_.linear()) {
      system_ = build(false);
      full_system_ = build(true);
    }
    State now = rest();
    for (std::size_t e = 0; e < events_.size(); ++e) {
      if (e > 0) now = within(e - 1, events_[e], true);
      for (std::size_t p = 0; p < places; ++p) now[p] += jump_[e][p];
      at_event_.push_back(now);
    }
  }

  /// The state at a time; integrals count from the first event.
  [[nodiscard]] State at(double time, bool integrals) const {
    if (events_.empty() || time < events_.front()) return rest();
    return within(last_event(time), time, integrals);
  }
  /// The state at t1 with integrals from t0 on.
  [[nodiscard]] State from_to(double t0, double t1) const {
    constexpr std::array integrals{of_area, of_metabolite_area, of_formed, of_eliminated};
    if (!model_.linear()) {
      State now = at(t1, true);
      const State before = at(t0, true);
      for (const Place p : integrals) now[p] -= before[p];
      return now;
    }
    // Not a difference, which would lose the digits of a small part.
    State now = at(t0, false);
    for (const Place p : integrals) now[p] = 0;
    if (events_.empty() || t1 < events_.front()) return now;
    double time = t0;
    std::size_t e = time < events_.front() ? 0 : last_event(time);
    if (time < events_.front()) {
      time = events_.front();
      for (std::size_t p = 0; p < places; ++p) now[p] += jump_[0][p];
    }
    for (; e + 1 < events_.size() && events_[e + 1] <= t1; ++e) {
      now = step(now, input_[e], events_[e + 1] - time, true);
      time = events_[e + 1];
      for (std::size_t p = 0; p < places; ++p) now[p] += jump_[e + 1][p];
    }
    return step(now, input_[e], t1 - time, true);
  }
  /// Drug that no target holds [mol/m^3].
  [[nodiscard]] double unheld(const State& x) const { return unheld_of(x[in_plasma], x[of_target]); }

 private:
  /// Of drug [mol] and target [mol/m^3]: c = (b + sqrt(b^2 + 4 K l))/2 with b = l - r - K, in the form without loss.
  [[nodiscard]] double unheld_of(double amount, double target) const {
    const double l = amount / model_.volume, k = model_.target.half;
    if (k <= 0) return l;
    const double b = l - target - k, root = std::hypot(b, 2 * std::sqrt(k * std::max(l, 0.0)));
    return b > 0 ? 0.5 * (b + root) : 2 * k * l / (root - b);
  }
  [[nodiscard]] State rest() const {
    State x{};
    x[of_target] = model_.target.baseline;
    return x;
  }
  [[nodiscard]] std::size_t last_event(double time) const {
    return static_cast<std::size_t>(std::upper_bound(events_.begin(), events_.end(), time) - events_.begin()) - 1;
  }

  /// The linear system on the places that there are, and the inputs into plasma and gut.
  struct System {
    std::vector<std::size_t> place;
    std::unique_ptr<Exponentials> exponentials;
  };
  [[nodiscard]] System build(bool integrals) const {
    const PlasmaModel& m = model_;
    std::vector<std::size_t> place{in_plasma};
    for (std::size_t i = 0; i < 2; ++i) {
      if (model_.has_peripheral(i)) place.push_back(in_second + i);
    }
    if (m.absorption_rate > 0) place.push_back(in_gut);
    std::size_t amounts = place.size();
    if (integrals) {
      place.push_back(of_eliminated);
      ++amounts;
    }
    if (m.metabolite.fraction > 0) place.push_back(in_metabolite);
    if (m.host_rate > 0) place.push_back(at_host);
    if (integrals) place.insert(place.end(), {of_area, of_metabolite_area, of_formed});
    const std::size_t n = place.size();
    std::array<std::size_t, places> row{};
    row.fill(places);
    for (std::size_t i = 0; i < n; ++i) row[place[i]] = i;
    Matrix<double> a{};
    const auto put = [&](std::size_t to, std::size_t from, double value) {
      if (row[to] < places && row[from] < places) a[row[to]][row[from]] += value;
    };
    put(in_plasma, in_plasma, -m.clearance / m.volume);
    for (std::size_t i = 0; i < 2; ++i) {
      if (!model_.has_peripheral(i)) continue;
      put(in_plasma, in_plasma, -m.flow[i] / m.volume);
      put(in_second + i, in_plasma, m.flow[i] / m.volume);
      put(in_second + i, in_second + i, -m.flow[i] / m.peripheral[i]);
      put(in_plasma, in_second + i, m.flow[i] / m.peripheral[i]);
    }
    put(in_gut, in_gut, -m.absorption_rate);
    put(in_plasma, in_gut, m.absorption_rate);
    const double forms = m.metabolite.fraction * m.clearance / m.volume;
    put(in_metabolite, in_plasma, forms);
    put(in_metabolite, in_metabolite, -m.metabolite.clearance / m.metabolite.volume);
    put(at_host, in_plasma, m.host_rate / m.volume);
    put(at_host, at_host, -m.host_rate);
    put(of_area, in_plasma, 1 / m.volume);
    put(of_metabolite_area, in_metabolite, 1 / m.metabolite.volume);
    put(of_formed, in_plasma, forms);
    put(of_eliminated, in_plasma, m.clearance / m.volume);
    a[row[in_plasma]][n] = 1;
    if (row[in_gut] < places) a[row[in_gut]][n + 1] = 1;
    std::vector<std::size_t> kept;
    for (std::size_t i = 0; integrals && i < amounts; ++i) kept.push_back(i);
    return {std::move(place), std::make_unique<Exponentials>(a, n + inputs, std::move(kept))};
  }

  /// The state after an event and before the next.
  [[nodiscard]] State within(std::size_t event, double time, bool integrals) const {
    if (model_.linear()) return step(at_event_[event], input_[event], time - events_[event], integrals);
    // Steps of the method's own choice, the same in whatever order times are asked for; from the last one to `time`.
    Path& path = paths_[event];
    if (path.node.empty()) path.node.emplace_back(events_[event], at_event_[event]);
    const double end = event + 1 < events_.size() ? events_[event + 1] : std::numeric_limits<double>::infinity();
    while (path.node.back().first < time) {
      auto [t, x] = path.node.back();
      advance(x, input_[event], t, end, path.length);
      path.node.emplace_back(t, x);
    }
    auto node = std::upper_bound(path.node.begin(), path.node.end(), time,
                                 [](double value, const auto& n) { return value < n.first; });
    auto [t, x] = *std::prev(node);
    while (t < time) {
      double length = time - t;
      advance(x, input_[event], t, time, length);
    }
    return x;
  }

  [[nodiscard]] State step(const State& start, const std::array<double, 2>& input, double t, bool integrals) const {
    if (t <= 0) return start;
    const System& system = integrals ? full_system_ : system_;
    const std::size_t n = system.place.size();
    std::array<double, most> x{};
    for (std::size_t i = 0; i < n; ++i) x[i] = start[system.place[i]];
    x[n] = input[0];
    x[n + 1] = input[1];
    system.exponentials->apply(t, x);
    State result = start;
    for (std::size_t i = 0; i < n; ++i) result[system.place[i]] = x[i];
    return result;
  }

  /// Change per time of states scaled by `unit_`.
  void slope(const State& x, const std::array<double, 2>& input, State& out) const {
    const PlasmaModel& m = model_;
    const double c = unheld_of(x[in_plasma] * unit_[in_plasma], x[of_target] * unit_[of_target]),
                 held = x[in_plasma] * unit_[in_plasma] / m.volume - c;
    State d{};
    const double saturable = m.saturable_rate > 0 ? m.saturable_rate * c / (m.saturable_half + c) : 0.0;
    const double out_of_plasma = m.clearance * c + saturable;
    d[in_plasma] = input[0] - out_of_plasma + m.absorption_rate * x[in_gut] * unit_[in_gut];
    if (m.target.half > 0) {
      d[in_plasma] -= m.target.internalisation * held * m.volume;
      d[of_target] = m.target.turnover * (m.target.baseline - x[of_target] * unit_[of_target]) -
                     (m.target.internalisation - m.target.turnover) * held;
    }
    for (std::size_t i = 0; i < 2; ++i) {
      if (!model_.has_peripheral(i)) continue;
      const double into =
          i == 0 && m.saturable_flow > 0 ? m.saturable_flow * c / (m.saturable_flow_half + c) : m.flow[i] * c;
      const double exchange = into - m.flow[i] * x[in_second + i] * unit_[in_second + i] / m.peripheral[i];
      d[in_plasma] -= exchange;
      d[in_second + i] = exchange;
    }
    d[in_gut] = input[1] - m.absorption_rate * x[in_gut] * unit_[in_gut];
    const double formed = x[in_metabolite] * unit_[in_metabolite] / m.metabolite.volume;
    d[in_metabolite] = m.metabolite.fraction * out_of_plasma - m.metabolite.clearance * formed;
    d[at_host] = m.host_rate * (c - x[at_host] * unit_[at_host]);
    d[of_area] = c;
    d[of_metabolite_area] = formed;
    d[of_formed] = m.metabolite.fraction * out_of_plasma;
    d[of_eliminated] = out_of_plasma + (m.target.half > 0 ? m.target.internalisation * held * m.volume : 0.0);
    for (std::size_t p = 0; p < places; ++p) out[p] = d[p] / unit_[p];
  }

  /// One step of the method, of `length` at most and not beyond `end`; `length` becomes that of the next.
  void advance(State& x, const std::array<double, 2>& input, double& time, double end, double& length) const {
    constexpr double tolerance = 1e-10;
    auto method = odeint::make_controlled<odeint::runge_kutta_dopri5<State>>(1e-3 * tolerance, tolerance);
    const auto system = [&](const State& v, State& d, double) { slope(v, input, d); };
    State v;
    for (std::size_t p = 0; p < places; ++p) v[p] = x[p] / unit_[p];
    while (true) {
      const bool cut = time + length >= end;
      double now = time, taken = cut ? end - time : length;
      if (method.try_step(system, v, now, taken) == odeint::success) {
        time = cut ? end : now;
        // A step that an event cut short says nothing of the next, which begins anew.
        if (!cut) length = taken;
        break;
      }
      length = taken;
    }
    for (std::size_t p = 0; p < places; ++p) x[p] = std::max(v[p], 0.0) * unit_[p];
  }

  PlasmaModel model_;
  std::vector<double> events_;
  std::vector<State> jump_, at_event_;
  std::vector<std::array<double, 2>> input_;  // after each event: into the plasma, into the gut [mol/s]
  System system_, full_system_;
  std::array<double, places> unit_{};  // of the states of a nonlinear model
  struct Path {
    std::vector<std::pair<double, State>> node;
    double length = 1;  // of the next step [s]
  };
  mutable std::vector<Path> paths_;  // after each event
};

PlasmaKinetics::PlasmaKinetics(const PlasmaModel& model, std::vector<Dose> doses)
    : model_(model), doses_(std::move(doses)) {
  check(model_, doses_);
  course_ = std::make_unique<Course>(model_, doses_, events());
}

PlasmaKinetics::~PlasmaKinetics() = default;

double PlasmaKinetics::concentration(double time) const { return course_->unheld(course_->at(time, false)); }

double PlasmaKinetics::area(double t0, double t1) const {
  return t1 < t0 ? -area(t1, t0) : course_->from_to(t0, t1)[of_area];
}

double PlasmaKinetics::total_area() const {
  if (!model_.linear()) throw InputError("plasma kinetics: the area to infinity is known for linear models only");
  double dose_sum = 0;
  for (const auto& dose : doses_) dose_sum += dose.amount;
  if (dose_sum == 0) return 0.0;
  return model_.clearance > 0 ? dose_sum / model_.clearance : std::numeric_limits<double>::infinity();
}

double PlasmaKinetics::amount_in(int compartment, double time) const {
  return course_->at(time, false).at(in_plasma + static_cast<std::size_t>(compartment));
}

double PlasmaKinetics::amount_in_gut(double time) const { return course_->at(time, false)[in_gut]; }
double PlasmaKinetics::eliminated(double time) const { return course_->at(time, true)[of_eliminated]; }
double PlasmaKinetics::target(double time) const { return course_->at(time, false)[of_target]; }
double PlasmaKinetics::host(double time) const { return course_->at(time, false)[at_host]; }

double PlasmaKinetics::metabolite(double time) const {
  return course_->at(time, false)[in_metabolite] / model_.metabolite.volume;
}

double PlasmaKinetics::metabolite_area(double t0, double t1) const {
  return t1 < t0 ? -metabolite_area(t1, t0) : course_->from_to(t0, t1)[of_metabolite_area];
}

double PlasmaKinetics::metabolite_formed(double time) const { return course_->at(time, true)[of_formed]; }

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

std::vector<double> PlasmaKinetics::rates() const {
  Matrix3 system{};
  system[0][0] = model_.clearance / model_.volume;
  std::size_t n = 1;
  for (std::size_t i = 0; i < 2; ++i) {
    if (!model_.has_peripheral(i)) continue;
    const bool saturable = i == 0 && model_.saturable_flow > 0;
    const double into =
                     (saturable ? model_.saturable_flow / model_.saturable_flow_half : model_.flow[i]) / model_.volume,
                 back = model_.flow[i] / model_.peripheral[i];
    system[0][0] += into;
    system[n][n] = back;
    system[0][n] = system[n][0] = -std::sqrt(into * back);
    ++n;
  }
  symmetric_eigenvalues(system, n);
  std::vector<double> rates;
  for (std::size_t i = 0; i < n; ++i) rates.push_back(std::max(system[i][i], 0.0));
  std::sort(rates.rbegin(), rates.rend());
  return rates;
}

}  // namespace sanctuary
