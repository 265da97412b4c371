// Every page of people, workspaces, keys and website settings: no violation of axe, no error, no request elsewhere, no overflow.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openTab, startBrowser, startServer } from "./harness.mjs";
import { call, opened, opens, press, refused, tour, waiting } from "./tour.mjs";
import { becomes, calm, changes, focused, said, settled, until } from "./wait.mjs";

const OWNER = { name: "Ada Owner", email: "owner@example.com", password: "correct horse battery" };
const VIEWER = { name: "Vera Viewer", email: "viewer@example.com", password: "another horse battery" };
const FREE = { name: "Fred Free", email: "free@example.com", password: "one more horse battery" };

let server;
let browser;
let known;

before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
  const { page, context } = await openTab(browser, server);
  await page.goto("/login");
  const token = server.welcome.split("#")[1];
  await call(page, "POST", "/api/welcome", { token, ...OWNER, website: { domain: "shop.example.com", name: "Shop" } });
  const { teams } = await call(page, "GET", "/api/session");
  const team = teams[0].id;
  const { websites } = await call(page, "GET", "/api/websites");
  const [{ id: waiting }] = websites;
  const busy = await call(page, "POST", "/api/websites", { team_id: team, domain: "docs.example.com", name: "Docs", time_zone: "Europe/Berlin" });
  assert.equal(await server.hit(busy.tracking_code, "https://docs.example.com/install"), 200);
  assert.equal(await server.hit(busy.tracking_code, "https://staging.example.net/"), 403);
  const personal = await call(page, "POST", "/api/account/keys", { name: "Production" });
  await server.api("/api/external/v1/websites", personal.key);
  await call(page, "POST", `/api/teams/${team}/keys`, { name: "Nightly export", website_ids: [busy.id] });
  const { url } = await call(page, "POST", `/api/teams/${team}/invitations`, { role: "viewer" });
  await call(page, "POST", `/api/teams/${team}/invitations`, { role: "editor", email: "new@example.com" });
  const told = await call(page, "POST", "/api/status/incidents", { title: "Live numbers are late", state: "degraded", components: ["api"], message: "The disk is slow while a backup runs." });
  await call(page, "POST", `/api/status/incidents/${told.id}/updates`, { phase: "resolved", message: "Live numbers are on time again. No event was lost." });
  const owner = await context.storageState();

  const other = await openTab(browser, server);
  await other.page.goto("/login");
  await call(other.page, "POST", "/api/users", { ...VIEWER, invitation: new URL(url).pathname.split("/").pop() });
  const viewer = await other.context.storageState();
  await other.context.close();
  const { url: open } = await call(page, "POST", `/api/teams/${team}/invitations`, { role: "viewer" });
  const { url: addressed } = await call(page, "POST", `/api/teams/${team}/invitations`, { role: "admin", email: "somebody@example.com" });

  // Somebody whose only workspace is on Free, and nobody has a website there.
  const small = (await call(page, "POST", "/api/teams", { name: "Small" })).id;
  await call(page, "PUT", `/api/teams/${small}/plan`, { plan: "free" });
  const { url: toSmall } = await call(page, "POST", `/api/teams/${small}/invitations`, { role: "editor" });
  const third = await openTab(browser, server);
  await third.page.goto("/login");
  await call(third.page, "POST", "/api/users", { ...FREE, invitation: new URL(toSmall).pathname.split("/").pop() });
  const free = await third.context.storageState();
  await third.context.close();
  await context.close();
  known = { owner, viewer, free, waiting, busy: busy.id, key: personal.id, invite: new URL(open).pathname, addressed: new URL(addressed).pathname };
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Tries to add a passkey with a password, on a device that makes none. */
const passkey = (password, words) => async (page) => {
  await page.evaluate(() => (navigator.credentials.create = () => Promise.reject(new DOMException("", "NotAllowedError"))));
  await press("Add a passkey")(page);
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name", { exact: true }).fill("Phone");
  await dialog.getByLabel("Password", { exact: true }).fill(password);
  await dialog.getByRole("button", { name: "Continue" }).click();
  await dialog.getByText(words).waitFor();
};
/** Sends a form that is filled in. */
const sent = (open, fields, send, words) => async (page) => {
  await press(open)(page);
  const dialog = page.getByRole("dialog");
  for (const [name, value] of Object.entries(fields)) await dialog.getByLabel(name, { exact: true }).fill(value);
  await dialog.getByRole("button", { name: send, exact: true }).click();
  await dialog.getByText(words).first().waitFor();
};

