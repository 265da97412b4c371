// Putting groups together and taking stacks apart, by hand.
import { post } from "../../api/client";
import { refresh, useUrl } from "../../api/data";
import * as format from "../../lib/format";
import { go } from "../../lib/router";
import { culpritWords, errorTitle, placeOf } from "../../rules/stacks";
import { Empty } from "../../ui/basic";
import { Choice, TextField, useForm } from "../../ui/form";
import { toast } from "../../ui/overlay";
import { useSettled } from "../analytics/parts";
import { FormDialog } from "../parts/form-dialog";
import { Loaded } from "../parts/loaded";
import { capturedUrl } from "../parts/captured";
import { useAnalytics } from "../analytics/context";
import type { Detail, Groups } from "./data";

/** Groups that are offered at a time. */
const OFFERED = 20;

interface Props {
  readonly website: string;
  readonly group: Detail;
  readonly home: string;
  readonly onClose: () => void;
}

/** Others that are the same error go into this group, and so do those that come later. */
export function MergeDialog({ website, group, onClose }: Omit<Props, "home">) {
  const { base, view } = useAnalytics();
  const form = useForm<{ q: string; groups: readonly string[] }>({
    initial: { q: "", groups: [] },
    rules: { groups: (groups) => (groups.length === 0 ? "Choose at least one." : undefined) },
    submit: async ({ groups }) => {
      await post("/api/websites/{website_id}/errors/{group_id}/merge", { path: { website_id: website, group_id: group.id }, body: { groups: [...groups] } });
      refresh(`/api/websites/${website}/errors`);
      toast(`${format.plural(groups.length, "error")} put into this one. Split takes them apart again.`);
      onClose();
    },
  });
  const q = useSettled(form.values.q.trim(), 250);
  const data = useUrl<Groups>(capturedUrl(base, "errors", { ...view, filters: [], range: { name: "90d" } }, { limit: OFFERED + 1, ...(q && { q }) }));
  const chosen = form.values.groups;
  return (
    <FormDialog title="Put other errors into this one" form={form} action="Merge" onClose={onClose}>
      <p>Their occurrences, and those that come later, count here.</p>
      <TextField {...form.bind("q")} label="Find errors" placeholder="Message, function or file" autofocus />
      <Loaded of={data} what="Errors" lines={4}>
        {({ groups }) => {
          const others = groups.filter(({ id }) => id !== group.id).slice(0, OFFERED);
          return others.length === 0 ? (
            <Empty title="There is no other error" />
          ) : (
            <div class="choices grouplist" role="group" aria-label="Errors">
              {others.map((other) => (
                <Choice
                  key={other.id}
                  label={errorTitle(other.type, other.message)}
                  hint={`${culpritWords(other.culprit) || "No place is known"} · ${format.plural(other.occurrences, "time")}`}
                  checked={chosen.includes(other.id)}
                  onChecked={(on) => form.set("groups", on ? [...chosen, other.id] : chosen.filter((id) => id !== other.id))}
                />
              ))}
            </div>
          );
        }}
      </Loaded>
      {form.errors.groups && (
        <p class="err" role="alert">
          {form.errors.groups}
        </p>
      )}
    </FormDialog>
  );
}

/** Stacks that are another error become a group of their own. */
export function SplitDialog({ website, group, home, onClose }: Props) {
  const { stacks } = group;
  const form = useForm<{ stacks: readonly number[] }>({
    initial: { stacks: [] },
    rules: { stacks: (chosen) => (chosen.length === 0 ? "Choose at least one." : chosen.length === stacks.length ? "One of them must stay." : undefined) },
    submit: async (values) => {
      const { id } = await post("/api/websites/{website_id}/errors/{group_id}/split", { path: { website_id: website, group_id: group.id }, body: { stacks: [...values.stacks] } });
      refresh(`/api/websites/${website}/errors`);
      toast("They are an error of their own now.");
      onClose();
      go(`${home}/${id}`);
    },
  });
  const chosen = form.values.stacks;
  return (
    <FormDialog title="Take stacks out of this error" form={form} action="Split" onClose={onClose}>
      <p>What you choose becomes an error of its own, and later occurrences with the same stack go there.</p>
      <div class="choices grouplist" role="group" aria-label="Stacks">
        {stacks.map((stack) => {
          const top = stack.frames.find(({ in_app }) => in_app) ?? stack.frames[0];
          return (
            <Choice
              key={stack.id}
              label={errorTitle(stack.type, stack.message)}
              hint={[top && [top.function, placeOf(top)].filter(Boolean).join(" · "), stack.release, format.plural(stack.occurrences, "time")].filter(Boolean).join(" · ")}
              checked={chosen.includes(stack.id)}
              onChecked={(on) => form.set("stacks", on ? [...chosen, stack.id] : chosen.filter((id) => id !== stack.id))}
            />
          );
        })}
      </div>
      {form.errors.stacks && (
        <p class="err" role="alert">
          {form.errors.stacks}
        </p>
      )}
    </FormDialog>
  );
}
