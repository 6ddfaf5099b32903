#!/usr/bin/env bash
# Installs what is missing, builds a release, simulates the quickstart patient on 2 ranks, prints what was found and
# writes its report. Run it again at any time: an interrupted simulation goes on where it stopped.
set -euo pipefail

deck=decks/patient/quickstart.ini
out=out/quickstart
ranks=2

if [ $# -gt 0 ]; then
  echo "usage: jobs/local/quickstart.sh   (no options: see $deck for what it runs)"
  [ "$1" = --help ] || [ "$1" = -h ] || exit 2
  exit 0
fi
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
jobs/local/packages.sh
. jobs/env.sh

echo "Building the release into build/release ..."
jobs/local/build.sh release sanctuary

echo "Simulating $deck on $ranks ranks into $out ..."
launch "$ranks" build/release/sanctuary simulate "$deck" -o "$out"

echo "Writing the report ..."
PYTHONPATH="$PWD/postprocess" /usr/bin/python3 -m sanctuary_post "$out"

cat <<END

Where to look
  $out/report.html    the report: open it in a browser
  $out/run.xdmf       fields and vessels, for ParaView
  $out/run.h5         everything, for h5py
  $out/summary.json   the scalar outcomes, the main ones printed above
  $deck   what was asked for: copy it, change it, and run
      build/release/sanctuary simulate MY_DECK.ini -o out/MY_RUN
END
