import { useEffect, useId, useLayoutEffect, useState } from "preact/hooks";
import { useUrl } from "../../api/data";
import { useLiveEvents, type LiveEvent } from "../../api/live";
import * as format from "../../lib/format";
import { Button, CountryTag, Dot, Empty } from "../../ui/basic";
import { followRow } from "../../ui/data";
import { MoreMenu } from "../../ui/overlay";
import { files, useAnalytics, type Live } from "./context";
import { PanelBody } from "./parts";
import { valueLabel } from "./dimensions";

/** Somebody who is there, by the last that is known of them. */
export interface Visit {
  readonly visitor: string;
  readonly at: string;
  readonly page: string;
  readonly country: string;
  readonly city: string;
  readonly source: string;
  readonly browser: string;
  readonly device: string;
}

/** How long after its last sign somebody is still there, in milliseconds. */
const ONLINE_MS = 5 * 60_000;

/** Those who are there, the last seen first. */
const visitsOf = ({ people }: Live): Visit[] =>
  people
    .map(({ id, visited_at, duration, entry_page, referrer, ...rest }) => ({
      ...rest,
      visitor: id,
      at: new Date(Date.parse(visited_at) + duration * 1000).toISOString(),
      page: entry_page,
      source: hostOf(referrer),
    }))
    .sort((one, other) => (one.at < other.at ? 1 : -1));

const hostOf = (referrer: string): string => /^[a-z-]+:\/\/(?:www\.)?([^/]+)/.exec(referrer)?.[1] ?? referrer;

/** Rows of the panel. */
const ROWS = 5;
/** Rows enter at most this often, in milliseconds. */
const PACE = 1000;

/** The latest visits, the newest first, as they happen. Rows enter at most once a second. */
export function useLatest(most: number, paused: boolean): { data: ReturnType<typeof useUrl<Live>>; visits: readonly Visit[]; now: number } {
  const { base } = useAnalytics();
  const data = useUrl<Live>(`${base}/live`);
  const [visits, setVisits] = useState<readonly Visit[]>([]);
  const [waiting] = useState<{ visits: Visit[] }>({ visits: [] });
  const [now, setNow] = useState(Date.now());
  // Before they are painted: with none there would be nobody here for a moment.
  useLayoutEffect(() => {
    if (data.data) setVisits(visitsOf(data.data));
  }, [data.data]);
  const [take] = useState(() => (name: string, event: unknown) => {
    if (name === "event") waiting.visits.push(event as LiveEvent);
  });
  useLiveEvents(take);
  useEffect(() => {
    if (paused) return;
    const timer = setInterval(() => {
      setNow(Date.now());
      const next = waiting.visits.shift();
      // What came meanwhile and is older than what there is room for is of no use.
      if (waiting.visits.length > most) waiting.visits.splice(0, waiting.visits.length - most);
      if (next) setVisits((known) => [next, ...known.filter(({ visitor }) => visitor !== next.visitor)].slice(0, most));
    }, PACE);
    return () => clearInterval(timer);
  }, [paused]);
  return { data, visits: visits.slice(0, most), now };
}

/** The latest visits on the dashboard. */
export function Latest() {
  const { base, home, shared, zone } = useAnalytics();
  const [paused, setPaused] = useState(false);
  const { data, visits, now } = useLatest(ROWS, paused);
  const title = useId();
  return (
    <section class="card panel span-2" aria-labelledby={title}>
      <div class="panel-head">
        <h2 id={title}>Latest visits</h2>
        <span class="dim wide-only">as they happen</span>
        <span class="grow" />
        <Button small kind="quiet" icon={paused ? "play" : "pause"} aria-pressed={paused} onClick={() => setPaused(!paused)}>
          {paused ? "Resume" : "Pause"}
        </Button>
        <MoreMenu label="Latest visits: export" items={files((format) => `${base}/live?format=${format}`)} />
      </div>
      <PanelBody data={data} what="Latest visits" rows={ROWS} table>
        {({ last_event_at: last }) => (visits.length === 0 ? <Empty title="Nobody is here right now">{last && `Last visit ${format.ago(last, now, zone)}.`}</Empty> : <VisitTable visits={visits} now={now} link={(visitor) => (shared ? undefined : `${home}/visitors/${visitor}`)} />)}
      </PanelBody>
    </section>
  );
}

/** Visits as a table. */
export function VisitTable({ visits, now, link }: { visits: readonly Visit[]; now: number; link(visitor: string): string | undefined }) {
  const { zone } = useAnalytics();
  return (
    <div class="scroll-x" tabIndex={0} role="region" aria-label="Latest visits, table">
      <table class="table latest">
        <caption class="vh">Latest visits</caption>
        <thead>
          <tr>
            <th scope="col">Visitor</th>
            <th scope="col">Page</th>
            <th scope="col" class="wide-only">
              Source
            </th>
            <th scope="col" class="desk-only">
              Browser
            </th>
            <th scope="col" class="num">
              Seen
            </th>
          </tr>
        </thead>
        <tbody onClick={followRow}>
          {visits.map((visit) => {
            const href = link(visit.visitor);
            const online = now - Date.parse(visit.at) < ONLINE_MS;
            return (
              <tr key={visit.visitor}>
                <td>
                  <span class="row">
                    <Dot label={online ? "online" : "gone"} {...(!online && { tone: "off" })} />
                    <CountryTag code={visit.country} />
                    {href ? (
                      <a class="cover mono" href={href}>
                        {format.shortId(visit.visitor)}
                      </a>
                    ) : (
                      <span class="mono">{format.shortId(visit.visitor)}</span>
                    )}
                  </span>
                </td>
                <td class="clip pagecell" title={visit.page}>
                  {visit.page ? format.path(visit.page) : format.NOTHING}
                </td>
                <td class="wide-only mid clip sourcecell" title={visit.source}>{visit.source || "Direct"}</td>
                <td class="desk-only mid">{[visit.browser, valueLabel("device", visit.device)].filter(Boolean).join(", ")}</td>
                <td class="num mid" title={format.dateTime(visit.at, zone)}>
                  {format.ago(visit.at, now, zone)}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
