// What the script does in a real browser, read back from the real server. Time is moved with the browser's fake clock.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openTab, setUp, startBrowser, startPages, startServer } from "./harness.mjs";

const { server, site, browser, test } = await setUp({ server: startServer, site: startPages, browser: startBrowser });

const tag = (attributes = "", code = server.code) =>
  `<script defer data-tracking-code="${code}" ${attributes} src="${server.origin}/z.js"></script>`;
/** The tag of the website that allows a cookie, which asks for it. */
const storingTag = (attributes = 'data-cookieless="false"') => tag(attributes, server.storing.code);
/** What is stored in the browser of a tab. */
const storage = async (tab) => ({
  cookies: (await tab.context.cookies()).map(({ name }) => name),
  local: await tab.page.evaluate(() => Object.keys(localStorage).sort()),
});
const NOTHING = { cookies: [], local: [] };
/** Waits until a condition holds in the page. */
const until = (tab, condition, argument) => tab.page.waitForFunction(condition, argument);
/** A path of the site that hands everything to the server; `name` is what the script is called there. */
function proxy(prefix, name) {
  const forward = async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const answer = await fetch(server.origin + request.url.replace(prefix, "").replace(name, "z.js"), {
      method: request.method,
      headers: { "content-type": request.headers["content-type"] ?? "text/plain", origin: site.origin },
      body: chunks.length ? Buffer.concat(chunks) : undefined,
    });
    response.writeHead(answer.status, { "Content-Type": answer.headers.get("content-type") });
    response.end(Buffer.from(await answer.arrayBuffer()));
  };
  site.pages.set(`${prefix}/*`, forward);
}

/** Serves a page with the tag (or `head`) and opens it in a new profile; waits for its first report unless told not to. */
async function visit(path, { head = tag(), body = "", prepare, reports = 1, ...options } = {}) {
  site.pages.set(path, `<!doctype html><html><head><title>Title of ${path}</title>${head}</head><body>${body}</body></html>`);
  const tab = await openTab(browser, server, options);
  await prepare?.(tab);
  await tab.page.goto(site.origin + path);
  await tab.answered(reports);
  return tab;
}

test("a page with the tag is counted once, with its title, and nothing is stored in the browser", async () => {
  const tab = await visit("/plain");
  assert.equal(tab.reports[0].status, 200);
  const page = await server.page("/plain");
  assert.equal(page.views, 1);
  assert.equal(page.title, "Title of /plain");
  assert.deepEqual(await tab.context.cookies(), []);
  assert.equal(await tab.page.evaluate(() => localStorage.length + sessionStorage.length), 0);
  assert.deepEqual(await tab.page.evaluate(async () => (await indexedDB.databases()).length), 0);
  assert.equal(tab.reports[0].body.visitor_id, undefined);
  const visitor = await server.visitor("/plain");
  assert.equal(visitor.browser, "Chrome");
  assert.equal(visitor.os, "Linux");
  assert.equal(visitor.device_type, "desktop");
  assert.deepEqual(tab.errors, []);
  await tab.context.close();
});

test("the code may stand in data-id, or in the global configuration, which wins", async () => {
  const byId = await visit("/by-id", { head: `<script async data-id="${server.code}" src="${server.origin}/z.js"></script>` });
  assert.equal((await server.page("/by-id")).views, 1);
  await byId.context.close();
  const config = JSON.stringify({ trackingCode: server.code, apiUrl: server.origin, cookielessMode: true });
  const byConfig = await visit("/by-config", {
    head: `<script>window.ZENOVAY_TRACKER_CONFIG = ${config}</script><script data-tracking-code="ZV_wrong" src="${server.origin}/z.js"></script>`,
  });
  assert.equal((await server.page("/by-config")).views, 1);
  await byConfig.context.close();
});

test("a tag that a script put on the page is found", async () => {
  const tab = await visit("/injected", {
    head: `<script type="module">const s = document.createElement("script"); s.dataset.id = "${server.code}"; s.src = "${server.origin}/z.js"; document.head.append(s)</script>`,
  });
  assert.equal((await server.page("/injected")).views, 1);
  await tab.context.close();
});

test("including the script twice counts once", async () => {
  const tab = await visit("/twice", { head: tag() + tag() });
  await tab.page.evaluate(() => zenovay("track", "last"));
  await tab.answered(2);
  assert.deepEqual(tab.events().map((report) => report.body.event_type), ["pageview", "custom"]);
  assert.equal((await server.page("/twice")).views, 1);
  await tab.context.close();
});

test("commands issued before the script loads are run in order", async () => {
  const tab = await visit("/queued", {
    head: `<script>window.zenovay = function () { (zenovay.q = zenovay.q || []).push(arguments) };
      zenovay("track", "first", { plan: "pro" }); zenovay("goal", "second"); window.zenovayQueue = [["track", "third"]]</script>${tag()}`,
    reports: 4,
  });
  assert.deepEqual(tab.events().map(({ body }) => body.event_name ?? body.event_type), ["pageview", "first", "second", "third"]);
  assert.deepEqual(tab.events()[1].body.event_data, { plan: "pro" });
  assert.equal((await server.visitor("/queued")).had_interaction, true);
  await tab.context.close();
});

test("commands that the page goes on to queue are run, and a blocked script breaks nothing", async () => {
  const stub = `<script>window.zenovay = window.zenovay || function () { (zenovay.q = zenovay.q || []).push(arguments) };
    window.zenovayQueue = []; window.kept = [zenovay, zenovayQueue]; zenovay("track", "before")</script>`;
  const tab = await visit("/stub", { head: stub + tag(), reports: 2 });
  await tab.page.evaluate(() => {
    const [call, queue] = window.kept;
    call("track", "by the stub");
    queue.push(["track", "by the queue"], ["track", "and another"]);
    window.zenovayQueue.push(["track", "last"]);
  });
  await tab.answeredEvents(6);
  assert.deepEqual(tab.events().map(({ body }) => body.event_name), [undefined, "before", "by the stub", "by the queue", "and another", "last"]);
  await tab.context.close();
  const blocked = await visit("/stub/blocked", { head: stub + tag(), reports: 0, prepare: ({ page }) => page.route("**/z.js", (route) => route.abort()) });
  assert.equal(await blocked.page.evaluate(() => (zenovay("track", "unheard", {}), zenovay("getVisitorId"))), undefined);
  assert.deepEqual(blocked.errors.filter((error) => !error.includes("ERR_FAILED")), []);
  await blocked.context.close();
});

test("every command is reported and accepted", async () => {
  const tab = await visit("/commands");
  const before = (await server.read("/usage")).usage.events_this_month;
  await tab.page.evaluate(() => {
    zenovay("track", "signup", { plan: "pro", seats: 3, trial: true, nested: { dropped: 1 }, list: [1] });
    zenovay("track", "funnel_step", "checkout", { step: 1, step_name: "cart" });
    zenovay("identify", "user@example.com", { company: "Example" });
    zenovay("identify", { user_id: "u1" });
    zenovay("goal", "upgrade", { value: 5 });
    zenovay("revenue", 12.5, "EUR", { order_id: "o-1" });
    zenovay("consent", "granted");
    zenovay("legacy_event", { a: 1 });
    zenovay.identify("u2");
  });
  await tab.answered(10);
  const bodies = tab.events().slice(1).map(({ body }) => [body.event_type, body.event_name, body.event_data]);
  assert.deepEqual(bodies, [
    ["custom", "signup", { plan: "pro", seats: 3, trial: true }],
    ["custom", "funnel_step", { step: 1, step_name: "cart", funnel: "checkout" }],
    ["identify", undefined, { company: "Example", email: "user@example.com" }],
    ["identify", undefined, { user_id: "u1" }],
    ["goal", "upgrade", { value: 5 }],
    ["revenue", undefined, { order_id: "o-1", value: 12.5, currency: "EUR" }],
    ["consent", undefined, { state: "granted" }],
    ["custom", "legacy_event", { a: 1 }],
    ["identify", undefined, { user_id: "u2" }],
  ]);
  assert.deepEqual(tab.reports.filter(({ status }) => status !== 200), []);
  assert.equal((await server.read("/usage")).usage.events_this_month, before + 9);
  const id = await tab.page.evaluate(() => zenovay("getVisitorId"));
  assert.match(id, /^[0-9a-f]{32}$/);
  await tab.context.close();
});

