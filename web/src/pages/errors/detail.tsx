// `/websites/:id/errors/:gid`: one error: where it is in the code, when and to whom it happened, and what is decided about it.
import { useState } from "preact/hooks";
import "../../styles/errors.css";
import type { ApiError } from "../../api/client";
import { useUrl, type Data } from "../../api/data";
import * as format from "../../lib/format";
import { useKeys } from "../../lib/keys";
import { intervalFor } from "../../lib/range";
import type { Interval } from "../../lib/view";
import { useFeatures } from "../../lib/websites";
import type { PageProps } from "../../routes";
import { culpritWords, errorTitle } from "../../rules/stacks";
import { Page, PageState } from "../../shell/page";
import { Badge, Button, classes, Empty, explain, Failure } from "../../ui/basic";
import { copy, Tabs } from "../../ui/data";
import { Icon } from "../../ui/icons";
import { MoreMenu, toast } from "../../ui/overlay";
import { useAnalytics, numbersUrl, type Totals } from "../analytics/context";
import { valueLabel } from "../analytics/dimensions";
import { BarList } from "../analytics/parts";
import { RangeBar } from "../analytics/range-bar";
import { CapturedPage, capturedUrl, type Captured } from "../parts/captured";
import { LongQuestion } from "../parts/long-question";
import { Occurrences } from "./bars";
import { decide, STATUS_LABELS, type Detail, type Status } from "./data";
import { decisions } from "./list";
import { OccurrenceCard } from "./occurrence";
import { MergeDialog, SplitDialog } from "./regroup";
import { StackCard } from "./stack";

export default function ErrorPage({ params }: PageProps) {
  return (
    <CapturedPage params={params} title="Error" icon="warning" path={`errors/${params.gid ?? ""}`} feature="errors">
      {(captured) => <Asked {...captured} id={params.gid ?? ""} />}
    </CapturedPage>
  );
}

function Asked(props: Captured<never> & { id: string }) {
  const { base, view, show, zone, today } = useAnalytics();
  const data = useUrl<Detail>(capturedUrl(base, `errors/${encodeURIComponent(props.id)}`, view));
  if (!data.data) {
    // What took too long may be counted in a shorter range.
    const range = <RangeBar view={view} show={show} zone={zone} today={today} days={undefined} plain />;
    return <PageState title="Error" of={data} what="this error" tab={props.website.domain} crumbs={[{ label: "Errors", href: `/websites/${props.website.id}/errors` }]} actions={range} />;
  }
  return <View {...props} data={data} group={data.data} />;
}

