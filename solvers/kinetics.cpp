#include "solvers/kinetics.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "base/error.hpp"
#include "solvers/sdirk.hpp"
#include "solvers/simd.hpp"

#if defined(__GNUC__) && !defined(__clang__)
// Products and sums stay apart: the compiler joins them in one lane and not in the next, and lanes would differ.
#pragma GCC optimize("fp-contract=off")
#define SANCTUARY_LANES _Pragma("GCC ivdep") for (std::size_t l = 0; l < width; ++l)
#define SANCTUARY_INLINE inline __attribute__((always_inline))
#else
#pragma STDC FP_CONTRACT OFF
#define SANCTUARY_LANES for (std::size_t l = 0; l < width; ++l)
#define SANCTUARY_INLINE inline
#endif

namespace sanctuary {

namespace {

// Cells advanced together, one in each lane.
constexpr std::size_t width = 16;
struct alignas(64) Pack {
  double lane[width];
};

// Newton's method ends when a change is below `newton_relative` of the concentration (it converges quadratically: what
// is left is the square) or below the rounding of the terms that the concentration is the sum of.
// After `newton_patience` iterations this share of the tolerance will do: rounding may drive what is next to nothing.
constexpr double newton_relative = 1e-7, newton_rounding = 1e-14, newton_share = 1e-6;
constexpr int newton_damped = 4, newton_patience = 8, newton_limit = 40;
// Below this a concentration is zero: nothing lies between it and the smallest numbers that still have all digits.
constexpr double nothing = 1e-290;
// A negative concentration is set to zero if it is below this share of its terms, which is rounding, or of the
// tolerance, which is what rounding elsewhere makes of it.
constexpr double zero_rounding = 1e-13, zero_share = 1e-14;
// Tries without error control before a cell is given up.
constexpr int last_tries = 400;

struct Fraction {
  std::int64_t top = 0, bottom = 1;
};

std::int64_t checked(bool overflow, std::int64_t value) {
  if (overflow) throw InputError("the stoichiometry needs larger whole numbers than 64 bits hold");
  return value;
}
std::int64_t times(std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  const bool overflow = __builtin_mul_overflow(a, b, &out);
  return checked(overflow, out);
}
std::int64_t plus(std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  const bool overflow = __builtin_add_overflow(a, b, &out);
  return checked(overflow, out);
}
Fraction fraction(std::int64_t top, std::int64_t bottom) {
  const std::int64_t divisor = std::gcd(top, bottom) * (bottom < 0 ? -1 : 1);
  return {top / divisor, bottom / divisor};
}
Fraction operator*(Fraction a, Fraction b) { return fraction(times(a.top, b.top), times(a.bottom, b.bottom)); }
Fraction operator/(Fraction a, Fraction b) { return fraction(times(a.top, b.bottom), times(a.bottom, b.top)); }
Fraction operator-(Fraction a, Fraction b) {
  return fraction(plus(times(a.top, b.bottom), times(-b.top, a.bottom)), times(a.bottom, b.bottom));
}

// Brings rows into reduced echelon form; returns the column of each row's leading one.
std::vector<std::size_t> reduce(std::vector<std::vector<Fraction>>& rows) {
  std::vector<std::size_t> leading;
  const std::size_t columns = rows.empty() ? 0 : rows[0].size();
  for (std::size_t column = 0; column < columns && leading.size() < rows.size(); ++column) {
    const std::size_t row = leading.size();
    const auto found = std::find_if(rows.begin() + static_cast<std::ptrdiff_t>(row), rows.end(),
                                    [column](const auto& candidate) { return candidate[column].top != 0; });
    if (found == rows.end()) continue;
    std::swap(rows[row], *found);
    const Fraction head = rows[row][column];
    for (auto& entry : rows[row]) entry = entry / head;
    for (std::size_t other = 0; other < rows.size(); ++other) {
      const Fraction factor = rows[other][column];
      if (other == row || factor.top == 0) continue;
      for (std::size_t c = 0; c < columns; ++c) rows[other][c] = rows[other][c] - factor * rows[row][c];
    }
    leading.push_back(column);
  }
  return leading;
}

using WholeVector = std::vector<std::int64_t>;

void shorten(WholeVector& vector) {
  std::int64_t divisor = 0, sign = 0;
  for (const auto entry : vector) divisor = std::gcd(divisor, entry), sign += (entry > 0) - (entry < 0);
  if (divisor == 0) return;
  for (auto& entry : vector) entry /= sign < 0 ? -divisor : divisor;
}

// Entries below zero, then entries that are not zero: the fewer, the better a vector reads.
std::pair<std::ptrdiff_t, std::ptrdiff_t> clutter(const WholeVector& vector) {
  return {std::count_if(vector.begin(), vector.end(), [](std::int64_t entry) { return entry < 0; }),
          std::count_if(vector.begin(), vector.end(), [](std::int64_t entry) { return entry != 0; })};
}

// Basis of the vectors x with sum over i of matrix[i][column] x[i] = 0 for every column, with as few negative entries
// and as short as adding one vector to another makes it.
std::vector<WholeVector> left_null_space(const std::vector<WholeVector>& matrix) {
  const std::size_t size = matrix.size(), columns = matrix.empty() ? 0 : matrix[0].size();
  std::vector<std::vector<Fraction>> rows(columns, std::vector<Fraction>(size));
  for (std::size_t c = 0; c < columns; ++c)
    for (std::size_t i = 0; i < size; ++i) rows[c][i].top = matrix[i][c];
  const auto leading = reduce(rows);
  std::vector<WholeVector> basis;
  for (std::size_t free = 0; free < size; ++free) {
    if (std::find(leading.begin(), leading.end(), free) != leading.end()) continue;
    std::int64_t common = 1;
    for (std::size_t r = 0; r < leading.size(); ++r)
      common = times(common / std::gcd(common, rows[r][free].bottom), rows[r][free].bottom);
    WholeVector vector(size, 0);
    vector[free] = common;
    for (std::size_t r = 0; r < leading.size(); ++r)
      vector[leading[r]] = times(-rows[r][free].top, common / rows[r][free].bottom);
    shorten(vector);
    basis.push_back(std::move(vector));
  }
  for (bool better = true; better;) {
    better = false;
    for (std::size_t v = 0; v < basis.size(); ++v)
      for (std::size_t w = 0; w < basis.size(); ++w)
        for (std::size_t i = 0; i < size && v != w; ++i) {
          if (basis[v][i] == 0 || basis[w][i] == 0) continue;
          WholeVector sum(size);
          for (std::size_t k = 0; k < size; ++k)
            sum[k] = plus(times(basis[w][i], basis[v][k]), times(-basis[v][i], basis[w][k]));
          shorten(sum);
          if (clutter(sum) >= clutter(basis[v])) continue;
          basis[v] = std::move(sum);
          better = true;
        }
  }
  return basis;
}

// Sums of weighted rows, one after the other.
struct Sums {
  struct Term {
    std::size_t index;
    double weight;
  };
  std::vector<std::size_t> begin{0};
  std::vector<Term> terms;
  void close() { begin.push_back(terms.size()); }
};

enum class Law { source, first, square, second, saturated };

// A one-way reaction: rate = k [first factor] [second factor] [saturation], with one derivative per distinct factor.
struct OneWay {
  Law law = Law::source;
  double rate = 0;
  std::optional<std::size_t> cell_rate;
  std::size_t a = 0, b = 0;  // species of the factors
  int factors = 0;           // of mass action; 2 with a == b: the square
  std::size_t saturating = 0;
  double half = 1, power = 1;
  int whole_power = 0;                                     // 0: not a whole number
  std::vector<std::pair<std::size_t, std::size_t>> slots;  // species and number of each derivative
  std::size_t slot = 0;                                    // number of the first derivative
  double frequency = 0;                                    // largest derivative at typical concentrations
};

// All that does not change from cell to cell.
struct Plan {
  std::size_t species = 0, unknowns = 0, derivatives = 0;
  bool linear = true;
  std::vector<OneWay> reactions;
  std::vector<std::size_t> cell_reactions;  // those with a cell rate
  std::size_t cell_rates = 0;
  Sums change;                         // of each species, by the unknown extents
  Sums drive;                          // of each unknown extent, by the rates
  Sums jacobian;                       // of d(drive)/d(extent) by the derivatives, for each entry of the stage matrix
  std::vector<unsigned char> pattern;  // of the factorised stage matrix
  std::vector<double> relative_floor;  // [species] tolerance below the floor
  double relative_tolerance = 0;
  std::vector<WholeVector> invariants;
};

// Rows of lanes; the names of the concentrations: `start` of the sub-step, `known` part of the second stage, `at` the
// point of linearisation, `second` and `euler` the results.
struct Work {
  Pack *start, *known, *now, *at, *second, *euler;                  // [species]
  Pack *slope, *first_extent, *second_extent, *euler_extent, *rhs;  // [unknowns]
  Pack* constant;                                                   // [reactions] rate constants of the cells
  Pack* rate;                                                       // [reactions]
  Pack* derivative;                                                 // [derivatives]
  Pack* matrix;                                                     // [unknowns][unknowns]
  Pack step, wanted, solved, lowest, error, iterations, euler_solved, euler_lowest;
};

SANCTUARY_INLINE void saturation(const OneWay& reaction, const Pack& x, Pack& value, Pack& slope) {
  const double per_half = 1 / reaction.half, power = reaction.power;
  Pack high, low_power, below;  // with q = x/half: min(q, 1/q)^(power - 1)
  SANCTUARY_LANES {
    const double q = x.lane[l] > 0 ? x.lane[l] * per_half : 0.0;
    high.lane[l] = q > 1 ? 1.0 : 0.0;
    below.lane[l] = q > 1 ? 1 / q : q;
    low_power.lane[l] = 1;
  }
  if (reaction.whole_power > 0) {
    for (int n = 1; n < reaction.whole_power; ++n) SANCTUARY_LANES low_power.lane[l] *= below.lane[l];
  } else {
    for (std::size_t l = 0; l < width; ++l) low_power.lane[l] = std::pow(below.lane[l], power - 1);
  }
  const double tail = reaction.whole_power == 1 ? per_half : 0.0;  // a straight line below zero, for Newton's method
  SANCTUARY_LANES {
    const double p = low_power.lane[l] * below.lane[l], inverse = 1 / (1 + p);
    const double negative = x.lane[l] < 0 ? x.lane[l] : 0.0;
    value.lane[l] = (high.lane[l] > 0 ? 1.0 : p) * inverse + tail * negative;
    slope.lane[l] = power * per_half * (high.lane[l] > 0 ? p * below.lane[l] : low_power.lane[l]) * inverse * inverse;
  }
}

// Rates and their derivatives at the concentrations u.
SANCTUARY_INLINE void evaluate(const Plan& plan, const Work& w, const Pack* u) {
  for (std::size_t j = 0; j < plan.reactions.size(); ++j) {
    const OneWay& reaction = plan.reactions[j];
    const Pack &k = w.constant[j], &a = u[reaction.a], &b = u[reaction.b];
    Pack &r = w.rate[j], *d = w.derivative + reaction.slot;
    switch (reaction.law) {
      case Law::source:
        SANCTUARY_LANES r.lane[l] = k.lane[l];
        break;
      case Law::first:
        SANCTUARY_LANES {
          d[0].lane[l] = k.lane[l];
          r.lane[l] = k.lane[l] * a.lane[l];
        }
        break;
      case Law::square:
        SANCTUARY_LANES {
          const double ka = k.lane[l] * a.lane[l];
          d[0].lane[l] = 2 * ka;
          r.lane[l] = ka * a.lane[l];
        }
        break;
      case Law::second:
        SANCTUARY_LANES {
          const double ka = k.lane[l] * a.lane[l];
          d[0].lane[l] = k.lane[l] * b.lane[l];
          d[1].lane[l] = ka;
          r.lane[l] = ka * b.lane[l];
        }
        break;
      case Law::saturated: {
        Pack value, slope;
        saturation(reaction, u[reaction.saturating], value, slope);
        if (reaction.factors == 0) {
          SANCTUARY_LANES {
            r.lane[l] = k.lane[l] * value.lane[l];
            d[0].lane[l] = k.lane[l] * slope.lane[l];
          }
        } else if (reaction.factors == 1) {
          SANCTUARY_LANES {
            r.lane[l] = k.lane[l] * a.lane[l] * value.lane[l];
            d[0].lane[l] = k.lane[l] * a.lane[l] * slope.lane[l];
            d[1].lane[l] = k.lane[l] * value.lane[l];
          }
        } else {
          const bool square = reaction.a == reaction.b;
          SANCTUARY_LANES {
            const double kv = k.lane[l] * value.lane[l];
            r.lane[l] = kv * a.lane[l] * b.lane[l];
            d[0].lane[l] = k.lane[l] * a.lane[l] * b.lane[l] * slope.lane[l];
            d[1].lane[l] = (square ? 2 * kv : kv) * b.lane[l];
          }
          if (!square) SANCTUARY_LANES d[2].lane[l] = k.lane[l] * value.lane[l] * a.lane[l];
        }
        break;
      }
    }
  }
}

// out = sum number `row` of the lanes in `in`.
SANCTUARY_INLINE void sum(const Sums& sums, std::size_t row, const Pack* in, Pack& out) {
  SANCTUARY_LANES out.lane[l] = 0;
  for (std::size_t t = sums.begin[row]; t < sums.begin[row + 1]; ++t) {
    const double weight = sums.terms[t].weight;
    const Pack& term = in[sums.terms[t].index];
    SANCTUARY_LANES out.lane[l] += weight * term.lane[l];
  }
}

// Stage matrix I - tau d(drive)/d(extent), factorised in place without exchange of rows: the fast extents come first,
// which keeps the slow ones free of the cancellation of large numbers.
SANCTUARY_INLINE void factorise(const Plan& plan, const Work& w, const Pack& tau) {
  const std::size_t size = plan.unknowns;
  for (std::size_t i = 0; i < size; ++i)
    for (std::size_t j = 0; j < size; ++j) {
      if (!plan.pattern[i * size + j]) continue;
      Pack entry;
      sum(plan.jacobian, i * size + j, w.derivative, entry);
      Pack& out = w.matrix[i * size + j];
      const double one = i == j ? 1 : 0;
      SANCTUARY_LANES out.lane[l] = one - tau.lane[l] * entry.lane[l];
    }
  for (std::size_t k = 0; k < size; ++k) {
    Pack& pivot = w.matrix[k * size + k];  // kept inverted
    SANCTUARY_LANES pivot.lane[l] = 1 / pivot.lane[l];
    for (std::size_t i = k + 1; i < size; ++i) {
      if (!plan.pattern[i * size + k]) continue;
      Pack& factor = w.matrix[i * size + k];
      SANCTUARY_LANES factor.lane[l] *= pivot.lane[l];
      for (std::size_t j = k + 1; j < size; ++j) {
        if (!plan.pattern[k * size + j]) continue;
        Pack& out = w.matrix[i * size + j];
        const Pack& in = w.matrix[k * size + j];
        SANCTUARY_LANES out.lane[l] -= factor.lane[l] * in.lane[l];
      }
    }
  }
}

SANCTUARY_INLINE void solve(const Plan& plan, const Work& w, Pack* x) {
  const std::size_t size = plan.unknowns;
  for (std::size_t i = 1; i < size; ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (plan.pattern[i * size + j]) SANCTUARY_LANES x[i].lane[l] -= w.matrix[i * size + j].lane[l] * x[j].lane[l];
  for (std::size_t i = size; i-- > 0;) {
    for (std::size_t j = i + 1; j < size; ++j)
      if (plan.pattern[i * size + j]) SANCTUARY_LANES x[i].lane[l] -= w.matrix[i * size + j].lane[l] * x[j].lane[l];
    SANCTUARY_LANES x[i].lane[l] *= w.matrix[i * size + i].lane[l];
  }
}

// u = start + change by the extents; `lowest` = the smallest u plus what rounding may take from it.
SANCTUARY_INLINE void move(const Plan& plan, const Pack* start, const Pack* extent, Pack* u, Pack& lowest) {
  SANCTUARY_LANES lowest.lane[l] = std::numeric_limits<double>::max();
  for (std::size_t i = 0; i < plan.species; ++i) {
    const double negligible = zero_share * plan.relative_floor[i];
    Pack total, size;
    SANCTUARY_LANES {
      total.lane[l] = 0;
      size.lane[l] = start[i].lane[l];
    }
    for (std::size_t t = plan.change.begin[i]; t < plan.change.begin[i + 1]; ++t) {
      const double weight = plan.change.terms[t].weight;
      const Pack& y = extent[plan.change.terms[t].index];
      SANCTUARY_LANES {
        const double term = weight * y.lane[l];
        total.lane[l] += term;
        size.lane[l] += std::abs(term);
      }
    }
    SANCTUARY_LANES {
      const double value = start[i].lane[l] + total.lane[l],
                   least = value + (zero_rounding * size.lane[l] + negligible);
      u[i].lane[l] = value;
      lowest.lane[l] = least < lowest.lane[l] ? least : lowest.lane[l];
    }
  }
}

// Shortens a step of Newton's method so that no positive concentration falls to less than a tenth.
SANCTUARY_INLINE void shorten(const Plan& plan, const Work& w, Pack* extent_step) {
  Pack share;
  SANCTUARY_LANES share.lane[l] = 1;
  for (std::size_t i = 0; i < plan.species; ++i) {
    Pack step;
    sum(plan.change, i, extent_step, step);
    SANCTUARY_LANES {
      const double room = 0.9 * w.at[i].lane[l], fall = -step.lane[l];
      const double most = room > 0 && fall > room ? room / fall : 1.0;
      share.lane[l] = most < share.lane[l] ? most : share.lane[l];
    }
  }
  for (std::size_t j = 0; j < plan.unknowns; ++j) SANCTUARY_LANES extent_step[j].lane[l] *= share.lane[l];
}

// Solves extent = tau drive(start + change by extent) by Newton's method in the wanted lanes; w.now and `extent` hold
// the first guess and the result, `solved` is 1 where it was found. The work of a lane does not depend on the others.
SANCTUARY_INLINE void newton(const Plan& plan, Work& w, const Pack* start, const Pack& tau, const Pack& wanted,
                             Pack* extent, Pack& solved) {
  Pack active = wanted;
  solved = wanted;
  for (std::size_t i = 0; i < plan.species; ++i) w.at[i] = w.now[i];
  for (int iteration = 0; iteration < newton_limit; ++iteration) {
    for (std::size_t i = 0; i < plan.species; ++i)
      SANCTUARY_LANES w.at[i].lane[l] = active.lane[l] > 0 ? w.now[i].lane[l] : w.at[i].lane[l];
    evaluate(plan, w, w.at);
    for (std::size_t j = 0; j < plan.unknowns; ++j) {
      sum(plan.drive, j, w.rate, w.rhs[j]);
      SANCTUARY_LANES w.rhs[j].lane[l] = tau.lane[l] * w.rhs[j].lane[l] - extent[j].lane[l];
    }
    factorise(plan, w, tau);
    solve(plan, w, w.rhs);
    if (iteration >= newton_damped) shorten(plan, w, w.rhs);
    for (std::size_t j = 0; j < plan.unknowns; ++j)
      SANCTUARY_LANES extent[j].lane[l] += active.lane[l] > 0 ? w.rhs[j].lane[l] : 0.0;

    const bool patient = iteration < newton_patience;
    Pack open, size_of_all;
    SANCTUARY_LANES {
      open.lane[l] = 0;
      size_of_all.lane[l] = 0;
    }
    for (std::size_t i = 0; i < plan.species; ++i) {
      const double relative = patient ? newton_relative : newton_share * plan.relative_tolerance;
      const double rounding = patient ? newton_rounding : zero_rounding;
      const double absolute = patient ? nothing : newton_share * plan.relative_floor[i];
      Pack total, size, step;
      SANCTUARY_LANES {
        total.lane[l] = 0;
        step.lane[l] = 0;
        size.lane[l] = std::abs(start[i].lane[l]);
      }
      for (std::size_t t = plan.change.begin[i]; t < plan.change.begin[i + 1]; ++t) {
        const double weight = plan.change.terms[t].weight;
        const Pack &y = extent[plan.change.terms[t].index], &dy = w.rhs[plan.change.terms[t].index];
        SANCTUARY_LANES {
          const double term = weight * y.lane[l];
          total.lane[l] += term;
          size.lane[l] += std::abs(term);
          step.lane[l] += weight * dy.lane[l];
        }
      }
      SANCTUARY_LANES {
        const double value = start[i].lane[l] + total.lane[l];
        w.now[i].lane[l] = value;
        size_of_all.lane[l] += size.lane[l];
        const double bound = relative * std::abs(value) + rounding * size.lane[l] + absolute;
        const bool done = std::abs(step.lane[l]) <= bound;
        open.lane[l] = done ? open.lane[l] : 1.0;
      }
    }
    double any = 0;
    const bool once = plan.linear;
    SANCTUARY_LANES {
      const double finite = size_of_all.lane[l] <= std::numeric_limits<double>::max() ? 1.0 : 0.0;
      w.iterations.lane[l] += active.lane[l];
      solved.lane[l] *= active.lane[l] > 0 ? finite : 1.0;
      active.lane[l] = once ? 0.0 : active.lane[l] * open.lane[l] * finite;
    }
    for (std::size_t l = 0; l < width; ++l) any += active.lane[l];
    if (any == 0) break;
  }
  SANCTUARY_LANES solved.lane[l] = active.lane[l] > 0 ? 0.0 : solved.lane[l];
}

// Tries a sub-step of w.step from w.start in the wanted lanes: fills w.second, w.second_extent (of the whole sub-step),
// w.solved, w.lowest and w.error (estimate over tolerance).
SANCTUARY_CLONES void try_second_order(const Plan& plan, Work& w) {
  Pack tau, lowest_first, solved_first;
  SANCTUARY_LANES tau.lane[l] = sdirk::gamma * w.step.lane[l];
  evaluate(plan, w, w.start);
  for (std::size_t j = 0; j < plan.unknowns; ++j) {
    sum(plan.drive, j, w.rate, w.slope[j]);
    SANCTUARY_LANES {
      w.slope[j].lane[l] *= w.step.lane[l];
      w.first_extent[j].lane[l] = 0;
    }
  }
  for (std::size_t i = 0; i < plan.species; ++i) w.now[i] = w.start[i];
  newton(plan, w, w.start, tau, w.wanted, w.first_extent, solved_first);
  move(plan, w.start, w.first_extent, w.now, lowest_first);
  for (std::size_t i = 0; i < plan.species; ++i)
    SANCTUARY_LANES w.known[i].lane[l] = w.start[i].lane[l] + sdirk::carry * (w.now[i].lane[l] - w.start[i].lane[l]);
  for (std::size_t j = 0; j < plan.unknowns; ++j)
    SANCTUARY_LANES w.second_extent[j].lane[l] = (1 - sdirk::carry) * w.first_extent[j].lane[l];
  Pack second_wanted;
  SANCTUARY_LANES second_wanted.lane[l] = lowest_first.lane[l] >= 0 ? solved_first.lane[l] : 0.0;
  newton(plan, w, w.known, tau, second_wanted, w.second_extent, w.solved);

  constexpr double e1 = sdirk::e1 / sdirk::gamma, e2 = sdirk::e2 / sdirk::gamma;
  for (std::size_t j = 0; j < plan.unknowns; ++j) SANCTUARY_LANES {
      const double first = w.first_extent[j].lane[l], second = w.second_extent[j].lane[l];
      w.rhs[j].lane[l] = sdirk::e0 * w.slope[j].lane[l] + e1 * first + e2 * second;
      w.second_extent[j].lane[l] = sdirk::carry * first + second;
    }
  solve(plan, w, w.rhs);
  move(plan, w.start, w.second_extent, w.second, w.lowest);
  SANCTUARY_LANES w.error.lane[l] = 0;
  for (std::size_t i = 0; i < plan.species; ++i) {
    Pack estimate;
    sum(plan.change, i, w.rhs, estimate);
    const double relative = plan.relative_tolerance, floor = plan.relative_floor[i];
    SANCTUARY_LANES {
      const double before = w.start[i].lane[l], after = std::abs(w.second[i].lane[l]);
      const double tolerance = relative * (before > after ? before : after) + floor;
      const double error = std::abs(estimate.lane[l]) / tolerance;
      w.error.lane[l] = error <= w.error.lane[l] ? w.error.lane[l] : error;  // keeps what is not a number
    }
  }
}

// Implicit Euler over w.step from w.start in the wanted lanes: fills w.euler, w.euler_extent and w.euler_solved.
SANCTUARY_CLONES void try_first_order(const Plan& plan, Work& w, const Pack& wanted) {
  for (std::size_t i = 0; i < plan.species; ++i) w.now[i] = w.start[i];
  for (std::size_t j = 0; j < plan.unknowns; ++j) SANCTUARY_LANES w.euler_extent[j].lane[l] = 0;
  newton(plan, w, w.start, w.step, wanted, w.euler_extent, w.euler_solved);
  move(plan, w.start, w.euler_extent, w.euler, w.euler_lowest);
  SANCTUARY_LANES w.euler_solved.lane[l] = w.euler_lowest.lane[l] >= 0 ? w.euler_solved.lane[l] : 0.0;
}

int net_count(const std::vector<Participant>& participants, std::size_t species) {
  int count = 0;
  for (const auto& participant : participants) count += participant.species == species ? participant.count : 0;
  return count;
}

}  // namespace

std::size_t ReactionNetwork::number_of(std::string_view name) const {
  for (std::size_t i = 0; i < species.size(); ++i)
    if (species[i].name == name) return i;
  throw InputError("no species of the reaction network is called '" + std::string(name) + "'");
}

struct KineticsSolver::Kernel {
  Plan plan;
  Work work{};
  KineticsControl control;
  std::vector<Pack> memory;

