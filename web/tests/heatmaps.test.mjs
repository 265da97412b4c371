// Heatmaps: clicks that the real script reported from a real page, shown over its recording; what was sent is what is counted.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { openTab, startBrowser, startServer } from "./harness.mjs";
import { call, press, refused, tour, waiting } from "./tour.mjs";
import { becomes, eventually } from "./wait.mjs";

const OWNER = { name: "Ada Owner", email: "owner@example.com", password: "correct horse battery" };
const VIEWER = { name: "Vera Viewer", email: "viewer@example.com", password: "another horse battery" };
const AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36";
/** A window of a computer. */
const WINDOW = { width: 1200, height: 700 };

/** What would run if anything of this were taken for more than text. */
const HOSTILE = `"><img src=x onerror="window.hit=5"><script>window.hit=6</script>`;

/** The page before and after it was built anew: other boxes, another order, one button is gone, and much that must not run. */
const HEAD = `<style>body{margin:0;font:16px sans-serif}.plan{padding:20px;border:1px solid #bbb}.bar{height:60px;background:#def}.long{height:100vh}
  button{height:40px;width:160px}.pic{background:url(https://elsewhere.example/a.png)}</style>`;
const LAYOUTS = [
  `<div class="bar"><a href="#top">Top</a></div><main><section class="plan"><h2>Pro</h2><button class="buy">Start free</button></section>
    <section class="plan"><h2>Team</h2><button class="ask">Ask us</button></section><button id="gone">Last year's offer</button><p id="still">Just words</p><div class="long"></div></main>`,
  `<div class="bar pic"><p>New</p><a href="#top">Top</a></div><main><p id="still">Just words</p><section class="plan"><h2>Team</h2><button class="ask">Ask us</button></section>
    <div><div><section class="plan"><h2>Pro</h2><button class="buy">Start free</button></section></div></div>
    <img src="/missing.png" onerror="parent.hit = 1" alt="A picture"><a href="javascript:parent.hit=2" id="js">Run</a><iframe srcdoc="<script>parent.hit = 3</script>" width="80" height="40"></iframe>
    <form action="https://elsewhere.example/"><input value="Written by somebody"></form><svg width="40" height="40"><a href="https://elsewhere.example/"><circle r="9" cx="20" cy="20"></circle></a></svg>
    <div class="long"></div></main>`,
];

let server;
let browser;
let site;
let layout = 0;
let known;
/** The page as it is after it was built anew, as a recorder writes it. */
let snapshot;
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
  const { page, context } = await openTab(browser, server);
  await page.goto("/login");
  const token = server.welcome.split("#")[1];
  await call(page, "POST", "/api/welcome", { token, ...OWNER, website: { domain: "example.com", name: "Example" } });
  const team = (await call(page, "GET", "/api/session")).teams[0].id;
  const { id, tracking_code: code } = (await call(page, "GET", "/api/websites")).websites[0];
  await call(page, "PATCH", `/api/websites/${id}`, { settings: { time_zone: "Europe/Berlin", allow_localhost: true, heatmaps: true } });
  const off = await call(page, "POST", "/api/websites", { team_id: team, domain: "off.example.net" });
  const { url: invitation } = await call(page, "POST", `/api/teams/${team}/invitations`, { role: "viewer" });
  const small = (await call(page, "POST", "/api/teams", { name: "Small" })).id;
  const free = await call(page, "POST", "/api/websites", { team_id: small, domain: "free.example.net" });
  await call(page, "PUT", `/api/teams/${small}/plan`, { plan: "free" });
  const owner = await context.storageState();
  const other = await openTab(browser, server);
  await other.page.goto("/login");
  await call(other.page, "POST", "/api/users", { ...VIEWER, invitation: new URL(invitation).pathname.split("/").pop() });
  const viewer = await other.context.storageState();
  await Promise.all([context.close(), other.context.close()]);
  site = createServer((request, response) => {
    const found = request.url === "/pricing";
    response.writeHead(found ? 200 : 404, { "Content-Type": "text/html; charset=utf-8" });
    response.end(found ? `<!doctype html><html><head><title>Pricing</title>${HEAD}<script defer data-tracking-code="${code}" src="${server.address}/z.js"></script></head><body>${LAYOUTS[layout]}</body></html>` : "");
  });
  await new Promise((resolve) => site.listen(0, "127.0.0.1", resolve));
  known = { owner, viewer, id, code, off: off.id, free: free.id, home: `/websites/${id}/heatmaps` };
  await visitPricing();
  await sendRaw();
});
after(async () => {
  await browser?.close();
  await server?.stop();
  site?.close();
});

