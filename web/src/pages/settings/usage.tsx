// Settings → Usage: what the workspace used of its plan, and the limits behind it.
import "../../styles/settings.css";
import { useData } from "../../api/data";
import { count, dateTime, percent } from "../../lib/format";
import type { Team } from "../../lib/team";
import type { PageProps } from "../../routes";
import { Page } from "../../shell/page";
import { Badge, Card, Note } from "../../ui/basic";
import { Loaded } from "../parts/loaded";
import { NavTabs } from "../parts/nav-tabs";
import { WithTeam } from "./with-team";

export function UsagePage(_: PageProps) {
  return (
    <WithTeam title="Usage" needs={{ action: "see-billing", what: "Usage is seen by" }}>
      {(team) => <UsageView key={team.id} team={team} tab="usage" />}
    </WithTeam>
  );
}

export function LimitsPage(_: PageProps) {
  return (
    <WithTeam title="Limits" needs={{ action: "see-billing", what: "Limits are seen by" }}>
      {(team) => <UsageView key={team.id} team={team} tab="limits" />}
    </WithTeam>
  );
}

function UsageView({ team, tab }: { team: Team; tab: "usage" | "limits" }) {
  return (
    <Page
      title="Usage"
      tab={team.name}
      crumbs={[
        { label: "Settings", href: "/settings/account" },
        { label: "Workspace", href: "/settings/workspace" },
      ]}
      beside={<Badge>{team.name}</Badge>}
      narrow
    >
      <div class="stack stack-16">
        <NavTabs
          label="Usage"
          tabs={[
            { href: "/settings/usage", label: "This month" },
            { href: "/settings/usage/limits", label: "Limits" },
          ]}
          current={tab === "usage" ? "/settings/usage" : "/settings/usage/limits"}
        />
        {tab === "usage" ? <Month team={team} /> : <Limits team={team} />}
      </div>
    </Page>
  );
}

interface MeterProps {
  readonly name: string;
  readonly used: number;
  readonly limit: number | null | undefined;
}

/** What was used of a limit. */
function Meter({ name, used, limit }: MeterProps) {
  const isFull = limit != null && used >= limit;
  return (
    <li class="meter">
      <div class="row wrap">
        <span>{name}</span>
        <span class="grow" />
        <span class="strong">{count(used)}</span>
        <span class="dim">{limit == null ? "without a limit" : `of ${count(limit)}`}</span>
        {isFull && <Badge tone="warn">Used up</Badge>}
      </div>
      {limit != null && (
        <progress value={Math.min(used, limit)} max={Math.max(1, limit)} aria-label={name}>
          {percent(used / Math.max(1, limit))}
        </progress>
      )}
    </li>
  );
}

/** From which share on it is said that the events of the month run out. */
const NEARLY = 0.8;

function Month({ team }: { team: Team }) {
  const usage = useData("/api/teams/{team_id}/usage", { path: { team_id: team.id } });
  return (
    <Loaded of={usage} what="The usage" lines={5} onPage>
      {({ since, events, websites, members, keys, mcp_queries: asked }) => (
        <div class="stack stack-16">
          {events.limit != null && events.used >= events.limit && (
            <Note tone="bad">
              <p>The events of this month are used up. What comes until the next month is not stored; an owner of {team.name} can change the plan.</p>
            </Note>
          )}
          {events.limit != null && events.used < events.limit && events.used >= events.limit * NEARLY && (
            <Note tone="warn">
              <p>{percent(events.used / events.limit)} of the events of this month are used. Beyond {count(events.limit)} they are not stored.</p>
            </Note>
          )}
          <Card title="This month" flush foot={`Events are counted since ${dateTime(since, "UTC")} UTC, and from zero again in the next month.`}>
          <ul class="meters">
            <Meter name="Events" used={events.used} limit={events.limit} />
            <Meter name="Websites" used={websites.used} limit={websites.limit} />
            <Meter name="Members" used={members.used} limit={members.limit} />
            <Meter name="Queries of your assistants today (MCP)" used={asked.used} limit={asked.limit} />
            <li>
              <div class="row wrap">
                <a href="/settings/api-keys">Workspace keys</a>
                <span class="grow" />
                <span class="strong">{count(keys)}</span>
              </div>
            </li>
          </ul>
          </Card>
        </div>
      )}
    </Loaded>
  );
}

/** Limits for every address, whatever the plan. */
const ADDRESS_LIMITS = [
  ["Tracking, in a burst", "60 requests in 10 seconds"],
  ["Tracking, over time", "5,000 requests an hour"],
  ["Public endpoints", "30 requests a minute"],
  ["Signing in", "30 requests a minute"],
] as const;

function Limits({ team }: { team: Team }) {
  const plan = useData("/api/teams/{team_id}/plan", { path: { team_id: team.id } });
  return (
    <div class="stack stack-16">
      <Card title="Limits of the plan">
        <Loaded of={plan} what="The limits">
          {({ limits: present }) => (
              <dl class="facts">
                <dt>Requests a minute, each key</dt>
                <dd>{!present.api_access ? "no API access" : count(present.requests_per_minute)}</dd>
                <dt>Requests a month, each key</dt>
                <dd>{!present.api_access ? "–" : count(present.requests_per_month)}</dd>
                <dt>Events a month</dt>
                <dd>{present.events_per_month == null ? "without a limit" : count(present.events_per_month)}</dd>
              </dl>
          )}
        </Loaded>
      </Card>
      <Card title="Limits of each IP address" foot="The operator of the server may have set others.">
        <dl class="facts">
          {ADDRESS_LIMITS.map(([what, limit]) => (
            <>
              <dt>{what}</dt>
              <dd>{limit}</dd>
            </>
          ))}
        </dl>
      </Card>
    </div>
  );
}
