# shellcheck shell=bash
# Environment of everything that starts ranks. Source it: `. jobs/env.sh`. Values that are already set win.

# ---- What a site sets, here and nowhere else (jobs/README.md) ----
# module load gcc openmpi petsc hdf5
# export SBATCH_ACCOUNT=my_project SBATCH_PARTITION=compute  # sbatch reads them: source this file, then submit
: "${SANCTUARY:=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/build/release/sanctuary}"
: "${PYTHON:=/usr/bin/python3}"      # with what the report needs
: "${MPIEXEC:=mpiexec}"              # or srun
: "${SHARE_CORES=--oversubscribe}"   # lets the launcher start more ranks than cores; of srun: --overcommit; of MPICH: none
: "${SANCTUARY_RESTARTS:=5}"         # starts in a row without progress after which a job gives up
# ------------------------------------------------------------------

export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"  # a rank per core; threaded BLAS would only fight over them

if [ ! -w "${HOME:-/nonexistent}" ]; then  # service accounts: caches go beside the builds
  caches="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/build/cache"
  export CCACHE_DIR="${CCACHE_DIR:-$caches/ccache}" MPLCONFIGDIR="${MPLCONFIGDIR:-$caches/matplotlib}"
  unset caches
fi

if [ -n "${SLURM_JOB_ID:-}" ]; then  # a batch job: how ranks are bound is for the scheduler and the site to say
  # shellcheck disable=SC2086  # several names; sbatch hands on what was set where it was called
  unset -v ${SANCTUARY_SET_HERE:-}
  # Open MPI leaves ranks twice this long [s] to save after SIGTERM. It also waits up to four times this long after every
  # end that was not a success.
  export OMPI_MCA_odls_base_sigkill_timeout="${OMPI_MCA_odls_base_sigkill_timeout:-5}"
else
  set_here() {  # NAME VALUE
    [ -z "${!1:-}" ] || return 0
    export "$1=$2" SANCTUARY_SET_HERE="${SANCTUARY_SET_HERE:-} $1"
  }
  if [ "$(id -u)" = 0 ]; then  # containers and CI
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  fi
  # Two jobs at once would both be bound to the first cores.
  set_here OMPI_MCA_hwloc_base_binding_policy none
  # Containers forbid reading another process's memory.
  set_here OMPI_MCA_btl_vader_single_copy_mechanism none
fi

# hardware_threads: how many this process may use; plain nproc would answer OMP_NUM_THREADS.
hardware_threads() { env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc; }

# launcher RANKS: sets the array `launcher` to what starts that many ranks, sharing cores only where there are too few.
# Open MPI counts cores, not hardware threads; a batch job has as many as tasks.
launcher() {
  local ranks=$1 cores
  launcher=("$MPIEXEC")
  if [ -n "${SLURM_JOB_ID:-}" ]; then
    cores=${SLURM_NTASKS:-1}
  else
    cores=$({ lscpu --parse=core,socket 2>/dev/null || true; } | awk '/^[0-9]/ && !seen[$0]++ { n++ } END { print n + 0 }')
    if [ "$cores" -eq 0 ] || [ "$cores" -gt "$(hardware_threads)" ]; then cores=$(hardware_threads); fi
  fi
  if [ "$ranks" -gt "$cores" ]; then
    # shellcheck disable=SC2206  # none, one or several options
    launcher+=($SHARE_CORES)
    # A coordinator sleeps of itself: one rank more than cores is no reason for the others to yield.
    export OMPI_MCA_mpi_yield_when_idle="${OMPI_MCA_mpi_yield_when_idle:-$((ranks > cores + 1))}"
  fi
  # Without it srun leaves the other ranks waiting for one that died; mpiexec ends them of itself.
  if [ "${MPIEXEC##*/}" = srun ]; then launcher+=(--kill-on-bad-exit=1); fi
  launcher+=(-n "$ranks")
}

# launch RANKS COMMAND...: runs the command on that many ranks.
launch() {
  launcher "$1"
  shift
  "${launcher[@]}" "$@"
}
