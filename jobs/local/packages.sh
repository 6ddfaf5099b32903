#!/usr/bin/env bash
# Installs the packages of packages.txt that are missing. Without root it prints the line to run as root and ends with
# exit code 2. On a machine that is not Debian-like, or with SANCTUARY_PACKAGES=skip (an own PETSc, Spack, modules: see
# INSTALL.md), it leaves everything to the build, which says what it does not find.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [ "${1:-}" = --list ]; then
  awk '!/^#/ && NF { print $1 }' "$here/packages.txt"
  exit 0
fi
if [ "${SANCTUARY_PACKAGES:-}" = skip ]; then exit 0; fi
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "Not a Debian-like system: nothing installed. INSTALL.md lists what is needed." >&2
  exit 0
fi

missing=()
# An own PETSc brings its own MPI or uses Debian's; Debian's PETSc would only stand in its way.
own_petsc=${PETSC_DIR:+petsc-dev}
for package in $("$here/packages.sh" --list); do
  [ "$package" != "$own_petsc" ] || continue
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

if [ "$(id -u)" != 0 ]; then
  {
    echo "Packages are missing. Run this line once as root (or with sudo), then run the same command again:"
    echo
    echo "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    echo
    echo "With libraries of your own, set SANCTUARY_PACKAGES=skip instead (INSTALL.md)."
  } >&2
  exit 2
fi

echo "Installing ${#missing[@]} packages: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
wait_for_lock=(-o DPkg::Lock::Timeout=300)
if ! { apt-get "${wait_for_lock[@]}" update &&
  apt-get "${wait_for_lock[@]}" install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
  tail -n 30 "$log" >&2
  echo "apt-get could not install the packages: see above. Is the package mirror reachable?" >&2
  exit 2
fi
