// A line over time: one series, and an earlier one behind it. The same numbers are read by pointer, by keyboard and as a table.
import type { ComponentChildren, TargetedKeyboardEvent, TargetedPointerEvent } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { ticks, type Measure } from "../lib/scale";
import { classes, Delta } from "./basic";
import type { Column } from "./data";
import { WindowTable } from "./window";

export interface ChartPoint {
  /** In full, for tooltip, table and those who hear it. */
  readonly label: string;
  /** Where there is little room. */
  readonly short: string;
  readonly value: number | null;
  /** Not all of it was counted yet. */
  readonly unfinished?: string | undefined;
  readonly before?: number | null | undefined;
  /** What the earlier value is of. */
  readonly beforeLabel?: string | undefined;
}

export interface ChartProps {
  /** What the line is of: "Visitors". */
  name: string;
  /** What the earlier line is called: "previous period". */
  beforeName?: string | undefined;
  /** What a bucket is: "day". */
  bucket: string;
  points: readonly ChartPoint[];
  measure: Measure;
  /** Less is better. */
  lower?: boolean;
  format(value: number | null | undefined): string;
  axis(value: number): string;
  summary: string;
  asTable: boolean;
  /** Narrows the range to the buckets from the first to the last. */
  onZoom?: ((first: number, last: number) => void) | undefined;
}

const WIDTH = 1000;
const HEIGHT = 200;
/** A drag shorter than this is a click, in pixels. */
const DRAG = 8;

