// What people do from the first run on, in a real Chromium on the real server.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openTab, startBrowser, startServer, totp, violations } from "./harness.mjs";
import { becomes, changes, focused } from "./wait.mjs";

const OWNER = { name: "Ada Owner", email: "owner@example.com", password: "correct horse battery" };
const VIEWER = { name: "Vera Viewer", email: "viewer@example.com", password: "another horse battery" };

let server;
let browser;
let owner;
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
  owner = await openTab(browser, server);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const heading = (page, name) => page.getByRole("heading", { name, level: 1 }).waitFor();
const field = (page, name) => page.getByLabel(name, { exact: true });
const button = (page, name) => page.getByRole("button", { name, exact: true });

async function signIn(page, { email, password }) {
  await page.goto("/login");
  await field(page, "E-mail").fill(email);
  await field(page, "Password").fill(password);
  await button(page, "Sign in").click();
}

/** What is told to nobody else is told nowhere: no address, no storage. */
const isNowhere = (page, secret) =>
  page.evaluate((secret) => ![location.href, JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage }), document.cookie].some((place) => place.includes(secret)), secret);

let code;
test("from the first run to the first event, without a reload", async () => {
  const { page, problems } = owner;
  await page.goto(`/${server.welcome}`);
  await heading(page, "Welcome");
  await button(page, "Continue").click();
  await focused(field(page, "Your name"));
  await field(page, "Your name").fill(OWNER.name);
  await field(page, "E-mail").fill(OWNER.email);
  await field(page, "Password").fill("short");
  await button(page, "Continue").click();
  await page.getByText("Use at least 12 characters, 7 more.").waitFor();
  await field(page, "Password").fill(OWNER.password);
  await button(page, "Continue").click();
  await heading(page, "Your first website");
  await field(page, "Domain").fill("https://shop.example.com/");
  await button(page, "Add website").click();
  await page.getByText("Write the domain without https:// – “shop.example.com”.").waitFor();
  await field(page, "Domain").fill("shop.example.com");
  await button(page, "Add website").click();
  await page.getByText("Waiting for the first event").waitFor();
  assert.match(page.url(), /\/websites\/[0-9a-f-]{36}$/);
  const tag = await page.getByRole("tabpanel").innerText();
  assert.ok(tag.includes(`${server.origin}/z.js`), tag);
  code = /ZV_\w+/.exec(tag)[0];
  await page.getByText(/^Listening since/).waitFor();

  assert.equal(await server.hit(code, "https://staging.example.net/"), 403);
  await page.getByText("1 event from staging.example.net was refused.").waitFor();
  await button(page, "Allow staging.example.net").click();
  await page.getByText("1 event from staging.example.net was refused.").waitFor({ state: "detached" });

  const loads = [];
  page.on("load", () => loads.push(page.url()));
  assert.equal(await server.hit(code, "https://shop.example.com/pricing?plan=pro"), 200);
  await page.getByText(/^First event from \/pricing/).waitFor();
  assert.equal(await server.hit(code, "https://staging.example.net/"), 200, "the remedy worked");
  await button(page, "See the dashboard").click();
  await page.getByText("Waiting for the first event").waitFor({ state: "detached" });
  assert.deepEqual(loads, []);
  assert.deepEqual(problems, []);
});

test("the link of the first run works once", async () => {
  const { page, context } = await openTab(browser, server);
  await page.goto(`/${server.welcome}`);
  await heading(page, "Sign in");
  await context.close();
});

let key;
test("a personal key is created, shown once, used, and revoked", async () => {
  const { page, context, problems } = owner;
  await page.goto("/settings/account/security");
  await page.getByRole("button", { name: "Create API key" }).click();
  const dialog = page.getByRole("dialog", { name: "Create API key" });
  await button(dialog, "Create").click();
  await dialog.getByText("Name the key after what uses it.").waitFor();
  await field(dialog, "Key name").fill("Production");
  await field(dialog, "Only select permissions…").check();
  await becomes(() => field(dialog, "Read").isChecked(), true, "to read is chosen");
  assert.deepEqual(await violations(context, page), []);
  await button(dialog, "Create").click();
  const shown = page.getByRole("dialog", { name: "Your new API key" });
  await shown.getByText("This API key will not be visible in the future. Please copy it now.").waitFor();
  key = await shown.getByLabel("API key").innerText();
  assert.match(key, /^zv_[A-Za-z0-9]{40}$/);
  assert.equal(await isNowhere(page, key.slice(8)), true);
  await page.keyboard.press("Escape");
  await shown.getByText("Close without copying? The key cannot be shown again.").waitFor();
  await button(shown, "Keep it open").click();
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  // It says so for a moment.
  await Promise.all([button(shown, "Copied").waitFor(), button(shown, "Copy").click()]);
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), key);
  await button(shown, "Done").click();
  await becomes(async () => (await page.content()).includes(key.slice(8)), false, "it is gone with its dialog");

  assert.equal((await server.api("/api/external/v1/websites", key)).status, 200);
  await page.getByRole("link", { name: "Production" }).click();
  await heading(page, "Production");
  await page.getByText("/api/external/v1/websites").first().waitFor();
  await button(page, "Key menu").click();
  await page.getByRole("menuitem", { name: "Edit" }).click();
  await field(page, "Key name").fill("Dashboard");
  await button(page, "Save").click();
  await heading(page, "Dashboard");
  await button(page, "Key menu").click();
  await page.getByRole("menuitem", { name: "Revoke" }).click();
  const asked = page.getByRole("alertdialog", { name: "Revoke “Dashboard”?" });
  await focused(button(asked, "Cancel"));
  await button(asked, "Revoke").click();
  await heading(page, "Security & access");
  await page.getByRole("link", { name: "Dashboard" }).waitFor({ state: "detached" });
  assert.equal((await server.api("/api/external/v1/websites", key)).status, 401);
  assert.deepEqual(problems, []);
});