/** Who sees the page, its name, its address, its heading, and what is done on it first. */
/** What the server did, before its first minute was over. */
const quiet = {
  since: "2026-06-13T12:00:00.000Z",
  step_seconds: 60,
  points: [],
  events: { stored: 0, dropped: 0, refused: 0, reasons: [] },
  requests: ["events", "api", "pages"].map((name) => ({ class: name, count: 0, client_errors: 0, server_errors: 0, p50_ms: null, p95_ms: null, p99_ms: null })),
  now: { at: "2026-06-13T12:00:00.000Z", queue: 0, memory_bytes: 62_914_560 },
  disk: { data_bytes: 1_048_576, free_bytes: 42_949_672_960, size_bytes: 85_899_345_920, data_bytes_per_day: null, full_in_days: null, growth_is_known: false },
  slow_questions: { over_ms: 500, count: 0, slowest: [] },
};
/** What it did in a day, of which nobody looked for half an hour. */
const busyDay = () => {
  const known = (index) => index < 12 || index > 17;
  const points = Array.from({ length: 288 }, (_, index) => {
    const of = (value) => (known(index) ? value : null);
    const wave = 1 + Math.sin(index / 40);
    return {
      at: new Date(Date.UTC(2026, 5, 13, 12) + index * 300_000).toISOString(),
      measured_seconds: known(index) ? 300 : 0,
      stored: of(Math.round(4_000 + 1_000 * wave)),
      dropped: of(140),
      refused: of(10),
      events_p95_ms: of(3 + wave),
      api_p95_ms: of(40 + 30 * wave),
      server_errors: of(0),
      slow_questions: of(0),
      queue: of(index % 50 === 0 ? 3 : 0),
      memory_bytes: of(94_371_840),
      data_bytes: of(7_000_000_000 + index * 5_000_000),
      disk_free_bytes: of(20_000_000_000 - index * 5_000_000),
    };
  });
  const slow = { at: "2026-06-14T10:14:16.000Z", route: "/api/websites/{website_id}/breakdown", website: { id: "0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b", domain: "shop.example.com" }, waited_ms: 20, took_ms: 2_812, end: "answered" };
  return {
    ...quiet,
    step_seconds: 300,
    points,
    events: {
      stored: 1_440_000,
      dropped: 40_300,
      refused: 2_900,
      reasons: [
        { outcome: "dropped", reason: "bot", count: 40_000 },
        { outcome: "refused", reason: "domain_not_authorized", count: 2_500 },
        { outcome: "refused", reason: "queue_full", count: 400 },
        { outcome: "dropped", reason: "gpc_opted_out", count: 300 },
      ],
    },
    requests: [
      { class: "events", count: 1_483_200, client_errors: 2_500, server_errors: 400, p50_ms: 1.8, p95_ms: 4.2, p99_ms: 9.7 },
      { class: "api", count: 8_214, client_errors: 12, server_errors: 0, p50_ms: 12.5, p95_ms: 71, p99_ms: 612 },
      { class: "pages", count: 2_120, client_errors: 3, server_errors: 0, p50_ms: 0.5, p95_ms: 0.9, p99_ms: 2.4 },
    ],
    now: { at: "2026-06-14T12:00:00.000Z", queue: 0, memory_bytes: 94_371_840 },
    disk: { data_bytes: 8_440_000_000, free_bytes: 18_560_000_000, size_bytes: 85_899_345_920, data_bytes_per_day: 1_440_000_000, full_in_days: 12, growth_is_known: true },
    slow_questions: { over_ms: 500, count: 2, slowest: [slow, { ...slow, at: "2026-06-14T09:01:00.000Z", route: "/mcp", website: null, waited_ms: 0, took_ms: 700, end: "cancelled" }] },
  };
};
/** The page with this in place of what the server did. */
const told = (data) => async (page) => {
  await page.route("**/api/server/activity?*", (route) => route.fulfill({ json: { success: true, data, timestamp: data.since } }));
  await page.reload();
  await page.getByText("Memory of the server").waitFor();
};

