#include "io/network_formats.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/error.hpp"
#include "solvers/network/morphometry.hpp"

namespace sanctuary {
namespace {

namespace fs = std::filesystem;
constexpr double um = 1e-6, mmhg = 133.322387415, nl_min = 1e-12 / 60;
const fs::path reference = SANCTUARY_REFERENCE_DATA;

/// A directory that goes with the test.
class NetworkFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "sanctuary_network_XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { fs::remove_all(directory_); }

  fs::path file(const std::string& name, std::string_view text) const {
    std::ofstream(directory_ / name, std::ios::binary) << text;
    return directory_ / name;
  }
  /// Reading must fail with all these words in the message.
  void expect_error(const fs::path& path, const std::vector<std::string>& words,
                    const ReadOptions& options = {}) const {
    try {
      (void)read_network(path, options);
      ADD_FAILURE() << path << " was accepted";
    } catch (const InputError& error) {
      for (const auto& word : words)
        EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << word << " is not in: " << error.what();
    }
  }
  fs::path directory_;
};

std::string text_of(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

ReadOptions in_um() {
  ReadOptions options;
  options.length_unit = "um";
  return options;
}

struct Reference {
  std::string path;
  ReadOptions options;
  long segments, nodes, ends;
};

std::vector<Reference> references() {
  Reference rat{"tumour_r3230ac/network.dat", {}, 104, 92, 17};
  rat.options.flow_factor = 1.333;
  return {{"mesentery_546/netflowv2_network.dat", {}, 1130, 972, 36},
          {"dumux_embedded/network.dgf", {}, 1735, 1746, 126},
          {"microvesselchaste_tumor/tapmeier_network.vtp", in_um(), 806, 807, -1},
          rat};
}

void expect_same(const VesselGraph& a, const VesselGraph& b) {
  const auto same = [](const std::vector<double>& x, const std::vector<double>& y, const char* what) {
    ASSERT_EQ(x.size(), y.size()) << what;
    for (std::size_t i = 0; i < x.size(); ++i)
      ASSERT_TRUE(x[i] == y[i] || (std::isnan(x[i]) && std::isnan(y[i])))
          << what << " " << i << ": " << x[i] << " " << y[i];
  };
  EXPECT_EQ(a.position, b.position);
  EXPECT_EQ(a.node_id, b.node_id);
  EXPECT_EQ(a.boundary, b.boundary);
  EXPECT_EQ(a.segment, b.segment);
  EXPECT_EQ(a.segment_id, b.segment_id);
  EXPECT_EQ(a.type, b.type);
  same(a.boundary_value, b.boundary_value, "boundary value");
  same(a.boundary_haematocrit, b.boundary_haematocrit, "boundary haematocrit");
  same(a.boundary_po2, b.boundary_po2, "boundary po2");
  same(a.radius, b.radius, "radius");
  same(a.length, b.length, "length");
  same(a.maturity, b.maturity, "maturity");
  same(a.file_flow, b.file_flow, "flow");
  same(a.file_haematocrit, b.file_haematocrit, "haematocrit");
}

/// A graph with something of everything.
VesselGraph sample() {
  VesselGraph graph;
  graph.add_node({1e-6 / 3, 0, -2e-5}, 7), graph.add_node({1e-5, 3e-6, 0}, 3);
  graph.add_node({1e-5, 3e-6, 0}, 12), graph.add_node({5e-5, 0.1e-6, 1e-5}, 0);
  graph.file_flow = {}, graph.file_haematocrit = {};
  graph.add_segment(0, 1, 4.1e-6, 5), graph.add_segment(1, 3, 1e-5 / 3, 2), graph.add_segment(3, 1, 0, 9);
  graph.length[1] *= 1.25;
  graph.maturity = {0, 1.0 / 3, 1};
  graph.type = {1, 2, 3};
  graph.file_flow = {1e-15 / 3, -2e-15, std::nan("")};
  graph.file_haematocrit = {0.45, std::nan(""), 0.1};
  graph.set_boundary(0, BoundaryKind::pressure, 35 * mmhg, 0.4, 95 * mmhg);
  graph.set_boundary(3, BoundaryKind::flow, -1e-15 / 7);
  return graph;
}

TEST_F(NetworkFiles, ReadsTheReferenceNetworks) {
  if (!fs::exists(reference / "mesentery_546")) GTEST_SKIP() << "skipped: reference data not found";
  for (const auto& [path, options, segments, nodes, boundary] : references()) {
    const VesselGraph graph = read_network(reference / path, options);
    EXPECT_EQ(graph.segments(), segments) << path;
    EXPECT_EQ(graph.nodes(), nodes) << path;
    const auto found = statistics(graph, bounding_box(graph));
    if (boundary >= 0) {
      EXPECT_EQ(found.boundary_nodes, boundary) << path;
    }
  }
}

TEST_F(NetworkFiles, ReadsTheMesentery) {
  if (!fs::exists(reference / "mesentery_546")) GTEST_SKIP() << "skipped: reference data not found";
  const VesselGraph graph = read_network(reference / "mesentery_546/netflowv2_network.dat");
  const auto found = statistics(graph, bounding_box(graph));
  EXPECT_EQ(found.pressure_nodes, 1);
  EXPECT_EQ(found.flow_nodes, 35);
  EXPECT_EQ(found.pieces, 1);
  EXPECT_EQ(graph.segment_id[0], 1);
  EXPECT_EQ(graph.node_id[static_cast<std::size_t>(graph.segment[0][0])], 830);
  EXPECT_EQ(graph.node_id[static_cast<std::size_t>(graph.segment[0][1])], 1);
  EXPECT_NEAR(graph.radius[0], 13.825 * um, 1e-15);
  EXPECT_NEAR(graph.length[0], 141.2274 * um, 1e-10);  // expected_flow_hd.csv
  EXPECT_NEAR(graph.file_flow[0], 362.559998 * nl_min, 1e-20);
  EXPECT_DOUBLE_EQ(graph.file_haematocrit[0], 0.4338);
  const auto last = std::find(graph.node_id.begin(), graph.node_id.end(), 838) - graph.node_id.begin();
  const auto node = static_cast<std::size_t>(last);
  EXPECT_EQ(graph.boundary[node], BoundaryKind::flow);
  EXPECT_NEAR(graph.boundary_value[node], 1.5065 * nl_min, 1e-20);
  EXPECT_DOUBLE_EQ(graph.boundary_haematocrit[node], 0.4997);
  EXPECT_NEAR(graph.boundary_po2[node], 40 * mmhg, 1e-3);
  // The listed flows conserve blood at each node, so signs and node names were understood.
  std::vector<double> balance(graph.position.size(), 0);
  for (std::size_t s = 0; s < graph.segment.size(); ++s) {
    balance[static_cast<std::size_t>(graph.segment[s][0])] -= graph.file_flow[s];
    balance[static_cast<std::size_t>(graph.segment[s][1])] += graph.file_flow[s];
  }
  for (std::size_t n = 0; n < balance.size(); ++n)
    if (graph.boundary[n] != BoundaryKind::pressure) {
      EXPECT_NEAR(balance[n] + graph.boundary_value[n], 0, 2e-4 * nl_min) << graph.node_id[n];
    }
}

TEST_F(NetworkFiles, ReadsTheRatTumourWithItsFlowFactor) {
  if (!fs::exists(reference / "tumour_r3230ac")) GTEST_SKIP() << "skipped: reference data not found";
  ReadOptions options;
  options.flow_factor = 1.333;
  const VesselGraph graph = read_network(reference / "tumour_r3230ac/network.dat", options);
  EXPECT_NEAR(graph.boundary_value[0], 13.33 * nl_min, 1e-20);
  EXPECT_NEAR(graph.file_flow[7], -3.704 * 1.333 * nl_min, 1e-20);
  const Box box{{0, 0, 0}, {550 * um, 520 * um, 230 * um}};
  const Diagnosis found = diagnose(graph, box);
  EXPECT_TRUE(found.outside_nodes.empty());
  EXPECT_TRUE(found.dangling_ends.empty());
  EXPECT_EQ(found.pieces_without_pressure.size(), found.pieces.size());  // flows only
  EXPECT_NEAR(statistics(graph, box).length_density * 1e-6, 113, 8);     // definitions: L_v 113 mm/mm3
}

TEST_F(NetworkFiles, ReadsTheCapillaryBed) {
  if (!fs::exists(reference / "dumux_embedded")) GTEST_SKIP() << "skipped: reference data not found";
  const VesselGraph graph = read_network(reference / "dumux_embedded/network.dgf");
  const Box box{{0, 0, 0}, {200 * um, 200 * um, 200 * um}};
  const auto found = statistics(graph, box);
  EXPECT_EQ(found.pressure_nodes, 126);
  EXPECT_EQ(found.end_nodes, 126);
  EXPECT_NEAR(found.total_length, 8.15e-3, 0.005e-3);
  EXPECT_NEAR(found.radius.smallest, 1.27 * um, 0.005 * um);
  EXPECT_NEAR(found.radius.largest, 3.51 * um, 0.005 * um);
  EXPECT_TRUE(diagnose(graph, box, {.box = 1e-8}).outside_nodes.empty());
  EXPECT_DOUBLE_EQ(graph.boundary_value[0], 4400.37255859375);
}

TEST_F(NetworkFiles, ReadsTheTapmeierTumour) {
  const fs::path folder = reference / "microvesselchaste_tumor";
  if (!fs::exists(folder)) GTEST_SKIP() << "skipped: reference data not found";
  std::vector<std::string> notes;
  const VesselGraph graph = read_network(folder / "tapmeier_network.vtp", in_um(), &notes);
  const auto found = statistics(graph, bounding_box(graph));
  EXPECT_EQ(found.pieces, 5);
  EXPECT_EQ(found.boundary_nodes, 0);
  EXPECT_NEAR(found.radius.mean, 4.4 * um, 0.05 * um);
  EXPECT_TRUE(
      std::any_of(notes.begin(), notes.end(), [](const auto& n) { return n.starts_with("15 points have radius 0"); }));
  // The published conversion lists the same segments; it rounds coordinates to 1e-3 um, which joins points that the
  // file has up to 0.0005 um apart.
  const VesselGraph listed = read_network(folder / "tapmeier_nodes.csv", {}, &notes);
  ASSERT_EQ(listed.segments(), graph.segments());
  EXPECT_EQ(graph.nodes(), 807);
  EXPECT_EQ(listed.nodes(), 803);
  EXPECT_EQ(statistics(listed, {}).pieces, 5);
  EXPECT_EQ(diagnose(listed, bounding_box(listed)).self_loops.size(), 4U);
  for (std::size_t s = 0; s < graph.segment.size(); ++s) {
    EXPECT_NEAR(listed.radius[s], graph.radius[s], 1e-14) << s;
    EXPECT_NEAR(listed.length[s], graph.length[s], 1e-11) << s;
  }
}

TEST_F(NetworkFiles, ComeBackUnchangedFromEachFormat) {
  std::vector<VesselGraph> graphs{sample()};
  if (fs::exists(reference / "mesentery_546"))
    for (const auto& one : references()) graphs.push_back(read_network(reference / one.path, one.options));
  for (std::size_t g = 0; g < graphs.size(); ++g)
    for (const char* name : {"net.csv", "net.h5", "net.vtp", "net.dgf"}) {
      SCOPED_TRACE(fmt::format("graph {} through {}", g, name));
      write_network(directory_ / name, graphs[g]);
      expect_same(read_network(directory_ / name), graphs[g]);
    }
  for (const auto& entry : fs::directory_iterator(directory_))
    EXPECT_NE(entry.path().extension(), ".tmp") << "left behind: " << entry.path();
  EXPECT_THROW(write_network(directory_ / "net.dat", sample()), InputError);
  EXPECT_THROW(write_network(directory_ / "no/such/net.h5", sample()), IoError);
  VesselGraph broken = sample();
  broken.radius[0] = std::nan("");
  EXPECT_THROW(write_network(directory_ / "broken.h5", broken), InputError);
  EXPECT_FALSE(fs::exists(directory_ / "broken.h5"));
}

constexpr std::string_view dat_head =
    "Test network\n 100. 100. 100. box\n 10 10 10 points\n100. bound\n25. longest\n4 nodsegm\n";

std::string dat(std::string_view segments, std::string_view nodes, std::string_view boundary) {
  return std::string(dat_head) + std::string(segments) + std::string(nodes) + std::string(boundary);
}

constexpr std::string_view dat_segments =
    "2 total number of segments\nname type from to diam flow hem\n"
    "1 5 10 20 8 1.5 0.4\n2 4 20 30 6 1.5 0.4\n";
constexpr std::string_view dat_nodes = "3 nodes\nname x y z\n10 0 0 0\n20 50 0 0\n30 50 30 0\n";
constexpr std::string_view dat_boundary =
    "2 boundary nodes\nnode bctyp press/flow HD PO2\n10 0 35 0.45 95\n30 2 -1.5 0.4 40\n";

TEST_F(NetworkFiles, DatIsReadTolerantly) {
  const VesselGraph plain = read_network(file("a.dat", dat(dat_segments, dat_nodes, dat_boundary)));
  EXPECT_EQ(plain.segments(), 2);
  EXPECT_NEAR(plain.radius[1], 3 * um, 1e-18);
  EXPECT_NEAR(plain.length[1], 30 * um, 1e-18);
  EXPECT_NEAR(plain.boundary_value[0], 35 * mmhg, 1e-6);
  EXPECT_NEAR(plain.boundary_value[2], -1.5 * nl_min, 1e-25);
  EXPECT_NEAR(plain.boundary_po2[0], 95 * mmhg, 1e-3);
  // Byte-order mark, CR LF, tabs, Latin-1, quoted headers, trailing stars, extra columns, a segment without flow.
  std::string odd =
      "\xef\xbb\xbf" +
      dat("\n3\ttotal\tnumber \xb5m\n\"name\" \"type\" from to diam flow hem\n1\t5\t10\t20\t8\t1.5\t0.4\t*\n"
          "2 4 20 30 6 1.5 0.4 77 *\n3 10 30 40 6 0 0 *\n",
          "4 nodes\n\"name\"\n10 0 0 0 *\n20 50 0 0 *\n30 50 30 0 *\n40 90 30 0\n",
          "3 boundary\n\"node\"\n10 0 35 0.45 95 1 2 3 *\n30 2 -1.5 0.4 40 *\n40 0 10 0.4 40 *\n\n\n");
  for (std::size_t at = 0; (at = odd.find('\n', at)) != std::string::npos; at += 2) odd.replace(at, 1, "\r\n");
  std::vector<std::string> notes;
  expect_same(read_network(file("b.dat", odd), {}, &notes), plain);
  EXPECT_EQ(notes.size(), 2U);  // the dropped segment, its boundary node
}

TEST_F(NetworkFiles, DatErrorsNameFileAndLine) {
  const auto with = [&](std::string text, std::string_view from, std::string_view to) {
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return file("bad.dat", text.replace(at, from.size(), to));
  };
  const std::string good = dat(dat_segments, dat_nodes, dat_boundary);
  expect_error(directory_ / "none.dat", {"none.dat", "no such network file"});
  expect_error(file("bad.dat", ""), {"bad.dat", "empty"});
  expect_error(with(good, "10 20 8 1.5", "10 20 nan 1.5"), {"bad.dat:9", "diameter", "nan"});
  expect_error(with(good, "10 20 8 1.5", "10 20 inf 1.5"), {"bad.dat:9", "diameter"});
  expect_error(with(good, "10 20 8 1.5", "10 20 8 1.5x"), {"bad.dat:9", "flow", "1.5x"});
  expect_error(with(good, "2 4 20 30", "2 4 20 33"), {"bad.dat:10", "node 33"});
  expect_error(with(good, "2 4 20 30", "1 4 20 30"), {"bad.dat:10", "segment 1 is listed twice"});
  expect_error(with(good, "2 4 20 30", "-2 4 20 30"), {"bad.dat:10", "negative"});
  expect_error(with(good, "2 total", "3 total"), {"bad.dat:11", "segment 3 of 3", "count"});
  expect_error(with(good, "2 total", "1 total"), {"bad.dat:10", "more rows"});
  expect_error(with(good, "2 total", "-1 total"), {"bad.dat:7"});
  expect_error(with(good, "2 total", "999999999999 total"), {"bad.dat:7"});
  expect_error(with(good, "30 50 30 0", "20 50 30 0"), {"bad.dat:15", "node 20 is listed twice"});
  expect_error(with(good, "30 50 30 0", "-30 50 30 0"), {"bad.dat:15", "negative"});
  expect_error(with(good, "10 0 35", "11 0 35"), {"bad.dat:18", "node 11"});
  expect_error(with(good, "10 0 35", "10 7 35"), {"bad.dat:18", "boundary type 7"});
  expect_error(with(good, "10 0 35", "30 0 35"), {"bad.dat:19", "listed twice"});
  expect_error(with(good, "2 boundary", "1 boundary"), {"bad.dat:19", "more rows"});
  expect_error(with(good, "2 boundary", "3 boundary"), {"bad.dat:19", "ends early"});
  expect_error(file("bad.dat", good.substr(0, 200)), {"bad.dat", "ends early"});
  expect_error(file("bad.dat", std::string_view("\xff\xfe"
                                                "a\0b\0",
                                                6)),
               {"UTF-16"});
  expect_error(file("bad.txt", good), {"extension '.txt'"});
}

TEST_F(NetworkFiles, DgfErrorsNameFileAndLine) {
  const std::string good =
      "DGF\nVertex\nparameters 1\n0 0 0 100\n1 0 0 50 % end\n1 1 0 20\n#\nSIMPLEX\nparameters 1 # radius\n"
      "0 1 1e-6\n1 2 2e-6\n# done\n";
  const VesselGraph graph = read_network(file("good.dgf", good));
  EXPECT_EQ(graph.boundary,
            (std::vector<BoundaryKind>{BoundaryKind::pressure, BoundaryKind::none, BoundaryKind::pressure}));
  EXPECT_DOUBLE_EQ(graph.boundary_value[2], 20);
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return file("bad.dgf", text.replace(at, from.size(), to));
  };
  expect_error(with("DGF", "grid"), {"bad.dgf:1", "DGF"});
  expect_error(with("1 2 2e-6", "1 3 2e-6"), {"bad.dgf:11", "vertex 3", "3 vertices"});
  expect_error(with("1 2 2e-6", "1 -2 2e-6"), {"bad.dgf:11"});
  expect_error(with("1 2 2e-6", "1 2"), {"bad.dgf:11", "expected 3"});
  expect_error(with("1 0 0 50", "1 nan 0 50"), {"bad.dgf:5", "nan"});
  expect_error(with("1 0 0 50", "1 0 50"), {"bad.dgf:5", "expected 4"});
  expect_error(with("# done\n", ""), {"bad.dgf", "ends inside block simplex"});
  expect_error(with("SIMPLEX", "CUBE"), {"Simplex"});
  expect_error(with("parameters 1 #", "parameters 0 #"), {"radius"});
  ReadOptions skip;
  skip.dgf_vertex_columns = {"skip"};
  EXPECT_EQ(statistics(read_network(directory_ / "good.dgf", skip), {}).boundary_nodes, 0);
  ReadOptions micro = in_um();
  micro.radius_unit = "mm", micro.radius_is_diameter = true, micro.pressure_unit = "mmHg";
  const VesselGraph scaled = read_network(directory_ / "good.dgf", micro);
  EXPECT_DOUBLE_EQ(scaled.length[0], 1 * um);
  EXPECT_DOUBLE_EQ(scaled.radius[1], 1e-9);
  EXPECT_NEAR(scaled.boundary_value[0], 100 * mmhg, 1e-6);
}

TEST_F(NetworkFiles, CsvTakesUnitsFromHeadersOrAsksForThem) {
  file("n_nodes.csv",
       "\xef\xbb\xbfname;x_um;y [mm];z_m;boundary_pressure_mmHg;boundary_flow_nl_min\n1;0;0;0;35;\n2;10;0.02;0;;-3\n");
  file("n_segments.csv", "from;to;diameter_um;length_mm;extra\n1;2;8;0.03;x\n");
  std::vector<std::string> notes;
  const VesselGraph graph = read_network(directory_ / "n.csv", {}, &notes);
  EXPECT_NEAR(graph.position[1][0], 10 * um, 1e-18);
  EXPECT_NEAR(graph.position[1][1], 20 * um, 1e-18);
  EXPECT_NEAR(graph.radius[0], 4 * um, 1e-18);
  EXPECT_NEAR(graph.length[0], 30 * um, 1e-18);
  EXPECT_NEAR(graph.boundary_value[0], 35 * mmhg, 1e-6);
  EXPECT_EQ(graph.boundary[1], BoundaryKind::flow);
  EXPECT_NEAR(graph.boundary_value[1], -3 * nl_min, 1e-25);
  EXPECT_EQ(notes.size(), 1U);
  expect_same(read_network(directory_ / "n_segments.csv"), graph);

  file("nodes.csv", "node,x,y,z\n0,0,0,0\n1,10,0,0\n");
  file("segments.csv", "node_a,node_b,radius\n0,1,4\n");
  expect_error(directory_ / "nodes.csv", {"nodes.csv:1", "'x' has no unit"});
  EXPECT_NEAR(read_network(directory_, in_um()).radius[0], 4 * um, 1e-18);
}

TEST_F(NetworkFiles, CsvErrorsNameFileAndLine) {
  const auto bad = [&](std::string_view nodes, std::string_view segments, const std::vector<std::string>& words) {
    file("nodes.csv", nodes), file("segments.csv", segments);
    expect_error(directory_, words);
  };
  const std::string_view nodes = "node,x_um,y_um,z_um\n0,0,0,0\n1,10,0,0\n",
                         segments = "node_a,node_b,radius_um\n0,1,4\n";
  bad("node,x_um,y_um,z_um\n0,0,0,0\n1,nan,0,0\n", segments, {"nodes.csv:3", "column x", "nan"});
  bad("node,x_um,y_um,z_um\n0,0,0,0\n1,,0,0\n", segments, {"nodes.csv:3", "column x"});
  bad("node,x_um,y_um,z_um\n0,0,0,0\n0,10,0,0\n", segments, {"nodes.csv:3", "listed twice"});
  bad("node,x_um,y_um,z_um\n0,0,0,0\n-1,10,0,0\n", segments, {"nodes.csv:3", "negative"});
  bad("node,x_um,y_um,z_um\n0,0,0,0\n1,10,0\n", segments, {"nodes.csv:3", "3 columns"});
  bad("node,x_um,y_um\n0,0,0\n1,10,0\n", segments, {"nodes.csv:1", "'z'"});
  bad("node,x_um,y_um,z_kg\n0,0,0,0\n", segments, {"nodes.csv:1", "'z'"});
  bad("node,x_um,x_mm,y_um,z_um\n0,0,0,0,0\n", segments, {"nodes.csv:1", "another column"});
  bad("node,x_um,y_um,z_um,boundary\n0,0,0,0,open\n1,10,0,0,none\n", segments, {"nodes.csv:2", "open"});
  bad("node,x_um,y_um,z_um,boundary\n0,0,0,0,flow\n1,10,0,0,none\n", segments, {"nodes.csv:2", "without a value"});
  bad("", segments, {"nodes.csv", "empty"});
  bad(nodes, "node_a,node_b,radius_um\n0,2,4\n", {"segments.csv:2", "node 2"});
  bad(nodes, "node_a,node_b,radius_um\n0,1,wide\n", {"segments.csv:2", "wide"});
  bad(nodes, "node_a,node_b,length_um\n0,1,4\n", {"segments.csv:1", "radius"});
  bad(nodes, "node_a,node_b,radius_um\n", {"segments.csv", "no rows"});
  bad(nodes, "segment,node_a,node_b,radius_um\n-1,0,1,4\n", {"segments.csv:2", "negative"});
  bad(nodes, "node_a,node_b,radius_um\n0,1,\"4\n", {"segments.csv:2", "quote"});
  fs::remove(directory_ / "segments.csv");
  expect_error(directory_, {"segments.csv", "no such network file"});
}

TEST_F(NetworkFiles, Hdf5ErrorsNameTheFile) {
  expect_error(file("text.h5", "this is no HDF5 file"), {"text.h5"});
  expect_error(directory_ / "none.h5", {"no such network file"});
}

/// Writes one network as VTK may write it: any encoding, compression, byte order and number type.
class VtpWriter {
 public:
  enum class Encoding { ascii, inline_base64, appended_base64, appended_raw };
  Encoding encoding = Encoding::ascii;
  bool compressed = false, big_endian = false, wide_header = false, single = false;
  std::size_t block = 48;  // bytes; small, so that there are several blocks and a partial one

