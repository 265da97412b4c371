// Settings → Server → Activity: what the server did in the last hour or day. For whoever runs it.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import "../../styles/analytics.css";
import "../../styles/settings.css";
import type { Answer } from "../../api/client";
import { useData } from "../../api/data";
import { bytes, count, dateTime, decimal, milliseconds, NOTHING, percent, plural, readerZone, time, zoneName } from "../../lib/format";
import { useKeys } from "../../lib/keys";
import { go, usePlace } from "../../lib/router";
import { ACTIVITY_MEANINGS, ACTIVITY_METRICS, ACTIVITY_RANGES, byteUnit, ENDS, fullWords, isFault, reasonWords, REQUEST_CLASSES, type ActivityMetric } from "../../rules/activity";
import { Page } from "../../shell/page";
import { Badge, Button, Card, classes, Empty, Note } from "../../ui/basic";
import { Chart, type ChartPoint } from "../../ui/chart";
import { Table, type Column } from "../../ui/data";
import { rove, Segmented } from "../../ui/form";
import { Icon } from "../../ui/icons";
import { useTooltip } from "../../ui/overlay";
import { Loaded } from "../parts/loaded";
import { SERVER_CRUMBS, serverRefused } from "./server-refused";

type Activity = Answer<"/api/server/activity", "get">;
type Requests = Activity["requests"][number];
type Reason = Activity["events"]["reasons"][number];
type Slow = Activity["slow_questions"]["slowest"][number];
type Range = (typeof ACTIVITY_RANGES)[number];

const ADDRESS = "/settings/server/activity";
/** How often the numbers are asked for again while somebody looks: the server counts by the minute. */
const RENEWED_MS = 60_000;

/** A time as it is estimated: tenths below ten milliseconds. */
const ms = (value: number | null | undefined): string => (value != null && value < 10 ? `${decimal(Math.round(value * 10) / 10)}\u00a0ms` : milliseconds(value));
const size = (value: number | null | undefined): string => (value == null ? NOTHING : bytes(value));

export default function ServerActivityPage() {
  const asked = new URLSearchParams(usePlace().search).get("range");
  const chosen = ACTIVITY_RANGES.find(({ value }) => value === asked) ?? ACTIVITY_RANGES[0];
  const activity = useData("/api/server/activity", { query: { range: chosen.value } });
  const reload = useRef(activity.reload);
  reload.current = activity.reload;
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && reload.current(), RENEWED_MS);
    return () => clearInterval(timer);
  }, []);
  const [metric, setMetric] = useState<ActivityMetric>("stored");
  const [asTable, setTable] = useState(false);
  useKeys({
    b: () => setTable(!asTable),
    ...Object.fromEntries(ACTIVITY_METRICS.map((one, index) => [String(index + 1), () => setMetric(one)])),
  });
  const refused = serverRefused("Server activity", "What the server does is", activity.error);
  if (refused !== undefined) return <>{refused}</>;
  return (
    <Page
      title="Server activity"
      crumbs={SERVER_CRUMBS}
      actions={
        <>
          <Segmented label="Range" value={chosen.value} options={ACTIVITY_RANGES} onValue={(value) => go(value === "1h" ? ADDRESS : `${ADDRESS}?range=${value}`)} />
          <Button icon="reload" pending={activity.loading} onClick={activity.reload}>
            Reload
          </Button>
        </>
      }
    >
      <Loaded of={activity} what="The activity" lines={8} onPage>
        {(data) => {
          // What is shown may be of the range before, while the answer is on its way.
          const range = ACTIVITY_RANGES.find(({ step }) => step.seconds === data.step_seconds) ?? chosen;
          return (
            <div class="stack stack-16">
              {asked !== null && asked !== chosen.value && <Note>The address asks for a range that is not kept. This is {chosen.words}.</Note>}
              <section class="card" aria-label="Over time">
                <Tiles data={data} metric={metric} onMetric={setMetric} />
                <Over data={data} metric={metric} range={range} asTable={asTable} onTable={() => setTable(!asTable)} />
              </section>
              {data.points.length > 0 && (
                <>
                  <RequestTable requests={data.requests} range={range} />
                  <NotStored events={data.events} range={range} />
                </>
              )}
              <Machine data={data} />
              <SlowQuestions slow={data.slow_questions} range={range} />
              <footer class="foot">
                <span>
                  Counted since the start of the server, {dateTime(data.since)}, and kept for a day{data.now && `; numbers until ${time(data.now.at, undefined)}, renewed each minute`}. Times in {zoneName(readerZone())}
                </span>
              </footer>
            </div>
          );
        }}
      </Loaded>
    </Page>
  );
}

const times = (requests: Requests | undefined): readonly [string, string] => (requests?.p95_ms == null ? [NOTHING, ""] : [ms(requests.p95_ms), `half within ${ms(requests.p50_ms)}`]);

