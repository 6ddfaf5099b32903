#include "base/units.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"

namespace sanctuary {
namespace {

TEST(Units, ConvertToHandWorkedNumbers) {
  constexpr double mmhg = 133.322387415;
  const std::vector<std::pair<std::string, double>> cases{
      {"M", 1000},
      {"mM", 1},
      {"uM", 1e-3},
      {"nM", 1e-6},
      {"pM", 1e-9},
      {"mol/l", 1000},
      {"Da", 1e-3},
      {"kDa", 1},
      {"GB", 8e9},
      {"g/mol", 1e-3},
      {"P", 0.1},
      {"cP", 1e-3},
      {"dyn", 1e-5},
      {"dyn/cm^2", 0.1},
      {"dyn/cm2", 0.1},
      {"IU", 1},
      {"kIU", 1000},
      {"mmHg", mmhg},
      {"um", 1e-6},
      {"um2", 1e-12},
      {"um^2", 1e-12},
      {"cm^3", 1e-6},
      {"cm2", 1e-4},
      {"cell", 1},
      {"cells", 1},
      {"cells/mm^3", 1e9},
      {"cells/ml", 1e6},
      {"h", 3600},
      {"min", 60},
      {"d", 86400},
      {"day", 86400},
      {"week", 604800},
      {"s", 1},
      {"Pa", 1},
      {"MPa", 1e6},
      {"kPa", 1e3},
      {"m", 1},
      {"pH", 1},
      {"%", 0.01},
      {"fl", 1e-18},
      {"nl/min", 1e-12 / 60},
      {"mg/m^2", 1e-6},
      {"ml/h/g", 1e-6 / 3600 / 1e-3},
      {"1", 1},
      {"1/s", 1},
      {"mg/kg", 1e-6},
      {"1/mM/s", 1},
      {"Gy", 1},
      {"1/(mmHg s)", 1 / mmhg},
      {"Torr", mmhg},
      {"cm^2/(mmHg s)", 1e-4 / mmhg},
      {"cm/s", 1e-2},
      {"cm/(mmHg s)", 1e-2 / mmhg},
      {"µM", 1e-3},
      {"cm^3/(cm s mmHg)", 1e-4 / mmhg},
      {"", 1},
      {"umol/l", 1e-3},
  };
  for (const auto& [unit, si] : cases) {
    ASSERT_TRUE(units::known(unit)) << unit;
    EXPECT_NEAR(units::to_si(1, unit), si, 1e-14 * si) << unit;
    EXPECT_NEAR(units::factor(unit), si, 1e-14 * si) << unit;
    EXPECT_NEAR(units::from_si(si, unit), 1, 1e-14) << unit;
  }
}

TEST(Units, MicromolarIsExact) { EXPECT_EQ(units::to_si(1, "uM"), 1e-3); }

TEST(Units, DimensionsAreThoseOfThePhysics) {
  EXPECT_TRUE(units::compatible("mmHg", "Pa"));
  EXPECT_TRUE(units::compatible("cP", "Pa s"));
  EXPECT_TRUE(units::compatible("uM", "mol/m^3"));
  EXPECT_TRUE(units::compatible("kDa", "kg/mol"));
  EXPECT_TRUE(units::compatible("dyn/cm^2", "Pa"));
  EXPECT_TRUE(units::compatible("cells/mm^3", "1/m^3"));
  EXPECT_TRUE(units::compatible("pH", "1"));
  EXPECT_TRUE(units::compatible("rad/s", "1/s"));
  EXPECT_TRUE(units::compatible("cm^2/(mmHg s)", "m^2/(Pa s)"));
  EXPECT_FALSE(units::compatible("Da", "kg"));
  EXPECT_FALSE(units::compatible("IU", "1"));
  EXPECT_FALSE(units::compatible("IU", "mol"));
  EXPECT_FALSE(units::compatible("um", "s"));
}

TEST(Units, AReciprocalIsNotTheSameDimension) {
  EXPECT_FALSE(units::compatible("s", "1/s"));  // UDUNITS itself converts these by inversion
  EXPECT_THROW((void)units::convert(5, "s", "1/s"), InputError);
}

TEST(Units, CaseMatters) {
  EXPECT_DOUBLE_EQ(units::factor("mM"), 1);
  EXPECT_DOUBLE_EQ(units::factor("m"), 1);
  EXPECT_FALSE(units::compatible("M", "m"));
  EXPECT_FALSE(units::compatible("P", "Pa"));
}

TEST(Units, SlipsAreNoUnits) {
  for (const char* text : {"10 um", "um 10", "3", "1/2 um", "2/s", "um;", "furlongs per fortnight x", "lg(re 1 mW)",
                           "s since 2000-01-01", "s @ 5", ",5 um", "1e3/ul"}) {
    EXPECT_FALSE(units::known(text)) << text;
    EXPECT_THROW((void)units::to_si(1, text), InputError) << text;
  }
}

TEST(Units, QuantitiesAreSplitAtTheNumber) {
  const auto conductivity = units::split_quantity("  4.13e-8 cm^2/(mmHg s) ");
  ASSERT_TRUE(conductivity);
  EXPECT_EQ(conductivity->value, 4.13e-8);
  EXPECT_EQ(conductivity->unit, "cm^2/(mmHg s)");
  EXPECT_EQ(units::split_quantity("+3um")->unit, "um");
  EXPECT_EQ(units::split_quantity("-3")->value, -3);
  for (const char* text : {"", "um", "nan um", "inf", "-inf s", "1e999", "+-1", "abc 5"}) {
    EXPECT_FALSE(units::split_quantity(text)) << text;
  }
}

TEST(Units, ParseRefusesAMissingOrWrongUnit) {
  EXPECT_DOUBLE_EQ(units::parse("20 um", "m"), 2e-5);
  EXPECT_DOUBLE_EQ(units::parse("0.5", "1"), 0.5);
  EXPECT_DOUBLE_EQ(units::parse("45 %", "1"), 0.45);
  for (const auto& [text, unit] : std::vector<std::pair<std::string, std::string>>{
           {"20", "um"}, {"20 s", "um"}, {"20 xyz", "um"}, {"um", "um"}, {"45", "%"}, {"3 um", "1"}}) {
    EXPECT_THROW((void)units::parse(text, unit), InputError) << text;
  }
}

TEST(Units, ConversionBetweenUnitsTakesNoDetour) {
  EXPECT_EQ(units::convert(0.02, "mm", "um"), 20);
  EXPECT_EQ(units::convert(2, "d", "h"), 48);
  EXPECT_THROW((void)units::convert(1, "um", "s"), InputError);
}

TEST(Units, OffsetsHaveNoFactor) {
  EXPECT_NEAR(units::to_si(37, "degC"), 310.15, 1e-9);
  EXPECT_THROW((void)units::factor("degC"), InputError);
}

}  // namespace
}  // namespace sanctuary
