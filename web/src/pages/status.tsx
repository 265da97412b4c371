// The status page: what works, what did in the last 90 days, and what an operator wrote about it.
import { useEffect, useState } from "preact/hooks";
import "../styles/status.css";
import { post, remove, type Answer } from "../api/client";
import { refresh, useData } from "../api/data";
import { dateOf, dateTime, dayInFull, duration, plural, readerZone, time } from "../lib/format";
import { go } from "../lib/router";
import { useMaybeSession } from "../lib/session";
import type { PageProps } from "../routes";
import { nameOf, required } from "../rules/fields";
import { PHASES, PHASE_TITLES, STATE_TITLES, STATE_WORDS, summary, TROUBLES, uptimeWords, type Phase, type State, type Trouble } from "../rules/status";
import { NotFound, Page, PageState } from "../shell/page";
import { Badge, Button, Card, classes, Dot, Empty } from "../ui/basic";
import { Choice, Select, TextArea, TextField, useForm } from "../ui/form";
import { Icon } from "../ui/icons";
import { Confirm, toast } from "../ui/overlay";
import { FormDialog } from "./parts/form-dialog";

type Status = Answer<"/status.json", "get">;
type Component = Status["components"][number];
type Incident = Status["incidents"][number];

const TONES: Readonly<Record<State, "off" | "warn" | "bad" | undefined>> = { operational: undefined, maintenance: "off", degraded: "warn", outage: "bad" };
const BADGES: Readonly<Record<State, "accent" | "warn" | "bad" | "line">> = { operational: "accent", maintenance: "line", degraded: "warn", outage: "bad" };
/** What the days can be. Maintenance is explained where there was some. */
const LEGEND: readonly State[] = ["operational", "maintenance", "degraded", "outage"];
const refreshStatus = (): void => refresh("/status.json");

export default function StatusPage(_: PageProps) {
  const status = useData("/status.json");
  const isOperator = useMaybeSession()?.operator ?? false;
  const [open, setOpen] = useState<{ readonly what: "new" | "update" | "delete"; readonly id?: string }>();
  const isClosed = status.error?.status === 401;
  useEffect(() => {
    if (isClosed) go("/login?next=/status", { replace: true });
  }, [isClosed]);
  if (status.data === undefined) return status.error?.status === 404 ? <NotFound /> : <PageState title="Status" of={status} narrow />;
  const { state, components, incidents, checked_at: checkedAt } = status.data;
  const close = (): void => setOpen(undefined);
  const chosen = incidents.find(({ id }) => id === open?.id);
  return (
    <Page
      title="Status"
      beside={<span class="dim">{location.host}</span>}
      actions={
        isOperator && (
          <Button icon="plus" title="Write an incident" onClick={() => setOpen({ what: "new" })}>
            <span class="lab">Write an incident</span>
          </Button>
        )
      }
      narrow
    >
      <div class="stack stack-16">
        <section class="card" aria-label="Now">
          <div class="statushead">
            <span class={classes("okmark", state !== "operational" && state)}>
              <Icon name={state === "operational" ? "check" : state === "maintenance" ? "clock" : "warning"} size={20} />
            </span>
            <div class="grow">
              <h2 class="h1">{summary(components.map((one) => ({ name: one.name, state: one.state })))}</h2>
              <p class="dim">
                Checked {time(checkedAt, undefined, true)} · {readerZone()}
              </p>
            </div>
          </div>
        </section>
        <Card
          title="Last 90 days"
          flush
          actions={
            <span class="legend">
              {LEGEND.filter((one) => one !== "maintenance" || components.some(({ days }) => days.some(({ state }) => state === one))).map((one) => (
                <span key={one} class={one === "operational" ? undefined : "wide-only"}>
                  <Dot {...(TONES[one] && { tone: TONES[one] })} />
                  {STATE_WORDS[one]}
                </span>
              ))}
            </span>
          }
        >
          <ul>
            {components.map((one) => (
              <ComponentRow key={one.id} component={one} />
            ))}
          </ul>
        </Card>
        <Card title="Incidents" flush>
          {incidents.length === 0 ? <Empty title="No incidents in 90 days." /> : incidents.map((one) => (
            <IncidentView
              key={one.id}
              incident={one}
              onUpdate={isOperator ? () => setOpen({ what: "update", id: one.id }) : undefined}
              onDelete={isOperator ? () => setOpen({ what: "delete", id: one.id }) : undefined}
            />
          ))}
        </Card>
      </div>
      {open?.what === "new" && <NewIncident components={components} onClose={close} />}
      {open?.what === "update" && chosen && <IncidentUpdate incident={chosen} onClose={close} />}
      {open?.what === "delete" && chosen && <TakeBack incident={chosen} onClose={close} />}
    </Page>
  );
}

