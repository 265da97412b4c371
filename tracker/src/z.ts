/**
 * The tracking script. One file, no dependency, no effect on the page it runs in: it patches nothing but
 * `history.pushState` and `history.replaceState`, and every entry point swallows its own errors.
 */

declare const SCRIPT_VERSION: string;
export {};

type Properties = Record<string, unknown>;
type Fields = Record<string, unknown>;
type Command = (...args: unknown[]) => unknown;

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
  zenovay?: Command & { q?: ArrayLike<unknown>[]; version?: string };
  zenovayQueue?: ArrayLike<unknown>[];
};

((page: Page, doc: Document, nav: Navigator & { globalPrivacyControl?: boolean }) => {
  // What the page does to these later does not reach us.
  const { stringify } = JSON;
  const { now } = Date;
  const fetchNatively = page.fetch?.bind(page);
  const beaconNatively = nav.sendBeacon?.bind(nav);

  const HEARTBEAT_MS = 30_000;
  const SESSION_GAP_MS = 1_800_000;
  const SAME_PAGE_MS = 1_000;
  const DOWNLOAD = /\.(7z|avi|csv|dmg|docx?|exe|gz|iso|mov|mp[34]|msi|odt|pdf|pkg|pptx?|rar|tar|txt|wav|xlsx?|zip)$/i;

  /** `work`, but never throws into the page. */
  const safely =
    <A extends unknown[], R>(work: (...args: A) => R) =>
    (...args: A): R | undefined => {
      try {
        return work(...args);
      } catch (error) {
        log("error", error);
      }
    };

  // Own members only: neither a polluted prototype nor an element with this id says where reports go.
  const config: TrackerConfig = Object.assign(Object.create(null), page.ZENOVAY_TRACKER_CONFIG);
  // currentScript is null where a tag manager or a loader put the tag on the page.
  const tag = (doc.currentScript || doc.querySelector('script[src*="/z.js"]')) as HTMLScriptElement | null;
  const attribute = (name: string) => tag?.getAttribute("data-" + name);
  const code = config.trackingCode || attribute("tracking-code") || attribute("id") || "";
  // Next to the script, so that a first-party proxy path works without being told.
  const base = config.apiUrl || (tag?.src || "").replace(/\/z\.js.*$/, "");
  const debug = config.debugMode ?? attribute("debug") === "true";
  const optedOut =
    (nav.globalPrivacyControl || nav.doNotTrack === "1") && attribute("ignore-dnt") !== "true";
  const cookieless = optedOut || (config.cookielessMode ?? attribute("cookieless") !== "false");
  const followsLinks = config.trackOutboundLinks ?? attribute("track-outbound-links") !== "false";

  function log(...words: unknown[]) {
    if (debug) console.log("[Zenovay]", ...words);
  }

  if (page.zenovay?.version) return;
  if (!/^ZV_\w+$/.test(code) || !base) {
    log("no tracking code");
    return;
  }

  const queues = [page.zenovay?.q, page.zenovayQueue];
  let enabled = true;
  /** The last recorded URL with its hash, and when. */
  let lastUrl = "";
  let lastAt = 0;
  let referrer = doc.referrer;
  let scrolled = 0;
  let reported = 0;
  let visibleSince = 0;
  let engagedMs = 0;
  let memory = Object.create(null) as Record<string, string>;

  const randomId = () => {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    let id = "";
    for (let i = 0; i < 16; i++) id += (bytes[i]! + 256).toString(16).slice(1);
    return id;
  };

  /** Reads or writes a value that survives the page; in memory where storage is blocked or not wanted. */
  const stored = (key: string, value?: string): string | undefined => {
    if (value !== undefined) memory[key] = value;
    if (!cookieless) {
      try {
        if (value === undefined) return localStorage.getItem(key) ?? memory[key];
        localStorage.setItem(key, value);
      } catch {
        // Blocked: the copy in memory serves this page.
      }
    }
    return memory[key];
  };

  const visitorId = () => {
    let id = cookieless ? undefined : /(?:^|; )zv_vid=(\w+)/.exec(doc.cookie)?.[1];
    id ||= stored("zv_vid") || randomId();
    memory.zv_vid = id;
    if (!cookieless && enabled) {
      doc.cookie = `zv_vid=${id};path=/;max-age=31536000;SameSite=Lax` + (location.protocol === "https:" ? ";Secure" : "");
    }
    return id;
  };

  const sessionId = () => {
    const [id, at] = (stored("zv_sid") || "").split(".");
    const current = id && now() - Number(at) < SESSION_GAP_MS ? id : randomId();
    stored("zv_sid", `${current}.${now()}`);
    return current;
  };

  const send = (path: string, body: Fields, leaving?: boolean, tries = 3) => {
    const url = `${base}/e/${path}${code}`;
    const text = stringify(body);
    log(body.event_type || "heartbeat", body);
    if ((leaving || !fetchNatively) && beaconNatively?.(url, text)) return;
    // A text body needs no preflight.
    fetchNatively?.(url, { __proto__: null, method: "POST", body: text, keepalive: true, credentials: "omit" } as RequestInit)
      .then(({ status }) => {
        // 503 is the one answer after which nothing was stored, so a retry counts once.
        if (status === 503 && tries > 1) setTimeout(safely(() => enabled && send(path, body, false, tries - 1)), 5_000);
        // The website does not take this page's reports: asking again would only fill the page's console.
        if (status === 401 || status === 403) {
          log("refused", status);
          enabled = false;
        }
      })
      .catch((error) => log("not sent", error));
  };

  /** What every report says. Without prototype, so that a polluted one changes nothing. */
  const body = (url: string): Fields => {
    const fields: Fields = Object.create(null);
    fields.url = url;
    fields.session_id = sessionId();
    if (cookieless) fields.cookieless = true;
    else fields.visitor_id = visitorId();
    return fields;
  };

  const event = (type: string, name?: unknown, properties?: unknown, url = location.href, from = referrer) => {
    if (!enabled) return;
    const fields = body(url);
    const { width, height } = screen;
    fields.event_type = type;
    if (name) fields.event_name = String(name);
    fields.title = doc.title;
    if (from) fields.referrer = from;
    fields.user_agent = nav.userAgent;
    // The server reads browser and system from the user agent; only the page knows a tablet that calls itself a Mac.
    fields.device_type = !matchMedia("(pointer:coarse)").matches
      ? "desktop"
      : Math.min(width, height) < 600
        ? "mobile"
        : "tablet";
    fields.browser = fields.os = "unknown";
    fields.screen_width = width;
    fields.screen_height = height;
    fields.viewport_width = innerWidth;
    fields.viewport_height = innerHeight;
    if (!optedOut) {
      fields.language = nav.language;
      fields.timezone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    }
    fields.script_version = SCRIPT_VERSION;
    if (properties && typeof properties === "object") {
      const data: Fields = (fields.event_data = Object.create(null));
      for (const key of Object.keys(properties)) {
        const value = (properties as Properties)[key];
        if (/^(s|n|b)/.test(typeof value)) data[key] = value;
      }
    }
    send("", fields);
  };

  const named = (type: string, name: unknown, properties?: unknown) =>
    name ? event(type, name, properties) : log(type, "needs a name");

  const visible = () => doc.visibilityState === "visible";

  /** Reports visible time and scroll depth since the last report. */
  const heartbeat = (leaving?: boolean) => {
    if (!enabled) return;
    const at = now();
    if (visibleSince) engagedMs += at - visibleSince;
    visibleSince = visible() && !leaving ? at : 0;
    if (!lastUrl || (engagedMs < 1 && scrolled <= reported)) return;
    const fields = body(lastUrl);
    fields.engagement_ms = Math.round(Math.max(0, engagedMs));
    fields.scroll_depth = reported = scrolled;
    engagedMs = 0;
    send("heartbeat/", fields, leaving);
  };

  const measureScroll = () => {
    const height = doc.documentElement.scrollHeight;
    if (height) scrolled = Math.max(scrolled, Math.min(100, Math.round(((scrollY + innerHeight) / height) * 100)));
  };

  const pageview = (manual?: boolean) => {
    if (!enabled) return;
    const url = location.href;
    const samePlace = manual ? url === lastUrl : url.split("#")[0] === lastUrl.split("#")[0];
    // A router's own call for a page that was just counted is not another view of it; a hash alone never is.
    if (samePlace && (!manual || now() - lastAt < SAME_PAGE_MS)) return;
    if (lastUrl) {
      heartbeat();
      referrer = "";
    }
    lastUrl = url;
    lastAt = now();
    scrolled = reported = 0;
    // Routers set the title after the URL, and may go on to the next URL before this one is reported.
    const from = referrer;
    setTimeout(
      safely(() => {
        event("pageview", 0, 0, url, from);
        measureScroll();
      }),
    );
  };

  const identify = (who: unknown, traits?: unknown) => {
    const data: Fields = Object.create(null);
    Object.assign(data, traits, typeof who === "object" ? who : undefined);
    if (typeof who === "string" || typeof who === "number") data[/@/.test(String(who)) ? "email" : "user_id"] = who;
    if (data.email || data.user_id || data.id) event("identify", 0, data);
    else log("identify needs an id or an email");
  };

  const reset = () => {
    stored("zv_vid", "");
    stored("zv_sid", "");
    memory = Object.create(null);
    if (!cookieless) doc.cookie = "zv_vid=;path=/;max-age=0";
  };

  const commands: Record<string, Command> = {
    __proto__: null as never,
    track: (name, properties, more) =>
      typeof properties === "string"
        ? named("custom", name, { ...(more as Properties), funnel: properties })
        : named("custom", name, properties),
    page: () => pageview(true),
    identify,
    goal: (name, properties) => named("goal", name, properties),
    revenue: (value, currency, properties) =>
      event("revenue", 0, { ...(properties as Properties), value, currency: currency || "USD" }),
    consent: (state) => event("consent", 0, { state }),
    getVisitorId: visitorId,
    enable: () => {
      if (enabled) return;
      enabled = true;
      // The time since it was disabled is nobody's.
      engagedMs = 0;
      visibleSince = visible() ? now() : 0;
    },
    disable: () => void (enabled = false),
    reset,
  };

  const zenovay = safely((name: string, ...args: unknown[]) =>
    // An unknown command is the name of an event, as in the first generation of the script.
    (commands[name] || ((properties) => named("custom", name, properties)))(...args),
  ) as NonNullable<Page["zenovay"]> & typeof commands;
  zenovay.version = SCRIPT_VERSION;
  zenovay.identify = safely(identify);
  zenovay.reset = safely(reset);
  page.zenovay = zenovay;

  const start = safely(() => {
    // A page that froze its history keeps it: then only `page` counts its routes.
    safely(() => {
      for (const name of ["pushState", "replaceState"] as const) {
        const native = history[name];
        history[name] = function (this: History, ...args: Parameters<typeof native>) {
          native.apply(this, args);
          safely(pageview)();
        };
      }
    })();
    const on = (target: EventTarget, type: string, handler: (event: never) => void, options?: object) =>
      target.addEventListener(type, safely(handler) as EventListener, options);
    on(page, "popstate", () => pageview());
    on(page, "pageshow", (shown: PageTransitionEvent) => {
      if (!shown.persisted) return;
      lastUrl = "";
      pageview();
    });
    on(page, "pagehide", () => heartbeat(true));
    on(doc, "visibilitychange", () => (visible() ? (visibleSince = now()) : heartbeat(true)));
    on(page, "scroll", measureScroll, { passive: true, capture: true });
    const followed = (click: MouseEvent) => {
      const link = click.composedPath().find((node) => (node as Element).tagName === "A") as HTMLAnchorElement | undefined;
      if (!link?.href || !/^https?:$/.test(link.protocol) || click.button > 1) return;
      if (DOWNLOAD.test(link.pathname)) event("file_download", 0, { href: link.href });
      else if (followsLinks && link.host !== location.host) event("outbound_link", 0, { href: link.href });
    };
    on(doc, "click", followed, true as never);
    on(doc, "auxclick", followed, true as never);

    const queued = queues.flatMap((queue) => Array.from(queue || [], (call) => Array.from(call)));
    if (queued.some(([name]) => name === "disable")) enabled = false;
    if (visible()) visibleSince = now();
    pageview();
    setTimeout(
      safely(() => {
        for (const call of queued) zenovay(...(call as [string]));
      }),
    );
    setInterval(
      safely(() => {
        if (visible()) heartbeat();
      }),
      HEARTBEAT_MS,
    );
    log("started", SCRIPT_VERSION, code);
  });

  // A page that is only rendered ahead is not seen yet.
  if ((doc as Document & { prerendering?: boolean }).prerendering) {
    doc.addEventListener("prerenderingchange", start, { once: true });
  } else start();
})(window as Page, document, navigator);
