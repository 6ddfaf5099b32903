#include "cli/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/comm.hpp"

namespace sanctuary {

std::string duration_text(double seconds) {
  const auto whole = static_cast<long>(std::llround(std::max(0.0, seconds)));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  if (whole < 86400) return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
  return fmt::format("{} d {:02} h", whole / 86400, whole % 86400 / 3600);
}

Progress::Progress(MPI_Comm comm, std::string what, double total, std::string unit, bool quiet,
                   std::chrono::seconds interval)
    : what_(std::move(what)),
      unit_(std::move(unit)),
      total_(total),
      shown_(!quiet && rank_of(comm) == 0),
      terminal_(isatty(STDERR_FILENO) == 1),
      interval_(interval),
      begin_(Clock::now()),
      printed_(begin_) {}

void Progress::start_at(double done) {
  first_ = last_ = done;
  begin_ = Clock::now();
}

std::string Progress::line(double done, const std::string& note, double left, Clock::time_point now) const {
  const double share = total_ > 0 ? std::clamp(done / total_, 0.0, 1.0) : 0;
  const double elapsed = std::chrono::duration<double>(now - begin_).count();
  const double rate = elapsed > 0 ? (done - first_) / elapsed : 0;
  std::string text = fmt::format("{}: {:.4g} of {:.4g} {} ({:.1f} %)", what_, done, total_, unit_, 100 * share);
  if (rate > 0) {
    text +=
        fmt::format(", {:.3g} {}/s, {} left", rate, unit_, duration_text(left >= 0 ? left : (total_ - done) / rate));
  }
  if (!note.empty()) text += ", " + note;
  if (!terminal_) return text;
  constexpr int width = 24;
  const int filled = static_cast<int>(share * width);
  return fmt::format("[{:#<{}}{:.<{}}] {}", "", filled, "", width - filled, text);
}

void Progress::update(double done, const std::string& note, double left) {
  last_ = done;
  if (!shown_) return;
  const auto now = Clock::now();
  const auto wait = terminal_ ? Clock::duration(std::chrono::milliseconds(100)) : Clock::duration(interval_);
  if (now - printed_ < wait) return;
  printed_ = now;
  // Carriage return and clearing to the end of the line redraw the bar in place.
  fmt::print(stderr, "{}{}{}", terminal_ ? "\r" : "", line(done, note, left, now), terminal_ ? "\x1b[K" : "\n");
  std::fflush(stderr);
}

void Progress::finish() {
  if (!shown_) return;
  const double elapsed = std::chrono::duration<double>(Clock::now() - begin_).count();
  const std::string text =
      fmt::format("{}: {:.4g} of {:.4g} {} in {}", what_, last_, total_, unit_, duration_text(elapsed));
  fmt::print(stderr, "{}{}{}\n", terminal_ ? "\r" : "", text, terminal_ ? "\x1b[K" : "");
  std::fflush(stderr);
  shown_ = false;
}

}  // namespace sanctuary
