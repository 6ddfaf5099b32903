#include "base/deck.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <stdexcept>

#include "base/catalogue.hpp"
#include "base/comm.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "base/units.hpp"
#include "base/value.hpp"

namespace sanctuary {
namespace {

constexpr int deepest_include = 16;

// Boost.Program_options' INI parser is not used: it gives no line numbers, stops at a byte-order mark, cuts quoted
// values at `#` and hides empty and repeated sections, and after a scan that mends all this nothing is left for it.
struct Line {
  int number = 0;
  std::string section, key, value;
  bool repeats_default = false;
};
struct Section {
  int number = 0;
  std::string name;
};
struct Scan {
  std::vector<Line> lines;
  std::vector<Section> sections;
  std::vector<Line> includes;
  std::vector<std::pair<int, std::string>> problems;
};

bool is_name(std::string_view text, bool dotted) {
  return !text.empty() && text.front() != '.' && text.back() != '.' && text.find("..") == std::string_view::npos &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
                  (dotted && c == '.');
         });
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) {
    constexpr std::string_view mark = "\xEF\xBB\xBF";
    if (text.starts_with(mark)) {
      problem(1, "the file begins with a byte-order mark; expected plain UTF-8; save it without the mark");
      text.remove_prefix(mark.size());
    } else if (text.find('\0') != std::string_view::npos || text.starts_with("\xFF\xFE") ||
               text.starts_with("\xFE\xFF")) {
      problem(1, "the file is not text in UTF-8; expected a deck; was it saved as UTF-16, or is it another file?");
      return;
    }
    while (!text.empty()) {
      const auto end = text.find('\n');
      ++number_;
      read(text.substr(0, end));
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    close_section();
  }
  Scan scan;

 private:
  void problem(int number, std::string what) { scan.problems.emplace_back(number, std::move(what)); }

  void close_section() {
    if (scan.sections.empty() || keys_in_section_ > 0 || skipping_) return;
    problem(scan.sections.back().number,
            fmt::format("[{}]: empty section; expected at least one key in it; give one or remove the section",
                        scan.sections.back().name));
  }

  void open_section(std::string_view text) {
    close_section();
    keys_in_section_ = 0;
    const std::string name(text.size() > 1 ? trimmed(text.substr(1, text.size() - 2)) : "");
    skipping_ = text.back() != ']' || !is_name(name, true);
    if (skipping_) {
      problem(number_, fmt::format("{}: malformed section; expected [name] or [family.name] of letters, digits, '_' "
                                   "and '-'",
                                   text));
    }
    for (const Section& earlier : scan.sections) {
      if (earlier.name != name || skipping_) continue;
      problem(number_, fmt::format("[{}]: repeated section; expected each section once; it stands on line {} already, "
                                   "join the two",
                                   name, earlier.number));
      break;
    }
    scan.sections.push_back({number_, name});
  }

  void read(std::string_view line) {
    const auto comment = comment_start(line);
    const bool repeats_default = comment != std::string_view::npos && trimmed(line.substr(comment + 1)) == "default";
    const std::string_view text = trimmed(line.substr(0, comment));
    if (text.empty()) return;
    if (text.front() == '[') return open_section(text);
    ++keys_in_section_;
    const auto equals = text.find('=');
    if (equals == std::string_view::npos || text.front() == ';') {
      return problem(number_, fmt::format("'{}': not understood; expected 'key = value' or '[section]'{}", text,
                                          text.front() == ';' ? "; a comment starts with '#'" : ""));
    }
    Line found{number_, scan.sections.empty() ? "" : scan.sections.back().name,
               std::string(trimmed(text.substr(0, equals))), std::string(trimmed(text.substr(equals + 1))),
               repeats_default};
    if (std::count(found.value.begin(), found.value.end(), '"') % 2 != 0) {
      return problem(number_, fmt::format("{}: a double quote is not closed; expected them in pairs", found.key));
    }
    if (found.key == "include") {
      if (!scan.sections.empty()) {
        problem(number_, "include: stands inside a section; expected it before the first section");
      } else if (unquoted(found.value).empty()) {
        problem(number_, "include: empty value; expected the path of a deck");
      } else {
        found.value = unquoted(found.value);
        scan.includes.push_back(std::move(found));
      }
    } else if (!is_name(found.key, true)) {
      problem(number_, fmt::format("'{}': malformed key; expected letters, digits, '_', '-' and '.'", found.key));
    } else if (scan.sections.empty()) {
      problem(number_, fmt::format("{}: key outside a section; expected a line '[section]' above it", found.key));
    } else if (!skipping_) {
      scan.lines.push_back(std::move(found));
    }
  }

  int number_ = 0;
  int keys_in_section_ = 0;
  bool skipping_ = false;  // inside a section whose header was malformed
};

