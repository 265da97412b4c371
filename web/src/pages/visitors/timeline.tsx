// `/websites/:id/visitors/:vid`: one visitor, visit by visit.
import { useState } from "preact/hooks";
import "../../styles/visitor.css";
import { remove, type Answer } from "../../api/client";
import { refresh, useData } from "../../api/data";
import * as format from "../../lib/format";
import { go } from "../../lib/router";
import { atLeast } from "../../lib/session";
import { useFeatures, useWebsite, type Website } from "../../lib/websites";
import type { PageProps } from "../../routes";
import { Page, PageState } from "../../shell/page";
import { Badge, Button, Card, CountryTag, LinkButton } from "../../ui/basic";
import { copy } from "../../ui/data";
import { Segmented } from "../../ui/form";
import { Icon, type IconName } from "../../ui/icons";
import { Confirm, MoreMenu, toast } from "../../ui/overlay";
import { valueLabel } from "../analytics/dimensions";
import { counted, reported, useReplays } from "../parts/erased";
import type { Replay } from "../replays/data";

type Detail = Answer<"/api/websites/{website_id}/visitors/{visitor}", "get">;
type Visit = Detail["visits"][number];
type Event = Visit["events"][number];
type Moment = Visit["moments"][number];
type Shown = "all" | "pages" | "events";

/** The days of the calendar. */
const DAYS = 28;
/** How long after the last sign a visitor is still there, in milliseconds. */
const ONLINE_MS = 5 * 60_000;

export default function VisitorPage({ params }: PageProps) {
  const website = useWebsite(params.id);
  const visitor = useData("/api/websites/{website_id}/visitors/{visitor}", { path: { website_id: params.id ?? "", visitor: params.vid ?? "" } });
  const of = website.data && !website.error ? visitor : website;
  if (!website.data || !visitor.data || of.error) {
    return <PageState title="Visitor" of={of} what="this visitor" tab={website.data?.domain} crumbs={[{ label: "Visitors", href: `/websites/${params.id}/visitors` }]} />;
  }
  return <Timeline website={website.data} detail={visitor.data} />;
}

/** Seconds from one instant to another. */
const between = (from: string, to: string): number => (Date.parse(to) - Date.parse(from)) / 1000;

/** Events of each of the last 28 days in the website's zone, the oldest day first. */
function eventsByDay(visits: readonly Visit[], zone: string): number[] {
  const today = format.dayIn(new Date(), zone);
  const counts = new Array<number>(DAYS).fill(0);
  for (const { at } of visits.flatMap(({ events }) => events)) {
    const back = format.daysBetween(format.dayIn(new Date(at), zone), today) - 1;
    const place = DAYS - 1 - back;
    if (place >= 0 && place < DAYS) counts[place] = (counts[place] ?? 0) + 1;
  }
  return counts;
}

