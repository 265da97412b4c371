// `/websites/:id/errors`: what went wrong on the pages of a website, equal errors together.
import { useEffect, useRef, useState } from "preact/hooks";
import "../../styles/errors.css";
import { askAt, type ApiError } from "../../api/client";
import { useUrl } from "../../api/data";
import * as format from "../../lib/format";
import { useKeys } from "../../lib/keys";
import { lazy } from "../../lib/lazy";
import { go } from "../../lib/router";
import { removeFilter, type Filter } from "../../lib/view";
import type { PageProps } from "../../routes";
import { culpritWords, errorTitle } from "../../rules/stacks";
import { Page } from "../../shell/page";
import { Badge, Button, Empty, explain, Skeleton } from "../../ui/basic";
import type { Column } from "../../ui/data";
import { Icon } from "../../ui/icons";
import { MoreMenu, toast, type MenuItem } from "../../ui/overlay";
import { WindowTable } from "../../ui/window";
import { numbersUrl, useAnalytics, type Totals } from "../analytics/context";
import { Chips } from "../analytics/filters";
import { RangeBar } from "../analytics/range-bar";
import { PageRefused } from "../analytics/refused";
import { CapturedPage, capturedUrl, clearFilters, FilterButton, OffNote, type Captured } from "../parts/captured";
import { LongQuestion, Waiting } from "../parts/long-question";
import { NavTabs } from "../parts/nav-tabs";
import { SwitchedOff } from "../parts/switched-off";
import { SparkBars } from "./bars";
import { decide, STATUS_LABELS, STATUSES, type Group, type Groups, type Status } from "./data";
import { HowToReport } from "./how";

/** Rows that are asked for at a time. */
const PAGE = 100;
/** How long nothing is typed before it is searched, in milliseconds. */
const TYPING_MS = 250;

type Own = "status" | "sort" | "q";

/** What the table can be sorted by, as the server calls it. */
const SORTS = ["occurrences", "visitors", "first_seen", "last_seen"];
const SORT = "-last_seen";
/** The server sorts the latest and greatest first, and with a `-` the other way round; tables say it as `aria-sort` does. */
const toServer = (sort: string): string => (sort.startsWith("-") ? sort.slice(1) : `-${sort}`);

export default function ErrorsPage({ params }: PageProps) {
  return (
    <CapturedPage<Own> params={params} title="Errors" icon="warning" path="errors" names={["status", "sort", "q"]} feature="errors">
      {(captured) => <Content {...captured} />}
    </CapturedPage>
  );
}

