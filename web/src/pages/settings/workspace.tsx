// Settings → Workspace: its name, leaving, handing over, deleting, and making another.
import { useState } from "preact/hooks";
import { patch, post, remove } from "../../api/client";
import { forgetAll, refresh, useData } from "../../api/data";
import { go } from "../../lib/router";
import { loadSession, useSession } from "../../lib/session";
import { chosenTeam, type Team } from "../../lib/team";
import { workspaceName } from "../../rules/fields";
import { may, roleLabel, type Role } from "../../rules/roles";
import { Page } from "../../shell/page";
import { Badge, Button, Card } from "../../ui/basic";
import { FormFailure, Select, TextField, useForm } from "../../ui/form";
import { Confirm, toast } from "../../ui/overlay";
import { FormDialog } from "../parts/form-dialog";
import { SaveFoot } from "../parts/save-foot";
import { WithTeam } from "./with-team";

export default function WorkspacePage() {
  return <WithTeam title="Workspace">{(team) => <WorkspaceView key={team.id} team={team} />}</WithTeam>;
}

function WorkspaceView({ team }: { team: Team }) {
  const role = team.role as Role;
  const [open, setOpen] = useState<"leave" | "transfer" | "delete" | "new">();
  const close = (): void => setOpen(undefined);
  return (
    <Page title="General" tab={team.name} crumbs={[{ label: "Settings", href: "/settings/account" }, { label: "Workspace", href: "/settings/workspace" }]} beside={<Badge>{team.name}</Badge>} narrow>
      <div class="stack stack-16">
        <Name team={team} mayChange={may(role, "manage-members")} />
        <Card title="Membership" flush>
          <ul class="list">
            <li>
              <div class="grow">
                <p>Leave this workspace</p>
                <p class="hint">You are {roleLabel(role).toLowerCase()}. Your keys stop reaching it at once.</p>
              </div>
              <Button small onClick={() => setOpen("leave")}>
                Leave
              </Button>
            </li>
            {may(role, "transfer-workspace") && (
              <li>
                <div class="grow">
                  <p>Hand it over</p>
                  <p class="hint">Another member becomes owner in your place; you become admin.</p>
                </div>
                <Button small onClick={() => setOpen("transfer")}>
                  Hand over
                </Button>
              </li>
            )}
            {may(role, "delete-workspace") && (
              <li>
                <div class="grow">
                  <p>Delete this workspace</p>
                  <p class="hint">With all its websites and their numbers.</p>
                </div>
                <Button small kind="danger" onClick={() => setOpen("delete")}>
                  Delete
                </Button>
              </li>
            )}
            <li>
              <div class="grow">
                <p>Another workspace</p>
                <p class="hint">With its own websites, members and plan.</p>
              </div>
              <Button small icon="plus" onClick={() => setOpen("new")}>
                New workspace
              </Button>
            </li>
          </ul>
        </Card>
      </div>
      {open === "leave" && (
        <Confirm
          title={`Leave ${team.name}?`}
          action="Leave"
          onClose={close}
          onConfirm={async () => {
            await post("/api/teams/{team_id}/leave", { path: { team_id: team.id } });
            await gone();
            toast(`You left ${team.name}.`);
          }}
        >
          You no longer see its websites. Keys that reach only this workspace are revoked.
        </Confirm>
      )}
      {open === "transfer" && <Transfer team={team} onClose={close} />}
      {open === "delete" && (
        <Confirm
          title={`Delete ${team.name}?`}
          action="Delete workspace"
          typed={{ word: team.name, label: "Type the name of the workspace to confirm" }}
          onClose={close}
          onConfirm={async () => {
            await remove("/api/teams/{team_id}", { path: { team_id: team.id } });
            await gone();
            toast(`${team.name} deleted.`);
          }}
        >
          All its websites are erased with their events, replays, clicks, errors, goals and public links. This cannot be undone.
        </Confirm>
      )}
      {open === "new" && <NewWorkspace onClose={close} />}
    </Page>
  );
}

/** The workspace is no longer one of the reader's. */
async function gone(): Promise<void> {
  forgetAll();
  await loadSession();
  go("/websites", { replace: true });
}

function Name({ team, mayChange }: { team: Team; mayChange: boolean }) {
  const form = useForm({
    initial: { name: team.name },
    rules: { name: workspaceName },
    async submit({ name }) {
      await patch("/api/teams/{team_id}", { path: { team_id: team.id }, body: { name: name.trim() } });
      await loadSession();
      toast("Saved.");
    },
  });
  return (
    <form {...form.props}>
      <Card title="Name" foot={mayChange ? <SaveFoot pending={form.pending} /> : "Admins and owners change it."}>
        <TextField {...form.bind("name")} label="Name of the workspace" hideLabel readOnly={!mayChange} />
        <FormFailure error={form.failure} />
      </Card>
    </form>
  );
}

function Transfer({ team, onClose }: { team: Team; onClose: () => void }) {
  const { user } = useSession();
  const members = useData("/api/teams/{team_id}/members", { path: { team_id: team.id } });
  const others = members.data?.members.filter((member) => member.user_id !== user.id) ?? [];
  const form = useForm({
    initial: { user_id: "" },
    rules: { user_id: (id) => (id === "" ? "Choose a member." : undefined) },
    async submit({ user_id }) {
      await post("/api/teams/{team_id}/transfer", { path: { team_id: team.id }, body: { user_id } });
      await loadSession();
      refresh("/api/teams/");
      toast(`${team.name} is handed over.`);
      onClose();
    },
  });
  return (
    <FormDialog title={`Hand over ${team.name}`} form={form} action="Hand over" onClose={onClose}>
      <p>The new owner decides about the plan, the members and the end of the workspace. You stay as admin.</p>
      <Select {...form.bind("user_id")} label="New owner" options={[{ value: "", label: members.loading ? "…" : "Choose…" }, ...others.map((one) => ({ value: one.user_id, label: `${one.name} (${one.email})` }))]} />
    </FormDialog>
  );
}

export function NewWorkspace({ onClose }: { onClose: () => void }) {
  const form = useForm({
    initial: { name: "" },
    rules: { name: workspaceName },
    async submit({ name }) {
      const made = await post("/api/teams", { body: { name: name.trim() } });
      await loadSession();
      chosenTeam.set(made.id);
      toast(`${name.trim()} made.`);
      onClose();
    },
  });
  return (
    <FormDialog title="New workspace" form={form} action="Create" onClose={onClose}>
      <TextField {...form.bind("name")} label="Name" placeholder="Studio" hint="You become its owner." autofocus />
    </FormDialog>
  );
}
