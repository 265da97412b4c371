// Fields and forms. A field is checked when it is left and when the form is sent, and again at every letter once it was wrong.
import type { ComponentChildren, HTMLAttributes, TargetedKeyboardEvent } from "preact";
import { useId, useRef, useState } from "preact/hooks";
import { ApiError } from "../api/client";
import { classes, explain, Failure } from "./basic";
import { Icon } from "./icons";

interface FieldFrame {
  label: ComponentChildren;
  /** At the end of the line of the label. */
  aside?: ComponentChildren;
  /** Its label is for those who hear the page; what it is can be seen. */
  hideLabel?: boolean;
  hint?: ComponentChildren;
  error?: string | undefined;
}

/** Label above, hint below, the error in place of the hint. `children` gets what ties the control to them. */
export function Field({
  label,
  aside,
  hideLabel,
  hint,
  error,
  children,
}: FieldFrame & { children: (tie: { id: string; "aria-invalid": "true" | undefined; "aria-describedby": string | undefined }) => ComponentChildren }) {
  const id = useId();
  const below = error !== undefined || hint !== undefined ? `${id}-b` : undefined;
  return (
    <div class="field">
      {aside ? (
        <div class="row">
          <label for={id} class="grow lbl">
            {label}
          </label>
          {aside}
        </div>
      ) : (
        <label for={id} class={hideLabel ? "vh" : undefined}>
          {label}
        </label>
      )}
      {children({ id, "aria-invalid": error === undefined ? undefined : "true", "aria-describedby": below })}
      {error !== undefined ? (
        <span class="err" id={below}>
          <Icon name="warning" size={14} />
          {error}
        </span>
      ) : (
        hint !== undefined && (
          <span class="hint" id={below}>
            {hint}
          </span>
        )
      )}
    </div>
  );
}

type NativeInput = Omit<HTMLAttributes<HTMLInputElement>, "label" | "size" | "value" | "onInput" | "class">;

/** What `useForm` gives to each of its fields. */
export interface Bound<T> {
  name: string;
  value: T;
  error?: string | undefined;
  onValue(value: T): void;
  onLeave(): void;
}

export type TextFieldProps = FieldFrame & Omit<NativeInput, "name"> & Partial<Omit<Bound<string>, "value">> & {
  value: string;
  type?: string;
  placeholder?: string;
  autocomplete?: string;
  maxLength?: number;
  required?: boolean;
  inputMode?: string;
  readOnly?: boolean;
  big?: boolean;
  mono?: boolean;
  /** Six digits, large. */
  otp?: boolean;
};

/** A line of text. */
export function TextField({ label, hideLabel, hint, error, value, onValue, onLeave, big, mono, otp, ...rest }: TextFieldProps) {
  return (
    <Field label={label} {...(hideLabel && { hideLabel })} hint={hint} error={error}>
      {(tie) => (
        <input
          autocomplete="off"
          spellcheck={false}
          {...(rest as object)}
          {...tie}
          class={classes("input", big && "big", mono && "mono", otp && "otp")}
          value={value}
          onInput={(event) => onValue?.(event.currentTarget.value)}
          onBlur={() => onLeave?.()}
        />
      )}
    </Field>
  );
}

/** Several lines. */
export function TextArea({ label, hint, error, value, onValue, onLeave, name, rows = 4, mono, placeholder, readOnly, autofocus }: FieldFrame & Bound<string> & {
  rows?: number;
  mono?: boolean;
  placeholder?: string | undefined;
  readOnly?: boolean;
  autofocus?: boolean;
}) {
  return (
    <Field label={label} hint={hint} error={error}>
      {(tie) => (
        <textarea
          {...tie}
          name={name}
          class={classes("input", "lines", mono && "mono")}
          rows={rows}
          value={value}
          placeholder={placeholder}
          readOnly={readOnly ?? false}
          autofocus={autofocus ?? false}
          spellcheck={!mono}
          onInput={(event) => onValue(event.currentTarget.value)}
          onBlur={onLeave}
        />
      )}
    </Field>
  );
}

