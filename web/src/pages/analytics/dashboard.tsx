// The numbers of a website: tiles, chart, panels. The same for its people and for those who have a link to it.
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import "../../styles/analytics.css";
import * as format from "../../lib/format";
import { lazy } from "../../lib/lazy";
import { useKeys } from "../../lib/keys";
import { daysOf, rangeLabel, compareLabel } from "../../lib/range";
import { usePlace } from "../../lib/router";
import { addFilter, printView, removeFilter, type Filter } from "../../lib/view";
import { useLive } from "../../api/live";
import { pageCommands } from "../../shell/commands";
import { Button, Empty, Failure } from "../../ui/basic";
import { copy } from "../../ui/data";
import { MoreMenu, toast, type MenuItem } from "../../ui/overlay";
import { AnalyticsContext, askFirst, files, numbersUrl, useAnalytics, useNumbers, useView, type Analytics } from "./context";
import { filterLabel, PANELS, TILES, type PanelMeaning } from "./dimensions";
import { Chips } from "./filters";
import { GoalsPanel } from "./goals-panel";
import { Latest } from "./latest";
import { Panel } from "./panel";
import { passes } from "./parts";
import { neverHolds, PageRefused } from "./refused";
import { LongQuestion, Waiting } from "../parts/long-question";
import { RangeBar } from "./range-bar";
import { ChartCard, Tiles } from "./tiles";

const FilterDialog = lazy(() => import("./filter-dialog"));
const FullTable = lazy(() => import("./full"));

export interface DashboardProps {
  base: string;
  home: string;
  domain: string;
  zone: string;
  shared?: boolean;
  /** When the website had its last event. */
  lastEvent: string | null | undefined;
  /** More for the menu of the page. */
  menu?: readonly MenuItem[];
  /** Around the content: the frame of the page. */
  frame(parts: { beside: ComponentChildren; actions: ComponentChildren; children: ComponentChildren }): ComponentChildren;
}

export function Dashboard(props: DashboardProps) {
  const { base, home, domain, zone, shared = false } = props;
  const { view, show } = useView(home);
  const today = format.dayIn(new Date(), zone);
  useMemo(() => askFirst(base, view), [base, view]);
  const analytics = useMemo(
    (): Analytics => ({
      base,
      home,
      domain,
      zone,
      today,
      view,
      shared,
      show,
      filter: (filter) => show(addFilter(view, filter)),
      unfilter: (filter) => {
        show(removeFilter(view, filter));
        toast(`Filter “${filterLabel(filter)}” removed.`, () => show(view));
      },
    }),
    [base, home, domain, zone, today, view, shared, show],
  );
  return (
    <AnalyticsContext.Provider value={analytics}>
      <Content {...props} analytics={analytics} />
    </AnalyticsContext.Provider>
  );
}

