// A recording as it may be shown: nothing that runs, and nothing that would be loaded from elsewhere. The policy of the document forbids
// both, whatever is in it; what is left out here is not even asked for, and of that nothing can be told from outside.
import { plainCss } from "../lib/css";
import type { Recorded } from "./messages";

/** Kinds of events, and of changes, as rrweb numbers them. */
const FULL = 2;
const CHANGE = 3;
const PLUGIN = 6;
const MUTATION = 0;
const RULE = 8;
const CANVAS = 9;
const FONT = 10;
const DECLARATION = 13;
const ADOPTED = 15;
const ELEMENT = 2;
const TEXT = 3;

interface Node {
  type: number;
  id: number;
  tagName?: string;
  attributes?: Record<string, unknown>;
  childNodes?: Node[];
  textContent?: string;
  isStyle?: boolean;
}

/** Elements that load, run or refer elsewhere, and have nothing to show without it. */
const EMPTIED = new Set(["script", "base", "meta", "object", "embed", "applet", "portal", "frame", "fencedframe", "template"]);
/** Attributes that lead somewhere, load something or run. */
const DROPPED = new Set([
  "srcdoc", "srcset", "imagesrcset", "imagesizes", "ping", "action", "formaction", "manifest", "archive", "codebase", "classid", "code", "data", "longdesc",
  "profile", "background", "dynsrc", "lowsrc", "http-equiv", "autofocus", "autoplay", "nonce", "integrity", "crossorigin", "target", "download", "is",
]);
/** What stands for an image that is not in the recording. */
export const PLACEHOLDER =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='24' height='24'%3E%3Crect width='24' height='24' rx='2' fill='%23d9d9d4'/%3E%3C/svg%3E";

/** Whether an address is a picture that stands in it, or a place in the page itself. */
const isWithin = (value: string): boolean => /^\s*(data:image\/|#)/i.test(value);

/** What a style sheet could load something by. */
const LOADS = /@import|url|image|src\(|\\/i;

/** Style sheets without what they would load. */
export const cleanCss = (css: string): string =>
  LOADS.test(css)
    ? plainCss(css)
        .replace(/url\(\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^)]*))\s*\)/gi, (whole, one?: string, two?: string, three?: string) => (isWithin(one ?? two ?? three ?? "") ? whole : "none"))
    : css;

/** Style of an element: a string, or what changed of it by name. */
function cleanStyle(style: unknown): unknown {
  if (typeof style === "string") return cleanCss(style);
  if (style === null || typeof style !== "object") return style;
  return Object.fromEntries(
    Object.entries(style).map(([name, value]) => [name, typeof value === "string" ? cleanCss(value) : Array.isArray(value) ? value.map((one) => (typeof one === "string" ? cleanCss(one) : one)) : value]),
  );
}

function cleanAttributes(tag: string, attributes: Record<string, unknown>): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(attributes)) {
    const lower = name.toLowerCase();
    if (lower.startsWith("on") || DROPPED.has(lower)) continue;
    if (lower === "style") kept[name] = cleanStyle(value);
    else if (lower === "_csstext") kept[name] = typeof value === "string" ? cleanCss(value) : value;
    else if (lower === "src" || lower === "poster" || lower === "rr_dataurl" || lower === "rr_src") {
      if (typeof value !== "string") kept[name] = value;
      else if (isWithin(value)) kept[name] = value;
      else if (tag === "img" && lower === "src") kept[name] = PLACEHOLDER;
    } else if (lower === "href" || lower === "xlink:href") {
      if (tag === "a" || tag === "area" || tag === "") kept[name] = "#";
      else if (typeof value === "string" && isWithin(value)) kept[name] = value;
    } else if (typeof value === "string" && /^\s*(javascript|vbscript):/i.test(value)) continue;
    // Paint of drawings: `fill="url(…)"`, `mask`, `filter`.
    else kept[name] = typeof value === "string" && /\(|\\/.test(value) ? cleanCss(value) : value;
  }
  return kept;
}

