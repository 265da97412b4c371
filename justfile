# The everyday commands. Without `just`: npx -y rust-just RECIPE
# Every recipe can be run again; nothing outside this directory is changed but for the packages that `setup` installs.

set shell := ["bash", "-euo", "pipefail", "-c"]
set positional-arguments

just := quote(just_executable())
target := env("CARGO_TARGET_DIR", justfile_directory() / "target")
# What the program that people install can do beside what a plain `cargo build` does; packaging/sbom.mjs has it as well.
features := "zenovay/clickhouse"
# The server of tests. Libraries have the features that the whole workspace needs, so that what `test-rust` compiled is not compiled again.
server := "cargo build --locked --workspace --features " + features + " --bin zenovay"

# Show the recipes.
default:
    @{{just}} --list --unsorted

# Build everything and start the server on ./data; further words are given to it, such as `--listen 0.0.0.0:8080`.
run *ARGS: assets
    cargo run --release --locked --package zenovay -- serve "$@"

# Start the server on a temporary directory with two months of made-up traffic.
demo *ARGS: assets
    cargo run --release --locked --package zenovay -- demo "$@"

# Install what is missing, then run every check and every test.
test: setup assets lint test-rust test-databases test-faults test-packages test-tracker test-web test-api test-mcp test-deploy
    @echo "all tests passed"

# Install the packages that the tests need and that are missing (root or sudo).
setup:
    scripts/setup

# Build z.js and the web application; the next build of the server embeds both.
assets:
    scripts/assets

# Build the release binary with everything embedded; libpq-dev has to be there, which `setup` installs.
build: assets
    cargo build --release --locked --package zenovay --features {{features}}

# Build what people install, with checksums and the list of its libraries, in DIRECTORY: archive, Debian package, container root.
release DIRECTORY="target/release-files": build
    packaging/build {{quote(target / "release/zenovay")}} {{quote(absolute_path(DIRECTORY))}}

# Take the present lists of browsers and bots; UAP_CORE and ISBOT are checkouts of their repositories.
refresh-agents UAP_CORE ISBOT:
    scripts/refresh-agents "$@"

# Formatting, lints, documentation, public interfaces, direction of dependencies, circles, errors, licences, advisories.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --features {{features}} --locked -- -D warnings
    cargo clippy --workspace --features {{features}} --locked --test clickhouse --test nodes --test faults -- -D warnings
    cargo fmt --manifest-path fuzz/Cargo.toml --check
    cargo clippy --manifest-path fuzz/Cargo.toml --target-dir {{quote(target)}} --locked -- -D warnings
    cargo fmt --manifest-path api/mcp/rmcp/Cargo.toml --check
    cargo clippy --manifest-path api/mcp/rmcp/Cargo.toml --target-dir {{quote(target)}} --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
    RUSTDOCFLAGS="-D warnings" node scripts/public-interface.mjs
    node scripts/check-docs.mjs
    node scripts/check-dependencies.mjs
    node scripts/check-circles.mjs
    node scripts/check-errors.mjs
    node scripts/check-licences.mjs
    scripts/check-advisories

# Unit, integration, crash and documentation tests, those of databases among them, the seeds of the fuzz targets, then every example.
test-rust:
    node scripts/steady.mjs cargo --workspace --features {{features}} --locked
    # Each of these programs has the whole server in it, 10 GB together, and none is needed again. What is linked twice is no test.
    [[ -z "${CI:-}" ]] || find {{quote(target / "debug/deps")}} -type f -executable -links 1 ! -name '*.so' -delete
    cargo test --manifest-path fuzz/Cargo.toml --target-dir {{quote(target)}} --locked --lib
    scripts/run-examples {{features}}

# Events on two real servers of ClickHouse, which the tests start and end: the store, the program with it, and several servers behind nginx. What is tested on PostgreSQL is in test-rust.
test-databases:
    PROPTEST_CASES=16 node scripts/steady.mjs cargo --workspace --features {{features}} --locked --test clickhouse --test nodes

# Of test-rust, the metadata on a real PostgreSQL, which the tests start and end: the store, the program with it, and with Redis beside it.
test-postgres:
    node scripts/steady.mjs cargo --workspace --features {{features}} --locked --test postgres --test redis

# The program under load while PostgreSQL, ClickHouse and Redis are killed, stopped, cut off, slow, and answer half: some minutes.
test-faults:
    node scripts/steady.mjs cargo --workspace --features {{features}} --locked --test faults

# The same many times over.
test-cluster ROUNDS="10":
    FAULT_ROUNDS={{ROUNDS}} cargo test --workspace --features {{features}} --locked --test faults -- --nocapture

# Many more random questions about events on two servers of ClickHouse: about half an hour.
test-clickhouse QUESTIONS="10000":
    QUESTIONS={{QUESTIONS}} cargo test --package zenovay-events-clickhouse --locked --test clickhouse every_answer

# Events at RATE a second to two servers of ClickHouse, and ROWS that move there from a directory: how many, and on how much of a core.
bench-clickhouse RATE="5000" ROWS="1000000":
    RATE={{RATE}} ROWS={{ROWS}} cargo test --release --package zenovay-events-clickhouse --locked --test clickhouse measured \
        -- --ignored --nocapture --test-threads 1

