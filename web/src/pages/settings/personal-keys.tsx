// The card "Personal API keys".
import { useState } from "preact/hooks";
import { post, type Answer } from "../../api/client";
import { refresh, useData } from "../../api/data";
import { list } from "../../lib/format";
import { useSession, type Session } from "../../lib/session";
import { PAID_PLAN_REQUIRED, scopesLabel, type StoredScope } from "../../rules/keys";
import { Button, Card, Empty, Note } from "../../ui/basic";
import { Loaded } from "../parts/loaded";
import { KeyForm, type KeyChoices } from "./key-form";
import { KeyTable } from "./key-table";
import { ShownOnce } from "./shown-once";

type Key = Answer<"/api/account/keys", "get">["keys"][number];

const FULL_ACCESS: StoredScope[] = ["full_access"];

/** What a form sends to the server. */
export const bodyOf = ({ name, scopes, teams, website }: KeyChoices) => ({
  name,
  scopes: scopes === null ? FULL_ACCESS : [...scopes],
  team_ids: teams === null ? null : [...teams],
  website_ids: website === null ? null : [website],
});

/** "Studio is on Free.", "Studio and Client A are on Free." */
const freeTeams = (teams: Session["teams"]): string => (teams.length === 0 ? "You are in no workspace." : `${list(teams.map(({ name }) => name))} ${teams.length === 1 ? "is" : "are"} on Free.`);

/** The names of the teams that a key is restricted to. */
export const teamsLabel = (ids: readonly string[] | null | undefined, teams: Session["teams"], all = "All teams"): string =>
  ids == null ? all : list(ids.map((id) => teams.find((team) => team.id === id)?.name ?? "A former team"));

export function PersonalKeys() {
  const { teams } = useSession();
  const keys = useData("/api/account/keys");
  const [creating, setCreating] = useState(false);
  const [shown, setShown] = useState<string>();
  const isFree = teams.every(({ api_access }) => !api_access);
  return (
    <>
      <Card
        title="Personal API keys"
        flush
        actions={
          <Button kind="primary" icon="plus" disabledReason={isFree ? PAID_PLAN_REQUIRED : undefined} onClick={() => setCreating(true)}>
            New API key<span class="vh"> – Create API key</span>
          </Button>
        }
        foot={
          <span>
            Requests made with these keys count as yours. Keys of the workspace are under <a href="/settings/api-keys">Settings → API keys</a>.
          </span>
        }
      >
        {isFree && (
          <div class="card-body">
            <Note tone="warn">
              <p>{PAID_PLAN_REQUIRED}</p>
              <p class="mid">
                {freeTeams(teams)} Sending events with the script needs no key and goes on. <a href="/settings/billing">Settings → Billing</a>
              </p>
            </Note>
          </div>
        )}
        <Loaded of={keys} what="The keys">
          {({ keys }) => {
            if (keys.length > 0) return <KeyTable<Key> label="Personal API keys" keys={keys} badgeOf={(key) => scopesLabel(key.scopes)} reach="Team access" reachOf={(key) => teamsLabel(key.team_ids, teams)} />;
            return isFree ? null : <Empty title="No keys yet">A key lets a program read your numbers.</Empty>;
          }}
        </Loaded>
      </Card>
      {creating && (
        <KeyForm
          title="Create API key"
          action="Create"
          initial={{ name: "", scopes: null, teams: null, website: null }}
          onClose={() => setCreating(false)}
          send={async (choices) => {
            const made = await post("/api/account/keys", { body: bodyOf(choices) });
            setCreating(false);
            setShown(made.key);
            refresh("/api/account/keys");
          }}
        />
      )}
      {shown !== undefined && <ShownOnce value={shown} onClose={() => setShown(undefined)} />}
    </>
  );
}
