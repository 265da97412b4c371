// What the list of pages and one page have in common.
import { useCallback, useEffect, useMemo } from "preact/hooks";
import { go, usePlace } from "../../lib/router";
import type { Website } from "../../lib/websites";
import { toast } from "../../ui/overlay";
import { parseHeat, printHeat, type HeatView } from "./view";

/** What the address shows, and how to show something else. A step back undoes it unless `replace`. */
export function useHeat(home: string): { heat: HeatView; dropped: number; show(heat: HeatView, replace?: boolean): void } {
  const { search } = usePlace();
  const { heat, dropped } = useMemo(() => parseHeat(search), [search]);
  const show = useCallback((next: HeatView, replace = false) => go(home + printHeat(next), { replace }), [home]);
  return { heat, dropped, show };
}

export interface HeatProps {
  website: Website;
  heat: HeatView;
  /** Parts of the address that are not understood. */
  dropped: number;
  show(heat: HeatView, replace?: boolean): void;
}

/** What is recorded, in short. */
export const WHAT_IS_RECORDED =
  "Heatmaps show where people click, how far they scroll and what they look at. Nothing that is typed is recorded, and nobody with Global Privacy Control or Do Not Track. Pages take the switch within five minutes.";

/** Says once that a part of a link is not understood. */
export function useDropped(dropped: number): void {
  useEffect(() => {
    if (dropped > 0) toast(dropped === 1 ? "One part of this link is not understood." : `${dropped} parts of this link are not understood.`);
  }, [dropped]);
}