# A thousand rounds each of lost answers and of servers that are killed, between the program and ClickHouse: an hour or two.
test-delivery ROUNDS="1000":
    DELIVERY_ROUNDS={{ROUNDS}} KILLS={{ROUNDS}} cargo test --workspace --features {{features}} \
        --locked --test clickhouse stored_once -- --nocapture

# Every library crate packaged as for a registry, built from its package, and used by the programs in examples/.
test-packages:
    cd examples && cargo fmt --check
    scripts/check-packages

# z.js in a real Chromium against the real server.
test-tracker: assets
    {{server}}
    cd tracker && ZENOVAY_BIN={{quote(target / "debug/zenovay")}} npm test

# The web application in a real Chromium against the real server: its rules, what people do, axe on every page.
test-web: assets
    {{server}}
    cd web && ZENOVAY_BIN={{quote(target / "debug/zenovay")}} npm test

# How long people wait for the numbers of the analytics page and for those of a filter, beside the bare question.
bench-web: build
    cd web && ZENOVAY_BIN={{quote(target / "release/zenovay")}} npm run --silent bench

# Write a picture of every page, in light and dark, wide and narrow, to DIRECTORY.
screenshots DIRECTORY="target/screenshots": assets
    {{server}}
    mkdir -p {{quote(DIRECTORY)}}
    cd web && SCREENSHOTS={{quote(absolute_path(DIRECTORY))}} ZENOVAY_BIN={{quote(target / "debug/zenovay")}} \
        node --test --test-name-pattern='^every page' tests/{pages,numbers,shares,mcp,captures,heatmaps,states}.test.mjs

# Make the pictures of the README and of docs/mcp.md anew, from the demo, or those with these NAMES.
pictures *NAMES: assets
    {{server}}
    cd web && ZENOVAY_BIN={{quote(target / "debug/zenovay")}} node pictures.mjs ../docs/pictures "$@"

# The API document: valid, typed clients compile and call, schemathesis finds nothing. `--long` runs all its phases.
test-api *ARGS:
    {{server}}
    ZENOVAY_BIN={{quote(target / "debug/zenovay")}} node scripts/steady.mjs whole api/test "$@"

# Clients and suites of the Model Context Protocol that others made, against the real server.
test-mcp:
    {{server}}
    ZENOVAY_BIN={{quote(target / "debug/zenovay")}} node scripts/steady.mjs whole api/mcp/test

# The Debian package, the unit, the container and the alerts of docs/deploy, each made and used (root, for a Debian of its own).
test-deploy:
    {{server}}
    node scripts/steady.mjs whole packaging/test {{quote(target / "debug/zenovay")}}

# Twelve questions about a year of a million events: the answers are those of DuckDB and of the ClickHouse engine, in less time.
test-peers:
    ROWS=0 ROWS_YEAR=1000000 ROUNDS_YEAR=1 CHECK=1 benches/peers/run

# Write api/openapi.json, and the entry in CHANGELOG.md: `just api-document "adds a route for …"`.
api-document WORDS:
    scripts/api-document "$@"

# Write the list of tools in docs/mcp.md.
mcp-document:
    WRITE_DOCUMENT=1 cargo test --quiet --locked --package zenovay --test mcp the_tools_are_in_the_documentation

# Write api/crates/*.txt, the public interface of each library crate, after it was changed.
public-interface:
    RUSTDOCFLAGS="-D warnings" node scripts/public-interface.mjs --write

# Criterion benches of the ingest path, the kernels and the store.
bench *ARGS:
    cargo bench --locked "$@"

# The same rows and questions on this store, DuckDB and the ClickHouse engine; ROWS=10000000 scales it.
bench-peers *ARGS:
    benches/peers/run "$@"

# The list of the groups of a million errors, and the heatmap of a million clicks, beside DuckDB; OCCURRENCES and CLICKS scale it.
bench-captures:
    benches/peers/captures

# Drive a release server with wrk: durable events per second, latency, CPU, and what was stored.
load *ARGS: build
    benches/load/run "$@"

# Fuzz every parser of outside input, or the TARGETS alone, SECONDS each.
fuzz SECONDS="60" *TARGETS:
    scripts/fuzz "$@"

# The long versions of the tests: an hour and more.
test-long:
    ZENOVAY_LONG_EVENTS=72000 cargo test --release --locked --package zenovay-events --test memory
    ZENOVAY_LONG_EVENTS=72000 cargo test --release --locked --package zenovay --test bounds -- --nocapture
    MEMORY_CLIENTS=60 MEMORY_ROUNDS=20 cargo test --release --locked --package zenovay --test memory -- --nocapture
    SIMULATED_CRASHES=100000 cargo test --release --locked --package zenovay-events --test simulated_crash
    ZENOVAY_DAMAGES=1000 cargo test --release --locked --package zenovay-events --test damage
    HOSTILE_CONNECTIONS=2000 HOSTILE_EVENTS=300000 HOSTILE_RATIO=1.5 cargo test --release --locked --package zenovay --test hostile -- --nocapture
