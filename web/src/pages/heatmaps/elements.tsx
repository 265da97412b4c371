// All elements of a page that were clicked, and whether the recorded page has them.
import { useRef, useState } from "preact/hooks";
import * as format from "../../lib/format";
import { useKeys } from "../../lib/keys";
import { Badge, Button, Empty } from "../../ui/basic";
import type { Column } from "../../ui/data";
import { Icon } from "../../ui/icons";
import { Dialog, Menu, type MenuItem } from "../../ui/overlay";
import { WindowTable } from "../../ui/window";
import type { Target } from "./targets";

export default function Elements({ path, targets, isLost, isPlaced, clicks, total, files, onChoose, onClose }: {
  path: string;
  targets: readonly Target[];
  /** They are those that the recorded page does not have. */
  isLost: boolean;
  isPlaced(target: Target): boolean;
  /** All clicks on the page. */
  clicks: number;
  /** How many elements there are, also those that are not listed. */
  total: number;
  files: readonly MenuItem[];
  onChoose(target: Target): void;
  onClose(): void;
}) {
  const [typed, setTyped] = useState("");
  const input = useRef<HTMLInputElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  useKeys({ "/": () => input.current?.focus() });
  const wanted = typed.trim().toLowerCase();
  const found = targets.filter(({ name, path }) => name.toLowerCase().includes(wanted) || path.toLowerCase().includes(wanted));
  const columns: Column<Target>[] = [
    {
      id: "element",
      title: "Element",
      class: "valuecell",
      cell: (target) => (
        <span class="stack elementcell">
          <span class="row">
            {isPlaced(target) ? (
              <button type="button" class="rowlink" title={target.name} onClick={() => onChoose(target)}>
                {target.name}
              </button>
            ) : (
              <span class="clip">{target.name}</span>
            )}
            {!isLost && !isPlaced(target) && <Badge tone="line">Not shown</Badge>}
          </span>
          {target.hasLabel && (
            <span class="mono dim clip" title={target.path}>
              {target.path}
            </span>
          )}
        </span>
      ),
    },
    { id: "clicks", title: "Clicks", num: true, cell: (target) => format.count(target.clicks) },
    { id: "share", title: "Share", num: true, wide: true, cell: (target) => format.percent(target.clicks / Math.max(1, clicks)) },
    { id: "rage", title: "Rage", num: true, cell: (target) => format.count(target.rage) },
    { id: "dead", title: "Dead", num: true, cell: (target) => format.count(target.dead) },
  ];
  const title = isLost ? "Elements without a place" : "Elements";
  return (
    <Dialog title={title} wide class="full" onClose={onClose}>
      <div class="fullhead">
        <span class="hint grow">{isLost ? "They were clicked, and the page as it was recorded does not show them: they are gone, or come only sometimes." : format.path(path)}</span>
        <span class="search">
          <Icon name="search" />
          <input
            ref={input}
            class="input"
            type="search"
            autofocus
            aria-label="Find an element"
            placeholder="Find"
            autocomplete="off"
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
          <kbd>/</kbd>
        </span>
        <Menu
          label="Export"
          items={files}
          trigger={({ buttonRef, ...props }) => (
            <Button {...props} buttonRef={buttonRef} icon="download" aria-label="Export" title="Export">
              <span class="lab">Export</span>
            </Button>
          )}
        />
      </div>
      <div ref={scroller} class="fulltable">
        {found.length === 0 ? (
          <Empty title={wanted ? `Nothing has “${typed.trim()}” in it` : "No elements"} />
        ) : (
          <WindowTable
            caption={`${title} of ${path}`}
            columns={columns}
            count={found.length}
            total={found.length}
            rowAt={(index) => found[index]}
            rowKey={({ key }) => key}
            scroller={scroller}
          />
        )}
      </div>
      <div class="dlg-foot fullfoot">
        <span class="dim">
          {format.plural(found.length, "element")}
          {!isLost && !wanted && total > targets.length && `, with ${format.count(total)} addresses`}
        </span>
        <span class="grow" />
        <Button onClick={onClose}>Close</Button>
      </div>
    </Dialog>
  );
}
