#pragma once
#include <vector>

#include "solvers/network_inverse.hpp"

namespace sanctuary {

/// Approximate inverse of a matrix of transport along a network, whose pattern is symmetric. Rows between two others of
/// the same rank (vessels between joints, however short their pieces) are eliminated exactly; the rest has incomplete
/// factors without fill in the order of the flow: row i comes after row j where the matrix carries more from j to i
/// than back, |a_ij| > |a_ji|. Exact where nothing diffuses from joint to joint against the flow. The sweeps with the
/// flow and back cross from rank to rank in rounds that are worked out when the pattern changes. Rows that wait for
/// each other in a circle are entered at the lowest one.
class FlowSweep : public NetworkInverse {
 public:
  /// `comm` as that of the matrix.
  explicit FlowSweep(MPI_Comm comm) : comm_(comm) {}
  /// Rounds of messages of a sweep, and circles that had to be entered.
  [[nodiscard]] long rounds() const { return static_cast<long>(rounds_.size()); }
  [[nodiscard]] long circles() const { return circles_; }

 private:
  /// Rows in compressed form; columns from the number of own rows on are copies of other ranks' rows.
  struct Rows {
    std::vector<int> offset, column;
    std::vector<double> value, back;  // a_ij and a_ji
    void add(int j, double a_ij, double a_ji) {
      column.push_back(j);
      value.push_back(a_ij);
      back.push_back(a_ji);
    }
    void close() { offset.push_back(static_cast<int>(column.size())); }
  };
  /// Elimination of a row between the head of its chain and the next one: the entries a(head, row), a(row, head), ...
  struct Step {
    int row, head, next;
    double inverse, to_head, from_head, to_next, from_next;
  };
  /// Own rows to send to a rank, or places of copies to get from it.
  struct Message {
    int rank;
    std::vector<int> places;
  };
  struct Messages {
    std::vector<Message> send, receive;
  };
  struct Round {
    std::vector<int> rows;
    Messages down, up;  // after the round, of the sweep with the flow and of that back
  };
  void set_impl(Mat network) override;
  void apply_impl(Vec in, Vec out) const override;
  void find_copies(const PetscInt* columns, std::size_t count, Mat network);
  void eliminate_chains(const Rows& given);
  void find_rounds(const Rows& upstream);
  void find_messages();
  void exchange(const Messages& messages, std::vector<double>& value) const;

  MPI_Comm comm_;
  std::size_t rows_ = 0, copies_ = 0;
  long first_row_ = 0;
  std::vector<Message> copied_, lent_;  // places of copies, own rows that others hold copies of; by rank
  std::vector<char> kept_;              // rows that are left when the chains are gone
  std::vector<Step> steps_;
  std::vector<double> diagonal_;  // of those
  std::vector<double> inverse_;   // of the diagonal of the factors
  Rows entries_;                  // of the rows left, all but the diagonal
  Rows before_, after_;           // those of them that the sweeps with the flow and back know
  std::vector<int> pattern_;      // when it stays, so do the rounds
  std::vector<double> round_;     // of own rows and copies
  std::vector<int> position_;     // of own rows within all rounds
  std::vector<Round> rounds_;
  long circles_ = 0;
  mutable std::vector<double> work_, packed_send_, packed_receive_;
  mutable std::vector<MPI_Request> requests_;
};

}  // namespace sanctuary