const pages = () => [
  ["nobody", "login", "/login", "Sign in"],
  ["nobody", "login-wrong", "/login", "Sign in", async (page) => { await press("Sign in")(page); await page.locator("[aria-invalid=true]").first().waitFor(); }],
  ["nobody", "totp", "/login/totp", "Enter your code"],
  ["nobody", "backup", "/login/backup", "Enter a backup code"],
  ["nobody", "signup", "/signup", "Sign-up is by invitation here."],
  ["nobody", "invite", known.invite, /^Join /],
  ["nobody", "invite-addressed", known.addressed, /^Join /],
  ["viewer", "invite-other", known.addressed, /^Join /],
  ["free", "invite-join", known.invite, /^Join /],
  ["nobody", "invite-ended", "/invite/nothing", "This invitation has ended."],
  ["nobody", "reset", "/reset", "Reset your password"],
  ["nobody", "reset-link", "/reset/nothing", "Choose a new password"],
  ["nobody", "status", "/status", "Status"],
  ["owner", "status-operator", "/status", "Status"],
  ["owner", "status-incident", "/status", "Status", press("Write an incident")],
  ["owner", "status-maintenance", "/status", "Status", async (page) => { await press("Write an incident")(page); await page.getByLabel("State").selectOption("maintenance"); }],
  ["owner", "websites", "/websites", "Websites"],
  ["owner", "websites-cards", "/websites?layout=cards", "Websites"],
  ["owner", "websites-none", "/websites?q=nothing", "Websites"],
  ["owner", "websites-menu", "/websites?layout=cards", "Websites", opens("Menu of docs.example.com")],
  ["owner", "websites-loading", "/websites", "Websites", waiting("**/api/websites?*")],
  ["owner", "websites-failed", "/websites", "Websites", refused("**/api/websites?*")],
  ["free", "websites-empty", "/websites", "Websites"],
  ["owner", "switcher", "/websites", "Websites", async (page) => { await page.locator(".switch-site").filter({ visible: true }).click(); await opened(page); }],
  ["owner", "account-menu", "/websites", "Websites", async (page) => { await page.locator("[title='Account menu']").filter({ visible: true }).click(); await opened(page); }],
  ["owner", "website-new", "/websites/new", "Add a website"],
  ["owner", "install", `/websites/${known.waiting}`, "shop.example.com"],
  ...["General", "Tracking", "Privacy", "Features", "Danger"].map((part) => ["owner", `website-${part.toLowerCase()}`, `/websites/${known.busy}/settings/${part.toLowerCase()}`, part]),
  ["owner", "website-delete", `/websites/${known.busy}/settings/danger`, "Danger", opens("Delete")],
  ["owner", "account", "/settings/account", "Profile"],
  ["owner", "security", "/settings/account/security", "Security & access"],
  ["owner", "security-totp", "/settings/account/security", "Security & access", opens("Set up the authenticator app")],
  ["owner", "security-passkey", "/settings/account/security", "Security & access", opens("Add a passkey")],
  ["owner", "security-passkey-wrong", "/settings/account/security", "Security & access", passkey("not the password at all", "That is not your password.")],
  ["owner", "security-passkey-given-up", "/settings/account/security", "Security & access", passkey(OWNER.password, "No passkey was made.")],
  ["owner", "security-password-weak", "/settings/account/security", "Security & access", sent("Change password", { "Current password": OWNER.password, "New password": "short" }, "Change password", "Use at least 12 characters")],
  ["owner", "security-password", "/settings/account/security", "Security & access", opens("Change password")],
  ["owner", "security-failed", "/settings/account/security", "Security & access", refused("**/api/account/**")],
  ["free", "security-free", "/settings/account/security", "Security & access"],
  ["owner", "account-delete", "/settings/account", "Profile", opens("Delete")],
  ["owner", "key-create", "/settings/account/security", "Security & access", opens("New API key – Create API key")],
  ["owner", "key", `/settings/account/security/keys/${known.key}`, "Production"],
  ["owner", "key-revoke", `/settings/account/security/keys/${known.key}`, "Production", async (page) => { await opens("Key menu")(page); await opens("Revoke", "menuitem")(page); }],
  ["owner", "key-loading", `/settings/account/security/keys/${known.key}`, "Production", waiting("**/activity")],
  ["owner", "workspace", "/settings/workspace", "General"],
  ["owner", "workspace-delete", "/settings/workspace", "General", opens("Delete")],
  ["viewer", "workspace-viewer", "/settings/workspace", "General"],
  ["viewer", "members-viewer", "/settings/workspace/members", "Members"],
  ["owner", "members", "/settings/workspace/members", "Members"],
  ["owner", "member-invite", "/settings/workspace/members", "Members", opens("Invite")],
  ["owner", "member-invited", "/settings/workspace/members", "Members", async (page) => { await press("Invite")(page); await page.getByRole("dialog").getByRole("button", { name: "Invite" }).click(); await page.getByLabel("Link of the invitation").waitFor(); }],
  ["owner", "member-remove", "/settings/workspace/members", "Members", opens(`Remove ${VIEWER.email}`)],
  ["owner", "invitations", "/settings/workspace/members/invitations", "Members"],
  ["owner", "api-keys", "/settings/api-keys", "API keys"],
  ["owner", "api-key-create", "/settings/api-keys", "API keys", opens("Create New API Key")],
  ["owner", "billing", "/settings/billing", "Billing"],
  ["owner", "billing-change", "/settings/billing", "Billing", opens("Change to Free")],
  ["viewer", "billing-viewer", "/settings/billing", "Billing"],
  ["owner", "usage", "/settings/usage", "Usage"],
  ["owner", "limits", "/settings/usage/limits", "Usage"],
  ["owner", "audit", "/settings/audit", "Audit"],
  ["owner", "server", "/settings/server", "Server health", async (page) => { await page.getByText("Open files", { exact: true }).waitFor(); }],
  ["owner", "server-page", "/settings/server", "Server health", async (page) => { await page.getByLabel("Check the tag on a page").fill("https://127.0.0.1/"); await page.getByRole("button", { name: "Check", exact: true }).click(); await page.getByText("is not fetched").waitFor(); }],
  ["viewer", "server-viewer", "/settings/server", "Server health"],
  ["owner", "activity", "/settings/server/activity", "Server activity", async (page) => { await page.getByText("Memory of the server").waitFor(); }],
  ["owner", "activity-day", "/settings/server/activity?range=24h", "Server activity", told(busyDay())],
  ["owner", "activity-table", "/settings/server/activity?range=24h", "Server activity", async (page) => { await told(busyDay())(page); await press("Table")(page); await page.getByRole("region", { name: "Chart as a table" }).waitFor(); }],
  ["owner", "activity-started", "/settings/server/activity", "Server activity", told({ ...quiet, now: null })],
  ["viewer", "activity-viewer", "/settings/server/activity", "Server activity"],
  ["owner", "lost", "/nowhere", "There is no page here"],
  ["free", "not-yours", `/websites/${known.busy}`, "There is no page here"],
  ["viewer", "install-viewer", `/websites/${known.waiting}`, "shop.example.com"],
  ["viewer", "website-viewer", `/websites/${known.busy}/settings/general`, "General"],
  ["viewer", "api-keys-viewer", "/settings/api-keys", "API keys"],
  ["viewer", "website-new-viewer", "/websites/new", "Add a website"],
];

