#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sanctuary {

/// How the patients of a cohort are spread over the space of parameters.
enum class DesignKind { monte_carlo, latin_hypercube, sobol, saltelli };

/// Correlation `rho` of the normal scores of two parameters, given by their places.
struct Correlation {
  std::size_t first = 0, second = 0;
  double rho = 0;
};

/// What a design is made from.
struct DesignPlan {
  DesignKind kind = DesignKind::monte_carlo;
  std::uint64_t seed = 0;
  std::vector<std::string> keys = {};          ///< of the parameters; each names its random stream
  std::vector<std::uint64_t> blocks = {};      ///< Latin hypercube: patients of the first cohort and of each extension
  std::vector<Correlation> correlations = {};  ///< joined by a Gaussian copula
};

/// One number in (0, 1) per parameter and patient, without state: a patient's numbers are the same whoever else is
/// drawn and in whatever order.
///
/// Monte Carlo draws from the stream (seed, "vary." + key), counter patient. A Latin hypercube puts exactly one patient
/// in each of the n strata of each parameter in a block of n: a permutation by a keyed Feistel network that walks its
/// cycles. Sobol points (Joe & Kuo 2008, SIAM J Sci Comput 30:2635) are scrambled bit by bit (Owen 1995), not merely
/// shifted: the error then falls faster for smooth outcomes and index 0 is a point like any other; each elementary
/// interval keeps its one point. A Saltelli design of d parameters has groups of d + 2 rows: A, B, and A with column i
/// of B, where (A, B) is a scrambled Sobol point in 2 d dimensions.
///
/// Correlated parameters become Phi(L Phi^-1(u)), L the Cholesky factor of their correlation matrix: marginals stay
/// uniform, but of the strata of correlated parameters only those of the first one survive.
class Design {
 public:
  /// Throws InputError for a repeated or unknown pair, |rho| >= 1, correlations that cannot hold together or meet a
  /// Saltelli design, repeated keys, more dimensions than the Sobol tables hold (3667), blocks that are missing, empty
  /// or not for a Latin hypercube.
  explicit Design(DesignPlan plan);

  /// One number in (0, 1) per parameter. InputError for a patient beyond the blocks of a Latin hypercube or the 2^32
  /// points of the Sobol sequence.
  [[nodiscard]] std::vector<double> uniforms(std::uint64_t patient) const;
  /// The row group of a patient in a Saltelli design; elsewhere the patient itself.
  [[nodiscard]] std::uint64_t group_of(std::uint64_t patient) const { return patient / group_size(); }
  /// Row of a patient in its group: 0 is A, 1 is B, 2 + i is A with column i of B; 0 in other designs.
  [[nodiscard]] std::uint64_t role_of(std::uint64_t patient) const { return patient % group_size(); }
  /// Rows in a group: d + 2 in a Saltelli design, else 1.
  [[nodiscard]] std::uint64_t group_size() const {
    return plan_.kind == DesignKind::saltelli ? plan_.keys.size() + 2 : 1;
  }
  [[nodiscard]] const DesignPlan& plan() const { return plan_; }

 private:
  void check_blocks() const;
  void factorise();
  void correlate(std::vector<double>& u) const;
  [[nodiscard]] double stratified(std::size_t parameter, std::uint64_t patient) const;
  [[nodiscard]] double scrambled(std::size_t dimension, std::uint64_t index) const;

  DesignPlan plan_;
  std::vector<std::uint32_t> directions_;  // 32 direction numbers per dimension, dimension by dimension
  std::vector<double> factor_;             // lower Cholesky factor, row by row; empty without correlations
};

/// A whole number in [0, 2^53) that depends on seed, patient (or group) and purpose alone: for keys such as
/// `network.generate.seed`, exact as a double.
[[nodiscard]] std::uint64_t seed_for(std::uint64_t seed, std::uint64_t patient, std::string_view purpose);

/// Image of `index` under a permutation of [0, size) that depends on seed and purpose alone.
[[nodiscard]] std::uint64_t permuted(std::uint64_t index, std::uint64_t size, std::uint64_t seed,
                                     std::string_view purpose);

}  // namespace sanctuary
