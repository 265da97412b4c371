/** What went wrong on a page: uncaught errors, unhandled rejections, and what the page reports by `zenovay('error', …)`. */
import type { Fields } from "./core";
import type { Kit } from "./kit";
import { closest, labelOf, ACTIVE } from "./private";
import { scrubAddress, scrubStack, scrubTo } from "./scrub";
import { common, onLeave, outbox } from "./send";

const BATCH_MS = 1_000;
/** Different errors of one page, and all of one page. */
const KINDS_MAX = 10;
const ERRORS_MAX = 50;
/** Errors of one report. */
const REPORT_MAX = 20;
const STACK_MAX = 16_000;
const MESSAGE_MAX = 1_000;
const CAUSES_MAX = 3;
const TRAIL_MAX = 20;
const EXTENSION = /^(?:chrome|moz|safari(?:-web)?|ms-browser)-extension:/;
/** What browsers say of a loop that is of no consequence. */
const HARMLESS = /^ResizeObserver loop/;

interface Thrown {
  type: string;
  message: string;
  stack?: string;
}

interface Failure extends Thrown {
  id: string;
  at: number;
  kind: "uncaught" | "rejection" | "manual";
  file?: string;
  line?: number;
  column?: number;
  properties?: Fields;
  causes?: Thrown[];
  breadcrumbs: Crumb[];
  count: number;
}

interface Crumb {
  at: number;
  kind: "view" | "click" | "error";
  text: string;
}

type WithIds = typeof globalThis & { _debugIds?: Record<string, string>; _sentryDebugIds?: Record<string, string> };

const cut = (text: string, max: number) => text.slice(0, max).replace(/[\uD800-\uDBFF]$/, "");

/** Type, message and stack of anything that can be thrown; reading it may throw. */
const read = (thrown: unknown, otherwise: string): Thrown => {
  const error = thrown as { name?: unknown; message?: unknown; stack?: unknown } | null | undefined;
  const isError = thrown instanceof Error || (typeof thrown === "object" && !!error && typeof error.message === "string");
  if (!isError) {
    // Names of members say what it was; their values are the page's own.
    const isObject = typeof thrown === "object" && thrown;
    const text = isObject ? `object with ${Object.keys(thrown).slice(0, 10).join(", ") || "no members"}` : String(thrown);
    return { type: otherwise, message: scrubTo(text, MESSAGE_MAX) };
  }
  return {
    type: cut(String(error!.name || "Error"), 100),
    message: scrubTo(String(error!.message), MESSAGE_MAX),
    stack: typeof error!.stack === "string" && error!.stack ? cut(scrubStack(error!.stack), STACK_MAX) : undefined,
  };
};

/** The address of the file that the first frame of a stack is in. */
const firstFile = (stack: string) => /((?:https?|file|[\w-]+-extension):\/\/[^\s()]+?)(?::\d+){1,2}\)?$/m.exec(stack)?.[1];

