// A real Chromium, pages of our own on the loopback address, and the real server to read back from.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { chromium } from "playwright-core";

const BINARY = process.env.ZENOVAY_BIN ?? new URL("../../target/debug/zenovay", import.meta.url).pathname;
const CHROMIUM = process.env.CHROMIUM_BIN ?? "/usr/bin/chromium";
/** Not the headless agent, which is a bot to the server; another version for each tab, so that each is a visitor of its own. */
let chromeVersion = 100;
const nextUserAgent = () =>
  `Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${chromeVersion++}.0.0.0 Safari/537.36`;

/** How long a test may take, in milliseconds: several times what the longest needs, for machines that do much else. */
const MOST_MS = 120_000;

/**
 * Starts what the tests of a file need, by its names, and stops it after them, the last first; with a `test` whose tests end after
 * `timeout` milliseconds: a report that never comes fails its test instead of holding up the others.
 */
export async function setUp(starts, timeout = MOST_MS) {
  const begun = await Promise.allSettled(Object.values(starts).map((start) => start()));
  const running = begun.flatMap(({ value }) => (value ? [value] : []));
  const stop = async () => {
    for (const one of running.reverse()) await (one.stop ? one.stop() : one.close());
  };
  const failed = begun.find(({ status }) => status === "rejected");
  if (failed) {
    await stop();
    throw failed.reason;
  }
  after(stop);
  const parts = Object.fromEntries(Object.keys(starts).map((name, place) => [name, begun[place].value]));
  return { ...parts, test: (name, body) => test(name, { timeout }, body) };
}

/** The server, a cookieless website and one that allows a cookie, which accept local hosts, and a key. */
export async function startServer() {
  const directory = mkdtempSync(join(tmpdir(), "zenovay-tracker-"));
  const data = ["--data-dir", join(directory, "data"), "--json"];
  const cli = (words, input) => JSON.parse(execFileSync(BINARY, [...words, ...data], { cwd: directory, input, encoding: "utf8" }));
  cli(["user", "create", "--email", "owner@example.com", "--name", "Owner", "--password-stdin"], "a long enough passphrase\n");
  const team = cli(["team", "create", "--name", "Team", "--owner", "owner@example.com", "--plan", "enterprise"]);
  const create = (domain, name) => cli(["website", "create", "--team", team.id, "--domain", domain, "--name", name, "--allow-localhost"]);
  const set = (id, ...settings) => execFileSync(BINARY, ["website", "set", id, ...settings, ...data], { cwd: directory });
  const website = create("example.com", "Example");
  const storing = create("cookies.example", "With cookies");
  set(storing.id, "cookieless=false");
  const { key } = cli(["key", "create", "--user", "owner@example.com", "--name", "tests", "--scopes", "read,write", "--teams", "all"]);
  const words = ["serve", "--listen", "127.0.0.1:0", "--tracking-requests-per-10s", "100000", "--tracking-requests-per-hour", "1000000",
    "--public-requests-per-minute", "100000"];
  const child = spawn(BINARY, [...words, "--data-dir", join(directory, "data")], {
    cwd: directory,
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ZENOVAY_LOG_LEVEL: "warn" },
  });
  const origin = await new Promise((resolve, reject) => {
    child.on("exit", (status) => reject(new Error(`the server ended with ${status}`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const match = /^listening on (http:\/\/\S+)$/.exec(line);
      if (match) resolve(match[1]);
    });
  });
  return {
    origin,
    id: website.id,
    code: website.tracking_code,
    /** The website that allows a cookie. */
    storing: { id: storing.id, code: storing.tracking_code, set: (...settings) => set(storing.id, ...settings) },
    /** One endpoint of the External API; its `data`. */
    async read(path, id = website.id) {
      const answer = await fetch(`${origin}/api/external/v1${path.replace("ID", id)}`, { headers: { "X-API-Key": key } });
      const body = await answer.json();
      if (!body.success) throw new Error(`${path}: ${JSON.stringify(body)}`);
      return body.data;
    },
    /** One endpoint of the console; its `data`. */
    async console(path, id = website.id) {
      const answer = await fetch(`${origin}/api/websites/${id}${path}`, { headers: { "X-API-Key": key } });
      const body = await answer.json();
      if (!body.success) throw new Error(`${path}: ${JSON.stringify(body)}`);
      return body.data;
    },
    /** Where the server keeps its data. */
    directory: join(directory, "data"),
    /** Sends JSON with the key. */
    async write(path, body) {
      const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };
      const answer = await fetch(origin + path, { method: "POST", headers, body: JSON.stringify(body) });
      if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    },
    /** The row of one page, or undefined when it was never viewed. */
    async page(path, code = website.tracking_code) {
      const id = code === website.tracking_code ? website.id : storing.id;
      for (let offset = 0; ; offset += 100) {
        const { pages } = await this.read(`/analytics/ID/pages?range=24h&limit=100&offset=${offset}`, id);
        const found = pages.find((page) => page.url === path);
        if (found || pages.length < 100) return found;
      }
    },
    /** The visitor that landed on a page. */
    async visitor(path) {
      const { visitors } = await this.read("/analytics/ID/visitors?range=24h&limit=1000");
      return visitors.find((visitor) => visitor.landing_page === path);
    },
    async stop() {
      child.removeAllListeners("exit");
      child.kill("SIGTERM");
      await new Promise((resolve) => child.on("exit", resolve));
      rmSync(directory, { recursive: true });
    },
  };
}

