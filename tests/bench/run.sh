#!/usr/bin/env bash
# Timings, with the `bench` profile: the demo from an empty folder to its first release and what the
# same folder costs when nothing has changed; a full pull beside a peer's and a bare reader's; memory
# on a small and a very large site. One alone: `tests/bench/run.sh demo|ingest|memory [OPTIONS]`.
set -euo pipefail
cd "$(dirname "$0")/../.."
export BINARY="${CARGO_TARGET_DIR:-target}/release/sprint-reports"
if [ $# -gt 0 ]; then
  bench=$1
  shift
  exec python3 "tests/bench/$bench.py" "$@"
fi
for bench in demo ingest memory; do
  python3 "tests/bench/$bench.py"
done