export default (kit: Kit, failures: unknown[][]) => {
  const { now, guarded } = kit;
  const script = [...document.scripts].find(({ dataset }) => dataset.release && (dataset.trackingCode || dataset.id) === kit.trackingCode);
  const config = (window as { ZENOVAY_TRACKER_CONFIG?: { release?: string } }).ZENOVAY_TRACKER_CONFIG;
  const release = config?.release ?? script?.dataset.release;
  /** What is waiting to be reported, by type, message and stack. */
  const waiting = new Map<string, Failure>();
  const kinds = new Set<string>();
  const trail: Crumb[] = [];
  let count = 0;
  let timer = 0;
  let isOver = false;

  const { send, leave } = outbox(kit, "error", () => (isOver = true));

  /** By file, of the files in the stacks. */
  const debugIds = (failed: Failure[]) => {
    const ids: Record<string, string> = {};
    const { _debugIds, _sentryDebugIds } = globalThis as WithIds;
    for (const [stack, id] of Object.entries({ ..._sentryDebugIds, ..._debugIds })) {
      const file = firstFile(stack);
      if (file && failed.some((failure) => failure.stack?.includes(file))) ids[file] = id;
    }
    return Object.keys(ids).length ? ids : undefined;
  };

  const flush = guarded((leaving?: boolean) => {
    clearTimeout(timer);
    timer = 0;
    while (waiting.size) {
      const some = [...waiting].slice(0, REPORT_MAX);
      for (const [key] of some) waiting.delete(key);
      const errors = some.map(([, failure]) => failure);
      const { url } = kit.view();
      send({ ...common(kit), url: scrubAddress(url), release: release ? cut(String(release), 100) : undefined, debug_ids: debugIds(errors), errors }, leaving);
    }
  });

  const leaveTrail = (kind: Crumb["kind"], text: string) => {
    trail.push({ at: now(), kind, text: cut(text, 100) });
    if (trail.length > TRAIL_MAX) trail.shift();
  };

  const keep = (thrown: Thrown, more: Pick<Failure, "kind"> & Partial<Failure>, event?: Event) => {
    if (isOver || !kit.isActive()) return;
    const file = (thrown.stack && firstFile(thrown.stack)) || more.file || "";
    if (EXTENSION.test(file) || HARMLESS.test(thrown.message)) return;
    // A browser does not tell of errors in scripts of other hosts; nobody can mend what is not known.
    if (!thrown.stack && !more.file && /^script error\.?$/i.test(thrown.message)) return kit.log("ignored: an error of another host's script");
    const key = [thrown.type, thrown.message, thrown.stack || `${more.file}:${more.line}:${more.column}`].join("\n");
    const same = waiting.get(key);
    if (count >= ERRORS_MAX || (!kinds.has(key) && kinds.size >= KINDS_MAX)) return kit.log("ignored: too many errors");
    count++;
    if (same) {
      same.count++;
      return;
    }
    kinds.add(key);
    // One from before this script was there.
    const waited = event ? Math.max(0, Math.round(performance.now() - event.timeStamp)) : 0;
    const failure: Failure = { id: kit.newId(), at: now() - waited, ...thrown, ...more, breadcrumbs: [...trail], count: 1 };
    waiting.set(key, failure);
    leaveTrail("error", thrown.message);
    kit.tell(["reported", failure.id, failure.type, failure.message]);
    timer ||= window.setTimeout(flush, BATCH_MS);
  };

  const causesOf = (thrown: unknown) => {
    const causes: Thrown[] = [];
    let one = guarded(() => (thrown as { cause?: unknown } | null)?.cause)();
    for (; one !== undefined && one !== null && causes.length < CAUSES_MAX; one = guarded(() => (one as { cause?: unknown } | null)?.cause)()) {
      const cause = guarded(read)(one, "Error");
      if (cause) causes.push(cause);
    }
    return causes.length ? causes : undefined;
  };

  const propertiesOf = (extra: unknown) => {
    if (!extra || typeof extra !== "object") return undefined;
    const properties: Fields = {};
    for (const name of Object.keys(extra).slice(0, 20)) {
      guarded(() => {
        const value = (extra as Fields)[name];
        if (typeof value === "string") properties[cut(name, 100)] = scrubTo(value, 200);
        else if (typeof value === "boolean" || (typeof value === "number" && isFinite(value))) properties[cut(name, 100)] = value;
      })();
    }
    return properties;
  };

  const failed = guarded(([first, extra]: unknown[]) => {
    if (first instanceof ErrorEvent) {
      const { error, message, filename, lineno, colno } = first;
      const text = scrubTo(String(message), MESSAGE_MAX).replace(/^Uncaught (?:\w*(?:Error|Exception): )?/, "");
      const type = /^Uncaught (\w*(?:Error|Exception)): /.exec(message)?.[1] || "Error";
      // Some throw what is not an error, and some browsers do not hand it on.
      const thrown = error === null || error === undefined ? { type, message: text } : read(error, "Error");
      keep(thrown, { kind: "uncaught", file: filename ? scrubStack(filename) : undefined, line: lineno || undefined, column: colno || undefined, causes: causesOf(error) }, first);
    } else if (first instanceof Event && first.type === "unhandledrejection" && "reason" in first) {
      keep(read(first.reason, "UnhandledRejection"), { kind: "rejection", causes: causesOf(first.reason) }, first);
    } else if (first !== undefined && !(first instanceof Event)) {
      keep(read(first, "Error"), { kind: "manual", properties: propertiesOf(extra), causes: causesOf(first) });
    }
  });

  leaveTrail("view", scrubAddress(kit.view().url));
  for (const failure of failures) failed(failure);
  kit.listen((signal) => {
    if (signal[0] === "error") failed(signal[1]);
    if (signal[0] !== "view") return;
    flush();
    leaveTrail("view", scrubAddress(kit.view().url));
  });
  addEventListener(
    "click",
    guarded((event: MouseEvent) => {
      const active = closest(event.composedPath()[0] as Node, ACTIVE);
      if (active) leaveTrail("click", `${active.localName} ${labelOf(active) || ""}`.trim());
    }),
    true,
  );
  onLeave(kit, () => {
    flush(true);
    leave();
  });
};
