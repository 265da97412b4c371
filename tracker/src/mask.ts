/**
 * Takes out of a recording what must not leave the browser, before anything of it is kept. The recorder masks fields by
 * itself; this looks at every event again, for it does not know of text that is typed outside of fields, of attributes
 * that repeat what was typed, of marks outside of a shadow tree, or of elements that were private before.
 */
import { BLOCKED, closest, FIELDS, MASKED, parentOf, shownIn } from "./private";
import { mayBecomeCard, scrub, scrubAddress, scrubShown } from "./scrub";
import { isSecretName } from "./secret";

/** What stands for anything typed, however long it is. */
export const HIDDEN = "••••••";

/** A node as `@rrweb/record` writes it. */
export interface Written {
  type: number;
  id: number;
  tagName?: string;
  attributes?: Attributes;
  childNodes?: Written[];
  textContent?: string;
  isSVG?: true;
}

type Attributes = Record<string, unknown>;

/** An event as `@rrweb/record` emits it. */
export interface Recorded {
  type: number;
  timestamp: number;
  data: any;
}

/** Kinds of nodes. */
const [DOCUMENT, ELEMENT, TEXT, CDATA] = [0, 2, 3, 4];
/** Kinds of events. */
export const [FULL, INCREMENTAL, META, CUSTOM] = [2, 3, 4, 5];
/** Sources of incremental events. */
export const [MUTATION, MOUSE_MOVE, MOUSE, SCROLL, RESIZE, INPUT, TOUCH_MOVE, MEDIA] = [0, 1, 2, 3, 4, 5, 6, 7];
const [RULE, DECLARATION, ADOPTED] = [8, 13, 15];

/** Whether, and why, what is in an element is not shown. */
const [OPEN, MARKED, TYPED, GONE] = [0, 1, 2, 3];

/** Attributes of private elements that say nothing but how they look. */
const LOOKS =
  /^(class|id|style|type|role|dir|lang|hidden|disabled|readonly|required|multiple|size|rows|cols|wrap|width|height|colspan|rowspan|span|align|valign|open|slot|part|contenteditable|media|_cssText|rr_(width|height|scrollLeft|scrollTop|open_mode|media\w+)|zenovay-\w+)$/;
/** Attributes that run something, or are of use to nobody who looks. */
const DROPPED = /^(on.*|srcdoc|nonce|integrity|ping|data-rr-is-password|rr_src)$/i;
const ADDRESSES = /^(href|src|srcset|action|formaction|poster|data|cite|background|xlink:href|longdesc|content)$/i;
const FIELD_TAG = /^(input|textarea|select|option|optgroup|datalist)$/;
const FIELD_ROLE = /^(textbox|searchbox|combobox|spinbutton|slider)$/i;
const LABELLED = /^(submit|button|reset|image)$/i;
/** What is longer says more than what a field is called. */
const LABEL_MAX = 200;
/** Strings that are shorter are found as they are only, not in others. */
const ECHO_MIN = 5;
/** How long what is typed may take to be shown elsewhere. */
const BEGINNING_MS = 5_000;
const TYPED_MAX = 300;
const TYPED_CHARS_MAX = 1_000;

export interface Mask {
  /** What is recorded of the value of a field. */
  readonly field: (value: string, element: Element) => string;
  /**
   * Cleans an event in place; whether anything is left of it. A full snapshot may be cleaned in a later task, for it tells all that
   * must be known of it; other events are cleaned when they come.
   */
  readonly clean: (event: Recorded) => boolean;
  /** Notes that an element is, or was, one to type in. */
  readonly note: (target: EventTarget | undefined) => void;
}