  // The cell in a lane.
  struct Lane {
    std::size_t cell = 0;
    bool busy = false, controlled = false, gave_up_control = false, grow = true;
    double left = 0, step = 0, error = 0, first_order_time = 0;
    int tries = 0;
    long accepted = 0;
  };
  std::array<Lane, width> lanes{};
  std::vector<double> totals;  // [lane][invariant] at the start of the step

  // One call of `advance`.
  struct Job {
    double dt;
    std::span<double* const> state;
    std::span<const double* const> cell_rates;
    std::span<double> error;
    KineticsReport report;
  };

  Kernel(const ReactionNetwork& network, const KineticsControl& wanted);
  void add(const ReactionNetwork& network, const Reaction& reaction, bool reverse);
  void choose_unknowns(const ReactionNetwork& network);
  void make_matrix();
  bool load(Job& job, std::size_t lane, std::size_t cell);
  void restore_totals(std::size_t lane);
  void finish(Job& job, std::size_t lane, bool whole);
  void accept(Job& job, std::size_t lane, double first_order, double error, double growth);
  void reject(Job& job, std::size_t lane, double factor);
  void after_second_order(Job& job, std::size_t lane, bool& needs_first_order);
  void after_first_order(Job& job, std::size_t lane);
  void run(Job& job, std::size_t cells);
};

KineticsSolver::Kernel::Kernel(const ReactionNetwork& network, const KineticsControl& wanted) : control(wanted) {
  if (!(control.relative_tolerance > 0) || !(control.floor > 0) || control.max_substeps < 1)
    throw InputError("kinetics: the relative tolerance, the floor and the number of sub-steps must be above 0");
  plan.species = network.species.size();
  plan.relative_tolerance = control.relative_tolerance;
  for (const auto& species : network.species) {
    if (!(species.scale > 0) || !std::isfinite(species.scale))
      throw InputError("kinetics: the typical concentration of '" + species.name + "' must be above 0");
    plan.relative_floor.push_back(control.relative_tolerance * control.floor * species.scale);
  }
  for (const auto& reaction : network.reactions) {
    add(network, reaction, false);
    if (reaction.reverse_rate != 0 || reaction.cell_reverse_rate) add(network, reaction, true);
  }
  choose_unknowns(network);
  make_matrix();

  const std::size_t n = plan.species, m = plan.reactions.size(), k = plan.unknowns;
  memory.assign(6 * n + 5 * k + 2 * m + plan.derivatives + k * k, Pack{});
  Pack* next = memory.data();
  const auto take = [&next](std::size_t rows) { return std::exchange(next, next + rows); };
  for (Pack** rows : {&work.start, &work.known, &work.now, &work.at, &work.second, &work.euler}) *rows = take(n);
  for (Pack** rows : {&work.slope, &work.first_extent, &work.second_extent, &work.euler_extent, &work.rhs})
    *rows = take(k);
  work.constant = take(m);
  work.rate = take(m);
  work.derivative = take(plan.derivatives);
  work.matrix = take(k * k);
  for (std::size_t j = 0; j < m; ++j)
    if (!plan.reactions[j].cell_rate) std::fill_n(work.constant[j].lane, width, plan.reactions[j].rate);
  totals.assign(width * plan.invariants.size(), 0);
}

void KineticsSolver::Kernel::add(const ReactionNetwork& network, const Reaction& reaction, bool reverse) {
  const std::string where = "kinetics: reaction " + std::to_string(&reaction - network.reactions.data()) + ": ";
  const auto& taken = reverse ? reaction.products : reaction.reactants;
  OneWay out;
  out.rate = reverse ? reaction.reverse_rate : reaction.rate;
  out.cell_rate = reverse ? reaction.cell_reverse_rate : reaction.cell_rate;
  if (!(out.rate >= 0) || !std::isfinite(out.rate)) throw InputError(where + "the rate must be 0 or above");
  for (const auto* side : {&reaction.reactants, &reaction.products})
    for (const auto& participant : *side)
      if (participant.species >= plan.species || participant.count < 1)
        throw InputError(where + "a species number is out of range or a count below 1");
  const bool saturated = reaction.saturation && !reverse;
  double frequency = out.rate;
  if (saturated) {
    const Saturation& saturation = *reaction.saturation;
    if (saturation.species >= plan.species || !(saturation.half > 0) || !(saturation.power >= 1) ||
        !std::isfinite(saturation.half) || !std::isfinite(saturation.power))
      throw InputError(where + "saturation needs a species, a half concentration above 0 and a power of at least 1");
    out.saturating = saturation.species;
    out.half = saturation.half;
    out.power = saturation.power;
    if (out.power <= 16 && out.power == std::floor(out.power)) out.whole_power = static_cast<int>(out.power);
  }
  for (const auto& participant : taken)
    for (int count = 0; count < participant.count; ++count) {
      if (saturated && participant.species == out.saturating) continue;
      if (out.factors == 2) throw InputError(where + "more than two factors in the rate");
      (out.factors == 0 ? out.a : out.b) = participant.species;
      ++out.factors;
    }
  const bool square = out.factors == 2 && out.a == out.b;
  if (saturated)
    out.law = Law::saturated;
  else
    out.law = std::array{Law::source, Law::first, square ? Law::square : Law::second}[out.factors];
  if (out.factors == 1) out.b = out.a;

  out.slot = plan.derivatives;
  std::vector<std::size_t> factors;
  if (saturated) factors.push_back(out.saturating);
  if (out.factors > 0) factors.push_back(out.a);
  if (out.factors == 2 && !square) factors.push_back(out.b);
  for (const auto species : factors) out.slots.emplace_back(species, plan.derivatives++);
  const auto typical = [&network](std::size_t species) { return network.species[species].scale; };
  double smallest = std::numeric_limits<double>::infinity();
  for (const auto& participant : out.factors == 0 ? (reverse ? reaction.reactants : reaction.products) : taken)
    if (!saturated || participant.species != out.saturating)
      smallest = std::min(smallest, typical(participant.species));
  if (saturated) {
    const double power_of_ratio = std::pow(typical(out.saturating) / out.half, out.power);
    frequency *= std::isinf(power_of_ratio) ? 1 : power_of_ratio / (1 + power_of_ratio);
    smallest = std::min(smallest, typical(out.saturating) * (1 + power_of_ratio) / out.power);
  }
  if (out.factors > 0) frequency *= typical(out.a);
  if (out.factors == 2) frequency *= typical(out.b);
  out.frequency = out.law == Law::source ? std::numeric_limits<double>::infinity() : frequency / smallest;
  plan.linear = plan.linear && (out.law == Law::source || out.law == Law::first);
  if (out.cell_rate) {
    plan.cell_rates = std::max(plan.cell_rates, *out.cell_rate + 1);
    plan.cell_reactions.push_back(plan.reactions.size());
  }
  plan.reactions.push_back(std::move(out));
}

// The unknown extents are those of the fastest reactions that are independent of each other. All others are sums of
// faster ones, so that only slow rates enter the balance of a slow extent, and large rates that cancel never meet it.
// Sources come before all: they never stop, and written as a sum of reactions at rest they would leave rounding there.
void KineticsSolver::Kernel::choose_unknowns(const ReactionNetwork& network) {
  const std::size_t n = plan.species, m = plan.reactions.size();
  std::vector<WholeVector> stoichiometry(n, WholeVector(m, 0));
  std::size_t one_way = 0;
  for (const auto& reaction : network.reactions) {
    const bool both = reaction.reverse_rate != 0 || reaction.cell_reverse_rate;
    for (std::size_t i = 0; i < n; ++i) {
      const int net = net_count(reaction.products, i) - net_count(reaction.reactants, i);
      stoichiometry[i][one_way] = net;
      if (both) stoichiometry[i][one_way + 1] = -net;
    }
    one_way += both ? 2 : 1;
  }
  plan.invariants = left_null_space(stoichiometry);

  std::vector<std::size_t> order(m);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](auto a, auto b) { return plan.reactions[a].frequency > plan.reactions[b].frequency; });
  std::vector<std::vector<Fraction>> rows(n, std::vector<Fraction>(m));
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t c = 0; c < m; ++c) rows[i][c].top = stoichiometry[i][order[c]];
  const auto leading = reduce(rows);
  plan.unknowns = leading.size();
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < leading.size(); ++k)
      if (const auto count = stoichiometry[i][order[leading[k]]]; count != 0)
        plan.change.terms.push_back({k, static_cast<double>(count)});
    plan.change.close();
  }
  for (std::size_t k = 0; k < leading.size(); ++k) {
    for (std::size_t c = 0; c < m; ++c)
      if (const Fraction part = rows[k][c]; part.top != 0)
        plan.drive.terms.push_back({order[c], static_cast<double>(part.top) / static_cast<double>(part.bottom)});
    plan.drive.close();
  }
}

