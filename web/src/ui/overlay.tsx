// What lies above the page: dialogs, menus, popovers, toasts. The browser's own dialog and popover keep the focus and the layers.
import type { ComponentChildren, RefObject, TargetedKeyboardEvent, TargetedMouseEvent } from "preact";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { createStore, useStore } from "../lib/store";
import { Button, classes, IconButton } from "./basic";
import { Icon, type IconName } from "./icons";

export interface DialogProps {
  title: string;
  /** Called when it is closed by Esc, a click outside, or its button. */
  onClose(): void;
  /** Asked before it is closed that way; `false` keeps it open. */
  mayClose?: () => boolean;
  children: ComponentChildren;
  /** Buttons at its end. */
  foot?: ComponentChildren;
  /** It asks for a decision about something that is lost. */
  alert?: boolean;
  /** Its title is for those who hear the page. */
  bare?: boolean;
  wide?: boolean;
  class?: string;
}

/** A dialog, open while it is in the page. The focus comes back to where it was. */
export function Dialog({ title, onClose, mayClose, children, foot, alert, bare, wide, class: more }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  /** Whether the pointer went down outside of it. */
  const pressed = useRef(false);
  const id = useId();
  const close = () => {
    if (!mayClose || mayClose()) onClose();
  };
  useLayoutEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    const element = dialog.current;
    element?.showModal();
    element?.querySelector<HTMLElement>("[autofocus]")?.focus();
    return () => {
      element?.close();
      if (before?.isConnected) before.focus({ preventScroll: true });
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class={classes(wide && "wide", more)}
      role={alert ? "alertdialog" : undefined}
      aria-labelledby={bare ? undefined : id}
      aria-label={bare ? title : undefined}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
      onKeyDown={(event) => {
        // Chromium closes a dialog at the second Esc, whatever was decided about the first.
        if (event.key === "Escape" && !event.defaultPrevented) {
          event.preventDefault();
          event.stopPropagation();
          close();
        }
      }}
      onPointerDown={(event) => {
        pressed.current = event.target === event.currentTarget && isOutside(event);
      }}
      onClick={(event) => {
        // Not where it is pressed: the click of a finger would be one on what lies beneath.
        if (pressed.current && event.target === event.currentTarget && isOutside(event)) close();
        pressed.current = false;
      }}
    >
      {!bare && (
        <div class="dlg-head">
          <h2 id={id}>{title}</h2>
          <IconButton icon="close" label="Close" kind="quiet" small onClick={close} />
        </div>
      )}
      {children}
      {foot && <div class="dlg-foot">{foot}</div>}
    </dialog>
  );
}

function isOutside(event: TargetedMouseEvent<HTMLDialogElement>): boolean {
  const box = event.currentTarget.getBoundingClientRect();
  return event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
}

/** Asks whether something that cannot be undone is to be done. Cancel has the focus. */
export function Confirm({ title, children, action, typed, onConfirm, onClose }: {
  title: string;
  children: ComponentChildren;
  /** The word on the button. */
  action: string;
  /** What must be typed first, and what it is called. */
  typed?: { word: string; label: string };
  onConfirm(): Promise<void>;
  onClose(): void;
}) {
  const [pending, setPending] = useState(false);
  const [text, setText] = useState("");
  const [failed, setFailed] = useState<string>();
  const id = useId();
  const ready = !typed || text.trim() === typed.word;
  return (
    <Dialog
      title={title}
      alert
      onClose={onClose}
      foot={
        <>
          <Button onClick={onClose} autofocus>
            Cancel
          </Button>
          <Button
            kind="danger"
            pending={pending}
            disabledReason={ready ? undefined : `Type ${typed?.word} first.`}
            onClick={async () => {
              setPending(true);
              setFailed(undefined);
              try {
                await onConfirm();
                onClose();
              } catch (error) {
                setFailed(error instanceof Error ? error.message : String(error));
                setPending(false);
              }
            }}
          >
            {action}
          </Button>
        </>
      }
    >
      <div class="dlg-body">
        <div>{children}</div>
        {typed && (
          <div class="field">
            <label for={id}>{typed.label}</label>
            <input id={id} class="input mono" autocomplete="off" spellcheck={false} value={text} onInput={(event) => setText(event.currentTarget.value)} />
          </div>
        )}
        {failed && (
          <p class="err" role="alert">
            <Icon name="warning" size={14} />
            {failed}
          </p>
        )}
      </div>
    </Dialog>
  );
}

// --- popovers ---

/** Puts `floating` below `anchor`, or above it where there is more room, within the window. */
function attach(anchor: Element, floating: HTMLElement, align: "start" | "end" | "center"): void {
  const at = anchor.getBoundingClientRect();
  const width = floating.offsetWidth;
  const height = floating.offsetHeight;
  const wished = align === "start" ? at.left : align === "end" ? at.right - width : at.left + at.width / 2 - width / 2;
  const below = at.bottom + 4 + height <= innerHeight || at.top < innerHeight - at.bottom;
  floating.style.left = `${Math.max(8, Math.min(wished, innerWidth - width - 8))}px`;
  floating.style.top = `${Math.max(8, below ? at.bottom + 4 : at.top - 4 - height)}px`;
}

