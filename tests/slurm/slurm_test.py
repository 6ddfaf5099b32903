"""The scripts of jobs/ in a real SLURM: up.sh starts a private one of three virtual nodes, every command of jobs/README.md
is run in it with small decks, and jobs are warned, cancelled, and lose a node. Prints a time line of each job.
Needs root and the SLURM packages; is skipped (77) without."""
import csv
import math
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = pathlib.Path(os.environ.get("SANCTUARY_SOURCE_DIR", HERE.parents[1]))
PROGRAM = os.environ["SANCTUARY_PROGRAM"]
README = (SOURCE / "jobs/README.md").read_text(encoding="utf-8")
PATIENT = f"""include = {SOURCE}/decks/drugs/doxorubicin.ini
[patient]
duration = 30 min
[grid]
cells = 14, 13, 14
spacing = 50 um
[tumour]
radius = 250 um
[network]
source = lattice
[network.lattice]
segments = 200
seed = 2
[drug.doxorubicin]
ic50 = 0.0005 uM
emax = 2 1/h
dose_per_area = 60 mg/m^2
diffusivity = 117 um^2/s
[transport]
relative_tolerance = 0.05
first_step = 5 s
[output]
times = 0, 10 min
checkpoint_interval = 0.001 s
"""
SMALL = (PATIENT.replace("30 min", "6 min").replace("10 min", "3 min").replace("14, 13, 14", "10, 9, 10")
         .replace("spacing = 50", "spacing = 70"))
# Steps enough to be interrupted.
LONG = PATIENT.replace("relative_tolerance = 0.05", "relative_tolerance = 0.0003").replace("= 5 s", "= 0.5 s")
COHORT = PATIENT.replace("checkpoint_interval = 0.001 s", "") + """[cohort]
patients = 8
[vary]
drug.doxorubicin.ic50 = lognormal(median = 0.0005 uM, gsd = 1.5)
[arm.low]
drug.doxorubicin.dose_per_area = 30 mg/m^2
[arm.high]
drug.doxorubicin.dose_per_area = 60 mg/m^2
"""
# Jobs inherit the environment: theirs is that of a user, not that of the test suite.
for name in [name for name in os.environ if name.startswith("OMPI_") or name in ("MPIEXEC", "SANCTUARY_SET_HERE")]:
    del os.environ[name]
failures = 0
begin = time.monotonic()


def expect(condition, text):
    global failures
    if not condition:
        failures += 1
        print("FAILED:", text, flush=True)
    return bool(condition)


