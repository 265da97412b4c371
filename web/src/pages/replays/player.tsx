// `/websites/:id/replays/:sid?t=34`: a recorded visit is played.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import "../../styles/errors.css";
import "../../styles/replay.css";
import { remove } from "../../api/client";
import { refresh, useData } from "../../api/data";
import * as format from "../../lib/format";
import { go, usePlace } from "../../lib/router";
import { useSession } from "../../lib/session";
import { PLAYER } from "../../player/messages";
import type { PageProps } from "../../routes";
import { afterIdle, clockOf, timeline, type Line, type Mark } from "../../rules/replay";
import { Page, PageState } from "../../shell/page";
import { Badge, Button, Card, classes, CountryTag, Empty, Failure, IconButton, LinkButton, Note, Skeleton } from "../../ui/basic";
import { copy } from "../../ui/data";
import { Segmented } from "../../ui/form";
import { Icon, type IconName } from "../../ui/icons";
import { Confirm, MoreMenu, toast } from "../../ui/overlay";
import { valueLabel } from "../analytics/dimensions";
import { CapturedPage, type Captured } from "../parts/captured";
import { LEAD_S, type Detail } from "./data";
import { useEvents, useStage } from "./stage";

const SPEEDS = ["1", "2", "4", "8"] as const;
type Speed = (typeof SPEEDS)[number];
type Shown = "all" | "pages" | "errors";

/** How far the arrow keys go, in milliseconds. */
const STEP_MS = 5000;
/** How long an error is named over the page, in milliseconds. */
const NAMED_MS = 4000;

export default function ReplayPage({ params }: PageProps) {
  return (
    <CapturedPage params={params} title="Replay" icon="play" path={`replays/${params.sid ?? ""}`} feature="replays">
      {(captured) => <Asked {...captured} id={params.sid ?? ""} />}
    </CapturedPage>
  );
}

function Asked(props: Captured<never> & { id: string }) {
  const data = useData("/api/websites/{website_id}/replays/{replay_id}", { path: { website_id: props.website.id, replay_id: props.id } });
  if (!data.data) return <PageState title="Replay" of={data} what="this replay" tab={props.website.domain} crumbs={[{ label: "Replays", href: `/websites/${props.website.id}/replays` }]} />;
  return <Player {...props} replay={data.data} />;
}

/** A length in milliseconds as people read it. */
const span = (ms: number): string => format.duration(ms / 1000);

