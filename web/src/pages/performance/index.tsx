// `/websites/:id/performance`: how fast pages are for those who see them: web vitals, as three quarters of the page views have them.
import { useMemo, useState } from "preact/hooks";
import "../../styles/performance.css";
import type { Answer } from "../../api/client";
import { useUrl, type Data } from "../../api/data";
import * as format from "../../lib/format";
import { useKeys } from "../../lib/keys";
import { lazy } from "../../lib/lazy";
import { bucketLabel, intervalFor } from "../../lib/range";
import { go } from "../../lib/router";
import { INTERVALS, removeFilter, type Filter, type Interval } from "../../lib/view";
import type { PageProps } from "../../routes";
import { MEANINGS, rate, RATING_LABELS, RATINGS, VITALS, type Rating, type Vital } from "../../rules/vitals";
import { Page } from "../../shell/page";
import { Button, classes, Empty, Skeleton } from "../../ui/basic";
import { Chart, type ChartPoint } from "../../ui/chart";
import { Table, type Column } from "../../ui/data";
import { rove, Segmented } from "../../ui/form";
import { Icon } from "../../ui/icons";
import { useTooltip } from "../../ui/overlay";
import { useAnalytics } from "../analytics/context";
import { valueLabel } from "../analytics/dimensions";
import { Chips } from "../analytics/filters";
import { RangeBar } from "../analytics/range-bar";
import { PageRefused } from "../analytics/refused";
import { CapturedPage, capturedUrl, clearFilters, FilterButton, OffNote, type Captured } from "../parts/captured";
import { LongQuestion, Waiting } from "../parts/long-question";
import { SwitchedOff } from "../parts/switched-off";

const FilterDialog = lazy(() => import("../analytics/filter-dialog"));

type Speed = Answer<"/api/websites/{website_id}/performance", "get">;
type Measured = Speed["metrics"];
type Row = Speed["pages"][number];
type Own = "vital" | "sort";

/** The most pages that are asked for. */
const MOST_PAGES = 200;

/** The digits behind the point of a layout shift, everywhere the same: with two, one that is not good any more would read as its bound. */
const SHIFT_DIGITS = 3;
/** A value of a vital as people read it. */
const write = (vital: Vital, value: number | null | undefined): string => (vital === "cls" ? format.decimal(value, SHIFT_DIGITS) : format.milliseconds(value));
/** The same on an axis, where there is little room. */
const onAxis = (vital: Vital, value: number): string =>
  value === 0 ? "0" : vital === "cls" ? format.decimal(value, SHIFT_DIGITS) : value >= 1000 ? `${format.decimal(value / 1000)}\u00a0s` : `${format.count(value)}\u00a0ms`;

export default function PerformancePage({ params }: PageProps) {
  return (
    <CapturedPage<Own> params={params} title="Performance" icon="gauge" path="performance" names={["vital", "sort"]}>
      {(captured) => <Content {...captured} />}
    </CapturedPage>
  );
}