  std::string text() {
    body_.clear(), appended_.clear();
    body_ += fmt::format(
        "<?xml version=\"1.0\"?>\n<!-- x < y > z -->\n<VTKFile type=\"PolyData\" version=\"{}\" "
        "byte_order=\"{}\"{}{}>\n",
        wide_header ? "1.0" : "0.1", big_endian ? "BigEndian" : "LittleEndian",
        wide_header ? " header_type=\"UInt64\"" : "", compressed ? " compressor=\"vtkZLibDataCompressor\"" : "");
    body_ += "<PolyData><Piece NumberOfPoints=\"5\" NumberOfVerts=\"0\" NumberOfLines=\"2\">\n<PointData>";
    reals("Radius", {4, 5, 0, 5, 6}, 1);
    body_ += "</PointData><CellData>";
    integers("a &lt; b", {1, 2});
    body_ += "</CellData>\n<Points>";
    reals("Points", {0, 0, 0, 10, 0, 0, 20, 0, 0.5, 10, 0, 0, 10, 30, 0}, 3);
    body_ += "</Points>\n<Lines>";
    integers("connectivity", {0, 1, 2, 3, 4});
    integers("offsets", {3, 5});
    body_ += "</Lines></Piece></PolyData>\n";
    if (encoding == Encoding::appended_base64)
      body_ += "<AppendedData encoding=\"base64\">\n   _" + appended_ + "\n  </AppendedData>\n";
    if (encoding == Encoding::appended_raw)
      body_ += "<AppendedData encoding=\"raw\">\n_" + appended_ + "\n</AppendedData>\n";
    return body_ + "</VTKFile>\n";
  }

