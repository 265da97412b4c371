// Making and changing goals and funnels.
import { useState } from "preact/hooks";
import { patch, post } from "../../api/client";
import { refresh } from "../../api/data";
import { Button, IconButton } from "../../ui/basic";
import { TextField, useForm } from "../../ui/form";
import { toast } from "../../ui/overlay";
import { FormDialog } from "../parts/form-dialog";
import type { Funnels, Goals } from "../analytics/context";
import { cleanStep, StepFields, wrongStep, type Step } from "./steps";

type Goal = Goals["goals"][number];
type Funnel = Funnels["funnels"][number];

const nameRule = (name: string) => (name.trim() === "" ? "Write a name." : name.length > 100 ? "Name too long (max 100 characters)" : undefined);

export function GoalForm({ website, goal, onClose }: { website: string; goal?: Goal | undefined; onClose(): void }) {
  const form = useForm<{ name: string; target: Step }>({
    initial: { name: goal?.name ?? "", target: goal ? { type: goal.type, match_type: goal.match_type ?? null, value: goal.value } : { type: "page", value: "" } },
    rules: { name: nameRule, target: wrongStep },
    async submit({ name, target }) {
      const path = { website_id: website };
      if (goal) await patch("/api/websites/{website_id}/goals/{goal_id}", { path: { ...path, goal_id: goal.id }, body: { name: name.trim(), target: cleanStep(target) } });
      else await post("/api/websites/{website_id}/goals", { path, body: { name: name.trim(), ...cleanStep(target) } });
      refresh(`/api/websites/${website}/`);
      toast(goal ? "Saved." : `Goal “${name.trim()}” added.`);
      onClose();
    },
  });
  return (
    <FormDialog title={goal ? "Edit goal" : "New goal"} form={form} action={goal ? "Save" : "Add goal"} onClose={onClose}>
      <TextField label="Name" autofocus maxLength={100} placeholder="Sign-up completed" {...form.bind("name")} />
      <fieldset class="field">
        <legend>Counts when</legend>
        <StepFields label="Counts when" step={form.values.target} onStep={(target) => form.set("target", target)} error={form.errors.target ?? form.errors.value} />
        <span class="hint">A goal is counted from now on and for all that was reported before.</span>
      </fieldset>
    </FormDialog>
  );
}

export function FunnelForm({ website, funnel, goals, onClose }: { website: string; funnel?: Funnel | undefined; goals: readonly { id: string; name: string }[]; onClose(): void }) {
  const [wrong, setWrong] = useState<readonly (string | undefined)[]>([]);
  const form = useForm<{ name: string; steps: readonly Step[] }>({
    initial: {
      name: funnel?.name ?? "",
      steps: funnel?.steps.map(({ type, match_type, value }) => ({ type, match_type: match_type ?? null, value })) ?? [
        { type: "page", value: "" },
        { type: "page", value: "" },
      ],
    },
    rules: {
      name: nameRule,
      steps: (steps) => {
        const found = steps.map(wrongStep);
        setWrong(found);
        return found.some((one) => one !== undefined) ? "Some steps are not complete." : undefined;
      },
    },
    async submit({ name, steps }) {
      const body = { name: name.trim(), steps: steps.map(cleanStep) };
      const path = { website_id: website };
      if (funnel) await patch("/api/websites/{website_id}/funnels/{funnel_id}", { path: { ...path, funnel_id: funnel.id }, body });
      else await post("/api/websites/{website_id}/funnels", { path, body });
      refresh(`/api/websites/${website}/`);
      toast(funnel ? "Saved." : `Funnel “${body.name}” added.`);
      onClose();
    },
  });
  const { steps } = form.values;
  const change = (next: readonly Step[]) => {
    form.set("steps", next);
    if (wrong.length > 0) setWrong(next.map(wrongStep));
  };
  const move = (from: number, to: number) => {
    const next = [...steps];
    const [step] = next.splice(from, 1);
    if (step) next.splice(to, 0, step);
    change(next);
  };
  return (
    <FormDialog title={funnel ? "Edit funnel" : "New funnel"} class="funnelform" form={form} action={funnel ? "Save" : "Add funnel"} onClose={onClose}>
      <TextField label="Name" autofocus maxLength={100} placeholder="Pricing to sign-up" {...form.bind("name")} />
      <fieldset class="field">
        <legend>Steps, in order, in one visit</legend>
        <ol class="stack stack-8">
          {steps.map((step, index) => (
            <li class="steprow" key={index}>
              <span class="stepn" aria-hidden="true">
                {index + 1}
              </span>
              <StepFields label={`Step ${index + 1}`} step={step} goals={goals} error={wrong[index]} onStep={(next) => change(steps.map((one, at) => (at === index ? next : one)))} />
              <IconButton icon="up" label={`Step ${index + 1}: earlier`} kind="quiet" small disabledReason={index === 0 ? "It is the first." : undefined} onClick={() => move(index, index - 1)} />
              <IconButton
                icon="close"
                label={`Step ${index + 1}: remove`}
                kind="quiet"
                small
                disabledReason={steps.length <= 2 ? "A funnel has at least two steps." : undefined}
                onClick={() => change(steps.filter((_, at) => at !== index))}
              />
            </li>
          ))}
        </ol>
        <div>
          <Button small icon="plus" disabledReason={steps.length >= 7 ? "A funnel has at most seven steps." : undefined} onClick={() => change([...steps, { type: "page", value: "" }])}>
            Add step
          </Button>
        </div>
      </fieldset>
    </FormDialog>
  );
}
