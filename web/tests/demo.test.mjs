// `zenovay demo` as a newcomer sees it: one link, and the whole product behind it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";
import { ended, openTab, overflow, startBrowser, violations } from "./harness.mjs";
import { call } from "./tour.mjs";
import { becomes, eventually, settled } from "./wait.mjs";

const BINARY = process.env.ZENOVAY_BIN ?? fileURLToPath(new URL("../../target/debug/zenovay", import.meta.url));

let child;
let link;
/** Who signed in, and the website that was looked at. */
let signedIn;
let website;
let browser;
before(async () => {
  child = spawn(BINARY, ["demo", "--listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, ZENOVAY_BIN: undefined, ZENOVAY_LOG_LEVEL: "warn" } });
  link = await new Promise((resolve, reject) => {
    child.once("exit", (status) => reject(new Error(`ended with ${status}`)));
    let found;
    createInterface({ input: child.stdout }).on("line", (line) => {
      found ??= /^\s+(http:\/\/localhost:\d+\/demo#\S+)$/.exec(line)?.[1];
      if (line.startsWith("listening on")) resolve(found);
    });
  });
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  child.removeAllListeners("exit");
  child.kill("SIGTERM");
  await ended(child);
});

test("one link signs in, once, and every panel is full", async () => {
  const { origin } = new URL(link);
  const { page, context, problems } = await openTab(browser, { origin });
  await page.goto(link);
  await page.getByRole("heading", { name: "Websites", level: 1 }).waitFor();
  assert.ok(!page.url().includes("#"), "the secret is not in the address any more");
  for (const domain of ["shop.example", "blog.example", "docs.example"]) await page.getByRole("link", { name: domain }).first().waitFor();
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/demo-websites.png`, fullPage: true });
  await page.getByRole("link", { name: "shop.example" }).first().click();
  await page.getByRole("radio", { name: /^Visitors/ }).waitFor();
  await settled(page);
  assert.equal(await page.getByText("Nothing in this range").count(), 0);
  assert.deepEqual(await violations(context, page), []);
  assert.equal(await overflow(page), 0);
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/demo-analytics.png`, fullPage: true });
  website = new URL(page.url()).pathname;
  signedIn = await context.storageState();
  await page.goto(`${website}/goals`);
  for (const name of ["Signed up", "Pricing seen", "From the price to an account"]) await page.getByText(name).first().waitFor();
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/demo-goals.png`, fullPage: true });
  assert.deepEqual(problems, []);

  const other = await openTab(browser, { origin });
  await other.page.goto(link);
  await other.page.getByText("This link does not work any more").waitFor();
  await other.context.close();

  // Live visitors move: what happens is told without a reload.
  await page.goto(`${website}/live`);
  await page.getByRole("heading", { level: 1 }).first().waitFor();
  const seen = () => page.locator("main").innerText();
  const first = await seen();
  await page.waitForFunction((first) => document.querySelector("main").innerText !== first && /\d/.test(document.querySelector("main").innerText), first);
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/demo-live.png`, fullPage: true });
  assert.deepEqual(problems, []);
  await context.close();
});

test("visits were recorded: they are listed, played, and linked from visitors, errors and heatmaps", async () => {
  const { origin } = new URL(link);
  const { page, context, problems } = await openTab(browser, { origin }, { storageState: signedIn, viewport: { width: 1440, height: 900 } });
  const shot = async (name) => process.env.SCREENSHOTS && page.screenshot({ path: `${process.env.SCREENSHOTS}/demo-${name}.png`, fullPage: true });
  const ready = () => page.waitForFunction(() => document.querySelector("[aria-busy=true], .skel") === null);
  const player = () => page.frames().find((frame) => frame.url().endsWith("/replay-player"));
  const shown = () => player().evaluate(() => document.querySelector("iframe").contentDocument.body.textContent);
  await page.goto(`${website}/replays`);
  await page.getByRole("link", { name: /^Replay of visitor/ }).first().waitFor();
  await ready();
  await shot("replays");
  const read = (path) => call(page, "GET", `/api${website}/${path}`);
  const { replays } = await read("replays?limit=200");
  for (const device of ["desktop", "mobile"]) assert.ok(replays.some((one) => one.device === device), device);
  assert.ok(replays.some(({ pages }) => pages > 2) && replays.some(({ clicks }) => clicks > 2) && replays.some(({ missing }) => missing === 0));

  // An error leads to its moment, and the replay back to it.
  const { groups } = await read("errors");
  const recorded = [];
  for (const { id } of groups) {
    const { replays: [first] } = await read(`replays?error=${id}`);
    if (first) recorded.push({ id, replay: first.id });
  }
  assert.ok(recorded.length > 1, `${recorded.length} of ${groups.length} errors were recorded`);
  await page.goto(`${website}/replays/${recorded[0].replay}`);
  await page.getByRole("link", { name: "Look at this error" }).first().waitFor();
  await ready();
  await page.getByRole("region", { name: "Timeline" }).getByRole("button", { name: /Error: / }).first().click();
  await eventually(shown, (words) => assert.match(words, /Made for the demo/));
  await shot("replay");
  await page.getByRole("link", { name: "Look at this error" }).first().click();
  await page.waitForURL(/\/errors\/eg_/);
  await page.getByRole("heading", { level: 1, name: /Error/ }).waitFor();

  // A visitor leads to the replays.
  await page.goto(`${website}/visitors/${replays[0].visitor}`);
  await page.getByRole("heading", { name: "Visits", exact: true }).waitFor();
  await page.getByRole("link", { name: "Replays" }).last().click();
  await page.waitForURL(/\/replays\?.*visitor=/);
  await page.getByRole("link", { name: /^Replay of visitor/ }).first().waitFor();

  // Heatmaps stand on the recorded page, on computers and on telephones.
  for (const [device, path, label] of [
    ["desktop", "/", "Start free"],
    ["phone", "/", "Start free"],
    ["desktop", "/pricing", "Choose Pro"],
    ["phone", "/signup", "Create account"],
    ["desktop", "/features", "Funnels"],
  ]) {
    await page.goto(`${website}/heatmaps?page=${path}&device=${device}`);
    await page.getByText(/^Page as recorded on /).waitFor();
    await page.locator(".pins li").first().waitFor();
    await ready();
    await becomes(() => page.getByText(/on elements that this version does not show/).count(), 0);
    await page.getByRole("button", { name: label, exact: true }).click();
    await page.locator(".chosen").waitFor();
    await shot(`heatmap-${device}${path.replace("/", "-")}`);
  }
  assert.deepEqual(problems, []);
  await context.close();
});