/** What a tile shows: its number, and a line below it. */
function tileOf(metric: ActivityMetric, { events, requests, now, disk, points }: Activity): readonly [string, string] {
  const isEmpty = points.length === 0;
  const of = (wanted: string): Requests | undefined => requests.find((one) => one.class === wanted);
  const lost = events.dropped + events.refused;
  const seconds = points.reduce((sum, point) => sum + point.measured_seconds, 0);
  switch (metric) {
    case "stored":
      return isEmpty ? [NOTHING, ""] : [count(events.stored), `${decimal(Number((events.stored / Math.max(1, seconds)).toPrecision(2)))} a second`];
    case "lost":
      return isEmpty ? [NOTHING, ""] : [count(lost), lost === 0 ? "" : `${percent(lost / (events.stored + lost))} of all that came`];
    case "events_time":
      return times(of("events"));
    case "api_time":
      return times(of("api"));
    case "queue":
      return [now ? count(now.queue) : NOTHING, now ? `at ${time(now.at, undefined)}` : ""];
    case "data":
      return [size(disk.data_bytes), `${size(disk.free_bytes)} free`];
  }
}

function Tiles({ data, metric, onMetric }: { data: Activity; metric: ActivityMetric; onMetric(metric: ActivityMetric): void }) {
  return (
    <div class="tiles" role="radiogroup" aria-label="Metric shown in the chart" onKeyDown={rove}>
      {ACTIVITY_METRICS.map((one) => (
        <Tile key={one} metric={one} shown={tileOf(one, data)} chosen={one === metric} onChoose={() => onMetric(one)} />
      ))}
    </div>
  );
}

function Tile({ metric, shown: [value, below], chosen, onChoose }: { metric: ActivityMetric; shown: readonly [string, string]; chosen: boolean; onChoose(): void }) {
  const { label, definition } = ACTIVITY_MEANINGS[metric];
  const { props, tip } = useTooltip<HTMLButtonElement>(definition);
  return (
    <button {...props} type="button" class="tile" role="radio" aria-checked={chosen} tabIndex={chosen ? 0 : -1} aria-label={`${label}: ${value}${below && `, ${below}`}`} onClick={onChoose}>
      <span class="k">{label}</span>
      <span class={classes("v", value === NOTHING && "dim")}>{value}</span>
      <span class="row">
        <span class="was">{below || "\u00a0"}</span>
      </span>
      {tip}
    </button>
  );
}

/** The chosen metric over time. */
function Over({ data, metric, range, asTable, onTable }: { data: Activity; metric: ActivityMetric; range: Range; asTable: boolean; onTable(): void }) {
  const { label, unit, of } = ACTIVITY_MEANINGS[metric];
  const step = range.step;
  const scale = unit === "bytes" ? byteUnit(data.points.map(of)) : 1;
  const points = useMemo(
    (): ChartPoint[] =>
      data.points.map((point) => {
        const value = of(point);
        return {
          label: dateTime(point.at),
          short: time(point.at, undefined),
          value: value === null ? null : value / scale,
          // Beside what is measured at a moment.
          unfinished: unit === "count" && metric !== "queue" && point.measured_seconds > 0 && point.measured_seconds < step.seconds * 0.9 ? "only a part" : undefined,
        };
      }),
    [data, metric],
  );
  const write = (value: number | null | undefined): string => (value == null ? NOTHING : unit === "bytes" ? bytes(value * scale) : unit === "time" ? ms(value) : count(value));
  if (points.length === 0) {
    return (
      <Empty title="The server has just started" level={2} icon="gauge">
        Counting began at {time(data.since, undefined)}. The first minute is not over yet; nothing is known of before.
      </Empty>
    );
  }
  const known = points.filter(({ value }) => value !== null);
  const highest = known.reduce<ChartPoint | undefined>((best, point) => (best === undefined || (point.value ?? 0) > (best.value ?? 0) ? point : best), undefined);
  const title = `${label} by ${step.name}, ${range.words}`;
  const summary = `${title}.${highest ? ` Highest ${write(highest.value)} at ${highest.short}.` : " Nothing was measured."}`;
  return (
    <figure class="chart" aria-label={title}>
      <div class="row wrap chart-tools">
        <div class="legend">
          <span>
            <i class="key" />
            {label}, {step.words}
          </span>
        </div>
        <span class="grow" />
        <Button small kind="quiet" aria-pressed={asTable} title="Show the numbers as a table" onClick={onTable} aria-label="Table">
          <Icon name="table" />
          <span class="lab">Table</span>
        </Button>
      </div>
      <div class="plotspace">
        <Chart name={label} bucket={step.name} points={points} measure={unit === "count" ? "count" : "decimal"} format={write} axis={write} summary={summary} asTable={asTable} />
      </div>
    </figure>
  );
}

