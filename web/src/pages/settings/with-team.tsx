// Pages about the workspace that is chosen in the rail.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { useOwners } from "../../lib/owners";
import { useTeam, type Team } from "../../lib/team";
import { may, whoMay, type Action, type Role } from "../../rules/roles";
import { NoPermission, Page } from "../../shell/page";
import { Button, Card, Empty } from "../../ui/basic";
import { NewWorkspace } from "./workspace";

interface Props {
  readonly title: string;
  /** What the reader's role must allow, and what it is about: "Workspace keys are managed by". */
  readonly needs?: { readonly action: Action; readonly what: string };
  readonly children: (team: Team) => ComponentChildren;
}

export function WithTeam({ title, needs, children }: Props) {
  const team = useTeam();
  const [making, setMaking] = useState(false);
  if (team === undefined) {
    return (
      <Page title={title} narrow>
        <Card flush label="No workspace">
          <Empty
            title="You are in no workspace"
            action={
              <Button kind="primary" onClick={() => setMaking(true)}>
                New workspace
              </Button>
            }
          >
            An owner or admin can invite you to theirs, or you make one of your own.
          </Empty>
        </Card>
        {making && <NewWorkspace onClose={() => setMaking(false)} />}
      </Page>
    );
  }
  if (needs && !may(team.role as Role, needs.action)) return <Refused title={title} team={team} needs={`${needs.what} ${whoMay(needs.action)}.`} />;
  return <>{children(team)}</>;
}

/** The page exists; it names whom to ask. */
function Refused({ title, team, needs }: { title: string; team: Team; needs: string }) {
  const owners = useOwners(team.id);
  return <NoPermission title={title} role={team.role} needs={needs} owners={owners} />;
}
