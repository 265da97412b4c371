// Builds dist/z.js, prints its size, and fails above the budget.
import { build } from "esbuild";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";

const BUDGET_BYTES = 3072;

const { version } = JSON.parse(await readFile(new URL("package.json", import.meta.url), "utf8"));
const result = await build({
  entryPoints: [new URL("src/z.ts", import.meta.url).pathname],
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2020",
  charset: "utf8",
  define: { SCRIPT_VERSION: JSON.stringify(version) },
  write: false,
});
const script = result.outputFiles[0].contents;
const gzipBytes = gzipSync(script, { level: 9 }).length;
console.log(`z.js: ${script.length} bytes, ${gzipBytes} bytes gzipped (budget ${BUDGET_BYTES})`);
if (gzipBytes > BUDGET_BYTES) {
  console.error("z.js is over its budget");
  process.exit(1);
}
const dist = new URL("dist/", import.meta.url);
await mkdir(dist, { recursive: true });
await writeFile(new URL("z.js", dist), script);
