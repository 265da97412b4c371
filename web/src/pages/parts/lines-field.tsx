import type { ComponentChildren } from "preact";
import { TextArea, type Bound } from "../../ui/form";

interface Props extends Bound<string> {
  readonly label: string;
  readonly hint?: ComponentChildren;
  readonly placeholder?: string;
  readonly readOnly?: boolean;
}

/** A field with one entry a line. */
export const LinesField = (props: Props) => <TextArea {...props} mono rows={Math.min(10, Math.max(2, props.value.split("\n").length))} />;
