#!/usr/bin/env bash
# Installs what is missing, builds with warnings as errors and runs the test suite.
#   tests/run.sh [--long] [--sanitize] [-- CTEST_OPTIONS...]
# --long      also the tests labelled long
# --sanitize  first the unit tests under the address and undefined-behaviour sanitizers, with assertions on
set -euo pipefail

long=no
sanitize=no
while [ $# -gt 0 ]; do
  case $1 in
    --long) long=yes ;;
    --sanitize) sanitize=yes ;;
    --)
      shift
      break
      ;;
    -h | --help)
      sed -n '2,5s/^# \?//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    *)
      echo "tests/run.sh: unknown option '$1'; expected --long, --sanitize or -- CTEST_OPTIONS" >&2
      exit 2
      ;;
  esac
  shift
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
jobs/local/packages.sh --tests
. jobs/env.sh

status=0
if [ "$sanitize" = yes ]; then
  echo "Building the unit tests with sanitizers into build/audit ..."
  jobs/local/build.sh audit unit_tests
  # Open MPI and PETSc keep memory until the process ends.
  ASAN_OPTIONS="detect_leaks=0:${ASAN_OPTIONS:-}" UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}" \
    build/audit/tests/unit_tests --gtest_brief=1 </dev/null || status=$?
  [ "$status" = 0 ] || echo "The unit tests fail under the sanitizers (exit code $status)." >&2
fi

echo "Building the tests into build/test ..."
jobs/local/build.sh test
options=(--output-on-failure --no-tests=error --timeout 900 --parallel "$(hardware_threads)")
[ "$long" = yes ] || options+=(--label-exclude long)
ctest --test-dir build/test "${options[@]}" "$@" </dev/null || status=$?
exit "$status"
