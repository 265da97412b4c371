// The numbers of a website: every one is that of the Stats API, whatever is filtered and compared, and the address is the state.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openTab, startBrowser, startServer, violations } from "./harness.mjs";
import { store, traffic, view, visits } from "./seed.mjs";
import { call, opened, opens, press, refused, tour, waiting } from "./tour.mjs";
import { becomes, focused, said, settled, until } from "./wait.mjs";

const OWNER = { name: "Ada Owner", email: "owner@example.com", password: "correct horse battery" };
const VIEWER = { name: "Vera Viewer", email: "viewer@example.com", password: "another horse battery" };

let server;
let browser;
let known;
before(async () => {
  [server, browser] = await Promise.all([startServer("--trusted-proxies", "127.0.0.1/32"), startBrowser()]);
  const { page, context } = await openTab(browser, server);
  await page.goto("/login");
  const token = server.welcome.split("#")[1];
  await call(page, "POST", "/api/welcome", { token, ...OWNER, website: { domain: "example.com", name: "Example" } });
  const team = (await call(page, "GET", "/api/session")).teams[0].id;
  const { id, tracking_code: code } = (await call(page, "GET", "/api/websites")).websites[0];
  await call(page, "PATCH", `/api/websites/${id}`, { settings: { time_zone: "Europe/Berlin" } });
  const { key } = await call(page, "POST", "/api/account/keys", { name: "Production" });
  await store(server, key, code, traffic({ now: Date.now(), days: 60, perDay: 30 }));
  await visits(server, code);
  await call(page, "POST", `/api/websites/${id}/goals`, { name: "Pricing seen", type: "page", value: "/pricing" });
  await call(page, "POST", `/api/websites/${id}/goals`, { name: "Sign-up completed", type: "event", value: "signup_completed" });
  const { id: funnel } = await call(page, "POST", `/api/websites/${id}/funnels`, {
    name: "Pricing to sign-up",
    steps: [{ type: "page", match_type: "starts_with", value: "/" }, { type: "page", value: "/pricing" }, { type: "event", value: "signup_completed" }],
  });
  // One that has a visit and nothing else.
  const bare = await call(page, "POST", "/api/websites", { team_id: team, domain: "bare.example.net", time_zone: "Europe/Berlin" });
  await store(server, key, bare.tracking_code, traffic({ now: Date.now() - 86_400_000, days: 0, perDay: 2 }).slice(0, 1));
  const { url: invitation } = await call(page, "POST", `/api/teams/${team}/invitations`, { role: "viewer" });
  const owner = await context.storageState();
  const other = await openTab(browser, server);
  await other.page.goto("/login");
  await call(other.page, "POST", "/api/users", { ...VIEWER, invitation: new URL(invitation).pathname.split("/").pop() });
  const viewer = await other.context.storageState();
  const { visitors } = await call(page, "GET", `/api/websites/${id}/visitors`);
  await Promise.all([context.close(), other.context.close()]);
  known = { owner, viewer, id, code, key, funnel, visitor: visitors.at(-1).id, bare: `/websites/${bare.id}` };
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const home = () => `/websites/${known.id}`;
const tile = (page, name) => page.getByRole("radio", { name: new RegExp(`^${name}`) });
const panel = (page, name) => page.getByRole("region", { name, exact: true });
/** What a tile shows, once nothing is being counted. */
const shown = async (page, name) => {
  await settled(page);
  return Number((await tile(page, name).locator(".v").innerText()).replace(/[^\d.]/g, ""));
};
/** Waits until a tile shows a number. */
const shows = (page, name, value, what = name) => becomes(() => shown(page, name), value, what);
/** Numbers of the console for a view. */
const totals = (page, query) => call(page, "GET", `/api/websites/${known.id}/totals?${query}`);
const berlin = new Intl.DateTimeFormat("en-CA", { timeZone: "Europe/Berlin" });
/** One answer of the Stats API for the days of a range. */
const stats = async ({ from, to }, query) => {
  const days = `from=${berlin.format(new Date(from))}&to=${berlin.format(new Date(to))}&timezone=Europe/Berlin`;
  const answer = await server.api(`/api/external/v1/stats/aggregate?website_id=${known.id}&${days}&${query}`, known.key);
  const body = await answer.json();
  assert.ok(body.success, JSON.stringify(body));
  return body.data.results;
};
async function dashboard(path = "", who = "owner") {
  const tab = await openTab(browser, server, { storageState: known[who], viewport: { width: 1440, height: 900 } });
  await tab.page.goto(home() + path);
  await tile(tab.page, "Visitors").waitFor();
  await settled(tab.page);
  return tab;
}

test("tiles are the numbers of the Stats API for the same days", async () => {
  const { page, context, problems } = await dashboard("?range=yesterday");
  for (const range of ["yesterday", "last-month"]) {
    await page.goto(`${home()}?range=${range}`);
    await tile(page, "Visitors").waitFor();
    await settled(page);
    const { range: days } = await totals(page, `range=${range}`);
    const api = await stats(days, "metrics=visitors,visits,pageviews");
    await shows(page, "Visitors", api.visitors.value, range);
    await shows(page, "Visits", api.visits.value, range);
    await shows(page, "Pageviews", api.pageviews.value, range);
    assert.ok(api.visitors.value > 0);
  }
  assert.deepEqual(problems, []);
  await context.close();
});

test("a click filters, the address has it, Back takes it away, and what was removed comes back", async () => {
  const { page, context, problems } = await dashboard("?range=last-month");
  const all = (await totals(page, "range=last-month")).now.visitors;
  await shows(page, "Visitors", all);
  await panel(page, "Pages").getByRole("button", { name: "/pricing", exact: true }).click();
  await page.getByRole("button", { name: "Edit filter: Page is /pricing" }).waitFor();
  assert.match(page.url(), /f=page:is:\/pricing$/);
  const { now, range } = await totals(page, "range=last-month&f=page:is:/pricing");
  await shows(page, "Visitors", now.visitors);
  const api = await stats(range, `metrics=visitors&filters=${encodeURIComponent("event:page==/pricing")}`);
  assert.equal(api.visitors.value, now.visitors);
  assert.ok(now.visitors > 0 && now.visitors < all);
  // Alt and a click is what is not.
  await panel(page, "Technology").getByRole("button", { name: "Chrome", exact: true }).click({ modifiers: ["Alt"] });
  await page.getByRole("button", { name: "Edit filter: Browser is not Chrome" }).waitFor();
  assert.match(page.url(), /f=browser:is_not:Chrome&f=page:is:\/pricing$/);
  const narrow = (await totals(page, "range=last-month&f=page:is:/pricing&f=browser:is_not:Chrome")).now.visitors;
  assert.ok(narrow > 0 && narrow < now.visitors);
  await shows(page, "Visitors", narrow);
  await page.goBack();
  await shows(page, "Visitors", now.visitors);
  await page.goForward();
  await shows(page, "Visitors", narrow);
  // The message stays while it has the focus.
  await page.getByRole("button", { name: "Remove filter: Browser is not Chrome" }).click();
  await page.getByRole("button", { name: "Undo" }).focus();
  await said(page, "Filter “Browser is not Chrome” removed.");
  await shows(page, "Visitors", now.visitors);
  await press("Undo")(page);
  await shows(page, "Visitors", narrow);
  await page.locator("body").press("Escape");
  await said(page, "2 filters removed.");
  await shows(page, "Visitors", all);
  // The link reproduces the view.
  await page.goto(`${home()}?range=last-month&f=page:is:/pricing&f=browser:is_not:Chrome`);
  await shows(page, "Visitors", narrow);
  await page.goto(`${home()}?f=page:equals:x&range=soon`);
  await page.getByText("2 parts of this link are not understood.").waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

/** Sabotage: leave the panels where they are, or take the first of the two filters away. */
test("filters that never match together are told once, and one click shows numbers again", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner, viewport: { width: 1440, height: 900 } });
  await page.goto(`${home()}?range=last-month&f=page:is:/&f=page:is:/pricing`);
  await page.getByText("Nothing is both “Page is /” and “Page is /pricing”.").waitFor();
  await settled(page);
  // Once, and in no words that are not of this page.
  assert.equal(await page.getByRole("alert").count(), 1);
  assert.doesNotMatch(await page.locator("body").innerText(), /could not be|has_done|page:is:/);
  assert.deepEqual(await violations(context, page), []);
  await page.getByRole("button", { name: "Remove “Page is /pricing”" }).click();
  await focused(page.locator(".bar .flt"));
  await said(page, "Filter “Page is /pricing” removed.");
  const of = async (query) => (await totals(page, `range=last-month&${query}`)).now.visitors;
  const first = await of("f=page:is:/");
  assert.ok(first > 0);
  await shows(page, "Visitors", first);
  await panel(page, "Pages").getByRole("button", { name: "/", exact: true }).waitFor();
  await page.goBack();
  await page.getByRole("button", { name: "Show either" }).click();
  await page.getByRole("button", { name: "Edit filter: Page is / or /pricing" }).waitFor();
  await shows(page, "Visitors", await of("f=page:is:/|/pricing"));
  assert.deepEqual(problems, []);
  await context.close();
});

test("outbound links and downloads have tabs of their own, which lead to filters and files", async () => {
  // A website for it: the others are looked at as they are.
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner, viewport: { width: 1440, height: 900 } });
  await page.goto("/websites");
  const team = (await call(page, "GET", "/api/session")).teams[0].id;
  const { id, tracking_code: code } = await call(page, "POST", "/api/websites", { team_id: team, domain: "links.example.org" });
  await view(server, code, { path: "/", session: "links-session-1", address: "8.8.8.8", origin: "https://links.example.org" });
  const sent = [
    ["outbound_link", "https://github.com/example/project"],
    ["outbound_link", "https://github.com/example/project"],
    ["outbound_link", "mailto:sales@links.example.org"],
    ["file_download", "https://links.example.org/files/guide.pdf"],
  ];
  for (const [event_type, href] of sent) await view(server, code, { path: "/", session: "links-session-1", address: "8.8.8.8", origin: "https://links.example.org", event_type, event_data: { href } });
  await page.goto(`/websites/${id}`);
  await tile(page, "Visitors").waitFor();
  const events = panel(page, "Events");
  const rows = async () => (await settled(page), events.locator("tbody tr").evaluateAll((all) => all.map((row) => [row.querySelector("[data-row]").textContent, row.querySelector("td.num").textContent])));
  await events.getByRole("tab", { name: "Outbound" }).click();
  await page.waitForURL(/tab\.events=outbound/);
  await becomes(rows, [["github.com/example/project", "2"], ["mailto:sales@links.example.org", "1"]]);
  await events.getByText("2 links").waitFor();
  await events.getByRole("tab", { name: "Download" }).click();
  await page.waitForURL(/tab\.events=download/);
  await becomes(rows, [["/files/guide.pdf", "1"]]);
  await events.getByText("1 file").waitFor();
  // All of them, and as a file: the same question.
  await events.getByRole("button", { name: "Show all events" }).click();
  const dialog = page.getByRole("dialog", { name: "Events" });
  await dialog.getByText("https://links.example.org/files/guide.pdf").waitFor();
  await becomes(() => dialog.locator("tbody tr").count(), 1);
  await dialog.getByRole("tab", { name: "Outbound" }).click();
  await dialog.getByText("https://github.com/example/project").waitFor();
  await dialog.getByRole("button", { name: "Close" }).first().click();
  await press("Events: export and more")(page);
  const file = await page.getByRole("menuitem", { name: "Export as CSV" }).getAttribute("href");
  const csv = await page.evaluate(async (file) => (await fetch(file)).text(), file);
  assert.match(csv, /https:\/\/github\.com\/example\/project/);
  assert.doesNotMatch(csv, /guide\.pdf/);
  await page.keyboard.press("Escape");
  // A row filters the view by its link.
  await events.getByRole("button", { name: "github.com/example/project", exact: true }).click();
  await page.waitForURL(/f=prop\.href:is:https:\/\/github\.com\/example\/project/);
  await page.getByRole("button", { name: /^Remove filter: href is / }).waitFor();
  // A kind of event is a filter, too, with values that are known; one that is not known is left out.
  await page.goto(`/websites/${id}?f=event_type:is:file_download&tab.events=outbound`);
  await page.getByRole("button", { name: "Edit filter: Kind of event is Download" }).waitFor();
  await shows(page, "Visitors", 1);
  // No event is of two kinds: the tab has none of this one, and the page is as it was.
  await events.getByText("Nothing matches").waitFor();
  await page.getByRole("button", { name: "Edit filter: Kind of event is Download" }).click();
  const edit = page.getByRole("dialog", { name: "Edit filter" });
  await edit.getByLabel("Operator").waitFor();
  assert.deepEqual(await edit.getByLabel("Operator").locator("option").allInnerTexts(), ["is", "is not"]);
  await edit.getByRole("combobox", { name: "Values" }).fill("outb");
  await page.getByRole("option", { name: "Outbound link" }).click();
  await edit.getByRole("button", { name: "Save" }).click();
  await page.waitForURL(/f=event_type:is:file_download%7Coutbound_link|f=event_type:is:file_download\|outbound_link/);
  await page.goto(`/websites/${id}?f=event_type:is:nothing&f=event_type:contains:link`);
  await page.getByText("2 parts of this link are not understood.").waitFor();
  await shows(page, "Visitors", 1);
  assert.deepEqual(problems, []);
  await context.close();
});

