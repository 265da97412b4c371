// What happens at this moment: one stream of events a page, shared by all that show something of it.
import { useEffect } from "preact/hooks";
import { createStore, useStore } from "../lib/store";

/** An event as it happens. What is not known is empty. */
export interface LiveEvent {
  readonly at: string;
  readonly type: string;
  readonly name: string;
  readonly page: string;
  readonly country: string;
  readonly city: string;
  readonly device: string;
  readonly browser: string;
  readonly source: string;
  readonly visitor: string;
}

export interface LiveState {
  /** Visitors that are there now; `undefined` before the server said so. */
  readonly count: number | undefined;
  /** The stream is open. */
  readonly connected: boolean;
}

/** A hidden page closes its stream after this long, in milliseconds. */
const HIDDEN_MS = 60_000;
/** The first and the longest wait before the stream is opened again after a refusal, in milliseconds. */
const WAITS = { first: 1000, most: 60_000 };

const state = createStore<LiveState>({ count: undefined, connected: false });
type Listener = (name: string, data: unknown) => void;

let base: string | undefined;
let source: EventSource | undefined;
let users = 0;
let wait = WAITS.first;
let timer: ReturnType<typeof setTimeout> | undefined;
const listeners = new Set<Listener>();

function close(): void {
  clearTimeout(timer);
  source?.close();
  source = undefined;
  state.set({ ...state.get(), connected: false });
}

function open(): void {
  clearTimeout(timer);
  if (source || base === undefined || users === 0) return;
  const mine = new EventSource(`${base}/live/events`);
  source = mine;
  mine.addEventListener("open", () => {
    wait = WAITS.first;
    state.set({ ...state.get(), connected: true });
  });
  mine.addEventListener("error", () => {
    if (source !== mine) return;
    state.set({ ...state.get(), connected: false });
    // The browser tries again by itself after a broken connection, and not after a refusal.
    if (mine.readyState !== EventSource.CLOSED) return;
    source = undefined;
    timer = setTimeout(open, wait);
    wait = Math.min(wait * 2, WAITS.most);
  });
  for (const name of ["count", "event", "first_event", "refused"]) {
    mine.addEventListener(name, (event) => {
      const data: unknown = JSON.parse((event as MessageEvent<string>).data);
      if (name === "count") state.set({ connected: true, count: (data as { visitors: number }).visitors });
      for (const listener of [...listeners]) listener(name, data);
    });
  }
}

function follow(next: string): void {
  if (base === next) return;
  close();
  base = next;
  state.set({ count: undefined, connected: false });
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) timer = setTimeout(close, HIDDEN_MS);
  else {
    clearTimeout(timer);
    wait = WAITS.first;
    open();
  }
});
addEventListener("focus", () => {
  wait = WAITS.first;
  open();
});

/** How many are there now, at `base`: the address of a website's or a share's numbers. */
export function useLive(base: string | undefined): LiveState {
  useEffect(() => {
    if (base === undefined) return;
    follow(base);
    users++;
    open();
    return () => {
      users--;
      // The next page may want the same stream in this very moment.
      queueMicrotask(() => users === 0 && close());
    };
  }, [base]);
  return useStore(state);
}

/** Calls `listener` with every event of the stream: `count`, `event`, `first_event`, `refused`. */
export function useLiveEvents(listener: Listener): void {
  useEffect(() => {
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  }, [listener]);
}
