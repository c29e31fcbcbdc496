#!/bin/sh
# Unmodified clients: of Jira, GitHub and GitLab against the simulators, of PostgreSQL against the SQL endpoint. One line per check, non-zero exit if one fails.
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
# GitHub's own OpenAPI document: one file of a package that holds 400 MB of them.
openapi=octokit-openapi-23.0.2.tgz
if [ ! -f "$cache/github/$openapi.done" ]; then
  mkdir -p "$cache/github"
  (cd "$cache/github" && npm pack --silent @octokit/openapi@23.0.2 >/dev/null &&
    echo "71a18407dd5e8464f4e0525daf03deabbe65abd9287d6adc7b5d98f516cd0d0c  $openapi" | sha256sum --quiet --check - &&
    tar -xzf "$openapi" --strip-components=2 package/generated/api.github.com.json &&
    rm "$openapi" && touch "$openapi.done")
fi
# Beside its modules, where Node looks for them.
cp "$here/node/jirajs.mjs" "$cache/node/jirajs.mjs"

"$cache/venv/bin/python" -B "$here/python/clients.py" "$target/debug/jira-simulator" \
  --node "$cache/node/jirajs.mjs"
"$cache/venv/bin/python" -B "$here/python/forges.py" "$target/debug/forge-simulator" \
  "$cache/github/api.github.com.json"
"$cache/venv/bin/python" -B "$here/sql/clients.py" "$target/debug/sprint-reports" "$here/sql/Listing.java"
