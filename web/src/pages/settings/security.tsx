// Settings → Account → Security & access.
import "../../styles/keys.css";
import "../../styles/settings.css";
import { useState } from "preact/hooks";
import { put, remove } from "../../api/client";
import { refresh, useData } from "../../api/data";
import { ago, dateOf } from "../../lib/format";
import { loadSession } from "../../lib/session";
import { newPassword, presentPassword } from "../../rules/fields";
import { Page } from "../../shell/page";
import { Badge, Button, Card, Dot } from "../../ui/basic";
import { PasswordField, useForm } from "../../ui/form";
import { Confirm, toast } from "../../ui/overlay";
import { PASSWORD_HINT } from "../gate/account";
import { FormDialog } from "../parts/form-dialog";
import { Loaded } from "../parts/loaded";
import { McpClients } from "./mcp-clients";
import { Passkeys } from "./passkeys";
import { PersonalKeys } from "./personal-keys";
import { TwoFactor } from "./two-factor";

export default function SecurityPage() {
  const account = useData("/api/account");
  return (
    <Page
      title="Security & access"
      crumbs={[
        { label: "Settings", href: "/settings/account" },
        { label: "Account", href: "/settings/account" },
      ]}
      narrow
    >
      <div class="stack stack-16">
        <PersonalKeys />
        <McpClients />
        <TwoFactor account={account} />
        <Passkeys />
        <Sessions />
        <Password />
      </div>
    </Page>
  );
}

/** "Firefox on Linux". */
const clientOf = ({ browser, os }: { browser: string; os: string }): string => (browser === "" ? "Unknown browser" : browser) + (os === "" ? "" : ` on ${os}`);

function Sessions() {
  const sessions = useData("/api/account/sessions");
  const [ending, setEnding] = useState(false);
  const others = sessions.data?.sessions.filter((one) => !one.current).length ?? 0;
  return (
    <Card
      title="Sessions"
      flush
      actions={
        others > 0 && (
          <Button small onClick={() => setEnding(true)}>
            End all others
          </Button>
        )
      }
    >
      <Loaded of={sessions} what="The sessions">
        {({ sessions }) => (
          <ul class="list">
            {sessions.map((one) => (
              <li key={one.id}>
                <Dot label={one.current ? "active" : "idle"} {...(!one.current && { tone: "off" as const })} />
                <div class="grow">
                  <p>
                    {clientOf(one)} {one.current && <Badge>This device</Badge>}
                  </p>
                  <p class="hint">
                    {one.current ? "now" : ago(one.last_seen_at)} · since {dateOf(one.created_at)}
                  </p>
                </div>
                {!one.current && <EndSession id={one.id} client={clientOf(one)} />}
              </li>
            ))}
          </ul>
        )}
      </Loaded>
      {ending && (
        <Confirm
          title="End all other sessions?"
          action="End them"
          onClose={() => setEnding(false)}
          onConfirm={async () => {
            await remove("/api/account/sessions");
            refresh("/api/account/sessions");
            toast("All other sessions ended.");
          }}
        >
          Whoever uses this account elsewhere must sign in again. Keys go on working.
        </Confirm>
      )}
    </Card>
  );
}

function EndSession({ id, client }: { id: string; client: string }) {
  const [pending, setPending] = useState(false);
  return (
    <Button
      small
      kind="quiet"
      pending={pending}
      onClick={async () => {
        setPending(true);
        try {
          await remove("/api/account/sessions/{session_id}", { path: { session_id: id } });
          toast("Session ended.");
        } finally {
          setPending(false);
          refresh("/api/account/sessions");
        }
      }}
    >
      End<span class="vh"> the session of {client}</span>
    </Button>
  );
}

function Password() {
  const [changing, setChanging] = useState(false);
  return (
    <Card title="Password" flush actions={<Button small onClick={() => setChanging(true)}>Change password</Button>}>
      {changing && <ChangePassword onClose={() => setChanging(false)} />}
    </Card>
  );
}

function ChangePassword({ onClose }: { onClose: () => void }) {
  const form = useForm({
    initial: { current: "", new: "" },
    rules: { current: presentPassword, new: newPassword },
    async submit(values) {
      await put("/api/account/password", { body: values });
      await loadSession();
      refresh("/api/account");
      refresh("/api/account/mcp-clients");
      toast("Password changed. All other sessions and MCP clients ended.");
      onClose();
    },
  });
  return (
    <FormDialog title="Change password" form={form} action="Change password" onClose={onClose}>
      <PasswordField {...form.bind("current")} label="Current password" autocomplete="current-password" autofocus />
      <PasswordField {...form.bind("new")} label="New password" autocomplete="new-password" hint={PASSWORD_HINT} />
    </FormDialog>
  );
}