tour(() => ({ server, browser, storage: known }), pages);

test("what the server did is read tile by tile, as a line and as a table, and the address says of which time", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner });
  await page.route("**/api/server/activity?*", (route) => {
    const isDay = new URL(route.request().url()).searchParams.get("range") === "24h";
    return route.fulfill({ json: { success: true, data: isDay ? busyDay() : quiet, timestamp: quiet.since } });
  });
  await page.goto("/settings/server/activity");
  await page.getByRole("heading", { name: "The server has just started" }).waitFor();
  await page.getByText("Known six hours after the start").first().waitFor();
  await page.getByRole("radio", { name: "Last 24 hours" }).click();
  await page.waitForURL("**/settings/server/activity?range=24h");
  await page.getByRole("radio", { name: /^Stored: 1,440,000, / }).waitFor();
  await page.getByText("About 12 days").waitFor();
  const reasons = page.getByRole("region", { name: "Why events of the last 24 hours were not stored" });
  assert.match(await reasons.innerText(), /Bot\s+Dropped\s+40,000[\s\S]*Queue full\s+The server\s+Refused\s+400/i);
  const slow = page.getByRole("region", { name: /^2 questions of the last 24 hours/ });
  assert.match(await slow.innerText(), /\/api\/websites\/\{website_id\}\/breakdown\s+2\.81.s\s+shop\.example\.com\s+Answered[\s\S]*\/mcp\s+700.ms\s+–\s+Cancelled/);
  await page.getByRole("radio", { name: /^Not stored: / }).click();
  await page.getByRole("figure", { name: "Not stored by five-minute step, the last 24 hours" }).waitFor();
  await page.getByRole("application", { name: /^Chart of not stored/ }).focus();
  await page.keyboard.press("Home");
  await page.locator(".tip").getByText("150", { exact: true }).waitFor();
  await page.keyboard.press("b");
  const table = page.getByRole("region", { name: "Chart as a table" });
  await table.waitFor();
  // Of a time in which nobody looked nothing is said.
  assert.match(await table.innerText(), /15:00\s+–/);
  await page.goBack();
  await page.getByRole("heading", { name: "The server has just started" }).waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