test("filters are made and changed in the dialog, with suggestions and by the keyboard", async () => {
  const { page, context, problems } = await dashboard("?range=last-month");
  await page.locator("body").press("f");
  const dialog = page.getByRole("dialog", { name: "Add filter" });
  await dialog.getByLabel("Dimension").selectOption("browser");
  await dialog.getByRole("combobox", { name: "Values" }).fill("fire");
  await page.getByRole("option", { name: /Firefox/ }).waitFor();
  await page.keyboard.press("Enter");
  await dialog.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByRole("button", { name: "Edit filter: Browser is Firefox" }).click();
  const edit = page.getByRole("dialog", { name: "Edit filter" });
  await edit.getByLabel("Operator").selectOption("is_not");
  await edit.getByRole("button", { name: "Save" }).click();
  await page.getByRole("button", { name: "Edit filter: Browser is not Firefox" }).waitFor();
  const { now } = await totals(page, "range=last-month&f=browser:is_not:Firefox");
  await shows(page, "Visitors", now.visitors);
  assert.deepEqual(problems, []);
  await context.close();
});

// Sabotage: show what was suggested before until the answer is there.
test("what was suggested before is not picked for what is typed", async () => {
  const { page, context, problems } = await dashboard("?range=last-month");
  await page.locator("body").press("f");
  const dialog = page.getByRole("dialog", { name: "Add filter" });
  await dialog.getByLabel("Dimension").selectOption("browser");
  const values = dialog.getByRole("combobox", { name: "Values" });
  await values.click();
  await page.getByRole("option", { name: /Firefox/ }).waitFor();
  let answer;
  const isTime = new Promise((resolve) => (answer = resolve));
  await page.route(/\/values\?.*q=fire/, async (route) => {
    await isTime;
    await route.continue();
  });
  await values.fill("fire");
  await page.keyboard.press("Enter");
  answer();
  await dialog.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByRole("button", { name: "Edit filter: Browser is Firefox" }).waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

test("chips, days and tabs are reached and changed by the keyboard", async () => {
  const { page, context, problems } = await dashboard("?range=last-month&f=browser:is:Chrome&f=page:is:/pricing");
  const chip = (words) => page.getByRole("button", { name: `Edit filter: ${words}` });
  await chip("Browser is Chrome").focus();
  await page.keyboard.press("ArrowRight");
  await focused(page.getByRole("button", { name: "Remove filter: Browser is Chrome" }));
  await page.keyboard.press("ArrowRight");
  await focused(chip("Page is /pricing"));
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Edit filter" }).waitFor();
  await page.keyboard.press("Escape");
  await focused(chip("Page is /pricing"));
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("Delete");
  await page.waitForURL(/\?range=last-month&f=page:is:\/pricing$/);
  await focused(chip("Page is /pricing"));
  await page.keyboard.press("Delete");
  await page.waitForURL(/\?range=last-month$/);
  await focused(page.locator(".bar .flt"));

  // The days: by day, week and month, and two of them are a range.
  await page.getByRole("button", { name: "Range: Last month" }).focus();
  await page.keyboard.press("Enter");
  const range = page.getByRole("dialog", { name: "Date range" });
  await focused(range.getByRole("button", { name: "Last month" }));
  const day = (iso) => range.locator(`[data-day="${iso}"]`);
  const { from } = (await totals(page, "range=last-month")).range;
  const first = berlin.format(new Date(from));
  const plus = (days) => berlin.format(new Date(Date.parse(`${first}T12:00:00Z`) + days * 86_400_000));
  await day(first).focus();
  for (const [key, days] of [["ArrowRight", 1], ["ArrowDown", 8], ["ArrowUp", 1], ["ArrowLeft", 0]]) {
    await page.keyboard.press(key);
    await focused(day(plus(days)));
  }
  await page.keyboard.press("PageUp");
  const earlier = `${berlin.format(new Date(Date.parse(`${first}T12:00:00Z`) - 86_400_000)).slice(0, 8)}01`;
  await focused(day(earlier));
  await page.keyboard.press("PageDown");
  await focused(day(first));
  await page.keyboard.press("Enter");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await press("Apply")(page);
  await page.waitForURL(new RegExp(`\\?from=${first}&to=${plus(1)}$`));

  // Tabs: arrows choose.
  await panel(page, "Pages").getByRole("tab", { name: "Top" }).focus();
  await page.keyboard.press("ArrowRight");
  await page.waitForURL(/tab\.pages=entry/);
  await focused(panel(page, "Pages").getByRole("tab", { name: "Entry" }));
  assert.deepEqual(problems, []);
  await context.close();
});

test("a thumb filters anywhere on a name, and excludes where that can be seen", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner, viewport: { width: 390, height: 800 }, hasTouch: true, isMobile: true });
  await page.goto(`${home()}?range=last-month`);
  const row = panel(page, "Pages").getByRole("button", { name: "/pricing", exact: true });
  await row.waitFor();
  await settled(page);
  const cell = row.locator("xpath=ancestor::td");
  await cell.scrollIntoViewIfNeeded();
  const { width, height } = await cell.boundingBox();
  await cell.tap({ position: { x: width - 12, y: height / 2 } });
  await page.getByRole("button", { name: "Edit filter: Page is /pricing" }).waitFor();
  await page.goto(`${home()}?range=last-month&show=pages`);
  await page.getByRole("dialog").getByRole("button", { name: "Exclude /pricing" }).tap();
  await page.getByRole("button", { name: "Edit filter: Page is not /pricing" }).waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

test("who cannot point at a number reads what the chosen one is", async () => {
  const words = "In the API: visitors.";
  const phone = await openTab(browser, server, { storageState: known.owner, viewport: { width: 390, height: 800 }, hasTouch: true, isMobile: true });
  const chart = phone.page.locator("figure.chart");
  await phone.page.goto(`${home()}?range=last-month`);
  await chart.getByText(words).waitFor();
  await tile(phone.page, "Pageviews").tap();
  await chart.getByText("In the API: pageviews.").waitFor();
  assert.equal(await chart.getByText(words).count(), 0);
  const desk = await dashboard("?range=last-month");
  assert.equal(await desk.page.locator("figure.chart").getByText(words).isVisible(), false, "a pointer shows it at the number");
  assert.deepEqual([...phone.problems, ...desk.problems], []);
  await Promise.all([phone.context.close(), desk.context.close()]);
});

test("a row that is excluded by its key leaves the focus in its list", async () => {
  const { page, context, problems } = await dashboard("?range=last-month");
  await panel(page, "Pages").getByRole("button", { name: "/", exact: true }).focus();
  await page.keyboard.press("ArrowDown");
  const gone = await page.evaluate(() => document.activeElement.textContent);
  await page.keyboard.press("x");
  await page.getByRole("button", { name: `Edit filter: Page is not ${gone}` }).waitFor();
  await panel(page, "Pages").getByRole("button", { name: gone, exact: true }).waitFor({ state: "detached" });
  await page.waitForFunction(() => document.activeElement.matches(".bars [data-row]"));
  assert.deepEqual(problems, []);
  await context.close();
});

test("the first numbers are asked for at once, not after each other", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner });
  // Who is signed in is not said before the others were asked.
  const asked = [];
  await page.route("**/api/session", async (route) => {
    const count = (end) => asked.filter((path) => path.endsWith(end)).length;
    while (count("/totals") < 1 || count("/series") < 1 || count("/breakdown") < 3) await page.waitForRequest(/.*/);
    await route.continue();
  });
  page.on("request", (request) => asked.push(new URL(request.url()).pathname));
  await page.goto(`${home()}?range=last-month&metric=pageviews`);
  await tile(page, "Visitors").waitFor();
  await settled(page);
  assert.deepEqual(asked.filter((path) => path === "/api/websites"), [], "the numbers of all websites are for whoever opens their list");
  for (const end of ["/totals", "/series", known.id]) assert.equal(asked.filter((path) => path.endsWith(end) && path.startsWith("/api/")).length, 1, end);
  assert.deepEqual(problems, []);
  await context.close();
});

