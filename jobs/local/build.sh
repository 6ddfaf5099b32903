#!/usr/bin/env bash
# build.sh PRESET [TARGET...]: configures a preset of CMakePresets.json and builds it on all cores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. jobs/env.sh
preset=$1
shift
directory=build/$preset
mkdir -p "$directory"

# A source tree that was moved leaves a configuration that points elsewhere.
if [ -f "$directory/CMakeCache.txt" ] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "$directory/CMakeCache.txt"; then
  rm -rf "$directory/CMakeCache.txt" "$directory/CMakeFiles"
fi
if ! cmake --preset "$preset" >"$directory/configure.log" 2>&1 </dev/null; then
  cat "$directory/configure.log" >&2
  echo "Configuring failed: see above. INSTALL.md lists what is needed." >&2
  exit 2
fi
# Compilers of large templates need up to 1 GB each.
jobs=$(hardware_threads)
memory=$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo 2>/dev/null || echo "$jobs")
if [ "$memory" -lt "$jobs" ]; then jobs=$((memory > 0 ? memory : 1)); fi
cmake --build "$directory" --parallel "$jobs" ${1:+--target "$@"}
