// Web vitals: one report when the page is hidden, with what a real browser measured.
import assert from "node:assert/strict";
import { beforeEach } from "node:test";
import { ALL, hide, open, ready, startCollector } from "./collector.mjs";
import { setUp, startBrowser } from "./harness.mjs";

const { collector, browser, test } = await setUp({ collector: startCollector, browser: startBrowser });
beforeEach(() => collector.clear());

const VITALS = { cookieless: true, web_vitals: true };

/** Waits until the browser told of something that it measured; the script, which looked before, was told of it first. */
const seen = (page, type, isIt) =>
  page.evaluate(`new Promise((done) => new PerformanceObserver((list) => list.getEntries().some(${isIt}) && done()).observe({ type: "${type}", buffered: true, durationThreshold: 16 }))`);

test("nothing is loaded on a website that has nothing switched on, nor where there is no answer", async () => {
  for (const settings of [{ cookieless: true }, undefined]) {
    collector.clear();
    collector.settings = settings;
    collector.page("/off", "<h1>Off</h1>");
    const tab = await open(browser, collector, "/off");
    await tab.page.evaluate(() => zenovay("track", "one"));
    await tab.page.waitForFunction(() => performance.getEntriesByType("resource").some(({ name }) => name.includes("/load/")));
    await tab.page.evaluate(() => zenovay("track", "two"));
    await collector.until(() => collector.of("e").some((body) => body.event_name === "two"));
    await tab.page.mouse.click(10, 10);
    await hide(tab.page);
    await tab.page.goto("about:blank");
    assert.deepEqual(collector.asked.filter((path) => /z-(?!more)/.test(path)), []);
    assert.deepEqual(collector.reports.filter(({ kind }) => kind !== "e"), []);
    assert.deepEqual(tab.errors, []);
    await tab.close();
  }
});

test("one report when the page is hidden, of the view that was asked for", async () => {
  collector.settings = VITALS;
  collector.page("/vitals", '<h1 style="font-size:80px">Large</h1><button style="width:200px;height:80px">Slow</button><script>document.querySelector("button").onclick = () => { const end = performance.now() + 150; while (performance.now() < end); history.pushState(0, 0, "/other") }</script>');
  const tab = await open(browser, collector, "/vitals?token=secret1&x=1#part");
  await ready(tab.page, "vitals");
  await seen(tab.page, "largest-contentful-paint", () => true);
  const slow = seen(tab.page, "event", ({ duration }) => duration >= 150);
  await tab.page.click("button");
  await slow;
  await hide(tab.page);
  await collector.until(() => collector.of("performance").length);
  const [body] = collector.of("performance");
  for (const name of ["lcp", "cls", "inp", "fcp", "ttfb"]) assert.equal(typeof body[name], "number", JSON.stringify(body));
  assert.ok(body.inp >= 150, `${body.inp}`);
  assert.ok(body.lcp >= body.fcp && body.fcp >= body.ttfb && body.ttfb >= 0, JSON.stringify(body));
  assert.equal(body.url, `${collector.origin}/vitals`);
  assert.equal(body.session_id, collector.of("e")[0].session_id);
  assert.equal(body.cookieless, true);
  assert.match(body.view_id, /^[0-9a-f]{32}$/);
  // Shown and hidden again without news: nothing.
  await hide(tab.page, false);
  await hide(tab.page);
  await tab.page.evaluate(() => zenovay("track", "last"));
  await collector.until(() => collector.of("e").some(({ event_name }) => event_name === "last"));
  assert.equal(collector.of("performance").length, 1);
  assert.doesNotMatch(collector.reports.filter(({ kind }) => kind === "performance").map(({ text }) => text).join(), /secret1/);
  assert.deepEqual(tab.errors, []);
  await tab.close();
});

test("what moves a page counts, also after it was hidden once, with the same view", async () => {
  collector.settings = VITALS;
  collector.page("/shift", '<div id="top"></div><p style="font-size:40px">Text that moves down the page</p>');
  const tab = await open(browser, collector, "/shift");
  await ready(tab.page, "vitals");
  await seen(tab.page, "paint", ({ name }) => name === "first-contentful-paint");
  await hide(tab.page);
  await collector.until(() => collector.of("performance").length);
  await hide(tab.page, false);
  const shifted = seen(tab.page, "layout-shift", ({ value }) => value > 0);
  await tab.page.evaluate(() => void (document.querySelector("#top").style.height = "300px"));
  await shifted;
  await hide(tab.page);
  await collector.until(() => collector.of("performance").length === 2);
  const [first, second] = collector.of("performance");
  assert.equal(first.view_id, second.view_id);
  assert.ok(second.cls > first.cls, `${first.cls} ${second.cls}`);
  await tab.close();
});

test("who opted out is measured without being known, and a disabled page is not", async () => {
  collector.settings = { ...VITALS, cookieless: false };
  collector.page("/gpc", "<h1>Text</h1>");
  const tab = await open(browser, collector, "/gpc", { prepare: (page) => page.addInitScript(() => Object.defineProperty(navigator, "globalPrivacyControl", { value: true })) });
  await ready(tab.page, "vitals");
  await hide(tab.page);
  await collector.until(() => collector.of("performance").length);
  const [body] = collector.of("performance");
  assert.equal(body.opted_out, true);
  assert.equal(body.visitor_id, undefined);
  await tab.close();
  collector.clear();
  collector.settings = VITALS;
  const disabled = await open(browser, collector, "/gpc");
  await ready(disabled.page, "vitals");
  await disabled.page.evaluate(() => zenovay("disable"));
  await hide(disabled.page);
  await disabled.page.evaluate(() => (zenovay("enable"), zenovay("track", "last")));
  await collector.until(() => collector.of("e").some(({ event_name }) => event_name === "last"));
  assert.deepEqual(collector.of("performance"), []);
  await disabled.close();
});
