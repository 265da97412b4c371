// Errors of a page, as a real browser throws them.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { beforeEach } from "node:test";
import { ALL, hide, open, ready, startCollector } from "./collector.mjs";
import { setUp, startBrowser } from "./harness.mjs";

const { collector, browser, test } = await setUp({ collector: startCollector, browser: startBrowser });
beforeEach(() => {
  collector.clear();
  collector.settings = ERRORS;
});

const ERRORS = { cookieless: true, errors: true };
const errors = () => collector.of("error").flatMap((body) => body.errors);
const failures = (count) => collector.until(() => errors().length >= count);
/** Throws in a task of its own, as a page would. */
const throws = (page, work) => page.evaluate(`setTimeout(() => { ${work} })`);
/** Waits until everything before it was reported. */
async function settle(page) {
  await page.evaluate(() => zenovay("error", "the end"));
  await collector.until(() => errors().some(({ message }) => message === "the end"));
  return errors().filter(({ message }) => message !== "the end");
}

test("uncaught errors, rejections and errors by hand are reported with their stacks", async () => {
  collector.page("/errors", "", { attributes: 'data-release="2.14.0"' });
  const tab = await open(browser, collector, "/errors?q=1");
  await ready(tab.page, "errors");
  await throws(tab.page, 'function broken() { null.member } broken()');
  await throws(tab.page, 'Promise.reject(new TypeError("not a function"))');
  await tab.page.evaluate(() => {
    class CartError extends Error { name = "CartError" }
    zenovay("error", new CartError("cart is empty", { cause: new RangeError("no items") }), { step: "pay", tries: 2, nested: {}, ok: true });
  });
  await failures(3);
  const [uncaught, rejection, manual] = errors();
  assert.equal(uncaught.type, "TypeError");
  assert.match(uncaught.message, /Cannot read properties of null/);
  assert.match(uncaught.stack, /at broken/);
  assert.equal(uncaught.kind, "uncaught");
  assert.deepEqual([rejection.kind, rejection.type, rejection.message], ["rejection", "TypeError", "not a function"]);
  assert.deepEqual([manual.kind, manual.type, manual.message], ["manual", "CartError", "cart is empty"]);
  assert.deepEqual(manual.properties, { step: "pay", tries: 2, ok: true });
  assert.deepEqual(manual.causes.map(({ type, message }) => [type, message]), [["RangeError", "no items"]]);
  const [body] = collector.of("error");
  assert.equal(body.release, "2.14.0");
  assert.equal(body.url, `${collector.origin}/errors`);
  assert.equal(body.session_id, collector.of("e")[0].session_id);
  for (const error of errors()) assert.match(error.id, /^[0-9a-f]{32}$/);
  await tab.close();
});

test("errors before the scripts are there are reported once each", async () => {
  collector.page("/early", "<script>setTimeout(() => { throw new Error('in the page') })</script>", {
    head: "<script>window.zenovay = function () { (zenovay.q = zenovay.q || []).push(arguments) }; zenovay('error', new Error('by hand, early'))</script>",
  });
  // Everything after z.js comes late.
  const tab = await open(browser, collector, "/early", {
    prepare: (page) => page.route("**/z-*.js*", async (route) => {
      await page.evaluate(() => { setTimeout(() => { throw new Error("while loading") }); Promise.reject("a string"); });
      await route.continue();
    }),
  });
  await ready(tab.page, "errors");
  const all = (await settle(tab.page)).map(({ message, type }) => `${type}: ${message}`);
  assert.ok(all.includes("Error: by hand, early"), all.join());
  assert.ok(all.includes("UnhandledRejection: a string"), all.join());
  assert.ok(all.some((text) => text.endsWith("while loading")));
  assert.equal(new Set(all).size, all.length, all.join());
  await tab.close();
});

test("anything can be thrown", async () => {
  collector.page("/any", "");
  const tab = await open(browser, collector, "/any");
  await ready(tab.page, "errors");
  for (const thrown of ["'text'", "42", "null", "undefined", "({ code: 7, secret: 'canary' })", "Symbol('s')", "Object.create(null)", "document.body", "new DOMException('gone', 'AbortError')"]) {
    await throws(tab.page, `throw ${thrown}`);
  }
  const all = await settle(tab.page);
  // Two of them say the same.
  assert.deepEqual([all.length, all.reduce((sum, { count }) => sum + count, 0)], [8, 9], JSON.stringify(all));
  assert.ok(all.some(({ message }) => message === "text") && all.some(({ message }) => message === "42"));
  assert.ok(all.some(({ message }) => message === "object with code, secret"));
  assert.ok(all.some(({ type, message }) => type === "AbortError" && message === "gone"));
  assert.doesNotMatch(collector.text(), /canary/);
  // What cannot be read is not an error of the page's, and not reported.
  await tab.page.evaluate(() => {
    zenovay("error", { get message() { throw new Error("getter") } });
    zenovay("error", new Proxy({}, { get() { throw new Error("proxy") }, getPrototypeOf() { throw new Error("proxy") } }));
    zenovay("error");
  });
  await settle(tab.page);
  assert.equal(tab.errors.filter((text) => /getter|proxy/.test(text)).length, 0, tab.errors.join());
  await tab.close();
});

