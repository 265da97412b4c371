// The status page: what works, what did in the last 90 days, and what an operator wrote about it.
import { useState } from "preact/hooks";
import "../styles/status.css";
import { post, type Answer } from "../api/client";
import { refresh, useData } from "../api/data";
import { dateOf, dayInFull, duration, plural, readerZone, time } from "../lib/format";
import { useMaybeSession } from "../lib/session";
import type { PageProps } from "../routes";
import { nameOf, required } from "../rules/fields";
import { STATE_TITLES, STATE_WORDS, summary, uptimeWords, worst, type State } from "../rules/status";
import { NotFound, Page, PageState } from "../shell/page";
import { Badge, Button, Card, classes, Dot, Empty } from "../ui/basic";
import { Choice, Select, TextField, useForm } from "../ui/form";
import { Icon } from "../ui/icons";
import { toast } from "../ui/overlay";
import { FormDialog } from "./parts/form-dialog";

type Status = Answer<"/status.json", "get">;
type Component = Status["components"][number];
type Incident = Status["incidents"][number];

const TONES: Readonly<Record<State, "off" | "warn" | "bad" | undefined>> = { operational: undefined, maintenance: "off", degraded: "warn", outage: "bad" };
const BADGES: Readonly<Record<State, "accent" | "warn" | "bad" | "line">> = { operational: "accent", maintenance: "line", degraded: "warn", outage: "bad" };
const refreshStatus = (): void => refresh("/status.json");

export default function StatusPage(_: PageProps) {
  const status = useData("/status.json");
  const isOperator = (useMaybeSession()?.teams.some(({ role }) => role === "owner") ?? false);
  const [open, setOpen] = useState<"new" | Incident>();
  if (status.data === undefined) return status.error?.status === 404 ? <NotFound /> : <PageState title="Status" error={status.error} onRetry={status.reload} narrow />;
  const { components, incidents, checked_at: checkedAt } = status.data;
  const state = worst(components.map((one) => one.state as State));
  const close = (): void => setOpen(undefined);
  return (
    <Page
      title="Status"
      beside={<span class="dim">{location.host}</span>}
      actions={
        isOperator && (
          <Button icon="plus" onClick={() => setOpen("new")}>
            Write an incident
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
              <h2 class="h1">{summary(components.map((one) => ({ name: one.name, state: one.state as State })))}</h2>
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
              {(["operational", "degraded", "outage"] as const).map((one) => (
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
          {incidents.length === 0 ? <Empty title="No incidents in 90 days." /> : incidents.map((one) => <IncidentView key={one.id} incident={one} onUpdate={isOperator ? () => setOpen(one) : undefined} />)}
        </Card>
      </div>
      {open === "new" && <NewIncident components={components} onClose={close} />}
      {open !== undefined && open !== "new" && <IncidentUpdate incident={open} onClose={close} />}
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
        <Dot label={STATE_WORDS[state as State]} {...(TONES[state as State] && { tone: TONES[state as State] as "warn" })} />
        <b class="strong">{name}</b>
        {state !== "operational" && <Badge tone={BADGES[state as State]}>{STATE_TITLES[state as State]}</Badge>}
        <span class="grow" />
        <span class="nowrap">{uptime == null ? "–" : uptimeWords(uptime)}</span>
      </div>
      <svg class="up90" viewBox="0 0 900 28" preserveAspectRatio="none" role="img" aria-label={`${name}: ${words}, ${troubled === 0 ? "no days" : plural(troubled, "day")} with trouble`}>
        {days.map((one, at) => {
          const of = one.state as State | null;
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

function IncidentView({ incident, onUpdate }: { incident: Incident; onUpdate: (() => void) | undefined }) {
  const { title, state, started_at: from, resolved_at: to, updates } = incident;
  const seconds = (Date.parse(to ?? new Date().toISOString()) - Date.parse(from)) / 1000;
  return (
    <article class="inc">
      <div class="row wrap">
        <h3>{title}</h3>
        <Badge tone={BADGES[state as State]}>{STATE_TITLES[state as State]}</Badge>
        <span class="grow" />
        <span class="dim">
          {dateOf(from)} · {to == null ? "going on" : duration(seconds)}
        </span>
        {onUpdate && to == null && (
          <Button small onClick={onUpdate}>
            Update
          </Button>
        )}
      </div>
      <ol>
        {updates.map((one) => (
          <li key={one.at}>
            <span class="dim">
              {time(one.at, undefined)} {one.phase}
            </span>
            <span>{one.text}</span>
          </li>
        ))}
      </ol>
    </article>
  );
}

const TEXT_MAX = 2000;

function NewIncident({ components, onClose }: { components: readonly Component[]; onClose: () => void }) {
  const form = useForm({
    initial: { title: "", state: "degraded" as State, components: [] as readonly string[], text: "" },
    rules: {
      title: nameOf("Say what is wrong in a few words.", 100),
      text: (text) => required("Say what is known.")(text) ?? (text.length > TEXT_MAX ? "Too long (max 2,000 characters)" : undefined),
      components: (chosen) => (chosen.length === 0 ? "Choose what it touches." : undefined),
    },
    async submit({ title, state, components, text }) {
      await post("/api/status/incidents", { body: { title: title.trim(), state, components: [...components], text: text.trim() } });
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
        options={(["degraded", "outage", "maintenance"] as const).map((value) => ({ value, label: STATE_TITLES[value] }))}
      />
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
      <TextField {...form.bind("text")} label="What is known" />
    </FormDialog>
  );
}

const PHASES = ["Noticed", "Found", "Watching", "Resolved"] as const;

function IncidentUpdate({ incident, onClose }: { incident: Incident; onClose: () => void }) {
  const form = useForm({
    initial: { phase: "Found" as (typeof PHASES)[number], text: "" },
    rules: { text: required("Say what is new.") },
    async submit({ phase, text }) {
      await post("/api/status/incidents/{incident_id}/updates", { path: { incident_id: incident.id }, body: { phase, text: text.trim() } });
      refreshStatus();
      toast("Update written.");
      onClose();
    },
  });
  return (
    <FormDialog title={incident.title} form={form} action="Publish" onClose={onClose}>
      <Select label="How far it is" value={form.values.phase} onValue={(phase) => form.set("phase", phase)} options={PHASES.map((value) => ({ value, label: value }))} />
      <TextField {...form.bind("text")} label="What is new" autofocus />
    </FormDialog>
  );
}
