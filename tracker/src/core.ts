/** What `z.js` hands to `z-more.js`, the second script, which loads after the first report. Types only. */

export type Fields = Record<string, unknown>;

/** One report: `e/CODE` or `e/heartbeat/CODE`. */
export interface Report {
  /** Between `e/` and the tracking code: empty or `heartbeat/`. */
  path: "" | "heartbeat/";
  /** The members of the body; who it is from is among them once it was sent the first time. */
  fields: Fields;
  /** When it happened, in milliseconds since 1970 by the clock of the browser. */
  at: number;
}

/** What only the second script does. Until it has loaded, orders wait. */
export type Order =
  | ["consent", unknown]
  | ["reset"]
  /** What went wrong: an event of the window, or the arguments of the command. */
  | ["error", unknown[]]
  /** A click and what it went through. */
  | ["click", MouseEvent, EventTarget[]]
  /** What became of a report: without an answer the network failed. */
  | ["answer", Report, Response?];

export interface Core {
  /** Where the server is, without trailing slash. */
  readonly base: string;
  readonly code: string;
  /**
   * `true`: the page, Global Privacy Control or Do Not Track says that nothing is stored; `false`: the page wants a cookie;
   * `undefined`: not before consent.
   */
  readonly cookieless: boolean | undefined;
  /** Whether clicks on links to other sites are reported. */
  readonly followsLinks: boolean;
  readonly now: () => number;
  readonly fetch: typeof fetch | undefined;
  /** On the console in debug mode. */
  readonly log: (...words: unknown[]) => void;
  /** `work`, but it never throws into the page. */
  readonly safely: <A extends unknown[], R>(work: (...args: A) => R) => (...args: A) => R | undefined;
  readonly randomId: () => string;
  /** Whether anything may be sent now. */
  readonly active: () => boolean;
  /** Sends a report; by beacon when the page is left. */
  post: (report: Report, leaving?: boolean) => void;
  /** Sends what waited for the identity. */
  readonly release: () => void;
  /** Makes new ids of visitor and visit. */
  readonly renew: () => void;
  /** The id of the visitor, which lasts as long as the page unless it is stored. */
  visitor: () => string;
  /** What every report says of who it is from. */
  identity: () => Fields;
  /** Reports an event of this page. */
  readonly event: (type: string, name?: unknown, properties?: unknown, extra?: Fields | false) => void;
  order: (...order: Order) => void;
}
