"""Times `demo --exit` as a whole process, five times each, and prints minimum, median, maximum."""

import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

BINARY = pathlib.Path(os.environ["BINARY"]).resolve()
RUNS = 5
LIMIT_SECONDS = 10.0
LIMIT_MIB = 400.0


def run(folder, *arguments):
    """Wall seconds and peak resident MiB of one process."""
    started = time.monotonic()
    process = subprocess.Popen([BINARY, *arguments], cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(arguments)} failed")
    return time.monotonic() - started, usage.ru_maxrss / 1024


def row(name, values, unit):
    low, middle, high = min(values), statistics.median(values), max(values)
    print(f"{name:<34} {low:8.2f} {middle:8.2f} {high:8.2f} {unit}")
    return middle


def main():
    first, again = [], []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            first.append(run(folder, "demo", "--exit"))
            again.append(run(folder, "demo", "--exit"))
            query = "select (select count(*) from jira.issues) as issues, (select count(*) from jira.changelog_items) as items, (select count(*) from marts.sprint_metrics) as sprints"
            shape = subprocess.run(
                [BINARY, "sql", query, "--format", "json"], cwd=folder, capture_output=True, check=True
            )
    print(f"profile bench, {os.cpu_count()} cores, {RUNS} runs, data {json.loads(shape.stdout)[0]}")
    print(f"{'':<34} {'min':>8} {'median':>8} {'max':>8}")
    seconds = row("demo to the first release", [t for t, _ in first], "s")
    memory = row("  resident at most", [m for _, m in first], "MiB")
    unchanged = row("demo again, nothing changed", [t for t, _ in again], "s")
    print(f"ratio again / first: {unchanged / seconds:.2f}")
    print(f"first release: {seconds:.2f} s of {LIMIT_SECONDS:.0f} s allowed ({seconds / LIMIT_SECONDS:.2f})")
    print(f"resident: {memory:.0f} MiB of {LIMIT_MIB:.0f} MiB allowed ({memory / LIMIT_MIB:.2f})")
    if seconds > LIMIT_SECONDS or memory > LIMIT_MIB:
        sys.exit("over the limit")


main()
