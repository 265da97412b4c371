// Builds dist/: hashed scripts and style sheets in dist/assets, and the HTML that loads them. Prints the size of the first
// load and fails above its budget. `--watch` builds again at every change; a debug build of the server reads dist/ from disk.
import { build, context } from "esbuild";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

/** Bytes, gzipped, of everything that the analytics page loads before it shows its first number. */
const BUDGET = 150 * 1024;

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
const watch = process.argv.includes("--watch");

/** `import "./page.css"` in a page that is loaded late: the sheet comes in the script of the page and is adopted when that runs. */
const adoptedSheets = {
  name: "adopted sheets",
  setup(builder) {
    builder.onLoad({ filter: /\.css$/, namespace: "file" }, async ({ path }) => {
      const sheet = await build({ entryPoints: [path], minify: !watch, write: false, loader: { ".css": "css" } });
      const adopt = JSON.stringify(join(here, "src/lib/adopt.ts"));
      const contents = `import { adopt } from ${adopt};\nadopt(${JSON.stringify(sheet.outputFiles[0].text.trim())});\n`;
      return { contents, loader: "js", resolveDir: dirname(path) };
    });
  },
};

const shared = {
  bundle: true,
  minify: !watch,
  format: "esm",
  target: ["es2022", "chrome115", "firefox121", "safari17.5"],
  charset: "utf8",
  outdir: join(dist, "assets"),
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  metafile: true,
  legalComments: "none",
  absWorkingDir: here,
};

const scripts = {
  ...shared,
  entryPoints: ["src/main.tsx"],
  splitting: true,
  jsx: "automatic",
  jsxImportSource: "preact",
  define: { "import.meta.env.DEV": String(watch) },
  plugins: [adoptedSheets],
};
const early = { ...shared, entryPoints: ["src/theme.ts"], format: "iife" };
/** The document of the player, which loads nothing of the application. */
const player = { ...shared, entryPoints: { player: "src/player/index.ts" }, format: "iife" };
const sheets = { ...shared, entryPoints: ["src/styles/app.css"] };

/** The output that was made from `entry`. */
function made(metafile, entry) {
  const found = Object.entries(metafile.outputs).find(([, output]) => output.entryPoint === entry);
  if (!found) throw new Error(`nothing was built from ${entry}`);
  return found[0];
}

/** `output` and all that it imports at once, not late. */
function withImports(metafile, output, found = new Set()) {
  if (found.has(output)) return found;
  found.add(output);
  for (const one of metafile.outputs[output].imports) {
    if (one.kind === "import-statement") withImports(metafile, one.path, found);
  }
  return found;
}

const address = (output) => `/${relative(dist, join(here, output))}`;

async function writePages(scriptMeta, earlyMeta, playerMeta, sheetMeta) {
  const template = await readFile(join(here, "src/index.html"), "utf8");
  const main = made(scriptMeta, "src/main.tsx");
  const theme = made(earlyMeta, "src/theme.ts");
  const sheet = made(sheetMeta, "src/styles/app.css");
  const page = (late) => {
    const loaded = withImports(scriptMeta, main);
    for (const entry of late) withImports(scriptMeta, made(scriptMeta, entry), loaded);
    loaded.delete(main);
    const preload = [...loaded].map((output) => `<link rel="modulepreload" href="${address(output)}">\n`).join("");
    const html = template
      .replace("<!--theme-->", `<script src="${address(theme)}"></script>`)
      .replace("<!--sheet-->", `<link rel="stylesheet" href="${address(sheet)}">`)
      .replace("<!--main-->", `${preload}<script type="module" src="${address(main)}"></script>`);
    return { html, files: [main, ...loaded, theme, sheet] };
  };
  const start = page([]);
  const analytics = page(["src/pages/analytics/index.tsx"]);
  await writeFile(join(dist, "index.html"), start.html);
  await writeFile(join(dist, "analytics.html"), analytics.html);
  const document = await readFile(join(here, "src/player.html"), "utf8");
  const script = `<script defer src="${address(made(playerMeta, "src/player/index.ts"))}"></script>`;
  await writeFile(join(dist, "player.html"), document.replace("<!--player-->", script));
  const kept = new Set([scriptMeta, earlyMeta, playerMeta, sheetMeta].flatMap((meta) => Object.keys(meta.outputs)).map((path) => basename(path)));
  for (const name of await readdir(join(dist, "assets"))) if (!kept.has(name)) await rm(join(dist, "assets", name));
  return analytics;
}

async function report({ html, files }) {
  let total = gzipSync(html, { level: 9 }).length;
  for (const file of files) {
    const bytes = gzipSync(await readFile(join(here, file)), { level: 9 }).length;
    console.log(`${basename(file)}: ${bytes} bytes gzipped`);
    total += bytes;
  }
  console.log(`first load of the analytics page: ${total} bytes gzipped (budget ${BUDGET})`);
  if (total > BUDGET) {
    console.error("the first load is over its budget");
    process.exit(1);
  }
}

await mkdir(join(dist, "assets"), { recursive: true });
if (watch) {
  const metas = new Map();
  const rewrite = (kind) => ({
    name: "pages",
    setup: (builder) =>
      builder.onEnd(async (result) => {
        if (result.metafile) metas.set(kind, result.metafile);
        if (metas.size === 4) await writePages(...["scripts", "early", "player", "sheets"].map((kind) => metas.get(kind)));
      }),
  });
  for (const [kind, options] of Object.entries({ scripts, early, player, sheets })) {
    const one = await context({ ...options, plugins: [...(options.plugins ?? []), rewrite(kind)], logLevel: "info" });
    await one.watch();
  }
} else {
  const built = await Promise.all([scripts, early, player, sheets].map((options) => build(options)));
  await report(await writePages(...built.map(({ metafile }) => metafile)));
}
