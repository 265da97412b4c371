// The form of a workspace key: full access, or one website.
import { useData } from "../../api/data";
import { keyName } from "../../rules/fields";
import { Choice, Select, TextField, useForm } from "../../ui/form";
import { FormDialog } from "../parts/form-dialog";

export interface WorkspaceKeyChoices {
  readonly name: string;
  /** `null` is full access. */
  readonly website: string | null;
}

interface Props {
  readonly title: string;
  readonly action: string;
  readonly team: string;
  readonly initial: WorkspaceKeyChoices;
  readonly send: (choices: WorkspaceKeyChoices) => Promise<void>;
  readonly onClose: () => void;
}

export function WorkspaceKeyForm({ title, action, team, initial, send, onClose }: Props) {
  const websites = useData("/api/websites", { query: { team } });
  const form = useForm<WorkspaceKeyChoices>({
    initial,
    rules: { name: keyName, website: (website) => (website === "" ? "Choose a website." : undefined) },
    submit: ({ name, website }) => send({ name: name.trim(), website }),
  });
  const { website } = form.values;
  return (
    <FormDialog title={title} form={form} action={action} onClose={onClose}>
      <TextField {...form.bind("name")} label="Key name" placeholder="Production Integration" maxLength={64} hint="What uses this key? Up to 64 characters." autofocus />
      <fieldset>
        <legend>Access</legend>
        <div class="choices">
          <Choice type="radio" name="access" label="Full access" checked={website === null} onChecked={() => form.set("website", null)} />
          <Choice type="radio" name="access" label="One website" checked={website !== null} onChecked={() => form.set("website", website ?? "")} />
          {website !== null && (
            <div class="sub">
              <Select
                label="Website"
                value={website}
                error={form.errors.website}
                onValue={(chosen) => form.set("website", chosen)}
                options={[{ value: "", label: "Choose…" }, ...(websites.data?.websites ?? []).map((one) => ({ value: one.id, label: one.domain }))]}
              />
            </div>
          )}
        </div>
      </fieldset>
    </FormDialog>
  );
}
