#include "io/xdmf.hpp"

#include <fmt/format.h>

namespace sanctuary {
namespace {

std::string escaped(const std::string& text) {
  std::string result;
  for (const char letter : text) {
    switch (letter) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += letter;
    }
  }
  return result;
}

std::string item(const XdmfArray& array, const std::string& dimensions, const char* type) {
  return fmt::format(R"(<DataItem Format="HDF" NumberType="{}" Precision="{}" Dimensions="{}">{}:{}</DataItem>)", type,
                     array.bytes, dimensions, escaped(array.file), escaped(array.object));
}

std::string attribute(const XdmfArray& array, const char* centre, const std::string& dimensions) {
  return fmt::format(R"(        <Attribute Name="{}" AttributeType="Scalar" Center="{}">
          <Information Name="unit" Value="{}"/>
          {}
        </Attribute>
)",
                     escaped(array.name), centre, escaped(array.unit), item(array, dimensions, "Float"));
}

std::string tissue_text(const GridLayout& grid, const std::vector<XdmfArray>& fields) {
  // XDMF lists a regular grid as z, y, x.
  const auto zyx = [](const auto& values, auto extra) {
    return fmt::format("{} {} {}", values[2] + extra, values[1] + extra, values[0] + extra);
  };
  std::string text = fmt::format(R"(      <Grid Name="tissue" GridType="Uniform">
        <Topology TopologyType="3DCoRectMesh" Dimensions="{}"/>
        <Geometry GeometryType="ORIGIN_DXDYDZ">
          <DataItem Format="XML" NumberType="Float" Precision="8" Dimensions="3">{}</DataItem>
          <DataItem Format="XML" NumberType="Float" Precision="8" Dimensions="3">{}</DataItem>
        </Geometry>
)",
                                 zyx(grid.cells, 1), zyx(grid.origin, 0.0), zyx(grid.spacing, 0.0));
  for (const auto& field : fields) text += attribute(field, "Cell", zyx(grid.cells, 0));
  return text + "      </Grid>\n";
}

std::string network_text(const XdmfNetwork& network, const std::vector<XdmfArray>& arrays) {
  const auto array = [&](const char* name) {
    return XdmfArray{.name = name, .unit = "m", .file = network.file, .object = network.group + "/" + name, .bytes = 8};
  };
  const std::string segments = std::to_string(network.segments), nodes = std::to_string(network.nodes);
  std::string text = fmt::format(R"(      <Grid Name="network" GridType="Uniform">
        <Topology TopologyType="Polyline" NodesPerElement="2" NumberOfElements="{}">
          {}
        </Topology>
        <Geometry GeometryType="XYZ">
          {}
        </Geometry>
)",
                                 segments, item(array("segments"), segments + " 2", "Int"),
                                 item(array("nodes"), nodes + " 3", "Float"));
  text += attribute(array("radius"), "Cell", segments) + attribute(array("length"), "Cell", segments);
  for (const auto& data : arrays)
    text += attribute(data, data.on_nodes ? "Node" : "Cell", data.on_nodes ? nodes : segments);
  return text + "      </Grid>\n";
}

}  // namespace

std::string xdmf_text(const GridLayout& grid, const XdmfNetwork& network, const std::vector<XdmfTime>& times) {
  std::string text = R"(<?xml version="1.0" encoding="utf-8"?>
<Xdmf Version="3.0">
  <Domain>
    <Grid Name="run" GridType="Collection" CollectionType="Temporal">
)";
  for (const auto& time : times) {
    text += fmt::format(R"(    <Grid Name="time" GridType="Collection" CollectionType="Spatial">
      <Time Value="{}"/>
)",
                        time.seconds);
    text += tissue_text(grid, time.fields);
    if (network.segments > 0) text += network_text(network, time.network);
    text += "    </Grid>\n";
  }
  return text + "    </Grid>\n  </Domain>\n</Xdmf>\n";
}

}  // namespace sanctuary