test("compared with the period before; a file has the filters and every row", async () => {
  const { page, context, problems } = await dashboard("?range=last-month&f=browser:is:Chrome");
  await page.locator("body").press("c");
  await page.waitForURL(/compare=previous/);
  const { now, before } = await totals(page, "range=last-month&compare=previous&f=browser:is:Chrome");
  await tile(page, "Visitors").getByText(`from ${before.visitors}`).waitFor();
  await shows(page, "Visitors", now.visitors);
  await panel(page, "Pages").getByRole("button", { name: "Pages: export and more" }).click();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("menuitem", { name: "Export as CSV" }).click()]);
  assert.match(download.suggestedFilename(), /example\.com_page_filtered_.*\.csv$/);
  const stream = await download.createReadStream();
  let csv = "";
  for await (const chunk of stream) csv += chunk;
  const { rows, total_rows } = await call(page, "GET", `/api/websites/${known.id}/breakdown?range=last-month&dimension=page&limit=1000&f=browser:is:Chrome`);
  const [head, ...lines] = csv.trim().split(/\r?\n/).map((line) => line.split(","));
  assert.equal(lines.length, total_rows);
  for (const row of rows) {
    const line = lines.find(([value]) => value === row.value);
    assert.equal(Number(line[head.indexOf("visitors")]), row.visitors, row.value);
  }
  assert.deepEqual(problems, []);
  await context.close();
});

