// Builds the scripts into dist/, prints their sizes, and fails when one is above its budget.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";

/** Bytes gzipped: what every page loads, and what is loaded where a website has it switched on. */
const BUDGETS = {
  "z.js": 3_072,
  "z-more.js": 3_072,
  "z-vitals.js": 5_376,
  "z-errors.js": 5_120,
  "z-heatmap.js": 6_144,
  "z-replay.js": 30_720,
};
/** What is loaded on demand, by the names that `more.ts` has for them. */
const OTHERS = ["vitals", "errors", "heatmap", "replay"];

/** Members that only the two first scripts see get short names, the same in both. None is a name of the platform or of the wire. */
const OWN = /^(active|base|code|event|fields|followsLinks|identity|order|path|post|randomId|release|renew|safely|visitor)$/;
let names = {};

const { version } = JSON.parse(await readFile(new URL("package.json", import.meta.url), "utf8"));
const dist = new URL("dist/", import.meta.url);
await mkdir(dist, { recursive: true });
for (const name of await readdir(dist)) if (name.endsWith(".js")) await rm(new URL(name, dist));

async function bundle(source, target, options) {
  const result = await build({
    entryPoints: [new URL(source, import.meta.url).pathname],
    bundle: true,
    minify: true,
    // z.js has no name outside its function, so it needs no other around it.
    format: "esm",
    target: "es2020",
    charset: "utf8",
    legalComments: "none",
    write: false,
    ...options,
  });
  names = result.mangleCache ?? names;
  const script = result.outputFiles[0].contents;
  const gzipBytes = gzipSync(script, { level: 9 }).length;
  console.log(`${target}: ${script.length} bytes, ${gzipBytes} bytes gzipped (budget ${BUDGETS[target]})`);
  if (gzipBytes > BUDGETS[target]) {
    console.error(`${target} is over its budget`);
    process.exit(1);
  }
  await writeFile(new URL(target, dist), script);
  // The server knows its scripts by the same names, and lets browsers keep them.
  return createHash("sha256").update(script).digest("hex").slice(0, 16);
}

const define = (constants) => Object.fromEntries(Object.entries(constants).map(([name, value]) => [name, JSON.stringify(value)]));
const mangled = (constants) => ({ mangleProps: OWN, mangleCache: names, define: define(constants) });

const hashes = {};
// The library of the vitals waits by a timer, which a page may have replaced by one that throws.
const inject = { vitals: [new URL("src/timers.ts", import.meta.url).pathname] };
for (const name of OTHERS) hashes[name] = await bundle(`src/${name}.ts`, `z-${name}.js`, { inject: inject[name] });
const more = await bundle("src/more.ts", "z-more.js", mangled({ SCRIPTS: hashes }));
await bundle("src/z.ts", "z.js", mangled({ SCRIPT_VERSION: version, MORE_HASH: more }));
