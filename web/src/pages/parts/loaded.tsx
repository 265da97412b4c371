// What stands in a card before its data, in place of them, and while they are asked for again.
import type { ComponentChildren } from "preact";
import type { Data } from "../../api/data";
import { Failure, Note, Skeleton } from "../../ui/basic";
import { LongQuestion, Waiting } from "./long-question";

interface Props<T> {
  readonly of: Data<T>;
  /** "The keys": what could not be shown. */
  readonly what: string;
  readonly lines?: number;
  /** It stands on the page itself, and not in a card. */
  readonly onPage?: boolean;
  readonly children: (data: T) => ComponentChildren;
}

/** Data that came once stay, paler, until the next ones replace them. */
export function Loaded<T>({ of, what, lines = 3, onPage = false, children }: Props<T>) {
  if (of.data === undefined) {
    if (onPage) {
      return (
        <section class="card" aria-label={what}>
          <Loaded of={of} what={what} lines={lines}>
            {children}
          </Loaded>
        </section>
      );
    }
    if (of.error === undefined) {
      return (
        <div class="card-body" aria-busy={of.loading}>
          <LongQuestion data={of} what={what.charAt(0).toLowerCase() + what.slice(1)} doing="Loading" />
          <Waiting data={of} again="Load again">
            <Skeleton lines={lines} />
          </Waiting>
        </div>
      );
    }
    return (
      <div class="card-body">
        {of.error.status === 403 ? <Note icon="shield">{what} are not for your role.</Note> : <Failure error={of.error} what={`${what} could not be loaded.`} onRetry={of.reload} />}
      </div>
    );
  }
  return (
    <div class={of.stale ? "stale" : undefined} aria-busy={of.stale ? "true" : undefined}>
      {of.error === undefined ? null : (
        <div class="card-body">
          <Failure error={of.error} what={`${what} could not be loaded again.`} onRetry={of.reload} />
        </div>
      )}
      <LongQuestion data={of} what={what.charAt(0).toLowerCase() + what.slice(1)} doing="Loading" />
      {children(of.data)}
    </div>
  );
}
