// A visit is recorded by the real scripts, and looked at again. What was recorded runs nowhere, and loads nothing.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { openTab, startBrowser, startServer } from "./harness.mjs";
import { call, press, refused, tour, waiting } from "./tour.mjs";
import { becomes, eventually, isAt } from "./wait.mjs";

const OWNER = { name: "Ada Owner", email: "owner@example.com", password: "correct horse battery" };
const VIEWER = { name: "Vera Viewer", email: "viewer@example.com", password: "another horse battery" };
/** Nobody answers there, and nobody may ask. */
const OUTSIDE = "http://outside.invalid";
const AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36";

/** The website that is recorded. */
const shop = (origin, code) => `<!doctype html><html lang="en"><head><title>Shop</title>
<style>body { font: 16px sans-serif; } .plan { padding: 1rem; }</style>
<script defer data-tracking-code="${code}" src="${origin}/z.js"></script></head>
<body><h1>Plans</h1>
<main><section class="plan"><button id="buy">Start free</button></section>
<form><label>Work e-mail <input name="email"></label><label>Password <input type="password" name="secret"></label></form>
<div id="host"></div><p id="told">before</p></main>
<script>
  document.getElementById("host").attachShadow({ mode: "open" }).innerHTML = "<p>in the shadow</p>";
  document.getElementById("buy").addEventListener("click", () => {
    document.getElementById("told").textContent = "<script>globalThis.ran = 1</" + "script> after";
    history.pushState(null, "", "/pricing");
    setTimeout(() => { throw new TypeError("cart.plan is undefined"); }, 50);
  });
</script></body></html>`;

let server;
let browser;
let site;
let known;
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
  const { page, context } = await openTab(browser, server);
  await page.goto("/login");
  const token = server.welcome.split("#")[1];
  await call(page, "POST", "/api/welcome", { token, ...OWNER, website: { domain: "shop.example", name: "Shop" } });
  const team = (await call(page, "GET", "/api/session")).teams[0].id;
  const { id, tracking_code: code } = (await call(page, "GET", "/api/websites")).websites[0];
  const settings = { allow_localhost: true, session_replay: true, session_replay_consent: false };
  await call(page, "PATCH", `/api/websites/${id}`, { settings });
  await call(page, "POST", `/api/websites/${id}/goals`, { name: "Prices seen", type: "page", match_type: "exact", value: "/pricing" });
  const { url: invitation } = await call(page, "POST", `/api/teams/${team}/invitations`, { role: "viewer" });
  const other = await call(page, "POST", "/api/websites", { team_id: team, domain: "off.example" });
  const hostile = await call(page, "POST", "/api/websites", { team_id: team, domain: "hostile.example" });
  const long = await call(page, "POST", "/api/websites", { team_id: team, domain: "long.example" });
  for (const one of [hostile, long]) await call(page, "PATCH", `/api/websites/${one.id}`, { settings: { session_replay: true, session_replay_consent: false } });
  const poor = await call(page, "POST", "/api/teams", { name: "Small" });
  await call(page, "PUT", `/api/teams/${poor.id}/plan`, { plan: "free" });
  const small = await call(page, "POST", "/api/websites", { team_id: poor.id, domain: "small.example" });
  const owner = await context.storageState();
  const second = await openTab(browser, server);
  await second.page.goto("/login");
  await call(second.page, "POST", "/api/users", { ...VIEWER, invitation: new URL(invitation).pathname.split("/").pop() });
  const viewer = await second.context.storageState();

  site = createServer((_, answer) => answer.writeHead(200, { "Content-Type": "text/html" }).end(shop(server.address, code)));
  await new Promise((resolve) => site.listen(0, "127.0.0.1", resolve));
  const { replay, visitor, group } = await visit(page, id, `http://127.0.0.1:${site.address().port}/`);
  await attack(hostile.tracking_code);
  const { id: bad } = await found(page, hostile.id);
  await twoParts(long.tracking_code);
  const { id: parts } = await found(page, long.id);
  await Promise.all([context.close(), second.context.close()]);
  const at = (website) => `/websites/${website}`;
  known = { owner, viewer, id, home: at(id), replay, visitor, bad, parts, group, long: at(long.id), off: at(other.id), hostile: at(hostile.id), small: at(small.id) };
});
after(async () => {
  site?.closeAllConnections();
  site?.close();
  await browser?.close();
  await server?.stop();
});

