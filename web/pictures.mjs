// The pictures of the README and of docs/mcp.md, taken from the demo: `just pictures`. They look best where the font Inter is installed.
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { BINARY, ended, openTab, startBrowser } from "./tests/harness.mjs";
import { visits } from "./tests/seed.mjs";
import { call } from "./tests/tour.mjs";

const [directory, ...only] = process.argv.slice(2);
if (!directory) throw new Error("write the directory of the pictures behind it, and the names of those that are wanted when not all are");
mkdirSync(directory, { recursive: true });
/** The most bytes of one. */
const MOST = 250 * 1024;

/** Two weeks beside the two before. */
const day = (back) => new Date(Date.now() - back * 86_400_000).toISOString().slice(0, 10);
const WEEKS = `?from=${day(14)}&to=${day(1)}&compare=previous`;
/** Name, address, window, what is waited for, and the part that is shown where it is not the window. */
const pictures = (website, request) => [
  ["analytics", `${website}${WEEKS}`, { width: 1280, height: 800 }, ".plot .ln"],
  ["goals", `${website}/goals${WEEKS}`, { width: 1040, height: 640 }, ".funnel"],
  ["phone", `${website}${WEEKS}`, { width: 390, height: 780 }, ".plot .ln"],
  ["consent", request, { width: 560, height: 960 }, "h1", "body"],
  ["mcp-clients", "/settings/account/security", { width: 1040, height: 800 }, "section:has(h2:text('MCP clients')) li", "section:has(h2:text('MCP clients'))"],
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
  await connect(server, first, "Codex", 3);
  await connect(server, first, "Claude Code", 12);
  const { path: request } = await clientOf(server, "Claude Code");
  const storageState = await first.context.storageState();
  const blank = await (await browser.newContext()).newPage();
  for (const colorScheme of ["light", "dark"]) {
    for (const [name, address, viewport, shown, part] of pictures(`/websites/${id}`, request).filter(([name]) => only.length === 0 || only.includes(name))) {
      const hasTouch = viewport.width < 720;
      const { page, context } = await openTab(browser, server, { colorScheme, viewport, hasTouch, isMobile: hasTouch, deviceScaleFactor: 2, storageState });
      await page.goto(address);
      await page.locator(shown).first().waitFor();
      await page.waitForFunction(() => document.querySelector("[aria-busy=true], .skel") === null);
      const seen = part ? page.locator(part) : page;
      const bytes = Buffer.from(await blank.evaluate(webp, (await seen.screenshot({ animations: "disabled" })).toString("base64")), "base64");
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

/** A client that registered itself, and the address at which it lets the person be asked. */
async function clientOf({ address }, client_name) {
  const registration = await fetch(`${address}/oauth/register`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ client_name, redirect_uris: ["http://localhost/callback"] }),
  });
  const { client_id } = await registration.json();
  const verifier = randomBytes(32).toString("base64url");
  const query = new URLSearchParams({
    response_type: "code",
    client_id,
    redirect_uri: "http://localhost:41234/callback",
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
  });
  return { client_id, verifier, path: `/oauth/authorize?${query}` };
}

/** Lets a client act for the person, and lets it ask so often. */
async function connect(server, { page }, name, calls) {
  const { client_id, verifier, path } = await clientOf(server, name);
  const answered = new Promise((resolve) => page.route("http://localhost:41234/**", (route) => {
    resolve(new URL(route.request().url()).searchParams.get("code"));
    return route.fulfill({ body: "done" });
  }));
  await page.goto(path);
  await page.getByRole("button", { name: "Allow", exact: true }).click();
  const body = new URLSearchParams({ grant_type: "authorization_code", code: await answered, client_id, code_verifier: verifier });
  const { access_token } = await (await fetch(`${server.address}/oauth/token`, { method: "POST", body })).json();
  await page.unroute("http://localhost:41234/**");
  for (let id = 1; id <= calls; id++) {
    await fetch(`${server.address}/mcp`, {
      method: "POST",
      headers: { Authorization: `Bearer ${access_token}`, "Content-Type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params: { name: "list_websites" } }),
    });
  }
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
