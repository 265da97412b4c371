// What is shown of a question that takes long.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Data } from "../../api/data";
import { Button } from "../../ui/basic";

/** `true` when `on` has been for `ms`. */
export function useAfter(on: boolean, ms: number): boolean {
  const [passed, setPassed] = useState(false);
  useEffect(() => {
    setPassed(false);
    if (!on) return;
    const timer = setTimeout(() => setPassed(true), ms);
    return () => clearTimeout(timer);
  }, [on, ms]);
  return on && passed;
}

/** How far a question is that takes more than a second, and a way to give it up. */
export function LongQuestion({ data, what, doing = "Counting" }: { data: Data<unknown>; what: string; doing?: string }) {
  const slow = useAfter(data.loading || data.stale, 1000);
  if (!slow) return null;
  // Until it is its turn nobody knows of parts.
  const progress = data.progress && data.progress.parts > 0 ? data.progress : undefined;
  return (
    <div class="progressline">
      <span role="status">
        {doing} {what}
        {progress && `, ${progress.done} of ${progress.parts} parts`}
      </span>
      <progress {...(progress && { value: progress.done, max: progress.parts })} aria-label={`${doing} ${what}`} />
      <Button small onClick={data.stop}>
        Stop
      </Button>
    </div>
  );
}

/** What stands for an answer that is awaited; or that it was given up, and a way to ask again. */
export function Waiting({ data, again = "Count again", children }: { data: Data<unknown>; again?: string; children: ComponentChildren }) {
  if (!data.stopped) return <>{children}</>;
  return (
    <div class="empty">
      <p>Stopped.</p>
      <Button small onClick={data.reload}>
        {again}
      </Button>
    </div>
  );
}
