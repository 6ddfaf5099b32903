#include "base/log.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <memory>

#include "base/comm.hpp"
#include "base/error.hpp"

namespace sanctuary::log {
namespace {

spdlog::level::level_enum spdlog_level(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
    case Level::off:
      break;
  }
  return spdlog::level::off;
}

spdlog::logger& logger() {
  static spdlog::logger instance = [] {
    spdlog::logger made("sanctuary", std::make_shared<spdlog::sinks::stderr_sink_st>());
    made.set_pattern("[%H:%M:%S] %l: %v");
    made.set_level(spdlog::level::warn);
    made.flush_on(spdlog::level::debug);
    return made;
  }();
  return instance;
}

}  // namespace

Level level_named(std::string_view name) {
  if (name == "debug") return Level::debug;
  if (name == "info") return Level::info;
  if (name == "warning") return Level::warning;
  if (name == "error") return Level::error;
  if (name == "off") return Level::off;
  throw InputError("--log-level: '" + std::string(name) +
                   "' is no level; expected one of debug, info, warning, error, off");
}

void start(MPI_Comm comm, Level level, bool quiet) {
  if (quiet) level = std::max(level, Level::warning);
  logger().set_level(rank_of(comm) == 0 ? spdlog_level(level) : spdlog::level::off);
}

void print(Level level, const std::string& message) { logger().log(spdlog_level(level), message); }

}  // namespace sanctuary::log