void KineticsSolver::Kernel::make_matrix() {
  const std::size_t size = plan.unknowns;
  plan.pattern.assign(size * size, 0);
  for (std::size_t i = 0; i < size; ++i)
    for (std::size_t j = 0; j < size; ++j) {
      for (std::size_t t = plan.drive.begin[i]; t < plan.drive.begin[i + 1]; ++t)
        for (const auto& [species, slot] : plan.reactions[plan.drive.terms[t].index].slots)
          for (std::size_t s = plan.change.begin[species]; s < plan.change.begin[species + 1]; ++s)
            if (plan.change.terms[s].index == j)
              plan.jacobian.terms.push_back({slot, plan.drive.terms[t].weight * plan.change.terms[s].weight});
      plan.jacobian.close();
      plan.pattern[i * size + j] = i == j || plan.jacobian.begin[i * size + j + 1] > plan.jacobian.begin[i * size + j];
    }
  for (std::size_t k = 0; k < size; ++k)
    for (std::size_t i = k + 1; i < size; ++i)
      for (std::size_t j = k + 1; j < size; ++j)
        if (plan.pattern[i * size + k] && plan.pattern[k * size + j]) plan.pattern[i * size + j] = 1;
}

// Puts a cell into a lane; false if it is refused.
bool KineticsSolver::Kernel::load(Job& job, std::size_t lane, std::size_t cell) {
  const auto valid = [](double value) { return value >= 0 && value <= std::numeric_limits<double>::max(); };
  bool good = true;
  for (std::size_t i = 0; i < plan.species; ++i) good = good && valid(job.state[i][cell]);
  for (const auto j : plan.cell_reactions)
    good = good && valid(plan.reactions[j].rate * job.cell_rates[*plan.reactions[j].cell_rate][cell]);
  if (!good) {
    ++job.report.refused;
    if (!job.error.empty()) job.error[cell] = std::numeric_limits<double>::infinity();
    return false;
  }
  for (std::size_t i = 0; i < plan.species; ++i) work.start[i].lane[lane] = job.state[i][cell];
  for (const auto j : plan.cell_reactions)
    work.constant[j].lane[lane] = plan.reactions[j].rate * job.cell_rates[*plan.reactions[j].cell_rate][cell];
  for (std::size_t v = 0; v < plan.invariants.size(); ++v) {
    double total = 0;
    for (std::size_t i = 0; i < plan.species; ++i)
      total += static_cast<double>(plan.invariants[v][i]) * work.start[i].lane[lane];
    totals[lane * plan.invariants.size() + v] = total;
  }
  Lane& at = lanes[lane];
  at = Lane{};
  at.cell = cell;
  at.busy = true;
  at.controlled = control.max_substeps > 1;
  at.left = at.step = job.dt;
  work.iterations.lane[lane] = 0;
  return true;
}