/** Looks at the page as a visitor, and waits until the server has what was done. */
async function visit(act, kinds) {
  const context = await browser.newContext({ userAgent: AGENT, viewport: WINDOW });
  const page = await context.newPage();
  // By fetch, of which the page learns the answer.
  await page.addInitScript(() => Object.defineProperty(navigator, "sendBeacon", { value: (url, body) => !!fetch(url, { method: "POST", body, keepalive: true }) }));
  const scripts = kinds.map((kind) => page.waitForResponse((answer) => answer.url().includes(`/z-${kind}.js`)));
  await page.goto(`http://127.0.0.1:${site.address().port}/pricing`);
  // The same modules: what waited for them first has been told of them first, so that they record.
  for (const script of await Promise.all(scripts)) await page.evaluate((address) => import(address).then(() => {}), script.url());
  await act(page);
  const answers = kinds.map((kind) => page.waitForResponse((answer) => answer.url().includes(`/api/track/`) && answer.url().endsWith(`/${kind}`)));
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { get: () => true });
    Object.defineProperty(document, "visibilityState", { get: () => "hidden" });
    document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
    dispatchEvent(new Event("pagehide"));
  });
  for (const answer of await Promise.all(answers)) assert.equal(answer.status(), 200, `${answer.url()}: ${await answer.text()}`);
  await context.close();
}

/** Runs in a page: its nodes as a recorder writes them, with whole addresses, and with what a recorder leaves out. */
function serialized() {
  const attributes = (element) =>
    Object.fromEntries([...element.attributes].map(({ name, value }) => [name, name === "href" || name === "src" ? new URL(value, document.baseURI).href : name === "value" ? "•".repeat(8) : value]));
  const visit = (node) => {
    const childNodes = [...node.childNodes].map(visit).filter(Boolean);
    if (node.nodeType === 9) return { type: 0, childNodes };
    if (node.nodeType === 10) return { type: 1, name: "html" };
    if (node.nodeType === 3) return { type: 3, textContent: node.nodeValue };
    return node.nodeType === 1 ? { type: 2, tagName: node.localName, attributes: attributes(node), childNodes, ...(node.namespaceURI.endsWith("svg") && { isSVG: true }) } : undefined;
  };
  return visit(document);
}

/** Clicks on the page as it was, and then the page as it is. */
async function visitPricing() {
  await visit(async (page) => {
    for (const name of ["buy", "ask", "buy", "ask", "buy"]) await page.click(`.${name}`, { position: { x: 120, y: 20 } });
    await page.click("#gone");
    await page.click(".bar a");
    await page.click("#still", { clickCount: 5 });
  }, ["heatmap"]);
  layout = 1;
  await visit(async (page) => (snapshot = { recorded_at: "2026-06-12T07:20:00Z", viewport: [WINDOW.width, WINDOW.height], node: await page.evaluate(serialized) }), ["heatmap"]);
}

/** The page with its recording under the map. */
const recorded = (act) => async (page) => {
  await page.route(/\/heatmaps\/snapshot\?page=%2Fpricing/, (route) => route.fulfill({ json: { success: true, data: { snapshot }, timestamp: new Date().toISOString() } }));
  await page.reload();
  await page.getByText(/^Page as recorded on /).waitFor();
  await page.waitForFunction(() => document.querySelector("iframe.recframe")?.contentDocument?.querySelector(".buy"));
  await quiet(page);
  await act?.(page);
};

/** A report as the script makes it. */
const report = (more) => ({
  session_id: "0123456789abcdef",
  url: "https://example.com/raw",
  view_id: "view-0001",
  sent_at: Date.now(),
  device_type: "desktop",
  viewport: [1400, 800],
  page: [1400, 1600],
  dom: "0123456789abcdef",
  seq: 0,
  clicks: [],
  scroll: { max: 800, attention: Array.from({ length: 20 }, (_, part) => (part < 10 ? 1000 : 0)) },
  moves: [],
  ...more,
});
const click = (x, y, s, more = {}) => ({ at: Date.now(), x, y, s, ox: 0.5, oy: 0.5, ...more });

