/** What happened in a recording, as people read it: from the marks of the server, and from the recorded page itself. */

/** An event as rrweb records it. */
interface Recorded {
  readonly type: number;
  readonly timestamp: number;
  readonly data: unknown;
}

export type MarkKind = "page" | "click" | "rage" | "error" | "goal" | "pause" | "resume";

/** Something that happened, as the server tells it. Times are milliseconds since the beginning of the recording. */
export interface Mark {
  readonly at_ms: number;
  readonly kind: MarkKind;
  readonly text: string;
  /** The element, as the recording numbers it. */
  readonly node?: number | null;
  readonly count?: number | null;
  /** The group of errors that it is in. */
  readonly group?: string | null;
}

export interface Span {
  readonly from_ms: number;
  readonly to_ms: number;
}

/** A line of the timeline. */
export interface Line {
  readonly at: number;
  readonly kind: "page" | "click" | "rage" | "error" | "goal" | "typed" | "idle" | "gap" | "pause";
  readonly text: string;
  readonly hint?: string;
  readonly group?: string;
}

// --- the recorded page, as far as labels need it ---

interface Element {
  readonly tag: string;
  attributes: Record<string, unknown>;
  readonly children: number[];
  text: string;
  parent: number;
}

interface Serialized {
  readonly type: number;
  readonly id: number;
  readonly tagName?: string;
  readonly attributes?: Record<string, unknown>;
  readonly childNodes?: readonly Serialized[];
  readonly textContent?: string;
}

const FULL = 2;
const CHANGE = 3;
const MUTATION = 0;
const INPUT = 5;
const ACTIVE = /^(a|button|summary|label|input|select|textarea|option)$/;
const ROLES = /^(button|link|tab|menuitem|option|checkbox|radio|switch)$/;
const LABEL_CHARS = 60;
/** How many elements out a click is looked at. */
const OUT = 8;
/** How many elements in: recordings come from anywhere, and an element may be told to be within itself. */
const IN = 500;

/** The elements of the recorded page. */
class Tree {
  private readonly all = new Map<number, Element>();

  /** Follows an event. */
  follow(event: Recorded): void {
    if (event.type === FULL) {
      this.all.clear();
      this.add((event.data as { node: Serialized }).node, 0);
      return;
    }
    const data = event.data as { source?: number; adds?: { parentId: number; node: Serialized }[]; texts?: { id: number; value: string | null }[]; attributes?: { id: number; attributes: Record<string, unknown> }[]; removes?: { id: number; parentId: number }[] };
    if (event.type !== CHANGE || data.source !== MUTATION) return;
    for (const { id, parentId } of data.removes ?? []) {
      const children = this.all.get(parentId)?.children;
      const at = children?.indexOf(id) ?? -1;
      if (at >= 0) children?.splice(at, 1);
    }
    for (const { node, parentId } of data.adds ?? []) {
      this.all.get(parentId)?.children.push(node.id);
      this.add(node, parentId);
    }
    for (const { id, value } of data.texts ?? []) {
      const found = this.all.get(id);
      if (found) found.text = value ?? "";
    }
    for (const { id, attributes } of data.attributes ?? []) {
      const found = this.all.get(id);
      if (found) found.attributes = { ...found.attributes, ...attributes };
    }
  }

  private add(root: Serialized, outer: number): void {
    const left: [Serialized, number][] = [[root, outer]];
    for (let next = left.pop(); next; next = left.pop()) {
      const [node, parent] = next;
      const children = node.childNodes ?? [];
      this.all.set(node.id, { tag: (node.tagName ?? "").toLowerCase(), attributes: node.attributes ?? {}, children: children.map(({ id }) => id), text: node.textContent ?? "", parent });
      for (const child of children) left.push([child, node.id]);
    }
  }

  private textOf(id: number, most: number): string {
    let text = "";
    const left = [id];
    for (let seen = 0; left.length > 0 && seen < IN && text.length < most; seen++) {
      const found = this.all.get(left.pop()!);
      if (!found || found.tag === "script" || found.tag === "style") continue;
      // What is masked says nothing: the options of a field for choosing.
      text = `${text} ${found.text}`.replace(/•+/g, "").replace(/\s+/g, " ").trim();
      left.push(...found.children.slice(0, IN).reverse());
    }
    return text.slice(0, most);
  }

  /** What an element is called, and a short path to it. */
  label(id: number): { readonly name: string; readonly path: string } | undefined {
    const element = this.all.get(id);
    if (!element) return undefined;
    let at = id;
    let target = id;
    for (let out = 0; out < OUT; out++) {
      const found = this.all.get(at);
      if (!found) break;
      if (ACTIVE.test(found.tag) || ROLES.test(String(found.attributes.role ?? ""))) {
        target = at;
        break;
      }
      at = found.parent;
    }
    const shown = this.all.get(target) ?? element;
    const said = ["aria-label", "alt", "title", "placeholder", "name"].map((name) => shown.attributes[name]).find((value) => typeof value === "string" && value.trim() !== "");
    const name = String(shown.attributes["aria-label"] ?? "").trim() || this.textOf(target, LABEL_CHARS) || String(said ?? "").trim() || this.around(target);
    return { name: name.slice(0, LABEL_CHARS), path: this.path(target) };
  }

