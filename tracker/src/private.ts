/** What of a page is private: by its kind, or because the page marks it. */

import { scrubTo } from "./scrub";

/** Marked: what is in it is masked. */
export const MASKED = ".zenovay-mask-replay";
/** Marked: nothing of it is recorded. */
export const BLOCKED = ".zenovay-block-replay,[data-private]";
/** What visitors type or choose in, and what shows it. */
export const FIELDS =
  "input,textarea,select,option,optgroup,datalist,[contenteditable]:not([contenteditable=false i]),[role=textbox i],[role=searchbox i],[role=combobox i],[role=spinbutton i],[role=slider i]";
/** All of these. */
export const PRIVATE = `${FIELDS},${MASKED},${BLOCKED}`;

/** The parent, or what a shadow tree hangs on, or the frame that a document is in. */
export const parentOf = (node: Node): Node | null =>
  node.parentNode || (node as ShadowRoot).host || (node as Document).defaultView?.frameElement || null;

/** The element itself or the next one around it that matches, out of shadow trees, too. */
export const closest = (from: Node | null, selector: string): Element | undefined => {
  for (let node = from; node; node = parentOf(node)) {
    if ((node as Element).matches?.(selector)) return node as Element;
  }
  return undefined;
};

/** Whether the element is in what the page calls private, or is a field. */
export const isPrivate = (element: Element) => !!closest(element, PRIVATE) || element.ownerDocument.designMode === "on";

/**
 * What is shown in an element, with white space made one, without fields and what is private; undefined when that is
 * more than `max` characters.
 */
export const shownIn = (element: Element, max: number): string | undefined => {
  let text = "";
  let isTooLong = false;
  const visit = (node: Node) => {
    for (let child = node.firstChild; child && !isTooLong; child = child.nextSibling) {
      if (child.nodeType === 3) text += child.nodeValue;
      else if (child.nodeType === 1 && !(child as Element).matches(`${PRIVATE},script,style,noscript,template`)) {
        text += " ";
        visit(child);
        text += " ";
      }
      // White space between tags is not counted twice as much as what is shown.
      if (text.length > 4 * max) text = text.replace(/\s+/g, " ");
      isTooLong = text.length > 4 * max;
    }
  };
  visit(element);
  text = text.replace(/\s+/g, " ").trim();
  return isTooLong || text.length > max ? undefined : text;
};

/** What somebody can act on. */
export const ACTIVE = "a,area,button,summary,label,[role=button],[role=link],[role=tab],[role=menuitem],[role=option],[role=switch],[role=checkbox],[onclick]";

const LABEL_MAX = 60;

/** The name of a link or button as it is shown, without secrets; undefined for anything else, and where it is private. */
export const labelOf = (element: Element): string | undefined => {
  // What is suggested while somebody writes has in it what was written.
  if (!element.matches(ACTIVE) || isPrivate(element) || closest(element, "[role=option],[role=listbox]")) return undefined;
  const image = element.querySelector("img[alt],svg title");
  const text =
    element.getAttribute("aria-label") || shownIn(element, 1_000) || element.getAttribute("title") || image?.getAttribute("alt") || image?.textContent;
  return (text && scrubTo(text.trim(), LABEL_MAX)) || undefined;
};
