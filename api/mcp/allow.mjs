#!/usr/bin/env node
// Plays the person: `allow.mjs URL` opens the page that a client wants opened in a Chromium, signs in and presses Allow. As the
// program in BROWSER it is what clients start. The account is in ZENOVAY_EMAIL and ZENOVAY_PASSWORD; WRITE has the categories in
// which writing is allowed, too.
import { createRequire } from "node:module";

const { chromium } = createRequire(new URL("../../web/package.json", import.meta.url))("playwright-core");
const url = process.argv.findLast((word) => /^https?:/.test(word));
const args = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM_BIN ?? "/usr/bin/chromium", args });
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  await page.goto(url);
  await page.getByLabel("E-mail", { exact: true }).fill(process.env.ZENOVAY_EMAIL);
  await page.getByLabel("Password", { exact: true }).fill(process.env.ZENOVAY_PASSWORD);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  const allow = page.getByRole("button", { name: "Allow" });
  await allow.waitFor();
  for (const category of process.env.WRITE?.split(",") ?? []) await page.check(`input[name="${category}"][value="write"]`);
  if (process.env.PICTURE) await page.screenshot({ path: process.env.PICTURE, fullPage: true });
  // Some clients listen for the answer only a moment after they have opened the page: until then it is brought again.
  const isAnswer = (request) => request.isNavigationRequest() && new URL(request.url()).origin !== new URL(url).origin;
  page.on("requestfailed", (request) => isAnswer(request) && setTimeout(() => page.goto(request.url()).catch(() => {}), 250));
  const answered = page.waitForResponse((response) => isAnswer(response.request()));
  await allow.click();
  await answered;
} finally {
  await browser.close();
}
