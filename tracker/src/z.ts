/**
 * The tracking script: counts views, measures visible time, runs the page's commands. No dependency, no effect on the
 * page it runs in: it patches nothing but `history.pushState` and `history.replaceState`, and every entry point swallows
 * its own errors. What a page can do without until its first report is sent is in `more.ts`.
 */
import type { Core, Fields, Order, Report } from "./core";

declare const SCRIPT_VERSION: string;
/** Names the build of `z-more.js` that belongs to this one. */
declare const MORE_HASH: string;

const HEARTBEAT_MS = 30_000;
const SAME_PAGE_MS = 1_000;
/** How long reports wait to learn whether the visitor may be recognised. */
const IDENTITY_MS = 5_000;
/** Orders that are kept until the second script carries them out. */
const ORDERS_MAX = 50;
/** Orders that leave room for what went wrong. */
const FAILURES_MAX = 10;
const URL_MAX = 2_048;
/** Of all properties of an event as JSON; the server keeps a little more. */
const PROPERTIES_MAX_BYTES = 32_000;

type Command = (...args: unknown[]) => unknown;
type Queue = { push: (...calls: ArrayLike<unknown>[]) => unknown } & Iterable<Iterable<unknown>>;

/** `window.ZENOVAY_TRACKER_CONFIG`: wins over the attributes of the tag. */
interface TrackerConfig {
  trackingCode?: string;
  /** Where events go, without trailing slash. */
  apiUrl?: string;
  cookielessMode?: boolean;
  trackOutboundLinks?: boolean;
  debugMode?: boolean;
}

type Page = Window & {
  ZENOVAY_TRACKER_CONFIG?: TrackerConfig;
  zenovay?: Command & { q?: Queue; version?: string };
  zenovayQueue?: Queue;
  navigation?: EventTarget;
};

