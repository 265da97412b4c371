// Settings → Account: the profile, how things are shown, own data, the end of the account.
import { useState } from "preact/hooks";
import { patch, remove, type Answer, type Ask } from "../../api/client";
import { forgetAll, refresh, useData } from "../../api/data";
import { currentLocale, language, readerZone } from "../../lib/format";
import { go } from "../../lib/router";
import { loadSession } from "../../lib/session";
import type { Theme } from "../../lib/theme";
import { email, personName, presentPassword } from "../../rules/fields";
import { Page, PageState } from "../../shell/page";
import { Button, Card, LinkButton } from "../../ui/basic";
import { FormFailure, PasswordField, Segmented, Select, Switch, TextField, useForm } from "../../ui/form";
import { toast } from "../../ui/overlay";
import { FormDialog } from "../parts/form-dialog";
import { SaveFoot } from "../parts/save-foot";
import { useChoices } from "../parts/saver";
import { zoneOptions } from "../parts/zones";

type Account = Answer<"/api/account", "get">;
type Changes = NonNullable<Ask<"/api/account", "patch">["body"]>;

async function save(changes: Changes): Promise<void> {
  await patch("/api/account", { body: changes });
  refresh("/api/account");
  await loadSession();
  toast("Saved.");
}

export default function AccountPage() {
  const account = useData("/api/account");
  if (account.data === undefined) return <PageState title="Profile" of={account} narrow />;
  return (
    <Page title="Profile" crumbs={[{ label: "Settings", href: "/settings/account" }]} narrow>
      <div class="stack stack-16">
        <Profile account={account.data} />
        <Appearance account={account.data} />
        <OwnData />
      </div>
    </Page>
  );
}

function Profile({ account }: { account: Account }) {
  const form = useForm({
    initial: { name: account.name, email: account.email, password: "" },
    rules: { name: personName, email, password: (password, all) => (all.email.trim() === account.email ? undefined : presentPassword(password)) },
    async submit(values) {
      const address = values.email.trim();
      await save({ name: values.name.trim(), ...(address !== account.email && { email: address, password: values.password }) });
      form.set("password", "");
    },
  });
  const isMoving = form.values.email.trim() !== account.email;
  return (
    <form {...form.props}>
      <Card title="Profile" foot={<SaveFoot pending={form.pending} />}>
        <TextField {...form.bind("name")} label="Name" autocomplete="name" />
        <TextField {...form.bind("email")} label="E-mail" type="email" autocomplete="username" hint="You sign in with it." />
        {isMoving && <PasswordField {...form.bind("password")} label="Password" autocomplete="current-password" hint="Asked for because the address changes." />}
        <FormFailure error={form.failure} />
      </Card>
    </form>
  );
}

/** Languages in which numbers and dates differ; each writes its own name. */
const LOCALES = ["en-US", "en-GB", "de-DE", "fr-FR", "es-ES", "it-IT", "nl-NL", "pt-BR", "pl-PL", "sv-SE", "da-DK", "fi-FI", "cs-CZ", "tr-TR", "ja-JP", "ko-KR", "zh-CN"];

const nameOf = (tag: string): string => new Intl.DisplayNames([tag], { type: "language" }).of(tag) ?? tag;

function Appearance({ account }: { account: Account }) {
  const { failure, choose, shown } = useChoices<Changes>(account, save);
  const automatic = `Automatic (${language(currentLocale())})`;
  const locales = LOCALES.map((tag) => ({ value: tag, label: nameOf(tag) }));
  return (
    <Card title="How things are shown">
      <div class="field">
        <span class="label">Theme</span>
        <div>
          <Segmented<Theme>
            label="Theme"
            value={shown("theme", account.theme)}
            options={[
              { value: "system", label: "As the system" },
              { value: "light", label: "Light" },
              { value: "dark", label: "Dark" },
            ]}
            onValue={(theme) => choose("theme", theme)}
          />
        </div>
      </div>
      <Select
        label="Numbers and dates"
        value={shown("locale", account.locale) ?? ""}
        options={[{ value: "", label: automatic }, ...locales]}
        onValue={(locale) => choose("locale", locale === "" ? null : locale)}
      />
      <Select
        label="Time zone"
        value={shown("time_zone", account.time_zone) ?? ""}
        options={[{ value: "", label: `Automatic (${readerZone()})` }, ...zoneOptions(account.time_zone ?? "UTC")]}
        hint="For keys and sessions. Numbers of a website are in the website’s own zone."
        onValue={(zone) => choose("time_zone", zone === "" ? null : zone)}
      />
      <Switch label="Single keys are shortcuts" hint="Such as F for a filter. ? lists them." checked={shown("single_keys", account.single_keys)} onChecked={(on) => choose("single_keys", on)} />
      <FormFailure error={failure} />
    </Card>
  );
}

function OwnData() {
  const [deleting, setDeleting] = useState(false);
  return (
    <Card title="Your data" flush>
      <ul class="list">
        <li>
          <div class="grow">
            <p>Everything that is kept about you</p>
            <p class="hint">As one JSON file, without passwords and keys.</p>
          </div>
          <LinkButton small icon="download" href="/api/account/export" download>
            Download
          </LinkButton>
        </li>
        <li>
          <div class="grow">
            <p>Delete your account</p>
            <p class="hint">With its keys and sessions. Workspaces and their numbers stay with their other members.</p>
          </div>
          <Button small kind="danger" onClick={() => setDeleting(true)}>
            Delete
          </Button>
        </li>
      </ul>
      {deleting && <DeleteAccount onClose={() => setDeleting(false)} />}
    </Card>
  );
}

function DeleteAccount({ onClose }: { onClose: () => void }) {
  const form = useForm({
    initial: { word: "", password: "" },
    rules: { word: (word) => (word.trim() === "delete my account" ? undefined : "Type: delete my account"), password: presentPassword },
    async submit({ password }) {
      await remove("/api/account", { body: { password } });
      forgetAll();
      go("/login", { replace: true });
      await loadSession();
    },
  });
  return (
    <FormDialog title="Delete your account?" form={form} action="Delete account" danger onClose={onClose}>
      <p>Your keys are revoked and your sessions end at once. This cannot be undone.</p>
      <TextField {...form.bind("word")} label="Type “delete my account” to confirm" autofocus />
      <PasswordField {...form.bind("password")} label="Password" autocomplete="current-password" />
    </FormDialog>
  );
}