test("revenue has an amount and a currency, and an order is told once", async () => {
  const tab = await visit("/revenue");
  const before = (await server.read("/usage")).usage.events_this_month;
  await tab.page.evaluate(() => {
    for (const amount of ["abc", undefined, null, "", NaN, Infinity, {}, true]) zenovay("revenue", amount, "EUR");
    for (const currency of ["euro", "€", 978, ""]) zenovay("revenue", 1, currency);
    zenovay("revenue", "12.50", "eur", { order_id: "a-1" });
    zenovay("revenue", "12.50", "eur", { order_id: "a-1" });
    zenovay("revenue", 3);
    zenovay("revenue", 3);
    zenovay("revenue", -3, "USD", { order_id: 7 });
    zenovay("track", "last");
  });
  await tab.answeredEvents(7);
  const bodies = tab.events().slice(1).map(({ body }) => body);
  assert.deepEqual(bodies.map(({ event_data }) => event_data), [
    { value: 12.5, currency: "EUR", order_id: "a-1" },
    { value: 12.5, currency: "EUR", order_id: "a-1" },
    { value: 3, currency: "USD" },
    { value: 3, currency: "USD" },
    { value: -3, currency: "USD", order_id: 7 },
    undefined,
  ]);
  assert.deepEqual(tab.events().map(({ status }) => status), [200, 200, 200, 200, 200, 200, 200]);
  assert.equal((await server.read("/usage")).usage.events_this_month, before + 5);
  await tab.context.close();
});

test("routes of a single-page application are counted once each", async () => {
  const tab = await visit("/spa");
  await tab.page.evaluate((origin) => {
    history.pushState({}, "", "/spa/one");
    zenovay("page"); // The framework's own call for the same page.
    history.replaceState({ scroll: 1 }, "", "/spa/one"); // State only.
    history.replaceState({}, "", "/spa/one#part"); // A hash is not a page.
    history.pushState({}, "", origin + "/spa/two?tab=1");
  }, site.origin);
  await tab.answeredEvents(3);
  await tab.page.goBack();
  await tab.answeredEvents(4);
  const views = async (path) => (await server.page(path))?.views;
  assert.deepEqual([await views("/spa"), await views("/spa/one"), await views("/spa/two")], [1, 2, 1]);
  await tab.context.close();
});

test("the page's own first call for an automatic view is never another view; later ones are, after a second", async () => {
  const tab = await visit("/manual", { prepare: ({ page }) => page.clock.install(), reports: 0 });
  await tab.page.clock.runFor(10_000);
  await tab.answered(1);
  const call = () => tab.page.evaluate(() => zenovay("page"));
  await call();
  await tab.page.clock.runFor(500);
  await call(); // An effect that runs twice.
  await tab.page.clock.runFor(1_500);
  await call(); // By hand: a view.
  await tab.page.clock.runFor(1_500);
  await tab.page.evaluate(() => history.pushState({}, "", "/manual/slow"));
  await tab.page.clock.runFor(100_000);
  await call();
  await tab.page.clock.runFor(100);
  await tab.page.evaluate(() => zenovay("track", "last"));
  await tab.answeredEvents(4);
  const seen = tab.events().map(({ body }) => body.event_name ?? new URL(body.url).pathname);
  assert.deepEqual(seen, ["/manual", "/manual", "/manual/slow", "last"]);
  assert.equal((await server.page("/manual")).views, 2);
  await tab.context.close();
});

test("heartbeats report visible time and scroll depth, and extend the visit without being events", async () => {
  const tab = await visit("/reading", { body: '<div style="height:5000px">long</div>', prepare: ({ page }) => page.clock.install(), reports: 0 });
  await tab.page.clock.runFor(100);
  await tab.answered(1);
  await tab.page.evaluate(() => {
    const scrolled = new Promise((resolve) => addEventListener("scroll", resolve, { once: true }));
    scrollTo(0, 2000);
    return scrolled;
  });
  await tab.page.clock.runFor(30_000);
  await tab.answered(2);
  const [heartbeat] = tab.reports.filter(({ body }) => !body.event_type);
  assert.equal(heartbeat.status, 200);
  assert.ok(heartbeat.body.engagement_ms >= 29_000 && heartbeat.body.engagement_ms <= 31_000, String(heartbeat.body.engagement_ms));
  assert.ok(heartbeat.body.scroll_depth > 0 && heartbeat.body.scroll_depth < 100, String(heartbeat.body.scroll_depth));
  assert.equal(heartbeat.body.session_id, tab.reports[0].body.session_id);
  const page = await server.page("/reading");
  assert.equal(page.views, 1);
  // Thirty seconds of engagement: one pageview, and still no bounce.
  assert.equal(page.bounce_rate, 0);
  assert.equal((await server.visitor("/reading")).had_interaction, false);
  await tab.context.close();
});

test("leaving the page sends a last report by beacon", async () => {
  // Through a path of the site itself: the browser does not tell of requests that outlive their page.
  const arrived = new Promise((resolve) => {
    site.pages.set(`/own/e/heartbeat/${server.code}`, async (request, response) => {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      response.writeHead(200).end();
      resolve({ type: request.headers["content-type"], body: JSON.parse(Buffer.concat(chunks)) });
    });
  });
  site.pages.set("/own/z.js", async (_, response) => {
    response.writeHead(200, { "Content-Type": "text/javascript" });
    response.end(await (await fetch(`${server.origin}/z.js`)).text());
  });
  site.pages.set(`/own/e/${server.code}`, (_, response) => response.writeHead(200).end("{}"));
  site.pages.set("/elsewhere", "<!doctype html><title>elsewhere</title>");
  const tab = await visit("/leaving", { head: `<script data-id="${server.code}" src="/own/z.js"></script>` });
  await tab.page.goto(site.origin + "/elsewhere");
  const beacon = await arrived;
  assert.match(beacon.type, /^text\/plain/);
  assert.equal(new URL(beacon.body.url).pathname, "/leaving");
  assert.ok(beacon.body.engagement_ms > 0);
  const stored = await fetch(`${server.origin}/e/heartbeat/${server.code}`, { method: "POST", headers: { Origin: site.origin }, body: JSON.stringify(beacon.body) });
  assert.equal(stored.status, 200);
  await tab.context.close();
});

test("outbound links and downloads of every kind are reported, links within the site are not", async () => {
  const links = `<a id="in" href="#here">in</a><a id="www">www</a><a id="mail" href="mailto:a@b.example">mail</a><a id="none">none</a>
    <a id="out" href="https://other.example/x"><b>out</b></a><a id="file" href="/report.pdf?v=1">file</a><a id="named" href="/thing" download>thing</a>
    <img usemap="#map" width="100" height="100"><map name="map"><area id="area" href="//area.example/" shape="rect" coords="0,0,100,100"></map>
    <svg width="50" height="50"><a id="svg" href="https://svg.example/"><rect width="50" height="50"></rect></a></svg>
    <svg width="50" height="50"><a id="xlink" xlink:href="https://xlink.example/"><rect width="50" height="50"></rect></a></svg>`;
  const tab = await visit("/links", { body: `<script>addEventListener("click", (e) => e.preventDefault())</script>${links}` });
  await tab.page.evaluate(() => (document.getElementById("www").href = `http://www.${location.host}/page`));
  const click = (id) => tab.page.evaluate((id) => document.getElementById(id).dispatchEvent(new MouseEvent("click", { bubbles: true, composed: true, cancelable: true })), id);
  for (const id of ["in", "www", "mail", "none"]) await click(id);
  await tab.page.click("#out b");
  for (const id of ["file", "named", "area", "svg", "xlink"]) await click(id);
  await tab.answeredEvents(7);
  const bodies = tab.events().slice(1).map(({ body }) => [body.event_type, body.event_data.href]);
  assert.deepEqual(bodies, [
    ["outbound_link", "https://other.example/x"],
    ["file_download", `${site.origin}/report.pdf?v=1`],
    ["file_download", `${site.origin}/thing`],
    ["outbound_link", "http://area.example/"],
    ["outbound_link", "https://svg.example/"],
    ["outbound_link", "https://xlink.example/"],
  ]);
  assert.equal((await server.visitor("/links")).had_interaction, true);
  await tab.context.close();
});

