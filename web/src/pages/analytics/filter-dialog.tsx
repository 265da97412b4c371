// Making and changing a filter.
import { useState } from "preact/hooks";
import { useUrl } from "../../api/data";
import * as format from "../../lib/format";
import { addFilter, EVENT_TYPES, isMatch, isPattern, OPERATORS, replaceFilter, takesText, type Dimension, type Filter, type Operator, removeFilter } from "../../lib/view";
import { Button, CountryTag } from "../../ui/basic";
import { Combobox, type Suggestion } from "../../ui/combobox";
import { Select } from "../../ui/form";
import { Dialog } from "../../ui/overlay";
import { numbersUrl, useAnalytics, useNumbers, type Goals, type Values } from "./context";
import { dimensionLabel, FILTER_DIMENSIONS, OPERATOR_LABELS, valueLabel } from "./dimensions";

export default function FilterDialog({ edit, onClose }: { edit: Filter | undefined; onClose(): void }) {
  const { base, view, show, dimensions } = useAnalytics();
  const [dimension, setDimension] = useState<Dimension>(edit?.dimension ?? "page");
  const [operator, setOperator] = useState<Operator>(edit?.operator ?? "is");
  const [values, setValues] = useState<readonly string[]>(edit?.values ?? []);
  const [typed, setTyped] = useState("");
  const [error, setError] = useState<string>();
  const exact = operator === "is" || operator === "is_not";
  // What the other filters leave, so that every suggestion has visits.
  const rest = edit ? removeFilter(view, edit) : view;
  const { compare: _, ...asked } = rest;
  const isGoal = dimension === "goal";
  const isKind = dimension === "event_type";
  const data = useUrl<Values>(isGoal || isKind ? undefined : numbersUrl(base, "values", asked, { dimension, ...(typed.trim() && { q: typed.trim() }) }));
  const goals = useUrl<Goals>(isGoal ? numbersUrl(base, "goals", { ...asked, filters: [] }) : undefined);
  const properties = useNumbers("properties", dimensions === undefined ? {} : undefined, { ...asked, filters: [] });

  const options = dimensions ? [...dimensions] : [...FILTER_DIMENSIONS, ...(properties.data?.properties ?? []).map((name): Dimension => `prop.${name}`)];
  if (!options.includes(dimension)) options.push(dimension);
  const has = (name: string) => name.toLowerCase().includes(typed.trim().toLowerCase());
  const kinds = EVENT_TYPES.map((value) => ({ value, label: valueLabel(dimension, value) }));
  const suggestions: Suggestion[] = isKind
    ? kinds.filter(({ label }) => has(label))
    : isGoal
    ? (goals.data?.goals ?? [])
        .filter(({ name }) => has(name))
        .map(({ name, numbers }) => ({ value: name, label: name, detail: format.count(numbers.conversions) }))
    : (data.data?.values ?? [])
        .map(({ value, label, visitors }) => ({
          value,
          label: valueLabel(dimension, value, label),
          detail: format.count(visitors),
          ...(dimension === "country" && { before: <CountryTag code={value} /> }),
        }))
        // Until those for what is typed are there, Enter would pick one that has nothing to do with it.
        .filter(({ value, label }) => !data.stale || has(label) || has(value));

  const apply = (event?: Event) => {
    event?.preventDefault();
    // What is still in the field counts.
    const all = typed.trim() !== "" && !exact ? [...values, typed.trim()] : values;
    if (all.length === 0) {
      setError(exact ? "Choose at least one value." : "Write at least one value.");
      return;
    }
    if (isMatch(operator) && !all.every(isPattern)) {
      setError("That is not a regular expression that is understood.");
      return;
    }
    const filter: Filter = { dimension, operator, values: all };
    show(edit ? replaceFilter(view, edit, filter) : addFilter(view, filter));
    onClose();
  };

  return (
    <Dialog
      title={edit ? "Edit filter" : "Add filter"}
      onClose={onClose}
      foot={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" onClick={() => apply()}>
            {edit ? "Save" : "Add"}
          </Button>
        </>
      }
    >
      <form class="dlg-body" onSubmit={apply}>
        <div class="two">
          <Select
            label="Dimension"
            value={dimension}
            options={options.map((value) => ({ value, label: value.startsWith("prop.") ? `Property ${dimensionLabel(value)}` : dimensionLabel(value) }))}
            onValue={(value) => {
              setDimension(value);
              setValues([]);
              setError(undefined);
              if (!takesText(value) && !exact) setOperator("is");
            }}
          />
          <Select
            label="Operator"
            value={operator}
            options={(takesText(dimension) ? OPERATORS : (["is", "is_not"] as const)).map((value) => ({ value, label: OPERATOR_LABELS[value] }))}
            onValue={(value: Operator) => setOperator(value)}
          />
        </div>
        <Combobox
          label="Values"
          values={values}
          onValues={(next) => {
            setValues(next);
            setError(undefined);
          }}
          suggestions={exact ? suggestions : []}
          onTyped={setTyped}
          show={(value) => (exact ? valueLabel(dimension, value) : value)}
          free={takesText(dimension)}
          autofocus
          busy={data.loading || data.stale}
          error={error}
          hint={isMatch(operator) ? "A regular expression. Several are joined by or." : "Several are joined by or."}
          placeholder={exact ? "Search" : "Text"}
        />
      </form>
    </Dialog>
  );
}
