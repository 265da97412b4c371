// Traffic of a month, the same for the same seed, sent as a server imports it; and some visits of the last hours from places.

const PAGES = ["/", "/", "/", "/pricing", "/docs/getting-started", "/docs/install/docker", "/docs/api", "/blog/moving-from-log-files-to-events", "/changelog", "/compare"];
const REFERRERS = ["", "", "https://www.google.com/", "https://www.google.com/", "https://duckduckgo.com/", "https://news.ycombinator.com/item", "https://github.com/example"];
const AGENTS = [
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36",
  "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36 Edg/143.0.0.0",
];
/** Addresses of universities and carriers, whose countries are known. */
const ADDRESSES = ["141.20.1.1", "141.20.1.2", "141.20.2.1", "8.8.8.8", "194.66.0.1", "193.55.0.1", "130.225.0.1", "133.11.0.1", "200.144.0.1", "139.130.4.5", "145.0.0.1"];
const DAY = 86_400_000;

function random(seed) {
  let state = seed;
  return (most) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
}

/** The events of `days` days before `now`, as the batch route takes them. */
export function traffic({ now, days, perDay, seed = 3 }) {
  const pick = random(seed);
  const one = (list) => list[pick(list.length)];
  const events = [];
  for (let day = days; day >= 0; day--) {
    for (let visit = 0; visit < perDay - pick(Math.ceil(perDay / 3)); visit++) {
      const start = now - day * DAY - pick(DAY);
      if (start > now - 60_000) continue;
      const returning = pick(4) === 0;
      const visitorId = returning ? `visitor-${pick(40)}-again` : `visitor-${day}-${visit}-once`;
      const sessionId = `session-${day}-${visit}`;
      const serverContext = { userAgent: one(AGENTS), clientIp: one(ADDRESSES), acceptLanguage: "de" };
      const referrer = one(REFERRERS);
      const campaign = pick(9) === 0 ? "?utm_source=newsletter&utm_medium=email&utm_campaign=june" : "";
      let at = start;
      for (let page = 0; page <= pick(4); page++) {
        const path = one(PAGES);
        const props = { url: `https://example.com${path}${page === 0 ? campaign : ""}`, title: path, language: "de-DE", screen_width: 1440, screen_height: 900, ...(page === 0 && referrer && { referrer }) };
        events.push({ type: "pageview", ts: at, visitorId, sessionId, serverContext, props });
        at += 5000 + pick(120_000);
      }
      if (pick(6) === 0) {
        const props = { url: "https://example.com/pricing", name: "signup_completed", plan: one(["free", "pro"]) };
        events.push({ type: "custom", ts: at, visitorId, sessionId, serverContext, props });
      }
    }
  }
  return events.filter(({ ts }) => ts <= now);
}

/** Stores events at a website. */
export async function store(server, key, trackingCode, events) {
  for (let from = 0; from < events.length; from += 1000) {
    const answer = await server.api("/api/v1/events", key, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ trackingCode, events: events.slice(from, from + 1000) }),
    });
    const body = await answer.json();
    if (!answer.ok || body.data.accepted !== Math.min(1000, events.length - from)) throw new Error(JSON.stringify(body).slice(0, 2000));
  }
}

const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/** A pageview of this moment, or what `more` makes of it, from an address. The server must trust the proxy that tells it. */
export async function view(server, code, { path, session, address, origin = "https://example.com", ...more }) {
  const answer = await fetch(`${server.address}/e/${code}`, {
    method: "POST",
    headers: { "Content-Type": "text/plain", Origin: origin, "X-Forwarded-For": address, "User-Agent": FIREFOX },
    body: JSON.stringify({ event_type: "pageview", url: origin + path, session_id: session, user_agent: FIREFOX, browser: "Firefox", os: "Linux", device_type: "desktop", language: "en", ...more }),
  });
  if (answer.status !== 200) throw new Error(`${answer.status} ${await answer.text()}`);
}

