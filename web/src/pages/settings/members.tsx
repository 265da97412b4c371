// Settings → Workspace → Members, and who is invited.
import "../../styles/settings.css";
import { useState } from "preact/hooks";
import { patch, post, remove, type Answer } from "../../api/client";
import { refresh, useData } from "../../api/data";
import { ago, dateOf, plural } from "../../lib/format";
import { useSession } from "../../lib/session";
import type { Team } from "../../lib/team";
import type { PageProps } from "../../routes";
import { email } from "../../rules/fields";
import { may, mayRemove, roleLabel, roleMeaning, rolesToGive, whoMay, type Role } from "../../rules/roles";
import { Page } from "../../shell/page";
import { Avatar, Badge, Button, Card, Empty } from "../../ui/basic";
import { CopyButton } from "../../ui/data";
import { Choice, Select, TextField, useForm } from "../../ui/form";
import { Icon } from "../../ui/icons";
import { Confirm, Dialog, toast } from "../../ui/overlay";
import { useInstance } from "../gate/gate";
import { FormDialog } from "../parts/form-dialog";
import { NavTabs } from "../parts/nav-tabs";
import { Loaded } from "../parts/loaded";
import { useChoices } from "../parts/saver";
import { WithTeam } from "./with-team";

type Member = Answer<"/api/teams/{team_id}/members", "get">["members"][number];
type Invitation = Answer<"/api/teams/{team_id}/invitations", "get">["invitations"][number];

const MEMBERS = "/settings/workspace/members";
const INVITATIONS = `${MEMBERS}/invitations`;

export function MembersPage(_: PageProps) {
  return <WithTeam title="Members">{(team) => <MembersView key={team.id} team={team} tab="members" />}</WithTeam>;
}

export function InvitationsPage(_: PageProps) {
  return (
    <WithTeam title="Invitations" needs={{ action: "manage-members", what: "Members are invited by" }}>
      {(team) => <MembersView key={team.id} team={team} tab="invitations" />}
    </WithTeam>
  );
}

function MembersView({ team, tab }: { team: Team; tab: "members" | "invitations" }) {
  const [inviting, setInviting] = useState(false);
  const [made, setMade] = useState<{ url: string; email: string }>();
  const manages = may(team.role as Role, "manage-members");
  return (
    <Page
      title="Members"
      tab={team.name}
      crumbs={[
        { label: "Settings", href: "/settings/account" },
        { label: "Workspace", href: "/settings/workspace" },
      ]}
      beside={<Badge>{team.name}</Badge>}
      actions={
        manages && (
          <Button kind="primary" icon="plus" onClick={() => setInviting(true)}>
            Invite
          </Button>
        )
      }
      narrow
    >
      <div class="stack stack-16">
        {manages && (
          <NavTabs
            label="Members"
            tabs={[
              { href: MEMBERS, label: "Members" },
              { href: INVITATIONS, label: "Invitations" },
            ]}
            current={tab === "members" ? MEMBERS : INVITATIONS}
          />
        )}
        {tab === "members" ? <MemberList team={team} /> : <InvitationList team={team} />}
      </div>
      {inviting && (
        <Invite
          team={team}
          onClose={() => setInviting(false)}
          onMade={(link) => {
            setInviting(false);
            setMade(link);
          }}
        />
      )}
      {made && <InvitationMade {...made} onClose={() => setMade(undefined)} />}
    </Page>
  );
}

function MemberList({ team }: { team: Team }) {
  const { user } = useSession();
  const members = useData("/api/teams/{team_id}/members", { path: { team_id: team.id } });
  const [removing, setRemoving] = useState<Member>();
  return (
    <Card label="Members" flush foot={may(team.role as Role, "manage-members") ? undefined : `Members are managed by ${whoMay("manage-members")}.`}>
      <Loaded of={members} what="The members" lines={4}>
        {({ members }) => (
          <ul class="list">
            {members.map((member) => (
              <MemberRow key={member.user_id} team={team} member={member} isSelf={member.user_id === user.id} onRemove={() => setRemoving(member)} />
            ))}
          </ul>
        )}
      </Loaded>
      {removing && (
        <Confirm
          title={`Remove ${removing.email} from ${team.name}?`}
          action="Remove"
          onClose={() => setRemoving(undefined)}
          onConfirm={async () => {
            await remove("/api/teams/{team_id}/members/{user_id}", { path: { team_id: team.id, user_id: removing.user_id } });
            refresh(`/api/teams/${team.id}`);
            toast(`${removing.email} removed.`);
          }}
        >
          {keysLost(removing, team)}
        </Confirm>
      )}
    </Card>
  );
}

/** "2 keys stop reaching Studio at once." */
const keysLost = ({ keys }: Member, team: Team): string =>
  keys === 0 ? `They no longer see the websites of ${team.name}.` : `${plural(keys, "key stops", "keys stop")} reaching ${team.name} at once. One that reaches only ${team.name} is revoked.`;

