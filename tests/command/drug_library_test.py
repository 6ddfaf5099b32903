"""The decks of decks/drugs: every drug that is promised is there, the program reads each together with a patient, every
value says where it is from, README.md is what the decks give, half-lives are those that are published, and what is
taken from the reference data agrees with it."""
import csv
import math
import pathlib
import re
import sys
import tempfile

import small_run
from small_run import REFERENCE, SOURCE, expect, run

sys.path.insert(0, str(SOURCE / "postprocess"))
import drug_table  # noqa: E402

FOLDER = SOURCE / "decks" / "drugs"
# Cenicriviroc is the antagonist of CCR2, simtuzumab the inhibitor of LOX, tepotinib that of MET.
DRUGS = """doxorubicin pegylated_liposomal_doxorubicin gemcitabine paclitaxel nab_paclitaxel fluorouracil cisplatin erlotinib
osimertinib trastuzumab t_dm1 t_dxd bevacizumab lenvatinib pembrolizumab nivolumab atezolizumab durvalumab ipilimumab docetaxel
capecitabine everolimus sorafenib pegph20 belzutifan pexidartinib cenicriviroc vismodegib simtuzumab tepotinib""".split()
PATIENT = """include = {deck}
[patient]
kind = interior
duration = 28 d
[grid]
cells = 8
spacing = 20 um
[network]
source = lattice
[output]
times = 0 h
"""
# Half-lives as published elsewhere than the compartments are, first and last [h]: of the last phase but for those marked.
# Lu 2006, Planchard 2016, drugs.com (pexidartinib), Cancer Care Ontario (belzutifan, lenvatinib), BC Cancer (sorafenib),
# Lu 2014, Gabizon 1994, kidneydiseaseclinic.net (capecitabine), label of tepotinib (first phase, which carries the drug).
HALF_LIVES = {"erlotinib": (-1, 36.2), "osimertinib": (-1, 48.3), "pexidartinib": (-1, 26.6), "belzutifan": (-1, 14),
              "lenvatinib": (-1, 28), "sorafenib": (-1, 36.5), "t_dm1": (-1, 94.6),
              "pegylated_liposomal_doxorubicin": (-1, 45.9), "capecitabine": (-1, 0.85), "tepotinib": (0, 32)}
# Names and keys of drug_params/pk.csv where its values are used as they are.
IN_REFERENCE = {"doxorubicin": "doxorubicin", "gemcitabine": "gemcitabine", "paclitaxel": "paclitaxel",
                "5-fluorouracil": "fluorouracil", "cisplatin (unbound Pt)": "cisplatin", "erlotinib": "erlotinib",
                "osimertinib": "osimertinib", "pembrolizumab": "pembrolizumab", "bevacizumab": "bevacizumab",
                "trastuzumab": "trastuzumab", "trastuzumab deruxtecan (intact)": "t_dxd", "atezolizumab": "atezolizumab",
                "nivolumab": "nivolumab", "ipilimumab": "ipilimumab", "belzutifan": "belzutifan"}
KEYS = {"CL": "clearance", "CL/F": "clearance", "V1": "volume1", "V/F": "volume1", "Q": "flow2", "Q2": "flow2",
        "V2": "volume2", "Q3": "flow3", "V3": "volume3", "ka": "absorption_rate", "tlag": "absorption_lag",
        "WT_on_CL": "clearance_weight_exponent", "WT_on_CL,Q": "clearance_weight_exponent",
        "WT_on_V": "volume_weight_exponent", "ALB_on_CL": "clearance_albumin_exponent", "fu": "unbound_fraction",
        "VM_EL": "saturable_rate", "KM_EL": "saturable_half", "VM_TR": "saturable_flow", "KM_TR": "saturable_flow_half",
        "Q=k12*V1": "flow2"}
OTHER_NAMES = {"paclitaxel": {"Q2": "flow3", "V3": "volume3"},
               "belzutifan": {"V2/F": "volume1", "Q/F": "flow2", "V3/F": "volume2"}}
VARIES = {"clearance": "cv_clearance", "volume1": "cv_volume1", "flow2": "cv_flow2", "volume2": "cv_volume2",
          "absorption_rate": "cv_absorption_rate", "saturable_rate": "cv_clearance"}


def sections(name):
    return {section.name: section for section in drug_table.read(FOLDER / f"{name}.ini")[0]}


def all_are_there(_):
    there = {path.stem for path in FOLDER.glob("*.ini")}
    expect(there == set(DRUGS), f"drugs missing: {sorted(set(DRUGS) - there)}; not in the list: {sorted(there - set(DRUGS))}")
    for name in there:
        expect(name in sections(name), f"{name}.ini holds no [drug.{name}]")
        expect(sections(name)[name].text.get("cycles") == "1", f"{name}: not one cycle")