  /** The text of the label that an element stands in. */
  private around(id: number): string {
    for (let at = this.all.get(id)?.parent ?? 0, out = 0; out < OUT; out++) {
      const found = this.all.get(at);
      if (!found) return "";
      if (found.tag === "label") return this.textOf(at, LABEL_CHARS);
      at = found.parent;
    }
    return "";
  }

  private path(id: number): string {
    const steps: string[] = [];
    for (let at = id, out = 0; out < 3; out++) {
      const found = this.all.get(at);
      if (!found || found.tag === "" || found.tag === "body" || found.tag === "html") break;
      const named = typeof found.attributes.id === "string" && /^[a-z][\w-]{0,30}$/i.test(found.attributes.id) ? `#${found.attributes.id}` : "";
      const style = typeof found.attributes.class === "string" ? (/^\s*([a-z][\w-]{0,30})/i.exec(found.attributes.class)?.[1] ?? "") : "";
      steps.unshift(found.tag + (named || (style && `.${style}`)));
      at = found.parent;
    }
    return steps.join(" ");
  }
}

/** So long nothing is typed in a field before typing there is told again, in milliseconds. */
const TYPED_MS = 20_000;
/** Less than this is no pause worth a line. */
const IDLE_MS = 10_000;

const quoted = (name: string): string => (name === "" ? "" : ` “${name}”`);

/** The lines of the timeline, in order. `events` are those of the recording that are known, and `clock` is what their times begin with. */
export function timeline(marks: readonly Mark[], idle: readonly Span[], gaps: readonly Span[], events: readonly Recorded[], clock: number, words: { readonly path: (path: string) => string; readonly span: (ms: number) => string }): Line[] {
  const lines: Line[] = [];
  const tree = new Tree();
  const waiting = [...marks].sort((one, other) => one.at_ms - other.at_ms);
  let next = 0;
  const typed = new Map<number, number>();
  const pass = (until: number) => {
    for (let mark = waiting[next]; mark && mark.at_ms <= until; mark = waiting[++next]) {
      const line = lineOf(mark, tree, words);
      if (line) lines.push(line);
    }
  };
  for (const event of events) {
    const at = event.timestamp - clock;
    // What happened before this change happened on the page as it was.
    pass(at - 1);
    tree.follow(event);
    const data = event.data as { source?: number; id?: number } | null;
    if (event.type !== CHANGE || data?.source !== INPUT || typeof data.id !== "number") continue;
    const last = typed.get(data.id);
    typed.set(data.id, at);
    if (last !== undefined && at - last < TYPED_MS) continue;
    const label = tree.label(data.id);
    lines.push({ at, kind: "typed", text: `Typed into${quoted(label?.name ?? "") || " a field"}`, ...(label?.path && { hint: label.path }) });
  }
  pass(Number.POSITIVE_INFINITY);
  for (const { from_ms: at, to_ms } of idle) if (to_ms - at >= IDLE_MS) lines.push({ at, kind: "idle", text: `Idle for ${words.span(to_ms - at)}` });
  for (const { from_ms: at, to_ms } of gaps) lines.push({ at, kind: "gap", text: `${words.span(to_ms - at)} never arrived`, hint: "It goes on with the next whole picture of the page." });
  return lines.sort((one, other) => one.at - other.at);
}

function lineOf(mark: Mark, tree: Tree, words: { readonly path: (path: string) => string }): Line | undefined {
  const at = mark.at_ms;
  const label = mark.node == null ? undefined : tree.label(mark.node);
  const hint = label?.path ? { hint: label.path } : {};
  switch (mark.kind) {
    case "page":
      return { at, kind: "page", text: words.path(mark.text) };
    case "click":
      return { at, kind: "click", text: `Clicked${quoted(label?.name ?? "") || ` ${label?.path.split(" ").pop() ?? ""}`}`.trimEnd(), ...hint };
    case "rage":
      return { at, kind: "rage", text: `Rage click, ${mark.count ?? 3} times`, hint: [label?.name && `“${label.name}”`, label?.path].filter(Boolean).join(" ") };
    case "error":
      return { at, kind: "error", text: mark.text || "Error", ...(mark.group && { group: mark.group }) };
    case "goal":
      return { at, kind: "goal", text: `Goal: ${mark.text}` };
    case "pause":
      return { at, kind: "pause", text: "Recording paused: nobody did anything" };
    case "resume":
      return undefined;
  }
}

/** Where playing goes on: after the idle span that `at` is in, if there is one worth it. */
export function afterIdle(at: number, idle: readonly Span[]): number | undefined {
  /** What is seen of it before and after, in milliseconds. */
  const EDGE = 1000;
  const span = idle.find(({ from_ms, to_ms }) => at >= from_ms + EDGE && at < to_ms - 2 * EDGE);
  return span && span.to_ms - EDGE;
}

/** A place in the recording: `00:34`, `1:02:05`. */
export function clockOf(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const pad = (value: number) => String(value).padStart(2, "0");
  const rest = `${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}`;
  return seconds >= 3600 ? `${Math.floor(seconds / 3600)}:${rest}` : rest;
}