function Content(captured: Captured<Own>) {
  const { website, home, parts, at, note } = captured;
  const { view, show, zone, today, base } = useAnalytics();
  const [editing, setEditing] = useState<Filter | "new">();
  const status = parts.status === "all" || STATUSES.some((one) => one === parts.status) ? (parts.status as Status | "all") : "unresolved";
  const sort = parts.sort !== undefined && SORTS.includes(parts.sort.replace(/^-/, "")) ? parts.sort : SORT;
  const url = capturedUrl(base, "errors", view, {
    limit: PAGE,
    ...(status !== "all" && { status }),
    ...(sort !== SORT && { sort: toServer(sort) }),
    ...(parts.q && { q: parts.q }),
  });
  const data = useUrl<Groups>(url);
  const [more, setMore] = useState<{ url: string; groups: readonly Group[] }>();
  const [loading, setLoading] = useState(false);
  const [failed, setFailed] = useState<ApiError>();
  useEffect(() => {
    setFailed(undefined);
    setMore(undefined);
  }, [data.data]);
  const extra = more?.url === url ? more.groups : [];
  const groups = [...(data.data?.groups ?? []), ...extra];
  const total = data.data?.total ?? 0;
  const counts = data.data?.counts;
  const none = counts !== undefined && counts.unresolved + counts.resolved + counts.ignored === 0;

  const loadMore = async () => {
    setLoading(true);
    setFailed(undefined);
    try {
      const page = (await askAt("get", `${url}&offset=${groups.length}`)) as Groups;
      setMore({ url, groups: [...extra, ...page.groups] });
    } catch (error) {
      setFailed(error as ApiError);
    } finally {
      setLoading(false);
    }
  };

  useKeys({ f: () => setEditing("new"), Escape: view.filters.length > 0 ? () => clearFilters(view, show) : undefined });
  const range = data.data?.range;
  return (
    <Page
      title="Errors"
      tab={website.domain}
      actions={
        <>
          <FilterButton onClick={() => setEditing("new")} />
          <RangeBar view={view} show={show} zone={zone} today={today} days={range && { from: format.dayIn(new Date(range.from), zone), to: format.dayIn(new Date(range.to), zone) }} plain />
          <MoreMenu label="Errors: more" small={false} kind="secondary" items={[{ label: "Source maps", icon: "page", href: `${home}/source-maps` }]} />
        </>
      }
    >
      {note}
      {!website.settings.errors && !none && <OffNote of={captured} what="Errors are switched off: nothing new is reported." />}
      {none ? (
        website.settings.errors ? (
          <section class="card">
            <Empty title="No errors yet" level={2} icon="warning">
              Errors of your pages appear here by themselves, together with what happened before them.
            </Empty>
            <HowToReport website={website} />
          </section>
        ) : (
          <SwitchedOff website={website} what="Errors" icon="warning" setting="errors">
            Pages report errors that nobody caught, with their stack and what was clicked and viewed before. Nothing that was typed.
          </SwitchedOff>
        )
      ) : (
        <>
          <Chips onEdit={setEditing} onAdd={() => setEditing("new")} onClear={() => clearFilters(view, show)} />
          <NavTabs
            label="Status"
            current={at({ ...parts, status: status === "unresolved" ? undefined : status })}
            tabs={[...STATUSES, "all" as const].map((one) => ({
              href: at({ ...parts, status: one === "unresolved" ? undefined : one }),
              label: one === "all" ? "All" : `${STATUS_LABELS[one]}${counts ? ` ${format.compact(counts[one])}` : ""}`,
            }))}
          />
          <section class="card errlist" aria-label="Errors" aria-busy={data.loading || data.stale}>
            <div class="card-head">
              <Search value={parts.q ?? ""} onValue={(q) => go(at({ ...parts, q: q || undefined }), { replace: true })} />
            </div>
            <LongQuestion data={data} what="errors" />
            {data.error ? (
              <div class="card-body">
                <PageRefused error={data.error} what="Errors could not be counted." onRetry={data.reload} />
              </div>
            ) : data.data === undefined ? (
              <Waiting data={data}>
                <Skeleton lines={10} shape="rows" />
              </Waiting>
            ) : groups.length === 0 ? (
              <Nothing captured={captured} status={status} />
            ) : (
              <div class={data.stale ? "stale" : undefined}>
                <GroupTable captured={captured} groups={groups} total={total} status={status} sort={sort} onSort={(next) => go(at({ ...parts, sort: next === SORT ? undefined : next }), { replace: true })} />
              </div>
            )}
            {groups.length > 0 && (
              <div class="card-foot">
                <span>{groups.length < total ? `${format.count(groups.length)} of ${format.plural(total, "error")}` : format.plural(total, "error")}</span>
                <span class="grow" />
                {failed && <span class="err">{explain(failed)}</span>}
                {groups.length < total && (
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
      </footer>
      {editing && <FilterDialog edit={editing === "new" ? undefined : editing} onClose={() => setEditing(undefined)} />}
    </Page>
  );
}

const FilterDialog = lazy(() => import("../analytics/filter-dialog"));

/** A field that waits for the end of a word. */
function Search({ value, onValue }: { value: string; onValue(value: string): void }) {
  const [typed, setTyped] = useState(value);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => setTyped(value), [value]);
  useEffect(() => {
    if (typed.trim() === value) return;
    const timer = setTimeout(() => onValue(typed.trim()), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  useKeys({ "/": () => input.current?.focus() });
  return (
    <div class="search grow">
      <Icon name="search" />
      <input ref={input} class="input" type="search" aria-label="Find errors" placeholder="Find by message, function or file" autocomplete="off" maxLength={200} value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
      <kbd>/</kbd>
    </div>
  );
}

/** Why there is none in this view. */
function Nothing({ captured: { parts, at }, status }: { captured: Captured<Own>; status: Status | "all" }) {
  const { view, show, base } = useAnalytics();
  const last = view.filters.at(-1);
  const visitors = useUrl<Totals>(parts.q || last || status !== "unresolved" ? undefined : numbersUrl(base, "totals", { ...view, filters: [] })).data?.now.visitors;
  if (parts.q) {
    return (
      <Empty title={`No error has “${parts.q}” in it`} level={2} icon="search" action={<Button onClick={() => go(at({ ...parts, q: undefined }))}>Show all</Button>}>
        Messages, functions and files are searched.
      </Empty>
    );
  }
  if (last) {
    return (
      <Empty title="No error matches" level={2} icon="warning" action={<Button onClick={() => show(removeFilter(view, last))}>Remove last filter</Button>}>
        No error of this range passes the {view.filters.length === 1 ? "filter" : "filters"}.
      </Empty>
    );
  }
  if (status !== "unresolved") return <Empty title={status === "all" ? "No errors in this range" : `No ${STATUS_LABELS[status].toLowerCase()} errors in this range`} level={2} icon="check" />;
  return (
    <Empty title="No errors in this range" level={2} icon="check">
      {visitors === undefined ? "None that is not resolved or ignored." : visitors === 0 ? "Nobody came, either." : `${format.plural(visitors, "visitor")}, none met one that is not resolved or ignored.`}
    </Empty>
  );
}

/** What can be decided about a group, as items of a menu. */
export const decisions = (website: string, group: { readonly id: string; readonly status: string }): MenuItem[] => {
  const item = (status: Status, label: string, icon: "check" | "exclude" | "reload"): MenuItem[] =>
    group.status === status ? [] : [{ label, icon, onSelect: () => void decide(website, group, status).catch((error: ApiError) => toast(`That could not be done: ${explain(error)}`)) }];
  return [...item("resolved", "Resolve", "check"), ...item("ignored", "Ignore", "exclude"), ...item("unresolved", "Reopen", "reload")];
};

function GroupTable({ captured: { website, home, mayChange }, groups, total, status, sort, onSort }: {
  captured: Captured<Own>;
  groups: readonly Group[];
  total: number;
  status: Status | "all";
  sort: string;
  onSort(sort: string): void;
}) {
  const { zone, view } = useAnalytics();
  const query = capturedUrl("", "", { ...view, filters: [] }).replace(/^\//, "");
  const seen = (at: string) => <span title={format.dateTime(at, zone)}>{format.ago(at, Date.now(), zone)}</span>;
  const columns: Column<Group>[] = [
    {
      id: "error",
      title: "Error",
      class: "errcell",
      cell: (group) => {
        const title = errorTitle(group.type, group.message);
        const where = culpritWords(group.culprit);
        return (
          <>
            <span class="row">
              <a class="cover clip" href={`${home}/${group.id}${query}`} title={title}>
                {title}
              </a>
              {status === "all" && group.status !== "unresolved" && <Badge>{STATUS_LABELS[group.status as Status]}</Badge>}
            </span>
            <span class="hint mono clip" title={where}>
              {where || "No place in the app is known"}
            </span>
          </>
        );
      },
    },
    { id: "series", title: "Over time", wide: true, class: "sparkcell", cell: (group) => <SparkBars values={group.series} /> },
    { id: "occurrences", title: "Times", num: true, sortable: true, class: "strong", cell: (group) => format.count(group.occurrences) },
    { id: "visitors", title: "Visitors", num: true, wide: true, sortable: true, cell: (group) => format.count(group.visitors) },
    { id: "release", title: "Release", wide: "desk", class: "mid relcell", cell: (group) => <span class="clip" title={group.release}>{group.release || format.NOTHING}</span> },
    { id: "first_seen", title: "First seen", num: true, wide: "desk", sortable: true, class: "mid", cell: (group) => seen(group.first_seen_at) },
    { id: "last_seen", title: "Last seen", num: true, sortable: true, class: "mid", cell: (group) => seen(group.last_seen_at) },
    ...(mayChange
      ? [
          {
            id: "menu",
            title: "Menu",
            hideTitle: true,
            num: true,
            wide: true,
            cell: (group: Group) => <MoreMenu label={`${errorTitle(group.type, group.message).slice(0, 80)}: menu`} items={decisions(website.id, group)} />,
          },
        ]
      : []),
  ];
  return <WindowTable caption={`Errors of ${website.domain}`} columns={columns} count={groups.length} total={total} rowAt={(at) => groups[at]} rowKey={({ id }) => id} sort={sort} onSort={onSort} />;
}