/** A web server for the pages of the tests: `pages` maps a path, or a folder as `/folder/*`, to HTML or to a handler. */
export async function startPages() {
  const pages = new Map([["/favicon.ico", ""]]);
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://page");
    const page = pages.get(pathname) ?? pages.get(pathname.replace(/^(\/[^/]*)\/.*$/, "$1/*"));
    if (typeof page === "function") return page(request, response);
    response.writeHead(page === undefined ? 404 : 200, { "Content-Type": "text/html; charset=utf-8" });
    response.end(page ?? "");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    pages,
    origin: `http://127.0.0.1:${server.address().port}`,
    stop: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))),
  };
}

export function startBrowser() {
  const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  return chromium.launch({ executablePath: CHROMIUM, args, headless: true });
}

/**
 * A fresh browser profile with one tab that remembers what it sent to the server and what the page complained about.
 * `answered(n)` waits until n reports were answered, `answeredEvents(n)` until n that are not heartbeats were, `settled()`
 * until all that were sent are, or failed.
 */
export async function openTab(browser, server, options = {}) {
  const context = await browser.newContext({ userAgent: nextUserAgent(), ...options });
  const page = await context.newPage();
  const reports = [];
  const errors = [];
  let wake = () => {};
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  const isReport = (request) => request.method() === "POST" && /\/e\/(heartbeat\/)?ZV_/.test(request.url());
  const order = [];
  let failed = 0;
  page.on("request", (request) => isReport(request) && order.push(request));
  page.on("requestfailed", (request) => {
    if (!isReport(request)) return;
    failed++;
    wake();
  });
  page.on("response", (response) => {
    const request = response.request();
    if (!isReport(request)) return;
    // In the order in which they were sent, not in which they were answered.
    const report = { place: order.indexOf(request), url: request.url(), status: response.status(), body: JSON.parse(request.postData()) };
    reports.push(report);
    reports.sort((one, other) => one.place - other.place);
    wake();
  });
  const answered = async (count) => {
    while (reports.length < count) await new Promise((resolve) => (wake = resolve));
  };
  const events = () => reports.filter((report) => report.body.event_type);
  const answeredEvents = async (count) => {
    while (events().length < count) await answered(reports.length + 1);
  };
  const settled = async () => {
    while (reports.length + failed < order.length) await new Promise((resolve) => (wake = resolve));
  };
  return { context, page, reports, errors, answered, answeredEvents, settled, events };
}
