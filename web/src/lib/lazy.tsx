// Parts that are loaded when they are first shown.
import type { ComponentType, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

/** A component whose script is loaded when it is first shown; until then there is nothing. */
export function lazy<P extends object>(load: () => Promise<{ default: ComponentType<P> }>): (props: P) => JSX.Element | null {
  let Loaded: ComponentType<P> | undefined;
  return function Lazy(props: P) {
    const [, render] = useState({});
    useEffect(() => {
      if (Loaded) return;
      let wanted = true;
      load().then(
        (module) => {
          Loaded = module.default;
          if (wanted) render({});
        },
        () => {}, // What is around it lives on; the next page tries again.
      );
      return () => {
        wanted = false;
      };
    }, []);
    return Loaded ? <Loaded {...props} /> : null;
  };
}