/** Known numbers of one page: two views of somebody who is one visitor without a cookie, four clicks. */
async function sendRaw() {
  for (const body of [
    report({
      clicks: [click(700, 400, "main>button", { label: "Buy" }), click(702, 401, "main>button", { label: "Buy", n: 2 }), click(100, 90, "nav>a:nth-of-type(2)", { label: '<img src=x onerror="window.hit=4">', dead: true })],
      moves: [[700, 400], [710, 410], [20, 1590]],
    }),
    report({ view_id: "view-0002", session_id: "fedcba9876543210", scroll: { max: 1600, attention: new Array(20).fill(500) } }),
    // Addresses of elements that no browser has.
    report({ view_id: "view-0004", url: "https://example.com/hostile", clicks: [click(10, 10, HOSTILE), click(20, 20, `${HOSTILE}>>>a|f=${HOSTILE}`, { label: HOSTILE })] }),
    report({ view_id: "view-0003", session_id: "1111111111111111", viewport: [390, 800], device_type: "mobile", page: [390, 3200], url: "https://example.com/phone-only" }),
  ]) {
    const answer = await fetch(`${server.address}/api/track/${known.code}/heatmap`, {
      method: "POST",
      headers: { "Content-Type": "text/plain", Origin: "https://example.com", "User-Agent": AGENT },
      body: JSON.stringify(body),
    });
    const told = await answer.json();
    assert.deepEqual([answer.status, told.accepted], [200, undefined], JSON.stringify(told));
  }
}

const quiet = (page) => page.waitForFunction(() => document.querySelector("[aria-busy=true], .skel") === null);
/** The heatmap of a page, once everything of it is drawn. */
async function heatmap(path, query = "", who = "owner") {
  const tab = await openTab(browser, server, { storageState: known[who], viewport: { width: 1440, height: 900 } });
  // Not that a page was not recorded, either: browsers would tell people of a failure.
  tab.page.on("response", (response) => response.status() === 404 && tab.problems.push(`no ${response.url()}`));
  await tab.page.goto(`${known.home}?page=${path}${query}`);
  await tab.page.getByRole("region", { name: "Elements", exact: true }).waitFor();
  await quiet(tab.page);
  return tab;
}
const numbers = async (page) =>
  Object.fromEntries(await page.locator('section[aria-label="Numbers"] dl > div').evaluateAll((all) => all.map((one) => [one.querySelector("dt").textContent, one.querySelector("dd").textContent])));
const elements = (page) => page.locator('section[aria-label="Elements"] tbody tr').evaluateAll((all) => all.map((row) => [row.querySelector("[data-row]").textContent, ...[...row.querySelectorAll("td.num")].map((cell) => cell.textContent)]));

test("pages are listed with what was done there, and lead to their maps", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner });
  await page.goto(known.home);
  const row = (name) => page.getByRole("row").filter({ has: page.getByRole("link", { name, exact: true }) });
  await row("/pricing").waitFor();
  const words = (name) => async () => (await row(name).innerText()).replace(/\s+/g, " ");
  await eventually(words("/pricing"), (shown) => assert.match(shown, /^\/pricing 12 5 \d+ \d+ /));
  await eventually(words("/raw"), (shown) => assert.match(shown, /^\/raw 4 0 1 2 /));
  await page.getByLabel("Find a page").fill("phone");
  await page.waitForURL(/find=phone/);
  await row("/raw").waitFor({ state: "detached" });
  // The device that it was seen on most is the one that is shown.
  await page.getByRole("link", { name: "/phone-only" }).click();
  await page.waitForURL(/page=\/phone-only&device=phone$/);
  await page.getByRole("radio", { name: "Phone", checked: true }).waitFor();
  await page.goBack();
  await page.getByRole("link", { name: "/phone-only" }).waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