 private:
  template <class T>
  void put(std::string& bytes, T value) const {
    std::array<char, sizeof(T)> raw{};
    std::memcpy(raw.data(), &value, sizeof(T));
    if (big_endian == (std::endian::native == std::endian::little)) std::reverse(raw.begin(), raw.end());
    bytes.append(raw.begin(), raw.end());
  }
  void word(std::string& bytes, std::size_t value) const {
    wide_header ? put(bytes, static_cast<std::uint64_t>(value)) : put(bytes, static_cast<std::uint32_t>(value));
  }
  static std::string base64(const std::string& bytes) {
    const std::string letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
      std::string three = bytes.substr(i, 3);
      const std::size_t given = three.size();
      three.resize(3, '\0');
      const auto byte = [&](std::size_t j) { return static_cast<unsigned>(static_cast<unsigned char>(three[j])); };
      const unsigned bits = byte(0) << 16 | byte(1) << 8 | byte(2);
      for (std::size_t j = 0; j < 4; ++j) text += j <= given ? letters[bits >> (18 - 6 * j) & 63] : '=';
    }
    return text;
  }
  void array(const std::string& name, const std::string& type, int components, const std::string& ascii,
             const std::string& bytes) {
    body_ += fmt::format("<DataArray type=\"{}\" Name=\"{}\" NumberOfComponents=\"{}\" ", type, name, components);
    if (encoding == Encoding::ascii) {
      body_ += "format=\"ascii\">\n" + ascii + "\n</DataArray>";
      return;
    }
    std::string header, packed;
    if (compressed) {
      const std::size_t blocks = (bytes.size() + block - 1) / block;
      word(header, blocks), word(header, block), word(header, bytes.size() % block);
      for (std::size_t b = 0; b < blocks; ++b) {
        const std::string part = bytes.substr(b * block, block);
        std::string out(compressBound(part.size()), '\0');
        uLongf size = out.size();
        compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(part.data()), part.size());
        word(header, size);
        packed += out.substr(0, size);
      }
    } else {
      word(header, bytes.size());
      packed = bytes;
    }
    const bool raw = encoding == Encoding::appended_raw;
    const std::string coded = raw          ? header + packed
                              : compressed ? base64(header) + base64(packed)
                                           : base64(header + packed);
    if (encoding == Encoding::inline_base64) {
      body_ += "format=\"binary\">\n  " + coded + "\n</DataArray>";
    } else {
      body_ += fmt::format("format=\"appended\" offset=\"{}\" />", appended_.size());
      appended_ += coded;
    }
  }
  void reals(const std::string& name, const std::vector<double>& values, int components) {
    std::string ascii, bytes;
    for (double value : values) {
      ascii += fmt::format("{}\n ", value);
      single ? put(bytes, static_cast<float>(value)) : put(bytes, value);
    }
    array(name, single ? "Float32" : "Float64", components, ascii, bytes);
  }
  void integers(const std::string& name, const std::vector<long>& values) {
    std::string ascii, bytes;
    for (long value : values) {
      ascii += fmt::format("{} ", value);
      single ? put(bytes, static_cast<std::int32_t>(value)) : put(bytes, static_cast<std::int64_t>(value));
    }
    array(name, single ? "Int32" : "Int64", 1, ascii, bytes);
  }
  std::string body_, appended_;
};