std::string included(const std::string& from, const std::string& path) {
  return (std::filesystem::path(from).parent_path() / path).lexically_normal().string();
}

// Reads `name` and what it includes into `texts`.
void gather(const std::string& name, int depth, DeckTexts& texts) {
  if (texts.text.contains(name) || texts.failure.contains(name) || depth > deepest_include) return;
  const std::filesystem::path path = std::filesystem::path(texts.working_directory) / name;
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    texts.failure[name] = "it is a directory";
    return;
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file.is_open() || file.bad()) {
    texts.failure[name] = errno != 0 ? std::strerror(errno) : "reading failed";
    return;
  }
  const Scan scan = Scanner(text).scan;
  texts.text.emplace(name, std::move(text));
  for (const Line& include : scan.includes) gather(included(name, include.value), depth + 1, texts);
}

DeckTexts gathered(const std::filesystem::path& path) {
  DeckTexts texts;
  texts.main = path.string();
  texts.working_directory = std::filesystem::current_path().string();
  gather(texts.main, 0, texts);
  return texts;
}

void pack(std::string& packed, const std::string& text) { packed += std::to_string(text.size()) + ":" + text; }

std::string unpack(std::string_view& packed) {
  const auto colon = packed.find(':');
  const std::size_t size = std::stoul(std::string(packed.substr(0, colon)));
  std::string text(packed.substr(colon + 1, size));
  packed.remove_prefix(colon + 1 + size);
  return text;
}

DeckTexts shared(MPI_Comm comm, const DeckTexts& texts) {
  std::string packed;
  pack(packed, texts.main);
  pack(packed, texts.working_directory);
  for (const auto* map : {&texts.text, &texts.failure}) {
    pack(packed, std::to_string(map->size()));
    for (const auto& [name, text] : *map) {
      pack(packed, name);
      pack(packed, text);
    }
  }
  packed = broadcast(comm, std::move(packed));
  std::string_view rest = packed;
  DeckTexts received;
  received.main = unpack(rest);
  received.working_directory = unpack(rest);
  for (auto* map : {&received.text, &received.failure}) {
    for (std::size_t left = std::stoul(unpack(rest)); left > 0; --left) {
      std::string name = unpack(rest);
      (*map)[std::move(name)] = unpack(rest);
    }
  }
  return received;
}

std::string place(const Origin& origin) {
  return origin.line > 0 ? fmt::format("{}:{}", origin.file, origin.line) : origin.file;
}

// Splits `drug.*.clearance` at its star: the family `drug`.
std::string_view family_of(const Parameter& parameter) {
  const auto star = parameter.kind == Kind::open ? std::string_view::npos : parameter.key.find(".*");
  return star == std::string_view::npos ? std::string_view() : parameter.key.substr(0, star);
}

std::string section_of(const Parameter& parameter, std::string_view name) {
  if (const auto family = family_of(parameter); !family.empty()) return fmt::format("{}.{}", family, name);
  return std::string(parameter.key.substr(0, parameter.key.rfind('.')));
}

std::string joined(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : ", ") + item;
  return text;
}

// A list of texts as it stands in a deck.
std::string written_list(const std::vector<std::string>& items) {
  std::vector<std::string> written;
  for (const std::string& item : items) {
    written.push_back(item.find(',') == std::string::npos ? quoted_if_needed(item) : fmt::format("\"{}\"", item));
  }
  return joined(written);
}

}  // namespace

