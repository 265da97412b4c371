// The status page: anybody reads it, whoever runs the server writes on it, and the setting says who may see it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openTab, overflow, startBrowser, startServer, violations } from "./harness.mjs";
import { call } from "./tour.mjs";
import { becomes } from "./wait.mjs";

const OWNER = { name: "Ada Owner", email: "owner@example.com", password: "correct horse battery" };

let server;
let browser;
let owner;
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
  owner = await openTab(browser, server);
  await owner.page.goto("/login");
  await call(owner.page, "POST", "/api/welcome", { token: server.welcome.split("#")[1], ...OWNER });
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const heading = (page, name, level = 1) => page.getByRole("heading", { name, level, exact: true }).waitFor();
const button = (page, name) => page.getByRole("button", { name, exact: true });

test("anybody reads how the parts are", async () => {
  const { page, context, problems } = await openTab(browser, server);
  await page.goto("/login");
  await page.getByRole("link", { name: "Status" }).click();
  await heading(page, "Status");
  await heading(page, "All parts operational", 2);
  await becomes(() => page.locator(".comp b").allInnerTexts(), ["Dashboard", "Event ingestion", "API", "Sign-in"], "the parts");
  await becomes(() => page.locator(".comp").first().locator("rect").count(), 90, "the days");
  await page.getByText("No incidents in 90 days.").waitFor();
  assert.equal(await button(page, "Write an incident").count(), 0);
  assert.deepEqual(await violations(context, page), []);
  assert.equal(await overflow(page), 0);
  assert.deepEqual(problems, []);
  await context.close();
});

test("whoever runs the server tells of an incident, and takes it back", async () => {
  const { page, context, problems } = owner;
  await page.goto("/status");
  await button(page, "Write an incident").click();
  await button(page, "Publish").click();
  await page.getByText("Say what is wrong in a few words.").waitFor();
  await page.getByText("Choose what it touches.").waitFor();
  await page.getByLabel("What is wrong").fill("Live numbers are late");
  await page.getByRole("checkbox", { name: "API" }).check();
  await page.getByLabel("What is known").fill("The disk is slow while a backup runs.");
  assert.deepEqual(await violations(context, page), []);
  await button(page, "Publish").click();
  await heading(page, "API: degraded", 2);
  await heading(page, "Live numbers are late", 3);

  const reader = await openTab(browser, server);
  await reader.page.goto("/status");
  await reader.page.getByText("The disk is slow while a backup runs.").waitFor();
  assert.equal(await button(reader.page, "Update").count(), 0);
  await reader.context.close();

  await button(page, "Update").click();
  await page.getByLabel("How far it is").selectOption("resolved");
  await page.getByLabel("What is new").fill("The backup is done. No event was lost.");
  await button(page, "Publish").click();
  await heading(page, "All parts operational", 2);
  await becomes(() => page.locator(".inc .told").allInnerTexts(), ["The backup is done. No event was lost.", "The disk is slow while a backup runs."], "what was told");
  assert.deepEqual(await violations(context, page), []);

  await button(page, "Take back: Live numbers are late").click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Take back" }).click();
  await page.getByText("No incidents in 90 days.").waitFor();
  assert.deepEqual(problems, []);
});

test("maintenance is announced by the command line, and by the page", async () => {
  const { page, context, problems } = owner;
  const at = (hours) => new Date(Date.now() + hours * 3_600_000).toISOString();
  const words = ["--title", "A new disk", "--state", "maintenance", "--components", "ingestion,auth", "--starts-at", at(24), "--ends-at", at(25), "--message", "The server is off for some minutes."];
  const told = JSON.parse(await server.cli("status", "incident", "create", ...words, "--json"));
  await page.goto("/status");
  await heading(page, "All parts operational", 2);
  await page.getByText(/announced, 1h/).waitFor();
  await button(page, "Write an incident").click();
  await page.getByLabel("What is wrong").fill("An upgrade");
  await page.getByLabel("State").selectOption("maintenance");
  await page.getByRole("checkbox", { name: "Sign-in" }).check();
  await page.getByLabel("What is known").fill("Five minutes.");
  await page.getByLabel("Begins").waitFor();
  assert.deepEqual(await violations(context, page), []);
  await button(page, "Publish").click();
  await heading(page, "Sign-in: under maintenance", 2);
  await server.cli("status", "incident", "delete", told.id, "--yes");
  await page.reload();
  await heading(page, "An upgrade", 3);
  assert.equal(await page.getByText("A new disk").count(), 0);
  assert.deepEqual(problems, []);
});

test("without a status page there is nothing of it, and a closed one asks who it is", async () => {
  const [closed, off] = await Promise.all([startServer("--status-page", "signed_in"), startServer("--status-page", "off")]);
  try {
    const first = await openTab(browser, closed);
    await first.page.goto("/login");
    await call(first.page, "POST", "/api/welcome", { token: closed.welcome.split("#")[1], ...OWNER });
    await first.page.goto("/status");
    await heading(first.page, "All parts operational", 2);
    await first.context.close();

    const one = await openTab(browser, closed);
    await one.page.goto("/status");
    await heading(one.page, "Sign in");
    assert.match(one.page.url(), /\/login\?next=\/status$/);
    assert.equal(await one.page.getByRole("link", { name: "Status" }).count(), 0);
    await one.page.getByLabel("E-mail").fill(OWNER.email);
    await one.page.getByLabel("Password", { exact: true }).fill(OWNER.password);
    await button(one.page, "Sign in").click();
    await heading(one.page, "All parts operational", 2);
    await one.context.close();

    const other = await openTab(browser, off);
    const answer = await other.page.goto("/status");
    assert.equal(answer.status(), 404);
    await other.page.goto("/login");
    await call(other.page, "POST", "/api/welcome", { token: off.welcome.split("#")[1], ...OWNER });
    await other.page.goto("/websites");
    await heading(other.page, "Websites");
    assert.equal(await other.page.getByRole("link", { name: "Status" }).count(), 0);
    await other.context.close();
  } finally {
    await Promise.all([closed.stop(), off.stop()]);
  }
});
