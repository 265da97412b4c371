// Builds dist/z.js and dist/z-more.js, prints their sizes, and fails above the budget of the first.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";

const BUDGETS = { "z.js": 3072, "z-more.js": 3072 };

/** Members that only the two scripts see get short names, the same in both. None is a name of the platform or of the wire. */
const OWN = /^(active|base|code|event|fields|followsLinks|identity|order|path|post|randomId|release|renew|safely|visitor)$/;
let names = {};

const { version } = JSON.parse(await readFile(new URL("package.json", import.meta.url), "utf8"));
const dist = new URL("dist/", import.meta.url);
await mkdir(dist, { recursive: true });

async function bundle(source, target, define) {
  const result = await build({
    entryPoints: [new URL(source, import.meta.url).pathname],
    bundle: true,
    minify: true,
    // z.js has no name outside its function, so it needs no other around it.
    format: "esm",
    target: "es2020",
    charset: "utf8",
    mangleProps: OWN,
    mangleCache: names,
    define,
    write: false,
  });
  names = result.mangleCache;
  const script = result.outputFiles[0].contents;
  const gzipBytes = gzipSync(script, { level: 9 }).length;
  console.log(`${target}: ${script.length} bytes, ${gzipBytes} bytes gzipped (budget ${BUDGETS[target]})`);
  if (gzipBytes > BUDGETS[target]) {
    console.error(`${target} is over its budget`);
    process.exit(1);
  }
  await writeFile(new URL(target, dist), script);
  return script;
}

const more = await bundle("src/more.ts", "z-more.js", {});
// The server knows its own script by the same name, and lets browsers keep that one.
const hash = createHash("sha256").update(more).digest("hex").slice(0, 16);
await bundle("src/z.ts", "z.js", { SCRIPT_VERSION: JSON.stringify(version), MORE_HASH: JSON.stringify(hash) });
