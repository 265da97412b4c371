// No circle inside a crate (docs/architecture.md): if one module of a library crate reaches another, that one does not reach
// it back, by any way. A module is a file or a whole folder of `src`. Tests and comments do not count.
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join, relative, sep } from "node:path";

const files = (dir) =>
  readdirSync(dir).flatMap((name) => {
    const path = join(dir, name);
    return statSync(path).isDirectory() ? files(path) : path.endsWith(".rs") ? [path] : [];
  });

// The source without comments, and without the modules and items that only tests are built with.
const code = (path) =>
  readFileSync(path, "utf8")
    .replace(/^\s*\/\/.*$/gm, "")
    .replace(/\s\/\/ .*$/gm, "")
    .replace(/#\[cfg\(test\)\]\s*(pub(\(\w+\))? )?mod \w+ \{[\s\S]*/, "");

// The first names behind `crate::`, also of `crate::{a::B, c}`.
const names = (text) =>
  [...text.matchAll(/\bcrate::(\{(?:[^{}]|\{[^{}]*\})*\}|\w+)/g)].flatMap(([, found]) =>
    found.startsWith("{") ? found.slice(1, -1).replace(/\{[^{}]*\}/g, "").split(",").map((name) => name.trim().split("::")[0]) : [found],
  );

const circles = (src) => {
  const sources = new Map(files(src).map((path) => [relative(src, path).split(sep), code(path)]));
  const root = [...sources].find(([path]) => path.join() === "lib.rs")[1];
  const modules = new Set([...root.matchAll(/\bmod (\w+);/g)].map(([, name]) => name));
  const homes = new Map();
  for (const [, home, list] of root.matchAll(/\buse (\w+)::(\{[^}]*\}|[\w:]+)/g)) {
    for (const [name] of list.matchAll(/\w+(?=\s*[,}]|$)/g)) homes.set(name, home);
  }
  const arrows = new Map([...modules].map((name) => [name, new Set()]));
  for (const [path, text] of sources) {
    const own = path[0].replace(/\.rs$/, "");
    if (!arrows.has(own) || path.some((part) => /^tests\.rs$|_tests\.rs$/.test(part))) continue;
    for (const name of names(text)) {
      const target = modules.has(name) ? name : homes.get(name);
      if (modules.has(target) && target !== own) arrows.get(own).add(target);
    }
  }
  const reached = (from) => {
    const seen = new Set();
    const walk = (name) => arrows.get(name).forEach((next) => !seen.has(next) && (seen.add(next), walk(next)));
    walk(from);
    return seen;
  };
  const all = new Map([...modules].map((name) => [name, reached(name)]));
  const found = new Set();
  for (const name of modules) {
    const circle = [...modules].filter((other) => all.get(name).has(other) && all.get(other).has(name)).sort();
    if (circle.length > 1) found.add(circle.join(" "));
  }
  return [...found];
};

const faults = [];
const crates = readdirSync("crates");
for (const crate of crates) {
  for (const circle of circles(join("crates", crate, "src"))) {
    faults.push(`crates/${crate}: these modules reach each other: ${circle}`);
  }
}
if (faults.length > 0) {
  console.error(faults.join("\n"));
  process.exit(1);
}
console.log(`circles: none inside ${crates.length} crates`);