function Content(captured: Captured<Own>) {
  const { website, parts, at, note } = captured;
  const { view, show, zone, today, base } = useAnalytics();
  const [editing, setEditing] = useState<Filter | "new">();
  const [asTable, setTable] = useState(false);
  const vital = VITALS.find((one) => one === parts.vital) ?? "lcp";
  const data = useUrl<Speed>(capturedUrl(base, "performance", view, { limit: MOST_PAGES }));
  const choose = (next: Vital) => go(at({ ...parts, vital: next === "lcp" ? undefined : next }), { replace: true });
  useKeys({
    f: () => setEditing("new"),
    b: () => setTable(!asTable),
    Escape: view.filters.length > 0 ? () => clearFilters(view, show) : undefined,
    ...Object.fromEntries(VITALS.map((one, index) => [String(index + 1), () => choose(one)])),
  });
  const speed = data.data;
  const days = speed && { from: format.dayIn(new Date(speed.range.from), zone), to: format.dayIn(new Date(speed.range.to), zone) };
  const none = speed?.views === 0;
  const isOff = !website.settings.web_vitals;
  return (
    <Page
      title="Performance"
      tab={website.domain}
      actions={
        <>
          <FilterButton onClick={() => setEditing("new")} />
          <RangeBar view={view} show={show} zone={zone} today={today} days={days} plain />
        </>
      }
    >
      {note}
      {isOff && !none && <OffNote of={captured} what="Web vitals are switched off: nothing new is measured." />}
      <Chips onEdit={setEditing} onAdd={() => setEditing("new")} onClear={() => clearFilters(view, show)} />
      {data.error ? (
        <section class="card" aria-label="Page speed">
          <div class="card-body">
            <PageRefused error={data.error} what="Page speed could not be counted." onRetry={data.reload} />
          </div>
        </section>
      ) : none && isOff && view.filters.length === 0 ? (
        <SwitchedOff website={website} what="Web vitals" icon="gauge" setting="web_vitals">
          Pages report how fast they are for the people who see them.
        </SwitchedOff>
      ) : none ? (
        <section class="card">
          <Nothing />
        </section>
      ) : (
        <>
          <section class="card" aria-label="Web vitals">
            <Tiles data={data} vital={vital} onVital={choose} />
            {speed === undefined ? (
              <Waiting data={data}>
                <div class="plotspace">
                  <Skeleton lines={1} height="13.5rem" />
                </div>
              </Waiting>
            ) : (
              <Over speed={speed} vital={vital} asTable={asTable} isStale={data.stale} onTable={() => setTable(!asTable)} />
            )}
            <LongQuestion data={data} what="page speed" />
          </section>
          {speed && (
            <div class={classes("stack stack-16 speeds", data.stale && "stale")}>
              <Spread metric={speed.metrics[vital]} vital={vital} />
              <SpeedTable title="Devices" kind="device" rows={speed.devices} vital={vital} />
              <SpeedTable title="Pages" kind="page" rows={speed.pages} vital={vital} total={speed.pages_total} sort={parts.sort} onSort={(sort) => go(at({ ...parts, sort: sort === "-views" ? undefined : sort }), { replace: true })} />
            </div>
          )}
        </>
      )}
      <footer class="foot">
        <span>
          Values that three quarters of the page views do not exceed (p75). Times in {format.zoneName(zone)}
        </span>
      </footer>
      {editing && <FilterDialog edit={editing === "new" ? undefined : editing} onClose={() => setEditing(undefined)} />}
    </Page>
  );
}

function Nothing() {
  const { view, show } = useAnalytics();
  const last = view.filters.at(-1);
  if (last) {
    return (
      <Empty title="No page view matches" level={2} icon="gauge" action={<Button onClick={() => show(removeFilter(view, last))}>Remove last filter</Button>}>
        No page view of this range that was measured passes the {view.filters.length === 1 ? "filter" : "filters"}.
      </Empty>
    );
  }
  return (
    <Empty title="Nothing was measured in this range" level={2} icon="gauge">
      The tag measures each page view by itself and reports it when the page is left. Visits that a server reports have no page to measure.
    </Empty>
  );
}

/** How something is rated: a shape and a word, for those who hear it, too. */
function RatingMark({ rating, word }: { rating: Rating; word?: boolean }) {
  return (
    <span class={classes("rating", rating)}>
      <svg width="10" height="10" viewBox="0 0 10 10" aria-hidden="true">
        {rating === "good" ? <circle cx="5" cy="5" r="4.5" /> : rating === "poor" ? <path d="M5 .4 9.8 9.4H.2Z" /> : <rect x="1" y="1" width="8" height="8" rx="1" />}
      </svg>
      <span class={word ? undefined : "vh"}>{RATING_LABELS[rating]}</span>
    </span>
  );
}

function Tiles({ data, vital, onVital }: { data: Data<Speed>; vital: Vital; onVital(vital: Vital): void }) {
  return (
    <div class="tiles five" role="radiogroup" aria-label="Metric shown in the chart" aria-busy={data.loading || data.stale} onKeyDown={rove}>
      {VITALS.map((one) => (
        <Tile key={one} vital={one} metric={data.data?.metrics[one]} known={data.data !== undefined} stale={data.stale} chosen={one === vital} onChoose={() => onVital(one)} />
      ))}
    </div>
  );
}

