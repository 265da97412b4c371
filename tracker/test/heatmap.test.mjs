// Clicks, scrolling and moves, as a real browser makes them.
import assert from "node:assert/strict";
import { beforeEach } from "node:test";
import { build } from "esbuild";
import { ALL, hide, open, ready, startCollector } from "./collector.mjs";
import { setUp, startBrowser } from "./harness.mjs";

const { collector, browser, test } = await setUp({ collector: startCollector, browser: startBrowser });
const source = new URL("../src/place.ts", import.meta.url).pathname;
const result = await build({ entryPoints: [source], bundle: true, format: "iife", globalName: "place", write: false });
const place = result.outputFiles[0].text;
beforeEach(() => {
  collector.clear();
  collector.settings = HEATMAPS;
});

const HEATMAPS = { cookieless: true, heatmaps: true };
const clicks = () => collector.of("heatmap").flatMap((body) => body.clicks);

async function visit(path, body, options) {
  collector.page(path, body);
  const tab = await open(browser, collector, path, { viewport: { width: 1_000, height: 600 }, ...options });
  await ready(tab.page, "heatmap");
  return tab;
}
/** Everything that was recorded so far. */
async function flush(tab) {
  const before = collector.of("heatmap").length;
  await hide(tab.page);
  await collector.until(() => collector.of("heatmap").length > before);
  await hide(tab.page, false);
}

test("a click is told by its place on the page and in its element, and is found again on another layout", async () => {
  const button = '<button style="position:absolute;left:200px;top:900px;width:100px;height:40px"><svg width="20" height="20"><path d="M0 0h20v20H0z"/></svg> Buy now</button>';
  const tab = await visit("/clicks?q=canary", `<div style="height:2000px">${button}</div>`);
  await tab.page.evaluate(() => scrollTo(0, 600));
  await tab.page.mouse.click(225, 310);
  await flush(tab);
  const [body] = collector.of("heatmap");
  const [click] = body.clicks;
  assert.deepEqual([click.x, click.y], [225, 910]);
  assert.deepEqual([click.ox, click.oy], [0.25, 0.25]);
  assert.equal(click.label, "Buy now");
  assert.match(click.s, /button\|f=[0-9a-f]{8}$/);
  assert.deepEqual(body.viewport, [1_000, 600]);
  assert.ok(body.page[1] >= 2_000);
  assert.equal(body.url, `${collector.origin}/clicks`);
  assert.match(body.dom, /^[0-9a-f]{16}$/);
  assert.equal(body.seq, 0);
  assert.equal(body.session_id, collector.of("e")[0].session_id);
  // The same button in a narrow window, after a list that came late.
  await tab.page.addScriptTag({ content: place });
  const found = await tab.page.evaluate((s) => {
    document.body.innerHTML = `<ul><li>One</li></ul><main style="width:300px"><p>Late</p><button style="width:50px;height:20px"><svg></svg> Buy now</button></main>`;
    return new place.Finder(document).find(s)?.textContent.trim();
  }, click.s);
  assert.equal(found, "Buy now");
  assert.doesNotMatch(collector.reports.filter(({ kind }) => kind === "heatmap").map(({ text }) => text).join(), /canary/);
  await tab.close();
});

test("of fields and of what is private only that they were clicked is told", async () => {
  const tab = await visit("/private", `<input value="canary-value" aria-label="canary-label"><textarea>canary-area</textarea><div contenteditable>canary-edit</div>
    <div data-private><button id="canary-id">canary-button</button></div><div class="zenovay-mask-replay"><a href="#x">canary-link</a></div><select><option>canary-option</select>`);
  for (const selector of ["input", "textarea", "[contenteditable]", "[data-private] button", "a"]) await tab.page.click(selector);
  await flush(tab);
  const all = clicks();
  assert.equal(all.length, 5);
  assert.deepEqual(all.map(({ label }) => label), [undefined, undefined, undefined, undefined, undefined]);
  assert.match(all[3].s, /^div|body>div/);
  assert.doesNotMatch(JSON.stringify(all), /canary/);
  await tab.close();
});

test("clicks in shadow trees are told by the elements in them", async () => {
  const tab = await visit("/shadow", "<x-box></x-box>");
  await tab.page.evaluate(() => {
    document.querySelector("x-box").attachShadow({ mode: "open" }).innerHTML = "<p>Text</p><button>Inside</button>";
  });
  await tab.page.click("x-box button");
  await flush(tab);
  assert.match(clicks()[0].s, /x-box >>> button\|f=/);
  assert.equal(clicks()[0].label, "Inside");
  await tab.close();
});

test("many clicks in a row at one place are rage, and one entry", async () => {
  const tab = await visit("/rage", '<p style="width:200px;height:100px">Nothing</p><button onclick="this.textContent = Date.now()">Counts</button>');
  await tab.page.mouse.click(50, 50, { clickCount: 5 });
  // Two is a double click, and another place is another click.
  await tab.page.mouse.dblclick(150, 90);
  await flush(tab);
  assert.deepEqual(clicks().map(({ rage, n }) => [rage, n]), [[true, 5], [undefined, 2]]);
  await tab.close();
});

test("a click on something active that nothing follows is dead", async () => {
  const tab = await visit("/dead", `<button id="dead">Dead</button><button id="alive" onclick="document.body.append('!')">Alive</button>
    <p>Just text</p><span style="cursor:pointer" id="looks">Looks active</span><a href="mailto:a@b.example" id="mail">Mail</a><input type="checkbox">
    <button id="late" onclick="setTimeout(() => document.body.append('!'), 300)">Late</button><button disabled id="off">Off</button>`);
  await tab.page.evaluate(() => document.querySelector("#mail").addEventListener("click", (event) => event.preventDefault()));
  const wait = () => tab.page.evaluate(() => new Promise((done) => setTimeout(done, 1_700)));
  for (const selector of ["#dead", "#alive", "p", "#looks", "#mail", "input", "#late"]) {
    await tab.page.click(selector);
    await wait();
  }
  await flush(tab);
  assert.deepEqual(clicks().map(({ dead }) => dead), [true, undefined, undefined, true, undefined, undefined, undefined]);
  await tab.close();
});

