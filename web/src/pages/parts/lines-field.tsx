import type { ComponentChildren } from "preact";
import { Field, type Bound } from "../../ui/form";

interface Props extends Bound<string> {
  readonly label: string;
  readonly hint?: ComponentChildren;
  readonly placeholder?: string;
  readonly readOnly?: boolean;
}

/** A field with one entry a line. */
export function LinesField({ name, label, hint, error, value, onValue, onLeave, placeholder, readOnly }: Props) {
  return (
    <Field label={label} hint={hint} error={error}>
      {(tie) => (
        <textarea
          {...tie}
          name={name}
          class="input mono lines"
          rows={Math.min(10, Math.max(2, value.split("\n").length))}
          value={value}
          placeholder={placeholder}
          readOnly={readOnly ?? false}
          spellcheck={false}
          autocapitalize="off"
          onInput={(event) => onValue(event.currentTarget.value)}
          onBlur={onLeave}
        />
      )}
    </Field>
  );
}
