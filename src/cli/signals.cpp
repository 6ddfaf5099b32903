#include "cli/signals.hpp"

#include <csignal>
#include <initializer_list>

namespace sanctuary {
namespace {

volatile std::sig_atomic_t stop_flag = 0;

void request_stop(int) { stop_flag = 1; }

}  // namespace

void catch_signals() {
  struct sigaction action = {};
  action.sa_handler = request_stop;
  for (const int number : {SIGTERM, SIGUSR1}) sigaction(number, &action, nullptr);
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
}

bool signal_came() { return stop_flag != 0; }

}  // namespace sanctuary
