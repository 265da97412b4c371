// What is said of how a server is, by its own checks.

export const FINDINGS = ["ok", "not_checked", "note", "warning", "fault"] as const;
export type Finding = (typeof FINDINGS)[number];

/** The badge of a check. */
export const FINDING_WORDS: Readonly<Record<Finding, string>> = { ok: "OK", not_checked: "Not checked", note: "Note", warning: "Warning", fault: "Fault" };
export const FINDING_TONES: Readonly<Record<Finding, "accent" | "line" | "warn" | "bad">> = { ok: "accent", not_checked: "line", note: "line", warning: "warn", fault: "bad" };

/** The checks by what they belong to, in their order; those of a group stand together. */
export function grouped<T extends { readonly group: string }>(checks: readonly T[]): readonly { readonly group: string; readonly checks: readonly T[] }[] {
  const groups: { group: string; checks: T[] }[] = [];
  for (const check of checks) {
    const last = groups.at(-1);
    if (last?.group === check.group) last.checks.push(check);
    else groups.push({ group: check.group, checks: [check] });
  }
  return groups;
}

/** One line about all checks. */
export function verdict(checks: readonly { readonly state: Finding }[]): string {
  const count = (state: Finding): number => checks.filter((check) => check.state === state).length;
  const told = (["fault", "warning"] as const).map((state) => [count(state), state] as const).filter(([number]) => number > 0);
  if (told.length === 0) return "The server is healthy.";
  return `${told.map(([number, what]) => `${number} ${what}${number === 1 ? "" : "s"}`).join(" and ")}.`;
}

/** A page that can be looked at: by https, on a host with a name. */
export function pageProblem(text: string): string | undefined {
  const isOne = URL.canParse(text) && new URL(text).protocol === "https:" && new URL(text).hostname.includes(".");
  return isOne ? undefined : "Write an address such as https://example.com/";
}

/** The name of a check for people: `open_files` is "Open files", `dns` is "DNS". */
export const checkWords = (name: string): string => {
  const words = name.replaceAll("_", " ").replace(/\bdns\b/, "DNS");
  return words.charAt(0).toUpperCase() + words.slice(1);
};

/** What was seen, with its instants as `write` has them. Where their zone stands beside them, they stay. */
export const withInstants = (seen: string, write: (instant: string) => string): string => seen.replace(/\b\d{4}-\d\d-\d\dT[\d:.]+Z(?! \(UTC\))/g, write);

/** A remedy in pieces, of which those at odd places are code: what stands between backticks. */
export const pieces = (remedy: string): readonly string[] => remedy.split("`");
