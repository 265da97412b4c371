// Every page of people, workspaces, keys and website settings: no violation of axe, no error, no request elsewhere, no overflow.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openTab, startBrowser, startServer } from "./harness.mjs";
import { call, press, tour } from "./tour.mjs";

const OWNER = { name: "Ada Owner", email: "owner@example.com", password: "correct horse battery" };
const VIEWER = { name: "Vera Viewer", email: "viewer@example.com", password: "another horse battery" };

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
  await context.close();
  known = { owner, viewer, waiting, busy: busy.id, key: personal.id, invite: new URL(open).pathname };
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Who sees the page, its name, its address, its heading, and what is done on it first. */
const pages = () => [
  ["nobody", "login", "/login", "Sign in"],
  ["nobody", "login-wrong", "/login", "Sign in", press("Sign in")],
  ["nobody", "totp", "/login/totp", "Enter your code"],
  ["nobody", "backup", "/login/backup", "Enter a backup code"],
  ["nobody", "signup", "/signup", "Sign-up is by invitation here."],
  ["nobody", "invite", known.invite, /^Join /],
  ["nobody", "invite-ended", "/invite/nothing", "This invitation has ended."],
  ["nobody", "reset", "/reset", "Reset your password"],
  ["nobody", "reset-link", "/reset/nothing", "Choose a new password"],
  ["nobody", "status", "/status", "Status"],
  ["owner", "status-operator", "/status", "Status"],
  ["owner", "status-incident", "/status", "Status", press("Write an incident")],
  ["owner", "websites", "/websites", "Websites"],
  ["owner", "websites-cards", "/websites?layout=cards", "Websites"],
  ["owner", "websites-none", "/websites?q=nothing", "Websites"],
  ["owner", "website-new", "/websites/new", "Add a website"],
  ["owner", "install", `/websites/${known.waiting}`, "shop.example.com"],
  ...["General", "Tracking", "Privacy", "Features", "Danger"].map((part) => ["owner", `website-${part.toLowerCase()}`, `/websites/${known.busy}/settings/${part.toLowerCase()}`, part]),
  ["owner", "website-delete", `/websites/${known.busy}/settings/danger`, "Danger", press("Delete")],
  ["owner", "account", "/settings/account", "Profile"],
  ["owner", "security", "/settings/account/security", "Security & access"],
  ["owner", "key-create", "/settings/account/security", "Security & access", press("New API key – Create API key")],
  ["owner", "key", `/settings/account/security/keys/${known.key}`, "Production"],
  ["owner", "workspace", "/settings/workspace", "General"],
  ["owner", "members", "/settings/workspace/members", "Members"],
  ["owner", "member-invite", "/settings/workspace/members", "Members", press("Invite")],
  ["owner", "invitations", "/settings/workspace/members/invitations", "Members"],
  ["owner", "api-keys", "/settings/api-keys", "API keys"],
  ["owner", "billing", "/settings/billing", "Billing"],
  ["owner", "usage", "/settings/usage", "Usage"],
  ["owner", "limits", "/settings/usage/limits", "Usage"],
  ["owner", "audit", "/settings/audit", "Audit"],
  ["owner", "lost", "/nowhere", "There is no page here"],
  ["viewer", "website-viewer", `/websites/${known.busy}/settings/general`, "General"],
  ["viewer", "api-keys-viewer", "/settings/api-keys", "API keys"],
  ["viewer", "website-new-viewer", "/websites/new", "Add a website"],
];

tour(() => ({ server, browser, storage: known }), pages);

test("a form is filled in and sent by the keyboard alone", async () => {
  const { page, context, problems } = await openTab(browser, server);
  await page.goto("/login");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.equal(await page.getByLabel("E-mail").evaluate((one) => one === document.activeElement), true);
  await page.keyboard.type(OWNER.email);
  await page.keyboard.press("Tab"); // "Forgot it?" stands before the password, and after the address.
  await page.keyboard.press("Tab");
  await page.keyboard.type(OWNER.password);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Sign in" }).waitFor({ state: "detached" });
  assert.deepEqual(problems, []);
  await context.close();
});