test("ranges by presets, keys, steps and typed dates", async () => {
  const { page, context, problems } = await dashboard();
  await page.getByRole("button", { name: "Range: Last 28 days" }).click();
  await page.getByRole("button", { name: "Last month" }).click();
  await page.waitForURL(/\?range=last-month$/);
  await page.locator("body").press("e");
  await page.waitForURL(/\?range=yesterday$/);
  await page.locator("body").press("ArrowRight");
  await page.waitForURL(/\?range=today$/);
  await page.getByRole("button", { name: "Range: Today" }).click();
  await page.getByLabel("From", { exact: true }).fill("3.2.2026");
  await page.getByLabel("To", { exact: true }).fill("nonsense");
  await press("Apply")(page);
  await page.getByText("Write a date, such as 13 Jun 2026.").waitFor();
  await page.getByLabel("To", { exact: true }).fill("5 Mar 2026");
  await press("Apply")(page);
  await page.waitForURL(/\?from=2026-02-03&to=2026-03-05$/);
  // With the year where it is another one.
  await page.getByText(/No visits between 3 Feb( 2026)? and 5 Mar( 2026)?\./).waitFor();
  await press("Show last 90 days")(page);
  await page.waitForURL(/\?range=90d$/);
  await until(async () => (await shown(page, "Visitors")) > 0, "the last 90 days have visitors");
  assert.deepEqual(problems, []);
  await context.close();
});