test("a phone shows all that is known of requests and slow questions, without scrolling aside, and a range that is not kept is told", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner, viewport: { width: 320, height: 780 } });
  await page.route("**/api/server/activity?*", (route) => route.fulfill({ json: { success: true, data: busyDay(), timestamp: quiet.since } }));
  await page.goto("/settings/server/activity?range=7d");
  const requests = page.getByRole("region", { name: /^Requests of / });
  assert.match(await requests.innerText(), /Events\s+p50 1\.8.ms, p95 4\.2.ms, p99 9\.7.ms; 2,500 refused \(4xx\), 400 failed \(5xx\)\s+1,483,200/);
  const slow = page.getByRole("region", { name: /^2 questions of / });
  assert.match(await slow.innerText(), /waited 20.ms/);
  for (const table of [requests, slow]) assert.equal(await table.evaluate((region) => region.scrollWidth > region.clientWidth), false);
  await page.getByText("The address asks for a range that is not kept. This is the last hour.").waitFor();
  assert.equal(await page.getByRole("radio", { name: "Last hour" }).getAttribute("aria-checked"), "true");
  await page.getByRole("radio", { name: "Last 24 hours" }).click();
  await page.getByText("The address asks for a range").waitFor({ state: "detached" });
  assert.deepEqual(problems, []);
  await context.close();
});

test("a form is filled in and sent by the keyboard alone", async () => {
  const { page, context, problems } = await openTab(browser, server);
  await page.goto("/login");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await focused(page.getByLabel("E-mail"));
  await page.keyboard.type(OWNER.email);
  await page.keyboard.press("Tab"); // "Forgot it?" stands before the password, and after the address.
  await page.keyboard.press("Tab");
  await page.keyboard.type(OWNER.password);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Sign in" }).waitFor({ state: "detached" });
  assert.deepEqual(problems, []);
  await context.close();
});