test("with cookies allowed, one first-party cookie recognises the visitor and the session goes on", async () => {
  const head = storingTag();
  const tab = await visit("/cookie/one", { head });
  const [cookie, ...others] = await tab.context.cookies();
  assert.equal(cookie.name, "zv_vid");
  assert.equal(cookie.sameSite, "Lax");
  assert.deepEqual(others, []);
  site.pages.set("/cookie/two", `<!doctype html><title>two</title>${head}`);
  const second = tab.page.waitForRequest((request) => request.url().endsWith(`/e/${server.storing.code}`));
  await tab.page.goto(site.origin + "/cookie/two");
  const body = JSON.parse((await second).postData());
  assert.equal(body.visitor_id, cookie.value);
  assert.equal(body.visitor_id, tab.events()[0].body.visitor_id);
  assert.equal(body.session_id, tab.events()[0].body.session_id);
  assert.equal(body.cookieless, undefined);
  await tab.page.evaluate(() => zenovay("reset"));
  assert.deepEqual(await storage(tab), NOTHING);
  assert.notEqual(await tab.page.evaluate(() => zenovay("getVisitorId")), cookie.value);
  await tab.page.evaluate(() => zenovay("track", "somebody else"));
  await tab.answeredEvents(3);
  const [, , after] = tab.events();
  assert.match(after.body.visitor_id, /^[0-9a-f]{32}$/);
  assert.notEqual(after.body.visitor_id, body.visitor_id);
  assert.notEqual(after.body.session_id, body.session_id);
  await tab.context.close();
});

test("a cookieless website gets no cookie, whatever its pages say, and loses those it had", async () => {
  const config = "<script>window.ZENOVAY_TRACKER_CONFIG = { cookielessMode: false }</script>";
  for (const [path, head] of [["/strict/tag", tag('data-cookieless="false"')], ["/strict/config", config + tag()]]) {
    const tab = await visit(path, { head, prepare: ({ context }) => context.addCookies([{ name: "zv_vid", value: "old", url: site.origin }]) });
    const { body } = tab.events()[0];
    assert.deepEqual([body.visitor_id, body.cookieless], [undefined, true]);
    assert.deepEqual(await storage(tab), NOTHING);
    await tab.page.evaluate(() => (zenovay("consent", "granted"), zenovay("track", "later")));
    await tab.answeredEvents(3);
    assert.deepEqual(await storage(tab), NOTHING);
    await tab.context.close();
  }
});

test("nothing is stored before the settings are told, and views are counted without them", async () => {
  let release;
  const asked = new Promise((resolve) => (release = resolve));
  const silent = await visit("/settings/silent", {
    head: storingTag(),
    reports: 0,
    prepare: async ({ page }) => {
      await page.clock.install();
      await page.route("**/load/**", () => release());
    },
  });
  await asked;
  await silent.page.clock.runFor(4_000);
  assert.deepEqual([await storage(silent), silent.reports], [NOTHING, []]);
  await silent.page.clock.runFor(2_000);
  await silent.answered(1);
  assert.deepEqual([silent.reports[0].body.visitor_id, await storage(silent)], [undefined, NOTHING]);
  await silent.context.close();
  for (const status of [404, 429, 500]) {
    const refuse = ({ page }) => page.route("**/load/**", (route) => route.fulfill({ status, headers: { "Access-Control-Allow-Origin": "*" }, body: "{}" }));
    const refused = await visit(`/settings/${status}`, { head: storingTag(), prepare: refuse });
    assert.deepEqual([refused.reports[0].body.cookieless, await storage(refused)], [true, NOTHING]);
    await refused.context.close();
    // Who is recognised already stays who that is.
    const known = await visit(`/settings/${status}/known`, {
      head: storingTag(),
      prepare: async (tab) => {
        await refuse(tab);
        await tab.context.addCookies([{ name: "zv_vid", value: "known", url: site.origin }]);
      },
    });
    assert.deepEqual([known.reports[0].body.visitor_id, await storage(known)], ["known", { cookies: ["zv_vid"], local: [] }]);
    await known.context.close();
  }
});

test("a view is counted when the page is left before the settings are told", async () => {
  const arrived = new Promise((resolve) => {
    site.pages.set("/early/e/ZV_early", async (request, response) => {
      let text = "";
      for await (const chunk of request) text += chunk;
      response.writeHead(200).end("{}");
      resolve(JSON.parse(text));
    });
  });
  site.pages.set("/early/e/heartbeat/ZV_early", (_, response) => response.writeHead(200).end("{}"));
  site.pages.set("/elsewhere", "<!doctype html><title>elsewhere</title>");
  for (const name of ["z.js", "z-more.js"]) {
    site.pages.set(`/early/${name}`, async (_, response) => {
      response.writeHead(200, { "Content-Type": "text/javascript" });
      response.end(await (await fetch(`${server.origin}/${name}`)).text());
    });
  }
  const asked = new Promise((resolve) => site.pages.set("/early/load/ZV_early", () => resolve()));
  const tab = await visit("/early", { head: '<script data-id="ZV_early" data-cookieless="false" src="/early/z.js"></script>', reports: 0 });
  await asked;
  await tab.page.goto(site.origin + "/elsewhere");
  const body = await arrived;
  assert.deepEqual([new URL(body.url).pathname, body.cookieless, body.visitor_id], ["/early", true, undefined]);
  assert.deepEqual(await storage(tab), NOTHING);
  await tab.context.close();
});

test("consent begins storage, lasts for the next page, and its end removes what was stored", async () => {
  const head = storingTag("");
  const tab = await visit("/consent/one", { head });
  assert.deepEqual([tab.events()[0].body.cookieless, await storage(tab)], [true, NOTHING]);
  await tab.page.evaluate(() => zenovay("consent", "granted"));
  await until(tab, () => document.cookie.includes("zv_vid") || (zenovay("track", "tick"), false));
  assert.deepEqual((await storage(tab)).cookies, ["zv_vid"]);
  const [{ value }] = await tab.context.cookies();
  site.pages.set("/consent/two", `<!doctype html><title>two</title>${head}`);
  const again = tab.page.waitForRequest((request) => request.url().endsWith(`/e/${server.storing.code}`));
  await tab.page.goto(site.origin + "/consent/two");
  assert.equal(JSON.parse((await again).postData()).visitor_id, value);
  await tab.page.evaluate(() => (zenovay("consent", "denied"), zenovay("track", "last")));
  const last = () => tab.events().find(({ body }) => body.event_name === "last")?.body;
  while (!last()) await tab.answered(tab.reports.length + 1);
  assert.deepEqual([last().cookieless, last().visitor_id, await storage(tab)], [true, undefined, NOTHING]);
  assert.notEqual(await tab.page.evaluate(() => zenovay("getVisitorId")), value);
  site.pages.set("/consent/three", `<!doctype html><title>three</title>${head}`);
  const third = tab.page.waitForRequest((request) => request.url().endsWith(`/e/${server.storing.code}`));
  await tab.page.goto(site.origin + "/consent/three");
  assert.equal(JSON.parse((await third).postData()).cookieless, true);
  assert.deepEqual(await storage(tab), NOTHING);
  await tab.context.close();
});

test("consent changes nothing on pages that say that nothing is stored, nor for visitors who opted out", async () => {
  const gpc = `<script>Object.defineProperty(navigator, "globalPrivacyControl", { value: true })</script>`;
  for (const [path, head] of [["/never/tag", storingTag('data-cookieless="true"')], ["/never/gpc", gpc + storingTag()]]) {
    const tab = await visit(path, { head });
    await tab.page.evaluate(() => zenovay("consent", "granted"));
    await tab.answeredEvents(2);
    await tab.page.evaluate(() => zenovay("track", "later"));
    await tab.answeredEvents(3);
    assert.deepEqual([tab.events()[2].body.cookieless, await storage(tab)], [true, NOTHING]);
    await tab.context.close();
  }
});

