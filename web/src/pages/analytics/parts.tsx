// Small parts that several panels have: progress, what stands for no numbers, rows of bars.
import type { ComponentChildren, TargetedKeyboardEvent } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Data } from "../../api/data";
import * as format from "../../lib/format";
import { removeFilter, type Filter } from "../../lib/view";
import { Button, classes, CountryTag, Delta, Empty, figureClass, Skeleton } from "../../ui/basic";
import { Icon } from "../../ui/icons";
import { LongQuestion, Waiting } from "../parts/long-question";
import { useAnalytics } from "./context";
import { filterLabel } from "./dimensions";
import { PartRefused } from "./refused";

/** What `value` was when it had not changed for `ms`. */
export function useSettled<T>(value: T, ms: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}

/** What a panel shows: its rows, dimmed while others are counted, or why there are none. */
export function PanelBody<T>({ data, what, rows = 9, table, children }: {
  data: Data<T>;
  what: string;
  rows?: number;
  /** Its rows are those of a table, which are higher. */
  table?: boolean;
  children: (data: T) => ComponentChildren;
}) {
  const { error } = data;
  // As high as what will stand there.
  const space = classes("barspace", `rows-${rows}`, table && "tablespace");
  if (error) {
    return (
      <div class={space}>
        <div class="card-body">
          <PartRefused error={error} what={`${what} could not be counted.`} onRetry={data.reload} />
        </div>
      </div>
    );
  }
  return (
    <>
      <LongQuestion data={data} what={what.toLowerCase()} />
      {data.data === undefined ? (
        <Waiting data={data}>
          <div class={space}>
            <Skeleton lines={rows} shape={table ? "rows" : "bars"} />
          </div>
        </Waiting>
      ) : (
        <div class={classes("panel-body", !table && space, data.stale && "stale")}>{children(data.data)}</div>
      )}
    </>
  );
}

/** Why a panel has no rows. */
export function NoRows({ what }: { what: string }) {
  const { view, show } = useAnalytics();
  const last = view.filters.at(-1);
  if (!last) return <Empty title={`No ${what} in this range`} />;
  return (
    <Empty
      title={`No ${what} match`}
      action={
        <Button small onClick={() => show(removeFilter(view, last))}>
          Remove last filter
        </Button>
      }
    >
      {passes(view.filters)}
    </Empty>
  );
}

/** "No visit passes …" */
export const passes = (filters: readonly Filter[]): string =>
  `No visit passes ${filters.slice(0, 3).map((filter) => `“${filterLabel(filter)}”`).join(" and ")}${filters.length > 3 ? ` and ${filters.length - 3} more` : ""}.`;

export interface BarRow {
  readonly key: string;
  readonly name: string;
  /** Its country, by two letters. */
  readonly code?: string;
  /** The whole of it, where the name is cut. */
  readonly title?: string;
  /** It is not known. */
  readonly grey?: boolean;
  /** Its bar, 0 to 1 of the longest. */
  readonly part: number;
  readonly cells: readonly { readonly content: ComponentChildren; readonly soft?: boolean }[];
  /** Shows this alone. */
  onPick?(): void;
  /** Shows everything else. */
  onExclude?(): void;
  /** Goes to what it is: another website's page. */
  readonly open?: string | undefined;
  /** Where its name leads, where it is no filter. */
  readonly href?: string;
}

/** Bars with names and numbers. A row is one stop of the keyboard: ↑ ↓ move, Enter is, X is not, O opens. */
export function BarList({ label, head, rows, space = 9 }: { label: string; head: readonly { title: ComponentChildren; class?: string }[]; rows: readonly BarRow[]; space?: number }) {
  const table = useRef<HTMLTableElement>(null);
  const [current, setCurrent] = useState(0);
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLTableElement>) => {
    if (event.ctrlKey || event.metaKey) return;
    // Rows beyond the room are only on paper.
    const links = [...(table.current?.querySelectorAll<HTMLElement>("[data-row]") ?? [])].filter((link) => link.offsetParent !== null);
    const at = links.indexOf(document.activeElement as HTMLElement);
    const row = rows[at];
    if (!row) return;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
    if (to !== undefined) {
      const next = Math.max(0, Math.min(links.length - 1, to));
      setCurrent(next);
      links[next]?.focus();
    } else if (event.key.toLowerCase() === "x" && row.onExclude) row.onExclude();
    else if (event.key.toLowerCase() === "o" && row.open) open(row.open, "_blank", "noopener,noreferrer");
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const place = Math.min(current, rows.length - 1);
  // The row that was focused may be gone, such as after X: the one in its place has the focus then.
  const hadFocus = table.current?.contains(document.activeElement) === true;
  useLayoutEffect(() => {
    if (hadFocus && !table.current?.contains(document.activeElement)) table.current?.querySelector<HTMLElement>('[data-row][tabindex="0"]')?.focus();
  });
  return (
    <div class={`barspace rows-${space}`}>
      <table ref={table} class={classes("bars", rows.some(({ cells }) => cells.some(({ content }) => typeof content === "string" && figureClass(content))) && "big")} onKeyDown={onKeyDown}>
        <caption class="vh">{label}</caption>
        <thead>
          <tr>
            {head.map((column, index) => (
              <th key={index} scope="col" class={classes(index > 0 && "num", column.class)}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={row.key}>
              <td>
                <svg class="fill" aria-hidden="true">
                  <rect width={`${(row.part * 100).toFixed(1)}%`} height="100%" rx="3" fill="currentColor" />
                </svg>
                <span class="name">
                  {row.code !== undefined && <CountryTag code={row.code} />}
                  <RowName row={row} tabIndex={index === place ? 0 : -1} onFocus={() => setCurrent(index)} />
                  {row.open && (
                    <a class="more open" href={row.open} target="_blank" rel="noopener noreferrer" tabIndex={-1} aria-label={`Open ${row.name}`} title="Open">
                      <Icon name="external" size={14} />
                    </a>
                  )}
                  {row.onExclude && (
                    <button type="button" class="more" tabIndex={-1} aria-label={`Exclude ${row.name}`} title="Exclude" onClick={row.onExclude}>
                      <Icon name="exclude" size={14} />
                    </button>
                  )}
                </span>
              </td>
              {row.cells.map((cell, at) => (
                <td key={at} class="num">
                  {cell.soft ? <span class="share">{cell.content}</span> : cell.content}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function RowName({ row, tabIndex, onFocus }: { row: BarRow; tabIndex: number; onFocus(): void }) {
  const shared = { class: classes("rowname", row.grey && "dim"), title: row.title ?? row.name, tabIndex, onFocus, "data-row": "" };
  if (row.href !== undefined) {
    return (
      <a {...shared} href={row.href}>
        {row.name}
      </a>
    );
  }
  if (!row.onPick) return <span {...shared}>{row.name}</span>;
  return (
    <button
      {...shared}
      type="button"
      onClick={(event) => {
        if (event.altKey && row.onExclude) row.onExclude();
        else row.onPick?.();
      }}
    >
      {row.name}
    </button>
  );
}

/** How a number stands to the earlier one, or its share of all. */
export const secondCell = (share: number | null, now: number, before: number | undefined, compares: boolean): BarRow["cells"][number] =>
  compares ? { content: <Delta now={now} before={before} /> } : { content: format.percent(share), soft: true };
