// A server that hands out the built scripts and keeps what they report, for tests of what a browser sends.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { gunzipSync } from "node:zlib";

const DIST = new URL("../dist/", import.meta.url);
export const CODE = "ZV_test1234";

/** Everything that a website can switch on. */
export const ALL = {
  cookieless: true, track_outbound_links: true, track_downloads: true, web_vitals: true, errors: true, heatmaps: true, session_replay: true,
  session_replay_trigger: "all", session_replay_sample_percent: 100, session_replay_consent: false, session_replay_mask_inputs: true,
};

const collectors = new Map();

export async function startCollector() {
  const pages = new Map();
  const collector = {
    pages,
    /** The version of the first browser whose reports are kept, see `clear`. */
    since: 0,
    /** What `/load` answers. */
    settings: {},
    /** What came, in order: kind, body, bytes as sent, whether packed, and what was answered. */
    reports: [],
    /** The files and routes that were asked for. */
    asked: [],
    /** The scripts among them, with their queries. */
    scripts: [],
    /** Decides the answer to a report: `[status, body, headers]`, or nothing for 200; a promise makes it wait. */
    answer: () => undefined,
    /** All bytes of reports as strings, unpacked. */
    text: () => collector.reports.map((report) => report.text).join("\n"),
    of: (kind) => collector.reports.filter((report) => report.kind === kind).map((report) => report.body),
    /** Waits until a condition on the reports holds. */
    async until(condition) {
      while (!condition()) await new Promise((resolve) => wakes.push(resolve));
    },
    /** What pages that are open now send from here on, as they are left, is answered and not kept: it may come only in the next test. */
    clear() {
      collector.since = version;
      collector.reports.length = collector.asked.length = collector.scripts.length = 0;
      collector.settings = {};
      collector.answer = () => undefined;
    },
  };
  const wakes = [];
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://collector");
    const send = (status, body, headers = {}) => {
      response.writeHead(status, { "Access-Control-Allow-Origin": "*", "Cache-Control": "no-store", "Content-Type": "application/json", ...headers });
      response.end(typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body));
    };
    if (pages.has(pathname)) {
      const page = pages.get(pathname);
      return typeof page === "function" ? page(request, response) : send(200, page, { "Content-Type": "text/html; charset=utf-8" });
    }
    const isOfOlder = Number(/ Chrome\/(\d+)\./.exec(request.headers["user-agent"])?.[1]) < collector.since;
    if (!isOfOlder) collector.asked.push(pathname);
    const script = /^\/(?:api\/_z\/)?(z(?:-\w+)?\.js)$/.exec(pathname);
    if (script && !isOfOlder) collector.scripts.push(request.url);
    if (script) return send(200, readFileSync(new URL(script[1], DIST)), { "Content-Type": "text/javascript; charset=utf-8" });
    if (/\/load\//.test(pathname)) return send(200, { success: true, data: collector.settings });
    const kind = /\/api\/track\/[^/]+\/(\w+)$/.exec(pathname)?.[1] ?? (/\/e\//.test(pathname) ? "e" : undefined);
    if (request.method !== "POST" || !kind) return send(404, { success: false });
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    const isPacked = bytes[0] === 0x1f && bytes[1] === 0x8b;
    const text = (isPacked ? gunzipSync(bytes) : bytes).toString();
    const report = { kind, bytes: bytes.length, isPacked, text, body: JSON.parse(text), type: request.headers["content-type"] };
    const [status, body, headers] = (await collector.answer(report)) ?? [200, { success: true }];
    report.status = status;
    if (!isOfOlder) collector.reports.push(report);
    send(status, body, headers);
    for (const wake of wakes.splice(0)) wake();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  collector.origin = `http://127.0.0.1:${server.address().port}`;
  collectors.set(collector.origin, collector);
  collector.stop = () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve)));
  /** Serves a page with the tag. */
  collector.page = (path, body, { head = "", attributes = "" } = {}) =>
    pages.set(path.split("?")[0], `<!doctype html><html><head><title>Page ${path.split("?")[0]}</title>${head}<script defer data-tracking-code="${CODE}" ${attributes} src="/z.js"></script></head><body>${body}</body></html>`);
  return collector;
}

let version = 100;

/** A fresh profile with one tab on a page. */
export async function open(browser, collector, path, options = {}) {
  const context = await browser.newContext({
    userAgent: `Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${version++}.0.0.0 Safari/537.36`,
    ...options,
  });
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  await options.prepare?.(page, context);
  await page.goto(collector.origin + path);
  return { context, page, errors, close: () => context.close() };
}

/** Makes the page believe that it is hidden, or shown again. */
export const hide = (page, hidden = true) =>
  page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => (hidden ? "hidden" : "visible") });
    document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
  }, hidden);

/** Waits until a script that is loaded on demand has run. */
export async function ready(page, name) {
  const { origin } = new URL(page.url());
  const collector = collectors.get(origin);
  const find = () => collector.scripts.find((address) => address.includes(`/z-${name}.js`));
  while (!find()) await new Promise((resolve) => setTimeout(resolve, 10));
  // The same module: what waited for it first has been told of it first.
  await page.evaluate((address) => import(address).then(() => {}), find());
}
