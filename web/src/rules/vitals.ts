/** Web vitals: what they are, how they are written, and from where on they are good or poor. */

export const VITALS = ["lcp", "inp", "cls", "fcp", "ttfb"] as const;
export type Vital = (typeof VITALS)[number];
export type Rating = "good" | "needs_improvement" | "poor";

export interface VitalMeaning {
  readonly label: string;
  readonly short: string;
  readonly definition: string;
  /** Up to which value it is good, and above which it is poor. */
  readonly good: number;
  readonly poor: number;
}

export const MEANINGS: Readonly<Record<Vital, VitalMeaning>> = {
  lcp: { label: "Largest contentful paint", short: "LCP", good: 2500, poor: 4000, definition: "From the beginning of loading until the largest image or text of the first screen is there." },
  inp: { label: "Interaction to next paint", short: "INP", good: 200, poor: 500, definition: "From a click, a tap or a key until the page shows its answer: nearly the slowest of a view." },
  cls: { label: "Layout shift", short: "CLS", good: 0.1, poor: 0.25, definition: "How much of what is seen moves without anybody having done anything. It has no unit." },
  fcp: { label: "First contentful paint", short: "FCP", good: 1800, poor: 3000, definition: "From the beginning of loading until anything of the page is there." },
  ttfb: { label: "Time to first byte", short: "TTFB", good: 800, poor: 1800, definition: "From the beginning of loading until the first byte of the answer." },
};

export const RATINGS: readonly Rating[] = ["good", "needs_improvement", "poor"];
export const RATING_LABELS: Readonly<Record<Rating, string>> = { good: "Good", needs_improvement: "Needs improvement", poor: "Poor" };

/** How a value is rated. */
export function rate(vital: Vital, value: number): Rating {
  const { good, poor } = MEANINGS[vital];
  return value <= good ? "good" : value <= poor ? "needs_improvement" : "poor";
}