test("what is shown stays while the server does not answer, and is asked for again when it does", async () => {
  const { page, context } = await openTab(browser, server, { storageState: known.owner });
  await page.goto("/websites");
  await page.getByRole("link", { name: "docs.example.com" }).waitFor();
  await context.setOffline(true);
  await press("Last 28 days")(page);
  await page.getByRole("menuitemradio", { name: /^Last 7 days/ }).click();
  await page.getByText(/^The server does not answer. Numbers are from /).waitFor();
  // A try in vain changes nothing.
  await press("Now")(page);
  await page.getByRole("link", { name: "docs.example.com" }).waitFor();
  await context.setOffline(false);
  await page.getByText(/^The server does not answer. Numbers are from /).waitFor({ state: "detached" });
  await page.getByText("could not be loaded again", { exact: false }).waitFor({ state: "detached" });
  await page.getByRole("link", { name: "docs.example.com" }).waitFor();
  await context.close();
});

test("the keyboard goes on in the page that it came to, and the page is told", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner });
  await page.goto("/websites");
  await page.getByRole("link", { name: "docs.example.com" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "docs.example.com", level: 1 }).waitFor();
  await page.waitForFunction(() => document.activeElement?.id === "main");
  await page.waitForFunction(() => document.getElementById("announcer").textContent === "Analytics, docs.example.com");
  await page.goBack();
  await page.getByRole("heading", { name: "Websites", level: 1 }).waitFor();
  await page.getByRole("link", { name: "Add website" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Add a website", level: 1 }).waitFor();
  await page.waitForFunction(() => document.activeElement?.getAttribute("name") === "domain");
  assert.deepEqual(problems, []);
  await context.close();
});

test("the palette has what the role may see, parts of the settings, and a visitor by the whole id", async () => {
  /** What the palette has for a word, once `wanted` is among it. */
  const find = async (page, word, wanted) => {
    await page.keyboard.press("Control+k");
    await page.keyboard.type(word);
    await becomes(() => page.getByRole("combobox").inputValue(), word, "the palette has what was typed");
    await calm(page);
    const found = await until(async () => {
      const all = (await page.getByRole("option").allInnerTexts()).map((words) => words.replace(/\s+/g, " ").trim());
      return (wanted === undefined || all.includes(wanted)) && all;
    }, `the palette has ${wanted} for ${word}`);
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    return found;
  };
  const owner = await openTab(browser, server, { storageState: known.owner });
  await owner.page.goto(`/websites/${known.busy}`);
  await owner.page.getByRole("heading", { name: "docs.example.com", level: 1 }).waitFor();
  await settled(owner.page);
  await find(owner.page, "audit", "Audit Workspace");
  await find(owner.page, "sharing", "Sharing docs.example.com");
  await find(owner.page, "health", "Health Server");
  await find(owner.page, "00000000000000ff", "Visitor 00000000000000ff");
  const viewer = await openTab(browser, server, { storageState: known.viewer });
  await viewer.page.goto(`/websites/${known.busy}`);
  await viewer.page.getByRole("heading", { name: "docs.example.com", level: 1 }).waitFor();
  await settled(viewer.page);
  for (const word of ["audit", "billing", "health", "add a website"]) {
    assert.deepEqual((await find(viewer.page, word)).filter((found) => !/contains/.test(found)), [], word);
  }
  await Promise.all([owner.context.close(), viewer.context.close()]);
});

test("the palette opens and keeps what was typed, also when it is loaded before the page has drawn that it is wanted", async () => {
  const { page, context } = await openTab(browser, server, { storageState: known.viewer });
  await page.goto(`/websites/${known.busy}`);
  await page.getByRole("heading", { name: "docs.example.com", level: 1 }).waitFor();
  await settled(page);
  // From here on nothing is drawn, and nothing that waits for a drawing is done, until it is let go.
  await page.evaluate(() => {
    const { requestAnimationFrame, setTimeout } = window;
    const held = [];
    window.requestAnimationFrame = (act) => held.push(() => requestAnimationFrame(act));
    window.setTimeout = (act, ...rest) => (held.push(() => setTimeout(act, ...rest)), 0);
    window.letGo = () => {
      Object.assign(window, { requestAnimationFrame, setTimeout });
      for (const act of held) act();
    };
  });
  const loaded = page.waitForResponse((answer) => /\/palette-[^/]*\.js$/.test(answer.url()));
  await page.keyboard.press("Control+k");
  const address = (await loaded).url();
  await page.evaluate(async (address) => {
    await import(address);
    window.letGo();
  }, address);
  await page.keyboard.type("docs");
  await becomes(() => page.getByRole("combobox").inputValue(), "docs", "the palette has what was typed");
  await context.close();
});

