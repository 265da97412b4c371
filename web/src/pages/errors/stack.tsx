// A stack: the frames of the app, with the source around them where it is known, and those of libraries folded.
import { useState } from "preact/hooks";
import { functionName, placeOf, runsOf, stackText } from "../../rules/stacks";
import { Badge, classes } from "../../ui/basic";
import { CopyButton } from "../../ui/data";
import { Select } from "../../ui/form";
import { Icon } from "../../ui/icons";
import * as format from "../../lib/format";
import type { Frame, Stack } from "./data";

interface Props {
  readonly stacks: readonly Stack[];
  readonly shown: Stack;
  readonly onShow: (stack: number) => void;
  /** Where source maps are sent and listed. */
  readonly maps: string;
}

export function StackCard({ stacks, shown, onShow, maps }: Props) {
  const [mine, setMine] = useState(true);
  const ours = shown.frames.some(({ in_app }) => in_app);
  const runs = runsOf(shown.frames);
  const first = shown.frames.findIndex((frame) => frame.in_app && frame.context);
  return (
    <section class="card" aria-labelledby="stack-h">
      <div class="card-head wrap">
        <h2 id="stack-h">Stack</h2>
        {shown.source_map ? (
          <Badge tone="accent" icon="check">
            <span class="clip">Source map{shown.release && ` ${shown.release}`}</span>
          </Badge>
        ) : (
          shown.release && (
            <Badge>
              <span class="clip">{shown.release}</span>
            </Badge>
          )
        )}
        {shown.source === "manual" && <Badge>Reported by the page</Badge>}
        {shown.source === "rejection" && <Badge>Rejection</Badge>}
        <span class="grow" />
        {stacks.length > 1 && (
          <Select
            label="Which stack"
            hideLabel
            small
            value={String(shown.id)}
            options={stacks.map((stack, at) => ({ value: String(stack.id), label: `Stack ${at + 1} of ${stacks.length}${stack.release ? `, ${stack.release}` : ""}` }))}
            onValue={(id) => onShow(Number(id))}
          />
        )}
        {ours && (
          <label class="row nowrap">
            <input class="toggle" type="checkbox" role="switch" checked={mine} onChange={(event) => setMine(event.currentTarget.checked)} />
            <span>Only my code</span>
          </label>
        )}
        <CopyButton kind="quiet" text={stackText(shown.type, shown.message, shown.frames)} />
      </div>
      {shown.frames.length === 0 ? (
        <p class="hint card-body">The browser told no stack.</p>
      ) : (
        <ol class="frames">
          {runs.map((run) =>
            run.kind === "app" ? <FrameView key={`${shown.id}-${run.at}`} frame={run.frame} begins={run.at === first} /> : <Others key={`${shown.id}-${run.at}`} frames={run.frames} folded={mine && ours} />,
          )}
        </ol>
      )}
      {!shown.source_map && shown.frames.length > 0 && (
        <div class="card-foot">
          <span>
            These are the places in the bundle. With its <a href={maps}>source map</a> they are those in your code, also for errors that came before.
          </span>
        </div>
      )}
    </section>
  );
}

const Head = ({ frame }: { frame: Frame }) => (
  <>
    <b class="clip">{functionName(frame.function)}</b>
    <span class="mono clip" title={frame.file}>
      {placeOf(frame)}
    </span>
    {frame.in_app && <Badge>in app</Badge>}
  </>
);

function FrameView({ frame, begins }: { frame: Frame; begins: boolean }) {
  const [open, setOpen] = useState(begins);
  const context = frame.context;
  if (!context) {
    return (
      <li class="frame">
        <p class="fl">
          <Head frame={frame} />
        </p>
      </li>
    );
  }
  return (
    <li class={classes("frame", open && "open")}>
      <button type="button" class="fl" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Icon name={open ? "down" : "right"} size={12} />
        <Head frame={frame} />
      </button>
      {open && (
        <pre class="srcs" tabIndex={0} role="group" aria-label={`Source around line ${frame.line}`}>
          <code>
            {context.lines.map((line, at) => {
              const number = context.first + at;
              return (
                <span key={number} class={classes("l", number === frame.line && "hit")}>
                  <i>{number}</i>
                  {number === frame.line ? <mark>{line}</mark> : line}
                  {"\n"}
                </span>
              );
            })}
          </code>
        </pre>
      )}
    </li>
  );
}

function Others({ frames, folded }: { frames: readonly Frame[]; folded: boolean }) {
  const [open, setOpen] = useState(false);
  const shown = !folded || open;
  return (
    <>
      {folded && (
        <li class="frame lib">
          <button type="button" class="fl" aria-expanded={open} onClick={() => setOpen(!open)}>
            <Icon name={open ? "down" : "right"} size={12} />
            <span>{format.plural(frames.length, "frame")} of libraries</span>
          </button>
        </li>
      )}
      {shown &&
        frames.map((frame, at) => (
          <li key={at} class="frame lib">
            <p class="fl">
              <Head frame={frame} />
            </p>
          </li>
        ))}
    </>
  );
}
