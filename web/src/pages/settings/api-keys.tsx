// Settings → API keys: the keys of the workspace, and who may make personal keys that reach it.
import "../../styles/keys.css";
import "../../styles/settings.css";
import { useState } from "preact/hooks";
import { patch, post, type Answer } from "../../api/client";
import { refresh, useData } from "../../api/data";
import { plural } from "../../lib/format";
import type { Team } from "../../lib/team";
import { useWebsites } from "../../lib/websites";
import { KEY_POLICIES, PAID_PLAN_REQUIRED, type KeyPolicy } from "../../rules/keys";
import { ROLES } from "../../rules/roles";
import { Page } from "../../shell/page";
import { Badge, Button, Card, Empty, Note } from "../../ui/basic";
import { Choice } from "../../ui/form";
import { Confirm, toast } from "../../ui/overlay";
import { Loaded } from "../parts/loaded";
import { KeyTable, websitesLabel } from "./key-table";
import { ShownOnce } from "./shown-once";
import { WithTeam } from "./with-team";
import { WorkspaceKeyForm } from "./workspace-key-form";

type Key = Answer<"/api/teams/{team_id}/keys", "get">["keys"][number];
type Member = Answer<"/api/teams/{team_id}/members", "get">["members"][number];

export default function ApiKeysPage() {
  return (
    <WithTeam title="API keys" needs={{ action: "manage-workspace-keys", what: "Workspace keys are managed by" }}>
      {(team) => <ApiKeysView key={team.id} team={team} />}
    </WithTeam>
  );
}

function ApiKeysView({ team }: { team: Team }) {
  return (
    <Page
      title="API keys"
      tab={team.name}
      crumbs={[
        { label: "Settings", href: "/settings/account" },
        { label: "Security & access", href: "/settings/account/security" },
      ]}
      beside={<Badge>{team.name}</Badge>}
      narrow
    >
      <div class="stack stack-16">
        <WorkspaceKeys team={team} />
        <Governance team={team} />
      </div>
    </Page>
  );
}

const badgeOf = (key: Key): string => (key.website_ids == null ? "Full access" : "One website");

function WorkspaceKeys({ team }: { team: Team }) {
  const keys = useData("/api/teams/{team_id}/keys", { path: { team_id: team.id } });
  const websites = useWebsites();
  const [creating, setCreating] = useState(false);
  const [shown, setShown] = useState<string>();
  const isFree = !team.api_access;
  return (
    <>
      <Card
        title="Workspace API keys"
        flush
        actions={
          <Button kind="primary" icon="plus" disabledReason={isFree ? PAID_PLAN_REQUIRED : undefined} onClick={() => setCreating(true)}>
            Create New API Key
          </Button>
        }
        foot="Belong to the workspace and stay when members leave. Owners and admins manage them."
      >
        {isFree && (
          <div class="card-body">
            <Note tone="warn">
              <p>{PAID_PLAN_REQUIRED}</p>
              <p class="mid">
                {team.name} is on Free. <a href="/settings/billing">Settings → Billing</a>
              </p>
            </Note>
          </div>
        )}
        <Loaded of={keys} what="The keys">
          {({ keys }) =>
            keys.length > 0 ? (
              <KeyTable<Key> label="Workspace API keys" keys={keys} badgeOf={badgeOf} reach="Website" reachOf={(key) => websitesLabel(key.website_ids, websites.data?.websites)} />
            ) : isFree ? null : (
              <Empty title="No workspace keys yet.">They stay when members leave: the right ones for shared programs and CI.</Empty>
            )
          }
        </Loaded>
      </Card>
      {creating && (
        <WorkspaceKeyForm
          title="Create API key"
          action="Create"
          team={team.id}
          initial={{ name: "", website: null }}
          onClose={() => setCreating(false)}
          send={async ({ name, website }) => {
            const made = await post("/api/teams/{team_id}/keys", { path: { team_id: team.id }, body: { name, website_ids: website === null ? null : [website] } });
            setCreating(false);
            setShown(made.key);
            refresh(`/api/teams/${team.id}/keys`);
          }}
        />
      )}
      {shown !== undefined && <ShownOnce value={shown} onClose={() => setShown(undefined)} />}
    </>
  );
}

/** What a policy cuts off at this moment. */
function cutOff(policy: KeyPolicy, members: readonly Member[], team: Team): string | undefined {
  const keysOf = (roles: readonly string[]) => members.filter(({ role }) => roles.includes(role)).reduce((sum, { keys }) => sum + keys, 0);
  if (policy === "owners_and_admins") {
    const keys = keysOf(["editor", "viewer"]);
    return keys === 0 ? "No key that exists now stops" : `${plural(keys, "key")} of editors and viewers would stop reaching ${team.name} at once`;
  }
  if (policy !== "no_one") return undefined;
  const keys = keysOf(ROLES);
  const only = `Only workspace keys reach ${team.name}`;
  return keys === 0 ? only : `${only}; ${plural(keys, "personal key")} would stop at once`;
}

function Governance({ team }: { team: Team }) {
  const detail = useData("/api/teams/{team_id}", { path: { team_id: team.id } });
  const { data: facts } = useData("/api/teams/{team_id}/members", { path: { team_id: team.id } });
  const members = facts?.members ?? [];
  const [asking, setAsking] = useState<KeyPolicy>();
  return (
    <Card title="Who may create personal keys that reach this workspace">
      <Loaded of={detail} what="The rule">
        {(data) => (
          <fieldset>
            <legend class="vh">Who may create personal keys</legend>
            <div class="choices">
              {KEY_POLICIES.map(({ value, label }) => (
                <Choice
                  key={value}
                  type="radio"
                  name="key_policy"
                  label={label}
                  hint={value === data.key_policy ? undefined : cutOff(value, members, team)}
                  checked={(asking ?? data.key_policy) === value}
                  onChecked={() => value !== data.key_policy && setAsking(value)}
                />
              ))}
            </div>
          </fieldset>
        )}
      </Loaded>
      {asking && (
        <Confirm
          title={`Personal keys: ${KEY_POLICIES.find(({ value }) => value === asking)?.label.toLowerCase()}?`}
          action="Change"
          onClose={() => setAsking(undefined)}
          onConfirm={async () => {
            await patch("/api/teams/{team_id}", { path: { team_id: team.id }, body: { key_policy: asking } });
            refresh(`/api/teams/${team.id}`);
            toast("Saved.");
          }}
        >
          {cutOff(asking, members, team) ?? `Every member may create keys that reach ${team.name}`}.
        </Confirm>
      )}
    </Card>
  );
}
