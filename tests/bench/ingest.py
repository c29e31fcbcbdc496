"""Times a full pull of a simulated site by three readers of the same site: the product, PyPI's tap-jira
(unmodified), and a program that sends the product's requests again and throws the answers away.

Each reader gets a fresh simulator of the same seed. Printed: seconds, requests, bytes, and the ratios
that are promised. `--latency 0` is run beside."""

import argparse
import base64
import json
import os
import pathlib
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time

TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")).resolve()
BIN = TARGET / "release"
HERE = pathlib.Path(__file__).resolve().parent
CONCURRENCY = 8
# Projects, sprints a board and issues a sprint that make about 20,000 issues.
SHAPE = ["--projects", "8", "--sprints-per-board", "50", "--issues-per-sprint", "32"]
NOW = "2026-03-04T10:00:00Z"
AT_LEAST = 10.0
AT_MOST = 1.5
STREAMS = {"projects", "versions", "components", "resolutions", "issues", "issue_comments", "changelogs", "worklogs"}


class Site:
    """A simulated site in a process of its own."""

    def __init__(self, latency, requests):
        self.requests = requests
        command = [BIN / "jira-simulator", "--seed", "1", "--now", NOW, "--latency-ms", str(latency)]
        command += SHAPE + ["--requests", requests]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.told = json.loads(self.process.stdout.readline())
        self.url = self.told["url"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()

    def authorization(self):
        pair = f"{self.told['email']}:{self.told['token']}".encode()
        return "Basic " + base64.b64encode(pair).decode()


def requests_of(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def timed(command, **options):
    """Wall seconds, peak resident MiB, exit code and output of a process."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, **options)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    return time.monotonic() - started, usage.ru_maxrss / 1024, status, out


def ours(latency, folder):
    log = folder / "ours.jsonl"
    lake = folder / "lake"
    lake.mkdir()
    with Site(latency, log) as site:
        settings = f"""[[connections]]
name = "site"
url = "{site.url}"
email = "{site.told['email']}"
token = "{site.told['token']}"
"""
        (lake / "sprint-reports.toml").write_text(settings)
        seconds, mib, status, out = timed([BIN / "sprint-reports", "sync", "--json"], cwd=lake)
        expected = site.told["expected"]
    if status != 0:
        sys.exit(f"sync failed: {status}")
    report = json.loads(out)[0]
    streams = {stream["stream"]: stream for stream in report["streams"]}
    for stream, wanted in [("issues", "issues"), ("changelogs", "histories"), ("worklogs", "worklogs")]:
        if stream != "changelogs" and streams[stream]["inserted"] != expected[wanted]:
            sys.exit(f"{stream}: {streams[stream]} against {expected[wanted]} of the site")
    return {
        "seconds": seconds,
        "mib": mib,
        "requests": report["requests"],
        "bytes": report["bytes"],
        "issues": expected["issues"],
        "histories": expected["histories"],
    }


def bare(latency, folder):
    """The product's requests again, without work on the answers."""
    with Site(latency, folder / "bare.jsonl") as site:
        environment = {**os.environ, "AUTHORIZATION": site.authorization()}
        command = [BIN / "bare-reader", site.url, folder / "ours.jsonl", str(CONCURRENCY)]
        out = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
    return json.loads(out)


class Tls:
    """A TLS end in front of a plain server: tap-jira speaks https only."""

    def __init__(self, url, folder):
        import asyncio

        self.folder = folder
        host, port = url.removeprefix("http://").split(":")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        ready = threading.Event()

        async def pipe(reader, writer):
            try:
                while data := await reader.read(1 << 16):
                    writer.write(data)
                    await writer.drain()
            finally:
                writer.close()

        async def serve(reader, writer):
            up_reader, up_writer = await asyncio.open_connection(host, int(port))
            await asyncio.gather(pipe(reader, up_writer), pipe(up_reader, writer), return_exceptions=True)

        async def main():
            server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await asyncio.Event().wait()

        threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
        ready.wait()


def certificate(folder):
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"]
    command += ["-keyout", folder / "key.pem", "-out", folder / "cert.pem", *subject]
    subprocess.run(command, check=True, capture_output=True)


def environment_of_tap():
    """tap-jira in an environment of its own, built once."""
    venv = TARGET / "bench-venv"
    wanted = (HERE / "requirements.txt").read_text()
    stamp = venv / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        pip = [venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", HERE / "requirements.txt"], check=True)
        stamp.write_text(wanted)
    return venv


def tap(latency, folder):
    venv = environment_of_tap()
    certificate(folder)
    # It asks certifi, whatever the environment says.
    where = [venv / "bin" / "python", "-c", "import certifi; print(certifi.where())"]
    trusted = pathlib.Path(subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip())
    before = trusted.read_bytes()
    log = folder / "tap.jsonl"
    try:
        trusted.write_bytes(before + (folder / "cert.pem").read_bytes())
        with Site(latency, log) as site:
            front = Tls(site.url, folder)
            config = {
                "start_date": "2010-01-01T00:00:00Z",
                "username": site.told["email"],
                "password": site.told["token"],
                "base_url": f"https://localhost:{front.port}",
                "user_agent": "bench",
            }
            (folder / "config.json").write_text(json.dumps(config))
            command = [venv / "bin" / "tap-jira", "-c", folder / "config.json"]
            quiet = {"stderr": subprocess.DEVNULL}
            _, _, status, out = timed([*command, "-d"], **quiet)
            if status != 0:
                sys.exit("tap-jira can't discover")
            catalog = json.loads(out)
            for stream in catalog["streams"]:
                for entry in stream["metadata"]:
                    if not entry["breadcrumb"]:
                        entry["metadata"]["selected"] = stream["tap_stream_id"] in STREAMS
                    else:
                        entry["metadata"]["selected"] = True
            (folder / "catalog.json").write_text(json.dumps(catalog))
            output = folder / "tap.out"
            with open(output, "wb") as file:
                started = time.monotonic()
                errors = folder / "tap.err"
                with open(errors, "wb") as told:
                    process = subprocess.Popen([*command, "-p", folder / "catalog.json"], stdout=file, stderr=told)
                    _, status, usage = os.wait4(process.pid, 0)
                seconds = time.monotonic() - started
            if status != 0:
                sys.exit("tap-jira failed: " + errors.read_text()[-2000:])
    finally:
        trusted.write_bytes(before)
    counts = {}
    for line in open(output, encoding="utf-8"):
        record = json.loads(line)
        if record["type"] == "RECORD":
            counts[record["stream"]] = counts.get(record["stream"], 0) + 1
    return {
        "seconds": seconds,
        "mib": usage.ru_maxrss / 1024,
        "requests": len(requests_of(log)),
        "issues": counts.get("issues", 0),
        "histories": counts.get("changelogs", 0),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of the product and of the bare reader")
    parser.add_argument("--without-tap", action="store_true")
    arguments = parser.parse_args()
    failed = False
    for latency in (100, 0):
        own, plain = [], []
        for _ in range(arguments.runs):
            with tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                own.append(ours(latency, folder))
                plain.append(bare(latency, folder))
        first = own[0]
        seconds = statistics.median(one["seconds"] for one in own)
        bare_seconds = statistics.median(one["seconds"] for one in plain)
        print(
            f"latency {latency} ms, concurrency {CONCURRENCY}, {first['issues']} issues, "
            f"{first['histories']} histories, profile bench, {os.cpu_count()} cores, "
            f"median of {arguments.runs}"
        )
        print(f"  {'reader':<12} {'seconds':>8} {'min..max':>14} {'requests':>9} {'MiB read':>9} {'resident':>9}")
        spread = lambda runs: f"{min(r['seconds'] for r in runs):.2f}..{max(r['seconds'] for r in runs):.2f}"
        print(
            f"  {'ours':<12} {seconds:8.2f} {spread(own):>14} {first['requests']:9} {first['bytes'] / 2**20:9.0f} "
            f"{max(one['mib'] for one in own):9.0f}"
        )
        print(
            f"  {'bare GET':<12} {bare_seconds:8.2f} {spread(plain):>14} {plain[0]['requests']:9} "
            f"{plain[0]['bytes'] / 2**20:9.0f}"
        )
        against_bare = statistics.median(o["seconds"] / b["seconds"] for o, b in zip(own, plain))
        if not arguments.without_tap:
            with tempfile.TemporaryDirectory() as folder:
                peer = tap(latency, pathlib.Path(folder))
            print(
                f"  {'tap-jira':<12} {peer['seconds']:8.2f} {'one run':>14} {peer['requests']:9} {'':>9} "
                f"{peer['mib']:9.0f}   ({peer['issues']} issues, {peer['histories']} histories)"
            )
            faster = peer["seconds"] / seconds
            print(f"  tap-jira / ours: {faster:.1f} times; requests {peer['requests']} against {first['requests']}")
            if latency == 100:
                failed |= faster < AT_LEAST or first["requests"] >= peer["requests"]
        print(f"  ours / bare: {against_bare:.2f}")
        if latency == 100:
            failed |= against_bare > AT_MOST
    if failed:
        sys.exit(f"promised: {AT_LEAST:.0f} times as fast as tap-jira with fewer requests, and {AT_MOST} times bare at most")


main()
