// A form in a dialog: Cancel, and one button that sends it.
import type { ComponentChildren } from "preact";
import { Button } from "../../ui/basic";
import { FormFailure, type useForm } from "../../ui/form";
import { Dialog } from "../../ui/overlay";

type SomeForm = Pick<ReturnType<typeof useForm<Record<string, unknown>>>, "props" | "pending" | "failure">;

interface Props {
  readonly title: string;
  readonly form: SomeForm;
  /** The word on the button. */
  readonly action: string;
  readonly danger?: boolean;
  readonly class?: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}

export function FormDialog({ title, form, action, danger = false, class: more, onClose, children }: Props) {
  return (
    <Dialog title={title} onClose={onClose} {...(danger && { alert: true })} {...(more !== undefined && { class: more })}>
      <form {...form.props}>
        <div class="dlg-body">
          {children}
          <FormFailure error={form.failure} />
        </div>
        <div class="dlg-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind={danger ? "danger" : "primary"} pending={form.pending}>
            {action}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
