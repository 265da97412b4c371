// Public links: made and ended in the settings, and what they show to whoever has them.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openTab, startBrowser, startServer } from "./harness.mjs";
import { store, traffic } from "./seed.mjs";
import { call, opens, press, tour } from "./tour.mjs";
import { becomes, settled, until } from "./wait.mjs";

const OWNER = { name: "Ada Owner", email: "owner@example.com", password: "correct horse battery" };

let server;
let browser;
let known;
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
  const { page, context } = await openTab(browser, server);
  await page.goto("/login");
  const token = server.welcome.split("#")[1];
  await call(page, "POST", "/api/welcome", { token, ...OWNER, website: { domain: "example.com", name: "Example" } });
  const { id, tracking_code: code } = (await call(page, "GET", "/api/websites")).websites[0];
  const { key } = await call(page, "POST", "/api/account/keys", { name: "Production" });
  await store(server, key, code, traffic({ now: Date.now(), days: 60, perDay: 10 }));
  await call(page, "POST", `/api/websites/${id}/goals`, { name: "Pricing seen", type: "page", value: "/pricing" });
  const { path: open } = await call(page, "POST", `/api/websites/${id}/shares`, { name: "For everybody" });
  const { path: closed } = await call(page, "POST", `/api/websites/${id}/shares`, { name: "With a password", password: "open sesame please" });
  known = { owner: await context.storageState(), id, open, closed };
  await context.close();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const settings = () => `/websites/${known.id}/settings/sharing`;
const tile = (page, name) => page.getByRole("radio", { name: new RegExp(`^${name}`) });
const panel = (page, name) => page.getByRole("region", { name, exact: true });
/** What a tile shows, once nothing is being counted. */
const shown = async (page, name) => {
  await settled(page);
  return Number((await tile(page, name).locator(".v").innerText()).replace(/[^\d.]/g, ""));
};

test("a shared dashboard shows the same to whoever has the link, and no more", async () => {
  const { page, context, problems } = await openTab(browser, server);
  await page.goto(`${known.open}?range=last-month`);
  await tile(page, "Visitors").waitFor();
  const all = await shown(page, "Visitors");
  await panel(page, "Pages").getByRole("button", { name: "/pricing", exact: true }).click();
  await page.waitForURL((url) => url.pathname === known.open && url.search.includes("f=page:is:/pricing"));
  assert.ok(all > 0);
  await until(async () => (await shown(page, "Visitors")) < all, "there are fewer with the filter");
  assert.equal((await page.request.get(`/api/websites/${known.id}/totals`)).status(), 401);
  assert.equal(await page.locator(".rail").count(), 0);
  await page.goto(known.closed);
  await page.getByLabel("Password", { exact: true }).fill("wrong words here");
  await press("Show the dashboard")(page);
  await page.getByText("That is not the password.").waitFor();
  await page.getByLabel("Password", { exact: true }).fill("open sesame please");
  await press("Show the dashboard")(page);
  await tile(page, "Visitors").waitFor();
  await page.goto("/share/nothing-like-this");
  await page.getByText("This link does not show anything any more.").waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

test("a link is made, shown once, opened, and ended", async () => {
  const { page, context, problems } = await openTab(browser, server, { storageState: known.owner });
  await page.goto(settings());
  await press("New link")(page);
  const dialog = page.getByRole("dialog", { name: "New public link" });
  await dialog.getByLabel("Name", { exact: true }).fill("For the board");
  await dialog.getByLabel("Password", { exact: true }).fill("short");
  await press("Create link")(page);
  await dialog.getByText("Use at least 12 characters, 7 more.").waitFor();
  await dialog.getByLabel("Password", { exact: true }).fill("");
  await dialog.getByLabel("Other websites may embed it").check();
  await press("Create link")(page);
  const url = await page.getByLabel("Public link", { exact: true }).innerText();
  await press("Done")(page);
  const row = page.getByRole("listitem").filter({ hasText: "For the board" });
  await row.getByText("May be embedded").waitFor();
  await becomes(async () => (await page.content()).includes(new URL(url).pathname), false, "it is gone with its dialog");

  const visitor = await openTab(browser, server);
  const answer = await visitor.page.goto(new URL(url).pathname);
  assert.match(answer.headers()["content-security-policy"], /frame-ancestors \*$/);
  await tile(visitor.page, "Visitors").waitFor();
  const other = await visitor.page.request.get(known.open, { headers: { Accept: "text/html" } });
  assert.match(other.headers()["content-security-policy"], /frame-ancestors 'none'$/);
  await row.getByRole("button", { name: "End For the board" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "End link" }).click();
  await row.waitFor({ state: "detached" });
  await visitor.page.reload();
  await visitor.page.getByText("This link does not show anything any more.").waitFor();
  assert.deepEqual([...problems, ...visitor.problems], []);
  await Promise.all([context.close(), visitor.context.close()]);
});

tour(() => ({ server, browser, storage: known }), () => [
  ["nobody", "share", `${known.open}?compare=previous`, "example.com"],
  ["nobody", "share-password", known.closed, "This dashboard has a password"],
  ["owner", "website-sharing", settings(), "Sharing"],
  ["owner", "website-sharing-new", settings(), "Sharing", opens("New link")],
  ["owner", "website-sharing-made", settings(), "Sharing", async (page) => {
    await page.route(`**/api/websites/${known.id}/shares`, (route) =>
      route.request().method() === "POST"
        ? route.fulfill({ status: 201, json: { success: true, data: { id: "shr_x", name: "For the board", has_password: false, embed: false, created_at: new Date().toISOString(), token: "k".repeat(32), path: `/share/${"k".repeat(32)}` } } })
        : route.continue());
    await press("New link")(page);
    await press("Create link")(page);
    await page.getByLabel("Public link", { exact: true }).waitFor();
  }],
  ["owner", "website-sharing-end", settings(), "Sharing", opens("End For everybody")],
]);
