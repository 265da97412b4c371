// `/websites/:id/live`: who is there at this moment.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import "../styles/analytics.css";
import { announce, Button, Card, Empty } from "../ui/basic";
import { useLive } from "../api/live";
import { useUrl } from "../api/data";
import { address } from "../api/client";
import * as format from "../lib/format";
import { go } from "../lib/router";
import { addFilter, DEFAULT_VIEW, printQuestion, printView, type View } from "../lib/view";
import { useWebsite, type Website } from "../lib/websites";
import type { PageProps } from "../routes";
import { Page, PageState } from "../shell/page";
import { AnalyticsContext, useAnalytics, type Analytics, type Breakdown, type Series } from "./analytics/context";
import { dimensionLabel } from "./analytics/dimensions";
import { useLatest, VisitTable } from "./analytics/latest";
import { useBarRow } from "./analytics/panel";
import { BarList, PanelBody } from "./analytics/parts";

/** How often a screen reader is told the count, in milliseconds. */
const TELL_MS = 30_000;
const MOST = 50;

export default function LivePage({ params }: PageProps) {
  const website = useWebsite(params.id);
  if (!website.data) return <PageState title="Live" of={website} />;
  return <Loaded website={website.data} />;
}

function Loaded({ website }: { website: Website }) {
  const home = `/websites/${website.id}`;
  const view: View = { ...DEFAULT_VIEW, range: { name: "24h" } };
  const analytics = useMemo(
    (): Analytics => ({
      base: `/api/websites/${website.id}`,
      home,
      domain: website.domain,
      zone: website.settings.time_zone,
      today: format.dayIn(new Date(), website.settings.time_zone),
      view,
      shared: false,
      show: (next) => go(home + printView(next)),
      filter: (filter) => go(home + printView(addFilter(view, filter))),
      unfilter: () => {},
    }),
    [website],
  );
  return (
    <AnalyticsContext.Provider value={analytics}>
      <Content website={website} home={home} view={view} />
    </AnalyticsContext.Provider>
  );
}

function Content({ website, home, view }: { website: Website; home: string; view: View }) {
  const [paused, setPaused] = useState(false);
  const { count, connected } = useLive(`/api/websites/${website.id}`);
  const { data, visits, now } = useLatest(MOST, paused);
  const [shown, setShown] = useState(count);
  useEffect(() => {
    if (!paused) setShown(count);
  }, [count, paused]);
  const told = useRef<{ latest: number | undefined; said?: number }>({ latest: undefined });
  told.current.latest = shown;
  useEffect(() => {
    const timer = setInterval(() => {
      const { latest, said } = told.current;
      if (latest === undefined || latest === said) return;
      told.current.said = latest;
      announce(`${format.plural(latest, "visitor")} online`);
    }, TELL_MS);
    return () => clearInterval(timer);
  }, []);
  const last = website.last_event_at;
  return (
    <Page
      title="Live"
      tab={website.domain}
      beside={
        <span class="live">
          <span class={connected ? "dot pulse" : "dot off"} />
          <span>{connected ? "connected" : "connecting"}</span>
        </span>
      }
      actions={
        <Button icon={paused ? "play" : "pause"} aria-pressed={paused} onClick={() => setPaused(!paused)}>
          {paused ? "Resume" : "Pause"}
        </Button>
      }
    >
      <div class="grid side">
        <section class="card panel" aria-labelledby="now-h">
          <div class="card-head">
            <h2 id="now-h">Visits</h2>
            <span class="dim">the newest first</span>
          </div>
          <PanelBody data={data} what="Visits" rows={10} table>
            {() =>
              visits.length === 0 ? (
                <Empty title="Nobody is here right now" icon="live">
                  {last ? `Last visit ${format.ago(last, now, website.settings.time_zone)}.` : "No visit has been seen yet."}
                </Empty>
              ) : (
                <VisitTable visits={visits} now={now} link={(visitor) => `${home}/visitors/${visitor}`} />
              )
            }
          </PanelBody>
        </section>
        <aside class="stack stack-16">
          <section class="card" aria-label="Online now">
            <dl class="stats two">
              <div>
                <dt>Online now</dt>
                <dd>{shown === undefined ? format.NOTHING : format.count(shown)}</dd>
              </div>
              <ThisHour base={`/api/websites/${website.id}`} />
            </dl>
          </section>
          <Top dimension="page" view={view} title="Pages" />
          <Top dimension="channel" view={view} title="Channels" />
          <Top dimension="country" view={view} title="Countries" />
        </aside>
      </div>
      <footer class="foot">
        <span>
          Online: active in the last 5 minutes · {format.zoneName(website.settings.time_zone)}
        </span>
        <span>
          <a href="https://db-ip.com" rel="noreferrer">
            IP Geolocation by DB-IP
          </a>
        </span>
      </footer>
    </Page>
  );
}

/** Visitors since the hour began. */
function ThisHour({ base }: { base: string }) {
  const { data } = useUrl<Series>(address(`${base}/series`, { raw: ["range=today"] }));
  const sum = data?.points.at(-1)?.value;
  return (
    <div>
      <dt>In this hour</dt>
      <dd>{format.count(sum)}</dd>
    </div>
  );
}

/** The most frequent values of the last 24 hours. */
function Top({ dimension, view, title }: { dimension: string; view: View; title: string }) {
  const { base } = useAnalytics();
  const data = useUrl<Breakdown>(address(`${base}/breakdown`, { raw: printQuestion(view), query: { dimension, limit: 5 } }));
  const longest = Math.max(0, ...(data.data?.rows ?? []).map(({ visitors }) => visitors));
  const toBar = useBarRow(dimension, false, longest);
  return (
    <Card title={title} hint="last 24 hours" flush>
      <PanelBody data={data} what={title} rows={5}>
        {({ rows }) =>
          rows.length === 0 ? (
            <Empty title="Nobody came in these hours" />
          ) : (
            <BarList
              label={title}
              space={5}
              head={[{ title: dimensionLabel(dimension) }, { title: "Visitors", class: "w" }, { title: "Share", class: "w2" }]}
              rows={rows.map(toBar)}
            />
          )
        }
      </PanelBody>
    </Card>
  );
}
