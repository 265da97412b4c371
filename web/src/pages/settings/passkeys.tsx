// Passkeys: signing in with the screen lock of a device.
import { useState } from "preact/hooks";
import { ApiError, post, remove } from "../../api/client";
import { refresh, useData } from "../../api/data";
import { ago, dateOf } from "../../lib/format";
import { loadSession } from "../../lib/session";
import { nameOf } from "../../rules/fields";
import { createPasskey, hasPasskeys } from "../../rules/webauthn";
import { Button, Card, Empty } from "../../ui/basic";
import { TextField, useForm } from "../../ui/form";
import { Icon } from "../../ui/icons";
import { Confirm, toast } from "../../ui/overlay";
import { useInstance } from "../gate/gate";
import { FormDialog } from "../parts/form-dialog";
import { Loaded } from "../parts/loaded";

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
  const [removing, setRemoving] = useState<{ id: string; name: string }>();
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
                  <Button small kind="quiet" onClick={() => setRemoving(one)}>
                    Remove<span class="vh"> {one.name}</span>
                  </Button>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
      {adding && <AddPasskey onClose={() => setAdding(false)} />}
      {removing && (
        <Confirm
          title={`Remove “${removing.name}”?`}
          action="Remove"
          onClose={() => setRemoving(undefined)}
          onConfirm={async () => {
            await remove("/api/account/passkeys/{passkey_id}", { path: { passkey_id: removing.id } });
            await changed();
            toast("Passkey removed.");
          }}
        >
          It no longer signs you in. The device may go on offering it until it is removed there, too.
        </Confirm>
      )}
    </Card>
  );
}

function AddPasskey({ onClose }: { onClose: () => void }) {
  const form = useForm({
    initial: { name: "" },
    rules: { name: nameOf("Name it after the device, such as Phone.", 64) },
    async submit({ name }) {
      const options = await post("/api/account/passkeys/options");
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
      <TextField {...form.bind("name")} label="Name" placeholder="Phone" hint="Next, your browser asks for the device." autofocus />
    </FormDialog>
  );
}