// Rounding, and zeros put for rounding below zero, are shared out over the species in proportion to what is there.
void KineticsSolver::Kernel::restore_totals(std::size_t lane) {
  bool exact = false;
  for (int sweep = 0; sweep < 30 && !exact; ++sweep) {
    exact = true;
    for (std::size_t v = 0; v < plan.invariants.size(); ++v) {
      double total = 0, size = 0, squares = 0;
      for (std::size_t i = 0; i < plan.species; ++i) {
        const auto weight = static_cast<double>(plan.invariants[v][i]);
        const double term = weight * work.start[i].lane[lane];
        total += term;
        size += std::abs(term);
        squares += weight * term;
      }
      const double excess = total - totals[lane * plan.invariants.size() + v];
      if (std::abs(excess) <= 4 * std::numeric_limits<double>::epsilon() * size || !(squares > 0)) continue;
      exact = false;
      for (std::size_t i = 0; i < plan.species; ++i)
        work.start[i].lane[lane] *= 1 - excess / squares * static_cast<double>(plan.invariants[v][i]);
    }
  }
}

void KineticsSolver::Kernel::finish(Job& job, std::size_t lane, bool whole) {
  Lane& at = lanes[lane];
  KineticsReport& report = job.report;
  restore_totals(lane);
  for (std::size_t i = 0; i < plan.species; ++i) job.state[i][at.cell] = work.start[i].lane[lane];
  report.substeps += at.accepted;
  report.most_substeps = std::max(report.most_substeps, at.accepted);
  report.iterations += static_cast<long>(work.iterations.lane[lane]);
  report.blended_cells += at.first_order_time > 0;
  report.blended_share += at.first_order_time / job.dt;
  report.uncontrolled += at.gave_up_control;
  report.unfinished += !whole;
  report.error = std::max(report.error, at.error);
  if (!job.error.empty()) job.error[at.cell] = whole ? at.error : std::numeric_limits<double>::infinity();
  at.busy = false;
}

