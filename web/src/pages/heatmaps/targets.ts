// What was clicked: elements of the page, each with all the addresses that lead to it.
import type { RecordedNode, RecordedPage } from "../../lib/recorded";
import { shortSelector } from "../../rules/heat";
import { pathOf } from "../../../../tracker/src/place";
import type { ClickedElement } from "./view";

/** An element that was clicked. */
export interface Target {
  readonly key: string;
  /** What it is called: its label, or what it is. */
  readonly name: string;
  /** Its path. */
  readonly path: string;
  readonly hasLabel: boolean;
  readonly clicks: number;
  readonly rage: number;
  readonly dead: number;
  /** Its addresses: pages differ in what is around it. */
  readonly parts: readonly ClickedElement[];
  /** Where it was clicked, in pixels of the page. */
  readonly at: readonly number[];
  /** Where it is on the recorded page; undefined where it is not. */
  readonly node: RecordedNode | undefined;
}

const targetOf = (parts: readonly ClickedElement[], node: RecordedNode | undefined): Target => {
  const first = parts[0]!;
  const sum = (count: (part: ClickedElement) => number) => parts.reduce((all, part) => all + count(part), 0);
  const label = parts.find((part) => part.label)?.label;
  const path = pathOf(first.address);
  return {
    key: first.address,
    name: label ?? (path ? shortSelector(path) : "Unknown element"),
    path,
    hasLabel: label != null,
    clicks: sum((part) => part.clicks),
    rage: sum((part) => part.rage_clicks),
    dead: sum((part) => part.dead_clicks),
    parts,
    at: first.at,
    node,
  };
};

/** The elements, the most clicked first. On a recorded page, addresses that lead to one element are one. */
export function targetsOf(elements: readonly ClickedElement[], page: RecordedPage | undefined): Target[] {
  const placed = new Map<RecordedNode, ClickedElement[]>();
  const targets: Target[] = [];
  for (const element of elements) {
    const node = page?.find(element.address);
    if (!node) targets.push(targetOf([element], undefined));
    else placed.set(node, [...(placed.get(node) ?? []), element]);
  }
  for (const [node, parts] of placed) targets.push(targetOf(parts, node));
  return targets.sort((one, other) => other.clicks - one.clicks);
}
