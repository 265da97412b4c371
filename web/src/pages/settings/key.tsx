// One key: what it may do, what it did, changing and revoking it.
import "../../styles/keys.css";
import "../../styles/settings.css";
import { useState } from "preact/hooks";
import { patch, remove, type Answer, type Ask } from "../../api/client";
import { refresh, useData, type Data } from "../../api/data";
import { ago, count, dateOf, dateTime, plural, time } from "../../lib/format";
import { go } from "../../lib/router";
import { useSession } from "../../lib/session";
import { useWebsites } from "../../lib/websites";
import { SCOPES, scopesLabel } from "../../rules/keys";
import type { PageProps } from "../../routes";
import { Page, PageState } from "../../shell/page";
import { Badge, Button, Card, Empty, Note } from "../../ui/basic";
import { Table } from "../../ui/data";
import { Confirm, MoreMenu, toast } from "../../ui/overlay";
import { Loaded } from "../parts/loaded";
import { saveFile } from "../parts/save-file";
import { KeyForm } from "./key-form";
import { ScopeBadge, websitesLabel } from "./key-table";
import { bodyOf, teamsLabel } from "./personal-keys";
import { WorkspaceKeyForm } from "./workspace-key-form";

type Key = Answer<"/api/keys/{key_id}", "get">;
type Activity = Answer<"/api/keys/{key_id}/activity", "get">;
type Changes = NonNullable<Ask<"/api/keys/{key_id}", "patch">["body"]>;

export default function KeyPage({ params: { kid = "" } }: PageProps) {
  const key = useData("/api/keys/{key_id}", { path: { key_id: kid } });
  if (key.data === undefined) return <PageState title="Key" of={key} what="this key" narrow />;
  return <KeyView keyData={key.data} />;
}

function KeyView({ keyData: key }: { keyData: Key }) {
  const { teams } = useSession();
  const activity = useData("/api/keys/{key_id}/activity", { path: { key_id: key.id } });
  const websites = useWebsites();
  const [open, setOpen] = useState<"edit" | "revoke">();
  const close = (): void => setOpen(undefined);
  const isPersonal = key.kind === "personal";
  const listed = isPersonal ? "/settings/account/security" : "/settings/api-keys";
  return (
    <Page
      title={key.name}
      crumbs={[{ label: isPersonal ? "Security & access" : "API keys", href: listed }]}
      beside={<ScopeBadge words={scopesLabel(key.scopes)} />}
      actions={
        <MoreMenu
          label="Key menu"
          small={false}
          kind="secondary"
          items={[
            { label: "Edit", icon: "edit", onSelect: () => setOpen("edit") },
            { label: "Revoke", icon: "exclude", danger: true, onSelect: () => setOpen("revoke") },
          ]}
        />
      }
      narrow
    >
      <div class="grid side">
        <div class="stack stack-16">
          <Card title="Accepted events" hint="and requests, counted by the server" flush>
            <Loaded of={activity} what="The activity">
              {({ accepted, counted }) => (
                <dl class="stats">
                  <Accepted period="Last 24 hours" events={accepted.last_24h} requests={counted.last_24h} />
                  <Accepted period="Last 7 days" events={accepted.last_7d} requests={counted.last_7d} />
                  <Accepted period="All time" events={accepted.all} requests={counted.all} />
                </dl>
              )}
            </Loaded>
          </Card>
          <RecentEvents name={key.name} activity={activity} />
        </div>
        <aside class="stack stack-16">
          <Card title="Key">
            <dl class="facts">
              <dt>Prefix</dt>
              <dd class="mono">{key.prefix}</dd>
              <dt>Scope</dt>
              <dd>{scopesLabel(key.scopes)}</dd>
              <dt>Team access</dt>
              <dd>{isPersonal ? teamsLabel(key.team_ids, teams, "All teams you have access to") : teamsLabel(key.team_id === null ? [] : [key.team_id], teams)}</dd>
              <dt>Website</dt>
              <dd>{websitesLabel(key.website_ids, websites.data?.websites, "All")}</dd>
              <dt>Created</dt>
              <dd>{dateTime(key.created_at)}</dd>
              <dt>Last used</dt>
              <dd>{key.last_used_at == null ? "never" : ago(key.last_used_at)}</dd>
            </dl>
          </Card>
          <Note>
            <p>A key cannot be renewed in place. Create a new one, deploy it, then revoke this one.</p>
          </Note>
        </aside>
      </div>
      {open === "edit" && <EditKey keyData={key} onClose={close} />}
      {open === "revoke" && (
        <Confirm
          title={`Revoke “${key.name}”?`}
          action="Revoke"
          onClose={close}
          onConfirm={async () => {
            await remove("/api/keys/{key_id}", { path: { key_id: key.id } });
            refreshKeys();
            toast(`Key “${key.name}” revoked.`);
            go(listed, { replace: true });
          }}
        >
          Requests with <code>{key.prefix}</code> fail with 401 from this moment. {lastUse(key, activity.data)} This cannot be undone.
        </Confirm>
      )}
    </Page>
  );
}

