/**
 * The second script, which `z.js` loads after its first report: sends again what did not arrive, recognises visitors
 * where page, website and visitor allow it, reports clicks on links, and loads the scripts for what else the website has
 * switched on. Without it pages are counted all the same.
 */
import type { Core, Fields, Order, Report } from "./core";
import type { Kit, Settings, Signal } from "./kit";

/** The files of the scripts that are loaded on demand, with the names of their builds. */
declare const SCRIPTS: Record<"vitals" | "errors" | "heatmap" | "replay", string>;

/** A visit ends after this long without a report. */
const SESSION_GAP_MS = 1_800_000;
const COOKIE_AGE_S = 31_536_000;
/** The first pause before reports are sent again; each failure doubles it. */
const PAUSE_MS = 5_000;
const PAUSE_MAX_MS = 300_000;
/** The longest pause that a server may ask for. */
const RETRY_AFTER_MAX_MS = 3_600_000;
/** Reports that wait to be sent again, as characters of JSON. */
const QUEUE_MAX_CHARS = 262_144;
/** The server does not believe a time that is further back than 72 hours. */
const REPORT_AGE_MAX_MS = 71 * 3_600_000;
/** Visible time that one report can add. */
const ENGAGEMENT_MAX_MS = 600_000;
/** Errors that wait for the script that reports them. */
const FAILURES_MAX = 10;
const DOWNLOAD = /\.(7z|avi|csv|dmg|docx?|exe|gz|iso|mov|mp[34]|msi|odt|pdf|pkg|pptx?|rar|tar|txt|wav|xlsx?|zip)$/i;

