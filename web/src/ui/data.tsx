// Tables, tabs and code.
import type { ComponentChildren, TargetedMouseEvent } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { announce, classes } from "./basic";
import { rove } from "./form";
import { Icon } from "./icons";

export interface Column<Row> {
  readonly id: string;
  readonly title: ComponentChildren;
  cell(row: Row): ComponentChildren;
  /** Numbers stand at the end of their cell. */
  readonly num?: boolean;
  /** Not on phones; `desk`: only where there is room for all columns. */
  readonly wide?: boolean | "desk";
  readonly sortable?: boolean;
  readonly class?: string;
  /** Its head is for those who hear the page. */
  readonly hideTitle?: boolean;
}

/** The classes of the cells of a column. */
export const cellClass = <Row,>({ num, wide, class: more }: Column<Row>): string => classes(num && "num", wide && (wide === "desk" ? "desk-only" : "wide-only"), more);

/** `-name` is descending. */
export type Sort = string;

/** Follows the link of a row that is pressed beside everything else that can be pressed in it, as the link itself is followed. */
export function followRow(event: TargetedMouseEvent<HTMLTableSectionElement>): void {
  const target = event.target as Element;
  if (target.closest("a, button, input, label, select, [popover]") || String(getSelection()) !== "") return;
  const { ctrlKey, metaKey, shiftKey, altKey } = event;
  const link = target.closest("tr")?.querySelector("a.cover, button.rowlink");
  link?.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, ctrlKey, metaKey, shiftKey, altKey }));
}

/** The heads of a table. */
export function TableHead<Row>({ columns, sort, onSort, rowIndex }: { columns: readonly Column<Row>[]; sort?: Sort; onSort?(sort: Sort): void; rowIndex?: number }) {
  return (
    <thead>
      <tr aria-rowindex={rowIndex}>
        {columns.map((column) => {
          const direction = sort === column.id ? "ascending" : sort === `-${column.id}` ? "descending" : undefined;
          return (
            <th key={column.id} scope="col" class={cellClass(column)} aria-sort={direction}>
              {column.sortable && onSort ? (
                <button type="button" class="sort" onClick={() => onSort(direction === "descending" ? column.id : `-${column.id}`)}>
                  {column.title}
                  {direction && <Icon name={direction === "descending" ? "down" : "up"} size={12} />}
                </button>
              ) : column.hideTitle ? (
                <span class="vh">{column.title}</span>
              ) : (
                column.title
              )}
            </th>
          );
        })}
      </tr>
    </thead>
  );
}

/** A table whose rows are 44 px high. On phones a row becomes two lines when `stacks`. */
export function Table<Row>({ caption, columns, rows, rowKey, sort, onSort, stacks, class: more }: {
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowKey(row: Row): string;
  sort?: Sort;
  onSort?(sort: Sort): void;
  stacks?: boolean;
  class?: string;
}) {
  return (
    <div class="scroll-x" tabIndex={0} role="region" aria-label={caption}>
      <table class={classes("table", stacks && "cards-sm", more)}>
        <caption class="vh">{caption}</caption>
        <TableHead columns={columns} {...(sort !== undefined && { sort })} {...(onSort && { onSort })} />
        <tbody onClick={followRow}>
          {rows.map((row) => (
            <tr key={rowKey(row)}>
              {columns.map((column) => (
                <td key={column.id} class={cellClass(column)}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export interface Tab<T extends string> {
  readonly value: T;
  readonly label: string;
}

/** Tabs over one panel, whose id is `controls`. Arrow keys choose. */
export function Tabs<T extends string>({ label, labelledBy, value, tabs, onValue, controls, look = "tabs" }: {
  label?: string;
  labelledBy?: string;
  value: T;
  tabs: readonly Tab<T>[];
  onValue(value: T): void;
  controls: string;
  look?: "tabs" | "ptabs" | "seg scroll-x";
}) {
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const selected = list.current?.querySelector<HTMLElement>('[aria-selected="true"]');
    if (list.current && selected) list.current.scrollLeft = selected.offsetLeft - list.current.offsetLeft - 24;
  }, [value]);
  return (
    <div ref={list} class={look} role="tablist" aria-label={label} aria-labelledby={labelledBy} onKeyDown={rove}>
      {tabs.map((tab) => (
        <button
          key={tab.value}
          type="button"
          role="tab"
          aria-selected={tab.value === value}
          aria-controls={controls}
          tabIndex={tab.value === value ? 0 : -1}
          onClick={() => onValue(tab.value)}
        >
          {tab.label}
        </button>
      ))}
    </div>
  );
}

/** Copies `text`. Where the clipboard is refused, `select` is selected, for the keyboard to copy. */
export async function copy(text: string, select?: Node | null): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    announce("Copied");
    return true;
  } catch {
    if (select) getSelection()?.selectAllChildren(select);
    announce("Selected. Copy it with the keyboard.");
    return false;
  }
}

/** A button that copies, and says that it did. */
export function CopyButton({ text, label = "Copy", select, onCopied, kind, small = true }: {
  text: string;
  label?: string;
  /** What to select where the clipboard is refused. */
  select?(): Node | null;
  onCopied?(): void;
  kind?: "primary" | "quiet";
  small?: boolean;
}) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), 1600);
    return () => clearTimeout(timer);
  }, [done]);
  return (
    <button
      type="button"
      class={classes("btn", kind, small && "small")}
      onClick={async () => {
        const copied = await copy(text, select?.());
        setDone(copied);
        onCopied?.();
      }}
    >
      <Icon name={done ? "check" : "copy"} size={14} />
      <span>{done ? "Copied" : label}</span>
    </button>
  );
}

/** Code to be copied, in one form or in several. */
export function CodeSnippet<T extends string>({ label, code, forms, value, onValue }: {
  label: string;
  code: string;
  /** Frameworks, languages. */
  forms?: readonly Tab<T>[];
  value?: T;
  onValue?(value: T): void;
}) {
  const id = useId();
  const pre = useRef<HTMLPreElement>(null);
  return (
    <div class="stack stack-8">
      {forms && value !== undefined && onValue && <Tabs look="seg scroll-x" label={label} value={value} tabs={forms} onValue={onValue} controls={id} />}
      <div class="code" id={id} role={forms ? "tabpanel" : "group"} aria-label={forms?.find((form) => form.value === value)?.label ?? label}>
        <pre ref={pre} tabIndex={0}>
          <code>{highlight(code)}</code>
        </pre>
        <CopyButton text={code} select={() => pre.current} />
      </div>
    </div>
  );
}

/** Strings, comments and names of tags in another colour. */
function highlight(code: string): ComponentChildren {
  return code.split(/("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|<!--.*?-->|(?<=<\/?)[a-zA-Z][\w-]*)/s).map((part, index) => {
    if (index % 2 === 0) return part;
    const kind = part.startsWith("<!--") ? "tok-c" : /^["']/.test(part) ? "tok-s" : "tok-k";
    return (
      <span key={index} class={kind}>
        {part}
      </span>
    );
  });
}
