// Passkeys: signing in with the screen lock of a device.
import { useState } from "preact/hooks";
import { ApiError, patch, post, remove, type Answer } from "../../api/client";
import { refresh, useData } from "../../api/data";
import { ago, dateOf } from "../../lib/format";
import { loadSession } from "../../lib/session";
import { nameOf, presentPassword } from "../../rules/fields";
import { createPasskey, hasPasskeys } from "../../rules/webauthn";
import { Button, Card, Empty } from "../../ui/basic";
import { PasswordField, TextField, useForm } from "../../ui/form";
import { Icon } from "../../ui/icons";
import { toast } from "../../ui/overlay";
import { useInstance } from "../gate/gate";
import { FormDialog } from "../parts/form-dialog";
import { Loaded } from "../parts/loaded";

type Passkey = Answer<"/api/account/passkeys", "get">["passkeys"][number];

const named = nameOf("Name it after the device, such as Phone.", 100);

/** Absent where the address of the server allows none, or the browser has none. */
export function Passkeys() {
  const instance = useInstance().data;
  return instance?.passkeys && hasPasskeys() ? <PasskeyCard /> : null;
}

async function changed(): Promise<void> {
  await loadSession();
  refresh("/api/account/passkeys");
}

function PasskeyCard() {
  const passkeys = useData("/api/account/passkeys");
  const [adding, setAdding] = useState(false);
  const [open, setOpen] = useState<{ kind: "rename" | "remove"; passkey: Passkey }>();
  const close = (): void => setOpen(undefined);
  return (
    <Card title="Passkeys" flush actions={<Button small icon="plus" onClick={() => setAdding(true)}>Add a passkey</Button>}>
      <Loaded of={passkeys} what="The passkeys" lines={2}>
        {({ passkeys }) =>
          passkeys.length === 0 ? (
            <Empty title="No passkeys yet">A passkey signs you in with the screen lock of a device, without a password or a code.</Empty>
          ) : (
            <ul class="list">
              {passkeys.map((one) => (
                <li key={one.id}>
                  <Icon name="key" />
                  <div class="grow">
                    <p>{one.name}</p>
                    <p class="hint">
                      Since {dateOf(one.created_at)} · {one.last_used_at == null ? "never used" : `used ${ago(one.last_used_at)}`}
                    </p>
                  </div>
                  <Button small kind="quiet" onClick={() => setOpen({ kind: "rename", passkey: one })}>
                    Rename<span class="vh"> {one.name}</span>
                  </Button>
                  <Button small kind="quiet" onClick={() => setOpen({ kind: "remove", passkey: one })}>
                    Remove<span class="vh"> {one.name}</span>
                  </Button>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
      {adding && <AddPasskey onClose={() => setAdding(false)} />}
      {open?.kind === "rename" && <RenamePasskey passkey={open.passkey} onClose={close} />}
      {open?.kind === "remove" && <RemovePasskey passkey={open.passkey} onClose={close} />}
    </Card>
  );
}

interface DialogProps {
  readonly passkey: Passkey;
  readonly onClose: () => void;
}

function RenamePasskey({ passkey, onClose }: DialogProps) {
  const form = useForm({
    initial: { name: passkey.name },
    rules: { name: named },
    async submit({ name }) {
      await patch("/api/account/passkeys/{passkey_id}", { path: { passkey_id: passkey.id }, body: { name: name.trim() } });
      await changed();
      onClose();
    },
  });
  return (
    <FormDialog title="Rename the passkey" form={form} action="Rename" onClose={onClose}>
      <TextField {...form.bind("name")} label="Name" autofocus />
    </FormDialog>
  );
}

function RemovePasskey({ passkey, onClose }: DialogProps) {
  const form = useForm({
    initial: { password: "" },
    rules: { password: presentPassword },
    async submit({ password }) {
      await remove("/api/account/passkeys/{passkey_id}", { path: { passkey_id: passkey.id }, body: { password } });
      await changed();
      toast("Passkey removed.");
      onClose();
    },
  });
  return (
    <FormDialog title={`Remove “${passkey.name}”?`} form={form} action="Remove" danger onClose={onClose}>
      <p>It no longer signs you in. The device may go on offering it until it is removed there, too.</p>
      <PasswordField {...form.bind("password")} label="Password" autocomplete="current-password" autofocus />
    </FormDialog>
  );
}

function AddPasskey({ onClose }: { onClose: () => void }) {
  const form = useForm({
    initial: { name: "", password: "" },
    rules: { name: named, password: presentPassword },
    async submit({ name, password }) {
      const options = await post("/api/account/passkeys/options", { body: { password } });
      const credential = await createPasskey(options);
      if (credential === null) throw new ApiError(0, "GIVEN_UP", "No passkey was made. The browser asked, and nobody agreed.");
      await post("/api/account/passkeys", { body: { name: name.trim(), credential } });
      await changed();
      toast("Passkey added.");
      onClose();
    },
  });
  return (
    <FormDialog title="Add a passkey" form={form} action="Continue" onClose={onClose}>
      <TextField {...form.bind("name")} label="Name" placeholder="Phone" autofocus />
      <PasswordField {...form.bind("password")} label="Password" autocomplete="current-password" hint="Next, your browser asks for the device." />
    </FormDialog>
  );
}