def command(*words, seconds=60, **more):
    """Output of a command that ends in time: with no node up, those of SLURM would wait for ever."""
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=seconds, check=False,
                          stdin=subprocess.DEVNULL, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))}: exit {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


class Watch(threading.Thread):
    """Asks SLURM again and again for all jobs and keeps what changed, with the time."""

    def __init__(self):
        super().__init__(daemon=True)
        self.jobs, self.changes, self.submitted, self.end = {}, {}, {}, False
        self.start()

    def run(self):
        while not self.end:
            try:
                text = command("scontrol", "-o", "show", "job")
            except (RuntimeError, subprocess.TimeoutExpired):
                text = ""
            for line in text.splitlines():
                job = dict(re.findall(r"(\w+)=(\S*)", line))
                if "JobState" not in job:
                    continue
                number = job["JobId"]
                if "ArrayTaskId" in job:
                    number = f"{job['ArrayJobId']}_{job['ArrayTaskId']}"
                self.jobs[number] = job
                restarts = f" restart {job['Restarts']}" if job["Restarts"] != "0" else ""
                where = f" on {job['NodeList']}" if job["JobState"] == "RUNNING" else ""
                why = f" ({job['Reason']})" if job["JobState"] == "PENDING" else ""
                self.note(number, job["JobState"].lower() + where + why + restarts)
            time.sleep(0.1)

    def note(self, number, text):
        changes = self.changes.setdefault(number, [])
        if not changes or changes[-1][1] != text:
            changes.append((time.monotonic(), text))

    def wait(self, number, what, seconds):
        """The job's fields once `what` of them is true; None when time is up."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            job = self.jobs.get(number)
            if job and what(job):
                return job
            time.sleep(0.05)
        expect(False, f"job {number}: waited {seconds} s: {self.jobs.get(number)}")
        return None

    def time_line(self, number):
        first = self.submitted.get(number.split("_")[0], begin)
        return "; ".join(f"{when - first:.1f} s {what}" for when, what in self.changes.get(number, []))


def has_ended(job):
    return job["JobState"] not in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "REQUEUED")


def fences():
    return [match.group(1) for match in re.finditer(r"^```bash runnable\n(.*?)^```", README, re.MULTILINE | re.DOTALL)]


used = set()


class Cluster:
    def __init__(self, place):
        self.place, self.work = place / "slurm", place / "work"
        done = subprocess.run([HERE / "up.sh", self.place], capture_output=True, text=True, timeout=100, check=False,
                              env={**os.environ, "SLURM_UP_OWNER": str(os.getpid())})
        if done.returncode != 0:
            print(done.stderr.strip())
            self.down()
            sys.exit(77 if done.returncode == 77 else 1)
        os.environ["SLURM_CONF"] = str(self.place / "slurm.conf")
        # The scripts ask for large nodes: options given first beat theirs, and lose to those that a command gives.
        (self.work / "bin").mkdir(parents=True)
        (self.work / "bin/sbatch").write_text(
            f'#!/bin/sh\nanswer=$(timeout 30 {shutil.which("sbatch")} --ntasks-per-node=1 --time=10 '
            f'${{EXCLUDE:+--exclude=$EXCLUDE}} "$@") || exit\n'
            f'echo "$answer" | tee -a {self.work}/submitted\n')
        (self.work / "submitted").touch()
        (self.work / "bin/sbatch").chmod(0o755)
        os.environ["PATH"] = f"{self.work}/bin:{os.environ['PATH']}"
        os.environ["SANCTUARY"] = PROGRAM
        os.environ["OMPI_MCA_odls_base_sigkill_timeout"] = "1"  # by default each failure would take 20 s
        for name in ("jobs", "postprocess"):
            (self.work / name).symlink_to(SOURCE / name)
        self.watch = Watch()

    def down(self):
        subprocess.run([HERE / "down.sh", self.place], check=False, timeout=60)

    def deck(self, name, text):
        path = self.work / "decks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def program(self, name, line):
        path = self.work / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)
        return str(path)

    def bash(self, text, **environment):
        """Runs lines of bash in the work folder; the numbers of the jobs that they submit."""
        now, submitted = time.monotonic(), self.work / "submitted"
        before = len(submitted.read_text().split("\n")) - 1
        command("bash", "-e", "-c", text, cwd=self.work, env={**os.environ, **environment})
        numbers = [line.split()[-1] for line in submitted.read_text().splitlines()[before:]]
        for number in numbers:
            self.watch.submitted[number] = now
        return numbers

    def readme(self, containing):
        """Runs the one code fence of jobs/README.md that holds this."""
        found = [fence for fence in fences() if containing in fence]
        assert len(found) == 1, f"{len(found)} code fences of jobs/README.md hold {containing}"
        used.add(found[0])
        return self.bash(found[0])

    def wait_end(self, number, code, seconds=90, restarts=None):
        job = self.watch.wait(number, has_ended, seconds)
        if job is None:
            return None
        expect(job["ExitCode"] == f"{code}:0", f"job {number}: exit {job['ExitCode']} instead of {code}: {self.log(job)}")
        expect(job["JobState"] == ("COMPLETED" if code == 0 else "FAILED"), f"job {number}: {job['JobState']}")
        if restarts is not None:
            expect(job["Restarts"] == str(restarts), f"job {number}: {job['Restarts']} restarts: {self.log(job)}")
        return job

    def log(self, job):
        path = pathlib.Path(job["StdOut"])
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else "(no log)"


def wait_for(label, what, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.05)
    return expect(False, f"waited {seconds} s for {label}")


def checkpoints(folder):
    return len(list(folder.glob("checkpoints/checkpoint_*.h5")))


def single_jobs(cluster):
    """One patient: warned and back in the queue; cancelled; a deck with a mistake; a program that dies each time."""
    cluster.deck("patient/quickstart.ini", LONG)
    cluster.deck("patient/wrong.ini", PATIENT.replace("spacing = 50 um", "spacing = 50 s"))
    deadly = cluster.program("deadly", "kill -9 $$")
    partial = cluster.program("partial", "exit 5")

    [warned] = cluster.readme("jobs/patient.slurm")
    [wrong] = cluster.bash("sbatch jobs/patient.slurm decks/patient/wrong.ini out/wrong")
    [poisoned] = cluster.bash("sbatch jobs/patient.slurm decks/patient/quickstart.ini out/poisoned",
                              SANCTUARY=deadly, SANCTUARY_RESTARTS="1")
    [partly] = cluster.bash("sbatch --nodes=1 jobs/cohort.slurm decks/patient/quickstart.ini out/partly", SANCTUARY=partial)
    [cancelled] = cluster.bash("sbatch jobs/patient.slurm decks/patient/quickstart.ini out/cancelled")
    out = cluster.work / "out"
    if wait_for("a checkpoint", lambda: checkpoints(out / "patient") > 0):
        assert "scancel --batch --signal=USR1 JOB" in README
        command("scancel", "--batch", "--signal=USR1", warned)
        cluster.watch.note(warned, "SIGUSR1")
    if wait_for("a checkpoint", lambda: checkpoints(out / "cancelled") > 0):
        command("scancel", cancelled)
        cluster.watch.note(cancelled, "scancel")

    cluster.wait_end(wrong, 2, restarts=0)
    if job := cluster.watch.wait(cancelled, has_ended, 60):
        expect(job["JobState"] == "CANCELLED" and job["Restarts"] == "0", f"cancelled: {job}")
        expect("back into the queue" not in cluster.log(job), f"cancelled: {cluster.log(job)}")
    if job := cluster.wait_end(warned, 0, restarts=1):
        log = cluster.log(job)
        expect("exit code 75: back into the queue" in log and "going on from the checkpoint" in log, f"warned: {log}")
        expect((out / "patient/summary.json").exists(), "warned: it has no summary.json")
        expect((out / "patient/job_state").read_text() == "ended 0\n", "warned: job_state")
    if job := cluster.wait_end(poisoned, 137, restarts=1):
        expect("2 starts in a row without progress" in cluster.log(job), f"poisoned: {cluster.log(job)}")

    cluster.wait_end(partly, 5, restarts=0)

    cluster.deck("patient/quickstart.ini", SMALL)
    [scaling] = cluster.readme("jobs/scaling.slurm")
    if cluster.wait_end(scaling, 0, restarts=0):
        lines = (out / "scaling/scaling.jsonl").read_text().splitlines()
        expect(len(lines) == 2 and '"ranks": 2' in lines[1] and "total_s" in lines[1], f"scaling: {lines}")
    report, no_report, partly_report = cluster.bash(
        "for run in patient wrong partly; do sbatch jobs/report.slurm out/$run; done")
    if cluster.wait_end(report, 0):
        expect((out / "patient/report.html").stat().st_size > 10000, "report of a patient")
    if job := cluster.wait_end(no_report, 75, restarts=0):
        expect("out/wrong is not finished (ended 2): no report" in cluster.log(job), cluster.log(job))
    if job := cluster.watch.wait(partly_report, has_ended, 60):  # the stand-in left no cohort to report on
        expect("not finished" not in cluster.log(job), f"after exit code 5: {cluster.log(job)}")
    return {warned: "patient, warned", wrong: "patient, wrong deck", cancelled: "patient, cancelled",
            poisoned: "program that dies", partly: "some patients failed", scaling: "scaling", report: "report"}


def tasks(folder):
    """All rows of the ledger, by patient and variant; none while there is no ledger."""
    try:
        with sqlite3.connect(f"file:{folder}/ledger.sqlite?mode=ro", uri=True, timeout=10) as ledger:
            ledger.row_factory = sqlite3.Row
            rows = [dict(row) for row in ledger.execute("select * from tasks")]
    except sqlite3.OperationalError:
        return {}
    found = {(row["patient"], row["variant"]): row for row in rows}
    expect(len(found) == len(rows), f"{folder}: a task has two rows")
    return found


def done(folder):
    return {key: row for key, row in tasks(folder).items() if row["status"] == "done"}


def expect_same_table(name, table, whole, tolerance):
    """Byte for byte where there is no tolerance."""
    if table == whole:
        return
    one, two = (list(csv.DictReader(text.decode().splitlines())) for text in (table, whole))
    expect(len(one) == len(two), f"{name}: cohort.csv has {len(one)} rows, not {len(two)}")
    differing = []
    for a, b in zip(one, two):
        for key in a:
            try:
                same = math.isclose(float(a[key]), float(b[key]), rel_tol=tolerance)
            except (ValueError, KeyError):
                same = False
            if a[key] != b.get(key) and not (same and tolerance > 0):
                differing.append(f"patient {a['patient']} {a['arm']} {key}: {a[key]} and {b.get(key)}")
    expect(not differing and tolerance > 0, f"{name}: cohort.csv is not that of an undisturbed run: {differing[:5]}")


def cohort_jobs(cluster):
    """A cohort that loses a node; in shares; trials with their reports."""
    cluster.deck("cohort/default.ini", COHORT)
    out = cluster.work / "out"
    [lost] = cluster.readme("jobs/cohort.slurm")
    before, victim = {}, "no node"
    if wait_for("two tasks", lambda: len(done(out / "cohort")) >= 2):
        job = cluster.watch.jobs[lost]
        nodes = command("scontrol", "show", "hostnames", job["NodeList"]).split()
        [victim] = [node for node in nodes if node != job["BatchHost"]]
        before = done(out / "cohort")
        os.kill(int((cluster.place / f"run/{victim}.pid").read_text()), signal.SIGKILL)
        cluster.watch.note(lost, f"{victim} killed, {len(before)} tasks done")
        cluster.watch.wait(lost, lambda job: job["Restarts"] == "1", 60)
        # SLURM frees the job once it has missed the dead node for SlurmdTimeout; nothing else shall be sent there meanwhile.
        os.environ["EXCLUDE"] = victim
    array, merge = cluster.readme("jobs/cohort_merge.slurm")
    trial, report, wide, wide_merge, wide_report = cluster.readme("jobs/trial.sh")
    # What waits for a job goes on waiting when that job is warned and goes back into the queue.
    share = out / "trial_in_shares/shards/2_of_4"
    if wait_for("a task of a share", lambda: len(done(share)) >= 1):
        command("scancel", "--batch", "--signal=USR1", f"{wide}_2")
        cluster.watch.note(f"{wide}_2", "SIGUSR1")

    if job := cluster.wait_end(lost, 0, seconds=120, restarts=1):
        expect("back into the queue" in cluster.log(job), f"lost node: {cluster.log(job)}")
        expect(victim not in job["NodeList"], f"lost node: it ran on {job['NodeList']} again")
        after = tasks(out / "cohort")
        expect({key: after.get(key) for key in before} == before, f"done before the node was lost: {before}, after: {after}")
    for number in [*(f"{array}_{share}" for share in range(4)), merge, trial, *(f"{wide}_{share}" for share in (0, 1, 3)),
                   wide_merge]:
        cluster.wait_end(number, 0, seconds=120, restarts=0)
    cluster.wait_end(f"{wide}_2", 0, restarts=1)
    reports = subprocess.run(["/usr/bin/python3", "-m", "sanctuary_post", out / "shares"], capture_output=True, text=True,
                             check=False, env={**os.environ, "PYTHONPATH": str(SOURCE / "postprocess")})
    for number, name in ((report, "trial"), (wide_report, "trial_in_shares")):
        cluster.wait_end(number, reports.returncode, restarts=0)
        expect((out / name / "report.html").exists() == (reports.returncode == 0), f"{name}: report: {reports.stderr}")
    undisturbed = out / "trial/cohort.csv"
    whole = undisturbed.read_bytes() if expect(undisturbed.exists(), "trial: there is no cohort.csv") else b""
    # A patient that was interrupted goes on from a checkpoint: the same but for rounding.
    for name, tolerance in (("cohort", 1e-8), ("shares", 0), ("trial_in_shares", 1e-8)):
        table = out / name / "cohort.csv"
        if not expect(table.exists(), f"{name}: there is no cohort.csv"):
            continue
        expect_same_table(name, table.read_bytes(), whole, tolerance)
        found = tasks(out / name)
        expect(found.keys() == tasks(out / "trial").keys() and len(done(out / name)) == len(found), f"{name}: {found}")
    return {lost: "cohort, node lost", array: "share", merge: "merge", trial: "trial", report: "its report",
            wide: "share of a trial", wide_merge: "its merge", wide_report: "its report"}


with tempfile.TemporaryDirectory(prefix="slurm_test_") as place:
    cluster = Cluster(pathlib.Path(place))
    print(f"SLURM of three nodes up after {time.monotonic() - begin:.1f} s", flush=True)
    try:
        for test in (single_jobs, cohort_jobs):
            started = time.monotonic()
            jobs = test(cluster)
            print(f"{test.__name__}: {time.monotonic() - started:.1f} s, {failures} failures so far. Since submission:")
            for number in [each for each in cluster.watch.changes if each.split("_")[0] in jobs]:
                print(f"  {jobs[number.split('_')[0]]} ({number}): {cluster.watch.time_line(number)}", flush=True)
    finally:
        cluster.watch.end = True
        cluster.watch.join(timeout=60)
        cluster.down()
    for fence in fences():
        expect(fence in used, f"not run: {fence}")
print(f"{time.monotonic() - begin:.0f} s, {failures} failed")
sys.exit(1 if failures else 0)
