// Questions that take long, on a server that is busy: how far they are, Stop, and what leaving does. And tables of thousands of rows.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openTab, overflow, startBrowser, startServer, violations } from "./harness.mjs";
import { store } from "./seed.mjs";
import { call } from "./tour.mjs";
import { becomes, settled, until } from "./wait.mjs";

const OWNER = { name: "Ada Owner", email: "owner@example.com", password: "correct horse battery" };
const PAGES = 20_000;

let server;
let browser;
let known;
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
  const { page, context } = await openTab(browser, server);
  await page.goto("/login");
  await call(page, "POST", "/api/welcome", { token: server.welcome.split("#")[1], ...OWNER, website: { domain: "example.com", name: "Example" } });
  const { id, tracking_code: code } = (await call(page, "GET", "/api/websites")).websites[0];
  const { key } = await call(page, "POST", "/api/account/keys", { name: "Production" });
  const start = Date.now() - 3_600_000;
  const events = Array.from({ length: PAGES }, (_, number) => ({
    type: "pageview",
    ts: start + number,
    visitorId: `visitor-${number}-once`,
    sessionId: `session-${number}`,
    serverContext: { userAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", clientIp: "141.20.1.1" },
    props: { url: `https://example.com/page-${String(number).padStart(5, "0")}`, title: `Page ${number}` },
  }));
  await store(server, key, code, events);
  const { path: link } = await call(page, "POST", `/api/websites/${id}/shares`, {});
  const owner = await context.storageState();
  await context.close();
  known = { owner, id, key, link };
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const open = (options = {}) => openTab(browser, server, { storageState: known.owner, viewport: { width: 1440, height: 900 }, ...options });
const metric = async (name) => {
  const page = await (await fetch(`${server.address}/metrics`)).text();
  return Number(new RegExp(`^${name.replace(/[{}"]/g, "\\$&")} (\\d+)`, "m").exec(page)?.[1] ?? NaN);
};
const ended = (how) => metric(`zenovay_long_questions_total{end="${how}"}`);
/** Waits until more long questions ended in a way. */
const more = (how, than) => until(async () => (await ended(how)) > than, `more long questions are ${how}`);

/** Keeps the server busy with this website until it is ended: other questions about it wait for their turn. */
function busy() {
  const end = new AbortController();
  const ask = async () => {
    while (!end.signal.aborted) {
      const query = "dimension=page&range=year&limit=1000&sort=-value&compare=year&q=p&format=csv";
      await server.api(`/api/websites/${known.id}/breakdown?${query}`, known.key, { signal: end.signal }).then((answer) => answer.text()).catch(() => {});
    }
  };
  const all = Array.from({ length: 24 }, ask);
  return async () => {
    end.abort();
    await Promise.all(all);
  };
}

test("a long question tells how far it is and can be stopped", async () => {
  const { page, context, problems } = await open();
  const free = busy();
  try {
    const panel = page.getByRole("region", { name: "Pages", exact: true });
    const stopped = await ended("stopped");
    // What has been answered meanwhile cannot be stopped any more: then another is asked.
    const stop = async () => {
      await page.goto(`/websites/${known.id}?range=7d`);
      await panel.locator(".progressline").waitFor();
      return panel.locator(".progressline button").evaluateAll((all) => (all[0]?.click(), all.length > 0));
    };
    await until(stop, "a long question of the panel is stopped");
    await panel.getByText("Stopped.").waitFor();
    await more("stopped", stopped);
    // Another view gives up what was asked for the one before.
    const before = await ended("stopped");
    await page.goto(`/websites/${known.id}?range=30d`);
    await until(async () => (await metric("zenovay_long_questions")) > 0, "a question takes long");
    await page.goto("/docs/api");
    await until(async () => (await ended("stopped")) > before && (await metric("zenovay_long_questions")) === 0, "it is given up");
  } finally {
    await free();
  }
  await page.goto(`/websites/${known.id}?range=7d`);
  await page.getByRole("region", { name: "Pages", exact: true }).getByText("/page-00000").waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

test("what took long is shown when it is there", async () => {
  const { page, context, problems } = await open();
  const free = busy();
  const fetched = await ended("fetched");
  await page.goto(`/websites/${known.id}?range=28d`);
  await page.waitForFunction(() => [...document.querySelectorAll(".progressline")].some((line) => line.innerText.startsWith("Counting ") && line.querySelector("progress")));
  assert.deepEqual(await violations(context, page), []);
  await free();
  await page.getByRole("region", { name: "Pages", exact: true }).getByText("/page-00000").waitFor();
  await settled(page);
  await more("fetched", fetched);
  await becomes(() => page.locator(".progressline").count(), 0, "nothing is being counted");
  assert.deepEqual(problems, []);
  await context.close();
});

test("whoever has a public link waits in the same way", async () => {
  const { page, context, problems } = await openTab(browser, server, { viewport: { width: 1440, height: 900 } });
  const free = busy();
  const fetched = await ended("fetched");
  await page.goto(known.link);
  await page.locator(".progressline").first().waitFor();
  await free();
  await page.getByRole("region", { name: "Pages", exact: true }).getByText("/page-00000").waitFor();
  await more("fetched", fetched);
  assert.deepEqual(problems, []);
  await context.close();
});

test("a table of thousands of rows has those that are seen, and says which they are", async () => {
  const { page, context, problems } = await open();
  await page.goto(`/websites/${known.id}?range=7d&show=pages`);
  const dialog = page.getByRole("dialog", { name: "Pages" });
  const table = dialog.getByRole("table");
  await table.getByText("/page-00000").waitFor();
  await becomes(() => table.getAttribute("aria-rowcount"), String(PAGES + 1), "the table says how long it is");
  const rows = () => table.locator("tr[data-at]").count();
  assert.ok((await rows()) < 80, `${await rows()} rows`);
  // By keyboard: the last row, which is loaded for it, and back.
  await table.getByRole("button", { name: "/page-00000", exact: true }).focus();
  await page.keyboard.press("End");
  const last = table.locator(`tr[aria-rowindex="${PAGES + 1}"]`);
  await last.getByRole("button", { name: "/page-19999", exact: true }).waitFor();
  await page.waitForFunction(() => document.activeElement?.textContent === "/page-19999");
  assert.ok((await rows()) < 80, `${await rows()} rows`);
  await page.keyboard.press("ArrowUp");
  await page.waitForFunction(() => document.activeElement?.textContent === "/page-19998");
  await page.keyboard.press("PageUp");
  await page.waitForFunction(() => /page-199[5-9]/.test(document.activeElement?.textContent ?? ""));
  assert.deepEqual(await violations(context, page), []);
  await page.keyboard.press("Home");
  await page.waitForFunction(() => document.activeElement?.textContent === "/page-00000");
  // By the wheel.
  await page.locator("#full-table").evaluate((element) => element.scrollTo(0, element.scrollHeight / 2));
  await table.getByText("/page-10000").waitFor();
  // Search and sort are the server's.
  await page.keyboard.press("/");
  await page.getByRole("searchbox").fill("page-0123");
  await page.waitForFunction(() => document.querySelector("#full-table table")?.getAttribute("aria-rowcount") === "11");
  await becomes(rows, 10, "the rows that are found");
  await page.getByRole("searchbox").fill("");
  await page.waitForFunction((all) => document.querySelector("#full-table table")?.getAttribute("aria-rowcount") === all, String(PAGES + 1));
  await page.getByRole("button", { name: "Page", exact: true }).click();
  await table.locator('tr[aria-rowindex="2"]').getByText("/page-19999").waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

test("thousands of visitors are a table of those that are seen", async () => {
  const { page, context, problems } = await open({ viewport: { width: 390, height: 844 } });
  await page.goto(`/websites/${known.id}/visitors?range=7d`);
  const table = page.getByRole("table");
  await table.waitFor();
  await becomes(() => table.getAttribute("aria-rowcount"), "-1", "nobody knows how long it is");
  for (let more = 0; more < 3; more++) {
    const shown = await page.locator(".card-foot").innerText();
    await page.getByRole("button", { name: "Show more" }).click();
    await page.waitForFunction((before) => document.querySelector(".card-foot")?.innerText !== before, shown);
    await page.waitForFunction(() => document.querySelector(".card-foot [aria-busy=true], .card-foot [aria-disabled=true]") === null);
  }
  await page.locator(".card-foot").getByText("650 visitors and more").waitFor();
  assert.ok((await table.locator("tr[data-at]").count()) < 80);
  assert.equal(await overflow(page), 0);
  assert.deepEqual(problems, []);
  await context.close();
});
