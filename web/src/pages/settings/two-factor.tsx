// A second factor: an authenticator app, with ten backup codes.
import "../../styles/gate.css";
import { useState } from "preact/hooks";
import { ApiError, post, put, remove, type Answer } from "../../api/client";
import { refresh, type Data } from "../../api/data";
import { loadSession } from "../../lib/session";
import { normalCode, presentPassword, totpCode } from "../../rules/fields";
import { Badge, Button, Card, Note } from "../../ui/basic";
import { CopyButton } from "../../ui/data";
import { FormFailure, PasswordField, TextField, useForm } from "../../ui/form";
import { Icon } from "../../ui/icons";
import { Dialog, toast } from "../../ui/overlay";
import { FormDialog } from "../parts/form-dialog";
import { Loaded } from "../parts/loaded";
import { saveFile } from "../parts/save-file";

type Account = Answer<"/api/account", "get">;
type Setup = Answer<"/api/account/totp", "post">;

type Open =
  | { readonly kind: "setup"; readonly setup: Setup }
  | { readonly kind: "codes"; readonly codes: readonly string[] }
  | { readonly kind: "new-codes" }
  | { readonly kind: "off" };

/** The session says whether there is a second factor, and the account how many codes are left. */
async function changed(): Promise<void> {
  await loadSession();
  refresh("/api/account");
}

export function TwoFactor({ account }: { account: Data<Account> }) {
  const [open, setOpen] = useState<Open>();
  const [failure, setFailure] = useState<ApiError>();
  const close = (): void => setOpen(undefined);
  const begin = async (): Promise<void> => {
    setFailure(undefined);
    try {
      setOpen({ kind: "setup", setup: await post("/api/account/totp") });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setFailure(error);
    }
  };
  return (
    <Card
      title={
        <>
          Two-factor authentication {account.data && (account.data.totp ? <Badge tone="accent" icon="check">On</Badge> : <Badge>Off</Badge>)}
        </>
      }
      flush
    >
      {failure && (
        <div class="card-body">
          <FormFailure error={failure} what="The setup could not begin." />
        </div>
      )}
      <Loaded of={account} what="The second factor" lines={2}>
        {({ totp, backup_codes }) => (
          <ul class="list">
            <li>
              <Icon name="shield" />
              <div class="grow">
                <p>Authenticator app</p>
                <p class="hint">{totp ? "Asked at every sign-in" : "Six digits from your phone, at every sign-in"}</p>
              </div>
              <Button small onClick={() => void begin()}>
                {totp ? "Replace" : "Set up"}
                <span class="vh"> the authenticator app</span>
              </Button>
              {totp && (
                <Button small kind="quiet" onClick={() => setOpen({ kind: "off" })}>
                  Turn off
                </Button>
              )}
            </li>
            {totp && (
              <li>
                <Icon name="key" />
                <div class="grow">
                  <p>Backup codes</p>
                  <p class="hint">{backup_codes} of 10 left; each works once</p>
                </div>
                <Button small onClick={() => setOpen({ kind: "new-codes" })}>
                  Make new codes
                </Button>
              </li>
            )}
          </ul>
        )}
      </Loaded>
      {open?.kind === "setup" && <SetUp setup={open.setup} onClose={close} onDone={(codes) => setOpen({ kind: "codes", codes })} />}
      {open?.kind === "codes" && <BackupCodes codes={open.codes} onClose={close} />}
      {open?.kind === "new-codes" && <NewCodes onClose={close} onDone={(codes) => setOpen({ kind: "codes", codes })} />}
      {open?.kind === "off" && <TurnOff onClose={close} />}
    </Card>
  );
}

interface StepProps {
  readonly onClose: () => void;
  readonly onDone: (codes: readonly string[]) => void;
}

function SetUp({ setup, onClose, onDone }: StepProps & { readonly setup: Setup }) {
  const form = useForm({
    initial: { code: "", password: "" },
    rules: { code: totpCode, password: presentPassword },
    async submit({ code, password }) {
      const { backup_codes } = await put("/api/account/totp", { body: { password, code } });
      await changed();
      onDone(backup_codes);
    },
  });
  const field = form.bind("code");
  return (
    <FormDialog title="Set up an authenticator app" form={form} action="Turn on" onClose={onClose}>
      <p class="mid">Scan this with the app on your phone. Then write the six digits it shows.</p>
      <img class="qr" src={`data:image/svg+xml,${encodeURIComponent(setup.qr_svg)}`} alt="QR code of the setup key" width="192" height="192" />
      <details class="adv">
        <summary>Type the setup key instead</summary>
        <div class="secret">
          <output class="mono" aria-label="Setup key">
            {setup.secret.replace(/(.{4})(?=.)/g, "$1 ")}
          </output>
        </div>
      </details>
      <TextField {...field} onValue={(value) => field.onValue(normalCode(value))} label="Code" otp inputMode="numeric" autocomplete="one-time-code" autofocus />
      <PasswordField {...form.bind("password")} label="Password" autocomplete="current-password" />
    </FormDialog>
  );
}

/** Shown once: they are as good as the app. */
function BackupCodes({ codes, onClose }: { codes: readonly string[]; onClose: () => void }) {
  const text = codes.join("\n");
  return (
    <Dialog
      title="Your backup codes"
      onClose={onClose}
      foot={
        <>
          <Button icon="download" onClick={() => saveFile("zenovay-backup-codes.txt", "text/plain", `${text}\n`)}>
            Save
          </Button>
          <CopyButton text={text} small={false} />
          <Button kind="primary" autofocus onClick={onClose}>
            Done
          </Button>
        </>
      }
    >
      <div class="dlg-body">
        <Note tone="warn" icon="eye">
          <p>Each signs you in once when your phone is not at hand. They are not shown again.</p>
        </Note>
        <ol class="codes mono" aria-label="Backup codes">
          {codes.map((code) => (
            <li key={code}>{code}</li>
          ))}
        </ol>
      </div>
    </Dialog>
  );
}

function NewCodes({ onClose, onDone }: StepProps) {
  const form = useForm({
    initial: { password: "" },
    rules: { password: presentPassword },
    async submit({ password }) {
      const { backup_codes } = await post("/api/account/backup-codes", { body: { password } });
      await changed();
      onDone(backup_codes);
    },
  });
  return (
    <FormDialog title="Make new backup codes" form={form} action="Make new codes" onClose={onClose}>
      <p>The ten codes that you have now stop working.</p>
      <PasswordField {...form.bind("password")} label="Password" autocomplete="current-password" autofocus />
    </FormDialog>
  );
}

function TurnOff({ onClose }: { onClose: () => void }) {
  const form = useForm({
    initial: { password: "" },
    rules: { password: presentPassword },
    async submit({ password }) {
      await remove("/api/account/totp", { body: { password } });
      await changed();
      toast("Two-factor authentication is off.");
      onClose();
    },
  });
  return (
    <FormDialog title="Turn two-factor authentication off?" form={form} action="Turn off" danger onClose={onClose}>
      <p>Your password alone signs you in from then on. The backup codes stop working.</p>
      <PasswordField {...form.bind("password")} label="Password" autocomplete="current-password" autofocus />
    </FormDialog>
  );
}