test("the chart is read and zoomed by the keyboard, and is a table", async () => {
  const { page, context, problems } = await dashboard("?range=last-month&metric=pageviews");
  const { points } = await call(page, "GET", `/api/websites/${known.id}/series?range=last-month&metric=pageviews`);
  const chart = page.getByRole("application");
  await chart.focus();
  await page.keyboard.press("Home");
  await page.keyboard.press("ArrowRight");
  await becomes(async () => Number((await page.locator(".tip dd").first().innerText()).replace(/\D/g, "")), points[1].value, "the second bucket");
  await page.waitForFunction(() => [...document.querySelectorAll("[aria-live=polite]")].some((one) => /pageviews/.test(one.textContent)));
  await page.keyboard.press("Enter");
  await page.waitForURL(/from=(\d{4}-\d\d-\d\d)&to=\1&metric=pageviews$/);
  await shows(page, "Pageviews", points[1].value);
  await page.goBack();
  await page.waitForURL(/\?range=last-month&metric=pageviews$/);
  await settled(page);
  await page.locator("body").press("b");
  const cells = page.getByRole("region", { name: "Chart as a table" }).locator("tbody tr td:nth-child(2)");
  await becomes(async () => (await cells.allInnerTexts()).map((text) => Number(text.replace(/\D/g, ""))), points.map(({ value }) => value), "the table has the points of the chart");
  assert.deepEqual(problems, []);
  await context.close();
});

