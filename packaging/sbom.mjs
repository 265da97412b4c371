// sbom.mjs VERSION: prints what the program is made of, as CycloneDX 1.5: the crates that are compiled into it, and the packages
// whose code is in the tracking scripts and the web application. SOURCE_DATE_EPOCH is its time, so that the same sources give the same file.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const version = process.argv[2];
const read = (path) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const run = (program, ...words) =>
  execFileSync(program, words, { encoding: "utf8", maxBuffer: 1 << 28, cwd: new URL("..", import.meta.url) });

const host = /^host: (.*)$/m.exec(run("rustc", "-vV"))[1];
const metadata = JSON.parse(run("cargo", "metadata", "--locked", "--features=zenovay/clickhouse", "--format-version=1", `--filter-platform=${host}`));
const crates = new Map(metadata.packages.map((crate) => [crate.id, crate]));
const nodes = new Map(metadata.resolve.nodes.map((node) => [node.id, node]));

// Cargo.lock says of each crate which bytes it was built from.
const checksums = new Map(
  [...read("Cargo.lock").matchAll(/name = "(.*)"\nversion = "(.*)"\nsource = .*\nchecksum = "(.*)"/g)].map(
    ([, name, version, checksum]) => [`${name}@${version}`, checksum],
  ),
);

const top = [...crates.values()].find((crate) => crate.name === "zenovay");
// The program alone: beside its tests, crates have features that it does not turn on. What only builds a crate is not in it.
const tree = run("cargo", "tree", "--locked", "--package=zenovay", "--features=clickhouse", "--edges=normal", "--prefix=none", "--format={p}");
const inProgram = new Set([...tree.matchAll(/^(\S+) v(\S+)/gm)].map(([, name, version]) => `${name}@${version}`));
const isInProgram = (id) => inProgram.has(`${crates.get(id).name}@${crates.get(id).version}`);
const linked = new Map();
const follow = (id) => {
  if (linked.has(id)) return;
  const isLinked = (dep) => dep.dep_kinds.some(({ kind }) => kind === null) && isInProgram(dep.pkg);
  const needs = nodes.get(id).deps.filter(isLinked).map((dep) => dep.pkg);
  linked.set(id, needs);
  needs.forEach(follow);
};
follow(top.id);

const crateRef = ({ name, version }) => `pkg:cargo/${name}@${version}`;
// Old manifests write "MIT/Apache-2.0" for a choice.
const licence = (expression) => (expression ? { licenses: [{ expression: expression.replaceAll("/", " OR ") }] } : {});
const components = [...linked.keys()]
  .filter((id) => id !== top.id)
  .map((id) => {
    const crate = crates.get(id);
    const checksum = checksums.get(`${crate.name}@${crate.version}`);
    return {
      type: "library",
      "bom-ref": crateRef(crate),
      name: crate.name,
      version: crate.version,
      ...(checksum ? { hashes: [{ alg: "SHA-256", content: checksum }] } : {}),
      ...licence(crate.license),
      purl: crateRef(crate),
    };
  });
const dependencies = [...linked].map(([id, needs]) => ({
  ref: id === top.id ? "zenovay" : crateRef(crates.get(id)),
  dependsOn: [...new Set(needs.map((need) => crateRef(crates.get(need))))].sort(),
}));

// Development tools of the two are not in what is served.
for (const lock of ["tracker/package-lock.json", "web/package-lock.json"]) {
  for (const [path, found] of Object.entries(JSON.parse(read(lock)).packages)) {
    if (path === "" || found.dev || found.devOptional || found.optional) continue;
    const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
    const purl = `pkg:npm/${name.replace("@", "%40")}@${found.version}`;
    if (components.some((component) => component["bom-ref"] === purl)) continue;
    const [, alg, digest] = /^(sha\d+)-(.*)$/.exec(found.integrity) ?? [];
    components.push({
      type: "library",
      "bom-ref": purl,
      name,
      version: found.version,
      ...(digest
        ? { hashes: [{ alg: alg.replace("sha", "SHA-"), content: Buffer.from(digest, "base64").toString("hex") }] }
        : {}),
      ...licence(found.license),
      purl,
    });
  }
}

const byRef = (a, b) => (a["bom-ref"] < b["bom-ref"] ? -1 : 1);
const bom = {
  bomFormat: "CycloneDX",
  specVersion: "1.5",
  version: 1,
  metadata: {
    timestamp: new Date(Number(process.env.SOURCE_DATE_EPOCH) * 1_000).toISOString(),
    component: { type: "application", "bom-ref": "zenovay", name: "zenovay", version, ...licence(top.license) },
  },
  components: components.sort(byRef),
  dependencies: dependencies.sort((a, b) => (a.ref < b.ref ? -1 : 1)),
};
process.stdout.write(`${JSON.stringify(bom, null, 2)}\n`);
