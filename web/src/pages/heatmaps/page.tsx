// One page: what was done there, over the page as it was recorded, and the elements that were clicked.
import { useEffect, useMemo, useState } from "preact/hooks";
import { useUrl } from "../../api/data";
import * as format from "../../lib/format";
import { useKeys } from "../../lib/keys";
import { lazy } from "../../lib/lazy";
import { RecordedPage, type RecordedNode } from "../../lib/recorded";
import { atLeast } from "../../lib/session";
import { addFilter, printView, removeFilter, type Filter, type View } from "../../lib/view";
import { useFeatures } from "../../lib/websites";
import { websiteNav } from "../../shell/nav";
import { Page } from "../../shell/page";
import { Button, Empty, LinkButton, Skeleton } from "../../ui/basic";
import { Segmented } from "../../ui/form";
import { MoreMenu, toast } from "../../ui/overlay";
import { files, useAnalytics } from "../analytics/context";
import { Chips } from "../analytics/filters";
import { BarList, passes } from "../analytics/parts";
import { RangeBar } from "../analytics/range-bar";
import { PageRefused } from "../analytics/refused";
import { LongQuestion, Waiting } from "../parts/long-question";
import { useDropped, type HeatProps } from "./parts";
import { Layer, RecordedFrame, Scaled, seconds, type Drawn } from "./stage";
import { targetsOf, type Target } from "./targets";
import { DEVICES, DEVICE_LABELS, heatUrl, MAPS, MAP_LABELS, printHeat, type HeatView, type MapKind, type PageHeat, type Snapshot } from "./view";

const FilterDialog = lazy(() => import("../analytics/filter-dialog"));
const Elements = lazy(() => import("./elements"));

/** Elements that the list beside the map has room for. */
const ROWS = 9;
/** The most elements that are asked for. */
const MOST = 1000;
/** The size of a page of which nothing else is known. */
const PLAIN = [1280, 800] as const;
const NOBODY: readonly RecordedNode[] = [];