function Timeline({ website, detail }: { website: Website; detail: Detail }) {
  const { visits } = detail;
  const [shown, setShown] = useState<Shown>("all");
  const [erasing, setErasing] = useState(false);
  const home = `/websites/${website.id}`;
  const features = useFeatures(website.id);
  const replays = useReplays(website.id, detail.id).data;
  const zone = website.settings.time_zone;
  const name = format.shortId(detail.id);
  const may = atLeast(website.role, "editor");
  const why = may ? undefined : `Your role here is ${website.role}. Visitors are erased by editors, admins and owners.`;
  const days = format.daysBetween(format.dayIn(new Date(detail.first_seen_at), zone), format.dayIn(new Date(detail.last_seen_at), zone));
  const counts = eventsByDay(visits, zone);
  const most = Math.max(...counts);
  const all = visits.flatMap(({ events }) => events);
  const seconds = visits.reduce((sum, { began_at, last_at }) => sum + between(began_at, last_at), 0);
  const online = Date.now() - Date.parse(detail.last_seen_at) < ONLINE_MS;
  return (
    <Page
      title={`Visitor ${name}`}
      tab={website.domain}
      crumbs={[{ label: "Visitors", href: `${home}/visitors` }]}
      beside={
        online && (
          <span class="live">
            <span class="dot pulse" />
            online now
          </span>
        )
      }
      actions={
        <>
          {features?.includes("replays") && (
            <LinkButton icon="play" href={`${home}/replays?visitor=${detail.id}&range=90d`}>
              <span class="lab">Replays</span>
            </LinkButton>
          )}
          <MoreMenu
            label="More"
            small={false}
            kind="secondary"
            items={[
              { label: "Copy the visitor's id", icon: "copy", onSelect: () => void copy(detail.id).then((done) => done && toast("Copied.")) },
              may && "line",
              may && { label: "Erase this visitor…", icon: "trash", danger: true, onSelect: () => setErasing(true) },
            ]}
          />
        </>
      }
    >
      <div class="grid side">
        <section class="card" aria-labelledby="visits-h">
          <div class="card-head">
            <h2 id="visits-h">Visits</h2>
            <span class="dim">
              {format.count(visits.length)}
              {days > 1 && ` in ${format.plural(days, "day")}`}
            </span>
            <span class="grow" />
            <Segmented<Shown>
              label="Show"
              value={shown}
              options={[
                { value: "all", label: "All" },
                { value: "pages", label: "Pages" },
                { value: "events", label: "Events" },
              ]}
              onValue={setShown}
            />
          </div>
          {visits.map((visit) => (
            <VisitView
              key={visit.id}
              visit={visit}
              shown={shown}
              zone={zone}
              home={home}
              replays={replays && (replays.enabled || replays.total > 0) ? replays.replays.filter(({ session }) => session === visit.id) : undefined}
            />
          ))}
          {detail.truncated && <p class="hint visitempty">Only the latest events are shown.</p>}
        </section>
        <aside class="stack stack-16">
          <Card title="Who">
            <dl class="facts">
              <dt>Place</dt>
              <dd>
                <CountryTag code={detail.country} /> {[detail.city, detail.region, detail.country ? format.country(detail.country) : "Unknown"].filter(Boolean).join(", ")}
              </dd>
              <Fact name="Device" value={valueLabel("device", detail.device)} />
              <Fact name="Browser" value={detail.browser || "Unknown"} />
              <Fact name="System" value={detail.os || "Unknown"} />
              <Fact name="Language" value={detail.language && format.language(detail.language)} />
              <Fact name="First seen" value={format.dateTime(detail.first_seen_at, zone)} />
              <Fact name="Last seen" value={format.dateTime(detail.last_seen_at, zone)} />
              <Fact name="First source" value={detail.first_source || "Direct"} />
            </dl>
            <p class="hint">
              IP Geolocation by{" "}
              <a href="https://db-ip.com" rel="noreferrer">
                DB-IP
              </a>
            </p>
          </Card>
          <section class="card" aria-label="Numbers">
            <dl class="stats two">
              <Stat name="Visits" value={format.count(visits.length)} />
              <Stat name="Pageviews" value={format.count(detail.pageviews)} />
              <Stat name="Time on site" value={format.duration(seconds)} />
              <Stat name="Other events" value={format.count(all.filter(({ type }) => type !== "pageview").length)} />
            </dl>
          </section>
          {visits[0] && <Score score={visits[0].score} of={online ? "this visit" : "the last visit"} />}
          <Card title={`Last ${DAYS} days`}>
            <div class="days" role="img" aria-label={`Active on ${counts.filter((count) => count > 0).length} of the last ${DAYS} days`}>
              {counts.map((count, index) => (
                <i key={index} class={`v${level(count, most)}`} />
              ))}
            </div>
          </Card>
          <Button kind="quiet" icon="trash" disabledReason={why} onClick={() => setErasing(true)}>
            Erase this visitor…
          </Button>
        </aside>
      </div>
      {erasing && (
        <Confirm
          title={`Erase visitor ${name}?`}
          action="Erase"
          onClose={() => setErasing(false)}
          onConfirm={async () => {
            await remove("/api/websites/{website_id}/visitors/{visitor}", { path: { website_id: website.id, visitor: detail.id } });
            refresh(`/api/websites/${website.id}/`);
            toast("Visitor erased.");
            go(`${home}/visitors`, { replace: true });
          }}
        >
          Erases{" "}
          {counted([
            [visits.length, "visit"],
            [all.length, "event"],
            [replays?.total, "replay"],
          ])}{" "}
          of visitor {name}, with {reported(replays?.total)}. Totals change by 1 visitor. This cannot be undone.
        </Confirm>
      )}
    </Page>
  );
}

const level = (count: number, most: number): number => (count === 0 ? 0 : Math.max(1, Math.ceil((count / most) * 4)));

function Fact({ name, value, hint }: { name: string; value: string | null | undefined; hint?: string | undefined }) {
  if (!value) return null;
  return (
    <>
      <dt>{name}</dt>
      <dd>
        {value}
        {hint && <span class="dim"> {hint}</span>}
      </dd>
    </>
  );
}

const Stat = ({ name, value }: { name: string; value: string }) => (
  <div>
    <dt>{name}</dt>
    <dd>{value}</dd>
  </div>
);

/** What the value score of a visit is made of: the same words as in the definition of the metric. */
const SCORE = [
  { part: "pageviews", name: "Pageviews", most: 40, hint: "10 each" },
  { part: "time", name: "Time", most: 30, hint: "1 for 6s" },
  { part: "interaction", name: "Interaction", most: 30, hint: undefined },
] as const;

function Score({ score, of }: { score: Visit["score"]; of: string }) {
  return (
    <Card
      title="Value score"
      actions={
        <span>
          <b>{score.total}</b> <span class="dim">of 100, {of}</span>
        </span>
      }
    >
      <progress value={score.total} max={100} aria-label="Value score" />
      <dl class="facts">
        {SCORE.map(({ part, name, most, hint }) => (
          <Fact key={part} name={name} value={`${score[part]} of ${most}`} hint={hint} />
        ))}
      </dl>
    </Card>
  );
}

interface VisitProps {
  readonly visit: Visit;
  readonly shown: Shown;
  readonly zone: string;
  readonly home: string;
  /** The recordings of the visit, when the website has any. */
  readonly replays: readonly Replay[] | undefined;
}

