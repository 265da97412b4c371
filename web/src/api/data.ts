// Answers that the page shows: shared between those who ask the same, kept for half a minute, asked again when they must be.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { address, askAt, type Answer, type ApiError, type Ask, type PathOf } from "./client";

/** How long an answer is as good as a new one, in milliseconds. */
const FRESH_MS = 30_000;
/** When the shape of what is loaded is shown, after how long a wait, and for how long at least, in milliseconds. */
export const SKELETON = { after: 120, least: 240 } as const;
/** The most answers that are kept. */
const MOST_KEPT = 200;

interface Entry {
  data?: unknown;
  error?: ApiError;
  /** When `data` came. */
  at: number;
  pending?: AbortController;
  progress?: Progress;
  readonly listeners: Set<() => void>;
}

/** How far a long question is, in parts. */
export interface Progress {
  readonly done: number;
  readonly parts: number;
}

const entries = new Map<string, Entry>();

function entryOf(url: string): Entry {
  let entry = entries.get(url);
  if (!entry) {
    entry = { at: 0, listeners: new Set() };
    if (entries.size >= MOST_KEPT) {
      for (const [known, { listeners }] of entries) {
        if (listeners.size === 0 && entries.delete(known)) break;
      }
    }
  } else entries.delete(url);
  entries.set(url, entry); // The last in the order is the last used.
  return entry;
}

const tell = (entry: Entry) => {
  for (const listener of [...entry.listeners]) listener();
};

function load(url: string, entry: Entry): void {
  if (entry.pending) return;
  const controller = new AbortController();
  entry.pending = controller;
  delete entry.progress;
  const onProgress = (done: number, parts: number) => {
    entry.progress = { done, parts };
    tell(entry);
  };
  askAt("get", url, { signal: controller.signal, onProgress }).then(
    (data) => {
      if (entry.pending !== controller) return;
      entry.data = data;
      entry.at = Date.now();
      delete entry.error;
      delete entry.pending;
      tell(entry);
    },
    (error: unknown) => {
      if (entry.pending !== controller) return;
      delete entry.pending;
      entry.error = error as ApiError;
      tell(entry);
    },
  );
}

function cancel(entry: Entry): void {
  entry.pending?.abort();
  delete entry.pending;
  delete entry.progress;
}

/** What is known of a question. */
export interface Data<T> {
  /** The answer, or the one before while the next is awaited. */
  readonly data: T | undefined;
  readonly error: ApiError | undefined;
  /** Nothing to show yet. */
  readonly loading: boolean;
  /** `data` answers an earlier question, or is being asked for again. */
  readonly stale: boolean;
  readonly progress: Progress | undefined;
  /** When `data` came, in milliseconds since 1970. */
  readonly at: number;
  /** Asks again. */
  reload(): void;
  /** It was given up, before there was an answer. */
  readonly stopped: boolean;
  /** Gives the question up. */
  stop(): void;
}

/** Whether what was awaited stays away a little longer, although it has come: its shape has just been shown, and would flicker. */
function useHeld(waits: boolean): boolean {
  const [, render] = useState({});
  const begun = useRef<number | undefined>(undefined);
  let left = 0;
  if (waits) begun.current ??= performance.now();
  else if (begun.current !== undefined) {
    const shown = performance.now() - begun.current - SKELETON.after;
    left = shown < 0 ? 0 : Math.max(0, SKELETON.least - shown);
    if (left === 0) begun.current = undefined;
  }
  useLayoutEffect(() => {
    if (left === 0) return;
    const timer = setTimeout(() => render({}), left);
    return () => clearTimeout(timer);
  });
  return left > 0;
}