export default (core: Core, waiting: Order[]) => {
  const { code, base, log, now, safely } = core;
  const { stringify } = JSON;
  const later = setTimeout.bind(window);

  // Sending again: what the network or a busy server did not take, in the order in which it happened, one at a time.

  const queue: Report[] = [];
  let chars = 0;
  let pause = PAUSE_MS;
  let timer = 0;
  /** The report of the queue that is on its way. */
  let repeated: Report | undefined;

  const sizeOf = (report: Report) => stringify(report.fields).length;

  const sendAgain = (leaving?: boolean) => {
    clearTimeout(timer);
    timer = 0;
    if (!core.active()) return;
    while (queue.length && (leaving || !repeated)) {
      const report = queue.shift()!;
      chars -= sizeOf(report);
      if (now() - report.at > REPORT_AGE_MAX_MS) continue;
      report.fields.timestamp = report.at;
      if (!leaving) repeated = report;
      core.post(report, leaving);
    }
  };

  /** A heartbeat that follows one of the same page and visit is added to it. */
  const merged = ({ path, fields, at }: Report) => {
    const last = queue[queue.length - 1];
    if (!path || !last?.path || last.fields.url !== fields.url || last.fields.session_id !== fields.session_id) return false;
    const engagement = (last.fields.engagement_ms as number) + (fields.engagement_ms as number);
    if (engagement > ENGAGEMENT_MAX_MS) return false;
    last.fields.engagement_ms = engagement;
    last.fields.scroll_depth = fields.scroll_depth;
    last.at = at;
    return true;
  };

  const keep = (report: Report) => {
    const size = sizeOf(report);
    if (report === repeated) queue.unshift(report);
    else if (merged(report)) return;
    else if (chars + size > QUEUE_MAX_CHARS) return log("lost: too much waits to be sent", report.fields);
    else queue.push(report);
    chars += size;
  };

  const answered = (report: Report, answer?: Response) => {
    // These are the answers after which nothing was stored; after a broken connection the server knows an event by its id.
    const isLost = !answer || answer.status === 429 || (answer.status > 501 && answer.status < 505);
    if (isLost) keep(report);
    if (report === repeated) repeated = undefined;
    if (!isLost) {
      pause = PAUSE_MS;
      return sendAgain();
    }
    const asked = Number(answer?.headers.get("retry-after")) * 1_000;
    // A browser that knows that it is offline says when it is no longer.
    if (timer || navigator.onLine === false) return;
    timer = later(safely(sendAgain), Math.min(asked || pause, RETRY_AFTER_MAX_MS));
    pause = Math.min(pause * 2, PAUSE_MAX_MS);
  };

  addEventListener(
    "online",
    safely(() => {
      pause = PAUSE_MS;
      sendAgain();
    }),
  );
  addEventListener(
    "pagehide",
    safely(() => navigator.onLine === false || sendAgain(true)),
  );

  // Who a report is from: nobody is recognised, and nothing is stored, until the server says that the website allows it.

  const anonymous = { visitor: core.visitor, identity: core.identity };
  /** Whether the page wants the visitor to be recognised, and the website was not asked yet or has not answered. */
  let wanted = core.cookieless === false;
  /** Whether the visitor asked for it, which is remembered where the website allows it. */
  let consented = false;
  /** What the visitor said on this page of what needs consent. */
  let agreed: boolean | undefined;
  let asks = false;
  let mayStore = false;
  let settings: Settings = {};
  let answer: Promise<unknown> | undefined;
  let memory = Object.create(null) as Record<string, string | undefined>;

  const stored = (key: string) => safely(() => localStorage.getItem(key))() ?? memory[key];
  const store = (key: string, value: string) => {
    memory[key] = value;
    if (!mayStore || safely(() => (localStorage.setItem(key, value), true))()) return;
    // What cannot be replaced is out of date: the memory has what is true.
    safely(() => localStorage.removeItem(key))();
  };
  const cookie = () => /(?:^|; )zv_vid=(\w+)/.exec(document.cookie)?.[1];
  const setCookie = (value: string, seconds: number) => {
    const secure = location.protocol === "https:" ? ";Secure" : "";
    document.cookie = `zv_vid=${value};path=/;max-age=${seconds};SameSite=Lax${secure}`;
  };

  const visitor = () => (memory.zv_vid ||= safely(cookie)() || anonymous.visitor());

  const recognised = (): Fields => {
    const id = visitor();
    if (mayStore) safely(() => setCookie(id, COOKIE_AGE_S))();
    const [last, at] = (stored("zv_sid") || "").split(".");
    // What the page reported before the visitor was recognised is of the same visit.
    const first = anonymous.identity().session_id as string;
    const session = !last ? first : now() - Number(at) < SESSION_GAP_MS ? last : core.randomId();
    store("zv_sid", `${session}.${now()}`);
    return { session_id: session, visitor_id: id };
  };

  const recognise = () => {
    core.visitor = visitor;
    core.identity = recognised;
  };

  /** Removes what was stored, of an older version of the script, too. */
  const remove = () => {
    memory = Object.create(null);
    for (const key of ["zv_sid", "zv_vid"]) safely(() => localStorage.removeItem(key))();
    safely(() => sessionStorage.removeItem("zv_replay"))();
    if (safely(cookie)()) setCookie("", 0);
  };

  const forget = () => {
    wanted = consented = mayStore = false;
    core.visitor = anonymous.visitor;
    core.identity = undecided;
    core.renew();
    remove();
    safely(() => localStorage.removeItem("zv_consent"))();
  };

  /** Asks for the website's settings, once if there is an answer. */
  const ask = () =>
    (answer ||= (core.fetch?.(`${base}/load/${code}`, { __proto__: null, credentials: "omit" } as RequestInit) || Promise.reject())
      .then((answer) => answer.json())
      .then(({ data }: { data?: Settings }) => {
        log("settings", (settings = data || {}));
        if (!data) answer = undefined;
      })
      .catch((error) => {
        log("no settings", error);
        answer = undefined;
      }));

  /** Begins to recognise the visitor if the website allows it. */
  const begin = () => {
    // While disabled nothing is sent; the next report begins.
    if (!wanted || asks || !core.active()) return;
    asks = true;
    ask()
      .then(() => {
        asks = false;
        if (!wanted || !core.active()) return;
        wanted = false;
        if (settings.cookieless) forget();
        else if (settings.cookieless === false) {
          mayStore = true;
          if (consented) store("zv_consent", "granted");
          recognise();
        } else if (safely(cookie)()) {
          // No answer: who was recognised before is not somebody else now, but nothing is stored.
          recognise();
        }
      })
      .then(core.release)
      .catch((error) => log("error", error));
  };

  const undecided = () => {
    begin();
    return anonymous.identity();
  };

  const consent = (state: unknown) => {
    if (state === "denied" || state === "granted") {
      agreed = state === "granted";
      tell(["consent", agreed]);
    }
    if (state === "denied") {
      forget();
      core.release();
    } else if (state === "granted" && !core.cookieless && !mayStore) {
      wanted = consented = true;
      begin();
    }
  };

  // What another page of the website removed is not stored again.
  addEventListener(
    "storage",
    safely(({ key, newValue }: StorageEvent) => {
      if (newValue !== null) return;
      if (key === "zv_consent") consent("denied");
      else if (key === "zv_sid" && mayStore) {
        core.renew();
        memory = Object.create(null);
      }
    }),
  );

  // Links.

  const site = (host: string) => host.replace(/^www\./, "");

  const followed = (click: MouseEvent, path: EventTarget[]) => {
    const link = path.find((node) => /^(a|area)$/i.test((node as Element).tagName)) as HTMLAnchorElement | undefined;
    if (!link || click.button > 1) return;
    // The address of a link in an SVG is an object.
    const href = (link.href as unknown as SVGAnimatedString)?.baseVal ?? link.href;
    if (!href) return;
    // Reads the address also on a page that replaced `URL`.
    const to = document.createElement("a");
    to.href = href;
    if (!/^https?:$/.test(to.protocol)) return;
    const isDownload = link.hasAttribute("download") || DOWNLOAD.test(to.pathname);
    const isOutbound = !isDownload && core.followsLinks && site(to.host) !== site(location.host);
    // What the website does not want is not sent, where that is known; the server drops it, too.
    if (isDownload && settings.track_downloads !== false) core.event("file_download", 0, { href: to.href });
    if (isOutbound && settings.track_outbound_links !== false) core.event("outbound_link", 0, { href: to.href });
  };

  // Everything else that a website has switched on is a script of its own.

  const hears: ((signal: Signal) => void)[] = [];
  const tell = (signal: Signal) => {
    for (const hear of hears) safely(hear)(signal);
  };
  let view = { id: core.randomId(), url: location.href };
  let hasOthers = false;
  /** What went wrong before the script that reports it was there. */
  const failures: unknown[][] = [];
  const { post } = core;
  core.post = (report, leaving) => {
    post(report, leaving);
    // A report that is sent again has a time.
    if (report.fields.event_type !== "pageview" || report.fields.timestamp || !core.active()) return;
    view = { id: core.randomId(), url: report.fields.url as string };
    tell(["view"]);
  };

  const signals = navigator as Navigator & { globalPrivacyControl?: boolean };
  const isOptedOut = !!(signals.globalPrivacyControl || anonymous.identity().opted_out);

  const loadOthers = () => {
    if (hasOthers || !core.active()) return;
    hasOthers = true;
    ask()
      .then(() => {
        const kit: Kit = {
          endpoint: `${base}/api/track/${code}/`,
          trackingCode: code,
          settings,
          fetch: core.fetch,
          now,
          log,
          guarded: safely,
          newId: core.randomId,
          isActive: () => core.active(),
          isOptedOut,
          mayStore: () => mayStore,
          consent: () => agreed ?? ((!core.cookieless && !!stored("zv_consent")) || undefined),
          sender: () => core.identity(),
          view: () => view,
          listen: (hear) => hears.push(hear),
          tell,
        };
        const load = (wanted: boolean | undefined, name: keyof typeof SCRIPTS) =>
          wanted &&
          import(`${base}/z-${name}.js?${SCRIPTS[name]}`)
            .then((script: { default: (kit: Kit, failures: unknown[][]) => void }) => script.default(kit, failures))
            .catch((error) => log("not loaded", error));
        load(settings.web_vitals, "vitals");
        load(settings.errors, "errors");
        load(settings.heatmaps && !isOptedOut, "heatmap");
        load(settings.session_replay && !isOptedOut, "replay");
      })
      .catch((error) => log("error", error));
  };

  const carryOut = (...[name, first, second]: Order) => {
    if (name === "answer") {
      answered(first, second);
      loadOthers();
    } else if (name === "click") followed(first, second);
    else if (name === "consent") consent(first);
    else if (name === "error") {
      if (failures.length < FAILURES_MAX) failures.push(first);
      tell(["error", first]);
    } else {
      remove();
      tell(["reset"]);
    }
  };
  core.identity = undecided;
  core.order = safely(carryOut);
  for (const order of waiting.splice(0)) core.order(...order);
  wanted ||= core.cookieless === undefined && !!stored("zv_consent");
  begin();
};