/// Builds a deck from its texts, collecting every fault on the way.
class Deck::Reader {
 public:
  Reader(const DeckTexts& texts, const Catalogue& catalogue, Deck& deck)
      : texts_(texts), catalogue_(catalogue), deck_(deck) {}

  void read(const std::vector<Override>& overrides) {
    for (const Parameter* parameter : catalogue_) {
      if (const auto family = family_of(*parameter); !family.empty()) families_.insert(family);
    }
    // The first value stored wins: the deck's, then those of its includes from the last to the first. The command line
    // comes after the files, whose sections it may name, and replaces what they gave.
    read_file(texts_.main, {}, 0);
    for (const Override& override : overrides) apply(override);
    finish();
  }

  void lay_over(const Deck& below, const std::vector<Open>& changes, bool files) {
    for (const Parameter* parameter : catalogue_) {
      if (const auto family = family_of(*parameter); !family.empty()) families_.insert(family);
    }
    for (const auto& [family, name] : below.sections_) declare(fmt::format("{}.{}", family, name), {below.file_, 0});
    for (const Open& change : changes) {
      declare(change.key, change.origin);
      give(change.key, change.text, change.origin, false);
    }
    if (files) read_file(texts_.main, {}, 0);
    for (const auto& [key, value] : below.values_) {
      std::string name;
      if (value.is_default) continue;  // what it rests on may have changed
      if (match_parameter(catalogue_, key, name) == value.parameter) deck_.values_.emplace(key, value);
    }
    for (const Open& open : below.open_) {
      const auto is_same = [&](const Open& o) { return o.key == open.key; };
      if (match_open(catalogue_, open.key) && std::none_of(deck_.open_.begin(), deck_.open_.end(), is_same))
        deck_.open_.push_back(open);
    }
    finish();
  }

 private:
  void finish() {
    fill_defaults();
    fill_presets();
    if (faults_.empty()) return;
    std::string message = faults_.size() == 1 ? "" : fmt::format("{} faults in the deck:\n", faults_.size());
    for (const std::string& fault : faults_) message += fault + (&fault == &faults_.back() ? "" : "\n");
    throw InputError(message);
  }

  void fault(const Origin& origin, std::string_view what) {
    faults_.push_back(fmt::format("{}: {}", place(origin), what));
  }
  void fault(const Origin& origin, std::string_view key, std::string_view problem, std::string_view expected,
             std::string_view meant) {
    fault(origin, fmt::format("{}: {}; expected {}{}", key, problem, expected,
                              meant.empty() ? "" : fmt::format("; did you mean {}?", meant)));
  }

  void read_file(const std::string& name, const Origin& included_at, int depth) {
    if (std::find(open_.begin(), open_.end(), name) != open_.end() || depth > deepest_include) {
      std::string chain;
      for (const std::string& file : open_) chain += file + " -> ";
      return fault(included_at, "include", "the decks include each other in a cycle (" + chain + name + ")",
                   "bases that do not lead back", "");
    }
    if (const auto failure = texts_.failure.find(name); failure != texts_.failure.end()) {
      if (included_at.file.empty()) {
        throw InputError(
            fmt::format("{}: cannot read the deck: {}; expected the path of a deck", name, failure->second));
      }
      return fault(included_at, "include", fmt::format("cannot read {}: {}", name, failure->second),
                   "a path relative to the including deck", "");
    }
    open_.push_back(name);
    const Scan scan = Scanner(texts_.text.at(name)).scan;
    for (const auto& [line, what] : scan.problems) fault({name, line}, what);
    for (const Section& section : scan.sections) declare(section.name, {name, section.number});
    std::map<std::string, int> lines;  // of this file, by full key
    for (const Line& line : scan.lines) {
      const std::string key = line.section + "." + line.key;
      const auto [earlier, is_new] = lines.emplace(key, line.number);
      if (!is_new) {
        fault({name, line.number}, key, "repeated key",
              fmt::format("each key once (it stands on line {} already)", earlier->second), "");
        continue;
      }
      give(key, line.value, {name, line.number}, line.repeats_default);
    }
    for (auto include = scan.includes.rbegin(); include != scan.includes.rend(); ++include) {
      read_file(included(name, include->value), {name, include->number}, depth + 1);
    }
    open_.pop_back();
  }