/** Keeps a popover at its anchor for as long as it is open, and closes it at a click elsewhere. */
export function usePopover(anchor: RefObject<Element | null>, floating: RefObject<HTMLElement | null>, open: boolean, onClose: () => void, align: "start" | "end" | "center" = "start"): void {
  useLayoutEffect(() => {
    const element = floating.current;
    if (!open || !element || !anchor.current) return;
    element.showPopover();
    const place = () => anchor.current && attach(anchor.current, element, align);
    place();
    const observer = new ResizeObserver(place);
    observer.observe(element);
    addEventListener("scroll", place, { passive: true, capture: true });
    addEventListener("resize", place);
    const outside = (event: PointerEvent) => {
      const target = event.target as Node;
      if (!element.contains(target) && !anchor.current?.contains(target)) onClose();
    };
    addEventListener("pointerdown", outside, true);
    return () => {
      observer.disconnect();
      removeEventListener("scroll", place, { capture: true });
      removeEventListener("resize", place);
      removeEventListener("pointerdown", outside, true);
      if (element.isConnected && element.matches(":popover-open")) element.hidePopover();
    };
  }, [open]);
}

// --- menus ---

export type MenuItem =
  | {
      readonly label: string;
      readonly icon?: IconName;
      /** The key that does the same. */
      readonly keys?: string;
      readonly danger?: boolean;
      readonly checked?: boolean;
      readonly detail?: ComponentChildren;
      /** Goes there; `download` keeps the answer as a file. */
      readonly href?: string;
      readonly download?: boolean;
      onSelect?(): void;
    }
  | "line"
  | { readonly group: string };

/** A button with a list of things to do. */
export function Menu({ label, items, trigger, align = "end", onOpen }: {
  label: string;
  items: readonly (MenuItem | false | undefined)[];
  /** Draws the button. */
  trigger(props: {
    buttonRef: RefObject<HTMLButtonElement | null>;
    "aria-haspopup": "menu";
    "aria-expanded": boolean;
    onClick(): void;
    onKeyDown(event: TargetedKeyboardEvent<HTMLButtonElement>): void;
  }): ComponentChildren;
  align?: "start" | "end";
  onOpen?(): void;
}) {
  const [open, setOpen] = useState(false);
  const anchor = useRef<HTMLButtonElement>(null);
  const menu = useRef<HTMLDivElement>(null);
  const typed = useRef({ text: "", at: 0 });
  const close = (focus = true) => {
    setOpen(false);
    if (focus) anchor.current?.focus();
  };
  usePopover(anchor, menu, open, () => close(false), align);
  useEffect(() => {
    if (!open) return;
    const checked = menu.current?.querySelector<HTMLElement>('[aria-checked="true"]');
    (checked ?? menu.current?.querySelector<HTMLElement>("[role^=menuitem]"))?.focus();
  }, [open]);
  const show = () => {
    onOpen?.();
    setOpen(true);
  };
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLElement>) => {
    const all = [...(menu.current?.querySelectorAll<HTMLElement>("[role^=menuitem]") ?? [])];
    const at = all.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (to !== undefined) all.at(to % all.length)?.focus();
    else if (event.key === "Escape" || event.key === "Tab") close(event.key === "Escape");
    else if (event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey) {
      const now = Date.now();
      const last = typed.current;
      typed.current = { text: now - last.at < 600 ? last.text + event.key : event.key, at: now };
      const wanted = typed.current.text.toLocaleLowerCase();
      all.find((item) => item.textContent?.toLocaleLowerCase().startsWith(wanted))?.focus();
    } else return;
    event.stopPropagation();
    if (event.key !== "Tab") event.preventDefault();
  };
  return (
    <>
      {trigger({
        buttonRef: anchor,
        "aria-haspopup": "menu",
        "aria-expanded": open,
        onClick: () => (open ? close() : show()),
        onKeyDown: (event) => {
          if (event.key !== "ArrowDown" || open) return;
          event.preventDefault();
          show();
        },
      })}
      <div ref={menu} popover="manual" class="menu pop" role="menu" aria-label={label} onKeyDown={onKeyDown}>
        {open &&
          items.filter((item) => item !== false && item !== undefined).map((item, index) => {
            if (item === "line") return <span key={index} role="separator" />;
            if ("group" in item) return <div key={index} class="group" role="presentation">{item.group}</div>;
            const inner = (
              <>
                {item.checked !== undefined ? <span class="mark16">{item.checked && <Icon name="check" />}</span> : item.icon && <Icon name={item.icon} />}
                <span class="grow clip">{item.label}</span>
                {item.detail && <span class="dim">{item.detail}</span>}
                {item.keys && <kbd>{item.keys}</kbd>}
              </>
            );
            const shared = {
              // The focus stays where it is when others come before it.
              key: `${item.label} ${item.href ?? ""}`,
              role: item.checked === undefined ? "menuitem" : "menuitemradio",
              "aria-checked": item.checked,
              tabIndex: -1,
              class: classes(item.danger && "danger"),
              onClick: () => {
                close();
                item.onSelect?.();
              },
            } as const;
            return item.href !== undefined ? (
              <a {...shared} href={item.href} download={item.download ? "" : undefined}>
                {inner}
              </a>
            ) : (
              <button {...shared} type="button">
                {inner}
              </button>
            );
          })}
      </div>
    </>
  );
}

