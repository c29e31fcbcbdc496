"""Peak resident memory of a first load, an incremental pull and a sweep, on sites of 10,000 and of 1,000,000
issues (`--issues` for others), and the requests that an incremental pull takes for what was edited."""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

BIN = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")).resolve() / "release"
LIMIT_MIB = 300


def sync(folder, *arguments):
    started = time.monotonic()
    process = subprocess.Popen(
        [BIN / "sprint-reports", "sync", "--json", *arguments], cwd=folder, stdout=subprocess.PIPE
    )
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"sync {arguments} failed")
    return time.monotonic() - started, usage.ru_maxrss / 1024, json.loads(out)[0]


def edit(url, count):
    request = urllib.request.Request(f"{url}/edit/{count}", method="POST")
    urllib.request.urlopen(request).read()


def measure(issues):
    """Peak MiB of each phase; requests of incremental pulls."""
    command = [BIN / "jira-simulator", "--wide", str(issues)]
    site = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    told = json.loads(site.stdout.readline())
    peaks = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            settings = f"""[[connections]]
name = "wide"
url = "{told['url']}"
email = "{told['email']}"
token = "{told['token']}"
"""
            (folder / "sprint-reports.toml").write_text(settings)
            phases = [("first load", 0, []), ("nothing new", 0, []), ("100 edited", 100, [])]
            phases += [("1,000 edited", 1000, []), ("sweep", 0, ["--sweep"])]
            for name, edited, arguments in phases:
                if edited:
                    edit(told["url"], edited)
                seconds, mib, report = sync(folder, *arguments)
                read = sum(stream["read"] for stream in report["streams"] if stream["stream"] == "issues")
                print(
                    f"{issues:>9,} issues  {name:<13} {seconds:8.1f} s {mib:6.0f} MiB resident "
                    f"{report['requests']:7,} requests {read:9,} issues read",
                    flush=True,
                )
                peaks.append(mib)
    finally:
        site.send_signal(signal.SIGINT)
        site.wait()
    return max(peaks)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--issues", type=int, nargs="*", default=[10_000, 1_000_000])
    peaks = [measure(issues) for issues in parser.parse_args().issues]
    print(f"resident at most: {', '.join(f'{peak:.0f}' for peak in peaks)} MiB, allowed {LIMIT_MIB}; ratio {peaks[-1] / peaks[0]:.2f}")
    if max(peaks) > LIMIT_MIB:
        sys.exit("over the limit")


main()
