#include "base/deck.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "base/error.hpp"
#include "base/random.hpp"

namespace sanctuary {
namespace {

constexpr Parameter cells{.key = "grid.cells", .kind = Kind::integer, .value = 64, .range = {2, 4096}};
constexpr Parameter spacing{.key = "grid.spacing", .unit = "um", .value = 20, .range = {1, 1000}};
constexpr Parameter origin{.key = "grid.origin", .kind = Kind::numbers, .unit = "um", .text = "0 um, 0 um, 0 um"};
constexpr Parameter conductivity{
    .key = "interstitium.hydraulic_conductivity.tumour", .unit = "cm^2/(mmHg s)", .value = 4.13e-8};
constexpr Parameter rate{.key = "interstitium.rate", .unit = "1/s", .value = 0.5, .range = {0, 10}};
constexpr Parameter law{.key = "blood.law", .kind = Kind::choice, .text = "in_vivo", .choices = "in_vivo|in_vitro|esl"};
constexpr Parameter haematocrit{.key = "blood.haematocrit", .value = 0.45, .range = {0, 0.9}};
constexpr Parameter convection{.key = "mechanisms.convection", .kind = Kind::flag, .value = 1};
constexpr Parameter title{.key = "run.title", .kind = Kind::text};
constexpr Parameter network_file{.key = "network.file", .kind = Kind::path};
constexpr Parameter outputs{.key = "output.fields", .kind = Kind::texts, .text = "pressure, oxygen"};
constexpr Parameter seed{.key = "run.seed", .kind = Kind::integer, .value = 1, .range = {0, 9.2e18}};
constexpr Parameter clearance{.key = "drug.*.clearance", .unit = "l/h", .value = 30, .range = {0, 1000}};
constexpr Parameter emax{.key = "drug.*.pd.emax", .unit = "1/h", .value = 0.1, .range = {0, 10}};
constexpr Parameter molar_mass{.key = "drug.*.molar_mass", .unit = "Da", .range = {1, 1e7}, .required = true};
constexpr Parameter end{.key = "time.end", .unit = "h", .range = {0, 1e5}, .required = true};
constexpr Parameter override_value{.key = "drug.*.diffusivity", .unit = "um^2/s", .value = -1, .range = {0, 1e4}};

Presets::Default speed_of(const Parameter&, std::string_view kind) {
  return kind == "plain" ? Presets::Default{} : Presets::Default{kind == "fast" ? "2.5 mm/s" : "40 um/s", "tried out"};
}
constexpr Parameter pump{.key = "pump.*.kind", .kind = Kind::choice, .text = "slow", .choices = "slow|fast|plain"};
constexpr Presets by_pump{&pump, &speed_of};
constexpr Parameter speed{
    .key = "pump.*.speed", .unit = "um/s", .value = 7, .range = {0, 1e4}, .source = "own", .presets = &by_pump};

const Catalogue& catalogue() {
  static const Catalogue list{&cells,       &spacing,    &origin,     &conductivity,   &rate,    &law,
                              &haematocrit, &convection, &title,      &network_file,   &outputs, &seed,
                              &clearance,   &emax,       &molar_mass, &override_value, &pump,    &speed};
  return list;
}

Deck deck_of(std::string_view text, const std::vector<Override>& overrides = {}) {
  return Deck::from_text(text, "/decks", overrides, catalogue());
}

std::string error_of(std::string_view text, const std::vector<Override>& overrides = {}) {
  try {
    (void)deck_of(text, overrides);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

/// True if the one error message holds every part.
testing::AssertionResult says(const std::string& message, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    if (message.find(part) == std::string::npos)
      return testing::AssertionFailure() << "no '" << part << "' in: " << message;
  }
  return testing::AssertionSuccess();
}

/// A folder of its own that goes away with the test.
class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / ("sanctuary_deck_" + std::to_string(getpid()))) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::filesystem::path write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

TEST(Deck, ValuesComeInSi) {
  const Deck deck = deck_of(
      "# a comment\n[grid]\nspacing = 0.01 mm  # in another unit\ncells = 128\norigin = 0, 1, 2 mm\n"
      "[interstitium]\nhydraulic_conductivity.tumour = 1e-7 cm^2/(mmHg s)\n[blood]\nlaw = esl\nhaematocrit = 30 %\n"
      "[mechanisms]\nconvection = off\n");
  EXPECT_DOUBLE_EQ(deck.number(spacing), 1e-5);
  EXPECT_EQ(deck.integer(cells), 128);
  EXPECT_EQ(deck.numbers(origin), (std::vector<double>{0, 1e-3, 2e-3}));
  EXPECT_NEAR(deck.number(conductivity), 1e-7 * 1e-4 / 133.322387415, 1e-28);
  EXPECT_EQ(deck.text(law), "esl");
  EXPECT_DOUBLE_EQ(deck.number(haematocrit), 0.3);
  EXPECT_FALSE(deck.flag(convection));
  EXPECT_EQ(deck.where(spacing), "/decks/(text):3: grid.spacing");
}

TEST(Deck, DefaultsServeWhatIsNotGiven) {
  const Deck deck = deck_of("[grid]\ncells = 8\n");
  EXPECT_DOUBLE_EQ(deck.number(spacing), 2e-5);
  EXPECT_TRUE(deck.flag(convection));
  EXPECT_EQ(deck.text(title), "");
  EXPECT_TRUE(deck.path(network_file).empty());
  EXPECT_EQ(deck.texts(outputs), (std::vector<std::string>{"pressure", "oxygen"}));
  EXPECT_FALSE(deck.given(spacing));
  EXPECT_TRUE(deck.given(cells));
}

TEST(Deck, ListsTakeAUnitEachOrOneForAll) {
  EXPECT_EQ(deck_of("[grid]\norigin = 0 um, 1 mm, 2 m\n").numbers(origin), (std::vector<double>{0, 1e-3, 2}));
  EXPECT_TRUE(says(error_of("[grid]\norigin = 0, 1 um, 2 um\n"), {":2: grid.origin", "'0' has no unit"}));
  EXPECT_TRUE(says(error_of("[grid]\norigin = 0, 1, 2\n"), {"has no unit"}));
  EXPECT_TRUE(says(error_of("[grid]\norigin = 0 um,, 2 um\n"), {"empty entry"}));
  EXPECT_TRUE(deck_of("[grid]\norigin = \"\"\n").numbers(origin).empty());
}

TEST(Deck, FamiliesOfSections) {
  const Deck deck = deck_of(
      "[drug.gem-2]\nmolar_mass = 263 Da\npd.emax = 0.2 1/h\n[drug.dox]\nmolar_mass = 543.5 g/mol\n"
      "clearance = 500 ml/min\n");
  EXPECT_EQ(deck.names("drug"), (std::vector<std::string>{"gem-2", "dox"}));
  EXPECT_NEAR(deck.number(clearance, "dox"), 500e-6 / 60, 1e-18);
  EXPECT_NEAR(deck.number(clearance, "gem-2"), 30e-3 / 3600, 1e-18);
  EXPECT_NEAR(deck.number(emax, "gem-2"), 0.2 / 3600, 1e-18);
  EXPECT_NEAR(deck.number(molar_mass, "dox"), 0.5435, 1e-15);
  EXPECT_THROW((void)deck.number(clearance, "taxol"), std::logic_error);
  EXPECT_TRUE(says(error_of("[drug.dox]\nclearance = 30 l/h\n"), {":1: drug.dox.molar_mass: required and not given"}));
}

// A cohort's view of the same catalogue.
constexpr Parameter vary{.key = "vary.*", .kind = Kind::open};
constexpr Parameter arm_label{.key = "arm.*.label", .kind = Kind::text};
constexpr Parameter arm_changes{.key = "arm.*.*", .kind = Kind::open};

const Catalogue& wide_catalogue() {
  static const Catalogue list = [] {
    Catalogue all = catalogue();
    all.insert(all.end(), {&vary, &arm_label, &arm_changes});
    return all;
  }();
  return list;
}

constexpr std::string_view wide_text =
    "[grid]\nspacing = 10 um\n[pump.a]\nkind = fast\n[vary]\ngrid.cells = uniform(8, 16)\n"
    "[arm.one]\nlabel = One\ndrug.x.molar_mass = 5 kDa\n[arm.two.drug.x]\nmolar_mass = 6 kDa\n";

TEST(Deck, OpenKeysAreKeptAsText) {
  const Deck deck =
      Deck::from_text(wide_text, "/decks", {{"vary.blood.haematocrit", "normal(0.4, 0.1)"}}, wide_catalogue());
  const auto varied = deck.open(vary);
  ASSERT_EQ(varied.size(), 2u);
  EXPECT_EQ(varied[0].key, "grid.cells");
  EXPECT_EQ(varied[0].text, "uniform(8, 16)");
  EXPECT_EQ(varied[0].origin.line, 6);
  EXPECT_EQ(varied[1].origin.file, "--set");
  EXPECT_EQ(deck.names("arm"), (std::vector<std::string>{"one", "two"}));
  ASSERT_EQ(deck.open(arm_changes, "two").size(), 1u);
  EXPECT_EQ(deck.open(arm_changes, "two").front().key, "drug.x.molar_mass");
  EXPECT_TRUE(deck.names("drug").empty());
  const Deck again = Deck::from_text(deck.resolved(), "/decks", {}, wide_catalogue());
  EXPECT_EQ(again.resolved(), deck.resolved());
  EXPECT_NE(error_of(wide_text).find("vary.grid.cells: unknown key"), std::string::npos);
}

TEST(Deck, IsLaidOverAnother) {
  const Deck deck = Deck::from_text(wide_text, "/decks", {}, wide_catalogue());
  std::vector<Deck::Open> changes = deck.open(arm_changes, "one");
  changes.push_back({"grid.cells", "12", {"draw", 0}});
  changes.push_back({"pump.a.kind", "plain", {"draw", 0}});
  DeckTexts file;
  file.main = "/decks/on_top.ini";
  file.text["/decks/on_top.ini"] = "[grid]\ncells = 14\nspacing = 11 um\n[drug.x]\nclearance = 3 l/h\n";
  const Deck over = deck.over(changes, &file, catalogue());
  EXPECT_EQ(over.integer(cells), 12);               // changes beat files
  EXPECT_NEAR(over.number(spacing), 11e-6, 1e-18);  // files beat the deck
  EXPECT_EQ(over.names("drug"), std::vector<std::string>{"x"});
  EXPECT_NEAR(over.number(speed, "a"), 7e-6, 1e-18);  // the preset goes with its choice
  EXPECT_NEAR(deck.number(speed, "a"), 2.5e-3, 1e-15);
  EXPECT_EQ(Deck::from_text(over.resolved(), "/decks", {}, catalogue()).resolved(), over.resolved());
  changes[1].text = "5000";
  EXPECT_THROW(
      {
        try {
          (void)deck.over(changes, nullptr, catalogue());
        } catch (const InputError& error) {
          EXPECT_NE(std::string(error.what()).find("draw: grid.cells: '5000' is out of range"), std::string::npos);
          throw;
        }
      },
      InputError);
}

TEST(Deck, RequiredKeys) {
  const Catalogue with_end{&spacing, &end};
  try {
    (void)Deck::from_text("[grid]\nspacing = 5 um\n", {}, {}, with_end);
    FAIL();
  } catch (const InputError& error) {
    EXPECT_TRUE(
        says(error.what(), {"(text): time.end: required and not given; expected a number with a unit like 'h'"}));
  }
  EXPECT_EQ(Deck::from_text("", {}, {{"time.end", "1 h"}}, with_end).number(end), 3600);
}

struct BadDeck {
  std::string text;
  std::vector<std::string> message;
};

TEST(Deck, EachFaultIsNamedWithLineAndRemedy) {
  const std::vector<BadDeck> cases{
      {"[grid]\nspaceing = 5 um\n", {":2: grid.spaceing: unknown key", "did you mean grid.spacing?"}},
      {"[drug.dox]\nmolar_mass = 1 kDa\nclearence = 5 l/h\n",
       {":3: drug.dox.clearence: unknown key", "drug.dox.clearance?"}},
      {"[drug]\nclearance = 5 l/h\n", {":2: drug.clearance: unknown key", "drug.NAME.clearance?"}},
      {"[grid]\nspacing = 5 um\nspacing = 6 um\n", {":3: grid.spacing: repeated key", "line 2"}},
      {"[interstitium]\nhydraulic_conductivity.tumour = 1 m^2/(Pa s)\n[interstitium.hydraulic_conductivity]\n"
       "tumour = 1 m^2/(Pa s)\n",
       {":4: interstitium.hydraulic_conductivity.tumour: repeated key", "line 2"}},
      {"[grid]\ncells = 8\n[blood]\nlaw = esl\n[grid]\nspacing = 5 um\n", {":5: [grid]: repeated section", "line 1"}},
      {"[blood]\n[grid]\ncells = 8\n", {":1: [blood]: empty section"}},
      {"[grid]\ncells = 8\n\n[blood]\n# nothing\n", {":4: [blood]: empty section"}},
      {"[grid]\nspacing =\n", {":2: grid.spacing: empty value"}},
      {"[grid]\nspacing = # 5 um\n", {":2: grid.spacing: empty value"}},
      {"[grid]\nspacing = 5\n", {":2: grid.spacing: '5' has no unit", "unit like 'um'", "1 to 1000 um"}},
      {"[grid]\nspacing = 5 s\n", {"unit 's' has the wrong dimension"}},
      {"[grid]\nspacing = 5 umm\n", {"unknown unit 'umm'"}},
      {"[grid]\nspacing = 5 um ; narrow\n", {"';'", "'#' does"}},
      {"[grid]\nspacing = 5 10 um\n", {"unknown unit '10 um'"}},
      {"[grid]\nspacing = 5,5 um\n", {"comma", "point"}},
      {"[grid]\nspacing = 5 mm\n", {"'5 mm' is out of range", "1 to 1000 um"}},
      {"[grid]\nspacing = nan um\n", {"not a finite number"}},
      {"[grid]\nspacing = inf um\n", {"not a finite number"}},
      {"[grid]\nspacing = 1e999 um\n", {"beyond the range"}},
      {"[grid]\nspacing = wide\n", {"'wide' is not a number"}},
      {"[interstitium]\nrate = 2 s\n", {"unit 's' has the wrong dimension"}},
      {"[blood]\nhaematocrit = 0.4 um\n", {"unit 'um' on a dimensionless number"}},
      {"[grid]\ncells = 1.5\n", {"'1.5' is not an integer", "2 to 4096"}},
      {"[grid]\ncells = 64 um\n", {"not an integer without a unit"}},
      {"[grid]\ncells = 1\n", {"'1' is out of range"}},
      {"[grid]\ncells = many\n", {"'many' is not an integer"}},
      {"[blood]\nlaw = in_vitr\n",
       {"'in_vitr' is none of the choices", "in_vivo, in_vitro, esl", "did you mean in_vitro?"}},
      {"[mechanisms]\nconvection = 1\n", {"'1' is not a switch", "on or off"}},
      {"spacing = 5 um\n", {":1: spacing: key outside a section"}},
      {"[grid\nspacing = 5 um\n", {":1: [grid: malformed section"}},
      {"[gr id]\nspacing = 5 um\n", {":1: [gr id]: malformed section"}},
      {"[]\nspacing = 5 um\n", {":1: []: malformed section"}},
      {"[grid]\nspacing 5 um\n", {":2: 'spacing 5 um': not understood"}},
      {"[grid]\n; spacing = 5 um\ncells = 8\n", {":2: ", "a comment starts with '#'"}},
      {"[run]\ntitle = \"open\n", {":2: title: a double quote is not closed"}},
      {"[grid]\ncells = 8\ninclude = a.ini\n", {":3: include: stands inside a section"}},
      {"include =\n", {":1: include: empty value"}},
      {"include = nowhere.ini\n", {":1: include: cannot read /decks/nowhere.ini: No such file"}},
      {"\xEF\xBB\xBF[grid]\ncells = 8\n", {":1: the file begins with a byte-order mark"}},
      {"\xFF\xFE[grid]\n", {"not text in UTF-8"}},
  };
  for (const BadDeck& bad : cases) {
    const std::string message = error_of(bad.text);
    EXPECT_TRUE(says(message, bad.message)) << bad.text;
    EXPECT_EQ(message.find("faults in the deck"), std::string::npos) << message;  // one fault, one line
  }
}

TEST(Deck, AllFaultsAreListedAtOnce) {
  const std::string message = error_of("[grid]\nspacing = 5\ncells = 0\n[blood]\nlow = esl\n");
  EXPECT_TRUE(says(message, {"3 faults", ":2: grid.spacing", ":3: grid.cells", ":5: blood.low"}));
}

TEST(Deck, WindowsLineEndsAreRead) { EXPECT_DOUBLE_EQ(deck_of("[grid]\r\nspacing = 5 um\r\n").number(spacing), 5e-6); }

TEST(Deck, QuotesKeepCommentSigns) {
  EXPECT_EQ(deck_of("[run]\ntitle = \"dose #2\"  # second\n").text(title), "dose #2");
  EXPECT_EQ(deck_of("[run]\ntitle = dose #2\n").text(title), "dose");
}

TEST(Deck, OverridesWinAndAreChecked) {
  const Deck deck = deck_of("[grid]\nspacing = 5 um\n", {{"grid.spacing", "7 um"}, {"blood.law", "esl"}});
  EXPECT_DOUBLE_EQ(deck.number(spacing), 7e-6);
  EXPECT_EQ(deck.where(spacing), "--set: grid.spacing");
  EXPECT_EQ(deck_of("", {{"network.file", "a.dat"}}).path(network_file), std::filesystem::current_path() / "a.dat");
  EXPECT_TRUE(says(error_of("", {{"grid.spacing", "7"}}), {"--set: grid.spacing: '7' has no unit"}));
  EXPECT_TRUE(says(error_of("", {{"grid.spaceing", "7"}}), {"--set: grid.spaceing: unknown key", "grid.spacing?"}));
  EXPECT_TRUE(says(error_of("", {{"grid.cells", "8"}, {"grid.cells", "9"}}), {"--set: grid.cells: given twice"}));
  EXPECT_TRUE(says(error_of("[drug.dox]\nmolar_mass = 1 Da\n", {{"drug.dxo.clearance", "1 l/h"}}),
                   {"--set: drug.dxo.clearance", "no section [drug.dxo]", "drug.dox.clearance?"}));
}

TEST(Deck, IncludedValuesLose) {
  const Folder folder;
  folder.write("base/one.ini", "include = deeper.ini\n[grid]\nspacing = 1 um\ncells = 11\n");
  folder.write("base/deeper.ini", "[grid]\nspacing = 9 um\n[blood]\nhaematocrit = 0.1\nlaw = esl\n");
  folder.write("base/two.ini", "[grid]\ncells = 22\n[network]\nfile = here.dat\n");
  const auto main =
      folder.write("main.ini", "include = base/one.ini\ninclude = \"base/two.ini\"\n[blood]\nlaw = in_vitro\n");
  const Deck deck = Deck::from_file(main, {}, catalogue());
  EXPECT_EQ(deck.text(law), "in_vitro");                                     // main beats base
  EXPECT_DOUBLE_EQ(deck.number(spacing), 1e-6);                              // one beats deeper
  EXPECT_EQ(deck.integer(cells), 22);                                        // two stands after one
  EXPECT_DOUBLE_EQ(deck.number(haematocrit), 0.1);                           // deeper serves what nobody else gives
  EXPECT_EQ(deck.path(network_file), main.parent_path() / "base/here.dat");  // relative to the file that names it
  EXPECT_EQ(deck.where(cells), (main.parent_path() / "base/two.ini").string() + ":2: grid.cells");
}

TEST(Deck, FaultsInBasesNameTheirFile) {
  const Folder folder;
  folder.write("base.ini", "[grid]\nspacing = 5\n");
  const auto main = folder.write("main.ini", "include = base.ini\n[grid]\ncells = 8\n");
  try {
    (void)Deck::from_file(main, {}, catalogue());
    FAIL();
  } catch (const InputError& error) {
    EXPECT_TRUE(says(error.what(), {"base.ini:2: grid.spacing: '5' has no unit"}));
  }
}

TEST(Deck, IncludeCyclesAreRefused) {
  const Folder folder;
  folder.write("b.ini", "include = sub/../a.ini\n[grid]\ncells = 8\n");
  const auto main = folder.write("a.ini", "include = b.ini\n[blood]\nlaw = esl\n");
  try {
    (void)Deck::from_file(main, {}, catalogue());
    FAIL();
  } catch (const InputError& error) {
    EXPECT_TRUE(says(error.what(), {"b.ini:1: include: ", "cycle", "a.ini -> ", "b.ini -> "}));
  }
}

TEST(Deck, AnUnreadableDeckIsAnInputError) {
  EXPECT_THROW((void)Deck::from_file("/nowhere/deck.ini", {}, catalogue()), InputError);
  EXPECT_THROW((void)Deck::from_file("/tmp", {}, catalogue()), InputError);
}

TEST(Deck, AResolvedDeckReadsBackTheSame) {
  const Deck first = deck_of(
      "[grid]\nspacing = 0.0123456789012345678 mm\norigin = 0.1, 0.2, 0.7 mm\n[interstitium]\n"
      "hydraulic_conductivity.tumour = 3.3e-8 cm^2/(mmHg s)\n[run]\ntitle = \"a # b\"\nseed = 9007199254740993\n"
      "[network]\nfile = nets/a.dat\n[mechanisms]\nconvection = no\n[output]\nfields = one, \"t,wo\"\n"
      "[drug.zeta]\nmolar_mass = 1 kDa\npd.emax = 1 1/d\n[drug.alpha]\nmolar_mass = 2 kDa\n",
      {{"blood.haematocrit", "0.3"}});
  const Deck second = Deck::from_text(first.resolved(), "/elsewhere", {}, catalogue());
  const auto a = first.entries(), b = second.entries();
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].key, b[i].key);
    EXPECT_EQ(a[i].value, b[i].value) << a[i].key;
    EXPECT_EQ(a[i].unit, b[i].unit) << a[i].key;
    EXPECT_EQ(a[i].is_default, b[i].is_default) << a[i].key;
  }
  EXPECT_EQ(first.number(spacing), second.number(spacing));
  EXPECT_EQ(first.numbers(origin), second.numbers(origin));
  EXPECT_EQ(first.number(emax, "zeta"), second.number(emax, "zeta"));
  EXPECT_EQ(second.integer(seed), 9007199254740993);
  EXPECT_EQ(second.path(network_file), "/decks/nets/a.dat");
  EXPECT_EQ(second.texts(outputs), (std::vector<std::string>{"one", "t,wo"}));
  EXPECT_EQ(first.names("drug"), second.names("drug"));
  EXPECT_EQ(first.resolved(), second.resolved());
  EXPECT_FALSE(second.given(override_value, "zeta"));  // what was not given is not given by the record of it
  EXPECT_EQ(second.number(override_value, "zeta"), -1e-12);
}

