// Recordings: what a real browser sends of a page, put together again.
import assert from "node:assert/strict";
import { beforeEach } from "node:test";
import { ALL, hide, open, ready, startCollector } from "./collector.mjs";
import { setUp, startBrowser } from "./harness.mjs";
import { played } from "./played.mjs";

const { collector, browser, test } = await setUp({ collector: startCollector, browser: startBrowser });
beforeEach(() => {
  collector.clear();
  collector.settings = REPLAY;
});

const REPLAY = { cookieless: true, errors: true, session_replay: true };
const chunks = () => collector.of("replay");
const events = () => [...chunks()].sort((one, other) => one.seq - other.seq).flatMap((chunk) => chunk.events);
const marks = (tag) => events().filter(({ type, data }) => type === 5 && data.tag === tag).map(({ data }) => data.payload);

async function visit(path, body, { attributes, head, ...options } = {}) {
  collector.page(path, body, { attributes, head });
  const tab = await open(browser, collector, path, { viewport: { width: 1_000, height: 600 }, ...options });
  await ready(tab.page, "replay");
  return tab;
}
/** Waits until everything that was recorded so far has come. */
async function flush(tab) {
  const name = "flushed " + Math.random();
  await tab.page.evaluate((name) => document.body.setAttribute("data-flushed", name), name);
  await tab.page.evaluate(() => new Promise((done) => setTimeout(done, 50)));
  await hide(tab.page);
  await collector.until(() => collector.text().includes(name));
  await hide(tab.page, false);
}
const last = async (tab) => {
  await tab.page.evaluate(() => zenovay("track", "last"));
  await collector.until(() => collector.of("e").some(({ event_name }) => event_name === "last"));
};