  // Notes the name of a section `[family.NAME]`.
  void declare(std::string_view section, const Origin& origin) {
    for (const std::string_view family : families_) {
      if (section.size() <= family.size() + 1 || !section.starts_with(family) || section[family.size()] != '.')
        continue;
      std::string_view name = section.substr(family.size() + 1);
      name = name.substr(0, name.find('.'));
      // `[network.generate]` beside `[network.NAME]` is no member of the family.
      const std::string path = fmt::format("{}.{}.", family, name);
      const bool is_plain = std::any_of(catalogue_.begin(), catalogue_.end(),
                                        [&](const Parameter* parameter) { return parameter->key.starts_with(path); });
      if (is_plain || name.empty()) continue;
      if (!declared_.emplace(std::pair(std::string(family), std::string(name)), origin).second) continue;
      deck_.sections_.emplace_back(family, name);
    }
  }

  void give(const std::string& key, const std::string& text, const Origin& origin, bool repeats_default) {
    std::string name;
    const Parameter* parameter = match_parameter(catalogue_, key, name);
    if (parameter == nullptr && match_open(catalogue_, key) != nullptr) {
      const bool is_new =
          std::none_of(deck_.open_.begin(), deck_.open_.end(), [&](const Open& o) { return o.key == key; });
      if (is_new) deck_.open_.push_back({key, text, origin});
      return declare(key, origin);
    }
    if (parameter == nullptr) {
      return fault(origin, key, "unknown key", "a key that `sanctuary params` lists", nearest_key(catalogue_, key));
    }
    if (!name.empty()) declare(key, origin);
    Value value;
    if (repeats_default && !parameter->required && !parameter->presets && text == default_text(*parameter)) {
      value = default_of(*parameter, name);
    } else {
      Judged judged = judge(*parameter, text, folder_of(origin));
      if (!judged.problem.empty()) return fault(origin, key, judged.problem, judged.expected, judged.meant);
      value = value_of(*parameter, name, text, folder_of(origin), std::move(judged));
      value.origin = origin;
      value.is_default = false;
    }
    if (deck_.values_.emplace(key, std::move(value)).second && repeats_default && parameter->presets)
      repeated_.insert(key);
  }

  void apply(const Override& override) {
    const Origin origin{"--set", 0};
    const std::string text(trimmed(override.value));
    if (!overridden_.insert(override.key).second) {
      return fault(origin, override.key, "given twice", "each key once", "");
    }
    std::string name;
    const Parameter* parameter = match_parameter(catalogue_, override.key, name);
    if (parameter != nullptr && !name.empty()) {
      const std::string family(family_of(*parameter));
      if (!declared_.contains(std::pair(family, name))) {
        std::vector<std::string> known;
        for (const auto& [declared_family, declared_name] : deck_.sections_) {
          if (declared_family == family) known.push_back(declared_name);
        }
        const std::string meant = nearest(name, known);
        return fault(origin, override.key, fmt::format("the deck has no section [{}.{}]", family, name),
                     known.empty() ? "a section that the deck declares" : "one of " + joined(known),
                     meant.empty() ? "" : full_key(*parameter, meant));
      }
    }
    if (text.find_first_of("\n\r") != std::string::npos) {
      return fault(origin, override.key, "line break in the value", "a value of one line", "");
    }
    if (text.find('#') != std::string::npos && text.find('"') != std::string::npos) {
      return fault(origin, override.key, "both '#' and '\"' in the value", "at most one of them", "");
    }
    deck_.values_.erase(override.key);
    std::erase_if(deck_.open_, [&](const Open& o) { return o.key == override.key; });
    repeated_.erase(override.key);
    give(override.key, text, origin, false);
  }

  [[nodiscard]] std::filesystem::path folder_of(const Origin& origin) const {
    const std::filesystem::path working(texts_.working_directory);
    if (origin.file.empty()) return (working / texts_.main).parent_path();
    return origin.line == 0 ? working : (working / origin.file).parent_path();
  }

