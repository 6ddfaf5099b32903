#pragma once
#include <array>
#include <string>
#include <vector>

#include "io/run_file.hpp"

namespace sanctuary {

/// Where XDMF finds one array: `file` is relative to the XDMF file.
struct XdmfArray {
  std::string name, unit, file, object;
  bool on_nodes = false;  ///< network only
  int bytes = 4;          ///< of one number
};

/// What ParaView shows at one time.
struct XdmfTime {
  double seconds = 0;
  std::vector<XdmfArray> fields, network;
};

/// The vessels for XDMF: sizes, and the file that holds them at `group`.
struct XdmfNetwork {
  std::string file, group;
  long nodes = 0, segments = 0;
};

/// Text of a version 3 XDMF file: a temporal collection, at each time the grid with cell data and the network as lines
/// with data on nodes and segments. Serial.
[[nodiscard]] std::string xdmf_text(const GridLayout& grid, const XdmfNetwork& network,
                                    const std::vector<XdmfTime>& times);

}  // namespace sanctuary