function Tile({ vital, metric, known, stale, chosen, onChoose }: { vital: Vital; metric: Measured[Vital] | undefined; known: boolean; stale: boolean; chosen: boolean; onChoose(): void }) {
  const { label, short, definition, good, poor } = MEANINGS[vital];
  const { props, tip } = useTooltip<HTMLButtonElement>(
    <>
      {definition}{" "}
      <span class="dim">
        Good up to {write(vital, good)}, poor above {write(vital, poor)}.
      </span>
    </>,
  );
  const rating = metric ? (metric.rating as Rating) : undefined;
  return (
    <button {...props} type="button" class="tile" role="radio" aria-checked={chosen} tabIndex={chosen ? 0 : -1} aria-label={metric && rating ? `${label}: ${write(vital, metric.p75)}, ${RATING_LABELS[rating]}` : label} onClick={onChoose}>
      <span class="k">
        {short} <span class="longer">{label}</span>
      </span>
      {known ? (
        <>
          <span class={classes("v", stale && "stale", !metric && "dim")}>{write(vital, metric?.p75)}</span>
          <span class={classes("row", stale && "stale")}>{rating ? <RatingMark rating={rating} word /> : <span class="was">Not measured</span>}</span>
        </>
      ) : (
        <Skeleton lines={2} />
      )}
      {tip}
    </button>
  );
}

/** The chosen one over time. */
function Over({ speed, vital, asTable, isStale, onTable }: { speed: Speed; vital: Vital; asTable: boolean; isStale: boolean; onTable(): void }) {
  const { view, show, zone, today } = useAnalytics();
  const year = today.slice(0, 4);
  const { label, good, poor } = MEANINGS[vital];
  const days = { from: format.dayIn(new Date(speed.range.from), zone), to: format.dayIn(new Date(speed.range.to), zone) };
  const interval: Interval = view.interval ?? intervalFor(format.daysBetween(days.from, days.to));
  const points = useMemo(
    (): ChartPoint[] =>
      speed.series.map((bucket, index) => ({
        label: bucketLabel(bucket.at, interval, zone, false, year),
        short: bucketLabel(bucket.at, interval, zone, true, year),
        value: bucket[vital],
        unfinished: index === speed.series.length - 1 && !speed.range.complete ? `until ${format.time(speed.range.to, zone)}` : undefined,
      })),
    [speed, vital, zone],
  );
  const known = points.filter(({ value }) => value !== null);
  const by = (better: (one: number, other: number) => boolean) =>
    known.reduce<ChartPoint | undefined>((best, point) => (best === undefined || better(point.value ?? 0, best.value ?? 0) ? point : best), undefined);
  const [highest, lowest] = [by((one, other) => one > other), by((one, other) => one < other)];
  const summary =
    `${label} by ${interval}, ${format.range(days.from, days.to)}. In the whole range ${write(vital, speed.metrics[vital]?.p75)}.` +
    (highest ? ` Highest ${write(vital, highest.value)} on ${highest.label}.` : "") +
    (lowest ? ` Lowest ${write(vital, lowest.value)} on ${lowest.label}.` : "");
  return (
    <figure class="chart speed" aria-label={`${label} by ${interval}, ${format.range(days.from, days.to)}`}>
      <div class="row wrap chart-tools">
        <div class="legend">
          <span>
            <i class="key" />
            {format.range(days.from, days.to)}
          </span>
          <span>{format.plural(speed.metrics[vital]?.views ?? 0, "page view")} measured</span>
          <span class="wide-only">
            Good up to {write(vital, good)}, poor above {write(vital, poor)}
          </span>
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
      <div class={classes("plotspace", isStale && "stale")}>
        <Chart
          name={MEANINGS[vital].short}
          bucket={interval}
          points={points}
          measure={vital === "cls" ? "decimal" : "count"}
          lower
          format={(value) => write(vital, value)}
          axis={(value) => onAxis(vital, value)}
          summary={summary}
          asTable={asTable}
        />
      </div>
    </figure>
  );
}

