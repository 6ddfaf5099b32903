#pragma once
#include <mpi.h>

#include <span>
#include <vector>

namespace sanctuary {

/// Copies of other ranks' values: who lends which of its own values to whom, and where the copies stand. Values are
/// numbered locally; every copy has one owner.
class Halo {
 public:
  Halo() = default;
  /// `copies[r]`: local numbers of the copies that rank r owns; `lent[r]`: own local numbers that rank r holds copies
  /// of, in the same order. Not collective.
  Halo(MPI_Comm comm, std::vector<std::vector<long>> copies, std::vector<std::vector<long>> lent);

  /// Brings the owners' values to the copies. Collective over the neighbours.
  void update(std::span<double> values) const;
  void update(std::span<long> values) const;
  /// Adds the copies to their owners' values; the copies keep theirs. Collective over the neighbours.
  void add(std::span<double> values) const;
  /// Owners and copies get the smallest among them. Collective over the neighbours.
  void lower(std::span<long> values) const;
  /// Copies held here.
  [[nodiscard]] std::size_t copies() const;

 private:
  struct Part {
    int rank;
    std::vector<long> copies, lent;
  };
  template <class T>
  void move(std::span<T> values, bool to_copies, void (*combine)(T&, T)) const;

  MPI_Comm comm_ = MPI_COMM_NULL;
  std::vector<Part> parts_;
};

}  // namespace sanctuary