test("blocked storage changes nothing but the memory", async () => {
  const tab = await visit("/blocked", {
    head: `<script>Object.defineProperty(window, "localStorage", { get() { throw new DOMException("denied", "SecurityError") } })</script>${storingTag()}`,
  });
  assert.equal((await server.page("/blocked", server.storing.code)).views, 1);
  assert.ok(tab.events()[0].body.visitor_id);
  assert.deepEqual(tab.errors, []);
  await tab.context.close();
});

/** A tab whose visitor opted out: the page was counted, and no report says who that is, `identify` least of all. */
async function assertAnonymous(tab) {
  await tab.page.evaluate(() => {
    zenovay("identify", "me@example.com", { name: "Me" });
    zenovay.identify({ user_id: "u1" });
    zenovay("track", "last");
  });
  await tab.answeredEvents(2);
  assert.deepEqual(tab.events().map(({ body }) => body.event_name ?? body.event_type), ["pageview", "last"]);
  for (const { body } of tab.events()) {
    assert.deepEqual([body.visitor_id, body.language, body.cookieless, body.opted_out], [undefined, undefined, true, true]);
  }
  assert.deepEqual(await storage(tab), NOTHING);
}

test("with Global Privacy Control the page is counted without ids or language; data-ignore-dnt overrides it", async () => {
  const signal = `<script>Object.defineProperty(navigator, "globalPrivacyControl", { value: true })</script>`;
  const tab = await visit("/gpc", { head: signal + storingTag() });
  await assertAnonymous(tab);
  assert.equal((await server.page("/gpc", server.storing.code)).views, 1);
  await tab.context.close();
  const ignoring = await visit("/gpc/ignored", { head: signal + storingTag('data-cookieless="false" data-ignore-dnt="true"') });
  assert.ok(ignoring.events()[0].body.visitor_id);
  await ignoring.context.close();
});

test("debug mode says on the console what is sent, otherwise the console stays empty", async () => {
  const lines = [];
  const listen = ({ page }) => page.on("console", (message) => lines.push(message.text()));
  const quiet = await visit("/quiet", { prepare: listen });
  assert.deepEqual(lines, []);
  await quiet.context.close();
  const loud = await visit("/loud", { head: tag('data-debug="true"'), prepare: listen });
  assert.ok(lines.every((line) => line.startsWith("[Zenovay]")) && lines.some((line) => line.includes("pageview")), lines.join("\n"));
  await loud.context.close();
});

test("disable and enable work at run time, and a queued disable prevents the first pageview", async () => {
  const tab = await visit("/switch");
  await tab.page.evaluate(() => {
    zenovay("disable");
    zenovay("track", "unheard");
    zenovay("enable");
    zenovay("track", "heard");
  });
  await tab.answered(2);
  assert.deepEqual(tab.events().map(({ body }) => body.event_name), [undefined, "heard"]);
  await tab.context.close();
  const off = await visit("/switch/off", { head: `<script>window.zenovay = () => {}; zenovay.q = [["disable"]]</script>${tag()}`, reports: 0 });
  await off.page.waitForFunction(() => window.zenovay.version);
  await off.page.evaluate(() => (zenovay("enable"), zenovay("track", "first")));
  await off.answered(1);
  assert.deepEqual(off.events().map(({ body }) => body.event_name), ["first"]);
  assert.equal(await server.page("/switch/off"), undefined, "nobody viewed it");
  await off.context.close();
});

test("a first-party path that proxies the server is used for everything, whatever the script is called there", async () => {
  for (const [prefix, name] of [["/stats", "z.js"], ["/assets", "app-stat.js"]]) {
    proxy(prefix, name);
    const path = `/proxied${prefix}`;
    const elsewhere = [];
    const ours = [site.origin + path, `${site.origin}/favicon.ico`];
    const tab = await visit(path, {
      head: `<script defer data-id="${server.code}" src="${prefix}/${name}?v=1/2#3/4"></script>`,
      prepare: ({ page }) => page.on("request", (request) => {
        if (!ours.includes(request.url()) && !request.url().startsWith(`${site.origin}${prefix}/`)) elsewhere.push(request.url());
      }),
    });
    assert.equal(tab.reports[0].url, `${site.origin}${prefix}/e/${server.code}`);
    // Its other scripts and what they send, too.
    await tab.page.waitForFunction(() => performance.getEntriesByType("resource").some(({ name }) => name.includes("/z-errors.js")));
    assert.deepEqual(elsewhere, []);
    assert.equal((await server.page(path)).views, 1);
    assert.deepEqual(tab.errors, []);
    await tab.context.close();
  }
});

test("a renamed script that a module put on the page is found by its code", async () => {
  proxy("/assets", "app-stat.js");
  const tab = await visit("/renamed", {
    head: `<script type="module">const s = document.createElement("script"); s.type = "module"; s.dataset.trackingCode = "${server.code}"; s.src = "/assets/app-stat.js"; document.head.append(s)</script>`,
  });
  assert.equal(tab.reports[0].url, `${site.origin}/assets/e/${server.code}`);
  await tab.context.close();
});

test("a hostile or broken page changes nothing and is not changed", async () => {
  const hostile = `<script>
    Object.prototype.toJSON = () => "polluted"; Array.prototype.toJSON = () => "polluted"; Object.prototype.url = "https://evil.example/";
    const natives = ["fetch", "XMLHttpRequest", "setTimeout", "JSON", "addEventListener"].map((name) => window[name]);
    window.unchanged = () => ["fetch", "XMLHttpRequest", "setTimeout", "JSON", "addEventListener"].every((name, i) => window[name] === natives[i]);
  </script>`;
  const tab = await visit("/hostile", { head: hostile + tag() });
  const { body } = tab.events()[0];
  assert.equal(body.url, `${site.origin}/hostile`);
  assert.equal((await server.page("/hostile")).views, 1);
  assert.equal(await tab.page.evaluate(() => window.unchanged()), true);
  await tab.page.evaluate(() => {
    zenovay(); zenovay(null); zenovay("track"); zenovay("goal", ""); zenovay("identify"); zenovay("track", { toString() { throw 1 } });
    zenovay("__proto__");
    zenovay("track", "last", { big: 1n, symbol: Symbol("s"), call() {}, date: new Date(), kept: 1 });
  });
  // Only what has a name is sent; nothing is refused, which the browser would say on the console.
  await tab.answered(3);
  assert.deepEqual(tab.events().map(({ status, body }) => [status, body.event_name]), [[200, undefined], [200, "__proto__"], [200, "last"]]);
  assert.deepEqual(tab.events()[2].body.event_data, { kept: 1 });
  assert.deepEqual(tab.errors, []);
  await tab.context.close();
});

test("the page works the same without builtins that the script could use", async () => {
  for (const [index, missing] of [
    "delete Object.assign; delete Object.entries; delete Array.prototype.flatMap; delete Array.prototype.find; delete Array.from",
    "delete window.crypto; delete Window.prototype.crypto; Object.defineProperty(window, 'crypto', { value: undefined }); window.Intl = undefined; window.matchMedia = undefined; window.navigation = undefined",
    "Object.defineProperty(window, 'zenovay', { value: 1, writable: false })",
    "Object.defineProperty(window, 'zenovayQueue', { get() { throw 1 } })",
    "window.fetch = undefined",
    "window.Blob = window.URL = window.TextEncoder = undefined",
  ].entries()) {
    const path = `/missing/${index}`;
    const tab = await visit(path, { head: `<script>${missing}</script>${tag()}`, reports: index === 3 ? 0 : 1 });
    if (index !== 3) {
      assert.equal((await server.page(path)).views, 1, missing);
      await tab.page.evaluate(() => typeof zenovay === "function" && zenovay("track", "next", { plan: "pro" }));
      if (index !== 2) await tab.answeredEvents(2);
    } else await tab.page.waitForLoadState();
    assert.deepEqual(tab.errors, [], missing);
    await tab.context.close();
  }
});

