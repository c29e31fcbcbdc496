#!/bin/sh
# Unmodified clients: of Jira against the simulator, of PostgreSQL against the SQL endpoint. One line per check, non-zero exit if one fails.
# Installs the pinned clients once, into the build folder.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
cache=$target/clients
mkdir -p "$cache/node"

# The whole workspace: selecting one package would compile shared dependencies with other features.
(cd "$root" && cargo build --quiet --workspace)

if ! cmp -s "$here/python/requirements.txt" "$cache/requirements.txt"; then
  rm -rf "$cache/venv"
  python3 -m venv "$cache/venv"
  "$cache/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/python/requirements.txt"
  cp "$here/python/requirements.txt" "$cache/requirements.txt"
fi
if ! cmp -s "$here/node/package-lock.json" "$cache/node/installed.json"; then
  cp "$here/node/package.json" "$here/node/package-lock.json" "$cache/node/"
  (cd "$cache/node" && npm ci --no-audit --no-fund --loglevel=error)
  cp "$here/node/package-lock.json" "$cache/node/installed.json"
fi
# Beside its modules, where Node looks for them.
cp "$here/node/jirajs.mjs" "$cache/node/jirajs.mjs"

"$cache/venv/bin/python" -B "$here/python/clients.py" "$target/debug/jira-simulator" \
  --node "$cache/node/jirajs.mjs"
"$cache/venv/bin/python" -B "$here/sql/clients.py" "$target/debug/sprint-reports" "$here/sql/Listing.java"
