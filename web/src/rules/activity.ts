// What the server did in the last hours: how its numbers are called, and what is made of them.

/** The first is what is shown unless the address says otherwise. */
export const ACTIVITY_RANGES = [
  { value: "1h", label: "Last hour", words: "the last hour", step: { seconds: 60, name: "minute", words: "minute by minute" } },
  { value: "24h", label: "Last 24 hours", words: "the last 24 hours", step: { seconds: 300, name: "five-minute step", words: "in steps of five minutes" } },
] as const;

/** What a step of time has. */
export interface ActivityPoint {
  readonly at: string;
  readonly measured_seconds: number;
  readonly stored: number | null;
  readonly dropped: number | null;
  readonly refused: number | null;
  readonly events_p95_ms: number | null;
  readonly api_p95_ms: number | null;
  readonly queue: number | null;
  readonly data_bytes: number | null;
}

export const ACTIVITY_METRICS = ["stored", "lost", "events_time", "api_time", "queue", "data"] as const;
export type ActivityMetric = (typeof ACTIVITY_METRICS)[number];

interface Meaning {
  readonly label: string;
  readonly definition: string;
  readonly unit: "count" | "time" | "bytes";
  of(point: ActivityPoint): number | null;
}

export const ACTIVITY_MEANINGS: Readonly<Record<ActivityMetric, Meaning>> = {
  stored: { label: "Stored", definition: "Reports of pages and rows of batches that are safe on the disk.", unit: "count", of: ({ stored }) => stored },
  lost: {
    label: "Not stored",
    definition: "What was dropped, because a website, its plan or its visitor wants it so or a bot sent it, and what was refused with an error.",
    unit: "count",
    of: ({ dropped, refused }) => (dropped === null || refused === null ? null : dropped + refused),
  },
  events_time: { label: "Time of events", definition: "95 of 100 requests with events took no longer (p95). They are answered when the events are safe.", unit: "time", of: ({ events_p95_ms: ms }) => ms },
  api_time: { label: "Time of questions", definition: "95 of 100 requests that ask or change something took no longer (p95): the console, keys, assistants.", unit: "time", of: ({ api_p95_ms: ms }) => ms },
  queue: { label: "Queue", definition: "Writes that wait for the disk. The chart has the most that was seen, once a minute.", unit: "count", of: ({ queue }) => queue },
  data: { label: "Data", definition: "What the files of the data directory occupy, measured every ten minutes.", unit: "bytes", of: ({ data_bytes: bytes }) => bytes },
};

/** Reasons that are the server's own, and never what was sent. */
const FAULTS: readonly string[] = ["queue_full", "disk_full", "store_unavailable", "overloaded", "limiter_unavailable", "internal"];
export const isFault = (reason: string): boolean => FAULTS.includes(reason);

const REASONS: Readonly<Record<string, string>> = {
  bot: "Bot",
  excluded_ip: "Excluded address",
  kind_off: "Kind of event that is switched off",
  paused: "Paused website",
  gpc_opted_out: "Opted out (GPC or DNT)",
  no_session: "Heartbeat without a visit",
  quota_exceeded: "Events of the month used up",
  consent_missing: "Recording without consent",
  session_full: "Recording of a visit is full",
  invalid_json: "Invalid JSON",
  origin_missing: "No origin",
  domain_not_authorized: "Host that is not the website's",
  localhost_not_allowed: "Local host that is not allowed",
  idempotency_key_reused: "Idempotency key used for another event",
  rate_limited: "Too many requests",
  internal: "Mistake of the server",
};

/** Why an event was not stored: `queue_full` is "Queue full". */
export function reasonWords(reason: string): string {
  const words = REASONS[reason] ?? reason.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export const REQUEST_CLASSES: Readonly<Record<string, string>> = { events: "Events", api: "Questions and changes", pages: "Pages, files and health checks" };

/** How a slow question ended, and how that looks. */
export const ENDS: Readonly<Record<string, { readonly words: string; readonly tone: "line" | "warn" | "bad" }>> = {
  answered: { words: "Answered", tone: "line" },
  cancelled: { words: "Cancelled", tone: "line" },
  time_exceeded: { words: "Out of time", tone: "warn" },
  memory_exceeded: { words: "Out of memory", tone: "warn" },
  failed: { words: "Failed", tone: "bad" },
};

/** The unit in which the greatest of `values` is a number of few digits: 1024 for KB. */
export function byteUnit(values: readonly (number | null)[]): number {
  const most = Math.max(0, ...values.map((value) => value ?? 0));
  let unit = 1;
  while (most / unit >= 1024 && unit < 1024 ** 4) unit *= 1024;
  return unit;
}

/** When the disk is full, in words, and whether that is soon. */
export function fullWords(days: number | null, known: boolean): { readonly words: string; readonly soon: boolean } {
  if (!known) return { words: "Known six hours after the start", soon: false };
  if (days === null) return { words: "Not in sight", soon: false };
  if (days < 1) return { words: "Less than a day", soon: true };
  if (days >= 730) return { words: `About ${Math.floor(days / 365)} years`, soon: false };
  return { words: `About ${days} ${days === 1 ? "day" : "days"}`, soon: days < 30 };
}
