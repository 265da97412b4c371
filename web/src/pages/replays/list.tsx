// `/websites/:id/replays`: recorded visits, the last first.
import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import { askAt, remove, type ApiError } from "../../api/client";
import { refresh, useUrl } from "../../api/data";
import * as format from "../../lib/format";
import { useKeys } from "../../lib/keys";
import { lazy } from "../../lib/lazy";
import { go } from "../../lib/router";
import { atLeast } from "../../lib/session";
import { addFilter, removeFilter, type Filter } from "../../lib/view";
import type { PageProps } from "../../routes";
import { Page } from "../../shell/page";
import { Badge, Button, CountryTag, Empty, explain, Skeleton } from "../../ui/basic";
import type { Column } from "../../ui/data";
import { Select } from "../../ui/form";
import { Confirm, MoreMenu, toast } from "../../ui/overlay";
import { WindowTable } from "../../ui/window";
import { useAnalytics } from "../analytics/context";
import { Chips } from "../analytics/filters";
import { RangeBar } from "../analytics/range-bar";
import { PageRefused } from "../analytics/refused";
import { CapturedPage, capturedUrl, clearFilters, FilterButton, OffNote, type Captured } from "../parts/captured";
import { LongQuestion, Waiting } from "../parts/long-question";
import { SwitchedOff } from "../parts/switched-off";
import type { Replay, Replays } from "./data";

const FilterDialog = lazy(() => import("../analytics/filter-dialog"));

type Own = "visitor" | "error" | "session" | "min" | "page";

/** Rows that are asked for at a time. */
const PAGE = 100;
const LENGTHS = [
  { value: "", label: "Any length" },
  { value: "10", label: "10 s and longer" },
  { value: "60", label: "1 m and longer" },
  { value: "300", label: "5 m and longer" },
] as const;

export default function ReplaysPage({ params }: PageProps) {
  return (
    <CapturedPage<Own> params={params} title="Replays" icon="play" path="replays" names={["visitor", "error", "session", "min", "page"]} feature="replays">
      {(captured) => <Content {...captured} />}
    </CapturedPage>
  );
}