/** The three dots. */
export function MoreMenu({ label, items, small = true, kind = "quiet" }: { label: string; items: readonly (MenuItem | false | undefined)[]; small?: boolean; kind?: "quiet" | "secondary" }) {
  return <Menu label={label} items={items} trigger={(props) => <IconButton {...props} icon="more" label={label} small={small} kind={kind} />} />;
}

// --- tooltips ---

/** More about what is pointed at or has the focus: a definition, an exact value. `props` are of the anchor, `tip` stands in it. */
export function useTooltip<E extends HTMLElement>(text: ComponentChildren) {
  const [open, setOpen] = useState(false);
  const anchor = useRef<E>(null);
  const floating = useRef<HTMLSpanElement>(null);
  const timer = useRef<number | undefined>(undefined);
  const id = useId();
  usePopover(anchor, floating, open, () => setOpen(false), "center");
  const later = (show: boolean, after: number) => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setOpen(show), after) as unknown as number;
  };
  useEffect(() => () => clearTimeout(timer.current), []);
  const props = {
    ref: anchor,
    "aria-describedby": open ? id : undefined,
    onPointerEnter: (event: PointerEvent) => event.pointerType === "mouse" && later(true, 400),
    onPointerLeave: () => later(false, 0),
    onFocusIn: (event: FocusEvent) => (event.target as Element).matches(":focus-visible") && later(true, 0),
    onFocusOut: () => later(false, 0),
    onKeyDown: (event: KeyboardEvent) => {
      if (event.key !== "Escape" || !open) return;
      event.stopPropagation();
      setOpen(false);
    },
  };
  const tip = (
    <span ref={floating} popover="manual" role="tooltip" id={id} class="tooltip pop">
      {open && text}
    </span>
  );
  return { props, tip };
}

/** Something that has a tooltip. `children` must take the focus by itself. */
export function Tooltip({ text, children, class: more }: { text: ComponentChildren; children: ComponentChildren; class?: string }) {
  const { props, tip } = useTooltip<HTMLSpanElement>(text);
  return (
    <span {...props} class={classes("tiphost", more)}>
      {children}
      {tip}
    </span>
  );
}

// --- toasts ---

interface ToastItem {
  readonly id: number;
  readonly text: string;
  readonly undo?: () => void;
}

const toasts = createStore<readonly ToastItem[]>([]);
let lastToast = 0;

/** Says what was done, for six seconds. Not for errors that must be read. */
export function toast(text: string, undo?: () => void): void {
  const id = ++lastToast;
  toasts.set([...toasts.get().slice(-2), { id, text, ...(undo && { undo }) }]);
}

const dismiss = (id: number) => toasts.set(toasts.get().filter((one) => one.id !== id));

/** The toasts, once in the page. F6 goes to them. */
export function Toasts() {
  const all = useStore(toasts);
  const region = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      if (event.key !== "F6" || !region.current?.firstElementChild) return;
      event.preventDefault();
      (region.current.querySelector<HTMLElement>("button") ?? region.current).focus();
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, []);
  return (
    <div ref={region} class="toasts" role="status" aria-live="polite" tabIndex={-1}>
      {all.map((one) => (
        <ToastView key={one.id} {...one} />
      ))}
    </div>
  );
}

function ToastView({ id, text, undo }: ToastItem) {
  const [held, setHeld] = useState(false);
  useEffect(() => {
    if (held) return;
    const timer = setTimeout(() => dismiss(id), 6000);
    return () => clearTimeout(timer);
  }, [held]);
  const hold = (value: boolean) => () => setHeld(value);
  return (
    <div class="toast" onPointerEnter={hold(true)} onPointerLeave={hold(false)} onFocusIn={hold(true)} onFocusOut={hold(false)}>
      <span class="grow">{text}</span>
      {undo && (
        <button
          type="button"
          class="btn small"
          onClick={() => {
            undo();
            dismiss(id);
          }}
        >
          Undo
        </button>
      )}
      <button type="button" class="btn small icon" aria-label="Dismiss" onClick={() => dismiss(id)}>
        <Icon name="close" size={14} />
      </button>
    </div>
  );
}