/** Lines through neighbours that have values; `null` ends one. */
function lines(values: readonly (number | null | undefined)[], x: (at: number) => number, y: (value: number) => number, from = 0, to = values.length - 1): string {
  let path = "";
  let open = false;
  for (let at = from; at <= to; at++) {
    const value = values[at];
    if (value == null) {
      open = false;
      continue;
    }
    path += `${open ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    open = true;
  }
  return path;
}

/** The marks of the axis below: at most eight, evenly. */
function marks(count: number): number[] {
  if (count <= 8) return Array.from({ length: count }, (_, at) => at);
  const every = Math.ceil((count - 1) / 7);
  const found = Array.from({ length: Math.floor((count - 1) / every) + 1 }, (_, at) => at * every);
  const last = found.at(-1) ?? 0;
  if (last !== count - 1) {
    if (count - 1 - last < every * 0.7) found.pop();
    found.push(count - 1);
  }
  return found;
}

export function Chart(props: ChartProps) {
  const { name, beforeName, bucket, points, measure, lower = false, format, axis, summary, asTable, onZoom } = props;
  const [at, setAt] = useState<number>();
  const [drag, setDrag] = useState<{ from: number; x: number }>();
  const [spoken, setSpoken] = useState("");
  const plot = useRef<HTMLDivElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const id = useId();
  const count = points.length;
  const last = count - 1;
  const shown = at === undefined ? undefined : points[Math.min(at, last)];

  // Spoken after a rest, so that a held key is not a flood.
  useEffect(() => {
    if (!shown) return;
    const timer = setTimeout(() => {
      const before = beforeName ? `, ${beforeName} ${format(shown.before)}` : "";
      setSpoken(`${shown.label}${shown.unfinished ? `, ${shown.unfinished}` : ""}: ${format(shown.value)} ${name.toLowerCase()}${before}`);
    }, 300);
    return () => clearTimeout(timer);
  }, [shown]);
  useEffect(() => setAt(undefined), [points]);
  useEffect(() => {
    const element = tip.current;
    if (!element || at === undefined || !plot.current) return;
    const width = plot.current.clientWidth;
    const x = count === 1 ? width / 2 : (at / last) * width;
    const left = x + (x > width * 0.6 ? -element.offsetWidth - 12 : 12);
    element.style.left = `${Math.max(0, Math.min(width - element.offsetWidth, left))}px`;
  });

  if (asTable) return <ChartTable {...props} />;

  const values = points.map(({ value }) => value);
  const before = beforeName ? points.map((point) => point.before) : [];
  const most = Math.max(0, ...values.map((value) => value ?? 0), ...before.map((value) => value ?? 0));
  const scale = ticks(most, measure);
  const top = scale[0] ?? 1;
  const x = (index: number) => (count === 1 ? WIDTH / 2 : (index / last) * WIDTH);
  const y = (value: number) => HEIGHT - (value / top) * HEIGHT;
  const percent = (index: number) => `${x(index) / (WIDTH / 100)}%`;

  const first = points.findIndex(({ unfinished }) => !unfinished);
  const end = points.findLastIndex(({ unfinished }) => !unfinished);
  const solid = first < 0 ? "" : lines(values, x, y, first, end);
  const open = first < 0 ? lines(values, x, y) : lines(values, x, y, 0, first) + lines(values, x, y, end, last);
  const area = areaUnder(values, x, y, Math.max(0, first), first < 0 ? -1 : end);
  const holes = points.flatMap(({ unfinished, value }, index) => (unfinished && value != null ? [`M${x(index).toFixed(1)} ${y(value).toFixed(1)}h0`] : [])).join("");

  const lone = values.flatMap((value, index) => (value != null && values[index - 1] == null && values[index + 1] == null ? [`M${x(index).toFixed(1)} ${y(value).toFixed(1)}h0`] : [])).join("");

  const atPointer = (event: TargetedPointerEvent<HTMLDivElement>): number => {
    const box = event.currentTarget.getBoundingClientRect();
    return Math.max(0, Math.min(last, Math.round(((event.clientX - box.left) / box.width) * last)));
  };
  const zoom = (from: number, to: number) => onZoom?.(Math.min(from, to), Math.max(from, to));
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLDivElement>) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const now = at ?? last + 1;
    const to = { ArrowLeft: now - 1, ArrowRight: at === undefined ? 0 : now + 1, PageUp: now - 7, PageDown: now + 7, Home: 0, End: last }[event.key];
    if (to !== undefined) setAt(Math.max(0, Math.min(last, to)));
    else if (event.key === "Escape" && at !== undefined) setAt(undefined);
    else if (event.key === "Enter" && at !== undefined && onZoom) zoom(at, at);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <>
      <div
        ref={plot}
        class={classes("plot", onZoom && "zooms")}
        tabIndex={0}
        role="application"
        aria-label={`Chart of ${name.toLowerCase()}. Left and right arrow keys move between ${bucket}s`}
        aria-describedby={`${id}-summary`}
        onKeyDown={onKeyDown}
        onPointerMove={(event) => setAt(atPointer(event))}
        onPointerDown={(event) => {
          if (!onZoom || event.button !== 0) return;
          setDrag({ from: atPointer(event), x: event.clientX });
          if (event.pointerType === "mouse") event.currentTarget.setPointerCapture(event.pointerId);
        }}
        onPointerUp={(event) => {
          if (drag && Math.abs(event.clientX - drag.x) > DRAG) zoom(drag.from, atPointer(event));
          setDrag(undefined);
        }}
        onPointerCancel={() => setDrag(undefined)}
        onPointerLeave={() => {
          if (!drag) setAt(undefined);
        }}
        onBlur={() => setAt(undefined)}
      >
        <div class="y" aria-hidden="true">
          {scale.map((tick) => (
            <span key={tick}>
              <i>{axis(tick)}</i>
            </span>
          ))}
        </div>
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
          <path class="area" d={area} />
          {beforeName && <path class="ln prev" d={lines(before, x, y)} />}
          <path class="ln" d={solid} />
          <path class="ln dash" d={open} />
          {lone && <path class="pt lone" d={lone} />}
          {holes && <path class="pt in" d={holes} />}
          {holes && <path class="pt hole" d={holes} />}
          {shown?.value != null && at !== undefined && <path class="pt" d={`M${x(at)} ${y(shown.value)}h0`} />}
          {shown?.value != null && at !== undefined && <path class="pt in" d={`M${x(at)} ${y(shown.value)}h0`} />}
        </svg>
        {at !== undefined && <div class="cross" style={{ left: percent(at) }} />}
        {drag && at !== undefined && drag.from !== at && (
          <div class="sel" style={{ left: percent(Math.min(drag.from, at)), width: `${(Math.abs(drag.from - at) / Math.max(1, last)) * 100}%` }} />
        )}
        {shown && (
          <div class="tip" ref={tip}>
            <b>
              {shown.label}
              {shown.unfinished && <span class="dim"> {shown.unfinished}</span>}
            </b>
            <dl>
              <dt>
                <i class={classes("key", shown.unfinished && "dash")} />
                {name}
              </dt>
              <dd>{format(shown.value)}</dd>
              {beforeName && (
                <>
                  <dt>
                    <i class="key prev" />
                    {shown.beforeLabel ?? beforeName}
                  </dt>
                  <dd>{format(shown.before)}</dd>
                  <dt>Change</dt>
                  <dd>
                    <Delta now={shown.value} before={shown.before} lower={lower} />
                  </dd>
                </>
              )}
            </dl>
          </div>
        )}
      </div>
      <div class="xs" aria-hidden="true">
        {marks(count).map((index, place, all) => (
          <span key={index} class={classes(place === 0 && "first", place === all.length - 1 && count > 1 && "last")} style={{ left: percent(index) }}>
            {points[index]?.short}
          </span>
        ))}
      </div>
      <p class="vh" id={`${id}-summary`}>
        {summary}
      </p>
      <p class="vh" aria-live="polite">
        {spoken}
      </p>
    </>
  );
}

/** The area under each line, down to zero. */
function areaUnder(values: readonly (number | null)[], x: (at: number) => number, y: (value: number) => number, from: number, to: number): string {
  let path = "";
  let start: number | undefined;
  for (let at = from; at <= to + 1; at++) {
    const value = at <= to ? values[at] : null;
    if (value == null) {
      if (start !== undefined) path += `L${x(at - 1).toFixed(1)} ${HEIGHT}L${x(start).toFixed(1)} ${HEIGHT}Z`;
      start = undefined;
      continue;
    }
    path += `${start === undefined ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    start ??= at;
  }
  return path;
}

function ChartTable({ name, beforeName, bucket, points, lower = false, format }: ChartProps): ComponentChildren {
  const scroller = useRef<HTMLDivElement>(null);
  const columns: Column<ChartPoint>[] = [
    {
      id: "bucket",
      title: bucket[0]?.toUpperCase() + bucket.slice(1),
      cell: (point) => (
        <>
          {point.label} {point.unfinished && <span class="dim">{point.unfinished}</span>}
        </>
      ),
    },
    { id: "value", title: name, num: true, cell: (point) => format(point.value) },
    ...(beforeName
      ? [
          { id: "before", title: beforeName.charAt(0).toUpperCase() + beforeName.slice(1), num: true, class: "dim", cell: (point: ChartPoint) => format(point.before) },
          { id: "change", title: "Change", num: true, cell: (point: ChartPoint) => <Delta now={point.value} before={point.before} lower={lower} /> },
        ]
      : []),
  ];
  return (
    <div ref={scroller} class="scroll-x chart-data" tabIndex={0} role="region" aria-label="Chart as a table">
      <WindowTable bare caption={`${name} by ${bucket}`} columns={columns} count={points.length} total={points.length} rowAt={(index) => points[index]} rowKey={(_, index) => String(index)} scroller={scroller} />
    </div>
  );
}

/** A small line without axes, beside its number. */
export function Sparkline({ values }: { values: readonly number[] }) {
  const most = Math.max(1, ...values);
  const last = Math.max(1, values.length - 1);
  const path = values.map((value, at) => `${at === 0 ? "M" : "L"}${((at / last) * 100).toFixed(1)} ${(26 - (value / most) * 24).toFixed(1)}`).join("");
  return (
    <svg class="spark" viewBox="0 0 100 28" preserveAspectRatio="none" aria-hidden="true">
      {values.length > 1 && <path class="area" d={`${path}L100 28L0 28Z`} />}
      <path class="ln" d={values.length > 1 ? path : ""} />
    </svg>
  );
}