test("keys are blocked on Free, and say why", async () => {
  const { page, problems } = owner;
  await page.goto("/settings/billing");
  await button(page, "Change to Free").click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Change to Free" }).click();
  await page.getByRole("region", { name: "Free" }).getByText("Present plan").waitFor();
  // Its one website is there already.
  await page.goto("/websites/new");
  await field(page, "Domain").fill("second.example.com");
  await button(page, "Add website").click();
  await page.getByText("The free plan allows 1 website: an owner of the team can change the plan.").waitFor();
  await page.goto("/settings/account/security");
  const create = page.getByRole("button", { name: "Create API key" });
  await becomes(() => create.getAttribute("aria-disabled"), "true", "nobody makes keys on Free");
  await create.click({ force: true });
  assert.equal(await page.getByRole("dialog").count(), 0);
  await page.getByText("The Zenovay API requires a paid plan. Upgrade to Pro or higher to use API keys.").first().waitFor();
  await page.getByRole("link", { name: "Settings → Billing" }).click();
  await button(page, "Change to Scale").click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Change to Scale" }).click();
  await page.getByRole("region", { name: "Scale" }).getByText("Present plan").waitFor();
  assert.deepEqual(problems, []);
});

test("somebody invited sees that workspace's websites, and may no more than the role", async () => {
  const { page } = owner;
  await page.goto("/settings/workspace/members");
  await button(page, "Invite").click();
  await field(page, "Viewer").check();
  await page.getByRole("dialog").getByRole("button", { name: "Invite" }).click();
  const link = await page.getByLabel("Link of the invitation").innerText();

  const viewer = await openTab(browser, server);
  await viewer.page.goto(new URL(link).pathname);
  await viewer.page.getByText("invites you as viewer").waitFor();
  await field(viewer.page, "Your name").fill(VIEWER.name);
  await field(viewer.page, "E-mail").fill(VIEWER.email);
  await field(viewer.page, "Password").fill(VIEWER.password);
  await button(viewer.page, "Create account and join").click();
  await viewer.page.getByRole("link", { name: "shop.example.com" }).waitFor();
  assert.equal(await viewer.page.getByRole("link", { name: "Add website" }).count(), 0);
  await viewer.page.goto("/websites/new");
  await viewer.page.getByText("Your role here is viewer.").waitFor();
  await viewer.page.goto("/settings/api-keys");
  await viewer.page.getByText("Workspace keys are managed by admins and owners.").waitFor();
  await viewer.page.getByText(OWNER.name).waitFor();
  const status = await viewer.page.evaluate(async () => {
    const { data } = await (await fetch("/api/session")).json();
    const answer = await fetch(`/api/teams/${data.teams[0].id}`, { method: "PATCH", headers: { "Content-Type": "application/json" }, body: '{"name":"Mine"}' });
    return answer.status;
  });
  assert.equal(status, 403);

  const other = await openTab(browser, server);
  await other.page.goto(new URL(link).pathname);
  await heading(other.page, "This invitation has ended.");
  await other.context.close();

  await page.goto("/settings/workspace/members");
  await button(page, `Remove ${VIEWER.email}`).click();
  await page.getByRole("alertdialog").getByText("They no longer see the websites of", { exact: false }).waitFor();
  await page.getByRole("alertdialog").getByRole("button", { name: "Remove" }).click();
  await page.getByText(VIEWER.email).first().waitFor({ state: "detached" });
  await viewer.page.goto("/websites");
  await viewer.page.getByText("You are in no workspace").waitFor();
  assert.equal(await viewer.page.getByText("shop.example.com").count(), 0);
  assert.deepEqual(viewer.problems, []);
  await viewer.context.close();
});