test("the numbers of a page are those that were sent", async () => {
  const { page, context, problems } = await heatmap("/raw");
  await becomes(() => numbers(page), { Clicks: "4", Visitors: "1", "Rage clicks": "0", "Dead clicks": "1", Views: "2", "Median depth": "100%" });
  await becomes(() => elements(page), [["Buy", "3", "75.0%"], ['<img src=x onerror="window.hit=4">', "1", "25.0%"]]);
  await page.getByText("This page was not recorded. Clicks stand where they were made.").waitFor();
  // Where it was clicked, of 1,400 × 1,600.
  const pin = () =>
    page.locator(".pins li").filter({ hasText: /^3$/ }).evaluate((one) => {
      const box = one.parentElement.getBoundingClientRect();
      const at = one.getBoundingClientRect();
      return [(at.left + at.width / 2 - box.left) / box.width, (at.top + at.height / 2 - box.top) / box.height];
    });
  await eventually(pin, ([x, y]) => assert.ok(Math.abs(x - 0.5) < 0.02 && Math.abs(y - 0.26) < 0.04, `${x} ${y}`));
  await page.getByRole("radio", { name: "Scroll" }).click();
  await page.waitForURL(/map=scroll/);
  await becomes(() => page.locator(".folds span").allInnerTexts(), ["100% see this", "100%", "100% · average fold", "50%", "50%"]);
  await page.getByRole("radio", { name: "Attention" }).click();
  // Two views: 1,000 and 500 ms on the first half, 500 ms on the second.
  await becomes(() => page.locator(".folds span").allInnerTexts(), ["0.8s", "0.8s", "0.8s", "0.8s", "0.8s", "0.3s", "0.3s", "0.3s", "0.3s", "0.3s"]);
  await page.getByRole("switch", { name: "Numbers" }).uncheck();
  await becomes(() => page.locator(".folds span").count(), 0);
  await page.getByRole("radio", { name: "Moves" }).click();
  await page.locator("canvas.heat").waitFor();
  await becomes(() => page.locator("canvas.heat").evaluate((canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0)), true);
  assert.equal(await page.evaluate(() => window.hit), undefined);
  assert.deepEqual(problems, []);
  await context.close();
});

test("a click stands on its element in the page as it was recorded, which was laid out anew since", async () => {
  const { page, context, problems } = await heatmap("/pricing");
  await recorded()(page);
  const look = () => page.evaluate(() => {
    const frame = document.querySelector("iframe.recframe");
    const stage = document.querySelector(".rec").getBoundingClientRect();
    const scale = stage.width / frame.offsetWidth;
    const on = (selector) => {
      const { left, top, width, height } = frame.contentDocument.querySelector(selector).getBoundingClientRect();
      return { left: stage.left + left * scale, top: stage.top + top * scale, right: stage.left + (left + width) * scale, bottom: stage.top + (top + height) * scale };
    };
    const pins = [...document.querySelectorAll(".pins li")].map((one) => {
      const box = one.getBoundingClientRect();
      return { text: one.textContent, x: box.left + box.width / 2, y: box.top + box.height / 2 };
    });
    return { buy: on(".buy"), ask: on(".ask"), still: on("#still"), pins, title: frame.contentDocument.compatMode, height: frame.offsetHeight };
  });
  const near = ({ pins }, { left, right, top, bottom }, text) => pins.filter((pin) => pin.text === text && pin.x > left && pin.x < right && pin.y > top - 25 && pin.y < bottom + 25).length;
  const all = await eventually(look, (all) => assert.deepEqual([near(all, all.buy, "3"), near(all, all.ask, "2"), near(all, all.still, "5 rage")], [1, 1, 1], JSON.stringify(all)));
  assert.equal(all.title, "CSS1Compat");
  // What is as high as the window is as high as that of the visitor, not as the frame.
  assert.ok(all.height > WINDOW.height && all.height < 2.5 * WINDOW.height, String(all.height));
  const found = async () => (await elements(page)).map(([name, clicks]) => [name, clicks]).sort();
  await becomes(found, [["#still", "5"], ["Ask us", "2"], ["Last year's offer", "1"], ["Start free", "3"], ["Top", "1"]]);
  // A click on a row shows where it is.
  await page.getByRole("button", { name: "Start free", exact: true }).click();
  // Where it is may have moved with what was scrolled to show it.
  await eventually(
    async () => [await page.locator(".chosen").boundingBox(), (await look()).buy],
    ([chosen, buy]) => assert.ok(Math.abs(chosen.x - buy.left) < 2 && Math.abs(chosen.y - buy.top) < 2 && Math.abs(chosen.width - (buy.right - buy.left)) < 2, JSON.stringify([chosen, buy])),
  );
  // What the page does not have any more is said, and listed.
  await page.getByText("1 click on elements that this version does not show").waitFor();
  await press("Show them")(page);
  const dialog = page.getByRole("dialog", { name: "Elements without a place" });
  await dialog.getByText("Last year's offer").waitFor();
  await becomes(() => dialog.locator("tbody tr").count(), 1);
  await page.goBack();
  await dialog.waitFor({ state: "detached" });
  await context.unrouteAll({ behavior: "ignoreErrors" });
  assert.deepEqual(problems, []);
  await context.close();
});

