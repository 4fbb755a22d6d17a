# demo    the whole story on this machine, on a software platform; stays up until Ctrl-C
#         answers come from SmolLM2-135M-Instruct in llama.cpp, 105 MB downloaded once into target/engine, or, where that
#         cannot be had and with MODEL=none, from a built-in engine without a model; MODEL=FILE.gguf takes another model,
#         ENGINE=http://127.0.0.1:8000/v1 an engine that is running
# toggle-story  retention toggled under load, as an SDK, a client that pins, an auditor and a tenant with age see it
# test    everything; needs a Rust toolchain, a C compiler, Python 3 and Node.js, and nothing installed beforehand
#         (as root it installs Debian's age; without age what needs it is skipped by name)
# check   formatting, lints, each package compiled by itself, dependency rules
# docs    every link between documents checked, and a site of them built with mdBook (cargo install mdbook --locked)
# bench   figures beside nginx, a bare proxy and no gateway at all, and whether they meet the goals; BENCH_ROUNDS=1 BENCH_QUICK=1 for five minutes of it
# bench-authz  what a decision of an authorization policy with 50 rules costs; fails above 1 µs
# bench-limits  what admission by five rate limits costs; fails above 3 µs
# bench-duties  what the gateway's duties cost, each beside the same program without it
# bench-verify  what verifying evidence costs, beside the signature checks it cannot do without
# bench-flood  a thousand connections that ask for reports without end: whether verifiers and chats get through
# bench-wipe  what wiping memory costs, as a ratio to the same program without it
# leaks   a hunt through the memory of running processes for prompts and answers they should have forgotten
# soak    the shipped programs under mixed traffic for ten minutes (SOAK_SECONDS), a restart, and an account of every answer
# vectors recorded evidence of real machines beside the verdicts that other people's tools gave; skipped where there are no recordings
# known-answers  write the known answers in tests/vectors again, by their second implementation
# flips   every bit of every signed part of evidence, reports and receipts, flipped; near half an hour of CPU time, on all cores
# image   the confidential VM from locked packages, with its manifest and the prediction of its measurements
#         make image MODEL=FILE.gguf builds the one with llama.cpp, too; BINARIES=DIR takes programs instead of building them
# image-repro  the same built twice under circumstances that should not matter; every byte compared
# image-boot  the images booted under emulation: what they serve, refuse and measure. About ten minutes, and the packages of an emulator
#         make image-boot MODEL=FILE.gguf also sends a prompt through the image with llama.cpp; MODEL=smollm2 takes the demo's model
# wasm    attest-core compiled for wasm32-unknown-unknown, and a recorded quote verified in the module with Node.js; skipped by name
#         where the standard library for that target can neither be found nor built (as root it installs Debian's rustc-web, clang and lld)
# log-crashes  a thousand kills of the audit log's writer, at any moment
# log-start  what a start pays for reading its audit log, by the log's size
# log-receipts  what a receipt costs a request and the audit log's writer, by the log's size
# differential  100,000 changed TDX quotes and their collateral before this verifier and dcap-qvl; some minutes. COUNT=1000 FIRST=1 for fewer or others
# conformance  every case of the public conformance kit, judged
# fuzz-smoke  every parser over seeds, all their truncations and some hundred thousand mutants; about a minute, and needs nothing installed
# truncations  every recorded file cut to every length, before every parser; long, skipped where there are no recordings
# fuzz    libFuzzer on every parser; needs a C++ compiler. make fuzz SECONDS=60 gives each target a minute
.PHONY: demo test check docs bench bench-authz bench-duties bench-flood bench-limits bench-verify bench-wipe leaks soak vectors known-answers flips conformance fuzz-smoke truncations fuzz differential
.PHONY: log-crashes log-start log-receipts toggle-story wasm
.PHONY: image image-repro image-boot

CARGO ?= cargo
ENGINE ?=
MODEL ?=

demo:
	@$(CARGO) build --profile demo --locked -p sealgate -p sealgate-verify -p testkit -p demo --bins
	@target/demo/demo $(if $(ENGINE),--engine $(ENGINE)) $(if $(MODEL),--model $(MODEL))

toggle-story:
	@tests/blackbox/age.sh
	@tests/clients/setup.sh >/dev/null
	@$(CARGO) build --quiet --locked -p sealgate-verify -p testkit --bins
	@$(CARGO) test --quiet --locked -p blackbox --test retention four_parties -- --nocapture

test:
	@python3 tests/summary.py

