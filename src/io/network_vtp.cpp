#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <optional>

#include "io/atomic_file.hpp"
#include "io/network_text.hpp"

namespace sanctuary::network_text {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// An element of the XML part; only what VTK writes is understood.
struct Element {
  std::string name;
  std::map<std::string, std::string> attributes;
  std::string_view text;  // between the start tag and the first child or the end tag
  std::vector<std::unique_ptr<Element>> children;
  long line = 0;

  [[nodiscard]] std::string attribute(const std::string& key) const {
    const auto found = attributes.find(key);
    return found == attributes.end() ? std::string{} : found->second;
  }
  [[nodiscard]] const Element* child(std::string_view wanted) const {
    for (const auto& element : children)
      if (element->name == wanted) return element.get();
    return nullptr;
  }
};

std::string without_entities(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, char>, 5> entities{
      {{"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}, {"&amp;", '&'}}};
  std::string result;
  while (!text.empty()) {
    const auto* hit = std::find_if(entities.begin(), entities.end(),
                                   [&](const auto& entity) { return text.starts_with(entity.first); });
    result += hit == entities.end() ? text.front() : hit->second;
    text.remove_prefix(hit == entities.end() ? 1 : hit->first.size());
  }
  return result;
}

/// Reads the XML of a VTK file up to the appended data, whose raw bytes are no XML.
class XmlReader {
 public:
  XmlReader(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  std::unique_ptr<Element> read(std::string_view& appended, std::string& encoding) {
    Element top;
    std::vector<Element*> open{&top};
    while (at_ < text_.size()) {
      const auto less = text_.find('<', at_);
      if (less == std::string_view::npos) break;
      count_lines(less);
      if (open.size() > 1 && open.back()->children.empty() && open.back()->text.empty())
        open.back()->text = text_.substr(at_, less - at_);
      at_ = less;
      if (skip("<!--", "-->") || skip("<?", "?>") || skip("<!", ">")) continue;
      const auto greater = tag_end();
      std::string_view tag = text_.substr(at_ + 1, greater - at_ - 1);
      at_ = greater + 1;
      if (tag.starts_with('/')) {
        tag = trim(tag.substr(1));
        if (open.size() < 2 || open.back()->name != tag)
          fail(file_, line_, fmt::format("unexpected end tag </{}>", tag));
        open.pop_back();
        continue;
      }
      const bool closed = tag.ends_with('/');
      if (closed) tag.remove_suffix(1);
      if (open.size() > 64) fail(file_, line_, "elements are nested too deeply; is this a VTK file?");
      auto element = std::make_unique<Element>(start_tag(tag));
      if (element->name == "AppendedData") {
        encoding = element->attribute("encoding");
        const auto mark = text_.find('_', at_);
        if (mark == std::string_view::npos) fail(file_, line_, "the appended data end early; expected '_' before them");
        appended = text_.substr(mark + 1);
        complete_ = true;
        break;
      }
      Element* added = element.get();
      open.back()->children.push_back(std::move(element));
      if (!closed) open.push_back(added);
    }
    if (!complete_ && open.size() > 1)
      fail(file_, line_, fmt::format("the file ends inside <{}> of line {}", open.back()->name, open.back()->line));
    for (auto& element : top.children)
      if (element->name == "VTKFile") return std::move(element);
    fail(file_, 0, "no <VTKFile> element; expected VTK XML PolyData (.vtp)");
  }

 private:
  static std::string_view trim(std::string_view text) {
    constexpr std::string_view blanks = " \t\r\n";
    const auto first = text.find_first_not_of(blanks);
    return first == std::string_view::npos ? std::string_view{}
                                           : text.substr(first, text.find_last_not_of(blanks) - first + 1);
  }
  void count_lines(std::size_t to) {
    line_ += std::count(text_.begin() + static_cast<std::ptrdiff_t>(at_),
                        text_.begin() + static_cast<std::ptrdiff_t>(to), '\n');
  }
  bool skip(std::string_view from, std::string_view to) {
    if (!text_.substr(at_).starts_with(from)) return false;
    const auto end = text_.find(to, at_ + from.size());
    if (end == std::string_view::npos) fail(file_, line_, fmt::format("the file ends inside {}", from));
    count_lines(end);
    at_ = end + to.size();
    return true;
  }
  std::size_t tag_end() {
    char quote = 0;
    for (std::size_t i = at_; i < text_.size(); ++i) {
      const char c = text_[i];
      if (quote != 0) {
        if (c == quote) quote = 0;
      } else if (c == '"' || c == '\'') {
        quote = c;
      } else if (c == '>') {
        return i;
      }
    }
    fail(file_, line_, "the file ends inside a tag");
  }
  Element start_tag(std::string_view tag) {
    Element element;
    element.line = line_;
    const auto name_end = std::min(tag.find_first_of(" \t\r\n"), tag.size());
    element.name = std::string(tag.substr(0, name_end));
    std::string_view rest = trim(tag.substr(name_end));
    while (!rest.empty()) {
      const auto equals = rest.find('=');
      if (equals == std::string_view::npos)
        fail(file_, line_, fmt::format("<{}>: expected name=\"value\"", element.name));
      const auto key = trim(rest.substr(0, equals));
      rest = trim(rest.substr(equals + 1));
      if (rest.empty() || (rest[0] != '"' && rest[0] != '\''))
        fail(file_, line_, fmt::format("<{}>: the value of {} is not quoted", element.name, key));
      const auto end = rest.find(rest[0], 1);
      if (end == std::string_view::npos)
        fail(file_, line_, fmt::format("<{}>: the value of {} has no closing quote", element.name, key));
      element.attributes[std::string(key)] = without_entities(rest.substr(1, end - 1));
      rest = trim(rest.substr(end + 1));
    }
    return element;
  }

  std::string_view text_;
  const std::string& file_;
  std::size_t at_ = 0;
  long line_ = 1;
  bool complete_ = false;
};

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return -1;
}

/// Decodes from `text[at]` until `wanted` bytes, padding, or a character that is not base64; `at` is left behind the
/// last group of four characters read.
std::string decode_base64(std::string_view text, std::size_t& at, std::size_t wanted) {
  std::string bytes;
  while (bytes.size() < wanted) {
    std::array<int, 4> group{};
    int filled = 0, padding = 0;
    std::size_t look = at;
    while (look < text.size() && filled < 4) {
      const char c = text[look];
      if (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
        ++look;
        continue;
      }
      const int value = c == '=' ? 0 : base64_value(c);
      if (value < 0) break;
      padding += c == '=';
      group[static_cast<std::size_t>(filled++)] = value;
      ++look;
    }
    if (filled < 4) break;
    at = look;
    const unsigned word = static_cast<unsigned>(group[0]) << 18 | static_cast<unsigned>(group[1]) << 12 |
                          static_cast<unsigned>(group[2]) << 6 | static_cast<unsigned>(group[3]);
    bytes += static_cast<char>(word >> 16 & 0xff);
    if (padding < 2) bytes += static_cast<char>(word >> 8 & 0xff);
    if (padding < 1) bytes += static_cast<char>(word & 0xff);
    if (padding > 0) break;
  }
  return bytes;
}

std::string encode_base64(std::string_view bytes) {
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve(4 * (bytes.size() / 3 + 1));
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t rest = std::min<std::size_t>(3, bytes.size() - i);
    unsigned word = 0;
    for (std::size_t j = 0; j < 3; ++j) word = word << 8 | (j < rest ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    for (std::size_t j = 0; j < 4; ++j) text += j <= rest ? letters[word >> (18 - 6 * j) & 63] : '=';
  }
  return text;
}

struct NumberType {
  std::size_t bytes = 0;
  enum class Family { real, integer, natural } family = Family::real;
};

std::optional<NumberType> number_type(std::string_view name) {
  using Family = NumberType::Family;
  const std::array<std::pair<std::string_view, NumberType>, 10> types{{{"Float32", {4, Family::real}},
                                                                       {"Float64", {8, Family::real}},
                                                                       {"Int8", {1, Family::integer}},
                                                                       {"Int16", {2, Family::integer}},
                                                                       {"Int32", {4, Family::integer}},
                                                                       {"Int64", {8, Family::integer}},
                                                                       {"UInt8", {1, Family::natural}},
                                                                       {"UInt16", {2, Family::natural}},
                                                                       {"UInt32", {4, Family::natural}},
                                                                       {"UInt64", {8, Family::natural}}}};
  for (const auto& [known, type] : types)
    if (known == name) return type;
  return std::nullopt;
}

/// Decodes the data arrays of one file.
class ArrayReader {
 public:
  ArrayReader(const Element& root, std::string_view appended, std::string encoding, const std::string& file)
      : appended_(appended), encoding_(std::move(encoding)), file_(file) {
    const std::string order = root.attribute("byte_order"), header = root.attribute("header_type"),
                      compressor = root.attribute("compressor");
    if (!order.empty() && order != "LittleEndian" && order != "BigEndian")
      fail(file_, root.line, fmt::format("byte_order '{}': expected LittleEndian or BigEndian", order));
    swap_ = (order == "BigEndian") == (std::endian::native == std::endian::little);
    if (!header.empty() && header != "UInt32" && header != "UInt64")
      fail(file_, root.line, fmt::format("header_type '{}': expected UInt32 or UInt64", header));
    word_ = header == "UInt64" ? 8 : 4;
    if (!compressor.empty() && compressor != "vtkZLibDataCompressor")
      fail(file_, root.line,
           fmt::format("compressor {} is not read; save the file uncompressed or with zlib", compressor));
    compressed_ = !compressor.empty();
  }

  std::vector<double> numbers(const Element& array) const {
    const auto type = number_type(array.attribute("type"));
    if (!type) fail(file_, array.line, fmt::format("data array of type '{}' is not read", array.attribute("type")));
    const std::string format = array.attribute("format");
    if (format == "ascii" || format.empty()) {
      std::vector<double> result;
      std::string flat(array.text);
      std::replace(flat.begin(), flat.end(), '\n', ' ');
      for (const auto word : words(flat))
        result.push_back(number(word, file_, array.line, fmt::format("data array '{}'", array.attribute("Name"))));
      return result;
    }
    std::string bytes;
    if (format == "binary") {
      bytes = from_base64(array.text, array);
    } else if (format == "appended") {
      const long offset = integer(array.attribute("offset"), file_, array.line, "offset of a data array");
      if (offset < 0 || static_cast<std::size_t>(offset) > appended_.size())
        fail(file_, array.line,
             fmt::format("data array '{}' begins at {} of the appended data, which end at {}: the file "
                         "is cut short",
                         array.attribute("Name"), offset, appended_.size()));
      const auto part = appended_.substr(static_cast<std::size_t>(offset));
      if (encoding_ == "base64")
        bytes = from_base64(part, array);
      else if (encoding_ == "raw")
        bytes = from_raw(part, array);
      else
        fail(file_, array.line, fmt::format("encoding '{}' of the appended data: expected raw or base64", encoding_));
    } else {
      fail(file_, array.line, fmt::format("format '{}' of a data array: expected ascii, binary or appended", format));
    }
    if (bytes.size() % type->bytes != 0)
      fail(file_, array.line,
           fmt::format("data array '{}' has {} bytes, not a multiple of {}", array.attribute("Name"), bytes.size(),
                       type->bytes));
    return converted(bytes, *type);
  }

 private:
  [[noreturn]] void cut(const Element& array) const {
    fail(file_, array.line, fmt::format("the data of array '{}' are cut short or damaged", array.attribute("Name")));
  }

  [[nodiscard]] std::vector<std::uint64_t> header_words(std::string_view bytes) const {
    std::vector<std::uint64_t> result;
    for (std::size_t at = 0; at + word_ <= bytes.size(); at += word_) {
      std::array<unsigned char, 8> raw{};
      std::memcpy(raw.data(), bytes.data() + at, word_);
      if (swap_) std::reverse(raw.begin(), raw.begin() + static_cast<std::ptrdiff_t>(word_));
      std::uint64_t value = 0;
      if (word_ == 4) {
        std::uint32_t narrow = 0;
        std::memcpy(&narrow, raw.data(), 4);
        value = narrow;
      } else {
        std::memcpy(&value, raw.data(), 8);
      }
      result.push_back(value);
    }
    return result;
  }

  /// Words of a compression header that follow the first three: the compressed size of each block.
  [[nodiscard]] std::size_t blocks_in(const std::vector<std::uint64_t>& header, std::size_t available,
                                      const Element& array) const {
    if (header.size() < 3 || header[0] > available) cut(array);
    return header[0];
  }

  std::string from_base64(std::string_view text, const Element& array) const {
    std::size_t at = 0;
    if (!compressed_) {
      // VTK encodes length and data in one go; other writers close the length with padding first.
      const std::string length = decode_base64(text, at, word_);
      const auto header = header_words(length);
      if (header.empty() || header[0] > text.size()) cut(array);
      std::string bytes;
      if (length.size() == word_) {
        bytes = decode_base64(text, at, header[0]);
      } else {
        at = 0;
        bytes = decode_base64(text, at, word_ + header[0]);
        bytes.erase(0, std::min(word_, bytes.size()));
      }
      if (bytes.size() < header[0]) cut(array);
      bytes.resize(header[0]);
      return bytes;
    }
    const std::string start = decode_base64(text, at, 3 * word_);
    const std::size_t blocks = blocks_in(header_words(start), text.size(), array);
    at = 0;
    const auto header = header_words(decode_base64(text, at, (3 + blocks) * word_));
    if (header.size() < 3 + blocks) cut(array);
    std::size_t total = 0;
    for (std::size_t b = 0; b < blocks; ++b) {
      if (header[3 + b] > text.size()) cut(array);
      total += header[3 + b];
    }
    return inflated(header, decode_base64(text, at, total), array);
  }

  std::string from_raw(std::string_view bytes, const Element& array) const {
    if (!compressed_) {
      const auto header = header_words(bytes.substr(0, word_));
      if (header.empty() || header[0] > bytes.size() - word_) cut(array);
      return std::string(bytes.substr(word_, header[0]));
    }
    const std::size_t blocks = blocks_in(header_words(bytes.substr(0, 3 * word_)), bytes.size(), array);
    const auto header = header_words(bytes.substr(0, (3 + blocks) * word_));
    if (header.size() < 3 + blocks) cut(array);
    return inflated(header, bytes.substr((3 + blocks) * word_), array);
  }

  /// Header: number of blocks, bytes of a block, bytes of the last block if it is partial, compressed bytes of each.
  std::string inflated(const std::vector<std::uint64_t>& header, std::string_view bytes, const Element& array) const {
    constexpr std::uint64_t largest_ratio = 1100;  // deflate does not go beyond 1032
    const std::uint64_t blocks = header[0];
    std::string result;
    for (std::uint64_t b = 0; b < blocks; ++b) {
      const std::uint64_t packed = header[3 + b];
      const std::uint64_t whole = b + 1 == blocks && header[2] != 0 ? header[2] : header[1];
      if (packed > bytes.size() || whole > largest_ratio * (packed + 1)) cut(array);
      std::string block(whole, '\0');
      uLongf size = whole;
      if (uncompress(reinterpret_cast<Bytef*>(block.data()), &size, reinterpret_cast<const Bytef*>(bytes.data()),
                     packed) != Z_OK ||
          size != whole)
        cut(array);
      result += block;
      bytes.remove_prefix(packed);
    }
    return result;
  }

  template <class T>
  [[nodiscard]] std::vector<double> typed(const std::string& bytes) const {
    std::vector<double> result;
    result.reserve(bytes.size() / sizeof(T));
    for (std::size_t at = 0; at < bytes.size(); at += sizeof(T)) {
      std::array<char, sizeof(T)> raw{};
      std::memcpy(raw.data(), bytes.data() + at, sizeof(T));
      if (swap_) std::reverse(raw.begin(), raw.end());
      T value{};
      std::memcpy(&value, raw.data(), sizeof(T));
      result.push_back(static_cast<double>(value));
    }
    return result;
  }

  [[nodiscard]] std::vector<double> converted(const std::string& bytes, const NumberType& type) const {
    using Family = NumberType::Family;
    if (type.family == Family::real) return type.bytes == 4 ? typed<float>(bytes) : typed<double>(bytes);
    const bool natural = type.family == Family::natural;
    switch (type.bytes) {
      case 1:
        return natural ? typed<std::uint8_t>(bytes) : typed<std::int8_t>(bytes);
      case 2:
        return natural ? typed<std::uint16_t>(bytes) : typed<std::int16_t>(bytes);
      case 4:
        return natural ? typed<std::uint32_t>(bytes) : typed<std::int32_t>(bytes);
      default:
        return natural ? typed<std::uint64_t>(bytes) : typed<std::int64_t>(bytes);
    }
  }

  std::string_view appended_;
  std::string encoding_;
  const std::string& file_;
  std::size_t word_ = 4;
  bool swap_ = false, compressed_ = false;
};

const Element* find_array(const Element* data, std::string_view name) {
  if (data == nullptr) return nullptr;
  for (const auto& element : data->children)
    if (element->name == "DataArray" && element->attribute("Name") == name) return element.get();
  return nullptr;
}

/// What one piece of the file holds, in file units.
struct Piece {
  std::vector<double> points, connectivity, offsets;
  std::map<std::string, std::vector<double>> of_points, of_lines;
  long line = 0;
};

long whole(double value, const std::string& file, long line, std::string_view what) {
  if (!(std::abs(value) < 9e15) || value != std::floor(value))
    fail(file, line, fmt::format("{} {} is not a whole number", what, value));
  return static_cast<long>(value);
}

}  // namespace

VesselGraph read_vtp(const std::filesystem::path& path, const ReadOptions& options, Notes& notes) {
  const std::string file = path.string(), text = slurp(path);
  if (text.find('<') == std::string::npos) fail(file, 0, "is not XML; expected VTK PolyData (.vtp)");
  std::string_view appended;
  std::string encoding;
  const auto root = XmlReader(text, file).read(appended, encoding);
  if (root->attribute("type") != "PolyData")
    fail(file, root->line, fmt::format("holds '{}'; expected PolyData with lines", root->attribute("type")));
  const Element* data = root->child("PolyData");
  if (data == nullptr) fail(file, root->line, "no <PolyData> element");
  const ArrayReader reader(*root, appended, encoding, file);

  double metres = 0;
  if (const Element* stated = find_array(data->child("FieldData"), "metres_per_unit"); stated != nullptr) {
    const auto values = reader.numbers(*stated);
    if (values.size() != 1 || !(values[0] > 0))
      fail(file, stated->line, "metres_per_unit: expected one positive number");
    metres = values[0];
  }
  if (!options.length_unit.empty()) metres = unit_factor(options.length_unit, "m", file);
  if (metres == 0) fail(file, 0, "a .vtp file does not say its unit of length; state it (length_unit, such as um)");
  const double radius_metres = (options.radius_unit.empty() ? metres : unit_factor(options.radius_unit, "m", file)) *
                               (options.radius_is_diameter ? 0.5 : 1);

  // Names of the array with the radius, in the order of preference.
  const std::vector<std::string> radius_names = options.radius_name.empty()
                                                    ? std::vector<std::string>{"Radius", "radius", "R"}
                                                    : std::vector{options.radius_name};
  const std::vector<std::string> own_of_points{"node_id", "boundary_kind", "boundary_value", "boundary_haematocrit",
                                               "boundary_po2"};
  const std::vector<std::string> own_of_lines{"segment_id", "length", "maturity", "type", "flow", "haematocrit"};

  std::string radius_name;
  bool radius_on_points = false, own = false;
  std::vector<Piece> pieces;
  for (const auto& element : data->children) {
    if (element->name != "Piece") continue;
    Piece piece;
    piece.line = element->line;
    const auto count = [&](const char* name) {
      const std::string given = element->attribute(name);
      const long value = given.empty() ? 0 : integer(given, file, element->line, name);
      if (value < 0) fail(file, element->line, fmt::format("{} = {} is negative", name, value));
      return static_cast<std::size_t>(value);
    };
    const std::size_t point_count = count("NumberOfPoints"), line_count = count("NumberOfLines"),
                      vertex_count = count("NumberOfVerts"), polygon_count = count("NumberOfPolys"),
                      strip_count = count("NumberOfStrips");
    if (vertex_count + polygon_count + strip_count > 0)
      notes.push_back(fmt::format("{}:{}: {} cells that are not lines are not used", file, element->line,
                                  vertex_count + polygon_count + strip_count));
    const auto array = [&](const Element* of, std::string_view name, std::size_t length, const char* what) {
      const Element* found = find_array(of, name);
      if (found == nullptr) fail(file, element->line, fmt::format("no data array '{}' of {}", name, what));
      auto values = reader.numbers(*found);
      if (length != std::string::npos && values.size() != length)
        fail(file, found->line,
             fmt::format("data array '{}' of {} has {} values; expected {}", name, what, values.size(), length));
      for (double value : values)
        if (std::isinf(value) || (std::isnan(value) && name.find("flow") == std::string_view::npos &&
                                  name.find("haematocrit") == std::string_view::npos && name != "boundary_po2"))
          fail(file, found->line, fmt::format("data array '{}' holds a value that is not finite", name));
      return values;
    };
    const Element* points = element->child("Points");
    const Element* coordinates = points == nullptr ? nullptr : points->child("DataArray");
    if (coordinates == nullptr) fail(file, element->line, "a piece without <Points>");
    piece.points = array(points, coordinates->attribute("Name"), 3 * point_count, "points");
    const Element* lines = element->child("Lines");
    if (line_count > 0 && lines == nullptr) fail(file, element->line, "a piece without <Lines>");
    if (line_count > 0) {
      piece.connectivity = array(lines, "connectivity", std::string::npos, "lines");
      piece.offsets = array(lines, "offsets", line_count, "lines");
    }
    const Element* point_data = element->child("PointData");
    const Element* cell_data = element->child("CellData");
    if (radius_name.empty()) {
      for (const auto& name : radius_names) {
        if (!radius_name.empty()) break;
        if (find_array(point_data, name) != nullptr)
          radius_name = name, radius_on_points = true;
        else if (find_array(cell_data, name) != nullptr)
          radius_name = name;
      }
      if (radius_name.empty()) {
        std::string present;
        for (const Element* of : {point_data, cell_data})
          if (of != nullptr)
            for (const auto& one : of->children) present += (present.empty() ? "" : ", ") + one->attribute("Name");
        fail(file, element->line,
             fmt::format("no array '{}' with the radius; the file has: {}. Name the array (radius_name)",
                         radius_names[0], present.empty() ? "none" : present));
      }
      own = find_array(point_data, "node_id") != nullptr && find_array(cell_data, "segment_id") != nullptr;
    }
    // Cell data are ordered vertices, lines, polygons, strips.
    const std::size_t cells = vertex_count + line_count + polygon_count + strip_count;
    const auto of_lines = [&](const std::string& name) {
      auto values = array(cell_data, name, cells, "cells");
      values.erase(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(vertex_count));
      values.resize(line_count);
      return values;
    };
    if (radius_on_points)
      piece.of_points[radius_name] = array(point_data, radius_name, point_count, "points");
    else
      piece.of_lines[radius_name] = of_lines(radius_name);
    if (own) {
      for (const auto& name : own_of_points) piece.of_points[name] = array(point_data, name, point_count, "points");
      for (const auto& name : own_of_lines)
        if (find_array(cell_data, name) != nullptr) piece.of_lines[name] = of_lines(name);
    }
    pieces.push_back(std::move(piece));
  }
  if (pieces.empty()) fail(file, data->line, "no <Piece> with points and lines");

  VesselGraph graph;
  // Lines of other programs meet where their points have the same coordinates; ours name their nodes.
  std::map<std::array<double, 3>, long> node_at;
  std::map<long, long> node_named;
  long next_id = 0, zero_radii = 0;
  std::vector<double> flows, haematocrits;
  for (const Piece& piece : pieces) {
    const auto points = piece.points.size() / 3;
    std::vector<long> node(points, -1);
    const auto node_of = [&](std::size_t p) {
      if (node[p] >= 0) return node[p];
      const std::array<double, 3> place{piece.points[3 * p], piece.points[3 * p + 1], piece.points[3 * p + 2]};
      const long id = own ? whole(piece.of_points.at("node_id")[p], file, piece.line, "node id") : next_id;
      if (!own)
        if (const auto found = node_at.find(place); found != node_at.end()) return node[p] = found->second;
      if (own && node_named.contains(id)) fail(file, piece.line, fmt::format("node id {} is used twice", id));
      ++next_id;
      const long added = graph.add_node({place[0] * metres, place[1] * metres, place[2] * metres}, id);
      node[p] = node_at[place] = node_named[id] = added;
      if (own) {
        const auto of = [&](const char* name) { return piece.of_points.at(name)[p]; };
        const double kind = of("boundary_kind");
        if (kind != 0 && kind != 1 && kind != 2)
          fail(file, piece.line, fmt::format("boundary_kind {}: expected 0 (none), 1 (pressure) or 2 (flow)", kind));
        graph.set_boundary(added, static_cast<BoundaryKind>(static_cast<int>(kind)), of("boundary_value"),
                           of("boundary_haematocrit"), of("boundary_po2"));
      }
      return added;
    };
    if (own)
      for (std::size_t p = 0; p < points; ++p) (void)node_of(p);
    if (radius_on_points)
      for (double r : piece.of_points.at(radius_name)) zero_radii += r == 0;
    long begin = 0;
    for (std::size_t l = 0; l < piece.offsets.size(); ++l) {
      const long end = whole(piece.offsets[l], file, piece.line, "offset of a line");
      if (end < begin || static_cast<std::size_t>(end) > piece.connectivity.size())
        fail(file, piece.line,
             fmt::format("line {} ends at {} of {} entries of the connectivity", l, end, piece.connectivity.size()));
      std::vector<std::size_t> along;
      for (long i = begin; i < end; ++i) {
        const long p = whole(piece.connectivity[static_cast<std::size_t>(i)], file, piece.line, "point of a line");
        if (p < 0 || static_cast<std::size_t>(p) >= points)
          fail(file, piece.line, fmt::format("line {} refers to point {} of {}", l, p, points));
        along.push_back(static_cast<std::size_t>(p));
      }
      begin = end;
      for (std::size_t i = 0; i + 1 < along.size(); ++i) {
        const long from = node_of(along[i]), to = node_of(along[i + 1]);
        const double radius =
            radius_on_points
                ? 0.5 * (piece.of_points.at(radius_name)[along[i]] + piece.of_points.at(radius_name)[along[i + 1]])
                : piece.of_lines.at(radius_name)[l];
        const auto of = [&](const char* name) -> std::optional<double> {
          const auto found = piece.of_lines.find(name);
          return found == piece.of_lines.end() ? std::nullopt : std::optional<double>(found->second[l]);
        };
        const auto id = of("segment_id");
        const auto s = static_cast<std::size_t>(graph.add_segment(
            from, to, radius * radius_metres, id ? whole(*id, file, piece.line, "segment id") : graph.segments()));
        if (const auto length = of("length"); length) graph.length[s] = *length * metres;
        graph.maturity[s] = of("maturity").value_or(options.maturity);
        if (const auto type = of("type"); type)
          graph.type[s] = static_cast<int>(whole(*type, file, piece.line, "type"));
        flows.push_back(of("flow").value_or(nan));
        haematocrits.push_back(of("haematocrit").value_or(nan));
      }
    }
    if (static_cast<std::size_t>(begin) != piece.connectivity.size())
      fail(file, piece.line,
           fmt::format("the lines use {} of {} entries of the connectivity", begin, piece.connectivity.size()));
  }
  const auto any = [](const std::vector<double>& values) {
    return std::any_of(values.begin(), values.end(), [](double value) { return !std::isnan(value); });
  };
  if (any(flows)) graph.file_flow = std::move(flows);
  if (any(haematocrits)) graph.file_haematocrit = std::move(haematocrits);
  if (zero_radii > 0)
    notes.push_back(fmt::format("{} points have radius 0; a segment has the mean of its two points", zero_radii));
  if (!own) notes.push_back("a .vtp file of another program has no boundary conditions; set them before a simulation");
  return graph;
}

void write_vtp(const std::filesystem::path& path, const VesselGraph& graph) {
  static_assert(std::endian::native == std::endian::little, "the byte order is stated in the file");
  std::string text;
  const auto raw = [](const auto* values, std::size_t count) {
    const std::uint64_t bytes = count * sizeof(*values);
    std::string block(sizeof(bytes) + bytes, '\0');
    std::memcpy(block.data(), &bytes, sizeof(bytes));
    if (bytes > 0) std::memcpy(block.data() + sizeof(bytes), values, bytes);
    return encode_base64(block);
  };
  const auto reals = [&](const char* name, const std::vector<double>& values, int components = 1) {
    text += fmt::format(R"(<DataArray type="Float64" Name="{}" NumberOfComponents="{}" format="binary">{}</DataArray>)"
                        "\n",
                        name, components, raw(values.data(), values.size()));
  };
  const auto integers = [&](const char* name, const std::vector<std::int64_t>& values) {
    text += fmt::format(R"(<DataArray type="Int64" Name="{}" format="binary">{}</DataArray>)"
                        "\n",
                        name, raw(values.data(), values.size()));
  };
  const auto copied = [](const auto& values) { return std::vector<std::int64_t>(values.begin(), values.end()); };
  std::vector<std::int64_t> kind, connectivity, offsets;
  for (const auto one : graph.boundary) kind.push_back(static_cast<std::int64_t>(one));
  std::vector<double> points;
  for (const auto& p : graph.position) points.insert(points.end(), p.begin(), p.end());
  for (const auto& pair : graph.segment) {
    connectivity.insert(connectivity.end(), pair.begin(), pair.end());
    offsets.push_back(static_cast<std::int64_t>(connectivity.size()));
  }
  text +=
      "<?xml version=\"1.0\"?>\n<!-- vessel network in m, Pa, m^3/s; boundary_kind 0 none, 1 pressure, 2 flow -->\n";
  text += R"(<VTKFile type="PolyData" version="1.0" byte_order="LittleEndian" header_type="UInt64">)"
          "\n<PolyData>\n<FieldData>\n"
          R"(<DataArray type="Float64" Name="metres_per_unit" NumberOfTuples="1" format="ascii">1</DataArray>)"
          "\n</FieldData>\n";
  text += fmt::format(
      R"(<Piece NumberOfPoints="{}" NumberOfVerts="0" NumberOfLines="{}" NumberOfStrips="0" NumberOfPolys="0">)"
      "\n<PointData>\n",
      graph.nodes(), graph.segments());
  integers("node_id", copied(graph.node_id));
  integers("boundary_kind", kind);
  reals("boundary_value", graph.boundary_value);
  reals("boundary_haematocrit", graph.boundary_haematocrit);
  reals("boundary_po2", graph.boundary_po2);
  text += "</PointData>\n<CellData Scalars=\"radius\">\n";
  reals("radius", graph.radius);
  reals("length", graph.length);
  reals("maturity", graph.maturity);
  integers("segment_id", copied(graph.segment_id));
  integers("type", copied(graph.type));
  if (graph.has_file_flow()) reals("flow", graph.file_flow);
  if (graph.has_file_haematocrit()) reals("haematocrit", graph.file_haematocrit);
  text += "</CellData>\n<Points>\n";
  reals("Points", points, 3);
  text += "</Points>\n<Lines>\n";
  integers("connectivity", connectivity);
  integers("offsets", offsets);
  text += "</Lines>\n</Piece>\n</PolyData>\n</VTKFile>\n";
  write_text_atomically(path, text);
}

}  // namespace sanctuary::network_text
