// `/websites/:id/visitors`: who came, the last first.
import { useEffect, useMemo, useState } from "preact/hooks";
import "../../styles/analytics.css";
import { address, ApiError, askAt, type Answer } from "../../api/client";
import { useUrl } from "../../api/data";
import * as format from "../../lib/format";
import { useKeys } from "../../lib/keys";
import { lazy } from "../../lib/lazy";
import { addFilter, printQuestion, printView, removeFilter, type Filter } from "../../lib/view";
import { useWebsite, type Website } from "../../lib/websites";
import type { PageProps } from "../../routes";
import { Page, PageState } from "../../shell/page";
import { Button, CountryTag, Empty, Skeleton } from "../../ui/basic";
import type { Column } from "../../ui/data";
import { MoreMenu, toast } from "../../ui/overlay";
import { WindowTable } from "../../ui/window";
import { AnalyticsContext, files, useAnalytics, useView, type Analytics } from "../analytics/context";
import { filterLabel } from "../analytics/dimensions";
import { Chips } from "../analytics/filters";
import { passes } from "../analytics/parts";
import { LongQuestion, Waiting } from "../parts/long-question";
import { RangeBar } from "../analytics/range-bar";
import { PageRefused } from "../analytics/refused";

const FilterDialog = lazy(() => import("../analytics/filter-dialog"));

type List = Answer<"/api/websites/{website_id}/visitors", "get">;
type Visitor = List["visitors"][number];

export default function VisitorsPage({ params }: PageProps) {
  const website = useWebsite(params.id);
  if (!website.data) return <PageState title="Visitors" of={website} />;
  return <Loaded website={website.data} />;
}

function Loaded({ website }: { website: Website }) {
  const home = `/websites/${website.id}/visitors`;
  const { view, show } = useView(home);
  const today = format.dayIn(new Date(), website.settings.time_zone);
  const analytics = useMemo(
    (): Analytics => ({
      base: `/api/websites/${website.id}`,
      home,
      domain: website.domain,
      zone: website.settings.time_zone,
      today,
      view,
      shared: false,
      show,
      filter: (filter) => show(addFilter(view, filter)),
      unfilter: (filter) => {
        show(removeFilter(view, filter));
        toast(`Filter “${filterLabel(filter)}” removed.`, () => show(view));
      },
    }),
    [website, home, today, view, show],
  );
  return (
    <AnalyticsContext.Provider value={analytics}>
      <Content website={website} />
    </AnalyticsContext.Provider>
  );
}