/** The first replay of a website, once all of it has arrived. */
async function found(page, website) {
  const { replays } = await eventually(
    () => call(page, "GET", `/api/websites/${website}/replays?range=24h`),
    // The error is the last thing that happens.
    ({ replays: [first] }) => assert.deepEqual([first?.errors, first?.missing], [1, 0]),
  );
  return replays[0];
}

/** The group of the error of the shop, once it has arrived. */
async function groupOf(page, website) {
  const { groups } = await eventually(
    () => call(page, "GET", `/api/websites/${website}/errors`),
    ({ groups }) => assert.equal(groups.length, 1),
  );
  return groups[0].id;
}

/** Somebody looks at the shop, types, clicks, and leaves when all of it is with the server: what `reader` finds of it there. */
async function visit(reader, website, address) {
  const context = await browser.newContext({ userAgent: AGENT, viewport: { width: 900, height: 600 } });
  const page = await context.newPage();
  const recorder = page.waitForResponse((answer) => /z-replay\.js/.test(answer.url()));
  await page.goto(address);
  // The same module: what waited for it first has been told of it first, so that it records.
  await page.evaluate((script) => import(script).then(() => {}), (await recorder).url());
  await page.getByLabel("Work e-mail").pressSequentially("ada@example.com");
  await page.getByLabel("Password").pressSequentially("hunter2hunter2");
  const thrown = page.waitForEvent("pageerror");
  await page.getByRole("button", { name: "Start free" }).click();
  await thrown;
  // A page that is not seen any more sends what it has.
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { get: () => true });
    Object.defineProperty(document, "visibilityState", { get: () => "hidden" });
    document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
  });
  const { id: replay, visitor } = await found(reader, website);
  const group = await groupOf(reader, website);
  await context.close();
  return { replay, visitor, group };
}

/** A recording that no recorder makes: everything in it wants to run, or to be loaded from outside. */
async function attack(code) {
  const now = Date.now();
  let id = 100;
  const text = (textContent) => ({ type: 3, id: id++, textContent });
  const element = (tagName, attributes = {}, ...childNodes) => ({ type: 2, id: id++, tagName, attributes, childNodes });
  const image = `${OUTSIDE}/a.png`;
  const head = element(
    "head",
    {},
    element("base", { href: OUTSIDE }),
    element("meta", { "http-equiv": "refresh", content: `0;url=${OUTSIDE}` }),
    element("link", { rel: "preconnect", href: OUTSIDE }),
    element("link", { rel: "dns-prefetch", href: OUTSIDE }),
    element("link", { rel: "stylesheet", href: `${OUTSIDE}/a.css` }),
    element("link", { rel: "stylesheet", _cssText: `@import "${OUTSIDE}/b.css"; @font-face { font-family: x; src: url(${OUTSIDE}/f.woff2); } body { background: url(${image}); }` }),
    element("style", {}, { ...text(`@import url("${OUTSIDE}/c.css"); h1 { background-image: url('${image}'); font-family: x; }`), isStyle: true }),
    element("script", {}, text("globalThis.ran = 1")),
  );
  const body = element(
    "body",
    { onload: "globalThis.ran = 1", background: image },
    element("h1", {}, text("Shown")),
    element("img", { src: image, srcset: `${image} 2x`, onerror: "globalThis.ran = 1", alt: "A picture" }),
    element("img", { src: "data:image/png;base64,broken", onerror: "globalThis.ran = 1" }),
    element("a", { href: "javascript:globalThis.ran=1", ping: OUTSIDE }, text("A link")),
    element("iframe", { src: `${OUTSIDE}/frame`, srcdoc: "<script>parent.ran = 1</script>" }),
    element("iframe", { src: "javascript:parent.ran=1" }),
    element("object", { data: `${OUTSIDE}/o` }),
    element("embed", { src: `${OUTSIDE}/e` }),
    element("video", { src: `${OUTSIDE}/v.mp4`, poster: image, autoplay: "" }),
    element("svg", { onload: "globalThis.ran = 1" }, element("use", { href: `${OUTSIDE}/s.svg#a` }), element("image", { "xlink:href": image })),
    element("form", { action: OUTSIDE }, element("button", { formaction: OUTSIDE }, text("Send"))),
    element("div", { style: `background: url(${image})` }, text("A box")),
  );
  const document = { type: 0, id: id++, childNodes: [{ type: 1, id: id++, name: "html", publicId: "", systemId: "" }, element("html", {}, head, body)] };
  const box = id - 1;
  const events = [
    { type: 4, timestamp: now - 4000, data: { href: "https://hostile.example/", width: 800, height: 600 } },
    { type: 2, timestamp: now - 3990, data: { node: document, initialOffset: { left: 0, top: 0 } } },
    {
      type: 3,
      timestamp: now - 2000,
      data: {
        source: 0,
        texts: [],
        removes: [],
        attributes: [{ id: body.id, attributes: { onclick: "globalThis.ran = 1", style: { background: `url(${image})` } } }],
        adds: [
          { parentId: body.id, nextId: null, node: element("script", { src: `${OUTSIDE}/s.js` }) },
          { parentId: body.id, nextId: null, node: element("img", { src: image, onerror: "globalThis.ran = 1" }) },
        ],
      },
    },
    { type: 3, timestamp: now - 1000, data: { source: 2, type: 2, id: body.id, x: 10, y: 10 } },
    { type: 5, timestamp: now - 500, data: { tag: "zenovay.page", payload: { url: '/"><img src=x onerror=globalThis.ran=1>' } } },
    { type: 5, timestamp: now - 400, data: { tag: "zenovay.error", payload: { type: "<b>Type</b>", message: "<img src=x onerror=globalThis.ran=1>", id: "error-hostile" } } },
    { type: 3, timestamp: now, data: { source: 1, positions: [{ x: 5, y: 5, id: box, timeOffset: 0 }] } },
  ];
  await record(code, "https://hostile.example", 0, events, now);
}