/** Visits of this moment from all over the world. */
export async function visits(server, code, origin) {
  for (const [index, address] of ADDRESSES.entries()) {
    await view(server, code, { path: PAGES[index % PAGES.length], session: `live-session-${index}`, address, origin });
  }
}

/** Something that a page of this moment tells beside its events: `error`, `performance`. */
export async function report(server, code, kind, { address = ADDRESSES[0], agent = FIREFOX, origin = "https://shop.example", path = "/", ...body }) {
  const answer = await fetch(`${server.address}/api/track/${code}/${kind}`, {
    method: "POST",
    headers: { "Content-Type": "text/plain", Origin: origin, "X-Forwarded-For": address, "User-Agent": agent },
    body: JSON.stringify({ url: origin + path, session_id: `session-of-${address}-${AGENTS.indexOf(agent)}`, sent_at: Date.now(), device_type: "desktop", ...body }),
  });
  const told = await answer.json();
  if (answer.status !== 200 || told.accepted === false) throw new Error(`${kind}: ${answer.status} ${JSON.stringify(told)}`);
}

/** Errors of two releases of a bundled app, as `stacks` of its fixture has them, and others; by many visitors. */
export async function errors(server, code, stacks, now = Date.now()) {
  const HOUR = 3_600_000;
  const crumbs = (at) => [
    { at: at - 25_000, kind: "view", text: "/pricing" },
    { at: at - 3_000, kind: "click", text: "Start free" },
    { at: at - 1_000, kind: "rage", text: "Start free" },
  ];
  for (const [place, { release, type, message, stack }] of stacks.slice(0, 2).entries()) {
    for (const [index, address] of ADDRESSES.slice(0, place === 0 ? 3 : 9).entries()) {
      const at = now - (place === 0 ? 60 : 2) * HOUR - index * HOUR;
      const error = { id: `error-${place}-build-${index}`, at, type, message, stack, kind: "uncaught", breadcrumbs: crumbs(at), properties: { plan: index % 2 ? "pro" : "free" } };
      await report(server, code, "error", { address, agent: AGENTS[index % AGENTS.length], path: index % 3 ? "/cart" : "/pricing", release, device_type: index % 4 === 2 ? "mobile" : "desktop", errors: [error] });
    }
  }
  const file = "https://shop.example/assets/vendor-1.js";
  const others = [
    { type: "RangeError", message: "Invalid array length", stack: `RangeError: Invalid array length\n    at grow (${file}:3:7)\n    at https://shop.example/node_modules/lib/index.js:9:1`, count: 4 },
    { type: "UnhandledRejection", message: "timeout of 3000 ms", stack: "", kind: "rejection" },
    { type: "PaymentError", message: "declined", stack: `PaymentError: declined\n    at pay (${file}:8:2)`, kind: "manual", properties: { step: "payment" } },
  ];
  for (const [index, error] of others.entries()) await report(server, code, "error", { address: ADDRESSES[index + 2], path: "/checkout", release: "1.1.0", errors: [{ id: `error-other-${index}`, at: now - index * HOUR, ...error }] });
}

/** How fast pages were, by page and device, the same each time. */
export async function speeds(server, code, now = Date.now()) {
  const pick = random(11);
  const phone = AGENTS[2];
  for (let view = 0; view < 60; view++) {
    const path = ["/", "/pricing", "/docs"][view % 3];
    const slow = path === "/docs" ? 2.4 : path === "/pricing" ? 1.2 : 1;
    const mobile = view % 4 === 0;
    await report(server, code, "performance", {
      address: ADDRESSES[view % ADDRESSES.length],
      ...(mobile && { agent: phone }),
      device_type: mobile ? "mobile" : "desktop",
      path,
      view_id: `view-${view}-abcdef`,
      sent_at: now,
      lcp: Math.round((1200 + pick(900)) * slow),
      cls: pick(30) / 100,
      ...(view % 5 !== 0 && { inp: 60 + pick(200) }),
      fcp: Math.round((500 + pick(700)) * slow),
      ttfb: Math.round((120 + pick(200)) * slow),
    });
  }
}
