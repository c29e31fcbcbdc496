#!/usr/bin/env bash
# Timings of the main job, with the `bench` profile: the demo from an empty folder to its first
# release, and what the same folder costs when nothing has changed.
set -euo pipefail
cd "$(dirname "$0")/../.."
export BINARY="${CARGO_TARGET_DIR:-target}/release/sprint-reports"
exec python3 tests/bench/demo.py
