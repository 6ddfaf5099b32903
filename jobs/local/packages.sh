#!/usr/bin/env bash
# Installs the packages of packages.txt that are missing. Without root it prints the line to run as root and ends with
# exit code 2. On a machine that is not Debian-like, or with SANCTUARY_PACKAGES=skip (an own PETSc, Spack, modules: see
# INSTALL.md), it leaves everything to the build, which says what it does not find.
#   --tests              then those of packages_tests.txt; what cannot be installed there is only reported
#   --list, --list-tests prints the names
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

names() { awk '!/^#/ && NF { print $1 }' "$here/$1"; }
case ${1:-} in
  '' | --tests) ;;
  --list)
    names packages.txt
    exit 0
    ;;
  --list-tests)
    names packages_tests.txt
    exit 0
    ;;
  *)
    echo "packages.sh: unknown option '$1'; expected --tests, --list or --list-tests" >&2
    exit 2
    ;;
esac
if [ "${SANCTUARY_PACKAGES:-}" = skip ]; then exit 0; fi
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "Not a Debian-like system: nothing installed. INSTALL.md lists what is needed." >&2
  exit 0
fi

missing_of() {  # PACKAGE...: those that are not installed
  local package state
  for package; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || echo "$package"
  done
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
  local wait_for_lock=(-o DPkg::Lock::Timeout=300)
  echo "Installing $# packages: $*"
  export DEBIAN_FRONTEND=noninteractive
  apt-get "${wait_for_lock[@]}" update >"$log" 2>&1 </dev/null &&
    apt-get "${wait_for_lock[@]}" install -y --no-install-recommends "$@" >>"$log" 2>&1 </dev/null
}

mapfile -t wanted < <(names packages.txt)
mapfile -t missing < <(missing_of "${wanted[@]}")
if [ -n "${PETSC_DIR:-}" ]; then
  # An own PETSc brings its own MPI or uses Debian's; Debian's PETSc would only stand in its way.
  for i in "${!missing[@]}"; do [ "${missing[i]}" != petsc-dev ] || unset -v "missing[i]"; done
fi
if [ ${#missing[@]} -gt 0 ]; then
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
  if ! install "${missing[@]}"; then
    tail -n 30 "$log" >&2
    echo "apt-get could not install the packages: see above. Is the package mirror reachable?" >&2
    exit 2
  fi
fi
[ "${1:-}" = --tests ] || exit 0

mapfile -t wanted < <(names packages_tests.txt)
mapfile -t missing < <(missing_of "${wanted[@]}")
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi
for program in sbatch slurmd slurmctld munged; do
  if command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ]; then
    echo "This machine has a SLURM of its own ($program), which is left as it is: tests that start one may be skipped."
    exit 0
  fi
done
if [ "$(id -u)" != 0 ]; then
  echo "Without root: tests that start a SLURM are skipped (${missing[*]})."
  exit 0
fi
# The daemons are wanted, but not as services of this machine.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$log" "$policy"' EXIT
  printf '#!/bin/sh\n# Left behind by Sanctuary: remove it.\ncase $1 in munge | slurm*) exit 101 ;; esac\nexit 0\n' >"$policy"
  chmod 755 "$policy"
fi
if install "${missing[@]}"; then
  systemctl disable munge slurmctld slurmd >/dev/null 2>&1 || true
else
  tail -n 5 "$log" >&2
  echo "apt-get could not install ${missing[*]}: tests that start a SLURM are skipped." >&2
fi
