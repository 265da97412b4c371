// What the dashboard and the document of the player tell each other. They are documents of one origin, and take nothing from others.

/** An event of a recording: rrweb's, with the time of the recorded browser's clock. */
export interface Recorded {
  readonly type: number;
  readonly timestamp: number;
  readonly data: unknown;
}

/** Times are milliseconds since the beginning of the recording, by `clock`. */
export type ToPlayer =
  | { readonly kind: "load"; readonly events: readonly Recorded[]; readonly clock: number; readonly at: number; readonly speed: number }
  | { readonly kind: "add"; readonly events: readonly Recorded[] }
  | { readonly kind: "play"; readonly at: number; readonly speed: number }
  | { readonly kind: "pause"; readonly at: number };

export type FromPlayer =
  /** It listens. */
  | { readonly kind: "ready" }
  /** How large the window of the recorded page is. */
  | { readonly kind: "size"; readonly width: number; readonly height: number }
  /** It plays, and is here. */
  | { readonly kind: "time"; readonly at: number }
  /** There is nothing after this. */
  | { readonly kind: "end" }
  | { readonly kind: "failed"; readonly what: string };

/** Why a recording is not shown, for people. Chromium and Firefox tell in words of their own of what is nested too deeply. */
export function whyNot(error: unknown): string {
  const said = error instanceof Error ? error.message : String(error);
  return /call stack|too much recursion/i.test(said) ? "Its page is nested deeper than this browser can draw." : said;
}

/** Where the document of the player is. */
export const PLAYER = "/replay-player";
