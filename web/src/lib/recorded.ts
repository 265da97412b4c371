// A page as it was recorded, made again node by node. Nothing of it runs and nothing is loaded: only elements and attributes
// that do neither are made, and the frame that shows them has no scripts and a policy of its own.
import { Finder, structureOf } from "../../../tracker/src/place";
import { plainCss } from "./css";

/** A node as the recorder writes it. */
export interface RecordedNode {
  /** 0 document, 1 document type, 2 element, 3 text; others are not shown. */
  readonly type: number;
  readonly tagName?: string;
  readonly attributes?: Readonly<Record<string, string | number | boolean | null>>;
  readonly childNodes?: readonly RecordedNode[];
  readonly textContent?: string;
  readonly isSVG?: boolean;
  /** It hangs on the shadow tree of its parent. */
  readonly isShadow?: boolean;
}

/** The part of a window that a page was recorded in, in CSS pixels. */
export interface Viewport {
  readonly width: number;
  readonly height: number;
}

const SVG = "http://www.w3.org/2000/svg";
/** Names of drawings as they are written; the recorder writes small letters alone. */
const SVG_NAMES: Readonly<Record<string, string>> = Object.fromEntries(
  (
    "clipPath foreignObject linearGradient radialGradient textPath feBlend feColorMatrix feComponentTransfer feComposite feConvolveMatrix feDiffuseLighting " +
    "feDisplacementMap feDistantLight feDropShadow feFlood feFuncA feFuncB feFuncG feFuncR feGaussianBlur feImage feMerge feMergeNode feMorphology feOffset " +
    "fePointLight feSpecularLighting feSpotLight feTile feTurbulence"
  )
    .split(" ")
    .map((name) => [name.toLowerCase(), name]),
);
/** Deeper than browsers nest. */
const DEPTH_MAX = 512;

/** Elements that run, load or lead elsewhere: they are not there. */
const LEFT_OUT = /^(script|noscript|link|meta|base|template|title|portal|fencedframe|source|track|param|frameset|animate|animatemotion|animatetransform|set)$/i;
/** Elements that show something else: a box of their size stands for them. */
const BOXES = /^(iframe|frame|object|embed|applet)$/i;
/** Attributes that run, load or lead elsewhere. */
const KEPT_OUT =
  /^(on.*|src|srcset|srcdoc|href|xlink:href|poster|background|data|action|formaction|ping|target|download|manifest|archive|classid|codebase|longdesc|profile|usemap|cite|nonce|integrity|is|autofocus|autoplay|contenteditable|popover|popovertarget|command|commandfor|rr_.*|_csstext|style)$/i;

/** A picture with nothing in it, for those that are not loaded. */
const NO_PICTURE = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==";

