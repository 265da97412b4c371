/**
 * Addresses of elements, by which one is found again in another rendering of its page: after the window was resized,
 * after what is around it was put in another order, was loaded late or is gone. Shared by the script, which writes
 * addresses, and the view of heatmaps, which reads them.
 *
 * An address is a CSS path with ` >>> ` between shadow trees, and after `|` what the element is known by: `f` is the
 * hash of its kind and of what it shows, `g`, where others are like it, that of what the next telling thing around it
 * shows.
 * For example `#offers>li:nth-of-type(2)>button|f=1f9d0a2c|g=0b3c58e1`.
 */
import { closest, BLOCKED, MASKED, PRIVATE, shownIn } from "./private";

const ADDRESS_MAX = 480;
const OWN_TEXT_MAX = 80;
const AROUND_TEXT_MAX = 400;
const AROUND_LEVELS = 6;
/** Elements of one tag that are compared when an address is written. */
const ALIKE_MAX = 1_000;
/** Elements that the hash of a structure covers. */
const STRUCTURE_MAX = 3_000;

/** FNV-1a of 32 bits, eight hexadecimal digits. */
export const hash = (text: string) => {
  let sum = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) sum = Math.imul(sum ^ text.charCodeAt(i), 0x01000193);
  return (sum >>> 0).toString(16).padStart(8, "0");
};

/** Whether a name was given by somebody, and not made up when the page was built or rendered. */
const isGiven = (name: string) =>
  name.length < 40 && /^[A-Za-z][\w-]*$/.test(name) && !/\d{3}|^(radix|react|headlessui|mui|ember|ext-|yui|mantine|aria-)|(?=[a-f]*\d)[0-9a-f]{6,}/i.test(name) &&
  // A mix such as `x9Kd2` is a hash.
  !/(?:[a-z]\d|\d[a-z]).*(?:[a-z]\d|\d[a-z])/i.test(name);

/** Attributes that pages give for programs, so that they stay. */
const MARKS = ["data-testid", "data-test", "data-test-id", "data-cy", "data-qa", "data-zenovay", "name"];

const markOf = (element: Element) => {
  for (const name of MARKS) {
    const value = element.getAttribute(name);
    if (value && isGiven(value)) return `[${name}=${value}]`;
  }
  return "";
};

type Root = Document | ShadowRoot;

const isRoot = (node: Node | null): node is Root => !!node && (node.nodeType === 9 || node.nodeType === 11);

const isOnly = (root: Root, selector: string) => root.querySelectorAll(selector).length === 1;

/** The path within the document or the shadow tree, and whether it needs to count siblings. */
const pathWithin = (element: Element, root: Root): string => {
  let path = "";
  for (let node: Element | null = element; node; node = node.parentElement) {
    const tag = CSS.escape(node.localName);
    // There is one of it.
    if (path && tag === "html") break;
    const join = path && ">";
    const id = node.id;
    if (id && isGiven(id) && isOnly(root, "#" + id)) return `${"#" + id}${join}${path}`;
    const mark = markOf(node);
    if (mark && isOnly(root, tag + mark)) return `${tag}${mark}${join}${path}`;
    let place = 1;
    let others = 0;
    for (let one: Element | null | undefined = node.parentNode?.firstElementChild; one; one = one.nextElementSibling) {
      if (one.localName !== node.localName) continue;
      if (one === node) place += others;
      others++;
    }
    const step = tag + (others > 1 ? `:nth-of-type(${place})` : "");
    if ((step + join + path).length > ADDRESS_MAX) break;
    path = step + join + path;
  }
  return path;
};

/** Without numbers that count, which change without the thing being another. */
const uncounted = (text: string) => text.replace(/\d+/g, "0");

