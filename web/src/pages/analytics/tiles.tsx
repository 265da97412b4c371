import { useMemo } from "preact/hooks";
import * as format from "../../lib/format";
import { bucketDays, bucketLabel, compareLabel } from "../../lib/range";
import { INTERVALS, type Interval, type Metric } from "../../lib/view";
import { Button, classes, Delta, figureClass, Skeleton } from "../../ui/basic";
import { Chart, type ChartPoint } from "../../ui/chart";
import { rove, Segmented } from "../../ui/form";
import { Icon } from "../../ui/icons";
import { useTooltip } from "../../ui/overlay";
import type { Data } from "../../api/data";
import { seriesQuery, useAnalytics, useNumbers, type Totals } from "./context";
import { METRICS, TILES } from "./dimensions";
import { PartRefused } from "./refused";
import { LongQuestion, Waiting } from "../parts/long-question";

/** The six numbers; the one that is chosen is that of the chart. */
export function Tiles({ data }: { data: Data<Totals> }) {
  return (
    <div class="tiles" role="radiogroup" aria-label="Metric shown in the chart" aria-busy={data.loading || data.stale} onKeyDown={rove}>
      {TILES.map((metric) => (
        <Tile key={metric} metric={metric} data={data} />
      ))}
    </div>
  );
}

function Tile({ metric, data }: { metric: Metric; data: Data<Totals> }) {
  const { view, show } = useAnalytics();
  const { now, before } = data.data ?? {};
  const { label, lower, format: write } = METRICS[metric];
  const { props, tip } = useTooltip<HTMLButtonElement>(<Definition metric={metric} />);
  const chosen = view.metric === metric;
  return (
    <button
      {...props}
      type="button"
      class="tile"
      role="radio"
      aria-checked={chosen}
      tabIndex={chosen || (metric === "visitors" && !TILES.includes(view.metric)) ? 0 : -1}
      aria-label={now ? `${label}: ${write(now[metric])}${before ? `, before ${write(before[metric])}` : ""}` : label}
      onClick={() => show({ ...view, metric }, true)}
    >
      <span class="k">{label}</span>
      {now ? (
        <>
          <span class={classes("v", figureClass(write(now[metric])), data.stale && "stale")}>{write(now[metric])}</span>
          <span class={classes("row", data.stale && "stale")}>
            {before ? (
              <>
                <Delta now={now[metric]} before={before[metric]} lower={lower ?? false} {...rateTitle(metric, now[metric], before[metric])} />
                <span class="was">from {write(before[metric])}</span>
              </>
            ) : (
              <span class="was">{NBSP}</span>
            )}
          </span>
        </>
      ) : data.loading ? (
        <Skeleton lines={2} />
      ) : (
        <span class="v dim">–</span>
      )}
      {tip}
    </button>
  );
}

function Definition({ metric }: { metric: Metric }) {
  const { definition, field } = METRICS[metric];
  return (
    <>
      {definition} <span class="dim">In the API: {field}.</span>
    </>
  );
}

const NBSP = "\u00a0";

function rateTitle(metric: Metric, now: number | null, before: number | null): { title?: string } {
  return METRICS[metric].measure === "rate" && now !== null && before !== null ? { title: format.points(now, before) } : {};
}