// Takes what is in w.second as the new state.
void KineticsSolver::Kernel::accept(Job& job, std::size_t lane, double first_order, double error, double growth) {
  Lane& at = lanes[lane];
  for (std::size_t i = 0; i < plan.species; ++i)
    work.start[i].lane[lane] = work.second[i].lane[lane] > nothing ? work.second[i].lane[lane] : 0.0;
  ++at.accepted;
  at.error = std::max(at.error, error);
  at.first_order_time += first_order * at.step;
  at.left = at.step < at.left ? at.left - at.step : 0;
  if (at.left <= 0) return finish(job, lane, true);
  at.step = std::min(at.step * (at.grow ? growth : std::min(growth, 1.0)), at.left);
  if (at.step > 0.5 * at.left && at.step < at.left) at.step = 0.5 * at.left;
  at.grow = true;
}

void KineticsSolver::Kernel::reject(Job& job, std::size_t lane, double factor) {
  Lane& at = lanes[lane];
  ++job.report.rejected;
  at.grow = false;
  at.step *= factor;
  if (!at.controlled && at.tries > last_tries) finish(job, lane, false);
}

void KineticsSolver::Kernel::after_second_order(Job& job, std::size_t lane, bool& needs_first_order) {
  Lane& at = lanes[lane];
  const double error = work.error.lane[lane];
  const bool solved = work.solved.lane[lane] > 0 && std::isfinite(error);
  ++at.tries;
  if (at.controlled && at.tries > control.max_substeps) {
    at.controlled = false;
    at.gave_up_control = true;
    at.tries = 0;
    at.step = at.left;
    return;
  }
  if (at.controlled && (!solved || error > 1))
    return reject(job, lane, solved ? std::max(0.1, 0.9 * std::cbrt(1 / error)) : 0.25);
  if (solved && work.lowest.lane[lane] >= 0)
    return accept(job, lane, 0, error, at.controlled ? std::min(5.0, 0.9 / std::cbrt(std::max(error, 1e-9))) : 4);
  needs_first_order = true;
}

