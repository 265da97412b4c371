// The recorder's longest task on a page of 5,000 nodes, against `@rrweb/record` by itself in the same browser.
import assert from "node:assert/strict";
import { after, before, test as timedTest } from "node:test";
import { build } from "esbuild";
import { CODE, open, startCollector } from "./collector.mjs";
import { startBrowser } from "./harness.mjs";

const ROUNDS = 9;
/** Of the machine: a slow one makes tasks that can be told from noise. */
const SLOWER = 4;
const LIMIT = 1.2;

let collector, browser;

const test = (name, body) => timedTest(name, { timeout: 300_000 }, body);

before(async () => {
  [collector, browser] = await Promise.all([startCollector(), startBrowser()]);
});
after(async () => {
  await browser?.close();
  await collector?.stop();
});

const PAGE = `<!doctype html><html><head><title>5,000 nodes</title>
  <style>${Array.from({ length: 300 }, (_, i) => `.c${i} > p { color: #${(i * 4321).toString(16).padStart(6, "0").slice(0, 6)}; padding: ${i % 9}px }`).join("\n")}</style></head><body><main></main><script>
  const main = document.querySelector("main");
  for (let i = 0; main.getElementsByTagName("*").length < 4990; i++) {
    main.insertAdjacentHTML("beforeend", '<section class="c' + i % 300 + '" data-row="' + i + '"><p title="row ' + i + '">Paragraph ' + i + ' with <b>some</b> text</p><a href="/item/' + i + '?page=2">Item ' + i + '</a><ul><li>One</li><li>Two</li></ul><label>Name <input name="n' + i + '" value="v' + i + '"></label></section>');
  }
</script></body></html>`;

/** Milliseconds of the longest task that follows on `start`. */
const longest = (page, start) =>
  page.evaluate(async (start) => {
    const tasks = [];
    new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: "longtask" });
    const begin = await import(start.module);
    await new Promise((done) => setTimeout(done, 100));
    tasks.length = 0;
    await new Promise((done) => setTimeout(() => (new Function("begin", "code", start.call)(begin, start.code), setTimeout(done, 1_500))));
    return Math.max(...tasks);
  }, start);

test("the longest task is at most a fifth longer than that of the bare recorder", async (context) => {
  const bare = await build({
    stdin: { contents: 'export { record } from "@rrweb/record"', resolveDir: new URL("..", import.meta.url).pathname },
    bundle: true, minify: true, format: "esm", target: "es2020", write: false,
  });
  collector.pages.set("/bare.js", (_, response) => response.writeHead(200, { "Content-Type": "text/javascript" }).end(bare.outputFiles[0].contents));
  collector.pages.set("/nodes", PAGE);
  const runs = {
    bare: { module: "/bare.js", call: "begin.record({ emit() {} })" },
    ours: {
      module: "/z-replay.js",
      code: CODE,
      call: `begin.default({ endpoint: "/api/track/" + code + "/", trackingCode: code, settings: { session_replay: true, session_replay_trigger: "all" }, fetch: fetch.bind(window), now: Date.now, log() {},
        guarded: (work) => (...args) => { try { return work(...args) } catch (error) { console.error(error) } }, newId: () => "0".repeat(32), isActive: () => true, isOptedOut: false,
        mayStore: () => false, consent: () => true, sender: () => ({ session_id: "session-1" }), view: () => ({ id: "view-0001", url: location.href }), listen() {}, tell() {} }, [])`,
    },
  };
  const times = { bare: [], ours: [] };
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of round % 2 ? ["bare", "ours"] : ["ours", "bare"]) {
      const tab = await open(browser, collector, "/nodes");
      const session = await tab.context.newCDPSession(tab.page);
      await session.send("Emulation.setCPUThrottlingRate", { rate: SLOWER });
      times[name].push(await longest(tab.page, runs[name]));
      assert.deepEqual(tab.errors, []);
      await tab.close();
    }
  }
  const middle = (values) => values.sort((one, other) => one - other)[Math.floor(values.length / 2)];
  const [ours, alone] = [middle(times.ours), middle(times.bare)];
  context.diagnostic(`ours ${ours} ms, bare ${alone} ms, ${(ours / alone).toFixed(2)} times; ${JSON.stringify(times)}`);
  const chunk = collector.reports.find(({ kind }) => kind === "replay");
  context.diagnostic(`first chunk: ${chunk.text.length} characters, ${chunk.bytes} bytes packed`);
  assert.ok(alone > 50, "the page is too small to tell");
  assert.ok(ours / alone <= LIMIT, `${ours} ms against ${alone} ms`);
});