TEST(Deck, AChoiceSetsTheDefaultsOfOthers) {
  const std::string text =
      "[pump.a]\nkind = fast\n[pump.b]\nspeed = 1 um/s\n[pump.c]\nkind = plain\n[pump.d]\nkind = fast\nspeed = 9 "
      "um/s\n";
  const Deck first = deck_of(text, {{"pump.d.kind", "slow"}});
  const Deck again = deck_of(first.resolved());
  for (const Deck* deck : {&first, &again}) {
    EXPECT_DOUBLE_EQ(deck->number(speed, "a"), 2.5e-3);
    EXPECT_DOUBLE_EQ(deck->number(speed, "b"), 1e-6);
    EXPECT_DOUBLE_EQ(deck->number(speed, "c"), 7e-6);
    EXPECT_DOUBLE_EQ(deck->number(speed, "d"), 9e-6);
    EXPECT_FALSE(deck->given(speed, "a"));
    EXPECT_TRUE(deck->given(speed, "b"));
    EXPECT_FALSE(deck->given(speed, "c"));
    EXPECT_TRUE(says(deck->where(speed, "a"), {"(preset fast)"}));
    for (const Deck::Entry& entry : deck->entries()) {
      if (entry.key == "pump.a.speed") {
        EXPECT_EQ(entry.value, "2500");
        EXPECT_EQ(entry.preset, "fast");
        EXPECT_EQ(entry.source, "preset fast: tried out");
        EXPECT_TRUE(entry.is_default);
      }
      if (entry.key == "pump.c.speed" || entry.key == "pump.b.speed") {
        EXPECT_EQ(entry.preset, "");
        EXPECT_EQ(entry.source, "own");
      }
    }
  }
  EXPECT_EQ(first.resolved(), again.resolved());
  // An edited default counts, also where it is edited to what would hold without the choice.
  EXPECT_TRUE(deck_of("[pump.a]\nkind = fast\nspeed = 7 um/s  # default\n").given(speed, "a"));
  EXPECT_FALSE(deck_of("[pump.a]\nkind = plain\nspeed = 7 um/s  # default\n").given(speed, "a"));
  // An edited choice leaves the values that stand.
  EXPECT_DOUBLE_EQ(deck_of("[pump.a]\nkind = slow\nspeed = 2.5 mm/s  # default\n").number(speed, "a"), 2.5e-3);
}

