// A website without events: its tag, what arrives while one looks on, and what was refused.
import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useState } from "preact/hooks";
import "../../styles/install.css";
import type { Answer } from "../../api/client";
import { refresh, useData } from "../../api/data";
import { useLive, useLiveEvents } from "../../api/live";
import { ago, count, path, time } from "../../lib/format";
import { Page } from "../../shell/page";
import { Badge, Button, Card, Dot } from "../../ui/basic";
import { Icon, type IconName } from "../../ui/icons";
import { Loaded } from "../parts/loaded";
import { RefusedHosts } from "./refused";
import { TagSnippet } from "./snippet";

type Website = Answer<"/api/websites/{website_id}", "get">;
type Install = Answer<"/api/websites/{website_id}/install", "get">;
type FirstEvent = NonNullable<Install["first_event"]>;

interface Props {
  readonly website: Website;
  readonly mayChange: boolean;
  /** Called when the reader wants to see the numbers, after the first event. */
  readonly onDone: () => void;
}

/** Instead of the dashboard until the first event; it does not jump there by itself. */
export function InstallView({ website, mayChange, onDone }: Props) {
  const install = useData("/api/websites/{website_id}/install", { path: { website_id: website.id } });
  const [since] = useState(() => new Date());
  const [arrived, setArrived] = useState<FirstEvent>();
  const { connected } = useLive(`/api/websites/${encodeURIComponent(website.id)}`);
  useLiveEvents(
    useCallback((name, data) => {
      if (name === "first_event") setArrived(data as FirstEvent);
      if (name === "refused") refresh(`/api/websites/${website.id}/install`);
    }, [website.id]),
  );
  // What came before the stream was open, or while it was away.
  useEffect(() => {
    if (connected) refresh(`/api/websites/${website.id}/install`);
  }, [connected, website.id]);
  const first = arrived ?? install.data?.first_event ?? undefined;
  return (
    <Page
      title="Install the tag"
      tab={website.domain}
      heading={website.domain}
      beside={
        first === undefined ? (
          <Badge tone="warn" icon="clock">
            No events yet
          </Badge>
        ) : (
          <Badge tone="accent" icon="check">
            First event
          </Badge>
        )
      }
    >
      <div class="grid side">
        <Card title="Install the tag" hint="Takes about two minutes" flush>
          <ol class="steps">
            <Step number={1} title="Paste this into every page">
              <TagSnippet code={website.tracking_code} domain={website.domain} cookieless={website.settings.cookieless} />
            </Step>
            <Step number={2} title="Open your website in another tab">
              <p class="mid">
                The first event appears here on its own, usually within a second.{" "}
                <a href={`https://${website.domain}`} target="_blank" rel="noreferrer">
                  Open {website.domain}
                </a>
              </p>
            </Step>
            {first === undefined ? (
              <Step number={3} title="Waiting for the first event">
                <p class="row" role="status">
                  <Dot {...(connected ? { pulse: true } : { tone: "off" as const })} />
                  {connected ? `Listening since ${time(since, undefined)}. Nothing to reload.` : "Connecting…"}
                </p>
                {install.data && <RefusedHosts website={website} refused={install.data.refused} mayAllow={mayChange} />}
              </Step>
            ) : (
              <Step number={3} title="First event" done>
                <Arrived first={first} />
                <p>
                  <Button kind="primary" onClick={onDone}>
                    See the dashboard
                  </Button>
                </p>
              </Step>
            )}
          </ol>
        </Card>
        <aside class="stack stack-16">
          <Card
            title="Install check"
            flush
            actions={
              <Button small kind="quiet" onClick={install.reload}>
                Check again
              </Button>
            }
          >
            <Loaded of={install} what="The install check">
              {({ refused }) => (
                <ul class="list">
                  <ScriptCheck />
                  <Check icon={first ? "check" : "clock"} name="First event" value={first ? ago(first.at) : "not yet"} />
                  {refused.length > 0 && <Check icon="warning" name="Refused events" value={count(refused.reduce((sum, one) => sum + one.events, 0))} strong />}
                </ul>
              )}
            </Loaded>
          </Card>
        </aside>
      </div>
      <Ghosts />
    </Page>
  );
}

function Step({ number, title, done, children }: { number: number; title: string; done?: boolean; children: ComponentChildren }) {
  return (
    <li class={done ? "step done" : "step"}>
      <span class="stepn" aria-hidden="true">
        {done ? <Icon name="check" /> : number}
      </span>
      <div class="grow stack stack-8">
        <h3>{title}</h3>
        {children}
      </div>
    </li>
  );
}

/** "First event from /pricing, 2s ago": seconds count here, for somebody is watching. */
function Arrived({ first }: { first: FirstEvent }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const seconds = Math.max(0, Math.floor((now - Date.parse(first.at)) / 1000));
  return (
    <p class="mid" role="status">
      First event from {path(first.path)}, <span aria-live="off">{seconds < 60 ? `${seconds}s ago` : ago(first.at, now)}</span>.
    </p>
  );
}

function Check({ icon, name, value, strong }: { icon: IconName; name: string; value: string; strong?: boolean }) {
  return (
    <li>
      <Icon name={icon} />
      <span class="grow">{name}</span>
      <span class={strong ? "strong" : "dim"}>{value}</span>
    </li>
  );
}

/** Asks for the script as a page would. */
function ScriptCheck() {
  const [answer, setAnswer] = useState<{ status: number; ms: number }>();
  useEffect(() => {
    const begun = performance.now();
    const controller = new AbortController();
    fetch("/z.js", { cache: "no-store", signal: controller.signal }).then(
      ({ status }) => setAnswer({ status, ms: Math.round(performance.now() - begun) }),
      () => setAnswer({ status: 0, ms: 0 }),
    );
    return () => controller.abort();
  }, []);
  if (answer === undefined) return <Check icon="clock" name="Script answers" value="asking" />;
  if (answer.status !== 200) return <Check icon="warning" name="Script does not answer" value={answer.status === 0 ? "no answer" : String(answer.status)} strong />;
  return <Check icon="check" name="Script answers" value={`200 in ${answer.ms}\u00a0ms`} />;
}

/** Where the numbers will be. */
function Ghosts() {
  return (
    <div class="grid ghost" aria-hidden="true">
      {["Pages", "Sources", "Places"].map((name) => (
        <div class="card panel" key={name}>
          <div class="panel-head">
            <h2>{name}</h2>
          </div>
          <div class="stack ghostlines">
            <i />
            <i />
            <i />
            <i />
          </div>
        </div>
      ))}
    </div>
  );
}