TEST_F(NetworkFiles, VtpIsReadInEveryEncoding) {
  using Encoding = VtpWriter::Encoding;
  int read = 0;
  for (const auto encoding :
       {Encoding::ascii, Encoding::inline_base64, Encoding::appended_base64, Encoding::appended_raw})
    for (int bits = 0; bits < 16; ++bits) {
      VtpWriter writer;
      writer.encoding = encoding;
      writer.compressed = bits & 1, writer.big_endian = bits & 2, writer.wide_header = bits & 4,
      writer.single = bits & 8;
      SCOPED_TRACE(fmt::format("encoding {} bits {}", static_cast<int>(encoding), bits));
      const VesselGraph graph = read_network(file("v.vtp", writer.text()), in_um());
      ASSERT_EQ(graph.segments(), 3);
      ASSERT_EQ(graph.nodes(), 4);  // two points at 10 0 0
      EXPECT_EQ(graph.segment, (std::vector<std::array<long, 2>>{{0, 1}, {1, 2}, {1, 3}}));
      EXPECT_NEAR(graph.radius[0], 4.5 * um, 1e-17);
      EXPECT_NEAR(graph.radius[1], 2.5 * um, 1e-17);
      EXPECT_NEAR(graph.position[2][2], 0.5 * um, 1e-17);
      EXPECT_NEAR(graph.length[2], 30 * um, 1e-17);
      ++read;
    }
  EXPECT_EQ(read, 64);
}