void KineticsSolver::Kernel::after_first_order(Job& job, std::size_t lane) {
  Lane& at = lanes[lane];
  if (work.euler_solved.lane[lane] == 0) return reject(job, lane, 0.25);
  const bool solved = work.solved.lane[lane] > 0 && std::isfinite(work.error.lane[lane]);
  double share = solved ? 1 : 0;  // of the second-order step
  for (std::size_t i = 0; i < plan.species; ++i) {
    const double first = std::max(work.euler[i].lane[lane], 0.0), second = work.second[i].lane[lane];
    if (solved && second < 0) share = std::min(share, first / (first - second));
  }
  double error = solved ? work.error.lane[lane] : 0;
  double blend_error = 0;
  for (std::size_t i = 0; i < plan.species; ++i) {
    double change = 0;
    for (std::size_t t = plan.change.begin[i]; t < plan.change.begin[i + 1]; ++t) {
      const auto [unknown, weight] = plan.change.terms[t];
      const double first = work.euler_extent[unknown].lane[lane], second = work.second_extent[unknown].lane[lane];
      change += weight * (solved ? first + share * (second - first) : first);
    }
    const double before = work.start[i].lane[lane], after = before + change;
    const double tolerance = plan.relative_tolerance * std::max(before, std::abs(after)) + plan.relative_floor[i];
    if (solved) blend_error = std::max(blend_error, std::abs(after - work.second[i].lane[lane]) / tolerance);
    work.euler[i].lane[lane] = after;
  }
  error += blend_error;
  if (at.controlled && error > 1) return reject(job, lane, std::clamp(0.9 / std::sqrt(error), 0.1, 0.9));
  for (std::size_t i = 0; i < plan.species; ++i) work.second[i].lane[lane] = work.euler[i].lane[lane];
  accept(job, lane, 1 - share, error, at.controlled ? std::clamp(0.9 / std::cbrt(std::max(error, 1e-9)), 0.2, 5.0) : 4);
}

