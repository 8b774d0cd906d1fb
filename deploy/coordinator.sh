#!/bin/sh
# coordinator.sh PLAN [options]: runs the plan, or goes on with its run where MGUARD_STATE (default /state) holds one that was broken off. For
# coordinators that may be evicted or killed and are then started anew. Options are those of `mguard run` that are given again with
# --resume (--report-json, --log-json, --metrics-port ...); what shapes the run stands in the plan and in --queue-config, a file.
set -u
state=${MGUARD_STATE:-/state}
plan=${1:?the plan is missing}
shift
if mguard runs --state-dir "$state" --json 2>/dev/null | grep -Eq '"state": "(broken off|interrupted|failed)"'; then
  exec mguard run --resume latest --state-dir "$state" "$@"
fi
exec mguard run "$plan" --state-dir "$state" "$@"