/** The chart of the metric that is chosen, with what it is of. */
export function ChartCard({ totals, asTable, onTable }: { totals: Data<Totals>; asTable: boolean; onTable(): void }) {
  const { view, show, zone, today } = useAnalytics();
  const data = useNumbers("series", seriesQuery(view));
  const meaning = METRICS[view.metric];
  const series = data.data;
  const year = today.slice(0, 4);
  // The server names an interval as the address does.
  const interval = (series?.interval as Interval | undefined) ?? view.interval ?? "day";
  const range = series?.range ?? totals.data?.range;
  const beforeRange = series?.before_range;
  const days = range && { from: format.dayIn(new Date(range.from), zone), to: format.dayIn(new Date(range.to), zone) };
  const beforeDays = beforeRange && { from: format.dayIn(new Date(beforeRange.from), zone), to: format.dayIn(new Date(beforeRange.to), zone) };

  const points = useMemo((): ChartPoint[] => {
    if (!series) return [];
    const open = `until ${format.time(series.range.to, zone)}`;
    const last = series.points.length - 1;
    return series.points.map((point, index) => {
      const before = series.before?.[index];
      return {
        label: bucketLabel(point.start, interval, zone, false, year),
        short: bucketLabel(point.start, interval, zone, true, year),
        value: point.value,
        unfinished: point.complete ? undefined : index === last && !series.range.complete ? open : "only a part",
        before: series.before ? (before?.value ?? null) : undefined,
        beforeLabel: before ? bucketLabel(before.start, interval, zone, false, year) : undefined,
      };
    });
  }, [series, zone]);

  const zoom = (first: number, last: number) => {
    const [from, to] = [series?.points[first], series?.points[last]];
    if (!from || !to || !days) return;
    const next = { from: bucketDays(from.start, interval, zone).from, to: bucketDays(to.start, interval, zone).to };
    const clipped = { from: next.from < days.from ? days.from : next.from, to: next.to > days.to ? days.to : next.to };
    if (clipped.from === days.from && clipped.to === days.to) return;
    const { interval: _, ...rest } = view;
    show({ ...rest, range: clipped.from === today && clipped.to === today ? { name: "today" } : clipped });
  };

  const open = points.at(-1)?.unfinished;
  const known = points.filter((point) => point.value !== null);
  const highest = known.reduce<ChartPoint | undefined>((best, point) => (best === undefined || (point.value ?? 0) > (best.value ?? 0) ? point : best), undefined);
  const lowest = known.filter((point) => !point.unfinished).reduce<ChartPoint | undefined>((best, point) => (best === undefined || (point.value ?? 0) < (best.value ?? 0) ? point : best), undefined);
  const shownRange = days ? format.range(days.from, days.to) : "";
  const total = totals.data?.now[view.metric];
  const summary = series
    ? `${meaning.label} by ${interval}, ${shownRange}. In the whole range ${meaning.format(total)}.` +
      (highest ? ` Highest ${meaning.format(highest.value)} on ${highest.label}.` : "") +
      (lowest ? ` Lowest ${meaning.format(lowest.value)} on ${lowest.label}.` : "")
    : "";
  const other = interval === "hour" && format.offset(zone) !== format.offset(format.readerZone());

  return (
    <figure class="chart" aria-label={`${meaning.label} by ${interval}${shownRange && `, ${shownRange}`}`} aria-busy={data.loading || data.stale}>
      <div class="row wrap chart-tools">
        <div class="legend">
          <span>
            {days && <i class="key" />}
            {days ? format.range(days.from, days.to, undefined) : NBSP}
          </span>
          {beforeDays && (
            <span title={view.compare && compareLabel(view.compare, today)}>
              <i class="key prev" />
              {format.range(beforeDays.from, beforeDays.to, days?.from.startsWith(year) ? year : undefined)}
            </span>
          )}
          {open && (
            <span>
              <i class="key dash" />
              {interval === "day" && days?.to === today ? "Today, " : ""}
              {open}
            </span>
          )}
          {other && <span class="badge warn">Hours of {zone}</span>}
        </div>
        <span class="grow" />
        <Segmented
          class="wide-only"
          label="Interval"
          value={interval}
          options={INTERVALS.map((value) => ({ value, label: value.charAt(0).toUpperCase() + value.slice(1) }))}
          onValue={(value) => show({ ...view, interval: value }, true)}
        />
        <Button small kind="quiet" aria-pressed={asTable} title="Show the numbers as a table" onClick={onTable} aria-label="Table">
          <Icon name="table" />
          <span class="lab">Table</span>
        </Button>
      </div>
      <p class="hint touch-only">
        <Definition metric={view.metric} />
      </p>
      {data.error ? (
        <div class="plotspace">
          <PartRefused error={data.error} what="The chart could not be counted." onRetry={data.reload} />
        </div>
      ) : !series ? (
        <div class="plotspace">
          <Waiting data={data}>
            <Skeleton lines={1} height="13.5rem" />
          </Waiting>
        </div>
      ) : (
        <div class={classes("plotspace", data.stale && "stale")}>
          <Chart
            name={meaning.label}
            beforeName={series.before ? view.compare && compareLabel(view.compare, today) : undefined}
            bucket={interval}
            points={points}
            measure={meaning.measure}
            lower={meaning.lower ?? false}
            format={meaning.format}
            axis={meaning.axis}
            summary={summary}
            asTable={asTable}
            onZoom={zoom}
          />
        </div>
      )}
      <LongQuestion data={data} what="the chart" />
    </figure>
  );
}
