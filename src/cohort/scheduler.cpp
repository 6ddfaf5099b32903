#include "cohort/scheduler.hpp"

#include <algorithm>
#include <stdexcept>

namespace sanctuary {
namespace {

constexpr int suspects_share = 8;  // one of so many groups works on suspects at a time

}  // namespace

Scheduler::Scheduler(int workers, std::vector<int> widths) : workers_(workers), idle_(0), widths_(std::move(widths)) {
  for (std::size_t l = 0; l < widths_.size(); ++l) {
    const bool nested = l == 0 || (widths_[l] > widths_[l - 1] && widths_[l] % widths_[l - 1] == 0);
    if (widths_[l] < 1 || !nested) throw std::logic_error("Scheduler: widths must rise, each dividing the next");
  }
  if (widths_.empty() || workers < widths_.back()) throw std::logic_error("Scheduler: fewer workers than a task needs");
  workers_ -= workers_ % widths_.front();
  idle_ = workers_;
  for (const int width : widths_) {
    Level level;
    level.busy.assign(static_cast<std::size_t>(workers_ / width), 0);
    level.held.assign(level.busy.size(), 0);
    for (int b = 0; b < workers_ / width; ++b) level.free.insert(level.free.end(), b);
    levels_.push_back(std::move(level));
  }
}

long Scheduler::add(const TaskNode& node) {
  const auto level = std::find(widths_.begin(), widths_.end(), node.width);
  if (level == widths_.end()) throw std::logic_error("Scheduler: a width that no group has");
  const long task = tasks();
  if (node.parent >= task) throw std::logic_error("Scheduler: a child before its parent");
  Record record;
  record.parent = static_cast<std::int32_t>(node.parent);
  record.expected = static_cast<float>(node.expected);
  record.level = static_cast<std::uint8_t>(level - widths_.begin());
  record.crashes = static_cast<std::uint8_t>(std::min(node.crashes, 255));
  if (node.parent >= 0) {
    record.next_sibling = at(node.parent).first_child;
    at(node.parent).first_child = static_cast<std::int32_t>(task);
  }
  records_.push_back(record);
  ++pending_;
  if (started_) make_ready_if_possible(task);
  return task;
}

void Scheduler::restore(long task, TaskStatus status) {
  if (at(task).status == TaskStatus::pending && status != TaskStatus::pending) --pending_;
  at(task).status = status;
}

void Scheduler::set_crashes(long task, int crashes) {
  at(task).crashes = static_cast<std::uint8_t>(std::min(crashes, 255));
}

void Scheduler::start() {
  started_ = true;
  for (long task = 0; task < tasks(); ++task) make_ready_if_possible(task);
}

void Scheduler::make_ready_if_possible(long task) {
  const Record& record = at(task);
  if (record.status != TaskStatus::pending || record.ready) return;
  if (record.parent < 0 || at(record.parent).status == TaskStatus::done) make_ready(task);
}

Scheduler::Tier Scheduler::tier_of(const Record& record) {
  if (record.crashes > 1) return alone;
  if (record.crashes == 1) return suspect;
  return record.parent >= 0 ? child : root;
}

// A root is as urgent as the longest chain that hangs on it.
Scheduler::Entry Scheduler::entry_of(long task) const {
  const Record& record = at(task);
  float longest = 0;
  for (long c = record.first_child; c >= 0; c = at(c).next_sibling) longest = std::max(longest, at(c).expected);
  return {record.expected + longest, static_cast<std::int32_t>(task)};
}

void Scheduler::make_ready(long task) {
  Record& record = at(task);
  record.ready = true;
  auto& heap = levels_[record.level].ready[tier_of(record)];
  heap.push_back(entry_of(task));
  std::push_heap(heap.begin(), heap.end());
}

void Scheduler::mark(int first, int width, bool busy) {
  idle_ += busy ? -width : width;
  for (std::size_t l = 0; l < levels_.size(); ++l) {
    Level& level = levels_[l];
    const int block_width = widths_[l], begin = first / block_width, end = (first + width - 1) / block_width;
    const int each = std::min(width, block_width);
    for (int b = begin; b <= end && b < static_cast<int>(level.busy.size()); ++b) {
      int& count = level.busy[static_cast<std::size_t>(b)];
      const bool was_free = count == 0;
      count += busy ? each : -each;
      if (was_free) level.free.erase(b);
      if (count == 0) level.free.insert(b);
    }
  }
}

// The lowest free block that no wider level keeps for itself; the highest for the narrowest level. -1: none.
int Scheduler::free_block(std::size_t level, bool reserve) const {
  const std::set<int>& free = levels_[level].free;
  if (free.empty()) return -1;
  long kept = 0;  // workers from 0 on
  for (std::size_t l = levels_.size() - 1; reserve && l > level; --l) {
    const Level& wider = levels_[l];
    // What has ended and is not settled may have children that come at once.
    long wanted = wider.released + static_cast<long>(wider.ready[child].size() + wider.ready[root].size());
    auto block = static_cast<std::size_t>((kept + widths_[l] - 1) / widths_[l]);
    for (; wanted > 0 && block < wider.held.size(); ++block) {
      if (!wider.held[block]) --wanted;
      kept = static_cast<long>(block + 1) * widths_[l];
    }
  }
  if (level == 0) return static_cast<long>(*free.rbegin()) * widths_[0] >= kept ? *free.rbegin() : -1;
  const auto found = free.lower_bound(static_cast<int>((kept + widths_[level] - 1) / widths_[level]));
  return found == free.end() ? -1 : *found;
}

bool Scheduler::take(std::size_t level, Tier tier, bool reserve, Assignment& assignment) {
  auto& heap = levels_[level].ready[tier];
  if (heap.empty()) return false;
  const int block = free_block(level, reserve);
  if (block < 0) return false;
  std::pop_heap(heap.begin(), heap.end());
  const long task = heap.back().task;
  heap.pop_back();
  Record& record = at(task);
  record.ready = false;
  record.status = TaskStatus::running;
  record.first_worker = block * widths_[level];
  --pending_;
  ++running_;
  levels_[level].held[static_cast<std::size_t>(block)] = 1;
  if (record.crashes > 0) ++suspects_running_;
  mark(record.first_worker, widths_[level], true);
  assignment = {task, record.first_worker, widths_[level]};
  return true;
}

// Children before roots; while few roots are left, the longest of both, so that the last chains begin early and what
// is short fills the end.
bool Scheduler::take_longest(std::size_t level, Assignment& assignment) {
  const auto& ready = levels_[level].ready;
  const bool few = ready[root].size() <= static_cast<std::size_t>(last_roots) * levels_[level].busy.size();
  const bool root_first =
      few && !ready[root].empty() && !ready[child].empty() && ready[child].front() < ready[root].front();
  return take(level, root_first ? root : child, true, assignment) ||
         take(level, root_first ? child : root, true, assignment);
}

bool Scheduler::next(Assignment& assignment) {
  if (idle_ == 0) return false;
  bool clean_ready = false;
  for (const Level& level : levels_) clean_ready |= !level.ready[child].empty() || !level.ready[root].empty();
  if (clean_ready) {
    if (suspects_running_ > 0) return false;
    for (std::size_t l = levels_.size(); l-- > 0;) {
      if (take_longest(l, assignment)) return true;
    }
    return false;
  }
  if (running_ > suspects_running_) return false;
  if (suspects_running_ < std::max(1, groups() / suspects_share)) {
    for (std::size_t l = levels_.size(); l-- > 0;) {
      if (take(l, suspect, false, assignment)) return true;
    }
  }
  if (running_ > 0) return false;
  for (std::size_t l = levels_.size(); l-- > 0;) {
    if (take(l, alone, false, assignment)) return true;
  }
  return false;
}

void Scheduler::released(long task) {
  Record& record = at(task);
  Level& level = levels_[record.level];
  level.held[static_cast<std::size_t>(record.first_worker / widths_[record.level])] = 0;
  mark(record.first_worker, widths_[record.level], false);
  record.first_worker = -1;
  ++level.released;
}

void Scheduler::settled(long task, TaskStatus status) {
  Record& record = at(task);
  record.status = status;
  --running_;
  --levels_[record.level].released;
  if (record.crashes > 0) --suspects_running_;
  if (status != TaskStatus::done) return;
  for (long c = record.first_child; c >= 0; c = at(c).next_sibling) make_ready_if_possible(c);
}

void Scheduler::dropped(long task, TaskStatus status) {
  Record& record = at(task);
  if (record.ready || record.status != TaskStatus::pending) throw std::logic_error("Scheduler: dropped a ready task");
  record.status = status;
  --pending_;
}

void Scheduler::expect(long task, double seconds) { at(task).expected = static_cast<float>(seconds); }

void Scheduler::reorder() {
  for (Level& level : levels_) {
    for (auto& heap : level.ready) {
      for (Entry& entry : heap) entry = entry_of(entry.task);
      std::make_heap(heap.begin(), heap.end());
    }
  }
}

}  // namespace sanctuary
