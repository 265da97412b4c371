// A table of any length: only the rows that can be seen, and some around them, are there.
import type { RefObject, TargetedKeyboardEvent } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { classes } from "./basic";
import { cellClass, followRow, TableHead, type Column, type Sort } from "./data";

/** A table of no more rows has all of them. */
const ALL = 200;
/** Rows beyond the edge that are there, too. */
const BEYOND = 12;
/** The height of a row before one was seen, in pixels. */
const HEIGHT = 44;

interface Span {
  readonly first: number;
  /** One after the last. */
  readonly end: number;
}

/**
 * The rows of a long list. Those that are not known yet are grey. ↑ ↓ Page Up, Page Down, Home and End go from row to row, and who
 * hears the page is told which row it is of how many.
 */
export function WindowTable<Row>({ caption, columns, count, total, rowAt, rowKey, sort, onSort, onSpan, scroller, bare, class: more }: {
  caption: string;
  columns: readonly Column<Row>[];
  /** Rows that the table has room for. */
  count: number;
  /** All rows that there are; `undefined` when nobody knows. */
  total: number | undefined;
  rowAt(index: number): Row | undefined;
  rowKey(row: Row, index: number): string;
  sort?: Sort;
  onSort?(sort: Sort): void;
  /** Called with the rows that are there now. */
  onSpan?(first: number, end: number): void;
  /** What scrolls; the page, without it. */
  scroller?: RefObject<HTMLElement | null>;
  /** What scrolls has a name already. */
  bare?: boolean;
  class?: string;
}) {
  const table = useRef<HTMLTableElement>(null);
  const height = useRef(HEIGHT);
  const [span, setSpan] = useState<Span>({ first: 0, end: count <= ALL ? count : 3 * BEYOND });
  /** The row that has the focus: it stays, wherever the others go. */
  const [focused, setFocused] = useState<number>();
  /** The row that is to have it as soon as it is there. */
  const wanted = useRef<number | undefined>(undefined);

  const look = () => {
    const body = table.current?.tBodies[0];
    if (!body) return;
    height.current = body.querySelector<HTMLElement>("tr[data-at]")?.offsetHeight || height.current;
    const { top } = body.getBoundingClientRect();
    const area = scroller?.current?.getBoundingClientRect() ?? { top: 0, bottom: innerHeight };
    const at = (y: number) => Math.max(0, Math.min(count, (y - top) / height.current));
    const first = count <= ALL ? 0 : Math.max(0, Math.floor(at(area.top)) - BEYOND);
    const end = count <= ALL ? count : Math.min(count, Math.ceil(at(area.bottom)) + BEYOND);
    setSpan((now) => (now.first === first && now.end === end ? now : { first, end }));
  };
  useLayoutEffect(() => {
    look();
    // Of all that scrolls around it.
    addEventListener("scroll", look, { capture: true, passive: true });
    addEventListener("resize", look);
    return () => {
      removeEventListener("scroll", look, { capture: true });
      removeEventListener("resize", look);
    };
  }, [count]);
  useEffect(() => onSpan?.(span.first, span.end), [span]);
  const rowOf = (index: number) => table.current?.querySelector<HTMLElement>(`tr[data-at="${index}"]`);
  useLayoutEffect(() => {
    if (wanted.current === undefined) return;
    const row = rowOf(wanted.current);
    const link = row?.querySelector<HTMLElement>("a, button");
    (link ?? row)?.focus();
    if (link) wanted.current = undefined;
  });

  const onKeyDown = (event: TargetedKeyboardEvent<HTMLTableElement>) => {
    const at = Number((event.target as HTMLElement).closest<HTMLElement>("tr[data-at]")?.dataset.at ?? NaN);
    if (Number.isNaN(at) || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor((scroller?.current?.clientHeight ?? innerHeight) / height.current) - 2);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: count - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const next = Math.max(0, Math.min(count - 1, to));
    wanted.current = next;
    setFocused(next);
  };

  const shown: number[] = [];
  if (focused !== undefined && focused < span.first) shown.push(focused);
  for (let index = span.first; index < Math.min(span.end, count); index++) shown.push(index);
  if (focused !== undefined && focused >= span.end && focused < count) shown.push(focused);
  const gap = (key: string, rows: number) =>
    rows > 0 && (
      <tr key={key} class="gap" aria-hidden="true" style={{ height: `${rows * height.current}px` }}>
        <td colSpan={columns.length} />
      </tr>
    );
  const whole = (
    <table
      ref={table}
      class={classes("table", more)}
      aria-rowcount={total === undefined ? -1 : total + 1}
      onKeyDown={onKeyDown}
      onFocusIn={(event) => {
        const row = (event.target as HTMLElement).closest<HTMLElement>("tr[data-at]");
        setFocused(row ? Number(row.dataset.at) : undefined);
      }}
    >
      <caption class="vh">{caption}</caption>
      <TableHead columns={columns} {...(sort !== undefined && { sort })} {...(onSort && { onSort })} rowIndex={1} />
      <tbody onClick={followRow}>
        {shown.flatMap((index, place) => {
          const row = rowAt(index);
          const before = index - (shown[place - 1] ?? -1) - 1;
          return [
            gap(`gap-${place}`, before),
            <tr key={row === undefined ? `row-${index}` : rowKey(row, index)} data-at={index} aria-rowindex={index + 2} {...(row === undefined && { "aria-busy": true, tabIndex: -1 })}>
              {columns.map((column) => (
                <td key={column.id} class={cellClass(column)}>
                  {row === undefined ? <span class="skel" /> : column.cell(row)}
                </td>
              ))}
            </tr>,
          ];
        })}
        {gap("gap-end", count - 1 - (shown.at(-1) ?? -1))}
      </tbody>
    </table>
  );
  if (bare) return whole;
  return (
    <div class="scroll-x" tabIndex={0} role="region" aria-label={caption}>
      {whole}
    </div>
  );
}