test("a page with a form, a shadow tree, a route and an error is recorded in order and packed", async () => {
  const tab = await visit("/record?token=canary-token", `<h1 id="title">Shop</h1><x-box></x-box><ul><li>One</li></ul><form><input name="who"><input type="password"></form>`, {
    head: '<style>h1 { color: red }</style><script>customElements.define("x-box", class extends HTMLElement { constructor() { super().attachShadow({ mode: "open" }).innerHTML = "<p>In the <b>shade</b></p>" } })</script>',
  });
  await tab.page.fill("[name=who]", "canary-name");
  await tab.page.fill("[type=password]", "canary-password");
  await tab.page.evaluate(() => {
    history.pushState(0, 0, "/record/second?secret=canary-secret");
    document.querySelector("#title").textContent = "Cart";
    document.querySelector("ul").prepend(Object.assign(document.createElement("li"), { textContent: "Zero" }));
    document.querySelector("x-box").shadowRoot.querySelector("b").textContent = "sun";
  });
  await collector.until(() => collector.of("e").filter(({ event_type }) => event_type === "pageview").length === 2);
  await tab.page.evaluate(() => void setTimeout(() => null.member));
  await collector.until(() => collector.of("error").length);
  await flush(tab);
  const all = chunks();
  assert.ok(collector.reports.filter(({ kind }) => kind === "replay").every(({ isPacked, type }) => isPacked && type === "text/plain"));
  assert.deepEqual(all.map(({ seq }) => seq).sort((a, b) => a - b), all.map((_, place) => place));
  assert.equal(new Set(all.map(({ replay_id }) => replay_id)).size, 1);
  assert.match(all[0].replay_id, /^[0-9a-f]{32}$/);
  assert.equal(all[0].session_id, collector.of("e")[0].session_id);
  assert.deepEqual(events().slice(0, 2).map(({ type }) => type), [4, 2]);
  assert.equal(events()[0].data.href, `${collector.origin}/record`);
  const times = events().map(({ timestamp }) => timestamp);
  assert.deepEqual(marks("zenovay.page").map(({ url }) => url.replace(collector.origin, "")), ["/record", "/record/second"]);
  const [error] = marks("zenovay.error");
  assert.equal(error.id, collector.of("error")[0].errors[0].id);
  assert.ok(times.every((time) => time > 1e12));
  const page = played(events());
  assert.match(page, /<h1 #title>Cart/);
  assert.match(page, /<li>Zero<li>One/);
  assert.match(page, /<x-box><p>In the<b>sun/);
  assert.match(JSON.stringify(events()), /color: red/);
  assert.doesNotMatch(collector.text(), /canary-(name|password)/);
  assert.doesNotMatch(collector.reports.filter(({ kind }) => kind !== "e").map(({ text }) => text).join(), /canary/);
  assert.deepEqual(tab.errors.filter((text) => !/member/.test(text)), []);
  await tab.close();
});

test("of each page that an application shows the whole is written once, so that its heatmap has a picture", async () => {
  collector.page("/app", "<h1>Home</h1>");
  const tab = await open(browser, collector, "/app", { prepare: (page) => page.clock.install() });
  await tab.page.clock.runFor(500);
  await ready(tab.page, "replay");
  for (const path of ["/app/pricing", "/app", "/app/pricing", "/app/about"]) {
    await tab.page.evaluate((path) => {
      history.pushState(0, 0, path);
      document.querySelector("h1").textContent = `Title of ${path}`;
    }, path);
    await tab.page.clock.runFor(1_500);
  }
  await tab.page.clock.runFor(6_000);
  const wholes = () => events().flatMap(({ type, data }, at, all) => (type === 2 ? [[new URL(all[at - 1].data.href).pathname, JSON.stringify(data.node)]] : []));
  await collector.until(() => wholes().some(([path]) => path === "/app/about"));
  assert.deepEqual(wholes().map(([path]) => path), ["/app", "/app/pricing", "/app/about"]);
  assert.match(wholes()[1][1], /Title of \/app\/pricing/);
  await tab.close();
});

test("what was recorded when the page is left arrives, also where the browser does not say that it will be", async () => {
  collector.page("/leave/next", "Next");
  for (const isTold of [true, false]) {
    collector.clear();
    collector.settings = REPLAY;
    const prepare = (page) => isTold || page.addInitScript(() => Object.defineProperty(window, "navigation", { value: undefined }));
    const tab = await visit("/leave", `<p id="p">Start</p>`, { prepare });
    await flush(tab);
    await tab.page.evaluate(() => {
      for (let i = 0; i < 200; i++) document.body.append(Object.assign(document.createElement("p"), { textContent: `line ${i}` }));
      setTimeout(() => (location.href = "/leave/next"));
    });
    await tab.page.waitForURL("**/next");
    await collector.until(() => collector.text().includes("line 199"));
    await tab.page.goto("about:blank");
    // One that was on its way may come twice, which its number tells: then it is the same.
    const events = new Map();
    for (const { replay_id, seq, events: some } of chunks().filter(({ replay_id }) => replay_id === chunks()[0].replay_id)) {
      assert.deepEqual(some, events.get(seq) ?? some, `chunk ${seq} of ${replay_id}`);
      events.set(seq, some);
    }
    // What is sent at the last moment is not packed.
    const last = collector.reports.find(({ text }) => text.includes("line 199"));
    if (!isTold) assert.deepEqual([last.isPacked, last.body.final], [false, true]);
    await tab.close();
  }
});

test("a full page, which is more than a page that is left can send, is sent at once", async () => {
  const tab = await visit("/large", `<main></main>`, { head: "<script>addEventListener('DOMContentLoaded', () => { for (let i = 0; i < 5000; i++) document.querySelector('main').append(Object.assign(document.createElement('p'), { textContent: 'paragraph ' + i, className: 'c' + i })) })</script>" });
  await collector.until(() => chunks().length);
  const [report] = collector.reports.filter(({ kind }) => kind === "replay");
  assert.ok(report.text.length > 300_000 && report.bytes < report.text.length / 5, `${report.text.length} ${report.bytes}`);
  await tab.close();
});

test("chunks are sent again under their numbers when the server was busy, in order", async () => {
  let refusals = 2;
  collector.answer = ({ kind }) => (kind === "replay" && refusals-- > 0 ? [503, { success: false }, { "Retry-After": "1" }] : undefined);
  const tab = await visit("/busy", "<p>Text</p>");
  await collector.until(() => collector.reports.filter(({ kind, status }) => kind === "replay" && status === 200).length >= 1);
  const [one, two, three] = collector.reports.filter(({ kind }) => kind === "replay");
  assert.deepEqual([one.body.seq, two.body.seq, three.body.seq], [0, 0, 0]);
  assert.deepEqual(one.body.events, three.body.events);
  assert.ok(three.body.sent_at >= one.body.sent_at + 1_000);
  await tab.close();
});

test("a website that takes no more gets no more", async () => {
  collector.answer = ({ kind }) => (kind === "replay" ? [200, { success: true, accepted: false, reason: "session_full" }] : undefined);
  const tab = await visit("/full", "<p>Text</p>");
  await collector.until(() => chunks().length === 1);
  await tab.page.evaluate(() => document.body.append("more"));
  await hide(tab.page);
  await hide(tab.page, false);
  await last(tab);
  await tab.page.goto("about:blank");
  assert.equal(chunks().length, 1);
  await tab.close();
});

test("of errors only: nothing is sent without one, and what came before it is", async () => {
  collector.settings = { ...REPLAY, session_replay_trigger: "errors_only" };
  const tab = await visit("/on-error", "<button onclick=\"this.textContent = 'clicked'\">Button</button>");
  await tab.page.click("button");
  await hide(tab.page);
  await hide(tab.page, false);
  await last(tab);
  assert.deepEqual(chunks(), []);
  await tab.page.evaluate(() => void setTimeout(() => { throw new Error("at last") }));
  await collector.until(() => marks("zenovay.error").length);
  assert.deepEqual(events().slice(0, 2).map(({ type }) => type), [4, 2]);
  assert.match(played(events()), /<button>clicked/);
  await tab.page.evaluate(() => document.body.append("afterwards"));
  await flush(tab);
  assert.match(played(events()), /afterwards/);
  await tab.close();
});

test("of errors only: what is kept is not more than a minute", async () => {
  collector.settings = { ...REPLAY, session_replay_trigger: "errors_only" };
  collector.page("/roll", "<p>Text</p>");
  const tab = await open(browser, collector, "/roll", { prepare: (page) => page.clock.install() });
  await tab.page.clock.runFor(500);
  await ready(tab.page, "replay");
  for (let minute = 0; minute < 10; minute++) {
    await tab.page.evaluate((minute) => document.body.append(Object.assign(document.createElement("i"), { textContent: `after ${minute} turns` })), minute);
    await tab.page.mouse.move(minute * 10, 20);
    await tab.page.clock.runFor(20_000);
  }
  await tab.page.evaluate(() => zenovay("error", "at last"));
  await tab.page.clock.runFor(2_000);
  await collector.until(() => chunks().length);
  await tab.page.clock.runFor(10_000);
  await collector.until(() => marks("zenovay.error").length);
  const kept = events();
  assert.deepEqual(kept.slice(0, 2).map(({ type }) => type), [4, 2]);
  const span = kept.find(({ type, data }) => type === 5 && data.tag === "zenovay.error").timestamp - kept[0].timestamp;
  assert.ok(span > 15_000 && span < 90_000, `${span}`);
  // All of the page is in it.
  assert.match(played(events()), /after 0 turns.*after 9 turns/);
  await tab.close();
});

test("a sample is a part of the visits", async () => {
  collector.settings = { cookieless: true, session_replay: true, heatmaps: true, session_replay_trigger: "sampled", session_replay_sample_percent: 50 };
  collector.page("/sample", "<p>Text</p>");
  /** Which lot a visit drew, as the recorder does. */
  const lotOf = (session) => [...session].reduce((sum, char) => (Math.imul(sum, 31) + char.charCodeAt(0)) >>> 0, 0) % 100;
  const isIn = new Map();
  while (new Set(isIn.values()).size < 2) {
    const tab = await open(browser, collector, "/sample");
    await ready(tab.page, "replay");
    await collector.until(() => collector.of("e").some(({ session_id }) => !isIn.has(session_id)));
    const { session_id: session } = collector.of("e").find(({ session_id }) => !isIn.has(session_id));
    isIn.set(session, lotOf(session) < 50);
    if (isIn.get(session)) await flush(tab);
    await tab.close();
  }
  for (const [session, is] of isIn) assert.equal(chunks().some(({ session_id }) => session_id === session), is, session);
});

test("without consent nothing is recorded, with it from then on, and never again after a denial", async () => {
  collector.settings = { ...REPLAY, session_replay_consent: true };
  const tab = await visit("/consent", "<p>before</p>");
  await tab.page.evaluate(() => document.body.append("canary-before"));
  await hide(tab.page);
  await hide(tab.page, false);
  await last(tab);
  assert.deepEqual(chunks(), []);
  await tab.page.evaluate(() => (document.body.textContent = "clean", zenovay("consent", "granted")));
  await flush(tab);
  assert.ok(chunks().length && chunks().every(({ consent }) => consent === "granted"));
  assert.doesNotMatch(JSON.stringify(chunks()), /canary-before/);
  const before = chunks().length;
  await tab.page.evaluate(() => {
    document.body.append("canary-denied");
    zenovay("consent", "denied");
    document.body.append("canary-denied");
  });
  await tab.page.evaluate(() => new Promise((done) => setTimeout(done, 5_500)));
  await tab.page.goto("about:blank");
  assert.equal(chunks().length, before);
  assert.doesNotMatch(JSON.stringify(chunks()), /canary-denied/);
  await tab.close();
});

test("a denial holds also where no consent is asked for, and a disabled page is not recorded until it is enabled", async () => {
  const tab = await visit("/denied", "<p>Text</p>");
  await flush(tab);
  await tab.page.evaluate(() => (zenovay("disable"), document.body.append("canary-disabled")));
  await tab.page.evaluate(() => new Promise((done) => setTimeout(done, 100)));
  await tab.page.evaluate(() => (document.body.lastChild.remove(), zenovay("enable")));
  await collector.until(() => events().filter(({ type }) => type === 2).length === 2);
  await flush(tab);
  assert.doesNotMatch(collector.text(), /canary-disabled/);
  await tab.page.evaluate(() => zenovay("consent", "denied"));
  const before = chunks().length;
  await tab.page.evaluate(() => document.body.append("canary-denied"));
  await tab.page.evaluate(() => new Promise((done) => setTimeout(done, 5_500)));
  assert.equal(chunks().length, before);
  await tab.close();
});

test("nothing is kept in the browser, unless the visit is recognised: then the next page goes on", async () => {
  const tab = await visit("/kept", "<p>One</p>");
  collector.page("/kept/two", "<p>Two</p>");
  await flush(tab);
  await tab.page.goto(collector.origin + "/kept/two");
  await ready(tab.page, "replay");
  await flush(tab);
  assert.equal(new Set(chunks().map(({ replay_id }) => replay_id)).size, 2);
  const stored = () => tab.page.evaluate(async () => [localStorage.length, sessionStorage.length, document.cookie, (await indexedDB.databases()).length, (await caches.keys()).length]);
  assert.deepEqual(await stored(), [0, 0, "", 0, 0]);
  await tab.close();

  collector.clear();
  collector.settings = { ...REPLAY, cookieless: false };
  const known = await visit("/kept", "<p>One</p>", { attributes: 'data-cookieless="false"' });
  collector.page("/kept/two", "<p>Two</p>", { attributes: 'data-cookieless="false"' });
  await flush(known);
  await known.page.goto(collector.origin + "/kept/two");
  await ready(known.page, "replay");
  await flush(known);
  // Not those that the other tab sent at its end.
  const mine = () => chunks().filter(({ visitor_id }) => visitor_id);
  assert.equal(new Set(mine().map(({ replay_id }) => replay_id)).size, 1);
  const numbers = mine().map(({ seq }) => seq);
  assert.equal(new Set(numbers).size, numbers.length, numbers.join());
  assert.equal(mine().flatMap(({ events }) => events).filter(({ type }) => type === 2).length, 2);
  // Somebody else is another recording.
  await known.page.evaluate(() => zenovay("reset"));
  await flush(known);
  assert.equal(new Set(mine().map(({ replay_id }) => replay_id)).size, 2);
  await known.close();
});

test("a page that nobody touches for long is not recorded until somebody does", async () => {
  collector.page("/idle", "<p>Text</p>");
  const tab = await open(browser, collector, "/idle", { prepare: (page) => page.clock.install() });
  await tab.page.clock.runFor(500);
  await ready(tab.page, "replay");
  await tab.page.evaluate(() => setInterval(() => document.body.append(Object.assign(document.createElement("i"), { textContent: "tick " })), 10_000));
  await tab.page.clock.runFor(600_000);
  await collector.until(() => marks("zenovay.pause").length);
  const ticks = () => (JSON.stringify(events().filter(({ type }) => type === 3)).match(/tick /g) || []).length;
  const before = ticks();
  assert.ok(before < 35, `${before}`);
  await tab.page.mouse.move(30, 30);
  await tab.page.mouse.move(90, 90);
  await tab.page.clock.runFor(12_000);
  await collector.until(() => events().filter(({ type }) => type === 2).length === 2);
  assert.ok((played(events()).match(/tick/g) || []).length > 55);
  await tab.close();
});

test("the recorder breaks nothing: the page's own errors and elements stay as they were", async () => {
  const tab = await visit("/intact", '<input type="password" id="p"><div id="d"></div>');
  const state = await tab.page.evaluate(async () => {
    const field = document.querySelector("#p");
    field.type = "text";
    field.value = "shown";
    await new Promise((done) => setTimeout(done, 100));
    return [field.value, field.type];
  });
  assert.deepEqual(state, ["shown", "text"]);
  assert.deepEqual(tab.errors, []);
  await tab.close();
});
