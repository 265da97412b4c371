// Whether visits are recorded, which of them, and what is masked.
import { Button, Card } from "../../../ui/basic";
import { Choice, FormFailure, Switch, TextField, useForm } from "../../../ui/form";
import { save, useSwitches, type PartProps } from "./save";

type Trigger = "all" | "sampled" | "errors_only";

const TRIGGERS: readonly { readonly value: Trigger; readonly label: string; readonly hint: string }[] = [
  { value: "all", label: "Every visit", hint: "Of those who may be recorded." },
  { value: "sampled", label: "A part of the visits", hint: "All pages of a visit are recorded, or none." },
  { value: "errors_only", label: "Visits with an error", hint: "From half a minute before the first error on. Without one nothing leaves the browser." },
];

export function ReplaySettings({ website, mayChange }: PartProps) {
  const { settings } = website;
  const switches = useSwitches(website);
  const form = useForm<{ session_replay_trigger: Trigger; session_replay_sample_percent: string }>({
    initial: { session_replay_trigger: settings.session_replay_trigger as Trigger, session_replay_sample_percent: String(settings.session_replay_sample_percent) },
    rules: {
      session_replay_sample_percent: (value, all) => (all.session_replay_trigger !== "sampled" || (/^\d{1,3}$/.test(value.trim()) && Number(value) >= 1 && Number(value) <= 100) ? undefined : "Write a whole number from 1 to 100."),
    },
    submit: (values) =>
      save(website, {
        session_replay_trigger: values.session_replay_trigger,
        ...(values.session_replay_trigger === "sampled" && { session_replay_sample_percent: Number(values.session_replay_sample_percent) }),
      }),
  });
  const trigger = form.values.session_replay_trigger;
  const changed = trigger !== settings.session_replay_trigger || (trigger === "sampled" && Number(form.values.session_replay_sample_percent) !== settings.session_replay_sample_percent);
  return (
    <form {...form.props}>
      <Card
        title="Replays"
        foot={
          mayChange && settings.session_replay ? (
            <>
              <span>Visits with Global Privacy Control or Do Not Track are never recorded.</span>
              <span class="grow" />
              <Button type="submit" kind="primary" pending={form.pending} disabledReason={changed ? undefined : "Nothing was changed."}>
                Save
              </Button>
            </>
          ) : (
            "Visits with Global Privacy Control or Do Not Track are never recorded."
          )
        }
      >
        <Switch label="Session replay" hint="What pages show and what is done on them, to be looked at again." {...switches.bind("session_replay", settings.session_replay)} disabled={!mayChange} />
        {settings.session_replay && (
          <>
            <Switch
              label="Only after consent"
              hint={
                <>
                  A replay begins when the page calls <code>zenovay("consent", "granted")</code>.
                </>
              }
              {...switches.bind("session_replay_consent", settings.session_replay_consent)}
              disabled={!mayChange}
            />
            <Switch
              label="Mask all fields"
              hint="Off: what is typed is recorded, but never passwords, cards and what else looks private. More is masked by marks in the page."
              {...switches.bind("session_replay_mask_inputs", settings.session_replay_mask_inputs)}
              disabled={!mayChange}
            />
            <fieldset class="stack stack-4">
              <legend>Which visits</legend>
              {TRIGGERS.map(({ value, label, hint }) => (
                <Choice key={value} type="radio" name="session_replay_trigger" label={label} hint={hint} checked={trigger === value} onChecked={() => form.set("session_replay_trigger", value)} disabled={!mayChange} />
              ))}
            </fieldset>
            {trigger === "sampled" && <TextField {...form.bind("session_replay_sample_percent")} label="Percent of the visits" inputMode="numeric" maxLength={3} readOnly={!mayChange} />}
          </>
        )}
        <FormFailure error={switches.failure ?? form.failure} />
      </Card>
    </form>
  );
}
