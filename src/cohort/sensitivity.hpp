#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace sanctuary {

/// A number from a sample, with its bootstrap standard error and 95 % interval (2.5 and 97.5 percentiles).
struct Estimate {
  double value = 0, standard_error = 0, lowest = 0, highest = 0;
};

/// Shares of the variance of an output that parameters explain.
struct SobolIndices {
  std::uint64_t groups = 0;   ///< row groups used
  std::uint64_t dropped = 0;  ///< row groups left out because an output of theirs is missing
  double mean = 0;            ///< of the output over rows A and B of the groups used
  double variance = 0;
  std::vector<Estimate> first;  ///< alone (S1), per parameter
  std::vector<Estimate> total;  ///< with all interactions (ST), per parameter
};

/// First-order and total indices from the outputs of a Saltelli design, patient by patient; NaN marks a missing output
/// and its whole group is dropped (an incomplete last group as well). S1 by Saltelli et al. 2010 (Comput Phys Commun
/// 181:259), mean of f(B) (f(AB_i) - f(A)) over the variance with outputs centred on their mean; ST by Jansen 1999
/// (Comput Phys Commun 117:35), mean of (f(A) - f(AB_i))^2 / 2 over the variance. The bootstrap resamples groups, as if
/// they were independent: of a scrambled sequence it errs on the wide side. It depends on seed alone. Indices are NaN
/// with fewer than two groups or a constant output.
[[nodiscard]] SobolIndices sobol_indices(std::span<const double> outputs, std::size_t parameters, std::uint64_t seed,
                                         std::uint64_t resamples = 1000);

/// Ranks from 1; equal values share the average of theirs.
[[nodiscard]] std::vector<double> average_ranks(std::span<const double> values);

/// Partial rank correlation of one input with an output.
struct RankCorrelation {
  double coefficient = 0;
  double p_value = 1;  ///< two-sided, Student t with rows - 2 - (other inputs that count) degrees of freedom
};

/// Partial rank correlations of all inputs with an output.
struct RankCorrelations {
  std::uint64_t rows = 0;  ///< rows used, those without NaN
  std::vector<RankCorrelation> inputs;
};

/// Partial rank correlation (Marino et al. 2008, J Theor Biol 254:178): the correlation of the ranks of an input and of
/// the output after linear regression of both on the ranks of the other inputs. `inputs` holds one column per input.
/// NaN marks an input that is constant or that the others determine, or too few rows; an output that the other inputs
/// determine has 0 left for this one.
[[nodiscard]] RankCorrelations rank_correlations(const std::vector<std::vector<double>>& inputs,
                                                 std::span<const double> output);

}  // namespace sanctuary
