// Loads a module of the page into Node, for tests that need no browser.
import { build } from "esbuild";
import { fileURLToPath } from "node:url";

export async function load(path) {
  const entry = fileURLToPath(new URL(`../src/${path}`, import.meta.url));
  const result = await build({ entryPoints: [entry], bundle: true, format: "esm", write: false, platform: "neutral", mainFields: ["module", "main"], jsx: "automatic", jsxImportSource: "preact" });
  return import(`data:text/javascript;base64,${Buffer.from(result.outputFiles[0].contents).toString("base64")}`);
}
