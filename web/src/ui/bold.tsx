import type { ComponentChildren } from "preact";

/** `label` with the first place of what was typed in bold. */
export function bold(label: string, typed: string): ComponentChildren {
  const word = typed.trim();
  const at = word === "" ? -1 : label.toLocaleLowerCase().indexOf(word.toLocaleLowerCase());
  if (at < 0) return label;
  return (
    <>
      {label.slice(0, at)}
      <b>{label.slice(at, at + word.length)}</b>
      {label.slice(at + word.length)}
    </>
  );
}
