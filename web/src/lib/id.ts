import { useState } from "preact/hooks";

let last = 0;

/**
 * An id of its own for as long as the component lives. That of Preact counts from the root of the tree, and begins again where
 * a part of the tree has lost its root: two elements of a page may get the same.
 */
export function useId(): string {
  const [id] = useState(() => `z${++last}`);
  return id;
}
