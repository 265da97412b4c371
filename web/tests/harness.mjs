// A real Chromium on the real server: a fresh one for each file of tests, and tabs that remember what went wrong in them.
import { execFile, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { chromium } from "playwright-core";
import { MOST_MS } from "./wait.mjs";

export const BINARY = process.env.ZENOVAY_BIN ?? fileURLToPath(new URL("../../target/debug/zenovay", import.meta.url));
const CHROMIUM = process.env.CHROMIUM_BIN ?? "/usr/bin/chromium";
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const run = promisify(execFile);

/** Waits for the first line of `stream` that `pattern` finds. */
const line = (child, pattern) =>
  new Promise((resolve, reject) => {
    child.once("exit", (status) => reject(new Error(`ended with ${status}`)));
    createInterface({ input: child.stdout }).on("line", (text) => {
      const found = pattern.exec(text);
      if (found) resolve(found[1]);
    });
  });

export const ended = (child) => new Promise((resolve) => (child.exitCode !== null ? resolve() : child.once("exit", resolve)));

/**
 * A server on an empty directory. `welcome` is the path of the link of the first run; `cli` runs a command of the program on
 * the same data and returns what it prints.
 */
export async function startServer(...words) {
  const directory = mkdtempSync(join(tmpdir(), "zenovay-web-"));
  const data = ["--data-dir", join(directory, "data")];
  const limits = ["--public-requests-per-minute", "100000", "--tracking-requests-per-10s", "100000", "--tracking-requests-per-hour", "1000000"];
  const child = spawn(BINARY, ["serve", "--listen", "127.0.0.1:0", ...limits, ...words, ...data], {
    cwd: directory,
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ZENOVAY_BIN: undefined, ZENOVAY_LOG_LEVEL: "warn" },
  });
  const welcome = line(child, /\/(welcome#\S+)/);
  welcome.catch(() => {});
  const address = await line(child, /^listening on (http:\/\/\S+)$/);
  // Passkeys and the printed link are of this name.
  const origin = address.replace("127.0.0.1", "localhost");
  return {
    origin,
    address,
    welcome: await welcome,
    async cli(...command) {
      return (await run(BINARY, [...command, ...data], { cwd: directory })).stdout;
    },
    /** One request of a program with a key. */
    api: (path, key, init = {}) => fetch(`${address}${path}`, { ...init, headers: { "X-API-Key": key, ...init.headers } }),
    /** A pageview, as a page at `url` reports it. */
    async hit(code, url) {
      const answer = await fetch(`${address}/e/${code}`, {
        method: "POST",
        headers: { "Content-Type": "text/plain", Origin: new URL(url).origin, "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0" },
        body: JSON.stringify({ event_type: "pageview", url, session_id: "0123456789abcdef", user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", device_type: "desktop", browser: "Firefox", os: "Linux" }),
      });
      return answer.status;
    },
    async stop() {
      child.removeAllListeners("exit");
      child.kill("SIGTERM");
      await ended(child);
      rmSync(directory, { recursive: true });
    },
  };
}

export function startBrowser() {
  const args = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  return chromium.launch({ executablePath: CHROMIUM, args, headless: true });
}

/**
 * A fresh profile with one tab at `server`. `problems` has what no page may do: errors of scripts and of the policy, requests to
 * other hosts.
 */
export async function openTab(browser, server, options = {}) {
  const context = await browser.newContext({ baseURL: server.origin, locale: "en-GB", timezoneId: "Europe/Berlin", ...options });
  const page = await context.newPage();
  // Not by a script of all frames: in some of them none may run, and they say so.
  page.on("domcontentloaded", () => page.evaluate(remember).catch(() => {}));
  page.setDefaultTimeout(MOST_MS);
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  // What the server refuses is part of the tests.
  page.on("console", (message) => message.type() === "error" && !/status of 4\d\d/.test(message.text()) && problems.push(message.text()));
  page.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol !== "data:" && protocol !== "blob:" && origin !== server.origin) problems.push(`a request to ${origin}`);
  });
  return { context, page, problems };
}

/** Runs in each page: what its toasts said, which they do for a moment only. */
function remember() {
  window.said = [];
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const node of addedNodes) if (node instanceof Element && node.matches(".toast")) window.said.push(node.querySelector(".grow").textContent);
    }
  }).observe(document, { childList: true, subtree: true });
}

/** The rules of axe that look at colours. */
const COLOURS = ["color-contrast", "link-in-text-block"];
/** What axe leaves out by itself: that whatever is pressed is 24 pixels wide and high, or that far from the next. */
const MORE = { "target-size": { enabled: true } };

/**
 * What axe finds on the page as it is; asked by `devtools` where a session of the debugger must not end. `recoloured` is a page
 * that all rules have just looked at, in other colours.
 */
export async function violations(context, page, { devtools, recoloured = false } = {}) {
  const session = devtools ?? (await context.newCDPSession(page));
  // The policy of the page allows no script of others: it comes in by the debugger.
  const { result: has } = await session.send("Runtime.evaluate", { expression: "typeof axe", returnByValue: true });
  if (has.value === "undefined") await session.send("Runtime.evaluate", { expression: AXE });
  const expression = `axe.run(document, ${JSON.stringify(recoloured ? { runOnly: COLOURS } : { rules: MORE })}).then(({ violations }) => violations.map(({ id, nodes }) => id + ": " + nodes.map(({ html }) => html.slice(0, 160)).join(" | ")))`;
  const { result } = await session.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
  if (!devtools) await session.detach();
  return result.value;
}

/** How many pixels of the page are beyond its window. */
export const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

/** The code that an authenticator app with `secret` shows at `seconds` since 1970. */
export function totp(secret, seconds = Date.now() / 1000) {
  const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret.replace(/[\s=]/g, "").toUpperCase()].map((letter) => ALPHABET.indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(seconds / 30)));
  const digest = createHmac("sha1", key).update(counter).digest();
  const at = digest[19] & 15;
  return String((digest.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}
