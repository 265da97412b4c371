// The smallest parts: buttons, badges, notes, what stands for nothing and for not yet.
import type { ComponentChildren, HTMLAttributes, Ref } from "preact";
import { useEffect, useId, useLayoutEffect, useState } from "preact/hooks";
import { ApiError } from "../api/client";
import { SKELETON } from "../api/data";
import { change, country, duration } from "../lib/format";
import { Icon, type IconName } from "./icons";

export const classes = (...names: (string | false | undefined)[]): string => names.filter(Boolean).join(" ");

type Kind = "secondary" | "primary" | "quiet" | "danger";

interface ButtonLook {
  kind?: Kind;
  small?: boolean;
  icon?: IconName;
  /** As wide as what it is in. */
  block?: boolean;
}

const look = ({ kind = "secondary", small, block }: ButtonLook, ...more: (string | false | undefined)[]) =>
  classes("btn", kind !== "secondary" && kind, small && "small", block && "block", ...more);

type NativeButton = Omit<HTMLAttributes<HTMLButtonElement>, "icon" | "size" | "class" | "disabled" | "type">;

export interface ButtonProps extends ButtonLook, NativeButton {
  children?: ComponentChildren;
  class?: string;
  type?: "button" | "submit";
  form?: string;
  /** Its work is being done: it takes no second click. */
  pending?: boolean;
  /** Why it cannot be used. It stays in reach of the keyboard and says so. */
  disabledReason?: string | undefined;
  buttonRef?: Ref<HTMLButtonElement | null>;
}

/** A button. One `primary` a view. */
export function Button({ children, pending, disabledReason, kind, small, icon, block, class: more, onClick, buttonRef, ...rest }: ButtonProps) {
  const reasonId = useId();
  const held = pending || disabledReason !== undefined;
  return (
    <>
      <button
        type="button"
        {...(rest as object)}
        ref={buttonRef}
        class={look({ ...(kind && { kind }), ...(small && { small }), ...(block && { block }) }, more)}
        aria-disabled={held || undefined}
        aria-describedby={disabledReason === undefined ? rest["aria-describedby"] : reasonId}
        title={disabledReason ?? rest.title}
        onClick={(event) => {
          if (held) event.preventDefault();
          else onClick?.(event);
        }}
      >
        {pending ? <span class="spin" aria-hidden="true" /> : icon && <Icon name={icon} />}
        {children}
      </button>
      {disabledReason !== undefined && (
        <span class="vh" id={reasonId}>
          {disabledReason}
        </span>
      )}
    </>
  );
}

/** A button that is a drawing; `label` is its name and its tooltip. */
export function IconButton({ icon, label, ...rest }: Omit<ButtonProps, "children" | "icon"> & { icon: IconName; label: string }) {
  return (
    <Button {...rest} class={classes("icon", rest.class)} aria-label={label} title={label}>
      <Icon name={icon} />
    </Button>
  );
}

/** A link that looks like a button. */
export function LinkButton({
  children,
  href,
  kind,
  small,
  icon,
  block,
  class: more,
  ...rest
}: ButtonLook & { children: ComponentChildren; href: string; class?: string; download?: boolean } & Omit<HTMLAttributes<HTMLAnchorElement>, "icon" | "size" | "class" | "href">) {
  return (
    <a {...(rest as object)} href={href} class={look({ ...(kind && { kind }), ...(small && { small }), ...(block && { block }) }, more)}>
      {icon && <Icon name={icon} />}
      {children}
    </a>
  );
}

/** A state in a word, at most three. */
export function Badge({ children, tone, icon }: { children: ComponentChildren; tone?: "accent" | "bad" | "warn" | "line"; icon?: IconName }) {
  return (
    <span class={classes("badge", tone)}>
      {icon && <Icon name={icon} size={12} />}
      {children}
    </span>
  );
}

/** The change from an earlier value: arrow, words, and whether that is good. `lower` is better for some. */
export function Delta({ now, before, lower = false, title }: { now: number | null | undefined; before: number | null | undefined; lower?: boolean; title?: string }) {
  const { direction, words } = change(now, before);
  if (direction === "none" || direction === "same") {
    return (
      <span class="delta" title={title}>
        {words}
      </span>
    );
  }
  const good = (direction === "up") !== lower;
  return (
    <span class={classes("delta", good ? "up" : "down")} title={title}>
      <svg viewBox="0 0 8 8" aria-hidden="true">
        <path fill="currentColor" d={direction === "up" ? "M4 1 7.6 7H.4Z" : "M4 7 .4 1h7.2Z"} />
      </svg>
      <span class="vh">{direction} </span>
      {words}
    </span>
  );
}

/** The class of a figure: one that has no room at its size is written smaller. */
export const figureClass = (figure: string): string | undefined => (figure.length > 9 ? "long" : undefined);

/** Two letters of a country. Its name stands beside it. */
export const CountryTag = ({ code }: { code: string }) => (
  <span class="cc" aria-hidden="true" title={country(code)}>
    {code || "–"}
  </span>
);

/** A dot for a state that is also written or spoken as `label`. */
export const Dot = ({ tone, pulse, label }: { tone?: "off" | "warn" | "bad"; pulse?: boolean; label?: string }) => (
  <span class={classes("dot", tone, pulse && "pulse")} {...(label ? { role: "img", "aria-label": label } : { "aria-hidden": true })} />
);