function Player({ website, mayChange, replay }: Captured<never> & { replay: Detail }) {
  const { search } = usePlace();
  const { user } = useSession();
  const zone = website.settings.time_zone;
  const root = `/websites/${website.id}`;
  const end = Math.max(1, replay.duration_ms);
  /** The linked moment, of which a little before is shown. */
  const linked = useMemo(() => {
    const t = Number(new URLSearchParams(search).get("t") ?? "0");
    return Number.isFinite(t) && t > 0 ? Math.min(end, t * 1000) : 0;
  }, []);
  const begin = Math.max(0, linked - LEAD_S * 1000);
  const [at, setAt] = useState(begin);
  const [playing, setPlaying] = useState(false);
  /** Its place has not been loaded yet: it goes on by itself when it is. */
  const [waits, setWaits] = useState(false);
  const [isShown, setIsShown] = useState(false);
  const [speed, setSpeed] = useState<Speed>("1");
  const [skips, setSkips] = useState(true);
  const [shown, setShown] = useState<Shown>("all");
  const [deleting, setDeleting] = useState(false);
  const card = useRef<HTMLElement>(null);
  const list = useRef<HTMLOListElement>(null);

  const loaded = useEvents(website.id, replay.id, replay.clock_ms, end);
  const stop = () => setPlaying(false);
  const onTime = (now: number) => {
    const next = skips ? afterIdle(now, replay.idle) : undefined;
    if (next !== undefined) jump(next);
    else if (now > loaded.until && !loaded.isAll) waitAt(now);
    else setAt(Math.min(end, now));
  };
  // The end of what the player has is that of the recording only when it has all.
  const onEnd = () => {
    if (!loaded.isAll) {
      waitAt(loaded.until);
      return;
    }
    setAt(end);
    stop();
  };
  const stage = useStage(onTime, onEnd);
  const lines = useMemo(
    () => timeline(replay.markers as readonly Mark[], replay.idle, replay.gaps, loaded.events, replay.clock_ms, { path: format.path, span }),
    [replay, loaded.events],
  );
  const events = lines.filter(({ kind }) => kind !== "idle" && kind !== "gap" && kind !== "pause");
  const url = [...lines].reverse().find((line) => line.kind === "page" && line.at <= at)?.text ?? replay.entry_page;
  const size = stage.size ?? { width: replay.width || 1280, height: replay.height || 720 };

  // What is known when the player listens is given to it at once, and what comes later behind it.
  const sent = useRef(0);
  useEffect(() => {
    if (!stage.isReady || loaded.events.length < 2 || (sent.current === 0 && loaded.until < begin && !loaded.isAll)) return;
    if (sent.current === 0) {
      stage.send({ kind: "load", events: loaded.events, clock: replay.clock_ms, at: begin, speed: Number(speed) });
      setIsShown(true);
    } else if (loaded.events.length > sent.current) {
      stage.send({ kind: "add", events: loaded.events.slice(sent.current) });
    }
    sent.current = loaded.events.length;
    if (waits && (loaded.isAll || at < loaded.until)) jump(at);
  }, [stage.isReady, loaded.events, loaded.isAll]);

  /** Stays where it is until that has come, and then goes on with what it does. */
  function waitAt(to: number): void {
    setAt(to);
    setWaits(true);
    stage.send({ kind: "pause", at: Math.min(to, loaded.until) });
  }
  const pauseAt = (to: number) => {
    setAt(to);
    stop();
    stage.send({ kind: "pause", at: to });
  };
  /** Goes elsewhere, and goes on doing what it does. */
  function jump(to: number): void {
    if (!isShown) return;
    const target = Math.max(0, Math.min(end, to));
    if (target > loaded.until && !loaded.isAll) {
      waitAt(target);
      return;
    }
    setAt(target);
    setWaits(false);
    if (playing && target < end) stage.send({ kind: "play", at: target, speed: Number(speed) });
    else pauseAt(target);
  }
  const toggle = () => {
    if (!isShown || stage.failed) return;
    if (playing) {
      pauseAt(at);
      return;
    }
    setPlaying(true);
    if (waits) return;
    const from = at >= end - 100 ? 0 : at;
    setAt(from);
    stage.send({ kind: "play", at: from, speed: Number(speed) });
  };
  const hurry = (next: Speed) => {
    setSpeed(next);
    if (playing && !waits) stage.send({ kind: "play", at, speed: Number(next) });
  };
  const faster = (by: 1 | -1) => hurry(SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, SPEEDS.indexOf(speed) + by))] ?? speed);
  // While it plays, what was passed a moment ago is where one came from.
  const toNext = () => {
    const next = events.find((line) => line.at > at + (playing ? 250 : 0));
    if (next) jump(next.at);
  };
  const toPrevious = () => jump(events.findLast((line) => line.at < at - (playing ? 1000 : 0))?.at ?? 0);
  const fullScreen = () => {
    if (document.fullscreenElement) void document.exitFullscreen();
    else void card.current?.requestFullscreen().catch(() => toast("The browser does not show this in full screen."));
  };

  // The keys are of the page: the frame takes none.
  const keys = useRef<(event: KeyboardEvent) => void>(() => {});
  keys.current = (event) => {
    const target = event.target as Element | null;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const isScrubber = target instanceof HTMLInputElement && target.type === "range";
    if (!isScrubber && target?.closest("input:not([type=checkbox]), textarea, select, [role=menu], [role=radiogroup]")) return;
    if (event.key.length === 1 && event.key !== " " && !user.single_keys) return;
    // A button that has the focus is pressed by the same key.
    if (event.key === " " && target?.closest("button, a, input[type=checkbox]")) return;
    const act: (() => void) | undefined = {
      " ": toggle,
      ArrowLeft: () => jump(at - STEP_MS),
      ArrowRight: () => jump(at + STEP_MS),
      ",": toPrevious,
      ".": toNext,
      "[": () => faster(-1),
      "]": () => faster(1),
      f: fullScreen,
      F: fullScreen,
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };
  useEffect(() => {
    const listen = (event: KeyboardEvent) => keys.current(event);
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  }, []);

  // The list follows, without taking the page along.
  const visible = lines.filter(({ kind }) => shown === "all" || (shown === "pages" ? kind === "page" : kind === "error"));
  const current = visible.findLastIndex((line) => line.at <= at + 50);
  useEffect(() => {
    const box = list.current;
    const row = box?.children[current] as HTMLElement | undefined;
    if (!box || !row || box.scrollHeight <= box.clientHeight) return;
    const top = row.offsetTop - box.offsetTop;
    if (top < box.scrollTop || top + row.offsetHeight > box.scrollTop + box.clientHeight) box.scrollTop = top - box.clientHeight / 3;
  }, [current]);

  const error = lines.find((line) => line.kind === "error" && at >= line.at && at < line.at + NAMED_MS);
  const here = [...lines].reverse().find((line) => line.at <= at && at < line.at + 1000 && line.kind !== "page");
  const idle = replay.idle.reduce((sum, { from_ms, to_ms }) => sum + to_ms - from_ms, 0);
  const words = `${spoken(at)} of ${spoken(end)}, page ${url}${here ? `, ${here.text}` : ""}`;
  const moment = Math.floor(at / 1000);
  return (
    <Page
      title={`Visitor ${format.shortId(replay.visitor)}`}
      tab={website.domain}
      crumbs={[{ label: "Replays", href: `${root}/replays` }]}
      beside={
        replay.errors > 0 && (
          <Badge tone="bad" icon="warning">
            {format.plural(replay.errors, "error")}
          </Badge>
        )
      }
      actions={
        <>
          <LinkButton icon="person" href={`${root}/visitors/${replay.visitor}`}>
            <span class="lab">Visitor</span>
          </LinkButton>
          <Button
            icon="link"
            title={`Copy a link to this moment, ${clockOf(at)}`}
            onClick={() => void copy(`${location.origin}${location.pathname}${moment > 0 ? `?t=${moment}` : ""}`).then((done) => done && toast("Link copied."))}
          >
            <span class="lab">Copy link at {clockOf(at)}</span>
          </Button>
          <MoreMenu
            label="More"
            small={false}
            kind="secondary"
            items={[
              { label: "Replays of this visitor", icon: "play", href: `${root}/replays?visitor=${replay.visitor}` },
              mayChange && "line",
              mayChange && { label: "Delete this replay…", icon: "trash", danger: true, onSelect: () => setDeleting(true) },
            ]}
          />
        </>
      }
    >
      <div class="grid side replay">
        <section ref={card} class="card player" aria-label="Player">
          <div class="urlbar">
            <span class="clip mono grow" title={url}>
              {website.domain}
              {url}
            </span>
            <Badge>
              {size.width} × {size.height}
            </Badge>
            {replay.masked_inputs && <Badge icon="eye">Inputs masked</Badge>}
          </div>
          <div class="stagewrap" style={{ "--ratio": String(size.width / size.height) }} aria-busy={(!isShown || waits) && !loaded.error && !stage.failed}>
            {/* What is recorded is looked at, and not used: neither pointer nor keyboard go in. */}
            <div class="rec">
              <iframe ref={stage.frame} class={isShown ? undefined : "waits"} src={PLAYER} title={`Recorded page ${url}`} sandbox="allow-scripts allow-same-origin" inert tabIndex={-1} />
            </div>
            {loaded.error ? (
              <div class="stageover">
                <Failure error={loaded.error} what="The replay could not be loaded." onRetry={loaded.reload} />
              </div>
            ) : stage.failed ? (
              <div class="stageover">
                <Note tone="bad">This replay cannot be shown. {stage.failed}</Note>
              </div>
            ) : loaded.isAll && loaded.events.length < 2 ? (
              <div class="stageover">
                <Empty title="There is nothing to show in this replay" icon="play">
                  Its first picture of the page never arrived.
                </Empty>
              </div>
            ) : (
              !isShown && (
                <div class="stageover">
                  <Skeleton lines={3} />
                </div>
              )
            )}
            {waits && !loaded.error && (
              <p class="stagemsg waits" role="status">
                <Icon name="clock" size={14} />
                Loading from {clockOf(loaded.until)} on
              </p>
            )}
            {error && !waits && (
              <p class="stagemsg">
                <Icon name="warning" size={14} />
                <span class="clip">{error.text}</span>
                <span>at {clockOf(error.at)}</span>
              </p>
            )}
          </div>
          <Scrubber at={at} end={end} until={loaded.until} lines={lines} idle={replay.idle} gaps={replay.gaps} words={words} onAt={jump} />
          <div class="controls">
            <IconButton icon="previous" kind="quiet" label="Previous event (,)" onClick={toPrevious} />
            <IconButton icon={playing ? "pause" : "play"} kind="primary" label={playing ? "Pause (Space)" : "Play (Space)"} disabledReason={stage.failed ? "This replay cannot be shown." : isShown ? undefined : "It is being loaded."} onClick={toggle} />
            <IconButton icon="next" kind="quiet" label="Next event (.)" onClick={toNext} />
            <span class="nowrap">
              <b>{clockOf(at)}</b> <span class="dim">/ {clockOf(end)}</span>
            </span>
            <span class="grow" />
            <label class="row nowrap">
              <input class="toggle" type="checkbox" role="switch" checked={skips} onChange={(event) => setSkips(event.currentTarget.checked)} />
              <span>
                Skip idle<span class="wide-only">{idle > 0 ? ` (${span(idle)})` : ""}</span>
              </span>
            </label>
            <Segmented<Speed> label="Speed" value={speed} options={SPEEDS.map((value) => ({ value, label: `${value}×` }))} onValue={hurry} />
            <IconButton icon="expand" kind="quiet" class="last" label="Full screen (F)" onClick={fullScreen} />
          </div>
        </section>
        <aside class="stack stack-16">
          <section class="card" aria-labelledby="timeline-h">
            <div class="card-head">
              <h2 id="timeline-h">Timeline</h2>
              <span class="grow" />
              <Segmented<Shown>
                label="Show"
                value={shown}
                options={[
                  { value: "all", label: "All" },
                  { value: "pages", label: "Pages" },
                  { value: "errors", label: "Errors" },
                ]}
                onValue={setShown}
              />
            </div>
            {visible.length === 0 ? (
              <p class="hint card-body">{shown === "errors" ? "No errors in this replay." : "Nothing happened."}</p>
            ) : (
              <ol ref={list} class="evlist follows" tabIndex={0} aria-label="What happened">
                {visible.map((line, index) => (
                  <LineView key={index} line={line} current={index === current} onPick={() => jump(line.at)} root={root} />
                ))}
              </ol>
            )}
          </section>
          <Card title="Session">
            <dl class="facts">
              <dt>When</dt>
              <dd>{format.dateTime(replay.started_at, zone)}</dd>
              <dt>Place</dt>
              <dd>
                <span class="row">
                  <CountryTag code={replay.country} /> {replay.country ? format.country(replay.country) : "Unknown"}
                </span>
              </dd>
              <dt>Device</dt>
              <dd>{[replay.device && valueLabel("device", replay.device), replay.browser, replay.os].filter(Boolean).join(", ") || "Unknown"}</dd>
              <dt>Size</dt>
              <dd>
                {format.bytes(replay.bytes)}, {format.plural(replay.chunks, "part")}
                {replay.missing > 0 && `, ${format.count(replay.missing)} never arrived`}
              </dd>
              {replay.kept_until && (
                <>
                  <dt>Kept until</dt>
                  <dd>{format.dateOf(replay.kept_until, zone)}</dd>
                </>
              )}
            </dl>
          </Card>
        </aside>
      </div>
      <footer class="foot">
        <span>
          Times in {format.zoneName(zone)}
        </span>
        <a href="https://db-ip.com" rel="noreferrer">
          IP Geolocation by DB-IP
        </a>
      </footer>
      {deleting && (
        <Confirm
          title="Delete this replay?"
          action="Delete"
          onClose={() => setDeleting(false)}
          onConfirm={async () => {
            await remove("/api/websites/{website_id}/replays/{replay_id}", { path: { website_id: website.id, replay_id: replay.id } });
            refresh(`/api/websites/${website.id}/`);
            toast("Replay deleted.");
            go(`${root}/replays`, { replace: true });
          }}
        >
          What was recorded of this visit is deleted. Its numbers stay. This cannot be undone.
        </Confirm>
      )}
    </Page>
  );
}