/** Asks at `url` for as long as the component lives; `undefined` asks nothing. While another `url` is asked, the answer before stays. */
export function useUrl<T>(url: string | undefined): Data<T> {
  const [, render] = useState({});
  const [stopped, setStopped] = useState<string>();
  const last = useRef<{ data: unknown; at: number } | undefined>(undefined);
  // Before the browser paints: the question goes out as early as it can.
  useLayoutEffect(() => {
    if (url === undefined) return;
    const entry = entryOf(url);
    const listener = () => render({});
    entry.listeners.add(listener);
    if (Date.now() - entry.at > FRESH_MS) {
      delete entry.error;
      load(url, entry);
    }
    // Also for what changed since it was rendered.
    listener();
    return () => {
      entry.listeners.delete(listener);
      // Another component may ask the same in this very moment.
      queueMicrotask(() => entry.listeners.size === 0 && cancel(entry));
    };
  }, [url]);

  const entry = url === undefined ? undefined : entries.get(url);
  if (entry?.data !== undefined) last.current = { data: entry.data, at: entry.at };
  const waits = url !== undefined && entry?.error === undefined && stopped !== url;
  const hasNothing = waits && entry?.data === undefined && last.current === undefined;
  const held = useHeld(hasNothing);
  return {
    data: held ? undefined : ((entry?.data ?? last.current?.data) as T | undefined),
    error: held ? undefined : entry?.error,
    loading: hasNothing || held,
    stale: !held && waits && (entry?.data === undefined || entry.pending !== undefined) && last.current !== undefined,
    progress: entry?.pending ? entry.progress : undefined,
    at: entry?.at || (last.current?.at ?? 0),
    stopped: url !== undefined && stopped === url && entry?.data === undefined,
    reload() {
      setStopped(undefined);
      if (url === undefined) return;
      const again = entryOf(url);
      again.at = 0;
      delete again.error;
      load(url, again);
      tell(again);
    },
    stop() {
      if (entry) cancel(entry);
      setStopped(url);
    },
  };
}

/** What is known of the answer at `url`, without asking. */
export const peek = <T>(url: string): T | undefined => entries.get(url)?.data as T | undefined;

/** Asks at all of `urls`, each for as long as it is among them; `peek` has the answers. The first refusal, if there is one. */
export function useUrls(urls: readonly string[]): { error: ApiError | undefined; reload(): void } {
  const [, render] = useState({});
  useLayoutEffect(() => {
    const listener = () => render({});
    const asked = urls.map((url) => [url, entryOf(url)] as const);
    for (const [url, entry] of asked) {
      entry.listeners.add(listener);
      if (Date.now() - entry.at <= FRESH_MS) continue;
      delete entry.error;
      load(url, entry);
    }
    listener();
    return () => {
      for (const [, entry] of asked) {
        entry.listeners.delete(listener);
        queueMicrotask(() => entry.listeners.size === 0 && cancel(entry));
      }
    };
  }, [urls.join("\n")]);
  const failed = urls.map((url) => [url, entries.get(url)] as const).filter(([, entry]) => entry?.error);
  return {
    error: failed[0]?.[1]?.error,
    reload() {
      for (const [url, entry] of failed) {
        if (!entry) continue;
        delete entry.error;
        load(url, entry);
        tell(entry);
      }
    },
  };
}

/** The answer to a question of the document, for as long as the component lives. */
export function useData<P extends PathOf<"get">>(path: P | undefined, what: Pick<Ask<P, "get">, "path" | "query" | "raw"> = {}): Data<Answer<P, "get">> {
  return useUrl(path === undefined ? undefined : address(path, what as object));
}

/** Forgets the answers whose address begins with `prefix`, and asks again for those that are shown. */
export function refresh(prefix: string): void {
  for (const [url, entry] of entries) {
    if (!url.startsWith(prefix)) continue;
    entry.at = 0;
    if (entry.listeners.size > 0) {
      cancel(entry);
      load(url, entry);
      tell(entry);
    } else entries.delete(url);
  }
}

/** Asks for `url` before a component needs it. */
export function prefetch(url: string): void {
  const entry = entryOf(url);
  if (Date.now() - entry.at > FRESH_MS) load(url, entry);
}

/** Forgets everything, when somebody else signs in. */
export function forgetAll(): void {
  for (const entry of entries.values()) cancel(entry);
  entries.clear();
}