test("what is too long is cut before it is sent, and nothing is lost for it", async () => {
  const query = `?utm_source=news&${"q".repeat(1_500)}=1&r=${"r".repeat(900)}&gclid=g1&msclkid=m1&utm_campaign=late`;
  const tab = await visit("/long", {
    head: `<script>history.replaceState({}, "", "/long${query}#${"id_token=x&".repeat(300)}"); document.title = "\u{1F600}".repeat(400)
      Object.defineProperty(document, "referrer", { value: "https://other.example/" + "p".repeat(3000) + "?q" })</script>${tag()}`,
  });
  const { body } = tab.events()[0];
  assert.equal(body.url, `${site.origin}/long?utm_source=news&&&gclid=g1&msclkid=m1&utm_campaign=late`);
  assert.equal(body.title, "\u{1F600}".repeat(256));
  assert.ok(body.referrer.length === 2_048);
  await tab.page.evaluate(() => {
    const many = Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`p${i}`, i]));
    zenovay("track", "n".repeat(99) + "\u{1F600}", { long: "\u{1F600}x".repeat(900), ["k".repeat(101)]: 1, ...many });
    zenovay("track", "large", Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`p${i}`, "\u20ac".repeat(2_000)])));
  });
  await tab.answeredEvents(3);
  const [, many, large] = tab.events().map(({ body }) => body);
  assert.deepEqual(tab.events().map(({ status }) => status), [200, 200, 200]);
  assert.equal(many.event_name, "n".repeat(99));
  assert.equal(many.event_data.long, "\u{1F600}x".repeat(333));
  assert.deepEqual(Object.keys(many.event_data).slice(1), Array.from({ length: 49 }, (_, i) => `p${i}`));
  assert.ok(Object.values(large.event_data).every((value) => value === "\u20ac".repeat(1_000)));
  assert.equal(Object.keys(large.event_data).length, 10);
  assert.equal((await server.page("/long")).views, 1);
  await tab.context.close();
});

test("a file and a frame without an address are no pages of a website", async () => {
  const directory = mkdtempSync(join(tmpdir(), "zenovay-page-"));
  writeFileSync(join(directory, "page.html"), `<!doctype html><title>file</title>${tag()}`);
  const file = await openTab(browser, server);
  await file.page.goto(`file://${directory}/page.html`);
  await until(file, () => window.zenovay?.version);
  await file.page.evaluate(() => (zenovay("track", "unheard"), zenovay("page")));
  await file.page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 50)));
  assert.deepEqual([file.reports, file.errors], [[], []]);
  await file.context.close();
  rmSync(directory, { recursive: true });
  const frame = tag().replaceAll('"', "&quot;");
  const framed = await visit("/framed", { body: `<iframe srcdoc="<title>in</title>${frame}"></iframe>` });
  await framed.page.frames()[1].waitForFunction(() => window.zenovay?.version);
  await framed.page.evaluate(() => zenovay("track", "last"));
  await framed.answeredEvents(2);
  assert.deepEqual([framed.events().length, framed.errors], [2, []]);
  await framed.context.close();
});

test("one tag counts: that of another website is ignored, and debug mode says so", async () => {
  const lines = [];
  const tab = await visit("/second", {
    head: tag() + tag('data-debug="true"', server.storing.code),
    prepare: ({ page }) => page.on("console", (message) => lines.push(message.text())),
  });
  await tab.page.evaluate(() => zenovay("track", "last"));
  await tab.answeredEvents(2);
  assert.ok(tab.reports.every(({ url }) => url.endsWith(server.code)));
  assert.match(lines.join("\n"), /second tag.*ZV_/);
  await tab.context.close();
});

test("neither a polluted prototype nor an element with the name of the configuration says where reports go", async () => {
  const polluted = `<script>Object.assign(Object.prototype, { apiUrl: "https://evil.example", trackingCode: "ZV_evil", method: "PUT", headers: { "X-Evil": "1" } })</script>`;
  const prototypes = await visit("/polluted", { head: polluted + tag() });
  assert.equal(prototypes.reports[0].url, `${server.origin}/e/${server.code}`);
  assert.equal((await server.page("/polluted")).views, 1);
  await prototypes.context.close();
  const anchors = '<a id="ZENOVAY_TRACKER_CONFIG"></a><a id="ZENOVAY_TRACKER_CONFIG" name="apiUrl" href="https://evil.example"></a>';
  const clobbered = await visit("/clobbered", { body: anchors });
  assert.equal(clobbered.reports[0].url, `${server.origin}/e/${server.code}`);
  await clobbered.context.close();
});

test("a page does the same with the script as without it", async () => {
  // What the page sees of the platform and of its own uploads, streams, shadow trees and workers.
  site.pages.set("/upload", async (request, response) => {
    let bytes = 0;
    for await (const chunk of request) bytes += chunk.length;
    response.writeHead(200).end(String(bytes > 0));
  });
  site.pages.set("/worker.js", (_, response) => response.writeHead(200, { "Content-Type": "text/javascript" }).end("onfetch = () => {}"));
  const observe = async () => {
    const describe = (object) =>
      Object.entries(Object.getOwnPropertyDescriptors(object)).map(([name, { value, get, set, ...flags }]) => [name, String(typeof value === "function" ? value : ""), String(get), String(set), flags]);
    const globals = [window, Document.prototype, Element.prototype, Node.prototype, EventTarget.prototype, Navigator.prototype, XMLHttpRequest.prototype, History.prototype, Storage.prototype, Array.prototype, Object.prototype, Promise.prototype];
    const before = globals.map(describe).map((list) => list.filter(([name]) => name !== "zenovay"));
    const form = new FormData();
    form.append("file", new Blob(["content"]), "file.bin");
    const host = document.body.appendChild(document.createElement("div"));
    host.attachShadow({ mode: "open" }).innerHTML = "<button>inside</button>";
    const clicked = [];
    document.addEventListener("click", (event) => clicked.push(event.composedPath()[0].tagName), { once: true });
    host.shadowRoot.querySelector("button").click();
    history.pushState({ state: 1 }, "", "#state");
    let refused = "";
    try {
      history.pushState({}, "", "https://other.example/");
    } catch (error) {
      refused = error.name;
    }
    await navigator.serviceWorker.register("/worker.js", { scope: "/nowhere/" });
    return JSON.stringify([
      before, clicked, refused, history.state, history.length > 0, typeof navigator.sendBeacon,
      await (await fetch("/upload", { method: "POST", body: form })).text(),
      await new Response(new Blob(["streamed"]).stream()).text(),
    ]);
  };
  const broken = "<script>delete Navigator.prototype.sendBeacon; Object.freeze(Array.prototype); Object.freeze(Promise.prototype); Array.prototype.toString = () => { throw 1 }</script>";
  for (const [name, head] of [["plain", ""], ["broken", broken]]) {
    const without = await visit(`/same/${name}/without`, { head, reports: 0 });
    const expected = await without.page.evaluate(observe);
    const withScript = await visit(`/same/${name}/with`, { head: head + tag() });
    assert.equal(await withScript.page.evaluate(observe), expected);
    assert.deepEqual([withScript.errors, without.errors], [[], []]);
    await without.context.close();
    await withScript.context.close();
  }
});

test("the page works the same when the history cannot be hooked, and under a strict content security policy", async () => {
  const frozen = await visit("/frozen", { head: `<script>Object.freeze(history); Object.freeze(History.prototype)</script>${tag()}` });
  await frozen.page.evaluate(() => history.pushState({}, "", "/frozen/next"));
  assert.equal(await frozen.page.evaluate(() => location.pathname), "/frozen/next");
  assert.deepEqual(frozen.errors, []);
  await frozen.context.close();
  const types = "require-trusted-types-for 'script'; trusted-types 'none'";
  for (const [path, sources, attributes] of [
    ["/strict/host", server.origin, ""],
    ["/strict/nonce", "'nonce-n1'", 'nonce="n1"'],
    ["/strict/dynamic", "'nonce-n1' 'strict-dynamic'", 'nonce="n1"'],
  ]) {
    const policy = `default-src 'none'; script-src ${sources}; connect-src ${server.origin}; ${types}`;
    const body = '<a id="out" href="https://other.example/">out</a>';
    const strict = await visit(path, { head: `<meta http-equiv="Content-Security-Policy" content="${policy}">${storingTag(attributes + ' data-cookieless="false"')}`, body });
    assert.equal((await server.page(path, server.storing.code)).views, 1);
    await strict.page.evaluate(() => {
      const link = document.getElementById("out");
      link.onclick = () => false;
      link.click();
    });
    await strict.answeredEvents(2);
    assert.deepEqual([strict.events()[1].body.event_type, (await storage(strict)).cookies, strict.errors], ["outbound_link", ["zv_vid"], []]);
    await strict.context.close();
  }
});

