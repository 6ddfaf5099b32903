"""`python3 -m sanctuary_post DIR [-o FILE]`: one self-contained HTML page from the directory of one run or of a cohort.

Exit codes are those of `sanctuary`: 0 done; 2 the command line is wrong; 4 reading or writing failed.
"""

import argparse
import sys
from pathlib import Path


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="python3 -m sanctuary_post",
        description="Makes one self-contained HTML page from the directory of one run of `sanctuary simulate` or of a cohort of "
        "`sanctuary cohort`; of a cohort the figures and their data as well.",
    )
    parser.add_argument("directory", metavar="DIR", type=Path, help="holds run.h5 and summary.json of a run, or ledger.sqlite of a cohort")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="page to write (default: DIR/report.html)")
    parser.add_argument("--against", metavar="ENDPOINT", help="of a cohort: endpoint before treatment that sanctuaries are drawn against")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing unless something is wrong")
    parser.add_argument("--debug", action="store_true", help="show where in the program an unexpected fault arose")
    return parser.parse_args(arguments)


def main(arguments=None):
    options = parse(arguments)
    try:
        from sanctuary_post import cohort_report, report
        from sanctuary_post.cohort import is_cohort
        from sanctuary_post.run import ReportError, UsageError
    except ModuleNotFoundError as missing:
        print(
            f"error: the report needs the Python module '{missing.name}': "
            "apt-get install python3-h5py python3-numpy python3-matplotlib python3-plotly, and use /usr/bin/python3",
            file=sys.stderr,
        )
        return 2
    output = options.output or options.directory / "report.html"
    try:
        if is_cohort(options.directory):
            page = cohort_report.write(options.directory, output, options.against)
        elif options.against:
            raise UsageError(f"--against is of a cohort, and {options.directory} holds no ledger.sqlite")
        else:
            page = report.write(options.directory, output)
    except ReportError as trouble:
        print(f"error: {trouble}", file=sys.stderr)
        return trouble.exit_code
    except Exception as trouble:
        if options.debug:
            raise
        print(
            f"error: {options.directory}: cannot be shown ({type(trouble).__name__}: {trouble}); it is damaged or not "
            "from this program; --debug shows where it failed",
            file=sys.stderr,
        )
        return 4
    for note in page.notes:
        print(f"note: {note}", file=sys.stderr)
    if not options.quiet:
        state = f" ({page.unfinished})" if page.unfinished else ""
        print(f"{output}: {page.size / 1e6:.1f} MB{state}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