/** Days without a state are before the server was there. */
const HEIGHTS: Readonly<Record<State, number>> = { operational: 28, maintenance: 28, degraded: 18, outage: 9 };
const CLASSES: Readonly<Record<State, string>> = { operational: "ok", maintenance: "mnt", degraded: "deg", outage: "out" };

function ComponentRow({ component: { name, state, uptime, days } }: { component: Component }) {
  const troubled = days.filter((one) => one.state === "degraded" || one.state === "outage").length;
  const words = uptime == null ? "not measured yet" : `${uptimeWords(uptime)} in 90 days`;
  return (
    <li class="comp">
      <div class="row wrap">
        <Dot label={STATE_WORDS[state]} {...(TONES[state] && { tone: TONES[state] as "warn" })} />
        <b class="strong">{name}</b>
        {state !== "operational" && <Badge tone={BADGES[state]}>{STATE_TITLES[state]}</Badge>}
        <span class="grow" />
        <span class="nowrap">{uptime == null ? "–" : uptimeWords(uptime)}</span>
      </div>
      <svg class="up90" viewBox="0 0 900 28" preserveAspectRatio="none" role="img" aria-label={`${name}: ${words}, ${troubled === 0 ? "no days" : plural(troubled, "day")} with trouble`}>
        {days.map((one, at) => {
          const of = one.state;
          const height = of === null ? 28 : HEIGHTS[of];
          return (
            <rect key={one.day} class={of === null ? "non" : CLASSES[of]} x={at * 10 + 1} y={28 - height} width="8" height={height} rx="1.5">
              <title>{`${dayInFull(one.day)}: ${of === null ? "not measured" : STATE_WORDS[of]}`}</title>
            </rect>
          );
        })}
      </svg>
    </li>
  );
}

function IncidentView({ incident, onUpdate, onDelete }: { incident: Incident; onUpdate: (() => void) | undefined; onDelete: (() => void) | undefined }) {
  const { title, state, started_at: from, resolved_at: resolved, ends_at: ends, updates } = incident;
  const now = Date.now();
  const isAhead = Date.parse(from) > now;
  const over = resolved ?? (ends != null && Date.parse(ends) <= now ? ends : null);
  const seconds = (Date.parse(over ?? ends ?? "") - Date.parse(from)) / 1000;
  const length = isAhead || over == null ? (ends == null ? (isAhead ? "announced" : "going on") : `${isAhead ? "announced" : "going on"}, ${duration(seconds)}`) : duration(seconds);
  return (
    <article class="inc">
      <div class="row wrap">
        <h3>{title}</h3>
        <Badge tone={BADGES[state]}>{STATE_TITLES[state]}</Badge>
        <span class="grow" />
        <span class="dim">
          {isAhead ? dateTime(from) : dateOf(from)} · {length}
        </span>
        {onUpdate && resolved == null && (
          <Button small onClick={onUpdate}>
            Update
          </Button>
        )}
        {onDelete && (
          <Button small kind="quiet" onClick={onDelete} aria-label={`Take back: ${title}`}>
            Take back
          </Button>
        )}
      </div>
      <ol>
        {updates.map((one) => (
          <li key={one.at + one.message}>
            <span class="dim">
              {time(one.at, undefined)} {PHASE_TITLES[one.phase]}
            </span>
            <span class="told">{one.message}</span>
          </li>
        ))}
      </ol>
    </article>
  );
}