  [[nodiscard]] static Value value_of(const Parameter& parameter, const std::string& name, const std::string& text,
                                      const std::filesystem::path& base, Judged judged) {
    Value value;
    value.parameter = &parameter;
    value.name = name;
    value.text = text;
    value.si = std::move(judged.si);
    value.declared = std::move(judged.declared);
    value.items = std::move(judged.items);
    value.base = base;
    return value;
  }

  // Defaults are checked by catalogue_faults, not at every reading: one may stand outside its range to mean "not
  // given".
  [[nodiscard]] Value default_of(const Parameter& parameter, const std::string& name) const {
    const std::string text = default_text(parameter);
    const std::filesystem::path base = folder_of({});
    Judged judged;
    if (parameter.kind == Kind::number) {
      judged.declared = {parameter.value};
      judged.si = {units::to_si(parameter.value, parameter.unit)};
    } else {
      judged = judge(parameter, text, base);
    }
    if (!judged.problem.empty() && (parameter.kind == Kind::integer || parameter.kind == Kind::flag)) {
      judged.si = judged.declared = {parameter.value};
      judged.items = {text};
    }
    return value_of(parameter, name, text, base, std::move(judged));
  }

  void fill_defaults() {
    for (const Parameter* parameter : catalogue_) {
      if (parameter->kind == Kind::open) continue;
      const std::string_view family = family_of(*parameter);
      std::vector<std::pair<std::string, Origin>> places;
      if (family.empty()) places.emplace_back("", Origin{texts_.main, 0});
      for (const auto& [section, origin] : declared_) {
        if (section.first == family) places.emplace_back(section.second, origin);
      }
      for (const auto& [name, origin] : places) {
        const std::string key = full_key(*parameter, name);
        if (deck_.values_.contains(key) || was_refused(key)) continue;
        if (parameter->required) {
          fault(origin, key, "required and not given", expectation(*parameter), "");
        } else {
          deck_.values_.emplace(key, default_of(*parameter, name));
        }
      }
    }
  }

  /// Puts the defaults of presets in place of the plain ones, once all that was chosen is known.
  void fill_presets() {
    for (auto& [key, value] : deck_.values_) {
      const Presets* presets = value.parameter->presets;
      if (!presets || (!value.is_default && !repeated_.contains(key))) continue;
      const auto chooser = deck_.values_.find(full_key(*presets->chooser, value.name));
      if (chooser == deck_.values_.end()) continue;  // refused: told already
      const std::string& choice = chooser->second.items.front();
      Presets::Default by = presets->of(*value.parameter, choice);
      const bool plain = by.text.empty();
      if (plain) by.text = default_text(*value.parameter);
      if (value.is_default ? plain : value.text != by.text) continue;
      Judged judged = judge(*value.parameter, by.text, value.base);
      if (!judged.problem.empty())
        throw std::logic_error(fmt::format("preset {}: {} = {}: {}", choice, key, by.text, judged.problem));
      Value by_choice = value_of(*value.parameter, value.name, by.text, folder_of({}), std::move(judged));
      if (!plain) by_choice.preset = choice;
      by_choice.preset_source = std::move(by.source);
      value = std::move(by_choice);
    }
  }

  // A key that was given wrongly is not missing as well.
  [[nodiscard]] bool was_refused(const std::string& key) const {
    return std::any_of(faults_.begin(), faults_.end(),
                       [&](const std::string& text) { return text.find(": " + key + ": ") != std::string::npos; });
  }

  const DeckTexts& texts_;
  const Catalogue& catalogue_;
  Deck& deck_;
  std::set<std::string_view> families_;
  std::map<std::pair<std::string, std::string>, Origin> declared_;  // (family, name)
  std::set<std::string> overridden_, repeated_;                     // the latter: keys marked as defaults of a preset
  std::vector<std::string> open_;                                   // files being read, outermost first
  std::vector<std::string> faults_;
};

Deck Deck::from_texts(const DeckTexts& texts, const std::vector<Override>& overrides, const Catalogue& catalogue) {
  Deck deck;
  deck.catalogue_ = &catalogue;
  deck.file_ = texts.main;
  deck.working_directory_ = texts.working_directory;
  if (const auto main = texts.text.find(texts.main); main != texts.text.end()) deck.original_ = main->second;
  Reader(texts, catalogue, deck).read(overrides);
  return deck;
}

