#include "solvers/reaction_diffusion.hpp"

#include <algorithm>
#include <cmath>

#include "base/comm.hpp"
#include "solvers/simd.hpp"

namespace sanctuary {
namespace {

// Products and sums are not contracted: vectors and what is left over of a row would round apart, and with them ranks.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("fp-contract=off")
#endif

SANCTUARY_CLONES void first_term(std::size_t cells, double half, const double* maximum, const double* u, double* rate,
                                 double* slope) {
  for (std::size_t c = 0; c < cells; ++c) {
    const double share = 1 / (half + (u[c] > 0 ? u[c] : 0.0));
    rate[c] = maximum[c] * u[c] * share;
    slope[c] = maximum[c] * half * share * share;
  }
}

SANCTUARY_CLONES void further_term(std::size_t cells, double half, const double* maximum, const double* u, double* rate,
                                   double* slope) {
  for (std::size_t c = 0; c < cells; ++c) {
    const double share = 1 / (half + (u[c] > 0 ? u[c] : 0.0));
    rate[c] += maximum[c] * u[c] * share;
    slope[c] += maximum[c] * half * share * share;
  }
}

/// Puts a first-order law of coefficient limit / softness in series with the rate.
SANCTUARY_CLONES void soften(std::size_t cells, double softness, const double* limit, const double* u, double* rate,
                             double* slope) {
  const double inverse = 1 / softness;
  for (std::size_t c = 0; c < cells; ++c) {
    const double series = limit[c] * inverse;
    const double own = u[c] > 0 ? rate[c] / u[c] : slope[c];
    const double sum = own + series;
    const double share = sum > 0 ? 1 / sum : 0.0;
    rate[c] = u[c] * own * series * share;
    slope[c] = (slope[c] * series * series + series * own * own) * share * share;
  }
}

SANCTUARY_CLONES void remainder(std::size_t cells, double volume, const double* f, const double* rate, double* r) {
  for (std::size_t c = 0; c < cells; ++c) r[c] = f[c] - r[c] - volume * rate[c];
}

SANCTUARY_CLONES void tangent(std::size_t cells, double volume, const double* diagonal, const double* slope,
                              double* out) {
  for (std::size_t c = 0; c < cells; ++c) out[c] = diagonal[c] + volume * slope[c];
}

SANCTUARY_CLONES void step_to(std::size_t cells, double part, const double* start, const double* delta, double* u) {
  for (std::size_t c = 0; c < cells; ++c) {
    const double moved = start[c] + part * delta[c];
    u[c] = moved > 0 ? moved : 0.0;
  }
}

/// Sums of r^2, rate^2 and rate over units of `Grid::sum_unit` cells of each row, in the order of the cells.
SANCTUARY_CLONES void sums_by_unit(long row, std::size_t rows, const double* r, const double* rate, double* out) {
  constexpr long unit = Grid::sum_unit, lanes = 8;
  for (std::size_t j = 0; j < rows; ++j) {
    for (long from = 0; from < row; from += unit) {
      const long to = from + unit < row ? from + unit : row;
      double rr[lanes] = {}, ss[lanes] = {}, s[lanes] = {};
      long i = from;
      for (; i + lanes <= to; i += lanes) {
        for (long l = 0; l < lanes; ++l) {
          rr[l] += r[i + l] * r[i + l];
          ss[l] += rate[i + l] * rate[i + l];
          s[l] += rate[i + l];
        }
      }
      for (long l = 0; i + l < to; ++l) {
        rr[l] += r[i + l] * r[i + l];
        ss[l] += rate[i + l] * rate[i + l];
        s[l] += rate[i + l];
      }
      out[0] = out[1] = out[2] = 0;
      for (long l = 0; l < lanes; ++l) {
        out[0] += rr[l];
        out[1] += ss[l];
        out[2] += s[l];
      }
      out += 3;
    }
    r += row;
    rate += row;
  }
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif

/// Gives the operator its own diagonal back, whatever happens.
class DiagonalLoan {
 public:
  DiagonalLoan(CellOperator& op, std::vector<double>& with) : op_(op), with_(with) { op_.diagonal().swap(with_); }
  DiagonalLoan(const DiagonalLoan&) = delete;
  DiagonalLoan& operator=(const DiagonalLoan&) = delete;
  ~DiagonalLoan() { op_.diagonal().swap(with_); }

 private:
  CellOperator& op_;
  std::vector<double>& with_;
};

// A cell whose diagonal is off by this factor is badly preconditioned; this share of them is left to the Krylov method.
constexpr double misfit = 2, misfits = 0.003;
// Linear systems are solved to relative residuals between these.
constexpr double least_forcing = 1e-4, most_forcing = 0.1;
// Parts of the norm of what is used: the residual that a step of the law itself may leave beyond that of its linear
// system; at which a softened law is solved well enough; at which the law itself takes over from a softened one.
constexpr double bends = 0.3, settled = 0.3, hands_over = 0.1;
constexpr double soften_by = 0.1;

}  // namespace

MichaelisMenten::MichaelisMenten(const Grid& grid, std::vector<Term> terms) : terms_(std::move(terms)) {
  together(grid.comm(), [&] {
    if (terms_.empty()) throw InputError("a Michaelis-Menten reaction needs at least one term");
    for (const Term& term : terms_) {
      if (!(term.half > 0) || !std::isfinite(term.half))
        throw InputError("a Michaelis-Menten reaction needs half values above zero");
      if (term.maximum.size() != grid.local_cells())
        throw InputError("a Michaelis-Menten reaction needs one maximum for each cell");
      for (const double m : term.maximum) {
        if (!(m >= 0) || !std::isfinite(m))
          throw InputError("a Michaelis-Menten reaction needs maxima of at least zero");
      }
    }
  });
}

void MichaelisMenten::evaluate_impl(std::span<const double> values, std::span<double> rate,
                                    std::span<double> slope) const {
  first_term(values.size(), terms_[0].half, terms_[0].maximum.data(), values.data(), rate.data(), slope.data());
  for (std::size_t t = 1; t < terms_.size(); ++t) {
    further_term(values.size(), terms_[t].half, terms_[t].maximum.data(), values.data(), rate.data(), slope.data());
  }
}

ReactionDiffusionSolver::ReactionDiffusionSolver(const Grid& grid, const std::string& prefix)
    : grid_(&grid),
      linear_(grid, prefix),
      built_(grid.local_cells()),
      tangent_(grid.local_cells()),
      rate_(grid.local_cells()),
      slope_(grid.local_cells()),
      limit_(grid.local_cells()),
      partial_(static_cast<std::size_t>(3 * ((grid.size()[0] + Grid::sum_unit - 1) / Grid::sum_unit) * grid.size()[1] *
                                        grid.size()[2])),
      residual_(grid.vector()),
      delta_(grid.vector()),
      start_(grid.vector()) {}

void ReactionDiffusionSolver::set(CellOperator& op, const PointwiseReaction& reaction) {
  if (setup_symmetric_ != op.symmetric()) has_setup_ = false;
  setup_symmetric_ = op.symmetric();
  op_ = &op;
  reaction_ = &reaction;
  faces_ = op.full_diagonal();
  const double squares = sums_over_cells(faces_.data(), faces_.data())[0];
  diagonal_rms_ = std::sqrt(squares / static_cast<double>(grid_->global_cells()));
  const std::vector<double>& own = op.diagonal();
  for (std::size_t c = 0; c < faces_.size(); ++c) faces_[c] -= own[c];  // faces alone: the tangent brings the rest
}

/// Sums of a^2, b^2 and b over all cells; the same digits on any number of ranks. Collective.
std::array<double, 3> ReactionDiffusionSolver::sums_over_cells(const double* a, const double* b) {
  const auto& n = grid_->size();
  sums_by_unit(n[0], static_cast<std::size_t>(n[1] * n[2]), a, b, partial_.data());
  for (std::size_t s = 0; s < 3; ++s) {
    sums_[s].clear();
    for (std::size_t i = s; i < partial_.size(); i += 3) sums_[s].add(partial_[i]);
  }
  ExactSum::reduce(grid_->comm(), sums_);
  return {sums_[0].value(), sums_[1].value(), sums_[2].value()};
}

ReactionDiffusionSolver::Norms ReactionDiffusionSolver::evaluate(Vec f, Vec u, double softness,
                                                                 ReactionReport& report) {
  const std::size_t cells = rate_.size();
  const double volume = grid_->cell_volume();
  op_->apply(u, residual_.get());
  const ReadAccess values(u), right(f);
  const WriteAccess r(residual_.get());
  reaction_->evaluate({values.data(), cells}, rate_, slope_);
  if (softness > 0) soften(cells, softness, limit_.data(), values.data(), rate_.data(), slope_.data());
  remainder(cells, volume, right.data(), rate_.data(), r.data());
  const auto sums = sums_over_cells(r.data(), rate_.data());
  ++report.evaluations;
  report.reacted = volume * sums[2];
  return {std::sqrt(sums[0]), volume * std::sqrt(sums[1])};
}

void ReactionDiffusionSolver::prepare_softening(double largest, ReactionReport& report) {
  petsc(VecSet(start_.get(), largest));
  const ReadAccess at(start_.get());
  reaction_->evaluate({at.data(), limit_.size()}, limit_, slope_);
  ++report.evaluations;
}

bool ReactionDiffusionSolver::needs_setup() const {
  if (!has_setup_ || poor_setup_) return true;
  double off = 0;
  for (std::size_t c = 0; c < built_.size(); ++c) {
    const double now = faces_[c] + tangent_[c];
    off += now > misfit * built_[c] || built_[c] > misfit * now ? 1 : 0;
  }
  return sum_over(grid_->comm(), off) > misfits * static_cast<double>(grid_->global_cells());
}

/// Solves for the step with `tangent_` on the diagonal; the residual reported is relative to that of the step's start.
SolveReport ReactionDiffusionSolver::solve_linear(double tolerance, int max_iterations, ReactionReport& report) {
  const std::size_t cells = tangent_.size();
  tangent(cells, grid_->cell_volume(), op_->diagonal().data(), slope_.data(), tangent_.data());
  ++report.newton;
  petsc(VecSet(delta_.get(), 0.0));
  Stop stop;
  stop.tolerance = tolerance;
  const bool reuse = !needs_setup();
  if (reuse) {
    // An old preconditioner gets twice the iterations of a new one; then it is built anew and the solve goes on.
    const double expected = 2 + 2 * -std::log10(tolerance) / digits_per_iteration_;
    stop.max_iterations = static_cast<int>(std::min<double>(max_iterations, expected));
    const DiagonalLoan loan(*op_, tangent_);
    linear_.set(*op_, false);
    SolveReport solved = linear_.solve(residual_.get(), delta_.get(), stop);
    report.linear += solved.iterations;
    poor_setup_ = solved.iterations >= stop.max_iterations;
    if (solved.converged || stop.max_iterations >= max_iterations) return solved;
  }
  for (std::size_t c = 0; c < cells; ++c) built_[c] = faces_[c] + tangent_[c];
  const DiagonalLoan loan(*op_, tangent_);
  linear_.set(*op_, true);
  ++report.setups;
  has_setup_ = true;
  poor_setup_ = false;
  stop.max_iterations = max_iterations;
  SolveReport solved = linear_.solve(residual_.get(), delta_.get(), stop);
  report.linear += solved.iterations;
  if (!reuse && solved.iterations > 0)
    digits_per_iteration_ = std::clamp(-std::log10(std::max(solved.residual, 1e-16)) / solved.iterations, 0.1, 1.0);
  return solved;
}

ReactionDiffusionSolver::Norms ReactionDiffusionSolver::move(Vec f, Vec u, double part, double softness,
                                                             ReactionReport& report) {
  {
    const ReadAccess from(start_.get()), by(delta_.get());
    const WriteAccess values(u);
    step_to(rate_.size(), part, from.data(), by.data(), values.data());
  }
  return evaluate(f, u, softness, report);
}

ReactionReport ReactionDiffusionSolver::solve(Vec f, Vec u, const Stop& stop) {
  ReactionReport report;
  if (stop.measure == Stop::Measure::rows) {
    throw InputError("ReactionDiffusionSolver: the measure `rows` is for linear solves; take `scaled` or `relative`");
  }
  double unit = 0;
  {
    const ReadAccess right(f);
    unit = std::sqrt(sums_over_cells(right.data(), right.data())[0]);
  }
  if (unit == 0) {  // then zero is the solution
    petsc(VecSet(u, 0.0));
    report.converged = true;
    report.reason = "no source";
    return report;
  }
  if (stop.measure == Stop::Measure::scaled)
    unit = diagonal_rms_ * stop.scale * std::sqrt(static_cast<double>(grid_->global_cells()));
  if (stop.measure == Stop::Measure::absolute) unit = 1;
  const double goal = stop.tolerance * unit;
  const bool concave = reaction_->concave();

  petsc(VecCopy(u, start_.get()));
  petsc(VecSet(delta_.get(), 0.0));
  Norms now = move(f, u, 0, 0, report);
  double largest = 0, softness = 0, forcing = most_forcing, least = now.residual;
  petsc(VecMax(u, nullptr, &largest));
  bool softened = false;
  int stalled = 0;
  while (true) {
    if (softness == 0 && now.residual <= goal) {
      report.converged = true;
      report.reason = "converged";
      break;
    }
    if (!std::isfinite(now.residual)) {
      report.reason = "the residual is not a number";
      break;
    }
    if (report.newton >= max_newton) {
      report.reason = "no convergence in " + std::to_string(max_newton) + " Newton steps";
      break;
    }
    if (stalled > 5) {
      report.reason = "the residual stalled, at rounding or where the solution would be negative";
      break;
    }
    const double before = now.residual;
    // No linear system is solved beyond half of what is left to do.
    const double tolerance = softness > 0 ? most_forcing : std::clamp(0.5 * goal / before, forcing, 0.5);
    const SolveReport solved = solve_linear(tolerance, stop.max_iterations, report);
    if (!solved.converged && !(solved.residual < 0.9)) {
      report.reason = "the linear solve failed: " + solved.reason;
      break;
    }
    petsc(VecCopy(u, start_.get()));
    now = move(f, u, 1, softness, report);
    if (softness > 0) {
      ++report.softened;
      if (now.residual > settled * now.reaction) continue;
      now = evaluate(f, u, 0, report);
      if (now.residual <= hands_over * now.reaction) {
        softness = 0;
        least = now.residual;
      } else {
        softness *= soften_by;
        now = evaluate(f, u, softness, report);
      }
      continue;
    }
    if (concave) {
      const double unforeseen = now.residual - 2 * solved.residual * before;
      if (!softened && now.residual > goal && unforeseen > bends * now.reaction) {
        softened = true;
        petsc(VecMax(u, nullptr, &softness));
        softness = std::max(softness, largest);
        prepare_softening(softness, report);
        now = evaluate(f, u, softness, report);
        continue;
      }
    } else if (!(now.residual <= (1 - 1e-4) * before)) {
      double best = 1, lowest = now.residual;
      for (double part = 0.5; part > 0.01; part *= 0.5) {
        now = move(f, u, part, 0, report);
        if (!(now.residual >= lowest)) {
          best = part;
          lowest = now.residual;
        }
        if (now.residual <= (1 - 1e-4 * part) * before) break;
      }
      // Where no part of the step lowers it (a bound stands in the way) the best of them is taken all the same.
      if (now.residual != lowest) now = move(f, u, best, 0, report);
    }
    const double ratio = now.residual / before;
    forcing = std::clamp(0.9 * ratio * ratio, least_forcing, most_forcing);
    stalled = now.residual < 0.9 * least || now.residual > 1e-6 * now.reaction ? 0 : stalled + 1;
    least = std::min(least, now.residual);
  }
  report.residual = now.residual / unit;
  return report;
}

}  // namespace sanctuary