test("all rows, with search and sort, in the address", async () => {
  const { page, context, problems } = await dashboard("?range=last-month");
  await panel(page, "Pages").getByRole("button", { name: "Show all pages" }).click();
  const dialog = page.getByRole("dialog", { name: "Pages" });
  await dialog.getByRole("searchbox", { name: "Find in pages" }).fill("docs");
  await page.waitForURL(/show=pages&q=docs$/);
  const names = () => dialog.locator("tbody .rowlink").allInnerTexts();
  await until(async () => (await names()).length >= 3 && (await names()).every((name) => name.includes("docs")), "the rows have what is searched for");
  await dialog.getByRole("button", { name: "Page", exact: true }).click();
  await page.waitForURL(/sort=-?value/);
  await page.reload();
  await dialog.getByRole("searchbox", { name: "Find in pages" }).waitFor();
  await becomes(() => dialog.getByRole("searchbox").inputValue(), "docs", "the search comes back");
  await page.keyboard.press("Escape");
  await page.waitForURL(/\?range=last-month$/);
  assert.deepEqual(problems, []);
  await context.close();
});

test("goals and funnels are made, counted, changed and deleted", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner });
  await page.goto(`${home()}/goals?range=last-month`);
  const row = (name) => page.getByRole("row").filter({ has: page.getByRole("link", { name, exact: true }) });
  await row("Pricing seen").waitFor();
  const { goals } = await call(page, "GET", `/api/websites/${known.id}/goals?range=last-month`);
  const pricing = goals.find(({ name }) => name === "Pricing seen");
  assert.ok(pricing.numbers.conversions > 0);
  await row("Pricing seen").getByRole("cell", { name: String(pricing.numbers.conversions), exact: true }).waitFor();

  await press("New")(page);
  await press("New goal", "menuitem")(page);
  await press("Add goal")(page);
  await page.getByText("Write a name.").waitFor();
  await page.getByLabel("Name", { exact: true }).fill("Docs read");
  await page.getByLabel("Counts when: how the path is compared").selectOption("starts_with");
  await page.getByLabel("Counts when: path").fill("/docs");
  await press("Add goal")(page);
  await said(page, "Goal “Docs read” added.");
  await row("Docs read").getByRole("button", { name: "Docs read: menu" }).click();
  await press("Delete", "menuitem")(page);
  await page.getByRole("alertdialog").getByRole("button", { name: "Delete", exact: true }).click();
  await row("Docs read").waitFor({ state: "detached" });

  await page.getByRole("heading", { name: "Pricing to sign-up" }).waitFor();
  const { steps } = await call(page, "GET", `/api/websites/${known.id}/funnels/${known.funnel}/report?range=last-month`);
  await becomes(async () => (await page.locator(".fstep .v").allInnerTexts()).map((text) => Number(text.replace(/\D/g, ""))), steps.map(({ visitors }) => visitors), "the steps");
  assert.ok(steps[0].visitors > steps[1].visitors && steps[2].visitors > 0);
  await page.getByRole("button", { name: "Pricing to sign-up: menu" }).click();
  await press("Edit", "menuitem")(page);
  await press("Step 2: remove")(page);
  await press("Save")(page);
  await said(page, "Saved.");
  await page.getByText("2 steps, in order, in one visit").waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

test("the live view moves without a reload", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner });
  await page.clock.install();
  await page.goto(`${home()}/live`);
  await page.getByText("connected").waitFor();
  await view(server, known.code, { path: "/just-now", session: "a-session-of-now", address: "203.0.113.77" });
  await page.getByRole("cell", { name: "/just-now" }).waitFor();
  const shown = async () => Number(await page.locator(".stats dd").first().innerText());
  await until(async () => (await shown()) === (await call(page, "GET", `/api/websites/${known.id}/live`)).visitors, "the count is that of the API");
  // Who hears the page is told the count each half minute, also where it never rests that long.
  for (const [at, path] of ["/and-then", "/and-again"].entries()) {
    await page.clock.fastForward(20_000);
    await view(server, known.code, { path, session: `another-session-of-now-${at}`, address: `203.0.113.8${at}` });
    await page.getByRole("cell", { name: path }).waitFor();
  }
  await page.clock.fastForward(20_000);
  await page.clock.pauseAt((await page.evaluate(() => Date.now())) + 100);
  await page.clock.runFor(100);
  await until(async () => /online/.test(await page.locator("#announcer").innerText()), "the count was told");
  assert.deepEqual(problems, []);
  await context.close();
});