test("a page that does not allow the second script is counted, and stores nothing", async () => {
  const policy = `script-src ${server.origin}/z.js`;
  const tab = await visit("/alone", { head: `<meta http-equiv="Content-Security-Policy" content="${policy}">${storingTag()}` });
  await tab.page.evaluate(() => (zenovay("track", "next"), zenovay("consent", "granted"), history.pushState({}, "", "/alone/next")));
  await tab.answeredEvents(4);
  assert.deepEqual(await storage(tab), NOTHING);
  assert.deepEqual([(await server.page("/alone", server.storing.code)).views, (await server.page("/alone/next", server.storing.code)).views], [1, 1]);
  assert.equal(tab.errors.filter((error) => error.includes("z-more.js")).length, 1, tab.errors.join());
  await tab.context.close();
});

test("routes of the Navigation API are counted once each, also where the history cannot be hooked", async () => {
  for (const [path, head] of [["/navigation", ""], ["/navigation/frozen", "<script>Object.freeze(history); Object.freeze(History.prototype)</script>"]]) {
    const tab = await visit(path, { head: head + tag() });
    await tab.page.evaluate(async (path) => {
      navigation.addEventListener("navigate", (event) => {
        if (event.canIntercept && !event.hashChange) event.intercept({ handler: async () => void (document.title = new URL(event.destination.url).pathname) });
      });
      await navigation.navigate(`${path}/one`).finished;
      await navigation.navigate(`${path}/two`, { history: "replace" }).finished;
      await navigation.navigate(`${path}/two#part`).finished;
      await navigation.back().finished; // Only the hash differs.
      await navigation.back().finished;
      history.pushState({}, "", `${path}/three`);
    }, path);
    await tab.answeredEvents(5);
    await tab.page.evaluate(() => zenovay("track", "last"));
    await tab.answeredEvents(6);
    const seen = tab.events().map(({ body }) => body.event_name ?? new URL(body.url).pathname.replace(path, ""));
    assert.deepEqual(seen, ["", "/one", "/two", "", "/three", "last"], path);
    await tab.context.close();
  }
});

test("a server that is away or failing is not noticed by the page", async () => {
  for (const answer of ["away", 500, 429]) {
    const down = await visit("/down", {
      prepare: ({ page }) =>
        page.route(/\/e\/ZV_/, (route) =>
          answer === "away" ? route.abort() : route.fulfill({ status: answer, headers: { "Access-Control-Allow-Origin": "*" } }),
        ),
      head: `<script>window.failures = []; onunhandledrejection = onerror = () => failures.push(1)</script>${tag()}`,
      reports: 0,
    });
    await until(down, () => window.zenovay?.version);
    const isIt = (request) => !!request.postData()?.includes("lost");
    const ended = answer === "away" ? down.page.waitForEvent("requestfailed", isIt) : down.page.waitForResponse((response) => isIt(response.request()));
    await down.page.evaluate(() => zenovay("track", "lost"));
    await ended;
    assert.deepEqual(await down.page.evaluate(() => failures), []);
    await down.context.close();
  }
});

test("after a refusal of the website nothing more is sent", async () => {
  const asked = [];
  const tab = await visit("/refused", {
    prepare: ({ page }) =>
      page.route(/\/e\/ZV_/, (route) => {
        asked.push(route.request().url());
        return route.fulfill({ status: 403, headers: { "Access-Control-Allow-Origin": "*" } });
      }),
  });
  await tab.page.evaluate(() => new Promise((resolve) => setTimeout(resolve)));
  await tab.page.evaluate(() => (zenovay("track", "unheard"), zenovay("getVisitorId")));
  await tab.page.evaluate((url) => fetch(url, { method: "POST", body: "{}" }).catch(() => 0), `${server.origin}/e/ZV_marker`);
  assert.deepEqual(asked.map((url) => url.split("/e/")[1]), [server.code, "ZV_marker"]);
  await tab.context.close();
});