function RequestTable({ requests, range }: { requests: readonly Requests[]; range: Range }) {
  const columns: Column<Requests>[] = [
    {
      id: "class",
      title: "For",
      cell: (row) => (
        <>
          {REQUEST_CLASSES[row.class]}
          <div class="narrow-only dim">
            p50 {ms(row.p50_ms)}, p95 {ms(row.p95_ms)}, p99 {ms(row.p99_ms)}; {count(row.client_errors)} refused (4xx), {count(row.server_errors)} failed (5xx)
          </div>
        </>
      ),
    },
    { id: "count", title: "Requests", num: true, cell: (row) => count(row.count) },
    { id: "p50", title: "p50", num: true, wide: true, cell: (row) => ms(row.p50_ms) },
    { id: "p95", title: "p95", num: true, wide: true, cell: (row) => ms(row.p95_ms) },
    { id: "p99", title: "p99", num: true, wide: true, cell: (row) => ms(row.p99_ms) },
    { id: "client", title: "Refused (4xx)", num: true, wide: true, cell: (row) => count(row.client_errors) },
    { id: "server", title: "Failed (5xx)", num: true, wide: true, cell: (row) => (row.server_errors > 0 ? <Badge tone="bad">{count(row.server_errors)}</Badge> : count(0)) },
  ];
  return (
    <Card title="Requests" flush>
      <Table caption={`Requests of ${range.words}`} columns={columns} rows={requests} rowKey={(row) => row.class} />
    </Card>
  );
}

function NotStored({ events, range }: { events: Activity["events"]; range: Range }) {
  const all = events.stored + events.dropped + events.refused;
  const columns: Column<Reason>[] = [
    {
      id: "reason",
      title: "Why",
      cell: ({ reason }) => (
        <>
          {reasonWords(reason)} {isFault(reason) && <Badge tone="bad">The server</Badge>}
        </>
      ),
    },
    { id: "outcome", title: "What became of it", wide: true, cell: ({ outcome }) => (outcome === "dropped" ? "Dropped" : "Refused") },
    { id: "count", title: "Events", num: true, cell: (row) => count(row.count) },
    { id: "share", title: "Of all that came", num: true, cell: (row) => percent(row.count / Math.max(1, all)) },
  ];
  return (
    <Card title="Not stored" flush>
      {events.reasons.length === 0 ? (
        <Empty title={all === 0 ? "Nothing came" : "Everything was stored"} icon={all === 0 ? "event" : "check"}>
          {all === 0 ? `No event reached the server in ${range.words}.` : `No event of ${range.words} was dropped or refused.`}
        </Empty>
      ) : (
        <Table caption={`Why events of ${range.words} were not stored`} columns={columns} rows={events.reasons} rowKey={(row) => `${row.outcome} ${row.reason}`} />
      )}
    </Card>
  );
}

function Machine({ data: { disk, now } }: { data: Activity }) {
  const full = fullWords(disk.full_in_days, disk.growth_is_known);
  const growth = disk.data_bytes_per_day;
  return (
    <Card title="Machine">
      <dl class="facts">
        <dt>Data directory</dt>
        <dd>{size(disk.data_bytes)}</dd>
        <dt>Growth</dt>
        <dd>{growth === null ? "Known six hours after the start" : `${growth < 0 ? "−" : "+"}${bytes(Math.abs(growth))} a day`}</dd>
        <dt>Free on its disk</dt>
        <dd>{disk.free_bytes === null || disk.size_bytes === null ? NOTHING : `${bytes(disk.free_bytes)} of ${bytes(disk.size_bytes)} (${percent(disk.free_bytes / Math.max(1, disk.size_bytes))})`}</dd>
        <dt>Full in</dt>
        <dd>{full.soon ? <Badge tone="warn">{full.words}</Badge> : full.words}</dd>
        <dt>Memory of the server</dt>
        <dd>{size(now?.memory_bytes)}</dd>
      </dl>
    </Card>
  );
}

function SlowQuestions({ slow, range }: { slow: Activity["slow_questions"]; range: Range }) {
  const { slowest, over_ms: over } = slow;
  const most = Math.max(slow.count, slowest.length);
  const columns: Column<Slow>[] = [
    { id: "route", title: "Asked by", class: "asked", cell: (row) => (row.route === null ? <span class="dim">the server</span> : <code>{row.route}</code>) },
    { id: "took", title: "Worked on", num: true, class: "strong", cell: (row) => ms(row.took_ms) },
    { id: "website", title: "Website", cell: (row) => (row.website === null ? <span class="dim">{NOTHING}</span> : row.website.domain) },
    { id: "end", title: "End", cell: ({ end }) => <Badge tone={ENDS[end]?.tone ?? "line"}>{ENDS[end]?.words ?? end}</Badge> },
    { id: "at", title: "Ended", cell: (row) => time(row.at, undefined, true) },
    {
      id: "waited",
      title: "Waited",
      num: true,
      cell: (row) => (
        <>
          <span class="narrow-only">waited </span>
          {ms(row.waited_ms)}
        </>
      ),
    },
  ];
  return (
    <Card title="Slow questions" hint={most > slowest.length ? `the ${count(slowest.length)} slowest of ${count(most)}` : undefined} flush>
      {slowest.length === 0 ? (
        <Empty title="No slow question" icon="check">
          In {range.words} no question of the events took longer than {milliseconds(over)}.
        </Empty>
      ) : (
        <Table caption={`${plural(slowest.length, "question")} of ${range.words} that took longer than ${milliseconds(over)}`} columns={columns} rows={slowest} stacks rowKey={(row) => `${row.at} ${row.route} ${row.took_ms} ${row.waited_ms} ${row.website?.id}`} />
      )}
    </Card>
  );
}
