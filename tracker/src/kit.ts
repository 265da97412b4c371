/** What `z-more.js` hands to the scripts that are loaded for what a website has switched on. Types only. */
import type { Fields } from "./core";

/** What the server tells of the website; what is absent is off. */
export interface Settings {
  cookieless?: boolean;
  track_outbound_links?: boolean;
  track_downloads?: boolean;
  web_vitals?: boolean;
  errors?: boolean;
  heatmaps?: boolean;
  session_replay?: boolean;
  session_replay_trigger?: "all" | "sampled" | "errors_only";
  /** Of 100 visits, with the trigger `sampled`. */
  session_replay_sample_percent?: number;
  /** Whether a visitor is recorded only after consent. */
  session_replay_consent?: boolean;
  /** Whether what is typed is masked in all fields, not only in those of passwords and cards. */
  session_replay_mask_inputs?: boolean;
}

/** What happens on the page, for the scripts that want to know. */
export type Signal =
  /** Another page view began. */
  | ["view"]
  /** An error event of the window, or the arguments of `zenovay('error', …)`. */
  | ["error", unknown[]]
  /** An error was reported: its id, type and message. */
  | ["reported", string, string, string]
  | ["consent", boolean]
  /** The visitor is somebody else from now on. */
  | ["reset"];

/** A page view. */
export interface View {
  /** Random, kept nowhere. */
  readonly id: string;
  readonly url: string;
}

/** Its members keep their names in the build, and none has a name that `z.js` and `z-more.js` shorten. */
export interface Kit {
  /** Where a kind of report goes, without the kind: ends in a slash. */
  readonly endpoint: string;
  readonly trackingCode: string;
  readonly settings: Settings;
  readonly fetch: typeof fetch | undefined;
  readonly now: () => number;
  readonly log: (...words: unknown[]) => void;
  /** `work`, but it never throws into the page. */
  readonly guarded: <A extends unknown[], R>(work: (...args: A) => R) => (...args: A) => R | undefined;
  readonly newId: () => string;
  /** Whether anything may be sent or recorded now. */
  readonly isActive: () => boolean;
  /** Whether the visitor has asked not to be followed. */
  readonly isOptedOut: boolean;
  /** Whether the browser may keep something for the visit. */
  readonly mayStore: () => boolean;
  /** Whether the visitor has consented or denied, if either. */
  readonly consent: () => boolean | undefined;
  /** What every report says of who it is from. */
  readonly sender: () => Fields;
  /** The page view of this moment. */
  readonly view: () => View;
  /** Calls `hear` for each signal from now on. */
  readonly listen: (hear: (signal: Signal) => void) => void;
  readonly tell: (signal: Signal) => void;
}