Deck Deck::from_file(const std::filesystem::path& path, const std::vector<Override>& overrides,
                     const Catalogue& catalogue) {
  return from_texts(gathered(path), overrides, catalogue);
}

Deck Deck::from_text(std::string_view text, const std::filesystem::path& base, const std::vector<Override>& overrides,
                     const Catalogue& catalogue) {
  DeckTexts texts;
  texts.main = (base / "(text)").string();
  texts.working_directory = std::filesystem::current_path().string();
  texts.text.emplace(texts.main, text);
  for (const Line& include : Scanner(text).scan.includes) gather(included(texts.main, include.value), 1, texts);
  return from_texts(texts, overrides, catalogue);
}

DeckTexts read_texts(MPI_Comm comm, const std::filesystem::path& path) {
  DeckTexts texts;
  on_root(comm, [&] { texts = gathered(path); });
  return shared(comm, texts);
}

Deck read_deck(MPI_Comm comm, const std::filesystem::path& path, const std::vector<Override>& overrides,
               const Catalogue& catalogue) {
  const DeckTexts texts = read_texts(comm, path);
  Deck deck;
  together(comm, [&] { deck = Deck::from_texts(texts, overrides, catalogue); });
  return deck;
}

Deck Deck::over(const std::vector<Open>& changes, const DeckTexts* on_top, const Catalogue& catalogue) const {
  DeckTexts none;
  none.main = file_;
  none.working_directory = working_directory_;
  Deck deck;
  deck.catalogue_ = &catalogue;
  deck.file_ = file_;
  deck.working_directory_ = working_directory_;
  deck.original_ = original_;
  Reader(on_top ? *on_top : none, catalogue, deck).lay_over(*this, changes, on_top != nullptr);
  return deck;
}

std::vector<Deck::Open> Deck::open(const Parameter& parameter, std::string_view name) const {
  std::string prefix(parameter.key.substr(0, parameter.key.size() - 1));
  if (const auto star = prefix.find('*'); star != std::string::npos) prefix.replace(star, 1, name);
  std::vector<Open> found;
  for (const Open& o : open_) {
    if (o.key.starts_with(prefix)) found.push_back({o.key.substr(prefix.size()), o.text, o.origin});
  }
  return found;
}

const Deck::Value& Deck::find(const Parameter& parameter, std::string_view name) const {
  const auto found = values_.find(full_key(parameter, name));
  if (found == values_.end()) {
    throw std::logic_error(
        fmt::format("{} is not in the catalogue of the deck or '{}' is no section of it", parameter.key, name));
  }
  return found->second;
}

double Deck::number(const Parameter& parameter, std::string_view name) const { return find(parameter, name).si.at(0); }

long Deck::integer(const Parameter& parameter, std::string_view name) const {
  const Value& value = find(parameter, name);
  if (parameter.kind == Kind::integer) return std::stol(value.items.at(0));
  return static_cast<long>(value.si.at(0));
}

bool Deck::flag(const Parameter& parameter, std::string_view name) const { return find(parameter, name).si.at(0) != 0; }

std::string Deck::text(const Parameter& parameter, std::string_view name) const {
  const Value& value = find(parameter, name);
  const bool is_single = parameter.kind == Kind::text || parameter.kind == Kind::choice || parameter.kind == Kind::path;
  return is_single && value.items.size() == 1 ? value.items.front() : value.text;
}

std::filesystem::path Deck::path(const Parameter& parameter, std::string_view name) const {
  return text(parameter, name);
}

std::vector<double> Deck::numbers(const Parameter& parameter, std::string_view name) const {
  return find(parameter, name).si;
}

std::vector<std::string> Deck::texts(const Parameter& parameter, std::string_view name) const {
  return find(parameter, name).items;
}

bool Deck::given(const Parameter& parameter, std::string_view name) const {
  const auto found = values_.find(full_key(parameter, name));
  return found != values_.end() && !found->second.is_default;
}

std::vector<std::string> Deck::names(std::string_view family) const {
  std::vector<std::string> found;
  for (const auto& [of_family, name] : sections_) {
    if (of_family == family) found.push_back(name);
  }
  return found;
}