def every_value_says_where_it_is_from(_):
    for path in sorted(FOLDER.glob("*.ini")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if "=" not in line.partition("#")[0] or line.startswith("include"):
                continue
            comment = line.partition("#")[2].strip()
            expect(drug_table.PROVENANCE.match(comment), f"{path.name}:{number}: no source and status: {line}")
            # What is only remembered does not pass for something seen.
            expect("from memory" not in comment or comment.endswith("UNVERIFIED"), f"{path.name}:{number}: {comment}")


def the_program_reads_them(folder):
    for name in DRUGS:
        (folder / "deck.ini").write_text(PATIENT.format(deck=FOLDER / f"{name}.ini"))
        done = run(folder, "check", "deck.ini")
        expect(done.returncode == 0 and "sound" in done.stdout, f"{name}: exit {done.returncode}: {done.stderr}")
        if done.returncode != 0:
            continue
        for section in sections(name).values():
            for key in section.text:
                expect(re.search(rf"^drug\.{section.name}\.{key} .*# .*{name}\.ini", done.stdout, re.MULTILINE),
                       f"{name}: {section.name}.{key} does not reach the program")


def several_go_together(folder):
    regimen = ["gemcitabine", "nab_paclitaxel", "pembrolizumab", "t_dm1", "erlotinib"]
    include = "\n".join(f"include = {FOLDER / name}.ini" for name in regimen)
    (folder / "deck.ini").write_text(PATIENT.replace("include = {deck}", include))
    done = run(folder, "check", "deck.ini")
    expect(done.returncode == 0 and "sound" in done.stdout, f"five drugs: exit {done.returncode}: {done.stderr}")


def the_table_is_what_the_decks_give(_):
    expect((FOLDER / "README.md").read_text(encoding="utf-8") == drug_table.page(),
           "decks/drugs/README.md is not what the decks give: run postprocess/drug_table.py")


def half_lives_are_those_published(_):
    for name, (phase, published) in HALF_LIVES.items():
        found = math.log(2) / drug_table.decay_rates(sections(name)[name])[phase]
        expect(1 / 1.5 < found / published < 1.5, f"{name}: half-life {found:.3g} h, published {published} h")
    # The closed form of two compartments.
    one = sections("nivolumab")["nivolumab"]
    k10, k12, k21 = (one.number(a) / one.number(b) for a, b in
                     (("clearance", "volume1"), ("flow2", "volume1"), ("flow2", "volume2")))
    total, product = k10 + k12 + k21, k10 * k21
    exact = [0.5 * (total + sign * math.sqrt(total * total - 4 * product)) for sign in (1, -1)]
    for a, b in zip(drug_table.decay_rates(one), exact):
        expect(abs(a - b) < 1e-9 * exact[0], f"rates of nivolumab: {a}, exact {b}")


def reference_data_agree(_):
    path = REFERENCE / "drug_params" / "pk.csv"
    if not path.exists():
        print("skipped: reference data not found")
        return
    compared = 0
    with open(path, encoding="utf-8") as file:
        for line in csv.DictReader(file):
            name = IN_REFERENCE.get(line["drug"])
            if name is None:
                continue
            key = OTHER_NAMES.get(name, {}).get(line["parameter"], KEYS.get(line["parameter"]))
            section = sections(name)[name]
            if key is None or key not in section.text:
                continue
            unit = line["unit"].split(" (")[0].replace("umol/L", "uM").replace("day", "d")
            scale = drug_table.UNITS.get(unit, 1)
            expect(math.isclose(section.number(key), float(line["value"]) * scale, rel_tol=1e-3),
                   f"{name}: {key} = {section.text[key]}, the reference data say {line['value']} {line['unit']}")
            compared += 1
            varies = re.match(r"([\d.]+) %CV", line["between_subject_variability"])
            variance = re.match(r"omega2 ([\d.]+)", line["between_subject_variability"])
            omega = re.match(r"omega ([\d.]+)", line["between_subject_variability"])
            cv = (float(varies[1]) / 100 if varies else math.sqrt(math.expm1(float(variance[1]))) if variance
                  else math.sqrt(math.expm1(float(omega[1]) ** 2)) if omega else None)
            if cv is not None and VARIES.get(key) in section.text:
                expect(math.isclose(section.number(VARIES[key]), cv, abs_tol=1e-3),
                       f"{name}: {VARIES[key]} = {section.text[VARIES[key]]}, the reference data say {cv:.4f}")
                compared += 1
    expect(compared >= 80, f"only {compared} values of pk.csv compared")
    print(f"{compared} values of pk.csv compared")


with tempfile.TemporaryDirectory() as place:
    here = pathlib.Path(place)
    for test in (all_are_there, every_value_says_where_it_is_from, the_table_is_what_the_decks_give,
                 half_lives_are_those_published, reference_data_agree, the_program_reads_them, several_go_together):
        test(here)
        print(f"{test.__name__}: {small_run.failures} failures so far", flush=True)
print(f"{small_run.failures} failed")
sys.exit(1 if small_run.failures else 0)