/** Every list that has keys. */
function refreshKeys(): void {
  refresh("/api/account/keys");
  refresh("/api/keys/");
  refresh("/api/teams/");
}

/** "It was last used 2m ago, 283 times in the last 24 hours." */
function lastUse(key: Key, activity: Activity | undefined): string {
  if (key.last_used_at == null) return "It was never used.";
  const times = activity?.counted.last_24h;
  const last = ago(key.last_used_at);
  return `It was last used ${last === "now" ? "just now" : last}${times === undefined ? "" : `, ${plural(times, "time")} in the last 24 hours`}.`;
}

function EditKey({ keyData: key, onClose }: { keyData: Key; onClose: () => void }) {
  const send = async (body: Changes): Promise<void> => {
    await patch("/api/keys/{key_id}", { path: { key_id: key.id }, body });
    refreshKeys();
    toast("Saved.");
    onClose();
  };
  const website = key.website_ids?.[0] ?? null;
  if (key.kind === "workspace") {
    return (
      <WorkspaceKeyForm
        title="Edit API key"
        action="Save"
        team={key.team_id ?? ""}
        initial={{ name: key.name, website }}
        send={({ name, website }) => send({ name, website_ids: website === null ? null : [website] })}
        onClose={onClose}
      />
    );
  }
  const scopes = key.scopes.includes("full_access") ? null : SCOPES.filter((scope) => key.scopes.includes(scope));
  return (
    <KeyForm
      title="Edit API key"
      action="Save"
      initial={{ name: key.name, scopes, teams: key.team_ids ?? null, website }}
      send={(choices) => send(bodyOf(choices))}
      onClose={onClose}
    />
  );
}

function Accepted({ period, events, requests }: { period: string; events: number; requests: number }) {
  return (
    <div>
      <dt>{period}</dt>
      <dd>
        {count(events)}
        <small>{plural(requests, "request")}</small>
      </dd>
    </div>
  );
}

/** The last requests and batches of the key, newest first. */
function RecentEvents({ name, activity }: { name: string; activity: Data<Activity> }) {
  const requests = activity.data?.requests ?? [];
  return (
    <Card
      title="Recent events"
      flush
      actions={
        requests.length > 0 && (
          <Button small kind="quiet" icon="download" onClick={() => saveFile(`${name}.csv`, "text/csv", csvOf(requests))}>
            Export
          </Button>
        )
      }
    >
      <Loaded of={activity} what="The events">
        {({ requests }) =>
          requests.length === 0 ? (
            <Empty title="Nothing yet">The last hundred requests of this key are listed here.</Empty>
          ) : (
            <Table
              caption="The last requests of this key"
              rows={requests}
              rowKey={(row) => `${row.at} ${row.method} ${row.route} ${row.ms}`}
              columns={[
                { id: "at", title: "Time", cell: (row) => <RequestTime at={row.at} /> },
                { id: "route", title: "Request", class: "mono clip", cell: (row) => `${row.method} ${row.route}` },
                { id: "events", title: "Events", num: true, wide: true, cell: (row) => <Events accepted={row.accepted} rejected={row.rejected} /> },
                { id: "status", title: "Status", num: true, cell: (row) => <Badge {...(row.status >= 400 && { tone: "bad" as const })}>{row.status}</Badge> },
                { id: "ms", title: "Took", num: true, wide: true, cell: (row) => <span class="mid">{count(row.ms)}&nbsp;ms</span> },
              ]}
            />
          )
        }
      </Loaded>
    </Card>
  );
}

/** The time alone within a day. */
function RequestTime({ at }: { at: string }) {
  const isRecent = Date.now() - Date.parse(at) < 86_400_000;
  return (
    <time class="mid" dateTime={at} title={dateTime(at)}>
      {isRecent ? time(at, undefined, true) : dateOf(at)}
    </time>
  );
}

function Events({ accepted, rejected }: { accepted: number | null; rejected: number | null }) {
  if (accepted === null || rejected === null) return <span class="dim">–</span>;
  return (
    <span class="mid">
      {count(accepted)}
      {rejected > 0 && <>, {count(rejected)} rejected</>}
    </span>
  );
}

/** Route patterns are the server's own words: they have no comma and no quote. */
const csvOf = (requests: Activity["requests"]): string =>
  ["at,method,route,status,ms,accepted,rejected", ...requests.map(({ at, method, route, status, ms, accepted, rejected }) => [at, method, route, status, ms, accepted, rejected].join(","))].join("\n");