function VisitView({ visit, shown, zone, home, replays }: VisitProps) {
  const events = visit.events.filter(({ type }) => shown === "all" || (type === "pageview") === (shown === "pages"));
  const entries = inOrder(events, shown === "pages" ? [] : visit.moments);
  const day = format.dayIn(new Date(visit.began_at), zone);
  const today = format.dayIn(new Date(), zone);
  const when = `${day === today ? "Today" : format.dayWithWeekday(day)}${day.slice(0, 4) === today.slice(0, 4) ? "" : ` ${day.slice(0, 4)}`}, ${format.time(visit.began_at, zone)}`;
  const from = [valueLabel("channel", visit.channel), visit.source].filter((one, at, all) => one && all.indexOf(one) === at).join(" · ");
  const pages = visit.events.filter(({ type }) => type === "pageview");
  /** How long a page was open: until the next one. */
  const open = (event: Event): number | undefined => {
    const next = pages[pages.indexOf(event) + 1];
    return event.type === "pageview" && next ? between(event.at, next.at) : undefined;
  };
  return (
    <section class="visit">
      <div class="vh2">
        <h3>{when}</h3>
        <Badge tone="line">{from}</Badge>
        <span class="dim wide-only">{format.duration(between(visit.began_at, visit.last_at))}</span>
        <span class="grow" />
        {replays?.[0] ? (
          <LinkButton small icon="play" href={replays.length === 1 ? `${home}/replays/${replays[0].id}` : `${home}/replays?session=${visit.id}&range=all`}>
            Watch<span class="vh"> the visit of {when}</span>
          </LinkButton>
        ) : (
          replays && <span class="hint">No recording</span>
        )}
      </div>
      {entries.length === 0 ? (
        <p class="hint visitempty">No {shown} in this visit.</p>
      ) : (
        <ol class="tline">
          {entries.map((entry, index) =>
            "moment" in entry ? (
              <MomentView key={index} moment={entry.moment} zone={zone} home={home} />
            ) : (
              <EventView key={index} event={entry.event} seconds={open(entry.event)} zone={zone} />
            ),
          )}
        </ol>
      )}
    </section>
  );
}

type Entry = { readonly event: Event } | { readonly moment: Moment };

/** What a visitor did and what went wrong, each in the order of time, as one list in that order: what was done comes first. */
function inOrder(events: readonly Event[], moments: readonly Moment[]): Entry[] {
  const entries: Entry[] = [];
  let next = 0;
  for (const event of events) {
    for (; next < moments.length && Date.parse(moments[next]!.at) < Date.parse(event.at); next++) entries.push({ moment: moments[next]! });
    entries.push({ event });
  }
  return [...entries, ...moments.slice(next).map((moment) => ({ moment }))];
}

function MomentView({ moment, zone, home }: { moment: Moment; zone: string; home: string }) {
  const { group, replay, count } = moment;
  const isError = moment.type === "error";
  const words = isError ? moment.text : moment.text ? `Rage click on “${moment.text}”` : "Rage click";
  const often = isError ? count > 1 && `${format.count(count)} times` : format.plural(count, "click");
  return (
    <li class={isError ? "bad" : "warn"}>
      <span class="mono dim">{format.time(moment.at, zone)}</span>
      <span class="node">
        <Icon name={isError ? "warning" : "pointer"} size={12} />
      </span>
      <div class="moment">
        {group ? (
          <a class="strong" href={`${home}/errors/${group}`}>
            {words}
          </a>
        ) : (
          <span>{words}</span>
        )}
        {often && <span class="dim">{often}</span>}
        {replay && (
          <a class="watch" href={`${home}/replays/${replay.id}?t=${Math.floor(replay.at_ms / 1000)}`}>
            <Icon name="play" size={12} />
            Watch<span class="vh"> the moment of {words}</span>
          </a>
        )}
      </div>
      <span />
    </li>
  );
}

const ICONS: Record<string, IconName> = { pageview: "page", goal: "flag", revenue: "flag", outbound_link: "external", file_download: "download", identify: "person", click: "event" };

function EventView({ event, seconds, zone }: { event: Event; seconds: number | undefined; zone: string }) {
  const goal = event.type === "goal" || event.type === "revenue";
  const properties = Object.entries(event.properties ?? {}).filter(([, value]) => value !== null && typeof value !== "object");
  return (
    <li class={goal ? "goal" : undefined}>
      <span class="mono dim">{format.time(event.at, zone)}</span>
      <span class="node">
        <Icon name={ICONS[event.type] ?? "event"} size={12} />
      </span>
      <div>
        {event.type === "pageview" ? (
          <code title={event.title || undefined}>{format.path(event.page)}</code>
        ) : (
          <span class={goal ? "strong" : undefined}>{event.name || event.type.replaceAll("_", " ")}</span>
        )}
        {properties.length > 0 && (
          <div class="props">
            {properties.map(([key, value]) => (
              <span key={key} class="badge">
                <span class="dim">{key}</span> {String(value)}
              </span>
            ))}
          </div>
        )}
      </div>
      <span class="dim">{seconds !== undefined && format.duration(seconds)}</span>
    </li>
  );
}
