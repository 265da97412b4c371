// Every crate and npm package in the lock files has a licence that lets the binary be given away under MIT or Apache-2.0.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ALLOWED = new Set([
  "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0",
  "CDLA-Permissive-2.0", "ISC", "MIT", "MIT-0", "Unicode-3.0", "Unlicense", "Zlib",
]);

/** Whether an SPDX expression can be satisfied with allowed licences; `/` is the old way to write OR. */
export const allowed = (expression) => {
  const tokens = expression.replaceAll("/", " OR ").match(/\(|\)|[^\s()]+(?:\s+WITH\s+[^\s()]+)?/g) ?? [];
  let at = 0;
  const term = () => {
    const token = tokens[at++];
    if (token !== "(") return token !== undefined && ALLOWED.has(token.replace(/\s+/g, " "));
    const inner = or();
    if (tokens[at++] !== ")") throw new Error(`not an SPDX expression: ${expression}`);
    return inner;
  };
  const chain = (operator, next, join) => {
    let result = next();
    while (tokens[at] === operator) {
      at++;
      const right = next();
      result = join(result, right);
    }
    return result;
  };
  const and = () => chain("AND", term, (a, b) => a && b);
  const or = () => chain("OR", and, (a, b) => a || b);
  const result = or();
  if (at !== tokens.length) throw new Error(`not an SPDX expression: ${expression}`);
  return result;
};

/** Crates whose licences are not on the list, by name. */
const NAMED = new Map([
  // Their files stay under the MPL, and what is made of them may be given away as it is when it says where they are, as NOTICE does.
  ...["crypto-glue", "webauthn-attestation-ca", "webauthn-rs", "webauthn-rs-core", "webauthn-rs-proto"].map((name) => [name, "MPL-2.0"]),
  // Of the fuzz targets alone, which are not given away.
  ["libfuzzer-sys", "(MIT OR Apache-2.0) AND NCSA"],
]);

for (const [expression, expected] of [
  ["MIT", true], ["GPL-3.0-only", false], ["MIT/Apache-2.0", true], ["MIT OR GPL-3.0-only", true], ["MIT AND GPL-3.0-only", false],
  ["(MIT OR Apache-2.0) AND Unicode-3.0", true], ["GPL-2.0-only AND (MIT OR ISC)", false],
  ["Apache-2.0 WITH LLVM-exception OR GPL-3.0-only", true],
]) {
  if (allowed(expression) !== expected) throw new Error(`the check itself is wrong about ${expression}`);
}

const root = fileURLToPath(new URL("..", import.meta.url));
const cratesOf = (workspace) => {
  const words = ["metadata", "--locked", "--format-version", "1"];
  const metadata = JSON.parse(execFileSync("cargo", words, { cwd: join(root, workspace), encoding: "utf8", maxBuffer: 1 << 28 }));
  const others = metadata.packages.filter((crate) => crate.source !== null && NAMED.get(crate.name) !== crate.license);
  return others.map((crate) => [`${crate.name} ${crate.version}`, crate.license]);
};
/** The directories with a lock of this name. */
const locks = (name) => execFileSync("git", ["ls-files", `*${name}`], { cwd: root, encoding: "utf8" }).trim().split("\n").map(dirname);
const crates = new Map(locks("Cargo.lock").flatMap(cratesOf));
const packages = [...crates].map(([name, licence]) => ({ name, licence }));
/** Tools of the tests and of the build whose licences are not on the list. Nothing of them is given away with the binary. */
const TOOLS = new Map([
  ["axe-core", "MPL-2.0"],
  ["argparse", "Python-2.0"],
  ["graceful-fs", "BlueOak-1.0.0"],
  ["lightningcss", "MPL-2.0"],
  // MIT, and Apache-2.0 for what is newer.
  ["@modelcontextprotocol/inspector", "SEE LICENSE IN LICENSE"],
]);
for (const directory of locks("package-lock.json")) {
  const lock = JSON.parse(readFileSync(join(root, directory, "package-lock.json"), "utf8"));
  for (const [path, entry] of Object.entries(lock.packages)) {
    const name = path.replace(/^.*node_modules\//, "");
    // Packages with the built parts of a tool are named after it.
    const tool = name.startsWith("lightningcss-") ? "lightningcss" : name;
    if (path === "" || (entry.dev && TOOLS.get(tool) === entry.license)) continue;
    packages.push({ name: `npm ${name} ${entry.version}`, licence: entry.license });
  }
}

const refused = packages.filter(({ licence }) => !licence || !allowed(licence));
if (refused.length > 0) {
  console.error(refused.map(({ name, licence }) => `${name}: licence ${licence ?? "not stated"} is not on the list`).join("\n"));
  process.exit(1);
}
console.log(`licences: ${packages.length} packages, all on the list`);
