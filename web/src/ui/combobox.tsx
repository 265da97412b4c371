// A field that suggests: one value or several, with counts.
import type { ComponentChildren, TargetedKeyboardEvent } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { bold } from "./bold";
import { classes } from "./basic";
import { Icon } from "./icons";
import { usePopover } from "./overlay";

export interface Suggestion {
  readonly value: string;
  readonly label: string;
  /** Beside it: how many. */
  readonly detail?: string;
  readonly before?: ComponentChildren;
}

export interface ComboboxProps {
  label: ComponentChildren;
  hideLabel?: boolean;
  hint?: ComponentChildren;
  error?: string | undefined;
  values: readonly string[];
  onValues(values: string[]): void;
  /** What fits to what is typed, told by `onTyped`. */
  suggestions: readonly Suggestion[];
  onTyped(text: string): void;
  /** A value in words, for its chip. */
  show(value: string): string;
  /** One value at most. */
  single?: boolean;
  /** What is typed may be a value, suggested or not. */
  free?: boolean;
  placeholder?: string;
  autofocus?: boolean;
  busy?: boolean;
}

/** ↓ opens, Enter picks, Backspace in the empty field removes the last value. */
export function Combobox(props: ComboboxProps) {
  const { label, hideLabel, hint, error, values, onValues, suggestions, onTyped, show, single, free, placeholder, autofocus, busy } = props;
  const [typed, setTyped] = useState("");
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(0);
  const id = useId();
  const field = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const input = useRef<HTMLInputElement>(null);
  const left = suggestions.filter(({ value }) => !values.includes(value));
  const extra = free && typed.trim() !== "" && !suggestions.some(({ label: known, value }) => known === typed.trim() || value === typed.trim());
  const options: readonly Suggestion[] = extra ? [...left, { value: typed.trim(), label: `“${typed.trim()}”` }] : left;
  const shown = open && options.length > 0;
  usePopover(field, list, shown, () => setOpen(false));
  useEffect(() => setAt(0), [typed, suggestions.length]);
  useEffect(() => {
    if (list.current && field.current) list.current.style.minWidth = `${field.current.offsetWidth}px`;
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  });
  const write = (text: string) => {
    setTyped(text);
    onTyped(text);
  };
  const pick = (option: Suggestion | undefined) => {
    if (!option) return;
    onValues(single ? [option.value] : [...values, option.value]);
    write("");
    // It would stand over what comes next; typing or ↓ opens it again.
    setOpen(false);
    input.current?.focus();
  };
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLInputElement>) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (shown) setAt((at + (event.key === "ArrowDown" ? 1 : -1) + options.length) % options.length);
      else setOpen(true);
    } else if (event.key === "Enter" && shown) pick(options[at]);
    else if (event.key === "Escape" && shown) {
      setOpen(false);
      event.stopPropagation();
    } else if (event.key === "Backspace" && typed === "" && values.length > 0) onValues(values.slice(0, -1));
    else return;
    event.preventDefault();
  };
  const below = error !== undefined || hint !== undefined ? `${id}-b` : undefined;
  return (
    <div class="field">
      <label for={id} class={hideLabel ? "vh" : undefined}>
        {label}
      </label>
      <div ref={field} class="input tokens" onClick={() => input.current?.focus()}>
        {values.map((value) => (
          <span key={value} class="chip">
            <span class="clip">{show(value)}</span>
            <button type="button" aria-label={`Remove ${show(value)}`} onClick={() => onValues(values.filter((one) => one !== value))}>
              <Icon name="close" size={12} />
            </button>
          </span>
        ))}
        <input
          ref={input}
          id={id}
          role="combobox"
          aria-expanded={shown}
          aria-controls={`${id}-l`}
          aria-autocomplete="list"
          aria-activedescendant={shown ? `${id}-${at}` : undefined}
          aria-invalid={error === undefined ? undefined : "true"}
          aria-describedby={below}
          aria-busy={busy}
          autocomplete="off"
          spellcheck={false}
          autofocus={autofocus ?? false}
          placeholder={values.length === 0 ? placeholder : undefined}
          value={typed}
          onInput={(event) => {
            write(event.currentTarget.value);
            setOpen(true);
          }}
          onClick={() => setOpen(true)}
          onKeyDown={onKeyDown}
          onBlur={() => {
            setOpen(false);
            // What was typed is not lost when somebody goes on to the next field.
            if (free && typed.trim() !== "") {
              onValues(single ? [typed.trim()] : [...values, typed.trim()]);
              write("");
            }
          }}
        />
      </div>
      <div ref={list} popover="manual" class="menu pop" role="listbox" id={`${id}-l`} aria-label={typeof label === "string" ? label : "Suggestions"}>
        {shown &&
          options.map((option, index) => (
            <div
              key={option.value}
              id={`${id}-${index}`}
              role="option"
              aria-selected={index === at}
              class={classes(index === at && "on")}
              // The field keeps the focus.
              onPointerDown={(event) => {
                event.preventDefault();
                pick(option);
              }}
            >
              {option.before}
              <span class="grow clip">{bold(option.label, typed)}</span>
              {option.detail && <span class="dim">{option.detail}</span>}
            </div>
          ))}
      </div>
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
