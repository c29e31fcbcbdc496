# The vocabulary of this project. `make demo` runs the main job on embedded defaults, `make test`
# runs all tests; both set up what they need on a fresh Debian machine with Rust, Node 20 and
# Python 3.11.

TARGET := $(or $(CARGO_TARGET_DIR),target)
BIN := $(TARGET)/debug/sprint-reports
PORT_HTTP ?= 8080

.PHONY: demo test fmt lint unit clients soak bench deny setup services

# Simulated Jira → ingest over HTTP → Delta tables → SQL models → a sprint report and a server.
demo: setup
	cargo build --workspace
	$(BIN) demo --port-http $(PORT_HTTP)

# Everything that must pass before a change lands.
test: setup fmt lint unit clients

fmt:
	cargo fmt --all --check

lint:
	cargo clippy --workspace --all-targets -- -D warnings

# The binary first: the end-to-end tests run it.
unit: services
	cargo build --workspace
	cargo test --workspace --no-fail-fast

# Foreign clients against the simulated Jira and against the SQL endpoint.
clients: setup
	tests/clients/run.sh

# Long runs: the tests that are ignored elsewhere because they take minutes.
soak: setup services
	cargo build --workspace
	cargo test --workspace --no-fail-fast -- --ignored --nocapture
	SPRINT_REPORTS_THOROUGH=1 PROPTEST_CASES=30 cargo test --workspace --no-fail-fast --test it --test e2e -- killed incremental events_in year

# Timings; the only target that builds the `bench` profile.
bench: setup
	cargo build --workspace --profile bench
	tests/bench/run.sh

# Licences, sources and duplicate versions of dependencies.
deny:
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny check bans licenses sources

# What the tests start beside the product.
services: setup
	tests/services/install.sh

setup:
	@.ci/setup
