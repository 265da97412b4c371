// Questions that the server refuses. Filters that never hold together are told once, in the words of their chips, with what shows numbers
// again; whatever is refused besides is told where it was asked.
import type { ApiError } from "../../api/client";
import * as format from "../../lib/format";
import { addFilter, inOrder, removeFilter } from "../../lib/view";
import { Button, Empty, Failure } from "../../ui/basic";
import { useAnalytics } from "./context";
import { filterLabel } from "./dimensions";

interface Refused {
  readonly error: ApiError;
  /** What was asked for, and that it did not come. */
  readonly what: string;
  onRetry(): void;
}

/** The places, among the filters as they were asked, of those that an error says never hold together. */
const placesIn = ({ details }: ApiError): number[] =>
  details
    .flatMap(({ field }) => /^f\[(\d+)\]$/.exec(field)?.[1] ?? [])
    .map(Number)
    .sort((one, other) => one - other);

/** Whether a question is refused because its filters never hold together. */
export const neverHolds = (error: ApiError | undefined): error is ApiError => error !== undefined && placesIn(error).length > 0;

/** Why a part of a page has nothing. Of filters that never hold together the page itself says more. */
export const PartRefused = (refused: Refused) => (neverHolds(refused.error) ? <Empty title="Nothing matches" /> : <Failure {...refused} />);

/** Why a page has nothing. */
export function PageRefused(refused: Refused) {
  const { view, show, unfilter } = useAnalytics();
  const asked = inOrder(view.filters);
  const apart = placesIn(refused.error).flatMap((place) => asked[place] ?? []);
  const last = apart.at(-1);
  if (!last) return <Failure {...refused} />;
  const change = (act: () => void) => () => {
    // The button goes, and the focus with it.
    document.querySelector<HTMLElement>(".bar .flt")?.focus();
    act();
  };
  const isOneQuestion = apart.every(({ dimension, operator }) => dimension === last.dimension && operator === "is");
  const either = { ...last, values: [...new Set(apart.flatMap(({ values }) => values))] };
  const named = apart.map((filter) => `“${filterLabel(filter)}”`);
  return (
    <div role="alert">
      <Empty
        title="These filters never match together"
        level={2}
        icon="filter"
        action={
          <div class="row wrap actions">
            <Button title={filterLabel(last)} onClick={change(() => unfilter(last))}>
              <span class="clip">Remove {named.at(-1)}</span>
            </Button>
            {isOneQuestion && <Button onClick={change(() => show(addFilter(apart.reduce(removeFilter, view), either)))}>{apart.length === 2 ? "Show either" : "Show any of them"}</Button>}
          </div>
        }
      >
        Nothing is {named.length === 2 ? "both" : "all of"} {format.list(named)}.
      </Empty>
    </div>
  );
}
