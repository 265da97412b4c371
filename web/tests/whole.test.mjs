// One visit from its page to everything that is seen of it: a page with a form, a shadow tree, a route of its own and a mistake in a
// bundle is recorded by the real scripts into the real server, and looked at in the dashboard. Nothing between them is made up.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { openTab, startBrowser, startServer } from "./harness.mjs";
import { call } from "./tour.mjs";
import { becomes, eventually, isAt } from "./wait.mjs";

const OWNER = { name: "Ada Owner", email: "owner@example.com", password: "correct horse battery" };
const AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36";
const WINDOW = { width: 1200, height: 700 };
const APP = new URL("../../tracker/test/fixtures/app/", import.meta.url);
const [BUILD] = JSON.parse(readFileSync(new URL("stacks.json", APP), "utf8"));
const BUNDLE = "app-D6JNDYIQ.js";
/** The words that are typed; none of them is anywhere else. */
const TYPED = { "#name": "Ermintrude", "#secret": "hunter2hunter2", "#note": "zanzibarian", "x-card input": "4929123412341234" };

/** The offers of the shop, as they were when somebody clicked, and as they are since the page was built anew. */
const LAYOUTS = [
  `<section class="plan"><h2>Pro</h2><button class="buy" type="button">Start free</button></section>
   <section class="plan"><h2>Team</h2><button class="ask" type="button">Ask us</button></section>`,
  `<p>Now with a yearly price</p><section class="plan"><h2>Team</h2><button class="ask" type="button">Ask us</button></section>
   <div class="inner"><div><section class="plan"><h2>Pro</h2><button class="buy" type="button">Start free</button></section></div></div>`,
];
const shop = (origin, code, layout) => `<!doctype html><html lang="en"><head><title>Shop</title>
<style>body { margin: 0; font: 16px sans-serif } .plan { padding: 20px; border: 1px solid #bbb } .inner { margin: 60px 200px } button { height: 40px; width: 160px }</style>
<script defer data-tracking-code="${code}" data-release="${BUILD.release}" src="${origin}/z.js"></script></head>
<body><h1 id="title">Shop</h1><main>${LAYOUTS[layout]}</main>
<form><label>Name <input id="name"></label><label>Password <input id="secret" type="password"></label><label>Note <textarea id="note"></textarea></label></form>
<x-card></x-card><ul><li>One</li></ul><button id="pay" type="button">Pay</button>
<script>
  customElements.define("x-card", class extends HTMLElement {
    constructor() { super(); this.attachShadow({ mode: "open" }).innerHTML = "<p>In the <b>shade</b></p><input>" }
  });
</script><script src="/assets/${BUNDLE}"></script></body></html>`;