((page: Page, doc: Document, nav: Navigator & { globalPrivacyControl?: boolean }) => {
  let debug = false;
  const log = (...words: unknown[]) => {
    if (debug) console.log("[Zenovay]", ...words);
  };

  /** `work`, but it never throws into the page. */
  const safely =
    <A extends unknown[], R>(work: (...args: A) => R) =>
    (...args: A): R | undefined => {
      try {
        return work(...args);
      } catch (error) {
        log("error", error);
      }
    };

  safely(() => {
    // What the page does to these later does not reach us.
    const { stringify } = JSON;
    const { now } = Date;
    const { setTimeout } = page;
    const fetchNatively = page.fetch?.bind(page);
    const beaconNatively = nav.sendBeacon?.bind(nav);

    // Own members only: neither a polluted prototype nor an element with this id says where reports go.
    const config = { __proto__: null, ...page.ZENOVAY_TRACKER_CONFIG } as unknown as TrackerConfig;
    // currentScript is null where a tag manager or a loader put the tag on the page.
    const tag = (doc.currentScript ||
      doc.querySelector("script[data-tracking-code^=ZV_],script[data-id^=ZV_],script[src*='/z.js']")) as HTMLScriptElement | null;
    const attribute = (name: string) => tag?.getAttribute("data-" + name);
    const chosen = (setting: boolean | undefined, name: string) => {
      const value = attribute(name);
      return setting ?? (value == null ? undefined : value !== "false");
    };
    const code = config.trackingCode || attribute("tracking-code") || attribute("id") || "";
    // The directory of the script, whatever its name, so that a first-party proxy path works without being told.
    const base = config.apiUrl || (tag?.src || "").replace(/\/[^/?#]*([?#].*)?$/, "");
    debug = !!chosen(config.debugMode, "debug");
    const optedOut = !chosen(undefined, "ignore-dnt") && (nav.globalPrivacyControl || nav.doNotTrack === "1");
    const cookieless = optedOut || chosen(config.cookielessMode, "cookieless");
    const followsLinks = chosen(config.trackOutboundLinks, "track-outbound-links") !== false;

    if (page.zenovay?.version) return log("ignored: second tag", code);
    if (!/^ZV_\w+$/.test(code) || !base) return log("ignored: no code");

    let enabled = true;
    /** The last recorded URL with its hash; when it or a manual call for it was last recorded. */
    let lastUrl = "";
    let lastAt = 0;
    /** The view was recorded without being asked for, and the page's own call for it may still come. */
    let expectsCall = false;
    let referrer = doc.referrer;
    let scrolled = 0;
    let reported = 0;
    let visibleSince = 0;
    let engagedMs = 0;
    /** What became of the second script: 0 is not asked for, 1 is asked for, 2 is not there. */
    let more = 0;
    /** Whether the last report had no answer. */
    let lost = false;
    /** Reports that wait to learn whether the visitor may be recognised: by the tag, or by consent given before. */
    let held: Report[] | undefined = (cookieless ?? !safely(() => localStorage.zv_consent)()) ? undefined : [];
    const orders: Order[] = [];
    /** The commands that were called before the page is shown, in order. */
    const queued: ArrayLike<unknown>[] = [];

    const randomId = () => {
      let id = "";
      const bytes = safely(() => crypto.getRandomValues(new Uint8Array(16)))();
      for (let i = 16; i--; ) id += ((bytes ? bytes[i]! : Math.random() * 256) + 256).toString(16).slice(1, 3);
      return id;
    };
    let visitor: string;
    let session: string;

    /** No more than `max` characters, and no half of one. */
    const cut = (text: unknown, max: number) => String(text).slice(0, max).replace(/[\uD800-\uDBFF]$/, "");
    /** An address that is too long loses its fragment and the parameters that say nothing of a campaign, then its end. */
    const address = (url: string) =>
      url.length > URL_MAX
        ? cut(url.replace(/#.*/, "").replace(/([?&])(?!utm_|\w*cl(k|)id=|[gw]braid=)[^?&]*/g, "$1"), URL_MAX)
        : url;

    const core: Core = {
      base,
      code,
      cookieless,
      followsLinks,
      now,
      fetch: fetchNatively,
      log,
      safely,
      randomId,
      // A file, or a frame without an address, is no page of a website.
      active: () => enabled && /^http/.test(location.protocol),
      post(report, leaving) {
        if (!core.active()) return;
        const url = base + "/e/" + report.path + code;
        // A report that is sent again is from whom it was.
        const fields = (report.fields = {
          __proto__: null,
          ...(!report.fields.session_id && core.identity()),
          ...report.fields,
        } as Fields);
        const text = stringify(fields);
        log(report.path || fields.event_type, fields);
        if ((leaving || !fetchNatively) && beaconNatively?.(url, text)) return;
        // A text body needs no preflight.
        fetchNatively?.(url, { __proto__: null, method: "POST", body: text, keepalive: true, credentials: "omit" } as RequestInit)
          .then(
            safely((answer: Response) => {
              lost = false;
              // The website does not take this page's reports: asking again would only fill the page's console.
              if (/40[13]/.test(answer.status as never)) {
                log("refused");
                enabled = false;
              } else order("answer", report, answer);
            }),
            () => {
              lost = true;
              if (more > 1) more = 0;
              order("answer", report);
            },
          );
      },
      release: safely(() => {
        const reports = held || [];
        held = undefined;
        for (const report of reports) core.post(report);
      }),
      visitor: () => visitor,
      identity: () => ({ session_id: session, cookieless: true, opted_out: optedOut || undefined }),
      renew() {
        visitor = randomId();
        session = randomId();
      },
      event: (...args) => event(...args),
      order(...order) {
        if (orders.length < ORDERS_MAX) orders.push(order);
      },
    };

    core.renew();

    /** A page that does not allow the second script is asked once, a network that fails again after each failure. */
    const loadMore = () => {
      if (more) return;
      more = 1;
      import(base + "/z-more.js?" + MORE_HASH)
        .then((script: { default: (core: Core, orders: Order[]) => void }) => script.default(core, orders))
        .catch((error) => {
          log("not loaded", error);
          more = lost ? 0 : 2;
          core.release();
        });
    };

    const order = (...order: Order) => {
      core.order(...order);
      loadMore();
    };

    const send = (path: Report["path"], fields: Fields, leaving?: boolean) => {
      const report = { path, fields, at: now() };
      if (leaving) core.release();
      if (!held) return core.post(report, leaving);
      if (!held.length) setTimeout(core.release, IDENTITY_MS);
      held.push(report);
      loadMore();
    };

    /** The members of objects that can be read. */
    const members = (...objects: unknown[]) => {
      const all: Fields = Object.create(null);
      for (const object of objects)
        safely(() => {
          if (object && typeof object === "object")
            for (const key of Object.keys(object)) safely(() => (all[key] = (object as Fields)[key]))();
        })();
      return all;
    };

    const event = (type: string, name?: unknown, properties?: unknown, extra?: Fields | false) => {
      if (!core.active()) return;
      // A page may have a global of this name.
      const { width, height } = (page.screen || {}) as Screen;
      const fields = {
        __proto__: null,
        event_type: type,
        event_name: name ? cut(name, 100) : undefined,
        event_id: randomId(),
        title: cut(doc.title, 512),
        user_agent: nav.userAgent,
        // The server reads browser and system from the user agent; only the page knows a tablet that calls itself a Mac.
        device_type: !page.matchMedia?.("(pointer:coarse)").matches
          ? "desktop"
          : Math.min(width, height) < 600
            ? "mobile"
            : "tablet",
        browser: "unknown",
        os: "unknown",
        screen_width: width,
        script_version: SCRIPT_VERSION,
        language: optedOut ? undefined : nav.language,
        url: location.href,
        referrer,
        ...extra,
      } as unknown as Fields;
      fields.url = address(fields.url as string);
      fields.referrer = address(fields.referrer as string) || undefined;
      if (properties && typeof properties === "object") {
        const data = (fields.event_data = members(properties));
        let count = 0;
        let left = PROPERTIES_MAX_BYTES;
        for (const key in data) {
          if (typeof data[key] === "string") data[key] = cut(data[key], 1_000);
          if (/^(string|number|boolean)$/.test(typeof data[key]) && key.length <= 100) {
            // Bytes of UTF-8: each that is not ASCII is three characters here.
            left -= encodeURI(stringify([key, data[key]])).replace(/%../g, "1").length;
            if (count++ < 50 && left > 0) continue;
          }
          delete data[key];
        }
      }
      send("", fields);
    };

    const named = (type: string, name: unknown, properties?: unknown) =>
      name ? event(type, name, properties) : log("ignored: no name", type);

    const visible = () => !doc.hidden;
    const isAhead = () => (doc as Document & { prerendering?: boolean }).prerendering;

    /** Reports visible time and scroll depth since the last report. */
    const heartbeat = (leaving?: boolean) => {
      if (!core.active()) return;
      const at = now();
      if (visibleSince) engagedMs += at - visibleSince;
      visibleSince = visible() && !leaving ? at : 0;
      if (!lastUrl || (engagedMs < 1 && scrolled <= reported)) return;
      reported = scrolled;
      const fields = { url: address(lastUrl), engagement_ms: Math.max(0, engagedMs), scroll_depth: scrolled };
      engagedMs = 0;
      send("heartbeat/", fields, leaving);
    };

    const measureScroll = () => {
      const height = doc.documentElement.scrollHeight;
      if (height) scrolled = Math.max(scrolled, Math.min(100, Math.round(((scrollY + innerHeight) / height) * 100)));
    };

    const pageview = (manual?: boolean, replaced?: boolean) => {
      if (!core.active()) return;
      const url = location.href;
      const at = now();
      if (manual) {
        // A router's own call for a page that was counted already is not another view, however late it comes.
        const known = url === lastUrl && (expectsCall || at - lastAt < SAME_PAGE_MS);
        expectsCall = false;
        lastAt = at;
        if (known) return;
      } else {
        // A hash alone is not another page. One that a router puts there before its first call is of the same view.
        if (url.split("#")[0] === lastUrl.split("#")[0]) {
          if (replaced && expectsCall) lastUrl = url;
          return;
        }
        expectsCall = true;
      }
      if (lastUrl) {
        heartbeat();
        referrer = "";
      }
      lastUrl = url;
      lastAt = at;
      scrolled = reported = 0;
      const view = { url, referrer };
      // Routers set the title after the URL, and may go on to the next URL before this one is reported.
      setTimeout(
        safely(() => {
          event("pageview", 0, 0, view);
          measureScroll();
        }),
      );
    };

    const identify = (who: unknown, traits?: unknown) => {
      if (optedOut) return log("ignored: opted out");
      const data = members(traits, who);
      if (typeof who === "string" || typeof who === "number") data[/@/.test(who as string) ? "email" : "user_id"] = who;
      if (data.email || data.user_id || data.id) event("identify", 0, data);
      else log("ignored: no id");
    };

    const revenue = (amount: unknown, currency: unknown = "USD", properties?: unknown) => {
      const value = /\d/.test(amount as string) ? Number(amount) : NaN;
      const unit = String(currency).toUpperCase();
      if (!isFinite(value) || !/^[A-Z]{3}$/.test(unit)) return log("ignored: no amount or currency");
      const data = members(properties, { value, currency: unit });
      const order = data.order_id;
      // A thank-you page that is opened again tells of the same order once more: the server knows it by its id.
      event("revenue", 0, data, (order || order === 0) && { event_id: cut("order:" + order, 255) });
    };

    /** What went wrong waits for a script of its own, and leaves room for other orders. */
    const failed = (...thrown: unknown[]) => orders.length < FAILURES_MAX && core.order("error", thrown);

    const commands: Record<string, Command> = {
      __proto__: null as never,
      track: (name, properties, more) =>
        typeof properties === "string"
          ? named("custom", name, members(more, { funnel: properties }))
          : named("custom", name, properties),
      page: () => pageview(true),
      identify,
      goal: (name, properties) => named("goal", name, properties),
      revenue: revenue as Command,
      consent(state) {
        order("consent", state);
        event("consent", 0, { state });
      },
      getVisitorId: () => core.visitor(),
      enable() {
        if (enabled) return;
        enabled = true;
        // The time since it was disabled is nobody's.
        engagedMs = 0;
        visibleSince = visible() ? now() : 0;
      },
      disable: () => void (enabled = false),
      reset() {
        core.renew();
        order("reset");
      },
      error: failed,
    };

    const zenovay = safely((name: string, ...args: unknown[]) => {
      // A page that is only rendered ahead is not seen yet: what it calls happens when it is.
      if (isAhead() && name !== "getVisitorId") queued.push([name, ...args]);
      // An unknown command is the name of an event, as in the first generation of the script.
      else return (commands[name] || ((properties) => named("custom", name, properties)))(...args);
    }) as unknown as NonNullable<Page["zenovay"]> & typeof commands;
    const push = (...calls: ArrayLike<unknown>[]) => {
      for (const call of calls) zenovay(...[].slice.call(call));
    };
    zenovay.version = SCRIPT_VERSION;
    for (const name of ["identify", "reset"] as const) zenovay[name] = (...args) => zenovay(name, ...args);
    // A stub that the page kept a hold of goes on to queue: here, or in what it queued before.
    zenovay.q = { push } as Queue;
    for (const queue of [page.zenovay?.q, page.zenovayQueue]) {
      safely(() => {
        for (const call of queue || []) queued.push([...call]);
        if (queue) queue.push = push;
      })();
    }
    page.zenovay = zenovay;

    const start = safely(() => {
      // A page that froze its history keeps it: then the Navigation API tells of its routes, or `page` alone counts them.
      safely(() => {
        for (const name of ["pushState", "replaceState"] as const) {
          const native = history[name];
          history[name] = function (this: History, ...args: Parameters<typeof native>) {
            native.apply(this, args);
            safely(pageview)(false, name > "q");
          };
        }
      })();
      const on = (target: EventTarget | undefined, type: string, handler: (event: never) => void, capture?: boolean) =>
        target?.addEventListener(type, safely(handler) as EventListener, capture);
      on(page, "popstate", () => pageview());
      on(page.navigation, "currententrychange", () => pageview());
      on(page, "pageshow", (shown: PageTransitionEvent) => {
        if (!shown.persisted) return;
        lastUrl = "";
        pageview();
      });
      on(page, "pagehide", () => heartbeat(true));
      on(doc, "visibilitychange", () => (visible() ? (visibleSince = now()) : heartbeat(true)));
      on(page, "scroll", measureScroll, true);
      // What the click went through is known only while it happens.
      const followed = (click: MouseEvent) => core.order("click", click, click.composedPath());
      on(doc, "click", followed, true);
      on(doc, "auxclick", followed, true);
      on(page, "error", failed);
      on(page, "unhandledrejection", failed);

      enabled = !queued.some((call) => call[0] === "disable");
      if (visible()) visibleSince = now();
      pageview();
      setTimeout(safely(() => push(...queued)));
      setInterval(
        safely(() => visible() && heartbeat()),
        HEARTBEAT_MS,
      );
    });

    if (isAhead()) doc.addEventListener("prerenderingchange", start);
    else start();
  })();
})(window as Page, document, navigator);