/** A tab whose reports are handled by `handle(route, attempts)`; time stands still until it is moved. */
async function visitAndRoute(path, handle, options = {}) {
  const sent = [];
  let more;
  const tab = await visit(path, {
    reports: 0,
    ...options,
    prepare: async ({ page, context }) => {
      await page.clock.install();
      more = page.waitForResponse((response) => response.url().includes("/z-more.js"));
      await context.route(/\/e\/(heartbeat\/)?ZV_/, async (route) => {
        sent.push(JSON.parse(route.request().postData()));
        await handle(route, sent.length);
      });
    },
  });
  await tab.page.clock.runFor(100);
  /** Waits until the second script is at work. */
  const untilMore = async () => tab.page.evaluate((address) => import(address), (await more).url());
  return { ...tab, sent, untilMore };
}
const refusal = (status, headers = {}) => ({
  status,
  headers: { "Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "retry-after", ...headers },
});
for (const status of [429, 502, 503, 504]) {
  test(`a ${status} is tried again, when the server says, and counted once, at its time`, async () => {
    const path = `/retried/${status}`;
    let attempts = 0;
    const tab = await visitAndRoute(path, (route) => {
      if (!route.request().url().includes("heartbeat")) attempts++;
      return attempts > 2 ? route.continue() : route.fulfill(refusal(status, attempts < 2 ? { "Retry-After": "43" } : {}));
    });
    await tab.answered(1);
    await tab.untilMore();
    await tab.page.clock.runFor(42_000);
    assert.equal(tab.sent.filter(({ event_type }) => event_type).length, 1);
    await tab.page.clock.runFor(2_000);
    while (tab.events().length < 2) await tab.answered(tab.reports.length + 1);
    assert.equal(await server.page(path), undefined);
    await tab.page.clock.runFor(60_000);
    await tab.answeredEvents(3);
    const [first, second, third] = tab.events().map(({ body }) => body);
    assert.equal((await server.page(path)).views, 1);
    assert.match(first.event_id, /^[0-9a-f]{32}$/);
    assert.deepEqual(new Set([first, second, third].map(({ event_id }) => event_id)).size, 1);
    assert.equal(first.timestamp, undefined);
    assert.equal(second.timestamp, third.timestamp);
    assert.ok(Date.now() - second.timestamp < 60_000, "the time of the view, not of the attempt");
    await tab.context.close();
  });
}

test("reports that were lost together are sent again one by one, each once", async () => {
  const tab = await visitAndRoute("/together", (route, attempt) => (attempt > 20 || attempt === 1 ? route.continue() : route.abort()));
  await tab.answered(1);
  await tab.untilMore();
  const failed = new Promise((resolve) => {
    let left = 19;
    tab.page.on("requestfailed", () => --left || resolve());
  });
  await tab.page.evaluate(() => Array.from({ length: 19 }, (_, i) => zenovay("track", `event ${i}`)));
  await failed;
  while (tab.events().length < 20) await tab.page.clock.runFor(6_000);
  await tab.settled();
  const names = Array.from({ length: 19 }, (_, i) => `event ${i}`);
  assert.deepEqual(tab.events().slice(1).map(({ body }) => body.event_name).sort(), names.sort());
  await tab.context.close();
});

test("consent that is given while disabled stores nothing", async () => {
  const tab = await visit("/consent/disabled", { head: storingTag("") });
  await tab.page.evaluate(() => (zenovay("disable"), zenovay("consent", "granted"), zenovay("getVisitorId")));
  await tab.page.evaluate((url) => fetch(url), `${server.origin}/z.js`);
  assert.deepEqual([await storage(tab), tab.reports.length], [NOTHING, 1]);
  await tab.context.close();
});

test("a view that was stored although its answer was lost is counted once", async () => {
  const tab = await visitAndRoute("/cut", async (route, attempt) => {
    if (attempt > 1) return route.continue();
    const { url, headers, body } = { url: route.request().url(), headers: await route.request().allHeaders(), body: route.request().postData() };
    const answer = await fetch(url, { method: "POST", headers: { origin: headers.origin, "user-agent": headers["user-agent"], "accept-language": headers["accept-language"] }, body });
    assert.equal(answer.status, 200);
    await route.abort("connectionreset");
  });
  await until(tab, () => window.zenovay?.version);
  await tab.page.evaluate(() => zenovay("track", "next"));
  await tab.answeredEvents(2);
  assert.deepEqual(tab.events().map(({ status }) => status), [200, 200]);
  assert.deepEqual(tab.events().map(({ body }) => body.event_name), ["next", undefined]);
  assert.equal((await server.page("/cut")).views, 1);
  await tab.context.close();
});

test("what happens while offline is kept, in order and with its time, for as long as the page is there", async () => {
  const tab = await visitAndRoute("/offline", (route) => route.continue());
  await tab.answered(1);
  await tab.page.evaluate(() => zenovay("track", "online"));
  await tab.answered(2);
  await tab.context.setOffline(true);
  const start = await tab.page.evaluate(() => Date.now());
  for (const route of ["one", "two"]) {
    await tab.page.evaluate((path) => history.pushState({}, "", path), `/offline/${route}`);
    await tab.page.clock.runFor(600_000);
  }
  assert.equal(await server.page("/offline/one"), undefined);
  await tab.context.setOffline(false);
  await tab.answeredEvents(4);
  const kept = tab.events().slice(2).map(({ body, status }) => [new URL(body.url).pathname, status, Math.round((body.timestamp - start) / 600_000)]);
  assert.deepEqual(kept, [["/offline/one", 200, 0], ["/offline/two", 200, 1]]);
  assert.deepEqual([(await server.page("/offline/one")).views, (await server.page("/offline/two")).views], [1, 1]);
  const time = () => tab.reports.filter(({ body }) => body.url.includes("/offline/") && body.engagement_ms);
  while (!time().some(({ body }) => body.url.endsWith("two"))) await tab.answered(tab.reports.length + 1);
  await tab.settled();
  // Ten minutes of the first page are a report or two, not twenty; one report can say ten minutes at most.
  const one = time().filter(({ body }) => body.url.endsWith("one"));
  const engaged = one.reduce((sum, { body }) => sum + body.engagement_ms, 0);
  assert.ok(one.length <= 2 && engaged >= 599_000 && engaged <= 601_000, `${one.length} reports of ${engaged} ms`);
  await tab.context.close();
});

test("while disabled nothing is written to the browser, and no time is reported", async () => {
  const head = `<script>window.zenovay = () => {}; zenovay.q = [["disable"]]</script>${storingTag()}`;
  const tab = await visit("/silent", { head, prepare: ({ page }) => page.clock.install(), reports: 0 });
  await until(tab, () => window.zenovay.version);
  await tab.page.clock.runFor(20_000);
  await tab.page.evaluate(() => (zenovay("track", "unheard"), zenovay("page"), zenovay("getVisitorId"), history.pushState({}, "", "/silent/next")));
  await tab.page.clock.runFor(1_000);
  assert.deepEqual(await tab.context.cookies(), []);
  assert.equal(await tab.page.evaluate(() => localStorage.length + sessionStorage.length), 0);
  assert.deepEqual(tab.reports, []);
  await tab.page.evaluate(() => (zenovay("enable"), zenovay("page")));
  await tab.page.clock.runFor(100);
  await tab.answered(1);
  await tab.page.clock.runFor(10_000);
  await tab.answered(2);
  const [view, heartbeat] = tab.reports.map(({ body }) => body);
  assert.deepEqual([view.event_type, new URL(view.url).pathname], ["pageview", "/silent/next"]);
  assert.ok(heartbeat.engagement_ms <= 11_000, String(heartbeat.engagement_ms));
  assert.equal((await tab.context.cookies()).length, 1);
  await tab.context.close();
});

test("a router that changes the address while the page loads does not lose where the visitor came from", async () => {
  const referrer = site.origin + "/from";
  site.pages.set("/from", `<!doctype html><title>from</title><a href="/entry">on</a>`);
  site.pages.set("/entry", `<!doctype html><title>entry</title>${tag().replace("defer ", "")}<script>history.replaceState({}, "", "/entry/home")</script>`);
  const tab = await openTab(browser, server);
  await tab.page.goto(referrer);
  await tab.page.click("a");
  await tab.answeredEvents(2);
  const seen = tab.events().map(({ body }) => [new URL(body.url).pathname, body.referrer]);
  assert.deepEqual(seen, [["/entry", referrer], ["/entry/home", undefined]]);
  await tab.context.close();
});

test("a page that comes back from the back/forward cache is viewed again", async () => {
  const tab = await visit("/cached");
  await tab.page.evaluate(() => {
    dispatchEvent(new PageTransitionEvent("pageshow", { persisted: false }));
    dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));
    zenovay("track", "last");
  });
  await tab.answeredEvents(3);
  assert.equal((await server.page("/cached")).views, 2);
  await tab.context.close();
});

test("Do Not Track is respected like Global Privacy Control", async () => {
  const signal = `<script>Object.defineProperty(navigator, "doNotTrack", { value: "1" })</script>`;
  const tab = await visit("/dnt", { head: signal + storingTag() });
  await assertAnonymous(tab);
  await tab.context.close();
});

test("what was reported before consent is of the same visit and visitor, and so is the time of the page", async () => {
  const tab = await visit("/consent/continued", { head: storingTag("") });
  await tab.page.evaluate(() => zenovay("consent", "granted"));
  await until(tab, () => document.cookie.includes("zv_vid") || (zenovay("track", "tick"), false));
  await tab.page.evaluate(() => (history.pushState({}, "", "/consent/continued/next"), zenovay("track", "last")));
  while (!tab.events().some(({ body }) => body.event_name === "last")) await tab.answered(tab.reports.length + 1);
  await tab.settled();
  assert.equal(new Set(tab.reports.map(({ body }) => body.session_id)).size, 1);
  assert.ok(tab.reports.at(-1).body.visitor_id);
  await tab.context.close();
});

test("consent that is denied in another tab, or while disabled, removes what was stored, and nothing is stored again", async () => {
  const head = storingTag("");
  const granted = async (path) => {
    const tab = await visit(path, { head });
    await tab.page.evaluate(() => zenovay("consent", "granted"));
    await until(tab, () => document.cookie.includes("zv_vid") || (zenovay("track", "tick"), false));
    return tab;
  };
  const tab = await granted("/denied/one");
  site.pages.set("/denied/two", `<!doctype html><title>two</title>${head}`);
  const other = await tab.context.newPage();
  await other.goto(site.origin + "/denied/two");
  await other.waitForFunction(() => window.zenovay?.version);
  await other.evaluate(() => zenovay("consent", "denied"));
  await until(tab, () => !localStorage.zv_consent && !document.cookie.includes("zv_vid"));
  await tab.page.evaluate(() => zenovay("track", "after"));
  const after = () => tab.events().find(({ body }) => body.event_name === "after")?.body;
  while (!after()) await tab.answered(tab.reports.length + 1);
  assert.deepEqual([after().visitor_id, after().cookieless, await storage(tab)], [undefined, true, NOTHING]);
  await tab.context.close();

  const disabled = await granted("/denied/three");
  site.pages.set("/denied/four", `<!doctype html><title>four</title><script>zenovayQueue = [["disable"], ["consent", "denied"]]</script>${head}`);
  await disabled.page.goto(site.origin + "/denied/four");
  await until(disabled, () => !document.cookie.includes("zv_vid") && !localStorage.zv_consent && !localStorage.zv_sid);
  await disabled.context.close();
});

test("consent that is given while disabled holds from the next report after enabling", async () => {
  const tab = await visit("/consent/enabled", { head: storingTag("") });
  await tab.page.evaluate(() => (zenovay("disable"), zenovay("consent", "granted"), zenovay("enable")));
  await until(tab, () => document.cookie.includes("zv_vid") || (zenovay("track", "tick"), false));
  assert.deepEqual((await storage(tab)).local, ["zv_consent", "zv_sid"]);
  await tab.context.close();
});

