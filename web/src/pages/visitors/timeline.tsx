// `/websites/:id/visitors/:vid`: one visitor, visit by visit.
import { useState } from "preact/hooks";
import "../../styles/visitor.css";
import { remove, type Answer } from "../../api/client";
import { refresh, useData } from "../../api/data";
import * as format from "../../lib/format";
import { go } from "../../lib/router";
import { atLeast } from "../../lib/session";
import { useWebsite, type Website } from "../../lib/websites";
import type { PageProps } from "../../routes";
import { Page, PageState } from "../../shell/page";
import { Badge, Button, Card, CountryTag } from "../../ui/basic";
import { copy } from "../../ui/data";
import { Segmented } from "../../ui/form";
import { Icon, type IconName } from "../../ui/icons";
import { Confirm, MoreMenu, toast } from "../../ui/overlay";
import { valueLabel } from "../analytics/dimensions";
import { visitorName } from "./who";

type Detail = Answer<"/api/websites/{website_id}/visitors/{visitor}", "get">;
type Visit = Detail["visits"][number];
type Event = Visit["events"][number];
type Shown = "all" | "pages" | "events";

export default function VisitorPage({ params }: PageProps) {
  const website = useWebsite(params.id);
  const visitor = useData("/api/websites/{website_id}/visitors/{visitor}", { path: { website_id: params.id ?? "", visitor: params.vid ?? "" } });
  const error = website.error ?? visitor.error;
  if (!website.data || !visitor.data || error) {
    return (
      <PageState
        title="Visitor"
        error={error}
        onRetry={() => {
          website.reload();
          visitor.reload();
        }}
      />
    );
  }
  return <Timeline website={website.data} detail={visitor.data} />;
}

function Timeline({ website, detail }: { website: Website; detail: Detail }) {
  const { visitor, visits, days } = detail;
  const [shown, setShown] = useState<Shown>("all");
  const [erasing, setErasing] = useState(false);
  const home = `/websites/${website.id}`;
  const zone = website.settings.time_zone;
  const name = visitorName(visitor);
  const known = Boolean(visitor.name || visitor.email);
  const may = atLeast(website.role, "editor");
  const why = may ? undefined : `Your role here is ${website.role}. Visitors are erased by editors, admins and owners.`;
  const spanned = visits.length > 1 ? `${visits.length} in ${format.plural(format.daysBetween(format.dayIn(new Date(visitor.first_seen), zone), format.dayIn(new Date(visitor.last_seen), zone)), "day")}` : format.plural(visits.length, "visit");
  return (
    <Page
      title={known ? name : `Visitor ${name}`}
      tab={website.domain}
      crumbs={[{ label: "Visitors", href: `${home}/visitors` }]}
      beside={
        <>
          <span class="wide-only">
            <Badge>{known ? "Identified" : "Anonymous"}</Badge>
          </span>
          {visitor.online && (
            <span class="live">
              <span class="dot pulse" />
              online now
            </span>
          )}
        </>
      }
      actions={
        <MoreMenu
          label="More"
          small={false}
          kind="secondary"
          items={[
            { label: "Copy the visitor's id", icon: "copy", onSelect: () => void copy(visitor.id).then((done) => done && toast("Copied.")) },
            may && "line",
            may && { label: "Erase this visitor…", icon: "trash", danger: true, onSelect: () => setErasing(true) },
          ]}
        />
      }
    >
      <div class="grid side">
        <section class="card" aria-labelledby="visits-h">
          <div class="card-head">
            <h2 id="visits-h">Visits</h2>
            <span class="dim">{spanned}</span>
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
            <VisitView key={visit.id} visit={visit} shown={shown} zone={zone} currency={website.settings.currency} />
          ))}
        </section>
        <aside class="stack stack-16">
          <Card title="Who">
            <dl class="facts">
              <Fact name="E-mail" value={visitor.email} />
              <dt>Place</dt>
              <dd>
                <CountryTag code={visitor.country ?? ""} /> {[visitor.city, visitor.country ? format.country(visitor.country) : "Unknown"].filter(Boolean).join(", ")}
              </dd>
              <Fact name="Device" value={[visitor.device && valueLabel("device", visitor.device), visitor.screen].filter(Boolean).join(", ") || "Unknown"} />
              <Fact name="Browser" value={[visitor.browser, visitor.browser_version].filter(Boolean).join(" ") || "Unknown"} />
              <Fact name="System" value={[visitor.os, visitor.os_version].filter(Boolean).join(" ") || "Unknown"} />
              <Fact name="Language" value={visitor.language && format.language(visitor.language)} />
              <Fact name="First seen" value={format.dateTime(visitor.first_seen, zone)} />
              <Fact name="First source" value={visitor.first_source || "Direct"} />
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
              <Stat name="Visits" value={format.count(visitor.sessions)} />
              <Stat name="Pageviews" value={format.count(visitor.pageviews)} />
              <Stat name="Time on site" value={format.duration(visitor.duration)} />
              <Stat name="Goals" value={format.count(visitor.goals)} />
            </dl>
          </section>
          {visitor.value_score !== null && (
            <Card
              title="Value score"
              actions={
                <span>
                  <b>{format.count(visitor.value_score)}</b> <span class="dim">of 100</span>
                </span>
              }
            >
              <progress value={visitor.value_score} max={100} aria-label="Value score" />
            </Card>
          )}
          <Card title="Last 28 days">
            <div class="days" role="img" aria-label={`Active on ${days.filter((count) => count > 0).length} of the last ${days.length} days`}>
              {days.map((count, index) => (
                <i key={index} class={`v${level(count, Math.max(...days))}`} />
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
          title={`Erase ${known ? name : `visitor ${name}`}?`}
          action="Erase"
          onClose={() => setErasing(false)}
          onConfirm={async () => {
            await remove("/api/websites/{website_id}/visitors/{visitor}", { path: { website_id: website.id, visitor: visitor.id } });
            refresh(`/api/websites/${website.id}/`);
            toast("Visitor erased.");
            go(`${home}/visitors`, { replace: true });
          }}
        >
          Erases {format.plural(visits.length, "visit")} and {format.plural(visitor.events, "event")} of {known ? name : `visitor ${name}`}. Totals change by 1 visitor. This cannot be undone.
        </Confirm>
      )}
    </Page>
  );
}