test("how far and how long is told by parts of the page, as differences", async () => {
  const tab = await visit("/depth", '<div style="height:6000px"></div>');
  await tab.page.mouse.move(10, 10);
  await tab.page.evaluate(() => new Promise((done) => setTimeout(done, 2_200)));
  await flush(tab);
  const [first] = collector.of("heatmap");
  const seen = first.scroll.attention;
  assert.equal(seen.length, 20);
  // The window shows the first tenth.
  assert.ok(seen[0] > 1_000 && seen[1] > 900, seen.join());
  assert.deepEqual(seen.slice(3), new Array(17).fill(0));
  assert.equal(first.scroll.max, 600);
  // While nobody sees it: then the first part was not seen in between, however slow the machine is.
  await hide(tab.page);
  await tab.page.evaluate(() => scrollTo(0, 3_000));
  await tab.page.waitForFunction(() => scrollY === 3_000);
  await hide(tab.page, false);
  await tab.page.mouse.move(20, 20);
  await tab.page.evaluate(() => new Promise((done) => setTimeout(done, 1_200)));
  await flush(tab);
  const second = collector.of("heatmap").at(-1);
  assert.equal(second.view_id, first.view_id);
  assert.ok(second.seq > first.seq);
  assert.equal(second.scroll.max, 3_600);
  assert.equal(second.scroll.attention[0] < 300, true, second.scroll.attention.join());
  assert.ok(second.scroll.attention[10] > 500, second.scroll.attention.join());
  await tab.close();
});

test("another route is another view, with its own clicks", async () => {
  const tab = await visit("/route", "<button>One</button>");
  await tab.page.click("button");
  await tab.page.evaluate(() => history.pushState(0, 0, "/route/two"));
  await collector.until(() => collector.of("heatmap").length === 1);
  await tab.page.evaluate(() => (document.body.innerHTML = "<button>Two</button>"));
  await tab.page.click("button");
  await flush(tab);
  const [one, two] = collector.of("heatmap");
  assert.deepEqual([one.url, two.url].map((url) => new URL(url).pathname), ["/route", "/route/two"]);
  assert.notEqual(one.view_id, two.view_id);
  assert.deepEqual([one.seq, two.seq], [0, 0]);
  assert.deepEqual([one, two].map(({ clicks }) => clicks.map(({ label }) => label)), [["One"], ["Two"]]);
  assert.equal(one.clicks[0].dead, undefined);
  await tab.close();
});

test("moves are a sample, of the pages that are in it", async () => {
  for (const [chance, some] of [[0.05, true], [0.5, false]]) {
    collector.clear();
    collector.settings = HEATMAPS;
    const tab = await visit("/moves", "<p>Text</p>", { prepare: (page) => page.addInitScript(`Math.random = () => ${chance}`) });
    for (let i = 0; i < 30; i++) await tab.page.mouse.move(100 + i * 5, 100);
    await flush(tab);
    const moves = collector.of("heatmap").flatMap((body) => body.moves);
    assert.equal(moves.length > 0 && moves.length < 30, some, `${moves.length}`);
    for (const [x, y] of moves) assert.ok(x >= 100 && x < 250 && y === 100);
    await tab.close();
  }
});

test("with Global Privacy Control or Do Not Track there is no heatmap, whatever the page says", async () => {
  for (const [name, value, attributes] of [["globalPrivacyControl", true, ""], ["doNotTrack", "1", ""], ["globalPrivacyControl", true, "data-ignore-dnt"]]) {
    collector.clear();
    collector.settings = ALL;
    collector.page("/opted-out", "<button>One</button>", { attributes });
    const tab = await open(browser, collector, "/opted-out", {
      prepare: (page) => page.addInitScript(([name, value]) => Object.defineProperty(navigator, name, { value }), [name, value]),
    });
    await ready(tab.page, "errors");
    await tab.page.click("button");
    await hide(tab.page);
    await tab.page.evaluate(() => zenovay("track", "last"));
    await collector.until(() => collector.of("e").some(({ event_name }) => event_name === "last"));
    assert.deepEqual(collector.asked.filter((path) => /heatmap|replay/.test(path)), []);
    await tab.close();
  }
});

test("clicks of programs are not clicks, and a disabled page records none", async () => {
  const tab = await visit("/programs", "<button>One</button>");
  await tab.page.evaluate(() => document.querySelector("button").click());
  await tab.page.evaluate(() => zenovay("disable"));
  await tab.page.click("button");
  await tab.page.evaluate(() => zenovay("enable"));
  await tab.page.evaluate(() => scrollTo(0, 1));
  await tab.page.evaluate(() => new Promise((done) => setTimeout(done, 1_200)));
  await flush(tab);
  assert.deepEqual(clicks(), []);
  await tab.close();
});

test("a page that is left sends what waits", async () => {
  const tab = await visit("/left", '<a href="/left/next">Next</a>');
  collector.page("/left/next", "");
  await tab.page.click("a");
  await tab.page.waitForURL("**/left/next");
  await collector.until(() => clicks().length);
  assert.equal(clicks()[0].label, "Next");
  assert.equal(clicks()[0].dead, undefined);
  await tab.close();
});
