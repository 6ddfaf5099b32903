#pragma once
#include <mpi.h>

#include <chrono>
#include <string>

namespace sanctuary {

/// Shows how far long work has come, on standard error of rank 0: a bar with rate and time left on a terminal, a line
/// per interval otherwise, nothing when quiet. Not collective; ranks other than 0 may call it and print nothing.
class Progress {
 public:
  /// `total` and what `update` is given count in `unit` ("h", "steps"); a line per `interval` in a log.
  Progress(MPI_Comm comm, std::string what, double total, std::string unit, bool quiet,
           std::chrono::seconds interval = std::chrono::seconds(30));
  /// Says that `done` of the total is behind; `note` is shown after it. `left` [s]: an estimate better than by the
  /// rate.
  void update(double done, const std::string& note = {}, double left = -1);
  /// Work that was done before, by a run that is now resumed: it does not count for the rate.
  void start_at(double done);
  /// Ends the display with a line that says how long it took.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  [[nodiscard]] std::string line(double done, const std::string& note, double left, Clock::time_point now) const;

  std::string what_, unit_;
  double total_, first_ = 0, last_ = 0;
  bool shown_, terminal_;
  std::chrono::seconds interval_;
  Clock::time_point begin_, printed_;
};

/// A time span for people: `42 s`, `3 min 05 s`, `2 h 07 min`, `3 d 04 h`.
[[nodiscard]] std::string duration_text(double seconds);

}  // namespace sanctuary
