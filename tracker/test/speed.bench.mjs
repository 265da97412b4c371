// What recording costs: the longest task on a page of 5,000 nodes against `@rrweb/record` by itself in the same browser, and
// the bytes of a minute and of 1,000 clicks.
import assert from "node:assert/strict";
import { build } from "esbuild";
import { ALL, CODE, hide, open, ready, startCollector } from "./collector.mjs";
import { setUp, startBrowser } from "./harness.mjs";

const ROUNDS = 9;
/** Of the machine: a slow one makes tasks that can be told from noise. */
const SLOWER = 4;
const LIMIT = 1.2;

const { collector, browser, test } = await setUp({ collector: startCollector, browser: startBrowser }, 300_000);

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

test("bytes of a recorded minute", async (context) => {
  collector.clear();
  collector.settings = { ...ALL, heatmaps: false, errors: false, web_vitals: false };
  collector.page("/minute", `<h1>Shop</h1><form><input name="who"><textarea></textarea></form><ul></ul><button>Add</button><div style="height:3000px"></div>
    <script>document.querySelector("button").onclick = () => document.querySelector("ul").insertAdjacentHTML("beforeend", "<li class='item'>Something that was added <b>now</b></li>")</script>`);
  const tab = await open(browser, collector, "/minute", { prepare: (page) => page.clock.install(), viewport: { width: 1_000, height: 600 } });
  await tab.page.clock.runFor(500);
  await ready(tab.page, "replay");
  const bytes = () => collector.reports.filter(({ kind }) => kind === "replay").reduce((sum, report) => sum + report.bytes, 0);
  await tab.page.clock.runFor(6_000);
  await collector.until(() => bytes() > 0);
  const snapshot = bytes();
  const button = await tab.page.locator("button").boundingBox();
  for (let second = 0; second < 60; second++) {
    for (let step = 0; step < 4; step++) {
      await tab.page.mouse.move(100 + ((second * 37 + step * 90) % 700), 80 + ((second * 53 + step * 40) % 300));
      await tab.page.clock.runFor(250);
    }
    if (second % 5 === 0) await tab.page.mouse.click(button.x + 5, button.y + 5);
    if (second % 7 === 0) await tab.page.evaluate((y) => scrollTo(0, y), second * 10 % 400);
    if (second % 3 === 0) await tab.page.locator("textarea").pressSequentially("words ");
    if (second % 7 === 0) await tab.page.evaluate(() => scrollTo(0, 0));
  }
  await tab.page.clock.runFor(6_000);
  const name = "the end";
  await tab.page.evaluate((name) => document.body.setAttribute("data-end", name), name);
  await tab.page.clock.runFor(100);
  await hide(tab.page);
  await collector.until(() => collector.text().includes(name));
  context.diagnostic(`a minute of moving, typing and clicking: ${bytes() - snapshot} bytes packed; the page at its beginning: ${snapshot}`);
  await tab.close();
});

test("bytes of 1,000 clicks", async (context) => {
  collector.clear();
  collector.settings = { cookieless: true, heatmaps: true };
  collector.page("/clicks", Array.from({ length: 40 }, (_, i) => `<button>Button ${String.fromCharCode(65 + (i % 26))}${i}</button>`).join(" "));
  const tab = await open(browser, collector, "/clicks", { viewport: { width: 1_000, height: 600 } });
  await ready(tab.page, "heatmap");
  for (let i = 0; i < 200; i++) await tab.page.mouse.click(20 + ((i * 131) % 900), 20 + ((i * 29) % 90));
  await hide(tab.page);
  const clicks = () => collector.of("heatmap").flatMap((body) => body.clicks).reduce((sum, { n }) => sum + (n ?? 1), 0);
  await collector.until(() => clicks() >= 200);
  const bytes = collector.reports.filter(({ kind }) => kind === "heatmap").reduce((sum, report) => sum + report.bytes, 0);
  context.diagnostic(`1,000 clicks: ${Math.round((bytes / clicks()) * 1_000)} bytes in ${collector.of("heatmap").length} reports for ${clicks()}`);
  await tab.close();
});
