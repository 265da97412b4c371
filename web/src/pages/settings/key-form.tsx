// The form of a personal key, for making one and for changing one. Its wording is that of the keys' documentation.
import { useState } from "preact/hooks";
import { useData } from "../../api/data";
import { useSession } from "../../lib/session";
import { keyName } from "../../rules/fields";
import { adminRefusal, SCOPE_HINTS, SCOPES, scopeLabel, type KeyTeam, type Scope } from "../../rules/keys";
import { Choice, Select, TextField, useForm } from "../../ui/form";
import { Icon } from "../../ui/icons";
import { FormDialog } from "../parts/form-dialog";

export interface KeyChoices {
  readonly name: string;
  /** `null` is full access. */
  readonly scopes: readonly Scope[] | null;
  /** `null` is all teams. */
  readonly teams: readonly string[] | null;
  /** `null` is all websites of the teams. */
  readonly website: string | null;
}

interface Props {
  readonly title: string;
  readonly action: string;
  readonly initial: KeyChoices;
  readonly send: (choices: KeyChoices) => Promise<void>;
  readonly onClose: () => void;
}

const toggled = <T,>(list: readonly T[], one: T, on: boolean): readonly T[] => (on ? [...list, one] : list.filter((other) => other !== one));

export function KeyForm({ title, action, initial, send, onClose }: Props) {
  const teams = useSession().teams as readonly KeyTeam[];
  const form = useForm<KeyChoices>({
    initial,
    rules: {
      name: keyName,
      scopes: (scopes) => (scopes !== null && scopes.length === 0 ? "Choose at least one permission." : undefined),
      teams: (chosen) => (chosen !== null && chosen.length === 0 ? "Choose at least one team." : undefined),
    },
    // A team with a lesser role takes away what was chosen before it.
    submit: (choices) => send({ ...choices, name: choices.name.trim(), scopes: granted(choices.scopes) }),
  });
  const { scopes, teams: chosen, website } = form.values;
  const reached = chosen === null ? teams : teams.filter(({ id }) => chosen.includes(id));
  const refusal = adminRefusal(reached);
  const granted = (list: readonly Scope[] | null): readonly Scope[] | null => list?.filter((scope) => scope !== "admin" || refusal === undefined) ?? null;
  return (
    <FormDialog title={title} form={form} action={action} onClose={onClose}>
      <TextField {...form.bind("name")} label="Key name" placeholder="Production Integration" maxLength={64} hint="What uses this key? Up to 64 characters." autofocus />
      <fieldset>
        <legend>Permissions</legend>
        <div class="choices">
          <Choice type="radio" name="permissions" label="Full access" checked={scopes === null} onChecked={() => form.set("scopes", null)} />
          <Choice type="radio" name="permissions" label="Only select permissions…" checked={scopes !== null} onChecked={() => form.set("scopes", scopes ?? ["read"])} />
          {scopes && (
            <div class="sub">
              {SCOPES.map((scope) => (
                <Choice
                  key={scope}
                  name="scopes"
                  label={scopeLabel(scope)}
                  hint={scope === "admin" && refusal !== undefined ? refusal : SCOPE_HINTS[scope]}
                  disabled={scope === "admin" && refusal !== undefined}
                  checked={granted(scopes)?.includes(scope) ?? false}
                  onChecked={(on) => form.set("scopes", toggled(scopes, scope, on))}
                />
              ))}
            </div>
          )}
        </div>
        <Problem words={form.errors.scopes} />
      </fieldset>
      <fieldset>
        <legend>Team access</legend>
        <div class="choices">
          <Choice type="radio" name="teams" label="All teams you have access to" checked={chosen === null} onChecked={() => form.set("teams", null)} />
          <Choice type="radio" name="teams" label="Only select teams…" checked={chosen !== null} onChecked={() => form.set("teams", chosen ?? [])} />
          {chosen && (
            <div class="sub">
              {teams.map((team) => (
                <Choice key={team.id} name="team" label={team.name} checked={chosen.includes(team.id)} onChecked={(on) => form.set("teams", toggled(chosen, team.id, on))} />
              ))}
            </div>
          )}
        </div>
        <Problem words={form.errors.teams} />
      </fieldset>
      <OneWebsite teams={reached.map(({ id }) => id)} website={website} onChange={(website) => form.set("website", website)} />
    </FormDialog>
  );
}

/** What is wrong with a group of choices. */
function Problem({ words }: { words: string | undefined }) {
  if (words === undefined) return null;
  return (
    <p class="err" role="alert">
      <Icon name="warning" size={14} />
      {words}
    </p>
  );
}

/** Folded, for few keys need it. */
function OneWebsite({ teams, website, onChange }: { teams: readonly string[]; website: string | null; onChange: (website: string | null) => void }) {
  const [open, setOpen] = useState(website !== null);
  const { data } = useData(open ? "/api/websites" : undefined);
  const reached = data?.websites.filter((one) => teams.includes(one.team_id)) ?? [];
  return (
    <details class="adv" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Limit to one website</summary>
      {open && (
        <Select
          label="Website"
          value={website ?? ""}
          onValue={(value) => onChange(value === "" ? null : value)}
          options={[{ value: "", label: "All websites" }, ...reached.map((one) => ({ value: one.id, label: one.domain }))]}
        />
      )}
    </details>
  );
}