/** A time for those who hear it: `2 minutes 4 seconds`. */
function spoken(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  return [minutes > 0 && format.plural(minutes, "minute"), format.plural(seconds % 60, "second")].filter(Boolean).join(" ");
}

const ICONS: Readonly<Record<Line["kind"], IconName>> = { page: "page", click: "event", rage: "event", error: "warning", goal: "flag", typed: "edit", idle: "clock", gap: "exclude", pause: "pause" };

function LineView({ line, current, onPick, root }: { line: Line; current: boolean; onPick(): void; root: string }) {
  return (
    <li>
      <button type="button" class={classes(line.kind === "error" && "bad", line.kind === "rage" && "warn")} aria-current={current ? "true" : undefined} onClick={onPick}>
        <span class="mono dim">{clockOf(line.at)}</span>
        <Icon name={ICONS[line.kind]} size={14} />
        <span class="grow">
          <span class="t">
            {line.kind === "page" ? (
              <>
                Viewed <code>{line.text}</code>
              </>
            ) : (
              line.text
            )}
          </span>
          {line.hint && (
            <span class="hint clip" title={line.hint}>
              {line.hint}
            </span>
          )}
        </span>
      </button>
      {line.group && (
        <a class="evlink" href={`${root}/errors/${line.group}`}>
          Look at this error
        </a>
      )}
    </li>
  );
}

