# shellcheck shell=bash
# What the batch scripts share. Source it from the project's folder, or with SANCTUARY_ROOT set.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/jobs/env.sh"

# arguments LEAST USAGE ARGUMENT...: ends with exit code 2 when there are fewer than LEAST or the program is missing.
arguments() {
  if [ $(($# - 2)) -lt "$1" ]; then
    echo "usage: $2" >&2
    exit 2
  fi
  if [ ! -x "$SANCTUARY" ]; then
    echo "$SANCTUARY is not a program: build it, or set SANCTUARY in jobs/env.sh" >&2
    exit 2
  fi
}

# progress_of DIR: a number that changes when tasks finish or checkpoints are written, not when a start only takes note of
# what the one before left running. Opening the ledger for writing lets SQLite roll back what a killed writer left half
# done.
progress_of() {
  local ledger=$1/ledger.sqlite
  {
    if [ -e "$ledger" ]; then
      "$PYTHON" -c 'import sqlite3, sys
print(sqlite3.connect(sys.argv[1], 30).execute(
    "select count(*) from tasks where status in (?, ?, ?)", ("done", "failed", "rejected")).fetchone())' "$ledger" 2>&1
    fi
    find "$1" -name 'checkpoint_*.h5' -printf '%P\n' 2>/dev/null | sort
  } | cksum | cut -d ' ' -f 1
}

# ended DIR CODE: leaves CODE in DIR/job_state, for jobs that depend on this one, and ends with it.
ended() {
  mkdir -p "$1" && echo "ended $2" >"$1/job_state"
  exit "$2"
}

# run_in_job DIR RANKS COMMAND...: runs the command, which works in DIR, on that many ranks and ends the job with its
# exit code. SIGUSR1, which SLURM sends before the time limit, is passed on; the command then saves and ends with 75.
# After that, and after the loss of a rank or node, the job goes back into the queue, SANCTUARY_RESTARTS times in a row
# without progress at most. It does not after 0, 2, 3, 4, 5 (said by the command itself), nor when it was cancelled.
run_in_job() {
  local dir=$1 ranks=$2 code='' pid='' progress state='' known='' vain=0
  local again=no warned=no cancelled=no
  shift 2
  progress=$(progress_of "$dir")
  if [ -n "${SLURM_RESTART_COUNT:-}" ] && [ -r "$dir/job_state" ]; then
    read -r state known vain <"$dir/job_state"
    if [ "$state" != running ] || [ "$known" != "$progress" ]; then vain=0; fi
  fi
  mkdir -p "$dir" || exit 4
  echo "running $progress $((vain + 1))" >"$dir/job_state" || exit 4
  if [ "$vain" -gt "$SANCTUARY_RESTARTS" ]; then
    echo "$(date +%FT%T) started $vain times without progress: giving up" >&2
    ended "$dir" 75
  fi

  launcher "$ranks"
  trap 'again=yes warned=yes; [ -z "$pid" ] || kill -USR1 "$pid" 2>/dev/null' USR1
  trap 'again=yes cancelled=yes' TERM  # scancel, preemption, time limit: SLURM has told the ranks, too
  echo "$(date +%FT%T) job $SLURM_JOB_ID, restart ${SLURM_RESTART_COUNT:-0}, on ${SLURM_JOB_NODELIST:-this node}: ${launcher[*]} $*"
  "${launcher[@]}" "$@" &
  pid=$!
  [ "$warned" = no ] || kill -USR1 "$pid"
  while :; do  # a trapped signal ends `wait` early
    again=no
    wait "$pid"
    code=$?
    [ "$again" = yes ] || break
  done
  trap '' USR1

  case $code in
    0 | 2 | 3 | 4 | 5 | 126 | 127) ended "$dir" "$code" ;;
  esac
  # After SIGTERM nothing is queued again, but for what the time limit ended before it had saved.
  if [ "$cancelled" = yes ] && ! scontrol -o show job "$SLURM_JOB_ID" | grep -q ' Reason=TimeLimit '; then
    echo "$(date +%FT%T) cancelled (exit code $code): submit the same command again to go on" >&2
    ended "$dir" "$code"
  fi
  if [ "$(progress_of "$dir")" = "$progress" ] && [ "$vain" -ge "$SANCTUARY_RESTARTS" ]; then
    echo "$(date +%FT%T) exit code $code, and $((vain + 1)) starts in a row without progress: not queued again" >&2
    ended "$dir" "$code"
  fi
  echo "$(date +%FT%T) exit code $code: back into the queue"
  if ! scontrol requeue "$SLURM_JOB_ID"; then
    echo "SLURM refuses: submit the same command again to go on" >&2
    ended "$dir" "$code"
  fi
  exit "$code"  # SLURM forgets it: the job is in the queue
}