test("the list of websites opens with their numbers, on the one that is shown", async () => {
  const { page, context, problems } = await dashboard();
  await page.getByRole("button", { name: "Website example.com" }).click();
  await page.getByRole("menuitemradio", { name: "bare.example.net" }).waitFor();
  await page.waitForFunction(() => document.activeElement.textContent.startsWith("example.com"));
  assert.deepEqual(problems, []);
  await context.close();
});

test("what is printed is light, whatever the screen is", async () => {
  const { page, context, problems } = await dashboard("?range=last-month&compare=previous&f=browser:is:Chrome");
  await page.evaluate(() => (document.documentElement.dataset.theme = "dark"));
  await page.emulateMedia({ media: "print" });
  const ink = () => page.evaluate(() => getComputedStyle(document.querySelector(".tile .v")).color);
  await becomes(ink, "rgb(25, 28, 27)", "the ink of what is printed");
  assert.equal(await page.locator(".rail").isVisible(), false);
  const head = await page.locator(".printhead").innerText();
  for (const words of ["Last month", "compared with the previous period", "Only visits with Browser is Chrome", "Europe/Berlin"]) assert.ok(head.includes(words), head);
  assert.deepEqual(problems, []);
  await context.close();
});

test("visitors are filtered by the keyboard, and what was removed comes back", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner });
  await page.goto(`${home()}/visitors?f=browser:is:Chrome`);
  await page.getByRole("button", { name: "Edit filter: Browser is Chrome" }).waitFor();
  await page.locator("body").press("f");
  await page.getByRole("dialog", { name: "Add filter" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.locator("body").press("Escape");
  // The message stays while it has the focus.
  await page.getByRole("button", { name: "Undo" }).focus();
  await page.waitForURL(({ search }) => search === "");
  await said(page, "Filter removed.");
  await press("Undo")(page);
  await page.getByRole("button", { name: "Edit filter: Browser is Chrome" }).waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

test("a visitor is looked at and erased", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner });
  await page.goto(`${home()}/visitors`);
  const first = page.locator("tbody a.cover").first();
  const name = await first.innerText();
  await first.click();
  await page.getByRole("heading", { name: `Visitor ${name}` }).waitFor();
  await page.getByRole("button", { name: "Erase this visitor…" }).click();
  await page.getByRole("alertdialog").getByText(/^Erases \d+ visits? and \d+ events? of visitor .+, with clicks, errors and page speed\. Totals change by 1 visitor\./).waitFor();
  await page.getByRole("alertdialog").getByRole("button", { name: "Erase", exact: true }).click();
  await said(page, "Visitor erased.");
  await page.waitForURL(/\/visitors$/);
  assert.deepEqual(problems, []);
  await context.close();
});

test("a website that is paused says so where its numbers are, and goes on with a click", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner });
  await page.goto("/login");
  const pause = (is_active) => call(page, "PATCH", `/api${known.bare}`, { settings: { is_active } });
  await pause(false);
  await page.goto(known.bare);
  await page.getByText("Paused. Events are dropped.").waitFor();
  assert.deepEqual(await violations(context, page), []);
  const other = await openTab(browser, server, { storageState: known.viewer });
  await other.page.goto(known.bare);
  await other.page.getByText("Paused. Events are dropped.").waitFor();
  assert.equal(await other.page.getByRole("button", { name: "Resume", exact: true }).count(), 0);
  await page.getByRole("button", { name: "Resume", exact: true }).click();
  await page.getByText("Paused. Events are dropped.").waitFor({ state: "detached" });
  await becomes(async () => (await call(page, "GET", `/api${known.bare}`)).settings.is_active, true, "it counts again");
  assert.deepEqual([...problems, ...other.problems], []);
  await Promise.all([context.close(), other.context.close()]);
});

test("a website that is silent says so, and leads to its install", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner });
  await page.goto("/websites");
  const team = (await call(page, "GET", "/api/session")).teams[0].id;
  const { id, tracking_code: code } = await call(page, "POST", "/api/websites", { team_id: team, domain: "quiet.example.org" });
  await store(server, known.key, code, traffic({ now: Date.now() - 4 * 86_400_000, days: 0, perDay: 2 }).slice(0, 1));
  await page.reload();
  await page.getByRole("row").filter({ hasText: "quiet.example.org" }).getByText(/^Silent for [45] days$/).waitFor();
  await page.getByRole("row").filter({ hasText: "quiet.example.org" }).getByRole("cell", { name: "up new" }).waitFor();
  await page.goto(`/websites/${id}`);
  await page.getByText(/^Silent for [45] days\./).waitFor();
  await page.getByRole("link", { name: "Check the install" }).click();
  await page.getByRole("region", { name: "Install Health" }).getByText(/^No event has arrived for [45] days\.$/).waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