const WIDTH = 1000;

/** Where it is, and what is where: played, idle, pages, clicks, errors, goals. */
function Scrubber({ at, end, until, lines, idle, gaps, words, onAt }: {
  at: number;
  end: number;
  until: number;
  lines: readonly Line[];
  idle: Detail["idle"];
  gaps: Detail["gaps"];
  words: string;
  onAt(at: number): void;
}) {
  const x = (ms: number) => (Math.max(0, Math.min(end, ms)) / end) * WIDTH;
  const box = (from: number, to: number) => ({ x: x(from).toFixed(1), width: Math.max(1, x(to) - x(from)).toFixed(1) });
  return (
    <div class="scrub">
      <svg viewBox={`0 0 ${WIDTH} 34`} preserveAspectRatio="none" aria-hidden="true">
        <defs>
          <pattern id="idle-hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <rect width="2.4" height="7" class="hx" />
          </pattern>
        </defs>
        <rect class="trk" x="0" y="14" width={WIDTH} height="7" rx="3.5" />
        {until < end && <rect class="ahead" {...box(until, end)} y="14" height="7" />}
        <rect class="done" x="0" y="14" width={x(at).toFixed(1)} height="7" rx="3.5" />
        {idle.map(({ from_ms, to_ms }) => (
          <g key={from_ms}>
            <rect class="idle" {...box(from_ms, to_ms)} y="13" height="9" />
            <rect {...box(from_ms, to_ms)} y="13" height="9" fill="url(#idle-hatch)" />
          </g>
        ))}
        {gaps.map(({ from_ms, to_ms }) => (
          <rect key={from_ms} class="gap" {...box(from_ms, to_ms)} y="16.5" height="2" />
        ))}
        {lines.map((line, index) =>
          line.kind === "click" || line.kind === "rage" || line.kind === "typed" ? (
            <rect key={index} class={classes("tick", line.kind === "rage" && "rage")} x={(x(line.at) - 1).toFixed(1)} y="6" width="2.5" height="6" />
          ) : line.kind === "page" && line.at > 0 ? (
            <rect key={index} class="pg" x={(x(line.at) - 1).toFixed(1)} y="3" width="2" height="28" />
          ) : null,
        )}
      </svg>
      {lines.map(
        (line, index) =>
          (line.kind === "error" || line.kind === "goal") && (
            <span key={index} class={`mark ${line.kind}`} style={{ left: `${x(line.at) / (WIDTH / 100)}%` }} title={`${line.text} at ${clockOf(line.at)}`}>
              {line.kind === "goal" ? (
                <Icon name="flag" size={14} />
              ) : (
                <svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true">
                  <path d="M6 1 11.5 11H.5Z" fill="currentColor" />
                </svg>
              )}
            </span>
          ),
      )}
      <input type="range" min={0} max={end} step={1} value={at} aria-label="Position" aria-valuetext={words} onInput={(event) => onAt(Number(event.currentTarget.value))} />
    </div>
  );
}