test("the keys of the list lead where it says", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner });
  const home = `/websites/${known.busy}`;
  await page.goto(home);
  await page.getByRole("heading", { name: "docs.example.com", level: 1 }).waitFor();
  await page.keyboard.press("?");
  const keys = page.getByRole("dialog", { name: "Keyboard shortcuts" });
  await keys.getByText("Go to analytics, live, visitors, goals, heatmaps, replays, errors, settings, websites").waitFor();
  const letters = (await keys.locator("dl > div").filter({ hasText: "Go to analytics" }).locator("kbd").allInnerTexts()).slice(1);
  await page.keyboard.press("Escape");
  await keys.waitFor({ state: "detached" });
  assert.deepEqual(letters, ["A", "L", "V", "O", "H", "P", "R", "S", "W"]);
  const places = [home, `${home}/live`, `${home}/visitors`, `${home}/goals`, `${home}/heatmaps`, `${home}/replays`, `${home}/errors`, `${home}/settings/general`, "/websites"];
  for (const [at, letter] of letters.entries()) {
    // From elsewhere: the first is the page that is shown.
    if (at === 0) await page.goto(`${home}/visitors`);
    await page.getByRole("heading", { level: 1 }).first().waitFor();
    await page.locator("body").press("g");
    await page.keyboard.press(letter.toLowerCase());
    await page.waitForURL(({ pathname }) => pathname === places[at]);
  }
  assert.deepEqual(problems, []);
  await context.close();
});

test("whoever was signed out signs in where they were", async () => {
  const { page, context, problems } = await openTab(browser, server);
  const fill = async () => {
    await page.getByLabel("E-mail").fill(VIEWER.email);
    await page.getByLabel("Password", { exact: true }).fill(VIEWER.password);
    await press("Sign in")(page);
  };
  await page.goto("/login");
  await fill();
  await page.getByRole("link", { name: "docs.example.com" }).waitFor();
  await context.clearCookies();
  await page.getByRole("link", { name: "docs.example.com" }).click();
  await page.getByText("You were signed out. Sign in to go on where you were.").waitFor();
  await fill();
  await page.getByRole("heading", { name: "docs.example.com", level: 1 }).waitFor();
  assert.equal(new URL(page.url()).pathname, `/websites/${known.busy}`);
  assert.deepEqual(problems, []);
  await context.close();
});

test("the first stop of the keyboard skips to the content, and F6 goes to the last message", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner });
  await page.goto("/settings/account");
  await page.getByRole("heading", { name: "Profile", level: 1 }).waitFor();
  await settled(page);
  await page.keyboard.press("Tab");
  await focused(page.getByRole("link", { name: "Skip to content" }));
  await page.keyboard.press("Enter");
  await focused(page.locator("#main"));
  // Without single keys, only those with Ctrl or Alt do something.
  const single = page.getByRole("switch", { name: "Single keys are shortcuts" });
  await changes(page, "PATCH", () => single.press(" "));
  await said(page, "Saved.");
  await page.keyboard.press("F6");
  await focused(page.getByRole("button", { name: "Dismiss" }));
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Dismiss" }).waitFor({ state: "detached" });
  await page.locator("body").press("?");
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Search or type a command" }).waitFor();
  assert.equal(await page.getByRole("dialog", { name: "Keyboard shortcuts" }).count(), 0);
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await changes(page, "PATCH", () => single.press(" "));
  await said(page, "Saved.");
  await page.locator("body").press("?");
  await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});
