// What the script does in a real browser, read back from the real server. Time is moved with the browser's fake clock.
import assert from "node:assert/strict";
import { after, before, test as timedTest } from "node:test";
import { openTab, startBrowser, startPages, startServer } from "./harness.mjs";

let server, site, browser;

/** A report that never comes fails its test instead of holding up the others. */
const test = (name, body) => timedTest(name, { timeout: 30_000 }, body);

before(async () => {
  [server, site, browser] = await Promise.all([startServer(), startPages(), startBrowser()]);
});
after(async () => {
  await browser?.close();
  await site?.stop();
  await server?.stop();
});

const tag = (attributes = "") => `<script defer data-tracking-code="${server.code}" ${attributes} src="${server.origin}/z.js"></script>`;

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

test("a manual page view of the same URL counts after a second, not before", async () => {
  const tab = await visit("/manual", { prepare: ({ page }) => page.clock.install(), reports: 0 });
  await tab.page.clock.runFor(100);
  await tab.answered(1);
  await tab.page.evaluate(() => zenovay("page"));
  await tab.page.clock.runFor(1_500);
  await tab.page.evaluate(() => zenovay("page"));
  await tab.page.clock.runFor(100);
  await tab.page.evaluate(() => zenovay("track", "last"));
  await tab.answeredEvents(3);
  assert.equal(tab.events().filter(({ body }) => body.event_type === "pageview").length, 2);
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

test("outbound links and downloads are reported, links within the site are not", async () => {
  const links = `<a id="in" href="#here">in</a><a id="out" href="https://other.example/x"><b>out</b></a><a id="file" href="/report.pdf">file</a>`;
  const tab = await visit("/links", { body: `<script>addEventListener("click", (e) => e.preventDefault())</script>${links}` });
  await tab.page.click("#in");
  await tab.page.click("#out b");
  await tab.page.click("#file");
  await tab.answered(3);
  const bodies = tab.events().slice(1).map(({ body }) => [body.event_type, body.event_data]);
  assert.deepEqual(bodies, [
    ["outbound_link", { href: "https://other.example/x" }],
    ["file_download", { href: `${site.origin}/report.pdf` }],
  ]);
  assert.equal((await server.visitor("/links")).had_interaction, true);
  await tab.context.close();
});

test("with cookies allowed, one first-party cookie recognises the visitor and the session goes on", async () => {
  const head = tag('data-cookieless="false"');
  const tab = await visit("/cookie/one", { head });
  const [cookie, ...others] = await tab.context.cookies();
  assert.equal(cookie.name, "zv_vid");
  assert.equal(cookie.sameSite, "Lax");
  assert.deepEqual(others, []);
  site.pages.set("/cookie/two", `<!doctype html><title>two</title>${head}`);
  const second = tab.page.waitForRequest((request) => request.url().endsWith(`/e/${server.code}`));
  await tab.page.goto(site.origin + "/cookie/two");
  const body = JSON.parse((await second).postData());
  assert.equal(body.visitor_id, tab.events()[0].body.visitor_id);
  assert.equal(body.session_id, tab.events()[0].body.session_id);
  assert.equal(body.cookieless, undefined);
  await tab.page.evaluate(() => zenovay("reset"));
  assert.notEqual(await tab.page.evaluate(() => zenovay("getVisitorId")), cookie.value);
  await tab.context.close();
});

test("blocked storage changes nothing but the memory", async () => {
  const tab = await visit("/blocked", {
    head: `<script>Object.defineProperty(window, "localStorage", { get() { throw new DOMException("denied", "SecurityError") } })</script>${tag('data-cookieless="false"')}`,
  });
  assert.equal((await server.page("/blocked")).views, 1);
  assert.deepEqual(tab.errors, []);
  await tab.context.close();
});

test("with Global Privacy Control the page is counted without ids or language; data-ignore-dnt overrides it", async () => {
  const signal = `<script>Object.defineProperty(navigator, "globalPrivacyControl", { value: true })</script>`;
  const tab = await visit("/gpc", { head: signal + tag('data-cookieless="false"') });
  const { body } = tab.events()[0];
  assert.deepEqual([body.visitor_id, body.language, body.timezone, body.cookieless], [undefined, undefined, undefined, true]);
  assert.deepEqual(await tab.context.cookies(), []);
  assert.equal((await server.page("/gpc")).views, 1);
  await tab.context.close();
  const ignoring = await visit("/gpc/ignored", { head: signal + tag('data-cookieless="false" data-ignore-dnt="true"') });
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

test("a first-party path that proxies the server is used for events too", async () => {
  const proxy = async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const answer = await fetch(server.origin + request.url.replace("/stats", ""), {
      method: request.method,
      headers: { "content-type": request.headers["content-type"] ?? "text/plain", origin: site.origin },
      body: chunks.length ? Buffer.concat(chunks) : undefined,
    });
    response.writeHead(answer.status, { "Content-Type": answer.headers.get("content-type") });
    response.end(Buffer.from(await answer.arrayBuffer()));
  };
  site.pages.set("/stats/z.js", proxy);
  site.pages.set(`/stats/e/${server.code}`, proxy);
  const tab = await visit("/proxied", { head: `<script defer data-id="${server.code}" src="/stats/z.js"></script>` });
  assert.equal(tab.reports[0].url, `${site.origin}/stats/e/${server.code}`);
  assert.equal((await server.page("/proxied")).views, 1);
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
    zenovay("track", "last");
  });
  // Only what has a name is sent; nothing is refused, which the browser would say on the console.
  await tab.answered(3);
  assert.deepEqual(tab.events().map(({ status, body }) => [status, body.event_name]), [[200, undefined], [200, "__proto__"], [200, "last"]]);
  assert.deepEqual(tab.errors, []);
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
  const policy = `default-src 'none'; script-src ${server.origin}; connect-src ${server.origin}; require-trusted-types-for 'script'`;
  const strict = await visit("/strict", { head: `<meta http-equiv="Content-Security-Policy" content="${policy}">${tag()}` });
  assert.equal((await server.page("/strict")).views, 1);
  assert.deepEqual(strict.errors, []);
  await strict.context.close();
});

test("a server that is away or failing is not noticed by the page, and is not asked again", async () => {
  for (const answer of ["away", 500, 429]) {
    const asked = [];
    const down = await visit("/down", {
      prepare: async ({ page }) => {
        await page.clock.install();
        await page.route(/\/e\/ZV_/, (route) => {
          asked.push(JSON.parse(route.request().postData()).event_name);
          return answer === "away" ? route.abort() : route.fulfill({ status: answer, headers: { "Access-Control-Allow-Origin": "*" } });
        });
      },
      head: `<script>window.failures = []; onunhandledrejection = onerror = () => failures.push(1)</script>${tag()}`,
      reports: 0,
    });
    const ended = (times) => {
      let left = times;
      return new Promise((resolve) => {
        const count = () => --left || resolve();
        down.page.on("requestfailed", count);
        down.page.on("requestfinished", (request) => request.method() === "POST" && count());
      });
    };
    const both = ended(2);
    await down.page.clock.runFor(100);
    await down.page.evaluate(() => zenovay("track", "lost"));
    await both;
    await down.page.clock.runFor(20_000);
    assert.deepEqual(await down.page.evaluate(() => failures), []);
    assert.deepEqual(asked, [undefined, "lost"]);
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

test("a 503 is tried again and counted once", async () => {
  let refusals = 0;
  const tab = await visit("/retried", {
    prepare: async ({ page }) => {
      await page.clock.install();
      await page.route(/\/e\/ZV_/, (route) =>
        refusals++ ? route.continue() : route.fulfill({ status: 503, headers: { "Access-Control-Allow-Origin": "*" } }),
      );
    },
    reports: 0,
  });
  await tab.page.clock.runFor(100);
  await tab.answered(1);
  assert.equal(await server.page("/retried"), undefined);
  await tab.page.clock.runFor(6_000);
  await tab.answered(2);
  assert.equal((await server.page("/retried")).views, 1);
  await tab.context.close();
});

test("while disabled nothing is written to the browser, and no time is reported", async () => {
  const head = `<script>window.zenovay = () => {}; zenovay.q = [["disable"]]</script>${tag('data-cookieless="false"')}`;
  const tab = await visit("/silent", { head, prepare: ({ page }) => page.clock.install(), reports: 0 });
  await tab.page.waitForFunction(() => window.zenovay.version);
  await tab.page.clock.runFor(20_000);
  await tab.page.evaluate(() => (zenovay("track", "unheard"), zenovay("page"), zenovay("getVisitorId"), history.pushState({}, "", "/silent/next")));
  await tab.page.clock.runFor(1_000);
  assert.deepEqual(await tab.context.cookies(), []);
  assert.equal(await tab.page.evaluate(() => localStorage.length + sessionStorage.length), 0);
  assert.deepEqual(tab.reports, []);
  await tab.page.evaluate(() => (zenovay("enable"), zenovay("page")));
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
  const tab = await visit("/dnt", { head: signal + tag('data-cookieless="false"') });
  const { body } = tab.events()[0];
  assert.deepEqual([body.visitor_id, body.language, body.timezone, body.cookieless], [undefined, undefined, undefined, true]);
  assert.deepEqual(await tab.context.cookies(), []);
  await tab.context.close();
});