/** `masksAll` is whether all fields are masked, not only those for secrets; `nodeOf` knows nodes by their numbers. */
export const maskOf = (masksAll: boolean, nodeOf: (id: number) => Node | null, now: () => number): Mask => {
  /** Fields for secrets, and what was one: a password that is shown is still one. */
  const secrets = new WeakSet<Node>();
  /** What has been typed in, though it may be no field any more. */
  const written = new WeakSet<Node>();
  /** Whether it was anything but a field by its tag. */
  let hasWritten = false;
  /** What was typed, in lower case, and where last. */
  const typed = new Set<string>();
  const lastTyped = new WeakMap<Node, string>();
  /** What it was before it was typed to its end, and when: what follows with a delay shows that. */
  const beginnings = new Map<string, number>();

  const bound = (values: Set<string> | Map<string, number>) => {
    for (const oldest of values.keys()) {
      if (values.size <= TYPED_MAX) break;
      values.delete(oldest);
    }
  };

  const remember = (node: Node, value: string) => {
    for (const line of [value, ...(value.includes("\n") ? value.split("\n") : [])]) {
      const text = line.trim().slice(0, TYPED_CHARS_MAX).toLowerCase();
      if (text.length < 2) continue;
      const last = lastTyped.get(node);
      // What is taken back was typed all the same.
      if (last?.startsWith(text)) continue;
      if (last && text.startsWith(last)) {
        typed.delete(last);
        beginnings.delete(last);
        beginnings.set(last, now());
      }
      lastTyped.set(node, text);
      typed.add(text);
      const inAddress = encodeURIComponent(text).toLowerCase();
      if (inAddress !== text) typed.add(inAddress);
    }
    bound(typed);
    bound(beginnings);
    heads = undefined;
  };

  /** What was typed, by its first letters: a page may show much, and much may be typed. */
  const byHead = () => {
    const values = new Map<string, string[]>();
    for (const value of [...typed, ...beginnings.keys()]) {
      if (value.length < ECHO_MIN) continue;
      const head = value.slice(0, ECHO_MIN);
      const others = values.get(head);
      if (others) others.push(value);
      else values.set(head, [value]);
    }
    return values;
  };
  let heads: Map<string, string[]> | undefined;

  /** Without what was typed anywhere on the page. */
  const unecho = (text: string): string => {
    if (!typed.size || text.length < 2) return text;
    const lower = text.toLowerCase();
    const whole = lower.trim();
    if (typed.has(whole) || beginnings.has(whole)) return HIDDEN;
    // Letters that become two in lower case are in no place that could be told.
    if (lower.length !== text.length) return [...typed].some((value) => value.length >= ECHO_MIN && lower.includes(value)) ? HIDDEN : text;
    heads ||= byHead();
    const since = now() - BEGINNING_MS;
    let rest = "";
    let from = 0;
    for (let at = 0; at + ECHO_MIN <= lower.length; at++) {
      let length = 0;
      for (const value of heads.get(lower.slice(at, at + ECHO_MIN)) || []) {
        const isMeant = typed.has(value) || (beginnings.get(value) ?? 0) > since;
        if (isMeant && value.length > length && lower.startsWith(value, at)) length = value.length;
      }
      if (!length) continue;
      rest += text.slice(from, at) + HIDDEN;
      from = at + length;
      at = from - 1;
    }
    return rest + text.slice(from);
  };

  /** Style sheets show strings that are in quotes. */
  const unechoStyle = (css: string) => (typed.size ? css.replace(/(["'])((?:\\.|(?!\1)[^\\])*)\1/g, (_, quote, text) => quote + unecho(text) + quote) : css);

  const shown = (text: string) => scrubShown(unecho(text));
  const masked = (text: string) => text.replace(/\S/g, "•");

  /** Whether attributes say that a field is for a secret. */
  const saysSecret = (of: (name: string) => unknown) =>
    /password/i.test(String(of("type"))) || ["autocomplete", "name", "id", "aria-label", "placeholder"].some((name) => isSecretName(String(of(name) || "")));

  /** Whether a label says so: around the field, or of its own. */
  const isLabelledSecret = (element: Element) => {
    const root = element.getRootNode() as Document;
    const named = (element.getAttribute("aria-labelledby") || "").split(/\s+/).map((id) => id && root.getElementById?.(id));
    return [...((element as HTMLInputElement).labels || []), ...named, element.closest("label")].some((label) => label && isSecretName(shownIn(label, LABEL_MAX) || ""));
  };

  const isSecret = (element: Element) => {
    if (!secrets.has(element) && (saysSecret((name) => element.getAttribute(name)) || isLabelledSecret(element))) secrets.add(element);
    return secrets.has(element);
  };

  /** What is typed in the field may become the number of a card: whatever is in it later is a part of that. */
  const becomesCard = (text: string, element: Element | null | undefined) => mayBecomeCard(text) && !!element && !!secrets.add(element);

  const field = (value: string, element: Element) => {
    if (!value) return "";
    const { type } = element as HTMLInputElement;
    if (LABELLED.test(type) && !written.has(element) && !secrets.has(element)) return flagsOf(element) === OPEN ? shown(value) : HIDDEN;
    const isHidden = masksAll || isSecret(element) || becomesCard(value, element) || flagsOf(element) !== OPEN;
    if (!isHidden) return value;
    // What is chosen from a list is on the page anyway, and so are numbers that a slider has.
    if (!/^(select|checkbox|radio|range|color)/.test(type)) remember(element, value);
    return HIDDEN;
  };

  /** What holds for an element by itself. */
  const ownFlag = (element: Element): number => {
    if (element.matches(BLOCKED)) return GONE;
    if (element.matches(MASKED)) return MARKED;
    if (written.has(element)) return TYPED;
    if (!element.matches(FIELDS)) return OPEN;
    if (masksAll && !(element.localName === "input" && LABELLED.test((element as HTMLInputElement).type))) {
      // An element that is edited in place is a field only for a while.
      written.add(element);
      hasWritten ||= !FIELD_TAG.test(element.localName);
      return TYPED;
    }
    return isSecret(element) ? TYPED : OPEN;
  };

  /** The same, of an element as it was when it was written; `node` is that element, if it is still there. */
  const writtenFlag = (tag: string, given: Attributes, node: Node | null): number => {
    const classes = String(given.class || "");
    if ("data-private" in given || /(^|\s)zenovay-block-replay(\s|$)/.test(classes)) return GONE;
    if (/(^|\s)zenovay-mask-replay(\s|$)/.test(classes)) return MARKED;
    if (node && written.has(node)) return TYPED;
    const isField = FIELD_TAG.test(tag) || FIELD_ROLE.test(String(given.role || "")) || ("contenteditable" in given && !/^false$/i.test(String(given.contenteditable)));
    if (!isField) return OPEN;
    if (masksAll) {
      if (tag === "input" && LABELLED.test(String(given.type))) return OPEN;
      if (node) written.add(node);
      hasWritten ||= !FIELD_TAG.test(tag);
      return TYPED;
    }
    const isNow = !!node && isSecret(node as Element);
    if (!isNow && !saysSecret((name) => given[name])) return OPEN;
    if (node) secrets.add(node);
    return TYPED;
  };

  /** What holds for what is in a node: of all that is around it, the strictest. */
  const flagsOf = (from: Node | null): number => {
    let flags = OPEN;
    for (let node = from; node && flags < GONE; node = parentOf(node)) {
      if (node.nodeType === 1) flags = Math.max(flags, ownFlag(node as Element));
      else if (node.nodeType === 9 && (node as Document).designMode === "on" && masksAll) flags = Math.max(flags, TYPED);
    }
    return flags;
  };

  const value = (name: string, value: unknown) => {
    if (typeof value !== "string") return value;
    if (ADDRESSES.test(name)) return /^\s*(javascript|vbscript):/i.test(value) ? "" : value.startsWith("data:") ? value : scrub(unecho(value));
    if (name === "class" || name === "id") return value;
    return name === "style" || name === "_cssText" ? unechoStyle(value) : shown(value);
  };

  /** The attributes that are recorded of an element of which `flags` holds. */
  const attributesOf = (tag: string, attributes: Attributes, flags: number, node: Node | null, isSVG: boolean): Attributes => {
    const kept: Attributes = {};
    const isInput = tag === "input";
    const isLabelled = isInput && LABELLED.test(String((node as HTMLInputElement | null)?.type ?? attributes.type)) && !(node && (written.has(node) || secrets.has(node)));
    const isField = FIELD_TAG.test(tag);
    const isClosed = flags !== OPEN || (isField && masksAll) || (isField && !!node && secrets.has(node));
    for (const [name, given] of Object.entries(attributes)) {
      if (DROPPED.test(name)) continue;
      if (name === "style" && given && typeof given === "object") {
        kept.style = Object.fromEntries(
          Object.entries(given).map(([key, one]) => [key, typeof one === "string" ? unechoStyle(one) : Array.isArray(one) ? one.map((part) => unechoStyle(String(part))) : one]),
        );
      } else if (isField && name === "value") {
        if (given === HIDDEN || given === "" || given === null || (!isClosed && !mayBecomeCard(String(given)))) kept.value = given;
        else if (isLabelled && flags === OPEN) kept.value = value(name, given);
      } else if (isClosed) {
        if (LOOKS.test(name) || (isSVG && !/^(aria-|data-|title|(xlink:)?href)/i.test(name))) kept[name] = value(name, given);
      } else if (masksAll && tag.includes("-") && /^(value|checked|text|selected)$/.test(name)) {
        // A field of the page's own making.
        continue;
      } else if ((isField || (tag.includes("-") && name === "value")) && !LOOKS.test(name) && mayBecomeCard(String(given))) {
        kept[name] = HIDDEN;
      } else {
        kept[name] = value(name, given);
      }
    }
    return kept;
  };

  const cleanText = (text: string, flags: number, node: Node | null, isStyle: boolean) => {
    if (isStyle) return unechoStyle(text);
    // What is typed elsewhere than in a field of its own comes as a text.
    if (flags === OPEN && becomesCard(text, closest(node, FIELDS))) flags = TYPED;
    if (flags === OPEN) return shown(text);
    if (flags !== TYPED) return masked(text);
    if (!text.trim()) return text;
    // Names that a list offers are the page's, what is written is not.
    if (node && !/^(option|optgroup)$/i.test(node.parentElement?.localName || "")) remember(node.parentNode || node, text);
    return HIDDEN;
  };

  /** Cleans a node and what is in it; `around` is what holds for its parent. */
  const cleanNode = (one: Written, around: number, isInStyle: boolean) => {
    if (one.type === TEXT || one.type === CDATA) {
      one.textContent = cleanText(one.textContent || "", around, around === TYPED || mayBecomeCard(one.textContent || "") ? nodeOf(one.id) : null, isInStyle);
      return;
    }
    let flags = around;
    const tag = (one.tagName || "").toLowerCase();
    if (one.type === ELEMENT) {
      const given = one.attributes || {};
      // Most elements are nothing special, and there are many.
      const node = FIELD_TAG.test(tag) || hasWritten || given.role || "contenteditable" in given ? nodeOf(one.id) : null;
      flags = Math.max(around, writtenFlag(tag, given, node));
      one.attributes = attributesOf(tag, given, flags, node, !!one.isSVG);
      if (flags === GONE) one.childNodes = [];
    } else if (one.type === DOCUMENT) {
      const node = nodeOf(one.id) as Document | null;
      if (masksAll && node?.designMode === "on") flags = Math.max(flags, TYPED);
    }
    for (const child of one.childNodes || []) cleanNode(child, flags, tag === "style");
  };

  const cleanMutation = (data: any) => {
    const known = new Map<Node | null, number>();
    const around = (node: Node | null) => {
      let flags = known.get(node);
      if (flags === undefined) known.set(node, (flags = flagsOf(node)));
      return flags;
    };
    // What was written first is known to what shows it: the order of a mutation says nothing.
    const isGone = (node: Node | null) => around(node) === GONE;
    const tagAt = (node: Node | null) => ((node as Element | null)?.localName || "").toLowerCase();
    const adds: { parentId: number; node: Written }[] = data.adds || [];
    data.adds = adds.filter((add) => !isGone(nodeOf(add.parentId)));
    for (const pass of [TYPED, OPEN]) {
      for (const add of data.adds) {
        const parent = nodeOf(add.parentId);
        const flags = around(parent);
        if ((flags === TYPED) === (pass === TYPED)) cleanNode(add.node, flags, tagAt(parent) === "style");
      }
    }
    data.texts = (data.texts || []).filter(({ id }: { id: number }) => !isGone(nodeOf(id)));
    for (const text of data.texts) {
      const node = nodeOf(text.id);
      if (typeof text.value === "string") text.value = cleanText(text.value, around(node), node, tagAt(node?.parentNode || null) === "style");
    }
    data.attributes = (data.attributes || []).filter(({ id }: { id: number }) => !isGone(parentOf(nodeOf(id) || document)));
    for (const change of data.attributes) {
      const node = nodeOf(change.id);
      // A field that changes what it is for keeps what was typed in it.
      if (tagAt(node) === "input" && "type" in change.attributes && node) written.add(node);
      change.attributes = attributesOf(tagAt(node), change.attributes, around(node), node, (node as Element | null)?.namespaceURI === "http://www.w3.org/2000/svg");
    }
    return !!(data.adds.length || data.texts.length || data.attributes.length || data.removes?.length);
  };

  const cleanRules = (rules: { rule?: unknown }[] | undefined) => {
    for (const one of rules || []) if (typeof one.rule === "string") one.rule = unechoStyle(one.rule);
  };

  const clean = ({ type, data }: Recorded): boolean => {
    if (type === META) data.href = scrubAddress(unecho(String(data.href)));
    else if (type === FULL) cleanNode(data.node, OPEN, false);
    else if (type === CUSTOM && data.payload) {
      for (const [name, one] of Object.entries(data.payload)) if (typeof one === "string") data.payload[name] = unecho(one);
    } else if (type === INCREMENTAL) {
      if (data.source === MUTATION) return cleanMutation(data);
      if (data.source === INPUT) {
        const node = nodeOf(data.id) as HTMLInputElement | null;
        if (!node) return false;
        const flags = Math.max(flagsOf(node), secrets.has(node) ? TYPED : OPEN);
        if (flags === GONE) return false;
        // Which boxes are ticked is as private as what is written.
        if (/^(checkbox|radio)$/.test(node.type)) return flags === OPEN;
        if (flags !== OPEN && data.text !== "" && data.text !== HIDDEN) data.text = HIDDEN;
      } else if (data.source === RULE) {
        cleanRules(data.adds);
        for (const name of ["replace", "replaceSync"]) if (typeof data[name] === "string") data[name] = unechoStyle(data[name]);
      } else if (data.source === DECLARATION) {
        if (typeof data.set?.value === "string") data.set.value = unechoStyle(data.set.value);
      } else if (data.source === ADOPTED) {
        for (const style of data.styles || []) cleanRules(style.rules);
      }
    }
    return true;
  };

  const note = (target: EventTarget | undefined) => {
    const element = target as HTMLElement | undefined;
    if (!masksAll || !element?.isContentEditable) return;
    // All that is edited together.
    let host: HTMLElement = element;
    while (host.parentElement?.isContentEditable) host = host.parentElement;
    written.add(host);
    hasWritten = true;
  };

  return { field, clean, note };
};
