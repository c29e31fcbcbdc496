#!/bin/sh
# Installs what tests start, once: into the build folder an S3 server (moto) and what checks the messages for Slack
# and Teams (their types of blocks, the parser of adaptive cards); PostgreSQL, from Debian's package, where no
# server is found.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
services=${CARGO_TARGET_DIR:-$root/target}/services
mkdir -p "$services"
if ! cmp -s "$here/requirements.txt" "$services/requirements.txt"; then
  rm -rf "$services/venv"
  python3 -m venv "$services/venv"
  "$services/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  cp "$here/requirements.txt" "$services/requirements.txt"
fi
if ! cmp -s "$here/formats/package-lock.json" "$services/formats/installed.json"; then
  mkdir -p "$services/formats"
  cp "$here/formats/package.json" "$here/formats/package-lock.json" "$services/formats/"
  (cd "$services/formats" && npm ci --no-audit --no-fund --loglevel=error >/dev/null)
  cp "$here/formats/package-lock.json" "$services/formats/installed.json"
fi
cp "$here/formats/check.mjs" "$services/formats/"
if ! command -v pg_ctl >/dev/null 2>&1 && ! ls /usr/lib/postgresql/*/bin/pg_ctl >/dev/null 2>&1; then
  echo "installing: postgresql"
  as_root=
  [ "$(id -u)" = 0 ] || as_root=sudo
  $as_root apt-get update -qq
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null
fi