/** Sends a chunk of a recording. */
async function record(code, origin, seq, events, now) {
  const answer = await fetch(`${server.address}/api/track/${code}/replay`, {
    method: "POST",
    headers: { "Content-Type": "text/plain", Origin: origin, "User-Agent": AGENT },
    body: JSON.stringify({ url: `${origin}/`, session_id: "a-session-of-many", sent_at: now, device_type: "desktop", replay_id: "0123456789abcdef0123456789abcdef", seq, events, final: true }),
  });
  const told = await answer.json();
  if (answer.status !== 200 || told.accepted === false) throw new Error(`${answer.status} ${JSON.stringify(told)}`);
}

/** A recording in two chunks: two seconds of "First", and eight seconds later another two of "Second", with an error at the end. */
async function twoParts(code) {
  const now = Date.now();
  const element = (id, tagName, ...childNodes) => ({ type: 2, id, tagName, attributes: {}, childNodes });
  const node = { type: 0, id: 1, childNodes: [element(2, "html", element(3, "body", element(4, "p", { type: 3, id: 5, textContent: "First" })))] };
  const move = (before) => ({ type: 3, timestamp: now - before, data: { source: 1, positions: [{ x: 5, y: 5, id: 4, timeOffset: 0 }] } });
  await record(code, "https://long.example", 0, [
    { type: 4, timestamp: now - 12_000, data: { href: "https://long.example/", width: 800, height: 600 } },
    { type: 2, timestamp: now - 11_999, data: { node, initialOffset: { left: 0, top: 0 } } },
    move(11_000),
    move(10_000),
  ], now);
  await record(code, "https://long.example", 1, [
    move(2_000),
    { type: 3, timestamp: now - 1_000, data: { source: 0, texts: [{ id: 5, value: "Second" }], attributes: [], removes: [], adds: [] } },
    { type: 5, timestamp: now, data: { tag: "zenovay.error", payload: { type: "TypeError", message: "the end", id: "error-parts" } } },
  ], now);
}

