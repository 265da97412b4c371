// What is counted, from where, and whether the tag is in place.
import "../../../styles/install.css";
import "../../../styles/settings.css";
import type { Answer } from "../../../api/client";
import { useData } from "../../../api/data";
import { ago, count } from "../../../lib/format";
import { botName, eachLine, hostRule, linesOf, network, pathPattern } from "../../../rules/fields";
import { Button, Card, Dot, Empty, Note } from "../../../ui/basic";
import { Table } from "../../../ui/data";
import { FormFailure, Switch, useForm } from "../../../ui/form";
import { LinesField } from "../../parts/lines-field";
import { Loaded } from "../../parts/loaded";
import { RefusedHosts } from "../refused";
import { TagSnippet } from "../snippet";
import { save, useSwitches, type PartProps } from "./save";

/** The most entries of each list, as the server has them. */
const ENTRIES_MAX = 100;
const ADDRESSES_MAX = 1000;

export function TrackingSettings({ website, mayChange }: PartProps) {
  const { settings } = website;
  const switches = useSwitches(website);
  const form = useForm({
    initial: {
      allowed_domains: settings.allowed_domains.join("\n"),
      excluded_paths: settings.excluded_paths.join("\n"),
      excluded_ips: settings.excluded_ips.join("\n"),
      allowed_bots: settings.allowed_bots.join("\n"),
    },
    rules: {
      allowed_domains: eachLine(hostRule, ENTRIES_MAX),
      excluded_paths: eachLine(pathPattern, ENTRIES_MAX),
      excluded_ips: eachLine(network, ADDRESSES_MAX),
      allowed_bots: eachLine(botName, ENTRIES_MAX),
    },
    submit: (values) =>
      save(website, {
        allowed_domains: linesOf(values.allowed_domains),
        excluded_paths: linesOf(values.excluded_paths),
        excluded_ips: linesOf(values.excluded_ips),
        allowed_bots: linesOf(values.allowed_bots),
      }),
  });
  return (
    <div class="stack stack-16">
      <Card title="The tag" hint="on every page" actions={<code class="mid">{website.tracking_code}</code>}>
        <TagSnippet code={website.tracking_code} domain={website.domain} cookieless={settings.cookieless} />
      </Card>
      <InstallHealth website={website} mayChange={mayChange} />
      <form {...form.props}>
        <Card
          title="What is counted"
          foot={
            mayChange ? (
              <>
                <span class="grow" />
                <Button type="submit" kind="primary" pending={form.pending}>
                  Save
                </Button>
              </>
            ) : undefined
          }
        >
          <Switch
            label="Allow Localhost"
            hint="Counts localhost, *.local and 127.0.0.1, too, for trying the tag while you build."
            {...switches.bind("allow_localhost", settings.allow_localhost)}
            disabled={!mayChange}
          />
          <FormFailure error={switches.failure} />
          <LinesField
            {...form.bind("allowed_domains")}
            label="Domains"
            placeholder={website.domain}
            hint={`One per line; *.example.com is every subdomain. Empty: ${website.domain} and its subdomains. Events from other hosts are refused.`}
            readOnly={!mayChange}
          />
          <LinesField {...form.bind("excluded_paths")} label="Pages that are not counted" placeholder="/admin/*" hint="One per line; * is any run of characters." readOnly={!mayChange} />
          <LinesField
            {...form.bind("excluded_ips")}
            label="Addresses that are not counted"
            placeholder="192.0.2.0/24"
            hint="One address or range per line: your office, your own tests."
            readOnly={!mayChange}
          />
          <LinesField {...form.bind("allowed_bots")} label="Bots let through" placeholder="Googlebot" hint="One per line: a part of the user agent. Other bots are dropped." readOnly={!mayChange} />
          <FormFailure error={form.failure} />
        </Card>
      </form>
      <DroppedAgents id={website.id} />
    </div>
  );
}

type Health = Answer<"/api/websites/{website_id}/install", "get">["health"];

/** What is wrong; refused hosts are named with their remedy instead. */
const issuesOf = ({ issues }: Health) => issues.filter(({ code }) => code !== "refused");

/** Whether the tag works, as far as the server sees it (Install Health). */
function InstallHealth({ website, mayChange }: Pick<PartProps, "website" | "mayChange">) {
  const install = useData("/api/websites/{website_id}/install", { path: { website_id: website.id } });
  return (
    <Card
      title="Install Health"
      flush
      actions={
        <Button small kind="quiet" icon="reload" onClick={install.reload}>
          Check again
        </Button>
      }
    >
      <Loaded of={install} what="Install Health">
        {({ health, refused }) => (
          <>
            <ul class="list">
              <HealthRow name="Last event" value={health.last_event_seen_at === null ? "none yet" : ago(health.last_event_seen_at)} bad={health.last_event_seen_at === null} />
              <HealthRow name="Events in the last 5 minutes" value={count(health.last_event_count_5m)} />
              <HealthRow name="Events in the last 24 hours" value={count(health.last_event_count_24h)} />
            </ul>
            {(refused.length > 0 || issuesOf(health).length > 0) && (
              <div class="card-body stack stack-8">
                {issuesOf(health).map(({ code, message }) => (
                  <Note key={code} tone="warn">
                    <p>{message}</p>
                  </Note>
                ))}
                <RefusedHosts website={website} refused={refused} mayAllow={mayChange} />
              </div>
            )}
          </>
        )}
      </Loaded>
    </Card>
  );
}

function HealthRow({ name, value, bad }: { name: string; value: string; bad?: boolean }) {
  return (
    <li>
      <Dot {...(bad && { tone: "warn" as const })} />
      <span class="grow">{name}</span>
      <span class="strong">{value}</span>
    </li>
  );
}

/** Hits that were dropped as a bot's, by user agent, so that one that is a person's can be let through. */
function DroppedAgents({ id }: { id: string }) {
  const install = useData("/api/websites/{website_id}/install", { path: { website_id: id } });
  return (
    <Card title="Dropped as bots" flush hint="in the last 30 days">
      <Loaded of={install} what="The dropped agents">
        {({ dropped_agents }) =>
          dropped_agents.length === 0 ? (
            <Empty title="Nothing was dropped." />
          ) : (
            <Table
              caption="User agents dropped as bots"
              rows={dropped_agents}
              rowKey={(row) => `${row.agent} ${row.reason}`}
              columns={[
                { id: "agent", title: "User agent", class: "agentcell", cell: (row) => <span title={row.agent}>{row.agent === "" ? <span class="dim">(none sent)</span> : row.agent}</span> },
                { id: "why", title: "Why", wide: true, cell: (row) => <span class="mid">{row.rule === "" ? row.reason : `${row.reason}: ${row.rule}`}</span> },
                { id: "hits", title: "Hits", num: true, cell: (row) => count(row.hits) },
                { id: "last", title: "Last", num: true, cell: (row) => <span class="mid">{ago(row.last_at)}</span> },
              ]}
            />
          )
        }
      </Loaded>
    </Card>
  );
}
