#pragma once
#include <mpi.h>

#include <cstddef>
#include <deque>
#include <span>
#include <vector>

namespace sanctuary {

/// Anderson mixing of a fixed-point iteration x <- x + r(x) (Anderson 1965; Walker & Ni 2011, type II): the next x is
/// that at which the changes seen over the last steps say that the residual is least. Steps that tell nothing new are
/// left out.
class AndersonMixing {
 public:
  /// `share` of the residual is taken along, `depth` steps are remembered; 2 `depth` vectors are kept.
  AndersonMixing(MPI_Comm comm, int depth, double share) : comm_(comm), depth_(depth), share_(share) {}
  /// Own parts of x and r(x), the same size at each call. Collective.
  void advance(std::span<double> x, std::span<const double> residual);

 private:
  struct Step {
    std::vector<double> x, residual;
  };
  MPI_Comm comm_;
  int depth_;
  double share_;
  Step last_;
  std::deque<Step> steps_;  // the newest first
};

}  // namespace sanctuary