const settled = (page) => page.waitForFunction(() => document.querySelector("[aria-busy=true], .skel") === null);
async function open(path, who = "owner") {
  const tab = await openTab(browser, server, { storageState: known[who], viewport: { width: 1440, height: 900 } });
  await tab.page.goto(path);
  await tab.page.getByRole("region", { name: "Player" }).waitFor();
  await settled(tab.page);
  return tab;
}
/** The document of the player. */
const player = (page) => page.frames().find((frame) => new URL(frame.url()).pathname === "/replay-player");
/** What the recorded page shows, with its shadow trees. */
const recorded = (page) =>
  player(page).evaluate(() => {
    const all = (node) => [...node.childNodes].map((child) => (child.nodeType === 3 ? child.data : child.nodeName === "STYLE" ? "" : (child.shadowRoot ? all(child.shadowRoot) : "") + all(child))).join("");
    return all(document.querySelector("iframe").contentDocument.body).replace(/\s+/g, " ").trim();
  });
const position = (page) => page.getByRole("slider", { name: "Position" });

test("a replay shows the page as it was in the end, with fields masked", async () => {
  const { page, context, problems } = await open(`${known.home}/replays/${known.replay}`);
  await position(page).focus();
  await page.keyboard.press("End");
  await page.waitForFunction(() => {
    const slider = document.querySelector(".scrub input");
    return slider.value === slider.max;
  });
  await player(page).waitForFunction(() => document.querySelector("iframe")?.contentDocument?.body?.textContent.includes("after"));
  await eventually(
    () => recorded(page),
    (shown) => {
      for (const words of ["Plans", "Start free", "in the shadow", "<script>globalThis.ran = 1</script> after"]) assert.ok(shown.includes(words), `${words}: ${shown}`);
    },
  );
  const values = await player(page).evaluate(() => [...document.querySelector("iframe").contentDocument.querySelectorAll("input")].map(({ value }) => value));
  assert.equal(values.length, 2);
  assert.ok(!values.some((value) => /ada|hunter/.test(value)), String(values));
  await page.getByText("Inputs masked").waitFor();
  const timeline = await eventually(
    () => page.getByRole("region", { name: "Timeline" }).innerText(),
    (timeline) => {
      for (const words of ["Viewed /", "Clicked “Start free”", "Viewed /pricing", "TypeError: cart.plan is undefined", "Typed into “Work e-mail”"]) assert.ok(timeline.includes(words), `${words}: ${timeline}`);
    },
  );
  assert.ok(!/ada@|hunter/.test(timeline));
  // Goals that were reached meanwhile are in the timeline, and flags on the scrubber.
  await page.getByRole("region", { name: "Timeline" }).getByText("Goal: Prices seen").waitFor();
  await becomes(() => page.locator(".scrub .mark.goal").count(), 1);
  assert.equal(await page.evaluate(() => globalThis.ran), undefined);
  assert.deepEqual(problems, []);
  await context.close();
});