/** A password that can be shown. `autocomplete` is `current-password` or `new-password`. */
export function PasswordField({ label, aside, hint, error, value, onValue, onLeave, big, autocomplete = "current-password", ...rest }: TextFieldProps) {
  const [shown, setShown] = useState(false);
  return (
    <Field label={label} aside={aside} hint={hint} error={error}>
      {(tie) => (
        <span class="withbtn">
          <input
            {...(rest as object)}
            {...tie}
            class={classes("input", big && "big")}
            type={(shown ? "text" : "password") as "password"}
            autocomplete={autocomplete}
            autocapitalize="off"
            spellcheck={false}
            value={value}
            onInput={(event) => onValue?.(event.currentTarget.value)}
            onBlur={() => onLeave?.()}
          />
          <button type="button" class="btn quiet small" aria-pressed={shown} aria-label="Show the password" onClick={() => setShown(!shown)}>
            {shown ? "Hide" : "Show"}
          </button>
        </span>
      )}
    </Field>
  );
}

export interface Option<T extends string = string> {
  readonly value: T;
  readonly label: string;
  readonly disabled?: boolean;
}

/** One of a few, as the system shows it. */
export function Select<T extends string>({ label, hideLabel, hint, error, value, options, onValue, onLeave, name, small }: FieldFrame & {
  value: T;
  options: readonly Option<T>[];
  onValue(value: T): void;
  onLeave?(): void;
  name?: string;
  small?: boolean;
}) {
  return (
    <Field label={label} {...(hideLabel && { hideLabel })} hint={hint} error={error}>
      {(tie) => (
        <select
          {...tie}
          name={name}
          class={classes("input", small && "small")}
          value={value}
          onChange={(event) => onValue(event.currentTarget.value as T)}
          onBlur={() => onLeave?.()}
        >
          {options.map((option) => (
            <option key={option.value} value={option.value} disabled={option.disabled ?? false} selected={option.value === value}>
              {option.label}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

/** On or off, at once. */
export function Switch({ label, hint, checked, onChecked, disabled }: { label: ComponentChildren; hint?: ComponentChildren; checked: boolean; onChecked(checked: boolean): void; disabled?: boolean }) {
  const id = useId();
  return (
    <div class="switchrow">
      <input
        class="toggle"
        type="checkbox"
        role="switch"
        id={id}
        checked={checked}
        disabled={disabled ?? false}
        aria-describedby={hint ? `${id}-h` : undefined}
        onChange={(event) => onChecked(event.currentTarget.checked)}
      />
      <div class="grow">
        <label for={id}>{label}</label>
        {hint && (
          <div class="hint" id={`${id}-h`}>
            {hint}
          </div>
        )}
      </div>
    </div>
  );
}

/** One choice of several, or one of many: a radio or a check box with words under it. */
export function Choice({ type = "checkbox", name, label, hint, checked, onChecked, disabled }: {
  type?: "checkbox" | "radio";
  name?: string;
  label: ComponentChildren;
  hint?: ComponentChildren;
  checked: boolean;
  onChecked(checked: boolean): void;
  disabled?: boolean;
}) {
  const id = useId();
  return (
    <div class="choice">
      <input
        type={type}
        name={name}
        id={id}
        checked={checked}
        disabled={disabled ?? false}
        aria-describedby={hint ? `${id}-h` : undefined}
        onChange={(event) => onChecked(event.currentTarget.checked)}
      />
      <label for={id}>{label}</label>
      {hint && (
        <span class="hint" id={`${id}-h`}>
          {hint}
        </span>
      )}
    </div>
  );
}

/** One of a few, side by side. Arrow keys choose. */
export function Segmented<T extends string>({ label, value, options, onValue, class: more }: {
  label: string;
  value: T;
  options: readonly Option<T>[];
  onValue(value: T): void;
  class?: string;
}) {
  return (
    <div class={classes("seg", more)} role="radiogroup" aria-label={label} onKeyDown={rove}>
      {options.map((option) => (
        <button
          key={option.value}
          type="button"
          role="radio"
          aria-checked={option.value === value}
          aria-disabled={option.disabled || undefined}
          tabIndex={option.value === value ? 0 : -1}
          onClick={() => !option.disabled && onValue(option.value)}
        >
          {option.label}
        </button>
      ))}
    </div>
  );
}

/** Arrow keys, Home and End move the focus among the buttons of a group, and choose what they reach. */
export function rove(event: TargetedKeyboardEvent<HTMLElement>): void {
  const buttons = [...event.currentTarget.querySelectorAll<HTMLElement>('[role="radio"], [role="tab"]')].filter((one) => one.ariaDisabled !== "true");
  const at = buttons.indexOf(document.activeElement as HTMLElement);
  const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
  if (at < 0 || to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  event.stopPropagation();
  const next = buttons.at(to % buttons.length);
  next?.focus();
  next?.click();
}

type Rules<T> = { readonly [K in keyof T]?: (value: T[K], all: T) => string | undefined };

/** A form with its values, its errors, and what happens when it is sent. */
export function useForm<T extends { [K in keyof T]: unknown }>({ initial, rules = {}, submit }: {
  initial: T;
  /** What is wrong with a value, in words. */
  rules?: Rules<T>;
  /** Sends it. What the server says about fields is shown at the fields. */
  submit(values: T): Promise<void>;
}) {
  const [values, setValues] = useState(initial);
  const [errors, setErrors] = useState<Partial<Record<string, string>>>({});
  const [failure, setFailure] = useState<ApiError>();
  const [pending, setPending] = useState(false);
  const element = useRef<HTMLFormElement>(null);

  const check = (name: keyof T, all: T) => rules[name]?.(all[name], all);
  const set = <K extends keyof T>(name: K, value: T[K]) => {
    const next = { ...values, [name]: value };
    setValues(next);
    if (errors[name as string] !== undefined) setErrors({ ...errors, [name]: check(name, next) });
  };
  const focusFirst = () =>
    requestAnimationFrame(() => element.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus());

  async function send(event?: Event) {
    event?.preventDefault();
    if (pending) return;
    const found: Partial<Record<string, string>> = {};
    for (const name of Object.keys(values) as (keyof T & string)[]) {
      const wrong = check(name, values);
      if (wrong !== undefined) found[name] = wrong;
    }
    setErrors(found);
    setFailure(undefined);
    if (Object.keys(found).length > 0) {
      focusFirst();
      return;
    }
    setPending(true);
    try {
      await submit(values);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const known = error.details.filter(({ field }) => field in values);
      setErrors(Object.fromEntries(known.map(({ field, message }) => [field, message])));
      if (known.length === 0) setFailure(error);
      else focusFirst();
    } finally {
      setPending(false);
    }
  }

  return {
    values,
    set,
    errors,
    failure,
    pending,
    setError: (name: keyof T & string, words: string) => {
      setErrors({ ...errors, [name]: words });
      focusFirst();
    },
    reset: (to: T = initial) => {
      setValues(to);
      setErrors({});
      setFailure(undefined);
    },
    send,
    /** For `<form {...form.props}>`. */
    props: { ref: element, onSubmit: send, noValidate: true },
    /** For a field: `<TextField label="Name" {...form.bind("name")} />`. */
    bind<K extends keyof T & string>(name: K): Bound<T[K]> {
      return {
        name,
        value: values[name],
        error: errors[name],
        onValue: (value) => set(name, value),
        onLeave: () => {
          const value = values[name];
          // What was never touched is not wrong yet.
          if (value !== "" && value !== initial[name]) setErrors({ ...errors, [name]: check(name, values) });
        },
      };
    },
  };
}

/** What the server said about a form as a whole. */
export const FormFailure = ({ error, what }: { error: ApiError | undefined; what?: string }) =>
  error ? what ? <Failure error={error} what={what} /> : <p class="err" role="alert"><Icon name="warning" size={14} />{explain(error)}</p> : null;