test("a viewer reads and changes nothing", async () => {
  const { page, context, problems } = await dashboard("", "viewer");
  await page.goto(`${home()}/goals`);
  const make = page.getByRole("button", { name: "New", exact: true });
  await settled(page);
  await becomes(() => make.getAttribute("aria-disabled"), "true", "a viewer makes none");
  assert.equal(await page.getByRole("button", { name: /: menu$/ }).count(), 0);
  assert.deepEqual(problems, []);
  await context.close();
});

/** Opens the palette and types at once: no letter is lost, and none is the key of something else. */
async function palette(page) {
  await page.keyboard.press("Control+k");
  await page.keyboard.type("go");
  await page.getByRole("option", { name: "Goals and funnels" }).waitFor();
  await becomes(() => page.getByRole("combobox").inputValue(), "go", "the palette has what was typed");
}

/** The pages of numbers, as they are looked at. */
const pages = () => {
  const view = "?compare=previous&f=browser:is_not:Edge";
  return [
    ["owner", "analytics", home() + view, "example.com"],
    ["owner", "analytics-table", home() + view, "example.com", async (page) => { await page.locator("body").press("b"); await page.getByRole("region", { name: "Chart as a table" }).waitFor(); }],
    ["owner", "analytics-range", home() + view, "example.com", opens("Range: Last 28 days")],
    ["owner", "analytics-filter", home() + view, "example.com", opens("Add filter")],
    ["owner", "analytics-menu", home(), "example.com", opens("Export, share and more")],
    ["owner", "analytics-all", `${home()}${view}&show=sources&tab.sources=source`, "example.com"],
    ["owner", "analytics-nothing", `${home()}?from=2026-01-01&to=2026-01-02`, "example.com"],
    ["owner", "analytics-none-match", `${home()}?f=page:is:/nowhere`, "example.com"],
    ["owner", "analytics-other-tabs", `${home()}?metric=conversion_rate&interval=week&range=90d&tab.events=property&tab.pages=entry&tab.places=city&tab.sources=utm_campaign&tab.tech=device`, "example.com"],
    ["owner", "analytics-outbound", `${home()}?tab.events=outbound`, "example.com"],
    ["owner", "analytics-hours", `${home()}?range=yesterday&compare=previous`, "example.com"],
    ["owner", "analytics-menu-of-panel", home(), "example.com", opens("Pages: export and more")],
    ["owner", "analytics-loading", home(), "example.com", waiting(/\/api\/.*\/(breakdown|totals|series|goals|live)\b/)],
    ["owner", "analytics-failed", home(), "example.com", refused(/\/api\/.*\/(breakdown|totals|series|goals)\b/)],
    ["owner", "analytics-bare", known.bare, "bare.example.net"],
    ["owner", "live-empty", `${known.bare}/live`, "Live"],
    ["owner", "goals-empty", `${known.bare}/goals`, "Goals and funnels"],
    ["owner", "visitors-empty", `${known.bare}/visitors?f=page:is:/nowhere`, "Visitors"],
    ["owner", "palette", home(), "example.com", palette],
    ["owner", "keys", home(), "example.com", async (page) => { await page.keyboard.press("?"); await opened(page); }],
    ["owner", "live", `${home()}/live`, "Live"],
    ["owner", "visitors", `${home()}/visitors`, "Visitors"],
    ["owner", "visitor", `${home()}/visitors/${known.visitor}`, /^Visitor /],
    ["owner", "visitor-erase", `${home()}/visitors/${known.visitor}`, /^Visitor /, opens("Erase this visitor…")],
    ["owner", "visitor-lost", `${home()}/visitors/nobody`, "There is no page here"],
    ["owner", "goal-delete", `${home()}/goals`, "Goals and funnels", async (page) => { await opens("Pricing seen: menu")(page); await opens("Delete", "menuitem")(page); }],
    ["owner", "goals-loading", `${home()}/goals`, "Goals and funnels", waiting(/\/api\/.*\/(goals|funnels)\b/)],
    ["owner", "goals", `${home()}/goals?compare=previous`, "Goals and funnels"],
    ["owner", "goal-new", `${home()}/goals`, "Goals and funnels", async (page) => { await opens("New")(page); await opens("New goal", "menuitem")(page); }],
    ["owner", "funnel", `${home()}/funnels/${known.funnel}`, "Pricing to sign-up"],
    ["owner", "funnel-new", `${home()}/goals`, "Goals and funnels", async (page) => { await opens("New")(page); await opens("New funnel", "menuitem")(page); }],
    ["viewer", "goals-viewer", `${home()}/goals`, "Goals and funnels"],
  ];
};
tour(() => ({ server, browser, storage: known }), pages);
