// Pages of a website about what is recorded only where the plan has it and somebody has switched it on.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { useOwners } from "../../lib/owners";
import { atLeast, useSession } from "../../lib/session";
import type { Website } from "../../lib/websites";
import { whoMay } from "../../rules/roles";
import { Button, Card, Empty, LinkButton } from "../../ui/basic";
import { FormFailure } from "../../ui/form";
import type { IconName } from "../../ui/icons";
import { save, type Changes } from "../websites/settings/save";
import { useSaver } from "./saver";

/** Whom to ask: the owners of the workspace of a website. */
function Owners({ website }: { website: Website }) {
  const owners = useOwners(website.team_id);
  return owners.length > 0 ? <> Ask {owners.slice(0, 3).join(" or ")}.</> : null;
}

/** The plan of the website's workspace does not have it. */
export function NotInPlan({ website, what, icon }: { website: Website; what: string; icon: IconName }) {
  const { teams } = useSession();
  const team = teams.find(({ id }) => id === website.team_id);
  const may = atLeast(website.role, "admin");
  return (
    <Card flush label={what}>
      <Empty
        level={2}
        icon={icon}
        title={`The plan of ${team?.name ?? "this workspace"} does not have ${what.toLowerCase()}`}
        action={may && <LinkButton href="/settings/billing">Settings → Billing</LinkButton>}
      >
        An owner can change the plan.
        {!may && <Owners website={website} />}
      </Empty>
    </Card>
  );
}

/** It is switched off: what it would show, and the switch for those who may. */
export function SwitchedOff({ website, what, icon, setting, children }: {
  website: Website;
  what: string;
  icon: IconName;
  /** The name of the setting. */
  setting: string;
  /** What is recorded once it is on. */
  children: ComponentChildren;
}) {
  const may = atLeast(website.role, "editor");
  const [pending, setPending] = useState(false);
  const saver = useSaver(() => save(website, { [setting]: true } as Changes));
  const on = async () => {
    setPending(true);
    await saver.save(undefined);
    setPending(false);
  };
  return (
    <Card flush label={what}>
      <Empty
        level={2}
        icon={icon}
        title={`${what} are off for ${website.domain}`}
        action={
          may && (
            <>
              <div class="row wrap">
                <Button kind="primary" pending={pending} onClick={() => void on()}>
                  Switch on
                </Button>
                <LinkButton kind="quiet" href={`/websites/${website.id}/settings/features`}>
                  All switches
                </LinkButton>
              </div>
              <FormFailure error={saver.failure} />
            </>
          )
        }
      >
        {children}
        {!may && (
          <>
            {" "}
            Your role here is {website.role}. {what} are switched on by {whoMay("change-websites")}.
            <Owners website={website} />
          </>
        )}
      </Empty>
    </Card>
  );
}