test("a view that waits for the settings is not sent once the page is disabled, and enabling begins again", async () => {
  let answer;
  const asked = new Promise((resolve) => (answer = resolve));
  const tab = await visit("/settings/disabled", {
    head: storingTag(),
    reports: 0,
    prepare: ({ page }) => page.route("**/load/**", (route) => answer(route), { times: 1 }),
  });
  const route = await asked;
  await tab.page.evaluate(() => zenovay("disable"));
  const told = tab.page.waitForResponse((response) => response.url().includes("/load/"));
  await route.continue();
  await (await told).finished();
  await tab.page.evaluate(() => new Promise((resolve) => setTimeout(resolve)));
  assert.deepEqual([tab.reports, await storage(tab)], [[], NOTHING]);
  await tab.page.evaluate(() => zenovay("enable"));
  await until(tab, () => document.cookie.includes("zv_vid") || (zenovay("track", "tick"), false));
  assert.ok(tab.events().every(({ body }) => body.event_type === "custom"));
  await tab.context.close();
});

test("a reset that comes before the second script makes new ids, too", async () => {
  const head = storingTag().replace("defer ", "");
  const tab = await visit("/reset/one", { head });
  const { visitor_id: before } = tab.events()[0].body;
  await tab.page.goto("about:blank");
  site.pages.set("/reset/two", `<!doctype html><title>two</title>${head}<script>zenovay("reset")</script>`);
  const again = tab.page.waitForRequest((request) => request.url().endsWith(`/e/${server.storing.code}`));
  await tab.page.goto(site.origin + "/reset/two");
  const { visitor_id: after } = JSON.parse((await again).postData());
  assert.ok(before && after && before !== after);
  assert.equal((await tab.context.cookies())[0].value, after);
  await tab.context.close();
});

test("storage that takes nothing more does not end the visit", async () => {
  const full = `<script>Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError") }</script>`;
  const tab = await visit("/full/one", { head: storingTag() });
  site.pages.set("/full/two", `<!doctype html><title>two</title><script>localStorage.zv_sid = "old.1"</script>${full}${storingTag()}`);
  await tab.page.goto(site.origin + "/full/two");
  await until(tab, () => window.zenovay?.version);
  await tab.page.evaluate(() => (zenovay("track", "one"), zenovay("track", "two")));
  while (tab.events().filter(({ body }) => body.event_name).length < 2) await tab.answered(tab.reports.length + 1);
  const visits = tab.events().slice(1).map(({ body }) => body.session_id);
  assert.equal(new Set(visits).size, 1);
  assert.ok(!visits.includes("old"));
  await tab.context.close();
});

test("properties that cannot be read are left out, and the event is kept", async () => {
  const tab = await visit("/unreadable");
  await tab.page.evaluate(() => {
    const broken = (members) => Object.defineProperty({ ...members, last: 1 }, "broken", { enumerable: true, get() { throw new Error("no") } });
    zenovay("track", "one", broken({ kept: 1 }));
    zenovay("track", "two", new Proxy({}, { ownKeys() { throw new Error("no") } }));
    zenovay("track", "step", "funnel", broken({}));
    zenovay("goal", "goal", broken({}));
    zenovay("revenue", 5, "EUR", broken({ order_id: "o" }));
    zenovay("identify", "u1", broken({}));
  });
  await tab.answeredEvents(7);
  assert.deepEqual(tab.events().slice(1).map(({ status, body }) => [status, body.event_name ?? body.event_type, body.event_data]), [
    [200, "one", { kept: 1, last: 1 }],
    [200, "two", {}],
    [200, "step", { last: 1, funnel: "funnel" }],
    [200, "goal", { last: 1 }],
    [200, "revenue", { order_id: "o", last: 1, value: 5, currency: "EUR" }],
    [200, "identify", { last: 1, user_id: "u1" }],
  ]);
  assert.deepEqual(tab.errors, []);
  await tab.context.close();
});

test("a page whose globals have names of the platform, or that replaces what sends and waits, is counted", async () => {
  const failures = `<script>window.failures = []; onunhandledrejection = onerror = (event) => failures.push(String(event.reason ?? event))</script>`;
  for (const [index, globals] of ["let screen; let history = [], scrollY", "var screen = null"].entries()) {
    const tab = await visit(`/globals/${index}`, { head: `${failures}<script>${globals}</script>${tag()}` });
    assert.equal((await server.page(`/globals/${index}`)).views, 1);
    assert.deepEqual(await tab.page.evaluate(() => failures), []);
    await tab.context.close();
  }
  for (const [index, replaced] of ["fetch = async () => {}", "fetch = () => {}", "fetch = () => { throw new Error('no') }", "fetch = async () => ({ ok: true })"].entries()) {
    const path = `/replaced/${index}`;
    const tab = await visit(path, { head: `${failures}<script>window.${replaced}</script>${storingTag()}`, reports: 0 });
    await until(tab, () => window.zenovay?.version);
    await tab.page.evaluate(() => (zenovay("track", "one"), new Promise((resolve) => setTimeout(resolve, 100))));
    assert.deepEqual([await tab.page.evaluate(() => failures), tab.errors], [[], []], replaced);
    await tab.context.close();
  }
  const late = await visit("/replaced/late", { body: '<a id="out" href="https://other.example/">out</a>' });
  await late.page.evaluate(() => {
    window.setTimeout = window.fetch = window.URL = () => { throw new Error("no") };
    history.pushState({}, "", "/replaced/late/next");
    const link = document.getElementById("out");
    link.onclick = () => false;
    link.click();
  });
  await late.answeredEvents(3);
  assert.deepEqual(late.events().slice(1).map(({ body }) => body.event_type).sort(), ["outbound_link", "pageview"]);
  assert.deepEqual(late.errors, []);
  await late.context.close();
});

test("a page that is only rendered ahead sends nothing, also of what it calls, until it is shown", async () => {
  const ahead = `<script>window.ahead = true; Object.defineProperty(document, "prerendering", { get: () => window.ahead })</script>`;
  const tab = await visit("/ahead", { head: ahead + tag(), reports: 0 });
  await until(tab, () => window.zenovay?.version);
  const id = await tab.page.evaluate(() => {
    zenovay("page");
    zenovay("track", "early");
    zenovay.identify("u1");
    return zenovay("getVisitorId");
  });
  assert.match(id, /^[0-9a-f]{32}$/);
  await tab.page.evaluate((url) => fetch(url), `${server.origin}/z.js`);
  assert.deepEqual(tab.reports, []);
  await tab.page.evaluate(() => {
    window.ahead = false;
    document.dispatchEvent(new Event("prerenderingchange"));
  });
  await tab.answeredEvents(3);
  assert.deepEqual(tab.events().map(({ body }) => body.event_name ?? body.event_type), ["pageview", "early", "identify"]);
  assert.equal((await server.page("/ahead")).views, 1);
  await tab.context.close();
});

test("a first report that fails is sent again without another one, and when the page is left before", async () => {
  for (const leaves of [false, true]) {
    const path = `/first/${leaves}`;
    const tab = await visitAndRoute(path, (route, attempt) => (attempt === 1 ? route.abort("connectionreset") : route.continue()));
    await tab.untilMore();
    if (leaves) await tab.page.evaluate(() => dispatchEvent(new PageTransitionEvent("pagehide")));
    else await tab.page.clock.runFor(6_000);
    await tab.answeredEvents(1);
    assert.equal((await server.page(path)).views, 1);
    assert.equal(tab.events()[0].body.event_id, tab.sent[0].event_id);
    await tab.context.close();
  }
});

test("a second script that the network did not bring is asked for again after the next failure", async () => {
  let isDown = true;
  const tab = await visit("/network", {
    head: storingTag(),
    reports: 0,
    prepare: async ({ page, context }) => {
      await page.clock.install();
      await context.route(/z-more|\/e\/(heartbeat\/)?ZV_/, (route) => (isDown ? route.abort() : route.continue()));
    },
  });
  while (!tab.errors.length) await tab.page.clock.runFor(6_000);
  isDown = false;
  while (!tab.events().some(({ body }) => body.event_type === "pageview")) await tab.page.clock.runFor(31_000);
  assert.equal((await server.page("/network", server.storing.code)).views, 1);
  await tab.context.close();
});
