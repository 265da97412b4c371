/** Web vitals of the document: one report when the page is first hidden, and again when they have changed since. */
import { onCLS, onFCP, onINP, onLCP, onTTFB, type Metric } from "web-vitals";
import type { Kit } from "./kit";
import { scrubAddress } from "./scrub";
import { common, onLeave, outbox } from "./send";

type Connected = Navigator & { connection?: { effectiveType?: string } };

export default (kit: Kit) => {
  // The document was asked for by this address, whatever the page has made of it since.
  const asked = performance.getEntriesByType("navigation")[0]?.name || kit.view().url;
  let view = { id: kit.newId(), url: scrubAddress(asked) };
  let values: Record<string, number> = {};
  let hasNews = false;

  const measured = ({ name, value }: Metric) => {
    // A tenth of a millisecond, and a ten thousandth of what has no unit, are enough.
    const digits = name === "CLS" ? 10_000 : 10;
    values[name.toLowerCase()] = Math.round(value * digits) / digits;
    hasNews = true;
  };

  const { send, leave } = outbox(kit, "performance", () => (hasNews = false));

  // What the library measures when the page is hidden comes first, for it listens first.
  for (const measure of [onLCP, onCLS, onINP, onFCP, onTTFB]) measure(kit.guarded(measured) as typeof measured, { reportAllChanges: true });

  onLeave(kit, () => {
    if (hasNews) send({ ...common(kit, view), ...values, connection: (navigator as Connected).connection?.effectiveType }, true);
    hasNews = false;
    leave();
  });

  // A page that comes back from the back/forward cache is another view, which the library measures anew.
  addEventListener(
    "pageshow",
    kit.guarded((shown: PageTransitionEvent) => {
      if (!shown.persisted) return;
      view = { id: kit.newId(), url: scrubAddress(kit.view().url) };
      values = {};
      hasNews = false;
    }),
    true,
  );
};
