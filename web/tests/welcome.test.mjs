// The first run as it is looked at, and the pages of a server that sends mail and lets people sign up.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openTab, startBrowser, startServer } from "./harness.mjs";
import { call, press, tour } from "./tour.mjs";
import { until } from "./wait.mjs";

let server;
let browser;
before(async () => {
  // Nothing answers there: no mail is sent, and the pages say the same.
  const mail = ["--smtp-url", "smtp://127.0.0.1:1", "--mail-from", "stats@example.com", "--public-url", "http://localhost:8080", "--sign-up", "open"];
  [server, browser] = await Promise.all([startServer(...mail), startBrowser()]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const owner = async (page) => {
  await page.getByLabel("Your name").fill("Ada Owner");
  await page.getByLabel("E-mail").fill("owner@example.com");
  await page.getByLabel("Password", { exact: true }).fill("correct horse battery");
  await press("Continue")(page);
  await page.getByRole("heading", { name: "Your first website" }).waitFor();
};
const link = () => `/${server.welcome}`;

tour(() => ({ server, browser, storage: {} }), () => [
  ["nobody", "welcome-lost", "/welcome", "Welcome"],
  ["nobody", "welcome", link(), "Welcome"],
  ["nobody", "welcome-wrong", link(), "Welcome", async (page) => { await press("Continue")(page); await page.locator("[aria-invalid=true]").first().waitFor(); }],
  ["nobody", "welcome-website", link(), "Welcome", owner],
]);

test("who lost the link signs in with what was printed below it, or with a link of the command line", async () => {
  const { page, context, problems } = await openTab(browser, server);
  await page.goto("/");
  await page.getByRole("heading", { name: "Welcome" }).waitFor();
  const [, command] = await until(async () => /zenovay (user reset-link --email \S+)/.exec(await page.locator("main").innerText()), "the page names the command");
  // The link, put into the address of that page: nothing is loaded, and yet it is read.
  await page.evaluate((hash) => (location.hash = hash), server.welcome.split("#")[1]);
  await page.getByLabel("Your name").waitFor();
  await page.goBack();
  await page.getByRole("link", { name: "Sign in with the printed login" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  const printed = await server.cli(...command.split(" "));
  await page.goto(/\/reset\/\S+/.exec(printed)[0]);
  await page.getByLabel("New password", { exact: true }).fill("a password of my own");
  await press("Change password")(page);
  await page.getByText("Your password is changed.").waitFor();
  await page.getByLabel("E-mail").fill("owner@localhost");
  await page.getByLabel("Password", { exact: true }).fill("a password of my own");
  await press("Sign in")(page);
  await page.getByRole("heading", { name: "Sign in" }).waitFor({ state: "detached" });
  assert.deepEqual(problems, []);
  await context.close();
});

test("days of the first website begin at midnight where its owner is", async () => {
  const fresh = await startServer();
  try {
    const { page, context, problems } = await openTab(browser, fresh, { timezoneId: "America/New_York" });
    await page.goto(`/${fresh.welcome}`);
    await owner(page);
    await page.getByLabel("Domain").fill("shop.example.com");
    await press("Add website")(page);
    await page.getByText("Waiting for the first event").waitFor();
    const { id } = (await call(page, "GET", "/api/websites")).websites[0];
    assert.equal((await call(page, "GET", `/api/websites/${id}`)).settings.time_zone, "America/New_York");
    assert.deepEqual(problems, []);
    await context.close();
  } finally {
    await fresh.stop();
  }
});