test("it plays by the keyboard, goes to events, and the link opens a moment before", async () => {
  const { page, context, problems } = await open(`${known.home}/replays/${known.replay}`);
  const at = async () => Number(await position(page).inputValue());
  await page.locator("body").press(" ");
  await page.getByRole("button", { name: "Pause (Space)" }).waitFor();
  await page.waitForFunction(() => Number(document.querySelector(".scrub input").value) > 0);
  await page.locator("body").press(" ");
  await page.getByRole("button", { name: "Play (Space)" }).waitFor();
  await page.locator("body").press("]");
  await page.getByRole("radio", { name: "2×", checked: true }).waitFor();
  await page.locator("body").press("[");
  const button = page.getByRole("region", { name: "Timeline" }).getByRole("button", { name: /TypeError: cart.plan is undefined/ });
  await button.click();
  await becomes(() => button.getAttribute("aria-current"), "true");
  const error = await at();
  await page.getByText(/^TypeError: cart.plan is undefined$/).last().waitFor();
  await page.locator("body").press(",");
  const before = await eventually(at, (now) => assert.ok(now < error, `${now} is not before ${error}`));
  await eventually(() => position(page).getAttribute("aria-valuetext"), (words) => assert.match(words, /^\d+ seconds? of \d+ seconds?, page \//));
  await page.locator("body").press(".");
  await eventually(at, (now) => assert.ok(now > before, `${now} is not after ${before}`));
  const t = Math.floor(error / 1000);
  await page.goto(`${known.home}/replays/${known.replay}?t=${Math.max(1, t)}`);
  await settled(page);
  await becomes(at, Math.max(0, Math.max(1, t) * 1000 - 3000));
  assert.deepEqual(problems, []);
  await context.close();
});

test("it opens and plays while later parts are loading, waits for them where they are needed, and goes on by itself", async () => {
  /** Opens the recording of two parts, of which the second is held back until it is let go. */
  const held = async (query) => {
    const tab = await openTab(browser, server, { storageState: known.owner, viewport: { width: 1440, height: 900 } });
    let letGo;
    const go = new Promise((resolve) => (letGo = resolve));
    await tab.page.route(/\/chunks\?/, async (route) => {
      const url = new URL(route.request().url());
      if (url.searchParams.get("from") !== "0") await go;
      url.searchParams.set("limit", "1");
      await route.fulfill({ response: await route.fetch({ url: url.href }) });
    });
    await tab.page.goto(`${known.long}/replays/${known.parts}${query}`);
    await tab.page.getByRole("region", { name: "Player" }).waitFor();
    return { ...tab, letGo };
  };
  const at = async (page) => Number(await position(page).inputValue());
  const waits = (page) => page.getByRole("status").filter({ hasText: "Loading from 00:02 on" });

  const one = await held("");
  await becomes(() => recorded(one.page), "First");
  for (const key of ["]", "]", "]", " "]) await one.page.locator("body").press(key);
  await waits(one.page).waitFor();
  await one.page.getByRole("button", { name: "Pause (Space)" }).waitFor();
  one.letGo();
  await becomes(() => recorded(one.page), "Second");
  await becomes(() => at(one.page), 12_000);
  await one.page.getByRole("button", { name: "Play (Space)" }).waitFor();

  const two = await held("");
  await becomes(() => recorded(two.page), "First");
  await position(two.page).press("End");
  await waits(two.page).waitFor();
  assert.equal(await at(two.page), 12_000);
  two.letGo();
  await becomes(() => recorded(two.page), "Second");
  await waits(two.page).waitFor({ state: "detached" });

  // A linked moment in a part that has not come: it opens there when it has.
  const three = await held("?t=12");
  await three.page.locator(".stageover .skel").first().waitFor();
  await three.page.locator("body").press(" ");
  three.letGo();
  await becomes(() => recorded(three.page), "First");
  assert.equal(await at(three.page), 9_000);
  await three.page.getByRole("button", { name: "Play (Space)" }).waitFor();
  assert.deepEqual([one, two, three].flatMap(({ problems }) => problems), []);
  for (const { page, context } of [one, two, three]) {
    await page.unrouteAll({ behavior: "ignoreErrors" });
    await context.close();
  }
});

test("an error leads to its moment, a replay to its error, a visitor to the replays", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner, viewport: { width: 1440, height: 900 } });
  await page.goto(`${known.home}/errors/${known.group}`);
  await page.getByRole("link", { name: "Watch this moment" }).click();
  await isAt(page, new RegExp(`/replays/${known.replay}\\?t=\\d+$`));
  await page.getByRole("link", { name: "Look at this error" }).click();
  await page.waitForURL(new RegExp(`/errors/${known.group}$`));
  await page.goto(`${known.home}/replays/${known.replay}`);
  await page.getByRole("link", { name: "Visitor", exact: true }).click();
  // The page before has a link of the same name.
  await page.getByRole("heading", { name: "Visits", exact: true }).waitFor();
  assert.equal(await page.getByRole("link", { name: /^Watch the visit of / }).getAttribute("href"), `${known.home}/replays/${known.replay}`);
  const error = page.getByRole("link", { name: "TypeError: cart.plan is undefined", exact: true });
  await becomes(() => error.getAttribute("href"), `${known.home}/errors/${known.group}`);
  await eventually(
    () => page.getByRole("link", { name: "Watch the moment of TypeError: cart.plan is undefined" }).getAttribute("href"),
    (href) => assert.match(href, new RegExp(`^${known.home}/replays/${known.replay}\\?t=\\d+$`)),
  );
  // It is no page, and no page is an event.
  await page.getByRole("radio", { name: "Pages" }).click();
  await error.waitFor({ state: "detached" });
  await page.getByRole("radio", { name: "Events" }).click();
  await error.waitFor();
  await press("Erase this visitor…")(page);
  const asked = page.getByRole("alertdialog");
  await asked.getByText(/^Erases 1 visit, \d events? and 1 replay of visitor .+, with clicks, errors and page speed\./).waitFor();
  await asked.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("link", { name: "Replays" }).last().click();
  await page.waitForURL(/\/replays\?.*visitor=/);
  await page.getByRole("link", { name: /^Replay of visitor/ }).waitFor();
  await page.goto(`${known.home}/replays?page=/pricing`);
  await page.getByRole("button", { name: "Edit filter: Page is /pricing" }).waitFor();
  await page.getByRole("link", { name: /^Replay of visitor/ }).waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

test("the player has its own policy, and can ask for nothing", async () => {
  const answer = await fetch(`${server.address}/replay-player`);
  assert.equal(answer.headers.get("content-security-policy"), "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src data: blob:; frame-ancestors 'self'");
  const { page, context } = await open(`${known.home}/replays/${known.replay}`);
  const frame = player(page);
  assert.equal(await frame.evaluate(() => fetch("/api/session").then(() => "answered", () => "refused")), "refused");
  const outer = await page.locator(".rec iframe").evaluate((element) => ({ sandbox: element.getAttribute("sandbox"), inert: element.inert }));
  assert.deepEqual(outer, { sandbox: "allow-scripts allow-same-origin", inert: true });
  await becomes(() => frame.evaluate(() => document.querySelector("iframe").getAttribute("sandbox")), "allow-same-origin");
  await context.close();
});

test("what is in a recording runs nowhere, and nothing of it is loaded", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner, viewport: { width: 1440, height: 900 } });
  page.on("dialog", () => problems.push("a dialog"));
  await page.goto(`${known.hostile}/replays/${known.bad}`);
  await page.getByRole("region", { name: "Player" }).waitFor();
  await settled(page);
  await position(page).focus();
  await page.keyboard.press("End");
  await player(page).waitForFunction(() => document.querySelector("iframe")?.contentDocument?.body?.textContent.includes("Shown"));
  await page.waitForTimeout(300);
  const inner = await player(page).evaluate(() => {
    const { contentDocument: shown } = document.querySelector("iframe");
    return { ran: [globalThis.ran, parent.ran], scripts: shown.querySelectorAll("script[src], object, embed, base, meta, iframe[src], iframe[srcdoc]").length, attributes: [...shown.querySelectorAll("*")].flatMap((one) => one.getAttributeNames()).filter((name) => name.startsWith("on")), html: shown.documentElement.outerHTML };
  });
  assert.deepEqual(inner.ran, [null, null].map(() => undefined));
  assert.equal(inner.scripts, 0, inner.html);
  assert.deepEqual(inner.attributes, []);
  assert.ok(!inner.html.includes("outside.invalid"), inner.html);
  assert.equal(await page.evaluate(() => globalThis.ran), undefined);
  assert.equal(await page.locator("main img").count(), 0);
  await page.goto(`${known.hostile}/replays`);
  await settled(page);
  assert.equal(await page.evaluate(() => globalThis.ran), undefined);
  assert.deepEqual(problems, []);
  await context.close();
});

