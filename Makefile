# Tributary from its sources. `make help` says what there is.

SHELL := bash
.DEFAULT_GOAL := help

# Cargo is found where rustup puts it, also in a shell that has not been told yet.
export PATH := $(HOME)/.cargo/bin:$(PATH)
# One target folder for everything, outside the tree: a fresh clone compiles nothing that is already there.
cache := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tributary
export CARGO_TARGET_DIR ?= $(cache)/target

# Everything is built with the release profile, so that demo, tests and benchmarks share what is compiled.
CARGO_BUILD := cargo build --release --locked --bin tributary
CARGO_TEST := cargo test --release --locked --workspace
CARGO_BENCH := cargo bench --locked --profile release --bench engine
CARGO_BENCH_PEERS := cargo bench --locked --profile release --bench peers
CARGO_BENCH_QUERIES := cargo bench --locked --profile release --bench queries
CARGO_BENCH_DELIVERIES := cargo bench --locked --profile release --bench deliveries
CARGO_BENCH_SCALING := cargo bench --locked --profile release --bench scaling
CARGO_BENCH_INSTRUCTIONS := cargo bench --locked --profile release --bench instructions
CARGO_BENCH_SEGMENTS := cargo bench --locked --profile release --bench segments
CARGO_BENCH_STARTUP := cargo bench --locked --profile release --bench startup
CARGO_BENCH_SOAK := cargo bench --locked --profile release --bench soak
CARGO_BENCH_IDENTITY := cargo bench --locked --profile release --bench identity

.PHONY: help demo test bench bench-peers flamegraph bench-queries bench-deliveries bench-scaling bench-instructions \
  bench-json bench-identity bench-segments bench-startup bench-soak bench-matching check ci

help: ## Shows this list
	@echo 'make TARGET, where TARGET is'
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null || true

demo: ## Starts Tributary on sample traffic and shows what happens; ONCE=1 ends when the sample is through
	@.ci/install build
	@$(CARGO_BUILD)
	@"$(CARGO_TARGET_DIR)/release/tributary" demo $(if $(filter 1,$(ONCE)),--once)

test: ## Runs all tests, those against a real Apache Kafka included; FILTER=kafka runs those whose name holds that
	@.ci/install test
	@$(CARGO_TEST) -- $(FILTER)

bench: ## Measures throughput, latency, memory and restart, beside a plain loop over hash maps
	@.ci/install build kafka
	@$(CARGO_BENCH)

bench-peers: ## Measures the same job in Tributary and in its peers, on the same Kafka; PEERS=flink,tributary some only
	@.ci/install build peers venv
	@benches/peers/run prepare
	@$(CARGO_BENCH_PEERS)

flamegraph: ## Draws where Tributary spends its time at full rate on Kafka: benches/peers/flamegraph.svg
	@.ci/install build kafka perf
	@PEERS=tributary FLAMEGRAPH=$(CURDIR)/benches/peers/flamegraph.svg $(CARGO_BENCH_PEERS)

bench-queries: ## Measures how long profiles take to be read, 5,000 a second, during ingest at full rate
	@.ci/install build
	@$(CARGO_BENCH_QUERIES)

bench-deliveries: ## Measures webhooks a second, and how long from an event to its webhook or push notification
	@.ci/install build
	@$(CARGO_BENCH_DELIVERIES)

bench-scaling: ## Draws what an event costs by workers, profiles, segments, properties and size of epochs; CURVES=profiles,epochs
	@.ci/install build
	@$(CARGO_BENCH_SCALING)

bench-instructions: ## Counts the instructions of what every event goes through, against limits; CI does the same
	@.ci/install build valgrind
	@$(CARGO_BENCH_INSTRUCTIONS)

bench-json: ## Measures libraries that read JSON, on events
	@.ci/install build
	@CARGO_TARGET_DIR=$(cache)/json cargo run --release --locked --quiet --manifest-path benches/json/Cargo.toml

bench-identity: ## Measures identity resolution beside a plain union-find, and what hostile graphs do
	@.ci/install build
	@$(CARGO_BENCH_IDENTITY)

bench-segments: ## Measures what a segment costs among 10, 100 and 1,000, and how long a preview takes
	@.ci/install build
	@$(CARGO_BENCH_SEGMENTS)

bench-startup: ## Measures the start after kill -9, and the memory of a profile, at three sizes
	@.ci/install build
	@$(CARGO_BENCH_STARTUP)

bench-soak: ## Sends half as much again as is sustained, for ten minutes: memory, refusals, recovery
	@.ci/install build
	@$(CARGO_BENCH_SOAK)

bench-matching: ## Measures precision and recall of suggestions on the FEBRL data sets of labelled persons
	@.ci/install build venv
	@$(CARGO_BUILD)
	@benches/matching/run "$(CARGO_TARGET_DIR)/release/tributary"

check: ## Formatting and lints, as CI has them
	@.ci/install build
	cargo fmt --all --check
	cargo clippy --release --locked --workspace --all-targets -- -D warnings

ci: ## All that has to pass before a change lands
	@.ci/run
