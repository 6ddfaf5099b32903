#include "base/catalogue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "patient/parameters.hpp"

namespace sanctuary {
namespace {

constexpr Parameter spacing{.key = "grid.spacing",
                            .unit = "um",
                            .value = 20,
                            .range = {1, 1000},
                            .meaning = "edge of a grid cell",
                            .source = "choice"};
constexpr Parameter clearance{.key = "drug.*.clearance",
                              .unit = "l/h",
                              .value = 30,
                              .range = {0, std::numeric_limits<double>::infinity()},
                              .meaning = "total | clearance",
                              .source = "assumed: a test"};
constexpr Parameter law{.key = "blood.law",
                        .kind = Kind::choice,
                        .text = "in_vivo",
                        .choices = "in_vivo|esl",
                        .meaning = "law",
                        .source = "choice"};
const Catalogue sound{&spacing, &clearance, &law};

std::string faults_of(const Parameter& parameter) {
  std::string text;
  for (const std::string& fault : catalogue_faults({&parameter})) text += fault + "\n";
  return text;
}

Parameter with(void (*change)(Parameter&)) {
  Parameter parameter = spacing;
  change(parameter);
  return parameter;
}

TEST(Catalogue, ASoundOneHasNoFaults) { EXPECT_TRUE(catalogue_faults(sound).empty()); }

TEST(Catalogue, TheProgramsOwnIsSound) {
  std::string faults;
  for (const std::string& fault : catalogue_faults(program_catalogue())) faults += fault + "\n";
  EXPECT_EQ(faults, "");
  EXPECT_FALSE(program_catalogue().empty());
}

TEST(Catalogue, FaultsAreSeen) {
  EXPECT_NE(faults_of(with([](Parameter& p) { p.source = ""; })).find("no source"), std::string::npos);
  EXPECT_NE(faults_of(with([](Parameter& p) { p.meaning = " "; })).find("no meaning"), std::string::npos);
  EXPECT_NE(faults_of(with([](Parameter& p) { p.range = {}; })).find("no range"), std::string::npos);
  EXPECT_NE(faults_of(with([](Parameter& p) { p.value = 2000; })).find("out of range"), std::string::npos);
  EXPECT_NE(faults_of(with([](Parameter& p) { p.unit = "umm"; })).find("unknown unit"), std::string::npos);
  EXPECT_NE(faults_of(with([](Parameter& p) { p.key = "Grid.spacing"; })).find("malformed"), std::string::npos);
  EXPECT_NE(faults_of(with([](Parameter& p) { p.key = "spacing"; })).find("malformed"), std::string::npos);
  EXPECT_NE(faults_of(with([](Parameter& p) { p.range = {5, 1}; })).find("empty range"), std::string::npos);
  EXPECT_EQ(catalogue_faults({&spacing, &spacing}).size(), 1U);
}

TEST(Catalogue, KeysMatchTheirPatterns) {
  std::string name;
  EXPECT_EQ(match_parameter(sound, "drug.gem-1.clearance", name), &clearance);
  EXPECT_EQ(name, "gem-1");
  EXPECT_EQ(match_parameter(sound, "grid.spacing", name), &spacing);
  EXPECT_EQ(name, "");
  EXPECT_EQ(match_parameter(sound, "drug.a.b.clearance", name), nullptr);
  EXPECT_EQ(match_parameter(sound, "drug..clearance", name), nullptr);
  EXPECT_EQ(match_parameter(sound, "drug.*.clearance", name), nullptr);
  EXPECT_EQ(full_key(clearance, "dox"), "drug.dox.clearance");
  EXPECT_EQ(nearest_key(sound, "drug.dox.clearence"), "drug.dox.clearance");
  EXPECT_EQ(nearest_key(sound, "gird.spacing"), "grid.spacing");
  EXPECT_EQ(nearest_key(sound, "something.else.entirely"), "");
}

TEST(Catalogue, GlobsSelect) {
  EXPECT_EQ(select(sound, "*").size(), 3U);
  EXPECT_EQ(select(sound, "grid.*"), Catalogue{&spacing});
  EXPECT_EQ(select(sound, "drug.*.clearance"), Catalogue{&clearance});
  EXPECT_TRUE(select(sound, "nothing").empty());
}

TEST(Catalogue, IsPrintedForReadersAndPrograms) {
  const auto rows = nlohmann::json::parse(catalogue_as_json(sound));
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0]["key"], "grid.spacing");
  EXPECT_EQ(rows[0]["default"], "20 um");
  EXPECT_EQ(rows[0]["range"], nlohmann::json::array({1, 1000}));
  EXPECT_TRUE(rows[1]["range"][1].is_null());
  EXPECT_EQ(rows[2]["choices"], nlohmann::json::array({"in_vivo", "esl"}));
  const std::string markdown = catalogue_as_markdown(sound);
  EXPECT_NE(markdown.find("| `clearance` | `30 l/h` | at least 0 l/h | total \\| clearance | assumed: a test |"),
            std::string::npos);
  EXPECT_NE(catalogue_as_text(sound).find("grid.spacing = 20 um\n    edge of a grid cell\n    range: 1 to 1000 um"),
            std::string::npos);
}

}  // namespace
}  // namespace sanctuary
