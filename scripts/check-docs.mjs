// The documentation of the library crates stands by itself: its comments and front pages name no document that is not in the
// package, and link to no file outside it. What a stranger copies from a front page is a whole program with the line for
// `Cargo.toml` that it needs: the text of one in `examples/`, which is built and run from the packages. Links from page to page
// lead to a file, and to a heading in it, that is there.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

/** Names of documents, and of sections in them, such as `SPEC C2` and `(S3)`. */
const OUTSIDE = /\b(?:SPEC|DESIGN|SECURITY|HOUSE|EMBED|HOSTILE|CLIENTS|WIRES)\b(?!\.md\]\(https:)|(?<![%\w.+-])[A-Z]\d{1,2}(?![\w%])/;
/** What looks like the name of a section and is something else. */
const NOT_SECTIONS = ["X11"];

/** The comment of a line of Rust; none in strings, where `//` follows a colon. */
const comment = (line) => line.match(/(?:^|\s)\/\/[/!]?(?:\s(.*))?$/)?.[1] ?? "";

/** What is outside in a line of prose, if anything. */
export const outside = (prose) => {
  const words = prose.match(new RegExp(OUTSIDE, "g")) ?? [];
  return words.find((word) => !NOT_SECTIONS.includes(word));
};

for (const [line, expected] of [
  ["/// Keys live on (SPEC C2 row 16).", "SPEC"], ["// Who may (S2, S3)", "S2"], ['let a = "https://example.com/S3";', undefined],
  ["/// as `/%E6%A9%9F` is", undefined], ["    //! As B5 says", "B5"], ["/// U+00A0, ISO-8601, UTF-8, MD5", undefined],
]) {
  if (outside(comment(line)) !== expected) throw new Error(`the check itself is wrong about ${line}`);
}

const files = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "crates"], { encoding: "utf8" });
const faults = [];
for (const file of files.split("\0").filter((file) => /\.(rs|md)$/.test(file) && existsSync(file))) {
  const home = file.split("/").slice(0, 2).join("/");
  readFileSync(file, "utf8").split("\n").forEach((line, index) => {
    const at = `${file}:${index + 1}`;
    const word = outside(file.endsWith(".md") ? line : comment(line));
    if (word) faults.push(`${at}: ${word} is in no document of the package`);
    if (!file.endsWith("README.md")) return;
    for (const [, target] of line.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const path = normalize(join(dirname(file), target));
      if (!path.startsWith(`${home}/`) || !existsSync(path)) faults.push(`${at}: ${target} is not in the package`);
    }
  });
}

/** The fenced blocks of a page: the language, and the text. */
const blocksOf = (page) => [...page.matchAll(/^```(\S*)\n(.*?)^```$/gms)].map(([, language, text]) => ({ language, text }));
/** Without what is for this repository alone: the words before a program, and leave to print. */
const shown = (program) => program.replace(/^(?:\/\/!.*\n|#!\[allow\(.*\)\]\n|\n)+/, "");
/** The line that names the crate. */
const dependency = (toml) => toml.match(/^zenovay-[^#\n]*[^#\s]/m)?.[0];

const programs = new Map();
for (const program of readdirSync("examples").filter((name) => existsSync(join("examples", name, "src/main.rs")))) {
  const text = shown(readFileSync(join("examples", program, "src/main.rs"), "utf8"));
  programs.set(text, dependency(readFileSync(join("examples", program, "Cargo.toml"), "utf8")));
}
const crates = [...new Set([...programs.values()].map((line) => line.match(/^zenovay-(\w+)/)[1]))];
let copied = 0;
for (const file of ["README.md", ...crates.map((crate) => `crates/${crate}/README.md`)]) {
  let named;
  const before = copied;
  for (const { language, text } of blocksOf(readFileSync(file, "utf8"))) {
    const first = text.split("\n")[0];
    if (language === "toml") named = dependency(text) ?? named;
    // Without a word for the language rustdoc takes it for a program.
    if (language !== "" && !/^rust\b/.test(language)) continue;
    copied += 1;
    if (!programs.has(text)) faults.push(`${file}: the program that begins with "${first}" is none of examples/`);
    else if (programs.get(text) !== named) faults.push(`${file}: the program that begins with "${first}" needs ${programs.get(text)}`);
  }
  if (copied === before) faults.push(`${file} has no program to begin with`);
}

// The README says that `cargo bench` measures ingest first: it runs benches by their names.
const benches = [...readFileSync("benches/Cargo.toml", "utf8").matchAll(/^\[\[bench\]\]\nname = "(\w+)"/gm)].map(([, name]) => name);
if (benches.sort()[0] !== "ingest") faults.push(`benches/Cargo.toml: cargo bench would run ${benches[0]} before ingest`);

/** What a heading is called in an address, as the usual viewers of Markdown have it. */
const anchor = (heading) => heading.toLowerCase().replace(/\]\([^)]*\)/g, "").replace(/[^\p{L}\p{N}\s_-]/gu, "").trim().replace(/\s/g, "-");
const anchorsOf = (file) =>
  new Set([...readFileSync(file, "utf8").replace(/^```.*?^```/gms, "").matchAll(/^#+ (.+)$/gm)].map(([, heading]) => anchor(heading)));
const pages = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"], { encoding: "utf8" });
let links = 0;
for (const file of pages.split("\0").filter((file) => file !== "" && existsSync(file))) {
  for (const [, target] of readFileSync(file, "utf8").replace(/^```.*?^```/gms, "").matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue;
    links += 1;
    const [path, place] = target.split("#");
    const at = path === "" ? file : normalize(join(dirname(file), path));
    if (!existsSync(at)) faults.push(`${file}: ${target} does not exist`);
    else if (place !== undefined && at.endsWith(".md") && !anchorsOf(at).has(place)) faults.push(`${file}: ${target} has no such heading`);
  }
}

if (faults.length > 0) {
  console.error(faults.join("\n"));
  process.exit(1);
}
console.log(`docs: the crates name nothing that is not in their packages; ${copied} programs of front pages are those of examples/; ${links} links of pages lead somewhere`);
