#pragma once
#include <mpi.h>

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/parameter.hpp"

namespace sanctuary {

/// Where a value came from, for messages and for `check`.
struct Origin {
  std::string file;  ///< empty: default; "--set": command line
  int line = 0;
};

/// A `--set key=value` of the command line.
struct Override {
  std::string key, value;
};

/// A deck file and everything it includes, as text: what rank 0 hands to the others.
struct DeckTexts {
  std::string main;                            ///< name of the main file as given
  std::string working_directory;               ///< absolute; names are relative to it
  std::map<std::string, std::string> text;     ///< by name
  std::map<std::string, std::string> failure;  ///< why a file could not be read, by name
};

/// A deck with its included bases and command-line overrides, checked against the catalogue when it is read: unknown
/// and repeated keys, missing and wrong units, values out of range and empty sections are InputErrors that name file,
/// line, key, what was expected and the nearest valid key; one error lists all faults. Values are returned in SI. A
/// deck is INI: `[section]`, `key = value`, `#` comments, before the first section `include = path` (several may stand;
/// a later one beats an earlier one, the including deck beats both). Double quotes keep `#` and spaces of a text;
/// `""` is an explicitly empty text or list. Not collective: see `read_deck`.
class Deck {
 public:
  /// Reads `path` and its includes. Paths in the deck are relative to the file that names them.
  static Deck from_file(const std::filesystem::path& path, const std::vector<Override>& overrides,
                        const Catalogue& catalogue);
  /// Reads text, as from_file, with paths relative to `base`.
  static Deck from_text(std::string_view text, const std::filesystem::path& base,
                        const std::vector<Override>& overrides, const Catalogue& catalogue);

  /// Judges texts that were read already, as from_file; the same texts give the same deck or the same error anywhere.
  static Deck from_texts(const DeckTexts& texts, const std::vector<Override>& overrides, const Catalogue& catalogue);

  /// Value in SI of a number (or integer, or flag as 0 and 1). `name` replaces the `*` of the key.
  [[nodiscard]] double number(const Parameter& parameter, std::string_view name = {}) const;
  [[nodiscard]] long integer(const Parameter& parameter, std::string_view name = {}) const;
  [[nodiscard]] bool flag(const Parameter& parameter, std::string_view name = {}) const;
  /// Text, choice or path as given; a path is absolute.
  [[nodiscard]] std::string text(const Parameter& parameter, std::string_view name = {}) const;
  [[nodiscard]] std::filesystem::path path(const Parameter& parameter, std::string_view name = {}) const;
  /// Comma-separated list in SI, each entry with its own unit (`origin = 0 um, 1 mm, 0 um`); a single unit after the
  /// last entry serves all.
  [[nodiscard]] std::vector<double> numbers(const Parameter& parameter, std::string_view name = {}) const;
  [[nodiscard]] std::vector<std::string> texts(const Parameter& parameter, std::string_view name = {}) const;

  /// True if the deck or the command line gives the key.
  [[nodiscard]] bool given(const Parameter& parameter, std::string_view name = {}) const;
  /// The keys that a parameter of kind `open` took, less what stands before its last `*`, in the order of the deck.
  struct Open {
    std::string key, text;
    Origin origin;
  };
  [[nodiscard]] std::vector<Open> open(const Parameter& parameter, std::string_view name = {}) const;
  /// Every key that was given, with its value as text that reads back as the same anywhere, and where it stands.
  [[nodiscard]] std::vector<Open> given() const;
  /// This deck as another catalogue sees it, with changes on top: `changes` beat the files of `on_top` (none: null),
  /// which beat what this deck gives. Keys that the catalogue does not have are left behind, changes may add sections.
  /// Faults are InputErrors, as in a file.
  [[nodiscard]] Deck over(const std::vector<Open>& changes, const DeckTexts* on_top, const Catalogue& catalogue) const;

  /// Names of the sections `[family.NAME]`, in the order of the deck.
  [[nodiscard]] std::vector<std::string> names(std::string_view family) const;
  /// Text such as `decks/a.ini:12: grid.spacing` for an error about a value that the deck itself could not judge.
  [[nodiscard]] std::string where(const Parameter& parameter, std::string_view name = {}) const;

  /// Every parameter in force: key (with the name filled in), value as text in the declared unit, unit, whether it is
  /// the default, by which preset, source, origin. In catalogue order.
  struct Entry {
    std::string key, value, unit, source, meaning, preset;
    bool is_default = true;
    Origin origin;
  };
  [[nodiscard]] std::vector<Entry> entries() const;
  /// The fully resolved deck: reading it again gives the same entries with nothing left to defaults or includes. A line
  /// that ends in `# default` repeats the program's default and reads back as not given, unless its value was edited.
  [[nodiscard]] std::string resolved() const;
  /// Text of the deck as given (the main file).
  [[nodiscard]] const std::string& original() const { return original_; }
  /// The file that was read, for messages.
  [[nodiscard]] const std::string& file() const { return file_; }

 private:
  struct Value {
    const Parameter* parameter = nullptr;
    std::string name;  // what stands for the `*`
    std::string text;  // as given
    std::vector<double> si;
    std::vector<double> declared;  // the same in the declared unit
    std::vector<std::string> items;
    Origin origin;
    std::filesystem::path base;
    std::string preset, preset_source;  // a default by the choice of another key
    bool is_default = true;
  };
  class Reader;
  [[nodiscard]] static std::string text_of(const Value& value);
  [[nodiscard]] const Value& find(const Parameter& parameter, std::string_view name) const;
  const Catalogue* catalogue_ = nullptr;
  std::map<std::string, Value, std::less<>> values_;  // by full key
  std::vector<Open> open_;                            // with full keys
  std::string working_directory_;
  std::vector<std::pair<std::string, std::string>> sections_;  // family, name
  std::string original_, file_;
};

/// The texts of a deck and its includes, read on rank 0; a file that cannot be read is a fault of the deck made of
/// them. Collective on `comm`.
DeckTexts read_texts(MPI_Comm comm, const std::filesystem::path& path);
/// Reads a deck on rank 0 and gives it to all ranks. On failure all ranks throw the same error. Collective on `comm`.
Deck read_deck(MPI_Comm comm, const std::filesystem::path& path, const std::vector<Override>& overrides,
               const Catalogue& catalogue);

}  // namespace sanctuary