/** The path of a link or a picture: the same where the page has the whole address and where it has a part of it. */
const fileOf = (element: Element, name: string) => {
  const address = element.getAttribute(name) || "";
  try {
    return address && new URL(address, element.baseURI).pathname;
  } catch {
    return address.replace(/[?#].*/s, "");
  }
};

/** The hash of what an element is by itself, or nothing where it is a box like others. */
const kindOf = (element: Element): string => {
  const isOpen = !closest(element, `${MASKED},${BLOCKED}`);
  const get = (name: string) => element.getAttribute(name) || "";
  const isField = element.matches(PRIVATE);
  const text = isOpen && !isField ? (shownIn(element, OWN_TEXT_MAX) ?? "") : "";
  const said = isOpen && !isField ? [get("aria-label"), get("alt"), get("title")] : [];
  const traits = [fileOf(element, "href"), fileOf(element, "src"), isGiven(get("name")) ? get("name") : "", isGiven(element.id) ? element.id : "", uncounted(text), ...said];
  if (!traits.some(Boolean)) return "";
  return hash([element.localName, get("type"), get("role"), ...traits].join("\n"));
};

/** The hash of what the next thing around an element shows that shows more than the element. */
const aroundOf = (element: Element): string => {
  const own = shownIn(element, AROUND_TEXT_MAX) ?? "";
  let node = element.parentElement;
  for (let level = 0; node && level < AROUND_LEVELS; level++, node = node.parentElement) {
    if (closest(node, `${MASKED},${BLOCKED}`)) continue;
    const text = shownIn(node, AROUND_TEXT_MAX);
    if (text === undefined) break;
    if (text !== own) return hash(text);
  }
  return "";
};

/** Whether no other element of the document or shadow tree is of the same kind. */
const isOnlyOfKind = (root: Root, element: Element, kind: string) => {
  const alike = root.querySelectorAll(CSS.escape(element.localName));
  if (alike.length > ALIKE_MAX) return false;
  for (const other of alike) if (other !== element && kindOf(other) === kind) return false;
  return true;
};

/** The address of an element of the document, of at most 512 characters. */
export const addressOf = (element: Element): string => {
  const root = element.getRootNode();
  if (!isRoot(root)) return "";
  let path = pathWithin(element, root);
  for (let tree: Node = root; tree.nodeType === 11 && (tree as ShadowRoot).host; ) {
    const { host } = tree as ShadowRoot;
    tree = host.getRootNode();
    if (isRoot(tree)) path = `${pathWithin(host, tree)} >>> ${path}`;
  }
  const f = kindOf(element);
  const g = f && isOnlyOfKind(root, element, f) ? "" : aroundOf(element);
  return path.slice(-ADDRESS_MAX) + (f && "|f=" + f) + (g && "|g=" + g);
};

/** The readable part of an address. */
export const pathOf = (address: string) => address.replace(/\|[fg]=.*/s, "");

const partsOf = (address: string) => ({
  paths: pathOf(address).split(" >>> "),
  f: /\|f=(\w+)/.exec(address)?.[1] ?? "",
  g: /\|g=(\w+)/.exec(address)?.[1] ?? "",
});

/** The tag of the element that a path leads to; nothing when the path ends in an id. */
const tagIn = (path: string) => /(?:^|[> ])([a-z][\w-]*)[^> ]*$/i.exec(path)?.[1] ?? "";

/** Finds the elements of addresses in one rendering of a page, which must not change meanwhile. */
export class Finder {
  private readonly kinds = new Map<Root, Map<string, Element[]>>();
  private readonly around = new WeakMap<Element, string>();
  private readonly found = new Map<string, Element | undefined>();

  constructor(private readonly document: Document) {}

  /** The element of an address; undefined when it is not on the page or cannot be told from others. */
  find(address: string): Element | undefined {
    if (!this.found.has(address)) this.found.set(address, this.search(address));
    return this.found.get(address);
  }

  private search(address: string): Element | undefined {
    const { paths, f, g } = partsOf(address);
    let roots: Root[] = [this.document];
    for (const path of paths.slice(0, -1)) {
      // Hosts are known by their path, or else by their tag.
      let hosts = roots.flatMap((root) => this.select(root, path)).filter((host) => host.shadowRoot);
      const tag = tagIn(path);
      if (tag) hosts = [...new Set([...hosts, ...roots.flatMap((root) => this.select(root, tag)).filter((host) => host.shadowRoot)])];
      roots = hosts.map((host) => host.shadowRoot!);
    }
    const path = paths[paths.length - 1]!;
    const here = roots.flatMap((root, place) => this.select(root, path).map((element) => ({ element, place })));
    const at = here.filter(({ place }) => place === here[0]?.place).map(({ element }) => element);
    if (!f) {
      // A box like others is where its path leads, if what is around it is the same.
      const same = g ? at.filter((element) => this.aroundOf(element) === g) : at;
      return same.length === 1 ? same[0] : undefined;
    }
    const alike = roots.flatMap((root) => this.ofKind(root, f));
    // The only one is taken for it unless there were others when the address was written.
    if (alike.length === 1 && (!g || at.includes(alike[0]!))) return alike[0];
    if (alike.length) {
      const same = g ? alike.filter((element) => this.aroundOf(element) === g) : alike;
      if (same.length === 1) return same[0];
      // Several that differ in nothing but their place.
      const exact = at.filter((element) => (same.length ? same : g ? [] : alike).includes(element));
      return exact.length === 1 ? exact[0] : undefined;
    }
    // It shows something else now: it is the same only where its name says so, or where there is no other it could be.
    const isNamed = /[\]#][^>]*$/.test(path) || path.startsWith("#") && !path.includes(">");
    return at.length === 1 && (isNamed || (!path.includes(":nth-of-type") && (!g || this.aroundOf(at[0]!) === g))) ? at[0] : undefined;
  }

  private select(root: Root, path: string): Element[] {
    try {
      return [...root.querySelectorAll(path)];
    } catch {
      return [];
    }
  }

  private ofKind(root: Root, f: string): Element[] {
    let kinds = this.kinds.get(root);
    if (!kinds) {
      kinds = new Map();
      for (const element of root.querySelectorAll("*")) {
        const kind = kindOf(element);
        if (!kind) continue;
        const others = kinds.get(kind);
        if (others) others.push(element);
        else kinds.set(kind, [element]);
      }
      this.kinds.set(root, kinds);
    }
    return kinds.get(f) ?? [];
  }

  private aroundOf(element: Element): string {
    let around = this.around.get(element);
    if (around === undefined) this.around.set(element, (around = aroundOf(element)));
    return around;
  }
}

/** The hash of the structure of a page: what is inside what, without what it shows. */
export const structureOf = (document: Document): string => {
  let sum = "";
  let count = 0;
  const visit = (element: Element, depth: number) => {
    if (count++ > STRUCTURE_MAX || depth > 12) return;
    const tag = element.localName;
    if (/^(script|style|link|meta|noscript|template|title)$/.test(tag)) return;
    sum += `${depth}${tag}${isGiven(element.id) ? "#" + element.id : ""};`;
    for (let child = element.firstElementChild; child; child = child.nextElementSibling) visit(child, depth + 1);
  };
  if (document.body) visit(document.body, 0);
  return hash(sum) + hash(sum.length + sum);
};