let server;
let browser;
let site;
let layout = 0;
let known;
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
  const { page, context } = await openTab(browser, server);
  await page.goto("/login");
  await call(page, "POST", "/api/welcome", { token: server.welcome.split("#")[1], ...OWNER, website: { domain: "shop.example", name: "Shop" } });
  const { id, tracking_code: code } = (await call(page, "GET", "/api/websites")).websites[0];
  await call(page, "PATCH", `/api/websites/${id}`, { settings: { allow_localhost: true, heatmaps: true, session_replay: true, session_replay_consent: false } });
  site = createServer((request, answer) => {
    const bundle = request.url === `/assets/${BUNDLE}`;
    answer.writeHead(bundle || /^\/shop/.test(request.url) ? 200 : 404, { "Content-Type": bundle ? "text/javascript" : "text/html; charset=utf-8" });
    answer.end(bundle ? readFileSync(new URL(`${BUILD.release}/${BUNDLE}`, APP)) : shop(server.address, code, layout));
  });
  await new Promise((resolve) => site.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${site.address().port}`;
  const map = { fileName: BUNDLE, fileUrl: `${origin}/assets/${BUNDLE}`, release: BUILD.release, mapContent: readFileSync(new URL(BUILD.map, APP), "utf8") };
  await call(page, "POST", `/api/errors/${id}/sourcemap`, map);
  known = { id, code, origin, home: `/websites/${id}`, owner: await context.storageState() };

  const shopped = await visit();
  await shopped.page.locator(".buy").click({ position: { x: 20, y: 20 } });
  await shopped.page.locator(".buy").click({ position: { x: 140, y: 20 } });
  await shopped.page.locator(".ask").click();
  for (const [field, words] of Object.entries(TYPED)) await shopped.page.locator(field).pressSequentially(words);
  await shopped.page.evaluate(() => {
    history.pushState(null, "", "/shop/cart");
    document.querySelector("#title").textContent = "Cart";
    document.querySelector("ul").prepend(Object.assign(document.createElement("li"), { textContent: "Zero" }));
    document.querySelector("x-card").shadowRoot.querySelector("b").textContent = "sun";
  });
  const thrown = shopped.page.waitForEvent("pageerror");
  await shopped.page.locator("#pay").click();
  await thrown;
  known.shown = await shopped.page.evaluate(`(${contents})(document.body)`);
  await hide(shopped.page);
  const read = (path) => call(page, "GET", `/api/websites/${id}/${path}`);
  const { replays } = await eventually(
    () => read("replays?range=24h"),
    ({ replays: [first] }) => assert.deepEqual([first?.errors, first?.exit_page, first?.missing], [1, "/shop/cart", 0]),
  );
  const { groups } = await eventually(() => read("errors?range=24h"), ({ groups }) => assert.equal(groups.length, 1));
  await eventually(() => read("heatmaps/page?page=/shop&device=desktop&range=24h"), ({ clicks }) => assert.equal(clicks, 3));
  await shopped.context.close();
  Object.assign(known, { replay: replays[0].id, group: groups[0].id });

  // The page is built anew, and somebody else sees it.
  layout = 1;
  const later = await visit();
  await hide(later.page);
  await eventually(() => read("replays?range=24h"), ({ total }) => assert.equal(total, 2));
  await later.context.close();
  await context.close();
});
after(async () => {
  await browser?.close();
  await server?.stop();
  site?.closeAllConnections();
  site?.close();
});

/** Opens the shop, and waits until it is recorded. */
async function visit() {
  const context = await browser.newContext({ userAgent: AGENT, viewport: WINDOW });
  const page = await context.newPage();
  const scripts = ["replay", "heatmap", "errors"].map((name) => page.waitForResponse((answer) => answer.url().includes(`/z-${name}.js`)));
  await page.goto(`${known.origin}/shop`);
  // The same modules: what waited for them first has been told of them first.
  for (const script of await Promise.all(scripts)) await page.evaluate((address) => import(address).then(() => {}), script.url());
  return { context, page };
}

/** A page that is not seen any more sends what it has. */
const hide = (page) =>
  page.evaluate(() => {
    Object.defineProperty(document, "hidden", { get: () => true });
    Object.defineProperty(document, "visibilityState", { get: () => "hidden" });
    document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
  });

/** Runs in a page: all elements below `root`, with their names and words, also those in shadow trees; what is in fields is not told. */
function contents(root) {
  const write = (node) => {
    if (node.nodeType === 3) return node.textContent.trim();
    if (node.nodeType !== 1 || node.tagName === "SCRIPT") return "";
    const inside = node.tagName === "TEXTAREA" ? [] : [...(node.shadowRoot?.childNodes ?? []), ...node.childNodes];
    // The player says with a class of its own where the pointer is.
    const classes = [...node.classList].filter((name) => name !== ":hover").map((name) => ` .${name}`);
    return `<${node.tagName.toLowerCase()}${node.id && ` #${node.id}`}${classes.join("")}>${inside.map(write).join("")}</>`;
  };
  return write(root);
}

async function open(path) {
  const tab = await openTab(browser, server, { storageState: known.owner, viewport: { width: 1440, height: 900 } });
  await tab.page.goto(known.home + path);
  return tab;
}
const player = (page) => page.frames().find((frame) => new URL(frame.url()).pathname === "/replay-player");

test("the replay ends with the page as it was, and nothing that was typed is in it", async () => {
  const { page, context, problems } = await open(`/replays/${known.replay}`);
  await page.getByRole("button", { name: "Play (Space)" }).waitFor();
  await page.waitForFunction(() => document.querySelector("[aria-busy=true], .skel") === null);
  await page.getByRole("slider", { name: "Position" }).press("End");
  await becomes(() => player(page).evaluate(`(${contents})(document.querySelector("iframe").contentDocument.body)`), known.shown);
  assert.match(known.shown, /<h1 #title>Cart.*<li>Zero.*|In the<b>sun/);
  const fields = await player(page).evaluate(() => {
    const all = (root) => [...root.querySelectorAll("*")].flatMap((one) => [...(one.matches("input, textarea") ? [one.value] : []), ...(one.shadowRoot ? all(one.shadowRoot) : [])]);
    return all(document.querySelector("iframe").contentDocument);
  });
  assert.deepEqual(fields, ["••••••", "••••••", "••••••", "••••••"]);
  const { chunks } = await call(page, "GET", `/api/websites/${known.id}/replays/${known.replay}/chunks?limit=100`);
  for (const words of Object.values(TYPED)) assert.ok(!JSON.stringify(chunks).includes(words), words);
  await page.getByRole("region", { name: "Timeline" }).getByText("TypeError: Cannot destructure property").waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

test("the heatmap has the clicks on the button where it stands since the page was built anew", async () => {
  const { page, context, problems } = await open("/heatmaps?page=/shop&range=24h");
  await page.getByText(/^Page as recorded on /).waitFor();
  const look = () =>
    page.evaluate(() => {
      const frame = document.querySelector("iframe.recframe");
      const stage = document.querySelector(".rec").getBoundingClientRect();
      const scale = stage.width / frame.offsetWidth;
      const { left, top, width, height } = frame.contentDocument.querySelector(".buy").getBoundingClientRect();
      const pins = [...document.querySelectorAll(".pins li")].map((one) => {
        const box = one.getBoundingClientRect();
        return { text: one.textContent, x: (box.left + box.width / 2 - stage.left) / scale, y: (box.top + box.height / 2 - stage.top) / scale };
      });
      return { buy: { left, top, right: left + width, bottom: top + height }, pins, isNew: frame.contentDocument.querySelector(".inner .buy") !== null };
    });
  await eventually(look, ({ buy, pins, isNew }) => {
    assert.ok(isNew, "the page as it was built anew");
    const [pin] = pins.filter(({ text }) => text === "2");
    assert.ok(pin && pin.x > buy.left && pin.x < buy.right && Math.abs(pin.y - buy.bottom) < 40, JSON.stringify({ pin, buy }));
    // Beside its margin: not where it was when it was clicked.
    assert.ok(buy.left > 200 && buy.top > 250, JSON.stringify(buy));
  });
  await page.getByRole("region", { name: "Elements", exact: true }).getByRole("button", { name: "Start free", exact: true }).waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

test("the error has the line that was written, and leads to its moment", async () => {
  const { page, context, problems } = await open("/errors?range=24h");
  await page.getByRole("link", { name: /^TypeError: Cannot destructure property/ }).click();
  const line = page.locator(".srcs .hit").first();
  await eventually(() => line.innerText(), (words) => assert.match(words, /const \{ amount, currency \} = item\.price!;/));
  await page.getByText(/cart\.ts:12/).first().waitFor();
  await page.getByText("totalOf", { exact: true }).first().waitFor();
  await page.getByRole("link", { name: "Watch this moment" }).click();
  await isAt(page, new RegExp(`/replays/${known.replay}\\?t=\\d+$`));
  await page.getByRole("link", { name: "Look at this error" }).waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});
