#!/bin/sh
# Installs the services that tests start, once, into the build folder: an S3 server (moto).
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
