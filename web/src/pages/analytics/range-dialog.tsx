// The dialog of the date range: presets, two months, typed dates, and what is compared with.
import { Fragment, type TargetedKeyboardEvent } from "preact";
import { useState } from "preact/hooks";
import "../../styles/range.css";
import * as format from "../../lib/format";
import { addDays, addMonths, type Day } from "../../lib/format";
import { daysOf, named, PRESETS, RANGE_KEYS, RANGE_LABELS, readDay, type Days } from "../../lib/range";
import type { Compare, Range, View } from "../../lib/view";
import { Button, classes, IconButton } from "../../ui/basic";
import { Segmented } from "../../ui/form";
import { Dialog } from "../../ui/overlay";

export interface RangeDialogProps {
  view: View;
  show(view: View): void;
  zone: string;
  today: Day;
  days: Days;
  onClose(): void;
}

type Comparing = "off" | "previous" | "year" | "weekday" | "custom";

const COMPARING: readonly { value: Comparing; label: string }[] = [
  { value: "off", label: "Off" },
  { value: "previous", label: "Previous period" },
  { value: "year", label: "Year before" },
  { value: "custom", label: "Custom…" },
];

const startOf = (day: Day): Day => `${day.slice(0, 7)}-01`;

export default function RangeDialog({ view, show, zone, today, days, onClose }: RangeDialogProps) {
  const [picked, setPicked] = useState<Days>({ from: days.from, to: days.to > today ? today : days.to });
  const [half, setHalf] = useState<Day>();
  const [over, setOver] = useState<Day>();
  const [preview, setPreview] = useState<Days>();
  const [month, setMonth] = useState(() => addMonths(startOf(days.to > today ? today : days.to), -1));
  const [texts, setTexts] = useState({ from: format.day(picked.from), to: format.day(picked.to) });
  const [wrong, setWrong] = useState<{ from?: string; to?: string; compare?: string }>({});
  const [comparing, setComparing] = useState<Comparing>(view.compare === undefined ? "off" : typeof view.compare === "string" ? view.compare : "custom");
  const before = view.compare !== undefined && typeof view.compare !== "string" ? view.compare : { from: addDays(picked.from, -28), to: addDays(picked.from, -1) };
  const [custom, setCustom] = useState({ from: format.day(before.from), to: format.day(before.to) });

  /** What the view is compared with, from what is chosen here; `null` when that is not understood. */
  const compare = (): Compare | undefined | null => {
    if (comparing === "off") return undefined;
    if (comparing !== "custom") return comparing;
    const [from, to] = [readDay(custom.from, today), readDay(custom.to, today)];
    return from && to && from <= to ? { from, to } : null;
  };
  const finish = (range: Range) => {
    const compared = compare();
    if (compared === null) {
      setWrong({ compare: "Write two dates, the first before the second." });
      return;
    }
    const { compare: _, interval: _interval, ...rest } = view;
    show({ ...rest, range, ...(compared && { compare: compared }) });
    onClose();
  };
  const choose = (next: Days) => {
    setPicked(next);
    setTexts({ from: format.day(next.from), to: format.day(next.to) });
    setWrong({});
  };
  const pick = (day: Day) => {
    if (half === undefined) {
      setHalf(day);
      choose({ from: day, to: day });
    } else {
      choose(day < half ? { from: day, to: half } : { from: half, to: day });
      setHalf(undefined);
    }
  };
  const read = (end: "from" | "to") => {
    const day = readDay(texts[end], today);
    if (!day) setWrong({ ...wrong, [end]: "Write a date, such as 13 Jun 2026." });
    else {
      const next = { ...picked, [end]: day };
      setHalf(undefined);
      if (next.from <= next.to) {
        choose(next);
        setMonth(addMonths(startOf(next.to), -1));
      }
    }
    return day;
  };
  const apply = (event?: Event) => {
    event?.preventDefault();
    const [from, to] = [readDay(texts.from, today), readDay(texts.to, today)];
    if (!from || !to) setWrong({ ...(!from && { from: "Write a date, such as 13 Jun 2026." }), ...(!to && { to: "Write a date, such as 13 Jun 2026." }) });
    else if (from > to) setWrong({ to: "The last day is before the first." });
    else {
      // The range that is shown stays what it was: "last 7 days" does not become seven dates.
      const same = from === days.from && to === (days.to > today ? today : days.to);
      finish(same ? view.range : named({ from, to }, today));
    }
  };
  const shown: Days = preview ? preview : half !== undefined && over !== undefined ? (over < half ? { from: over, to: half } : { from: half, to: over }) : picked;

  return (
    <Dialog title="Date range" bare class="daterange" onClose={onClose}>
      <form
        class="cal"
        onSubmit={apply}
        onKeyDown={(event) => {
          if ((event.target as Element).closest("input") || event.ctrlKey || event.metaKey || event.altKey) return;
          const preset = RANGE_KEYS.find(([key]) => key === event.key.toLowerCase());
          if (preset) finish({ name: preset[1] });
        }}
      >
        <div class="presets" role="group" aria-label="Presets">
          {PRESETS.map((name) => {
            const on = "name" in view.range && view.range.name === name;
            const key = RANGE_KEYS.find(([, known]) => known === name)?.[0];
            return (
              <button
                key={name}
                type="button"
                aria-pressed={on}
                autofocus={on}
                onClick={() => finish({ name })}
                onPointerEnter={() => name !== "all" && setPreview(daysOf({ name }, today))}
                onPointerLeave={() => setPreview(undefined)}
              >
                {RANGE_LABELS[name]}
                {key && <kbd class="wide-only">{key.toUpperCase()}</kbd>}
              </button>
            );
          })}
        </div>
        <div class="calside">
          <div class="calnav">
            <IconButton icon="left" label="Earlier month" kind="quiet" small onClick={() => setMonth(addMonths(month, -1))} />
            <IconButton
              icon="right"
              label="Later month"
              kind="quiet"
              small
              disabledReason={addMonths(month, 1) >= startOf(today) ? "The future has no visits." : undefined}
              onClick={() => setMonth(addMonths(month, 1))}
            />
          </div>
          <div class="months" onPointerLeave={() => setOver(undefined)}>
            {[month, addMonths(month, 1)].map((first) => (
              <Month key={first} first={first} today={today} shown={shown} onPick={pick} onOver={setOver} onMonth={(by) => setMonth(addMonths(month, by))} />
            ))}
          </div>
          <div class="calcmp">
            <span class="mid">Compare</span>
            <Segmented<Comparing>
              label="Compare"
              value={comparing === "weekday" ? "year" : comparing}
              options={COMPARING}
              onValue={setComparing}
            />
            {(comparing === "year" || comparing === "weekday") && (
              <label class="row">
                <input type="checkbox" checked={comparing === "weekday"} onChange={(event) => setComparing(event.currentTarget.checked ? "weekday" : "year")} />
                Align weekdays
              </label>
            )}
            {comparing === "custom" && (
              <span class="row">
                <input class="input" aria-label="Compare from" value={custom.from} onInput={(event) => setCustom({ ...custom, from: event.currentTarget.value })} />
                <span class="dim">to</span>
                <input class="input" aria-label="Compare to" value={custom.to} onInput={(event) => setCustom({ ...custom, to: event.currentTarget.value })} />
              </span>
            )}
            {wrong.compare && (
              <span class="err" role="alert">
                {wrong.compare}
              </span>
            )}
          </div>
        </div>
        <div class="calfoot">
          {(["from", "to"] as const).map((end, index) => (
            <Fragment key={end}>
              {index === 1 && <span class="dim">to</span>}
              <input
                class="input"
                aria-label={end === "from" ? "From" : "To"}
                aria-invalid={wrong[end] ? "true" : undefined}
                aria-describedby={wrong[end] ? "range-wrong" : undefined}
                autocomplete="off"
                value={texts[end]}
                onInput={(event) => {
                  setTexts({ ...texts, [end]: event.currentTarget.value });
                  if (wrong[end] && readDay(event.currentTarget.value, today)) setWrong({});
                }}
                onBlur={() => read(end)}
              />
            </Fragment>
          ))}
          <span class="dim wide-only" title="Days begin at midnight there.">
            {zone}
          </span>
          <span class="grow wide-only" />
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit">
            Apply
          </Button>
          {(wrong.from || wrong.to) && (
            <span class="err" id="range-wrong" role="alert">
              {wrong.from ?? wrong.to}
            </span>
          )}
        </div>
      </form>
    </Dialog>
  );
}

