// Clicks by the real scripts into the real server, read back as the dashboard reads them: their addresses lead to the right
// elements after the page was laid out otherwise.
import assert from "node:assert/strict";
import { build } from "esbuild";
import { hide } from "./collector.mjs";
import { openTab, setUp, startBrowser, startPages, startServer } from "./harness.mjs";

const { server, site, browser, test } = await setUp({ server: startServer, site: startPages, browser: startBrowser });
server.storing.set("heatmaps=true");
const source = new URL("../src/place.ts", import.meta.url).pathname;
const result = await build({ entryPoints: [source], bundle: true, format: "iife", globalName: "place", write: false });
const place = result.outputFiles[0].text;

const plan = (name, price) => `<li class="plan"><h3>${name}</h3><p>${price}</p><button type="button">Choose</button></li>`;
const PLANS = [plan("Small", "5"), plan("Middle", "20"), plan("Large", "90")];
const HEADER = '<header><nav><a href="#docs">Docs</a> <a href="#prices">Prices</a></nav></header>';
const shell = (body, style = "") => `<!doctype html><title>Prices</title><style>li{display:block;margin:20px}button{width:100px;height:40px}${style}</style>${body}`;

/** Opens a page of the website with heatmaps, and waits until its clicks are recorded. */
async function visit(path, body, options) {
  const tag = `<script defer data-tracking-code="${server.storing.code}" src="${server.origin}/z.js"></script>`;
  site.pages.set(path, shell(tag + body));
  const tab = await openTab(browser, server, { viewport: { width: 1_280, height: 700 }, ...options });
  await tab.page.goto(site.origin + path);
  const script = await tab.page.waitForFunction(
    () => performance.getEntriesByType("resource").map(({ name }) => name).find((name) => name.includes("/z-heatmap.js")));
  // The same module: what waited for it first has been told of it first.
  await tab.page.evaluate((address) => import(address).then(() => {}), await script.jsonValue());
  return tab;
}

/** Hides the page, and gives what the server said to its report. */
async function leave(tab) {
  const answer = tab.page.waitForResponse((response) => response.url().endsWith(`/api/track/${server.storing.code}/heatmap`));
  // By fetch, of which the page learns the answer.
  await tab.page.evaluate(() => Object.defineProperty(navigator, "sendBeacon", { value: (url, body) => !!fetch(url, { method: "POST", body, keepalive: true }) }));
  await hide(tab.page);
  const told = await (await answer).json();
  await tab.context.close();
  return told;
}

const heatmap = (path, device) => server.console(`/heatmaps/page?range=24h&page=${encodeURIComponent(path)}&device=${device}`, server.storing.id);

/** What the addresses of `elements` lead to on another rendering of a page: the text of the list item and of the element, or nothing. */
async function find(elements, path, body, style, width) {
  const context = await browser.newContext({ viewport: { width, height: 700 } });
  const page = await context.newPage();
  site.pages.set(path, shell(body, style));
  await page.goto(site.origin + path);
  await page.addScriptTag({ content: place });
  const found = await page.evaluate((addresses) => {
    const finder = new place.Finder(document);
    return addresses.map((address) => {
      const element = finder.find(address);
      return element ? [element.closest("li")?.querySelector("h3").textContent ?? "", element.textContent] : null;
    });
  }, elements.map(({ address }) => address));
  await context.close();
  return found;
}

test("clicks are found on the right elements after the page was laid out otherwise", async () => {
  const body = `${HEADER}<main style="height:3000px"><ul>${PLANS.join("")}</ul></main>`;
  const tab = await visit("/prices", body);
  const button = tab.page.locator("li", { hasText: "Middle" }).locator("button");
  // Another place in the button each time: clicks in a row at one place would be one entry.
  for (const x of [10, 90]) await button.click({ position: { x, y: 20 } });
  await tab.page.locator("nav a", { hasText: "Prices" }).click();
  const told = await leave(tab);
  assert.deepEqual([told.success, told.accepted], [true, undefined]);

  const heat = await heatmap("/prices", "desktop");
  assert.equal(heat.clicks, 3);
  assert.deepEqual([heat.views, heat.visitors, heat.devices], [1, 1, { desktop: 1, tablet: 0, phone: 0 }]);
  assert.deepEqual(heat.elements.map(({ label, clicks }) => [label, clicks]), [["Choose", 2], ["Prices", 1]]);
  const columns = heat.elements[0].cells.map(([column]) => column);
  assert.ok(columns.length === 2 && columns[0] < 6 && columns[1] > 26, `${columns}`);
  assert.deepEqual(heat.viewport, [1_280, 700]);
  assert.equal(heat.reach[0], 1);
  assert.ok(heat.median_depth > 0 && heat.median_depth < 0.5, `${heat.median_depth}`);

  const expected = [["Middle", "Choose"], ["", "Prices"]];
  assert.deepEqual(await find(heat.elements, "/prices", body, "", 400), expected, "in a narrow window");
  const reordered = [PLANS[2], plan("Free", "0"), PLANS[1], PLANS[0]].join("");
  const late = `<div>Late</div><section><ul>${reordered}</ul></section>${HEADER}`;
  assert.deepEqual(await find(heat.elements, "/prices", late, "li{float:left;width:90px}", 800), expected, "in another order, with more");
  const without = `${HEADER}<main><ul>${PLANS[0]}${PLANS[2]}</ul></main>`;
  assert.deepEqual(await find(heat.elements, "/prices", without, "", 1_280), [null, ["", "Prices"]], "without the element");

  const listed = await server.console("/heatmaps?range=24h", server.storing.id);
  assert.deepEqual([listed.enabled, listed.pages.map(({ path, clicks }) => [path, clicks])], [true, [["/prices", 3]]]);
  const { pages } = await server.read("/heatmaps/ID/pages", server.storing.id);
  assert.equal(pages[0].url, "/prices");
});

test("a phone has a map of its own, and who objects is on none", async () => {
  const body = `${HEADER}<main><ul>${PLANS.join("")}</ul></main>`;
  const tab = await visit("/phone", body, { viewport: { width: 390, height: 700 } });
  await tab.page.locator("button").first().click();
  assert.equal((await leave(tab)).accepted, undefined);
  const heat = await heatmap("/phone", "phone");
  assert.deepEqual([heat.clicks, heat.devices], [1, { desktop: 0, tablet: 0, phone: 1 }]);

  // A page that reports all the same: the server takes nothing.
  const objecting = await openTab(browser, server, { extraHTTPHeaders: { "Sec-GPC": "1" } });
  site.pages.set("/objecting", "<!doctype html><title>Objecting</title>");
  await objecting.page.goto(`${site.origin}/objecting`);
  const told = await objecting.page.evaluate(async ([address, url]) => {
    const body = { session_id: "session-0001", view_id: "view-0001", seq: 0, url, viewport: [1280, 700], page: [1280, 700], clicks: [] };
    return (await fetch(address, { method: "POST", body: JSON.stringify(body) })).json();
  }, [`${server.origin}/api/track/${server.storing.code}/heatmap`, `${site.origin}/objecting`]);
  assert.deepEqual([told.accepted, told.reason], [false, "gpc_opted_out"]);
  await objecting.context.close();
  assert.equal((await heatmap("/objecting", "desktop")).views, 0);
});