check:
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	@python3 tests/packages_alone.py
	@command -v cargo-deny >/dev/null || { \
	  echo "cargo-deny is not installed: cargo install cargo-deny --locked"; exit 1; }
	$(CARGO) fetch --locked --quiet
	$(CARGO) deny check bans licenses sources

docs:
	@$(CARGO) test --quiet --locked -p layering --test documents
	@python3 docs/site.py

bench:
	@tests/bench/nginx.sh
	@$(CARGO) build --release --locked -p sealgate -p testkit -p bench --bin sealgate --bin sealgate-soft --bin bench
	@target/release/bench

bench-limits:
	@$(CARGO) run --quiet --release --locked -p bench-limits

bench-authz:
	@$(CARGO) run --quiet --release --locked -p bench-authorization

bench-duties:
	@$(CARGO) build --release --locked -p testkit -p bench --bin sealgate-soft --bin sealgate-soft-unwiped --bin bench
	@target/release/bench duties

bench-flood:
	@$(CARGO) build --quiet --release --locked -p sealgate-verify -p testkit -p blackbox --bins
	@target/release/bench-flood

bench-verify:
	@$(CARGO) run --quiet --release --locked -p evidence --bin verify-bench

leaks:
	@$(CARGO) build --release --locked -p sealgate -p sealgate-verify -p testkit -p leaks \
	  --bin sealgate --bin sealgate-verify --bin sealgate-soft --bin sealgate-soft-unwiped --bin leaks
	@target/release/leaks

soak:
	@$(CARGO) build --release --locked -p sealgate -p sealgate-verify -p testkit -p soak \
	  --bin sealgate --bin sealgate-verify --bin sealgate-soft --bin soak
	@target/release/soak

bench-wipe:
	@$(CARGO) build --release --locked -p testkit -p bench --bin sealgate-soft --bin sealgate-soft-unwiped --bin bench
	@target/release/bench wipe

vectors:
	@$(CARGO) run --quiet --locked -p evidence --bin vectors-table

known-answers:
	@python3 tests/vectors/generate.py

flips:
	@$(CARGO) run --quiet --release --locked -p flips

conformance:
	@python3 tests/conformance/list.py
	@$(CARGO) run --quiet --locked -p conformance

COUNT ?= 100000
FIRST ?= 1
differential:
	@$(CARGO) run --quiet --release --locked -p differential --bin tdx-bundles -- $(COUNT) $(FIRST)

fuzz-smoke:
	@$(CARGO) run --quiet --locked -p fuzz --bin fuzz-smoke

truncations:
	@$(CARGO) run --quiet --release --locked -p fuzz --bin fuzz-smoke -- 0 recordings

SECONDS ?= 20
fuzz:
	@python3 tests/fuzz/libfuzzer.py $(SECONDS)

wasm:
	@python3 tests/wasm/run.py

log-crashes:
	@SEALGATE_LOG_KILLS=1000 $(CARGO) test --quiet --locked -p gateway-store --test store killed_at_any_moment -- --nocapture

log-start:
	@$(CARGO) test --quiet --release --locked -p gateway-store --test store time_to_open -- --ignored --nocapture

log-receipts:
	@$(CARGO) test --quiet --release --locked -p gateway-store --test store cost_of_a_receipt -- --ignored --nocapture

IMAGE = $(CARGO) run --quiet --locked -p enclave-image --bin image --
BINARIES ?=
# MODEL=smollm2 is the model of `make demo`, downloaded if it is not there.
image_model = $(if $(filter smollm2,$(MODEL)),$(shell $(CARGO) run --quiet --locked -p engines --bin engine-setup -- --model),$(MODEL))
image_options = $(if $(MODEL),--profile inference --model $(image_model)) $(if $(BINARIES),--binaries $(BINARIES))

image:
	@$(IMAGE) build --profile gateway $(image_options)

image-repro:
	@$(IMAGE) repro --profile gateway $(image_options)

# Programs of the profile demo: what is shown is what images do, not these images' measurements.
BOOTED = target/image-boot
image-boot:
	@$(IMAGE) build --output $(BOOTED) --archive target/image/archive --cargo-profile demo --profile gateway --profile test --profile test-state $(if $(MODEL),--profile test-inference) $(image_options)
	@$(CARGO) run --quiet --locked -p image-boot -- --images $(BOOTED) --archive target/image/archive \
	  --verifier $(if $(BINARIES),$(BINARIES),$(BOOTED)/cargo/dynamic/x86_64-unknown-linux-gnu/demo)/sealgate-verify
