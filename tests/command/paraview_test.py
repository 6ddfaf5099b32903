"""run.xdmf opens in ParaView, which sees the values, places and times that were written."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

program = pathlib.Path(os.environ["SANCTUARY_PROGRAM"])
tests = program.parent / "tests" / "mpi_tests"
pvpython = shutil.which("pvpython")
if pvpython is None or not tests.exists():
    print("skipped: needs pvpython and mpi_tests")
    sys.exit(77)

READ = r"""
import sys
from math import sin
from paraview import simple, servermanager

reader = simple.Xdmf3ReaderS(FileName=[sys.argv[1]])
assert list(reader.TimestepValues) == [-3600.0, 0.0, 7200.0], reader.TimestepValues
for seconds in reader.TimestepValues:
    reader.UpdatePipeline(seconds)
    blocks = {}

    def gather(data):
        if data is None:
            return
        if data.IsA("vtkCompositeDataSet"):
            iterator = data.NewIterator()
            while not iterator.IsDoneWithTraversal():
                gather(iterator.GetCurrentDataObject())
                iterator.GoToNextItem()
        else:
            blocks["tissue" if data.IsA("vtkImageData") or data.IsA("vtkRectilinearGrid") else "network"] = data

    gather(servermanager.Fetch(reader))
    tissue, network = blocks["tissue"], blocks["network"]
    assert tissue.GetNumberOfCells() == 7 * 5 * 6, tissue
    bounds = [1e-3, 1e-3 + 7 * 2e-5, -2e-3, -2e-3 + 5 * 3e-5, 5e-4, 5e-4 + 6 * 4e-5]
    assert all(abs(a - b) < 1e-9 for a, b in zip(tissue.GetBounds(), bounds)), tissue.GetBounds()
    names = {tissue.GetCellData().GetArrayName(i) for i in range(tissue.GetCellData().GetNumberOfArrays())}
    assert {"interstitial_pressure", "oxygen_pressure", "tissue"} <= names, names
    oxygen = tissue.GetCellData().GetArray("oxygen_pressure")
    for x, y, z in ((2, 3, 4), (6, 0, 5), (0, 4, 0)):
        expected = sin(x + 10 * y + 100 * z + seconds + 0.5) * 1e5
        assert abs(oxygen.GetValue(x + 7 * (y + 5 * z)) - expected) < 1e-6, (x, y, z)
    assert network.GetNumberOfCells() == 2 and network.GetNumberOfPoints() == 3, network
    assert abs(network.GetPoint(1)[1] + 1.9e-3) < 1e-9 and abs(network.GetPoint(2)[2] - 7e-4) < 1e-9
    assert network.GetCell(1).GetNumberOfPoints() == 2 and network.GetCell(1).GetPointId(1) == 2
    assert network.GetCellData().GetArray("flow").GetValue(1) == seconds + 2
    assert abs(network.GetCellData().GetArray("radius").GetValue(1) - 4e-6) < 1e-12
    assert network.GetPointData().GetArray("pressure").GetValue(2) == 3 * seconds
print("ParaView agrees")
"""

with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    run = folder / "run"
    subprocess.run([os.environ.get("MPIEXEC", "mpiexec"), "--oversubscribe", "-n", "2", str(tests),
                    "--gtest_filter=RunFile.ShowsAllTimesAsOne", "--gtest_brief=1"],
                   env={**os.environ, "SANCTUARY_SAMPLE_RUN": str(run)}, check=True)
    (folder / "read.py").write_text(READ)
    screen = ["xvfb-run", "-a"] if "DISPLAY" not in os.environ and shutil.which("xvfb-run") else []
    result = subprocess.run([*screen, pvpython, str(folder / "read.py"), str(run / "run.xdmf")],
                            capture_output=True, text=True, timeout=300)
    print(result.stdout, result.stderr)
    sys.exit(0 if result.returncode == 0 and "ParaView agrees" in result.stdout else 1)
