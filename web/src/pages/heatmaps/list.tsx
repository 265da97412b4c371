// The pages that were clicked, the most clicked first.
import { useEffect, useRef, useState } from "preact/hooks";
import { useUrl } from "../../api/data";
import * as format from "../../lib/format";
import { useKeys } from "../../lib/keys";
import { lazy } from "../../lib/lazy";
import { removeFilter, type Filter } from "../../lib/view";
import type { Website } from "../../lib/websites";
import { Page } from "../../shell/page";
import { Button, Empty, Note, Skeleton } from "../../ui/basic";
import type { Column } from "../../ui/data";
import { Icon } from "../../ui/icons";
import { toast } from "../../ui/overlay";
import { WindowTable } from "../../ui/window";
import { useAnalytics } from "../analytics/context";
import { Chips } from "../analytics/filters";
import { passes } from "../analytics/parts";
import { RangeBar } from "../analytics/range-bar";
import { PageRefused } from "../analytics/refused";
import { LongQuestion, Waiting } from "../parts/long-question";
import { SwitchedOff } from "../parts/switched-off";
import { useDropped, WHAT_IS_RECORDED, type HeatProps } from "./parts";
import { DEVICES, DEVICE_LABELS, heatUrl, printHeat, type Device, type ListedPage, type PageList } from "./view";

const FilterDialog = lazy(() => import("../analytics/filter-dialog"));

/** The most pages that are listed; others are found by their name. */
const MOST = 1000;

/** The device with the most views of a page. */
const deviceOf = ({ devices }: ListedPage): Device => DEVICES.reduce((most, one) => (devices[one] > devices[most] ? one : most));