std::string Deck::where(const Parameter& parameter, std::string_view name) const {
  const std::string key = full_key(parameter, name);
  const auto found = values_.find(key);
  if (found != values_.end() && !found->second.preset.empty())
    return fmt::format("{}: {} (preset {})", file_, key, found->second.preset);
  if (found == values_.end() || found->second.is_default) return fmt::format("{}: {} (default)", file_, key);
  return fmt::format("{}: {}", place(found->second.origin), key);
}

std::vector<Deck::Entry> Deck::entries() const {
  std::vector<Entry> list;
  for (const Parameter* parameter : *catalogue_) {
    if (parameter->kind == Kind::open) continue;
    const std::string_view family = family_of(*parameter);
    const std::vector<std::string> members = family.empty() ? std::vector<std::string>{""} : names(family);
    for (const std::string& name : members) {
      const Value& value = find(*parameter, name);
      Entry entry;
      entry.key = full_key(*parameter, name);
      entry.source = parameter->source;
      entry.meaning = parameter->meaning;
      entry.is_default = value.is_default;
      entry.preset = value.preset;
      if (!value.preset_source.empty()) entry.source = fmt::format("preset {}: {}", value.preset, value.preset_source);
      entry.origin = value.origin;
      switch (parameter->kind) {
        case Kind::number:
        case Kind::numbers: {
          std::vector<std::string> items;
          for (const double number : value.declared) items.push_back(shortest(number));
          entry.value = joined(items);
          entry.unit = parameter->unit;
          break;
        }
        case Kind::texts: {
          entry.value = written_list(value.items);
          break;
        }
        default:
          entry.value = value.items.empty() ? "" : value.items.front();
          if (parameter->kind == Kind::integer) entry.unit = "1";
      }
      list.push_back(std::move(entry));
    }
  }
  return list;
}

// Numbers stay as given, which is exact; a path must not depend on the folder of the file.
std::string Deck::text_of(const Value& value) {
  const Kind kind = value.parameter->kind;
  if (value.is_default || value.items.empty()) return value.text;
  if (kind == Kind::text || kind == Kind::path || kind == Kind::choice) return quoted_if_needed(value.items.front());
  return kind == Kind::texts ? written_list(value.items) : value.text;
}

std::vector<Deck::Open> Deck::given() const {
  std::vector<Open> list;
  for (const auto& [key, value] : values_) {
    if (!value.is_default) list.push_back({key, text_of(value), value.origin});
  }
  return list;
}

std::string Deck::resolved() const {
  std::vector<std::pair<std::string, std::string>> sections;  // name, lines
  for (const Parameter* parameter : *catalogue_) {
    if (parameter->kind == Kind::open) continue;
    const std::string_view family = family_of(*parameter);
    const std::vector<std::string> members = family.empty() ? std::vector<std::string>{""} : names(family);
    for (const std::string& name : members) {
      const Value& value = find(*parameter, name);
      const std::string section = section_of(*parameter, name);
      auto found = std::find_if(sections.begin(), sections.end(), [&](const auto& s) { return s.first == section; });
      if (found == sections.end()) found = sections.insert(found, {section, ""});
      found->second += fmt::format("{} = {}{}\n", full_key(*parameter, name).substr(section.size() + 1), text_of(value),
                                   value.is_default ? "  # default" : "");
    }
  }
  for (const Open& o : open_) {
    const std::string_view pattern = match_open(*catalogue_, o.key)->key;
    std::size_t end = o.key.find('.');
    if (std::count(pattern.begin(), pattern.end(), '*') > 1) end = o.key.find('.', end + 1);
    const std::string section = o.key.substr(0, end);
    auto found = std::find_if(sections.begin(), sections.end(), [&](const auto& s) { return s.first == section; });
    if (found == sections.end()) found = sections.insert(found, {section, ""});
    found->second += fmt::format("{} = {}\n", o.key.substr(end + 1), o.text);
  }
  std::string text = "# Fully resolved: nothing is left to defaults or to included decks.\n";
  for (const auto& [section, lines] : sections) text += fmt::format("\n[{}]\n{}", section, lines);
  return text;
}

}  // namespace sanctuary