test("a forgotten password is replaced by a link that works once", async () => {
  const link = /\/reset\/\S+/.exec(await server.cli("user", "reset-link", "--email", VIEWER.email))[0];
  const { page, context, problems } = await openTab(browser, server);
  await page.goto("/login");
  await page.getByRole("link", { name: "Forgot it?" }).click();
  await page.getByText("zenovay user reset-link").waitFor();
  await page.goto(link);
  await field(page, "New password").fill("abcabcabcabc");
  await button(page, "Change password").click();
  await page.getByText("This one is among the first that attackers try. Use another.").waitFor();
  await field(page, "New password").fill("a third horse battery");
  await button(page, "Change password").click();
  await page.getByText("Your password is changed.").waitFor();
  await signIn(page, VIEWER);
  await page.getByText(/^E-mail or password is wrong\. \d more tries, then a short pause\.$/).waitFor();
  await signIn(page, { ...VIEWER, password: "a third horse battery" });
  await heading(page, /^(Websites|You are in no workspace)$/);
  await page.goto(link);
  await field(page, "New password").fill("a fourth horse battery");
  await button(page, "Change password").click();
  await heading(page, "This link has ended.");
  assert.deepEqual(problems, []);
  await context.close();
});

test("an authenticator app and its backup codes are asked for after the password", async () => {
  const { page, context, problems } = await openTab(browser, server);
  const account = { email: VIEWER.email, password: "a third horse battery" };
  await signIn(page, account);
  await page.getByRole("heading", { name: "Sign in" }).waitFor({ state: "detached" });
  await page.goto("/settings/account/security");
  await page.getByRole("button", { name: "Set up the authenticator app" }).click();
  await page.getByText("Type the setup key instead").click();
  const secret = await page.getByLabel("Setup key").innerText();
  await field(page, "Code").fill("000000");
  await page.getByRole("textbox", { name: "Password" }).fill(account.password);
  await button(page, "Turn on").click();
  await page.getByRole("dialog").getByText("That code does not fit.", { exact: false }).waitFor();
  await field(page, "Code").fill(totp(secret));
  await button(page, "Turn on").click();
  await page.getByRole("list", { name: "Backup codes" }).waitFor();
  const codes = await page.getByRole("list", { name: "Backup codes" }).getByRole("listitem").allInnerTexts(); // All come at once.
  assert.equal(new Set(codes).size, 10);
  await button(page, "Done").click();
  await page.getByText("10 of 10 left; each works once").waitFor();

  await context.clearCookies();
  await signIn(page, account);
  await heading(page, "Enter your code");
  await page.getByRole("link", { name: "Use a backup code" }).click();
  await field(page, "Backup code").fill(codes[0]);
  await button(page, "Continue").click();
  await heading(page, /^(Websites|You are in no workspace)$/);
  await page.goto("/settings/account/security");
  await page.getByText("9 of 10 left; each works once").waitFor();

  await context.clearCookies();
  await signIn(page, account);
  await heading(page, "Enter your code");
  // The next step of the clock: the code of this one was used.
  await field(page, "Code").fill(totp(secret, Date.now() / 1000 + 30));
  await heading(page, /^(Websites|You are in no workspace)$/);
  assert.deepEqual(problems, []);
  await context.close();
});

test("settings of a website are kept, and the website is deleted by its domain", async () => {
  const { page, problems } = owner;
  await page.goto("/websites");
  await button(page, "Menu of shop.example.com").click();
  await page.getByRole("menuitem", { name: "Settings" }).click();
  await field(page, "Name").fill("The shop");
  await changes(page, "PATCH", () => button(page, "Save").click());
  await page.getByRole("link", { name: "Tracking" }).click();
  await field(page, "Addresses that are not counted").fill("192.0.2.0/24\n300.1.1.1");
  await button(page, "Save").click();
  await page.getByText("“300.1.1.1” is neither an IP address nor a range such as 10.0.0.0/8.").waitFor();
  await field(page, "Addresses that are not counted").fill("192.0.2.0/24");
  await changes(page, "PATCH", () => button(page, "Save").click());
  await page.reload();
  await becomes(() => field(page, "Addresses that are not counted").inputValue(), "192.0.2.0/24", "it is kept");
  await page.getByRole("link", { name: "Danger" }).click();
  await button(page, "Pause").click();
  await page.getByText("Counting is paused").waitFor();
  await button(page, "Delete").click();
  const asked = page.getByRole("alertdialog", { name: "Delete shop.example.com?" });
  const confirm = asked.getByRole("button", { name: "Delete website" });
  await becomes(() => confirm.getAttribute("aria-disabled"), "true", "the domain is asked for");
  await asked.getByText("2 events are erased, with clicks, errors and page speed. This cannot be undone.").waitFor();
  await field(asked, "Type the domain to confirm").fill("shop.example.com");
  await confirm.click();
  await page.getByText("Add your first website").waitFor();
  assert.deepEqual(problems, []);
});