test("half an emoji costs no report, and a report that is refused is said to be", async () => {
  collector.page("/half", "", { attributes: 'data-debug="true"' });
  const said = [];
  const tab = await open(browser, collector, "/half", { prepare: (page) => page.on("console", (message) => said.push(message.text())) });
  await ready(tab.page, "errors");
  collector.answer = ({ kind }) => kind === "error" && [400, { success: false }];
  await tab.page.evaluate(() => zenovay("error", new Error("Buy \ud83d! \u{1f600} \\ud83d"), { cut: "\ude00" }));
  await failures(1);
  const [{ message, properties }] = errors();
  assert.deepEqual([message, properties], ["Buy \ufffd! \u{1f600} \\ud83d", { cut: "\ufffd" }]);
  const isSaid = () => said.some((text) => /error refused/.test(text));
  while (!isSaid()) await tab.page.waitForEvent("console", () => isSaid());
  collector.answer = () => undefined;
  await tab.page.evaluate(() => zenovay("error", new Error("after")));
  await failures(2);
  await tab.close();
});

test("what repeats is counted, and there is an end to it", async () => {
  collector.page("/loop", "");
  const tab = await open(browser, collector, "/loop");
  await ready(tab.page, "errors");
  await tab.page.evaluate(() => {
    const same = new Error("same");
    for (let i = 0; i < 30; i++) zenovay("error", same);
    for (let i = 0; i < 40; i++) zenovay("error", new Error("another " + "abcdefghijklmnopqrstuvwxyz0123456789ABCD"[i]));
  });
  // What the page of the test before sent as it was left may come only now.
  const reports = () => collector.of("error").filter(({ url }) => url === `${collector.origin}/loop`);
  await collector.until(() => reports().length > 0);
  const all = reports().flatMap((report) => report.errors);
  assert.equal(all.length, 10, JSON.stringify(all.map(({ message }) => message)));
  assert.equal(all[0].count, 30);
  assert.equal(all.reduce((sum, { count }) => sum + count, 0), 39);
  assert.equal(reports().length, 1);
  await tab.close();
});

test("errors of other hosts, of extensions and of no consequence are not reported", async () => {
  const other = createServer((_, response) => response.writeHead(200, { "Content-Type": "text/javascript" }).end("setTimeout(() => { throw new Error('of another host') })"));
  await new Promise((resolve) => other.listen(0, "127.0.0.1", resolve));
  collector.page("/noise", "");
  const tab = await open(browser, collector, "/noise");
  await ready(tab.page, "errors");
  await tab.page.addScriptTag({ url: `http://localhost:${other.address().port}/` });
  await tab.page.evaluate(() => {
    const error = new Error("of an extension");
    error.stack = "Error: of an extension\n    at f (chrome-extension://abcdef/content.js:1:2)";
    zenovay("error", error);
    dispatchEvent(new ErrorEvent("error", { message: "ResizeObserver loop completed with undelivered notifications." }));
    document.body.append(Object.assign(new Image(), { src: "/missing.png" }));
  });
  await tab.page.waitForFunction(() => performance.getEntriesByType("resource").some(({ name }) => name.includes("localhost")));
  await tab.page.evaluate(() => new Promise((done) => setTimeout(done, 50)));
  assert.deepEqual(await settle(tab.page), []);
  await tab.close();
  await new Promise((resolve) => (other.closeAllConnections(), other.close(resolve)));
});