const MESSAGE_MAX = 2000;
const messageRule = (missing: string) => (message: string) =>
  required(missing)(message) ?? ([...message.trim()].length > MESSAGE_MAX ? "Too long (max 2,000 characters)" : undefined);

/** The instant of a field for a date with a time, which is in the zone of the reader. */
const instantOf = (local: string): string | undefined => (local === "" ? undefined : new Date(local).toISOString());

function NewIncident({ components, onClose }: { components: readonly Component[]; onClose: () => void }) {
  const form = useForm({
    initial: { title: "", state: "degraded" as Trouble, components: [] as readonly Component["id"][], message: "", starts_at: "", ends_at: "" },
    rules: {
      title: nameOf("Say what is wrong in a few words.", 100),
      message: messageRule("Say what is known."),
      components: (chosen) => (chosen.length === 0 ? "Choose what it touches." : undefined),
      ends_at: (ends, { starts_at: starts }) => (ends !== "" && starts !== "" && ends <= starts ? "It must be later than the beginning." : undefined),
    },
    async submit({ title, state, components, message, starts_at, ends_at }) {
      const window = state === "maintenance" ? { starts_at: instantOf(starts_at) ?? null, ends_at: instantOf(ends_at) ?? null } : {};
      await post("/api/status/incidents", { body: { title: title.trim(), state, components: [...components], message: message.trim(), ...window } });
      refreshStatus();
      toast("Incident written.");
      onClose();
    },
  });
  return (
    <FormDialog title="Write an incident" form={form} action="Publish" onClose={onClose}>
      <TextField {...form.bind("title")} label="What is wrong" placeholder="Live numbers are late" autofocus />
      <Select
        label="State"
        value={form.values.state}
        onValue={(state) => form.set("state", state)}
        options={TROUBLES.map((value) => ({ value, label: STATE_TITLES[value] }))}
      />
      {form.values.state === "maintenance" && (
        <div class="row wrap">
          <TextField {...form.bind("starts_at")} label="Begins" hint="Now, when it is empty." type="datetime-local" />
          <TextField {...form.bind("ends_at")} label="Ends" hint="When you say so, when it is empty." type="datetime-local" />
        </div>
      )}
      <fieldset>
        <legend>What it touches</legend>
        {components.map(({ id, name }) => (
          <Choice
            key={id}
            name="components"
            label={name}
            checked={form.values.components.includes(id)}
            onChecked={(on) => form.set("components", on ? [...form.values.components, id] : form.values.components.filter((one) => one !== id))}
          />
        ))}
        {form.errors.components && (
          <p class="err" role="alert">
            <Icon name="warning" size={14} />
            {form.errors.components}
          </p>
        )}
      </fieldset>
      <TextArea {...form.bind("message")} label="What is known" />
    </FormDialog>
  );
}

function IncidentUpdate({ incident, onClose }: { incident: Incident; onClose: () => void }) {
  const form = useForm({
    initial: { phase: "found" as Phase, message: "" },
    rules: { message: messageRule("Say what is new.") },
    async submit({ phase, message }) {
      await post("/api/status/incidents/{incident_id}/updates", { path: { incident_id: incident.id }, body: { phase, message: message.trim() } });
      refreshStatus();
      toast("Update written.");
      onClose();
    },
  });
  return (
    <FormDialog title={incident.title} form={form} action="Publish" onClose={onClose}>
      <Select label="How far it is" value={form.values.phase} onValue={(phase) => form.set("phase", phase)} options={PHASES.map((value) => ({ value, label: PHASE_TITLES[value] }))} />
      <TextArea {...form.bind("message")} label="What is new" autofocus />
    </FormDialog>
  );
}

function TakeBack({ incident, onClose }: { incident: Incident; onClose: () => void }) {
  return (
    <Confirm
      title="Take this incident back?"
      action="Take back"
      onConfirm={async () => {
        await remove("/api/status/incidents/{incident_id}", { path: { incident_id: incident.id } });
        refreshStatus();
        toast("Incident taken back.");
      }}
      onClose={onClose}
    >
      <p>
        “{incident.title}” and its updates disappear from the page, and the days are shown as they were measured.
      </p>
    </Confirm>
  );
}
