/** The states of the status page and what they are called. */

export const STATES = ["operational", "maintenance", "degraded", "outage"] as const;
export type State = (typeof STATES)[number];

/** The one that matters most. */
export const worst = (states: readonly State[]): State => states.reduce((one, other) => (STATES.indexOf(other) > STATES.indexOf(one) ? other : one), "operational" as State);

/** What is said of all parts together. */
export function summary(parts: readonly { readonly name: string; readonly state: State }[]): string {
  const state = worst(parts.map((part) => part.state));
  if (state === "operational") return "All parts operational";
  const names = parts.filter((part) => part.state === state).map((part) => part.name);
  const who = names.length === parts.length ? "All parts" : names.length === 1 ? (names[0] ?? "") : `${names.slice(0, -1).join(", ")} and ${names.at(-1) ?? ""}`;
  const words: Record<Exclude<State, "operational">, string> = { outage: "out of order", degraded: "degraded", maintenance: "under maintenance" };
  return `${who}: ${words[state]}`;
}

/** A share of the time: two decimals, and never more than it was. `100%` is without a gap. */
export const uptimeWords = (share: number): string => (share >= 1 ? "100%" : `${(Math.floor(share * 10_000) / 100).toFixed(2)}%`);

/** As a badge says it. */
export const STATE_TITLES: Readonly<Record<State, string>> = { operational: "Operational", maintenance: "Maintenance", degraded: "Degraded", outage: "Outage" };

/** Within a sentence. */
export const STATE_WORDS: Readonly<Record<State, string>> = { operational: "operational", maintenance: "maintenance", degraded: "degraded", outage: "outage" };

/** What an operator may say that a part is. */
export const TROUBLES = ["degraded", "outage", "maintenance"] as const;
export type Trouble = (typeof TROUBLES)[number];

/** How far an incident is. */
export const PHASES = ["noticed", "found", "watching", "resolved"] as const;
export type Phase = (typeof PHASES)[number];
export const PHASE_TITLES: Readonly<Record<Phase | "planned", string>> = { planned: "Planned", noticed: "Noticed", found: "Found", watching: "Watching", resolved: "Resolved" };