test("secrets, mail addresses and numbers of cards are taken out of messages, stacks, addresses and properties", async () => {
  collector.page("/reset/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "");
  const tab = await open(browser, collector, "/reset/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl?token=canary-1");
  await ready(tab.page, "errors");
  await tab.page.evaluate(() => {
    const texts = [
      "GET /api?access_token=canary-2&page=1 failed", "Authorization: Bearer canary-3-abcdefgh", "no user ada@canary-4.example",
      "card 4111 1111 1111 1111 refused", '{"password":"canary-5"}', "key sk_live_canary600000", "session 0123456789abcdef0123456789abcdef",
      "order 4111111111111112 is not a card",
    ];
    for (const text of texts) zenovay("error", new Error(text), { text });
    // What is cut off would no longer be known for a card, a key or an address.
    const [card, key, mail] = ["4111111111111111", "sk_live_canary700000", "ada@canary-8.example"];
    const longer = (length, secret) => `${"y".repeat(length - 12)} ${secret}`;
    zenovay("error", new Error(longer(1_000, card)), { card: longer(200, card), key: longer(200, key), mail: longer(200, mail), item: "item 3 4111 1111 1111 1111" });
  });
  const all = await settle(tab.page);
  const reported = collector.reports.filter(({ kind }) => kind === "error").map(({ text }) => text).join();
  assert.doesNotMatch(reported, /canary|4111 1111|411111111111111\b|y 41111|y sk_live|y ada|c2lnbmF0dXJl|0123456789abcdef0/);
  assert.match(reported, /4111111111111112/);
  assert.match(all[0].message, /^GET \/api\?access_token=\[token\]&page=1 failed$/);
  await tab.close();
});

test("the ids of bundles that a bundler put on the page go with the stacks that they are in", async () => {
  collector.page("/debug-id", "");
  const tab = await open(browser, collector, "/debug-id");
  await ready(tab.page, "errors");
  await tab.page.evaluate((origin) => {
    globalThis._sentryDebugIds = { [`Error\n    at ${origin}/app-3f2a.js:1:200`]: "0b8f7a52-0000-4000-8000-000000000001", [`Error\n    at ${origin}/other.js:1:2`]: "other" };
    const error = new Error("in the bundle");
    error.stack = `Error: in the bundle\n    at t (${origin}/app-3f2a.js:1:999)`;
    zenovay("error", error);
  }, collector.origin);
  await failures(1);
  assert.deepEqual(collector.of("error")[0].debug_ids, { [`${collector.origin}/app-3f2a.js`]: "0b8f7a52-0000-4000-8000-000000000001" });
  await tab.close();
});

test("what came before goes with an error: views and clicks by name, nothing that was typed", async () => {
  collector.page("/trail", '<button>Save <b>now</b></button><label>Name <input value="canary-typed"></label><div data-private><button>canary-private</button></div>');
  const tab = await open(browser, collector, "/trail");
  await ready(tab.page, "errors");
  await tab.page.click("button");
  await tab.page.click("input");
  await tab.page.click("[data-private] button");
  await tab.page.evaluate(() => history.pushState(0, 0, "/trail/next?q=canary-query"));
  await collector.until(() => collector.of("e").filter(({ event_type }) => event_type === "pageview").length === 2);
  await tab.page.evaluate(() => zenovay("error", new Error("after")));
  await failures(1);
  const [{ breadcrumbs }] = errors();
  assert.deepEqual(breadcrumbs.map(({ kind, text }) => [kind, text.replace(collector.origin, "")]), [
    ["view", "/trail"], ["click", "button Save now"], ["click", "label Name"], ["click", "button"], ["view", "/trail/next"],
  ]);
  assert.doesNotMatch(JSON.stringify(breadcrumbs), /canary/);
  await tab.close();
});

test("a busy server gets the same errors again, a page that is left sends what waits, one that is not wanted stops", async () => {
  collector.page("/busy", "");
  let refusals = 1;
  collector.answer = ({ kind }) => (kind === "error" && refusals-- > 0 ? [429, { success: false }, { "Retry-After": "1" }] : undefined);
  const tab = await open(browser, collector, "/busy");
  await ready(tab.page, "errors");
  await tab.page.evaluate(() => zenovay("error", "again"));
  await failures(2);
  assert.equal(errors()[0].id, errors()[1].id);
  await tab.page.evaluate(() => zenovay("error", "at the end"));
  await tab.page.goto("about:blank");
  await failures(3);
  assert.equal(errors()[2].message, "at the end");
  await tab.close();

  collector.clear();
  collector.settings = ERRORS;
  collector.answer = ({ kind }) => (kind === "error" ? [200, { success: true, accepted: false, reason: "disabled" }] : undefined);
  const other = await open(browser, collector, "/busy");
  await ready(other.page, "errors");
  await other.page.evaluate(() => zenovay("error", "one"));
  await failures(1);
  await other.page.evaluate(() => zenovay("error", "two"));
  await hide(other.page);
  await other.page.evaluate(() => zenovay("track", "last"));
  await collector.until(() => collector.of("e").some(({ event_name }) => event_name === "last"));
  assert.equal(errors().length, 1);
  await other.close();
});

test("a website without it reports no error, and a disabled page neither", async () => {
  collector.settings = { ...ALL, errors: false, session_replay: false };
  collector.page("/without", "");
  const tab = await open(browser, collector, "/without");
  await ready(tab.page, "heatmap");
  await tab.page.evaluate(() => (zenovay("error", new Error("one")), zenovay("track", "last")));
  await collector.until(() => collector.of("e").some(({ event_name }) => event_name === "last"));
  assert.deepEqual(errors(), []);
  assert.deepEqual(collector.of("e").filter(({ event_name }) => event_name === "error"), []);
  await tab.close();
  collector.clear();
  collector.settings = ERRORS;
  const disabled = await open(browser, collector, "/without");
  await ready(disabled.page, "errors");
  await disabled.page.evaluate(() => (zenovay("disable"), zenovay("error", "while disabled"), zenovay("enable")));
  assert.deepEqual(await settle(disabled.page), []);
  await disabled.close();
});
