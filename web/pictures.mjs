// The pictures of the README, taken from the demo: `just pictures`. They look best where the font Inter is installed.
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { BINARY, ended, openTab, startBrowser } from "./tests/harness.mjs";
import { visits } from "./tests/seed.mjs";
import { call } from "./tests/tour.mjs";

const [directory] = process.argv.slice(2);
if (!directory) throw new Error("write the directory of the pictures behind it");
mkdirSync(directory, { recursive: true });
/** The most bytes of one. */
const MOST = 250 * 1024;

/** Two weeks beside the two before: the demo has a month. */
const day = (back) => new Date(Date.now() - back * 86_400_000).toISOString().slice(0, 10);
const WEEKS = `?from=${day(14)}&to=${day(1)}&compare=previous`;
/** Name, end of the address of the website, window, and what is waited for. */
const PICTURES = [
  ["analytics", WEEKS, { width: 1280, height: 800 }, ".plot .ln"],
  ["goals", `/goals${WEEKS}`, { width: 1040, height: 640 }, ".funnel"],
  ["phone", WEEKS, { width: 390, height: 780 }, ".plot .ln"],
];

const words = ["demo", "--listen", "127.0.0.1:0", "--trusted-proxies", "127.0.0.1/32"];
const demo = spawn(BINARY, words, { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, ZENOVAY_LOG_LEVEL: "error" } });
const browser = await startBrowser();
try {
  const found = {};
  for await (const line of createInterface({ input: demo.stdout })) {
    for (const [name, pattern] of Object.entries({ email: /^ *login +(\S+)/, password: /^ *password +(\S+)/, address: /^listening on (\S+)/ })) {
      found[name] ??= pattern.exec(line)?.[1];
    }
    if (found.address) break;
  }
  const server = { address: found.address, origin: found.address.replace("127.0.0.1", "localhost") };
  const first = await openTab(browser, server);
  await first.page.goto("/login");
  await call(first.page, "POST", "/api/session", { email: found.email, password: found.password });
  const { websites } = await call(first.page, "GET", "/api/websites");
  const { id, domain, tracking_code: code } = websites.sort((one, other) => other.totals.visitors - one.totals.visitors)[0];
  await visits(server, code, `https://${domain}`);
  await call(first.page, "POST", `/api/websites/${id}/goals`, { name: "Pricing viewed", type: "page", value: "/pricing" });
  await call(first.page, "POST", `/api/websites/${id}/goals`, { name: "Signed up", type: "event", value: "signup" });
  const steps = [{ type: "page", match_type: "starts_with", value: "/" }, { type: "page", value: "/signup" }, { type: "event", value: "signup" }];
  await call(first.page, "POST", `/api/websites/${id}/funnels`, { name: "First page to sign-up", steps });
  const storageState = await first.context.storageState();
  const blank = await (await browser.newContext()).newPage();
  for (const colorScheme of ["light", "dark"]) {
    for (const [name, end, viewport, shown] of PICTURES) {
      const hasTouch = viewport.width < 720;
      const { page, context } = await openTab(browser, server, { colorScheme, viewport, hasTouch, isMobile: hasTouch, deviceScaleFactor: 2, storageState });
      await page.goto(`/websites/${id}${end}`);
      await page.locator(shown).first().waitFor();
      await page.waitForFunction(() => document.querySelector("[aria-busy=true], .skel") === null);
      const bytes = Buffer.from(await blank.evaluate(webp, (await page.screenshot({ animations: "disabled" })).toString("base64")), "base64");
      await context.close();
      if (bytes.length > MOST) throw new Error(`${name} in ${colorScheme} has ${bytes.length} bytes`);
      writeFileSync(join(directory, `${name}-${colorScheme}.webp`), bytes);
      console.log(`${name}-${colorScheme}.webp: ${bytes.length} bytes`);
    }
  }
} finally {
  await browser.close();
  demo.kill("SIGTERM");
  await ended(demo);
}

/** Runs in a page: a PNG as WebP. */
async function webp(png) {
  const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  const blob = await canvas.convertToBlob({ type: "image/webp", quality: 0.85 });
  let text = "";
  for (const byte of new Uint8Array(await blob.arrayBuffer())) text += String.fromCharCode(byte);
  return btoa(text);
}
