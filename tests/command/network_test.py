"""network import, generate and info: what they print and write, on 1 and 2 ranks, and how they refuse bad files."""
import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np

PROGRAM = os.environ["SANCTUARY_PROGRAM"]
MPIEXEC = os.environ.get("MPIEXEC", "mpiexec")
SOURCE = pathlib.Path(os.environ.get("SANCTUARY_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
REFERENCE = pathlib.Path(os.environ.get("SANCTUARY_REFERENCE_DATA", "/nowhere"))
os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_mpi_yield_when_idle="1")
failures = 0


def run(folder, *arguments, ranks=1):
    launcher = [] if ranks == 1 else [MPIEXEC, "--oversubscribe", "-n", str(ranks)]
    return subprocess.run(launcher + [PROGRAM, "network", *map(str, arguments)], cwd=folder, capture_output=True,
                          text=True, timeout=120, check=False)


def expect(condition, text):
    global failures
    if not condition:
        failures += 1
        print("FAILED:", text)


def refused(result, words, folder, left=()):
    expect(result.returncode == 2, f"exit {result.returncode}, expected 2: {result.stderr}")
    for word in words:
        expect(word in result.stderr, f"'{word}' is not in: {result.stderr}")
    expect(result.stderr.count("sanctuary:") == 1, f"one message, not: {result.stderr}")
    written = [p.name for p in pathlib.Path(folder).iterdir() if p.suffix in (".h5", ".tmp") and p.name not in left]
    expect(not written, f"left behind: {written}")


def datasets(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def same(a, b):
    first, second = datasets(a), datasets(b)
    return len(first) > 10 and first.keys() == second.keys() and all(
        np.array_equal(first[name], second[name], equal_nan=True) for name in first)


def generate_and_describe(folder, ranks):
    made = run(folder, "generate", "--set", "network.generate.seed=3", "--set", "grid.cells=64", "--set",
               "grid.spacing=20 um", "--set", "network.generate.segment_density=1000 1/mm^3", "-o", "net.h5", ranks=ranks)
    expect(made.returncode == 0, made.stderr)
    expect("median radius" in made.stdout and "MISSED" not in made.stdout and made.stdout.count("wrote ") == 1, made.stdout)
    with h5py.File(folder / "net.h5") as file:
        nodes, radius = file["nodes"][:], file["radius"][:]
        expect(file.attrs["schema"] == "sanctuary-network", "schema")
        expect(file["radius"].attrs["unit"] == "m", "unit of the radius")
        expect(abs(len(radius) - 2097) <= 105, f"{len(radius)} segments")
        expect(nodes.min() >= 0 and nodes.max() <= 1.28e-3, "nodes in the box")
        expect(np.sum(file["boundary/kind"][:] == 1) == 8, "8 pressure nodes")
    for target in ("net.vtp", "net.csv", "net.dgf", "again.h5"):
        converted = run(folder, "import", "net.h5", "-o", target, ranks=ranks)
        expect(converted.returncode == 0, converted.stderr)
    for source in ("net.vtp", "net.csv", "net.dgf"):
        back = run(folder, "import", source, "-o", "back.h5", ranks=ranks)
        expect(back.returncode == 0, back.stderr)
        expect(same(folder / "back.h5", folder / "net.h5"), f"{source} changes the network")
    told = run(folder, "info", "net.vtp", "--format", "json", "--box", "1.28 mm, 1.28 mm, 1.28 mm", ranks=ranks)
    expect(told.returncode == 0, told.stderr)
    facts = json.loads(told.stdout)
    expect(facts["diagnosis"]["usable"] and facts["statistics"]["pieces"] == 1, told.stdout)
    expect(80e6 < facts["statistics"]["length_density_m_per_m3"] < 160e6, told.stdout)
    again = run(folder, "info", "net.vtp", "--format", "json", "--box", "1.28 mm, 1.28 mm, 1.28 mm", ranks=3)
    expect(again.stdout == told.stdout, "info on 3 ranks says something else")
    statistics = facts["statistics"]
    expect(statistics["segments"] == statistics["nodes"] - 1 + statistics["loops"], "loops of one piece")
    expect(statistics["vessels"] <= statistics["segments"] and 1 < statistics["fractal_dimension"] < 3, told.stdout)
    expect(10e-6 < statistics["distance_to_wall_m"]["median"] < 200e-6, "distance to vessels")
    for name, bins in statistics["histograms"].items():
        expect(len(bins["edges"]) == len(bins["share"]) + 1, f"edges of {name}")
        expect(abs(sum(bins["share"]) + bins["below"] + bins["above"] - 1) < 1e-9, f"sum of {name}")
    text = run(folder, "info", "net.csv", ranks=ranks)
    expect(text.returncode == 0 and "length density" in text.stdout, text.stdout + text.stderr)
    expect(not list(folder.glob("*.tmp")), "temporary files left")


def blood_flow(folder, ranks):
    """Two vessels of equal length, 8 and 16 um wide, side by side. Plasma in vivo resists as (D / (D - 1.1))^2 (Pries 1994), so
    flows are as 16 x (8/6.9 x 14.9/16)^2 = 18.65 to 1."""
    (folder / "two_nodes.csv").write_text(
        "node,x_um,y_um,z_um,boundary_pressure_mmHg\n0,0,0,0,30\n1,100,0,0,29\n2,0,50,0,30\n3,100,50,0,29\n")
    (folder / "two_segments.csv").write_text("segment,node_a,node_b,radius_um\n0,0,1,4\n1,2,3,8\n")
    plasma = ["--flow", "--set", "blood.inlet_haematocrit=0", "--box", "100 um, 100 um, 100 um"]
    told = run(folder, "info", "two.csv", "--format", "json", *plasma, ranks=ranks)
    expect(told.returncode == 0, told.stderr)
    flow = json.loads(told.stdout)["haemodynamics"]
    expect(flow["perfused_fraction"] == 1 and abs(flow["transit_share"] - 1) < 1e-12, str(flow))
    ratio = flow["flow_by_length_m3_per_s"]["max"] / flow["flow_by_length_m3_per_s"]["min"]
    worked = 16 * (8 / 6.9 * 14.9 / 16) ** 2
    expect(abs(ratio - worked) < 1e-6, f"flows as {ratio}")
    expect(abs(flow["flow_variation"] - (worked - 1) / (worked + 1)) < 1e-6, f"variation {flow['flow_variation']}")
    expect(abs(flow["plasma_inflow_m3_per_s"] - flow["inflow_m3_per_s"]) < 1e-9 * flow["inflow_m3_per_s"], "all is plasma")
    shear = 133.322387415 * 8e-6 / (2 * 100e-6)
    expect(abs(flow["wall_shear_by_length_Pa"]["max"] - shear) < 1e-4 * shear, f"wall shear {flow['wall_shear_by_length_Pa']}")
    perfusion = flow["inflow_m3_per_s"] * 1e6 * 60 / (1.05 * 1e-6) * 100
    expect(abs(flow["perfusion_ml_per_min_per_100g"] - perfusion) < 1e-6 * perfusion, "perfusion")
    text = run(folder, "info", "two.csv", *plasma, ranks=ranks)
    expect(all(words in text.stdout for words in ("perfused", "transit time", "wall shear", "ml/min/100 g")), text.stdout)
    none = run(folder, "info", "two.csv", "--flow", "--set", "outcomes.perfusion_velocity=1e5 um/s", ranks=ranks)
    expect("0.0 % of the length" in none.stdout, none.stdout)
    refused(run(folder, "info", "two.csv", "--set", "blood.inlet_haematocrit=0", ranks=ranks), ["--flow"], folder)
    (folder / "bare_nodes.csv").write_text("node,x_um,y_um,z_um\n0,0,0,0\n1,10,0,0\n")
    (folder / "bare_segments.csv").write_text("node_a,node_b,radius_um\n0,1,4\n")
    refused(run(folder, "info", "bare.csv", "--flow", ranks=ranks), ["boundary condition"], folder)


def side_by_side(folder):
    """The JSON of the program makes a table and a page of postprocess/."""
    for seed in (1, 2):
        made = run(folder, "generate", "--set", f"network.generate.seed={seed}", "--set", "grid.cells=25", "--set",
                   "grid.spacing=20 um", "-o", f"net{seed}.h5")
        expect(made.returncode == 0, made.stderr)
        told = run(folder, "info", f"net{seed}.h5", "--flow", "--format", "json", "--box", "500 um, 500 um, 500 um")
        expect(told.returncode == 0, told.stderr)
        (folder / f"net{seed}.json").write_text(told.stdout)
    environment = {**os.environ, "PYTHONPATH": str(SOURCE / "postprocess")}
    for name in ("compare.csv", "compare.html"):
        done = subprocess.run([sys.executable, "-m", "sanctuary_post.networks", "net1.json", "net2.json", "-o", name], cwd=folder,
                              env=environment, capture_output=True, text=True, timeout=120, check=False)
        expect(done.returncode == 0, done.stderr)
    rows = {line[0]: line[2:] for line in csv.reader((folder / "compare.csv").read_text().splitlines())}
    for row in ("Segments", "Length density", "Fractal dimension", "Blood flow"):
        expect(len(rows.get(row, [])) == 2 and all(float(one) > 0 for one in rows[row]), f"{row}: {rows.get(row)}")
    expect(len(rows) > 35, f"{len(rows)} rows")
    expect((folder / "compare.html").read_text().count("data:image/png") == 1, "a figure in the page")


def repair_on_request(folder, ranks):
    (folder / "bad_nodes.csv").write_text(
        "node,x_um,y_um,z_um,boundary_pressure_mmHg\n0,0,0,0,30\n1,10,0,0,\n2,20,0,0,10\n3,50,0,0,\n4,60,9,0,\n5,10,0,0,\n")
    (folder / "bad_segments.csv").write_text(
        "segment,node_a,node_b,radius_um\n0,0,1,4\n1,5,2,0\n2,3,4,4\n3,0,1,4\n4,1,1,4\n")
    kept = run(folder, "import", "bad.csv", "-o", "kept.h5", ranks=ranks)
    expect(kept.returncode == 0 and "not usable" in kept.stdout and "self loops" in kept.stdout, kept.stdout + kept.stderr)
    with h5py.File(folder / "kept.h5") as file:
        expect(len(file["radius"]) == 5, "nothing is repaired unasked")
    mended = run(folder, "import", "bad.csv", "--repair", "-o", "mended.h5", ranks=ranks)
    expect(mended.returncode == 0, mended.stderr)
    for words in ("repaired:", "1 nodes merged", "1 duplicate segments dropped", "1 radii set", "1 pieces without a boundary"):
        expect(words in mended.stdout, f"'{words}' is not in: {mended.stdout}")
    with h5py.File(folder / "mended.h5") as file:
        expect(list(file["segment_id"][:]) == [0, 1], str(file["segment_id"][:]))


def bad_input(folder, ranks):
    (folder / "nan_nodes.csv").write_text("node,x_um,y_um,z_um\n0,0,0,0\n1,nan,0,0\n")
    (folder / "nan_segments.csv").write_text("node_a,node_b,radius_um\n0,1,4\n")
    (folder / "cut.vtp").write_text("<VTKFile type=\"PolyData\"><PolyData>\n<Piece")
    refused(run(folder, "import", "nan.csv", "-o", "out.h5", ranks=ranks), ["nan_nodes.csv:3", "column x", "nan"], folder)
    refused(run(folder, "import", "cut.vtp", "-o", "out.h5", ranks=ranks), ["cut.vtp:2", "ends inside a tag"], folder)
    refused(run(folder, "import", "none.dat", "-o", "out.h5", ranks=ranks), ["none.dat", "no such network file"], folder)
    refused(run(folder, "import", "cut.vtp", ranks=ranks), ["-o FILE"], folder)
    refused(run(folder, "import", "cut.vtp", "-o", "out.dat", ranks=ranks), [".dat", "not written"], folder)
    refused(run(folder, "import", "cut.vtp", "-o", "out.txt", ranks=ranks), ["'.txt'"], folder)
    refused(run(folder, "generate", "--set", "network.generate.segment_densty=9", "-o", "out.h5", ranks=ranks),
            ["unknown key", "segment_density"], folder)
    refused(run(folder, "generate", "--set", "network.generate.inlet_pressure=5 mmHg", "-o", "out.h5", ranks=ranks),
            ["inlet_pressure", "nothing would flow"], folder)
    refused(run(folder, "imprt", "x.dat", ranks=ranks), ["unknown task", "did you mean import"], folder)
    refused(run(folder, "info", "nan.csv", "--format", "xml", ranks=ranks), ["text or json"], folder)
    failed = run(folder, "generate", "-o", "no/such/folder/out.h5", ranks=ranks)
    expect(failed.returncode == 4, f"exit {failed.returncode}, expected 4: {failed.stderr}")


def boundaries_estimated(folder, ranks):
    (folder / "y_nodes.csv").write_text(
        "node,x_um,y_um,z_um,boundary_pressure_mmHg\n0,0,0,0,45\n1,200,0,0,\n2,300,100,0,\n3,300,-100,0,\n4,250,0,0,\n")
    (folder / "y_segments.csv").write_text("node_a,node_b,radius_um\n0,1,8\n1,2,6\n1,3,6\n1,4,3\n")
    made = run(folder, "import", "y.csv", "--estimate-boundaries", "--set", "network.estimate_margin=10 um", "-o", "y.h5",
               ranks=ranks)
    expect(made.returncode == 0, made.stderr)
    for words in ("unknown boundary nodes     2, now ", "1 pressures, 0 flows", "settled"):
        expect(words in made.stdout, f"'{words}' is not in: {made.stdout}")
    with h5py.File(folder / "y.h5") as file:
        expect(list(file["boundary/kind"][:]) == [1, 0, 1, 1, 0], str(file["boundary/kind"][:]))
        pressure = file["boundary/value"][:] / 133.322387415
        expect(abs(pressure[0] - 45) < 1e-9, "the known pressure is kept")
        expect(0 < pressure[2] < 45 and abs(pressure[2] - pressure[3]) < 1e-6, f"the arms are alike: {pressure}")
    more = run(folder, "import", "y.csv", "--estimate-boundaries", "--set", "network.estimate_margin=10 um", "--set",
               "network.target_shear_law=constant", "--set", "network.target_shear=200 dyn/cm^2", "-o", "more.h5", ranks=ranks)
    expect(more.returncode == 0, more.stderr)
    with h5py.File(folder / "more.h5") as file:
        expect(file["boundary/value"][2] / 133.322387415 < pressure[2] - 1, "a larger shear lowers the outlets")
    kept = ("y.h5", "more.h5")
    refused(run(folder, "import", "y.csv", "--set", "network.target_shear=1 Pa", "-o", "out.h5", ranks=ranks),
            ["network.target_shear", "without --estimate-boundaries"], folder, kept)
    refused(run(folder, "import", "y.csv", "--estimate-boundaries", "--set", "network.target_presure=1 Pa", "-o", "out.h5",
                ranks=ranks), ["unknown key", "target_pressure"], folder, kept)
    (folder / "zero_nodes.csv").write_text("node,x_um,y_um,z_um\n0,0,0,0\n1,50,0,0\n")
    (folder / "zero_segments.csv").write_text("node_a,node_b,radius_um\n0,1,0\n")
    refused(run(folder, "import", "zero.csv", "--estimate-boundaries", "-o", "out.h5", ranks=ranks),
            ["1 segments without a positive radius", "repair"], folder, kept)


def grown_tumours(folder):
    """A tumour is grown alike on 1 and 3 ranks, tells its targets, and refuses one that it cannot meet."""
    (folder / "deck.ini").write_text("[patient]\nkind = margin\n[grid]\ncells = 36\nspacing = 25 um\n[host]\nface = +x\n"
                                     "depth = 500 um\n[network.generate]\npreset = crc\nseed = 5\n")
    for ranks in (1, 3):
        made = run(folder, "generate", "deck.ini", "-o", f"on_{ranks}.h5", ranks=ranks)
        expect(made.returncode == 0, made.stderr)
        expect("preset crc" in made.stdout and "MISSED" not in made.stdout, made.stdout)
        for words in ("host    length density", "tumour  perfused fraction", "fractal dimension", "inter-vessel distance"):
            expect(words in made.stdout, f"'{words}' is not in: {made.stdout}")
    expect(same(folder / "on_1.h5", folder / "on_3.h5"), "the network depends on the number of ranks")
    with h5py.File(folder / "on_1.h5") as file:
        expect(set(np.unique(file["maturity"][:])) >= {0, 1}, "immature tumour and mature host vessels")
    told = json.loads(run(folder, "info", "on_1.h5", "--format", "json").stdout)
    expect(told["diagnosis"]["usable"] and told["statistics"]["pieces"] == 1, str(told["diagnosis"]))
    plain = run(folder, "generate", "deck.ini", "--set", "network.source=lattice", "-o", "plain.h5")
    expect(plain.returncode == 0 and "plain test network" in plain.stdout, plain.stdout + plain.stderr)
    dense = run(folder, "generate", "deck.ini", "--set", "network.generate.segment_density=20 1/mm^3", "-o", "out.h5")
    refused(dense, ["misses a target", "miss = report"], folder, ("on_1.h5", "on_3.h5", "plain.h5"))


def reference_networks(folder):
    if not (REFERENCE / "microvesselchaste_tumor").exists():
        print("skipped: reference data not found")
        return
    tapmeier = REFERENCE / "microvesselchaste_tumor" / "tapmeier_network.vtp"
    refused(run(folder, "info", tapmeier), ["unit of length", "length_unit"], folder)
    told = json.loads(run(folder, "info", tapmeier, "--length-unit", "um", "--format", "json").stdout)
    expect((told["statistics"]["segments"], told["statistics"]["pieces"]) == (806, 5), str(told["statistics"]))
    expect(any("15 points have radius 0" in note for note in told["notes"]), str(told["notes"]))
    open_ends = run(folder, "import", tapmeier, "--length-unit", "um", "--repair", "--estimate-boundaries", "-o", "tumour.h5")
    expect(open_ends.returncode == 0 and "unknown boundary nodes     42, now" in open_ends.stdout, open_ends.stdout + open_ends.stderr)
    with h5py.File(folder / "tumour.h5") as file:
        expect(np.sum(file["boundary/kind"][:] == 1) == 42, "42 pressure nodes")
    expect(told["statistics"]["vessels"] == 77 and told["statistics"]["blind_ends"] == 42, str(told["statistics"]))
    bed = json.loads(run(folder, "info", REFERENCE / "dumux_embedded" / "network.dgf", "--format", "json").stdout)
    expect((bed["statistics"]["segments"], bed["statistics"]["nodes"], bed["statistics"]["pressure_nodes"]) ==
           (1735, 1746, 126), str(bed["statistics"]))


for count in (1, 2):
    for test in (generate_and_describe, blood_flow, repair_on_request, boundaries_estimated, bad_input):
        with tempfile.TemporaryDirectory() as place:
            test(pathlib.Path(place), count)
with tempfile.TemporaryDirectory() as place:
    grown_tumours(pathlib.Path(place))
with tempfile.TemporaryDirectory() as place:
    reference_networks(pathlib.Path(place))
with tempfile.TemporaryDirectory() as place:
    side_by_side(pathlib.Path(place))
print("failures:", failures)
sys.exit(1 if failures else 0)