export function ListPage({ website, heat, dropped, show }: HeatProps) {
  const { base, home, zone, today } = useAnalytics();
  const { view, find } = heat;
  const [editing, setEditing] = useState<Filter | "new">();
  const [typed, setTyped] = useState(find ?? "");
  const input = useRef<HTMLInputElement>(null);
  const data = useUrl<PageList>(heatUrl(base, "", view, { limit: MOST, ...(find && { q: find }) }));
  useDropped(dropped);
  const latest = useRef(heat);
  latest.current = heat;
  useEffect(() => {
    const timer = setTimeout(() => {
      const { find: before, ...rest } = latest.current;
      if (typed.trim() !== (before ?? "")) show(typed.trim() ? { ...rest, find: typed.trim() } : rest, true);
    }, 200);
    return () => clearTimeout(timer);
  }, [typed]);
  const clear = () => {
    show({ ...heat, view: { ...view, filters: [] } });
    toast(view.filters.length === 1 ? "Filter removed." : `${view.filters.length} filters removed.`, () => show(heat));
  };
  useKeys({ f: () => setEditing("new"), "/": () => input.current?.focus(), Escape: view.filters.length > 0 ? clear : undefined });

  const columns: Column<ListedPage>[] = [
    {
      id: "page",
      title: "Page",
      class: "clip pagecell",
      cell: (row) =>
        row.path === "(other)" ? (
          <span class="dim" title="Pages beyond the 5,000 that are told apart">
            Other pages
          </span>
        ) : (
          <a class="cover" href={home + printHeat({ view, page: row.path, device: deviceOf(row), map: "clicks" })} title={format.path(row.path)}>
            {format.shortPath(format.path(row.path), 60)}
          </a>
        ),
    },
    { id: "clicks", title: "Clicks", num: true, cell: (row) => format.count(row.clicks) },
    { id: "rage", title: "Rage", num: true, wide: true, cell: (row) => <Told count={row.rage_clicks} /> },
    { id: "dead", title: "Dead", num: true, wide: true, cell: (row) => <Told count={row.dead_clicks} /> },
    { id: "views", title: "Views", num: true, cell: (row) => format.count(row.views) },
    { id: "depth", title: "Depth", num: true, wide: true, cell: (row) => (row.average_depth === null ? format.NOTHING : format.wholePercent(row.average_depth)) },
    {
      id: "devices",
      title: "Devices",
      wide: "desk",
      class: "mid",
      cell: (row) => DEVICES.filter((one) => row.devices[one] > 0).map((one) => `${DEVICE_LABELS[one]} ${format.compact(row.devices[one])}`).join(" · ") || format.NOTHING,
    },
    { id: "last", title: "Last", num: true, class: "mid", wide: true, cell: (row) => <span title={format.dateTime(row.last_at, zone)}>{format.ago(row.last_at, Date.now(), zone)}</span> },
  ];
  const last = view.filters.at(-1);
  const pages = data.data?.pages ?? [];
  const isOff = data.data !== undefined && !data.data.enabled;
  const hasNone = data.data !== undefined && pages.length === 0;
  return (
    <Page
      title="Heatmaps"
      tab={website.domain}
      actions={
        <>
          <Button class="flt" icon="filter" aria-haspopup="dialog" title="Filter" onClick={() => setEditing("new")}>
            <span class="lab">Filter</span>
            <kbd class="wide-only">F</kbd>
          </Button>
          <RangeBar view={view} show={(next) => show({ ...heat, view: next })} zone={zone} today={today} days={undefined} plain />
        </>
      }
    >
      <Chips onEdit={setEditing} onAdd={() => setEditing("new")} onClear={clear} />
      {isOff && hasNone && view.filters.length === 0 && !find ? (
        <SwitchedOff website={website} what="Heatmaps" icon="pointer" setting="heatmaps">
          {WHAT_IS_RECORDED}
        </SwitchedOff>
      ) : (
        <section class="card" aria-label="Pages" aria-busy={data.loading || data.stale}>
          {isOff && (
            <div class="card-body">
              <Note tone="warn">
                Heatmaps are off: nothing new is recorded. <a href={`/websites/${website.id}/settings/features`}>Settings</a>
              </Note>
            </div>
          )}
          <div class="card-head">
            <span class="search grow">
              <Icon name="search" />
              <input
                ref={input}
                class="input"
                type="search"
                aria-label="Find a page"
                placeholder="Find a page"
                autocomplete="off"
                value={typed}
                onInput={(event) => setTyped(event.currentTarget.value)}
              />
              <kbd class="wide-only">/</kbd>
            </span>
            <span class="hint wide-only">Rage: three clicks within a second. Dead: nothing happened.</span>
          </div>
          <LongQuestion data={data} what="pages" />
          {data.error ? (
            <div class="card-body">
              <PageRefused error={data.error} what="Pages could not be listed." onRetry={data.reload} />
            </div>
          ) : data.data === undefined ? (
            <Waiting data={data}>
              <Skeleton lines={10} />
            </Waiting>
          ) : hasNone ? (
            <NoPages website={website} find={find} last={last} filters={view.filters} onRemove={() => last && show({ ...heat, view: removeFilter(view, last) })} onAll={() => show({ ...heat, view: { ...view, range: { name: "all" } } })} />
          ) : (
            <div class={data.stale ? "stale" : undefined}>
              <WindowTable
                caption={`Pages of ${website.domain} that were clicked`}
                columns={columns}
                count={pages.length}
                total={pages.length}
                rowAt={(index) => pages[index]}
                rowKey={({ path }) => path}
              />
            </div>
          )}
          {pages.length > 0 && (
            <div class="card-foot">
              <span>
                {data.data && data.data.pages_total > pages.length
                  ? `${format.count(pages.length)} of ${format.plural(data.data.pages_total, "page")}. Find the others by their name.`
                  : format.plural(pages.length, "page")}
              </span>
            </div>
          )}
        </section>
      )}
      <footer class="foot">
        <span>
          Times in {format.zoneName(zone)}
        </span>
        <span class="printonly">{location.origin + home + printHeat(heat)}</span>
      </footer>
      {editing && <FilterDialog edit={editing === "new" ? undefined : editing} onClose={() => setEditing(undefined)} />}
    </Page>
  );
}

/** A count that is of interest where it is not none. */
const Told = ({ count }: { count: number }) => (count === 0 ? <span class="dim">0</span> : <>{format.count(count)}</>);

/** Why no page is listed, and what shows some. */
function NoPages({ website, find, last, filters, onRemove, onAll }: { website: Website; find: string | undefined; last: Filter | undefined; filters: readonly Filter[]; onRemove(): void; onAll(): void }) {
  if (find) {
    return (
      <Empty title={`No page has “${find}” in it`} level={2} icon="search">
        Only pages that were recorded in this range are listed.
      </Empty>
    );
  }
  if (last) {
    return (
      <Empty title="No page matches" level={2} icon="pointer" action={<Button onClick={onRemove}>Remove last filter</Button>}>
        {passes(filters)}
      </Empty>
    );
  }
  return (
    <Empty title="Nothing was recorded in this range" level={2} icon="pointer" action={<Button onClick={onAll}>Show all time</Button>}>
      Pages of {website.domain} report clicks about every ten seconds, once they know that heatmaps are on: five minutes after the switch at the latest.
    </Empty>
  );
}