/** A style sheet that loads nothing, and whose lengths are of the window that was recorded, however high the frame is. */
export function calmCss(css: string, { width, height }: Viewport): string {
  const sizes: Readonly<Record<string, number>> = { h: height, b: height, min: Math.min(width, height), max: Math.max(width, height) };
  return plainCss(css)
    .replace(/url\(\s*("[^"]*"|'[^']*'|[^)]*)\s*\)/gi, (all, address: string) => (/^["']?\s*(data:|#)/i.test(address) ? all : 'url("data:,")'))
    .replace(/(?<=[\s:,(+*/])(?<!\\.)(-?\d*\.?\d+)[dsl]?v(h|b|min|max)\b/gi, (_, count: string, of: string) => `${(Number(count) * sizes[of.toLowerCase()]!) / 100}px`);
}

/** Sheets of the recorded page itself, in one element each. */
const cssOf = (node: RecordedNode): string | undefined => {
  const kept = node.attributes?._cssText;
  if (typeof kept === "string") return kept;
  return node.tagName?.toLowerCase() === "style" ? (node.childNodes ?? []).map(({ textContent }) => textContent ?? "").join("") : undefined;
};

const setAll = (element: Element, attributes: RecordedNode["attributes"], mayHave: (name: string) => boolean): void => {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === false || !mayHave(name)) continue;
    try {
      element.setAttribute(name, value === true ? "" : String(value));
    } catch {
      // A name that only a parser takes.
    }
  }
};

const make = (into: Document, node: RecordedNode, name = node.tagName ?? ""): Element | undefined => {
  try {
    return node.isSVG ? into.createElementNS(SVG, SVG_NAMES[name] ?? name) : into.createElement(name);
  } catch {
    return undefined;
  }
};

/** Where a child belongs. */
const placeOf = (parent: Element, child: RecordedNode): Element | ShadowRoot => {
  if (!child.isShadow) return parent;
  try {
    return parent.shadowRoot ?? parent.attachShadow({ mode: "open" });
  } catch {
    return parent;
  }
};

let made = 0;

const rootOf = (node: RecordedNode): RecordedNode | undefined =>
  node.type === 2 ? node : node.childNodes?.find(({ type, tagName }) => type === 2 && tagName?.toLowerCase() === "html");

/** One recorded page: its elements can be found by their addresses, and it can be shown. */
export class RecordedPage {
  /** Another one for each. */
  readonly key = ++made;
  /** What is inside what, as the script of heatmaps tells it. */
  readonly structure: string;
  private readonly finder: Finder;
  private readonly nodes = new Map<Element, RecordedNode>();
  private readonly root: RecordedNode | undefined;

  constructor(node: RecordedNode) {
    this.root = rootOf(node);
    // A document that belongs to no window: what it has is neither loaded nor run, so that its attributes are as they were.
    const known = document.implementation.createHTMLDocument();
    known.documentElement.remove();
    const html = this.root && this.knownOf(known, this.root, 0);
    known.append(html ?? known.createElement("html"));
    this.finder = new Finder(known);
    this.structure = structureOf(known);
  }

  /** The node that an address leads to; undefined when it is not on this page. */
  find(address: string): RecordedNode | undefined {
    const found = this.finder.find(address);
    return found && this.nodes.get(found);
  }

  private knownOf(into: Document, node: RecordedNode, depth: number): Element | undefined {
    if (/^(script|template|style|link|meta|base)$/i.test(node.tagName ?? "") || depth > DEPTH_MAX) return undefined;
    const element = make(into, node);
    if (!element) return undefined;
    this.nodes.set(element, node);
    setAll(element, node.attributes, (name) => !/^(on.*|srcdoc|data|codebase|style|_csstext|rr_.*)$/i.test(name) && !(name === "src" && BOXES.test(element.localName)));
    for (const child of node.childNodes ?? []) {
      const made = child.type === 2 ? this.knownOf(into, child, depth + 1) : child.type === 3 ? into.createTextNode(child.textContent ?? "") : undefined;
      if (made) placeOf(element, child).append(made);
    }
    return element;
  }

  /** Makes the page in an empty document of a frame. Answers the element of each node. */
  show(into: Document, viewport: Viewport): Map<RecordedNode, Element> {
    const shown = new Map<RecordedNode, Element>();
    const build = (node: RecordedNode, depth: number): Element | undefined => {
      const tag = node.tagName?.toLowerCase() ?? "";
      if (depth > DEPTH_MAX) return undefined;
      const css = cssOf(node);
      if (css !== undefined) {
        const sheet = into.createElement("style");
        const media = node.attributes?.media;
        if (typeof media === "string") sheet.setAttribute("media", media);
        sheet.textContent = calmCss(css, viewport);
        return sheet;
      }
      if (LEFT_OUT.test(tag)) return undefined;
      const isBox = BOXES.test(tag);
      const element = make(into, node, isBox ? "div" : node.tagName);
      if (!element) return undefined;
      shown.set(node, element);
      const { attributes = {} } = node;
      setAll(element, attributes, (name) => !KEPT_OUT.test(name));
      if (typeof attributes.style === "string") element.setAttribute("style", calmCss(attributes.style, viewport));
      const { style } = element as HTMLElement;
      // A link looks like one, and leads nowhere.
      const href = attributes.href ?? attributes["xlink:href"];
      if (typeof href === "string") {
        if (tag === "a" || tag === "area") element.setAttribute("href", "#");
        else if (node.isSVG && (href.startsWith("#") || (tag === "image" && /^data:image\//i.test(href)))) element.setAttribute("href", href);
      }
      if (tag === "img" || (tag === "input" && attributes.type === "image")) {
        const source = attributes.src ?? attributes.rr_dataURL;
        const isHere = typeof source === "string" && /^data:image\//i.test(source);
        element.setAttribute("src", isHere ? source : NO_PICTURE);
        if (!isHere) element.setAttribute("data-zenovay-absent", "");
      }
      if (isBox) {
        style.display ||= "inline-block";
        style.width ||= lengthOf(attributes.width, "300px");
        style.height ||= lengthOf(attributes.height, "150px");
        element.setAttribute("data-zenovay-absent", "");
      }
      // What was marked as not to be recorded: an empty box of its size.
      if (typeof attributes.rr_width === "string") {
        style.width = attributes.rr_width;
        style.height = String(attributes.rr_height ?? "auto");
        style.boxSizing = "border-box";
        element.setAttribute("data-zenovay-absent", "");
        if (/^(span|a|b|i|em|strong|small|label|button)$/.test(tag)) style.display ||= "inline-block";
      }
      if (attributes.rr_open !== undefined) element.setAttribute("open", "");
      if (!isBox) {
        for (const child of node.childNodes ?? []) {
          const made = child.type === 2 ? build(child, depth + 1) : child.type === 3 ? into.createTextNode(child.textContent ?? "") : undefined;
          if (made) placeOf(element, child).append(made);
        }
      }
      return element;
    };
    const html = this.root && build(this.root, 0);
    if (html) {
      const own = into.createElement("style");
      own.textContent = ":where(video,[data-zenovay-absent]){background:#e3e3de}:where(img[data-zenovay-absent]:not([width][height])){aspect-ratio:16/9}" +
        // What moves stands as it does at its end.
        "*,::before,::after{animation-duration:0s!important;animation-delay:0s!important;animation-iteration-count:1!important;transition:none!important}";
      html.prepend(own);
      into.documentElement.replaceWith(html);
      for (const [node, element] of shown) {
        const { rr_scrollLeft: left, rr_scrollTop: top } = node.attributes ?? {};
        if (typeof left === "number") element.scrollLeft = left;
        if (typeof top === "number") element.scrollTop = top;
      }
    }
    return shown;
  }
}

const lengthOf = (value: unknown, otherwise: string): string => {
  const text = String(value ?? "");
  return /^\d+$/.test(text) ? `${text}px` : /^\d+%$/.test(text) ? text : otherwise;
};
