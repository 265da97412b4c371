import { useLayoutEffect } from "preact/hooks";
import { go } from "../../lib/router";

/** Goes on to another address, and leaves no step behind. */
export function Redirect({ to }: { to: string }) {
  useLayoutEffect(() => go(to, { replace: true }), [to]);
  return null;
}