function Content({ website }: { website: Website }) {
  const { view, show, zone, today, base, home } = useAnalytics();
  const [editing, setEditing] = useState<Filter | "new">();
  const { compare: _, interval: _interval, ...asked } = view;
  const url = address(`${base}/visitors`, { raw: printQuestion(asked) });
  const data = useUrl<List>(url);
  const [more, setMore] = useState<{ url: string; visitors: readonly Visitor[]; next: string | null }>();
  const [loading, setLoading] = useState(false);
  const [failed, setFailed] = useState<ApiError>();
  useEffect(() => setFailed(undefined), [url]);
  const extra = more?.url === url ? more : undefined;
  const visitors = [...(data.data?.visitors ?? []), ...(extra?.visitors ?? [])];
  const next = extra ? extra.next : (data.data?.next_cursor ?? null);

  const loadMore = async () => {
    if (next === null) return;
    setLoading(true);
    setFailed(undefined);
    try {
      const page = (await askAt("get", address(`${base}/visitors`, { raw: printQuestion(asked), query: { cursor: next, limit: 200 } }))) as List;
      setMore({ url, visitors: [...(extra?.visitors ?? []), ...page.visitors], next: page.next_cursor });
    } catch (error) {
      setFailed(error as ApiError);
    } finally {
      setLoading(false);
    }
  };

  const columns: Column<Visitor>[] = [
    {
      id: "visitor",
      title: "Visitor",
      cell: (visitor) => (
        <span class="row">
          <CountryTag code={visitor.country} />
          <a class="cover mono" href={`${home}/${visitor.id}`}>
            {format.shortId(visitor.id)}
          </a>
        </span>
      ),
    },
    { id: "place", title: "Place", wide: "desk", class: "mid", cell: (visitor) => place(visitor) },
    { id: "page", title: "Began with", class: "clip pagecell", cell: (visitor) => <span title={visitor.entry_page}>{visitor.entry_page ? format.path(visitor.entry_page) : format.NOTHING}</span> },
    { id: "source", title: "Came from", wide: true, class: "mid", cell: (visitor) => visitor.referrer.replace(/^[a-z-]+:\/\/(www\.)?|\/$/g, "") || "Direct" },
    { id: "software", title: "Browser", wide: "desk", class: "mid", cell: (visitor) => [visitor.browser, visitor.os].filter(Boolean).join(", ") || "Unknown" },
    { id: "pageviews", title: "Pages", num: true, wide: true, cell: (visitor) => format.count(visitor.pageviews) },
    { id: "duration", title: "Duration", num: true, wide: true, cell: (visitor) => format.duration(visitor.duration) },
    {
      id: "seen",
      title: "Last visit",
      num: true,
      class: "mid",
      cell: (visitor) => <span title={format.dateTime(visitor.visited_at, zone)}>{format.ago(visitor.visited_at, Date.now(), zone)}</span>,
    },
  ];
  const last = view.filters.at(-1);
  const clear = () => {
    show({ ...view, filters: [] });
    toast(view.filters.length === 1 ? "Filter removed." : `${view.filters.length} filters removed.`, () => show(view));
  };
  useKeys({ f: () => setEditing("new"), Escape: view.filters.length > 0 ? clear : undefined });
  return (
    <Page
      title="Visitors"
      tab={website.domain}
      actions={
        <>
          <Button class="flt" icon="filter" aria-haspopup="dialog" title="Filter" onClick={() => setEditing("new")}>
            <span class="lab">Filter</span>
            <kbd class="wide-only">F</kbd>
          </Button>
          <RangeBar view={view} show={show} zone={zone} today={today} days={undefined} plain />
          <MoreMenu label="Visitors: export" items={files((format) => address(`${base}/visitors`, { raw: printQuestion(asked), query: { format } }))} small={false} kind="secondary" />
        </>
      }
    >
      <Chips onEdit={setEditing} onAdd={() => setEditing("new")} onClear={clear} />
      <section class="card" aria-label="Visitors" aria-busy={data.loading || data.stale}>
        <LongQuestion data={data} what="visitors" />
        {data.error ? (
          <div class="card-body">
            <PageRefused error={data.error} what="Visitors could not be listed." onRetry={data.reload} />
          </div>
        ) : data.data === undefined ? (
          <Waiting data={data}>
            <Skeleton lines={12} />
          </Waiting>
        ) : visitors.length === 0 ? (
          <Empty title="No visitor matches" level={2} icon="person" action={last && <Button onClick={() => show(removeFilter(view, last))}>Remove last filter</Button>}>
            {last ? passes(view.filters) : "Nobody came in this range."}
          </Empty>
        ) : (
          <div class={data.stale ? "stale" : undefined}>
            <WindowTable
              caption={`Visitors of ${website.domain}`}
              columns={columns}
              count={visitors.length}
              total={next === null ? visitors.length : undefined}
              rowAt={(index) => visitors[index]}
              rowKey={({ id }) => id}
            />
          </div>
        )}
        {visitors.length > 0 && (
          <div class="card-foot">
            <span>
              {format.plural(visitors.length, "visitor")}
              {next !== null && " and more"}
            </span>
            <span class="grow" />
            {failed && <span class="err">{failed.message}</span>}
            {next !== null && (
              <Button small pending={loading} onClick={() => void loadMore()}>
                Show more
              </Button>
            )}
          </div>
        )}
      </section>
      <footer class="foot">
        <span>
          Times in {format.zoneName(zone)}
        </span>
        <a href="https://db-ip.com" rel="noreferrer">
          IP Geolocation by DB-IP
        </a>
        <span class="printonly">{location.origin + home + printView(view)}</span>
      </footer>
      {editing && <FilterDialog edit={editing === "new" ? undefined : editing} onClose={() => setEditing(undefined)} />}
    </Page>
  );
}

const place = (visitor: Visitor): string => [visitor.city, visitor.country ? format.country(visitor.country) : undefined].filter(Boolean).join(", ") || "Unknown";
