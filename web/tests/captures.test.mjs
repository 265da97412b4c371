// What pages tell beside their events, as people look at it: errors and page speed. Sent as the scripts send it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { openTab, startBrowser, startServer } from "./harness.mjs";
import { errors, report, speeds, view } from "./seed.mjs";
import { call, press, refused, tour, waiting } from "./tour.mjs";
import { becomes, eventually } from "./wait.mjs";

const OWNER = { name: "Ada Owner", email: "owner@example.com", password: "correct horse battery" };
const VIEWER = { name: "Vera Viewer", email: "viewer@example.com", password: "another horse battery" };
const FIXTURE = fileURLToPath(new URL("../../tracker/test/fixtures/app/", import.meta.url));
const STACKS = JSON.parse(readFileSync(`${FIXTURE}stacks.json`, "utf8"));
/** What would run if anything of this were taken for more than text. */
const HOSTILE = `"><img src=x onerror="globalThis.ran=1"><script>globalThis.ran=1</script>`;

let server;
let browser;
let known;
before(async () => {
  [server, browser] = await Promise.all([startServer("--trusted-proxies", "127.0.0.1/32"), startBrowser()]);
  const { page, context } = await openTab(browser, server);
  await page.goto("/login");
  const token = server.welcome.split("#")[1];
  await call(page, "POST", "/api/welcome", { token, ...OWNER, website: { domain: "shop.example", name: "Shop" } });
  const team = (await call(page, "GET", "/api/session")).teams[0].id;
  const { id, tracking_code: code } = (await call(page, "GET", "/api/websites")).websites[0];
  const website = async (domain, settings) => {
    const made = await call(page, "POST", "/api/websites", { team_id: team, domain });
    if (settings) await call(page, "PATCH", `/api/websites/${made.id}`, { settings });
    return made;
  };
  const quiet = await website("quiet.example");
  const off = await website("off.example", { errors: false, web_vitals: false });
  const hostile = await website("hostile.example");
  const changes = await website("changes.example");
  await errors(server, code, STACKS);
  await speeds(server, code);
  const other = (origin) => ({ origin, address: "141.20.9.9" });
  await report(server, hostile.tracking_code, "error", {
    ...other("https://hostile.example"),
    release: HOSTILE,
    path: `/${encodeURIComponent(HOSTILE)}`,
    errors: [
      {
        id: "error-hostile",
        type: HOSTILE,
        message: HOSTILE,
        stack: `${HOSTILE}\n    at ${HOSTILE} (javascript:globalThis.ran=1//:1:1)\n    at a (https://hostile.example/${HOSTILE}.js:1:1)`,
        properties: { [HOSTILE.slice(0, 40)]: HOSTILE },
        breadcrumbs: [{ at: Date.now() - 1000, kind: "click", text: HOSTILE }, { at: Date.now() - 500, kind: "view", text: "javascript:globalThis.ran=1" }],
      },
    ],
  });
  // A bundle that has a source map, of which nothing is what it should be.
  const map = { version: 3, sources: [HOSTILE], sourcesContent: [`${HOSTILE}\n`], names: [HOSTILE], mappings: "AAAAA" };
  const upload = { fileName: "evil.js", fileUrl: "https://hostile.example/evil.js", release: "6.6.6", mapContent: JSON.stringify(map) };
  await call(page, "POST", `/api/errors/${hostile.id}/sourcemap`, upload);
  await report(server, hostile.tracking_code, "error", {
    ...other("https://hostile.example"),
    release: "6.6.6",
    errors: [{ id: "error-mapped", type: "TypeError", message: "mapped", stack: "TypeError: mapped\n    at a (https://hostile.example/evil.js:1:1)" }],
  });
  await report(server, hostile.tracking_code, "performance", { ...other("https://hostile.example"), view_id: "view-hostile", path: `/${encodeURIComponent(HOSTILE)}`, lcp: 900 });
  const same = (number, message) => ({ id: `error-change-${number}`, type: "TypeError", message, stack: `TypeError: ${message}\n    at load (https://changes.example/app.js:1:${number})` });
  for (const [number, message] of [[1, "first is gone"], [2, "second is gone"], [3, "third is gone"], [4, "fourth is gone"], [5, "fifth is gone"]]) {
    await report(server, changes.tracking_code, "error", { ...other("https://changes.example"), release: "2.0.0", errors: [same(number, message)] });
  }
  const { groups } = await call(page, "GET", `/api/websites/${changes.id}/errors`);
  const named = (message) => groups.find((one) => one.message === message).id;
  const merged = named("fourth is gone");
  const rages = await website("rages.example", { heatmaps: true });
  const who = { origin: "https://rages.example", address: "141.20.9.9", path: "/pricing" };
  await view(server, rages.tracking_code, { ...who, session: "session-of-rage" });
  const rage = { at: Date.now(), x: 40, y: 60, s: "main>button", ox: 0.5, oy: 0.5, label: "Start free", n: 4, rage: true };
  await report(server, rages.tracking_code, "heatmap", { ...who, session_id: "session-of-rage", view_id: "view-of-rage", seq: 0, viewport: [1440, 900], page: [1440, 3600], clicks: [rage] });
  await report(server, rages.tracking_code, "error", { ...who, session_id: "session-of-rage", errors: [{ id: "error-of-rage", type: "TypeError", message: HOSTILE, stack: "", count: 3 }] });
  const { visitors } = await call(page, "GET", `/api/websites/${rages.id}/visitors?range=24h`);
  await call(page, "POST", `/api/websites/${changes.id}/errors/${merged}/merge`, { groups: [named("fifth is gone")] });
  const listed = await call(page, "GET", `/api/websites/${id}/errors`);
  const group = listed.groups.find(({ type }) => type === "TypeError").id;
  const { url: invitation } = await call(page, "POST", `/api/teams/${team}/invitations`, { role: "viewer" });
  const poor = await call(page, "POST", "/api/teams", { name: "Small" });
  await call(page, "PUT", `/api/teams/${poor.id}/plan`, { plan: "free" });
  const small = await call(page, "POST", "/api/websites", { team_id: poor.id, domain: "small.example" });
  const owner = await context.storageState();
  const second = await openTab(browser, server);
  await second.page.goto("/login");
  await call(second.page, "POST", "/api/users", { ...VIEWER, invitation: new URL(invitation).pathname.split("/").pop() });
  const viewer = await second.context.storageState();
  await Promise.all([context.close(), second.context.close()]);
  const at = ({ id }) => `/websites/${id}`;
  known = { owner, viewer, id, group, merged, home: at({ id }), quiet: at(quiet), off: at(off), hostile: at(hostile), changes: at(changes), small: at(small), visitor: `${at(rages)}/visitors/${visitors[0].id}` };
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const settled = (page) => page.waitForFunction(() => document.querySelector("[aria-busy=true], .skel") === null);
async function open(path, who = "owner") {
  const tab = await openTab(browser, server, { storageState: known[who], viewport: { width: 1440, height: 900 } });
  await tab.page.goto(path);
  await tab.page.locator("h1").waitFor();
  await settled(tab.page);
  return tab;
}
const titles = (page) => page.locator("tbody a.cover").allInnerTexts();

test("an error is found, read, resolved and reopened, and the list says so", async () => {
  const { page, context, problems } = await open(`${known.home}/errors`);
  const message = STACKS[0].message;
  await becomes(async () => (await titles(page)).length, 4);
  await page.getByRole("searchbox", { name: "Find errors" }).fill("DESTRUCTURE");
  await page.waitForURL(/q=DESTRUCTURE/);
  await page.waitForFunction(() => document.querySelectorAll("tbody a.cover").length === 1);
  await settled(page);
  const row = page.locator("tbody tr").first();
  // Two builds with other names and other columns are one error: 3 and 9 occurrences.
  await eventually(() => row.innerText(), (words) => assert.match(words, /\b12\b/));
  await row.getByRole("link").click();
  await page.getByRole("heading", { name: `TypeError: ${message}`, level: 1 }).waitFor();
  await settled(page);
  const told = await call(page, "GET", `/api/websites/${known.id}/errors/${known.group}`);
  const numbers = () => page.getByRole("region", { name: "Numbers" }).locator("dd").allInnerTexts();
  await eventually(numbers, (all) => assert.deepEqual(all.slice(0, 2).map((words) => Number(words.match(/\d+/)[0])), [told.occurrences, told.visitors]));
  for (const words of ["Viewed /pricing", "Clicked “Start free”", "Rage click on “Start free”", "−00:25"]) await page.getByText(words).first().waitFor();
  await press("Resolve")(page);
  await page.getByText("Resolved. It comes back by itself").waitFor();
  await page.getByRole("button", { name: "Reopen" }).waitFor();
  await becomes(async () => (await call(page, "GET", `/api/websites/${known.id}/errors/${known.group}`)).status, "resolved");
  await page.getByRole("region", { name: "History" }).getByText("Resolved by owner@example.com").waitFor();
  await page.getByRole("link", { name: "Errors", exact: true }).first().click();
  await page.getByRole("link", { name: "Resolved 1" }).click();
  await page.waitForURL(/status=resolved/);
  await page.getByRole("link", { name: `TypeError: ${message}` }).waitFor();
  await page.getByRole("button", { name: /^TypeError: .*: menu$/ }).click();
  await page.getByRole("menuitem", { name: "Reopen" }).click();
  await page.getByText("Reopened.").waitFor();
  await page.getByText("No resolved errors in this range").waitFor();
  await page.goBack();
  await page.getByRole("link", { name: "Unresolved 4" }).waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

test("what was decided is taken back", async () => {
  const { page, context, problems } = await open(`${known.home}/errors/${known.group}`);
  await press("Ignore")(page);
  await page.getByText("Ignored.").waitFor();
  await press("Undo")(page);
  await page.getByRole("button", { name: "Resolve" }).waitFor();
  await becomes(async () => (await call(page, "GET", `/api/websites/${known.id}/errors/${known.group}`)).status, "unresolved");
  // The palette finds another by its name.
  await page.keyboard.press("Control+k");
  await page.keyboard.type("array length");
  await page.getByRole("option", { name: /^RangeError: Invalid array length/ }).click();
  await page.getByRole("heading", { name: "RangeError: Invalid array length", level: 1 }).waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

test("errors are sorted, the address has it, and the keyboard chooses a bucket as a table", async () => {
  const { page, context, problems } = await open(`${known.home}/errors`);
  await page.getByRole("button", { name: "Times" }).click();
  await page.waitForURL(/sort=-occurrences/);
  await eventually(
    async () => (await page.locator("tbody tr td.strong").allInnerTexts()).map(Number),
    (times) => assert.deepEqual([times.length, times], [4, [...times].sort((one, other) => other - one)]),
  );
  await page.goto(`${known.home}/errors/${known.group}`);
  await page.getByRole("button", { name: "Table" }).waitFor();
  await settled(page);
  await page.locator("body").press("b");
  const table = page.getByRole("table", { name: "Occurrences by day" });
  const told = await call(page, "GET", `/api/websites/${known.id}/errors/${known.group}`);
  await becomes(async () => (await table.locator("tbody td.num").allInnerTexts()).map(Number), told.series);
  assert.deepEqual(problems, []);
  await context.close();
});

test("a source map that is added shows the source, and can be removed", async () => {
  const { page, context, problems } = await open(`${known.home}/errors/source-maps`);
  const [{ map, file, release }] = STACKS;
  await page.getByText("No source maps yet").waitFor();
  await press("Add a source map")(page);
  const dialog = page.getByRole("dialog", { name: "Add a source map" });
  await dialog.getByRole("button", { name: "Add", exact: true }).click();
  await dialog.getByText("Choose a file.").waitFor();
  await dialog.getByLabel("Source map").setInputFiles(FIXTURE + map);
  await dialog.getByLabel("Address of the bundle").fill(file);
  await dialog.getByLabel("Release").fill(release);
  await dialog.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByText(/^Source map added\. \d stacks? can be read now\.$/).waitFor();
  await page.getByText("app-D6JNDYIQ.js", { exact: true }).waitFor();
  const { groups } = await eventually(() => call(page, "GET", `/api/websites/${known.id}/errors?q=cart.ts`), ({ groups }) => assert.equal(groups.length, 1));
  await page.goto(`${known.home}/errors/${groups[0].id}`);
  await page.getByText("totalOf", { exact: true }).first().waitFor();
  const hit = page.locator(".srcs .hit");
  await hit.first().waitFor();
  await eventually(() => hit.first().innerText(), (words) => assert.match(words, /amount/));
  await eventually(() => page.locator(".longline").innerText(), (words) => assert.match(words, /totalOf · .*cart\.ts:\d+/));
  await page.goto(`${known.home}/errors/source-maps`);
  await press("app-D6JNDYIQ.js: menu")(page);
  await press("Delete", "menuitem")(page);
  await page.getByRole("alertdialog").getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByText("Source map deleted.").waitFor();
  await page.getByText("No source maps yet").waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

test("errors are put together and taken apart by hand", async () => {
  const { page, context, problems } = await open(`${known.changes}/errors`);
  await becomes(async () => (await titles(page)).length, 4);
  await page.getByRole("link", { name: "TypeError: first is gone" }).click();
  await page.getByRole("heading", { name: "TypeError: first is gone", level: 1 }).waitFor();
  await press("More")(page);
  await press("Merge others into this…", "menuitem")(page);
  const merge = page.getByRole("dialog", { name: "Put other errors into this one" });
  await merge.getByLabel("TypeError: second is gone").check();
  await merge.getByRole("button", { name: "Merge" }).click();
  await page.getByText(/^1 error put into this one/).waitFor();
  await page.getByText("Stack 1 of 2", { exact: false }).first().waitFor({ state: "attached" });
  await press("More")(page);
  await press("Split…", "menuitem")(page);
  const split = page.getByRole("dialog", { name: "Take stacks out of this error" });
  await split.getByRole("button", { name: "Split" }).click();
  await split.getByText("Choose at least one.").waitFor();
  await split.getByLabel("TypeError: second is gone").check();
  await split.getByRole("button", { name: "Split" }).click();
  await page.getByText("They are an error of their own now.").waitFor();
  await page.getByRole("heading", { name: "TypeError: second is gone", level: 1 }).waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

test("errors and rage clicks of a visit are in its timeline, and what it is worth beside it", async () => {
  const { page, context, problems } = await open(known.visitor);
  const moments = () => page.locator(".tline li").evaluateAll((all) => all.map((one) => one.children[2].innerText.replace(/\s+/g, " ").trim()));
  await becomes(moments, ["/pricing", "Rage click on “Start free” 4 clicks", `TypeError: ${HOSTILE} 3 times`]);
  const told = await call(page, "GET", `/api${known.visitor}`);
  const [{ score, moments: [, error] }] = told.visits;
  assert.equal(await page.locator(".tline a").getAttribute("href"), `${known.visitor.replace(/visitors.*/, "errors")}/${error.group}`);
  const card = page.getByRole("region", { name: "Value score" });
  await card.getByText(`${score.total} of 100, this visit`).waitFor();
  await becomes(() => card.locator("dd").allInnerTexts(), [`${score.pageviews} of 40 10 each`, `${score.time} of 30 1 for 6s`, `${score.interaction} of 30`]);
  assert.equal(await page.evaluate(() => globalThis.ran), undefined);
  assert.deepEqual(problems, []);
  await context.close();
});

test("page speed is what the API measured, by metric, page and device", async () => {
  const { page, context, problems } = await open(`${known.home}/performance`);
  const told = await call(page, "GET", `/api/websites/${known.id}/performance`);
  const tile = (name) => page.getByRole("radio", { name: new RegExp(`^${name}`) });
  const number = async (name) => (await tile(name).locator(".v").innerText()).replace(/[^\d.]/g, "");
  const seconds = (value) => (value < 1000 ? String(Math.round(value)) : (value / 1000).toFixed(2));
  await becomes(() => number("Largest contentful paint"), seconds(told.metrics.lcp.p75));
  await becomes(() => number("Interaction to next paint"), seconds(told.metrics.inp.p75));
  await becomes(async () => Number(await number("Layout shift")), Number(told.metrics.cls.p75.toFixed(3)));
  const spread = async () => (await page.locator(".ratings dd").allInnerTexts()).map((words) => Number(/(\d+) page views?$/.exec(words)?.[1]));
  await becomes(spread, [told.metrics.lcp.good, told.metrics.lcp.needs_improvement, told.metrics.lcp.poor]);
  // As many digits everywhere.
  assert.match(await number("Layout shift"), /^\d\.\d{3}$/);
  await tile("Layout shift").click();
  await page.waitForURL(/vital=cls/);
  await page.getByText("Good up to 0.100, poor above 0.250", { exact: true }).waitFor();
  await page.getByText("Layout shift, page view by page view").waitFor();
  await page.getByRole("region", { name: "Pages" }).getByRole("button", { name: "/docs", exact: true }).click();
  await page.getByRole("button", { name: "Edit filter: Page is /docs" }).waitFor();
  await settled(page);
  const docs = await call(page, "GET", `/api/websites/${known.id}/performance?f=page:is:/docs`);
  await becomes(async () => Number(await number("Layout shift")), Number(docs.metrics.cls.p75.toFixed(3)));
  assert.ok(docs.views > 0 && docs.views < told.views);
  await page.locator("body").press("b");
  await page.getByRole("table", { name: "CLS by day" }).waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

test("a viewer reads errors and changes none", async () => {
  const { page, context, problems } = await open(`${known.home}/errors`, "viewer");
  await page.locator("tbody a.cover").first().waitFor();
  assert.equal(await page.getByRole("button", { name: /: menu$/ }).count(), 0);
  await page.locator("tbody a.cover").first().click();
  const resolve = page.getByRole("button", { name: "Resolve" });
  await resolve.waitFor();
  await becomes(() => resolve.getAttribute("aria-disabled"), "true");
  await press("More")(page);
  assert.equal(await page.getByRole("menuitem", { name: /Merge|Split/ }).count(), 0);
  assert.deepEqual(problems, []);
  await context.close();
});

test("nothing that a page reported is run or taken for more than text", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner });
  page.on("dialog", () => problems.push("a dialog"));
  for (const part of ["/errors", "/errors?status=all", "/performance", "/errors/source-maps"]) {
    await page.goto(known.hostile + part);
    await page.locator("h1").waitFor();
    await settled(page);
    assert.equal(await page.evaluate(() => globalThis.ran), undefined, part);
  }
  for (const name of [/onerror=.*onerror=/, "TypeError: mapped"]) {
    await page.goto(`${known.hostile}/errors`);
    await page.getByRole("link", { name }).first().click();
    await page.getByText("Stack", { exact: true }).waitFor();
    await settled(page);
    for (const tab of ["Release", "Page", "Device"]) await page.getByRole("tab", { name: tab, exact: true }).click();
    assert.equal(await page.evaluate(() => globalThis.ran), undefined);
    assert.equal(await page.locator("main a[href^='javascript:'], main img").count(), 0);
  }
  // The line of the source, as it is written in the map.
  await eventually(() => page.locator(".srcs .hit").first().innerText(), (words) => assert.ok(words.includes(HOSTILE), words));
  assert.deepEqual(problems, []);
  await context.close();
});

test("what was switched off is switched on where it is missed", async () => {
  const { page, context, problems } = await open(`${known.off}/errors`);
  await page.getByText("Errors are off for off.example").waitFor();
  await press("Switch on")(page);
  await page.getByText("No errors yet").waitFor();
  await becomes(async () => (await call(page, "GET", `/api${known.off}`)).settings.errors, true);
  await call(page, "PATCH", `/api${known.off}`, { settings: { errors: false } });
  assert.deepEqual(problems, []);
  await context.close();
});

const errorsOf = (pattern) => new RegExp(`/api/websites/[^/]+/${pattern}`);
/** The pages of captures, in their states. */
const pages = () => [
  ["owner", "errors", `${known.home}/errors`, "Errors"],
  ["owner", "errors-all", `${known.home}/errors?status=all&sort=-occurrences`, "Errors"],
  ["owner", "errors-menu", `${known.home}/errors`, "Errors", async (page) => { if (page.viewportSize().width > 720) await press("RangeError: Invalid array length: menu")(page); }],
  ["owner", "errors-filter", `${known.home}/errors?f=browser:is:Firefox`, "Errors", press("Add filter")],
  ["owner", "errors-unknown-filter", `${known.home}/errors?f=channel:is:Email`, "Errors"],
  ["owner", "errors-none-match", `${known.home}/errors?f=page:is:/nowhere`, "Errors"],
  ["owner", "errors-none-found", `${known.home}/errors?q=nothing`, "Errors"],
  ["owner", "errors-none-in-range", `${known.home}/errors?from=2026-01-01&to=2026-01-02`, "Errors"],
  ["owner", "errors-empty", `${known.quiet}/errors`, "Errors"],
  ["owner", "errors-off", `${known.off}/errors`, "Errors"],
  ["viewer", "errors-off-viewer", `${known.off}/errors`, "Errors"],
  ["owner", "errors-no-plan", `${known.small}/errors`, "Errors"],
  ["owner", "errors-loading", `${known.home}/errors`, "Errors", waiting(errorsOf("errors\\?(?!range=today)"))],
  ["owner", "errors-failed", `${known.home}/errors`, "Errors", refused(errorsOf("errors\\?(?!range=today)"))],
  ["viewer", "errors-viewer", `${known.home}/errors`, "Errors"],
  ["owner", "error", `${known.home}/errors/${known.group}`, /^TypeError/],
  ["owner", "error-table", `${known.home}/errors/${known.group}`, /^TypeError/, (page) => page.locator("body").press("b")],
  ["owner", "error-merge", `${known.home}/errors/${known.group}`, /^TypeError/, async (page) => { await press("More")(page); await press("Merge others into this…", "menuitem")(page); await page.getByRole("dialog").getByRole("checkbox").first().waitFor(); }],
  ["owner", "error-split", `${known.changes}/errors/${known.merged}`, /^TypeError/, async (page) => { await press("More")(page); await press("Split…", "menuitem")(page); }],
  ["owner", "error-loading", `${known.home}/errors/${known.group}`, /^TypeError/, waiting(errorsOf(`errors/${known.group}`))],
  ["owner", "error-failed", `${known.home}/errors/${known.group}`, /^TypeError/, refused(errorsOf(`errors/${known.group}`))],
  ["owner", "error-other-range", `${known.home}/errors/${known.group}?from=2026-01-01&to=2026-01-02`, /^TypeError/],
  ["owner", "error-hostile", `${known.hostile}/errors`, "Errors", (page) => page.locator("tbody a.cover").first().click().then(() => page.getByText("Stack", { exact: true }).waitFor())],
  ["viewer", "error-viewer", `${known.home}/errors/${known.group}`, /^TypeError/],
  ["owner", "error-lost", `${known.home}/errors/eg_nothing`, "There is no page here"],
  ["owner", "source-maps-empty", `${known.home}/errors/source-maps`, "Source maps"],
  ["owner", "source-map-add", `${known.home}/errors/source-maps`, "Source maps", press("Add a source map")],
  ["viewer", "source-maps-viewer", `${known.home}/errors/source-maps`, "Source maps"],
  ["owner", "performance", `${known.home}/performance`, "Performance"],
  ["owner", "performance-cls", `${known.home}/performance?vital=cls&interval=hour&range=today&sort=-cls`, "Performance"],
  ["owner", "performance-table", `${known.home}/performance`, "Performance", (page) => page.locator("body").press("b")],
  ["owner", "performance-none-match", `${known.home}/performance?f=page:is:/nowhere`, "Performance"],
  ["owner", "performance-empty", `${known.quiet}/performance`, "Performance"],
  ["owner", "performance-off", `${known.off}/performance`, "Performance"],
  ["owner", "performance-loading", `${known.home}/performance`, "Performance", waiting(errorsOf("performance"))],
  ["owner", "performance-failed", `${known.home}/performance`, "Performance", refused(errorsOf("performance"))],
  ["owner", "visitor-rage", known.visitor, /^Visitor /],
  ["owner", "website-features", `${known.home}/settings/features`, "Features"],
];
tour(() => ({ server, browser, storage: known }), pages);