function View({ website, mayChange, why, note, data, group }: Captured<never> & { data: Data<Detail>; group: Detail }) {
  const { view, show, zone, today, base } = useAnalytics();
  const [at, setAt] = useState(0);
  const [chosen, setChosen] = useState<number>();
  const [asTable, setTable] = useState(false);
  const [open, setOpen] = useState<"merge" | "split">();
  const [pending, setPending] = useState<Status>();
  const features = useFeatures(website.id);
  const root = `/websites/${website.id}`;
  const list = `${root}/errors`;
  const { range, stacks, last, history } = group;
  const days = { from: format.dayIn(new Date(range.from), zone), to: format.dayIn(new Date(range.to), zone) };
  const interval: Interval = view.interval ?? intervalFor(format.daysBetween(days.from, days.to));
  const title = errorTitle(group.type, group.message);
  const status = group.status as Status;
  const back = history.find(({ what }) => what === "came_back");
  const occurrence = last[Math.min(at, last.length - 1)];
  const stack = stacks.find(({ id }) => id === (chosen ?? occurrence?.stack)) ?? stacks[0];
  const all = useUrl<Totals>(numbersUrl(base, "totals", { ...view, filters: [] })).data?.now.visitors;
  const oldest = group.releases.at(-1);

  const set = async (next: Status) => {
    setPending(next);
    try {
      await decide(website.id, group, next);
    } catch (error) {
      toast(`That could not be done: ${explain(error as ApiError)}`);
    } finally {
      setPending(undefined);
    }
  };
  useKeys({ b: () => setTable(!asTable) });
  const button = (next: Status, label: string, primary: boolean) => (
    <Button kind={primary ? "primary" : "secondary"} {...(primary && { icon: next === "resolved" ? ("check" as const) : ("reload" as const) })} pending={pending === next} disabledReason={why} onClick={() => void set(next)}>
      {label}
    </Button>
  );

  return (
    <Page
      title={title}
      tab={website.domain}
      crumbs={[{ label: "Errors", href: list }]}
      beside={
        <>
          <Badge {...(status === "unresolved" ? { tone: "bad" as const } : status === "resolved" ? { tone: "accent" as const, icon: "check" as const } : {})}>{STATUS_LABELS[status]}</Badge>
          {status === "unresolved" && back && <Badge tone="warn"><span class="clip">Came back{back.release && ` in ${back.release}`}</span></Badge>}
        </>
      }
      actions={
        <>
          {status === "unresolved" ? (
            <>
              {button("ignored", "Ignore", false)}
              {button("resolved", "Resolve", true)}
            </>
          ) : (
            button("unresolved", "Reopen", true)
          )}
          <MoreMenu
            label="More"
            small={false}
            kind="secondary"
            items={[
              { label: "Copy link", icon: "link", onSelect: () => void copy(location.href).then((done) => done && toast("Link copied.")) },
              features?.includes("replays") && { label: "Replays with this error", icon: "play", href: `${root}/replays?error=${group.id}` },
              { label: "Source maps", icon: "page", href: `${list}/source-maps` },
              mayChange && "line",
              ...(mayChange ? decisions(website.id, group).filter((item) => typeof item === "object" && "label" in item && item.label === (status === "resolved" ? "Ignore" : "Resolve") && status !== "unresolved") : []),
              mayChange && { label: "Merge others into this…", icon: "plus", onSelect: () => setOpen("merge") },
              mayChange && stacks.length > 1 && { label: "Split…", icon: "exclude", onSelect: () => setOpen("split") },
            ]}
          />
        </>
      }
      below={
        <div class="row wrap longline">
          <p class="mono mid clip">{culpritWords(group.culprit) || "No place in the app is known"}</p>
          <span class="grow" />
          <RangeBar view={view} show={show} zone={zone} today={today} days={days} plain />
        </div>
      }
    >
      {note}
      <div class="stack stack-16" aria-busy={data.stale}>
        <LongQuestion data={data} what="this error" />
        {data.error && <Failure error={data.error} what="This error could not be counted again." onRetry={data.reload} />}
        <section class={classes("card errnumbers", data.stale && "stale")} aria-label="Numbers">
          <dl class="stats">
            <Stat name="Occurrences" value={format.count(group.occurrences)} more={group.occurrences === group.occurrences_total ? "all that are kept" : `of ${format.count(group.occurrences_total)} that are kept`} />
            <Stat name="Visitors affected" value={format.count(group.visitors)} more={all ? `${format.percent(Math.min(1, group.visitors / all))} of all` : "in this range"} />
            <Stat name="First seen" value={format.day(format.dayIn(new Date(group.first_seen_at), zone), today.slice(0, 4))} more={oldest?.value ? `release ${stacks.at(-1)?.release || oldest.value}` : format.time(group.first_seen_at, zone)} />
            <Stat name="Last seen" value={format.ago(group.last_seen_at, Date.now(), zone)} more={stacks[0]?.release ? `release ${stacks[0].release}` : format.dateTime(group.last_seen_at, zone)} />
          </dl>
          <div class="row occtools">
            <h2 class="vh">Over time</h2>
            <span class="grow" />
            <Button small kind="quiet" aria-pressed={asTable} title="Show the numbers as a table" onClick={() => setTable(!asTable)} aria-label="Table">
              <Icon name="table" />
              <span class="lab">Table</span>
            </Button>
          </div>
          <div class={classes(asTable && "occtable")}>
            <Occurrences what="Occurrences" values={group.series} range={range} interval={interval} zone={zone} asTable={asTable} mark={back && back.at >= range.from ? { at: back.at, label: back.release || "Came back" } : undefined} />
          </div>
        </section>
        <div class="grid side">
          <div class="stack stack-16">
            {stack && <StackCard stacks={stacks} shown={stack} onShow={setChosen} maps={`${list}/source-maps`} />}
            {occurrence ? (
              <OccurrenceCard
                all={last}
                at={Math.min(at, last.length - 1)}
                onAt={(next) => {
                  setAt(next);
                  setChosen(undefined);
                }}
                total={group.occurrences}
                stack={stacks.find(({ id }) => id === occurrence.stack)}
                root={root}
                zone={zone}
              />
            ) : (
              <section class="card">
                <Empty title="It did not happen in this range" icon="check">
                  It was last seen on {format.dateTime(group.last_seen_at, zone)}.
                </Empty>
              </section>
            )}
          </div>
          <aside class="stack stack-16">
            <Affected group={group} />
            <History group={group} zone={zone} />
          </aside>
        </div>
      </div>
      <footer class="foot">
        <span>
          Times in {format.zoneName(zone)}
        </span>
        <a href="https://db-ip.com" rel="noreferrer">
          IP Geolocation by DB-IP
        </a>
      </footer>
      {open === "merge" && <MergeDialog website={website.id} group={group} onClose={() => setOpen(undefined)} />}
      {open === "split" && <SplitDialog website={website.id} group={group} home={list} onClose={() => setOpen(undefined)} />}
    </Page>
  );
}

