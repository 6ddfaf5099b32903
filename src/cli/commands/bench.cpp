#include <fmt/format.h>

#include <algorithm>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "benchmark/benchmark.hpp"
#include "cli/commands.hpp"
#include "io/atomic_file.hpp"

namespace sanctuary {
namespace {

const Benchmark& benchmark_named(const std::string& name) {
  std::vector<std::string> names;
  for (const Benchmark& benchmark : benchmarks()) {
    if (benchmark.name == name) return benchmark;
    names.push_back(benchmark.name);
  }
  const std::string near = nearest(name, names);
  throw InputError(fmt::format("bench: no benchmark is called '{}'; `sanctuary bench --list` names all{}", name,
                               near.empty() ? "" : "; did you mean " + near + "?"));
}

/// The options that one benchmark takes; InputError for one that only others take.
void check_options(const Benchmark& benchmark, const Invocation& invocation) {
  for (const auto& [name, value] : invocation.options) {
    const auto known = [&name = name](const BenchmarkOption& option) { return option.name == name; };
    if (std::any_of(benchmark.options.begin(), benchmark.options.end(), known)) continue;
    std::string list;
    for (const BenchmarkOption& option : benchmark.options) list += (list.empty() ? "--" : ", --") + option.name;
    throw InputError(fmt::format("bench {}: takes no --{}; expected of {}", benchmark.name, name, list));
  }
  if (!invocation.overrides.empty()) {
    throw InputError("bench: reads no deck, so that --set has nothing to set");
  }
}

std::string list_text() {
  std::string text;
  for (const Benchmark& benchmark : benchmarks()) {
    text += fmt::format("{:<12} {}\n", benchmark.name, benchmark.summary);
    for (const BenchmarkOption& option : benchmark.options) {
      text += fmt::format("  {:<26} {}\n", "--" + option.name + " " + option.argument, option.meaning);
    }
  }
  return text;
}

}  // namespace

std::vector<CommandOption> bench_options() {
  std::vector<CommandOption> options{{"list", "", "names the benchmarks and what each takes, runs none"}};
  for (const Benchmark& benchmark : benchmarks()) {
    for (const BenchmarkOption& option : benchmark.options) {
      const auto same = [&](const CommandOption& other) { return other.name == option.name; };
      const auto known = std::find_if(options.begin(), options.end(), same);
      if (known == options.end()) {
        options.push_back({option.name, option.argument, benchmark.name + ": " + option.meaning});
      } else if (known->meaning.ends_with(option.meaning)) {
        known->meaning.insert(known->meaning.size() - option.meaning.size() - 2, ", " + benchmark.name);
      } else {
        known->meaning += "; " + benchmark.name + ": " + option.meaning;
      }
    }
  }
  return options;
}

int run_bench(MPI_Comm comm, const Invocation& invocation) {
  if (invocation.options.contains("list")) {
    print_once(comm, list_text());
    return static_cast<int>(ExitCode::done);
  }
  if (invocation.positional.empty()) {
    throw InputError("bench: which benchmark? `sanctuary bench --list` names all");
  }
  const Benchmark& benchmark = benchmark_named(invocation.positional.front());
  check_options(benchmark, invocation);
  std::string lines;
  const auto emit = [&](const Record& record) {
    const std::string line = record.dump() + "\n";
    print_once(comm, line);
    lines += line;
  };
  BenchmarkContext context{comm, BenchmarkOptions(benchmark.name, invocation.options), emit};
  emit(machine_record(comm, benchmark.name, invocation.command_line));
  benchmark.run(context);
  if (!invocation.output.empty()) {
    on_root(comm, [&] { write_text_atomically(invocation.output, lines); });
  }
  return static_cast<int>(ExitCode::done);
}

}  // namespace sanctuary