function Month({ first, today, shown, onPick, onOver, onMonth }: { first: Day; today: Day; shown: Days; onPick(day: Day): void; onOver(day: Day): void; onMonth(by: -1 | 1): void }) {
  const start = format.firstDayOfWeek();
  const days = format.daysBetween(first, addDays(addMonths(first, 1), -1));
  const lead = (format.weekday(first) - start + 7) % 7;
  const cells: (Day | undefined)[] = [...Array<undefined>(lead), ...Array.from({ length: days }, (_, at) => addDays(first, at))];
  while (cells.length % 7 !== 0) cells.push(undefined);
  const within = (day: Day | undefined): day is Day => day?.slice(0, 7) === first.slice(0, 7);
  // One day of each month is a stop of the keyboard.
  const stop = within(shown.to) ? shown.to : within(shown.from) ? shown.from : first;
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLTableElement>) => {
    const day = (event.target as HTMLElement).dataset.day;
    if (!day) return;
    const inWeek = (format.weekday(day) - start + 7) % 7;
    const to = {
      ArrowLeft: addDays(day, -1), ArrowRight: addDays(day, 1), ArrowUp: addDays(day, -7), ArrowDown: addDays(day, 7),
      PageUp: addMonths(day, -1), PageDown: addMonths(day, 1), Home: addDays(day, -inWeek), End: addDays(day, 6 - inWeek),
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    if (to > today) return;
    onOver(to);
    const there = document.querySelector<HTMLElement>(`.months [data-day="${to}"]`);
    if (there) there.focus();
    else {
      onMonth(to < day ? -1 : 1);
      requestAnimationFrame(() => document.querySelector<HTMLElement>(`.months [data-day="${to}"]`)?.focus());
    }
  };
  return (
    <div class="month">
      <table onKeyDown={onKeyDown}>
        <caption>{format.month(first)}</caption>
        <thead>
          <tr>
            {format.weekdayNames(start).map(({ short, long }) => (
              <th key={long} scope="col" abbr={long}>
                {short}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {Array.from({ length: cells.length / 7 }, (_, week) => (
            <tr key={week}>
              {cells.slice(week * 7, week * 7 + 7).map((day, at) => {
                if (!day) return <td key={at} />;
                const end = day === shown.from || day === shown.to;
                return (
                  <td key={at} class={classes(day > shown.from && day < shown.to && "in", end && "end")}>
                    <button
                      type="button"
                      data-day={day}
                      tabIndex={day === stop ? 0 : -1}
                      disabled={day > today}
                      aria-pressed={day >= shown.from && day <= shown.to}
                      aria-label={format.dayInFull(day)}
                      aria-current={day === today ? "date" : undefined}
                      onClick={() => onPick(day)}
                      onPointerEnter={() => onOver(day)}
                    >
                      {Number(day.slice(8))}
                    </button>
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