function Content(captured: Captured<Own>) {
  const { website, home, parts, at, note } = captured;
  const { view, show, zone, today, base } = useAnalytics();
  const [editing, setEditing] = useState<Filter | "new">();
  const [clearing, setClearing] = useState(false);
  const length = LENGTHS.find(({ value }) => value === parts.min) ?? LENGTHS[0];
  // A link from a heatmap names its page.
  useLayoutEffect(() => {
    const { page, ...rest } = parts;
    if (page === undefined) return;
    const filtered = addFilter(view, { dimension: "page", operator: "is", values: [page] });
    go(at({ ...rest, page: undefined }, filtered), { replace: true });
  }, [parts.page]);
  const url = capturedUrl(base, "replays", view, {
    limit: PAGE,
    ...(parts.visitor && { visitor: parts.visitor }),
    ...(parts.session && { session: parts.session }),
    ...(parts.error && { error: parts.error }),
    ...(length.value && { min_seconds: length.value }),
  });
  const data = useUrl<Replays>(parts.page === undefined ? url : undefined);
  const [more, setMore] = useState<{ url: string; replays: readonly Replay[] }>();
  const [loading, setLoading] = useState(false);
  const [failed, setFailed] = useState<ApiError>();
  useEffect(() => {
    setFailed(undefined);
    setMore(undefined);
  }, [data.data]);
  const extra = more?.url === url ? more.replays : [];
  const replays = [...(data.data?.replays ?? []), ...extra];
  const total = data.data?.total ?? 0;
  const narrowed = Object.values(parts).some(Boolean) || view.filters.length > 0;
  const isOn = data.data?.enabled ?? website.settings.session_replay;

  const loadMore = async () => {
    setLoading(true);
    setFailed(undefined);
    try {
      const page = (await askAt("get", `${url}&offset=${replays.length}`)) as Replays;
      setMore({ url, replays: [...extra, ...page.replays] });
    } catch (error) {
      setFailed(error as ApiError);
    } finally {
      setLoading(false);
    }
  };
  useKeys({ f: () => setEditing("new"), Escape: view.filters.length > 0 ? () => clearFilters(view, show) : undefined });
  const range = data.data?.range;
  const columns: Column<Replay>[] = [
    {
      id: "visitor",
      title: "Visitor",
      cell: (replay) => (
        <span class="row">
          <CountryTag code={replay.country} />
          <a class="cover mono" href={`${home}/${replay.id}`} aria-label={`Replay of visitor ${format.shortId(replay.visitor)}, ${format.dateTime(replay.started_at, zone)}`}>
            {format.shortId(replay.visitor)}
          </a>
        </span>
      ),
    },
    { id: "page", title: "Began with", class: "clip pagecell", cell: (replay) => <span title={replay.entry_page}>{replay.entry_page ? format.path(replay.entry_page) : format.NOTHING}</span> },
    {
      id: "duration",
      title: "Length",
      num: true,
      cell: (replay) => <span title={`${format.duration(replay.active)} without what is idle`}>{format.duration(replay.duration)}</span>,
    },
    { id: "pages", title: "Pages", num: true, wide: true, cell: (replay) => format.count(replay.pages) },
    { id: "clicks", title: "Clicks", num: true, wide: true, cell: (replay) => format.count(replay.clicks) },
    {
      id: "errors",
      title: "Errors",
      num: true,
      wide: true,
      cell: (replay) =>
        replay.errors > 0 ? (
          <Badge tone="bad" icon="warning">
            {format.count(replay.errors)}
          </Badge>
        ) : (
          <span class="dim">0</span>
        ),
    },
    { id: "software", title: "Browser", wide: "desk", class: "mid", cell: (replay) => [replay.browser, replay.os].filter(Boolean).join(", ") || "Unknown" },
    { id: "began", title: "Began", num: true, class: "mid", cell: (replay) => <span title={format.dateTime(replay.started_at, zone)}>{format.ago(replay.started_at, Date.now(), zone)}</span> },
  ];
  return (
    <Page
      title="Replays"
      tab={website.domain}
      actions={
        <>
          <FilterButton onClick={() => setEditing("new")} />
          <RangeBar view={view} show={show} zone={zone} today={today} days={range && { from: format.dayIn(new Date(range.from), zone), to: format.dayIn(new Date(range.to), zone) }} plain />
          {atLeast(website.role, "admin") && <MoreMenu label="Replays: more" small={false} kind="secondary" items={[{ label: "Delete all replays…", icon: "trash", danger: true, onSelect: () => setClearing(true) }]} />}
        </>
      }
    >
      {note}
      {!isOn && replays.length > 0 && <OffNote of={captured} what="Replays are switched off: nothing new is recorded." />}
      {data.data && !isOn && replays.length === 0 && !narrowed ? (
        <SwitchedOff website={website} what="Replays" icon="play" setting="session_replay">
          A replay shows what a page showed and what was done on it. Fields are masked, and it begins only after consent, unless you change that.
        </SwitchedOff>
      ) : (
        <>
          <Chips onEdit={setEditing} onAdd={() => setEditing("new")} onClear={() => clearFilters(view, show)} />
          <section class="card" aria-label="Replays" aria-busy={data.loading || data.stale}>
            <div class="card-head wrap">
              <Select label="Length" hideLabel small value={length.value} options={LENGTHS} onValue={(min) => go(at({ ...parts, min: min || undefined }))} />
              <label class="row nowrap">
                <input class="toggle" type="checkbox" role="switch" checked={parts.error !== undefined} onChange={(event) => go(at({ ...parts, error: event.currentTarget.checked ? "any" : undefined }))} />
                <span>With errors</span>
              </label>
              <span class="grow" />
              {parts.visitor && <Only label={`Visitor ${format.shortId(parts.visitor)}`} href={at({ ...parts, visitor: undefined })} />}
              {parts.session && <Only label="One visit" href={at({ ...parts, session: undefined })} />}
              {parts.error && parts.error !== "any" && <Only label="One error" href={at({ ...parts, error: undefined })} />}
            </div>
            <LongQuestion data={data} what="replays" doing="Finding" />
            {data.error ? (
              <div class="card-body">
                <PageRefused error={data.error} what="Replays could not be listed." onRetry={data.reload} />
              </div>
            ) : data.data === undefined ? (
              <Waiting data={data} again="Find again">
                <Skeleton lines={10} shape="rows" />
              </Waiting>
            ) : replays.length === 0 ? (
              <Nothing captured={captured} narrowed={narrowed} />
            ) : (
              <div class={data.stale ? "stale" : undefined}>
                <WindowTable caption={`Replays of ${website.domain}`} columns={columns} count={replays.length} total={total} rowAt={(index) => replays[index]} rowKey={({ id }) => id} />
              </div>
            )}
            {replays.length > 0 && (
              <div class="card-foot">
                <span>{replays.length < total ? `${format.count(replays.length)} of ${format.plural(total, "replay")}` : format.plural(total, "replay")}</span>
                <span class="grow" />
                {failed && <span class="err">{explain(failed)}</span>}
                {replays.length < total && (
                  <Button small pending={loading} onClick={() => void loadMore()}>
                    Show more
                  </Button>
                )}
              </div>
            )}
          </section>
        </>
      )}
      <footer class="foot">
        <span>
          Times in {format.zoneName(zone)}
        </span>
        <a href="https://db-ip.com" rel="noreferrer">
          IP Geolocation by DB-IP
        </a>
      </footer>
      {editing && <FilterDialog edit={editing === "new" ? undefined : editing} onClose={() => setEditing(undefined)} />}
      {clearing && (
        <Confirm
          title={`Delete all replays of ${website.domain}?`}
          action="Delete all"
          typed={{ word: website.domain, label: `Type ${website.domain} to confirm` }}
          onClose={() => setClearing(false)}
          onConfirm={async () => {
            const { deleted } = await remove("/api/websites/{website_id}/replays", { path: { website_id: website.id } });
            refresh(`/api/websites/${website.id}/replays`);
            toast(`${format.plural(deleted, "replay")} deleted.`);
          }}
        >
          Everything that was recorded so far is deleted, whatever range is shown. Numbers stay. This cannot be undone.
        </Confirm>
      )}
    </Page>
  );
}

/** What the list is limited to by a link. */
const Only = ({ label, href }: { label: string; href: string }) => (
  <span class="row nowrap">
    <Badge tone="accent">{label}</Badge>
    <a href={href}>Show all</a>
  </span>
);

/** Why there is none in this view. */
function Nothing({ captured: { at, website }, narrowed }: { captured: Captured<Own>; narrowed: boolean }) {
  const { view, show } = useAnalytics();
  const last = view.filters.at(-1);
  if (narrowed) {
    return (
      <Empty title="No replay matches" level={2} icon="play" action={last ? <Button onClick={() => show(removeFilter(view, last))}>Remove last filter</Button> : <Button onClick={() => go(at({}))}>Show all</Button>}>
        No replay of this range is as you ask.
      </Empty>
    );
  }
  return (
    <Empty title="No replays in this range" level={2} icon="play">
      {website.settings.session_replay_consent ? (
        <>
          A replay begins after the page has called <code>zenovay("consent", "granted")</code>.
        </>
      ) : (
        "Pages take the switch within five minutes. Visits with Global Privacy Control or Do Not Track are not recorded."
      )}
    </Empty>
  );
}