function cleanNode(node: Node, styles: Set<number>, parent: string): Node {
  if (node.type === TEXT) {
    if (!node.isStyle && parent !== "style") return node;
    styles.add(node.id);
    return { ...node, textContent: cleanCss(node.textContent ?? "") };
  }
  const children = (tag: string) => node.childNodes?.map((child) => cleanNode(child, styles, tag)) ?? [];
  if (node.type !== ELEMENT) return node.childNodes ? { ...node, childNodes: children("") } : node;
  const tag = (node.tagName ?? "").toLowerCase();
  if (EMPTIED.has(tag) || !/^[a-z][a-z0-9._:-]*$/i.test(tag)) return { ...node, tagName: "span", attributes: { hidden: "" }, childNodes: [] };
  const attributes = cleanAttributes(tag, node.attributes ?? {});
  // A style sheet is in the recording, or it is not shown; other links are promises to load.
  if (tag === "link" && typeof attributes._cssText !== "string") return { ...node, attributes: {}, childNodes: [] };
  if (tag === "style") styles.add(node.id);
  return { ...node, attributes, childNodes: children(tag) };
}

interface Change {
  source: number;
  adds?: { parentId: number; node: Node; rule?: string }[];
  attributes?: { id: number; attributes: Record<string, unknown> }[];
  texts?: { id: number; value: string | null }[];
  replace?: string;
  replaceSync?: string;
  set?: { property: string; value: string | null };
  styles?: { rules: { rule: string }[] }[];
}

const cleanRules = <R extends { rule: string }>(rules: readonly R[]): R[] => rules.map((one) => ({ ...one, rule: cleanCss(one.rule) }));

function cleanChange(change: Change, styles: Set<number>): Change | undefined {
  switch (change.source) {
    case MUTATION:
      return {
        ...change,
        adds: (change.adds ?? []).map((add) => ({ ...add, node: cleanNode(add.node, styles, styles.has(add.parentId) ? "style" : "") })),
        // Of which element they are is not said: what leads somewhere leads nowhere.
        attributes: (change.attributes ?? []).map((one) => ({ ...one, attributes: cleanAttributes("", one.attributes) })),
        texts: (change.texts ?? []).map((one) => (styles.has(one.id) && one.value !== null ? { ...one, value: cleanCss(one.value) } : one)),
      };
    case RULE:
      return {
        ...change,
        ...(change.adds && { adds: cleanRules(change.adds as unknown as { rule: string }[]) as unknown as NonNullable<Change["adds"]> }),
        ...(change.replace !== undefined && { replace: cleanCss(change.replace) }),
        ...(change.replaceSync !== undefined && { replaceSync: cleanCss(change.replaceSync) }),
      };
    case DECLARATION:
      return change.set ? { ...change, set: { ...change.set, value: change.set.value === null ? null : cleanCss(change.set.value) } } : change;
    case ADOPTED:
      return { ...change, styles: (change.styles ?? []).map((one) => ({ ...one, rules: cleanRules(one.rules) })) };
    // A font would be loaded, and a canvas is drawn by script.
    case FONT:
    case CANVAS:
      return undefined;
    default:
      return change;
  }
}

/** Makes a function that cleans the events of one recording, one batch after the other. */
export function cleaner(): (events: readonly Recorded[]) => Recorded[] {
  const styles = new Set<number>();
  return (events) =>
    events.flatMap((event): Recorded[] => {
      if (event.type === FULL) {
        const data = event.data as { node: Node };
        return [{ ...event, data: { ...data, node: cleanNode(data.node, styles, "") } }];
      }
      if (event.type === PLUGIN) return [];
      if (event.type !== CHANGE) return [event];
      const data = cleanChange(event.data as Change, styles);
      return data === undefined ? [] : [{ ...event, data }];
    });
}
