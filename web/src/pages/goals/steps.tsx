// What counts as a goal or as a step: a page, an event, a goal. How it is chosen, checked and written.
import { Select, TextField } from "../../ui/form";

export interface Step {
  type: string;
  match_type?: string | null;
  value: string;
}

const MATCHES = [
  { value: "exact", label: "is" },
  { value: "contains", label: "contains" },
  { value: "starts_with", label: "starts with" },
  { value: "ends_with", label: "ends with" },
  { value: "regex", label: "matches" },
];

/** A step in words, after its kind: `is /pricing`, `signup_completed`. */
export function stepWords(step: Step): string {
  if (step.type !== "page") return step.value;
  const match = MATCHES.find(({ value }) => value === (step.match_type ?? "exact"));
  return `${match?.label ?? "is"} ${step.value}`;
}

/** What is wrong with a step, in words. */
export function wrongStep(step: Step): string | undefined {
  if (step.value.trim() === "") return step.type === "page" ? "Write a path, such as /pricing." : step.type === "goal" ? "Choose a goal." : "Write the name of an event.";
  if (step.type === "page" && (step.match_type ?? "exact") === "exact" && !step.value.startsWith("/")) return "A path begins with /.";
  return undefined;
}

/** A step as the server takes it. */
export const cleanStep = ({ type, match_type, value }: Step): Step =>
  type === "page" && match_type && match_type !== "exact" ? { type, match_type, value: value.trim() } : { type, value: value.trim() };

/** The fields of a step. `goals` are those that it can be. */
export function StepFields({ step, onStep, error, goals, label }: {
  step: Step;
  onStep(step: Step): void;
  error?: string | undefined;
  goals?: readonly { id: string; name: string }[];
  /** What it is, for those who hear the page. */
  label: string;
}) {
  const types = [
    { value: "page", label: "Page" },
    { value: "event", label: "Event" },
    ...(goals && goals.length > 0 ? [{ value: "goal", label: "Goal" }] : []),
  ];
  return (
    <div class="stepfields" role="group" aria-label={label}>
      <Select label={`${label}: kind`} hideLabel value={step.type} options={types} onValue={(type) => onStep({ type, value: type === "goal" ? (goals?.[0]?.id ?? "") : "" })} />
      {step.type === "page" && (
        <Select label={`${label}: how the path is compared`} hideLabel value={step.match_type ?? "exact"} options={MATCHES} onValue={(match_type) => onStep({ ...step, match_type })} />
      )}
      {step.type === "goal" ? (
        <Select label={`${label}: goal`} hideLabel value={step.value} options={(goals ?? []).map(({ id, name }) => ({ value: id, label: name }))} onValue={(value) => onStep({ ...step, value })} />
      ) : (
        <TextField
          label={`${label}: ${step.type === "page" ? "path" : "name of the event"}`}
          hideLabel
          mono
          value={step.value}
          error={error}
          placeholder={step.type === "page" ? "/pricing" : "signup_completed"}
          maxLength={500}
          onValue={(value) => onStep({ ...step, value })}
        />
      )}
    </div>
  );
}
