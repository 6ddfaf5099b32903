#!/usr/bin/env bash
# down.sh DIR: stops what up.sh started in DIR and nothing else; DIR itself stays, with its logs. The nodes are pid
# namespaces: every process of every job ends with its node.
dir=$(cd "${1:?usage: down.sh DIR}" 2>/dev/null && pwd) || exit 0
mine() { [ -n "$1" ] && { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null | grep -qF -- "$dir/"; }
stop() { # PID: TERM, and KILL when 6 s were not enough
  mine "$1" || return 0
  kill "$1"
  for _ in {1..60}; do
    mine "$1" || return 0
    sleep 0.1
  done
  kill -9 "$1"
}
for file in "$dir"/run/n[0-9]*.pid; do
  if [ -s "$file" ] && mine "$(cat "$file")"; then kill -9 "$(cat "$file")"; fi
done
stop "$(cat "$dir/run/slurmctld.pid" 2>/dev/null)"
stop "$(cat "$dir/munge/pid" 2>/dev/null)"
rm -f "$dir"/run/*.pid "$dir/munge/pid" "$dir/shape"
