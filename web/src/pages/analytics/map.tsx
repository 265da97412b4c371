// The world as dots: how many visitors each country has. The table beside it has the same numbers.
import type { TargetedPointerEvent } from "preact";
import { useMemo, useState } from "preact/hooks";
import * as format from "../../lib/format";
import { useAnalytics, type Row } from "./context";
import { DOTS, HEIGHT, WIDTH } from "./dots";

const CELL = 8;

/** The places of each country's dots, and the country at each place. */
const LAND = (() => {
  const countries = new Map<string, number[]>();
  const at = new Map<number, string>();
  for (const part of DOTS.split(" ")) {
    const code = part.slice(0, 2);
    let place = 0;
    const places = part.slice(2).split(",").map((step) => (place += Number.parseInt(step, 36)));
    countries.set(code, places);
    for (const one of places) at.set(one, code);
  }
  return { countries, at };
})();

const x = (place: number) => (place % WIDTH) * CELL + CELL / 2;
const y = (place: number) => Math.floor(place / WIDTH) * CELL + CELL / 2;

/** The step of each country, 1 to 4, by quantiles of the countries that have visitors. */
export function steps(rows: readonly { value: string; visitors: number }[]): Map<string, number> {
  const seen = rows.filter(({ value, visitors }) => visitors > 0 && value !== "").sort((a, b) => a.visitors - b.visitors);
  const found = new Map<string, number>();
  let before = { visitors: -1, step: 1 };
  seen.forEach(({ value, visitors }, rank) => {
    // Equal numbers have equal colours.
    const step = visitors === before.visitors ? before.step : Math.min(4, 1 + Math.floor(((rank + 0.5) / seen.length) * 4));
    before = { visitors, step };
    found.set(value, step);
  });
  return found;
}

export default function DotMap({ rows }: { rows: readonly Row[] }) {
  const { filter } = useAnalytics();
  const [over, setOver] = useState<{ code: string; left: number; top: number }>();
  const known = useMemo(() => new Map(rows.map((row) => [row.value, row])), [rows]);
  const paths = useMemo(() => {
    const step = steps(rows);
    const drawn = ["", "", "", "", ""];
    for (const [code, places] of LAND.countries) {
      const color = step.get(code) ?? 0;
      drawn[color] += places.map((place) => `M${x(place)} ${y(place)}h0`).join("");
    }
    return drawn;
  }, [rows]);
  const most = Math.max(0, ...rows.filter(({ value }) => value !== "").map(({ visitors }) => visitors));
  const least = Math.min(most, ...rows.filter(({ value, visitors }) => value !== "" && visitors > 0).map(({ visitors }) => visitors));

  const countryAt = (event: TargetedPointerEvent<Element>): { code: string; left: number; top: number } | undefined => {
    const box = event.currentTarget.getBoundingClientRect();
    const column = ((event.clientX - box.left) / box.width) * WIDTH - 0.5;
    const row = ((event.clientY - box.top) / box.height) * HEIGHT - 0.5;
    // The nearest dot within one and a half cells.
    let best: { code: string; distance: number } | undefined;
    for (let r = Math.floor(row) - 1; r <= row + 2; r++) {
      for (let c = Math.floor(column) - 1; c <= column + 2; c++) {
        const code = c < 0 || c >= WIDTH ? undefined : LAND.at.get(r * WIDTH + c);
        const distance = Math.hypot(r - row, c - column);
        if (code !== undefined && distance < Math.min(1.5, best?.distance ?? Infinity)) best = { code, distance };
      }
    }
    return best && { code: best.code, left: event.clientX - box.left, top: event.clientY - box.top };
  };
  const row = over && known.get(over.code);
  return (
    <div class="map">
      <div
        class="mapbox"
        onPointerMove={(event) => setOver(countryAt(event))}
        onPointerLeave={() => setOver(undefined)}
        onClick={() => over && row && filter({ dimension: "country", operator: "is", values: [over.code] })}
      >
        <svg viewBox={`0 0 ${WIDTH * CELL} ${HEIGHT * CELL}`} role="img" aria-label="World map of visitors; the table beside it has the same numbers">
          {paths.map((path, step) => (
            <path key={step} class={`m${step}`} d={path} />
          ))}
        </svg>
        {over && (
          <div class="maptip" style={{ left: `${over.left}px`, top: `${over.top}px` }}>
            {format.country(over.code)} <b>{format.count(row?.visitors ?? 0)}</b>
          </div>
        )}
      </div>
      {most > 0 && (
        <span class="scale">
          {format.count(least)}
          <i />
          <i />
          <i />
          <i />
          {format.plural(most, "visitor")}
        </span>
      )}
    </div>
  );
}