test("replays are switched on, and what is recorded is set", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner });
  await page.goto(`${known.off}/replays`);
  await page.getByText("Replays are off for off.example").waitFor();
  await press("Switch on")(page);
  await page.getByText("No replays in this range").waitFor();
  await page.goto(`${known.off}/settings/features`);
  const card = page.getByRole("region", { name: "Replays" });
  await card.getByLabel("A part of the visits").check();
  await card.getByLabel("Percent of the visits").fill("101");
  await card.getByRole("button", { name: "Save" }).click();
  await card.getByText("Write a whole number from 1 to 100.").waitFor();
  await card.getByLabel("Percent of the visits").fill("25");
  await card.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved.").first().waitFor();
  await card.getByRole("switch", { name: "Only after consent" }).click();
  await page.waitForFunction(async (path) => {
    const { settings } = (await (await fetch(path)).json()).data;
    return settings.session_replay && settings.session_replay_trigger === "sampled" && settings.session_replay_sample_percent === 25 && !settings.session_replay_consent && settings.session_replay_mask_inputs;
  }, `/api${known.off}`);
  await call(page, "PATCH", `/api${known.off}`, { settings: { session_replay: false } });
  assert.deepEqual(problems, []);
  await context.close();
});

const at = (pattern) => new RegExp(`/api/websites/[^/]+/${pattern}`);
/** The replay of a page that is nested deeper than a message to the player may be. */
const tooDeep = async (page) => {
  const levels = 10_000;
  const node = `{"type":0,"id":1,"childNodes":[${'{"type":2,"tagName":"div","attributes":{},"id":2,"childNodes":['.repeat(levels)}${"]}".repeat(levels)}]}`;
  const events = `[{"type":4,"timestamp":1,"data":{"href":"https://example.com/","width":1280,"height":720}},{"type":2,"timestamp":2,"data":{"node":${node}}}]`;
  const body = `{"success":true,"data":{"chunks":[{"events":${events}}],"next":null},"timestamp":"2026-06-12T07:20:00Z"}`;
  await page.route(at("replays/[^/]+/chunks"), (route) => route.fulfill({ contentType: "application/json", body }));
  await page.reload();
  await page.getByText("This replay cannot be shown. Its page is nested deeper than this browser can draw.").waitFor();
  // No bright sheet stands behind it, and there is nothing to play.
  await page.locator(".player .rec").waitFor({ state: "hidden" });
  assert.equal(await page.getByRole("button", { name: "Play (Space)" }).getAttribute("aria-disabled"), "true");
};
const pages = () => [
  ["owner", "replays", `${known.home}/replays`, "Replays"],
  ["owner", "replays-with-errors", `${known.home}/replays?error=any`, "Replays"],
  ["owner", "replays-none-match", `${known.home}/replays?f=page:is:/nowhere`, "Replays"],
  ["owner", "replays-none-in-range", `${known.home}/replays?from=2026-01-01&to=2026-01-02`, "Replays"],
  ["owner", "replays-off", `${known.off}/replays`, "Replays"],
  ["viewer", "replays-off-viewer", `${known.off}/replays`, "Replays"],
  ["owner", "replays-no-plan", `${known.small}/replays`, "Replays"],
  ["owner", "replays-loading", `${known.home}/replays`, "Replays", waiting(at("replays\\?"))],
  ["owner", "replays-failed", `${known.home}/replays`, "Replays", refused(at("replays\\?"))],
  ["owner", "replays-delete-all", `${known.home}/replays`, "Replays", async (page) => { await press("Replays: more")(page); await press("Delete all replays…", "menuitem")(page); }],
  ["viewer", "replays-viewer", `${known.home}/replays`, "Replays"],
  ["owner", "replay", `${known.home}/replays/${known.replay}?t=2`, /^Visitor /],
  ["owner", "replay-end", `${known.home}/replays/${known.replay}`, /^Visitor /, (page) => page.getByRole("slider", { name: "Position" }).press("End")],
  ["owner", "replay-loading", `${known.home}/replays/${known.replay}`, /^Visitor /, waiting(at("replays/[^/]+/chunks"))],
  ["owner", "replay-failed", `${known.home}/replays/${known.replay}`, /^Visitor /, refused(at("replays/[^/]+/chunks"))],
  ["owner", "replay-too-deep", `${known.home}/replays/${known.replay}`, /^Visitor /, tooDeep],
  ["owner", "replay-delete", `${known.home}/replays/${known.replay}`, /^Visitor /, async (page) => { await press("More")(page); await press("Delete this replay…", "menuitem")(page); }],
  ["viewer", "replay-viewer", `${known.home}/replays/${known.replay}`, /^Visitor /],
  ["owner", "replay-lost", `${known.home}/replays/sr_nothing`, "There is no page here"],
  ["owner", "visitor-error", `${known.home}/visitors/${known.visitor}`, /^Visitor /],
  ["owner", "settings-replays", `${known.home}/settings/features`, "Features"],
];
tour(() => ({ server, browser, storage: known }), pages);

test("a replay is deleted", async () => {
  const { page, context, problems } = await open(`${known.hostile}/replays/${known.bad}`);
  await press("More")(page);
  await press("Delete this replay…", "menuitem")(page);
  await page.getByRole("alertdialog").getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByText("Replay deleted.").waitFor();
  await page.getByText("No replays in this range").waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});
