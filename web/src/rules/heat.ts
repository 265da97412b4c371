/** Where a page is looked at and clicked: from counts to what is drawn over a picture of it. */

/** So many at a place, in pixels of the page. */
export interface Spot {
  readonly x: number;
  readonly y: number;
  readonly n: number;
}

/** How much there is in each cell of a grid over the page, smoothed; `max` is the most. */
export interface Density {
  readonly columns: number;
  readonly rows: number;
  readonly values: Float32Array;
  readonly max: number;
}

/** The most cells of a grid: a page of any length takes no more memory. */
const CELLS_MAX = 1 << 20;

/** Counts spots in cells of `cell` pixels, and spreads each over `radius` cells. */
export function density(spots: readonly Spot[], width: number, height: number, cell: number, radius: number): Density {
  const size = Math.max(cell, Math.sqrt((width * height) / CELLS_MAX));
  const columns = Math.max(1, Math.ceil(width / size));
  const rows = Math.max(1, Math.ceil(height / size));
  const counts = new Float32Array(columns * rows);
  for (const { x, y, n } of spots) {
    const column = Math.floor(x / size);
    const row = Math.floor(y / size);
    if (column >= 0 && column < columns && row >= 0 && row < rows) counts[row * columns + column]! += n;
  }
  const kernel = Array.from({ length: 2 * radius + 1 }, (_, at) => Math.exp(-(((at - radius) / (radius / 3)) ** 2) / 2));
  const across = spread(counts, columns, rows, 1, columns, kernel, radius);
  const values = spread(across, rows, columns, columns, 1, kernel, radius);
  let max = 0;
  for (const value of values) max = Math.max(max, value);
  return { columns, rows, values, max };
}

/** Spreads each value along the lines of a grid: `step` from one to the next of a line, `line` from a line to the next. */
function spread(from: Float32Array, length: number, lines: number, step: number, line: number, kernel: readonly number[], radius: number): Float32Array {
  const to = new Float32Array(from.length);
  for (let one = 0; one < lines; one++) {
    for (let at = 0; at < length; at++) {
      const value = from[one * line + at * step]!;
      if (value === 0) continue;
      const end = Math.min(length - 1, at + radius);
      for (let near = Math.max(0, at - radius); near <= end; near++) to[one * line + near * step]! += value * kernel[near - at + radius]!;
    }
  }
  return to;
}

/** How many of those who came saw the page as far down as `depth`, 0 to 1. `reach` has the counts at equal steps from the top. */
export function shareAt(reach: readonly number[], depth: number): number {
  const all = reach[0] ?? 0;
  if (all === 0) return 0;
  const at = Math.max(0, Math.min(1, depth)) * (reach.length - 1);
  const before = reach[Math.floor(at)] ?? 0;
  const after = reach[Math.ceil(at)] ?? before;
  return (before + (after - before) * (at - Math.floor(at))) / all;
}

/** A line across the page. */
export interface Mark {
  /** 0 to 1 of its height. */
  readonly depth: number;
  readonly share: number;
  /** The end of what is seen without scrolling. */
  readonly isFold: boolean;
  /** Its words stand above it: below there is no room. */
  readonly isAbove: boolean;
}

/** The fewest parts of the page between the fold and another line. */
const NEAR = 0.06;
/** How high the words of a line are with the room around them, in pixels. */
const WORDS = 24;

/** Lines at the quarters of a page and at its fold, of a picture of `height`. Words stand at its top, too, and none on others. */
export function marks(reach: readonly number[], fold: number | null, height: number): Mark[] {
  const line = (depth: number, share: number, isFold: boolean): Mark => ({ depth, share, isFold, isAbove: depth * height + WORDS > height });
  const top = ({ depth, isAbove }: Mark) => depth * height - (isAbove ? WORDS : 0);
  const kept: Mark[] = [];
  if (fold !== null && fold > 0 && fold < 1) {
    // As many as saw the last step above it: who sees less than a whole window saw that, too.
    const steps = reach.length - 1;
    kept.push(line(fold, shareAt(reach, Math.floor(fold * steps + 1e-9) / steps), true));
  }
  for (const depth of [1, 0.25, 0.5, 0.75]) {
    const next = line(depth, shareAt(reach, depth), false);
    const isFree = kept.every((other) => Math.abs(top(next) - top(other)) >= WORDS && !(other.isFold && Math.abs(depth - other.depth) <= NEAR));
    if (isFree && top(next) >= WORDS) kept.push(next);
  }
  return kept.sort((one, other) => one.depth - other.depth);
}

/** A count that stands on the page. */
export interface Pin {
  /** Its middle, in pixels of what is drawn. */
  readonly x: number;
  readonly y: number;
  readonly text: string;
  readonly kind: "clicks" | "rage" | "dead";
}

const PIN_HEIGHT = 24;
const pinWidth = ({ text, kind }: Pin): number => 20 + 7 * text.length + (kind === "rage" ? 15 : 0);

/** The pins that have room, the first of them first, moved into a picture of `width` and `height`. */
export function withRoom(pins: readonly Pin[], width: number, height: number, most: number): Pin[] {
  const kept: Pin[] = [];
  for (const pin of pins) {
    if (kept.length === most) break;
    const wide = pinWidth(pin);
    const within = (value: number, half: number, end: number) => Math.max(half, Math.min(end - half, value));
    const moved = { ...pin, x: within(pin.x, wide / 2, width), y: within(pin.y, PIN_HEIGHT / 2, height) };
    const isFree = kept.every((other) => Math.abs(other.x - moved.x) > (pinWidth(other) + wide) / 2 || Math.abs(other.y - moved.y) > PIN_HEIGHT);
    if (isFree) kept.push(moved);
  }
  return kept;
}

/** The last steps of the path of an element: what it is, for people. */
export function shortSelector(path: string, most = 44): string {
  const steps = path.split(/>(?![^[]*\])/).map((step) => step.trim()).filter(Boolean);
  let short = steps.pop() ?? path;
  while (steps.length > 0 && short.length + steps.at(-1)!.length + 3 <= most) short = `${steps.pop()} > ${short}`;
  return short.length <= most ? short : `…${short.slice(short.length - most + 1)}`;
}
