#!/usr/bin/env bash
# up.sh DIR: starts a private SLURM of several virtual nodes on this machine, for tests of job scripts.
# Prints "export SLURM_CONF=..." for the caller:  eval "$(tests/slurm/up.sh DIR)"; sbatch ...; tests/slurm/down.sh DIR
# Needs root and the packages of jobs/local/packages_tests.txt; ends with 77 where it cannot run. Writes nothing outside
# DIR. Run again, it starts the nodes that have died. From the environment:
#   SLURM_UP_NODES=3, SLURM_UP_CPUS=8 (pretended, of each node), SLURM_UP_OWNER=PID (all is stopped when that process ends)
# A node is a slurmd in its own uts, pid and mount namespaces, with its own host name, /proc and /dev/shm: Open MPI tells
# nodes apart by these. `kill -9 $(cat DIR/run/n2.pid)` is the power failure of n2: everything on it dies.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cannot() { echo "up.sh: $*" >&2; exit 77; }
fail() { echo "up.sh: $*" >&2; exit 1; }

dir=${1:?usage: up.sh DIR}
[ "$(id -u)" = 0 ] || cannot "a private SLURM needs root"
for program in munged slurmctld slurmd sbatch sinfo unshare; do
  command -v "$program" >/dev/null || cannot "there is no $program: jobs/local/packages.sh --tests installs it"
done
unshare --uts --mount --pid --fork --mount-proc true 2>/dev/null || cannot "namespaces are not allowed here"
umask 022
mkdir -p "$dir"/{munge,state,log,run,tmp}
dir=$(cd "$dir" && pwd)

free_ports() {  # COUNT: the first of that many ports in a row that nobody answers on
  local first port
  for _ in {1..100}; do
    first=$((10000 + RANDOM % 20000))
    for ((port = first; port < first + $1; port++)); do
      ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || continue 2
    done
    echo "$first"
    return
  done
  return 1
}
# A cluster that was started before keeps its shape.
if [ ! -s "$dir/shape" ]; then
  nodes=${SLURM_UP_NODES:-3}
  echo "nodes=$nodes cpus=${SLURM_UP_CPUS:-8} port=$(free_ports $((nodes + 1)))" >"$dir/shape"
fi
nodes='' cpus='' port=''
# shellcheck source=/dev/null
. "$dir/shape"

[ -s "$dir/munge/key" ] || (umask 077 && head -c 128 /dev/urandom >"$dir/munge/key")
# What TaskProlog prints as "export ..." goes into the environment of batch scripts and tasks: job scripts under test
# need no special case for root, nor for nodes that share one machine and one network.
cat >"$dir/taskprolog" <<END
#!/bin/sh
echo "export OMPI_ALLOW_RUN_AS_ROOT=1"
echo "export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"
echo "export OMPI_MCA_mca_base_param_files=$dir/openmpi.conf"
END
cat >"$dir/openmpi.conf" <<END
mpi_yield_when_idle = 1
hwloc_base_binding_policy = none
btl_vader_single_copy_mechanism = none
btl_tcp_if_include = lo
oob_tcp_if_include = lo
END
chmod 755 "$dir/taskprolog"
# A requeued job waits cred_expire + 1 s, by default 121 s. No cgroups, no binding, more CPUs than there are. TmpFS:
# nodes on one machine must not meet in /tmp.
cat >"$dir/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$dir/munge/socket,cred_expire=5
PlugStackConfig=/dev/null
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmctldLogFile=$dir/log/slurmctld.log
StateSaveLocation=$dir/state
SlurmdPidFile=$dir/run/slurmd.%n.pid
SlurmdLogFile=$dir/log/slurmd.%n.log
SlurmdSpoolDir=$dir/spool.%n
TmpFS=$dir/tmp/%n
TaskProlog=$dir/taskprolog
MpiDefault=pmix
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1
SlurmdTimeout=10
KillWait=${SLURM_UP_KILL_WAIT:-10}
MinJobAge=600
ReturnToService=2
JobRequeue=1
$(for ((i = 1; i <= nodes; i++)); do
  echo "NodeName=n$i NodeHostname=n$i NodeAddr=127.0.0.1 Port=$((port + i)) CPUs=$cpus RealMemory=64000 State=UNKNOWN"
done)
PartitionName=main Nodes=ALL Default=YES DefaultTime=10 MaxTime=INFINITE State=UP
END
export SLURM_CONF=$dir/slurm.conf

# By command line: a process that has ended and that nobody waits for still has its number.
alive() { [ -s "$1" ] && { tr '\0' ' ' <"/proc/$(cat "$1")/cmdline"; } 2>/dev/null | grep -qF -- "$dir/"; }

if ! alive "$dir/munge/pid"; then
  rm -f "$dir"/munge/{socket,socket.lock,pid}
  munged --force --num-threads=2 --socket="$dir/munge/socket" --key-file="$dir/munge/key" --pid-file="$dir/munge/pid" \
    --seed-file="$dir/munge/seed" --log-file="$dir/log/munged.log" </dev/null >/dev/null 2>>"$dir/log/munged.err" ||
    fail "munged does not start: $(tail -n 3 "$dir/log/munged.err")"
fi
if ! alive "$dir/run/slurmctld.pid"; then
  slurmctld -f "$SLURM_CONF" </dev/null >/dev/null 2>>"$dir/log/slurmctld.err" ||
    fail "slurmctld does not start: $(tail -n 3 "$dir/log/slurmctld.log" "$dir/log/slurmctld.err")"
fi
for ((i = 1; i <= nodes; i++)); do
  if alive "$dir/run/n$i.pid"; then continue; fi
  rm -rf "$dir/spool.n$i" "$dir/tmp/n$i"
  mkdir -p "$dir/spool.n$i" "$dir/tmp/n$i"
  # bash is process 1 of the node and ends with its slurmd. Two waits: the first ends when TERM arrives.
  setsid unshare --uts --mount --pid --fork --kill-child --mount-proc --propagation private bash -c '
    hostname "$2" && mount -t tmpfs -o size=1g,mode=1777 shm /dev/shm && cd / || exit
    trap "kill \$daemon" TERM
    slurmd -D -f "$1" -N "$2" & daemon=$!
    wait $daemon; wait $daemon' slurmnode "$SLURM_CONF" "n$i" </dev/null >/dev/null 2>>"$dir/log/n$i.err" &
  echo $! >"$dir/run/n$i.pid"
done
if [ -n "${SLURM_UP_OWNER:-}" ]; then
  setsid bash -c 'while kill -0 "$1" 2>/dev/null; do sleep 1; done; exec "$2" "$3"' watch "$SLURM_UP_OWNER" \
    "$here/down.sh" "$dir" </dev/null >/dev/null 2>&1 &
fi

up=0
for _ in {1..300}; do
  up=$({ timeout 5 sinfo -hN -t idle,mix,alloc -o %N 2>/dev/null || true; } | sort -u | wc -l)
  [ "$up" -ne "$nodes" ] || break
  sleep 0.1
done
[ "$up" -eq "$nodes" ] || fail "only $up of $nodes nodes came up: see $dir/log"
echo "export SLURM_CONF=$SLURM_CONF"