const Stat = ({ name, value, more }: { name: string; value: string; more: string }) => (
  <div>
    <dt>{name}</dt>
    <dd>
      {value} <small>{more}</small>
    </dd>
  </div>
);

const AFFECTED = [
  { value: "browsers", label: "Browser", dimension: undefined },
  { value: "releases", label: "Release", dimension: undefined },
  { value: "pages", label: "Page", dimension: "page" },
  { value: "devices", label: "Device", dimension: "device" },
] as const;

type Part = (typeof AFFECTED)[number]["value"];

/** Rows of the panel. */
const ROWS = 9;

function Affected({ group }: { group: Detail }) {
  const { filter } = useAnalytics();
  const [tab, setTab] = useState<Part>("browsers");
  const shown = AFFECTED.find(({ value }) => value === tab) ?? AFFECTED[0];
  const parts = group[shown.value];
  const total = parts.reduce((sum, { occurrences }) => sum + occurrences, 0);
  const longest = Math.max(1, ...parts.map(({ occurrences }) => occurrences));
  return (
    <section class="card panel affected" aria-labelledby="affected-h">
      <div class="panel-head">
        <h2 id="affected-h">Affected</h2>
        <Tabs look="ptabs" labelledBy="affected-h" value={tab} tabs={AFFECTED} onValue={(value: Part) => setTab(value)} controls="affected-p" />
      </div>
      <div id="affected-p" role="tabpanel" aria-label={`Affected: ${shown.label}`} class="panel-main">
        {parts.length === 0 ? (
          <Empty title="Nothing in this range" />
        ) : (
          <BarList
            label={`Affected: ${shown.label}`}
            space={ROWS}
            head={[{ title: shown.label }, { title: "Times", class: "w" }, { title: "Share", class: "w2" }]}
            rows={parts.slice(0, ROWS).map(({ value, occurrences }) => ({
              key: value,
              name: shown.value === "pages" ? format.shortPath(valueLabel("page", value), 30) : valueLabel(shown.dimension ?? "", value),
              title: valueLabel(shown.dimension ?? "", value),
              grey: value === "",
              part: occurrences / longest,
              cells: [{ content: format.count(occurrences) }, { content: format.wholePercent(occurrences / Math.max(1, total)), soft: true }],
              ...(shown.dimension && {
                onPick: () => filter({ dimension: shown.dimension, operator: "is", values: [value] }),
                onExclude: () => filter({ dimension: shown.dimension, operator: "is_not", values: [value] }),
              }),
            }))}
          />
        )}
      </div>
      <div class="panel-foot">
        <span>{format.plural(parts.length, shown.label.toLowerCase())}</span>
      </div>
    </section>
  );
}

const HISTORY: Readonly<Record<string, string>> = { resolved: "Resolved", ignored: "Ignored", reopened: "Reopened", came_back: "Came back", merged: "Merged", split: "Split off" };

function History({ group: { history, first_seen_at, stacks }, zone }: { group: Detail; zone: string }) {
  const first = stacks.at(-1)?.release;
  return (
    <section class="card" aria-labelledby="history-h">
      <div class="card-head">
        <h2 id="history-h">History</h2>
      </div>
      <ol class="hist">
        {history.map(({ at, what, who, release }, index) => (
          <li key={index} class={what === "came_back" ? "bad" : undefined}>
            <b>{HISTORY[what] ?? what.replaceAll("_", " ")}</b>
            {who && ` by ${who}`}
            {release && ` in ${release}`}
            <span class="hint">{format.dateTime(at, zone)}</span>
          </li>
        ))}
        <li>
          <b>First seen</b>
          {first && ` in ${first}`}
          <span class="hint">{format.dateTime(first_seen_at, zone)}</span>
        </li>
      </ol>
    </section>
  );
}