TEST_F(NetworkFiles, VtpErrorsSayWhatToDo) {
  const std::string good = VtpWriter().text();
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return file("bad.vtp", text.replace(at, from.size(), to));
  };
  expect_error(file("good.vtp", good), {"good.vtp", "unit of length", "length_unit"});
  ReadOptions kilograms;
  kilograms.length_unit = "kg";
  expect_error(directory_ / "good.vtp", {"'kg'"}, kilograms);
  const ReadOptions micro = in_um();
  expect_error(with("\"Radius\"", "\"width\""), {"bad.vtp", "no array 'Radius'", "width"}, micro);
  expect_error(with("\"PolyData\"", "\"UnstructuredGrid\""), {"UnstructuredGrid"}, micro);
  expect_error(with("10\n 0\n", "nan\n 0\n"), {"bad.vtp:", "nan"}, micro);
  expect_error(with("3 5", "3 9"), {"bad.vtp", "line 1"}, micro);
  expect_error(with("0 1 2 3 4", "0 1 2 3 5"), {"point 5 of 5"}, micro);
  expect_error(with("0 1 2 3 4", "0 1 2 3 -1"), {"point -1"}, micro);
  expect_error(with("NumberOfPoints=\"5\"", "NumberOfPoints=\"900000000000000\""), {"expected"}, micro);
  expect_error(with("NumberOfLines=\"2\"", "NumberOfLines=\"3\""), {"expected 3"}, micro);
  expect_error(with("</Lines>", "</Line>"), {"bad.vtp:", "end tag"}, micro);
  expect_error(with("byte_order=\"LittleEndian\"", "byte_order=\"Middle\""), {"Middle"}, micro);
  expect_error(with("byte_order", "compressor=\"vtkLZMADataCompressor\" byte_order"), {"LZMA"}, micro);
  ReadOptions named = micro;
  named.radius_name = "width", named.radius_is_diameter = true;
  EXPECT_NEAR(read_network(with("\"Radius\"", "\"width\""), named).radius[0], 2.25 * um, 1e-17);
}