test("nothing of a recorded page runs, loads or leads anywhere", async () => {
  const { page, context, problems } = await heatmap("/pricing");
  await recorded()(page);
  await page.locator(".pins li").first().waitFor();
  const seen = await page.evaluate(() => {
    const frame = document.querySelector("iframe.recframe");
    const all = [...frame.contentDocument.querySelectorAll("*")];
    const has = (name) => all.flatMap((one) => (one.hasAttribute(name) ? [one.getAttribute(name)] : []));
    return {
      sandbox: frame.getAttribute("sandbox"),
      inert: frame.inert,
      tags: all.filter(({ localName }) => /^(script|iframe|object|embed|link|meta|base)$/.test(localName)).length,
      handlers: all.flatMap((one) => one.getAttributeNames().filter((name) => name.startsWith("on"))),
      sources: has("src").filter((value) => !value.startsWith("data:")),
      links: [...new Set(has("href"))],
      forms: has("action"),
      fields: [...frame.contentDocument.querySelectorAll("input")].map(({ value }) => value),
      hit: window.hit,
    };
  });
  assert.deepEqual({ ...seen, fields: undefined }, { sandbox: "allow-same-origin", inert: true, tags: 0, handlers: [], sources: [], links: ["#"], forms: [], fields: undefined, hit: undefined });
  assert.ok(seen.fields.every((value) => !value.includes("Written")), String(seen.fields));
  // Its document runs nothing by itself either.
  const frame = await page.request.get("/frame");
  const policy = frame.headers()["content-security-policy"];
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /sandbox allow-same-origin(;|$)/);
  assert.doesNotMatch(policy, /script-src|allow-scripts/);
  assert.deepEqual(problems, []);
  await context.close();
});

test("what a page says that was clicked is shown as it says it, and not run", async () => {
  const { page, context, problems } = await heatmap("/hostile");
  await eventually(() => elements(page), (all) => assert.equal(all.length, 2));
  for (const name of (await elements(page)).map(([name]) => name)) await page.getByRole("button", { name, exact: true }).click();
  await press("Show all elements")(page);
  await page.getByRole("dialog").locator("tbody tr").nth(1).waitFor();
  assert.equal(await page.evaluate(() => window.hit), undefined);
  assert.equal(await page.locator("main img, dialog img").count(), 0);
  assert.deepEqual(problems, []);
  await context.close();
});

test("filters, devices and elements are in the address, and Back undoes them", async () => {
  const { page, context, problems } = await heatmap("/raw", "&f=browser:is:Chrome");
  await becomes(async () => (await numbers(page)).Clicks, "4");
  await page.getByRole("button", { name: "Remove filter: Browser is Chrome" }).click();
  await page.waitForURL((url) => !url.search.includes("f="));
  await page.getByRole("radio", { name: "Phone" }).click();
  await page.getByRole("heading", { name: "Nobody was recorded here on a phone" }).waitFor();
  await press("Desktop: 2 views")(page);
  await page.locator(".pins li").first().waitFor();
  await page.goBack();
  await page.getByRole("heading", { name: "Nobody was recorded here on a phone" }).waitFor();
  await page.goto(`${known.home}?page=/raw&f=browser:is_not:Chrome`);
  await page.getByRole("heading", { name: "No view matches" }).waitFor();
  await press("Remove last filter")(page);
  await page.locator(".pins li").first().waitFor();
  await page.goto(`${known.home}?page=/raw&device=watch`);
  await page.getByText("One part of this link is not understood.").waitFor();
  await quiet(page);
  await becomes(async () => (await numbers(page)).Clicks, "4");
  assert.deepEqual(problems, []);
  await context.close();
});

test("elements are exported with the filters of the view", async () => {
  const { page, context } = await heatmap("/raw");
  const rows = await page.evaluate(async (base) => (await (await fetch(`${base}?page=/raw&device=desktop&format=ndjson`)).text()).trim().split("\n").map((line) => JSON.parse(line)), `/api/websites/${known.id}/heatmaps/page`);
  assert.deepEqual(rows.map(({ label, clicks }) => [label, clicks])[0], ["Buy", 3]);
  await press("Elements: export and more")(page);
  assert.match(await page.getByRole("menuitem", { name: "Export as CSV" }).getAttribute("href"), /page=%2Fraw&device=desktop&format=csv$/);
  await context.close();
});

