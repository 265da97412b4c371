// Who may read the numbers without an account.
import { useState } from "preact/hooks";
import { post, remove, type Answer } from "../../../api/client";
import { refresh, useData } from "../../../api/data";
import { dateOf } from "../../../lib/format";
import { newPassword, optionalName } from "../../../rules/fields";
import { Badge, Button, Card, Empty } from "../../../ui/basic";
import { CopyButton } from "../../../ui/data";
import { Choice, FormFailure, PasswordField, Switch, TextField, useForm } from "../../../ui/form";
import { Icon } from "../../../ui/icons";
import { Confirm, Dialog, toast } from "../../../ui/overlay";
import { FormDialog } from "../../parts/form-dialog";
import { Loaded } from "../../parts/loaded";
import { useSwitches, type PartProps } from "./save";

type Share = Answer<"/api/websites/{website_id}/shares", "get">["shares"][number];

const refreshShares = (id: string): void => refresh(`/api/websites/${id}/shares`);

export function SharingSettings({ website, mayChange }: PartProps) {
  const switches = useSwitches(website);
  const shares = useData("/api/websites/{website_id}/shares", { path: { website_id: website.id } });
  const [adding, setAdding] = useState(false);
  const [made, setMade] = useState<string>();
  const [ending, setEnding] = useState<Share | null>(null);
  return (
    <div class="stack stack-16">
      <Card
        title="Public links"
        flush
        actions={
          mayChange && (
            <Button kind="primary" icon="plus" onClick={() => setAdding(true)}>
              New link
            </Button>
          )
        }
      >
        <Loaded of={shares} what="The links">
          {({ shares }) =>
            shares.length === 0 ? (
              <Empty title="No public links">Whoever has a link sees this website’s dashboard, read only, and nothing else.</Empty>
            ) : (
              <ul class="list">
                {shares.map((share) => (
                  <ShareRow key={share.id} share={share} mayChange={mayChange} onEnd={() => setEnding(share)} />
                ))}
              </ul>
            )
          }
        </Loaded>
      </Card>
      <Card title="Public summary">
        <Switch
          label="Public dashboard"
          hint="Whoever knows the tracking code may read a summary through the public API and its widgets. Public links do not need it."
          {...switches.bind("public_dashboard", website.settings.public_dashboard)}
          disabled={!mayChange}
        />
        <FormFailure error={switches.failure} />
      </Card>
      {adding && (
        <NewShare
          id={website.id}
          onClose={() => setAdding(false)}
          onDone={(path) => {
            setAdding(false);
            setMade(new URL(path, location.origin).href);
          }}
        />
      )}
      {made !== undefined && <ShareMade url={made} onClose={() => setMade(undefined)} />}
      {ending && (
        <Confirm
          title={`End “${ending.name}”?`}
          action="End link"
          onClose={() => setEnding(null)}
          onConfirm={async () => {
            await remove("/api/websites/{website_id}/shares/{share_id}", { path: { website_id: website.id, share_id: ending.id } });
            refreshShares(website.id);
            toast("Link ended.");
          }}
        >
          Whoever opens it from now on sees nothing. A new link has another address.
        </Confirm>
      )}
    </div>
  );
}

function ShareRow({ share, mayChange, onEnd }: { share: Share; mayChange: boolean; onEnd: () => void }) {
  return (
    <li>
      <Icon name="link" />
      <div class="grow">
        <p class="row wrap">
          {share.name}
          {share.has_password && <Badge>Password</Badge>}
          {share.embed && <Badge>May be embedded</Badge>}
        </p>
        <p class="hint">Since {dateOf(share.created_at)}</p>
      </div>
      {mayChange && (
        <Button small kind="quiet" onClick={onEnd}>
          End<span class="vh"> {share.name}</span>
        </Button>
      )}
    </li>
  );
}

function NewShare({ id, onClose, onDone }: { id: string; onClose: () => void; onDone: (path: string) => void }) {
  const form = useForm({
    initial: { name: "", password: "", embed: false },
    rules: { name: optionalName, password: (value) => (value === "" ? undefined : newPassword(value)) },
    async submit({ name, password, embed }) {
      const { path } = await post("/api/websites/{website_id}/shares", { path: { website_id: id }, body: { name: name.trim(), embed, ...(password !== "" && { password }) } });
      refreshShares(id);
      onDone(path);
    },
  });
  return (
    <FormDialog title="New public link" form={form} action="Create link" onClose={onClose}>
      <TextField {...form.bind("name")} label="Name" placeholder="For the board" hint="Shown here only." autofocus />
      <PasswordField {...form.bind("password")} label="Password" autocomplete="new-password" hint="Empty: the link alone is enough." />
      <Choice label="Other websites may embed it" hint="In a frame on their pages." checked={form.values.embed} onChecked={(embed) => form.set("embed", embed)} />
    </FormDialog>
  );
}

/** Shown once: the server keeps a digest of the link. */
function ShareMade({ url, onClose }: { url: string; onClose: () => void }) {
  return (
    <Dialog
      title="The public link"
      onClose={onClose}
      foot={
        <>
          <Button onClick={onClose}>Done</Button>
          <CopyButton text={url} label="Copy link" kind="primary" small={false} />
        </>
      }
    >
      <div class="dlg-body">
        <p>Copy it now: it is not shown again. If it is lost, end the link here and make another.</p>
        <div class="secret">
          <output class="mono" aria-label="Public link">
            {url}
          </output>
        </div>
      </div>
    </Dialog>
  );
}