export function OnePage({ website, heat, dropped, show, page: path }: HeatProps & { page: string }) {
  const { base, home, zone, today } = useAnalytics();
  const { view, device, map } = heat;
  const replays = websiteNav(website.id, useFeatures(website.id)).find(({ href }) => href.endsWith("/replays"));
  const [editing, setEditing] = useState<Filter | "new">();
  const [numbers, setNumbers] = useState(true);
  const [chosen, setChosen] = useState<string>();
  const query = { page: path, device, limit: MOST };
  const data = useUrl<PageHeat>(heatUrl(base, "/page", view, query));
  const picture = usePicture(heatUrl(base, "/snapshot", view, { page: path, device }));
  useDropped(dropped);
  const { page } = picture;
  const elements = data.data?.elements;
  const targets = useMemo(() => (elements ? targetsOf(elements, page) : []), [elements, page]);
  const nodes = useMemo(() => (page ? targets.flatMap(({ node }) => (node ? [node] : [])) : NOBODY), [targets, page]);
  const [drawn, setDrawn] = useState<{ page: RecordedPage; drawn: Drawn }>();
  // That of another picture is of no use.
  const stands = drawn?.page === page ? drawn?.drawn : undefined;
  const isPlaced = (target: Target): boolean => page === undefined || stands === undefined || (target.node !== undefined && stands.boxes.has(target.node));
  const lost = targets.filter((target) => !isPlaced(target));
  const lostClicks = lost.reduce((all, { clicks }) => all + clicks, 0);

  const go = (next: View) => show({ ...heat, view: next });
  const clear = () => {
    go({ ...view, filters: [] });
    toast(view.filters.length === 1 ? "Filter removed." : `${view.filters.length} filters removed.`, () => show(heat));
  };
  useKeys({ f: () => setEditing("new"), Escape: chosen !== undefined ? () => setChosen(undefined) : view.filters.length > 0 ? clear : undefined });
  const choose = (target: Target) => {
    setChosen(chosen === target.key ? undefined : target.key);
    // Only there it has a place.
    if (map !== "clicks") show({ ...heat, map: "clicks" }, true);
  };
  const { show: dialog, ...plain } = view;
  const menu = files((kind) => heatUrl(base, "/page", view, { page: path, device, format: kind }));
  const isEmpty = data.data !== undefined && data.data.views === 0 && data.data.clicks === 0;
  return (
    <Page
      title={`Heatmap of ${format.path(path)}`}
      heading={
        <span class="mono" title={format.path(path)}>
          {format.shortPath(format.path(path), 48)}
        </span>
      }
      tab={website.domain}
      crumbs={[{ label: "Heatmaps", href: home + printHeat({ view: plain, device: "desktop", map: "clicks" }) }]}
      actions={
        <>
          <Segmented label="Device" value={device} options={DEVICES.map((value) => ({ value, label: DEVICE_LABELS[value] }))} onValue={(next) => show({ ...heat, device: next })} />
          <Button class="flt" icon="filter" aria-haspopup="dialog" title="Filter" onClick={() => setEditing("new")}>
            <span class="lab">Filter</span>
            <kbd class="wide-only">F</kbd>
          </Button>
          <RangeBar view={view} show={go} zone={zone} today={today} days={undefined} plain />
        </>
      }
    >
      <Chips onEdit={setEditing} onAdd={() => setEditing("new")} onClear={clear} />
      {data.error ? (
        <section class="card" aria-label="Map">
          <div class="card-body">
            <PageRefused error={data.error} what="The heatmap could not be counted." onRetry={data.reload} />
          </div>
        </section>
      ) : (
        <div class="grid side">
          <section class="card" aria-label="Map" aria-busy={data.loading || data.stale || picture.isAwaited}>
            <div class="card-head maphead">
              <Segmented label="Map" value={map} options={MAPS.map((value) => ({ value, label: MAP_LABELS[value] }))} onValue={(next) => show({ ...heat, map: next }, true)} />
              <span class="grow" />
              {data.data && !isEmpty && <Legend map={map} heat={data.data} targets={targets} />}
              {map !== "moves" && (
                <label class="row nowrap">
                  <input class="toggle" type="checkbox" role="switch" checked={numbers} onChange={(event) => setNumbers(event.currentTarget.checked)} />
                  <span>Numbers</span>
                </label>
              )}
            </div>
            <LongQuestion data={data} what="clicks" />
            {data.data === undefined || picture.isAwaited ? (
              <Waiting data={data}>
                <div class="stagewrap">
                  <Skeleton lines={1} height="28rem" />
                </div>
              </Waiting>
            ) : isEmpty ? (
              <NothingHere heat={heat} data={data.data} show={show} />
            ) : (
              <Stage
                heat={data.data}
                path={path}
                map={map}
                picture={picture}
                targets={targets}
                nodes={nodes}
                drawn={stands}
                onDrawn={(next) => page && setDrawn({ page, drawn: next })}
                numbers={numbers}
                chosen={targets.find(({ key }) => key === chosen)}
                isStale={data.stale}
              />
            )}
            {data.data && !isEmpty && !picture.isAwaited && (
              <div class="card-foot wrap">
                <span>{picture.words(data.data, zone)}</span>
                {!page && atLeast(website.role, "editor") && replays && <a href={`/websites/${website.id}/settings/features`}>Record pages</a>}
                <span class="grow" />
                {lostClicks > 0 && (
                  <span class="row wrap">
                    {format.plural(lostClicks, "click")} on elements that this version does not show
                    <Button small kind="quiet" onClick={() => go({ ...view, show: "lost" })}>
                      Show them
                    </Button>
                  </span>
                )}
                {data.data.other_clicks > 0 && <span>{format.plural(data.data.other_clicks, "click")} on elements that are not told apart</span>}
              </div>
            )}
          </section>
          <aside class="stack stack-16" aria-label="Numbers and elements">
            <Numbers heat={data.data} isStale={data.stale} />
            <section class="card panel" aria-label="Elements" aria-busy={data.loading || data.stale}>
              <div class="panel-head">
                <h2>Elements</h2>
                <span class="grow" />
                <MoreMenu label="Elements: export and more" items={[...menu, "line", { label: "Show all", icon: "table", onSelect: () => go({ ...view, show: "elements" }) }]} />
              </div>
              <div class="panel-main">
                {data.data === undefined ? (
                  <div class={`barspace rows-${ROWS}`}><Skeleton lines={ROWS} shape="bars" /></div>
                ) : targets.length === 0 ? (
                  <Empty title="No clicks">{view.filters.length > 0 ? passes(view.filters) : "Nobody clicked anything on this page in this range."}</Empty>
                ) : (
                  <div class={data.stale ? "stale" : undefined}>
                    <BarList
                      label={`Elements of ${path} that were clicked`}
                      head={[{ title: "Element" }, { title: "Clicks", class: "w" }, { title: "Share", class: "w2" }]}
                      space={ROWS}
                      rows={targets.slice(0, ROWS).map((target) => ({
                        key: target.key,
                        name: target.name,
                        title: target.path,
                        grey: !isPlaced(target),
                        part: target.clicks / Math.max(1, targets[0]!.clicks),
                        cells: [{ content: format.count(target.clicks) }, { content: format.percent(target.clicks / Math.max(1, data.data!.clicks)), soft: true }],
                        onPick: () => choose(target),
                      }))}
                    />
                  </div>
                )}
              </div>
              <div class="panel-foot">
                <span>{data.data && targets.length > 0 && format.plural(data.data.elements_total, "element")}</span>
                <Button small kind="quiet" onClick={() => go({ ...view, show: "elements" })}>
                  Show all<span class="vh"> elements</span>
                </Button>
              </div>
            </section>
            {replays && (
              <LinkButton block icon="play" href={`${replays.href}${printView(addFilter({ ...plain, filters: [] }, { dimension: "page", operator: "is", values: [path] }))}`}>
                Replays of this page
              </LinkButton>
            )}
          </aside>
        </div>
      )}
      <footer class="foot">
        <span>
          Times in {format.zoneName(zone)}{data.at > 0 && ` · updated ${format.time(new Date(data.at), zone, true)}`}
        </span>
        <span>Rage: three clicks within a second. Dead: a click that nothing followed.</span>
        <span class="printonly">{location.origin + home + printHeat(heat)}</span>
      </footer>
      {editing && <FilterDialog edit={editing === "new" ? undefined : editing} onClose={() => setEditing(undefined)} />}
      {(dialog === "elements" || dialog === "lost") && data.data && !data.error && (
        <Elements
          path={path}
          targets={dialog === "lost" ? lost : targets}
          isLost={dialog === "lost"}
          isPlaced={isPlaced}
          clicks={data.data.clicks}
          total={data.data.elements_total}
          files={menu}
          onChoose={(target) => {
            go(plain);
            setChosen(target.key);
          }}
          onClose={() => go(plain)}
        />
      )}
    </Page>
  );
}

