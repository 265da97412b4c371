// The axis of a chart: from zero to a round number, in four steps.

/** `decimal` is a number that is not whole, without an upper end. */
export type Measure = "count" | "rate" | "duration" | "decimal";

/** Steps of an axis of seconds. */
const SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400];

/** The least round step whose fourfold is not below `most`. */
function stepFor(most: number, measure: Measure): number {
  const wanted = most / 4;
  if (measure === "duration") {
    const known = SECONDS.find((step) => step >= wanted);
    if (known !== undefined) return known;
  }
  if (wanted <= 0) return measure === "rate" ? 0.25 : 1;
  const power = 10 ** Math.floor(Math.log10(wanted));
  const round = [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((one) => one * power >= wanted * (1 - 1e-9)) ?? 10;
  const step = round * power;
  if (measure === "count") return Math.max(1, step % 1 === 0 ? step : Math.ceil(step));
  return measure === "rate" ? Math.min(step, 0.25) : step;
}

/** The marks of an axis, from the greatest to zero. */
export function ticks(most: number, measure: Measure): number[] {
  const step = stepFor(most, measure);
  return [4, 3, 2, 1, 0].map((times) => Number((step * times).toPrecision(12)));
}
