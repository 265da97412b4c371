// `zenovay demo` as a newcomer sees it: one link, and the whole product behind it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";
import { openTab, overflow, startBrowser, violations } from "./harness.mjs";

const BINARY = process.env.ZENOVAY_BIN ?? fileURLToPath(new URL("../../target/debug/zenovay", import.meta.url));

let child;
let link;
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
  child?.removeAllListeners("exit");
  child?.kill("SIGTERM");
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
  await page.waitForFunction(() => document.querySelector("[aria-busy=true], .skel") === null);
  assert.equal(await page.getByText("Nothing in this range").count(), 0);
  assert.deepEqual(await violations(context, page), []);
  assert.equal(await overflow(page), 0);
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/demo-analytics.png`, fullPage: true });
  const website = new URL(page.url()).pathname;
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