interface Picture {
  /** The page as it was recorded; without it there is a plain one. */
  readonly page: RecordedPage | undefined;
  readonly viewport: { readonly width: number; readonly height: number };
  readonly isAwaited: boolean;
  /** What it is, and from when. */
  words(heat: PageHeat, zone: string): string;
  /** The frame did not come: a plain page does. */
  fail(): void;
}

/** The recorded page, where there is one. */
function usePicture(url: string): Picture {
  const { data, error, stale } = useUrl<{ readonly snapshot: Snapshot | null }>(url);
  const [failed, setFailed] = useState<string>();
  useEffect(() => setFailed(undefined), [url]);
  const snapshot = (error || stale || failed !== undefined ? undefined : data?.snapshot) ?? undefined;
  const page = useMemo(() => snapshot && new RecordedPage(snapshot.node), [snapshot]);
  const [width = PLAIN[0], height = PLAIN[1]] = snapshot?.viewport ?? [];
  return {
    page,
    viewport: { width, height },
    isAwaited: stale || (data === undefined && error === undefined),
    words({ versions }, zone) {
      if (failed !== undefined || error) return "The recorded page could not be loaded. Clicks stand where they were made.";
      if (!page || !snapshot) return "This page was not recorded. Clicks stand where they were made.";
      const at = versions.findIndex(({ dom }) => dom === page.structure);
      // The newest is the first, and there may be more than are told.
      const version = at < 0 || versions.length < 2 || versions.length >= 20 ? "" : `, version ${versions.length - at} of ${versions.length}`;
      return `Page as recorded on ${format.dateTime(snapshot.recorded_at, zone)}${version}`;
    },
    fail: () => setFailed(url),
  };
}

function Stage({ heat, path, map, picture, targets, nodes, drawn, onDrawn, numbers, chosen, isStale }: {
  heat: PageHeat;
  path: string;
  map: MapKind;
  picture: Picture;
  targets: readonly Target[];
  nodes: readonly RecordedNode[];
  drawn: Drawn | undefined;
  onDrawn(drawn: Drawn): void;
  numbers: boolean;
  chosen: Target | undefined;
  isStale: boolean;
}) {
  const { page, viewport } = picture;
  const [plainWidth = PLAIN[0], plainHeight = PLAIN[1]] = heat.page_size ?? heat.viewport ?? PLAIN;
  const plain = useMemo((): Drawn => ({ width: Math.max(1, plainWidth), height: Math.min(30_000, Math.max(1, plainHeight)), isDark: false, boxes: new Map() }), [plainWidth, plainHeight]);
  const shown = page ? (drawn ?? { ...plain, width: viewport.width, height: viewport.height }) : plain;
  const label = `${MAP_LABELS[map]} on ${page ? "the recorded page" : "the page"} ${path}: ${format.plural(heat.clicks, "click")}, ${format.plural(heat.views, "view")}`;
  return (
    <div class={isStale ? "stagewrap stale" : "stagewrap"}>
      <Scaled width={shown.width} height={shown.height} label={label}>
        {(scale) => (
          <>
            {page ? (
              <div class="recscale" style={{ transform: `scale(${scale})`, width: `${shown.width}px`, height: `${shown.height}px` }}>
                <RecordedFrame key={page.key} page={page} nodes={nodes} viewport={viewport} path={path} onDrawn={onDrawn} onFailed={picture.fail} />
              </div>
            ) : (
              <Plain fold={heat.fold} />
            )}
            {(!page || drawn) && <Layer map={map} heat={heat} drawn={shown} targets={targets} recorded={page !== undefined} scale={scale} numbers={numbers} chosen={chosen} />}
          </>
        )}
      </Scaled>
    </div>
  );
}

