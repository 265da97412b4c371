// The range, what it is compared with, and steps to the ranges before and after.
import { useState } from "preact/hooks";
import { lazy } from "../../lib/lazy";
import * as format from "../../lib/format";
import { compareLabel, daysOf, rangeLabel, RANGE_KEYS, step } from "../../lib/range";
import { useKeys } from "../../lib/keys";
import type { View } from "../../lib/view";
import { Button, IconButton } from "../../ui/basic";

const RangeDialog = lazy(() => import("./range-dialog"));

export interface RangeBarProps {
  view: View;
  show(view: View): void;
  zone: string;
  today: string;
  /** The range that the numbers are of, once they say so. */
  days: { from: string; to: string } | undefined;
  /** Nothing is compared. */
  plain?: boolean;
}

/** The buttons of the page's bar. */
export function RangeBar({ view, show, zone, today, days, plain }: RangeBarProps) {
  const [open, setOpen] = useState(false);
  const earlier = step(view.range, -1, today);
  const later = step(view.range, 1, today);
  const go = (range: View["range"] | undefined) => {
    if (!range) return;
    const { interval: _, ...rest } = view;
    show({ ...rest, range });
  };
  const compare = () => {
    const { compare: was, ...rest } = view;
    show(was ? rest : { ...rest, compare: "previous" });
  };
  useKeys({
    ArrowLeft: () => go(earlier),
    ArrowRight: () => go(later),
    c: plain ? undefined : compare,
    ...Object.fromEntries(RANGE_KEYS.map(([key, name]) => [key, () => go({ name })])),
  });
  const label = rangeLabel(view.range, today);
  const words = (range: View["range"]) => {
    const { from, to } = daysOf(range, today);
    return format.range(from, to, today.slice(0, 4));
  };
  return (
    <>
      {!plain && (
      <Button
        class="cmp"
        aria-pressed={view.compare !== undefined}
        title={view.compare ? `Compared with the ${compareLabel(view.compare, today)}` : "Compare with the previous period"}
        onClick={compare}
      >
        vs. {view.compare ? compareLabel(view.compare, today) : "previous period"}
      </Button>
      )}
      <div class="row range">
        <IconButton
          icon="left"
          kind="quiet"
          class="wide-only"
          label={earlier ? `Earlier: ${words(earlier)}` : "Earlier"}
          disabledReason={earlier ? undefined : "There is nothing before all time."}
          onClick={() => go(earlier)}
        />
        <Button icon="calendar" aria-haspopup="dialog" aria-label={`Range: ${label}`} onClick={() => setOpen(true)}>
          {label}
        </Button>
        <IconButton
          icon="right"
          kind="quiet"
          class="wide-only"
          label={later ? `Later: ${words(later)}` : "Later"}
          disabledReason={later ? undefined : "This range goes on until now."}
          onClick={() => go(later)}
        />
      </div>
      {open && <RangeDialog view={view} show={show} zone={zone} today={today} days={days ?? daysOf(view.range, today)} onClose={() => setOpen(false)} />}
    </>
  );
}