void KineticsSolver::Kernel::run(Job& job, std::size_t cells) {
  std::size_t next = 0;
  for (;;) {
    double busy = 0;
    for (std::size_t l = 0; l < width; ++l) {
      while (!lanes[l].busy && next < cells && !load(job, l, next++)) {
      }
      work.wanted.lane[l] = lanes[l].busy ? 1 : 0;
      work.step.lane[l] = lanes[l].busy ? lanes[l].step : 0;
      busy += work.wanted.lane[l];
    }
    if (busy == 0) return;
    try_second_order(plan, work);
    Pack first_order{};
    bool any = false;
    for (std::size_t l = 0; l < width; ++l) {
      bool needs_first_order = false;
      if (lanes[l].busy) after_second_order(job, l, needs_first_order);
      first_order.lane[l] = needs_first_order ? 1 : 0;
      any = any || needs_first_order;
    }
    if (!any) continue;
    try_first_order(plan, work, first_order);
    for (std::size_t l = 0; l < width; ++l)
      if (first_order.lane[l] > 0) after_first_order(job, l);
  }
}

KineticsSolver::KineticsSolver(const ReactionNetwork& network, std::size_t cells, const KineticsControl& control)
    : kernel_(std::make_unique<Kernel>(network, control)), cells_(cells) {}