const level = (count: number, most: number): number => (count === 0 ? 0 : Math.max(1, Math.ceil((count / most) * 4)));

function Fact({ name, value }: { name: string; value: string | null | undefined }) {
  if (!value) return null;
  return (
    <>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </>
  );
}

const Stat = ({ name, value }: { name: string; value: string }) => (
  <div>
    <dt>{name}</dt>
    <dd>{value}</dd>
  </div>
);

function VisitView({ visit, shown, zone, currency }: { visit: Visit; shown: Shown; zone: string; currency: string }) {
  const events = visit.events.filter(({ type }) => shown === "all" || (type === "pageview") === (shown === "pages"));
  const day = format.dayIn(new Date(visit.started_at), zone);
  const today = format.dayIn(new Date(), zone);
  const when = `${day === today ? "Today" : format.dayWithWeekday(day)}${day.slice(0, 4) === today.slice(0, 4) ? "" : ` ${day.slice(0, 4)}`}, ${format.time(visit.started_at, zone)}`;
  const from = [valueLabel("channel", visit.channel ?? ""), visit.source].filter((one, at, all) => one && all.indexOf(one) === at).join(" · ");
  return (
    <section class="visit">
      <div class="vh2">
        <h3>{when}</h3>
        <Badge tone="line">{from}</Badge>
        <span class="dim wide-only">{format.duration(visit.duration)}</span>
      </div>
      {events.length === 0 ? (
        <p class="hint visitempty">No {shown} in this visit.</p>
      ) : (
        <ol class="tline">
          {events.map((event, index) => (
            <EventView key={index} event={event} zone={zone} currency={currency} />
          ))}
        </ol>
      )}
    </section>
  );
}

const ICONS: Record<string, IconName> = { pageview: "page", goal: "flag", revenue: "flag", outbound_link: "external", file_download: "download", identify: "person", click: "event" };

function EventView({ event, zone, currency }: { event: Event; zone: string; currency: string }) {
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
          <code title={event.title ?? undefined}>{format.path(event.path ?? "")}</code>
        ) : (
          <span class={goal ? "strong" : undefined}>{event.name || event.type}</span>
        )}
        {properties.length > 0 && (
          <div class="props">
            {properties.map(([key, value]) => (
              <span key={key} class="badge">
                <span class="dim">{key}</span> {key === "revenue" && typeof value === "number" ? format.money(value, currency) : String(value)}
              </span>
            ))}
          </div>
        )}
      </div>
      <span class="dim">{event.duration !== null && event.duration > 0 ? format.duration(event.duration) : ""}</span>
    </li>
  );
}