const NOTE_ICONS = { bad: "warning", warn: "warning", ok: "check", plain: "info" } as const;

/** Something to know, where it matters. */
export function Note({ tone = "plain", icon, children }: { tone?: keyof typeof NOTE_ICONS; icon?: IconName; children: ComponentChildren }) {
  return (
    <div class={classes("note", tone !== "plain" && tone)} role={tone === "bad" ? "alert" : undefined}>
      <Icon name={icon ?? NOTE_ICONS[tone]} />
      <div class="grow">{children}</div>
    </div>
  );
}

/** What failed, why if that is known, and another try. */
export function Failure({ error, what, onRetry, children }: { error: ApiError; what: string; onRetry?: () => void; children?: ComponentChildren }) {
  const left = useCountdown(error.retryAfter);
  return (
    <Note tone="bad">
      <p>
        <b>{what}</b> {explain(error)}
      </p>
      <p class="dim">
        {error.requestId && <>Request {error.requestId.slice(0, 8)} · </>}
        {onRetry && (left > 0 ? <span>Again in {duration(left)}</span> : <button type="button" class="linklike" onClick={onRetry}>Try again</button>)}
        {children}
      </p>
    </Note>
  );
}

/** An error in words. */
export function explain(error: ApiError): string {
  if (error.code === "OFFLINE") return "The server does not answer.";
  // Of a filter that is refused it matters which one, and not what the server calls it.
  const [detail] = error.details;
  if (error.details.length === 1 && detail?.field === "f" && detail.message.startsWith("\"")) return `The filter ${detail.message}${/[.!?]$/.test(detail.message) ? "" : "."}`;
  // A sentence of the server says more than its code.
  if (/[.!?]$/.test(error.message)) return error.message;
  if (error.status === 429) return error.retryAfter ? `Too many requests from your address. Again in ${duration(error.retryAfter)}.` : "Too many requests from your address.";
  return `${error.message}.`;
}

/** Counts whole seconds down to zero, and again when `turn` is another. */
export function useCountdown(seconds: number | undefined, turn = 0): number {
  const [left, setLeft] = useState(seconds ?? 0);
  useEffect(() => {
    setLeft(seconds ?? 0);
    if (!seconds) return;
    const end = Date.now() + seconds * 1000;
    const timer = setInterval(() => {
      const now = Math.max(0, Math.ceil((end - Date.now()) / 1000));
      setLeft(now);
      if (now === 0) clearInterval(timer);
    }, 1000);
    return () => clearInterval(timer);
  }, [seconds, turn]);
  return left;
}

/** Why there is nothing, and one thing to do about it. */
export function Empty({ title, icon, children, action, level = 3 }: { title: string; icon?: IconName; children?: ComponentChildren; action?: ComponentChildren; level?: 1 | 2 | 3 }) {
  const Title = `h${level}` as "h1" | "h2" | "h3";
  return (
    <div class="empty">
      {icon && <Icon name={icon} size={24} />}
      <Title>{title}</Title>
      {children && <p>{children}</p>}
      {action}
    </div>
  );
}

/** The shape of what is being loaded: its space is there at once, and it is seen after a moment, so that what is quick does not flicker. */
export function Skeleton({ lines = 3, height, shape }: { lines?: number; height?: string; shape?: "bars" | "rows" | undefined }) {
  const [shown, setShown] = useState(false);
  useLayoutEffect(() => {
    const timer = setTimeout(() => setShown(true), SKELETON.after);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div class={classes("skels", shape)} aria-hidden="true">
      {Array.from({ length: lines }, (_, index) => <i key={index} class={classes("skel", "abc"[index % 3], !shown && "early")} style={height ? { height } : undefined} />)}
    </div>
  );
}

/** A surface with a heading. */
export function Card({ title, level = 2, hint, actions, foot, flush, children, label }: {
  title?: ComponentChildren;
  level?: 2 | 3;
  hint?: ComponentChildren;
  actions?: ComponentChildren;
  foot?: ComponentChildren;
  /** Its content reaches its edges: tables, lists. */
  flush?: boolean;
  children?: ComponentChildren;
  label?: string;
}) {
  const id = useId();
  const Title = `h${level}` as "h2" | "h3";
  return (
    <section class="card" aria-labelledby={title ? id : undefined} aria-label={title ? undefined : label}>
      {title && (
        <div class="card-head">
          <Title id={id}>{title}</Title>
          {hint && <span class="dim wide-only">{hint}</span>}
          <span class="grow" />
          {actions}
        </div>
      )}
      {flush ? children : <div class="card-body stack">{children}</div>}
      {foot && <div class="card-foot">{foot}</div>}
    </section>
  );
}

/** The initial of a person. */
export const Avatar = ({ name, soft, big }: { name: string; soft?: boolean; big?: boolean }) => (
  <span class={classes("avatar", soft && "soft", big && "bigavatar")} aria-hidden="true">
    {[...name.trim()][0]?.toLocaleUpperCase() ?? "?"}
  </span>
);

/** Says something to those who do not see the page. */
export function announce(words: string): void {
  const region = document.getElementById("announcer");
  if (!region) return;
  region.textContent = "";
  requestAnimationFrame(() => (region.textContent = words));
}
