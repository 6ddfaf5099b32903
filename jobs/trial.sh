#!/usr/bin/env bash
# A whole trial: the cohort, then its report as a job that waits for it. With --shards N the cohort is an array of N jobs
# and a job that joins them.
#   jobs/trial.sh DECK DIR [--shards N] [-- SBATCH_OPTIONS...]     the options of sbatch are for the cohort
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"
export SANCTUARY_ROOT=${here%/*}

usage="jobs/trial.sh DECK DIR [--shards N] [-- SBATCH_OPTIONS...]"
arguments 2 "$usage" "$@"
deck=$1 dir=$2 shards=''
shift 2
if [ "${1:-}" = --shards ]; then
  shards=${2:?usage: $usage}
  shift 2
fi
if [ "${1:-}" = -- ]; then shift; elif [ $# -gt 0 ]; then arguments 3 "$usage"; fi

submit() {  # the number of the job, without the name of its cluster
  local answer
  answer=$(sbatch --parsable "$@") && echo "${answer%%;*}"
}
if [ -n "$shards" ]; then
  cohort=$(submit "$@" --array="0-$((shards - 1))" "$here/cohort_array.slurm" "$deck" "$dir" "$shards")
  last=$(submit --dependency="afterany:$cohort" "$here/cohort_merge.slurm" "$deck" "$dir")
else
  cohort=$(submit "$@" "$here/cohort.slurm" "$deck" "$dir")
  last=$cohort
fi
report=$(submit --dependency="afterany:$last" "$here/report.slurm" "$dir")
echo "cohort $cohort${shards:+ merge $last} report $report"
