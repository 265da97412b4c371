// The public interface of the library crates, as rustdoc shows it, one file a crate in `api/crates/`. Whoever changes an
// interface sees in the difference what it means to those who use it: a line that is gone or different breaks them.
//
// `--write` writes the files; without it they are compared with what the crates are now. Either way an interface that speaks
// of types of other people's crates is refused, but for those that are kept: their next version would break ours.
// So is a main item without an example.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const run = (program, ...words) => execFileSync(program, words, { cwd: root, encoding: "utf8", maxBuffer: 1 << 28 });

// What a reader looks up first. Each has an example, which the tests of the documentation run.
const MAIN = {
  "zenovay-auth": "ApiKeyToken Denial Grant KeyFormat Policy Thing check_password decide generate_password hash_password may_create_key",
  "zenovay-domain": "Clock Event GuardedClock PlanTable Scopes SessionSpan TimeRange Timestamp WebsiteRules WebsiteSettings Zone parse_date",
  "zenovay-events": "AppendRefused EmbeddedConfig EmbeddedStore EventStore IdempotencyKey NewEvent Observer Store repair verify",
  "zenovay-export": "ByteRange Sheet parquet_part",
  "zenovay-ingest": "Arrival BatchEvent GeoDatabase Hit Pipeline WebUrl attribute client_ip decode_body parse_agent",
  "zenovay-limits": "AddressLimiter Counts Decision Limiter MemoryCounts Refused Rule UnixTime",
  "zenovay-query": "Ask Budget Comparison Condition DatasetBuilder Filter GroupBy MemoryDataset Query",
  "zenovay-stats": "Ask Cursor Groups Period Property filters_of_json parse_filters",
  "zenovay-store": "CachedDirectory KeyStore PostgresStore SignInStore SqliteStore TeamStore UsageStore UserStore WebsiteStore",
};
const faults = [];
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', nbsp: " ", "#39": "'", "#60": "<", "#62": ">", "#x27": "'" };
const text = (html) =>
  html
    .replace(/<details class="toggle type-contents-toggle">.*?<\/summary>/gs, "")
    .replace(/<br\s*\/?>/g, "\n")
    .replace(/<[^>]*>/g, "")
    .replace(/&(#?\w+);/g, (entity, name) => ENTITIES[name] ?? entity)
    .replace(/\u200b/g, "");
const oneLine = (html) => text(html).replace(/\s+/g, " ").trim();

/** What stands between `from` and the nearest of `ends`. */
const section = (page, from, ends) => {
  const start = page.indexOf(`id="${from}"`);
  if (start < 0) return "";
  const stops = ends.map((end) => page.indexOf(`id="${end}"`, start)).filter((at) => at > 0);
  return page.slice(start, Math.min(...stops, page.length));
};
const AFTER = ["implementations", "trait-implementations", "synthetic-implementations", "blanket-implementations", "implementors", "foreign-impls"];
const headers = (html, level) =>
  [...html.matchAll(new RegExp(`<h(${level}) class="code-header">(.*?)</h\\1>`, "gs"))].map(([, found, code]) => {
    foreign(code).forEach((name) => strangers.add(name));
    return [found, oneLine(code)];
  });

// `serde` and `serde_json` are at 1; `rand_core` is re-exported by the crates that draw.
const KEPT_CRATES = new Set(["serde", "serde_core", "serde_json"]);
const KEPT_TYPES = new Set(["Self", "CryptoRng"]);
const strangers = new Set();
/** What the crates themselves define: one that is documented before another does not link to it. */
const ours = new Set();
/** Types of other crates. Those of crates that tell rustdoc where they are documented are links, the others are not. */
const foreign = (html) => [
  ...[...html.matchAll(/href="https:\/\/docs\.rs\/([^/"]+)\//g)].map(([, crate]) => crate).filter((crate) => !KEPT_CRATES.has(crate)),
  ...[...text(html.replace(/<a [^>]*>.*?<\/a>/gs, "_").replace(/<[^>]*>/g, " ")).matchAll(/(?:[<(&]|[:,=] |-> |dyn |impl |for )([A-Z]\w*[a-z]\w*)\b(?! ?=)/g)]
    .map(([, type]) => type)
    .filter((type) => !KEPT_TYPES.has(type) && !ours.has(type)),
];

/** The lines about one item. */
const item = (page, path) => {
  const declaration = page.match(/<pre class="rust item-decl"><code>(.*?)<\/code><\/pre>/s)?.[1];
  if (declaration === undefined) throw new Error(`no declaration on the page of ${path}`);
  strangers.clear();
  // What an item is called, and its variants, are no links.
  const own = declaration.replace(/^(.*?\b(?:struct|enum|trait|type|union|fn|const|static|macro)\b)/s, "");
  foreign(own).forEach((name) => strangers.add(name));
  const lines = [path, ...text(declaration).split("\n").filter((line) => line.trim() !== "").map((line) => `    ${line.trimEnd()}`)];
  const methods = section(page, "implementations", AFTER.slice(1));
  for (const [level, header] of headers(methods, "[34]")) lines.push(level === "3" ? `    ${header}` : `        ${header}`);
  // Of a trait's implementation its head says all, but for its types.
  const traits = headers(section(page, "trait-implementations", AFTER.slice(2)), "[34]");
  const heads = traits.filter(([level, header]) => level === "3" ? !header.startsWith("impl StructuralPartialEq") : header.startsWith("type "));
  lines.push(...heads.map(([level, header]) => (level === "3" ? `    ${header}` : `        ${header}`)));
  const auto = headers(section(page, "synthetic-implementations", AFTER.slice(3)), "3");
  lines.push(...auto.map(([, header]) => header).filter((header) => /!(Send|Sync|Unpin) for/.test(header)).map((header) => `    ${header}`));
  for (const name of strangers) faults.push(`${path} speaks of ${name}, which is not of this repository`);
  return lines;
};

/** The pages of the items of a crate. Pages of what is gone stay in the folder; this list is new each time. */
const pagesOf = (folder) =>
  [...readFileSync(join(folder, "all.html"), "utf8").matchAll(/<li><a href="([^"]+)">/g)].map(([, file]) => file);

/** The interface of a crate from its folder of pages. */
const interfaceOf = (name, folder) => {
  const read = (file) => readFileSync(join(folder, file), "utf8");
  const files = pagesOf(folder);
  const modules = new Set([""]);
  for (const file of files) {
    const parts = dirname(file) === "." ? [] : dirname(file).split("/");
    parts.forEach((_, index) => modules.add(`${parts.slice(0, index + 1).join("/")}/`));
  }
  const path = (file) => [name, ...file.replace(/\/$/, "").split("/")].filter(Boolean).join("::").replace(/\b[a-z]+\.([^.:]+)\.html$/, "$1");
  const blocks = [];
  for (const module of modules) {
    const exported = [...read(`${module}index.html`).matchAll(/<dt id="reexport\.[^"]*"><code>(.*?)<\/code>/gs)].map(([, code]) => `    ${oneLine(code)}`);
    if (exported.length > 0) blocks.push([path(module), ...exported.sort()]);
  }
  blocks.push(...files.map((file) => item(read(file), path(file))));
  return `${blocks.sort((a, b) => (a[0] < b[0] ? -1 : 1)).map((lines) => lines.join("\n")).join("\n\n")}\n`;
};

const metadata = JSON.parse(run("cargo", "metadata", "--locked", "--no-deps", "--format-version", "1"));
const crates = metadata.packages.filter((crate) => crate.publish === null);
const writing = process.argv[2] === "--write";
// Another version of rustdoc writes some of it in other words.
const written = crates[0].rust_version;
const present = run("rustc", "--version").split(" ")[1];
if (!writing && !present.startsWith(`${written}.`)) {
  console.log(`public interface: NOT COMPARED, it is written by Rust ${written} and this is ${present}`);
  process.exit(process.env.CI ? 1 : 0);
}
// With everything that is for users: what is for tests of ours and of other back ends changes as it must.
const FOR_TESTS = ["conformance", "fuzzing", "random", "testing", "default"];
// By their names alone: `crate/feature` would be that of the crate which its own tests depend on.
const features = [...new Set(crates.flatMap((crate) => Object.keys(crate.features).filter((name) => !FOR_TESTS.includes(name))))];
const selected = crates.flatMap((crate) => ["--package", crate.name]);
run("cargo", "doc", "--quiet", "--no-deps", "--locked", ...selected, ...(features.length > 0 ? ["--features", features.join()] : []));
const folderOf = (crate) => join(metadata.target_directory, "doc", crate.name.replaceAll("-", "_"));
for (const crate of crates) pagesOf(folderOf(crate)).forEach((page) => ours.add(page.match(/\.([^./]+)\.html$/)[1]));
for (const crate of crates) {
  const folder = folderOf(crate);
  for (const name of MAIN[crate.name]?.split(" ") ?? [`main items in ${import.meta.filename}`]) {
    const pages = pagesOf(folder).filter((page) => page.endsWith(`.${name}.html`));
    const hasExample = pages.some((page) => readFileSync(join(folder, page), "utf8").includes("example-wrap"));
    if (!hasExample) faults.push(`${crate.name} has no example at ${name}`);
  }
  const file = join("api/crates", `${crate.name}.txt`);
  const now = interfaceOf(crate.name.replaceAll("-", "_"), folder);
  if (writing) {
    mkdirSync(join(root, "api/crates"), { recursive: true });
    writeFileSync(join(root, file), now);
    continue;
  }
  const before = existsSync(join(root, file)) ? readFileSync(join(root, file), "utf8") : "";
  if (before === now) continue;
  const [old, fresh] = [before, now].map((lines) => new Set(lines.split("\n")));
  const gone = [...old].filter((line) => !fresh.has(line)).map((line) => `- ${line}`);
  const added = [...fresh].filter((line) => !old.has(line)).map((line) => `+ ${line}`);
  faults.push(`${file} is not what the crate is now:`, ...gone, ...added);
}
if (faults.length > 0) {
  console.error(faults.join("\n"));
  if (!writing) console.error("If this is meant, run `just public-interface`, and say it in api/crates/CHANGELOG.md.");
  process.exit(1);
}
console.log(`public interface: ${crates.length} crates ${writing ? "written to" : "are as in"} api/crates`);
