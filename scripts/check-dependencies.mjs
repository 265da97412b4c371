// The direction of dependencies (docs/architecture.md), asserted with `cargo tree`: what each crate may reach of ours,
// what it must never reach of others, how many the small ones may reach with their default features, and who may name a back end.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

const HTTP = ["actix-web", "actix-http", "actix-rt", "hyper", "reqwest"];
const SQL = ["diesel", "rusqlite", "libsqlite3-sys"];

const RULES = {
  "zenovay-domain": { ours: [], never: [...HTTP, ...SQL, "tokio"], most: 20 },
  "zenovay-auth": { ours: ["zenovay-domain"], never: [...HTTP, ...SQL], most: 25 },
  "zenovay-limits": { ours: [], never: [...HTTP, ...SQL, "tokio"], most: 10 },
  "zenovay-ingest": { ours: ["zenovay-domain"], never: [...HTTP, ...SQL] },
  "zenovay-query": { ours: ["zenovay-domain"], never: [...HTTP, ...SQL, "parquet"] },
  "zenovay-stats": { ours: ["zenovay-domain", "zenovay-query"], never: [...HTTP, ...SQL, "parquet", "tokio"] },
  "zenovay-export": { ours: ["zenovay-domain", "zenovay-query"], never: [...HTTP, ...SQL, "tokio"] },
  "zenovay-events": { ours: ["zenovay-domain", "zenovay-query"], never: [...HTTP, "diesel"] },
  "zenovay-store": { ours: ["zenovay-domain", "zenovay-auth"], never: [...HTTP, "rusqlite"] },
};

const tree = (name) => {
  const lines = execFileSync(
    "cargo",
    ["tree", "--locked", "--package", name, "--edges", "normal,build", "--prefix", "none", "--format", "{p}"],
    { encoding: "utf8", maxBuffer: 1 << 26 },
  );
  return new Set(lines.split("\n").map((line) => line.split(" ")[0]).filter((crate) => crate && crate !== name));
};

const metadata = JSON.parse(
  execFileSync("cargo", ["metadata", "--locked", "--no-deps", "--format-version", "1"], { encoding: "utf8", maxBuffer: 1 << 26 }),
);
// Those that may be published.
const libraries = metadata.packages.filter((crate) => crate.publish === null).map((crate) => crate.name);

const faults = [];
for (const name of libraries) {
  const rule = RULES[name];
  if (!rule) {
    faults.push(`${name} has no rule in scripts/check-dependencies.mjs`);
    continue;
  }
  const reached = tree(name);
  if (reached.size > (rule.most ?? Infinity)) faults.push(`${name} reaches ${reached.size} crates, more than ${rule.most}`);
  for (const crate of reached) {
    if (crate.startsWith("zenovay") && !rule.ours.includes(crate)) faults.push(`${name} must not depend on ${crate}`);
    if (rule.never.includes(crate)) faults.push(`${name} must not reach ${crate}`);
  }
}
for (const name of Object.keys(RULES).filter((name) => !libraries.includes(name))) {
  faults.push(`${name} has a rule but is not in the workspace`);
}

// Back ends are named where they are chosen, and in the crates that they are of: everything else takes a `dyn Store` and a
// `dyn EventStore`.
const BACKENDS = { SqliteStore: "crates/store/", PostgresStore: "crates/store/", EmbeddedStore: "crates/events/" };
const CHOSEN_IN = "bins/zenovay/src/backends.rs";
const sources = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "crates/*.rs", "bins/*.rs"], {
  encoding: "utf8",
});
for (const file of sources.split("\0").filter((file) => file && existsSync(file))) {
  for (const [name, home] of Object.entries(BACKENDS)) {
    if (file !== CHOSEN_IN && !file.startsWith(home) && readFileSync(file, "utf8").includes(name)) {
      faults.push(`${file} names ${name}: only ${CHOSEN_IN} chooses a back end`);
    }
  }
}

if (faults.length > 0) {
  console.error(faults.join("\n"));
  process.exit(1);
}
console.log(`dependencies: the arrows of ${libraries.length} crates point the right way`);