KineticsSolver::KineticsSolver(KineticsSolver&&) noexcept = default;
KineticsSolver& KineticsSolver::operator=(KineticsSolver&&) noexcept = default;
KineticsSolver::~KineticsSolver() = default;

KineticsReport KineticsSolver::advance(double dt, std::span<double* const> state,
                                       std::span<const double* const> cell_rates, std::span<double> error) {
  if (!(dt >= 0) || !std::isfinite(dt)) throw InputError("kinetics: the step must be 0 or above");
  if (state.size() != kernel_->plan.species || cell_rates.size() < kernel_->plan.cell_rates ||
      (!error.empty() && error.size() != cells_))
    throw InputError("kinetics: one array per species and per cell rate is needed, and one error per cell");
  Kernel::Job job{dt, state, cell_rates, error, {}};
  job.report.cells = cells_;
  std::fill(error.begin(), error.end(), 0.0);
  if (dt == 0) return job.report;
  kernel_->run(job, cells_);
  if (cells_ > 0) job.report.blended_share /= static_cast<double>(cells_);
  return job.report;
}

const std::vector<std::vector<std::int64_t>>& KineticsSolver::invariants() const { return kernel_->plan.invariants; }
std::size_t KineticsSolver::independent_reactions() const { return kernel_->plan.unknowns; }

}  // namespace sanctuary