TEST(Deck, AnEditedDefaultOfAResolvedDeckCounts) {
  const Deck deck = deck_of("[grid]\nspacing = 25 um  # default\ncells = 64  # default\n");
  EXPECT_TRUE(deck.given(spacing));
  EXPECT_FALSE(deck.given(cells));
}

TEST(Deck, EntriesSpeakTheDeclaredUnit) {
  const Deck deck = deck_of("[grid]\nspacing = 0.02 mm\n");
  for (const Deck::Entry& entry : deck.entries()) {
    if (entry.key != "grid.spacing") continue;
    EXPECT_EQ(entry.value, "20");
    EXPECT_EQ(entry.unit, "um");
    EXPECT_EQ(entry.origin.line, 2);
    EXPECT_FALSE(entry.is_default);
  }
}

TEST(Deck, AnyTextIsReadOrRefused) {
  const std::vector<std::string> pieces{"[",
                                        "]",
                                        "grid",
                                        ".",
                                        "spacing",
                                        "=",
                                        "5 um",
                                        "\n",
                                        "#",
                                        "\"",
                                        "drug",
                                        "*",
                                        ";",
                                        "1e9",
                                        "include",
                                        ",",
                                        " ",
                                        "nan",
                                        "-",
                                        "/",
                                        "[grid]",
                                        "[drug.x]",
                                        "clearance = 1 l/h",
                                        "# default",
                                        "\r\n",
                                        "\t",
                                        "\xff",
                                        "µ"};
  const RandomStream random(1, "deck texts");
  int read = 0;
  for (std::uint64_t trial = 0; trial < 3000; ++trial) {
    std::string text;
    for (std::uint64_t i = 0; i < 12; ++i) text += pieces[random.below(64 * trial + i, pieces.size())];
    try {
      const Deck deck = deck_of(text);
      (void)deck_of(deck.resolved());
      ++read;
    } catch (const InputError& error) {
      EXPECT_STRNE(error.what(), "");
    }
  }
  EXPECT_GT(read, 0);
}

TEST(Deck, RangesTolerateRounding) {
  EXPECT_NO_THROW((void)deck_of("[grid]\nspacing = 1e-3 m\n"));
  EXPECT_NO_THROW((void)deck_of("[grid]\nspacing = 1e-6 m\n"));
  EXPECT_TRUE(says(error_of("[grid]\nspacing = 1000.001 um\n"), {"out of range"}));
}

}  // namespace
}  // namespace sanctuary