function MemberRow({ team, member, isSelf, onRemove }: { team: Team; member: Member; isSelf: boolean; onRemove: () => void }) {
  const own = team.role as Role;
  const role = member.role as Role;
  const giveable = isSelf ? [] : rolesToGive(own, role);
  const { failure, choose, shown } = useChoices<{ role: Role }>(member, async ({ role: next }) => {
    await patch("/api/teams/{team_id}/members/{user_id}", { path: { team_id: team.id, user_id: member.user_id }, body: { role: next } });
    refresh(`/api/teams/${team.id}/members`);
    toast(`${member.name || member.email} is ${roleLabel(next).toLowerCase()} now.`);
  });
  return (
    <li class="memberrow">
      <Avatar name={member.name || member.email} soft />
      <div class="grow">
        <p class="clip">
          {member.name || member.email} {isSelf && <Badge>You</Badge>}
        </p>
        <p class="hint clip">{member.email}</p>
        {failure && (
          <p class="err" role="alert">
            <Icon name="warning" size={14} />
            {failure.message}
          </p>
        )}
      </div>
      {giveable.length > 0 ? (
        <Select
          label={`Role of ${member.email}`}
          hideLabel
          small
          value={shown("role", role)}
          options={giveable.map((one) => ({ value: one, label: roleLabel(one) }))}
          onValue={(next) => choose("role", next)}
        />
      ) : (
        <span class="mid">{roleLabel(role)}</span>
      )}
      {!isSelf && mayRemove(own, role) && (
        <Button small kind="quiet" onClick={onRemove}>
          Remove<span class="vh"> {member.email}</span>
        </Button>
      )}
    </li>
  );
}

function InvitationList({ team }: { team: Team }) {
  const invitations = useData("/api/teams/{team_id}/invitations", { path: { team_id: team.id } });
  const [ending, setEnding] = useState<Invitation>();
  return (
    <Card label="Invitations" flush foot="An invitation works once, for 7 days.">
      <Loaded of={invitations} what="The invitations">
        {({ invitations }) =>
          invitations.length === 0 ? (
            <Empty title="Nobody is invited">An invitation is a link. Send it yourself, or let the server mail it.</Empty>
          ) : (
            <ul class="list">
              {invitations.map((one) => (
                <li key={one.id}>
                  <Icon name="mail" />
                  <div class="grow">
                    <p class="clip">{one.email ?? "Whoever has the link"}</p>
                    <p class="hint">
                      {roleLabel(one.role as Role)} · invited by {one.invited_by} {ago(one.created_at)} · until {dateOf(one.expires_at)}
                    </p>
                  </div>
                  <Button small kind="quiet" onClick={() => setEnding(one)}>
                    Take back<span class="vh"> the invitation of {one.email ?? "whoever has the link"}</span>
                  </Button>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
      {ending && (
        <Confirm
          title="Take the invitation back?"
          action="Take back"
          onClose={() => setEnding(undefined)}
          onConfirm={async () => {
            await remove("/api/teams/{team_id}/invitations/{invitation_id}", { path: { team_id: team.id, invitation_id: ending.id } });
            refresh(`/api/teams/${team.id}/invitations`);
            toast("Invitation taken back.");
          }}
        >
          Its link does not work any more.
        </Confirm>
      )}
    </Card>
  );
}

function Invite({ team, onClose, onMade }: { team: Team; onClose: () => void; onMade: (made: { url: string; email: string }) => void }) {
  const mails = useInstance().data?.mail ?? false;
  const roles = rolesToGive(team.role as Role);
  const form = useForm({
    initial: { email: "", role: "editor" as Role },
    rules: { email: (address) => (address.trim() === "" ? undefined : email(address)) },
    async submit({ email, role }) {
      const address = email.trim();
      const made = await post("/api/teams/{team_id}/invitations", { path: { team_id: team.id }, body: { role, ...(address !== "" && { email: address }) } });
      refresh(`/api/teams/${team.id}/invitations`);
      onMade({ url: made.url, email: address });
    },
  });
  return (
    <FormDialog title={`Invite to ${team.name}`} form={form} action="Invite" onClose={onClose}>
      <TextField
        {...form.bind("email")}
        label="E-mail"
        type="email"
        hint={mails ? "The link is sent there, and only this address can use it. Empty: whoever has the link." : "Only this address can use the link. Empty: whoever has the link."}
        autofocus
      />
      <fieldset>
        <legend>Role</legend>
        <div class="choices">
          {roles.map((role) => (
            <Choice key={role} type="radio" name="role" label={roleLabel(role)} hint={roleMeaning(role)} checked={form.values.role === role} onChecked={() => form.set("role", role)} />
          ))}
        </div>
      </fieldset>
    </FormDialog>
  );
}

function InvitationMade({ url, email, onClose }: { url: string; email: string; onClose: () => void }) {
  const mails = useInstance().data?.mail ?? false;
  return (
    <Dialog
      title="The invitation"
      onClose={onClose}
      foot={
        <>
          <Button onClick={onClose}>Done</Button>
          <CopyButton text={url} label="Copy link" kind="primary" small={false} />
        </>
      }
    >
      <div class="dlg-body">
        <p>{mails && email !== "" ? `The link is on its way to ${email}.` : `Send this link to ${email === "" ? "the person" : email}.`} It works once, for 7 days.</p>
        <div class="secret">
          <output class="mono" aria-label="Link of the invitation">
            {url}
          </output>
        </div>
      </div>
    </Dialog>
  );
}