/// Reads what is left of a file that was cut or damaged: a graph or an InputError, nothing else.
void survive(const fs::path& path, const ReadOptions& options, long& graphs, long& errors) {
  try {
    const VesselGraph graph = read_network(path, options);
    check_consistent(graph, "cut file");
    ++graphs;
  } catch (const InputError&) {
    ++errors;
  }
}

TEST_F(NetworkFiles, CutAndDamagedFilesAreErrorsOrGraphs) {
  struct Case {
    std::string name, text;
    ReadOptions options;
  };
  std::vector<Case> cases;
  if (fs::exists(reference / "mesentery_546"))
    for (const auto& one : references())
      cases.push_back({fs::path(one.path).filename().string(), text_of(reference / one.path), one.options});
  using Encoding = VtpWriter::Encoding;
  for (const auto encoding :
       {Encoding::ascii, Encoding::inline_base64, Encoding::appended_base64, Encoding::appended_raw})
    for (const bool packed : {false, true}) {
      VtpWriter writer;
      writer.encoding = encoding, writer.compressed = packed;
      cases.push_back({"small.vtp", writer.text(), in_um()});
    }
  write_network(directory_ / "s.dgf", sample()), write_network(directory_ / "s.h5", sample());
  cases.push_back({"s.dgf", text_of(directory_ / "s.dgf"), {}});
  cases.push_back({"s.h5", text_of(directory_ / "s.h5"), {}});
  std::uint64_t state = 12345;
  const auto random = [&](std::uint64_t below) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state >> 33) % below;
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.name);
    long graphs = 0, errors = 0;
    for (std::size_t cut = 0; cut < 200; ++cut)
      survive(file(one.name, std::string_view(one.text).substr(0, one.text.size() * cut / 200)), one.options, graphs,
              errors);
    EXPECT_EQ(graphs + errors, 200);
    EXPECT_GT(errors, 150);
    for (int damage = 0; damage < 100; ++damage) {
      std::string text = one.text;
      for (int i = 0; i < 4; ++i) text[random(text.size())] = static_cast<char>(random(256));
      survive(file(one.name, text), one.options, graphs, errors);
    }
    EXPECT_EQ(graphs + errors, 300);
  }
}

TEST_F(NetworkFiles, AreReadOnAllRanks) {
  write_network(directory_ / "net.h5", sample());
  expect_same(read_network(MPI_COMM_SELF, directory_ / "net.h5"), sample());
  EXPECT_THROW((void)read_network(MPI_COMM_SELF, directory_ / "none.h5"), InputError);
}

TEST(NetworkFormat, IsKnownByNameAndExtension) {
  EXPECT_EQ(network_format("vtp"), NetworkFormat::vtp);
  EXPECT_EQ(network_format("auto"), NetworkFormat::automatic);
  EXPECT_THROW((void)network_format("xlsx"), InputError);
  EXPECT_EQ(network_format_of("a/b.DGF"), NetworkFormat::dgf);
  EXPECT_EQ(network_format_of("b.hdf5"), NetworkFormat::hdf5);
  EXPECT_EQ(csv_pair("d/net.csv").segments, fs::path("d/net_segments.csv"));
  EXPECT_EQ(csv_pair("d/my_nodes_2.csv").segments, fs::path("d/my_segments_2.csv"));
}

}  // namespace
}  // namespace sanctuary
