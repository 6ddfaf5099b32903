# shellcheck shell=bash
# Environment of everything that starts ranks. Source it: `. jobs/env.sh`. Values that are already set win.
# In a batch job nothing about Open MPI is touched: there the scheduler and the site decide.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"  # a rank per core; threaded BLAS would only fight over them

if [ ! -w "${HOME:-/nonexistent}" ]; then  # service accounts: caches go beside the builds
  caches="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/build/cache"
  export CCACHE_DIR="${CCACHE_DIR:-$caches/ccache}" MPLCONFIGDIR="${MPLCONFIGDIR:-$caches/matplotlib}"
  unset caches
fi

if [ -z "${SLURM_JOB_ID:-}" ]; then
  if [ "$(id -u)" = 0 ]; then  # containers and CI
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  fi
  # Two jobs at once would both be bound to the first cores.
  export OMPI_MCA_hwloc_base_binding_policy="${OMPI_MCA_hwloc_base_binding_policy:-none}"
  # Containers forbid reading another process's memory.
  export OMPI_MCA_btl_vader_single_copy_mechanism="${OMPI_MCA_btl_vader_single_copy_mechanism:-none}"
fi

# hardware_threads: how many this process may use; plain nproc would answer OMP_NUM_THREADS.
hardware_threads() { env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc; }

# launch RANKS COMMAND...: runs the command on that many ranks, sharing cores only where there are too few. Open MPI
# counts cores, not hardware threads.
launch() {
  local ranks=$1 cores options=()
  shift
  cores=$({ lscpu --parse=core,socket 2>/dev/null || true; } | awk '/^[0-9]/ && !seen[$0]++ { n++ } END { print n + 0 }')
  if [ "$cores" -eq 0 ] || [ "$cores" -gt "$(hardware_threads)" ]; then cores=$(hardware_threads); fi
  if [ -z "${SLURM_JOB_ID:-}" ] && [ "$ranks" -gt "$cores" ]; then
    options+=(--oversubscribe)
    export OMPI_MCA_mpi_yield_when_idle="${OMPI_MCA_mpi_yield_when_idle:-1}"
  fi
  "${MPIEXEC:-mpiexec}" "${options[@]}" -n "$ranks" "$@"
}