function Content({ base, home, zone, shared, lastEvent, menu = [], frame, analytics }: DashboardProps & { analytics: Analytics }) {
  const { view, show, today } = analytics;
  const { search } = usePlace();
  const { dropped } = useView(home);
  const [editing, setEditing] = useState<Filter | "new">();
  const [asTable, setAsTable] = useState(false);
  const told = useRef<string | undefined>(undefined);
  const totals = useNumbers("totals", {});
  const live = useLive(base);

  const clear = () => {
    if (view.filters.length === 0) return;
    show({ ...view, filters: [] });
    toast(view.filters.length === 1 ? "Filter removed." : `${view.filters.length} filters removed.`, () => show(view));
  };
  useKeys({
    f: () => setEditing("new"),
    b: () => setAsTable((on) => !on),
    Escape: view.filters.length > 0 ? clear : undefined,
    "Shift+L": () => void copyLink(false),
    ...Object.fromEntries(TILES.map((metric, index) => [String(index + 1), () => show({ ...view, metric }, true)])),
  });
  useEffect(() => {
    if (dropped === 0 || told.current === search) return;
    told.current = search;
    toast(dropped === 1 ? "One part of this link is not understood." : `${dropped} parts of this link are not understood.`);
  }, [dropped, search]);
  // What the palette offers here.
  useEffect(() => {
    pageCommands.set((typed) => [
      { group: "Filters", label: `Page contains “${typed}”`, run: () => show(addFilter(view, { dimension: "page", operator: "contains", values: [typed] })) },
      { group: "Filters", label: `Source contains “${typed}”`, run: () => show(addFilter(view, { dimension: "source", operator: "contains", values: [typed] })) },
    ]);
    return () => pageCommands.set(undefined);
  }, [view, show]);

  const range = totals.data?.range;
  const days = range && { from: format.dayIn(new Date(range.from), zone), to: format.dayIn(new Date(range.to), zone) };
  async function copyLink(asOfNow: boolean) {
    const { range: _, ...rest } = view;
    const link = location.origin + home + printView(asOfNow && days ? { ...rest, range: days } : view);
    if (await copy(link)) toast(asOfNow ? "Link copied. It shows these days, also later." : "Link copied.");
  }
  const file = (what: "totals" | "series", kind: string) => numbersUrl(base, what, view, { ...(what === "series" && { metric: view.metric }), format: kind });
  const items: MenuItem[] = [
    ...files((kind) => file("totals", kind), "Numbers"),
    "line",
    ...files((kind) => file("series", kind), "Chart"),
    "line",
    { label: "Copy link", icon: "link", keys: "Shift L", onSelect: () => void copyLink(false) },
    { label: "Copy link as of now", icon: "link", onSelect: () => void copyLink(true) },
    { label: "Print", icon: "page", onSelect: () => setTimeout(() => print()) },
    ...menu,
  ];

  const nothing = totals.data !== undefined && !totals.stale && totals.data.now.visitors === 0 && totals.data.now.events === 0;
  const open = view.show as PanelMeaning["id"] | undefined;
  const content = (
    <>
      <p class="printhead">
        {rangeLabel(view.range, today)}
        {days && `: ${format.range(days.from, days.to)}`}
        {view.compare && `, compared with the ${compareLabel(view.compare, today)}`}
        {view.filters.length > 0 && `. Only visits with ${view.filters.map(filterLabel).join(" and ")}`}. Days in {zone}.
      </p>
      <Chips onEdit={setEditing} onAdd={() => setEditing("new")} onClear={clear} />
      {neverHolds(totals.error) ? (
        <section class="card" aria-label="Overview">
          <div class="nothing">
            <PageRefused error={totals.error} what="The numbers could not be counted." onRetry={totals.reload} />
          </div>
        </section>
      ) : (
        <>
          <section class="card" aria-label="Overview">
            {totals.error ? (
              <div class="tiles failed">
                <Failure error={totals.error} what="The totals could not be counted." onRetry={totals.reload} />
              </div>
            ) : (
              <Tiles data={totals} />
            )}
            <LongQuestion data={totals} what="the numbers" />
            {totals.stopped && <Waiting data={totals}>{null}</Waiting>}
            {nothing ? <div class="nothing"><NothingHere days={days ?? daysOf(view.range, today)} lastEvent={lastEvent} /></div> : <ChartCard totals={totals} asTable={asTable} onTable={() => setAsTable(!asTable)} />}
          </section>
          <div class="grid panels">
            <Panel id="pages" />
            <Panel id="sources" />
            <Panel id="tech" />
            <Panel id="places" />
            <Panel id="events" />
            <GoalsPanel />
            <Latest />
          </div>
        </>
      )}
      <footer class="foot">
        <span>
          Days in {format.zoneName(zone)}{totals.at > 0 && ` · updated ${format.time(new Date(totals.at), zone, true)}`}
        </span>
        <span>
          Visitors are distinct people in the whole range; <a href="/docs/api#numbers">how numbers are counted</a>
        </span>
        {!shared && (
          <span class="wide-only">
            <kbd>?</kbd> shortcuts
          </span>
        )}
        <span class="printonly">
          {location.origin + home + printView(view)} · printed {format.dateTime(new Date(), zone)}
        </span>
      </footer>
      {editing && <FilterDialog edit={editing === "new" ? undefined : editing} onClose={() => setEditing(undefined)} />}
      {open && open in PANELS && <FullTable panel={open} />}
    </>
  );
  return (
    <>
      {frame({
        beside: (
          <a class="live" href={shared ? undefined : `${home}/live`}>
            <span class={live.connected ? "dot pulse" : "dot off"} />
            <span>
              <b>{live.count === undefined ? "–" : format.count(live.count)}</b> online
            </span>
          </a>
        ),
        actions: (
          <>
            <Button class="flt" icon="filter" aria-haspopup="dialog" title="Filter" onClick={() => setEditing("new")}>
              <span class="lab">Filter</span>
              <kbd class="wide-only">F</kbd>
            </Button>
            <RangeBar view={view} show={show} zone={zone} today={today} days={days} />
            <MoreMenu label="Export, share and more" items={items} small={false} kind="secondary" />
          </>
        ),
        children: content,
      })}
    </>
  );
}

/** Why there are no numbers at all, and what shows some. */
function NothingHere({ days, lastEvent }: { days: { from: string; to: string }; lastEvent: string | null | undefined }) {
  const { view, show, zone, today } = useAnalytics();
  const last = view.filters.at(-1);
  if (last) {
    return (
      <Empty title="No visits match" level={2} action={<Button onClick={() => show(removeFilter(view, last))}>Remove last filter</Button>}>
        {passes(view.filters)}
      </Empty>
    );
  }
  const year = today.slice(0, 4);
  const when = days.from === days.to ? `on ${format.day(days.from, year)}` : `between ${format.day(days.from, year)} and ${format.day(days.to, year)}`;
  const { range: _, ...rest } = view;
  return (
    <Empty
      title="Nothing in this range"
      level={2}
      icon="calendar"
      action={<Button onClick={() => show({ ...rest, range: { name: "90d" } })}>Show last 90 days</Button>}
    >
      No visits {when}.{lastEvent && ` The last one was on ${format.day(format.dayIn(new Date(lastEvent), zone), year)}.`}
    </Empty>
  );
}
