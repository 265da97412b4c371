// One occurrence: what happened before it, who met it, and its replay.
import * as format from "../../lib/format";
import { before, errorTitle } from "../../rules/stacks";
import { classes, CountryTag, IconButton, LinkButton } from "../../ui/basic";
import { Icon, type IconName } from "../../ui/icons";
import { valueLabel } from "../analytics/dimensions";
import type { Occurrence, Stack } from "./data";

const CRUMBS: Readonly<Record<string, { readonly icon: IconName; words(text: string): string; readonly tone?: "warn" | "bad" }>> = {
  view: { icon: "page", words: (text) => `Viewed ${format.path(text)}` },
  click: { icon: "event", words: (text) => (text ? `Clicked “${text}”` : "Clicked") },
  rage: { icon: "event", words: (text) => (text ? `Rage click on “${text}”` : "Rage click"), tone: "warn" },
  error: { icon: "warning", words: (text) => text || "Another error", tone: "bad" },
  event: { icon: "flag", words: (text) => `Event ${text}` },
};

interface Props {
  /** The latest, the newest first. */
  readonly all: readonly Occurrence[];
  readonly at: number;
  readonly onAt: (at: number) => void;
  /** How many there are in the view. */
  readonly total: number;
  readonly stack: Stack | undefined;
  readonly root: string;
  readonly zone: string;
}

export function OccurrenceCard({ all, at, onAt, total, stack, root, zone }: Props) {
  const shown = all[at];
  if (!shown) return null;
  const day = format.dayIn(new Date(shown.occurred_at), zone);
  const year = format.dayIn(new Date(), zone).slice(0, 4);
  const replay = shown.replay;
  return (
    <section class="card" aria-labelledby="occurrence-h">
      <div class="card-head">
        <h2 id="occurrence-h">Occurrence</h2>
        <span class="dim clip">
          {format.day(day, year)}, {format.time(shown.occurred_at, zone, true)}
        </span>
        <span class="grow" />
        <IconButton icon="left" kind="quiet" small label="Newer" disabledReason={at === 0 ? "This is the newest." : undefined} onClick={() => onAt(at - 1)} />
        <span class="nowrap dim" title={total > all.length ? `The last ${all.length} can be looked at.` : undefined}>
          {format.count(at + 1)} of {format.count(Math.max(total, all.length))}
        </span>
        <IconButton icon="right" kind="quiet" small label="Older" disabledReason={at >= all.length - 1 ? "Older ones are counted, and not kept in detail." : undefined} onClick={() => onAt(at + 1)} />
      </div>
      <ol class="evlist flat">
        {shown.breadcrumbs.map((crumb, index) => {
          const known = CRUMBS[crumb.kind] ?? { icon: "event" as const, words: (text: string) => text, tone: undefined };
          return (
            <li key={index}>
              <div class={known.tone}>
                <span class="mono dim">{before(crumb.before_ms)}</span>
                <Icon name={known.icon} size={14} />
                <span class="t">{known.words(crumb.text)}</span>
              </div>
            </li>
          );
        })}
        <li>
          <div class="bad">
            <span class="mono">{before(0)}</span>
            <Icon name="warning" size={14} />
            <span class="t">
              {stack ? errorTitle(stack.type, stack.message) : "The error"}
              {shown.count > 1 && `, ${format.count(shown.count)} times`}
            </span>
          </div>
        </li>
      </ol>
      {shown.properties.length > 0 && (
        <div class="props">
          {shown.properties.map(({ name, value }) => (
            <span key={name} class="badge">
              <span class="dim">{name}</span> {value}
            </span>
          ))}
        </div>
      )}
      <div class="card-foot">
        {replay && (
          <LinkButton kind="primary" small icon="play" href={`${root}/replays/${replay.id}?t=${Math.floor(replay.at_ms / 1000)}`}>
            Watch this moment
          </LinkButton>
        )}
        <LinkButton small href={`${root}/visitors/${shown.visitor}`}>
          Visitor {format.shortId(shown.visitor)}
        </LinkButton>
        <span class="grow" />
        <span class={classes("row", "wrap")}>
          <code>{format.path(shown.page)}</code>
          {[shown.browser, shown.os, shown.device && valueLabel("device", shown.device)].filter(Boolean).join(" · ")}
          {shown.country && (
            <span class="row" title={format.country(shown.country)}>
              <CountryTag code={shown.country} />
              <span class="vh">{format.country(shown.country)}</span>
            </span>
          )}
        </span>
      </div>
    </section>
  );
}
