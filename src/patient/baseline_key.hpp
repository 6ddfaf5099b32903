#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/deck.hpp"

namespace sanctuary {

/// What a deck says about the state before treatment: value by key, of every key but those that act on drugs, on what
/// is written or on what is made of it afterwards. Not collective.
[[nodiscard]] std::map<std::string, std::string> baseline_entries(const Deck& deck);

/// Sixteen hexadecimal digits, the same for decks whose patients are the same before treatment: these may share a
/// baseline. Not collective.
[[nodiscard]] std::string baseline_key(const Deck& deck);

/// Keys in which two sets of entries differ.
[[nodiscard]] std::vector<std::string> differing_keys(const std::map<std::string, std::string>& one,
                                                      const std::map<std::string, std::string>& other);

}  // namespace sanctuary