test("a heatmap that fails is told alone, and comes when it is asked for again", async () => {
  const { page, context, problems } = await heatmap("/raw");
  await page.getByRole("button", { name: "Show all elements" }).waitFor();
  await refused(/\/heatmaps\/page\?/)(page);
  await page.getByText("The heatmap could not be counted.").waitFor();
  const rest = page.getByRole("region", { name: /^(Numbers|Elements)$/ }).or(page.getByRole("button", { name: /^Show all/ })).or(page.getByRole("radiogroup", { name: "Map" }));
  await becomes(() => rest.count(), 0);
  await page.unrouteAll();
  await press("Try again")(page);
  await page.getByRole("button", { name: "Show all elements" }).waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

test("whoever may switches heatmaps on where they are off, and others are told whom to ask", async () => {
  const off = `/websites/${known.off}/heatmaps`;
  const viewer = await openTab(browser, server, { storageState: known.viewer });
  await viewer.page.goto(off);
  await viewer.page.getByText("Heatmaps are switched on by editors, admins and owners. Ask Ada Owner.").waitFor();
  assert.equal(await viewer.page.getByRole("button", { name: "Switch on" }).count(), 0);
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner });
  await page.goto(off);
  await press("Switch on")(page);
  await page.getByRole("heading", { name: "Nothing was recorded in this range" }).waitFor();
  await becomes(async () => (await call(page, "GET", `/api/websites/${known.off}`)).settings.heatmaps, true);
  await page.goto(`/websites/${known.off}/settings/features`);
  const box = page.getByRole("switch", { name: "Heatmaps" });
  await becomes(() => box.isChecked(), true);
  await box.click();
  await page.getByText("Saved.").waitFor();
  await page.goto(off);
  await page.getByRole("heading", { name: "Heatmaps are off for off.example.net" }).waitFor();
  // A plan that does not have them: the page says so, and the rail does not offer it.
  await page.goto(`/websites/${known.free}/heatmaps`);
  await page.getByRole("heading", { name: "The plan of Small does not have heatmaps" }).waitFor();
  await becomes(() => page.getByRole("navigation", { name: "Website" }).getByRole("link", { name: "Heatmaps" }).count(), 0);
  assert.deepEqual([...problems, ...viewer.problems], []);
  await Promise.all([context.close(), viewer.context.close()]);
});

const pages = () => {
  const pricing = `${known.home}?page=/pricing`;
  const name = "/pricing";
  return [
    ["owner", "heatmaps", known.home, "Heatmaps"],
    ["owner", "heatmaps-none", `${known.home}?find=nothing`, "Heatmaps"],
    ["owner", "heatmaps-none-match", `${known.home}?f=browser:is:Netscape`, "Heatmaps"],
    ["owner", "heatmaps-loading", known.home, "Heatmaps", waiting(/\/api\/.*\/heatmaps\?/)],
    ["owner", "heatmaps-failed", known.home, "Heatmaps", refused(/\/api\/.*\/heatmaps\?/)],
    ["owner", "heatmap", pricing, name, recorded()],
    ["owner", "heatmap-chosen", pricing, name, recorded((page) => page.getByRole("button", { name: "Start free", exact: true }).click())],
    ["owner", "heatmap-scroll", `${pricing}&map=scroll`, name, recorded()],
    ["owner", "heatmap-attention", `${known.home}?page=/raw&map=attention`, "/raw"],
    ["owner", "heatmap-moves", `${known.home}?page=/raw&map=moves`, "/raw"],
    ["owner", "heatmap-plain", `${known.home}?page=/raw`, "/raw"],
    ["owner", "heatmap-elements", `${pricing}&show=elements`, name],
    ["owner", "heatmap-lost", `${pricing}&show=lost`, name, recorded()],
    ["owner", "heatmap-empty", `${known.home}?page=/nowhere`, "/nowhere"],
    ["owner", "heatmap-other-device", `${known.home}?page=/raw&device=phone`, "/raw"],
    ["owner", "heatmap-loading", pricing, name, waiting(/\/heatmaps\/page\?/)],
    ["owner", "heatmap-failed", pricing, name, refused(/\/heatmaps\/page\?/)],
    ["owner", "heatmaps-off", `/websites/${known.off}/heatmaps`, "Heatmaps"],
    ["owner", "heatmaps-no-plan", `/websites/${known.free}/heatmaps`, "Heatmaps"],
    ["viewer", "heatmaps-off-viewer", `/websites/${known.off}/heatmaps`, "Heatmaps"],
  ];
};
tour(() => ({ server, browser, storage: known }), pages);