/** A page without a picture: a sheet with the end of the first window on it. */
const Plain = ({ fold }: { fold: number | null }) => (
  <div class="plainpage" aria-hidden="true">
    {fold !== null && fold < 1 && <i style={{ top: `${(fold * 100).toFixed(2)}%` }} />}
  </div>
);

function Legend({ map, heat, targets }: { map: MapKind; heat: PageHeat; targets: readonly Target[] }) {
  if (map === "scroll") return <span class="hint wide-only">Darker: seen by fewer</span>;
  if (map === "attention") return <span class="hint wide-only">Darker: looked at longer, up to {seconds(Math.max(0, ...heat.attention) / Math.max(1, heat.views))} a view</span>;
  if (map === "moves") return <span class="hint wide-only">Where the pointer was, in one view of ten</span>;
  const most = targets[0]?.clicks ?? 0;
  if (most === 0) return null;
  return (
    <span class="scale wide-only">
      1<i />
      <i />
      <i />
      <i />
      {format.plural(most, "click")}
    </span>
  );
}

function Numbers({ heat, isStale }: { heat: PageHeat | undefined; isStale: boolean }) {
  const share = (value: number | null) => (value === null ? format.NOTHING : format.wholePercent(value));
  const all: readonly (readonly [string, string, string])[] = [
    ["Clicks", heat ? format.count(heat.clicks) : format.NOTHING, "Clicks of all visitors on this page"],
    ["Visitors", heat ? format.count(heat.visitors) : format.NOTHING, "Distinct people who were recorded on this page"],
    ["Rage clicks", heat ? format.count(heat.rage_clicks) : format.NOTHING, "Three clicks or more at one place within a second"],
    ["Dead clicks", heat ? format.count(heat.dead_clicks) : format.NOTHING, "Clicks on something active that nothing followed"],
    ["Views", heat ? format.count(heat.views) : format.NOTHING, "Views of this page that were recorded"],
    ["Median depth", heat ? share(heat.median_depth) : format.NOTHING, "Half of the views saw this much of the page or more"],
  ];
  return (
    <section class="card" aria-label="Numbers">
      <dl class={isStale ? "stats two stale" : "stats two"}>
        {all.map(([name, value, meaning]) => (
          <div key={name} title={meaning}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

/** Why there is no map, and what shows one. */
function NothingHere({ heat, data, show }: { heat: HeatView; data: PageHeat; show: HeatProps["show"] }) {
  const { view, device } = heat;
  const others = DEVICES.filter((one) => one !== device && data.devices[one] > 0);
  const last = view.filters.at(-1);
  const title = `Nobody was recorded here on ${device === "phone" ? "a phone" : `a ${device}`}`;
  if (others.length > 0) {
    return (
      <Empty
        level={2}
        icon="pointer"
        title={title}
        action={
          <div class="row wrap">
            {others.map((one) => (
              <Button key={one} onClick={() => show({ ...heat, device: one })}>
                {DEVICE_LABELS[one]}: {format.plural(data.devices[one], "view")}
              </Button>
            ))}
          </div>
        }
      >
        Devices are told apart by the width of the window.
      </Empty>
    );
  }
  if (last) {
    return (
      <Empty level={2} icon="pointer" title="No view matches" action={<Button onClick={() => show({ ...heat, view: removeFilter(view, last) })}>Remove last filter</Button>}>
        {passes(view.filters)}
      </Empty>
    );
  }
  return (
    <Empty level={2} icon="pointer" title="Nothing was recorded here in this range" action={<Button onClick={() => show({ ...heat, view: { ...view, range: { name: "all" } } })}>Show all time</Button>}>
      Pages report clicks about every ten seconds.
    </Empty>
  );
}

