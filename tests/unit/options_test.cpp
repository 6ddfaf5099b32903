#include "cli/options.hpp"

#include <gtest/gtest.h>

#include <chrono>

#include "base/error.hpp"
#include "base/text.hpp"
#include "cli/progress.hpp"

namespace sanctuary {
namespace {

int nothing(MPI_Comm, const Invocation&) { return 0; }

const std::vector<CommandSpec> table{
    {"simulate", "DECK", "one patient", 1, 1, {}, nothing},
    {"params", "[GLOB]", "the catalogue", 0, 1, {{"format", "FORMAT", "how"}, {"long", "", "a flag"}}, nothing}};

CommandLine parsed(const std::vector<std::string>& arguments) { return parse_command_line(arguments, table); }

std::string error_of(const std::vector<std::string>& arguments) {
  try {
    (void)parsed(arguments);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Options, AreReadForTheCommand) {
  const CommandLine line = parsed({"simulate", "a.ini", "--set", "grid.spacing=20 um", "-o", "out", "--quiet",
                                   "--log-level", "debug", "--set=time.end = 1 h", "--", "-ksp_view", "--", "-x"});
  ASSERT_EQ(line.command, &table[0]);
  EXPECT_EQ(line.invocation.positional, std::vector<std::string>{"a.ini"});
  ASSERT_EQ(line.invocation.overrides.size(), 2U);
  EXPECT_EQ(line.invocation.overrides[0].key, "grid.spacing");
  EXPECT_EQ(line.invocation.overrides[0].value, "20 um");
  EXPECT_EQ(line.invocation.overrides[1].key, "time.end");
  EXPECT_EQ(line.invocation.overrides[1].value, "1 h");
  EXPECT_EQ(line.invocation.output, "out");
  EXPECT_TRUE(line.invocation.quiet);
  EXPECT_EQ(line.log_level, log::Level::debug);
  EXPECT_EQ(line.petsc, (std::vector<std::string>{"-ksp_view", "--", "-x"}));
  EXPECT_EQ(line.invocation.command_line.substr(0, 56), "sanctuary simulate a.ini --set 'grid.spacing=20 um' -o o");
}

TEST(Options, OwnOptionsBelongToTheirCommand) {
  const CommandLine line = parsed({"params", "grid.*", "--format", "json", "--long"});
  EXPECT_EQ(line.invocation.options.at("format"), "json");
  EXPECT_EQ(line.invocation.options.at("long"), "on");
  EXPECT_NE(error_of({"simulate", "a.ini", "--format", "json"}).find("unknown option '--format'"), std::string::npos);
}

TEST(Options, NamesAreNotGuessed) {
  EXPECT_NE(error_of({"params", "--form", "json"}).find("did you mean --format?"), std::string::npos);
  EXPECT_NE(error_of({"simulat", "a.ini"}).find("did you mean simulate?"), std::string::npos);
  EXPECT_NE(error_of({"--quiet", "simulate"}).find("where the command belongs"), std::string::npos);
  EXPECT_NE(error_of({"simulate", "a.ini", "--log-level", "loud"}).find("expected one of debug"), std::string::npos);
}

TEST(Options, ArgumentsAreCounted) {
  EXPECT_NE(error_of({"simulate"}).find("expected `sanctuary simulate DECK`"), std::string::npos);
  EXPECT_NE(error_of({"simulate", "a", "b"}).find("2 arguments"), std::string::npos);
  EXPECT_NE(error_of({"simulate", "a", "--set", "spacing"}).find("expected section.key=value"), std::string::npos);
  EXPECT_NE(error_of({"simulate", "a", "-o"}).find("--output"), std::string::npos);
}

TEST(Options, HelpAndVersionArePrinted) {
  for (const auto& arguments : std::vector<std::vector<std::string>>{{}, {"--help"}, {"-h"}}) {
    EXPECT_NE(parsed(arguments).print.find("simulate DECK"), std::string::npos);
  }
  const CommandLine help = parsed({"params", "--help"});
  EXPECT_EQ(help.command, nullptr);
  EXPECT_NE(help.print.find("--format FORMAT"), std::string::npos);
  EXPECT_EQ(parsed({"--version"}).print.substr(0, 10), "sanctuary ");
}

TEST(Text, EditDistanceCountsSwapsOnce) {
  EXPECT_EQ(edit_distance("grid", "gird"), 1U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
}

TEST(Text, GlobsMatch) {
  EXPECT_TRUE(matches("a*c?", "abbcd"));
  EXPECT_TRUE(matches("*", ""));
  EXPECT_FALSE(matches("a*c", "abd"));
  EXPECT_TRUE(matches("*.x.*", "a.x.b.x.c"));
}

TEST(Text, ListsSplitOutsideQuotes) {
  EXPECT_EQ(split("a, \"b,c\" ,d", ','), (std::vector<std::string>{"a", "\"b,c\"", "d"}));
  EXPECT_EQ(split("a,,b", ','), (std::vector<std::string>{"a", "", "b"}));
  EXPECT_TRUE(split("  ", ',').empty());
}

TEST(Text, ShortestReadsBack) {
  for (const double value : {0.1, 4.13e-8, 1.0 / 3, 2e22, -0.0}) EXPECT_EQ(std::stod(shortest(value)), value);
}

TEST(Progress, DurationsAreForPeople) {
  EXPECT_EQ(duration_text(42.4), "42 s");
  EXPECT_EQ(duration_text(185), "3 min 05 s");
  EXPECT_EQ(duration_text(7620), "2 h 07 min");
  EXPECT_EQ(duration_text(273600), "3 d 04 h");
}

std::string progress_printed(bool quiet, std::chrono::seconds interval) {
  testing::internal::CaptureStderr();
  Progress progress(MPI_COMM_SELF, "treatment", 24, "h", quiet, interval);
  progress.start_at(6);
  progress.update(12, "step 10 s");
  progress.finish();
  return testing::internal::GetCapturedStderr();
}

TEST(Progress, ALogGetsALinePerInterval) {
  const std::string lines = progress_printed(false, std::chrono::seconds(0));
  EXPECT_EQ(lines.find("treatment: 12 of 24 h (50.0 %), "), 0U) << lines;
  EXPECT_NE(lines.find(" h/s, 0 s left, step 10 s\n"), std::string::npos) << lines;
  EXPECT_NE(lines.find("\ntreatment: 12 of 24 h in 0 s\n"), std::string::npos) << lines;
  EXPECT_EQ(progress_printed(false, std::chrono::seconds(30)), "treatment: 12 of 24 h in 0 s\n");
  EXPECT_EQ(progress_printed(true, std::chrono::seconds(0)), "");
}

}  // namespace
}  // namespace sanctuary