/** How many page views were good, and how many were not. */
function Spread({ metric, vital }: { metric: Measured[Vital]; vital: Vital }) {
  const { label, good, poor } = MEANINGS[vital];
  if (!metric) return null;
  const bounds: Record<Rating, string> = {
    good: `up to ${write(vital, good)}`,
    needs_improvement: `up to ${write(vital, poor)}`,
    poor: `above ${write(vital, poor)}`,
  };
  let from = 0;
  return (
    <section class="card" aria-labelledby="spread-h">
      <div class="card-head">
        <h2 id="spread-h">{label}, page view by page view</h2>
      </div>
      <div class="card-body stack">
        <svg class="spread" viewBox="0 0 1000 16" preserveAspectRatio="none" aria-hidden="true">
          {RATINGS.map((rating) => {
            const width = (metric[rating] / Math.max(1, metric.views)) * 1000;
            const x = from;
            from += width;
            return width > 0 && <rect key={rating} class={rating} x={x.toFixed(1)} y="0" width={Math.max(0, width - 2).toFixed(1)} height="16" />;
          })}
        </svg>
        <dl class="ratings">
          {RATINGS.map((rating) => (
            <div key={rating}>
              <dt>
                <RatingMark rating={rating} word /> <span class="dim">{bounds[rating]}</span>
              </dt>
              <dd>
                {format.percent(metric[rating] / Math.max(1, metric.views))} <span class="dim">{format.plural(metric[rating], "page view")}</span>
              </dd>
            </div>
          ))}
        </dl>
      </div>
    </section>
  );
}

/** Each page or kind of device with all its metrics. On phones the chosen one alone. */
function SpeedTable({ title, kind, rows, vital, total = rows.length, sort = "-views", onSort }: {
  title: string;
  kind: "page" | "device";
  rows: readonly Row[];
  vital: Vital;
  total?: number;
  sort?: string | undefined;
  onSort?(sort: string): void;
}) {
  const { filter, domain } = useAnalytics();
  const column = sort.replace(/^-/, "");
  const value = (row: Row): number | string => (column === "value" ? row.value : column === "views" ? row.views : (row[column as Vital]?.p75 ?? -1));
  const sorted = onSort
    ? [...rows].sort((one, other) => {
        const [a, b] = [value(one), value(other)];
        const order = typeof a === "string" ? a.localeCompare(String(b)) : a - Number(b);
        return sort.startsWith("-") ? -order : order;
      })
    : rows;
  const columns: Column<Row>[] = [
    {
      id: "value",
      title: kind === "page" ? "Page" : "Device",
      sortable: true,
      class: "speedcell",
      cell: (row) => {
        const name = valueLabel(kind, row.value);
        return (
          <button type="button" class={classes("rowlink clip", row.value === "" && "dim")} title={name} onClick={(event) => filter({ dimension: kind, operator: event.altKey ? "is_not" : "is", values: [row.value] })}>
            {kind === "page" ? format.shortPath(name, 60) : name}
          </button>
        );
      },
    },
    { id: "views", title: "Page views", num: true, sortable: true, wide: true, cell: (row) => format.count(row.views) },
    ...VITALS.map(
      (one): Column<Row> => ({
        id: one,
        title: MEANINGS[one].short,
        num: true,
        sortable: true,
        wide: one !== vital && (one === "ttfb" ? "desk" : true),
        class: one === vital ? "strong" : "",
        cell: (row) => {
          const metric = row[one];
          return metric ? (
            <span class="rated">
              {write(one, metric.p75)} <RatingMark rating={rate(one, metric.p75)} />
            </span>
          ) : (
            <span class="dim">{format.NOTHING}</span>
          );
        },
      }),
    ),
  ];
  return (
    <section class="card" aria-labelledby={`${kind}-h`}>
      <div class="card-head">
        <h2 id={`${kind}-h`}>{title}</h2>
        {total > rows.length && <span class="dim">the {format.count(rows.length)} with the most page views, of {format.count(total)}</span>}
      </div>
      <Table caption={`${title} of ${domain}`} columns={columns} rows={sorted} rowKey={(row) => row.value} {...(onSort && { sort, onSort })} />
    </section>
  );
}
