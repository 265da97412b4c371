// Settings → Billing: the plan, what it has, and changing it.
import "../../styles/settings.css";
import { useState } from "preact/hooks";
import { put, type Answer } from "../../api/client";
import { refresh, useData } from "../../api/data";
import { count, plural } from "../../lib/format";
import { loadSession } from "../../lib/session";
import type { Team } from "../../lib/team";
import { may, type Role } from "../../rules/roles";
import { Page } from "../../shell/page";
import { Badge, Button, Note } from "../../ui/basic";
import { Confirm, toast } from "../../ui/overlay";
import { Loaded } from "../parts/loaded";
import { WithTeam } from "./with-team";

type PlanAnswer = Answer<"/api/teams/{team_id}/plan", "get">;

export default function BillingPage() {
  return (
    <WithTeam title="Billing" needs={{ action: "see-billing", what: "The plan is seen by" }}>
      {(team) => <BillingView key={team.id} team={team} />}
    </WithTeam>
  );
}

/** As the plan is called. */
const planLabel = (name: string): string => name.slice(0, 1).toUpperCase() + name.slice(1);

const limit = (value: number | null | undefined): string => (value == null ? "Unlimited" : count(value));

function BillingView({ team }: { team: Team }) {
  const plan = useData("/api/teams/{team_id}/plan", { path: { team_id: team.id } });
  const [asking, setAsking] = useState<PlanAnswer["plans"][number]>();
  const isOwner = may(team.role as Role, "change-plan");
  return (
    <Page title="Billing" tab={team.name} crumbs={[{ label: "Settings", href: "/settings/account" }, { label: "Workspace", href: "/settings/workspace" }]} beside={<Badge>{team.name}</Badge>} narrow>
      <Loaded of={plan} what="The plan" lines={6} onPage>
        {({ plan, plans, locked }) => (
          <div class="stack stack-16">
            {locked && (
              <Note icon="shield">
                <p>The operator of this server sets the plans.</p>
              </Note>
            )}
            {!locked && !isOwner && (
              <Note icon="shield">
                <p>An owner of {team.name} can change the plan.</p>
              </Note>
            )}
            <div class="plans">
              {plans.map((one) => (
                <PlanCard key={one.name} offer={one} isPresent={one.name === plan} onChoose={locked || !isOwner ? undefined : () => setAsking(one)} />
              ))}
            </div>
            <p class="hint">No payment is taken here: this server is your own. The plan sets the limits of the workspace.</p>
          </div>
        )}
      </Loaded>
      {asking && (
        <Confirm
          title={`Change ${team.name} to ${planLabel(asking.name)}?`}
          action={`Change to ${planLabel(asking.name)}`}
          onClose={() => setAsking(undefined)}
          onConfirm={async () => {
            await put("/api/teams/{team_id}/plan", { path: { team_id: team.id }, body: { plan: asking.name } });
            refresh(`/api/teams/${team.id}`);
            await loadSession();
            toast(`${team.name} is on ${planLabel(asking.name)}.`);
          }}
        >
          {!asking.api_access ? "API keys stop reaching this workspace at once. Events beyond the plan are not stored." : "The new limits hold at once. Nothing is deleted."}
        </Confirm>
      )}
    </Page>
  );
}

/** What a plan includes, as it is called. */
const FEATURES: Readonly<Record<PlanAnswer["plans"][number]["features"][number], string>> = { funnels: "funnels", heatmaps: "heatmaps", replays: "replays", errors: "errors" };

/** Names in a row, as a sentence begins. */
const sentence = (names: readonly string[]): string => {
  const all = names.length === 1 ? (names[0] ?? "") : `${names.slice(0, -1).join(", ")} and ${names.at(-1) ?? ""}`;
  return all.slice(0, 1).toUpperCase() + all.slice(1);
};

/** Days as people count them: whole years as years. */
const span = (days: number): string => (days % 365 === 0 ? plural(days / 365, "year") : plural(days, "day"));

/** What a plan has, in lines. */
function PlanCard({ offer, isPresent, onChoose }: { offer: PlanAnswer["plans"][number]; isPresent: boolean; onChoose: (() => void) | undefined }) {
  const features = offer.features.map((name) => FEATURES[name]);
  const lines = [
    `${limit(offer.events_per_month)} events a month`,
    `${limit(offer.websites)} ${offer.websites === 1 ? "website" : "websites"}`,
    `${limit(offer.members)} ${offer.members === 1 ? "member" : "members"}`,
    !offer.api_access ? "No API access" : `API: ${count(offer.requests_per_minute)} requests a minute, ${count(offer.requests_per_month)} a month`,
    features.length === 0 ? "No funnels, heatmaps, replays or errors" : sentence(features),
    offer.retention_days == null ? "Numbers are kept without an end" : `Numbers are kept for ${span(offer.retention_days)}`,
  ];
  return (
    <section class={isPresent ? "card plan present" : "card plan"} aria-label={planLabel(offer.name)}>
      <div class="row wrap">
        <h2 class="grow">{planLabel(offer.name)}</h2>
        {isPresent && (
          <Badge tone="accent" icon="check">
            Present plan
          </Badge>
        )}
      </div>
      <ul class="stack stack-4 mid">
        {lines.map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
      {!isPresent && onChoose && (
        <Button onClick={onChoose}>
          Change<span class="vh"> to {planLabel(offer.name)}</span>
        </Button>
      )}
    </section>
  );
}
