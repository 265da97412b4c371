// Filters: the chips above the numbers, and the dialog that makes and changes one.
import type { TargetedKeyboardEvent } from "preact";
import { useRef } from "preact/hooks";
import { classes } from "../../ui/basic";
import { Icon } from "../../ui/icons";
import { printFilter, type Filter } from "../../lib/view";
import { useAnalytics } from "./context";
import { dimensionLabel, filterLabel, filterValues, isNegative, OPERATOR_LABELS } from "./dimensions";

/** The filters. Without any there is nothing. */
export function Chips({ onEdit, onAdd, onClear }: { onEdit(filter: Filter): void; onAdd(): void; onClear(): void }) {
  const { view, unfilter } = useAnalytics();
  const bar = useRef<HTMLDivElement>(null);
  if (view.filters.length === 0) return null;
  /** Takes a filter away; whoever was on its chip is on the next one, or where filters are made. */
  const drop = (filter: Filter) => {
    const chips = [...(bar.current?.querySelectorAll<HTMLElement>("[data-filter]") ?? [])];
    const at = chips.findIndex((chip) => chip.dataset.filter === printFilter(filter));
    if (chips[at]?.contains(document.activeElement)) (chips[at + 1] ?? chips[at - 1])?.querySelector<HTMLElement>("button")?.focus();
    if (chips.length === 1) document.querySelector<HTMLElement>(".bar .flt")?.focus();
    unfilter(filter);
  };
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLDivElement>) => {
    const target = event.target as HTMLElement;
    const buttons = [...(bar.current?.querySelectorAll<HTMLElement>("button") ?? [])];
    const at = buttons.indexOf(target);
    const chip = target.closest<HTMLElement>("[data-filter]");
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1 }[event.key];
    if (to !== undefined) buttons.at(to % buttons.length)?.focus();
    else if ((event.key === "Delete" || event.key === "Backspace") && chip) {
      const filter = view.filters.find((one) => printFilter(one) === chip.dataset.filter);
      if (filter) drop(filter);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div ref={bar} class="chips" role="toolbar" aria-label="Filters" onKeyDown={onKeyDown}>
      {view.filters.map((filter) => (
        <span key={printFilter(filter)} class={classes("chip", isNegative(filter.operator) && "not")} data-filter={printFilter(filter)}>
          <button type="button" aria-haspopup="dialog" aria-label={`Edit filter: ${filterLabel(filter)}`} onClick={() => onEdit(filter)}>
            {dimensionLabel(filter.dimension)} <span class="op">{OPERATOR_LABELS[filter.operator]}</span>{" "}
            <b>{filterValues(filter)}</b>
          </button>
          <button type="button" aria-label={`Remove filter: ${filterLabel(filter)}`} onClick={() => drop(filter)}>
            <Icon name="close" size={14} />
          </button>
        </span>
      ))}
      <button type="button" class="btn small quiet" aria-haspopup="dialog" onClick={onAdd}>
        <Icon name="plus" size={14} />
        Add filter
      </button>
      <button type="button" class="btn small quiet" onClick={onClear}>
        Clear <kbd>Esc</kbd>
      </button>
    </div>
  );
}
